"""`notify` and `ping` of the config file: what may stand there, and the values made of it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from vbsbatch.masking import keep_secret
from vbsbatch.model import Address, Channel, Pings
from vbsbatch.plan.checks import CHANNEL_NAME

if TYPE_CHECKING:
    from vbsbatch.config.channel_keys import ChannelKeys, PingKeys
    from vbsbatch.plan.findings import Findings, KeyPath
    from vbsbatch.plan.schema import Keys

SECTIONS = ("notify", "ping")
"""The top keys below which values are secret."""

_RIGHT = {
    "notify": "write it after url:, below the name of the channel",
    "ping": "write it after start:, success: or failure:, below the name of the plan",
}

_PLACES = ("url", "start", "success", "failure")
"""The keys that may hold a URL."""

_PLAN = re.compile(r"[^\x00-\x1f\x7f]{1,64}")


def maps_of(top: Mapping[str, Any]) -> dict[tuple[str, ...], type[Keys]]:
    """The maps below `notify` and `ping`, by path."""
    from vbsbatch.config import channel_keys as keys

    found: dict[tuple[str, ...], type[Keys]] = {}
    for name in _names(top, "notify"):
        found["notify", name] = keys.ChannelKeys
        found["notify", name, "failures"] = keys.OverKeys
        for event in ("stuck", "silent", "engine_gone"):
            found["notify", name, event] = keys.AfterKeys
    return found | {("ping", name): keys.PingKeys for name in _names(top, "ping")}


def _names(top: Mapping[str, Any], section: str) -> list[str]:
    held = top.get(section)
    return [str(name) for name in held] if isinstance(held, dict) else []


def misplaced(top: Mapping[str, Any], findings: Findings) -> bool:
    """Find URLs in wrong places, and names that cannot be any; no message may repeat them."""
    before = len(findings.items)
    for name in _names(top, "notify"):
        if not CHANNEL_NAME.fullmatch(name):
            text = "notify: a channel's name has letters, digits, - and _ only, up to 32 of them"
            findings.add(("notify", name), text, at_key=True)
    for name in _names(top, "ping"):
        if "://" in name or not _PLAN.fullmatch(name):
            findings.add(("ping", name), "ping: must have names of plans as its keys", at_key=True)
    for section in SECTIONS:
        for path in _stray(top.get(section), (section,)):
            findings.add(path, f"{section}: a URL does not belong here: {_RIGHT[section]}")
    return len(findings.items) > before


def _stray(value: Any, path: KeyPath) -> Iterator[KeyPath]:
    """Where texts with `://` stand that are no value of a key for URLs."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if len(path) > 1 and "://" in str(key):
                yield path
            elif not (len(path) == 2 and key in _PLACES):
                yield from _stray(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _stray(inner, (*path, index))
    elif isinstance(value, str) and "://" in value:
        yield path


def holds_urls(top: Any) -> KeyPath | None:
    """Where the first URL of a channel or ping is; None without any."""
    for section in SECTIONS if isinstance(top, dict) else ():
        for path in _urls(top.get(section), (section,)):
            return path
    return None


def _urls(value: Any, path: KeyPath) -> Iterator[KeyPath]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from [path] if "://" in str(key) else _urls(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _urls(inner, (*path, index))
    elif isinstance(value, str) and "://" in value:
        yield path


def channels(given: Mapping[str, ChannelKeys]) -> tuple[Channel, ...]:
    """The channels, in the order of the file."""
    return tuple(each for name, keys in given.items() for each in _channel(name, keys.given()))


def _channel(name: str, said: dict[str, Any]) -> Iterator[Channel]:
    addresses = [Address(url=url) for url in said.get("url", ())] or [_variable(said["env"])]
    options: dict[str, Any] = {
        "failures_over": ("failures", "over"),
        "stuck_after": ("stuck", "after"),
        "silent_after": ("silent", "after"),
        "gone_after": ("engine_gone", "after"),
    }
    options = {
        field: getattr(said[key], part) for field, (key, part) in options.items() if key in said
    }
    if "events" in said:
        options["notices"] = frozenset(said["events"])
    for number, address in enumerate(addresses, 1):
        _keep(address)
        kind, mark, _ = (address.url or "").partition("://")
        yield Channel(
            name=name if len(addresses) == 1 else f"{name}/{number}",
            address=address,
            kind=kind.lower() if mark and kind.isascii() and kind.isalnum() else "-",
            default=said.get("default", True),
            **options,
        )


def pings(given: Mapping[str, PingKeys]) -> dict[str, Pings]:
    """The pings by the name of their plan."""
    return {
        plan: Pings(**{word: _address(*value) for word, value in keys.given().items()})
        for plan, keys in given.items()
    }


def _address(url: str | None, variable: str | None) -> Address:
    return _keep(Address(url=url) if variable is None else _variable(variable))


def _variable(name: str) -> Address:
    return Address(url=os.environ.get(name, "").strip() or None, variable=name)


def _keep(address: Address) -> Address:
    """Mask the URL, but for its scheme, in whatever this process prints."""
    if address.url is not None:
        keep_secret(address.url.partition("://")[2] or address.url)
    return address
