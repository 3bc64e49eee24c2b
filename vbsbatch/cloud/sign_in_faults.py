"""Translates what the identity service's client raises into one line that says what to do."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from vbsbatch.cloud.response_parser import read_refusal
from vbsbatch.cloud.response_values import clean
from vbsbatch.cloud.transport_errors import causes, network_reason, told, without, words
from vbsbatch.errors import CloudUnavailable, SignInError
from vbsbatch.model import is_too_fast

_SAID_MOST = 2000  # characters of an answer that are looked at for what it says
_TOLD = re.compile(r"check|set cacert|cert:|_PROXY")
"""Words of a reason that already says what to do."""
_WORDS_MOST = 240
_TAIL = re.compile(r"\s*\(HTTP \d{3}\)|\s*\(Request-ID: [^)]*\)")
_USUAL = re.compile(
    r"^(The request you have made requires authentication|Unauthorized|Forbidden|Bad Request"
    r"|Not Found|Internal Server Error|Service Unavailable|Bad Gateway|Gateway Timeout"
    r"|Unknown Error)?\.?$",
    re.I,
)
"""Texts of a refusal that explain nothing."""


def translated(
    error: Exception,
    where: str,
    secrets: Collection[str],
    *,
    renewing: bool,
    auth_type: str = "password",
    blocked: bool | None = None,
) -> SignInError | CloudUnavailable:
    """Translate any end of a sign-in; `where` names the cloud and its auth_url.

    An outage is `CloudUnavailable` while renewing and `SignInError` at the start, where a person
    waits and nothing is lost. None of `secrets` is in the text. `blocked`: something else answered
    in the place of the identity service; True if it may be gone soon.
    """
    text, outage = _reason(error, auth_type, secrets)
    if blocked is not None:
        outage = blocked
    text = without(text, secrets)
    words = f"{where}: {text}"
    wait = _wait(error)
    if outage and renewing:
        return CloudUnavailable(words, retry_after=wait)
    passing = blocked or (outage and _status(error) is not None)
    advice = _advice(text, passing=passing)
    return SignInError(words + advice, passing=passing, retry_after=wait)


def _is_busy(status: int, error: Exception) -> bool:
    """Whether a refusal is temporary: a rate limit, in whatever words, or an outage."""
    if status in (408, 413) or status >= 500:
        return True
    replies = (getattr(link, "response", None) for link in causes(error))
    said = [str(getattr(reply, "text", ""))[:_SAID_MOST] for reply in replies if reply is not None]
    return is_too_fast(status, None, " ".join([words(error), *said]))


def _wait(error: Exception) -> float | None:
    """Seconds to wait before the next request, if the identity service names any."""
    told = (getattr(link, "retry_after", None) for link in causes(error))
    return next((float(each) for each in told if isinstance(each, int | float) and each), None)


def _advice(text: str, *, passing: bool) -> str:
    """What a person can do about a reason that does not say it."""
    if passing:
        return ": try again later"
    return "" if _TOLD.search(text) else ": check auth_url, and that it can be reached from here"


def _reason(error: Exception, auth_type: str, secrets: Collection[str]) -> tuple[str, bool]:
    """The reason for a person, and whether the same sign-in may succeed later."""
    if factor := next((link for link in causes(error) if _lacks_factor(link)), None):
        return _missing_factor(factor, secrets), False
    if any(type(link).__name__ == "MissingAuthPlugin" for link in causes(error)):
        return "auth_url does not lead to a Keystone (it requires a token): check auth_url", False
    if unusable := next(filter(_is_unusable, causes(error)), None):
        return words(unusable, secrets), False
    if (status := _status(error)) is not None:
        return _refused(status, error, auth_type, secrets), _is_busy(status, error)
    if network := network_reason(error):
        return network, True
    named = {type(link).__name__ for link in causes(error)}
    if named & {"ConnectTimeout", "Timeout", "ReadTimeout", "TimeoutError"}:
        return "the identity service does not answer in time", True
    if named & {"DiscoveryFailure", "InvalidResponse", "VersionNotAvailable"}:
        return (
            "auth_url does not lead to a Keystone"
            f" ({words(error, secrets).rstrip('.')}): check auth_url",
            True,
        )
    if named & {"ConnectFailure", "UnknownConnectionError", "ConnectionError"}:
        return f"no connection to the identity service: {words(error, secrets)}", True
    if named & {"EmptyCatalog", "EndpointNotFound"}:
        return "the token has no catalog: name a project (project_name) in clouds.yaml", False
    return f"cannot sign in: {words(error, secrets)}", False


def _lacks_factor(link: BaseException) -> bool:
    return type(link).__name__ == "MissingAuthMethods"


def _missing_factor(link: BaseException, secrets: Collection[str]) -> str:
    wanted = clean(without(str(getattr(link, "required_auth_methods", "")), secrets), 200)
    advice = "check auth_type (v3multifactor) and auth_methods in clouds.yaml"
    return f"another factor is missing; required: {wanted}: {advice}"


def _is_unusable(error: BaseException) -> bool:
    """Whether `bounded_sign_in` refused the answer."""
    return type(error).__name__ == "UnusableAnswer"


def _status(error: Exception) -> int | None:
    """Return the HTTP status the identity service refused with, wherever in the chain it is."""
    for link in causes(error):
        status = _http_status(link)
        if status is not None and status >= 300:
            return status
    return None


def _http_status(link: BaseException) -> int | None:
    status = getattr(link, "http_status", None)
    return status if isinstance(status, int) else None


def _refused(status: int, error: Exception, auth_type: str, secrets: Collection[str]) -> str:
    said = _said(error, secrets)
    if _is_busy(status, error):
        return f"the identity service is unavailable ({status}){said}"
    if status == 401:
        means = _means(auth_type)
        return f"the identity service refused the credentials (401){said}: check {means}"
    if status == 403:
        said = said or ": check whether the user is locked"
        return f"the identity service forbids this sign-in (403){said}"
    if status == 404:
        return "auth_url does not lead to a Keystone (404): check auth_url"
    return f"the identity service refused the sign-in ({status}){said}"


def _said(error: Exception, secrets: Collection[str]) -> str:
    """The identity service's own words in quotes, if they say more than the usual.

    Secrets are removed before the text is cut: half a password is a secret too.
    """
    for link in causes(error):
        if _http_status(link) is not None:
            text = clean(_words_in(link, secrets), _WORDS_MOST)
            if text and not _USUAL.search(text):
                return f': "{text}"'
    return ""


def _words_in(link: BaseException, secrets: Collection[str]) -> str:
    """The message of the answer in any envelope, else keystoneauth's own words."""
    body = getattr(getattr(link, "response", None), "content", None)
    if isinstance(body, bytes):
        bare = without(body.decode("utf-8", "replace"), secrets).encode("utf-8", "replace")
        refusal = read_refusal({}, bare, 0.0)
        if refusal.json and refusal.message:
            return without(refusal.message, secrets)
    return without(_TAIL.sub("", told(link)), secrets)


def only_once(config: Mapping[str, Any]) -> str | None:
    """What a cloud's entry signs in with if that works only once; None if it works again."""
    kind = str(config.get("auth_type"))
    methods = [kind, *map(str, config.get("auth_methods") or ())]
    auth = config.get("auth") or {}
    if any("totp" in method for method in methods) or auth.get("passcode"):
        return "a one-time passcode"
    if kind == "v3oidcauthcode":
        return "a one-time authorization code"
    plain = ("token", "v2token", "v3token", "v3oidcaccesstoken")
    return "a plain token" if any(method in plain for method in methods) else None


def _means(auth_type: str) -> str:
    """What to check for this kind of sign-in."""
    if "password" in auth_type:
        return "user, password, project"
    if "applicationcredential" in auth_type:
        return "the application credential, which may have expired"
    if "token" in auth_type:
        return "the token, which may have expired"
    return "auth: in clouds.yaml"
