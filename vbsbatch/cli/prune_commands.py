"""The command prune: deletes the backups of an earlier run, or old ones of all runs of a plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from vbsbatch.cli import mention, remark
from vbsbatch.cli.completion_values import plan_names, run_ids
from vbsbatch.cli.confirmation import (
    carry_out_request,
    confirm,
    made_at,
    print_only,
    refuse_unasked,
    store_run,
    volume_words,
)
from vbsbatch.cli.options import (
    DrivingOptions,
    driving,
    open_store,
    volume_option,
    with_options,
)
from vbsbatch.cli.retention_options import keep_options
from vbsbatch.cli.screen_launcher import chosen_style
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
  vbsbatch prune --plan nightly --keep-last 7 --keep-weekly 4 --keep-monthly 12
  vbsbatch prune --plan nightly --delete
"""
)
@click.argument("run", required=False, shell_complete=run_ids)
@click.option(
    "--plan",
    metavar="NAME",
    shell_complete=plan_names,
    help="Of all runs of this plan: what the rules below keep no longer, or the plan's retention.",
)
@with_options(*keep_options)
@volume_option
@click.option("--errored", is_flag=True, help="Also the last backup in error of each failed job.")
@click.option("--even-last", is_flag=True, help="Even the last good backup of a volume.")
@click.option("--delete", is_flag=True, help="Really delete, after asking.")
@click.option("--json", "as_json", is_flag=True, help="With --plan: the table as JSON.")
@driving
def prune(
    run: str | None,
    plan: str | None,
    volumes: tuple[str, ...],
    errored: bool,
    even_last: bool,
    delete: bool,
    as_json: bool,
    how: DrivingOptions,
    **keep: Any,
) -> int:
    """Delete the backups that RUN made, or old ones of a plan; without --delete, only list them.

    Pinned backups stay (vbsbatch keep), those that others build on, and the last good one of each
    volume.
    """
    _check_options(run, plan, of_run=bool(volumes or errored or even_last), of_plan=keep)
    if as_json and (plan is None or delete):
        raise click.UsageError("--json is for --plan without --delete")
    if plan is not None:
        from vbsbatch.cli.prune_plan import prune_plan

        return prune_plan(plan, keep, delete=delete, as_json=as_json, how=how)
    assert run is not None, "it was checked"
    return _prune_run(run, volumes, errored=errored, even_last=even_last, delete=delete, how=how)


def _check_options(
    run: str | None, plan: str | None, *, of_run: bool, of_plan: Mapping[str, object]
) -> None:
    if (run is None) is (plan is None):
        raise click.UsageError("name a RUN, or a plan with --plan")
    if plan is None and any(value is not None for value in of_plan.values()):
        raise click.UsageError("--keep-... and --timezone are for --plan")
    if plan is not None and of_run:
        raise click.UsageError("--volume, --errored and --even-last are for a RUN, not for --plan")


def _prune_run(
    run: str,
    volumes: tuple[str, ...],
    *,
    errored: bool,
    even_last: bool,
    delete: bool,
    how: DrivingOptions,
) -> int:
    from vbsbatch.api import backup_operations as operations
    from vbsbatch.api.sessions import place_line

    style = chosen_style(how.progress) if delete else "plain"
    with open_store(how.db) as store:
        request = operations.request_prune(
            store,
            run,
            volumes,
            errored=errored,
            even_last=even_last,
            rate=how.rate,
            in_flight=how.in_flight,
        )
        source = request.source
        if delete:
            refuse_unasked(yes=how.yes)
            operations.refuse_restores_of(store, request)

        async def freeze(service: CloudService) -> Run | int:
            prepared = await operations.prepare_prune(store, service, request)
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

        return carry_out_request(store, request.source, request.settings, freeze, how, style)


def _say_left_alone(prepared: Prepared, style: str) -> None:
    from vbsbatch.api.backup_operations import backup_id
    from vbsbatch.inventory.retention import LAST_GOOD

    for job, why in prepared.left_alone:
        what = f"backup {backup_id(job)} of {clean(job.volume_name)}"
        hint = " (--even-last deletes it, too)" if why == LAST_GOOD else ""
        remark(f"kept: {what}: {clean(why)}{hint}", style)


def _deleted(job: Job, backups: Mapping[str, Backup]) -> str:
    from vbsbatch.api.backup_operations import backup_id

    backup = backups[backup_id(job)]
    size = "size unknown" if backup.size is None else f"{backup.size} GB"
    return (
        f"  backup {clean(backup.id)} {clean(job.backup_name)} of {volume_words(job)}, {size}, "
        f"made {made_at(job, backups)}, {clean(backup.status or 'status unknown')}"
    )
