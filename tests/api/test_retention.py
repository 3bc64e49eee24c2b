"""Rules of retention, pins and room, against a simulated cloud over HTTP."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest

import vbsbatch
from tests.cli.harness import FAST, Harness
from vbsbatch import JobState, Retention, RunState
from vbsbatch.api.plan_prune import request_plan_prune
from vbsbatch.model import Operation, Run, Settings, Wall
from vbsbatch.store.memory import MemoryStore

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def night(harness: Harness, **rules: Any) -> vbsbatch.RunResult:
    """One run of the plan."""
    harness.write_plan(retention=rules or None)
    return await vbsbatch.run(vbsbatch.load_plan("plan.yaml"))


def left(cloud: Any) -> dict[str, list[str]]:
    """What the cloud has, by volume, the oldest first."""
    found: dict[str, list[str]] = {}
    now = cloud.world.clock.now()
    for backup in cloud.world.project.order:
        if backup.status(now) == "available":
            found.setdefault(backup.volume.id, []).append(backup.id)
    return found


async def made_by(run_id: str) -> set[str]:
    return {str(job.backup_id) async for job in vbsbatch.jobs(run_id)}


async def test_what_the_plan_no_longer_keeps_is_deleted_when_a_run_has_ended(
    harness: Harness,
) -> None:
    cloud = harness.cloud(volumes=3)
    first = await night(harness)
    events: list[vbsbatch.RunEvent] = []
    harness.write_plan(retention={"last": 1})
    plan = vbsbatch.load_plan("plan.yaml")
    second = await vbsbatch.run(plan, observers=[events.append])
    assert second.exit_code == 0
    assert {each for ids in left(cloud).values() for each in ids} == await made_by(second.run_id)
    kinds = Counter(type(event).__name__ for event in events)
    assert (kinds["RunStarted"], kinds["RunEnded"]) == (1, 1)
    assert isinstance(events[-1], vbsbatch.RunEnded)
    notes = [e.text for e in events if isinstance(e, vbsbatch.RunNoted) and e.kind == "retention"]
    prune, newest, oldest = await vbsbatch.runs()
    assert notes == [
        f"run {prune.id} deletes 3 of 6 backups: the plan keeps last 1 (UTC)",
        f"run {prune.id}: 3 backups deleted",
    ]
    assert (newest.id, oldest.id) == (second.run_id, first.run_id)
    assert (prune.settings.follows, prune.settings.source_plan) == (second.run_id, "night")
    assert prune.create_calls == 3
    assert newest.retained_at is not None
    assert (await vbsbatch.status()).run.id == second.run_id, "the latest is not the prune"
    for run_id, pruned in ((first.run_id, 3), (second.run_id, 0)):
        found = await vbsbatch.verify(run_id)
        assert (found.differences, found.pruned) == ([], pruned)


async def test_only_volumes_that_succeeded_lose_old_backups(harness: Harness) -> None:
    cloud = harness.cloud(volumes=2)
    await night(harness)
    sick, well = (volume["ID"] for volume in cloud.volumes())
    refusal = "{on: create, do: status, status: 400, code: VolumeBackup.0064, volumes: [%s]}"
    cloud.behave(FAST + f"faults: [{refusal % sick}]")
    result = await night(harness, last=1)
    assert result.exit_code == 1
    assert {volume: len(ids) for volume, ids in left(cloud).items()} == {sick: 1, well: 1}
    assert await made_by(result.run_id) >= set(left(cloud)[well])


async def test_deletions_that_were_stopped_are_made_up_for_by_a_resume(harness: Harness) -> None:
    cloud = harness.cloud(volumes=2)
    for _ in range(2):
        await night(harness)
    harness.write_plan(retention={"last": 1})

    def interrupt(event: vbsbatch.RunEvent) -> None:
        if isinstance(event, vbsbatch.RunNoted) and event.kind == "retention":
            scope.cancel()

    with anyio.CancelScope() as scope:
        await vbsbatch.run(vbsbatch.load_plan("plan.yaml"), observers=[interrupt])
    assert scope.cancelled_caught
    prune, run, *_ = await vbsbatch.runs()
    assert (prune.state, run.state) == (RunState.STOPPED, RunState.ENDED)
    again = await vbsbatch.resume()
    assert (again.run_id, again.exit_code) == (run.id, 0)
    assert {len(ids) for ids in left(cloud).values()} == {1}
    assert len(cloud.ledger("delete")) == 4, "nothing is deleted twice"
    with pytest.raises(vbsbatch.UsageError, match="unfinished"):
        await vbsbatch.resume()


async def test_the_next_run_makes_up_for_deletions_that_were_stopped_by_its_own_rules(
    harness: Harness,
) -> None:
    cloud = harness.cloud(volumes=1)
    runs = [await night(harness) for _ in range(3)]
    harness.write_plan(retention={"last": 1})

    def interrupt(event: vbsbatch.RunEvent) -> None:
        if isinstance(event, vbsbatch.RunNoted) and event.kind == "retention":
            scope.cancel()

    with anyio.CancelScope() as scope:
        await vbsbatch.run(vbsbatch.load_plan("plan.yaml"), observers=[interrupt])
    deleted = len(cloud.ledger("delete"))
    await night(harness, last=9)
    assert len(cloud.ledger("delete")) == deleted, "those rules keep what is left"
    assert {len(ids) for ids in left(cloud).values()} == {len(runs) + 2 - deleted}
    assert all(run.state is RunState.ENDED for run in await vbsbatch.runs())


async def test_pins_hold_against_rules_prunes_and_a_prune_that_was_decided_before(
    harness: Harness,
) -> None:
    cloud = harness.cloud(volumes=2)
    runs = [await night(harness) for _ in range(3)]
    oldest = runs[0].run_id
    soon = datetime.now(UTC) + timedelta(days=1)
    pin = await vbsbatch.keep(oldest, until=soon)
    assert (pin.run_id, pin.backup_id) == (oldest, None)
    fates = await vbsbatch.retained("night", Retention(last=1))
    assert Counter(fate.goes for fate in fates) == {False: 4, True: 2}
    assert {fate.found.run.id for fate in fates if fate.pin is not None} == {oldest}
    assert await vbsbatch.prunable(oldest) == []

    # The prune is stored, and stops before it deletes; then one of its backups is pinned.
    def interrupt(event: vbsbatch.RunEvent) -> None:
        if isinstance(event, vbsbatch.RunStarted):
            event.live.stop("wait")

    stopped = await vbsbatch.prune_plan("night", Retention(last=1), observers=[interrupt])
    assert stopped is not None
    assert stopped.state is RunState.STOPPED
    named = sorted(await made_by(runs[1].run_id))[0]
    await vbsbatch.keep(named)
    done = await vbsbatch.resume(stopped.run_id)
    assert done.counts == {JobState.SUCCEEDED: 1, JobState.FAILED: 1}
    assert [job.code for job in done.failed] == ["pinned"]
    assert named in {each for ids in left(cloud).values() for each in ids}
    for what in (oldest, named):
        await vbsbatch.release(what)
    assert await vbsbatch.pins() == []
    with pytest.raises(vbsbatch.UsageError, match="is not pinned"):
        await vbsbatch.release(named)
    result = await vbsbatch.prune_plan("night", Retention(last=1))
    assert result is not None
    assert result.counts == {JobState.SUCCEEDED: 3}
    assert await vbsbatch.prune_plan("night", Retention(last=1)) is None


async def test_a_run_that_has_not_ended_keeps_its_backups(harness: Harness) -> None:
    harness.cloud(volumes=2)
    await night(harness)

    def interrupt(event: vbsbatch.RunEvent) -> None:
        if isinstance(event, vbsbatch.RunStarted):
            event.live.stop("wait")

    stopped = await vbsbatch.run(vbsbatch.load_plan("plan.yaml"), observers=[interrupt])
    with pytest.raises(vbsbatch.UsageError, match="has not ended"):
        await vbsbatch.prune(stopped.run_id, even_last=True)


async def test_two_prunes_never_take_the_last_good_backup_between_them(harness: Harness) -> None:
    cloud = harness.cloud(volumes=1)
    one, two = [(await night(harness)).run_id for _ in range(2)]

    def interrupt(event: vbsbatch.RunEvent) -> None:
        if isinstance(event, vbsbatch.RunStarted):
            event.live.stop("wait")

    first = await vbsbatch.prune(one, observers=[interrupt])
    assert first.state is RunState.STOPPED
    assert await vbsbatch.prunable(two) == [], "the other one is to be deleted"
    (kept,) = await made_by(two)
    cloud.project().delete(kept)
    done = await vbsbatch.resume(first.run_id)
    assert [job.code for job in done.failed] == ["last-good"]


async def test_where_a_disk_has_all_its_backups_one_goes_first(harness: Harness) -> None:
    cloud = harness.cloud(volumes=2)
    full, other = (volume["ID"] for volume in cloud.volumes())
    first = await night(harness)
    for _ in range(18):
        cloud.world.add_backup(full, "by hand", age=1.0)
    second = await night(harness, last=5)
    plan = vbsbatch.load_plan("plan.yaml")
    assert [f.about for f in (await vbsbatch.preflight(plan)).findings if f.volume_id] == ["limit"]
    with pytest.raises(vbsbatch.UsageError, match="1 volume would surely fail"):
        await night(harness, last=2)
    third = await night(harness, last=1)
    assert third.exit_code == 0
    after, run, first_deleted, *_ = await vbsbatch.runs()
    assert first_deleted.settings.makes_room_for == run.id == third.run_id
    assert after.settings.follows == third.run_id
    (job,) = [job async for job in vbsbatch.jobs(first_deleted.id)]
    assert job.volume_id == full
    assert job.settings.source_backup_id in await made_by(first.run_id)
    ours = left(cloud)
    assert len(ours[full]) == 19, "18 by hand, and the newest of ours"
    assert ours[other] == [each for each in ours[other] if each in await made_by(third.run_id)]
    assert second.run_id in {r.id for r in await vbsbatch.runs()}
    kinds = {run.settings.operation for run in await vbsbatch.runs()}
    assert kinds == {Operation.BACKUP, Operation.PRUNE}


async def test_a_plan_with_runs_in_several_places_is_pruned_in_that_of_its_newest_run() -> None:
    store = MemoryStore()
    places: list[dict[str, Any]] = [
        {"cloud": "old", "project_id": "p1", "region": "r1"},
        {"cloud": "old", "project_id": "p2", "region": "r1"},
        {"cloud": "new", "project_id": "p2", "region": None},
        {"cloud": "new", "project_id": "p2", "region": "r2"},
    ]
    for number, place in enumerate(places, 1):
        settings = Settings(retention=Retention(weekly=number))
        run = Run(
            id=f"run{number}",
            plan="nightly",
            state=RunState.ENDED,
            settings=settings,
            created_at=Wall(number),
            **place,
        )
        store.create_run(run, [])
    newest = request_plan_prune(store, "nightly", None)
    assert (newest.source.id, newest.rules) == ("run4", Retention(weekly=4))
    assert newest.runs == {"run3", "run4"}, "a run without a region may be anywhere"
    assert [run.id for run in newest.elsewhere] == ["run2", "run1"]
    chosen = request_plan_prune(store, "nightly", Retention(last=1), cloud="old")
    assert (chosen.source.id, chosen.rules) == ("run2", Retention(last=1))
    with pytest.raises(vbsbatch.UsageError, match="did you mean 'nightly'"):
        request_plan_prune(store, "nightli", None)
