"""Cloud Backup and Recovery: checkpoints of many disks, their backups, operation logs, restores.

Where the public reference leaves something open, `VaultScript` says what this one does.
"""

from __future__ import annotations

import json
import re
from typing import Any

from vbsbatch.simulator.call import Call, begin_backup, begin_job, begin_restore, over_quota
from vbsbatch.simulator.project_state import SimBackup, SimVault, SimVolume, new_id, read_id
from vbsbatch.simulator.scenario import Busy, Do, Kind, Services
from vbsbatch.simulator.service import Named, Route, SimService
from vbsbatch.simulator.services.cbr_logs import cut, in_time, list_logs, show_log
from vbsbatch.simulator.services.cbr_vaults import (
    MEANINGS,
    MOST,
    VOLUME,
    associate,
    cbr_error,
    list_vaults,
    refuse,
    resource,
    show_vault,
    time_text,
    vaults,
)
from vbsbatch.simulator.wire import SimReply, json_reply

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_STATUSES = {"creating": "protecting"}
"""Words of block storage's statuses that are others here."""


def named(content: object) -> Named:
    """The disks that the body of a checkpoint names, and its name."""
    checkpoint = content.get("checkpoint") if isinstance(content, dict) else None
    parameters = checkpoint.get("parameters") if isinstance(checkpoint, dict) else None
    parameters = parameters if isinstance(parameters, dict) else {}
    ids = parameters.get("resources")
    if not isinstance(ids, list):
        details = parameters.get("resource_details")
        ids = [each.get("id") for each in details] if isinstance(details, list) else []
    name = parameters.get("name")
    known = tuple(read_id(each) or each for each in ids if isinstance(each, str))
    return known, name if isinstance(name, str) else None


# Checkpoints


def create(call: Call) -> SimReply:
    """`POST /v3/{project}/checkpoints`: 200 with the disks that were taken, and those skipped."""
    wanted = call.content.get("checkpoint") if isinstance(call.content, dict) else None
    if not isinstance(wanted, dict) or read_id(wanted.get("vault_id")) is None:
        return refuse("BackupService.9900")
    parameters = wanted.get("parameters") or {}
    if not _good_parameters(parameters):
        return refuse("BackupService.9900")
    vault = vaults(call).get(read_id(wanted["vault_id"]) or "")
    if vault is None:
        return refuse("BackupService.6105", 404)
    ids = list(dict.fromkeys(named(call.content)[0])) or list(vault.volumes)
    refusal = _check_vault(call, vault)
    if refusal:
        return refusal
    skipped = {each: code for each in ids if (code := _why_not(call, vault, each))}
    if len(skipped) == len(ids) and call.scenario.vaults.refuses_all:
        return refuse("BackupService.0001")
    return _commit(call, vault, parameters, ids, skipped)


def _good_parameters(parameters: object) -> bool:
    if not isinstance(parameters, dict):
        return False
    name, description = parameters.get("name"), parameters.get("description")
    ids = parameters.get("resources", [])
    return (
        (name is None or (isinstance(name, str) and bool(_NAME.match(name))))
        and (description is None or (isinstance(description, str) and len(description) <= 255))
        and not set("<>") & set(description or "")
        and isinstance(ids, list)
        and len(ids) <= MOST
        and all(read_id(each) for each in ids)
    )


def _check_vault(call: Call, vault: SimVault) -> SimReply | None:
    script = call.scenario.vaults
    if script.status not in ("available", "lock"):
        return refuse("BackupService.6113")
    if script.busy is Busy.VAULT and any(
        call.project.being_made(each, call.now) for each in vault.volumes
    ):
        return refuse(script.busy_code, script.busy_status)
    if any(over_quota(call, volume) for volume in vault.volumes.values()):
        return refuse("BackupService.6114")
    return None


def _why_not(call: Call, vault: SimVault, volume_id: str) -> str | None:
    """The code with which a disk is skipped; None for one that is backed up."""
    volume, fault = call.project.volumes.get(volume_id), call.fault
    if volume is None:
        return "BackupService.7000"
    if fault is not None and fault.do is Do.STATUS and volume_id in (fault.volumes or ()):
        return fault.code
    if volume_id not in vault.volumes:
        return "BackupService.6135"
    if call.project.volume_status(volume, call.now) not in ("available", "in-use"):
        return "BackupService.7003"
    busy = call.project.being_made(volume_id, call.now)
    guarded = call.scenario.vaults.busy is not Busy.NOTHING
    return call.scenario.vaults.busy_code if busy is not None and guarded else None


def _commit(
    call: Call,
    vault: SimVault,
    parameters: dict[str, Any],
    ids: list[str],
    skipped: dict[str, str],
) -> SimReply:
    script, checkpoint_id = call.scenario.vaults, new_id(call.rng)
    name = parameters.get("name") or f"manualbk_{checkpoint_id[:4]}"
    taken = [call.project.volumes[each] for each in ids if each not in skipped]
    told = []
    for number, volume in enumerate(taken, 1):
        ending = f"{script.suffix}{number:04d}" if len(taken) > 1 else ""
        _begin(call, vault, volume, checkpoint_id, name + ending, parameters)
        if not script.silent or call.rng.random() >= script.silent:
            told.append(resource(call, volume, "available"))
    extra = {
        "name": name,
        "description": parameters.get("description") or "",
        "retention_duration": -1,
    }
    refused = [_skip(call, volume_id, code) for volume_id, code in skipped.items()]
    return json_reply(
        200,
        {
            "checkpoint": {
                "id": checkpoint_id,
                "project_id": call.project.id,
                "status": "protecting",
                "created_at": time_text(call, call.now),
                "vault": {
                    "id": vault.id,
                    "name": vault.name,
                    "resources": told,
                    "skipped_resources": refused,
                },
                "extra_info": json.dumps(extra) if script.as_text else extra,
            }
        },
    )


def _begin(
    call: Call,
    vault: SimVault,
    volume: SimVolume,
    checkpoint_id: str,
    name: str,
    parameters: dict[str, Any],
) -> None:
    parent = call.project.parent(volume.id, call.now)
    backup = begin_backup(
        call,
        volume,
        name=name,
        native=False,
        description=parameters.get("description"),
        incremental=parent is not None and parameters.get("incremental") is not False,
    )
    backup.checkpoint_id, backup.vault_id = checkpoint_id, vault.id
    task = begin_job(call, "backup", backup, volume.id, backup.ends_at, backup.code)
    task.shows_at = call.now + call.draw(call.scenario.vaults.logs_after)
    backup.job_id = task.id


def _skip(call: Call, volume_id: str, code: str) -> dict[str, Any]:
    volume = call.project.volumes.get(volume_id)
    return {
        "id": volume_id,
        "type": VOLUME,
        "name": volume.name if volume else None,
        "code": code,
        "reason": MEANINGS.get(code, "The resource is skipped."),
    }


def show_checkpoint(call: Call) -> SimReply:
    """`GET /v3/{project}/checkpoints/{id}`; its vault is null once it is done."""
    backups = [each for each in call.project.order if each.checkpoint_id == call.target]
    if not backups:
        return refuse("BackupService.6217", 404)
    working = any(call.now < backup.ends_at for backup in backups)
    failed = any(backup.status(call.now) == "error" for backup in backups)
    content = {
        "id": call.target,
        "project_id": call.project.id,
        "status": "protecting" if working else "error" if failed else "available",
        "created_at": time_text(call, backups[0].created_at),
        "vault": None,
        "extra_info": None,
    }
    return json_reply(200, {"checkpoint": content})


# Backups


def list_backups(call: Call) -> SimReply:
    """`GET /v3/{project}/backups`: filters, `limit`, `offset`, `marker`, `sort`; newest first."""
    matching = [backup for backup in call.project.order if _matches(call, backup)]
    if not call.request.query.get("sort", "").endswith(":asc"):
        matching.reverse()
    return cut(call, "backups", matching, lambda backup: backup.id, _rendered)


def _matches(call: Call, backup: SimBackup) -> bool:
    if not backup.seen(call.now):
        return False
    query, shown = call.request.query, call.shown(backup.created_at)
    exact = {
        "checkpoint_id": backup.checkpoint_id,
        "vault_id": backup.vault_id,
        "resource_id": backup.volume.id,
        "resource_name": backup.volume.name,
        "name": backup.name,
        "status": _status(call, backup),
    }
    return all(query[key] == value for key, value in exact.items() if key in query) and in_time(
        call, shown
    )


def _status(call: Call, backup: SimBackup) -> str | None:
    status = backup.status(call.now)
    if status == "restoring" and call.scenario.vaults.hides_restores:
        return "available"
    return _STATUSES.get(status or "", status)


def _updated_at(call: Call, backup: SimBackup) -> float:
    hidden = call.scenario.vaults.hides_restores
    return (
        min(backup.updated_at(call.now), backup.ends_at) if hidden else backup.updated_at(call.now)
    )


def _rendered(call: Call, backup: SimBackup) -> bytes:
    status, progress = _status(call, backup), backup.progress(call.now)
    changed = _updated_at(call, backup)
    key = ("cbr", status, progress, changed, call.scenario.clock_ahead)
    if backup.rendered[0] != key:
        backup.rendered = (key, json.dumps(_described(call, backup)).encode())
    return backup.rendered[1]


def _described(call: Call, backup: SimBackup) -> dict[str, Any]:
    status, script = _status(call, backup), call.scenario.vaults
    telling = script.progress and status == "protecting"
    size: int | str = str(backup.volume.size) if script.as_text else backup.volume.size
    return {
        "id": backup.id,
        "name": backup.name,
        "checkpoint_id": backup.checkpoint_id,
        "vault_id": backup.vault_id,
        "resource_id": backup.volume.id,
        "resource_type": VOLUME,
        "resource_name": backup.volume.name,
        "resource_size": size,
        "resource_az": backup.volume.zone,
        "status": status,
        "image_type": "backup",
        "created_at": time_text(call, backup.created_at),
        "protected_at": time_text(call, backup.created_at),
        "updated_at": time_text(call, _updated_at(call, backup)),
        "expired_at": None,
        "parent_id": backup.parent_id,
        "project_id": call.project.id,
        "provider_id": "d1603440-187d-4516-af25-121250c7cc97",
        "description": backup.description,
        "children": [],
        "incremental": backup.incremental,
        "replication_records": [],
        "extend_info": {
            "auto_trigger": False,
            "bootable": backup.volume.bootable,
            "incremental": backup.incremental,
            "progress": backup.progress(call.now) if telling else None,
            "snapshot_id": "",
            "support_lld": True,
            "supported_restore_mode": "backup",
        },
    }


def _find(call: Call) -> SimBackup | None:
    backup = call.project.backups.get(read_id(call.target) or "")
    return backup if backup is not None and backup.seen(call.now) else None


def show(call: Call) -> SimReply:
    """`GET /v3/{project}/backups/{id}`."""
    backup = _find(call)
    if backup is None:
        return refuse("BackupService.6200", 404)
    return SimReply(200, b'{"backup": ' + _rendered(call, backup) + b"}")


def delete(call: Call) -> SimReply:
    """`DELETE /v3/{project}/backups/{id}`: 204, and gone a little later."""
    backup = _find(call)
    if backup is None:
        return refuse("BackupService.6200", 404)
    if call.scenario.vaults.policy_locked:
        return refuse("BackupService.6220")
    if backup.status(call.now) not in ("available", "error"):
        return refuse("BackupService.6201")
    backup.deleting_at = call.now
    backup.gone_at = call.now + call.draw(call.scenario.backups.delete)
    call.backup = backup
    begin_job(call, "delete", backup, backup.volume.id, backup.gone_at)
    return SimReply(204)


def restore(call: Call) -> SimReply:
    """`POST /v3/{project}/backups/{id}/restore`: 202, onto the backup's own disk."""
    backup = _find(call)
    wanted = call.content.get("restore") if isinstance(call.content, dict) else None
    volume_id = read_id(wanted.get("volume_id")) if isinstance(wanted, dict) else None
    if backup is None:
        return refuse("BackupService.6200", 404)
    if volume_id != backup.volume.id:
        return refuse("BackupService.9900")
    if backup.status(call.now) != "available":
        return refuse("BackupService.2005")
    if call.now < backup.volume.restoring_until:
        return refuse("BackupService.2010")
    if call.project.volume_status(backup.volume, call.now) != "available":
        return refuse("BackupService.2011")
    if not call.scenario.vaults.restores_at_once and _restoring(call, backup):
        return refuse("BackupService.6202")
    code = begin_restore(call, backup, backup.volume)
    task = begin_job(call, "restore", backup, volume_id, backup.restoring_until, code)
    task.shows_at = call.now + call.draw(call.scenario.vaults.logs_after)
    return (
        json_reply(202, {"job_id": task.id}) if call.scenario.vaults.restore_job else SimReply(202)
    )


def _restoring(call: Call, backup: SimBackup) -> bool:
    """Whether a disk of the backup's vault is being restored."""
    vault = vaults(call).get(backup.vault_id or "")
    volumes = vault.volumes.values() if vault else ()
    return any(call.now < volume.restoring_until for volume in volumes)


SERVICE = SimService(
    name=Services.CBR,
    place="cbr",
    routes={
        ("POST", "checkpoints"): Route(Kind.CREATE, create, ("v3",), changes=True),
        ("GET", "checkpoints/*"): Route(Kind.JOB, show_checkpoint, ("v3",)),
        ("GET", "backups"): Route(Kind.LIST, list_backups, ("v3",)),
        ("GET", "backups/*"): Route(Kind.BACKUP, show, ("v3",)),
        ("DELETE", "backups/*"): Route(Kind.DELETE, delete, ("v3",), changes=True),
        ("POST", "backups/*/restore"): Route(Kind.RESTORE, restore, ("v3",), changes=True),
        ("GET", "operation-logs"): Route(Kind.JOB, list_logs, ("v3",)),
        ("GET", "operation-logs/*"): Route(Kind.JOB, show_log, ("v3",)),
        ("GET", "vaults"): Route(Kind.VAULTS, list_vaults, ("v3",)),
        ("GET", "vaults/*"): Route(Kind.VAULTS, show_vault, ("v3",)),
        ("POST", "vaults/*/addresources"): Route(Kind.ASSOCIATE, associate, ("v3",), changes=True),
    },
    catalog=(("cbr", "cbr", "/cbr/v3/{project}"),),
    gateway=True,
    error=cbr_error,
    meanings=MEANINGS,
    not_allowed=lambda: cbr_error(403, "APIGW.0302", "The user may not call this API."),
    other_project=lambda: json_reply(
        401, {"unauthorized": {"code": "401", "message": "Malformed request url"}}
    ),
    named=named,
    demo_failure="BackupService.7202",
    skips=True,
    demo_outage="status: 503, code: BackupService.9910",
    demo_refusal="status: 400, code: BackupService.7004",
)
