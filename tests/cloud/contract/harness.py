"""What the contract tests run on: a service, volumes, and a way to pass time.

Simulated clouds stand here with a clock that is moved by hand. A real one is named by the
environment: `VBSBATCH_CONTRACT_CLOUD` is an entry of clouds.yaml, `VBSBATCH_CONTRACT_VOLUMES` lists
volumes (ids, with commas) that are available and have no backup, one for each test and a few more;
`VBSBATCH_CONTRACT_IN_USE` and `VBSBATCH_CONTRACT_BROKEN`, which may be left out, are volumes that
are in use, and whose backups end in `error`.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import uuid4

import anyio
import httpx

from vbsbatch.cloud import CloudChoice, connect
from vbsbatch.cloud.endpoints import Endpoints
from vbsbatch.cloud.service import CloudService
from vbsbatch.cloud.services import service_class
from vbsbatch.cloud.session import Session
from vbsbatch.cloud.tokens import Token, Tokens
from vbsbatch.model import Backup, BackupSettings, Job, Service, Timeouts
from vbsbatch.simulator import (
    Do,
    Fault,
    Kind,
    Scenario,
    Services,
    SimQuota,
    SimulatedCloud,
    sample_volumes,
)
from vbsbatch.simulator.transport import SimulatedTransport
from vbsbatch.simulator.virtual import VirtualClock

PATIENCE = 300
"""How many rests a backup may take."""

_TAKEN: set[str] = set()
"""Volumes of the real cloud that a test had."""


@dataclass(kw_only=True)
class ContractCloud:
    """A cloud's backup service and what a test may do with it."""

    service: CloudService
    volumes: list[str]
    """Available, without a backup; each test takes its own."""
    rest: Callable[[], Awaitable[None]]
    """Let some time pass in the cloud."""
    in_use: str | None = None
    broken: str | None = None
    """A volume whose backups end in `error`."""
    use_up_quota: Callable[[], None] | None = None
    vault_of: dict[str, str] = field(default_factory=dict)
    """The vault of each volume, on a service that has vaults."""
    _prefix: str = field(default_factory=lambda: f"contract-{uuid4().hex[:12]}")
    _jobs: int = 0

    def job(self, volume_id: str | None = None, **settings: object) -> Job:
        """A job of a name that no other has, for a volume of its own unless one is named."""
        self._jobs += 1
        volume_id = volume_id or self.take()
        if self.vault_of:
            settings["vault"] = self.vault_of.get(volume_id, next(iter(self.vault_of.values())))
        return Job(
            no=self._jobs,
            volume_id=volume_id,
            volume_name="contract",
            backup_name=f"{self._prefix}-{self._jobs}-20261101-2200-test",
            settings=BackupSettings(**settings),  # type: ignore[arg-type]
        )

    def take(self) -> str:
        """A volume that no test had yet."""
        volume = next(volume for volume in self.volumes if volume not in _TAKEN)
        _TAKEN.add(volume)
        return volume

    async def listed(self) -> list[Backup]:
        """Every page of the project's backups."""
        found: list[Backup] = []
        page = await self.service.backups()
        found.extend(page.backups)
        while page.next is not None:
            page = await self.service.backups(page.next)
            found.extend(page.backups)
        return found

    async def of(self, job: Job) -> list[Backup]:
        """The listed backups that bear the job's very name, for its volume."""
        return [
            backup
            for backup in await self.listed()
            if (backup.name, backup.volume_id) == (job.backup_name, job.volume_id)
        ]

    async def ended(self, job: Job) -> Backup:
        """The job's one backup, once it is no longer in the making."""
        for _ in range(PATIENCE):
            found = await self.of(job)
            if found and found[0].status != "creating":
                (backup,) = found
                return backup
            await self.rest()
        raise AssertionError(f"{job.backup_name} is still in the making")


@asynccontextmanager
async def simulated(services: Services) -> AsyncIterator[ContractCloud]:
    """A ground on a simulated cloud in this process."""
    clock, volumes = VirtualClock(), sample_volumes(60, 1)
    in_use = next(volume.id for volume in volumes if volume.status == "in-use")
    free = [volume.id for volume in volumes if volume.status == "available"]
    broken = free.pop()
    fault = Fault(on=Kind.CREATE, do=Do.FAIL, volumes=frozenset({broken}))
    scenario = Scenario(services=services, faults=(fault,))
    cloud = SimulatedCloud(scenario, clock, 1, volumes=volumes)
    session = Session(
        Tokens(lambda: _sign_in(cloud, clock), clock.now),
        Timeouts(),
        transport=lambda: SimulatedTransport(cloud),
        now=clock.now,
    )
    root = "http://127.0.0.1"
    roots = {"vbs": root, "cbr": root + "/cbr", "block_storage": root + "/volume"}
    endpoints = Endpoints(project_id=cloud.project.id, roots=roots)
    kind = service_class(Service(services))

    async def rest() -> None:
        clock.passed += 2.0

    service = kind(session, endpoints)
    vaults = await service.vaults()
    try:
        yield ContractCloud(
            service=service,
            vault_of={each.id: vault.id for vault in vaults for each in vault.volumes},
            volumes=free,
            rest=rest,
            in_use=in_use,
            broken=broken,
            use_up_quota=lambda: cloud.change(
                Scenario(services=services, quota=SimQuota(backups=0))
            ),
        )
    finally:
        _TAKEN.difference_update(free)
        await session.aclose()


async def _sign_in(cloud: SimulatedCloud, clock: VirtualClock) -> Token:
    user = cloud.operator
    password = {"user": {"id": user.id, "password": user.password}}
    auth = {
        "identity": {"methods": ["password"], "password": password},
        "scope": {"project": {"id": cloud.project.id}},
    }
    request = httpx.Request(
        "POST",
        "http://127.0.0.1/identity/v3/auth/tokens",
        content=json.dumps({"auth": auth}),
        extensions={"timeout": {"read": 10.0}},
    )
    response = await SimulatedTransport(cloud).handle_async_request(request)
    now = clock.now()
    return Token(
        value=response.headers["x-subject-token"], got_at=now, expires_at=now + 24 * 3600.0
    )


def real_cloud() -> str | None:
    """The entry of clouds.yaml of a real cloud to test on, None without one."""
    return os.environ.get("VBSBATCH_CONTRACT_CLOUD")


@asynccontextmanager
async def real() -> AsyncIterator[ContractCloud]:
    """A ground on the real Cinder that the environment names."""

    async def rest() -> None:
        await anyio.sleep(0.5)

    choice = CloudChoice(cloud=real_cloud(), service=Service.CINDER)
    async with connect(choice) as service:
        yield ContractCloud(
            service=service,
            volumes=os.environ["VBSBATCH_CONTRACT_VOLUMES"].split(","),
            rest=rest,
            in_use=os.environ.get("VBSBATCH_CONTRACT_IN_USE"),
            broken=os.environ.get("VBSBATCH_CONTRACT_BROKEN"),
        )
