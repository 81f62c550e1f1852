"""Risk to the second order in 1/n: four tables of the workflow, five numbers of the model."""

from typing import Any

import numpy as np

from collapse.checks import brief, require
from collapse.derivation.means import limit
from collapse.exact import Array
from collapse.models.expansion import SecondOrder
from collapse.models.protocols import WithSecondOrder, design_of
from collapse.plan import Plan, draw_noise, feedback
from collapse.reservoir import Reservoir
from collapse.risk import Risk

LARGEST = 0.3
"""Share of the first order that the second may be: beyond, a third cannot be left out."""


def tables(plan: Plan, c: Array, rows: Array, n: int) -> tuple[Array, Array, Array, Array]:
    """C, D, A, E of every fit, shapes (G,), from how much of each batch's noise stands in it, c
    (G, B), and the batches' rows (B,).

    With m the rows, s(b) the source of batch b, r = (I - A)^-1 how much of each fit's own draws
    stands in the others, v_hb and k3_hb the variance and the third cumulant of fit h's draw from
    batch b in units of a row's, and q_gb = sum_h r_gh^2 weight_hb^2 v_hb,

        C_gh = sum_b c_gb c_hb / m_b + sum_jb r_gj r_hj weight_jb^2 v_jb           covariance,
        D_g = sum_b (c_gb^2 / m_b + q_gb) C_s(b)s(b)                  what sources have moved,
        A_g = sum_b c_gb^3 / m_b^2 + sum_hb (r_gh weight_hb)^3 k3_hb + 3 sum_b q_gb c_gb / m_b
                                                              skewness of batches and of draws,
        E_g = sum_b (c_gb^2 / m_b + q_gb) C_g,s(b)             of batches that share their past.

    The real world's C is 0; where batches are read whole v, k3 and q are.
    """
    noise = c / rows
    covariance, skewed, each = noise @ c.T, (c * noise * noise).sum(axis=1), c * noise
    if not plan.reads_whole_batches:
        weight, inner = plan.weight, np.eye(plan.generations)
        inner = np.linalg.inv(inner - feedback(weight, plan.source))
        variance, third = drawn(plan, n)
        drawing = weight**2 * variance
        covariance += (inner * drawing.sum(axis=1)) @ inner.T
        q = inner**2 @ drawing
        skewed += (inner**3 @ (weight**3 * third)).sum(axis=1) + 3 * (q * noise).sum(axis=1)
        each = each + q
    both = np.pad(covariance, ((0, 0), (1, 0)))
    variances = np.append(0, covariance.diagonal())
    inherited = (each * both[:, plan.source]).sum(axis=1)
    return variances[1:], each @ variances[plan.source], skewed, inherited


def drawn(plan: Plan, n: int) -> tuple[Array, Array]:
    """Variance and third cumulant (G, B) of the mean of what a fit draws from a batch, about the
    batch's own mean, in units of a row's: of k of m rows without replacement 1/k - 1/m and (1/k -
    1/m) (1/k - 2/m), with replacement (1 - 1/m) / k and, in the first order, 1/k^2.
    """
    once, reads = 1 / plan.rows(n), plan.reads(n)
    low = np.maximum(np.floor(reads), 1)
    up = reads - low  # the chance of one more
    inverse, square = ((1 - up) / low**j + up / (low + 1) ** j for j in (1, 2))
    less = 0 if plan.replace else once
    return draw_noise(plan, n), square - 3 * less * inverse + 2 * less**2


def second_order(plan: Plan | Reservoir, model: Any, n: int) -> Risk:
    """Risk to the order n^-2 of every fit; on a design only of plans that read batches whole."""
    numbers = model.second_order() if isinstance(model, WithSecondOrder) else None
    if not isinstance(numbers, SecondOrder):
        raise ValueError(
            f"no second order is known for model {brief(model)}; it is for means of exponential"
            " families, maximum likelihood in one of two parameters or of a normal law in any"
            " dimension, and regressions with a canonical link whose real labels are drawn from"
            " beta. Leave order out, or simulate."
        )
    design = design_of(model) is not None
    if isinstance(plan, Reservoir) or (design and not plan.reads_whole_batches):
        what = "of a design" if design else "that persist"
        raise ValueError(
            f"{plan.name} draws rows {what}, and no second order is known then; use derive(plan)"
            " for the limit, or simulate."
        )
    rows = plan.rows(n).astype(np.float64)
    require(
        not design or not (rows % n).any(),
        "a batch labels part of the design, and no second order is known then; use sizes that are"
        " whole numbers, or simulate.",
    )
    C, D, A, E = tables(plan, np.asarray(limit(plan, False).contributions), rows, n)
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
