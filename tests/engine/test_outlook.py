"""What the jobs of a run tell the poll schedule."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.harness import a_job
from vbsbatch.engine.outlook import Outlook, Whole
from vbsbatch.model import (
    AT_ONCE,
    NEVER,
    Backup,
    Cloud,
    Elapsed,
    JobState,
    Limits,
    Settings,
    Wave,
)
from vbsbatch.policy.durations import Durations

NOW = Elapsed(10_000.0)


def outlook(
    settings: Settings | None = None, *, waiting: int = 0, running: int = 0, due: Elapsed = AT_ONCE
) -> Outlook:
    jobs = {
        no: a_job(no, state=JobState.RUNNING, intent_at=NOW - 100.0) for no in range(1, running + 1)
    }
    counts = Counter({JobState.WAITING: waiting, JobState.RUNNING: running})
    ledger: Any = SimpleNamespace(open=jobs, counts=counts, earliest_due=due, one_create_each=False)
    return Outlook(
        ledger,
        settings or Settings(),
        Durations(),
        in_flight=lambda: 10,
        per_second=lambda: 2.0,
        began_at=Elapsed(0.0),
    )


@given(
    st.floats(10.0, 10_000.0),
    st.sampled_from([1, 5, 10, 25]),
    st.lists(st.floats(0.01, 0.999), min_size=1, max_size=12),
)
def test_percentages_bound_a_steady_backup_from_both_sides(
    whole: float, step: int, looks: list[float]
) -> None:
    bounds = Whole()
    for share in sorted(looks):
        percent = int(100 * share / step) * step
        if percent:
            narrower = bounds.told(share * whole, percent, step)
            assert narrower.low >= bounds.low
            assert narrower.high <= bounds.high
            bounds = narrower
    assert bounds.low <= whole * 1.0001
    assert bounds.high >= whole * 0.9999


def end(of: Outlook, took: float, told: list[tuple[float, int]]) -> None:
    """One job's backup, with its percentages at these ages."""
    job = a_job(1, state=JobState.RUNNING, intent_at=NOW)
    for age, percent in told:
        of.told(job, percent, NOW + age)
    of.ended(job, None, last=NOW + took - 1.0, now=NOW + took)


def test_percentages_that_prove_worthless_are_not_believed_any_more() -> None:
    of = outlook(running=1)
    of.told(a_job(1, intent_at=NOW - 100.0), 50, NOW)
    assert of.running(NOW)[0].high < 260
    for _ in range(20):
        end(of, 1000.0, [(10.0, 10), (20.0, 90)])
    of.told(a_job(1, intent_at=NOW - 100.0), 50, NOW)
    assert of.running(NOW)[0].high == float("inf")


def test_a_new_attempt_begins_without_the_percentages_of_the_last() -> None:
    of = outlook(running=1)
    of.told(a_job(1, intent_at=NOW - 100.0), 50, NOW)
    of.forget(1)
    assert of.running(NOW)[0].high == float("inf")


@pytest.mark.parametrize(
    ("created", "updated", "learnt"),
    [(0.0, 300.0, 300.0), (0.0, 5.0, 297.5), (None, 300.0, 297.5), (300.0, 0.0, 297.5)],
)
def test_the_clouds_own_times_count_where_they_can_be_so(
    created: float | None, updated: float, learnt: float
) -> None:
    of = outlook()
    job = a_job(1, state=JobState.RUNNING, intent_at=NOW)
    times: dict[str, Any] = {
        "created_at": None if created is None else Cloud(1e9 + created),
        "updated_at": Cloud(1e9 + updated),
    }
    of.ended(job, Backup(id="b", **times), last=NOW + 295.0, now=NOW + 300.0)
    found = of._durations.curves([]).longest
    assert learnt * 0.97 < found < learnt * 1.04


def demanded(of: Outlook) -> tuple[int, float, int]:
    found = of.demand(NOW, NOW)
    return found.places, found.after, found.gate


def test_what_waits_for_a_place() -> None:
    assert demanded(outlook(waiting=30, running=10)) == (30, 0.0, 0)
    assert demanded(outlook(running=10)) == (0, 0.0, 10), "the end of the run"
    assert demanded(outlook(waiting=30, running=4)) == (24, 3.0, 0), "the rate holds them up"
    assert demanded(outlook(waiting=30, running=4, due=NOW + 60.0)) == (0, 0.0, 0), "backoff"
    waves = Settings(waves=(Wave(name="a"), Wave(name="b")))
    assert demanded(outlook(waves, waiting=30, running=4, due=NEVER)) == (0, 0.0, 10)
    caps = Settings(limits=Limits(per_group=2))
    assert demanded(outlook(caps, waiting=30, running=4, due=NEVER)) == (30, 0.0, 0)


def test_the_end_is_not_told_without_samples() -> None:
    of = outlook(waiting=20, running=10)
    assert of.ends_in(NOW, of._durations.curves([])) is None
    for _ in range(5):
        end(of, 200.0, [])
    found = of.ends_in(NOW, of._durations.curves([]))
    assert found is not None
    assert 400 < found < 700
