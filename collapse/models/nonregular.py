"""Families that break the law's assumptions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from collapse.models.base import Array, DrawsFromTruth
from collapse.models.registry import register
from collapse.plan import Scalar, check_number


@dataclass(frozen=True)
class Uniform(DrawsFromTruth):
    """Uniform law on (0, endpoint) fitted by its sample maximum, the maximum-likelihood estimator.

    The family is not differentiable in quadratic mean: the estimator's rate is n, not sqrt(n), its limit exponential,
    and the pi^2/6 law does not hold. Under discard the ratio tends to g (g + 1) / 2; under augment it is 1, because
    no synthetic row exceeds the real maximum.

    Parameters
    ----------
    endpoint : float
        Right end of the real world's interval.

    Examples
    --------
    >>> import collapse
    >>> model = collapse.models.Uniform(1)
    >>> collapse.derive(collapse.workflows.discard(3), model=model, n=10**6).ratio.round(3)
    array([1., 3., 6.])
    >>> collapse.derive(collapse.workflows.augment(3), model=model, n=10**6).ratio.tolist()
    [1.0, 1.0, 1.0]
    """

    endpoint: Scalar

    def __post_init__(self) -> None:
        check_number(self.endpoint, "endpoint", 0)

    @cached_property
    def truth(self) -> Array:
        return np.array([float(self.endpoint)])

    def draw(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        return theta * rng.random((len(theta), rows))

    def fit(self, rows: Array, weight: Array, start: Array | None) -> Array:
        return np.asarray(np.where(weight > 0, rows, 0.0).max(axis=1, keepdims=True))

    def deviation(self, theta: Array) -> Array:
        return theta - self.truth

    def risk(self, theta: Array) -> Array:
        return np.asarray((theta[:, 0] - self.truth[0]) ** 2)


@register(
    "Uniform maximum",
    n=100,
    group="outside the family",
    covered=False,
    why="not differentiable in quadratic mean: rate n",
    page="breaking",
)
def example_uniform() -> Uniform:
    return Uniform(1)
