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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PINS = Path(__file__).with_name("requirements.txt")
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
POLICY = Path("/usr/sbin/policy-rc.d")
INSTALL_PATIENCE = 900.0


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
    if not _succeeds(["unshare", "--mount", "true"], subprocess.DEVNULL):
        raise CannotHost("it may not make a mount namespace (unshare --mount)")


def missing_packages() -> list[str]:
    return [package.name for package in DEBIAN if not package.is_installed()]


def install(environment: Path, log: Path) -> None:
    """Install what is not there yet: Debian packages, then `environment`; raises `CannotHost`."""
    with log.open("ab") as output:
        if names := missing_packages():
            _apt(names, output.fileno())
        if not _is_current(environment):
            _make_environment(environment, output.fileno())


def _apt(names: Sequence[str], output: int) -> None:
    apt = ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=300"]
    wanted = [*apt, "install", "-y", "--no-install-recommends", *names]
    with _no_daemons_started():
        if _succeeds(wanted, output):
            return
        _succeeds([*apt, "update"], output)
        if not _succeeds(wanted, output):
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


def _make_environment(environment: Path, output: int) -> None:
    shutil.rmtree(environment, ignore_errors=True)
    python = [str(environment / "bin" / "python")]
    pins = ["install", "--quiet", "-r", str(PINS)]
    fast = ["-m", "uv", "pip", *pins, "--compile-bytecode", "--python", *python]
    made = (
        _succeeds([sys.executable, "-m", "venv", str(environment)], output)
        and _succeeds([*python, "-m", "pip", "install", "--quiet", "uv"], output)
        and _succeeds([*python, *fast], output)
    ) or _succeeds([*python, "-m", "pip", *pins], output)
    if not made:
        raise CannotHost("pip could not install Keystone and Cinder")
    (environment / "installed").write_text(_stamp())


def _succeeds(command: Sequence[str], output: int) -> bool:
    """Run it, its output into the log; false when it fails, is not there or takes too long."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            timeout=INSTALL_PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
