"""The wall to the identity service: what its client raises, as one line that says what to do."""

from __future__ import annotations

import re
from collections.abc import Collection

from vbsbatch.cloud.foreign import causes, network_reason, words
from vbsbatch.errors import CloudUnavailable, SignInError
from vbsbatch.model import is_too_fast

_SAID_MOST = 2000  # characters of an answer that are looked at for what it says
_TOLD = re.compile(r"check|set cacert|cert:|_PROXY")
"""Words of a reason that says what to do already."""


def translated(
    error: Exception,
    where: str,
    secrets: Collection[str],
    *,
    renewing: bool,
    auth_type: str = "password",
) -> SignInError | CloudUnavailable:
    """Translate whatever a sign-in ended with; `where` names the cloud and its auth_url.

    An outage is `CloudUnavailable` while renewing and `SignInError` at the start, where a person
    waits and nothing is lost. None of `secrets` is in the text.
    """
    text, outage = _reason(error, auth_type)
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
    words = f"{where}: {text}"
    wait = _wait(error)
    if outage and renewing:
        return CloudUnavailable(words, retry_after=wait)
    passing = outage and _status(error) is not None
    advice = _advice(text, passing=passing)
    return SignInError(words + advice, passing=passing, retry_after=wait)


def _is_busy(status: int, error: Exception) -> bool:
    """Whether a refusal is one of this moment: a rate limit, in whatever words, or an outage."""
    if status in (408, 413) or status >= 500:
        return True
    replies = (getattr(link, "response", None) for link in causes(error))
    said = [str(getattr(reply, "text", ""))[:_SAID_MOST] for reply in replies if reply is not None]
    return is_too_fast(status, None, " ".join([words(error), *said]))


def _wait(error: Exception) -> float | None:
    """How long the identity service wants to be left alone (seconds), where it says so."""
    told = (getattr(link, "retry_after", None) for link in causes(error))
    return next((float(each) for each in told if isinstance(each, int | float) and each), None)


def _advice(text: str, *, passing: bool) -> str:
    """Return what a person can do about a reason that does not say it."""
    if passing:
        return ": try again later"
    return "" if _TOLD.search(text) else ": check auth_url, and that it can be reached from here"


def _reason(error: Exception, auth_type: str) -> tuple[str, bool]:
    """Return what to tell a person, and whether the same sign-in may succeed later."""
    if any(type(link).__name__ == "MissingAuthPlugin" for link in causes(error)):
        return "auth_url leads to no Keystone (it wants a token itself): check auth_url", False
    if (status := _status(error)) is not None:
        return _refused(status, error, auth_type), _is_busy(status, error)
    if network := network_reason(error):
        return network, True
    named = {type(link).__name__ for link in causes(error)}
    if named & {"ConnectTimeout", "Timeout", "ReadTimeout", "TimeoutError"}:
        return "the identity service does not answer in time", True
    if named & {"DiscoveryFailure", "InvalidResponse", "VersionNotAvailable"}:
        return f"auth_url leads to no Keystone ({words(error).rstrip('.')}): check auth_url", True
    if named & {"ConnectFailure", "UnknownConnectionError", "ConnectionError"}:
        return f"no connection to the identity service: {words(error)}", True
    if named & {"EmptyCatalog", "EndpointNotFound"}:
        return "the token has no catalog: name a project (project_name) in clouds.yaml", False
    return f"cannot sign in: {words(error)}", False


def _status(error: Exception) -> int | None:
    """Return the HTTP status the identity service refused with, wherever in the chain it is."""
    for link in causes(error):
        status = getattr(link, "http_status", None)
        if isinstance(status, int) and status >= 300:
            return status
    return None


def _refused(status: int, error: Exception, auth_type: str) -> str:
    if _is_busy(status, error):
        return f"the identity service is unavailable ({status})"
    if status == 401:
        means = _means(auth_type)
        return f"the identity service refused the credentials (401): check {means}"
    if status == 403:
        return "the identity service forbids this sign-in (403): check whether the user is locked"
    if status == 404:
        return "auth_url leads to no Keystone (404): check auth_url"
    return f"the identity service refused the sign-in ({status}): {words(error)}"


def _means(auth_type: str) -> str:
    """Name what this kind of sign-in proves itself with."""
    if "password" in auth_type:
        return "user, password, project"
    if "applicationcredential" in auth_type:
        return "the application credential, which may have expired"
    if "token" in auth_type:
        return "the token, which may have expired"
    return "auth: in clouds.yaml"
