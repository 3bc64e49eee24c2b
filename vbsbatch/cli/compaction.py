"""Compacts the store, by command or at the end of a run, and says what was removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vbsbatch.cli import remark
from vbsbatch.errors import VbsbatchError
from vbsbatch.model import Wall

if TYPE_CHECKING:
    from vbsbatch.model import Compaction
    from vbsbatch.store import RunStore


def compacted(store: RunStore, before: Wall) -> str:
    """Compact the store and remove the logs of those runs; what was removed, in one line."""
    from vbsbatch.cli.engine_log import remove_logs

    found = store.compact(before)
    return _told(found, sum(remove_logs(store, run_id) for run_id in found.runs))


def compact_as_configured(store: RunStore, style: str) -> None:
    """Compact the store at the end of a run if the config file says so; a failure is only told."""
    from vbsbatch.config import load_config
    from vbsbatch.model.clocks import wall

    try:
        older_than = load_config().compact
        if older_than is None:
            return
        before = Wall(float(wall()) - older_than)
        if store.compactable(before).runs:
            remark(f"store: {compacted(store, before)}", style)
    except VbsbatchError as error:
        remark(f"store: it was not compacted: {error}", style, "warning")


def _told(found: Compaction, logs: int) -> str:
    from vbsbatch.report.sizes import in_bytes

    freed = found.size_before - found.size_after
    room = f"the store has {in_bytes(found.size_after)}"
    if freed > 0:
        room += f", {in_bytes(freed)} less than before"
    if found.unused:
        room += f", of which {in_bytes(found.unused)} are unused"
    if found.kept_because:
        room += f" (the file keeps its size: {found.kept_because})"
    gone = f"{removed_rows(found)}, {in_bytes(logs)} of logs" if logs else removed_rows(found)
    return f"removed {gone}; {room}"


def removed_rows(found: Compaction) -> str:
    """`8 events, 8 attempts of 1 run`."""
    from vbsbatch.inventory.plan_writer import counted

    rows = [counted(found.events, "event"), counted(found.attempts, "attempt")]
    if found.commands:
        rows.append(counted(found.commands, "command"))
    text = f"{', '.join(rows)} of {counted(len(found.runs), 'run')}"
    return f"{text}, {counted(found.starts, 'missed start')}" if found.starts else text
