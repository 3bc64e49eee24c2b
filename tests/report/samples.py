"""Runs and jobs for reports, with the texts of a hostile cloud."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from vbsbatch.model import BackupSettings, Job, JobState, Run, RunState, Settings
from vbsbatch.policy import documented
from vbsbatch.report import ReportData

T0 = 1795418859.12
"""2026-11-23T07:27:39.120Z."""

HOSTILE = (
    "\x1b[31mred\x1b[0m",
    "\x1b]52;c;cm0gLXJm\x07",
    "\x9b2J\x90q\x9c",
    "\u202egnp.exe\u2066\u200f\u061c",
    "[bold]markup[/bold]",
    "[/nope]",
    "=cmd|' /C calc'!A0",
    "  =1+1",
    "\uff1d1+1",
    "-2+3",
    "@SUM(A1)",
    "+1",
    "\t=1",
    "\r\n=1",
    "a;=1;b",
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "]]><x/>",
    "<!-- -->",
    "&amp;&#0;",
    "\x00",
    "\ud800\udfff",
    "\ufffe\uffff",
    "| a | b |",
    "``` `x` ```",
    "\\| \\` \\",
    "**b** _i_ ~~s~~ [l](javascript:x) ![i](y) # h",
    "two\nlines\rand\x85more\u2028still",
    "x" * 10_000,
    "\u6f22\u5b57" * 500,
    "e" + "\u0301" * 500,
    "{title} %s %(x)s ${HOME} $(id)",
    "\"quoted\" 'single'",
    " ",
    "",
)

any_text = st.text(alphabet=st.characters(exclude_categories=()), max_size=60) | st.sampled_from(
    HOSTILE
)


def job(no: int = 1, **changes: Any) -> Job:
    values: dict[str, Any] = {
        "volume_id": f"6ba7b810-9dad-11d1-80b4-{no:012x}",
        "volume_name": f"db-{no:04d}",
        "backup_name": f"nightly-db-{no:04d}",
    }
    return Job(no=no, **(values | changes))


def failed(no: int = 1, **changes: Any) -> Job:
    values: dict[str, Any] = {
        "state": JobState.FAILED,
        "attempts": 5,
        "http_status": 400,
        "code": "VolumeBackup.0040",
        "message": "too many backups",
        "first_sent_at": T0,
        "ended_at": T0 + 20,
    }
    return job(no, **(values | changes))


def hostile_job(no: int, text: str, state: JobState = JobState.FAILED) -> Job:
    return failed(
        no,
        state=state,
        volume_id=text,
        volume_name=text,
        backup_name=text,
        code=text,
        message=text,
        cloud_job_id=text,
        backup_id=text,
        group=text,
    )


def one_of_each() -> list[Job]:
    sent: dict[str, Any] = {"attempts": 1, "first_sent_at": T0}
    return [
        job(1),
        job(2, due_at=T0 + 60, **(sent | {"attempts": 2}), http_status=503),
        job(3, state=JobState.SUBMITTING, **sent),
        job(4, state=JobState.UNKNOWN, **sent),
        job(5, state=JobState.RUNNING, progress=61, **sent),
        job(6, state=JobState.SUCCEEDED, ended_at=T0 + 600, backup_id="b6", **sent),
        failed(7),
        job(8, state=JobState.CANCELLED, ended_at=T0),
        job(9, state=JobState.SKIPPED, ended_at=T0, message="backed up today"),
    ]


def with_evidence() -> list[Job]:
    """A full backup, an increment, and a failure of unknown size."""
    made: dict[str, Any] = {"state": JobState.SUCCEEDED, "attempts": 1, "first_sent_at": T0}
    full, part = BackupSettings(full=True), BackupSettings(full=False)
    return [
        job(1, size=40, settings=full, backup_id=f"7{0:035}", ended_at=T0 + 600, **made),
        job(2, size=100, settings=part, backup_id="b2", ended_at=T0 + 61.5, **made),
        failed(3, settings=part),
    ]


def run(**changes: Any) -> Run:
    values: dict[str, Any] = {
        "id": "20261123-0715-k3f9",
        "plan": "nightly",
        "cloud": "otc",
        "state": RunState.ENDED,
        "settings": Settings(),
        "created_at": T0,
        "started_at": T0,
        "ended_at": T0 + 4212,
        "create_calls": 9,
        "read_calls": 3,
    }
    return Run(**(values | changes))


PLACE: dict[str, Any] = {
    "region": "eu-de",
    "project_id": "0a1b2c",
    "project_name": "prod",
    "endpoint": "https://vbs.eu-de.test",
}


def report(jobs: Sequence[Job] = (), **changes: Any) -> ReportData:
    """A report whose counts and failures are those of `jobs`."""
    bad = Counter((j.http_status, j.code) for j in jobs if j.state is JobState.FAILED)
    tried = [j for j in jobs if j.state is JobState.WAITING and j.attempts]
    values: dict[str, Any] = {
        "run": run(),
        "counts": Counter(j.state for j in jobs),
        "meaning": documented,
        "now": T0 + 5000,
        "failures": [(status, code, count) for (status, code), count in bad.items()],
        "jobs": lambda states=(): (j for j in jobs if not states or j.state in states),
        "attempts": sum(j.attempts for j in jobs),
        "retrying": len(tried),
    }
    return ReportData(**(values | changes))


def hostile_report(text: str) -> ReportData:
    """A report in which every text that a stranger may set is `text`."""
    jobs = [hostile_job(no, text, state) for no, state in enumerate(JobState, start=1)]
    return report(
        jobs,
        run=run(
            plan=text,
            cloud=text,
            reason=text,
            region=text,
            project_id=text,
            project_name=text,
            endpoint=text,
        ),
        answers=[(599, text, 3)],
        meaning=lambda code, status: code if status == 400 else None,
    )


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True
