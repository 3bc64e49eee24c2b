from __future__ import annotations

from tests.cli.conftest import harness

__all__ = ["harness"]
