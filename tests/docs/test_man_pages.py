"""The man pages are those of the commands as they are now."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tests.docs.man_pages import FOLDER, pages
from vbsbatch.cli.app import COMMANDS


def test_every_page_is_current() -> None:
    """`make man` renews them."""
    assert {path.name: path.read_text("utf-8") for path in FOLDER.glob("*.1")} == pages()


def test_every_command_has_a_page_with_its_examples() -> None:
    found = pages()
    for command in COMMANDS:
        text = found[f"vbsbatch-{command}.1"]
        assert ".SH EXAMPLES" in text or ".SH TRY IT" in text, command


@pytest.mark.skipif(
    shutil.which("groff") is None, reason="NOT TESTED: groff is not here to format the man pages"
)
def test_the_formatter_has_no_complaints() -> None:
    files = sorted(FOLDER.glob("*.1"))
    done = subprocess.run(
        ["groff", "-ww", "-man", "-z", *files], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
