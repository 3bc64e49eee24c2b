"""The only room that touches the network.

``async with connect(CloudChoice(cloud="otc")) as service`` signs in and gives a `BackupService`.
Everything is loaded when first used: a command that needs no cloud does not pay for one.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vbsbatch.cloud.connection import CloudChoice, connect, trust_warnings
    from vbsbatch.cloud.operation_services import stand_in
    from vbsbatch.cloud.project_resources import ProjectResources
    from vbsbatch.cloud.service import CloudService

__all__ = [
    "CloudChoice",
    "CloudService",
    "ProjectResources",
    "connect",
    "stand_in",
    "trust_warnings",
]

_HOMES = {
    "CloudChoice": "connection",
    "CloudService": "service",
    "ProjectResources": "project_resources",
    "connect": "connection",
    "stand_in": "operation_services",
    "trust_warnings": "connection",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
