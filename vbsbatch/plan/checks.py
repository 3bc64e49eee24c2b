"""What one value of a plan may be: each check says what is wrong in a person's words.

A check stands in an annotation of a pydantic model, validates one value and describes itself in
JSON Schema. Its texts continue a sentence that begins with the key: "in_flight: must be ...".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from vbsbatch.model import Rate, Service, Verdict
from vbsbatch.plan.backup_names import DEFAULT_TEMPLATE, FIELDS, template_fields
from vbsbatch.plan.units import (
    DURATION_PATTERN,
    RATE_PATTERN,
    parse_duration,
    parse_rate,
    quoted,
)

UUID_PATTERN = r"^[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}$"
_PLAIN_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff"
"""What spreadsheets leave around a text beside blanks."""
_HEX = re.compile(r"[0-9a-f]{32}")
_ID_LIKE = re.compile(
    r"[0-9a-fA-F-]{28,36}|[0-9a-zA-Z]{6,9}(-[0-9a-zA-Z]{3,5}){3}-[0-9a-zA-Z]{9,14}"
)
_UUID = re.compile(UUID_PATTERN.strip("^$"))
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
"""What a rule may say; `accepted` and `reauth` follow from the answer itself."""

AUTO = "auto"
SERVICES = (AUTO, *map(str, Service))
"""What `service` may say."""


def kind_of(value: Any) -> str:
    """What sort of thing a value is, for messages about what may be a secret."""
    if isinstance(value, str):
        return "text"
    return "a number" if type(value) in (int, float) else described(value)


def _not_an_id(text: str) -> str:
    """What was meant as an id is quoted only where it looks like one.

    A list may be no list but a file of passwords, and messages end in logs.
    """
    return f"not {quoted(text)}" if _ID_LIKE.fullmatch(text) else "which this is not"


def described(value: Any) -> str:
    """A value as a person would name it."""
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, dict):
        return "a map"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return "true" if value else "false"
    return "nothing" if value is None else str(value)


def volume_uuid(value: Any) -> str:
    """The one spelling of a UUID (lower case, hyphens) from any; ValueError when it is none."""
    text = _text(value).strip().strip(_INVISIBLE).strip()
    if _PLAIN_UUID.fullmatch(text):
        return text
    plain = text.replace("-", "").lower()
    if not _HEX.fullmatch(plain) or not _UUID.fullmatch(text):
        raise ValueError(
            "must be a UUID such as 6ba7b810-9dad-11d1-80b4-00c04fd430c8 "
            f"(hyphens may be missing), {_not_an_id(text)}"
        )
    return "-".join((plain[:8], plain[8:12], plain[12:16], plain[16:20], plain[20:]))


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


@dataclass(frozen=True)
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
        text = _text(value)
        if not self.low <= len(text) <= self.high:
            long = f"must have {self.low} to {self.high} characters, not {len(text)}"
            raise ValueError("must not be empty" if not text else long)
        control = _CONTROL.search(text)
        if control:
            raise ValueError(f"must not hold a control character (U+{ord(control.group()):04X})")
        for character in self.without:
            if character in text:
                names = " ".join(self.without)
                raise ValueError(f"must hold none of {names} but has {quoted(character)}")
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
    """Text that is the key of a map, so that JSON knows it as nothing but a string."""

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
        seconds = parse_duration(_text(value))
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


@dataclass(frozen=True)
class RateText(Check):
    """A rate: so many per second, minute or hour."""

    def check(self, value: Any) -> Rate:
        """The rate as a value."""
        return parse_rate(_text(value))

    def json(self) -> dict[str, Any]:
        """A string such as `5/s`."""
        return {"type": "string", "pattern": RATE_PATTERN, "examples": ["5/s", "100/min"]}


@dataclass(frozen=True)
class Uuid(Check):
    """The id of a volume or a snapshot."""

    def check(self, value: Any) -> str:
        """Lower case, with hyphens, whatever the spelling."""
        return volume_uuid(value)

    def json(self) -> dict[str, Any]:
        """A string of 32 hexadecimal digits, hyphens or not."""
        return {"type": "string", "pattern": UUID_PATTERN}


@dataclass(frozen=True)
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


@dataclass(frozen=True)
class RuleVerdict(Check):
    """What a rule makes of an answer."""

    def check(self, value: Any) -> Verdict:
        """The verdict."""
        if value in RULE_VERDICTS:
            return Verdict(value)
        close = get_close_matches(str(value), RULE_VERDICTS, 1)
        hint = f': did you mean "{close[0]}"?' if close else ""
        known = ", ".join(RULE_VERDICTS)
        raise ValueError(f"must be one of {known}, not {described(value)}{hint}")

    def json(self) -> dict[str, Any]:
        """One of the verdicts."""
        return {"type": "string", "enum": list(RULE_VERDICTS)}


@dataclass(frozen=True)
class ServiceName(Check):
    """Which backup service to use; None for whichever the cloud offers."""

    def check(self, value: Any) -> Service | None:
        """The service, None for `auto`."""
        if value in SERVICES:
            return None if value == AUTO else Service(value)
        close = get_close_matches(str(value), SERVICES, 1)
        hint = f': did you mean "{close[0]}"?' if close else ""
        raise ValueError(f"must be one of {', '.join(SERVICES)}, not {described(value)}{hint}")

    def json(self) -> dict[str, Any]:
        """One of the words."""
        return {"type": "string", "enum": list(SERVICES)}


@dataclass(frozen=True)
class OneOf(Check):
    """One of the words of an enumeration."""

    words: type[StrEnum]

    def check(self, value: Any) -> StrEnum:
        """The member that the word names."""
        known = [str(word) for word in self.words]
        if value in known:
            return self.words(value)
        close = get_close_matches(str(value), known, 1)
        hint = f': did you mean "{close[0]}"?' if close else ""
        raise ValueError(f"must be {' or '.join(known)}, not {described(value)}{hint}")

    def json(self) -> dict[str, Any]:
        """One of the words."""
        return {"type": "string", "enum": [str(word) for word in self.words]}


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, bool):
        word = described(value)
        raise ValueError(f'must be text: write "{word}" in quotes if you mean the word')  # noqa: TRY004
    raise ValueError(f"must be text, not {described(value)}")
