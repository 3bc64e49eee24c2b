"""Whether this machine can host a real cloud, and what is installed for it.

Keystone and Cinder come from PyPI into a virtual environment of their own, pinned in
`requirements.txt`; MariaDB, RabbitMQ and qemu-img come from Debian. Nothing is started here.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PINS = Path(__file__).with_name("requirements.txt")
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
POLICY = Path("/usr/sbin/policy-rc.d")
INSTALL_PATIENCE = 600.0
"""Seconds for all of the installation: a network that answers nothing must not hold up the rest."""


class CannotHost(Exception):
    """This machine cannot host the real cloud; the text says why, in one line."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DebianPackage:
    name: str
    brings: str
    """A program or a file pattern under / that shows that it is installed."""

    def is_installed(self) -> bool:
        if "/" in self.brings:
            return any(Path("/").glob(self.brings))
        return shutil.which(self.brings, path=SYSTEM_PATH) is not None


DEBIAN = (
    DebianPackage(name="mariadb-server", brings="mariadbd"),
    DebianPackage(name="rabbitmq-server", brings="usr/lib/rabbitmq/lib/*/sbin/rabbitmq-server"),
    DebianPackage(name="qemu-utils", brings="qemu-img"),
)


def check_machine(platform: str = sys.platform, user: int | None = None) -> None:
    """What can be known without installing anything; raises `CannotHost`."""
    if platform != "linux":
        raise CannotHost(f"it needs Linux, and this is {platform}")
    if (os.geteuid() if user is None else user) != 0:
        raise CannotHost("it needs root, for packages and for a mount namespace")
    if missing_packages() and shutil.which("apt-get") is None:
        names = ", ".join(missing_packages())
        raise CannotHost(f"there is no apt-get to install {names} with")
    if not Steps(subprocess.DEVNULL).succeed(["unshare", "--mount", "true"]):
        raise CannotHost("it may not make a mount namespace (unshare --mount)")


def missing_packages() -> list[str]:
    return [package.name for package in DEBIAN if not package.is_installed()]


def install(environment: Path, log: Path) -> None:
    """Install what is not there yet: Debian packages, then `environment`; raises `CannotHost`."""
    with log.open("ab") as output:
        steps = Steps(output.fileno())
        if names := missing_packages():
            _apt(names, steps)
        if not _is_current(environment):
            _make_environment(environment, steps)


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


def _apt(names: Sequence[str], steps: Steps) -> None:
    apt = ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=1"]
    wanted = [*apt, "install", "-y", "--no-install-recommends", *names]
    with _no_daemons_started():
        if not steps.succeed(wanted) and not steps.succeed([*apt, "update"], wanted):
            raise CannotHost(f"apt-get could not install {', '.join(names)}")


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


def _stamp() -> str:
    return f"{sys.version}\n{hashlib.sha256(PINS.read_bytes()).hexdigest()}\n"


def _is_current(environment: Path) -> bool:
    mark = environment / "installed"
    return mark.exists() and mark.read_text() == _stamp()


def _make_environment(environment: Path, steps: Steps) -> None:
    shutil.rmtree(environment, ignore_errors=True)
    python = str(environment / "bin" / "python")
    pins = ["install", "--quiet", "-r", str(PINS)]
    if not steps.succeed([sys.executable, "-m", "venv", str(environment)]):
        raise CannotHost("python cannot make a virtual environment")
    with_uv = steps.succeed(
        [python, "-m", "pip", "install", "--quiet", "uv"],
        [python, "-m", "uv", "pip", *pins, "--compile-bytecode", "--python", python],
    )
    if not with_uv and not steps.succeed([python, "-m", "pip", *pins]):
        raise CannotHost("pip could not install Keystone and Cinder")
    (environment / "installed").write_text(_stamp())
