"""The examples of docs/api.md run as they stand."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import anyio
import pytest

import vbsbatch
from tests.cli.harness import FAST, Harness

TEXT = (Path(__file__).parents[2] / "docs" / "api.md").read_text("utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", TEXT, re.S)


@pytest.fixture
def harness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Harness]:
    made = Harness(tmp_path)
    made.write_plan()
    environment = made.environment
    for name in set(os.environ) - environment.keys():
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    yield made
    made.close()


def plain(**_: Any) -> Callable[[Any], Any]:
    """A decorator with options, in the place of Airflow's and Prefect's."""
    return lambda function: function


def without(monkeypatch: pytest.MonkeyPatch, package: str, **names: Any) -> None:
    """Where a package is not installed, a module with these names stands for it."""
    try:
        __import__(package)
    except ImportError:
        if parent := package.rpartition(".")[0]:
            monkeypatch.setitem(sys.modules, parent, ModuleType(parent))
        module = ModuleType(package)
        vars(module).update(names)
        monkeypatch.setitem(sys.modules, package, module)
        print(f"{package} is not installed: its example runs as a plain function")


def refusing_one(harness: Harness) -> str:
    cloud = harness.cloud(volumes=3)
    first: str = cloud.volumes()[0]["ID"]
    refused = (
        f"{{on: create, do: status, status: 400, code: VolumeBackup.0040, volumes: [{first}]}}"
    )
    cloud.behave(FAST + f"faults: [{refused}]")
    return first


def test_the_first_example_runs_as_it_stands(
    harness: Harness, capsys: pytest.CaptureFixture[str]
) -> None:
    first = refusing_one(harness)
    harness.edit_clouds(r"\bsimulator:", "otc:")
    harness.write_plan(name="nightly", cloud="otc")
    harness.plan.rename("nightly.yaml")
    exec(compile(EXAMPLES[0], "api.md", "exec"), {"__name__": "example"})
    told = capsys.readouterr().out
    assert f"{first} VolumeBackup.0040" in told
    assert "1 [] [] []" in told


def test_the_airflow_task_fails_with_the_volumes_that_failed(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, "airflow.decorators", task=plain)
    first = refusing_one(harness)
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(EXAMPLES[1], "api.md", "exec"), names)
    back_up = getattr(names["back_up"], "function", names["back_up"])
    with pytest.raises(RuntimeError, match=r"run .* ended: .*\(VolumeBackup.0040\)"):
        back_up("plan.yaml", "runs.db")

    async def failed() -> list[str]:
        return [job.volume_id async for job in vbsbatch.jobs(store="runs.db", states=["failed"])]

    assert anyio.run(failed) == [first]


def test_the_prefect_flow_retries_once_and_returns_what_is_left(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, "prefect", flow=plain)
    first = refusing_one(harness)
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(EXAMPLES[2], "api.md", "exec"), names)
    nightly = getattr(names["nightly"], "fn", names["nightly"])
    assert anyio.run(nightly, "plan.yaml", "runs.db") == [first]
