"""Which cloud a run was started in is in every report."""

import io
import json

import pytest

from vbsbatch.model import Target
from vbsbatch.report import FORMATS, as_json, as_table, write

from .samples import PLACE, one_of_each, report, run


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_tells_cloud_region_project_and_address(form: str) -> None:
    stream = io.StringIO(newline="")
    write(report(one_of_each(), run=run(**PLACE)), form, stream)
    for word in ("otc", "eu-de", "0a1b2c", "https://vbs.eu-de.test"):
        assert word in stream.getvalue()


def test_the_status_tells_it_to_people_and_to_programs() -> None:
    people, programs = io.StringIO(), io.StringIO()
    as_table.write_status(report(run=run(**PLACE)), people)
    as_json.write_status(report(run=run(**PLACE)), programs)
    assert "region     eu-de\n" in people.getvalue()
    assert "project    prod (0a1b2c)\n" in people.getvalue()
    told = json.loads(programs.getvalue())["run"]
    assert {key: told[key] for key in PLACE} == PLACE


def test_what_an_older_store_does_not_know_is_left_out_or_null() -> None:
    people, programs = io.StringIO(), io.StringIO()
    as_table.write_status(report(), people)
    as_json.write_status(report(), programs)
    assert "region" not in people.getvalue()
    assert json.loads(programs.getvalue())["run"]["region"] is None


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (Target(cloud="lab", region="R1", project_id="p1", project_name="prod", endpoint="https://x"),
         "cloud lab, region R1, project prod (p1), https://x"),
        (Target(project_id="p1"), "the environment's cloud, no region named, project p1"),
        (Target(cloud="lab", project_name="prod"), "cloud lab, no region named, project prod"),
    ],
)  # fmt: skip
def test_a_place_in_words_names_what_is_known(place: Target, words: str) -> None:
    assert str(place) == words
