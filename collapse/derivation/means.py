"""Weighted means at every n: families with quadratic variance, and selected rows."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from numbers import Rational
from typing import Any

import numpy as np

from collapse.checks import is_number
from collapse.derivation.limit import check_room, frontier, sparse
from collapse.derivation.moments import Law, chain, moments
from collapse.exact import inverses
from collapse.models.adapters.selection import LinearResponse
from collapse.models.families.morris import plain
from collapse.plan import Plan, draw_noise
from collapse.risk import Risk


def variance_of(model: Any, exact: bool) -> tuple[Any, Any]:
    """Variance V of a real row, and v2, of the mean of a family with variance function v0 + v1 mu +
    v2 mu^2; of a vector of means the trace of a row's covariance.

    Raises
    ------
    ValueError
        Where the model's mean or variance_function is none, or holds floats and is to be exact.
    """
    mean = model.mean if isinstance(model.mean, tuple) else (model.mean,)
    if not (isinstance(model.variance_function, tuple) and len(model.variance_function) == 3):
        given = model.variance_function
        raise ValueError(
            f"variance_function of {model!r} must be a tuple (v0, v1, v2), not {given!r}."
        )
    v0, v1, v2 = model.variance_function
    if not all(is_number(value) for value in (*mean, v0, v1, v2)):
        given = model.mean, (v0, v1, v2)
        raise ValueError(
            f"mean and variance_function of {model!r} must hold numbers, not {given!r}."
        )
    _check_rational((*mean, v0, v1, v2), f"rational parameters, and {model!r} holds", exact)
    exactly = [plain(m) for m in mean]
    V = v0 + v1 * sum(exactly) + v2 * sum(m * m for m in exactly)
    return number(V, exact), number(v2, exact)


def quadratic_variance(plan: Plan, model: Any, n: int, exact: bool) -> Risk:
    """Risk of the mean of a family whose variance function is quadratic."""
    V, v2 = variance_of(model, exact)
    whole, noise = plan.reads_whole_batches, inverses(plan.rows(n), exact)
    law = Law(V, 1, 0, lambda bias, square: V + v2 * square)
    known = whole and not plan.recursion.chain and (exact or sparse(plan))
    risk = frontier(plan, exact, noise, V, v2) if known else None
    return _means(plan, model, n, exact, law, risk)


def linear_response(plan: Plan, model: Any, n: int, exact: bool) -> Risk:
    """Risk of weighted means where rows from fit mu have mean m0 + m1 mu and variance v0 + v1 mu +
    v2 mu^2.
    """
    response: Any = model.response
    if response is None:
        raise ValueError(
            f"no exact form is known for {model!r}: the mean of a selected row is not known to be"
            " linear in the fit. Use simulate(plan, model=..., n=..., replications=...), or put"
            " its values at the truth into collapse.models.LinearResponse for a linearisation."
            " derive(plan) alone leaves selection out."
        )
    if not isinstance(response, LinearResponse):
        kind = "a collapse.models.LinearResponse, or None"
        raise ValueError(f"response of {model!r} must be {kind}; it is {response!r}.")
    given = (
        response.mean,
        response.variance,
        *response.selected_mean,
        *response.selected_variance,
    )
    _check_rational(given, f"a rational response, and that of {model!r} holds", exact)
    mean, V, m0, slope, v0, v1, v2 = (number(value, exact) for value in given)

    def variance(bias: Any, square: Any) -> Any:
        return v0 + v1 * mean + v2 * mean * mean + (v1 + 2 * v2 * mean) * bias + v2 * square

    return _means(plan, model, n, exact, Law(V, slope, m0 + slope * mean - mean, variance))


def _means(plan: Plan, model: Any, n: int, exact: bool, law: Law, risk: Any = None) -> Risk:
    """The answer at n, its tables when asked for where the risk is known without them."""
    noise = inverses(plan.rows(n), exact)

    @cache
    def dense() -> Any:
        check_room(plan)
        return moments(plan, exact, law, noise, draw_noise(plan, n, exact))

    if risk is None and plan.recursion.chain and plan.reads_whole_batches:
        risk = chain(plan, exact, law, noise)
    tables: dict[str, Any] = {"covariance": lambda: dense()[0], "contributions": lambda: dense()[1]}
    if risk is None:
        tables["covariance"], tables["contributions"] = dense()
        risk = np.diag(tables["covariance"]).copy()
    return Risk(risk, risk / risk[0], plan, model=repr(model), n=n, tables=tables)


def _check_rational(values: tuple[Any, ...], what: str, exact: bool) -> None:
    if exact and not all(isinstance(value, Rational) for value in values):
        raise ValueError(
            f"exact=True needs {what} floats: leave exact out, or give int or fractions.Fraction."
        )


def number(value: Any, exact: bool) -> Any:
    """A parameter as a Fraction, or as a float."""
    # numpy's integers are rational too, and overflow
    return Fraction(int(value.numerator), int(value.denominator)) if exact else float(value)
