"""What a user asks of a run's engine, with the questions that come before it.

What cannot be undone is confirmed. Its jobs are frozen before the question is put, so that a yes
never reaches a job that the user did not see counted. Pause and rate are not confirmed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

from vbsbatch.errors import VbsbatchError
from vbsbatch.model import MOST_IN_FLIGHT, Job, JobState, Operation, Rate, RunState
from vbsbatch.tui import formatting
from vbsbatch.tui.action_targets import ActionTargets, freeze
from vbsbatch.tui.dialogs import TYPE_ABOVE, Confirm, Pick, Typed, TypedCount
from vbsbatch.tui.event_words import answer
from vbsbatch.tui.screen_protocols import LiveScreen, Request
from vbsbatch.tui.view_models import FilterTerms, Overview, View

NONE_FAILED = "no job has failed"

OVER = "this run has ended: what failed in it can be retried"

_RATE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*/\s*(\d+(?:\.\d+)?)?\s*(s|min|h)\s*", re.ASCII)
_WHOLE = re.compile(r"\s*(\d{1,9})\s*", re.ASCII)
_COUNT = f"write a whole number from 1 to {MOST_IN_FLIGHT}"
_UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0}


class Steering:
    """What one screen can ask of one run's engine."""

    def __init__(self, screen: LiveScreen, run_id: str) -> None:
        self._screen = screen
        self._monitor = screen.monitor
        self._run_id = run_id
        self.requests = screen.monitor.requests(run_id)

    def look(self) -> None:
        """Show all answers since the last call in one message."""
        found = self.requests.answered()
        if found:
            more = f" (and {len(found) - 3} more)" if len(found) > 3 else ""
            told = "; ".join(f"{what}: done: {answer(what, result)}" for what, result in found[:3])
            self._monitor.say(told + more)

    def ask(self, verb: str, argument: Mapping[str, Any], what: str) -> None:
        """Ask the engine; the answer is shown when it comes, on whatever screen."""
        request = self.requests.begin(verb, argument, what)
        self._screen.requested(what)
        self._screen.app.run_worker(self._ask(request), name="request", group="requests")

    async def _ask(self, request: Request) -> None:
        try:
            result = await self.requests.send(request)
        except VbsbatchError as error:
            self._monitor.say(f"{request.what}: {error}", error=True)
        else:
            if result is not None:
                self._monitor.say(f"{request.what}: done: {answer(request.what, result)}")

    @property
    def seen(self) -> Overview | None:
        """The run as it was last read."""
        return self._monitor.seen.get(self._run_id)

    @property
    def live(self) -> bool:
        """Whether an engine drives the run."""
        return self.seen is not None and self.seen.holder is not None

    def _refused(self) -> bool:
        """Whether there is no engine to ask; then say so."""
        if self._over():
            return True
        if not self.live:
            self._screen.say("no engine drives this run: continue it first", error=True)
        return not self.live

    def _over(self) -> bool:
        """Whether the run has ended, so that only a retry makes sense; then say so."""
        over = self.seen is not None and not self.live and self.seen.run.state is RunState.ENDED
        if over:
            self._screen.say(OVER, error=True)
        return over

    # Jobs

    async def move(
        self,
        verb: str,
        view: View,
        wanted: set[int] | None,
        scope: str,
        fits: Callable[[Job], bool] = lambda job: True,
    ) -> bool:
        """Retry or cancel these jobs (those of the view when None) after a question.

        Whether the engine was asked in the end.
        """
        screen = self._screen
        targets = ActionTargets(verb=verb, scope=scope)
        try:
            await freeze(screen.source, self._run_id, view, targets, wanted=wanted, fits=fits)
        except VbsbatchError as error:
            screen.say(str(error), error=True)
            return False
        if not targets.volumes:
            screen.say(f"nothing to {verb}: {scope}")
            return False
        text = targets.described()
        if verb == "retry":
            text += self._consequence()
        if verb == "retry" and not self.live:
            text.append("No engine drives this run: a new one is started.")
        count = len(targets.volumes)
        if not await self.confirmed(text, count):
            return False
        self.ask(verb, {"volumes": targets.volumes}, f"{verb} {formatting.jobs(count)}")
        return True

    def _consequence(self) -> list[str]:
        """What a retry of this run changes for good."""
        operation = self.seen.run.settings.operation if self.seen else Operation.BACKUP
        return {
            Operation.RESTORE: ["Each overwrites its volume with a backup."],
            Operation.PRUNE: ["Each deletes a backup."],
        }.get(operation, [])

    async def confirmed(self, text: list[str], count: int = 1) -> bool:
        """Whether the user agrees: a key, or the number typed when it is large."""
        if count <= TYPE_ABOVE:
            return bool(await self._screen.put(Confirm(text)))
        return await self._screen.put(TypedCount(text, count)) is not None

    async def retry_by_code(self) -> None:
        """Choose a kind of failure, then retry the jobs that failed so."""
        failures = self.seen.failures if self.seen else ()
        if not failures:
            self._screen.say(NONE_FAILED)
            return
        options = [
            f"{formatting.failure(status, code)}: {count}" for status, code, count in failures
        ]
        picked = await self._screen.put(Pick(["Retry which failures?"], options))
        if picked is None:
            return
        status, code, _ = failures[picked]
        view = View(
            terms=FilterTerms(
                states=frozenset({JobState.FAILED}), statuses=frozenset({status or 0})
            )
        )
        scope = f"all that failed with {formatting.failure(status, code)}"
        await self.move("retry", view, None, scope, lambda job: job.code == code)

    # The run

    def pause(self) -> None:
        """Pause a running run, or unpause a paused one."""
        if self._refused() or self.seen is None:
            return
        verb = "unpause" if self.seen.run.state is RunState.PAUSED else "pause"
        self.ask(verb, {}, verb)

    async def stop(self, *, now: bool) -> None:
        """Stop the run, to be resumed later."""
        if self._refused():
            return
        text = [
            "Stop this run?",
            "What runs in the cloud goes on; nothing new is sent.",
            "Pending answers are not awaited: their jobs become unknown."
            if now
            else "Pending answers are awaited.",
            "It can be resumed later, here or with vbsbatch resume.",
        ]
        if await self.confirmed(text):
            verb = "stop-now" if now else "stop"
            self.ask(verb, {}, verb)

    def resume(self) -> None:
        """Start an engine for a run without one."""
        if self.live:
            self._screen.say("an engine drives this run already")
        elif not self._over():
            self._monitor.start_engine(self._run_id)

    # The rate

    def ceiling(self) -> Rate:
        """The rate that was requested last, answered or not."""
        assert self.seen is not None
        newest = self.requests.newest("rate")
        if newest is not None:
            return Rate(
                count=float(newest.argument["count"]), per=float(newest.argument.get("per", 1.0))
            )
        return self.seen.run.rate or self.seen.run.settings.limits.rate

    def step_rate(self, up: bool) -> None:
        """Raise or lower the rate by a step."""
        if self.seen is not None:
            self.set_rate(stepped(self.ceiling(), up))

    def set_rate(self, rate: Rate) -> None:
        """Ask for a rate."""
        self.ask("rate", {"count": rate.count, "per": rate.per}, f"rate {rate}")

    async def type_rate(self) -> None:
        """Ask for a rate that the user types."""
        if self.seen is None:
            return
        dialog = Typed(
            ["Creates at most", "such as 5/s, 100/min, 1000/h"],
            value=str(self.ceiling()),
            fault=lambda text: None if rate_of(text) else "write it as 5/s, 100/min or 1000/h",
        )
        typed = await self._screen.put(dialog)
        if typed is not None and (rate := rate_of(typed)):
            self.set_rate(rate)

    async def type_in_flight(self) -> None:
        """Ask for another cap of running backups."""
        if self.seen is None:
            return
        run = self.seen.run
        dialog = Typed(
            ["How many may run at once"],
            value=str(run.in_flight or run.settings.limits.in_flight),
            fault=lambda text: None if _count_of(text) else _COUNT,
        )
        typed = await self._screen.put(dialog)
        if typed is not None and (count := _count_of(typed)):
            self.ask("in-flight", {"count": count}, f"in flight {count}")


def rate_of(text: str) -> Rate | None:
    """`5/s`, `100/min`, `1/2s` as a rate; None for anything else."""
    found = _RATE.fullmatch(text)
    if found is None:
        return None
    count, per = float(found[1]), float(found[2] or 1) * _UNITS[found[3]]
    return Rate(count=count, per=per) if 0 < count < math.inf and 0 < per < math.inf else None


def _count_of(text: str) -> int | None:
    found = _WHOLE.fullmatch(text)
    count = int(found[1]) if found else 0
    return count if 0 < count <= MOST_IN_FLIGHT else None


def stepped(rate: Rate, up: bool) -> Rate:
    """The next rate up or down: the largest power of ten that is at most half of it away."""
    step = 10.0 ** math.floor(math.log10(rate.count / 2))
    count = rate.count + (step if up else -step)
    return replace(rate, count=float(f"{count:.6g}"))


Chosen = tuple[View, set[int] | None, str]
"""A view, the numbers of the jobs in it (None: all), and a name for them."""


class SteerableScreen(LiveScreen):
    """A screen whose actions are asked of a run's engine."""

    def __init__(self, run_id: str) -> None:
        super().__init__()
        self.run_id = run_id

    @cached_property
    def steering(self) -> Steering:
        """Sends requests to the engine and shows its answers."""
        return Steering(self, self.run_id)

    def chosen(self) -> Chosen | None:
        """The jobs that an action applies to; None without any."""
        raise NotImplementedError

    def asked(self) -> None:
        """Called when the engine was asked to move the chosen jobs."""

    def filtered(self) -> Chosen:
        """Every job of the view."""
        raise NotImplementedError

    def _move(self, verb: str, chosen: Chosen | None) -> None:
        if chosen is None:
            self.say(f"no job to {verb}")
        else:
            self.begin(self._moving(verb, chosen))

    async def _moving(self, verb: str, chosen: Chosen) -> None:
        if await self.steering.move(verb, *chosen):
            self.asked()

    def action_retry(self) -> None:
        """Retry the marked jobs, or the cursor's."""
        self._move("retry", self.chosen())

    def action_cancel(self) -> None:
        """Cancel the marked jobs, or the cursor's."""
        self._move("cancel", self.chosen())

    def action_retry_filtered(self) -> None:
        """Retry every job of the view."""
        self._move("retry", self.filtered())

    def action_cancel_filtered(self) -> None:
        """Cancel every job of the view."""
        self._move("cancel", self.filtered())

    def action_retry_code(self) -> None:
        """Retry what failed in one way."""
        self.begin(self.steering.retry_by_code())

    def action_pause(self) -> None:
        """Pause, or go on."""
        self.steering.pause()

    def action_rate_up(self) -> None:
        """Raise the rate."""
        self.steering.step_rate(True)

    def action_rate_down(self) -> None:
        """Lower the rate."""
        self.steering.step_rate(False)

    def action_rate(self) -> None:
        """Set the rate."""
        self.begin(self.steering.type_rate())

    def action_in_flight(self) -> None:
        """Set how many backups run at once."""
        self.begin(self.steering.type_in_flight())

    def action_stop(self) -> None:
        """Stop the run."""
        self.begin(self.steering.stop(now=False))

    def action_stop_now(self) -> None:
        """Stop the run at once."""
        self.begin(self.steering.stop(now=True))

    def action_resume(self) -> None:
        """Continue a run whose engine is gone."""
        self.steering.resume()
