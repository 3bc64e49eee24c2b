"""clouds.yaml, secure.yaml and `OS_*` variables, as openstacksdk reads them: one cloud out of many.

openstacksdk ignores a file that it cannot read or parse. Whoever wrote one wants to know, so the
files are checked first. No message quotes a file: the wrong line may hold the password.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

from vbsbatch.cloud.access_keys import find_key
from vbsbatch.cloud.endpoints import shown
from vbsbatch.cloud.session import quieten
from vbsbatch.cloud.signing import AccessKey
from vbsbatch.cloud.transport_errors import words
from vbsbatch.errors import SignInError
from vbsbatch.model import did_you_mean, near_path
from vbsbatch.version import __version__

_FILES = (("OS_CLIENT_CONFIG_FILE", "CONFIG_FILES"), ("OS_CLIENT_SECURE_FILE", "SECURE_FILES"))
_UNKNOWN_OPTION = re.compile(r"unexpected keyword argument '([^']{1,64})'")
_OTHER_REGION = re.compile(
    r"^Region (.{1,255}?) is not a valid .*Valid choices are (.*?)\. Please", re.S
)
_LOGGERS = ("openstack", "keystoneauth", "keystoneauth1", "urllib3", "requests", "stevedore")

# What `OS_*` variables set, besides the options of the `auth_type`.
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


def load_cloud(name: str | None) -> tuple[Any, AccessKey | None]:
    """openstacksdk's `CloudRegion`; for None that of `OS_CLOUD` or the only one.

    And the access key if the cloud is used with one; such a region has no sign-in of its own.
    Blocking, no network. Raises `SignInError` for unusable files, names and options.
    """
    with quiet():
        with _standing_somewhere(), _at_home():
            from keystoneauth1 import exceptions as keystone
            from openstack import exceptions as sdk
            from openstack.config import OpenStackConfig, loader

        for variable, constant in _FILES:
            _check_first(variable, getattr(loader, constant))
        try:
            config = OpenStackConfig(app_name="vbsbatch", app_version=__version__)
            config.auth_config_hook = _with_default_domain
            with _at_home():
                return _entry(config, _choose(config, name))
        except keystone.MissingRequiredOptions as error:
            missing = ", ".join(option.dest for option in error.options)
            raise SignInError(f"{_cloud(name)}: auth lacks {missing} (in clouds.yaml)") from error
        except keystone.NoMatchingPlugin as error:
            text = f"auth_type {error.name!r} is not known (is its package installed?)"
            raise SignInError(f"{_cloud(name)}: {text}") from error
        except (keystone.ClientException, sdk.SDKException) as error:
            raise SignInError(
                f"{_cloud(name)}: {_unknown_region(error) or words(error)}"
            ) from error
        except (AttributeError, TypeError, KeyError, ValueError, IndexError) as error:
            raise SignInError(f"{_cloud(name)}: {_misfit(error)}") from error


def _entry(config: Any, chosen: str) -> tuple[Any, AccessKey | None]:
    """The entry, overridden by the environment, and its access key if it has one."""
    alone = config.get_one(chosen, validate=False)
    key = find_key(alone.config, os.environ, _cloud(chosen))
    if chosen == config.envvar_key:  # it comes from the environment
        said: dict[str, Any] = {}
    elif key is None:
        said = _over_entry(alone.config, os.environ)
    else:
        said = _over_key_entry(os.environ)
    region = config.get_one(chosen, validate=False, **deepcopy(said))
    _check_url(region.config, _cloud(chosen))
    return (config.get_one(chosen, **said), None) if key is None else (region, key)


def _unknown_region(error: Exception) -> str | None:
    """Say which regions an entry has if it lacks the wanted one."""
    told = _OTHER_REGION.search(str(error))
    if told is None:
        return None
    near = did_you_mean(told[1], told[2].split(","))
    return f"no region {told[1]!r} in its entry in clouds.yaml, only {told[2]}{near}"


@contextmanager
def _standing_somewhere() -> Iterator[None]:
    """Change to a folder that exists: openstacksdk asks for the current one when it is imported."""
    try:
        os.getcwd()
    except FileNotFoundError:
        here = os.open(".", os.O_RDONLY)  # a deleted folder can still be opened
    else:
        yield
        return
    try:
        os.chdir("/")
        yield
    finally:
        os.fchdir(here)
        os.close(here)


@contextmanager
def _at_home() -> Iterator[None]:
    """Give a user without a home folder, as in a container, one in which no file can be.

    Without it the sign-in libraries fail, or write into a folder named `~`.
    """
    if os.path.isabs(os.path.expanduser("~")):
        yield
        return
    os.environ["HOME"] = os.devnull
    try:
        yield
    finally:
        del os.environ["HOME"]


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the warnings and log lines of the sign-in libraries off the screen."""
    quieten(*_LOGGERS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _cloud(name: str | None) -> str:
    return f"cloud {name!r}" if name else "cloud of OS_CLOUD or clouds.yaml"


def _check_url(config: Mapping[str, Any], cloud: str) -> None:
    """Refuse a URL without its scheme, which would end in a misleading error."""
    url = (config.get("auth") or {}).get("auth_url")
    if url and not str(url).lower().startswith(("http://", "https://")):
        raise SignInError(f"{cloud}: auth_url {shown(str(url))}: not an http:// or https:// URL")


def _misfit(error: Exception) -> str:
    """Say what is wrong in a cloud's entry."""
    if option := _UNKNOWN_OPTION.search(str(error)):
        return f"its auth in clouds.yaml has {option[1]}, which its auth_type does not know"
    return "its entry in clouds.yaml has a value of the wrong kind"


def _check_first(variable: str, usual: Sequence[str]) -> None:
    """Check the file that openstacksdk is going to read; raises `SignInError`."""
    named = os.environ.get(variable)
    if named and not Path(named).exists():
        raise SignInError(f"{variable} names {named}, which does not exist{near_path(named)}")
    paths = [Path(path) for path in ([named] if named else []) + list(usual)]
    first = next((path for path in paths if path.exists()), None)
    # A pipe (`<(sops -d …)`) can be read only once, and not here.
    if first is not None and first.is_file():
        _check_file(first)


def _check_file(path: Path) -> None:
    try:
        with path.open(encoding="utf-8") as stream:
            document = yaml.safe_load(stream)
    except OSError as error:
        raise SignInError(f"{path}: {error.strerror or 'cannot be read'}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise SignInError(f"{path}{where}: not valid YAML") from None
    except (yaml.YAMLError, ValueError, RecursionError):
        raise SignInError(f"{path}: not valid YAML in UTF-8") from None
    clouds = document.get("clouds") if isinstance(document, dict) else None
    if not isinstance(clouds, dict):
        raise SignInError(f"{path}: has no mapping `clouds:` at the top level")
    for name, entry in clouds.items():
        if not isinstance(entry, dict) or not isinstance(entry.get("auth", {}), dict):
            raise SignInError(f"{path}: the entry of cloud {str(name)[:64]!r} is not a mapping")


def _choose(config: Any, name: str | None) -> str:
    """The name of the cloud to use; raises `SignInError` with the known ones."""
    known = sorted(str(known) for known in config.get_cloud_names() if known != "defaults")
    chosen = name or config.default_cloud
    if not known:
        raise SignInError(
            "no credentials: write a clouds.yaml (here, in ~/.config/openstack or /etc/openstack)"
            " or set the OS_* variables"
        )
    if not chosen:
        raise SignInError(f"which cloud? Name one with --cloud or OS_CLOUD: {', '.join(known)}")
    if chosen not in known:
        raise SignInError(
            f"no cloud named {chosen!r}; known: {', '.join(known)}{did_you_mean(chosen, known)}"
        )
    return str(chosen)


# `OS_*` variables over an entry of clouds.yaml, as the command `openstack` takes them. openstacksdk
# alone takes them only as a cloud of their own, which is where no entry is named.


def _over_entry(config: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    """What the environment overrides in a cloud's entry (`config`, merged from the files).

    In the form that `OpenStackConfig.get_one` takes. Of the sign-in only options of the entry's
    `auth_type`. Raises what keystoneauth raises for an unknown one.
    """
    said = _said(_BESIDE_AUTH, environment)
    kind = said.get("auth_type") or config.get("auth_type")
    auth = _said(_options(str(kind)), environment) if kind else {}
    # Both outside and inside of `auth`: which of the two wins depends on the option.
    return {**auth, **said, **({"auth": auth} if auth else {})}


def _over_key_entry(environment: Mapping[str, str]) -> dict[str, Any]:
    """The same for an entry with an access key, which needs no plugin."""
    auth = _said(_PROJECT, environment)
    return {**_said(_WHERE, environment), **({"auth": auth} if auth else {})}


def _with_default_domain(config: dict[str, Any]) -> dict[str, Any]:
    """Fill in the domain of user and project if version 3 of identity is named.

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
