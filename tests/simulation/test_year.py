"""A year of nights of one plan with retention, in virtual time: kills, missed nights, pins.

Everything is real but time, the store in memory and the cloud. After each night the cloud's own
ledger is compared with the promises: no deletion of what the rules keep, of the last good backup of
a volume, of a pinned one, of one that is not ours or of a run that has not ended, of one that
another builds on; nothing is made or deleted twice; and where a night came to its end, what is left
is what the rules say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from inspect import iscoroutinefunction
from random import Random
from typing import Any

import anyio
import pytest

from vbsbatch.api.driving import Machine, drive
from vbsbatch.api.retention import is_due
from vbsbatch.cloud.service import CloudService
from vbsbatch.engine import Tuning
from vbsbatch.model import (
    BackupSettings,
    Cloud,
    Job,
    JobState,
    Limits,
    Operation,
    Pin,
    Polling,
    Rate,
    Retention,
    Run,
    RunState,
    Service,
    Settings,
    Wall,
    Window,
)
from vbsbatch.policy.retention import kept
from vbsbatch.simulator import BackupScript, Scenario, Services
from vbsbatch.simulator.project_state import SimBackup
from vbsbatch.simulator.virtual import run as run_virtual
from vbsbatch.store.memory import MemoryJournal, MemoryStore

from .night import EngineKilled, Night

DAY = 86400.0
ZONE = "Europe/Berlin"
RULES = Retention(last=3, daily=5, weekly=3, monthly=4, timezone=ZONE)
PATIENT = Tuning(poll=600.0, heartbeat=3600.0)

BEFORE_STORE = ("create_run", "set_retained", "note", "cancel")
BEFORE_JOURNAL = ("claim", "record", "flush", "run_state")
BEFORE_CLOUD = ("backups", "initial_scan", "backup", "create_all")


@dataclass
class Killer:
    """Kills the process when it comes to any of the points for the n-th time, before or after."""

    random: Random
    countdown: int = 0
    """0: never."""
    dead: bool = False
    journals: list[MemoryJournal] = field(default_factory=list)

    def at(self) -> None:
        if self.dead:
            raise EngineKilled
        self.countdown -= 1
        if self.countdown == 0:
            self.dead = True
            for journal in self.journals:
                journal.crash(keep=self.random.randint(0, journal.pending))
            raise EngineKilled


class Mortal:
    """Anything, with calls at which the process may die."""

    def __init__(self, real: Any, killer: Killer, points: tuple[str, ...]) -> None:
        self.real, self.killer, self.points = real, killer, points

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.real, name)
        if name not in self.points:
            return found

        def plain(*words: Any, **how: Any) -> Any:
            self.killer.at()
            answer = found(*words, **how)
            self.killer.at()
            return answer

        async def waited(*words: Any, **how: Any) -> Any:
            self.killer.at()
            answer = await found(*words, **how)
            self.killer.at()
            return answer

        return waited if iscoroutinefunction(found) else plain


class MortalStore(Mortal):
    @asynccontextmanager
    async def journal(self, run_id: str) -> AsyncIterator[Any]:
        async with self.real.journal(run_id) as journal:
            self.killer.journals.append(journal)
            yield Mortal(journal, self.killer, BEFORE_JOURNAL)


class Year:
    """One plan, its nights, and what was done to its backups meanwhile."""

    def __init__(self, seed: int, service: Services, rules: Retention, *, volumes: int = 1) -> None:
        self.random = Random(f"year {seed}")
        script = BackupScript(duration=(20.0, 40.0), delete=(1.0, 5.0))
        self.night = Night(
            seed=seed, volumes=volumes, scenario=Scenario(backups=script, services=service)
        )
        self.cloud, self.clock = self.night.cloud, self.night.clock
        self.service, self.rules = Service(service), rules
        self.store = MemoryStore(clock=self.clock.wall)
        self.volumes = list(self.cloud.project.volumes.values())
        self.settings = Settings(
            limits=Limits(rate=Rate(count=5), in_flight=10),
            service=self.service,
            retention=rules,
            polling=Polling.SPARING,
            window=Window(opens=20 * 60, closes=19 * 60, timezone=ZONE),
        )
        self.foreign = 0
        self.deletions = 0
        self.kills = 0
        self.whole_nights = 0

    def play(self, nights: int) -> Year:
        run_virtual(self._nights, nights, clock=self.clock)
        return self

    async def _nights(self, nights: int) -> None:
        for number in range(nights):
            begun_at = self.clock.now()
            if self.random.random() > 0.07:  # else nobody starts it
                await self._one(number)
            if self.random.random() < 0.1:
                self._others()
            rest = begun_at + DAY + self.random.uniform(-3600, 3600) - self.clock.now()
            await anyio.sleep(max(rest, 60.0))

    async def _one(self, number: int) -> None:
        """One night: it may be killed several times, and may be left as it is then."""
        for old in self.store.runs():
            if old.state is not RunState.ENDED and old.settings.operation is Operation.BACKUP:
                await self._one_life(old, 0)
        run = self._begin(number)
        there = {backup.id: backup for backup in self._available()}
        pins, seen = self.store.pins(), len(self.cloud.ledger.rows)
        for _ in range(self.random.choice((1, 1, 2, 4))):
            killed = self.random.randint(1, 60) if self.random.random() < 0.5 else 0
            await self._one_life(run, killed)
        if self.random.random() < 0.85:
            await self._one_life(run, 0)
            left = self.store.run(run.id)
            assert left.state is RunState.ENDED, left.reason
            assert not is_due(self.store, left)
            self._check_what_is_left(run)
            self.whole_nights += 1
        new = [row for row in self.cloud.ledger.rows[seen:] if row["what"] == "delete"]
        self._check_deletions([row["backup"] for row in new], there, pins)
        self.deletions += len(new)

    def _begin(self, number: int) -> Run:
        """The plan is frozen: a full backup each week, increments between."""
        now = self.clock.wall()
        run_id = self.store.new_run_id(now)
        new = Run(
            id=run_id,
            plan="nightly",
            cloud="simulator",
            project_id=self.cloud.project.id,
            state=RunState.RUNNING,
            settings=self.settings,
            created_at=now,
            created_cloud_at=Cloud(self.clock.now()),
        )
        settings = BackupSettings(full=number % 7 == 0, full_if_no_parent=True)
        jobs = [
            Job(
                no=no,
                volume_id=volume.id,
                volume_name=volume.name,
                backup_name=f"nightly-{volume.name}-{run_id}",
                settings=settings,
            )
            for no, volume in enumerate(self.volumes, 1)
        ]
        self.store.create_run(new, jobs)
        return new

    async def _one_life(self, run: Run, killed: int) -> None:
        """A process that begins or resumes the run, and perhaps dies."""
        found = self.store.run(run.id)
        if found.state is RunState.ENDED and not is_due(self.store, found):
            return
        self.clock.new_process()
        killer = Killer(self.random, killed)
        real: CloudService = self.night.service()
        real.changes = Mortal(real.changes, killer, ("delete",))  # type: ignore[assignment]
        service: Any = Mortal(real, killer, BEFORE_CLOUD)
        store: Any = MortalStore(self.store, killer, BEFORE_STORE)
        machine = Machine(clock=self.clock, random=self.random, tuning=PATIENT)
        with survived(killer), anyio.fail_after(3 * DAY):
            resumed = found.started_at is not None
            await drive(store, found, service, resumed=resumed, machine=machine)
        self.kills += killer.dead
        await anyio.sleep(self.random.uniform(0, 600))

    def _others(self) -> None:
        """What people do by day: pins, and backups of their own."""
        volume = self.random.choice(self.volumes)
        if self.random.random() < 0.3 and self.foreign < 4:
            self.cloud.add_backup(volume.id, "by hand", age=1.0)
            self.foreign += 1
            return
        runs = [run for run in self.store.runs() if run.settings.operation is Operation.BACKUP]
        run = self.random.choice(runs[:20])
        jobs = [job for job in self.store.jobs(run.id) if job.backup_id is not None]
        if not jobs or self.random.random() < 0.3:
            for pin in self.store.pins()[:1]:
                self.store.release(pin.run_id, pin.backup_id)
            return
        whole = self.random.random() < 0.2
        now = self.clock.wall()
        self.store.pin(
            Pin(
                run_id=run.id,
                backup_id=None if whole else self.random.choice(jobs).backup_id,
                until=Wall(float(now) + self.random.uniform(1, 60) * DAY),
                pinned_at=now,
                pinned_by="somebody",
            )
        )

    # What must hold

    def _available(self) -> list[SimBackup]:
        now = self.clock.now()
        return [each for each in self.cloud.project.order if each.status(now) == "available"]

    def _makers(self) -> dict[str, str]:
        """By backup, the run that made it."""
        ids = {backup.id for backup in self.cloud.project.order}
        return {str(job.backup_id): run_id for run_id, job in self.store.made(ids)}

    def _pinned(self, pins: list[Pin], makers: dict[str, str]) -> set[str]:
        held = [pin for pin in pins if pin.holds(self.clock.wall())]
        return {
            backup_id
            for backup_id, run_id in makers.items()
            if any(p.run_id == run_id and p.backup_id in (None, backup_id) for p in held)
        }

    def _by_rule(self, backups: list[SimBackup], makers: dict[str, str]) -> set[str]:
        """What the rules keep of these backups."""
        found: set[str] = set()
        for volume in self.volumes:
            ours = [b for b in backups if b.volume.id == volume.id and b.id in makers]
            dated = {backup.id: backup.created_at for backup in ours}
            told = kept(dated, self.rules, now=self.clock.now())
            found |= {backup_id for backup_id, by in told.items() if by}
        return found

    def _check_deletions(
        self, deleted: list[str], there: dict[str, SimBackup], pins: list[Pin]
    ) -> None:
        """`there` is what was available when the night began."""
        makers, left = self._makers(), self._available()
        assert set(deleted) <= makers.keys(), "a backup was deleted that no run of ours made"
        assert not self._pinned(pins, makers).intersection(deleted), "a pinned one was deleted"
        states = {run.id: run.state for run in self.store.runs()}
        assert all(states[makers[each]] is RunState.ENDED for each in deleted)
        union = {**there, **{backup.id: backup for backup in left}}
        assert not self._by_rule(list(union.values()), makers).intersection(deleted)
        ours = Counter(backup.volume.id for backup in left if backup.id in makers)
        for each in deleted:
            assert ours[self.cloud.project.backups[each].volume.id], "the last good one is gone"
        parents = {backup.parent_id for backup in left}
        assert not parents.intersection(deleted), "another backup builds on what was deleted"
        everything = [row["backup"] for row in self.cloud.ledger.of("delete")]
        assert len(everything) == len(set(everything)), "a backup was deleted twice"

    def _check_what_is_left(self, run: Run) -> None:
        """Each backup of ours that is left is kept by a rule, pinned, or built on by such a one."""
        makers, left = self._makers(), self._available()
        ours = {backup.id for backup in left if backup.id in makers}
        stay = self._by_rule(left, makers) | self._pinned(self.store.pins(), makers)
        stay |= {b.id for b in left if b.id not in makers}
        states = {each.id: each.state for each in self.store.runs()}
        stay |= {each for each in ours if states[makers[each]] is not RunState.ENDED}
        if self.service is Service.CINDER:
            stay |= self._built_on(left, stay)
        done = {job.volume_id for job in self.store.jobs(run.id, states=[JobState.SUCCEEDED])}
        over = {b.id for b in left if b.id in ours - stay and b.volume.id in done}
        assert not over, f"the rules keep no more {over}"

    def _built_on(self, left: list[SimBackup], stay: set[str]) -> set[str]:
        """What the others build on, as vbsbatch can tell it: all older ones down to a full one."""
        found: set[str] = set()
        for volume in self.volumes:
            needed = False
            for backup in reversed([each for each in left if each.volume.id == volume.id]):
                stays = needed or backup.id in stay
                found |= {backup.id} if stays else set()
                needed = stays and backup.incremental
        return found


@contextmanager
def survived(killer: Killer) -> Iterator[None]:
    """Swallow what the death of the process raises, and nothing else."""
    try:
        yield
    except BaseException:
        if not killer.dead:
            raise


def nothing_made_twice(year: Year) -> None:
    """Each job of a run that succeeded has one backup, and no backup is of no job."""
    made = [row["backup"] for row in year.cloud.ledger.of("create") if row["outcome"] == "accepted"]
    jobs = [
        job.backup_id
        for run in year.store.runs()
        if run.settings.operation is Operation.BACKUP
        for job in year.store.jobs(run.id, states=[JobState.SUCCEEDED])
    ]
    assert len(jobs) == len(set(jobs))
    open_jobs = sum(
        year.store.counts(run.id).get(state, 0)
        for run in year.store.runs()
        if run.settings.operation is Operation.BACKUP
        for state in (JobState.RUNNING, JobState.UNKNOWN, JobState.SUBMITTING)
    )
    assert 0 <= len(made) - len(jobs) <= open_jobs


@pytest.mark.parametrize(("service", "nights"), [(Services.CINDER, 365), (Services.VBS, 60)])
def test_a_year_of_nights_keeps_what_the_rules_say_and_nothing_else(
    service: Services, nights: int
) -> None:
    year = Year(1, service, RULES).play(nights)
    nothing_made_twice(year)
    assert year.kills > nights // 4
    assert year.whole_nights > nights // 2
    assert year.deletions > nights // 2
