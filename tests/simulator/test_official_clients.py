"""The official OpenStack clients take the simulator for a cloud, with the file that it prints."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.simulator.desk import Running, StartSimulator

# What the SDK warns itself of is no fault of ours.
pytestmark = pytest.mark.filterwarnings("ignore:::openstack")

FAULTS = "{services: both, backups: {duration: 0s, visible_after: 0s, delete: 0s}}"


@pytest.fixture
def running(start_simulator: StartSimulator) -> Running:
    return start_simulator(FAULTS, "--volumes", "30")


@pytest.fixture
def sdk(running: Running, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    openstack = pytest.importorskip("openstack")
    for name in [name for name in os.environ if name.startswith("OS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", os.fspath(running.clouds_file))
    connection = openstack.connect(cloud="simulator")
    yield connection
    connection.close()


def command(running: Running, *arguments: str) -> Any:
    """What `openstack … -f json` prints."""
    tool = Path(sys.executable).with_name("openstack")
    if not tool.exists():
        pytest.skip("python-openstackclient is not installed")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": os.fspath(running.clouds_file.parent),
        "OS_CLIENT_CONFIG_FILE": os.fspath(running.clouds_file),
        "OS_CLOUD": "simulator",
    }
    ended = subprocess.run(
        [os.fspath(tool), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout) if "json" in arguments else ended.stdout


def test_the_sdk_lists_volumes_page_by_page(sdk: Any) -> None:
    volumes = list(sdk.block_storage.volumes(limit=7))
    assert len({volume.id for volume in volumes}) == 30
    assert {volume.status for volume in volumes} == {"available", "in-use"}
    found = sdk.block_storage.find_volume(volumes[3].name)
    assert (found.id, found.size) == (volumes[3].id, volumes[3].size)


def test_the_sdk_lists_the_servers_that_volumes_are_attached_to(sdk: Any) -> None:
    names = {server.id: server.name for server in sdk.compute.servers(details=False, limit=3)}
    attached = [volume for volume in sdk.block_storage.volumes() if volume.attachments]
    assert attached
    for volume in attached:
        (attachment,) = volume.attachments
        assert volume.name.startswith(names[attachment["server_id"]])
        assert volume.metadata["trade"] in volume.name


def test_the_sdk_makes_lists_gets_and_deletes_backups(sdk: Any) -> None:
    volumes = list(sdk.block_storage.volumes())[:5]
    for number, volume in enumerate(volumes):
        sdk.block_storage.create_backup(volume_id=volume.id, name=f"b{number}", force=True)
    backups = list(sdk.block_storage.backups(details=True, limit=2))
    assert [backup.name for backup in backups] == ["b4", "b3", "b2", "b1", "b0"]
    one = sdk.block_storage.get_backup(backups[0].id)
    assert (one.status, one.volume_id) == ("available", volumes[4].id)
    sdk.block_storage.delete_backup(one, ignore_missing=False)
    assert sdk.block_storage.find_backup(one.id) is None


def test_the_sdk_finds_vbs_in_the_catalog_and_can_call_it(sdk: Any) -> None:
    volume = next(iter(sdk.block_storage.volumes()))
    root = sdk.session.get_endpoint(service_type="vbs", interface="public", region_name="sim-1")
    wanted = {"backup": {"volume_id": volume.id, "name": "by-vbs"}}
    job_id = sdk.session.post(f"{root}/cloudbackups", json=wanted).json()["job_id"]
    job = sdk.session.get(f"{root.replace('/v2/', '/v1/')}/jobs/{job_id}").json()
    assert job["status"] == "SUCCESS"
    backup = sdk.block_storage.get_backup(job["entities"]["backup_id"])
    assert (backup.name, backup.volume_id) == ("by-vbs", volume.id)


def test_the_sdk_gets_a_new_token_when_its_own_was_revoked(sdk: Any, running: Running) -> None:
    assert len(list(sdk.block_storage.volumes())) == 30
    assert sdk.session.post(f"{running.url}/_sim/revoke").status_code == 204
    assert len(list(sdk.block_storage.volumes())) == 30


def test_the_command_lists_and_shows_volumes(running: Running) -> None:
    volumes = command(running, "volume", "list", "-f", "json")
    assert len(volumes) == 30
    assert set(volumes[0]) == {"ID", "Name", "Status", "Size", "Attached to"}
    shown = command(running, "volume", "show", volumes[0]["Name"], "-f", "json")
    assert shown["id"] == volumes[0]["ID"]


def test_the_command_makes_lists_and_deletes_backups(running: Running) -> None:
    volume = command(running, "volume", "list", "-f", "json")[0]["Name"]
    options = ("--name", "nightly", "--force", volume, "-f", "json")
    made = command(running, "volume", "backup", "create", *options)
    listed = command(running, "volume", "backup", "list", "--long", "-f", "json")
    assert [(row["ID"], row["Name"], row["Status"]) for row in listed] == [
        (made["id"], "nightly", "available")
    ]
    command(running, "volume", "backup", "delete", "nightly")
    assert command(running, "volume", "backup", "list", "-f", "json") == []
