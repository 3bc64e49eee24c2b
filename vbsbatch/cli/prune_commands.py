"""The command prune: the backups of an earlier run deleted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from vbsbatch.cli import can_ask, mention, remark
from vbsbatch.cli.confirmation import (
    carry_out_request,
    confirm,
    made_at,
    print_only,
    store_run,
    volume_words,
)
from vbsbatch.cli.options import DrivingOptions, driving, named_run, open_store, volume_option
from vbsbatch.cli.screen_launcher import chosen_style
from vbsbatch.errors import UsageError
from vbsbatch.inventory.plan_writer import counted
from vbsbatch.report.text import clean

if TYPE_CHECKING:
    from vbsbatch.api.backup_operations import Prepared
    from vbsbatch.cloud import CloudService
    from vbsbatch.model import Backup, Job, Run


@click.command(
    epilog="""\
Without --delete nothing is deleted: it prints what would be deleted, and the exit code is 0.
With it, exit codes are as for run.

\b
Examples:
  vbsbatch prune 20261123-0715
  vbsbatch prune 20261123-0715 --delete
"""
)
@named_run
@volume_option
@click.option("--errored", is_flag=True, help="Also the last backup in error of each failed job.")
@click.option("--delete", is_flag=True, help="Really delete, after asking.")
@driving
def prune(
    run: str, volumes: tuple[str, ...], errored: bool, delete: bool, how: DrivingOptions
) -> int:
    """Delete the backups that RUN made; without --delete, only list them."""
    from vbsbatch.api import backup_operations as operations
    from vbsbatch.api.sessions import place_line

    style = chosen_style(how.progress) if delete else "plain"
    with open_store(how.db) as store:
        request = operations.request_prune(
            store, run, volumes, errored=errored, rate=how.rate, in_flight=how.in_flight
        )
        source = request.source
        if delete:
            if not how.yes and not can_ask():
                raise UsageError(
                    "prune --delete deletes backups: confirm it on a terminal, or use --yes"
                )
            operations.refuse_restores_of(store, request)

        async def freeze(service: CloudService) -> Run | int:
            prepared = await operations.prepare_prune(service, request)
            _say_left_alone(prepared, style)
            jobs, backups = prepared.jobs, prepared.backups
            lines = [_deleted(job, backups) for job in jobs]
            total = sum(backups[operations.backup_id(job)].size or 0 for job in jobs)
            if not delete or not jobs:
                what = f"run {source.id}: {counted(len(lines), 'backup')}, {total} GB"
                told = f"{what}; nothing was deleted"
                mention(f"in {place_line(service)}")
                return print_only(lines, told, "to delete them: add --delete" if lines else "")
            what = f"{counted(len(jobs), 'backup')} of run {source.id} ({total} GB)"
            heading = f"{what} will be deleted:"
            if not how.yes:
                remark(f"in {place_line(service)}", style)
            confirm(heading, lines, "delete", style, yes=how.yes)
            return store_run(store, prepared, service, how.cloud, style)

        return carry_out_request(store, request, freeze, how, style)


def _say_left_alone(prepared: Prepared, style: str) -> None:
    from vbsbatch.api.backup_operations import backup_id

    for job, why in prepared.left_alone:
        what = f"backup {backup_id(job)} of {clean(job.volume_name)}"
        remark(f"kept: {what}: {clean(why)}", style)


def _deleted(job: Job, backups: Mapping[str, Backup]) -> str:
    from vbsbatch.api.backup_operations import backup_id

    backup = backups[backup_id(job)]
    size = "size unknown" if backup.size is None else f"{backup.size} GB"
    return (
        f"  backup {clean(backup.id)} {clean(job.backup_name)} of {volume_words(job)}, {size}, "
        f"made {made_at(job, backups)}, {clean(backup.status or 'status unknown')}"
    )
