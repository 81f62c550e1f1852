"""Named workflows: functions that return a Plan."""

from __future__ import annotations

import numpy as np

from collapse.plan import Numbers, Plan, Recursion, whole


def discard(generations: int) -> Plan:
    """Train each generation on the latest batch alone.

    Parameters
    ----------
    generations : int
        Number of fits G.

    Returns
    -------
    Plan
        weight[g, g] = 1. The risk ratio is g: collapse.

    References
    ----------
    Dey and Donoho (2024), arXiv 2410.22812, the discard workflow.

    Examples
    --------
    >>> import collapse
    >>> collapse.derive(collapse.workflows.discard(4)).ratio.tolist()
    [1.0, 2.0, 3.0, 4.0]
    """
    G = whole(generations, "generations", "number of fits")
    ones = np.ones(G, np.int64)
    return Plan(np.arange(G), ones, Recursion(Numbers.ratio(0 * ones, 1), Numbers.ratio(ones, 1)), name="discard")


def augment(generations: int) -> Plan:
    """Train each generation on the real data and every synthetic batch so far.

    Parameters
    ----------
    generations : int
        Number of fits G.

    Returns
    -------
    Plan
        weight[g, b] = 1/g for b <= g. The risk ratio is 1 + 1/4 + ... + 1/g^2, below pi^2/6.

    References
    ----------
    Dey and Donoho (2024), arXiv 2410.22812, the augment workflow.

    Examples
    --------
    >>> import collapse
    >>> collapse.derive(collapse.workflows.augment(3), exact=True).ratio.tolist()
    [Fraction(1, 1), Fraction(5, 4), Fraction(49, 36)]
    """
    g = np.arange(1, whole(generations, "generations", "number of fits") + 1)
    return Plan(g - 1, np.ones_like(g), Recursion(Numbers.ratio(g - 1, g), Numbers.ratio(1, g)), name="augment")


def subsample(generations: int) -> Plan:
    """Train each generation on n rows drawn without replacement from augment's pool of g n rows.

    Parameters
    ----------
    generations : int
        Number of fits G.

    Returns
    -------
    Plan
        weight[g, b] = kept[g, b] = 1/g for b <= g: the share 1/g of every batch. The risk ratio is
        3 (1 + 1/4 + ... + 1/g^2) - 2, below pi^2/2 - 2.

    References
    ----------
    Dey and Donoho (2024), arXiv 2410.22812, the augment-subsample workflow (there n rows from the union of batches,
    so that the number from each batch is random: the same limit).

    Examples
    --------
    >>> import collapse
    >>> collapse.derive(collapse.workflows.subsample(3), exact=True).ratio.tolist()
    [Fraction(1, 1), Fraction(7, 4), Fraction(25, 12)]
    """
    g = np.arange(1, whole(generations, "generations", "number of fits") + 1)
    share = Numbers.ratio(1, g)
    return Plan(g - 1, np.ones_like(g), Recursion(Numbers.ratio(g - 1, g), share, kept=share), name="subsample")
