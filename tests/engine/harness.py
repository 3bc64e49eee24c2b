"""A harness for the engine: a scripted cloud, the in-memory store, and virtual time."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import count
from random import Random
from typing import Any

import anyio

from vbsbatch.engine import Engine, EngineResult, Tuning
from vbsbatch.errors import CloudError, CloudUnavailable, VbsbatchError
from vbsbatch.model import (
    Answer,
    Backup,
    BackupPage,
    Cloud,
    CloudJob,
    CloudJobStatus,
    Elapsed,
    Job,
    JobMoved,
    JobState,
    Limits,
    Retry,
    Run,
    RunNoted,
    RunState,
    Settings,
)
from vbsbatch.simulator.virtual import VirtualClock
from vbsbatch.simulator.virtual import run as run_virtual
from vbsbatch.store.memory import MemoryStore

NOW = 1_790_000_000.0
HIDDEN = 1e12
"""Later than anything: a backup that no list ever shows."""
FAILS: dict[str, Any] = {
    "end": "error",
    "job_end": CloudJobStatus.FAIL,
    "code": "VolumeBackup.0064",
}
"""Settings that make a backup end in `error`."""
FAST = Settings(
    limits=Limits(in_flight=10, connections=4), retry=Retry(base=1.0, cap=4.0, settle=10.0)
)


def volume(no: int) -> str:
    return f"6ba7b810-9dad-11d1-80b4-{no:012x}"


def a_job(no: int = 1, **fields: Any) -> Job:
    given: dict[str, Any] = {
        "no": no,
        "volume_id": volume(no),
        "volume_name": f"db-{no:03}",
        "backup_name": f"nightly-{no}",
    }
    return Job(**(given | fields))


def settings(**parts: Any) -> Settings:
    """Settings for a harness, with `limits` and `retry` as dicts of changes."""
    for part in ("limits", "retry"):
        if part in parts:
            parts[part] = replace(getattr(FAST, part), **parts[part])
    return replace(FAST, **parts)


@dataclass(kw_only=True)
class Made:
    """A backup in the scripted cloud."""

    id: str
    cloud_job_id: str
    name: str
    volume_id: str
    made_at: float
    ready_at: float
    visible_at: float
    end: str = "available"
    """The status it has from `ready_at` on."""
    job_end: CloudJobStatus = CloudJobStatus.SUCCESS
    code: str | None = None
    forgotten: bool = False
    """The cloud no longer knows the cloud job."""
    tells_id: bool = True
    """Whether the cloud job names its backup."""


Action = Callable[[], Coroutine[Any, Any, None]]
Step = Answer | Callable[[Job], Answer]


class ScriptedCloud:
    """A backup service that answers creates from a script, and accepts all others."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.took = 0.1
        self.duration = 30.0
        self.hidden_for = 0.0
        self.page_size = 1000
        self.clock_ahead = 0.0
        self.script: defaultdict[int, deque[Step]] = defaultdict(deque)
        self.always: Step | None = None
        self.creates: list[tuple[float, int]] = []
        self.batches: list[list[int]] = []
        """The jobs of each create, by number."""
        self.under_way = Counter[str]()
        self.most_under_way = 0
        self.reads: list[tuple[float, str, str | None]] = []
        self.made: dict[str, Made] = {}
        self._numbers = count(1)
        self.deleted: list[str] = []
        self.renewals: list[float] = []
        self.calls_before = (0, 0)
        """Calls of earlier engines: each engine counts only its own."""
        self.failing: Callable[[str, str | None], Exception | None] = lambda kind, what: None
        """Called for every read with its kind and subject, for `ready` and for `renew`."""

    @property
    def create_calls(self) -> int:
        return len(self.creates) - self.calls_before[0]

    @property
    def read_calls(self) -> int:
        return len(self.reads) - self.calls_before[1]

    def make(self, job: Job, **fields: Any) -> Made:
        """Start a backup of the job's volume, whatever the answer will be."""
        now, number = self.clock.now(), next(self._numbers)
        given: dict[str, Any] = {
            "id": f"backup-{number}",
            "cloud_job_id": f"cloud-job-{number}",
            "name": job.backup_name,
            "volume_id": job.volume_id,
            "made_at": now + self.clock_ahead,
            "ready_at": now + self.duration,
            "visible_at": now + self.hidden_for,
        }
        made = Made(**(given | fields))
        self.made[made.id] = made
        return made

    def accept(self, job: Job, **fields: Any) -> Answer:
        return Answer(status=200, cloud_job_id=self.make(job, **fields).cloud_job_id)

    def lose(self, job: Job, **fields: Any) -> Answer:
        """Accept, and lose the answer."""
        self.make(job, **fields)
        return Answer(message="the connection was reset")

    async def ready(self) -> None:
        self._perhaps_fail("ready", None)

    async def create_all(self, jobs: Sequence[Job], worker: int) -> Sequence[Answer]:
        self.creates.append((self.clock.now(), jobs[0].no))
        self.batches.append([job.no for job in jobs])
        volumes = [job.volume_id for job in jobs]
        self.under_way.update(volumes)
        self.most_under_way = max(self.most_under_way, *map(self.under_way.__getitem__, volumes))
        try:
            answers = [self._next_step(job) for job in jobs]
            await anyio.sleep(self.took)
        finally:
            self.under_way.subtract(volumes)
        return answers

    def _next_step(self, job: Job) -> Answer:
        steps = self.script[job.no]
        step = steps.popleft() if steps else self.always or self.accept
        return step if isinstance(step, Answer) else step(job)

    async def renew_token(self, used_since: Elapsed) -> None:
        self._perhaps_fail("renew", None)
        self.renewals.append(self.clock.now())

    async def backups(self, page: str | None = None) -> BackupPage:
        await self._read("backups", page)
        now, first = self.clock.now(), int(page or 0)
        listed = sorted(
            (self._as_listed(m) for m in self.made.values() if m.visible_at <= now),
            key=lambda backup: -float(backup.created_at or 0.0),
        )
        after = first + self.page_size
        following = str(after) if after < len(listed) else None
        return BackupPage(backups=tuple(listed[first:after]), next=following)

    initial_scan = backups

    async def backup(self, backup_id: str) -> Backup | None:
        await self._read("backup", backup_id)
        made = self.made.get(backup_id)
        return None if made is None or made.visible_at > self.clock.now() else self._as_listed(made)

    async def cloud_job(self, cloud_job_id: str) -> CloudJob | None:
        await self._read("cloud_job", cloud_job_id)
        made = next((m for m in self.made.values() if m.cloud_job_id == cloud_job_id), None)
        if made is None or made.forgotten:
            return None
        over = made.ready_at <= self.clock.now()
        return CloudJob(
            id=cloud_job_id,
            status=made.job_end if over else CloudJobStatus.RUNNING,
            backup_id=made.id if made.tells_id else None,
            code=made.code if over else None,
        )

    async def delete_backup(self, backup_id: str) -> None:
        await self._read("delete", backup_id)
        self.deleted.append(backup_id)
        self.made.pop(backup_id, None)

    def asked(self, kind: str) -> list[tuple[float, str | None]]:
        """When reads of one kind were sent, and for which page or id."""
        return [(at, what) for at, which, what in self.reads if which == kind]

    async def _read(self, kind: str, what: str | None) -> None:
        self.reads.append((self.clock.now(), kind, what))
        await anyio.sleep(0.05)
        self._perhaps_fail(kind, what)

    def _perhaps_fail(self, kind: str, what: str | None) -> None:
        error = self.failing(kind, what)
        if error is not None:
            raise error

    def _as_listed(self, made: Made) -> Backup:
        return Backup(
            id=made.id,
            name=made.name,
            volume_id=made.volume_id,
            status=made.end if made.ready_at <= self.clock.now() else "creating",
            created_at=Cloud(float(int(made.made_at))),
        )


class EngineHarness:
    """One run of a few volumes on the scripted cloud."""

    def __init__(
        self,
        volumes: int | Iterable[Job] = 3,
        settings: Settings = FAST,
        *,
        beside: EngineHarness | None = None,
        run_id: str = "run-1",
        tuning: Tuning | None = None,
        **run: Any,
    ) -> None:
        jobs = [a_job(n) for n in range(1, volumes + 1)] if isinstance(volumes, int) else volumes
        if beside is not None:  # backups of another run have other names
            jobs = [replace(job, backup_name=f"{run_id}-{job.no}") for job in jobs]
        self.clock: VirtualClock = VirtualClock(NOW) if beside is None else beside.clock
        self.cloud: ScriptedCloud = ScriptedCloud(self.clock) if beside is None else beside.cloud
        self.store: MemoryStore = MemoryStore() if beside is None else beside.store
        self.run_id = run_id
        self.tuning = tuning or Tuning()
        self.events: list[JobMoved | RunNoted] = []
        deadline = settings.deadline
        given: dict[str, Any] = {
            "id": run_id,
            "plan": "nightly",
            "cloud": "test",
            "state": RunState.RUNNING,
            "settings": settings,
            "created_at": self.clock.now(),
            "deadline_at": None if deadline is None else self.clock.now() + deadline,
        }
        self.store.create_run(Run(**(given | run)), jobs)

    def new_engine(self) -> Engine:
        """Create the next engine of the run."""
        self.journal = self.store.journal(self.run_id)
        self.cloud.calls_before = (len(self.cloud.creates), len(self.cloud.reads))
        self.engine = Engine(
            run=self.store.run(self.run_id),
            journal=self.journal,
            service=self.cloud,
            clock=self.clock,
            random=Random(1),
            listeners=[self.events.append],
            tuning=self.tuning,
            resumed=self.store.run(self.run_id).started_at is not None,
        )
        return self.engine

    def drive(self, meanwhile: Action | None = None) -> EngineResult:
        """Drive the run to its end or stop, while something else happens."""
        return run_virtual(self.driven, meanwhile, clock=self.clock)

    async def driven(self, meanwhile: Action | None = None) -> EngineResult:
        engine, failure = self.new_engine(), None
        async with anyio.create_task_group() as group:
            if meanwhile is not None:
                group.start_soon(meanwhile)
            try:
                with anyio.fail_after(30 * 3600.0):
                    ending = await engine.drive()
            except VbsbatchError as error:
                failure = error
            group.cancel_scope.cancel()
        if failure is not None:
            raise failure
        return ending

    def alone(self, act: Action) -> None:
        """Do something on the harness's clock while no engine runs."""
        run_virtual(act, clock=self.clock)

    async def ask(self, verb: str, **argument: Any) -> str:
        """Send a command to the engine and wait for its result."""
        await anyio.sleep(0.01)  # the engine has begun: it withdraws earlier commands
        number = self.store.ask(self.run_id, verb, argument, "operator")
        with anyio.fail_after(60.0):
            while (result := self.store.command_result(number)) is None:
                await anyio.sleep(0.25)
                await self.journal.flush()
        return result

    def jobs(self) -> list[Job]:
        return list(self.store.jobs(self.run_id))

    def job(self, no: int = 1) -> Job:
        return self.store.held.runs[self.run_id].jobs[no]

    def states(self) -> list[JobState]:
        return [job.state for job in self.jobs()]

    def path(self, no: int = 1) -> list[str]:
        """The states a job went through after its claims, in order."""
        moves = [e for e in self.events if isinstance(e, JobMoved) and e.job.no == no]
        return [str(move.job.state) for move in moves]

    def notes(self, kind: str) -> list[str]:
        return [e.text for e in self.events if isinstance(e, RunNoted) and e.kind == kind]

    def sent(self, no: int | None = None) -> list[float]:
        """When creates were sent, in seconds since the harness was built."""
        return [at - NOW for at, which in self.cloud.creates if no in (None, which)]


def accepting(stage: EngineHarness, **fields: Any) -> Any:
    """A step that accepts the create, with something special about its backup."""
    return lambda job: stage.cloud.accept(job, **fields)


def failing(
    stage: EngineHarness, *kinds: str, until: float = 1e12, what: set[str] | None = None
) -> None:
    """Until then, reads of these kinds find the cloud unavailable."""

    def fail(kind: str, subject: str | None) -> CloudError | None:
        concerned = kind in kinds and (what is None or subject in what)
        over = stage.clock.passed >= until
        return CloudUnavailable("503: no") if concerned and not over else None

    stage.cloud.failing = fail
