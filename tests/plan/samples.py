from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from vbsbatch.plan import Plan

RUN = "20261123-0715-k3f9"
A = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
B = "7ba7b810-9dad-11d1-80b4-00c04fd430c8"

Write = Callable[..., Path]
"""Text or bytes (and a file name) -> the path of the file."""

Problems = Callable[..., list[str]]
"""The text of a plan -> its problems as `line:column: message`."""

Load = Callable[[str], Plan]
"""The text of a plan -> the plan."""


def names(plan: Plan, run: str = RUN) -> list[str]:
    return [job.backup_name for job in plan.jobs(run)]
