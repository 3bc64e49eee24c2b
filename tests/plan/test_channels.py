"""`notify` of a plan: names of channels, and never a URL."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vbsbatch.errors import PlanError
from vbsbatch.plan import load

SECRET = "T0KEN-that-nobody-may-see"


def loaded(folder: Path, **keys: Any) -> tuple[str, ...] | None:
    """The channels of a plan, where the config file has `ops` and `mail`."""
    path = folder / "plan.yaml"
    volumes = [{"id": "6ba7b810-9dad-11d1-80b4-000000000001"}]
    path.write_text(json.dumps({"volumes": volumes, **keys}))
    return load(path, channels=["ops", "mail"]).settings.notify


def test_a_plan_names_channels_or_none_or_leaves_it_to_the_config_file(tmp_path: Path) -> None:
    assert loaded(tmp_path) is None
    assert loaded(tmp_path, notify=[]) == ()
    assert loaded(tmp_path, notify="ops") == ("ops",)
    assert loaded(tmp_path, notify=["mail", "ops", "mail"]) == ("mail", "ops")


def test_without_a_config_file_at_hand_names_are_not_compared(tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(
        "notify: [any]\nvolumes: [{id: 6ba7b810-9dad-11d1-80b4-000000000001}]"
    )
    assert load(tmp_path / "plan.yaml").settings.notify == ("any",)


@pytest.mark.parametrize(
    ("notify", "words"),
    [
        (["mial"], 'the config file has no channel "mial": did you mean "mail"?'),
        (["ops", "x1"], 'the config file has no channel "x1": it has ops, mail'),
        (f"https://h/{SECRET}", "must be the name of a channel, not a URL"),
        (["ops", f"json://h/{SECRET}"], "must be the name of a channel, not a URL"),
        ([f"h.example.com/{SECRET}"], "must be the name of a channel, not a URL"),
        ([f"{SECRET}@h"], "must be the name of a channel, not a URL"),
        ({"ops": f"https://h/{SECRET}"}, "must be names of channels of the config file"),
        ([{"url": f"https://h/{SECRET}"}], "must be names of channels of the config file"),
        ([f"{SECRET} {SECRET}"], "must be names of letters, digits, - and _ only"),
        (True, "must be names of channels of the config file"),
        (None, "has no value"),
    ],
)
def test_a_wrong_channel_is_refused_and_no_secret_repeated(
    tmp_path: Path, notify: Any, words: str
) -> None:
    with pytest.raises(PlanError) as caught:
        loaded(tmp_path, notify=notify)
    assert words in str(caught.value)
    assert SECRET not in str(caught.value)


def test_the_place_of_a_wrong_name_is_told(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(
        "volumes: [{id: 6ba7b810-9dad-11d1-80b4-000000000001}]\nnotify:\n  - ops\n  - opps\n"
    )
    with pytest.raises(PlanError) as caught:
        load(path, channels=["ops"])
    (problem,) = caught.value.problems
    assert (problem.line, problem.column) == (4, 5)
