"""Which backups may be deleted, and which of them the rules of a plan let go. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from vbsbatch.model import Backup, BackupSettings, Job, Pin, Retention, Run, RunState, plain_id
from vbsbatch.plan.derived_jobs import objection_to_deletion
from vbsbatch.policy.retention import kept

LAST_GOOD = "it is the last good backup of its volume"
PARENT = "a newer backup that stays builds on it"

_GONE_SOON = frozenset({"deleting", "deleted"})


@dataclass(frozen=True, kw_only=True, slots=True)
class MadeBackup:
    """A backup that the cloud has, and the job of ours that made it."""

    run: Run
    job: Job
    backup: Backup

    @property
    def id(self) -> str:
        """Its id in the one spelling that ids are compared in."""
        return plain_id(self.backup.id)

    @property
    def volume(self) -> str:
        """The id of its volume, likewise, as the job has it."""
        return plain_id(self.job.volume_id)

    @property
    def made_at(self) -> float:
        """When the cloud made it, by the cloud's clock; 0 where that is not known."""
        return float(self.backup.created_at or 0.0)

    @property
    def good(self) -> bool:
        """Whether the cloud shows it as available, with the name and the volume that we gave it."""
        fits = objection_to_deletion(self.job, self.backup) is None
        return fits and self.backup.status == "available"


@dataclass(frozen=True, kw_only=True, slots=True)
class Holdings:
    """What the cloud has, and what the store says of it."""

    backups: Sequence[Backup]
    """All of the project, whoever made them."""
    made: Sequence[MadeBackup]
    """Those of them that a job of the store made."""
    pins: Sequence[Pin] = ()
    """Those that hold."""
    reserved: Mapping[str, str]
    """Why a backup is left to another run that has not ended, by its id."""
    deleted_soon: Collection[str] = ()
    """Ids of backups that another run is to delete."""
    chains: bool = False
    """Incremental backups need those that they build on."""
    now: float
    """By the cloud's clock."""

    def pin_of(self, found: MadeBackup) -> Pin | None:
        """The pin of a backup, its own or that of its whole run."""
        return pin_of(self.pins, found.run.id, found.backup.id)


def pin_of(pins: Iterable[Pin], run_id: str, backup_id: str) -> Pin | None:
    """The pin of a backup that this run made: the one that holds longest."""
    found = [
        pin
        for pin in pins
        if pin.run_id == run_id
        and (pin.backup_id is None or plain_id(pin.backup_id) == plain_id(backup_id))
    ]
    return max(
        found, key=lambda pin: float("inf") if pin.until is None else float(pin.until), default=None
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Fate:
    """What becomes of one backup."""

    found: MadeBackup
    rules: tuple[str, ...] = ()
    """The rules that keep it."""
    stays: str | None = None
    """Why it stays although no rule keeps it."""
    pin: Pin | None = None

    @property
    def goes(self) -> bool:
        """Whether it may be deleted."""
        return not self.rules and self.stays is None


def fates(holdings: Holdings, rules: Retention, plan: Collection[str]) -> list[Fate]:
    """What the rules mean for each backup that one of the runs `plan` made, by their ids.

    Volume by volume, the newest first. The rules count good backups, also those that stay for
    another reason; a backup that another run is to delete counts no more.
    """
    of_volume: defaultdict[str, list[MadeBackup]] = defaultdict(list)
    for found in holdings.made:
        if found.run.id in plan and found.backup.status not in _GONE_SOON:
            of_volume[found.volume].append(found)
    by_rule: dict[str, list[str]] = {}
    for of_one in of_volume.values():
        counted = [each for each in of_one if each.id not in holdings.deleted_soon]
        dated = {e.id: e.made_at for e in counted if e.good and e.backup.created_at is not None}
        by_rule |= kept(dated, rules, now=holdings.now)
    all_of_plan = [found for of_one in of_volume.values() for found in of_one]
    unkept = [found for found in all_of_plan if not by_rule.get(found.id)]
    stay = spared(holdings, unkept)
    for found in unkept:
        if found.id not in by_rule:
            stay.setdefault(found.id, _uncounted(found.backup))
    told = [
        Fate(
            found=found,
            rules=tuple(by_rule.get(found.id, ())),
            stays=stay.get(found.id),
            pin=holdings.pin_of(found),
        )
        for found in all_of_plan
    ]
    names = {found.volume: found.job.volume_name for found in all_of_plan}
    return sorted(told, key=lambda fate: _place(fate, names))


def _place(fate: Fate, names: Mapping[str, str]) -> tuple[str, str, float, str]:
    found = fate.found
    return names[found.volume], found.volume, -found.made_at, found.id


def _uncounted(backup: Backup) -> str:
    """Why no rule counts a backup."""
    if backup.status == "available":
        return "the cloud does not tell when it was made"
    return f"it is {backup.status or 'of no known status'}, and no rule counts such a backup"


def spared(
    holdings: Holdings, wanted: Sequence[MadeBackup], *, even_last: bool = False
) -> dict[str, str]:
    """Why some of the backups that are wanted to go must stay, by id.

    `even_last`: the last good backup of a volume may go.
    """
    stay = {found.id: why for found in wanted if (why := _objection(holdings, found)) is not None}
    if not even_last:
        stay |= {found.id: LAST_GOOD for found in _last_good(holdings, wanted, stay)}
    if holdings.chains:
        leaving = {found.id for found in wanted} - stay.keys()
        stay |= dict.fromkeys(_parents(holdings.backups, leaving), PARENT)
    return stay


def _objection(holdings: Holdings, found: MadeBackup) -> str | None:
    """Why a backup must not be deleted, whatever becomes of the others."""
    if (objection := objection_to_deletion(found.job, found.backup)) is not None:
        return objection
    if found.run.state is not RunState.ENDED:
        return f"its run {found.run.id} has not ended"
    if (pin := holdings.pin_of(found)) is not None:
        return pinned_words(pin)
    return holdings.reserved.get(found.id)


def pinned_words(pin: Pin) -> str:
    """`it is pinned by alice`."""
    what = "it is" if pin.backup_id is not None else "its run is"
    return f"{what} pinned by {pin.pinned_by}"


def _last_good(
    holdings: Holdings, wanted: Sequence[MadeBackup], stay: Mapping[str, str]
) -> Iterator[MadeBackup]:
    """Of each volume that would have no good backup left, the newest one that has to stay."""
    leaving = {found.id for found in wanted} - stay.keys()
    good: defaultdict[str, list[MadeBackup]] = defaultdict(list)
    for found in holdings.made:
        if found.good:
            good[found.volume].append(found)
    for volume in dict.fromkeys(found.volume for found in wanted if found.id in leaving):
        lost = [found for found in good[volume] if found.id in leaving]
        if lost and keeper(good[volume], leaving.union(holdings.deleted_soon)) is None:
            yield max(lost, key=lambda found: (found.made_at, found.id))


def keeper(good: Iterable[MadeBackup], leaving: Collection[str]) -> MadeBackup | None:
    """The newest good backup of a volume that stays."""
    left = [found for found in good if found.good and found.id not in leaving]
    return max(left, key=lambda found: (found.made_at, found.id), default=None)


def _parents(backups: Sequence[Backup], leaving: Collection[str]) -> Iterator[str]:
    """What an incremental backup that stays builds on: all older ones down to a full one.

    The cloud does not tell which one it is: an increment is made on the newest that is available.
    """
    of_volume: defaultdict[str, list[Backup]] = defaultdict(list)
    for backup in backups:
        if backup.volume_id is not None and backup.status not in _GONE_SOON:
            of_volume[plain_id(backup.volume_id)].append(backup)
    for of_one in of_volume.values():
        needed = False
        newest_first = sorted(of_one, key=lambda each: -float(each.created_at or 0.0))
        for backup in newest_first:
            stays = needed or plain_id(backup.id) not in leaving
            if stays and plain_id(backup.id) in leaving:
                yield plain_id(backup.id)
            needed = stays and backup.incremental is True


def room(
    told: Iterable[Fate], backups: Mapping[str, Sequence[Backup]], most: int
) -> dict[str, list[MadeBackup]]:
    """What has to go of volumes that have `most` backups, so that there can be one more.

    By volume id, the oldest that the rules let go; none where they let too few go. `backups` has
    those of each volume.
    """
    may_go: defaultdict[str, list[MadeBackup]] = defaultdict(list)
    for fate in told:
        if fate.goes:
            may_go[fate.found.job.volume_id].append(fate.found)
    found = {}
    for volume_id, going in may_go.items():
        excess = sum(b.status not in _GONE_SOON for b in backups.get(volume_id, ())) - most + 1
        if 0 < excess <= len(going):
            found[volume_id] = sorted(going, key=lambda each: each.made_at)[:excess]
    return found


def deletion(found: MadeBackup, keeper: MadeBackup | None) -> Job:
    """A job that names the backup to delete, and the one that stays in its place."""
    settings = BackupSettings(
        source_backup_id=found.backup.id,
        keeper_id=None if keeper is None else keeper.backup.id,
        vault=found.job.settings.vault,
    )
    return replace(found.job, settings=settings)
