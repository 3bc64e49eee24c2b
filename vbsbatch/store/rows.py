"""Between values and rows: packing of ids, times, states; one order of columns for all queries."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from math import inf
from operator import attrgetter
from types import NoneType
from typing import Any

from vbsbatch.model import (
    AT_ONCE,
    Answer,
    Attempt,
    BackupSettings,
    Cloud,
    Elapsed,
    Job,
    JobMoved,
    JobState,
    Rate,
    RunNoted,
    Verdict,
    Wall,
)
from vbsbatch.store.row_checks import Row, damaged, one_of, rows_of
from vbsbatch.store.schema import STATES, VERDICTS
from vbsbatch.store.views import hex_text, request_text, uuid_text
from vbsbatch.store.write_ops import ms

STATE_NUMBER = {state: number for number, state in enumerate(STATES)}
VERDICT_NUMBER = {verdict: number for number, verdict in enumerate(VERDICTS)}

FIXED = (
    "no",
    "volume_id",
    "volume_name",
    "backup_name",
    "settings",
    "priority",
    "grp",
    "az",
    "wave",
    "rank",
)
"""Columns of a job that never change after its run was created."""

MUTABLE = (
    "state",
    "attempts",
    "free",
    "due_at",
    "intent_at",
    "unknown_at",
    "later_since",
    "first_sent_at",
    "ended_at",
    "http_status",
    "code",
    "message",
    "cloud_job_id",
    "backup_id",
    "errored_backup_id",
    "progress",
    "intent_cloud_at",
    "first_cloud_at",
)
"""Columns of a job that its engine writes."""

MUTABLE_FIELDS = tuple({"free": "uncharged"}.get(column, column) for column in MUTABLE)
"""The fields of `Job` that are in these columns."""

_AS_TEXT: dict[str, Callable[[str], str]] = {
    "volume_id": uuid_text,
    "cloud_job_id": hex_text,
    "backup_id": uuid_text,
    "errored_backup_id": uuid_text,
    "request_id": request_text,
}

ATTEMPT = (
    "number",
    "sent_at",
    "took",
    "verdict",
    "http_status",
    "code",
    "message",
    "request_id",
    "cloud_job_id",
    "backup_id",
)
"""Columns of an attempt beside its run and job."""


_JOB = Row("jobs", FIXED + MUTABLE)
_ATTEMPT = Row("attempts", ATTEMPT)


def selected(columns: Sequence[str], table: str, **instead: str) -> str:
    """The SQL list of these columns with ids as text, in the order the readers below expect.

    `instead` names expressions that take the place of columns.
    """

    def expression(name: str) -> str:
        return _AS_TEXT[name](f"{table}.{name}") if name in _AS_TEXT else f"{table}.{name}"

    return ", ".join(instead.get(name) or expression(name) for name in columns)


JOB_COLUMNS = selected(FIXED + MUTABLE, "j")
"""What `read_job` reads, of a table called `j`."""

ATTEMPT_COLUMNS = selected(ATTEMPT, "a")
"""What `read_attempt` reads, of a table called `a`."""


def storable(text: str | None) -> str | None:
    """The text as SQLite can hold it: a server's JSON may smuggle in half a surrogate pair."""
    if text is None or text.isascii():
        return text
    return text.encode("utf-8", "replace").decode("utf-8")


def pack_hex(text: str | None) -> bytes | str | None:
    """32 lower-case hexadecimal digits as 16 bytes, anything else as the text it is."""
    if text is None or len(text) != 32:
        return storable(text)
    try:
        packed = bytes.fromhex(text)
    except ValueError:
        return storable(text)
    return packed if packed.hex() == text else storable(text)


def pack_uuid(text: str | None) -> bytes | str | None:
    """A lower-case UUID with its hyphens as 16 bytes, anything else as the text it is."""
    if text is None or len(text) != 36:
        return storable(text)
    if not text[8] == text[13] == text[18] == text[23] == "-":
        return storable(text)
    packed = pack_hex(text.replace("-", ""))
    return packed if isinstance(packed, bytes) else storable(text)


def pack_request(text: str | None) -> bytes | str | None:
    """A request id `req-<uuid>` as 16 bytes, anything else as the text it is."""
    if text is None or not text.startswith("req-"):
        # Not packed, though a bare UUID could be: 16 bytes in this column mean `req-<uuid>`.
        return storable(text)
    packed = pack_uuid(text[4:])
    return packed if isinstance(packed, bytes) else storable(text)


def time_ms(at: float | Elapsed | Wall | Cloud | None) -> int | None:
    """A time or duration as the store keeps it, None for none."""
    return None if at is None else ms(at)


def seconds(milliseconds: int | None) -> float | None:
    """The inverse of `time_ms`."""
    return None if milliseconds is None else milliseconds / 1000


def backup_settings_text(settings: BackupSettings) -> str:
    """Backup settings as JSON, absent parts left out."""
    parts: dict[str, Any] = {}
    if settings.description is not None:
        parts["description"] = settings.description
    if settings.tags:
        parts["tags"] = dict(settings.tags)
    if settings.full is not None:
        parts["full"] = settings.full
    if settings.snapshot_id is not None:
        parts["snapshot_id"] = settings.snapshot_id
    if not settings.force:
        parts["force"] = False
    if settings.full_if_no_parent:
        parts["full_if_no_parent"] = True
    if settings.source_backup_id is not None:
        parts["source_backup_id"] = settings.source_backup_id
    return json.dumps(parts, separators=(",", ":"))


def read_backup_settings(text: str) -> BackupSettings:
    """The inverse of `backup_settings_text`."""
    try:
        parts = json.loads(text)
        tags = tuple(parts.get("tags", {}).items())
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise damaged("settings of a backup") from error
    if not (_are(str, *(word for pair in tags for word in pair)) and _are_settings(parts)):
        raise damaged("settings of a backup")
    return BackupSettings(
        description=parts.get("description"),
        tags=tags,
        full=parts.get("full"),
        snapshot_id=parts.get("snapshot_id"),
        force=parts.get("force", True),
        full_if_no_parent=parts.get("full_if_no_parent", False),
        source_backup_id=parts.get("source_backup_id"),
    )


def _are_settings(parts: dict[str, Any]) -> bool:
    """Whether each part is of its type, or absent."""
    texts = (parts.get(name) for name in ("description", "snapshot_id", "source_backup_id"))
    flags = (parts.get(name) for name in ("full", "force", "full_if_no_parent"))
    return _are((str, NoneType), *texts) and _are((bool, NoneType), *flags)


def _are(kind: type | tuple[type, ...], *values: object) -> bool:
    return all(isinstance(value, kind) for value in values)


def rate_text(rate: Rate | None) -> str | None:
    """A rate as `count/seconds`."""
    return None if rate is None else f"{rate.count:.15g}/{rate.per:.15g}"


def read_rate(text: str | None) -> Rate | None:
    """The inverse of `rate_text`."""
    if text is None:
        return None
    try:
        count, per = map(float, text.split("/"))
    except (ValueError, AttributeError) as error:
        raise damaged("a rate") from error
    if not (0 < count < inf and 0 < per < inf):
        raise damaged("a rate")
    return Rate(count=count, per=per)


def mutable_row(job: Job) -> tuple[Any, ...]:
    """The job's `MUTABLE` columns."""
    return (
        STATE_NUMBER[job.state],
        job.attempts,
        job.uncharged,
        ms(job.due_at),
        time_ms(job.intent_at),
        time_ms(job.unknown_at),
        time_ms(job.later_since),
        time_ms(job.first_sent_at),
        time_ms(job.ended_at),
        job.http_status,
        storable(job.code),
        storable(job.message),
        pack_hex(job.cloud_job_id),
        pack_uuid(job.backup_id),
        pack_uuid(job.errored_backup_id),
        job.progress,
        time_ms(job.intent_cloud_at),
        None if job.first_cloud_at == job.intent_cloud_at else time_ms(job.first_cloud_at),
    )


def untouched(job: Job) -> bool:
    """Whether the engine's columns of the job are as those of any job that nothing happened to."""
    return bool(_MUTABLE_OF(job) == _UNTOUCHED)


_MUTABLE_OF = attrgetter(*MUTABLE_FIELDS)
_UNTOUCHED = _MUTABLE_OF(Job(no=0, volume_id="", volume_name="", backup_name=""))


def fixed_row(job: Job, defaults: BackupSettings) -> tuple[Any, ...]:
    """The job's `FIXED` columns; what equals the defaults is left out."""
    return (
        job.no,
        pack_uuid(job.volume_id),
        None if job.volume_name == job.volume_id else storable(job.volume_name),
        storable(job.backup_name),
        None if job.settings == defaults else backup_settings_text(job.settings),
        job.priority,
        storable(job.group),
        storable(job.az),
        job.wave,
        job.rank,
    )


def read_job(row: Sequence[Any], defaults: BackupSettings, step: float = 0.0) -> Job:
    """A job from the columns of `JOB_COLUMNS`.

    Its waits are times of its engine's clock; with the run's `clock_step` they become times that
    the machine's clock shows. `StoreUnusable` for what is no job.
    """
    _JOB.check(row)
    no, volume_id, volume_name, backup_name, settings, priority, group, *rest = row
    az, wave, rank, *rest = rest
    state, attempts, uncharged, due_at, intent_at, unknown_at, later_since, *rest = rest
    first_sent_at, ended_at, http_status, code, message, *rest = rest
    cloud_job_id, backup_id, errored_backup_id, progress, *rest = rest
    intent_cloud_at, first_cloud_at = rest
    return Job(
        no=no,
        volume_id=volume_id,
        volume_name=volume_id if volume_name is None else volume_name,
        backup_name=backup_name,
        settings=defaults if settings is None else read_backup_settings(settings),
        priority=priority,
        group=group,
        az=az,
        wave=wave,
        rank=rank,
        state=one_of(STATES, state, "a state"),
        attempts=attempts,
        uncharged=uncharged,
        due_at=_moved(due_at or None, step) or AT_ONCE,
        intent_at=_moved(intent_at, step),
        unknown_at=_moved(unknown_at, step),
        later_since=_moved(later_since, step),
        first_sent_at=wall_time(first_sent_at),
        ended_at=wall_time(ended_at),
        http_status=http_status,
        code=code,
        message=message,
        cloud_job_id=cloud_job_id,
        backup_id=backup_id,
        errored_backup_id=errored_backup_id,
        progress=progress,
        intent_cloud_at=cloud_time(intent_cloud_at),
        first_cloud_at=cloud_time(
            first_cloud_at or (None if first_sent_at is None else intent_cloud_at)
        ),
    )


def _moved(milliseconds: int | None, step: float) -> Elapsed | None:
    return None if milliseconds is None else Elapsed((milliseconds + ms(step)) / 1000)


def wall_time(milliseconds: int | None) -> Wall | None:
    """A record of the machine's clock."""
    return None if milliseconds is None else Wall(milliseconds / 1000)


def cloud_time(milliseconds: int | None) -> Cloud | None:
    """A time of the cloud's clock."""
    return None if milliseconds is None else Cloud(milliseconds / 1000)


def by_wave(text: str) -> dict[int, dict[JobState, int]]:
    """Jobs by wave and state, from what `statements.WAVES` finds."""
    found: dict[int, dict[JobState, int]] = {}
    for wave, state, jobs in rows_of(text):
        found.setdefault(wave, {})[one_of(STATES, state, "a state")] = jobs
    return found


def attempt_row(no: int, attempt: Attempt) -> tuple[Any, ...]:
    """Job number and the `ATTEMPT` columns; a success keeps no message, it says nothing new."""
    answer = attempt.answer
    accepted = attempt.verdict is Verdict.ACCEPTED
    return (
        no,
        attempt.number,
        ms(attempt.sent_at),
        time_ms(attempt.took),
        VERDICT_NUMBER[attempt.verdict],
        answer.status,
        storable(answer.code),
        None if accepted else storable(answer.message),
        pack_request(answer.request_id),
        pack_hex(answer.cloud_job_id),
        pack_uuid(answer.backup_id),
    )


def read_attempt(row: Sequence[Any]) -> Attempt:
    """An attempt from the columns of `ATTEMPT_COLUMNS`; what else its answer said is not kept."""
    _ATTEMPT.check(row)
    number, sent_at, took, verdict, status, code, message, *rest = row
    request_id, cloud_job_id, backup_id = rest
    return Attempt(
        number=number,
        sent_at=Wall(sent_at / 1000),
        took=seconds(took),
        verdict=one_of(VERDICTS, verdict, "a verdict"),
        answer=Answer(
            status=status,
            code=code,
            message=message,
            request_id=request_id,
            cloud_job_id=cloud_job_id,
            backup_id=backup_id,
        ),
    )


def move_kind(came_from: JobState, to: JobState) -> int:
    """The number that stands for a move in `events.kind`."""
    return STATE_NUMBER[came_from] * 8 + STATE_NUMBER[to]


def told_by_attempt(move: JobMoved) -> bool:
    """Whether the row of its attempt says all there is to say about the move: accepted."""
    accepted = move.attempt is not None and move.attempt.verdict is Verdict.ACCEPTED
    return accepted and move.job.state is JobState.RUNNING and move.note is None


def event_row(event: JobMoved | RunNoted) -> tuple[Any, ...]:
    """The columns at, job, kind, text."""
    if isinstance(event, RunNoted):
        return (ms(event.at), None, storable(event.kind), storable(event.text))
    kind = move_kind(event.came_from, event.job.state)
    return (ms(event.at), event.job.no, kind, storable(event.note))
