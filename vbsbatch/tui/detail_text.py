"""One job in lines: what it is, why it is in its state, and the parts below that."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from rich.cells import chop_cells

from vbsbatch.model import Attempt, Job, JobState, Operation, Verdict, Wall, as_wall
from vbsbatch.report.text import clean, moment, span
from vbsbatch.store import Event
from vbsbatch.tui import event_pane, formatting, frames
from vbsbatch.tui.alphabet import DOT
from vbsbatch.tui.formatting import Line
from vbsbatch.tui.sanitize import cut, fit
from vbsbatch.tui.view_models import Detail, Sent

PARTS = ("attempts", "events", "exchange", "timeline")

_PARAGRAPH = 3
"""Lines of one text above the parts at most."""

_LONGEST = 20_000
"""Characters of one text that are shown at most."""


def ids(detail: Detail) -> list[tuple[str, str | None]]:
    """Everything that can be copied, by name."""
    job = detail.job
    request = detail.attempts[-1].answer.request_id if detail.attempts else None
    return [
        ("volume id", job.volume_id),
        ("backup id", job.backup_id),
        ("request id", request),
        ("cloud job id", job.cloud_job_id),
        ("backup name", job.backup_name),
    ]


def title(job: Job, width: int) -> Line:
    """The upper line of the frame: which job, its state, its volume."""
    mark = formatting.mark_of(job)
    name = (
        (cut(job.volume_name, max(1, width - 34)), "title"),
        (f" {DOT} job {job.no:05d}", "dim"),
    )
    return frames.upper(name, ((f"{mark.glyph} {mark.word}", mark.role),), width)


def head(detail: Detail, now: float, width: int) -> list[Line]:
    """What the job is: ids, times, and why it is where it is."""
    job = detail.job
    mark = formatting.mark_of(job)
    lines: list[Line] = []
    lines += [
        ((f" {name:<13}", "dim"), (cut(value or "-", width - 14), "plain"))
        for name, value in ids(detail)
    ]
    said: list[tuple[str, str | None, str]] = [
        ("times", _times(job, detail.run.created_at, now), "plain"),
        ("part of", _part_of(detail), "plain"),
        ("why", why(job, now, detail.run.settings.operation), mark.role),
        ("code means", detail.meaning if _is_refusal(job) else None, "plain"),
        ("message", job.message, "plain"),
    ]
    for name, text, role in said:
        lines += _paragraph(name, text, role, width) if text else []
    return lines


def _part_of(detail: Detail) -> str:
    """The job's group and wave; empty without either."""
    job, waves = detail.job, detail.run.settings.waves
    group = f"group {job.group}" if job.group else ""
    wave = f"wave {waves[job.wave].name}" if job.wave < len(waves) else ""
    return ", ".join(filter(None, (group, wave)))


def _is_refusal(job: Job) -> bool:
    """Whether the newest answer was anything but an accepted create."""
    return job.code is not None or (job.http_status is not None and job.http_status >= 300)


def _paragraph(name: str, text: str, role: str, width: int) -> list[Line]:
    """A text after its name, on a few lines at most, broken between words where there are any."""
    room = max(2, width - 14)
    pieces = [
        piece
        for words_of in textwrap.wrap(clean(text[:_LONGEST]), room, break_long_words=False)
        for piece in chop_cells(words_of, room)
    ]
    return [
        ((f" {name if index == 0 else '':<13}", "dim"), (piece, role))
        for index, piece in enumerate(pieces[:_PARAGRAPH])
    ]


def _times(job: Job, queued_at: Wall | None, now: float) -> str:
    times = (("queued", queued_at), ("first sent", job.first_sent_at), ("ended", job.ended_at))
    return "  ".join(f"{name} {_when(at, now)}" for name, at in times)


def _when(at: Wall | None, now: float) -> str:
    """A time of day, with its date when that is not today's (UTC)."""
    if at is None:
        return "-"
    return moment(at)[11:] if moment(at)[:10] == moment(now)[:10] else moment(at)


_CREATES = {
    Operation.BACKUP: "create",
    Operation.RESTORE: "restore",
    Operation.PRUNE: "deletion",
}
"""What the one request of a job is called."""

_SUCCEEDED = {
    Operation.BACKUP: "the backup is available",
    Operation.RESTORE: "the volume was overwritten with the backup",
    Operation.PRUNE: "the backup is deleted",
}


def why(job: Job, now: float, operation: Operation = Operation.BACKUP) -> str:
    """Why the job is in its state, in words."""
    create = _CREATES[operation]
    kind = formatting.failure(job.http_status, job.code)
    tried = f"{job.attempts} attempt{'s' if job.attempts != 1 else ''}"
    tried += f", {job.uncharged} of them not counted" if job.uncharged else ""
    match job.state:
        case JobState.WAITING if job.attempts:
            at = float(as_wall(job.due_at))
            due = f"in {span(at - now)}" if at > now else "now"
            return f"the last {create} came back with {kind}; the next is due {due} ({tried})"
        case JobState.WAITING:
            return "not sent yet"
        case JobState.SUBMITTING:
            return f"a {create} is on its way"
        case JobState.UNKNOWN:
            since = ""
            if job.unknown_at is not None:
                since = f" {span(now - float(as_wall(job.unknown_at)))} ago"
            return f"a {create} was not answered{since}: the cloud is asked before anything else"
        case JobState.RUNNING:
            done = "" if job.progress is None else f", {job.progress}% done"
            return f"the cloud is working on it{done}"
        case JobState.SUCCEEDED:
            return _SUCCEEDED[operation]
        case JobState.FAILED:
            return f"failed with {kind} ({tried})"
        case JobState.CANCELLED:
            return f"cancelled by an operator: no {create} was left under way"
        case _:
            return f"left out when the run began: no {create} was needed"


def part(name: str, detail: Detail, now: float, width: int, sent: Sent | None) -> list[Line]:
    """The lines of one part; `sent` is its request, None while that is looked up."""
    match name:
        case "attempts":
            return attempts(detail.attempts, width)
        case "events":
            found = history(detail)
            return [event_pane.line(event, None, width) for event in found] or _nothing()
        case "exchange":
            return exchange(detail, width, sent)
        case _:
            return timeline(detail, now, width)


def _nothing() -> list[Line]:
    return [((" nothing yet", "dim"),)]


def attempts(found: Sequence[Attempt], width: int) -> list[Line]:
    """One line for each create: when, how long, the answer, the verdict."""
    heads = (" #", 3), ("SENT", 15), ("TOOK", 7), ("HTTP", 5), ("CODE", 11), ("AFTER", 6)
    lines: list[Line] = [
        ((" ".join(fit(text, size) for text, size in heads) + " VERDICT   MESSAGE", "dim"),)
    ]
    for attempt in found:
        answer = attempt.answer
        took = "-" if attempt.took is None else f"{attempt.took:.2f}s"
        after = "-" if answer.retry_after is None else span(answer.retry_after)
        status = "-" if answer.status is None else str(answer.status)
        code = formatting.short_code(answer.code)
        cells = [f"{attempt.number:2d}", moment(attempt.sent_at)[5:], took, status, code, after]
        text = " ".join(fit(cell, size) for cell, (_, size) in zip(cells, heads, strict=True))
        text += f" {attempt.verdict:<9} " + clean(answer.message or "")[:width]
        lines.append(((cut(text, width), "plain"),))
    return lines if found else _nothing()


def exchange(detail: Detail, width: int, sent: Sent | None) -> list[Line]:
    """The newest create and its answer; headers with tokens are never stored, so never shown."""
    lines: list[Line] = [((" request", "title"),)]
    lines += [((" ...", "dim"),)] if sent is None else _sent(sent, width)
    lines.append(())
    if not detail.attempts:
        return [*lines, ((" no answer yet", "dim"),)]
    newest = detail.attempts[-1]
    answer = newest.answer
    lines.append(((f" answer to attempt {newest.number}", "title"),))
    shown = {
        "status": answer.status,
        "code": answer.code,
        "message": answer.message,
        "request_id": answer.request_id,
        "retry_after": answer.retry_after,
        "job_id": answer.cloud_job_id,
        "backup_id": answer.backup_id,
    }
    return lines + _document({k: v for k, v in shown.items() if v is not None}, width)


def _sent(request: Sent, width: int) -> list[Line]:
    lines: list[Line] = [((cut(f" {request.line}", width), "plain"),)]
    return lines if request.body is None else lines + _document(request.body, width)


def _document(value: Mapping[str, Any], width: int) -> list[Line]:
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return [
        ((" " + piece, "plain"),)
        for line in text.split("\n")
        for piece in _wrapped(line, width - 1)
    ]


def _wrapped(text: str, width: int) -> list[str]:
    return chop_cells(clean(text[:_LONGEST]), max(2, width)) or [""]


def timeline(detail: Detail, now: float, width: int) -> list[Line]:
    """A strip from the first wait to now: one glyph of the state per slice of time."""
    queued_at = float(detail.run.created_at)
    queued = Event(id=0, at=queued_at, no=detail.job.no, kind="move", text="queued")
    moves = [
        replace(queued, to=JobState.WAITING),
        *(event for event in history(detail) if event.to is not None),
    ]
    ended = detail.job.ended_at
    end = max(now if ended is None else float(ended), moves[-1].at)
    start, size = moves[0].at, max(1, width - 2)
    slice_of = max(end - start, 1e-9) / size
    strip = "".join(_glyph(moves, start + (i + 0.5) * slice_of) for i in range(size))
    lines: list[Line] = [
        ((" " + strip, "strong"),),
        (
            (f" {moment(start)}", "dim"),
            (fit(moment(end), max(0, size - len(moment(start))), right=True), "dim"),
        ),
        (),
    ]
    return lines + _phases(moves, end, width)


def _glyph(moves: Sequence[Event], at: float) -> str:
    state = next((move.to for move in reversed(moves) if move.at <= at), moves[0].to)
    return formatting.MARKS[state or JobState.WAITING].glyph


def _phases(moves: Sequence[Event], end: float, width: int) -> list[Line]:
    until = [move.at for move in moves[1:]] + [end]
    lines: list[Line] = []
    for move, after in zip(moves, until, strict=True):
        mark = formatting.MARKS[move.to or JobState.WAITING]
        text = f"{moment(move.at)}  for {span(after - move.at):<7} {event_pane.what(move)}"
        lines.append(
            ((f" {mark.glyph} {mark.word:<6} ", mark.role), (cut(text, width - 10), "plain"))
        )
    return lines


def history(detail: Detail) -> list[Event]:
    """Everything that happened to the job, oldest first.

    Of a create that was sent and accepted the store keeps only the attempt: its moves are added.
    """
    found = list(detail.events)
    for position, attempt in enumerate(detail.attempts):
        found.append(_create_sent(detail, attempt))
        newer = detail.attempts[position + 1 : position + 2]
        until = float(newer[0].sent_at) if newer else float("inf")
        told = any(
            event.came_from is JobState.SUBMITTING and float(attempt.sent_at) <= event.at < until
            for event in detail.events
        )
        if attempt.verdict is Verdict.ACCEPTED and not told:
            found.append(_create_accepted(detail, attempt))
    return sorted(found, key=lambda event: event.at)


def _create_sent(detail: Detail, attempt: Attempt) -> Event:
    return Event(
        id=0,
        at=float(attempt.sent_at),
        no=detail.job.no,
        kind="move",
        came_from=JobState.WAITING,
        to=JobState.SUBMITTING,
        text=f"attempt {attempt.number}",
    )


def _create_accepted(detail: Detail, attempt: Attempt) -> Event:
    return Event(
        id=0,
        at=float(attempt.sent_at) + (attempt.took or 0.0),
        no=detail.job.no,
        kind="move",
        came_from=JobState.SUBMITTING,
        to=JobState.RUNNING,
        text="accepted",
    )
