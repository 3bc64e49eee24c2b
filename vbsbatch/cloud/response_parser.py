"""From (status, headers, bytes) to values: every envelope a cloud, gateway or proxy may send.

Pure, knows no HTTP library, and never raises whatever the bytes are. Four kinds of refusal exist:
the service's ``{"error": {"code", "message"}}`` (Keystone's too, whose `code` is only the status),
the gateway's ``{"error_code", "error_msg", "request_id"}``, OpenStack's ``{"badRequest": {...}}``,
and anything else: a proxy's page, cut or binary data. Text is made harmless here, once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from vbsbatch.cloud.response_values import clean, usable_id
from vbsbatch.cloud.retry_after import reset_of, wait_of, worded_wait
from vbsbatch.masking import masked_start
from vbsbatch.model import Answer, Rate, is_too_fast, plain_id

_CODE_MAX = 64
_PAGE_LOOK = 8192  # characters of a page without JSON that are worth reading
_LIMIT = re.compile(
    r"limit:\s*([0-9]{1,9})\s*,\s*time:\s*([0-9]{1,6})?\s*(second|minute|hour|day)", re.I | re.ASCII
)
_UNITS = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86400.0}
_TAG = re.compile(r"<[^<>]*>")
_PAGE = re.compile(rb"\s*(?:\xef\xbb\xbf)?<(?:!doctype|html|head|body|\?xml|h[1-6]|title)", re.I)


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
    wait = wait_of(headers, document, now)
    if not wait and is_too_fast(status, code, message):
        other = reset_of(headers, now) or worded_wait(message)
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
