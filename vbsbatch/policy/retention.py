"""Which backups of one volume the rules of a plan keep. Pure.

The rules are those of restic's `forget` (0.14): backups are looked at from the newest to the
oldest; `last` keeps the first so many, `daily` the first one of each of the first so many days that
have one, and so on; `within` keeps what is younger than a span before the newest.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from vbsbatch.model import CalendarSpan, Retention

_EPOCH = datetime(1970, 1, 1)


def kept(made_at: Mapping[str, float], rules: Retention, *, now: float) -> dict[str, list[str]]:
    """The rules that keep each backup, by its id; none: it may go.

    `made_at` are the times of the backups of one volume, in epoch seconds, and `now` is the present
    on the same clock: `within` counts from the newest backup that is not in the future.
    """
    zone = ZoneInfo(rules.timezone)
    newest_first = sorted(made_at, key=lambda key: (-made_at[key], key))
    found: dict[str, list[str]] = {key: [] for key in newest_first}
    counters = [_Counter(name, getattr(rules, name), of) for name, of in _PERIODS.items()]
    for place, key in enumerate(newest_first):
        local = datetime.fromtimestamp(made_at[key], zone)
        found[key] = [each.name for each in counters if each.keeps(local, place)]
    if rules.within is not None:
        latest = max((at for at in made_at.values() if at < now), default=None)
        since = None if latest is None else _before(latest, rules.within, zone)
        for key in newest_first:
            if since is None or made_at[key] > since:
                found[key].append(f"within {rules.within}")
    return found


_PERIODS: Mapping[str, Callable[[datetime, int], Hashable]] = {
    "last": lambda local, place: place,
    "daily": lambda local, place: local.date(),
    "weekly": lambda local, place: local.isocalendar()[:2],
    "monthly": lambda local, place: (local.year, local.month),
    "yearly": lambda local, place: local.year,
}
"""Each rule that counts, with what must differ between two backups that it keeps."""


@dataclass(slots=True)
class _Counter:
    """One rule, and how many more periods it keeps a backup of."""

    name: str
    left: int
    period: Callable[[datetime, int], Hashable]
    last: Hashable = None

    def keeps(self, local: datetime, place: int) -> bool:
        """Whether it keeps the next older backup, the newest one of its period."""
        period = self.period(local, place)
        if not self.left or period == self.last:
            return False
        self.left, self.last = self.left - 1, period
        return True


def _before(at: float, span: CalendarSpan, zone: ZoneInfo) -> float | None:
    """Epoch seconds of the moment a span before `at`; None before the calendar begins.

    As Go's `AddDate`, which restic uses: 31 March less a month is 3 March, since there is no 31
    February; and a local time that there is twice, or not at all, is taken as Go takes it.
    """
    local = datetime.fromtimestamp(at, zone)
    months = 12 * (local.year - span.years) + local.month - 1 - span.months
    year, month = divmod(months, 12)
    if year < 1:
        return None
    try:
        first = local.replace(tzinfo=None, fold=0, year=year, month=month + 1, day=1)
        wanted = first + timedelta(days=local.day - 1 - span.days)
        seconds = (wanted - _EPOCH).total_seconds()
        return _from_local(seconds, zone) - 3600 * span.hours
    except (OverflowError, ValueError):
        return None


def _from_local(seconds: float, zone: ZoneInfo) -> float:
    """Epoch seconds of a local time that is given as if it were UTC."""
    offset = _offset(seconds, zone)
    if offset and _offset(seconds - offset, zone) != offset:
        offset = _offset(seconds - offset, zone)
    return seconds - offset


def _offset(at: float, zone: ZoneInfo) -> float:
    """Seconds by which the zone is ahead of UTC at that moment."""
    told = datetime.fromtimestamp(at, UTC).astimezone(zone).utcoffset()
    return 0.0 if told is None else told.total_seconds()
