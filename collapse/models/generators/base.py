"""What generators of whole rows share: how many rows a fit has read, what is lost of a law on the
cells of a line.
"""

from typing import Any, Final

import numpy as np

from collapse.models.protocols import Array, DrawsFromTruth, by_parts

TAIL: Final = 0.99
"""Level of the quantile that is called the tail."""


class Counting(DrawsFromTruth):
    """A generator whose fit may depend on how many rows it reads, beside their averages.

    A statistic (R, k + 1) ends with the sum of the rows' squared shares of the weight: one over the
    number of rows where they weigh alike, and over Kish's effective number else. Batches are pooled
    by weight. A batch pooled with itself is that batch; so are two with equal averages.

    A generator adds `averages` (rows (R, N, ...), shares (R, N) to (R, k)), `fit_statistic`, its
    sampler and its risk.
    """

    def fit(self: Any, rows: Array, weight: Array, start: Array | None) -> Array:
        return np.asarray(self.fit_statistic(self.statistic(rows, weight), start))

    def statistic(self: Any, rows: Array, weight: Array) -> Array:
        """Averages of weighted rows, and the sum of their squared shares: (R, k + 1)."""
        share = weight / weight.sum(axis=1, keepdims=True)
        apart = np.einsum("rn,rn->r", share, share)[:, None]
        return np.concatenate([self.averages(rows, share), apart], axis=1)

    def draw_statistic(self: Any, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        def each(part: slice) -> Array:
            batch = self.draw(theta[part], rows, rng)
            return np.asarray(self.statistic(batch, np.ones(batch.shape[:2])))

        return by_parts(each, len(theta), rows * self.numbers)

    numbers = 1
    """Numbers in a row."""

    def pool(self: Any, first: Array, second: Array, share: float) -> Array:
        """Statistic (R, k + 1) of two sets of rows as one; the second has `share` of the weight."""
        apart = (1 - share) ** 2 * first[:, -1] + share**2 * second[:, -1]
        one = (first == second).all(axis=1)
        joined = self.join(first[:, :-1], second[:, :-1], share)
        return np.column_stack([joined, np.where(one, first[:, -1], apart)])

    def join(self, first: Array, second: Array, share: float) -> Array:
        """Averages (R, k) of two sets of rows as one."""
        return np.asarray(first + share * (second - first))


def entropy(shares: Array) -> Array:
    """Entropy (...,), in nats, of shares (..., m)."""
    from scipy.special import xlogy

    return np.asarray(-xlogy(shares, shares).sum(axis=-1))


class Places:
    """Places drawn from many laws at once, by the inverse of each one's distribution function.

    Parameters
    ----------
    shares : ndarray, shape (A, m)
        Share of each place in each law, up to a factor.
    """

    def __init__(self, shares: Array) -> None:
        self.m = shares.shape[1]
        edges = shares.cumsum(axis=1)
        # one sorted table for all: edges of law a lie between a and a + 1
        self.table = (edges / edges[:, -1:] + np.arange(len(shares))[:, None]).ravel()
        self.last = self.m - 1 - (shares[:, ::-1] > 0).argmax(axis=1)

    def of(self, law: Any, u: Array) -> Any:
        """Places (K,) that numbers u (K,) in [0, 1) stand for in laws (K,)."""
        found = np.searchsorted(self.table, law + u, side="right") - self.m * law
        # rounding may lead past the last place that has a share
        return np.minimum(found, self.last[law])
