"""Runs of every kind, and every text that the report room makes of them."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TextIO

from vbsbatch.model import (
    Answer,
    Attempt,
    BlockingRun,
    JobMoved,
    JobState,
    Operation,
    Rate,
    RunNoted,
    RunState,
    Service,
    Settings,
    Verdict,
    VerifySummary,
    Wall,
    Wave,
    Window,
)
from vbsbatch.report import (
    FORMATS,
    End,
    Progress,
    ReportData,
    as_csv,
    as_json,
    as_table,
    jsonlines,
    plain,
    write,
)
from vbsbatch.report.sizes import sizes_of

from ..samples import (
    HOSTILE,
    PLACE,
    T0,
    Terminal,
    failed,
    hostile_job,
    hostile_report,
    job,
    one_of_each,
    report,
    run,
    with_evidence,
)

WAVED = Settings(
    waves=(Wave(name="canary"), Wave(name="re|st")),
    window=Window(opens=1320, closes=360, timezone="Europe/Berlin"),
)
WAVES = {0: {JobState.SUCCEEDED: 3, JobState.FAILED: 2}, 1: {JobState.WAITING: 295}}
HOLDERS = (
    BlockingRun(run_id="20261122-0700-aaaa", state=RunState.STOPPED, driven=False, volumes=2),
    BlockingRun(run_id="20261122-0800-bbbb", state=RunState.RUNNING, driven=True, volumes=7),
)
WIDTHS = (40, 80, 140)
"""Columns of the terminals that tables are written to."""

RUNS: dict[str, Callable[[], ReportData]] = {
    "without jobs": report,
    "one of each": lambda: report(one_of_each(), run=run(**PLACE)),
    "held back, with waves": lambda: report(
        [*one_of_each(), failed(10, code="X.1"), failed(11, http_status=None, code=None)],
        run=run(settings=WAVED, state=RunState.PAUSED, reason="wave canary ended with 2 failed"),
        live=True,
        holders=HOLDERS,
        waves=WAVES,
        db_option=" --db '/a b/c.db'",
    ),
    "with evidence": lambda: report(
        with_evidence(),
        run=run(
            **PLACE,
            rate=Rate(count=100, per=60),
            verified_at=Wall(T0 + 5000),
            verified=VerifySummary(differences=(("missing", 1),), leftovers=2, pruned=3),
        ),
        sizes={JobState.SUCCEEDED: (140, 0), JobState.FAILED: (0, 1)},
    ),
    "live, with what comes next": lambda: report(
        one_of_each(),
        run=run(
            state=RunState.RUNNING,
            ended_at=None,
            next_look_at=Wall(T0 + 5012),
            ends_at=Wall(T0 + 8600),
        ),
        live=True,
        sizes={JobState.SUCCEEDED: (40, 0), JobState.WAITING: (80, 1)},
    ),
    "hostile": lambda: hostile_report("</td>|\x1b[31m*[x](y)\u202e\u6f22=1\n<b>&amp;`"),
    "succeeded": lambda: report([job(1, state=JobState.SUCCEEDED, attempts=1, ended_at=T0)]),
    "skipped only": lambda: report([job(1, state=JobState.SKIPPED, message="backed up today")]),
    "failed only": lambda: report([failed(no, code=f"X.{no % 3}") for no in range(1, 8)]),
    "not started": lambda: report(
        [job(1)], run=run(cloud=None, state=RunState.RUNNING, started_at=None, ended_at=None)
    ),
    "restore on Cinder": lambda: report(
        one_of_each(),
        service="Cinder",
        run=run(
            settings=Settings(
                service=Service.CINDER, operation=Operation.RESTORE, source_run="20261101-0000-zzzz"
            )
        ),
    ),
    "prune, taken over": lambda: report(
        one_of_each(),
        run=run(settings=Settings(operation=Operation.PRUNE, source_run="r"), adopted=3),
    ),
    "temporary": lambda: report(one_of_each(), temporary=True, run=run(adopted=1)),
    "unknown codes": lambda: report(
        one_of_each(), answers=[(599, "Y.1", 3), (500, None, 2), (201, None, 9), (418, None, 9)]
    ),
    "many jobs": lambda: report([failed(no, message="m" * (no % 90)) for no in range(1, 700)]),
}

for _state in RunState:
    for _live in (True, False, None):
        RUNS[f"{_state.value}, live {_live}"] = (
            lambda state=_state, live=_live: report(  # type: ignore[misc]
                one_of_each(),
                run=run(state=state, reason="why", ended_at=None, heartbeat_at=T0 + 70),
                live=live,
                holders=HOLDERS[:1],
            )
        )
for _no, _text in enumerate(HOSTILE):
    RUNS[f"hostile {_no}"] = lambda text=_text: hostile_report(text)  # type: ignore[misc]

READABLE = ("one of each", "held back, with waves", "with evidence", "hostile")
"""Runs whose reports are kept whole; of the others, and of lines of progress, a checksum is."""


def outputs(data: ReportData) -> Iterator[tuple[str, str]]:
    """Everything that can be written of one run, as (name, text)."""
    for name in FORMATS:
        for all_jobs in (False, True):
            label = f"{name}{' --all' if all_jobs else ''}"
            stream = io.StringIO(newline="")
            write(data, name, stream, all_jobs=all_jobs)
            yield label, stream.getvalue()
    yield "status table", _written(lambda to: as_table.write_status(data, to))
    yield "status json", _written(lambda to: as_json.write_status(data, to))
    yield "jobs table", _written(lambda to: as_table.write_jobs(data.jobs(), to, now=data.now))
    yield "jobs json", _written(lambda to: as_json.write_jobs(data.run.id, data.jobs(), to))
    yield "jobs csv", _written(lambda to: as_csv.write_jobs(data.jobs(), to))
    runs = [data, replace(data, live=True)]
    yield "runs table", _written(lambda to: as_table.write_runs(runs, to))
    yield "runs json", _written(lambda to: as_json.write_runs(runs, to))
    yield "lines plain", "\n".join(_lines(data, plain))
    yield "lines json", "\n".join(_lines(data, jsonlines))


def on_terminal(data: ReportData) -> Iterator[tuple[str, str]]:
    """What is written to a terminal, whose width `COLUMNS` tells."""
    yield "table", _written(lambda to: write(data, "table", to), Terminal())
    yield "table --all", _written(lambda to: write(data, "table", to, all_jobs=True), Terminal())
    yield "runs table", _written(lambda to: as_table.write_runs([data, data], to), Terminal())


def _written(write_to: Callable[[TextIO], None], stream: io.StringIO | None = None) -> str:
    to = io.StringIO(newline="") if stream is None else stream
    write_to(to)
    return to.getvalue()


def _lines(data: ReportData, form: object) -> Iterator[str]:
    """Every kind of progress line; `form` is `plain` or `jsonlines`."""
    line, progress, calls, end = (
        getattr(form, name) for name in ("line", "progress", "calls", "end")
    )
    attempt = Attempt(
        number=5, sent_at=Wall(T0), took=0.1, verdict=Verdict.UNKNOWN, answer=Answer(status=500)
    )
    note = data.run.plan * 40
    for each in [*data.jobs(), hostile_job(1, data.run.plan)]:
        for tried in (None, attempt):
            move = JobMoved(
                job=each, came_from=JobState.RUNNING, at=Wall(T0), note=note, attempt=tried
            )
            yield line(move, attempts=6)
    yield line(RunNoted(at=Wall(T0), kind=data.run.plan[:9], text=note), attempts=5)
    for eta in (None, 959.6):
        yield progress(
            Progress(
                at=T0,
                counts=data.counts,
                retry=1,
                rate=1 / 3,
                eta=eta,
                sizes=sizes_of(data.sizes),
                waits_for=note,
            )
        )
    yield calls(T0, data.run, data.counts)
    for code in (0, 1, 2, 3, 130, 99):
        yield end(End(at=T0, run=data.run, counts=data.counts, exit_code=code, next=note))
