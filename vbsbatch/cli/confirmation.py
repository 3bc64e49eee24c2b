"""Shared by restore and prune: print what will be lost, ask, store the run and drive it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from vbsbatch.cli import can_ask, fit, mention, remark, say
from vbsbatch.errors import UsageError
from vbsbatch.inventory.plan_writer import counted
from vbsbatch.report.text import clean, moment

if TYPE_CHECKING:
    from vbsbatch.api.backup_operations import Prepared
    from vbsbatch.cli.options import DrivingOptions
    from vbsbatch.cli.run_driver import Prepare
    from vbsbatch.cloud import CloudService
    from vbsbatch.model import Backup, Job, Run, Settings
    from vbsbatch.store import RunStore

SHOWN = 20
"""How many volumes are listed before the question."""

BY_NUMBER = 100
"""Above this, the user must type their number, because `yes` is typed too easily."""


def carry_out_request(
    store: RunStore,
    source: Run,
    settings: Settings,
    freeze: Prepare,
    how: DrivingOptions,
    style: str,
) -> int:
    """Sign in to the cloud of the source run, and drive the run that `freeze` gives."""
    from vbsbatch.api.sessions import choice_for_run
    from vbsbatch.cli.run_driver import carry_out

    choice = choice_for_run(source, *how.place)
    return carry_out(store, choice, settings, freeze, how, style, belongs_to=source, fresh=True)


def refuse_unasked(*, yes: bool) -> None:
    """Raise `UsageError` where nobody confirms that backups are deleted."""
    if not yes and not can_ask():
        raise UsageError("prune --delete deletes backups: confirm it on a terminal, or use --yes")


def print_only(lines: Sequence[str], summary: str, advice: str) -> int:
    """Print what would be done, and the command that does it."""
    for line in lines:
        say(line.strip())
    say(summary)
    if advice:
        mention(advice)
    return 0


def confirm(heading: str, lines: Sequence[str], verb: str, style: str, *, yes: bool) -> None:
    """List what will be lost, and ask; raises `UsageError` unless the user confirms it."""
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


def volume_words(job: Job) -> str:
    """Name and id of a job's volume."""
    name = "" if job.volume_name == job.volume_id else f"{clean(job.volume_name)} "
    return f"{name}({job.volume_id})"


def made_at(job: Job, backups: Mapping[str, Backup]) -> str:
    """When the backup of a job was made."""
    from vbsbatch.api.backup_operations import backup_id

    backup = backups.get(backup_id(job))
    return (
        "unknown age" if backup is None or backup.created_at is None else moment(backup.created_at)
    )


def store_run(
    store: RunStore, prepared: Prepared, service: CloudService, cloud: str | None, style: str
) -> Run:
    """Put the run into the store, and print its id."""
    from vbsbatch.api.backup_operations import create_operation_run

    new = create_operation_run(store, prepared, service, cloud)
    word, source = prepared.request.settings.operation, prepared.request.source
    what = f"{word} of {counted(len(prepared.jobs), 'backup')} of run {source.id}"
    remark(f"run {new.id}: {what}, store {store.path}", style)
    return new
