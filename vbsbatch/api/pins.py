"""Pins backups, so that nothing of ours deletes them, and releases them."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from shlex import quote

from vbsbatch.api.holdings import unfinished_work
from vbsbatch.api.steering import ACTOR
from vbsbatch.api.stores import StoreName, opened_store
from vbsbatch.errors import UsageError
from vbsbatch.model import (
    OPEN_STATES,
    Job,
    JobState,
    Operation,
    Pin,
    Run,
    RunState,
    Wall,
    plain_id,
)
from vbsbatch.model.clocks import wall
from vbsbatch.report.text import moment
from vbsbatch.store import RunStore

_UUID = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}", re.ASCII | re.IGNORECASE)

_LAST = 253_370_764_800.0
"""The beginning of the year 9999."""


async def keep(what: str, *, until: datetime | None = None, store: StoreName = None) -> Pin:
    """Pin every backup of a run, or one backup (its id or its whole name): nothing deletes it.

    `until` is when the pin ends by itself; without a time zone it is local. An earlier pin is
    replaced. Raises `UsageError` for what the store does not know, and for what is gone.
    """
    with opened_store(store) as opened:
        return pin(opened, what, until=until, by=ACTOR)


async def release(what: str, *, store: StoreName = None) -> None:
    """Release what was pinned; raises `UsageError` where it was not."""
    with opened_store(store) as opened:
        unpin(opened, what)


async def pins(*, store: StoreName = None) -> list[Pin]:
    """List the pins that hold, the oldest first."""
    with opened_store(store, readonly=True) as opened:
        now = wall()
        return [pin for pin in opened.pins() if pin.holds(now)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Pinnable:
    """What can be pinned: a run, or one backup of it."""

    run: Run
    job: Job | None = None
    """The job that made the backup; None: the whole run."""

    @property
    def backup_id(self) -> str | None:
        """The backup's id; None: the whole run."""
        return None if self.job is None else self.job.backup_id


def pin(store: RunStore, what: str, *, until: datetime | None, by: str) -> Pin:
    """The same in a store that is open; `by` is the person."""
    found = pinnable(store, what)
    now = wall()
    end = None if until is None else Wall(until.timestamp())
    if end is not None and not now < end < Wall(_LAST):
        raise UsageError(f"a pin must end in the future, not at {until:%Y-%m-%d %H:%M}")
    made = Pin(
        run_id=found.run.id, backup_id=found.backup_id, until=end, pinned_at=now, pinned_by=by
    )
    if found.job is not None:
        _refuse_deleted(store, found.run, found.job)
    elif found.run.state is RunState.ENDED and not store.counts(found.run.id).get(
        JobState.SUCCEEDED
    ):
        raise UsageError(f"run {found.run.id} made no backup that could be kept")
    store.pin(made)
    # Whoever deletes looks for pins after its intent is stored, so one of the two sees the other.
    if under_way := _being_deleted(store, found):
        raise UsageError(
            f"pinned, but run {under_way} may have deleted it already: "
            f"vbsbatch verify {quote(found.run.id)} shows what is left"
        )
    return made


def unpin(store: RunStore, what: str) -> Pinnable:
    """Release a run or a backup; raises `UsageError` where it is not pinned."""
    found = pinnable(store, what)
    if store.release(found.run.id, found.backup_id):
        return found
    now = wall()
    others = [each for each in store.pins() if each.run_id == found.run.id and each.holds(now)]
    if found.job is not None and any(each.backup_id is None for each in others):
        raise UsageError(
            f"the backup is not pinned by itself, but its run is: "
            f"vbsbatch keep {quote(found.run.id)} --release releases all of it"
        )
    if found.job is None and others:
        ids = ", ".join(each.backup_id or "" for each in others[:3])
        raise UsageError(
            f"run {found.run.id} is not pinned as a whole, but single backups of it are: {ids}"
        )
    raise UsageError(f"{what} is not pinned")


def pinnable(store: RunStore, what: str) -> Pinnable:
    """Find the run or the backup that a person means; raises `UsageError` with what it may be."""
    if _UUID.fullmatch(what.strip()):
        found = store.made(_spellings(what.strip()))
        if not found:
            raise UsageError(f"no run in {store.path} made a backup {what}")
        return _of_backup(store, *found[0])
    try:
        run = store.run(what)
    except UsageError:
        named = store.made(names={what}) if what else []
        if len(named) == 1:
            return _of_backup(store, *named[0])
        if named:
            ids = ", ".join(str(job.backup_id) for _, job in named[:3])
            raise UsageError(
                f"{len(named)} backups are called {what!r}: name one by id ({ids})"
            ) from None
        raise
    if run.settings.operation is not Operation.BACKUP:
        raise UsageError(f"run {run.id} made no backups: name the run that did, or a backup")
    return Pinnable(run=run)


def _of_backup(store: RunStore, run_id: str, job: Job) -> Pinnable:
    return Pinnable(run=store.run(run_id), job=job)


def _spellings(backup_id: str) -> Collection[str]:
    """The forms in which clouds write an id."""
    bare = plain_id(backup_id)
    hyphens = "-".join((bare[:8], bare[8:12], bare[12:16], bare[16:20], bare[20:]))
    return {bare, hyphens, backup_id}


def _refuse_deleted(store: RunStore, run: Run, job: Job) -> None:
    """Raise `UsageError` for a backup that one of our prunes has deleted."""
    wanted = plain_id(job.backup_id or "")
    for other in store.runs():
        settings = other.settings
        about = settings.source_run == run.id or settings.source_plan == run.plan
        if settings.operation is Operation.PRUNE and about:
            done = store.jobs(other.id, states=[JobState.SUCCEEDED], volumes=[job.volume_id])
            if any(plain_id(each.settings.source_backup_id or "") == wanted for each in done):
                at = "" if other.ended_at is None else f" at {moment(other.ended_at)}"
                raise UsageError(f"backup {job.backup_id} was deleted by run {other.id}{at}")


def _being_deleted(store: RunStore, found: Pinnable) -> str | None:
    """The run whose request to delete what was pinned may be under way."""
    made = None
    for run, job in unfinished_work(store):
        if run.settings.operation is not Operation.PRUNE or job.state not in OPEN_STATES:
            continue
        backup_id = plain_id(job.settings.source_backup_id or "")
        if found.job is not None:
            if backup_id == plain_id(found.job.backup_id or ""):
                return run.id
            continue
        if made is None:
            jobs = store.jobs(found.run.id, states=[JobState.SUCCEEDED])
            made = {plain_id(each.backup_id or "") for each in jobs}
        if backup_id in made:
            return run.id
    return None
