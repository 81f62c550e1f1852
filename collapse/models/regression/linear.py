"""Linear regression with normal errors on a reused design: least squares, and an estimator that is
not maximum likelihood.
"""

from typing import Any, Final

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from collapse.checks import check_size, counted, require
from collapse.models.expansion import SecondOrder
from collapse.models.protocols import Array
from collapse.models.regression.design import (
    OnDesign,
    check_test,
    check_vector,
    labelled,
    on_example_design,
    on_rows,
    totals,
)
from collapse.models.regression.family import Normal
from collapse.models.regression.newton import DEPENDENT

ITERATIONS: Final = 500
EXACT: Final = 1e-12
"""Largest change of a fitted value, in units of sigma, over the last step, in the mean square over
the design, or that share of them.
"""

TOUCH: Final = 1e-9
"""Share of the Gram matrix of all rows that keeps Newton's system regular where few rows are
inside.
"""


class NormalErrors(OnDesign):
    """A regression whose labels have normal errors of known variance about x'beta."""

    def __init__(
        self,
        X: ArrayLike,
        beta: ArrayLike | None = None,
        sigma: float | None = None,
        y: ArrayLike | None = None,
        test: tuple[ArrayLike, ArrayLike] | None = None,
    ) -> None:
        super().__init__(X, beta, y, test)
        n, p = self.X.shape
        self._basis, upper = np.linalg.qr(self.X)
        self._metric = upper.T / np.sqrt(n)
        self._lift = np.linalg.inv(self._metric)
        if y is None:
            self.truth = check_vector(beta, p, "beta")
            self._mean = (self.X @ self.truth)[None]
            require(
                sigma is not None,
                "sigma (standard deviation of the errors) is needed with a true beta.",
            )
        else:
            self.observed = check_vector(y, n, "y")
            self._statistic = self.observed @ self._basis / np.sqrt(n)
            self.truth = self._statistic @ self._lift
            require(
                not (sigma is None and n == p),
                f"sigma cannot be estimated from n = p = {counted(n, 'row')}; give sigma, or"
                " more rows.",
            )
            if sigma is None:
                sigma = np.sqrt(((self.observed - self.X @ self.truth) ** 2).sum() / (n - p))
        self.sigma = float(check_size(sigma, "sigma"))
        self.family = Normal(self.sigma**2)
        self._shown = {"sigma": float(f"{self.sigma:.4g}")}

    def risk(self, theta: Array) -> Array:
        """Return the mean of (x'(theta - beta))^2 over the rows of X, (R,)."""
        # a product with ones is faster than a sum along a short axis
        return np.asarray(self._deviation(theta) ** 2 @ np.ones(len(self.truth)))

    def _deviation(self, theta: Array) -> Array:
        """Whitened error (R, p), whose squares sum to the risk."""
        return np.asarray((theta - self.truth) @ self._metric)


@on_example_design(
    "Least squares",
    [1.0, -0.5, 0.5],
    n=60,
    why="linear in the labels: exact at every n where batches are read whole",
    page="regression",
    allowance=0.25,
    effort=0.3,
    sigma=1.0,
)
class LinearRegression(NormalErrors):
    """Least squares with normal errors on a fixed design whose labels alone are synthetic.

    Parameters
    ----------
    X : array_like, shape (n, p)
        The whole design; its column of ones is the caller's.
    beta : array_like, shape (p,), optional
        True coefficients: real labels are drawn from them in every replication, and the risk is the
        mean of (x'(b - beta))^2 over the rows of X.
    sigma : float, optional
        Standard deviation of the errors. May be left out with `y`: then the residual one, with n -
        p degrees of freedom.
    y : array_like, shape (n,), optional
        Observed labels, in place of beta: the real batch is what it is in every replication.
    test : tuple of (array_like (m, p), array_like (m,)), optional
        Test set for observed labels: the risk is the mean squared error on it (on the real data
        where left out).

    Attributes
    ----------
    first_risk : float
        Risk of a fit to n rows, sigma^2 p / n: exact at every n. Only with a true beta.

    Raises
    ------
    ValueError
        Where X, beta, y or test do not fit together.

    Notes
    -----
    With every batch read whole, Cov theta_g = ratio_g sigma^2 (X'X)^-1 at every n (Gerstgrasser et
    al. 2024).

    Examples
    --------
    >>> import numpy as np, collapse
    >>> X = np.column_stack([np.ones(50), np.arange(50.0)])
    >>> model = collapse.models.LinearRegression(X, beta=[1, 2], sigma=3)
    >>> collapse.derive(collapse.workflows.discard(3), model=model).risk
    array([0.36, 0.72, 1.08])
    """

    def __init__(
        self,
        X: ArrayLike,
        beta: ArrayLike | None = None,
        sigma: float | None = None,
        *,
        y: ArrayLike | None = None,
        test: tuple[ArrayLike, ArrayLike] | None = None,
    ) -> None:
        super().__init__(X, beta, sigma, y, test)
        n, p = self.X.shape
        self.limit_risk = self.sigma**2 * p
        self.exact_form = "fixed design" if self.observed is None else None
        if self.observed is None:
            self.first_risk = self.limit_risk / n
            self.deviation = self._deviation
        else:
            self.test = (self.X, self.observed) if test is None else check_test(test, p)

    def second_order(self) -> SecondOrder | None:
        """Return one number, since the risk is a square of a linear error whose noise is constant;
        None for observed labels.
        """
        known = self.exact_form is not None
        return SecondOrder(self.limit_risk, 0.0, 0.0, 0.0, 0.0) if known else None

    def draw_statistic(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        """The coefficients of the batch's least squares in whitened coordinates, (R, p)."""
        noise = self.sigma / np.sqrt(rows) * rng.standard_normal(theta.shape)
        return np.asarray(noise + theta @ self._metric)

    def fit(self, rows: Array, weight: Array, start: Array | None) -> Array:
        total, labels = totals(self.design_rows, rows, weight)
        gram = np.einsum("rn,ni,nj->rij", total, self._basis, self._basis, optimize=True)
        moment = labels @ self._basis
        # rows read at random may leave a direction of the coefficients without data
        poor = np.linalg.eigvalsh(gram)[:, 0] <= 1e-10 * total.max(axis=1)
        gram[poor], moment[poor] = np.eye(gram.shape[1]), np.nan
        solved = np.linalg.solve(gram, moment[:, :, None])[:, :, 0]
        return np.asarray(solved @ self._lift / np.sqrt(self.design_rows))

    def fit_statistic(self, statistic: Array, start: Array | None) -> Array:
        return np.asarray(statistic @ self._lift)

    def risk(self, theta: Array) -> Array:
        if self.observed is None:
            return super().risk(theta)
        return np.asarray(((theta @ self.test[0].T - self.test[1]) ** 2).mean(axis=1))


@on_example_design(
    "Huber regression",
    [1.0, -0.5],
    n=100,
    why="an M-estimator with a monotone bounded score, regular though not maximum likelihood",
    allowance=0.05,
    sigma=1.0,
)
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
        self.k = float(check_size(k, "k", 1e-3))
        self._shown = {**self._shown, "k": float(f"{self.k:.4g}")}
        n, p = self.X.shape
        self._design = self._basis * np.sqrt(n)
        self._products = (self._design[:, :, None] * self._design[:, None, :]).reshape(n, p * p)
        inside = 2 * scipy.special.ndtr(self.k) - 1
        density = np.exp(-0.5 * self.k**2) / np.sqrt(2 * np.pi)
        square = inside - 2 * self.k * density + self.k**2 * (1 - inside)
        self._square = float(square)  # mean square of a clipped error
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
        index, label, weight = labelled(rows, weight)
        label = label / self.sigma
        weight = weight / np.maximum(weight.sum(axis=1, keepdims=True), np.finfo(float).tiny)
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

    def standard_score(self, rows: Array, theta: Array) -> Array:
        """Rows (R, N, 2) labelled at theta (R, p) to their scores (R, N, p), in units in which
        their mean covariance over the design is the identity.
        """
        index = rows[:, :, 0].astype(np.intp)
        rest = (rows[:, :, 1] - np.take_along_axis(theta @ self.X.T, index, axis=1)) / self.sigma
        score = np.clip(rest, -self.k, self.k) / np.sqrt(self._square)
        return np.asarray(score[:, :, None] * self._design[index])

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
