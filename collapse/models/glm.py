"""Logistic regression on a reused design, by a safeguarded Newton iteration batched over replications."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from collapse.models.base import Array, DrawsFromTruth, replicate

CELLS: Final = 1 << 16
"""Replications times rows worked on at once: half a megabyte an array, so that a block stays in a core's cache."""

DECREMENT: Final = 1e-10
"""Largest Newton decrement, predicted for the next iterate, at which a fit is done (mean log-likelihood, square root of twice its shortfall)."""

SEPARATED: Final = 1e-10
"""Share of misclassified absolute margin below which labels count as separated.

Rounding leaves about 1e-15 of a true zero. An estimate that exists although the share is as small has fitted probabilities within about 1e-10 of 0 or 1,
where a mean statistic in double precision no longer determines it.
"""

PATIENCE: Final = 25
"""Iterations after which a fit must be explained: a linear programme decides whether an estimate exists. Ordinary fits take three to twelve."""

ITERATIONS: Final = 500

RIDGE: Final = 1e-14
"""Added to the Hessian's diagonal, in coordinates in which the design's own Gram matrix is the identity."""

SINGULAR: Final = 1e-10
"""Eigenvalue of weighted rows' Gram matrix, in the same coordinates, below which they do not span the columns."""

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
    loss = np.empty(theta.shape[0])
    statistic = label @ X / X.shape[0]
    for block in _blocks(theta.shape[0], X.shape[0]):
        margin = theta[block] @ X.T
        # log(1 + exp(m)) without overflow: max(m, 0) + log(1 + exp(-|m|)).
        tail = np.abs(margin)
        np.negative(tail, out=tail)
        np.exp(tail, out=tail)
        np.log1p(tail, out=tail)
        np.maximum(margin, 0.0, out=margin)
        tail += margin
        loss[block] = tail.mean(axis=1) - theta[block] @ statistic
    return loss


class LogisticRegression(DrawsFromTruth):
    """Logistic regression by maximum likelihood on a design whose rows every batch labels again.

    The labels enter the fit through the mean over the batch's rows of x y alone (the link is canonical), so whole batches need no rows: their mean
    statistics average. Real labels are either drawn from a true `beta` in every replication, or observed once and for all as `y`.

    Parameters
    ----------
    X : array_like, shape (n, p)
        The whole design, finite, of full column rank, with at least as many rows as columns. A column of ones, where one is wanted, is the caller's.
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
        Where not exactly one of `beta` and `y` is given, or an array has the wrong shape or values, or the columns of X are linearly dependent.

    Notes
    -----
    No estimate exists where a hyperplane separates the labels, completely or quasi-completely [1]_; such a fit is a row of NaN.

    References
    ----------
    .. [1] A. Albert and J. A. Anderson, "On the existence of maximum likelihood estimates in logistic regression models", Biometrika 71 (1984).

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
        if (beta is None) == (y is None):
            given = "neither" if y is None else "both"
            raise ValueError(
                f"expected exactly one of beta and y, got {given}: give beta to draw the real labels from a true model, or y for labels observed"
            )
        self.X = _design(X)
        self.design_rows, columns = self.X.shape
        self.limit_risk = columns / 2
        self._likelihood = _Likelihood(self.X)
        self._label: Array | None = None
        if y is not None:
            self._label = _labels(y, self.design_rows, "y")
            self._statistic = self._label @ self.X / self.design_rows
            self.truth = self.fit_statistic(self._statistic[None], None)[0]
            self._risk_X, self._risk_label = (self.X, self._label) if test is None else _test_set(test, columns)
            self._least_loss = 0.0
        else:
            if test is not None:
                raise ValueError(
                    "expected no test set beside a true beta, got one: risk is then measured against the truth; give y to use a test set"
                )
            self.truth = np.array(beta, dtype=float)
            if self.truth.shape != (columns,):
                raise ValueError(f"expected beta of shape ({columns},), one entry for each column of X, got {self.truth.shape}")
            if not np.isfinite(self.truth).all():
                raise ValueError("expected finite beta, got NaN or infinite entries; remove or replace them")
            self._risk_X, self._risk_label = self.X, probability(self.truth[None], self.X)[0]
            self._least_loss = float(log_loss(self.truth[None], self.X, self._risk_label)[0])
        self.truth.flags.writeable = False

    def __repr__(self) -> str:
        world = f"beta={np.array2string(self.truth, precision=4, separator=', ')}" if self._label is None else "observed labels"
        return f"LogisticRegression(n={self.design_rows}, p={self.X.shape[1]}, {world})"

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
        replications = theta.shape[0]
        index = self._draw_index(replications, rows, rng)
        share = np.take_along_axis(probability(theta, self.X), index, axis=1)
        batch = np.empty((replications, rows, 2))
        batch[:, :, 0] = index
        batch[:, :, 1] = rng.random(share.shape) < share
        batch[np.isnan(theta).any(axis=1), :, 1] = np.nan
        return batch

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
        batch = np.column_stack([np.arange(rows, dtype=float), self._label])
        return np.broadcast_to(batch, (replications, rows, 2))

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
                f"expected rows to be a whole multiple of the design's {self.design_rows}, got {rows}: "
                "a mean statistic stands for whole copies of the design; use draw for other sizes"
            )
        statistic = np.empty(theta.shape)
        for block in _blocks(theta.shape[0], self.design_rows):
            share = probability(theta[block], self.X)
            lost = np.isnan(theta[block]).any(axis=1)
            if copies == 1:
                # A 53-bit uniform below the probability: exact to 2^-53.
                count = np.less(rng.random(share.shape), share).astype(float)
            else:
                share[lost] = 0.5
                count = rng.binomial(copies, share) / copies
            statistic[block] = count @ self.X
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
        return replicate(self._statistic, replications)

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
            Estimates; NaN where none exists (separation) and where the statistic is NaN.

        Raises
        ------
        RuntimeError
            Where an estimate exists and 500 iterations do not reach it.
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
            Estimates; NaN where none exists (separation), where the weighted rows do not span the columns, and where a weighted label is NaN.

        Raises
        ------
        RuntimeError
            Where an estimate exists and 500 iterations do not reach it.
        """
        replications, n = rows.shape[0], self.design_rows
        read = weight > 0
        cell = np.where(read, rows[:, :, 0], 0.0).astype(np.intp) + n * np.arange(replications)[:, None]
        positive = np.where(read, weight * rows[:, :, 1], 0.0)
        total = np.bincount(cell.ravel(), np.where(read, weight, 0.0).ravel(), replications * n).reshape(replications, n)
        count = np.bincount(cell.ravel(), positive.ravel(), replications * n).reshape(replications, n)
        mass = total.sum(axis=1, keepdims=True)
        mass[mass == 0] = np.nan
        total /= mass
        count /= mass
        return self._likelihood.maximise(count @ self.X, total, start)

    def risk(self, theta: Array) -> Array:
        """Return the risk of each replication's fit.

        Parameters
        ----------
        theta : ndarray, shape (R, p)
            Fitted coefficients.

        Returns
        -------
        ndarray, shape (R,)
            Mean Kullback-Leibler divergence from the truth over the rows of X, or with observed labels the mean log loss, in nats; NaN where theta is.
        """
        # Both are nonnegative; rounding can leave a divergence a last digit below zero.
        return np.maximum(log_loss(theta, self._risk_X, self._risk_label) - self._least_loss, 0.0)

    def _draw_index(self, replications: int, rows: int, rng: np.random.Generator) -> NDArray[np.intp]:
        copies, rest = divmod(rows, self.design_rows)
        everything = np.arange(self.design_rows)
        index = np.empty((replications, rows), dtype=np.intp)
        index[:, : rows - rest] = np.tile(everything, copies)
        if rest:
            index[:, rows - rest :] = rng.permuted(np.tile(everything, (replications, 1)), axis=1)[:, :rest]
        return index

    def _check_observed(self, rows: int) -> None:
        if rows != self.design_rows:
            raise ValueError(
                f"expected a real batch of {self.design_rows} rows, the observed labels, got {rows}; "
                "give size 1 to real batches, or beta in place of y to draw real labels"
            )


class _Likelihood:
    """The logistic log-likelihood of one design, in coordinates in which the design's columns are orthonormal.

    There a replication's data are its target, the weighted mean of q y, and the gradient of the mean log-likelihood is target - mean of q p. The Hessians of
    all replications are one matrix product, of p (1 - p) with the products of pairs of columns.
    """

    def __init__(self, X: Array) -> None:
        n, columns = X.shape
        basis, triangle = np.linalg.qr(X)
        self.design = basis * np.sqrt(n)
        self.to_original = np.linalg.inv(triangle / np.sqrt(n))
        self.from_original = triangle / np.sqrt(n)
        first, second = np.triu_indices(columns)
        self.products = self.design[:, first] * self.design[:, second]
        self.entry = np.empty((columns, columns), dtype=np.intp)
        self.entry[first, second] = self.entry[second, first] = np.arange(first.size)
        self.reach = float(np.sqrt((self.design**2).sum(axis=1).max()))

    def maximise(self, statistic: Array, weight: Array | None, start: Array | None) -> Array:
        """Return the maximiser for each replication, in the original coordinates.

        `statistic` (R, p) holds weighted means of x y, `weight` (R, n) rows that sum to one or None for 1 / n.
        """
        target = statistic @ self.to_original
        theta = np.zeros(target.shape) if start is None else np.nan_to_num(start) @ self.from_original.T
        for block in _blocks(target.shape[0], self.design.shape[0]):
            theta[block] = self._newton(target[block], None if weight is None else weight[block], theta[block])
        return theta @ self.to_original.T

    def _newton(self, target: Array, weight: Array | None, theta: Array) -> Array:
        answer = np.full(target.shape, np.nan)
        row = np.flatnonzero(np.isfinite(target).all(axis=1))
        if weight is not None:
            row = row[self._span(weight[row])]
        theta, target, weight = theta[row], target[row], _take(weight, row)
        columns = target.shape[1]
        hessian = np.empty((row.size, columns, columns))
        step = np.zeros(theta.shape)
        decrement, moved, fresh = np.zeros(row.size), np.zeros(row.size), np.ones(row.size, dtype=bool)
        for iteration in range(ITERATIONS):
            if not row.size:
                return answer
            margin, share, gradient = self._evaluate(theta, target, weight)

            # The slope at the end of the step is negative: the gradient has turned against it. Where the step was long enough for the likelihood to have
            # fallen, go back to a length that surely raises it. A small overshoot is let pass in the first iterations, where it mostly saves one.
            allowed = 0.5 if iteration < PATIENCE else 0.0
            turned = np.flatnonzero((np.vecdot(step, gradient) < -allowed * decrement) & (moved > SURE))
            if turned.size:
                # Where a whole step moves margins by at most s, the curvature at its share t is at most exp(s t) times the first, so the likelihood
                # rises up to t = log(1 + s) / s.
                longest = np.abs(step[turned] @ self.design.T).max(axis=1)
                theta[turned] -= (1 - np.log1p(longest) / longest)[:, None] * step[turned]
                margin[turned], share[turned], gradient[turned] = self._evaluate(theta[turned], target[turned], _take(weight, turned))
                fresh[turned] = True

            separated = np.zeros(row.size, dtype=bool)
            if iteration > 2:
                separated = self._separates(theta, margin, target, weight)
            if iteration == PATIENCE:
                separated |= self._proved_separated(target, weight)

            renewed = slice(None) if fresh.all() else np.flatnonzero(fresh)
            hessian[renewed] = self._hessian(share[renewed], _take(weight, renewed))
            moved[renewed] = 0.0
            step = np.linalg.solve(hessian, gradient[:, :, None])[:, :, 0]
            theta += step
            decrement = np.vecdot(step, gradient)
            # A Hessian seen from a point that differs by at most s in every margin is within a factor exp(s) of the one there. Its mean over this step bounds
            # the next decrement, quadratic in this one where the Hessian is fresh: the evaluation that would only confirm convergence is saved.
            length = self.reach * np.sqrt(np.vecdot(step, step))
            inexact = np.minimum(moved + 0.5 * length, 30.0)
            predicted = np.sqrt(np.maximum(decrement, 0.0)) * inexact * np.exp(3.0 * inexact)
            done = ~separated & (predicted <= DECREMENT)
            answer[row[done]] = theta[done]
            # One more step with the Hessian at hand costs less than a new one where it is sure to be the last.
            moved += length
            fresh = predicted * np.minimum(moved, 1.0) > 0.5 * DECREMENT
            if iteration == 0:
                # At zero no labels have a decrement above 1: a start with a larger one, near 0 and 1 on the wrong side, is worse than none.
                lost = decrement > 1.0
                theta[lost], step[lost] = 0.0, 0.0

            stay = np.flatnonzero(~(separated | done))
            if stay.size < row.size:
                row, theta, target, weight, hessian = row[stay], theta[stay], target[stay], _take(weight, stay), hessian[stay]
                step, decrement, moved, fresh = step[stay], decrement[stay], moved[stay], fresh[stay]
        raise RuntimeError(
            f"{row.size} of {answer.shape[0]} logistic fits have an estimate but did not reach it in {ITERATIONS} iterations: "
            "the labels are separated but for rounding, or X is too ill-conditioned; rescale X or drop nearly dependent columns"
        )

    def _evaluate(self, theta: Array, target: Array, weight: Array | None) -> tuple[Array, Array, Array]:
        """Return margins (R, n), probabilities (R, n) and the gradient (R, p) of the mean log-likelihood."""
        margin = theta @ self.design.T
        share = _probability(margin)
        return margin, share, target - (share @ self.design / self.design.shape[0] if weight is None else (share * weight) @ self.design)

    def _hessian(self, share: Array, weight: Array | None) -> Array:
        """Return minus the Hessian of the mean log-likelihood (R, p, p)."""
        curvature = share * share
        np.subtract(share, curvature, out=curvature)
        if weight is not None:
            curvature *= weight
        return self._gram(curvature if weight is not None else curvature / self.design.shape[0])

    def _gram(self, curvature: Array) -> Array:
        """Return the weighted sums of q q' (R, p, p), with a touch of the identity that keeps them positive definite where every weight vanishes."""
        gram = (curvature @ self.products)[:, self.entry]
        diagonal = np.arange(gram.shape[1])
        gram[:, diagonal, diagonal] += RIDGE
        return gram

    def _span(self, weight: Array) -> NDArray[np.bool_]:
        """Tell where the rows with weight span the columns: the smallest eigenvalue of their Gram matrix is not rounding."""
        return np.trace(np.linalg.inv(self._gram(weight)), axis1=1, axis2=2) < 1 / SINGULAR

    def _separates(self, theta: Array, margin: Array, target: Array, weight: Array | None) -> NDArray[np.bool_]:
        """Tell where theta separates the labels: no margin is on the wrong side.

        The mean of max(margin, 0) less target'theta is the mean of the absolute margin times the share of labels it misclassifies. As a share of the mean
        absolute margin it bounds from above how far from 0 and 1 probabilities with the same statistic can all be kept (linear duality), for any theta.
        """
        each = np.full(margin.shape[1], 1 / margin.shape[1]) if weight is None else weight
        absolute = np.vecdot(np.abs(margin), each)
        wrong = 0.5 * (np.vecdot(margin, each) + absolute) - np.vecdot(theta, target)
        return wrong < SEPARATED * absolute

    def _proved_separated(self, target: Array, weight: Array | None) -> NDArray[np.bool_]:
        """Tell where a linear programme finds a separating theta, complete or quasi-complete.

        An estimate exists exactly where probabilities strictly between 0 and 1 have the statistic of the labels: keep all of them eps away from 0 and 1 and
        raise eps. The multipliers of the statistic are a theta that attains the bound of `_separates`, which is what is checked in the end.
        """
        from scipy.optimize import linprog
        from scipy.sparse import eye_array, hstack

        proved = np.zeros(target.shape[0], dtype=bool)
        for replication in range(target.shape[0]):
            each = np.full(self.design.shape[0], 1 / self.design.shape[0]) if weight is None else weight[replication]
            inside = each > 0
            rows, size = (self.design * each[:, None])[inside], int(inside.sum())
            # Probabilities are s + eps with s >= 0 and s + 2 eps <= 1.
            result = linprog(
                np.append(np.zeros(size), -1.0),
                A_ub=hstack([eye_array(size), np.full((size, 1), 2.0)]),
                b_ub=np.ones(size),
                A_eq=np.vstack([rows, rows.sum(axis=0)]).T,
                b_eq=target[replication],
                bounds=[(0, None)] * size + [(None, None)],
                options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
            )
            if result.status == 0:
                theta = result.eqlin.marginals[None]
                one = None if weight is None else weight[replication : replication + 1]
                proved[replication] = self._separates(theta, theta @ self.design.T, target[replication : replication + 1], one)[0]
        return proved


def _probability(margin: Array) -> Array:
    # The hyperbolic tangent cannot overflow: 1 / (1 + exp(-m)) = (1 + tanh(m / 2)) / 2.
    share = 0.5 * margin
    np.tanh(share, out=share)
    share *= 0.5
    share += 0.5
    return share


def _take(weight: Array | None, rows: NDArray[np.intp] | slice) -> Array | None:
    return None if weight is None else weight[rows]


def _blocks(replications: int, rows: int) -> Iterator[slice]:
    size = max(1, CELLS // rows)
    return (slice(start, min(start + size, replications)) for start in range(0, replications, size))


def _design(X: ArrayLike) -> Array:
    design = np.array(X, dtype=float)
    if design.ndim != 2 or design.shape[1] == 0:
        raise ValueError(
            f"expected X of shape (n, p), rows by columns, got shape {design.shape}; make a single covariate a column, X[:, None]"
        )
    if not np.isfinite(design).all():
        raise ValueError("expected finite X, got NaN or infinite entries; drop or impute those rows")
    n, columns = design.shape
    if n < columns:
        raise ValueError(f"expected at least as many rows as columns in X, got {n} rows and {columns} columns; drop columns or add rows")
    # Columns of unit length: a column in other units is not a dependent one.
    length = np.sqrt((design**2).sum(axis=0))
    rank = int(np.linalg.matrix_rank(design / np.where(length > 0, length, 1.0)))
    if rank < columns:
        raise ValueError(
            f"expected X of full column rank, got rank {rank} with {columns} columns; "
            "drop constant or dependent columns (a column of ones beside a full set of dummies is the usual case)"
        )
    design.flags.writeable = False
    return design


def _labels(y: ArrayLike, rows: int, name: str) -> Array:
    label = np.array(y, dtype=float)
    if label.shape != (rows,):
        raise ValueError(f"expected {name} of shape ({rows},), one label for each row of its covariates, got {label.shape}")
    if not np.isin(label, (0.0, 1.0)).all():
        raise ValueError(
            f"expected labels 0 or 1 in {name}, got {np.setdiff1d(label, (0.0, 1.0))[:3].tolist()} among them; recode the two classes as 0 and 1"
        )
    label.flags.writeable = False
    return label


def _test_set(test: tuple[ArrayLike, ArrayLike], columns: int) -> tuple[Array, Array]:
    if not isinstance(test, tuple) or len(test) != 2:
        raise ValueError("expected test=(X_test, y_test), a tuple of two arrays; pass both")
    X = np.array(test[0], dtype=float)
    if X.ndim != 2 or X.shape[1] != columns or X.shape[0] == 0:
        raise ValueError(f"expected a test X of shape (m, {columns}), the columns of X, got {X.shape}; prepare both by the same steps")
    if not np.isfinite(X).all():
        raise ValueError("expected a finite test X, got NaN or infinite entries; drop or impute those rows")
    return X, _labels(test[1], X.shape[0], "the test y")
