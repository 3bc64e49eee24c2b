"""As much of JSON Schema as vbsbatch uses, and strict: an undeclared member is an error too."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from vbsbatch.report.schema import JSON_SCHEMA

TYPES: dict[str, Any] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
    "array": list,
    "object": dict,
}
KNOWN = {"$ref", "const", "enum", "type", "required", "properties", "items"} | {
    "minimum",
    "maximum",
    "pattern",
    "oneOf",
}


def problems(value: Any, name: str) -> list[str]:
    """What is wrong with `value` as the document `name` of the schema."""
    return list(_problems(value, {"$ref": f"#/$defs/{name}"}, name))


def _problems(value: Any, node: dict[str, Any], at: str) -> Iterator[str]:
    assert node.keys() <= KNOWN, node.keys() - KNOWN
    if "$ref" in node:
        yield from _problems(value, JSON_SCHEMA["$defs"][node["$ref"].rpartition("/")[2]], at)
        return
    if "oneOf" in node:
        fitting = [one for one in node["oneOf"] if not list(_problems(value, one, at))]
        if len(fitting) != 1:
            yield f"{at}: fits {len(fitting)} of {len(node['oneOf'])}"
        return
    yield from _scalar_problems(value, node, at)
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _problems(item, node["items"], f"{at}[{index}]")
    if isinstance(value, dict) and "properties" in node:
        yield from (f"{at}.{key}: missing" for key in set(node["required"]) - value.keys())
        yield from (f"{at}.{key}: undeclared" for key in value.keys() - set(node["properties"]))
        for key in value.keys() & node["properties"].keys():
            yield from _problems(value[key], node["properties"][key], f"{at}.{key}")


def _scalar_problems(value: Any, node: dict[str, Any], at: str) -> Iterator[str]:
    if "const" in node and value != node["const"]:
        yield f"{at}: is not {node['const']!r}"
    if "enum" in node and value not in node["enum"]:
        yield f"{at}: {value!r} is none of {node['enum']}"
    if "type" in node and not _is_of_type(value, node["type"]):
        yield f"{at}: {value!r} is no {node['type']}"
    if isinstance(value, int | float) and value < node.get("minimum", value):
        yield f"{at}: {value} is too small"
    if isinstance(value, int | float) and value > node.get("maximum", value):
        yield f"{at}: {value} is too large"
    if isinstance(value, str) and not re.search(node.get("pattern", ""), value):
        yield f"{at}: {value!r} has the wrong form"


def _is_of_type(value: Any, names: str | list[str]) -> bool:
    allowed = [names] if isinstance(names, str) else names
    if isinstance(value, bool):
        return "boolean" in allowed
    return any(isinstance(value, TYPES[name]) for name in allowed)
