"""Commands on the backups of an earlier run: restore, prune."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence, Set
from operator import attrgetter
from shlex import quote
from typing import TYPE_CHECKING, TypeVar

import click

from vbsbatch.cli import fit, mention, remark, say
from vbsbatch.cli.cloud_line import place_line
from vbsbatch.cli.cloud_queries import volumes_by_id
from vbsbatch.cli.options import DrivingOptions, driving, open_store
from vbsbatch.cli.run_commands import carry_out, cloud_now
from vbsbatch.cli.screen_launcher import chosen_style, is_terminal
from vbsbatch.errors import CloudRefused, CloudUnavailable, UsageError
from vbsbatch.inventory.plan_writer import counted
from vbsbatch.model import ENDED_STATES, BackupSettings, JobState, Operation, Run, RunState
from vbsbatch.model.clocks import wall

if TYPE_CHECKING:
    from vbsbatch.cloud import CloudService
    from vbsbatch.model import Backup, Job, Settings
    from vbsbatch.store import Store

Seen = TypeVar("Seen")

_NOT_ENDED = tuple(state for state in JobState if state not in ENDED_STATES)

SHOWN = 20
"""So many volumes are named one by one before anything is asked."""

_HOW_TO_RESTORE = "to restore them: add --yes, or confirm it on a terminal"

BY_NUMBER = 100
"""Beyond this many, `yes` is typed too easily: their number is asked for."""

volume_option = click.option(
    "--volume", "volumes", multiple=True, help="Only this volume, by id or name; repeatable."
)


@click.command(
    epilog="""\
Without a terminal to ask on, and without --yes, nothing is restored: what would be is printed,
and the exit code is 0. With either, exit codes are as for run. A restore is never sent twice on a
guess: where the cloud does not tell what became of one, its job ends as `uncertain`.

\b
Examples:
  vbsbatch restore 20261123-0715
  vbsbatch restore latest --volume db01-data
  vbsbatch restore latest --volume db01-data --to db01-data=0b1c8ac0-13fb-4a0c-b8d2-2c4f5a0e6a11
"""
)
@click.argument("run")
@volume_option
@click.option(
    "--to",
    multiple=True,
    metavar="OLD=NEW",
    help="Restore the backup of OLD (id or name) onto the volume with the id NEW; repeatable.",
)
@driving
def restore(run: str, volumes: tuple[str, ...], to: tuple[str, ...], how: DrivingOptions) -> int:
    """Overwrite volumes with the backups that RUN made of them, after asking."""
    from vbsbatch.plan.derived_jobs import (
        called,
        objections_to_restore,
        restores,
        settings_for,
        with_backup,
    )

    only_look = not how.yes and not _can_ask()
    style = "plain" if only_look else chosen_style(how.progress)
    with open_store(how.db) as store:
        source = _source(store, run, "restored")
        wanted = restores(with_backup(store.jobs(source.id), volumes), to)
        _refuse_overlap(store, {job.volume_id for job in wanted}, attrgetter("volume_id"))
        settings = settings_for(Operation.RESTORE, source, rate=how.rate, in_flight=how.in_flight)

        async def freeze(service: CloudService) -> Run | int:
            backups = await _listed(service, source, wanted)
            onto = {job.volume_id for job in wanted}
            targets = await _looked(volumes_by_id(service.inventory, onto))
            jobs = called(wanted, targets)
            if objections := objections_to_restore(jobs, backups, targets):
                raise UsageError("\n".join([*objections, "nothing was restored"]))
            lines = [_overwritten(job, backups) for job in jobs]
            what = counted(len(jobs), "volume")
            if not how.yes:
                remark(f"in {place_line(service)}", style)
            if only_look:
                return _only_told(lines, f"run {source.id}: {what}; nothing was restored")
            _confirm(
                f"{what} will be overwritten with the backups of run {source.id}:",
                lines,
                "overwrite",
                style,
                yes=how.yes,
            )
            return _frozen(store, source, settings, jobs, service, choice.cloud, style)

        choice = how.choice(how.cloud or source.cloud, source.settings.service)
        return carry_out(store, choice, settings, freeze, how, style, fresh=True)


@click.command(
    epilog="""\
Without --delete nothing is deleted: it is told what would be, and the exit code is 0. With it,
exit codes are as for run.

\b
Examples:
  vbsbatch prune 20261123-0715
  vbsbatch prune 20261123-0715 --delete
"""
)
@click.argument("run")
@volume_option
@click.option("--errored", is_flag=True, help="Also the last that each failed job left in error.")
@click.option("--delete", is_flag=True, help="Really delete, after asking.")
@driving
def prune(
    run: str, volumes: tuple[str, ...], errored: bool, delete: bool, how: DrivingOptions
) -> int:
    """Delete the backups that RUN made; without --delete, only tell which."""
    from vbsbatch.plan.derived_jobs import deletions, settings_for, with_backup

    style = chosen_style(how.progress) if delete else "plain"
    with open_store(how.db) as store:
        source = _source(store, run, "deleted")
        sources = with_backup(store.jobs(source.id), volumes, errored=errored)
        if delete:
            _refuse_unasked(how, "prune --delete deletes backups")
            _refuse_overlap(store, {_backup_id(job) for job in sources}, _backup_id)
        settings = settings_for(Operation.PRUNE, source, rate=how.rate, in_flight=how.in_flight)

        async def freeze(service: CloudService) -> Run | int:
            backups = await _listed(service, source, sources)
            made_at = {key: float(backup.created_at or 0.0) for key, backup in backups.items()}
            jobs = _kept_apart(deletions(sources, made_at), backups, style)
            lines = [_deleted(job, backups) for job in jobs]
            total = sum(backups[_backup_id(job)].size or 0 for job in jobs)
            if not delete or not jobs:
                what = f"run {source.id}: {counted(len(lines), 'backup')}, {total} GB"
                told = f"{what}; nothing was deleted"
                mention(f"in {place_line(service)}")
                return _only_told(lines, told, "to delete them: add --delete" if lines else "")
            what = f"{counted(len(jobs), 'backup')} of run {source.id} ({total} GB)"
            heading = f"{what} will be deleted:"
            if not how.yes:
                remark(f"in {place_line(service)}", style)
            _confirm(heading, lines, "delete", style, yes=how.yes)
            return _frozen(store, source, settings, jobs, service, choice.cloud, style)

        choice = how.choice(how.cloud or source.cloud, source.settings.service)
        return carry_out(store, choice, settings, freeze, how, style, fresh=True)


def _source(store: Store, ref: str, done: str) -> Run:
    """The run whose backups are meant."""
    found = store.run(ref)
    if found.settings.operation is not Operation.BACKUP:
        raise UsageError(
            f"run {found.id} made no backups that could be {done}: "
            f"name the run that did ({found.settings.source_run})"
        )
    return found


def _refuse_overlap(store: Store, wanted: Set[str], of: Callable[[Job], str]) -> None:
    """Refuse what another restore has yet to work on: `of` gives what of its jobs is compared."""
    for run in store.runs():
        if run.settings.operation is not Operation.RESTORE or run.state is RunState.ENDED:
            continue
        left = sum(of(job) in wanted for job in store.jobs(run.id, states=_NOT_ENDED))
        if left:
            raise UsageError(
                f"run {run.id} has not ended and has yet to restore {left} of these: let it end "
                f"(vbsbatch resume {quote(run.id)}), or take them back "
                f"(vbsbatch cancel {quote(run.id)})"
            )


async def _listed(service: CloudService, source: Run, jobs: Sequence[Job]) -> dict[str, Backup]:
    """The backups that the jobs name, as the cloud lists them, by id."""
    from vbsbatch.cli.engine_process import check_project
    from vbsbatch.cli.verify_command import listed

    check_project(source, service)
    return await _looked(listed(service, {_backup_id(job) for job in jobs}))


async def _looked(look: Awaitable[Seen]) -> Seen:
    """What a look shows; without one nothing is stored, let alone changed."""
    try:
        return await look
    except (CloudUnavailable, CloudRefused) as error:
        raise UsageError(f"cannot look first, so nothing was done: {error}") from error


def _kept_apart(jobs: Iterable[Job], backups: Mapping[str, Backup], style: str) -> list[Job]:
    """The jobs whose backups may be deleted; what stays is told."""
    from vbsbatch.plan.derived_jobs import objection_to_deletion
    from vbsbatch.report import clean

    kept = []
    for job in jobs:
        objection = objection_to_deletion(job, backups.get(_backup_id(job)))
        if objection is None:
            kept.append(job)
        else:
            what = f"backup {_backup_id(job)} of {clean(job.volume_name)}"
            remark(f"left alone: {what}: {clean(objection)}", style)
    return kept


def _only_told(lines: Sequence[str], summary: str, advice: str = _HOW_TO_RESTORE) -> int:
    """Print what would be done, and how to have it done."""
    for line in lines:
        say(line.strip())
    say(summary)
    if advice:
        mention(advice)
    return 0


def _confirm(heading: str, lines: Sequence[str], verb: str, style: str, *, yes: bool) -> None:
    """Name what will be lost, and let a person type that it may be; raises `UsageError` if not."""
    remark(heading, style)
    for line in lines[:SHOWN]:
        remark(line, style)
    if len(lines) > SHOWN:
        remark(f"  ... and {len(lines) - SHOWN} more", style)
    if yes:
        return
    word = str(len(lines)) if len(lines) > BY_NUMBER else "yes"
    said = click.prompt(
        fit(f"Type {word} to {verb} them"), err=True, default="", show_default=False
    )
    if said.strip() != word:
        raise UsageError("not confirmed: nothing was done")


def _refuse_unasked(how: DrivingOptions, what: str) -> None:
    if not how.yes and not _can_ask():
        raise UsageError(f"{what}: confirm it on a terminal, or say --yes")


def _can_ask() -> bool:
    return is_terminal(sys.stdin) and is_terminal(sys.stderr)


def _overwritten(job: Job, backups: Mapping[str, Backup]) -> str:
    from vbsbatch.report import clean

    return f"  {_volume(job)} <- backup {clean(job.backup_name)} of {_made_at(job, backups)}"


def _deleted(job: Job, backups: Mapping[str, Backup]) -> str:
    from vbsbatch.report import clean

    backup = backups[_backup_id(job)]
    size = "size unknown" if backup.size is None else f"{backup.size} GB"
    return (
        f"  backup {clean(backup.id)} {clean(job.backup_name)} of {_volume(job)}, {size}, "
        f"made {_made_at(job, backups)}, {clean(backup.status or 'status unknown')}"
    )


def _volume(job: Job) -> str:
    from vbsbatch.report import clean

    name = "" if job.volume_name == job.volume_id else f"{clean(job.volume_name)} "
    return f"{name}({job.volume_id})"


def _made_at(job: Job, backups: Mapping[str, Backup]) -> str:
    from vbsbatch.report.text import moment

    backup = backups.get(_backup_id(job))
    return (
        "unknown age" if backup is None or backup.created_at is None else moment(backup.created_at)
    )


def _backup_id(job: Job) -> str:
    return job.settings.source_backup_id or ""


def _frozen(
    store: Store,
    source: Run,
    settings: Settings,
    jobs: Sequence[Job],
    service: CloudService,
    cloud: str | None,
    style: str,
) -> Run:
    """Put the run into the store."""
    now, word = wall(), settings.operation
    new = Run(
        id=store.new_run_id(now),
        plan=f"{word} of {source.id}",
        cloud=cloud,
        project_id=service.project_id,
        project_name=service.project_name,
        region=service.region,
        endpoint=service.endpoint,
        state=RunState.RUNNING,
        settings=settings,
        created_at=now,
        created_cloud_at=cloud_now(service),
    )
    store.create_run(new, jobs, BackupSettings())
    what = f"{word} of {counted(len(jobs), 'backup')} of run {source.id}"
    remark(f"run {new.id}: {what}, store {store.path}", style)
    return store.run(new.id)
