"""Models made of other libraries' estimators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from collapse.checks import check_number
from collapse.models.base import Array, Model
from collapse.models.design import rows_of_design

Loss = Callable[[Any, Array], float]


def from_estimator(
    estimator: Any,
    X: ArrayLike | None = None,
    y: ArrayLike | None = None,
    *,
    test: tuple[ArrayLike, ArrayLike] | None = None,
    loss: Loss | None = None,
    noise: float | None = None,
) -> Model:
    """Make a model of a scikit-learn classifier or regressor, or of a statsmodels GLM.

    The rows of X are labelled again in every batch, with labels drawn from the estimator's own predictive distribution: a classifier's
    probabilities, a normal law about a regressor's prediction, a GLM's family. The real labels are y, the same in every replication.

    Parameters
    ----------
    estimator : scikit-learn classifier or regressor, or statsmodels GLM
        Cloned and refitted for every replication and generation; a random_state that is None becomes 0, so that the same seed gives the
        same numbers. A GLM carries its own data: leave X and y out.
    X : array_like, shape (n, p), optional
        Covariates of the real data.
    y : array_like, shape (n,), optional
        Labels of the real data.
    test : tuple of (array_like (m, p), array_like (m,)), optional
        Test set on which the risk is measured. Default: the real data themselves.
    loss : callable, optional
        loss(y, prediction), the mean loss on the test set: prediction is (m, K) probabilities of the classes in sorted order, or (m,)
        means. Default: log loss in nats of a classifier and a Bernoulli GLM, squared error of the others.
    noise : float, optional
        Standard deviation of a regressor's synthetic labels. Default: that of its residuals on the rows it was fitted to.

    Returns
    -------
    Model
        Its parameter is what the fit predicts: probabilities or means on X and on the test set, and a regressor's noise.

    Raises
    ------
    ValueError
        Where the estimator has no predictive distribution, or the data do not fit.
    ImportError
        Where the estimator's library is missing.

    Notes
    -----
    A replication costs one fit of the estimator per generation, on all rows that the workflow reads: begin with few replications. Plans
    that weigh rows unequally need an estimator whose fit takes sample_weight. A class that a batch has lost is predicted with
    probability 0 ever after by an estimator that knows only the labels it sees.

    Examples
    --------
    >>> import collapse
    >>> from sklearn.naive_bayes import GaussianNB
    >>> X, y, X_test, y_test = collapse.datasets.diabetes().split()
    >>> model = collapse.models.from_estimator(GaussianNB(), X, y, test=(X_test, y_test))
    >>> risk = collapse.simulate(collapse.workflows.discard(4), model=model, replications=20, rng=0)
    >>> bool(risk.risk[-1] > risk.risk[0])
    True
    """
    if hasattr(estimator, "get_distribution") and hasattr(estimator, "exog"):
        if X is not None or y is not None:
            raise ValueError("a statsmodels GLM carries its data; leave X and y out.")
        return _GLM(estimator, test, loss)
    if isinstance(estimator, type):
        raise ValueError(f"estimator is the class {estimator.__name__}; give an instance of it, with its parameters.")
    if not hasattr(estimator, "fit") or not hasattr(estimator, "get_params"):
        raise ValueError(
            f"estimator must be a scikit-learn classifier or regressor, or a statsmodels GLM; it is {type(estimator).__name__}."
        )
    if X is None or y is None:
        raise ValueError("X and y (covariates and labels of the real data) are needed with a scikit-learn estimator.")
    from sklearn.base import is_classifier, is_regressor

    if is_classifier(estimator):
        if not hasattr(estimator, "predict_proba"):
            raise ValueError(
                f"{type(estimator).__name__} has no predictive distribution (predict_proba) to draw labels from; "
                "wrap it in sklearn.calibration.CalibratedClassifierCV."
            )
        return _Classifier(estimator, X, y, test, loss)
    if is_regressor(estimator):
        return _Regressor(estimator, X, y, test, loss, noise)
    raise ValueError(f"{type(estimator).__name__} is neither a classifier nor a regressor: it has no labels to draw.")


class _OnDesign:
    """Rows (R, N, 2) are a row of X and its label; the parameter theta is what a fit predicts."""

    truth: Array
    observed: Array

    def __init__(self, X: ArrayLike, y: ArrayLike, test: tuple[ArrayLike, ArrayLike] | None, loss: Loss | None, default: Loss) -> None:
        self.X, self.y = _table(X, "X"), np.asarray(y)
        self.design_rows = n = len(self.X)
        if self.y.shape != (n,):
            raise ValueError(f"y must have shape ({n},) to match X; it has shape {self.y.shape}.")
        self.test_X, self.test_y = (self.X, self.y) if test is None else (_table(test[0], "the test X"), np.asarray(test[1]))
        if self.test_X.shape[1] != self.X.shape[1] or self.test_y.shape != self.test_X.shape[:1]:
            raise ValueError(
                f"test must be (X, y) of shapes (m, {self.X.shape[1]}) and (m,); it has {self.test_X.shape} and {self.test_y.shape}."
            )
        self.loss = loss or default

    def draw_real(self, replications: int, rows: int, rng: np.random.Generator) -> Array:
        if rows != self.design_rows:
            raise ValueError(
                f"the observed labels make one real batch of {self.design_rows} rows, and the plan asks for {rows}; use a real batch of size 1."
            )
        real = np.column_stack([np.arange(rows, dtype=np.float64), self.observed])
        return np.array(np.broadcast_to(real, (replications, *real.shape)))

    def draw(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        index = rows_of_design(self.design_rows, len(theta), rows, rng)
        label = np.empty(index.shape)
        for r, chosen in enumerate(index):
            label[r] = self._labels(theta[r], chosen, rng)
        return np.stack([index.astype(np.float64), label], axis=2)

    def fit(self, rows: Array, weight: Array, start: Array | None) -> Array:
        out = np.empty((len(rows), len(self.truth)))
        for r, (row, share) in enumerate(zip(rows, weight, strict=True)):
            read = share > 0
            out[r] = self._fit(row[read, 0].astype(np.int64), row[read, 1], share[read] / share[read].mean())
        return out

    def risk(self, theta: Array) -> Array:
        return np.array([self.loss(self.test_y, self._predicted(one)) for one in theta], np.float64)

    def _labels(self, theta: Array, chosen: Any, rng: np.random.Generator) -> Array:
        raise NotImplementedError

    def _fit(self, index: Any, label: Array, weight: Array) -> Array:
        raise NotImplementedError

    def _predicted(self, theta: Array) -> Array:
        raise NotImplementedError


class _Sklearn(_OnDesign):
    def __init__(self, estimator: Any, *rest: Any) -> None:
        from sklearn.base import clone
        from sklearn.utils.validation import has_fit_parameter

        super().__init__(*rest)
        self.estimator = clone(estimator)
        unset = {name: 0 for name, value in self.estimator.get_params().items() if name.split("__")[-1] == "random_state" and value is None}
        self.estimator.set_params(**unset)
        self.weighs = has_fit_parameter(self.estimator, "sample_weight")

    def _fitted(self, index: Any, label: Array, weight: Array) -> Any:
        from sklearn.base import clone

        estimator = clone(self.estimator)
        if np.allclose(weight, 1):
            return estimator.fit(self.X[index], label)
        if not self.weighs:
            raise ValueError(
                f"this workflow weighs rows unequally, and the fit of {type(estimator).__name__} takes no sample_weight; "
                "use a workflow of equal weights (discard, augment, subsample) or another estimator."
            )
        return estimator.fit(self.X[index], label, sample_weight=weight)

    def __repr__(self) -> str:
        n, p = self.X.shape
        return f"from_estimator({' '.join(repr(self.estimator).split())}, X {n} x {p}, observed y)"


class _Classifier(_Sklearn):
    """theta: probabilities (n + m, K) on X and on the test set, flattened."""

    def __init__(self, estimator: Any, X: ArrayLike, y: ArrayLike, test: Any, loss: Loss | None) -> None:
        super().__init__(estimator, X, y, test, loss, self._log_loss)
        self.classes, code = np.unique(self.y, return_inverse=True)
        if len(self.classes) < 2:
            raise ValueError(f"y has the one class {self.classes[0]!r}; a classifier needs two or more.")
        if unknown := set(self.test_y.tolist()) - set(self.classes.tolist()):
            raise ValueError(f"the test y has the class {min(map(str, unknown))}, which y has not.")
        self.observed = code.astype(np.float64)
        self.test_code = np.searchsorted(self.classes, self.test_y)
        self.truth = np.empty((len(self.X) + len(self.test_X)) * len(self.classes))
        self.truth = self._fit(np.arange(len(self.X)), self.observed, np.ones(len(self.X)))

    def _labels(self, theta: Array, chosen: Any, rng: np.random.Generator) -> Array:
        share = theta.reshape(-1, len(self.classes))[chosen]
        return np.asarray((np.cumsum(share, axis=1)[:, :-1] < rng.random((len(chosen), 1))).sum(axis=1), np.float64)

    def _fit(self, index: Any, label: Array, weight: Array) -> Array:
        both = np.concatenate([self.X, self.test_X])
        out = np.zeros((len(both), len(self.classes)))
        seen = np.unique(label).astype(np.int64)
        # an estimator refuses labels of one class; a law that knows one class gives it probability one
        out[:, seen] = 1.0 if len(seen) == 1 else self._fitted(index, label.astype(np.int64), weight).predict_proba(both)
        return out.ravel()

    def _predicted(self, theta: Array) -> Array:
        return theta.reshape(-1, len(self.classes))[len(self.X) :]

    def _log_loss(self, y: Any, share: Array) -> float:
        with np.errstate(divide="ignore"):
            return float(-np.log(share[np.arange(len(share)), self.test_code]).mean())


class _Regressor(_Sklearn):
    """theta: means (n + m,) on X and on the test set, then the standard deviation of the labels."""

    def __init__(self, estimator: Any, X: ArrayLike, y: ArrayLike, test: Any, loss: Loss | None, noise: float | None) -> None:
        super().__init__(estimator, X, y, test, loss, _squared_error)
        if noise is not None:
            check_number(noise, "noise", 0)
        self.noise = noise
        self.observed = _finite(self.y, "y")
        _finite(self.test_y, "the test y")
        self.truth = np.empty(len(self.X) + len(self.test_X) + 1)
        self.truth = self._fit(np.arange(len(self.X)), self.observed, np.ones(len(self.X)))

    def _labels(self, theta: Array, chosen: Any, rng: np.random.Generator) -> Array:
        return np.asarray(theta[chosen] + theta[-1] * rng.standard_normal(len(chosen)))

    def _fit(self, index: Any, label: Array, weight: Array) -> Array:
        mean = self._fitted(index, label, weight).predict(np.concatenate([self.X, self.test_X]))
        spread = self.noise if self.noise is not None else np.sqrt(np.average((label - mean[index]) ** 2, weights=weight))
        return np.append(mean, spread)

    def _predicted(self, theta: Array) -> Array:
        return theta[len(self.X) : -1]


class _GLM(_OnDesign):
    """theta: coefficients (p,) and the scale of the family."""

    def __init__(self, model: Any, test: Any, loss: Loss | None) -> None:
        if model.endog.ndim != 1 or getattr(model, "offset", None) is not None or getattr(model, "exposure", None) is not None:
            raise ValueError("a GLM with several responses, offset or exposure is not supported; give one response without either.")
        binary = type(model.family).__name__ == "Binomial"
        super().__init__(model.exog, model.endog, test, loss, _bernoulli_loss if binary else _squared_error)
        self.family, self.kind = model.family, type(model)
        self.observed = _finite(self.y, "y")
        self.truth = np.empty(self.X.shape[1] + 1)
        self.truth = self._fit(np.arange(len(self.X)), self.observed, np.ones(len(self.X)))

    def _labels(self, theta: Array, chosen: Any, rng: np.random.Generator) -> Array:
        model = self.kind(self.observed, self.X, family=self.family)
        drawn = model.get_distribution(theta[:-1], theta[-1], exog=self.X[chosen]).rvs(size=len(chosen), random_state=rng)
        return np.asarray(drawn, np.float64)

    def _fit(self, index: Any, label: Array, weight: Array) -> Array:
        fit = self.kind(label, self.X[index], family=self.family, freq_weights=weight).fit()
        return np.append(fit.params, fit.scale)

    def _predicted(self, theta: Array) -> Array:
        return np.asarray(self.family.fitted(self.test_X @ theta[:-1]))

    def __repr__(self) -> str:
        n, p = self.X.shape
        return f"from_estimator(GLM {type(self.family).__name__}, X {n} x {p}, observed y)"


def _squared_error(y: Any, mean: Array) -> float:
    return float(((y - mean) ** 2).mean())


def _bernoulli_loss(y: Any, share: Array) -> float:
    with np.errstate(divide="ignore"):
        return float(-np.log(np.where(y > 0.5, share, 1 - share)).mean())


def _table(X: ArrayLike, name: str) -> Array:
    table = np.array(X, np.float64)
    if table.ndim != 2 or 0 in table.shape:
        raise ValueError(f"{name} must be a table of shape (n, p); it has shape {table.shape}.")
    return _finite(table, name)


def _finite(values: Any, name: str) -> Array:
    out = np.array(values, np.float64)
    if not np.all(np.isfinite(out)):
        raise ValueError(f"{name} must be finite; drop or impute missing values first.")
    return out
