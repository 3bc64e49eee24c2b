"""The only room that touches the network.

``async with connect(CloudChoice(cloud="otc")) as service`` signs in and gives a `BackupService`.
Everything is loaded when first used: a command that needs no cloud does not pay for one.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vbsbatch.cloud.cinder import CinderService
    from vbsbatch.cloud.connection import CloudChoice, connect, trust_warnings
    from vbsbatch.cloud.credentials import Credentials, Proof
    from vbsbatch.cloud.endpoints import Endpoints
    from vbsbatch.cloud.operation_services import stand_in
    from vbsbatch.cloud.project_resources import ProjectResources
    from vbsbatch.cloud.service import CloudService
    from vbsbatch.cloud.session import Session
    from vbsbatch.cloud.tokens import Token, Tokens
    from vbsbatch.cloud.trust import Trust
    from vbsbatch.cloud.vbs import VbsService

__all__ = [
    "CinderService",
    "CloudChoice",
    "CloudService",
    "Credentials",
    "Endpoints",
    "ProjectResources",
    "Proof",
    "Session",
    "Token",
    "Tokens",
    "Trust",
    "VbsService",
    "connect",
    "stand_in",
    "trust_warnings",
]

_HOMES = {
    "CinderService": "cinder",
    "CloudChoice": "connection",
    "CloudService": "service",
    "Credentials": "credentials",
    "Endpoints": "endpoints",
    "ProjectResources": "project_resources",
    "Proof": "credentials",
    "Session": "session",
    "Token": "tokens",
    "Tokens": "tokens",
    "Trust": "trust",
    "VbsService": "vbs",
    "stand_in": "operation_services",
    "connect": "connection",
    "trust_warnings": "connection",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
