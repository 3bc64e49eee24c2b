"""Drives one run: sends creates within the limits and follows every job to its end."""

from vbsbatch.engine.engine import Engine, EngineResult
from vbsbatch.engine.ledger import Listener
from vbsbatch.engine.tuning import Tuning

__all__ = ["Engine", "EngineResult", "Listener", "Tuning"]
