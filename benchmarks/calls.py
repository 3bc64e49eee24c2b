"""How many API calls a completed backup costs: whole nights in virtual time."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.figure import Figure
from tests.simulation.night import Night, check, with_settings
from vbsbatch.simulator import BackupScript, Scenario

VOLUMES = 600
TEN_MINUTES = (540.0, 660.0)


def figures(*, quick: bool) -> Iterator[Figure]:
    """Calls for each of 600 backups of about ten minutes, sign-in included."""
    for in_flight in (50, 600):
        night = Night(
            volumes=VOLUMES,
            scenario=Scenario(backups=BackupScript(duration=TEN_MINUTES)),
            settings=with_settings(limits={"in_flight": in_flight}),
        ).run()
        check(night)
        yield Figure(
            name=f"calls per backup, 600 x 10 min, {in_flight} in flight",
            measured=night.calls / VOLUMES,
            at_most=1.2,
            note=f"{night.calls} calls in {night.clock.passed / 3600:.1f} virtual hours",
        )
