"""What differs between the simulated backup services; each is one value in one file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from vbsbatch.simulator.call import Call
from vbsbatch.simulator.project_state import read_id
from vbsbatch.simulator.scenario import Kind, Services
from vbsbatch.simulator.wire import SimReply, openstack_fault


@dataclass(frozen=True, slots=True)
class Route:
    """Who answers a request, and in which versions of the path."""

    kind: Kind
    handler: Callable[[Call], SimReply]
    versions: tuple[str, ...] = ("v2", "v3")
    changes: bool = False
    """True when a reader may not do it."""


Named = tuple[tuple[str, ...], str | None]
"""The volumes that the body of a create names, and the name that it gives."""


def named_volume(content: object) -> Named:
    """What `{"backup": {"volume_id", "name"}}` names."""
    wanted = content.get("backup") if isinstance(content, dict) else None
    wanted = wanted if isinstance(wanted, dict) else {}
    volume_id, name = wanted.get("volume_id"), wanted.get("name")
    known = (read_id(volume_id) or volume_id,) if isinstance(volume_id, str) else ()
    return known, name if isinstance(name, str) else None


Routes = Mapping[tuple[str, str], Route]
"""By method and shape of the path behind the project, with `*` for an id."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SimService:
    """One backup service as the simulated cloud offers it."""

    name: Services
    place: str
    """The first word of its paths: `volume` for block storage's own, empty for the host's root."""
    routes: Routes
    catalog: tuple[tuple[str, str, str], ...] = ()
    """What it adds to the catalog: type, name, and path, in which `{project}` is the project."""
    gateway: bool = False
    """Behind an API gateway, which knows signed requests; its cloud has v2 of block storage too."""
    with_block_storage: bool = False
    """Serves native backups and volumes at its own place, too."""
    error: Callable[[int, str, str], SimReply] = lambda status, _, text: openstack_fault(
        status, text
    )
    """Its envelope for a status, a code and a message."""
    meanings: Mapping[str, str] = field(default_factory=dict)
    """Its codes in its own words."""
    not_allowed: Callable[[], SimReply] = lambda: openstack_fault(
        403, "Policy does not allow this request to be performed."
    )
    """The refusal for a user who may only read."""
    other_project: Callable[[], SimReply] = lambda: openstack_fault(400, "Malformed request url")
    """The refusal for a token of another project than the path's."""
    named: Callable[[object], Named] = named_volume
    """What the body of a create names."""
    skips: bool = False
    """A fault that refuses certain volumes with a code is part of the answer to a create."""
    demo_failure: str = ""
    """What the backups of a demo fail with."""
    demo_outage: str = "status: 503"
    """What a create of a demo is answered when the service is down, as keys of a fault."""
    demo_refusal: str = "status: 400"
    """What the first create of a few volumes of a demo is answered for good, as keys of a fault."""
