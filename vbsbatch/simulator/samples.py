"""Fleets of volumes as one finds them: servers of several trades, each with its disks."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import count, islice

from vbsbatch.simulator.project_state import SimVolume, new_id

_TRADES: tuple[tuple[str, tuple[tuple[str, int], ...]], ...] = (
    ("db", (("root", 40), ("data", 500), ("log", 100))),
    ("web", (("root", 40),)),
    ("app", (("root", 40), ("data", 200))),
    ("file", (("root", 40), ("share1", 1000), ("share2", 2000))),
    ("mail", (("root", 40), ("spool", 300))),
    ("cache", (("root", 20), ("swap", 50))),
    ("build", (("root", 60), ("work", 250))),
)
"""Trade of a server and its disks with their usual size in GB."""


def sample_volumes(number: int, seed: int = 1) -> list[SimVolume]:
    """`number` volumes with names such as `db01-data`; the same seed gives the same fleet.

    Names are unique, about three in four are attached (`in-use`), sizes are in GB.
    """
    return list(islice(_volumes(random.Random(f"fleet {seed}")), number))


def _volumes(rng: random.Random) -> Iterator[SimVolume]:
    hosts = {trade: count(1) for trade, _ in _TRADES}
    while True:
        trade, disks = rng.choice(_TRADES)
        host = f"{trade}{next(hosts[trade]):02d}"
        server_id = new_id(rng) if rng.random() < 0.75 else None
        zone = rng.choice(("sim-1a", "sim-1b", "sim-1c"))
        for part, usual_size in disks:
            yield SimVolume(
                id=new_id(rng),
                name=f"{host}-{part}",
                size=rng.choice((usual_size, usual_size, usual_size * 2)),
                status="in-use" if server_id else "available",
                volume_type=rng.choice(("SSD", "SSD", "SAS", "SATA")),
                zone=zone,
                bootable=part == "root",
                server_id=server_id,
                server_name=host if server_id else None,
                metadata={"trade": trade},
                age=rng.uniform(1, 800) * 86400,
            )
