"""A headless Chromium at the other end of the DevTools protocol."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import anyio

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
"""The program, None where there is none."""

PATIENCE = 40.0

_BINARY = 2

_SWITCHES = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--remote-debugging-port=0", "--window-size=1200,800", "--hide-scrollbars"),
)


class Page:
    """One page: what it asked the network for, and what came through its websocket."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._number = 0
        self.answered: list[str] = []
        self.arrived = b""

    async def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol; its result."""
        self._number += 1
        number = self._number
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        with anyio.fail_after(PATIENCE):
            while True:
                message = await self._hear()
                if message.get("id") == number:
                    assert "error" not in message, message
                    return dict(message["result"])

    async def _hear(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(await self._socket.receive_str())
        told = message.get("params", {})
        if message.get("method") == "Network.responseReceived":
            self.answered.append(told["response"]["url"])
        if message.get("method") == "Network.webSocketFrameReceived":
            frame = told["response"]
            if frame["opcode"] == _BINARY:
                self.arrived += base64.b64decode(frame["payloadData"])
        return message

    async def until(self, condition: Callable[[bytes], bool]) -> None:
        """Listen until what came through the websocket is enough."""
        with anyio.fail_after(PATIENCE):
            while not condition(self.arrived):
                await self._hear()

    async def open(self, url: str) -> None:
        await self.ask("Network.enable")
        await self.ask("Page.enable")
        await self.ask("Page.navigate", url=url)

    async def evaluate(self, script: str) -> Any:
        """The value of a script in the page."""
        found = await self.ask("Runtime.evaluate", expression=script, returnByValue=True)
        return found["result"].get("value")

    async def click(self, x: int, y: int) -> None:
        """Click; the terminal in the page has no keyboard before."""
        for kind in ("mousePressed", "mouseReleased"):
            where = {"x": x, "y": y, "button": "left", "clickCount": 1}
            await self.ask("Input.dispatchMouseEvent", type=kind, **where)

    async def press(self, text: str) -> None:
        """Press the key that types this text; a carriage return is Enter."""
        key = {"\r": "Enter"}.get(text, text)
        await self.ask("Input.dispatchKeyEvent", type="keyDown", key=key, text=text)
        await self.ask("Input.dispatchKeyEvent", type="keyUp", key=key)

    async def picture(self, path: Path) -> bytes:
        """A PNG of the page, also written to `path`."""
        found = await self.ask("Page.captureScreenshot", format="png")
        image = base64.b64decode(found["data"])
        path.write_bytes(image)
        return image


@asynccontextmanager
async def browser(folder: Path) -> AsyncIterator[Page]:
    """A fresh Chromium with an empty page; its profile is in `folder`."""
    assert CHROMIUM is not None
    process = subprocess.Popen(
        [CHROMIUM, *_SWITCHES, f"--user-data-dir={folder}", "about:blank"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        port = await _port(folder / "DevToolsActivePort")
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                pages = [page for page in await answer.json() if page["type"] == "page"]
            url = pages[0]["webSocketDebuggerUrl"]
            async with session.ws_connect(url, max_msg_size=0) as socket:
                yield Page(socket)
    finally:
        process.terminate()
        process.wait(timeout=20)


async def _port(file: Path) -> int:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if file.exists() and "\n" in (text := file.read_text()):
            return int(text.split("\n")[0])
        await anyio.sleep(0.05)
    raise AssertionError("Chromium did not come up")
