"""What a run tells while it goes on."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.store.fixtures import a_run
from vbsbatch.cli.progress import ProgressPrinter
from vbsbatch.model import JobState, RunState

START = 1_795_000_000.0


def engine(**counts: int) -> Any:
    states = Counter({JobState[name.upper()]: jobs for name, jobs in counts.items()})
    ledger = SimpleNamespace(counts=states, tally=lambda: dict(states), retrying=0)
    return SimpleNamespace(ledger=ledger, paused=False, waits_for=None)


def told(file: Path, *moments: Any) -> str:
    """The line after these moments of a run, ten seconds apart."""
    run: Any = SimpleNamespace(settings=SimpleNamespace(retry=SimpleNamespace(attempts=6)))
    with file.open("w") as stream:
        voice = ProgressPrinter(style="plain", verbose=False, run=run, stream=stream)
        for number, moment in enumerate(moments):
            voice.sample(moment, START + 10 * number)
        voice.progress(moments[-1], START + 10 * len(moments))
        voice._scribe.close()
    return file.read_text()


def test_jobs_that_are_cancelled_bring_the_end_no_nearer_than_by_themselves(tmp_path: Path) -> None:
    moments = [engine(waiting=300 - 10 * n, succeeded=10 * n) for n in range(4)]
    assert "eta=4m30s" in told(tmp_path / "before", *moments)
    cancelled = engine(waiting=130, succeeded=30, cancelled=140)
    assert "eta=2m53s" in told(tmp_path / "after", *moments, cancelled)


@pytest.mark.parametrize(
    "how",
    [
        {"state": RunState.ENDED, "ended_at": START, "heartbeat_at": START - 2},
        {"state": RunState.STOPPED, "heartbeat_at": START},
    ],
)
def test_the_last_lines_have_the_time_of_the_run_s_end_whenever_they_are_told(
    tmp_path: Path, how: dict[str, Any]
) -> None:
    run = a_run(**how)
    with (tmp_path / "told").open("w") as stream:
        voice = ProgressPrinter(style="plain", verbose=False, run=run, stream=stream)
        voice.end(run, {JobState.SUCCEEDED: 1}, 0, None)
    lines = (tmp_path / "told").read_text().splitlines()
    assert [line.split()[:2] for line in lines] == [["11:06:40Z", "calls"], ["11:06:40Z", "end"]]
