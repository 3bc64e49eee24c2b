"""The user's settings of the screen, from the config file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from vbsbatch.config import Config, load_config
from vbsbatch.errors import UsageError


@dataclass(frozen=True, kw_only=True, slots=True)
class ScreenSettings:
    """The settings as the screen takes them."""

    theme: str | None = None
    mouse: bool = True
    ascii: bool | None = None
    """Whether only ASCII is shown; None: what the locale and the terminal allow."""
    keys: Mapping[str, str] = field(default_factory=dict)
    """Keys of each action, comma-separated, in Textual's words."""


def screen_settings(config: Config | None = None) -> ScreenSettings:
    """The settings of the config file; raises `ConfigError` if they are wrong."""
    config = config or load_config()
    return ScreenSettings(
        theme=config.theme,
        mouse=config.mouse is not False,
        ascii=config.ascii,
        keys=_keys(config),
    )


def _keys(config: Config) -> Mapping[str, str]:
    from vbsbatch.tui import bindings

    try:
        return bindings.checked(config.keys)
    except UsageError as error:
        text = str(error)
        wrong = (action for action, keys in config.keys.items() if text == _refusal(action, keys))
        raise config.problem(("keys", *wrong)[:2], f"keys: {text}") from error


def _refusal(action: str, keys: str) -> str | None:
    """What is wrong with the keys of one action alone."""
    from vbsbatch.tui import bindings

    try:
        bindings.checked({action: keys})
    except UsageError as error:
        return str(error)
    return None
