import io
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace

import pytest

from vbsbatch.errors import UsageError
from vbsbatch.model import Job, JobState
from vbsbatch.report import FORMATS, write

from .samples import failed, report


class Nowhere(io.StringIO):
    """Counts what it is given and keeps nothing."""

    lines = 0

    def write(self, text: str) -> int:
        self.lines += text.count("\n")
        return len(text)


def fleet(count: int) -> Iterator[Job]:
    return (failed(no) for no in range(count))


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_streams_its_jobs_instead_of_holding_them(name: str) -> None:
    count = 5_000
    data = replace(
        report(),
        counts={JobState.FAILED: count},
        failures=[(400, "VolumeBackup.0040", count)],
        jobs=lambda states=(): fleet(count),
    )
    write(report([failed()]), name, io.StringIO())
    stream = Nowhere()
    tracemalloc.start()
    try:
        write(data, name, stream)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert stream.lines > count
    assert peak < 1_500_000  # the jobs alone are 3 MB


def test_an_unknown_format_is_a_clear_line() -> None:
    with pytest.raises(UsageError, match="table, json, csv, md, html, junit"):
        write(report(), "pdf\x1b", io.StringIO())


def test_importing_the_room_loads_neither_rich_nor_any_format() -> None:
    code = (
        "import sys, vbsbatch.report\n"
        "slow = {'rich', 'csv', 'pydantic', 'textual'} & set(sys.modules)\n"
        "sys.exit(', '.join(slow) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
