"""The observers that tell others of a run, as the config file says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from vbsbatch.cli import remark
from vbsbatch.cli.parent_death import is_tied
from vbsbatch.config import load_config
from vbsbatch.model.channels import chosen

if TYPE_CHECKING:
    from vbsbatch.model import Channel, Run, RunNoted
    from vbsbatch.observers import RunEvent


class Telling(Protocol):
    """An observer that sends something, and may be told not to wait for its receivers."""

    def __call__(self, event: RunEvent, /) -> object:
        """Take one event."""
        ...

    def hurry(self) -> None:
        """Wait no longer."""
        ...


def tellers(run: Run, style: str, told: Callable[[RunNoted], object]) -> Sequence[Telling]:
    """Who tells channels and ping services of the run; `told` receives what happens to messages.

    None for a demo, whose run ends with this process.
    """
    config = load_config()
    if is_tied():
        return ()
    _mention_gaps(run, config.channels, style)
    found: list[Telling] = []
    if config.channels:
        from vbsbatch.observers.notifier import Notifier

        found.append(Notifier(config.channels, told=told))
    if run.plan in config.pings:
        from vbsbatch.observers.pinger import Pinger

        found.append(Pinger(config.pings, told=told))
    return found


def _mention_gaps(run: Run, channels: Sequence[Channel], style: str) -> None:
    """Print which channels of the run cannot be told, for a reason that is known already."""
    known = {each.group for each in channels}
    for name in run.settings.notify or ():
        if name not in known:
            words = f"warning: the config file has no channel {name}: nobody is told there"
            remark(words, style, "notify")
    for each in chosen(channels, run.settings.notify):
        if each.address.url is None:
            gap = f"the environment variable {each.address.variable} is not set"
            remark(f"warning: channel {each.name} is not told: {gap}", style, "notify")
