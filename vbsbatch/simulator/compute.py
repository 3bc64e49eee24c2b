"""Compute, as far as backups need it: the servers and their names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from vbsbatch.simulator.call import Call
from vbsbatch.simulator.native_backups import alike, cut_page, next_link
from vbsbatch.simulator.wire import SimReply, json_reply, openstack_fault


def list_servers(call: Call) -> SimReply:
    """`GET /v2.1/{project}/servers`, with `/detail` for whole entries, sorted by id: `name`,
    `limit` and `marker`."""
    wanted = call.request.query.get("name")
    matching = ((id, name) for id, name in _servers(call) if wanted is None or alike(wanted, name))
    page = cut_page(call, matching, lambda server: server[0])
    if isinstance(page, SimReply):
        return page
    content: dict[str, Any] = {
        "servers": [_describe(call, id, name, detail=call.detail) for id, name in page]
    }
    if links := next_link(call, "servers", [id for id, _ in page]):
        content["servers_links"] = links
    return json_reply(200, content)


def show(call: Call) -> SimReply:
    """`GET /v2.1/{project}/servers/{server_id}`."""
    name = dict(_servers(call)).get(call.target)
    if name is None:
        return openstack_fault(404, f"Instance {call.target} could not be found.")
    return json_reply(200, {"server": _describe(call, call.target, name, detail=True)})


def versions(root: str, word: str | None) -> SimReply:
    """The discovery document at the root of compute, or of its one version."""
    version = {
        "id": "v2.1",
        "status": "CURRENT",
        "version": "2.96",
        "min_version": "2.1",
        "updated": "2013-07-23T11:33:21Z",
        "links": [{"rel": "self", "href": f"{root}/v2.1/"}],
    }
    if word is None:
        return json_reply(200, {"versions": [version]})
    return json_reply(200, {"version": version})


def _servers(call: Call) -> Iterator[tuple[str, str]]:
    """Id and name of every server that a volume is attached to."""
    found = {
        volume.server_id: volume.server_name or volume.server_id
        for volume in call.project.volumes.values()
        if volume.server_id
    }
    return iter(sorted(found.items()))


def _describe(call: Call, server_id: str, name: str, *, detail: bool) -> dict[str, Any]:
    own = f"{call.root}/{call.version}/{call.project.id}/servers/{server_id}"
    summary = {"id": server_id, "name": name, "links": [{"rel": "self", "href": own}]}
    if not detail:
        return summary
    disks = [volume for volume in call.project.volumes.values() if volume.server_id == server_id]
    return {
        **summary,
        "status": "ACTIVE",
        "tenant_id": call.project.id,
        "OS-EXT-AZ:availability_zone": disks[0].zone,
        "os-extended-volumes:volumes_attached": [{"id": volume.id} for volume in disks],
    }
