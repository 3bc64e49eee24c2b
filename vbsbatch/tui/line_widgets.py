"""Lines of text that repaint only where they differ, lists of them with a cursor, the footer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rich.segment import Segment
from textual import events
from textual.geometry import Region, Size
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from vbsbatch.report.text import clean
from vbsbatch.tui import bindings, themes
from vbsbatch.tui.alphabet import CURSOR
from vbsbatch.tui.bindings import Key, Keymap
from vbsbatch.tui.formatting import Line


def painted(widget: Widget, line: Line, width: int, role: str = "plain") -> Strip:
    """A line in exactly `width` cells, `role` as its base style; its text is shown literally."""
    theme = widget.app.theme
    base = widget.rich_style + themes.style(theme, role)
    segments = [Segment(clean(text), base + themes.style(theme, name)) for text, name in line]
    return Strip(segments).adjust_cell_length(width, base).simplify()


class Lines(Widget):
    """Lines from the top down. `show` repaints only those that changed."""

    ALLOW_SELECT = False
    DEFAULT_CSS = "Lines { height: auto; width: 1fr; }"

    def __init__(
        self, lines: Sequence[Line] = (), *, id: str | None = None, classes: str = ""
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._lines: list[Line] = list(lines)

    @property
    def lines(self) -> Sequence[Line]:
        """What is shown."""
        return self._lines

    def show(self, lines: Sequence[Line]) -> None:
        """Show these lines instead."""
        old, self._lines = self._lines, list(lines)
        if len(old) != len(self._lines) and self.styles.height is not None:
            auto = self.styles.height.is_auto
            self.refresh(layout=auto)
            return
        for y, line in enumerate(self._lines):
            if line != old[y]:
                self.refresh(Region(0, y, self.size.width, 1))

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """As many as there are lines."""
        return len(self._lines)

    def render_line(self, y: int) -> Strip:
        """One line, empty below the last."""
        line = self._lines[y] if y < len(self._lines) else ()
        return painted(self, line, self.size.width)


class Rows(Widget, can_focus=True):
    """A list with a cursor on one row, or without one: then it only scrolls."""

    ALLOW_SELECT = False
    DEFAULT_CSS = "Rows { height: 1fr; width: 1fr; }"
    BINDINGS = bindings.of("move")

    class Chosen(Message):
        """A row was double-clicked."""

    class Moved(Message):
        """The cursor came to another row."""

    def __init__(
        self,
        rows: Sequence[Line] = (),
        *,
        cursor: bool = True,
        id: str | None = None,
    ) -> None:
        super().__init__(id=id)
        self._rows: list[Line] = list(rows)
        self._with_cursor = cursor
        self.cursor = 0
        self.top = 0

    def show(self, rows: Sequence[Line], cursor: int | None = None) -> None:
        """Show these rows instead, the cursor on row `cursor` (where it is, when None)."""
        before = [self._row(y) for y in range(self.size.height)]
        self._rows = list(rows)
        self.cursor = self._clamped(self.cursor if cursor is None else cursor)
        self._scroll()
        for y, old in enumerate(before):
            if self._row(y) != old:
                self.refresh(Region(0, y, self.size.width, 1))

    def _row(self, y: int) -> tuple[Line, bool] | None:
        """What screen line `y` shows: a row and whether the cursor is on it."""
        index = self.top + y
        if index >= len(self._rows):
            return None
        return self._rows[index], self._with_cursor and index == self.cursor

    def _clamped(self, row: int) -> int:
        return max(0, min(row, len(self._rows) - 1))

    def _scroll(self) -> None:
        """Bring the cursor into view; without one, keep the last rows at the bottom at most."""
        height = max(1, self.size.height)
        if self._with_cursor:
            self.top = max(self.cursor - height + 1, min(self.top, self.cursor))
        self.top = max(0, min(self.top, len(self._rows) - height))

    def render_line(self, y: int) -> Strip:
        """One row, empty below the last."""
        shown = self._row(y)
        if shown is None:
            return painted(self, (), self.size.width)
        line, here = shown
        pointer: Line = (((f"{CURSOR} " if here else "  "), "plain"),) if self._with_cursor else ()
        return painted(self, pointer + line, self.size.width, "cursor" if here else "plain")

    def action_move(self, by: int) -> None:
        """Move the cursor, or scroll."""
        if self._with_cursor:
            self.cursor = self._clamped(self.cursor + by)
        else:
            self.top += by
        self._scroll()
        self.refresh()
        self.post_message(self.Moved())

    def action_page(self, by: int) -> None:
        """Move by a screenful."""
        self.action_move(by * max(1, self.size.height - 1))

    def action_edge(self, last: int) -> None:
        """Move to the first or the last row."""
        self.action_move(len(self._rows) if last else -len(self._rows))

    def on_resize(self) -> None:
        """Keep the cursor in view."""
        self._scroll()
        self.refresh()

    def on_mouse_scroll_down(self) -> None:
        """The wheel moves as the keys do."""
        self.action_move(1)

    def on_mouse_scroll_up(self) -> None:
        """The wheel moves as the keys do."""
        self.action_move(-1)

    def on_click(self, event: events.Click) -> None:
        """A click moves the cursor, a double click chooses."""
        if self._with_cursor and self.top + event.y < len(self._rows):
            self.action_move(self.top + event.y - self.cursor)
            if event.chain > 1:
                self.post_message(self.Chosen())


MOST = 9
"""More keys than this are hard to read."""


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
        """Show the keys of a part of the screen; None shows the screen's own again."""
        self._keys = self._usual if keys is None else keys
        self._draw()

    def call(self, name: str, footer: str) -> None:
        """Change the word of a key in the footer."""
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
