"""One simulated night: the real engine and the real cloud code against a simulated cloud.

Everything follows from the seed: the fleet, the plan, the faults, and where the engine is killed.
Time is virtual, requests go through an in-memory transport, and the store is the in-memory one,
which loses what a kill would lose.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import anyio
import httpx

from vbsbatch.cloud.backup_operation_adapter import BackupOperationAdapter
from vbsbatch.cloud.endpoints import Endpoints
from vbsbatch.cloud.operation_services import stand_in
from vbsbatch.cloud.service import CloudService
from vbsbatch.cloud.services import facts_of, service_class
from vbsbatch.cloud.session import Session
from vbsbatch.cloud.tokens import Token, Tokens
from vbsbatch.engine import Engine, EngineResult, Tuning
from vbsbatch.errors import CloudUnavailable, SignInError
from vbsbatch.model import (
    Answer,
    BackupPage,
    BackupSettings,
    Cloud,
    Job,
    JobMoved,
    JobState,
    Limits,
    Operation,
    Rate,
    Retry,
    Run,
    RunNoted,
    RunState,
    Service,
    Settings,
    Timeouts,
    Wall,
)
from vbsbatch.plan.batches import in_batches
from vbsbatch.simulator import Busy, Scenario, SimulatedCloud, sample_volumes
from vbsbatch.simulator.project_state import SimVolume
from vbsbatch.simulator.services.cbr_vaults import vaults_of
from vbsbatch.simulator.transport import SimulatedTransport
from vbsbatch.simulator.virtual import START, VirtualClock
from vbsbatch.simulator.virtual import run as run_virtual
from vbsbatch.store.memory import MemoryJournal, MemoryStore

RUN = "20260923-2200-test"
PATIENT = Tuning(poll=7.0, heartbeat=60.0)
"""Nights are long: checking the commands table twice a second would be most of the work."""


LONGEST = 3 * 86400.0
"""Seconds after which an engine that has not ended never will."""


class EngineKilled(BaseException):
    """What `kill -9` looks like from the inside: nothing below may catch it."""


POINTS = (
    "before intent",
    "after intent",
    "before send",
    "after send",
    "on record",
    "before flush",
    "before list",
    "after list",
    "before delete",
    "after delete",
)


@dataclass
class Crasher:
    """Kills an engine when it passes a labelled point for the n-th time."""

    journal: MemoryJournal
    random: Random
    point: str | None = None
    countdown: int = 0
    dead: bool = False

    def at(self, point: str) -> None:
        if self.dead:
            raise EngineKilled
        if point == self.point:
            self.countdown -= 1
            if self.countdown <= 0:
                self.dead = True
                self.journal.crash(keep=self.random.randint(0, self.journal.pending))
                raise EngineKilled


class MortalJournal:
    """The journal, with points where the engine can be killed."""

    def __init__(self, journal: MemoryJournal, crasher: Crasher) -> None:
        self._journal = journal
        self._crasher = crasher

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)

    async def claim(self, *words: Any, **how: Any) -> list[Job]:
        self._crasher.at("before intent")
        jobs = await self._journal.claim(*words, **how)
        if jobs:
            self._crasher.at("after intent")
        return jobs

    def record(self, event: JobMoved | RunNoted) -> None:
        if isinstance(event, JobMoved):
            self._crasher.at("on record")
        self._journal.record(event)

    async def open_wave(self, wave: int) -> None:
        self._crasher.at("before wave")
        await self._journal.open_wave(wave)
        self._crasher.at("after wave")

    async def flush(self) -> None:
        self._crasher.at("before flush")
        await self._journal.flush()


class MortalService:
    """The cloud, with points where the engine can be killed."""

    def __init__(self, service: CloudService | BackupOperationAdapter, crasher: Crasher) -> None:
        self._service = service
        self._crasher = crasher

    def __getattr__(self, name: str) -> Any:
        return getattr(self._service, name)

    async def ready(self) -> None:
        await self._service.ready()

    async def create_all(self, jobs: Sequence[Job], worker: int) -> Sequence[Answer]:
        self._crasher.at("before send")
        answers = await self._service.create_all(jobs, worker)
        self._crasher.at("after send")
        return answers

    async def backups(self, page: str | None = None) -> BackupPage:
        self._crasher.at("before list")
        listed = await self._service.backups(page)
        self._crasher.at("after list")
        return listed

    async def initial_scan(self, page: str | None = None) -> BackupPage:
        self._crasher.at("before list")
        listed = await self._service.initial_scan(page)
        self._crasher.at("after list")
        return listed

    async def delete_backup(self, backup_id: str) -> None:
        self._crasher.at("before delete")
        await self._service.delete_backup(backup_id)
        self._crasher.at("after delete")


@dataclass(kw_only=True)
class Night:
    """A plan, a cloud, and the result of the night."""

    seed: int = 1
    volumes: int = 20
    scenario: Scenario = field(default_factory=Scenario)
    settings: Settings = field(
        default_factory=lambda: Settings(limits=Limits(rate=Rate(count=5), in_flight=10))
    )
    lives: int = 1
    """Maximum number of engine starts; all engines but the last may be killed."""
    stops: int = 0
    """How many more times the operator resumes a stopped run."""
    points: tuple[str, ...] = POINTS
    backup_name: str = "n-{no}-{run}"
    backup: BackupSettings = BackupSettings()
    """What every create says besides volume and name."""
    operation: Operation = Operation.BACKUP
    """The operation on each volume; the backups to restore or delete exist before the night."""
    tuning: Tuning = PATIENT
    before: Callable[[Night], None] = lambda night: None
    """What to prepare in the cloud before the first life."""
    order: Callable[[int], dict[str, Any]] = lambda no: {}
    """Group, zone, wave and similar fields of a job, by its number."""
    start: float = START
    clock_events: tuple[tuple[float, str, float], ...] = ()
    """Events of the machine's clocks: when, in seconds of the timers since the start; `set` (the
    wall clock, by this many seconds) or `sleep` (the machine, for this many)."""
    waive: bool = True
    """Whether the operator starts the next wave when a gate stays closed."""

    def __post_init__(self) -> None:
        self.random = Random(f"night {self.seed}")
        self.clock = VirtualClock(self.start)
        fleet_of = sample_volumes(self.volumes, self.seed)
        self.cloud = SimulatedCloud(self.scenario, self.clock, self.seed, volumes=fleet_of)
        self.store = MemoryStore()
        self.notes: list[RunNoted] = []
        self.moves: list[JobMoved] = []
        self.calls = 0
        self.settings = replace(self.settings, names_unique="{run}" in self.backup_name)
        if self.operation is not Operation.BACKUP:
            self.settings = replace(self.settings, operation=self.operation, delete_errored=False)
        if self.vaults:
            self.settings = replace(self.settings, names_unique=True)
        jobs = [self._job(no, volume) for no, volume in enumerate(fleet_of, 1)]
        jobs = in_batches(jobs, self.settings.limits.per_checkpoint)
        now, deadline = self.clock.now(), self.settings.deadline
        run = Run(
            id=RUN,
            plan="night",
            cloud="simulator",
            state=RunState.RUNNING,
            settings=self.settings,
            created_at=Wall(now),
            created_cloud_at=Cloud(now + self.scenario.ahead(0.0)),
            deadline_at=None if deadline is None else Wall(now + deadline),
        )
        self.store.create_run(run, jobs)

    @property
    def vaults(self) -> bool:
        """Whether the service of the night has vaults."""
        return facts_of(Service(self.scenario.services)).vaults

    def _job(self, no: int, volume: SimVolume) -> Job:
        name, settings = self.backup_name.format(no=no, run=RUN), self.backup
        vault = None
        if self.vaults:
            name = f"night-{RUN}"
            held = vaults_of(self.cloud.project, self.scenario.vaults).values()
            vault = next((each.id for each in held if volume.id in each.volumes), None)
            settings = replace(settings, vault=vault)
        if self.operation is not Operation.BACKUP:
            volume.status = "available"
            made = self.cloud.add_backup(volume.id, name, vault_id=vault)
            settings = BackupSettings(source_backup_id=made)
        return Job(
            no=no,
            volume_id=volume.id,
            volume_name=volume.name,
            backup_name=name,
            settings=settings,
            **{"priority": self.random.choice((0, 0, 0, 5)), **self.order(no)},
        )

    def run(self) -> Night:
        """Play the night."""
        run_virtual(self._live, clock=self.clock)
        return self

    async def _live(self) -> None:
        self.before(self)
        failure: AssertionError | None = None
        async with anyio.create_task_group() as group:
            group.start_soon(self._disturb)
            try:
                await self._lives()
            except AssertionError as error:  # by itself, not in a group
                failure = error
            group.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def _disturb(self) -> None:
        """Apply the clock events that are due."""
        for at, what, seconds in sorted(self.clock_events):
            await anyio.sleep(max(0.0, at - self.clock.passed))
            if what == "set":
                self.clock.set_wall(seconds)
            else:
                self.clock.sleep_machine(seconds)

    async def _lives(self) -> None:
        for life in range(self.lives + self.stops):
            point = self.random.choice((*self.points, None)) if life < self.lives - 1 else None
            if await self._one_life(point):
                return
            await anyio.sleep(self.random.uniform(0, 200))
        raise AssertionError(f"the last life did not end: {self.store.run(RUN).reason}")

    async def _one_life(self, point: str | None) -> bool:
        """Drive the run until it ends (true), or is stopped or killed (false)."""
        self.clock.new_process()
        journal = self.store.journal(RUN)
        countdown = self.random.randint(1, 2 * self.volumes)
        crasher = Crasher(journal, self.random, point, countdown)
        real = self.service()
        other = stand_in(real, self.store.run(RUN), self.jobs(), self.clock.elapsed)
        service = MortalService(other or real, crasher)
        engine = Engine(
            run=self.store.run(RUN),
            journal=MortalJournal(journal, crasher),
            service=service,
            clock=self.clock,
            random=Random(f"engine {self.seed}"),
            listeners=[self._listen, *([other.hear] if other else [])],
            tuning=self.tuning,
            resumed=self.store.run(RUN).started_at is not None,
        )
        try:
            with mortal(crasher), anyio.fail_after(LONGEST):
                ending = await self._drive(engine)
        finally:
            self.calls += service.create_calls + service.read_calls
        if crasher.dead:
            return False
        return ending.state is RunState.ENDED

    async def _drive(self, engine: Engine) -> EngineResult:
        """Drive it, with an operator who checks now and then and opens closed gates."""
        async with anyio.create_task_group() as group:
            if self.settings.waves and self.waive:
                group.start_soon(self._attend)
            ending = await engine.drive()
            group.cancel_scope.cancel()
        return ending

    async def _attend(self) -> None:
        while True:
            await anyio.sleep(600.0)
            if self.store.run(RUN).state is RunState.PAUSED:
                self.store.ask(RUN, "unpause", {}, "operator")

    def service(self) -> CloudService:
        """The real cloud room, connected to the simulated cloud."""
        project = self.cloud.project.id
        root = "http://127.0.0.1"
        session = Session(
            Tokens(self.sign_in, self._seconds),
            self.settings.timeouts,
            workers=self.settings.limits.connections,
            transport=lambda: SimulatedTransport(self.cloud),
            now=self._seconds,
        )
        roots = {"vbs": root, "cbr": root + "/cbr", "block_storage": root + "/volume"}
        kind = service_class(Service(self.scenario.services))
        return kind(session, Endpoints(project_id=project, roots=roots))

    def _seconds(self) -> float:
        return float(self.clock.elapsed())

    async def sign_in(self) -> Token:
        """A password sign-in, as keystoneauth would do it."""
        user = self.cloud.operator
        body = {
            "auth": {
                "identity": {
                    "methods": ["password"],
                    "password": {"user": {"id": user.id, "password": user.password}},
                },
                "scope": {"project": {"id": self.cloud.project.id}},
            }
        }
        transport = SimulatedTransport(self.cloud)
        request = httpx.Request(
            "POST",
            "http://127.0.0.1/identity/v3/auth/tokens",
            content=json.dumps(body),
            extensions={"timeout": {"read": 10.0}},
        )
        asked_at = float(self.clock.elapsed())
        try:
            response = await transport.handle_async_request(request)
            await response.aread()
        except httpx.TransportError as error:
            raise CloudUnavailable(str(error)) from error
        if response.status_code >= 500 or response.status_code in (403, 404, 413, 429, 498):
            raise CloudUnavailable(f"identity says {response.status_code}")
        if response.status_code != 201:
            raise SignInError(f"identity says {response.status_code}")
        life = self.scenario.token_life
        value = response.headers["x-subject-token"]
        return Token(value=value, got_at=float(self.clock.elapsed()), expires_at=asked_at + life)

    def _listen(self, event: JobMoved | RunNoted) -> None:
        if isinstance(event, RunNoted):
            self.notes.append(event)
        else:
            self.moves.append(event)

    def jobs(self) -> list[Job]:
        return list(self.store.jobs(RUN))

    def states(self) -> dict[JobState, int]:
        return {s: n for s in JobState if (n := sum(j.state is s for j in self.jobs()))}

    def summary(self) -> dict[str, Any]:
        return self.cloud.summary()


@contextmanager
def mortal(crasher: Crasher) -> Iterator[None]:
    """Swallow the exceptions that the death of an engine causes, and nothing else."""
    try:
        yield
    except BaseException:
        if not crasher.dead:
            raise


def check(night: Night) -> None:
    """Check the promises against the cloud's own ledger."""
    # A run may end while a backup that it proved absent is still hidden: only later does the ledger
    # record that it never appeared.
    night.cloud.settle(night.clock.now() + 86400.0)
    nothing_lost(night)
    nothing_twice(night)
    never_over_the_limit(night)


def nothing_lost(night: Night) -> None:
    """Every volume ended: with exactly one live backup, or with a reason and none."""
    live = night.cloud.live_backups()
    for job in night.jobs():
        backups = live.get(job.volume_id, [])
        if job.state is JobState.SUCCEEDED:
            assert len(backups) == 1, f"job {job.no} succeeded with {backups}"
            assert job.backup_id in (None, backups[0]), f"job {job.no} names another's backup"
        else:
            assert job.state is JobState.FAILED, f"job {job.no} is {job.state}"
            doubt = job.code == "uncertain" and not night.settings.names_unique
            assert doubt or not backups, f"job {job.no} failed ({job.code}), yet {backups} live"
            assert job.message, f"job {job.no} failed without a reason"


def nothing_twice(night: Night) -> None:
    """No create reached the cloud for a volume whose backup was in progress or done.

    One exception: a backup that no list ever showed, because its cloud job failed too early. The
    cloud itself must have refused that create, unless it has no guard; the check before every new
    create relies on it.
    """
    unguarded = night.vaults and night.scenario.vaults.busy is Busy.NOTHING
    rows = sorted(night.cloud.ledger.rows, key=lambda row: row["at"])
    never_seen = {r["backup"] for r in rows if r["what"] == "ended" and r["status"] == "absent"}
    good: dict[str | None, str] = {}
    for row in rows:
        volume = row.get("volume")
        if row["what"] == "create" and row["outcome"] != "unseen":
            hidden = good.get(volume) in never_seen
            hidden = hidden and (unguarded or row["outcome"] == "refused")
            assert hidden or volume not in good, f"{volume} was sent again at {row['at']}: {row}"
            if row["outcome"] == "accepted":
                good[volume] = row["backup"]
        elif row["what"] == "ended" and row["status"] != "available":
            good.pop(volume, None)


def never_over_the_limit(night: Night) -> None:
    """No window has more creates than the rate, and there are never more backups at once than the
    cap."""
    limits = night.settings.limits
    peak = night.cloud.ledger.peak_creates(limits.rate.per)
    assert peak <= limits.rate.count, f"{peak} creates in {limits.rate.per} s"
    # A backup that no list ever showed was proved absent, and its slot given to another.
    at_once = peak = 0
    hidden = {r["backup"] for r in night.cloud.ledger.rows if r.get("status") == "absent"}
    # Nor can a place be kept for a backup of which it cannot be told whose it is.
    unsure = {job.volume_id for job in night.jobs() if job.code == "uncertain"}
    for row in sorted(night.cloud.ledger.rows, key=lambda row: (row["at"], row["what"] != "ended")):
        if row.get("backup") not in (None, *hidden) and row["volume"] not in unsure:
            at_once += {"create": 1, "ended": -1}.get(row["what"], 0)
            peak = max(peak, at_once)
    assert peak <= limits.in_flight, f"{peak} backups at once"


def with_settings(**changes: Any) -> Settings:
    """Settings for nights: `limits`, `retry`, `timeouts` as dicts of changes."""
    settings = Settings(
        limits=Limits(rate=Rate(count=5), in_flight=10),
        timeouts=Timeouts(connect=10.0, read=60.0),
        retry=Retry(),
    )
    for part in ("limits", "retry", "timeouts"):
        if part in changes:
            settings = replace(
                settings, **{part: replace(getattr(settings, part), **changes[part])}
            )
    plain = {k: v for k, v in changes.items() if k not in ("limits", "retry", "timeouts")}
    return replace(settings, **plain)
