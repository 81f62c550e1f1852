"""A normal mixture in one dimension of which all parameters are fitted, by EM."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from collapse.checks import LARGE, choice, floats, require
from collapse.models.generators.base import TAIL
from collapse.models.protocols import Array, DrawsFromTruth, by_parts

STEPS: Final = 2000
"""EM steps after which a fit that has not converged is given up: no estimate."""
SHORTEST: Final = 1e-11
"""Step, in standard deviations of the truth's components, after which a fit is done."""
NARROWEST: Final = 1e-6
"""Standard deviation of a component, relative to the rows' range, below which it stands on single
rows, and the likelihood has no maximum."""
MOST: Final = 20
"""Components."""


class GaussianMixture(DrawsFromTruth):
    """Normal components in one dimension; weights, means and standard deviations are all fitted.

    EM runs until it converges. A fit begins at an earlier one, or at the truth: it is the local
    maximum that a good start leads to, and components keep their names. Where a component dies or
    stands on single rows, no estimate exists. Risk is the Kullback-Leibler divergence of the fit
    from the truth, in nats, by the trapezoidal rule.

    Parameters
    ----------
    weights, means, deviations : sequence of float, shape (k,)
        Of the components in the real world; the weights sum to one. At most 20 components.

    Attributes
    ----------
    truth : ndarray, shape (3 k,)
        Weights, means and standard deviations.
    limit_risk : float
        Half the number of free parameters, (3 k - 1) / 2.
    measures : tuple of str
        "variance" (as a share of the truth's), "entropy" (nats), "tail": the 99% quantile.

    Raises
    ------
    ValueError
        Where the three are not of one length, the weights are not positive or do not sum to one, or
        a deviation is not positive.

    References
    ----------
    Dempster, Laird and Rubin (1977), section 4.3.

    Examples
    --------
    >>> model = GaussianMixture([0.3, 0.7], means=[1, 6], deviations=[1, 1])
    >>> rows = model.draw_real(1, 100_000, np.random.default_rng(0))
    >>> model.fit(rows, np.ones(rows.shape), None).round(1)
    array([[0.3, 0.7, 1. , 6. , 1. , 1. ]])
    """

    measures = ("variance", "entropy", "tail")

    def __init__(
        self, weights: Sequence[float], means: Sequence[float], deviations: Sequence[float]
    ) -> None:
        such = "a sequence of numbers, one for each component"
        given = {"weights": weights, "means": means, "deviations": deviations}
        read = [floats(values, name, such) for name, values in given.items()]
        require(
            read[0].ndim == 1
            and 0 < len(read[0]) <= MOST
            and len({each.shape for each in read}) == 1,
            f"weights, means and deviations must be sequences of one length, at most {MOST};"
            f" their shapes are {', '.join(str(each.shape) for each in read)}.",
        )
        self.weights, self.means, self.deviations = read
        require(
            # written so that NaN is refused
            bool((self.weights > 0).all()) and abs(self.weights.sum() - 1) <= 1e-12,
            "weights must be positive and sum to one; divide them by their sum.",
        )
        require(
            bool((self.deviations >= 1 / LARGE).all() and (self.deviations <= LARGE).all()),
            f"deviations must be positive, from {1 / LARGE:g} to {LARGE:g}.",
        )
        require(
            bool((np.abs(self.means) <= LARGE).all()),
            f"means must be at most {LARGE:g} in size; take another unit.",
        )
        self.truth = np.concatenate(read)
        self.truth.flags.writeable = False
        reach = np.array([-12.0, 12.0])[:, None] * self.deviations + self.means
        grid, step = np.linspace(reach.min(), reach.max(), 1501, retstep=True)
        require(
            float(step) < self.deviations.min(),
            "the widest component is more than 60 times as wide as the narrowest, or they are as"
            " far apart: the integral of the risk would miss some; bring them together.",
        )
        self._grid, self._step = grid, float(step)
        self._density = np.exp(self._log_density(self.truth[None])[0])

    def __repr__(self) -> str:
        parts = (f"{name}={getattr(self, name).tolist()}" for name in ("weights", "means"))
        return f"GaussianMixture({', '.join(parts)}, deviations={self.deviations.tolist()})"

    @property
    def limit_risk(self) -> float:
        return (len(self.truth) - 1) / 2

    def draw(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        weight, mean, spread = np.split(theta, 3, axis=1)
        edges = weight[:, :-1].cumsum(axis=1)
        u, noise = rng.random((len(theta), rows)), rng.standard_normal((len(theta), rows))
        which = np.zeros(u.shape, np.intp)
        for edge in edges.T:
            which += u >= edge[:, None]
        at = np.take_along_axis(mean, which, axis=1), np.take_along_axis(spread, which, axis=1)
        return np.asarray(at[0] + at[1] * noise)

    def fit(self, rows: Array, weight: Array, start: Array | None) -> Array:
        begin = np.broadcast_to(self.truth, (len(rows), len(self.truth)))
        begin = begin if start is None else start

        def each(part: slice) -> Array:
            share = weight[part] / weight[part].sum(axis=1, keepdims=True)
            return _maximised(rows[part], share, begin[part], float(self.deviations.min()))

        return by_parts(each, *weight.shape)

    def risk(self, theta: Array) -> Array:
        def each(part: slice) -> Array:
            apart = np.log(self._density) - self._log_density(theta[part])
            return np.asarray(apart @ self._density * self._step)

        return np.asarray(np.maximum(by_parts(each, len(theta), len(self._grid)), 0))

    def measure(self, name: str, theta: Array, rng: np.random.Generator) -> Array:
        """One of `measures` of fits (R, 3 k): (R,). The entropy by the trapezoidal rule on the
        grid of the truth, the quantile by bisection.
        """
        match choice(name, "name", self.measures):
            case "variance":
                return np.asarray(_variance(theta) / _variance(self.truth[None]))
            case "entropy":
                log = by_parts(lambda part: self._log_density(theta[part]), len(theta), 1501)
                return np.asarray(-(np.exp(log) * log).sum(axis=1) * self._step)
        from scipy.special import ndtr

        weight, mean, spread = np.split(theta, 3, axis=1)
        low, high = (mean - 40 * spread).min(axis=1), (mean + 40 * spread).max(axis=1)
        for _ in range(60):
            middle = (low + high) / 2
            below = (weight * ndtr((middle[:, None] - mean) / spread)).sum(axis=1) < TAIL
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return np.asarray((low + high) / 2)

    def _log_density(self, theta: Array) -> Array:
        return np.asarray(np.logaddexp.reduce(_logs(self._grid, theta), axis=0))


def _variance(theta: Array) -> Array:
    weight, mean, spread = np.split(theta, 3, axis=1)
    away = mean - (weight * mean).sum(axis=1, keepdims=True)
    return np.asarray((weight * (spread**2 + away**2)).sum(axis=1))


@np.errstate(divide="ignore")
def _logs(rows: Array, theta: Array) -> Array:
    """Logarithms (k, R, N) of each component's weighted density at rows (R, N) or (N,)."""
    weight, mean, spread = (part[..., None] for part in np.split(theta.T, 3, axis=0))
    level = np.log(weight / (np.sqrt(2 * np.pi) * spread))
    return np.asarray(level - ((rows - mean) / spread) ** 2 / 2)


@np.errstate(divide="ignore", invalid="ignore", over="ignore")
def _maximised(rows: Array, share: Array, start: Array, unit: float) -> Array:
    """Local maxima (R, 3 k) of the weighted log-likelihood, by EM from a start; those that are done
    leave the loop.
    """
    fits, todo, theta = np.full(start.shape, np.nan), np.arange(len(rows)), start
    range_ = np.where(share > 0, rows, np.nan)
    narrow = NARROWEST * (np.nanmax(range_, axis=1) - np.nanmin(range_, axis=1))
    for _ in range(STEPS):
        if not len(todo):
            break
        new = _step(rows, share, theta)
        near = np.abs(new - theta).max(axis=1) <= SHORTEST * max(1.0, unit)
        dead = ~((new[:, -(new.shape[1] // 3) :] > narrow[:, None]).all(axis=1))
        done = near & ~dead
        fits[todo[done]] = new[done]
        go = ~(near | dead)
        todo, theta, rows, share, narrow = todo[go], new[go], rows[go], share[go], narrow[go]
    return fits


def _step(rows: Array, share: Array, theta: Array) -> Any:
    """One EM step."""
    logs = _logs(rows, theta)
    belongs = np.exp(logs - logs.max(axis=0))
    belongs *= share / belongs.sum(axis=0)
    weight = belongs.sum(axis=2)
    mean = np.einsum("krn,rn->kr", belongs, rows) / weight
    away = rows - mean[..., None]
    spread = np.sqrt(np.einsum("krn,krn->kr", belongs, away**2) / weight)
    return np.concatenate([weight, mean, spread]).T
