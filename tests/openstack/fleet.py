"""Volumes of the real cloud: one made through Cinder, the rest copies of its rows and its file."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.openstack import official
from tests.openstack.cloud import BLOCK_STORAGE, RealCloud

TINY = 256 * 1024
"""Bytes of each volume's file: Cinder says 1 GB, and a backup reads what is there."""
PATIENCE = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Fleet:
    """Volume ids in the order in which they were made."""

    prefix: str
    ids: Sequence[str]
    in_use: Sequence[str]
    """`in-use` in the database: their backup needs force, and then works."""
    stuck: Sequence[str]
    """Really attached: their backup stays `creating`, for the driver wants a Nova."""
    broken: Sequence[str]
    """Their file is gone: their backup is accepted, and ends in `error`."""

    @property
    def sound(self) -> Sequence[str]:
        """Those that can be backed up."""
        return [one for one in self.ids if one not in {*self.stuck, *self.broken}]


def make_fleet(
    cloud: RealCloud,
    prefix: str,
    count: int,
    *,
    in_use: int = 0,
    stuck: int = 0,
    broken: int = 0,
) -> Fleet:
    """Make `PREFIX-0001` ... and spoil some of them; which is spread over the fleet."""
    names = [f"{prefix}-{number:04d}" for number in range(1, count + 1)]
    model = _create(cloud, names[0])
    ids = [model, *(str(uuid.uuid4()) for _ in names[1:])]
    if count > 1:
        cloud.sql(_copies(model, ids[1:], names[1:]))
    for one in ids:
        _fill(cloud, one)
    step = max(count // max(in_use + stuck + broken, 1), 1)
    chosen = ids[step - 1 :: step]
    fleet = Fleet(
        prefix=prefix,
        ids=ids,
        in_use=chosen[:in_use],
        stuck=chosen[in_use : in_use + stuck],
        broken=chosen[in_use + stuck : in_use + stuck + broken],
    )
    _spoil(cloud, fleet)
    return fleet


def _create(cloud: RealCloud, name: str) -> str:
    user = cloud.user
    wanted = {"volume": {"name": name, "size": 1, "metadata": {"fleet": name.rpartition("-")[0]}}}
    made = user.post("/volumes", endpoint_filter=BLOCK_STORAGE, json=wanted).json()["volume"]
    _await_status(user, made["id"], "available")
    return str(made["id"])


def _await_status(user: Any, volume: str, wanted: str) -> None:
    deadline = time.monotonic() + PATIENCE
    status = None
    while status != wanted and time.monotonic() < deadline:
        time.sleep(0.2)
        found = user.get(f"/volumes/{volume}", endpoint_filter=BLOCK_STORAGE).json()["volume"]
        status = found["status"]
    assert status == wanted, f"volume {volume} is {status}"


def _copies(model: str, ids: Sequence[str], names: Sequence[str]) -> str:
    """Statements that copy a volume's rows, and count the copies as used quota."""
    statements = [f"create temporary table one as select * from volumes where id = '{model}'"]
    for number, (one, name) in enumerate(zip(ids, names, strict=True), 1):
        statements += [
            f"update one set id = '{one}', display_name = '{name}',"
            f" created_at = utc_timestamp() + interval {number} second",
            "insert into volumes select * from one",
        ]
    statements += [
        f"insert into {table} (created_at, deleted, volume_id, `key`, value)"
        f" select old.created_at, 0, one.id, old.`key`, old.value from {table} old"
        f" join volumes one on one.id in ({_listed(ids)})"
        f" where old.volume_id = '{model}' and old.deleted = 0"
        for table in ("volume_metadata", "volume_admin_metadata")
    ]
    statements.append(
        f"update quota_usages set in_use = in_use + {len(ids)} where deleted = 0"
        f" and project_id = (select project_id from volumes where id = '{model}')"
        " and (resource like 'volumes%' or resource like 'gigabytes%')"
    )
    return ";\n".join(["start transaction", *statements, "commit"])


def _listed(ids: Sequence[str]) -> str:
    return ", ".join(f"'{one}'" for one in ids)


def _fill(cloud: RealCloud, volume: str) -> None:
    path = cloud.site.share / f"volume-{volume}"
    path.write_bytes(os.urandom(TINY))
    path.chmod(0o666)


def _spoil(cloud: RealCloud, fleet: Fleet) -> None:
    if fleet.in_use:
        ids = _listed(fleet.in_use)
        cloud.sql(f"update volumes set status = 'in-use' where id in ({ids})")
    for volume in fleet.stuck:
        attach(cloud, volume)
    for volume in fleet.broken:
        (cloud.site.share / f"volume-{volume}").unlink()


def attach(cloud: RealCloud, volume: str) -> None:
    user = cloud.user
    server = {"instance_uuid": str(uuid.uuid4()), "mountpoint": "/dev/vdb", "mode": "rw"}
    action = {"os-attach": server}
    user.post(f"/volumes/{volume}/action", endpoint_filter=BLOCK_STORAGE, json=action)
    _await_status(user, volume, "in-use")


def heal(cloud: RealCloud, stuck: Sequence[str]) -> None:
    """What an operator does about backups that stay `creating`: detach, and declare them failed."""
    for volume in stuck:
        detach: dict[str, dict[str, str]] = {"os-detach": {}}
        cloud.user.post(f"/volumes/{volume}/action", endpoint_filter=BLOCK_STORAGE, json=detach)
        _await_status(cloud.user, volume, "available")
    for backup in official.backups(cloud, stuck):
        words = ("volume", "backup", "set", "--state", "error", backup.id)
        official.openstack(cloud, *words, user="admin")


def set_status(cloud: RealCloud, volume: str, status: str) -> None:
    """Give a volume a state, as an operator of the cloud can."""
    action = {"os-reset_status": {"status": status}}
    cloud.admin.post(f"/volumes/{volume}/action", endpoint_filter=BLOCK_STORAGE, json=action)
