"""Assigns codes to Cinder's messages: Cinder has no codes, only a status and words.

`cinder.csv` holds the words, with `*` for any others; the first row that matches gives the code.
Its columns: `code`, our own; `status` of a refused create, empty for the `fail_reason` of a backup
in `error`; `verdict`; `says`; `meaning`.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files

from vbsbatch.model import Answer

ERROR = "error"
"""Our code for a backup that ended in `error` for an unknown reason."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CinderMessage:
    """A message of Cinder, and the code that we assign to it."""

    code: str
    status: int | None
    words: re.Pattern[str]


def named(answer: Answer) -> Answer:
    """Return the answer, with our code if it has none and its words are known."""
    if answer.status is None or answer.status < 400 or answer.code is not None or not answer.json:
        return answer
    code = _code_of(answer.status, answer.message)
    return answer if code is None else replace(answer, code=code)


def failure_code(fail_reason: str | None) -> str:
    """Return the code for a backup that ended in `error`, where no cloud job gives one."""
    return _code_of(None, fail_reason) or ERROR


def _code_of(status: int | None, words: str | None) -> str | None:
    for message in _messages():
        if message.status == status and words and message.words.fullmatch(words):
            return message.code
    return None


@cache
def _messages() -> tuple[CinderMessage, ...]:
    text = files("vbsbatch.policy").joinpath("cinder.csv").read_text(encoding="utf-8")
    return tuple(
        CinderMessage(
            code=row["code"],
            status=int(row["status"]) if row["status"] else None,
            words=re.compile(".*".join(map(re.escape, row["says"].split("*"))), re.I | re.DOTALL),
        )
        for row in csv.DictReader(text.splitlines())
    )
