"""The filter line: text -> `FilterTerms` and back.

Words and `key:value` terms, separated by blanks. A value lists alternatives, separated by commas; a
key that comes twice adds to them. Double quotes keep blanks, commas and colons together and what
they hold is taken literally (`\\"` and `\\\\` inside). `VB.` stands for `VolumeBackup.`, as on the
screen::

    db01 state:fail,retry status:503,0 code:VB.09 group:"tier 1" any:db02,db03
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import NamedTuple

from vbsbatch.model import OPEN_STATES, JobState
from vbsbatch.report import clean
from vbsbatch.store.ports import NO_CODE
from vbsbatch.tui.view_models import FilterTerms

LONGEST = 2000
"""Characters of a filter at most."""

MOST_WORDS = 50
"""Words of a filter at most: each costs time on every job."""

KEYS = ("state", "status", "code", "group", "any")
"""What may stand before a colon; `http` means `status`."""

STATE_WORDS: Mapping[str, frozenset[JobState]] = {
    "wait": frozenset({JobState.WAITING}),
    "send": frozenset({JobState.SUBMITTING}),
    "run": frozenset({JobState.RUNNING}),
    "ok": frozenset({JobState.SUCCEEDED}),
    "success": frozenset({JobState.SUCCEEDED}),
    "fail": frozenset({JobState.FAILED}),
    "cancel": frozenset({JobState.CANCELLED}),
    "canceled": frozenset({JobState.CANCELLED}),
    "skip": frozenset({JobState.SKIPPED}),
    "active": OPEN_STATES,
    **{state.value: frozenset({state}) for state in JobState},
}
"""What `state:` accepts beside the states' own names; `retry` is a criterion of its own."""

RETRY_WORDS = ("retry", "retrying")

_ALIASES = {"http": "status"}
_SHORT = re.compile(r"^vb\.(?=\d|$)", re.IGNORECASE)
_SERVICE = "VolumeBackup."
_LONG = re.compile(r"^VolumeBackup\.(?=\d|$)")
_PLAIN = re.compile(r'[^\s":,\\]+')


class _Character(NamedTuple):
    text: str
    quoted: bool


_Token = Sequence[_Character]


class _Value(NamedTuple):
    text: str
    quoted: bool
    """Whether any of it was quoted: then nothing in it is an abbreviation."""


def parse(text: str) -> FilterTerms:
    """The filter that `text` describes; `ValueError` says what is wrong with it."""
    if len(text) > LONGEST:
        raise ValueError(f"a filter has at most {LONGEST} characters, this one {len(text)}")
    words: list[str] = []
    values: dict[str, list[_Value]] = {key: [] for key in KEYS}
    for token in _tokens(text):
        key, rest = _keyed(token)
        if key is None:
            words.append(_unabbreviated(_value(rest)))
        else:
            values[key] += _alternatives(key, rest)
    any_words = tuple(dict.fromkeys(map(_unabbreviated, values["any"])))
    if len(words) + len(any_words) > MOST_WORDS:
        raise ValueError(f"a filter has at most {MOST_WORDS} words")
    states, retrying = _states(values["state"])
    return FilterTerms(
        text=text,
        words=tuple(dict.fromkeys(filter(None, words))),
        any_words=any_words,
        states=states,
        retrying=retrying,
        statuses=frozenset(map(_status, values["status"])),
        codes=tuple(dict.fromkeys(map(_unabbreviated, values["code"]))),
        groups=frozenset(value.text for value in values["group"]),
    )


def text(terms: FilterTerms) -> str:
    """A filter line that `parse` reads as these criteria: as it was typed, if that still fits."""
    try:
        if parse(terms.text) == terms:
            return terms.text
    except ValueError:
        pass
    return " ".join(_parts(terms))


def of_lines(lines: Sequence[str]) -> tuple[str, int]:
    """A term that fits what occurs in any of these lines, and how many lines have no room in it."""
    text, taken = "", 0
    for line in lines[:MOST_WORDS]:
        longer = f"{text},{_quoted(line)}" if text else f"any:{_quoted(line)}"
        if len(longer) > LONGEST // 2:
            break
        text, taken = longer, taken + 1
    return text, len(lines) - taken


def _parts(terms: FilterTerms) -> Iterable[str]:
    yield from map(_quoted, terms.words)
    states = [state.value for state in JobState if state in terms.states]
    lists = {
        "state": [*states, *(RETRY_WORDS[:1] if terms.retrying else ())],
        "status": list(map(str, sorted(terms.statuses))),
        "code": list(map(_code, terms.codes)),
        "group": list(map(_quoted, sorted(terms.groups))),
        "any": list(map(_quoted, terms.any_words)),
    }
    for key, values in lists.items():
        if values:
            yield f"{key}:{','.join(values)}"


def _code(code: str) -> str:
    """The short form that the screen shows: a line has no room for `VolumeBackup.`."""
    short = _LONG.sub("VB.", code, count=1)
    return short if short != code and _PLAIN.fullmatch(short) else _quoted(code)


def _quoted(value: str) -> str:
    if _PLAIN.fullmatch(value) and not _SHORT.match(value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _tokens(text: str) -> Iterable[_Token]:
    """Runs of characters between unquoted blanks, without the quotes."""
    token: list[_Character] = []
    started = quoted = False
    characters = iter(text)
    for character in characters:
        if character == '"':
            quoted, started = not quoted, True
        elif quoted and character == "\\":
            token.append(_Character(next(characters, "\\"), True))
        elif character.isspace() and not quoted:
            if started:
                yield token
            token, started = [], False
        else:
            token.append(_Character(character, quoted))
            started = True
    if quoted:
        raise ValueError('a quote is not closed: end it with "')
    if started:
        yield token


def _keyed(token: _Token) -> tuple[str | None, _Token]:
    """The key of a `key:value` token and its value; no key for a word."""
    colon = _first(token, ":")
    if colon is None:
        return None, token
    name = _value(token[:colon])
    key = _ALIASES.get(name.text.lower(), name.text.lower())
    if key not in KEYS:
        raise ValueError(_unknown(name.text, (*KEYS, *_ALIASES), "key"))
    return key, token[colon + 1 :]


def _alternatives(key: str, rest: _Token) -> list[_Value]:
    """The values between unquoted commas."""
    values = []
    while (comma := _first(rest, ",")) is not None:
        values.append(_value(rest[:comma]))
        rest = rest[comma + 1 :]
    values.append(_value(rest))
    if not all(value.text for value in values):
        raise ValueError(f"{key}: needs a value, such as {key}:{_EXAMPLES[key]}")
    return values


_EXAMPLES = {"state": "fail", "status": "503", "code": "VB.09", "group": "db01", "any": "db01,db02"}


def _first(token: _Token, text: str) -> int | None:
    wanted = _Character(text, False)
    return next((at for at, character in enumerate(token) if character == wanted), None)


def _value(token: _Token) -> _Value:
    text = "".join(character.text for character in token)
    return _Value(text, any(character.quoted for character in token))


def _unabbreviated(value: _Value) -> str:
    return value.text if value.quoted else _SHORT.sub(_SERVICE, value.text, count=1)


def _states(values: Iterable[_Value]) -> tuple[frozenset[JobState], bool]:
    states: frozenset[JobState] = frozenset()
    retrying = False
    for value in values:
        word = value.text.lower()
        if word in RETRY_WORDS:
            retrying = True
        elif word in STATE_WORDS:
            states |= STATE_WORDS[word]
        else:
            raise ValueError(_unknown(value.text, (*STATE_WORDS, *RETRY_WORDS), "state"))
    return states, retrying


def _status(value: _Value) -> int:
    if value.text == NO_CODE:
        return 0
    if not (value.text.isascii() and value.text.isdigit() and int(value.text) < 1000):
        raise ValueError(
            f'"{clean(value.text)}" is no HTTP status: a number such as 503, 0 for no answer'
        )
    return int(value.text)


def _unknown(word: str, known: Sequence[str], what: str) -> str:
    close = get_close_matches(word.lower(), known, 1)
    said = f'unknown {what} "{clean(word)}"'
    if close:
        return f"{said}: did you mean {close[0]}?"
    if what == "key":
        return f"{said}: known are {', '.join(KEYS)}; quote a word that holds a colon"
    return f"{said}: use wait, retry, send, run, unknown, ok, fail, cancel, skip, active"
