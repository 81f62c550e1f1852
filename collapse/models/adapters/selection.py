"""Selection: synthetic rows that are looked at before they are kept, as a wrapper of a model."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from operator import attrgetter
from typing import Annotated, Any, ClassVar

import numpy as np
import scipy
from numpy.typing import NDArray

from collapse.checks import LARGE, brief, check_place, flag, require, whole
from collapse.exact import Scalar
from collapse.models.families.base import Place, Size, between, read_parameters
from collapse.models.families.morris import Gamma, MeanFamily, Normal, inverse, plain, quadratic
from collapse.models.protocols import (
    Array,
    Model,
    WithDeviation,
    design_of,
    observed_labels,
)

TRIES = 10_000
"""How often one row may be refused before the selection is given up."""

Rule = Callable[[Array], Any]


def _coefficients(value: Any, name: str, count: int) -> None:
    require(
        not (not isinstance(value, tuple) or len(value) != count),
        f"{name} must be a tuple of {count} numbers, constant term first; it is {brief(value)}.",
    )
    for number in value:
        check_place(number, name)


def _instance(value: Any, name: str) -> None:
    require(
        not (isinstance(value, type) or not isinstance(value, Model)),
        f"{name} must be an instance of a model, such as collapse.models.Normal(0, 1); it is"
        f" {brief(value)}.",
    )


def _function(value: Any, name: str, such: str, optional: bool = False) -> None:
    require(
        not (not callable(value) and not (optional and value is None)),
        f"{name} must be a function of an array of rows, such as {such}; it is {brief(value)}.",
    )


def _judged(
    rows: Array, rule: Rule, name: str, ends: tuple[float, float] = (-np.inf, np.inf)
) -> Array:
    """What a function gives for each row (R, N), a number between two ends."""
    given = np.asarray(rule(rows), np.float64)
    if given.shape != rows.shape[:2] or not ((given >= ends[0]) & (given <= ends[1])).all():
        values = f"values from {given.min():.4g} to {given.max():.4g}"
        raise ValueError(
            f"{name} must give one number from {ends[0]:g} to {ends[1]:g} for each row, shape"
            f" {rows.shape[:2]} for rows of shape {rows.shape}; it gave"
            f" {values if given.shape == rows.shape[:2] else f'shape {given.shape}'}."
        )
    return given


@dataclass(frozen=True)
class LinearResponse(MeanFamily):
    """Selection known by two moments: how mean and variance of a selected row depend on the fit it
    is drawn from.

    Where a model declares the exact form "linear response" and has one as its `response`, `derive`
    is exact: the risk of a weighted mean depends on these moments alone. As a model of its own it
    is simulated with normal noise; for a selection whose response is not linear, its values at the
    truth make a linearisation, right to first order while fits stay close to the truth.

    Parameters
    ----------
    mean, variance : float
        Mean and variance of a real row.
    selected_mean : tuple of float (m0, m1)
        A synthetic row drawn from a fit mu and selected has mean m0 + m1 mu. m1 is the slope of the
        response.
    selected_variance : tuple of float (v0, v1, v2)
        Its variance is v0 + v1 mu + v2 mu^2.

    Raises
    ------
    ValueError
        Where a number is not finite, or a variance at the truth is not positive.

    Examples
    --------
    Half the error is passed on, half the noise stays, under discard:

    >>> import collapse
    >>> mean, variance = (0, 0.5), (0.5, 0, 0)
    >>> model = collapse.models.LinearResponse(0, 1, selected_mean=mean, selected_variance=variance)
    >>> collapse.derive(collapse.workflows.discard(4), model=model, n=100).ratio
    array([1.      , 0.75    , 0.6875  , 0.671875])
    """

    mean: Place
    variance: Size
    selected_mean: Annotated[tuple[Scalar, Scalar], partial(_coefficients, count=2)]
    selected_variance: Annotated[tuple[Scalar, Scalar, Scalar], partial(_coefficients, count=3)]
    exact_form: ClassVar[str | None] = "linear response"

    def __post_init__(self) -> None:
        super().__post_init__()
        v0, v1, v2 = self.selected_variance
        at_truth = v0 + v1 * self.mean + v2 * self.mean * self.mean
        require(
            at_truth > 0,
            f"selected_variance must be positive at the truth, mu = {self.mean}; there it is"
            f" {at_truth}.",
        )

    response = property(lambda self: self)

    @property
    def influence_covariance(self) -> Array:
        """V (1, 1): the variance of a real row."""
        return np.array([[float(self.variance)]])

    def row_variance(self, theta: Array) -> Array:
        """Variance (R,) of a selected row."""
        return np.maximum(quadratic(theta, self.selected_variance), 0.0)

    def sample(self, theta: Array, rows: int, means: int, rng: np.random.Generator) -> Array:
        m0, m1 = map(float, self.selected_mean)
        sd = np.sqrt(self.row_variance(theta))[:, None]
        noise = rng.standard_normal((len(theta), means))
        return np.asarray(m0 + m1 * theta + sd / np.sqrt(rows) * noise)

    def draw_real(self, replications: int, rows: int, rng: np.random.Generator) -> Array:
        noise = rng.standard_normal((replications, rows))
        return np.asarray(float(self.mean) + np.sqrt(float(self.variance)) * noise)

    def draw_real_statistic(self, replications: int, rows: int, rng: np.random.Generator) -> Array:
        noise = rng.standard_normal((replications, 1))
        return np.asarray(float(self.mean) + np.sqrt(float(self.variance) / rows) * noise)


Wrapped = Annotated[Any, _instance]
"""The model whose rows are selected."""

End = Annotated[
    float,
    partial(
        between, low=-LARGE, high=LARGE, ends=(-np.inf, np.inf), note="-inf and inf are allowed"
    ),
]
"""End of an interval."""


class _Selection:
    """What selections share: real rows, fit and risk are the wrapped model's, and no mean statistic
    stands for the rows.
    """

    model: Any
    single: ClassVar[str | None] = None
    """What to use in its place where a row is more than one number; None where it may be."""
    exact_form: ClassVar[str | None] = "linear response"
    response: LinearResponse | None = None
    """How the mean responds, where that is linear at every n; None where it is not known to be."""

    truth, draw_real, fit, risk, limit_risk = (
        property(attrgetter(f"model.{name}"))
        for name in ("truth", "draw_real", "fit", "risk", "limit_risk")
    )
    design_rows = property(lambda self: design_of(self.model))
    observed = property(lambda self: observed_labels(self.model))

    def __post_init__(self) -> None:
        read_parameters(self)
        if self.single:
            one = self.model.draw(self.truth[None], 1, np.random.default_rng(0))
            require(
                not (self.design_rows is not None or one.ndim != 2),
                f"a row of {self.model!r} is more than one number; give {self.single} that says"
                " which rows are kept.",
            )
        # only some models have one; statistics and exact forms are changed by selection
        if isinstance(self.model, WithDeviation):
            object.__setattr__(self, "deviation", self.model.deviation)

    def draw(self: Any, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        require(
            not (self.design_rows and rows % self.design_rows),
            "selection draws labels again at the same x, so a batch must label the whole design"
            f" of {self.design_rows} rows; it has {rows}: use sizes that are whole numbers.",
        )
        return np.asarray(self._select(self.model.draw(theta, rows, rng), theta, rng))

    def __repr__(self) -> str:
        # a function by its name: its address would differ from run to run
        parts = (
            f"{name}={getattr(value, '__qualname__', None) or repr(value)}"
            for name, value in vars(self).items()
            if name != "deviation"
        )
        return f"{type(self).__name__}({', '.join(parts)})"


class _Filter(_Selection):
    """Rows are drawn again until they are accepted, each with a probability: `_acceptance` of rows
    (R, N, ...) drawn at theta, (R, N).
    """

    def _select(self, out: Array, theta: Array, rng: np.random.Generator) -> Array:
        replication, place = np.nonzero(~self._accepts(out, theta, rng))
        tried, candidates = 1, 1
        while len(place):
            if tried >= TRIES:
                raise ValueError(
                    f"{self!r} accepts almost nothing: a row drawn from the fit"
                    f" {theta[replication[0]]} was refused {tried:,} times. Accept more, select"
                    " closer to where the fits are, or stop at an earlier generation."
                )
            # several at a time when few are left
            candidates = int(np.clip(2**20 // len(place), 1, min(2 * candidates, TRIES - tried)))
            again = self._again(theta, replication, place, out.shape[1], candidates, rng)
            accepted = self._accepts(again, theta[replication], rng)
            found = accepted.any(axis=1)
            out[replication[found], place[found]] = again[found, accepted[found].argmax(axis=1)]
            replication, place = replication[~found], place[~found]
            tried += candidates
        return out

    def _accepts(
        self: Any, rows: Array, theta: Array, rng: np.random.Generator
    ) -> NDArray[np.bool_]:
        return np.asarray(rng.random(rows.shape[:2]) < self._acceptance(rows, theta))

    def _again(
        self,
        theta: Array,
        replication: NDArray[np.int64],
        place: NDArray[np.int64],
        rows: int,
        candidates: int,
        rng: np.random.Generator,
    ) -> Array:
        """Candidates for each refused row: (P, candidates, ...)."""
        if self.design_rows is None:
            return np.asarray(self.model.draw(theta[replication], candidates, rng))
        some, which = np.unique(replication, return_inverse=True)
        batches: Array = self.model.draw(theta[some], candidates * rows, rng)
        return np.asarray(batches.reshape(len(some), candidates, rows, -1)[which, :, place])


@dataclass(frozen=True, repr=False)
class Accepted(_Filter):
    """A model whose synthetic rows are accepted with a probability that depends on the row, and
    drawn again otherwise.

    Real rows are not selected; the fit and the risk are the wrapped model's. A batch still has all
    its rows. In a regression on a reused design the label is drawn again at the same x.

    Parameters
    ----------
    model : model
        Where rows come from.
    probability : callable
        Probability of acceptance of each row: an array of rows (R, N, ...) to (R, N). Labelled rows
        are pairs of the index in the design and the label, (R, N, 2). A function at the top of a
        module can be sent to workers.

    Raises
    ------
    ValueError
        Where `probability` is not callable or gives anything but probabilities, or almost nothing
        is accepted.

    Examples
    --------
    >>> import numpy as np, collapse
    >>> def middle(rows):
    ...     return np.exp(-(rows**2))
    >>> model = collapse.models.Accepted(collapse.models.Normal(0, 1), middle)
    >>> plan = collapse.workflows.discard(2)
    >>> collapse.simulate(plan, model=model, n=100, replications=2000, rng=1).ratio.round(1)
    array([1. , 0.4])
    """

    model: Wrapped
    probability: Annotated[Rule, partial(_function, such="lambda rows: np.exp(-rows**2)")]

    def _acceptance(self, rows: Array, theta: Array) -> Array:
        return _judged(rows, self.probability, "probability", (0, 1))


@dataclass(frozen=True, repr=False)
class Verified(_Filter):
    """A model whose synthetic rows pass a verifier with an opinion: the acceptance is a bell about
    its centre.

    A row x is accepted with probability exp(-(x - centre)^2 / (2 width^2)). Rows of a normal law
    stay normal: with slope = width^2 / (width^2 + sd^2) their mean is (1 - slope) centre + slope
    mu, their variance slope sd^2, at every n.

    Parameters
    ----------
    model : model
        Where rows come from; a row is one number.
    centre, width : float
        What the verifier takes for the truth, and how tolerant it is.

    Raises
    ------
    ValueError
        Where an argument is out of range, or almost nothing is accepted.

    Examples
    --------
    >>> import collapse
    >>> model = collapse.models.Verified(collapse.models.Normal(0, 1), centre=0, width=1)
    >>> plan = collapse.workflows.discard(4)
    >>> collapse.derive(plan, model=model, n=100, exact=True).ratio.tolist()
    [Fraction(1, 1), Fraction(3, 4), Fraction(11, 16), Fraction(43, 64)]
    """

    model: Wrapped
    centre: Place
    width: Size
    single = "Accepted"

    def _acceptance(self, rows: Array, theta: Array) -> Array:
        return np.asarray(np.exp(-(((rows - float(self.centre)) / float(self.width)) ** 2) / 2))

    @property
    def response(self) -> LinearResponse | None:  # type: ignore[override]
        if not isinstance(self.model, Normal):
            return None
        inner, outer = plain(self.model.sd) ** 2, plain(self.width) ** 2
        slope = outer * inverse(inner + outer)
        return LinearResponse(
            self.model.mean, inner, ((1 - slope) * self.centre, slope), (slope * inner, 0, 0)
        )


@dataclass(frozen=True, repr=False)
class Truncated(_Filter):
    """A model whose synthetic rows outside a window are thrown away and drawn again.

    Parameters
    ----------
    model : model
        Where rows come from; a row is one number.
    low, high : float
        Ends of the window; -inf and inf leave a side open.
    about_fit : bool, optional
        False (the default): the window stands still. True: it moves along, [theta + low, theta +
        high] for rows drawn from a fit theta. Normal rows then have their mean shifted by a
        constant and a smaller variance, exactly.

    Raises
    ------
    ValueError
        Where the window is empty, or almost no row falls into it.

    Examples
    --------
    >>> import collapse
    >>> model = collapse.models.Truncated(collapse.models.Normal(0, 1), -1, 1, about_fit=True)
    >>> collapse.derive(collapse.workflows.discard(3), model=model, n=100).ratio.round(3)
    array([1.   , 1.291, 1.582])
    """

    model: Wrapped
    low: End
    high: End
    about_fit: Annotated[bool, flag] = False
    single = "Accepted"

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self.low < self.high,
            f"low must be less than high (-inf and inf are allowed); they are {self.low} and"
            f" {self.high}.",
        )

    def _acceptance(self, rows: Array, theta: Array) -> Array:
        low, high = float(self.low), float(self.high)
        where = rows - theta[:, :1] if self.about_fit else rows
        return np.asarray((where >= low) & (where <= high), np.float64)

    @property
    def response(self) -> LinearResponse | None:  # type: ignore[override]
        if not (self.about_fit and isinstance(self.model, Normal)):
            return None
        sd = float(self.model.sd)
        moments = scipy.stats.truncnorm.stats(self.low / sd, self.high / sd, moments="mv")
        return _shifted(self.model, *map(float, moments))


@dataclass(frozen=True, repr=False)
class BestOf(_Selection):
    """A model of whose synthetic rows the best of k is kept.

    Parameters
    ----------
    model : model
        Where rows come from.
    k : int
        Rows drawn for each that is kept; 1 selects nothing.
    score : callable, optional
        Score of each row: an array of rows (R, N, ...) to (R, N). Default: the row itself, the
        larger the better; normal and gamma rows then respond linearly, exactly. In a regression on
        a reused design the k labels are drawn at the same x, and rows are pairs of the index in the
        design and the label, (R, N, 2).

    Raises
    ------
    ValueError
        Where k is no positive whole number, or a score is missing or has the wrong shape.

    Examples
    --------
    The larger of two exponential rows has mean 3/2 and variance 5/4 of its law's scale:

    >>> import collapse
    >>> model = collapse.models.BestOf(collapse.models.Exponential(1), 2)
    >>> plan = collapse.workflows.discard(3)
    >>> collapse.derive(plan, model=model, n=100, exact=True).ratio.tolist()
    [Fraction(1, 1), Fraction(2281, 80), Fraction(1068861, 6400)]
    """

    model: Wrapped
    k: Annotated[int, partial(whole, meaning="rows drawn for each that is kept", most=10_000)]
    score: Annotated[Rule | None, partial(_function, such="np.abs, or None", optional=True)] = None
    single = property(lambda self: "a score" if self.score is None else None)

    def _scores(self, rows: Array) -> Array:
        return rows if self.score is None else _judged(rows, self.score, "score")

    def _select(self, best: Array, theta: Array, rng: np.random.Generator) -> Array:
        highest = self._scores(best).copy()
        for _ in range(self.k - 1):
            other: Array = self.model.draw(theta, best.shape[1], rng)
            score = self._scores(other)
            better = score > highest
            best[better], highest[better] = other[better], score[better]
        return best

    @property
    def response(self) -> LinearResponse | None:  # type: ignore[override]
        model, k = self.model, int(self.k)
        if self.score is not None or not isinstance(model, (Normal, Gamma)):
            return None
        if isinstance(model, Gamma) and model.shape == 1:
            # the largest of k exponentials is a sum of independent ones, of means 1/k, ..., 1/2, 1
            largest, spread = (sum(Fraction(1, j**p) for j in range(1, k + 1)) for p in (1, 2))
        else:
            law, low = scipy.stats.norm(), -12.0
            if isinstance(model, Gamma):
                law, low = scipy.stats.gamma(float(model.shape), scale=1 / float(model.shape)), 0.0
            high = float(law.isf(1e-32 / k))
            largest, second = (
                scipy.integrate.quad(
                    lambda x, j=j: x**j * k * law.pdf(x) * law.cdf(x) ** (k - 1),
                    low,
                    high,
                    limit=200,
                )[0]
                for j in (1, 2)
            )
            spread = second - largest**2
        if isinstance(model, Normal):
            return _shifted(model, float(largest), float(spread))
        first = plain(model.mean)
        return LinearResponse(first, first**2 * inverse(model.shape), (0, largest), (0, 0, spread))


def _shifted(model: Normal, shift: float, variance: float) -> LinearResponse:
    """Selection that moves the mean of normal rows and scales their variance, in units of sd."""
    sd = float(model.sd)
    return LinearResponse(
        model.mean, model.sd * model.sd, (sd * shift, 1), (sd * sd * variance, 0, 0)
    )
