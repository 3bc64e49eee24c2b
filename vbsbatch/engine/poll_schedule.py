"""When to read the cloud's list next, for what it is worth. Pure arithmetic.

A backup that has ended and was not seen yet keeps a place from the next volume. What that costs is
place-seconds: how many places may stand empty, summed up over the time since the last look. What a
look costs is a price in the same unit:

    price = 2 x places x mean duration x (idle share x pages of a look) ^ 2

With ends that are spread evenly, looks for that price leave each place empty for the idle share of
its time, see `_IDLE`. The next look is when it costs least for each place that it frees, the lost
place-seconds included; so it comes right after ends that lie close together.

Where nothing waits for a place, only people wait: an end is seen 10 s late at most, or a fiftieth
of the backup's age. The last end of a wave or of the run is seen sooner: all places wait for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from vbsbatch.engine.tuning import Tuning
from vbsbatch.model import Polling
from vbsbatch.policy.durations import ENOUGH, Curves, Durations, Kind

_IDLE = 0.058
"""The share of its time that a place may stand empty because its end was not seen, in a run with 50
places whose backups take ten minutes."""
_LONG, _MANY = (0.25, 0.4), 0.15
"""It grows with this power of longer durations, and with the second of shorter ones, and with the
third of the places: nights of short backups and of few places may spend more looks on each."""

_CALLS, _SHARED, _FREE = 0.1, 15.0, 20.0
"""The most pages: this many per create, this many more per create that all places share, and this
many that no create pays for. A look costs more from `_NEARLY` of that on: by the power `_SLOWER` of
the excess."""
_NEARLY, _SLOWER = 0.8, 4.0

_FACTOR = {Polling.EAGER: 2.0, Polling.NORMAL: 1.0, Polling.SPARING: 0.5}
"""Looks, compared with normal."""

_GROWTH, _GROWTH_TOLD = 0.4, 0.6
"""Before a backup of the run has ended, and none tells a percentage: looks at ages that grow by
this, or by the second where the cloud's earlier backups tell what to expect."""
_YOUNG = 8.0
"""Until this age, in seconds, they double."""

_STRAGGLER = 0.1
"""No single place is kept empty for longer than this share of the mean duration: where many backups
are in step, the one that is late makes the night longer."""

_UNTOLD, _ALIKE = 1.1, 0.78
"""Without percentages a look at backups that are alike finds less, and is so much rarer: which of
them ends next is not known. They are alike where they need less than this share of looks."""

_QUIET = 2.0
"""Where percentages are told, looks are never further apart than the mean duration divided by this:
each makes the next percentages tell more."""

_LATE, _FOR_PEOPLE = 10.0, 50.0
"""Where only people wait, an end is seen this many seconds late, where backups take
longer than that, or by the backup's age divided by the second number."""
_PATIENT = 3.0
"""By how much more at most, in a run that has used up its pages."""
_BLIND = 0.04
"""While nothing is known and something waits: by this share of the age, at most."""

_PROBABLE = 0.4
"""People are served from when this many ends are to be expected."""

_TRUST = 0.02
"""How much a percentage is believed where no backup has taken as long as it says."""


@dataclass(frozen=True, slots=True)
class RunningBackup:
    """A backup that runs, as it was at the last look."""

    kind: Kind
    age: float
    """Seconds since its create; negative for one that was sent after the last look."""
    low: float = 0.0
    high: float = math.inf
    """Between which durations its own lies, as far as percentages tell it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Demand:
    """What waits for a backup to end."""

    in_flight: int
    """How many backups may run at a time."""
    places: int = 0
    """How many volumes could begin, if as many places were free."""
    after: float = 0.0
    """Seconds from the last look until the places that are free already are used up."""
    rounds: float = 1.0
    """How often all places are filled in the run."""
    gate: int = 0
    """How many places stand empty once all running backups have ended: for the next wave, or for
    the end of the run."""


class PollSchedule:
    """Learns how long this run's backups take, and says when a look is worth its call."""

    def __init__(self, tuning: Tuning, polling: Polling = Polling.NORMAL) -> None:
        self.durations = Durations()
        self.curves = self.durations.curves([])
        """What was to be expected when the next look was planned last."""
        self._tuning = tuning
        self._factor = _FACTOR[polling]
        self._pages = 0
        self._looks = 0

    def page_read(self, calls: int = 1) -> None:
        """Record that one page of the list was read, with so many requests."""
        self._pages += calls

    def looked(self) -> None:
        """Record that a look is over."""
        self._looks += 1

    def next(self, running: Sequence[RunningBackup], demand: Demand, *, creates: int) -> float:
        """Seconds from the last look to the next. `creates`: those of this engine so far."""
        if not running:
            return self._tuning.stale
        self.curves = self.durations.curves((backup.kind, backup.age) for backup in running)
        expected = Expectation(running, self.durations, self.curves)
        worn = self._worn(creates, demand)
        alike = self._in_step(demand.rounds)
        untold = 1.0 if expected.percentages or alike > _ALIKE else _UNTOLD
        price = self._price(expected.usual, demand) * (untold * worn / alike) ** 2
        patience = min(worn, _PATIENT) / self._factor
        oldest = max(backup.age for backup in running)
        longest = max(self._tuning.stale, oldest / 20)
        if self.durations.seen < ENOUGH:
            told = self.durations.told or expected.percentages
            growth = _GROWTH_TOLD if told else _GROWTH
            grown = max(growth * oldest, min(oldest, _YOUNG)) / self._factor
            # No look is put off for long because a machine slept, whose ages are great then.
            share = growth if expected.percentages else _BLIND
            share = share if demand.places else patience / _FOR_PEOPLE
            longest = min(grown, max(self._tuning.stale, share * oldest))
        else:
            longest = max(longest, expected.usual / (_QUIET if expected.percentages else 1.0))
        if expected.blind and demand.places and not self.durations.told:
            found = longest
        elif demand.places and demand.after < expected.usual:
            found = expected.cheapest(price, demand, longest)
            found = min(
                found,
                expected.until_one(demand.after) + worn * untold**2 * _STRAGGLER * expected.usual,
            )
        else:
            found = expected.for_people(patience, longest)
        if demand.gate:
            found = expected.until_gate_lost(price * alike**2, demand.gate, found)
        return max(found, self._tuning.freshest)

    def _price(self, usual: float, demand: Demand) -> float:
        """What a look costs, in place-seconds."""
        length = min(math.pow(usual / 600, power) for power in _LONG)
        idle = _IDLE * length * math.pow(demand.in_flight / 50, _MANY) / self._factor
        pages = max(1.0, self._pages / max(self._looks, 1))
        return 2 * demand.in_flight * usual * (pages * idle) ** 2

    def _in_step(self, rounds: float) -> float:
        """The share of looks that backups need that take equally long.

        As long as they keep in step, many end at a time and none between.
        """
        spread = 3.5 * self.durations.spread * math.sqrt(rounds)
        return max(0.3, 0.8 * math.sqrt(min(1.0, spread)))

    def _worn(self, creates: int, demand: Demand) -> float:
        """1 while the pages are within what the creates pay for, more beyond."""
        paid = _FREE + (_CALLS + _SHARED / demand.in_flight) * creates
        return max(1.0, math.pow(self._pages / (_NEARLY * self._factor * paid), _SLOWER))


class _Group:
    """Running backups that are alike."""

    def __init__(self, backup: RunningBackup, curves: Curves) -> None:
        self.count = 0
        self._age = backup.age
        self._curve = curves.of(backup.kind)
        self.start = max(backup.age, backup.low, 0.0)
        self._high = backup.high if backup.high > self.start else math.inf
        self._at_start = self._curve.at(self.start)
        self._whole = -math.expm1(self._at_start - self._curve.at(self._high))

    @property
    def middle(self) -> float | None:
        """What percentages tell of its duration."""
        return None if math.isinf(self._high) else (self.start + self._high) / 2

    def ended(self, later: float) -> float:
        """The probability that one of them has ended `later` than the last look."""
        age = min(self._age + later, self._high)
        if age <= self.start:
            return 0.0
        by_age = -math.expm1(self._at_start - self._curve.at(age))
        if math.isinf(self._high):
            return by_age
        evenly = (age - self.start) / max(self._high - self.start, 0.1)
        return min((by_age + _TRUST * evenly) / (self._whole + _TRUST), 1.0)


class Expectation:
    """How many of the running backups have ended so long after the last look, as expected."""

    def __init__(
        self, running: Sequence[RunningBackup], durations: Durations, curves: Curves
    ) -> None:
        groups: dict[RunningBackup, _Group] = {}
        for backup in running:
            alike = _rounded(backup)
            if alike not in groups:
                groups[alike] = _Group(alike, curves)
            groups[alike].count += 1
        self._groups = tuple(groups.values())
        middles = [each.middle for each in self._groups if each.middle is not None]
        self.percentages = bool(middles)
        self.blind = not durations.seen and not middles
        """Nothing in this run has told yet how long its backups take."""
        usual = max(backup.age for backup in running)
        if durations.enough:
            usual = curves.mean()
        elif middles:
            usual = fmean(middles)
        self.usual = max(usual, 1.0)
        """How long a backup takes in the mean, as far as anything tells."""

    def ended(self, later: float) -> float:
        """How many."""
        return sum(group.count * group.ended(later) for group in self._groups)

    def all_ended(self, later: float) -> float:
        """The probability that none of them runs any more."""
        logs = (group.count * math.log(max(group.ended(later), 1e-9)) for group in self._groups)
        return math.exp(sum(logs))

    def cheapest(self, price: float, demand: Demand, most: float) -> float:
        """When a look costs least for each place that it frees, lost place-seconds included."""
        # The last volumes to begin end the night: each counts for its share of all places.
        worth = max(1.0, demand.in_flight / demand.places)
        best, found = math.inf, most
        at, before, lost = 0.0, 0.0, 0.0
        for then in _steps(most):
            freed = min(self.ended(then), demand.places) if then >= demand.after else 0.0
            lost += (then - at) * (before + freed) / 2 * worth
            at, before = then, freed
            cost = (lost + price) / freed if freed > 1e-6 else math.inf
            if cost < best:
                best, found = cost, then
        return found

    def until_one(self, after: float) -> float:
        """When one end is to be expected, and a volume can follow it."""
        return _first(lambda later: later >= after and self.ended(later) >= 0.5, self.usual)

    def until_gate_lost(self, price: float, gate: int, most: float) -> float:
        """When so many place-seconds are lost to a wave whose last backup has ended."""
        at, before, lost = 0.0, gate * self.all_ended(0.0), 0.0
        for then in _steps(most):
            now = gate * self.all_ended(then)
            lost += (then - at) * (before + now) / 2
            if lost >= price:
                return then
            at, before = then, now
        return most

    def for_people(self, patience: float, most: float) -> float:
        """When a person who watches has waited long enough for what is to be expected."""
        begins = _first(lambda later: self.ended(later) >= _PROBABLE, most)
        soon = begins + 10.0
        ages = [each.start for each in self._groups if each.ended(soon) >= _PROBABLE / 10]
        late = max(min(_LATE, self.usual), min(ages, default=0.0) / _FOR_PEOPLE)
        return min(begins + patience * late, most)


def _rounded(backup: RunningBackup) -> RunningBackup:
    """The same for backups that are alike: the age, and what is left, differ by 3 % at most."""
    age = _round(backup.age)
    low, high = (age + _round(max(each - backup.age, 0.0)) for each in (backup.low, backup.high))
    return RunningBackup(backup.kind, age, low, high)


def _round(seconds: float) -> float:
    if math.isinf(seconds):
        return seconds
    step = max(0.5, 2.0 ** math.floor(math.log2(max(abs(seconds), 1.0))) / 32)
    return round(seconds / step) * step


def _steps(most: float) -> list[float]:
    """Times at which a look may be: half a second apart at first, then each 5 % later."""
    found, at = [], 0.0
    while at < most:
        at = min(at + max(0.5, at * 0.05), most)
        found.append(at)
    return found


def _first(holds: Callable[[float], bool], most: float) -> float:
    """The last step before it holds; `most` where it never does."""
    at = 0.0
    for then in _steps(most):
        if holds(then):
            return at
        at = then
    return most
