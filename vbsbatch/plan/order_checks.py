"""What the values of windows and caps in a plan may be; see `checks`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from vbsbatch.model import MOST_IN_FLIGHT
from vbsbatch.plan.checks import Check, Text, Whole, described
from vbsbatch.plan.units import quoted

_TIME = re.compile(r"(?:([01]?[0-9]|2[0-3]):([0-5][0-9])|24:00)")
_CAP = Whole(1, MOST_IN_FLIGHT)


@dataclass(frozen=True)
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


@dataclass(frozen=True)
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
        """A string; there are hundreds."""
        return {"type": "string", "minLength": 1, "examples": ["Europe/Berlin", "UTC"]}


@dataclass(frozen=True)
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
