"""Codes for what Cinder says: it has none of its own, only a status and words.

`cinder.csv` holds the words, with `*` for any others; the first line that fits names the code. Its
columns: `code` ours; `status` of a refused create, empty for the `fail_reason` of a backup in
`error`; `verdict`; `says`; `meaning`.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files

from vbsbatch.model import Answer

ERROR = "error"
"""The code, ours, of a backup that ended in `error` for no reason that we know."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CinderMessage:
    """Words of Cinder, and the code that we give to them."""

    code: str
    status: int | None
    words: re.Pattern[str]


def named(answer: Answer) -> Answer:
    """The answer to a create, with a code of ours where its words are known and it has none."""
    if answer.status is None or answer.status < 400 or answer.code is not None or not answer.json:
        return answer
    code = _code_of(answer.status, answer.message)
    return answer if code is None else replace(answer, code=code)


def failure_code(fail_reason: str | None) -> str:
    """The code for a backup that ended in `error`, where no cloud job tells one."""
    return _code_of(None, fail_reason) or ERROR


def _code_of(status: int | None, words: str | None) -> str | None:
    for saying in _sayings():
        if saying.status == status and words and saying.words.fullmatch(words):
            return saying.code
    return None


@cache
def _sayings() -> tuple[CinderMessage, ...]:
    text = files("vbsbatch.policy").joinpath("cinder.csv").read_text(encoding="utf-8")
    return tuple(
        CinderMessage(
            code=row["code"],
            status=int(row["status"]) if row["status"] else None,
            words=re.compile(".*".join(map(re.escape, row["says"].split("*"))), re.I | re.DOTALL),
        )
        for row in csv.DictReader(text.splitlines())
    )
