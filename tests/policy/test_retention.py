"""The rules of retention, held against the real restic on the same dates."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.policy.restic import RESTIC, Repository
from vbsbatch.model import CalendarSpan, Retention
from vbsbatch.policy.retention import kept

HOUR, DAY = 3600, 86400
NOW = 1_780_000_000.0
"""June 2026: restic, too, must take no date that is drawn for one in the future."""
BEGINNINGS = (
    1_774_746_000,  # 29 March 2026 in Europe: an hour that there is not
    1_761_438_600,  # 26 October 2025 in Europe: an hour that there is twice
    1_735_686_000,  # the end of 2024, in a week of 2025
    1_709_164_800,  # 29 February 2024
    1_577_836_800,  # 2020
)
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Pacific/Apia")

gaps = st.one_of(
    st.integers(1, 3 * HOUR),
    st.integers(DAY - HOUR, DAY + HOUR),
    st.sampled_from([DAY, 7 * DAY, 30 * DAY, 31 * DAY, 365 * DAY // 2]),
)
dates = st.builds(
    lambda begin, steps: [at for at in accumulate(steps, initial=begin) if at < NOW],
    st.sampled_from(BEGINNINGS),
    st.lists(gaps, max_size=20),
)
few = st.one_of(st.just(0), st.integers(1, 6))
spans = st.builds(
    lambda **parts: CalendarSpan(**parts) if any(parts.values()) else None,
    years=st.sampled_from([0, 0, 1, 3000]),
    months=st.sampled_from([0, 0, 1, 14]),
    days=st.sampled_from([0, 0, 1, 30, 31]),
    hours=st.sampled_from([0, 0, 1, 25]),
)


@st.composite
def rules(draw: st.DrawFn) -> Retention:
    numbers = {name: draw(few) for name in ("last", "daily", "weekly", "monthly", "yearly")}
    within = draw(st.one_of(st.none(), spans))
    if not any(numbers.values()) and within is None:
        numbers["last"] = draw(st.integers(1, 6))
    return Retention(**numbers, within=within, timezone=draw(st.sampled_from(ZONES)))


def options(found: Retention) -> list[str]:
    """The same rules as restic's options."""
    names = ("last", "daily", "weekly", "monthly", "yearly", "within")
    given = {name: value for name in names if (value := getattr(found, name))}
    return [word for name, value in given.items() for word in (f"--keep-{name}", str(value))]


def in_our_words(reason: str) -> str:
    return reason.removesuffix(" snapshot")


@pytest.mark.skipif(
    RESTIC is None, reason="NOT TESTED: there is no restic to hold the rules against"
)
@example(  # just as old as the span
    volumes=[[BEGINNINGS[0], BEGINNINGS[0] + 30 * DAY]],
    found=Retention(within=CalendarSpan(days=30)),
)
@example(  # there is no 31 February
    volumes=[[1_772_236_800 + DAY * n for n in range(33)]],
    found=Retention(within=CalendarSpan(months=1)),
)
@example(  # a day before 30 March 2:30 in Berlin is a time that there is not
    volumes=[[BEGINNINGS[0], BEGINNINGS[0] + DAY - HOUR // 2]],
    found=Retention(within=CalendarSpan(days=1), timezone="Europe/Berlin"),
)
@settings(max_examples=40, deadline=None)
@given(volumes=st.lists(dates, min_size=1, max_size=6), found=rules())
def test_the_same_backups_are_kept_for_the_same_reasons_as_by_restic(
    volumes: Sequence[Sequence[int]], found: Retention
) -> None:
    folder = Path(tempfile.mkdtemp(prefix="restic-"))
    try:
        repository, zone = Repository(folder / "made"), ZoneInfo(found.timezone)
        ours: dict[str, list[str]] = {}
        for number, made_at in enumerate(volumes):
            times = {repository.add(f"volume{number}", at, zone): float(at) for at in made_at}
            ours |= {key: rules for key, rules in kept(times, found, now=NOW).items() if rules}
        theirs = repository.forget(options(found), found.timezone)
    finally:
        shutil.rmtree(folder)
    told = {key: sorted(map(in_our_words, reasons)) for key, reasons in theirs.items()}
    assert {key: sorted(rules) for key, rules in ours.items()} == told


@given(made_at=dates, found=rules())
def test_the_newest_backup_is_kept_whatever_the_rules(
    made_at: Sequence[int], found: Retention
) -> None:
    times = {str(at): float(at) for at in made_at}
    assert kept(times, found, now=NOW)[str(max(made_at))]


def test_a_backup_of_the_future_does_not_move_the_span_that_counts_from_the_newest() -> None:
    times = {"old": NOW - 3 * DAY, "new": NOW - DAY, "ahead": NOW + 30 * DAY}
    found = Retention(within=CalendarSpan(days=1))
    assert [key for key, by in kept(times, found, now=NOW).items() if by] == ["ahead", "new"]


def test_a_span_of_the_calendar_is_read_as_restic_writes_it() -> None:
    assert str(CalendarSpan.parse("1y6m30d12h")) == "1y6m30d12h"
    assert CalendarSpan.parse("6m") == CalendarSpan(months=6)
    for text in ("", "30", "30 d", "0d", "5x", "-3d", "1d1y", "99999d", "٣d"):
        with pytest.raises(ValueError, match="must be"):
            CalendarSpan.parse(text)


def test_rules_that_are_none_are_refused() -> None:
    wrong: dict[str, Any]
    for wrong in ({}, {"last": -1}, {"last": 1, "timezone": "Europe/Nowhere"}, {"daily": 10**6}):
        with pytest.raises(ValueError, match=r"."):
            Retention(**wrong)
