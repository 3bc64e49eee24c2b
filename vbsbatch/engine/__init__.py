"""Who goes next, what an answer means, when to look again."""

from vbsbatch.engine.engine import Engine, EngineResult
from vbsbatch.engine.ledger import Listener
from vbsbatch.engine.tuning import Tuning

__all__ = ["Engine", "EngineResult", "Listener", "Tuning"]
