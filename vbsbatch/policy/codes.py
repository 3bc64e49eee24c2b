"""The shipped tables of codes: `codes.csv` from the public error reference of VBS, and `cinder.csv`
with our own codes for Cinder's messages (see `cinder_messages`).

Columns: `code`; `status`, the HTTP status in the reference, if any; `verdict`; `where`, the only
operation that returns it, if that is not a create; `then`, what too many of them mean; `meaning`.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from vbsbatch.model import Verdict

TABLES = ("codes.csv", "cinder.csv")


@dataclass(frozen=True, kw_only=True, slots=True)
class Code:
    """What the reference says about one code, and the verdict that we give it."""

    code: str
    verdict: Verdict
    meaning: str
    where: str = ""
    """`restore`, `delete`, `query`: the only operation that returns it; empty for creates."""
    stop_after: int | None = None
    """This many charged attempts with it stop the run; None if they never do."""


@cache
def table() -> Mapping[str, Code]:
    """Return every code in the shipped tables."""
    folder = files("vbsbatch.policy")
    texts = [folder.joinpath(name).read_text(encoding="utf-8") for name in TABLES]
    rows = (row for text in texts for row in csv.DictReader(text.splitlines()))
    return {row["code"]: _code(row) for row in rows}


def _code(row: Mapping[str, str]) -> Code:
    then = row.get("then", "").removeprefix("stop after ")
    return Code(
        code=row["code"],
        verdict=Verdict(row["verdict"]),
        meaning=row["meaning"],
        where=row.get("where", ""),
        stop_after=int(then) if then else None,
    )
