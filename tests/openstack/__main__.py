"""`make test-openstack`: bring a real cloud up, run the tests against it, take it down.

    python -m tests.openstack [PYTEST ARGUMENTS]   all of it
    python -m tests.openstack up                   only bring it up, and say where it is
    python -m tests.openstack down                 take down what `up`, or a killed run, left

A machine that cannot host it is told so in a banner, and the exit code is 0, or 1 when
VBSBATCH_OPENSTACK_REQUIRED is set.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.openstack.cloud import BringUpFailed, RealCloud
from tests.openstack.hosting import CannotHost, check_machine, install

ROOT = Path(__file__).parents[2]
HOME = ROOT / ".openstack"
"""Kept between runs and ignored by git: the virtual environment of Keystone and Cinder, the log
of its installation, and where the cloud is that is up."""
HERE = HOME / "cloud"
FOLDER_VARIABLE = "VBSBATCH_OPENSTACK"
REQUIRED_VARIABLE = "VBSBATCH_OPENSTACK_REQUIRED"
BEGINNING = time.monotonic()


def say(text: str) -> None:
    print(f"[{time.monotonic() - BEGINNING:6.1f} s] {text}", file=sys.stderr, flush=True)


def main(arguments: Sequence[str]) -> int:
    """The exit code: that of the tests; 1 when the cloud did not come up; 0 when skipped."""
    HOME.mkdir(exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with (HOME / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("another make test-openstack is at work in this folder", file=sys.stderr)
            return 1
        try:
            return _act(arguments)
        except CannotHost as reason:
            return skipped(str(reason))
        except BringUpFailed as fault:
            print(banner("THE REAL CLOUD DID NOT COME UP", str(fault)), file=sys.stderr)
            return 1


def _act(arguments: Sequence[str]) -> int:
    take_down()
    if arguments[:1] == ["down"]:
        return 0
    check_machine()
    try:
        cloud = bring_up()
        if arguments[:1] == ["up"]:
            print(f"export {FOLDER_VARIABLE}={cloud.site.folder}")
            return 0
        return run_tests(cloud, arguments)
    finally:
        if arguments[:1] != ["up"]:
            take_down()


def bring_up() -> RealCloud:
    say("installing what is missing")
    install(HOME / "environment", HOME / "install.log")
    folder = Path(tempfile.mkdtemp(prefix="vbsbatch-openstack-"))
    HERE.write_text(str(folder))
    cloud = RealCloud.new(folder, HOME / "environment")
    say(f"starting Keystone and Cinder in {folder}")
    cloud.up()
    say("the real cloud is up")
    return cloud


def take_down() -> None:
    """Stop the cloud that is up, if there is one, and remove its folder."""
    if not HERE.exists():
        return
    folder = Path(HERE.read_text())
    if (folder / "site.json").exists():
        RealCloud.at(folder).down()
        say("the real cloud is down")
    shutil.rmtree(folder, ignore_errors=True)
    HERE.unlink()


def run_tests(cloud: RealCloud, arguments: Sequence[str]) -> int:
    known = {**os.environ, FOLDER_VARIABLE: str(cloud.site.folder)}
    where = arguments or ["tests/openstack"]
    command = [sys.executable, "-m", "pytest", "--durations=0", "--durations-min=1", *where]
    done = subprocess.run(command, cwd=ROOT, env=known, check=False)
    say(f"the tests ended with exit code {done.returncode}")
    return done.returncode


def skipped(reason: str) -> int:
    required = bool(os.environ.get(REQUIRED_VARIABLE))
    why = f"This machine cannot host a real Keystone and Cinder:\n{reason}."
    hint = f"Nothing was tested against a real cloud. {REQUIRED_VARIABLE}=1 makes this a failure."
    print(banner("TESTS AGAINST THE REAL CLOUD SKIPPED", f"{why}\n{hint}"), file=sys.stderr)
    print(f"test-openstack: {'FAILED' if required else 'SKIPPED'}: {reason}", flush=True)
    return int(required)


def banner(title: str, text: str) -> str:
    rule = "*" * 88
    body = "\n".join(f"*  {line}" for line in text.splitlines())
    return f"\n{rule}\n*  {title}\n{rule}\n{body}\n{rule}\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
