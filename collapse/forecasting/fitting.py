"""The first fit: by maximum likelihood with its law, or by ridge where no estimate exists."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from collapse import models
from collapse.checks import require
from collapse.forecasting.answer import Model
from collapse.forecasting.common import Array, in_short, module
from collapse.forecasting.law import Classes, Counts, Family, Law, Normal, law_of, newton
from collapse.forecasting.separation import separation
from collapse.forecasting.table import Table
from collapse.models.regression.family import margins

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
class Teaching:
    """What is fitted, and what its fits teach the next: an estimator of scikit-learn or None, what
    synthetic rows are labelled with, and the rows that are.
    """

    estimator: Any = None
    labels: str = "drawn"
    threshold: float | None = None


def check_teaching(
    how: Teaching, pool: object, outsider: tuple[float, float] | None, na: Any
) -> None:
    """Refuse what does not go together."""
    own = how.estimator is None
    require(
        not own or (pool is None and how.threshold is None),
        "threshold and pool go with an estimator, such as"
        " estimator=sklearn.ensemble.HistGradientBoostingClassifier().",
    )
    require(
        pool is None or (pool is not False and how.labels != "drawn"),
        "pool goes with labels='hard' or 'soft': what a fit writes on unlabelled rows; where it is"
        " not wanted leave it out.",
    )
    require(
        outsider is None or (own and how.labels == "drawn"),
        "what an outsider does is derived for maximum likelihood and drawn labels; leave estimator"
        " and labels out.",
    )
    none = na is None or (isinstance(na, (tuple, list)) and not na)
    require(
        own or none,
        "na is for the package's own preparation; an estimator is handed the table untouched: make"
        " these cells missing beforehand.",
    )


def check_alone(how: Teaching, pool: object, outsider: object, task: object) -> None:
    """Refuse beside a generator what is said of labels alone."""
    plain = how.estimator is None and how.labels == "drawn" and task is None
    require(
        plain and how.threshold is None and pool is None and outsider is None,
        "a generator makes whole rows: leave estimator, task, labels, threshold, pool and outsider"
        " out.",
    )


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
    kind : {"likelihood", "ridge", "estimator", "generator"}
        What is fitted.
    called : bool
        Whether a fit is a call of scikit-learn.
    certain : bool
        Whether labels are not drawn.
    constant_law : bool
        Whether every fit is the first one.
    family, law : Family, Law or None
        None but for maximum likelihood.
    dispersion : float or None
        For counts: of the labels beside the Poisson law's.
    floor : float
        Loss that is added to the model's risk.
    price : float
        Nominal seconds of a fit without a law, for each row and column that it reads (and class).
    real : dict of str to float
        What is measured of a generator's fits, and its values among real rows.
    """

    table: Table
    model: Model
    each: Array
    constant: Array
    estimate: Any
    kind: str = "likelihood"
    called: bool = False
    certain: bool = False
    constant_law: bool = False
    family: Family | None = None
    law: Law | None = None
    dispersion: float | None = None
    floor: float = 0.0
    price: float = 60e-9
    real: dict[str, float] = field(default_factory=dict)

    @property
    def measures(self) -> tuple[str, ...]:
        """What is measured of every fit beside its loss."""
        return tuple(self.real)

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


def fit(table: Table, how: Teaching) -> Fit:
    """Fit a table by the estimator given; or by maximum likelihood, or ridge where no estimate
    exists.
    """
    if how.estimator is not None:
        return _estimated(table, how)
    _, name, loss = TASKS[table.task]
    model = Model(
        name=name,
        estimator="maximum likelihood",
        fallback=None,
        coefficients=table.X.shape[1] * max(len(table.classes) - 1, 1),
        loss=loss,
    )
    hard = how.labels == "hard" and bool(table.classes)
    try:
        if hard:
            raise _NoEstimate(
                "hard labels, the most probable classes, are separated by the rule that made them"
            )
        family, theta, law = _likelihood(table)
    except _NoEstimate as error:
        why, *columns = error.args
        model = replace(model, fallback=why, separating=tuple(columns) or None)
        return _ridge(table, model, how)
    counts = table.task == "counts"
    out = Fit(table, model, law.each, _constant(table, counts), theta, family=family, law=law)
    if counts:
        mean, (n, p) = np.exp(table.X @ theta), table.X.shape
        out = replace(out, dispersion=float(((table.y - mean) ** 2 / mean).sum() / (n - p)))
    certain = how.labels != "drawn"
    return replace(out, certain=certain, constant_law=certain)


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


def _ridge(table: Table, model: Model, how: Teaching) -> Fit:
    linear, drawn = module("sklearn.linear_model"), how.labels == "drawn"
    kind, form = (
        (linear.LogisticRegression(C=1.0, max_iter=5000), "LogisticRegression(C=1.0)")
        if table.classes
        else (linear.Ridge(alpha=1.0), "Ridge(alpha=1.0)")
    )
    name = RIDGE.format("logistic " if table.classes else "", form)
    if table.task == "counts":
        name += " with normal labels in place of counts"
    model = replace(model, name=name, estimator="ridge", loss=_loss(table))
    if table.classes and drawn:  # the same fit, for all replications at once
        K, test = len(table.classes), (table.X_test, table.y_test)
        ridge = models.RidgeLogisticRegression(
            table.X, y=table.y, penalty=1.0, classes=K, test=test
        )
        family: Any = ridge.family
        margin = margins(ridge.truth[None], table.X_test)[0]
        each = family.deviance(margin, family.coded(table.y_test))
        return Fit(table, model, each, _constant(table, False), ridge, "ridge")
    teaching = replace(how, estimator=kind)
    test = table.X_test[:, 1:], table.y_test
    return _called(table, model, teaching, table.X[:, 1:], table.y, test, "ridge")


def _estimated(table: Table, how: Teaching) -> Fit:
    base, kind = module("sklearn.base"), "class" if table.classes else "number"
    wrong = base.is_regressor if table.classes else base.is_classifier
    require(
        not hasattr(how.estimator, "fit")
        or isinstance(how.estimator, type)
        or not wrong(how.estimator),
        f"the target is a {kind}, and the estimator is made for the other kind; take another"
        f" estimator, or say what the target is by task='{'counts' if table.classes else 'binary'}'"
        " or another task.",
    )
    name = " ".join(str(how.estimator).split())
    model = Model(
        name=name if len(name) < 200 else type(how.estimator).__name__,
        estimator="of scikit-learn",
        fallback=None,
        coefficients=None,
        loss=_loss(table),
    )
    y, y_test = table.y, table.y_test
    if table.classes:  # as the user names them, for class_weight too
        names = np.array(table.labels)
        y, y_test = names[y.astype(np.intp)], names[y_test.astype(np.intp)]
    return _called(table, model, how, table.X, y, (table.X_test, y_test), "estimator")


def _loss(table: Table) -> str:
    """Name and unit of the loss where counts are numbers."""
    return TASKS["continuous" if table.task == "counts" else table.task][2]


def _called(
    table: Table, model: Model, how: Teaching, X: Any, y: Any, test: tuple[Any, Any], kind: str
) -> Fit:
    """A fit that is a call of scikit-learn."""
    made: Any = models.from_estimator(
        how.estimator,
        X,
        y,
        test=test,
        labels=how.labels,
        threshold=how.threshold,
        pool=table.pool,
        missing=True,
    )
    predicted = made.predicted(made.truth)
    if table.classes:
        share = predicted[np.arange(len(predicted)), table.y_test.astype(np.intp)]
        each = -np.log(np.maximum(share, 1e-300))
    else:
        each = (table.y_test - predicted) ** 2
    constant, certain = _constant(table, False), how.labels != "drawn" and table.pool is None
    return Fit(table, model, np.asarray(each), constant, made, kind, True, certain)


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
