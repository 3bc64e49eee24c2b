"""The vaults of the simulated CBR: which disks are in them, their room, and associating disks."""

from __future__ import annotations

import math
import random
from datetime import datetime
from typing import Any

from vbsbatch.simulator.call import Call
from vbsbatch.simulator.native_backups import cut_page
from vbsbatch.simulator.project_state import Project, SimVault, SimVolume, new_id, read_id
from vbsbatch.simulator.scenario import VaultScript
from vbsbatch.simulator.wire import SimReply, cinder_time, json_reply

MEANINGS = {
    "BackupService.0001": "No resource can be backed up.",
    "BackupService.0002": "The resources are being backed up.",
    "BackupService.2005": "The status of the backup does not allow a restore.",
    "BackupService.2010": "The resource is being restored.",
    "BackupService.2011": "The status of the disk does not allow a restore.",
    "BackupService.6100": "The vault has reached the limit of 256 resources.",
    "BackupService.6103": "The resource belongs to another vault.",
    "BackupService.6105": "The vault does not exist.",
    "BackupService.6112": "The status of the vault does not allow the operation.",
    "BackupService.6113": "The status of the vault does not allow backups.",
    "BackupService.6114": "The space of the vault is used up.",
    "BackupService.6125": "A backup task is in progress.",
    "BackupService.6135": "The resource is not in the vault.",
    "BackupService.6200": "The backup does not exist.",
    "BackupService.6201": "The backup cannot be deleted.",
    "BackupService.6202": "The vault must be available for a restore.",
    "BackupService.6203": "A backup is being made of the resource.",
    "BackupService.6217": "The checkpoint does not exist.",
    "BackupService.6220": "Backups of a locked vault cannot be deleted.",
    "BackupService.6500": "The operation log does not exist.",
    "BackupService.7000": "The disk does not exist.",
    "BackupService.7003": "The status of the disk does not allow a backup.",
    "BackupService.7004": "The disk cannot be backed up.",
    "BackupService.7202": "The snapshot could not be read.",
    "BackupService.9900": "A parameter is wrong.",
    "BackupService.9910": "Unknown error.",
}

MOST = 256
"""Disks of a vault, of a checkpoint, and of one call to associate."""

VOLUME = "OS::Cinder::Volume"
_MB = 1024


def cbr_error(status: int, code: str, message: str) -> SimReply:
    """The envelope of CBR: `{"error_code", "error_msg"}`."""
    return json_reply(status, {"error_code": code, "error_msg": message})


def refuse(code: str, status: int = 400) -> SimReply:
    """A documented refusal."""
    return cbr_error(status, code, MEANINGS.get(code, "The request is refused."))


def vaults(call: Call) -> dict[str, SimVault]:
    """The project's vaults by id."""
    return vaults_of(call.project, call.scenario.vaults)


def vaults_of(project: Project, script: VaultScript) -> dict[str, SimVault]:
    """The vaults of a project by id; at the first call they are filled as the scenario says."""
    if project.vaults is None:
        names = random.Random(f"vaults {project.id}")
        volumes = list(project.volumes.values())
        volumes = volumes[: len(volumes) - script.loose]
        many = script.number or max(math.ceil(len(volumes) / MOST), 1)
        made = [
            SimVault(id=new_id(names), name=f"vault-{number}", size=script.size)
            for number in range(1, many + 1)
        ]
        for place, volume in enumerate(volumes):
            made[place % many].volumes[volume.id] = volume
        project.vaults = {vault.id: vault for vault in made}
    return project.vaults


def list_vaults(call: Call) -> SimReply:
    """`GET /v3/{project}/vaults`: filters `name`, `id`, `object_type`, `resource_ids`."""
    query = call.request.query
    wanted = set(filter(None, query.get("resource_ids", "").split(",")))
    matching = [
        vault
        for vault in vaults(call).values()
        if query.get("name", vault.name) == vault.name
        and query.get("id", vault.id) == vault.id
        and query.get("object_type", "disk") == "disk"
        and (not wanted or wanted & vault.volumes.keys())
    ]
    page = cut_page(call, iter(matching), lambda vault: vault.id)
    if isinstance(page, SimReply):
        return refuse("BackupService.9900")
    content = {"vaults": [_described(call, each) for each in page], "count": len(matching)}
    return json_reply(200, content)


def show_vault(call: Call) -> SimReply:
    """`GET /v3/{project}/vaults/{id}`."""
    vault = vaults(call).get(call.target)
    if vault is None:
        return refuse("BackupService.6105", 404)
    return json_reply(200, {"vault": _described(call, vault)})


def associate(call: Call) -> SimReply:
    """`POST /v3/{project}/vaults/{id}/addresources`: 200 with the ids that were added."""
    vault = vaults(call).get(call.target)
    wanted = call.content.get("resources") if isinstance(call.content, dict) else None
    if vault is None:
        return refuse("BackupService.6105", 404)
    if not isinstance(wanted, list) or not 1 <= len(wanted) <= MOST:
        return refuse("BackupService.9900")
    ids = [read_id(each.get("id")) if isinstance(each, dict) else None for each in wanted]
    if any(each is None or each not in call.project.volumes for each in ids):
        return refuse("BackupService.7000", 404)
    taken = {each for other in vaults(call).values() for each in other.volumes}
    new = [each for each in ids if each is not None and each not in taken]
    if len(new) < len(ids) and not call.scenario.vaults.associates_rest:
        return refuse("BackupService.6103")
    if len(vault.volumes) + len(new) > MOST:
        return refuse("BackupService.6100")
    size = sum(call.project.volumes[each].size for each in new)
    if allocated(vault) + size > vault.size and not call.scenario.vaults.auto_expand:
        return refuse("BackupService.6114")
    for each in new:
        vault.volumes[each] = call.project.volumes[each]
    return json_reply(200, {"add_resource_ids": new})


def allocated(vault: SimVault) -> int:
    """The sum of the sizes of its disks in GB."""
    return sum(volume.size for volume in vault.volumes.values())


def resource(call: Call, volume: SimVolume, status: str) -> dict[str, Any]:
    """A disk as vaults and checkpoints show it."""
    as_text = call.scenario.vaults.as_text
    kept = call.project.kept(volume.id, call.now)

    def number(value: int) -> int | str:
        return str(value) if as_text else value

    return {
        "id": volume.id,
        "type": VOLUME,
        "name": volume.name,
        "extra_info": "{}" if as_text else {},
        "resource_size": number(volume.size),
        "size": number(volume.size),
        "backup_size": number(len(kept) * volume.size * _MB),
        "backup_count": number(len(kept)),
        "protect_status": status,
    }


def _described(call: Call, vault: SimVault) -> dict[str, Any]:
    script = call.scenario.vaults
    used = sum(
        len(call.project.kept(volume.id, call.now)) * volume.size * _MB
        for volume in vault.volumes.values()
    )
    return {
        "id": vault.id,
        "name": vault.name,
        "description": "",
        "provider_id": "d1603440-187d-4516-af25-121250c7cc97",
        "project_id": call.project.id,
        "created_at": time_text(call, call.start),
        "auto_bind": False,
        "auto_expand": script.auto_expand,
        "bind_rules": {"tags": []},
        "tags": [],
        "resources": [
            resource(call, volume, _protect_status(call, volume))
            for volume in vault.volumes.values()
        ],
        "billing": {
            "allocated": allocated(vault),
            "charging_mode": "post_paid",
            "cloud_type": "public",
            "consistent_level": "crash_consistent",
            "object_type": "disk",
            "protect_type": "backup",
            "size": vault.size,
            "spec_code": "vault.backup.volume.normal",
            "status": script.status,
            "storage_unit": None,
            "used": used,
        },
    }


def _protect_status(call: Call, volume: SimVolume) -> str:
    if call.project.being_made(volume.id, call.now):
        return "protecting"
    return "restoring" if call.now < volume.restoring_until else "available"


def time_text(call: Call, at: float) -> str:
    """A time of the true clock as this service writes it, by its own."""
    return cinder_time(call.shown(at)) + ("+00:00" if call.scenario.vaults.zone else "")


def read_time(value: str | None) -> float | None:
    """The epoch seconds of a time in a query (`2018-02-01T12:00:00Z`); None without one."""
    if value is None:
        return None
    try:
        return datetime.fromisoformat(value).timestamp()
    except ValueError:
        return None
