"""The command line: it parses arguments, calls the API, prints, and ends with an exit code.

Exit codes: 0 all succeeded or skipped; 1 the run ended and some failed (or `verify` found a
difference); 2 bad usage, plan, credentials or store: nothing was submitted; 3 the run stopped
before its end and can be resumed; 130 interrupted.

Slow imports are made where they are used, so that `--help` appears at once.
"""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from io import TextIOWrapper
from typing import TYPE_CHECKING, NoReturn, TextIO

if TYPE_CHECKING:
    from click import ClickException

FAILED, USAGE, STOPPED, INTERRUPTED = 1, 2, 3, 130


def main() -> NoReturn:
    """The console script: run the command line, and end the process with its exit code."""
    try:
        code = command_line()
    except KeyboardInterrupt:  # before it began, or while an error is printed
        mention("vbsbatch: interrupted")
        code = INTERRUPTED
    _leave(code)


def command_line() -> int:
    """Run the command line and return its exit code; shows a traceback only with VBSBATCH_DEBUG."""
    from vbsbatch.cli.app import app

    if sys.stdout is None:  # started without standard output
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - for as long as the process lives
    if isinstance(sys.stdout, TextIOWrapper):
        # Characters that the terminal cannot encode are shown as escapes.
        sys.stdout.reconfigure(errors="backslashreplace")
    if "VBSBATCH_TIED_TO" in os.environ:
        from vbsbatch.cli.parent_death import end_with_parent

        end_with_parent()
    try:
        code = app(standalone_mode=False, prog_name="vbsbatch")
    except SystemExit:
        # click does this only after a completion, and when the reader of our output is gone.
        code = 0
    except BrokenPipeError:
        # The reader is gone; prevent the interpreter's complaint at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except (Exception, KeyboardInterrupt) as error:
        code = _report_error(_first_error(error))
        if code is None:
            raise
    return code or 0


def _leave(code: int) -> NoReturn:
    """End the process without waiting for threads, such as a sign-in that was given up."""
    main_thread = threading.main_thread()
    if all(each is main_thread or each.daemon for each in threading.enumerate()):
        sys.exit(code)
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):
            stream.flush()
    os._exit(code)


def _report_error(error: BaseException) -> int | None:
    """Print what went wrong and return the exit code; None for a bug that is being debugged."""
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
    """Print click's message about a wrong command line, cleaned."""
    from io import StringIO

    words = StringIO()
    error.show(words)
    for line in words.getvalue().splitlines():
        mention(line)


def _first_error(error: BaseException) -> BaseException:
    """Unwrap the first error: task groups wrap even a single one."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _complain(text: str, code: int) -> int:
    for line in text.splitlines() or [text]:
        mention(f"vbsbatch: {line}")
    return code


def is_terminal(stream: TextIO | None) -> bool:
    """Whether the stream is an open terminal."""
    return stream is not None and not stream.closed and stream.isatty()


def can_ask() -> bool:
    """Whether a person can be asked: keys come from standard input, questions go to stderr."""
    return is_terminal(sys.stdin) and is_terminal(sys.stderr)


def fit(line: str) -> str:
    """Clean a line for terminals and logs: no control characters, no secrets.

    Everything that is printed passes through here, or through the writers of `vbsbatch.report`.
    """
    from vbsbatch.report import clean

    return clean(line)


def say(text: str) -> None:
    """Print a result, one line or several, on stdout."""
    for line in text.split("\n"):
        print(fit(line), flush=True)


def mention(line: str) -> None:
    """Print a line on stderr; a closed stderr is ignored, because it must not end a run."""
    if sys.stderr is not None:
        with suppress(OSError, ValueError):
            print(fit(line), file=sys.stderr, flush=True)


def remark(line: str, style: str, kind: str = "run") -> None:
    """Print a line on stderr in the style of the run's progress; as JSON it is a note."""
    if style == "json":
        from vbsbatch.model import RunNoted
        from vbsbatch.model.clocks import wall
        from vbsbatch.report import jsonlines

        line = jsonlines.line(RunNoted(at=wall(), kind=kind, text=line), attempts=0)
    mention(line)
