"""Runs that tell somebody, as processes: real mail, real web requests, kills."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.cli.harness import FAST, SLOW, Harness, until
from tests.receivers import Hook, Mailbox, arguments_of_processes

SECRET = "T0KEN-that-nobody-may-see"


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    made = Mailbox()
    yield made
    made.close()


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook(SECRET)
    yield made
    made.close()


def configure(harness: Harness, **sections: Any) -> Path:
    path = harness.folder / "config" / "vbsbatch" / "config.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(0o600)
    path.write_text(json.dumps(sections))
    return path


def messages(harness: Harness) -> list[tuple[Any, ...]]:
    """Kind of fact, channel and whether it was sent, of every message in the store."""
    with closing(sqlite3.connect(harness.store)) as db:
        rows = db.execute("SELECT fact, channel, sent_at FROM messages ORDER BY fact, channel")
        return [(fact.partition(":")[0], channel, at is not None) for fact, channel, at in rows]


def heartbeat(harness: Harness) -> Any:
    with closing(sqlite3.connect(harness.store)) as db:
        return db.execute("SELECT heartbeat_at FROM runs").fetchone()[0]


def files_with(harness: Harness, secret: str) -> list[str]:
    """The files below the harness's folder that hold the secret, apart from the config file."""
    found = [path for path in harness.folder.rglob("*") if path.is_file()]
    return [
        path.name
        for path in found
        if path.name != "config.yaml" and secret.encode() in path.read_bytes()
    ]


def test_a_run_tells_its_channels_and_pings_and_no_url_is_anywhere(
    harness: Harness, mailbox: Mailbox, hook: Hook
) -> None:
    cloud = harness.cloud()
    ids = [volume["ID"] for volume in cloud.volumes()]
    refusal = "on: create, do: status, status: 400, code: VolumeBackup.0005"
    cloud.behave(f"{FAST}faults:\n  - {{{refusal}, volumes: [{ids[0]}, {ids[1]}]}}\n")
    mailbox.open()
    seen: list[bytes] = []
    hook.meanwhile = lambda: seen.append(arguments_of_processes())
    ping = {word: hook.url("http", f"/{word}") for word in ("start", "success", "failure")}
    ends = {"events": ["end"]}
    configure(
        harness,
        notify={
            "mail": {"url": mailbox.url, **ends},
            "hook": {"url": hook.url("json"), **ends},
            "other": {"url": hook.url("json", "/other"), "default": False},
        },
        ping={"night": ping},
    )
    done = harness("run", "plan.yaml", code=1)

    run_id = harness.run_id()
    (mail,) = mailbox.mails
    assert mail.subject == f"vbsbatch: night: ended, 2 of 10 without a backup (run {run_id})"
    for line in (
        "10 volumes: 8 succeeded, 2 failed.",
        "  2 x name starts with auto (HTTP 400, VolumeBackup.0005)",
        f"  vbsbatch retry {run_id} --code VolumeBackup.0005",
    ):
        assert line in mail.text.splitlines()
    assert hook.titles() == [mail.subject]
    assert hook.pings() == ["/start", "/failure"]
    assert messages(harness) == [("end", "hook", True), ("end", "mail", True)]
    assert "notify   end: sent to mail" in done.stderr

    report = harness.folder / "report.html"
    harness("report", "latest", "--format", "html", "--output", str(report))
    harness("config", "--json")
    assert SECRET not in "".join(harness.heard)
    assert files_with(harness, SECRET) == []
    assert os.listdir(harness.folder / "home") == [], "what sends keeps nothing"
    assert seen
    assert SECRET.encode() not in b"".join(seen)


def test_a_message_that_a_killed_engine_could_not_send_is_sent_once_by_whoever_watches(
    harness: Harness, mailbox: Mailbox
) -> None:
    harness.cloud()
    configure(harness, notify={"mail": {"url": mailbox.url, "events": ["end", "engine_gone"]}})
    engine = harness.start("run", "plan.yaml")
    until(harness.store.exists)
    until(lambda: "notify" in [event[0] for event in events(harness)])
    assert messages(harness) == [("end", "mail", False)]
    engine.kill()
    engine.communicate()
    assert "end: not sent to mail: connection refused; it will be tried again" in [
        text for _, text in events(harness)
    ]
    mailbox.open()
    watchers = [harness.start("watch", "--every", "1s") for _ in range(2)]
    until(lambda: mailbox.mails)
    until(lambda: messages(harness) == [("end", "mail", True)])
    for each in watchers:
        each.terminate()
        harness.finish(each, 0)
    harness("watch", "--once")
    assert [mail.subject.partition(" (")[0] for mail in mailbox.mails] == [
        "vbsbatch: night: ended, all 10 done"
    ]


def events(harness: Harness) -> list[tuple[str, str]]:
    """Kind and text of the events of all runs that are not about one job."""
    if not harness.store.stat().st_size:
        return []
    with closing(sqlite3.connect(harness.store)) as db:
        query = "SELECT kind, text FROM events WHERE job IS NULL"
        try:
            return list(db.execute(query))
        except sqlite3.OperationalError:  # the store is being made
            return []


def test_an_engine_that_is_gone_is_told_once_and_the_resumed_run_ends_once(
    harness: Harness, hook: Hook
) -> None:
    cloud = harness.cloud(SLOW, volumes=3)
    configure(harness, notify={"hook": {"url": hook.url("json")}})
    engine = harness.start("run", "plan.yaml")
    until(lambda: cloud.creates() == 3)
    until(lambda: [job["state"] for job in harness.jobs()] == ["running"] * 3)
    engine.kill()
    engine.communicate()
    both = [harness.start("watch", "--once") for _ in range(2)]
    for each in both:
        harness.finish(each)
    until(lambda: hook.titles())
    harness("watch", "--once")
    (gone,) = [json.loads(body) for _, body in hook.hits]
    assert "no sign of life from its engine" in gone["title"]
    assert "has not ended: its engine is gone, " in gone["message"]
    run_id = harness.run_id()
    assert f"  vbsbatch resume {run_id}" in gone["message"].splitlines()

    before = heartbeat(harness)
    engine = harness.start("resume")
    until(lambda: heartbeat(harness) != before)
    engine.send_signal(signal.SIGTERM)
    harness.finish(engine, 3)
    harness("watch", "--once")
    assert [title.partition(" (")[0] for title in hook.titles()] == [
        "vbsbatch: night: no sign of life from its engine",
        "vbsbatch: night: stopped: stopped by SIGTERM",
    ]
    assert "stopped by SIGTERM" in hook.hits[-1][1]


def test_channels_that_are_down_cost_no_backup_and_a_second_signal_does_not_wait_for_them(
    harness: Harness, mailbox: Mailbox
) -> None:
    harness.cloud()
    ends = {"events": ["end"]}
    configure(
        harness, notify={"mail": {"url": mailbox.url, **ends}, "none": {"env": "NO_URL", **ends}}
    )
    engine = harness.start("run", "plan.yaml")
    until(harness.store.exists)
    until(lambda: "notify" in [event[0] for event in events(harness)])
    assert engine.poll() is None, "it waits for its last message"

    def interrupted() -> bool:
        engine.send_signal(signal.SIGINT)
        return engine.poll() is not None

    until(interrupted, every=0.3)
    done = harness.finish(engine)
    words = "warning: channel none is not told: the environment variable NO_URL is not set"
    assert words in done.stderr
    assert messages(harness) == [("end", "mail", False), ("end", "none", False)]
    assert [run["state"] for run in harness.runs()] == ["ended"]


def test_a_plan_with_a_wrong_channel_starts_nothing(harness: Harness) -> None:
    configure(harness, notify={"ops": {"env": "OPS_URL"}})
    volumes = [{"id": "6ba7b810-9dad-11d1-80b4-000000000001"}]
    harness.write_plan(notify=["opps"], volumes_from=None, volumes=volumes)
    words = 'notify: the config file has no channel "opps": did you mean "ops"?'
    assert words in harness.refused("run", "plan.yaml")
    assert not harness.store.exists()


def test_notify_test_says_what_each_channel_did(
    harness: Harness, mailbox: Mailbox, hook: Hook
) -> None:
    mailbox.open()
    down = Mailbox()
    configure(
        harness,
        notify={
            "mail": {"url": mailbox.url},
            "down": {"url": down.url},
            "hook": {"url": [hook.url("json"), hook.url("json", "?verify=no")]},
            "none": {"env": "NO_SUCH_URL"},
            "odd": {"url": f"nosuch://{SECRET}"},
        },
    )
    done = harness("notify", "test", code=1)
    assert done.stdout.splitlines() == [
        "mail: sent",
        "down: not sent: connection refused",
        "hook/1: sent",
        "hook/2: not sent: its URL says verify=no: TLS certificates are always verified",
        "none: not sent: the environment variable NO_SUCH_URL is not set",
        "odd: not sent: apprise does not understand its URL",
    ]
    hook.status, hook.hits = 302, []
    done = harness("notify", "test", "hook/1", code=1)
    assert done.stdout == "hook/1: not sent: it answered HTTP 302\n"
    assert [path for path, _ in hook.hits] == [""], "no redirect is followed"
    assert [mail.subject for mail in mailbox.mails] == ["vbsbatch: a test message"]
    assert harness.refused("notify", "test", "mial").endswith("did you mean 'mail'?")
    assert SECRET not in harness.refused("notify", "test", hook.url("json"))
    listed = json.loads(harness("notify", "list", "--json").stdout)["channels"]
    assert [(each["name"], each["kind"], each["known"]) for each in listed][2:5] == [
        ("hook/1", "json", True),
        ("hook/2", "json", True),
        ("none", "-", False),
    ]
    assert SECRET not in "".join(harness.heard)


def test_without_channels_there_is_nothing_to_watch_with(harness: Harness) -> None:
    assert "has no channels" in harness.refused("watch", "--once")
