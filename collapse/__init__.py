"""Risk of models retrained on synthetic data: derived and simulated, for any workflow and any model."""

from collapse import datasets, models, workflows
from collapse.closed_forms import ClosedForm, closed_form
from collapse.derivation import derive
from collapse.diagnosis import Diagnosis, diagnose
from collapse.plan import Plan
from collapse.reservoir import Reservoir
from collapse.risk import Risk
from collapse.simulation import simulate

__version__ = "0.1.0"

__all__ = [
    "ClosedForm",
    "Diagnosis",
    "Plan",
    "Reservoir",
    "Risk",
    "closed_form",
    "datasets",
    "derive",
    "diagnose",
    "models",
    "simulate",
    "workflows",
]
