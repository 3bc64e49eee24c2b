"""Plays one schedule: the real engine from its first life to the end of the run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import anyio

from tests.model import steps
from tests.model.cloud import Asked, Made, Said, SmallCloud, Wire
from tests.model.harness import RUN, Clocks, Kept, Life, MemoryKept, drive, engine_of, rest
from tests.model.steps import ANSWERS, COSTS, GAP, HOUR, LATE, OPENINGS, STALE, Opening
from vbsbatch.model import (
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
)

VOLUMES = ("volume-1", "volume-2")
PER = 2.0
"""Minimum seconds between two creates."""
USUAL_LENGTH = 150.0
"""Seconds that a night without faults takes, including a sweep and slack."""
PATIENCE = 7500.0
"""Seconds beyond its bound for which a night is watched: late events may show more violations."""
STOPS = 4
"""How many times the operator resumes a stopped run."""


class EngineKilled(BaseException):
    """What `kill -9` looks like from the inside."""


class Merged(BaseException):
    """This state was reached before: the rest is known."""


class CannotPlay(Exception):
    """A schedule names a step that is impossible at that point."""


@dataclass(kw_only=True)
class Night:
    """One schedule and its result. `probe` is called once, after all its steps."""

    opening: str
    schedule: tuple[str, ...]
    kept: Callable[[Clocks], Kept] = lambda clocks: MemoryKept()
    probe: Callable[[Night, Asked], None] | None = None

    clocks: Clocks = field(default_factory=Clocks)
    options: tuple[str, ...] = ()
    """The possible next steps after the last one."""
    told: list[str] = field(default_factory=list)
    """What happened, in words, with the seconds since the start."""
    earned: dict[str, int] = field(default_factory=dict)
    """Failures that are each volume's own fault, and may be charged to it."""
    stops: list[str] = field(default_factory=list)
    """Why an engine stopped its run."""
    unended: bool = False
    engine: Any = None
    journal: Any = None
    under_way: list[tuple[float, Said]] = field(default_factory=list)
    """Answers under way, and when they arrive; all take equally long."""
    moves: list[JobMoved] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.how: Opening = OPENINGS[self.opening]
        self.steps = (*self.how.steps, *self.schedule)
        self.began = self.clocks.true()
        self.place = 0
        self.lives = 0
        self.dead = False
        self.merged = False
        self._probed = False
        self._death: Callable[[], None] = lambda: None

    # The night

    def play(self) -> Night:
        """Play the night."""
        self.clocks.run(self._live)
        return self

    async def _live(self) -> None:
        self.cloud = SmallCloud(self.clocks, list(VOLUMES), self.how.service)
        self.wire = Wire(self.cloud, self._decide)
        self.store = self.kept(self.clocks)
        self.store.create(self._run(), self._jobs())
        self.first_copy = self.last_copy = self.recent_copy = self.store.copy()
        try:
            self.due = self.bound
            with anyio.move_on_after(self.bound + PATIENCE) as scope:
                await self._lives()
            self.unended = scope.cancelled_caught
            self.late = self.clocks.timers() - self.due
            self.cloud.advance()
            self.jobs = self.store.jobs()
        finally:
            self.store.close()

    async def _lives(self) -> None:
        while not await self._one_life() and not self.merged and len(self.stops) <= STOPS:
            if self.dead:
                self._death()
            await rest(GAP)

    async def _one_life(self) -> bool:
        """Drive the run; true when it has ended."""
        self.lives += 1
        self.dead, self._death = False, lambda: None
        self.under_way.clear()
        async with self.store.journal() as self.journal:
            life = Life(
                clocks=self.clocks,
                kept=self.store,
                journal=self.journal,
                transport=self.wire,
                sign_in=lambda _: self.cloud.sign_in(),
                listen=self._listen,
                first=self.lives == 1,
            )
            self.engine = engine_of(life)
            try:
                ending = await drive(self.engine)
            except BaseException:
                if not (self.dead or self.merged):
                    raise
                return False
        if ending.state is RunState.ENDED:
            return True
        self._stopped(ending.reason or "")
        return False

    def _stopped(self, reason: str) -> None:
        self.tell(f"the run stopped: {reason}")
        self.stops.append(reason)
        self.due += COSTS["kill"]

    @property
    def slack(self) -> float:
        """Seconds until the night exceeds its bound."""
        return self.due - self.clocks.timers()

    @property
    def bound(self) -> float:
        """Seconds of the timers within which the run has to end."""
        return USUAL_LENGTH + sum(COSTS[step] for step in self.steps)

    def tell(self, words: str) -> None:
        """Record what happened."""
        self.told.append(f"{self.clocks.timers():7.1f} s  {words}")

    def _listen(self, event: JobMoved | RunNoted) -> None:
        if isinstance(event, RunNoted):
            self.tell(f"engine: {event.text}")
            return
        self.moves.append(event)
        words = f"engine: job {event.job.no} {event.came_from} -> {event.job.state}"
        self.tell(words + (f" ({event.note})" if event.note else ""))

    # Decisions

    async def _decide(self, asked: Asked) -> Said:
        if self.dead or self.merged:
            raise EngineKilled
        while True:
            step = self._next(asked)
            if step in ANSWERS[asked.kind]:
                break
            self._happen(step, asked)
        said = self._answer(step, asked)
        self.under_way.append((self.clocks.timers() + said.after, said))
        await anyio.sleep(said.after)
        self.under_way.pop(0)
        if self.dead or self.merged:
            raise EngineKilled
        return said

    def _next(self, asked: Asked) -> str:
        """Return the step that the schedule names, or the one without a fault."""
        if self.place < len(self.steps):
            step = self.steps[self.place]
            self.place += 1
            if step not in self._possible(asked):
                all_of_them = " ".join(self.steps)
                raise CannotPlay(f"step {self.place} of {all_of_them}: no {step} at {asked.kind}")
            self.tell(f"{_words(asked)}: {step}")
            if step not in ("last-copy", "first-copy"):
                self.last_copy, self.recent_copy = self.recent_copy, self.store.copy()
            return step
        if not self._probed:
            self._probed = True
            self.options = self._possible(asked)
            if self.probe is not None:
                self.probe(self, asked)
            if self.merged:
                raise EngineKilled
        return ANSWERS[asked.kind][0]

    def _possible(self, asked: Asked) -> tuple[str, ...]:
        making = self.cloud.making() is not None
        waits = any(job.state is JobState.WAITING for job in self.store.jobs())
        cannot = set()
        if not making:
            cannot |= {"ends-well", "ends-badly"}
        if asked.kind == "list":
            cannot |= {"kill-sent"}
        if not waits or "cancel" in self.store.unanswered():
            cannot |= {"command-given-up", "command-orphaned"}
        if self.how.plain_names and self.clocks.cloud_set < 0:
            cannot |= {"cloud+1h"}  # reset before any component noticed: new backups seem old
        meanwhile = (step for step in self.how.meanwhile if step not in cannot)
        return (*ANSWERS[asked.kind], *meanwhile)

    # Answers

    def _answer(self, step: str, asked: Asked) -> Said:
        if asked.kind == "list":
            return self._list(step)
        if step not in steps.NO_ATTEMPT:
            for volume in asked.volumes:
                self._charge(volume)
        match step:
            case "accepted":
                named = self.cloud.do(asked)
                return Said(status=202, content=self.cloud.accepted(asked, named))
            case "refused":
                return Said(status=400, content=self.cloud.refusal())
            case "lost-after":
                self.cloud.do(asked)
            case "late":
                self.cloud.late.append((self.clocks.true() + LATE, asked))
            case "unauthorized":
                self.cloud.revoke()
        return Said(lost=True)

    def _list(self, step: str) -> Said:
        match step:
            case "stale":
                return Said(content=self.cloud.listed(ago=STALE))
            case "failing":
                return Said(status=503, content={"error": {"message": "out of order"}})
            case "repeated":
                return Said(content=self.cloud.repeated())
            case "unauthorized":
                self.cloud.revoke()
        return Said(content=self.cloud.listed())

    def _charge(self, volume: str) -> None:
        self.earned[volume] = self.earned.get(volume, 0) + 1

    # What happens meanwhile

    def _happen(self, step: str, asked: Asked) -> None:
        match step:
            case "ends-well" | "ends-badly":
                made = self.cloud.making()
                assert made is not None
                self._end(made, step)
            case "wall+1h" | "wall-1h":
                self.clocks.wall_set += HOUR if step == "wall+1h" else -HOUR
            case "cloud+1h" | "cloud-1h":
                self.cloud.advance()
                self.clocks.cloud_set += HOUR if step == "cloud+1h" else -HOUR
            case "suspend":
                self.clocks.suspended += HOUR
            case "command-given-up":
                self.store.ask_and_give_up("cancel", {"all": True})
            case _:
                self._kill(step, asked)

    def _end(self, made: Made, step: str) -> None:
        self.cloud.end(made, "available" if step == "ends-well" else "error")
        if step == "ends-badly":
            self._charge(made.volume)

    def _kill(self, step: str, asked: Asked) -> None:
        if step == "kill-sent":
            self.cloud.do(asked)
        if step == "command-orphaned":
            self.store.ask("cancel", {"all": True})
        if step in ("first-copy", "last-copy"):
            copy = self.first_copy if step == "first-copy" else self.last_copy
            self._death = lambda: self.store.put_back(copy)
        self.dead = True
        self.store.crash(self.journal)
        raise EngineKilled

    # What is backed up

    def _settings(self) -> Settings:
        operation = Operation(self.how.operation)
        return Settings(
            limits=Limits(
                rate=Rate(count=1, per=PER),
                in_flight=2,
                connections=2,
                per_checkpoint=self.how.together,
            ),
            retry=Retry(settle=self.how.settle, base=2.0, cap=8.0, later_every=10.0, attempts=6),
            names_unique=not self.how.plain_names,
            service=Service(self.how.service),
            operation=operation,
            delete_errored=operation is Operation.BACKUP,
        )

    def _run(self) -> Run:
        return Run(
            id=RUN,
            plan="model",
            cloud="small",
            state=RunState.RUNNING,
            settings=self._settings(),
            created_at=self.clocks.wall(),
            created_cloud_at=Cloud(self.clocks.cloud()),
        )

    def _jobs(self) -> Iterable[Job]:
        for no, volume in enumerate(VOLUMES, 1):
            name = f"n-{no}" if self.how.plain_names else f"n-{no}-{RUN}"
            settings = BackupSettings()
            if self.how.service == "cbr":
                name, settings = f"n-{RUN}", BackupSettings(vault="vault")
            if self.how.operation == "restore":
                settings = BackupSettings(source_backup_id=self.cloud.seed(volume, name))
            yield Job(
                no=no, volume_id=volume, volume_name=volume, backup_name=name, settings=settings
            )


def _words(asked: Asked) -> str:
    return asked.kind if asked.volume is None else f"{asked.kind} of {' and '.join(asked.volumes)}"
