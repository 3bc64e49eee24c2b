"""A file (or standard input) -> bytes that are UTF-8, of bounded size, without hidden bytes.

A plan is untrusted: nothing here waits on a pipe, fills the memory or reads a device.
"""

from __future__ import annotations

import codecs
import os
import re
import stat
from pathlib import Path
from typing import BinaryIO

from vbsbatch.errors import PlanError, Problem
from vbsbatch.model import near_path

MAX_BYTES = 64 * 1024 * 1024
_CHUNK = 1024 * 1024
_TOO_LARGE = f"is larger than {MAX_BYTES // _CHUNK} MiB: split it into several plans"

_BOMS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_ZIP = b"PK\x03\x04"
"""The first bytes of a spreadsheet's workbook."""
# Control characters except tab and line ends; C1 is C2 80 to C2 9F, where C2 85 is a line end.
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\xc2[\x80-\x84\x86-\x9f]")


def read_file(source: str | Path, *, most: int = MAX_BYTES, own: bool = False) -> bytes:
    """The bytes of a regular file of at most `most` bytes, as UTF-8 without a byte order mark.

    With `own`, only root and this user may be able to change it. Raises PlanError with one problem
    when it is missing, unreadable, not a regular file, too large, in another encoding or holds
    control characters.
    """
    return checked(str(source), _bytes_of(source, most, own)[0], most)


def read_own_file(source: str | Path, *, most: int) -> tuple[bytes, os.stat_result]:
    """The same of a file that only root and this user can change, with its status."""
    data, status = _bytes_of(source, most, own=True)
    return checked(str(source), data, most), status


def read_stream(file: str, stream: BinaryIO) -> bytes:
    """The same for an open stream such as standard input, read to its end."""
    try:
        data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise _refused(file, f"cannot be read: {error.strerror or error}") from error
    return checked(file, data)


def checked(file: str, data: bytes, most: int = MAX_BYTES) -> bytes:
    """`data` without its byte order mark; raises PlanError unless it is clean UTF-8 text."""
    if len(data) > most:
        raise _refused(file, _TOO_LARGE if most == MAX_BYTES else f"is larger than {most} bytes")
    if data.startswith(_ZIP):
        raise _refused(file, "is a workbook or an archive, not text: export it as CSV in UTF-8")
    for bom, encoding in _BOMS.items():
        if data.startswith(bom):
            raise _refused(file, f"is {encoding} text: save it as UTF-8")
    data = data.removeprefix(codecs.BOM_UTF8)
    _check_utf8(file, data)
    _check_controls(file, data)
    return data


def position(data: bytes, offset: int) -> tuple[int, int]:
    """Line and column, both from 1, of the byte at `offset`; columns count characters."""
    start = data.rfind(b"\n", 0, offset) + 1
    column = len(data[start:offset].decode("utf-8", "replace")) + 1
    return data.count(b"\n", 0, offset) + 1, column


def _bytes_of(source: str | Path, most: int, own: bool) -> tuple[bytes, os.stat_result]:
    try:
        with open(source, "rb", opener=_open_at_once) as file:
            status = os.fstat(file.fileno())
            kind = stat.S_IFMT(status.st_mode)
            if kind != stat.S_IFREG:
                raise _refused(str(source), f"is {_KINDS.get(kind, 'no file')}, not a plain file")
            if own:
                _check_owner(str(source), status)
            return file.read(most + 1), status
    except FileNotFoundError as error:
        raise _refused(str(source), f"there is no such file{near_path(source)}") from error
    except PermissionError as error:
        raise _refused(str(source), "you have no permission to read it") from error
    except IsADirectoryError as error:
        raise _refused(str(source), "is a directory, not a plain file") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise _refused(str(source), f"cannot be opened: {reason}") from error


def _check_owner(file: str, status: os.stat_result) -> None:
    """Refuse a file that another user can change."""
    if status.st_uid not in (0, os.geteuid()):
        raise _refused(file, "belongs to another user: it must be yours")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise _refused(file, "can be changed by other users: run chmod go-w on it")


def _open_at_once(path: str, flags: int) -> int:
    """Opening a pipe without a writer must not block."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)


def _check_utf8(file: str, data: bytes) -> None:
    """Decode piecewise: the whole text at once would take up to four times the size of the file."""
    if data.isascii():
        return
    decoder = codecs.getincrementaldecoder("utf-8")()
    for start in range(0, len(data), _CHUNK):
        pending = len(decoder.getstate()[0])
        try:
            decoder.decode(data[start : start + _CHUNK], final=start + _CHUNK >= len(data))
        except UnicodeDecodeError as error:
            line, column = position(data, start - pending + error.start)
            raise _refused(
                file, "is not UTF-8 from here on: save it as UTF-8", line, column
            ) from error


def _check_controls(file: str, data: bytes) -> None:
    found = _CONTROL.search(data)
    if found is None:
        return
    line, column = position(data, found.start())
    if found.group() == b"\0":
        raise _refused(file, "contains a NUL byte: it is not text, or it is UTF-16", line, column)
    code = ord(found.group().decode())
    raise _refused(file, f"contains a control character (U+{code:04X}): remove it", line, column)


def _refused(file: str, text: str, line: int = 1, column: int = 1) -> PlanError:
    return PlanError([Problem(file=file, line=line, column=column, text=text)])
