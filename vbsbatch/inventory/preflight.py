"""The check before a run: what would surely fail, what may, what needs no backup; a forecast."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from statistics import median

from vbsbatch.inventory.cloud_snapshot import CloudSnapshot, Gap, by_volume
from vbsbatch.inventory.plan_writer import counted
from vbsbatch.inventory.vaults import VaultPlacement, place_volumes
from vbsbatch.inventory.volumes_by_server import is_hopeless, is_ready
from vbsbatch.model import Backup, CloudVolume, Order, Quota, Settings
from vbsbatch.plan import Plan, PlanVolume
from vbsbatch.plan.plan import Choices
from vbsbatch.policy.durations import Durations, kind_of, took
from vbsbatch.policy.night_length import expected_length

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


def look(plan: Plan, snapshot: CloudSnapshot, *, unanswered: Severity) -> Preflight:
    """Compare the plan with what the cloud returned.

    `unanswered` is the severity of a question that got no answer this time. One that the cloud
    refuses for good is always a warning, for the list of backups an error.
    """
    backups = by_volume(snapshot.backups)
    placement = _placement(plan, snapshot)
    findings = [_of_gap(gap, unanswered) for gap in snapshot.gaps]
    recent: dict[str, str] = {}
    hopeless: dict[str, str] = {}
    sizes = []
    for volume in plan.volumes:
        now = snapshot.fleet.volumes.get(volume.id) if snapshot.fleet is not None else None
        found = list(_of_volume(plan, volume, now, snapshot, backups.get(volume.id, []), placement))
        findings += found
        for finding in found:
            if finding.about == "recent":
                recent[volume.id] = finding.text
            elif finding.severity is Severity.ERROR:
                hopeless.setdefault(volume.id, finding.text)
        if volume.id not in recent and volume.id not in hopeless:
            sizes.append(_size(volume, now))
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
) -> Iterator[PreflightFinding]:
    """The findings about one volume; if there is a reason to leave it out, only the first one."""

    def told(severity: Severity, about: str, text: str) -> PreflightFinding:
        return PreflightFinding(
            severity=severity, about=about, text=text, volume_id=volume.id, name=volume.name
        )

    if (why := _recent(plan, volume, backups, snapshot.now)) is not None:
        yield told(Severity.NOTE, "recent", why)
        return
    if (error := _error(plan, volume, now, snapshot, backups)) is not None:
        yield told(Severity.ERROR, *error)
        return
    if placement is not None and volume.id in placement.problems:
        yield told(Severity.ERROR, "vault", placement.problems[volume.id])
        return
    if placement is not None and volume.id in placement.elsewhere:
        # What the defaults say is for volumes that are in no vault.
        severity = Severity.NOTE if volume.own.vault is None else Severity.WARNING
        yield told(severity, "vault", placement.elsewhere[volume.id])
    later = f"the run tries again for up to {_span(plan.settings.retry.later_for)}"
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
) -> tuple[str, str] | None:
    """Why a backup of the volume would surely fail, as (about, text); None when it need not."""
    if now is None and snapshot.fleet is not None:
        return "missing", "the cloud has no such volume in this project"
    if now is not None and is_hopeless(now.status):
        return "state", f"is in state {now.status}: it must be available or in-use"
    most = snapshot.service.backups_most
    kept = sum(backup.status not in _GOING for backup in backups)
    if most is not None and kept >= most:
        return "limit", f"has {kept} backups of the {most} there can be: delete some"
    wanted = volume.own.over(plan.defaults)
    in_use = now is not None and now.status == "in-use"
    if snapshot.service.refuses_in_use and wanted.force is False and in_use:
        return "settings", "is in use, and the plan says force: false"
    if not snapshot.service.snapshots and volume.snapshot_id is not None:
        return "settings", f"has a snapshot_id, and {snapshot.service.label} backs up no snapshots"
    if snapshot.service.needs_parent and _lacks_parent(wanted, snapshot, backups):
        return "settings", "has no backup that an incremental one (full: false) could build on"
    return None


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
        f"newer than skip_if_newer_than: {_span(limit)}"
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
            f"{_span(ahead.submitting)}, and the deadline is {_span(deadline)}"
        )
        yield PreflightFinding(severity=Severity.WARNING, about="deadline", text=text)


def _span(seconds: float) -> str:
    for unit, size in (("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.0f} s"


def in_words(ahead: Forecast) -> str:
    """The forecast as one line for a person."""
    size = f"{ahead.gigabytes} GB"
    if ahead.unsized:
        size += f" and {ahead.unsized} of unknown size"
    text = f"{counted(ahead.volumes, 'volume')}, {size}, about {ahead.calls} calls"
    if ahead.seconds is None or ahead.each is None:
        text += f", at least {_span(ahead.submitting)}"
    else:
        pace = f"{ahead.samples} backups lately took {_span(ahead.each)} in the median"
        text += f", about {_span(ahead.seconds)} ({pace})"
    return text + (f", not counting its {', '.join(ahead.uncounted)}" if ahead.uncounted else "")


_IDLE = 0.05
"""The share of its time for which a place stays empty until the end of its backup is seen."""
_LOOKS, _LOOKS_A_ROUND, _LOOKS_MOST = 4, 6, 50
"""About how many list pages a run reads, how many more in each round in which all places are filled
once more, and how many at most until the last backups have ended: one each ten seconds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Forecast:
    """What a run of so many volumes will need."""

    volumes: int
    gigabytes: int
    unsized: int
    """Volumes of unknown size."""
    calls: int
    """About; retries not counted."""
    submitting: float
    """Seconds until the last create has left, however fast the cloud is."""
    each: float | None = None
    """Median seconds of recent backups; None where not known."""
    samples: int = 0
    seconds: float | None = None
    """The whole run at that pace."""
    uncounted: tuple[str, ...] = ()
    """Parts of the plan that may make it take longer still."""


def forecast(
    plan: Plan, sizes: Sequence[int | None], backups: Iterable[Backup], together: int = 1
) -> Forecast:
    """The forecast for volumes of these sizes in GB; `backups` are the project's, newest first.

    `together` is how many volumes one create may be for.
    """
    count, limits = len(sizes), plan.settings.limits
    lately, creates = tuple(backups), math.ceil(count / together)
    durations = Durations()
    durations.told_before(lately)
    rate, seconds, each = limits.rate.per_second, None, None
    if durations.enough and count:
        curves = durations.curves([])
        each = median(seconds for seconds, _ in took(lately))
        if plan.order is Order.LARGEST_FIRST:
            sizes = sorted(sizes, key=lambda size: -(size or 0))
        seconds = expected_length(
            [],
            [kind_of(None, size) for size in sizes],
            curves,
            places=limits.in_flight,
            per_second=rate * together,
            idle=_IDLE,
        )
    return Forecast(
        volumes=count,
        gigabytes=sum(size or 0 for size in sizes),
        unsized=sum(size is None for size in sizes),
        calls=creates + _looks(count, limits.in_flight, each) if count else 0,
        submitting=max(creates - 1, 0) / rate,
        each=each,
        samples=durations.told,
        seconds=seconds,
    )


def _looks(count: int, places: int, each: float | None) -> int:
    """About how many list pages a run of so many volumes reads."""
    rounds = max(0.0, count / places - 1)
    last = 10.0 if each is None else min(each / 10, _LOOKS_MOST)
    return math.ceil(_LOOKS + _LOOKS_A_ROUND * rounds + last)
