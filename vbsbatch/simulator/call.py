"""One request to the simulated cloud with all that its handler needs, and the log of all calls."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from vbsbatch.simulator.project_state import Project, SimBackup, SimJob, SimVolume, new_id
from vbsbatch.simulator.scenario import Do, Fault, Kind, Scenario, Span
from vbsbatch.simulator.wire import SimRequest

Row = dict[str, Any]
"""One happening: `at` (epoch seconds of the true clock), `what`, and what belongs to it.

========== =====================================================================================
what       further keys
========== =====================================================================================
create     volume, name, outcome (`accepted`, `refused`, `unseen`), status, code, fate, backup, job,
           request (its number; one row for each volume that it names)
ended      volume, backup, job, status (`available`, `error`, `absent`), code
delete     volume, backup
restore    volume (the one that is overwritten), backup, job
token      user, method, outcome (`issued`, `refused`)
revoke     tokens (how many)
========== =====================================================================================

`unseen` is a create that never reached the service: dropped, refused or left hanging before the
commit. An accepted one may have had no answer: see `fate`.
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
        """Count a call, whatever its result."""
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
        times = sorted({row["request"]: row["at"] for row in self.of("create")}.values())
        return max(
            (index - bisect_right(times, at - per) + 1 for index, at in enumerate(times)), default=0
        )


@dataclass(slots=True, kw_only=True)
class Call:
    """A routed and authorised request; its handler sets `backup` and `job_id`, `begin_backup` adds
    to `made`."""

    request: SimRequest
    now: float
    """Arrival by the true clock."""
    project: Project
    scenario: Scenario
    rng: random.Random
    ledger: CallLog
    start: float
    """When the cloud started."""
    version: str = "v3"
    """The first word of the path."""
    root: str = ""
    """The part of links before the version: scheme, host, and the prefix of the service."""
    target: str = ""
    """The id in the path, if it holds one."""
    reader: bool = False
    """True for a user who may only read."""
    content: Any = None
    """The body as JSON, None when it is none."""
    fault: Fault | None = None
    backup: SimBackup | None = None
    """The one that is restored or deleted."""
    job_id: str | None = None
    made: list[SimBackup] = field(default_factory=list)
    """What a create makes."""

    @property
    def detail(self) -> bool:
        """Whether a list is asked for whole entries."""
        return self.request.path.rstrip("/").endswith("/detail")

    def shown(self, at: float) -> float:
        """A time as the server's clock shows it."""
        return at + self.scenario.ahead(at - self.start)

    def draw(self, span: Span) -> float:
        """A duration out of a range."""
        return span[0] if span[0] == span[1] else self.rng.uniform(*span)


def begin_backup(
    call: Call,
    volume: SimVolume,
    *,
    name: str | None,
    native: bool,
    description: str | None = None,
    incremental: bool = False,
    snapshot_id: str | None = None,
    parent_id: str | None = None,
    metadata: dict[str, str] | None = None,
) -> SimBackup:
    """Commit a create: from now on the backup is made, or fails, by itself."""
    outcome, code = _draw_outcome(call, volume)
    if native and outcome == "absent":
        outcome = "error"  # Cinder writes its row first, and the row stays
    ends_at = call.now + call.draw(call.scenario.backups.duration)
    shows_at = min(call.now + call.draw(call.scenario.backups.visible_after), ends_at)
    late = call.draw(call.scenario.backups.listed_after)
    backup = SimBackup(
        id=new_id(call.rng),
        seq=len(call.project.order),
        name=name,
        volume=volume,
        created_at=call.now,
        visible_at=ends_at if outcome == "absent" else shows_at,
        ends_at=ends_at,
        listed_late=late,
        outcome=outcome,
        code=code,
        native=native,
        description=description,
        incremental=incremental,
        snapshot_id=snapshot_id,
        parent_id=parent_id,
        metadata=metadata or {},
    )
    call.project.add(backup)
    call.ledger.backup_begun()
    call.made.append(backup)
    return backup


def begin_job(
    call: Call,
    kind: str,
    backup: SimBackup,
    volume_id: str,
    ends_at: float,
    code: str | None = None,
) -> SimJob:
    """Start a cloud job that ends at `ends_at`; with a `code` it fails."""
    job = SimJob(
        id=f"{call.rng.getrandbits(128):032x}",
        kind=kind,
        backup=backup,
        volume_id=volume_id,
        begins_at=call.now,
        ends_at=ends_at,
        code=code,
    )
    call.project.jobs[job.id] = job
    call.job_id = job.id
    return job


def begin_restore(call: Call, backup: SimBackup, volume: SimVolume) -> str | None:
    """Commit a restore, which keeps backup and volume busy; returns the code that it fails with."""
    until = call.now + call.draw(call.scenario.backups.duration)
    fault = call.fault
    fails = fault is not None and fault.do is Do.FAIL
    for each in (backup, volume):
        each.restoring_since, each.restoring_until = call.now, until
    volume.broken = fails
    call.backup = backup
    return (fault.code or call.scenario.backups.fail_code) if fault and fails else None


def over_quota(call: Call, volume: SimVolume) -> str | None:
    """Which quota a backup of the volume would exceed: `backups` or `gigabytes`; None for none."""
    quota = call.scenario.quota
    if quota.backups < 0 and quota.gigabytes < 0:
        return None
    backups, gigabytes = call.project.used(call.now)
    if 0 <= quota.backups <= backups:
        return "backups"
    return "gigabytes" if 0 <= quota.gigabytes < gigabytes + volume.size else None


def _draw_outcome(call: Call, volume: SimVolume) -> tuple[str, str | None]:
    script, fault = call.scenario.backups, call.fault
    if fault is not None and fault.do is Do.FAIL and volume.id in (fault.volumes or {volume.id}):
        code = fault.code or script.fail_code
        return ("absent" if fault.early else "error"), code
    chance = call.rng.random()
    if chance < script.fail_early:
        return "absent", script.fail_code
    if chance < script.fail_early + script.fail:
        return "error", script.fail_code
    return "available", None
