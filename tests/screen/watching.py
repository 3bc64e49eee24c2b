"""Compares what a screen shows with the store at the same moment."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from tests.cli.harness import Harness, until
from tests.screen.tmux import Window
from vbsbatch.store import open_store

DETACH = r"q Detach"
"""The footer: the screen is there."""

_WORDS = {
    "wait": "waiting",
    "active": "running",
    "retry": "retry",
    "unknown": "unknown",
    "ok": "succeeded",
    "FAIL": "failed",
    "cancelled": "cancelled",
    "skipped": "skipped",
}


def header_counts(text: str) -> dict[str, int]:
    """The counts of the overview's header, by the store's words; zeros left out."""
    line = next(line for line in text.splitlines() if " ok " in line and " FAIL " in line)
    found = re.findall(r"([a-zA-Z]+) (\d+)", line)
    return {_WORDS[word]: int(count) for word, count in found if word in _WORDS and int(count)}


def sql_counts(store: Path) -> dict[str, int]:
    """The same from the store, asked in SQL."""
    query = """
SELECT CASE WHEN state = 'waiting' AND attempts > 0 THEN 'retry'
            WHEN state = 'submitting' THEN 'running' ELSE state END AS word, count(*)
FROM job_list GROUP BY word"""
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as db:
        return dict(db.execute(query).fetchall())


def settled(harness: Harness, *windows: Window) -> dict[str, int]:
    """Wait until nothing is under way, and store and every screen say the same; the counts."""

    def same() -> dict[str, int] | None:
        before = sql_counts(harness.store)
        shown = [header_counts(window.text()) for window in windows]
        still = not {"running", "unknown"} & before.keys()
        return before if still and all(counts == before for counts in shown) else None

    agreed = until(same)
    assert sql_counts(harness.store) == agreed
    return dict(agreed)


def engine_of(harness: Harness) -> int | None:
    """The process that drives the newest run."""
    with open_store(harness.store, readonly=True) as store:
        holder = store.is_live(store.runs()[0].id)
        return None if holder is None else holder.pid


def ended(harness: Harness) -> Callable[[], bool]:
    """Whether the newest run has ended and its engine is gone."""

    def look() -> bool:
        return harness.runs()[0]["state"] == "ended" and engine_of(harness) is None

    return look
