"""The shipped table of service codes (`codes.csv`), from the public error reference of VBS.

Columns: `code`; `status` the HTTP status the reference lists, if any; `verdict`; `where` the only
operation that answers with it, if not a create; `then` what too many of them mean; `meaning`.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from vbsbatch.model import Verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class Code:
    """What the reference says of one code, and what we make of it."""

    code: str
    verdict: Verdict
    meaning: str
    where: str = ""
    """`restore`, `delete`, `query`: the only operation that answers with it; empty for creates."""
    stop_after: int | None = None
    """This many charged attempts with it stop the run; None when they never do."""


@cache
def table() -> Mapping[str, Code]:
    """Every code that the shipped table knows."""
    text = files("vbsbatch.policy").joinpath("codes.csv").read_text(encoding="utf-8")
    return {row["code"]: _code(row) for row in csv.DictReader(text.splitlines())}


def _code(row: Mapping[str, str]) -> Code:
    then = row["then"].removeprefix("stop after ")
    return Code(
        code=row["code"],
        verdict=Verdict(row["verdict"]),
        meaning=row["meaning"],
        where=row["where"],
        stop_after=int(then) if then else None,
    )
