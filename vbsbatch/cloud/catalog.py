"""Which endpoint is which: overrides first, then the catalog; one service hints at the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vbsbatch.cloud.endpoints import Endpoints, root_of
from vbsbatch.errors import SignInError
from vbsbatch.model import did_you_mean, some_of

VBS_TYPES = ("vbs", "volume_backup", "volume-backup")
"""Service types under which catalogs and SDKs name VBS."""
BLOCK_STORAGE_TYPES = ("block-storage", "volumev3", "volumev2", "evs", "volume", "block-store")
"""Service types under which catalogs name block storage, the newest first."""
COMPUTE_TYPES = ("compute", "ecs")
"""Service types under which catalogs name the service that knows the servers."""

Catalog = Mapping[str, Sequence[tuple[str, str]]]
"""For each service type the (region, URL) pairs of the region and interface that are meant."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One endpoint of the catalog as the identity service gives it."""

    kind: str
    region: str
    interface: str
    url: str


class Offers(dict[str, list[tuple[str, str]]]):
    """A `Catalog` that knows why there is nothing in it."""

    lacks = ""


def offered(
    entries: Sequence[Entry],
    region_of: Callable[[str], str | None],
    interface_of: Callable[[str], Sequence[str] | str | None],
) -> Offers:
    """Choose from the whole catalog what region and interface of each service type allow.

    An interface may be a list in the order of preference.
    """
    found = Offers()
    for kind in dict.fromkeys(entry.kind for entry in entries):
        region, wanted = region_of(kind), interface_of(kind) or "public"
        there = [
            entry for entry in entries if entry.kind == kind and region in (None, entry.region)
        ]
        for interface in [wanted] if isinstance(wanted, str) else wanted:
            same = [each for each in there if each.interface == interface.removesuffix("URL")]
            if same:
                found[kind] = [(each.region, each.url) for each in same]
                break
    if not set(found).intersection((*VBS_TYPES, *BLOCK_STORAGE_TYPES)):
        kind = BLOCK_STORAGE_TYPES[0]
        found.lacks = _lacking(entries, region_of(kind), interface_of(kind) or "public")
    return found


def _lacking(entries: Sequence[Entry], region: str | None, interface: Sequence[str] | str) -> str:
    """Say what of region and interface is not to be found in the catalog, and what is."""
    regions = {entry.region for entry in entries if entry.region.isprintable()} - {""}
    if region is not None and regions and region not in regions:
        return f"nothing in region {region!r}, only in {some_of(regions)}" + did_you_mean(
            region, regions
        )
    there = {entry.interface for entry in entries if region in (None, entry.region)}
    wanted = interface if isinstance(interface, str) else "/".join(interface)
    if there and not there.intersection(wanted.replace("URL", "").split("/")):
        return f"nothing with interface {wanted}, only {some_of(there)}"
    return ""


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
    if isinstance(catalog, Offers) and catalog.lacks:
        return catalog.lacks
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
            raise SignInError(
                f"{kind} is offered in {regions}: set region_name in clouds.yaml, or OS_REGION_NAME"
            )
        return entries[0][1]
    return None


def region_of(catalog: Catalog, root: str, project_id: str) -> str | None:
    """Return the region whose endpoint of a backup service has this root; None without one."""
    for kind in (*VBS_TYPES, *BLOCK_STORAGE_TYPES):
        for region, url in catalog.get(kind, ()):
            if region and _same_root(url, root, project_id):
                return region
    return None


def _same_root(url: str, root: str, project_id: str) -> bool:
    try:
        return root_of(url, project_id) == root
    except SignInError:
        return False


def names(config: Mapping[str, Any], kinds: Sequence[str]) -> bool:
    """Whether the cloud's entry says itself where a service of these types is."""
    return _override(config, kinds) is not None
