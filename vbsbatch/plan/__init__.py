"""A file -> a checked plan -> jobs. Imports only `model` and `errors` of ours.

Names are fetched when first used: a command that parses a rate does not pay for pydantic.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vbsbatch.plan.loading import load
    from vbsbatch.plan.plan import Plan, VolumeSelection
    from vbsbatch.plan.schema import json_schema
    from vbsbatch.plan.units import parse_duration, parse_rate
    from vbsbatch.plan.volumes import PlanVolume, Seen

__all__ = [
    "Plan",
    "PlanVolume",
    "Seen",
    "VolumeSelection",
    "json_schema",
    "load",
    "parse_duration",
    "parse_rate",
]

_HOMES = {
    "Plan": "plan",
    "Seen": "volumes",
    "VolumeSelection": "plan",
    "PlanVolume": "volumes",
    "json_schema": "schema",
    "load": "loading",
    "parse_duration": "units",
    "parse_rate": "units",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
