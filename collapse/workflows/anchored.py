"""Workflows that keep real data, or a part of everything so far, in every training set."""

from fractions import Fraction
from typing import Any

import numpy as np

from collapse.checks import require
from collapse.exact import Numbers, Scalar
from collapse.plan import Plan
from collapse.recursion import Recursion
from collapse.workflows.record import RATIOS, SHARE, WINDOW, Control, workflow
from collapse.workflows.symbols import Form, bounded, contributions, indices, walk
from collapse.workflows.tables import (
    check_room,
    entries,
    read_size,
    table,
)

LARGEST_DIGITS = 10**9
"""Bits, at most, of numerators that grow from fit to fit."""


def _fixed_real_share(sp: Any, g: Any, share: Any) -> Form:
    if share == 0:
        return walk(g, 1, "thm-zoo-share")
    rest, limit = (1 - share) ** 2, 1 / (share * (2 - share))
    ratio = (1 - rest**g) / (1 - rest) if share != 1 else 1
    return bounded(ratio, limit, "thm-zoo-share", limit)


def _fixed_real_share_thinned(sp: Any, g: Any, kept: Any, share: Any) -> Any:
    # the distance from the real data's estimate is an autoregression with coefficient 1 - share
    if share == 0:
        return g / kept
    return (1 + (1 / kept - 1) * (share**2 + (1 - share) ** 2)) / (share * (2 - share))


@workflow(
    family="fixed real share",
    meaning=(
        "Each generation gives ${percent(share)} of the weight to the real data, the rest to the"
        " latest synthetic batch."
    ),
    tables="chain(G, (g) => (g === 0 ? [[0], [1]] : [[0, g], [share, 1 - share]]))",
    controls=(SHARE,),
    closed_form=_fixed_real_share,
    thinned=_fixed_real_share_thinned,
)
def fixed_real_share(generations: int, share: Scalar) -> Plan:
    """Train each generation on the real data and the latest synthetic batch, with fixed weights.

    Parameters
    ----------
    generations : int
        Number of fits G.
    share : float or Fraction
        Weight a of the real data, in [0, 1].

    Returns
    -------
    Plan
        Weight a on batch 1 and 1 - a on the latest. For many rows the risk ratio rises to
        1 / (a (2 - a)) where a > 0; a = 0 is discard.

    Raises
    ------
    ValueError
        Where share is outside [0, 1].

    References
    ----------
    The mixed-data setting of Bertrand et al. (2024), arXiv 2310.00429, in the framework of Dey and
    Donoho (2024), arXiv 2410.22812.

    Examples
    --------
    >>> from fractions import Fraction
    >>> import collapse
    >>> plan = collapse.workflows.fixed_real_share(3, Fraction(1, 2))
    >>> collapse.derive(plan, exact=True).ratio.tolist()
    [Fraction(1, 1), Fraction(5, 4), Fraction(21, 16)]
    """
    rows: Any = [{0: 1}, *({0: share, g: 1 - share} for g in range(1, generations))]
    return table([1] * generations, range(generations), rows)


def _real_and_window(sp: Any, g: Any, k: Any) -> Form:
    limit = 2 * (k + 1) / (k + 2)
    if k == 1:
        ratio = limit - (limit - 1) * sp.Rational(1, 4) ** (g - 1)
        return bounded(ratio, limit, "thm-zoo-anchor", limit)
    return bounded(contributions(g, k, k + 1), limit, "thm-zoo-anchor")


@workflow(
    family="fixed real share",
    meaning=(
        "Each generation trains on the real data and the latest"
        " ${times(k, 'synthetic batch', 'synthetic batches')}, every row alike."
    ),
    tables="chain(G, (g) => alike([0, ...upTo(g + 1).slice(1).slice(-k)]))",
    controls=(WINDOW,),
    closed_form=_real_and_window,
)
def real_and_window(generations: int, k: int) -> Plan:
    """Train each generation on the real data and the last k synthetic batches, every row with the
    same weight.

    Parameters
    ----------
    generations : int
        Number of fits G.
    k : int
        Synthetic batches in the window.

    Returns
    -------
    Plan
        Weight 1 / (1 + min(g - 1, k)) on batch 1 and on each of the last min(g - 1, k) synthetic
        ones. For many rows the risk ratio tends to 2 (k + 1) / (k + 2).

    Raises
    ------
    ValueError
        Where k is not a positive whole number.

    References
    ----------
    Dey and Donoho (2024), arXiv 2410.22812: any workflow is judged by the sequential Gaussian
    process.

    Examples
    --------
    >>> import collapse
    >>> collapse.derive(collapse.workflows.real_and_window(4, k=2), exact=True).ratio.tolist()
    [Fraction(1, 1), Fraction(5, 4), Fraction(49, 36), Fraction(115, 81)]
    """
    G = generations
    check_room(G * (1 + min(k, G)))
    rows = [
        {b: Fraction(1, 1 + min(g, k)) for b in (0, *range(max(g - k, 0) + 1, g + 1))}
        for g in range(G)
    ]
    return table([1] * G, range(G), rows)


def _real_and_average(sp: Any, g: Any, share: Any) -> Form:
    if share == 1:
        return bounded(1, 1, "thm-zoo-average", 1)
    most, k = sp.pi**2 / 6, indices("k")
    if share == 0:
        return bounded(1 + sp.harmonic(g - 1, 2), 1 + most, "thm-zoo-average", 1 + most)
    walked = sp.Sum(1 / (k * sp.binomial(k - share, k)) ** 2, (k, 1, g - 1))
    ratio = 1 + (1 - share) ** 2 * sp.binomial(g - 1 - share, g - 1) ** 2 * walked
    return bounded(ratio, 1, "thm-zoo-average", 1 + (1 - share) ** 2 * most)


@workflow(
    family="fixed real share",
    meaning=(
        "Each generation gives ${percent(share)} of the weight to the real data, the rest to all"
        " synthetic batches so far."
    ),
    tables=(
        "chain(G, (g) => (g === 0 ? [[0], [1]] : [upTo(g + 1),"
        " upTo(g + 1).map((b) => (b === 0 ? share : (1 - share) / g))]))"
    ),
    controls=(SHARE,),
    closed_form=_real_and_average,
)
def real_and_average(generations: int, share: Scalar) -> Plan:
    """Train each generation on the real data, with fixed weight, and on all synthetic batches so
    far.

    Parameters
    ----------
    generations : int
        Number of fits G.
    share : float or Fraction
        Weight a of the real data, in [0, 1].

    Returns
    -------
    Plan
        Weight a on batch 1 and (1 - a) / (g - 1) on each synthetic batch. For many rows the risk
        ratio returns to 1 where a > 0.

    Raises
    ------
    ValueError
        Where share is outside [0, 1].

    References
    ----------
    Gerstgrasser et al. (2024), arXiv 2404.01413, accumulate data, with a fixed share, in the
    framework of Dey and Donoho (2024).

    Examples
    --------
    >>> from fractions import Fraction
    >>> import collapse
    >>> plan = collapse.workflows.real_and_average(3, Fraction(1, 2))
    >>> collapse.derive(plan, exact=True).ratio.tolist()
    [Fraction(1, 1), Fraction(5, 4), Fraction(77, 64)]
    """
    G = generations
    rest = Numbers.read([0] + [Fraction(1, g) * (1 - share) for g in range(1, G)], "turnover", 1)
    decay = Numbers.ratio([0, *range(G - 1)], [1, *range(1, G)])
    real = entries([{0: 1}, *[{0: share}] * (G - 1)])
    return Plan(
        np.arange(G), np.ones(G, int), Recursion(decay, rest, batch=np.arange(G), entries=real)
    )


def _fresh_real(sp: Any, g: Any, share: Any, kappa: Any) -> Form:
    if share is None:
        half = 1 + 1 / (2 * kappa)
        share = sp.sqrtdenest(sp.simplify(1 - half + sp.sqrt(half**2 - 1)))
    if share == 0:
        return walk(g, 1 / kappa, "thm-golden-law")
    rest = (1 - share) ** 2
    limit = sp.radsimp(sp.simplify((share**2 + rest / kappa) / (share * (2 - share))))
    ratio = limit + (1 - limit) * rest ** (g - 1) if share != 1 else 1
    return bounded(ratio, limit, "thm-golden-law", sp.Max(1, limit))


@workflow(
    family="fixed real share",
    meaning=(
        "Each generation gives ${percent(share)} of the weight to fresh real rows, the rest to a"
        " synthetic batch of ${kappa === 1 ? '' : `${plain(kappa, 3)} times `}as many."
    ),
    tables=(
        "rounds(G, (g) => [[0, 1], [g, kappa]], (g) => [[2 * g - 1, 2 * g], [share, 1 - share]])"
    ),
    controls=(SHARE, Control("kappa", "Synthetic rows per fresh one", 1.0, 0.1, 10, values=RATIOS)),
    closed_form=_fresh_real,
)
def fresh_real(generations: int, share: Scalar | None = None, kappa: Scalar = 1) -> Plan:
    """Train each generation on n fresh real rows and the latest synthetic batch, with fixed
    weights.

    Parameters
    ----------
    generations : int
        Number of fits G.
    share : float or Fraction, optional
        Weight w of the fresh real rows, in [0, 1]. Default: the weight with the smallest limit,
        0.618 (the golden ratio's inverse) where kappa is 1.
    kappa : float or Fraction, optional
        Rows of each synthetic batch as a multiple of n.

    Returns
    -------
    Plan
        Two batches in each generation after the first. For many rows the risk ratio tends to
        (w^2 + (1 - w)^2 / kappa) / (w (2 - w)) where w > 0.

    Raises
    ------
    ValueError
        Where share is outside [0, 1] or kappa is not positive.

    References
    ----------
    He et al. (2025), arXiv 2502.18049, golden-ratio weighting.

    Examples
    --------
    >>> import collapse
    >>> collapse.derive(collapse.workflows.fresh_real(100)).ratio[-1].round(6)
    np.float64(0.618034)
    """
    G, share = generations, golden_share(kappa) if share is None else share
    rows: Any = [{0: 1}, *({2 * g - 1: share, 2 * g: 1 - share} for g in range(1, G))]
    sources = [0, *(s for g in range(1, G) for s in (0, g))]
    return table([1, *([1, kappa] * (G - 1))], sources, rows)


def golden_share(kappa: Scalar = 1) -> float:
    """Weight of fresh real rows that makes the limit of `fresh_real` smallest.

    Parameters
    ----------
    kappa : float or Fraction, optional
        Rows of each synthetic batch as a multiple of the fresh real rows.

    Returns
    -------
    float
        1 - v, where v < 1 solves v^2 - (2 + 1/kappa) v + 1 = 0; 0.618... for kappa = 1.

    References
    ----------
    He et al. (2025), arXiv 2502.18049.

    Examples
    --------
    >>> round(golden_share(), 6)
    0.618034
    """
    half = 1 + 0.5 / float(read_size(kappa, "kappa"))
    return float(1 - 1 / (half + np.sqrt(half * half - 1)))


def _mixture(sp: Any, g: Any) -> Form:
    limit = 1 + sp.pi**2 / 6
    return bounded(1 + sp.harmonic(g - 1, 2), limit, "thm-zoo-mixture", limit)


@workflow(
    family="augment",
    meaning=(
        "Each generation trains on as many rows as were real, made afresh by all earlier models in"
        " equal parts."
    ),
    tables=(
        "rounds(G, (g) => upTo(g).map((teacher) => [teacher + 1, 1 / g]),"
        " (g) => alike(upTo(g).map((i) => 1 + (g * (g - 1)) / 2 + i)))"
    ),
    closed_form=_mixture,
)
def mixture(generations: int) -> Plan:
    """Train each generation on n rows drawn afresh from all earlier models, as many from each.

    Parameters
    ----------
    generations : int
        Number of fits G.

    Returns
    -------
    Plan
        Fit g has g - 1 batches of size 1/(g - 1) of its own. For many rows the risk ratio is 1 + (1
        + 1/4 + ... + 1/(g - 1)^2), below 1 + pi^2/6.

    Raises
    ------
    ValueError
        Where generations is not a positive whole number.

    References
    ----------
    Dey and Donoho (2024), arXiv 2410.22812: any workflow is judged by the sequential Gaussian
    process.

    Examples
    --------
    >>> import collapse
    >>> collapse.derive(collapse.workflows.mixture(4), exact=True).ratio.tolist()
    [Fraction(1, 1), Fraction(2, 1), Fraction(9, 4), Fraction(85, 36)]
    """
    G = generations
    check_room(G * (G - 1) // 2)
    sources, sizes, rows = [0], [Fraction(1)], [{0: Fraction(1)}]
    for g in range(1, G):
        rows.append({len(sources) + i: Fraction(1, g) for i in range(g)})
        sources += range(1, g + 1)
        sizes += [Fraction(1, g)] * g
    return table(sizes, sources, rows)


def _forgetting(sp: Any, g: Any, memory: Any) -> Form:
    form, k = walk(g, (1 - memory) ** 2, "thm-zoo-forgetting"), indices("k")
    if memory == 0:
        return form
    ratio = sp.Sum(((1 - memory) / (1 - memory**k)) ** 2, (k, 1, g))
    return form | {"ratio": ratio, "offset": None}


@workflow(
    family="window",
    meaning=(
        "Each generation trains on all batches so far; a batch has ${plain(memory, 3)} times the"
        " weight of the next younger one."
    ),
    tables="chain(G, (g) => inProportion(upTo(g + 1).map((b) => memory ** (g - b))))",
    controls=(Control("memory", "Weight of a batch, by age", 0.8, 0, 0.99),),
    closed_form=_forgetting,
)
def forgetting(generations: int, memory: Scalar) -> Plan:
    """Train each generation on all batches so far, with weights that fall off exponentially with
    age.

    Parameters
    ----------
    generations : int
        Number of fits G.
    memory : float or Fraction
        Factor r in [0, 1) by which a batch's weight falls from fit to fit.

    Returns
    -------
    Plan
        weight[g, b] proportional to r^(g - b). For many rows the risk ratio grows like (1 - r)^2 g;
        r = 0 is discard, r to 1 augment.

    Raises
    ------
    ValueError
        Where memory is outside [0, 1).

    References
    ----------
    Dey and Donoho (2024), arXiv 2410.22812: any workflow is judged by the sequential Gaussian
    process.

    Examples
    --------
    >>> from fractions import Fraction
    >>> import collapse
    >>> collapse.derive(collapse.workflows.forgetting(3, Fraction(1, 2)), exact=True).ratio.tolist()
    [Fraction(1, 1), Fraction(13, 9), Fraction(781, 441)]
    """
    G = generations
    # denominators of Fractions grow from fit to fit
    bits = 0 if isinstance(memory, float) else (memory.denominator.bit_length() - 1) * G**2 // 2
    require(
        bits <= LARGEST_DIGITS,
        f"memory as a Fraction would need about {bits / 8e9:,.1f} GB of digits over {G:,}"
        " generations; give it as a float, or take fewer generations.",
    )
    # the newest batch's share of 1 + r + ... + r^(g-1), without powers, which under- or overflow
    share: list[Scalar] = [Fraction(1)]
    for _ in range(1, G):
        share.append(1 / (1 + memory / share[-1]))
    rest = Numbers.read([0, *(1 - s for s in share[1:])], "turnover", 1)
    return Plan(np.arange(G), np.ones(G, int), Recursion(rest, Numbers.read(share, "turnover", 1)))
