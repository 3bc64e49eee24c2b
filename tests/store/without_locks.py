"""A file system without locks: the C library's `fcntl`, told to refuse, preloaded."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static int refused(int cmd) {
  const char *kinds = getenv("REFUSED_LOCKS");
  int posix = cmd == F_SETLK || cmd == F_SETLKW || cmd == F_GETLK;
  int ofd = cmd == F_OFD_SETLK || cmd == F_OFD_SETLKW || cmd == F_OFD_GETLK;
  return kinds && ((posix && strstr(kinds, "posix")) || (ofd && strstr(kinds, "ofd")));
}

static int go(const char *name, int fd, int cmd, void *argument) {
  if (refused(cmd)) {
    errno = atoi(getenv("REFUSED_WITH"));
    return -1;
  }
  return ((int (*)(int, int, ...)) dlsym(RTLD_NEXT, name))(fd, cmd, argument);
}

#define REPLACE(name) \
  int name(int fd, int cmd, ...) { \
    va_list list; \
    va_start(list, cmd); \
    void *argument = va_arg(list, void *); \
    va_end(list); \
    return go(#name, fd, cmd, argument); \
  }
REPLACE(fcntl)
REPLACE(fcntl64)
"""


def without_locks(folder: Path, kinds: str, error: int) -> dict[str, str]:
    """The environment of a process that gets `error` for locks of these kinds (posix, ofd)."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("NOT TESTED: there is no cc, so no file system without locks was played")
    library = folder / "nolocks.so"
    if not library.exists():
        source = folder / "nolocks.c"
        source.write_text(SOURCE)
        command = [compiler, "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"]
        subprocess.run(command, check=True)
    refused = {"REFUSED_LOCKS": kinds, "REFUSED_WITH": str(error)}
    return {**os.environ, "LD_PRELOAD": str(library), **refused}
