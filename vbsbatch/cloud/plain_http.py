"""What goes over the network in clear although the sign-in did not, or to anybody who answers.

A catalog is what a server says: it does not move a token from https to http. A person may.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from vbsbatch.cloud.endpoints import COMPUTE, Endpoints, root_of, shown
from vbsbatch.cloud.services import endpoint_kinds
from vbsbatch.cloud.trust import Trust
from vbsbatch.errors import SignInError


def check_endpoints(
    endpoints: Endpoints, config: Mapping[str, Any], *named: str | None
) -> tuple[str, ...]:
    """Refuse http endpoints of a catalog that was got by https; a warning for each that was named.

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
                f"the sign-in is https, and the catalog's endpoint {shown(url)} is not: the token"
                f" would be sent in clear: if that is wanted, name it ({kind.ways(' or ')}"
                " in clouds.yaml)"
            )
        warnings.append(f"{shown(url)} is not https: the token is sent there in clear")
    return tuple(dict.fromkeys(warnings))


def _roots(
    project_id: str, config: Mapping[str, Any], named: tuple[str | None, ...]
) -> Iterator[str]:
    overrides = [url for key, url in config.items() if key.endswith("_endpoint_override")]
    for url in filter(None, (*named, *overrides)):
        yield root_of(str(url), project_id)


def check_trust(trust: Trust) -> tuple[str, ...]:
    """Return a warning where no certificate is looked at."""
    if trust.verify is not False:
        return ()
    return (
        "certificates are not checked (verify: false or insecure in clouds.yaml): whoever is on the"
        " way to the cloud can read the password and the token",
    )
