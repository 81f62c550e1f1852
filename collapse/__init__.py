"""Risk of models retrained on synthetic data: derived and simulated, for any workflow and any model."""

from collapse import datasets, models, workflows
from collapse.comparison import Comparison, compare
from collapse.derivation import derive
from collapse.forecast import Forecast, forecast
from collapse.optimum import Optimum, optimal_weights
from collapse.plan import Plan
from collapse.reservoir import Reservoir
from collapse.risk import Risk
from collapse.simulation import simulate

__version__ = "0.1.0"

__all__ = [
    "Comparison",
    "Forecast",
    "Optimum",
    "Plan",
    "Reservoir",
    "Risk",
    "compare",
    "datasets",
    "derive",
    "forecast",
    "models",
    "optimal_weights",
    "simulate",
    "workflows",
]
