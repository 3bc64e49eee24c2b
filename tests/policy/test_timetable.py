"""Moments of a timetable, with systemd as the judge."""

from __future__ import annotations

import re
import shutil
import subprocess
from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vbsbatch.policy.timetable import (
    DAYS,
    Scheduled,
    Timetable,
    parse_at,
    parse_days,
    parse_scheduled,
)

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe")

timetables = st.builds(
    Timetable,
    at=st.times().map(lambda at: at.replace(microsecond=0)),
    days=st.sets(st.integers(0, 6), min_size=1).map(lambda days: tuple(sorted(days))),
    zone=st.sampled_from(ZONES),
)
moments = st.integers(1_700_000_000, 2_000_000_000).map(float)


@given(timetables, moments)
def test_the_moments_before_and_after_have_none_between_them(of: Timetable, now: float) -> None:
    last, following = of.last(now), of.next(now)
    assert last is not None
    assert following is not None
    assert last <= now < following
    assert of.between(last, following) == [following]
    assert of.between(last - 1, following - 1) == [last]
    local = datetime.fromtimestamp(following, ZoneInfo(of.zone))
    assert (local.time(), local.weekday() in of.days) == (of.at, True)


@given(timetables, moments, st.text(min_size=1))
def test_what_a_unit_says_is_read_back(of: Timetable, since: float, plan: str) -> None:
    said = Scheduled(timetable=of, since=since, plan=plan)
    assert parse_scheduled(str(said)) == said


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="without systemd")
@pytest.mark.parametrize(
    ("of", "begin"),
    [
        (Timetable(at=time(22), days=(0, 1, 2, 3, 4), zone="Europe/Berlin"), "2026-10-23 00:00"),
        (Timetable(at=time(2, 30), zone="Europe/Berlin"), "2026-03-27 12:00"),
        (Timetable(at=time(2, 30), zone="Europe/Berlin"), "2026-10-23 12:00"),
        (Timetable(at=time(1, 45), zone="Australia/Lord_Howe"), "2026-04-03 00:00"),
        (Timetable(at=time(2, 10), zone="Australia/Lord_Howe"), "2026-10-02 00:00"),
        (Timetable(at=time(6, 5, 7), days=(0, 2, 5, 6), zone="Asia/Kathmandu"), "2026-12-30 00:00"),
    ],
    ids=str,
)
def test_systemd_computes_the_same_moments(of: Timetable, begin: str) -> None:
    said = subprocess.run(
        ["systemd-analyze", "calendar", "--iterations=6", f"--base-time={begin} UTC", of.calendar],
        capture_output=True,
        text=True,
        check=True,
        env={"TZ": "UTC", "PATH": "/usr/bin:/bin", "LC_ALL": "C"},
    ).stdout
    theirs = re.findall(r"(?:elapse|#\d+): \w+ ([-\d]+ [:\d]+) UTC", said)
    at = datetime.fromisoformat(f"{begin}+00:00").timestamp()
    ours = []
    for _ in range(6):
        at = of.next(at) or 0.0
        ours.append(datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S"))
    assert ours == theirs


def test_days_are_read_as_people_write_them() -> None:
    for text, days in {
        "mon-fri": (0, 1, 2, 3, 4),
        "Sat-Mon": (0, 5, 6),
        "mon,wed,FRIDAY": (0, 2, 4),
        "daily": tuple(range(7)),
        "mon-sun": tuple(range(7)),
        "sun": (6,),
    }.items():
        assert parse_days(text) == days
    assert Timetable(at=time(22), days=(0, 1, 2, 4, 6)).calendar == (
        "Mon..Wed,Fri,Sun *-*-* 22:00:00 UTC"
    )
    assert Timetable(at=time(22, 5), days=(0, 1, 2, 4, 6)).cron == "5 22 * * 1-3,5,7"
    assert Timetable(at=time(6)).cron == "0 6 * * *"
    assert len(DAYS) == 7


@pytest.mark.parametrize(
    "text", ["", "noon", "24:00", "22", "22:60", "22:00:60", "2 2:00", "-1:00"]
)
def test_what_is_no_time_of_day_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time of day such as 22:00"):
        parse_at(text)


@pytest.mark.parametrize("text", ["", "mo", "mon-", "mon,,tue", "weekdays", "1-5", "mon - fry"])
def test_what_is_no_day_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no day: use mon-fri"):
        parse_days(text)
