"""The program as its users have it: processes of its own, against a simulated cloud in another."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import httpx

FAST = "backups: {duration: [100ms, 300ms], visible_after: 50ms, delete: 100ms}\n"
"""A cloud that works quickly; more lines of a faults file may follow."""

SLOW = "backups: {duration: 60s, visible_after: 50ms, delete: 100ms}\n"
"""A cloud in which nothing ends during a test."""

PLAN: Mapping[str, Any] = {
    "name": "night",
    "cloud": "simulator",
    "limits": {"rate": "200/s", "in_flight": 50, "connections": 4},
    "retry": {
        "attempts": 4,
        "base": "50ms",
        "cap": "200ms",
        "settle": "1s",
        "later_every": "200ms",
        "later_for": "2s",
    },
    "volumes_from": "fleet.json",
}

Done: TypeAlias = "subprocess.CompletedProcess[str]"
Process: TypeAlias = "subprocess.Popen[str]"

PATIENCE = 40.0


def until(condition: Callable[[], Any], patience: float = PATIENCE) -> Any:
    """Wait for a condition and give its value; fail when it does not come true."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError("the condition did not come true in time")


@dataclass(frozen=True)
class Cloud:
    """A simulated cloud in a process of its own, and its doors for tests."""

    process: Process
    url: str
    password: str
    _projects: list[Project] = field(default_factory=list)

    def get(self, door: str) -> Any:
        return httpx.get(f"{self.url}/_sim/{door}", trust_env=False, timeout=20).json()

    def behave(self, faults: str) -> None:
        """Behave like this faults file from now on."""
        answer = httpx.put(f"{self.url}/_sim/faults", content=faults, trust_env=False, timeout=20)
        assert answer.status_code == 200, answer.text

    def volumes(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get("volumes")
        return found

    def summary(self) -> dict[str, Any]:
        found: dict[str, Any] = self.get("summary")
        return found

    def ledger(self, what: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.get(f"ledger?what={what}")["rows"]
        return rows

    def accepted(self) -> list[dict[str, Any]]:
        return [row for row in self.ledger("create") if row["outcome"] == "accepted"]

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
        client = httpx.Client(base_url=self.url, trust_env=False, timeout=20)
        answer = client.post("/identity/v3/auth/tokens", json={"auth": auth})
        client.headers["X-Auth-Token"] = answer.headers["x-subject-token"]
        return Project(client, answer.json()["token"]["project"]["id"])

    def stop(self) -> None:
        for project in self._projects:
            project.client.close()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()


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


class Stage:
    """A user's home, plan and environment, in which `vbsbatch` runs as a process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state" / "vbsbatch"
        self.store = self.state / "vbsbatch.db"
        self.clouds = folder / "clouds.yaml"
        self.plan = folder / "plan.yaml"
        self.heard: list[str] = []
        self._started: list[Process] = []
        self._clouds: list[Cloud] = []
        (folder / "home").mkdir()

    @property
    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("OS_", "VBSBATCH_"))}
        return {
            **kept,
            "HOME": str(self.folder / "home"),
            "XDG_STATE_HOME": str(self.folder / "state"),
            "OS_CLIENT_CONFIG_FILE": str(self.clouds),
            "PYTHONWARNINGS": "error",
            "NO_PROXY": "*",
        }

    def cloud(self, faults: str = FAST, *, volumes: int = 10, seed: int = 1) -> Cloud:
        """Start a simulated cloud; its clouds.yaml and its list of volumes become the stage's."""
        (self.folder / "faults.yaml").write_text(faults)
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "vbsbatch", "simulate", "--volumes", str(volumes)),
                *("--faults", "faults.yaml", "--seed", str(seed)),
                *("--clouds-file", str(self.clouds)),
            ],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        text = "".join(iter(process.stdout.readline, '    volume_api_version: "3"\n'))
        url = re.search(r"auth_url: (\S+)/identity/v3", text)
        password = re.search(r"password: (\S+)", text)
        assert url
        assert password
        cloud = Cloud(process, url[1], password[1])
        self._clouds.append(cloud)
        (self.folder / "fleet.json").write_text(json.dumps(cloud.volumes()))
        return cloud

    def write_plan(self, **changes: Any) -> None:
        """The usual plan (JSON is YAML); a map in `changes` is merged, None takes a key away."""
        plan: dict[str, Any] = {
            **PLAN,
            **{
                key: {**PLAN.get(key, {}), **value} if isinstance(value, Mapping) else value
                for key, value in changes.items()
            },
        }
        kept = {key: value for key, value in plan.items() if value is not None}
        self.plan.write_text(json.dumps(kept, indent=1))

    def start(self, *words: str, **how: Any) -> Process:
        """A vbsbatch process that goes on by itself; its output is for `finish`."""
        settings: dict[str, Any] = {
            "cwd": self.folder,
            "env": self.environment,
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "text": True,
            **how,
        }
        process = subprocess.Popen([sys.executable, "-m", "vbsbatch", *words], **settings)
        self._started.append(process)
        return process

    def finish(self, process: Process, patience: float = PATIENCE) -> Done:
        """Wait for its end; what it said must be fit for a terminal and free of tracebacks."""
        out, err = process.communicate(timeout=patience)
        done = subprocess.CompletedProcess(process.args, process.returncode, out or "", err or "")
        self.heard += [done.stdout, done.stderr]
        assert "Traceback" not in done.stderr + done.stdout, done.stderr
        assert "a fault of vbsbatch itself" not in done.stderr, done.stderr
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", done.stderr), done.stderr
        assert "\x1b" not in done.stdout
        return done

    def __call__(self, *words: str, code: int = 0, **how: Any) -> Done:
        """Run vbsbatch to its end, which must be `code`."""
        done = self.finish(self.start(*words, **how))
        assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def refused(self, *words: str, **how: Any) -> str:
        """Run vbsbatch, which must end with exit code 2 and one line; the line."""
        done = self(*words, code=2, **how)
        assert done.stdout == ""
        (line,) = done.stderr.splitlines()
        return line.removeprefix("vbsbatch: ")

    def json(self, *words: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self(*words, "--json").stdout)
        return found

    def jobs(self, *words: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.json("jobs", "latest", *words)["jobs"]
        return found

    def runs(self) -> list[dict[str, Any]]:
        """The runs of the store, none when there is no store."""
        if not self.store.exists():
            return []
        found: list[dict[str, Any]] = self.json("runs")["runs"]
        return found

    def run_id(self) -> str:
        return str(self.runs()[0]["id"])

    def edit_clouds(self, pattern: str, by: str) -> None:
        text, count = re.subn(pattern, by, self.clouds.read_text())
        assert count
        self.clouds.write_text(text)

    def close(self) -> None:
        """End every process that this stage started."""
        for cloud in self._clouds:
            cloud.stop()
        for process in self._started:
            if process.poll() is None:
                process.kill()
                process.communicate()


def told(done: Done, word: str) -> Sequence[str]:
    """The lines of plain progress that begin with this word after the time."""
    lines = [line.split(maxsplit=2) for line in done.stderr.splitlines()]
    return [parts[2] for parts in lines if len(parts) == 3 and parts[1] == word]


def lines_of(path: Path) -> list[str]:
    return path.read_text().splitlines()
