"""The keys of `notify` and `ping`. No message of a check repeats a value: it may be a secret."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from vbsbatch.model import Notice
from vbsbatch.plan.checks import Check, Duration, OneOf, Whole, YesNo
from vbsbatch.plan.schema import Keys

EVENTS = tuple(map(str, Notice))
MOST_URLS = 20

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\x00-\x20\x7f]{1,4000}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_THRESHOLDS = ("failures", "stuck", "silent", "engine_gone")


@dataclass(frozen=True, kw_only=True, slots=True)
class Urls(Check):
    """One URL of a channel, or several."""

    def check(self, value: Any) -> tuple[str, ...]:
        """The URLs; what they mean is known only when they are used."""
        urls = value if isinstance(value, list) else [value]
        if not 1 <= len(urls) <= MOST_URLS:
            raise ValueError(f"must be one URL, or a list of 1 to {MOST_URLS}")
        if not all(isinstance(url, str) and _URL.fullmatch(url) for url in urls):
            raise ValueError("must be a URL such as mailtos://..., without blanks (not shown here)")
        return tuple(urls)

    def json(self) -> dict[str, Any]:
        """A string with a scheme, or several."""
        return {"type": ["string", "array"]}


@dataclass(frozen=True, kw_only=True, slots=True)
class Variable(Check):
    """The name of an environment variable."""

    def check(self, value: Any) -> str:
        """The name."""
        if not isinstance(value, str) or not _VARIABLE.fullmatch(value):
            raise ValueError("must be the name of an environment variable, such as VBSBATCH_MAIL")
        return value

    def json(self) -> dict[str, Any]:
        """Letters, digits and underscores."""
        return {"type": "string", "pattern": f"^{_VARIABLE.pattern}$"}


@dataclass(frozen=True, kw_only=True, slots=True)
class WebAddress(Check):
    """An http or https URL, or `{env: NAME}`."""

    def check(self, value: Any) -> tuple[str | None, str | None]:
        """The URL, or the name of the variable that holds it."""
        if isinstance(value, dict) and list(value) == ["env"]:
            return None, Variable().check(value["env"])
        if not is_web_address(value):
            raise ValueError("must be an http or https URL, or {env: NAME} (not shown here)")
        return value, None

    def json(self) -> dict[str, Any]:
        """A string or a map."""
        return {"type": ["string", "object"]}


def is_web_address(text: Any) -> bool:
    """Whether it is an http or https URL with a host."""
    if not isinstance(text, str) or not _URL.fullmatch(text):
        return False
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _key(description: str, **more: Any) -> Any:
    return Field(default=None, description=description, **more)


class OverKeys(Keys):
    """A number that must be passed."""

    over: Annotated[int, Whole(0, 1_000_000)] = Field(description="More than this many.")


class AfterKeys(Keys):
    """A time that must pass."""

    after: Annotated[float, Duration(low=1.0)] = Field(description="After this long.")


class ChannelKeys(Keys):
    """One receiver of messages."""

    url: Annotated[tuple[str, ...], Urls()] = _key("Where messages go, as apprise spells it.")
    env: Annotated[str, Variable()] = _key("The environment variable that holds the URL.")
    events: Annotated[
        list[Annotated[Notice, OneOf(EVENTS, Notice)]], Field(min_length=1, max_length=20)
    ] = _key("What it is told; everything if left out.")
    failures: OverKeys = _key("How many jobs may fail before it is told.")
    stuck: AfterKeys = _key("How long a backup may take before it is told.")
    silent: AfterKeys = _key("How long nothing may end before it is told.")
    engine_gone: AfterKeys = _key("How long an engine may give no sign of life.")
    default: Annotated[bool, YesNo()] = _key("Whether plans that name no channels use it.")

    @model_validator(mode="after")
    def _is_whole(self) -> ChannelKeys:
        given = self.model_fields_set
        if len(given & {"url", "env"}) != 1:
            raise ValueError("needs a url, or an env that names a variable with the URL")
        for name in _THRESHOLDS:
            if "events" in given and name in given and name not in self.events:
                raise ValueError(f"has {name}, which is not one of its events")
        return self


class PingKeys(Keys):
    """What is pinged when the runs of one plan start and end."""

    start: Annotated[tuple[str | None, str | None], WebAddress()] = _key("An engine began.")
    success: Annotated[tuple[str | None, str | None], WebAddress()] = _key(
        "The run ended and every volume succeeded or was skipped."
    )
    failure: Annotated[tuple[str | None, str | None], WebAddress()] = _key(
        "The run stopped, or ended with volumes that have no backup."
    )

    @model_validator(mode="after")
    def _names_something(self) -> PingKeys:
        if not self.model_fields_set:
            raise ValueError("needs a start, success or failure")
        return self
