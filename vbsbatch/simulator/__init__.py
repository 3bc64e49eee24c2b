"""A cloud that behaves like the real one, with faults on demand: for tests, demos and benchmarks.

What is slow to import stays in its module: `faults.load_scenario`, `server.serve`,
`transport.SimulatedTransport`, `virtual.run`.
"""

from vbsbatch.simulator.project_state import SimVolume, sample_volumes
from vbsbatch.simulator.scenario import (
    BackupScript,
    Busy,
    Do,
    Fault,
    GatewayLimit,
    Kind,
    Scenario,
    Services,
    SimQuota,
    VaultScript,
)
from vbsbatch.simulator.wire import Fate, SimReply, SimRequest
from vbsbatch.simulator.world import SimulatedCloud

__all__ = [
    "BackupScript",
    "Busy",
    "Do",
    "Fate",
    "Fault",
    "GatewayLimit",
    "Kind",
    "Scenario",
    "Services",
    "SimQuota",
    "SimReply",
    "SimRequest",
    "SimVolume",
    "SimulatedCloud",
    "VaultScript",
    "sample_volumes",
]
