"""One request on its way through the simulated cloud, with everything its handler needs."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from vbsbatch.simulator.call_log import CallLog
from vbsbatch.simulator.project_state import Project, SimBackup, SimJob, SimVolume, new_id
from vbsbatch.simulator.scenario import Do, Fault, Scenario, Span
from vbsbatch.simulator.wire import SimRequest


@dataclass(slots=True, kw_only=True)
class Call:
    """A routed and authorised request; `backup` and `job_id` are what its handler made of it."""

    request: SimRequest
    now: float
    """Arrival by the true clock."""
    project: Project
    scenario: Scenario
    rng: random.Random
    ledger: CallLog
    start: float
    """When the cloud came to life."""
    version: str = "v3"
    """The first word of the path."""
    root: str = ""
    """What stands before the version in links: scheme, host, and the prefix of the service."""
    target: str = ""
    """The id in the path, if it holds one."""
    reader: bool = False
    """True for a user who may only read."""
    content: Any = None
    """The body as JSON, None when it is none."""
    fault: Fault | None = None
    backup: SimBackup | None = None
    job_id: str | None = None

    def shown(self, at: float) -> float:
        """A time as the server's clock would tell it."""
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
    """Commit a create: from here on the backup comes about by itself, for better or worse."""
    outcome, code = _draw_outcome(call)
    if native and outcome == "absent":
        outcome = "error"  # Cinder writes its row first, and the row stays
    ends_at = call.now + call.draw(call.scenario.backups.duration)
    shows_at = min(call.now + call.draw(call.scenario.backups.visible_after), ends_at)
    backup = SimBackup(
        id=new_id(call.rng),
        seq=len(call.project.order),
        name=name,
        volume=volume,
        created_at=call.now,
        visible_at=ends_at if outcome == "absent" else shows_at,
        ends_at=ends_at,
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
    call.backup = backup
    return backup


def begin_job(
    call: Call,
    kind: str,
    backup: SimBackup,
    volume_id: str,
    ends_at: float,
    code: str | None = None,
) -> SimJob:
    """Start a cloud job that ends at `ends_at`; with a `code`, badly."""
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
    """Commit a restore: backup and volume are busy until it is over; the code it fails with."""
    until = call.now + call.draw(call.scenario.backups.duration)
    fault = call.fault
    fails = fault is not None and fault.do is Do.FAIL
    for each in (backup, volume):
        each.restoring_since, each.restoring_until = call.now, until
    volume.broken = fails
    call.backup = backup
    return (fault.code or call.scenario.backups.fail_code) if fault and fails else None


def _draw_outcome(call: Call) -> tuple[str, str | None]:
    script = call.scenario.backups
    if call.fault is not None and call.fault.do is Do.FAIL:
        code = call.fault.code or script.fail_code
        return ("absent" if call.fault.early else "error"), code
    chance = call.rng.random()
    if chance < script.fail_early:
        return "absent", script.fail_code
    if chance < script.fail_early + script.fail:
        return "error", script.fail_code
    return "available", None
