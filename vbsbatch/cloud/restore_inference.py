"""What backup and volume tell of a restore that nobody confirmed. Pure.

A restore moves its backup to `restoring` and back, and its volume to `restoring-backup` and back;
each move changes `updated_at`. What else changes one of them does not change both: only when both
agree is anything proved.
"""

from __future__ import annotations

from enum import StrEnum

from vbsbatch.model import Backup, Cloud, CloudVolume

SLACK = 2.0
"""Seconds by which `updated_at` and our clock (corrected by `Date`, whole seconds) may disagree."""


TOGETHER = 2.0
"""Seconds within which the end of a restore changes both, where nobody saw it at work."""


class RestoreTrace(StrEnum):
    """What became of a restore."""

    UNDER_WAY = "under way"  # backup or volume is being restored
    DONE = "done"  # both were touched since, at the same time, and both are available
    FAILED = "failed"  # the volume was left in error
    NEVER = "never"  # neither was touched since: the request did nothing
    UNCLEAR = "unclear"  # the cloud does not tell


def unconfirmed(
    backup: Backup | None,
    volume: CloudVolume | None,
    since: tuple[Cloud, Cloud],
    now: Cloud,
    *,
    witnessed: bool = False,
) -> RestoreTrace:
    """What became of a restore whose answer was lost; `since` are the earliest and the latest that
    the server's clock can have shown at its intent, `now` is what it shows.

    `witnessed`: backup and volume were seen at work at the same time since then.
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
    """Whether one of the two has certainly not changed since: then nothing was restored, for that
    changes both."""
    known = (each.updated_at for each in (backup, volume) if each is not None)
    return not under_way(backup, volume) and any(_older(at, since) for at in known)


def confirmed(volume: CloudVolume | None) -> RestoreTrace:
    """How far a restore is that the cloud accepted, and for which it keeps no cloud job.

    The volume alone tells: it was `restoring-backup` before the answer came.
    """
    if under_way(None, volume):
        return RestoreTrace.UNDER_WAY
    return RestoreTrace.FAILED if volume is None or _in_error(None, volume) else RestoreTrace.DONE


def witness(backup: Backup | None, volume: CloudVolume | None) -> bool:
    """Whether both are at work at this moment: then it is all but sure that one restore does it."""
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
    """Whether a thing changed since then; None where the clocks are too coarse to tell, or where
    the time is yet to come: the server's clock was set back since, who knows when."""
    if _older(updated_at, since):
        return False
    told = updated_at is not None and since[1] + SLACK < updated_at <= now + SLACK
    return True if told else None


def _older(updated_at: Cloud | None, since: tuple[Cloud, Cloud]) -> bool:
    return updated_at is not None and updated_at < since[0] - SLACK
