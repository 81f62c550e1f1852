"""Natural exponential families with quadratic variance function, in the mean parameter (the Morris
class).
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from numbers import Rational
from typing import Annotated, Any, ClassVar

import numpy as np

from collapse.checks import check_number, check_size, require, whole
from collapse.exact import Scalar
from collapse.models.expansion import SecondOrder
from collapse.models.families.base import Place, Size, SquaredError
from collapse.models.protocols import Array, by_parts
from collapse.models.registry import register

SHAPES = 1e-3, 1e12
"""Least and largest shape of a gamma variate that is drawn: beyond them rounding decides."""

COUNTED = 1e15
"""Largest mean of a count: beyond it counts are no longer exact."""

LARGEST_COUNT = 9 * 10**18
"""Largest mean of a sum of counts that numpy draws."""

VALUES = 2**18
"""Variates to be held at once where rows are drawn for their mean alone."""

MOST_VARIATES = 10_000
"""Largest shape of a hyperbolic secant row, which is drawn as a sum of so many."""


def plain(value: Scalar) -> Scalar:
    """An int, a fraction or a float in place of a number of numpy, whose products overflow."""
    if isinstance(value, Fraction):
        return value
    return int(value) if isinstance(value, (int, np.integer)) else float(value)


def counts(mean: Array, rng: np.random.Generator) -> Array:
    """Poisson variates of these means.

    Raises
    ------
    ValueError
        Where a mean is larger than can be drawn.
    """
    drawable(mean.max(initial=0))
    return rng.poisson(mean).astype(np.float64)


def drawable(most: Any) -> Any:
    """Return a sum of counts, or its mean; raise a ValueError where it cannot be drawn."""
    require(
        not (most > LARGEST_COUNT),
        f"sums of counts with a mean of {most:.3g} cannot be drawn, {LARGEST_COUNT:.3g} at"
        " most; take fewer rows.",
    )
    return most


def inverse(value: Scalar) -> Scalar:
    return Fraction(1, value) if isinstance(value, Rational) else 1 / value


Shape = Annotated[Scalar, partial(check_size, low=SHAPES[0], high=SHAPES[1])]
"""Shape of a gamma or beta law."""

Count = Annotated[Scalar, partial(check_size, high=COUNTED)]
"""Mean of a count."""

Chance = Annotated[Scalar, partial(check_number, low=0, high=1), check_size]
"""A probability that rounding does not take to 0."""

_exact = partial(
    register,
    n=100,
    group="exponential families",
    why="the mean of a quadratic-variance family: exact at every n",
    page="exact",
)


def quadratic(theta: Array, coefficients: Any) -> Array:
    v0, v1, v2 = map(float, coefficients)
    return np.asarray(v0 + v1 * theta.sum(axis=-1) + (v2 * theta * theta).sum(axis=-1))


class Average(SquaredError):
    """The fit is the weighted mean of rows, numbers or vectors; the risk is its squared error.

    A family adds its mean, its variance function and its samplers. The variance of a row, or the
    trace of its covariance, is v0 + v1 mu + v2 mu^2, for a vector v0 + v1 sum_j mu_j + v2 mu'mu,
    and the variance function is (v0, v1, v2).
    """

    exact_form: ClassVar[str | None] = "quadratic variance"
    estimated = ("mean",)
    measures: ClassVar[tuple[str, ...]] = ("variance",)

    def second_order(self: Any) -> SecondOrder | None:
        """Two numbers, for a risk that is known at every n."""
        if self.exact_form != "quadratic variance":
            return None
        V, v2 = float(self.row_variance(self.truth)), float(self.variance_function[2])
        return SecondOrder(V, v2 * V, 0.0, 0.0, 0.0)

    def row_variance(self: Any, theta: Array) -> Array:
        """Variance (R,) of a row that is drawn at means (R, d), the trace for a vector."""
        return quadratic(theta, self.variance_function)

    @np.errstate(invalid="ignore", divide="ignore")  # the truth is a point mass
    def measure(self: Any, name: str, theta: Array, rng: np.random.Generator) -> Array:
        """Variance of a row, as a share of a real one's."""
        return np.asarray(self.row_variance(theta) / np.trace(self.influence_covariance))

    def fit_statistic(self, statistic: Array, start: Array | None) -> Array:
        return statistic


class MeanFamily(Average):
    """What families of numbers share: the weighted mean and its influence.

    A family adds `sample`, which draws means of rows: theta (R, 1), the number of rows in a mean
    and the number of means to (R, means). A batch is a mean of one row, many times; its statistic
    the mean of many rows, once.
    """

    def draw(self: Any, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        return np.asarray(self.sample(theta, 1, rows, rng))

    def draw_statistic(self: Any, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        return np.asarray(self.sample(theta, rows, 1, rng))

    @property
    def influence_covariance(self: Any) -> Array:
        """V (1, 1): the variance of one row."""
        v0, v1, v2 = (float(v) for v in self.variance_function)
        return np.array([[v0 + v1 * float(self.mean) + v2 * float(self.mean) ** 2]])

    def influence_function(self, rows: Array, theta: Array) -> Array:
        """Rows (R, N) at means (R, 1): row minus mean, (R, N, 1)."""
        return np.asarray(rows - theta)[:, :, None]

    def fit(self, rows: Array, weight: Array, start: Array | None) -> Array:
        total = np.einsum("rn,rn->r", weight, rows)
        return np.asarray(total / weight.sum(axis=1))[:, None]


@_exact("Normal", at=(1, 2))
@dataclass(frozen=True)
class Normal(MeanFamily):
    """Normal law with known standard deviation: V = sd^2.

    Parameters
    ----------
    mean, sd : float
        Mean and standard deviation of the real world.

    Examples
    --------
    >>> import collapse
    >>> model = collapse.models.Normal(0, 2)
    >>> collapse.derive(collapse.workflows.discard(3), model=model, n=100).risk
    array([0.04, 0.08, 0.12])
    """

    mean: Place
    sd: Size

    @property
    def variance_function(self) -> tuple[Scalar, Scalar, Scalar]:
        return (plain(self.sd) * plain(self.sd), 0, 0)

    def sample(self, theta: Array, rows: int, means: int, rng: np.random.Generator) -> Array:
        noise = rng.standard_normal((len(theta), means))
        return np.asarray(theta + float(self.sd) / np.sqrt(rows) * noise)


@_exact("Binomial", at=(5, 0.4))
@_exact("Bernoulli", at=(1, 0.3))
@dataclass(frozen=True)
class Binomial(MeanFamily):
    """Binomial law with known number of trials N: V = mu (1 - mu / N), mu = N p.

    Parameters
    ----------
    trials : int
        Number of trials N of one row.
    p : float
        Probability of success in the real world.

    Examples
    --------
    >>> import collapse
    >>> model = collapse.models.Binomial(10, 0.5)
    >>> collapse.derive(collapse.workflows.discard(2), model=model, n=100).ratio
    array([1.   , 1.999])
    """

    trials: Annotated[int, partial(whole, meaning="trials of one row")]
    p: Chance

    @property
    def mean(self) -> Scalar:
        return int(self.trials) * plain(self.p)

    @property
    def variance_function(self) -> tuple[Scalar, Scalar, Scalar]:
        return (0, 1, -Fraction(1, self.trials))

    def sample(self, theta: Array, rows: int, means: int, rng: np.random.Generator) -> Array:
        # a weighted mean of shares may exceed one by rounding
        p = np.minimum(theta / self.trials, 1.0)
        return rng.binomial(drawable(self.trials * rows), p, (len(theta), means)) / rows


def Bernoulli(p: Scalar) -> Binomial:
    """Bernoulli law: V = mu (1 - mu), the binomial with one trial.

    Parameters
    ----------
    p : float
        Probability of success in the real world.

    Returns
    -------
    Binomial
        With trials = 1.

    Examples
    --------
    >>> import collapse
    >>> model = collapse.models.Bernoulli(0.5)
    >>> collapse.derive(collapse.workflows.discard(2), model=model, n=100).ratio
    array([1.  , 1.99])
    """
    return Binomial(1, p)


@_exact("Poisson", at=(5,))
@dataclass(frozen=True)
class Poisson(MeanFamily):
    """Poisson law: V = mu.

    Parameters
    ----------
    rate : float
        Mean of the real world.

    Examples
    --------
    >>> import collapse
    >>> collapse.derive(collapse.workflows.discard(3), model=collapse.models.Poisson(5), n=100).risk
    array([0.05, 0.1 , 0.15])
    """

    rate: Count

    variance_function = (0, 1, 0)
    mean = property(lambda self: self.rate)

    def sample(self, theta: Array, rows: int, means: int, rng: np.random.Generator) -> Array:
        return counts(np.broadcast_to(rows * theta, (len(theta), means)), rng) / rows


@_exact("Gamma", at=(3, 2))
@_exact("Exponential", at=(1, 1))
@dataclass(frozen=True)
class Gamma(MeanFamily):
    """Gamma law with known shape: V = mu^2 / shape.

    Parameters
    ----------
    shape, mean : float
        Known shape, and the mean of the real world.

    Examples
    --------
    >>> import collapse
    >>> model = collapse.models.Gamma(2, 1)
    >>> collapse.derive(collapse.workflows.discard(2), model=model, n=100).ratio
    array([1.   , 2.005])
    """

    shape: Shape
    mean: Size

    @property
    def variance_function(self) -> tuple[Scalar, Scalar, Scalar]:
        return (0, 0, inverse(self.shape))

    def sample(self, theta: Array, rows: int, means: int, rng: np.random.Generator) -> Array:
        total = rows * float(self.shape)
        return rng.standard_gamma(total, (len(theta), means)) * (theta / total)


def Exponential(mean: Scalar) -> Gamma:
    """Exponential law: V = mu^2, the gamma with shape one.

    Parameters
    ----------
    mean : float
        Mean of the real world.

    Returns
    -------
    Gamma
        With shape = 1.

    Examples
    --------
    >>> import collapse
    >>> model = collapse.models.Exponential(1)
    >>> collapse.derive(collapse.workflows.discard(2), model=model, n=100).ratio
    array([1.  , 2.01])
    """
    return Gamma(1, mean)


@_exact("Negative binomial", at=(4, 2))
@dataclass(frozen=True)
class NegativeBinomial(MeanFamily):
    """Negative binomial law with known size: V = mu + mu^2 / size.

    Parameters
    ----------
    size, mean : float
        Known size (the number of successes waited for; need not be whole), and the mean of the real
        world.

    Examples
    --------
    >>> import collapse
    >>> model = collapse.models.NegativeBinomial(2, 1)
    >>> collapse.derive(collapse.workflows.discard(2), model=model, n=100).ratio
    array([1.   , 2.005])
    """

    size: Shape
    mean: Count

    @property
    def variance_function(self) -> tuple[Scalar, Scalar, Scalar]:
        return (0, 1, inverse(self.size))

    def sample(self, theta: Array, rows: int, means: int, rng: np.random.Generator) -> Array:
        # a Poisson law with a gamma mean
        r = float(self.size)
        rate = rng.standard_gamma(rows * r, (len(theta), means)) * (theta / r)
        return counts(rate, rng) / rows


@_exact("Hyperbolic secant", at=(1, 0.5), effort=18)
@dataclass(frozen=True)
class HyperbolicSecant(MeanFamily):
    """Generalised hyperbolic secant law with known shape: V = shape + mu^2 / shape, the sixth
    family.

    A row is the sum of `shape` independent variates of shape one. One of those, at mean tan(t), is
    the logarithm of a ratio of two gamma variates of shapes 1/2 + t / pi and 1/2 - t / pi, divided
    by pi; at mean 0 its density is 1 / (2 cosh(pi x / 2)).

    Parameters
    ----------
    shape : int
        Known shape: the number of variates in the sum.
    mean : float
        Mean of the real world, of either sign.

    References
    ----------
    Morris (1982), Natural exponential families with quadratic variance functions, section 5.

    Examples
    --------
    >>> import collapse
    >>> model = collapse.models.HyperbolicSecant(2, 1)
    >>> collapse.derive(collapse.workflows.discard(2), model=model, n=100).ratio
    array([1.   , 2.005])
    """

    shape: Annotated[int, partial(whole, meaning="variates in one row's sum", most=MOST_VARIATES)]
    mean: Place

    @property
    def variance_function(self) -> tuple[Scalar, Scalar, Scalar]:
        return (self.shape, 0, Fraction(1, self.shape))

    def draw(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        total: Array = np.zeros((len(theta), rows))
        for sign in (1.0, -1.0):
            # 1/2 + t / pi and 1/2 - t / pi, without a difference of numbers close to one another
            a = np.arctan2(float(self.shape), -sign * theta) / np.pi
            # log G(a) = log G(a + 1) - E / a: a gamma variate of small shape may underflow, its
            # logarithm does not
            for _ in range(self.shape):
                total += sign * np.log(rng.standard_gamma(a + 1, total.shape))
            total -= sign / a * rng.standard_gamma(float(self.shape), total.shape)
        return total / np.pi

    def draw_statistic(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        # the sum of rows has the same law with another shape, and no quicker sampler: blocks keep
        # the memory small
        return by_parts(
            lambda part: self.draw(theta[part], rows, rng).mean(axis=1, keepdims=True),
            len(theta),
            rows,
            VALUES,
        )
