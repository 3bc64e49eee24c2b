"""Requests and answers of a simulated cloud, and the error envelopes of its services."""

from __future__ import annotations

import json
import zlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, unquote


class Fate(StrEnum):
    """What happens to an answer on its way back."""

    ANSWER = "answer"  # it arrives
    DROP = "drop"  # the connection is reset instead
    HANG = "hang"  # nothing comes until the client gives up
    CUT = "cut"  # the connection breaks in the middle of the body
    ENDLESS = "endless"  # the body never ends
    DRIP = "drip"  # the body comes byte by byte
    REFUSE = "refuse"  # there was no connection


@dataclass(frozen=True, kw_only=True, slots=True)
class SimRequest:
    """One HTTP request; header names are lower case, the path is unquoted."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    scheme: str = "http"

    @property
    def base(self) -> str:
        """Scheme and host as the client named them: links and catalogs start with it."""
        return f"{self.scheme}://{self.headers.get('host', 'simulator')}"


@dataclass(slots=True)
class SimReply:
    """One HTTP answer; `delay` is in seconds from the arrival of the request."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    fate: Fate = Fate.ANSWER
    every: float = 1.0
    """Seconds between two bytes of what drips."""


def parts(reply: SimReply) -> Iterator[bytes]:
    """The body as it is sent: byte by byte if it drips, without end if it is endless."""
    if reply.fate is Fate.DRIP:
        yield from (bytes([byte]) for byte in reply.body)
        return
    yield reply.body
    while True:
        yield b" " * (1 << 16)


def read_target(target: str) -> tuple[str, dict[str, str]]:
    """Split `/path?a=b` into an unquoted path and its query."""
    path, _, query = target.partition("?")
    return unquote(path), read_query(query)


def read_query(query: str) -> dict[str, str]:
    """A query string as a mapping; of a repeated name the last value counts."""
    return dict(parse_qsl(query, keep_blank_values=True)) if query else {}


def json_reply(
    status: int, content: Mapping[str, Any], headers: dict[str, str] | None = None
) -> SimReply:
    """An answer with a JSON body."""
    return SimReply(status, json.dumps(content).encode(), headers or {})


def vbs_error(status: int, code: str, message: str) -> SimReply:
    """The envelope of VBS: `{"error": {"code", "message"}}`."""
    return json_reply(status, {"error": {"code": code, "message": message}})


def gateway_error(
    status: int, code: str, message: str, request_id: str, headers: dict[str, str] | None = None
) -> SimReply:
    """The envelope of the API gateway: `{"error_code", "error_msg", "request_id"}`."""
    content = {"error_msg": message, "error_code": code, "request_id": request_id}
    return json_reply(status, content, headers)


_FAULT_NAMES = {
    400: "badRequest",
    403: "forbidden",
    404: "itemNotFound",
    405: "badMethod",
    409: "conflictingRequest",
    413: "overLimit",
}


def openstack_fault(status: int, message: str, headers: dict[str, str] | None = None) -> SimReply:
    """The envelope of Cinder: `{"badRequest": {"code": 400, "message"}}` and the like."""
    name = _FAULT_NAMES.get(status, "computeFault")
    return json_reply(status, {name: {"code": status, "message": message}}, headers)


def with_key(reply: SimReply, key: str | None, value: str | None) -> SimReply:
    """The same fault with one more entry in its envelope."""
    if key is not None:
        content = json.loads(reply.body)
        for envelope in content.values():
            envelope[key] = value
        reply.body = json.dumps(content).encode()
    return reply


def with_nulls(body: bytes) -> bytes:
    """The same JSON with null instead of every empty list, map and text."""
    content = load_json(body)
    return body if content is None else json.dumps(_nulls(content)).encode()


def _nulls(value: Any) -> Any:
    if isinstance(value, dict):
        value = {key: _nulls(entry) for key, entry in value.items()}
    elif isinstance(value, list):
        value = [_nulls(entry) for entry in value]
    return None if value in ({}, [], "") else value


def forgetful(request: SimRequest, names: Collection[str]) -> SimRequest:
    """The same request without these parts of its query."""
    kept = {name: value for name, value in request.query.items() if name not in names}
    return replace(request, query=kept)


def keystone_error(status: int, message: str, headers: dict[str, str] | None = None) -> SimReply:
    """The envelope of Keystone: `{"error": {"code", "message", "title"}}`."""
    title = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found"}
    content = {"code": status, "message": message, "title": title.get(status, "Error")}
    return json_reply(status, {"error": content}, headers)


def load_json(body: bytes) -> Any:
    """The body as JSON, or None when it is none."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


@lru_cache(maxsize=1)
def bomb() -> bytes:
    """About a megabyte of gzip that unpacks to a gigabyte of blanks; it has no end of its own."""
    packing = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    first = packing.compress(b" ") + packing.flush(zlib.Z_FULL_FLUSH)
    block = packing.compress(b" " * (1 << 20)) + packing.flush(zlib.Z_FULL_FLUSH)
    return first + 1024 * block


@lru_cache(maxsize=4096)
def cinder_time(at: float) -> str:
    """A time as block storage writes it: UTC without a zone."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")


def zulu_time(at: float, *, digits: int = 3) -> str:
    """A time as Keystone (six digits) and cloud jobs (three digits) write it: UTC with a `Z`."""
    text = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
    return text[: len(text) - 6 + digits] + "Z"
