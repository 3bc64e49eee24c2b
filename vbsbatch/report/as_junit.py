"""JUnit XML: a suite per run, a test case per volume; streamed, pure ASCII, legal XML 1.0."""

from __future__ import annotations

from typing import TextIO
from xml.sax.saxutils import escape

from vbsbatch.model import ENDED_STATES, Job, JobState
from vbsbatch.report.data import ReportData, duration, took
from vbsbatch.report.text import clean, utc


def write(data: ReportData, stream: TextIO) -> None:
    """Write the run with all its jobs; the suite's totals come from `data.counts`."""
    stream.write('<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>\n')
    stream.write(_suite(data))
    for job in data.jobs():
        stream.write(_case(job, data.run.plan))
    stream.write("</testsuite>\n</testsuites>\n")


def _suite(data: ReportData) -> str:
    run = data.run
    skipped = data.count(JobState.SKIPPED) + data.count(JobState.CANCELLED)
    open_jobs = sum(data.count(state) for state in JobState if state not in ENDED_STATES)
    start = _element(
        "testsuite",
        name=f"{run.plan} {run.id}",
        tests=str(data.total),
        failures=str(data.count(JobState.FAILED)),
        errors=str(open_jobs),
        skipped=str(skipped),
        time=f"{duration(data) or 0.0:.3f}",
        timestamp=utc(run.created_at if run.started_at is None else run.started_at),
    )
    return f"{start}\n{_properties(data)}"


def _properties(data: ReportData) -> str:
    """Which cloud the run was started in."""
    place = data.run.place
    known = {
        "cloud": place.cloud,
        "region": place.region,
        "project": place.project,
        "endpoint": place.endpoint,
    }
    lines = [
        f"{_element('property', name=name, value=value)}</property>\n"
        for name, value in known.items()
        if value is not None
    ]
    return "".join(["<properties>\n", *lines, "</properties>\n"]) if lines else ""


def _case(job: Job, plan: str) -> str:
    named = job.volume_name != job.volume_id
    case = _element(
        "testcase",
        name=f"{job.volume_name} ({job.volume_id})" if named else job.volume_id,
        classname=plan if job.group is None else f"{plan}.{job.group}",
        time=f"{took(job) or 0.0:.3f}",
    )
    return f"{case}{_outcome(job)}</testcase>\n"


def _outcome(job: Job) -> str:
    if job.state is JobState.SUCCEEDED:
        return ""
    message = job.message or job.state.value
    if job.state is JobState.FAILED:
        kind = job.code or ("unknown" if job.http_status is None else f"HTTP {job.http_status}")
        return _element("failure", type=kind, message=message) + f"{_text(message)}</failure>"
    if job.state in ENDED_STATES:
        return _element("skipped", message=message) + "</skipped>"
    return _element("error", type="not ended", message=f"still {job.state}") + "</error>"


def _element(tag: str, /, **attributes: str) -> str:
    pairs = "".join(f' {key}="{_text(value)}"' for key, value in attributes.items())
    return f"<{tag}{pairs}>"


def _text(text: str) -> str:
    # `clean` leaves no character that XML 1.0 forbids.
    escaped = escape(clean(text), {'"': "&quot;"})
    return escaped.encode("ascii", "xmlcharrefreplace").decode("ascii")
