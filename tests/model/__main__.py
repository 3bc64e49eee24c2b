"""`make model`: every small night.

python -m tests.model [--depth 4] [--workers 2]
python -m tests.model --replay "backup: accepted accepted first-copy"
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from contextlib import ExitStack

from tests.model.explore import Explored, Make, explore, in_memory, innermost, on_sqlite
from tests.model.night import CannotPlay, Night
from tests.model.promises import broken
from tests.model.steps import OPENINGS

ON_SQLITE = 2
"""The largest number of steps played on real files, each of which is synced."""


def main() -> int:
    """Play the schedules; returns 1 if a promise was broken."""
    options = _options()
    with ExitStack() as stack:
        on_file = stack.enter_context(on_sqlite())
        if options.replay:
            return _replay(options.replay, on_file if options.sqlite else in_memory)
        began, bad = time.monotonic(), 0
        for store, opening, depth in _plan(options):
            make = on_file if store == "sqlite" else in_memory
            found = explore(
                opening,
                depth,
                make=make,
                merge=store == "memory",
                workers=options.workers,
                without=options.without,
            )
            bad += _tell(store, found, time.monotonic() - began, options.show)
    print(f"took {time.monotonic() - began:.0f} s; {bad} schedules break a promise")
    return 1 if bad else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.model", description=main.__doc__)
    parser.add_argument("--depth", type=int, default=4, help="steps of the longest schedules")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--opening", action="append", choices=sorted(OPENINGS))
    parser.add_argument("--without", action="append", default=[], help="leave a step out")
    parser.add_argument("--show", type=int, default=10, help="violations to print of each opening")
    parser.add_argument("--replay", help="play one schedule: OPENING: STEP STEP ...")
    parser.add_argument("--sqlite", action="store_true", help="on real files only")
    return parser.parse_args()


def _plan(options: argparse.Namespace) -> list[tuple[str, str, int]]:
    """Store, opening and depth of each exploration; only the first opening is explored to the full
    depth."""
    openings = options.opening or list(OPENINGS)
    depth = {each: options.depth - (place > 0) for place, each in enumerate(openings)}
    memory = [] if options.sqlite else [("memory", each, depth[each]) for each in openings]
    return memory + [("sqlite", each, min(depth[each], ON_SQLITE)) for each in openings]


def _tell(store: str, found: Explored, took: float, shown: int) -> int:
    print(
        f"{store} {found.opening}: depth {found.depth}, {found.schedules} schedules, "
        f"{found.merged} of them to a state that was there before; {took:.0f} s so far",
        flush=True,
    )
    for played in found.violations[:shown]:
        print(f"  {'; '.join(played.broken)}")
        on = " --sqlite" if store == "sqlite" else ""
        steps = " ".join(played.schedule)
        print(f'    python -m tests.model{on} --replay "{found.opening}: {steps}"')
    if len(found.violations) > shown:
        print(f"  and {len(found.violations) - shown} more")
    return len(found.violations)


def _replay(text: str, make: Make) -> int:
    opening, _, steps = text.partition(":")
    if opening not in OPENINGS:
        print(f"no opening {opening}: there are {', '.join(OPENINGS)}", file=sys.stderr)
        return 2
    night = Night(opening=opening, schedule=tuple(steps.split()), kept=make)
    try:
        night.play()
        words = broken(night)
    except Exception as error:
        why = innermost(error)
        if isinstance(why, CannotPlay):
            print(why, file=sys.stderr)
            return 2
        words = [f"the engine raised {why!r}"]
    print("\n".join(night.told))
    print("\n".join(f"BROKEN  {each}" for each in words) or "every promise was kept")
    return 1 if words else 0


if __name__ == "__main__":
    sys.exit(main())
