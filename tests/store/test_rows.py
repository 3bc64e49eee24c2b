"""Packing of rows loses nothing, whatever the ids and names are."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.store.fixtures import a_job
from vbsbatch.model import BackupSettings, JobState, Rate
from vbsbatch.store.sqlite import rows
from vbsbatch.store.sqlite.codec import (
    HEX,
    REQUEST,
    UUID,
    ColumnType,
    RowCodec,
    backup_settings_text,
    column,
    pack_hex,
    pack_request,
    pack_uuid,
    rate_text,
    read_backup_settings,
    read_rate,
    storable,
)
from vbsbatch.store.sqlite.rows import MUTABLE, fixed_row, untouched
from vbsbatch.store.sqlite.store import SqliteStore

hexes = st.text("0123456789abcdefABCDEF- ", min_size=30, max_size=37)
uuids = st.uuids().flatmap(
    lambda u: st.sampled_from([str(u), u.hex, str(u).upper(), f"req-{u}", f"{{{u}}}", f" {u.hex}"])
)
names = st.text(st.characters(exclude_categories=["Cs"]))


def back(kind: ColumnType, value: object) -> object:
    """What is read of a value that was stored."""
    row = RowCodec("t", column("x", kind, null=True), column("y", kind, null=True))
    db = sqlite3.connect(":memory:")
    try:
        stored = row.encode(SimpleNamespace(x=value, y=None))
        query = f"SELECT {row.selected('t')} FROM (SELECT ? AS x, ? AS y) AS t"
        return row.decode(db.execute(query, stored).fetchone())["x"]
    finally:
        db.close()


@given(st.none() | uuids | hexes | names)
def test_an_id_comes_back_as_it_went_in(text: str | None) -> None:
    assert back(UUID, text) == text
    assert back(HEX, text) == text
    assert back(REQUEST, text) == text


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


@pytest.mark.parametrize("column", [each for each in MUTABLE.fields if each != "size"])
def test_a_job_is_untouched_only_while_every_column_of_the_engine_is_as_new(column: str) -> None:
    assert untouched(a_job(1, priority=3, group="db", size=40))
    changed = JobState.FAILED if column == "state" else 7
    assert not untouched(a_job(1, **{column: changed}))


@pytest.mark.parametrize("row", [rows.RUN, rows.JOB, rows.ATTEMPT, rows.EVENT, rows.COMMAND])
def test_columns_have_the_types_that_the_schema_gives_them(path: Path, row: RowCodec) -> None:
    types = {"INTEGER": (int,), "TEXT": (str,)}
    SqliteStore.open(path, create=True).close()
    query = f"SELECT name, type, \"notnull\", pk FROM pragma_table_info('{row._table}')"
    with closing(sqlite3.connect(path)) as db:
        known = {name: (kind, null) for name, kind, null, key in db.execute(query) if not key}
    for each in row.columns:
        if each.name in known:
            kind, never_null = known[each.name]
            assert each.null is not bool(never_null), each.name
            assert each.type.types == types.get(kind, each.type.types), each.name
