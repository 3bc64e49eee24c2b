"""Which environment variables a start by the clock needs, and which must not be written down."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from vbsbatch.errors import UsageError

_KEPT = frozenset(
    {
        "OS_CLOUD",
        "OS_CLIENT_CONFIG_FILE",
        "OS_CLIENT_SECURE_FILE",
        "OS_AUTH_URL",
        "OS_AUTH_TYPE",
        "OS_IDENTITY_API_VERSION",
        "OS_INTERFACE",
        "OS_REGION_NAME",
        "OS_PROJECT_ID",
        "OS_PROJECT_NAME",
        "OS_PROJECT_DOMAIN_ID",
        "OS_PROJECT_DOMAIN_NAME",
        "OS_USER_DOMAIN_ID",
        "OS_USER_DOMAIN_NAME",
        "OS_USERNAME",
        "OS_USER_ID",
        "OS_TENANT_ID",
        "OS_TENANT_NAME",
        "OS_DOMAIN_ID",
        "OS_DOMAIN_NAME",
        "OS_APPLICATION_CREDENTIAL_ID",
        "OS_APPLICATION_CREDENTIAL_NAME",
        "OS_VOLUME_API_VERSION",
        "OS_CACERT",
        "VBSBATCH_CONFIG",
        "XDG_CONFIG_HOME",
        "XDG_STATE_HOME",
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "NO_PROXY",
        "no_proxy",
    }
)
"""Variables without secrets that lead to the same cloud, project, config file and store."""

_PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "https_proxy", "http_proxy", "all_proxy")
"""They may hold a password, and are kept if they do not."""

_PATHS = ("OS_CLIENT_CONFIG_FILE", "OS_CLIENT_SECURE_FILE", "OS_CACERT", "VBSBATCH_CONFIG")

_SECRET = re.compile(r"^(OS|HUAWEICLOUD)_.*(PASSWORD|PASSCODE|SECRET|TOKEN|ACCESS_KEY|_AK$|_SK$)")

_SIGN_IN = ("OS_AUTH_URL", "OS_ACCESS_KEY", "HUAWEICLOUD_SDK_AK", "OS_TOKEN")


def kept_variables(given: Mapping[str, str], set_by_config: Mapping[str, str]) -> dict[str, str]:
    """The variables for the units. What the config file says comes from there each night."""
    found = {
        name: value
        for name, value in given.items()
        if value and (name in _KEPT or (name in _PROXIES and "@" not in value))
    }
    for name in _PATHS:
        if name in found:
            found[name] = os.path.abspath(Path(found[name]).expanduser())
    return {name: value for name, value in found.items() if set_by_config.get(name) != value}


def secrets_of(given: Mapping[str, str]) -> list[str]:
    """The names of variables that hold secrets of a sign-in."""
    proxies = [name for name in _PROXIES if "@" in given.get(name, "")]
    return sorted([name for name in given if given[name] and _SECRET.match(name)] + proxies)


def signs_in_by_variables(given: Mapping[str, str]) -> bool:
    """Whether the variables alone sign in, without an entry of clouds.yaml."""
    return any(given.get(name) for name in _SIGN_IN)


def checked_file(named: str) -> str:
    """The absolute path of a file of variables; `UsageError` if others can read or change it."""
    path = os.path.abspath(Path(named).expanduser())
    try:
        status = os.stat(path)
    except OSError as error:
        raise UsageError(f"--environment-file {path}: {error.strerror}") from error
    if not stat.S_ISREG(status.st_mode):
        raise UsageError(f"--environment-file {path}: it is no regular file")
    if status.st_uid not in (os.geteuid(), 0) or status.st_mode & 0o077:
        raise UsageError(
            f"--environment-file {path}: others can read or change it: chmod 600 makes it yours"
        )
    return path
