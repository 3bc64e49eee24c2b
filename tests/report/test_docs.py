import json
import re
from pathlib import Path

from vbsbatch.report import FORMATS
from vbsbatch.report.documents import JOB_FIELDS
from vbsbatch.report.schema import JSON_SCHEMA

DOCUMENT = (Path(__file__).parents[2] / "docs" / "report.md").read_text(encoding="utf-8")


def test_the_document_shows_the_schema_as_it_is() -> None:
    [shown] = re.findall(r"```json schema\n(.*?)```", DOCUMENT, flags=re.DOTALL)
    assert json.loads(shown) == JSON_SCHEMA
    assert json.dumps(json.loads(shown)) == json.dumps(JSON_SCHEMA), "in the same order"


def test_the_document_names_every_format_and_every_member_of_a_job() -> None:
    for name in (*FORMATS, *JOB_FIELDS):
        assert f"`{name}`" in DOCUMENT


def test_every_reference_of_the_schema_leads_somewhere() -> None:
    names = re.findall(r'"#/\$defs/(\w+)"', json.dumps(JSON_SCHEMA))
    assert set(names) <= JSON_SCHEMA["$defs"].keys()
