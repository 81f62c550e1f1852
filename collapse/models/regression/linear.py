"""Least squares on a reused design."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from collapse.checks import check_size
from collapse.models.protocols import Array, replicate
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


class LinearRegression:
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
        self.X = check_design(X)
        n, p = self.X.shape
        self.design_rows = n
        self._Q, self._upper = np.linalg.qr(self.X)
        self._lift = np.linalg.inv(self._upper)
        self._metric = self._upper.T / np.sqrt(n)
        if (beta is None) == (y is None):
            raise ValueError(
                "give either beta (true coefficients) or y (observed labels), and not both."
            )
        if beta is not None:
            if test is not None:
                raise ValueError(
                    "test goes with observed labels y; with a true beta the risk is known without a"
                    " test set."
                )
            if sigma is None:
                raise ValueError(
                    "sigma (standard deviation of the errors) is needed with a true beta."
                )
            self.observed = None
            self.truth = check_vector(beta, p, "beta")
        else:
            self.observed = check_vector(y, n, "y")  # type: ignore[arg-type]
            self.truth = self._lift @ (self._Q.T @ self.observed)
            if sigma is None:
                if n == p:
                    raise ValueError(
                        f"sigma cannot be estimated from n = p = {n} rows; give sigma, or more"
                        " rows."
                    )
                sigma = float(np.sqrt(((self.observed - self.X @ self.truth) ** 2).sum() / (n - p)))
            if test is None:
                test = (self.X, self.observed)
            test_X, test_y = check_pair(test)
            self.test = (
                numbers(test_X, "the test X", f"a table of shape (m, {p})"),
                numbers(test_y, "the test y", "a vector of shape (m,)"),
            )
            if (
                self.test[0].ndim != 2
                or self.test[0].shape[1] != p
                or self.test[1].shape != self.test[0].shape[:1]
            ):
                raise ValueError(
                    f"test must be (X, y) of shapes (m, {p}) and (m,); it has {self.test[0].shape}"
                    f" and {self.test[1].shape}."
                )
            if not (np.all(np.isfinite(self.test[0])) and np.all(np.isfinite(self.test[1]))):
                raise ValueError("test must be finite; drop or impute missing values first.")
        check_size(sigma, "sigma")
        self.sigma = float(sigma)
        self.limit_risk = self.sigma**2 * p
        self.exact_form = None
        if self.observed is None:
            self.exact_form = "fixed design"
            self.first_risk = self.limit_risk / n
            self.deviation = self._deviation

    def draw(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        index = rows_of_design(self.design_rows, len(theta), rows, rng)
        mean = np.take_along_axis(theta @ self.X.T, index, axis=1)
        return np.stack(
            [index.astype(np.float64), mean + self.sigma * rng.standard_normal(mean.shape)], axis=2
        )

    def draw_real(self, replications: int, rows: int, rng: np.random.Generator) -> Array:
        if self.observed is None:
            return self.draw(replicate(self.truth, replications), rows, rng)
        self._check_observed(rows)
        real = np.column_stack([np.arange(rows, dtype=np.float64), self.observed])
        return np.array(np.broadcast_to(real, (replications, *real.shape)))

    def draw_statistic(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        """Q'y over the batch, for each copy of the design: the coefficients in whitened
        coordinates, (R, p).
        """
        noise = rng.standard_normal(theta.shape)
        noise *= self.sigma / np.sqrt(rows // self.design_rows)
        noise += theta @ self._upper.T
        return noise

    def draw_real_statistic(self, replications: int, rows: int, rng: np.random.Generator) -> Array:
        if self.observed is None:
            return self.draw_statistic(replicate(self.truth, replications), rows, rng)
        self._check_observed(rows)
        return np.array(replicate(self._Q.T @ self.observed, replications))

    def fit(self, rows: Array, weight: Array, start: Array | None) -> Array:
        total, labels = totals(self.design_rows, rows, weight)
        gram = np.einsum("rn,ni,nj->rij", total, self._Q, self._Q, optimize=True)
        moment = labels @ self._Q
        # rows read at random may leave a direction of the coefficients without data
        poor = np.linalg.eigvalsh(gram)[:, 0] <= 1e-10 * total.max(axis=1)
        gram[poor] = np.eye(gram.shape[1])
        theta = np.linalg.solve(gram, moment[:, :, None])[:, :, 0] @ self._lift.T
        theta[poor] = np.nan
        return np.asarray(theta)

    def fit_statistic(self, statistic: Array, start: Array | None) -> Array:
        return np.asarray(statistic @ self._lift.T)

    def risk(self, theta: Array) -> Array:
        if self.observed is None:
            error = self._deviation(theta)
            error *= error
            return np.asarray(
                error @ np.ones(len(self.truth))
            )  # faster than a sum along a short axis
        X, y = self.test
        return np.asarray(((theta @ X.T - y) ** 2).mean(axis=1))

    def _deviation(self, theta: Array) -> Array:
        """Whitened error (R, p), whose squares sum to the risk."""
        return np.asarray((theta - self.truth) @ self._metric)

    def _check_observed(self, rows: int) -> None:
        if rows != self.design_rows:
            raise ValueError(
                f"observed labels y make one real batch of {self.design_rows} rows, and the plan"
                f" asks for {rows}; use a real batch of size 1."
            )

    def __repr__(self) -> str:
        n, p = self.X.shape
        return (
            f"LinearRegression(X {n} x {p}, {'beta' if self.observed is None else 'observed y'},"
            f" sigma={self.sigma:.4g})"
        )


@register(
    "Least squares",
    n=60,
    group="regression",
    why="linear in the labels: exact at every n where batches are read whole",
    page="regression",
    allowance=0.25,
)
def example_least_squares(rows: int = 60) -> LinearRegression:
    design = example_design(rows, 3)
    return LinearRegression(design, [1.0, -0.5, 0.5], sigma=1.0)
