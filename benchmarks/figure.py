"""One measured number beside what it has to reach, and the table of all of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """A number, its unit, and its bound: `at_least`, `at_most` or none (told, not judged)."""

    name: str
    measured: float
    unit: str = ""
    at_least: float | None = None
    at_most: float | None = None
    note: str = ""

    @property
    def holds(self) -> bool:
        """Whether the bound holds; a figure without one always does."""
        return (self.at_least is None or self.measured >= self.at_least) and (
            self.at_most is None or self.measured <= self.at_most
        )

    @property
    def bound(self) -> str:
        """The bound in words."""
        if self.at_least is not None:
            return f">= {self.at_least:g}"
        return "" if self.at_most is None else f"<= {self.at_most:g}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Skipped:
    """A figure that could not be measured here, and why."""

    name: str
    why: str
    required: bool = False
    """Whether it is one that has to hold."""


def median_ratio(pairs: Iterable[tuple[float, float]]) -> float:
    """The median over rounds of candidate / baseline, each pair measured side by side."""
    return median(candidate / baseline for candidate, baseline in pairs)


HEADERS = ("figure", "measured", "to reach", "holds", "note")


def table(figures: Sequence[Figure | Skipped]) -> str:
    """All of them as a Markdown table with aligned columns."""
    rows = [HEADERS, *map(_row, figures)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "| " + " | ".join(cell.ljust(n) for cell, n in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (n + 2) for n in widths) + "|")
    return "\n".join(lines)


def _row(figure: Figure | Skipped) -> tuple[str, ...]:
    if isinstance(figure, Skipped):
        return (figure.name, "SKIPPED", "", "", figure.why)
    holds = "" if not figure.bound else "yes" if figure.holds else "NO"
    measured = f"{_number(figure.measured)} {figure.unit}".rstrip()
    return (figure.name, measured, figure.bound, holds, figure.note)


def _number(value: float) -> str:
    """Three decimals where bounds are ratios: what misses one by little must not look equal."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3f}" if value < 10 else f"{value:.1f}"
