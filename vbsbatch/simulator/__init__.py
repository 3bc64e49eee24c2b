"""A cloud that behaves like the real one, with faults on demand: for tests, demos and benchmarks.

The front doors that cost an import stay in their modules: `faults.load_scenario`, `server.serve`,
`transport.SimulatedTransport`, `virtual.run`.
"""

from vbsbatch.simulator.fleet import fleet
from vbsbatch.simulator.scenario import (
    BackupScript,
    Do,
    Fault,
    GatewayLimit,
    Kind,
    Quota,
    Scenario,
    Services,
)
from vbsbatch.simulator.state import Volume
from vbsbatch.simulator.wire import Fate, SimReply, SimRequest
from vbsbatch.simulator.world import SimulatedCloud

__all__ = [
    "BackupScript",
    "Do",
    "Fate",
    "Fault",
    "GatewayLimit",
    "Kind",
    "Quota",
    "Scenario",
    "Services",
    "SimReply",
    "SimRequest",
    "SimulatedCloud",
    "Volume",
    "fleet",
]
