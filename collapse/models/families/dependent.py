"""A dependent series: first-order autoregression."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import numpy as np

from collapse.exact import Scalar
from collapse.models.families.base import SquaredError, between
from collapse.models.protocols import Array
from collapse.models.registry import register

_dependent = partial(register, group="dependent data", page="latent")


@_dependent(
    "AR(1), unit root",
    at=(1,),
    n=100,
    effort=13,
    covered=False,
    why="at a unit root the rate is n and the limit is not normal",
)
@_dependent(
    "AR(1)",
    at=(0.5,),
    n=400,
    effort=20,
    why=(
        "inside the unit circle the likelihood of a series is locally asymptotically normal, and"
        " scores are martingale differences"
    ),
    allowance=0.05,
)
@dataclass(frozen=True)
class AR1(SquaredError):
    """First-order autoregression x_t = coefficient x_{t-1} + e_t with standard normal e_t, by
    conditional least squares.

    A batch is one series that starts at 0, and a row one of its transitions, (x_{t-1}, x_t). A fit
    adds up transitions of several series but joins no two series. A whole batch enters through its
    sums of x_{t-1} x_t and x_{t-1}^2. A subsample is a random set of transitions. Risk is the
    squared error of the coefficient.

    Parameters
    ----------
    coefficient : float
        Of the real world, from -1 to 1. The theorem covers what is strictly between.

    Attributes
    ----------
    limit_risk : float
        1 - coefficient^2, the limit of n times the risk of the first fit; at a unit root the risk
        falls like 1 / n^2, and the limit is 0.

    Notes
    -----
    A fit may leave the unit circle; its series then explodes, and determines the next fit ever more
    closely.

    References
    ----------
    Hamilton (1994), Time Series Analysis, sections 8.2 and 17.4.

    Examples
    --------
    >>> import collapse
    >>> model = collapse.models.AR1(0.6)
    >>> model.limit_risk
    0.64
    >>> series = np.array([0.0, 1.0, 0.5, 1.0])
    >>> model.fit(np.stack([series[:-1], series[1:]], axis=1)[None], np.ones((1, 3)), None)
    array([[0.8]])
    """

    coefficient: Annotated[
        Scalar,
        partial(between, low=-1, high=1, ends=(-1, 1), note="-1 and 1 themselves are allowed"),
    ]

    @property
    def influence_covariance(self) -> Array:
        """V (1, 1): one over the stationary variance, which is the information."""
        return np.array([[float(1 - self.coefficient**2)]])

    def influence_function(self, rows: Array, theta: Array) -> Array:
        """Transitions (R, N, 2) at coefficients (R, 1): the first-order effect of each on the fit,
        (R, N, 1).
        """
        before, after = rows[..., 0], rows[..., 1]
        return np.asarray((1 - theta**2) * before * (after - theta * before))[..., None]

    @np.errstate(over="ignore", invalid="ignore")
    def draw(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        series = np.zeros((rows + 1, len(theta)))
        for after, x in zip(series[1:], _series(theta, rows, rng), strict=True):
            after[:] = x
        return np.stack([series[:-1].T, series[1:].T], axis=2)

    @np.errstate(over="ignore", invalid="ignore")
    def draw_statistic(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        before, product, square = np.zeros((3, len(theta)))
        for x in _series(theta, rows, rng):
            product += before * x
            square += before * before
            before = x
        return np.stack([product, square], axis=1) / rows

    @np.errstate(over="ignore", invalid="ignore")
    def fit(self, rows: Array, weight: Array, start: Array | None) -> Array:
        return self.fit_statistic(
            np.einsum("rn,rnk->rk", weight * rows[..., 0], rows[..., ::-1]), start
        )

    @np.errstate(invalid="ignore")
    def fit_statistic(self, statistic: Array, start: Array | None) -> Array:
        product, square = statistic[:, :1], statistic[:, 1:]
        return product / np.where(square > 0, square, np.nan)


def _series(theta: Array, rows: int, rng: np.random.Generator) -> Iterator[Array]:
    """Yield x_1, ..., x_rows of each replication, (R,) each."""
    x = np.zeros(len(theta))
    for _ in range(rows):
        x = theta[:, 0] * x + rng.standard_normal(len(theta))
        yield x
