"""Generalised linear models on a reused design, fitted by maximum likelihood; a family is its link,
its variance function and its sampler.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from collapse import checks
from collapse.checks import LARGE, check_size, whole
from collapse.models.families.morris import COUNTED, SHAPES
from collapse.models.protocols import Array, DrawsFromTruth, replicate
from collapse.models.registry import register
from collapse.models.regression.design import (
    check_design,
    check_pair,
    check_vector,
    example_design,
    numbers,
    rows_of_design,
    totals,
)
from collapse.models.regression.newton import (
    ITERATIONS,
    Likelihood,
    Logistic,
    LogLink,
    Multinomial,
    Probit,
    blocks,
    exponential,
    shares,
)

MOST_COMPARISONS = 10**7
"""Largest number of comparisons of a ranking."""

MOST_CLASSES = 10_000
"""Largest number of classes: a fit holds a probability of each for every row."""


def probability(theta: Array, X: Array) -> Array:
    """Return the probability of label 1 at each row of X.

    Parameters
    ----------
    theta : ndarray, shape (R, p)
        Coefficients of each replication.
    X : ndarray, shape (m, p)
        Rows of covariates.

    Returns
    -------
    ndarray, shape (R, m)
        The logistic function of each margin x'theta; NaN where theta is.

    Examples
    --------
    >>> probability(np.array([[0.0], [1000.0]]), np.array([[1.0]])).ravel()
    array([0.5, 1. ])
    """
    return _probability(theta @ X.T)


def log_loss(theta: Array, X: Array, label: Array) -> Array:
    """Return the mean log loss of each replication's fit on the rows of X.

    Parameters
    ----------
    theta : ndarray, shape (R, p)
        Coefficients of each replication.
    X : ndarray, shape (m, p)
        Rows of covariates.
    label : ndarray, shape (m,)
        Labels 0 or 1, or the true probabilities of label 1 (the loss is then the cross-entropy).

    Returns
    -------
    ndarray, shape (R,)
        Mean of log(1 + exp(x'theta)) - label x'theta, in nats; NaN where theta is.

    Examples
    --------
    >>> X, y = np.array([[1.0], [1.0]]), np.array([0.0, 1.0])
    >>> log_loss(np.array([[0.0], [1000.0]]), X, y)
    array([  0.69314718, 500.        ])
    """
    loss = np.empty(theta.shape[0])
    for block in blocks(theta.shape[0], X.shape[0]):
        loss[block] = np.add.reduce(Logit().loss(theta[block] @ X.T, label), axis=1)
    return np.asarray(loss / X.shape[0] - theta @ (label @ X / X.shape[0]))


class Family:
    """Link, variance function and sampler of a generalised linear model with margins x'theta.

    Attributes
    ----------
    canonical : bool
        Whether labels enter the fit through the mean of x y alone; otherwise through their means on
        each row of the design.
    predictors : int
        Margins of a row where labels are classes, K - 1 for K of them; 0 where they are numbers.
    labels : str
        What labels must be, in words.
    separable : bool
        Whether there are labels without an estimate.
    reach : tuple of float
        Least and largest margin that a truth may have.
    """

    canonical: ClassVar[bool] = False
    predictors: int = 0
    labels: str = "labels 0 and 1"
    separable: ClassVar[bool] = True
    reach: ClassVar[tuple[float, float]] = -LARGE, LARGE

    def likelihood(self, X: Array) -> Likelihood:
        """Return what the iteration maximises on a design."""
        raise NotImplementedError

    def mean(self, margin: Array) -> Array:
        """Return the means of labels, (R, n), or the probabilities of all classes, (R, K, n)."""
        raise NotImplementedError

    def variance(self, mean: Array) -> Array:
        """Return the variance of a label with a given mean."""
        raise NotImplementedError

    def sample(self, mean: Array, copies: int, rng: np.random.Generator) -> Array:
        """Draw the mean over `copies` labels with these means, (R, n); for classes the shares of
        all but class 0, (R, K - 1, n).
        """
        raise NotImplementedError

    def loss(self, margin: Array, label: Array) -> Array:
        """Return minus the log-likelihood, without terms that are free of the margin; with a
        canonical link without label x margin, too.
        """
        raise NotImplementedError

    def least(self, label: Array) -> Array | float:
        """Return the least loss that any margin gives."""
        return 0.0

    def refuse(self, label: Array) -> Array:
        """Tell which labels cannot be."""
        return np.asarray((label != 0) & (label != 1))


class Logit(Family):
    """Labels 0 and 1, p = 1 / (1 + exp(-margin)), variance p (1 - p)."""

    canonical = True

    def likelihood(self, X: Array) -> Likelihood:
        return Logistic(X)

    def mean(self, margin: Array) -> Array:
        return _probability(margin)

    def variance(self, mean: Array) -> Array:
        return mean * (1.0 - mean)

    def sample(self, mean: Array, copies: int, rng: np.random.Generator) -> Array:
        if copies == 1:
            # A 53-bit uniform below the probability: exact to 2^-53.
            return np.less(rng.random(mean.shape), mean).astype(float)
        return rng.binomial(copies, mean) / copies

    def loss(self, margin: Array, label: Array) -> Array:
        return _softplus(margin)


class NormalLink(Logit):
    """Labels 0 and 1, p = Phi(margin), variance p (1 - p)."""

    canonical = False

    def likelihood(self, X: Array) -> Likelihood:
        return Probit(X)

    def mean(self, margin: Array) -> Array:
        from scipy.special import ndtr

        return np.asarray(ndtr(margin))

    def loss(self, margin: Array, label: Array) -> Array:
        from scipy.special import log_ndtr

        return np.asarray(-label * log_ndtr(margin) - (1.0 - label) * log_ndtr(-margin))


class Counts(Family):
    """Labels 0, 1, 2, ... with a Poisson law, mean exp(margin), variance equal to it."""

    canonical = True
    labels = "counts 0, 1, 2, ..."
    reach = -300.0, 300.0

    def likelihood(self, X: Array) -> Likelihood:
        return LogLink(X, 1.0, 0.0)

    def mean(self, margin: Array) -> Array:
        return exponential(margin)

    def variance(self, mean: Array) -> Array:
        return mean

    def sample(self, mean: Array, copies: int, rng: np.random.Generator) -> Array:
        return rng.poisson(np.minimum(copies * mean, COUNTED)) / copies

    def loss(self, margin: Array, label: Array) -> Array:
        return exponential(margin)

    def least(self, label: Array) -> Array | float:
        return np.asarray(label - _log_times(label))

    def refuse(self, label: Array) -> Array:
        return np.asarray((label < 0) | (label != np.floor(label)))


@dataclass(frozen=True)
class Overdispersed(Counts):
    """Labels 0, 1, 2, ... with a negative binomial law of known size, mean exp(margin), variance
    mean + mean^2 / size.
    """

    size: float
    canonical = False

    def likelihood(self, X: Array) -> Likelihood:
        return LogLink(X, 1.0, 1.0 / self.size)

    def variance(self, mean: Array) -> Array:
        return mean + mean**2 / self.size

    def sample(self, mean: Array, copies: int, rng: np.random.Generator) -> Array:
        # a Poisson law with a gamma mean
        rate = rng.gamma(copies * self.size, mean / self.size)
        return rng.poisson(np.minimum(rate, COUNTED)) / copies

    def loss(self, margin: Array, label: Array) -> Array:
        # log(size + exp(m)) less a part free of the margin
        return np.asarray(
            (label + self.size) * _softplus(margin - np.log(self.size)) - label * margin
        )

    def least(self, label: Array) -> Array | float:
        return np.asarray((label + self.size) * np.log1p(label / self.size) - _log_times(label))


@dataclass(frozen=True)
class Positive(Family):
    """Positive labels with a gamma law of known shape, mean exp(margin), variance mean^2 /
    shape.
    """

    shape: float
    labels = "positive numbers"
    separable = False
    reach = -300.0, 300.0

    def likelihood(self, X: Array) -> Likelihood:
        return LogLink(X, 0.0, 1.0)

    def mean(self, margin: Array) -> Array:
        return exponential(margin)

    def variance(self, mean: Array) -> Array:
        return mean**2 / self.shape

    def sample(self, mean: Array, copies: int, rng: np.random.Generator) -> Array:
        # a variate below the smallest number is no zero
        return np.maximum(
            rng.gamma(copies * self.shape, mean / (copies * self.shape)), np.finfo(float).tiny
        )

    def loss(self, margin: Array, label: Array) -> Array:
        return np.asarray(self.shape * (margin + label * exponential(-margin)))

    def least(self, label: Array) -> Array | float:
        return np.asarray(self.shape * (1.0 + np.log(label)))

    def refuse(self, label: Array) -> Array:
        return np.asarray(label <= 0)


@dataclass(frozen=True)
class Classes(Family):
    """Labels 0, ..., K - 1 with log odds linear in the covariates: margins (R, K - 1, n) against
    class 0.
    """

    classes: int
    canonical = True

    @property
    def predictors(self) -> int:  # type: ignore[override]
        return self.classes - 1

    @property
    def labels(self) -> str:  # type: ignore[override]
        return f"labels 0, 1, ..., {self.classes - 1}"

    def likelihood(self, X: Array) -> Likelihood:
        return Multinomial(X, self.classes)

    def mean(self, margin: Array) -> Array:
        return shares(margin)

    def sample(self, mean: Array, copies: int, rng: np.random.Generator) -> Array:
        if copies > 1:
            count = rng.multinomial(copies, np.moveaxis(mean, 1, 2))
            return np.asarray(np.moveaxis(count, 2, 1)[:, 1:] / copies)
        # beyond[k] tells whether the class is above k
        beyond = rng.random((mean.shape[0], 1, mean.shape[2])) >= np.cumsum(mean, axis=1)[:, :-1]
        drawn = beyond.astype(float)
        drawn[:, :-1] -= beyond[:, 1:]
        return drawn

    def loss(self, margin: Array, label: Array) -> Array:
        top = np.maximum(margin.max(axis=1), 0.0)
        return np.asarray(top + np.log(np.exp(margin - top[:, None]).sum(axis=1) + np.exp(-top)))

    def refuse(self, label: Array) -> Array:
        return np.asarray((label < 0) | (label >= self.classes) | (label != np.floor(label)))


def _softplus(margin: Array) -> Array:
    """Return log(1 + exp(margin)) without overflow, max(m, 0) + log(1 + exp(-|m|)); the margin is
    lost.
    """
    tail = np.abs(margin)
    np.negative(tail, out=tail)
    np.exp(tail, out=tail)
    np.log1p(tail, out=tail)
    np.maximum(margin, 0.0, out=margin)
    tail += margin
    return tail


def _log_times(label: Array) -> Array:
    """Return y log y."""
    return np.asarray(label * np.log(np.where(label > 0, label, 1.0)))


class Regression(DrawsFromTruth):
    """A generalised linear model whose reused design every batch labels again; what the models
    below share.

    With a canonical link the labels enter the fit through the mean over the batch's rows of x y
    alone, otherwise through the mean label of each row: whole batches need no rows, their mean
    statistics average. Real labels are either drawn from a true `beta` in every replication, or
    observed once and for all as `y`, or drawn with given means, from a world that the model does
    not hold.

    Attributes
    ----------
    truth : ndarray, shape (d,)
        `beta`; with observed labels their maximum-likelihood estimate, NaN where none exists; with
        given means the coefficients that come closest to them.
    design_rows : int
        Rows n of the design.
    statistic_size : int
        Numbers in a mean statistic.
    limit_risk : float
        n times the risk of the first fit tends to d / 2 (half a squared normal for each
        coefficient) where the truth is `beta`.
    """

    def __init__(
        self,
        family: Family,
        X: ArrayLike,
        beta: ArrayLike | None,
        y: ArrayLike | None,
        test: tuple[ArrayLike, ArrayLike] | None,
        mean: ArrayLike | None = None,
    ) -> None:
        self.X = check_design(X)
        self.design_rows, columns = self.X.shape
        if (beta is not None) + (y is not None) + (mean is not None) != 1:
            labels = "y (observed labels)" + ("" if mean is None else ", or the mean of each label")
            raise ValueError(f"give either beta (true coefficients) or {labels}, and not both.")
        self.family = family
        coefficients = columns * max(family.predictors, 1)
        self.statistic_size = coefficients if family.canonical else self.design_rows
        self.limit_risk = coefficients / 2
        self._likelihood = family.likelihood(self.X)
        self._label: Array | None = None
        self._mean: Array | None = None
        if test is not None and y is None:
            raise ValueError(
                "test goes with observed labels y; with a true beta the risk is known without a"
                " test set."
            )
        if y is not None:
            self._label = _check_labels(family, y, self.design_rows, "y")
            self._statistic = self._summary(self._coded(self._label)[None], self.X)
            self.truth = self.fit_statistic(self._statistic, None)[0]
            if not family.separable and np.isnan(self.truth).any():
                raise ValueError(f"no fit to y was found in {ITERATIONS} iterations: rescale X.")
            self.truth.flags.writeable = False
            self._risk_X, label = (
                (self.X, self._label) if test is None else _check_test(family, test, columns)
            )
            self._risk_label = self._coded(label)
            self._least_loss = float(np.mean(family.least(label)))
        elif mean is not None:
            self._mean = check_vector(mean, self.design_rows, "mean")
            if np.any((self._mean < 0) | (self._mean > 1)):
                raise ValueError(
                    "mean must hold the probabilities of label 1, between 0 and 1; it holds"
                    f" {self._mean.min():g} to {self._mean.max():g}."
                )
            self.truth = self.fit_statistic(self._summary(self._mean[None], self.X), None)[0]
            if np.isnan(self.truth).any():
                raise ValueError(
                    "no coefficients come closest to mean: a direction of X separates it."
                )
            self.truth.flags.writeable = False
            self._risk_X, self._risk_label = self.X, self._mean
        else:
            if family.predictors:
                beta = np.ravel(_check_table(beta, family.predictors, columns))
            self.truth = check_vector(beta, coefficients, "beta")  # type: ignore[arg-type]
            margin = self._margin(self.truth[None], self.X)
            low, high = family.reach
            if margin.min() < low or margin.max() > high:
                raise ValueError(
                    f"x'beta must be from {low:.4g} to {high:.4g}, for means to be computed with; "
                    f"it is from {margin.min():.4g} to {margin.max():.4g}. "
                    "Take a smaller beta, or rescale X."
                )
            probabilities = family.mean(margin)[0]
            self._risk_X, self._risk_label = (
                self.X,
                probabilities[1:] if family.predictors else probabilities,
            )
        self._risk_statistic = self._summary(self._risk_label[None], self._risk_X)[0]
        if y is None:
            self._least_loss = float(self._loss(self.truth[None])[0])
        if isinstance(self._likelihood, Multinomial) and np.isfinite(self.truth).all():
            self._likelihood.near(self.truth)

    @property
    def observed(self) -> Array | None:
        return self._label

    @cached_property
    def dispersion(self) -> float:
        """Variance of a real row's score at the truth, in units of the model's own: tr(I^-1 J) / d,
        1 where the model is right.

        J is the mean over rows of the squared residual times x x', the middle of the sandwich [1]_;
        with given means, of the label's variance times x x'. I is the information, from the fitted
        probabilities. tr(I^-1 J) is the penalty of Takeuchi's information criterion, d that of
        Akaike's. `collapse.forecasting.law.misspecified` tells what it does to a workflow.

        Raises
        ------
        ValueError
            Where the link is not canonical: real and synthetic rows then differ in curvature, too,
            and no one number describes that.

        References
        ----------
        .. [1] H. White, "Maximum likelihood estimation of misspecified models", Econometrica 50
        (1982).
        """
        if self._label is None and self._mean is None:
            return 1.0
        if not self.family.canonical:
            raise ValueError(
                f"{self!r} has no canonical link; dispersion is known for logistic, multinomial and"
                " Poisson regression."
            )
        n, d = self.design_rows, len(self.truth)
        margin = self._margin(self.truth[None], self.X)
        label = self._risk_label if self._mean is not None else self._coded(np.asarray(self._label))
        residual, curvature = (
            np.asarray(part[0]) for part in self._likelihood.derivatives(margin, 1.0, label)
        )
        if not self.family.predictors:
            residual, curvature = residual[None], curvature[None, None]
        information = np.einsum(
            "abn,ni,nj->aibj", curvature, self.X, self.X, optimize=True
        ).reshape(d, d)
        if self._mean is not None:
            J = (self.X * self.family.variance(self._mean)[:, None]).T @ self.X
        else:
            score = np.einsum("an,ni->nai", residual, self.X).reshape(n, d)
            J = score.T @ score
        return float(np.trace(np.linalg.solve(information, J)) / d)

    def __repr__(self) -> str:
        n, p = self.X.shape
        more = "".join(f", {key}={value:g}" for key, value in vars(self.family).items())
        world = (
            "observed y"
            if self._label is not None
            else "mean"
            if self._mean is not None
            else "beta"
        )
        return f"{type(self).__name__}(X {n} x {p}, {world}{more})"

    def draw(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        """Draw labelled rows of the design.

        Parameters
        ----------
        theta : ndarray, shape (R, d)
            Coefficients to label with.
        rows : int
            c n + r rows: c whole copies of the design, then r distinct rows drawn without
            replacement, afresh for each replication.
        rng : numpy.random.Generator
            Source of randomness.

        Returns
        -------
        ndarray, shape (R, rows, 2)
            Index of the row of X, and its label (NaN where theta is).
        """
        index = rows_of_design(self.design_rows, theta.shape[0], rows, rng)
        lost = np.asarray(np.isnan(theta).any(axis=1))
        mean = self.family.mean(self._margin(np.where(lost[:, None], 0.0, theta), self.X))
        at = index[:, None] if self.family.predictors else index
        drawn = self.family.sample(np.take_along_axis(mean, at, axis=-1), 1, rng)
        label = (
            np.tensordot(np.arange(1.0, drawn.shape[1] + 1), drawn, axes=(0, 1))
            if self.family.predictors
            else drawn
        )
        return np.stack([index.astype(float), np.where(lost[:, None], np.nan, label)], axis=2)

    def draw_real(self, replications: int, rows: int, rng: np.random.Generator) -> Array:
        """Draw the real batch: labels from `beta` as `draw` does, or the observed labels as they
        are.

        Parameters
        ----------
        replications : int
            Number R of replications.
        rows : int
            Rows of the batch; n where labels are observed.
        rng : numpy.random.Generator
            Source of randomness; unused where labels are observed.

        Returns
        -------
        ndarray, shape (R, rows, 2)
            Index of the row of X, and its label.

        Raises
        ------
        ValueError
            Where labels are observed and `rows` is not n.
        """
        if self._mean is not None:
            index = rows_of_design(self.design_rows, replications, rows, rng)
            return np.stack(
                [index.astype(float), self.family.sample(self._mean[index], 1, rng)], axis=2
            )
        if self._label is None:
            return super().draw_real(replications, rows, rng)
        self._check_observed(rows)
        return np.tile(
            np.column_stack([np.arange(rows, dtype=float), self._label]), (replications, 1, 1)
        )

    def draw_statistic(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        """Draw the mean statistic of a batch that labels the whole design rows / n times.

        Parameters
        ----------
        theta : ndarray, shape (R, d)
            Coefficients to label with.
        rows : int
            Rows of the batch, a whole multiple of n.
        rng : numpy.random.Generator
            Source of randomness.

        Returns
        -------
        ndarray, shape (R, k)
            With a canonical link the mean of x y, otherwise the mean label of each row; NaN where
            theta is.

        Raises
        ------
        ValueError
            Where `rows` is not a whole multiple of n.
        """
        copies = self._copies(rows)
        statistic = np.empty((theta.shape[0], self.statistic_size))
        for block in blocks(theta.shape[0], self._likelihood.cells):
            margin = self._margin(theta[block], self.X)
            lost = np.isnan(theta[block, 0])
            missing = np.count_nonzero(lost)
            if missing:
                margin[lost] = 0.0
            statistic[block] = self._summary(
                self.family.sample(self.family.mean(margin), copies, rng), self.X
            )
            if missing:
                statistic[block][lost] = np.nan
        return statistic

    def draw_real_statistic(self, replications: int, rows: int, rng: np.random.Generator) -> Array:
        """Draw the mean statistic of the real batch; observed labels have one value of it.

        Parameters
        ----------
        replications : int
            Number R of replications.
        rows : int
            Rows of the batch, a whole multiple of n; n where labels are observed.
        rng : numpy.random.Generator
            Source of randomness; unused where labels are observed.

        Returns
        -------
        ndarray, shape (R, k)
            Mean statistic.

        Raises
        ------
        ValueError
            Where `rows` does not fit the design.
        """
        if self._mean is not None:
            copies, statistic = self._copies(rows), np.empty((replications, self.statistic_size))
            for block in blocks(replications, self._likelihood.cells):
                mean = replicate(self._mean, len(statistic[block]))
                statistic[block] = self._summary(self.family.sample(mean, copies, rng), self.X)
            return statistic
        if self._label is None:
            return super().draw_real_statistic(replications, rows, rng)
        self._check_observed(rows)
        return np.array(replicate(self._statistic[0], replications))

    def fit_statistic(self, statistic: Array, start: Array | None) -> Array:
        """Return the maximum-likelihood estimates for mean statistics over the whole design.

        Parameters
        ----------
        statistic : ndarray, shape (R, k)
            Weighted mean over batches of their mean statistics.
        start : ndarray, shape (R, d), or None
            Where to begin, such as the last fit; a row of NaN, or None, begins afresh. It changes
            the time taken, not the answer.

        Returns
        -------
        ndarray, shape (R, d)
            Estimates; NaN where none exists (separation), or where the labels are so nearly
            separated that a statistic in double precision does not determine it, where 1,000
            iterations do not reach it, and where the statistic is NaN.
        """
        return self._likelihood.maximise(statistic, None, start)

    def fit(self, rows: Array, weight: Array, start: Array | None) -> Array:
        """Return the weighted maximum-likelihood estimates for labelled rows.

        Parameters
        ----------
        rows : ndarray, shape (R, N, 2)
            Index of the row of X, and its label.
        weight : ndarray, shape (R, N)
            Weight of each row, in any unit; 0 is padding, and what stands there is not read.
        start : ndarray, shape (R, d), or None
            Where to begin, as in `fit_statistic`.

        Returns
        -------
        ndarray, shape (R, d)
            Estimates; NaN as in `fit_statistic`, where the rows with weight do not span the
            columns, and where one of their labels is NaN.
        """
        read = weight > 0
        weight = np.where(read, weight, 0.0)
        rows = np.where(read[:, :, None], rows, 0.0)
        if self.family.predictors:
            code = [
                np.where(np.isnan(rows[:, :, 1]), np.nan, rows[:, :, 1] == k + 1.0)
                for k in range(self.family.predictors)
            ]
            each = [
                totals(self.design_rows, np.stack([rows[:, :, 0], one], axis=2), weight)
                for one in code
            ]
            total, count = each[0][0], np.stack([sums for _, sums in each], axis=1)
        else:
            total, count = totals(self.design_rows, rows, weight)
        mean = total.mean(axis=1, keepdims=True)
        mean[mean == 0] = np.nan
        statistic = self._summary(
            count / (mean[:, None] if self.family.predictors else mean), self.X
        )
        return self._likelihood.maximise(statistic, total / mean, start)

    def risk(self, theta: Array) -> Array:
        """Return the risk of each replication's fit.

        Parameters
        ----------
        theta : ndarray, shape (R, d)
            Fitted coefficients.

        Returns
        -------
        ndarray, shape (R,)
            Mean Kullback-Leibler divergence from the truth over the rows of X, or with observed
            labels half the mean deviance (for classes the mean log loss), in nats; NaN where theta
            is.
        """
        # Both are nonnegative; rounding can leave a divergence a last digit below zero.
        return np.maximum(self._loss(theta) - self._least_loss, 0.0)

    def influence_function(self, rows: Array, theta: Array) -> Array:
        """Return the influence of each row on the fit: n times its change with the row's weight.

        Parameters
        ----------
        rows : ndarray, shape (R, N, 2)
            Index of the row of X, and its label.
        theta : ndarray, shape (R, d)
            Coefficients, such as the fit to the rows.

        Returns
        -------
        ndarray, shape (R, N, d)
            Inverse mean Hessian of the log-likelihood times the row's score.
        """
        index, label = rows[:, :, 0].astype(np.intp), rows[:, :, 1]
        margin = self._margin(theta, self.X)
        margin = np.take_along_axis(
            margin, index[:, None] if self.family.predictors else index, axis=-1
        )
        score, curvature = self._likelihood.derivatives(margin, 1.0, self._coded(label))
        R, N = index.shape
        if not self.family.predictors:
            score, curvature = score[:, None], curvature[:, None, None]
        x = self.X[index]
        hessian = (
            np.einsum("rabn,rni,rnj->raibj", curvature, x, x, optimize=True).reshape(
                R, theta.shape[1], -1
            )
            / N
        )
        each = np.einsum("ran,rni->rnai", score, x).reshape(R, N, -1)
        return np.asarray(np.swapaxes(np.linalg.solve(hessian, np.swapaxes(each, 1, 2)), 1, 2))

    def _margin(self, theta: Array, X: Array) -> Array:
        q = self.family.predictors
        margin: Array = (theta.reshape(theta.shape[0], q, X.shape[1]) if q else theta) @ X.T
        return margin

    def _summary(self, label: Array, X: Array) -> Array:
        """Return the mean statistic (R, k) of mean labels on each row."""
        if not self.family.canonical:
            return label
        summary: Array = (label @ X).reshape(label.shape[0], self.statistic_size)
        summary /= X.shape[0]
        return summary

    def _coded(self, label: Array) -> Array:
        """Return labels as they enter sums: classes as indicators of all but class 0, (..., K - 1,
        m).
        """
        q = self.family.predictors
        return (label[..., None, :] == np.arange(1.0, q + 1)[:, None]).astype(float) if q else label

    def _loss(self, theta: Array) -> Array:
        X, loss = self._risk_X, np.empty(theta.shape[0])
        for block in blocks(theta.shape[0], X.shape[0] * max(self.family.predictors, 1)):
            loss[block] = np.add.reduce(
                self.family.loss(self._margin(theta[block], X), self._risk_label), axis=1
            )
        loss /= X.shape[0]
        if self.family.canonical:
            loss -= theta @ self._risk_statistic
        return loss

    def _copies(self, rows: int) -> int:
        copies, rest = divmod(rows, self.design_rows)
        if rest or copies < 1:
            raise ValueError(
                "a mean statistic stands for whole copies of the design: rows must be a multiple"
                f" of {self.design_rows}, not {rows}; use draw for other sizes."
            )
        return int(copies)

    def _check_observed(self, rows: int) -> None:
        if rows != self.design_rows:
            raise ValueError(
                f"observed labels y make one real batch of {self.design_rows} rows, and the plan"
                f" asks for {rows}; use a real batch of size 1."
            )


class LogisticRegression(Regression):
    """Logistic regression by maximum likelihood on a design whose rows every batch labels again.

    The labels enter the fit through the mean over the batch's rows of x y alone (the link is
    canonical), so whole batches need no rows: their mean statistics average. Real labels are either
    drawn from a true `beta` in every replication, or observed once and for all as `y`, or drawn
    with probabilities `mean` that need not be logistic in X.

    Parameters
    ----------
    X : array_like, shape (n, p)
        The whole design, finite, of full column rank, with at least as many rows as columns. A
        column of ones, where one is wanted, is the caller's.
    beta : array_like, shape (p,), optional
        True coefficients. Risk is the mean Kullback-Leibler divergence, truth against fit, over the
        rows of X.
    y : array_like, shape (n,), optional
        Observed labels, 0 or 1. Risk is the mean log loss on the test set, or on the real data
        themselves without one.
    mean : array_like, shape (n,), optional
        True probability of label 1 on each row, for a world that the model does not hold. Risk is
        excess cross-entropy over the closest fit.
    test : tuple of array_like, shapes (m, p) and (m,), optional
        Covariates and labels to measure risk on; for observed labels only.

    Attributes
    ----------
    truth : ndarray, shape (p,)
        `beta`; with observed labels their maximum-likelihood estimate, NaN where they are
        separated; with `mean` the closest coefficients.
    design_rows : int
        Rows n of the design.
    limit_risk : float
        n times the risk of the first fit tends to p / 2 (half a squared normal for each
        coefficient) where the truth is `beta`.
    dispersion : float
        Variance of a real row's score at the truth in units of the model's own, tr(I^-1 J) / p: 1
        with `beta`, the sandwich's with `y`, that of labels drawn anew with `mean`.
        `collapse.forecasting.law.misspecified` tells what it does to a workflow.

    Raises
    ------
    ValueError
        Where not exactly one of `beta`, `y` and `mean` is given, or an array has the wrong shape or
        values, or the columns of X are linearly dependent.

    Notes
    -----
    No estimate exists where a hyperplane separates the labels, completely or quasi-completely [1]_;
    such a fit is a row of NaN. The fit is Newton's, in coordinates in which the design is
    orthonormal, with steps halved until they surely raise the likelihood, and ends where
    self-concordance [2]_ bounds the next Newton decrement by 1e-10.

    References
    ----------
    .. [1] A. Albert and J. A. Anderson, "On the existence of maximum likelihood estimates in
    logistic regression models",
       Biometrika 71 (1984).
    .. [2] Francis Bach, "Self-concordant analysis for logistic regression", Electronic Journal of
    Statistics 4 (2010).

    Examples
    --------
    >>> X = np.column_stack([np.ones(400), np.linspace(-1, 1, 400)])
    >>> model = LogisticRegression(X, beta=[0.5, 1.0])
    >>> statistic = model.draw_real_statistic(3, 400, np.random.default_rng(0))
    >>> model.fit_statistic(statistic, None).shape
    (3, 2)
    >>> observed = LogisticRegression(X, y=X[:, 1] > 0)
    >>> observed.truth
    array([nan, nan])
    """

    def __init__(
        self,
        X: ArrayLike,
        beta: ArrayLike | None = None,
        *,
        y: ArrayLike | None = None,
        mean: ArrayLike | None = None,
        test: tuple[ArrayLike, ArrayLike] | None = None,
    ) -> None:
        super().__init__(Logit(), X, beta, y, test, mean)


class ProbitRegression(Regression):
    """Probit regression by maximum likelihood on a design whose rows every batch labels again: p =
    Phi(x'beta).

    Parameters
    ----------
    X, beta, y, test
        As in `LogisticRegression`.

    Raises
    ------
    ValueError
        As there.

    Notes
    -----
    The link is not canonical, so that the statistic of a batch is the mean label of each row.
    Labels have an estimate exactly where they have one in logistic regression.

    Examples
    --------
    >>> X = np.column_stack([np.ones(400), np.linspace(-1, 1, 400)])
    >>> model = ProbitRegression(X, beta=[0.3, 0.6])
    >>> model.fit_statistic(model.draw_real_statistic(3, 400, np.random.default_rng(0)), None).shape
    (3, 2)
    """

    def __init__(
        self,
        X: ArrayLike,
        beta: ArrayLike | None = None,
        *,
        y: ArrayLike | None = None,
        test: tuple[ArrayLike, ArrayLike] | None = None,
    ) -> None:
        super().__init__(NormalLink(), X, beta, y, test)


class PoissonRegression(Regression):
    """Poisson regression with a logarithmic link, by maximum likelihood on a design whose rows
    every batch labels again.

    Parameters
    ----------
    X, beta, y, test
        As in `LogisticRegression`; labels are counts 0, 1, 2, ...

    Raises
    ------
    ValueError
        As there.

    Notes
    -----
    No estimate exists where some direction lowers the means of rows whose counts are all zero and
    moves no other: those means then want to be zero. With observed counts risk is half the mean
    deviance.

    Examples
    --------
    >>> X = np.column_stack([np.ones(100), np.linspace(-1, 1, 100)])
    >>> model = PoissonRegression(X, beta=[1.0, 0.5])
    >>> model.fit_statistic(model.draw_real_statistic(3, 100, np.random.default_rng(0)), None).shape
    (3, 2)
    >>> PoissonRegression(X, y=np.zeros(100)).truth
    array([nan, nan])
    """

    def __init__(
        self,
        X: ArrayLike,
        beta: ArrayLike | None = None,
        *,
        y: ArrayLike | None = None,
        test: tuple[ArrayLike, ArrayLike] | None = None,
    ) -> None:
        super().__init__(Counts(), X, beta, y, test)


class GammaRegression(Regression):
    """Gamma regression with a logarithmic link and a known shape, by maximum likelihood on a design
    that every batch labels again.

    Parameters
    ----------
    X, beta, y, test
        As in `LogisticRegression`; labels are positive.
    shape : float
        Shape of the labels' law; their coefficient of variation is 1 / sqrt(shape). The fit does
        not depend on it.

    Raises
    ------
    ValueError
        As there, and where the shape is not positive.

    Notes
    -----
    Positive labels always have an estimate. Mean labels of each row are enough for it: the
    likelihood knows the labels' logarithms only in terms that are free of the coefficients.

    Examples
    --------
    >>> X = np.column_stack([np.ones(100), np.linspace(-1, 1, 100)])
    >>> model = GammaRegression(X, beta=[1.0, 0.5], shape=2)
    >>> model.fit_statistic(model.draw_real_statistic(3, 100, np.random.default_rng(0)), None).shape
    (3, 2)
    """

    def __init__(
        self,
        X: ArrayLike,
        beta: ArrayLike | None = None,
        *,
        shape: float = 1.0,
        y: ArrayLike | None = None,
        test: tuple[ArrayLike, ArrayLike] | None = None,
    ) -> None:
        check_size(shape, "shape", *SHAPES)
        super().__init__(Positive(float(shape)), X, beta, y, test)


class NegativeBinomialRegression(Regression):
    """Negative binomial regression with a logarithmic link and a known dispersion, on a design that
    every batch labels again.

    Parameters
    ----------
    X, beta, y, test
        As in `LogisticRegression`; labels are counts 0, 1, 2, ...
    size : float
        Inverse of the dispersion: a label with mean mu has variance mu + mu^2 / size.

    Raises
    ------
    ValueError
        As there, and where the size is not positive.

    Notes
    -----
    The link is not canonical, so that the statistic of a batch is the mean label of each row. An
    estimate exists exactly where one exists in Poisson regression.

    Examples
    --------
    >>> X = np.column_stack([np.ones(100), np.linspace(-1, 1, 100)])
    >>> model = NegativeBinomialRegression(X, beta=[1.0, 0.5], size=3)
    >>> model.fit_statistic(model.draw_real_statistic(3, 100, np.random.default_rng(0)), None).shape
    (3, 2)
    """

    def __init__(
        self,
        X: ArrayLike,
        beta: ArrayLike | None = None,
        *,
        size: float = 1.0,
        y: ArrayLike | None = None,
        test: tuple[ArrayLike, ArrayLike] | None = None,
    ) -> None:
        check_size(size, "size", *SHAPES)
        super().__init__(Overdispersed(float(size)), X, beta, y, test)


class MultinomialRegression(Regression):
    """Multinomial logistic regression by maximum likelihood on a design whose rows every batch
    labels again.

    Parameters
    ----------
    X, test
        As in `LogisticRegression`.
    beta : array_like, shape (K - 1, p), optional
        True coefficients: row k - 1 holds the log odds of class k against class 0, the reference.
    y : array_like, shape (n,), optional
        Observed classes 0, ..., K - 1.
    classes : int, optional
        Number K of classes; with `beta` it is known, with `y` it is one more than the largest label
        unless it is given.

    Attributes
    ----------
    truth : ndarray, shape ((K - 1) p,)
        Coefficients, class by class.

    Raises
    ------
    ValueError
        As in `LogisticRegression`, and where there are fewer than two classes.

    Notes
    -----
    No estimate exists where the classes are separated, completely or quasi-completely; a class that
    no row has is enough. Linear systems are solved by conjugate gradients, so that ten classes and
    some hundreds of columns are within reach.

    Examples
    --------
    >>> X = np.column_stack([np.ones(300), np.linspace(-1, 1, 300)])
    >>> model = MultinomialRegression(X, beta=[[0.3, 0.5], [-0.2, 1.0]])
    >>> model.fit_statistic(model.draw_real_statistic(5, 300, np.random.default_rng(0)), None).shape
    (5, 4)
    """

    def __init__(
        self,
        X: ArrayLike,
        beta: ArrayLike | None = None,
        *,
        y: ArrayLike | None = None,
        test: tuple[ArrayLike, ArrayLike] | None = None,
        classes: int | None = None,
    ) -> None:
        if classes is None:
            if y is None:
                table = numbers([] if beta is None else beta, "beta", "a table of shape (K - 1, p)")
                classes = 1 + (len(table) if table.ndim == 2 else 0)
            else:
                label = numbers(y, "y", "classes 0, ..., K - 1")
                most = np.where(np.isnan(label), 0.0, label).max(initial=0.0)
                classes = 1 + int(np.clip(most, 0, MOST_CLASSES))
        if whole(classes, "classes", "values of the label", most=MOST_CLASSES) < 2:
            raise ValueError(
                "labels must have at least two classes; give beta as a table (K - 1, p), or y with"
                " classes 0, ..., K - 1."
            )
        super().__init__(Classes(classes), X, beta, y, test)


class BradleyTerry(Regression):
    """Ranking from paired comparisons: item i beats item j with log odds strength_i - strength_j.

    Each batch plays the schedule of comparisons again; the fit is the logistic regression of their
    results on the differences of items, by maximum likelihood [1]_. Item 0 is the reference with
    strength 0. The design has a row for each single comparison, so that n is their number.

    Parameters
    ----------
    strength : array_like, shape (m,), optional
        True strengths of the items, on the scale of log odds; only differences matter.
    pairs : array_like of int, shape (k, 2)
        Pairs of items that meet.
    times : int or array_like of int, shape (k,), optional
        How often each pair meets. Default: once.
    wins : array_like of int, shape (k,), optional
        In place of `strength`: how often the first of each pair won in the observed, real data.

    Attributes
    ----------
    truth : ndarray, shape (m - 1,)
        Strengths of the items 1, ..., m - 1 less that of item 0.

    Raises
    ------
    ValueError
        Where not exactly one of `strength` and `wins` is given, items are compared with themselves,
        or the comparisons leave groups of items that never meet.

    Notes
    -----
    An estimate exists exactly where no group of items has won all its comparisons with the others
    (Ford's condition [2]_).

    References
    ----------
    .. [1] R. A. Bradley and M. E. Terry, "Rank analysis of incomplete block designs", Biometrika 39
    (1952).
    .. [2] L. R. Ford, "Solution of a ranking problem from binary comparisons", American
    Mathematical Monthly 64 (1957).

    Examples
    --------
    >>> model = BradleyTerry([0.0, 0.5, 1.0], pairs=[(0, 1), (0, 2), (1, 2)], times=40)
    >>> model.design_rows
    120
    >>> model.strength(model.truth[None])
    array([[-0.5,  0. ,  0.5]])
    """

    def __init__(
        self,
        strength: ArrayLike | None = None,
        *,
        pairs: ArrayLike,
        times: ArrayLike = 1,
        wins: ArrayLike | None = None,
    ) -> None:
        if (strength is None) == (wins is None):
            raise ValueError(
                "give either strength (of the true items) or wins (observed results), and not both."
            )
        if strength is not None:
            strength = numbers(strength, "strength", "a number for each item")
        meet, often = _check_schedule(pairs, times, None if strength is None else np.size(strength))
        if strength is not None:
            strength = check_vector(strength, int(meet.max()) + 1, "strength")
        sign = np.zeros((len(meet), int(meet.max()) + 1))
        sign[np.arange(len(meet)), meet[:, 0]], sign[np.arange(len(meet)), meet[:, 1]] = 1.0, -1.0
        y = None
        if wins is not None:
            won = check_vector(wins, len(meet), "wins")
            if np.any((won < 0) | (won > often) | (won != np.floor(won))):
                raise ValueError(
                    "wins must be whole numbers between 0 and times: how often the first item of"
                    " each pair won."
                )
            y = np.concatenate([np.arange(k) < w for k, w in zip(often, won, strict=True)]).astype(
                float
            )
        self.pairs, self.times = meet, often
        super().__init__(
            Logit(),
            np.repeat(sign[:, 1:], often, axis=0),
            None if strength is None else strength[1:] - strength[0],
            y,
            None,
        )

    def strength(self, theta: Array) -> Array:
        """Return the strengths of all items, with sum zero.

        Parameters
        ----------
        theta : ndarray, shape (R, m - 1)
            Strengths relative to item 0.

        Returns
        -------
        ndarray, shape (R, m)
            Strengths on the scale of log odds.
        """
        every = np.concatenate([np.zeros((len(theta), 1)), theta], axis=1)
        return np.asarray(every - every.mean(axis=1, keepdims=True))


def _check_schedule(
    pairs: ArrayLike, times: ArrayLike, items: int | None
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    meet = checks.numbers(pairs, "pairs", "a table of shape (k, 2)")
    often = checks.numbers(times, "times", "a whole number, or a vector of shape (k,)")
    if (
        meet.ndim != 2
        or meet.shape[1:] != (2,)
        or not len(meet)
        or meet.dtype.kind not in "iu"
        or meet.min() < 0
    ):
        raise ValueError(
            "pairs must be a table of shape (k, 2) of items' numbers 0, 1, 2, ...; k is at least 1."
        )
    if np.any(meet[:, 0] == meet[:, 1]):
        raise ValueError(
            f"item {meet[meet[:, 0] == meet[:, 1]][0, 0]} is compared with itself; leave such pairs"
            " out."
        )
    if often.dtype.kind not in "iu" or often.shape not in ((), (len(meet),)) or np.any(often < 1):
        raise ValueError(
            f"times must be a whole number, at least 1, or one for each of the {len(meet)} pairs."
        )
    if np.broadcast_to(often, len(meet)).sum(dtype=float) > MOST_COMPARISONS:
        raise ValueError(f"times must add up to {MOST_COMPARISONS:,} comparisons at the most.")
    count = int(meet.max()) + 1
    if items is not None and items > count:
        count = items
    elif items is not None and items < count:
        raise ValueError(
            f"strength must have {count} entries, as pairs name items 0 to {count - 1}; it has"
            f" {items}."
        )
    group = np.arange(count)
    for i, j in meet:
        group[group == group[i]] = group[j]
    if np.any(group != group[0]):
        apart = [np.flatnonzero(group == g).tolist() for g in np.unique(group)]
        raise ValueError(
            "the comparisons leave groups of items that never meet,"
            f" {' and '.join(map(str, apart))}: their strengths cannot be compared. Add pairs that"
            " link them."
        )
    return meet.astype(np.intp), np.broadcast_to(often, len(meet)).astype(np.intp)


def _probability(margin: Array) -> Array:
    # The hyperbolic tangent cannot overflow: 1 / (1 + exp(-m)) = (1 + tanh(m / 2)) / 2.
    share = 0.5 * margin
    np.tanh(share, out=share)
    share *= 0.5
    share += 0.5
    return share


def _check_labels(family: Family, y: ArrayLike, rows: int, name: str) -> Array:
    label = check_vector(y, rows, name)
    other = label[family.refuse(label)]
    if other.size:
        remedy = (
            f"Recode the classes as {family.labels.removeprefix('labels ')}."
            if "labels" in family.labels
            else "Check its units."
        )
        raise ValueError(
            f"{name} must hold {family.labels}; it holds {other.min():g} too. {remedy}"
        )
    return label


def _check_table(beta: ArrayLike | None, classes: int, columns: int) -> Array:
    table = numbers(beta, "beta", f"a table of shape ({classes}, {columns})")
    if table.shape != (classes, columns):
        raise ValueError(
            f"beta must have shape ({classes}, {columns}), a row for each class but class 0, which"
            f" is the reference; it has shape {table.shape}."
        )
    return table


def _check_test(
    family: Family, test: tuple[ArrayLike, ArrayLike], columns: int
) -> tuple[Array, Array]:
    covariates, label = check_pair(test)
    X = numbers(covariates, "the test X", f"a table of shape (m, {columns})")
    if X.ndim != 2 or X.shape[1] != columns or X.shape[0] == 0:
        raise ValueError(
            f"the test X must have shape (m, {columns}), with the columns of X; it has shape"
            f" {X.shape}."
        )
    if not np.isfinite(X).all():
        raise ValueError("the test X must be finite. Drop or impute missing values first.")
    return X, _check_labels(family, label, X.shape[0], "the test y")


WHY = "maximum likelihood with vanishing leverage"


@register(
    "Logistic",
    n=600,
    group="regression",
    why=f"{WHY}, separation aside",
    page="regression",
    allowance=0.15,
    conditional=True,
)
def example_logistic(rows: int = 600) -> LogisticRegression:
    return LogisticRegression(example_design(rows, 2), [0.2, 0.5])


@register(
    "Probit",
    n=600,
    group="regression",
    why=f"{WHY}, separation aside",
    page="glm",
    allowance=0.15,
    conditional=True,
)
def example_probit(rows: int = 600) -> ProbitRegression:
    return ProbitRegression(example_design(rows, 2), [0.2, 0.3])


@register(
    "Poisson regression",
    n=240,
    group="regression",
    why=f"{WHY}, rows of zeros aside",
    page="glm",
    allowance=0.08,
    conditional=True,
)
def example_poisson_regression(rows: int = 240) -> PoissonRegression:
    return PoissonRegression(example_design(rows, 2), [1.0, 0.4])


@register("Gamma regression", n=240, group="regression", why=WHY, page="glm", allowance=0.08)
def example_gamma_regression(rows: int = 240) -> GammaRegression:
    return GammaRegression(example_design(rows, 2), [1.0, 0.4], shape=4)


@register(
    "Negative binomial regression",
    n=240,
    group="regression",
    why=f"{WHY}, rows of zeros aside",
    page="glm",
    allowance=0.1,
    conditional=True,
)
def example_negative_binomial_regression(rows: int = 240) -> NegativeBinomialRegression:
    return NegativeBinomialRegression(example_design(rows, 2), [1.0, 0.4], size=4)


@register(
    "Multinomial logistic",
    n=600,
    group="regression",
    why=f"{WHY}, separation aside",
    page="glm",
    allowance=0.15,
    conditional=True,
)
def example_multinomial(rows: int = 600) -> MultinomialRegression:
    return MultinomialRegression(example_design(rows, 2), [[0.2, 0.3], [-0.1, -0.3]])


@register(
    "Bradley-Terry",
    n=600,
    group="ranking",
    why="logistic regression on differences of items, groups that never lose aside",
    page="ranking",
    allowance=0.15,
    conditional=True,
)
def example_bradley_terry(rows: int = 600) -> BradleyTerry:
    return BradleyTerry(
        [-0.4, -0.2, 0.2, 0.4], pairs=[(i, j) for i in range(4) for j in range(i)], times=rows // 6
    )
