"""Whole rows made by a generator that keeps the mean and the covariance of what it was trained on:
the real law may be any table of rows.
"""

from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from collapse.checks import LARGE, floats, held, require
from collapse.models.protocols import Array, DrawsFromTruth
from collapse.models.registry import register
from collapse.models.wishart import wishart_root

LARGEST_TABLE = 10**6
"""Numbers of a table whose rows are the real world."""

_matched = partial(
    register,
    at=((0, 0, 0, 1, 5),),
    n=100,
    group="any real law",
    why="rows keep the mean and the covariance: exact at every n",
    page="exact",
)


class MatchedMoments(DrawsFromTruth):
    """A generator whose rows have, given its fit, the weighted mean and the weighted covariance
    (divisor N) of the rows that it was fitted to; the real world draws rows of a table.

    The risk is the squared distance of the fitted mean from the table's. It is exact at every n for
    every plan: in the mean over all runs, a row's second moment is always the real one.
    """

    exact_form, mean = "matched moments", 0
    truth: Array

    def __init__(self, rows: ArrayLike) -> None:
        table = floats(rows, "rows", "a table of shape (N, d), or N numbers")
        table = table[:, None] if table.ndim == 1 else table
        require(
            table.ndim == 2 and table.size > 0,
            f"rows must be a table of shape (N, d), or N numbers; it has shape {table.shape}.",
        )
        held(table.size, "rows", "give a sample of them", LARGEST_TABLE)
        # written so that NaN is refused
        require(
            bool((np.abs(table) <= LARGE).all()),
            f"rows must hold finite numbers of at most {LARGE:g} in size.",
        )
        self.table, self._mean = table, table.mean(axis=0)
        self._centred = table - self._mean
        self.variance_function = float((self._centred**2).mean(axis=0).sum()), 0, -1
        require(
            self.variance_function[0] > 1e-24 * float((table**2).mean(axis=0).sum()),
            "rows must differ from each other: their variance is 0, and there is nothing to lose.",
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}(rows {' x '.join(map(str, self.table.shape))})"

    def risk(self: Any, theta: Array) -> Array:
        return np.asarray((self.deviation(theta) ** 2).sum(axis=1))


@_matched("Bootstrap generator")
class BootstrapGenerator(MatchedMoments):
    """A generator that draws rows of its training set with replacement.

    The fit is the share of each row of the table: what is lost, no generation brings back.

    Parameters
    ----------
    rows : array_like, shape (N, d) or (N,)
        The real world: each of its rows is as likely as any other.

    Attributes
    ----------
    variance_function : tuple
        (V, 0, -1), V the variance of a real row; for vectors the trace of its covariance.

    Raises
    ------
    ValueError
        Where rows is no table of finite numbers, or all its rows are equal.

    Examples
    --------
    >>> import collapse
    >>> model = collapse.models.BootstrapGenerator([0, 0, 0, 1, 5])
    >>> collapse.derive(collapse.workflows.discard(100), model=model, n=100).ratio[-1].round(3)
    np.float64(63.397)
    """

    def __init__(self, rows: ArrayLike) -> None:
        super().__init__(rows)
        self.truth = np.full(len(self.table), 1 / len(self.table))

    def draw(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        """Draw places in the table, (R, rows)."""
        counts = rng.multinomial(rows, theta)
        places = np.tile(np.arange(len(self.table)), len(theta))
        drawn = np.repeat(places, counts.ravel()).reshape(len(theta), rows)
        return rng.permuted(drawn, axis=1).astype(np.float64)

    def fit(self, rows: Array, weight: Array, start: Array | None) -> Array:
        R, N = len(rows), len(self.table)
        at = rows.astype(np.intp) + N * np.arange(R)[:, None]
        total = np.bincount(at.ravel(), weight.ravel(), R * N).reshape(R, N)
        return np.asarray(total / total.sum(axis=1, keepdims=True))

    def draw_statistic(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        return rng.multinomial(rows, theta) / rows

    def fit_statistic(self, statistic: Array, start: Array | None) -> Array:
        return np.asarray(statistic / statistic.sum(axis=1, keepdims=True))

    def deviation(self, theta: Array) -> Array:
        return np.asarray(theta @ self._centred)


@_matched("Normal generator")
class NormalGenerator(MatchedMoments):
    """A generator that draws normal rows with the mean and the covariance (divisor N) of its
    training set: Gaussian maximum likelihood, whatever the real law is.

    The fit is the mean and the covariance, shape (d + d d,). Batches are drawn by their first two
    moments about the real mean, which rounding ends where the variance has fallen by 16 digits.

    Parameters
    ----------
    rows : array_like, shape (N, d) or (N,)
        The real world: each of its rows is as likely as any other.

    Attributes
    ----------
    variance_function : tuple
        (V, 0, -1), V the variance of a real row; for vectors the trace of its covariance.

    Raises
    ------
    ValueError
        Where rows is no table of finite numbers, or all its rows are equal.

    Examples
    --------
    >>> import collapse
    >>> model = collapse.models.NormalGenerator([0, 0, 0, 1, 5])
    >>> collapse.derive(collapse.workflows.augment(100), model=model, n=100).ratio[-1].round(4)
    np.float64(1.627)
    """

    def __init__(self, rows: ArrayLike) -> None:
        super().__init__(rows)
        self._moments = self._products(self._centred)
        self.truth = np.concatenate([self._mean, self._moments.mean(axis=0)[len(self._mean) :]])

    def draw_real(self, replications: int, rows: int, rng: np.random.Generator) -> Array:
        return np.asarray(self.table[rng.integers(0, len(self.table), (replications, rows))])

    def draw_real_statistic(self, replications: int, rows: int, rng: np.random.Generator) -> Array:
        N = len(self.table)
        counts = rng.multinomial(rows, np.full(N, 1 / N), replications)
        return np.asarray(counts @ self._moments / rows)

    def draw(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        """Draw normal rows, (R, rows, d)."""
        mean, root = self._law(theta)
        noise = rng.standard_normal((len(theta), rows, self._d))
        return np.asarray(mean[:, None] + noise @ root)

    def fit(self, rows: Array, weight: Array, start: Array | None) -> Array:
        share = weight / weight.sum(axis=1, keepdims=True)
        moments = np.einsum("rn,rnk->rk", share, self._products(rows - self._mean))
        return self.fit_statistic(moments, start)

    def draw_statistic(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        """The means (R, d + d d) of x - mean and of its products, about the real mean."""
        mean, root = self._law(theta)
        noise = rng.standard_normal((len(theta), 1, self._d)) / np.sqrt(rows)
        error = mean - self._mean + (noise @ root)[:, 0]
        spread = root @ wishart_root(len(theta), rows - 1, self._d, rng)
        moments = self._products(error)
        moments[:, self._d :] += (spread @ spread.mT / rows).reshape(len(theta), self._d**2)
        return moments

    def fit_statistic(self, statistic: Array, start: Array | None) -> Array:
        moments = statistic - self._products(statistic[:, : self._d])
        moments[:, : self._d] = self._mean + statistic[:, : self._d]
        return np.asarray(moments)

    def deviation(self, theta: Array) -> Array:
        return np.asarray(theta[:, : self._d] - self._mean)

    @cached_property
    def _d(self) -> int:
        return len(self._mean)

    def _products(self, error: Array) -> Array:
        """Errors (..., d) and their products (..., d d) side by side."""
        pairs = error[..., :, None] * error[..., None, :]
        return np.concatenate([error, pairs.reshape(*error.shape[:-1], self._d**2)], axis=-1)

    def _law(self, theta: Array) -> tuple[Array, Any]:
        """Mean (R, d) and symmetric root of the covariance (R, d, d)."""
        covariance = theta[:, self._d :].reshape(len(theta), self._d, self._d)
        level, axes = np.linalg.eigh(covariance)
        root = axes * np.sqrt(np.maximum(level, 0))[:, None] @ axes.mT
        return theta[:, : self._d], root
