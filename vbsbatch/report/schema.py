"""The JSON Schema (draft 2020-12) of every JSON document and line; docs/report.md shows it.

Members may be added within one `schema` version; none is taken away or changes its meaning.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from vbsbatch.model import JobState, Operation, RunState, Service, Verdict
from vbsbatch.report.data import SCHEMA
from vbsbatch.report.progress import OUTCOMES

Node: TypeAlias = dict[str, Any]

_TEXT: Node = {"type": "string"}
_TEXT_OR_NULL: Node = {"type": ["string", "null"]}
_COUNT: Node = {"type": "integer", "minimum": 0}
_INTEGER: Node = {"type": "integer"}
_INTEGER_OR_NULL: Node = {"type": ["integer", "null"]}
_NUMBER_OR_NULL: Node = {"type": ["number", "null"], "minimum": 0}
_PERCENT: Node = {"type": "number", "minimum": 0, "maximum": 100}
_TIME_PATTERN = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$"
_TIME: Node = {"type": "string", "pattern": _TIME_PATTERN}
_TIME_OR_NULL: Node = {"type": ["string", "null"], "pattern": _TIME_PATTERN}
_VERSION: Node = {"const": SCHEMA}


def _ref(name: str) -> Node:
    return {"$ref": f"#/$defs/{name}"}


def _list_of(items: Node) -> Node:
    return {"type": "array", "items": items}


def _object(**properties: Node) -> Node:
    """An object that has all of `properties`."""
    return {"type": "object", "required": list(properties), "properties": properties}


def _event(name: str, **properties: Node) -> Node:
    return _object(schema=_VERSION, event={"const": name}, at=_TIME, **properties)


_COUNTS = _object(**{state.value: _COUNT for state in JobState})

_CALLS = _object(create=_COUNT, read=_COUNT, per_succeeded=_NUMBER_OR_NULL)

_CODE = _object(http_status=_INTEGER_OR_NULL, code=_TEXT_OR_NULL, count=_COUNT)

_WAVE = _object(
    name=_TEXT,
    jobs=_COUNT,
    ended=_COUNT,
    failed=_COUNT,
    max_failures=_COUNT,
    open={"type": "boolean"},
)

_HOLDER = _object(
    run=_TEXT,
    state={"enum": [state.value for state in RunState]},
    live={"type": "boolean"},
    volumes=_COUNT,
)

_FAILURE = _object(
    http_status=_INTEGER_OR_NULL, code=_TEXT_OR_NULL, count=_COUNT, meaning=_TEXT_OR_NULL
)

_JOB = _object(
    volume_id=_TEXT,
    name=_TEXT,
    backup_name=_TEXT,
    state={"enum": [state.value for state in JobState]},
    attempts=_COUNT,
    http_status=_INTEGER_OR_NULL,
    code=_TEXT_OR_NULL,
    message=_TEXT_OR_NULL,
    cloud_job_id=_TEXT_OR_NULL,
    backup_id=_TEXT_OR_NULL,
    first_sent_at=_TIME_OR_NULL,
    ended_at=_TIME_OR_NULL,
    due_at=_TIME_OR_NULL,
    priority=_INTEGER,
    group=_TEXT_OR_NULL,
    progress={"type": ["integer", "null"], "minimum": 0, "maximum": 100},
)

_RUN = _object(
    id=_TEXT,
    plan=_TEXT,
    operation={"enum": [operation.value for operation in Operation]},
    source_run=_TEXT_OR_NULL,
    cloud=_TEXT_OR_NULL,
    region=_TEXT_OR_NULL,
    project_id=_TEXT_OR_NULL,
    project_name=_TEXT_OR_NULL,
    endpoint=_TEXT_OR_NULL,
    service={"enum": [service.value for service in Service]},
    state={"enum": [state.value for state in RunState]},
    live={"type": ["boolean", "null"]},
    reason=_TEXT_OR_NULL,
    counts=_ref("counts"),
    percent=_PERCENT,
    attempts=_COUNT,
    adopted=_COUNT,
    started_at=_TIME_OR_NULL,
    ended_at=_TIME_OR_NULL,
    duration_seconds=_NUMBER_OR_NULL,
    calls=_ref("calls"),
    waves=_list_of(_ref("wave")),
    unknown_codes=_list_of(_ref("code")),
)

_STATUS: dict[str, Node] = {
    "schema": _VERSION,
    "run": _ref("run"),
    "failures": _list_of(_ref("failure")),
    "held_by": _list_of(_ref("holder")),
    "next": _list_of(_TEXT),
}

_JOB_EVENT = _event(
    "job",
    no=_COUNT,
    came_from={"enum": [state.value for state in JobState]},
    charged=_COUNT,
    allowed=_COUNT,
    verdict={"enum": [None, *(verdict.value for verdict in Verdict)]},
    note=_TEXT_OR_NULL,
    job=_ref("job"),
)

_PROGRESS_EVENT = _event(
    "progress",
    total=_COUNT,
    ended=_COUNT,
    percent=_PERCENT,
    counts=_ref("counts"),
    retry=_COUNT,
    rate={"type": "number", "minimum": 0},
    eta_seconds=_INTEGER_OR_NULL,
    waits_for=_TEXT_OR_NULL,
)

_END_EVENT = _event(
    "end",
    run=_TEXT,
    outcome={"enum": [*OUTCOMES.values(), "failed"]},
    counts=_ref("counts"),
    calls=_ref("calls"),
    exit=_INTEGER,
    next=_TEXT_OR_NULL,
)

_EVENTS = ("job", "note", "progress", "calls", "end")

JSON_SCHEMA: Node = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "vbsbatch JSON output",
    "$defs": {
        "report": _object(**_STATUS, jobs=_list_of(_ref("job"))),
        "status": _object(**_STATUS),
        "jobs": _object(schema=_VERSION, run_id=_TEXT, jobs=_list_of(_ref("job"))),
        "runs": _object(schema=_VERSION, runs=_list_of(_ref("run"))),
        "line": {"oneOf": [_ref(f"{event}_line") for event in _EVENTS]},
        "run": _RUN,
        "job": _JOB,
        "counts": _COUNTS,
        "calls": _CALLS,
        "code": _CODE,
        "wave": _WAVE,
        "failure": _FAILURE,
        "holder": _HOLDER,
        "job_line": _JOB_EVENT,
        "note_line": _event("note", kind=_TEXT, text=_TEXT),
        "progress_line": _PROGRESS_EVENT,
        "calls_line": _event("calls", create=_COUNT, read=_COUNT, per_succeeded=_NUMBER_OR_NULL),
        "end_line": _END_EVENT,
    },
}
"""`$defs` names the documents: report, status, jobs, runs, and line (`--progress json`)."""
