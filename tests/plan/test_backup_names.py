from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.plan.samples import RUN, A, B, Load, names
from vbsbatch.model import Settings
from vbsbatch.plan.backup_names import Names, template_fields
from vbsbatch.plan.plan import Plan
from vbsbatch.plan.volumes import Choices, PlanVolume

ACCEPTED = re.compile(r"(?!auto)[A-Za-z0-9_-]{1,64}")

hostile = st.one_of(
    st.text(min_size=1, max_size=90),
    st.sampled_from(["data", "Data", "auto", "AUTO-x", "a b", "a-b", "{run}", "{{", "é", "-" * 80]),
    st.text(alphabet="ab", min_size=60, max_size=70),
)
templates = st.sampled_from(
    [
        "{plan}-{volume}-{run}",
        "{volume}",
        "same for all",
        "{group}",
        "auto{no}",
        "{{{volume}}}",
        "{id}-{volume}-{date}",
        "x" * 70 + "{no}",
    ]
)


def _plan(volumes: list[str], template: str) -> Plan:
    return Plan(
        name="p",
        cloud=None,
        settings=Settings(),
        defaults=Choices(backup_name=template),
        volumes=[
            PlanVolume(id=f"{n:08x}-0000-0000-0000-000000000000", name=name)
            for n, name in enumerate(volumes)
        ],
        names_unique=False,
    )


@given(st.lists(hostile, min_size=1, max_size=40), templates)
def test_names_are_accepted_and_unique_whatever_the_volumes_are_called(
    volumes: list[str], template: str
) -> None:
    plan = _plan(volumes, template)
    got = names(plan)
    assert all(ACCEPTED.fullmatch(name) for name in got)
    assert not any(name.lower().startswith("auto") for name in got)
    assert len({name.lower() for name in got}) == len(volumes)
    assert got == names(plan)


@given(hostile, st.sampled_from(["{plan}-{volume}-{run}", "{volume}{run}", "y" * 80 + "{run}"]))
def test_names_with_the_run_differ_from_run_to_run_even_when_cut(name: str, template: str) -> None:
    plan = _plan([name, name], template)
    assert not set(names(plan)) & set(names(plan, "20261123-0715-k3fa"))


def test_a_name_made_to_look_like_another_name_with_a_hash_does_not_collide() -> None:
    second = Names()
    second.name("{volume}", {"volume": "data"}, A)
    hashed = second.name("{volume}", {"volume": "data"}, B)
    third = Names()
    for volume, volume_id in ((hashed, A), ("data", A), ("data", B)):
        third.name("{volume}", {"volume": volume}, volume_id)
    assert len(third._taken) == 3


def test_the_example_of_the_documentation_is_named_as_it_says(plan: Load) -> None:
    got = plan(
        f"name: pre-migration\ndefaults: {{backup_name: '{{plan}}-{{volume}}-{{run}}'}}\n"
        f"volumes: [{{id: {A}, name: db01 data}}, {{id: {B}, name: db01-data}}]"
    )
    first, second = names(got)
    assert first == f"pre-migration-db01-data-{RUN}"
    assert re.fullmatch(rf"{first}-[0-9a-z]{{10}}", second)


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("{date}_{no}_{group}", "20261123_1_g"),
        ("{id}", A),
        ("a{{b}}", "a-b-"),
        ("auto-{no}", "b-auto-1"),
        ("Automatic", "b-Automatic"),
    ],
)
def test_fields_stand_for_what_the_documentation_says(plan: Load, template: str, name: str) -> None:
    text = f"volumes: [{{id: {A}, group: g, backup_name: '{template}'}}]"
    assert names(plan(text)) == [name]


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("{volum}", "did you mean {volume}?"),
        ("{volume.__class__}", "unknown field"),
        ("{volume[0]}", "unknown field"),
        ("{}", "unknown field"),
        ("{0}", "unknown field"),
        ("{volume!r}", "write {volume} alone"),
        ("{volume:>9999999999}", "write {volume} alone"),
        ("{volume:{run}}", "write {volume} alone"),
        ("{", "lone"),
        ("a}", "lone"),
        ("{volume", "lone"),
    ],
)
def test_a_template_takes_plain_known_fields_only(template: str, why: str) -> None:
    with pytest.raises(ValueError, match=re.escape(why)):
        template_fields(template)


@given(st.text(alphabet="{}!:[].volumerun\x00é"))
def test_any_template_is_sound_or_a_value_error(template: str) -> None:
    try:
        fields = template_fields(template)
    except ValueError:
        return
    template.format_map(dict.fromkeys(fields, "x"))


@pytest.mark.parametrize(
    ("text", "unique"),
    [
        (f"volumes: [{{id: {A}}}]", True),
        (f"defaults: {{backup_name: '{{volume}}'}}\nvolumes: [{{id: {A}}}]", False),
        (f"defaults: {{backup_name: '{{{{run}}}}'}}\nvolumes: [{{id: {A}}}]", False),
        (f"volumes: [{{id: {A}, backup_name: '{{id}}'}}, {{id: {B}}}]", False),
        (
            "defaults: {backup_name: fix}\n"
            f"volumes: [{{id: {A}, backup_name: '{{run}}-{{no}}'}}]",
            True,
        ),
    ],
)
def test_names_are_unique_beyond_the_run_when_every_name_holds_the_run(
    plan: Load, text: str, unique: bool
) -> None:
    got = plan(text)
    assert got.names_unique is unique
    assert got.settings.names_unique is unique
