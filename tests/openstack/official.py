"""What the official client, `openstack`, reports about the real cloud."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.openstack.cloud import RealCloud

PATIENCE = 120.0


def openstack(cloud: RealCloud, *words: str, user: str = "backup") -> Any:
    """`openstack WORDS`, as JSON where they ask for it."""
    tool = Path(sys.executable).with_name("openstack")
    kept = {key: value for key, value in os.environ.items() if not key.startswith("OS_")}
    done = subprocess.run(
        [str(tool), *words],
        env={**kept, "OS_CLIENT_CONFIG_FILE": str(cloud.clouds_file), "OS_CLOUD": user},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return json.loads(done.stdout) if "json" in words else done.stdout


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """A backup as `openstack volume backup list --long` tells it."""

    id: str
    name: str
    status: str
    volume_id: str
    incremental: bool


def backups(cloud: RealCloud, volumes: Iterable[str]) -> Sequence[Listed]:
    """Those of these volumes."""
    rows = openstack(cloud, "volume", "backup", "list", "--long", "-f", "json")
    wanted = set(volumes)
    return [
        Listed(
            id=row["ID"],
            name=row["Name"],
            status=row["Status"],
            volume_id=row["Volume"],
            incremental=row["Incremental"],
        )
        for row in rows
        if row["Volume"] in wanted
    ]


def volumes(cloud: RealCloud, ids: Iterable[str]) -> Sequence[dict[str, Any]]:
    """Their rows in `openstack volume list -f json`."""
    rows = openstack(cloud, "volume", "list", "-f", "json")
    wanted = set(ids)
    return [row for row in rows if row["ID"] in wanted]
