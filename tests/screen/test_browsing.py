"""The screen in a browser: read-only, for this machine only, and only with the address."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest

from tests.cli.clouds import Process
from tests.cli.harness import Harness, until

SERVED = pytest.mark.skipif(
    find_spec("textual_serve") is None, reason="NOT TESTED: textual-serve is not installed"
)


def finished_run(harness: Harness, *words: str) -> str:
    harness.cloud(volumes=3)
    harness("run", "plan.yaml", "--progress", "quiet", *words)
    return harness.run_id()


def served(harness: Harness) -> tuple[Process, str]:
    """A server for the newest run, and the address that it printed."""
    process = harness.start("attach", "--web")
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def words(seen: bytes) -> bytes:
    """What came without its control sequences: a text over several widgets comes in pieces."""
    return re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", seen)


def screens(store: Path) -> set[int]:
    """The screen processes behind browsers."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"vbsbatch.cli.web_child" in words and os.fsencode(store) in words:
            found.add(int(process.name))
    return found


@SERVED
def test_the_browser_screen_needs_the_address_and_this_machine(harness: Harness) -> None:
    finished_run(harness)
    process, address = served(harness)
    found = re.fullmatch(r"(http://127\.0\.0\.1:\d+)/([\w-]{30,})/", address)
    assert found
    url, key = found.groups()
    with httpx.Client(base_url=url, trust_env=False) as client:
        for path in ("/", "/ws", "/static/js/textual.js", f"/?key={key}", f"/{key}x/"):
            assert client.get(path).status_code == 403, path
        page = client.get(f"/{key}/")
        assert page.status_code == 200
        assert "default-src 'self'" in page.headers["Content-Security-Policy"]
        assert "Set-Cookie" not in page.headers, "a cookie goes to every port of this machine"
        assert f'"{url.replace("http", "ws")}/{key}/ws"' in page.text
        assert client.get(f"/{key}/static/js/textual.js").status_code == 200
    port = url.rpartition(":")[2]
    assert f"cannot serve on port {port}" in harness.refused("attach", "--web", "--port", port)
    process.send_signal(signal.SIGINT)
    done = harness.finish(process)
    assert done.returncode == 0
    assert "read-only" in done.stderr


def test_without_textual_serve_one_line_says_what_to_install(harness: Harness) -> None:
    finished_run(harness)
    (harness.folder / "textual_serve.py").write_text(
        "raise ModuleNotFoundError('not here', name='textual_serve')\n"
    )
    environment = harness.environment | {"PYTHONPATH": str(harness.folder)}
    line = harness.refused("attach", "--web", env=environment)
    assert "pip install textual-serve" in line


def test_a_wrong_config_file_is_reported_before_anything_is_served(
    harness: Harness,
) -> None:
    finished_run(harness)
    (harness.folder / "mine.yaml").write_text("theme: pink")
    environment = harness.environment | {"VBSBATCH_CONFIG": "mine.yaml"}
    line = harness.refused("attach", "--web", env=environment)
    assert line.startswith("mine.yaml:1:8: theme: must be one of dark, light, contrast, ")


def test_a_port_without_the_web_is_refused(harness: Harness) -> None:
    done = harness("attach", "--port", "8000", code=2)
    assert "--port is for --web" in done.stderr


@SERVED
@pytest.mark.anyio
async def test_a_browser_shows_the_screen_and_can_change_nothing(harness: Harness) -> None:
    from tests.screen.browser import CHROMIUM, browser

    if CHROMIUM is None:
        pytest.skip("NOT TESTED: there is no Chromium, so no browser has shown the screen")
    run = finished_run(harness)
    process, address = served(harness)
    async with browser(harness.folder / "profile") as page:
        await page.open(address)
        await page.until(
            lambda seen: run.encode() in seen and b"3 of 3" in words(seen) and b"Detach" in seen
        )
        assert "-first-byte" in await page.evaluate("document.body.className")
        await page.click(300, 300)
        for key in ("r", "R", "x", "p", "e"):
            await page.press(key)
        await page.until(lambda seen: b"filtered jobs as CSV" in seen)
        await page.press("\r")
        await page.until(lambda seen: b"a browser cannot write files" in words(seen))
        assert len(await page.picture(harness.folder / "browser.png")) > 10_000
        assert {one for one in page.answered if not one.startswith(address)} <= {
            f"{address.rpartition('/')[0].rpartition('/')[0]}/favicon.ico"
        }
        assert len(screens(harness.store)) == 1
        process.kill()
        until(lambda: not screens(harness.store))
    with closing(sqlite3.connect(harness.store)) as db:
        assert db.execute("SELECT count(*) FROM commands").fetchone() == (0,)
    assert not list(harness.folder.glob("vbsbatch-*"))
