"""A screen over one run that can steer it: the actions behind the keys, and what they need."""

from __future__ import annotations

from functools import cached_property

from vbsbatch.tui.screen_protocols import LiveScreen
from vbsbatch.tui.steering_actions import Steering
from vbsbatch.tui.view_models import View

Chosen = tuple[View, set[int] | None, str]
"""A view, the numbers of the jobs in it (all of them when None), and how a person calls them."""


class SteerableScreen(LiveScreen):
    """A screen whose actions are asked of a run's engine."""

    def __init__(self, run_id: str) -> None:
        super().__init__()
        self.run_id = run_id

    @cached_property
    def steering(self) -> Steering:
        """What asks the engine, and tells its answers."""
        return Steering(self, self.run_id)

    def chosen(self) -> Chosen | None:
        """What an action on jobs is meant for; None when there is nothing."""
        raise NotImplementedError

    def asked(self) -> None:
        """The engine was asked to move the chosen jobs."""

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
