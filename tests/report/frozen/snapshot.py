"""The texts of `cases` as one JSON document: lines to read, or a checksum."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TypeAlias

from .cases import READABLE, RUNS, WIDTHS, on_terminal, outputs

FILE = Path(__file__).with_name("outputs.json")

Kept: TypeAlias = list[str] | str


def taken() -> dict[str, dict[str, Kept]]:
    """Every text of every run, as it is now."""
    return {name: of_run(name) for name in RUNS}


def of_run(name: str) -> dict[str, Kept]:
    """Every text of one run, as it is now."""
    texts = dict(outputs(RUNS[name]()))
    for width in WIDTHS:
        os.environ["COLUMNS"] = str(width)
        texts |= {f"{label}, {width} wide": text for label, text in on_terminal(RUNS[name]())}
    return {label: _kept(name, label, text) for label, text in texts.items()}


def _kept(name: str, label: str, text: str) -> Kept:
    if name in READABLE and not label.startswith("lines"):
        return text.split("\n")
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
