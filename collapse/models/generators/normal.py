"""A normal law of which mean and covariance are fitted, by either divisor, for as long as doubles
go.
"""

from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Final

import numpy as np

from collapse.checks import choice
from collapse.models.expansion import SecondOrder, of_normal
from collapse.models.families.vector import MultivariateNormal
from collapse.models.generators.base import TAIL, Counting
from collapse.models.protocols import Array
from collapse.models.registry import register
from collapse.models.wishart import wishart_root

DIVISORS: Final = ("n", "n-1")

_rows = partial(register, group="whole rows", page="generators")


@_rows(
    "Normal mean and covariance",
    at=((1.0, 0.0), ((2.0, 0.5), (0.5, 1.0))),
    n=1000,
    effort=1.25,
    why="maximum likelihood in a regular family; the covariance shrinks by the order of 1/n",
    allowance=0.13,
)
@dataclass(frozen=True)
class NormalMeanCovariance(Counting):
    """Normal rows in any dimension, mean and covariance fitted.

    The fit holds the mean and the lower triangular root of the covariance, so that a law whose
    spread falls to 1e-300 is followed; a spread that underflows to 0 is no estimate. A batch's mean
    and sums of squares are drawn directly, a Wishart matrix by Bartlett's decomposition. Risk is
    the Kullback-Leibler divergence of the fit from the truth, in nats: infinite once that is beyond
    a double.

    Parameters
    ----------
    mean : sequence of float, shape (d,)
        Of the real world.
    covariance : sequence of sequences of float, shape (d, d)
        Of the real world, symmetric and positive definite.
    divisor : str, optional
        Of the sums of squares: "n" (maximum likelihood) or "n-1" (unbiased). Where rows weigh
        unequally, n is Kish's effective number of rows.

    Attributes
    ----------
    truth : ndarray, shape (d + d (d + 1) / 2,)
        Mean, and lower triangle of the root, row by row.
    limit_risk : float
        Half the number of parameters.
    measures : tuple of str
        "variance", "determinant" (both as shares of the truth's), "entropy" (nats), "tail": the 99%
        quantile of the first coordinate.

    Raises
    ------
    ValueError
        Where the shapes do not fit, the covariance is not positive definite, or there is no such
        divisor.

    Examples
    --------
    >>> import collapse
    >>> model = NormalMeanCovariance([0], [[1]], divisor="n-1")
    >>> model.fit(np.array([[[0.0], [2.0], [4.0]]]), np.ones((1, 3)), None)
    array([[2., 2.]])
    >>> model.limit_risk
    1.0
    """

    mean: Any
    covariance: Any
    divisor: str = "n"

    measures = ("variance", "determinant", "entropy", "tail")

    def __post_init__(self) -> None:
        known = MultivariateNormal(self.mean, self.covariance)
        choice(self.divisor, "divisor", DIVISORS)
        object.__setattr__(self, "mean", known.mean)
        object.__setattr__(self, "covariance", known.covariance)

    @cached_property
    def truth(self) -> Array:
        root = np.linalg.cholesky(np.array(self.covariance, np.float64))
        return np.concatenate([np.array(self.mean, np.float64), root[self._lower]])

    @property
    def limit_risk(self) -> float:
        return len(self.truth) / 2

    def second_order(self) -> SecondOrder | None:
        return of_normal(len(self.mean)) if self.divisor == "n" else None

    @property
    def numbers(self) -> int:  # type: ignore[override]
        return len(self.mean)

    @cached_property
    def _lower(self) -> Any:
        return np.tril_indices(len(self.mean))

    def _law(self, theta: Array) -> tuple[Array, Array]:
        """Means (R, d) and lower roots (R, d, d)."""
        d = len(self.mean)
        root = np.zeros((len(theta), d, d))
        root[:, *self._lower] = theta[:, d:]
        return theta[:, :d], root

    def _told(self, mean: Array, root: Array) -> Array:
        """Means and roots as one row each; a root of fewer columns has zeros for the others."""
        full = np.zeros((*root.shape[:2], len(self.mean)))
        full[:, :, : root.shape[2]] = root
        return np.concatenate([mean, full[:, *self._lower]], axis=1)

    def draw(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        mean, root = self._law(theta)
        return np.asarray(
            mean[:, None] + rng.standard_normal((len(theta), rows, len(self.mean))) @ root.mT
        )

    def draw_statistic(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        mean, root = self._law(theta)
        noise = rng.standard_normal((*mean.shape, 1)) / np.sqrt(rows)
        spread = wishart_root(len(theta), rows - 1, len(self.mean), rng) / np.sqrt(rows)
        told = self._told(mean + (root @ noise)[..., 0], root @ spread)
        return np.column_stack([told, np.full(len(theta), 1 / rows)])

    def averages(self, rows: Array, share: Array) -> Array:
        """Means (R, d) and roots of the second moments about them."""
        mean = np.einsum("rn,rnd->rd", share, rows)
        mean += np.einsum("rn,rnd->rd", share, rows - mean[:, None])  # what rounding left
        root = _root(np.sqrt(share)[..., None] * (rows - mean[:, None]))
        # of as few rows the covariance is singular, whatever rounding says
        root[(share > 0).sum(axis=1) <= len(self.mean)] = 0
        return self._told(mean, root)

    def join(self, first: Array, second: Array, share: float) -> Array:
        (mean, root), (other, spread) = self._law(first), self._law(second)
        apart = np.sqrt(share * (1 - share)) * (other - mean)[:, None]
        parts = np.sqrt(1 - share) * root.mT, np.sqrt(share) * spread.mT, apart
        return self._told(mean + share * (other - mean), _root(np.concatenate(parts, axis=1)))

    @np.errstate(divide="ignore", invalid="ignore")
    def fit_statistic(self, statistic: Array, start: Array | None) -> Array:
        mean, root = self._law(statistic[:, :-1])
        if self.divisor == "n-1":
            root /= np.sqrt(1 - statistic[:, -1])[:, None, None]
        fit = self._told(mean, root)
        spread = root.diagonal(axis1=1, axis2=2)
        found = np.all((spread > 0) & np.isfinite(spread), axis=1, keepdims=True)
        return np.where(found, fit, np.nan)

    def influence_function(self, rows: Array, theta: Array) -> Array:
        """Rows (R, N, d) at parameters (R, k): the first-order effect of each on the fit, (R, N,
        k).
        """
        mean, root = self._law(theta)
        away = rows - mean[:, None]
        units = np.linalg.solve(root[:, None], away[..., None])[..., 0]
        square = np.tril(units[..., :, None] * units[..., None, :])
        each = np.arange(len(self.mean))
        square[..., each, each] = (square[..., each, each] - 1) / 2
        effect = root[:, None] @ square
        return np.concatenate([away, effect[..., *self._lower]], axis=-1)

    @np.errstate(over="ignore", divide="ignore", invalid="ignore")
    def risk(self, theta: Array) -> Array:
        (mean, root), (true, real) = self._law(theta), self._law(self.truth[None])
        spread = root.diagonal(axis1=1, axis2=2)
        aside = np.concatenate([real + 0 * root, (mean - true)[..., None]], axis=2)
        aside = np.linalg.solve(root, aside)
        squares = (aside**2).sum(axis=(1, 2)) - spread.shape[1]
        level = 2 * np.log(spread / real.diagonal(axis1=1, axis2=2)).sum(axis=1)
        risk = np.nan_to_num(np.maximum(level + squares, 0) / 2, nan=np.inf, posinf=np.inf)
        return np.asarray(risk)

    def measure(self, name: str, theta: Array, rng: np.random.Generator) -> Array:
        """One of `measures` of fits (R, k): (R,). Exact."""
        (mean, root), (_, real) = self._law(theta), self._law(self.truth[None])
        spread, unit = (each.diagonal(axis1=1, axis2=2) for each in (root, real))
        match choice(name, "name", self.measures):
            case "variance":
                return np.asarray((root**2).sum(axis=(1, 2)) / (real**2).sum())
            case "determinant":
                return np.asarray(((spread / unit) ** 2).prod(axis=1))
            case "entropy":
                level = spread.shape[1] / 2 * np.log(2 * np.pi * np.e)
                return np.asarray(level + np.log(spread).sum(axis=1))
        from scipy.special import ndtri

        return np.asarray(mean[:, 0] + ndtri(TAIL) * spread[:, 0])


def _root(rows: Array) -> Array:
    """Lower triangular L (R, d, min(m, d)) with L L' = rows' rows, for rows (R, m, d)."""
    root = np.asarray(np.linalg.qr(rows, mode="r")).mT
    sign = np.where(root.diagonal(axis1=1, axis2=2) < 0, -1.0, 1.0)
    return np.asarray(root * sign[:, None])
