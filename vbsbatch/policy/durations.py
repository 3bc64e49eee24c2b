"""How long backups take: learnt from those that ended and from those that still run. Pure.

A life table: ages lie in intervals that grow by `RATIO`, and in each interval the ends that were
seen are divided by the time that backups spent in it. So backups that still run count for the ages
that they have reached, and the first ends of a night do not make all backups look short. Where
nothing was seen, an end is as likely between one minute and two as between one hour and two.
"""

from __future__ import annotations

import math
import operator
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from vbsbatch.model import Backup

RATIO = 1.02
FIRST = 1.0
BINS = 630
"""Intervals of ages: 0 to 1 s, then each 2 % longer than the one before, up to three days."""

EDGES = (0.0, *(FIRST * RATIO**n for n in range(BINS)))
LENGTHS = tuple(high - low for low, high in pairwise(EDGES))
_PRIOR = tuple(1.0 / max(low, FIRST) for low in EDGES[:-1])
"""Ends per second of a backup of that age, before anything was seen."""

_BLUR = 0.02, 0.15
"""An end counts for the ages around it too, since no two backups take equally long: for this share
of its age at least and at most, as far as the ends so far differ."""
_FEW = 0.05
"""The least of it while few ends were seen."""

_UNSEEN = 0.1
"""How many backups what is expected before anything was seen weighs as much as."""

_ALIKE = 3.0
"""A class of backups that has no ends of its own is taken to be like all; this many of its own
backups weigh as much as that."""

ENOUGH = 3
"""With fewer ends than this nobody is told how long backups take."""

SAMPLES = 200
"""How many of the cloud's newest backups count."""

LONGEST = 2 * 86400.0
"""A backup that seems to have taken longer was changed long after it was made."""

Kind = tuple[bool | None, int | None]
"""Full or incremental, and the size class: the power of two above the GB; None where not known."""


def kind_of(full: bool | None, size: int | None) -> Kind:
    """The class of backups that one belongs to."""
    return full, None if size is None else size.bit_length()


def took(backups: Iterable[Backup]) -> list[tuple[float, int | None]]:
    """Seconds and GB of the newest finished backups, as far as the cloud tells their times."""
    found = []
    for backup in backups:
        if backup.status != "available" or backup.created_at is None or backup.updated_at is None:
            continue
        seconds = float(backup.updated_at) - float(backup.created_at)
        if 0 < seconds <= LONGEST:
            found.append((seconds, backup.size))
        if len(found) == SAMPLES:
            break
    return found


def interval(age: float) -> int:
    """The index of the interval in which an age lies."""
    if age < FIRST:
        return 0
    return min(1 + int(math.log(age / FIRST) / math.log(RATIO)), BINS - 1)


class Durations:
    """The ends that were seen, by class."""

    def __init__(self) -> None:
        self._ends: dict[Kind, Counter[int]] = {}
        self._before: dict[Kind, Counter[int]] = {}
        self.seen = 0
        """Ends of this run."""
        self.told = 0
        """Backups of the cloud from before the run."""

    def ended(self, seconds: float, kind: Kind) -> None:
        """Record that a backup of the run ended after so many seconds."""
        self._ends.setdefault(kind, Counter())[interval(seconds)] += 1
        self.seen += 1

    def told_before(self, backups: Iterable[Backup]) -> None:
        """Take the cloud's newest backups for what to expect, until ends of this run are known."""
        for seconds, size in took(backups):
            self._before.setdefault(kind_of(None, size), Counter())[interval(seconds)] += 1
            self.told += 1

    @property
    def enough(self) -> bool:
        """Whether enough is known to tell a person how long something will take."""
        return self.seen >= ENOUGH or (not self.seen and self.told >= ENOUGH)

    @property
    def spread(self) -> float:
        """Standard deviation of the durations that were seen, as a share of their mean; 1 where
        none were."""
        known = _sum((self._ends if self.seen >= ENOUGH else self._before).values())
        total = known.total()
        if total < ENOUGH:
            return 1.0
        middles = {at: EDGES[at] + LENGTHS[at] / 2 for at in known}
        mean = sum(middles[at] * count for at, count in known.items()) / total
        square = sum((middles[at] - mean) ** 2 * count for at, count in known.items()) / total
        return math.sqrt(square) / mean

    def curves(self, running: Iterable[tuple[Kind, float]]) -> Curves:
        """What is to be expected, with class and age of the backups that still run."""
        ends = {kind: Counter(found) for kind, found in self._ends.items()}
        if self.seen < ENOUGH:
            for kind, found in self._before.items():
                ends.setdefault(kind, Counter()).update(found)
        ages: dict[Kind, Counter[int]] = {}
        for kind, age in running:
            ages.setdefault(kind, Counter())[interval(age)] += 1
        blur = self._blur()
        every_end, every_age = _sum(ends.values()), _sum(ages.values())
        whole = _curve(every_end, every_age, UNSEEN, _UNSEEN, blur)
        none: Counter[int] = Counter()
        kinds = {
            kind: _curve(found, ages.get(kind, none), whole, _ALIKE, blur)
            for kind, found in ends.items()
            if found.total() >= ENOUGH
        }
        longest = max(every_end.keys() | every_age.keys(), default=BINS - 1)
        return Curves(whole=whole, kinds=kinds, longest=EDGES[longest + 1])

    def _blur(self) -> Sequence[tuple[int, float]]:
        """For how much an end counts in the intervals around its own."""
        seen = self.seen or self.told
        least = _BLUR[0] if seen >= 4 * ENOUGH else _FEW
        share = min(max(self.spread * max(seen, 1) ** -0.2, least), _BLUR[1])
        steps = max(1, round(share / (RATIO - 1)))
        weights = [steps + 1 - abs(step) for step in range(-steps, steps + 1)]
        return [(step - steps, weight / sum(weights)) for step, weight in enumerate(weights)]


def _sum(counters: Iterable[Counter[int]]) -> Counter[int]:
    total: Counter[int] = Counter()
    for each in counters:
        total.update(each)
    return total


@dataclass(frozen=True, slots=True)
class Curve:
    """The hazard summed up to each edge of the intervals."""

    summed: tuple[float, ...]

    def at(self, age: float) -> float:
        """The hazard summed up to an age."""
        if age <= 0:
            return 0.0
        if age >= EDGES[-1]:
            return self.summed[-1]
        n = interval(age)
        low, high = self.summed[n], self.summed[n + 1]
        return low + (high - low) * (age - EDGES[n]) / LENGTHS[n]

    def age_at(self, total: float) -> float:
        """The age at which the hazard sums up to `total`, the longest age at most."""
        n = min(bisect_right(self.summed, total) - 1, BINS - 1)
        low, high = self.summed[n], self.summed[n + 1]
        part = 1.0 if high <= low else (total - low) / (high - low)
        return EDGES[n] + LENGTHS[n] * min(part, 1.0)


UNSEEN = Curve((0.0, *accumulate(map(operator.mul, _PRIOR, LENGTHS))))
"""Before anything was seen."""


def _curve(
    ends: Counter[int],
    ages: Counter[int],
    prior: Curve,
    weight: float,
    blur: Sequence[tuple[int, float]],
) -> Curve:
    """What these ends and ages tell; `weight` backups are as `prior` says."""
    events: dict[int, float] = {}
    for at, count in ends.items():
        for step, share in blur:
            near = min(max(at + step, 0), BINS - 1)
            events[near] = events.get(near, 0.0) + share * count
    top = max(events.keys() | ages.keys(), default=-1)
    parts = [0.0] * (top + 1)
    beyond = 0  # backups that passed through the interval
    for at in range(top, -1, -1):
        here = ends.get(at, 0) + ages.get(at, 0)
        # Backups in the interval, each for half of it; a hazard times its length has no unit.
        exposed = beyond + here / 2 + weight
        expected = prior.summed[at + 1] - prior.summed[at]
        parts[at] = (events.get(at, 0.0) + weight * expected) / exposed
        beyond += here
    known = [0.0, *accumulate(parts)]
    offset = known[-1] - prior.summed[top + 1]
    return Curve((*known, *[offset + each for each in prior.summed[top + 2 :]]))


@dataclass(frozen=True, slots=True)
class Curves:
    """What is to be expected of backups of each class, and of those of no known class."""

    whole: Curve
    kinds: Mapping[Kind, Curve]
    longest: float
    """No backup was seen to take longer, nor runs for longer."""

    def of(self, kind: Kind) -> Curve:
        """The curve of a class."""
        return self.kinds.get(kind, self.whole)

    def quantile(self, kind: Kind, share: float, age: float = 0.0) -> float:
        """The duration that `share` of the backups that reached `age` do not exceed; never far
        beyond what was seen."""
        curve = self.of(kind)
        found = curve.age_at(curve.at(age) - math.log1p(-share))
        return max(age, min(found, self.longest))

    def mean(self) -> float:
        """The usual duration of all classes, without the rarest tenth: in seconds."""
        shares = [0.05 * n + 0.025 for n in range(18)]
        return sum(self.whole.age_at(-math.log1p(-share)) for share in shares) / len(shares)
