"""A forward proxy as a process: CONNECT and plain requests, with optional credentials.

    python connect_proxy.py [USER:PASSWORD]

It prints its port, then a line for every request: what was asked, and `407` if it was refused.
Every host name leads to this machine, so a name that nobody else knows proves who was asked.
"""

from __future__ import annotations

import asyncio
import base64
import sys
from contextlib import suppress
from urllib.parse import urlsplit

REFUSED = (
    b"HTTP/1.1 407 Proxy Authentication Required\r\n"
    b'Proxy-Authenticate: Basic realm="proxy"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n'
)


def tell(*words: object) -> None:
    print(*words, flush=True)


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while part := await reader.read(65536):
            writer.write(part)
            await writer.drain()
        writer.write_eof()


async def serve(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, wanted: str | None
) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    line, *headers = head.rstrip("\r\n").split("\r\n")
    method, target, _ = line.split()
    allowed = wanted is None or f"proxy-authorization: basic {wanted}".lower() in map(
        str.lower, headers
    )
    tell(method, target, "" if allowed else "407")
    if not allowed:
        writer.write(REFUSED)
        await writer.drain()
        return
    where = urlsplit(f"//{target}" if method == "CONNECT" else target)
    origin, onward = await asyncio.open_connection("127.0.0.1", where.port or 80)
    if method == "CONNECT":
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
    else:  # one request a connection, so that the next one is read here too
        path = where.path + (f"?{where.query}" if where.query else "")
        kept = [h for h in headers if not h.lower().startswith(("proxy-", "connection:"))]
        request = "\r\n".join([f"{method} {path} HTTP/1.1", *kept, "Connection: close", "", ""])
        onward.write(request.encode("latin-1"))
    await asyncio.gather(pump(reader, onward), pump(origin, writer))
    onward.close()


async def main(credentials: str | None) -> None:
    wanted = credentials and base64.b64encode(credentials.encode()).decode()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await serve(reader, writer, wanted)
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    tell(server.sockets[0].getsockname()[1])
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if sys.argv[1:] else None))
