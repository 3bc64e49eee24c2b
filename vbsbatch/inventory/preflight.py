"""The check before a run: what would surely fail, what may, what needs no backup; a forecast."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType

from vbsbatch.inventory.cloud_snapshot import CloudSnapshot, Gap, by_volume
from vbsbatch.inventory.forecast import Forecast, forecast, in_unit
from vbsbatch.inventory.retention import Holdings, MadeBackup
from vbsbatch.inventory.vaults import VaultPlacement, place_volumes
from vbsbatch.inventory.volumes_by_server import is_hopeless, is_ready
from vbsbatch.model import Backup, CloudVolume, Quota, Settings
from vbsbatch.plan import Plan, PlanVolume
from vbsbatch.plan.plan import Choices

NO_ROOM: Mapping[str, Sequence[MadeBackup]] = MappingProxyType({})
_GOING = frozenset({"deleting", "deleted"})
_UNITS = {"backups": "backups", "backup_gigabytes": "GB of backups"}


class Severity(StrEnum):
    """How much a finding matters."""

    ERROR = "error"  # something would surely fail
    WARNING = "warning"  # something may fail, or take longer, or could not be found out
    NOTE = "note"  # worth knowing


@dataclass(frozen=True, kw_only=True, slots=True)
class PreflightFinding:
    """One result, about one volume or about the whole run."""

    severity: Severity
    about: str
    """`credentials`, `endpoint`, `missing`, `state`, `limit`, `running`, `recent`, `settings`,
    `quota`, `vault`, `deadline`, or `volumes`, `backups` and `vaults` that could not be listed."""
    text: str
    volume_id: str | None = None
    name: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Preflight:
    """All findings, and what they mean for the jobs of a run."""

    findings: tuple[PreflightFinding, ...]
    recent: Mapping[str, str]
    """Volumes that need no backup now, with the reason."""
    hopeless: Mapping[str, str]
    """Volumes whose backup would surely fail, with the reason."""
    forecast: Forecast
    sizes: Mapping[str, int] = field(default_factory=dict)
    """GB by volume id, of the volumes that the cloud listed."""
    placement: VaultPlacement | None = None
    """The vaults of the volumes; None on a service without vaults."""
    first_deleted: Sequence[MadeBackup] = ()
    """Backups that the plan's retention lets go, and that must go before the run makes others."""
    holdings: Holdings | None = None
    """What these were chosen from."""

    def found(self, severity: Severity) -> int:
        """How many findings have this severity."""
        return sum(finding.severity is severity for finding in self.findings)

    @property
    def left_out(self) -> Mapping[str, str]:
        """Volumes that a run leaves out, with the reason: backed up lately, or sure to fail."""
        return {**self.recent, **self.hopeless}

    @property
    def blind(self) -> bool:
        """True when the backups could not be listed and that is an error."""
        return any(
            finding.severity is Severity.ERROR and finding.about == "backups"
            for finding in self.findings
        )

    @property
    def blocked(self) -> bool:
        """True when something would surely fail, and skipping volumes does not help."""
        return any(
            finding.severity is Severity.ERROR and finding.volume_id is None
            for finding in self.findings
        )


def look(
    plan: Plan,
    snapshot: CloudSnapshot,
    *,
    unanswered: Severity,
    room: Mapping[str, Sequence[MadeBackup]] = NO_ROOM,
) -> Preflight:
    """Compare the plan with what the cloud returned.

    `room` has what can go first of volumes that have as many backups as there can be.

    `unanswered` is the severity of a question that got no answer this time. One that the cloud
    refuses for good is always a warning, for the list of backups an error.
    """
    backups = by_volume(snapshot.backups)
    placement = _placement(plan, snapshot)
    findings = [_of_gap(gap, unanswered) for gap in snapshot.gaps]
    recent: dict[str, str] = {}
    hopeless: dict[str, str] = {}
    first: list[MadeBackup] = []
    sizes = []
    for volume in plan.volumes:
        now = snapshot.fleet.volumes.get(volume.id) if snapshot.fleet is not None else None
        of_it, going = backups.get(volume.id, []), room.get(volume.id, ())
        found = list(_of_volume(plan, volume, now, snapshot, of_it, placement, going))
        findings += found
        for finding in found:
            if finding.about == "recent":
                recent[volume.id] = finding.text
            elif finding.severity is Severity.ERROR:
                hopeless.setdefault(volume.id, finding.text)
        if volume.id not in recent and volume.id not in hopeless:
            sizes.append(_size(volume, now))
            first += going
    together = plan.settings_on(snapshot.service).limits.per_checkpoint
    ahead = forecast(plan, sizes, snapshot.backups or (), together)
    ahead = replace(ahead, uncounted=tuple(_uncounted(plan.settings)))
    findings += _of_quotas(snapshot.quotas or (), ahead)
    findings += _of_run(plan, snapshot, ahead)
    if placement is not None:
        findings += _of_vaults(placement, {**recent, **hopeless})
    return Preflight(
        findings=tuple(findings),
        recent=recent,
        hopeless=hopeless,
        forecast=ahead,
        sizes={} if snapshot.fleet is None else snapshot.fleet.sizes,
        placement=placement,
        first_deleted=first,
    )


def _placement(plan: Plan, snapshot: CloudSnapshot) -> VaultPlacement | None:
    if snapshot.vaults is None:
        return None
    known = snapshot.fleet.volumes if snapshot.fleet is not None else {}
    sizes = {volume.id: _size(volume, known.get(volume.id)) for volume in plan.volumes}
    return place_volumes(plan, snapshot.vaults, sizes)


def _of_vaults(
    placement: VaultPlacement, left_out: Mapping[str, str]
) -> Iterator[PreflightFinding]:
    """The findings about vaults as a whole, and what is to be put into them."""
    for line in placement.described(placement.wanted(left_out)):
        text = f"{line} before the run (associate: true)"
        yield PreflightFinding(severity=Severity.WARNING, about="vault", text=text)
    used = {vault_id for volume, vault_id in placement.vault_of.items() if volume not in left_out}
    for vault in (placement.vaults[each] for each in sorted(used)):
        if vault.status == "lock":
            text = f"vault {vault.title} is being enlarged (lock): it takes backups meanwhile"
            yield PreflightFinding(severity=Severity.NOTE, about="vault", text=text)
        size = sum(volume.size or 0 for volume in vault.volumes)
        if vault.free is not None and vault.free < size and not vault.auto_expand:
            text = (
                f"vault {vault.title} has {vault.free} of {vault.size} GB free, and its volumes"
                f" have {size} GB: full backups of all may not fit"
            )
            yield PreflightFinding(severity=Severity.WARNING, about="vault", text=text)


def _uncounted(settings: Settings) -> Iterator[str]:
    """What the forecast of this plan leaves out."""
    if settings.window is not None:
        yield "window"
    if settings.waves:
        yield "waves"
    if settings.limits.capped:
        yield "caps"


def _of_gap(gap: Gap, unanswered: Severity) -> PreflightFinding:
    needed = gap.what == "backups"  # the only source of the state of a run's backups
    for_good = Severity.ERROR if needed else Severity.WARNING
    severity = for_good if gap.refused else unanswered
    return PreflightFinding(
        severity=severity, about=gap.what, text=f"could not be found out: {gap.why}"
    )


def _of_volume(
    plan: Plan,
    volume: PlanVolume,
    now: CloudVolume | None,
    snapshot: CloudSnapshot,
    backups: Sequence[Backup],
    placement: VaultPlacement | None,
    going: Sequence[MadeBackup],
) -> Iterator[PreflightFinding]:
    """The findings about one volume; if there is a reason to leave it out, only the first one."""

    def told(severity: Severity, about: str, text: str) -> PreflightFinding:
        return PreflightFinding(
            severity=severity, about=about, text=text, volume_id=volume.id, name=volume.name
        )

    if (why := _recent(plan, volume, backups, snapshot.now)) is not None:
        yield told(Severity.NOTE, "recent", why)
        return
    if (error := _error(plan, volume, now, snapshot, backups, going)) is not None:
        yield told(Severity.ERROR, *error)
        return
    if going:
        yield told(Severity.WARNING, "limit", _goes_first(snapshot, backups, going))
    if placement is not None and volume.id in placement.problems:
        yield told(Severity.ERROR, "vault", placement.problems[volume.id])
        return
    if placement is not None and volume.id in placement.elsewhere:
        # What the defaults say is for volumes that are in no vault.
        severity = Severity.NOTE if volume.own.vault is None else Severity.WARNING
        yield told(severity, "vault", placement.elsewhere[volume.id])
    later = f"the run tries again for up to {in_unit(plan.settings.retry.later_for)}"
    if now is not None and not is_ready(now.status):
        yield told(Severity.WARNING, "state", f"is {now.status} now: {later}")
    made = next((backup for backup in backups if backup.status == "creating"), None)
    if made is not None:
        text = f"a backup is being made already ({made.name or made.id}): {later}"
        yield told(Severity.WARNING, "running", text)


def _error(
    plan: Plan,
    volume: PlanVolume,
    now: CloudVolume | None,
    snapshot: CloudSnapshot,
    backups: Sequence[Backup],
    going: Sequence[MadeBackup],
) -> tuple[str, str] | None:
    """Why a backup of the volume would surely fail, as (about, text); None when it need not."""
    if now is None and snapshot.fleet is not None:
        return "missing", "the cloud has no such volume in this project"
    if now is not None and is_hopeless(now.status):
        return "state", f"is in state {now.status}: it must be available or in-use"
    most = snapshot.service.backups_most
    kept = sum(backup.status not in _GOING for backup in backups)
    if most is not None and kept - len(going) >= most:
        words = ", and the plan's retention lets too few go" if plan.settings.retention else ""
        return "limit", f"has {kept} backups of the {most} there can be{words}: delete some"
    wanted = volume.own.over(plan.defaults)
    in_use = now is not None and now.status == "in-use"
    if snapshot.service.refuses_in_use and wanted.force is False and in_use:
        return "settings", "is in use, and the plan says force: false"
    if not snapshot.service.snapshots and volume.snapshot_id is not None:
        return "settings", f"has a snapshot_id, and {snapshot.service.label} backs up no snapshots"
    if snapshot.service.needs_parent and _lacks_parent(wanted, snapshot, backups):
        return "settings", "has no backup that an incremental one (full: false) could build on"
    return None


def _goes_first(
    snapshot: CloudSnapshot, backups: Sequence[Backup], going: Sequence[MadeBackup]
) -> str:
    kept = sum(backup.status not in _GOING for backup in backups)
    names = ", ".join(each.backup.name or each.backup.id for each in going)
    most = snapshot.service.backups_most
    return f"has {kept} backups of the {most} there can be: {names} goes first (retention)"


def _lacks_parent(wanted: Choices, snapshot: CloudSnapshot, backups: Sequence[Backup]) -> bool:
    """Whether an incremental backup is asked for that surely has nothing to build on."""
    if wanted.full is not False or wanted.full_if_no_parent:
        return False
    based = any(backup.status == "available" for backup in backups)
    return snapshot.backups is not None and snapshot.whole and not based


def _recent(plan: Plan, volume: PlanVolume, backups: Sequence[Backup], now: float) -> str | None:
    """Why the volume needs no backup now; None when it does."""
    limit = volume.skip_if_newer_than
    limit = plan.skip_if_newer_than if limit is None else limit
    if not limit:
        return None
    good = [b for b in backups if b.status == "available" and b.created_at is not None]
    newest = max(good, key=lambda backup: float(backup.created_at or 0.0), default=None)
    if newest is None or newest.created_at is None or now - float(newest.created_at) >= limit:
        return None
    made = datetime.fromtimestamp(float(newest.created_at), UTC).strftime("%Y-%m-%d %H:%M UTC")
    return (
        f"has a backup of {made} ({newest.name or newest.id}), "
        f"newer than skip_if_newer_than: {in_unit(limit)}"
    )


def _size(volume: PlanVolume, now: CloudVolume | None) -> int | None:
    if now is not None and now.size is not None:
        return now.size
    return volume.known_size


def _of_quotas(quotas: Sequence[Quota], ahead: Forecast) -> Iterator[PreflightFinding]:
    needs = {"backups": ahead.volumes, "backup_gigabytes": ahead.gigabytes}
    for quota in quotas:
        needed = needs.get(quota.kind)
        if needed is None or quota.limit is None:
            continue
        free = max(quota.limit - quota.used - quota.reserved, 0)
        unit = _UNITS[quota.kind]
        have = f"{free} of {quota.limit} {unit} are left"
        if needed > free:
            text = f"the run needs {needed}, and {have}: get more quota, or delete old backups"
            yield PreflightFinding(severity=Severity.ERROR, about="quota", text=text)
        else:
            least = "at least " if ahead.unsized and quota.kind == "backup_gigabytes" else ""
            text = f"{have}, it needs {least}{needed}"
            yield PreflightFinding(severity=Severity.NOTE, about="quota", text=text)


def _of_run(plan: Plan, snapshot: CloudSnapshot, ahead: Forecast) -> Iterator[PreflightFinding]:
    if not snapshot.whole:
        text = f"only the newest {len(snapshot.backups or ())} were looked at"
        yield PreflightFinding(severity=Severity.NOTE, about="backups", text=text)
    deadline = plan.settings.deadline
    if deadline is not None and ahead.submitting > deadline:
        text = (
            f"at {plan.settings.limits.rate} the last create leaves after "
            f"{in_unit(ahead.submitting)}, and the deadline is {in_unit(deadline)}"
        )
        yield PreflightFinding(severity=Severity.WARNING, about="deadline", text=text)
