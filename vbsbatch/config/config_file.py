"""The config file -> a `Config`, or a `ConfigError` with every problem and its place."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vbsbatch.errors import ConfigError, PlanError, Problem, UsageError

if TYPE_CHECKING:
    from vbsbatch.model import Rate
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
    from vbsbatch.plan.file_input import read_file

    try:
        data = read_file(path, most=LARGEST, own=True)
    except PlanError as error:
        raise ConfigError(error.problems) from error
    if _says_nothing(data):
        return Config(path=path, exists=True)
    return _config(path, data)


def _says_nothing(data: bytes) -> bool:
    """Whether the file holds comments only."""
    return all(line.startswith(b"#") for line in map(bytes.strip, data.splitlines()) if line)


def _config(path: Path, data: bytes) -> Config:
    from vbsbatch.plan.findings import Findings, listed
    from vbsbatch.plan.reading import Document

    document, findings = Document(str(path), data), Findings()
    top = document.read_small()
    given = {} if document.broken else _checked(top, findings)
    if problems := listed([*document.problems, *document.place(findings)]):
        raise ConfigError(problems)
    return Config(path=path, exists=True, **given, places=_places(document, given))


def _checked(top: Any, findings: Findings) -> dict[str, Any]:
    """The keys and values of the file; what is wrong with them goes into `findings`."""
    from pydantic import ValidationError

    from vbsbatch.config.schema import MAPS, ConfigKeys
    from vbsbatch.plan.pydantic_messages import report
    from vbsbatch.plan.units import kind_of

    if not isinstance(top, dict):
        findings.add((), f"a config file is a map of keys such as cloud, not {kind_of(top)}")
        return {}
    try:
        given = ConfigKeys.model_validate(top).given()
    except ValidationError as error:
        report(error, findings, maps=MAPS)
        return {}
    if "compact" in given:
        given["compact"] = given["compact"].older_than
    return given


def _places(document: Document, given: Mapping[str, Any]) -> Mapping[KeyPath, Spot]:
    paths: set[KeyPath] = {(key,) for key in given}
    paths |= {("keys", action) for action in given.get("keys", ())}
    paths |= {("compact", "older_than")} if "compact" in given else set()
    return {path: value for path, (_, value) in document.spots(paths).items()}
