"""The look before a run: what would surely fail, what may, and what needs no backup now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

from vbsbatch.inventory.cloud_snapshot import CloudSnapshot, Gap, by_volume
from vbsbatch.inventory.forecast import Forecast, forecast
from vbsbatch.inventory.plan_writer import counted
from vbsbatch.inventory.volumes_by_server import is_hopeless, is_ready
from vbsbatch.model import Backup, CloudVolume, Quota, Service, Settings
from vbsbatch.plan import Plan, PlanVolume

BACKUPS_MOST = 20
"""Backups that VBS keeps of one disk; the next create is refused (VolumeBackup.0040)."""

_GOING = frozenset({"deleting", "deleted"})
_UNITS = {"backups": "backups", "backup_gigabytes": "GB of backups"}


class Severity(StrEnum):
    """How much a finding matters."""

    ERROR = "error"  # something would surely fail
    WARNING = "warning"  # something may fail, or take longer, or could not be found out
    NOTE = "note"  # worth knowing


@dataclass(frozen=True, kw_only=True, slots=True)
class PreflightFinding:
    """One thing that was found out; about one volume, or about the run as a whole."""

    severity: Severity
    about: str
    """`credentials`, `endpoint`, `missing`, `state`, `limit`, `running`, `recent`, `settings`,
    `quota`, `deadline`, or `volumes` and `backups` that could not be listed."""
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

    def found(self, severity: Severity) -> int:
        """How many findings matter so much."""
        return sum(finding.severity is severity for finding in self.findings)

    @property
    def blind(self) -> bool:
        """True when the backups could not be listed, and it matters as much as it can."""
        return any(
            finding.severity is Severity.ERROR and finding.about == "backups"
            for finding in self.findings
        )

    @property
    def blocked(self) -> bool:
        """True when something would surely fail that skipping volumes does not mend."""
        return any(
            finding.severity is Severity.ERROR and finding.volume_id is None
            for finding in self.findings
        )


def look(plan: Plan, sight: CloudSnapshot, *, unanswered: Severity) -> Preflight:
    """Hold the plan against what the cloud showed.

    `unanswered` is how much it matters that a question got no answer this time. One that the cloud
    refuses for good is a warning, and of the list of backups an error, in any case.
    """
    backups = by_volume(sight.backups)
    findings = [_of_gap(gap, unanswered) for gap in sight.gaps]
    recent: dict[str, str] = {}
    hopeless: dict[str, str] = {}
    sizes = []
    for volume in plan.volumes:
        now = sight.fleet.volumes.get(volume.id) if sight.fleet is not None else None
        found = list(_of_volume(plan, volume, now, sight, backups.get(volume.id, [])))
        findings += found
        for finding in found:
            if finding.about == "recent":
                recent[volume.id] = finding.text
            elif finding.severity is Severity.ERROR:
                hopeless.setdefault(volume.id, finding.text)
        if volume.id not in recent and volume.id not in hopeless:
            sizes.append(_size(volume, now))
    ahead = forecast(sizes, plan.settings.limits, sight.backups or ())
    ahead = replace(ahead, uncounted=tuple(_uncounted(plan.settings)))
    findings += _of_quotas(sight.quotas or (), ahead)
    findings += _of_run(plan, sight, ahead)
    return Preflight(findings=tuple(findings), recent=recent, hopeless=hopeless, forecast=ahead)


def _uncounted(settings: Settings) -> Iterator[str]:
    """What the forecast of this plan leaves out."""
    if settings.window is not None:
        yield "window"
    if settings.waves:
        yield "waves"
    if settings.limits.capped:
        yield "caps"


def _of_gap(gap: Gap, unanswered: Severity) -> PreflightFinding:
    needed = gap.what == "backups"  # a run follows its backups in this list alone
    for_good = Severity.ERROR if needed else Severity.WARNING
    severity = for_good if gap.refused else unanswered
    return PreflightFinding(
        severity=severity, about=gap.what, text=f"could not be found out: {gap.why}"
    )


def _of_volume(
    plan: Plan,
    volume: PlanVolume,
    now: CloudVolume | None,
    sight: CloudSnapshot,
    backups: Sequence[Backup],
) -> Iterator[PreflightFinding]:
    """What is to be said of one volume; nothing more than the first reason to leave it out."""

    def told(severity: Severity, about: str, text: str) -> PreflightFinding:
        return PreflightFinding(
            severity=severity, about=about, text=text, volume_id=volume.id, name=volume.name
        )

    if (why := _recent(plan, volume, backups, sight.now)) is not None:
        yield told(Severity.NOTE, "recent", why)
        return
    if (error := _error(plan, volume, now, sight, backups)) is not None:
        yield told(Severity.ERROR, *error)
        return
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
    sight: CloudSnapshot,
    backups: Sequence[Backup],
) -> tuple[str, str] | None:
    """Why a backup of the volume would surely fail, as (about, text); None when it need not."""
    if now is None and sight.fleet is not None:
        return "missing", "the cloud has no such volume in this project"
    if now is not None and is_hopeless(now.status):
        return "state", f"is in state {now.status}: it must be available or in-use"
    if sight.service is Service.VBS:
        kept = [backup for backup in backups if backup.status not in _GOING]
        if len(kept) >= BACKUPS_MOST:
            text = f"has {len(kept)} backups of the {BACKUPS_MOST} there can be: delete some"
            return "limit", text
        return None
    wanted = volume.own.over(plan.defaults)
    if wanted.force is False and now is not None and now.status == "in-use":
        return "settings", "is in use, and the plan says force: false"
    based = any(backup.status == "available" for backup in backups)
    if (
        wanted.full is False
        and not wanted.full_if_no_parent
        and sight.backups is not None
        and sight.whole
        and not based
    ):
        return "settings", "has no backup that an incremental one (full: false) could build on"
    return None


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
    return volume.seen.size if volume.seen is not None else None


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


def _of_run(plan: Plan, sight: CloudSnapshot, ahead: Forecast) -> Iterator[PreflightFinding]:
    if not sight.whole:
        text = f"only the newest {len(sight.backups or ())} were looked at"
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
