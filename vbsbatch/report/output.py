"""The output of a report: standard output, or a file that is written whole or not at all."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path
from typing import TextIO

from vbsbatch.errors import UsageError
from vbsbatch.report.text import clean


@contextmanager
def opened(
    target: str | None, stdout: TextIO | None = None, *, mode: int = 0o600
) -> Iterator[TextIO]:
    """A text stream to `target`; None and `-` are standard output.

    A file is written beside its target, with this mode whatever the umask, and renamed when the
    block succeeds: an error or a kill leaves the file that was there before. Raises `UsageError`
    where that cannot be done.
    """
    if target is None or target == "-":
        yield _tolerant(sys.stdout if stdout is None else stdout)
        return
    place = _place(target)
    try:
        descriptor, beside = tempfile.mkstemp(prefix=".vbsbatch-", dir=place.parent)
    except OSError as error:
        raise _cannot(place, error) from error
    try:
        with open(descriptor, "w", encoding="utf-8", newline="") as stream:
            yield stream
            stream.flush()
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        os.replace(beside, place)
    except OSError as error:
        _remove(beside)
        raise _cannot(place, error) from error
    except BaseException:
        _remove(beside)
        raise


def _tolerant(stdout: TextIO) -> TextIO:
    """Standard output that writes `\\u1234` for what its encoding lacks instead of failing."""
    if isinstance(stdout, TextIOWrapper):
        stdout.reconfigure(errors="backslashreplace")
    return stdout


def _place(target: str) -> Path:
    """The file behind `target`, links followed, so that a link stays one."""
    try:
        place = Path(os.path.realpath(target))
        mode = place.stat().st_mode
    except FileNotFoundError:
        mode = None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise _cannot(target, error) from error
    if mode is not None and not stat.S_ISREG(mode):
        raise UsageError(
            f"{clean(target)} is not a regular file: name a file, or use - and redirect"
        )
    if not place.parent.is_dir():
        raise UsageError(f"cannot write {clean(target)}: the folder does not exist")
    return place


def _cannot(place: str | Path, error: OSError | ValueError) -> UsageError:
    why = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return UsageError(f"cannot write {clean(str(place))}: {clean(why).lower()}")


def _remove(path: str) -> None:
    with suppress(OSError):
        os.unlink(path)
