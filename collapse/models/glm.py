"""Logistic regression on a reused design, by a safeguarded Newton iteration batched over replications."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from collapse.models.base import Array, DrawsFromTruth, replicate
from collapse.models.design import check_design, check_vector, example_design, rows_of_design, totals
from collapse.models.registry import register

CELLS: Final = 1 << 15
"""Replications times rows worked on at once: a quarter of a megabyte an array, so that a block stays in a core's cache."""

DECREMENT: Final = 1e-20
"""Newton decrement, squared and predicted for the next iterate, at which a fit is done: twice what the mean log-likelihood then lacks."""

SEPARATED: Final = 1e-10
"""Share of misclassified absolute margin below which labels count as separated.

Rounding leaves about 1e-15 of a true zero. An estimate that exists although the share is as small has fitted probabilities within about
1e-10 of 0 or 1, where a mean statistic in double precision no longer determines it.
"""

SUSPICION: Final = (8, 12)
"""Iterations after which a fit that goes on is probably separated and worth a singular value decomposition to show it."""

PATIENCE: Final = 24
"""Iterations after which a linear programme decides whether an estimate exists, and a search of its own finds it.

Ordinary fits take three to ten.
"""

ITERATIONS: Final = 1000
BISECTIONS: Final = 60
NEGLIGIBLE: Final = 1e-12
"""Squared decrement that rounding leaves where the Hessian is flat."""

SHORT: Final = 0.1
SLACK: Final = 2.0
"""A step is short where the Hessian is off by at most this share over it, e; then exp(3 e) squared is at most the slack."""

RIDGE: Final = 1e-14
"""Added to the Hessian's diagonal, in coordinates in which the design's own Gram matrix is the identity."""

FLAT: Final = 1e-12
"""Eigenvalue of the Hessian, in the same coordinates, below which a fit counts as separated though an estimate may exist.

A mean statistic in double precision does not determine the estimate then, and labels drawn from it separate but for a chance of n times as
much.
"""

DEPENDENT: Final = 1e-10
"""Eigenvalue of weighted rows' Gram matrix, in the same coordinates, below which they do not span the columns."""

MANY: Final = 256
"""Replications from which their systems are solved by one elimination over all of them."""

SURE: Final = 1.0
"""A Newton step that moves no margin by more than this raises the likelihood: (exp(s) - 1 - s) / s^2 < 1 up to s = 1.79."""


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
    return _mean_loss(theta, X, label @ X / X.shape[0])


class LogisticRegression(DrawsFromTruth):
    """Logistic regression by maximum likelihood on a design whose rows every batch labels again.

    The labels enter the fit through the mean over the batch's rows of x y alone (the link is canonical), so whole batches need no rows:
    their mean statistics average. Real labels are either drawn from a true `beta` in every replication, or observed once and for all as
    `y`.

    Parameters
    ----------
    X : array_like, shape (n, p)
        The whole design, finite, of full column rank, with at least as many rows as columns. A column of ones, where one is wanted, is the
        caller's.
    beta : array_like, shape (p,), optional
        True coefficients. Risk is the mean Kullback-Leibler divergence, truth against fit, over the rows of X.
    y : array_like, shape (n,), optional
        Observed labels, 0 or 1. Risk is the mean log loss on the test set, or on the real data themselves without one.
    test : tuple of array_like, shapes (m, p) and (m,), optional
        Covariates and labels to measure risk on; for observed labels only.

    Attributes
    ----------
    truth : ndarray, shape (p,)
        `beta`; with observed labels their maximum-likelihood estimate, NaN where they are separated.
    design_rows : int
        Rows n of the design.
    limit_risk : float
        n times the risk of the first fit tends to p / 2 (half a squared normal for each coefficient) where the truth is `beta`.

    Raises
    ------
    ValueError
        Where not exactly one of `beta` and `y` is given, or an array has the wrong shape or values, or the columns of X are linearly
        dependent.

    Notes
    -----
    No estimate exists where a hyperplane separates the labels, completely or quasi-completely [1]_; such a fit is a row of NaN. The fit is
    Newton's, in coordinates in which the design is orthonormal, with steps halved until they surely raise the likelihood, and ends where
    self-concordance [2]_ bounds the next Newton decrement by 1e-10.

    References
    ----------
    .. [1] A. Albert and J. A. Anderson, "On the existence of maximum likelihood estimates in logistic regression models",
       Biometrika 71 (1984).
    .. [2] Francis Bach, "Self-concordant analysis for logistic regression", Electronic Journal of Statistics 4 (2010).

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
        test: tuple[ArrayLike, ArrayLike] | None = None,
    ) -> None:
        self.X = check_design(X)
        self.design_rows, columns = self.X.shape
        if (beta is None) == (y is None):
            raise ValueError("give either beta (true coefficients) or y (observed labels), and not both.")
        self.limit_risk = columns / 2
        self._likelihood = _Likelihood(self.X)
        self._label: Array | None = None
        if y is not None:
            self._label = _check_labels(y, self.design_rows, "y")
            self._statistic = self._label @ self.X / self.design_rows
            self.truth = self.fit_statistic(self._statistic[None], None)[0]
            self.truth.flags.writeable = False
            self._risk_X, label = (self.X, self._label) if test is None else _check_test(test, columns)
            self._least_loss = 0.0
        else:
            if test is not None:
                raise ValueError("test goes with observed labels y; with a true beta the risk is known without a test set.")
            self.truth = check_vector(beta, columns, "beta")  # type: ignore[arg-type]
            self._risk_X, label = self.X, probability(self.truth[None], self.X)[0]
            self._least_loss = float(log_loss(self.truth[None], self.X, label)[0])
        self._risk_statistic = label @ self._risk_X / self._risk_X.shape[0]

    @property
    def observed(self) -> Array | None:
        return self._label

    def __repr__(self) -> str:
        n, p = self.X.shape
        return f"LogisticRegression(X {n} x {p}, {'beta' if self._label is None else 'observed y'})"

    def draw(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        """Draw labelled rows of the design.

        Parameters
        ----------
        theta : ndarray, shape (R, p)
            Coefficients to label with.
        rows : int
            c n + r rows: c whole copies of the design, then r distinct rows drawn without replacement, afresh for each replication.
        rng : numpy.random.Generator
            Source of randomness.

        Returns
        -------
        ndarray, shape (R, rows, 2)
            Index of the row of X, and its label (NaN where theta is).
        """
        index = rows_of_design(self.design_rows, theta.shape[0], rows, rng)
        share = np.take_along_axis(probability(theta, self.X), index, axis=1)
        label = np.where(np.isnan(share), np.nan, rng.random(share.shape) < share)
        return np.stack([index.astype(float), label], axis=2)

    def draw_real(self, replications: int, rows: int, rng: np.random.Generator) -> Array:
        """Draw the real batch: labels from `beta` as `draw` does, or the observed labels as they are.

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
        if self._label is None:
            return super().draw_real(replications, rows, rng)
        self._check_observed(rows)
        return np.tile(np.column_stack([np.arange(rows, dtype=float), self._label]), (replications, 1, 1))

    def draw_statistic(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        """Draw the mean of x y over a batch that labels the whole design rows / n times.

        Parameters
        ----------
        theta : ndarray, shape (R, p)
            Coefficients to label with.
        rows : int
            Rows of the batch, a whole multiple of n.
        rng : numpy.random.Generator
            Source of randomness.

        Returns
        -------
        ndarray, shape (R, p)
            Mean statistic; NaN where theta is.

        Raises
        ------
        ValueError
            Where `rows` is not a whole multiple of n.
        """
        copies, rest = divmod(rows, self.design_rows)
        if rest or copies < 1:
            raise ValueError(
                f"a mean statistic stands for whole copies of the design: rows must be a multiple of {self.design_rows}, not {rows}; "
                "use draw for other sizes."
            )
        statistic = np.empty(theta.shape)
        for block in _blocks(theta.shape[0], self.design_rows):
            share = probability(theta[block], self.X)
            lost = np.isnan(share[:, 0])
            if copies == 1:
                # A 53-bit uniform below the probability: exact to 2^-53.
                count = np.less(rng.random(share.shape), share).astype(float)
            else:
                share[lost] = 0.5
                count = rng.binomial(copies, share) / copies
            statistic[block] = count @ self.X
            if np.count_nonzero(lost):
                statistic[block][lost] = np.nan
        statistic /= self.design_rows
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
        ndarray, shape (R, p)
            Mean of x y.

        Raises
        ------
        ValueError
            Where `rows` does not fit the design.
        """
        if self._label is None:
            return super().draw_real_statistic(replications, rows, rng)
        self._check_observed(rows)
        return np.array(replicate(self._statistic, replications))

    def fit_statistic(self, statistic: Array, start: Array | None) -> Array:
        """Return the maximum-likelihood estimates for mean statistics over the whole design.

        Parameters
        ----------
        statistic : ndarray, shape (R, p)
            Weighted mean over batches of the mean of x y.
        start : ndarray, shape (R, p), or None
            Where to begin, such as the last fit; a row of NaN, or None, begins at zero. It changes the time taken, not the answer.

        Returns
        -------
        ndarray, shape (R, p)
            Estimates; NaN where none exists (separation), or where the labels are so nearly separated that a statistic in double precision
            does not determine it, and where the statistic is NaN.

        Raises
        ------
        RuntimeError
            Where an estimate exists and 1,000 iterations do not reach it.
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
        start : ndarray, shape (R, p), or None
            Where to begin, as in `fit_statistic`.

        Returns
        -------
        ndarray, shape (R, p)
            Estimates; NaN as in `fit_statistic`, where the rows with weight do not span the columns, and where one of their labels is NaN.

        Raises
        ------
        RuntimeError
            Where an estimate exists and 1,000 iterations do not reach it.
        """
        read = weight > 0
        weight = np.where(read, weight, 0.0)
        total, count = totals(self.design_rows, np.where(read[:, :, None], rows, 0.0), weight)
        mean = total.mean(axis=1, keepdims=True)
        mean[mean == 0] = np.nan
        return self._likelihood.maximise(count / mean @ self.X / self.design_rows, total / mean, start)

    def risk(self, theta: Array) -> Array:
        """Return the risk of each replication's fit.

        Parameters
        ----------
        theta : ndarray, shape (R, p)
            Fitted coefficients.

        Returns
        -------
        ndarray, shape (R,)
            Mean Kullback-Leibler divergence from the truth over the rows of X, or with observed labels the mean log loss, in nats; NaN
            where theta is.
        """
        # Both are nonnegative; rounding can leave a divergence a last digit below zero.
        return np.maximum(_mean_loss(theta, self._risk_X, self._risk_statistic) - self._least_loss, 0.0)

    def _check_observed(self, rows: int) -> None:
        if rows != self.design_rows:
            raise ValueError(
                f"observed labels y make one real batch of {self.design_rows} rows, and the plan asks for {rows}; "
                "use a real batch of size 1."
            )


class _Likelihood:
    """The logistic log-likelihood of one design, in coordinates in which the design's columns are orthonormal.

    With rows q and probabilities p = (1 + tanh(q'theta / 2)) / 2 a replication's data are its target, the weighted mean of q (y - 1/2); the
    gradient of the mean log-likelihood is target - mean of q (p - 1/2), and minus the Hessians of all replications are one matrix product,
    of p (1 - p) with the products of pairs of columns. Hessians are kept as upper triangles by rows, (p (p + 1) / 2, R).
    """

    def __init__(self, X: Array) -> None:
        n, columns = X.shape
        basis, triangle = np.linalg.qr(X)
        self.design = basis * np.sqrt(n)
        self.from_original = triangle / np.sqrt(n)
        self.to_original: Array = np.linalg.inv(self.from_original)
        self.half_design, self.half_mean = 0.5 * self.design, 0.5 * self.design / n
        self.half_total = self.half_mean.sum(axis=0)
        first, second = np.triu_indices(columns)
        self.products = (self.design[:, first] * self.design[:, second]).T / n
        self.quarter_products = 0.25 * self.products
        self.ridge = RIDGE * (first == second)[:, None]
        self.entry = np.empty((columns, columns), dtype=np.intp)
        self.entry[first, second] = self.entry[second, first] = np.arange(first.size)
        self.reach = float(np.sqrt((self.design**2).sum(axis=1).max()))
        self.steep = (float(np.log(4.0 * FLAT)) / self.reach) ** 2

    def maximise(self, statistic: Array, weight: Array | None, start: Array | None) -> Array:
        """Return the maximiser for each replication, in the original coordinates.

        `statistic` (R, p) holds weighted means of x y, `weight` (R, n) the rows' weights with mean 1, or None where all are 1.
        """
        target = statistic @ self.to_original - (self.half_total if weight is None else weight @ self.half_mean)
        answer = np.full(target.shape, np.nan)
        theta = np.zeros(target.shape) if start is None else start @ self.from_original.T
        theta[~np.isfinite(theta)] = 0.0
        usable = np.isfinite(target).all(axis=1)
        if weight is not None:
            usable[usable] = ~_singular(self._gram(weight[usable], self.products), DEPENDENT, self.entry)
        row = np.flatnonzero(usable)
        if not row.size:
            return answer
        theta, target, weight = theta[row], target[row], _take(weight, row)
        hessian = np.empty((self.products.shape[0], row.size))
        gradient, step = np.empty(theta.shape), np.zeros(theta.shape)
        decrement, moved = np.zeros(row.size), np.zeros(row.size)
        fresh: NDArray[np.bool_] = np.ones(row.size, dtype=bool)
        for iteration in range(PATIENCE + 1):
            for block in _blocks(row.size, self.design.shape[0]):
                signed, gradient[block] = self._evaluate(theta[block], target[block], _take(weight, block))
                long = moved[block] > SURE
                if np.count_nonzero(long):
                    # The slope at the end of the step is negative: the gradient has turned against it. Halve the step until it turns no
                    # more, or is short enough to raise the likelihood for sure. A small overshoot is let pass: it mostly saves an
                    # iteration.
                    back = np.flatnonzero(long) + block.start
                    while back.size:
                        back = back[(np.vecdot(step[back], gradient[back]) < -0.5 * decrement[back]) & (moved[back] > SURE)]
                        step[back] *= 0.5
                        decrement[back] *= 0.5
                        moved[back] *= 0.5
                        theta[back] -= step[back]
                        fresh[back] = True
                        signed[back - block.start], gradient[back] = self._evaluate(theta[back], target[back], _take(weight, back))
                new = fresh[block]
                if np.count_nonzero(new) == new.size:
                    hessian[:, block] = self._hessian(signed, _take(weight, block))
                elif np.count_nonzero(new):
                    inside = np.flatnonzero(new)
                    hessian[:, inside + block.start] = self._hessian(signed[inside], _take(weight, inside + block.start))
            moved[fresh] = 0.0
            step = _solve(hessian, gradient, self.entry)
            decrement = np.vecdot(step, gradient)
            # A Hessian seen from a point that differs by at most s in every margin is within a factor exp(s) of the one there. Averaged
            # over this step, that bounds the next decrement by e exp(3 e) times this one: the evaluation that would only confirm
            # convergence is saved.
            length = self.reach * np.sqrt(np.vecdot(step, step))
            inexact = moved + 0.5 * length
            predicted = SLACK * decrement * inexact * inexact
            # On separated labels, wherever theta is, a Newton step moves some margin by at least 1: a short step proves that an estimate
            # exists.
            stay = (predicted > DECREMENT) | (inexact > SHORT)
            theta += step
            if np.count_nonzero(stay) < row.size:
                done = np.flatnonzero(~stay)
                answer[row[done]] = self._determined(theta[done], hessian, done)
                if done.size == row.size:
                    break
            moved += length
            # One more step with the Hessian at hand costs less than a new one where it is sure to be the last.
            fresh = predicted * moved * moved > DECREMENT
            if iteration == 0 and np.count_nonzero(decrement > 1.0):
                # At zero no labels have a decrement above 1: a start with a larger one, near 0 and 1 on the wrong side, is worse than none.
                lost = decrement > 1.0
                theta[lost], step[lost] = 0.0, 0.0
            if iteration > 2:
                stay[stay] = ~self._separates(theta[stay], target[stay], _take(weight, stay))
                if iteration in SUSPICION and np.count_nonzero(stay):
                    stay[stay] = ~self._separates(self._runaway(step[stay]), target[stay], _take(weight, stay))
                if iteration == PATIENCE:
                    stay[stay] = ~self._proved_separated(target[stay], _take(weight, stay))
                    for hard in np.flatnonzero(stay):
                        one = slice(hard, hard + 1)
                        found, curvature = self._search(target[one], _take(weight, one))
                        answer[row[hard]] = self._determined(found, curvature, np.zeros(1, dtype=np.intp))[0]
                    break
            if not np.count_nonzero(stay):
                break
            if np.count_nonzero(stay) < row.size:
                row, theta, target, weight, hessian = row[stay], theta[stay], target[stay], _take(weight, stay), hessian[:, stay]
                gradient, step, decrement, moved, fresh = gradient[stay], step[stay], decrement[stay], moved[stay], fresh[stay]
        fitted: Array = answer @ self.to_original.T
        return fitted

    def _search(self, target: Array, weight: Array | None) -> tuple[Array, Array]:
        """Return the maximiser (1, p) of one replication and minus the Hessian there.

        Newton's iteration from zero, each step as long as its slope allows. For labels that are nearly separated: there the whole step is far
        too long at one iterate and far too short at the next.
        """
        theta = np.zeros(target.shape)
        for _ in range(ITERATIONS):
            signed, gradient = self._evaluate(theta, target, weight)
            hessian = self._hessian(signed, weight)
            step = _solve(hessian, gradient, self.entry)
            decrement = float(np.vecdot(step, gradient)[0])
            if decrement <= DECREMENT or (decrement <= NEGLIGIBLE and _singular(hessian, FLAT, self.entry)[0]):
                return theta, hessian
            share, low, high = 1.0, 0.0, np.inf
            for _ in range(BISECTIONS):
                slope = float(np.vecdot(step, self._evaluate(theta + share * step, target, weight)[1])[0])
                if abs(slope) <= 0.1 * decrement:
                    break
                low, high = (share, high) if slope > 0 else (low, share)
                share = 2.0 * low if np.isinf(high) else 0.5 * (low + high)
            theta = theta + share * step
        raise RuntimeError(
            f"a logistic fit has an estimate but did not reach it in {ITERATIONS} iterations: "
            "the labels are separated but for rounding, or X is too ill-conditioned; rescale X or drop nearly dependent columns"
        )

    def _evaluate(self, theta: Array, target: Array, weight: Array | None) -> tuple[Array, Array]:
        """Return 2 p - 1 for every row (R, n), p the probability of label 1, and the gradient (R, p) of the mean log-likelihood."""
        signed: Array = theta @ self.half_design.T
        np.tanh(signed, out=signed)
        return signed, target - (signed if weight is None else signed * weight) @ self.half_mean

    def _hessian(self, signed: Array, weight: Array | None) -> Array:
        """Return minus the Hessian of the mean log-likelihood, from 2 p - 1."""
        curvature = signed * signed
        np.subtract(1.0, curvature, out=curvature)
        if weight is not None:
            curvature *= weight
        return self._gram(curvature, self.quarter_products)

    def _gram(self, weight: Array, products: Array) -> Array:
        """Return the weighted sums of pairs' products, with a touch of the identity that keeps them invertible."""
        gram: Array = products @ weight.T
        gram += self.ridge
        return gram

    def _determined(self, theta: Array, hessian: Array, done: NDArray[np.intp]) -> Array:
        """Return theta, NaN where its Hessian (column `done`) is flat in some direction.

        The labels are then separated, or so nearly that rounding decides. The smallest eigenvalue is at least the smallest p (1 - p), so
        that only fits with a large margin need a look.
        """
        look = np.vecdot(theta, theta) > self.steep
        if np.count_nonzero(look):
            theta[np.flatnonzero(look)[_singular(hessian[:, done[look]], FLAT, self.entry)]] = np.nan
        return theta

    def _separates(self, theta: Array, target: Array, weight: Array | None) -> NDArray[np.bool_]:
        """Tell where theta separates the labels: no margin is on the wrong side.

        Half the mean absolute margin less target'theta is the mean of the absolute margin times the share of labels it misclassifies. As a
        share of the mean absolute margin it bounds from above how far from 0 and 1 probabilities with the same statistic can all be kept
        (linear duality), for any theta.
        """
        separates = np.empty(theta.shape[0], dtype=bool)
        for block in _blocks(theta.shape[0], self.design.shape[0]):
            size = np.abs(theta[block] @ self.design.T)
            each = _take(weight, block)
            if each is not None:
                size *= each
            absolute = size.mean(axis=1)
            separates[block] = 0.5 * absolute - np.vecdot(theta[block], target[block]) < SEPARATED * absolute
        return separates

    def _runaway(self, step: Array) -> Array:
        """Return the part of Newton steps that leaves the margins alone that they hardly move.

        Under quasi-complete separation steps soon do nothing but send some margins away, by about 1 each; that part then shows which, at
        rounding's precision.
        """
        runaway = np.empty(step.shape)
        for block in _blocks(step.shape[0], self.design.size):
            moves = np.abs(step[block] @ self.design.T)
            resting = moves < 0.05 * moves.max(axis=1, keepdims=True)
            _, size, direction = np.linalg.svd(self.design * resting[:, :, None], full_matrices=False)
            along = np.einsum("rkp,rp->rk", direction, step[block]) * (size <= 1e-10 * np.sqrt(self.design.shape[0]))
            runaway[block] = np.einsum("rk,rkp->rp", along, direction)
        return runaway

    def _proved_separated(self, target: Array, weight: Array | None) -> NDArray[np.bool_]:
        """Tell where a linear programme finds a theta that separates the labels, all of them or all but those it gives margin zero.

        An estimate exists exactly where probabilities strictly between 0 and 1 have the statistic of the labels. Write them (1 + u) / 2,
        stretch the statistic away from that of u = 0 and ask how far it can go with u in [-1, 1]: beyond 1, or not. The multipliers are the
        theta that attains the bound of `_separates`, which has the last word.
        """
        from scipy.optimize import linprog

        proved = np.zeros(target.shape[0], dtype=bool)
        for replication in range(target.shape[0]):
            one = slice(replication, replication + 1)
            rows = self.half_mean if weight is None else (self.half_mean * weight[replication, :, None])[weight[replication] > 0]
            result = linprog(
                np.append(np.zeros(rows.shape[0]), -1.0),
                A_eq=np.column_stack([rows.T, -target[replication]]),
                b_eq=np.zeros(target.shape[1]),
                bounds=[(-1.0, 1.0)] * rows.shape[0] + [(0.0, None)],
                options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
            )
            if result.status == 0:
                proved[replication] = self._separates(result.eqlin.marginals[None], target[one], _take(weight, one))[0]
        return proved


def _solve(packed: Array, right: Array, entry: NDArray[np.intp]) -> Array:
    """Solve positive definite systems, their upper triangles by rows (p (p + 1) / 2, R), for right sides (R, p)."""
    replications, columns = right.shape
    if replications == 1:
        from scipy.linalg.lapack import dposv

        # a third of the time of numpy.linalg.solve, which looks at its arguments for longer than it solves
        _, alone, indefinite = dposv(packed[:, 0].take(entry), right[0])
        if not indefinite:
            return np.asarray(alone[None], dtype=float)
    if replications < MANY:
        return np.asarray(np.linalg.solve(packed.take(entry, axis=0).transpose(2, 0, 1), right[:, :, None])[:, :, 0], dtype=float)
    # Elimination without pivots, each step over all replications at once: for many small systems faster than one call of LAPACK for each.
    ends = np.arange(columns, 0, -1).cumsum()
    rows = [packed[end - columns + k : end].copy() for k, end in enumerate(ends)]
    solution = right.T.copy()
    for k, row in enumerate(rows):
        share = row[1:] / row[0]
        for i in range(columns - k - 1):
            rows[k + 1 + i] -= share[i] * row[1 + i :]
        solution[k + 1 :] -= share * solution[k]
        row[1:] = share
    for k in reversed(range(columns)):
        solution[k] = solution[k] / rows[k][0] - (rows[k][1:] * solution[k + 1 :]).sum(axis=0)
    return np.ascontiguousarray(solution.T)


def _singular(packed: Array, least: float, entry: NDArray[np.intp]) -> NDArray[np.bool_]:
    # The trace of the inverse is within a factor p of the smallest eigenvalue's inverse, and much cheaper than eigenvalues.
    singular: NDArray[np.bool_] = np.trace(np.linalg.inv(packed[entry].transpose(2, 0, 1)), axis1=1, axis2=2) > 1.0 / least
    return singular


def _mean_loss(theta: Array, X: Array, statistic: Array) -> Array:
    """Return the mean log loss of theta (R, p) on rows X with mean x y `statistic`, (R,)."""
    loss = np.empty(theta.shape[0])
    for block in _blocks(theta.shape[0], X.shape[0]):
        margin = theta[block] @ X.T
        # log(1 + exp(m)) without overflow: max(m, 0) + log(1 + exp(-|m|)).
        tail = np.abs(margin)
        np.negative(tail, out=tail)
        np.exp(tail, out=tail)
        np.log1p(tail, out=tail)
        np.maximum(margin, 0.0, out=margin)
        tail += margin
        loss[block] = np.add.reduce(tail, axis=1)
    loss /= X.shape[0]
    loss -= theta @ statistic
    return loss


def _probability(margin: Array) -> Array:
    # The hyperbolic tangent cannot overflow: 1 / (1 + exp(-m)) = (1 + tanh(m / 2)) / 2.
    share = 0.5 * margin
    np.tanh(share, out=share)
    share *= 0.5
    share += 0.5
    return share


def _take(weight: Array | None, rows: NDArray[np.intp] | NDArray[np.bool_] | slice) -> Array | None:
    return None if weight is None else weight[rows]


def _blocks(replications: int, rows: int) -> Iterator[slice]:
    size = max(1, CELLS // rows)
    return (slice(start, min(start + size, replications)) for start in range(0, replications, size))


def _check_labels(y: ArrayLike, rows: int, name: str) -> Array:
    label = check_vector(y, rows, name)
    other = np.setdiff1d(label, (0.0, 1.0))
    if other.size:
        raise ValueError(f"{name} must hold labels 0 and 1; it holds {other[0]:g} too. Recode the two classes as 0 and 1.")
    return label


def _check_test(test: tuple[ArrayLike, ArrayLike], columns: int) -> tuple[Array, Array]:
    if len(test) != 2:
        raise ValueError("test must be a tuple of two arrays, covariates and labels.")
    X = np.array(test[0], dtype=float)
    if X.ndim != 2 or X.shape[1] != columns or X.shape[0] == 0:
        raise ValueError(f"the test X must have shape (m, {columns}), with the columns of X; it has shape {X.shape}.")
    if not np.isfinite(X).all():
        raise ValueError("the test X must be finite. Drop or impute missing values first.")
    return X, _check_labels(test[1], X.shape[0], "the test y")


@register(
    "Logistic",
    n=400,
    group="regression",
    why="maximum likelihood with vanishing leverage, separation aside",
    page="regression",
    allowance=0.1,
)
def example_logistic() -> LogisticRegression:
    return LogisticRegression(example_design(400, 3), [0.3, 0.6, -0.4])
