"""Lifetimes of which some are censored: exponential and Weibull, by maximum likelihood."""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Final

import numpy as np
import scipy

from collapse.checks import check_size
from collapse.exact import Scalar
from collapse.models.families.base import (
    Family,
    Size,
    Standardised,
    between,
    decreasing_roots,
    tables,
)
from collapse.models.protocols import Array, by_parts, replicate
from collapse.models.registry import register

STEPS: Final = 200
LONGEST: Final = 1.0
"""Largest Newton step of the logarithm of a shape."""
SHORTEST: Final = 1e-8
"""Newton step after which a fit is done: the next would be of the order of its square."""


Events = Annotated[
    Scalar,
    partial(
        between,
        low=0,
        high=1,
        ends=(1,),
        note="probability that a real lifetime is seen to end; 1 for no censoring",
    ),
]

_censored = partial(register, group="survival", page="latent", conditional=True)
_ALIKE = "maximum likelihood; synthetic lifetimes are censored as the real ones are"


class Censored(Family):
    """What the families share: a row is (time, 1 where it is an event and 0 where it is censored).

    Lifetimes are censored independently, at a time whose law is fixed: its hazard is that multiple
    of the true hazard at which a real row shows an event with probability `events` (Koziol and
    Green 1976). Synthetic rows are censored by the same law, or not at all where `censor_synthetic`
    is False. Risk is the Kullback-Leibler divergence of the law of a real row, in nats.

    A family adds `lifetimes` (theta (R, d) to (R, rows)), the parameter `censoring` (d,) of the law
    of censoring times, the `score` of rows (R, N, d) and the Fisher `information` (R, d, d) of a
    censored row.
    """

    def draw(self: Any, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        return np.asarray(self._observed(theta, rows, rng, self.censor_synthetic))

    def draw_real(self, replications: int, rows: int, rng: np.random.Generator) -> Array:
        return self._observed(replicate(self.truth, replications), rows, rng, True)

    def _observed(
        self: Any, theta: Array, rows: int, rng: np.random.Generator, censored: bool
    ) -> Array:
        time, limit = self.lifetimes(theta, rows, rng), np.inf
        if censored and self.events != 1:
            limit = self.lifetimes(replicate(self.censoring, len(theta)), rows, rng)
        return np.stack([np.minimum(time, limit), time <= limit], axis=2)

    def influence_function(self: Any, rows: Array, theta: Array) -> Array:
        """Censored rows (R, N, 2) at parameters (R, d): the first-order effect of each on the fit,
        (R, N, d).
        """
        return np.asarray(np.linalg.solve(self.information(theta), self.score(rows, theta).mT).mT)


@_censored(
    "Exponential, synthetic rows not censored",
    at=(1, 0.4, False),
    n=200,
    covered=False,
    why=(
        "real and synthetic rows differ in information: the law of a plan with larger synthetic"
        " batches"
    ),
)
@_censored("Exponential, censored", at=(1, 0.6), n=200, why=_ALIKE, allowance=0.09)
@dataclass(frozen=True)
class CensoredExponential(Censored):
    """Exponential lifetimes with independent exponential censoring, by maximum likelihood: events
    divided by total time.

    The number of events of a batch is binomial, its total time an independent gamma variate: whole
    batches need no rows. No estimate exists without an event.

    Parameters
    ----------
    rate : float
        Hazard of the real world.
    events : float, optional
        Probability that a real lifetime is seen to end before it is censored; 1 for no censoring.
    censor_synthetic : bool, optional
        Whether synthetic lifetimes are censored as real ones are. The theorem asks for it.

    Examples
    --------
    >>> import collapse
    >>> model = collapse.models.CensoredExponential(2, events=0.5)
    >>> rows = np.array([[[0.5, 1.0], [1.0, 0.0], [0.5, 1.0]]])
    >>> model.fit(rows, np.ones((1, 3)), None)
    array([[1.]])
    >>> model.influence_covariance
    array([[8.]])
    """

    rate: Size
    events: Events = 1
    censor_synthetic: bool = True
    estimated = ("rate",)

    @property
    def censoring(self) -> Array:
        return self.truth * (1 / float(self.events) - 1)

    def lifetimes(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        return rng.standard_exponential((len(theta), rows)) / theta

    def information(self, theta: Array) -> Array:
        return np.asarray(1 / (theta * (theta + self.censoring)))[:, :, None]

    def score(self, rows: Array, theta: Array) -> Array:
        return np.asarray(rows[..., 1:] / theta[:, None] - rows[..., :1])

    def fit(self, rows: Array, weight: Array, start: Array | None) -> Array:
        return self.fit_statistic(np.einsum("rn,rnk->rk", weight, rows), start)

    def fit_statistic(self, statistic: Array, start: Array | None) -> Array:
        time, event = statistic[:, :1], statistic[:, 1:]
        return np.where(event > 0, event, np.nan) / time

    def draw_statistic(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        return self._statistic(theta, self.censoring * self.censor_synthetic, rows, rng)

    def draw_real_statistic(self, replications: int, rows: int, rng: np.random.Generator) -> Array:
        return self._statistic(replicate(self.truth, replications), self.censoring, rows, rng)

    def _statistic(
        self, theta: Array, censoring: Array, rows: int, rng: np.random.Generator
    ) -> Array:
        hazard = theta + censoring
        time = rng.standard_gamma(rows, theta.shape) / hazard
        return np.concatenate([time, rng.binomial(rows, theta / hazard)], axis=1) / rows

    def risk(self, theta: Array) -> Array:
        share = theta[:, 0] / self.truth[0]
        return np.asarray(float(self.events) * (share - 1 - np.log(share)))


@_censored("Weibull, censored", at=(1, 1.5, 0.75), n=400, why=_ALIKE, allowance=0.23, effort=0.25)
@dataclass(frozen=True)
class CensoredWeibull(Standardised, Censored):
    """Weibull lifetimes with independent Weibull censoring, scale and shape by maximum likelihood.

    The survival function is exp(-(t / scale)^shape). Given the shape the scale is explicit; the
    shape is the root of an increasing function, found by a Newton iteration in its logarithm that
    keeps a bracket. No estimate exists without an event, or where no time exceeds the events'
    geometric mean; times that differ by less than their last digit are equal.

    Parameters
    ----------
    scale, shape : float
        Of the real world.
    events : float, optional
        Probability that a real lifetime is seen to end before it is censored; 1 for no censoring.
    censor_synthetic : bool, optional
        Whether synthetic lifetimes are censored as real ones are. The theorem asks for it.

    Notes
    -----
    The fitted shape has a tail of polynomial order, and the risk grows faster than exponentially in
    it: at every n the risk has no finite mean, but what makes it infinite has a probability that no
    simulation meets at a hundred events.

    Examples
    --------
    >>> import collapse
    >>> model = collapse.models.CensoredWeibull(1, 2, events=0.6)
    >>> rows = np.array([[[0.5, 1.0], [1.0, 0.0], [1.5, 1.0], [0.8, 1.0]]])
    >>> model.fit(rows, np.ones((1, 4)), None).round(4)
    array([[1.1791, 2.6574]])
    >>> model.limit_risk
    1.0
    """

    scale: Size
    shape: Annotated[Scalar, partial(check_size, low=1e-2, high=1e12)]  # lifetimes are to differ
    events: Events = 1
    censor_synthetic: bool = True
    estimated = ("scale", "shape")

    @property
    def censoring(self) -> Array:
        (scale, shape), p = self.truth, float(self.events)
        return np.array([scale * (p / (1 - p)) ** (1 / shape) if p < 1 else np.inf, shape])

    def lifetimes(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        return np.asarray(
            theta[:, :1] * rng.standard_exponential((len(theta), rows)) ** (1 / theta[:, 1:])
        )

    def information(self, theta: Array) -> Array:
        # with z the logarithm of the cumulative hazard at the time, -score' holds E[event (1, z,
        # z^2)]; the trapezoidal rule is exact to rounding for such tails
        scale, shape = theta[:, :1], theta[:, 1:]
        z, step = np.linspace(-45, 5, 1001, retstep=True)
        uncensored = np.exp(-((scale / self.censoring[0] * np.exp(z / shape)) ** self.censoring[1]))
        density = step * np.exp(z - np.exp(z)) * uncensored
        one, first, second = (density @ z**k for k in range(3))
        scale, shape = theta.T
        cross, corner = -(one + first) / scale, (one + 2 * first + second) / shape**2
        return tables(shape**2 / scale**2 * one, cross, cross, corner)

    def score(self, rows: Array, theta: Array) -> Array:
        scale, shape = theta[:, :1], theta[:, 1:]
        time, event = rows[..., 0], rows[..., 1]
        z = np.log(time / scale)
        excess = event - np.exp(shape * z)
        return np.stack([-shape / scale * excess, event / shape + z * excess], axis=2)

    def fit(self, rows: Array, weight: Array, start: Array | None) -> Array:
        return by_parts(
            lambda part: _weibull(
                rows[part], weight[part], start if start is None else start[part]
            ),
            *weight.shape,
        )

    @np.errstate(over="ignore")  # of a fit far out it may be more than a double holds
    def risk(self, theta: Array) -> Array:
        (scale, shape), p = self.truth, float(self.events)
        mean_log = np.log(scale) + (np.log(p) + scipy.special.digamma(1)) / shape
        power = theta[:, 1] * (
            np.log(scale) + np.log(p) / shape - np.log(theta[:, 0])
        ) + scipy.special.gammaln(1 + theta[:, 1] / shape)

        def log_hazard(scale: Array, shape: Array) -> Array:
            return np.asarray(np.log(shape / scale) + (shape - 1) * (mean_log - np.log(scale)))

        apart = log_hazard(scale, shape) - log_hazard(theta[:, 0], theta[:, 1])
        return np.asarray(p * apart + np.exp(power) - p)


@np.errstate(divide="ignore", invalid="ignore")
def _weibull(rows: Array, weight: Array, start: Array | None) -> Array:
    """Scale and shape (R, 2) of rows (R, N, 2); NaN where none is, or `STEPS` steps find none."""
    event = weight * rows[..., 1]
    answer = np.full((len(rows), 2), np.nan)
    total = event.sum(axis=1)
    longest = np.where(weight > 0, rows[..., 0], 0.0).max(axis=1)
    # logarithms of times over the longest, which lose no digits where times lie close together
    near = (rows[..., 0] - longest[:, None]) / longest[:, None]
    far = np.log(rows[..., 0] / longest[:, None])
    time = np.where(weight > 0, np.where(near > -0.5, np.log1p(near), far), 0.0)
    # mean depth of the events below the longest time; NaN without an event
    depth = -np.einsum("rn,rn->r", event, time) / total
    found = np.flatnonzero((depth > 0) & np.isfinite(depth) & np.isfinite(longest))
    # powers of what is at most one do not overflow
    time, weight, total, depth, longest = (
        each[found] for each in (time, weight, total, depth, longest)
    )
    x = -np.log(depth) if start is None else np.log(start[found, 1])
    ends = -np.inf, np.inf
    x = decreasing_roots(_shape_step, x, ends, (time, weight, depth), (0, SHORTEST), STEPS)
    mean = np.einsum("rn,rn->r", weight, np.exp(np.exp(x)[:, None] * time))
    answer[found] = np.stack([longest * (mean / total) ** np.exp(-x), np.exp(x)], axis=1)
    return answer


def _shape_step(x: Array, time: Array, weight: Array, depth: Array) -> tuple[Array, Array]:
    """Score of the shape at its logarithm x (R,), and where Newton's step leads.

    It is one over the shape, plus the mean log time of the events, less that of all rows weighted
    by times to the shape.
    """
    shape = np.exp(x)
    power = weight * np.exp(shape[:, None] * time)
    mean = power.sum(axis=1)
    power *= time
    first = power.sum(axis=1) / mean
    second = np.einsum("rn,rn->r", power, time) / mean
    score = 1 / shape - depth - first
    slope = shape * (second - first**2) + 1 / shape
    return score, x + np.clip(score / slope, -LONGEST, LONGEST)
