"""Translates the errors of other libraries on the way to the cloud into our words.

Every exception that a request can end with besides an answer is in `NO_ANSWER`; `reason` turns one
into a line for a person. Nothing of the request (no header, so no token) gets into that line.
"""

from __future__ import annotations

import errno
import json
import re
import socket
import ssl
from collections.abc import Collection, Iterator
from html import escape
from urllib.parse import quote

import anyio
import httpx

from vbsbatch.cloud.endpoints import without_user
from vbsbatch.cloud.response_values import clean
from vbsbatch.model import Timeouts

NO_ANSWER: tuple[type[Exception], ...] = (
    httpx.HTTPError,
    httpx.InvalidURL,
    httpx.CookieConflict,
    httpx.StreamError,
    OSError,  # ssl.SSLError, socket.gaierror and TimeoutError are of this family
    EOFError,
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
    anyio.BusyResourceError,
    anyio.EndOfStream,
)
"""The exceptions of a request without an answer."""


class TooLargeError(httpx.ReadError):
    """An answer of more than `most` bytes; the rest of it was not read."""

    def __init__(self, most: int) -> None:
        super().__init__(f"the answer is larger than {most >> 20} MiB")


_TELLING = 4
"""A shorter secret may be part of any word: it is removed only where it stands in quotes."""
_DNS = re.compile(
    r"getaddrinfo|name resolution|name or service not known|failed to resolve"
    r"|no address associated|nodename nor servname",
    re.I,
)
_ERRNO = re.compile(r"\[Errno ([0-9]{1,4})\]")
_WANTS_SIGN_IN = re.compile(r"\b407\b|proxy authentication", re.I)
_TUNNEL = re.compile(r"\b[45][0-9]{2} [A-Za-z ]{2,40}|timed out|[Nn]ame or service not known")
_UNVERIFIED = re.compile(
    r"certificate verify failed:? ?(?:(.{0,200}?)\.? \(_ssl|([^(\]'\"]*))", re.S
)
_CUT_OFF = ("complete message", "incomplete chunked")
_RESETS = (httpx.ReadError, httpx.WriteError, httpx.CloseError, anyio.BrokenResourceError)


def reason(error: BaseException, timeouts: Timeouts) -> str:
    """Say in one line why no answer came."""
    if isinstance(error, TooLargeError):
        return words(error)
    for kind, text in _waits(timeouts).items():
        if isinstance(error, kind):
            return text
    if network := network_reason(error):
        return network
    if isinstance(error, httpx.RemoteProtocolError):
        if broke_off(error):
            return "the answer was cut off"
        if "disconnected" in str(error):
            return "connection closed without an answer"
        return f"the answer is not HTTP: {words(error)}"
    if isinstance(error, httpx.ConnectError):
        return f"cannot connect: {words(error)}"
    if isinstance(error, _RESETS):
        return "connection reset"
    return words(error)


def hung_up(error: BaseException | None) -> bool:
    """Whether the connection was closed in the place of an answer."""
    disconnected = isinstance(error, httpx.RemoteProtocolError) and "disconnected" in str(error)
    reset = isinstance(error, _RESETS) and not isinstance(error, TooLargeError)
    return disconnected or reset


def broke_off(error: BaseException | None) -> bool:
    """Whether an answer took too long, was too large or ended before its end."""
    if isinstance(error, httpx.RemoteProtocolError):
        return any(said in str(error) for said in _CUT_OFF)
    return isinstance(error, (httpx.ReadTimeout, TimeoutError, TooLargeError))


def _waits(timeouts: Timeouts) -> dict[type[BaseException], str]:
    return {
        httpx.ConnectTimeout: f"no connection within {timeouts.connect:g} s",
        httpx.ReadTimeout: f"no answer within {timeouts.read:g} s",
        httpx.WriteTimeout: f"the request could not be sent within {timeouts.read:g} s",
        httpx.PoolTimeout: f"no free connection within {timeouts.read:g} s",
        TimeoutError: f"no answer within {timeouts.read:g} s",
    }


def network_reason(error: BaseException) -> str | None:
    """Name a fault of DNS, TLS, proxy or connection, wherever it is in the chain of causes."""
    chain = list(causes(error))
    names = {type(link).__name__ for link in chain}
    text = " ".join(filter(None, (clean(told(link)) for link in chain)))
    if proxy := _proxy_reason(names, text):
        return proxy
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return _distrust(text)
    if tls := next((link for link in chain if isinstance(link, ssl.SSLError)), None):
        return f"TLS: {words(tls)}"
    if "SSLError" in names:
        return f"TLS: {words(error)}"
    if any(isinstance(link, socket.gaierror) for link in chain) or _DNS.search(text):
        return "the host name cannot be resolved (DNS)"
    if "RemoteDisconnected" in names:
        return "connection closed without an answer (is a client certificate required? cert:, key:)"
    codes = {link.errno for link in chain if isinstance(link, OSError)}
    codes |= {int(code) for code in _ERRNO.findall(text)}  # several addresses, each with its own
    if errno.ECONNREFUSED in codes or "Connection refused" in text:
        return "connection refused"
    if codes & {errno.ENETUNREACH, errno.EHOSTUNREACH}:
        return "the host is unreachable"
    if codes & {errno.ECONNRESET, errno.EPIPE}:
        return "connection reset"
    return None


def _distrust(text: str) -> str:
    """Say why a certificate was not trusted, and what a person can do about it."""
    what = _UNVERIFIED.search(text)
    why = (what[1] or what[2]).strip() if what else ""
    if "expired" in why or "not yet valid" in why:
        advice = "check this machine's clock; if it is right, the server needs a new one"
    elif "mismatch" in why:
        advice = "check the host's name in the address"
    else:
        advice = "a private CA? set cacert: in clouds.yaml"
    return f"TLS: certificate not trusted{f': {why}' if why else ''} ({advice})"


def _proxy_reason(names: set[str], text: str) -> str | None:
    """Name a fault of the proxy, from the names and the words of what was raised."""
    if names & {"InvalidProxyURL", "ProxySchemeUnknown", "LocationParseError"} or "SOCKS" in text:
        return "the proxy cannot be used: HTTPS_PROXY must be like http://host:port"
    if not names & {"ProxyError"}:
        return None
    if _WANTS_SIGN_IN.search(text):
        return "the proxy refused the sign-in (407): HTTPS_PROXY=http://USER:PASSWORD@host:port"
    if "Connection refused" in text:
        return "the proxy is down: connection refused (see HTTPS_PROXY and NO_PROXY)"
    why = _TUNNEL.search(text)
    detail = f" ({why[0]})" if why else ""
    return f"the proxy refused or is unreachable{detail}: see HTTPS_PROXY and NO_PROXY"


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and everything that it was raised from or wraps, each once."""
    seen: set[int] = set()
    todo = [error]
    while todo:
        link = todo.pop(0)
        if link is None or id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        wrapped = [part for part in link.args if isinstance(part, BaseException)]
        todo += [link.__cause__, link.__context__, getattr(link, "reason_error", None), *wrapped]
        if isinstance(inner := getattr(link, "reason", None), BaseException):
            todo.append(inner)


def words(error: BaseException, secrets: Collection[str] = ()) -> str:
    """An exception's own words, cleaned and short, without secrets or passwords of URLs.

    Secrets are removed before the text is cut: half a password is a secret too.
    """
    text = clean(without(without_user(told(error)), secrets), 300)
    return text or type(error).__name__


def told(error: BaseException) -> str:
    """The text of an exception; some plugins' exceptions fail even at that."""
    try:
        return str(error)
    except Exception:
        return ""


def without(text: str, secrets: Collection[str]) -> str:
    """Replace every secret, as it is and as JSON, URLs and HTML write it."""
    spelt = {
        form
        for secret in secrets
        for form in (secret, json.dumps(secret)[1:-1], quote(secret, safe=""), escape(secret))
        if len(secret) >= _TELLING
    } | {json.dumps(secret) for secret in secrets}
    for form in sorted(spelt, key=len, reverse=True):
        text = text.replace(form, "***")
    return text
