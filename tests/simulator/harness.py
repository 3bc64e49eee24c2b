"""A desk in front of a simulated cloud: signed in, with a clock that the test moves."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vbsbatch.simulator import SimReply, SimRequest, SimulatedCloud
from vbsbatch.simulator.virtual import VirtualClock
from vbsbatch.simulator.wire import read_target


@dataclass
class Desk:
    """Sends requests by hand and lets time pass."""

    cloud: SimulatedCloud
    clock: VirtualClock
    token: str = ""
    volumes: list[str] = field(default_factory=list)

    def wait(self, seconds: float) -> None:
        self.clock.passed += seconds

    def send(self, method: str, target: str, content: object = None, **headers: str) -> SimReply:
        path, query = read_target(target.replace("{p}", self.cloud.project.id))
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.cloud.handle(
            SimRequest(
                method=method,
                path=path,
                query=query,
                headers={"host": "sim", "x-auth-token": self.token, **named},
                body=b"" if content is None else json.dumps(content).encode(),
            )
        )

    def get(self, target: str, **headers: str) -> Any:
        return json.loads(self.send("GET", target, **headers).body)

    def sign_in(self, user: str = "operator", project: str | None = "simulator") -> SimReply:
        known = getattr(self.cloud, user)
        named = {"name": known.name, "domain": {"name": "Default"}, "password": known.password}
        auth: dict[str, Any] = {"identity": {"methods": ["password"], "password": {"user": named}}}
        if project:
            auth["scope"] = {"project": {"name": project, "domain": {"name": "Default"}}}
        reply = self.send("POST", "/identity/v3/auth/tokens", {"auth": auth})
        self.token = reply.headers.get("x-subject-token", "")
        return reply

    def create(self, volume: str | None = None, name: str = "b1", **rest: object) -> SimReply:
        wanted = {"volume_id": volume or self.volumes[0], "name": name, **rest}
        return self.send("POST", "/v2/{p}/cloudbackups", {"backup": wanted})

    def native(self, volume: str | None = None, name: str = "b1", **rest: object) -> SimReply:
        wanted = {"volume_id": volume or self.volumes[0], "name": name, "force": True, **rest}
        return self.send("POST", "/volume/v3/{p}/backups", {"backup": wanted})

    def listed(self, query: str = "") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get("/v3/{p}/backups/detail" + query)["backups"]
        return found


DeskMaker = Callable[..., Desk]


def code(reply: SimReply) -> tuple[int, str]:
    """Status and service code of a refusal."""
    content = json.loads(reply.body)
    return reply.status, content["error"]["code"]


@dataclass
class Running:
    """A simulator in a process of its own."""

    process: subprocess.Popen[str]
    url: str
    password: str
    clouds_file: Path


StartSimulator = Callable[..., Running]
