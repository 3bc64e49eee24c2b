"""Commands on the backups of an earlier run: restore, prune."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from vbsbatch.api import backup_operations as operations
from vbsbatch.cli import fit, mention, remark, say
from vbsbatch.cli.cloud_line import place_line
from vbsbatch.cli.options import DrivingOptions, driving, open_store
from vbsbatch.cli.run_commands import carry_out
from vbsbatch.cli.screen_launcher import chosen_style, is_terminal
from vbsbatch.errors import UsageError
from vbsbatch.inventory.plan_writer import counted
from vbsbatch.model import Operation
from vbsbatch.plan.derived_jobs import settings_for, with_backup
from vbsbatch.report.text import clean, moment

if TYPE_CHECKING:
    from vbsbatch.api.backup_operations import Prepared
    from vbsbatch.cloud import CloudService
    from vbsbatch.model import Backup, Job, Run
    from vbsbatch.store import RunStore

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
    only_look = not how.yes and not _can_ask()
    style = "plain" if only_look else chosen_style(how.progress)
    with open_store(how.db) as store:
        source = operations.source_run(store, run, "restored")
        wanted = operations.restorable(store, source, volumes, to)
        settings = settings_for(Operation.RESTORE, source, rate=how.rate, in_flight=how.in_flight)

        async def freeze(service: CloudService) -> Run | int:
            prepared = await operations.prepare_restore(service, source, settings, wanted)
            lines = [_overwritten(job, prepared.backups) for job in prepared.jobs]
            what = counted(len(lines), "volume")
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
            return _frozen(store, prepared, service, choice.cloud, style)

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
    style = chosen_style(how.progress) if delete else "plain"
    with open_store(how.db) as store:
        source = operations.source_run(store, run, "deleted")
        if delete:
            sources = with_backup(store.jobs(source.id), volumes, errored=errored)
            _refuse_unasked(how, "prune --delete deletes backups")
            sources = operations.deletable(store, source, volumes, errored=errored)
        else:
            sources = with_backup(store.jobs(source.id), volumes, errored=errored)
        settings = settings_for(Operation.PRUNE, source, rate=how.rate, in_flight=how.in_flight)

        async def freeze(service: CloudService) -> Run | int:
            prepared = await operations.prepare_prune(service, source, settings, sources)
            _say_left_alone(prepared, style)
            jobs, backups = prepared.jobs, prepared.backups
            lines = [_deleted(job, backups) for job in jobs]
            total = sum(backups[operations.backup_id(job)].size or 0 for job in jobs)
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
            return _frozen(store, prepared, service, choice.cloud, style)

        choice = how.choice(how.cloud or source.cloud, source.settings.service)
        return carry_out(store, choice, settings, freeze, how, style, fresh=True)


def _say_left_alone(prepared: Prepared, style: str) -> None:
    for job, why in prepared.left_alone:
        what = f"backup {operations.backup_id(job)} of {clean(job.volume_name)}"
        remark(f"left alone: {what}: {clean(why)}", style)


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
    return f"  {_volume(job)} <- backup {clean(job.backup_name)} of {_made_at(job, backups)}"


def _deleted(job: Job, backups: Mapping[str, Backup]) -> str:
    backup = backups[operations.backup_id(job)]
    size = "size unknown" if backup.size is None else f"{backup.size} GB"
    return (
        f"  backup {clean(backup.id)} {clean(job.backup_name)} of {_volume(job)}, {size}, "
        f"made {_made_at(job, backups)}, {clean(backup.status or 'status unknown')}"
    )


def _volume(job: Job) -> str:
    name = "" if job.volume_name == job.volume_id else f"{clean(job.volume_name)} "
    return f"{name}({job.volume_id})"


def _made_at(job: Job, backups: Mapping[str, Backup]) -> str:
    backup = backups.get(operations.backup_id(job))
    return (
        "unknown age" if backup is None or backup.created_at is None else moment(backup.created_at)
    )


def _frozen(
    store: RunStore, prepared: Prepared, service: CloudService, cloud: str | None, style: str
) -> Run:
    """Put the run into the store, and say so."""
    new = operations.create_operation_run(store, prepared, service, cloud)
    word, source = prepared.settings.operation, prepared.source
    what = f"{word} of {counted(len(prepared.jobs), 'backup')} of run {source.id}"
    remark(f"run {new.id}: {what}, store {store.path}", style)
    return new
