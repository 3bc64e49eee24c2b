"""Backups by the native block storage API: lists, single backups, deletion, restore.

The same on VBS and on plain OpenStack; rules as seen on a real Cinder.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeVar
from urllib.parse import urlencode

from vbsbatch.simulator.call import Call, begin_restore
from vbsbatch.simulator.project_state import SimBackup, read_id
from vbsbatch.simulator.scenario import Scenario
from vbsbatch.simulator.wire import (
    SimReply,
    SimRequest,
    cinder_time,
    json_reply,
    openstack_fault,
)

PAGE = 1000
"""The most entries of one page."""

_LISTS = frozenset({"detail", "backups", "volumes", "servers"})

Entry = TypeVar("Entry")


def list_backups(call: Call) -> SimReply:
    """`GET /v3/{project}/backups`, with `/detail` for whole entries: filters, `limit`, `marker`,
    `offset`, newest first."""
    matching = (backup for backup in _newest_first(call) if _matches(call, backup))
    page = cut_page(call, matching, lambda backup: backup.id)
    if isinstance(page, SimReply):
        return page
    render = _listed if call.detail else _summary_bytes
    entries = b", ".join(render(call, backup) for backup in page)
    body = b'{"backups": [' + entries + b"]"
    if links := next_link(call, "backups", [backup.id for backup in page]):
        body += b', "backups_links": ' + json.dumps(links).encode()
    return SimReply(200, body + b"}")


def _newest_first(call: Call) -> Iterator[SimBackup]:
    wanted = call.request.query.get("volume_id")
    project = call.project
    source = project.order if wanted is None else project.of_volume.get(read_id(wanted) or "", [])
    if call.scenario.clock_steps:  # a database sorts by the times that it wrote down
        source = sorted(source, key=lambda backup: call.shown(backup.created_at))
    return (backup for backup in reversed(source) if backup.seen(call.now))


def _matches(call: Call, backup: SimBackup) -> bool:
    query = call.request.query
    now = backup.listed_at(call.now)
    if "status" in query and not alike(query["status"], backup.status(now) or ""):
        return False
    if "name" in query and not alike(query["name"], backup.name or ""):
        return False
    fuzzy = query.get("name~")
    if fuzzy is None or microversion(call.request.headers) < (3, 45):
        return True
    return fuzzy.casefold() in (backup.name or "").casefold()


def alike(wanted: str, found: str) -> bool:
    """Equal as the cloud's database compares: without case, accents and trailing blanks."""
    return wanted == found or _plain(wanted) == _plain(found)


def _plain(text: str) -> str:
    letters = unicodedata.normalize("NFKD", text.rstrip())
    return "".join(letter for letter in letters if not unicodedata.combining(letter)).casefold()


def cut_page(
    call: Call, entries: Iterator[Entry], key: Callable[[Entry], str]
) -> list[Entry] | SimReply:
    """The page that `marker`, `offset` and `limit` ask for, or a refusal."""
    query = call.request.query
    limit, offset = _whole(query, "limit", PAGE), _whole(query, "offset", 0)
    if limit is None or offset is None:
        return openstack_fault(400, "limit and offset must be integers of 0 or more.")
    marker = query.get("marker")
    if marker is not None and not any(key(entry) == marker for entry in entries):
        return openstack_fault(404, f"Marker {marker} could not be found.")
    page = []
    for position, entry in enumerate(entries):
        if position >= offset + min(limit, call.scenario.page):
            break
        if position >= offset:
            page.append(entry)
    return page


def entries_asked(request: SimRequest) -> int | None:
    """How many entries a list is asked for; None if the request is for no list."""
    listing = request.method == "GET" and request.path.rsplit("/", 1)[-1] in _LISTS
    return _whole(request.query, "limit", PAGE) if listing else None


def _whole(query: Mapping[str, str], name: str, default: int) -> int | None:
    text = query.get(name)
    if text is None:
        return default
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def next_link(call: Call, collection: str, ids: list[str]) -> list[dict[str, str]] | None:
    """The link to the next page after a full one, even when that will be empty (as Cinder does)."""
    limit = min(_whole(call.request.query, "limit", PAGE) or 0, call.scenario.page)
    if not ids or len(ids) < limit or not call.scenario.links:
        return None
    query = {name: value for name, value in call.request.query.items() if name != "offset"}
    path = call.request.path.partition(f"/{collection}")[2]
    own = f"{call.root}/{call.version}/{call.project.id}/{collection}{path}"
    return [{"rel": "next", "href": f"{own}?{urlencode({**query, 'marker': ids[-1]})}"}]


def microversion(headers: Mapping[str, str]) -> tuple[int, int]:
    """The microversion that `OpenStack-API-Version: volume 3.45` names; 3.0 without one."""
    service, _, version = headers.get("openstack-api-version", "").partition(" ")
    major, _, minor = version.strip().partition(".")
    if service.lower() not in ("volume", "block-storage") or not minor.isdigit():
        return (3, 0)
    return (int(major) if major.isdigit() else 0, int(minor))


def check_version(request: SimRequest, scenario: Scenario) -> SimReply | None:
    """Cinder's refusal (406) of a microversion that is not offered."""
    asked, newest = microversion(request.headers), (3, scenario.microversion)
    if (3, 0) <= asked <= newest:
        return None
    message = (
        f"Version {asked[0]}.{asked[1]} is not supported by the API. Minimum is 3.0 and maximum is "
        f"3.{scenario.microversion}."
    )
    return openstack_fault(406, message)


def _listed(call: Call, backup: SimBackup) -> bytes:
    now = backup.listed_at(call.now)
    return _rendered(call if now == call.now else replace(call, now=now), backup)


def _rendered(call: Call, backup: SimBackup) -> bytes:
    status, progress = backup.status(call.now), backup.progress(call.now)
    changed = backup.updated_at(call.now)
    key = (status, progress, changed, call.root, call.version, call.scenario.clock_ahead)
    if backup.rendered[0] != key:
        entry = json.dumps(describe(call, backup)).encode()
        backup.rendered = (key, entry)
    return backup.rendered[1]


def _summary_bytes(call: Call, backup: SimBackup) -> bytes:
    return json.dumps(summary(call, backup)).encode()


def summary(call: Call, backup: SimBackup) -> dict[str, Any]:
    """Id, name and links."""
    own = f"{call.root}/{call.version}/{call.project.id}/backups/{backup.id}"
    links = [{"rel": "self", "href": own}]
    return {"id": backup.id, "name": backup.name, "links": links}


def describe(call: Call, backup: SimBackup) -> dict[str, Any]:
    """A backup as `detail` and a single query show it."""
    status = backup.status(call.now)
    content = {
        **summary(call, backup),
        "status": status,
        "volume_id": backup.volume.id,
        "size": backup.volume.size,
        "description": backup.description,
        "availability_zone": backup.volume.zone,
        "container": None if backup.native else backup.id,
        "object_count": 0 if status == "creating" else 5,
        "created_at": cinder_time(call.shown(backup.created_at)),
        "updated_at": cinder_time(call.shown(backup.updated_at(call.now))),
        "data_timestamp": cinder_time(call.shown(backup.created_at)),
        "fail_reason": _fail_reason(backup) if status == "error" else None,
        "is_incremental": backup.incremental,
        "has_dependent_backups": False,
        "snapshot_id": backup.snapshot_id,
    }
    if not backup.native:
        content["service_metadata"] = _service_metadata(call, backup)
    if backup.native and microversion(call.request.headers) >= (3, 43):
        content["metadata"] = backup.metadata
    return content


def _fail_reason(backup: SimBackup) -> str:
    known = backup.fail_reason
    return f"{backup.code}: the backup failed" if known is None else known


def _service_metadata(call: Call, backup: SimBackup) -> str:
    took = max(backup.ends_at - backup.created_at, 0.001)
    content = {
        "progress": backup.progress(call.now),
        "Type": int(backup.incremental),
        "AT": round(backup.volume.size * 1024 / took, 1),
        "SS": 0,
        "IR": 0,
    }
    return json.dumps(content)


def show(call: Call) -> SimReply:
    """`GET /v3/{project}/backups/{backup_id}`."""
    backup = _find(call)
    if backup is None:
        return _unknown(call)
    return SimReply(200, b'{"backup": ' + _rendered(call, backup) + b"}")


def delete(call: Call) -> SimReply:
    """`DELETE /v3/{project}/backups/{backup_id}`: 202, and gone a little later."""
    backup = _find(call)
    if backup is None:
        return _unknown(call)
    if backup.status(call.now) not in ("available", "error"):
        return openstack_fault(400, "Invalid backup: Backup status must be available or error")
    if any(child.parent_id == backup.id for child in call.project.kept(backup.volume.id, call.now)):
        return openstack_fault(400, "Invalid backup: Incremental backups exist for this backup.")
    backup.deleting_at = call.now
    backup.gone_at = call.now + call.draw(call.scenario.backups.delete)
    call.backup = backup
    return SimReply(202)


def restore(call: Call) -> SimReply:
    """`POST /v3/{project}/backups/{backup_id}/restore` onto a volume that exists."""
    backup = _find(call)
    if backup is None:
        return _unknown(call)
    wanted = call.content.get("restore") if isinstance(call.content, dict) else None
    volume_id = wanted.get("volume_id") if isinstance(wanted, dict) else None
    volume = call.project.volumes.get(read_id(volume_id) or "")
    if volume is None:
        return openstack_fault(404, f"Volume {volume_id} could not be found.")
    if backup.status(call.now) != "available":
        return openstack_fault(400, "Invalid backup: Backup status must be available")
    if call.project.volume_status(volume, call.now) != "available":
        return openstack_fault(400, "Invalid volume: Volume to be restored to must be available")
    begin_restore(call, backup, volume)
    content = {"backup_id": backup.id, "volume_id": volume.id, "volume_name": volume.name}
    return json_reply(202, {"restore": content})


def _find(call: Call) -> SimBackup | None:
    backup = call.project.backups.get(read_id(call.target) or "")
    return backup if backup is not None and backup.seen(call.now) else None


def _unknown(call: Call) -> SimReply:
    return openstack_fault(404, f"Backup {call.target} could not be found.")
