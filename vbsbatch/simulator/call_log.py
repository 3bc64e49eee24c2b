"""What really happened in a simulated cloud: the truth that tests compare a run against."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from typing import Any

from vbsbatch.simulator.scenario import Kind

Row = dict[str, Any]
"""One happening: `at` (epoch seconds of the true clock), `what`, and what belongs to it.

========== =====================================================================================
what       further keys
========== =====================================================================================
create     volume, name, outcome (`accepted`, `refused`, `unseen`), status, code, fate, backup, job
ended      volume, backup, job, status (`available`, `error`, `absent`), code
delete     volume, backup
restore    volume (the one that is overwritten), backup, job
token      user, method, outcome (`issued`, `refused`)
revoke     tokens (how many)
========== =====================================================================================

`unseen` is a create that the service never got to see: dropped, refused or left hanging before the
commit. An accepted one may still have had no answer: `fate` says what became of the answer.
"""


class CallLog:
    """An append-only list of what happened, and a count of every call by kind."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.calls: Counter[str] = Counter()
        self.running = 0
        self.peak_running = 0
        """The most backups that were ever in the making at once."""

    def note(self, what: str, at: float, **rest: object) -> None:
        """Append a row."""
        self.rows.append({"at": at, "what": what, **rest})

    def count(self, kind: Kind) -> None:
        """Count a call, whatever becomes of it."""
        self.calls[kind.value] += 1

    def backup_begun(self) -> None:
        """One more backup is in the making."""
        self.running += 1
        self.peak_running = max(self.peak_running, self.running)

    def backup_over(self) -> None:
        """One backup less is in the making."""
        self.running -= 1

    def of(self, what: str) -> list[Row]:
        """All rows of one sort."""
        return [row for row in self.rows if row["what"] == what]

    def peak_creates(self, per: float) -> int:
        """The most create requests that arrived (or were lost) within any `per` seconds."""
        times = sorted(row["at"] for row in self.of("create"))
        return max(
            (index - bisect_right(times, at - per) + 1 for index, at in enumerate(times)), default=0
        )
