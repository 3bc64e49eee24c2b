"""Applies the config file, and the command config, which shows what it says."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from vbsbatch.config import Config, load_config

if TYPE_CHECKING:
    from vbsbatch.plan import Plan
    from vbsbatch.plan.findings import KeyPath

_SIGN_IN = ("OS_CLOUD", "OS_AUTH_URL", "OS_AUTH_TYPE", "OS_TOKEN", "HUAWEICLOUD_SDK_AK")
"""Variables that choose a cloud, each of which wins over the file's `cloud`."""

_VARIABLES = {"cloud": _SIGN_IN, "db": ("VBSBATCH_DB",)}


def use_config() -> None:
    """Let the file's cloud and store stand where the environment names none.

    They are put into the environment, so that they hold for the processes of this command too.
    """
    config = load_config()
    if config.cloud is not None and _variable("cloud") is None:
        os.environ["OS_CLOUD"] = config.cloud
    if config.db is not None and _variable("db") is None:
        os.environ["VBSBATCH_DB"] = config.db


def with_rate(plan: Plan) -> Plan:
    """The plan with the file's rate, if it names none."""
    from dataclasses import replace

    rate = None if plan.rate_said else load_config().rate
    if rate is None:
        return plan
    limits = replace(plan.settings.limits, rate=rate)
    return replace(plan, settings=replace(plan.settings, limits=limits))


def channel_names() -> list[str]:
    """The names of channels that a plan may use, in the order of the file."""
    return list(dict.fromkeys(each.group for each in load_config().channels))


@click.command(
    epilog="""\
Options and environment variables win over the config file, and so does what a plan says. The file
is config.yaml in your configuration folder, or the one that $VBSBATCH_CONFIG names.

\b
Examples:
  vbsbatch config
  vbsbatch config --json
"""
)
@click.option("--json", "as_json", is_flag=True, help="As one JSON document.")
def config(as_json: bool) -> None:
    """Show each setting of the config file, its value, and where the value comes from."""
    from vbsbatch.cli.screen_config import screen_settings

    loaded = load_config()
    screen_settings(loaded)  # reports wrong keys
    (_print_json if as_json else _print_table)(loaded)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Setting:
    name: str
    value: str | bool | None
    source: str
    """`environment`, `file` or `default`."""
    where: str
    """The variable, or `file:line:column`; empty for a default."""


def _settings(config: Config) -> Iterator[_Setting]:
    from vbsbatch.errors import StoreUnusable
    from vbsbatch.model import Limits
    from vbsbatch.report.text import span
    from vbsbatch.store import default_path

    try:
        store: str | None = str(default_path())
    except StoreUnusable:
        store = None
    yield _setting(config, "cloud", config.cloud, None)
    yield _setting(config, "db", config.db, store)
    rate = None if config.rate is None else str(config.rate)
    yield _setting(config, "rate", rate, str(Limits().rate))
    yield _setting(config, "theme", config.theme, "dark")
    yield _setting(config, "ascii", config.ascii, None)
    yield _setting(config, "mouse", config.mouse, True)
    if config.compact is not None:
        yield _of_file(config, ("compact", "older_than"), span(config.compact))
    for action, keys in config.keys.items():
        yield _of_file(config, ("keys", action), keys)
    for name in dict.fromkeys(each.group for each in config.channels):
        kinds = (each.kind for each in config.channels if each.group == name)
        yield _of_file(config, ("notify", name), ", ".join(kinds))
    for plan, pings in config.pings.items():
        words = [word for word in ("start", "success", "failure") if getattr(pings, word)]
        yield _of_file(config, ("ping", plan), ", ".join(words))


def _setting(
    config: Config, name: str, said: str | bool | None, default: str | bool | None
) -> _Setting:
    variable = _variable(name)
    if variable is not None:
        value = os.environ[variable] if variable in ("OS_CLOUD", "VBSBATCH_DB") else None
        return _Setting(name=name, value=value, source="environment", where=f"${variable}")
    if said is not None:
        return _of_file(config, (name,), said)
    return _Setting(name=name, value=default, source="default", where="")


def _of_file(config: Config, path: KeyPath, value: str | bool) -> _Setting:
    line, column = config.places[path]
    where = f"{config.path}:{line}:{column}"
    return _Setting(name=".".join(map(str, path)), value=value, source="file", where=where)


def _variable(name: str) -> str | None:
    """The environment variable that is set and wins over the file."""
    return next((each for each in _VARIABLES.get(name, ()) if os.environ.get(each)), None)


def _print_table(config: Config) -> None:
    from vbsbatch.cli import mention, say

    state = "" if config.exists else " (there is no such file)"
    mention(f"config file {config.path or 'without a home folder: none'}{state}")
    for each in _settings(config):
        say(f"{each.name:<12} {_shown(each.value):<32} {each.where or each.source}")


def _shown(value: str | bool | None) -> str:
    if value is None:
        return "-"
    return str(value).lower() if isinstance(value, bool) else value


def _print_json(config: Config) -> None:
    import json
    from dataclasses import asdict

    from vbsbatch.cli import say
    from vbsbatch.report import clean

    document = {
        "schema": 1,
        "file": None if config.path is None else clean(str(config.path)),
        "exists": config.exists,
        "settings": [asdict(each) for each in _settings(config)],
    }
    say(json.dumps(document, indent=2))
