"""What generalised linear models on a reused design share: the real world and the risk in it, and
the fit by maximum likelihood.
"""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from collapse.checks import require
from collapse.models.expansion import SecondOrder, of_log_loss
from collapse.models.protocols import Array, by_parts, replicate
from collapse.models.regression.design import OnDesign, check_test, check_vector, labelled, on_rows
from collapse.models.regression.family import Classes, Counts, Family, margins
from collapse.models.regression.likelihoods import LIKELIHOODS, Multinomial
from collapse.models.regression.newton import ITERATIONS, Likelihood


def mean_loss(family: Family, theta: Array, X: Array, label: Array) -> Array:
    """Return the mean of `Family.loss` over rows with labels (q, m), less label x margin where the
    link is canonical, (R,).
    """
    loss = by_parts(
        lambda block: family.loss(margins(theta[block], X), label).sum(axis=-1)[:, 0],
        len(theta),
        len(X) * family.outputs,
    )
    if family.canonical:
        loss -= theta @ (label @ X).ravel()
    return loss / len(X)


class LabelsOnDesign(OnDesign):
    """Labels of a family on a reused design: the real world that draws them, and the risk in it.

    Real labels are either drawn from a true `beta` in every replication, or observed once and for
    all as `y`, or drawn with given means, from a world that the model does not hold. A model adds
    its fit.
    """

    _closest: Callable[[], Array]
    """Return the coefficients closest to the real labels, or to their means."""
    certain: ClassVar[bool] = False
    """Whether all labels have an estimate."""

    def __init__(
        self,
        family: Family,
        X: ArrayLike,
        beta: ArrayLike | None,
        y: ArrayLike | None,
        test: tuple[ArrayLike, ArrayLike] | None,
        mean: ArrayLike | None = None,
        shown: Mapping[str, float] | None = None,
        make: Callable[[Array], Likelihood] | None = None,
    ) -> None:
        super().__init__(X, beta, y, test, mean)
        (n, p), q = self.X.shape, family.outputs
        self.family, self._shown = family, shown or {}
        self._likelihood = make(self.X) if make else LIKELIHOODS[type(family)](self.X, family)
        if beta is not None:
            self.truth = np.ravel(
                check_vector(beta, (q, p) if isinstance(family, Classes) else p, "beta")
            )
            margin, (low, high) = margins(self.truth[None], self.X), family.reach
            require(
                not (margin.min() < low or margin.max() > high),
                f"x'beta must be from {low:.4g} to {high:.4g}, for means to be computed with; "
                f"it is from {margin.min():.4g} to {margin.max():.4g}. "
                "Take a smaller beta, or rescale X.",
            )
            self._mean = family.mean(margin)[0]
        elif y is not None:
            self.observed = _check_labels(family, check_vector(y, n, "y"), "y")
            self._mean = family.coded(self.observed)
        else:
            self._mean = check_vector(mean, n, "mean")[None]
            require(
                not (self._mean.min() < 0 or self._mean.max() > 1),
                "mean must hold the probabilities of label 1, between 0 and 1; it holds"
                f" {self._mean.min():g} to {self._mean.max():g}.",
            )
        if beta is None:
            self.truth = self._closest()
            require(
                not (mean is not None and np.isnan(self.truth).any()),
                "no coefficients come closest to mean: a direction of X separates it.",
            )
            require(
                not (self.certain and np.isnan(self.truth).any()),
                f"no fit to y was found in {ITERATIONS} iterations: rescale X.",
            )
            self.truth.flags.writeable = False
        self._risk_X, self._risk_label = self.X, self._mean[-q:]
        if test is not None:
            self._risk_X, label = check_test(test, p)
            self._risk_label = family.coded(_check_labels(family, label, "the test y"))
        self._least_loss = float(
            self._loss(self.truth[None])[0]
            if y is None
            else np.mean(family.least(self._risk_label))
        )

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

    def _loss(self, theta: Array) -> Array:
        return mean_loss(self.family, theta, self._risk_X, self._risk_label)

    def _summary(self, label: Array) -> Array:
        """Return the mean statistic (R, k) of mean labels (R, q, n) on each row."""
        if not self.family.canonical:
            return label[:, 0]
        each = label.reshape(-1, self.design_rows) @ self.X / self.design_rows
        return np.asarray(each.reshape(len(label), label.shape[1] * self.X.shape[1]))

    def _on_rows(self, rows: Array, weight: Array) -> tuple[Array, Array]:
        """Return weighted sums of labels (R, q, n), and of weights (R, n), on each row of the
        design, over its mean weight.
        """
        index, label, weight = labelled(rows, weight)
        total = on_rows(self.design_rows, index, weight)
        mean = total.mean(axis=1, keepdims=True)
        mean[mean == 0] = np.nan
        coded = np.moveaxis(self.family.coded(label), 1, 0)
        each = [on_rows(self.design_rows, index, weight * own) for own in coded]
        return np.stack(each, axis=1) / mean[:, None], total / mean


class Regression(LabelsOnDesign):
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
        shown: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(family, X, beta, y, test, mean, shown)
        self.limit_risk = len(self.truth) / 2
        self.statistic_size = len(self.truth) if family.canonical else self.design_rows
        self._statistic = self._summary(self._mean[None, -family.outputs :])[0]
        if isinstance(self._likelihood, Multinomial) and np.isfinite(self.truth).all():
            self._likelihood.near(self.truth)

    def _closest(self) -> Array:
        return np.asarray(self.fit_statistic(self._summary(self._mean[None]), None)[0])

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
        if self.observed is None and not self._given:
            return 1.0
        require(
            bool(self.family.canonical),
            f"{self!r} has no canonical link; dispersion is known for logistic, multinomial and"
            " Poisson regression.",
        )
        margin = margins(self.truth[None], self.X)
        (score,), (hessian,) = self._curved(self.X[None], margin, self._mean[None])
        if self._given:
            score = self.X * np.sqrt(self._mean * (1.0 - self._mean)).T
        each = np.linalg.solve(hessian, score.T)
        return float(np.vecdot(each.T, score).mean() / len(self.truth))

    def second_order(self) -> SecondOrder | None:
        """Return the second order of the risk, of an exponential family whose statistic is the mean
        of x y; None where the link is not canonical, real labels are not drawn from beta, or the
        risk is that on a test set.
        """
        family, n, q = self.family, self.design_rows, self.family.outputs
        drawn = self.observed is None and not self._given and self._risk_X is self.X
        if not family.canonical or not drawn:
            return None
        mean = self._mean[-q:]
        if isinstance(family, Counts):  # all cumulants of a count are its mean
            jump, weight = np.ones((1, 1, n)), mean
        else:
            labels = np.vstack([np.zeros(q), np.eye(q)])
            jump, weight = labels[:, :, None] - mean, np.vstack([1 - mean.sum(axis=0), mean])
        z = np.einsum("kan,ni->knai", jump, self.X).reshape(len(weight), n, -1)
        information = np.einsum("kn,kni,knj->ij", weight, z, z, optimize=True) / n
        z = z @ np.linalg.cholesky(np.linalg.inv(information))
        inner = np.einsum("kni,lni->kln", z, z)
        size = inner.diagonal().T
        fourth = (weight * size**2).sum()
        if not isinstance(family, Counts):
            pairs = weight[:, None] * weight * inner**2
            fourth -= ((weight * size).sum(axis=0) ** 2).sum() + 2 * pairs.sum()
        # the third cumulants, one of their tables (d, d) at a time
        flat, heavy = z.reshape(-1, z.shape[2]), weight.reshape(-1, 1) / n
        third = ((flat * heavy * own[:, None]).T @ flat for own in flat.T)
        shared, cubed = np.transpose([(table.trace(), (table**2).sum()) for table in third])
        return of_log_loss(len(cubed), shared @ shared, cubed.sum(), float(fourth / n))

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
        known = np.nan_to_num(theta)
        statistic = self._statistics(
            lambda block: self.family.mean(margins(known[block], self.X)), len(theta), rows, rng
        )
        statistic[np.isnan(theta[:, 0])] = np.nan
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
        if self.observed is not None:
            return super().draw_real_statistic(replications, rows, rng)
        mean = replicate(self._mean, replications)
        return self._statistics(mean.__getitem__, replications, rows, rng)

    def _statistics(
        self, mean: Callable[[slice], Array], replications: int, rows: int, rng: np.random.Generator
    ) -> Array:
        """Draw mean statistics of whole copies of the design, a block of replications at a time."""
        copies, rest = divmod(rows, self.design_rows)
        require(
            not (rest or copies < 1),
            "a mean statistic stands for whole copies of the design: rows must be a multiple"
            f" of {self.design_rows}, not {rows}; use draw for other sizes.",
        )
        return by_parts(
            lambda block: self._summary(self.family.sample(mean(block), copies, rng)),
            replications,
            self._likelihood.cells,
        )

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
        label, share = self._on_rows(rows, weight)
        return self._likelihood.maximise(self._summary(label), share, start)

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
        index = rows[:, :, 0].astype(np.intp)
        margin = np.take_along_axis(margins(theta, self.X), index[:, None], axis=-1)
        score, hessian = self._curved(self.X[index], margin, self.family.coded(rows[:, :, 1]))
        return np.asarray(np.linalg.solve(hessian, score.mT).mT)

    def standard_score(self, rows: Array, theta: Array) -> Array:
        """Rows (R, N, 2) labelled at theta (R, d) to their scores (R, N, d), in units in which
        their mean covariance over the design is the identity.
        """
        index = rows[:, :, 0].astype(np.intp)
        margin = np.take_along_axis(margins(theta, self.X), index[:, None], axis=-1)
        score, _ = self._curved(self.X[index], margin, self.family.coded(rows[:, :, 1]))
        return np.asarray(np.linalg.solve(self._root(theta)[0], score.mT).mT)

    def standard_statistic(self, statistic: Array, theta: Array) -> Array:
        """Statistics (R, k) of whole batches at theta (R, d) to their mean standard scores, (R,
        d).
        """
        root, mean = self._root(theta)
        if self.family.canonical:
            score = statistic - self._summary(mean)
        else:
            each, _ = self.family.derivatives(margins(theta, self.X), 1.0, statistic[:, None])
            score = each[:, 0] @ self.X / self.design_rows
        return np.asarray(np.linalg.solve(root, score[..., None])[..., 0])

    def _root(self, theta: Array) -> tuple[Array, Array]:
        """Return the Cholesky factor (R, d, d) of the mean covariance of rows' scores over the
        design, and the labels' means (R, q, n).
        """
        margin = margins(theta, self.X)
        mean = self.family.mean(margin)[:, -self.family.outputs :]
        # the curvature is linear in the label, so that at its mean it is the information
        x = np.broadcast_to(self.X, (len(theta), *self.X.shape))
        information = self.family.dispersion * self._curved(x, margin, mean)[1]
        return np.asarray(np.linalg.cholesky(information)), mean

    def _curved(self, x: Array, margin: Array, label: Array) -> tuple[Array, Array]:
        """Return the scores (R, N, d) of rows x (R, N, p), and minus the mean Hessian (R, d, d) of
        the log-likelihood.
        """
        R, q, N = margin.shape
        score, curvature = self.family.derivatives(margin, 1.0, label)
        each = np.einsum("ran,rni->rnai", score, x).reshape(R, N, -1)
        bend = curvature.reshape(R, q, q, N) / N
        hessian = np.einsum("rabn,rni,rnj->raibj", bend, x, x, optimize=True)
        return each, hessian.reshape(R, each.shape[2], -1)


def _check_labels(family: Family, label: Array, name: str) -> Array:
    other = label[family.refuse(label)]
    if other.size:
        codes = family.labels.removeprefix("labels ")
        remedy = "Check its units" if codes == family.labels else f"Recode the classes as {codes}"
        raise ValueError(
            f"{name} must hold {family.labels}; it holds {other.min():g} too. {remedy}."
        )
    return label
