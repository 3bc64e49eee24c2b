"""The simulated backup services: one file each, and one line here."""

from __future__ import annotations

from functools import cache

from vbsbatch.simulator.scenario import Services
from vbsbatch.simulator.service import SimService
from vbsbatch.simulator.services import cinder, vbs

SERVICES: tuple[SimService, ...] = (
    vbs.SERVICE,
    cinder.SERVICE,
)


@cache
def offered(services: Services) -> tuple[SimService, ...]:
    """The services of a scenario: the one of this name, or all."""
    return tuple(each for each in SERVICES if each.name is services) or SERVICES


def has_gateway(services: Services) -> bool:
    """Whether there is an API gateway in front of the cloud; plain OpenStack has none."""
    return any(each.gateway for each in offered(services))
