"""Metrics in Prometheus's format, read back by Prometheus's own parser."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from tests.store.fixtures import NOW, a_run
from vbsbatch.model import (
    JobState,
    Limits,
    Operation,
    PlanTotals,
    Rate,
    RunState,
    Settings,
    Wall,
)
from vbsbatch.report.as_prometheus import CODES, LABEL_MOST, PLANS, exposition
from vbsbatch.report.metrics import MetricsData, RunFigures
from vbsbatch.report.text import harmless

DOCUMENT = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text("utf-8")

SETTINGS = Settings(limits=Limits(rate=Rate(count=300, per=60), in_flight=50))

Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def read(text: str) -> Series:
    """Every sample by its name and labels; none may be there twice."""
    families = list(text_string_to_metric_families(text))
    samples = [sample for family in families for sample in family.samples]
    found: Series = {}
    for sample in samples:
        key = (sample.name, tuple(sorted(sample.labels.items())))
        assert key not in found
        found[key] = sample.value
    return found


def shown(runs: Any = (), totals: Any = (), now: float = NOW) -> Series:
    return read(exposition(MetricsData(now=now, runs=tuple(runs), totals=tuple(totals))))


def value(series: Series, name: str, **labels: str) -> float | None:
    return series.get((name, tuple(sorted(labels.items()))))


def named(series: Series, name: str) -> dict[tuple[str, ...], float]:
    """The values of a metric by the values of its labels, in the order of their names."""
    return {tuple(v for _, v in key[1]): v for key, v in series.items() if key[0] == name}


def figures(run_id: str = "r1", **known: Any) -> RunFigures:
    run = {
        name: known.pop(name)
        for name in list(known)
        if name not in RunFigures.__slots__ or name == "run"
    }
    given: dict[str, Any] = {"counts": {}, "live": True}
    return RunFigures(run=a_run(run_id, **({"settings": SETTINGS} | run)), **(given | known))


def test_a_store_that_cannot_be_read_is_down_and_nothing_else() -> None:
    found = read(exposition(None))
    assert {name for name, _ in found} == {"vbsbatch_up", "vbsbatch_build_info"}
    assert value(found, "vbsbatch_up") == 0


def test_an_empty_store_has_counters_at_zero() -> None:
    found = shown()
    assert value(found, "vbsbatch_up") == 1
    assert value(found, "vbsbatch_bytes_total") == 0
    assert named(found, "vbsbatch_api_calls_total") == {("create",): 0, ("read",): 0}


def test_a_live_run_tells_all_that_its_engine_is_at() -> None:
    run = figures(
        counts={JobState.WAITING: 7, JobState.RUNNING: 40, JobState.SUBMITTING: 2},
        rate=Rate(count=2.5),
        oldest_at=NOW - 90,
        heartbeat_at=Wall(NOW - 2),
        next_look_at=Wall(NOW + 4),
        rate_used=1.25,
        circuit_open=True,
    )
    found = shown([run])
    of: dict[str, str] = {"run": "r1", "plan": "nightly"}
    assert value(found, "vbsbatch_jobs", state="running", **of) == 40
    assert value(found, "vbsbatch_jobs", state="failed", **of) == 0
    assert value(found, "vbsbatch_run_state", state="running", **of) == 1
    assert value(found, "vbsbatch_run_state", state="ended", **of) == 0
    assert {
        name.removeprefix("vbsbatch_"): value(found, name, **of)
        for name, labels in found
        if dict(labels) == of
    } == {
        "heartbeat_age_seconds": 2,
        "engine_up": 1,
        "oldest_running_seconds": 90,
        "next_look_seconds": 4,
        "rate_limit": 5,
        "rate_allowed": 2.5,
        "rate_used": 1.25,
        "circuit_open": 1,
    }
    assert named(found, "vbsbatch_places") == {
        ("nightly", "r1", "used"): 42,
        ("nightly", "r1", "free"): 8,
    }


@pytest.mark.parametrize(
    ("state", "live", "told"),
    [
        (RunState.RUNNING, False, {"heartbeat_age_seconds", "engine_up"}),
        (RunState.STOPPED, False, set()),
        (RunState.ENDED, False, set()),
        (
            RunState.PAUSED,
            None,
            {"heartbeat_age_seconds", "oldest_running_seconds", "rate_limit", "places"},
        ),
    ],
)
def test_what_an_engine_said_is_not_told_when_there_is_none(
    state: RunState, live: bool | None, told: set[str]
) -> None:
    found = shown([figures(state=state, live=live)])
    about = {name.removeprefix("vbsbatch_") for name, labels in found if dict(labels).get("run")}
    assert about == told | {"jobs", "run_state", "run_info"}


def test_a_run_whose_engine_never_reported_ages_from_its_making_and_no_age_is_negative() -> None:
    ahead = figures("r2", heartbeat_at=Wall(NOW + 99), next_look_at=Wall(NOW - 9))
    found = shown([figures("r1", created_at=Wall(NOW - 50)), ahead])
    assert named(found, "vbsbatch_heartbeat_age_seconds") == {
        ("nightly", "r1"): 50,
        ("nightly", "r2"): 0,
    }
    assert named(found, "vbsbatch_next_look_seconds") == {("nightly", "r2"): 0}


def test_failures_are_those_of_the_newest_backup_run_of_a_plan_and_of_runs_at_work() -> None:
    ended: Any = {"state": RunState.ENDED, "live": False}
    prune = Settings(operation=Operation.PRUNE)
    found = shown(
        [
            figures("r6", plan="prune of r1", settings=prune, failures=[(404, "gone", 9)]),
            figures("r5", failures=[(400, "X", 2), (503, None, 1), (None, None, 4)]),
            figures("r4", plan="weekly", **ended),
            figures("r3", failures=[(409, "X", 1)]),
            figures("r2", failures=[(400, "old", 7)], **ended),
        ]
    )
    assert named(found, "vbsbatch_failures") == {
        ("X", "nightly"): 3,
        ("HTTP 503", "nightly"): 1,
        ("no answer", "nightly"): 4,
        ("other", "nightly"): 0,
        ("other", "weekly"): 0,
    }


def test_codes_are_bounded_and_the_rest_is_other() -> None:
    rows = [(400, f"code-{number:03}", 1 + (number < 3)) for number in range(99)]
    found = named(shown([figures(failures=[*rows, (400, "other", 5)])]), "vbsbatch_failures")
    assert len(found) == CODES + 1
    assert found["code-000", "nightly"] == 2
    assert sum(found.values()) == 99 + 3 + 5
    assert found["other", "nightly"] == 99 + 3 + 5 - (CODES + 3)


def test_totals_are_of_all_plans_and_the_last_successes_of_the_newest() -> None:
    plans = [
        PlanTotals(plan=f"p{n}", gigabytes=2, create_calls=3, read_calls=1, succeeded_at=Wall(n))
        for n in range(1, PLANS + 10)
    ]
    others = PlanTotals(plan=None, create_calls=5, read_calls=7)
    found = shown(totals=[*plans, others, PlanTotals(plan="never")])
    number = len(plans)
    assert value(found, "vbsbatch_bytes_total") == 2 * number * 1024**3
    calls = named(found, "vbsbatch_api_calls_total")
    assert calls == {("create",): 3 * number + 5, ("read",): number + 7}
    successes = named(found, "vbsbatch_last_success_timestamp_seconds")
    assert successes == {(f"p{n}",): n for n in range(10, PLANS + 10)}


hostile = st.text(max_size=120) | st.sampled_from(
    ['"', "\\", "\n", 'x"} 1\nvbsbatch_up 0', "\u2028", "\ud800", "é" * 300, "other", "", " "]
)


@given(st.lists(st.tuples(hostile, hostile, st.booleans()), max_size=4))
def test_no_text_of_a_plan_or_a_server_breaks_the_format(
    given_texts: list[tuple[str, str, bool]],
) -> None:
    runs = [
        figures(f"r{number}", plan=plan, cloud=code, failures=[(400, code, 1)], live=live)
        for number, (plan, code, live) in enumerate(given_texts)
    ]
    totals = [PlanTotals(plan=plan or None, succeeded_at=Wall(NOW)) for plan, _, _ in given_texts]
    found = shown(runs, totals)
    assert value(found, "vbsbatch_up") == 1
    for _, labels in found:
        for _, text in labels:
            assert len(text) <= LABEL_MOST
            assert harmless(text) == text
    assert sum(named(found, "vbsbatch_failures").values()) <= len(runs)
    assert Counter(name for name, _ in found)["vbsbatch_jobs"] == len(runs) * len(JobState)


def test_the_document_describes_each_metric_with_its_labels_and_no_other() -> None:
    rows = re.findall(r"^\| `(vbsbatch_\w+)` \| (.*?) \|", DOCUMENT, re.M)
    described = {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in rows}
    run = figures(rate=Rate(count=1), next_look_at=Wall(NOW), rate_used=1.0, circuit_open=False)
    found = shown([run], [PlanTotals(plan="nightly", succeeded_at=Wall(NOW))])
    assert described == {name: {label for label, _ in labels} for name, labels in found}
