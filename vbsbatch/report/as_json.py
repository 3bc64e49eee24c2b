"""JSON documents, streamed: one job a line, ASCII only. `schema.JSON_SCHEMA` describes them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TextIO

from vbsbatch.model import Job, MissedStart, Pin
from vbsbatch.report.comparison import RunComparison
from vbsbatch.report.data import ReportData
from vbsbatch.report.documents import (
    SCHEMA,
    comparison_document,
    job_document,
    missed_start_document,
    run_document,
    status_document,
)
from vbsbatch.report.text import clean


def write(data: ReportData, stream: TextIO) -> None:
    """The whole report: the run, its failures, what to do next, every job."""
    jobs = (job_document(job, data.pins) for job in data.jobs())
    _stream(status_document(data), "jobs", jobs, stream)


def write_status(data: ReportData, stream: TextIO) -> None:
    """The report without its jobs (`status --json`)."""
    json.dump(status_document(data), stream, indent=2)
    stream.write("\n")


def write_jobs(
    run_id: str, jobs: Iterable[Job], stream: TextIO, *, pins: Sequence[Pin] = ()
) -> None:
    """Some jobs of one run (`jobs --json`), with the pins of the run."""
    head = {"schema": SCHEMA, "run_id": clean(run_id)}
    _stream(head, "jobs", (job_document(job, pins) for job in jobs), stream)


def write_runs(
    runs: Iterable[ReportData], stream: TextIO, missed: Iterable[MissedStart] = ()
) -> None:
    """Every run, and the starts that made none (`runs --json`)."""
    head = {"schema": SCHEMA, "missed_starts": list(map(missed_start_document, missed))}
    _stream(head, "runs", map(run_document, runs), stream)


def write_comparison(found: RunComparison, stream: TextIO) -> None:
    """Two runs side by side (`compare --json`)."""
    json.dump(comparison_document(found), stream, indent=2)
    stream.write("\n")


def _stream(
    head: Mapping[str, object], key: str, items: Iterable[Mapping[str, object]], stream: TextIO
) -> None:
    """Write `head` with a last member `key` that lists `items`, never holding more than one."""
    stream.write(json.dumps(head, indent=2).removesuffix("\n}"))
    stream.write(f',\n  "{key}": [')
    separator = "\n"
    for item in items:
        stream.write(f"{separator}    {json.dumps(item)}")
        separator = ",\n"
    stream.write("\n  ]\n}\n")
