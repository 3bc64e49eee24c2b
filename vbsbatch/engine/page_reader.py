"""Reads pages of the cloud's list of backups, patiently and not too fast."""

from __future__ import annotations

from collections.abc import Callable

import anyio
from aiolimiter import AsyncLimiter

from vbsbatch.engine.read_backoff import ReadBackoff
from vbsbatch.engine.run_context import RunContext
from vbsbatch.errors import CloudUnavailable, ListChanged
from vbsbatch.model import BackupPage


class PageReader:
    """The pages of the list, as the tracker asks for them; `asked` is told of each request."""

    def __init__(
        self,
        work: RunContext,
        *,
        reads: AsyncLimiter,
        outages: ReadBackoff,
        asked: Callable[[], None],
    ) -> None:
        self._service = work.service
        self._ledger = work.ledger
        self._tuning = work.tuning
        self._reads = reads
        self._outages = outages
        self._asked = asked

    async def read(self, page: str | None) -> BackupPage:
        """One page. In the midst of a list it is asked for again before the look is given up: of
        many pages one would fail almost every time."""
        tries = 1 if page is None else self._tuning.page_tries
        while True:
            await self._reads.acquire()
            self._asked()
            try:
                return await self._ask(page)
            except ListChanged:
                raise
            except CloudUnavailable as error:
                self._outages.page_failed()
                tries -= 1
                if not tries or error.retry_after:
                    raise
            await anyio.sleep(self._tuning.read_retry_first)

    async def _ask(self, page: str | None) -> BackupPage:
        if self._ledger.surveyed:
            return await self._service.backups(page)
        return await self._service.survey(page)
