"""The command restore: volumes overwritten with the backups of an earlier run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from vbsbatch.cli import can_ask, remark
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
from vbsbatch.inventory.plan_writer import counted
from vbsbatch.report.text import clean

if TYPE_CHECKING:
    from vbsbatch.cloud import CloudService
    from vbsbatch.model import Backup, Job, Run

_HOW_TO_RESTORE = "to restore them: add --yes, or confirm it on a terminal"


@click.command(
    epilog="""\
Without a terminal and without --yes nothing is restored: it prints what would be restored, and
the exit code is 0. Otherwise exit codes are as for run. A restore is never repeated on a guess:
if the cloud does not show what became of one, its job ends as `uncertain`.

\b
Examples:
  vbsbatch restore 20261123-0715
  vbsbatch restore latest --volume db01-data
  vbsbatch restore latest --volume db01-data --to db01-data=0b1c8ac0-13fb-4a0c-b8d2-2c4f5a0e6a11
"""
)
@named_run
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
    from vbsbatch.api import backup_operations as operations
    from vbsbatch.api.sessions import place_line

    only_look = not how.yes and not can_ask()
    style = "plain" if only_look else chosen_style(how.progress)
    with open_store(how.db) as store:
        request = operations.request_restore(
            store, run, volumes, to, rate=how.rate, in_flight=how.in_flight
        )
        source = request.source

        async def freeze(service: CloudService) -> Run | int:
            prepared = await operations.prepare_restore(service, request)
            lines = [_overwritten(job, prepared.backups) for job in prepared.jobs]
            what = counted(len(lines), "volume")
            if not how.yes:
                remark(f"in {place_line(service)}", style)
            if only_look:
                summary = f"run {source.id}: {what}; nothing was restored"
                return print_only(lines, summary, _HOW_TO_RESTORE)
            confirm(
                f"{what} will be overwritten with the backups of run {source.id}:",
                lines,
                "overwrite",
                style,
                yes=how.yes,
            )
            return store_run(store, prepared, service, how.cloud, style)

        return carry_out_request(store, source, request.settings, freeze, how, style)


def _overwritten(job: Job, backups: Mapping[str, Backup]) -> str:
    return f"  {volume_words(job)} <- backup {clean(job.backup_name)} of {made_at(job, backups)}"
