"""Models made of other libraries' estimators."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import suppress
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from collapse.checks import brief, check_number, held, is_number, length
from collapse.models.families.morris import counts
from collapse.models.protocols import Array, Model
from collapse.models.regression.design import (
    check_design,
    check_pair,
    check_vector,
    numbers,
    rows_of_design,
    totals,
)
from collapse.models.regression.family import Counts, Logit
from collapse.models.regression.likelihoods import Logistic, LogLink
from collapse.models.regression.newton import Likelihood

Loss = Callable[[Any, Array], float]

FOLDS = 5
"""Parts into which rows are divided where a regressor's residuals are cross-validated."""

MILD = 1.25
"""Cross-validated over in-sample mean square up to which the latter is a regressor's noise."""

MOST_ROWS = 10**7
"""Largest design that frequency weights are written out to."""


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

    The rows of X are labelled again in every batch, with labels drawn from the estimator's own
    predictive distribution: a classifier's probabilities, a normal law about a regressor's
    prediction, a GLM's family. The real labels are y, the same in every replication.

    Parameters
    ----------
    estimator : scikit-learn classifier or regressor, or statsmodels GLM, OLS, WLS, Logit, Probit or
    Poisson
        Cloned and refitted for every replication and generation; a random_state that is None
        becomes 0, so that the same seed gives the same numbers. A statsmodels model carries its own
        data: leave X and y out.
    X : array_like or pandas.DataFrame, shape (n, p), optional
        Covariates of the real data. A DataFrame is handed on as it is, with its names and kinds.
    y : array_like, shape (n,), optional
        Labels of the real data. Classes are named as you name them, for class_weight too.
    test : tuple of (array_like (m, p), array_like (m,)), optional
        Test set on which the risk is measured. Default: the real data themselves.
    loss : callable, optional
        loss(y, prediction), the mean loss on the test set: prediction is (m, K) probabilities of
        the classes in sorted order, or (m,) means. Default: log loss in nats of a classifier and a
        Bernoulli GLM, squared error of the others.
    noise : float, optional
        Standard deviation of a regressor's synthetic labels. Default: that of its residuals on the
        rows it was fitted to; where five-fold cross-validation on the real data finds the mean
        square more than 1.25 times as large, as for nearest neighbours, trees, forests and Gaussian
        processes, that of cross-validated residuals, at six times the cost.

    Returns
    -------
    Model
        Its parameter is what the fit predicts: probabilities or means on X and on the test set, and
        a regressor's noise; of a GLM the coefficients and the scale.

    Raises
    ------
    ValueError
        Where the estimator has no predictive distribution, it cannot be fitted to the real data, or
        the data do not fit.
    ImportError
        Where the estimator's library is missing.

    Notes
    -----
    A replication costs one fit of the estimator per generation, on all rows that the workflow
    reads: begin with few replications. Plans that weigh rows unequally need an estimator whose fit
    takes sample_weight. A class that a batch has lost is predicted with probability 0 ever after by
    an estimator that knows only the labels it sees. Synthetic labels to which the estimator raises
    a ValueError, such as too few of a class for a cross-validation of its own, have no estimate.

    Frequency weights of a GLM say how often a row occurs: the design has so many copies of it.
    Variance weights divide its variance, and with a binomial family of two columns the numbers of
    trials do. Labels that are separated have no estimate, nor has a fit that does not converge.

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
    if isinstance(estimator, type):
        raise ValueError(
            f"estimator is the class {estimator.__name__}; give an instance of it, with its"
            " parameters."
        )
    if loss is not None and not callable(loss):
        raise ValueError(f"loss must be a function of y and predictions; it is {brief(loss)}.")
    if type(estimator).__module__.startswith("statsmodels."):
        if X is not None or y is not None:
            kind = f"a statsmodels {type(estimator).__name__}"
            raise ValueError(f"{kind} carries its data; leave X and y out.")
        if noise is not None:
            raise ValueError("noise goes with a scikit-learn regressor; leave it out here.")
        return _GLM(estimator, test, loss)
    if not hasattr(estimator, "fit") or not hasattr(estimator, "get_params"):
        raise ValueError(
            "estimator must be a scikit-learn classifier or regressor, or a statsmodels GLM; it is"
            f" {type(estimator).__name__}."
        )
    if X is None or y is None:
        raise ValueError(
            "X and y (covariates and labels of the real data) are needed with a scikit-learn"
            " estimator."
        )
    from sklearn.base import is_classifier, is_regressor

    try:
        classifier, regressor = is_classifier(estimator), is_regressor(estimator)
    except AttributeError:  # it does not say what it is
        classifier = regressor = False
    if classifier:
        if noise is not None:
            raise ValueError("noise goes with a regressor, and this is a classifier; leave it out.")
        return _Classifier(estimator, X, y, test, loss)
    if regressor:
        return _Regressor(estimator, X, y, test, loss, noise)
    raise ValueError(
        f"{type(estimator).__name__} is neither a classifier nor a regressor: it has no labels to"
        " draw."
    )


class _OnDesign:
    """Rows (R, N, 2) are a row of X and its label; the parameter theta is what a fit predicts."""

    X: Any
    truth: Array
    observed: Array
    loss: Loss
    test_y: Any
    design_rows: int
    refusals: tuple[type[Exception], ...] = ()
    """What a fit raises where synthetic labels have no estimate."""

    def _settle(self) -> None:
        """Fit the real data, and try the loss on that."""
        rows = np.arange(self.design_rows)
        try:
            self.truth = self._fit(rows, self.observed, np.ones(len(rows)))
        except (ValueError, TypeError, AttributeError, IndexError, np.linalg.LinAlgError) as error:
            said = " ".join(str(error).split())
            raise ValueError(f"{self._name()} cannot be fitted to the real data: {said}") from error
        if not np.isfinite(self.truth).all():
            why = "labels are separated, or the fit did not converge"
            raise ValueError(f"{self._name()} has no estimate on the real data: {why}.")
        predicted = self._predicted(self.truth)
        try:
            value = self.loss(self.test_y, predicted)
        except Exception as error:  # whatever a function of the caller's raises
            said = f"{type(error).__name__}: {brief(str(error))}"
            raise ValueError(f"loss fails on the test set and its predictions ({said}).") from error
        if not is_number(value):
            what = "one number, the mean loss on the test set"
            raise ValueError(f"loss must give {what}; it gave {brief(value)}.")

    def draw_real(self, replications: int, rows: int, rng: np.random.Generator) -> Array:
        if rows != self.design_rows:
            raise ValueError(
                f"the observed labels make one real batch of {self.design_rows} rows, and the plan"
                f" asks for {rows}; use a real batch of size 1."
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
        out = np.full((len(rows), len(self.truth)), np.nan)
        for r, (row, share) in enumerate(zip(rows, weight, strict=True)):
            read = share > 0
            index, relative = row[read, 0].astype(np.int64), share[read] / share[read].mean()
            with suppress(*self.refusals):
                out[r] = self._fit(index, row[read, 1], relative)
        return out

    def risk(self, theta: Array) -> Array:
        return np.array([self.loss(self.test_y, self._predicted(one)) for one in theta], np.float64)

    def _labels(self, theta: Array, chosen: NDArray[np.int64], rng: np.random.Generator) -> Array:
        raise NotImplementedError

    def _fit(self, index: NDArray[np.int64], label: Array, weight: Array) -> Array:
        """The parameter of weighted labels of rows of X; NaN where there is no estimate."""
        raise NotImplementedError

    def _predicted(self, theta: Array) -> Array:
        raise NotImplementedError

    def _name(self) -> str:
        raise NotImplementedError


class _Sklearn(_OnDesign):
    refusals = (ValueError,)

    def __init__(self, estimator: Any, X: Any, y: Any, test: Any) -> None:
        from sklearn.base import clone

        self.X = _covariates(X, "X")
        self.design_rows = len(self.X)
        self.y = _labels_of(y, self.design_rows, "y")
        self.test_X, self.test_y = self.X, self.y
        if test is not None:
            covariates, label = check_pair(test)
            self.test_X = _covariates(covariates, "the test X", like=self.X)
            self.test_y = _labels_of(label, len(self.test_X), "the test y")
        self.both = _stacked(self.X, self.test_X)
        try:
            self.estimator = clone(estimator)
        except (TypeError, RuntimeError) as error:
            raise ValueError(f"{type(estimator).__name__} cannot be cloned: {error}") from error
        unset = {
            name: 0
            for name, value in self.estimator.get_params().items()
            if name.split("__")[-1] == "random_state" and value is None
        }
        self.estimator.set_params(**unset)
        self.weighs = _weight_of(self.estimator)

    def _fitted(self, index: Any, label: Any, weight: Array, **changed: Any) -> Any:
        from sklearn.base import clone

        estimator = clone(self.estimator).set_params(**changed)
        if np.allclose(weight, weight.mean()):
            return estimator.fit(_rows(self.X, index), label)
        return estimator.fit(_rows(self.X, index), label, **{str(self.weighs): weight})

    def fit(self, rows: Array, weight: Array, start: Array | None) -> Array:
        equal = all(np.allclose(share[share > 0], share.max()) for share in weight)
        if not (self.weighs or equal):
            raise ValueError(
                f"this workflow weighs rows unequally, and the fit of {self._name()} takes no"
                " sample_weight; use a workflow of equal weights (discard, augment, subsample) or"
                " another estimator."
            )
        return super().fit(rows, weight, start)

    def _name(self) -> str:
        return type(self.estimator).__name__

    def __repr__(self) -> str:
        n, p = self.X.shape
        return f"from_estimator({' '.join(repr(self.estimator).split())}, X {n} x {p}, observed y)"


class _Classifier(_Sklearn):
    """theta: probabilities (n + m, K) on X and on the test set, flattened."""

    def __init__(
        self, estimator: Any, X: ArrayLike, y: ArrayLike, test: Any, loss: Loss | None
    ) -> None:
        super().__init__(estimator, X, y, test)
        self.loss = loss or self._log_loss
        try:
            self.classes, code = np.unique(self.y, return_inverse=True)
        except TypeError:
            raise ValueError("y holds classes of several kinds; name them all by text.") from None
        if len(self.classes) < 2:
            raise ValueError(
                f"y has the one class {self.classes[0]!r}; a classifier needs two or more."
            )
        if unknown := set(self.test_y.tolist()) - set(self.classes.tolist()):
            raise ValueError(f"the test y has the class {min(map(str, unknown))}, which y has not.")
        self.observed = code.astype(np.float64)
        self.test_code = np.searchsorted(self.classes, self.test_y)
        self.weights = {
            name: value
            for name, value in self.estimator.get_params().items()
            if name.split("__")[-1] == "class_weight" and isinstance(value, dict)
        }
        for name, value in self.weights.items():
            if strange := set(value) - set(self.classes.tolist()):
                known = ", ".join(map(repr, self.classes.tolist()[:10]))
                who = f"the class {min(map(repr, strange))}, which y has not"
                raise ValueError(f"{name} weighs {who}; its classes are {known}.")
        self._settle()

    def _labels(self, theta: Array, chosen: Any, rng: np.random.Generator) -> Array:
        share = theta.reshape(-1, len(self.classes))[chosen]
        return np.asarray(
            (np.cumsum(share, axis=1)[:, :-1] < rng.random((len(chosen), 1))).sum(axis=1),
            np.float64,
        )

    def _fit(self, index: Any, label: Array, weight: Array) -> Array:
        out = np.zeros((len(self.both), len(self.classes)))
        code = label.astype(np.int64)
        seen = np.unique(code)
        if len(seen) == 1:
            # an estimator refuses labels of one class; a law that knows one class gives it
            # probability one
            out[:, seen] = 1.0
            return out.ravel()
        left = set(self.classes[seen].tolist())
        weights = {name: _only(given, left) for name, given in self.weights.items()}
        estimator = self._fitted(index, self.classes[code], weight, **weights)
        if not hasattr(estimator, "predict_proba"):  # some know it when they are fitted
            raise ValueError(
                "it has no predictive distribution (predict_proba) to draw labels from; "
                "wrap it in sklearn.calibration.CalibratedClassifierCV."
            )
        share = np.asarray(estimator.predict_proba(self.both), np.float64)
        if share.shape != (len(self.both), len(seen)):
            raise ValueError(f"predict_proba gave shape {share.shape} for {len(seen)} classes.")
        out[:, seen] = share
        return out.ravel()

    def _predicted(self, theta: Array) -> Array:
        return theta.reshape(-1, len(self.classes))[len(self.X) :]

    def _log_loss(self, y: Any, share: Array) -> float:
        with np.errstate(divide="ignore"):
            return float(-np.log(share[np.arange(len(share)), self.test_code]).mean())


class _Regressor(_Sklearn):
    """theta: means (n + m,) on X and on the test set, then the standard deviation of the labels."""

    def __init__(
        self,
        estimator: Any,
        X: ArrayLike,
        y: ArrayLike,
        test: Any,
        loss: Loss | None,
        noise: float | None,
    ) -> None:
        super().__init__(estimator, X, y, test)
        self.loss = loss or _squared_error
        if noise is not None:
            check_number(noise, "noise", 0)
        self.noise = None if noise is None else float(noise)
        self.crosses = False
        self.observed = check_vector(self.y, self.design_rows, "y")
        self.test_y = check_vector(self.test_y, len(self.test_X), "the test y")
        self._settle()
        if noise is None:
            rows = np.arange(self.design_rows)
            if len(rows) < FOLDS:
                raise ValueError(f"noise cannot be estimated from {len(rows)} rows; give noise=...")
            crossed = self._crossed(rows, self.observed, np.ones(len(rows)))
            self.crosses = crossed**2 > MILD * self.truth[-1] ** 2
            if self.crosses:
                self.truth[-1] = crossed
        self._try_again()

    def _try_again(self) -> None:
        """Fit synthetic labels once: some estimators refuse those that a normal law draws."""
        rows = np.arange(self.design_rows)
        label = self._labels(self.truth, rows, np.random.default_rng(0))
        try:
            self._fitted(rows, label, np.ones(len(rows)))
        except ValueError as error:
            said = " ".join(str(error).split()).rstrip(".")
            law = "synthetic labels, drawn from a normal law about its predictions"
            hint = "a statsmodels GLM draws them from its own family"
            why = f"cannot be fitted to {law}: {said}; {hint}"
            raise ValueError(f"{self._name()} {why}.") from error

    def _labels(self, theta: Array, chosen: Any, rng: np.random.Generator) -> Array:
        return np.asarray(theta[chosen] + theta[-1] * rng.standard_normal(len(chosen)))

    def _fit(self, index: Any, label: Array, weight: Array) -> Array:
        mean = self._mean(self._fitted(index, label, weight), self.both)
        if self.noise is not None:
            spread = self.noise
        elif self.crosses:
            spread = self._crossed(index, label, weight)
        else:
            spread = float(np.sqrt(np.average((label - mean[index]) ** 2, weights=weight)))
        return np.append(mean, spread)

    def _crossed(self, index: Any, label: Array, weight: Array) -> float:
        """Root mean square of the residuals of rows that the fit has not seen."""
        from sklearn.model_selection import KFold

        rest = np.empty(len(label))
        for seen, left in KFold(FOLDS, shuffle=True, random_state=0).split(rest):
            fitted = self._fitted(index[seen], label[seen], weight[seen])
            rest[left] = label[left] - self._mean(fitted, _rows(self.X, index[left]))
        return float(np.sqrt(np.average(rest**2, weights=weight)))

    def _mean(self, fitted: Any, X: Any) -> Array:
        mean = np.asarray(fitted.predict(X), np.float64)
        if mean.size != len(X) or not np.isfinite(mean).all():
            what = "one finite number for each row"
            raise ValueError(f"predict must give {what}; it gave shape {mean.shape} for {len(X)}.")
        return mean.reshape(len(X))

    def _predicted(self, theta: Array) -> Array:
        return theta[len(self.X) : -1]


class _GLM(_OnDesign):
    """theta: coefficients (p,) and the scale of the family."""

    def __init__(self, model: Any, test: Any, loss: Loss | None) -> None:
        import statsmodels.api as sm

        families = sm.families
        name = type(model).__name__
        alike: dict[str, Callable[[], Any]] = {
            "GLM": lambda: model.family,
            "OLS": families.Gaussian,
            "WLS": families.Gaussian,
            "Logit": families.Binomial,
            "Probit": lambda: families.Binomial(families.links.Probit()),
            "Poisson": families.Poisson,
        }
        if name not in alike:
            fitted = hasattr(model, "params")
            hint = "; give the model itself, not the results of its fit" if fitted else ""
            known = ", ".join(alike)
            raise ValueError(f"a statsmodels {name} is not supported{hint}: {known} are.")
        self.kind, self.family = name, copy(alike[name]())
        self.law = type(self.family).__name__
        if self.law == "Binomial":
            self.family.n = 1  # it remembers the numbers of trials, which enter here as weights
        if self.law not in _GLM_LAWS:
            known = ", ".join(_GLM_LAWS)
            law = f"no law to draw labels from is known for the family {self.law}"
            raise ValueError(f"{law}; {known} have one.")
        shifts = (getattr(model, what, None) for what in ("offset", "exposure"))
        if model.endog.ndim != 1 or any(shift is not None for shift in shifts):
            raise ValueError(
                f"a {name} with offset, exposure or several responses is not supported."
            )
        n = len(model.endog)
        often = _weights(getattr(model, "freq_weights", None), n, "freq_weights")
        if (often != np.floor(often)).any() or not 0 < often.sum() <= MOST_ROWS:
            raise ValueError(
                "freq_weights must be whole numbers, how often each row occurs, "
                f"and at most {MOST_ROWS:,} together; weights of precision are var_weights."
            )
        precise = _weights(
            model.weights if name == "WLS" else getattr(model, "var_weights", None),
            n,
            "var_weights",
        )
        tries = name == "GLM" and self.law == "Binomial"
        trials = np.asarray(model.n_trials if tries else np.ones(n), np.float64)
        if not (precise == 1).all() and self.law not in _PRECISE:
            known = ", ".join(_PRECISE)
            law = f"no law with var_weights is known for the family {self.law}"
            raise ValueError(f"{law}; {known} have one.")
        if not (precise > 0).all():
            raise ValueError("var_weights (or weights) must be positive; drop rows of weight 0.")
        copies = np.repeat(np.arange(n), often.astype(np.int64))
        self.X = check_design(np.asarray(model.exog)[copies])
        self.design_rows = len(self.X)
        label = np.asarray(model.endog, np.float64)[copies]
        self.observed = check_vector(label, self.design_rows, "y")
        self.precision, self.trials = precise[copies], trials[copies]
        self.test_X, self.test_y = self.X, self.observed
        if test is not None:
            covariates, label = check_pair(test)
            self.test_X = _covariates(covariates, "the test X", like=self.X)
            self.test_y = check_vector(label, len(self.test_X), "the test y")
        single = self.law == "Binomial" and bool((trials == 1).all())
        binary = single and bool(np.isin(self.observed, (0, 1)).all())
        if single and not binary:
            raise ValueError(
                "a Binomial response must hold 0 and 1, or two columns, of successes and failures"
            )
        self.loss = loss or (_bernoulli_loss if binary else _squared_error)
        # what can show that there is no estimate
        self.certificate: Likelihood | None = None
        link = type(self.family.link).__name__
        if self.law == "Binomial":
            self.certificate = Logistic(self.X, Logit())
        elif self.law in ("Poisson", "NegativeBinomial") and link == "Log":
            self.certificate = LogLink(self.X, Counts())
        self._settle()

    def _labels(self, theta: Array, chosen: Any, rng: np.random.Generator) -> Array:
        mean = np.asarray(self.family.fitted(self.X[chosen] @ theta[:-1]), np.float64)
        scale = theta[-1] / self.precision[chosen]
        return _GLM_LAWS[self.law](mean, scale, self.trials[chosen], self.family, rng)

    def _fit(self, index: Any, label: Array, weight: Array) -> Array:
        import statsmodels.api as sm
        from statsmodels.tools.sm_exceptions import ConvergenceWarning, PerfectSeparationWarning

        none = np.full(self.X.shape[1] + 1, np.nan)
        if not np.isfinite(label).all():
            return none
        if self.certificate is not None:
            each = np.stack([index.astype(np.float64), label], axis=1)[None]
            total, sums = totals(self.design_rows, each, (weight * self.trials[index])[None])
            mean = total.mean()
            statistic = sums / mean @ self.X / self.design_rows
            if np.isnan(self.certificate.maximise(statistic, total / mean, None)).any():
                return none
        precision = self.precision[index] * self.trials[index]
        weights = {"freq_weights": weight, "var_weights": precision}
        model = sm.GLM(label, self.X[index], family=self.family, **weights)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # said by `converged`, too
            warnings.simplefilter("ignore", PerfectSeparationWarning)  # as the certificate
            try:
                fit = model.fit()
            except (ValueError, np.linalg.LinAlgError):  # statsmodels' iteration left the numbers
                return none
        theta = np.append(fit.params, fit.scale)
        return theta if fit.converged and np.isfinite(theta).all() else none

    def _predicted(self, theta: Array) -> Array:
        return np.asarray(self.family.fitted(self.test_X @ theta[:-1]))

    def _name(self) -> str:
        return f"{self.kind} {self.law}" if self.kind == "GLM" else self.kind

    def __repr__(self) -> str:
        n, p = self.X.shape
        return f"from_estimator({self._name()}, X {n} x {p}, observed y)"


Draws = Callable[[Array, Array, Array, Any, np.random.Generator], Array]


def _gaussian(mean: Array, scale: Array, trials: Array, family: Any, rng: Any) -> Array:
    return np.asarray(mean + np.sqrt(scale) * rng.standard_normal(len(mean)))


def _binomial(mean: Array, scale: Array, trials: Array, family: Any, rng: Any) -> Array:
    return np.asarray(rng.binomial(trials.astype(np.int64), mean) / trials)


def _poisson(mean: Array, scale: Array, trials: Array, family: Any, rng: Any) -> Array:
    return counts(mean, rng)


def _gamma(mean: Array, scale: Array, trials: Array, family: Any, rng: Any) -> Array:
    return np.asarray(rng.gamma(1 / scale, mean * scale))


def _inverse_gaussian(mean: Array, scale: Array, trials: Array, family: Any, rng: Any) -> Array:
    return np.asarray(rng.wald(mean, 1 / scale))


def _negative_binomial(mean: Array, scale: Array, trials: Array, family: Any, rng: Any) -> Array:
    return counts(rng.gamma(1 / family.alpha, mean * family.alpha), rng)


_GLM_LAWS: dict[str, Draws] = {
    "Gaussian": _gaussian,
    "Binomial": _binomial,
    "Poisson": _poisson,
    "Gamma": _gamma,
    "InverseGaussian": _inverse_gaussian,
    "NegativeBinomial": _negative_binomial,
}
"""Labels of each family, from means, scale over variance weights, numbers of trials, and family."""

_PRECISE = ("Gaussian", "Gamma", "InverseGaussian")
"""Families that have a law with every variance weight."""


def _squared_error(y: Any, mean: Array) -> float:
    return float(((y - mean) ** 2).mean())


def _bernoulli_loss(y: Any, share: Array) -> float:
    with np.errstate(divide="ignore"):
        return float(-np.log(np.where(y > 0.5, share, 1 - share)).mean())


def _weights(values: Any, n: int, name: str) -> Array:
    return np.ones(n) if values is None else check_vector(np.broadcast_to(values, n), n, name)


def _weight_of(estimator: Any) -> str | None:
    """The name under which a fit takes weights of rows; of a pipeline, that of its last step."""
    from sklearn.pipeline import Pipeline
    from sklearn.utils.validation import has_fit_parameter

    if isinstance(estimator, Pipeline):
        name, last = estimator.steps[-1]
        inner = _weight_of(last)
        return inner and f"{name}__{inner}"
    return "sample_weight" if has_fit_parameter(estimator, "sample_weight") else None


def _covariates(X: Any, name: str, like: Any = None) -> Any:
    """A table (n, p): a DataFrame as it is, anything else as floats; columns as in `like`."""
    frame = hasattr(X, "iloc") and hasattr(X, "columns")
    if like is not None and hasattr(like, "iloc") != frame:
        raise ValueError(f"{name} must be a DataFrame where X is one, and an array where X is one.")
    if frame:
        if like is not None and list(X.columns) != list(like.columns):
            raise ValueError(f"{name} must have the columns of X; it has {brief(list(X.columns))}.")
        if 0 in X.shape:
            raise ValueError(f"{name} must be a table of shape (n, p); it has shape {X.shape}.")
        for column in X.columns:
            values = X[column].to_numpy()
            infinite = values.dtype.kind == "f" and not np.isfinite(values).all()
            if infinite or X[column].isna().any():
                what = f"column {column!r} is not"
                raise ValueError(
                    f"{name} must be finite; {what}. Drop or impute missing values first."
                )
        return X.reset_index(drop=True)
    table = numbers(X, name, "a table of shape (n, p)")
    if table.ndim != 2 or 0 in table.shape:
        raise ValueError(f"{name} must be a table of shape (n, p); it has shape {table.shape}.")
    if not np.isfinite(table).all():
        raise ValueError(f"{name} must be finite; drop or impute missing values first.")
    if like is not None and table.shape[1] != like.shape[1]:
        raise ValueError(
            f"test must be (X, y), X with {like.shape[1]} columns, not {table.shape[1]}."
        )
    return table


def _labels_of(y: Any, rows: int, name: str) -> NDArray[Any]:
    """Labels (n,) of any kind, none missing."""
    if isinstance(y, np.ma.MaskedArray):
        raise ValueError(f"{name} is a masked array; fill or drop its hidden values.")
    held(0 if isinstance(y, np.ndarray) else length(y), name, f"give {rows:,} labels")
    try:
        label = np.asarray(y)
    except ValueError:
        label = np.empty(0)
    if label.shape != (rows,):
        pair = "test must be (X, y) of one length: " if name != "y" else ""
        shape = f"({rows},) to match X"
        raise ValueError(f"{pair}{name} must have shape {shape}; it has shape {label.shape}.")
    if label.dtype.kind in "cV":
        raise ValueError(f"{name} must hold numbers, texts or truth values, not {label.dtype}.")
    if any(map(_missing, label.tolist())):
        raise ValueError(f"{name} must be finite; drop rows with missing labels first.")
    return label


def _missing(value: object) -> bool:
    if isinstance(value, float):
        return bool(np.isnan(value))
    return value is None or type(value).__name__ in ("NAType", "NaTType")


def _only(given: dict[Any, float], keys: set[Any]) -> dict[Any, float]:
    return {key: value for key, value in given.items() if key in keys}


def _rows(X: Any, index: Any) -> Any:
    return X.iloc[index] if hasattr(X, "iloc") else X[index]


def _stacked(X: Any, more: Any) -> Any:
    if not hasattr(X, "iloc"):
        return np.concatenate([X, more])
    import pandas as pd

    return pd.concat([X, more], ignore_index=True)
