"""The simulated cloud: one function from requests to answers.

No input or output, no sleeping, no clock of its own: the same seed, clock and requests give the
same answers. A server or an in-memory transport waits `delay` seconds and applies `fate`.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache
from typing import Any, Protocol

from vbsbatch.simulator import native_backups
from vbsbatch.simulator.call import Call, CallLog
from vbsbatch.simulator.fault_injection import (
    FORGETS,
    FaultBook,
    SlidingWindow,
    strike,
    strikes_first,
    throttled,
)
from vbsbatch.simulator.identity import Identity, SimToken, make_user
from vbsbatch.simulator.project_state import Project, SimBackup, SimVolume, new_id
from vbsbatch.simulator.routes import DISCOVERED, RequestTarget, discovery, find_place
from vbsbatch.simulator.scenario import Do, Fault, Kind, Scenario
from vbsbatch.simulator.service import Named, named_volume
from vbsbatch.simulator.services import SERVICES, has_gateway
from vbsbatch.simulator.signatures import KeyRing
from vbsbatch.simulator.wire import (
    Fate,
    SimReply,
    SimRequest,
    forgetful,
    gateway_error,
    load_json,
    openstack_fault,
)


class SimClock(Protocol):
    """The true time."""

    def now(self) -> float:
        """Seconds since the Unix epoch (UTC)."""
        ...


@dataclass(slots=True)
class _Arrival:
    """A request that arrived: where it leads, and what it would create."""

    request: SimRequest
    place: RequestTarget
    now: float
    content: Any
    volumes: tuple[str, ...]
    name: str | None
    fault: Fault | None = None
    token: SimToken | None = None


class SimulatedCloud:
    """Identity, block storage and backup service of one region with two projects.

    `project` is that of the users; `other` is another one, and empty.
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
        """Behave like this from now on; windows and counts of faults begin anew."""
        self.scenario = scenario
        self._faults = FaultBook(scenario.faults, self._rng, self.clock.now())
        self._window = SlidingWindow(scenario.limit) if scenario.limit else None

    def revoke_tokens(self) -> None:
        """Revoke every token that was issued so far."""
        self.identity.revoke_all(self.clock.now(), self.scenario.revoked_after)

    def handle(self, request: SimRequest) -> SimReply:
        """Answer one request. Its changes are committed now, even if the answer is lost."""
        now = self.clock.now()
        self.settle(now)
        arrival = self._receive(request, now)
        call: Call | None = None
        if strikes_first(arrival.fault) and not _is_skip(arrival):
            reply = self._strike(arrival, SimReply(200))
        else:
            reply, call = self._serve(arrival)
            if arrival.fault is not None and arrival.fault.commits:
                reply = self._strike(arrival, reply)
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
        volumes, name = _named(place, content)
        arrival = _Arrival(request, place, now, content, volumes, name)
        arrival.fault = self._faults.pick(
            place.kind, volumes, now, entries=native_backups.entries_asked(request)
        )
        if arrival.fault is not None and arrival.fault.do in FORGETS:
            arrival.request = forgetful(request, FORGETS[arrival.fault.do])
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
        prefix = f"/{place.service}" if place.service else ""
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
        gateway = place.owner is not None and place.owner.gateway
        if isinstance(token, str):
            return self.identity.refuse(request, token, self.scenario, gateway=gateway)
        arrival.token = token
        if token.project_id == place.parts[1]:
            return None
        if place.owner is not None:
            return place.owner.other_project()
        return openstack_fault(400, "Malformed request url")

    def _check_limit(self, arrival: _Arrival) -> SimReply | None:
        limit, window = self.scenario.limit, self._window
        wait = window.wait(arrival.place.kind, arrival.now) if window else None
        if limit is None or wait is None:
            return None
        headers = {"retry-after": str(int(wait) + 1)} if limit.retry_after else {}
        return throttled(f"{limit.count},time:{_unit(limit.per)}", self._request_id(), headers)

    def _no_such_path(self, place: RequestTarget) -> SimReply:
        if place.known:
            return openstack_fault(405, "The method is not allowed for this resource.")
        if place.service in DISCOVERED or not has_gateway(self.scenario.services):
            return openstack_fault(404, "The resource could not be found.")
        message = "The API does not exist or has not been published in the environment"
        return gateway_error(404, "APIG.0101", message, self._request_id())

    def _strike(self, arrival: _Arrival, reply: SimReply) -> SimReply:
        service = arrival.place.owner or SERVICES[0]
        return strike(arrival.fault, reply, arrival.request, service, self._request_id)

    def _finish(self, reply: SimReply, arrival: _Arrival) -> None:
        """Add the headers that every answer has, and the time that it takes."""
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
            made = {each.volume.id: each for each in call.made} if call else {}
            for volume_id in dict.fromkeys([*arrival.volumes, *made]) or (None,):
                self._write_create(arrival, volume_id, made.get(volume_id or ""), reply)
        elif backup is not None and kind is Kind.DELETE:
            self.ledger.note("delete", arrival.now, volume=backup.volume.id, backup=backup.id)
        elif backup is not None and call is not None and kind is Kind.RESTORE:
            self.ledger.note(
                "restore",
                arrival.now,
                volume=arrival.volumes[0],
                backup=backup.id,
                job=call.job_id,
            )

    def _write_create(
        self, arrival: _Arrival, volume_id: str | None, backup: SimBackup | None, reply: SimReply
    ) -> None:
        answered = reply.fate is Fate.ANSWER
        unseen = not answered and strikes_first(arrival.fault)
        self.ledger.note(
            "create",
            arrival.now,
            volume=volume_id,
            request=self.ledger.calls[Kind.CREATE.value],
            name=arrival.name,
            outcome="accepted" if backup else "unseen" if unseen else "refused",
            status=reply.status if answered else None,
            code=_code(reply.body) if answered and backup is None else None,
            fate=reply.fate.value,
            backup=backup.id if backup else None,
            job=backup.job_id if backup else None,
        )

    def add_backup(
        self,
        volume_id: str,
        name: str,
        *,
        status: str = "available",
        age: float = 86400.0,
        vault_id: str | None = None,
    ) -> str:
        """Add a finished backup as if it was made `age` seconds ago; returns its id.

        `status` is `available` or `error`. It belongs to no create of the ledger. Lists show the
        last addition first: add the oldest first.
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
            vault_id=vault_id,
            seeded=True,
        )
        self.project.add(backup)
        return backup.id

    def live_backups(self) -> dict[str, list[str]]:
        """Backups of the ledger's creates that are or will be available, by volume."""
        now = self.clock.now()
        found: dict[str, list[str]] = {}
        for backup in self.project.order:
            if backup.live(now) and not backup.seeded:
                found.setdefault(backup.volume.id, []).append(backup.id)
        return found

    def summary(self) -> dict[str, Any]:
        """The ledger in numbers; `lost` and `duplicates` count volumes.

        `lost`: a create was accepted, and there is no available backup. `duplicates`: there are
        several.
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


def _named(place: RequestTarget, content: object) -> Named:
    """The volumes and the name in the body of a create or a restore."""
    if place.kind is Kind.CREATE and place.owner is not None:
        return place.owner.named(content)
    word = {Kind.CREATE: "backup", Kind.RESTORE: "restore"}.get(place.kind)
    wanted = content.get(word) if isinstance(content, dict) else None
    return named_volume({"backup": wanted})


def _is_skip(arrival: _Arrival) -> bool:
    """Whether the service itself refuses the volumes of the fault, and accepts the others."""
    fault, owner = arrival.fault, arrival.place.owner
    if fault is None or owner is None or not owner.skips:
        return False
    return fault.do is Do.STATUS and fault.volumes is not None and fault.code is not None


def _forbidden(place: RequestTarget) -> SimReply:
    if place.owner is not None:
        return place.owner.not_allowed()
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
