"""Volumes to back up: ids, names, create bodies, and the plan file that lists them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

from vbsbatch.model import Job


def volume_id(number: int) -> str:
    """The same id for the same number every time."""
    return str(UUID(int=random.Random(number).getrandbits(128), version=4))


def volume_name(number: int) -> str:
    """Such as `db00042-data`."""
    return f"db{number:05d}-data"


def body(number: int) -> dict[str, str]:
    """The `backup` object of a create."""
    return {
        "volume_id": volume_id(number),
        "name": f"bench-{volume_name(number)}-20261123-0715-k3f9",
    }


def fleet(count: int) -> Callable[[str], Iterator[Job]]:
    """What makes the jobs of a run over so many volumes, from the run's id."""
    return lambda run_id: _jobs(count, run_id)


def _jobs(count: int, run_id: str) -> Iterator[Job]:
    for number in range(1, count + 1):
        name = volume_name(number)
        yield Job(
            no=number,
            volume_id=volume_id(number),
            volume_name=name,
            backup_name=f"bench-{name}-{run_id}",
        )


def write_plan(path: Path, count: int) -> None:
    """A plan file of so many volumes, every one spelled out."""
    with path.open("w", encoding="utf-8") as file:
        file.write(
            "name: bench\ncloud: simulator\nlimits: {rate: 500/s, in_flight: 500}\nvolumes:\n"
        )
        for number in range(1, count + 1):
            file.write(f"  - {{id: {volume_id(number)}, name: {volume_name(number)}}}\n")
