"""Clients that others wrote list what our store says of a run on CBR, and drive the simulator."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.simulator.harness import Running, StartSimulator

FAULTS = """
services: cbr
backups: {duration: 0s, visible_after: 0s, delete: 0s}
vaults: {number: 2, restore_job: true, as_text: true, zone: true}
"""
HUAWEI = """
import json, os
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcbr import v1 as cbr
keys = BasicCredentials(os.environ["AK"], os.environ["SK"], os.environ["PROJECT"])
client = cbr.CbrClient.new_builder().with_credentials(keys).with_endpoint(os.environ["URL"]).build()
vaults = client.list_vault(cbr.ListVaultRequest()).vaults
backups = client.list_backups(cbr.ListBackupsRequest(limit=100)).backups
vault = vaults[0]
disks = [disk.id for disk in vault.resources]
wanted = cbr.VaultBackup(
    parameters=cbr.CheckpointParam(name="by-huawei", resources=disks), vault_id=vault.id
)
request = cbr.CreateCheckpointRequest(body=cbr.VaultBackupReq(checkpoint=wanted))
checkpoint = client.create_checkpoint(request).checkpoint
found = cbr.ListBackupsRequest(checkpoint_id=checkpoint.id)
made = client.list_backups(found).backups
one = made[0]
restore = cbr.BackupRestore(volume_id=one.resource_id)
body = cbr.BackupRestoreReq(restore=restore)
client.restore_backup(cbr.RestoreBackupRequest(backup_id=one.id, body=body))
logs = client.list_op_logs(cbr.ListOpLogsRequest(operation_type="restore")).operation_logs
client.delete_backup(cbr.DeleteBackupRequest(backup_id=one.id))
left = client.list_backups(found).backups
print(json.dumps({
    "vaults": sorted(each.name for each in vaults),
    "backups": sorted((each.id, each.resource_id) for each in backups),
    "taken": sorted(each.id for each in checkpoint.vault.resources) == sorted(disks),
    "made": sorted(each.resource_id for each in made) == sorted(disks),
    "names": sorted(each.name for each in made),
    "restored": [each.status for each in logs],
    "left": len(made) - len(left),
}))
"""


@dataclass
class Ground:
    """A simulator on which a run of vbsbatch has ended, and what the store says of it."""

    running: Running
    folder: Path
    environment: dict[str, str]
    backups: list[tuple[str, str]]
    """Id and disk of each backup."""

    def ended(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            words,
            env={**self.environment, **more},
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def openstack(self, *words: str) -> Any:
        """What `openstack … -f json` prints."""
        tool = Path(sys.executable).with_name("openstack")
        done = self.ended(os.fspath(tool), *words)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if "json" in words else done.stdout


@pytest.fixture
def ground(start_simulator: StartSimulator, tmp_path: Path) -> Ground:
    running = start_simulator(FAULTS, "--volumes", "6")
    httpx.post(f"{running.url}/_sim/detach", trust_env=False)
    listed = httpx.get(f"{running.url}/_sim/volumes", trust_env=False).json()
    (tmp_path / "fleet.json").write_text(json.dumps(listed))
    plan = "name: t\ncloud: simulator\nvolumes_from: fleet.json\nretry: {settle: 1s}\n"
    (tmp_path / "plan.yaml").write_text(plan)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": os.fspath(tmp_path),
        "OS_CLIENT_CONFIG_FILE": os.fspath(running.clouds_file),
        "OS_CLOUD": "simulator",
        "NO_PROXY": "*",
    }
    made = Ground(running, tmp_path, environment, [])
    vbsbatch = (sys.executable, "-m", "vbsbatch")
    run = made.ended(*vbsbatch, "run", "plan.yaml", "--progress", "quiet", "--db", "x.db")
    assert run.returncode == 0, run.stderr
    jobs = json.loads(made.ended(*vbsbatch, "jobs", "--json", "--db", "x.db").stdout)["jobs"]
    made.backups = sorted((job["backup_id"], job["volume_id"]) for job in jobs)
    return made


def test_the_commands_of_open_telekom_cloud_list_what_the_store_says(ground: Ground) -> None:
    pytest.importorskip("otcextensions")
    vaults = ground.openstack("cbr", "vault", "list", "-f", "json")
    assert sorted(vault["name"] for vault in vaults) == ["vault-1", "vault-2"]
    listed = ground.openstack("cbr", "backup", "list", "-f", "json")
    assert sorted(backup["id"] for backup in listed) == [each for each, _ in ground.backups]
    backup_id, disk = ground.backups[0]
    shown = ground.openstack("cbr", "backup", "show", backup_id, "-f", "json")
    assert shown["resource_id"] == disk
    tasks = ground.openstack("cbr", "task", "list", "-f", "json")
    assert len(tasks) == len(ground.backups)


def test_the_commands_of_open_telekom_cloud_drive_a_checkpoint_a_restore_and_a_deletion(
    ground: Ground,
) -> None:
    pytest.importorskip("otcextensions")
    vault = ground.openstack("cbr", "vault", "list", "-f", "json")[0]
    disk = vault["resource_id_1"]
    options = ("--vault-id", vault["ID"], "--resources", disk, "--backup-name", "by-otc")
    made = ground.openstack("cbr", "checkpoint", "create", *options, "-f", "json")
    assert (made["status"], made["vault_id"]) == ("protecting", vault["ID"])
    known = {each for each, _ in ground.backups}
    listed = ground.openstack("cbr", "backup", "list", "-f", "json")
    (new,) = [backup for backup in listed if backup["id"] not in known]
    assert new["name"] == "by-otc"
    ground.openstack("cbr", "backup", "restore", new["id"], "--volume-id", disk)
    ground.openstack("cbr", "backup", "delete", new["id"])
    left = ground.openstack("cbr", "backup", "list", "-f", "json")
    assert {backup["id"] for backup in left} == known


def test_the_sdk_of_huawei_lists_what_the_store_says_and_drives_the_rest(ground: Ground) -> None:
    pytest.importorskip("huaweicloudsdkcbr")
    entry = yaml.safe_load(ground.running.clouds_file.read_text())["clouds"]["simulator-aksk"]
    project = ground.openstack("project", "show", "simulator", "-f", "json")["id"]
    keys = {"AK": entry["auth"]["ak"], "SK": entry["auth"]["sk"], "PROJECT": project}
    done = ground.ended(sys.executable, "-c", HUAWEI, URL=ground.running.url, **keys)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found == {
        "vaults": ["vault-1", "vault-2"],
        "backups": [list(each) for each in ground.backups],
        "taken": True,
        "made": True,
        "names": ["by-huawei-0001", "by-huawei-0002", "by-huawei-0003"],
        "restored": ["success"],
        "left": 1,
    }
