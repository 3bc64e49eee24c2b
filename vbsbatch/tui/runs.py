"""The list of runs, from which one run is opened, or two are compared."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from rich.cells import cell_len
from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical

from vbsbatch.errors import VbsbatchError
from vbsbatch.model import JobState
from vbsbatch.report.data import percent
from vbsbatch.report.text import moment, span
from vbsbatch.tui import bindings, formatting, frames
from vbsbatch.tui.alphabet import DOT, MARK
from vbsbatch.tui.comparison_screen import ComparisonScreen
from vbsbatch.tui.dialogs import Pick
from vbsbatch.tui.exporting import copy
from vbsbatch.tui.formatting import Line
from vbsbatch.tui.header import Banner
from vbsbatch.tui.line_widgets import Lines, Rows
from vbsbatch.tui.sanitize import cut, fit
from vbsbatch.tui.screen_protocols import LiveScreen, reading
from vbsbatch.tui.steering_actions import OVER, Steering
from vbsbatch.tui.view_models import FilterTerms, RunLine, View

_UNFINISHED = frozenset({"STALE", "STOP"})
"""Unfinished, without an engine."""

_ENDED = frozenset({"DONE", "PART"})

_ROLES = {"LIVE": "run", "LIVE?": "warn", "PAUSED": "warn", "DONE": "ok", "PART": "retry"}

_LIVE = frozenset({"LIVE", "PAUSED"})

_LEAD = 4
"""Cells before the first column: cursor, mark, and a blank behind each."""

_LEAST_PLAN = 7

_COLUMNS = (
    *(("STATE", 6, False), ("RUN", 18, False), ("PLAN", _LEAST_PLAN, False)),
    *(("STARTED", 11, False), ("TOOK", 6, True), ("DONE", 4, True), ("OK", 6, True)),
    *(("FAILED", 6, True), ("SKIPPED", 7, True), ("GB", 7, True), ("ETA", 6, True)),
    *(("MOST FAILED WITH", 18, False), ("ENGINE", 20, False)),
)
"""Head, cells and whether it is aligned right."""

_DROPPED = (
    *("ENGINE", "MOST FAILED WITH", "STARTED", "SKIPPED", "ETA", "GB", "TOOK", "DONE"),
    *("PLAN", "OK", "FAILED"),
)
"""What a narrow list leaves out, in this order; the id of a run begins with when it was made."""


def columns(width: int, plan: int) -> list[tuple[str, int, bool]]:
    """The columns that fit `width`; what they leave goes to the plan's name, up to `plan` cells."""
    found = list(_COLUMNS)
    for dropped in _DROPPED:
        if _LEAD + sum(size + 1 for _, size, _ in found) - 1 > width:
            found = [column for column in found if column[0] != dropped]
    rest = width - _LEAD - sum(size + 1 for _, size, _ in found) + 1
    plan_width = max(_LEAST_PLAN, min(plan, _LEAST_PLAN + rest))
    return [(name, plan_width if name == "PLAN" else size, right) for name, size, right in found]


def head(found: Sequence[tuple[str, int, bool]], width: int) -> Line:
    """The line above the runs."""
    cells = " ".join(fit(name, size, right=right) for name, size, right in found)
    return ((cut(" " * _LEAD + cells, width), "dim"),)


def row(
    found: RunLine, now: float, shown: Sequence[tuple[str, int, bool]], *, marked: bool
) -> Line:
    """One run in these columns."""
    run, count = found.run, found.counts.get
    began = run.started_at
    until = run.ended_at or (now if found.standing in _LIVE else run.heartbeat_at)
    cells = {
        "RUN": run.id,
        "PLAN": run.plan,
        "STARTED": "-" if began is None else moment(began)[5:16],
        "TOOK": "-" if began is None or until is None else span(float(until) - float(began)),
        "DONE": f"{int(percent(found.counts))}%",
        "OK": f"{count(JobState.SUCCEEDED, 0):,}",
        "FAILED": f"{count(JobState.FAILED, 0):,}",
        "SKIPPED": f"{count(JobState.SKIPPED, 0):,}",
        "GB": "-" if found.sizes.total is None else f"{found.sizes.done:,}",
        "ETA": "-" if found.eta is None else span(found.eta),
        "MOST FAILED WITH": "-" if found.top is None else formatting.failure(*found.top[:2]),
        "ENGINE": "-" if run.pid is None else f"{run.host or '?'}:{run.pid}",
    }
    texts = [fit(cells[name], size, right=right) for name, size, right in shown[1:]]
    state = (fit(found.standing, 6) + " ", _ROLES.get(found.standing, "fail"))
    return ((f"{MARK} " if marked else "  ", "strong"), state, (" ".join(texts), "plain"))


class RunsScreen(LiveScreen):
    """Every run of the store, newest first."""

    WHERE = "runs"
    BINDINGS = bindings.of("runs")
    DEFAULT_CSS = """
    RunsScreen { layout: vertical; overflow: hidden; }
    RunsScreen Lines { height: 1; }
    RunsScreen Banner { height: auto; }
    RunsScreen #list { height: 1fr; border-left: round $frame; border-right: round $frame; }
    RunsScreen.-bare #head, RunsScreen.-bare #title, RunsScreen.-bare #end { display: none; }
    RunsScreen.-bare #list { border: none; }
    """

    def __init__(self, run_id: str | None = None) -> None:
        super().__init__()
        self._wanted = run_id
        self._runs: Sequence[RunLine] = ()
        self._known = False
        self._marks: list[str] = []

    def compose(self) -> ComposeResult:
        """A title, the heads, the runs, what is known of the cursor's run, the keys."""
        yield Lines(id="title")
        with Vertical(id="list"):
            yield Banner()
            yield Lines(id="head")
            yield Rows()
        yield Lines(id="end")
        yield self.key_line()

    def on_mount(self) -> None:
        """Read the runs."""
        self.ready = False
        self.set_focus(self.query_one(Rows))
        self.run_worker(self._begin_to_look(), name="prepare")

    async def _begin_to_look(self) -> None:
        await self.prepare(None)
        self._load()

    def look(self, changed: bool, second: bool) -> None:
        """Read them again once a second: an engine that died writes nothing."""
        if second and self.ready:
            self._load()

    def _load(self) -> None:
        with reading(self):
            rows = self.query_one(Rows)
            here = self._wanted or (self._here.run.id if self._here else None)
            self._wanted = None
            self._runs = self.source.runs()
            self._known = True
            ids = [found.run.id for found in self._runs]
            cursor = ids.index(here) if here in ids else None
            rows.show(self._rows(), cursor)
            self._draw()

    @property
    def _columns(self) -> list[tuple[str, int, bool]]:
        longest = max((cell_len(found.run.plan) for found in self._runs), default=0)
        return columns(max(1, self.query_one(Rows).size.width), longest)

    def _rows(self) -> list[Line]:
        shown = self._columns
        return [
            row(found, self.now, shown, marked=found.run.id in self._marks) for found in self._runs
        ]

    def _draw(self) -> None:
        self.query_one(Rows).show(self._rows())
        many = f"{len(self._runs):,} runs" if len(self._runs) != 1 else "1 run"
        if not self._runs:
            many = "no run yet: vbsbatch run PLAN begins one" if self._known else ""
        width = max(1, self.size.width)
        title: Line = (("vbsbatch", "title"), (f" {DOT} {many}" if many else "", "plain"))
        marked = f"{len(self._marks)} marked" if self._marks else ""
        right: Line = ((marked, "strong"),) if marked else ()
        self.query_one("#title", Lines).show([frames.upper(title, right, width)])
        inner = self.query_one(Rows).size.width
        self.query_one("#head", Lines).show([head(self._columns, max(1, inner))])
        self.query_one("#end", Lines).show([frames.lower(self._about_cursor(), (), width)])

    def _about_cursor(self) -> Line:
        """Where the cursor's run backs up, how fast, and what it waits for or why it stopped."""
        here = self._here
        if here is None:
            return ()
        run = here.run
        where = "/".join(filter(None, (run.cloud, run.region)))
        words = [f"on {where}" if where else "", f"rate {run.rate or run.settings.limits.rate}"]
        text = f" {DOT} ".join(filter(None, [*words, run.reason or ""]))
        return ((cut(text, max(1, self.size.width - 6)), "dim"),)

    @on(Rows.Moved)
    def _moved(self) -> None:
        self._draw()

    @property
    def _here(self) -> RunLine | None:
        cursor = self.query_one(Rows).cursor
        return self._runs[cursor] if cursor < len(self._runs) else None

    def banner(self, text: str) -> None:
        """Say what is wrong with the store."""
        self.query_one(Banner).say(text)

    def on_resize(self) -> None:
        """Fit the lines to the new width."""
        self.call_after_refresh(self._draw)

    # Actions

    @on(Rows.Chosen)
    def action_open(self) -> None:
        """Open the run; ask first if it is unfinished and has no engine."""
        here = self._here
        if here is None:
            return
        if here.standing in _UNFINISHED and not self.source.read_only:
            self.begin(self._open_unfinished(here))
        else:
            self.monitor.show_run(here.run.id)

    async def _open_unfinished(self, found: RunLine) -> None:
        run = found.run
        reason = f": {run.reason}" if run.reason else ""
        text = [f"Run {run.id} is unfinished and no engine drives it{reason}"]
        options = ["resume it", "retry what failed, and resume it", "view only"]
        picked = await self.put(Pick(text, options, start=2))
        if picked is None:
            return
        if picked == 0:
            self.monitor.start_engine(run.id)
        if picked == 1 and not await self._retry(found):
            return
        self.monitor.show_run(run.id)

    def action_resume(self) -> None:
        """Start an engine for the run."""
        if self._here is None:
            return
        if self._here.standing in _ENDED:
            self.say(OVER, error=True)
        else:
            if self._here.standing in _UNFINISHED:
                self.say(f"starting an engine for run {self._here.run.id}")
            self.monitor.start_engine(self._here.run.id)

    def action_retry(self) -> None:
        """Retry what failed in the run."""
        if self._here is not None:
            self.begin(self._retry(self._here))

    async def _retry(self, found: RunLine) -> bool:
        try:
            await self.prepare(found.run.id)
            self.monitor.seen[found.run.id] = self.source.overview(found.run.id)
        except VbsbatchError as error:
            self.say(str(error), error=True)
            return False
        view = View(terms=FilterTerms(states=frozenset({JobState.FAILED})))
        return await Steering(self, found.run.id).move(
            "retry", view, None, f"all failed jobs of {found.run.id}"
        )

    def action_mark(self) -> None:
        """Mark the run; with a third mark the oldest one is dropped."""
        if self._here is not None:
            run_id = self._here.run.id
            if run_id in self._marks:
                self._marks.remove(run_id)
            else:
                self._marks = [*self._marks, run_id][-2:]
            self._draw()

    def action_compare(self) -> None:
        """Compare the two marked runs, or the marked one with the cursor's."""
        chosen = list(self._marks)
        if self._here is not None and len(chosen) < 2 and self._here.run.id not in chosen:
            chosen.append(self._here.run.id)
        if len(chosen) < 2:
            self.say("mark two runs, or one and move to another")
            return
        left, right = sorted(chosen)
        self.begin(self._compare(left, right))

    async def _compare(self, left: str, right: str) -> None:
        try:
            found = await asyncio.to_thread(self.source.compare, left, right)
        except VbsbatchError as error:
            self.say(str(error), error=True)
        else:
            self.app.push_screen(ComparisonScreen(found))

    def action_copy(self) -> None:
        """Copy the run's id."""
        if self._here is not None:
            copy(self, self._here.run.id)

    def action_up(self) -> None:
        """Drop the marks."""
        self._marks = []
        self._draw()
