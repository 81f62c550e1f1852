"""derive(): exact risk of a plan, in the Gaussian limit or at finite n where the family allows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from collapse.checks import brief, flag, is_number, require, whole
from collapse.derivation.extremes import sample_maximum
from collapse.derivation.lost import expected
from collapse.derivation.means import (
    fixed_design,
    limit,
    linear_response,
    quadratic_variance,
)
from collapse.derivation.random_design import random_design
from collapse.derivation.reservoir import reservoir_limit, reservoir_quadratic_variance
from collapse.derivation.second import second_order
from collapse.models.protocols import EXACT_FORMS, QUADRATIC, design_of, exact_form, real_rows
from collapse.plan import Plan
from collapse.protocol import checked_workflow
from collapse.reservoir import Reservoir
from collapse.risk import Measure, Risk

AT_N: dict[str, Callable[..., Risk]] = {
    **dict.fromkeys(QUADRATIC, quadratic_variance),
    "linear response": linear_response,
    "fixed design": fixed_design,
    "sample maximum": sample_maximum,
    "random design": random_design,
}
"""What derives the risk of a plan at n, by the exact form that a model declares."""
AT_N_PERSISTENT: dict[str, Callable[..., Risk]] = dict.fromkeys(
    QUADRATIC, reservoir_quadratic_variance
)
"""The same where rows persist."""


def derive(
    plan: Plan | Reservoir,
    *,
    model: Any = None,
    n: int | None = None,
    exact: bool = False,
    order: int | None = None,
    measures: Any = (),
) -> Risk:
    """Derive the risk of every generation of a plan.

    Parameters
    ----------
    plan : Plan or Reservoir
        The workflow.
    model : model, optional
        Without it: the Gaussian limit, which all regular models share. With it: the exact risk at
        n, known for the natural exponential families with quadratic variance (in the mean
        parameter; also for multinomial shares and the mean of a multivariate normal), for least
        squares on a fixed design where every batch is read whole, for least squares on covariates
        drawn anew where all rows weigh alike, for generators that keep the mean and the variance of
        what they are fitted to, for the maximum of a uniform sample where one batch decides, and
        for selected rows whose mean and variance are polynomials of the fit (a model's `response`).
        Which of them a model is, it declares as its
        `exact_form`, which `models.check` tries.
    n : int, optional
        Rows of real data; required with a model, except that a regression's n is the number of rows
        of its design.
    exact : bool, optional
        Answer in `fractions.Fraction`. Needs a plan (and a model) of int and Fraction entries.
    order : int, optional
        2: with a model that has no exact form, the risk up to terms of order n^-3, for maximum
        likelihood in an exponential family (regressions with a canonical link too, where every
        batch is read whole) and smooth functions of its mean: a model's `second_order`. Where the
        risk has no mean, since a fit may not exist, as in logistic regression, it is the mean over
        the fits that do. Default: exact, or not at all.

    measures : str or sequence of str, optional
        What is lost beside risk, exactly, as `Risk.measures`: "variance" in the families with
        quadratic variance, and of a `Multinomial` "support", "entropy" and "rare" where
        `collapse.derivation.lost.expected` knows them. Needs a model.

    Returns
    -------
    Risk
        With `covariance` and `contributions` computed when asked for.

    Raises
    ------
    ValueError
        Where no exact form, or no second order, is known (the message names the alternatives), n
        does not fit the plan's batches, exact=True meets floats, or the second order is more than
        30 % of the first.

    Notes
    -----
    Let u_g be the scaled error of fit g, A the feedback and K the noise of the plan: u = A u + N,
    Cov N = K, hence Cov u = C = (I - A)^-1 K (I - A)^-T and the ratio is C[g, g] / C[1, 1] (Dey and
    Donoho 2024, the sequential Gaussian process). In a family with variance function v0 + v1 mu +
    v2 mu^2 the same holds at every n, if the noise of a batch drawn from fit s has variance (V + v2
    Var mu_s) / rows.

    Examples
    --------
    >>> import collapse
    >>> collapse.derive(collapse.workflows.subsample(100)).ratio[-1].round(6)
    np.float64(2.904952)
    >>> model = collapse.models.Bernoulli(0.2)
    >>> collapse.derive(collapse.workflows.discard(3), model=model, n=100).risk.round(7)
    array([0.0016   , 0.003184 , 0.0047522])
    """
    checked_workflow(plan, "plan")
    exact, n = flag(exact, "exact"), rows_of(model, n)
    many: Callable[..., Risk] = reservoir_limit if plan.persistent else limit
    if order is not None:
        require(
            is_number(order) and order == 2,
            f"order must be 2, or left out for an exact answer; it is {brief(order)}.",
        )
        if n is None or exact:
            raise ValueError(
                "order=2 needs a model and answers in floats; give model=..., and leave exact out."
            )
        return second_order(plan, model, n)
    if np.size(measures):
        if n is None:
            raise ValueError("measures need a model; give model=... and n=..., or leave them out.")
        found = expected(plan, model=model, n=n, measures=measures)
        told = {name: Measure(mean, np.zeros(len(mean))) for name, mean in found.items()}
        return replace(derive(plan, model=model, n=n, exact=exact), measures=told)
    if n is None:
        return many(plan, exact)
    form, known = exact_form(model), AT_N_PERSISTENT if plan.persistent else AT_N
    if form in known:
        return known[form](plan, model, n, exact)
    why = f" under {plan.name}, whose rows persist" if plan.persistent else ", which declares none"
    forms = ", ".join(f"{name!r} ({', '.join(EXACT_FORMS[name])})" for name in known)
    raise ValueError(
        f"no exact form at finite n is known for {brief(model)}{why}; use derive(plan) for the"
        " limit, or simulate(plan, model=..., n=..., replications=...) for the model itself. As"
        f" exact_form, derive at n needs one of {forms}; this model declares"
        f" {(form and repr(form)) or 'none'}."
    )


def rows_of(model: Any, n: int | None) -> int | None:
    """Rows of real data: n, or the rows of a regression's design; None in the limit.

    Raises
    ------
    ValueError
        Where n is given without a model, the model is a class, n is missing, no positive whole
        number, or not the number of rows of the design.
    """
    if model is None:
        require(
            n is None,
            "n was given without a model; the Gaussian limit has no n. Give model=..., or leave n"
            " out.",
        )
        return None
    require(
        not isinstance(model, type),
        lambda _: f"model is the class {model.__name__}; give an instance of it.",
    )
    design = real_rows(model)
    given = design if n is None else whole(n, "n", "rows of real data")
    require(
        given is not None,
        lambda _: f"n (rows of real data) is needed with {brief(model)}; give n=...",
    )
    require(
        design in (None, given),
        f"n = {n}, but {'the design X has' if design_of(model) else 'X has'} {design} rows and is"
        " reused whole; leave n out, or give X with n rows.",
    )
    return given
