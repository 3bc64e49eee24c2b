"""The reference, the examples, the schema and the cost of a large plan."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.plan.samples import RUN, Write
from vbsbatch.plan import json_schema, load
from vbsbatch.plan.backup_names import FIELDS
from vbsbatch.plan.checks import RULE_VERDICTS
from vbsbatch.plan.schema import MAPS

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "plans"
REFERENCE = (ROOT / "docs" / "plan.md").read_text("utf-8")


def _section(title: str) -> str:
    found = re.search(rf"^#+ {re.escape(title)}\n(.*?)(?=^#|\Z)", REFERENCE, re.M | re.S)
    assert found, title
    return found.group(1)


@pytest.mark.parametrize(
    ("names", "title"),
    [
        ((), "The plan"),
        (("defaults",), "`defaults`"),
        (("limits",), "`limits`"),
        (("retry",), "`retry`"),
        (("retry", "rules"), "`rules`"),
        (("timeouts",), "`timeouts`"),
        (("volumes",), "`volumes`"),
        (("volumes", "seen"), "`seen`"),
        (("selection",), "`selection`"),
        (("waves",), "`waves`"),
        (("window",), "`window`"),
        (("retention",), "`retention`"),
    ],
)
def test_the_reference_lists_exactly_the_keys_there_are(names: tuple[str, ...], title: str) -> None:
    documented = re.findall(r"^\| `(\w+)` \|", _section(title), re.M)
    known = MAPS[names].names()
    if names == ("volumes",):
        known = [key for key in known if key not in MAPS[("defaults",)].names()]
    assert documented == known


def _schema_of(name: str) -> dict[str, Any]:
    schema = json_schema()
    return schema if name == "PlanKeys" else schema["$defs"][name]


@pytest.mark.parametrize("keys", list(MAPS.values()))
def test_the_schema_describes_every_key_and_the_reference_has_its_default(keys: Any) -> None:
    schema = _schema_of(keys.__name__)
    assert schema["additionalProperties"] is False
    for key, rule in schema["properties"].items():
        told = rule if "description" in rule else _schema_of(rule["$ref"].rpartition("/")[2])
        assert told["description"].endswith(".")
        assert "null" not in str(rule)
        if "default" in rule:
            default = re.escape(json.dumps(rule["default"]).strip('"'))
            assert re.search(rf"^\| `{key}` \| [^|]+ \| `{default}` \|", REFERENCE, re.M)


def test_the_schema_says_which_dialect_it_is() -> None:
    assert json_schema()["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_the_reference_names_every_field_and_verdict() -> None:
    assert re.findall(r"^\| `\{(\w+)\}` \|", _section("Names"), re.M) == list(FIELDS)
    assert all(f"`{verdict}`" in _section("`rules`") for verdict in RULE_VERDICTS)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda p: p.name)
def test_every_example_is_a_plan(path: Path) -> None:
    plan = load(path)
    assert [job.no for job in plan.jobs(RUN)] == list(range(1, len(plan) + 1))


LARGE = """
import resource, sys
from vbsbatch.plan import load
def peak(path):
    plan = load(path)
    assert sum(1 for job in plan.jobs("20261123-0715-k3f9")) == len(plan)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(peak(sys.argv[1]))
"""


def _large(count: int) -> str:
    rows = "".join(
        f"- {{id: {n:032x}, name: volume-{n}, tags: {{wave: '{n % 9}'}}}}\n" for n in range(count)
    )
    return f"name: large\nvolumes:\n{rows}"


def test_a_hundred_thousand_volumes_take_seconds_and_little_memory(write: Write) -> None:
    def peak_kib(count: int) -> int:
        command = [sys.executable, "-c", LARGE, str(write(_large(count)))]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        return int(done.stdout)

    assert peak_kib(100_000) - peak_kib(100) < 60 * 1024
