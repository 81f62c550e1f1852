"""Vectors of means for which the law holds exactly at every n: multinomial shares, the mean of a
multivariate normal.
"""

from dataclasses import dataclass
from functools import cached_property, partial
from math import fsum
from typing import Annotated, Any, Self

import numpy as np
import scipy
from numpy.typing import NDArray

from collapse.checks import brief, check_number, check_place, check_size, numbers, require, whole
from collapse.exact import Scalar
from collapse.models.families.morris import Average
from collapse.models.protocols import Array
from collapse.models.registry import register

RARE = 0.05
"""Share of the truth that the rarest classes make up, as a vocabulary is measured."""

MOST_WORDS, STEEPEST = 10**7, 10
"""Words of a vocabulary by Zipf's law, and its exponent."""

SHOWN = 1000
"""Classes up to which a model is printed with all its shares."""

_exact = partial(
    register,
    n=100,
    group="exponential families",
    why="a mean whose covariance has a quadratic trace: exact at every n",
    page="exact",
)


def _entries(values: Any, name: str, axes: int, such: str) -> tuple[Any, ...]:
    """Numbers of any kind, as the engines take them: whole ones and fractions stay exact."""
    array = numbers(values, name, such)
    require(array.ndim == axes, f"{name} must be {such}; it is {brief(values)}.")
    for place, value in zip(np.ndindex(array.shape), array.ravel().tolist(), strict=True):
        check_place(value, name + "".join(f"[{j}]" for j in place))
    return tuple(map(tuple, array.tolist()) if axes == 2 else array.tolist())


def _shares(values: Any, name: str) -> tuple[Any, ...]:
    shares = _entries(values, name, 1, "a sequence of numbers")
    require(
        len(shares) >= 2,
        f"p must hold the shares of at least two classes; it holds {len(shares)}.",
    )
    for j, share in enumerate(shares):
        check_size(check_number(share, f"p[{j}]", 0, 1), f"p[{j}]")
    require(
        abs(fsum(shares) - 1) <= 1e-12,  # as exact for 100,000 classes as for three
        f"p must sum to one; it sums to {fsum(shares):.12g}. Divide it by its sum.",
    )
    return shares


@_exact("Multinomial", at=((0.4, 0.3, 0.2, 0.1),))
@dataclass(frozen=True)
class Multinomial(Average):
    """Shares of classes: a row is one label, the fit is the vector of shares, the risk the expected
    squared distance of shares.

    The covariance of a row has trace 1 - p'p: the variance function of a Bernoulli law, v2 = -1,
    whatever the number of classes.

    Parameters
    ----------
    p : sequence of float, shape (d,)
        Share of each class in the real world; they sum to one, and d is at least 2.

    Raises
    ------
    ValueError
        Where there are fewer than two shares, one is not between 0 and 1, or they do not sum to
        one.

    See Also
    --------
    collapse.derivation.lost.expected : what is lost of a vocabulary, exactly.

    Examples
    --------
    >>> import collapse
    >>> model = collapse.models.Multinomial([0.5, 0.25, 0.25])
    >>> collapse.derive(collapse.workflows.discard(2), model=model, n=100).ratio
    array([1.  , 1.99])
    >>> model.draw_statistic(model.truth[None], 1000, np.random.default_rng(0)).sum()
    np.float64(1.0)
    """

    p: Annotated[tuple[Scalar, ...], _shares]

    variance_function = (0, 1, -1)
    mean = property(lambda self: self.p)

    @classmethod
    def zipf(cls, words: int, exponent: float = 1.0) -> Self:
        """A vocabulary in which the share of the k-th word is in proportion to k ** -exponent.

        Parameters
        ----------
        words : int
            Words in it, from 2 to 10 million.
        exponent : float
            Between 0 and 10; the larger, the rarer are rare words.

        Raises
        ------
        ValueError
            Where words or exponent is no such number.

        Examples
        --------
        >>> from collapse.models import Multinomial
        >>> Multinomial.zipf(100_000)
        Multinomial(p=<100,000 shares from 0.0827 to 8.27e-07>)
        """
        words = whole(words, "words", "of the vocabulary", least=2, most=MOST_WORDS)
        check_number(exponent, "exponent", 0, STEEPEST)
        share = np.arange(1, words + 1) ** -float(exponent)
        return cls((share / share.sum()).tolist())

    def __repr__(self) -> str:
        shown = f"{self.p!r}"
        if len(self.p) > SHOWN:
            low, high = float(min(self.p)), float(max(self.p))
            shown = f"<{len(self.p):,} shares from {high:.3g} to {low:.3g}>"
        return f"{type(self).__name__}(p={shown})"

    @property
    def influence_covariance(self) -> Array:
        return np.diag(self.truth) - np.outer(self.truth, self.truth)

    def draw(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        u = rng.random((len(theta), rows))
        edges = np.cumsum(theta[:, :-1], axis=1).T
        return sum((u >= edge[:, None] for edge in edges), np.zeros(u.shape))

    def fit(self, rows: Array, weight: Array, start: Array | None) -> Array:
        total = np.array([np.einsum("rn,rn->r", weight, rows == j) for j in range(len(self.p))]).T
        return np.asarray(total / weight.sum(axis=1, keepdims=True))

    def draw_statistic(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        return rng.multinomial(rows, theta) / rows

    measures = ("variance", "entropy", "support", "rare")

    def measure(self, name: str, theta: Array, rng: np.random.Generator) -> Array:
        """1 - p'p as a share of the truth's, entropy in nats, classes with a share that is not 0,
        or the share of the classes that are the rarest in the truth: as many as make up a twentieth
        of it, but one at least.
        """
        if name == "variance":
            return np.asarray((1 - (theta**2).sum(axis=1)) / (1 - (self.truth**2).sum()))
        if name == "entropy":
            return np.asarray(-scipy.special.xlogy(theta, theta).sum(axis=1))
        if name == "support":
            return np.asarray((theta > 0).sum(axis=1), np.float64)
        return np.asarray(theta[:, self._rare].sum(axis=1))

    @cached_property
    def _rare(self) -> NDArray[np.int64]:
        order = np.argsort(self.truth, kind="stable")
        share = np.cumsum(self.truth[order])
        return order[: max(1, int(np.searchsorted(share, RARE * (1 + 1e-9), side="right")))]

    def influence_function(self, rows: Array, theta: Array) -> Array:
        """Labels (R, N) at shares (R, d): indicator minus share, (R, N, d)."""
        return np.asarray((rows[:, :, None] == np.arange(len(self.p))) - theta[:, None])


@_exact(
    "Multivariate normal mean",
    at=((1.0, 2.0, 0.0), ((2.0, 0.5, 0.0), (0.5, 1.0, -0.3), (0.0, -0.3, 0.5))),
)
@dataclass(frozen=True)
class MultivariateNormal(Average):
    """Mean of a multivariate normal law with known covariance; risk is the expected squared
    Euclidean distance.

    Parameters
    ----------
    mean : sequence of float, shape (d,)
        Mean of the real world.
    covariance : sequence of sequences of float, shape (d, d)
        Known covariance of a row, symmetric and positive definite.

    Raises
    ------
    ValueError
        Where the shapes do not fit, or the covariance is not symmetric or not positive definite.

    Examples
    --------
    >>> import collapse
    >>> model = collapse.models.MultivariateNormal([1, 2], [[2, 1], [1, 3]])
    >>> collapse.derive(collapse.workflows.discard(3), model=model, n=100).risk
    array([0.05, 0.1 , 0.15])
    """

    mean: Annotated[tuple[Scalar, ...], partial(_entries, axes=1, such="a sequence of numbers")]
    covariance: Annotated[
        tuple[tuple[Scalar, ...], ...], partial(_entries, axes=2, such="a (d, d) table")
    ]

    def __post_init__(self) -> None:
        super().__post_init__()
        d, table = len(self.mean), self.influence_covariance
        require(
            not (not d or table.shape != (d, d)),
            f"covariance must have shape ({d}, {d}), as mean holds {d} numbers; it has shape"
            f" {table.shape}.",
        )
        require(
            bool(np.allclose(table, table.T, rtol=1e-12, atol=0)),
            "covariance must be symmetric; give (covariance + covariance.T) / 2.",
        )
        if (least := np.linalg.eigvalsh(table)[0]) <= 0:
            raise ValueError(
                f"covariance must be positive definite; its least eigenvalue is {least:.3g}."
            )

    @property
    def variance_function(self) -> tuple[Scalar, Scalar, Scalar]:
        return (sum(row[j] for j, row in enumerate(self.covariance)), 0, 0)

    @cached_property
    def influence_covariance(self) -> Array:
        return np.array(self.covariance, np.float64)

    @cached_property
    def _root(self) -> Array:
        return np.asarray(np.linalg.cholesky(self.influence_covariance))

    def draw(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        noise = rng.standard_normal((len(theta), rows, len(self.mean)))
        return np.asarray(theta[:, None] + noise @ self._root.T)

    def fit(self, rows: Array, weight: Array, start: Array | None) -> Array:
        return np.asarray(np.einsum("rn,rnd->rd", weight, rows) / weight.sum(axis=1, keepdims=True))

    def draw_statistic(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        root = self._root.T / np.sqrt(rows)
        return np.asarray(theta + rng.standard_normal(theta.shape) @ root)

    def influence_function(self, rows: Array, theta: Array) -> Array:
        """Rows (R, N, d) at means (R, d): row minus mean, (R, N, d)."""
        return np.asarray(rows - theta[:, None])
