"""The Volume Backup Service: create, cloud jobs, quota, restore, with its documented codes."""

from __future__ import annotations

import json
import re
from typing import Any

from vbsbatch.model import CloudJobStatus
from vbsbatch.simulator.call import Call, begin_backup, begin_job, begin_restore, over_quota
from vbsbatch.simulator.project_state import SimJob, SimVolume, new_id, read_id
from vbsbatch.simulator.scenario import Kind, Services
from vbsbatch.simulator.service import Route, SimService
from vbsbatch.simulator.wire import SimReply, json_reply, vbs_error, zulu_time

BACKUPS_PER_VOLUME = 20
"""It keeps at most this many backups of one disk."""

_NAME = re.compile(r"[A-Za-z0-9_-]+\Z")
_QUOTA_CODES = {"backups": "VolumeBackup.0080", "gigabytes": "VolumeBackup.0081"}
_BAD_IN_TAG = re.compile(r"[\x00-\x1f=*<>\\,|/]")

MEANINGS = {
    "VolumeBackup.0002": "The request format is incorrect.",
    "VolumeBackup.0003": "The name is too long.",
    "VolumeBackup.0004": "The name has invalid characters.",
    "VolumeBackup.0005": "The name starts with auto.",
    "VolumeBackup.0006": "The description is too long or has invalid characters.",
    "VolumeBackup.0007": "The name is empty.",
    "VolumeBackup.0010": "The volume_id is empty.",
    "VolumeBackup.0011": "The volume_id is malformed.",
    "VolumeBackup.0012": "The disk is not available or in-use.",
    "VolumeBackup.0013": "The previous backup creation task of the disk is not complete.",
    "VolumeBackup.0017": "Failed to create the snapshot.",
    "VolumeBackup.0021": "The disk does not exist or has been deleted.",
    "VolumeBackup.0040": "The disk has reached the limit of 20 backups.",
    "VolumeBackup.0042": "The user may not perform the operation.",
    "VolumeBackup.0049": "The tag parameter is invalid.",
    "VolumeBackup.0050": "There are too many tags.",
    "VolumeBackup.0064": "The backup is in error.",
    "VolumeBackup.0080": "The backup count quota is used up.",
    "VolumeBackup.0081": "The backup capacity quota is used up.",
    "VolumeBackup.0089": "The disk's backup is unavailable.",
    "VolumeBackup.0111": "The disk or the backup does not exist.",
    "VolumeBackup.0206": "A backup is being created for the disk.",
    "VolumeBackup.0900": "The service is unavailable.",
    "common.0011": "The job query failed.",
}


def refuse(code: str, status: int = 400) -> SimReply:
    """A documented refusal."""
    return vbs_error(status, code, MEANINGS[code])


def create(call: Call) -> SimReply:
    """`POST /v2/{project}/cloudbackups`: check everything, then commit and answer with a job."""
    wanted = call.content.get("backup") if isinstance(call.content, dict) else None
    if not isinstance(wanted, dict):
        return refuse("VolumeBackup.0002")
    wrong = _check_request(wanted)
    if wrong:
        return refuse(wrong)
    volume = call.project.volumes.get(read_id(wanted["volume_id"]) or "")
    if volume is None:
        return refuse("VolumeBackup.0021", 404)
    refusal = _check_volume(call, volume)
    if refusal:
        return refusal
    return json_reply(200, {"job_id": _commit(call, volume, wanted).id})


def _commit(call: Call, volume: SimVolume, wanted: dict[str, Any]) -> SimJob:
    full = (wanted.get("extend_param") or {}).get("FullBackup", "false").lower() == "true"
    parent = None if full else call.project.parent(volume.id, call.now)
    note = {"DESC": wanted.get("description") or "", "INC": int(parent is not None)}
    tags = {tag["key"]: tag["value"] for tag in wanted.get("tags") or ()}
    backup = begin_backup(
        call,
        volume,
        name=wanted["name"],
        native=False,
        description=json.dumps(note),
        incremental=parent is not None,
        snapshot_id=wanted.get("snapshot_id") or new_id(call.rng),
        metadata=tags,
    )
    job = begin_job(call, "bksCreateBackup", backup, volume.id, backup.ends_at, backup.code)
    backup.job_id = job.id
    return job


def _check_request(wanted: dict[str, Any]) -> str | None:
    return (
        _check_volume_id(wanted.get("volume_id"))
        or _check_name(wanted.get("name"))
        or _check_description(wanted.get("description"))
        or _check_tags(wanted.get("tags"))
        or _check_extras(wanted)
    )


def _check_volume_id(volume_id: object) -> str | None:
    if volume_id is None or volume_id == "":
        return "VolumeBackup.0010"
    return None if read_id(volume_id) else "VolumeBackup.0011"


def _check_name(name: object) -> str | None:
    if name is None or name == "":
        return "VolumeBackup.0007"
    if not isinstance(name, str):
        return "VolumeBackup.0002"
    if len(name) > 64:
        return "VolumeBackup.0003"
    if not _NAME.match(name):
        return "VolumeBackup.0004"
    return "VolumeBackup.0005" if name.startswith("auto") else None


def _check_description(description: object) -> str | None:
    if description is None:
        return None
    good = isinstance(description, str) and 1 <= len(description) <= 64
    return None if good and not set("<>") & set(str(description)) else "VolumeBackup.0006"


def _check_tags(tags: object) -> str | None:
    if tags is None:
        return None
    if not isinstance(tags, list):
        return "VolumeBackup.0049"
    if len(tags) > 10:
        return "VolumeBackup.0050"
    return None if all(map(_good_tag, tags)) else "VolumeBackup.0049"


def _good_tag(tag: object) -> bool:
    if not isinstance(tag, dict) or set(tag) != {"key", "value"}:
        return False
    key, value = tag["key"], tag["value"]
    if not isinstance(key, str) or not isinstance(value, str):
        return False
    return 1 <= len(key) <= 36 and len(value) <= 43 and not _BAD_IN_TAG.search(key + value)


def _check_extras(wanted: dict[str, Any]) -> str | None:
    extend = wanted.get("extend_param")
    if extend is not None and not (
        isinstance(extend, dict) and all(isinstance(value, str) for value in extend.values())
    ):
        return "VolumeBackup.0002"
    snapshot_id = wanted.get("snapshot_id")
    return None if snapshot_id is None or read_id(snapshot_id) else "VolumeBackup.0002"


def _check_volume(call: Call, volume: SimVolume) -> SimReply | None:
    """One creation per disk, its state, the 20 per disk, the quota: in this order."""
    if call.project.being_made(volume.id, call.now):
        return refuse("VolumeBackup.0013")
    if call.project.volume_status(volume, call.now) not in ("available", "in-use"):
        return refuse("VolumeBackup.0012")
    if len(call.project.kept(volume.id, call.now)) >= BACKUPS_PER_VOLUME:
        return refuse("VolumeBackup.0040")
    exceeded = over_quota(call, volume)
    return refuse(_QUOTA_CODES[exceeded], 403) if exceeded else None


def job(call: Call) -> SimReply:
    """`GET /v1/{project}/jobs/{job_id}`."""
    found = call.project.jobs.get(call.target)
    if found is None:
        return refuse("common.0011", 404)
    status = found.status(call.now)
    over = call.now >= found.ends_at
    failed = status is CloudJobStatus.FAIL
    entities = {
        "bks_create_volume_name": f"autobk_volume_{found.id[:12]}",
        "volume_id": found.volume_id,
    }
    if found.backup.seen(call.now):
        entities["backup_id"] = found.backup.id
    if status is not CloudJobStatus.INIT:
        entities["snapshot_id"] = found.backup.snapshot_id or ""
    content: dict[str, Any] = {
        "status": status.value,
        "entities": entities,
        "job_id": found.id,
        "job_type": found.kind,
        "begin_time": zulu_time(call.shown(found.begins_at)),
        "end_time": zulu_time(call.shown(found.ends_at)) if over else None,
        "error_code": found.code if failed else None,
        "fail_reason": MEANINGS.get(found.code or "", "The job failed.") if failed else None,
        "sub_jobs": [],
    }
    return json_reply(200, content)


def quota(call: Call) -> SimReply:
    """`GET /v2/{project}/cloudbackups/quota`."""
    backups, gigabytes = call.project.used(call.now)
    allowed = call.scenario.quota
    resources = [
        {"type": "backups", "used": backups, "reserved": 0, "quota": allowed.backups},
        {"type": "backup_gigabytes", "used": gigabytes, "reserved": 0, "quota": allowed.gigabytes},
    ]
    return json_reply(200, {"quotas": {"resources": resources}})


def restore(call: Call) -> SimReply:
    """`POST /v2/{project}/cloudbackups/{backup_id}/restore`."""
    wanted = call.content.get("restore") if isinstance(call.content, dict) else None
    volume_id = read_id(wanted.get("volume_id")) if isinstance(wanted, dict) else None
    if volume_id is None:
        return refuse("VolumeBackup.0002")
    backup = call.project.backups.get(read_id(call.target) or "")
    volume = call.project.volumes.get(volume_id)
    if volume is None or backup is None or not backup.seen(call.now):
        return refuse("VolumeBackup.0111", 404)
    if backup.status(call.now) != "available":
        return refuse("VolumeBackup.0089")
    if call.project.being_made(volume.id, call.now):
        return refuse("VolumeBackup.0206")
    if call.project.volume_status(volume, call.now) != "available":
        return refuse("VolumeBackup.0012")
    code = begin_restore(call, backup, volume)
    until = backup.restoring_until
    made = begin_job(call, "bksRestoreBackup", backup, volume.id, until, code)
    return json_reply(200, {"job_id": made.id})


SERVICE = SimService(
    name=Services.VBS,
    place="",
    routes={
        ("POST", "cloudbackups"): Route(Kind.CREATE, create, ("v2",), changes=True),
        ("GET", "cloudbackups/quota"): Route(Kind.QUOTA, quota, ("v2",)),
        ("POST", "cloudbackups/*/restore"): Route(Kind.RESTORE, restore, ("v2",), changes=True),
        ("GET", "jobs/*"): Route(Kind.JOB, job, ("v1",)),
    },
    catalog=(("vbs", "vbs", "/v2/{project}"),),
    gateway=True,
    with_block_storage=True,
    error=vbs_error,
    meanings=MEANINGS,
    not_allowed=lambda: refuse("VolumeBackup.0042", 403),
    other_project=lambda: refuse("VolumeBackup.0042", 403),
    demo_failure="VolumeBackup.0064",
    demo_outage="status: 503, code: VolumeBackup.0900",
    demo_refusal="status: 400, code: VolumeBackup.0040",
)
