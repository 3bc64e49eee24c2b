"""Which vault each volume of a plan is backed up in, and which volumes must be put into one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from vbsbatch.inventory.plan_writer import counted
from vbsbatch.model import Vault, did_you_mean, plain_id
from vbsbatch.plan import Plan, PlanVolume

MOST = 256
"""Volumes of one vault."""

_UNUSABLE = frozenset({"frozen", "deleting", "error"})
"""Statuses of a vault that takes no backups; with `lock` it still does."""

NO_VAULT = (
    "is in no vault: write `vault: NAME` and `associate: true` in the plan's defaults or on the"
    " volume, or associate it in the console"
)


@dataclass(kw_only=True)
class VaultPlacement:
    """The vaults of a plan's volumes. Volumes are named by their id as the plan spells it."""

    vault_of: dict[str, str] = field(default_factory=dict)
    """The id of the vault that a volume is in."""
    missing: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Volumes that must be put into a vault first, by the id of that vault."""
    problems: dict[str, str] = field(default_factory=dict)
    """Why a volume cannot be backed up."""
    elsewhere: dict[str, str] = field(default_factory=dict)
    """Volumes that are in another vault than the plan names, with words about it."""
    vaults: dict[str, Vault] = field(default_factory=dict)
    """The vaults that are used, by id."""

    def wanted(self, left_out: Mapping[str, str]) -> dict[str, list[str]]:
        """What is to be put into each vault, without the volumes that a run leaves out."""
        kept = {
            vault_id: [each for each in volumes if each not in left_out]
            for vault_id, volumes in self.missing.items()
        }
        return {vault_id: volumes for vault_id, volumes in kept.items() if volumes}

    def described(self, wanted: Mapping[str, Sequence[str]]) -> Iterator[str]:
        """One line for each vault that volumes are to be put into."""
        for vault_id, volumes in wanted.items():
            title = self.vaults[vault_id].title
            yield f"{counted(len(volumes), 'volume')} will be put into vault {title}"


def place_volumes(
    plan: Plan, vaults: Sequence[Vault], sizes: Mapping[str, int | None]
) -> VaultPlacement:
    """Find the vault of each volume of the plan; `sizes` are in GB, by the volume's id."""
    found = VaultPlacement(vaults={vault.id: vault for vault in vaults})
    vault_of = {plain_id(each.id): vault for vault in vaults for each in vault.volumes}
    for volume in plan.volumes:
        _place(plan, volume, vaults, vault_of.get(plain_id(volume.id)), found)
    for vault_id in list(found.missing):
        _check_room(found, vault_id, sizes)
    return found


def _place(
    plan: Plan,
    volume: PlanVolume,
    vaults: Sequence[Vault],
    present: Vault | None,
    found: VaultPlacement,
) -> None:
    wanted = volume.own.over(plan.defaults)
    if present is not None:
        found.vault_of[volume.id] = present.id
        if wanted.vault is not None and wanted.vault not in (present.name, present.id):
            found.elsewhere[volume.id] = (
                f'is in vault {present.title}, and the plan says "{wanted.vault}": it is backed up'
                f" in {present.title}, since only the console moves a volume with its backups"
            )
        _check_usable(found, volume.id, present)
    elif wanted.vault is None:
        found.problems[volume.id] = NO_VAULT
    else:
        _place_in(found, volume.id, wanted.vault, vaults, associate=bool(wanted.associate))


def _place_in(
    found: VaultPlacement, volume_id: str, name: str, vaults: Sequence[Vault], *, associate: bool
) -> None:
    """Put a volume that is in no vault into the one that the plan names, if that is allowed."""
    called = [vault for vault in vaults if name in (vault.name, vault.id)]
    if len(called) != 1:
        names = [vault.title for vault in vaults]
        hint = did_you_mean(name, names) or f": there are {', '.join(names) or 'none'}"
        many = f"{len(called)} vaults are called so: name its id" if called else "does not exist"
        found.problems[volume_id] = f'is in no vault, and the plan\'s vault "{name}" {many}' + (
            "" if called else hint
        )
    elif not associate:
        found.problems[volume_id] = (
            f"is in no vault: write `associate: true` beside `vault: {name}` in the plan to have it"
            " put there before the run"
        )
    else:
        found.missing[called[0].id].append(volume_id)
        _check_usable(found, volume_id, called[0])


def _check_usable(found: VaultPlacement, volume_id: str, vault: Vault) -> None:
    if vault.status in _UNUSABLE:
        found.problems[volume_id] = f"vault {vault.title} is {vault.status}: it takes no backups"
    elif vault.free == 0 and not vault.auto_expand:
        found.problems[volume_id] = f"vault {vault.title} is full ({vault.size} GB): enlarge it"


def _check_room(found: VaultPlacement, vault_id: str, sizes: Mapping[str, int | None]) -> None:
    """Refuse what a vault has no room for: its volumes' sizes together must fit into its own."""
    vault, volumes = found.vaults[vault_id], found.missing[vault_id]
    needed = sum(sizes.get(each) or 0 for each in volumes)
    left = None if vault.size is None else vault.size - (vault.allocated or 0)
    problem = None
    if len(vault.volumes) + len(volumes) > MOST:
        problem = (
            f"vault {vault.title} has {len(vault.volumes)} of the {MOST} volumes it may have, and"
            f" {len(volumes)} more are to be put there: use another vault"
        )
    elif left is not None and needed > left and not vault.auto_expand:
        problem = (
            f"vault {vault.title} has room for volumes of {max(left, 0)} GB, and {needed} GB are to"
            " be put there: enlarge it"
        )
    if problem is not None:
        found.problems |= dict.fromkeys(volumes, problem)
