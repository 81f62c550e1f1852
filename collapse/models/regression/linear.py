"""Least squares on a reused design."""

import numpy as np
from numpy.typing import ArrayLike

from collapse.checks import check_size
from collapse.models.protocols import Array
from collapse.models.registry import register
from collapse.models.regression.design import (
    OnDesign,
    check_test,
    check_vector,
    example_design,
    totals,
)
from collapse.models.regression.family import Normal


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
            if sigma is None:
                raise ValueError(
                    "sigma (standard deviation of the errors) is needed with a true beta."
                )
        else:
            self.observed = check_vector(y, n, "y")
            self._statistic = self.observed @ self._basis / np.sqrt(n)
            self.truth = self._statistic @ self._lift
            if sigma is None and n == p:
                raise ValueError(
                    f"sigma cannot be estimated from n = p = {n} rows; give sigma, or more rows."
                )
            if sigma is None:
                sigma = np.sqrt(((self.observed - self.X @ self.truth) ** 2).sum() / (n - p))
        check_size(sigma, "sigma")
        self.sigma = float(sigma)
        self.family = Normal(self.sigma**2)
        self._shown = {"sigma": float(f"{self.sigma:.4g}")}

    def risk(self, theta: Array) -> Array:
        """Return the mean of (x'(theta - beta))^2 over the rows of X, (R,)."""
        # a product with ones is faster than a sum along a short axis
        return np.asarray(self._deviation(theta) ** 2 @ np.ones(len(self.truth)))

    def _deviation(self, theta: Array) -> Array:
        """Whitened error (R, p), whose squares sum to the risk."""
        return np.asarray((theta - self.truth) @ self._metric)


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
        self.exact_form = None
        if self.observed is None:
            self.exact_form = "fixed design"
            self.first_risk = self.limit_risk / n
            self.deviation = self._deviation
        else:
            self.test = (self.X, self.observed) if test is None else check_test(test, p)

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


@register(
    "Least squares",
    n=60,
    group="regression",
    why="linear in the labels: exact at every n where batches are read whole",
    page="regression",
    allowance=0.25,
)
def example_least_squares(rows: int = 60) -> LinearRegression:
    return LinearRegression(example_design(rows, 3), [1.0, -0.5, 0.5], sigma=1.0)
