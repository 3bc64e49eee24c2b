"""What proves to the cloud who sends a request: a token (`tokens`), or a signature of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import httpx


@dataclass(frozen=True, kw_only=True, slots=True)
class Proof:
    """The headers that prove who sends one request."""

    headers: tuple[tuple[bytes, bytes], ...] = field(repr=False)
    secrets: tuple[bytes, ...] = field(repr=False)
    """Their secret parts, removed from an answer that repeats the request."""


class Credentials(Protocol):
    """Where requests get their proof from; one for all workers."""

    @property
    def calls(self) -> int:
        """Requests to the identity service so far that did not go through the session."""
        ...

    async def ready(self, refused_at: float | None = None) -> None:
        """Make sure that `prove` has a proof; waits while one is fetched.

        With `refused_at`, one that is not what was in use at that time (epoch seconds of our
        clock), because it was refused. Raises `SignInError` or `CloudUnavailable` without one.
        """
        ...

    def prove(self, method: str, url: httpx.URL, body: bytes) -> Proof | None:
        """Return the proof for a request that leaves now; None before the first `ready`."""
        ...

    def refused(self, headers: Mapping[str, str], body: bytes) -> None:
        """Take the answer with which the cloud refused a proof (401)."""
        ...
