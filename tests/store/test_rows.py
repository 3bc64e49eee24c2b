"""Packing loses nothing, whatever a cloud calls its things."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.store.fixtures import a_job
from vbsbatch.model import BackupSettings, JobState, Rate
from vbsbatch.store.rows import (
    MUTABLE_FIELDS,
    backup_settings_text,
    fixed_row,
    pack_hex,
    pack_request,
    pack_uuid,
    rate_text,
    read_backup_settings,
    read_rate,
    storable,
    untouched,
)
from vbsbatch.store.views import hex_text, request_text, uuid_text

hexes = st.text("0123456789abcdefABCDEF- ", min_size=30, max_size=37)
uuids = st.uuids().flatmap(
    lambda u: st.sampled_from([str(u), u.hex, str(u).upper(), f"req-{u}", f"{{{u}}}", f" {u.hex}"])
)
names = st.text(st.characters(exclude_categories=["Cs"]))


def back(expression: str, value: object) -> object:
    db = sqlite3.connect(":memory:")
    try:
        return db.execute(f"SELECT {expression} FROM (SELECT ? AS x)", (value,)).fetchone()[0]
    finally:
        db.close()


@given(st.none() | uuids | hexes | names)
def test_an_id_comes_back_as_it_went_in(text: str | None) -> None:
    assert back(uuid_text("x"), pack_uuid(text)) == text
    assert back(hex_text("x"), pack_hex(text)) == text
    assert back(request_text("x"), pack_request(text)) == text


def test_usual_ids_take_sixteen_bytes() -> None:
    text = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
    for packed in (pack_uuid(text), pack_hex(text.replace("-", "")), pack_request(f"req-{text}")):
        assert packed == bytes.fromhex(text.replace("-", ""))


def test_half_a_surrogate_pair_is_replaced_rather_than_fatal() -> None:
    assert storable("a\ud800b") == "a?b"


@given(
    st.builds(
        BackupSettings,
        description=st.none() | names,
        tags=st.dictionaries(names, names).map(lambda tags: tuple(tags.items())),
        full=st.none() | st.booleans(),
        snapshot_id=st.none() | names,
        force=st.booleans(),
        full_if_no_parent=st.booleans(),
        source_backup_id=st.none() | names,
    )
)
def test_backup_settings_come_back(settings: BackupSettings) -> None:
    assert read_backup_settings(backup_settings_text(settings)) == settings


@given(st.builds(Rate, count=st.floats(0.001, 1e6).map(lambda x: round(x, 6)), per=st.just(60.0)))
def test_a_rate_comes_back(rate: Rate) -> None:
    assert read_rate(rate_text(rate)) == rate


def test_what_equals_the_defaults_of_the_run_takes_no_room() -> None:
    usual = BackupSettings(full=True)
    assert fixed_row(a_job(1, settings=usual), usual)[4] is None
    assert fixed_row(a_job(1, volume_name=a_job(1).volume_id), usual)[2] is None


@pytest.mark.parametrize("column", MUTABLE_FIELDS)
def test_a_job_is_untouched_only_while_every_column_of_the_engine_is_as_new(column: str) -> None:
    assert untouched(a_job(1, priority=3, group="db"))
    changed = JobState.FAILED if column == "state" else 7
    assert not untouched(a_job(1, **{column: changed}))
