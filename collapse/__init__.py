"""Risk of models retrained on synthetic data: derived and simulated, for any workflow and any
model.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from collapse import datasets, models, workflows
from collapse.closed_forms import ClosedForm, closed_form
from collapse.comparison import Comparison, compare
from collapse.derivation import derive
from collapse.diagnosis import Diagnosis, diagnose
from collapse.optimum import Optimum, optimal_weights
from collapse.plan import Plan
from collapse.planning import Policies, plan_for
from collapse.reservoir import Reservoir
from collapse.risk import Risk
from collapse.simulation import simulate
from collapse.sweeping import Sweep, sweep
from collapse.universality import Matrix, matrix

if TYPE_CHECKING:
    from collapse.auditing import Audit, audit
    from collapse.explorers.widgets import explorer
    from collapse.forecasting import Forecast, forecast
    from collapse.forecasting.law import misspecified

__version__ = "0.1.0"
"""The one place of the version: the distribution and its records are read from here."""

__all__ = [
    "Audit",
    "ClosedForm",
    "Comparison",
    "Diagnosis",
    "Forecast",
    "Matrix",
    "Optimum",
    "Plan",
    "Policies",
    "Reservoir",
    "Risk",
    "Sweep",
    "audit",
    "closed_form",
    "compare",
    "datasets",
    "derive",
    "diagnose",
    "explorer",
    "forecast",
    "matrix",
    "misspecified",
    "models",
    "optimal_weights",
    "plan_for",
    "simulate",
    "sweep",
    "workflows",
]


_LATER = {
    "Audit": "collapse.auditing",
    "audit": "collapse.auditing",
    "explorer": "collapse.explorers.widgets",
    "Forecast": "collapse.forecasting",
    "forecast": "collapse.forecasting",
    "misspecified": "collapse.forecasting.law",
}


def __getattr__(name: str) -> Any:
    """Import explorers and forecasts when they are asked for: importing the package stays cheap."""
    if name in _LATER:
        return getattr(import_module(_LATER[name]), name)
    raise AttributeError(f"module 'collapse' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
