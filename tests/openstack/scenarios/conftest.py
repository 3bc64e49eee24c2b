from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.openstack.cloud import RealCloud
from tests.openstack.scenarios.night import Night


@pytest.fixture(scope="session")
def cloud() -> RealCloud:
    """The one that `make test-openstack` brought up."""
    return RealCloud.at(Path(os.environ["VBSBATCH_OPENSTACK"]))


@pytest.fixture
def night(cloud: RealCloud, tmp_path: Path) -> Iterator[Night]:
    made = Night(cloud, tmp_path)
    yield made
    made.close()
