"""JSON documents, streamed: one job a line, ASCII only. `schema.JSON_SCHEMA` describes them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, TextIO

from vbsbatch.model import Job
from vbsbatch.report import data as figures
from vbsbatch.report.data import SCHEMA, Failure, ReportData, job_values
from vbsbatch.report.text import clean, cleaned, time_or_none


def write(data: ReportData, stream: TextIO) -> None:
    """The whole report: the run, its failures, what to do next, every job."""
    _stream({"schema": SCHEMA, **_head(data)}, "jobs", map(job_values, data.jobs()), stream)


def write_status(data: ReportData, stream: TextIO) -> None:
    """The report without its jobs (`status --json`)."""
    json.dump({"schema": SCHEMA, **_head(data)}, stream, indent=2)
    stream.write("\n")


def write_jobs(run_id: str, jobs: Iterable[Job], stream: TextIO) -> None:
    """Some jobs of one run (`jobs --json`)."""
    head = {"schema": SCHEMA, "run_id": clean(run_id)}
    _stream(head, "jobs", map(job_values, jobs), stream)


def write_runs(runs: Iterable[ReportData], stream: TextIO) -> None:
    """Every run (`runs --json`)."""
    _stream({"schema": SCHEMA}, "runs", map(run_values, runs), stream)


def run_values(data: ReportData) -> dict[str, Any]:
    """One run as the JSON documents have it."""
    run = data.run
    took = figures.duration(data)
    return {
        "id": clean(run.id),
        "plan": clean(run.plan),
        "operation": run.settings.operation.value,
        "source_run": cleaned(run.settings.source_run),
        "cloud": cleaned(run.cloud),
        "region": cleaned(run.region),
        "project_id": cleaned(run.project_id),
        "project_name": cleaned(run.project_name),
        "endpoint": cleaned(run.endpoint),
        "service": run.settings.service.value,
        "state": run.state.value,
        "live": data.live,
        "reason": cleaned(run.reason),
        "counts": figures.counts_values(data.counts),
        "percent": figures.percent(data.counts),
        "attempts": data.attempts,
        "adopted": run.adopted,
        "started_at": time_or_none(run.started_at),
        "ended_at": time_or_none(run.ended_at),
        "duration_seconds": None if took is None else round(took, 3),
        "calls": figures.calls_values(run, data.counts),
        "waves": figures.wave_values(data),
        "unknown_codes": [_without_meaning(row) for row in figures.unknown_codes(data)],
    }


def _head(data: ReportData) -> dict[str, Any]:
    return {
        "run": run_values(data),
        "failures": [
            _without_meaning(row) | {"meaning": cleaned(row.meaning)}
            for row in figures.failures(data)
        ],
        "held_by": [
            {
                "run": clean(holder.run_id),
                "state": holder.state.value,
                "live": holder.driven,
                "volumes": holder.volumes,
            }
            for holder in data.holders
        ],
        "next": figures.next_commands(data),
    }


def _without_meaning(row: Failure) -> dict[str, Any]:
    return {"http_status": row.http_status, "code": cleaned(row.code), "count": row.count}


def _stream(
    head: Mapping[str, Any], key: str, items: Iterable[Mapping[str, Any]], stream: TextIO
) -> None:
    """Write `head` with a last member `key` that lists `items`, never holding more than one."""
    stream.write(json.dumps(head, indent=2).removesuffix("\n}"))
    stream.write(f',\n  "{key}": [')
    separator = "\n"
    for item in items:
        stream.write(f"{separator}    {json.dumps(item)}")
        separator = ",\n"
    stream.write("\n  ]\n}\n")
