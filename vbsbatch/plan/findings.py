"""The problems of a file, found by path into its data, reported by line and column."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from vbsbatch.errors import Problem

KeyPath = tuple[str | int, ...]
"""From the top of a document: keys and list indexes."""

Spot = tuple[int, int]
"""Line and column, both from 1."""

SHOWN = 50
"""More problems than this are counted, not listed."""

COUNTED = 10_000
"""With more than this among its volumes, the rest of a file is not read."""


class TooMany(Exception):
    """There are so many problems that the rest of the file is not read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One problem at `path`; for a volume that is listed twice, `first` is its first path."""

    path: KeyPath
    message: str
    at_key: bool = False
    first: KeyPath | None = None


@dataclass(kw_only=True, slots=True)
class Findings:
    """The first `SHOWN` findings, and how many more there were."""

    items: list[Finding] = field(default_factory=list)
    more: int = 0

    def add(
        self, path: KeyPath, message: str, *, at_key: bool = False, first: KeyPath | None = None
    ) -> None:
        """Keep one finding, or count it."""
        if len(self.items) < SHOWN:
            self.items.append(Finding(path=path, message=message, at_key=at_key, first=first))
        else:
            self.more += 1

    def wanted(self) -> set[KeyPath]:
        """Every path whose place in the file is needed, with all paths around it."""
        paths = {item.path for item in self.items} | {i.first for i in self.items if i.first}
        return {path[:length] for path in paths for length in range(len(path) + 1)}

    def placed(self, file: str, spots: Mapping[KeyPath, tuple[Spot, Spot]]) -> list[Problem]:
        """Problems with line and column; `spots` holds the places of a path's key and value."""
        problems = []
        for item in self.items:
            key, value = _nearest(item.path, spots)
            line, column = key if item.at_key else value
            text = item.message
            if item.first is not None:
                text += f" at line {_nearest(item.first, spots)[0][0]}"
            problems.append(Problem(file=file, line=line, column=column, text=text))
        return problems


def listed(problems: Iterable[Problem], more: int = 0) -> list[Problem]:
    """Each problem once, file by file and there by place, at most `SHOWN`, then a count."""
    files: dict[str, set[Problem]] = {}
    for problem in problems:
        files.setdefault(problem.file, set()).add(problem)
    ordered = [problem for of_file in files.values() for problem in sorted(of_file, key=_place)]
    more += len(ordered[SHOWN:])
    shown = ordered[:SHOWN]
    if more:
        count = f"more than {COUNTED}" if more > COUNTED else more
        shown.append(replace(shown[-1], text=f"and {count} more"))
    return shown


def _place(problem: Problem) -> tuple[int, int, str]:
    return problem.line, problem.column, problem.text


def _nearest(path: KeyPath, spots: Mapping[KeyPath, tuple[Spot, Spot]]) -> tuple[Spot, Spot]:
    """The place of `path`, or of the innermost path around it that has one."""
    for length in range(len(path), -1, -1):
        if path[:length] in spots:
            return spots[path[:length]]
    return (1, 1), (1, 1)
