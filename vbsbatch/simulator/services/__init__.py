"""The simulated backup services: one file each, and one line here."""

from __future__ import annotations

from functools import cache

from vbsbatch.simulator.scenario import Services
from vbsbatch.simulator.service import SimService
from vbsbatch.simulator.services import cbr, cinder, vbs

SERVICES: tuple[SimService, ...] = (
    vbs.SERVICE,
    cbr.SERVICE,
    cinder.SERVICE,
)


@cache
def offered(services: Services) -> tuple[SimService, ...]:
    """The services of a scenario: the one of this name, or several."""
    several = {Services.BOTH: (vbs.SERVICE, cinder.SERVICE), Services.ALL: SERVICES}
    return several.get(services) or tuple(each for each in SERVICES if each.name is services)


def has_gateway(services: Services) -> bool:
    """Whether there is an API gateway in front of the cloud; plain OpenStack has none."""
    return any(each.gateway for each in offered(services))
