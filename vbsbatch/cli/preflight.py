"""The look before a run: `check --online`, and the first step of `run`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from vbsbatch.cli import USAGE, fit, mention, remark
from vbsbatch.cli.cloud_line import end_line, place_line
from vbsbatch.cli.cloud_queries import Count, counting
from vbsbatch.cli.screen_launcher import is_terminal
from vbsbatch.errors import CloudError, UsageError
from vbsbatch.inventory.plan_writer import counted
from vbsbatch.inventory.preflight import Preflight, PreflightFinding, Severity, in_words, look
from vbsbatch.model import OnPreflight
from vbsbatch.report import clean, opened
from vbsbatch.report.text import cut

if TYPE_CHECKING:
    from vbsbatch.cloud import CloudChoice, CloudService
    from vbsbatch.plan import Plan

SHOWN = 30
"""Findings that a run lists before it starts; `check --online` lists all."""

_WORTH_A_QUESTION = (Severity.ERROR, Severity.WARNING)
_STYLES = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTE: "dim"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Cleared:
    """A run that may start."""

    skipped: Mapping[str, str]
    """Volumes that are left out, each with the reason."""
    words: str | None
    """The forecast, for a person; None where it was told with the findings."""


def check_online(path: Path, plan: Plan, choice: CloudChoice, *, as_json: bool) -> int:
    """Look, and show everything that was found; 2 when something would surely fail."""
    import anyio

    found: Preflight | None = None
    try:
        found, where = anyio.run(_looked, plan, choice)
        findings = (*where, *found.findings)
    except CloudError as error:
        findings = (
            PreflightFinding(severity=Severity.ERROR, about=_about(error), text=str(error)),
        )
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


async def before_run(
    plan: Plan, service: CloudService, *, policy: OnPreflight, yes: bool, style: str
) -> Cleared:
    """Look, say what was found (in the `style` of the run's progress), and ask whoever is there.

    Raises `UsageError` when the run is not to be started, `SignInError` when nobody answers.
    """
    found = await _look(plan, service, _uncounted, unanswered=Severity.WARNING)
    told = [each for each in found.findings if each.severity in _WORTH_A_QUESTION]
    asks = not yes and is_terminal(sys.stdin) and is_terminal(sys.stderr)
    if told and asks:
        mention(f"in {place_line(service)}")
    if told and (asks or style != "quiet"):
        (_tell_programs if style == "json" and not asks else _tell)(told, found)
    if found.blind:
        raise UsageError(
            "nothing was started: a run could not follow its backups, because the cloud refuses "
            "to list them: have that allowed, or check the endpoint (--block-storage-endpoint)"
        )
    if len(found.hopeless) == len(plan):
        raise UsageError(
            "nothing was started: every volume of the plan would surely fail "
            "(vbsbatch check PLAN --online tells why)"
        )
    if found.found(Severity.ERROR):
        if asks:
            _agree(_question(found), default=False)
        elif policy is OnPreflight.FAIL:
            raise UsageError(_refusal(found))
    elif told and asks:
        _agree("Start the run?", default=True)
    return Cleared(
        skipped={**found.recent, **found.hopeless}, words=None if told else in_words(found.forecast)
    )


async def _looked(
    plan: Plan, choice: CloudChoice
) -> tuple[Preflight, tuple[PreflightFinding, ...]]:
    """What was found, and where: both are worth knowing."""
    from vbsbatch.cli.engine_process import objections, signed_in

    async with signed_in(choice, plan.settings) as service:
        with counting("volumes") as count:
            found = await _look(plan, service, count, unanswered=Severity.ERROR)
        ending = end_line(service)
        objected = await objections(plan, service)
        return found, (
            PreflightFinding(
                severity=Severity.NOTE,
                about="credentials",
                text=f"signed in to {place_line(service)}",
            ),
            *(
                PreflightFinding(severity=Severity.WARNING, about="credentials", text=text)
                for text in filter(None, [ending])
            ),
            PreflightFinding(
                severity=Severity.NOTE,
                about="endpoint",
                text=f"{service.kind} answers, {service.read_calls} calls so far",
            ),
            *(
                PreflightFinding(severity=Severity.WARNING, about="endpoint", text=text)
                for text in service.warnings
            ),
            *(
                PreflightFinding(severity=Severity.ERROR, about="settings", text=text)
                for text in objected
            ),
        )


async def _look(
    plan: Plan, service: CloudService, count: Count, *, unanswered: Severity
) -> Preflight:
    from vbsbatch.cli.preflight_queries import take_sight

    sight = await take_sight(service, {volume.id for volume in plan.volumes}, count)
    return look(plan, sight, unanswered=unanswered)


def _uncounted(volumes: int) -> None:
    """A run draws no bar: a screen may follow."""


def _agree(question: str, *, default: bool) -> None:
    if not click.confirm(fit(question), default=default, err=True):
        raise UsageError("nothing was started")


def _question(found: Preflight) -> str:
    hopeless = len(found.hopeless)
    if found.blocked and not hopeless:
        return "Start the run all the same?"
    rest = found.forecast.volumes
    return f"Skip the {hopeless} that would surely fail, and back up the other {rest}?"


def _refusal(found: Preflight) -> str:
    counts = (
        [f"{counted(len(found.hopeless), 'volume')} would surely fail"] if found.hopeless else []
    )
    if found.blocked:
        counts.append("the quota does not suffice")
    return (
        f"nothing was started: {' and '.join(counts)} (on_preflight: skip in the plan or "
        "--on-preflight skip leaves them out and runs the rest, --no-preflight does not look)"
    )


def _tell(told: Sequence[PreflightFinding], found: Preflight) -> None:
    """The findings on standard error: a table on a terminal, lines elsewhere."""
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
    """The findings as the JSON lines that the run goes on with."""
    for each in told:
        words = (each.severity, each.about, _volume(each), each.text)
        remark(" ".join(word for word in words if word), "json", "preflight")


def _lines(findings: Sequence[PreflightFinding]) -> Iterator[str]:
    """One line a finding, what matters most first, nothing cut: for `grep`."""
    for each in _ordered(findings):
        cells = (f"{each.severity:<7}", f"{each.about:<11}", _volume(each), clean(each.text))
        yield "  ".join(filter(None, cells))


def _print_table(findings: Sequence[PreflightFinding], stream: TextIO) -> None:
    """The same for a person at a terminal, within its width."""
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
    """Name and id, in one line or `apart`, where the name is cut to the length of the id."""
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


def _about(error: CloudError) -> str:
    reached = "cannot reach" in str(error) or "endpoint" in str(error)
    return "endpoint" if reached else "credentials"


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
