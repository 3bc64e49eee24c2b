"""The command vaults: lists what a cloud's vaults hold and have room for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from vbsbatch.cli import say
from vbsbatch.cli.options import (
    block_storage_option,
    cbr_option,
    cloud_option,
    with_options,
)

if TYPE_CHECKING:
    from vbsbatch.model import Vault


@click.command(
    epilog="""\
Only reads. Used and free are GB of backups; allocated are the sizes of the disks together.

\b
Examples:
  vbsbatch vaults --cloud otc
  vbsbatch vaults --cloud otc --json
"""
)
@with_options(cloud_option, cbr_option, block_storage_option)
@click.option("--json", "as_json", is_flag=True, help="As one JSON document, with the disks.")
def vaults(as_json: bool, **place: str | None) -> int:
    """List the vaults of a cloud with their room and their disks (CBR)."""
    import anyio

    from vbsbatch.api import vaults as api

    found = anyio.run(lambda: api.vaults(**place))
    (_print_json if as_json else _print_table)(found)
    return 0


def _print_table(vaults: Sequence[Vault]) -> None:
    from vbsbatch.report import clean

    rows = [
        ("VAULT", "STATUS", "GB", "ALLOCATED", "USED", "FREE", "DISKS", "ID"),
        *(
            (
                clean(vault.title),
                clean(vault.status or "-"),
                _number(vault.size),
                _number(vault.allocated),
                _number(_used(vault)),
                _number(vault.free),
                str(len(vault.volumes)),
                vault.id,
            )
            for vault in vaults
        ),
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = zip(row, widths, strict=True)
        say("  ".join(cell.ljust(width) for cell, width in cells).rstrip())


def _number(value: int | None) -> str:
    return "-" if value is None else str(value)


def _used(vault: Vault) -> int | None:
    """GB, rounded up."""
    return None if vault.used is None else -(-vault.used // 1024)


def _print_json(vaults: Sequence[Vault]) -> None:
    import json

    say(json.dumps({"schema": 1, "vaults": [_document(vault) for vault in vaults]}, indent=2))


def _document(vault: Vault) -> dict[str, Any]:
    from vbsbatch.report.text import cleaned

    return {
        "id": vault.id,
        "name": cleaned(vault.name),
        "status": cleaned(vault.status),
        "size_gb": vault.size,
        "allocated_gb": vault.allocated,
        "used_mb": vault.used,
        "free_gb": vault.free,
        "auto_expand": vault.auto_expand,
        "disks": [
            {
                "id": volume.id,
                "name": cleaned(volume.name),
                "size_gb": volume.size,
                "status": cleaned(volume.status),
            }
            for volume in vault.volumes
        ],
    }
