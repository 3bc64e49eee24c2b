"""Every envelope is read, and no bytes make the parser raise."""

from __future__ import annotations

import json
import unicodedata
from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vbsbatch.cloud.response_parser import read_create, read_refusal
from vbsbatch.cloud.response_values import TEXT_MAX, clean, http_date, iso_time, usable_id, whole
from vbsbatch.cloud.retry_after import RETRY_AFTER_MAX, retry_after
from vbsbatch.model import Answer, Cloud, Rate

from .fixtures import NOW


def create(status: int, document: Any, **headers: str) -> Answer:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return read_create(status, {k.replace("_", "-"): v for k, v in headers.items()}, body, NOW)


def test_a_job_id_is_acceptance() -> None:
    answer = create(200, {"job_id": "ff80808254"}, x_request_id="req-1")
    assert answer == Answer(status=200, cloud_job_id="ff80808254", request_id="req-1")


def test_a_backup_id_is_acceptance_too() -> None:
    answer = create(202, {"backup": {"id": "b-1", "name": "x"}})
    assert (answer.backup_id, answer.readable, answer.json) == ("b-1", True, True)


@pytest.mark.parametrize(
    "document",
    [
        {}, [], "x", 7, None, {"job_id": None}, {"job_id": ""}, {"job_id": 12}, {"job_id": "../x"},
        {"job_id": "a b"}, {"job_id": "a" * 500}, {"backup": []}, {"backup": {"id": {}}}, b"",
        b"<html>ok", b'{"job_id": "ff80', b"\xff\xfe\x00", b"[" * 100_000,
    ],
)  # fmt: skip
def test_a_success_without_a_usable_id_is_unreadable(document: Any) -> None:
    answer = create(200, document)
    assert not answer.readable
    assert answer.cloud_job_id is None
    assert answer.backup_id is None


def test_an_error_in_a_200_keeps_its_code_but_stays_unreadable() -> None:
    answer = create(200, {"error": {"code": "VolumeBackup.0013", "message": "busy"}})
    assert (answer.readable, answer.code, answer.message) == (False, "VolumeBackup.0013", "busy")


ENVELOPES = [
    ({"error": {"code": "VolumeBackup.0013", "message": "busy"}}, "VolumeBackup.0013", "busy"),
    ({"error_code": "APIG.0308", "error_msg": "slow"}, "APIG.0308", "slow"),
    ({"badRequest": {"code": 400, "message": "bad"}}, None, "bad"),
    ({"overLimit": {"code": 413, "message": ""}}, None, "overLimit"),
    ({"error": {"code": 401, "message": "who?", "title": "Unauthorized"}}, None, "who?"),
    ({"error": {"code": "401", "title": "Unauthorized"}}, None, "Unauthorized"),
    ({"error": "invalid_client", "error_description": "no"}, None, "no"),
    ({"error": "denied"}, None, "denied"),
    ({"code": "APIGW.0301", "message": "no"}, "APIGW.0301", "no"),
    ({"error": {"code": ["x"], "message": {"y": 1}}}, None, None),
    ({"error_code": None, "error_msg": 3}, None, None),
    ({"error": None}, None, None),
    ({}, None, None),
]


@pytest.mark.parametrize(("document", "code", "message"), ENVELOPES)
def test_each_envelope_gives_its_code_and_message(document: Any, code: Any, message: Any) -> None:
    answer = create(400, document)
    assert (answer.code, answer.message, answer.json) == (code, message, True)
    assert answer.readable


def test_a_proxys_page_is_reported_by_its_words_and_marked_as_no_json() -> None:
    answer = create(502, b"<html><head><title>502</title></head><body>Bad   Gateway</body></html>")
    assert (answer.json, answer.message, answer.code) == (False, "502 Bad Gateway", None)


def test_an_empty_or_binary_body_is_no_json() -> None:
    assert create(503, b"") == Answer(status=503, json=False)
    assert create(503, b"\x00\x1b[2J\xff").json is False


def test_the_request_id_comes_from_either_header_or_the_body() -> None:
    assert create(400, {"request_id": "r-body"}).request_id == "r-body"
    assert create(400, {"request_id": "r"}, x_openstack_request_id="req-2").request_id == "req-2"
    assert create(400, b"nothing", x_request_id="req-1").request_id == "req-1"


@pytest.mark.parametrize(
    ("message", "rate"),
    [
        ("reached limit:50,time:1 second", Rate(count=50, per=1.0)),
        ("api reached, policy: LIMIT:100, time:1 minute", Rate(count=100, per=60.0)),
        ("limit:7,time:minute", Rate(count=7, per=60.0)),
        ("limit:0,time:1 second", None),
        ("limit:5,time:0 second", None),
        ("limit:many,time:1 second", None),
        ("limit:99999999999,time:1 second", None),
    ],
)
def test_the_gateways_limit_is_read_as_a_rate(message: str, rate: Rate | None) -> None:
    assert create(429, {"error_code": "APIG.0308", "error_msg": message}).limit == rate


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("30", 30.0), (" 7 ", 7.0), ("1.5", 1.5), ("0", 0.0), ("-5", 0.0),
        ("86400", RETRY_AFTER_MAX), ("999999999999", None), ("9" * 400, None), ("soon", None),
        ("", None), ("nan", None), ("1e3", None), ("٣", None),
        (formatdate(NOW + 90, usegmt=True), 90.0), (formatdate(NOW - 90, usegmt=True), 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", None),
    ],
)  # fmt: skip
def test_retry_after_is_seconds_from_now_capped_and_never_negative(
    value: str, seconds: float | None
) -> None:
    assert retry_after(value, None, NOW) == seconds
    assert create(503, {}, retry_after=value).retry_after == seconds


def test_a_retry_date_is_taken_by_the_servers_own_clock() -> None:
    theirs = NOW + 5000
    value, date = formatdate(theirs + 40, usegmt=True), formatdate(theirs, usegmt=True)
    assert retry_after(value, date, NOW) == 40.0


def test_text_cannot_colour_a_screen_or_reverse_a_line() -> None:
    assert clean("\x1b[31mred\x9b1m\u202egnp\u2066\u200f\x00\ud800") == ("�[31mred�1m�gnp����")
    assert clean("two\r\nlines\tand\u00a0more ") == "two  lines and more"
    assert clean("x" * 5000) == "x" * (TEXT_MAX - 1) + "…"
    assert clean("grüße, 世界") == "grüße, 世界"
    assert clean("  ") is None
    assert clean(b"bytes") is None


def test_only_ids_that_are_safe_in_a_url_are_usable() -> None:
    assert usable_id("6ba7b810-9dad-11d1-80b4-00c04fd430c8")
    unsafe: list[object] = ["", "..", ".hidden", "a/b", "a?b", "a b", "a\n", "ä", "a" * 129]
    for bad in [*unsafe, 3, None, []]:
        assert usable_id(bad) is None


def test_numbers_come_as_numbers_or_text() -> None:
    assert [whole(v) for v in (7, 7.9, "12", " 3 ", -1)] == [7, 7, 12, 3, -1]
    wrong: list[object] = [True, "x", None, float("nan"), float("inf"), 1e300, [], "9" * 30]
    for bad in wrong:
        assert whole(bad) is None


@pytest.mark.parametrize(
    "text",
    ["2026-01-01T00:00:00.000000", "2026-01-01T00:00:00Z", "2026-01-01T01:00:00+01:00",
     "2026-01-01 00:00:00", "20260101T000000Z"],
)  # fmt: skip
def test_times_come_in_several_iso_forms_and_mean_utc(text: str) -> None:
    assert iso_time(text) == Cloud(NOW)
    assert iso_time("yesterday") is None
    assert iso_time(1767225600) is None
    assert iso_time("9999-12-31T23:59:59-14:00") is None, "in UTC that is no year"
    assert iso_time("0001-01-01T00:00:00+14:00") is None


headers = st.dictionaries(
    st.sampled_from(["retry-after", "date", "x-request-id", "x-openstack-request-id"]), st.text()
)
bodies = st.one_of(
    st.binary(max_size=300),
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda inner: st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["error", "code", "message", "error_code", "error_msg", "request_id", "job_id",
                 "backup", "id", "badRequest"]
            ) | st.text(max_size=5),
            inner,
            max_size=4,
        ),
        max_leaves=8,
    ).map(lambda document: json.dumps(document).encode()),
)  # fmt: skip


@given(status=st.integers(100, 599), headers=headers, body=bodies, now=st.floats(0, 4e9))
def test_no_answer_whatsoever_makes_the_reader_raise(
    status: int, headers: dict[str, str], body: bytes, now: float
) -> None:
    answer = read_create(status, headers, body, now)
    refusal = read_refusal(headers, body, now)
    for text in (answer.code, answer.message, answer.request_id, refusal.message):
        assert text is None or (0 < len(text) <= TEXT_MAX and text.isprintable())
    assert answer.retry_after is None or 0 <= answer.retry_after <= RETRY_AFTER_MAX
    accepted = answer.cloud_job_id is not None or answer.backup_id is not None
    assert answer.readable == (accepted or not 200 <= status < 300)


@given(st.text())
def test_dates_that_are_none_give_none(text: str) -> None:
    for read in (http_date, iso_time):
        moment = read(text)
        assert moment is None or isinstance(moment, float)


@given(st.text(), st.integers(1, 50))
def test_cleaned_text_is_printable_and_bounded(text: str, most: int) -> None:
    cleaned = clean(text, most)
    assert cleaned is None or len(cleaned) <= most
    forbidden = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert not forbidden & {unicodedata.category(c) for c in cleaned or ""}


@pytest.mark.parametrize("space", ["\t", "\r\n", "\u00a0", "\u2003", "\u2028", "\u3000"])
def test_any_white_space_is_a_blank(space: str) -> None:
    assert clean(f"db{space}01") == f"db{' ' * len(space)}01"
    assert clean(f"{space}db\u200b01{space}") == "db\ufffd01"
