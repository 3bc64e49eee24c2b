"""pydantic's errors -> findings in plain words."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from typing import Any, TypeAlias

from pydantic import ValidationError

from vbsbatch.plan.findings import Findings, KeyPath
from vbsbatch.plan.reading import Broken
from vbsbatch.plan.schema import MAPS, Keys
from vbsbatch.plan.units import described, kind_of, quoted

Maps: TypeAlias = Mapping[tuple[str, ...], type[Keys]]


def report(
    error: ValidationError,
    findings: Findings,
    under: KeyPath = (),
    *,
    maps: Maps = MAPS,
    secret: Collection[str] = (),
) -> None:
    """Add everything that `error` says about the value at path `under`; `maps` has known keys.

    Below the top keys `secret`, no value is repeated, and no key that is not known or nearly so.
    """
    for one in error.errors(include_url=False):
        path = (*under, *one["loc"])
        shown = kind_of if path and path[0] in secret else described
        kind = one["type"]
        if isinstance(one["input"], Broken):
            continue
        if kind == "extra_forbidden":
            hidden = path[0] in secret
            findings.add(path, _unknown(path, maps, hidden=hidden), at_key=True)
        elif kind == "missing":
            findings.add(path[:-1], f'{_where(path[:-1])}"{path[-1]}" is missing')
        elif path[-1:] == ("[key]",):
            key = quoted(str(path[-2]))
            findings.add(
                path[:-1], f"{_where(path[:-2])}key {key} {_reason(one, shown)}", at_key=True
            )
        else:
            findings.add(path, _where(path) + _reason(one, shown))


def _reason(one: Any, shown: Callable[[Any], str]) -> str:
    """The part after the key: what is wrong with the value and what would be right."""
    kind, value = one["type"], one["input"]
    if kind == "value_error":
        return str(one["ctx"]["error"])
    if value is None:
        return "has no value: write one, or leave the key out"
    if kind in ("model_type", "dict_type"):
        return f"must be a map of keys and values, not {shown(value)}"
    if kind == "list_type":
        return f"must be a list, not {shown(value)}"
    if kind == "too_long":
        return f"must be at most {one['ctx']['max_length']}, not {len(value)}"
    return f"cannot be {shown(value)}"


def _where(path: KeyPath) -> str:
    """`limits.rate: `; nothing for the plan itself."""
    names = [part if part.isprintable() else quoted(part) for part in _names(path)]
    return ".".join(names)[:120] + ": " if names else ""


def _unknown(path: KeyPath, maps: Maps, *, hidden: bool = False) -> str:
    key, around = str(path[-1]), _names(path[:-1])
    known = maps[around].names() if around in maps else []
    text = f"{_where(path[:-1])}unknown key {quoted(key)}"
    close = get_close_matches(key, known, 1)
    if close:
        return f'{text}: did you mean "{close[0]}"?'
    if hidden:
        return f"{_where(path[:-1])}unknown key: known here are {', '.join(known)}"
    homes = [".".join(names) for names, keys in maps.items() if names and _takes(keys, key)]
    if homes:
        return f"{text}: it belongs under {' or '.join(homes)}"
    return f"{text}: known here are {', '.join(known)}"


def _takes(keys: type[Keys], key: str) -> bool:
    return key in keys.names()


def _names(path: KeyPath) -> tuple[str, ...]:
    return tuple(part for part in path if isinstance(part, str))
