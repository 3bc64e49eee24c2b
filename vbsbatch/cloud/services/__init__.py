"""The backup services: one class in one file each, and one line here."""

from __future__ import annotations

from vbsbatch.cloud.endpoints import BLOCK_STORAGE, EndpointKind
from vbsbatch.cloud.service import CloudService
from vbsbatch.cloud.services.cbr import CbrService
from vbsbatch.cloud.services.cinder import CinderService
from vbsbatch.cloud.services.vbs import VbsService
from vbsbatch.model import Service, ServiceFacts

SERVICES: list[type[CloudService]] = [
    VbsService,
    CbrService,
    CinderService,
]
"""In the order in which they are tried where nothing names one."""


def service_class(service: Service) -> type[CloudService]:
    """The class of a service."""
    return next(each for each in SERVICES if each.facts.service == service)


def facts_of(service: Service) -> ServiceFacts:
    """What rooms without a network need to know about a service."""
    return service_class(service).facts


def endpoint_kinds() -> tuple[EndpointKind, ...]:
    """The kinds of endpoints at which backup services may be, and block storage."""
    kinds = (*(each.endpoint_kind for each in SERVICES), BLOCK_STORAGE)
    return tuple({kind.name: kind for kind in kinds}.values())
