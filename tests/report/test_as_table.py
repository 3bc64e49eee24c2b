import io
import re
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from rich.cells import cell_len

from vbsbatch.model import JobState
from vbsbatch.report import ReportData, as_table, write
from vbsbatch.report.text import clean

from .samples import (
    HOSTILE,
    T0,
    Terminal,
    any_text,
    failed,
    hostile_report,
    job,
    one_of_each,
    report,
    run,
)
from .test_text import is_harmless

STYLE = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture(autouse=True)
def _xterm(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")


def piped(data: ReportData) -> str:
    stream = io.StringIO()
    write(data, "table", stream, all_jobs=True)
    return stream.getvalue()


def on_terminal(data: ReportData) -> str:
    stream = Terminal()
    write(data, "table", stream, all_jobs=True)
    return stream.getvalue()


def test_every_state_is_shown_as_glyph_and_word() -> None:
    shown = piped(report(one_of_each()))
    for mark in (". wait", "~ RETRY", "> SEND", "? UNKNOWN", "> RUN", "+ ok", "x FAIL", "- cancel"):
        assert f"\n{mark} " in shown
    assert ". wait 1  ~ retry 1  > active 2  ? unknown 1  + ok 1  x FAIL 1" in shown


def test_the_report_shows_figures_failures_with_meanings_and_next_commands() -> None:
    shown = piped(report([*one_of_each(), failed(10, code="X.1")]))
    for part in (
        "50.0%, 5 of 10",
        "1h10m",
        "12 (9 creates, 3 reads), 12.00 per completed backup",
        "VolumeBackup.0040  the disk has reached the limit of 20 backups",
        "never seen before",
        "Codes never seen before",
        "  vbsbatch retry 20261123-0715-k3f9 --code VolumeBackup.0040",
    ):
        assert part in shown


def test_only_failed_jobs_are_listed_unless_all_are_asked_for() -> None:
    stream = io.StringIO()
    write(report(one_of_each()), "table", stream)
    assert "db-0007" in stream.getvalue()
    assert "db-0006" not in stream.getvalue()


def test_a_pipe_gets_no_escape_even_when_a_variable_asks_for_colour(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    assert "\x1b" not in piped(report(one_of_each()))


def test_a_pipe_gets_whole_texts_without_blanks_at_line_ends() -> None:
    shown = piped(report([failed(1, message="m" * 5000, volume_name="v" * 300)]))
    assert "m" * 5000 in shown
    assert "v" * 300 in shown
    assert not re.search(r" \n", shown)


def test_nothing_on_a_terminal_is_wider_than_the_terminal() -> None:
    for text in HOSTILE:
        for line in STYLE.sub("", on_terminal(hostile_report(text))).splitlines():
            assert cell_len(line) <= 80


def test_a_narrow_terminal_keeps_the_code_whole() -> None:
    shown = STYLE.sub("", on_terminal(report([failed(volume_name="v" * 200)])))
    [line] = [line for line in shown.splitlines() if line.startswith("x FAIL  ")][-1:]
    assert " VolumeBackup.0040 " in line
    assert "v.." in line


def test_colour_only_repeats_the_words(monkeypatch: pytest.MonkeyPatch) -> None:
    coloured = on_terminal(report(one_of_each()))
    monkeypatch.setenv("TERM", "dumb")
    plain = on_terminal(report(one_of_each()))
    assert "\x1b[31m" in coloured
    assert "\x1b" not in plain
    assert STYLE.sub("", coloured) == plain


@given(any_text)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
def test_hostile_text_is_shown_literally_and_drives_no_terminal(text: str) -> None:
    data = hostile_report(text)
    shown = piped(data)
    assert all(is_harmless(line) for line in shown.split("\n"))
    assert clean(text).rstrip(" ") in shown
    assert all(is_harmless(line) for line in STYLE.sub("", on_terminal(data)).split("\n"))
    coloured = STYLE.findall(on_terminal(data))
    assert set(coloured) <= {f"\x1b[{code}m" for code in ("0", "1", "31", "32", "33", "35", "36")}


def test_a_job_is_one_line_in_a_pipe() -> None:
    stream = io.StringIO()
    as_table.write_jobs((failed(no, message=t) for no, t in enumerate(HOSTILE)), stream, now=T0)
    assert len(stream.getvalue().split("\n")) == len(HOSTILE) + 2


def test_jobs_are_written_while_they_are_read() -> None:
    stream = io.StringIO()
    lines_so_far: list[int] = []

    def slow() -> Iterator[object]:
        for no in range(as_table.MEASURED + 100):
            lines_so_far.append(stream.getvalue().count("\n"))
            yield failed(no)

    as_table.write_jobs(slow(), stream, now=T0)  # type: ignore[arg-type]
    assert lines_so_far[as_table.MEASURED + 50] >= as_table.MEASURED + 50


def test_a_backup_id_is_shown_whole_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    made = job(1, state=JobState.SUCCEEDED, backup_id=f"{7:036}")
    for width, shown in ((70, False), (200, True)):
        monkeypatch.setenv("COLUMNS", str(width))
        stream = Terminal()
        as_table.write_jobs([made], stream, now=T0)
        assert (f"{7:036}" in stream.getvalue()) == shown
        assert ("000" in STYLE.sub("", stream.getvalue()).split("db-0001")[1]) == shown


def test_a_list_without_jobs_is_its_header() -> None:
    stream = io.StringIO()
    as_table.write_jobs([], stream, now=T0)
    assert " ".join(stream.getvalue().split()) == (
        "ST # VOLUME HTTP CODE ATT TOOK NEXT GB MESSAGE BACKUP ID"
    )


def test_runs_are_one_row_each_with_the_id_to_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    runs = [report(one_of_each()), report(run=run(started_at=None, ended_at=None))]
    for stream in (io.StringIO(), Terminal()):
        as_table.write_runs(runs, stream)
        assert stream.getvalue().count("20261123-0715-k3f9") == 2
    assert "PART" in stream.getvalue()
    assert JobState.FAILED.value not in stream.getvalue()
