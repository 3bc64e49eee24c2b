"""Every command's output, compared with what was recorded in `golden/`, one file a session.

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

from tests.cli.harness import Harness
from tests.cli.sessions import ENDED_SESSIONS, SESSIONS, borrow, prepare_ended
from tests.cli.sessions_driving import SESSIONS as DRIVING_SESSIONS
from tests.cli.transcript import Player, Session

GOLDEN = Path(__file__).parent / "golden"
WRITE = os.environ.get("VBSBATCH_GOLDEN") == "write"
HOW = "record with VBSBATCH_GOLDEN=write, and look at the difference"

ALONE: dict[str, Player] = {**SESSIONS, **DRIVING_SESSIONS}


@pytest.fixture
def play(tmp_path: Path) -> Iterator[Session]:
    session = Session(tmp_path)
    yield session
    session.harness.close()


@pytest.fixture(scope="session")
def ended_runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    harness = prepare_ended(tmp_path_factory.mktemp("golden"))
    yield harness
    harness.close()


@pytest.mark.parametrize("name", ALONE)
def test_a_session_says_what_it_said_when_it_was_recorded(name: str, play: Session) -> None:
    ALONE[name](play)
    compare(play, name)


@pytest.mark.parametrize("name", ENDED_SESSIONS)
def test_a_session_on_ended_runs_says_what_it_said_when_it_was_recorded(
    name: str, play: Session, ended_runs: Harness
) -> None:
    borrow(play, ended_runs)
    ENDED_SESSIONS[name](play)
    compare(play, name)


def compare(play: Session, name: str) -> None:
    """Fail with the difference, or record what was said."""
    said, file = play.text(), GOLDEN / f"{name}.txt"
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
    known = {*ALONE, *ENDED_SESSIONS}
    stale = [file for file in sorted(GOLDEN.iterdir()) if file.stem not in known]
    if WRITE:
        for file in stale:
            file.unlink()
        return
    assert not stale, f"no session has these: {HOW}"
