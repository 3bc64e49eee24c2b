"""How a run stands and how it ended: what is told of it, and the exit code."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from vbsbatch.cli import FAILED, STOPPED
from vbsbatch.cli.parent_death import is_tied
from vbsbatch.model import JobState, RunState

if TYPE_CHECKING:
    from vbsbatch.cli.progress import ProgressPrinter
    from vbsbatch.model import Run
    from vbsbatch.report import ReportData
    from vbsbatch.store import Store

LOST = (JobState.FAILED, JobState.CANCELLED)


def outcome(counts: Mapping[JobState, int]) -> int:
    """The exit code of a run whose jobs have all ended."""
    return FAILED if any(counts.get(state) for state in LOST) else 0


def exit_code_of(store: Store, run: Run) -> int:
    """What the run's state means to whoever watched it."""
    return outcome(store.counts(run.id)) if run.state is RunState.ENDED else STOPPED


def tell_end(store: Store, run: Run, voice: ProgressPrinter | None = None) -> int:
    """Tell how a run ended, in lines for people unless `voice` has another style; its exit code."""
    from vbsbatch.cli.progress import ProgressPrinter

    code = exit_code_of(store, run)
    voice = voice or ProgressPrinter(style="plain", verbose=False, run=run)
    voice.end(run, store.counts(run.id), code, next_command(store, run) if code else None)
    return code


def next_command(store: Store, run: Run) -> str | None:
    """What to type next, if there is anything to do."""
    from vbsbatch.report.data import next_commands

    return next(iter(next_commands(report_data(store, run))), None)


def headline(store: Store, run: Run) -> ReportData:
    """As much of what the store knows of a run as its line in the list of runs tells."""
    from vbsbatch.policy import documented
    from vbsbatch.report import ReportData

    holder = store.is_live(run.id)
    return ReportData(
        run=run,
        counts=store.counts(run.id),
        meaning=documented,
        now=time.time(),
        failures=store.failures(run.id),
        live=False if holder is None else holder.live,
    )


def report_data(store: Store, run: Run) -> ReportData:
    """What the store knows of a run, as the reports want it."""
    from vbsbatch.store import db_option

    return replace(
        headline(store, run),
        answers=store.answers(run.id),
        jobs=partial(store.jobs, run.id),
        attempts=store.attempt_total(run.id),
        retrying=store.retrying(run.id),
        db_option=db_option(store.path),
        holders=[] if run.state is RunState.ENDED else store.holders(run.id),
        temporary=is_tied(),
        waves=store.wave_counts(run.id) if run.settings.waves else {},
    )
