"""A store with something in every column, written the same way each time, and what lies in it.

`known_store.sql` is the dump of the one that was written before settings and rows had one codec.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.store.fixtures import NOW, a_job, a_run, an_attempt, moved, volume
from vbsbatch.model import (
    Answer,
    BackupSettings,
    JobState,
    Limits,
    Message,
    Operation,
    Pin,
    Rate,
    Retry,
    Rule,
    RunNoted,
    RunState,
    Service,
    Settings,
    Timeouts,
    Verdict,
    Wall,
    Wave,
    Window,
)

FIRST, SECOND = "20261118-1200-aaaa", "20261118-1300-bbbb"

DEFAULTS = BackupSettings(description="täglich", tags=(("owner", "ops"),), full=True)

SETTINGS = Settings(
    limits=Limits(
        rate=Rate(count=2.5, per=60), in_flight=7, per_group=2, per_az=(("eu-de-01", 3), ("*", 9))
    ),
    retry=Retry(
        attempts=3, base=0.5, rules=(Rule(verdict=Verdict.LATER, status=503, code="VolumeBackup*"),)
    ),
    timeouts=Timeouts(backup=3600.0),
    deadline=7200.0,
    waves=(Wave(name="früh"), Wave(name="spät", max_failures=3)),
    window=Window(opens=1320, closes=360, timezone="Europe/Berlin"),
    delete_errored=False,
    names_unique=False,
    service=Service.CINDER,
    operation=Operation.RESTORE,
    source_run=SECOND,
    notify=("ops", "mail"),
)

MESSAGE = Message(
    run_id=FIRST,
    fact="end:1",
    channel="ops",
    first_at=Wall(NOW + 71),
    title="zu ende",
    body="ü\nzwei",
    due_at=Wall(NOW + 72),
)

PLACE = {
    "cloud": None,
    "project_id": "0123456789abcdef0123456789abcdef",
    "project_name": "proj",
    "region": "eu-de",
    "endpoint": "https://vbs.example.com/v2",
}


async def write(store: Any) -> None:
    """Write it into an empty store, whose clock stands at `NOW`."""
    store.create_run(a_run(SECOND), [a_job(no) for no in range(1, 71)], BackupSettings())
    run = a_run(
        FIRST,
        settings=SETTINGS,
        created_cloud_at=NOW + 1.25,
        deadline_at=NOW + 7200,
        rate=Rate(count=1 / 3),
        in_flight=5,
        clock_step=0.5,
        **PLACE,
    )
    store.create_run(run, _jobs(), DEFAULTS)
    store.set_limits(FIRST, rate=Rate(count=4, per=3600))
    commands = [store.ask(FIRST, "pause", {"a": ["ä", 1]}, "ann@tty1") for _ in range(3)]
    assert store.withdraw(commands[0])
    async with store.journal(FIRST, inline=True) as journal:
        await journal.begin(store.run(FIRST), NOW + 3.5, NOW + 4)
        commands.append(store.ask(FIRST, "stop", {}, "bob"))
        journal.acknowledge((await journal.commands(NOW + 5))[0], NOW + 6, "stopping")
        await journal.run_state(RunState.RUNNING, NOW + 7)
        await _drive(journal)
        await journal.open_wave(1)
        await journal.heartbeat(
            NOW + 60,
            clock_step=-1.5,
            rate=Rate(count=0.1),
            create_calls=5,
            read_calls=6,
            adopted=7,
            next_look_at=Wall(NOW + 72),
            ends_at=Wall(NOW + 3600),
            rate_used=0.5,
            circuit_open=False,
        )
        await journal.run_state(RunState.ENDED, NOW + 70, "why \ud800 so")
    store.requeue(FIRST, {"codes": ["X"]})
    store.cancel(FIRST, {"volumes": ["db-002"]})
    store.set_retained(SECOND)
    pin: Any = {"pinned_at": Wall(NOW), "pinned_by": "ann"}
    store.pin(Pin(run_id=FIRST, backup_id=volume(8), **pin))
    store.pin(Pin(run_id=SECOND, until=Wall(NOW + 86400), **pin))
    store.messages.post(MESSAGE)
    store.messages.claim(MESSAGE, Wall(NOW + 117))
    store.messages.failed(MESSAGE, "no connection", Wall(NOW + 80))


def _jobs() -> list[Any]:
    return [
        a_job(1, settings=DEFAULTS, priority=3, group="db", az="eu-de-01", rank=2, size=40),
        a_job(2, settings=DEFAULTS, due_at=NOW + 9, wave=1),
        a_job(3, volume_name=volume(3), settings=BackupSettings(source_backup_id="b", force=False)),
        a_job(4, volume_id="Odd Id", settings=BackupSettings(snapshot_id="s", full=False)),
        a_job(5, volume_id=volume(5).upper(), settings=BackupSettings(full_if_no_parent=True)),
        a_job(6, state=JobState.SKIPPED, message="has one", ended_at=NOW, settings=DEFAULTS),
    ]


async def _drive(journal: Any) -> None:
    one, three, four, five = await journal.claim(NOW + 8, 9, cloud_now=NOW + 48)
    answer = Answer(status=202, cloud_job_id="4010b39b5281d3590152874bfa3b1604", backup_id="odd")
    ids: Any = {"request_id": f"req-{volume(77)}", "backup_id": volume(7)}
    refused = Answer(status=400, code="X", message="zu groß \U0001f4be", **ids)
    sent: Any = {"first_sent_at": NOW + 9, "first_cloud_at": NOW + 49}
    running = moved(one, JobState.RUNNING, NOW + 10, attempt=an_attempt(answer=answer), **sent)
    journal.record(running)
    ended: Any = {"backup_id": volume(8), "progress": 100, "ended_at": NOW + 20}
    journal.record(moved(running.job, JobState.SUCCEEDED, NOW + 20, **ended))
    attempt = an_attempt(verdict=Verdict.FAIL, answer=refused, took=None)
    failed: Any = {"http_status": 400, "code": "X", "message": "no", "ended_at": NOW + 11, **sent}
    journal.record(moved(three, JobState.FAILED, attempt=attempt, note="gave up", **failed))
    unknown = moved(four, JobState.UNKNOWN, unknown_at=NOW + 12, uncharged=1, later_since=NOW + 2)
    journal.record(unknown)
    journal.touch(replace(unknown.job, errored_backup_id=volume(9).replace("-", ""), progress=5))
    journal.record(moved(five, JobState.RUNNING, first_sent_at=NOW + 9, first_cloud_at=NOW + 48))
    journal.record(RunNoted(at=Wall(NOW + 13), kind="limiter", text="5/s -> 4/s"))
    await journal.flush()


def dump(path: Path) -> str:
    """Everything in the tables, as SQL."""
    with closing(sqlite3.connect(path)) as db:
        return "\n".join([*db.iterdump(), ""])
