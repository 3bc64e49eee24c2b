"""Block storage without backups: volumes, quota sets, and version discovery."""

from __future__ import annotations

from typing import Any

from vbsbatch.simulator.call import Call
from vbsbatch.simulator.native_backups import alike, cut_page, next_link
from vbsbatch.simulator.project_state import SimVolume, read_id
from vbsbatch.simulator.scenario import Scenario
from vbsbatch.simulator.wire import SimReply, cinder_time, json_reply, openstack_fault


def list_volumes(call: Call) -> SimReply:
    """`GET /v3/{project}/volumes`, with `/detail` for whole entries: filters, `limit`, `marker`,
    `offset`, newest first."""
    newest_first = sorted(call.project.volumes.values(), key=lambda volume: volume.age)
    matching = (volume for volume in newest_first if _matches(call, volume))
    page = cut_page(call, matching, lambda volume: volume.id)
    if isinstance(page, SimReply):
        return page
    describe = _describe if call.detail else _summary
    content: dict[str, Any] = {"volumes": [describe(call, volume) for volume in page]}
    if links := next_link(call, "volumes", [volume.id for volume in page]):
        content["volumes_links"] = links
    return json_reply(200, content)


def _matches(call: Call, volume: SimVolume) -> bool:
    query = call.request.query
    if "name" in query and not alike(query["name"], volume.name):
        return False
    wanted = query.get("status")
    return wanted is None or alike(wanted, call.project.volume_status(volume, call.now))


def show(call: Call) -> SimReply:
    """`GET /v3/{project}/volumes/{volume_id}`."""
    volume = call.project.volumes.get(read_id(call.target) or "")
    if volume is None:
        return openstack_fault(404, f"Volume {call.target} could not be found.")
    return json_reply(200, {"volume": _describe(call, volume)})


def _summary(call: Call, volume: SimVolume) -> dict[str, Any]:
    own = f"{call.root}/{call.version}/{call.project.id}/volumes/{volume.id}"
    return {"id": volume.id, "name": volume.name, "links": [{"rel": "self", "href": own}]}


def _describe(call: Call, volume: SimVolume) -> dict[str, Any]:
    created_at = cinder_time(call.shown(call.start - volume.age))
    attachment = {
        "id": volume.id,
        "attachment_id": volume.id,
        "volume_id": volume.id,
        "server_id": volume.server_id,
        "device": "/dev/vda" if volume.bootable else "/dev/vdb",
        "attached_at": created_at,
        "host_name": None,
    }
    return {
        **_summary(call, volume),
        "status": call.project.volume_status(volume, call.now),
        "size": volume.size,
        "volume_type": volume.volume_type,
        "availability_zone": volume.zone,
        "bootable": str(volume.bootable).lower(),
        "encrypted": False,
        "multiattach": False,
        "attachments": [attachment] if volume.server_id else [],
        "created_at": created_at,
        "updated_at": cinder_time(call.shown(_changed_at(call, volume))),
        "description": None,
        "metadata": volume.metadata,
        "snapshot_id": None,
        "source_volid": None,
        "replication_status": None,
        "consistencygroup_id": None,
        "user_id": "operator",
        "os-vol-tenant-attr:tenant_id": call.project.id,
    }


def _changed_at(call: Call, volume: SimVolume) -> float:
    """When its status last changed; of its backups only restores show in it."""
    changed = (call.start - volume.age, volume.restoring_since, volume.restoring_until)
    return max(at for at in changed if at <= call.now)


def quota_set(call: Call) -> SimReply:
    """`GET /v3/{project}/os-quota-sets/{project}`, with `?usage=True` too."""
    backups, gigabytes = call.project.used(call.now)
    allowed = {
        "backups": (backups, call.scenario.quota.backups),
        "backup_gigabytes": (gigabytes, call.scenario.quota.gigabytes),
    }
    usage = call.request.query.get("usage", "").lower() == "true"
    content: dict[str, Any] = {"id": call.project.id}
    for name, (used, limit) in allowed.items():
        content[name] = {"in_use": used, "reserved": 0, "limit": limit} if usage else limit
    return json_reply(200, {"quota_set": content})


def versions(root: str, word: str | None, scenario: Scenario, *, has_v2: bool) -> SimReply:
    """The discovery document at the root of block storage (300) or of one version (200)."""
    newest = f"3.{scenario.microversion}"
    offered = ("v2", "v3") if has_v2 else ("v3",)
    told = [_version(root, known, newest) for known in offered if word in (None, known)]
    return json_reply(300 if word is None else 200, {"versions": told})


def _version(root: str, word: str, newest: str) -> dict[str, Any]:
    is_v3 = word == "v3"
    kind = f"application/vnd.openstack.volume+json;version={word[1:]}"
    return {
        "id": f"{word}.0",
        "status": "CURRENT" if is_v3 else "DEPRECATED",
        "version": newest if is_v3 else "",
        "min_version": "3.0" if is_v3 else "",
        "updated": "2023-08-31T00:00:00Z",
        "links": [{"rel": "self", "href": f"{root}/{word}/"}],
        "media-types": [{"base": "application/json", "type": kind}],
    }
