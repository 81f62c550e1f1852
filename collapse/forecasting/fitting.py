"""The first fit: by maximum likelihood with its law, or by ridge where no estimate exists."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from collapse import models
from collapse.forecasting.answer import Model
from collapse.forecasting.common import Array, in_short, module
from collapse.forecasting.law import Classes, Counts, Family, Law, Normal, law_of, newton
from collapse.forecasting.separation import separation
from collapse.forecasting.table import Table

MARGIN = {"counts": "log mean", "binary": "log-odds", "multiclass": "log-odds"}
"""What a row's margin is."""
UNKNOWN = 20
"""Standard error of a row's margin above which the estimate counts as none: its odds are known to
a factor of e^20."""
TASKS: dict[str, tuple[Callable[..., Any], str, str]] = {
    "binary": (models.LogisticRegression, "logistic regression", "log loss (nats)"),
    "multiclass": (
        models.MultinomialRegression,
        "multinomial logistic regression",
        "log loss (nats)",
    ),
    "counts": (models.PoissonRegression, "Poisson regression", "half the mean deviance (nats)"),
    "continuous": (models.LinearRegression, "linear regression", "mean squared error"),
}
"""For each task the model, its name, and that of its loss."""
RIDGE = "ridge {}regression ({} of scikit-learn on standardised columns)"


@dataclass(frozen=True, eq=False)
class Fit:
    """A table with its first fit to all real rows.

    Attributes
    ----------
    table : Table
    model : Model
        Its name and why it is not maximum likelihood.
    each, constant : ndarray, shape (m,)
        Loss on every test row, of the fit and of the best constant on the real rows.
    estimate : ndarray or model
        The coefficients, or for ridge the model.
    family, law : Family, Law or None
        None for ridge.
    dispersion : float or None
        For counts: of the labels beside the Poisson law's.
    """

    table: Table
    model: Model
    each: Array
    constant: Array
    estimate: Any
    family: Family | None = None
    law: Law | None = None
    dispersion: float | None = None

    def observed(self, part: Table) -> tuple[Any, Any]:
        """Models of rows of the table: one with their labels, and one in whose world the first fit
        to all rows is the truth.

        Neither where the labels of these rows have no estimate of their own.
        """
        if self.family is None:
            return self.estimate, None
        make, p = TASKS[part.task][0], part.X.shape[1]
        several = part.task == "multiclass"
        noise = {"sigma": np.sqrt(self.family.variance)} if isinstance(self.family, Normal) else {}
        classes = {"classes": len(part.classes)} if several else {}
        if len(part.y) < len(self.table.y) and np.linalg.matrix_rank(part.X) < p:
            return None, None
        model = make(part.X, y=part.y, test=(part.X_test, part.y_test), **classes, **noise)
        if not np.isfinite(model.truth).all():
            return None, None
        truth = self.estimate.reshape(-1, p) if several else self.estimate
        return model, make(part.X, truth, **noise)


class _NoEstimate(Exception):
    """Why maximum likelihood has no estimate, and the columns that separate the labels."""


def fit(table: Table) -> Fit:
    """Fit a table by maximum likelihood, or by ridge where no estimate exists."""
    _, name, loss = TASKS[table.task]
    model = Model(
        name=name,
        estimator="maximum likelihood",
        fallback=None,
        coefficients=table.X.shape[1] * max(len(table.classes) - 1, 1),
        loss=loss,
    )
    try:
        family, theta, law = _likelihood(table)
    except _NoEstimate as error:
        why, *columns = error.args
        return _ridge(table, replace(model, fallback=why, separating=tuple(columns) or None))
    if table.task != "counts":
        return Fit(table, model, law.each, _constant(table, False), theta, family, law)
    mean, (n, p) = np.exp(table.X @ theta), table.X.shape
    dispersion = float(((table.y - mean) ** 2 / mean).sum() / (n - p))
    return Fit(table, model, law.each, _constant(table, True), theta, family, law, dispersion)


def _likelihood(table: Table) -> tuple[Family, Array, Law]:
    X, y, (n, p) = table.X, table.y, table.X.shape
    if p >= n:
        raise _NoEstimate(
            f"the design has {p:,} columns for {n:,} rows, so that maximum"
            " likelihood has no single answer"
        )
    test = table.X_test, table.y_test
    if table.task == "continuous":
        theta = np.asarray(np.linalg.lstsq(X, y)[0], np.float64)
        normal = Normal(float(((y - X @ theta) ** 2).sum() / (n - p)))
        if normal.variance <= 1e-20 * float(y.var()):
            raise _NoEstimate(
                "the columns predict the target without error, so that there is"
                " no noise to draw labels with"
            )
        return normal, theta, law_of(normal, theta, X, *test)
    family: Family = Classes(len(table.classes) - 1) if table.classes else Counts()
    start = np.zeros(p * family.outputs)
    if table.task == "counts":
        start[0] = np.log(max(y.mean(), 1e-300))
    fitted = newton(family, X, y, start)
    if fitted is None:
        raise _NoEstimate(*_separated(table))
    law = law_of(family, fitted, X, *test)
    if law.unsure > UNKNOWN:
        raise _NoEstimate(
            f"the labels hardly determine the maximum-likelihood estimate: the {MARGIN[table.task]}"
            f" of some real rows has a standard error of {in_short(law.unsure)}, as where"
            " classes can all but be told apart without error, or counts are all but zero"
        )
    return family, fitted, law


def _separated(table: Table) -> tuple[str, ...]:
    """Why Newton's method finds no estimate, and the columns that separate the labels."""
    found = separation(table.X, table.y, len(table.classes))
    if found is None:
        apart = "some classes can be told apart without error, or all but, by a linear rule"
        zero = "the counts of some rows are all zero, or all but"
        return (
            (
                "Newton's method finds no maximum-likelihood estimate that double precision"
                f" determines: {f'{apart} (separation)' if table.classes else zero}"
            ),
        )
    names = tuple(table.columns[j] for j in found.columns)
    one, quoted = len(names) == 1, [repr(name) for name in names]
    if len(names) > 6:
        quoted[5:] = [f"{len(names) - 5} more"]
    listed = " and ".join(filter(None, [", ".join(quoted[:-1]), quoted[-1]]))
    alone = "" if one else ", each by itself," if found.alone else " together"
    told = " and ".join(repr(table.classes[k]) for k in found.told)
    apart = f"classes {told}" if len(table.classes) == 2 else f"class {told} from the others"
    what = (
        f"{'separates' if one else 'separate'} {apart}, which can be told apart without error, ties"
        " aside"
        if table.classes
        else f"{'marks' if one else 'mark'} rows whose counts are all zero"
    )
    return (
        (
            f"no maximum-likelihood estimate exists: {'column' if one else 'columns'}"
            f" {listed}{alone} {what} (separation)"
        ),
        *names,
    )


def _ridge(table: Table, model: Model) -> Fit:
    sklearn = module("sklearn.linear_model")
    kind, form = (
        (sklearn.LogisticRegression(C=1.0, max_iter=5000), "LogisticRegression(C=1.0)")
        if table.classes
        else (sklearn.Ridge(alpha=1.0), "Ridge(alpha=1.0)")
    )
    test = table.X_test[:, 1:], table.y_test
    estimator: Any = models.from_estimator(kind, table.X[:, 1:], table.y, test=test)
    predicted = estimator.predicted(estimator.truth)
    if table.classes:
        share = predicted[np.arange(len(predicted)), table.y_test.astype(np.intp)]
        each = -np.log(np.maximum(share, 1e-300))
    else:
        each = (table.y_test - predicted) ** 2
    name = RIDGE.format("logistic " if table.classes else "", form)
    if table.task == "counts":
        name += " with normal labels in place of counts"
    loss = TASKS["continuous" if table.task == "counts" else table.task][2]
    model = replace(model, name=name, estimator="ridge", loss=loss)
    return Fit(table, model, np.asarray(each), _constant(table, False), estimator)


def _constant(table: Table, counts: bool) -> Array:
    """Loss on each row of the test set of the best constant on the real rows: shares of the
    classes, or the mean.
    """
    y, y_test = table.y, table.y_test
    if table.classes:
        share = np.bincount(y.astype(np.intp), minlength=len(table.classes)) / len(y)
        return np.asarray(-np.log(np.maximum(share[y_test.astype(np.intp)], 1e-300)))
    if counts:
        return Counts().deviance(np.full((1, len(y_test)), np.log(max(y.mean(), 1e-300))), y_test)
    return np.asarray((y_test - y.mean()) ** 2)
