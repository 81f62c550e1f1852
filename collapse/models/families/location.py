"""Location, and scale, by estimators that are not maximum likelihood."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collapse.checks import check_number, check_place, check_size, choice
from collapse.models.protocols import Array, DrawsFromTruth
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

    @property
    def distribution(self) -> Any:
        """The law as a frozen distribution of scipy.stats."""
        import scipy.stats

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


@dataclass(frozen=True)
class Location(DrawsFromTruth):
    """What the estimators share: the law, its location and known scale; risk is squared error.

    An estimator adds its fit, its influence function, and that one's variance.
    """

    law: str
    location: float = 0.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        choice(self.law, "law", tuple(LAWS))
        check_place(self.location, "location")
        check_size(self.scale, "scale")
        self._float("location", "scale")

    def _float(self, *names: str) -> None:
        """Hold fractions, which arrays do not know, as floats."""
        for name in names:
            if not isinstance(getattr(self, name), (int, float)):
                object.__setattr__(self, name, float(getattr(self, name)))

    @cached_property
    def truth(self) -> Array:
        return np.array([float(self.location)])

    @cached_property
    def influence_covariance(self) -> Array:
        """V (1, 1): the variance of the influence function."""
        return np.array([[self.scale**2 * self._unit_variance()]])

    def _unit_variance(self) -> float:
        raise TypeError(
            f"{type(self).__name__} is no estimator; use Median, TrimmedMean, Huber, HodgesLehmann"
            " or MedianMAD."
        )

    @property
    def risk_hessian(self) -> Array:
        return 2 * np.eye(len(self.truth))

    @property
    def limit_risk(self) -> float:
        """Limit of n times the risk of the first fit: trace(Hessian V) / 2."""
        return float(np.trace(self.risk_hessian @ self.influence_covariance) / 2)

    def draw(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        return theta + self.scale * LAWS[self.law].sample(rng, (len(theta), rows))

    def deviation(self, theta: Array) -> Array:
        return theta - self.truth

    def risk(self, theta: Array) -> Array:
        return np.asarray((self.deviation(theta) ** 2).sum(axis=1))


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

    def _unit_variance(self) -> float:
        return 1 / (2 * LAWS[self.law].density) ** 2

    def fit(self, rows: Array, weight: Array, start: Array | None) -> Array:
        return weighted_median(rows, weight)[:, None]

    def influence_function(self, rows: Array, theta: Array) -> Array:
        """Rows (R, N) at locations (R, 1): sign of the difference over 2 f, (R, N, 1)."""
        return np.asarray(np.sign(rows - theta) * self.scale / (2 * LAWS[self.law].density))[
            :, :, None
        ]


@dataclass(frozen=True)
class TrimmedMean(Location):
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

    trim: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number(self.trim, "trim", 0, 0.5)
        self._float("trim")

    @cached_property
    def _quantile(self) -> float:
        return float(LAWS[self.law].distribution.ppf(1 - self.trim))

    def _unit_variance(self) -> float:
        return _clipped_square(self.law, self._quantile) / (1 - 2 * self.trim) ** 2

    def fit(self, rows: Array, weight: Array, start: Array | None) -> Array:
        order = np.argsort(rows, axis=1)
        upto = np.cumsum(np.take_along_axis(weight, order, axis=1), axis=1)
        upto /= upto[:, -1:]
        upto = np.minimum(np.maximum(upto, self.trim), 1 - self.trim)
        inside = np.diff(upto, axis=1, prepend=self.trim)
        return np.asarray(
            np.einsum("rn,rn->r", inside, np.take_along_axis(rows, order, axis=1))
            / (1 - 2 * self.trim)
        )[:, None]

    def influence_function(self, rows: Array, theta: Array) -> Array:
        """Rows (R, N) at locations (R, 1): the difference, clipped at the quantiles, over 1 - 2
        trim, (R, N, 1).
        """
        q = self.scale * self._quantile
        return np.clip(rows - theta, -q, q)[:, :, None] / (1 - 2 * self.trim)


@dataclass(frozen=True)
class Huber(Location):
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

    k: float = 1.345

    def __post_init__(self) -> None:
        super().__post_init__()
        check_size(self.k, "k", 1e-3)
        self._float("k")

    @cached_property
    def _inside(self) -> float:
        return float(2 * LAWS[self.law].distribution.cdf(self.k) - 1)

    def _unit_variance(self) -> float:
        return _clipped_square(self.law, self.k) / self._inside**2

    def fit(self, rows: Array, weight: Array, start: Array | None) -> Array:
        """Newton's method on a decreasing piecewise linear function; the middle of several roots.

        A bracket is halved where a step leaves it. NaN where `STEPS` steps do not find one.
        """
        m = weighted_median(rows, weight) if start is None else start[:, 0]
        clip = self.k * self.scale
        low, high = (least(rows, weight > 0) for least in (_least, _greatest))
        out, todo, given, used = np.full(len(rows), np.nan), np.arange(len(rows)), rows, weight > 0
        m = np.clip(m, low, high)
        for _ in range(STEPS):
            if not len(todo):
                break
            away = rows - m[:, None]
            inside = np.einsum("rn,rn->r", weight, abs(away) < clip)
            pull = np.einsum("rn,rn->r", weight, np.clip(away, -clip, clip))
            low, high = np.where(pull >= 0, m, low), np.where(pull <= 0, m, high)
            with np.errstate(divide="ignore", invalid="ignore"):
                new = m + pull / inside
            close = 1e-13 * (abs(m) + clip)
            # a root on a linear piece is reached in one step: the second time the same point comes
            # out, but for rounding
            done = (abs(new - m) <= close) | (high - low <= close)
            # an end of the bracket is no progress: from there the next step might lead back
            new = np.where(done, m, np.where((new > low) & (new < high), new, (low + high) / 2))
            out[todo[done]] = new[done]
            keep = ~done
            if not keep.all():
                todo, rows, weight, low, high, new = (
                    todo[keep],
                    rows[keep],
                    weight[keep],
                    low[keep],
                    high[keep],
                    new[keep],
                )
            m = new
        # where no row is within reach, every point between these two is a root
        below, above = (
            _greatest(given, used & (given <= out[:, None])),
            _least(given, used & (given > out[:, None])),
        )
        reach = clip * (1 - 1e-9)
        with np.errstate(invalid="ignore"):
            middle = (below + above) / 2
            alone = (out - below >= reach) & (above - out >= reach) & np.isfinite(middle)
        return np.where(alone, middle, out)[:, None]

    def influence_function(self, rows: Array, theta: Array) -> Array:
        """Rows (R, N) at locations (R, 1): the difference, clipped, over P(abs(x) < k), (R, N,
        1).
        """
        clip = self.k * self.scale
        return np.clip(rows - theta, -clip, clip)[:, :, None] / self._inside


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

    def _unit_variance(self) -> float:
        return 1 / (12 * LAWS[self.law].squared_density ** 2)

    def fit(self, rows: Array, weight: Array, start: Array | None) -> Array:
        return median_of_pairs(rows, weight)[:, None]

    def influence_function(self, rows: Array, theta: Array) -> Array:
        """Rows (R, N) at locations (R, 1): the distribution function less 1/2, over the integral of
        f^2, (R, N, 1).
        """
        law = LAWS[self.law]
        rank = law.distribution.cdf((rows - theta) / self.scale) - 0.5
        return np.asarray(self.scale * rank / law.squared_density)[:, :, None]


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

    @cached_property
    def truth(self) -> Array:
        return np.array([float(self.location), float(self.scale)])

    @cached_property
    def _quartile(self) -> tuple[float, float]:
        """The standard law's upper quartile, and its density there."""
        law = LAWS[self.law].distribution
        return float(law.ppf(0.75)), float(law.pdf(law.ppf(0.75)))

    @cached_property
    def influence_covariance(self) -> Array:
        q, f = self._quartile
        return self.scale**2 * np.diag(
            [1 / (2 * LAWS[self.law].density) ** 2, 1 / (4 * q * f) ** 2]
        )

    @property
    def risk_hessian(self) -> Array:
        return 2 * np.eye(2) / self.scale**2

    def draw(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        return theta[:, :1] + theta[:, 1:] * LAWS[self.law].sample(rng, (len(theta), rows))

    def fit(self, rows: Array, weight: Array, start: Array | None) -> Array:
        centre = weighted_median(rows, weight)
        spread = weighted_median(abs(rows - centre[:, None]), weight)
        theta = np.stack([centre, spread / self._quartile[0]], axis=1)
        theta[spread == 0] = np.nan
        return theta

    def deviation(self, theta: Array) -> Array:
        return (theta - self.truth) / self.scale

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


def weighted_median(rows: Array, weight: Array) -> Array:
    """Middle of the minimisers of sum_i weight_i |rows_i - m|, for each replication: (R, N), (R, N)
    to (R,).
    """
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


def median_of_pairs(rows: Array, weight: Array) -> Array:
    """Middle of the medians of (x_i + x_j) / 2 with weights weight_i weight_j: (R, N), (R, N) to
    (R,).

    A trial value t is held against the sorted rows: of each row i, how many rows j have x_j <= 2 t
    - x_i. That gives the weight of all pairs up to t, the last pair up to t and the first beyond
    it; one of the two is the new end of a bracket, whose ends are pairs.
    """
    R, N = rows.shape
    if R == 0:
        return np.empty(0)
    # a row without weight must not be an end of the bracket: another row in its place changes
    # nothing
    most = np.argmax(weight, axis=1)[:, None]
    rows = np.where(weight > 0, rows, np.take_along_axis(rows, most, axis=1))
    order = np.argsort(rows, axis=1)
    x = np.take_along_axis(rows, order, axis=1)
    share = np.take_along_axis(weight / weight.sum(axis=1, keepdims=True), order, axis=1)
    upto = np.concatenate([np.zeros((R, 1)), np.cumsum(share, axis=1)], axis=1)
    upto /= upto[:, -1:]
    padded = np.pad(x, ((0, 0), (1, 1)), constant_values=((0, 0), (-np.inf, np.inf)))
    size = np.maximum(abs(x[:, 0]), abs(x[:, -1]))
    each = np.arange(R)
    # both rows of a pair lie below this quantile with probability one half, or both above its
    # mirror image
    edge = np.sqrt(0.5) + 1e-9
    low = x[each, np.minimum((upto[:, 1:] < 1 - edge).sum(axis=1), N - 1)]
    high = x[each, np.minimum((upto[:, 1:] < edge).sum(axis=1), N - 1)]
    left, right = (
        np.full(R, -0.5),
        np.full(R, 0.5),
    )  # weight up to the ends, less one half; only steers the trial values
    out = (low + high) / 2
    todo = each
    done = high - low <= 1e-15 * size
    trial = 0
    while True:
        if done.any():
            keep = ~done
            todo, x, share, upto, padded = (
                todo[keep],
                x[keep],
                share[keep],
                upto[keep],
                padded[keep],
            )
            low, high, left, right, size = (
                low[keep],
                high[keep],
                left[keep],
                right[keep],
                size[keep],
            )
        if not len(todo):
            return np.asarray(out)
        trial += 1
        part = (
            np.clip(left / (left - right), 0.02, 0.98) if trial % 4 < 3 else np.full(len(todo), 0.5)
        )
        t = low + part * (high - low)
        k = _count(x, 2 * t[:, None] - x)
        beyond = np.einsum("rn,rn->r", share, np.take_along_axis(upto, k, axis=1)) - 0.5
        last = (x + np.take_along_axis(padded, k, axis=1)).max(axis=1) / 2
        first = (x + np.take_along_axis(padded, k + 1, axis=1)).min(axis=1) / 2
        up, even = beyond < 0, abs(beyond) < 1e-12
        low, high = (
            np.where(up, np.maximum(first, low), low),
            np.where(up, high, np.minimum(last, high)),
        )
        # the Illinois rule: an end that stays counts half, so that the other end moves as well
        left, right = np.where(up, beyond, left / 2), np.where(up, right / 2, beyond)
        out[todo] = np.where(even, (last + first) / 2, (low + high) / 2)
        done = even | (high - low <= 1e-15 * size)


def _count(x: Array, bound: Array) -> NDArray[np.int64]:
    """How many of the ascending x (R, N) are at most bound (R, N): (R, N)."""
    # one search for each replication: a batched merge would sort, and cost five times as much
    return np.array(
        [np.searchsorted(row, ends, side="right") for row, ends in zip(x, bound, strict=True)]
    )


def _least(rows: Array, used: NDArray[np.bool_]) -> Array:
    """The least of the used rows (R, N), infinity where there is none: (R,)."""
    return np.asarray(np.where(used, rows, np.inf).min(axis=1, initial=np.inf))


def _greatest(rows: Array, used: NDArray[np.bool_]) -> Array:
    return -_least(-rows, used)


def _clipped_square(law: str, end: float) -> float:
    """E min(|x|, end)^2 of a standard law."""
    from scipy.integrate import quad

    distribution = LAWS[law].distribution
    inside = quad(lambda x: x * x * distribution.pdf(x), 0, end, epsabs=1e-13, epsrel=1e-12)[0]
    return float(2 * (inside + end**2 * distribution.sf(end)))


@register(
    "Median",
    n=101,
    group="location and scale",
    why="regular and asymptotically linear, with a remainder of relative order n^(-1/2)",
    allowance=0.08,
)
def example_median() -> Median:
    return Median("normal")


_SMOOTH = "regular and asymptotically linear, its influence function bounded"


@register(
    "Trimmed mean",
    n=100,
    group="location and scale",
    why=_SMOOTH,
    page="estimators",
    allowance=0.03,
)
def example_trimmed_mean() -> TrimmedMean:
    return TrimmedMean("logistic")


@register(
    "Huber", n=100, group="location and scale", why=_SMOOTH, page="estimators", allowance=0.03
)
def example_huber() -> Huber:
    return Huber("student")


@register(
    "Hodges-Lehmann",
    n=50,
    group="location and scale",
    why=_SMOOTH,
    page="estimators",
    allowance=0.05,
    effort=8,
)
def example_hodges_lehmann() -> HodgesLehmann:
    return HodgesLehmann("laplace")


@register(
    "Median and MAD",
    n=201,
    group="location and scale",
    why="regular and asymptotically linear, with a remainder of relative order n^(-1/2)",
    page="estimators",
    allowance=0.08,
)
def example_median_mad() -> MedianMAD:
    return MedianMAD("normal")
