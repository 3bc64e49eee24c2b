"""Second names of a store file, under which its write-ahead log would be another file.

SQLite puts the log beside the name by which it opens the file. Two programs that use two names
share the pages and not the log: each overwrites what the other committed.
"""

from __future__ import annotations

import fcntl
import os
import re
import struct
import sys
from pathlib import Path

from vbsbatch.errors import StoreUnusable
from vbsbatch.store.sqlite.descriptors import Hold, name_of

_MOUNTS = Path("/proc/self/mountinfo")
_SHARED = 0x40000002, 510
"""Bytes of the store that SQLite locks for as long as it has a store in WAL mode open."""
_INDEX = 128, 1
"""The same of the log's index (`-shm`)."""
_ESCAPED = re.compile(rb"\\([0-7]{3})")


def log_of(path: Path) -> Path:
    """SQLite's write-ahead log of the file, beside its own name."""
    real = path.resolve()
    return real.with_name(f"{real.name}-wal")


def check(path: Path, file: Hold) -> None:
    """Refuse a name unless the write-ahead log is certainly the one beside it."""
    if _is_mount_point(path):
        raise StoreUnusable(
            f"{path} is mounted as a single file, so its write-ahead log would not be the one "
            "of the original file, and changes would be lost: mount its folder instead"
        )
    if os.fstat(file.descriptor).st_nlink > 1 and not _is_in_use(path, file):
        raise StoreUnusable(
            f"{path} is a file with several names (hard links), each with a write-ahead log of its "
            "own, so changes would be lost: remove the other names (`find -samefile` "
            "finds them), or copy the store and name the copy with --db"
        )


def _is_in_use(path: Path, file: Hold) -> bool:
    """Whether the log beside this name certainly belongs to the store."""
    if not file.alone:
        return file.name == name_of(path)
    log = log_of(path)
    if not log.exists():
        return False
    # A log may be an old one. A process that has the store open locks the index of the right one.
    if not _locked(file.descriptor, *_SHARED):
        return True
    try:
        index = os.open(log.with_name(f"{path.resolve().name}-shm"), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return _locked(index, *_INDEX)
    finally:
        os.close(index)


def _locked(descriptor: int, first: int, length: int) -> bool:
    """Whether another process has locked any of these bytes, as SQLite does."""
    if not sys.platform.startswith("linux"):
        return False
    question = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, first, length, 0)
    try:
        answer = fcntl.fcntl(descriptor, fcntl.F_GETLK, question)
    except OSError:
        return True
    return bool(struct.unpack("hhqqi4x", answer)[0] != fcntl.F_UNLCK)


def _is_mount_point(path: Path) -> bool:
    """Whether something is mounted there; a bind mount of one file has its folder's device."""
    real = os.fsencode(path.resolve())
    try:
        lines = _MOUNTS.read_bytes().splitlines()
    except OSError:  # not Linux, or no /proc
        return False
    return any(mount_point(line) == real for line in lines)


def mount_point(line: bytes) -> bytes:
    """The mount point in a line of mountinfo, which has blanks as octal numbers."""
    fields = line.split(b" ")
    escaped = fields[4] if len(fields) > 4 else b""
    return _ESCAPED.sub(lambda found: bytes([int(found[1], 8) & 0xFF]), escaped)
