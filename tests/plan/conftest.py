from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.plan.samples import Write
from vbsbatch.errors import PlanError
from vbsbatch.plan import Plan, load


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file and give its path."""

    def write(text: str | bytes, name: str = "plan.yaml") -> Path:
        path = tmp_path / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return write


@pytest.fixture
def plan(write: Write) -> Callable[[str], Plan]:
    """Load a plan from its text."""
    return lambda text: load(write(text))


@pytest.fixture
def problems(write: Write) -> Callable[..., list[str]]:
    """The problems of a plan text as `line:column: message`."""

    def problems(text: str | bytes, **options: object) -> list[str]:
        with pytest.raises(PlanError) as caught:
            load(write(text), **options)  # type: ignore[arg-type]
        return [f"{p.line}:{p.column}: {p.text}" for p in caught.value.problems]

    return problems
