"""What a plan says about its waves, held against its volumes."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from vbsbatch.plan.findings import Findings, Path
from vbsbatch.plan.schema import WaveKeys
from vbsbatch.plan.units import quoted
from vbsbatch.plan.volume_collector import VolumeCollector


def check_waves(
    waves: Sequence[WaveKeys],
    default: str | None,
    gathered: VolumeCollector | None,
    findings: Findings,
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
