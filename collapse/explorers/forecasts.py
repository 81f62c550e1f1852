"""The explorer of a forecast: a small table, a line fitted by least squares, and what retraining on
its own labels does to the loss on other rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from collapse import datasets
from collapse.derivation import derive
from collapse.exact import Array
from collapse.explorers.policies import plan_of
from collapse.explorers.record import Control, Explorer, State, generations, one_model, parameters
from collapse.forecasting.law import Normal, law_of
from collapse.publishing import panel, plot

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROWS = 40
LIFT = 50
ANGLES, HALVINGS = 180, 50
BAND = (0.05, 0.95)


def hearts() -> dict[str, Any]:
    """Return ages and greatest heart rates of the first rows of the heart table: half of them are
    the real data, half the test set.
    """
    heart = datasets.heart()
    at = [heart.columns.index(name) for name in ("age", "thalach")]
    rows = heart.X[: 2 * ROWS, at].tolist()
    real, test = (list(zip(*part, strict=True)) for part in (rows[:ROWS], rows[ROWS:]))
    told = {"x": real[0], "y": real[1], "x_test": test[0], "y_test": test[1]}
    return {"names": ["age", "heart_rate"], **{name: list(values) for name, values in told.items()}}


def quantile(linear: Array, bent: Array, size: float, level: float) -> float:
    """Return a quantile of size z'l + size^2 z'M z, z two standard normal variates.

    Parameters
    ----------
    linear : ndarray, shape (2,)
        l.
    bent : ndarray, shape (2, 2)
        M, positive definite.
    size : float
        Standard deviation of z.
    level : float
        Between 0 and 1.

    Returns
    -------
    float
        In a direction u the form is a parabola in the length r of z, and r^2 / 2 is exponential:
        the probability is a mean over directions, here over 180 of them, and is halved 50 times.
    """
    if size == 0:
        return 0.0
    angle = 2 * np.pi * (np.arange(ANGLES) + 0.5) / ANGLES
    u = np.stack([np.cos(angle), np.sin(angle)])
    a, b = size * (linear @ u), size**2 * np.einsum("ik,ij,jk->k", u, bent, u)
    low, high = float(np.min(-(a**2) / (4 * b))), float(np.max(9 * np.abs(a) + 81 * b))
    for _ in range(HALVINGS):
        x = (low + high) / 2
        root = np.sqrt(np.maximum(a**2 + 4 * b * x, 0))
        inner, outer = (np.maximum((side * root - a) / (2 * b), 0) for side in (-1, 1))
        if np.mean(np.exp(-(inner**2) / 2) - np.exp(-(outer**2) / 2)) < level:
            low = x
        else:
            high = x
    return (low + high) / 2


def forecast_answer(state: State) -> dict[str, Any]:
    """What the explorer's state stands for: the fitted line, and the loss on the test rows at the
    last generation with the middle nine tenths of single runs.
    """
    x, y, x_test, y_test = (np.array(state[one], float) for one in ("x", "y", "x_test", "y_test"))
    y[min(state["row"], len(y)) - 1] += state["lift"]
    plan = plan_of(state, state["generations"])
    risk = derive(plan)
    # columns that are orthonormal over the real rows
    centre, width = x.mean(), x.std()
    X, X_test = (np.stack([one**0, (one - centre) / width], 1) for one in (x, x_test))
    theta = X.T @ y / len(y)
    variance = float(((y - X @ theta) ** 2).sum() / (len(y) - 2))
    law = law_of(Normal(variance), theta, X, X_test, y_test)
    left, ratio = y_test - X_test @ theta, float(risk.ratio[-1])
    linear, bent = -2 * left @ X_test / len(left), X_test.T @ X_test / len(left)
    size = float(np.sqrt(variance * max(ratio - 1, 0) / len(y)))
    low, high = (law.loss + quantile(linear, bent, size, level) for level in BAND)
    return {
        "plan": plan,
        "risk": risk,
        "law": law,
        "ratio": ratio,
        "slope": float(theta[1] / width),
        "noise": variance**0.5,
        "first": law.loss,
        "derived": float(law.mean(np.array([ratio]))[0]),
        "low": low,
        "high": high,
        "percent": 100 * (ratio - 1) * law.kappa / law.n / law.loss,
        "rows": len(y) / ratio,
        "size": size,
        "line": (centre, float(theta[0]), float(theta[1] / width)),
    }


def forecast_draw(figure: Figure, shown: State) -> None:
    """The same for print."""
    left, right = plot.panels(figure, 2)
    x, y = np.array(shown["x"], float), np.array(shown["y"], float)
    y[shown["row"] - 1] += shown["lift"]
    centre, middle, slope = shown["line"]
    ends, family = np.array([x.min(), x.max()]), plot.family_of(shown["plan"].name)
    left.plot(x, y, "o", color=plot.colour("real"), markersize=3)
    panel.curve(left, ends, middle + slope * (ends - centre), family)
    age, rate = (name.replace("_", " ") for name in shown["names"])
    panel.frame(left, f"{len(x)} real rows and their line", age, rate)
    course = shown["law"].mean(shown["risk"].ratio)
    panel.curve(right, np.arange(1, len(course) + 1), course, family)
    panel.frame(right, shown["plan"].name, "generation", "squared error on test rows")


Explorer(
    "forecast",
    "a forecast of a small table",
    lambda: (
        *parameters(*one_model(), leave=("size", "replace")),
        generations(),
        Control("row", "Row to move", 6, 1, ROWS, 1),
        Control("lift", "Moved by, beats a minute", 0, -LIFT, LIFT, 1),
    ),
    forecast_answer,
    "after {generations} generations of {plan.name} the mean squared error on the test rows rises"
    " from {first:.4g} to {derived:.4g}, by {percent:.3g} %; single runs end between {low:.4g} and"
    " {high:.4g}, nine in ten",
    forecast_draw,
    hearts,
)
