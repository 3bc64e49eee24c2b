"""A checked plan: which volumes, with which settings, under which limits; and the jobs it makes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from types import MappingProxyType

from vbsbatch.model import (
    BackupSettings,
    Job,
    OnPreflight,
    Order,
    Service,
    ServiceFacts,
    Settings,
)
from vbsbatch.plan.backup_names import DEFAULT_TEMPLATE, Names, shared_name

PER_CHECKPOINT = 32
"""Jobs that one create starts unless the plan says otherwise: so many are unknown after a lost
answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Choices:
    """Settings of backups, for all volumes or for one; None where the plan says nothing."""

    backup_name: str | None = None
    description: str | None = None
    tags: tuple[tuple[str, str], ...] | None = None
    full: bool | None = None
    full_if_no_parent: bool | None = None
    force: bool | None = None
    wave: str | None = None
    vault: str | None = None
    """Name or id of the vault for volumes that are in none."""
    associate: bool | None = None
    """Whether such volumes are put into it before the run."""

    def over(self, others: Choices) -> Choices:
        """These choices, and those of `others` where these are None."""
        said = {
            each.name: value
            for each in fields(self)
            if (value := getattr(self, each.name)) is not None
        }
        return replace(others, **said)


NO_CHOICES = Choices()
NO_SIZES: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """A volume as the cloud returned it when a plan was made from it."""

    size: int | None = None
    """GB."""
    status: str | None = None
    type: str | None = None
    server: str | None = None
    """The id of the server it was attached to; None for none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanVolume:
    """One volume of a plan; volumes with equal choices share one `own`."""

    id: str
    """Lower case, with hyphens."""
    name: str
    priority: int = 0
    group: str | None = None
    az: str | None = None
    snapshot_id: str | None = None
    own: Choices = NO_CHOICES
    skip_if_newer_than: float | None = None
    """Seconds; instead of the plan's."""
    size: int | None = None
    """GB, where the plan or its list of volumes tells it."""
    seen: Seen | None = None

    @property
    def known_size(self) -> int | None:
        """GB, as far as the plan tells it."""
        if self.size is None and self.seen is not None:
            return self.seen.size
        return self.size


@dataclass(frozen=True, kw_only=True, slots=True)
class VolumeSelection:
    """Which volumes a plan was made of: one word of each key must match; empty matches all.

    `name` and `exclude` are patterns as in a shell, sizes are in GB.
    """

    name: tuple[str, ...] = ()
    metadata: tuple[tuple[str, str], ...] = ()
    """Every key must have one of the values given for it."""
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
    """A valid plan; `len()` is the number of its volumes, all different."""

    name: str
    cloud: str | None
    settings: Settings
    defaults: Choices
    volumes: Sequence[PlanVolume]
    service: Service | None = None
    """None for the one the cloud offers."""
    names_unique: bool
    """Whether every name holds the run's id; otherwise another run may use the same name."""
    skip_if_newer_than: float | None = None
    """Seconds: a volume with a newer available backup needs none now."""
    on_preflight: OnPreflight = OnPreflight.FAIL
    order: Order = Order.PLAN
    selection: VolumeSelection | None = None
    per_checkpoint: int = PER_CHECKPOINT
    """How many jobs one create may start, where the service allows several."""
    settle_said: bool = False
    """Whether the plan sets `retry.settle`; else it depends on the service, see `settings_on`."""
    rate_said: bool = False
    """Whether the plan sets `limits.rate`."""

    def __len__(self) -> int:
        return len(self.volumes)

    def settings_on(self, facts: ServiceFacts) -> Settings:
        """The settings of a run of the plan on the service of `facts`."""
        together = min(self.per_checkpoint, facts.volumes_per_create)
        settings = replace(
            self.settings,
            service=facts.service,
            limits=replace(self.settings.limits, per_checkpoint=together),
            names_unique=self.names_unique or facts.vaults,
        )
        if self.settle_said:
            return settings
        return replace(settings, retry=replace(settings.retry, settle=facts.settle))

    def jobs(
        self, run_id: str, sizes: Mapping[str, int] = NO_SIZES, *, shared_names: bool = False
    ) -> Iterator[Job]:
        """The jobs of the run `run_id` in plan order, one per volume, numbered from 1.

        `sizes` in GB by volume id, as the cloud told them, win over the plan's. Backup names are
        unique in the run and the same every time. With `shared_names` they are the same for all
        volumes of one template: for a service whose backups are not named one by one.
        """
        names = Names()
        merged: dict[Choices, tuple[str, BackupSettings]] = {}
        waves = self.waves()
        known = [sizes.get(volume.id, volume.known_size) for volume in self.volumes]
        rank_of = ranks(self.volumes, waves, known if self.order is Order.LARGEST_FIRST else None)
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
                backup_name=(
                    shared_name(template, values)
                    if shared_names
                    else names.name(template, values, volume.id)
                ),
                settings=settings,
                priority=volume.priority,
                group=volume.group,
                az=volume.az,
                wave=waves[no - 1],
                rank=0 if rank_of is None else rank_of[no - 1],
                size=known[no - 1],
            )

    def backup_settings(self) -> set[BackupSettings]:
        """The settings of its creates beside volume, snapshot and name, each once."""
        own = {volume.own for volume in self.volumes}
        return {_merged(choices.over(self.defaults))[1] for choices in own}

    def waves(self) -> list[int]:
        """The index of each volume's wave, in plan order; the last wave's where none is given."""
        if not self.settings.waves:
            return [0] * len(self.volumes)
        numbers = {wave.name: number for number, wave in enumerate(self.settings.waves)}
        default = numbers.get(self.defaults.wave or "", len(numbers) - 1)
        return [numbers.get(volume.own.wave or "", default) for volume in self.volumes]

    def _values(self, no: int, volume: PlanVolume, run_id: str) -> dict[str, str]:
        """The values of a template's fields; a run's id begins with its date."""
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


def ranks(
    volumes: Sequence[PlanVolume],
    waves: Sequence[int],
    sizes: Sequence[int | None] | None = None,
) -> list[int] | None:
    """Ranks that keep groups together: the order is by wave, rank, priority and place.

    A group takes the place that its best member would have alone. `waves` has each volume's wave;
    with `sizes` the larger of two of equal priority goes first. None where priority and place alone
    give that order, as in every plan without groups in the order of the plan.
    """
    if sizes is None and all(volume.group is None for volume in volumes):
        return None
    weights = [0] * len(volumes) if sizes is None else [size or 0 for size in sizes]
    alone = [
        (-volume.priority, -weight, place)
        for place, (volume, weight) in enumerate(zip(volumes, weights, strict=True))
    ]
    best: dict[tuple[int, str], tuple[int, int, int]] = {}
    for place, volume in enumerate(volumes):
        if volume.group is not None:
            unit = waves[place], volume.group
            best[unit] = min(best.get(unit, alone[place]), alone[place])

    def natural(place: int) -> tuple[int, int]:
        return -volumes[place].priority, place

    def stands(place: int) -> tuple[int, tuple[int, int, int], tuple[int, int, int]]:
        group = volumes[place].group
        unit = alone[place] if group is None else best[waves[place], group]
        return waves[place], unit, alone[place]

    order = sorted(range(len(volumes)), key=stands)
    found = [0] * len(volumes)
    for before, after in pairwise(order):
        same_wave = waves[before] == waves[after]
        found[after] = found[before] + (natural(after) < natural(before)) if same_wave else 0
    return found
