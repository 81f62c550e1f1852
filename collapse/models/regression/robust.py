"""Linear regression by an estimator that is not maximum likelihood."""

from typing import Any, Final

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from collapse.checks import check_size
from collapse.models.protocols import Array
from collapse.models.registry import register
from collapse.models.regression.design import example_design, on_rows
from collapse.models.regression.linear import NormalErrors

ITERATIONS: Final = 500
EXACT: Final = 1e-12
"""Largest change of a fitted value, in units of sigma, over the last step, in the mean square over
the design, or that share of them.
"""

DEPENDENT: Final = 1e-10
"""Eigenvalue of weighted rows' Gram matrix, in coordinates in which the design's own is the
identity, below which they do not span.
"""

TOUCH: Final = 1e-9
"""Share of the Gram matrix of all rows that keeps Newton's system regular where few rows are
inside.
"""


class HuberRegression(NormalErrors):
    """Huber's regression on a reused design: normal errors of known scale, residuals beyond k sigma
    pulled in.

    A fit minimises the sum of rho(y - x'theta), quadratic up to k sigma and linear beyond [1]_.
    Synthetic labels are drawn with normal errors around the fit. Every label counts by itself, so
    that there is no mean statistic: a fit reads rows.

    Parameters
    ----------
    X : array_like, shape (n, p)
        The whole design, finite, of full column rank.
    beta : array_like, shape (p,)
        True coefficients. Risk is the mean of (x'(theta - beta))^2 over the rows of X.
    sigma : float
        Standard deviation of the errors, known to the estimator.
    k : float, optional
        Where the loss turns from quadratic to linear, in units of sigma; 1.345 has 95 % of the
        efficiency of least squares.

    Attributes
    ----------
    truth : ndarray, shape (p,)
        `beta`.
    limit_risk : float
        sigma^2 p times E psi^2 / (E psi')^2: n times the risk of the first fit tends to it.

    Raises
    ------
    ValueError
        Where X and beta do not fit together, or sigma or k is not positive.

    References
    ----------
    .. [1] P. J. Huber, "Robust regression: asymptotics, conjectures and Monte Carlo", Annals of
       Statistics 1 (1973).

    Examples
    --------
    >>> X = np.column_stack([np.ones(50), np.linspace(-1, 1, 50)])
    >>> model = HuberRegression(X, beta=[1, 2], sigma=3)
    >>> round(18 / model.limit_risk, 3)  # efficiency against least squares
    0.95
    """

    def __init__(self, X: ArrayLike, beta: ArrayLike, sigma: float, k: float = 1.345) -> None:
        super().__init__(X, beta, sigma)
        check_size(k, "k", 1e-3)
        self.k = float(k)
        self._shown = {**self._shown, "k": float(f"{self.k:.4g}")}
        n, p = self.X.shape
        self._design = self._basis * np.sqrt(n)
        self._products = (self._design[:, :, None] * self._design[:, None, :]).reshape(n, p * p)
        inside = 2 * scipy.special.ndtr(self.k) - 1
        density = np.exp(-0.5 * self.k**2) / np.sqrt(2 * np.pi)
        square = inside - 2 * self.k * density + self.k**2 * (1 - inside)
        self.deviation = self._deviation
        self.limit_risk = self.sigma**2 * p * float(square / inside**2)

    def fit(self, rows: Array, weight: Array, start: Array | None) -> Array:
        """Return the minimisers; NaN where rows do not span, or `ITERATIONS` do not end.

        Newton's iteration: the loss is quadratic in pieces, so that a step after which every row is
        still on its side is the last but one. A step that raises the loss is replaced by the best
        along its line [1]_.

        References
        ----------
        .. [1] K. Madsen and H. B. Nielsen, "Finite algorithms for robust linear regression", BIT 30
           (1990).
        """
        read = weight > 0
        index = np.where(read, rows[:, :, 0], 0.0).astype(np.intp)
        label = np.where(read, rows[:, :, 1], 0.0) / self.sigma
        weight = np.where(read, weight, 0.0)
        weight /= np.maximum(weight.sum(axis=1, keepdims=True), np.finfo(float).tiny)
        gram = self._gram(index, weight)
        answer = np.full((len(rows), self.X.shape[1]), np.nan)
        theta = np.zeros(answer.shape) if start is None else start @ self._metric / self.sigma
        theta[~np.isfinite(theta).all(axis=1)] = 0.0
        spans = np.linalg.eigvalsh(gram)[:, 0] > DEPENDENT
        at = np.flatnonzero(spans & np.isfinite(label).all(axis=1))
        data: Any = index[at], label[at], weight[at]
        touch, theta = TOUCH * gram[at], theta[at]
        step, least = np.zeros(theta.shape), np.full(len(at), np.inf)
        for _ in range(ITERATIONS):
            if not len(at):
                break
            loss, gradient, inside = self._evaluate(theta, *data)
            # halve steps that raise the loss; its last figures are rounding
            far = np.flatnonzero(loss > least + 1e-14 * (1 + least))
            while far.size:
                step[far] *= 0.5
                theta[far] -= step[far]
                some = (each[far] for each in data)
                loss[far], gradient[far], inside[far] = self._evaluate(theta[far], *some)
                far = far[loss[far] > least[far] + 1e-14 * (1 + least[far])]
            curvature = self._gram(data[0], inside) + touch
            step = np.linalg.solve(curvature, gradient[:, :, None])[:, :, 0]
            theta = theta + step
            stay = np.vecdot(step, step) > EXACT**2 * (1 + np.vecdot(theta, theta))
            answer[at[~stay]] = theta[~stay]
            at, touch, theta, step, least, *data = (
                each[stay] for each in (at, touch, theta, step, loss, *data)
            )
        return np.asarray(answer @ self._lift * self.sigma)

    def influence_function(self, rows: Array, theta: Array) -> Array:
        """Return the influence of each row (R, N, 2) on the fit theta (R, p), (R, N, p): n times
        its change with the row's weight.
        """
        index = rows[:, :, 0].astype(np.intp)
        rest = (rows[:, :, 1] - np.take_along_axis(theta @ self.X.T, index, axis=1)) / self.sigma
        curvature = self._gram(index, (np.abs(rest) <= self.k) / rest.shape[1])
        score = np.clip(rest, -self.k, self.k)[:, :, None] * self._design[index]
        return np.asarray(np.linalg.solve(curvature, score.mT).mT @ self._lift * self.sigma)

    def _gram(self, index: NDArray[np.intp], weight: Array) -> Array:
        """Weighted Gram matrices (R, p, p) of the whitened design."""
        gram = on_rows(self.design_rows, index, weight) @ self._products
        return np.asarray(gram.reshape(-1, self.X.shape[1], self.X.shape[1]))

    def _evaluate(
        self, theta: Array, index: NDArray[np.intp], label: Array, weight: Array
    ) -> tuple[Array, Array, Array]:
        """Loss (R,), minus its gradient (R, p) and the weight of rows inside (R, N), in units of
        sigma.
        """
        rest = label - np.take_along_axis(theta @ self._design.T, index, axis=1)
        pulled = np.clip(rest, -self.k, self.k)
        gradient = on_rows(self.design_rows, index, weight * pulled) @ self._design
        loss = np.vecdot(weight, pulled * (rest - 0.5 * pulled))
        return loss, gradient, weight * (pulled == rest)


@register(
    "Huber regression",
    n=100,
    group="regression",
    why="an M-estimator with a monotone bounded score, regular though not maximum likelihood",
    page="glm",
    allowance=0.05,
)
def example_huber_regression(rows: int = 100) -> HuberRegression:
    return HuberRegression(example_design(rows, 2), [1.0, -0.5], sigma=1.0)
