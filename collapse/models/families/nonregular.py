"""Families that break the law's assumptions."""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np

from collapse.models.families.base import Place, Share, Size, SquaredError
from collapse.models.protocols import Array
from collapse.models.registry import register

_outside = partial(register, group="outside the family", covered=False)


@_outside(
    "Uniform maximum",
    at=(1,),
    n=100,
    why="not differentiable in quadratic mean: rate n",
    page="breaking",
)
@dataclass(frozen=True)
class Uniform(SquaredError):
    """Uniform law on (0, endpoint) fitted by its sample maximum, the maximum-likelihood estimator.

    The family is not differentiable in quadratic mean: the estimator's rate is n, not sqrt(n), its
    limit exponential, and the pi^2/6 law does not hold. Under discard the ratio tends to g (g + 1)
    / 2; under augment it is 1, because no synthetic row exceeds the real maximum.

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

    endpoint: Size
    exact_form: ClassVar[str | None] = "sample maximum"

    def draw(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        return theta * rng.random((len(theta), rows))

    def fit(self, rows: Array, weight: Array, start: Array | None) -> Array:
        return np.asarray(np.where(weight > 0, rows, 0.0).max(axis=1, keepdims=True))


@_outside(
    "Hodges' estimator",
    at=(0.0,),
    n=400,
    why="asymptotically linear at the truth, but not regular",
    page="gaussian",
)
@dataclass(frozen=True)
class Hodges(SquaredError):
    """Hodges' estimator of a normal mean: the sample mean, multiplied by `shrinkage` where it is
    within n^(-1/4) of 0.

    At mean 0 it is asymptotically linear with influence function shrinkage * x, whose variance is
    below the efficient one. It is not regular there: a batch from a source that is off by h /
    sqrt(n) moves the fit by shrinkage * h only, so the feedback is multiplied by `shrinkage`, and
    the law does not hold. At every other mean it is asymptotically the sample mean.

    Parameters
    ----------
    mean : float
        Mean of the real world; rows have standard deviation 1.
    shrinkage : float, optional
        Factor in (0, 1) near 0.

    Notes
    -----
    n is the number of rows that the fit reads; with unequal weights it is Kish's effective number,
    (sum w)^2 / sum w^2.

    References
    ----------
    van der Vaart (1998), Asymptotic Statistics, example 8.1; Le Cam (1953).

    Examples
    --------
    >>> model = Hodges(0.0)
    >>> rows = np.array([[0.1, 0.3], [5.0, 7.0]])
    >>> model.fit(rows, np.ones((2, 2)), None).ravel()
    array([0.1, 6. ])
    """

    mean: Place
    shrinkage: Share = 0.5
    estimated = ("mean",)

    @property
    def limit_risk(self) -> float:
        return 1.0 if self.mean else float(self.shrinkage**2)

    def draw(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        return theta + rng.standard_normal((len(theta), rows))

    def fit(self, rows: Array, weight: Array, start: Array | None) -> Array:
        share = weight / weight.sum(axis=1, keepdims=True)
        average = np.einsum("rn,rn->r", share, rows)
        near = np.abs(average) <= np.einsum("rn,rn->r", share, share) ** 0.25
        return np.asarray(np.where(near, float(self.shrinkage) * average, average))[:, None]
