"""The settings that a run was frozen with: JSON of the run's row -> `Settings`.

Without pydantic: to import it and to build its schema takes longer than anything else that a
command or a screen does before its first line.
"""

from __future__ import annotations

import json
from dataclasses import fields
from enum import StrEnum
from typing import Any

from vbsbatch.model import (
    Limits,
    Operation,
    Rate,
    Retry,
    Rule,
    Service,
    Settings,
    Timeouts,
    Verdict,
    Wave,
    Window,
)

_PARTS: dict[str, type[Any]] = {
    part.__name__: part for part in (Limits, Rate, Retry, Rule, Timeouts, Wave, Window)
}

_WORDS: dict[str, type[StrEnum]] = {kind.__name__: kind for kind in (Operation, Service, Verdict)}

_PLAIN: dict[str, tuple[type, ...]] = {
    "bool": (bool,),
    "float": (int, float),
    "int": (int,),
    "str": (str,),
}
"""Type of a field -> types of the value in JSON."""


def read_settings(text: str) -> Settings:
    """The settings; a part that is absent is as in a new plan, one that nobody knows is ignored.

    Raises `ValueError` for anything else than what `Settings` may hold.
    """
    try:
        settings = _made(Settings, json.loads(text))
    except TypeError as error:  # a rule without its verdict, or no list of rules
        raise ValueError(str(error)) from error
    assert isinstance(settings, Settings)
    return settings


def _made(kind: type[Any], found: Any) -> Any:
    if not isinstance(found, dict):
        raise ValueError(f"{kind.__name__}: {found!r}")  # noqa: TRY004 - a fault of the text
    return kind(
        **{
            each.name: _value(str(each.type), found[each.name])
            for each in fields(kind)
            if each.name in found
        }
    )


def _value(wanted: str, value: Any) -> Any:
    """The value of a field whose annotation is `wanted`."""
    plain = wanted.removesuffix(" | None")
    if value is None and plain != wanted:
        return None
    if plain in _PARTS:
        return _made(_PARTS[plain], value)
    if wanted.endswith(", ...]"):
        each = wanted.removeprefix("tuple[").removesuffix(", ...]")
        return tuple(_value(each, one) for one in value)
    if wanted == "tuple[str, int]":
        name, number = value
        return _value("str", name), _value("int", number)
    if plain in _WORDS:
        return _WORDS[plain](value)
    if type(value) not in _PLAIN[plain]:
        raise ValueError(f"{wanted}: {value!r}")
    return float(value) if plain == "float" else value
