"""An httpx transport straight into a simulated cloud: no sockets, and good under virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import httpx

from vbsbatch.simulator.wire import Fate, SimReply, SimRequest, parts, read_query
from vbsbatch.simulator.world import SimulatedCloud


class SimulatedTransport(httpx.AsyncBaseTransport):
    """Carries requests of an `httpx.AsyncClient` to `cloud`.

    The request is committed on arrival; the answer takes its delay, during which the client may
    give up (by the request's read timeout) or be cancelled.
    """

    def __init__(self, cloud: SimulatedCloud) -> None:
        self.cloud = cloud

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """One round trip; raises what httpx raises when a real connection fails."""
        body = await request.aread()
        reply = self.cloud.handle(
            SimRequest(
                method=request.method,
                path=request.url.path,
                query=read_query(request.url.query.decode("ascii")),
                headers={name.lower(): value for name, value in request.headers.items()},
                body=body,
            )
        )
        if reply.fate is Fate.REFUSE:
            raise httpx.ConnectError("All connection attempts failed", request=request)
        await _wait(reply, request)
        if reply.fate is Fate.DROP:
            raise httpx.ReadError("Connection reset by peer", request=request)
        headers = {**reply.headers, "content-length": str(len(reply.body))}
        if reply.fate is Fate.CUT:
            stream = _CutStream(reply.body[: len(reply.body) // 2], request)
            return httpx.Response(reply.status, headers=headers, stream=stream, request=request)
        if reply.fate in (Fate.ENDLESS, Fate.DRIP):
            return httpx.Response(reply.status, headers=headers, stream=_GoingOn(reply))
        return httpx.Response(reply.status, headers=headers, content=reply.body, request=request)


async def _wait(reply: SimReply, request: httpx.Request) -> None:
    patience = request.extensions.get("timeout", {}).get("read")
    if reply.fate is Fate.HANG and patience is None:
        await anyio.sleep_forever()
    if patience is not None and (reply.fate is Fate.HANG or reply.delay > patience):
        await anyio.sleep(patience)
        raise httpx.ReadTimeout("The read operation timed out", request=request)
    if reply.delay:
        await anyio.sleep(reply.delay)


class _GoingOn(httpx.AsyncByteStream):
    """A body without end, or one that comes byte by byte."""

    def __init__(self, reply: SimReply) -> None:
        self._reply = reply

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in parts(self._reply):
            yield part
            await anyio.sleep(self._reply.every if self._reply.fate is Fate.DRIP else 0)


class _CutStream(httpx.AsyncByteStream):
    """Half a body, then the connection ends."""

    def __init__(self, half: bytes, request: httpx.Request) -> None:
        self._half = half
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._half
        raise httpx.RemoteProtocolError(
            "peer closed connection without sending complete message body",
            request=self._request,
        )
