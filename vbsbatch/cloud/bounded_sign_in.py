"""Bounds for the sign-in library's requests: no redirects, a limit of bytes and of time.

Its sessions have no such bounds. The adapter here follows no redirect, reads at most `MOST` bytes
of an answer, packed or not, and never speaks plain HTTP for an account whose `auth_url` is https.
The caller limits the time of the whole sign-in: see `span`.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterator
from typing import Any

import requests
from requests.adapters import BaseAdapter
from urllib3.exceptions import HTTPError, ReadTimeoutError, SSLError

from vbsbatch.cloud.endpoints import shown
from vbsbatch.cloud.session import READ_SPAN
from vbsbatch.model import Timeouts

MOST = 16 << 20
"""Bytes of an answer of the identity service, its catalog included."""

_CHUNK = 1 << 16
_REDIRECTS = frozenset({301, 302, 303, 305, 307, 308})


class UnusableAnswer(requests.exceptions.RequestException):
    """An answer that a sign-in must not use; the text says why, and what to do."""


def span(timeouts: Timeouts) -> float:
    """Seconds that a sign-in may take, the same as any read of the service."""
    return timeouts.connect + READ_SPAN * timeouts.read


def bind(session: Any, auth_url: object, seconds: float) -> None:
    """Put the bounds on the connections of a keystoneauth session."""
    carrier = session.session
    only_tls = str(auth_url).lower().startswith("https:")
    for scheme, adapter in list(carrier.adapters.items()):
        carrier.mount(scheme, _Bounded(adapter, only_tls=only_tls, seconds=seconds))


class _Bounded(BaseAdapter):
    """Reads the answers of another adapter, within bounds."""

    def __init__(self, adapter: BaseAdapter, *, only_tls: bool, seconds: float) -> None:
        super().__init__()
        self._adapter = adapter
        self._only_tls = only_tls
        self._seconds = seconds

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: bool | str = True,
        cert: Any = None,
        proxies: dict[str, str] | None = None,
    ) -> requests.Response:
        """Send the request, and read its whole answer."""
        if self._only_tls and not str(request.url).lower().startswith("https:"):
            raise UnusableAnswer(
                "auth_url is https, but the identity service wants the sign-in at"
                f" {shown(str(request.url))}, which is not: nothing was sent there: check auth_url"
            )
        deadline = time.monotonic() + self._seconds
        answer = self._adapter.send(
            request, stream=True, timeout=timeout, verify=verify, cert=cert, proxies=proxies
        )
        try:
            if answer.status_code in _REDIRECTS:
                raise UnusableAnswer(
                    f"the identity service redirects ({answer.status_code}) to"
                    f" {shown(answer.headers.get('location') or 'nowhere')}, which is not followed:"
                    " check auth_url"
                )
            # `content` returns this: the answer has been read.
            vars(answer).update(_content=_body(answer, deadline), _content_consumed=True)
        finally:
            answer.close()
        return answer

    def close(self) -> None:
        """Close the connections."""
        self._adapter.close()


def _body(answer: requests.Response, deadline: float) -> bytes:
    unpacking = None
    if answer.headers.get("content-encoding", "identity").lower() != "identity":
        unpacking = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # gzip or deflate
    body = bytearray()
    for part in _parts(answer, deadline):
        try:
            body += unpacking.decompress(part, MOST + 1 - len(body)) if unpacking else part
        except zlib.error as error:
            raise UnusableAnswer("the identity service's answer cannot be decompressed") from error
        if len(body) > MOST:
            raise UnusableAnswer(
                f"the identity service's answer is larger than {MOST >> 20} MiB: check auth_url"
            )
    return bytes(body)


def _parts(answer: requests.Response, deadline: float) -> Iterator[bytes]:
    """The body in parts, as they arrive; raises what `requests` would raise."""
    try:
        while part := answer.raw.read1(_CHUNK, decode_content=False):
            if time.monotonic() > deadline:
                raise requests.exceptions.Timeout("the answer did not arrive completely in time")
            yield part
    except ReadTimeoutError as error:
        raise requests.exceptions.Timeout(error) from error
    except SSLError as error:
        raise requests.exceptions.SSLError(error) from error
    except (HTTPError, OSError) as error:
        raise requests.exceptions.ConnectionError(error) from error
