"""Fleets look real, differ by seed and repeat by seed."""

from __future__ import annotations

import re

from vbsbatch.simulator import sample_volumes
from vbsbatch.simulator.project_state import read_id


def test_names_are_unique_and_read_like_servers_and_their_disks() -> None:
    names = [volume.name for volume in sample_volumes(600)]
    assert len(set(names)) == 600
    assert all(re.fullmatch(r"[a-z]+\d{2,}-[a-z]+\d?", name) for name in names)


def test_ids_are_uuids_and_states_can_be_backed_up() -> None:
    volumes = sample_volumes(200)
    assert all(read_id(volume.id) == volume.id for volume in volumes)
    assert {volume.status for volume in volumes} == {"available", "in-use"}
    assert all((volume.server_id is not None) == (volume.status == "in-use") for volume in volumes)


def test_the_same_seed_gives_the_same_fleet() -> None:
    assert sample_volumes(50, 7) == sample_volumes(50, 7)
    assert sample_volumes(50, 7) != sample_volumes(50, 8)
    assert sample_volumes(50, 7) == sample_volumes(80, 7)[:50]
