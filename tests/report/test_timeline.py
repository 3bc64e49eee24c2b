"""The picture of a run: bars for few volumes, columns for many."""

from hypothesis import given
from hypothesis import strategies as st

from vbsbatch.model import Job, JobState
from vbsbatch.report.as_svg import picture
from vbsbatch.report.timeline import FEW, MOST_TICKS, SLOTS, Timeline, ticks, timeline_of

from .samples import T0, failed, job, one_of_each, report, run


def shown(jobs: list[Job]) -> Timeline:
    found = timeline_of(report(jobs))
    assert found is not None
    return found


def many(number: int = 2 * FEW) -> list[Job]:
    sent = {"first_sent_at": T0, "attempts": 1}
    good = [
        job(no, state=JobState.SUCCEEDED, ended_at=T0 + 60 * no, **sent) for no in range(number)
    ]
    return [*good, failed(number + 1, ended_at=T0 + 1), failed(number + 2, ended_at=T0 - 1e6)]


def test_few_volumes_have_a_bar_each_from_their_first_request_to_their_end() -> None:
    bars = shown(one_of_each()).bars
    assert [bar.state for bar in bars] == [each.state for each in one_of_each()[1:7]]
    ended = next(bar for bar in bars if bar.state is JobState.SUCCEEDED)
    assert (ended.since, ended.until) == (T0, T0 + 600)


def test_a_volume_at_work_has_a_bar_up_to_the_end_of_the_run() -> None:
    assert {bar.until for bar in shown(one_of_each()).bars} == {T0 + 600, T0 + 20, T0 + 4212}


def test_ends_of_many_volumes_are_counted_whenever_they_were() -> None:
    found = shown(many())
    assert not found.bars
    assert len(found.slots) <= SLOTS + 1
    assert sum(slot.succeeded for slot in found.slots) == 2 * FEW
    assert sum(slot.failed for slot in found.slots) == 2
    assert found.slots[0].failed == 2


def test_there_is_no_picture_of_a_run_in_which_nothing_was_sent() -> None:
    assert timeline_of(report()) is None
    assert timeline_of(report([job(no) for no in range(2 * FEW)])) is None
    assert timeline_of(report(one_of_each(), run=run(started_at=None, ended_at=None))) is None


@given(st.floats(0, 2e9), st.floats(1, 1e8))
def test_an_axis_has_few_round_times_between_its_ends(start: float, length: float) -> None:
    found = ticks(start, start + length)
    assert len(found) <= MOST_TICKS + 1
    assert all(start <= at <= start + length for at, _ in found)


def test_a_tick_has_the_date_where_a_day_begins() -> None:
    assert [label for _, label in ticks(T0, T0 + 20 * 3600)] == [
        "11-23 09:00",
        *("12:00", "15:00", "18:00", "21:00"),
        "11-24 00:00",
        "03:00",
    ]


def test_failures_are_marked_with_a_cross_in_either_picture() -> None:
    for jobs in (one_of_each(), many()):
        drawn = "".join(picture(shown(jobs)))
        assert 'class="cross"' in drawn
        assert 'class="failed"' in drawn
        assert drawn.isascii()
    without = [each for each in one_of_each() if each.state is not JobState.FAILED]
    assert "cross" not in "".join(picture(shown(without)))
