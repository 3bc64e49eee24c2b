"""A plan file -> a `Plan`, or a `PlanError` with every problem."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import ValidationError

from vbsbatch import model
from vbsbatch.errors import PlanError, Problem
from vbsbatch.plan.backup_names import DEFAULT_TEMPLATE, template_fields
from vbsbatch.plan.file_input import read_file, read_stream
from vbsbatch.plan.findings import Findings, KeyPath, listed
from vbsbatch.plan.plan import (
    NO_CHOICES,
    PER_CHECKPOINT,
    Choices,
    Plan,
    PlanVolume,
    VolumeSelection,
)
from vbsbatch.plan.pydantic_messages import report
from vbsbatch.plan.reading import Document
from vbsbatch.plan.schema import MAPS, PlanKeys, RetentionKeys, RetryKeys, SelectionKeys, WaveKeys
from vbsbatch.plan.units import kind_of, quoted
from vbsbatch.plan.volume_collector import VolumeCollector, choices
from vbsbatch.plan.volume_lists import holds_volumes, read_list

STDIN = "<stdin>"
"""The name of standard input in problems."""


def load(
    source: str | Path,
    *,
    volumes: str | Path | None = None,
    stdin: BinaryIO | None = None,
    channels: Collection[str] | None = None,
) -> Plan:
    """Read and check the plan in file `source`.

    `volumes` names a list of volumes that replaces the plan's own. `channels` are the names that
    `notify` may use; None: any. `-` for either is standard
    input, or `stdin` where given. Raises `PlanError`, whose `problems` are all problems of the plan
    and of the list, each with file, line, column and text, ordered by place.
    """
    file, data = _plan_text(source, volumes, stdin)
    document = Document(file, data)
    gathered = VolumeCollector(lambda index: ("volumes", index, "id"))
    top = document.read(gathered.add_entry, under="volumes")
    if not isinstance(top, dict) and holds_volumes(data):
        text = "is a list of volumes, not a plan: give it with --volumes, beside a plan"
        raise PlanError([Problem(file=file, line=1, column=1, text=text)])
    findings = Findings()
    others = volumes is not None
    keys = {} if document.broken else _plan_keys(top, gathered, findings, others=others)
    _check_channels(keys.get("notify", ()), top, channels, findings)
    problems = [*document.problems, *document.place(findings), *document.place(gathered.findings)]
    more = document.more + gathered.findings.more + findings.more
    own = gathered.volumes
    del document, gathered, data  # free the text: a list of volumes may be as long
    found, list_problems, list_more = _listed_volumes(source, volumes, keys, stdin)
    problems = listed([*problems, *list_problems], more + list_more)
    if problems:
        raise PlanError(problems)
    return _plan(source, keys, own if found is None else found)


def _plan_text(
    source: str | Path, volumes: str | Path | None, stdin: BinaryIO | None
) -> tuple[str, bytes]:
    """The plan's name in problems, and its text."""
    if str(source) != "-":
        return str(source), read_file(source)
    if str(volumes) == "-":
        text = "standard input cannot be the plan and its list of volumes at once"
        raise PlanError([Problem(file=STDIN, line=1, column=1, text=text)])
    return STDIN, read_stream(STDIN, stdin or sys.stdin.buffer)


def _plan_keys(
    top: Any, gathered: VolumeCollector, findings: Findings, *, others: bool
) -> dict[str, Any]:
    """The plan's keys apart from its volumes, without those that have problems."""
    if not isinstance(top, dict):
        findings.add((), f"a plan is a map of keys such as name and volumes, not {kind_of(top)}")
        return {}
    streamed = top.get("volumes") if isinstance(top.get("volumes"), list) else None
    _check_volumes_named(top, streamed, findings, others=others)
    rest = {key: value for key, value in top.items() if key != "volumes" or streamed is None}
    keys = _sound_keys(rest, findings)
    _check_retry(keys.get("retry"), top.get("retry"), findings)
    window = keys.get("window")
    if window is not None and window.opens == window.closes:
        findings.add(("window", "to"), "window.to: is the same as from: leave the window out")
    if "waves" in keys or "waves" not in top:
        defaults = keys["defaults"].given() if "defaults" in keys else {}
        named = None if others or "volumes_from" in keys else gathered
        check_waves(keys.get("waves", ()), defaults.get("wave"), named, findings)
    return keys


def _sound_keys(rest: dict[str, Any], findings: Findings) -> dict[str, Any]:
    """The keys without a problem of their own, so that they can be checked together."""
    try:
        return PlanKeys.model_validate(rest).given()
    except ValidationError as error:
        report(error, findings)
        return PlanKeys.model_validate(_without(rest, error)).given()


def _without(rest: dict[str, Any], error: ValidationError) -> dict[str, Any]:
    """`rest` without the keys that `error` is about; of a map that requires them, the whole map."""
    sound = dict(rest)
    for one in error.errors(include_url=False):
        top, *inner = map(str, one["loc"])
        held, keys = sound.pop(top, None), MAPS.get((top,))
        if inner and keys and isinstance(held, dict) and not keys.required():
            sound[top] = {key: value for key, value in held.items() if key != inner[0]}
    return sound


def _check_volumes_named(
    top: dict[str, Any], streamed: list[Any] | None, findings: Findings, *, others: bool
) -> None:
    """Exactly one of `volumes` and `volumes_from`, unless another list replaces both."""
    if others:
        return
    if "volumes" in top and "volumes_from" in top:
        text = "volumes_from: cannot be used with volumes: keep one of them"
        findings.add(("volumes_from",), text, at_key=True)
    elif "volumes" not in top and "volumes_from" not in top:
        findings.add((), "names no volumes: write volumes or volumes_from")
    elif streamed == []:
        findings.add(("volumes",), "volumes: is empty")


def _check_channels(
    names: Sequence[str], top: Any, known: Collection[str] | None, findings: Findings
) -> None:
    """Check that each channel that the plan names is in the config file."""
    if known is None or not isinstance(top, dict):
        return
    said = top.get("notify")
    for name in names:
        if name in known:
            continue
        text = f"notify: the config file has no channel {quoted(name)}"
        if close := get_close_matches(name, known, 1):
            text += f': did you mean "{close[0]}"?'
        else:
            text += f": it has {', '.join(known)}" if known else ", and no other"
        at = [str(each) for each in said].index(name) if isinstance(said, list) else None
        findings.add(("notify",) if at is None else ("notify", at), text)


def _check_retry(retry: RetryKeys | None, said: Any, findings: Findings) -> None:
    given = retry.given() if retry is not None else {}
    if not isinstance(said, dict) or {"base", "cap"} & said.keys() - given.keys():
        return  # one of them has a problem of its own
    whole = replace(model.Retry(), **{k: v for k, v in given.items() if k != "rules"})
    if whole.cap < whole.base:
        key = "cap" if "cap" in given else "base"
        text = f"retry.cap: is shorter than retry.base ({whole.cap:g}s, {whole.base:g}s)"
        findings.add(("retry", key), text)


def _selection(keys: SelectionKeys) -> VolumeSelection:
    given: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in keys.given().items()
    }
    pairs = (pair.partition("=") for pair in given.pop("metadata", ()))
    return VolumeSelection(**given, metadata=tuple((key, value) for key, _, value in pairs))


def _listed_volumes(
    source: str | Path,
    volumes: str | Path | None,
    keys: dict[str, Any],
    stdin: BinaryIO | None,
) -> tuple[list[PlanVolume] | None, list[Problem], int]:
    """The volumes of the list that the command line or the plan names; None without one."""
    if volumes is None and "volumes_from" not in keys:
        return None, [], 0
    try:
        if str(volumes) == "-":
            file, data = STDIN, read_stream(STDIN, stdin or sys.stdin.buffer)
        else:
            path = volumes if volumes is not None else Path(source).parent / keys["volumes_from"]
            file, data = str(path), read_file(path)
    except PlanError as error:
        return [], list(error.problems), 0
    return read_list(file, data)


def _plan(source: str | Path, keys: dict[str, Any], volumes: list[PlanVolume]) -> Plan:
    defaults = choices(keys["defaults"].given()) if "defaults" in keys else NO_CHOICES
    names_unique = _names_unique(defaults, volumes)
    limits = keys["limits"].given() if "limits" in keys else {}
    return Plan(
        name=keys.get("name") or _name_of_file(source),
        cloud=keys.get("cloud"),
        service=keys.get("service"),
        settings=_settings(keys, names_unique),
        defaults=defaults,
        volumes=tuple(volumes),
        names_unique=names_unique,
        skip_if_newer_than=keys.get("skip_if_newer_than"),
        on_preflight=keys.get("on_preflight", model.OnPreflight.FAIL),
        order=keys.get("order", model.Order.PLAN),
        selection=_selection(keys["selection"]) if "selection" in keys else None,
        per_checkpoint=limits.get("per_checkpoint", PER_CHECKPOINT),
        settle_said="retry" in keys and "settle" in keys["retry"].given(),
        rate_said="limits" in keys and "rate" in keys["limits"].given(),
    )


def _name_of_file(source: str | Path) -> str:
    stem = "".join(c if c.isprintable() else "-" for c in Path(source).stem)
    return (stem[:64] if str(source) != "-" else "") or "plan"


def _settings(keys: dict[str, Any], names_unique: bool) -> model.Settings:
    given = {key: keys[key].given() for key in ("limits", "retry", "timeouts") if key in keys}
    given.get("limits", {}).pop("per_checkpoint", None)  # depends on the service
    retry = given.get("retry", {})
    if "rules" in retry:
        retry["rules"] = tuple(model.Rule(**rule.given()) for rule in retry["rules"])
    waves = tuple(model.Wave(**wave.given()) for wave in keys.get("waves", ()))
    window = model.Window(**keys["window"].given()) if "window" in keys else None
    return model.Settings(
        limits=model.Limits(**given.get("limits", {})),
        retry=model.Retry(**retry),
        timeouts=model.Timeouts(**given.get("timeouts", {})),
        deadline=keys.get("deadline"),
        waves=waves,
        window=window,
        names_unique=names_unique,
        polling=keys.get("polling", model.Polling.NORMAL),
        retention=_retention(keys.get("retention"), window),
        notify=keys.get("notify"),
    )


def _retention(keys: RetentionKeys | None, window: model.Window | None) -> model.Retention | None:
    """The rules, in the time zone of the plan."""
    if keys is None:
        return None
    zone = "UTC" if window is None else window.timezone
    return model.Retention(**{"timezone": zone, **keys.given()})


def _names_unique(defaults: Choices, volumes: list[PlanVolume]) -> bool:
    """Whether every name holds the run's id, which no other run has."""
    used = {volume.own.backup_name or defaults.backup_name for volume in volumes}
    return all("run" in template_fields(name or DEFAULT_TEMPLATE) for name in used)


def check_waves(
    waves: Sequence[WaveKeys],
    default: str | None,
    gathered: VolumeCollector | None,
    findings: Findings,
) -> None:
    """Check that each wave has its own name and volumes, and that every wave that is named exists.

    `default` is the wave of `defaults`; `gathered` is None where the volumes come from a list,
    which names no waves.
    """
    names = [wave.name for wave in waves]
    for index, name in enumerate(names):
        if name in names[:index]:
            text = f"waves.name: {quoted(name)} is the name of an earlier wave"
            findings.add(("waves", index, "name"), text)
    _check_wave(default, names, ("defaults", "wave"), findings)
    used = {default}
    sound = True
    if gathered is not None:
        _check_volumes(gathered, names, findings)
        used = {volume.own.wave or default for volume in gathered.volumes}
        sound = not gathered.findings.items
    for index, name in enumerate(names[:-1] if sound and not findings.items else []):
        if name not in used:
            text = f"waves.name: no volume is in the wave {quoted(name)}"
            findings.add(("waves", index, "name"), text)


def _check_volumes(gathered: VolumeCollector, names: Sequence[str], findings: Findings) -> None:
    for volume in gathered.volumes:
        path = ("volumes", gathered.place(volume), "wave")
        _check_wave(volume.own.wave, names, path, findings)


def _check_wave(name: str | None, names: Sequence[str], path: KeyPath, findings: Findings) -> None:
    if name is None or name in names:
        return
    text = f"{path[0]}.wave: there is no wave {quoted(name)}"
    if close := get_close_matches(name, names, 1):
        text += f': did you mean "{close[0]}"?'
    elif names:
        text += f": there are {', '.join(map(quoted, names))}"
    else:
        text += ": the plan has no waves"
    findings.add(path, text)
