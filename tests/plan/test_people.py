"""Common mistakes with files: wrong names, swapped files, spreadsheets."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from tests.plan.samples import A, B, Problems, Write
from vbsbatch.errors import PlanError
from vbsbatch.model import did_you_mean, near_path
from vbsbatch.plan import load

PLAN = f"name: t\nvolumes: [{{id: {A}}}]\n"


def listed(write: Write, text: str | bytes) -> list[tuple[str, str]]:
    plan = load(write("name: x"), volumes=write(text, "list"))
    return [(volume.id, volume.name) for volume in plan.volumes]


@pytest.mark.parametrize("first", ["sep=;", "SEP=;", '"sep=;"', "sep=;;", "\ufeffsep=;", "\nsep=;"])
def test_a_spreadsheet_may_name_its_separator(write: Write, first: str) -> None:
    text = f"{first}\r\nID;Name\r\n{A};one, two\r\n{B};b\r\n"
    assert listed(write, text) == [(A, "one, two"), (B, "b")]


def test_a_named_separator_counts_although_another_is_more_frequent(write: Write) -> None:
    text = f"sep=|\nID|Name, a, b, c|Name\n{A}|x,y,z|one\n"
    assert listed(write, text) == [(A, "one")]


def test_bare_ids_may_follow_it(write: Write) -> None:
    assert listed(write, f"sep=;\n{A}\n{B}\n") == [(A, A), (B, B)]


@pytest.mark.parametrize("blank", [" ", "\t", "\u00a0", "\u200b", "\ufeff", " \u200b "])
def test_blanks_around_an_id_are_not_part_of_it(write: Write, blank: str) -> None:
    padded = f"{blank}{A}{blank}"
    assert listed(write, f"ID,Name\n{padded},a\n") == [(A, "a")]
    escaped = padded.encode("unicode_escape").decode().replace("\\xa0", "\\u00a0")
    assert listed(write, f'[{{"ID": "{escaped}", "Name": "a"}}]') == [(A, "a")]
    plan = load(write(f'volumes: [{{id: "{escaped}"}}]'))
    assert [volume.id for volume in plan.volumes] == [A]


def test_the_same_id_with_and_without_blanks_is_one_volume(problems: Problems) -> None:
    (only,) = problems(f'volumes: [{{id: {A}}}, {{id: " {A} "}}]')
    assert f"volume {A} is already listed" in only


@pytest.mark.parametrize(
    "text",
    [
        f"ID,Name\n{A},a\n",
        f'"ID","Name"\n"{A}","a"\n',
        f"sep=;\nID;Name\n{A};a\n",
        f'[{{"ID": "{A}", "Name": "a"}}]',
        f"{A}\n{B}\n",
    ],
)
def test_a_list_of_volumes_given_as_the_plan_is_refused_with_the_right_option(
    problems: Problems, text: str
) -> None:
    (only,) = problems(text)
    assert "is a list of volumes, not a plan: give it with --volumes" in only


def test_a_plan_with_a_fault_is_not_taken_for_a_list(problems: Problems) -> None:
    assert not any("list of volumes" in line for line in problems(f"{PLAN}\n  - [\n"))
    assert not any("list of volumes" in line for line in problems("a, b, c\n"))


def test_a_plan_may_come_from_standard_input() -> None:
    plan = load("-", stdin=io.BytesIO(f"volumes: [{{id: {A}}}]".encode()))
    assert (plan.name, [volume.id for volume in plan.volumes]) == ("plan", [A])
    with pytest.raises(PlanError, match=r"<stdin>:1:1: names no volumes"):
        load("-", stdin=io.BytesIO(b"name: x"))
    with pytest.raises(PlanError, match="cannot be the plan and its list"):
        load("-", volumes="-", stdin=io.BytesIO(b""))


def test_a_file_that_is_not_there_is_named_with_the_nearest_that_is(tmp_path: Path) -> None:
    (tmp_path / "plans").mkdir()
    (tmp_path / "plans" / "nightly.yaml").write_text(PLAN)
    for wrong, right in (("plans/nighly.yaml", "plans/nightly.yaml"), ("plan/x.yaml", "plans")):
        with pytest.raises(PlanError) as caught:
            load(tmp_path / wrong)
        assert f"there is no such file; did you mean {tmp_path / right}?" in str(caught.value)
    with pytest.raises(PlanError, match=r"there is no such file$"):
        load(tmp_path / "plans" / "something-else")


def test_nothing_near_is_nothing_said(tmp_path: Path) -> None:
    assert near_path(tmp_path / "x") == near_path("/") == near_path("") == ""
    assert did_you_mean("zzz", ["fail", "retry"]) == ""
    assert did_you_mean("FIAL", ["fail", "retry"]) == "; did you mean 'fail'?"
