"""The steps of a schedule: what may be answered, and what may happen meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

LATE, STALE = 12.0, 10.0
"""Seconds by which the cloud delays a request, and by which a list is out of date.

Together they are less than `settle`: the plan says that a create stays invisible no longer.
"""
HOUR = 3600.0
GAP = 1.0
"""Seconds between the death of an engine and the start of the next; fewer than between creates."""

SETTLE, LOOK, ROUND = 30.0, 60.0, 60.0
"""Seconds: the plan's settle time, the longest time between two sweeps, and a backup with the wait
for its create."""

SENT = ("accepted", "refused", "lost-before", "lost-after", "late", "unauthorized")
"""Answers to a create or restore; the first is the one without a fault."""
LISTED = ("complete", "stale", "failing", "repeated", "unauthorized")
ANSWERS: Mapping[str, tuple[str, ...]] = {"create": SENT, "restore": SENT, "list": LISTED}

LOOKS_AGAIN = SETTLE + LOOK
STARTS_AGAIN = GAP + SETTLE + LOOK

COSTS: Mapping[str, float] = {
    "accepted": 0.0,
    "refused": ROUND,
    "lost-before": LOOKS_AGAIN + ROUND,
    "lost-after": LOOKS_AGAIN,
    "late": LOOKS_AGAIN,
    "unauthorized": LOOK,
    "complete": 0.0,
    "stale": LOOK,
    "failing": LOOKS_AGAIN,
    "repeated": 0.0,
    "ends-well": 0.0,
    "ends-badly": LOOK + ROUND,
    "kill": STARTS_AGAIN + ROUND,
    "kill-sent": STARTS_AGAIN,
    "first-copy": STARTS_AGAIN + ROUND,
    "last-copy": STARTS_AGAIN + ROUND,
    "wall+1h": 0.0,
    "wall-1h": 0.0,
    "cloud+1h": 0.0,
    "cloud-1h": 0.0,
    "suspend": LOOK,
    "command-given-up": 0.0,
    "command-orphaned": STARTS_AGAIN + ROUND,
}
"""Seconds by which each step may lengthen the night. A suspend counts in addition to its own
length; setting a clock costs nothing."""

NO_ATTEMPT = frozenset(COSTS) - {"refused", "lost-before", "lost-after", "late", "ends-badly"}
"""Events of a volume that are not its fault."""


@dataclass(frozen=True, kw_only=True)
class Opening:
    """The starting points of schedules: which run, on which service, after which steps."""

    operation: str = "backup"
    service: str = "vbs"
    together: int = 1
    """How many jobs one create may start."""
    plain_names: bool = False
    """Backup names do not identify the run: only the age of a backup does."""
    steps: tuple[str, ...] = ("complete",)
    """The first sweep, of a cloud that has nothing of the run yet, and other given steps."""
    settle: float = SETTLE
    meanwhile: tuple[str, ...]
    """What may happen while a request waits for its answer."""


USUAL = (
    "ends-well",
    "ends-badly",
    "kill",
    "kill-sent",
    "first-copy",
    "last-copy",
    "wall+1h",
    "wall-1h",
    "suspend",
    "command-given-up",
    "command-orphaned",
)
CLOCKS = ("cloud+1h", "cloud-1h")

OPENINGS: dict[str, Opening] = {
    "backup": Opening(meanwhile=USUAL),
    "lost": Opening(meanwhile=USUAL, steps=("complete", "lost-after", "late")),
    "first-look": Opening(meanwhile=USUAL, steps=()),
    "cinder": Opening(service="cinder", plain_names=True, meanwhile=(*USUAL, *CLOCKS)),
    "cbr": Opening(service="cbr", together=2, meanwhile=USUAL),
    "restore": Opening(operation="restore", meanwhile=(*USUAL[2:], *CLOCKS)),
}
