"""Prints what a preflight found: `check --online`, and the first step of `run`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from vbsbatch.api.preflight import (
    connection_findings,
    refuse_errors,
    refuse_hopeless,
    run_preflight,
    sign_in_finding,
    store_if_any,
)
from vbsbatch.api.sessions import place_line, signed_in
from vbsbatch.cli import USAGE, can_ask, fit, is_terminal, mention, remark
from vbsbatch.cli.cloud_line import counting
from vbsbatch.errors import CloudError, UsageError
from vbsbatch.inventory.forecast import in_words
from vbsbatch.inventory.plan_writer import counted
from vbsbatch.inventory.preflight import Preflight, PreflightFinding, Severity
from vbsbatch.model import OnPreflight
from vbsbatch.report import clean, opened
from vbsbatch.report.text import cut

if TYPE_CHECKING:
    from vbsbatch.cloud import CloudChoice, CloudService
    from vbsbatch.plan import Plan
    from vbsbatch.store import RunStore

SHOWN = 30
"""Findings that a run lists before it starts; `check --online` lists all."""

_WORTH_A_QUESTION = (Severity.ERROR, Severity.WARNING)
_STYLES = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTE: "dim"}


def check_online(
    path: Path, plan: Plan, choice: CloudChoice, *, as_json: bool, db: Path | None = None
) -> int:
    """Run the preflight, and print all findings; 2 when something would surely fail."""
    import anyio

    found: Preflight | None = None
    try:
        found, where = anyio.run(_check, plan, choice, db)
        findings = (*where, *found.findings)
    except CloudError as error:
        findings = (sign_in_finding(error),)
    with opened(None) as stream:
        if as_json:
            _write_json(path, findings, found, stream)
        else:
            if stream.isatty():
                _print_table(findings, stream)
            else:
                stream.writelines(f"{line}\n" for line in _lines(findings))
            stream.write(f"{clean(str(path))}: {_verdict(findings, found)}\n")
    return USAGE if any(each.severity is Severity.ERROR for each in findings) else 0


def approve_findings(
    service: CloudService,
    volumes: int,
    found: Preflight,
    *,
    policy: OnPreflight,
    yes: bool,
    style: str,
) -> None:
    """Print what a preflight found (in the `style` of the run's progress), and ask on a terminal.

    Raises `UsageError` when the run of so many volumes must not start.
    """
    told = _worth_a_question(found)
    asks = not yes and can_ask()
    if told and asks:
        mention(f"in {place_line(service)}")
    if told and (asks or style != "quiet"):
        (_tell_programs if style == "json" and not asks else _tell)(told, found)
    refuse_hopeless(found, volumes)
    if found.found(Severity.ERROR):
        if asks:
            _agree(_question(found), default=False)
        elif policy is OnPreflight.FAIL:
            refuse_errors(found)
    elif told and asks:
        _agree("Start the run?", default=True)


def agree_to_associate(lines: Sequence[str], *, yes: bool) -> None:
    """Ask whether volumes may be put into vaults; raises `UsageError` without an agreement.

    Where nobody can be asked, only `--yes` agrees: a volume leaves its vault with all its backups.
    """
    for line in lines:
        mention(clean(line))
    if yes:
        return
    if not can_ask():
        raise UsageError("nothing was started: say --yes to put these volumes into their vaults")
    _agree("Put them there? A volume leaves a vault only with all its backups", default=False)


def forecast_line(found: Preflight) -> str | None:
    """The forecast; None where `approve_findings` has printed it with the findings."""
    return None if _worth_a_question(found) else f"forecast: {in_words(found.forecast)}"


def _worth_a_question(found: Preflight) -> list[PreflightFinding]:
    return [each for each in found.findings if each.severity in _WORTH_A_QUESTION]


async def _check(
    plan: Plan, choice: CloudChoice, db: Path | None
) -> tuple[Preflight, tuple[PreflightFinding, ...]]:
    """Run the preflight: its result, and findings about the connection."""
    with store_if_any(plan, db) as store:
        return await _check_with(store, plan, choice)


async def _check_with(
    store: RunStore | None, plan: Plan, choice: CloudChoice
) -> tuple[Preflight, tuple[PreflightFinding, ...]]:
    async with signed_in(choice, plan.settings) as service:
        with counting("volumes") as count:
            found = await run_preflight(
                plan, service, unanswered=Severity.ERROR, count=count, store=store
            )
        return found, await connection_findings(plan, service)


def _agree(question: str, *, default: bool) -> None:
    if not click.confirm(fit(question), default=default, err=True):
        raise UsageError("nothing was started")


def _question(found: Preflight) -> str:
    hopeless = len(found.hopeless)
    if found.blocked and not hopeless:
        return "Start the run all the same?"
    rest = found.forecast.volumes
    return f"Skip the {hopeless} that would surely fail, and back up the other {rest}?"


def _tell(told: Sequence[PreflightFinding], found: Preflight) -> None:
    """Print the findings on standard error: a table on a terminal, lines elsewhere."""
    if is_terminal(sys.stderr):
        _print_table(told[:SHOWN], sys.stderr)
    else:
        for line in _lines(told[:SHOWN]):
            mention(line)
    if len(told) > SHOWN:
        mention(f"... and {len(told) - SHOWN} more (vbsbatch check PLAN --online lists all)")
    if found.recent:
        mention(f"{counted(len(found.recent), 'volume')} skipped: the last backup is new enough")
    mention(f"preflight: {_counts(told)}; {in_words(found.forecast)}")


def _tell_programs(told: Sequence[PreflightFinding], found: Preflight) -> None:
    """Print the findings as JSON lines, like the progress of the run."""
    for each in told:
        words = (each.severity, each.about, _volume(each), each.text)
        remark(" ".join(word for word in words if word), "json", "preflight")


def _lines(findings: Sequence[PreflightFinding]) -> Iterator[str]:
    """One line for each finding, the worst first, nothing cut: for `grep`."""
    for each in _ordered(findings):
        cells = (f"{each.severity:<7}", f"{each.about:<11}", _volume(each), clean(each.text))
        yield "  ".join(filter(None, cells))


def _print_table(findings: Sequence[PreflightFinding], stream: TextIO) -> None:
    """Print the findings as a table that fits the terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("")
    table.add_column("WHAT")
    table.add_column("VOLUME", no_wrap=True, overflow="ignore")  # ids stay whole, to be copied
    table.add_column("FINDING", overflow="fold")
    for each in _ordered(findings):
        volume = _volume(each, apart="\n")
        table.add_row(
            Text(each.severity, style=_STYLES[each.severity]),
            *map(Text, (each.about, volume, clean(each.text))),
        )
    Console(file=stream, highlight=False).print(table)


def _ordered(findings: Sequence[PreflightFinding]) -> list[PreflightFinding]:
    return sorted(findings, key=lambda each: list(Severity).index(each.severity))


def _volume(finding: PreflightFinding, apart: str | None = None) -> str:
    """Name and id; with `apart` between them the name is cut to the length of the id."""
    if finding.volume_id is None:
        return ""
    volume_id = clean(finding.volume_id)
    if finding.name is None or finding.name == finding.volume_id:
        return volume_id
    name = clean(finding.name)
    return f"{name} ({volume_id})" if apart is None else f"{cut(name, 36)}{apart}{volume_id}"


def _verdict(findings: Sequence[PreflightFinding], found: Preflight | None) -> str:
    if found is None:
        return "could not be looked at"
    skipped = f", {len(found.recent)} skipped" if found.recent else ""
    return f"{_counts(findings)}; {in_words(found.forecast)}{skipped}"


def _counts(findings: Sequence[PreflightFinding]) -> str:
    kinds = [each.severity for each in findings]
    return ", ".join(counted(kinds.count(kind), kind) for kind in _WORTH_A_QUESTION)


def _write_json(
    path: Path, findings: Sequence[PreflightFinding], found: Preflight | None, stream: TextIO
) -> None:
    import json

    from vbsbatch.report.text import cleaned

    document = {
        "schema": 1,
        "plan": clean(str(path)),
        "ok": not any(each.severity is Severity.ERROR for each in findings),
        "findings": [
            {
                "severity": each.severity,
                "about": each.about,
                "volume_id": cleaned(each.volume_id),
                "name": cleaned(each.name),
                "text": clean(each.text),
            }
            for each in findings
        ],
        "skipped": sorted(found.recent) if found is not None else [],
        "forecast": asdict(found.forecast) if found is not None else None,
    }
    stream.write(json.dumps(document, indent=2) + "\n")
