"""The keys of the config file, as pydantic models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from vbsbatch.config.channel_keys import ChannelKeys, PingKeys
from vbsbatch.model import Rate
from vbsbatch.plan.checks import Age, Check, OneOf, RateText, Text, YesNo
from vbsbatch.plan.schema import Keys
from vbsbatch.plan.units import described

THEMES = ("dark", "light", "contrast", "colour-blind")
"""The names of the screen's themes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreName(Check):
    """A store: an absolute path, a path below `~`, or a URL."""

    def check(self, value: Any) -> str:
        """Check that the store is the same from every folder."""
        named = value if isinstance(value, str) else ""
        if "://" not in named and not named.startswith(("/", "~")):
            text = "must be a path that begins with / or ~, or a URL such as sqlite:///srv/runs.db"
            raise ValueError(f"{text}, not {described(value)}")
        return named if "://" in named else str(Path(named).expanduser())

    def json(self) -> dict[str, Any]:
        """The beginning of a path or URL."""
        return {"type": "string", "pattern": "^([/~]|[a-z0-9+]+://)"}


def _key(description: str, **more: Any) -> Any:
    return Field(default=None, description=description, **more)


class CompactKeys(Keys):
    """What is removed from the store at the end of each run."""

    older_than: Annotated[float, Age()] = Field(
        description="Remove the history of runs that ended longer ago, such as 90d."
    )


class ConfigKeys(Keys):
    """The top of the file."""

    cloud: Annotated[str, Text(255)] = _key("An entry of clouds.yaml, for plans that name none.")
    db: Annotated[str, StoreName()] = _key("The store.")
    rate: Annotated[Rate, RateText()] = _key("Creates, such as 5/s, for plans that name no rate.")
    theme: Annotated[str, OneOf(THEMES, str)] = _key("The colours of the screen.")
    ascii: Annotated[bool, YesNo()] = _key("Whether the screen is drawn in ASCII characters only.")
    mouse: Annotated[bool, YesNo()] = _key("Whether the screen takes the mouse.")
    keys: dict[str, Annotated[str, Text(255)]] = _key("Keys of the screen's actions.")
    compact: CompactKeys = _key("Compaction of the store at the end of each run.")
    notify: dict[str, ChannelKeys] = _key("Channels that are told of runs, by name.")
    ping: dict[str, PingKeys] = _key("URLs that are asked for at starts and ends, by plan.")


MAPS: Mapping[tuple[str, ...], type[Keys]] = {(): ConfigKeys, ("compact",): CompactKeys}
"""The map at each path."""
