"""Programs of Debian that tests need, and how they are installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
POLICY = Path("/usr/sbin/policy-rc.d")
INSTALL_PATIENCE = 600.0
"""Seconds for all of the installation: a network that answers nothing must not hold up the rest."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DebianPackage:
    name: str
    brings: str
    """A program or a file pattern under / that shows that it is installed."""

    def is_installed(self) -> bool:
        if "/" in self.brings:
            return any(Path("/").glob(self.brings))
        return shutil.which(self.brings, path=SYSTEM_PATH) is not None


def missing(packages: Sequence[DebianPackage]) -> list[str]:
    """The names of those that are not installed."""
    return [package.name for package in packages if not package.is_installed()]


class Steps:
    """Commands that share one log and one span of time."""

    def __init__(self, output: int) -> None:
        self._output = output
        self._deadline = time.monotonic() + INSTALL_PATIENCE

    def succeed(self, *commands: Sequence[str]) -> bool:
        """Run one after the other; false as soon as one fails, is not there or takes too long."""
        return all(self._run(command) for command in commands)

    def _run(self, command: Sequence[str]) -> bool:
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=self._output,
                env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
                timeout=max(self._deadline - time.monotonic(), 1.0),
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return False
        return done.returncode == 0


def apt_install(names: Sequence[str], steps: Steps) -> bool:
    """Whether all of them could be installed; no daemon of theirs is started."""
    apt = ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=1"]
    wanted = [*apt, "install", "-y", "--no-install-recommends", *names]
    with _no_daemons_started():
        return steps.succeed(wanted) or steps.succeed([*apt, "update"], wanted)


@contextmanager
def _no_daemons_started() -> Iterator[None]:
    """Packages that start their own database and broker would take ports, and stay."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()
