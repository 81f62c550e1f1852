"""Risk to the second order in 1/n: four tables of the workflow, five numbers of the model."""

from typing import Any

import numpy as np

from collapse.checks import brief, require
from collapse.derivation.means import limit
from collapse.exact import Array
from collapse.models.expansion import SecondOrder
from collapse.models.protocols import WithSecondOrder, design_of
from collapse.plan import Plan
from collapse.reservoir import Reservoir
from collapse.risk import Risk

LARGEST = 0.3
"""Share of the first order that the second may be: beyond, a third cannot be left out."""


def tables(plan: Plan, c: Array, rows: Array) -> tuple[Array, Array, Array, Array]:
    """C, D, A, E of every fit, shapes (G,), from how much of each batch's noise stands in it, c
    (G, B), and the batches' rows (B,).

    With m the rows, s(b) the source of batch b and C_gh = sum_b c_gb c_hb / m_b,

        C_g = C_gg                                    variance,
        D_g = sum_b c_gb^2 C_s(b)s(b) / m_b           what sources have moved,
        A_g = sum_b c_gb^3 / m_b^2                    skewness of batches,
        E_g = sum_b c_gb^2 C_g,s(b) / m_b             of batches that share their past.

    The real world's C is 0.
    """
    noise = c / rows
    both = np.pad(noise @ c.T, ((0, 0), (1, 0)))
    variance = np.append(0, both[:, 1:].diagonal())
    each = c * noise
    moved = each @ variance[plan.source]
    skewed = (each * noise).sum(axis=1)
    inherited = (each * both[:, plan.source]).sum(axis=1)
    return variance[1:], moved, skewed, inherited


def second_order(plan: Plan | Reservoir, model: Any, n: int) -> Risk:
    """Risk to the order n^-2 of every fit of a plan that reads batches whole."""
    numbers = model.second_order() if isinstance(model, WithSecondOrder) else None
    if not isinstance(numbers, SecondOrder):
        raise ValueError(
            f"no second order is known for model {brief(model)}; it is for means of exponential"
            " families, maximum likelihood in one of two parameters, and regressions with a"
            " canonical link whose real labels are drawn from beta. Leave order out, or simulate."
        )
    if isinstance(plan, Reservoir) or not plan.reads_whole_batches:
        raise ValueError(
            f"the second order is known where every batch is read whole, and {plan.name} draws"
            " rows; use derive(plan) for the limit, or simulate."
        )
    rows = plan.rows(n).astype(np.float64)
    require(
        design_of(model) is None or not (rows % n).any(),
        "a batch labels part of the design, and no second order is known then; use sizes that are"
        " whole numbers, or simulate.",
    )
    C, D, A, E = tables(plan, np.asarray(limit(plan, False).contributions), rows)
    level, spread, skewness, inherited, curvature = numbers
    first = level * C
    second = spread * D + skewness * A + inherited * E + curvature * C * C
    large = np.flatnonzero(np.abs(second) > LARGEST * first)
    if large.size:
        share = abs(second[large[0]]) / first[large[0]]
        raise ValueError(
            f"n = {n} is too small for the second order: at generation"
            f" {plan.generation[large[0]]} it is {share:.0%} of the first, and what it leaves out"
            " may be as large; take fewer generations or more rows, or simulate(plan, model=...,"
            " n=...)."
        )
    risk = first + second
    return Risk(risk, risk / risk[0], plan, model=repr(model), n=n)
