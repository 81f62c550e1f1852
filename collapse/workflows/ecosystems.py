"""Workflows of several models that train on each other's output."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from collapse.checks import require
from collapse.exact import Scalar
from collapse.plan import Plan
from collapse.workflows.record import MODELS, PUBLISHED, SHARE, workflow
from collapse.workflows.symbols import Form, bounded, walk
from collapse.workflows.tables import check_room, table


def _ring(sp: Any, g: Any, models: Any, share: Any) -> Form:
    a, b, M = share, 1 - share, models
    if a == 0:
        return walk(g, 1, "thm-ecosystems-nothing")
    if a == 1:
        return bounded(1, 1, "thm-ecosystems-ring", 1)
    laps = sp.floor((g - 1) / M)
    rest = g - 1 - M * laps

    def lap(times: Any) -> Any:
        return a * (1 - b ** (M * times)) / (1 - b**M)

    real = lap(laps + 1) ** 2 * (1 - b ** (2 * rest)) + lap(laps) ** 2 * (
        b ** (2 * rest + 2) - b ** (2 * M)
    )
    own = (b**rest * lap(laps) + b ** (g - 1)) ** 2
    synthetic = b**2 * (1 - b ** (2 * g - 2)) / (1 - b**2)
    limit = (a**2 * (1 + b**M) / (1 - b**M) + b**2) / (1 - b**2)
    return bounded(real / (1 - b**2) + own + synthetic, limit, "thm-ecosystems-ring")


@workflow(
    family="real",
    meaning=(
        "${models} models in a ring: each trains on the latest output of the one before it"
        "${weighing('its own real rows', share)}."
    ),
    tables="ecosystem(G, models, share, true, (i, M) => [(i + M - 1) % M])",
    controls=(MODELS, SHARE),
    closed_form=_ring,
)
def ring(generations: int, models: int, share: Scalar = 0) -> Plan:
    """Train several models in a ring: each on the latest output of the one before it.

    Parameters
    ----------
    generations : int
        Generations; each fits every model once.
    models : int
        Number M of models. In generation 1 each is fitted to n real rows of its own.
    share : float or Fraction, optional
        Weight in [0, 1] of a model's own real rows in later generations.

    Returns
    -------
    Plan
        M fits in each generation, in the order of the ring.

    Raises
    ------
    ValueError
        Where there are fewer than two models or share is outside [0, 1].

    References
    ----------
    Dey and Donoho's framework (arXiv 2410.22812) with several models.

    Examples
    --------
    >>> import collapse
    >>> collapse.derive(collapse.workflows.ring(3, models=2)).ratio.tolist()
    [1.0, 1.0, 2.0, 2.0, 3.0, 3.0]
    """
    return _ecosystem(generations, models, lambda i, M: range(M)[i - 1 :][:1], share, True)


def _star(sp: Any, g: Any, models: Any, share: Any, published: bool, role: str) -> Form:
    a, b, m, reference = share, 1 - share, models - 1, "thm-zoo-star"
    if a == 1:
        return bounded(1, 1, reference, 1)
    down, up = (1 if published else 1 / m), 1 / m

    def hub(g: Any) -> tuple[Any, Any]:
        """Variance of the hub and its share of the leaves' real data."""
        odd, heard, told = (1 - (-1) ** g) / 2, sp.floor(g / 2), sp.floor((g - 1) / 2)
        own = (1 - b ** (2 * heard)) / (1 + b) + odd * b ** (g - 1)
        noise = up * heard + down * told
        if a != 0:
            steps = up * b**2 * (1 - b ** (4 * heard)) + down * b**4 * (1 - b ** (4 * told))
            noise = steps / (1 - b**4)
        return own**2 + (1 - own) ** 2 / m + noise, 1 - own

    def leaf(variance: Any, other: Any) -> Any:
        return a**2 + b**2 * variance + 2 * a * b * other / m + b**2

    ratio, leaves = hub(g)[0], role == "leaf"
    if leaves:
        ratio = sp.Piecewise((sp.S.One, sp.Eq(g, 1)), (leaf(*hub(g - 1)), True))
    if a == 0:
        growth = g * (up + down) / 2
        return walk(g, 1, reference) | {"ratio": ratio, "growth": growth, "offset": None}
    limit = (1 + b**2 / m) / (1 + b) ** 2 + (up * b**2 + down * b**4) / (1 - b**4)
    return bounded(ratio, leaf(limit, b / (1 + b)) if leaves else limit, reference)


@workflow(
    family="real",
    meaning=(
        "A hub trains on the latest output of ${times(models - 1, 'other model')},"
        " they train on the hub's${weighing('their own real rows', share)}."
        " The hub ${published ? 'publishes one batch for all' : 'draws a batch for each'}."
        " Shown is the worse of hub and leaf."
    ),
    tables=("ecosystem(G, models, share, published, (i, M) => (i ? [0] : upTo(M).slice(1)))"),
    controls=(MODELS, SHARE, PUBLISHED),
    closed_form=_star,
    roles=("hub", "leaf"),
)
def star(generations: int, models: int, share: Scalar = 0, published: bool = True) -> Plan:
    """Train several models around a hub: the hub on the latest output of all others, each of them
    on the hub's.

    Parameters
    ----------
    generations : int
        Generations; each fits every model once.
    models : int
        Number M of models, the hub first. In generation 1 each is fitted to n real rows of its own.
    share : float or Fraction, optional
        Weight in [0, 1] of a model's own real rows in later generations.
    published : bool, optional
        True: the hub publishes one batch that all others read. False: it draws a batch for each.

    Returns
    -------
    Plan
        M fits in each generation, the hub's first.

    Raises
    ------
    ValueError
        Where there are fewer than two models or share is outside [0, 1].

    References
    ----------
    Dey and Donoho's framework (arXiv 2410.22812) with several models.

    Examples
    --------
    >>> import collapse
    >>> collapse.derive(collapse.workflows.star(2, models=3)).ratio.tolist()
    [1.0, 1.0, 1.0, 1.0, 2.0, 2.0]
    """
    return _ecosystem(
        generations, models, lambda i, M: range(1) if i else range(1, M), share, published
    )


def _all_to_all(sp: Any, g: Any, models: Any, share: Any, published: bool) -> Form:
    a, b, M = share, 1 - share, models
    noise = 1 / M if published else 1 / M**2
    start = a**2 + 2 * a * b / M + 2 * b**2 / M
    if a == 0:
        later = start + noise * (g - 2)
        form = walk(g, noise, "thm-ecosystems-nothing") | {"offset": start - 2 * noise}
    else:
        limit = start + noise * b**4 / (1 - b**2)
        later = limit if a == 1 else start + (limit - start) * (1 - b ** (2 * g - 4))
        form = bounded(None, limit, "thm-ecosystems-publish", sp.Max(1, limit))
    return form | {"ratio": sp.Piecewise((sp.S.One, sp.Eq(g, 1)), (later, True))}


@workflow(
    family="real",
    meaning=(
        "${models} models: each trains on the latest output of all of them"
        "${weighing('its own real rows', share)}."
        " A model ${published ? 'publishes one batch for all' : 'draws a batch for each reader'}."
    ),
    tables="ecosystem(G, models, share, published, (_, M) => upTo(M))",
    controls=(MODELS, SHARE, PUBLISHED),
    closed_form=_all_to_all,
)
def all_to_all(generations: int, models: int, share: Scalar = 0, published: bool = True) -> Plan:
    """Train several models on the latest output of all of them.

    Parameters
    ----------
    generations : int
        Generations; each fits every model once.
    models : int
        Number M of models. In generation 1 each is fitted to n real rows of its own.
    share : float or Fraction, optional
        Weight in [0, 1] of a model's own real rows in later generations.
    published : bool, optional
        True: each model publishes one batch of n rows that all read. False: it draws a batch for
        each reader.

    Returns
    -------
    Plan
        M fits in each generation.

    Raises
    ------
    ValueError
        Where there are fewer than two models or share is outside [0, 1].

    References
    ----------
    Dey and Donoho's framework (arXiv 2410.22812) with several models.

    Examples
    --------
    >>> import collapse
    >>> collapse.derive(collapse.workflows.all_to_all(3, models=2)).ratio[::2].tolist()
    [1.0, 1.0, 1.5]
    >>> plan = collapse.workflows.all_to_all(3, models=2, published=False)
    >>> collapse.derive(plan).ratio[::2].tolist()
    [1.0, 1.0, 1.25]
    """
    return _ecosystem(generations, models, lambda i, M: range(M), share, published)


def _ecosystem(
    generations: int,
    models: int,
    teachers: Callable[[int, int], range],
    share: Scalar,
    published: bool,
) -> Plan:
    """Train each of M models on the latest output of its teachers, weighed alike, and on its own
    real rows.
    """
    G, M = generations, models
    require(M >= 2, "models must be at least 2; one model alone is discard, or fixed_real_share.")
    check_room(G * M * (len(teachers(M - 1, M)) + 1))  # before all readings are listed
    readings = [teachers(i, M) for i in range(M)]
    check_room(G * sum(len(reading) + 1 for reading in readings))
    sources, rows = [0] * M, [dict[int, Any]({i: Fraction(1)}) for i in range(M)]
    for g in range(1, G):
        known: dict[tuple[int, int], int] = {}  # the batch of a teacher, for one reader or for all
        for i, reading in enumerate(readings):
            rows.append({i: share})
            for j in reading:
                b = known.setdefault((j, 0 if published else i), len(sources))
                if b == len(sources):
                    sources.append((g - 1) * M + j + 1)
                rows[-1][b] = (1 - share) * Fraction(1, len(reading))
    return table([1] * len(sources), sources, rows, np.repeat(np.arange(1, G + 1), M))
