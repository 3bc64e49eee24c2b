"""Finds the access key (AK/SK) of a cloud: in clouds.yaml, then in the environment.

A key under `auth:` is for everything. One next to `auth:` is what OBS tools read, so it counts only
if nothing else signs in. The environment counts only if the entry names no user at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vbsbatch.cloud.signing import AccessKey
from vbsbatch.errors import SignInError

AUTH_TYPE = "aksk"
"""The `auth_type` that chooses a key, whatever else the entry has."""

Names = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]

_IN_FILES: Names = (("ak", "access_key"), ("sk", "secret_key"), ("security_token",))
_IN_ENVIRONMENT: tuple[Names, ...] = (
    (("OS_ACCESS_KEY",), ("OS_SECRET_KEY",), ("OS_SECURITY_TOKEN",)),
    (
        ("HUAWEICLOUD_SDK_AK",),
        ("HUAWEICLOUD_SDK_SK",),
        ("HUAWEICLOUD_SDK_SECURITY_TOKEN",),
    ),
)
_PLUGINS = (None, "", "password", "v3password", AUTH_TYPE)
_OTHER_SECRETS = ("password", "token", "passcode", "application_credential_secret")
_PERSONS = ("username", "user_id", "application_credential_id")


def find_key(
    config: Mapping[str, Any], environment: Mapping[str, str], where: str
) -> AccessKey | None:
    """Return the key to sign with, None where something else signs in.

    `config` is the cloud's entry, merged from every source; `where` names it in errors. Raises
    `SignInError` for half a key, and for a key beside a password.
    """
    auth = config.get("auth") or {}
    chosen = config.get("auth_type") == AUTH_TYPE
    others = config.get("auth_type") not in _PLUGINS or _holds(auth, config, _OTHER_SECRETS)
    named = others or _holds(auth, config, _PERSONS)
    if key := _key(auth, _IN_FILES, f"{where}: auth"):
        if others and not chosen:
            raise SignInError(
                f"{where}: auth has a password and an access key: remove one, or set"
                f" auth_type: {AUTH_TYPE} to use the key"
            )
        return key
    if (chosen or not named) and (key := _key(config, _IN_FILES, where)):
        return key
    for names in _IN_ENVIRONMENT if chosen or not named else ():
        if key := _key(environment, names, "environment"):
            return key
    if chosen:
        raise SignInError(
            f"{where}: no access key: set ak and sk under auth: in clouds.yaml or secure.yaml,"
            " or OS_ACCESS_KEY and OS_SECRET_KEY"
        )
    return None


def _holds(auth: Mapping[str, Any], config: Mapping[str, Any], names: tuple[str, ...]) -> bool:
    return any(auth.get(name) or config.get(name) for name in names)


def _key(source: Mapping[str, Any], names: Names, where: str) -> AccessKey | None:
    """Return the key that a mapping holds, None when it holds neither half."""
    ak, sk, token = (_text(source, spellings, where) for spellings in names)
    if ak is None and sk is None:
        return None
    if ak is None or sk is None:
        missing = names[0][0] if ak is None else names[1][0]
        raise SignInError(f"{where}: the access key is incomplete: {missing} is missing")
    return AccessKey(ak=ak, sk=sk, security_token=token)


def _text(source: Mapping[str, Any], spellings: tuple[str, ...], where: str) -> str | None:
    for name in spellings:
        if (value := source.get(name)) not in (None, ""):
            text = str(value).strip()  # a blank that was copied along is a common cause of a 401
            if not text.isascii() or not text.isprintable() or " " in text or not text:
                raise SignInError(f"{where}: {name} contains characters that no access key has")
            return text
    return None
