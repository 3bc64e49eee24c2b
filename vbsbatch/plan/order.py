"""Which volume goes when: waves by name, and groups that stay together."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from itertools import pairwise
from typing import TYPE_CHECKING

from vbsbatch.plan.findings import Findings, Path
from vbsbatch.plan.units import quoted

if TYPE_CHECKING:
    from vbsbatch.plan.gathering import Gathered
    from vbsbatch.plan.plan import Volume
    from vbsbatch.plan.schema import WaveKeys


def check_order(
    waves: Sequence[WaveKeys], default: str | None, gathered: Gathered | None, findings: Findings
) -> None:
    """Each wave has its own name, every wave that is named exists, and no gate guards nothing.

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
    if gathered is not None:
        _check_volumes(gathered, names, findings)
        used = {volume.own.wave or default for volume in gathered.volumes}
    for index, name in enumerate([] if findings.items else names[:-1]):
        if name not in used:
            text = f"waves.name: no volume is in the wave {quoted(name)}"
            findings.add(("waves", index, "name"), text)


def _check_volumes(gathered: Gathered, names: Sequence[str], findings: Findings) -> None:
    for volume in gathered.volumes:
        path = ("volumes", gathered.place(volume), "wave")
        _check_wave(volume.own.wave, names, path, findings)


def _check_wave(name: str | None, names: Sequence[str], path: Path, findings: Findings) -> None:
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


def ranks(volumes: Sequence[Volume], waves: Sequence[int]) -> list[int] | None:
    """Ranks that keep groups together: the order is by wave, rank, priority and place.

    A group stands where its best member would stand alone. `waves` has each volume's wave. None
    where priority and place alone give that order, as in every plan without groups.
    """
    if all(volume.group is None for volume in volumes):
        return None
    alone = [(-volume.priority, place) for place, volume in enumerate(volumes)]
    best: dict[tuple[int, str], tuple[int, int]] = {}
    for place, volume in enumerate(volumes):
        if volume.group is not None:
            unit = waves[place], volume.group
            best[unit] = min(best.get(unit, alone[place]), alone[place])

    def stands(place: int) -> tuple[int, tuple[int, int], tuple[int, int]]:
        group = volumes[place].group
        unit = alone[place] if group is None else best[waves[place], group]
        return waves[place], unit, alone[place]

    order = sorted(range(len(volumes)), key=stands)
    found = [0] * len(volumes)
    for before, after in pairwise(order):
        same_wave = waves[before] == waves[after]
        found[after] = (found[before] + (alone[after] < alone[before])) if same_wave else 0
    return found
