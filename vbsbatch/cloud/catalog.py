"""Which endpoint is which: overrides first, then the catalog; one service hints at the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vbsbatch.cloud.endpoints import Endpoints, root_of
from vbsbatch.errors import SignInError

VBS_TYPES = ("vbs", "volume_backup", "volume-backup")
"""Service types under which catalogs and SDKs name VBS."""
BLOCK_STORAGE_TYPES = ("block-storage", "volumev3", "volumev2", "evs", "volume", "block-store")
"""Service types under which catalogs name block storage, the newest first."""
COMPUTE_TYPES = ("compute", "ecs")
"""Service types under which catalogs name the service that knows the servers."""

Catalog = Mapping[str, Sequence[tuple[str, str]]]
"""For each service type the (region, URL) pairs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """The endpoints to use, and which of them were only supposed to live with the other."""

    endpoints: Endpoints
    vbs_supposed: bool
    block_storage_supposed: bool = False


def find_endpoints(
    catalog: Catalog,
    config: Mapping[str, Any],
    project_id: str,
    *,
    vbs: str | None = None,
    block_storage: str | None = None,
) -> Found:
    """Choose both endpoints; `vbs` and `block_storage` are what the command line says.

    Where only one of the services is known, the other is looked for on its host. Raises
    `SignInError` when neither is known, or when several regions offer it and none was chosen.
    """
    vbs = vbs or _override(config, VBS_TYPES) or _from_catalog(catalog, VBS_TYPES)
    block_storage = (
        block_storage
        or _override(config, BLOCK_STORAGE_TYPES)
        or _from_catalog(catalog, BLOCK_STORAGE_TYPES)
    )
    if not vbs and not block_storage:
        raise no_vbs(catalog)
    endpoints = Endpoints(
        project_id=project_id,
        vbs=root_of(str(vbs or block_storage), project_id),
        block_storage=root_of(str(block_storage or vbs), project_id),
        compute=_compute(catalog, config),
    )
    return Found(
        endpoints=endpoints, vbs_supposed=not vbs, block_storage_supposed=not block_storage
    )


def _compute(catalog: Catalog, config: Mapping[str, Any]) -> str | None:
    """Return the endpoint of compute, which is only asked for names: nothing depends on it."""
    try:
        return _override(config, COMPUTE_TYPES) or _from_catalog(catalog, COMPUTE_TYPES)
    except SignInError:
        return None


def no_vbs(catalog: Catalog) -> SignInError:
    """Return the error for a cloud that does not offer VBS."""
    return SignInError(
        f"the catalog has no volume backup service (it has: {_kinds(catalog)}):"
        " check region_name and interface, or set vbs_endpoint_override in clouds.yaml"
    )


def no_cinder(catalog: Catalog) -> SignInError:
    """Return the error for a cloud that does not offer Cinder's backups."""
    return SignInError(
        f"the catalog has no block storage with backups (it has: {_kinds(catalog)}):"
        " check region_name and interface, or set block_storage_endpoint_override in clouds.yaml"
    )


def _kinds(catalog: Catalog) -> str:
    kinds = sorted(kind[:64] for kind in catalog if kind.isprintable())
    return ", ".join(kinds) or "nothing for this region and interface"


def _override(config: Mapping[str, Any], kinds: Sequence[str]) -> str | None:
    for kind in kinds:
        if url := config.get(f"{kind.replace('-', '_')}_endpoint_override"):
            return str(url)
    return None


def _from_catalog(catalog: Catalog, kinds: Sequence[str]) -> str | None:
    for kind in kinds:
        entries = catalog.get(kind)
        if not entries:
            continue
        if len({url for _, url in entries}) > 1 and len({region for region, _ in entries}) > 1:
            regions = ", ".join(sorted({region for region, _ in entries}))
            raise SignInError(f"{kind} is offered in {regions}: set region_name in clouds.yaml")
        return entries[0][1]
    return None


def names(config: Mapping[str, Any], kinds: Sequence[str]) -> bool:
    """Whether the cloud's entry says itself where a service of these types is."""
    return _override(config, kinds) is not None
