"""A real terminal: tmux with its own server, keys in, screens out."""

from __future__ import annotations

import math
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TMUX = shutil.which("tmux")
PATIENCE = 40.0
SLOW = 5.0
"""Seconds after which a key had no effect."""


class Tmux:
    """One tmux server; its windows are the terminals of a test."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        # A socket's path may have 107 characters, fewer than some folders of tests have.
        self._own = Path(tempfile.mkdtemp(prefix="screen-"))
        kept = {k: v for k, v in environment.items() if k not in ("CI", "TMUX", "NO_COLOR")}
        self._environment = {**kept, "LC_ALL": "C.UTF-8", "SHELL": "/bin/sh"}
        self._opened = 0
        self("new-session", "-d", "-s", "harness", "exec cat")
        self("set-option", "-s", "set-clipboard", "on")
        self("set-option", "-g", "history-limit", "5000")

    def __call__(self, *words: str) -> str:
        """Run one tmux command; what it prints."""
        assert TMUX is not None
        command = [TMUX, "-u", "-S", str(self._own / "socket"), "-f", "/dev/null", *words]
        done = subprocess.run(
            command, env=self._environment, cwd=self._folder, capture_output=True, text=True
        )
        assert done.returncode == 0, (words, done.stderr)
        return done.stdout

    def open(
        self, *words: str, size: tuple[int, int] = (100, 30), shell: str = "", begin: str = ":"
    ) -> Window:
        """A terminal in which a shell runs `vbsbatch WORDS`.

        `shell` is more of that line (redirections), `begin` is done before it.
        """
        self._opened += 1
        name = f"w{self._opened}"
        script = (
            f"read go; {begin}; stty -g >{name}.before; "
            f"{shlex.join([sys.executable, '-m', 'vbsbatch', *words])} {shell}; "
            f"code=$?; stty -g >{name}.after; echo; echo left with $code; exec cat"
        )
        width, height = map(str, size)
        self("new-session", "-d", "-s", name, "-x", width, "-y", height, script)
        self("pipe-pane", "-t", name, f"cat >>{name}.raw")
        self("send-keys", "-t", name, "Enter")
        return Window(tmux=self, name=name, folder=self._folder)

    def close(self) -> None:
        """End the server and everything in its terminals."""
        self("kill-server")
        shutil.rmtree(self._own)


@dataclass(frozen=True, kw_only=True)
class Window:
    """One terminal."""

    tmux: Tmux
    name: str
    folder: Path

    def text(self) -> str:
        """What a person sees."""
        return self.tmux("capture-pane", "-p", "-t", self.name)

    def raw(self) -> bytes:
        """Everything that was written to the terminal so far."""
        file = self.folder / f"{self.name}.raw"
        return file.read_bytes() if file.exists() else b""

    def told(self, form: str) -> str:
        """What tmux says of the terminal, such as its title."""
        return self.tmux("display-message", "-p", "-t", self.name, form).rstrip("\n")

    def press(self, *keys: str) -> None:
        self.tmux("send-keys", "-t", self.name, *keys)

    def until(self, found: str | Callable[[str], Any], patience: float = PATIENCE) -> str:
        """Wait until a pattern (or a condition) fits what a person sees; what they see then."""
        fits = found if callable(found) else re.compile(found).search
        deadline = time.monotonic() + patience
        while not fits(text := self.text()):
            assert time.monotonic() < deadline, f"waited in vain for {found!r} in:\n{text}"
            time.sleep(0.1)
        return text

    def answer(self, key: str, question: str) -> None:
        """Press the key, and again if the question stays: a key that comes before the question is
        complete is not taken for its answer."""
        pressed_at = -math.inf

        def gone(text: str) -> bool:
            nonlocal pressed_at
            if not re.search(question, text):
                return True
            if time.monotonic() - pressed_at > SLOW:
                self.press(key)
                pressed_at = time.monotonic()
            return False

        self.until(gone)

    def pid(self) -> int:
        """The process that the shell runs."""
        shell = self.told("#{pane_pid}")
        children = Path(f"/proc/{shell}/task/{shell}/children").read_text().split()
        return int(children[0])

    def left(self, patience: float = PATIENCE) -> tuple[int, str]:
        """Wait until the program has ended; its exit code and what it left on the terminal.

        The terminal must be as it was before.
        """
        text = self.until(r"left with \d+", patience)
        flags = self.told("#{alternate_on} #{cursor_flag} #{mouse_any_flag}")
        assert flags == "0 1 0", "alternate screen off, cursor on, mouse off"
        before, after = (self.folder / f"{self.name}.{when}" for when in ("before", "after"))
        assert before.read_text() == after.read_text()
        code = re.search(r"left with (\d+)", text)
        assert code
        return int(code[1]), text

    def close(self) -> None:
        """Close the terminal, as a person does who has enough."""
        self.tmux("kill-session", "-t", self.name)
