"""Which backups of a volume are kept: the rules of a plan, and the pins that people set."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from zoneinfo import ZoneInfo

from vbsbatch.model.clocks import Wall

MOST_KEPT = 9999
"""The largest number in a rule."""

SPAN_PATTERN = r"^(?=.)(\d{1,4}y)?(\d{1,4}m)?(\d{1,4}d)?(\d{1,4}h)?$"
"""A span of the calendar as restic writes it: `30d`, `1y6m`, `12h`; `m` are months."""

_SPAN = re.compile(SPAN_PATTERN, re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class CalendarSpan:
    """A span of the calendar: months and years have the length that they have in it."""

    years: int = 0
    months: int = 0
    days: int = 0
    hours: int = 0

    def __post_init__(self) -> None:
        parts = [getattr(self, each.name) for each in fields(self)]
        if not all(0 <= part <= MOST_KEPT for part in parts) or not any(parts):
            raise ValueError(f"no span of the calendar: {parts}")

    @classmethod
    def parse(cls, text: str) -> CalendarSpan:
        """Read `1y6m30d12h`, of which each part may be missing; ValueError says what is right."""
        found = _SPAN.fullmatch(text.strip())
        if found is None:
            raise ValueError(f"must be a span such as 30d, 6m, 1y6m or 12h, not {text.strip()!a}")
        years, months, days, hours = (int(part[:-1]) if part else 0 for part in found.groups())
        if not (years or months or days or hours):
            raise ValueError("must be more than 0")
        return cls(years=years, months=months, days=days, hours=hours)

    def __str__(self) -> str:
        parts = ((self.years, "y"), (self.months, "m"), (self.days, "d"), (self.hours, "h"))
        return "".join(f"{number}{unit}" for number, unit in parts if number)


@dataclass(frozen=True, kw_only=True, slots=True)
class Retention:
    """How many backups of each volume are kept; 0 and None are rules that are not set.

    A day, week (ISO), month and year are those of `timezone`. Raises `ValueError` without any rule,
    or for a time zone that there is not.
    """

    last: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    yearly: int = 0
    within: CalendarSpan | None = None
    """Counted back from the newest backup."""
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        numbers = (self.last, self.daily, self.weekly, self.monthly, self.yearly)
        if not all(0 <= number <= MOST_KEPT for number in numbers):
            raise ValueError(f"no rules of retention: {numbers}")
        if not any(numbers) and self.within is None:
            raise ValueError("no rule of retention is set")
        try:
            ZoneInfo(self.timezone)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(f"no time zone: {self.timezone!a}") from error

    def __str__(self) -> str:
        numbers = ("last", "daily", "weekly", "monthly", "yearly")
        words = [f"{name} {getattr(self, name)}" for name in numbers if getattr(self, name)]
        words += [f"within {self.within}"] if self.within is not None else []
        return f"{', '.join(words)} ({self.timezone})"


@dataclass(frozen=True, kw_only=True, slots=True)
class Pin:
    """A backup, or every backup of a run, that is not to be deleted."""

    run_id: str
    backup_id: str | None = None
    """None: every backup of the run."""
    until: Wall | None = None
    """When the pin ends by itself; None: never."""
    pinned_at: Wall
    pinned_by: str

    def holds(self, now: Wall) -> bool:
        """Whether it has not ended."""
        return self.until is None or self.until > now
