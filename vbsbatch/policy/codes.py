"""The shipped tables of codes, one for each backup service.

Columns: `code`; `status` of a refused create, if the reference lists one; `verdict`; `where` the
only operation that answers with it, if not a create; `then` what follows besides: `conflict` (a
backup of the volume is under way, and it may be ours), `outage` (the service itself is down),
`definite` (a refusal even with a status of 5xx), `gone` (there is no such backup), or
`stop after N`; several are separated by `;`. Last, `meaning`.

A service without codes has a column `says` with its words, in which `*` stands for any others. The
first line that fits names the code, which is ours. Without a `status` such words are the
`fail_reason` of a backup in `error`.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files

from vbsbatch.model import Answer, Verdict

TABLES = (
    "codes.csv",  # VBS, from its public error reference
    "cbr.csv",  # CBR, likewise; the same code has different statuses in different regions
    "cinder.csv",  # Cinder, which has words only
)

ERROR = "error"
"""The code, ours, of a backup that ended in `error` for no reason that we know."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Code:
    """What the reference says about one code, and the verdict that we give it."""

    code: str
    verdict: Verdict
    meaning: str
    where: str = ""
    """`restore`, `delete`, `query`: the only operation that answers with it; empty for creates."""
    conflict: bool = False
    """A backup of this volume is under way, and it may be ours."""
    outage: bool = False
    """The service itself is down."""
    definite: bool = False
    """It refuses for certain, even with a status that says nothing by itself."""
    gone: bool = False
    """There is no such backup, or no longer."""
    stop_after: int | None = None
    """This many charged attempts with it stop the run; None if they never do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Message:
    """Words of a service without codes, and the code that we give to them."""

    code: str
    status: int | None
    words: re.Pattern[str]


@cache
def table() -> Mapping[str, Code]:
    """Every code that the shipped tables know."""
    return {row["code"]: _code(row) for row in _rows()}


def named(answer: Answer) -> Answer:
    """The answer to a create, with a code of ours where its words are known and it has none."""
    if answer.status is None or answer.status < 400 or answer.code is not None or not answer.json:
        return answer
    code = _code_of(answer.status, answer.message)
    return answer if code is None else replace(answer, code=code)


def failure_code(fail_reason: str | None) -> str:
    """The code for a backup that ended in `error`, where no cloud job gives one."""
    return _code_of(None, fail_reason) or ERROR


def _code_of(status: int | None, words: str | None) -> str | None:
    for message in _messages():
        if message.status == status and words and message.words.fullmatch(words):
            return message.code
    return None


def _rows() -> Iterator[dict[str, str]]:
    folder = files("vbsbatch.policy")
    for name in TABLES:
        yield from csv.DictReader(folder.joinpath(name).read_text(encoding="utf-8").splitlines())


def _code(row: Mapping[str, str]) -> Code:
    then = [part.strip() for part in row.get("then", "").split(";")]
    stop_after = [part.removeprefix("stop after ") for part in then if part.startswith("stop")]
    return Code(
        code=row["code"],
        verdict=Verdict(row["verdict"]),
        meaning=row["meaning"],
        where=row.get("where", ""),
        conflict="conflict" in then,
        outage="outage" in then,
        definite="definite" in then,
        gone="gone" in then,
        stop_after=int(stop_after[0]) if stop_after else None,
    )


@cache
def _messages() -> tuple[_Message, ...]:
    return tuple(
        _Message(
            code=row["code"],
            status=int(row["status"]) if row["status"] else None,
            words=re.compile(".*".join(map(re.escape, row["says"].split("*"))), re.I | re.DOTALL),
        )
        for row in _rows()
        if row.get("says")
    )
