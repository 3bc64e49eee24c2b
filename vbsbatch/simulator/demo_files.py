"""The files of the demo: what goes wrong in its cloud, its plan, and its list of volumes."""

from __future__ import annotations

import csv
from pathlib import Path

from vbsbatch.simulator.project_state import sample_volumes
from vbsbatch.simulator.scenario import Services
from vbsbatch.simulator.services import offered

REFUSED_VOLUMES = 4
"""So many volumes fail for good at first, and are retried by their code."""

SMALL_FAULTS = """\
# What goes wrong in the demo: slow answers, some lost, some refused, and a gateway that throttles.
backups: {duration: [2s, 6s], visible_after: 500ms, fail: 0.01, fail_code: FAILED}
limit: {count: 60, per: 1s}
latency: [5ms, 40ms]
faults:
  - {on: create, do: status, REFUSED, volumes: [VOLUMES], first: 1}
  - {on: create, do: status, DOWN, share: 0.02}
  - {on: create, do: drop_after, share: 0.01}
  - {on: create, do: revoke, first: 1, share: 0.005}
  - {on: list, do: status, status: 503, share: 0.02}
"""

DEMO_PLAN = """\
# Every volume of the simulated cloud, with a few things going wrong on the way.
name: demo
cloud: simulator
defaults:
  backup_name: "{plan}-{volume}-{run}"
  description: vbsbatch demo
  full: true
limits: {rate: 40/s, in_flight: 200, connections: 8}
retry: {attempts: 6, base: 500ms, settle: 3s, later_every: 2s}
volumes_from: fleet.csv
"""


def write_demo_files(folder: Path, service: str, volumes: int, seed: int) -> None:
    """Write `faults.yaml`, `demo.yaml` and `fleet.csv` into an empty folder of our own."""
    (simulated,) = offered(Services(service))
    fleet = sample_volumes(volumes, seed)
    refused = fleet[volumes // 20 :: volumes // 4 or 1][:REFUSED_VOLUMES]
    faults = SMALL_FAULTS.replace("FAILED", simulated.demo_failure)
    faults = faults.replace("DOWN", simulated.demo_outage)
    faults = faults.replace("REFUSED", simulated.demo_refusal)
    faults = faults.replace("VOLUMES", ", ".join(volume.id for volume in refused))
    (folder / "faults.yaml").write_text(faults, encoding="utf-8")
    (folder / "demo.yaml").write_text(DEMO_PLAN, encoding="utf-8")
    with (folder / "fleet.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("ID", "Name"))
        writer.writerows((volume.id, volume.name) for volume in fleet)
