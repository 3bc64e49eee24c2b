"""The official OpenStack clients take the simulator for a cloud, with the file that it prints."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.simulator.harness import Running, StartSimulator

# What the SDK warns itself of is no fault of ours.
pytestmark = pytest.mark.filterwarnings("ignore:::openstack")

# Both change the SDK of the process they are in: each has one of its own.
OTC = """
import json, openstack, otcextensions.sdk
connection = openstack.connect(cloud="simulator")
otcextensions.sdk.load(connection)
from otcextensions.sdk.volume_backup.v2.job import Job
vbs, storage = connection.volume_backup, connection.block_storage
volume = next(iter(storage.volumes()))
wanted = {"backup": {"volume_id": volume.id, "name": "by-otc"}}
made = Job(**vbs.post("/cloudbackups", json=wanted).json())
root = vbs.get_endpoint().replace("/v2/", "/v1/")
job = Job(**connection.session.get(f"{root}/jobs/{made.id}").json())
backup = storage.get_backup(job.entities["backup_id"])
wanted["backup"]["name"] = "auto"
refused = vbs.post("/cloudbackups", json=wanted)
try:
    openstack.exceptions.raise_from_response(refused)
except openstack.exceptions.BadRequestException as error:
    said = error.details
print(json.dumps({
    "vbs": vbs.service_type, "job": [job.status, job.type], "said": said,
    "backup": [backup.name, backup.volume_id == volume.id],
}))
"""
HUAWEI = """
import json, os
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.client import Client, ClientBuilder
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
def ask(sk, method, path, body=None, query=()):
    keys = BasicCredentials(os.environ["AK"], sk, os.environ["PROJECT"])
    client = ClientBuilder(Client).with_credentials(keys).with_endpoint(os.environ["URL"]).build()
    headers = {"Content-Type": "application/json"}
    parts = (method, path, None, list(query), headers, body, None, None, None, None, None)
    request = client.build_future_request(*parts).result()
    return client.get_http_client().do_request_sync(request).json()
sk, volume = os.environ["SK"], os.environ["VOLUME"]
wanted = {"backup": {"volume_id": volume, "name": "by-huawei"}}
job_id = ask(sk, "POST", "/v2/{project_id}/cloudbackups", wanted)["job_id"]
job = ask(sk, "GET", f"/v1/{{project_id}}/jobs/{job_id}")
filters = [("volume_id", volume), ("limit", 10), ("name", "by-huawei")]
listed = ask(sk, "GET", "/v3/{project_id}/backups/detail", query=filters)["backups"]
try:
    ask("wrong", "GET", "/v2/{project_id}/cloudbackups/quota")
except ClientRequestException as error:
    refused = [error.status_code, error.error_code]
print(json.dumps({
    "job": job["status"], "backups": [backup["name"] for backup in listed], "refused": refused,
}))
"""

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


def ended(running: Running, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A program that has run with the simulator as its only cloud."""
    return subprocess.run(
        words,
        env={
            "PATH": os.environ["PATH"],
            "HOME": os.fspath(running.clouds_file.parent),
            "OS_CLIENT_CONFIG_FILE": os.fspath(running.clouds_file),
            "OS_CLOUD": "simulator",
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def openstack(running: Running, *arguments: str) -> subprocess.CompletedProcess[str]:
    tool = Path(sys.executable).with_name("openstack")
    if not tool.exists():
        pytest.skip("python-openstackclient is not installed")
    return ended(running, os.fspath(tool), *arguments)


def command(running: Running, *arguments: str) -> Any:
    """What `openstack … -f json` prints."""
    done = openstack(running, *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if "json" in arguments else done.stdout


def script(running: Running, source: str, **environment: str) -> Any:
    """What a Python program prints as JSON."""
    done = ended(running, sys.executable, "-c", source, **environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


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


def test_the_sdk_of_open_telekom_cloud_backs_up_by_its_own_vbs_service(running: Running) -> None:
    pytest.importorskip("otcextensions")
    assert script(running, OTC) == {
        "vbs": "vbs",
        "job": ["SUCCESS", "bksCreateBackup"],
        "backup": ["by-otc", True],
        "said": "The name starts with auto.",
    }


def test_the_vbs_commands_of_open_telekom_cloud_reach_the_service(running: Running) -> None:
    """They know policies only, which are not simulated: the gateway's own words come back."""
    pytest.importorskip("otcextensions")
    done = openstack(running, "vbs", "policy", "list")
    assert done.returncode == 1
    assert "APIG.0101" in done.stderr
    assert re.search(r"/v2/[0-9a-f]{32}/backuppolicy", done.stderr)


def test_the_sdk_of_huawei_backs_up_with_an_access_key(running: Running) -> None:
    pytest.importorskip("huaweicloudsdkcore")
    entry = yaml.safe_load(running.clouds_file.read_text())["clouds"]["simulator-aksk"]
    volume = httpx.get(f"{running.url}/_sim/volumes", trust_env=False).json()[0]["ID"]
    project = command(running, "project", "show", "simulator", "-f", "json")["id"]
    environment = {"AK": entry["auth"]["ak"], "SK": entry["auth"]["sk"], "URL": running.url}
    assert script(running, HUAWEI, VOLUME=volume, PROJECT=project, **environment) == {
        "job": "SUCCESS",
        "backups": ["by-huawei"],
        "refused": [401, "APIG.0301"],
    }
