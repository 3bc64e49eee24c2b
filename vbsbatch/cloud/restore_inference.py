"""What backup and volume show about a restore that was not confirmed. Pure.

A restore moves its backup to `restoring` and back, and its volume to `restoring-backup` and back;
each move changes `updated_at`. Nothing else changes both of them, so only their agreement proves
anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from vbsbatch.model import Backup, Cloud, CloudJob, CloudJobStatus, CloudVolume, Job, plain_id

SLACK = 2.0
"""Seconds by which `updated_at` and our clock (corrected by `Date`, whole seconds) may disagree."""


TOGETHER = 2.0
"""Seconds within which the end of a restore changes both, if its work was not seen."""


class RestoreTrace(StrEnum):
    """The result of a restore."""

    UNDER_WAY = "under way"  # backup or volume is being restored
    DONE = "done"  # both were touched since, at the same time, and both are available
    FAILED = "failed"  # the volume was left in error
    NEVER = "never"  # neither was touched since: the request did nothing
    UNCLEAR = "unclear"  # backup and volume do not prove anything


@dataclass(frozen=True, kw_only=True, slots=True)
class RestoreLog:
    """What a service that keeps a log says about one restore."""

    volume_id: str
    backup_id: str | None
    began_at: Cloud
    status: CloudJobStatus | None
    code: str | None = None
    message: str | None = None

    def is_of(self, job: Job, since: tuple[Cloud, Cloud]) -> bool:
        """Whether it is the job's restore, requested after the first of these moments."""
        source = plain_id(job.settings.source_backup_id or "")
        same = self.backup_id is None or plain_id(self.backup_id) == source
        onto = plain_id(self.volume_id) == plain_id(job.volume_id)
        return onto and same and self.began_at >= since[0] - SLACK

    def as_cloud_job(self) -> CloudJob:
        """The same in the engine's terms."""
        return CloudJob(id="", status=self.status, code=self.code, message=self.message)


def unconfirmed(
    backup: Backup | None,
    volume: CloudVolume | None,
    since: tuple[Cloud, Cloud],
    now: Cloud,
    *,
    witnessed: bool = False,
) -> RestoreTrace:
    """The result of a restore whose answer was lost.

    `since` are the earliest and the latest time that the server's clock can have shown at its
    intent, `now` is what it shows. `witnessed`: since then, both were seen being restored.
    """
    if under_way(backup, volume):
        return RestoreTrace.UNDER_WAY
    if backup is None or volume is None:
        return RestoreTrace.FAILED if _in_error(backup, volume) else RestoreTrace.UNCLEAR
    touched = {_touched(each.updated_at, since, now) for each in (backup, volume)}
    if touched == {False}:
        return RestoreTrace.NEVER
    if _in_error(backup, volume):
        return RestoreTrace.FAILED
    ended = (backup.status, volume.status) == ("available", "available")
    one = witnessed or _together(backup.updated_at, volume.updated_at)
    return RestoreTrace.DONE if ended and touched == {True} and one else RestoreTrace.UNCLEAR


def untouched(
    backup: Backup | None, volume: CloudVolume | None, since: tuple[Cloud, Cloud]
) -> bool:
    """Whether one of the two has certainly not changed since: then there was no restore."""
    known = (each.updated_at for each in (backup, volume) if each is not None)
    return not under_way(backup, volume) and any(_older(at, since) for at in known)


def confirmed(volume: CloudVolume | None) -> RestoreTrace:
    """The state of a restore that the cloud accepted without a cloud job.

    The volume is enough: it was `restoring-backup` before the answer came.
    """
    if under_way(None, volume):
        return RestoreTrace.UNDER_WAY
    return RestoreTrace.FAILED if volume is None or _in_error(None, volume) else RestoreTrace.DONE


def witness(backup: Backup | None, volume: CloudVolume | None) -> bool:
    """Whether both are being restored at this moment: then it is almost certainly one restore."""
    return under_way(backup, None) and under_way(None, volume)


def under_way(backup: Backup | None, volume: CloudVolume | None) -> bool:
    """Whether anything is being restored from the backup or onto the volume."""
    restoring = backup is not None and backup.status == "restoring"
    return restoring or (volume is not None and volume.status == "restoring-backup")


def _in_error(backup: Backup | None, volume: CloudVolume | None) -> bool:
    failed = backup is not None and backup.status == "error_restoring"
    return failed or (volume is not None and (volume.status or "").startswith("error"))


def _together(one: Cloud | None, other: Cloud | None) -> bool:
    return one is not None and other is not None and abs(one - other) <= TOGETHER


def _touched(updated_at: Cloud | None, since: tuple[Cloud, Cloud], now: Cloud) -> bool | None:
    """Whether a thing changed since then.

    None where the clocks are too coarse, or where its time is in the future: the server's clock
    was set back at an unknown moment.
    """
    if _older(updated_at, since):
        return False
    told = updated_at is not None and since[1] + SLACK < updated_at <= now + SLACK
    return True if told else None


def _older(updated_at: Cloud | None, since: tuple[Cloud, Cloud]) -> bool:
    return updated_at is not None and updated_at < since[0] - SLACK
