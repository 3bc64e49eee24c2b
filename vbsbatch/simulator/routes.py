"""Which request means what: the paths of all services, and who answers them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from vbsbatch.simulator import blockstorage, compute, native_backups
from vbsbatch.simulator.scenario import Kind, Scenario, Services
from vbsbatch.simulator.service import Route, Routes, SimService
from vbsbatch.simulator.services import SERVICES, has_gateway, offered
from vbsbatch.simulator.wire import SimReply, SimRequest, openstack_fault

_BLOCK_STORAGE: Routes = {
    ("GET", "backups"): Route(Kind.LIST, native_backups.list_backups),
    ("GET", "backups/detail"): Route(Kind.LIST, native_backups.list_backups),
    ("GET", "backups/*"): Route(Kind.BACKUP, native_backups.show),
    ("DELETE", "backups/*"): Route(Kind.DELETE, native_backups.delete, changes=True),
    ("POST", "backups/*/restore"): Route(Kind.RESTORE, native_backups.restore, changes=True),
    ("GET", "volumes"): Route(Kind.VOLUMES, blockstorage.list_volumes),
    ("GET", "volumes/detail"): Route(Kind.VOLUMES, blockstorage.list_volumes),
    ("GET", "volumes/*"): Route(Kind.VOLUMES, blockstorage.show),
    ("GET", "os-quota-sets/*"): Route(Kind.QUOTA, blockstorage.quota_set),
}

_COMPUTE: Routes = {
    ("GET", "servers"): Route(Kind.SERVERS, compute.list_servers, ("v2.1",)),
    ("GET", "servers/detail"): Route(Kind.SERVERS, compute.list_servers, ("v2.1",)),
    ("GET", "servers/*"): Route(Kind.SERVERS, compute.show, ("v2.1",)),
}

DISCOVERED = {"volume": ("v2", "v3"), "compute": ("v2.1",)}
"""Services with a document of their versions, and these versions."""

_ALL = {*_BLOCK_STORAGE, *_COMPUTE, *(key for each in SERVICES for key in each.routes)}
_SHAPES = frozenset(shape for _, shape in _ALL)
_PLACES = frozenset({"identity", "volume", "compute", *(each.place for each in SERVICES)})
_FIXED = frozenset({"detail", "quota"})


@dataclass(frozen=True, slots=True)
class RequestTarget:
    """Where a path leads: a service, the words behind its prefix, and the route if there is one."""

    service: str
    """`identity`, `volume`, `compute`, or the place of a backup service."""
    parts: list[str]
    """The words of the path behind the prefix of the service."""
    kind: Kind
    route: Route | None = None
    known: bool = False
    """True when the path exists, if perhaps for another method."""
    owner: SimService | None = None
    """The backup service at this place; None for block storage and compute."""

    @property
    def target(self) -> str:
        """The id in the path, if it holds one."""
        return self.parts[3] if len(self.parts) > 3 else ""


def find_place(request: SimRequest, services: Services) -> RequestTarget:
    """Read the path: `/{place}/{version}/{project}/…`, at the root of the host without a place.

    Some clients know a host only: there the root belongs to the one service that has an endpoint.
    """
    words = request.path.strip("/").split("/")
    parts = [word for word in words if word]
    service = words[0] if words[0] in _PLACES else ""
    parts = parts[1:] if service else parts
    service = service or _root(services)
    if service == "identity":
        signing_in = request.method == "POST" and parts == ["v3", "auth", "tokens"]
        return RequestTarget(service, parts, Kind.TOKEN if signing_in else Kind.OTHER)
    shape, owner = _shape(parts[2:]), _owner(service)
    route = _routes(service, services).get((request.method, shape))
    if route is None or parts[0] not in _versions(route, services):
        known = (request.method, shape) not in _ALL and shape in _SHAPES
        return RequestTarget(service, parts, Kind.OTHER, known=known, owner=owner)
    return RequestTarget(service, parts, route.kind, route, known=True, owner=owner)


def _root(services: Services) -> str:
    """The place of the service that the root of the host belongs to."""
    there = offered(services)
    if any(not each.place for each in there):
        return ""
    return next((each.place for each in there if each.catalog), "")


def _shape(words: list[str]) -> str:
    if len(words) == 1 or (len(words) == 2 and words[1] in _FIXED):
        return "/".join(words)
    return "/".join([words[0], "*", *words[2:]]) if words else ""


def _owner(place: str) -> SimService | None:
    return next((each for each in SERVICES if each.place == place != "volume"), None)


@cache
def _routes(place: str, services: Services) -> Routes:
    """What is answered at a place."""
    if place == "compute":
        return _COMPUTE
    there = [each for each in offered(services) if each.place == place]
    native = place == "volume" or any(each.with_block_storage for each in there)
    found = dict(_BLOCK_STORAGE) if native else {}
    for each in there:
        found |= each.routes
    return found


def _versions(route: Route, services: Services) -> tuple[str, ...]:
    """The versions of the path that lead there; plain OpenStack is new and has no v2."""
    if has_gateway(services):
        return route.versions
    return tuple(version for version in route.versions if version != "v2")


def discovery(request: SimRequest, place: RequestTarget, scenario: Scenario) -> SimReply:
    """The document of a service's versions, which needs no token."""
    parts, service = place.parts, place.service
    outdated = "v2" in parts and not has_gateway(scenario.services)
    if parts and (parts[0] not in DISCOVERED[service] or outdated):
        return openstack_fault(404, "The resource could not be found.")
    root, word = f"{request.base}/{service}", parts[0] if parts else None
    if service == "compute":
        return compute.versions(root, word)
    return blockstorage.versions(root, word, scenario, has_v2=has_gateway(scenario.services))
