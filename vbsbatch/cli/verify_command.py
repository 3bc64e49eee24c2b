"""The command verify: compares a run with the cloud."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vbsbatch.cli import FAILED, mention, say
from vbsbatch.cli.options import cloud_options, db_option, open_store, run_argument, with_options
from vbsbatch.model import Operation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vbsbatch.api.verification import Verification
    from vbsbatch.cloud import CloudChoice
    from vbsbatch.engine.verify import Discrepancy
    from vbsbatch.model import Run
    from vbsbatch.store import RunStore

TOLD = 5
"""How many backups in error are listed; more are counted."""

_WELL = {
    Operation.BACKUP: "the cloud has what the store says",
    Operation.RESTORE: "every restored volume exists, and none is in error",
    Operation.PRUNE: "the deleted backups are gone",
}


@click.command(
    epilog="""\
Exit codes: 0 no difference, 1 any difference, 2 or 3 the comparison failed.

\b
Examples:
  vbsbatch verify
  vbsbatch verify 20261123-0715 --json
"""
)
@run_argument
@with_options(*cloud_options, db_option)
@click.option("--json", "as_json", is_flag=True, help="As one JSON document.")
def verify(run: str, db: Path | None, as_json: bool, **place: str | None) -> int:
    """Compare RUN with the cloud: backups missing, duplicate, not available or unrecorded.

    For a restore: volumes that are gone or in error. For a prune: backups that still exist. The
    store keeps the result for reports.
    """
    import anyio

    from vbsbatch.api.sessions import choice_for_run

    with open_store(db, readonly=True) as store:
        found = store.run(run)
        compared = anyio.run(_compare, store, found, choice_for_run(found, **place))
        _mention_leftovers(compared.leftovers)
        if compared.pruned:
            mention(
                f"note: {compared.pruned} backups of run {found.id} were deleted on purpose (prune)"
            )
        if compared.not_stored is not None:
            mention(f"note: the result is not in the store: {compared.not_stored}")
        (_print_json if as_json else _print_table)(found, compared.differences)
    return FAILED if compared.differences else 0


async def _compare(store: RunStore, run: Run, choice: CloudChoice) -> Verification:
    from vbsbatch.api.sessions import check_project, place_line, signed_in
    from vbsbatch.api.verification import compare
    from vbsbatch.cli.cloud_line import warn

    async with signed_in(choice, run.settings) as service:
        warn(service)
        check_project(run, service)
        mention(f"in {place_line(service)}")
        return await compare(store, run, service)


def _mention_leftovers(backup_ids: Sequence[str]) -> None:
    from vbsbatch.report import clean

    if backup_ids:
        named = ", ".join(map(clean, backup_ids[:TOLD]))
        more = f" and {len(backup_ids) - TOLD} more" if len(backup_ids) > TOLD else ""
        mention(
            f"note: backups in error, which count against the limit of their volumes: {named}{more}"
        )


def _print_table(run: Run, faults: Sequence[Discrepancy]) -> None:
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


def _print_json(run: Run, faults: Sequence[Discrepancy]) -> None:
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
