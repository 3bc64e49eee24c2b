"""Every command's output, held against what was recorded in `golden/`, one file a session.

After a wanted change of an output, record all of them anew and look at the difference:

    VBSBATCH_GOLDEN=write .venv/bin/python -m pytest tests/cli/test_golden.py
    git diff tests/cli/golden
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli import sessions, sessions_driving
from tests.cli.transcript import Player, Session

GOLDEN = Path(__file__).parent / "golden"
WRITE = os.environ.get("VBSBATCH_GOLDEN") == "write"
HOW = "record with VBSBATCH_GOLDEN=write, and look at the difference"

SESSIONS: dict[str, Player] = {**sessions.SESSIONS, **sessions_driving.SESSIONS}


@pytest.fixture(scope="module", autouse=True)
def _closing() -> Iterator[None]:
    yield
    sessions.close_ended()


@pytest.mark.parametrize("name", SESSIONS)
def test_a_session_says_what_it_said_when_it_was_recorded(name: str, tmp_path: Path) -> None:
    session = Session(tmp_path)
    try:
        SESSIONS[name](session)
    finally:
        session.stage.close()
    said, file = session.text(), GOLDEN / f"{name}.txt"
    if WRITE:
        file.write_text(said)
        return
    assert file.exists(), f"{file.name} was never recorded: {HOW}"
    recorded = file.read_text()
    if said != recorded:
        lines = (recorded.splitlines(), said.splitlines())
        difference = "\n".join(difflib.unified_diff(*lines, file.name, "now", lineterm=""))
        pytest.fail(f"{difference}\n{HOW}", pytrace=False)


def test_no_recorded_file_is_stale() -> None:
    stale = [file for file in sorted(GOLDEN.iterdir()) if file.stem not in SESSIONS]
    if WRITE:
        for file in stale:
            file.unlink()
        return
    assert not stale, f"no session has these: {HOW}"
