"""Families with two parameters, by maximum likelihood and by moments; and a curved functional of a
mean.
"""

from dataclasses import dataclass
from functools import partial
from math import factorial, prod
from typing import Any

import numpy as np
import scipy

from collapse.checks import require
from collapse.models.expansion import SecondOrder, of_mean, of_two_statistics
from collapse.models.families.base import Family, Place, Size, SquaredError, Standardised, tables
from collapse.models.families.digamma import (
    beta_parameters,
    excess,
    gamma_shapes,
    log_less_digamma,
    slope,
)
from collapse.models.families.morris import VALUES, Shape
from collapse.models.protocols import Array, by_parts
from collapse.models.registry import register

STEPS = 100
"""Newton steps after which a fit that has not converged is given up: no estimate."""

MOST_SKEWED = 1e6
"""Largest ratio of an inverse Gaussian mean to its shape: beyond it numpy's sampler cancels."""

# under discard ratios at generation 20 are 6 to 8 per cent too large at n = 1000, 15 to 19 at n =
# 400, half a per cent under augment
_smooth = partial(register, n=1000, page="estimators", allowance=0.1)
_likelihood = partial(_smooth, group="two parameters", why="maximum likelihood in a regular family")


class Matching(Family):
    """What the families share: a fit has the centred moments of the rows.

    Centred moments are the mean, and the mean of one or two Bregman divergences of the rows from
    it: D(x, m) = phi(x) - phi(m) - phi'(m) (x - m), with phi(x) = x^2 for a variance, -log x for
    what the logarithm of the mean exceeds the mean logarithm by. They are sums of what is positive:
    no difference of large numbers loses the spread of rows that lie close together. Batches are
    pooled as Chan, Golub and LeVeque (1983) pool variances: divergences within the batches, and
    those of the batches' means from the common one.

    That is the method of moments; where the statistics are sufficient for an exponential family, it
    is maximum likelihood. Risk is the Kullback-Leibler divergence of the fitted law from the true
    one, E log(p_true / p_fit) under the truth, in nats per row.

    A family adds `divergence` (rows (R, N), means (R, 1) to (R, N, q)), the `expectation` of its
    moments (theta (R, d) to (R, 1 + q)), the `jacobian` of that (R, 1 + q, d), the Fisher
    `information` (d, d) at the truth, its sampler, its risk and `fit_statistic`.

    A row and a mean are doubles: rows that differ by less than the mean's last digit, 2e-16 of it,
    are equal, and have no estimate of their spread (a row of NaN).
    """

    def influence_function(self: Any, rows: Array, theta: Array) -> Array:
        """Rows (R, N) at parameters (R, d): the first-order effect of each on the fit, (R, N,
        d).
        """
        mean = self.expectation(theta)[:, :1]
        return np.asarray(self.effect(rows, self.divergence(rows, mean), theta))

    def effect(self: Any, rows: Array, divergence: Array, theta: Array) -> Array:
        """The same of rows that have these divergences (R, N, q) from the source's mean."""
        away = np.concatenate([rows[..., None], divergence], axis=2)
        away -= self.expectation(theta)[:, None]
        return np.asarray(np.linalg.solve(self.jacobian(theta), away.mT).mT)

    @np.errstate(all="ignore")  # a row or a mean that has underflown: no estimate
    def moments(self: Any, rows: Array, weight: Array) -> Array:
        """Mean, and mean divergences from it, of weighted rows: (R, N), (R, N) to (R, 1 + q)."""
        share = weight / weight.sum(axis=1, keepdims=True)
        mean = np.einsum("rn,rn->r", share, rows)[:, None]
        mean += np.einsum("rn,rn->r", share, rows - mean)[:, None]  # what rounding left
        within = np.einsum("rn,rnq->rq", share, self.divergence(rows, mean))
        return np.concatenate([mean, within], axis=1)

    @np.errstate(all="ignore")
    def pool(self: Any, first: Array, second: Array, share: float) -> Array:
        """Moments (R, 1 + q) of two sets of rows as one; the second holds `share` of the weight."""
        mean = first[:, :1] + share * (second[:, :1] - first[:, :1])
        each = np.concatenate([first[:, :1], second[:, :1]], axis=1)
        between = self.divergence(each, mean)
        one, two = first[:, 1:] + between[:, 0], second[:, 1:] + between[:, 1]
        return np.concatenate([mean, (1 - share) * one + share * two], axis=1)

    def fit(self: Any, rows: Array, weight: Array, start: Array | None) -> Array:
        return np.asarray(self.fit_statistic(self.moments(rows, weight), start))

    def draw_statistic(self: Any, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        def moments(part: slice) -> Array:
            batch = self.draw(theta[part], rows, rng)
            return np.asarray(self.moments(batch, np.ones(batch.shape)))

        return by_parts(moments, len(theta), rows, VALUES)


class Standard(Standardised):
    """A family whose batches' moments tell their mean standard score: divergences within a batch
    add to that of its mean from the source's.
    """

    def standard_statistic(self: Any, statistic: Array, theta: Array) -> Array:
        mean, at = statistic[:, :1], self.expectation(theta)[:, :1]
        divergence = self.divergence(mean, at) + statistic[:, None, 1:]
        return np.asarray(self.in_units(self.effect(mean, divergence, theta), theta)[:, 0])


class Sufficient(Matching):
    """Maximum likelihood in an exponential family with two statistics.

    A family adds `cumulant(i, j)`, the joint cumulant of i times the first statistic and j times
    the second at the truth, up to an affine map of both.
    """

    def second_order(self: Any) -> SecondOrder:
        return of_two_statistics(self.cumulant)


@_likelihood("Normal mean and variance", at=(1.0, 4.0))
@dataclass(frozen=True)
class NormalMeanVariance(Sufficient):
    """Normal law with mean and variance unknown, by maximum likelihood: the variance has divisor n.

    A batch's mean and its mean square about that are drawn directly, as a normal and a chi-square
    variate. Risk is the Kullback-Leibler divergence from the truth, in nats.

    Parameters
    ----------
    mean, variance : float
        Of the real world.

    Notes
    -----
    Under discard the fitted variance falls at a geometric rate. Where batches are drawn whole it is
    followed as far as doubles go: below 1e-308 digits are lost, and a variance that underflows to 0
    is no estimate (such a replication is counted in `Risk.failed`). What lies between the means of
    several batches is followed down to the last digit of the mean, and rows are too.

    Examples
    --------
    >>> import collapse
    >>> model = collapse.models.NormalMeanVariance(1, 4)
    >>> model.fit(np.array([[0.0, 2.0, 4.0]]), np.ones((1, 3)), None).round(3)
    array([[2.   , 2.667]])
    >>> model.limit_risk
    1.0
    """

    mean: Place
    variance: Size

    def cumulant(self, i: int, j: int) -> float:
        """Of x and x^2 for a standard normal x."""
        return {0: 2.0 ** (j - 1) * factorial(j - 1) if j else 0.0, 2: 2.0**j * factorial(j)}.get(
            i, 0.0
        )

    def information(self, theta: Array) -> Array:
        variance, none = theta[:, 1], 0 * theta[:, 1]
        return tables(1 / variance, none, none, 0.5 / variance**2)

    def draw(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        return theta[:, :1] + np.sqrt(theta[:, 1:]) * rng.standard_normal((len(theta), rows))

    def draw_statistic(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        mean = theta[:, 0] + np.sqrt(theta[:, 1] / rows) * rng.standard_normal(len(theta))
        spread = theta[:, 1] * (2 / rows) * rng.standard_gamma((rows - 1) / 2, len(theta))
        return np.stack([mean, spread], axis=1)

    def divergence(self, rows: Array, mean: Array) -> Array:
        return ((rows - mean) ** 2)[..., None]

    def expectation(self, theta: Array) -> Array:
        return theta

    def jacobian(self, theta: Array) -> Array:
        return np.broadcast_to(np.eye(2), (len(theta), 2, 2))

    def fit_statistic(self, statistic: Array, start: Array | None) -> Array:
        variance = statistic[:, 1:]
        return np.where((variance > 0) & np.isfinite(variance), statistic, np.nan)

    measures = ("variance", "entropy")

    def measure(self, name: str, theta: Array, rng: np.random.Generator) -> Array:
        """Share of the true variance, or entropy in nats."""
        if name == "variance":
            return np.asarray(theta[:, 1] / self.truth[1])
        return np.asarray(np.log(2 * np.pi * np.e * theta[:, 1]) / 2)

    @np.errstate(over="ignore")  # a fit without spread costs more than a double holds
    def risk(self, theta: Array) -> Array:
        mean, variance = self.truth
        narrower = excess(variance, theta[:, 1], variance - theta[:, 1])
        return np.asarray((narrower + (theta[:, 0] - mean) ** 2 / theta[:, 1]) / 2)


@dataclass(frozen=True)
class _GammaLaw(Matching):
    """The gamma law in its shape and rate, whatever the estimator."""

    shape: Shape
    rate: Size

    def information(self, theta: Array) -> Array:
        a, b = theta.T
        return tables(scipy.special.polygamma(1, a), -1 / b, -1 / b, a / b**2)

    def draw(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        return rng.standard_gamma(theta[:, :1], (len(theta), rows)) / theta[:, 1:]

    def risk(self, theta: Array) -> Array:
        (a, b), (shape, rate) = theta.T, self.truth
        return np.asarray(
            scipy.special.gammaln(a)
            - scipy.special.gammaln(shape)
            - (a - shape) * scipy.special.psi(shape)
            - a * np.log(b / rate)
            + shape * (b / rate - 1)
        )


# effort: where the mean of a batch's statistic is no variate of a known law, all its rows are drawn
@_likelihood("Gamma shape and rate", at=(2.0, 1.0), n=600, effort=250)
@dataclass(frozen=True)
class GammaShapeRate(Standard, _GammaLaw, Sufficient):
    """Gamma law with shape and rate unknown, by maximum likelihood: log shape - digamma(shape) =
    log(mean x) - mean log x.

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

    def cumulant(self, i: int, j: int) -> float:
        """Of x and log x: derivatives of log Gamma(a) - a log b in -b and a."""
        a, b = self.truth
        if i == 0:
            return float(scipy.special.polygamma(j - 1, a) - (np.log(b) if j == 1 else 0))
        return float(a ** (1 - j) * factorial(i - 1) / b**i) if j < 2 else 0.0

    def divergence(self, rows: Array, mean: Array) -> Array:
        # infinite for a row that underflows to zero: no estimate exists
        return excess(rows, mean, rows - mean)[..., None]

    def expectation(self, theta: Array) -> Array:
        return np.stack([theta[:, 0] / theta[:, 1], log_less_digamma(theta[:, 0])], axis=1)

    def jacobian(self, theta: Array) -> Array:
        a, b = theta.T
        return tables(1 / b, -a / b**2, slope(a), 0 * a)

    def fit_statistic(self, statistic: Array, start: Array | None) -> Array:
        shape = gamma_shapes(statistic[:, 1], STEPS)
        return np.stack([shape, shape / statistic[:, 0]], axis=1)


@_likelihood("Beta", at=(2.0, 3.0), n=400, effort=300)
@dataclass(frozen=True)
class Beta(Standard, Sufficient):
    """Beta law with both parameters unknown, by maximum likelihood: the means of log x and log(1 -
    x) are matched.

    A row is a double: with one that is 0 or 1 by rounding, as parameters near 0 draw them, no
    estimate exists. Risk is the Kullback-Leibler divergence from the truth, in nats.

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

    a: Shape
    b: Shape

    def cumulant(self, i: int, j: int) -> float:
        """Of log x and log(1 - x): derivatives of log B(a, b)."""
        own = {0: self.truth[1], i + j: self.truth[0]}.get(i)
        alone = 0.0 if own is None else scipy.special.polygamma(i + j - 1, own)
        return float(alone - scipy.special.polygamma(i + j - 1, self.truth.sum()))

    def information(self, theta: Array) -> Array:
        own, both = scipy.special.polygamma(1, theta), scipy.special.polygamma(1, theta.sum(axis=1))
        return tables(own[:, 0] - both, -both, -both, own[:, 1] - both)

    def draw(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        return rng.beta(theta[:, :1], theta[:, 1:], (len(theta), rows))

    def divergence(self, rows: Array, mean: Array) -> Array:
        # infinite for a row that is 0 or 1 by rounding: no estimate exists
        other = excess(1 - rows, 1 - mean, mean - rows)
        return np.stack([excess(rows, mean, rows - mean), other], axis=-1)

    def expectation(self, theta: Array) -> Array:
        total = theta.sum(axis=1, keepdims=True)
        spread = log_less_digamma(theta) - log_less_digamma(total)
        return np.concatenate([theta[:, :1] / total, spread], axis=1)

    def effect(self, rows: Array, divergence: Array, theta: Array) -> Array:
        """Inverse information times scores, (R, N, 2)."""
        moments = self.expectation(theta)
        mean = moments[:, :1]
        u = np.stack([(rows - mean) / mean, (mean - rows) / (1 - mean)], axis=2)
        score = u - (divergence - moments[:, None, 1:])
        return np.asarray(np.linalg.solve(self.information(theta), score.mT).mT)

    def fit_statistic(self, statistic: Array, start: Array | None) -> Array:
        """Newton's method; NaN where rows are equal, one is 0 or 1, or it does not converge."""
        out = np.full((len(statistic), 2), np.nan)
        found = np.isfinite(statistic).all(axis=1) & (statistic[:, 1:] > 0).all(axis=1)
        share = np.abs(statistic[found, :1] - [0, 1])
        out[found] = beta_parameters(share, statistic[found, 1:], STEPS)
        return out

    def risk(self, theta: Array) -> Array:
        mean = scipy.special.psi(self.truth) - scipy.special.psi(self.truth.sum())
        return np.asarray(
            scipy.special.betaln(*theta.T)
            - scipy.special.betaln(*self.truth)
            - (theta - self.truth) @ mean
        )


@_likelihood("Inverse Gaussian", at=(1.0, 2.0))
@dataclass(frozen=True)
class InverseGaussian(Sufficient):
    """Inverse Gaussian law with mean and shape unknown, by maximum likelihood; the variance is
    mean^3 / shape.

    A batch's mean is drawn directly, an inverse Gaussian variate, and what the mean of the inverses
    exceeds the inverse of the mean by from a chi-square variate (Tweedie 1957). Risk is the
    Kullback-Leibler divergence from the truth, in nats. A fitted shape beyond the largest double is
    no estimate.

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

    mean: Size
    shape: Size

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            not (float(self.mean) > MOST_SKEWED * float(self.shape)),
            f"mean / shape must be {MOST_SKEWED:g} at the most, where rows can be drawn; "
            f"it is {float(self.mean) / float(self.shape):.3g}.",
        )

    def cumulant(self, i: int, j: int) -> float:
        """Of x and 1 / x: derivatives of -log(2 v) / 2 - 2 sqrt(u v) in -u and -v, where u = shape
        / (2 mean^2) and v = shape / 2.
        """
        u, v = self.truth[1] / (2 * self.truth[0] ** 2), self.truth[1] / 2
        powers = (scipy.special.poch(1.5 - k, k) * at ** (0.5 - k) for at, k in ((u, i), (v, j)))
        alone = factorial(j - 1) / 2 * v**-j if i == 0 else 0.0
        return float(alone - 2 * (-1) ** (i + j) * prod(powers))

    def information(self, theta: Array) -> Array:
        mean, shape = theta.T
        return tables(shape / mean**3, 0 * mean, 0 * mean, 0.5 / shape**2)

    def draw(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        return rng.wald(theta[:, :1], theta[:, 1:], (len(theta), rows))

    def draw_statistic(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        mean = rng.wald(theta[:, 0], rows * theta[:, 1])
        spread = rng.standard_gamma((rows - 1) / 2, len(theta)) * 2 / (rows * theta[:, 1])
        return np.stack([mean, spread], axis=1)

    def divergence(self, rows: Array, mean: Array) -> Array:
        return (((rows - mean) / mean) ** 2 / rows)[..., None]

    def expectation(self, theta: Array) -> Array:
        return np.stack([theta[:, 0], 1 / theta[:, 1]], axis=1)

    def jacobian(self, theta: Array) -> Array:
        return tables(theta[:, 1] ** 0, 0 * theta[:, 1], 0 * theta[:, 1], -1 / theta[:, 1] ** 2)

    @np.errstate(over="ignore")
    def fit_statistic(self, statistic: Array, start: Array | None) -> Array:
        shape = 1 / np.where(statistic[:, 1:] > 0, statistic[:, 1:], np.nan)
        found = np.isfinite(shape) & (shape > 0)
        return np.where(found, np.hstack([statistic[:, :1], shape]), np.nan)

    @np.errstate(over="ignore")
    def risk(self, theta: Array) -> Array:
        mean, shape = self.truth
        away = theta[:, 1] * ((theta[:, 0] - mean) / theta[:, 0]) ** 2 / mean
        return np.asarray((excess(theta[:, 1], shape, theta[:, 1] - shape) + away) / 2)


@_smooth(
    "Gamma by moments",
    at=(2.0, 1.0),
    group="two parameters",
    why="a smooth function of means, regular without being efficient",
    effort=250,
)
@dataclass(frozen=True)
class GammaMoments(Standard, _GammaLaw):
    """Gamma law with shape and rate unknown, by the method of moments: shape = mean^2 / variance,
    rate = mean / variance.

    Regular, and not efficient: the ratio is that of maximum likelihood, the level is higher. Risk
    is the Kullback-Leibler divergence from the truth, in nats.

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

    def influence_variance(self, theta: Array) -> Array:
        a, b = theta.T
        change = np.linalg.inv(self.jacobian(theta))
        second = tables(a / b**2, 2 * a / b**3, 2 * a / b**3, 2 * a * (a + 3) / b**4)
        return np.asarray(change @ second @ change.mT)

    def divergence(self, rows: Array, mean: Array) -> Array:
        return ((rows - mean) ** 2)[..., None]

    def expectation(self, theta: Array) -> Array:
        a, b = theta.T
        return np.stack([a / b, a / b**2], axis=1)

    def jacobian(self, theta: Array) -> Array:
        a, b = theta.T
        return tables(1 / b, -a / b**2, 1 / b**2, -2 * a / b**3)

    def fit_statistic(self, statistic: Array, start: Array | None) -> Array:
        mean, variance = statistic.T
        rate = mean / np.where(variance > 0, variance, np.nan)
        return np.stack([mean * rate, rate], axis=1)


@_smooth(
    "Exponential rate",
    at=(1.0,),
    group="exponential families",
    why="a smooth function of a mean, biased at finite n",
)
@dataclass(frozen=True)
class ExponentialRate(SquaredError, Matching):
    """Exponential law in its rate, 1 / mean, by maximum likelihood: biased at finite n, by rate
    times ratio / n to first order.

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

    rate: Size

    def second_order(self) -> SecondOrder:
        rate = float(self.rate)
        slopes = -(rate**2), 2 * rate**3, -6 * rate**4
        return of_mean((rate**-2, 2 / rate, 2.0), slopes)

    def information(self, theta: Array) -> Array:
        return np.asarray(theta[:, :, None] ** -2)

    def draw(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        return rng.standard_exponential((len(theta), rows)) / theta

    def draw_statistic(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        return rng.standard_gamma(rows, theta.shape) / (rows * theta)

    def divergence(self, rows: Array, mean: Array) -> Array:
        return np.empty((*rows.shape, 0))

    def expectation(self, theta: Array) -> Array:
        return 1 / theta

    def jacobian(self, theta: Array) -> Array:
        return -(theta[:, :, None] ** -2)

    def fit_statistic(self, statistic: Array, start: Array | None) -> Array:
        return 1 / statistic
