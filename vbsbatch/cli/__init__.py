"""The front door: arguments in, exit code out. The only room that knows every other.

Exit codes: 0 all succeeded or skipped; 1 the run ended and some failed (or `verify` found a
difference); 2 bad usage, plan, credentials or store: nothing was submitted; 3 the run stopped
before its end and can be resumed; 130 interrupted.

Every module here imports click and values only; what costs time is imported where it is used, so
that `--help` is there at once.
"""

from __future__ import annotations

import os
import sys

FAILED, USAGE, STOPPED, INTERRUPTED = 1, 2, 3, 130


def main() -> None:
    """Run the command line; never shows a traceback unless VBSBATCH_DEBUG is set."""
    import click

    from vbsbatch.cli.app import app
    from vbsbatch.errors import VbsbatchError

    try:
        code = app(standalone_mode=False, prog_name="vbsbatch")
    except click.exceptions.Abort:
        code = _complain("interrupted", INTERRUPTED)
    except KeyboardInterrupt:
        code = _complain("interrupted", INTERRUPTED)
    except click.ClickException as error:
        error.show()
        code = USAGE
    except VbsbatchError as error:
        code = _complain(str(error), error.exit_code)
    except BrokenPipeError:
        # Whoever read us has seen enough; keep the interpreter from complaining about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except Exception as error:
        if os.environ.get("VBSBATCH_DEBUG"):
            raise
        what = f"a fault of vbsbatch itself: {type(error).__name__} (VBSBATCH_DEBUG=1 shows where)"
        code = _complain(what, STOPPED)
    sys.exit(code or 0)


def _complain(text: str, code: int) -> int:
    from vbsbatch.report import clean

    for line in text.splitlines() or [text]:
        print(f"vbsbatch: {clean(line)}", file=sys.stderr)
    return code
