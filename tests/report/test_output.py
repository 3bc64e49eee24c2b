import io
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from vbsbatch.errors import UsageError
from vbsbatch.report import opened


def _interrupted(stream: TextIO) -> None:
    stream.write("half")
    raise KeyboardInterrupt


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("target", [None, "-"])
def test_standard_output_is_left_open(target: str | None) -> None:
    stdout = io.StringIO()
    with opened(target, stdout) as stream:
        stream.write("x")
    assert stdout.getvalue() == "x"


def test_standard_output_that_lacks_a_character_gets_its_number() -> None:
    raw = io.BytesIO()
    with opened("-", io.TextIOWrapper(raw, encoding="latin-1")) as stream:
        stream.write("\u6f22")
        stream.flush()
    assert raw.getvalue() == rb"\u6f22"


def test_a_file_is_private_utf8_with_the_line_ends_as_written(tmp_path: Path) -> None:
    place = tmp_path / "report.csv"
    with opened(str(place)) as stream:
        stream.write("\u6f22\r\n")
    assert place.read_bytes() == "\u6f22\r\n".encode()
    assert mode_of(place) == 0o600
    assert os.listdir(tmp_path) == ["report.csv"]


def test_a_file_is_replaced_only_when_the_report_is_whole(tmp_path: Path) -> None:
    place = tmp_path / "report.csv"
    place.write_text("old")
    with pytest.raises(KeyboardInterrupt), opened(str(place)) as stream:
        _interrupted(stream)
    assert place.read_text() == "old"
    assert os.listdir(tmp_path) == ["report.csv"]
    with opened(str(place)) as stream:
        stream.write("new")
        assert place.read_text() == "old"
    assert place.read_text() == "new"
    assert mode_of(place) == 0o600


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with opened(str(tmp_path / "link")) as stream:
        stream.write("x")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "x"


def test_a_place_where_no_file_can_be_is_a_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for target, why in {
        str(tmp_path / "none" / "r.csv"): "the folder does not exist",
        str(tmp_path / "file" / "r.csv"): "not a directory",
        str(tmp_path): "is not a regular file",
        str(tmp_path / "fifo"): "is not a regular file",
        str(tmp_path / "loop"): "symbolic links",
        "/dev/null": "is not a regular file",
        str(tmp_path / ("n" * 300)): "file name too long",
        "nul\x00byte": "null",
        "/proc/r.csv": "cannot write /proc/r.csv",
    }.items():
        with pytest.raises(UsageError, match=why) as caught, opened(target) as stream:
            stream.write("x")
        assert str(caught.value).isprintable()
    assert sorted(os.listdir(tmp_path)) == ["fifo", "file", "loop"]


@pytest.fixture
def unwritable(tmp_path: Path) -> Iterator[Path]:
    """A folder that we may not write to; root may write anywhere, so it is nobody meanwhile."""
    tmp_path.chmod(0o500)
    myself = os.geteuid()
    if myself == 0:
        os.seteuid(65534)
    yield tmp_path
    os.seteuid(myself)


def test_a_folder_without_the_right_to_write_is_a_clear_line(unwritable: Path) -> None:
    with pytest.raises(UsageError, match="permission denied"), opened(str(unwritable / "r")):
        pass


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_a_clear_line_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    beside = tmp_path / ".vbsbatch-x"
    beside.touch()
    monkeypatch.setattr("tempfile.mkstemp", lambda **_: (full, str(beside)))
    with pytest.raises(UsageError, match="no space left"), opened(str(tmp_path / "r")) as stream:
        stream.write("x")
    assert os.listdir(tmp_path) == []
