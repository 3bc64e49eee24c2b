"""How many more open jobs a group or an availability zone may have: the same for both journals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from vbsbatch.model import Limits

ANY = "*"
"""In `Limits.per_az`: each zone that is not named itself."""


class ConcurrencyCaps:
    """What one claim may still take, beside the jobs that are open already."""

    def __init__(
        self, limits: Limits, taken: Iterable[tuple[str | None, str | None, int]] = ()
    ) -> None:
        """`taken` are the open jobs as (group, zone, how many)."""
        self._per_group = limits.per_group
        self._per_az = dict(limits.per_az)
        self._groups: Counter[str] = Counter()
        self._azs: Counter[str] = Counter()
        for group, az, jobs in taken:
            self._add(group, az, jobs)

    def take(self, group: str | None, az: str | None) -> bool:
        """Make a job open; false when its group or its zone has no room for it."""
        if self._group_is_full(group) or self._az_is_full(az):
            return False
        self._add(group, az, 1)
        return True

    def full_groups(self) -> list[str]:
        """The groups that take no more."""
        return [group for group in self._groups if self._group_is_full(group)]

    def full_azs(self) -> list[str]:
        """The zones that take no more."""
        return [az for az in self._azs if self._az_is_full(az)]

    def _add(self, group: str | None, az: str | None, jobs: int) -> None:
        if group is not None:
            self._groups[group] += jobs
        if az is not None:
            self._azs[az] += jobs

    def _group_is_full(self, group: str | None) -> bool:
        cap = self._per_group
        return cap is not None and group is not None and self._groups[group] >= cap

    def _az_is_full(self, az: str | None) -> bool:
        cap = None if az is None else self._per_az.get(az, self._per_az.get(ANY))
        return cap is not None and az is not None and self._azs[az] >= cap
