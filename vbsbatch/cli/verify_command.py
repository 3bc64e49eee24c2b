"""The store against the cloud: verify."""

from __future__ import annotations

from collections.abc import Set
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vbsbatch.cli import FAILED, mention, say
from vbsbatch.cli.cloud_line import place_line
from vbsbatch.cli.cloud_queries import PAGES, volumes_by_id
from vbsbatch.cli.options import cloud_options, db_option, open_store, run_argument, with_options
from vbsbatch.errors import CloudUnavailable, ListChanged, ListIncomplete
from vbsbatch.model import OPEN_STATES, Cloud, JobState, Operation

if TYPE_CHECKING:
    from vbsbatch.cloud import CloudService
    from vbsbatch.engine.verify import Discrepancy
    from vbsbatch.model import Backup, BackupPage, Run
    from vbsbatch.store import Store

TOLD = 5
"""Backups in error that are named one by one; more are counted."""

_WELL = {
    Operation.BACKUP: "the cloud has what the store says",
    Operation.RESTORE: "every restored volume is there, and none is in error",
    Operation.PRUNE: "the deleted backups are gone",
}


@click.command(
    epilog="""\
Exit codes: 0 all is as the store says, 1 any difference, 2 or 3 it could not be found out.

\b
Examples:
  vbsbatch verify
  vbsbatch verify 20261123-0715 --json
"""
)
@run_argument
@with_options(*cloud_options, db_option)
@click.option("--json", "as_json", is_flag=True, help="As one JSON document.")
def verify(
    run: str,
    cloud: str | None,
    vbs_endpoint: str | None,
    block_storage_endpoint: str | None,
    db: Path | None,
    as_json: bool,
) -> int:
    """Hold RUN against the cloud: backups missing, duplicate, not available or unrecorded.

    Of a restore: volumes that are gone or in error. Of a prune: backups that are still there.
    """
    import anyio

    from vbsbatch.cloud import CloudChoice

    with open_store(db, readonly=True) as store:
        found = store.run(run)
        choice = CloudChoice(
            cloud=cloud or found.cloud,
            service=found.settings.service,
            vbs_endpoint=vbs_endpoint,
            block_storage_endpoint=block_storage_endpoint,
        )
        faults = anyio.run(_compare, store, found, choice)
        (_print_json if as_json else _print_table)(found, faults)
    return FAILED if faults else 0


async def _compare(store: Store, run: Run, choice: Any) -> list[Discrepancy]:
    from vbsbatch.cli.engine_process import check_project, signed_in, warn
    from vbsbatch.engine.verify import differences_of_deletions, differences_of_restores

    async with signed_in(choice, run.settings) as service:
        warn(service)
        check_project(run, service)
        mention(f"in {place_line(service)}")
        if run.settings.operation is Operation.BACKUP:
            return await _compare_backups(store, run, service)
        jobs = list(store.jobs(run.id))
        if run.settings.operation is Operation.RESTORE:
            volumes = await volumes_by_id(service.inventory, {job.volume_id for job in jobs})
            return list(differences_of_restores(jobs, volumes))
        wanted = {job.settings.source_backup_id or "" for job in jobs}
        return list(differences_of_deletions(jobs, await listed(service, wanted)))


async def _compare_backups(store: Store, run: Run, service: CloudService) -> list[Discrepancy]:
    from vbsbatch.engine.verify import BackupIndex, DiscrepancyKind, differences, left_in_error

    made_at = run.created_cloud_at or Cloud(float(run.created_at) + service.clock_ahead)
    shelf = BackupIndex(await backups_since(service, made_at))
    known: Any = {"names_unique": run.settings.names_unique, "clock_ahead": service.clock_ahead}
    found = differences(store.jobs(run.id), shelf, **known)
    _mention_leftovers([b.id for b in left_in_error(store.jobs(run.id), shelf, **known)])
    pruned = _pruned(store, run)
    if pruned:
        mention(f"note: {len(pruned)} backups of run {run.id} were deleted on purpose (prune)")
    gone = (DiscrepancyKind.MISSING, DiscrepancyKind.UNAVAILABLE)
    return [each for each in found if each.fault not in gone or each.job.backup_id not in pruned]


def _mention_leftovers(backup_ids: list[str]) -> None:
    from vbsbatch.report import clean

    if backup_ids:
        named = ", ".join(map(clean, backup_ids[:TOLD]))
        more = f" and {len(backup_ids) - TOLD} more" if len(backup_ids) > TOLD else ""
        mention(f"note: left in error, and counted against their volumes' limit: {named}{more}")


def _pruned(store: Store, run: Run) -> set[str | None]:
    """The backups of a run that others deleted on purpose, or are deleting."""
    return {
        job.settings.source_backup_id
        for other in store.runs()
        if other.settings.operation is Operation.PRUNE and other.settings.source_run == run.id
        for job in store.jobs(other.id, states=(JobState.SUCCEEDED, *OPEN_STATES))
    }


async def listed(service: CloudService, wanted: Set[str]) -> dict[str, Backup]:
    """Those of the wanted backups that the cloud lists, by id."""
    from vbsbatch.cli.retrying import whole

    return await whole(partial(_listed, service, wanted))


async def _listed(service: CloudService, wanted: Set[str]) -> dict[str, Backup]:
    found: dict[str, Backup] = {}
    page = None
    for _ in range(PAGES):
        if len(found) == len(wanted):
            return found
        try:
            shown = await _page(service, page)
        except ListIncomplete:
            return found | await _one_by_one(service, wanted - found.keys())
        found |= {backup.id: backup for backup in shown.backups if backup.id in wanted}
        page = shown.next
        if page is None:
            return found
    raise _endless()


async def _one_by_one(service: CloudService, wanted: Set[str]) -> dict[str, Backup]:
    """Those backups that the cloud knows, where its list does not tell."""
    from vbsbatch.cli.retrying import ask_again

    found = [await ask_again(partial(service.backup, each)) for each in sorted(wanted)]
    return {backup.id: backup for backup in found if backup is not None}


async def backups_since(service: CloudService, since: Cloud) -> list[Backup]:
    """Every backup made since then less a day, as a clock may have been set, and what else stands
    on the pages that hold them."""
    from vbsbatch.cli.retrying import whole

    return await whole(partial(_backups_since, service, since))


async def _backups_since(service: CloudService, since: Cloud) -> list[Backup]:
    from vbsbatch.engine.reconcile import CLOCKS_DIFFER, reaches_back

    found: list[Backup] = []
    page = None
    for _ in range(PAGES):
        listed = await _page(service, page)
        found.extend(listed.backups)
        if listed.next is None or reaches_back(found, since - CLOCKS_DIFFER):
            return found
        page = listed.next
    raise _endless()


def _endless() -> CloudUnavailable:
    return CloudUnavailable(f"the list of backups does not end within {PAGES} pages")


async def _page(service: CloudService, page: str | None) -> BackupPage:
    """One page, asked for again a few times: a list that failed proves nothing."""
    from vbsbatch.cli.retrying import ask_again

    try:
        return await ask_again(lambda: service.backups(page))
    except (ListChanged, ListIncomplete):
        raise
    except CloudUnavailable as error:
        raise CloudUnavailable(f"cannot read the list of backups: {error}; try later") from error


def _print_table(run: Run, faults: list[Discrepancy]) -> None:
    from vbsbatch.report import clean

    for each in faults:
        status = f" status={clean(each.status)}" if each.status else ""
        backups = ",".join(map(clean, each.backup_ids)) or "-"
        say(
            f"{each.fault:<13} job={each.job.no:05d} volume={clean(each.job.volume_id)} "
            f"state={each.job.state} backups={backups}{status}"
        )
    many = "1 difference" if len(faults) == 1 else f"{len(faults)} differences"
    verdict = many if faults else _WELL[run.settings.operation]
    say(f"run {run.id}: {verdict}")


def _print_json(run: Run, faults: list[Discrepancy]) -> None:
    import json

    from vbsbatch.report import clean

    rows = [
        {
            "fault": each.fault,
            "no": each.job.no,
            "volume_id": each.job.volume_id,
            "state": each.job.state,
            "backup_ids": [clean(backup_id) for backup_id in each.backup_ids],
            "status": None if each.status is None else clean(each.status),
        }
        for each in faults
    ]
    say(json.dumps({"schema": 1, "run": run.id, "differences": rows}, indent=2))
