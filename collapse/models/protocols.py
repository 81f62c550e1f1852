"""What a model is: the laws of its data, its fit and its risk, batched over replications."""

from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from collapse.checks import brief, choice, whole

Array = NDArray[np.float64]

CELLS: Final = 1 << 15
"""Replications times rows worked on at once where a fit iterates, so that what it reads again stays
in a core's cache.
"""


@runtime_checkable
class Model(Protocol):
    """A family, its real world, its estimator and its risk; it never sees a workflow.

    Every array carries its R replications on the first axis. A fit that does not exist is a row of
    NaN.

    Attributes
    ----------
    truth : ndarray, shape (d,)
        Parameter of the real world.
    """

    @property
    def truth(self) -> Array: ...

    def draw(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        """Draw one batch for each replication: theta (R, d) to rows (R, rows, ...)."""

    def draw_real(self, replications: int, rows: int, rng: np.random.Generator) -> Array:
        """Draw the real batch of each replication: (R, rows, ...)."""

    def fit(self, rows: Array, weight: Array, start: Array | None) -> Array:
        """Fit weighted rows (R, N, ...), weight (R, N) with 0 for padding, to theta (R, d)."""

    def risk(self, theta: Array) -> Array:
        """Excess loss of theta (R, d) on the real distribution: (R,)."""


@runtime_checkable
class WithStatistic(Model, Protocol):
    """A model whose data enter the fit through a mean statistic: whole batches need no rows."""

    def draw_statistic(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        """Draw the mean statistic of a batch of `rows` rows directly: theta (R, d) to (R, k)."""

    def draw_real_statistic(self, replications: int, rows: int, rng: np.random.Generator) -> Array:
        """Draw the mean statistic of the real batch: (R, k)."""

    def fit_statistic(self, statistic: Array, start: Array | None) -> Array:
        """Fit the weighted mean (R, k) of the batches' statistics to theta (R, d)."""


@runtime_checkable
class WithPooling(WithStatistic, Protocol):
    """A model whose batches' statistics are pooled, not averaged: centred moments."""

    def pool(self, first: Array, second: Array, share: float) -> Array:
        """Statistic (R, k) of two sets of rows as one; the second has `share` of the weight."""


@runtime_checkable
class WithDesign(Model, Protocol):
    """A regression that reuses the covariates of its real data; a batch labels them again.

    The statistic of a batch stands for the rows only where the batch labels the whole design a
    whole number of times.
    """

    @property
    def design_rows(self) -> int | None:
        """Rows of the design; None for a wrapper of a model without one."""


@runtime_checkable
class WithObservedLabels(WithDesign, Protocol):
    """A regression whose real labels may be observed: one real batch, the whole design."""

    @property
    def observed(self) -> Array | None:
        """Observed labels, one for each row of the design, or None where real labels are drawn."""


@runtime_checkable
class WithObjects(Model, Protocol):
    """A model whose fits are objects of any kind: theta is an object array (R, 1), and None where
    there is no estimate.
    """

    @property
    def observed_rows(self) -> int | None:
        """Whole rows that were observed, the one real batch; None where real rows are drawn."""

    @property
    def weighs(self) -> bool:
        """Whether `fit` takes unequal weights; otherwise batches are thinned to their weights, and
        rows of positive weight count alike.
        """


@runtime_checkable
class WithDeviation(Model, Protocol):
    """A model whose risk is a sum of squares: the covariance of its fits is defined."""

    def deviation(self, theta: Array) -> Array:
        """Error of theta (R, d) in units in which its squares sum to the risk: (R, k)."""


@runtime_checkable
class WithInfluence(Model, Protocol):
    """A model that knows the first-order effect of each row on its fit."""

    def influence_function(self, rows: Array, theta: Array) -> Array:
        """Rows (R, N, ...) at theta (R, d) to (R, N, d), whose mean is the error of a fit."""


@runtime_checkable
class WithStandardScore(Model, Protocol):
    """A model that knows what each row adds to the limit of its fit, in units of its noise."""

    def standard_score(self, rows: Array, theta: Array) -> Array:
        """Rows (R, N, ...) drawn at theta (R, d) to (R, N, d): each has mean 0, and their mean
        covariance is the identity, wherever theta is.
        """


@runtime_checkable
class WithStandardStatistic(WithStandardScore, WithStatistic, Protocol):
    """A model that knows the mean of that over a whole batch from the batch's statistic alone."""

    def standard_statistic(self, statistic: Array, theta: Array) -> Array:
        """Statistic (R, k) of a batch drawn at theta (R, d) to the mean standard score (R, d)."""


@runtime_checkable
class WithSecondOrder(Model, Protocol):
    """A model whose risk is known to the second order in 1/n."""

    def second_order(self) -> Any:
        """Return a `collapse.models.expansion.SecondOrder`, or None where it is not known."""


@runtime_checkable
class Measured(Model, Protocol):
    """A model that can say what is lost beside risk: one number of each fit.

    `MEASURES` says what the names mean; a model may add names of its own.

    Attributes
    ----------
    measures : tuple of str
        What it can say.
    """

    @property
    def measures(self) -> tuple[str, ...]:
        """Names that `measure` knows."""

    def measure(self, name: str, theta: Array, rng: np.random.Generator) -> Array:
        """Measure fits theta (R, d): (R,) float64. What is exact leaves the generator alone."""


@runtime_checkable
class MeasuredByRows(Measured, Protocol):
    """A model whose fits are measured by rows that they draw, the same ones for all measures."""

    @property
    def measured_rows(self) -> int:
        """Rows that are drawn of each fit."""

    def measure_rows(self, name: str, rows: Any) -> Array:
        """Measure rows (R, measured_rows, ...): (R,) float64."""


MEASURES: Final[dict[str, str]] = {
    "variance": "trace of the fitted covariance, as a share of the truth's",
    "determinant": "determinant of the fitted covariance, as a share of the truth's",
    "entropy": "entropy of the fitted law, in nats",
    "support": "categories that the fitted law can still draw",
    "rare": "mass of what is rare in the truth",
    "tail": "an upper quantile of the fitted law",
    "energy": "energy distance of the fitted law from the truth",
    "wasserstein": "sliced Wasserstein distance of the fitted law from the truth",
    "mmd": "maximum mean discrepancy of the fitted law from the truth",
    "tstr": "loss on real rows of a predictor trained on synthetic ones",
    "copies": "distance of synthetic rows to the nearest real row",
}
"""What the names of measures mean; a model's docstring says the rest."""


@runtime_checkable
class WithExactForm(Protocol):
    """What declares that its risk is known at every n, and why; `derive` guesses nothing."""

    @property
    def exact_form(self) -> str | None:
        """One of `EXACT_FORMS`, or None where no exact form is known."""


@runtime_checkable
class WithQuadraticVariance(WithExactForm, Protocol):
    """A fit is the weighted mean of rows whose variance is v0 + v1 mu + v2 mu^2."""

    @property
    def mean(self) -> Any:
        """The true mean, a number, or a tuple of the means of several coordinates."""

    @property
    def variance_function(self) -> Any:
        """(v0, v1, v2); of several coordinates that of the sum of their variances."""


@runtime_checkable
class WithLinearResponse(WithExactForm, Protocol):
    """The same of rows that are selected."""

    @property
    def response(self) -> Any:
        """A `LinearResponse`, or None where it is not known."""


@runtime_checkable
class WithFixedDesign(WithExactForm, Protocol):
    """Least squares on a reused design."""

    @property
    def design_rows(self) -> int | None:
        """Rows of the design."""

    @property
    def first_risk(self) -> Any:
        """Risk of a fit to the real labels of these rows."""


@runtime_checkable
class WithSampleMaximum(WithExactForm, Protocol):
    """The fit is the maximum of rows that are uniform on (0, theta)."""

    @property
    def endpoint(self) -> Any:
        """The truth."""


@runtime_checkable
class WithRandomDesign(WithExactForm, Protocol):
    """Least squares on standard normal covariates that every batch draws anew."""

    @property
    def columns(self) -> int:
        """Covariates."""

    @property
    def sigma(self) -> Any:
        """Standard deviation of the errors."""


FORMS: Final[dict[str, type]] = {
    "quadratic variance": WithQuadraticVariance,
    "linear response": WithLinearResponse,
    "fixed design": WithFixedDesign,
    "sample maximum": WithSampleMaximum,
    "random design": WithRandomDesign,
    "matched moments": WithQuadraticVariance,
}
"""What a model may declare as its `exact_form`. Rows of matched moments have the quadratic variance
in the mean over fits, and their mean is counted from the real one."""

QUADRATIC: Final = ("quadratic variance", "matched moments")
"""Forms whose fits are means that a family's `variance_function` rules."""

CAPABILITIES: Final[dict[str, type]] = {
    "mean statistic": WithStatistic,
    "pooled statistics": WithPooling,
    "reused design": WithDesign,
    "observed labels": WithObservedLabels,
    "fits of any kind": WithObjects,
    "deviation": WithDeviation,
    "influence function": WithInfluence,
    "measures": Measured,
    "measures of rows": MeasuredByRows,
}
"""What else a model may have, beside what every model has, by having its members."""


def members(protocol: type) -> tuple[str, ...]:
    """Names of what a protocol adds to those that it extends."""
    return tuple(name for name in vars(protocol) if not name.startswith("_"))


EXACT_FORMS: Final = {form: members(protocol) for form, protocol in FORMS.items()}
"""The exact forms, and the members that go with each."""


def lacking(model: object, protocol: type) -> tuple[str, ...]:
    """What a protocol adds and a model has not; nothing where the model meets the protocol."""
    if isinstance(model, protocol):
        return ()
    wanted = members(protocol)
    return tuple(name for name in wanted if name not in dir(model)) or wanted


def exact_form(model: object) -> str | None:
    """Return the exact form that a model declares, None without one.

    Raises
    ------
    ValueError
        Where there is no such form, or the model lacks a member that goes with it.
    """
    if not isinstance(model, WithExactForm) or model.exact_form is None:
        return None
    form = choice(model.exact_form, f"exact_form of {brief(model)}", tuple(FORMS))
    if missing := lacking(model, FORMS[form]):
        raise ValueError(
            f"{brief(model)} declares the exact form {form!r} and lacks {' and '.join(missing)}."
        )
    return form


def declared(model: object) -> tuple[str, ...]:
    """What a model can beside what every model can: its capabilities, and its exact form.

    Examples
    --------
    >>> from collapse import models
    >>> declared(models.Median("normal"))
    ('deviation', 'influence function')
    >>> declared(models.Poisson(3))
    ('mean statistic', 'deviation', 'influence function', 'measures', 'quadratic variance')
    """
    able = tuple(name for name, kind in CAPABILITIES.items() if isinstance(model, kind))
    form = exact_form(model)
    return able if form is None else (*able, form)


def design_of(model: object) -> int | None:
    """Return the number of rows of the design that a model reuses, None without one.

    Raises
    ------
    ValueError
        Where `design_rows` is no positive whole number.
    """
    rows = model.design_rows if isinstance(model, WithDesign) else None
    if rows is None:
        return None
    return whole(rows, "design_rows", f"rows of the design of {brief(model)}")


def observed_labels(model: object) -> Array | None:
    """Return the labels that a regression observed, None where real labels are drawn.

    Raises
    ------
    ValueError
        Where `observed` is not one label for each row of the design.
    """
    design = design_of(model)
    labels = model.observed if design and isinstance(model, WithObservedLabels) else None
    if labels is not None and np.shape(labels) != (design,):
        raise ValueError(
            f"observed must hold the {design} labels of the design of {brief(model)}, or be None;"
            f" it is {brief(labels)}."
        )
    return labels


def real_rows(model: object) -> int | None:
    """Return the number of real rows that a model fixes: its design's, or those observed."""
    return design_of(model) or (model.observed_rows if isinstance(model, WithObjects) else None)


def estimated(theta: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether each fit of theta (R, d) is an estimate: NaN, or None for an object, is none."""
    if theta.dtype == object:
        return np.array([fit is not None for fit in theta[:, 0]], bool)
    return np.asarray(~np.isnan(theta).any(axis=1))


def replicate(truth: Array, replications: int) -> Array:
    """Return an array once for each replication, (R, ...), without a copy."""
    return np.broadcast_to(truth, (replications, *truth.shape))


def parts(replications: int, rows: int, cells: int | None = None) -> Iterator[slice]:
    """Divide replications of so many rows each into slices of about so many cells, `CELLS`."""
    step = max(1, (cells or CELLS) // max(1, rows))
    return (slice(r, r + step) for r in range(0, replications, step))


def by_parts(
    each: Callable[[slice], NDArray[Any]], replications: int, rows: int, cells: int | None = None
) -> NDArray[Any]:
    """What `each` gives for the parts of all replications, joined."""
    return np.concatenate([each(p) for p in parts(replications, rows, cells)] or [each(slice(0))])


class DrawsFromTruth:
    """Real batches are drawn from the family at its truth; a misspecified or observed world
    overrides this.
    """

    def draw_real(self: Model, replications: int, rows: int, rng: np.random.Generator) -> Array:
        return self.draw(replicate(self.truth, replications), rows, rng)

    def draw_real_statistic(
        self: WithStatistic, replications: int, rows: int, rng: np.random.Generator
    ) -> Array:
        return self.draw_statistic(replicate(self.truth, replications), rows, rng)
