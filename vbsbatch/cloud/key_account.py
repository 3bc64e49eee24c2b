"""A cloud that is used with an access key: which project, and where its services are.

There is no sign-in. What a token would contain is asked of the identity service with signed
requests, if the configuration does not say it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from vbsbatch.cloud.catalog import Catalog, Entry, offered
from vbsbatch.cloud.endpoints import EndpointKind, root_of
from vbsbatch.cloud.identity import trust_of, where_of
from vbsbatch.cloud.response_errors import read_success
from vbsbatch.cloud.response_values import usable_id
from vbsbatch.cloud.server_clock import ServerClock
from vbsbatch.cloud.session import Session
from vbsbatch.cloud.signing import AccessKey, Signer
from vbsbatch.errors import CloudRefused, CloudUnavailable, SignInError
from vbsbatch.masking import keep_secret


class KeyAccount:
    """One cloud of the configuration (`region`), and the `signer` of its key."""

    def __init__(
        self, region: Any, key: AccessKey, clock: ServerClock, now: Callable[[], float]
    ) -> None:
        self.name = str(region.name)
        self.region: str | None = region.get_region_name() or None
        self._region_of = lambda kind: region.get_region_name(kind) or None
        self._interface_of = region.get_interface
        self.config: Mapping[str, Any] = region.config
        self.trust = trust_of(region)
        # Without a plugin, what the environment says of it is not moved under `auth`.
        url = self.config.get("auth_url")
        self._auth: Mapping[str, Any] = {"auth_url": url} | (self.config.get("auth") or {})
        self._where = where_of(self.name, self._auth)
        for secret in (key.sk, key.security_token):
            keep_secret(secret)
        self.signer = Signer(key, clock, now, where=self._where)

    async def project_id(self, session: Session) -> str:
        """Return the project to work in, looked up where only its name is known."""
        project_id = self._auth.get("project_id") or await self._look_up(session)
        self.signer.project_id = str(project_id)
        return str(project_id)

    @property
    def project_name(self) -> str | None:
        """The project's name, if the configuration has it."""
        return self._auth.get("project_name")

    async def catalog(self, session: Session, kind: EndpointKind) -> Catalog:
        """What the catalog has for our region and interface: (region, URL) by type.

        `kind` is the endpoint to name where there is no identity service to ask.
        """
        if not self._auth.get("auth_url"):
            raise SignInError(
                f"{self._where}: no endpoint of the service: set {kind.override} (or auth_url under"
                f" auth:, for its catalog) in clouds.yaml, or use {kind.option}"
            )
        entries = [
            Entry(
                kind=str(service.get("type")),
                region=str(entry.get("region") or entry.get("region_id") or ""),
                interface=str(entry.get("interface")),
                url=str(entry.get("url")),
            )
            for service in _objects((await self._ask(session, "auth/catalog")).get("catalog"))
            for entry in _objects(service.get("endpoints"))
            if entry.get("url")
        ]
        return offered(entries, self._region_of, self._interface_of)

    async def _look_up(self, session: Session) -> str:
        name = self._auth.get("project_name")
        if not name:
            raise SignInError(
                f"{self._where}: an access key needs its project: set project_id (or project_name)"
                " under auth: in clouds.yaml"
            )
        if not self._auth.get("auth_url"):
            raise SignInError(
                f"{self._where}: auth_url is needed to look up project {name!r}: set it, or"
                " project_id, under auth: in clouds.yaml"
            )
        answer = await self._ask(session, f"projects?name={quote(str(name), safe='')}")
        named = [p for p in _objects(answer.get("projects")) if p.get("name") == name]
        ids = list(filter(None, (usable_id(project.get("id")) for project in named)))
        if len(ids) != 1:
            many = "several projects" if ids else "no project"
            raise SignInError(
                f"{self._where}: the identity service shows this access key {many} named {name!r}:"
                " set project_id under auth: in clouds.yaml"
            )
        return ids[0]

    async def _ask(self, session: Session, what: str) -> dict[str, Any]:
        """Read from the identity service; raises `SignInError` for whatever goes wrong."""
        url = f"{root_of(str(self._auth['auth_url']), '')}/v3/{what}"
        try:
            return read_success(session, await session.read("GET", url))
        except (CloudRefused, CloudUnavailable) as error:
            text = str(error)
            if not text.startswith(self._where):
                text = f"{self._where}: the identity service: {text}"
            raise SignInError(text) from error


def _objects(value: object) -> list[dict[str, Any]]:
    """Return the objects of a JSON list, none where there is no list."""
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []
