"""metrics: served over HTTP or written to a file, whatever becomes of the store."""

from __future__ import annotations

import re
import signal
import socket
import sqlite3
import stat
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from click.testing import CliRunner

from tests.cli.clouds import Process
from tests.cli.harness import Harness, until
from tests.store.fixtures import a_job, a_run
from vbsbatch.cli.app import app
from vbsbatch.cli.metrics_output import MetricsSource
from vbsbatch.cli.metrics_server import MetricsApp
from vbsbatch.store.sqlite.store import SqliteStore


def make_store(path: Path, *runs: str) -> None:
    with SqliteStore.open(path, create=True) as store:
        for run_id in runs:
            store.create_run(a_run(run_id), [a_job(1)])


@contextmanager
def served(harness: Harness, *words: str) -> Iterator[tuple[Process, str]]:
    """The process and the address of its metrics."""
    process = harness.start("metrics", *words)
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    assert address.endswith("/metrics")
    yield process, address
    process.send_signal(signal.SIGTERM)


def get(address: str) -> str:
    answer = httpx.get(address, trust_env=False, timeout=30)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return answer.text


def test_the_server_outlives_a_store_that_comes_goes_and_is_replaced(harness: Harness) -> None:
    with served(harness, "--listen", "0") as (process, address):
        assert address.startswith("http://127.0.0.1:")
        assert "vbsbatch_up 0.0" in get(address)
        harness.state.mkdir(parents=True)
        make_store(harness.store, "r1")
        assert 'vbsbatch_jobs{plan="nightly",run="r1",state="waiting"} 1.0' in get(address)
        harness.store.rename(harness.folder / "away.db")
        assert "vbsbatch_up 0.0" in get(address)
        make_store(harness.store, "r2")
        shown = get(address)
        assert 'run="r2"' in shown
        assert 'run="r1"' not in shown
        site = address.removesuffix("metrics")
        with httpx.Client(trust_env=False) as client:
            assert client.get(site).text == "vbsbatch: the metrics are at /metrics\n"
            assert client.get(site + "other").status_code == 404
            assert client.post(address).status_code == 405
            head = client.head(address)
            assert (head.status_code, head.content) == (200, b"")
            assert int(head.headers["content-length"]) > 1000
    done = harness.finish(process, 0)
    told = done.stderr.splitlines()
    assert told[0] == "Ctrl-C stops the server; runs go on"
    assert [re.sub(r": .*", "", line) for line in told[1:]] == [
        "cannot read the store, so vbsbatch_up is 0",
        "the store can be read again",
    ] * 2


def test_another_address_than_loopback_must_be_named_and_is_warned_of(harness: Harness) -> None:
    with served(harness, "--listen", "0.0.0.0:0") as (process, address):
        get(address.replace("0.0.0.0", "127.0.0.1"))
    assert "warning: whoever reaches http://0.0.0.0:" in harness.finish(process, 0).stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--listen", ":9464"), "names no address: 127.0.0.1:9464, 0.0.0.0:9464"),
        (("--listen", "::1:9464"), "write an IPv6 address in brackets"),
        (("--listen", "127.0.0.1"), "is not ADDRESS:PORT"),
        (("--listen", "127.0.0.1:99999"), "is not ADDRESS:PORT"),
        (("--listen", "9464", "--textfile", "a.prom"), "exclude each other"),
        (("--every", "15s"), "--every needs --textfile"),
        (("--textfile", "a.prom", "--every", "15"), "must have a unit"),
        (("--textfile", "a.prom", "--every", "10ms"), "is not within 1s and 24h"),
    ],
)
def test_wrong_options_are_refused_and_nothing_is_done(words: Any, told: str) -> None:
    done = CliRunner().invoke(app, ["metrics", *words])
    assert done.exit_code == 2
    assert told in " ".join(done.output.split())


def test_an_address_that_cannot_be_had_is_one_line(harness: Harness) -> None:
    with served(harness, "--listen", "[::1]:0") as (process, address):
        taken = address.removeprefix("http://").removesuffix("/metrics")
        line = harness.refused("metrics", "--listen", taken)
        assert line == f"cannot listen on {address}: address already in use"
        line = harness.refused("metrics", "--listen", "192.0.2.1:9464")
        assert line.startswith("cannot listen on http://192.0.2.1:9464/metrics: ")
    harness.finish(process, 0)


@pytest.mark.anyio
async def test_a_locked_store_is_down_at_once_for_all_who_ask_and_up_when_it_is_free(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "runs.db"
    make_store(path, "r1")
    server = MetricsApp(MetricsSource(str(path)), patience=0.2)
    transport = httpx.ASGITransport(server)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:

        async def text() -> str:
            return (await client.get("/metrics")).text

        with closing(sqlite3.connect(path, isolation_level=None)) as holder:
            holder.execute("PRAGMA locking_mode = EXCLUSIVE")
            holder.execute("UPDATE runs SET reason = 'locked'")
            shown: list[str] = []
            async with anyio.create_task_group() as group:
                for _ in range(20):
                    group.start_soon(lambda: _keep(shown, text))
            assert all("vbsbatch_up 0.0" in each for each in shown)
            assert len(shown) == 20
        with anyio.fail_after(60):
            while "vbsbatch_up 1.0" not in await text():
                await anyio.sleep(0.05)
    told = capsys.readouterr().err.splitlines()
    assert "no answer within 0.2 s" in told[0]
    assert told[-1] == "the store can be read again"
    assert len(told) <= 3


async def _keep(shown: list[str], text: Any) -> None:
    shown.append(await text())


def test_a_text_file_is_whole_readable_and_written_until_a_signal(harness: Harness) -> None:
    harness.state.mkdir(parents=True)
    make_store(harness.store, "r1")
    file = harness.folder / "vbsbatch.prom"
    process = harness.start("metrics", "--textfile", str(file), "--every", "1s")
    until(file.exists)
    first = file.stat()
    assert stat.S_IMODE(first.st_mode) == 0o644
    assert 'run="r1"' in file.read_text()
    harness.store.unlink()
    until(lambda: "vbsbatch_up 0.0" in file.read_text(), every=0.01)
    assert file.stat().st_ino != first.st_ino
    process.send_signal(signal.SIGTERM)
    assert "cannot read the store" in harness.finish(process, 0).stderr
    assert [each.name for each in harness.folder.iterdir() if "prom" in each.name] == [file.name]


def test_once_a_text_file_tells_of_a_store_that_is_not_there_with_its_exit_code(
    harness: Harness,
) -> None:
    done = harness("metrics", "--textfile", "metrics.txt", code=2)
    assert "vbsbatch_up 0.0" in (harness.folder / "metrics.txt").read_text()
    assert done.stderr.splitlines()[0].startswith("note: node_exporter reads only files whose")
    assert harness.refused("metrics").startswith("there is no store at ")
    done = harness("metrics", "--textfile", "nowhere/x.prom", code=2)
    line = done.stderr.splitlines()[-1]
    assert line == "vbsbatch: cannot write nowhere/x.prom: the folder does not exist"


def test_more_connections_than_descriptors_neither_end_it_nor_fill_a_log(harness: Harness) -> None:
    harness.state.mkdir(parents=True)
    make_store(harness.store, "r1")
    process = harness.shell(
        f"ulimit -n 80; exec {sys.executable} -P -m vbsbatch metrics --listen 0"
    )
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    host = ("127.0.0.1", int(address.split(":")[2].partition("/")[0]))
    crowd = [socket.create_connection(host) for _ in range(120)]
    hung_up = [each for each in crowd if _is_hung_up(each)]
    assert len(hung_up) > 80
    for each in crowd:
        each.close()
    shown = until(lambda: _try(address))
    assert 'run="r1"' in shown
    long = httpx.get(address, headers={"x": "y" * 60_000}, trust_env=False)
    assert long.status_code == 200
    with pytest.raises(httpx.TransportError):
        httpx.get(address, headers={"x": "y" * 200_000}, trust_env=False)
    process.send_signal(signal.SIGTERM)
    done = harness.finish(process)
    assert done.stderr == "Ctrl-C stops the server; runs go on\n"


def _is_hung_up(connection: socket.socket) -> bool:
    connection.settimeout(0.05)
    try:
        return connection.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def _try(address: str) -> str | None:
    try:
        return get(address)
    except httpx.TransportError:
        return None
