"""Two runs side by side: what differs between their counts, their times and their volumes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TextIO

from vbsbatch.model import Job, JobState, plain_id
from vbsbatch.report import data as figures
from vbsbatch.report.data import ReportData
from vbsbatch.report.text import clean, moment, span


@dataclass(frozen=True, kw_only=True, slots=True)
class RunComparison:
    """Two runs, compared by volume."""

    left: ReportData
    right: ReportData
    failed_in_both: Sequence[tuple[Job, Job]] = ()
    """Volumes that failed in both: the job of the left run, that of the right one."""
    failed_only_left: Sequence[Job] = ()
    """Jobs that failed in the left run, of volumes that are in both and did not fail there."""
    failed_only_right: Sequence[Job] = ()
    only_left: Sequence[Job] = ()
    """Jobs of volumes that only the left run has."""
    only_right: Sequence[Job] = ()


def compare(left: ReportData, right: ReportData) -> RunComparison:
    """Compare two runs; reads the jobs of both twice, and keeps those that differ."""
    lefts, rights = _volumes(left), _volumes(right)
    failed_left, failed_right = _failed(left), _failed(right)
    both = failed_left.keys() & failed_right.keys()
    return RunComparison(
        left=left,
        right=right,
        failed_in_both=[
            (job, failed_right[key]) for key, job in failed_left.items() if key in both
        ],
        failed_only_left=_among(failed_left, rights - both),
        failed_only_right=_among(failed_right, lefts - both),
        only_left=[job for job in left.jobs() if plain_id(job.volume_id) not in rights],
        only_right=[job for job in right.jobs() if plain_id(job.volume_id) not in lefts],
    )


def _volumes(data: ReportData) -> set[str]:
    return {plain_id(job.volume_id) for job in data.jobs()}


def _failed(data: ReportData) -> dict[str, Job]:
    return {plain_id(job.volume_id): job for job in data.jobs(states=[JobState.FAILED])}


def _among(found: dict[str, Job], volumes: set[str]) -> list[Job]:
    return [job for key, job in found.items() if key in volumes]


FIGURES = ("", "left", "right", "difference")
"""The columns of `figure_rows`."""


def figure_rows(found: RunComparison) -> list[tuple[str, str, str, str]]:
    """What each run says about itself: label, left, right, and the difference of two numbers."""
    left, right = found.left, found.right
    rows = [
        ("plan", clean(left.run.plan), clean(right.run.plan), ""),
        ("started", _started(left), _started(right), ""),
        ("took", *_times(figures.duration(left), figures.duration(right))),
        ("jobs", *_numbers(left.total, right.total)),
    ]
    for state in JobState:
        one, other = left.count(state), right.count(state)
        if one or other:
            rows.append((str(state), *_numbers(one, other)))
    rows.append(("API calls", *_numbers(_calls(left), _calls(right))))
    return rows


def _calls(data: ReportData) -> int:
    return data.run.create_calls + data.run.read_calls


def _started(data: ReportData) -> str:
    return "-" if data.run.started_at is None else moment(data.run.started_at)


def _times(left: float | None, right: float | None) -> tuple[str, str, str]:
    if left is None or right is None:
        return _time(left), _time(right), ""
    sign = "+" if right > left else "-"
    change = "" if round(left) == round(right) else f"{sign}{span(abs(right - left))}"
    return _time(left), _time(right), change


def _time(seconds: float | None) -> str:
    return "-" if seconds is None else span(seconds)


def _numbers(left: int, right: int) -> tuple[str, str, str]:
    return f"{left:,}", f"{right:,}", f"{right - left:+,}" if left != right else ""


def volume_lists(found: RunComparison) -> list[tuple[str, list[tuple[Job | None, Job | None]]]]:
    """The lists of volumes with their titles: of each volume its job in the left run and in the
    right one, None where the run has none that belongs in the list."""
    left, right = clean(found.left.run.id), clean(found.right.run.id)
    return [
        ("failed in both", list(found.failed_in_both)),
        (f"failed only in {left}", [(job, None) for job in found.failed_only_left]),
        (f"failed only in {right}", [(None, job) for job in found.failed_only_right]),
        (f"only in {left}", [(job, None) for job in found.only_left]),
        (f"only in {right}", [(None, job) for job in found.only_right]),
    ]


def write(found: RunComparison, stream: TextIO) -> None:
    """Write the comparison as plain text, for a terminal or a file."""
    rows = figure_rows(found)
    rows.insert(0, ("run", clean(found.left.run.id), clean(found.right.run.id), ""))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:3], widths[1:], strict=True)]
        stream.write(f"{'  '.join([*cells, row[3]]).rstrip()}\n")
    for title, jobs in volume_lists(found):
        stream.write(f"\n{title}: {len(jobs):,}\n")
        for pair in jobs:
            stream.write(f"  {_volume_line(*pair)}\n")


def _volume_line(left: Job | None, right: Job | None) -> str:
    job = left or right
    assert job is not None, "a volume is in one run at least"
    ends = " / ".join(outcome(each) for each in (left, right) if each is not None)
    return f"{clean(job.volume_name)}  {clean(job.volume_id)}  {ends}"


def outcome(job: Job) -> str:
    """How a job ended: its state, for a failure the HTTP status and code, cleaned."""
    if job.state is not JobState.FAILED:
        return str(job.state)
    status = "no answer" if job.http_status is None and job.code is None else job.http_status
    return " ".join(clean(str(each)) for each in (status, job.code) if each is not None)
