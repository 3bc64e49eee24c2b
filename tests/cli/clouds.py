"""Simulated clouds for tests: a real port each, in this process or in one of their own.

A cloud in this process starts at once and shows everything in it; what the simulator does as a
process is tested with the simulator.
"""

from __future__ import annotations

import json
import os
import re
import signal
import ssl
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import httpx

from vbsbatch.simulator import SimulatedCloud, sample_volumes, server
from vbsbatch.simulator.faults import read_scenario
from vbsbatch.simulator.wire import SimReply, SimRequest

Process: TypeAlias = "subprocess.Popen[str]"

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Spares every client the loading of certificates that a loopback address does not need."""


def client_of(url: str, trust: ssl.SSLContext = NO_TLS) -> httpx.Client:
    return httpx.Client(base_url=url, trust_env=False, timeout=20, verify=trust)


@dataclass(frozen=True, kw_only=True)
class Tls:
    """What a cloud shows whoever connects, and what it asks of them."""

    certificate: Path
    """With its key in the same file."""
    clients_of: Path | None = None
    """The authority whose certificate a client must show."""
    doors: ssl.SSLContext
    """For the tests' own way in."""


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """A simulated cloud and its doors for tests."""

    url: str
    password: str
    _doors: httpx.Client
    _projects: list[Project] = field(default_factory=list)

    def get(self, door: str) -> Any:
        return self._doors.get(f"/_sim/{door}").json()

    def behave(self, faults: str) -> None:
        """Behave like this faults file from now on."""
        answer = self._doors.put("/_sim/faults", content=faults)
        assert answer.status_code == 200, answer.text

    def detach(self) -> None:
        """No server uses any volume any more."""
        assert self._doors.post("/_sim/detach").status_code == 204

    def volumes(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get("volumes")
        return found

    def summary(self) -> dict[str, Any]:
        found: dict[str, Any] = self.get("summary")
        return found

    def ledger(self, what: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.get(f"ledger?what={what}")["rows"]
        return rows

    def creates(self) -> int:
        """How many create requests reached it, or were lost on their way."""
        return int(self.summary()["creates"])

    def calls(self, kind: str) -> int:
        """How many requests of this kind reached it."""
        return int(self.summary()["calls"].get(kind, 0))

    def accepted(self) -> list[dict[str, Any]]:
        return [row for row in self.ledger("create") if row["outcome"] == "accepted"]

    def live(self) -> dict[str, list[str]]:
        """The good backups that creates of the ledger made, by volume; nothing is in the making."""
        assert self.summary()["running"] == 0
        bad = {row["backup"] for row in self.ledger("ended") if row["status"] != "available"}
        bad |= {row["backup"] for row in self.ledger("delete")}
        found: dict[str, list[str]] = {}
        for row in self.accepted():
            if row["backup"] not in bad:
                found.setdefault(row["volume"], []).append(row["backup"])
        return found

    def project(self) -> Project:
        """The project as another program with the same credentials sees it."""
        if not self._projects:
            self._projects.append(self._sign_in())
        return self._projects[0]

    def _sign_in(self) -> Project:
        auth = {
            "identity": {
                "methods": ["password"],
                "password": {"user": {"name": "operator", "password": self.password}},
            },
            "scope": {"project": {"name": "simulator"}},
        }
        client = client_of(self.url)
        answer = client.post("/identity/v3/auth/tokens", json={"auth": auth})
        client.headers["X-Auth-Token"] = answer.headers["x-subject-token"]
        return Project(client, answer.json()["token"]["project"]["id"])

    def stop(self) -> None:
        for project in self._projects:
            project.client.close()
        self._doors.close()


@dataclass(frozen=True)
class Project:
    """What the cloud's own API says, and does, for a program that is not ours."""

    client: httpx.Client
    id: str

    def backups(self) -> list[dict[str, Any]]:
        found = self.client.get(f"/v3/{self.id}/backups/detail?limit=1000").json()["backups"]
        return list(found)

    def create(self, volume_id: str, name: str) -> None:
        body = {"backup": {"volume_id": volume_id, "name": name}}
        assert self.client.post(f"/v2/{self.id}/cloudbackups", json=body).status_code == 200

    def delete(self, backup_id: str) -> None:
        assert self.client.delete(f"/v3/{self.id}/backups/{backup_id}").status_code == 202


class GlassWorld(SimulatedCloud):
    """A simulated cloud that remembers every token it ever issued."""

    def __init__(self, faults: str, volumes: int, seed: int) -> None:
        scenario = read_scenario(faults.encode(), "faults")
        super().__init__(
            scenario, server.SimulatorClock(), seed, volumes=sample_volumes(volumes, seed)
        )
        self.issued: set[str] = set()

    def handle(self, request: SimRequest) -> SimReply:
        reply = super().handle(request)
        if token := reply.headers.get("x-subject-token"):
            self.issued.add(token)
        return reply


@dataclass(frozen=True, kw_only=True)
class GlassCloud(Cloud):
    """A cloud in this process: `world` is all of it."""

    world: GlassWorld
    _halt: Any

    def stop(self) -> None:
        super().stop()
        self._halt()


def glass_cloud(
    clouds_file: Path, faults: str, *, volumes: int, seed: int = 1, tls: Tls | None = None
) -> GlassCloud:
    """Serve a cloud from a thread of this process; its clouds.yaml goes to `clouds_file`."""
    world = GlassWorld(faults, volumes, seed)
    listener = server._listen(0)
    url = f"{'https' if tls else 'http'}://{server.HOST}:{listener.getsockname()[1]}"
    ready = threading.Event()
    config = server._config(world)
    if tls is not None:
        config.ssl_certfile = tls.certificate
        if tls.clients_of is not None:
            config.ssl_ca_certs = os.fspath(tls.clients_of)
            config.ssl_cert_reqs = ssl.CERT_REQUIRED
    running = server._Server(config, ready.set)
    thread = threading.Thread(target=running.run, args=([listener],), name="simulated cloud")
    thread.start()

    def halt() -> None:
        running.should_exit = True
        thread.join(20)
        listener.close()

    assert ready.wait(20)
    server._write_secret(clouds_file, server.clouds_yaml(world, url, access_key=True))
    password = world.operator.password
    doors = client_of(url, tls.doors if tls else NO_TLS)
    return GlassCloud(url=url, password=password, _doors=doors, world=world, _halt=halt)


@dataclass(frozen=True, kw_only=True)
class CloudProcess(Cloud):
    """A cloud in a process of its own, as `vbsbatch simulate` serves it."""

    process: Process

    def stop(self) -> None:
        super().stop()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()


def cloud_process(
    clouds_file: Path,
    faults: str,
    *,
    volumes: int,
    seed: int = 1,
    environment: Mapping[str, str],
) -> CloudProcess:
    """Start `vbsbatch simulate`; its clouds.yaml goes to `clouds_file`."""
    faults_file = clouds_file.with_name("faults.yaml")
    faults_file.write_text(faults)
    process = subprocess.Popen(
        [
            *(sys.executable, "-P", "-m", "vbsbatch", "simulate", "--volumes", str(volumes)),
            *("--faults", os.fspath(faults_file), "--seed", str(seed)),
            *("--clouds-file", os.fspath(clouds_file), "--access-key"),
        ],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    text = "".join(iter(process.stdout.readline, '    volume_api_version: "3"\n'))
    url = re.search(r"auth_url: (\S+)/identity/v3", text)
    password = re.search(r"password: (\S+)", text)
    assert url
    assert password
    return CloudProcess(url=url[1], password=password[1], _doors=client_of(url[1]), process=process)


def write_fleet(path: Path, cloud: Cloud) -> None:
    """Write the cloud's volumes as `openstack volume list -f json` would."""
    path.write_text(json.dumps(cloud.volumes()))
