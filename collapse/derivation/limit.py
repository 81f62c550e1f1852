"""The Gaussian limit of a plan, which all regular models share, and least squares at n, where it
holds too."""

from __future__ import annotations

from functools import partial
from math import isqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collapse.checks import check_number
from collapse.derivation.moments import Law, moments
from collapse.exact import Array
from collapse.plan import Plan, draw_noise, feedback
from collapse.risk import Risk

LARGEST_TABLE = 10**8
"""Entries of a dense table (G, B): 0.8 GB."""

FRONTIER = 512
"""Batches to be remembered at once, from which dense tables are faster."""


def limit(plan: Plan, exact: bool) -> Risk:
    """Risk of every fit in units of that of a fit to n rows, for many rows."""
    if plan.recursion.chain:
        risk = _chain(plan, exact)
    elif exact or sparse(plan):
        risk = frontier(plan, exact, 1 / plan.exact_size(exact), 1, 0)
    else:
        risk = _dense(plan)
    tables: dict[str, Any] = {
        "covariance": partial(_covariance, plan, exact),
        "contributions": partial(contributions, plan, exact),
    }
    return Risk(risk, risk / risk[0], plan, tables=tables)


def fixed_design(plan: Plan, model: Any, n: int, exact: bool) -> Risk:
    """Risk of least squares on a fixed design, every batch read whole: that of the limit."""
    if exact:
        raise ValueError(
            "exact=True needs rational arithmetic, and a regression's design is floats; derive"
            " without it."
        )
    if not plan.reads_whole_batches:
        raise ValueError(
            f"{plan.name} reads part of a batch, which makes the Gram matrix random: no exact form"
            " is known for least squares there. Use derive(plan) for the limit, or simulate(plan,"
            " model=...)."
        )
    if np.any(plan.rows(n) % n):
        raise ValueError(
            "a batch labels part of the design, and no exact form is known then; use sizes that are"
            " whole numbers, or simulate."
        )
    check_number(model.first_risk, f"first_risk of {model!r}", 0)
    many = limit(plan, False)
    risk = model.first_risk * many.risk
    tables: dict[str, Any] = {
        "contributions": many.tables["contributions"],
        "covariance": lambda: model.first_risk * many.covariance,
    }
    return Risk(risk, risk / risk[0], plan, model=repr(model), n=n, tables=tables)


def sparse(plan: Plan) -> bool:
    """Whether following the batches still to be read is faster than dense tables."""
    full = 4 * plan.recursion.entries.fit.size >= plan.generations * plan.batches
    return not full and plan.live <= FRONTIER


def _chain(plan: Plan, exact: bool) -> NDArray[Any]:
    """diag C in O(G): where a fit reads what the last one read and the newest batch, the weighted
    mean m_g moves by share * (noise of the newest batch + what subsampling added to its source).
    """
    square = plan.recursion.share.values(exact) ** 2
    spread = square / plan.exact_size(exact)
    if plan.reads_whole_batches:
        return _sums(spread)
    drawn = plan.subsampling_noise(exact)
    before = np.append(0 * drawn[:1], drawn[:-1])
    return np.asarray(_sums(square * before + spread) + drawn)


def _sums(steps: NDArray[Any]) -> NDArray[Any]:
    """Running sums; those of doubles rounded once, where the machine has longer ones."""
    return (
        np.cumsum(steps)
        if steps.dtype == object
        else np.cumsum(steps, dtype=np.longdouble).astype(np.float64)
    )


def frontier(plan: Plan, exact: bool, batch_noise: NDArray[Any], V: Any, v2: Any) -> NDArray[Any]:
    """Return diag C of a plan from the covariance of the batches that are still to be read, and of
    what is carried on.

    A batch from fit s has noise (V + v2 Var mu_s) * batch_noise. Place 0 of S holds what is carried
    on, the others the batches.
    """
    rows, entries, places = plan.recursion, plan.recursion.entries, plan.places
    drawing, carries = plan.subsampling_noise(exact), bool(rows.taken_up.size)
    decay, share = (part.values(exact).tolist() for part in (rows.decay, rows.share))
    at, newest = places[entries.batch].tolist(), rows.newest.tolist()
    weight = entries.weight.values(exact).tolist()
    S = np.full((plan.live + 1, plan.live + 1), 0 * V * batch_noise[0])
    risk, nothing = [], S[0].copy()
    towards, variance = nothing, nothing[0]
    for g, few in enumerate(entries.by_fit(plan.generations)):
        for b in plan.arrivals[g]:
            k = places[b]
            born, level = (towards, variance) if plan.source[b] else (nothing, nothing[0])
            S[k] = S[:, k] = born
            S[k, k] = level + (V + v2 * level) * batch_noise[b]
            if plan.source[b]:
                towards[k] = variance
        read, w = at[few], weight[few]
        if share[g] or decay[g]:
            d, s, k = decay[g], share[g], int(places[newest[g]]) if share[g] else 0
            carried = d * S[0] + s * S[k]
            own = d * d * S[0, 0] + s * s * S[k, k] + 2 * d * s * S[0, k]
            S[0] = S[:, 0] = carried
            S[0, 0] = own
            read, w = [0, *read], [1, *w]
        elif carries:
            S[0] = S[:, 0] = nothing
        towards = S[:, read] @ np.array(w, S.dtype)
        variance = towards[read] @ np.array(w, S.dtype) + drawing[g]
        risk.append(variance)
    return np.array(risk, dtype=S.dtype)


def check_room(plan: Plan) -> None:
    """Raise a ValueError where a plan's dense tables would not fit in memory."""
    G, B = plan.generations, plan.batches
    if G * max(G, B) > LARGEST_TABLE:
        raise ValueError(
            f"{plan.name} with {G} fits of {B} batches needs dense tables of"
            f" {8e-9 * G * max(G, B):.1f} GB; derive goes up to {LARGEST_TABLE:,} entries"
            f" ({isqrt(LARGEST_TABLE):,} fits with one batch each). Take fewer generations, or a"
            " workflow that looks fewer batches up."
        )


def _inverse(plan: Plan) -> tuple[Array, Array]:
    """(I - A)^-1, unit lower triangular (G, G), and c = (I - A)^-1 W (G, B)."""
    from scipy.linalg.lapack import dtrtri

    check_room(plan)
    weight, real = plan.weight, plan.source == 0
    lower = -feedback(weight, plan.source)
    np.fill_diagonal(lower, 1.0)
    # the transpose of a C-ordered lower triangle is a Fortran-ordered upper one: LAPACK then works
    # in place
    upper, info = dtrtri(lower.T, lower=0, unitdiag=1, overwrite_c=1)
    if info:
        raise RuntimeError(
            f"dtrtri failed with info = {info}; the plan's feedback is not unit triangular."
        )
    inverse: Array = upper.T
    if np.bincount(plan.source[~real]).max(initial=0) > 1:
        return inverse, inverse @ weight
    # with one batch to a source, W's columns are those of A = I - (I - A), and (I - A)^-1 A =
    # (I - A)^-1 - I
    c, synthetic = np.empty(weight.shape), plan.source[~real] - 1
    c[:, ~real] = inverse[:, synthetic]
    c[synthetic, np.flatnonzero(~real)] = 0.0
    c[:, real] = inverse @ weight[:, real]
    return inverse, c


def _dense(plan: Plan) -> Array:
    inverse, c = _inverse(plan)
    risk: Array = np.einsum("gb,gb,b->g", c, c, 1 / plan.size)
    if not plan.reads_whole_batches:
        risk = risk + np.einsum("gh,gh,h->g", inverse, inverse, plan.subsampling_noise())
    return risk


def _exact(plan: Plan) -> tuple[NDArray[Any], NDArray[Any]]:
    law = Law(1, 1, 0, lambda bias, square: 1)
    return moments(plan, True, law, 1 / plan.exact_size(), draw_noise(plan, None, True))


def _covariance(plan: Plan, exact: bool) -> NDArray[Any]:
    if exact:
        return _exact(plan)[0]
    inverse, c = _inverse(plan)
    return np.asarray((c / plan.size) @ c.T + (inverse * plan.subsampling_noise()) @ inverse.T)


def contributions(plan: Plan, exact: bool) -> NDArray[Any]:
    """c (G, B): how much of each batch's noise stands in each fit."""
    if exact:
        return _exact(plan)[1]
    return np.asarray(_inverse(plan)[1] + 0.0)  # LAPACK leaves negative zeros
