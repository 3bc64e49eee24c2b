"""Metrics on standard output and in files, and what is told of a store that cannot be read."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from vbsbatch.cli import mention, say
from vbsbatch.errors import UsageError, VbsbatchError

if TYPE_CHECKING:
    from vbsbatch.report.metrics import MetricsData

READABLE = 0o644
"""Mode of a text file: node_exporter is another user, and metrics hold no secret."""


class MetricsSource:
    """Reads the metrics of one store, and tells on standard error when that begins to fail, when it
    works again, and when others may have forged what the store holds."""

    def __init__(self, store: str) -> None:
        from vbsbatch.api.metrics import MetricsReader

        # The current folder may be another one by the next reading.
        name = store if "://" in store else os.path.abspath(store)
        self._reader = MetricsReader(name)
        self._told: str | None = None
        self.failed = False
        """Whether the store could not be read the last time."""

    def text(self) -> str:
        """The metrics; without a readable store only that it cannot be read. Blocks."""
        from vbsbatch.report.as_prometheus import exposition

        return exposition(self._data())

    def _data(self) -> MetricsData | None:
        try:
            data = self._reader.read()
        except VbsbatchError as error:
            self.fail(str(error))
            return None
        if self.failed:
            mention("the store can be read again")
        self.failed = False
        self.tell(_forged(data))
        return data

    def fail(self, why: str) -> None:
        """The store could not be read."""
        self.failed = True
        self.tell(f"cannot read the store, so vbsbatch_up is 0: {why}")

    def tell(self, text: str | None) -> None:
        """Print a line unless it was the last one."""
        if text is not None and text != self._told:
            mention(text)
        self._told = text


def print_once(store: str) -> int:
    """Print the metrics of the store; raises `StoreError`."""
    from vbsbatch.api.metrics import MetricsReader
    from vbsbatch.report.as_prometheus import exposition

    data = MetricsReader(store).read()
    if (warning := _forged(data)) is not None:
        mention(warning)
    say(exposition(data).removesuffix("\n"))
    return 0


def _forged(data: MetricsData) -> str | None:
    warning = data.warning
    return None if warning is None else f"warning: {warning}: what the store says may be forged"


def write_textfile(store: str, file: str, every: float | None) -> int:
    """Write the metrics to a file, once or until a signal; a file is always whole.

    Raises `UsageError` for a file that cannot be written the first time. Where the store cannot be
    read, the file says so; without `every` the exit code is 2 then.
    """
    if Path(file).suffix != ".prom":
        mention(f"note: node_exporter reads only files whose names end in .prom, and not {file}")
    source = MetricsSource(store)
    if every is None:
        _write(source, file)
        return 2 if source.failed else 0
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: over.set())
    _write(source, file)
    while not over.wait(every):
        try:
            _write(source, file)
        except UsageError as error:  # a disk that is full may have room again
            source.tell(str(error))
    return 0


def _write(source: MetricsSource, file: str) -> None:
    from vbsbatch.report import opened

    text = source.text()
    with opened(file, mode=READABLE) as stream:
        stream.write(text)
