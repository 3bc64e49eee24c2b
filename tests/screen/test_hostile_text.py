"""Text of a server or a plan cannot control the terminal: a real run, a real pty."""

from __future__ import annotations

import json
import re
import unicodedata

from tests.cli.harness import Harness
from tests.screen.tmux import Tmux
from tests.screen.watching import DETACH

HOSTILE = (
    "\x1b]52;c;cHduZWQ=\x07\x1b]2;pwned\x07\x9d2;c1\x9c\u202egnp\u2066x\u2069[bold]b[/bold][/nope]"
    "\r\n\t\x00\x7f\x1b[31mred \u2028 e\u0301\u0301 \u5bbf\u6cca \x1b[2J\x1b[?1049l\x1bc"
)
LONG = "W\u5bbf\u0301" * 3334

TEXTUALS = re.compile(
    # Cursor, colours, modes, queries; the shape of the pointer; our own title and notice.
    r"\x1b\[[0-9;:?<>=]*[ $]?[A-Za-z]"
    r"|\x1b\]22;[a-z]+\x07"
    r"|\x1b\]2;vbsbatch [0-9a-z-]+ [0-9]+% [a-z]+\x1b\\"
    r"|\x1b\]9;run [0-9a-z-]+ ended: \d+/\d+, \d+ failed\x1b\\\x07"
)


def bad_in(text: str) -> set[str]:
    """The characters that are no text, once Textual's own sequences are taken away."""
    rest = TEXTUALS.sub("", text).replace("\r\n", "")
    return {
        f"U+{ord(c):04X}"
        for c in rest
        if unicodedata.category(c) in ("Cc", "Cs")
        or 0x202A <= ord(c) <= 0x202E
        or 0x2066 <= ord(c) <= 0x2069
    }


def test_the_check_finds_what_it_is_for() -> None:
    assert bad_in(f"\x1b[1;2H{HOSTILE}") >= {"U+001B", "U+0007", "U+009D", "U+202E", "U+2066"}
    assert bad_in("\x1bc") == {"U+001B"}


def test_hostile_text_of_server_and_plan_is_only_text_in_every_view(
    harness: Harness, tmux: Tmux
) -> None:
    cloud = harness.cloud(volumes=4)
    fleet = cloud.volumes()
    for volume, name in zip(fleet, (HOSTILE, LONG[:255], "[/nope]", "=cmd|'x'!A1"), strict=True):
        volume["Name"] = name
    (harness.folder / "fleet.json").write_text(json.dumps(fleet))
    refuse = {"on": "create", "do": "status", "status": 400}
    faults = [
        {**refuse, "code": f"VolumeBackup.0040{HOSTILE}", "message": HOSTILE, "volumes": [one]}
        for one in (fleet[0]["ID"], fleet[1]["ID"])
    ]
    faults += [
        {**refuse, "code": "VolumeBackup.0040", "message": LONG, "volumes": [fleet[2]["ID"]]}
    ]
    cloud.behave(json.dumps({"backups": {"duration": "100ms"}, "faults": faults}))
    harness.write_plan(name="\u202egnp [/nope]", retry={"attempts": 1})

    window = tmux.open("run", "plan.yaml", size=(140, 40))
    window.until(r" ENDED ")
    assert "\ufffd" in window.until(DETACH)
    window.press("l")
    window.until(r"q Detach")
    window.press("l", "Home", "Enter")
    markup = window.until(r"(?s)· job 00001.*Next part")
    assert "[bold]b[/bold][/nope]" in markup, "markup is shown, not obeyed"
    window.press("Tab", "Tab", "Tab", "Tab")
    for no in (2, 3, 4):
        window.press("n")
        window.until(f"job 0000{no} ")
    # Escape and a key right behind it would be one key, with Alt.
    window.press("Escape")
    window.until(r"Space Mark")
    window.press("R")
    window.until(r"Retry which failures")
    window.press("Escape")
    window.until(lambda text: "Retry which" not in text)
    window.press("Tab")
    window.until(r"failed by code:.*>400 VB\.0040")
    window.press("Enter")
    window.until(r"filter .*status:400")
    window.press("Escape")
    window.until(r"all jobs ")
    window.press("Escape")
    window.until(r"1 run\b")
    shown = window.told("#{pane_title}")
    window.press("q")
    assert window.left()[0] == 1

    assert re.fullmatch(r"vbsbatch [0-9a-z-]+ 100% ended", shown)
    assert tmux("list-buffers") == "", "the clipboard is as it was"
    written = window.raw().decode()
    assert bad_in(written) == set()
    assert written.count("\x1b[?1049l") == 1, "the alternate screen was left once, by us"
