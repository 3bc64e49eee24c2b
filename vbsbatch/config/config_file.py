"""The config file -> a `Config`, or a `ConfigError` with every problem and its place."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vbsbatch.errors import ConfigError, PlanError, Problem, UsageError

if TYPE_CHECKING:
    from vbsbatch.model import Channel, Pings, Rate
    from vbsbatch.plan.findings import Findings, KeyPath, Spot
    from vbsbatch.plan.reading import Document

NAMED_BY = "VBSBATCH_CONFIG"
"""The variable that names another file."""

LARGEST = 65_536
"""Largest size of the file in bytes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """What the file says; None for what it does not say."""

    path: Path | None = None
    """None for a user without a home folder."""
    exists: bool = False
    cloud: str | None = None
    db: str | None = None
    rate: Rate | None = None
    theme: str | None = None
    ascii: bool | None = None
    mouse: bool | None = None
    keys: Mapping[str, str] = field(default_factory=dict)
    """Keys of each action of the screen, comma-separated."""
    compact: float | None = None
    """Seconds: at the end of a run, the history of runs that ended longer ago is removed."""
    channels: tuple[Channel, ...] = ()
    """Who can be told of runs."""
    pings: Mapping[str, Pings] = field(default_factory=dict)
    """What is pinged for the runs of each plan."""
    places: Mapping[KeyPath, Spot] = field(default_factory=dict)
    """Line and column of each value."""

    def problem(self, path: KeyPath, text: str) -> ConfigError:
        """An error about the value at `path`."""
        line, column = self.places[path]
        return ConfigError([Problem(file=str(self.path), line=line, column=column, text=text)])


def config_path() -> Path | None:
    """The file that `$VBSBATCH_CONFIG` names, or the default one; None without a home folder."""
    from platformdirs import user_config_path

    named = os.environ.get(NAMED_BY)
    try:
        if named:
            return Path(named).expanduser()
        usual = user_config_path("vbsbatch", appauthor=False) / "config.yaml"
    except RuntimeError:
        if named:
            raise UsageError(f"{NAMED_BY}: {named}: no home folder is known (HOME)") from None
        return None
    return usual if usual.is_absolute() else None


def load_config() -> Config:
    """Read and check the config file; a file that is not there says nothing.

    Raises `ConfigError` with every problem of the file, each with line and column, also for a file
    that other users can change.
    """
    path = config_path()
    if path is None or not (os.environ.get(NAMED_BY) or os.path.lexists(path)):
        return Config(path=path)
    from vbsbatch.plan.file_input import read_own_file

    try:
        data, status = read_own_file(path, most=LARGEST)
    except PlanError as error:
        raise ConfigError(error.problems) from error
    if _says_nothing(data):
        return Config(path=path, exists=True)
    return _config(path, data, status)


def _says_nothing(data: bytes) -> bool:
    """Whether the file holds comments only."""
    return all(line.startswith(b"#") for line in map(bytes.strip, data.splitlines()) if line)


def _config(path: Path, data: bytes, status: os.stat_result) -> Config:
    from vbsbatch.config.channels import channels, pings
    from vbsbatch.plan.findings import Findings, listed
    from vbsbatch.plan.reading import Document

    secret = any(word in data for word in (b"notify", b"ping", b"://"))
    document, findings = Document(str(path), data, quotes=not secret), Findings()
    top = document.read_small()
    _check_mode(path, document, top, status)
    given = {} if document.broken else _checked(top, findings)
    if problems := listed([*document.problems, *document.place(findings)]):
        raise ConfigError(problems)
    places = _places(document, given)
    given["channels"] = channels(given.pop("notify", {}))
    given["pings"] = pings(given.pop("ping", {}))
    return Config(path=path, exists=True, **given, places=places)


def _check_mode(path: Path, document: Document, top: Any, status: os.stat_result) -> None:
    """Refuse a file with secrets that anybody else can read, or that belongs to somebody else."""
    from vbsbatch.config.channels import holds_urls

    found = holds_urls(top)
    if found is None:
        return
    mode, text = stat.S_IMODE(status.st_mode), None
    if status.st_uid != os.geteuid():
        text = "holds URLs, which are secrets, and belongs to another user: it must be yours"
    elif mode & 0o077:
        command = f"chmod 600 {shlex.quote(str(path))}"
        text = f"holds URLs, which are secrets, and others can read it ({mode:04o}): run {command}"
    if text is not None:
        line, column = document.spots({found}).get(found, ((1, 1), (1, 1)))[0]
        raise ConfigError([Problem(file=str(path), line=line, column=column, text=text)])


def _checked(top: Any, findings: Findings) -> dict[str, Any]:
    """The keys and values of the file; what is wrong with them goes into `findings`."""
    from pydantic import ValidationError

    from vbsbatch.config.channels import SECTIONS, maps_of, misplaced
    from vbsbatch.config.schema import MAPS, ConfigKeys
    from vbsbatch.plan.pydantic_messages import report
    from vbsbatch.plan.units import kind_of

    if not isinstance(top, dict):
        findings.add((), f"a config file is a map of keys such as cloud, not {kind_of(top)}")
        return {}
    if misplaced(top, findings):
        top = {key: value for key, value in top.items() if key not in SECTIONS}
    try:
        given = ConfigKeys.model_validate(top).given()
    except ValidationError as error:
        report(error, findings, maps={**MAPS, **maps_of(top)}, secret=SECTIONS)
        return {}
    if "compact" in given:
        given["compact"] = given["compact"].older_than
    return given


def _places(document: Document, given: Mapping[str, Any]) -> Mapping[KeyPath, Spot]:
    paths: set[KeyPath] = {(key,) for key in given}
    for section in ("keys", "notify", "ping"):
        paths |= {(section, name) for name in given.get(section, ())}
    paths |= {("compact", "older_than")} if "compact" in given else set()
    return {path: value for path, (_, value) in document.spots(paths).items()}
