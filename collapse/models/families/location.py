"""Location, and scale, by estimators that are not maximum likelihood."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, partial
from typing import Annotated, Any, ClassVar

import numpy as np
import scipy

from collapse.checks import check_number, check_place, check_size, choice
from collapse.models.families.base import SquaredError, Standardised, decreasing_roots
from collapse.models.families.medians import (
    greatest,
    least,
    median_of_pairs,
    ordered_rows,
    weighted_median,
)
from collapse.models.protocols import Array
from collapse.models.registry import register

STEPS = 1000
"""Steps after which an M-estimate is given up: no estimate. Ordinary fits take three to ten."""


@dataclass(frozen=True)
class Law:
    """A standard law, symmetric about zero: its sampler, its density at zero, the integral of its
    squared density, its name in scipy.stats.
    """

    sample: Callable[[np.random.Generator, tuple[int, ...]], Array]
    density: float
    squared_density: float
    name: str
    arguments: tuple[float, ...] = ()

    @cached_property
    def distribution(self) -> Any:
        """The law as a frozen distribution of scipy.stats."""
        return getattr(scipy.stats, self.name)(*self.arguments)


LAWS = {
    "normal": Law(
        lambda rng, shape: rng.standard_normal(shape),
        1 / np.sqrt(2 * np.pi),
        1 / (2 * np.sqrt(np.pi)),
        "norm",
    ),
    "laplace": Law(lambda rng, shape: rng.laplace(size=shape), 0.5, 0.25, "laplace"),
    "logistic": Law(lambda rng, shape: rng.logistic(size=shape), 0.25, 1 / 6, "logistic"),
    "student": Law(
        lambda rng, shape: rng.standard_t(3, shape),
        2 / (np.sqrt(3) * np.pi),
        5 / (4 * np.sqrt(3) * np.pi),
        "t",
        (3,),
    ),
    "cauchy": Law(
        lambda rng, shape: rng.standard_cauchy(shape), 1 / np.pi, 1 / (2 * np.pi), "cauchy"
    ),
}

_located = partial(register, group="location and scale", page="estimators")
_sharp = partial(
    _located,
    why="regular and asymptotically linear, with a remainder of relative order n^(-1/2)",
    allowance=0.08,
)
_smooth = partial(_located, why="regular and asymptotically linear, its influence function bounded")


def no_fraction(value: Any, name: str) -> Any:
    """Return a number as arrays know it: a fraction as a float."""
    return float(value) if isinstance(value, Fraction) else value


@dataclass(frozen=True)
class Location(Standardised, SquaredError):
    """What the estimators share: the law, its location and known scale; risk is squared error.

    An estimator adds its fit; and for rows of the standard law its `influence` (x to the same
    shape) and the `variance` of that.
    """

    law: Annotated[str, partial(choice, among=tuple(LAWS))]
    location: Annotated[float, check_place, no_fraction] = 0.0
    scale: Annotated[float, check_size, no_fraction] = 1.0
    estimated: ClassVar[tuple[str, ...]] = ("location",)

    def influence_variance(self: Any, theta: Array) -> Array:
        """V (R, 1, 1): the variance of the influence function, wherever the location is."""
        return np.full((len(theta), 1, 1), self.scale**2 * self.variance)

    def influence_function(self: Any, rows: Array, theta: Array) -> Array:
        """Rows (R, N) at locations (R, 1): the first-order effect of each on the fit, (R, N, 1)."""
        return np.asarray(self.scale * self.influence((rows - theta) / self.scale))[..., None]

    def draw(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        return theta + self.scale * LAWS[self.law].sample(rng, (len(theta), rows))


@_sharp("Median", at=("normal",), n=101, page="universality")
@dataclass(frozen=True)
class Median(Location):
    """Sample median as the estimator of location: regular, asymptotically linear, and no maximum of
    a normal likelihood.

    Synthetic rows are drawn from the law centred at the fitted median; a weighted fit is the
    weighted median.

    Parameters
    ----------
    law : {"normal", "laplace", "logistic", "student", "cauchy"}
        Law of the rows, symmetric about its location; "student" has 3 degrees of freedom.
    location, scale : float, optional
        Location and known scale of the real world.

    Attributes
    ----------
    limit_risk : float
        Variance of the influence function, 1 / (4 f(median)^2): n times the risk of the first fit
        tends to it.

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

    @property
    def variance(self) -> float:
        return 1 / (2 * LAWS[self.law].density) ** 2

    def influence(self, x: Array) -> Array:
        return np.sign(x) / (2 * LAWS[self.law].density)

    def fit(self, rows: Array, weight: Array, start: Array | None) -> Array:
        return weighted_median(rows, weight)[:, None]


class _Clipped(Location):
    """The influence function is the row, clipped at `end`, over the probability P of less."""

    @property
    def variance(self: Any) -> float:
        law, end = LAWS[self.law].distribution, self.end
        square = scipy.integrate.quad(
            lambda x: x * x * law.pdf(x), 0, end, epsabs=1e-13, epsrel=1e-12
        )[0]
        return float(2 * (square + end**2 * law.sf(end)) / (2 * law.cdf(end) - 1) ** 2)

    def influence(self: Any, x: Array) -> Array:
        inside = 2 * LAWS[self.law].distribution.cdf(self.end) - 1
        return np.asarray(np.clip(x, -self.end, self.end) / inside)


@_smooth("Trimmed mean", at=("logistic",), n=100, allowance=0.03)
@dataclass(frozen=True)
class TrimmedMean(_Clipped):
    """Mean of the rows between two quantiles: a share `trim` of the weight is cut off at either
    end.

    The row in which a cut falls keeps the part of its weight that lies inside, so that a weighted
    fit is the trimmed mean of the weighted empirical distribution; with equal weights and trim * n
    whole it is `scipy.stats.trim_mean`.

    Parameters
    ----------
    law : {"normal", "laplace", "logistic", "student", "cauchy"}
        Law of the rows, symmetric about its location; "student" has 3 degrees of freedom.
    location, scale : float, optional
        Location and known scale of the real world.
    trim : float, optional
        Share of weight cut off at either end, between 0 and 1/2.

    Attributes
    ----------
    limit_risk : float
        E min(abs(x), q)^2 / (1 - 2 trim)^2, q the quantile at 1 - trim.

    References
    ----------
    Huber (1981), Robust Statistics, section 3.3.

    Examples
    --------
    >>> import collapse
    >>> round(collapse.models.TrimmedMean("normal", trim=0.1).limit_risk, 4)
    1.0604
    """

    trim: Annotated[float, partial(check_number, low=0, high=0.5), no_fraction] = 0.1

    @property
    def end(self) -> float:
        return float(LAWS[self.law].distribution.ppf(1 - self.trim))

    def fit(self, rows: Array, weight: Array, start: Array | None) -> Array:
        ordered, upto = ordered_rows(rows, weight)
        inside = np.diff(np.clip(upto, self.trim, 1 - self.trim), axis=1, prepend=self.trim)
        return np.asarray(np.einsum("rn,rn->r", inside, ordered) / (1 - 2 * self.trim))[:, None]


@_smooth("Huber", at=("student",), n=100, allowance=0.03)
@dataclass(frozen=True)
class Huber(_Clipped):
    """Huber's M-estimator of location with known scale: sum_i weight_i clip((x_i - m) / scale, -k,
    k) = 0.

    Parameters
    ----------
    law : {"normal", "laplace", "logistic", "student", "cauchy"}
        Law of the rows, symmetric about its location; "student" has 3 degrees of freedom.
    location, scale : float, optional
        Location and known scale of the real world.
    k : float, optional
        Where a residual is clipped, in units of the scale.

    Attributes
    ----------
    limit_risk : float
        E clip(x, -k, k)^2 / P(abs(x) < k)^2, times scale^2.

    References
    ----------
    Huber (1964), Robust estimation of a location parameter.

    Examples
    --------
    >>> import collapse
    >>> round(collapse.models.Huber("normal").limit_risk, 4)
    1.0526
    """

    k: Annotated[float, partial(check_size, low=1e-3), no_fraction] = 1.345

    @property
    def end(self) -> float:
        return self.k

    @np.errstate(invalid="ignore")
    def fit(self, rows: Array, weight: Array, start: Array | None) -> Array:
        """Newton's method on a decreasing piecewise linear function; the middle of several roots.

        NaN where `STEPS` steps do not find one.
        """
        clip, used = self.k * self.scale, weight > 0

        def newton(m: Array, rows: Array, weight: Array) -> tuple[Array, Array]:
            away = rows - m[:, None]
            inside = np.einsum("rn,rn->r", weight, abs(away) < clip)
            pull = np.einsum("rn,rn->r", weight, np.clip(away, -clip, clip))
            return pull, m + pull / inside

        m = weighted_median(rows, weight) if start is None else start[:, 0]
        ends = least(rows, used), greatest(rows, used)
        # a root on a linear piece is reached in one step: the second time the same point comes out,
        # but for rounding
        close = 1e-13, 1e-13 * clip
        out = decreasing_roots(newton, np.clip(m, *ends), ends, (rows, weight), close, STEPS)
        # where no row is within reach, every point between these two is a root
        below = greatest(rows, used & (rows <= out[:, None]))
        above = least(rows, used & (rows > out[:, None]))
        middle = (below + above) / 2
        alone = np.minimum(out - below, above - out) >= clip * (1 - 1e-9)
        return np.where(alone & np.isfinite(middle), middle, out)[:, None]


@_smooth("Hodges-Lehmann", at=("laplace",), n=50, allowance=0.05, effort=8)
@dataclass(frozen=True)
class HodgesLehmann(Location):
    """Hodges-Lehmann estimator: the median of the means of two rows.

    Weights enter as in the distribution of (X + X') / 2 with X and X' independent draws from the
    weighted rows: the pair (i, j) has weight_i weight_j, a row is paired with itself too, and the
    estimate is the median of that distribution. With equal weights pairs of different rows count
    twice and a row with itself once; the textbook's median over i <= j counts all once. Both are
    asymptotically linear with the same influence function, (F - 1/2) / (integral of f^2). A fit
    sorts, and then costs a few passes over the rows; it never holds the pairs.

    Parameters
    ----------
    law : {"normal", "laplace", "logistic", "student", "cauchy"}
        Law of the rows, symmetric about its location; "student" has 3 degrees of freedom.
    location, scale : float, optional
        Location and known scale of the real world.

    Attributes
    ----------
    limit_risk : float
        1 / (12 (integral of f^2)^2), times scale^2.

    References
    ----------
    Hodges and Lehmann (1963), Estimates of location based on rank tests.

    Examples
    --------
    >>> import collapse
    >>> round(collapse.models.HodgesLehmann("normal").limit_risk, 4)
    1.0472
    """

    @property
    def variance(self) -> float:
        return 1 / (12 * LAWS[self.law].squared_density ** 2)

    def influence(self, x: Array) -> Array:
        law = LAWS[self.law]
        return np.asarray((law.distribution.cdf(x) - 0.5) / law.squared_density)

    def fit(self, rows: Array, weight: Array, start: Array | None) -> Array:
        return median_of_pairs(rows, weight)[:, None]


@_sharp("Median and MAD", at=("normal",), n=201)
@dataclass(frozen=True)
class MedianMAD(Location):
    """Location and scale together: the median, and the median absolute deviation from it in units
    of the law's upper quartile.

    Synthetic rows are drawn from the law at the fitted location and scale. A batch whose absolute
    deviations have median 0 has no estimate of scale: so it is where a scale that shrinks from fit
    to fit, as under discard, falls below the last digit of the location, 2e-16 of it, since rows
    are doubles. Risk is the squared error of both, in units of the true scale.

    Parameters
    ----------
    law : {"normal", "laplace", "logistic", "student", "cauchy"}
        Law of the rows, symmetric about its location; "student" has 3 degrees of freedom.
    location, scale : float, optional
        Location and scale of the real world, both unknown to the fit.

    Attributes
    ----------
    limit_risk : float
        1 / (4 f(0)^2) + 1 / (16 q^2 f(q)^2), q the upper quartile.

    References
    ----------
    Huber (1981), Robust Statistics, section 5.1.

    Examples
    --------
    >>> import collapse
    >>> round(collapse.models.MedianMAD("normal").limit_risk, 4)
    2.9313
    """

    estimated = ("location", "scale")
    unit = property(lambda self: self.scale)

    @cached_property
    def _quartile(self) -> tuple[float, float]:
        """The standard law's upper quartile, and its density there."""
        law = LAWS[self.law].distribution
        return float(law.ppf(0.75)), float(law.pdf(law.ppf(0.75)))

    def influence_variance(self, theta: Array) -> Array:
        q, f = self._quartile
        table = np.diag([1 / (2 * LAWS[self.law].density) ** 2, 1 / (4 * q * f) ** 2])
        return np.asarray(theta[:, 1:, None] ** 2 * table)

    def draw(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        return theta[:, :1] + theta[:, 1:] * LAWS[self.law].sample(rng, (len(theta), rows))

    def fit(self, rows: Array, weight: Array, start: Array | None) -> Array:
        centre = weighted_median(rows, weight)
        spread = weighted_median(abs(rows - centre[:, None]), weight)
        theta = np.stack([centre, spread / self._quartile[0]], axis=1)
        return np.where(theta[:, 1:] == 0, np.nan, theta)

    def influence_function(self, rows: Array, theta: Array) -> Array:
        """Rows (R, N) at locations and scales (R, 2): their first-order effect on both, (R, N,
        2).
        """
        q, f = self._quartile
        away = (rows - theta[:, :1]) / theta[:, 1:]
        both = np.stack(
            [np.sign(away) / (2 * LAWS[self.law].density), np.sign(abs(away) - q) / (4 * q * f)],
            axis=-1,
        )
        return np.asarray(both * theta[:, None, 1:])
