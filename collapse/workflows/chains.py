"""Workflows that read the latest batch, the last few, or all of them."""

from typing import Any

import numpy as np

from collapse.exact import Numbers, Scalar
from collapse.plan import Plan
from collapse.recursion import Entries, Recursion
from collapse.workflows.record import SIZE, WINDOW, Control, workflow
from collapse.workflows.symbols import Form, bounded, contributions, indices, trigamma, walk
from collapse.workflows.tables import Sizes, batches, check_room, divide, read_share


def _discard(sp: Any, g: Any, size: Any) -> Form:
    if isinstance(size, sp.IndexedBase):
        b = indices("b")
        return bounded(1 + sp.Sum(1 / size[b], (b, 2, g)), None, "thm-sizes-discard")
    return walk(g, 1 / size, "thm-origin-discard" if size == 1 else "thm-sizes-discard")


@workflow(
    family="discard",
    meaning="Each generation trains on the latest synthetic batch alone.${bySize(size)}",
    tables="chain(G, (g) => [[g], [1]], { size })",
    controls=(SIZE,),
    closed_form=_discard,
    thinned=lambda sp, g, kept, size: g / (size * kept),
)
def discard(generations: int, size: Sizes = 1) -> Plan:
    """Train each generation on the latest batch alone.

    Parameters
    ----------
    generations : int
        Number of fits G.
    size : float, Fraction or sequence of them, optional
        Rows of each synthetic batch as a multiple of n, or a schedule of G - 1 sizes.

    Returns
    -------
    Plan
        weight[g, g] = 1. For many rows the risk ratio is 1 + 1/size_2 + ... + 1/size_g: g,
        collapse, where all sizes are one; bounded where batches grow so fast that the sum
        converges.

    Raises
    ------
    ValueError
        Where generations or a size is not positive, or too large, or a schedule has not G - 1
        entries.

    References
    ----------
    Dey and Donoho (2024), arXiv 2410.22812, the discard workflow.

    Examples
    --------
    >>> import collapse
    >>> collapse.derive(collapse.workflows.discard(4)).ratio.tolist()
    [1.0, 2.0, 3.0, 4.0]
    >>> collapse.derive(collapse.workflows.discard(4, size=[2, 4, 8])).ratio.tolist()
    [1.0, 1.5, 1.75, 1.875]
    """
    g = np.arange(generations)
    rows = Recursion(Numbers.ratio(0 * g, 1), Numbers.ratio(g**0, 1))
    return Plan(g, batches(size, generations), rows)


def _augment(sp: Any, g: Any, size: Any) -> Form:
    if isinstance(size, sp.IndexedBase):
        b, i = indices("b i")
        pool = 1 + sp.Sum(size[i], (i, 2, b))
        return bounded(1 + sp.Sum(size[b] / pool**2, (b, 2, g)), None, "thm-sizes-augment", 2)
    if size == 1:
        return bounded(sp.harmonic(g, 2), sp.pi**2 / 6, "thm-origin-augment", sp.pi**2 / 6)
    limit = 1 + trigamma(1 + 1 / size) / size
    ratio = 1 + (trigamma(1 + 1 / size) - sp.polygamma(1, g + 1 / size)) / size
    return bounded(ratio, limit, "thm-sizes-constant", limit)


def _augment_thinned(sp: Any, g: Any, kept: Any, size: Any) -> Any:
    # a draw of variance extra / (1 + (h - 1) size) in fit h reaches all later fits through batch
    # h + 1, whose weight there was size / (1 + h size); over h > 1 that adds up in partial
    # fractions, 1 / (y (y + 1)^2) = 1 / y - 1 / (y + 1) - 1 / (y + 1)^2
    draws = size / (1 + size) - trigamma(2 + 1 / size)
    return 1 + (trigamma(1 + 1 / size) + (1 / kept - 1) * draws) / size


@workflow(
    family="augment",
    meaning=(
        "Each generation trains on the real data and all synthetic batches so far.${bySize(size)}"
    ),
    tables=(
        "chain(G, (g) => [upTo(g + 1),"
        " upTo(g + 1).map((b) => (b === 0 ? 1 : size) / (1 + g * size))], { size })"
    ),
    controls=(SIZE,),
    closed_form=_augment,
    thinned=_augment_thinned,
)
def augment(generations: int, size: Sizes = 1) -> Plan:
    """Train each generation on the real data and every synthetic batch so far.

    Parameters
    ----------
    generations : int
        Number of fits G.
    size : float, Fraction or sequence of them, optional
        Rows of each synthetic batch as a multiple of n, or a schedule of G - 1 sizes. Every row has
        the same weight.

    Returns
    -------
    Plan
        weight[g, b] = size_b / (size_1 + ... + size_g) for b <= g. With sizes of one the risk ratio
        is, for many rows, 1 + 1/4 + ... + 1/g^2, below pi^2/6.

    Raises
    ------
    ValueError
        Where generations or a size is not positive, or too large, or a schedule has not G - 1
        entries.

    References
    ----------
    Dey and Donoho (2024), arXiv 2410.22812, the augment workflow.

    Examples
    --------
    >>> import collapse
    >>> collapse.derive(collapse.workflows.augment(3), exact=True).ratio.tolist()
    [Fraction(1, 1), Fraction(5, 4), Fraction(49, 36)]
    """
    sizes = batches(size, generations)
    total = np.cumsum(sizes)
    rows = Recursion(divide(total - sizes, total), divide(sizes, total))
    return Plan(np.arange(generations), sizes, rows)


def _subsample(sp: Any, g: Any, replace: bool) -> Form:
    ratio, limit = sp.harmonic(g, 2), sp.pi**2 / 6
    if replace:
        return bounded(ratio, limit, "thm-zoo-bootstrap", limit)
    return bounded(3 * ratio - 2, 3 * limit - 2, "thm-origin-subsample", 3 * limit - 2)


def _subsample_thinned(sp: Any, g: Any, kept: Any, replace: bool) -> Any:
    # fit h > 1 draws with variance 1 / kept - 1 / h, of which 1 / (h + 1)^2 stays; with
    # replacement 1 / kept, and fit 1 draws too
    limit, quarter = sp.pi**2 / 6, sp.Rational(1, 4)
    drawn = (limit - quarter) / kept
    return (limit + quarter + drawn) / 2 if replace else 2 * limit - 7 * quarter + drawn


@workflow(
    family="subsample",
    meaning=(
        "Each generation trains on as many rows as were real, drawn"
        "${replace ? ' with replacement' : ''} from everything so far."
        "${replace ? ' The first one too: its risk, the ratio\\'s unit, is twice that of a fit'"
        " + ' to all real rows.' : ''}"
    ),
    tables=(
        "chain(G, (g) => [...alike(upTo(g + 1)), upTo(g + 1).map(() => 1 / (g + 1))], { replace })"
    ),
    controls=(Control("replace", "Draw with replacement", False),),
    closed_form=_subsample,
    thinned=_subsample_thinned,
)
def subsample(generations: int, replace: bool = False) -> Plan:
    """Train each generation on n rows drawn from augment's pool of g n rows.

    Parameters
    ----------
    generations : int
        Number of fits G.
    replace : bool, optional
        Draw with replacement. Then fit 1 is a bootstrap of the real data, with twice the risk of a
        fit to all of them, and ratios are to that.

    Returns
    -------
    Plan
        weight[g, b] = kept[g, b] = 1/g for b <= g: the share 1/g of every batch. For many rows the
        risk ratio is 3 (1 + 1/4 + ... + 1/g^2) - 2, below pi^2/2 - 2; with replacement that of
        augment.

    Raises
    ------
    ValueError
        Where generations is not a positive whole number.

    References
    ----------
    Dey and Donoho (2024), arXiv 2410.22812, the augment-subsample workflow (there n rows from the
    union of batches, so that the number from each batch is random: the same limit).

    Examples
    --------
    >>> import collapse
    >>> collapse.derive(collapse.workflows.subsample(3), exact=True).ratio.tolist()
    [Fraction(1, 1), Fraction(7, 4), Fraction(25, 12)]
    """
    g = np.arange(1, generations + 1)
    share = Numbers.ratio(1, g)
    rows = Recursion(Numbers.ratio(g - 1, g), share, kept=share)
    return Plan(g - 1, np.ones_like(g), rows, replace=replace)


@workflow(
    family="discard",
    meaning=(
        "Each generation trains on rows drawn with replacement from the latest batch."
        " The first one too: its risk is the ratio's unit."
    ),
    tables="chain(G, (g) => [[g], [1], [share]], { replace: true })",
    closed_form=lambda sp, g, share: walk(g, 1, "thm-zoo-bootstrap"),
)
def bootstrap(generations: int, share: Scalar = 1) -> Plan:
    """Train each generation on a bootstrap of the latest batch.

    Parameters
    ----------
    generations : int
        Number of fits G.
    share : float or Fraction, optional
        Rows drawn with replacement as a share of n, in (0, 1].

    Returns
    -------
    Plan
        weight[g, g] = 1, read with replacement. Fit 1 bootstraps the real data: its risk is (1 +
        1/share) times that of a fit to all of them, and for many rows the risk ratio, to that, is
        g.

    Raises
    ------
    ValueError
        Where share is outside (0, 1].

    References
    ----------
    The table of Dey and Donoho's framework (arXiv 2410.22812) with draws as in Efron's bootstrap.

    Examples
    --------
    >>> import collapse
    >>> collapse.derive(collapse.workflows.bootstrap(3)).risk.tolist()
    [2.0, 4.0, 6.0]
    """
    g = np.arange(generations)
    kept = Numbers.read([read_share(share, "share", low=False)] * generations, "turnover", 1)
    rows = Recursion(Numbers.ratio(0 * g, 1), Numbers.ratio(g**0, 1), kept=kept)
    return Plan(g, g**0, rows, replace=True)


def _window(sp: Any, g: Any, k: Any) -> Form:
    if k == 1:
        return walk(g, 1, "thm-zoo-window")
    b = indices("b")
    ratio, slope = contributions(g, k, k), 4 / (k + 1) ** 2
    if k == 2:
        # the roots of the recursion are 1 and -1/2, and the sum over j is geometric
        half = sp.Rational(-1, 2)
        once, twice = 1 - half ** (g - 1), 1 - half ** (2 * g - 2)
        ratio = 1 + slope * (g - 1) - sp.Rational(4, 27) * once + twice / 27
    first = sp.Sum((1 / b + (b - 1) / (k * (k + 1))) ** 2, (b, 1, k - 1))
    offset = (first.doit() if k.is_number and k <= 1000 else first) - 5 * (k - 1) / (k + 1) ** 2
    return walk(g, slope, "thm-zoo-window") | {"ratio": ratio, "offset": offset}


@workflow(
    family="window",
    meaning=(
        "Each generation trains on the latest ${times(k, 'batch', 'batches')};"
        " the real data are one of them at first."
    ),
    tables="chain(G, (g) => alike(upTo(g + 1).slice(-k)))",
    controls=(WINDOW,),
    closed_form=_window,
    thinned=lambda sp, g, kept, k: 4 * g * (1 + (1 / kept - 1) / k) / (k + 1) ** 2,
)
def window(generations: int, k: int) -> Plan:
    """Train each generation on the last k batches, the real one among them while it is that young.

    Parameters
    ----------
    generations : int
        Number of fits G.
    k : int
        Batches in the window.

    Returns
    -------
    Plan
        weight[g, b] = 1/min(g, k) for the last min(g, k) batches. One batch is discard, G batches
        are augment; for many rows the risk ratio grows like 4 g / (k + 1)^2.

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
    >>> collapse.derive(collapse.workflows.window(4, k=2), exact=True).ratio.tolist()
    [Fraction(1, 1), Fraction(5, 4), Fraction(29, 16), Fraction(141, 64)]
    """
    G = generations
    check_room(G * min(k, G))
    many = np.minimum(np.arange(1, G + 1), k)
    fit = np.repeat(np.arange(G), many)
    start = np.repeat(np.cumsum(many) - many, many)  # of a fit's entries
    batch = fit - many[fit] + 1 + np.arange(len(fit)) - start
    rows = Recursion.of(Entries(fit, batch, Numbers.ratio(1, many[fit])), G)
    return Plan(np.arange(G), np.ones(G, int), rows)
