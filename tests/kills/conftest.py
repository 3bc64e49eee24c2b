from __future__ import annotations

from tests.cli.conftest import stage

__all__ = ["stage"]
