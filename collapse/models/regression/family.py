"""Families of labels: a family is its link, its likelihood in the margin and its sampler.

Margins x'theta of m rows are (..., q, m): q is 1, but for K classes K - 1, their log odds against
class 0. Labels enter sums in the same shape (`Family.coded`).
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import scipy

from collapse.checks import LARGE
from collapse.models.families.morris import COUNTED
from collapse.models.protocols import Array

SEPARATED = 1e-10
"""Share of misclassified absolute margin below which labels count as separated.

Rounding leaves about 1e-15 of a true zero. An estimate that exists although the share is as small
has fitted probabilities within about 1e-10 of 0 or 1, where a mean statistic in double precision no
longer determines it.
"""


FLAT = 1e-12
"""Eigenvalue of the Hessian, where the design's columns are orthonormal, below which a fit counts
as separated though an estimate may exist.

A mean statistic in double precision does not determine the estimate then, and labels drawn from it
separate but for a chance of n times as much.
"""


def margins(theta: Array, X: Array) -> Array:
    """Return the margins (R, q, m) of rows X (m, p), from coefficients (R, q p)."""
    each = theta.reshape(-1, X.shape[1]) @ X.T
    return np.asarray(each.reshape(len(theta), theta.shape[1] // X.shape[1], len(X)))


def gram(X: Array, curvature: Array) -> Array:
    """Return the sum over rows of curvature (q, q, m), or (1, m), times x x', (q p, q p)."""
    q, p = len(curvature), X.shape[1]
    out = np.empty((q, p, q, p))
    for (a, b), each in zip(np.ndindex(q, q), curvature.reshape(q * q, -1, 1), strict=True):
        if a >= b:
            out[a, :, b] = (X * each).T @ X
            out[b, :, a] = out[a, :, b].T
    return out.reshape(q * p, q * p)


def exponential(margin: Array) -> Array:
    """Return exp(margin), cut where sums and products of it would overflow; no estimate lies that
    far out.
    """
    return np.exp(np.clip(margin, -300.0, 300.0))


def _softplus(margin: Array) -> Array:
    """Return log(1 + exp(margin)) without overflow, max(m, 0) + log(1 + exp(-|m|)); the margin is
    lost.
    """
    tail = np.abs(margin)
    for step in (np.negative, np.exp, np.log1p):
        step(tail, out=tail)
    return np.add(tail, np.maximum(margin, 0.0, out=margin), out=tail)


def _log_times(label: Array) -> Array:
    """Return y log y."""
    return np.asarray(label * np.log(np.where(label > 0, label, 1.0)))


class Family(ABC):
    """Link, likelihood and sampler of a generalised linear model with margins x'theta.

    Attributes
    ----------
    outputs : int
        Margins q of a row.
    canonical : bool
        Whether labels enter the fit through the mean of x y alone; otherwise through their means on
        each row of the design.
    labels : str
        What labels must be, in words.
    reach : tuple of float
        Least and largest margin that a truth may have.
    clear : float
        Largest margin at which no row's curvature is below FLAT, whatever its labels.
    scale : float
        What the loss that is told of a fit is in units of minus its log-likelihood.
    dispersion : float
        Variance of a row's derivative as `derivatives` tells it, in units of minus the mean second.
    """

    outputs: int = 1
    canonical: ClassVar[bool] = False
    labels: str = "labels 0 and 1"
    reach: ClassVar[tuple[float, float]] = -LARGE, LARGE
    clear: ClassVar[float] = 0.0
    scale: float = 1.0
    dispersion: float = 1.0

    @abstractmethod
    def mean(self, margin: Array) -> Array:
        """Return the means of labels, or the probabilities of all K classes, (..., K, m)."""

    @abstractmethod
    def sample(self, mean: Array, copies: int, rng: np.random.Generator) -> Array:
        """Draw the mean over `copies` labels with these means; for classes the shares of all but
        class 0, (..., K - 1, m).
        """

    @abstractmethod
    def loss(self, margin: Array, label: Array) -> Array:
        """Return minus the log-likelihood, without terms that are free of the margin; with a
        canonical link without label x margin, too. The margin may be lost.
        """

    @abstractmethod
    def derivatives(
        self, margin: Array, weight: Array | float, total: Array
    ) -> tuple[Array, Array]:
        """Return the derivative of rows' log-likelihood in the margin, and minus the second, up to
        one factor that rows share.

        Rows have given weights and weighted sums of labels. With classes the second derivative is
        (..., K - 1, K - 1, m).
        """

    def least(self, label: Array) -> Array | float:
        """Return the least loss that any margin gives."""
        return 0.0

    def deviance(self, margin: Array, coded: Array) -> Array:
        """Return half the deviance of each row, (m,) from margins (q, m)."""
        taken = (coded * margin).sum(axis=0) if self.canonical else 0.0
        return np.asarray((self.loss(margin, coded) - self.least(coded)).sum(axis=0) - taken)

    def refuse(self, label: Array) -> Array:
        """Tell which labels cannot be."""
        return np.asarray((label != 0) & (label != 1))

    def coded(self, label: Array) -> Array:
        """Return labels (..., m) as they enter sums, (..., q, m)."""
        return label[..., None, :]

    def most(self, margin: Array) -> Array:
        """Return the most that label x margin can be for labels of this family, (R, m) from
        (R, q, m).

        The likelihood rises for ever in a direction in which the real labels attain it on every
        row: there is no estimate then, and only then.
        """
        return np.asarray(np.maximum(margin.max(axis=1), 0.0))


class Logit(Family):
    """Labels 0 and 1, p = 1 / (1 + exp(-margin)), variance p (1 - p)."""

    canonical = True
    clear = float(-np.log(4 * FLAT))

    def mean(self, margin: Array) -> Array:
        # The hyperbolic tangent cannot overflow: 1 / (1 + exp(-m)) = (1 + tanh(m / 2)) / 2.
        return np.asarray(0.5 + 0.5 * np.tanh(0.5 * margin))

    def variance(self, mean: Array) -> Array:
        return mean * (1.0 - mean)

    def sample(self, mean: Array, copies: int, rng: np.random.Generator) -> Array:
        if copies == 1:
            # A 53-bit uniform below the probability: exact to 2^-53.
            return np.less(rng.random(mean.shape), mean).astype(float)
        return rng.binomial(copies, mean) / copies

    def loss(self, margin: Array, label: Array) -> Array:
        return _softplus(margin)

    def derivatives(
        self, margin: Array, weight: Array | float, total: Array
    ) -> tuple[Array, Array]:
        share = self.mean(margin)
        return total - weight * share, weight * self.variance(share)


class NormalLink(Logit):
    """Labels 0 and 1, p = Phi(margin), variance p (1 - p)."""

    canonical = False
    clear = 7.0

    def mean(self, margin: Array) -> Array:
        return np.asarray(scipy.special.ndtr(margin))

    def loss(self, margin: Array, label: Array) -> Array:
        return np.asarray(
            -label * scipy.special.log_ndtr(margin)
            - (1.0 - label) * scipy.special.log_ndtr(-margin)
        )

    def derivatives(
        self, margin: Array, weight: Array | float, total: Array
    ) -> tuple[Array, Array]:
        # the density over the distribution function, without overflow in either tail
        up, down = (
            np.sqrt(2 / np.pi) / scipy.special.erfcx(side * np.sqrt(0.5) * margin)
            for side in (-1.0, 1.0)
        )
        ones, zeros = total * up, (weight - total) * down
        return ones - zeros, ones * (up + margin) + zeros * np.maximum(down - margin, 0.0)


class Smooth(Family):
    """A family whose third derivative is known too, and does not depend on labels."""

    @abstractmethod
    def third(self, margin: Array, spread: Array) -> Array:
        """Return the sum of minus the third derivative against a covariance of margins,
        (..., q, m) from (..., q, q, m).
        """


class Counts(Smooth):
    """Labels 0, 1, 2, ... with a Poisson law, mean exp(margin), variance equal to it."""

    canonical = True
    labels = "counts 0, 1, 2, ..."
    reach = -300.0, 300.0
    clear = float(-np.log(FLAT))

    mean = staticmethod(exponential)

    def variance(self, mean: Array) -> Array:
        return mean

    def sample(self, mean: Array, copies: int, rng: np.random.Generator) -> Array:
        return rng.poisson(np.minimum(copies * mean, COUNTED)) / copies

    def loss(self, margin: Array, label: Array) -> Array:
        return exponential(margin)

    def derivatives(
        self, margin: Array, weight: Array | float, total: Array
    ) -> tuple[Array, Array]:
        mean = weight * exponential(margin)
        return total - mean, mean

    def third(self, margin: Array, spread: Array) -> Array:
        return np.asarray(exponential(margin) * spread[..., 0, :, :])

    def least(self, label: Array) -> Array | float:
        return np.asarray(label - _log_times(label))

    def refuse(self, label: Array) -> Array:
        return np.asarray((label < 0) | (label != np.floor(label)))

    def most(self, margin: Array) -> Array:
        size = np.abs(margin).mean(axis=-1, keepdims=True)
        return np.where(margin > SEPARATED * size, np.inf, 0.0)[:, 0]


@dataclass(frozen=True)
class Overdispersed(Counts):
    """Labels 0, 1, 2, ... with a negative binomial law of known size, mean exp(margin), variance
    mean + mean^2 / size.
    """

    size: float
    canonical = False
    clear = 0.0

    def variance(self, mean: Array) -> Array:
        return mean + mean**2 / self.size

    def sample(self, mean: Array, copies: int, rng: np.random.Generator) -> Array:
        # a Poisson law with a gamma mean
        rate = rng.gamma(copies * self.size, mean / self.size)
        return rng.poisson(np.minimum(rate, COUNTED)) / copies

    def loss(self, margin: Array, label: Array) -> Array:
        # log(size + exp(m)) less a part free of the margin
        return np.asarray(
            (label + self.size) * _softplus(margin - np.log(self.size)) - label * margin
        )

    def derivatives(
        self, margin: Array, weight: Array | float, total: Array
    ) -> tuple[Array, Array]:
        mean = exponential(margin)
        spread = 1.0 + mean / self.size
        share = mean / spread
        return (total - weight * mean) / spread, share * (weight + total / self.size) / spread

    def least(self, label: Array) -> Array | float:
        return np.asarray((label + self.size) * np.log1p(label / self.size) - _log_times(label))


@dataclass(frozen=True)
class Positive(Family):
    """Positive labels with a gamma law of known shape, mean exp(margin), variance mean^2 / shape;
    all of them have an estimate, the same for every shape.
    """

    shape: float
    labels = "positive numbers"
    reach = Counts.reach

    mean = staticmethod(exponential)

    @property
    def dispersion(self) -> float:  # type: ignore[override]
        return 1 / self.shape

    def variance(self, mean: Array) -> Array:
        return mean**2 / self.shape

    def sample(self, mean: Array, copies: int, rng: np.random.Generator) -> Array:
        # a variate below the smallest number is no zero
        rate = copies * self.shape
        return np.maximum(rng.gamma(rate, mean / rate), np.finfo(float).tiny)

    def loss(self, margin: Array, label: Array) -> Array:
        return np.asarray(self.shape * (margin + label * exponential(-margin)))

    def derivatives(
        self, margin: Array, weight: Array | float, total: Array
    ) -> tuple[Array, Array]:
        share = total * exponential(-margin)
        return share - weight, share

    def least(self, label: Array) -> Array | float:
        return np.asarray(self.shape * (1.0 + np.log(label)))

    def refuse(self, label: Array) -> Array:
        return np.asarray(label <= 0)

    def most(self, margin: Array) -> Array:
        return np.full_like(margin[:, 0], np.inf)


@dataclass(frozen=True)
class Classes(Smooth):
    """Labels 0, ..., q with log odds linear in the covariates: q margins against class 0."""

    outputs: int
    canonical = True

    @property
    def labels(self) -> str:  # type: ignore[override]
        return f"labels 0, 1, ..., {self.outputs}"

    def mean(self, margin: Array) -> Array:
        top = np.maximum(margin.max(axis=-2, keepdims=True), 0.0)
        odds = np.exp(np.concatenate([-top, margin - top], axis=-2))
        return np.asarray(odds / odds.sum(axis=-2, keepdims=True))

    def sample(self, mean: Array, copies: int, rng: np.random.Generator) -> Array:
        if copies > 1:
            return np.asarray(rng.multinomial(copies, mean.mT).mT[:, 1:] / copies)
        # beyond[k] tells whether the class is above k
        beyond = rng.random((len(mean), 1, mean.shape[2])) >= np.cumsum(mean, axis=1)[:, :-1]
        drawn = beyond.astype(float)
        drawn[:, :-1] -= beyond[:, 1:]
        return drawn

    def loss(self, margin: Array, label: Array) -> Array:
        top = np.maximum(margin.max(axis=-2, keepdims=True), 0.0)
        odds = np.exp(margin - top).sum(axis=-2, keepdims=True) + np.exp(-top)
        return np.asarray(top + np.log(odds))

    def derivatives(
        self, margin: Array, weight: Array | float, total: Array
    ) -> tuple[Array, Array]:
        share = self.mean(margin)[..., 1:, :]
        alone = np.eye(self.outputs)[:, :, None] - share[..., None, :, :]
        return total - weight * share, weight * (share[..., :, None, :] * alone)

    def third(self, margin: Array, spread: Array) -> Array:
        share = self.mean(margin)[..., 1:, :]
        # distances of the classes from their mean in the metric of the spread, but for what all
        # share, and class 0, the origin, has none
        towards = np.einsum("...abm,...bm->...am", spread, share)
        distance = np.einsum("...aam->...am", spread) - 2 * towards
        return np.asarray(share * (distance - (share * distance).sum(axis=-2, keepdims=True)))

    def refuse(self, label: Array) -> Array:
        return np.asarray((label < 0) | (label > self.outputs) | (label != np.floor(label)))

    def coded(self, label: Array) -> Array:
        each = label[..., None, :]
        return np.where(np.isnan(each), np.nan, each == np.arange(1.0, self.outputs + 1)[:, None])


@dataclass(frozen=True)
class Normal(Smooth):
    """Labels with normal errors of known variance about the margin; the loss told of a fit is the
    squared error.
    """

    variance: float

    @property
    def scale(self) -> float:  # type: ignore[override]
        return 2 * self.variance

    def mean(self, margin: Array) -> Array:
        return margin

    def sample(self, mean: Array, copies: int, rng: np.random.Generator) -> Array:
        noise = np.sqrt(self.variance / copies) * rng.standard_normal(mean.shape)
        return np.asarray(mean + noise)

    def loss(self, margin: Array, label: Array) -> Array:
        return np.asarray((margin - label) ** 2 / (2 * self.variance))

    def derivatives(
        self, margin: Array, weight: Array | float, total: Array
    ) -> tuple[Array, Array]:
        score = (total - weight * margin) / self.variance
        return score, np.broadcast_to(weight / self.variance, margin.shape)

    def third(self, margin: Array, spread: Array) -> Array:
        return np.zeros_like(margin)
