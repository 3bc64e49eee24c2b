"""YAML (and JSON) text -> plain values, from a stream of events.

No node graph is built, so 100,000 volumes cost little. What a plan does not need is refused with
its place: anchors and aliases, tags, several documents, repeated keys, deep nesting.
Scalars follow YAML 1.2: `true`, `false`, `null` and whole numbers have their types; `on`, `22:00`,
dates, `007`, `1.10` stay text (no key of a plan takes a fraction). Places are looked up in a second
pass, only when there is something to report.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

import yaml
from yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamStartEvent,
)

from vbsbatch.errors import Problem
from vbsbatch.plan.file_input import position
from vbsbatch.plan.findings import COUNTED, SHOWN, Findings, KeyPath, Spot, TooMany
from vbsbatch.plan.units import quoted

MAX_DEPTH = 20
MAX_VALUES = 20_000
"""In one volume, and in all of a plan apart from its volumes."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_WORDS: Final = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_NO_START = "found character that cannot start any token"
"""The parser's message for a tab before a key, and for `@`, `%` or a back quote before a text."""
_WHOLE = re.compile(r"0|-?[1-9][0-9]{0,14}")
_ESCAPE = re.compile(
    rb"\\(?:u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})|.)", re.DOTALL
)


class Broken:
    """Stands for a value that was refused when it was read; nothing more is reported about it."""


class _Stop(Exception):
    """The rest of the document is not read."""


Each = Callable[[int, Any], None]
"""Takes the index and the value of one item of the long list."""


class Document:
    """One YAML or JSON file.

    `problems` holds the errors of form; `broken` says that the reading ended early.
    """

    def __init__(self, file: str, data: bytes, *, quotes: bool = True) -> None:
        """Without `quotes` no message repeats a word of the file, which may not be a plan."""
        self.file = file
        self._quotes = quotes
        self.data = _json_as_yaml(data)
        self.problems: list[Problem] = []
        self.more = 0
        """Problems of form that are counted, not kept."""
        self.broken = False

    def read(self, each: Each, *, under: str | None) -> Any:
        """The document as plain values; None and `broken` when it cannot be read on.

        The items of the top-level key `under` (None: of the top-level list itself) are passed
        to `each` one by one and not kept; an empty list or `[...]` replaces them.
        """
        builder = _Builder(self, each, under)
        try:
            return builder.document()
        except (_Stop, TooMany):
            self.broken = True
        except yaml.YAMLError as error:
            self.problems.append(self._not_yaml(error))
            self.broken = True
        return None

    def read_small(self) -> Any:
        """The same for a document without a long list."""
        return self.read(lambda _index, _item: None, under="")

    def spots(self, paths: set[KeyPath]) -> dict[KeyPath, tuple[Spot, Spot]]:
        """Line and column of the key and of the value at each path that is there."""
        return _spots(self.data, paths)

    def word(self, text: object, sign: str = "") -> str:
        """A word of the file for a message, in quotes or after its sign."""
        if not self._quotes:
            return "what is here"
        return f"{sign}{text}" if sign else quoted(str(text))

    def place(self, findings: Findings) -> list[Problem]:
        """The findings with their lines and columns."""
        if not findings.items:
            return []
        return findings.placed(self.file, self.spots(findings.wanted()))

    def note(self, event: Event, message: str) -> None:
        """Record a problem of form at `event`, or count it; too many of them end the reading."""
        if len(self.problems) < SHOWN:
            line, column = _spot(event.start_mark)
            self.problems.append(Problem(file=self.file, line=line, column=column, text=message))
            return
        self.more += 1
        if self.more > COUNTED:
            raise _Stop

    def _not_yaml(self, error: yaml.YAMLError) -> Problem:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        if mark is not None:
            line, column = _spot(mark)
            text = getattr(error, "problem", None) or getattr(error, "context", None)
            if text == _NO_START:
                tab = self._character(line, column) == b"\t"
                text += ": indent with spaces, not tabs" if tab else ": put the text in quotes"
        else:
            line, column = position(self.data, int(getattr(error, "position", 0)))
            text = getattr(error, "reason", None)
        words = f"not valid YAML (or JSON): {text or 'cannot be read'}"
        return Problem(file=self.file, line=line, column=column, text=words)

    def _character(self, line: int, column: int) -> bytes:
        """The character at a place, if it is of ASCII."""
        lines = self.data.split(b"\n", line)[line - 1 : line]
        return b"".join(lines).decode(errors="replace")[column - 1 : column].encode()


class _Builder:
    """Events in, values out."""

    def __init__(self, document: Document, each: Each, under: str | None) -> None:
        self.events = _events(document.data)
        self.note = document.note
        self.word = document.word
        self.each = each
        self.under = under
        self.values = 0
        self.aliases: set[tuple[str, int]] = set()
        """Aliases that were reported, with their lines."""

    def document(self) -> Any:
        next(self.events)
        start = next(self.events)
        if not isinstance(start, DocumentStartEvent):
            self.note(start, "is empty")
            raise _Stop
        event = next(self.events)
        streamed = self.under is None and isinstance(event, SequenceStartEvent)
        value = self._items(event) if streamed else self._value(event, 1)
        next(self.events)
        after = next(self.events)
        if isinstance(after, DocumentStartEvent):
            self.note(after, "has a second document: only one is allowed")
        return value

    def _value(self, event: Event, depth: int) -> Any:
        if isinstance(event, AliasEvent):
            place = str(event.anchor), _spot(event.start_mark)[0]
            if place not in self.aliases:
                self.aliases.add(place)
                name = self.word(event.anchor, "*")
                self.note(event, f"aliases are not accepted ({name}): write the value here")
            return Broken()
        self._undecorated(event)
        self.values += 1
        if self.values > MAX_VALUES:
            self.note(
                event, f"more than {MAX_VALUES} values that are not volumes: no plan needs that"
            )
            raise _Stop
        if isinstance(event, ScalarEvent):
            return _scalar(event)
        if depth > MAX_DEPTH:
            self.note(event, f"is nested deeper than {MAX_DEPTH} levels")
            raise _Stop
        if isinstance(event, MappingStartEvent):
            return self._mapping(depth)
        return self._sequence(depth)

    def _undecorated(self, event: Any) -> None:
        if event.anchor is not None:
            self.note(
                event, f"anchors are not accepted ({self.word(event.anchor, '&')}): remove it"
            )
        if event.tag is not None:
            self.note(event, f"tags are not accepted ({self.word(event.tag)}): remove it")

    def _mapping(self, depth: int) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        while not isinstance(event := next(self.events), MappingEndEvent):
            key = self._key(event)
            repeated = key in mapping
            if repeated:
                self.note(event, f"{self.word(key)} is here twice: keep one")
            start = next(self.events)
            if depth == 1 and key == self.under and isinstance(start, SequenceStartEvent):
                value: Any = self._items(start)
            else:
                value = self._value(start, depth + 1)
            if not repeated:
                mapping[key] = value
        return mapping

    def _key(self, event: Event) -> str:
        if isinstance(event, ScalarEvent):
            self._undecorated(event)
            return str(event.value)
        self.note(event, "a key must be plain text")
        raise _Stop

    def _sequence(self, depth: int) -> list[Any]:
        items = []
        while not isinstance(event := next(self.events), SequenceEndEvent):
            items.append(self._value(event, depth + 1))
        return items

    def _items(self, start: Event) -> list[Any]:
        self._undecorated(start)
        index, outside = 0, self.values
        while not isinstance(event := next(self.events), SequenceEndEvent):
            self.values = 0
            self.each(index, self._value(event, 3))
            index += 1
        self.values = outside
        return [...] if index else []


def _events(data: bytes) -> Iterator[Any]:
    events: Iterator[Any] = yaml.parse(data, Loader=_LOADER)
    return events


def _scalar(event: ScalarEvent) -> Any:
    text = event.value
    if not event.implicit[0]:
        return text
    if text in _WORDS:
        return _WORDS[text]
    return int(text) if _WHOLE.fullmatch(text) else text


def _spot(mark: Any) -> Spot:
    return mark.line + 1, mark.column + 1


def _spots(data: bytes, wanted: set[KeyPath]) -> dict[KeyPath, tuple[Spot, Spot]]:
    """Where the keys and values of the wanted paths stand, as far as the text can be read."""
    spots: dict[KeyPath, tuple[Spot, Spot]] = {}
    try:
        for path, key, value in _walk(_events(data)):
            if path in wanted:
                spots.setdefault(path, (_spot(key), _spot(value)))
                if len(spots) == len(wanted):
                    break
    except yaml.YAMLError:
        pass  # the reading met the same error and has reported it
    return spots


class _Frame:
    """One open list or map of the walk: its path, and the next key or index."""

    __slots__ = ("index", "key", "mapping", "path")

    def __init__(self, path: KeyPath, mapping: bool) -> None:
        self.path = path
        self.mapping = mapping
        self.index = 0
        self.key: ScalarEvent | None = None


def _walk(events: Iterator[Any]) -> Iterator[tuple[KeyPath, Any, Any]]:
    """Every value's path, with the marks of its key (its own, in a list) and of itself."""
    open_frames: list[_Frame] = []
    for event in events:
        if isinstance(event, (MappingEndEvent, SequenceEndEvent)):
            open_frames.pop()
            continue
        if isinstance(event, DocumentEndEvent):
            return
        if isinstance(event, (StreamStartEvent, DocumentStartEvent)):
            continue
        frame = open_frames[-1] if open_frames else None
        if frame is not None and frame.mapping and frame.key is None:
            if not isinstance(event, ScalarEvent):
                return
            frame.key = event
            continue
        path, key = _step(frame, event)
        yield path, key.start_mark, event.start_mark
        if isinstance(event, (MappingStartEvent, SequenceStartEvent)):
            open_frames.append(_Frame(path, isinstance(event, MappingStartEvent)))


def _step(frame: _Frame | None, event: Any) -> tuple[KeyPath, Any]:
    if frame is None:
        return (), event
    if frame.key is not None:
        path, key = (*frame.path, str(frame.key.value)), frame.key
        frame.key = None
        return path, key
    frame.index += 1
    return (*frame.path, frame.index - 1), event


def _json_as_yaml(data: bytes) -> bytes:
    """JSON is YAML except for two things, which are corrected here without moving a line.

    Tabs may indent it, and a character beyond U+FFFF is escaped as two surrogates. (Only a column
    to the right of such an escape, in the same line, comes out smaller than an editor shows it.)
    """
    if data.lstrip()[:1] not in (b"{", b"["):
        return data
    data = data.replace(b"\t", b" ")
    if b"\\ud" in data or b"\\uD" in data:
        data = _ESCAPE.sub(_unescaped, data)
    return data


def _unescaped(match: re.Match[bytes]) -> bytes:
    high, low = match.groups()
    if high is None:
        return match.group()
    code = 0x10000 + ((int(high, 16) - 0xD800) << 10) + (int(low, 16) - 0xDC00)
    return chr(code).encode()
