"""Which columns keep a run, a job, an attempt, an event and a command; all queries use these."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vbsbatch.model import (
    AT_ONCE,
    Answer,
    Attempt,
    BackupSettings,
    Command,
    Elapsed,
    Job,
    JobMoved,
    JobState,
    MissedKind,
    MissedStart,
    Pin,
    PlanTotals,
    Run,
    RunNoted,
    Verdict,
)
from vbsbatch.store.ports import Event
from vbsbatch.store.records import STATES, damaged, ms, one_of
from vbsbatch.store.sqlite.codec import (
    AMOUNT,
    ARGUMENT,
    BACKUP_SETTINGS,
    CLOUD,
    ELAPSED,
    EVENT_KIND,
    HEX,
    JOB_STATE,
    NUMBER,
    RATE,
    REQUEST,
    RUN_STATE,
    SECONDS,
    SETTINGS,
    STATE_NUMBER,
    TEXT,
    UUID,
    VERDICT,
    VERIFIED,
    WALL,
    YES_NO,
    RowCodec,
    column,
    rows_of,
    storable,
)

RUN = RowCodec(
    "runs",
    column("id", TEXT),
    column("plan", TEXT),
    column("cloud", TEXT, null=True),
    column("project_id", TEXT, null=True),
    column("state", RUN_STATE),
    column("settings", SETTINGS),
    column("created_at", WALL),
    column("started_at", WALL, null=True),
    column("ended_at", WALL, null=True),
    column("reason", TEXT, null=True),
    column("deadline_at", WALL, null=True),
    column("rate", RATE, null=True),
    column("in_flight", NUMBER, null=True),
    column("pid", NUMBER, null=True),
    column("host", TEXT, null=True),
    column("heartbeat_at", WALL, null=True),
    column("create_calls", NUMBER),
    column("read_calls", NUMBER),
    column("wave", NUMBER),
    column("created_cloud_at", CLOUD, null=True),
    column("clock_step", SECONDS),
    column("adopted", NUMBER),
    column("region", TEXT, null=True),
    column("project_name", TEXT, null=True),
    column("endpoint", TEXT, null=True),
    column("next_look_at", WALL, null=True),
    column("ends_at", WALL, null=True),
    column("verified_at", WALL, null=True),
    column("verified", VERIFIED, null=True),
    column("rate_used", AMOUNT, null=True),
    column("circuit_open", YES_NO, null=True),
    column("compacted_at", WALL, null=True),
    column("retained_at", WALL, null=True),
)

TOTALS = RowCodec(
    "totals",
    column("plan", TEXT),
    column("gigabytes", NUMBER),
    column("create_calls", NUMBER),
    column("read_calls", NUMBER),
    column("succeeded_at", WALL, null=True),
)

SIZE = column("size", NUMBER, null=True)

FIXED = RowCodec(
    "jobs",
    column("no", NUMBER),
    column("volume_id", UUID),
    column("volume_name", TEXT, null=True),
    column("backup_name", TEXT),
    column("settings", BACKUP_SETTINGS, null=True),
    column("priority", NUMBER),
    column("grp", TEXT, "group", null=True),
    column("az", TEXT, null=True),
    column("wave", NUMBER),
    column("rank", NUMBER),
    SIZE,
)
"""What is known of a job when its run is created; of these only the size may change later."""

MUTABLE = RowCodec(
    "jobs",
    column("state", JOB_STATE),
    column("attempts", NUMBER),
    column("free", NUMBER, "uncharged"),
    column("due_at", ELAPSED),
    column("intent_at", ELAPSED, null=True),
    column("unknown_at", ELAPSED, null=True),
    column("later_since", ELAPSED, null=True),
    column("first_sent_at", WALL, null=True),
    column("ended_at", WALL, null=True),
    column("http_status", NUMBER, null=True),
    column("code", TEXT, null=True),
    column("message", TEXT, null=True),
    column("cloud_job_id", HEX, null=True),
    column("backup_id", UUID, null=True),
    column("errored_backup_id", UUID, null=True),
    column("progress", NUMBER, null=True),
    column("intent_cloud_at", CLOUD, null=True),
    column("first_cloud_at", CLOUD, null=True),
    SIZE,
)
"""What a job's engine writes."""

JOB = RowCodec("jobs", *FIXED.columns, *(each for each in MUTABLE.columns if each is not SIZE))

ATTEMPT = RowCodec(
    "attempts",
    column("number", NUMBER),
    column("sent_at", WALL),
    column("took", SECONDS, null=True),
    column("verdict", VERDICT),
    column("http_status", NUMBER, "answer.status", null=True),
    column("code", TEXT, "answer.code", null=True),
    column("message", TEXT, "answer.message", null=True),
    column("request_id", REQUEST, "answer.request_id", null=True),
    column("cloud_job_id", HEX, "answer.cloud_job_id", null=True),
    column("backup_id", UUID, "answer.backup_id", null=True),
)

EVENT = RowCodec(
    "events",
    column("id", NUMBER),
    column("at", WALL),
    column("job", NUMBER, "no", null=True),
    column("kind", EVENT_KIND),
    column("text", TEXT, null=True),
)

COMMAND = RowCodec(
    "commands",
    column("id", NUMBER),
    column("verb", TEXT),
    column("argument", ARGUMENT),
    column("asked_by", TEXT),
    column("asked_at", WALL),
)

MISSED_START = RowCodec(
    "missed_starts",
    column("plan", TEXT),
    column("at", WALL),
    column("kind", TEXT),
    column("run_id", TEXT, null=True),
    column("text", TEXT, null=True),
)
"""A missed start, with the id of its run."""


PIN = RowCodec(
    "pins",
    column("id", TEXT, "run_id"),
    column("backup_id", UUID, null=True),
    column("until", WALL, null=True),
    column("pinned_at", WALL),
    column("pinned_by", TEXT),
)
"""A pin; its first column is the id of its run, from `runs`."""

MESSAGE = RowCodec(
    "messages",
    column("fact", TEXT),
    column("channel", TEXT),
    column("first_at", WALL),
    column("title", TEXT),
    column("body", TEXT),
    column("tries", NUMBER),
    column("due_at", WALL),
    column("sent_at", WALL, null=True),
    column("error", TEXT, null=True),
)

CODE_COUNT = RowCodec(
    "attempts",
    column("http_status", NUMBER, null=True),
    column("code", TEXT, null=True),
    column("number", NUMBER),
)
"""What counts jobs or answers by status and code gives."""

JOB_COLUMNS = JOB.selected("j")
"""What `read_job` reads, of a table called `j`."""

ATTEMPT_COLUMNS = ATTEMPT.selected("a")
"""What `read_attempt` reads, of a table called `a`."""

_UNTOUCHED = MUTABLE.values_of(Job(no=0, volume_id="", volume_name="", backup_name=""))[:-1]
"""What the engine writes, but the size, as it is before anything has happened."""

_WAITS = ("intent_at", "unknown_at", "later_since")


def untouched(job: Job) -> bool:
    """Whether the engine's columns are as those of any job that nothing happened to."""
    return bool(MUTABLE.values_of(job)[:-1] == _UNTOUCHED)


def fixed_row(job: Job, defaults: BackupSettings) -> tuple[Any, ...]:
    """The job's `FIXED` columns; what equals the defaults is left out."""
    absent = []
    if job.volume_name == job.volume_id:
        absent.append("volume_name")
    if job.settings == defaults:
        absent.append("settings")
    return FIXED.encode(job, absent=absent)


def new_row(job: Job, defaults: BackupSettings) -> tuple[Any, ...]:
    """The job's `JOB` columns."""
    return (*fixed_row(job, defaults), *mutable_row(job)[:-1])


def mutable_row(job: Job) -> tuple[Any, ...]:
    """The job's `MUTABLE` columns; a first create that is also the newest is stored once."""
    once = job.first_cloud_at == job.intent_cloud_at
    return MUTABLE.encode(job, absent=("first_cloud_at",) if once else ())


def read_job(row: Sequence[Any], defaults: BackupSettings, step: float = 0.0) -> Job:
    """A job from the columns of `JOB_COLUMNS`.

    Its waits are times of its engine's clock; with the run's `clock_step` they become times that
    the machine's clock shows. `StoreUnusable` for what is no job.
    """
    job = JOB.decode(row)
    if job["volume_name"] is None:
        job["volume_name"] = job["volume_id"]
    if job["settings"] is None:
        job["settings"] = defaults
    if job["first_sent_at"] is not None and not job["first_cloud_at"]:
        job["first_cloud_at"] = job["intent_cloud_at"]
    if step:
        for name in _WAITS if job["due_at"] == AT_ONCE else ("due_at", *_WAITS):
            if job[name] is not None:
                job[name] = Elapsed((ms(job[name]) + ms(step)) / 1000)
    return Job(**job)


def read_run(row: Sequence[Any]) -> Run:
    """A run from the columns of `RUN`; `ValueError` for settings that are none."""
    return Run(**RUN.decode(row))


def read_totals(row: Sequence[Any]) -> PlanTotals:
    """The totals of a plan from the columns of `TOTALS`."""
    found = TOTALS.decode(row)
    return PlanTotals(**{**found, "plan": found["plan"] or None})


def attempt_row(no: int, attempt: Attempt) -> tuple[Any, ...]:
    """Job number and the `ATTEMPT` columns; a success keeps no message, it says nothing new."""
    accepted = attempt.verdict is Verdict.ACCEPTED
    return (no, *ATTEMPT.encode(attempt, absent=("answer.message",) if accepted else ()))


def read_attempt(row: Sequence[Any]) -> Attempt:
    """An attempt from the columns of `ATTEMPT_COLUMNS`; what else its answer said is not kept."""
    attempt = ATTEMPT.decode(row)
    parts = [name for name in attempt if name.startswith("answer.")]
    answer = {name.removeprefix("answer."): attempt.pop(name) for name in parts}
    return Attempt(**attempt, answer=Answer(**answer))


def event_row(event: JobMoved | RunNoted) -> tuple[Any, ...]:
    """The columns at, job, kind, text; the kind of a move is a number."""
    if isinstance(event, RunNoted):
        return (ms(event.at), None, storable(event.kind), storable(event.text))
    kind = STATE_NUMBER[event.came_from] * 8 + STATE_NUMBER[event.job.state]
    text = None if event.note is None else storable(event.note)
    return (ms(event.at), event.job.no, kind, text)


def read_event(row: Any) -> Event:
    """An event from the columns of `EVENT`."""
    event = EVENT.decode(row)
    if isinstance(event["kind"], str):
        return Event(**event)
    came_from, to = divmod(event["kind"], 8)
    moved = {"came_from": came_from, "to": to}
    words = {name: one_of(STATES, number, "a move") for name, number in moved.items()}
    return Event(**event | {"kind": "move"} | words)


def read_missed_start(row: Sequence[Any]) -> MissedStart:
    """A missed start from the columns of `MISSED_START`."""
    found = MISSED_START.decode(row)
    if found["kind"] not in [*MissedKind]:
        raise damaged("a kind of missed start")
    return MissedStart(**found | {"kind": MissedKind(found["kind"])})


def read_pin(row: Sequence[Any]) -> Pin:
    """A pin from the columns of `PIN`."""
    return Pin(**PIN.decode(row))


def read_commands(text: str) -> list[Command]:
    """Commands from the JSON of `COMMAND` rows."""
    return [Command(**COMMAND.decode(row)) for row in rows_of(text)]


def by_state(text: str) -> dict[JobState, int]:
    """Jobs by state, from what `journal_sql.COUNTS` finds."""
    return {one_of(STATES, state, "a state"): jobs for state, jobs in rows_of(text)}


def by_wave(text: str) -> dict[int, dict[JobState, int]]:
    """Jobs by wave and state, from what `journal_sql.WAVES` finds."""
    found: dict[int, dict[JobState, int]] = {}
    for wave, state, jobs in rows_of(text):
        found.setdefault(wave, {})[one_of(STATES, state, "a state")] = jobs
    return found
