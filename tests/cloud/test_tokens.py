"""One token serves everybody, is renewed once for all, and an outage does not take it away."""

from __future__ import annotations

import anyio
import pytest

from vbsbatch.cloud.tokens import Token, Tokens
from vbsbatch.errors import CloudUnavailable, SignInError

from .fixtures import SECRET, Clock, Keystone

pytestmark = pytest.mark.anyio


class SlowKeystone(Keystone):
    """Signs in only when the test lets it."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.gate = anyio.Event()

    async def fetch(self) -> Token:
        await self.gate.wait()
        self.clock.at += 1
        return await super().fetch()


async def test_one_sign_in_serves_all_who_wait() -> None:
    clock = Clock()
    keystone = SlowKeystone(clock)
    tokens = Tokens(keystone.fetch, clock.now)
    got: list[Token] = []

    async def worker(newer_than: float | None) -> None:
        got.append(await tokens.token(newer_than))

    async with anyio.create_task_group() as tasks:
        for i in range(32):
            tasks.start_soon(worker, clock.at if i % 2 else None)
        await anyio.wait_all_tasks_blocked()
        keystone.gate.set()
    assert keystone.fetched == 1
    assert len(got) == 32
    assert len(set(map(id, got))) == 1
    assert tokens.calls == 1


@pytest.mark.parametrize(("life", "early"), [(86400.0, 300.0), (3600.0, 300.0), (600.0, 60.0)])
async def test_a_token_is_renewed_a_little_before_it_expires(life: float, early: float) -> None:
    clock = Clock()
    keystone = Keystone(clock, life)
    tokens = Tokens(keystone.fetch, clock.now)
    await tokens.token()
    clock.at += life - early - 1
    await tokens.token()
    assert keystone.fetched == 1
    clock.at += 2
    await tokens.token()
    assert keystone.fetched == 2


@pytest.mark.parametrize("error", [CloudUnavailable("down"), SignInError("changed")])
async def test_a_renewal_that_fails_leaves_the_old_token_in_use(error: Exception) -> None:
    clock = Clock()
    keystone = Keystone(clock)
    tokens = Tokens(keystone.fetch, clock.now)
    first = await tokens.token()
    clock.at += 3590
    keystone.error = error
    for _ in range(5):
        assert await tokens.token() is first
    assert keystone.fetched == 2  # not asked again at once
    with pytest.raises(type(error)):
        await tokens.token(newer_than=clock.at)
    clock.at += 10
    with pytest.raises(type(error)):  # it has expired
        await tokens.token()
    keystone.error = None
    assert await tokens.token() is not first


async def test_a_newer_token_is_got_only_when_there_is_none_yet() -> None:
    clock = Clock()
    keystone = Keystone(clock)
    tokens = Tokens(keystone.fetch, clock.now)
    first = await tokens.token()
    assert await tokens.token(newer_than=first.got_at - 1) is first
    assert await tokens.token(newer_than=first.got_at) is not first


async def test_without_any_token_the_reason_is_told() -> None:
    clock = Clock()
    keystone = Keystone(clock)
    keystone.error = SignInError("wrong")
    with pytest.raises(SignInError):
        await Tokens(keystone.fetch, clock.now).token()


def test_a_token_never_shows_its_value() -> None:
    assert SECRET not in repr(Token(value=SECRET, got_at=0, expires_at=1))
