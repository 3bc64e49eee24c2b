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
import threading
from contextlib import suppress
from io import TextIOWrapper
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from click import ClickException

FAILED, USAGE, STOPPED, INTERRUPTED = 1, 2, 3, 130


def main() -> NoReturn:
    """The console script: run the command line, and end the process with its exit code."""
    try:
        code = command_line()
    except KeyboardInterrupt:  # before it began, or a second one while the first was told
        mention("vbsbatch: interrupted")
        code = INTERRUPTED
    _leave(code)


def command_line() -> int:
    """Run the command line; the exit code. Never shows a traceback unless VBSBATCH_DEBUG is
    set."""
    from vbsbatch.cli.app import app

    if sys.stdout is None:  # started without one: nobody wants to read the results
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - for as long as the process lives
    if isinstance(sys.stdout, TextIOWrapper):
        # What the terminal's encoding lacks, in a volume's name, is shown as an escape.
        sys.stdout.reconfigure(errors="backslashreplace")
    if "VBSBATCH_TIED_TO" in os.environ:
        from vbsbatch.cli.parent_death import heed

        heed()
    try:
        code = app(standalone_mode=False, prog_name="vbsbatch")
    except SystemExit:
        # click leaves like this only after a completion, and when whoever read us has seen enough.
        code = 0
    except BrokenPipeError:
        # Likewise; keep the interpreter from complaining about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except (Exception, KeyboardInterrupt) as error:
        code = _told(_first(error))
        if code is None:
            raise
    return code or 0


def _leave(code: int) -> NoReturn:
    """End the process; a sign-in that was given up, and hangs in a thread, holds nobody up."""
    main_thread = threading.main_thread()
    if all(each is main_thread or each.daemon for each in threading.enumerate()):
        sys.exit(code)
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):
            stream.flush()
    os._exit(code)


def _told(error: BaseException) -> int | None:
    """Say what went wrong; the exit code, None for a fault of ours that somebody is after."""
    import click

    from vbsbatch.errors import VbsbatchError

    if isinstance(error, click.exceptions.Abort | KeyboardInterrupt):
        return _complain("interrupted", INTERRUPTED)
    if isinstance(error, click.ClickException):
        _show_usage(error)
        return USAGE
    if isinstance(error, VbsbatchError):
        return _complain(str(error), error.exit_code)
    if isinstance(error, FileNotFoundError) and error.filename is None and _is_nowhere():
        what = "the current folder was deleted: go to another, or name every file by its whole path"
        return _complain(what, USAGE)
    if isinstance(error, OSError) and error.filename is None:
        return _complain(f"cannot write: {error.strerror or error}".lower(), USAGE)
    if os.environ.get("VBSBATCH_DEBUG"):
        return None
    name = type(error).__name__
    what = f"a fault of vbsbatch itself: {name} (VBSBATCH_DEBUG=1 shows where)"
    return _complain(what, STOPPED)


def _is_nowhere() -> bool:
    """Whether the current folder is gone."""
    try:
        os.getcwd()
    except OSError:
        return True
    return False


def _show_usage(error: ClickException) -> None:
    """What click says of a wrong command line, which may hold anything."""
    from io import StringIO

    words = StringIO()
    error.show(words)
    for line in words.getvalue().splitlines():
        mention(line)


def _first(error: BaseException) -> BaseException:
    """What went wrong first: task groups wrap even a single error."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _complain(text: str, code: int) -> int:
    for line in text.splitlines() or [text]:
        mention(f"vbsbatch: {line}")
    return code


def fit(line: str) -> str:
    """A line as a terminal and a log may have it: no control characters, no secrets.

    Everything that is printed comes through here, or through the writers of `vbsbatch.report`.
    """
    from vbsbatch.report import clean

    return clean(line)


def say(text: str) -> None:
    """Print a result, one line or several, on stdout."""
    for line in text.split("\n"):
        print(fit(line), flush=True)


def mention(line: str) -> None:
    """Print a line on stderr, if anyone still listens there: a run must not end because of it."""
    if sys.stderr is not None:
        with suppress(OSError, ValueError):
            print(fit(line), file=sys.stderr, flush=True)


def remark(line: str, style: str, kind: str = "run") -> None:
    """Mention a line the way a run tells its progress: for programs it is one more note."""
    if style == "json":
        from vbsbatch.model import RunNoted
        from vbsbatch.model.clocks import wall
        from vbsbatch.report import jsonlines

        line = jsonlines.line(RunNoted(at=wall(), kind=kind, text=line), attempts=0)
    mention(line)
