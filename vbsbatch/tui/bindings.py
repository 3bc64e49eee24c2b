"""Every key and every action in one table; help, palette, footer and bindings are made from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from textual.binding import Binding, BindingType
from textual.keys import Keys

from vbsbatch.errors import UsageError
from vbsbatch.model import did_you_mean

FRAMED_FROM = 8
"""Lines of a terminal that has room for the frames around questions and help."""

_NO_KEY = "no-key-"


@dataclass(frozen=True, kw_only=True, slots=True)
class Key:
    """One action: what a user calls it, where it works, which keys call it by default."""

    id: str
    """The name by which a user remaps it."""
    action: str
    """Textual's name of the action, without its namespace."""
    where: str
    """`everywhere`, `move` (tables and lists), or a screen: `overview`, `job`, `runs`."""
    what: str
    """What it does, for help and palette."""
    keys: str = ""
    """Comma-separated, in Textual's words; empty: reached through the palette, or remapped."""
    footer: str = ""
    """Its word in the footer; empty keeps it out."""
    rank: int = 9
    """A narrow footer leaves out the highest ranks first."""
    steers: bool = False
    """Changes the run: hidden when the screen is read-only."""


def _key(line: str, what: str, *, footer: str = "", rank: int = 9, steers: bool = False) -> Key:
    where, name, action, *keys = line.split()
    keyed = keys[0] if keys else ""
    return Key(
        id=name,
        action=action,
        where=where,
        what=what,
        keys=keyed,
        footer=footer,
        rank=rank,
        steers=steers,
    )


KEYS: tuple[Key, ...] = (
    _key("everywhere help help question_mark,f1", "Show the keys", footer="Help", rank=1),
    _key("move down move(1) j,down", "One row down"),
    _key("move up move(-1) k,up", "One row up"),
    _key("move page-down page(1) pagedown,ctrl+f", "One page down"),
    _key("move page-up page(-1) pageup,ctrl+b", "One page up"),
    _key("move first edge(0) g,home", "To the first row"),
    _key("move last edge(1) G,end", "To the last row"),
    _key("overview filter filter slash", "Filter the jobs", footer="Filter", rank=4),
    _key("overview open open enter", "Open the job", footer="Open", rank=5),
    _key("overview mark mark space", "Mark the job", footer="Mark", rank=6),
    _key("overview mark-range mark_range V", "Begin or end a range of marks"),
    _key("overview mark-all mark_all asterisk", "Mark all filtered jobs, or none of them"),
    _key("overview retry retry r", "Retry the marked jobs", footer="Retry", rank=3, steers=True),
    _key("overview retry-code retry_code R", "Retry by status and code", steers=True),
    _key("overview retry-filtered retry_filtered", "Retry all filtered jobs", steers=True),
    _key("overview cancel cancel x", "Cancel the marked jobs", steers=True),
    _key("overview cancel-filtered cancel_filtered", "Cancel all filtered jobs", steers=True),
    _key("overview pause pause p", "Pause, or go on", footer="Pause", rank=4, steers=True),
    _key("overview rate-up rate_up plus", "Raise the rate", steers=True),
    _key("overview rate-down rate_down minus", "Lower the rate", steers=True),
    _key("overview rate rate equals_sign", "Set the rate", steers=True),
    _key("overview in-flight in_flight", "Set how many backups run at once", steers=True),
    _key("overview stop stop", "Stop the run, to be resumed later", steers=True),
    _key("overview stop-now stop_now", "Stop without awaiting answers", steers=True),
    _key("overview resume resume c", "Continue a run whose engine is gone", steers=True),
    _key("overview failures failures f", "Failed jobs only, or all again"),
    _key("overview next-failure failure(1) n", "To the next failed job"),
    _key("overview previous-failure failure(-1) N", "To the previous failed job"),
    _key("overview codes codes tab", "Between the jobs and the failures by code"),
    _key("overview sort sort s", "Sort the jobs"),
    _key("overview reverse reverse S", "Reverse the order"),
    _key("overview log log l", "Enlarge the events, or shrink them"),
    _key("overview verbose verbose v", "Every move in the events, or what matters"),
    _key("overview copy copy y", "Copy the job's ids"),
    _key("overview export export e", "Export the filtered jobs or a picture"),
    _key("overview back up escape", "Clear range, filter, marks; then to the runs"),
    _key("job next-part part(1) tab,right", "The next part", footer="Next part", rank=3),
    _key("job previous-part part(-1) shift+tab,left", "The previous part"),
    _key("job next-job job(1) n", "The next job of the view", footer="Next job", rank=4),
    _key("job previous-job job(-1) N", "The previous job of the view"),
    _key("job copy-id copy y", "Copy one of the ids", footer="Copy", rank=4),
    _key("job retry-job retry r", "Retry the job", footer="Retry", rank=5, steers=True),
    _key("job cancel-job cancel x", "Cancel the job", steers=True),
    _key("job close up escape", "Back to the run", footer="Back", rank=2),
    _key("runs attach open enter", "Open the run", footer="Open", rank=2),
    _key("runs mark-run mark space", "Mark the run for a comparison", footer="Mark", rank=5),
    _key("runs compare compare d", "Compare two runs", footer="Compare", rank=4),
    _key("runs resume-run resume c", "Continue the run", footer="Continue", rank=3, steers=True),
    _key("runs retry-run retry r", "Retry what failed", footer="Retry", rank=4, steers=True),
    _key("runs copy-run copy y", "Copy the run's id"),
    _key("runs unmark up escape", "Clear the marks"),
    _key("comparison leave up escape", "Back to the runs", footer="Back", rank=2),
    _key("everywhere theme theme t", "The next theme"),
    _key("everywhere picture picture", "Write a picture of the screen (SVG)"),
    _key(
        "everywhere detach detach q", "Leave (ctrl+c too); the run goes on", footer="Detach", rank=1
    ),
    _key("everywhere more command_palette ctrl+p,colon", "Every action", footer="More", rank=2),
)
"""In the order of help and footer."""


def _named(name: str, footer: str) -> Key:
    return replace(next(key for key in KEYS if key.id == name), footer=footer)


def _fixed(keys: str, footer: str) -> Key:
    """A key of one place only: not in the help, and not remapped."""
    return Key(id="", action="", where="", what="", keys=keys, footer=footer, rank=2)


IN_THE_FILTER = [_fixed("enter", "Keep"), _fixed("escape", "Back")]
"""The footer's keys while a filter is typed."""

ON_THE_FAILURES = [
    *(_fixed("left", "Before"), _fixed("right", "Next"), _fixed("enter", "Filter")),
    _fixed("escape", "Jobs"),
]
"""While a failure by code is chosen."""

IN_THE_LOG = [
    *(_named("help", "Help"), _named("up", "Older"), _named("down", "Newer")),
    *(_named("verbose", "Every move"), _named("log", "Jobs")),
    *(_named("detach", "Detach"), _named("more", "More")),
]
"""While the events are large."""

ON_JOBS = frozenset(
    {
        *("open", "mark", "mark_range", "mark_all", "retry", "cancel", "copy"),
        *("failure", "sort", "reverse", "filter", "failures", "codes"),
    }
)
"""Names of the actions of the overview that need the jobs to be seen."""

STEERING = frozenset(key.action.partition("(")[0] for key in KEYS if key.steers)
"""Names of the actions that a read-only screen does not have."""

Keymap = Mapping[str, str]
"""Id of a key -> the keys that a user wants for it, comma-separated."""


def of(where: str) -> list[BindingType]:
    """Textual's bindings of one place."""
    return [
        Binding(
            key.keys or f"{_NO_KEY}{key.id}",
            key.action,
            key.what,
            id=key.id,
        )
        for key in KEYS
        if key.where == where
    ]


def hidden(*lines: str) -> list[BindingType]:
    """Bindings of a dialog or a widget (`keys action` each), not shown in footer and help."""
    pairs = (line.split(" ", 1) for line in lines)
    return [Binding(keys, action, show=False) for keys, action in pairs]


def here(*places: str) -> list[Key]:
    """The keys of these places, in the table's order."""
    return [key for key in KEYS if key.where in places]


_NAMES = {
    "question_mark": "?",
    "slash": "/",
    "asterisk": "*",
    "plus": "+",
    "minus": "-",
    "equals_sign": "=",
    "colon": ":",
    "enter": "Enter",
    "space": "Space",
    "escape": "Esc",
    "pagedown": "PgDn",
    "pageup": "PgUp",
    "tab": "Tab",
    "shift+tab": "S-Tab",
}


_OF_CHARACTER = {shown: name for name, shown in _NAMES.items() if len(shown) == 1}
_KEYS = frozenset(key.value for key in Keys)


def shown(key: Key, keymap: Keymap, *, every: bool = False) -> str:
    """The key as a person reads it (`?`, `^p`, `Enter`), all of them when `every`."""
    keys = [one.strip() for one in keymap.get(key.id, key.keys).split(",") if one.strip()]
    names = [_NAMES.get(one, one.replace("ctrl+", "^")) for one in keys]
    return " ".join(names if every else names[:1])


def names(keymap: Keymap) -> Mapping[str, str]:
    """The first key of each action, as a person reads it, by the action's name."""
    return {key.id: shown(key, keymap) for key in KEYS}


def checked(keymap: Keymap) -> dict[str, str]:
    """A user's keymap in Textual's words; `UsageError` for an unknown action or key, or a clash."""
    known = {key.id for key in KEYS}
    if unknown := sorted(set(keymap) - known):
        near = did_you_mean(unknown[0], known) or ": the help screen (?) lists the names"
        raise UsageError(f"no action is called {unknown[0]!r}{near}")
    spelled = {name: ",".join(_spelled(name, keys)) for name, keys in keymap.items()}
    for place in {key.where for key in KEYS}:
        _check_clash(place, spelled)
    return spelled


def _spelled(action: str, keys: object) -> list[str]:
    """The names of the keys; a character stands for its own key."""
    found = keys.split(",") if isinstance(keys, str) else []
    names = [_OF_CHARACTER.get(one.strip(), one.strip()) for one in found]
    if not names or not all(names):
        raise UsageError(f"the action {action!r} needs a key such as ctrl+r, or f5,R")
    for name in names:
        if not _is_key(name):
            raise UsageError(
                f"{action!r}: no key is called {name[:40]!r}: write ctrl+r, f5, R or ?"
            )
    return names


def _is_key(name: str) -> bool:
    *with_, last = name.split("+")
    if any(one not in ("ctrl", "shift", "alt") for one in with_):
        return False
    letter = len(last) == 1 and last.isprintable()
    return letter or name in _KEYS or last in _KEYS or last in _NAMES


def _check_clash(place: str, keymap: Keymap) -> None:
    """Refuse one key for two actions that can be called at the same place."""
    taken: dict[str, str] = {}
    for key in here(place, "everywhere", "move"):
        for one in keymap.get(key.id, key.keys).split(","):
            other = taken.setdefault(one.strip(), key.id) if one.strip() else key.id
            if other != key.id:
                raise UsageError(f"{one.strip()!r} cannot be {other!r} and {key.id!r} at once")
