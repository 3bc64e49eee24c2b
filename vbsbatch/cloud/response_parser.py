"""From (status, headers, bytes) to values: every envelope a cloud, gateway or proxy may send.

Pure, knows no HTTP library, and never raises whatever the bytes are. Four kinds of refusal exist:
the service's ``{"error": {"code", "message"}}`` (Keystone's too, whose `code` is only the status),
the gateway's ``{"error_code", "error_msg", "request_id"}``, OpenStack's ``{"badRequest": {...}}``,
and anything else: a proxy's page, cut or binary data. Text is made harmless here, once.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from vbsbatch.masking import masked_start
from vbsbatch.model import Answer, Cloud, Rate, is_too_fast, plain_id

TEXT_MAX = 1000
"""Characters kept of any text of the server."""

RETRY_AFTER_MAX = 3600.0
"""Seconds; a longer `Retry-After` counts as this."""

_ABSURD = 366 * 86400.0  # a `Retry-After` beyond a year is a fault of the server, not a wish
_CODE_MAX = 64
_PAGE_LOOK = 8192  # characters of a page without JSON that are worth reading
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}", re.ASCII)
_SECONDS = re.compile(r"[+-]?[0-9]{1,12}(?:\.[0-9]{1,12})?", re.ASCII)
_LIMIT = re.compile(
    r"limit:\s*([0-9]{1,9})\s*,\s*time:\s*([0-9]{1,6})?\s*(second|minute|hour|day)", re.I | re.ASCII
)
_UNITS = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86400.0}
_TAG = re.compile(r"<[^<>]*>")
_PAGE = re.compile(rb"\s*(?:\xef\xbb\xbf)?<(?:!doctype|html|head|body|\?xml|h[1-6]|title)", re.I)
_WAIT_KEYS = ("retryafter", "retryin", "retryafterseconds", "retryafterms", "retryafterinseconds")
"""Keys of a body that name a time to wait, without case and separators."""
_WAIT_WORDS = re.compile(
    r"(?:retry|try again|wait|available)\b[^0-9]{0,24}([0-9]{1,6}(?:\.[0-9]{1,6})?)\s*"
    r"(ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?)\b",
    re.I | re.ASCII,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """What an answer says besides its status, in any envelope."""

    code: str | None = None
    """The service's or the gateway's code; None where only the status is repeated."""
    message: str | None = None
    request_id: str | None = None
    retry_after: float | None = None
    """Seconds from the moment of the answer, 0 to `RETRY_AFTER_MAX`."""
    limit: Rate | None = None
    json: bool = True
    """False when the body was no JSON object."""
    spoken: bool = True
    """Its envelope is the service's own, not that of a gateway or proxy."""


def read_create(status: int, headers: Mapping[str, str], body: bytes, now: float) -> Answer:
    """Read the answer to one create request.

    `headers` is looked up with lower-case names; `now` is our clock in epoch seconds. An accepted
    create names a cloud job (VBS) or a backup (Cinder); a 2xx with neither is not `readable`.
    """
    document = read_object(body)
    if not 200 <= status < 300:
        return _refused(status, headers, body, document, now)
    job_id = usable_id((document or {}).get("job_id"))
    backup = (document or {}).get("backup")
    backup_id = usable_id(backup.get("id")) if isinstance(backup, dict) else None
    if job_id is None and backup_id is None:
        return _refused(status, headers, body, document, now)
    return Answer(
        status=status,
        request_id=_request_id(headers, document),
        cloud_job_id=job_id,
        backup_id=backup_id,
    )


def read_change(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    now: float,
    *,
    restores: str | None = None,
    deletes: str | None = None,
    silent: bool = False,
) -> Answer:
    """Read the answer to a request that restores or deletes the backup of this id.

    A restore names its cloud job (VBS) or repeats what it restores (Cinder); one that does neither
    is not `readable`. A deletion is accepted with no body at all, and so is a restore that is
    `silent` (CBR).
    """
    document = read_object(body)
    job_id = usable_id((document or {}).get("job_id"))
    restore = (document or {}).get("restore")
    if silent:
        named = document is not None or body.strip() in (b"", b"null")
    elif restores is None:
        named = body.strip() in (b"", b"null", b"{}")
    else:
        named = isinstance(restore, dict) and restore.get("backup_id") == restores
    if not 200 <= status < 300 or not (job_id or named):
        return _refused(status, headers, body, document, now)
    return Answer(
        status=status,
        request_id=_request_id(headers, document),
        cloud_job_id=job_id,
        backup_id=restores or deletes,
    )


def _refused(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    document: dict[str, Any] | None,
    now: float,
) -> Answer:
    refusal = _refusal(status, headers, body, document, now)
    return Answer(
        status=status,
        code=refusal.code,
        message=refusal.message,
        request_id=refusal.request_id,
        retry_after=refusal.retry_after,
        limit=refusal.limit,
        readable=not 200 <= status < 300,
        json=refusal.json and (status != 404 or refusal.spoken),
    )


def read_checkpoint(
    status: int, headers: Mapping[str, str], body: bytes, now: float
) -> tuple[Answer, Mapping[str, Answer]]:
    """Read the answer to a checkpoint of several disks: as a whole, and for each disk it names.

    A disk among `resources` is accepted. One among `skipped_resources` is refused with a code. Of a
    disk in both or in neither nothing is known. The disks are keyed by `plain_id`.
    """
    document = read_object(body)
    checkpoint = (document or {}).get("checkpoint")
    checkpoint = checkpoint if isinstance(checkpoint, dict) else {}
    checkpoint_id = usable_id(checkpoint.get("id"))
    if not 200 <= status < 300 or checkpoint_id is None:
        return _refused(status, headers, body, document, now), {}
    whole = Answer(
        status=status, request_id=_request_id(headers, document), cloud_job_id=checkpoint_id
    )
    vault = checkpoint.get("vault")
    taken = _disks(vault, "resources")
    skipped = _disks(vault, "skipped_resources")
    told = {disk: whole for disk in taken if disk not in skipped}
    for disk, entry in skipped.items():
        if disk not in taken:
            told[disk] = replace(
                whole,
                cloud_job_id=None,
                skipped=True,
                code=_code(entry.get("code")),
                message=clean(entry.get("reason")),
            )
    return whole, told


def _disks(vault: object, key: str) -> dict[str, dict[str, Any]]:
    """The entries of a checkpoint's list, by the id of their disk."""
    entries = vault.get(key) if isinstance(vault, dict) else None
    found = [entry for entry in entries if isinstance(entry, dict)] if entries else []
    return {plain_id(each): entry for entry in found if (each := usable_id(entry.get("id")))}


def read_refusal(
    headers: Mapping[str, str], body: bytes, now: float, *, status: int | None = None
) -> Refusal:
    """Read an answer that is no success, in any envelope or none."""
    return _refusal(status, headers, body, read_object(body), now)


def _refusal(
    status: int | None,
    headers: Mapping[str, str],
    body: bytes,
    document: dict[str, Any] | None,
    now: float,
) -> Refusal:
    code, message = (None, _page_text(body)) if document is None else _code_and_message(document)
    wait = _wait(headers, document, now)
    if not wait and is_too_fast(status, code, message):
        other = _reset(headers, now) or _worded_wait(message)
        wait = wait if other is None else other
    return Refusal(
        code=code,
        message=message,
        request_id=_request_id(headers, document),
        retry_after=wait,
        limit=_limit(message),
        json=document is not None,
        spoken=document is not None and _is_spoken(document, code, message),
    )


def _is_spoken(document: dict[str, Any], code: str | None, message: str | None) -> bool:
    """Whether a refusal has the form of the service: its own code, or OpenStack's fault.

    Gateways have codes of their own, or a message without an envelope.
    """
    if code is not None:
        return not code.startswith("APIG")
    return any(isinstance(fault, dict) and "message" in fault for fault in document.values())


def is_page(body: bytes) -> bool:
    """Whether a body is a page for people."""
    return bool(_PAGE.match(body[:_PAGE_LOOK]))


def _wait(headers: Mapping[str, str], document: dict[str, Any] | None, now: float) -> float | None:
    """Seconds to wait, from header or body; None if neither names any.

    The header wins, unless it says 0.
    """
    date = headers.get("date")
    told = [retry_after(headers.get(name), date, now) for name in ("retry-after", "x-retry-after")]
    told += _told_waits(document, now) if document else []
    known = [wait for wait in told if wait is not None]
    return next((wait for wait in known if wait > 0), known[0] if known else None)


def _reset(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds until the gateway counts anew; headers give seconds or a time."""
    at = whole(headers.get("ratelimit-reset") or headers.get("x-ratelimit-reset"))
    if at is None:
        return None
    return retry_after(f"{at - now if at > _ABSURD else at:.3f}", None, now)


def _told_waits(document: dict[str, Any], now: float, depth: int = 0) -> list[float | None]:
    """The times to wait that a body names, at its top level or in its envelopes."""
    found: list[float | None] = []
    for key, value in document.items():
        plain = re.sub(r"[^a-z]", "", key.lower())
        if plain in _WAIT_KEYS:
            found.append(_body_wait(value, now, 0.001 if plain.endswith("ms") else 1.0))
        elif isinstance(value, dict) and depth < 2:
            found += _told_waits(value, now, depth + 1)
    return found


def _body_wait(value: object, now: float, unit: float) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return retry_after(f"{value * unit:.6f}", None, now) if math.isfinite(value) else None
    if not isinstance(value, str):
        return None
    if _SECONDS.fullmatch(value.strip()):
        return retry_after(f"{float(value) * unit:.6f}", None, now)
    if (until := iso_time(value)) is not None:
        return retry_after(f"{until - now:.6f}", None, now)
    spoken = _worded_wait(f"retry {value}")
    return retry_after(value, None, now) if spoken is None else spoken


def _worded_wait(message: str | None) -> float | None:
    """Seconds that a text names: "try again in 5 seconds"."""
    found = _WAIT_WORDS.search(message) if message else None
    if found is None:
        return None
    unit = found[2].lower()
    scale = 0.001 if unit in ("ms",) or unit.startswith("milli") else 60.0 if unit[0] == "m" else 1
    return min(float(found[1]) * scale, RETRY_AFTER_MAX)


def read_object(body: bytes) -> dict[str, Any] | None:
    """Parse the bytes as one JSON object; None for anything else."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _code_and_message(document: dict[str, Any]) -> tuple[str | None, str | None]:
    """Return the service's code and the text of a refusal, from whichever envelope it came in."""
    if "error_code" in document or "error_msg" in document:
        return _code(document.get("error_code")), clean(document.get("error_msg"))
    error = document.get("error")
    if isinstance(error, dict):
        return _code(error.get("code")), _message(error) or clean(error.get("title"))
    if isinstance(error, str):
        return None, clean(document.get("error_description") or document.get("message") or error)
    for name, fault in document.items():
        if isinstance(fault, dict) and "message" in fault:
            return _code(fault.get("code")), _message(fault) or clean(name)
    return _code(document.get("code")), clean(document.get("message"))


def _message(fault: dict[str, Any]) -> str | None:
    """The text of a fault, with its `details`, which name a rate limit."""
    message, details = clean(fault.get("message")), clean(fault.get("details"))
    return f"{message} ({details})" if message and details else message or details


def _code(value: object) -> str | None:
    """Return a service's code; a number (or digits) only repeats the status and is none."""
    if not isinstance(value, str) or not value.strip() or value.strip().isdigit():
        return None
    return clean(value.strip(), _CODE_MAX)


def _request_id(headers: Mapping[str, str], document: dict[str, Any] | None) -> str | None:
    for name in ("x-request-id", "x-openstack-request-id"):
        if value := headers.get(name):
            return clean(value, 128)
    return clean(document.get("request_id"), 128) if document else None


def _page_text(body: bytes) -> str | None:
    """Return the readable words of a page that is no JSON object, without its tags."""
    text = masked_start(body.decode("utf-8", "replace"), _PAGE_LOOK)
    return clean(" ".join(_TAG.sub(" ", text).split()))


def _limit(message: str | None) -> Rate | None:
    """Return the rate that the gateway's refusal names: ``limit:N,time:1 second``."""
    found = _LIMIT.search(message) if message else None
    if found is None:
        return None
    count, many, unit = int(found[1]), int(found[2] or 1), found[3].lower()
    return Rate(count=count, per=many * _UNITS[unit]) if count and many else None


def retry_after(value: str | None, date: str | None, now: float) -> float | None:
    """Resolve `Retry-After` to seconds from now, 0 to `RETRY_AFTER_MAX`; None if it makes no sense.

    The date form is taken relative to the answer's own `Date`, where that can be read: the server's
    clock need not be ours (RFC 9110, 10.2.3).
    """
    if value is None:
        return None
    value = value.strip()
    if _SECONDS.fullmatch(value):
        seconds = float(value)
    else:
        until = http_date(value)
        if until is None:
            return None
        since = http_date(date)
        seconds = until - (now if since is None else since)
    if seconds > _ABSURD:
        return None
    return min(max(seconds, 0.0), RETRY_AFTER_MAX)


def http_date(value: str | None) -> float | None:
    """Read an HTTP date as epoch seconds; None if it is none."""
    if not value:
        return None
    try:
        moment = parsedate_to_datetime(value[:64])
        return _epoch(moment)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def iso_time(value: object) -> Cloud | None:
    """Read an ISO 8601 time of the cloud; a time without a zone is UTC. None if it is none."""
    if not isinstance(value, str):
        return None
    try:
        return Cloud(_epoch(datetime.fromisoformat(value.strip()[:64])))
    except (ValueError, OverflowError):
        return None


def _epoch(moment: datetime) -> float:
    """Raises `OverflowError` for what is in no year that can be shown in UTC."""
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).timestamp()


def usable_id(value: object) -> str | None:
    """Return an id of the cloud that is safe in a URL, a file and on a screen, or None."""
    return value if isinstance(value, str) and _ID.fullmatch(value) else None


def whole(value: object) -> int | None:
    """Return a number, or text that is one, as an integer; None for anything else."""
    if isinstance(value, str) and _SECONDS.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if math.isfinite(value) and abs(value) < 2**53 else None


def clean(value: object, most: int = TEXT_MAX) -> str | None:
    """Return the server's text made harmless, at most `most` characters; None without any.

    Control, C1, bidirectional, surrogate and other unprintable characters become U+FFFD, any white
    space a blank: nothing in it can move a cursor, colour a screen or turn a line around.
    """
    if not isinstance(value, str):
        return None
    text = masked_start(value, most + 1)
    if not text.isprintable():
        text = "".join(map(_harmless, text))
    text = text.strip()
    if len(text) > most:
        text = text[: most - 1] + "…"
    return text or None


def _harmless(character: str) -> str:
    if character.isprintable():
        return character
    return " " if character.isspace() else "\ufffd"
