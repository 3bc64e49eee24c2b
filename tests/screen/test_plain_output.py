"""Without a terminal for a screen the output has no control characters."""

from __future__ import annotations

import json
from typing import Any

from tests.cli.harness import Harness
from tests.screen.tmux import Tmux

VOLUMES = 3


def test_without_a_suitable_terminal_the_output_is_plain(harness: Harness, tmux: Tmux) -> None:
    fleet = harness.cloud(volumes=4 * VOLUMES).volumes()
    ways: dict[str, dict[str, Any]] = {
        "no keyboard": {"shell": "</dev/null"},
        "piped stderr": {"shell": "2>piped.txt"},
        "TERM=dumb": {"begin": "export TERM=dumb"},
        "CI=1": {"begin": "export CI=1"},
    }
    windows = {}
    for number, (way, how) in enumerate(ways.items()):
        own = fleet[number * VOLUMES : (number + 1) * VOLUMES]
        (harness.folder / f"list{number}.json").write_text(json.dumps(own))
        words = ("run", "plan.yaml", "--volumes", f"list{number}.json", "--yes", "-v")
        windows[way] = tmux.open(*words, **how)
    written = {}
    for way, window in windows.items():
        assert window.left()[0] == 0, (way, window.text())
        # The terminal itself writes a line end as CR LF.
        written[way] = (
            window.raw().replace(b"\r\n", b"\n").partition(b"\nleft with")[0].strip(b"\n")
        )
    assert written["piped stderr"] == b"", "results are for a report"
    written["piped stderr"] = (harness.folder / "piped.txt").read_bytes()
    for way, output in written.items():
        assert b"end      done ok=3 fail=0 exit=0" in output, way
        assert b"running->succeeded" in output or b"ok " in output, way
        assert b"\x1b" not in output, way
        assert b"\r" not in output, way


def test_a_screen_requested_without_a_terminal_is_refused(harness: Harness) -> None:
    for words in (("run", "plan.yaml"), ("runs",), ("attach",)):
        if words == ("attach",):
            harness.cloud(volumes=1)
            harness("run", "plan.yaml")
        line = harness.refused(*words, "--progress", "tui")
        assert line.startswith("the screen needs a terminal"), words
