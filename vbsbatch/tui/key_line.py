"""The footer: the most useful keys of the screen, as many as fit into its width."""

from __future__ import annotations

from dataclasses import replace

from textual import events

from vbsbatch.tui import bindings
from vbsbatch.tui.bindings import Key, Keymap
from vbsbatch.tui.formatting import Line
from vbsbatch.tui.line_widgets import Lines

MOST = 9
"""More keys than this are no help at a glance."""


def chosen(keys: list[Key], keymap: Keymap, width: int) -> list[tuple[Key, str]]:
    """The keys that fit into `width` cells in their order, those of the lowest rank first."""
    entries = [(key, f"{bindings.shown(key, keymap)} {key.footer}") for key in keys if key.footer]
    while len(entries) > MOST or sum(len(word) + 2 for _, word in entries) - 2 > width:
        if len(entries) <= 1:
            break
        entries.remove(max(entries, key=lambda entry: entry[0].rank))
    return entries


class KeyLine(Lines):
    """The footer of a screen; a click does what the key does."""

    DEFAULT_CSS = "KeyLine { height: 1; dock: bottom; }"

    def __init__(self, where: str, *, read_only: bool, keymap: Keymap) -> None:
        super().__init__()
        keys = bindings.here(where, "everywhere")
        self._keys = [key for key in keys if not (read_only and key.steers)]
        self._usual = self._keys
        self._keymap = keymap
        self._ends: list[tuple[int, Key]] = []

    def show_keys(self, keys: list[Key] | None) -> None:
        """Show these keys, those of a place on the screen; None: the screen's own again."""
        self._keys = self._usual if keys is None else keys
        self._draw()

    def call(self, name: str, footer: str) -> None:
        """Another word for what a key of the screen does now."""
        before = self._usual
        after = [replace(key, footer=footer) if key.id == name else key for key in before]
        if after != before:
            self._usual = after
            if self._keys is before:
                self.show_keys(None)

    def on_resize(self) -> None:
        """Choose again what fits."""
        self._draw()

    def _draw(self) -> None:
        line: Line = ()
        self._ends = []
        end = 0
        for key, word in chosen(self._keys, self._keymap, self.size.width):
            name, _, what = word.partition(" ")
            line += ((name, "title"), (f" {what}  ", "dim"))
            end += len(word) + 2
            self._ends.append((end, key))
        self.show([line])

    async def on_click(self, event: events.Click) -> None:
        """Do what the word under the pointer says."""
        for end, key in self._ends:
            if event.x < end and key.action:
                space = "app." if key.where == "everywhere" else "screen."
                await self.run_action(f"{space}{key.action}")
                return
