"""What the tests of this room share: a VBS service over a handler, a clock, a key-cutter."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx

from vbsbatch.cloud.endpoints import Endpoints
from vbsbatch.cloud.session import Session
from vbsbatch.cloud.tokens import Token, Tokens
from vbsbatch.cloud.vbs import VbsService
from vbsbatch.model import BackupSettings, Job, Timeouts

PROJECT = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"
VOLUME = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
SECRET = "gAAAAAB-the-token"
PASSWORD = "pa55-w0rd-of-the-user"
NOW = 1_767_225_600.0  # 2026-01-01 00:00:00 UTC
Handler = Callable[[httpx.Request], httpx.Response]


class Clock:
    """A clock that the test moves."""

    def __init__(self, at: float = NOW) -> None:
        self.at = at

    def now(self) -> float:
        return self.at


class Keystone:
    """A token source's `fetch`: numbered tokens, or the error of the test's choice."""

    def __init__(self, clock: Clock, life: float = 3600.0) -> None:
        self.clock = clock
        self.life = life
        self.fetched = 0
        self.error: Exception | None = None

    async def fetch(self) -> Token:
        if self.error is not None:
            self.fetched += 1
            raise self.error
        return self.cut()

    def cut(self) -> Token:
        """Make the next token."""
        self.fetched += 1
        now = self.clock.now()
        return Token(value=f"{SECRET}-{self.fetched}", got_at=now, expires_at=now + self.life)


class Bench:
    """A VBS service whose requests reach `handler`, with its clock, tokens and requests at hand."""

    def __init__(self, handler: Handler, *, signed_in: bool = True, **endpoints: str) -> None:
        self.clock = Clock()
        self.keystone = Keystone(self.clock)
        self.requests: list[httpx.Request] = []

        def seen(request: httpx.Request) -> httpx.Response:
            self.requests.append(request)
            self.clock.at += 0.001
            return handler(request)

        first = self.keystone.cut() if signed_in else None
        self.tokens = Tokens(self.keystone.fetch, self.clock.now, first=first)
        self.session = Session(
            self.tokens,
            Timeouts(),
            transport=lambda: httpx.MockTransport(seen),
            now=self.clock.now,
        )
        roots = {"vbs": "https://vbs.test", "block_storage": "https://evs.test", **endpoints}
        self.service = VbsService(self.session, Endpoints(project_id=PROJECT, **roots))


def answer(status: int, document: Any = None, **headers: str) -> httpx.Response:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return httpx.Response(status, content=body, headers=names)


def a_job(**changes: Any) -> Job:
    known: dict[str, Any] = {
        "no": 1,
        "volume_id": VOLUME,
        "volume_name": "db01-data",
        "backup_name": "night-db01-data",
        "settings": BackupSettings(),
    }
    return Job(**{**known, **changes})
