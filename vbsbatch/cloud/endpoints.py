"""Endpoints: their kinds, and the roots of their URLs from what a catalog or a person says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from vbsbatch.cloud.response_values import clean
from vbsbatch.errors import SignInError

_VERSION = re.compile(r"v[0-9]+(\.[0-9]+)?", re.ASCII)
_USER = re.compile(r"//[^\s]*@")
_TEMPLATE = re.compile(r"(AUTH_)?[$%]\((project|tenant)_id\)s")


@dataclass(frozen=True, kw_only=True, slots=True)
class EndpointKind:
    """One kind of endpoint, and what catalogs, clouds.yaml and the command line call it."""

    name: str
    """Its key in `Endpoints.roots` and in `CloudChoice.endpoints`."""
    types: tuple[str, ...]
    """Service types under which catalogs name it, the newest first."""
    option: str | None = None
    """The option that names such an endpoint."""

    @property
    def override(self) -> str:
        """The key of clouds.yaml that names such an endpoint."""
        return f"{self.name}_endpoint_override"

    def ways(self, separator: str) -> str:
        """The ways to name such an endpoint, for a person."""
        return separator.join(filter(None, (self.option, self.override)))


BLOCK_STORAGE = EndpointKind(
    name="block_storage",
    types=("block-storage", "volumev3", "volumev2", "evs", "volume", "block-store"),
    option="--block-storage-endpoint",
)
"""Serves volumes and native backups."""

COMPUTE = EndpointKind(name="compute", types=("compute", "ecs"))
"""Knows the servers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoints:
    """Roots without version, project and trailing slash, e.g. ``https://vbs.eu-de.example.com``."""

    project_id: str
    roots: Mapping[str, str]
    """By the name of their `EndpointKind`; that of block storage is always among them."""
    compute: str | None = None
    """As the catalog gives it, version included; None where there is none: only names are lost."""

    @property
    def block_storage(self) -> str:
        """Serves ``/v3/{project}/backups`` or, on older regions, ``/v2/…``."""
        return self.roots[BLOCK_STORAGE.name]

    @property
    def with_volumes(self) -> tuple[str, ...]:
        """Where volumes and native backups may be: on block storage, or with a backup service."""
        return tuple(dict.fromkeys((self.block_storage, *self.roots.values())))


def root_of(url: str, project_id: str) -> str:
    """Cut project and version off an endpoint, which may end in either, both or none of them.

    Raises `SignInError` for what is no http(s) URL.
    """
    return versioned_root_of(url, project_id)[0]


def versioned_root_of(url: str, project_id: str) -> tuple[str, str | None]:
    """Return the root of an endpoint, and the version that it names, if it names one."""
    try:
        parts = urlsplit(url.strip())
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise SignInError(f"endpoint {shown(url)}: not an http:// or https:// URL")
    path = [segment for segment in parts.path.split("/") if segment]
    if path and (path[-1] == project_id or _TEMPLATE.fullmatch(path[-1])):
        path.pop()
    version = path.pop() if path and _VERSION.fullmatch(path[-1]) else None
    host = parts.netloc.rpartition("@")[2]  # a password in a URL is never sent nor shown
    root = urlunsplit((parts.scheme, host, "/".join(["", *path]) if path else "", "", ""))
    return root, version


def without_user(text: str) -> str:
    """Return a text without what may be user and password of a URL in it: up to the last `@`.

    A password may hold a slash, though no URL with one is right.
    """
    return _USER.sub("//", text)


def shown(url: str) -> str:
    """Return a URL as a person may see it: without user, password, query, secrets and control
    characters."""
    return clean(without_user(url).partition("?")[0], 200) or ""
