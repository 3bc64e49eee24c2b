"""Sends creates: who goes next, when it may go, and what its answer means.

Workers take turns at one door. Behind it the pause and the circuit breaker are respected and one
permit of the rate is taken; then the create is sent at once, by the very worker that holds the
permit, so that no permit grows old.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import replace

import anyio

from vbsbatch.engine.breaker import Breaker, Circuit
from vbsbatch.engine.claimer import Claimer
from vbsbatch.engine.limiter import CreateLimiter
from vbsbatch.engine.outcome import of_answer
from vbsbatch.engine.run_context import RunContext
from vbsbatch.engine.signal import Signal
from vbsbatch.engine.wave_gates import ASLEEP, Hours
from vbsbatch.errors import CloudError, CloudUnavailable, SignInError
from vbsbatch.model import LONG_AGO, Answer, Attempt, Elapsed, Job, JobState, Verdict
from vbsbatch.policy import Judgement, judge_request, named

REFUSALS = 3
"""A job whose token is refused so often in a row stops the run, even if others pass with it."""

NEWS = 10.0
"""Seconds that the nodes of a cloud may take to know a fresh token."""

DOUBTED, DOUBTED_FOR = 4, 30.0
"""So many refusals in a row, over so many seconds, that may be throttling, are a used-up quota."""

SIGNED_IN_FOR = 1.0
"""Seconds for which a token that was good for a while is not asked about again."""


class Dispatcher:
    """Keeps the plan's `connections` workers sending while jobs are due and the limits allow."""

    def __init__(
        self,
        work: RunContext,
        *,
        limiter: CreateLimiter,
    ) -> None:
        self.limiter = limiter
        self.hours = Hours(work.settings.window)
        self.feed = Claimer(
            work, chunk=self._chunk, closed=self._closed, probing=lambda: self._may_probe
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
        self._trouble = ""
        self._may_probe = False
        self._door = anyio.Lock(fast_acquire=True)
        self._opened = Signal()
        self._asking: set[anyio.CancelScope] = set()
        self._owed: Counter[int] = Counter()
        self._refusals: Counter[int] = Counter()
        self._refused_since: dict[int, Elapsed] = {}
        self._fresh_refused: list[Elapsed] = []
        """When creates were refused with tokens that were never good for anything."""
        self._doubts: list[Elapsed] = []
        """When creates were refused for what may be throttling, and none was accepted since."""
        self._renewing = 0
        self._refused_at: Elapsed | None = None
        """When what was sent last with a token that is to be renewed left; None while there is
        no such token."""
        self._renewed_at = LONG_AGO
        self._token_was_good = False
        self._signed_in_at = LONG_AGO
        self._sent: deque[Elapsed] = deque(maxlen=256)

    async def run(self) -> None:
        """Send until cancelled; answers that are under way then are still awaited and recorded."""
        async with anyio.create_task_group() as group:
            group.start_soon(self.feed.run, name="feed")
            for number in range(self._settings.limits.connections):
                group.start_soon(self._work, number, name=f"worker {number}")

    def abort(self) -> None:
        """Await no more answers: the jobs whose creates are under way become unknown."""
        self.pause(True)
        for scope in self._asking:
            scope.cancel()
        self._asking.clear()

    @property
    def under_way(self) -> int:
        """How many creates are sent whose answers are awaited."""
        return len(self._asking)

    @property
    def outage(self) -> str | None:
        """What creates wait for, in words: a service that is down, or runs that hold the volumes
        of all that waits."""
        return self.feed.waits_for if self._breaker.circuit is Circuit.CLOSED else self._trouble

    def pause(self, paused: bool) -> None:
        """Send no new create while paused; what was claimed ahead is given back."""
        self.paused = paused
        if paused:
            self.feed.give_back()
        self.look_again()

    async def _work(self, worker: int) -> None:
        while True:
            await self._attempt(await self._next(), worker)

    # The door: one worker at a time -------------------------------------------------------------

    async def _next(self) -> Job:
        """The next job that may be sent now."""
        # Who need not wait passes by the queue: a lock that is handed from worker to worker costs
        # each create a turn of the loop, at 32 connections a tenth of the speed.
        signed_in = self._clock.elapsed() - self._signed_in_at < SIGNED_IN_FOR
        if signed_in and self.feed and not self._closed() and await self.limiter.permit_now():
            return self._take()
        async with self._door:
            while True:
                await self._until_open()
                if not self.feed:
                    await self.feed.more()
                    continue
                if await self._signed_in():
                    await self.limiter.permit()
                    if self.feed and not self._closed() and not self._renewing:
                        return self._take()

    def _take(self) -> Job:
        if self._breaker.circuit is Circuit.OPEN:
            self._breaker.probe()
            self._may_probe = False
        self._sent.append(self._clock.elapsed())
        return self.feed.take()

    def _closed(self) -> bool:
        """Whether nothing may be sent now."""
        open_circuit = self._breaker.circuit is not Circuit.CLOSED and not self._may_probe
        if self.paused or open_circuit or not self._ledger.surveyed:
            return True
        return self.hours.wait(self._clock.wall()) > 0

    async def _until_open(self) -> None:
        while self._closed():
            self.feed.give_back()
            probing = self._breaker.circuit is Circuit.PROBING
            if self.paused or probing or not self._ledger.surveyed:
                await self._opened.wait()
            elif (wait := self.hours.wait(self._clock.wall())) > 0:
                await self._opened.wait(min(wait, ASLEEP))
            elif (wait := self._breaker.probe_at - self._clock.elapsed()) > 0:
                await self._opened.wait(wait)
            else:
                await self._probe_with_a_read()

    async def _probe_with_a_read(self) -> None:
        """A read costs nobody an attempt; only when it succeeds one create may try its luck."""
        try:
            await self._service.backups()
        except CloudUnavailable:
            self._breaker.wait_longer(self._clock.elapsed())
        except CloudError as error:
            self._stop(f"cannot read the backups: {error}")
            await anyio.sleep_forever()
        else:
            self._may_probe = True

    async def _signed_in(self) -> bool:
        while self._renewing:  # what left now would be refused like the create before it
            await self._opened.wait()
        try:
            if self._refused_at is not None:
                await self._renew(self._refused_at)
            await self._service.ready()
        except CloudUnavailable as error:
            self._identity_is_down(error)
        except SignInError as error:
            self._stop(f"cannot sign in: {error}")
            await anyio.sleep_forever()
        else:
            self._signed_in_at = self._clock.elapsed()
            return True
        return False

    def _chunk(self) -> int:
        """How many intents to make durable at once."""
        if self._breaker.circuit is not Circuit.CLOSED:
            return 1
        ahead = self._tuning.claim_ahead
        speed = max(self._speed() * ahead, self._settings.limits.connections)
        chunk = min(self.limiter.rate.per_second * ahead, speed, self._tuning.claim_most)
        return max(1, int(chunk))

    def _speed(self) -> float:
        """Creates a second, lately."""
        if len(self._sent) < 2:
            return 0.0
        return len(self._sent) / max(self._sent[-1] - self._sent[0], 0.01)

    def look_again(self) -> None:
        """Who waits at the door looks whether it may go now."""
        self._opened.notify()
        self.limiter.wake()
        self.feed.wake()

    # One attempt --------------------------------------------------------------------------------

    async def _attempt(self, job: Job, worker: int) -> None:
        """Send one create, and put down what its answer means."""
        sent_at, began = self._clock.wall(), self._clock.elapsed()
        job = replace(
            job,
            intent_at=began,  # the machine may have slept since the claim
            first_sent_at=job.first_sent_at or sent_at,
            first_cloud_at=job.first_cloud_at or job.intent_cloud_at,
        )
        answer = Answer(message="stopped before an answer came")
        # From here on a create may be in the cloud's hands: its outcome must be written. Only
        # `abort` ends the wait for it, and nothing is awaited between it and the journal.
        with anyio.CancelScope(shield=True) as scope:
            self._asking.add(scope)
            answer = named(await self._service.create(job, worker))
        self._asking.discard(scope)
        judgement = judge_request(answer, self._settings.retry.rules, self._settings.operation)
        aborted = scope.cancelled_caught
        job = replace(job, uncharged=job.uncharged + 1) if aborted else self._weigh(job, judgement)
        verdict = judgement.verdict
        attempt = Attempt(
            number=job.attempts,
            sent_at=sent_at,
            took=self._clock.elapsed() - began,
            verdict=verdict,
            answer=answer,
        )
        self._conclude(job, judgement, attempt)
        if verdict is Verdict.THROTTLE or judgement.slower:
            self._slow_down(answer, began)
        self._mind_doubts(answer, judgement)
        if verdict is Verdict.REAUTH:
            await self._renew_token(job, judgement, began)
        elif not judgement.passing:
            self._refusals.pop(job.no, None)
            self._refused_since.pop(job.no, None)
            if answer.status is not None and began > self._renewed_at:
                self._token_was_good = True
                self._fresh_refused.clear()

    def _conclude(self, job: Job, judgement: Judgement, attempt: Attempt) -> None:
        outcome = of_answer(job, attempt.answer, judgement, self._rules())
        self._ledger.move(job, outcome.to, attempt=attempt, note=outcome.note, **outcome.changes)
        if outcome.stop is not None:
            self._stop(outcome.stop)

    def _mind_doubts(self, answer: Answer, judgement: Judgement) -> None:
        """Stop for what was taken for throttling where it persists and nothing is accepted."""
        if judgement.verdict is Verdict.ACCEPTED:
            self._doubts.clear()
        elif judgement.doubtful:
            self._doubts.append(self._clock.elapsed())
            lasted = self._doubts[-1] - self._doubts[0]
            if len(self._doubts) >= DOUBTED and lasted >= DOUBTED_FOR:
                words = f"{answer.code or f'HTTP {answer.status}'}: {judgement.meaning}"
                self._stop(f"{words} (no create was accepted for {lasted:.0f} s)")

    def _weigh(self, job: Job, judgement: Judgement) -> Job:
        """Let the circuit breaker know; the job, with the attempts that an outage must not
        cost it."""
        if owed := self._owed.pop(job.no, 0):
            job = replace(job, uncharged=job.uncharged + owed)
        if judgement.verdict is Verdict.REAUTH and self._breaker.circuit is Circuit.OPEN:
            return job  # a token refused while nobody can sign in is no sign of recovery
        if judgement.passing:
            self._announce_block(judgement)
            return job
        if not judgement.outage:
            if self._breaker.answered(job.no):
                self._may_probe = False  # the outage is over: no create need try its luck
                self._ledger.note("breaker", "the service answers again: going on")
                self.look_again()
            return job
        before = self._breaker.circuit
        for no in self._breaker.outage(job.no, self._clock.elapsed()):
            if no == job.no:
                job = replace(job, uncharged=job.uncharged + 1)
            else:
                self._excuse(no)
        if self._breaker.circuit is not before:
            self._announce_outage(judgement, before)
        return job

    def _excuse(self, no: int) -> None:
        job = self._ledger.open.get(no)
        if job is not None and job.state is JobState.UNKNOWN:
            self._ledger.touch(job, uncharged=job.uncharged + 1)
        else:
            self._owed[no] += 1

    def _announce_outage(self, judgement: Judgement, before: Circuit) -> None:
        if before is Circuit.CLOSED:
            words = f"{self._tuning.outage_after} creates in a row met: {judgement.meaning}"
            self._tell_trouble(f"the service seems down ({words})")
        self.look_again()

    def _announce_block(self, judgement: Judgement) -> None:
        if self._breaker.circuit is Circuit.CLOSED:
            self._tell_trouble(f"the way to the service is blocked ({judgement.meaning})")
        self._breaker.trip(self._clock.elapsed())
        self.look_again()

    def _tell_trouble(self, words: str) -> None:
        self._trouble = f"{words}; waiting and probing"
        self._ledger.note("breaker", self._trouble)

    def _slow_down(self, answer: Answer, sent_at: Elapsed) -> None:
        lowered = self.limiter.throttled(
            sent_at=sent_at, retry_after=answer.retry_after, limit=answer.limit
        )
        if lowered is not None:
            before, after = lowered
            wait = "-" if answer.retry_after is None else f"{answer.retry_after:g}s"
            why = f"reason={answer.status} retry_after={wait}"
            self._ledger.note("limiter", f"{before}->{after} {why}")

    async def _renew_token(self, job: Job, judgement: Judgement, sent_at: Elapsed) -> None:
        """Once with a fresh token; when that is refused too, before it was good for anything, and
        goes on being refused, stop: some nodes may not know it yet."""
        self._signed_in_at = LONG_AGO
        self._refusals[job.no] += 1
        now = self._clock.elapsed()
        since = self._refused_since.setdefault(job.no, now)
        if sent_at > self._renewed_at:
            if not self._token_was_good:
                self._fresh_refused.append(now)
                since = self._fresh_refused[0]
            lasts = not self._token_was_good or self._refusals[job.no] > REFUSALS
            if lasts and now - since >= NEWS:
                self._stop(f"a fresh token was refused too: {judgement.meaning}")
                return
        times = len(self._fresh_refused)
        self._renewing += 1
        self.feed.give_back()  # the refused one goes first: it tells what a fresh token is worth
        try:
            await anyio.sleep(min(2.0 ** (times - 2), 4.0) if times > 1 else 0.0)
            await self._renew(sent_at)
        except CloudUnavailable as error:
            self._identity_is_down(error)
        except SignInError as error:
            self._stop(f"cannot sign in again: {error}")
        finally:
            self._renewing -= 1
            self._opened.notify()

    async def _renew(self, sent_at: Elapsed) -> None:
        """Get a token for the one that was refused to what left at `sent_at`; as long as that
        fails, nothing leaves with the old one. Raises `SignInError` and `CloudUnavailable`."""
        self._refused_at = sent_at
        await self._service.renew_token(sent_at)
        self._refused_at = None
        if sent_at > self._renewed_at:  # the renewal that serves others too is told once
            self._renewed_at, self._token_was_good = self._clock.elapsed(), False
            self._ledger.note("session", "the token was refused; signed in again")

    def _identity_is_down(self, error: CloudUnavailable) -> None:
        if self._breaker.circuit is not Circuit.OPEN:  # told once, though every worker meets it
            self._tell_trouble(f"cannot sign in now: {error}")
            self._breaker.trip(self._clock.elapsed())
        elif self._may_probe:  # the lists still take the old token: no reason to ask at once
            self._may_probe = False
            self._breaker.wait_longer(self._clock.elapsed())
        self.look_again()
