"""When a plan is started by the clock: a time of day, days of the week and a time zone. Pure.

Moments are whole seconds since the epoch. They are those that systemd computes of `calendar`: a
time that the clocks skip in spring does not come that day, one that comes twice counts once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby
from zoneinfo import ZoneInfo

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

LATE = 900.0
"""Seconds after its time from which a start counts as late."""

LONGEST = 400
"""Days back or ahead in which a moment is looked for."""

_AT = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?", re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class Timetable:
    """The moments at which a plan is started."""

    at: time
    days: tuple[int, ...] = tuple(range(7))
    """0 is Monday; ascending."""
    zone: str = "UTC"
    """A name of the time zone database."""

    @property
    def calendar(self) -> str:
        """What systemd's `OnCalendar=` takes: `Mon..Fri *-*-* 22:00:00 Europe/Berlin`."""
        days = [_span(run, "..").title() for run in _spans(self.days)]
        week = f"{','.join(days)} " if len(self.days) < 7 else ""
        return f"{week}*-*-* {self.at:%H:%M:%S} {self.zone}"

    @property
    def cron(self) -> str:
        """The first five fields of a line for cron; its clock is that of `CRON_TZ`."""
        days = ",".join(_numbers(run) for run in _spans(self.days))
        return f"{self.at.minute} {self.at.hour} * * {days if len(self.days) < 7 else '*'}"

    @property
    def days_text(self) -> str:
        """What `parse_days` reads: `mon-fri`, `mon,wed`, `daily`."""
        if len(self.days) == 7:
            return "daily"
        return ",".join(_span(run, "-") for run in _spans(self.days))

    def __str__(self) -> str:
        """For people: `22:00 mon-fri Europe/Berlin`."""
        return f"{self.at:{'%H:%M:%S' if self.at.second else '%H:%M'}} {self.days_text} {self.zone}"

    def last(self, now: float) -> float | None:
        """The newest moment that is not after `now`."""
        today = self._today(now)
        for back in range(-1, LONGEST):
            moment = self._on(today - timedelta(days=back))
            if moment is not None and moment <= now:
                return moment
        return None

    def next(self, now: float) -> float | None:
        """The first moment after `now`."""
        today = self._today(now)
        for ahead in range(-1, LONGEST):
            moment = self._on(today + timedelta(days=ahead))
            if moment is not None and moment > now:
                return moment
        return None

    def between(self, after: float, until: float) -> list[float]:
        """The moments after `after` up to `until`, at most those of the last `LONGEST` days."""
        after = max(after, until - LONGEST * 86_400)
        return list(reversed([*self._backwards(after, until)]))

    def _backwards(self, after: float, until: float) -> Iterator[float]:
        moment = self.last(until)
        while moment is not None and moment > after:
            yield moment
            moment = self.last(moment - 1)

    def _today(self, now: float) -> date:
        return datetime.fromtimestamp(now, ZoneInfo(self.zone)).date()

    def _on(self, day: date) -> float | None:
        """The moment of this day, None where it has none."""
        if day.weekday() not in self.days:
            return None
        zone = ZoneInfo(self.zone)
        local = datetime.combine(day, self.at, zone)
        seen = local.astimezone(UTC).astimezone(zone)
        return local.timestamp() if seen.time() == self.at else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Scheduled:
    """What a command knows that was started by the clock."""

    timetable: Timetable
    since: float
    """When the schedule was made; no moment before that was missed."""
    plan: str
    """The plan's name."""

    def __str__(self) -> str:
        """What `parse_scheduled` reads."""
        of = self.timetable
        return f"{of.at:%H:%M:%S} {of.days_text} {of.zone} {self.since:.0f} {self.plan}"


def parse_scheduled(text: str) -> Scheduled:
    """Read what `Scheduled` prints; ValueError for anything else."""
    at, days, zone, since, plan = text.split(" ", 4)
    ZoneInfo(zone)
    timetable = Timetable(at=parse_at(at), days=parse_days(days), zone=zone)
    return Scheduled(timetable=timetable, since=float(since), plan=plan)


def parse_at(text: str) -> time:
    """A time of day: `22:00`, `6:30`, `22:00:30`; ValueError says what is right."""
    match = _AT.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a time of day such as 22:00 or 06:30:15")
    hour, minute, second = match.groups()
    return time(int(hour), int(minute), int(second or 0))


def parse_days(text: str) -> tuple[int, ...]:
    """Days of the week: `mon-fri`, `mon,wed,sat-sun`, `daily`; ValueError says what is right."""
    if text.strip().lower() in ("daily", "*"):
        return tuple(range(7))
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        begin, end = _day(first), _day(last if dash else first)
        length = (end - begin) % 7
        found |= {(begin + day) % 7 for day in range(length + 1)}
    return tuple(sorted(found))


def _day(word: str) -> int:
    short = word.strip().lower()
    names = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
    for number, name in enumerate(names):
        if len(short) >= 3 and name.startswith(short):
            return number
    raise ValueError(f"{word.strip()!r} is no day: use mon-fri, mon,wed,sat or daily")


def _spans(days: tuple[int, ...]) -> list[list[int]]:
    """Days that follow each other, together."""
    pairs = groupby(enumerate(days), key=lambda pair: pair[1] - pair[0])
    return [[day for _, day in pair] for _, pair in pairs]


def _span(days: list[int], between: str) -> str:
    if len(days) == 1:
        return DAYS[days[0]]
    return f"{DAYS[days[0]]}{between}{DAYS[days[-1]]}"


def _numbers(days: list[int]) -> str:
    """Days as cron counts them: 1 is Monday, 7 is Sunday."""
    return str(days[0] + 1) if len(days) == 1 else f"{days[0] + 1}-{days[-1] + 1}"
