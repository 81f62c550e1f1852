"""Risk of models retrained on synthetic data: derived and simulated, for any workflow and any model."""

from collapse import datasets, models, workflows
from collapse.derivation import derive
from collapse.forecast import Forecast, forecast
from collapse.plan import Plan
from collapse.reservoir import Reservoir
from collapse.risk import Risk
from collapse.simulation import simulate

__version__ = "0.1.0"

__all__ = ["Forecast", "Plan", "Reservoir", "Risk", "datasets", "derive", "forecast", "models", "simulate", "workflows"]
