"""`make test-tools`: install tmux and Chromium for the tests of the screen, Prometheus for metrics,
restic for retention.

Where that cannot be done the tests that need them are skipped, and say so; the exit code is 0.
"""

from __future__ import annotations

import os
import shutil
import sys

from tests.debian import DebianPackage, Steps, apt_install, missing

TOOLS = (
    DebianPackage(name="tmux", brings="tmux"),
    DebianPackage(name="chromium", brings="chromium"),
    DebianPackage(name="prometheus", brings="prometheus"),
    DebianPackage(name="restic", brings="restic"),
)


def main() -> None:
    if not (names := missing(TOOLS)):
        return
    able = shutil.which("apt-get") is not None and os.geteuid() == 0
    if not able or not apt_install(names, Steps(sys.stderr.fileno())):
        why = "apt-get could not install them" if able else "it takes root and apt-get"
        print(f"test-tools: SKIPPED: {', '.join(names)} not installed: {why}", flush=True)


if __name__ == "__main__":
    main()
