"""Moments of weighted means, fit by fit, where a row's mean is linear in the fit it comes from and
its variance a function of that fit's first two moments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collapse.plan import Plan


@dataclass(frozen=True)
class Law:
    """How a row depends on the fit it is drawn from.

    Parameters
    ----------
    V : number
        Variance of a real row.
    slope, shift : number
        A row from a fit with error e has the mean error slope * e + shift.
    variance : callable
        Expected variance of a row, of the mean of e and the mean of its square.
    """

    V: Any
    slope: Any
    shift: Any
    variance: Callable[[Any, Any], Any]


def moments(
    plan: Plan, exact: bool, law: Law, batch_noise: NDArray[Any], draw_noise: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Second moments (G, G) of the errors, and contributions (G, B): how much of each batch's noise
    stands in each fit.

    The errors obey e = slope A e + shift A 1 + noise. Given the past, the noise of a batch is a
    martingale difference whose variance, in the mean, needs the first two moments of its source's
    error alone. `batch_noise` (B,) and `draw_noise` (G, B) are the variances of a batch's mean, and
    of a fit's draw from it, in units of its rows'.
    """
    G, B = plan.generations, plan.batches
    A, W = plan.feedback(exact), plan.exact_weight(exact)
    drawn = W * W * draw_noise
    # columns: the noise of each batch, then that of each fit's draw from its batches
    c = np.hstack([W, np.eye(G, dtype=int) + 0 * A]) if drawn.any() else W.copy()
    row = np.full(B, law.V + 0 * A[0, 0])
    level, bias, second = 0 * c[0], 0 * A[0], 0 * A
    level[:B] = row * batch_noise
    for g in range(G):
        # fractions are multiplied one by one: those that are zero are left out
        fits: Any = np.flatnonzero(A[g]) if exact else slice(g)
        if g:
            c[g] += law.slope * (A[g, fits] @ c[fits])
            bias[g] = A[g, fits] @ (law.slope * bias[fits] + law.shift)
        level[B + g : B + g + 1] = drawn[g] @ row
        some: Any = np.flatnonzero(c[g]) if exact else slice(None)
        spread = c[: g + 1, some] @ (level[some] * c[g, some])
        second[g, : g + 1] = second[: g + 1, g] = spread + bias[g] * bias[: g + 1]
        later = np.flatnonzero(plan.source == g + 1)
        row[later] = law.variance(bias[g], second[g, g])
        level[later] = row[later] * batch_noise[later]
    return second, c[:, :B]


def chain(plan: Plan, exact: bool, law: Law, batch_noise: NDArray[Any]) -> NDArray[Any]:
    """Mean squares (G,) of the errors in O(G), where a fit reads what the last one read, whole, and
    the newest batch.
    """
    bias, spread, out = 0 * law.V, 0 * law.V, []
    share = plan.recursion.share.values(exact)
    for g, (w, noise) in enumerate(zip(share.tolist(), batch_noise.tolist(), strict=True)):
        level = law.variance(bias, bias * bias + spread) if g else law.V
        if g:
            kept = 1 + w * (law.slope - 1)
            bias, spread = kept * bias + w * law.shift, kept * kept * spread
        spread = spread + w * w * level * noise
        out.append(bias * bias + spread)
    return np.array(out, dtype=object if exact else np.float64)
