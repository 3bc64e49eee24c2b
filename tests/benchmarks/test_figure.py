from __future__ import annotations

from benchmarks.figure import Figure, Skipped, median_ratio, table


def test_a_bound_holds_at_the_bound_itself() -> None:
    assert Figure(name="f", measured=0.85, at_least=0.85).holds
    assert not Figure(name="f", measured=0.849, at_least=0.85).holds
    assert Figure(name="f", measured=0.1, at_most=0.1).holds
    assert not Figure(name="f", measured=0.11, at_most=0.1).holds


def test_a_figure_without_a_bound_is_told_and_not_judged() -> None:
    assert Figure(name="f", measured=1e9).holds
    assert "yes" not in table([Figure(name="f", measured=1e9)])


def test_the_table_says_loudly_what_does_not_hold_and_what_was_skipped() -> None:
    shown = table(
        [
            Figure(name="fast", measured=2.0, unit="s", at_most=1),
            Skipped(name="tool", why="not here"),
        ]
    )
    assert "| fast" in shown
    assert "2.000 s" in shown
    assert "<= 1" in shown
    assert "| NO " in shown
    assert "SKIPPED" in shown
    assert "not here" in shown


def test_a_ratio_is_the_median_of_the_rounds_ratios_not_the_ratio_of_medians() -> None:
    assert median_ratio([(1, 2), (30, 10), (4, 4)]) == 1.0
