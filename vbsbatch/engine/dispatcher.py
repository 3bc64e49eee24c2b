"""Sends creates: picks the next job, decides when it may go, and handles the answer.

One worker at a time decides what to send next. It respects the pause and the circuit breaker and
takes one permit of the rate. The same worker then sends the create at once, so that no permit gets
old.

A create is sent for a batch of jobs with the same settings: of one job, unless the service makes
several backups with one request. Each job of it gets an answer of its own. The rate, the circuit
breaker, throttling and tokens concern the request: the batch's first job stands for it there.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import replace

import anyio

from vbsbatch.engine.batch import Judged, as_sent, of_request
from vbsbatch.engine.breaker import Breaker, Circuit
from vbsbatch.engine.busy_vaults import BusyVaults
from vbsbatch.engine.claimer import Claimer
from vbsbatch.engine.limiter import CreateLimiter
from vbsbatch.engine.outcome import of_answer, of_busy_vault
from vbsbatch.engine.run_context import RunContext
from vbsbatch.engine.sign_in import SignIn
from vbsbatch.engine.signal import Signal
from vbsbatch.engine.wave_gates import RECHECK, Hours
from vbsbatch.errors import CloudError, CloudUnavailable
from vbsbatch.model import Answer, Attempt, Elapsed, Job, JobState, Verdict
from vbsbatch.policy import Judgement, judge_request, named

DOUBTED, DOUBTED_FOR = 4, 30.0
"""This many refusals in a row over this many seconds count as a used-up quota, if they may also be
throttling."""


class Dispatcher:
    """Keeps the plan's `connections` workers sending while jobs are due and the limits allow it."""

    def __init__(self, work: RunContext, *, limiter: CreateLimiter) -> None:
        self.limiter = limiter
        self.hours = Hours(work.settings.window)
        self.claimer = Claimer(
            work, chunk=self._chunk, closed=self._closed, probing=lambda: self._may_probe
        )
        self._vaults = BusyVaults(work.ledger)
        self._sign_in = SignIn(
            work, unreachable=self._identity_is_down, give_back=self.claimer.give_back
        )
        self._ledger = work.ledger
        self._service = work.service
        self._clock = work.clock
        self._settings = work.settings
        self._tuning = work.tuning
        self._rules = work.rules
        self._stop = work.stop
        self.paused = False
        self._breaker = Breaker(tuning=work.tuning)
        self._outage = ""
        self._may_probe = False
        self._next_lock = anyio.Lock(fast_acquire=True)
        self._changed = Signal()
        self._awaiting: set[anyio.CancelScope] = set()
        self._excused: Counter[int] = Counter()
        self._batches: dict[int, list[int]] = {}
        """The jobs of the newest create that met an outage, by the number of the first."""
        self._doubts: list[Elapsed] = []
        """When creates were refused for possible throttling, since the last accepted one."""
        self._sent: deque[Elapsed] = deque(maxlen=256)

    async def run(self) -> None:
        """Send until cancelled; then still await and record the answers under way."""
        async with anyio.create_task_group() as group:
            group.start_soon(self.claimer.run, name="claimer")
            for number in range(self._settings.limits.connections):
                group.start_soon(self._work, number, name=f"worker {number}")

    def abort(self) -> None:
        """Stop waiting for answers: jobs whose creates are under way become unknown."""
        self.pause(True)
        for scope in self._awaiting:
            scope.cancel()
        self._awaiting.clear()

    @property
    def under_way(self) -> int:
        """How many sent creates still await their answers."""
        return len(self._awaiting)

    @property
    def outage(self) -> str | None:
        """What creates wait for, in words: a service that is down, or other runs that hold the
        volumes of all waiting jobs."""
        return self.claimer.waits_for if self._breaker.circuit is Circuit.CLOSED else self._outage

    def pause(self, paused: bool) -> None:
        """Stop or resume sending new creates; a pause gives back what was claimed ahead."""
        self.paused = paused
        if paused:
            self.claimer.give_back()
        self.wake()

    async def _work(self, worker: int) -> None:
        while True:
            await self._attempt(await self._next(), worker)

    # The next batch: one worker at a time -------------------------------------------------------

    async def _next(self) -> list[Job]:
        """Return the next batch that may be sent now."""
        # A worker that finds everything ready skips the queue. Handing a lock from worker to worker
        # costs each create a turn of the loop; at 32 connections that is a tenth of the speed.
        if (
            self._sign_in.recent
            and self.claimer
            and not self._closed()
            and await self.limiter.permit_now()
        ):
            return self._take()
        async with self._next_lock:
            while True:
                await self._until_open()
                if not self.claimer:
                    await self.claimer.more()
                    continue
                if await self._sign_in.ready():
                    await self.limiter.permit()
                    if self.claimer and not self._closed() and not self._sign_in.renewing:
                        return self._take()

    def _take(self) -> list[Job]:
        if self._breaker.circuit is Circuit.OPEN:
            self._breaker.probe()
            self._may_probe = False
        self._sent.append(self._clock.elapsed())
        return self.claimer.take()

    def _closed(self) -> bool:
        """Whether nothing may be sent now."""
        open_circuit = self._breaker.circuit is not Circuit.CLOSED and not self._may_probe
        if self.paused or open_circuit or not self._ledger.scanned:
            return True
        return self.hours.wait(self._clock.wall()) > 0

    async def _until_open(self) -> None:
        while self._closed():
            self.claimer.give_back()
            probing = self._breaker.circuit is Circuit.PROBING
            if self.paused or probing or not self._ledger.scanned:
                await self._changed.wait()
            elif (wait := self.hours.wait(self._clock.wall())) > 0:
                await self._changed.wait(min(wait, RECHECK))
            elif (wait := self._breaker.probe_at - self._clock.elapsed()) > 0:
                await self._changed.wait(wait)
            else:
                await self._probe_with_a_read()

    async def _probe_with_a_read(self) -> None:
        """Probe with a read, which costs no job an attempt; if it succeeds, allow one create."""
        try:
            await self._service.backups()
        except CloudUnavailable:
            self._breaker.wait_longer(self._clock.elapsed())
        except CloudError as error:
            self._stop(f"cannot read the backups: {error}")
            await anyio.sleep_forever()
        else:
            self._may_probe = True

    def _chunk(self) -> int:
        """How many intents to make durable at once: those of a few creates."""
        if self._breaker.circuit is not Circuit.CLOSED:
            return 1
        ahead = self._tuning.claim_ahead
        speed = max(self._speed() * ahead, self._settings.limits.connections)
        batch = self._settings.limits.per_checkpoint
        creates = max(1, int(min(self.limiter.rate.per_second * ahead, speed)))
        most = max(self._tuning.claim_most, 2 * batch)
        # One batch more than are sent: whether a batch is full shows only what comes after it.
        return min(creates * batch + batch - 1, most)

    def _speed(self) -> float:
        """Recent creates per second."""
        if len(self._sent) < 2:
            return 0.0
        return len(self._sent) / max(self._sent[-1] - self._sent[0], 0.01)

    def wake(self) -> None:
        """Wake the workers that wait: they check again whether they may send."""
        self._changed.notify()
        self.limiter.wake()
        self.claimer.wake()

    # One attempt --------------------------------------------------------------------------------

    async def _attempt(self, batch: list[Job], worker: int) -> None:
        """Send one create and record its answers."""
        sent_at, began = self._clock.wall(), self._clock.elapsed()
        jobs = [as_sent(job, sent_at, began) for job in batch]
        answers: Sequence[Answer] = [Answer(message="stopped before an answer came")] * len(jobs)
        # From here on a create may have reached the cloud, so its outcome must be written. Only
        # `abort` ends the wait, and nothing is awaited between the wait and the journal.
        with anyio.CancelScope(shield=True) as scope:
            self._awaiting.add(scope)
            answers = await self._service.create_all(jobs, worker)
        self._awaiting.discard(scope)
        judged = [self._judge(answer) for answer in answers]
        request = of_request(judged)
        if scope.cancelled_caught:
            jobs = [replace(job, uncharged=job.uncharged + 1) for job in jobs]
        else:
            jobs = self._update_breaker(jobs, request.judgement)
        busy = self._vault_is_busy(jobs, request)
        took = self._clock.elapsed() - began
        for job, each in zip(jobs, judged, strict=True):
            attempt = Attempt(
                number=job.attempts,
                sent_at=sent_at,
                took=took,
                verdict=each.judgement.verdict,
                answer=each.answer,
            )
            self._record_outcome(job, each.judgement, attempt, vault_busy=busy)
        await self._heed(jobs[0], request, began)

    def _judge(self, answer: Answer) -> Judged:
        answer = named(answer)
        rules, operation = self._settings.retry.rules, self._settings.operation
        return Judged(answer=answer, judgement=judge_request(answer, rules, operation))

    async def _heed(self, job: Job, request: Judged, began: Elapsed) -> None:
        """Adapt rate and token to what the answer says about the request; `job` is its first."""
        answer, judgement = request.answer, request.judgement
        if judgement.verdict is Verdict.THROTTLE or judgement.slower:
            self._slow_down(answer, began)
        self._check_doubts(answer, judgement)
        if judgement.verdict is Verdict.REAUTH:
            await self._sign_in.refused(job, judgement, began)
        elif not judgement.passing:
            self._sign_in.passed(job, began, answered=answer.status is not None)

    def _record_outcome(
        self, job: Job, judgement: Judgement, attempt: Attempt, *, vault_busy: bool
    ) -> None:
        of = of_busy_vault if vault_busy else of_answer
        outcome = of(job, attempt.answer, judgement, self._rules())
        self._ledger.move(job, outcome.to, attempt=attempt, note=outcome.note, **outcome.changes)
        if outcome.stop is not None:
            self._stop(outcome.stop)

    def _check_doubts(self, answer: Answer, judgement: Judgement) -> None:
        """Stop the run if possible throttling persists and no create is accepted."""
        if judgement.verdict is Verdict.ACCEPTED:
            self._doubts.clear()
        elif judgement.doubtful:
            self._doubts.append(self._clock.elapsed())
            lasted = self._doubts[-1] - self._doubts[0]
            if len(self._doubts) >= DOUBTED and lasted >= DOUBTED_FOR:
                words = f"{answer.code or f'HTTP {answer.status}'}: {judgement.meaning}"
                self._stop(f"{words} (no create was accepted for {lasted:.0f} s)")

    def _update_breaker(self, jobs: list[Job], judgement: Judgement) -> list[Job]:
        """Update the circuit breaker for one request; returns its jobs, without the attempts that
        an outage must not cost them."""
        jobs = [self._settled_up(job) for job in jobs]
        first = jobs[0].no
        if judgement.verdict is Verdict.REAUTH and self._breaker.circuit is Circuit.OPEN:
            return jobs  # a refused token is no sign of recovery while sign-in fails

        if judgement.passing:
            self._announce_block(judgement)
            return jobs
        if not judgement.outage:
            self._batches.clear()
            if self._breaker.answered(first):
                self._may_probe = False  # the outage is over: no probe needed

                self._ledger.note("breaker", "the service answers again: continuing")
                self.wake()
            return jobs
        before = self._breaker.circuit
        self._batches[first] = [job.no for job in jobs]
        for no in self._breaker.outage(first, self._clock.elapsed()):
            if no == first:
                jobs = [replace(job, uncharged=job.uncharged + 1) for job in jobs]
            else:
                for each in self._batches.get(no, [no]):
                    self._excuse(each)
        if self._breaker.circuit is not before:
            self._announce_outage(judgement, before)
        return jobs

    def _settled_up(self, job: Job) -> Job:
        """The job with what it was excused before."""
        owed = self._excused.pop(job.no, 0)
        return replace(job, uncharged=job.uncharged + owed) if owed else job

    def _vault_is_busy(self, jobs: Sequence[Job], request: Judged) -> bool:
        """Whether the create was refused because of another of this run for its vault."""
        if not request.judgement.conflict or request.answer.skipped:
            return False
        known = self._ledger.one_create_each
        busy = self._vaults.refused(jobs)
        if busy and not known:
            self.claimer.give_back()
            self._ledger.note(
                "run",
                f"{request.answer.code}: the service takes one create for each vault at a time"
                f" ({request.judgement.meaning}): the next one waits until the backups of the one"
                " before have ended. A larger limits.per_checkpoint makes the run shorter",
            )
        return busy

    def _excuse(self, no: int) -> None:
        job = self._ledger.open.get(no)
        if job is not None and job.state is JobState.UNKNOWN:
            self._ledger.touch(job, uncharged=job.uncharged + 1)
        else:
            self._excused[no] += 1

    def _announce_outage(self, judgement: Judgement, before: Circuit) -> None:
        if before is Circuit.CLOSED:
            words = f"{self._tuning.outage_after} creates in a row met: {judgement.meaning}"
            self._note_outage(f"the service seems down ({words})")
        self.wake()

    def _announce_block(self, judgement: Judgement) -> None:
        if self._breaker.circuit is Circuit.CLOSED:
            self._note_outage(f"the way to the service is blocked ({judgement.meaning})")
        self._breaker.trip(self._clock.elapsed())
        self.wake()

    def _note_outage(self, words: str) -> None:
        self._outage = f"{words}; waiting and probing"
        self._ledger.note("breaker", self._outage)

    def _slow_down(self, answer: Answer, sent_at: Elapsed) -> None:
        lowered = self.limiter.throttled(
            sent_at=sent_at, retry_after=answer.retry_after, limit=answer.limit
        )
        if lowered is not None:
            before, after = lowered
            wait = "-" if answer.retry_after is None else f"{answer.retry_after:g}s"
            why = f"reason={answer.status} retry_after={wait}"
            self._ledger.note("limiter", f"{before}->{after} {why}")

    def _identity_is_down(self, error: CloudUnavailable) -> None:
        if self._breaker.circuit is not Circuit.OPEN:  # report once, though every worker sees it
            self._note_outage(f"cannot sign in now: {error}")
            self._breaker.trip(self._clock.elapsed())
        elif self._may_probe:  # lists still accept the old token: do not ask again at once
            self._may_probe = False
            self._breaker.wait_longer(self._clock.elapsed())
        self.wake()
