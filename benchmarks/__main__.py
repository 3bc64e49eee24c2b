"""`python -m benchmarks [NAME...] [--quick] [--strict]`: measure, print one table."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator

from benchmarks import calls, commands, large, nights, others, rates, screen, throughput
from benchmarks.figure import Figure, Skipped, table

BENCHMARKS: dict[str, Callable[..., Iterator[Figure | Skipped]]] = {
    "throughput": throughput.figures,
    "rates": rates.figures,
    "calls": calls.figures,
    "nights": nights.figures,
    "large": large.figures,
    "commands": commands.figures,
    "screen": screen.figures,
    "others": others.figures,
}


def main() -> int:
    """Exit code 0, or with `--strict` 1 when a figure does not hold."""
    wanted = _arguments()
    began = time.monotonic()
    measured: list[Figure | Skipped] = []
    for name in wanted.names or BENCHMARKS:
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        measured += BENCHMARKS[name](quick=wanted.quick)
    print(table(measured))
    broken = [each.name for each in measured if not _holds(each)]
    print(
        f"\n{time.monotonic() - began:.0f} s; {len(broken)} figures do not hold or are missing",
        *broken,
        sep="\n  ",
    )
    return 1 if broken and wanted.strict else 0


def _holds(each: Figure | Skipped) -> bool:
    return each.holds if isinstance(each, Figure) else not each.required


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--quick", action="store_true", help="less work, noisier figures")
    parser.add_argument("--strict", action="store_true", help="exit 1 when a figure does not hold")
    wanted = parser.parse_args()
    if unknown := sorted(set(wanted.names) - set(BENCHMARKS)):
        parser.error(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    return wanted


if __name__ == "__main__":
    sys.exit(main())
