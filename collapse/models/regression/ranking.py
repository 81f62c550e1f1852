"""Ranking from paired comparisons, a logistic regression on differences of items."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from collapse import checks
from collapse.checks import require
from collapse.models.protocols import Array
from collapse.models.registry import register
from collapse.models.regression.base import Regression
from collapse.models.regression.design import check_vector, numbers
from collapse.models.regression.family import Logit

MOST_COMPARISONS = 10**7
"""Largest number of comparisons of a ranking."""


class BradleyTerry(Regression):
    """Ranking from paired comparisons: item i beats item j with log odds strength_i - strength_j.

    Each batch plays the schedule of comparisons again; the fit is the logistic regression of their
    results on the differences of items, by maximum likelihood [1]_. Item 0 is the reference with
    strength 0. The design has a row for each single comparison, so that n is their number.

    Parameters
    ----------
    strength : array_like, shape (m,), optional
        True strengths of the items, on the scale of log odds; only differences matter.
    pairs : array_like of int, shape (k, 2)
        Pairs of items that meet.
    times : int or array_like of int, shape (k,), optional
        How often each pair meets. Default: once.
    wins : array_like of int, shape (k,), optional
        In place of `strength`: how often the first of each pair won in the observed, real data.

    Attributes
    ----------
    truth : ndarray, shape (m - 1,)
        Strengths of the items 1, ..., m - 1 less that of item 0.

    Raises
    ------
    ValueError
        Where not exactly one of `strength` and `wins` is given, items are compared with themselves,
        or the comparisons leave groups of items that never meet.

    Notes
    -----
    An estimate exists exactly where no group of items has won all its comparisons with the others
    (Ford's condition [2]_).

    References
    ----------
    .. [1] R. A. Bradley and M. E. Terry, "Rank analysis of incomplete block designs", Biometrika 39
       (1952).
    .. [2] L. R. Ford, "Solution of a ranking problem from binary comparisons", American
       Mathematical Monthly 64 (1957).

    Examples
    --------
    >>> model = BradleyTerry([0.0, 0.5, 1.0], pairs=[(0, 1), (0, 2), (1, 2)], times=40)
    >>> model.design_rows
    120
    >>> model.strength(model.truth[None])
    array([[-0.5,  0. ,  0.5]])
    """

    def __init__(
        self,
        strength: ArrayLike | None = None,
        *,
        pairs: ArrayLike,
        times: ArrayLike = 1,
        wins: ArrayLike | None = None,
    ) -> None:
        require(
            (strength is None) != (wins is None),
            "give either strength (of the true items) or wins (observed results), and not both.",
        )
        given = numbers([] if strength is None else strength, "strength", "a number for each item")
        meet, often = _check_schedule(pairs, times, given.size)
        items, beta, y = np.eye(int(meet.max()) + 1), None, None
        if wins is not None:
            won = check_vector(wins, len(meet), "wins")
            require(
                not np.any((won < 0) | (won > often) | (won != np.floor(won))),
                "wins must be whole numbers between 0 and times: how often the first item of"
                " each pair won.",
            )
            y = np.concatenate([np.arange(k) < w for k, w in zip(often, won, strict=True)])
        else:
            given = check_vector(given, len(items), "strength")
            beta = given[1:] - given[0]
        self.pairs, self.times = meet, often
        sign = items[meet[:, 0], 1:] - items[meet[:, 1], 1:]
        super().__init__(Logit(), np.repeat(sign, often, axis=0), beta, y, None)

    def strength(self, theta: Array) -> Array:
        """Return the strengths of all items, with sum zero.

        Parameters
        ----------
        theta : ndarray, shape (R, m - 1)
            Strengths relative to item 0.

        Returns
        -------
        ndarray, shape (R, m)
            Strengths on the scale of log odds.
        """
        every = np.concatenate([np.zeros((len(theta), 1)), theta], axis=1)
        return np.asarray(every - every.mean(axis=1, keepdims=True))


def _check_schedule(
    pairs: ArrayLike, times: ArrayLike, items: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    meet = checks.numbers(pairs, "pairs", "a table of shape (k, 2)")
    often = checks.numbers(times, "times", "a whole number, or a vector of shape (k,)")
    require(
        not (
            meet.ndim != 2
            or meet.shape[1:] != (2,)
            or not len(meet)
            or meet.dtype.kind not in "iu"
            or meet.min() < 0
        ),
        "pairs must be a table of shape (k, 2) of items' numbers 0, 1, 2, ...; k is at least 1.",
    )
    if np.any(meet[:, 0] == meet[:, 1]):
        raise ValueError(
            f"item {meet[meet[:, 0] == meet[:, 1]][0, 0]} is compared with itself; leave such pairs"
            " out."
        )
    require(
        not (
            often.dtype.kind not in "iu"
            or often.shape not in ((), (len(meet),))
            or np.any(often < 1)
        ),
        f"times must be a whole number, at least 1, or one for each of the {len(meet)} pairs.",
    )
    require(
        not (np.broadcast_to(often, len(meet)).sum(dtype=float) > MOST_COMPARISONS),
        f"times must add up to {MOST_COMPARISONS:,} comparisons at the most.",
    )
    count = int(meet.max()) + 1
    require(
        not (0 < items < count),
        f"strength must have {count} entries, as pairs name items 0 to {count - 1}; it has"
        f" {items}.",
    )
    group = np.arange(max(items, count))
    for i, j in meet:
        group[group == group[i]] = group[j]
    apart = [str(np.flatnonzero(group == g).tolist()) for g in np.unique(group)]
    require(
        len(apart) <= 1,
        f"the comparisons leave groups of items that never meet, {' and '.join(apart)}: their"
        " strengths cannot be compared. Add pairs that link them.",
    )
    return meet.astype(np.intp), np.broadcast_to(often, len(meet)).astype(np.intp)


@register(
    "Bradley-Terry",
    n=600,
    group="ranking",
    why="logistic regression on differences of items, groups that never lose aside",
    page="ranking",
    allowance=0.15,
    conditional=True,
)
def example_bradley_terry(rows: int = 600) -> BradleyTerry:
    return BradleyTerry(
        [-0.4, -0.2, 0.2, 0.4], pairs=[(i, j) for i in range(4) for j in range(i)], times=rows // 6
    )
