"""The faults file: reads YAML or JSON into a checked `Scenario`, and writes one.

Durations are numbers of seconds or texts such as `5ms`, `4s`, `2m`, `24h`. One value may stand for
a range. `docs/simulator.md` lists every key.
"""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from vbsbatch.errors import UsageError
from vbsbatch.simulator.project_state import read_id
from vbsbatch.simulator.scenario import (
    BackupScript,
    Busy,
    Do,
    Fault,
    GatewayLimit,
    Kind,
    Scenario,
    Services,
    SimQuota,
    Span,
    VaultScript,
)

_USUAL = BackupScript()

MAX_SIZE = 4 * 1024 * 1024
"""Bytes; a larger faults file is a mistake."""

_DURATION = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)(ms|s|m|h|d)\Z", re.ASCII)
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def _read_duration(value: object) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    found = _DURATION.match(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("not a duration such as 200ms, 4s, 5m or 2h")
    return float(found[1]) * _UNITS[found[2]]


def _read_span(value: object) -> Span:
    ends = list(value) if isinstance(value, (list, tuple)) else [value, value]
    if len(ends) != 2:
        raise ValueError("a range has two ends: [4s, 8s]")
    low, high = map(_read_duration, ends)
    if not 0 <= low <= high < float("inf"):
        raise ValueError("a range goes from a lower to a higher duration")
    return low, high


def _read_kind(value: object) -> object:
    return None if value == "any" else value


def _read_volume_id(value: object) -> str:
    plain = read_id(value)
    if plain is None:
        raise ValueError("not the id of a volume (a UUID)")
    return plain


Duration = Annotated[float, BeforeValidator(_read_duration), Field(allow_inf_nan=False)]
Positive = Annotated[float, BeforeValidator(_read_duration), Field(gt=0, allow_inf_nan=False)]
Range = Annotated[tuple[float, float], BeforeValidator(_read_span)]
Share = Annotated[float, Field(ge=0, le=1)]
Address = Annotated[str, Field(pattern=r"^https?://[!-~]+$")]
On = Annotated[Kind | None, BeforeValidator(_read_kind)]
VolumeId = Annotated[str, BeforeValidator(_read_volume_id)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Backups(_Strict):
    duration: Range = _USUAL.duration
    visible_after: Range = _USUAL.visible_after
    listed_after: Range = _USUAL.listed_after
    fail: Share = 0.0
    fail_early: Share = 0.0
    fail_code: str = _USUAL.fail_code
    delete: Range = _USUAL.delete


class _Tokens(_Strict):
    life: Positive = 24 * 3600.0
    revoked_after: Duration = 0.0


class _Limit(_Strict):
    count: Annotated[int, Field(gt=0)]
    per: Positive = 1.0
    retry_after: bool = True
    on: On = Kind.CREATE


class _Quota(_Strict):
    backups: Annotated[int, Field(ge=-1)] = -1
    gigabytes: Annotated[int, Field(ge=-1)] = -1


class _Vaults(_Strict):
    number: Annotated[int, Field(gt=0, le=1000)] | None = None
    loose: Annotated[int, Field(ge=0)] = 0
    size: Annotated[int, Field(ge=1)] = VaultScript().size
    status: Literal["available", "lock", "frozen", "deleting", "error"] = "available"
    auto_expand: bool = False
    busy: Busy = Busy.DISK
    busy_code: str = VaultScript().busy_code
    busy_status: Annotated[int, Field(ge=400, le=599)] = 400
    refuses_all: bool = False
    silent: Share = 0.0
    suffix: Literal["-", "_"] = "-"
    as_text: bool = False
    zone: bool = False
    logs_after: Range = (0.0, 0.0)
    progress: bool = False
    restore_job: bool = False
    restores_at_once: bool = False
    hides_restores: bool = False
    associates_rest: bool = False
    policy_locked: bool = False


class _Fault(_Strict):
    on: On
    do: Do
    share: Share = 1.0
    between: Range | None = None
    volumes: list[VolumeId] | None = None
    first: Annotated[int, Field(gt=0)] | None = None
    status: Annotated[int, Field(ge=200, le=599)] | None = None
    code: str | None = None
    message: str | None = None
    after: bool | None = None
    retry_after: Annotated[str, Field(pattern=r"^[ -~]*$")] | int | None = None
    retry_after_key: Annotated[str, Field(pattern=r"^[A-Za-z_-]{1,40}$")] | None = None
    longer: Annotated[int, Field(gt=0)] | None = None
    delay: Range = (0.0, 0.0)
    to: Address | None = None
    every: Positive = 1.0
    early: bool = False

    def value(self) -> Fault:
        given = self.model_dump()
        given["volumes"] = None if self.volumes is None else frozenset(self.volumes)
        given["retry_after"] = None if self.retry_after is None else str(self.retry_after)
        return Fault(**given)


class _ClockStep(_Strict):
    after: Duration
    by: Duration


class _Document(_Strict):
    backups: _Backups = _Backups()
    tokens: _Tokens = _Tokens()
    limit: _Limit | None = None
    latency: Range = (0.0, 0.0)
    services: Services = Services.VBS
    microversion: Annotated[int, Field(ge=0, le=999)] = 71
    busy_after: Duration = 0.0
    clock_ahead: Duration = 0.0
    clock_steps: list[_ClockStep] = []
    quota: _Quota = _Quota()
    vaults: _Vaults = _Vaults()
    catalog: Address | None = None
    page: Annotated[int, Field(gt=0, le=1000)] = 1000
    links: bool = True
    faults: list[_Fault] = []

    def value(self) -> Scenario:
        return Scenario(
            backups=BackupScript(**self.backups.model_dump()),
            token_life=self.tokens.life,
            revoked_after=self.tokens.revoked_after,
            limit=GatewayLimit(**self.limit.model_dump()) if self.limit else None,
            latency=self.latency,
            services=self.services,
            microversion=self.microversion,
            busy_after=self.busy_after,
            clock_ahead=self.clock_ahead,
            clock_steps=tuple((step.after, step.by) for step in self.clock_steps),
            quota=SimQuota(**self.quota.model_dump()),
            vaults=VaultScript(**self.vaults.model_dump()),
            catalog=self.catalog,
            page=self.page,
            links=self.links,
            faults=tuple(fault.value() for fault in self.faults),
        )


class _Loader(yaml.SafeLoader):
    """YAML in which `on` is a word and not `true`."""


_Loader.yaml_implicit_resolvers = {
    letter: [(tag, rule) for tag, rule in rules if tag != "tag:yaml.org,2002:bool"]
    for letter, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))


def load_scenario(path: Path) -> Scenario:
    """Read a faults file; raises `UsageError` with every problem, one a line."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_SIZE + 1)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from error
    return read_scenario(content, str(path))


def read_scenario(content: bytes, name: str) -> Scenario:
    """Check the bytes of a faults file; `name` is its name in error messages."""
    if len(content) > MAX_SIZE:
        raise UsageError(f"{name}: larger than {MAX_SIZE // 1024 // 1024} MB: no faults file")
    try:
        document = yaml.load(content, _Loader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, UnicodeError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split()) or "nested too deeply"
        raise UsageError(f"{name}: {reason[:300]}") from error
    try:
        return _Document.model_validate({} if document is None else document).value()
    except ValidationError as error:
        raise UsageError("\n".join(_problems(name, error))) from error


def _problems(name: str, error: ValidationError) -> list[str]:
    problems = []
    for found in error.errors(include_url=False, include_context=False, include_input=False):
        where = ".".join(map(str, found["loc"]))
        message = found["msg"].removeprefix("Value error, ")
        problems.append(f"{name}: {where}: {message}" if where else f"{name}: {message}")
    return problems


def write_scenario(scenario: Scenario) -> dict[str, Any]:
    """The scenario as a document that `read_scenario` takes back; durations in seconds."""
    document = asdict(scenario)
    document["tokens"] = {
        "life": document.pop("token_life"),
        "revoked_after": document.pop("revoked_after"),
    }
    document["clock_steps"] = [{"after": at, "by": by} for at, by in scenario.clock_steps]
    document["faults"] = [_write_fault(fault) for fault in scenario.faults]
    if scenario.limit is None:
        del document["limit"]
    else:
        document["limit"]["on"] = _kind_word(scenario.limit.on)
    return document


def _write_fault(fault: Fault) -> dict[str, Any]:
    document = {key: value for key, value in asdict(fault).items() if value is not None}
    document["on"] = _kind_word(fault.on)
    if fault.volumes is not None:
        document["volumes"] = sorted(fault.volumes)
    return document


def _kind_word(kind: Kind | None) -> str:
    return "any" if kind is None else kind.value
