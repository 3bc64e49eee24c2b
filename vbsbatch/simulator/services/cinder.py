"""Creating a backup on plain OpenStack: no job, the backup itself is polled."""

from __future__ import annotations

import re
from typing import Any

from vbsbatch.simulator.call import Call, begin_backup, over_quota
from vbsbatch.simulator.native_backups import microversion, summary
from vbsbatch.simulator.project_state import SimVolume, read_id
from vbsbatch.simulator.scenario import Kind, Services
from vbsbatch.simulator.service import Route, SimService
from vbsbatch.simulator.services.vbs import MEANINGS
from vbsbatch.simulator.wire import SimReply, json_reply, openstack_fault

_METADATA_KEY = re.compile(r"[a-zA-Z0-9_:. /-]{1,255}", re.ASCII)
_KNOWN = frozenset(
    {"volume_id", "name", "description", "incremental", "force", "snapshot_id", "container"}
)


def create(call: Call) -> SimReply:
    """`POST /v3/{project}/backups`: 202 with id and name."""
    wanted = call.content.get("backup") if isinstance(call.content, dict) else None
    if not isinstance(wanted, dict):
        return openstack_fault(400, "Invalid input for field/attribute backup.")
    wrong = _check_request(call, wanted)
    if wrong:
        return openstack_fault(400, wrong)
    volume = call.project.volumes.get(read_id(wanted["volume_id"]) or "")
    if volume is None:
        return openstack_fault(404, f"Volume {wanted['volume_id']} could not be found.")
    refusal = _check_volume(call, volume, wanted)
    if refusal:
        return refusal
    return _commit(call, volume, wanted)


def _check_request(call: Call, wanted: dict[str, Any]) -> str | None:
    known = _KNOWN | ({"metadata"} if microversion(call.request.headers) >= (3, 43) else set())
    if unknown := sorted(set(wanted) - known):
        return f"Additional properties are not allowed ({', '.join(unknown)} was unexpected)"
    if read_id(wanted.get("volume_id")) is None:
        return f"Invalid input for field/attribute volume_id. Value: {wanted.get('volume_id')}."
    for field in ("name", "description"):
        text = wanted.get(field)
        if text is not None and (not isinstance(text, str) or len(text) > 255):
            return f"Invalid input for field/attribute {field}. It is too long or no string."
    if not _good_metadata(wanted.get("metadata")):
        return f"Invalid input for field/attribute metadata. Value: {wanted.get('metadata')}."
    return None


def _good_metadata(metadata: object) -> bool:
    if metadata is None:
        return True
    return isinstance(metadata, dict) and all(
        _METADATA_KEY.fullmatch(key) and isinstance(value, str) and len(value) <= 255
        for key, value in metadata.items()
    )


def _texts(wanted: dict[str, Any]) -> str:
    """Everything of a request that becomes text in the database."""
    pairs = (wanted.get("metadata") or {}).items()
    metadata = "".join(f"{key}{value}" for key, value in pairs)
    return f"{wanted.get('name') or ''}{wanted.get('description') or ''}{metadata}"


def _check_volume(call: Call, volume: SimVolume, wanted: dict[str, Any]) -> SimReply | None:
    status = _status(call, volume)
    if status not in ("available", "in-use"):
        return openstack_fault(
            400,
            "Invalid volume: Volume to be backed up must be available or in-use,"
            f' but the current status is "{status}".',
        )
    if status == "in-use" and not wanted.get("force"):
        return openstack_fault(
            400, "Invalid volume: Backing up an in-use volume must use the force flag."
        )
    if wanted.get("incremental") and call.project.parent(volume.id, call.now) is None:
        return openstack_fault(
            400, "Invalid backup: No backups available to do an incremental backup."
        )
    if any(ord(letter) > 0xFFFF for letter in _texts(wanted)):
        # As a database without four-byte characters does it: too late to put the volume back.
        volume.status = "backing-up"
        return openstack_fault(500, "The server has either erred or is incapable.")
    return _check_quota(call, volume)


def _status(call: Call, volume: SimVolume) -> str:
    """The volume's status as the check sees it: what it was a little earlier, where `busy_after`
    says that the check is not atomic."""
    status = call.project.volume_status(volume, call.now)
    since = call.now - call.scenario.busy_after
    made = call.project.of_volume.get(volume.id, ())
    seen = any(call.now < backup.ends_at and backup.created_at <= since for backup in made)
    return status if seen or status != "backing-up" else volume.status


def _check_quota(call: Call, volume: SimVolume) -> SimReply | None:
    exceeded = over_quota(call, volume)
    if exceeded is None:
        return None
    message = "VolumeBackupSizeExceedsAvailableQuota: Requested backup exceeds allowed quota"
    if exceeded == "backups":
        most = call.scenario.quota.backups
        message = f"BackupLimitExceeded: Maximum number of backups allowed ({most})"
    return openstack_fault(413, message, {"retry-after": "0"})


def _commit(call: Call, volume: SimVolume, wanted: dict[str, Any]) -> SimReply:
    incremental = bool(wanted.get("incremental"))
    parent = call.project.parent(volume.id, call.now) if incremental else None
    name = wanted.get("name")
    backup = begin_backup(
        call,
        volume,
        name=name.strip() if name else None,
        native=True,
        description=wanted.get("description"),
        incremental=incremental,
        snapshot_id=wanted.get("snapshot_id"),
        parent_id=parent.id if parent else None,
        metadata=wanted.get("metadata"),
    )
    # It has no codes: the reason is what the code means, or the code itself if nobody knows.
    backup.fail_reason = MEANINGS.get(backup.code or "", backup.code or "")
    # Cinder writes its row first: lists show the backup at once.
    backup.visible_at = call.now
    return json_reply(202, {"backup": summary(call, backup)})


SERVICE = SimService(
    name=Services.CINDER,
    place="volume",
    routes={("POST", "backups"): Route(Kind.CREATE, create, ("v3",), changes=True)},
    demo_failure="Backup driver reported an error",
    demo_refusal=(
        'status: 400, message: "Invalid volume: Volume to be backed up must be available or '
        'in-use, but the current status is \\"error\\"."'
    ),
)
