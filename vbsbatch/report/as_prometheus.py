"""Metrics in Prometheus's text format, version 0.0.4.

Names, units and types are those of Prometheus's rules: base units, counters end in `_total`. The
number of labels is bounded, whatever a store holds: so many runs, plans, and codes of a plan.
docs/metrics.md describes each metric; a test compares the two.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from vbsbatch.model import JobState, PlanTotals, RunState
from vbsbatch.report.data import CodeCount, active, rate_limit
from vbsbatch.report.metrics import MetricsData, RunFigures
from vbsbatch.report.text import clean, cut
from vbsbatch.version import __version__

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

CODES = 10
"""Codes of one plan; jobs that failed with any other are under `OTHER`."""

PLANS = 50
"""Plans with a last success: those of the newest ones."""

OTHER = "other"

LABEL_MOST = 80
"""Characters of a label."""

GIGABYTE = 1024**3
"""Bytes; the clouds' GB are these."""

_RUN = ("run", "plan")


def exposition(data: MetricsData | None) -> str:
    """All metrics; None stands for a store that cannot be read: then `vbsbatch_up` is 0."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Families([*_always(data), *([] if data is None else _of_store(data))]))
    return generate_latest(registry).decode()


class _Families:
    """A collector of families that are made already."""

    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        """All of them."""
        return self._families


def _always(data: MetricsData | None) -> Iterator[Metric]:
    yield _gauge("up", "Whether the store could be read for this answer.", data is not None)
    build = GaugeMetricFamily("vbsbatch_build_info", "The version of vbsbatch.", labels=["version"])
    build.add_metric([__version__], 1)
    yield build


def _of_store(data: MetricsData) -> Iterator[Metric]:
    yield from _of_runs(data.runs)
    yield _failures(data.current())
    yield _last_success(data.totals)
    yield from _of_engines(data)
    yield from _counters(data.totals)


# Labels


def label(text: str) -> str:
    """The text as a label: cleaned and short. Prometheus's format escapes the rest."""
    return cut(clean(text), LABEL_MOST)


def _of(each: RunFigures) -> list[str]:
    return [label(each.run.id), label(each.run.plan)]


# Runs


def _of_runs(runs: Sequence[RunFigures]) -> Iterator[Metric]:
    jobs = GaugeMetricFamily("vbsbatch_jobs", "Jobs of a run, by state.", labels=[*_RUN, "state"])
    states = GaugeMetricFamily(
        "vbsbatch_run_state", "1 for the state that a run is in.", labels=[*_RUN, "state"]
    )
    info = GaugeMetricFamily(
        "vbsbatch_run_info",
        "What a run does, and where.",
        labels=[*_RUN, "operation", "service", "cloud"],
    )
    for each in runs:
        run = each.run
        for state in JobState:
            jobs.add_metric([*_of(each), state], each.counts.get(state, 0))
        for known in RunState:
            states.add_metric([*_of(each), known], run.state is known)
        cloud = label(run.cloud or "")
        info.add_metric([*_of(each), run.settings.operation, run.settings.service, cloud], 1)
    yield from (jobs, states, info)


def _failures(runs: Iterable[RunFigures]) -> Metric:
    """Of several runs of one plan the sum; of a plan without failures a 0, so that it is known."""
    family = GaugeMetricFamily(
        "vbsbatch_failures",
        "Failed jobs of the newest run of a plan, and of its other runs at work, by code.",
        labels=["plan", "code"],
    )
    plans: dict[str, Counter[str]] = {}
    for each in runs:
        codes = plans.setdefault(label(each.run.plan), Counter())
        for row in each.failures:
            codes[_code(row)] += row[2]
    for plan, codes in plans.items():
        for code, jobs in _bounded(codes).items():
            family.add_metric([plan, code], jobs)
    return family


def _code(row: CodeCount) -> str:
    status, code, _ = row
    if code is not None:
        return label(code)
    return "no answer" if status is None else f"HTTP {status}"


def _bounded(codes: Counter[str]) -> dict[str, int]:
    """The most frequent codes, and `OTHER`, which is always there, for all others."""
    named = sorted(codes.items(), key=lambda pair: (-pair[1], pair[0]))
    kept = dict([pair for pair in named if pair[0] != OTHER][:CODES])
    return {**kept, OTHER: codes.total() - sum(kept.values())}


# Engines


def _of_engines(data: MetricsData) -> Iterator[Metric]:
    """What engines are at; of a run whose engine is gone only that."""
    begun = [each for each in data.runs if each.begun]
    driven = [each for each in begun if each.driven]
    told = [each for each in begun if each.live is not None]
    yield _by_run(
        "heartbeat_age_seconds",
        "Time since the engine of a run that should have one last reported.",
        begun,
        lambda each: data.now - float(each.run.heartbeat_at or each.run.created_at),
    )
    yield _by_run(
        "engine_up",
        "Whether a process drives the run; absent where that cannot be told.",
        told,
        lambda each: float(bool(each.live)),
    )
    yield _by_run(
        "oldest_running_seconds",
        "Age of the oldest create whose backup is still being made; 0 without one.",
        driven,
        lambda each: 0.0 if each.oldest_at is None else data.now - each.oldest_at,
    )
    yield _by_run(
        "next_look_seconds",
        "Time until the engine reads the cloud's list next; absent while it can show nothing.",
        [each for each in driven if each.run.next_look_at is not None],
        lambda each: float(each.run.next_look_at or 0.0) - data.now,
    )
    yield _places(driven)
    yield from _rates(driven)
    yield _by_run(
        "circuit_open",
        "Whether the engine waits for a service that is down, as of its heartbeat.",
        [each for each in driven if each.run.circuit_open is not None],
        lambda each: float(bool(each.run.circuit_open)),
    )


def _places(driven: Iterable[RunFigures]) -> Metric:
    family = GaugeMetricFamily(
        "vbsbatch_places",
        "Backups that may run at once, by whether a job uses the place (used, free).",
        labels=[*_RUN, "state"],
    )
    for each in driven:
        used = active(each.counts)
        cap = each.run.in_flight or each.run.settings.limits.in_flight
        family.add_metric([*_of(each), "used"], used)
        family.add_metric([*_of(each), "free"], max(0, cap - used))
    return family


def _rates(driven: Sequence[RunFigures]) -> Iterator[Metric]:
    yield _by_run(
        "rate_limit",
        "Creates per second that the plan, or an operator since, allows.",
        driven,
        lambda each: rate_limit(each.run).per_second,
    )
    yield _by_run(
        "rate_allowed",
        "Creates per second that the engine allows itself: fewer while the cloud throttles.",
        [each for each in driven if each.rate is not None],
        lambda each: 0.0 if each.rate is None else each.rate.per_second,
    )
    yield _by_run(
        "rate_used",
        "Creates per second that the engine sent in the minute before its heartbeat.",
        [each for each in driven if each.run.rate_used is not None],
        lambda each: each.run.rate_used or 0.0,
    )


def _by_run(
    name: str, text: str, runs: Iterable[RunFigures], value: Callable[[RunFigures], float]
) -> Metric:
    """One value for each run, never below 0: clocks of two processes may differ."""
    family = GaugeMetricFamily(f"vbsbatch_{name}", text, labels=_RUN)
    for each in runs:
        family.add_metric(_of(each), max(0.0, value(each)))
    return family


# Plans and totals


def _last_success(totals: Iterable[PlanTotals]) -> Metric:
    family = GaugeMetricFamily(
        "vbsbatch_last_success_timestamp_seconds",
        "When a run of the plan last ended with every volume backed up or skipped.",
        labels=["plan"],
    )
    known: dict[str, float] = {}
    for each in totals:
        if each.plan is not None and each.succeeded_at is not None:
            plan = label(each.plan)
            known[plan] = max(float(each.succeeded_at), known.get(plan, 0.0))
    for plan, at in sorted(known.items(), key=lambda pair: -pair[1])[:PLANS]:
        family.add_metric([plan], at)
    return family


def _counters(totals: Sequence[PlanTotals]) -> Iterator[Metric]:
    yield CounterMetricFamily(
        "vbsbatch_bytes",
        "Size of the volumes that were backed up, each time that it was done.",
        value=sum(each.gigabytes for each in totals) * GIGABYTE,
    )
    calls = CounterMetricFamily(
        "vbsbatch_api_calls", "Requests of all engines to the cloud.", labels=["kind"]
    )
    calls.add_metric(["create"], sum(each.create_calls for each in totals))
    calls.add_metric(["read"], sum(each.read_calls for each in totals))
    yield calls


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"vbsbatch_{name}", text, value=value)
