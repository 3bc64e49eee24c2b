"""The runs of a plan in the store, and which of them are in the same place."""

from __future__ import annotations

from collections.abc import Iterable

from vbsbatch.cloud import CloudService
from vbsbatch.model import Operation, Run, RunState, Service
from vbsbatch.store import RunStore


def runs_of_plan(store: RunStore, plan: str) -> list[Run]:
    """The runs that made backups for the plan of this name, newest first."""
    return [
        run
        for run in store.runs()
        if run.plan == plan and run.settings.operation is Operation.BACKUP
    ]


def in_place_of(source: Run, runs: Iterable[Run]) -> list[Run]:
    """Those of the runs that are in the same project and region, with the same service."""
    return _in(source.project_id, source.region, source.settings.service, runs)


def in_reach_of(service: CloudService, runs: Iterable[Run]) -> list[Run]:
    """Those of the runs that are in the project and region of a session, with its service."""
    return _in(service.project_id, service.region, service.facts.service, runs)


def _in(
    project_id: str | None, region: str | None, service: Service, runs: Iterable[Run]
) -> list[Run]:
    return [
        run
        for run in runs
        if run.project_id == project_id
        and (run.region == region or None in (run.region, region))
        and run.settings.service is service
    ]


def automatic_prunes(store: RunStore, source: Run) -> list[Run]:
    """The prunes that have not ended and that retention began for the plan, in the same place."""
    prunes = [
        run
        for run in store.runs()
        if run.settings.source_plan == source.plan
        and (run.settings.follows or run.settings.makes_room_for)
        and run.state is not RunState.ENDED
    ]
    return in_place_of(source, prunes)
