"""The simulated cloud: one function from requests to answers, over state that follows the time.

No input or output, no sleeping, no clock of its own: the same seed, clock and requests give the
same answers. Whoever carries the answer (a server, an in-memory transport) waits `delay` seconds
and lets `fate` happen.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache
from typing import Any, Protocol

from vbsbatch.simulator import native_backups, vbs
from vbsbatch.simulator.call import Call
from vbsbatch.simulator.call_log import CallLog
from vbsbatch.simulator.fault_injection import FaultBook, SlidingWindow
from vbsbatch.simulator.identity import Identity, SimToken, make_user
from vbsbatch.simulator.project_state import Project, SimBackup, SimVolume, new_id, read_id
from vbsbatch.simulator.routes import DISCOVERED, RequestTarget, discovery, find_place
from vbsbatch.simulator.scenario import Do, Fault, Kind, Scenario, Services
from vbsbatch.simulator.signatures import KeyRing
from vbsbatch.simulator.wire import (
    Fate,
    SimReply,
    SimRequest,
    bomb,
    forgetful,
    gateway_error,
    load_json,
    openstack_fault,
    vbs_error,
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

_FORGETS = {
    Do.NO_MARKER: frozenset({"marker"}),
    Do.NO_PAGING: frozenset({"marker", "offset"}),
}
"""What of a query a list ignores."""

_WANTED = {Kind.CREATE: "backup", Kind.RESTORE: "restore"}
"""What the body of a request speaks of that is about one volume."""
_PROXY_PAGE = (
    b"<html><head><title>Bad Gateway</title></head><body><h1>Bad Gateway</h1></body></html>"
)


class SimClock(Protocol):
    """The true time."""

    def now(self) -> float:
        """Seconds since the Unix epoch (UTC)."""
        ...


@dataclass(slots=True)
class _Arrival:
    """A request on arrival: where it leads and what it would create."""

    request: SimRequest
    place: RequestTarget
    now: float
    content: Any
    volume_id: str | None
    name: str | None
    fault: Fault | None = None
    token: SimToken | None = None


class SimulatedCloud:
    """Identity, block storage and backup service of one region with two projects.

    `project` is the one that the users work in; `other` is somebody else's and empty.
    """

    def __init__(
        self,
        scenario: Scenario,
        clock: SimClock,
        seed: int = 1,
        *,
        volumes: Iterable[SimVolume] = (),
    ) -> None:
        self.clock = clock
        self.start = clock.now()
        self.ledger = CallLog()
        self._rng = random.Random(f"cloud {seed}")
        names = random.Random(f"projects {seed}")
        self.project = Project(f"{names.getrandbits(128):032x}", "simulator", volumes)
        self.other = Project(f"{names.getrandbits(128):032x}", "other")
        self.operator = make_user("operator", "member", seed)
        self.reader = make_user("reader", "reader", seed)
        projects = {project.id: project.name for project in (self.project, self.other)}
        users = (self.operator, self.reader)
        self.identity = Identity(
            projects, users, KeyRing(self.operator.id, seed), self._rng, self.ledger
        )
        self.change(scenario)

    def change(self, scenario: Scenario) -> None:
        """Behave like this from now on; windows and counts of faults start anew."""
        self.scenario = scenario
        self._faults = FaultBook(scenario.faults, self._rng, self.clock.now())
        self._window = SlidingWindow(scenario.limit) if scenario.limit else None

    def revoke_tokens(self) -> None:
        """No token that was issued so far is good any more."""
        self.identity.revoke_all(self.clock.now(), self.scenario.revoked_after)

    def handle(self, request: SimRequest) -> SimReply:
        """Answer one request. What it changes is committed now, whatever becomes of the answer."""
        now = self.clock.now()
        self.settle(now)
        arrival = self._receive(request, now)
        call: Call | None = None
        if _struck_first(arrival.fault):
            reply = self._strike(arrival.fault, SimReply(200), request)
        else:
            reply, call = self._serve(arrival)
            if arrival.fault is not None and arrival.fault.commits:
                reply = self._strike(arrival.fault, reply, request)
        self._finish(reply, arrival)
        self._write_down(arrival, call, reply)
        return reply

    def settle(self, now: float) -> None:
        """Write the ends of all backups up to `now` into the ledger."""
        for project in (self.project, self.other):
            for backup in project.ended(now):
                self.ledger.backup_over()
                self.ledger.note(
                    "ended",
                    backup.ends_at,
                    volume=backup.volume.id,
                    backup=backup.id,
                    job=backup.job_id,
                    status=backup.outcome,
                    code=backup.code,
                )

    def _receive(self, request: SimRequest, now: float) -> _Arrival:
        place = find_place(request, self.scenario.services)
        self.ledger.count(place.kind)
        content = load_json(request.body) if request.method == "POST" else None
        word = _WANTED.get(place.kind)
        wanted = content.get(word) if isinstance(content, dict) else None
        wanted = wanted if isinstance(wanted, dict) else {}
        volume_id = read_id(wanted.get("volume_id")) or wanted.get("volume_id")
        arrival = _Arrival(request, place, now, content, volume_id, wanted.get("name"))
        known_id = volume_id if isinstance(volume_id, str) else None
        arrival.fault = self._faults.pick(
            place.kind, known_id, now, entries=native_backups.entries_asked(request)
        )
        if arrival.fault is not None and arrival.fault.do in _FORGETS:
            arrival.request = forgetful(request, _FORGETS[arrival.fault.do])
        if arrival.fault is not None and arrival.fault.do is Do.REVOKE:
            self.identity.revoke_all(now, self.scenario.revoked_after)
        elif arrival.fault is not None and arrival.fault.do is Do.REVOKE_KEYS:
            self.identity.keys.revoke_all()
        return arrival

    def _serve(self, arrival: _Arrival) -> tuple[SimReply, Call | None]:
        request, place, now = arrival.request, arrival.place, arrival.now
        if place.service == "identity":
            refusal = self._check_limit(arrival)
            return refusal or self.identity.handle(request, place.parts, now, self.scenario), None
        if place.service in DISCOVERED and len(place.parts) < 2:
            return discovery(request, place, self.scenario), None
        if place.route is None:
            return self._no_such_path(place), None
        refusal = self._check_token(arrival) or self._check_limit(arrival)
        refusal = refusal or native_backups.check_version(request, self.scenario)
        if refusal is not None:
            return refusal, None
        call = self._call(arrival)
        if call.reader and place.route.changes:
            return _forbidden(place), None
        return place.route.handler(call), call

    def _call(self, arrival: _Arrival) -> Call:
        request, place = arrival.request, arrival.place
        prefix = f"/{place.service}" if place.service in DISCOVERED else ""
        return Call(
            request=request,
            now=arrival.now,
            project=self.project if place.parts[1] == self.project.id else self.other,
            scenario=self.scenario,
            rng=self._rng,
            ledger=self.ledger,
            start=self.start,
            version=place.parts[0],
            root=request.base + prefix,
            target=place.target,
            reader=arrival.token is not None and arrival.token.user is self.reader,
            content=arrival.content,
            fault=arrival.fault,
        )

    def _check_token(self, arrival: _Arrival) -> SimReply | None:
        request, place = arrival.request, arrival.place
        token = self.identity.proved(request, arrival.now, self.scenario)
        gateway = place.service == "vbs"
        if isinstance(token, str):
            return self.identity.refuse(request, token, self.scenario, gateway=gateway)
        arrival.token = token
        if token.project_id == place.parts[1]:
            return None
        if gateway:
            return vbs.refuse("VolumeBackup.0042", 403)
        return openstack_fault(400, "Malformed request url")

    def _check_limit(self, arrival: _Arrival) -> SimReply | None:
        limit, window = self.scenario.limit, self._window
        wait = window.wait(arrival.place.kind, arrival.now) if window else None
        if limit is None or wait is None:
            return None
        headers = {"retry-after": str(int(wait) + 1)} if limit.retry_after else {}
        return self._throttled(f"limit:{limit.count},time:{_unit(limit.per)}", headers)

    def _throttled(self, limit: str, headers: dict[str, str]) -> SimReply:
        message = f"The throttling threshold has been reached: policy user over ratelimit,{limit}"
        return gateway_error(429, "APIG.0308", message, self._request_id(), headers)

    def _no_such_path(self, place: RequestTarget) -> SimReply:
        if place.known:
            return openstack_fault(405, "The method is not allowed for this resource.")
        if place.service in DISCOVERED or self.scenario.services is Services.CINDER:
            return openstack_fault(404, "The resource could not be found.")
        message = "The API does not exist or has not been published in the environment"
        return gateway_error(404, "APIG.0101", message, self._request_id())

    def _strike(self, fault: Fault | None, reply: SimReply, request: SimRequest) -> SimReply:
        """What a fault makes of an answer."""
        if fault is None:
            return reply
        named = fault.retry_after is not None and fault.retry_after_key is None
        headers = {"retry-after": fault.retry_after or ""} if named else {}
        match fault.do:
            case Do.STATUS:
                return self._stated(fault, headers)
            case Do.THROTTLE if fault.message is None and fault.code is None:
                return self._throttled("limit:50,time:1 second", headers)
            case Do.THROTTLE:
                message = fault.message or "The throttling threshold has been reached"
                code = fault.code or "APIG.0308"
                return gateway_error(429, code, message, self._request_id(), headers)
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

    def _stated(self, fault: Fault, headers: dict[str, str]) -> SimReply:
        status, code = fault.status or 503, fault.code
        message = fault.message or vbs.MEANINGS.get(code or "", "The service is unavailable.")
        if code is None:
            reply = openstack_fault(status, message, headers)
            return with_key(reply, fault.retry_after_key, fault.retry_after)
        if code.startswith("APIG"):
            return gateway_error(status, code, message, self._request_id(), headers)
        reply = vbs_error(status, code, message)
        reply.headers.update(headers)
        return reply

    def _finish(self, reply: SimReply, arrival: _Arrival) -> None:
        """Add the headers that every answer carries, and the time it takes."""
        reply.headers.setdefault("content-type", "application/json")
        ahead = self.scenario.ahead(arrival.now - self.start)
        reply.headers["date"] = _http_date(int(arrival.now + ahead))
        reply.headers["x-request-id"] = self._request_id()
        if arrival.place.service in DISCOVERED:
            reply.headers["x-openstack-request-id"] = "req-" + new_id(self._rng)
        low, high = self.scenario.latency
        reply.delay += low if low == high else self._rng.uniform(low, high)
        if arrival.fault is not None and arrival.fault.delay != (0.0, 0.0):
            reply.delay += self._rng.uniform(*arrival.fault.delay)

    def _request_id(self) -> str:
        return f"{self._rng.getrandbits(128):032x}"

    def _write_down(self, arrival: _Arrival, call: Call | None, reply: SimReply) -> None:
        kind, backup = arrival.place.kind, call.backup if call else None
        if kind is Kind.CREATE:
            self._write_create(arrival, backup, reply)
        elif backup is not None and kind is Kind.DELETE:
            self.ledger.note("delete", arrival.now, volume=backup.volume.id, backup=backup.id)
        elif backup is not None and call is not None and kind is Kind.RESTORE:
            self.ledger.note(
                "restore",
                arrival.now,
                volume=arrival.volume_id,
                backup=backup.id,
                job=call.job_id,
            )

    def _write_create(self, arrival: _Arrival, backup: SimBackup | None, reply: SimReply) -> None:
        answered = reply.fate is Fate.ANSWER
        unseen = not answered and _struck_first(arrival.fault)
        self.ledger.note(
            "create",
            arrival.now,
            volume=arrival.volume_id,
            name=arrival.name,
            outcome="accepted" if backup else "unseen" if unseen else "refused",
            status=reply.status if answered else None,
            code=_code(reply.body) if answered and backup is None else None,
            fate=reply.fate.value,
            backup=backup.id if backup else None,
            job=backup.job_id if backup else None,
        )

    def add_backup(
        self, volume_id: str, name: str, *, status: str = "available", age: float = 86400.0
    ) -> str:
        """Put a finished backup there as if made `age` seconds ago; returns its id.

        `status` is `available` or `error`. It belongs to no create of the ledger. Lists show the
        newest addition first: add the oldest first.
        """
        at = self.clock.now() - age
        backup = SimBackup(
            id=new_id(self._rng),
            seq=len(self.project.order),
            name=name,
            volume=self.project.volumes[volume_id],
            created_at=at,
            visible_at=at,
            ends_at=at,
            outcome=status,
            seeded=True,
        )
        self.project.add(backup)
        return backup.id

    def live_backups(self) -> dict[str, list[str]]:
        """Backups that the ledger's creates made and that are or will be good, by volume."""
        now = self.clock.now()
        found: dict[str, list[str]] = {}
        for backup in self.project.order:
            if backup.live(now) and not backup.seeded:
                found.setdefault(backup.volume.id, []).append(backup.id)
        return found

    def summary(self) -> dict[str, Any]:
        """The ledger in figures; `lost` and `duplicates` count volumes.

        `lost`: a create was accepted, yet there is no good backup. `duplicates`: more than one.
        """
        self.settle(self.clock.now())
        creates = self.ledger.of("create")
        accepted = {row["volume"] for row in creates if row["outcome"] == "accepted"}
        live = self.live_backups()
        return {
            "volumes": len(self.project.volumes),
            "backed_up": len(live),
            "lost": len(accepted - set(live)),
            "duplicates": sum(len(backups) > 1 for backups in live.values()),
            "creates": len(creates),
            "accepted": sum(row["outcome"] == "accepted" for row in creates),
            "running": self.ledger.running,
            "peak_running": self.ledger.peak_running,
            "calls": dict(sorted(self.ledger.calls.items())),
        }


def _struck_first(fault: Fault | None) -> bool:
    return fault is not None and fault.do not in _HARMLESS and not fault.commits


def _redirected(fault: Fault, request: SimRequest) -> SimReply:
    to = fault.to or "/elsewhere"
    if to.endswith("/"):
        to += request.path.lstrip("/")
    return SimReply(fault.status or 302, b"", {"location": to})


def _forbidden(place: RequestTarget) -> SimReply:
    if place.service == "vbs":
        return vbs.refuse("VolumeBackup.0042", 403)
    return openstack_fault(403, "Policy does not allow this request to be performed.")


def _unit(per: float) -> str:
    return {1.0: "1 second", 60.0: "1 minute"}.get(per, f"{per:g} second")


def _code(body: bytes) -> str | None:
    content = load_json(body)
    if not isinstance(content, dict):
        return None
    error = content.get("error")
    code = error.get("code") if isinstance(error, dict) else content.get("error_code")
    return code if isinstance(code, str) else None


@lru_cache(maxsize=64)
def _http_date(at: int) -> str:
    return formatdate(at, usegmt=True)
