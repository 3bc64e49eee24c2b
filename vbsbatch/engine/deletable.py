"""May an errored backup be deleted? The store says that it failed; only the cloud knows. Pure."""

from __future__ import annotations

from vbsbatch.engine.reconcile import CLOCKS_DIFFER
from vbsbatch.model import Backup, Job, plain_id

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
    since = job.first_sent_at or job.intent_at
    if since is None:
        return "nothing was sent for this job"
    if backup.created_at is not None and backup.created_at < since + clock_ahead - CLOCKS_DIFFER:
        return "it is older than the run"
    return None
