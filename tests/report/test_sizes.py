"""GB done and of all; `-` where nobody tells a size."""

from vbsbatch.model import JobState
from vbsbatch.report.sizes import Sizes, in_gigabytes, sizes_after, sizes_of

FOUND = {
    JobState.WAITING: (100, 2),
    JobState.SUCCEEDED: (60, 1),
    JobState.CANCELLED: (7, 5),
    JobState.SKIPPED: (8, 6),
}


def test_volumes_that_are_left_out_do_not_count() -> None:
    assert sizes_of(FOUND) == Sizes(done=60, total=160, unsized=3)


def test_gigabytes_per_hour_are_told_after_a_minute() -> None:
    assert sizes_after(FOUND, None).per_hour is None
    assert sizes_after(FOUND, 59.0).per_hour is None
    assert sizes_after(FOUND, 1800.0).per_hour == 120.0


def test_the_words_are_a_dash_where_no_size_is_known() -> None:
    assert in_gigabytes(sizes_of({JobState.WAITING: (0, 2)})) == "-"
    assert in_gigabytes(sizes_of(FOUND)) == "60 of 160 GB (3 jobs without a size)"
    assert in_gigabytes(Sizes(done=2000, total=3000, unsized=1, per_hour=1234.5)) == (
        "2,000 of 3,000 GB, 1,234 GB an hour (1 job without a size)"
    )
