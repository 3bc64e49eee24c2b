"""What the engine is held against: loops that send creates and do nothing else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

import httpx

from benchmarks.fleet import body
from vbsbatch.cloud.session import quieten
from vbsbatch.cloud.trust import Trust, ssl_context

PATH = "/v2/project/cloudbackups"
TIMEOUT = httpx.Timeout(60.0, connect=10.0)
"""The plan's default timeouts, as vbsbatch passes them on with every request."""

TLS = ssl_context(Trust())
"""Shared as in vbsbatch: to build one for each worker, 33 ms, would slow the baselines down."""


async def transports(url: str, creates: int, connections: int) -> None:
    """The transport alone: for each worker one `httpx.AsyncHTTPTransport` and one request.

    Both are made once and are what vbsbatch uses; the answer is read, and parsed as JSON.
    """
    quieten("httpx", "httpcore")
    left = iter(range(creates))

    async def work() -> None:
        content = json.dumps({"backup": body(0)}).encode()
        headers = [
            (b"Host", httpx.URL(url).netloc),
            (b"User-Agent", b"vbsbatch/1"),
            (b"Accept", b"application/json"),
            (b"Accept-Encoding", b"identity"),
            (b"X-Auth-Token", b"token"),
            (b"Content-Type", b"application/json"),
            (b"Content-Length", str(len(content)).encode()),
        ]
        stream, timeout = httpx.ByteStream(content), {"timeout": TIMEOUT.as_dict()}
        request = httpx.Request(
            "POST", url + PATH, headers=headers, stream=stream, extensions=timeout
        )
        async with httpx.AsyncHTTPTransport(verify=TLS) as transport:
            for _ in left:
                response = await transport.handle_async_request(request)
                assert response.status_code == 200
                json.loads(await response.aread())

    await _together(work, connections)


async def clients(url: str, creates: int, connections: int) -> None:
    """A bare client loop: one `httpx.AsyncClient` for each worker, which posts and reads."""
    quieten("httpx", "httpcore")
    left = iter(range(creates))

    async def work() -> None:
        async with httpx.AsyncClient(
            timeout=TIMEOUT, verify=TLS, headers={"X-Auth-Token": "token"}
        ) as client:
            for number in left:
                await _post(client, url, number)

    await _together(work, connections)


async def shared_client(url: str, creates: int, connections: int) -> None:
    """What one writes first: one plain `httpx.AsyncClient` shared by all workers."""
    quieten("httpx", "httpcore")
    left = iter(range(creates))
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    async with httpx.AsyncClient(
        timeout=TIMEOUT, limits=limits, headers={"X-Auth-Token": "token"}
    ) as client:

        async def work() -> None:
            for number in left:
                await _post(client, url, number)

        await _together(work, connections)


async def _post(client: httpx.AsyncClient, url: str, number: int) -> None:
    response = await client.post(url + PATH, json={"backup": body(number)})
    assert response.status_code == 200
    response.json()


async def _together(work: Callable[[], Awaitable[None]], connections: int) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(work())  # type: ignore[arg-type]
