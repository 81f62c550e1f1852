"""Moments of weighted means, where a row's mean and variance are polynomials of the fit it comes
from: by tables, by the batches still to be read, or along a chain."""

from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collapse.exact import inverses
from collapse.plan import Plan, draw_noise, feedback
from collapse.risk import Risk

FRONTIER = 512
"""Batches to be remembered at once, from which dense tables are faster."""


@dataclass(frozen=True)
class Law:
    """How a row depends on the fit it is drawn from.

    Parameters
    ----------
    real : number
        Variance of a real row.
    variance : tuple
        (v0, v1, v2): a row from a fit with error e has the variance v0 + v1 e + v2 e^2.
    slope, shift : number
        Its mean error is slope * e + shift.
    """

    real: Any
    variance: tuple[Any, Any, Any]
    slope: Any = 1
    shift: Any = 0

    def expected(self, bias: Any, square: Any) -> Any:
        """Variance in the mean over fits, of the mean of e and the mean of its square."""
        v0, v1, v2 = self.variance
        return v0 + v1 * bias + v2 * square


def weighted_means(
    plan: Plan, exact: bool, law: Law, model: Any = None, n: int | None = None
) -> Risk:
    """Risk of the weighted means of rows that follow a law, at n; for many rows (n = None) in units
    of 1 / n."""
    noise = 1 / plan.exact_size(exact) if n is None else inverses(plan.rows(n), exact)
    # what the draws of rows add does not depend on the fits
    apart = n is None or plan.reads_whole_batches
    unbiased = law.slope == 1 and law.shift == 0
    full = 4 * plan.recursion.entries.fit.size >= plan.generations * plan.batches
    dense = cache(partial(moments, plan, exact, law, noise, n))
    tables: dict[str, Any] = {
        "covariance": lambda: (dense()[1] * dense()[2]) @ dense()[1].T,
        "contributions": lambda: dense()[1][:, : plan.batches],
    }
    if apart and plan.recursion.chain:
        risk = chain(plan, exact, law, noise) if n else limit_chain(plan, exact)
    elif apart and unbiased and (exact or (not full and plan.live <= FRONTIER)):
        risk = frontier(plan, exact, law, noise)
    else:
        risk = dense()[0]
        if n:  # most of their work is done
            tables = {name: table() for name, table in tables.items()}
    told = None if model is None else repr(model)
    return Risk(risk, risk / risk[0], plan, told, n, tables=tables)


def moments(
    plan: Plan, exact: bool, law: Law, batch_noise: NDArray[Any], n: int | None
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Mean squares (G,) of the errors; c (G, K), how much of each noise stands in each fit, and the
    variances (K,) of these noises: of the batches, of the fits' draws of rows, and last the bias,
    of variance 1.

    The errors obey e = slope A e + shift A 1 + noise. Given the past, the noise of a batch is a
    martingale difference whose variance, in the mean, needs the first two moments of its source's
    error alone.
    """
    from scipy.linalg.lapack import dtrtri

    G, B = plan.generations, plan.batches
    W = plan.exact_weight(exact)
    A = feedback(W, plan.source)
    drawn = A[:, :0] if plan.reads_whole_batches else W * W * draw_noise(plan, n, exact)
    draws = np.eye(G, dtype=int) + 0 * A if drawn.any() else A[:, :0]
    c = np.hstack([W, draws, law.shift * A.sum(axis=1, keepdims=True)])
    if exact:
        for g in range(G):  # fractions are multiplied one by one: those that are zero are left out
            fits = np.flatnonzero(A[g])
            c[g] += law.slope * (A[g, fits] @ c[fits])
    else:
        inverse = dtrtri((np.eye(G) - law.slope * A).T, unitdiag=1, overwrite_c=1)[0].T
        # the weights of a source's one batch are a column of A, and (I - A)^-1 A = (I - A)^-1 - I
        one = np.bincount(plan.source, minlength=G + 1) == 1
        known = np.flatnonzero(one[plan.source] & (plan.source > 0) & (law.slope == 1))
        others = np.delete(np.arange(c.shape[1]), known)
        c[:, others] = inverse @ c[:, others]
        np.fill_diagonal(inverse, 0)
        c[:, known] = inverse[:, plan.source[known] - 1]
    row = np.full(B, law.real + 0 * A[0, 0])
    level, risk = 0 * c[0], 0 * A[0]
    level[:B], level[-1] = row * batch_noise, 1
    for g, later in enumerate(plan.drawn_from):
        if draws.size:
            level[B + g] = drawn[g] @ row
        risk[g] = c[g] ** 2 @ level
        row[later] = law.expected(c[g, -1], risk[g])
        level[later] = row[later] * batch_noise[later]
    return risk, c, level


def frontier(plan: Plan, exact: bool, law: Law, batch_noise: NDArray[Any]) -> NDArray[Any]:
    """Mean squares (G,) of errors without bias, from the covariance of the batches that are still
    to be read, and of what is carried on.

    Place 0 of S holds what is carried on, the others the batches.
    """
    rows, entries, places = plan.recursion, plan.recursion.entries, plan.places
    drawing, carries = plan.subsampling_noise(exact), bool(rows.taken_up.size)
    decay, share = (part.values(exact).tolist() for part in (rows.decay, rows.share))
    at, newest = places[entries.batch].tolist(), rows.newest.tolist()
    weight = entries.weight.values(exact).tolist()
    S = np.full((plan.live + 1, plan.live + 1), 0 * law.real * batch_noise[0])
    risk, nothing, towards, variance = [], S[0].copy(), S[0].copy(), S[0, 0]
    for g, few in enumerate(entries.by_fit(plan.generations)):
        for b in plan.arrivals[g]:
            k = places[b]
            if plan.source[b]:
                S[k] = S[:, k] = towards
                S[k, k] = variance + law.expected(0, variance) * batch_noise[b]
                towards[k] = variance
            else:
                S[k] = S[:, k] = nothing
                S[k, k] = law.real * batch_noise[b]
        read, w = at[few], weight[few]
        if carries:
            d, s, k = decay[g], share[g], int(places[newest[g]]) if share[g] else 0
            carried = d * S[0] + s * S[k]
            S[0] = S[:, 0] = carried
            S[0, 0] = d * carried[0] + s * carried[k]
            read, w = [0, *read], [1, *w]
        towards = S[:, read] @ np.array(w, S.dtype)
        variance = towards[read] @ np.array(w, S.dtype) + drawing[g]
        risk.append(variance)
    return np.array(risk, dtype=S.dtype)


def limit_chain(plan: Plan, exact: bool) -> NDArray[Any]:
    """The limit in O(G), where a fit reads what the last one read and the newest batch: the mean of
    all these moves by share * (noise of the newest batch + what draws added to its source).
    """
    share, drawn = plan.recursion.share.values(exact), plan.subsampling_noise(exact)
    before = np.append(0 * drawn[:1], drawn[:-1])
    steps = share**2 * (before + 1 / plan.exact_size(exact))
    # doubles are summed in longer ones, where the machine has them, and rounded once
    sums = np.cumsum(steps, dtype=object if exact else np.longdouble)
    return np.asarray(sums.astype(steps.dtype) + drawn)


def chain(plan: Plan, exact: bool, law: Law, batch_noise: NDArray[Any]) -> NDArray[Any]:
    """The same at n, where every batch is read whole."""
    bias, spread, out = 0 * law.real, 0 * law.real, []
    share = plan.recursion.share.values(exact)
    for g, (w, noise) in enumerate(zip(share.tolist(), batch_noise.tolist(), strict=True)):
        level = law.expected(bias, bias * bias + spread) if g else law.real
        if g:
            kept = 1 + w * (law.slope - 1)
            bias, spread = kept * bias + w * law.shift, kept * kept * spread
        spread = spread + w * w * level * noise
        out.append(bias * bias + spread)
    return np.array(out, dtype=object if exact else np.float64)
