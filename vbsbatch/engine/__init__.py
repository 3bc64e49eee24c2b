"""Who goes next, what an answer means, when to look again."""

from vbsbatch.engine.drive import Ending, Engine
from vbsbatch.engine.ledger import Listener
from vbsbatch.engine.tuning import Tuning

__all__ = ["Ending", "Engine", "Listener", "Tuning"]
