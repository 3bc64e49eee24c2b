"""A screen process over a scripted source, for tests at a real terminal.

Arguments: `hostile` fills every text with terminal sequences, `long` with 10,000 characters,
`crash` breaks at the first F, `broken` cannot read the store from then on, `answers` answers what
is asked, `stopped` is a run without an engine, `runs` begins with the list.
"""

from __future__ import annotations

import sys
from typing import Any

from tests.tui.scripted import HOSTILE, RUN, ScriptedSource
from vbsbatch.model import RunState
from vbsbatch.tui.app import show
from vbsbatch.tui.view_models import View

SECRET = "gAAAAABtoken-that-must-not-be-seen"


class Unreadable(ScriptedSource):
    """Cannot be read from the first filter on."""

    def size(self, run_id: str, view: View) -> int:
        self.broken |= bool(view.terms.states)
        self.dirty = True
        return super().size(run_id, view)


class Breaking(ScriptedSource):
    """Breaks at the first filter, with a secret at hand."""

    def size(self, run_id: str, view: View) -> int:
        token = SECRET
        if view.terms.states:
            raise RuntimeError(token)
        return super().size(run_id, view)


def main(words: list[str]) -> int:
    options: dict[str, Any] = {"hostile": "", "size_of_run": 60}
    if "hostile" in words:
        options["hostile"] = HOSTILE
    if "long" in words:
        options["hostile"] = "W\u5bbf\u0301" * 3334
    if "stopped" in words:
        options |= {"state": RunState.STOPPED, "pid": None}
    kinds = {"crash": Breaking, "broken": Unreadable}
    kind = next((kinds[word] for word in words if word in kinds), ScriptedSource)
    source = kind(**options, answers="answers" in words)
    ending = show(source, run_id=None if "runs" in words else RUN)
    print(f"come back: vbsbatch attach {ending.run_id}", file=sys.stderr)
    return ending.return_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
