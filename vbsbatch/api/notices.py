"""Looks at runs for what channels are told, and watches over the runs of a store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property

import anyio

from vbsbatch.api.reading import report_data
from vbsbatch.api.stores import StoreName, opened_store
from vbsbatch.config import load_config
from vbsbatch.engine.wave_gates import last_open
from vbsbatch.errors import StoreError
from vbsbatch.model import (
    OPEN_STATES,
    Channel,
    Job,
    JobState,
    Message,
    Pace,
    Run,
    RunNoted,
    RunState,
    Wall,
)
from vbsbatch.model.channels import chosen
from vbsbatch.model.clocks import wall
from vbsbatch.observers.delivery import Delivery
from vbsbatch.observers.facts import RunLook
from vbsbatch.observers.message_text import test_message
from vbsbatch.observers.outbox import Outbox, post
from vbsbatch.policy import window as clocks
from vbsbatch.report import ReportData
from vbsbatch.report.text import in_words
from vbsbatch.store import RunStore
from vbsbatch.store.message_ports import MessageStore

NEWS = 86400.0
"""Seconds for which `watch` tells of an end or a stop that nobody has told of."""

FORGOTTEN = 30 * 86400.0
"""Seconds after which an unfinished run without an engine is no news any more."""

_STEP = 0.05
_UNDER_WAY = (RunState.RUNNING, RunState.PAUSED)


class StoreLook:
    """A run as the store has it; see `vbsbatch/observers/facts.py`."""

    def __init__(self, store: RunStore, run: Run, *, driven_here: bool = False) -> None:
        self._store = store
        self._driven_here = driven_here
        self.run = run
        self.now = wall()

    @cached_property
    def counts(self) -> Mapping[JobState, int]:
        """Jobs by state."""
        return self._store.counts(self.run.id)

    def gone(self, after: float) -> str | None:
        """Why no engine seems to drive the run, in words."""
        run = self.run
        if self._driven_here or run.state not in _UNDER_WAY:
            return None
        holder = self._store.is_live(run.id)
        seen = [run.heartbeat_at or run.created_at]
        if holder is not None and holder.since is not None:
            seen.append(Wall(holder.since))
        silent = self.now - max(seen)
        if holder is None and run.started_at is not None:
            # It may have ended, or stopped, between the two looks.
            left = self._store.run(run.id)
            if (left.state, left.heartbeat_at) != (run.state, run.heartbeat_at):
                return None
            return f"its engine is gone, {in_words(silent)} after its last sign of life"
        if silent <= after:
            return None
        if holder is None:
            return f"no engine has begun it since it was made {in_words(silent)} ago"
        who = "its engine" if holder.doubt else holder.who
        return f"{who} has given no sign of life for {in_words(silent)}"

    @cached_property
    def engine_since(self) -> Wall | None:
        """When the engine began that drives it."""
        holder = self._store.is_live(self.run.id)
        return None if holder is None or holder.since is None else Wall(holder.since)

    @cached_property
    def sends_since(self) -> Wall | None:
        """Since when creates may be sent; None while they may not."""
        if self.run.state is not RunState.RUNNING:
            return None
        began = [self.run.started_at or self.run.created_at]
        window = self.run.settings.window
        if window is not None:
            if not clocks.is_open(window, float(self.now)):
                return None
            began.append(_opened_at(self.run, self.now))
        last = self._store.messages.last_note(self.run.id, ("command", "run"))
        return max([*began, *([] if last is None else [last])])

    @cached_property
    def gate(self) -> tuple[int, int] | None:
        """The wave behind whose end a closed gate is, and how many failed in it."""
        waves = self.run.settings.waves
        if not waves or self.run.state is not RunState.PAUSED:
            return None
        last, failed = last_open(waves, self.run.wave, self._store.wave_counts(self.run.id))
        return None if failed is None else (last, failed)

    @cached_property
    def pace(self) -> Pace:
        """How its jobs end."""
        return self._store.messages.pace(self.run.id)

    @cached_property
    def attempts(self) -> int:
        """Creates so far."""
        return self._store.attempt_total(self.run.id)

    @cached_property
    def open_jobs(self) -> Sequence[Job]:
        """Jobs that the cloud may be working on."""
        return list(self._store.jobs(self.run.id, states=OPEN_STATES))

    @cached_property
    def failed_jobs(self) -> Sequence[Job]:
        """Failed jobs, in the order of their ends."""
        failed = self._store.jobs(self.run.id, states=[JobState.FAILED])
        return sorted(failed, key=lambda job: (float(job.ended_at or 0.0), job.no))

    def job(self, no: int) -> Job:
        """One job."""
        return self._store.job(self.run.id, no)


def _opened_at(run: Run, now: Wall) -> Wall:
    """When the window opened that is open now, or a day ago if it opened earlier."""
    window = run.settings.window
    assert window is not None
    at = float(now) - clocks.DAY
    while (change := clocks.changes_at(window, at)) <= float(now):
        at = change
    return Wall(at)


class StoreDesk:
    """What a notifier needs of the store; for one thread."""

    def __init__(self, store: RunStore, run_id: str) -> None:
        self._store = store
        self._run_id = run_id

    @property
    def messages(self) -> MessageStore:
        """The messages of the store."""
        return self._store.messages

    def look(self) -> RunLook:
        """The run as it is now; its engine is in this process."""
        return StoreLook(self._store, self._store.run(self._run_id), driven_here=True)

    def report(self) -> ReportData:
        """The same with everything that messages say."""
        return report_data(self._store, self._store.run(self._run_id))


@contextmanager
def open_desk(store: RunStore, run_id: str) -> Iterator[StoreDesk]:
    """Open the store once more, for another thread."""
    with store.again() as again:
        yield StoreDesk(again, run_id)


def send_tests(channels: Sequence[Channel]) -> Iterator[tuple[Channel, str | None]]:
    """Send a test message to each channel at once: None, or why it was not sent, in their order."""
    text = test_message()
    for channel, delivery in [(each, Delivery(each, *text)) for each in channels]:
        yield channel, delivery.wait()


async def watch(
    channels: Sequence[Channel] | None = None,
    *,
    store: StoreName = None,
    every: float = 60.0,
    once: bool = False,
    told: Callable[[str, RunNoted], object] = lambda _run, _event: None,
    failed: Callable[[StoreError], object] = lambda _: None,
) -> list[Message]:
    """Look at the runs of a store every so many seconds, and tell channels of them, by default
    those of the config file.

    It tells of engines that are gone, of whatever else a run's own engine would tell, and sends
    messages that could not be sent before. `told` receives what happens, with the run's id. With
    `once` it looks once, tries each message once, and returns those that are still unsent.
    Otherwise it never returns, and passes a store that fails to `failed`.
    """
    channels = load_config().channels if channels is None else channels
    while True:
        try:
            with opened_store(store) as opened:
                outbox = Outbox(opened.messages, channels, told=told)
                try:
                    _look_at_all(opened, channels)
                    await _send(outbox, once=once)
                finally:
                    outbox.close()
                if once:
                    return outbox.unsent()
        except StoreError as error:
            if once:
                raise
            failed(error)
        await anyio.sleep(every)


async def _send(outbox: Outbox, *, once: bool) -> None:
    """Send what is due, until each message has arrived or failed; with `once`, all that there is.

    What another process is sending is waited for: it arrives, or becomes due.
    """
    outbox.step(eager=once)
    while outbox.busy or (once and outbox.untried()):
        await anyio.sleep(_STEP)
        outbox.step(eager=once)


def _look_at_all(store: RunStore, channels: Sequence[Channel]) -> None:
    """Post messages about every run that may be news."""
    now = wall()
    for run in store.runs():
        if _is_news(run, now):
            data = _report_once(store, run)
            post(store.messages, StoreLook(store, run), chosen(channels, run.settings.notify), data)


def _report_once(store: RunStore, run: Run) -> Callable[[], ReportData]:
    found: list[ReportData] = []

    def report() -> ReportData:
        if not found:
            found.append(report_data(store, run))
        return found[0]

    return report


def _is_news(run: Run, now: Wall) -> bool:
    if run.state is RunState.ENDED:
        return run.ended_at is not None and now - run.ended_at < NEWS
    left = now - (run.heartbeat_at or run.created_at)
    if run.state is RunState.STOPPED:
        return left < NEWS
    return left < FORGOTTEN
