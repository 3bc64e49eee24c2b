"""The simulated cloud as an ASGI application, with control paths under `/_sim/`.

They are for tests and demos and have no authentication: serve them on the loopback interface only.

=========================== ====================================================================
GET  /_sim/ledger           `{"rows": [...]}`; `?what=create` for one sort, `?from=N` to go on
GET  /_sim/summary          `SimulatedCloud.summary()`
GET  /_sim/volumes          the volumes as `openstack volume list -f json` would print them
GET  /_sim/faults           the scenario as a faults file in JSON
PUT  /_sim/faults           behave like this faults file (YAML or JSON) from now on
POST /_sim/revoke           revoke every token
POST /_sim/detach           detach every volume from its server: only then it can be restored
=========================== ====================================================================
"""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from vbsbatch.errors import UsageError
from vbsbatch.simulator.faults import MAX_SIZE, read_scenario, write_scenario
from vbsbatch.simulator.wire import Fate, SimReply, SimRequest, parts, read_query
from vbsbatch.simulator.world import SimulatedCloud

TRANSPORT = "vbsbatch.transport"
"""The key of the scope under which a server puts its transport, to reset connections."""

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class CloudApp:
    """ASGI application: `/_sim/` goes to Starlette, everything else straight to the cloud."""

    def __init__(self, cloud: SimulatedCloud) -> None:
        self.cloud = cloud
        self._control = _control(cloud)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["path"].startswith("/_sim/"):
            await self._control(scope, receive, send)
            return
        body = await _read_body(receive)
        if body is None:
            await _answer(SimReply(413), send)
            return
        reply = self.cloud.handle(_request(scope, body))
        await _wait(reply, receive)
        await _deliver(reply, scope, receive, send)


def _request(scope: Scope, body: bytes) -> SimRequest:
    return SimRequest(
        method=scope["method"],
        path=scope["path"],
        query=read_query(scope["query_string"].decode("latin-1")),
        headers={
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        },
        body=body,
        scheme=scope["scheme"],
    )


async def _read_body(receive: Receive) -> bytes | None:
    """The whole body, None when it is too large."""
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body") and len(body) <= MAX_SIZE:
        message = await receive()
        body += message.get("body", b"")
    return body if len(body) <= MAX_SIZE else None


async def _wait(reply: SimReply, receive: Receive) -> None:
    """Wait for the answer's delay; a long one ends when the client leaves."""
    if reply.fate is Fate.HANG:
        await _client_left(receive)
    elif reply.delay > 1:
        try:
            await asyncio.wait_for(_client_left(receive), reply.delay)
        except TimeoutError:
            return
    elif reply.delay > 0:
        await asyncio.sleep(reply.delay)


async def _client_left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _deliver(reply: SimReply, scope: Scope, receive: Receive, send: Send) -> None:
    match reply.fate:
        case Fate.ANSWER:
            await _answer(reply, send)
        case Fate.CUT:
            await send(_head(reply))
            half = reply.body[: len(reply.body) // 2]
            await send({"type": "http.response.body", "body": half, "more_body": True})
            await _close(scope, receive, reset=False)
        case Fate.ENDLESS | Fate.DRIP:
            await _go_on(reply, receive, send)
        case Fate.DROP | Fate.REFUSE:
            await _close(scope, receive, reset=True)
        case Fate.HANG:
            pass


async def _go_on(reply: SimReply, receive: Receive, send: Send) -> None:
    """Send a body without end, or byte by byte, until the client leaves."""
    await send(_head(reply, sized=reply.fate is not Fate.ENDLESS))
    left = asyncio.create_task(_client_left(receive), name="client left")
    try:
        for part in parts(reply):
            await send({"type": "http.response.body", "body": part, "more_body": True})
            await asyncio.wait([left], timeout=reply.every if reply.fate is Fate.DRIP else 0)
            if left.done():
                return
        await send({"type": "http.response.body", "body": b""})
    finally:
        left.cancel()


async def _answer(reply: SimReply, send: Send) -> None:
    await send(_head(reply))
    await send({"type": "http.response.body", "body": reply.body})


def _head(reply: SimReply, *, sized: bool = True) -> Message:
    headers = [(name.encode(), value.encode("latin-1")) for name, value in reply.headers.items()]
    if sized:
        headers.append((b"content-length", str(len(reply.body)).encode()))
    return {"type": "http.response.start", "status": reply.status, "headers": headers}


async def _close(scope: Scope, receive: Receive, *, reset: bool) -> None:
    """Close the connection, with a reset or after what was written."""
    transport: asyncio.Transport = scope[TRANSPORT]
    if reset:
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        transport.abort()
    else:
        transport.close()
    await _client_left(receive)


def _control(cloud: SimulatedCloud) -> Starlette:
    async def ledger(request: Request) -> Response:
        cloud.settle(cloud.clock.now())
        first, what = request.query_params.get("from", "0"), request.query_params.get("what")
        rows = cloud.ledger.rows[int(first) if first.isdecimal() else 0 :]
        chosen = [row for row in rows if what in (None, row["what"])]
        return JSONResponse({"rows": chosen, "next": len(cloud.ledger.rows)})

    async def summary(_: Request) -> Response:
        return JSONResponse(cloud.summary())

    async def volumes(_: Request) -> Response:
        return JSONResponse(volume_list(cloud))

    async def faults(request: Request) -> Response:
        if request.method == "PUT":
            try:
                cloud.change(read_scenario(await request.body(), "faults"))
            except UsageError as error:
                return JSONResponse({"problems": str(error).splitlines()}, 400)
        return JSONResponse(write_scenario(cloud.scenario))

    async def revoke(_: Request) -> Response:
        cloud.revoke_tokens()
        return Response(status_code=204)

    async def detach(_: Request) -> Response:
        for volume in cloud.project.volumes.values():
            volume.status, volume.server_id = "available", None
        return Response(status_code=204)

    return Starlette(
        routes=[
            Route("/_sim/ledger", ledger),
            Route("/_sim/summary", summary),
            Route("/_sim/volumes", volumes),
            Route("/_sim/faults", faults, methods=["GET", "PUT"]),
            Route("/_sim/revoke", revoke, methods=["POST"]),
            Route("/_sim/detach", detach, methods=["POST"]),
        ]
    )


def volume_list(cloud: SimulatedCloud) -> list[dict[str, Any]]:
    """The volumes in the form of `openstack volume list -f json`, which a plan can read."""
    now = cloud.clock.now()
    return [
        {
            "ID": volume.id,
            "Name": volume.name,
            "Status": cloud.project.volume_status(volume, now),
            "Size": volume.size,
            "Attached to": [{"server_id": volume.server_id}] if volume.server_id else [],
        }
        for volume in cloud.project.volumes.values()
    ]
