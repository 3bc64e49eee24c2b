"""Commands that drive an engine: run, resume, retry."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

import click

from vbsbatch.cli import can_ask, fit, mention, remark, say
from vbsbatch.cli.completion_values import run_ids
from vbsbatch.cli.exit_status import exit_code_of
from vbsbatch.cli.options import (
    DrivingOptions,
    code_option,
    driving,
    mention_unknown_codes,
    named_run,
    open_store,
    service_option,
    status_option,
    take_over_option,
    volume_option,
)
from vbsbatch.cli.overlapping import Overlap, if_running_option
from vbsbatch.cli.plan_loading import load_plan
from vbsbatch.cli.scheduled_start import ScheduledStart, interrupted_run, scheduled_option
from vbsbatch.cli.screen_launcher import chosen_style
from vbsbatch.errors import UsageError
from vbsbatch.model import OnPreflight, Run, RunState

if TYPE_CHECKING:
    from vbsbatch.cloud import CloudService
    from vbsbatch.inventory.preflight import Preflight
    from vbsbatch.policy.timetable import Scheduled
    from vbsbatch.store import RunStore


@click.command(
    epilog="""\
Exit codes: 0 all succeeded or skipped, 1 some failed, 2 nothing was submitted (usage, plan,
credentials or store), 3 stopped and resumable, 130 aborted by a second signal. Leaving the
screen while the run goes on is 0.

\b
Examples:
  vbsbatch run nightly.yaml --cloud otc
  vbsbatch run nightly.yaml --volumes fleet.csv --rate 100/min --progress json
  vbsbatch run nightly.yaml --yes --if-running skip
  vbsbatch run nightly.yaml --as 20261123-0715-k3f9
"""
)
@click.argument("plan", type=click.Path(path_type=Path))
@click.option("--volumes", metavar="FILE", help="Volumes from a list instead; - is standard input.")
@driving
@service_option
@take_over_option
@click.option(
    "--keep-errored-backups",
    is_flag=True,
    help="Keep a backup in error instead of deleting it before the next attempt.",
)
@click.option("--no-preflight", is_flag=True, help="Skip the check of volumes and quota.")
@click.option(
    "--on-preflight",
    type=click.Choice([str(word) for word in OnPreflight]),
    help="If some volumes would fail: start nothing, or skip them. Wins over the plan.",
)
@click.option(
    "--as",
    "as_run",
    metavar="RUN",
    help="If the store is lost: create RUN again under its id and take over its backups.",
)
@if_running_option
@scheduled_option
def run(
    plan: Path,
    volumes: str | None,
    how: DrivingOptions,
    service: str | None,
    take_over: bool,
    keep_errored_backups: bool,
    no_preflight: bool,
    on_preflight: str | None,
    as_run: str | None,
    if_running: str | None,
    scheduled: Scheduled | None,
) -> int:
    """Submit the backups of PLAN, and follow them to their end.

    First it checks whether the cloud can make them. If something would fail, it asks on a
    terminal; with --yes it follows on_preflight.
    """
    if as_run is not None and if_running is not None:
        raise click.UsageError("--as and --if-running exclude each other")
    start = ScheduledStart(scheduled, how.db)
    options = (how, service, take_over, keep_errored_backups, no_preflight, on_preflight)
    with start.recorded():
        return _run(plan, volumes, *options, as_run=as_run, if_running=if_running, start=start)


def _run(
    plan: Path,
    volumes: str | None,
    how: DrivingOptions,
    service: str | None,
    take_over: bool,
    keep_errored_backups: bool,
    no_preflight: bool,
    on_preflight: str | None,
    *,
    as_run: str | None,
    if_running: str | None,
    start: ScheduledStart,
) -> int:
    """Carry out `run`; `start` remembers what was missed by the clock."""
    style = chosen_style(how.progress)
    checked = load_plan(plan, volumes)  # before what is slow to import: its problems show at once
    from vbsbatch.api import runs
    from vbsbatch.api.lost_runs import lost_run
    from vbsbatch.api.sessions import choice_for_plan
    from vbsbatch.cli.preflight import agree_to_associate, approve_findings
    from vbsbatch.cli.run_driver import carry_out

    loaded = runs.with_options(
        checked, rate=how.rate, in_flight=how.in_flight, keep_errored_backups=keep_errored_backups
    )
    choice = choice_for_plan(loaded, *how.place, service=service)
    policy = loaded.on_preflight if on_preflight is None else OnPreflight(on_preflight)
    with open_store(how.db, create=True) as store:
        start.begin(store)
        lost = None if as_run is None else lost_run(store, as_run)
        overlap = Overlap(store, loaded.name, if_running, how, style)
        if lost is None and if_running is None:
            _warn_of_unfinished(store, loaded.name, style, yes=how.yes)

        async def freeze(service: CloudService) -> Run | int:
            approve = partial(
                approve_findings, service, len(loaded), policy=policy, yes=how.yes, style=style
            )
            check = None if no_preflight else approve
            agree = partial(agree_to_associate, yes=how.yes)
            create = partial(
                runs.check_and_create, store, loaded, service, choice.cloud, check, lost=lost
            )
            made = await overlap.create(service, partial(create, agree=agree))
            if isinstance(made, int):
                return made
            created, found = made
            start.made(store, created)
            _say_begun(store, created, len(loaded), found, style)
            return created

        code = carry_out(
            store,
            choice,
            loaded.settings,
            freeze,
            how,
            style,
            fresh=not lost,
            take_over=take_over,
            replaced=overlap.stopped,
        )
        start.end(store)
        return code


@click.command(
    epilog="""\
Exit codes as for run. It never submits a backup twice.

\b
Examples:
  vbsbatch resume
  vbsbatch resume 20261123-0715 --rate 1/s --in-flight 20
"""
)
@click.argument("run", required=False, shell_complete=run_ids)
@click.option("--first-engine", is_flag=True, hidden=True)
@driving
@take_over_option
@click.option(
    "--plan",
    metavar="NAME",
    help="Instead of RUN: the newest run of this plan, if --interrupted-by says so.",
)
@click.option(
    "--interrupted-by",
    "by",
    type=click.Choice(("reboot", "kill")),
    help="With --plan: only a run that this interrupted; else nothing is done (exit code 0).",
)
@scheduled_option
def resume(
    run: str | None,
    first_engine: bool,
    how: DrivingOptions,
    take_over: bool,
    plan: str | None,
    by: str | None,
    scheduled: Scheduled | None,
) -> int:
    """Continue RUN, by default the newest unfinished one that makes backups.

    A run that restores or deletes continues only when you name it.
    """
    from vbsbatch.api.retention import is_due

    if (plan is None) is not (by is None) or None not in (plan, run):
        raise click.UsageError("--plan and --interrupted-by belong together, without RUN")
    from vbsbatch.api.runs import find_resumable
    from vbsbatch.api.sessions import choice_for_run
    from vbsbatch.cli.run_driver import carry_out

    style = chosen_style(how.progress)
    # Before the first night there may be no store yet, and nothing to do.
    with open_store(how.db, create=plan is not None) as store:
        if plan is not None and by is not None:
            run = interrupted_run(store, plan, by, scheduled, how, style)
            if run is None:
                return 0
        found = find_resumable(store, run, rate=how.rate, in_flight=how.in_flight)
        if found.state is RunState.ENDED and not is_due(store, found):
            return _nothing_to_do(store, found, "it has ended", style)

        async def take_up(service: CloudService) -> Run:
            return store.run(found.id)

        return carry_out(
            store,
            choice_for_run(found, *how.place),
            found.settings,
            take_up,
            how,
            style,
            belongs_to=found,
            fresh=first_engine and found.started_at is None,
            take_over=take_over,
        )


@click.command(
    epilog="""\b
Examples:
  vbsbatch retry latest --status 503 --status 0
  vbsbatch retry 20261123-0715 --code VolumeBackup.0012
  vbsbatch retry latest --all-failed
"""
)
@named_run
@status_option
@code_option
@volume_option
@click.option("--all-failed", is_flag=True, help="Every failed job.")
@driving
def retry(
    run: str,
    statuses: tuple[int, ...],
    codes: tuple[str, ...],
    volumes: tuple[str, ...],
    all_failed: bool,
    how: DrivingOptions,
) -> int:
    """Try failed jobs of RUN again, with all their attempts, and resume it.

    An option given several times matches any of its values; different options must all match.
    """
    from vbsbatch.api.reading import check_volumes
    from vbsbatch.api.runs import retry_selection
    from vbsbatch.api.sessions import choice_for_run
    from vbsbatch.cli.run_driver import carry_out
    from vbsbatch.inventory.plan_writer import counted

    style = chosen_style(how.progress)
    selection = retry_selection(statuses, codes, volumes, all_failed=all_failed)
    if selection is None:
        raise click.UsageError("choose jobs with --status, --code, --volume or --all-failed")
    with open_store(how.db) as store:
        found = store.run(run)
        check_volumes(store, found.id, volumes)
        mention_unknown_codes(store, found.id, codes)
        if store.is_live(found.id) is not None:
            import anyio

            from vbsbatch.api.steering import ask
            from vbsbatch.cli.steering_commands import asked_by

            if how.rate is not None or how.in_flight is not None:
                raise click.UsageError(
                    "an engine drives the run: change its limits with vbsbatch rate or in-flight"
                )
            say(anyio.run(ask, store, found.id, "retry", selection, asked_by()))
            return 0
        store.set_limits(found.id, rate=how.rate, in_flight=how.in_flight)

        async def requeue(service: CloudService) -> Run | int:
            count = store.requeue(found.id, selection)
            if not count and found.state is RunState.ENDED:
                return _nothing_to_do(store, found, "no job matches", style)
            remark(f"run {found.id}: {counted(count, 'job')} will be retried", style)
            return store.run(found.id)

        choice = choice_for_run(found, *how.place)
        return carry_out(store, choice, found.settings, requeue, how, style, belongs_to=found)


def _say_begun(
    store: RunStore, run: Run, volumes: int, found: Preflight | None, style: str
) -> None:
    from vbsbatch.cli.preflight import forecast_line
    from vbsbatch.cloud.services import facts_of
    from vbsbatch.inventory.plan_writer import counted

    service = facts_of(run.settings.service).mention
    maker = f" by {service}" if service else ""
    skipped = 0 if found is None else len(found.left_out)
    fewer = f", {skipped} of them skipped" if skipped else ""
    remark(f"run {run.id}: {counted(volumes, 'volume')}{maker}{fewer}, store {store.path}", style)
    forecast = None if found is None else forecast_line(found)
    if forecast is not None and style in ("plain", "tui"):
        mention(forecast)


def _nothing_to_do(store: RunStore, run: Run, why: str, style: str) -> int:
    """Leave an ended run as it is, and return its exit code."""
    remark(f"run {run.id}: nothing to do, {why}", style)
    return exit_code_of(store, run)


def _warn_of_unfinished(store: RunStore, plan: str, style: str, *, yes: bool) -> None:
    """Warn, or ask: a second run of a plan with an unfinished one is usually a mistake."""
    from vbsbatch.api.runs import unfinished_of_plan
    from vbsbatch.report import clean
    from vbsbatch.store import db_option

    unfinished = unfinished_of_plan(store, plan)
    if unfinished is None:
        return
    found, live = unfinished
    verb, state = ("attach", "is under way") if live else ("resume", "is unfinished")
    command = f"vbsbatch {verb} {quote(found.id)}{db_option(store.path)}"
    words = f"run {found.id} of plan {clean(plan)} {state} ({command})"
    if yes or not can_ask():
        remark(f"note: {words}; starting another run", style)
    elif not click.confirm(fit(f"{words}. Start another run?"), err=True):
        raise UsageError("nothing was started")
