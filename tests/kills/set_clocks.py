"""Sets the clocks of a process, by preloading the C library's clock functions.

The wall clock and CLOCK_BOOTTIME are moved by what a file says; CLOCK_MONOTONIC, which the event
loop's timers count, is left as it is: so it is after a suspend. (SIGSTOP moves all of them.)
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static void offsets(long *wall, long *boot) {
  char text[64] = {0};
  *wall = *boot = 0;
  int file = open(getenv("CLOCKS_FILE"), O_RDONLY | O_CLOEXEC);
  if (file < 0) return;
  if (read(file, text, 63) > 0) sscanf(text, "%ld %ld", wall, boot);
  close(file);
}

int clock_gettime(clockid_t clock, struct timespec *at) {
  static int (*real)(clockid_t, struct timespec *);
  long wall, boot;
  if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
  int result = real(clock, at);
  if (clock != CLOCK_REALTIME && clock != CLOCK_BOOTTIME) return result;
  offsets(&wall, &boot);
  at->tv_sec += clock == CLOCK_REALTIME ? wall : boot;
  return result;
}

time_t time(time_t *to) {
  struct timespec at;
  clock_gettime(CLOCK_REALTIME, &at);
  if (to) *to = at.tv_sec;
  return at.tv_sec;
}

int gettimeofday(struct timeval *to, void *zone) {
  struct timespec at;
  clock_gettime(CLOCK_REALTIME, &at);
  to->tv_sec = at.tv_sec;
  to->tv_usec = at.tv_nsec / 1000;
  return 0;
}
"""


class SetClocks:
    """What a process must be started with, and a hand on its clocks."""

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("cc")
        if compiler is None:
            pytest.skip("NOT TESTED: there is no cc, so no clock of a process was set")
        self._file = folder / "clocks"
        self._wall = self._boot = 0
        self._write()
        source, self._library = folder / "clocks.c", folder / "clocks.so"
        source.write_text(SOURCE)
        command = [compiler, "-shared", "-fPIC", "-o", str(self._library), str(source), "-ldl"]
        subprocess.run(command, check=True)

    @property
    def variables(self) -> dict[str, str]:
        return {"LD_PRELOAD": os.fspath(self._library), "CLOCKS_FILE": os.fspath(self._file)}

    def set_wall(self, seconds: int) -> None:
        """Set the machine's clock by so many seconds."""
        self._wall += seconds
        self._write()

    def sleep_machine(self, seconds: int) -> None:
        """What a suspend of so many seconds does to the clocks."""
        self._wall += seconds
        self._boot += seconds
        self._write()

    def _write(self) -> None:
        new = self._file.with_suffix(".new")
        new.write_text(f"{self._wall} {self._boot}")
        new.replace(self._file)
