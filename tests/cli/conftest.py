from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.clouds import GlassCloud
from tests.cli.harness import FAST, Harness


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Harness]:
    made = Harness(tmp_path)
    made.write_plan()
    yield made
    made.close()


@pytest.fixture(scope="session")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Harness, GlassCloud]]:
    """A run of 6 volumes of which two failed with different answers, and an older run of one.

    Tests look at it in many ways, and leave the store and the cloud as they are.
    """
    stage = Harness(tmp_path_factory.mktemp("ended"))
    stage.write_plan(retry={"attempts": 1})
    cloud = stage.cloud(volumes=6)
    ids = [volume["ID"] for volume in cloud.volumes()]
    (stage.folder / "one.txt").write_text(ids[5])
    stage("run", "plan.yaml", "--volumes", "one.txt")
    cloud.behave(
        FAST
        + "faults:\n"
        "  - {on: create, do: status, status: 400, code: VolumeBackup.0040,"
        f" message: '=1+1 [b]\\e[31mred\\u202e<script>', volumes: [{ids[0]}]}}\n"
        f"  - {{on: create, do: fail, code: VolumeBackup.0017, volumes: [{ids[1]}]}}\n".replace(
            "\\e", "\\x1b"
        )
    )
    stage("run", "plan.yaml", code=1)
    yield stage, cloud
    stage.close()
