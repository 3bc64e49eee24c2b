"""A list of volumes that is no list but a file of secrets: a message must not repeat it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vbsbatch.errors import PlanError
from vbsbatch.plan import load
from vbsbatch.plan.volume_lists import read_list

SECRET = "hunter2-Tr0ub4dor&3"
FILES = {
    "an environment file": f"DB_PASSWORD={SECRET}\nAPI_KEY={SECRET}\n",
    "an environment file with commas": f"DB_PASSWORD={SECRET},x\nAPI_KEY={SECRET},y\n",
    "passwords, one a line": f"{SECRET}\n{SECRET}2\n",
    "a table of passwords": f"id,name\n{SECRET},root\n",
    "a table without our columns": f"user;password\nroot;{SECRET}\n",
    "a secret in the header": f"{SECRET};password\nroot;x\n",
    "clouds.yaml": f"clouds:\n  otc:\n    auth: {{password: {SECRET}}}\n",
    "JSON of secrets": json.dumps({"password": SECRET}),
    "a JSON list of secrets": json.dumps([SECRET, 4711_0815, {"ID": SECRET}, {"password": SECRET}]),
    "a JSON key said twice": f'[{{"{SECRET}": 1, "{SECRET}": 2}}]',
    "JSON with an anchor": "[&hunter2-Tr0ub4dor3 x, *hunter2-Tr0ub4dor3, !hunter2-Tr0ub4dor3 y]",
    "a private key": f"-----BEGIN PRIVATE KEY-----\n{SECRET}\n-----END PRIVATE KEY-----\n",
    "JSON cut short": f'[{{"ID": "{SECRET}"',
    "CSV that is none": f'ID,Name\n"{SECRET}"x,y\n',
}


@pytest.mark.parametrize("what", FILES)
@pytest.mark.parametrize("way", ["--volumes", "volumes_from"])
def test_no_value_of_it_is_repeated(tmp_path: Path, what: str, way: str) -> None:
    (tmp_path / "secrets").write_text(FILES[what])
    plan = tmp_path / "plan.yaml"
    plan.write_text("name: night\n" + ("volumes_from: secrets\n" if way != "--volumes" else ""))
    named = tmp_path / "secrets" if way == "--volumes" else None
    with pytest.raises(PlanError) as caught:
        load(plan, volumes=named)
    assert "hunter2" not in str(caught.value)
    assert "4711" not in str(caught.value)


@given(st.text(st.characters(codec="utf-8"), min_size=6, max_size=60))
def test_nothing_that_does_not_look_like_an_id_is_repeated(secret: str) -> None:
    words = "§" + "".join(c for c in secret if c.isprintable() and c not in " ,;\t#\"'[{").strip()
    if len(words) < 6 or any(c in "0123456789abcdefABCDEF-" for c in words):
        return
    _, problems, _ = read_list("f", f"{words}\n".encode())
    assert not [each for each in problems if words in each.message]


def test_what_looks_like_an_id_is_repeated_so_that_it_can_be_found() -> None:
    for slip in ("6ba7b810-9dad-11d1-80b4-00c04fd430cx", "6ba7b8109dad11d180b400c04fd430c"):
        _, (problem,), _ = read_list("f", f"{slip}\n".encode())
        assert slip in problem.message


def test_a_text_in_the_place_of_a_plan_is_not_repeated(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text(f"PASSWORD={SECRET}\n")
    with pytest.raises(PlanError) as caught:
        load(path)
    assert "hunter2" not in str(caught.value)
