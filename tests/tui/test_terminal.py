"""The screen at a real pseudo-terminal: what it writes, and how it leaves."""

from __future__ import annotations

import base64
import os
import re
import signal
import unicodedata

import pytest
from textual.worker import WorkerFailed

from tests.tui.harness import SECRET
from tests.tui.scripted import RUN, ScriptedSource
from tests.tui.terminal import Terminal
from vbsbatch.tui.app import MonitorApp

READY = b"Detach"

_TEXTUALS = re.compile(
    # Cursor, colours, modes, queries; the shape of the pointer; our title.
    r"\x1b\[[0-9;:?<>=]*[ $]?[A-Za-z]"
    r"|\x1b\]22;[a-z]+\x07"
    rf"|\x1b\]2;vbsbatch {RUN} [0-9]+% [a-z]+\x1b\\"
)

VIEWS: dict[str, list[bytes]] = {
    "overview": [b"f", b"n", b"s", b"\x1b", b" ", b"G", b"l", b"l"],
    "filter": [b"/", b"\x1b]52;c;eA==\x07", b"]2;x", b"\r", b"\x1b"],
    "detail": [b"\r", b"\t", b"\t", b"\t", b"n", b"y"],
    "dialogs": [b"f", b"R", b"\r", b"\x1b"],
    "palette": [b":", b"stop", b"\x1b", b"?"],
    "codes": [b"\t", b"\x1b[C", b"\r", b"r"],
    "events": [b"v", b"l", b"g", b"v", b"l"],
    "sort": [b"s", b"jj ", b" ", b"\r", b"S"],
    "export": [b"e", b"\r", b"\x1b]0;x\x07", b"\x1b"],
}
STATES: dict[str, list[bytes]] = {
    "stopped": [b"n", b"r", b"\x1b"],
    "answers": [b"p", b"+", b"n", b"ry"],
    "broken": [b"f", b"j"],
}


def rest_of(output: bytes) -> str:
    """What is left when Textual's own sequences are taken away."""
    return _TEXTUALS.sub("", output.decode("utf-8"))


def bad_in(text: str) -> set[str]:
    allowed = set("\r\n")
    return {
        f"U+{ord(c):04X}"
        for c in text
        if c not in allowed
        and (
            unicodedata.category(c) in ("Cc", "Cs")
            or 0x202A <= ord(c) <= 0x202E
            or 0x2066 <= ord(c) <= 0x2069
        )
    }


@pytest.mark.parametrize("view", list(VIEWS))
def test_hostile_text_comes_out_as_replacement_characters_in_every_view(view: str) -> None:
    with Terminal("hostile", size=(140, 40)) as terminal:
        terminal.until(READY)
        terminal.send(VIEWS[view])
        assert bad_in(rest_of(terminal.output)) == set()
        assert "\ufffd".encode() in terminal.output
        assert b"\x1b]52" not in terminal.output
        assert terminal.process.poll() is None


@pytest.mark.parametrize("state", list(STATES))
def test_hostile_text_comes_out_so_whatever_state_a_run_is_in(state: str) -> None:
    with Terminal("hostile", state, size=(100, 30)) as terminal:
        terminal.until(READY)
        terminal.send(STATES[state])
        assert bad_in(rest_of(terminal.output)) == set()
        assert b"\x1b]52" not in terminal.output
        assert terminal.process.poll() is None


@pytest.mark.parametrize("size", [(80, 24), (40, 10), (20, 3)])
def test_hostile_text_comes_out_so_however_small_the_terminal(size: tuple[int, int]) -> None:
    with Terminal("hostile", size=size) as terminal:
        terminal.until(b"Detach")
        terminal.send([b"j", b"G", b"\r", b"\t", b"\t", b"\t", b"\x1b", b"R", b"\x1b", b"l"])
        assert bad_in(rest_of(terminal.output)) == set()
        assert terminal.process.poll() is None


def test_hostile_text_comes_out_as_replacement_characters_in_runs_and_comparison() -> None:
    with Terminal("hostile", "runs", size=(140, 40)) as terminal:
        terminal.until(READY)
        terminal.send([b" ", b"j", b"d", b"\x1b", b"j", b"j", b"\r"])
        assert bad_in(rest_of(terminal.output)) == set()
        assert terminal.process.poll() is None


def test_copied_text_reaches_the_clipboard_cleaned() -> None:
    with Terminal("hostile", size=(140, 40)) as terminal:
        terminal.until(READY)
        terminal.send([b"n", b"y", b"j", b"\r"])
        copied = re.findall(rb"\x1b\]52;c;([A-Za-z0-9+/=]*)\x07", terminal.output)
        assert len(copied) == 1
        assert bad_in(base64.b64decode(copied[0]).decode()) == set()
        rest = terminal.output.replace(b"\x1b]52;c;" + copied[0] + b"\x07", b"")
        assert bad_in(rest_of(rest)) == set()


def test_markup_is_shown_and_not_obeyed() -> None:
    with Terminal("hostile", size=(200, 40)) as terminal:
        terminal.until(READY)
        terminal.send([b"\r", b"r"])
        assert b"[bold]b[/bold][/nope]" in terminal.output
        assert terminal.process.poll() is None


def test_ten_thousand_wide_and_combining_characters_break_nothing() -> None:
    with Terminal("long") as terminal:
        terminal.until(READY)
        terminal.send([b"n", b"\r", b"\t", b"\t", b"\t", b"y", b"\x1b", b"\x1b", b"\x1b"])
        assert bad_in(rest_of(terminal.output)) == set()
        assert terminal.process.poll() is None


def test_q_leaves_the_terminal_as_it_was_and_says_how_to_come_back() -> None:
    with Terminal() as terminal:
        terminal.until(READY)
        terminal.send([b"q"])
        assert terminal.end() == 0
        left = terminal.output[terminal.output.rindex(b"\x1b[?1049l") :]
        assert f"come back: vbsbatch attach {RUN}".encode() in left
        assert b"\x1b[?25h" in left
        assert terminal.output.count(b"\x1b[22;0t") == terminal.output.count(b"\x1b[23;0t") == 1
        assert terminal.modes == terminal.modes_before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_leaves_the_terminal_as_it_was(number: signal.Signals) -> None:
    with Terminal() as terminal:
        terminal.until(READY)
        terminal.process.send_signal(number)
        assert terminal.end() == 128 + number
        assert b"\x1b[?1049l" in terminal.output
        assert terminal.modes == terminal.modes_before


@pytest.mark.parametrize("controlling", [True, False])
def test_a_terminal_that_is_gone_ends_the_screen(controlling: bool) -> None:
    with Terminal(controlling=controlling) as terminal:
        terminal.until(READY)
        os.close(terminal._child)
        terminal._child = -1
        terminal.hang_up()
        assert terminal.process.wait(timeout=20) != 0


def test_a_crash_in_a_worker_is_reported_by_its_cause() -> None:
    app = MonitorApp(ScriptedSource())
    app._return_code = 1
    try:
        raise OverflowError("token")
    except OverflowError as error:
        app._exception = WorkerFailed(error)
    place = r"OverflowError at test_terminal.py:\d+"
    assert re.fullmatch(rf"the screen failed \({place}\)", app.crash or "")


def test_a_crash_is_one_line_without_any_value_and_a_return_code() -> None:
    with Terminal("crash") as terminal:
        terminal.until(READY)
        terminal.send([b"f"])
        assert terminal.end() == 1
        left = terminal.output[terminal.output.rindex(b"\x1b[?1049l") :]
        assert b"the screen failed (RuntimeError at job_table.py:" in left
        assert b"the run is not affected" in left
        assert SECRET.encode() not in terminal.output
        assert b"Traceback" not in terminal.output
        assert terminal.modes == terminal.modes_before


def test_no_color_means_not_one_colour() -> None:
    with Terminal(NO_COLOR="1") as terminal:
        terminal.until(READY)
        terminal.send([b"j", b"f", b"r", b"\x1b", b"\r", b"\x1b"])
        colour = rb"\x1b\[(?:[0-9;]*;)?(?:[34][0-8]|9[0-7]|10[0-7])[;m]"
        colours = re.findall(colour, terminal.output)
        assert colours == []
        assert "✗ FAIL".encode() in terminal.output


def test_a_locale_without_unicode_gets_ascii() -> None:
    with Terminal(LC_ALL="C") as terminal:
        terminal.until(READY)
        assert b"x FAIL" in terminal.output
        drawn = terminal.output.decode(errors="replace")
        assert not [c for c in drawn if 0x2190 <= ord(c) <= 0x27BF]


def test_a_second_of_watching_costs_few_bytes() -> None:
    with Terminal() as terminal:
        terminal.until(READY)
        terminal.quiet()
        terminal.send([b"j"])  # after the banner has moved the table, Textual paints it once more
        before = len(terminal.output)
        terminal.send([b"j"])
        assert len(terminal.output) - before < 1500
