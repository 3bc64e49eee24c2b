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
from pathlib import Path

from tests.debian import DebianPackage, Steps, apt_install, missing

PINS = Path(__file__).with_name("requirements.txt")


class CannotHost(Exception):
    """This machine cannot host the real cloud; the text says why, in one line."""


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
    if (names := missing(DEBIAN)) and shutil.which("apt-get") is None:
        raise CannotHost(f"there is no apt-get to install {', '.join(names)} with")
    if not Steps(subprocess.DEVNULL).succeed(["unshare", "--mount", "true"]):
        raise CannotHost("it may not make a mount namespace (unshare --mount)")


def install(environment: Path, log: Path) -> None:
    """Install what is not there yet: Debian packages, then `environment`; raises `CannotHost`."""
    with log.open("ab") as output:
        steps = Steps(output.fileno())
        if (names := missing(DEBIAN)) and not apt_install(names, steps):
            raise CannotHost(f"apt-get could not install {', '.join(names)}")
        if not _is_current(environment):
            _make_environment(environment, steps)


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
