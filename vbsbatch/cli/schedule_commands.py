"""Plans that are started by the clock: schedule add, list, remove."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import click

from vbsbatch.cli import FAILED, mention, say
from vbsbatch.cli.completion_values import schedule_names
from vbsbatch.cli.options import cloud_options, db_option, with_options
from vbsbatch.errors import UsageError

if TYPE_CHECKING:
    from vbsbatch.cli.timer_units import Schedule
    from vbsbatch.plan import Plan

_STOP_MARGIN = 60.0
"""Seconds beyond the longest answer that a clean stop may take."""


class _Parsed(click.ParamType):  # type: ignore[type-arg]  # generic only in a newer click
    """A text that one of the parsers of `policy.timetable` reads."""

    def __init__(self, name: str) -> None:
        self.name = name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse the text, or fail with an example."""
        from vbsbatch.plan.checks import TimeZone
        from vbsbatch.policy.timetable import parse_at, parse_days

        parsers = {"time": parse_at, "days": parse_days, "zone": TimeZone().check}
        try:
            return parsers[self.name](value) if isinstance(value, str) else value
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.group(
    epilog="""\b
Examples:
  vbsbatch schedule add nightly.yaml --at 22:00 --days mon-fri
  vbsbatch schedule list
  vbsbatch schedule remove nightly
"""
)
def schedule() -> None:
    """Start plans by the clock, with units of your own systemd."""


@schedule.command(
    epilog="""\
It writes a service, a timer and a service that continues a run after a reboot into
~/.config/systemd/user, and enables them. The same name again changes the schedule. Without a
systemd of your own it prints lines for cron, and ends with exit code 1; with --cron it only does
that, with 0. Passwords and keys are never written into units: put them into clouds.yaml, or into a
file that --environment-file names (NAME=VALUE lines, mode 0600).

\b
Examples:
  vbsbatch schedule add nightly.yaml --at 22:00
  vbsbatch schedule add nightly.yaml --at 22:00 --days mon-fri --timezone Europe/Berlin
  vbsbatch schedule add nightly.yaml --at 22:00 --cron
"""
)
@click.argument("plan", type=click.Path(path_type=Path))
@click.option(
    "--at", "at", type=_Parsed("time"), required=True, metavar="HH:MM", help="The time of day."
)
@click.option(
    "--days",
    type=_Parsed("days"),
    default="daily",
    show_default=True,
    metavar="DAYS",
    help="Days of the week: mon-fri, mon,wed,sat.",
)
@click.option(
    "--timezone",
    "zone",
    type=_Parsed("zone"),
    metavar="ZONE",
    help="Such as Europe/Berlin; by default that of this machine.",
)
@click.option("--name", metavar="NAME", help="The schedule's name; by default the plan's.")
@click.option(
    "--if-running",
    type=click.Choice(("skip", "wait", "stop")),
    default="skip",
    show_default=True,
    help="If an earlier run of the plan still runs: start nothing, wait for its end, or stop it.",
)
@click.option(
    "--environment-file", metavar="FILE", help="Variables of the commands, which may be secrets."
)
@click.option("--cron", is_flag=True, help="Only print lines for cron.")
@with_options(*cloud_options, db_option)
def add(
    plan: Path,
    at: Any,
    days: tuple[int, ...],
    zone: str | None,
    name: str | None,
    if_running: str,
    environment_file: str | None,
    cron: bool,
    db: Path | None,
    **place: str | None,
) -> int:
    """Start the backups of PLAN at a time of day; the plan is checked first."""
    from vbsbatch.cli import user_manager
    from vbsbatch.cli.plan_loading import load_plan
    from vbsbatch.cli.timer_units import Schedule, cron_lines, units
    from vbsbatch.policy.timetable import Timetable

    if str(plan) == "-":
        raise UsageError("a schedule needs a file: standard input is gone when it starts")
    loaded = load_plan(plan, None)
    new = Schedule(
        name=name or loaded.name,
        plan=loaded.name,
        path=os.path.abspath(plan),
        timetable=Timetable(at=at, days=days, zone=zone or _local_zone()),
        since=float(int(time.time())),
        if_running=if_running,
        python=sys.executable,
        folder=os.getcwd(),
        options=tuple(_options(db, place)),
        environment=_environment(loaded, place, environment_file),
        environment_file=_checked(environment_file),
        stop_within=_stop_within(loaded),
    )
    files, lines = units(new), cron_lines(new)
    why_not = None if cron else user_manager.why_no_manager()
    if cron or why_not is not None:
        return _print_cron(lines, why_not)
    _install(new, files)
    return 0


def _install(new: Schedule, files: Mapping[str, str]) -> None:
    """Write and enable the units; on an error everything is as before."""
    from vbsbatch.cli import user_manager

    known = any(each.name == new.name for each in user_manager.schedules())
    before = user_manager.written(files)
    try:
        user_manager.control("daemon-reload")
        # A timer that is changed would catch up at once with a time that has passed today.
        user_manager.control("stop", new.timer, may_fail=True)
        user_manager.control("clean", "--what=state", new.timer, may_fail=True)
        user_manager.control("enable", new.resume_at_boot)
        user_manager.control("enable", new.timer)
        user_manager.control("start", new.timer)
    except UsageError:
        user_manager.restore(before)
        if not known:
            _disable(new)
        user_manager.control("daemon-reload", may_fail=True)
        raise
    say(f"{'changed' if known else 'added'} {new.name}: {new.path}, {new.timetable}")
    say(f"next start {_next(new)}")
    mention(f"its output: journalctl --user -u {new.unit}")
    if not user_manager.lingers():
        user = user_manager.user_name()
        mention(
            "note: lingering is off: nothing starts while you are not logged in, and a run is "
            f"stopped when you log out: loginctl enable-linger {quote(user)}"
        )


def _disable(old: Schedule) -> None:
    from vbsbatch.cli import user_manager

    for unit in (old.timer, old.resume_at_boot):
        user_manager.control("disable", unit, may_fail=True)
        user_manager.remove_links(unit)


def _print_cron(lines: Sequence[str], why_not: str | None) -> int:
    """Print the lines for cron; the exit code says whether more was wanted."""
    for line in lines:
        say(line)
    if why_not is None:
        return 0
    mention(f"nothing was scheduled: no systemd of yours can be reached ({why_not})")
    mention("to use cron instead: add these lines at the end of your table, with crontab -e")
    return FAILED


@schedule.command(
    "list",
    epilog="""\b
Examples:
  vbsbatch schedule list
  vbsbatch schedule list --json
""",
)
@db_option
@click.option("--json", "as_json", is_flag=True, help="As one JSON document.")
def list_schedules(db: Path | None, as_json: bool) -> None:
    """List the schedules: plan, when, next start, last result, and whether they are enabled."""
    import json

    from vbsbatch.cli import user_manager
    from vbsbatch.cli.schedule_results import last_result
    from vbsbatch.report.as_table import write_rows
    from vbsbatch.report.text import clean, utc

    rows = []
    for each in user_manager.schedules():
        enabled = user_manager.is_enabled(each.timer)
        rows.append((each, enabled, last_result(each, db)))
    if as_json:
        listed = [
            {
                "name": clean(each.name),
                "plan": clean(each.path),
                "at": f"{each.timetable.at:%H:%M:%S}",
                "days": each.timetable.days_text,
                "timezone": each.timetable.zone,
                "if_running": each.if_running,
                "enabled": enabled,
                "next": None if (at := each.timetable.next(time.time())) is None else utc(at),
                "last": clean(result),
                "unit": each.timer,
            }
            for each, enabled, result in rows
        ]
        say(json.dumps({"schema": 1, "schedules": listed}, indent=2))
        return
    if not rows:
        mention("there is no schedule: vbsbatch schedule add PLAN --at 22:00")
        return
    words = {True: "yes", False: "no", None: "?"}
    cells = [
        (each.name, str(each.timetable), _next(each), result, words[enabled], each.path)
        for each, enabled, result in rows
    ]
    write_rows(("NAME", "WHEN", "NEXT", "LAST", "ENABLED", "PLAN"), cells, sys.stdout)


@schedule.command(
    epilog="""\b
Examples:
  vbsbatch schedule remove nightly
"""
)
@click.argument("name", shell_complete=schedule_names)
def remove(name: str) -> None:
    """Remove the schedule NAME: its units, and nothing else. A run that goes on is not stopped."""
    from vbsbatch.cli import user_manager
    from vbsbatch.model import did_you_mean

    known = {each.name: each for each in user_manager.schedules()}
    if name not in known:
        raise UsageError(f"there is no schedule {name!r}{did_you_mean(name, known)}")
    old = known[name]
    user_manager.control("stop", old.timer, may_fail=True)
    user_manager.control("clean", "--what=state", old.timer, may_fail=True)
    _disable(old)
    user_manager.restore(dict.fromkeys(old.files))
    user_manager.remove_empty_folders()
    user_manager.control("daemon-reload", may_fail=True)
    say(f"removed {name}: {old.path}, {old.timetable}")


def _options(db: Path | None, place: Mapping[str, str | None]) -> list[str]:
    """The options that were given, with whole paths."""
    from vbsbatch.config import load_config

    store = None if db is None else str(db)
    if store is None and (named := os.environ.get("VBSBATCH_DB")) != load_config().db:
        store = named
    if store is not None and "://" not in store:
        store = os.path.abspath(Path(store).expanduser())
    words = [] if store is None else ["--db", store]
    for option, value in place.items():
        if value is not None:
            words += [f"--{option.replace('_', '-')}", value]
    return words


def _environment(
    plan: Plan, place: Mapping[str, str | None], environment_file: str | None
) -> dict[str, str]:
    """The variables for the units; refuses, or mentions, what must not be written into them."""
    from vbsbatch.cli import start_environment
    from vbsbatch.config import load_config

    given, config = os.environ, load_config()
    secret = start_environment.secrets_of(given)
    if secret and environment_file is None:
        names = ", ".join(secret)
        named = place["cloud"] or plan.cloud or given.get("OS_CLOUD")
        advice = (
            "put them into clouds.yaml or secure.yaml, or as NAME=VALUE lines into a file of mode "
            "0600 that --environment-file names"
        )
        if named is None and start_environment.signs_in_by_variables(given):
            raise UsageError(f"secrets are not written into units, and {names} sign in: {advice}")
        mention(f"note: {names} will not be set, secrets are not written into units: {advice}")
    by_config = {"OS_CLOUD": config.cloud} if config.cloud is not None else {}
    return start_environment.kept_variables(given, by_config)


def _checked(environment_file: str | None) -> str | None:
    from vbsbatch.cli.start_environment import checked_file

    return None if environment_file is None else checked_file(environment_file)


def _stop_within(plan: Plan) -> int:
    """Seconds for a clean stop: the longest answer, and some."""
    timeouts = plan.settings.timeouts
    return max(180, round(timeouts.connect + timeouts.read + _STOP_MARGIN))


def _local_zone() -> str:
    """The name of this machine's time zone, as far as it can be found out; else UTC."""
    from vbsbatch.plan.checks import TimeZone

    link = os.path.realpath("/etc/localtime")
    named = [os.environ.get("TZ", "").lstrip(":"), link.partition("/zoneinfo/")[2]]
    for name in named:
        try:
            return TimeZone().check(name)
        except ValueError:
            continue
    return "UTC"


def _next(of: Schedule) -> str:
    """The next start, by the clock of the schedule."""
    from datetime import datetime
    from zoneinfo import ZoneInfo

    at = of.timetable.next(time.time())
    if at is None:
        return "never"
    return datetime.fromtimestamp(at, ZoneInfo(of.timetable.zone)).strftime("%a %Y-%m-%d %H:%M %Z")
