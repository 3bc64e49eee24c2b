"""Checks for creating a run again whose store is lost: its id, and its backups in the cloud."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from vbsbatch.api.cloud_lists import backups_since
from vbsbatch.errors import CloudRefused, CloudUnavailable, UsageError
from vbsbatch.model import Cloud, Wall, plain_id
from vbsbatch.model.clocks import wall

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vbsbatch.cloud import CloudService
    from vbsbatch.model import Backup
    from vbsbatch.plan import Plan
    from vbsbatch.store import RunStore

SHOWN = 20
"""How many backups that fit no row of the plan are listed."""

_RUN_ID = re.compile(r"(\d{8}-\d{4})-[a-z0-9]{4}", re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class LostRun:
    """The run to create again."""

    id: str
    made_at: Wall
    """The minute in its id."""


def lost_run(store: RunStore, run_id: str) -> LostRun:
    """Read the id; raises `UsageError` when the store has this run, or when it is no id."""
    found = _RUN_ID.fullmatch(run_id)
    try:
        made_at = datetime.strptime(found[1] if found else "", "%Y%m%d-%H%M").replace(tzinfo=UTC)
    except ValueError:
        raise UsageError(
            f"{run_id!r} is not a complete run id such as 20261123-0715-k3f9: it is in the first "
            "line of every log and report, and in the names of the backups"
        ) from None
    if run_id in {run.id for run in store.runs()}:
        raise UsageError(
            f"run {run_id} is in {store.path}: continue it with `vbsbatch resume {run_id}`"
        )
    if Wall(made_at.timestamp()) > wall() + 86400.0:
        raise UsageError(f"run {run_id} has a date in the future: check the machine's clock")
    return LostRun(id=run_id, made_at=Wall(made_at.timestamp()))


async def check_backups(service: CloudService, plan: Plan, lost: LostRun) -> None:
    """Raise `UsageError` when backups in the cloud have the run's id and fit no row of the plan.

    Then the run was made from another plan.
    """
    from vbsbatch.report import clean

    try:
        listed = await backups_since(service, Cloud(float(lost.made_at) + service.clock_ahead))
    except (CloudUnavailable, CloudRefused) as error:
        raise UsageError(f"cannot read the backups of run {lost.id}: {error}") from error
    strays = _strays(plan, lost, listed, shared_names=service.facts.vaults)
    if strays:
        fits = "fits" if len(strays) == 1 else "fit"
        many = "1 backup carries" if len(strays) == 1 else f"{len(strays)} backups carry"
        lines = [f"{clean(b.name or '-')} of volume {clean(b.volume_id or '-')}" for b in strays]
        more = [f"... and {len(strays) - SHOWN} more"] if len(strays) > SHOWN else []
        raise UsageError(
            "\n".join(
                [
                    f"{many} the id of run {lost.id} and {fits} no row of this plan:",
                    *lines[:SHOWN],
                    *more,
                    "use the plan as it was when the run began; nothing was sent",
                ]
            )
        )


def _strays(
    plan: Plan, lost: LostRun, listed: Iterable[Backup], *, shared_names: bool
) -> list[Backup]:
    jobs = plan.jobs(lost.id, shared_names=shared_names)
    planned = {(job.backup_name, plain_id(job.volume_id)) for job in jobs}
    return [
        backup
        for backup in listed
        if lost.id in (backup.name or "")
        and (backup.name, plain_id(backup.volume_id or "")) not in planned
    ]
