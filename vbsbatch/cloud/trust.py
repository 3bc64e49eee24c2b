"""TLS and proxies: one SSL context and one choice of proxy for all connections."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import certifi

from vbsbatch.cloud.transport_errors import words
from vbsbatch.errors import SignInError

_CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")


@dataclass(frozen=True, kw_only=True, slots=True)
class Trust:
    """TLS settings, in the form clouds.yaml gives them (`verify`, `cacert`, `cert`, `key`)."""

    verify: bool | str = True
    """False checks no certificate; a path names the CA file or folder."""
    cert: str | tuple[str, str] | None = None
    """A client certificate, with its key in the same file or in a second one."""


def ssl_context(trust: Trust) -> ssl.SSLContext:
    """Build the one context that every connection shares (each costs 33 ms to build).

    The default CA is what the sign-in library would use too. Raises `SignInError` for files that
    cannot be read.
    """
    if trust.verify is False:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        context = _verifying(trust.verify if isinstance(trust.verify, str) else _default_ca())
    if trust.cert is not None:
        cert, key = (trust.cert, None) if isinstance(trust.cert, str) else trust.cert
        try:
            # A process without a terminal cannot ask for a passphrase: refuse instead.
            context.load_cert_chain(cert, key, password=_no_passphrase)
        except (OSError, ValueError) as error:
            raise SignInError(f"cert: {cert}: {words(error)}") from error
    return context


def _no_passphrase() -> str:
    raise ValueError("the key has a passphrase: give a key without one")


def _default_ca() -> str:
    named = (os.environ.get(name) for name in _CA_VARIABLES)
    return next((path for path in named if path), certifi.where())


def _verifying(path: str) -> ssl.SSLContext:
    try:
        if Path(path).is_dir():
            return ssl.create_default_context(capath=path)
        return ssl.create_default_context(cafile=path)
    except (OSError, ValueError) as error:
        raise SignInError(f"cacert: {path}: {words(error)}") from error


def check_trust(trust: Trust) -> tuple[str, ...]:
    """A warning if certificates are not checked."""
    if trust.verify is not False:
        return ()
    return (
        "certificates are not checked (verify: false or insecure in clouds.yaml): anybody between"
        " here and the cloud can read the password and the token",
    )


def proxy_for(url: str) -> str | None:
    """Return the proxy the environment names for a URL (`HTTPS_PROXY`, `NO_PROXY` …), or None.

    Exceptions are those of the official client's own library. In addition, `NO_PROXY` may name an
    address with a port, an IPv6 address or network, and `*` among other entries.
    """
    parts = urlsplit(url)
    if parts.hostname is None or _excepted(parts.hostname, parts.port or _PORTS.get(parts.scheme)):
        return None
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy:
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def obey_proxy_rule(session: Any) -> None:
    """Make the sign-in's `requests` session choose the proxy of each URL as `proxy_for` does."""
    usual = session.merge_environment_settings

    def merged(url: str, proxies: Any, *rest: Any) -> dict[str, Any]:
        settings: dict[str, Any] = usual(url, proxies, *rest)
        proxy = proxy_for(url)
        settings["proxies"] = {} if proxy is None else {"all": proxy}
        return settings

    session.merge_environment_settings = merged


_PORTS = {"http": 80, "https": 443}
_NO_BRACKETS = str.maketrans("", "", "[]")
_WITH_PORT = re.compile(r"(?P<host>\[[^]]+\]|[^:]+):(?P<port>[0-9]{1,5})")


def _excepted(host: str, port: int | None) -> bool:
    """Whether `NO_PROXY` names the host, in any of the forms that clients take."""
    if proxy_bypass(host):
        return True
    return any(
        wanted in (None, port) and _names(entry, host.rstrip("."))
        for entry, wanted in _exceptions()
    )


def _exceptions() -> Iterator[tuple[str, int | None]]:
    """Each entry of `NO_PROXY`, and its port if it names one."""
    listed = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    for entry in re.split(r"[,\s]+", listed.lower()):
        if with_port := _WITH_PORT.fullmatch(entry):
            yield with_port["host"].strip("[]"), int(with_port["port"])
        elif entry:
            yield entry.translate(_NO_BRACKETS), None


def _names(entry: str, host: str) -> bool:
    if entry == "*":
        return True
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        name = entry.removeprefix("*").lstrip(".")
        return bool(name) and (host == name or host.endswith(f".{name}"))
    try:
        return address in ip_network(entry, strict=False)
    except ValueError:
        return False
