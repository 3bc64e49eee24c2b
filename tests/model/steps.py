"""The steps of a schedule: what may be answered, and what may happen meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

LATE, STALE = 12.0, 10.0
"""Seconds: a request that the cloud works off so much later, a list so old. Together less than
`settle`: longer a create does not stay invisible, says the plan."""
HOUR = 3600.0
GAP = 1.0
"""Seconds between the death of an engine and the start of the next: less than between creates."""

SETTLE, LOOK, ROUND = 30.0, 60.0, 60.0
"""Seconds: the plan's settle time, the longest between two looks, and a backup with the wait for
its create."""

SENT = ("accepted", "refused", "lost-before", "lost-after", "late", "unauthorized")
"""Answers to a create or restore; the first is that of a night in which all goes well."""
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
"""By how many seconds each may make the night longer. A suspend counts beside its own length; the
step of a clock costs nothing."""

NO_ATTEMPT = frozenset(COSTS) - {"refused", "lost-before", "lost-after", "late", "ends-badly"}
"""What happens to a volume without being its fault."""


@dataclass(frozen=True, kw_only=True)
class Opening:
    """Where the schedules begin: which run, on which service, after which steps."""

    operation: str = "backup"
    service: str = "vbs"
    plain_names: bool = False
    """Backup names do not tell the run: only the age of a backup tells whose it is."""
    steps: tuple[str, ...] = ("complete",)
    """The first look, at a cloud that has nothing of the run yet, and what else is given."""
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
    "restore": Opening(operation="restore", meanwhile=(*USUAL[2:], *CLOCKS)),
}
