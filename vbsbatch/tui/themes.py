"""The themes: dark, light, high contrast, and one for colour-blind people."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from rich.style import Style
from textual.theme import Theme

_FRAME = {"dark": "#46505b", "light": "#b4bac2", "contrast": "#ffffff", "colour-blind": "#5b6670"}
"""The lines around the panes."""

_TRACK = {"dark": "#262b30", "light": "#dcdcd4", "contrast": "#4d4d4d", "colour-blind": "#2b333b"}
"""The part of a bar that is not filled."""

THEMES: Mapping[str, Theme] = {
    theme.name: theme
    for theme in (
        Theme(
            name="dark",
            variables={"frame": _FRAME["dark"]},
            primary="#5fafff",
            background="#14171a",
            surface="#1c2024",
            panel="#262b30",
            foreground="#d8dee4",
            warning="#e5b567",
            error="#ff6b6b",
            success="#7fd68b",
            accent="#5fafff",
        ),
        Theme(
            name="light",
            variables={"frame": _FRAME["light"]},
            primary="#0b5cad",
            background="#fbfbf8",
            surface="#f0f0ec",
            panel="#e4e4de",
            foreground="#1f2328",
            warning="#8a5a00",
            error="#b3261e",
            success="#1d6f2f",
            accent="#0b5cad",
            dark=False,
        ),
        Theme(
            name="contrast",
            variables={"frame": _FRAME["contrast"]},
            primary="#00ffff",
            background="#000000",
            surface="#000000",
            panel="#000000",
            foreground="#ffffff",
            warning="#ffff00",
            error="#ff5f5f",
            success="#00ff00",
            accent="#00ffff",
        ),
        # The colours of Okabe and Ito ("Color Universal Design", 2008).
        Theme(
            name="colour-blind",
            variables={"frame": _FRAME["colour-blind"]},
            primary="#56b4e9",
            background="#101418",
            surface="#181d22",
            panel="#22282e",
            foreground="#e6e6e6",
            warning="#f0e442",
            error="#e07b39",
            success="#2fc4a0",
            accent="#56b4e9",
        ),
    )
}
"""Our themes by name; the first is the default."""

_UNKNOWN = {"dark": "#d7a6ff", "light": "#7b2fa8", "contrast": "#ff87ff", "colour-blind": "#cc79a7"}
_DIM = {"dark": "#8b949e", "light": "#5c636a", "contrast": "#d0d0d0", "colour-blind": "#9aa3ab"}
_CURSOR = {
    "dark": "bold on #2f4a66",
    "light": "bold on #cfe0f3",
    "contrast": "bold reverse",
    "colour-blind": "bold on #3a4a5a",
}

ROLES = (
    *("plain", "dim", "strong", "ok", "fail", "retry", "run", "unknown", "warn"),
    *("cursor", "chosen", "title", "frame", "bar", "track", "key"),
)
"""The roles that a piece of text can have; `style` has the style of each."""


@cache
def style(theme: str, role: str) -> Style:
    """The style of `role` in `theme`; bold and underline work without colour too."""
    look = THEMES.get(theme, THEMES["dark"])
    name = look.name
    words = {
        "plain": "",
        "dim": _DIM[name],
        "strong": "bold",
        "ok": look.success,
        "fail": f"bold {look.error}",
        "retry": look.warning,
        "run": look.primary,
        "unknown": _UNKNOWN[name],
        "warn": f"bold {look.warning}",
        "cursor": _CURSOR[name],
        "chosen": "bold underline",
        "title": f"bold {look.primary}",
        "frame": _FRAME[name],
        "bar": f"{look.primary} on {_TRACK[name]}",
        "track": f"on {_TRACK[name]}",
        "key": look.primary,
    }
    return Style.parse(words[role] or "none")


def after(name: str) -> str:
    """The theme that comes after `name`, the first after the last."""
    names = list(THEMES)
    return names[(names.index(name) + 1) % len(names)] if name in names else names[0]
