"""No byte of what is written changes unless somebody means it: see `frozen/outputs.json`."""

import json

import pytest

from .frozen.cases import RUNS
from .frozen.snapshot import FILE, of_run

KEPT = json.loads(FILE.read_text(encoding="ascii"))


@pytest.fixture(autouse=True)
def _xterm(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")


@pytest.mark.parametrize("name", RUNS)
def test_every_format_writes_what_it_wrote_before(name: str) -> None:
    assert of_run(name) == KEPT[name]


def test_nothing_that_was_kept_is_no_longer_written() -> None:
    assert KEPT.keys() == RUNS.keys()
