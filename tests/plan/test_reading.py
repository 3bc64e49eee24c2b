"""Hostile and broken files: one clear line, never a traceback, never a hang."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.plan.samples import A, Load, Problems, Write
from vbsbatch.errors import PlanError, Problem
from vbsbatch.plan import file_input, load
from vbsbatch.plan.reading import Document


def _read(text: str) -> object:
    return Document("f", text.encode()).read(lambda _index, _value: None, under="volumes")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("False", False),
        ("~", None),
        ("5", 5),
        ("-3", -3),
        ("on", "on"),
        ("yes", "yes"),
        ("22:00", "22:00"),
        ("2026-11-23", "2026-11-23"),
        ("007", "007"),
        ("1.10", "1.10"),
        ("0x10", "0x10"),
        ("1_000", "1_000"),
        ("12345678123412341234123456789012", "12345678123412341234123456789012"),
        ("'5'", "5"),
        ('"true"', "true"),
        ("|\n  a\n", "a\n"),
    ],
)
def test_scalars_are_what_yaml_1_2_says_and_never_lose_what_was_written(
    text: str, value: object
) -> None:
    got = _read(f"k: {text}")
    assert got == {"k": value}
    assert type(got["k"]) is type(value)


def test_a_merge_key_is_no_special_key() -> None:
    assert _read("<<: 1") == {"<<": 1}


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("a: &x [1]\n", ["1:4: anchors are not accepted (&x): remove it"]),
        ("volumes: &v [1]\n", ["1:10: anchors are not accepted (&v): remove it"]),
        ("a: *x\n", ["1:4: aliases are not accepted (*x): write the value here"]),
        ("a: !!str 5\n", ["1:4: tags are not accepted"]),
        ("a: !x y\n", ["1:4: tags are not accepted"]),
        ("a: 1\nb: 2\na: 3\n", ['3:1: "a" is here twice: keep one']),
        ("a: 1\n---\nb: 2\n", ["2:1: has a second document: only one is allowed"]),
        ("? [a]\n: 1\n", ["1:3: a key must be plain text"]),
        ("a: b: c\n", ["1:5: not valid YAML (or JSON): mapping values are not allowed"]),
        ("a: 'b\n", ["2:1: not valid YAML (or JSON): found unexpected end of stream"]),
        ("{", ["2:1: not valid YAML"]),
        (
            "a:\n\t- b\n",
            [
                "2:1: not valid YAML (or JSON): found character that cannot start any token: "
                "indent with spaces, not tabs"
            ],
        ),
        (
            "ä: @b\n",
            [
                "1:4: not valid YAML (or JSON): found character that cannot start any token: "
                "put the text in quotes"
            ],
        ),
        ("[" * 200_000, ["1:21: is nested deeper than 20 levels"]),
        ("- " * 200_000, ["1:41: is nested deeper than 20 levels"]),
        ("{" * 200_000, ["1:2: a key must be plain text"]),
        ("? " * 200_000, ["1:3: a key must be plain text"]),
        ("".join(f"k{n}: 1\n" for n in range(30_000)), ["20000:"]),
    ],
)
def test_forms_that_a_plan_has_no_use_for_are_refused_where_they_stand(
    problems: Problems, text: str, lines: list[str]
) -> None:
    about_content = re.compile("unknown key|names no volumes|must be a map of keys")
    got = [line for line in problems(text) if not about_content.search(line)]
    assert len(got) == len(lines)
    assert all(line.startswith(start) for line, start in zip(got, lines, strict=True))


def test_a_bomb_of_aliases_is_refused_once_a_line(problems: Problems) -> None:
    bomb = "a: &a [x, x]\n" + "".join(
        f"{after}: &{after} [{', '.join([f'*{before}'] * 9)}]\n"
        for before, after in zip("abcdefgh", "bcdefghi", strict=True)
    )
    got = problems(bomb)
    assert sum("aliases" in line for line in got) == 8
    assert len(got) < 30
    assert sum("anchors" in line for line in got) == 9


def test_an_alias_in_place_of_a_value_is_one_problem_not_two(problems: Problems) -> None:
    assert problems(f"name: *x\nvolumes: [{{id: {A}, tags: *y}}, *z]") == [
        "1:7: aliases are not accepted (*x): write the value here",
        "2:60: aliases are not accepted (*y): write the value here",
        "2:65: aliases are not accepted (*z): write the value here",
    ]


def test_a_line_of_many_megabytes_is_read_like_any_other(problems: Problems) -> None:
    (only,) = problems(f"volumes: [{{id: {A}, name: {'x' * 5_000_000}}}]")
    assert "must have 1 to 255 characters, not 5000000" in only
    assert len(only) < 200


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"\xff\xfen\0", "1:1: is UTF-16 text: save it as UTF-8"),
        (b"\xff\xfe\0\0n\0\0\0", "1:1: is UTF-32 text: save it as UTF-8"),
        (b"PK\x03\x04\0", "1:1: is a workbook or an archive, not text: export it as CSV in UTF-8"),
        (b"n\0a\0", "1:2: contains a NUL byte: it is not text, or it is UTF-16"),
        (b"a: 1\nb: \xff", "2:4: is not UTF-8 from here on: save it as UTF-8"),
        (b"a: \xc3", "1:4: is not UTF-8 from here on: save it as UTF-8"),
        ("é: \x1b".encode(), "1:4: contains a control character (U+001B): remove it"),
        (b"a: \xc2\x9b", "1:4: contains a control character (U+009B): remove it"),
    ],
)
def test_bytes_that_are_no_clean_utf8_are_named_with_their_place(
    problems: Problems, data: bytes, problem: str
) -> None:
    assert problems(data) == [problem]


def test_broken_utf8_is_found_beyond_the_first_piece(problems: Problems) -> None:
    data = ("é" * 524_287 + "\n").encode() + b"aa\xe2\x82\xacb\xff"
    assert problems(data) == ["2:5: is not UTF-8 from here on: save it as UTF-8"]


def test_a_byte_order_mark_is_accepted_and_moves_nothing(plan: Load, problems: Problems) -> None:
    assert len(plan(f"\ufeffvolumes: [{{id: {A}}}]")) == 1
    assert problems("\ufeffnme: 1\nvolumes_from: 5x")[0].startswith("1:1: unknown key")


def test_a_file_that_is_too_large_is_not_read(
    tmp_path: Path,
) -> None:
    (tmp_path / "large.yaml").write_bytes(b" " * 1025)
    with pytest.raises(PlanError, match="1:1: is larger than 1024 bytes"):
        file_input.read_file(tmp_path / "large.yaml", most=1024)


def test_a_plan_that_is_too_large_is_to_be_split(tmp_path: Path) -> None:
    with open(tmp_path / "large.yaml", "wb") as sparse:
        sparse.truncate(file_input.MAX_BYTES + 1)
    assert _refusal(tmp_path / "large.yaml") == "is larger than 64 MiB: split it into several plans"


def _refusal(path: Path | str) -> str:
    with pytest.raises(PlanError) as caught:
        load(path)
    (problem,) = caught.value.problems
    assert (problem.file, problem.line, problem.column) == (str(path), 1, 1)
    return problem.text


def test_anything_but_a_plain_file_is_refused_without_waiting(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    assert _refusal(fifo) == "is a pipe, not a plain file"
    assert _refusal(tmp_path) == "is a directory, not a plain file"
    assert _refusal("/dev/zero") == "is a device, not a plain file"
    assert _refusal(tmp_path / "none.yaml") == "there is no such file"
    assert _refusal(tmp_path / ("x" * 300)) == "cannot be opened: File name too long"
    assert _refusal(loop).startswith("cannot be opened: ")
    assert _refusal("a\0b") == "cannot be opened: embedded null byte"


def test_a_file_without_permission_says_so(write: Write) -> None:
    path = write(f"volumes: [{{id: {A}}}]")
    path.chmod(0)
    code = (
        "import os, vbsbatch.plan.file_input as o; os.geteuid() or os.seteuid(65534);"
        f"o.read_file({str(path)!r})"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert f"{path}:1:1: you have no permission to read it" in done.stderr


yamlish = st.text(
    alphabet=st.sampled_from(list("abn:-?[]{},&*!|>'\"%@`# \n\t0\\.~<=é\u2028😀")), max_size=200
)
words = ["name", "volumes", "id", "tags", "limits", "rate", "retry", "rules", "code", "<<"]
keys = st.sampled_from(words) | st.text(max_size=3)
leaves = (
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from([A, "5/s"])
)
keyish = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)
files = st.binary(max_size=200) | st.one_of(yamlish, keyish.map(repr)).map(str.encode)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(files)
def test_any_bytes_are_a_plan_or_a_list_of_problems_in_lines(write: Write, data: bytes) -> None:
    path = write(data)
    for volumes in (None, path):
        for problem in _problems(path, volumes):
            assert problem.line >= 1
            assert problem.column >= 1
            assert "\n" not in problem.text
            assert "pydantic" not in problem.text


def _problems(path: Path, volumes: Path | None) -> Sequence[Problem]:
    try:
        load(path, volumes=volumes)
    except PlanError as error:
        return error.problems
    return ()
