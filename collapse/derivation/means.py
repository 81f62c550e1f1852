"""Models whose fits are weighted means: in the limit all regular ones; at every n families with
quadratic variance, selected rows, and least squares on a fixed design."""

from fractions import Fraction
from numbers import Rational
from typing import Any

from collapse.checks import check_number, is_number, require
from collapse.derivation.moments import Law, weighted_means
from collapse.models.adapters.selection import LinearResponse
from collapse.models.families.morris import plain
from collapse.plan import Plan
from collapse.risk import Risk


def limit(plan: Plan, exact: bool) -> Risk:
    """Risk of every fit in units of that of a fit to n rows, for many rows."""
    return weighted_means(plan, exact, Law(1, (1, 0, 0)))


def variance_of(model: Any, exact: bool) -> tuple[Any, Any]:
    """Variance V of a real row, and v2, of the mean of a family with variance function v0 + v1 mu +
    v2 mu^2; of a vector of means the trace of a row's covariance.

    Raises
    ------
    ValueError
        Where the model's mean or variance_function is none, or holds floats and is to be exact.
    """
    mean = model.mean if isinstance(model.mean, tuple) else (model.mean,)
    given = model.variance_function
    require(
        isinstance(given, tuple) and len(given) == 3,
        lambda _: f"variance_function of {model!r} must be a tuple (v0, v1, v2), not {given!r}.",
    )
    v0, v1, v2 = given
    require(
        all(is_number(value) for value in (*mean, v0, v1, v2)),
        lambda _: (
            f"mean and variance_function of {model!r} must hold numbers, not"
            f" {(model.mean, given)!r}."
        ),
    )
    rational((*mean, v0, v1, v2), f"rational parameters, and {model!r} holds", exact)
    exactly = [plain(m) for m in mean]
    V = v0 + v1 * sum(exactly) + v2 * sum(m * m for m in exactly)
    return number(V, exact), number(v2, exact)


def quadratic_variance(plan: Plan, model: Any, n: int, exact: bool) -> Risk:
    """Risk of the mean of a family whose variance function is quadratic."""
    V, v2 = variance_of(model, exact)
    return weighted_means(plan, exact, Law(V, (V, 0, v2)), model, n)


def response_law(response: LinearResponse, exact: bool = False) -> Law:
    """The law of rows whose mean is m0 + m1 mu and variance v0 + v1 mu + v2 mu^2, by errors."""
    mean, V = number(response.mean, exact), number(response.variance, exact)
    m0, slope = (number(value, exact) for value in response.selected_mean)
    v0, v1, v2 = (number(value, exact) for value in response.selected_variance)
    variance = v0 + v1 * mean + v2 * mean * mean, v1 + 2 * v2 * mean, v2
    return Law(V, variance, slope, m0 + slope * mean - mean)


def linear_response(plan: Plan, model: Any, n: int, exact: bool) -> Risk:
    """Risk of weighted means where rows from fit mu have mean m0 + m1 mu and variance v0 + v1 mu +
    v2 mu^2.
    """
    response: Any = model.response
    require(
        response is not None,
        f"no exact form is known for {model!r}: the mean of a selected row is not known to be"
        " linear in the fit. Use simulate(plan, model=..., n=..., replications=...), or put"
        " its values at the truth into collapse.models.LinearResponse for a linearisation."
        " derive(plan) alone leaves selection out.",
    )
    require(
        isinstance(response, LinearResponse),
        f"response of {model!r} must be a collapse.models.LinearResponse, or None; it is"
        f" {response!r}.",
    )
    rational(
        (response.mean, response.variance, *response.selected_mean, *response.selected_variance),
        f"a rational response, and that of {model!r} holds",
        exact,
    )
    return weighted_means(plan, exact, response_law(response, exact), model, n)


def fixed_design(plan: Plan, model: Any, n: int, exact: bool) -> Risk:
    """Risk of least squares on a fixed design, every batch read whole: that of the limit."""
    require(
        not exact,
        "exact=True needs rational arithmetic, and a regression's design is floats; derive without"
        " it.",
    )
    require(
        plan.reads_whole_batches,
        f"{plan.name} reads part of a batch, which makes the Gram matrix random: no exact form is"
        " known for least squares there. Use derive(plan) for the limit, or simulate(plan,"
        " model=...).",
    )
    require(
        plan.rows(n) % n == 0,
        "a batch labels part of the design, and no exact form is known then; use sizes that are"
        " whole numbers, or simulate.",
    )
    check_number(model.first_risk, f"first_risk of {model!r}", 0)
    many = limit(plan, False)
    risk = model.first_risk * many.risk
    tables: dict[str, Any] = {
        "contributions": many.tables["contributions"],
        "covariance": lambda: model.first_risk * many.covariance,
    }
    return Risk(risk, risk / risk[0], plan, model=repr(model), n=n, tables=tables)


def rational(values: tuple[Any, ...], what: str, exact: bool) -> None:
    """Raise a ValueError where an exact answer is asked for, and floats are given."""
    require(
        not exact or all(isinstance(value, Rational) for value in values),
        f"exact=True needs {what} floats: leave exact out, or give int or fractions.Fraction.",
    )


def number(value: Any, exact: bool) -> Any:
    """A parameter as a Fraction, or as a float."""
    # numpy's integers are rational too, and overflow
    return Fraction(int(value.numerator), int(value.denominator)) if exact else float(value)
