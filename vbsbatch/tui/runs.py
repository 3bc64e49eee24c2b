"""The list of runs, from which one run is opened, or two are compared."""

from __future__ import annotations

from collections.abc import Sequence

from textual import on
from textual.app import ComposeResult

from vbsbatch.errors import VbsbatchError
from vbsbatch.model import Job, JobState
from vbsbatch.report.text import span
from vbsbatch.tui import bindings, formatting
from vbsbatch.tui.dialogs import Pick
from vbsbatch.tui.exporting import copy
from vbsbatch.tui.formatting import Line
from vbsbatch.tui.header import Banner
from vbsbatch.tui.line_widgets import Lines, Rows
from vbsbatch.tui.sanitize import cut, fit
from vbsbatch.tui.screen_protocols import LiveScreen, reading
from vbsbatch.tui.steering_actions import OVER, Steering
from vbsbatch.tui.view_models import Comparison, FilterTerms, RunLine, View

_UNFINISHED = frozenset({"STALE", "STOP"})
"""Unfinished, without an engine."""

_ENDED = frozenset({"DONE", "PART"})

_ROLES = {"LIVE": "run", "LIVE?": "warn", "PAUSED": "warn", "DONE": "ok", "PART": "retry"}
_RATE_FROM = 100
_LEAD = 3
"""Cells before the first column: cursor and mark."""


def columns(width: int) -> list[tuple[str, int, bool]]:
    """Head, cells and whether it is aligned right, for each column that fits `width`."""
    wide = width >= _RATE_FROM
    found = [
        *(("STATE", 6, False), ("RUN", 18, False), ("PLAN", 18 if wide else 10, False)),
        *(("JOBS", 6, True), ("OK", 6, True), ("FAIL", 5, True), ("TOOK", 6, True)),
        *([("RATE", 7, True)] if wide else []),
        *(("TOP FAILURE", 16 if wide else 13, False), ("OWNER", 20, False)),
    ]
    while len(found) > 2 and _LEAD + sum(size + 1 for _, size, _ in found) - 1 > width:
        found.pop()
    return found


def head(width: int) -> Line:
    """The line above the runs."""
    cells = " ".join(fit(name, size, right=right) for name, size, right in columns(width))
    return ((cut("   " + cells, width), "dim"),)


def row(found: RunLine, now: float, width: int, *, marked: bool) -> Line:
    """One run."""
    run = found.run
    count = found.counts.get
    began = run.started_at
    until = run.ended_at or (now if found.standing in ("LIVE", "PAUSED") else run.heartbeat_at)
    cells = {
        "RUN": run.id,
        "PLAN": run.plan,
        "JOBS": str(sum(found.counts.values())),
        "OK": str(count(JobState.SUCCEEDED, 0)),
        "FAIL": str(count(JobState.FAILED, 0)),
        "TOOK": "-" if began is None or until is None else span(float(until) - float(began)),
        "RATE": str(run.rate or run.settings.limits.rate),
        "TOP FAILURE": "-" if found.top is None else formatting.failure(found.top[0], found.top[1]),
        "OWNER": "-" if run.pid is None else f"{run.host or '?'}:{run.pid}",
    }
    texts = [fit(cells[name], size, right=right) for name, size, right in columns(width)[1:]]
    state = (fit(found.standing, 6) + " ", _ROLES.get(found.standing, "fail"))
    return (("*" if marked else " ", "strong"), state, (" ".join(texts), "plain"))


class RunsScreen(LiveScreen):
    """Every run of the store, newest first."""

    WHERE = "runs"
    BINDINGS = bindings.of("runs")
    DEFAULT_CSS = """
    RunsScreen { layout: vertical; overflow: hidden; }
    RunsScreen Lines { height: 1; }
    RunsScreen.-bare #head { display: none; }
    """

    def __init__(self, run_id: str | None = None) -> None:
        super().__init__()
        self._wanted = run_id
        self._runs: Sequence[RunLine] = ()
        self._known = False
        self._marks: list[str] = []

    def compose(self) -> ComposeResult:
        """A title, the heads, the runs, the keys."""
        yield Lines(id="title")
        yield Banner()
        yield Lines(id="head")
        yield Rows()
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

    def _rows(self) -> list[Line]:
        width = max(1, self.size.width)
        return [
            row(found, self.now, width, marked=found.run.id in self._marks) for found in self._runs
        ]

    def _draw(self) -> None:
        width = max(1, self.size.width)
        self.query_one(Rows).show(self._rows())
        many = f"{len(self._runs)} runs" if len(self._runs) != 1 else "1 run"
        if not self._runs:
            many = "no run yet: vbsbatch run PLAN begins one" if self._known else ""
        marked = f"  {len(self._marks)} marked" if self._marks else ""
        self.query_one("#title", Lines).show([(("vbsbatch  ", "title"), (many + marked, "plain"))])
        self.query_one("#head", Lines).show([head(width)])

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
        with reading(self):
            self.app.push_screen(ComparisonScreen(self.source.compare(left, right)))

    def action_copy(self) -> None:
        """Copy the run's id."""
        if self._here is not None:
            copy(self, self._here.run.id)

    def action_up(self) -> None:
        """Drop the marks."""
        self._marks = []
        self._draw()


_WITH_MESSAGE = 100
"""From this width on there is room for a message."""


def comparison_lines(found: Comparison, width: int) -> list[Line]:
    """The three lists, one after another."""
    left, right = found.left.id, found.right.id
    both: list[Line] = [
        _row(one, width, formatting.failure(one.http_status, one.code), _short(other))
        for one, other in found.failed_in_both
    ]
    heads = _cells("VOLUME", left, right, "MESSAGE of the first", width)
    return [
        *_titled(f"failed in both: {len(both)}", [((heads, "dim"),), *both] if both else []),
        *_titled(f"failed only in {left}: {len(found.failed_only_left)}", _rows(found, 0, width)),
        *_titled(f"failed only in {right}: {len(found.failed_only_right)}", _rows(found, 1, width)),
    ]


def _rows(found: Comparison, side: int, width: int) -> list[Line]:
    jobs: Sequence[Job] = (found.failed_only_left, found.failed_only_right)[side]
    return [_row(job, width, _short(job), "") for job in jobs]


def _short(job: Job) -> str:
    return formatting.failure(job.http_status, job.code)


def _row(job: Job, width: int, left: str, right: str) -> Line:
    return ((_cells(job.volume_name, left, right, job.message or "", width), "plain"),)


def _cells(volume: str, left: str, right: str, message: str, width: int) -> str:
    name = fit(volume, max(8, min(40, width - 40)))
    cells = f" {name} {fit(left, 18)} {fit(right, 18)}"
    return cut(f"{cells} {message}" if width >= _WITH_MESSAGE else cells, width)


def _titled(title: str, body: list[Line]) -> list[Line]:
    return [((title, "title"),), *(body or [((" none", "dim"),)]), ()]


class ComparisonScreen(LiveScreen):
    """A comparison, as of the moment it was requested."""

    WHERE = "comparison"
    BINDINGS = bindings.of("comparison")
    DEFAULT_CSS = """
    ComparisonScreen { layout: vertical; overflow: hidden; }
    ComparisonScreen #title { height: 1; }
    """

    def __init__(self, found: Comparison) -> None:
        super().__init__()
        self._found = found

    def compose(self) -> ComposeResult:
        """A title, the lists, the keys."""
        yield Lines(id="title")
        yield Rows(cursor=False)
        yield self.key_line()

    def on_mount(self) -> None:
        """Move with the keys at once."""
        self.set_focus(self.query_one(Rows))

    def on_resize(self) -> None:
        """Fit the lines to the width."""
        width = max(1, self.size.width)
        text = cut(f"{self._found.left.id} and {self._found.right.id}", max(1, width - 10))
        title: Line = (("compare   ", "title"), (text, "strong"))
        self.query_one("#title", Lines).show([title])
        self.query_one(Rows).show(comparison_lines(self._found, width))

    def look(self, changed: bool, second: bool) -> None:
        """A comparison does not change."""

    def banner(self, text: str) -> None:
        """A comparison reads nothing."""

    def action_up(self) -> None:
        """Back to the runs."""
        self.dismiss()
