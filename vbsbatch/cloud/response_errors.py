"""What the answer to a read means: a document, an unknown object, or one of our errors."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vbsbatch.cloud.endpoints import shown
from vbsbatch.cloud.response_parser import Refusal, is_page, read_object, read_refusal
from vbsbatch.errors import CloudRefused, CloudUnavailable
from vbsbatch.model import BLOCKED, Answer, is_too_fast

if TYPE_CHECKING:
    from vbsbatch.cloud.session import Reply, Session

_AGAIN_LATER = frozenset({408, 413, 425})
"""Statuses that are temporary for every read, besides those of a rate limit."""

_IN_THE_WAY = frozenset({403, 404, 405})
"""What a reloading gateway answers instead of the service, besides redirects."""

_DOWN = re.compile(r"Service \S+ could not be found")
"""Cinder's 404 to a deletion while no backup service is up: nothing is deleted."""

_NO_OBJECT = frozenset(
    {"common.0011", "BackupService.6200", "BackupService.6217", "BackupService.6500"}
    | {"BackupService.6501"}
)
"""Codes that say that there is no such job, backup, checkpoint, log or task, with 400 or 404."""

_NO_API = re.compile(r"The resource could not be found")
"""OpenStack's 404 for a path that it does not have."""

_FORBIDDEN = re.compile(
    r"policy|quota|permission|privilege|right|not (?:allowed|authori[sz]ed)|exceed|end.of.life"
    r"|discontinued|no longer",
    re.IGNORECASE,
)
"""A 403 that says why is from the service itself."""


def read_success(session: Session, reply: Reply) -> dict[str, Any]:
    """Return the JSON object of a 2xx; raises `CloudUnavailable` or `CloudRefused` otherwise."""
    if not 200 <= reply.status < 300:
        raise refusal_of(session, reply)
    document = read_object(reply.body)
    if document is None:
        raise _unreadable(session, reply)
    session.way.heard(reply.address)
    return document


def check_done(session: Session, reply: Reply) -> None:
    """Check that a request without an answer body was accepted; raises likewise."""
    if not 200 <= reply.status < 300:
        raise refusal_of(session, reply)
    if is_page(reply.body):
        raise _unreadable(session, reply)


def _unreadable(session: Session, reply: Reply) -> CloudRefused | CloudUnavailable:
    """The error for a 2xx that is no answer of the service."""
    if is_page(reply.body) and not session.way.passing(reply.address, page=True):
        said = (read_refusal(reply.headers, reply.body, session.now()).message or "")[:200]
        text = f"a web page instead of an API answer: this is not the service ({said})"
        return CloudRefused(f"{reply.status}: {text}", status=reply.status)
    return CloudUnavailable("the answer is not a JSON object", status=reply.status)


def is_unknown(session: Session, reply: Reply) -> bool:
    """True when the service itself says that it does not know the object.

    A 404 of a proxy (no JSON), of the gateway (no such API) or of a Cinder whose backup service is
    down says nothing about the object. One of unclear origin counts when it lasts.
    """
    if reply.status not in (400, 404):
        return False
    refusal = read_refusal(reply.headers, reply.body, session.now())
    if refusal.code not in _NO_OBJECT:
        if reply.status != 404 or not refusal.json or _is_down(reply, refusal):
            return False
        if not refusal.spoken or _NO_API.match(refusal.message or ""):
            gateway = (refusal.code or "").startswith("APIG") or refusal.message is None
            return not gateway and not session.way.passing(reply.address)
    session.way.heard(reply.address)
    return True


def refusal_of(session: Session, reply: Reply) -> CloudRefused | CloudUnavailable:
    """The error for an answer to a read.

    Throttling, 408 and 5xx are temporary, and for a while also what answers in the place of the
    service.
    """
    refusal = read_refusal(reply.headers, reply.body, session.now(), status=reply.status)
    said = " ".join(filter(None, (refusal.code, refusal.message))) or "no reason given"
    text = f"{reply.status}: {said}"
    if refusal.request_id:
        text += f" (request {refusal.request_id})"
    if _is_passing(session, reply, refusal):
        return CloudUnavailable(text, status=reply.status, retry_after=refusal.retry_after)
    if where := redirection(reply):
        text = f"{reply.status}: {where}"
    return CloudRefused(text, status=reply.status, code=refusal.code)


def redirection(reply: Reply) -> str | None:
    """Where a redirect points, for a person; it is never followed. None for any other answer."""
    target = reply.headers.get("location")
    if not 300 <= reply.status < 400 or (reply.status == 300 and not target):
        return None
    return f"a redirect to {shown(target or 'nowhere')}: the endpoint is not the service's"


def _is_passing(session: Session, reply: Reply, refusal: Refusal) -> bool:
    if reply.status in _AGAIN_LATER or reply.status >= 500 or _is_down(reply, refusal):
        return True
    if reply.status == BLOCKED:
        return not session.way.lasts(reply.address)
    if is_too_fast(reply.status, refusal.code, refusal.message):
        return True
    blocked = reply.status in _IN_THE_WAY or 300 <= reply.status < 400
    return blocked and session.way.passing(reply.address)


def on_its_way(session: Session, reply: Reply, answer: Answer) -> Answer:
    """The answer to a create, restore or deletion, marked where it is not the service's own."""
    status = reply.status
    if 200 <= status < 300:
        if answer.readable:
            session.way.heard(reply.address)
        return answer
    gateway = (answer.code or "").startswith("APIG")
    foreign = gateway or not answer.json or bool(_NO_API.match(answer.message or ""))
    blocked = (
        300 <= status < 400
        or (status in (404, 405) and foreign)
        or (status == 403 and _says_nothing(answer, gateway=gateway))
    )
    if not blocked or is_too_fast(status, answer.code, answer.message):
        return answer
    return replace(answer, passing=session.way.passing(reply.address))


def _says_nothing(answer: Answer, *, gateway: bool) -> bool:
    if answer.code is not None and not gateway:
        return False
    return not answer.json or not _FORBIDDEN.search(answer.message or "")


def _is_down(reply: Reply, refusal: Refusal) -> bool:
    return reply.status == 404 and bool(_DOWN.match(refusal.message or ""))
