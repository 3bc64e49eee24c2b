"""How the last start of a schedule ended, as the store knows it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vbsbatch.cli.options import open_store
from vbsbatch.errors import StoreError

if TYPE_CHECKING:
    from vbsbatch.cli.timer_units import Schedule


def last_result(of: Schedule, db: Path | None) -> str:
    """`DONE 20261123-0715-k3f9`, `SKIPPED ...: why`, or `-` before the first start."""
    from vbsbatch.api.reading import headline
    from vbsbatch.api.upkeep import newest_of_plan
    from vbsbatch.report.data import standing

    named = _option(of, "--db")
    try:
        with open_store(db or (Path(named) if named else None), readonly=True) as store:
            run = newest_of_plan(store, of.plan, _option(of, "--cloud"))
            missed = next((each for each in store.missed_starts() if each.plan == of.plan), None)
            if missed is not None and (run is None or missed.at > run.created_at):
                return f"{missed.kind.upper()}: {missed.text}"
            return "-" if run is None else f"{standing(headline(store, run))} {run.id}"
    except StoreError:
        return "-"


def _option(of: Schedule, name: str) -> str | None:
    options = list(of.options)
    return options[options.index(name) + 1] if name in options else None
