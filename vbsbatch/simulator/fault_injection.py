"""Which fault strikes which request: shares, windows and counts over one stream of requests."""

from __future__ import annotations

import random
from collections import Counter, deque

from vbsbatch.simulator.scenario import Do, Fault, GatewayLimit, Kind


class FaultBook:
    """The faults of a scenario with what they have struck so far."""

    def __init__(self, faults: tuple[Fault, ...], rng: random.Random, since: float) -> None:
        self._faults = faults
        self._rng = rng
        self._since = since
        self._struck: Counter[tuple[int, str | None]] = Counter()

    def pick(
        self, kind: Kind, volume_id: str | None, now: float, *, entries: int | None = None
    ) -> Fault | None:
        """The first fault that strikes this request, counted as having struck; `entries` is how
        many a list is asked for."""
        for number, fault in enumerate(self._faults):
            counted = (number, volume_id if fault.volumes else None)
            if not self._fits(fault, kind, volume_id, now):
                continue
            if fault.longer is not None and (entries is None or entries <= fault.longer):
                continue
            if fault.first is not None and self._struck[counted] >= fault.first:
                continue
            if fault.share < 1 and self._rng.random() >= fault.share:
                continue
            self._struck[counted] += 1
            return fault
        return None

    def _fits(self, fault: Fault, kind: Kind, volume_id: str | None, now: float) -> bool:
        if fault.on is not None and fault.on is not kind:
            return False
        if fault.do is Do.FAIL and kind not in (Kind.CREATE, Kind.RESTORE):
            return False
        if fault.volumes is not None and volume_id not in fault.volumes:
            return False
        window = fault.between
        return window is None or window[0] <= now - self._since < window[1]


class SlidingWindow:
    """The gateway's limit: no more than `count` passed requests in any `per` seconds."""

    def __init__(self, limit: GatewayLimit) -> None:
        self._limit = limit
        self._passed: deque[float] = deque()

    def wait(self, kind: Kind, now: float) -> float | None:
        """None when the request may pass, else in how many seconds the next one could."""
        limit = self._limit
        if limit.on is not None and limit.on is not kind:
            return None
        while self._passed and self._passed[0] <= now - limit.per:
            self._passed.popleft()
        if len(self._passed) >= limit.count:
            return self._passed[0] + limit.per - now
        self._passed.append(now)
        return None
