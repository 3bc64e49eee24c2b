"""What `OS_*` variables say over an entry of clouds.yaml, as the command `openstack` takes them.

openstacksdk alone takes them only as a cloud of their own, which is where no entry is named.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_BESIDE_AUTH = (
    "region_name",
    "interface",
    "auth_type",
    "cacert",
    "cert",
    "key",
    "default_domain",
    "identity_api_version",
)
_WHERE = ("region_name", "interface", "cacert", "cert", "key")
_PROJECT = ("auth_url", "project_id", "project_name", "project_domain_id", "project_domain_name")
_OLD_NAMES = {"project_id": "OS_TENANT_ID", "project_name": "OS_TENANT_NAME"}
_WITH_DOMAINS = ("password", "v3password", "v3totp")
_DOMAINS = ("user_domain", "project_domain")


def over_entry(config: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    """Return what the environment says over a cloud's entry (`config`, merged from the files).

    In the form that `OpenStackConfig.get_one` takes. Of what signs in, only what the entry's
    `auth_type` knows. Raises what keystoneauth raises for one that it does not know.
    """
    said = _said(_BESIDE_AUTH, environment)
    kind = said.get("auth_type") or config.get("auth_type")
    auth = _said(_options(str(kind)), environment) if kind else {}
    # Beside `auth` and in it: which of the two wins differs from option to option.
    return {**auth, **said, **({"auth": auth} if auth else {})}


def over_key_entry(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the same for an entry with an access key, which is not signed in with a plugin."""
    auth = _said(_PROJECT, environment)
    return {**_said(_WHERE, environment), **({"auth": auth} if auth else {})}


def with_default_domain(config: dict[str, Any]) -> dict[str, Any]:
    """Fill in the domain of user and project where version 3 of identity is asked for by name.

    A hook of `OpenStackConfig`, before it makes the plugin that signs in.
    """
    asked = str(config.get("identity_api_version", "")) == "3"
    if asked and config.get("auth_type") in _WITH_DOMAINS:
        domain = config.get("default_domain") or "default"
        for name in _DOMAINS:
            if not (config["auth"].get(f"{name}_id") or config["auth"].get(f"{name}_name")):
                config["auth"][f"{name}_id"] = domain
    return config


def _options(kind: str) -> tuple[str, ...]:
    """The options of an `auth_type`."""
    from keystoneauth1 import loading

    options = loading.get_plugin_loader(kind).get_options()
    return tuple(option.name.replace("-", "_") for option in options)


def _said(names: tuple[str, ...], environment: Mapping[str, str]) -> dict[str, str]:
    found = {}
    for name in names:
        value = environment.get(f"OS_{name.upper()}")
        if value := value or environment.get(_OLD_NAMES.get(name, "")):
            found[name] = value
    return found
