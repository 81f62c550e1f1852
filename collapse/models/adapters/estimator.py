"""Models made of estimators of scikit-learn and statsmodels."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from collapse.checks import brief, check_number, choice, flag, require
from collapse.models.adapters.labelled import (
    Loss,
    OnDesign,
    covariates,
    labels_of,
    rows_at,
    squared_error,
    stacked,
)
from collapse.models.adapters.statsmodels_glm import GLM
from collapse.models.protocols import Array, Model
from collapse.models.regression.design import check_vector

LABELS = ("drawn", "hard", "soft")
"""What synthetic rows are labelled with."""

FOLDS = 5
"""Parts into which rows are divided where a regressor's residuals are cross-validated."""

MILD = 1.25
"""Cross-validated over in-sample mean square up to which the latter is a regressor's noise."""


def from_estimator(
    estimator: Any,
    X: ArrayLike | None = None,
    y: ArrayLike | None = None,
    *,
    test: tuple[ArrayLike, ArrayLike] | None = None,
    loss: Loss | None = None,
    noise: float | None = None,
    labels: str = "drawn",
    threshold: float | None = None,
    pool: ArrayLike | None = None,
    missing: bool = False,
) -> Model:
    """Make a model of a scikit-learn classifier or regressor, or of a statsmodels GLM.

    The rows of X are labelled again in every batch, with labels drawn from the estimator's own
    predictive distribution (a classifier's probabilities, a normal law about a regressor's
    prediction, a GLM's family), or as `labels` says. The real labels are y, the same in every
    replication.

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
    labels : {"drawn", "hard", "soft"}, optional
        What a scikit-learn estimator writes on synthetic rows. "drawn": a draw from its predictive
        distribution. "hard": the most probable class (self-training); "soft": the probabilities of
        all classes, as weights of copies of the row (distillation). Both are the mean for a
        regressor, without noise.
    threshold : float, optional
        With hard or soft labels of a classifier: a row whose most probable class has less than
        this probability is left out of its batch.
    pool : array_like or pandas.DataFrame, shape (k, p), optional
        Unlabelled rows, which synthetic batches label in place of those of X: each row as often as
        any other, up to a remainder that is drawn without replacement.
    missing : bool, optional
        Whether a DataFrame X may have missing values, which the estimator then has to take.

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
    require(
        not (loss is not None and not callable(loss)),
        f"loss must be a function of y and predictions; it is {brief(loss)}.",
    )
    name = type(estimator).__name__
    if type(estimator).__module__.startswith("statsmodels."):
        require(
            not (X is not None or y is not None),
            f"a statsmodels {name} carries its data; leave X and y out.",
        )
        require(noise is None, "noise goes with a scikit-learn regressor; leave it out here.")
        require(
            (labels, threshold, pool, missing) == ("drawn", None, None, False),
            "labels, threshold, pool and missing go with a scikit-learn estimator; leave them out.",
        )
        return GLM(estimator, test, loss)
    require(
        not (not hasattr(estimator, "fit") or not hasattr(estimator, "get_params")),
        "estimator must be a scikit-learn classifier or regressor, or a statsmodels GLM; it is"
        f" {name}.",
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
    read = {"pool": pool, "missing": flag(missing, "missing")}
    how = _Labels(choice(labels, "labels", LABELS), threshold)
    require(
        threshold is None or (how.kind != "drawn" and not regressor),
        "threshold goes with hard or soft labels of a classifier; leave it out.",
    )
    if regressor:
        return _Regressor(estimator, X, y, test, loss, noise, how, read)
    require(
        bool(classifier),
        f"{name} is neither a classifier nor a regressor: it has no labels to draw.",
    )
    require(noise is None, "noise goes with a regressor, and this is a classifier; leave it out.")
    return _Classifier(estimator, X, y, test, loss, how, read)


@dataclass(frozen=True)
class _Labels:
    """What synthetic rows are labelled by."""

    kind: str
    threshold: float | None

    def __post_init__(self) -> None:
        if self.threshold is not None:
            check_number(self.threshold, "threshold", 0)
            require(
                self.threshold < 1,
                "threshold must be a probability, greater than 0 and less than 1; it is"
                f" {brief(self.threshold)}.",
            )

    def __str__(self) -> str:
        at = "" if self.threshold is None else f", threshold {self.threshold:g}"
        return "" if self.kind == "drawn" else f", {self.kind} labels{at}"


class _Sklearn(OnDesign):
    refusals = (ValueError,)
    read_labels = staticmethod(labels_of)

    def __init__(
        self, estimator: Any, X: Any, y: Any, test: Any, how: _Labels, read: dict[str, Any]
    ) -> None:
        from sklearn.base import clone

        self.name, self.how = type(estimator).__name__, how
        self.read(covariates(X, "X", missing=read["missing"]), y, test, **read)
        self.both = stacked(self.X, self.test_X)
        try:
            self.estimator = clone(estimator)
        except (TypeError, RuntimeError) as error:
            raise ValueError(f"{self.name} cannot be cloned: {error}") from error
        seeds = self._parameters("random_state")
        self.estimator.set_params(**{name: 0 for name, seed in seeds.items() if seed is None})
        self.shown = " ".join(repr(self.estimator).split()) + str(how)
        self.weighs = _weight_of(self.estimator)

    def _parameters(self, name: str) -> dict[str, Any]:
        """The estimator's parameters of this name, and those of its steps."""
        every = self.estimator.get_params()
        return {key: every[key] for key in every if key.split("__")[-1] == name}

    def _clone(self, index: Any, label: Any, weight: Array, **changed: Any) -> Any:
        from sklearn.base import clone

        estimator = clone(self.estimator).set_params(**changed)
        unequal = {} if np.allclose(weight, weight.mean()) else {str(self.weighs): weight}
        return estimator.fit(rows_at(self.X, index), label, **unequal)

    def fit(self, rows: Array, weight: Array, start: Array | None) -> Array:
        equal = all(np.allclose(share[share > 0], share.max()) for share in weight)
        require(
            self.weighs or equal,
            f"this workflow weighs rows unequally, and the fit of {self.name} takes no"
            " sample_weight; use a workflow of equal weights (discard, augment, subsample) or"
            " another estimator.",
        )
        return super().fit(rows, weight, start)


class _Classifier(_Sklearn):
    """theta: probabilities (n + m, K) on X and on the test set, flattened."""

    def __init__(
        self,
        estimator: Any,
        X: ArrayLike,
        y: ArrayLike,
        test: Any,
        loss: Loss | None,
        how: _Labels,
        read: dict[str, Any],
    ) -> None:
        super().__init__(estimator, X, y, test, how, read)
        self.loss = loss or self._log_loss
        require(
            how.kind != "soft" or self.weighs,
            f"soft labels are weights of rows, and the fit of {self.name} takes no sample_weight;"
            " use hard labels, or another estimator.",
        )
        try:
            self.classes, code = np.unique(self.y, return_inverse=True)
        except TypeError:
            raise ValueError("y holds classes of several kinds; name them all by text.") from None
        require(
            len(self.classes) >= 2,
            f"y has the one class {self.classes[0]!r}; a classifier needs two or more.",
        )
        known = set(self.classes.tolist())
        if unknown := set(self.test_y.tolist()) - known:
            raise ValueError(f"the test y has the class {min(map(str, unknown))}, which y has not.")
        self.observed = code.astype(np.float64)
        self.test_code = np.searchsorted(self.classes, self.test_y)
        given = self._parameters("class_weight").items()
        self.weights = {name: value for name, value in given if isinstance(value, dict)}
        for name, value in self.weights.items():
            if strange := set(value) - known:
                raise ValueError(
                    f"{name} weighs the class {min(map(repr, strange))}, which y has not; its"
                    f" classes are {', '.join(map(repr, self.classes.tolist()[:10]))}."
                )
        self.settle()

    def draw(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        drawn = super().draw(theta, rows, rng)
        if self.how.kind != "soft":
            return drawn
        share = theta.reshape(len(theta), len(self.both), len(self.classes))
        index = drawn[:, :, 0].astype(np.int64)
        return np.append(drawn, np.take_along_axis(share, index[:, :, None], axis=1), axis=2)

    def draw_real(self, replications: int, rows: int, rng: np.random.Generator) -> Array:
        drawn = super().draw_real(replications, rows, rng)
        if self.how.kind != "soft":
            return drawn
        each = np.eye(len(self.classes))[drawn[:, :, 1].astype(np.int64)]
        return np.append(drawn, each, axis=2)

    def labels_at(self, theta: Array, rows: Any, rng: np.random.Generator) -> Array:
        share = theta.reshape(-1, len(self.classes))[rows]
        if self.how.kind == "drawn":
            upto = np.cumsum(share, axis=1)[:, :-1]
            return np.asarray((upto < rng.random((len(rows), 1))).sum(axis=1), np.float64)
        sure = share.max(axis=1) >= (self.how.threshold or 0.0)
        return np.where(sure, share.argmax(axis=1), np.nan)

    def fitted(self, rows: Any, label: Array, weight: Array) -> Array:
        out = np.zeros((len(self.both), len(self.classes)))
        if label.shape[1:]:  # a copy of the row for each class
            K = len(self.classes)
            rows, weight = np.repeat(rows, K), (weight[:, None] * label[:, 1:]).ravel()
            label = np.tile(np.arange(K, dtype=np.float64), len(label))
            rows, label, weight = rows[weight > 0], label[weight > 0], weight[weight > 0]
        code = label.astype(np.int64)
        seen = np.unique(code)
        if len(seen) == 1:
            # an estimator refuses labels of one class, and such a law has no doubt
            out[:, seen] = 1.0
            return out.ravel()
        left = self.classes[seen].tolist()
        weights = {
            name: {key: given[key] for key in given if key in left}
            for name, given in self.weights.items()
        }
        estimator = self._clone(rows, self.classes[code], weight, **weights)
        require(
            hasattr(estimator, "predict_proba"),  # some know it when they are fitted
            "it has no predictive distribution (predict_proba) to draw labels from; "
            "wrap it in sklearn.calibration.CalibratedClassifierCV.",
        )
        share = np.asarray(estimator.predict_proba(self.both), np.float64)
        require(
            share.shape == (len(self.both), len(seen)),
            f"predict_proba gave shape {share.shape} for {len(seen)} classes.",
        )
        out[:, seen] = share
        return out.ravel()

    def predicted(self, theta: Array) -> Array:
        return theta.reshape(-1, len(self.classes))[len(self.X) :]

    @np.errstate(divide="ignore")
    def _log_loss(self, y: Any, share: Array) -> float:
        return float(-np.log(share[np.arange(len(share)), self.test_code]).mean())


class _Regressor(_Sklearn):
    """theta: means (n + m,) on X and on the test set, then the standard deviation of the labels."""

    crosses = False
    """Whether the noise is that of cross-validated residuals."""

    @staticmethod
    def read_labels(y: Any, rows: int, name: str) -> Array:
        return check_vector(labels_of(y, rows, name), rows, name)

    def __init__(
        self,
        estimator: Any,
        X: ArrayLike,
        y: ArrayLike,
        test: Any,
        loss: Loss | None,
        noise: float | None,
        how: _Labels,
        read: dict[str, Any],
    ) -> None:
        super().__init__(estimator, X, y, test, how, read)
        self.loss = loss or squared_error
        self.noise = None if noise is None else float(check_number(noise, "noise", 0))
        if how.kind != "drawn":
            self.noise = noise = 0.0
        self.observed = self.y
        self.settle()
        rows, equal = np.arange(self.design_rows), np.ones(self.design_rows)
        if noise is None:
            require(
                len(rows) >= FOLDS,
                f"noise cannot be estimated from {len(rows)} rows; give noise=...",
            )
            crossed = self._crossed(rows, self.observed, equal)
            if crossed**2 > MILD * self.truth[-1] ** 2:
                self.crosses, self.truth[-1] = True, crossed
        try:  # some estimators refuse labels that a normal law draws
            self._clone(rows, self.labels_at(self.truth, rows, np.random.default_rng(0)), equal)
        except ValueError as error:
            raise ValueError(
                f"{self.name} cannot be fitted to synthetic labels, drawn from a normal law about"
                f" its predictions: {' '.join(str(error).split()).rstrip('.')}; a statsmodels GLM"
                " draws them from its own family."
            ) from error

    def labels_at(self, theta: Array, rows: Any, rng: np.random.Generator) -> Array:
        return np.asarray(theta[rows] + theta[-1] * rng.standard_normal(len(rows)))

    def fitted(self, rows: Any, label: Array, weight: Array) -> Array:
        mean, noise = self._mean(self._clone(rows, label, weight), self.both), self.noise
        if self.crosses:
            noise = self._crossed(rows, label, weight)
        elif noise is None:
            noise = np.sqrt(np.average((label - mean[rows]) ** 2, weights=weight))
        return np.append(mean, noise)

    def _crossed(self, index: Any, label: Array, weight: Array) -> float:
        """Root mean square of the residuals of rows that the fit has not seen."""
        from sklearn.model_selection import KFold

        rest = np.empty(len(label))
        for seen, left in KFold(FOLDS, shuffle=True, random_state=0).split(rest):
            fitted = self._clone(index[seen], label[seen], weight[seen])
            rest[left] = label[left] - self._mean(fitted, rows_at(self.X, index[left]))
        return float(np.sqrt(np.average(rest**2, weights=weight)))

    def _mean(self, fitted: Any, X: Any) -> Array:
        mean = np.asarray(fitted.predict(X), np.float64)
        require(
            not (mean.size != len(X) or not np.isfinite(mean).all()),
            "predict must give one finite number for each row; it gave shape"
            f" {mean.shape} for {len(X)}.",
        )
        return mean.reshape(len(X))

    def predicted(self, theta: Array) -> Array:
        return theta[len(self.X) : -1]


def _weight_of(estimator: Any) -> str | None:
    """The name under which a fit takes weights of rows; of a pipeline, that of its last step."""
    from sklearn.pipeline import Pipeline
    from sklearn.utils.validation import has_fit_parameter

    name = "sample_weight"
    while isinstance(estimator, Pipeline):
        step, estimator = estimator.steps[-1]
        name = f"{step}__{name}"
    return name if has_fit_parameter(estimator, "sample_weight") else None
