"""Many simulations at once: workflows, models, n, lengths and seeds crossed."""

from collapse.sweeping.answer import Cell, Sweep
from collapse.sweeping.study import sweep

__all__ = ["Cell", "Sweep", "sweep"]
