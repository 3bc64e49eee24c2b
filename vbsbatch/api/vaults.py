"""Vaults: lists them, finds those of a plan's volumes, and puts volumes into them.

Nothing here takes a volume out of a vault or deletes one: both destroy backups.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from vbsbatch.api.retrying import BRIEF, ask_again
from vbsbatch.api.sessions import signed_in
from vbsbatch.cloud import CloudChoice, CloudService
from vbsbatch.cloud.services import SERVICES
from vbsbatch.errors import CloudError, CloudUnavailable, UsageError
from vbsbatch.inventory.vaults import MOST, VaultPlacement, place_volumes
from vbsbatch.model import Settings, Vault, plain_id

if TYPE_CHECKING:
    from vbsbatch.inventory.preflight import Preflight
    from vbsbatch.plan import Plan

TRIES = 4
"""How often volumes are put into a vault while answers are lost; the vault is read in between."""


async def vaults(
    *,
    cloud: str | None = None,
    cbr_endpoint: str | None = None,
    block_storage_endpoint: str | None = None,
) -> list[Vault]:
    """List the vaults of a cloud with their volumes.

    `cloud` is an entry of clouds.yaml. Raises `SignInError`, `CloudUnavailable` and `CloudRefused`.
    """
    choice = CloudChoice(
        cloud=cloud or os.environ.get("OS_CLOUD"),
        service=next(each.facts.service for each in SERVICES if each.facts.vaults),
        cbr_endpoint=cbr_endpoint,
        block_storage_endpoint=block_storage_endpoint,
    )
    async with signed_in(choice, Settings()) as service:
        return list(await ask_again(service.vaults, BRIEF))


async def place(
    plan: Plan,
    service: CloudService,
    found: Preflight | None,
    agree: Callable[[Sequence[str]], object],
) -> Mapping[str, str]:
    """Put what the plan wants into vaults, and return the vault of each volume that has one.

    `found` is the result of the preflight. `agree` is called before anything is put into a vault,
    with words about it, and raises `UsageError` to start nothing.
    """
    if not service.facts.vaults:
        return {}
    placement = found.placement if found is not None else None
    placement = placement or await _find_placement(plan, service)
    left_out = {} if found is None else found.left_out
    wanted = placement.wanted({**left_out, **placement.problems})
    if wanted:
        agree(list(placement.described(wanted)))
        await put_into_vaults(service, wanted)
    vault_of = dict(placement.vault_of)
    for vault_id, volumes in wanted.items():
        vault_of |= dict.fromkeys(volumes, vault_id)
    return vault_of


async def _find_placement(plan: Plan, service: CloudService) -> VaultPlacement:
    """The vaults of a plan's volumes, without their sizes."""
    try:
        found = await ask_again(service.vaults, BRIEF)
    except CloudError as error:
        raise UsageError(f"cannot read the vaults, so nothing was started: {error}") from error
    return place_volumes(plan, found, {})


async def put_into_vaults(service: CloudService, wanted: Mapping[str, Sequence[str]]) -> None:
    """Put volumes into vaults, as many with one request as a vault may have; `wanted` is by vault.

    After a request without an answer the vaults are read, and only what is missing is asked for
    again. Raises `UsageError` when the cloud refuses.
    """
    for vault_id, volumes in wanted.items():
        try:
            await _put(service, vault_id, volumes)
        except CloudError as error:
            raise UsageError(
                f"nothing was started: {len(volumes)} volumes could not be put into vault"
                f" {vault_id}: {error}"
            ) from error


async def _put(service: CloudService, vault_id: str, volumes: Sequence[str]) -> None:
    missing = list(volumes)
    for attempt in range(1, TRIES + 1):
        try:
            for start in range(0, len(missing), MOST):
                await service.associate(vault_id, missing[start : start + MOST])
        except CloudUnavailable:
            if attempt == TRIES:
                raise
        present = await ask_again(partial(_in_vault, service, vault_id), BRIEF)
        missing = [each for each in missing if plain_id(each) not in present]
        if not missing:
            return
    raise CloudUnavailable(f"the vault does not list {len(missing)} of them")


async def _in_vault(service: CloudService, vault_id: str) -> set[str]:
    """The volumes of a vault, as `plain_id` spells them."""
    found = next((vault for vault in await service.vaults() if vault.id == vault_id), None)
    return set() if found is None else {plain_id(volume.id) for volume in found.volumes}
