"""Every action, called by its key or by its name in the palette, does what it says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from textual.command import CommandPalette

from tests.tui.piloting import Stage, opened
from tests.tui.scripted import RUN, ScriptedSource
from vbsbatch.model import JobState
from vbsbatch.tui.bindings import KEYS
from vbsbatch.tui.comparison_screen import ComparisonScreen
from vbsbatch.tui.detail import DetailScreen
from vbsbatch.tui.event_pane import EventPane
from vbsbatch.tui.help import HelpScreen
from vbsbatch.tui.overview import OverviewScreen
from vbsbatch.tui.panes import Failures
from vbsbatch.tui.runs import RunsScreen
from vbsbatch.tui.view_models import Sort, SortKey

pytestmark = pytest.mark.anyio


@dataclass(frozen=True)
class Case:
    """Keys, one after another, and what must be so in the end."""

    keys: str
    so: Callable[[Stage], object]
    run: str | None = RUN
    pid: int | None = 4711


def at(no: int) -> Callable[[Stage], object]:
    return lambda stage: stage.table.cursor_no == no


def on(kind: type[Any]) -> Callable[[Stage], object]:
    return lambda stage: isinstance(stage.app.screen, kind)


def shows(words: str) -> Callable[[Stage], object]:
    return lambda stage: words in stage.text


def asked(verb: str) -> Callable[[Stage], object]:
    return lambda stage: [command for command, _ in stage.source.commands] == [verb]


def said(words: str) -> Callable[[Stage], object]:
    return lambda stage: any(words in text for text in stage.app.said)


def failed(stage: Stage) -> list[int]:
    return [job.no for job in stage.source.jobs if job.state is JobState.FAILED]


JOB = "enter"
"""From the run to its first job."""

CASES = {
    "help": Case("f1", on(HelpScreen)),
    "theme": Case("t", lambda stage: stage.app.theme == "light"),
    "picture": Case(":picture", shows("Write to")),
    "detach": Case("q", lambda stage: stage.app._exit),
    "more": Case("ctrl+p", on(CommandPalette)),
    "down": Case("j down", at(3)),
    "up": Case("j j k up", at(1)),
    "page-down": Case("pagedown ctrl+f", at(25)),
    "page-up": Case("G pageup ctrl+b", at(376)),
    "first": Case("G g", at(1)),
    "last": Case("G", at(400)),
    "filter": Case("slash m a i l", lambda stage: stage.table.view.terms.words == ("mail",)),
    "open": Case("enter", on(DetailScreen)),
    "mark": Case("space", lambda stage: stage.table.marks == {1}),
    "mark-range": Case("V j V", lambda stage: stage.table.marks == {1, 2}),
    "mark-all": Case("asterisk", lambda stage: len(stage.table.marks) == 400),
    "retry": Case("n r !Retry y", asked("retry")),
    "retry-code": Case("R !which enter !Retry y", asked("retry")),
    "retry-filtered": Case("f :retry-filtered !Retry y", asked("retry")),
    "cancel": Case("s j enter G N n G k :waiting x !Cancel y", asked("cancel")),
    "cancel-filtered": Case(":waiting :cancel-filtered !Cancel y", asked("cancel")),
    "pause": Case("p", asked("pause")),
    "rate-up": Case("plus", asked("rate")),
    "rate-down": Case("minus", asked("rate")),
    "rate": Case("equals_sign !Creates enter", asked("rate")),
    "in-flight": Case(":in-flight !How enter", asked("in-flight")),
    "stop": Case(":stop !Stop y", asked("stop")),
    "stop-now": Case(":stop-now !Stop y", asked("stop-now")),
    "resume": Case("c", lambda stage: stage.source.resumed == [RUN], pid=None),
    "failures": Case("f", lambda stage: stage.table.size_of_view == len(failed(stage))),
    "next-failure": Case("n n", lambda stage: stage.table.cursor_no == failed(stage)[1]),
    "previous-failure": Case("n n N", lambda stage: stage.table.cursor_no == failed(stage)[0]),
    "codes": Case("tab", lambda stage: isinstance(stage.app.focused, Failures)),
    "sort": Case("s j enter", lambda stage: stage.table.view.sorts == (Sort(SortKey.STATE),)),
    "reverse": Case("S", lambda stage: stage.table.view.sorts == (Sort(SortKey.NUMBER, True),)),
    "log": Case("l", lambda stage: isinstance(stage.app.focused, EventPane)),
    "verbose": Case("v", shows("all events")),
    "copy": Case("y !Copy enter", lambda stage: stage.app.clipboard.startswith("6ba7b810")),
    "export": Case("e !Export enter", shows("Write to")),
    "back": Case("escape", on(RunsScreen)),
    "next-part": Case(f"{JOB} tab", shows("[events]")),
    "previous-part": Case(f"{JOB} shift+tab", shows("[timeline]")),
    "next-job": Case(f"{JOB} n", shows("job 00002")),
    "previous-job": Case(f"j {JOB} N", shows("job 00001")),
    "copy-id": Case(f"{JOB} y !Copy enter", said("copied")),
    "retry-job": Case(f"n {JOB} r !Retry y", asked("retry")),
    "cancel-job": Case(f":waiting {JOB} x !Cancel y", asked("cancel")),
    "close": Case(f"{JOB} escape", on(OverviewScreen)),
    "attach": Case("enter", on(OverviewScreen), run=None),
    "mark-run": Case("space", shows("1 marked"), run=None),
    "compare": Case("space j d", on(ComparisonScreen), run=None),
    "resume-run": Case("j j j c", lambda stage: stage.source.resumed, run=None),
    "retry-run": Case("r !Retry y", asked("retry"), run=None),
    "copy-run": Case("y", lambda stage: stage.app.clipboard == RUN, run=None),
    "unmark": Case("space escape", lambda stage: "marked" not in stage.text, run=None),
    "leave": Case("space j d escape", on(RunsScreen), run=None),
}


async def do(stage: Stage, keys: str) -> None:
    """Press each key; `:name` calls from the palette, `!words` waits until they are shown."""
    for key in keys.split():
        if key == ":waiting":
            await stage.press("slash")
            await stage.type("state:wait,retry")
            await stage.press("enter")
        elif key.startswith(":"):
            await stage.call(key[1:])
        elif key.startswith("!"):
            await stage.until(lambda words=key[1:]: words in stage.text)  # type: ignore[misc]
        else:
            await stage.press(key)


def test_there_is_a_case_for_every_action() -> None:
    assert set(CASES) == {key.id for key in KEYS}


@pytest.mark.parametrize("name", list(CASES))
async def test_an_action_does_what_it_says(name: str) -> None:
    case = CASES[name]
    async with opened(ScriptedSource(pid=case.pid), run_id=case.run) as stage:
        if case.run:
            await stage.in_plan_order()
        await do(stage, case.keys)
        await stage.until(lambda: bool(case.so(stage)))
