"""What the answer to a read means: a document, an unknown thing, or an error of ours."""

from __future__ import annotations

import re
from typing import Any

from vbsbatch.cloud.answers import Refusal, read_object, read_refusal
from vbsbatch.cloud.endpoints import shown
from vbsbatch.cloud.session import Reply, Session
from vbsbatch.errors import CloudRefused, CloudUnavailable

_AGAIN_LATER = frozenset({408, 429})
_DOWN = re.compile(r"Service \S+ could not be found")
"""What Cinder says to a deletion, as 404, while no backup service is up: nothing is deleted."""


def read_success(session: Session, reply: Reply) -> dict[str, Any]:
    """Return the JSON object of a 2xx; raises `CloudUnavailable` or `CloudRefused` otherwise."""
    if not 200 <= reply.status < 300:
        raise refusal_of(session, reply)
    document = read_object(reply.body)
    if document is None:
        raise CloudUnavailable("the answer is no JSON object", status=reply.status)
    return document


def is_unknown(session: Session, reply: Reply) -> bool:
    """True when the service itself says that it does not know the thing asked for.

    A 404 of a proxy (no JSON), of the gateway (no such API) or of a Cinder whose backup service is
    down says nothing about the thing.
    """
    if reply.status not in (400, 404):
        return False
    refusal = read_refusal(reply.headers, reply.body, session.now())
    if refusal.code == "common.0011":
        return True
    gateway = (refusal.code or "").startswith("APIG")
    known = refusal.json and not gateway and refusal.message is not None
    return reply.status == 404 and known and not _is_down(reply, refusal)


def refusal_of(session: Session, reply: Reply) -> CloudRefused | CloudUnavailable:
    """Return the error that an answer to a read is: 408, 429 and 5xx are asked again later."""
    refusal = read_refusal(reply.headers, reply.body, session.now())
    said = " ".join(filter(None, (refusal.code, refusal.message))) or "no reason given"
    text = f"{reply.status}: {said}"
    if refusal.request_id:
        text += f" (request {refusal.request_id})"
    if reply.status in _AGAIN_LATER or reply.status >= 500 or _is_down(reply, refusal):
        return CloudUnavailable(text, status=reply.status, retry_after=refusal.retry_after)
    if where := redirection(reply):
        text = f"{reply.status}: {where}"
    return CloudRefused(text, status=reply.status, code=refusal.code)


def redirection(reply: Reply) -> str | None:
    """Where a redirect points, for a person: it is never followed. None for any other answer."""
    target = reply.headers.get("location")
    if not 300 <= reply.status < 400 or (reply.status == 300 and not target):
        return None
    return f"a redirect to {shown(target or 'nowhere')}: the endpoint is not the service's"


def _is_down(reply: Reply, refusal: Refusal) -> bool:
    return reply.status == 404 and bool(_DOWN.match(refusal.message or ""))
