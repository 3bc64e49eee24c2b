"""Whether the way to the service is only blocked for the moment.

A gateway that reloads answers in the place of the service for some seconds: 404, 403, a page. At an
address where the service itself has answered, that proves nothing until it has gone on for a while.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

LASTS = 60.0
"""Seconds after which what stands in the way is taken for the answer."""

FIRST = 1.0
"""The same for a page where the service has never answered: one that is off shows nothing else."""

_OFTEN = 3  # answers within that time: one request in an hour proves nothing
_APART = 180.0  # seconds between two of them after which the time begins anew
_SHORTEST = 0.2  # seconds within which several answers are one
_COLLECTION = re.compile(r".*?/v[0-9.]+/[^/]+/[^/]+", re.ASCII)


@dataclass(slots=True)
class _Blocked:
    since: float
    last: float
    times: int = 1


class GatewayOutages:
    """What answered at which address (`GET /v3/…`) lately; `now` is our clock."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._worked: set[str] = set()
        self._worked_before = False
        self._blocked: dict[str, _Blocked] = {}

    def heard(self, address: str) -> None:
        """The service itself answered there: what lives beside it is reached by the same way."""
        self._blocked.pop(address, None)
        self._worked.add(_collection(address))

    def worked_before(self) -> None:
        """The service answered an earlier process at the same endpoint."""
        self._worked_before = True

    def passing(self, address: str, *, page: bool = False) -> bool:
        """Whether something else answered there that may be gone soon.

        A `page` is given a moment even where the service has never answered.
        """
        worked = self._worked_before or _collection(address) in self._worked
        patience = LASTS if worked else FIRST if page else 0.0
        return patience > 0 and not self._lasts(address, patience)

    def lasts(self, address: str) -> bool:
        """Whether the same refusal has been all that came from there for a while."""
        return self._lasts(address, LASTS)

    def _lasts(self, address: str, patience: float) -> bool:
        now = self._now()
        known = self._blocked.get(address)
        if known is None or not 0 <= now - known.last <= _APART:
            known = self._blocked[address] = _Blocked(now, now)
        elif now - known.last >= _SHORTEST:
            known.last, known.times = now, known.times + 1
        return known.times >= _OFTEN and now - known.since >= patience


def _collection(address: str) -> str:
    path = address.partition(" ")[2]
    found = _COLLECTION.match(path)
    return found[0] if found else path
