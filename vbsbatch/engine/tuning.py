"""Numbers of the engine that no plan sets, each with its reason."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Tuning:
    """How the engine paces itself; durations in seconds."""

    claim_ahead: float = 0.25
    """How much work at the current speed to claim at once. More saves commits, and widens the set
    of jobs whose outcome a crash leaves unknown."""
    claim_most: int = 512
    outage_after: int = 5
    """This many outage-class answers in a row, across jobs, open the circuit breaker."""
    excuses: int = 2
    """How many times a job is excused for meeting an outage that few other jobs met."""
    outage_many: int = 10
    """An outage that this many jobs met is real, however long it lasts."""
    probe_first: float = 5.0
    probe_longest: float = 60.0
    freshest: float = 1.0
    """Shortest time between two sweeps of the backup list."""
    fresh: float = 10.0
    """Time between sweeps while a running backup is due to end."""
    stale: float = 60.0
    """Longest time between sweeps while something is open."""
    read_retry_first: float = 2.0
    read_retry_longest: float = 60.0
    reads_per_second: float = 10.0
    page_tries: int = 3
    """How many times a page that is not the first of a sweep is requested."""
    pages_at_most: int = 5000
    """A longer list is a fault: a page has a thousand entries, or what the cloud gives."""
    alone_at_most: int = 3
    """Up to this many running backups that a page does not show are queried one by one instead of
    by another page. Also, up to this many such queries may fail in one sweep."""
    unseen_for: float = 60.0
    """An accepted backup that no list has shown for this long is looked up by its cloud job."""
    stuck_after: float = 3600.0
    """After this long in progress, a backup's cloud job is queried to see whether it still
    works."""
    lost_after: int = 3
    """This many cloud-job queries that find nothing make an accepted job unknown."""
    throttle_hold: float = 1.0
    """How long creates stop after a 429 that names no time."""
    throttle_hold_longest: float = 300.0
    climb_every: float = 10.0
    climb_by: float = 0.05
    """Fraction of the plan's rate regained at each step."""
    lowest_rate: float = 1 / 30
    """Throttling never lowers the rate below this many creates a second."""
    poll: float = 0.5
    """Time between two checks of the commands table."""
    heartbeat: float = 3.0
