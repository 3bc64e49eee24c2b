"""Commands that drive an engine: run, resume, retry."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vbsbatch.cli import mention
from vbsbatch.cli.options import (
    cloud_options,
    db_option,
    engine_options,
    open_store,
    with_options,
)
from vbsbatch.errors import UsageError
from vbsbatch.model import Rate, Run, RunState

if TYPE_CHECKING:
    from vbsbatch.plan import Plan
    from vbsbatch.store import Store


@click.command(
    epilog="""\b
Exit codes: 0 all succeeded or skipped, 1 some failed, 2 nothing was submitted (usage, plan,
credentials or store), 3 stopped and resumable, 130 aborted by a second signal.

\b
Examples:
  vbsbatch run plans/pre-migration.yaml --cloud otc
  vbsbatch run nightly.yaml --volumes fleet.csv --rate 100/min --progress json
"""
)
@click.argument("plan", type=click.Path(path_type=Path))
@click.option("--volumes", metavar="FILE", help="Volumes from a list instead; - is standard input.")
@with_options(*cloud_options, db_option, *engine_options)
@click.option(
    "--keep-errored-backups",
    is_flag=True,
    help="Do not delete a backup in error before it is made anew.",
)
def run(
    plan: Path,
    volumes: str | None,
    cloud: str | None,
    vbs_endpoint: str | None,
    block_storage_endpoint: str | None,
    db: Path | None,
    rate: Rate | None,
    in_flight: int | None,
    progress: str,
    verbose: bool,
    yes: bool,
    keep_errored_backups: bool,
) -> int:
    """Submit the backups of PLAN, and follow them to their end."""
    from vbsbatch.cli.planning import load_plan

    style = _style(progress)
    loaded = _limited(load_plan(plan, volumes), rate, in_flight)
    if keep_errored_backups:
        loaded = replace(loaded, settings=replace(loaded.settings, delete_errored=False))
    name = cloud or loaded.cloud or os.environ.get("OS_CLOUD")
    with open_store(db, create=True) as store:
        _warn_of_unfinished(store, loaded.name, yes=yes)
        choice = _choice(name, vbs_endpoint, block_storage_endpoint)
        return _in_event_loop(_begin, store, loaded, choice, style, verbose)


@click.command(epilog="Exit codes as for run. Never submits twice what was submitted before.")
@click.argument("run", required=False)
@with_options(*cloud_options, db_option, *engine_options)
def resume(
    run: str | None,
    cloud: str | None,
    vbs_endpoint: str | None,
    block_storage_endpoint: str | None,
    db: Path | None,
    rate: Rate | None,
    in_flight: int | None,
    progress: str,
    verbose: bool,
    yes: bool,
) -> int:
    """Continue RUN, by default the newest unfinished one."""
    style = _style(progress)
    with open_store(db) as store:
        found = store.run(run) if run else store.newest_unfinished()
        if found is None:
            raise UsageError(f"no run in {store.path} is unfinished")
        _refuse_if_live(store, found)
        if found.state is RunState.ENDED:
            return _nothing_to_do(store, found, "it has ended")
        store.set_limits(found.id, rate=rate, in_flight=in_flight)
        choice = _choice(cloud or found.cloud, vbs_endpoint, block_storage_endpoint)
        return _in_event_loop(_continue, store, found.id, choice, style, verbose)


@click.command(
    epilog="""\b
Examples:
  vbsbatch retry latest --status 503 --status 0
  vbsbatch retry 20261123-0715 --code VolumeBackup.0012
  vbsbatch retry latest --all-failed
"""
)
@click.argument("run")
@click.option("--status", "statuses", multiple=True, type=int, help="HTTP status; 0 for no answer.")
@click.option("--code", "codes", multiple=True, help="The service's code.")
@click.option("--volume", "volumes", multiple=True, help="Volume id or name.")
@click.option("--all-failed", is_flag=True, help="Every failed job.")
@with_options(*cloud_options, db_option, *engine_options)
def retry(
    run: str,
    statuses: tuple[int, ...],
    codes: tuple[str, ...],
    volumes: tuple[str, ...],
    all_failed: bool,
    cloud: str | None,
    vbs_endpoint: str | None,
    block_storage_endpoint: str | None,
    db: Path | None,
    rate: Rate | None,
    in_flight: int | None,
    progress: str,
    verbose: bool,
    yes: bool,
) -> int:
    """Try failed jobs of RUN again, with all their attempts, and resume it.

    Options of one kind add up, options of different kinds must all fit.
    """
    style = _style(progress)
    selection = _selection(statuses, codes, volumes, all_failed)
    with open_store(db) as store:
        found = store.run(run)
        if store.is_live(found.id) is not None:
            from vbsbatch.cli.steering import ask

            click.echo(ask(store, found.id, "retry", selection))
            return 0
        choice = _choice(cloud or found.cloud, vbs_endpoint, block_storage_endpoint)
        store.set_limits(found.id, rate=rate, in_flight=in_flight)
        return _in_event_loop(_try_again, store, found.id, selection, choice, style, verbose)


def _selection(
    statuses: tuple[int, ...], codes: tuple[str, ...], volumes: tuple[str, ...], all_failed: bool
) -> Mapping[str, Any]:
    chosen: dict[str, Any] = {"states": ["failed"]}
    for key, values in (("status", statuses), ("codes", codes), ("volumes", volumes)):
        if values:
            chosen[key] = list(values)
    if len(chosen) == 1 and not all_failed:
        raise click.UsageError("say which: --status, --code, --volume or --all-failed")
    if volumes:
        chosen["states"].append("cancelled")
    return chosen


async def _begin(store: Store, plan: Plan, choice: Any, style: str, verbose: bool) -> int:
    from vbsbatch.cli.engine_process import Manner, drive, reach, signed_in

    async with signed_in(choice, plan.settings) as service:
        await reach(service)
        found = _freeze(store, plan, choice.cloud, service.project_id)
        where = f"store {store.path}"
        mention(f"run {found.id}: {len(plan)} volumes, {where}")
        return await drive(store, found, service, Manner(progress=style, verbose=verbose))


async def _continue(store: Store, run_id: str, choice: Any, style: str, verbose: bool) -> int:
    from vbsbatch.cli.engine_process import Manner, drive, signed_in

    found = store.run(run_id)
    async with signed_in(choice, found.settings) as service:
        return await drive(store, found, service, Manner(progress=style, verbose=verbose))


async def _try_again(
    store: Store, run_id: str, selection: Mapping[str, Any], choice: Any, style: str, verbose: bool
) -> int:
    from vbsbatch.cli.engine_process import Manner, check_project, drive, signed_in

    found = store.run(run_id)
    async with signed_in(choice, found.settings) as service:
        check_project(found, service)
        count = store.requeue(run_id, selection)
        if not count and found.state is RunState.ENDED:
            return _nothing_to_do(store, found, "no job of it fits")
        mention(f"run {run_id}: {count} jobs to be tried again")
        manner = Manner(progress=style, verbose=verbose)
        return await drive(store, store.run(run_id), service, manner)


def _freeze(store: Store, plan: Plan, cloud: str | None, project_id: str) -> Run:
    """Put the plan into the store as a new run."""
    from vbsbatch.model import BackupSettings

    now = time.time()
    deadline = plan.settings.deadline
    frozen = Run(
        id=store.new_run_id(now),
        plan=plan.name,
        cloud=cloud,
        project_id=project_id,
        state=RunState.RUNNING,
        settings=plan.settings,
        created_at=now,
        deadline_at=None if deadline is None else now + deadline,
    )
    store.create_run(frozen, plan.jobs(frozen.id), BackupSettings())
    return store.run(frozen.id)


def _limited(plan: Plan, rate: Rate | None, in_flight: int | None) -> Plan:
    limits = plan.settings.limits
    if rate is not None:
        limits = replace(limits, rate=rate)
    if in_flight is not None:
        limits = replace(limits, in_flight=in_flight)
    return replace(plan, settings=replace(plan.settings, limits=limits))


def _choice(cloud: str | None, vbs: str | None, block_storage: str | None) -> Any:
    from vbsbatch.cloud import CloudChoice

    return CloudChoice(cloud=cloud, vbs_endpoint=vbs, block_storage_endpoint=block_storage)


def _style(progress: str) -> str:
    if progress == "tui":
        raise UsageError("the screen is not there yet: use --progress plain, json or quiet")
    return "plain" if progress == "auto" else progress


def _nothing_to_do(store: Store, run: Run, why: str) -> int:
    """Leave an ended run as it is; the exit code that its engine gave."""
    from vbsbatch.cli.engine_process import outcome

    mention(f"run {run.id}: nothing to do, {why}")
    return outcome(store.counts(run.id))


def _refuse_if_live(store: Store, run: Run) -> None:
    from vbsbatch.errors import RunIsLive

    pid = store.is_live(run.id)
    if pid is not None:
        raise RunIsLive(f"run {run.id} is driven by process {pid} already")


def _warn_of_unfinished(store: Store, plan: str, *, yes: bool) -> None:
    """A second run of a plan whose first is unfinished is a mistake more often than not."""
    found = store.newest_unfinished()
    if found is None or found.plan != plan:
        return
    from vbsbatch.report import clean

    words = f"run {found.id} of plan {clean(plan)} is unfinished (vbsbatch resume {found.id})"
    if not yes and sys.stdin.isatty() and sys.stderr.isatty():
        click.confirm(f"{words}. Start another run?", abort=True, err=True)
    else:
        mention(f"note: {words}; starting another run")


def _in_event_loop(function: Any, *args: Any) -> int:
    import anyio

    code: int = anyio.run(function, *args)
    return code
