"""The JSON Schema (draft 2020-12) of every JSON document and line, made from their types.

docs/report.md shows it. Members may be added within one `schema` version; none is taken away or
changes its meaning.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from vbsbatch.report import documents
from vbsbatch.report.documents import SCHEMA, Time
from vbsbatch.report.jsonlines import LINES

_DOCUMENTS: Mapping[str, Any] = {
    "report": documents.ReportDocument,
    "status": documents.StatusDocument,
    "jobs": documents.JobsDocument,
    "runs": documents.RunsDocument,
    "compare": documents.ComparisonDocument,
}

_PARTS: Mapping[str, Any] = {
    "run": documents.RunDocument,
    "job": documents.JobDocument,
    "pin": documents.PinDocument,
    "counts": documents.Counts,
    "calls": documents.CallsDocument,
    "gigabytes": documents.GigabytesDocument,
    "difference": documents.DifferenceDocument,
    "verified": documents.VerifiedDocument,
    "code": documents.CodeDocument,
    "wave": documents.WaveDocument,
    "failure": documents.FailureDocument,
    "holder": documents.HolderDocument,
    "missed_start": documents.MissedStartDocument,
    "outcome": documents.OutcomeDocument,
    "compared_volume": documents.ComparedVolumeDocument,
}
"""The types that others refer to by name."""

_SCALARS = {str: "string", int: "integer", float: "number", bool: "boolean"}


def _node(type_: Any) -> dict[str, Any]:
    """A type, by reference if it has a name."""
    name = next((name for name, part in _PARTS.items() if part == type_), None)
    return _definition(type_) if name is None else {"$ref": f"#/$defs/{name}"}


def _definition(type_: Any) -> dict[str, Any]:
    """A type in full; `TypeError` for one that no document has."""
    origin, arguments = get_origin(type_), get_args(type_)
    if type_ in _SCALARS:
        return {"type": _SCALARS[type_]}
    if isinstance(type_, type) and issubclass(type_, Enum):
        return {"enum": [member.value for member in type_]}
    if is_typeddict(type_):
        return _object(get_type_hints(type_, include_extras=True))
    if origin is Annotated:
        return _node(arguments[0]) | dict(arguments[1:])
    if origin is Literal:
        return {"const": arguments[0]} if len(arguments) == 1 else {"enum": list(arguments)}
    if origin is list:
        return {"type": "array", "items": _node(arguments[0])}
    if origin is dict:
        return _object({key.value: arguments[1] for key in arguments[0]})
    if origin in (Union, UnionType):
        return _or_null(arguments[0])
    raise TypeError(f"no JSON Schema for {type_}")


def _object(members: Mapping[str, Any]) -> dict[str, Any]:
    """An object that has all of `members`."""
    properties = {name: _node(type_) for name, type_ in members.items()}
    return {"type": "object", "required": list(properties), "properties": properties}


def _or_null(type_: Any) -> dict[str, Any]:
    """The only union that documents have: a value of this type, or null."""
    node = _node(type_)
    if "enum" in node:
        return {"enum": [None, *node["enum"]]}
    if "$ref" in node:
        return {"oneOf": [node, {"type": "null"}]}
    return node | {"type": [node["type"], "null"]}


def _line(event: str, type_: Any) -> dict[str, Any]:
    """One line of progress."""
    head = {"schema": Literal[SCHEMA], "event": Literal[event], "at": Time}
    return _object(head | get_type_hints(type_, include_extras=True))


_LINES = {f"{event}_line": _line(event, type_) for event, type_ in LINES.items()}

JSON_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "vbsbatch JSON output",
    "$defs": {
        **{name: _definition(type_) for name, type_ in _DOCUMENTS.items()},
        "line": {"oneOf": [{"$ref": f"#/$defs/{name}"} for name in _LINES]},
        **{name: _definition(type_) for name, type_ in _PARTS.items()},
        **_LINES,
    },
}
"""`$defs` names the documents: report, status, jobs, runs, compare, and line
(`--progress json`)."""
