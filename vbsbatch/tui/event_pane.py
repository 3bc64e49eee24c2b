"""What happened lately, the newest line at the bottom; large, it scrolls back."""

from __future__ import annotations

from vbsbatch.model import AT_ONCE, Job, JobState, as_wall
from vbsbatch.report.text import clock
from vbsbatch.store import Event
from vbsbatch.tui import bindings, event_words, formatting
from vbsbatch.tui.alphabet import ARROW
from vbsbatch.tui.formatting import MARKS, RETRY, Line
from vbsbatch.tui.line_widgets import Lines
from vbsbatch.tui.sanitize import cut
from vbsbatch.tui.screen_protocols import LiveScreen, reading
from vbsbatch.tui.view_models import Source

_LEAST_NAME, _NAME = 16, 40
"""Cells of a volume's name: less than the most where what happened needs the room."""

_ROOMS = ((50, 8), (34, 5), (22, 3))
"""From so many lines of the terminal on, so many lines of events."""

_LOUD = frozenset({"limiter", "breaker", "session"})


class EventPane(Lines, can_focus=True):
    """The newest events of a run."""

    DEFAULT_CSS = "EventPane { height: auto; }"
    BINDINGS = bindings.of("move")

    def __init__(self, source: Source, run_id: str) -> None:
        super().__init__()
        self._source = source
        self._run_id = run_id
        self._back = 0
        self.every = False
        """Whether every move of every job is shown, or only what the plain output shows."""
        self.large = False
        """Whether it fills the screen; else it takes as many lines as there are events, up to a
        few."""

    @property
    def _room(self) -> int:
        """Lines that it may take."""
        if self.large:
            return self.size.height
        height = self.app.size.height
        return next((lines for least, lines in _ROOMS if height >= least), 0)

    def reload(self) -> None:
        """Fetch and show the newest again, or what was scrolled back to."""
        if not (isinstance(self.screen, LiveScreen) and self.screen.ready):
            return
        room = self._room
        if not room:
            self.show([])
            return
        with reading(self):
            found = self._source.events(self._run_id, limit=room + self._back, every=self.every)
            self._back = max(0, min(self._back, len(found) - room))
            end = len(found) - self._back
            shown = found[max(0, end - room) : end]
            width = self.size.width or self.app.size.width
            self.show([line(event, job, width) for event, job in shown])

    def action_move(self, by: int) -> None:
        """Scroll back (up) or forth."""
        self._back = max(0, self._back - by)
        self.reload()

    def action_page(self, by: int) -> None:
        """Scroll by a screenful."""
        self.action_move(by * max(1, self._room - 1))

    def action_edge(self, last: int) -> None:
        """To the newest, or far back."""
        self.action_move(10_000 if last else -10_000)

    def focus_on_click(self) -> bool:
        """A click does not focus the small pane: the keys still move in the jobs."""
        return self.has_focus

    def on_mouse_scroll_down(self) -> None:
        """The wheel moves as the keys do, where those do."""
        if self.has_focus:
            self.action_move(1)

    def on_mouse_scroll_up(self) -> None:
        """The wheel moves as the keys do, where those do."""
        if self.has_focus:
            self.action_move(-1)

    def on_resize(self) -> None:
        """Fill the new height."""
        self.reload()


def line(event: Event, job: Job | None, width: int) -> Line:
    """One event: when, to which volume (or to the run), what.

    `job` is the job as it is now; None where the screen shows only this job.
    """
    when = f" {clock(event.at)[:-1]}  "
    if event.no is None:
        loud = event.kind in _LOUD
        glyph, role = ("!", "warn") if loud else ("i", "run")
    else:
        glyph, role = (mark := _mark(event)).glyph, mark.role
    room = width - len(when) - 2
    text = what(event) if job is None else _told(event, job, room)
    return ((when, "dim"), (f"{glyph} ", role), (cut(text, room), "plain"))


def _told(event: Event, job: Job, room: int) -> str:
    """Which volume, and what happened to it."""
    outcome = _outcome(event, job)
    left = room - len(outcome.partition(",")[0]) - 3
    return f"{cut(job.volume_name, max(_LEAST_NAME, min(_NAME, left)))}: {outcome}"


def _outcome(event: Event, job: Job) -> str:
    """What happened to the job; for its newest failure also the attempts and the answer."""
    if event.to is not JobState.FAILED:
        return what(event)
    note = f", {event.text}" if event.text else ""
    if job.state is not JobState.FAILED or float(as_wall(job.intent_at or AT_ONCE)) > event.at:
        return f"failed{note}; retried since"
    kind = formatting.failure(job.http_status, job.code)
    return (
        f"failed: attempt {job.attempts} {ARROW} {kind}{note}"
        if job.attempts
        else f"failed: {kind}{note}"
    )


def _mark(event: Event) -> formatting.StateMark:
    if event.to is JobState.WAITING:
        return RETRY
    return MARKS[event.to or JobState.WAITING]


def what(event: Event) -> str:
    """What happened, in the engine's words where it gave any."""
    if event.to is None:
        words = {"limiter": event_words.of_limiter, "command": event_words.of_command}
        return words.get(event.kind, str)(event.text or event.kind)
    move = f"{event.came_from} {ARROW} {event.to}" if event.came_from else str(event.to)
    return f"{move}: {event.text}" if event.text else move
