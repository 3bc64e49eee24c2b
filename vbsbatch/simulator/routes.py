"""Which request means what: paths of the three services, and who answers them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vbsbatch.simulator import blockstorage, cinder, compute, native_backups, vbs
from vbsbatch.simulator.call import Call
from vbsbatch.simulator.scenario import Kind, Scenario, Services
from vbsbatch.simulator.wire import SimReply, SimRequest, openstack_fault

_VBS = frozenset({Services.VBS, Services.BOTH})
_CINDER = frozenset({Services.CINDER, Services.BOTH})
_ALL = frozenset(Services)


@dataclass(frozen=True, slots=True)
class Route:
    """Who answers a request, in which versions of the path, and where it is offered."""

    kind: Kind
    handler: Callable[[Call], SimReply]
    versions: tuple[str, ...] = ("v2", "v3")
    offered: frozenset[Services] = _ALL
    changes: bool = False
    """True when a reader may not do it."""


ROUTES: dict[tuple[str, str], Route] = {
    ("POST", "cloudbackups"): Route(Kind.CREATE, vbs.create, ("v2",), _VBS, changes=True),
    ("GET", "cloudbackups/quota"): Route(Kind.QUOTA, vbs.quota, ("v2",), _VBS),
    ("POST", "cloudbackups/*/restore"): Route(
        Kind.RESTORE, vbs.restore, ("v2",), _VBS, changes=True
    ),
    ("GET", "jobs/*"): Route(Kind.JOB, vbs.job, ("v1",), _VBS),
    ("GET", "backups"): Route(Kind.LIST, native_backups.list_summary),
    ("GET", "backups/detail"): Route(Kind.LIST, native_backups.list_detail),
    ("GET", "backups/*"): Route(Kind.BACKUP, native_backups.show),
    ("DELETE", "backups/*"): Route(Kind.DELETE, native_backups.delete, changes=True),
    ("POST", "backups"): Route(Kind.CREATE, cinder.create, ("v3",), _CINDER, changes=True),
    ("POST", "backups/*/restore"): Route(Kind.RESTORE, native_backups.restore, changes=True),
    ("GET", "volumes"): Route(Kind.VOLUMES, blockstorage.list_summary),
    ("GET", "volumes/detail"): Route(Kind.VOLUMES, blockstorage.list_detail),
    ("GET", "volumes/*"): Route(Kind.VOLUMES, blockstorage.show),
    ("GET", "servers"): Route(Kind.SERVERS, compute.list_summary, ("v2.1",)),
    ("GET", "servers/detail"): Route(Kind.SERVERS, compute.list_detail, ("v2.1",)),
    ("GET", "servers/*"): Route(Kind.SERVERS, compute.show, ("v2.1",)),
    ("GET", "os-quota-sets/*"): Route(Kind.QUOTA, blockstorage.quota_set),
}

DISCOVERED = {"volume": ("v2", "v3"), "compute": ("v2.1",)}
"""Services with a document of their versions, and the versions it tells of."""

_SHAPES = frozenset(shape for _, shape in ROUTES)
_FIXED = frozenset({"detail", "quota"})


@dataclass(frozen=True, slots=True)
class RequestTarget:
    """Where a path leads: a service, the words behind its prefix, and the route if there is one."""

    service: str
    """`identity`, `volume`, `compute` or `vbs`."""
    parts: list[str]
    """The words of the path behind the prefix of the service."""
    kind: Kind
    route: Route | None = None
    known: bool = False
    """True when the path exists, if perhaps for another method."""

    @property
    def target(self) -> str:
        """The id in the path, if it holds one."""
        return self.parts[3] if len(self.parts) > 3 else ""


def find_place(request: SimRequest, services: Services) -> RequestTarget:
    """Read the path: `/identity/…`, `/{volume,compute}/{version}/{project}/…`, else that of VBS:
    `/{version}/{project}/…`."""
    words = request.path.strip("/").split("/")
    service, parts = "vbs", [word for word in words if word]
    if words[0] in ("identity", "volume", "compute"):
        service, parts = words[0], parts[1:]
    if service == "identity":
        signing_in = request.method == "POST" and parts == ["v3", "auth", "tokens"]
        return RequestTarget(service, parts, Kind.TOKEN if signing_in else Kind.OTHER)
    shape = _shape(parts[2:])
    route = ROUTES.get((request.method, shape))
    known_version = route is not None and parts[0] in _versions(route, services)
    if route is None or not known_version or not _offered(route, service, services):
        return RequestTarget(service, parts, Kind.OTHER, known=route is None and shape in _SHAPES)
    return RequestTarget(service, parts, route.kind, route, known=True)


def _shape(words: list[str]) -> str:
    if len(words) == 1 or (len(words) == 2 and words[1] in _FIXED):
        return "/".join(words)
    return "/".join([words[0], "*", *words[2:]]) if words else ""


def _versions(route: Route, services: Services) -> tuple[str, ...]:
    """The versions of the path that lead there; a Cinder without VBS is a new one, without v2."""
    if services is Services.CINDER:
        return tuple(version for version in route.versions if version != "v2")
    return route.versions


def _offered(route: Route, service: str, services: Services) -> bool:
    if services not in route.offered:
        return False
    if (service == "compute") != (route.kind is Kind.SERVERS):
        return False
    if service == "vbs":
        return services is not Services.CINDER and route.handler is not cinder.create
    return route.handler not in (vbs.create, vbs.quota, vbs.restore, vbs.job)


def discovery(request: SimRequest, place: RequestTarget, scenario: Scenario) -> SimReply:
    """The document of a service's versions, which needs no token."""
    parts, service = place.parts, place.service
    outdated = scenario.services is Services.CINDER and "v2" in parts
    if parts and (parts[0] not in DISCOVERED[service] or outdated):
        return openstack_fault(404, "The resource could not be found.")
    root, word = f"{request.base}/{service}", parts[0] if parts else None
    if service == "compute":
        return compute.versions(root, word)
    return blockstorage.versions(root, word, scenario)
