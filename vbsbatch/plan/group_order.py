"""Which volume goes when: groups stay together."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from vbsbatch.plan.volumes import PlanVolume


def ranks(volumes: Sequence[PlanVolume], waves: Sequence[int]) -> list[int] | None:
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
