from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vbsbatch.model import (
    Limits,
    Operation,
    Rate,
    Retry,
    Rule,
    Service,
    Settings,
    Timeouts,
    Verdict,
    Wave,
    Window,
)
from vbsbatch.store.sqlite.codec import read_settings, settings_text

numbers = st.floats(0.001, 1e6)
rules = st.builds(
    Rule,
    verdict=st.sampled_from(Verdict),
    status=st.none() | st.integers(100, 599),
    code=st.none() | st.text(),
)
settings = st.builds(
    Settings,
    limits=st.builds(
        Limits,
        rate=st.builds(Rate, count=numbers, per=numbers),
        in_flight=st.integers(1, 1000),
        per_group=st.none() | st.integers(1, 1000),
        per_az=st.lists(st.tuples(st.text(), st.integers(1, 1000)), max_size=3).map(tuple),
    ),
    retry=st.builds(Retry, base=numbers, rules=st.lists(rules, max_size=3).map(tuple)),
    timeouts=st.builds(Timeouts, connect=numbers, read=numbers),
    deadline=st.none() | numbers,
    waves=st.lists(
        st.builds(Wave, name=st.text(), max_failures=st.integers(0, 99)), max_size=3
    ).map(tuple),
    window=st.none()
    | st.builds(
        Window, opens=st.integers(0, 1439), closes=st.integers(0, 1439), timezone=st.text()
    ),
    delete_errored=st.booleans(),
    service=st.sampled_from(Service),
    operation=st.sampled_from(Operation),
    source_run=st.none() | st.text(),
)


@given(settings)
def test_what_was_frozen_comes_back(frozen: Settings) -> None:
    assert read_settings(settings_text(frozen)) == frozen


def test_a_part_that_an_older_version_did_not_write_is_as_in_a_new_plan() -> None:
    assert read_settings('{"limits": {"in_flight": 7}}') == Settings(limits=Limits(in_flight=7))


def test_a_run_from_before_there_was_a_choice_of_services_used_vbs() -> None:
    assert read_settings('{"retry": {"attempts": 3}}').service is Service.VBS


def test_a_part_that_only_a_newer_version_knows_is_ignored() -> None:
    assert read_settings('{"colour": "red", "retry": {"mood": 3}}') == Settings()


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("limits", None),
        ("limits", [1]),
        ("deadline", "soon"),
        ("delete_errored", 1),
        ("retry", {"rules": [{"verdict": "perhaps"}]}),
        ("retry", {"rules": [{"status": 500}]}),
        ("retry", {"rules": 5}),
        ("retry", {"attempts": 2.5}),
        ("timeouts", {"connect": True}),
        ("service", "glance"),
        ("service", None),
        ("waves", 5),
        ("waves", [{"max_failures": 1}]),
        ("window", {"opens": 1320, "closes": 360}),
        ("limits", {"per_az": [["eu-de-01"]]}),
        ("limits", {"per_az": [["eu-de-01", "many"]]}),
        ("operation", "burn"),
        ("source_run", 7),
    ],
)
def test_anything_else_is_refused(part: str, value: Any) -> None:
    parts = asdict(Settings()) | {part: value}
    with pytest.raises(ValueError, match=r"."):
        read_settings(json.dumps(parts))


@pytest.mark.parametrize("text", ["", "[]", "null", "{", '"x"'])
def test_text_that_holds_no_settings_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_settings(text)
