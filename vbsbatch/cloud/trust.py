"""Whom to trust and through whom to speak: one SSL context and one choice of proxy for all."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import certifi

from vbsbatch.cloud.foreign import words
from vbsbatch.errors import SignInError

_CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")


@dataclass(frozen=True, kw_only=True, slots=True)
class Trust:
    """TLS settings, in the form clouds.yaml gives them (`verify`, `cacert`, `cert`, `key`)."""

    verify: bool | str = True
    """False trusts anybody; a path names the CA file or folder."""
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
            # A passphrase cannot be asked for in a process without a terminal: refuse instead.
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


def proxy_for(url: str) -> str | None:
    """Return the proxy the environment names for a URL (`HTTPS_PROXY`, `NO_PROXY` …), or None."""
    parts = urlsplit(url)
    if parts.hostname is None or proxy_bypass(parts.hostname):
        return None
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy:
        return None
    return proxy if "://" in proxy else f"http://{proxy}"
