"""The real server process: real resets, real hangs, a clean end, and the doors for tests."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.simulator.harness import Running, StartSimulator


@contextmanager
def signed_in(running: Running, timeout: float = 5.0) -> Iterator[tuple[httpx.Client, str]]:
    """A client with a token, and the id of its project."""
    user = {"name": "operator", "password": running.password}
    auth = {
        "identity": {"methods": ["password"], "password": {"user": user}},
        "scope": {"project": {"name": "simulator"}},
    }
    with httpx.Client(base_url=running.url, timeout=timeout, trust_env=False) as client:
        answer = client.post("/identity/v3/auth/tokens", json={"auth": auth})
        client.headers["X-Auth-Token"] = answer.headers["x-subject-token"]
        yield client, answer.json()["token"]["project"]["id"]


def create(client: httpx.Client, project: str, number: int = 0) -> httpx.Response:
    volume = client.get("/_sim/volumes").json()[number]["ID"]
    wanted = {"backup": {"volume_id": volume, "name": f"b{number}"}}
    return client.post(f"/v2/{project}/cloudbackups", json=wanted)


def test_a_backup_runs_its_course_over_http(start_simulator: StartSimulator) -> None:
    running = start_simulator("backups: {duration: 0s, visible_after: 0s}", "--volumes", "3")
    with signed_in(running) as (client, project):
        assert create(client, project).json()["job_id"]
        (backup,) = client.get(f"/v3/{project}/backups/detail").json()["backups"]
        assert backup["status"] == "available"
        assert client.get("/_sim/summary").json()["backed_up"] == 1
        rows = client.get("/_sim/ledger?what=create").json()["rows"]
        assert [row["outcome"] for row in rows] == ["accepted"]
        assert "date" in client.get("/identity/v3").headers


@pytest.mark.parametrize(
    ("do", "error", "committed"),
    [
        ("drop_before", httpx.ReadError, 0),
        ("drop_after", httpx.ReadError, 1),
        ("refuse", httpx.ReadError, 0),
        ("cut", httpx.RemoteProtocolError, 1),
        ("hang", httpx.ReadTimeout, 0),
        ("hang_after", httpx.ReadTimeout, 1),
    ],
)
def test_connections_really_break(
    start_simulator: StartSimulator, do: str, error: type[Exception], committed: int
) -> None:
    running = start_simulator(f"faults: [{{on: create, do: {do}}}]")
    with signed_in(running, timeout=0.3) as (client, project):
        with pytest.raises(error):
            create(client, project)
        assert client.get("/_sim/summary").json()["backed_up"] == committed


def test_a_drop_is_a_reset_and_not_a_close(start_simulator: StartSimulator) -> None:
    running = start_simulator("faults: [{on: token, do: drop_before}]")
    with socket.create_connection(address(running)) as connection:
        connection.sendall(
            b"POST /identity/v3/auth/tokens HTTP/1.1\r\nHost: s\r\nContent-Length: 2\r\n\r\n{}"
        )
        with pytest.raises(ConnectionResetError):
            connection.recv(100)


def test_faults_are_read_and_changed_while_it_runs(start_simulator: StartSimulator) -> None:
    running = start_simulator()
    with signed_in(running) as (client, project):
        assert client.get("/_sim/faults").json()["faults"] == []
        changed = client.put("/_sim/faults", content="faults: [{on: create, do: throttle}]")
        assert changed.json()["faults"][0]["do"] == "throttle"
        assert create(client, project).status_code == 429
        wrong = client.put("/_sim/faults", content="faults: [{on: create}]")
        assert (wrong.status_code, wrong.json()["problems"]) == (
            400,
            ["faults: faults.0.do: Field required"],
        )
        assert client.put("/_sim/faults", json={}).json()["faults"] == []
        assert create(client, project).status_code == 200


def test_tokens_are_revoked_on_demand(start_simulator: StartSimulator) -> None:
    with signed_in(start_simulator()) as (client, project):
        assert client.post("/_sim/revoke").status_code == 204
        assert create(client, project).status_code == 401


def test_the_clouds_file_is_complete_and_private(start_simulator: StartSimulator) -> None:
    running = start_simulator()
    assert stat.S_IMODE(running.clouds_file.stat().st_mode) == 0o600
    assert running.password in running.clouds_file.read_text()
    assert list(running.clouds_file.parent.glob(".clouds*")) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_at_once_even_with_hanging_clients(
    start_simulator: StartSimulator, number: signal.Signals
) -> None:
    faults = "faults: [{on: list, do: hang}, {on: quota, do: delay, delay: 60s}]"
    running = start_simulator(faults)
    left_open: list[socket.socket] = []
    with signed_in(running) as (client, project):
        head = f"HTTP/1.1\r\nHost: s\r\nX-Auth-Token: {client.headers['X-Auth-Token']}\r\n\r\n"
        for path in ("backups", "cloudbackups/quota"):
            connection = socket.create_connection(address(running))
            connection.sendall(f"GET /v2/{project}/{path} {head}".encode())
            wait_for_call(client, "list" if path == "backups" else "quota")
            left_open.append(connection)
        running.process.send_signal(number)
        assert running.process.wait(timeout=10) == 0
        for connection in left_open:
            connection.close()


def test_a_taken_port_is_one_clear_line(start_simulator: StartSimulator) -> None:
    port = str(address(start_simulator())[1])
    command = [sys.executable, "-m", "vbsbatch.simulator", "--port", port]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 2
    assert f"cannot listen on port {port}" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_bad_faults_file_is_told_before_anything_is_served(tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_text("faults: [{on: x, do: y}]")
    command = [
        sys.executable,
        "-m",
        "vbsbatch.simulator",
        "--faults",
        os.fspath(tmp_path / "f.yaml"),
    ]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "faults.0.on" in ended.stderr
    assert "faults.0.do" in ended.stderr


@pytest.mark.parametrize(
    ("folder", "says"), [("none", "No such file or directory"), ("file", "Not a directory")]
)
def test_an_unwritable_clouds_file_is_one_clear_line(
    tmp_path: Path, folder: str, says: str
) -> None:
    (tmp_path / "file").touch()
    target = os.fspath(tmp_path / folder / "clouds.yaml")
    command = [sys.executable, "-m", "vbsbatch.simulator", "--clouds-file", target]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 2
    assert says in ended.stderr
    assert "Traceback" not in ended.stderr


def test_it_survives_what_is_no_http_and_a_body_too_large(
    start_simulator: StartSimulator,
) -> None:
    running = start_simulator()
    with signed_in(running) as (client, project):
        answer = client.post(f"/v2/{project}/cloudbackups", content=b"x" * 5_000_000)
        assert answer.status_code == 413
        assert client.post(f"/v2/{project}/cloudbackups", content=b"\xff" * 99).status_code == 400
        assert client.get("/v3/%ff%00/backups?limit=%ff&marker=%00").status_code in (403, 404)
        assert create(client, project).status_code == 200


def test_prepared_lists_tell_the_same_as_single_queries(start_simulator: StartSimulator) -> None:
    running = start_simulator("backups: {duration: 0s, visible_after: 0s}")
    with signed_in(running) as (client, project):
        for number in range(5):
            create(client, project, number)
        for _ in range(2):
            listed = client.get(f"/v3/{project}/backups/detail").json()["backups"]
        for backup in listed:
            single = client.get(f"/v3/{project}/backups/{backup['id']}").json()["backup"]
            assert single == backup
        assert json.loads(listed[0]["service_metadata"])["progress"] == 100


def address(running: Running) -> tuple[str, int]:
    host, port = running.url.removeprefix("http://").split(":")
    return host, int(port)


def wait_for_call(client: httpx.Client, kind: str) -> None:
    """Return when the server has seen a call of this kind."""
    while kind not in client.get("/_sim/summary").json()["calls"]:
        pass
