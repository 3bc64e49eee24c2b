"""`make test-openstack`: start a real cloud, run the tests against it, stop it.

    python -m tests.openstack [PYTEST ARGUMENTS]   all of it
    python -m tests.openstack up                   only bring it up, and say where it is
    python -m tests.openstack down                 take down what `up`, or a killed run, left

On a machine that cannot host it a banner says so, and the exit code is 0, or 1 when
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
from contextlib import suppress
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
PATIENCE = 1800.0
BEGINNING = time.monotonic()


def say(text: str) -> None:
    print(f"[{time.monotonic() - BEGINNING:6.1f} s] {text}", file=sys.stderr, flush=True)


def main(arguments: Sequence[str]) -> int:
    """The exit code: that of the tests; 1 when the cloud did not come up; 0 when skipped."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        check_machine()
        HOME.mkdir(exist_ok=True)
        with (HOME / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return act(arguments)
    except CannotHost as reason:
        return skipped(str(reason))
    except BlockingIOError:
        return failed("another one is at work in this folder")
    except BringUpFailed as fault:
        return failed(str(fault))
    except KeyboardInterrupt:
        return 130


def act(arguments: Sequence[str]) -> int:
    take_down()
    if arguments[:1] == ["down"]:
        return 0
    stays = arguments[:1] == ["up"]
    try:
        cloud = bring_up()
        if not stays:
            return run_tests(cloud, arguments)
        print(f"export {FOLDER_VARIABLE}={cloud.site.folder}")
        return 0
    except BaseException:
        stays = False
        raise
    finally:
        if not stays:
            take_down()


def bring_up() -> RealCloud:
    say("installing what is missing")
    try:
        install(HOME / "environment", HOME / "install.log")
    except CannotHost as reason:
        raise CannotHost(f"{reason} (.openstack/install.log says why)") from reason
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
    """The exit code of pytest. Whatever it started ends with it, in its process group."""
    known = {**os.environ, FOLDER_VARIABLE: str(cloud.site.folder)}
    where = arguments or ["tests/openstack/scenarios"]
    command = [sys.executable, "-m", "pytest", "--durations=0", "--durations-min=1", *where]
    tests = subprocess.Popen(command, cwd=ROOT, env=known, process_group=0)
    try:
        code = tests.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        say(f"the tests took longer than {PATIENCE:.0f} s")
        code = 1
    finally:
        end_group(tests)
    say(f"the tests ended with exit code {code}")
    return code


def end_group(leader: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(leader.pid, number)
        with suppress(subprocess.TimeoutExpired):
            leader.wait(5)


def skipped(reason: str) -> int:
    required = bool(os.environ.get(REQUIRED_VARIABLE))
    why = f"This machine cannot host a real Keystone and Cinder:\n{reason}."
    hint = f"Nothing was tested against a real cloud. {REQUIRED_VARIABLE}=1 makes this a failure."
    tell("TESTS AGAINST THE REAL CLOUD SKIPPED", f"{why}\n{hint}")
    print(f"test-openstack: {'FAILED' if required else 'SKIPPED'}: {reason}", flush=True)
    return int(required)


def failed(reason: str) -> int:
    tell("THE REAL CLOUD DID NOT COME UP", reason)
    print(f"test-openstack: FAILED: {reason.splitlines()[0]}", flush=True)
    return 1


def tell(title: str, text: str) -> None:
    """A banner that nobody overlooks."""
    rule = "*" * 88
    lines = [rule, f"*  {title}", rule, *(f"*  {line}" for line in text.splitlines()), rule]
    print("", *lines, "", sep="\n", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
