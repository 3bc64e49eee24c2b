"""Commands that drive an engine: run, resume, retry.

On a terminal the engine becomes a process of its own and the screen is shown; elsewhere, or as
`--progress` says, it runs in the foreground.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import click

from vbsbatch.cli import fit, mention, remark, say
from vbsbatch.cli.options import (
    DrivingOptions,
    check_volumes,
    driving,
    mention_unknown_codes,
    open_store,
    service_option,
    take_over_option,
)
from vbsbatch.cli.screen_launcher import chosen_style, is_terminal
from vbsbatch.errors import UsageError
from vbsbatch.model import (
    Cloud,
    Job,
    JobState,
    OnPreflight,
    Operation,
    Rate,
    Run,
    RunState,
    Service,
    Settings,
    Wall,
)
from vbsbatch.model.clocks import elapsed, wall

if TYPE_CHECKING:
    from vbsbatch.cli.lost_run import LostRun
    from vbsbatch.cli.preflight import Cleared
    from vbsbatch.cloud import CloudChoice, CloudService
    from vbsbatch.plan import Plan
    from vbsbatch.store import Store

    Prepare = Callable[[CloudService], Awaitable[Run | int]]


@click.command(
    epilog="""\
Exit codes: 0 all succeeded or skipped, 1 some failed, 2 nothing was submitted (usage, plan,
credentials or store), 3 stopped and resumable, 130 aborted by a second signal. Leaving the
screen while the run goes on is 0.

\b
Examples:
  vbsbatch run plans/pre-migration.yaml --cloud otc
  vbsbatch run nightly.yaml --volumes fleet.csv --rate 100/min --progress json
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
    help="Do not delete a backup in error before it is made anew.",
)
@click.option("--no-preflight", is_flag=True, help="Do not look at volumes and quota first.")
@click.option(
    "--on-preflight",
    type=click.Choice([str(word) for word in OnPreflight]),
    help="If some volumes would surely fail: start nothing, or skip them. Wins over the plan.",
)
@click.option(
    "--as",
    "as_run",
    metavar="RUN",
    help="The store is lost: make RUN anew under its id and take over the backups it has made.",
)
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
) -> int:
    """Submit the backups of PLAN, and follow them to their end.

    First it looks whether the cloud can carry them out; on a terminal it asks when that is in
    doubt, with --yes it does as on_preflight says.
    """
    from vbsbatch.cli.lost_run import check_backups, lost_run
    from vbsbatch.cli.plan_loading import load_plan, wanted_service

    style = chosen_style(how.progress)
    loaded = _limited(load_plan(plan, volumes), how.rate, how.in_flight)
    if keep_errored_backups:
        loaded = replace(loaded, settings=replace(loaded.settings, delete_errored=False))
    cloud = how.cloud or loaded.cloud or os.environ.get("OS_CLOUD")
    choice = how.choice(cloud, wanted_service(loaded, service))
    policy = loaded.on_preflight if on_preflight is None else OnPreflight(on_preflight)
    with open_store(how.db, create=True) as store:
        lost = None if as_run is None else lost_run(store, as_run)
        if lost is None:
            _warn_of_unfinished(store, loaded.name, style, yes=how.yes)

        async def freeze(service: CloudService) -> Run:
            seen = None
            if lost is not None:
                await check_backups(service, loaded, lost)
            elif not no_preflight:
                seen = await _preflight(loaded, service, policy, style, yes=how.yes)
            await _check_settings(loaded, service, reached=seen is not None)
            skipped = {} if seen is None else seen.skipped
            found = _freeze(store, loaded, choice.cloud, service, skipped, lost)
            _say_begun(store, found, len(loaded), len(skipped), style)
            if seen is not None and seen.words is not None and style in ("plain", "tui"):
                mention(f"forecast: {seen.words}")
            return found

        return carry_out(
            store,
            choice,
            loaded.settings,
            freeze,
            how,
            style,
            fresh=as_run is None,
            take_over=take_over,
        )


@click.command(
    epilog="""\
Exit codes as for run. Never submits twice what was submitted before.

\b
Examples:
  vbsbatch resume
  vbsbatch resume 20261123-0715 --rate 1/s --in-flight 20
"""
)
@click.argument("run", required=False)
@click.option("--first-engine", is_flag=True, hidden=True)
@driving
@take_over_option
def resume(run: str | None, first_engine: bool, how: DrivingOptions, take_over: bool) -> int:
    """Continue RUN, by default the newest unfinished one that makes backups.

    One that restores or deletes goes on only when it is named.
    """
    style = chosen_style(how.progress)
    with open_store(how.db) as store:
        found = store.run(run) if run else _unfinished(store)
        _refuse_if_live(store, found)
        if found.state is RunState.ENDED:
            return _nothing_to_do(store, found, "it has ended", style)
        store.set_limits(found.id, rate=how.rate, in_flight=how.in_flight)

        async def take_up(service: CloudService) -> Run:
            return store.run(found.id)

        choice = how.choice(how.cloud or found.cloud, found.settings.service)
        fresh = first_engine and found.started_at is None
        return carry_out(
            store, choice, found.settings, take_up, how, style, fresh=fresh, take_over=take_over
        )


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

    Options of one kind add up, options of different kinds must all fit.
    """
    from vbsbatch.cli.engine_process import check_project
    from vbsbatch.inventory.plan_writer import counted

    style = chosen_style(how.progress)
    selection = _selection(statuses, codes, volumes, all_failed)
    with open_store(how.db) as store:
        found = store.run(run)
        check_volumes(store, found.id, volumes)
        mention_unknown_codes(store, found.id, codes)
        if store.is_live(found.id) is not None:
            from vbsbatch.cli.steering_commands import ask

            if how.rate is not None or how.in_flight is not None:
                raise click.UsageError(
                    "an engine drives the run: change its limits with vbsbatch rate or in-flight"
                )
            say(ask(store, found.id, "retry", selection))
            return 0
        store.set_limits(found.id, rate=how.rate, in_flight=how.in_flight)

        async def requeue(service: CloudService) -> Run | int:
            check_project(found, service)
            count = store.requeue(found.id, selection)
            if not count and found.state is RunState.ENDED:
                return _nothing_to_do(store, found, "no job of it fits", style)
            remark(f"run {found.id}: {counted(count, 'job')} to be tried again", style)
            return store.run(found.id)

        choice = how.choice(how.cloud or found.cloud, found.settings.service)
        return carry_out(store, choice, found.settings, requeue, how, style)


def carry_out(
    store: Store,
    choice: CloudChoice,
    settings: Settings,
    prepare: Prepare,
    how: DrivingOptions,
    style: str,
    *,
    fresh: bool = False,
    take_over: bool = False,
) -> int:
    """Sign in, prepare the run, and drive it: here, or detached behind the screen.

    `fresh`: the run is made just now, by this very command; no other engine ever drove it.
    `take_over` takes volumes from runs without an engine; else a person is asked.
    """
    import anyio

    from vbsbatch.cli.cloud_line import say_place
    from vbsbatch.cli.engine_process import DriveOptions, check_project, drive, signed_in, warn
    from vbsbatch.cli.volume_holders import look_for_holders

    async def sign_in_and_drive() -> Run | int:
        async with signed_in(choice, settings) as service:
            warn(service, style)
            prepared = await prepare(service)
            if isinstance(prepared, int):
                return prepared
            check_project(prepared, service)
            say_place(service, style)
            look_for_holders(store, prepared.id, style, yes=how.yes, wanted=take_over)
            if style == "tui":
                return prepared
            return await drive(
                store,
                prepared,
                service,
                DriveOptions(
                    progress=style,
                    verbose=how.verbose,
                    options=how.addresses(),
                    resumed=not fresh,
                ),
            )

    result = anyio.run(sign_in_and_drive)
    if isinstance(result, int):
        return result
    from vbsbatch.cli.detached_engine import start_engine
    from vbsbatch.cli.screen_launcher import show_run

    start_engine(store, result.id, [*how.words(), *(["--first-engine"] if fresh else [])])
    return show_run(store, result.id, read_only=False, options=how.words())


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


async def _preflight(
    plan: Plan, service: CloudService, policy: OnPreflight, style: str, *, yes: bool
) -> Cleared:
    from vbsbatch.cli.preflight import before_run

    return await before_run(plan, service, policy=policy, yes=yes, style=style)


def _say_begun(store: Store, run: Run, volumes: int, skipped: int, style: str) -> None:
    from vbsbatch.inventory.plan_writer import counted

    maker = " by Cinder" if run.settings.service is Service.CINDER else ""
    fewer = f", {skipped} of them skipped" if skipped else ""
    remark(f"run {run.id}: {counted(volumes, 'volume')}{maker}{fewer}, store {store.path}", style)


async def _check_settings(plan: Plan, service: CloudService, *, reached: bool) -> None:
    """Refuse before anything is stored what the service that was found cannot do.

    Where nothing was asked of it so far, first find out whether anybody answers at all.
    """
    from vbsbatch.cli.engine_process import objections, reach

    if not reached:
        await reach(service)
    if objected := await objections(plan, service):
        raise UsageError("\n".join(objected))


def _freeze(
    store: Store,
    plan: Plan,
    cloud: str | None,
    service: CloudService,
    skipped: Mapping[str, str],
    lost: LostRun | None,
) -> Run:
    """Put the plan into the store as a new run; `skipped` are volumes with the reason why, `lost`
    is the run that it is to be again."""
    from vbsbatch.model import BackupSettings

    now = wall()
    deadline = plan.settings.deadline
    frozen = Run(
        id=store.new_run_id(now) if lost is None else lost.id,
        plan=plan.name,
        cloud=cloud,
        project_id=service.project_id,
        project_name=service.project_name,
        region=service.region,
        endpoint=service.endpoint,
        state=RunState.RUNNING,
        settings=plan.settings_on(service.kind),
        created_at=now if lost is None else lost.made_at,
        created_cloud_at=cloud_now(service) if lost is None else None,
        deadline_at=None if deadline is None else now + deadline,
    )
    jobs = (_skipped(job, skipped.get(job.volume_id), now) for job in plan.jobs(frozen.id))
    store.create_run(frozen, jobs, BackupSettings())
    return store.run(frozen.id)


def cloud_now(service: CloudService) -> Cloud:
    """What the cloud's clock shows at this moment, as far as its answers told."""
    return Cloud(float(elapsed()) + service.clock_ahead)


def _skipped(job: Job, why: str | None, now: Wall) -> Job:
    """The job as it begins: waiting, or skipped for a reason."""
    if why is None:
        return job
    return replace(job, state=JobState.SKIPPED, message=why, ended_at=now)


def _limited(plan: Plan, rate: Rate | None, in_flight: int | None) -> Plan:
    limits = plan.settings.limits
    if rate is not None:
        limits = replace(limits, rate=rate)
    if in_flight is not None:
        limits = replace(limits, in_flight=in_flight)
    return replace(plan, settings=replace(plan.settings, limits=limits))


def _unfinished(store: Store) -> Run:
    """The newest unfinished run that makes backups; what another overwrites or deletes, somebody
    has to want at this moment."""
    unfinished = [run for run in store.runs() if run.state is not RunState.ENDED]
    for run in unfinished:
        if run.settings.operation is Operation.BACKUP:
            return run
    if not unfinished:
        raise UsageError(f"no run in {store.path} is unfinished")
    found = unfinished[0]
    raise UsageError(
        f"only run {found.id} is unfinished, a {found.settings.operation}: "
        f"if that is still wanted, name it: vbsbatch resume {quote(found.id)}"
    )


def _nothing_to_do(store: Store, run: Run, why: str, style: str) -> int:
    """Leave an ended run as it is; the exit code that its engine gave."""
    from vbsbatch.cli.exit_status import outcome

    remark(f"run {run.id}: nothing to do, {why}", style)
    return outcome(store.counts(run.id))


def _refuse_if_live(store: Store, run: Run) -> None:
    from vbsbatch.errors import RunIsLive
    from vbsbatch.report.text import moment
    from vbsbatch.store import db_option

    holder = store.is_live(run.id)
    if holder is not None:
        watch = f"vbsbatch attach {quote(run.id)}{db_option(store.path)}"
        since = "" if holder.since is None else f", since {moment(holder.since)}"
        raise RunIsLive(f"{holder.refusal(run.id)}{since}: {watch}")


def _warn_of_unfinished(store: Store, plan: str, style: str, *, yes: bool) -> None:
    """A second run of a plan whose first is unfinished is a mistake more often than not."""
    found = store.newest_unfinished()
    if found is None or found.plan != plan:
        return
    from vbsbatch.report import clean
    from vbsbatch.store import db_option

    verb, state = "resume", "is unfinished"
    if store.is_live(found.id) is not None:
        verb, state = "attach", "is under way"
    command = f"vbsbatch {verb} {quote(found.id)}{db_option(store.path)}"
    words = f"run {found.id} of plan {clean(plan)} {state} ({command})"
    if yes or not (is_terminal(sys.stdin) and is_terminal(sys.stderr)):
        remark(f"note: {words}; starting another run", style)
    elif not click.confirm(fit(f"{words}. Start another run?"), err=True):
        raise UsageError("nothing was started")
