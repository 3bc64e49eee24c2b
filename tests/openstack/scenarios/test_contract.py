"""The contract tests of every backup service, on a real Cinder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.openstack.cloud import RealCloud
from tests.openstack.fleet import make_fleet

ROOT = Path(__file__).parents[3]
PATIENCE = 600.0


def test_the_real_cinder_keeps_the_contract_that_the_simulated_ones_keep(cloud: RealCloud) -> None:
    fleet = make_fleet(cloud, "contract", 24, in_use=1, broken=1)
    free = [one for one in fleet.sound if one not in fleet.in_use]
    environment = {
        **os.environ,
        "OS_CLIENT_CONFIG_FILE": str(cloud.clouds_file),
        "VBSBATCH_CONTRACT_CLOUD": "backup",
        "VBSBATCH_CONTRACT_VOLUMES": ",".join(free),
        "VBSBATCH_CONTRACT_IN_USE": fleet.in_use[0],
        "VBSBATCH_CONTRACT_BROKEN": fleet.broken[0],
    }
    words = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/cloud/contract", "-k", "real")
    done = subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
