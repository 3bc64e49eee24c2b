"""May an errored backup be deleted? The store says that it failed; only the cloud knows. Pure."""

from __future__ import annotations

from vbsbatch.engine.reconcile import CLOCKS_DIFFER
from vbsbatch.model import Backup, Cloud, Elapsed, Job, on_cloud_clock, plain_id

_FAILED = frozenset({"error", "error_deleting"})


def objection(job: Job, backup: Backup, clock_ahead: float) -> str | None:
    """Why this backup must stay, None when it is what the job left behind in error.

    What the cloud does not tell is no objection, as long as it tells the name or the volume.
    """
    if backup.status not in _FAILED:
        return f"its status is {backup.status or 'unknown'}, not error"
    volume = None if backup.volume_id is None else plain_id(backup.volume_id)
    if volume not in (None, plain_id(job.volume_id)):
        return f"it is of volume {backup.volume_id}, not of {job.volume_id}"
    if backup.name is not None and backup.name.strip() != job.backup_name.strip():
        return f"its name is {backup.name!r}, not {job.backup_name!r}"
    if volume is None and backup.name is None:
        return "the cloud tells neither its name nor its volume"
    since = _first_create(job, clock_ahead)
    if since is None:
        return "nothing was sent for this job"
    if backup.created_at is not None and backup.created_at < since - CLOCKS_DIFFER:
        return "it is older than the run"
    return None


def _first_create(job: Job, clock_ahead: float) -> Cloud | None:
    """The earliest that the cloud's clock can have shown at the job's first create."""
    sent = None if job.first_sent_at is None else Elapsed(float(job.first_sent_at))
    spans = (
        on_cloud_clock(job.first_cloud_at, sent, clock_ahead),
        on_cloud_clock(job.intent_cloud_at, job.intent_at, clock_ahead),
    )
    return min((span[0] for span in spans if span is not None), default=None)
