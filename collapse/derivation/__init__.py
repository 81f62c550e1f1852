"""Risk without simulation: in the limit of many rows and, where a model allows it, at every n."""

from collapse.derivation.engine import derive

__all__ = ["derive"]
