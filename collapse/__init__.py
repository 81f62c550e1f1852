"""Risk of models retrained on synthetic data: derived and simulated, for any workflow and any
model.
"""

from collapse import datasets, models, workflows
from collapse.closed_forms import ClosedForm, closed_form
from collapse.comparison import Comparison, compare
from collapse.derivation import derive
from collapse.diagnosis import Diagnosis, diagnose
from collapse.forecasting import Forecast, forecast
from collapse.optimum import Optimum, optimal_weights
from collapse.plan import Plan
from collapse.reservoir import Reservoir
from collapse.risk import Risk
from collapse.simulation import simulate

__version__ = "0.1.0"

__all__ = [
    "ClosedForm",
    "Comparison",
    "Diagnosis",
    "Forecast",
    "Optimum",
    "Plan",
    "Reservoir",
    "Risk",
    "closed_form",
    "compare",
    "datasets",
    "derive",
    "diagnose",
    "forecast",
    "models",
    "optimal_weights",
    "simulate",
    "workflows",
]
