"""Checks before a run whether the cloud can carry out the plan in its present state.

Quota, volumes and backups are read at the same time, each in as few pages as possible.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from vbsbatch.api.cloud_lists import Count, read_volumes
from vbsbatch.api.holdings import holdings_of
from vbsbatch.api.plan_runs import in_reach_of, runs_of_plan
from vbsbatch.api.retrying import BRIEF, ask_again, patient_pages, whole
from vbsbatch.api.sessions import (
    choice_for_plan,
    end_line,
    objections,
    place_line,
    reach,
    signed_in,
)
from vbsbatch.api.stores import StoreName, opened_store
from vbsbatch.cloud import CloudService
from vbsbatch.errors import CloudError, CloudRefused, CloudUnavailable, SignInError, UsageError
from vbsbatch.inventory.cloud_snapshot import CloudSnapshot, Gap, by_volume
from vbsbatch.inventory.plan_writer import counted
from vbsbatch.inventory.preflight import Preflight, PreflightFinding, Severity, look
from vbsbatch.inventory.retention import Holdings, fates, room
from vbsbatch.inventory.volumes_by_server import VolumesByServer
from vbsbatch.model import Backup, CloudVolume, Quota, Service, Vault
from vbsbatch.store import RunStore, default_path

if TYPE_CHECKING:
    from vbsbatch.plan import Plan

PAGES = 20
"""Pages of backups that are read, newest first."""

TO_SKIP = (
    "on_preflight: skip in the plan or --on-preflight skip leaves them out and runs the rest, "
    "--no-preflight leaves out the check"
)
"""Advice about volumes that would surely fail."""

_NOT_OFFERED = frozenset({501, 505})


async def preflight(
    plan: Plan,
    *,
    cloud: str | None = None,
    service: Service | str | None = None,
    vbs_endpoint: str | None = None,
    cbr_endpoint: str | None = None,
    block_storage_endpoint: str | None = None,
    store: StoreName = None,
) -> Preflight:
    """Check what a run of the plan would meet in the cloud now: findings and a forecast.

    Sends only reads. Arguments as for `run`; there need be no store. Raises `SignInError`.
    """
    choice = choice_for_plan(
        plan, cloud, vbs_endpoint, cbr_endpoint, block_storage_endpoint, service=service
    )
    with store_if_any(plan, store) as opened:
        async with signed_in(choice, plan.settings) as session:
            return await run_preflight(plan, session, unanswered=Severity.ERROR, store=opened)


@contextmanager
def store_if_any(plan: Plan, store: StoreName) -> Iterator[RunStore | None]:
    """The store, to be read; None where there is none yet, or where the plan keeps every backup."""
    missing = isinstance(store, str | os.PathLike) and not Path(store).exists()
    missing = missing or (store is None and not default_path().exists())
    if missing or plan.settings.retention is None:
        yield None
    else:
        with opened_store(store, readonly=True) as opened:
            yield opened


async def run_preflight(
    plan: Plan,
    service: CloudService,
    *,
    unanswered: Severity,
    count: Count = lambda _: None,
    store: RunStore | None = None,
) -> Preflight:
    """Do the same in a session that is open already.

    `unanswered` is the severity of a question without an answer; `count` is called with the number
    of volumes read so far. `store` knows which backups the plan's retention may delete.
    """
    snapshot = await take_snapshot(service, {volume.id for volume in plan.volumes}, count)
    holdings = _holdings_of_full(plan, service, snapshot, store)
    if holdings is None:
        return look(plan, snapshot, unanswered=unanswered)
    assert plan.settings.retention is not None
    assert store is not None
    runs = {run.id for run in in_reach_of(service, runs_of_plan(store, plan.name))}
    told = fates(holdings, plan.settings.retention, runs)
    first = room(told, by_volume(snapshot.backups), service.facts.backups_most or 0)
    found = look(plan, snapshot, unanswered=unanswered, room=first)
    return replace(found, holdings=holdings)


def _holdings_of_full(
    plan: Plan, service: CloudService, snapshot: CloudSnapshot, store: RunStore | None
) -> Holdings | None:
    """What the rules of the plan are applied to; None unless a volume has all backups it may have
    and the plan has such rules."""
    most, of_volume = service.facts.backups_most, by_volume(snapshot.backups)
    if store is None or most is None or plan.settings.retention is None:
        return None
    if all(len(of_volume.get(volume.id, ())) < most for volume in plan.volumes):
        return None
    return holdings_of(store, service, snapshot.backups or ())


async def connection_findings(plan: Plan, service: CloudService) -> tuple[PreflightFinding, ...]:
    """Describe the session as findings: sign-in, endpoint, and settings it does not support."""
    ending = end_line(service)
    objected = await objections(plan, service)
    note, warning, error = Severity.NOTE, Severity.WARNING, Severity.ERROR
    answers = f"{service.facts.service} answers, {service.read_calls} calls so far"
    found = [
        (note, "credentials", f"signed in to {place_line(service)}"),
        *((warning, "credentials", text) for text in filter(None, [ending])),
        (note, "endpoint", answers),
        *((warning, "endpoint", text) for text in service.warnings),
        *((error, "settings", text) for text in objected),
    ]
    return tuple(
        PreflightFinding(severity=severity, about=about, text=text)
        for severity, about, text in found
    )


def sign_in_finding(error: CloudError) -> PreflightFinding:
    """Describe as a finding why there was no preflight."""
    reached = "cannot reach" in str(error) or "endpoint" in str(error)
    about = "endpoint" if reached else "credentials"
    return PreflightFinding(severity=Severity.ERROR, about=about, text=str(error))


def refuse_hopeless(found: Preflight, volumes: int) -> None:
    """Raise `UsageError` when a run of a plan with so many volumes makes no sense."""
    if found.blind:
        raise UsageError(
            "nothing was started: a run could not follow its backups, because the cloud refuses "
            "to list them: get that permission, or check the endpoint (--block-storage-endpoint)"
        )
    if len(found.hopeless) == volumes:
        raise UsageError(
            "nothing was started: every volume of the plan would surely fail "
            "(vbsbatch check PLAN --online shows why)"
        )


def refuse_errors(found: Preflight) -> None:
    """Raise `UsageError` when something would surely fail (the policy `fail`)."""
    if not found.found(Severity.ERROR):
        return
    counts = (
        [f"{counted(len(found.hopeless), 'volume')} would surely fail"] if found.hopeless else []
    )
    if found.blocked:
        counts.append("the quota is too small")
    raise UsageError(f"nothing was started: {' and '.join(counts)} ({TO_SKIP})")


@dataclass(kw_only=True)
class _ProjectQueries:
    """The answers so far."""

    quotas: tuple[Quota, ...] | None = None
    volumes: list[CloudVolume] | None = None
    backups: list[Backup] | None = None
    whole: bool = True
    vaults: tuple[Vault, ...] | None = None
    gaps: list[Gap] = field(default_factory=list)
    unreachable: SignInError | None = None

    def note(self, what: str, error: CloudError) -> None:
        """Note that a question has no answer."""
        refused = isinstance(error, CloudRefused) or (
            isinstance(error, CloudUnavailable) and error.status in _NOT_OFFERED
        )
        self.gaps.append(Gap(what=what, why=str(error), refused=refused))


async def take_snapshot(
    service: CloudService, wanted: Collection[str], count: Count = lambda _: None
) -> CloudSnapshot:
    """Read the project's state that matters for the volumes `wanted`.

    Raises `SignInError` when the service does not answer at all; any other missing answer becomes a
    gap in the snapshot.
    """
    seen = _ProjectQueries()
    async with anyio.create_task_group() as group:
        group.start_soon(_add_quotas, service, seen, name="quota")
        group.start_soon(_add_volumes, service, wanted, count, seen, name="volumes")
        group.start_soon(_add_backups, service, seen, name="backups")
        if service.facts.vaults:
            group.start_soon(_add_vaults, service, seen, name="vaults")
    if seen.unreachable is not None:
        raise seen.unreachable
    return CloudSnapshot(
        service=service.facts,
        now=time.time() + service.clock_ahead,
        fleet=None if seen.volumes is None else VolumesByServer.of(seen.volumes),
        backups=seen.backups,
        whole=seen.whole,
        quotas=seen.quotas,
        vaults=seen.vaults,
        gaps=tuple(sorted(seen.gaps, key=lambda gap: gap.what)),
    )


async def _add_quotas(service: CloudService, seen: _ProjectQueries) -> None:
    try:
        said = await reach(service)
    except SignInError as error:
        seen.unreachable = error
        return
    if isinstance(said, CloudError):
        seen.note("quota", said)
    elif not said:
        seen.gaps.append(Gap(what="quota", why="the cloud does not report it", refused=True))
    else:
        seen.quotas = said


async def _add_volumes(
    service: CloudService, wanted: Collection[str], count: Count, seen: _ProjectQueries
) -> None:
    try:
        seen.volumes = await read_volumes(service.inventory, count, wanted=wanted, tries=BRIEF)
    except CloudError as error:
        seen.note("volumes", error)


async def _add_backups(service: CloudService, seen: _ProjectQueries) -> None:
    try:
        seen.backups, seen.whole = await whole(partial(_read_backups, service))
    except CloudError as error:
        seen.note("backups", error)


async def _add_vaults(service: CloudService, seen: _ProjectQueries) -> None:
    try:
        seen.vaults = await ask_again(service.vaults, BRIEF)
    except CloudError as error:
        seen.note("vaults", error)


async def _read_backups(service: CloudService) -> tuple[list[Backup], bool]:
    """Read the project's newest backups, and say whether these are all."""
    found: dict[str, Backup] = {}
    pages = patient_pages(service.backups, "backups", BRIEF)
    async for page in pages:
        found.update((backup.id, backup) for backup in page.backups)
        if pages.count == PAGES:
            return list(found.values()), page.next is None
    return list(found.values()), True
