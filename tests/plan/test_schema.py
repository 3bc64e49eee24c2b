"""The JSON Schema of plans, checked by an independent validator."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tests.plan.samples import A, B, Problems, Write
from vbsbatch.errors import PlanError
from vbsbatch.plan import json_schema, load
from vbsbatch.plan.schema import SCHEMA_FILE
from vbsbatch.simulator.demo_files import DEMO_PLAN

EXAMPLES = Path(__file__).parents[2] / "plans"
JUDGE = Draft202012Validator(json_schema())


def test_it_is_a_schema_of_the_dialect_that_it_names() -> None:
    Draft202012Validator.check_schema(json_schema())
    assert json_schema()["$schema"] == Draft202012Validator.META_SCHEMA["$id"]


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda p: p.name)
def test_it_takes_every_example(path: Path) -> None:
    JUDGE.validate(yaml.safe_load(path.read_text("utf-8")))


def test_it_takes_the_plan_of_the_demo() -> None:
    JUDGE.validate(yaml.safe_load(DEMO_PLAN))


VOLUME = {"id": A}
WRONG: list[Any] = [
    [],
    "volumes",
    {"volume": [VOLUME]},
    {"volumes": []},
    {"volumes": {"id": A}},
    {"volumes": [A]},
    {"volumes": [{}]},
    {"volumes": [{"id": A[:-1]}]},
    {"volumes": [{"id": None}]},
    {"volumes": [VOLUME], "volumes_from": "fleet.csv"},
    *(
        {"volumes": [VOLUME], **more}
        for more in (
            {"name": ""},
            {"name": "n" * 65},
            {"name": True},
            {"name": ["night"]},
            {"service": "ceph"},
            {"defaults": None},
            {"defaults": {"description": "a <b>"}},
            {"defaults": {"full": "yes"}},
            {"defaults": {"backup_name": "{volum}"}},
            {"defaults": {"backup_name": "{"}},
            {"defaults": {"tags": ["a"]}},
            {"defaults": {"tags": {"a=b": "c"}}},
            {"defaults": {"tags": {"": "c"}}},
            {"defaults": {"tags": {"k" * 37: "c"}}},
            {"defaults": {"tags": {"a": "v" * 44}}},
            {"defaults": {"tags": {"a": "b|c"}}},
            {"defaults": {"tags": {str(n): "" for n in range(11)}}},
            {"defaults": {"id": A}},
            {"limits": {"rate": "5"}},
            {"limits": {"rate": "5/day"}},
            {"limits": {"rate": 5}},
            {"limits": {"in_flight": 0}},
            {"limits": {"in_flight": "50"}},
            {"limits": {"connections": 257}},
            {"limits": {"connections": 1.5}},
            {"retry": {"attempts": True}},
            {"retry": {"base": "2"}},
            {"retry": {"base": 0}},
            {"retry": {"settle": -1}},
            {"retry": {"rules": [{"verdict": "retry"}]}},
            {"retry": {"rules": [{"status": 503}]}},
            {"retry": {"rules": [{"status": 200, "verdict": "fail"}]}},
            {"retry": {"rules": [{"status": 503, "verdict": "accepted"}]}},
            {"timeouts": {"connect": "fast"}},
            {"deadline": 8},
            {"deadline": "8 hours"},
        )
    ),
    {"volumes": [{**VOLUME, "priority": 1_000_001}]},
    {"volumes": [{**VOLUME, "snapshot_id": "none"}]},
    {"volumes": [{**VOLUME, "Name": "db"}]},
    {"volumes_from": ""},
]


@pytest.mark.parametrize("content", WRONG, ids=lambda content: json.dumps(content)[:60])
def test_the_json_schema_refuses_what_load_refuses(content: Any, problems: Problems) -> None:
    assert not JUDGE.is_valid(content)
    assert problems(json.dumps(content))


def mixed(*good: Any) -> st.SearchStrategy[Any]:
    """Mostly what fits, and now and then anything at all."""
    anything = st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-5, 700),
        st.text(max_size=70),
        st.floats(allow_nan=False, allow_infinity=False),
        st.lists(st.integers(), max_size=2),
        st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2),
        st.sampled_from(["1s", "0", "5/s", "2m", "retry", A, "{plan}", "{{x}}", "a<b", "x\n"]),
    )
    fits = [value if isinstance(value, st.SearchStrategy) else st.just(value) for value in good]
    return st.one_of(*fits * 3, anything)


def a_map(**keys: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=keys)


TAGS = st.dictionaries(st.text("abc=|é ", max_size=3), mixed("prod", 7), max_size=3)
BACKUP = {
    "backup_name": mixed("{plan}-{no}", "night-{{}}", 7),
    "description": mixed(st.text(max_size=70), 7),
    "tags": mixed(TAGS),
    "full": mixed(True),
    "force": mixed(False),
}
PLANS = a_map(
    name=mixed("night", 2026, st.text(max_size=70)),
    cloud=mixed("otc"),
    service=mixed("auto", "cinder"),
    defaults=mixed(a_map(**BACKUP)),
    limits=mixed(
        a_map(rate=mixed("5/s", "100/2min"), in_flight=mixed(50), connections=mixed(8), x=mixed(1))
    ),
    retry=mixed(
        a_map(
            attempts=mixed(6),
            base=mixed("2s", "1.5s"),
            cap=mixed("5m"),
            settle=mixed("30s", 0, "0s"),
            rules=st.lists(
                a_map(status=mixed(503), code=mixed("A*", 7), verdict=mixed("fail")), max_size=2
            ),
        )
    ),
    timeouts=mixed(a_map(connect=mixed("5s"), read=mixed("60s"))),
    deadline=mixed("8h"),
    volumes=mixed(
        st.lists(
            a_map(
                id=mixed(A, B.upper(), B.replace("-", "")),
                name=mixed("db", 7),
                priority=mixed(3),
                group=mixed("g"),
                snapshot_id=mixed(B),
                **BACKUP,
            ),
            min_size=1,
            max_size=2,
        )
    ),
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=PLANS)
@example(content={"name": 5, "volumes": [{"id": A, "name": 7, "tags": {"wave": 1}}]})
def test_it_takes_whatever_the_program_takes(content: dict[str, Any], write: Write) -> None:
    """An editor must not find fault with a plan that runs."""
    try:
        load(write(json.dumps(content)))
    except PlanError:
        return
    JUDGE.validate(content)


def test_the_schema_file_for_editors_is_current() -> None:
    """`vbsbatch schema > vbsbatch/plan/plan.schema.json` renews it."""
    assert json.loads(SCHEMA_FILE.read_text("utf-8")) == json_schema()
