"""vbsbatch.coverage: the same as the command, from a program."""

from __future__ import annotations

import pytest

import vbsbatch
from tests.cli.harness import Harness

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_a_program_gets_the_volumes_with_their_newest_good_backups(harness: Harness) -> None:
    cloud = harness.cloud(volumes=3)
    first, second, third = cloud.world.project.volumes.values()
    backup_id = cloud.world.add_backup(first.id, "by-somebody", age=600.0)
    cloud.world.add_backup(second.id, "by-somebody", age=7200.0)
    names = (first.name, second.name)
    found = await vbsbatch.coverage(
        cloud="simulator", max_age=3600.0, selection=vbsbatch.VolumeSelection(name=names)
    )
    assert (found.covered, len(found.volumes), found.services) == (1, 2, ("VBS",))
    (lost,) = found.uncovered
    assert (lost.volume_id, lost.reason) == (second.id, vbsbatch.Uncovered.OLD)
    assert found.volumes[1].newest is not None
    assert found.volumes[1].newest.id == backup_id
    with pytest.raises(vbsbatch.UsageError, match="no server has this name"):
        selection = vbsbatch.VolumeSelection(server=("nobody",))
        await vbsbatch.coverage(cloud="simulator", selection=selection)
    assert third.name not in {each.name for each in found.volumes}
