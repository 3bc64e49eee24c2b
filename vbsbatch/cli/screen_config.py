"""Reads the user's settings of the screen, from `screen.yaml` in the configuration folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vbsbatch.errors import UsageError

NAMED_BY = "VBSBATCH_SCREEN"
"""The variable that names another file."""

LARGEST = 65_536
"""Largest size of the file in bytes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScreenFile:
    """The settings; all are optional."""

    theme: str | None = None
    mouse: bool = True
    ascii: bool | None = None
    """Whether only ASCII is shown; None: what the locale and the terminal allow."""
    keys: Mapping[str, str] = field(default_factory=dict)
    """Keys of each action, comma-separated."""


def screen_file() -> ScreenFile:
    """Read the file that `$VBSBATCH_SCREEN` names, or the default one if it exists.

    Raises `UsageError`, with the file's name, if it cannot be read or is wrong.
    """
    named = os.environ.get(NAMED_BY)
    try:
        path = Path(named).expanduser() if named else _usual()
    except RuntimeError:  # a user without a home folder
        if named:
            raise UsageError(f"{NAMED_BY}: {named}: no home folder is known (HOME)") from None
        return ScreenFile()
    try:
        if not named and not path.exists():
            return ScreenFile()
        with path.open("rb") as stream:
            text = stream.read(LARGEST + 1)
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read: {_reason(error)}") from error
    if len(text) > LARGEST:
        raise UsageError(f"{path}: too large for what it may say")
    try:
        return _read(text)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error


def _usual() -> Path:
    from platformdirs import user_config_path

    return user_config_path("vbsbatch", appauthor=False) / "screen.yaml"


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _read(text: bytes) -> ScreenFile:
    import yaml

    try:
        found = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise UsageError(f"{place}{error.problem or 'not YAML'}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UsageError("not YAML") from error
    if found is None:
        return ScreenFile()
    return _checked(_mapping(found, "it"))


def _checked(found: Mapping[str, Any]) -> ScreenFile:
    from vbsbatch.tui import bindings, themes

    known = ("theme", "mouse", "ascii", "keys")
    if strange := [key for key in found if key not in known]:
        raise UsageError(f"{str(strange[0])[:40]!r} is unknown: it may say {', '.join(known)}")
    theme = found.get("theme")
    if theme is not None and (not isinstance(theme, str) or theme not in themes.THEMES):
        raise UsageError(f"theme is one of {', '.join(themes.THEMES)}")
    mouse, ascii_only = found.get("mouse", True), found.get("ascii")
    if not isinstance(mouse, bool):
        raise UsageError("mouse is true or false")
    if not isinstance(ascii_only, bool | None):
        raise UsageError("ascii is true or false")
    keys = bindings.checked(_mapping(found.get("keys") or {}, "keys"))
    return ScreenFile(theme=theme, mouse=mouse, ascii=ascii_only, keys=keys)


def _mapping(found: Any, what: str) -> dict[str, Any]:
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise UsageError(f"{what} must be a map from names to values")
    return found
