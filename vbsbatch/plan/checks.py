"""Which values a key of a plan may have: each check says what is wrong in plain words.

A check is part of an annotation of a pydantic model. It validates one value and describes itself in
JSON Schema. Its texts continue a sentence that begins with the key: "in_flight: must be ...".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from vbsbatch.model import MOST_IN_FLIGHT, CalendarSpan, Rate, Service, Verdict
from vbsbatch.model.retention import SPAN_PATTERN
from vbsbatch.plan.backup_names import DEFAULT_TEMPLATE, FIELDS, template_fields
from vbsbatch.plan.units import (
    AGE_PATTERN,
    DURATION_PATTERN,
    RATE_PATTERN,
    UUID_PATTERN,
    described,
    parse_age,
    parse_duration,
    parse_rate,
    quoted,
    text_of,
    volume_uuid,
)

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_LONGEST = 30 * 24 * 3600.0

RULE_VERDICTS = tuple(
    str(verdict)
    for verdict in (
        Verdict.RETRY,
        Verdict.LATER,
        Verdict.UNKNOWN,
        Verdict.THROTTLE,
        Verdict.FAIL,
        Verdict.STOP,
    )
)
"""The verdicts of rules; `accepted` and `reauth` follow from the answer itself."""

AUTO = "auto"
SERVICES = (AUTO, *map(str, Service))
"""The values of `service`."""


def service_of(word: str) -> Service | None:
    """The service of that name, None for `auto`."""
    return None if word == AUTO else Service(word)


class Check:
    """One kind of value."""

    def check(self, value: Any) -> Any:
        """The value as the plan keeps it; ValueError says what is wrong and what would be right."""
        raise NotImplementedError

    def json(self) -> dict[str, Any]:
        """The same rule in JSON Schema, as far as that can say it."""
        raise NotImplementedError

    def _checked(self, value: Any) -> Any:
        if value is None:
            raise ValueError("has no value: write one, or leave the key out")
        return self.check(value)

    def __get_pydantic_core_schema__(self, _source: Any, _next: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._checked)

    def __get_pydantic_json_schema__(
        self, _schema: CoreSchema, _next: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return self.json()


@dataclass(frozen=True)
class Whole(Check):
    """A whole number from `low` to `high`."""

    low: int
    high: int

    def check(self, value: Any) -> int:
        """The number itself; text and fractions are refused."""
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f"must be a whole number, not {described(value)}")  # noqa: TRY004
        if not self.low <= value <= self.high:
            raise ValueError(f"must be from {self.low} to {self.high}, not {value}")
        return value

    def json(self) -> dict[str, Any]:
        """An integer with its bounds."""
        return {"type": "integer", "minimum": self.low, "maximum": self.high}


class YesNo(Check):
    """`true` or `false`."""

    def check(self, value: Any) -> bool:
        """The truth value; `yes`, `on` and 1 are refused."""
        if not isinstance(value, bool):
            raise ValueError(f"must be true or false, not {described(value)}")  # noqa: TRY004
        return value

    def json(self) -> dict[str, Any]:
        """A boolean."""
        return {"type": "boolean"}


@dataclass(frozen=True)
class Text(Check):
    """Text of `low` to `high` characters without control characters and without any of `without`.

    A whole number that was written without quotes counts as the text that was written.
    """

    high: int
    low: int = 1
    without: str = ""

    def check(self, value: Any) -> str:
        """The text itself."""
        text = text_of(value)
        if not self.low <= len(text) <= self.high:
            long = f"must have {self.low} to {self.high} characters, not {len(text)}"
            raise ValueError("must not be empty" if not text else long)
        control = _CONTROL.search(text)
        if control:
            raise ValueError(f"must not contain a control character (U+{ord(control.group()):04X})")
        for character in self.without:
            if character in text:
                names = " ".join(self.without)
                raise ValueError(f"must contain none of {names} but has {quoted(character)}")
        return text

    def json(self) -> dict[str, Any]:
        """A string with its lengths and, where some are refused, its characters; or a number."""
        kinds = ["string", "integer"]
        rule: dict[str, Any] = {"type": kinds, "minLength": self.low, "maxLength": self.high}
        if self.without:
            rule["pattern"] = f"^[^{re.escape(self.without)}\\u0000-\\u001f]*$"
        return rule


@dataclass(frozen=True)
class MetadataPair(Text):
    """`KEY=VALUE`, of which the value may be empty."""

    def check(self, value: Any) -> str:
        """The text itself."""
        text = super().check(value)
        if not text.partition("=")[0] or "=" not in text:
            raise ValueError(f"must be KEY=VALUE, not {quoted(text)}")
        return text

    def json(self) -> dict[str, Any]:
        """A string with something before its first `=`."""
        return {**super().json(), "type": "string", "pattern": "^[^=]+="}


@dataclass(frozen=True)
class Name(Text):
    """Text that is the key of a map, which in JSON is always a string."""

    def json(self) -> dict[str, Any]:
        """A string with its lengths and characters."""
        return {**super().json(), "type": "string"}


@dataclass(frozen=True)
class Duration(Check):
    """A length of time from `low` to `high` seconds, with its unit."""

    low: float = 0.0
    high: float = _LONGEST

    def check(self, value: Any) -> float:
        """Seconds."""
        seconds = parse_duration(text_of(value))
        if seconds < self.low:
            least = "must be more than 0" if not seconds else f"must be at least {self.low:g}s"
            raise ValueError(least)
        if seconds > self.high:
            raise ValueError(f"must be at most {self.high / 3600:g}h")
        return seconds

    def json(self) -> dict[str, Any]:
        """A string with a unit, or 0 where that is allowed."""
        text = {"type": "string", "pattern": DURATION_PATTERN}
        return text if self.low else {"anyOf": [text, {"const": 0}]}


class Age(Check):
    """How old something is: a length of time with its unit, days and weeks too."""

    def check(self, value: Any) -> float:
        """Seconds."""
        return parse_age(text_of(value))

    def json(self) -> dict[str, Any]:
        """A string such as `90d`, or 0."""
        return {"anyOf": [{"type": "string", "pattern": AGE_PATTERN}, {"const": 0}]}


class Span(Check):
    """A span of the calendar: years, months, days and hours, as restic writes it."""

    def check(self, value: Any) -> CalendarSpan:
        """The span as a value."""
        return CalendarSpan.parse(text_of(value))

    def json(self) -> dict[str, Any]:
        """A string such as `30d`."""
        return {"type": "string", "pattern": SPAN_PATTERN, "examples": ["30d", "1y6m", "12h"]}


class RateText(Check):
    """A rate: so many per second, minute or hour."""

    def check(self, value: Any) -> Rate:
        """The rate as a value."""
        return parse_rate(text_of(value))

    def json(self) -> dict[str, Any]:
        """A string such as `5/s`."""
        return {"type": "string", "pattern": RATE_PATTERN, "examples": ["5/s", "100/min"]}


class Uuid(Check):
    """The id of a volume or a snapshot."""

    def check(self, value: Any) -> str:
        """Lower case, with hyphens, whatever the spelling."""
        return volume_uuid(value)

    def json(self) -> dict[str, Any]:
        """A string of 32 hexadecimal digits, hyphens or not."""
        return {"type": "string", "pattern": UUID_PATTERN}


class Template(Check):
    """A backup name with fields in braces."""

    def check(self, value: Any) -> str:
        """The template itself, known to hold only fields that exist."""
        text = Text(255).check(value)
        template_fields(text)
        return text

    def json(self) -> dict[str, Any]:
        """A string; its fields are named in the description."""
        return {
            "type": "string",
            "minLength": 1,
            "maxLength": 255,
            "pattern": rf"^([^{{}}]|\{{\{{|\}}\}}|\{{({'|'.join(FIELDS)})\}})*$",
            "examples": [DEFAULT_TEMPLATE],
        }


_TIME = re.compile(r"(?:([01]?[0-9]|2[0-3]):([0-5][0-9])|24:00)")
_CAP = Whole(1, MOST_IN_FLIGHT)


@dataclass(frozen=True)
class OneOf(Check):
    """One of some words; `meaning` makes the plan's value of it."""

    words: tuple[str, ...]
    meaning: Callable[[str], Any]

    def check(self, value: Any) -> Any:
        """What the word means; any other value is refused with the closest word."""
        if value in self.words:
            return self.meaning(value)
        few = len(self.words) == 2
        known = " or ".join(self.words) if few else f"one of {', '.join(self.words)}"
        close = get_close_matches(str(value), self.words, 1)
        hint = f': did you mean "{close[0]}"?' if close else ""
        raise ValueError(f"must be {known}, not {described(value)}{hint}")

    def json(self) -> dict[str, Any]:
        """One of the words."""
        return {"type": "string", "enum": list(self.words)}


CHANNEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")


class ChannelNames(Check):
    """Channels of the config file, by name: a list, or one. No message repeats what may be a URL,
    which is a secret."""

    def check(self, value: Any) -> tuple[str, ...]:
        """The names, each once."""
        names = value if isinstance(value, list) else [value]
        for name in names:
            if not isinstance(name, str | int) or isinstance(name, bool):
                raise ValueError("must be names of channels of the config file")  # noqa: TRY004
            if re.search(r"[:/@.]", str(name)):
                where = "URLs are secrets, and belong into the config file (docs/notifications.md)"
                raise ValueError(f"must be the name of a channel, not a URL: {where}")
            if not CHANNEL_NAME.fullmatch(str(name)):
                raise ValueError("must be names of letters, digits, - and _ only, up to 32 of them")
        return tuple(dict.fromkeys(map(str, names)))

    def json(self) -> dict[str, Any]:
        """A name, or a list of names."""
        name = {"type": "string", "pattern": f"^{CHANNEL_NAME.pattern}$"}
        return {"anyOf": [name, {"type": "array", "items": name}]}


class TimeOfDay(Check):
    """A time of the day, as a clock shows it."""

    def check(self, value: Any) -> int:
        """Minutes since midnight; 24:00 is midnight too."""
        found = _TIME.fullmatch(value) if isinstance(value, str) else None
        if found is None:
            raise ValueError(f'must be a time such as "22:00", not {described(value)}')
        return int(found[1] or 0) * 60 + int(found[2] or 0)

    def json(self) -> dict[str, Any]:
        """A string of hours and minutes."""
        return {"type": "string", "pattern": f"^{_TIME.pattern}$", "examples": ["22:00"]}


class TimeZone(Check):
    """A name of the time zone database."""

    def check(self, value: Any) -> str:
        """The name itself, known to be one."""
        name = Text(64).check(value)
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError):
            close = get_close_matches(name, available_timezones(), 1)
            hint = f'did you mean "{close[0]}"?' if close else "one is Europe/Berlin"
            raise ValueError(f"there is no time zone {quoted(name)}: {hint}") from None
        return name

    def json(self) -> dict[str, Any]:
        """A string; there are hundreds of names."""
        return {"type": "string", "minLength": 1, "examples": ["Europe/Berlin", "UTC"]}


class PerZone(Check):
    """A cap for each availability zone: one for all, or a map."""

    def check(self, value: Any) -> tuple[tuple[str, int], ...]:
        """Zones with their caps; `*` is each zone that is not named."""
        if not isinstance(value, dict):
            return (("*", _CAP.check(value)),)
        caps, wrong = [], []
        for zone, cap in value.items():
            try:
                caps.append((Text(255).check(zone), _CAP.check(cap)))
            except ValueError as error:
                wrong.append(f"{quoted(zone)} {error}")
        if wrong:
            raise ValueError("; ".join(wrong))
        return tuple(caps)

    def json(self) -> dict[str, Any]:
        """An integer, or an object of them."""
        return {"anyOf": [_CAP.json(), {"type": "object", "additionalProperties": _CAP.json()}]}
