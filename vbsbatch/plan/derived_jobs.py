"""A run's backups -> the jobs of a run that restores or deletes them. Pure."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from uuid import UUID

from vbsbatch.errors import UsageError
from vbsbatch.model import (
    Backup,
    BackupSettings,
    CloudVolume,
    Job,
    JobState,
    Limits,
    Operation,
    Rate,
    Run,
    Settings,
    did_you_mean,
    plain_id,
)

_UUID = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}", re.ASCII)

RESTORE_SETTLE = 4.0
"""Factor on the plan's `settle` for a restore whose answer was lost: the cloud may have queued it,
and sending it again too soon costs more than waiting."""

PRUNE_LATER = (15.0, 120.0)
"""Seconds: how often, and for how long, a deletion waits for what depends on the backup to go."""


PRUNE_SETTLE = 30.0
"""Seconds: a deletion that is sent twice deletes once, so a longer wait is not needed."""


def with_backup(jobs: Iterable[Job], volumes: Sequence[str], *, errored: bool = False) -> list[Job]:
    """The jobs of a run that left a backup, all or those of the named volumes (ids or names).

    `errored` takes in jobs that failed and left a backup in error. Each comes with the backup that
    it names as `source_backup_id`. Raises `UsageError` with every name that matches no job.
    """
    found, seen, known = [], set[str](), set[str]()
    wanted = {plain_id(name) for name in volumes}
    without: dict[str, Job] = {}
    for job in jobs:
        names = {plain_id(job.volume_id), plain_id(job.volume_name)}
        known |= names
        if wanted and not names & wanted:
            continue
        seen |= names & wanted
        backup_id = job.backup_id if job.state is JobState.SUCCEEDED else None
        if errored and job.state is JobState.FAILED:
            backup_id = job.errored_backup_id
        if backup_id is None:
            without[job.volume_id] = job
        else:
            settings = BackupSettings(source_backup_id=backup_id, vault=job.settings.vault)
            found.append(replace(job, settings=settings))
    problems = [
        f"the run has no volume {name}{did_you_mean(name, known)}"
        for name in volumes
        if plain_id(name) not in seen
    ]
    if wanted:
        problems += [
            f"the run left no backup of {_titled(job)}: {job.state}" for job in without.values()
        ]
    if not found and not problems:
        problems = ["the run left no backup"]
    _refuse(problems)
    return found


def restores(sources: Sequence[Job], to: Sequence[str]) -> list[Job]:
    """The jobs that restore each backup onto its own volume, or onto another: `to` is `OLD=NEW`.

    Raises `UsageError` with everything that is wrong with `to`.
    """
    moved, problems = _moves(sources, to)
    targets = [moved.get(job.no) or job.volume_id for job in sources]
    for target, times in Counter(targets).items():
        if times > 1:
            problems.append(f"{times} backups are to be restored onto one volume: {target}")
    _refuse(problems)
    return [
        _fresh(no, job, target, job.volume_name if job.no not in moved else target)
        for no, (job, target) in enumerate(zip(sources, targets, strict=True), 1)
    ]


def called(jobs: Iterable[Job], volumes: Mapping[str, CloudVolume]) -> list[Job]:
    """The jobs, with the names of volumes of which the run knew only the id (targets of `to`)."""
    found = []
    for job in jobs:
        volume = volumes.get(job.volume_id)
        unnamed = job.volume_name == job.volume_id
        name = volume.name if volume is not None and unnamed else None
        found.append(replace(job, volume_name=name) if name else job)
    return found


def deletions(sources: Sequence[Job], made_at: Mapping[str, float]) -> list[Job]:
    """The jobs that delete each backup, the newest first: older ones may be what it builds on."""

    def age(job: Job) -> float:
        known = made_at.get(job.settings.source_backup_id or "")
        return -float(job.ended_at or 0.0) if known is None else -known

    newest_first = sorted(sources, key=age)
    return [
        _fresh(no, job, job.volume_id, job.volume_name) for no, job in enumerate(newest_first, 1)
    ]


def one_for_each_vault(jobs: Iterable[Job]) -> list[Job]:
    """The jobs in groups by vault: a service with vaults restores one volume of each at a time.

    Their settings have `per_group` of 1, see `settings_for`.
    """
    return [replace(job, group=job.settings.vault or job.group) for job in jobs]


def settings_for(
    operation: Operation,
    source: Run,
    *,
    rate: Rate | None,
    in_flight: int | None,
    vaults: bool = False,
) -> Settings:
    """Settings of a run on the backups of `source`: the same waits, rates and service.

    The plan's rules, deadline and the like are about making backups, and are not taken over. On a
    service with `vaults` restores run one at a time in each, see `one_for_each_vault`.
    """
    limits, retry = source.settings.limits, replace(source.settings.retry, rules=())
    if operation is Operation.RESTORE:
        retry = replace(retry, settle=RESTORE_SETTLE * retry.settle)
    else:
        every, until = PRUNE_LATER
        retry = replace(
            retry,
            later_every=min(retry.later_every, every),
            later_for=min(retry.later_for, until),
            settle=min(retry.settle, PRUNE_SETTLE),
        )
    return Settings(
        limits=Limits(
            rate=rate or limits.rate,
            in_flight=in_flight or limits.in_flight,
            connections=limits.connections,
            per_group=1 if vaults and operation is Operation.RESTORE else None,
        ),
        retry=retry,
        timeouts=source.settings.timeouts,
        delete_errored=False,
        service=source.settings.service,
        operation=operation,
        source_run=source.id,
        notify=source.settings.notify,
    )


def objections_to_restore(
    jobs: Iterable[Job], backups: Mapping[str, Backup], volumes: Mapping[str, CloudVolume]
) -> list[str]:
    """Why the cloud would not accept these restores now."""
    found = []
    for job in jobs:
        backup = backups.get(job.settings.source_backup_id or "")
        volume = volumes.get(job.volume_id)
        found += [f"{_titled(job)}: {words}" for words in _objections(job, backup, volume)]
    return found


def _objections(job: Job, backup: Backup | None, volume: CloudVolume | None) -> list[str]:
    found = []
    if backup is None:
        found.append(f"its backup {job.settings.source_backup_id} is gone")
    elif backup.status != "available":
        found.append(f"its backup is {backup.status}, not available")
    if volume is None:
        return [*found, "the volume does not exist"]
    if volume.status != "available":
        hint = ": detach it first" if volume.status == "in-use" else ""
        found.append(f"the volume is {volume.status}, not available{hint}")
    if backup is not None and backup.size and volume.size and volume.size < backup.size:
        found.append(f"the volume has {volume.size} GB, its backup needs {backup.size} GB")
    return found


def objection_to_deletion(job: Job, backup: Backup | None) -> str | None:
    """Why the backup that the job names is not to be deleted; None when it may be."""
    if backup is None:
        return "gone already"
    if (backup.name or "").strip() != job.backup_name.strip():
        return "its name is not the one that the run gave it"
    if plain_id(backup.volume_id or "") != plain_id(job.volume_id):
        return "it is not of the run's volume"
    return f"it is {backup.status}" if backup.status in ("creating", "restoring") else None


def _moves(sources: Sequence[Job], to: Sequence[str]) -> tuple[dict[int, str], list[str]]:
    """The new volume of each job that is moved, by its number; and what is wrong with `to`."""
    moved: dict[int, str] = {}
    problems = []
    bearers: defaultdict[str, list[Job]] = defaultdict(list)
    for job in sources if to else ():
        for name in {plain_id(job.volume_id), plain_id(job.volume_name)}:
            bearers[name].append(job)
    for pair in to:
        old, equals, new = (part.strip() for part in pair.partition("="))
        fits = bearers.get(plain_id(old), [])
        if not equals or not _UUID.fullmatch(new.lower()):
            problems.append(f"--to {pair}: not OLD=NEW with the id of a volume (a UUID) as NEW")
        elif len(fits) != 1:
            problems.append(f"--to {pair}: {len(fits) or 'no'} volumes to restore are called {old}")
        elif fits[0].no in moved:
            problems.append(f"--to {pair}: {old} has a new volume already")
        else:
            moved[fits[0].no] = str(UUID(new))
    return moved, problems


def _fresh(no: int, job: Job, volume_id: str, volume_name: str) -> Job:
    """A job that was never sent, with the same backup and name."""
    return Job(
        no=no,
        volume_id=volume_id,
        volume_name=volume_name,
        backup_name=job.backup_name,
        settings=job.settings,
        group=job.group,
        size=job.size,
    )


def _titled(job: Job) -> str:
    return (
        job.volume_id
        if job.volume_name == job.volume_id
        else f"{job.volume_name} ({job.volume_id})"
    )


def _refuse(problems: Sequence[str]) -> None:
    if problems:
        raise UsageError("\n".join(problems))
