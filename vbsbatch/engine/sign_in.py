"""Keeps an engine signed in: renews refused tokens, and says when refusals are final."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import anyio

from vbsbatch.engine.run_context import RunContext
from vbsbatch.engine.signal import Signal
from vbsbatch.errors import CloudUnavailable, SignInError
from vbsbatch.model import LONG_AGO, Elapsed, Job
from vbsbatch.policy import Judgement

REFUSALS = 3
"""If the token is refused this often in a row for one job, the run stops, even if other jobs pass
with it."""

TOKEN_SPREAD = 10.0
"""Seconds that the nodes of a cloud may need to learn about a fresh token."""

SIGNED_IN_FOR = 1.0
"""Seconds for which a valid token is not checked again."""


class SignIn:
    """The token with which creates are sent.

    `unreachable` is told when the identity service cannot be reached; `give_back` returns the jobs
    that were claimed ahead.
    """

    def __init__(
        self,
        work: RunContext,
        *,
        unreachable: Callable[[CloudUnavailable], None],
        give_back: Callable[[], None],
    ) -> None:
        self._service = work.service
        self._clock = work.clock
        self._ledger = work.ledger
        self._stop = work.stop
        self._unreachable = unreachable
        self._give_back = give_back
        self._renewed = Signal()
        self._refusals: Counter[int] = Counter()
        self._refused_since: dict[int, Elapsed] = {}
        self._fresh_refused: list[Elapsed] = []
        """When creates were refused with a fresh token that had never worked."""
        self._renewing = 0
        self._refused_at: Elapsed | None = None
        """When the last request with a refused token left; None unless the token must be
        renewed."""
        self._renewed_at = LONG_AGO
        self._token_was_good = False
        self._checked_at = LONG_AGO

    @property
    def recent(self) -> bool:
        """Whether the token was valid a moment ago."""
        return self._clock.elapsed() - self._checked_at < SIGNED_IN_FOR

    @property
    def renewing(self) -> bool:
        """Whether a new token is on its way: a request sent now would be refused too."""
        return self._renewing > 0

    async def ready(self) -> bool:
        """Wait for a valid token; false when the identity service cannot be reached."""
        while self.renewing:
            await self._renewed.wait()
        try:
            if self._refused_at is not None:
                await self._renew(self._refused_at)
            await self._service.ready()
        except CloudUnavailable as error:
            self._unreachable(error)
        except SignInError as error:
            self._stop(f"cannot sign in: {error}")
            await anyio.sleep_forever()
        else:
            self._checked_at = self._clock.elapsed()
            return True
        return False

    def passed(self, job: Job, sent_at: Elapsed, *, answered: bool) -> None:
        """Take note that the job's create was not refused for its token."""
        self._refusals.pop(job.no, None)
        self._refused_since.pop(job.no, None)
        if answered and sent_at > self._renewed_at:
            self._token_was_good = True
            self._fresh_refused.clear()

    async def refused(self, job: Job, judgement: Judgement, sent_at: Elapsed) -> None:
        """Try once with a fresh token; stop if that is refused too.

        Stops only if the fresh token never worked, or the job's refusals go on, and only after
        `TOKEN_SPREAD` seconds: some nodes may not know the token yet.
        """
        self._checked_at = LONG_AGO
        self._refusals[job.no] += 1
        now = self._clock.elapsed()
        since = self._refused_since.setdefault(job.no, now)
        if sent_at > self._renewed_at:
            if not self._token_was_good:
                self._fresh_refused.append(now)
                since = self._fresh_refused[0]
            lasts = not self._token_was_good or self._refusals[job.no] > REFUSALS
            if lasts and now - since >= TOKEN_SPREAD:
                self._stop(f"a fresh token was refused too: {judgement.meaning}")
                return
        times = len(self._fresh_refused)
        self._renewing += 1
        self._give_back()  # the refused job goes first, to test the fresh token

        try:
            await anyio.sleep(min(2.0 ** (times - 2), 4.0) if times > 1 else 0.0)
            await self._renew(sent_at)
        except CloudUnavailable as error:
            self._unreachable(error)
        except SignInError as error:
            self._stop(f"cannot sign in again: {error}")
        finally:
            self._renewing -= 1
            self._renewed.notify()

    async def _renew(self, sent_at: Elapsed) -> None:
        """Replace the token that was refused for a request sent at `sent_at`.

        As long as that fails, nothing is sent with the old one. Raises `SignInError` and
        `CloudUnavailable`.
        """
        self._refused_at = sent_at
        await self._service.renew_token(sent_at)
        self._refused_at = None
        if sent_at > self._renewed_at:  # report a shared renewal once
            self._renewed_at, self._token_was_good = self._clock.elapsed(), False
            self._ledger.note("session", "the token was refused; signed in again")
