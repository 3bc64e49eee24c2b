"""The progress lines of a run."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.store.fixtures import a_run
from vbsbatch.model import JobState, RunState
from vbsbatch.observers.progress_printer import ProgressPrinter

START = 1_795_000_000.0


def engine(*, ends_in: float | None, **counts: int) -> Any:
    states = Counter({JobState[name.upper()]: jobs for name, jobs in counts.items()})
    return SimpleNamespace(counts=states, retrying=0, paused=False, waits_for=None, ends_in=ends_in)


def test_the_line_has_the_end_that_the_engine_expects(tmp_path: Path) -> None:
    for ends_in, words in ((270.0, "eta=4m30s"), (None, "eta=-")):
        with (tmp_path / "told").open("w") as stream:
            printer = ProgressPrinter(stream=stream)
            printer.progress(engine(waiting=270, succeeded=30, ends_in=ends_in), START)
            printer._writer.close()
        assert words in (tmp_path / "told").read_text()


def test_the_line_has_the_gigabytes_of_the_store(tmp_path: Path) -> None:
    with (tmp_path / "told").open("w") as stream:
        printer = ProgressPrinter(stream=stream)
        live = engine(waiting=2, ends_in=None)
        printer.begin(
            a_run(), live, lambda: {JobState.SUCCEEDED: (12, 0), JobState.WAITING: (28, 1)}
        )
        printer.progress(live, START)
        printer._writer.close()
    assert " gb=12/40 " in (tmp_path / "told").read_text()


@pytest.mark.parametrize(
    "how",
    [
        {"state": RunState.ENDED, "ended_at": START, "heartbeat_at": START - 2},
        {"state": RunState.STOPPED, "heartbeat_at": START},
    ],
)
def test_the_last_lines_show_when_the_run_ended_even_if_printed_later(
    tmp_path: Path, how: dict[str, Any]
) -> None:
    run = a_run(**how)
    with (tmp_path / "told").open("w") as stream:
        printer = ProgressPrinter(stream=stream)
        printer.end(run, {JobState.SUCCEEDED: 1}, 0, None)
    lines = (tmp_path / "told").read_text().splitlines()
    assert [line.split()[:2] for line in lines] == [["11:06:40Z", "calls"], ["11:06:40Z", "end"]]
