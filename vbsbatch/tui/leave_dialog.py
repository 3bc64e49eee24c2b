"""What is asked before the screen is left where every engine would end with it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from vbsbatch.errors import VbsbatchError
from vbsbatch.tui.dialogs import Confirm
from vbsbatch.tui.view_models import Source

_DRIVEN = ("LIVE", "PAUSED")


class LeaveContainer(Confirm):
    """Whether to end the container that this process is the first of, and the engines in it."""

    def __init__(self, runs: Sequence[str]) -> None:
        engines = "The engine" if len(runs) == 1 else "The engines"
        run_id = runs[0]
        super().__init__(
            [
                "Leave, and end this container?",
                "vbsbatch is its first process: with it the container ends.",
                f"{engines} of {', '.join(runs)} would end too, as if killed.",
                f"Resume later: vbsbatch resume {run_id}",
            ]
        )


def driven_runs(source: Source) -> list[str]:
    """The runs that an engine drives at this moment; none where that cannot be read."""
    with suppress(VbsbatchError):
        return [each.run.id for each in source.runs() if each.standing in _DRIVEN]
    return []
