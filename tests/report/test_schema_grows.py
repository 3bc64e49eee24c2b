"""Within one version of the JSON documents members are added; none is removed or changed."""

import json
from pathlib import Path
from typing import Any

from vbsbatch.report.documents import SCHEMA
from vbsbatch.report.schema import JSON_SCHEMA

FIRST = json.loads((Path(__file__).parent / "frozen" / f"schema_{SCHEMA}.json").read_text("utf-8"))
"""The schema as an earlier release printed it."""


def kept(before: Any, now: Any) -> bool:
    """Whether everything that was in a part of the schema is there, in its order."""
    if isinstance(before, dict) and isinstance(now, dict):
        return all(key in now and kept(value, now[key]) for key, value in before.items())
    if isinstance(before, list) and isinstance(now, list):
        return [each for each in now if each in before] == before
    return bool(before == now)


def test_every_member_of_every_document_is_still_there() -> None:
    for name, part in FIRST["$defs"].items():
        assert kept(part, JSON_SCHEMA["$defs"][name]), name


def test_a_member_that_is_gone_or_changed_is_noticed() -> None:
    run = FIRST["$defs"]["run"]
    assert not kept(run | {"required": ["plan", *run["required"]]}, run)
    assert not kept(run | {"properties": run["properties"] | {"id": {"type": "integer"}}}, run)
