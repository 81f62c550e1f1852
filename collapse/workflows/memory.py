"""The workflow whose rows persist: a memory of fixed size."""

from typing import Any

import numpy as np

from collapse.exact import Numbers, Scalar
from collapse.reservoir import Reservoir
from collapse.workflows.record import Control, workflow
from collapse.workflows.symbols import Form, walk


def _reservoir(sp: Any, g: Any, turnover: Any) -> Form:
    if turnover is not None:
        return walk(g, turnover * (2 - turnover), "thm-zoo-reservoir")
    return {
        "ratio": 2 * sp.harmonic(g) - sp.harmonic(g, 2),
        "limit": sp.oo,
        "growth": 2 * sp.log(g),
        "offset": 2 * sp.EulerGamma - sp.pi**2 / 6,
        "reference": "thm-zoo-reservoir",
    }


@workflow(
    family="subsample",
    meaning=(
        "Each generation trains on a memory of as many rows as were real"
        "${turnover === 0 ? ': a fair sample of all rows so far, kept from fit to fit'"
        " : `; each new batch replaces ${percent(turnover)} of it`}."
    ),
    tables=(
        "({ turnover: upTo(G).map((g) =>"
        " (g === 0 ? 1 : turnover === 0 ? 1 / (g + 1) : turnover)) })"
    ),
    controls=(
        Control(
            "turnover",
            "Share of the memory replaced",
            0.0,
            unit="percent",
            zero="1/g, a fair sample",
        ),
    ),
    closed_form=_reservoir,
)
def reservoir(generations: int, turnover: Scalar | None = None) -> Reservoir:
    """Train each generation on a memory of n rows kept at random from the stream of all rows so
    far.

    Parameters
    ----------
    generations : int
        Number of fits G.
    turnover : float or Fraction, optional
        Share of the memory that each batch replaces, in (0, 1]. Default: 1/g before fit g, so that
        the memory is a uniform sample of the stream.

    Returns
    -------
    Reservoir
        No plan: its rows persist from fit to fit. For many rows the risk ratio is the sum of (2 k -
        1) / k^2, which grows like 2 log g; with a fixed turnover t it is 1 + (g - 1) t (2 - t).

    Raises
    ------
    ValueError
        Where turnover is outside (0, 1].

    References
    ----------
    Vitter (1985), "Random sampling with a reservoir", for the memory.

    Examples
    --------
    >>> import collapse
    >>> collapse.derive(collapse.workflows.reservoir(3), exact=True).ratio.tolist()
    [Fraction(1, 1), Fraction(7, 4), Fraction(83, 36)]
    """
    if turnover is None:
        return Reservoir(Numbers.ratio(1, np.arange(1, generations + 1)))
    return Reservoir(Numbers.read([1, *[turnover] * (generations - 1)], "turnover", 1))
