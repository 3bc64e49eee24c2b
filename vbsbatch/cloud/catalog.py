"""Finds endpoints: those that are named first, then those of the catalog."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vbsbatch.cloud.endpoints import (
    BLOCK_STORAGE,
    COMPUTE,
    EndpointKind,
    Endpoints,
    root_of,
    shown,
)
from vbsbatch.cloud.service import CloudService, Found
from vbsbatch.cloud.services import SERVICES, endpoint_kinds
from vbsbatch.errors import SignInError
from vbsbatch.model import did_you_mean, some_of

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
    """A `Catalog` that says why it has no backup service."""

    lacks = ""


def offered(
    entries: Sequence[Entry],
    region_of: Callable[[str], str | None],
    interface_of: Callable[[str], Sequence[str] | str | None],
) -> Offers:
    """The entries of the whole catalog that fit region and interface of each service type.

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
    if not any(name in found for kind in endpoint_kinds() for name in kind.types):
        kind = BLOCK_STORAGE.types[0]
        found.lacks = _lacking(entries, region_of(kind), interface_of(kind) or "public")
    return found


def _lacking(entries: Sequence[Entry], region: str | None, interface: Sequence[str] | str) -> str:
    """Say which of region and interface the catalog does not have, and what it has."""
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


def find_endpoints(
    catalog: Catalog,
    config: Mapping[str, Any],
    project_id: str,
    named: Mapping[str, str] | None = None,
) -> Found:
    """Choose all endpoints; `named` are those that the command line names, by their kind's name.

    An endpoint that is not known is looked for where block storage is, and block storage where the
    first of the others is. Raises `SignInError` when none is known, or when several regions offer
    one and none was chosen.
    """
    urls: dict[str, str | None] = {}
    for kind in endpoint_kinds():
        urls[kind.name] = (
            (named or {}).get(kind.name)
            or _override(config, kind.types)
            or _from_catalog(catalog, kind.types)
        )
    known = [url for url in (urls[BLOCK_STORAGE.name], *urls.values()) if url]
    if not known:
        raise not_offered(SERVICES[0], catalog)
    endpoints = Endpoints(
        project_id=project_id,
        roots={name: root_of(url or known[0], project_id) for name, url in urls.items()},
        compute=_compute(catalog, config),
    )
    return Found(
        endpoints=endpoints, supposed=frozenset(name for name, url in urls.items() if not url)
    )


def _compute(catalog: Catalog, config: Mapping[str, Any]) -> str | None:
    """The endpoint of compute. It is only used for names of servers, so nothing depends on it."""
    try:
        return _override(config, COMPUTE.types) or _from_catalog(catalog, COMPUTE.types)
    except SignInError:
        return None


def not_offered(service: type[CloudService], catalog: Catalog) -> SignInError:
    """The error for a cloud that does not offer a service."""
    return SignInError(
        f"the catalog has no {service.described} (it has: {_kinds(catalog)}): check region_name"
        f" and interface, or set {service.endpoint_kind.override} in clouds.yaml"
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
    """The region of the backup service's endpoint with this root; None without one."""
    for name in (name for kind in endpoint_kinds() for name in kind.types):
        for region, url in catalog.get(name, ()):
            if region and _same_root(url, root, project_id):
                return region
    return None


def _same_root(url: str, root: str, project_id: str) -> bool:
    try:
        return root_of(url, project_id) == root
    except SignInError:
        return False


def names(config: Mapping[str, Any], kind: EndpointKind) -> bool:
    """Whether the cloud's entry says itself where such an endpoint is."""
    return _override(config, kind.types) is not None


# A catalog is what a server says: it does not move a token from https to http. A person may.


def check_endpoints(
    endpoints: Endpoints, config: Mapping[str, Any], *named: str | None
) -> tuple[str, ...]:
    """Refuse http endpoints of a catalog that came by https; return a warning for each named one.

    `config` is the cloud's entry, `named` what the command line says. Raises `SignInError`.
    """
    auth = config.get("auth") or {}
    if not str(auth.get("auth_url") or config.get("auth_url") or "").lower().startswith("https:"):
        return ()
    known = set(_roots(endpoints.project_id, config, named))
    warnings: list[str] = []
    urls = {kind: endpoints.roots.get(kind.name) for kind in endpoint_kinds()}
    for kind, url in {**urls, COMPUTE: endpoints.compute}.items():
        if url is None or not url.lower().startswith("http:"):
            continue
        if root_of(url, endpoints.project_id) not in known:
            raise SignInError(
                f"the sign-in is https, but the catalog's endpoint {shown(url)} is not: the token"
                f" would be sent unencrypted: if you want that, name it ({kind.ways(' or ')}"
                " in clouds.yaml)"
            )
        warnings.append(f"{shown(url)} is not https: the token is sent there unencrypted")
    return tuple(dict.fromkeys(warnings))


def _roots(
    project_id: str, config: Mapping[str, Any], named: tuple[str | None, ...]
) -> Iterator[str]:
    overrides = [url for key, url in config.items() if key.endswith("_endpoint_override")]
    for url in filter(None, (*named, *overrides)):
        yield root_of(str(url), project_id)
