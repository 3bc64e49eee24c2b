"""Prints which cloud a command works in, and when a sign-in that cannot be renewed ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from vbsbatch.cli import remark

if TYPE_CHECKING:
    from vbsbatch.cloud import CloudService


def warn(service: CloudService, style: str = "plain") -> None:
    """Print warnings about the connection to the cloud."""
    for warning in service.warnings:
        remark(f"warning: {warning}", style, "warning")


def say_place(service: CloudService, style: str) -> None:
    """Print both on standard error, in the `style` of the run's progress."""
    from vbsbatch.api.sessions import end_line, place_line

    if style != "quiet":
        remark(f"in {place_line(service)}", style)
    ending = end_line(service)
    if ending is None:
        return
    remark(f"note: {ending}", style)
    if style == "tui":
        remark("note: the engine signs in with it again; --progress plain avoids that", style)


@contextmanager
def counting(what: str) -> Iterator[Callable[[int], None]]:
    """Show a progress bar while a list is read, on a terminal only."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (
        TextColumn(f"reading {what}"),
        BarColumn(),
        TextColumn("{task.completed}"),
        TimeElapsedColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done: progress.update(task, completed=done)
