"""Which fault strikes which request, and what it makes of the answer."""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Callable, Sequence

from vbsbatch.simulator.scenario import Do, Fault, GatewayLimit, Kind
from vbsbatch.simulator.service import SimService
from vbsbatch.simulator.wire import (
    Fate,
    SimReply,
    SimRequest,
    bomb,
    gateway_error,
    openstack_fault,
    with_key,
    with_nulls,
)

_FATES = {
    Do.DROP_BEFORE: Fate.DROP,
    Do.DROP_AFTER: Fate.DROP,
    Do.HANG: Fate.HANG,
    Do.HANG_AFTER: Fate.HANG,
    Do.REFUSE: Fate.REFUSE,
    Do.CUT: Fate.CUT,
    Do.ENDLESS: Fate.ENDLESS,
    Do.DRIP: Fate.DRIP,
}

_HARMLESS = frozenset({Do.REVOKE, Do.REVOKE_KEYS, Do.FAIL})
"""Faults that leave the answer to the service."""

FORGETS = {
    Do.NO_MARKER: frozenset({"marker"}),
    Do.NO_PAGING: frozenset({"marker", "offset"}),
}
"""What of a query a list ignores."""

_PROXY_PAGE = (
    b"<html><head><title>Bad Gateway</title></head><body><h1>Bad Gateway</h1></body></html>"
)


class FaultBook:
    """The faults of a scenario, and how often each has struck."""

    def __init__(self, faults: tuple[Fault, ...], rng: random.Random, since: float) -> None:
        self._faults = faults
        self._rng = rng
        self._since = since
        self._struck: Counter[tuple[int, str | None]] = Counter()

    def pick(
        self, kind: Kind, volumes: Sequence[str], now: float, *, entries: int | None = None
    ) -> Fault | None:
        """The first fault that strikes this request about `volumes`, which is counted.

        `entries` is how many entries a list is asked for.
        """
        for number, fault in enumerate(self._faults):
            struck = next((each for each in volumes if each in (fault.volumes or ())), None)
            counted = (number, struck)
            if not self._fits(fault, kind, struck, now):
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

    def _fits(self, fault: Fault, kind: Kind, struck: str | None, now: float) -> bool:
        if fault.on is not None and fault.on is not kind:
            return False
        if fault.do is Do.FAIL and kind not in (Kind.CREATE, Kind.RESTORE):
            return False
        if fault.volumes is not None and struck is None:
            return False
        window = fault.between
        return window is None or window[0] <= now - self._since < window[1]


class SlidingWindow:
    """The gateway's limit: no more than `count` passed requests in any `per` seconds."""

    def __init__(self, limit: GatewayLimit) -> None:
        self._limit = limit
        self._passed: deque[float] = deque()

    def wait(self, kind: Kind, now: float) -> float | None:
        """None when the request may pass, else the seconds until the next one may."""
        limit = self._limit
        if limit.on is not None and limit.on is not kind:
            return None
        while self._passed and self._passed[0] <= now - limit.per:
            self._passed.popleft()
        if len(self._passed) >= limit.count:
            return self._passed[0] + limit.per - now
        self._passed.append(now)
        return None


def strikes_first(fault: Fault | None) -> bool:
    """Whether a fault answers instead of the service, which never sees the request."""
    return fault is not None and fault.do not in _HARMLESS and not fault.commits


def strike(
    fault: Fault | None,
    reply: SimReply,
    request: SimRequest,
    service: SimService,
    request_id: Callable[[], str],
) -> SimReply:
    """What a fault makes of an answer; `service` has the codes and the envelope."""
    if fault is None:
        return reply
    named = fault.retry_after is not None and fault.retry_after_key is None
    headers = {"retry-after": fault.retry_after or ""} if named else {}
    match fault.do:
        case Do.STATUS:
            return _stated(fault, headers, service, request_id)
        case Do.THROTTLE if fault.message is None and fault.code is None:
            return throttled("50,time:1 second", request_id(), headers)
        case Do.THROTTLE:
            message = fault.message or "The throttling threshold has been reached"
            code = fault.code or "APIG.0308"
            return gateway_error(429, code, message, request_id(), headers)
        case Do.GARBAGE:
            return SimReply(fault.status or 200, b"\x1b[31m\x00{\xff" * 8, headers)
        case Do.HTML:
            headers["content-type"] = "text/html"
            return SimReply(fault.status or 502, _PROXY_PAGE, headers)
        case Do.REDIRECT:
            return _redirected(fault, request)
        case Do.BOMB:
            return SimReply(reply.status, bomb(), {"content-encoding": "gzip"})
        case Do.NULL:
            reply.body = with_nulls(reply.body)
            return reply
        case _:
            reply.every = fault.every
            reply.fate = _FATES.get(fault.do, Fate.ANSWER)
            return reply


def _stated(
    fault: Fault, headers: dict[str, str], service: SimService, request_id: Callable[[], str]
) -> SimReply:
    status, code = fault.status or 503, fault.code
    meaning = service.meanings.get(code or "", "The service is unavailable.")
    message = fault.message or meaning
    if code is None:
        reply = openstack_fault(status, message, headers)
        return with_key(reply, fault.retry_after_key, fault.retry_after)
    if code.startswith("APIG"):
        return gateway_error(status, code, message, request_id(), headers)
    reply = service.error(status, code, message)
    reply.headers.update(headers)
    return reply


def _redirected(fault: Fault, request: SimRequest) -> SimReply:
    to = fault.to or "/elsewhere"
    if to.endswith("/"):
        to += request.path.lstrip("/")
    return SimReply(fault.status or 302, b"", {"location": to})


def throttled(limit: str, request_id: str, headers: dict[str, str]) -> SimReply:
    """The gateway's refusal beyond a limit."""
    message = f"The throttling threshold has been reached: policy user over ratelimit,limit:{limit}"
    return gateway_error(429, "APIG.0308", message, request_id, headers)
