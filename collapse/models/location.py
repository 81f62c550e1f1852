"""Location estimators that are not maximum likelihood."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from collapse.models.base import Array, DrawsFromTruth
from collapse.models.registry import register
from collapse.plan import check_number

# law: (a sampler of the standard law, its density at the median 0)
LAWS = {
    "normal": (lambda rng, shape: rng.standard_normal(shape), 1 / np.sqrt(2 * np.pi)),
    "laplace": (lambda rng, shape: rng.laplace(size=shape), 0.5),
    "logistic": (lambda rng, shape: rng.logistic(size=shape), 0.25),
    "cauchy": (lambda rng, shape: rng.standard_cauchy(shape), 1 / np.pi),
}


@dataclass(frozen=True)
class Median(DrawsFromTruth):
    """Sample median as the estimator of location: regular, asymptotically linear, and no maximum of a normal likelihood.

    Synthetic rows are drawn from the law centred at the fitted median; a weighted fit is the weighted median.

    Parameters
    ----------
    law : {"normal", "laplace", "logistic", "cauchy"}
        Law of the rows, symmetric about its location.
    location, scale : float, optional
        Location and known scale of the real world.

    Attributes
    ----------
    limit_risk : float
        Variance of the influence function, 1 / (4 f(median)^2): n times the risk of the first fit tends to it.

    References
    ----------
    van der Vaart (1998), Asymptotic Statistics, example 5.24.

    Examples
    --------
    >>> import collapse
    >>> model = collapse.models.Median("normal")
    >>> round(model.limit_risk, 4)
    1.5708
    """

    law: str
    location: float = 0.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        if self.law not in tuple(LAWS):
            raise ValueError(f"law must be one of {', '.join(LAWS)}; it is {self.law!r}.")
        check_number(self.location, "location")
        check_number(self.scale, "scale", 0)

    @cached_property
    def truth(self) -> Array:
        return np.array([float(self.location)])

    @property
    def limit_risk(self) -> float:
        return float((self.scale / (2 * LAWS[self.law][1])) ** 2)

    def draw(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        sample: Array = LAWS[self.law][0](rng, (len(theta), rows))  # type: ignore[no-untyped-call]
        return theta + self.scale * sample

    def fit(self, rows: Array, weight: Array, start: Array | None) -> Array:
        return weighted_median(rows, weight)[:, None]

    def deviation(self, theta: Array) -> Array:
        return theta - self.truth

    def risk(self, theta: Array) -> Array:
        return np.asarray((theta[:, 0] - self.truth[0]) ** 2)


def weighted_median(rows: Array, weight: Array) -> Array:
    """Middle of the minimisers of sum_i weight_i |rows_i - m|, for each replication: (R, N), (R, N) to (R,)."""
    if np.all(weight == weight[:, :1]):
        return np.asarray(np.median(rows, axis=1))
    order = np.argsort(rows, axis=1)
    ordered = np.take_along_axis(rows, order, axis=1)
    share = np.cumsum(np.take_along_axis(weight, order, axis=1), axis=1)
    share /= share[:, -1:]
    # sums of weights are equal to one half only up to rounding
    low = (share < 0.5 - 1e-12).sum(axis=1)
    high = (share <= 0.5 + 1e-12).sum(axis=1)
    each = np.arange(len(rows))
    return np.asarray((ordered[each, low] + ordered[each, high]) / 2)


@register(
    "Median",
    n=101,
    group="location and scale",
    why="regular and asymptotically linear, with a remainder of relative order n^(-1/2)",
    allowance=0.08,
)
def example_median() -> Median:
    return Median("normal")
