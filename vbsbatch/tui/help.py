"""The keys, made from the one table of them; whatever a user has remapped is shown as it is."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen

from vbsbatch.tui import bindings
from vbsbatch.tui.bindings import Keymap
from vbsbatch.tui.formatting import Line
from vbsbatch.tui.line_widgets import Lines, Rows

_TITLES = {
    "overview": "The run",
    "job": "One job",
    "runs": "The runs",
    "comparison": "The comparison",
    "move": "Moving",
    "everywhere": "Everywhere",
}


def lines(where: str, keymap: Keymap, *, read_only: bool) -> list[Line]:
    """Key, what it does, and its name for remapping; this screen's keys first."""
    found: list[Line] = []
    more = bindings.names(keymap)["more"]
    for place in dict.fromkeys((where, "move", "everywhere", *_TITLES)):
        keys = [key for key in bindings.here(place) if not (read_only and key.steers)]
        if not keys:
            continue
        found.append(((_TITLES[place], "title"),))
        for key in keys:
            shown = bindings.shown(key, keymap, every=True) or f"({more})"
            name = f"  ({key.id})"
            found.append(((f" {shown:<10} ", "strong"), (key.what, "plain"), (name, "dim")))
        found.append(())
    return found


class HelpScreen(ModalScreen[None]):
    """Help over the screen it was called from."""

    BINDINGS = bindings.hidden("escape,q,question_mark,f1,enter close")
    DEFAULT_CSS = """
    HelpScreen { align: center middle; background: $background 60%; }
    HelpScreen > Vertical { width: 76; max-width: 100%; height: 90%; background: $panel;
                            border: ascii $primary; padding: 0 1; }
    HelpScreen Lines, HelpScreen Rows { background: $panel; }
    HelpScreen.-bare > Vertical { border: none; height: 100%; }
    HelpScreen.-bare Lines { display: none; }
    """

    def __init__(self, found: list[Line], keymap: Keymap) -> None:
        super().__init__()
        self._found = found
        name = bindings.names(keymap)
        scroll, names = f"{name['down']} {name['up']}: more", f"names for ({name['more']})"
        self._note = f"Esc leaves. {scroll}. In brackets: {names} and screen.yaml"

    def compose(self) -> ComposeResult:
        """The keys and how to leave."""
        with Vertical():
            yield Rows(self._found, cursor=False)
            yield Lines([((self._note, "dim"),)])

    def on_mount(self) -> None:
        """Move with the keys at once."""
        self.set_focus(self.query_one(Rows))

    def action_close(self) -> None:
        """Leave."""
        self.dismiss()
