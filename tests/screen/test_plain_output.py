"""Where there is no terminal for a screen there is not one control character either."""

from __future__ import annotations

import json

from tests.cli.harness import Harness
from tests.screen.tmux import Tmux

VOLUMES = 3


def test_without_a_terminal_that_can_show_a_screen_all_is_plain(stage: Harness, tmux: Tmux) -> None:
    fleet = stage.cloud(volumes=4 * VOLUMES).volumes()
    ways = {
        "no keyboard": {"shell": "</dev/null"},
        "piped stderr": {"shell": "2>piped.txt"},
        "TERM=dumb": {"begin": "export TERM=dumb"},
        "CI=1": {"begin": "export CI=1"},
    }
    windows = {}
    for number, (way, how) in enumerate(ways.items()):
        own = fleet[number * VOLUMES : (number + 1) * VOLUMES]
        (stage.folder / f"list{number}.json").write_text(json.dumps(own))
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
    written["piped stderr"] = (stage.folder / "piped.txt").read_bytes()
    for way, output in written.items():
        assert b"end      done ok=3 fail=0 exit=0" in output, way
        assert b"running->succeeded" in output or b"ok " in output, way
        assert b"\x1b" not in output, way
        assert b"\r" not in output, way


def test_a_screen_that_is_asked_for_where_none_can_be_is_refused(stage: Harness) -> None:
    for words in (("run", "plan.yaml"), ("runs",), ("attach",)):
        if words == ("attach",):
            stage.cloud(volumes=1)
            stage("run", "plan.yaml")
        line = stage.refused(*words, "--progress", "tui")
        assert line.startswith("the screen needs a terminal"), words
