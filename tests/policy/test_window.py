"""The window's arithmetic against an oracle that checks every minute."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vbsbatch.model import Window
from vbsbatch.policy.window import changes_at, is_open, local_time

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",  # half an hour of summer time
    "Asia/Kathmandu",  # 45 minutes off
    "Africa/Casablanca",  # clocks change around Ramadan
    "America/St_Johns",
)

windows = st.builds(
    Window,
    opens=st.integers(0, 1439),
    closes=st.integers(0, 1439),
    timezone=st.sampled_from(ZONES),
).filter(lambda window: window.opens != window.closes)


def utc(*when: int) -> float:
    return datetime(*when, tzinfo=UTC).timestamp()  # type: ignore[misc, arg-type]


BERLIN_BACK = utc(2026, 10, 25, 1)
BERLIN_FORWARD = utc(2026, 3, 29, 1)
CHANGES = (
    BERLIN_BACK,
    BERLIN_FORWARD,
    utc(2026, 3, 8, 7),  # New York
    utc(2026, 11, 1, 6),
    utc(2026, 4, 4, 15),  # Lord Howe
    utc(2026, 10, 3, 15, 30),
    utc(2026, 2, 15, 2),  # Casablanca
    utc(2026, 3, 22, 2),
)

moments = st.one_of(
    st.floats(utc(2020, 1, 1), utc(2030, 1, 1)),
    st.builds(lambda change, by: change + by, st.sampled_from(CHANGES), st.floats(-90_000, 90_000)),
)


def shows(window: Window, at: float) -> bool:
    """Whether the local time is inside the window, computed the long way."""
    clock = datetime.fromtimestamp(at, ZoneInfo(window.timezone)).strftime("%H:%M")
    first, end = (f"{m // 60:02d}:{m % 60:02d}" for m in (window.opens, window.closes))
    return first <= clock < end if first < end else not end <= clock < first


@given(windows, moments)
def test_it_is_open_when_the_clocks_of_its_zone_say_so(window: Window, at: float) -> None:
    assert is_open(window, at) is shows(window, at)


@given(windows, moments)
def test_it_changes_at_the_first_minute_at_which_an_oracle_sees_it_changed(
    window: Window, at: float
) -> None:
    now = is_open(window, at)
    minute = (int(at // 60) + 1) * 60
    while shows(window, minute) is now:
        minute += 60
    assert changes_at(window, at) == minute


@given(windows, moments)
def test_the_window_opens_within_two_days(window: Window, at: float) -> None:
    assert at < changes_at(window, at) <= at + timedelta(days=2).total_seconds()


BERLIN = Window(opens=22 * 60, closes=6 * 60, timezone="Europe/Berlin")


def test_a_night_over_the_change_of_clocks_is_an_hour_longer_or_shorter() -> None:
    for change, hours in ((BERLIN_BACK, 9), (BERLIN_FORWARD, 7)):
        noon = change - 14 * 3600
        opens = changes_at(BERLIN, noon)
        assert changes_at(BERLIN, opens) - opens == hours * 3600


def test_a_window_that_begins_in_the_hour_that_is_skipped_opens_when_the_clocks_are_set() -> None:
    window = Window(opens=150, closes=360, timezone="Europe/Berlin")
    assert changes_at(window, BERLIN_FORWARD - 3600) == BERLIN_FORWARD


def test_a_window_within_the_hour_that_is_skipped_opens_the_night_after() -> None:
    window = Window(opens=130, closes=170, timezone="Europe/Berlin")
    assert changes_at(window, BERLIN_FORWARD - 3600) == utc(2026, 3, 30, 0, 10)


def test_a_window_in_the_hour_that_comes_twice_opens_twice() -> None:
    window = Window(opens=60, closes=150, timezone="Europe/Berlin")
    at, edges = BERLIN_BACK - 3 * 3600, []
    for _ in range(4):
        at = changes_at(window, at)
        edges.append((at - BERLIN_BACK) / 60)
    assert edges == [-120, -30, 0, 30]


def test_the_very_second_of_opening_is_open_and_that_of_closing_is_not() -> None:
    opens, closes = utc(2026, 11, 26, 21), utc(2026, 11, 27, 5)
    assert not is_open(BERLIN, opens - 0.001)
    assert is_open(BERLIN, opens)
    assert is_open(BERLIN, closes - 0.001)
    assert not is_open(BERLIN, closes)


@pytest.mark.parametrize(
    ("at", "words"),
    [(utc(2026, 11, 26, 21), "Thu 26 Nov 22:00 CET"), (BERLIN_BACK - 60, "Sun 25 Oct 02:59 CEST")],
)
def test_a_time_is_formatted_as_local_time(at: float, words: str) -> None:
    assert local_time(BERLIN, at) == words
    assert str(BERLIN) == "22:00-06:00 Europe/Berlin"
