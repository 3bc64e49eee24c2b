from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.plan.samples import A, B, Write
from vbsbatch.errors import PlanError
from vbsbatch.plan import load

Rows = Callable[[str | bytes], list[tuple[str, str]]]


@pytest.fixture
def rows(write: Write) -> Rows:
    """Ids and names of a list's volumes."""

    def rows(text: str | bytes) -> list[tuple[str, str]]:
        plan = load(write("name: x"), volumes=write(text, "list"))
        return [(volume.id, volume.name) for volume in plan.volumes]

    return rows


@pytest.fixture
def faults(rows: Rows) -> Callable[[str], list[str]]:
    """The problems of a list as `line:column: message`."""

    def faults(text: str) -> list[str]:
        with pytest.raises(PlanError) as caught:
            rows(text)
        return [f"{p.line}:{p.column}: {p.text}" for p in caught.value.problems]

    return faults


Faults = Callable[[str], list[str]]

OPENSTACK_CSV = f'''"ID","Name","Status","Size","Attached to"
"{A}","a","available",10,""
"{B}","","in-use",1,"Attached to x on /dev/vdb "
'''
OPENSTACK_LONG_CSV = f'''"ID","Name","Status","Size","Type","Bootable","Attached to","Properties"
"{A}","a","available",10,"SSD","true","","{{'a': 'b""c', 'd': ',
'}}"
"{B}","","in-use",1,"SSD","false","","{{}}"
'''
OPENSTACK_JSON = json.dumps(
    [
        {
            "ID": A,
            "Name": "a",
            "Status": "in-use",
            "Size": 1,
            "Attached to": [{"x": 1}],
        },
        {"ID": B, "Name": "", "Status": "available", "Size": 40, "Properties": {"k": None}},
    ],
    indent=2,
)


@pytest.mark.parametrize(
    "text",
    [
        OPENSTACK_CSV,
        OPENSTACK_LONG_CSV,
        OPENSTACK_JSON,
        f"ID\tName\n{A}\ta\n{B}\n",
        f"\ufeffDisk Name;Status;Disk ID\r\na;ok;{A.upper()}\r\n;ok;{B.replace('-', '')}\r\n;;\r\n",
        f"volume_id,Server ID,ID,display_name\n{A},x,y,a\n{B},x,y,\n",
        json.dumps([{"id": A, "name": "a"}, {"id": B, "name": None}], indent="\t"),
    ],
)
def test_lists_of_other_tools_are_understood_as_they_are(rows: Rows, text: str) -> None:
    assert rows(text) == [(A, "a"), (B, B)]


@pytest.mark.parametrize(
    ("cell", "size"),
    [("40", 40), ("40 GB", 40), ("40.0", 40), ("", None), ("-1", None), ("forty", None)],
)
def test_a_size_in_whole_gigabytes_is_taken_and_anything_else_left_out(
    write: Write, cell: str, size: int | None
) -> None:
    plan = load(write("name: x"), volumes=write(f"ID,Size (GB)\n{A},{cell}\n", "list"))
    assert [volume.known_size for volume in plan.volumes] == [size]


@pytest.mark.parametrize(
    "text",
    [
        f"{A}\n{B}",
        f"# fleet\r\n\r\n  {A.upper()}  # db\r\n{B.replace('-', '')}\r\n",
        f'"{A}"\n"{B}"\n',
        f"ID\n{A}\n{B}\n",
        json.dumps([A, B]),
    ],
)
def test_bare_ids_name_themselves(rows: Rows, text: str) -> None:
    assert rows(text) == [(A, A), (B, B)]


def test_a_listed_name_is_made_fit_to_show_and_never_a_reason_to_refuse(rows: Rows) -> None:
    assert rows(f'ID,Name\n{A},"a\n\tb"\n{B},{"x" * 300}\n') == [(A, "a  b"), (B, "x" * 255)]
    assert rows(json.dumps([{"ID": A, "Name": "\x1b[31m"}])) == [(A, "[31m")]


def test_a_name_that_starts_like_a_comment_is_a_name(rows: Rows) -> None:
    assert rows(f"Name,ID\n#1 disk,{A}\n") == [(A, "#1 disk")]


def test_problems_of_a_csv_carry_the_place_of_the_cell(faults: Faults) -> None:
    text = f'Name;ID\n"a\nb";{A}\nc;{A.upper()}\nd\n"e\n;""";nope\n;;\n'
    assert faults(text) == [
        f"4:3: volume {A} is already listed at line 2",
        "5:1: has no volume id",
        "7:6: volume id must be a UUID such as 6ba7b810-9dad-11d1-80b4-00c04fd430c8 "
        "(hyphens may be missing), which this is not",
    ]


def test_problems_of_a_json_list_carry_the_place_of_the_value(faults: Faults) -> None:
    text = f'[\n {{"ID": "{A}"}},\n {{"ID": "x"}},\n {{"Name": "n"}},\n 3,\n {{"ID": "{A}"}}\n]'
    got = faults(text)
    assert [line.split(" ")[0] for line in got] == ["3:9:", "4:2:", "5:2:", "6:9:"]
    assert got[-1].endswith("is already listed at line 2")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "1:1: holds no volumes"),
        ("# none\n", "1:1: holds no volumes"),
        ("ID,Name\n", "1:1: holds no volumes"),
        ("[]", "1:1: holds no volumes"),
        ("{}", "1:1: must be a list of volumes, not a map"),
        ("[", "2:1: not valid YAML (or JSON)"),
        (f"{A},a\n", "1:1: there is no header row: the first line must name the columns"),
        (
            "\nServer,Size\nx,1\n",
            "2:1: no column of volume ids (ID, Volume ID, Disk ID) among 2 columns",
        ),
        (f'ID,Name\n{A},"x\n', "2:1: not valid CSV: unexpected end of data"),
        (f'ID,Name\n{A},"x"y\n', "2:1: not valid CSV: "),
        (f"ID,Name\n{A},{'x' * 200_000}\n", "2:1: not valid CSV: field larger than field limit"),
        ("x y", "1:1: volume id must be a UUID"),
    ],
)
def test_a_list_that_cannot_be_used_gets_one_clear_line(
    faults: Faults, text: str, fault: str
) -> None:
    (only,) = faults(text)
    assert only.startswith(fault)


def test_a_missing_list_is_a_problem_of_that_file(write: Write) -> None:
    path = write("volumes_from: gone.csv")
    with pytest.raises(PlanError, match=r"gone\.csv:1:1: there is no such file"):
        load(path)


def test_a_list_of_nothing_but_faults_is_not_read_to_its_end(faults: Faults) -> None:
    for text in ("x\n" * 50_000, "ID,x\n" + "y,z\n" * 50_000, "[" + "1," * 50_000 + "1]"):
        assert faults(text)[-1].endswith("and more than 10000 more")


cells = st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
@given(
    st.lists(st.tuples(st.uuids(), cells, cells), min_size=1, max_size=8, unique_by=lambda r: r[0]),
    st.sampled_from(",;\t"),
    st.permutations([0, 1, 2]),
)
def test_whatever_csv_can_hold_comes_back(
    rows: Rows, table: list[tuple[object, str, str]], delimiter: str, order: list[int]
) -> None:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter)
    for row in [("ID", "Name", "Note"), *table]:
        writer.writerow([str(row[column]) for column in order])
    shown = [
        (str(i), "".join(c if c.isprintable() else " " for c in name).strip() or str(i))
        for i, name, _ in table
    ]
    assert rows(out.getvalue()) == shown
