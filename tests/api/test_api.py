"""The public API, called as another program would, against a simulated cloud over HTTP."""

from __future__ import annotations

import ast
import asyncio
import inspect
import os
import signal
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

import vbsbatch
from tests.cli.harness import FAST, SLOW, Harness
from vbsbatch import JobState, RunState
from vbsbatch.engine import Engine
from vbsbatch.model import VerifySummary
from vbsbatch.store import open_store

pytestmark = pytest.mark.anyio

API = Path(vbsbatch.__file__).parent / "api"
REFUSED = "{on: create, do: status, status: 400, code: VolumeBackup.0040, volumes: [%s]}"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def refusing(harness: Harness, cloud: Any) -> str:
    """Have the cloud refuse the first volume for good; its id."""
    first: str = cloud.volumes()[0]["ID"]
    cloud.behave(FAST + f"faults: [{REFUSED % first}]")
    return first


async def test_a_plan_is_run_retried_verified_and_read(
    harness: Harness, capfd: pytest.CaptureFixture[str]
) -> None:
    cloud = harness.cloud(volumes=5)
    first = refusing(harness, cloud)
    events: list[vbsbatch.RunEvent] = []
    plan = vbsbatch.load_plan("plan.yaml")
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGHUP)
    result = await vbsbatch.run(plan, store="runs.db", observers=[events.append])
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGHUP)) == before
    assert (result.state, result.exit_code) == (RunState.ENDED, 1)
    assert result.counts == {JobState.SUCCEEDED: 4, JobState.FAILED: 1}
    assert [job.volume_id for job in result.failed] == [first]
    kinds = Counter(type(event).__name__ for event in events)
    assert (kinds["RunStarted"], kinds["RunEnded"]) == (1, 1)
    assert isinstance(events[0], vbsbatch.RunStarted)
    assert isinstance(events[-1], vbsbatch.RunEnded)
    assert kinds["JobMoved"] == 9, "4 run and succeed, 1 fails"

    failed = vbsbatch.jobs(result.run_id, store="runs.db", states=["failed"])
    assert [(job.volume_id, job.code) async for job in failed] == [(first, "VolumeBackup.0040")]
    cloud.behave(FAST)
    again = await vbsbatch.retry(result.run_id, store="runs.db", all_failed=True)
    assert (again.run_id, again.exit_code, again.failed) == (result.run_id, 0, ())
    found = await vbsbatch.verify(result.run_id, store="runs.db")
    assert (found.missing, found.duplicate, found.unavailable) == ([], [], [])
    assert [run.id for run in await vbsbatch.runs(store="runs.db")] == [result.run_id]
    told = await vbsbatch.status(store="runs.db")
    assert (told.run.id, len(list(told.jobs()))) == (result.run_id, 5)
    assert capfd.readouterr() == ("", "")


async def test_what_is_missing_in_the_cloud_is_found(harness: Harness) -> None:
    cloud = harness.cloud(volumes=2)
    result = await vbsbatch.run(vbsbatch.load_plan("plan.yaml"))
    (gone, *_) = [str(job.backup_id) async for job in vbsbatch.jobs(result.run_id)]
    cloud.project().delete(gone)
    while gone in {each.id for each in await vbsbatch.prunable(result.run_id, even_last=True)}:
        await anyio.sleep(0.05)
    found = await vbsbatch.verify(result.run_id)
    assert [each.job.backup_id for each in found.missing] == [gone]
    assert len(found.differences) == 1
    (run,) = await vbsbatch.runs()
    assert run.verified == VerifySummary(differences=(("missing", 1),))


async def test_a_store_that_is_not_safe_to_write_can_be_verified(harness: Harness) -> None:
    harness.cloud(volumes=1)
    result = await vbsbatch.run(vbsbatch.load_plan("plan.yaml"))
    harness.store.chmod(0o660)
    found = await vbsbatch.verify(result.run_id)
    assert "can only be read" in str(found.not_stored)
    (run,) = await vbsbatch.runs()
    assert run.verified_at is None


async def test_backups_are_pruned_after_they_were_listed(harness: Harness) -> None:
    harness.cloud(volumes=3)
    result = await vbsbatch.run(vbsbatch.load_plan("plan.yaml"))
    assert await vbsbatch.prunable(result.run_id) == [], "each is the last good one of its volume"
    listed = await vbsbatch.prunable(result.run_id, even_last=True)
    assert len(listed) == 3
    pruned = await vbsbatch.prune(result.run_id, even_last=True)
    assert pruned.counts == {JobState.SUCCEEDED: 3}
    assert [run.create_calls for run in await vbsbatch.runs()] == [3, 3]
    assert await vbsbatch.prunable(result.run_id) == []
    with pytest.raises(vbsbatch.UsageError, match="no backup left"):
        await vbsbatch.prune(result.run_id)


async def test_volumes_are_restored_without_a_question(harness: Harness) -> None:
    cloud = harness.cloud(volumes=3)
    for volume in cloud.world.project.volumes.values():
        volume.status = "available"
    result = await vbsbatch.run(vbsbatch.load_plan("plan.yaml"))
    one = cloud.volumes()[1]["ID"]
    restored = await vbsbatch.restore(result.run_id, volumes=[one])
    assert restored.counts == {JobState.SUCCEEDED: 1}
    newest, source = await vbsbatch.runs()
    assert (newest.create_calls, source.create_calls) == (1, 3)
    assert newest.read_calls > 0


async def test_problems_of_a_plan_have_file_line_column_and_text(harness: Harness) -> None:
    Path("bad.yaml").write_text("name: x\nrate: fast\nvolumes:\n- id: no\n")
    with pytest.raises(vbsbatch.PlanError) as caught:
        vbsbatch.load_plan("bad.yaml")
    problems = caught.value.problems
    assert {each.file for each in problems} == {"bad.yaml"}
    assert [(each.line, each.column) for each in problems] == sorted(
        (each.line, each.column) for each in problems
    )
    assert all(each.text for each in problems)


async def test_a_look_before_a_run_submits_nothing(harness: Harness) -> None:
    cloud = harness.cloud(volumes=3)
    broken = next(iter(cloud.world.project.volumes.values()))
    broken.status = "error"
    plan = vbsbatch.load_plan("plan.yaml")
    found = await vbsbatch.preflight(plan)
    assert list(found.hopeless) == [broken.id]
    with pytest.raises(vbsbatch.UsageError, match="1 volume would surely fail"):
        await vbsbatch.run(plan)
    assert cloud.creates() == 0
    result = await vbsbatch.run(plan, on_preflight="skip")
    assert result.counts == {JobState.SUCCEEDED: 2, JobState.SKIPPED: 1}


async def until(live: list[vbsbatch.LiveRun], state: JobState, count: int) -> None:
    while not live or live[0].counts.get(state, 0) < count:
        await anyio.sleep(0.02)


def keeps(live: list[vbsbatch.LiveRun]) -> vbsbatch.Observer:
    def hear(event: vbsbatch.RunEvent) -> None:
        if isinstance(event, vbsbatch.RunStarted):
            live.append(event.live)

    return hear


@pytest.mark.parametrize("native", [False, True])
async def test_a_cancelled_caller_drains_the_run_and_it_can_be_resumed(
    native: bool, harness: Harness
) -> None:
    cloud = harness.cloud(SLOW, volumes=6)
    plan = vbsbatch.load_plan("plan.yaml")
    live: list[vbsbatch.LiveRun] = []
    run = partial(vbsbatch.run, plan, store="runs.db", in_flight=2, observers=[keeps(live)])
    if native:
        task = asyncio.create_task(run())
        await until(live, JobState.RUNNING, 2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    else:
        async with anyio.create_task_group() as group:
            group.start_soon(run)
            await until(live, JobState.RUNNING, 2)
            group.cancel_scope.cancel()
    (left,) = await vbsbatch.runs(store="runs.db")
    assert left.state is RunState.STOPPED
    assert "cancelled" in str(left.reason)
    assert cloud.creates() == 2
    with open_store("runs.db") as store:
        assert store.is_live(left.id) is None


async def test_a_live_run_is_steered_by_another_task(harness: Harness) -> None:
    harness.cloud(SLOW, volumes=4)
    plan = vbsbatch.load_plan("plan.yaml")
    live: list[vbsbatch.LiveRun] = []
    results: list[vbsbatch.RunResult] = []

    async def drive() -> None:
        results.append(await vbsbatch.run(plan, in_flight=1, observers=[keeps(live)]))

    async with anyio.create_task_group() as group:
        group.start_soon(drive)
        await until(live, JobState.RUNNING, 1)
        assert "paused" in await vbsbatch.pause("latest")
        assert live[0].paused
        with pytest.raises(vbsbatch.RunIsLive):
            await vbsbatch.resume("latest")
        assert "cancelled 3" in await vbsbatch.cancel("latest")
        await vbsbatch.stop("latest")
        left = await vbsbatch.wait("latest")
    assert left.state is RunState.STOPPED
    assert results[0].exit_code == 3
    assert {job.state for job in left.failed} == {JobState.CANCELLED}


async def test_a_store_that_fails_is_one_error_of_the_tree(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.cloud(volumes=1)

    async def fail(_: object) -> None:
        raise vbsbatch.StoreFailed("the disk is full")

    monkeypatch.setattr(Engine, "drive", fail)
    with pytest.raises(vbsbatch.StoreFailed, match="the disk is full"):
        await vbsbatch.run(vbsbatch.load_plan("plan.yaml"), observers=[vbsbatch.ProgressPrinter()])


async def test_warnings_of_the_sign_in_are_events(harness: Harness) -> None:
    harness.cloud(volumes=1)
    harness.edit_clouds(r"(\n +)region_name:", r"\1verify: false\1region_name:")
    events: list[vbsbatch.RunEvent] = []
    await vbsbatch.run(vbsbatch.load_plan("plan.yaml"), observers=[events.append])
    first = events[0]
    assert isinstance(first, vbsbatch.RunNoted)
    assert (first.kind, "verify" in first.text) == ("warning", True)


async def test_an_observer_that_raises_is_dropped_and_costs_no_backup(harness: Harness) -> None:
    harness.cloud(volumes=3)
    heard: list[object] = []

    def broken(event: object) -> None:
        heard.append(event)
        raise ValueError("not today")

    result = await vbsbatch.run(vbsbatch.load_plan("plan.yaml"), observers=[broken])
    assert (result.exit_code, len(heard)) == (0, 1)


async def test_the_progress_printer_is_an_observer_like_any_other(
    harness: Harness, tmp_path: Path
) -> None:
    harness.cloud(volumes=2)
    with (tmp_path / "told").open("w") as stream:
        printer = vbsbatch.ProgressPrinter(style="json", stream=stream)
        await vbsbatch.run(vbsbatch.load_plan("plan.yaml"), observers=[printer])
    lines = (tmp_path / "told").read_text().splitlines()
    assert '"event": "end"' in lines[-1]
    assert '"exit": 0' in lines[-1]


async def test_a_run_that_ended_is_not_driven_again(harness: Harness) -> None:
    cloud = harness.cloud(volumes=2)
    result = await vbsbatch.run(vbsbatch.load_plan("plan.yaml"))
    calls = cloud.creates()
    assert (await vbsbatch.resume(result.run_id)).exit_code == 0
    with pytest.raises(vbsbatch.UsageError, match="is unfinished"):
        await vbsbatch.resume()
    with pytest.raises(vbsbatch.UsageError, match="say what to retry"):
        await vbsbatch.retry(result.run_id)
    with pytest.raises(vbsbatch.UsageError, match="no volume 'nobody'"):
        await vbsbatch.retry(result.run_id, volumes=["nobody"])
    with pytest.raises(vbsbatch.UsageError, match="no job state"):
        async for _ in vbsbatch.jobs(states=["faild"]):
            pass
    assert cloud.creates() == calls


def test_every_public_name_is_there_and_documented() -> None:
    for name in vbsbatch.__all__:
        value = getattr(vbsbatch, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert inspect.getdoc(value), name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        vbsbatch.nothing  # noqa: B018


def test_the_api_never_prints_exits_or_takes_signals() -> None:
    for path in API.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Name):
                assert node.id not in ("print", "exit", "quit"), path
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names]
                assert not {"signal", "subprocess", "click"} & {
                    *names,
                    *[getattr(node, "module", "")],
                }, path


def test_importing_the_package_loads_neither_cloud_nor_store() -> None:
    import subprocess
    import sys

    words = "import sys, vbsbatch; print([m for m in sys.modules if m.startswith('vbsbatch.')])"
    told = subprocess.run(
        [sys.executable, "-c", words], capture_output=True, text=True, check=True, env=os.environ
    )
    assert told.stdout.strip() == "['vbsbatch.version']"
