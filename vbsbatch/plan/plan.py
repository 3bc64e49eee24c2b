"""A checked plan: which volumes, with which settings, under which limits; and the jobs it makes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from vbsbatch.model import SETTLE, BackupSettings, Job, OnPreflight, Service, Settings
from vbsbatch.plan.backup_names import DEFAULT_TEMPLATE, Names
from vbsbatch.plan.group_order import ranks
from vbsbatch.plan.volumes import Choices, PlanVolume


@dataclass(frozen=True, kw_only=True, slots=True)
class VolumeSelection:
    """Which of a cloud's volumes a plan was made of: one word of each key fits; empty fits all.

    `name` and `exclude` are patterns as in a shell, sizes are in GB.
    """

    name: tuple[str, ...] = ()
    metadata: tuple[tuple[str, str], ...] = ()
    """Every key must have one of the values that stand here beside it."""
    status: tuple[str, ...] = ()
    az: tuple[str, ...] = ()
    server: tuple[str, ...] = ()
    """Names or ids."""
    type: tuple[str, ...] = ()
    min_size: int | None = None
    max_size: int | None = None
    exclude: tuple[str, ...] = ()
    """Ids, or patterns of names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """A plan without a fault; `len()` is the number of its volumes, each in it once."""

    name: str
    cloud: str | None
    settings: Settings
    defaults: Choices
    volumes: Sequence[PlanVolume]
    service: Service | None = None
    """None for whichever the cloud offers."""
    names_unique: bool
    """Whether every name holds the run's id; otherwise another run may have made one like it."""
    skip_if_newer_than: float | None = None
    """Seconds: a volume with a newer available backup needs none now."""
    on_preflight: OnPreflight = OnPreflight.FAIL
    selection: VolumeSelection | None = None
    settle_said: bool = False
    """Whether the plan says `retry.settle`; else the service does, see `settings_on`."""

    def __len__(self) -> int:
        return len(self.volumes)

    def settings_on(self, service: Service) -> Settings:
        """What a run of the plan is frozen with when `service` makes the backups."""
        settings = replace(self.settings, service=service)
        if self.settle_said:
            return settings
        return replace(settings, retry=replace(settings.retry, settle=SETTLE[service]))

    def jobs(self, run_id: str) -> Iterator[Job]:
        """The jobs of the run `run_id` in plan order, one per volume, numbered from 1.

        Backup names are unique in the run and come out the same every time.
        """
        names = Names()
        merged: dict[Choices, tuple[str, BackupSettings]] = {}
        waves = self.waves()
        rank_of = ranks(self.volumes, waves)
        for no, volume in enumerate(self.volumes, 1):
            if volume.own not in merged:
                merged[volume.own] = _merged(volume.own.over(self.defaults))
            template, settings = merged[volume.own]
            if volume.snapshot_id is not None:
                settings = replace(settings, snapshot_id=volume.snapshot_id)
            values = self._values(no, volume, run_id)
            yield Job(
                no=no,
                volume_id=volume.id,
                volume_name=volume.name,
                backup_name=names.name(template, values, volume.id),
                settings=settings,
                priority=volume.priority,
                group=volume.group,
                az=volume.az,
                wave=waves[no - 1],
                rank=0 if rank_of is None else rank_of[no - 1],
            )

    def backup_settings(self) -> set[BackupSettings]:
        """What its creates say beside volume, snapshot and name, each once."""
        own = {volume.own for volume in self.volumes}
        return {_merged(choices.over(self.defaults))[1] for choices in own}

    def waves(self) -> list[int]:
        """The index of each volume's wave, in plan order; the last wave's where none is said."""
        if not self.settings.waves:
            return [0] * len(self.volumes)
        numbers = {wave.name: number for number, wave in enumerate(self.settings.waves)}
        default = numbers.get(self.defaults.wave or "", len(numbers) - 1)
        return [numbers.get(volume.own.wave or "", default) for volume in self.volumes]

    def _values(self, no: int, volume: PlanVolume, run_id: str) -> dict[str, str]:
        """What the fields of a template stand for; a run's id begins with its date."""
        return {
            "plan": self.name,
            "volume": volume.name,
            "id": volume.id,
            "run": run_id,
            "date": run_id.partition("-")[0],
            "group": volume.group or "",
            "no": str(no),
        }


def _merged(choices: Choices) -> tuple[str, BackupSettings]:
    settings = BackupSettings(
        description=choices.description,
        tags=choices.tags or (),
        full=choices.full,
        full_if_no_parent=bool(choices.full_if_no_parent),
        force=choices.force is not False,
    )
    return choices.backup_name or DEFAULT_TEMPLATE, settings
