"""A Gaussian copula with empirical margins: what most synthesizers of tables begin with."""

from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike

from collapse.checks import LARGE, choice, floats, held, require
from collapse.models.families.matched import LARGEST_TABLE
from collapse.models.generators.base import TAIL, Places
from collapse.models.protocols import Array, DrawsFromTruth, by_parts

MOST_VALUES: Final = 20_000
"""Different values of all columns together."""


class GaussianCopula(DrawsFromTruth):
    """Rows whose columns have the empirical margins of the training set, and normal scores that are
    jointly normal.

    The fit holds each margin, the shares of the values of the table, and the correlations of the
    normal scores: of the normal quantile of each value's middle rank. A value that is lost does not
    come back. The real world is the copula fitted to the table, so that the model is true. Risk is
    the sum over columns of the mean squared error of the distribution function (Cramer and von
    Mises), and of the squared errors of the correlations.

    Normal scores of few rows are less correlated than the normal variables behind them. The
    shortfall is of the order of log(n) / n, and each generation adds it once more.

    Parameters
    ----------
    rows : array_like, shape (N, d)
        A table of numbers, of at least two columns, none constant.

    Attributes
    ----------
    truth : ndarray, shape (k + d (d - 1) / 2,)
        Shares of the k values of all columns, and the correlations, pair by pair.
    measures : tuple of str
        "variance" (trace of the covariance, as a share of the truth's), "support" (values left),
        "tail": the 99% quantile of the first column.

    Raises
    ------
    ValueError
        Where rows is no table of finite numbers, or a column is constant.

    References
    ----------
    Klaassen and Wellner (1997), Bernoulli 3, section 1.

    Examples
    --------
    >>> model = GaussianCopula([[0, 1], [1, 4], [2, 2], [3, 9], [4, 7]])
    >>> model.truth[-1:].round(3)
    array([0.779])
    >>> model.draw_real(1, 2, np.random.default_rng(0)).shape
    (1, 2, 2)
    """

    measures = ("variance", "support", "tail")

    def __init__(self, rows: ArrayLike) -> None:
        table = floats(rows, "rows", "a table of shape (N, d)")
        require(
            table.ndim == 2 and table.shape[1] >= 2 and len(table) >= 3,
            f"rows must be a table of at least two columns and three rows; it has shape"
            f" {table.shape}.",
        )
        held(table.size, "rows", "give a sample of them", LARGEST_TABLE)
        require(
            # written so that NaN is refused
            bool((np.abs(table) <= LARGE).all()),
            f"rows must hold finite numbers of at most {LARGE:g} in size.",
        )
        self.values = tuple(np.unique(column) for column in table.T)
        require(
            min(map(len, self.values)) > 1,
            "rows must hold no constant column: it has no correlation; leave it out.",
        )
        held(sum(map(len, self.values)), "values of the columns", "round them", MOST_VALUES)
        self.rows = len(table)
        self._pairs = np.triu_indices(len(self.values), 1)
        self.truth = self.fit(table[None], np.ones((1, len(table))), None)[0]
        self.truth.flags.writeable = False

    def __repr__(self) -> str:
        return f"GaussianCopula(rows {self.rows} x {len(self.values)})"

    @cached_property
    def _ends(self) -> Any:
        """Where the shares of each column end in a fit."""
        return np.cumsum([len(values) for values in self.values])

    def _margins(self, theta: Array) -> list[Array]:
        """Shares (R, k_j) of the values of each column."""
        return np.split(theta, self._ends, axis=1)[:-1]

    def draw(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        from scipy.special import ndtr

        d, R = len(self.values), len(theta)
        correlation = np.ones((R, d, d))
        i, j = self._pairs
        correlation[:, i, j] = correlation[:, j, i] = theta[:, self._ends[-1] :]
        level, axes = np.linalg.eigh(correlation)
        root = axes * np.sqrt(np.maximum(level, 0))[:, None] @ axes.mT
        # of few rows the correlations may be singular, and the root's rows not quite of length 1
        root /= np.sqrt((root**2).sum(axis=1, keepdims=True))
        u = ndtr(rng.standard_normal((R, rows, d)) @ root)
        own, drawn = np.repeat(np.arange(R), rows), np.empty((R, rows, d))
        for column, (values, shares) in enumerate(
            zip(self.values, self._margins(theta), strict=True)
        ):
            place = Places(shares).of(own, np.minimum(u[..., column].ravel(), 1 - 1e-16))
            drawn[..., column] = values[place].reshape(R, rows)
        return drawn

    def fit(self, rows: Array, weight: Array, start: Array | None) -> Array:
        def each(part: slice) -> Array:
            share = weight[part] / weight[part].sum(axis=1, keepdims=True)
            return self._fitted(rows[part], share)

        return by_parts(each, *weight.shape)

    def _fitted(self, rows: Array, share: Array) -> Array:
        from scipy.special import ndtri

        R, margins, scores = len(rows), [], np.empty(rows.shape)
        for column, values in enumerate(self.values):
            place = np.minimum(np.searchsorted(values, rows[..., column]), len(values) - 1)
            at = place + len(values) * np.arange(R)[:, None]
            total = np.bincount(at.ravel(), share.ravel(), R * len(values))
            shares = total.reshape(R, len(values))
            middle = shares.cumsum(axis=1) - shares / 2
            # rows of weight 0 may lie where there is no rank
            score = ndtri(np.clip(middle, 1e-12, 1 - 1e-12))
            scores[..., column] = np.take_along_axis(score, place, axis=1)
            margins.append(shares)
        scores -= np.einsum("rn,rnd->rd", share, scores)[:, None]
        product = (share[..., None] * scores).mT @ scores
        spread = np.sqrt(product.diagonal(axis1=1, axis2=2))
        i, j = self._pairs
        unit = spread[:, i] * spread[:, j]
        # a column of which one value is left is correlated with nothing
        both = product[:, i, j] / np.where(unit > 1e-12, unit, np.inf)
        return np.concatenate([*margins, np.clip(both, -1, 1)], axis=1)

    def deviation(self, theta: Array) -> Array:
        away = [
            (shares - true).cumsum(axis=1) * np.sqrt(true)
            for shares, true in zip(
                self._margins(theta), self._margins(self.truth[None]), strict=True
            )
        ]
        end = self._ends[-1]
        return np.concatenate([*away, theta[:, end:] - self.truth[end:]], axis=1)

    def risk(self, theta: Array) -> Array:
        return np.asarray((self.deviation(theta) ** 2).sum(axis=1))

    def measure(self, name: str, theta: Array, rng: np.random.Generator) -> Array:
        """One of `measures` of fits (R, k): (R,). Exact."""
        margins = self._margins(theta)
        match choice(name, "name", self.measures):
            case "variance":
                true = self._margins(self.truth[None])
                return np.asarray(self._trace(margins) / self._trace(true))
            case "support":
                return np.asarray(sum((shares > 0).sum(axis=1) for shares in margins), np.float64)
        last = (margins[0].cumsum(axis=1) < TAIL - 1e-12).sum(axis=1)
        return np.asarray(self.values[0][np.minimum(last, len(self.values[0]) - 1)])

    def _trace(self, margins: list[Array]) -> Any:
        total: Any = 0.0
        for values, shares in zip(self.values, margins, strict=True):
            away = (values - (shares @ values)[:, None]) ** 2
            total = total + np.einsum("rk,rk->r", shares, away)
        return total
