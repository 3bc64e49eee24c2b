"""The read-only screen for a browser: `python -m vbsbatch.cli.web_child STORE RUN`."""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from pathlib import Path

from vbsbatch.cli import mention
from vbsbatch.cli.options import open_store
from vbsbatch.cli.screen_config import screen_settings
from vbsbatch.cli.screen_launcher import source_of
from vbsbatch.errors import UsageError, VbsbatchError


def main(path: str, run_id: str) -> int:
    """Show the run until the browser is closed; 2 when there is nothing to show."""
    from vbsbatch.report import clean
    from vbsbatch.tui.app import show

    threading.Thread(target=_leave_with_server, name="server", daemon=True).start()
    try:
        with open_store(Path(path), readonly=True) as store:
            source = source_of(store, read_only=True, starter=_refuse)
            wanted = screen_settings()
            ended = show(
                source,
                run_id=run_id,
                theme=wanted.theme,
                keymap=wanted.keys,
                ascii_only=wanted.ascii or False,
            )
            return ended.return_code
    except VbsbatchError as error:
        mention(f"vbsbatch: {clean(str(error))}")
        return error.exit_code


def _leave_with_server() -> None:
    """End when standard input is closed: Textual does not, and the server may be killed."""
    server = select.poll()
    server.register(sys.stdin.fileno(), 0)  # a hang-up is always reported
    server.poll()
    os.kill(os.getpid(), signal.SIGTERM)


def _refuse(run_id: str) -> None:
    raise UsageError("a browser starts no engine")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
