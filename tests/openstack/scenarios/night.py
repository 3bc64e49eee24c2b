"""A user's evening at the real cloud: a fleet, a plan, the command line, the official client."""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from tests.cli.clouds import Process
from tests.cli.harness import Done, Harness, until
from tests.openstack import official
from tests.openstack.cloud import RealCloud
from tests.openstack.fleet import Fleet, make_fleet

PATIENCE = 600.0

PLAN = {
    "name": "night",
    "cloud": "backup",
    "service": "cinder",
    "limits": {"rate": "10/s", "in_flight": 10, "connections": 4},
    "retry": {
        "attempts": 2,
        "base": "500ms",
        "cap": "2s",
        "settle": "10s",
        "later_every": "2s",
        "later_for": "60s",
    },
    "volumes_from": "fleet.json",
}


class Night(Harness):
    """A stage at the real cloud; every test has volumes of its own."""

    def __init__(self, cloud: RealCloud, folder: Path) -> None:
        super().__init__(folder)
        self.real = cloud
        shutil.copy(cloud.clouds_file, self.clouds)

    def finish(
        self, process: Process, code: int | None = None, *, patience: float = PATIENCE
    ) -> Done:
        """As on the simulated cloud, with the patience that a real one needs."""
        return super().finish(process, code, patience=patience)

    def fleet(self, prefix: str, count: int, **spoilt: int) -> Fleet:
        """Volumes `PREFIX-0001` ..., and the list of them as the official client writes it."""
        fleet = make_fleet(self.real, prefix, count, **spoilt)
        self.write_list(fleet)
        return fleet

    def write_list(self, fleet: Fleet) -> None:
        rows = official.volumes(self.real, fleet.ids)
        assert len(rows) == len(fleet.ids), rows
        (self.folder / "fleet.json").write_text(json.dumps(rows))

    def write_real_plan(self, **changes: Any) -> None:
        """The usual plan (JSON is YAML); a map in `changes` is merged."""
        plan: dict[str, Any] = {**PLAN}
        for key, value in changes.items():
            usual = plan.get(key)
            plan[key] = {**usual, **value} if isinstance(usual, dict) else value
        self.plan.write_text(json.dumps(plan, indent=1))

    def count(self, state: str) -> int:
        """How many jobs of the latest run are in a state; 0 as long as there is no run."""
        runs = self.runs()
        return int(runs[0]["counts"][state]) if runs else 0

    def until_state(self, run: Process, state: str, count: int) -> None:
        """Wait until so many jobs of a live run are in a state."""

        def reached() -> bool:
            time.sleep(0.3)  # looking costs more than the run itself
            if self.count(state) >= count:
                return True
            assert run.poll() is None, f"it ended: {run.communicate()}"
            return False

        until(reached, PATIENCE)

    def backups(self, fleet: Fleet) -> Sequence[official.Listed]:
        return official.backups(self.real, fleet.ids)

    def assert_each_once(self, fleet: Fleet, failed: Collection[str] = ()) -> None:
        """0 lost, 0 duplicates: the official client lists exactly what the store says.

        Every volume but those that `failed` has one backup, which is available and the one of its
        job; those have none.
        """
        listed = self.backups(fleet)
        counts = Counter(backup.volume_id for backup in listed)
        lost = [one for one in fleet.ids if one not in failed and not counts[one]]
        assert not lost, f"lost: {lost}"
        assert not [one for one, count in counts.items() if count > 1], f"duplicates: {listed}"
        assert {backup.status for backup in listed} <= {"available"}, listed
        jobs = {job["volume_id"]: job for job in self.jobs()}
        assert set(jobs) == set(fleet.ids)
        for backup in listed:
            job = jobs.pop(backup.volume_id)
            assert (job["state"], job["backup_id"]) == ("succeeded", backup.id), job
        assert set(jobs) == set(failed)
        assert all(job["state"] == "failed" and job["message"] for job in jobs.values()), jobs
        assert "the cloud has what the store says" in self("verify").stdout
