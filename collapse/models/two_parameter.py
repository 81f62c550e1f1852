"""Families with two parameters, by maximum likelihood and by moments; and a curved functional of a mean."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from collapse.checks import check_number
from collapse.models.base import Array, DrawsFromTruth
from collapse.models.registry import register

VALUES = 2**19
"""Rows to be held at once where they are drawn for their mean statistic alone."""

STEPS = 100


class _Family(Protocol):
    @property
    def truth(self) -> Array: ...

    @property
    def information(self) -> Array: ...

    @property
    def influence_covariance(self) -> Array: ...

    @property
    def risk_hessian(self) -> Array: ...

    def draw(self, theta: Array, rows: int, rng: np.random.Generator) -> Array: ...

    def statistic(self, rows: Array) -> Array: ...

    def fit_statistic(self, statistic: Array, start: Array | None) -> Array: ...

    def expectation(self, theta: Array) -> Array: ...

    def jacobian(self, theta: Array) -> Array: ...


class Matching(DrawsFromTruth):
    """What the families share: the fit is the parameter at which the statistics' expectation is their weighted mean.

    That is the method of moments; where the statistics are sufficient for an exponential family, it is maximum likelihood. Risk is the
    Kullback-Leibler divergence of the fitted law from the true one, E log(p_true / p_fit) under the truth, in nats per row.

    A family adds `statistic` (rows (R, N) to (R, N, k)), its `expectation` (theta (R, d) to (R, k)), the `jacobian` of that (R, k, d),
    the Fisher `information` (d, d) at the truth, its sampler, its risk and `fit_statistic`.
    """

    @property
    def influence_covariance(self: _Family) -> Array:
        """V (d, d): the inverse of the information, for maximum likelihood."""
        return np.asarray(np.linalg.inv(self.information))

    @property
    def risk_hessian(self: _Family) -> Array:
        """Hessian (d, d) of the risk at the truth: of a Kullback-Leibler divergence, the information."""
        return self.information

    @property
    def limit_risk(self: _Family) -> float:
        """Limit of n times the risk of the first fit: trace(Hessian V) / 2, by maximum likelihood half the number of parameters."""
        return float(np.trace(self.risk_hessian @ self.influence_covariance) / 2)

    def influence_function(self: _Family, rows: Array, theta: Array) -> Array:
        """Rows (R, N) at parameters (R, d): the first-order effect of each on the fit, (R, N, d)."""
        away = self.statistic(rows) - self.expectation(theta)[:, None]
        return np.asarray(np.linalg.solve(self.jacobian(theta)[:, None], away[..., None])[..., 0])

    def fit(self: _Family, rows: Array, weight: Array, start: Array | None) -> Array:
        total = np.einsum("rn,rnk->rk", weight, self.statistic(rows))
        return self.fit_statistic(total / weight.sum(axis=1, keepdims=True), start)

    def draw_statistic(self: _Family, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        mean, step = np.empty(theta.shape), max(1, VALUES // rows)
        for r in range(0, len(theta), step):
            mean[r : r + step] = self.statistic(self.draw(theta[r : r + step], rows, rng)).mean(axis=1)
        return mean


@dataclass(frozen=True)
class NormalMeanVariance(Matching):
    """Normal law with mean and variance unknown, by maximum likelihood: the variance has divisor n.

    A batch's mean and its sum of squares are drawn directly, as a normal and a chi-square variate. Risk is the Kullback-Leibler
    divergence from the truth, in nats.

    Parameters
    ----------
    mean, variance : float
        Of the real world.

    Examples
    --------
    >>> import collapse
    >>> model = collapse.models.NormalMeanVariance(1, 4)
    >>> model.fit(np.array([[0.0, 2.0, 4.0]]), np.ones((1, 3)), None).round(3)
    array([[2.   , 2.667]])
    >>> model.limit_risk
    1.0
    """

    mean: float
    variance: float

    def __post_init__(self) -> None:
        check_number(self.mean, "mean")
        check_number(self.variance, "variance", 0)

    @cached_property
    def truth(self) -> Array:
        return np.array([float(self.mean), float(self.variance)])

    @property
    def information(self) -> Array:
        return np.diag([1 / self.truth[1], 0.5 / self.truth[1] ** 2])

    def draw(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        return theta[:, :1] + np.sqrt(theta[:, 1:]) * rng.standard_normal((len(theta), rows))

    def draw_statistic(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        R = len(theta)
        centre = theta[:, 0] - self.truth[0] + np.sqrt(theta[:, 1] / rows) * rng.standard_normal(R)
        spread = theta[:, 1] * (2 / rows) * rng.standard_gamma((rows - 1) / 2, R)
        return np.stack([centre, spread + centre**2], axis=1)

    def statistic(self, rows: Array) -> Array:
        # around the true mean, so that a small variance beside a large mean loses no digits
        away = rows - self.truth[0]
        return np.stack([away, away**2], axis=-1)

    def expectation(self, theta: Array) -> Array:
        away = theta[:, 0] - self.truth[0]
        return np.stack([away, theta[:, 1] + away**2], axis=1)

    def jacobian(self, theta: Array) -> Array:
        one = np.ones(len(theta))
        return _tables(one, 0 * one, 2 * (theta[:, 0] - self.truth[0]), one)

    def fit_statistic(self, statistic: Array, start: Array | None) -> Array:
        return _positive(np.stack([self.truth[0] + statistic[:, 0], statistic[:, 1] - statistic[:, 0] ** 2], axis=1), 1)

    def risk(self, theta: Array) -> Array:
        mean, variance = self.truth
        share = variance / theta[:, 1]
        return np.asarray((share - 1 - np.log(share) + (theta[:, 0] - mean) ** 2 / theta[:, 1]) / 2)


@dataclass(frozen=True)
class InverseGaussian(Matching):
    """Inverse Gaussian law with mean and shape unknown, by maximum likelihood; the variance is mean^3 / shape.

    A batch's mean is drawn directly, an inverse Gaussian variate, and the mean of the inverses from a chi-square variate (Tweedie 1957).
    Risk is the Kullback-Leibler divergence from the truth, in nats.

    Parameters
    ----------
    mean, shape : float
        Of the real world.

    Examples
    --------
    >>> import collapse
    >>> model = collapse.models.InverseGaussian(1, 2)
    >>> model.fit(np.array([[1.0, 2.0, 4.0]]), np.ones((1, 3)), None).round(3)
    array([[2.333, 6.462]])
    """

    mean: float
    shape: float

    def __post_init__(self) -> None:
        check_number(self.mean, "mean", 0)
        check_number(self.shape, "shape", 0)

    @cached_property
    def truth(self) -> Array:
        return np.array([float(self.mean), float(self.shape)])

    @property
    def information(self) -> Array:
        mean, shape = self.truth
        return np.diag([shape / mean**3, 0.5 / shape**2])

    def draw(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        return rng.wald(theta[:, :1], theta[:, 1:], (len(theta), rows))

    def draw_statistic(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        mean = rng.wald(theta[:, 0], rows * theta[:, 1])
        spread = rng.standard_gamma((rows - 1) / 2, len(theta)) * 2 / (rows * theta[:, 1])
        return np.stack([mean, 1 / mean + spread], axis=1)

    def statistic(self, rows: Array) -> Array:
        return np.stack([rows, 1 / rows], axis=-1)

    def expectation(self, theta: Array) -> Array:
        return np.stack([theta[:, 0], 1 / theta[:, 0] + 1 / theta[:, 1]], axis=1)

    def jacobian(self, theta: Array) -> Array:
        one = np.ones(len(theta))
        return _tables(one, 0 * one, -1 / theta[:, 0] ** 2, -1 / theta[:, 1] ** 2)

    def fit_statistic(self, statistic: Array, start: Array | None) -> Array:
        spread = statistic[:, 1] - 1 / statistic[:, 0]
        return np.stack([statistic[:, 0], 1 / np.where(spread > 0, spread, np.nan)], axis=1)

    def risk(self, theta: Array) -> Array:
        mean, shape = self.truth
        share = theta[:, 1] / shape
        return np.asarray((share - 1 - np.log(share) + theta[:, 1] * (theta[:, 0] - mean) ** 2 / (theta[:, 0] ** 2 * mean)) / 2)


@dataclass(frozen=True)
class _GammaLaw(Matching):
    """The gamma law in its shape and rate, whatever the estimator."""

    shape: float
    rate: float

    def __post_init__(self) -> None:
        check_number(self.shape, "shape", 0)
        check_number(self.rate, "rate", 0)

    @cached_property
    def truth(self) -> Array:
        return np.array([float(self.shape), float(self.rate)])

    @property
    def information(self) -> Array:
        from scipy.special import polygamma

        a, b = self.truth
        return np.array([[float(polygamma(1, a)), -1 / b], [-1 / b, a / b**2]])

    def draw(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        return rng.standard_gamma(theta[:, :1], (len(theta), rows)) / theta[:, 1:]

    def risk(self, theta: Array) -> Array:
        from scipy.special import gammaln, psi

        (a, b), (shape, rate) = theta.T, self.truth
        shapes = gammaln(a) - gammaln(shape) - (a - shape) * psi(shape)
        return np.asarray(shapes - a * np.log(b / rate) + shape * (b / rate - 1))


@dataclass(frozen=True)
class GammaShapeRate(_GammaLaw):
    """Gamma law with shape and rate unknown, by maximum likelihood: log shape - digamma(shape) = log(mean x) - mean log x.

    Risk is the Kullback-Leibler divergence from the truth, in nats.

    Parameters
    ----------
    shape, rate : float
        Of the real world; the mean is shape / rate.

    Examples
    --------
    >>> import collapse
    >>> model = collapse.models.GammaShapeRate(2, 1)
    >>> model.fit(np.array([[1.0, 2.0, 4.0]]), np.ones((1, 3)), None).round(3)
    array([[3.401, 1.458]])
    """

    def statistic(self, rows: Array) -> Array:
        with np.errstate(divide="ignore"):  # a row that underflows to zero: no estimate exists
            return np.stack([rows, np.log(rows)], axis=-1)

    def expectation(self, theta: Array) -> Array:
        from scipy.special import psi

        return np.stack([theta[:, 0] / theta[:, 1], psi(theta[:, 0]) - np.log(theta[:, 1])], axis=1)

    def jacobian(self, theta: Array) -> Array:
        from scipy.special import polygamma

        a, b = theta.T
        return _tables(1 / b, -a / b**2, polygamma(1, a), -1 / b)

    def fit_statistic(self, statistic: Array, start: Array | None) -> Array:
        shape = _gamma_shape(np.log(statistic[:, 0]) - statistic[:, 1])
        return np.stack([shape, shape / statistic[:, 0]], axis=1)


@dataclass(frozen=True)
class GammaMoments(_GammaLaw):
    """Gamma law with shape and rate unknown, by the method of moments: shape = mean^2 / variance, rate = mean / variance.

    Regular, and not efficient: the ratio is that of maximum likelihood, the level is higher. Risk is the Kullback-Leibler divergence
    from the truth, in nats.

    Parameters
    ----------
    shape, rate : float
        Of the real world; the mean is shape / rate.

    Examples
    --------
    >>> import collapse
    >>> round(collapse.models.GammaMoments(1, 1).limit_risk, 3)
    1.79
    """

    @property
    def influence_covariance(self) -> Array:
        a, b = self.truth
        slope = np.linalg.inv(self.jacobian(self.truth[None])[0])
        second = np.array([[a / b**2, 2 * a * (a + 1) / b**3], [2 * a * (a + 1) / b**3, a * (a + 1) * (4 * a + 6) / b**4]])
        return np.asarray(slope @ second @ slope.T)

    def statistic(self, rows: Array) -> Array:
        return np.stack([rows, rows**2], axis=-1)

    def expectation(self, theta: Array) -> Array:
        a, b = theta.T
        return np.stack([a / b, a * (a + 1) / b**2], axis=1)

    def jacobian(self, theta: Array) -> Array:
        a, b = theta.T
        return _tables(1 / b, -a / b**2, (2 * a + 1) / b**2, -2 * a * (a + 1) / b**3)

    def fit_statistic(self, statistic: Array, start: Array | None) -> Array:
        mean, variance = statistic[:, 0], statistic[:, 1] - statistic[:, 0] ** 2
        rate = mean / np.where(variance > 0, variance, np.nan)
        return np.stack([mean * rate, rate], axis=1)


@dataclass(frozen=True)
class Beta(Matching):
    """Beta law with both parameters unknown, by maximum likelihood: the means of log x and log(1 - x) are matched.

    Risk is the Kullback-Leibler divergence from the truth, in nats.

    Parameters
    ----------
    a, b : float
        Of the real world; the mean is a / (a + b).

    Examples
    --------
    >>> import collapse
    >>> model = collapse.models.Beta(2, 3)
    >>> model.fit(np.array([[0.2, 0.3, 0.7]]), np.ones((1, 3)), None).round(3)
    array([[2.092, 3.051]])
    """

    a: float
    b: float

    def __post_init__(self) -> None:
        check_number(self.a, "a", 0)
        check_number(self.b, "b", 0)

    @cached_property
    def truth(self) -> Array:
        return np.array([float(self.a), float(self.b)])

    @property
    def information(self) -> Array:
        return np.asarray(self.jacobian(self.truth[None])[0])

    def draw(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        return rng.beta(theta[:, :1], theta[:, 1:], (len(theta), rows))

    def statistic(self, rows: Array) -> Array:
        with np.errstate(divide="ignore"):  # a row that is 0 or 1 by rounding: no estimate exists
            return np.stack([np.log(rows), np.log1p(-rows)], axis=-1)

    def expectation(self, theta: Array) -> Array:
        from scipy.special import psi

        return np.asarray(psi(theta) - psi(theta.sum(axis=1, keepdims=True)))

    def jacobian(self, theta: Array) -> Array:
        from scipy.special import polygamma

        own, both = polygamma(1, theta), polygamma(1, theta.sum(axis=1))
        return _tables(own[:, 0] - both, -both, -both, own[:, 1] - both)

    def fit_statistic(self, statistic: Array, start: Array | None) -> Array:
        """Newton's method on the convex negative log-likelihood, a step halved until that does not rise."""
        from scipy.special import betaln

        share = np.exp(statistic)
        room = 1 - share.sum(axis=1, keepdims=True)
        exists = np.isfinite(statistic).all(axis=1) & (room[:, 0] > 1e-12)
        out = np.full(statistic.shape, np.nan)
        todo = np.flatnonzero(exists)
        theta = 0.5 + share[todo] / (2 * room[todo]) if start is None else start[todo]
        for _ in range(STEPS):
            if not len(todo):
                break
            mean = statistic[todo]
            value = betaln(*theta.T) - (theta * mean).sum(axis=1)
            away = mean - self.expectation(theta)
            step = np.linalg.solve(self.jacobian(theta), away[..., None])[..., 0]
            decrement = (step * away).sum(axis=1)
            step *= np.minimum(1, 0.9 / np.maximum(-step / theta, 1e-300).max(axis=1))[:, None]
            # close to the maximum a rise is rounding, and the whole step is safe
            far = np.flatnonzero(decrement > 1e-6)
            while len(far):
                new = theta[far] + step[far]
                far = far[betaln(*new.T) - (new * mean[far]).sum(axis=1) > value[far] + 1e-9 * abs(value[far])]
                step[far] /= 2
            theta = theta + step
            # a parameter within 1e-9 of a row's standard error, before a step that squares the error
            done = decrement < 1e-18
            out[todo[done]] = theta[done]
            todo, theta = todo[~done], theta[~done]
        return out

    def risk(self, theta: Array) -> Array:
        from scipy.special import betaln

        mean = self.expectation(self.truth[None])[0]
        return np.asarray(betaln(*theta.T) - betaln(*self.truth) - (theta - self.truth) @ mean)


@dataclass(frozen=True)
class ExponentialRate(Matching):
    """Exponential law in its rate, 1 / mean, by maximum likelihood: biased at finite n, by rate times ratio / n to first order.

    Risk is the squared error of the rate.

    Parameters
    ----------
    rate : float
        Of the real world.

    Examples
    --------
    >>> import collapse
    >>> collapse.models.ExponentialRate(3).limit_risk
    9.0
    """

    rate: float

    def __post_init__(self) -> None:
        check_number(self.rate, "rate", 0)

    @cached_property
    def truth(self) -> Array:
        return np.array([float(self.rate)])

    @property
    def information(self) -> Array:
        return self.truth[:, None] ** -2

    @property
    def risk_hessian(self) -> Array:
        return np.array([[2.0]])

    def draw(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        return rng.standard_exponential((len(theta), rows)) / theta

    def draw_statistic(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        return rng.standard_gamma(rows, theta.shape) / (rows * theta)

    def statistic(self, rows: Array) -> Array:
        return rows[..., None]

    def expectation(self, theta: Array) -> Array:
        return 1 / theta

    def jacobian(self, theta: Array) -> Array:
        return -(theta[:, :, None] ** -2)

    def fit_statistic(self, statistic: Array, start: Array | None) -> Array:
        return 1 / statistic

    def deviation(self, theta: Array) -> Array:
        return theta - self.truth

    def risk(self, theta: Array) -> Array:
        return np.asarray((theta[:, 0] - self.truth[0]) ** 2)


def _tables(*entries: Array) -> Array:
    """Tables (R, 2, 2) from their four entries (R,), row by row."""
    return np.stack(entries, axis=-1).reshape(-1, 2, 2)


def _positive(theta: Array, column: int) -> Array:
    theta[~(theta[:, column] > 0)] = np.nan
    return theta


def _gamma_shape(excess: Array) -> Array:
    """Solve log a - digamma(a) = excess for a, (R,) to (R,); NaN where excess is not positive.

    Newton's method in 1 / a (Minka 2002), inside 1 / (2 excess) < a < 1 / excess, which holds for every solution.
    """
    from scipy.special import polygamma, psi

    out = np.full(excess.shape, np.nan)
    todo = np.flatnonzero(np.isfinite(excess) & (excess > 0))
    s = excess[todo]
    low, high = 0.5 / s, 1 / s
    a = (3 - s + np.sqrt((s - 3) ** 2 + 24 * s)) / (12 * s)
    for _ in range(STEPS):
        if not len(todo):
            break
        gap = np.log(a) - psi(a) - s
        low, high = np.where(gap > 0, a, low), np.where(gap > 0, high, a)
        new = 1 / (1 / a + gap / (a**2 * (1 / a - polygamma(1, a))))
        new = np.where((new > low) & (new < high), new, (low + high) / 2)
        done = abs(new - a) <= 1e-9 * a  # the error squares with this step
        out[todo[done]] = new[done]
        keep = ~done
        todo, s, low, high, a = todo[keep], s[keep], low[keep], high[keep], new[keep]
    return out


# under discard ratios at generation 20 are 6 to 8 per cent too large at n = 1000, 15 to 19 at n = 400, half a per cent under augment
_LIKELIHOOD = "maximum likelihood in a regular family"


@register("Normal mean and variance", n=1000, group="two parameters", why=_LIKELIHOOD, page="estimators", allowance=0.1)
def example_normal_mean_variance() -> NormalMeanVariance:
    return NormalMeanVariance(1.0, 4.0)


# effort: where the mean of a batch's statistic is no variate of a known law, all its rows are drawn
@register("Gamma shape and rate", n=1000, group="two parameters", why=_LIKELIHOOD, page="estimators", allowance=0.1, effort=250)
def example_gamma_shape_rate() -> GammaShapeRate:
    return GammaShapeRate(2.0, 1.0)


@register("Beta", n=1000, group="two parameters", why=_LIKELIHOOD, page="estimators", allowance=0.1, effort=300)
def example_beta() -> Beta:
    return Beta(2.0, 3.0)


@register("Inverse Gaussian", n=1000, group="two parameters", why=_LIKELIHOOD, page="estimators", allowance=0.1)
def example_inverse_gaussian() -> InverseGaussian:
    return InverseGaussian(1.0, 2.0)


@register(
    "Gamma by moments",
    n=1000,
    group="two parameters",
    why="a smooth function of means, regular without being efficient",
    page="estimators",
    allowance=0.1,
    effort=250,
)
def example_gamma_moments() -> GammaMoments:
    return GammaMoments(2.0, 1.0)


@register(
    "Exponential rate",
    n=1000,
    group="exponential families",
    why="a smooth function of a mean, biased at finite n",
    page="estimators",
    allowance=0.1,
)
def example_exponential_rate() -> ExponentialRate:
    return ExponentialRate(1.0)
