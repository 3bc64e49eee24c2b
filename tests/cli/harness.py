"""The program as users run it: separate processes, against a simulated cloud."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from click.testing import CliRunner

from tests.cli.clouds import (
    Cloud,
    CloudProcess,
    GlassCloud,
    Process,
    cloud_process,
    glass_cloud,
    write_fleet,
)
from vbsbatch.cli.app import app

FAST = "backups: {duration: [50ms, 200ms], visible_after: 20ms, delete: 50ms}\n"
"""A cloud that works quickly; more lines of a faults file may follow."""

SLOW = "backups: {duration: 60s, visible_after: 20ms, delete: 50ms}\n"
"""A cloud in which nothing ends during a test."""

PLAN: Mapping[str, Any] = {
    "name": "night",
    "cloud": "simulator",
    "limits": {"rate": "200/s", "in_flight": 50, "connections": 4},
    "retry": {
        "attempts": 4,
        "base": "20ms",
        "cap": "100ms",
        "settle": "500ms",
        "later_every": "100ms",
        "later_for": "2s",
    },
    "volumes_from": "fleet.json",
}

Done: TypeAlias = "subprocess.CompletedProcess[str]"

PATIENCE = 180.0


def until(condition: Callable[[], Any], patience: float = PATIENCE, every: float = 0.04) -> Any:
    """Check a condition every so many seconds until it is true, and return its value; or fail."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(every)
    raise AssertionError("the condition did not come true in time")


class Harness:
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
        # As users have it: compiled once. Without the last, every process compiles us anew.
        dropped = ("OS_", "HUAWEICLOUD_", "VBSBATCH_", "PYTHONDONTWRITEBYTECODE")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(dropped)}
        return {
            **kept,
            "HOME": str(self.folder / "home"),
            "XDG_STATE_HOME": str(self.folder / "state"),
            "XDG_CONFIG_HOME": str(self.folder / "config"),
            # What the sign-in library remembers of the packages there are: 0.15 s a process.
            "XDG_CACHE_HOME": str(self.folder.parent / "cache"),
            "OS_CLIENT_CONFIG_FILE": str(self.clouds),
            "PYTHONWARNINGS": "error",
            "NO_PROXY": "*",
        }

    def cloud(self, faults: str = FAST, *, volumes: int = 10, seed: int = 1) -> GlassCloud:
        """Start a simulated cloud; its clouds.yaml and its list of volumes become the harness's."""
        cloud = glass_cloud(self.clouds, faults, volumes=volumes, seed=seed)
        self._clouds.append(cloud)
        write_fleet(self.folder / "fleet.json", cloud)
        return cloud

    def simulator(self, faults: str = FAST, *, volumes: int = 10) -> CloudProcess:
        """The same in a process of its own."""
        cloud = cloud_process(self.clouds, faults, volumes=volumes, environment=self.environment)
        self._clouds.append(cloud)
        write_fleet(self.folder / "fleet.json", cloud)
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
        return self._start([sys.executable, "-P", "-m", "vbsbatch", *words], how)

    def shell(self, command: str) -> Process:
        """A shell command in which `vbsbatch` stands for the program; for `finish` too."""
        program = f'vbsbatch() {{ {sys.executable} -P -m vbsbatch "$@"; }}'
        return self._start(["bash", "-c", f"{program}; {command}"], {})

    def _start(self, command: Sequence[str], how: Mapping[str, Any]) -> Process:
        settings: dict[str, Any] = {
            "cwd": self.folder,
            "env": self.environment,
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "text": True,
            **how,
        }
        process: Process = subprocess.Popen(command, **settings)
        self._started.append(process)
        return process

    def finish(
        self, process: Process, code: int | None = None, *, patience: float = PATIENCE
    ) -> Done:
        """Wait for its end, with `code` if one is given; what it said must be fit to be seen."""
        out, err = process.communicate(timeout=patience)
        done = subprocess.CompletedProcess(process.args, process.returncode, out or "", err or "")
        self._listen(done.stdout, done.stderr)
        if code is not None:
            said = f"{done.args}: {done.returncode}\n{done.stdout}\n{done.stderr}"
            assert done.returncode == code, said
        return done

    def _listen(self, out: str, err: str) -> None:
        """Output must be fit for a terminal and free of tracebacks."""
        self.heard += [out, err]
        assert "Traceback" not in err + out, err
        assert "a fault of vbsbatch itself" not in err, err
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", err), err
        assert "\x1b" not in out

    def __call__(self, *words: str, code: int | None = 0, **how: Any) -> Done:
        """Run vbsbatch to its end, which must be `code`; None allows any exit code."""
        return self.finish(self.start(*words, **how), code)

    def refused(self, *words: str, **how: Any) -> str:
        """Run vbsbatch, which must end with exit code 2 and one line; the line."""
        return self.refusal(self.start(*words, **how))

    def refusal(self, process: Process) -> str:
        """Wait for the end of a process, which must be exit code 2 and one line; the line."""
        done = self.finish(process, 2)
        assert done.stdout == ""
        (line,) = done.stderr.splitlines()
        return line.removeprefix("vbsbatch: ")

    def look(self, *words: str) -> str:
        """What a command that only reads the store prints, without a process of its own."""
        runner = CliRunner(env=self.environment)  # or another store would be the usual one
        done = runner.invoke(app, [*words, "--db", str(self.store)], standalone_mode=False)
        if done.exception is not None:
            raise done.exception
        self._listen(done.stdout, done.stderr)
        return done.stdout

    def ask(self, *words: str, code: int = 0) -> str:
        """What a command that only asks the cloud prints, likewise; files by their whole names."""
        here = {name: None for name in os.environ if name.startswith("OS_")}
        named = {"OS_CLIENT_CONFIG_FILE": str(self.clouds), "NO_PROXY": "*"}
        done = CliRunner(env={**here, **named}).invoke(app, words, standalone_mode=False)
        if done.exception is not None:
            raise done.exception
        self._listen(done.stdout, done.stderr)
        assert (done.return_value or 0) == code, done.output
        return done.stdout

    def json(self, *words: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.look(*words, "--json"))
        return found

    def jobs(self, *words: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.json("jobs", "latest", *words)["jobs"]
        return found

    def runs(self) -> list[dict[str, Any]]:
        """The runs of the store, none when there is no store (or not yet a whole one)."""
        if not self.store.exists() or not self.store.stat().st_size:
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
        """End every process and every cloud that this harness started."""
        for process in self._started:
            process.kill()
            process.wait()
            for pipe in (process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()
        for cloud in self._clouds:
            cloud.stop()


def told(done: Done, word: str) -> Sequence[str]:
    """The lines of plain progress that begin with this word after the time."""
    lines = [line.split(maxsplit=2) for line in done.stderr.splitlines()]
    return [parts[2] for parts in lines if len(parts) == 3 and parts[1] == word]
