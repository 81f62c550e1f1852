"""Lifetimes of which some are censored: exponential and Weibull, by maximum likelihood."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final, Protocol

import numpy as np

from collapse.checks import check_number, check_size, is_number
from collapse.exact import Scalar
from collapse.models.protocols import Array, parts, replicate
from collapse.models.registry import register

STEPS: Final = 200
SHAPES: Final = (1e-2, 1e12)
"""Least and largest shape whose lifetimes are doubles that differ."""
LONGEST: Final = 1.0
"""Largest Newton step of the logarithm of a shape."""
SHORTEST: Final = 1e-8
"""Newton step after which a fit is done: the next would be of the order of its square."""


class _Lifetimes(Protocol):
    events: Scalar
    censor_synthetic: bool

    @property
    def truth(self) -> Array: ...

    @property
    def censoring(self) -> Array: ...

    def lifetimes(self, theta: Array, rows: int, rng: np.random.Generator) -> Array: ...

    def information(self, theta: Array) -> Array: ...

    def score(self, rows: Array, theta: Array) -> Array: ...


class Censored:
    """What the families share: a row is (time, 1 where it is an event and 0 where it is censored).

    Lifetimes are censored independently, at a time whose law is fixed: its hazard is that multiple
    of the true hazard at which a real row shows an event with probability `events` (Koziol and
    Green 1976). Synthetic rows are censored by the same law, or not at all where `censor_synthetic`
    is False. Risk is the Kullback-Leibler divergence of the law of a real row, in nats.

    A family adds `lifetimes` (theta (R, d) to (R, rows)), the parameter `censoring` (d,) of the law
    of censoring times, the `score` of rows (R, N, d) and the Fisher `information` (R, d, d) of a
    censored row.
    """

    def draw(self: _Lifetimes, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        time = self.lifetimes(theta, rows, rng)
        return (
            _observe(self, time, rng)
            if self.censor_synthetic
            else np.stack([time, np.ones_like(time)], axis=2)
        )

    def draw_real(
        self: _Lifetimes, replications: int, rows: int, rng: np.random.Generator
    ) -> Array:
        return _observe(self, self.lifetimes(replicate(self.truth, replications), rows, rng), rng)

    def influence_function(self: _Lifetimes, rows: Array, theta: Array) -> Array:
        """Censored rows (R, N, 2) at parameters (R, d): the first-order effect of each on the fit,
        (R, N, d).
        """
        return np.asarray(
            np.linalg.solve(self.information(theta)[:, None], self.score(rows, theta)[..., None])[
                ..., 0
            ]
        )

    @property
    def risk_hessian(self: _Lifetimes) -> Array:
        """Hessian (d, d) of the risk at the truth: of a Kullback-Leibler divergence, the
        information.
        """
        return np.asarray(self.information(self.truth[None])[0])

    @property
    def influence_covariance(self: _Lifetimes) -> Array:
        """V (d, d): the inverse of the information."""
        return np.asarray(np.linalg.inv(self.information(self.truth[None])[0]))

    @property
    def limit_risk(self: _Lifetimes) -> float:
        """Limit of n times the risk of the first fit: half the number of parameters."""
        return len(self.truth) / 2


def _observe(model: _Lifetimes, time: Array, rng: np.random.Generator) -> Array:
    if model.events == 1:
        return np.stack([time, np.ones_like(time)], axis=2)
    R, rows = time.shape
    limit = model.lifetimes(replicate(model.censoring, R), rows, rng)
    return np.stack([np.minimum(time, limit), time <= limit], axis=2)


def _check_events(events: Scalar) -> None:
    if not is_number(events) or events != 1:
        check_number(
            events,
            "events (probability that a real lifetime is seen to end; 1 for no censoring)",
            0,
            1,
        )


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

    rate: Scalar
    events: Scalar = 1
    censor_synthetic: bool = True

    def __post_init__(self) -> None:
        check_size(self.rate, "rate")
        _check_events(self.events)

    @cached_property
    def truth(self) -> Array:
        return np.array([float(self.rate)])

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
        return self._statistic(
            theta, self.censoring if self.censor_synthetic else 0 * self.censoring, rows, rng
        )

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


@dataclass(frozen=True)
class CensoredWeibull(Censored):
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

    scale: Scalar
    shape: Scalar
    events: Scalar = 1
    censor_synthetic: bool = True

    def __post_init__(self) -> None:
        check_size(self.scale, "scale")
        check_size(self.shape, "shape", *SHAPES)
        _check_events(self.events)

    @cached_property
    def truth(self) -> Array:
        return np.array([float(self.scale), float(self.shape)])

    @property
    def censoring(self) -> Array:
        p = float(self.events)
        return np.array(
            [
                self.truth[0] * (p / (1 - p)) ** (1 / self.truth[1]) if p < 1 else np.inf,
                self.truth[1],
            ]
        )

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
        cross, corner = -(one + first), one + 2 * first + second
        scale, shape = scale[:, 0], shape[:, 0]
        entries = np.array(
            [[shape**2 / scale**2 * one, cross / scale], [cross / scale, corner / shape**2]]
        )
        return np.asarray(np.moveaxis(entries, 2, 0))

    def score(self, rows: Array, theta: Array) -> Array:
        scale, shape = theta[:, :1], theta[:, 1:]
        time, event = rows[..., 0], rows[..., 1]
        z = np.log(time / scale)
        excess = event - np.exp(shape * z)
        return np.stack([-shape / scale * excess, event / shape + z * excess], axis=2)

    def fit(self, rows: Array, weight: Array, start: Array | None) -> Array:
        answer = np.empty((len(rows), 2))
        for part in parts(*weight.shape):
            answer[part] = _weibull(
                rows[part], weight[part], None if start is None else start[part, 1]
            )
        return answer

    def risk(self, theta: Array) -> Array:
        from scipy.special import digamma, gammaln

        scale, shape = self.truth
        p = float(self.events)
        mean_log = np.log(scale) + (np.log(p) + digamma(1)) / shape
        power = theta[:, 1] * (np.log(scale) + np.log(p) / shape - np.log(theta[:, 0])) + gammaln(
            1 + theta[:, 1] / shape
        )

        def log_hazard(scale: Array, shape: Array) -> Array:
            return np.asarray(np.log(shape / scale) + (shape - 1) * (mean_log - np.log(scale)))

        apart = log_hazard(scale, shape) - log_hazard(theta[:, 0], theta[:, 1])
        with np.errstate(over="ignore"):  # of a fit far out it may be more than a double holds
            return np.asarray(p * apart + np.exp(power) - p)


def _weibull(rows: Array, weight: Array, start: Array | None) -> Array:
    """Scale and shape (R, 2) of rows (R, N, 2); NaN where none is, or `STEPS` steps find none."""
    event = weight * rows[..., 1]
    answer = np.full((len(rows), 2), np.nan)
    total = event.sum(axis=1)
    longest = np.where(weight > 0, rows[..., 0], 0.0).max(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        # logarithms of times over the longest, which lose no digits where times lie close together
        near = (rows[..., 0] - longest[:, None]) / longest[:, None]
        far = np.log(rows[..., 0] / longest[:, None])
        time = np.where(weight > 0, np.where(near > -0.5, np.log1p(near), far), 0.0)
        # mean depth of the events below the longest time; NaN without an event
        depth = -np.einsum("rn,rn->r", event, time) / total
    found = np.flatnonzero((depth > 0) & np.isfinite(depth) & np.isfinite(longest))
    # powers of what is at most one do not overflow
    time, weight, total = time[found], weight[found], total[found]
    depth, longest = depth[found], longest[found]
    x = -np.log(depth) if start is None else np.log(start[found])
    low, high = np.full(len(x), -np.inf), np.full(len(x), np.inf)
    for _ in range(STEPS):
        # the score of the shape, mean log time weighted by times to the shape less that of the
        # events, less one over the shape, increases
        shape = np.exp(x)
        power = weight * np.exp(shape[:, None] * time)
        mean = power.sum(axis=1)
        power *= time
        first = power.sum(axis=1) / mean
        second = np.einsum("rn,rn->r", power, time) / mean
        score = first + depth - 1 / shape
        low, high = np.where(score < 0, x, low), np.where(score > 0, x, high)
        step = np.clip(-score / (shape * (second - first**2) + 1 / shape), -LONGEST, LONGEST)
        moving = abs(step) > SHORTEST
        within = (x + step > low) & (x + step < high)
        x = np.where(within | ~moving, x + step, (low + high) / 2)
        if not moving.any():
            break
    shape = np.exp(np.where(moving, np.nan, x))
    mean = np.einsum("rn,rn->r", weight, np.exp(shape[:, None] * time))
    answer[found] = np.stack([longest * (mean / total) ** (1 / shape), shape], axis=1)
    return answer


_ALIKE = "maximum likelihood; synthetic lifetimes are censored as the real ones are"


@register(
    "Exponential, censored",
    n=200,
    group="survival",
    why=_ALIKE,
    page="latent",
    allowance=0.09,
    conditional=True,
)
def example_exponential() -> CensoredExponential:
    return CensoredExponential(1, events=0.6)


@register(
    "Weibull, censored",
    n=400,
    group="survival",
    why=_ALIKE,
    page="latent",
    allowance=0.23,
    conditional=True,
)
def example_weibull() -> CensoredWeibull:
    return CensoredWeibull(1, 1.5, events=0.75)


@register(
    "Exponential, synthetic rows not censored",
    n=200,
    group="survival",
    covered=False,
    why=(
        "real and synthetic rows differ in information: the law of a plan with larger synthetic"
        " batches"
    ),
    page="latent",
    conditional=True,
)
def example_uncensored() -> CensoredExponential:
    return CensoredExponential(1, events=0.4, censor_synthetic=False)
