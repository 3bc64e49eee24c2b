"""The keys and the palette of actions, both made from the table of keys, as a user remapped it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from textual.app import ComposeResult, SystemCommand
from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.containers import Vertical
from textual.screen import ModalScreen, Screen

from vbsbatch.tui import bindings
from vbsbatch.tui.bindings import Keymap
from vbsbatch.tui.formatting import Line
from vbsbatch.tui.line_widgets import Lines, Rows
from vbsbatch.tui.screen_protocols import LiveScreen

_TITLES = {
    "overview": "The run",
    "job": "One job",
    "runs": "The runs",
    "comparison": "The comparison",
    "move": "Moving",
    "everywhere": "Everywhere",
}


WORDS = (
    ("GB", "size of the volume; - if not reported"),
    ("TRY", "requests so far"),
    ("AGE", "since the job ended, or since its newest request"),
    ("NEXT", "when it is sent again, or how much of it is done"),
    ("updated", "age of the engine's last heartbeat"),
    ("next look", "when the engine reads the cloud's list again"),
    ("cap reached", "as many jobs are under way as the run allows"),
)
"""What the words of the overview mean."""


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
        if place == "overview":
            found.append((("Its words", "title"),))
            found += [((f" {word:<12} ", "strong"), (what, "plain")) for word, what in WORDS]
            found.append(())
    return found


class HelpScreen(ModalScreen[None]):
    """Help over the screen it was called from."""

    BINDINGS = bindings.hidden("escape,q,question_mark,f1,enter close")
    DEFAULT_CSS = """
    HelpScreen { align: center middle; background: $background 60%; }
    HelpScreen > Vertical { width: 76; max-width: 100%; height: 90%; background: $panel;
                            border: round $primary; padding: 0 1; }
    HelpScreen Lines, HelpScreen Rows { background: $panel; }
    HelpScreen.-bare > Vertical { border: none; height: 100%; }
    HelpScreen.-bare Lines { display: none; }
    """

    def __init__(self, found: list[Line], keymap: Keymap) -> None:
        super().__init__()
        self._found = found
        name = bindings.names(keymap)
        scroll, names = f"{name['down']} {name['up']}: more", f"names for ({name['more']})"
        self._note = f"Esc leaves. {scroll}. In brackets: {names} and config.yaml"

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


class Actions(Provider):
    """The actions of the application and of the screen that the palette was opened on."""

    async def discover(self) -> Hits:
        """All actions, before anything is typed."""
        for name, what, do, *_ in self.app.get_system_commands(self.screen):
            yield DiscoveryHit(name, do, help=what)

    async def search(self, query: str) -> Hits:
        """Those that fit, the best first."""
        matcher = self.matcher(query)
        for name, what, do, *_ in self.app.get_system_commands(self.screen):
            score = matcher.match(name)
            if score > 0:
                yield Hit(_rank(name, query) + score, matcher.highlight(name), do, help=what)


def _rank(name: str, query: str) -> float:
    """More than any score where the name is, or begins with, what was typed."""
    wanted, found = query.strip().lower(), name.partition(":")[0]
    if found == wanted:
        return 2_000.0
    return 1_000.0 if name.startswith(wanted) else 0.0


def commands(screen: Screen[object], keymap: Keymap) -> Iterator[SystemCommand]:
    """The actions that can be called on this screen, with their keys."""
    where = screen.WHERE if isinstance(screen, LiveScreen) else "everywhere"
    for key in bindings.here(where, "everywhere", "move"):
        if key.id != "more" and screen.check_action(key.action.partition("(")[0], ()):
            shown = bindings.shown(key, keymap, every=True)
            space = {"everywhere": "app.", "move": "focused."}.get(key.where, "screen.")
            call = partial(screen.run_action, f"{space}{key.action}")
            yield SystemCommand(f"{key.id}: {key.what}", f"key {shown}" if shown else "", call)
