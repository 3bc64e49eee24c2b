"""`run --if-running`: what becomes of an earlier run of the plan."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import click

from vbsbatch.cli import STOPPED, remark

if TYPE_CHECKING:
    from vbsbatch.cli.options import DrivingOptions
    from vbsbatch.cloud import CloudService
    from vbsbatch.model import Run, RunState
    from vbsbatch.store import RunStore

Created = TypeVar("Created")

if_running_option = click.option(
    "--if-running",
    type=click.Choice(("skip", "wait", "stop")),
    help="If an earlier run of the plan still runs: start nothing, wait for its end, or stop it.",
)


class Overlap:
    """The earlier runs of a plan, as `run` deals with them. `policy` None leaves them alone."""

    def __init__(
        self, store: RunStore, plan: str, policy: str | None, how: DrivingOptions, style: str
    ) -> None:
        self._store = store
        self._plan = plan
        self._policy = policy
        self._how = how
        self._style = style
        self.stopped: set[str] = set()
        """Runs that were stopped: the new one takes their volumes over."""

    async def create(
        self,
        service: CloudService,
        create: Callable[..., Awaitable[Created]],
    ) -> Created | int:
        """Create the run as soon as that may be; else the exit code.

        `create` takes `instead_of`, as `check_and_create` of the API does.
        """
        from vbsbatch.api.overlap import EarlierRuns, EarlierRunUnfinished, IfRunning, create_alone
        from vbsbatch.cli.run_driver import bring_to_its_end
        from vbsbatch.cli.steering_commands import asked_by

        if self._policy is None:
            return await create(instead_of=None)

        async def settle(run: Run) -> RunState:
            return await bring_to_its_end(self._store, run, service, self._how, self._style)

        earlier = EarlierRuns(
            self._store,
            self._plan,
            service,
            IfRunning(self._policy),
            settle=settle,
            tell=partial(remark, style=self._style),
            asked_by=asked_by(),
        )
        try:
            created = await create_alone(earlier, lambda passed: create(instead_of=passed))
        except EarlierRunUnfinished as found:
            remark(str(found), self._style)
            return 0 if found.skipped else STOPPED
        self.stopped.update(earlier.stopped)
        return created
