"""A chain of fits beside the Gaussian chain of the same rows."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from collapse.models.protocols import Array, replicate


@dataclass(frozen=True)
class Coupled:
    """An estimator of location, and beside its chain the chain of the means of influences.

    Each row carries the influence that it has at its source, plus the second fit of the source;
    the second fit is the weighted mean of that. An influence has mean 0 and one variance V wherever
    the source is, so that the risk of the second chain is that of means of constant variance: exact
    at every n. It is what is left of the first chain in the limit, and hence its control variate.

    Parameters
    ----------
    model : Median, TrimmedMean, Huber or HodgesLehmann
        Draws the rows and fits them; the same random numbers give the same fits as without.
    """

    model: Any

    @property
    def truth(self) -> Array:
        return np.append(self.model.truth, 0.0)

    def draw(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        """Draw rows with what they add to the second fit: (R, rows, 2)."""
        drawn = self.model.draw(theta[:, :1], rows, rng)
        influence = self.model.influence_function(drawn, theta[:, :1])[..., 0]
        return np.stack([drawn, influence + theta[:, 1:]], axis=2)

    def draw_real(self, replications: int, rows: int, rng: np.random.Generator) -> Array:
        return self.draw(replicate(self.truth, replications), rows, rng)

    def fit(self, rows: Array, weight: Array, start: Array | None) -> Array:
        start = None if start is None else start[:, :1]
        fitted = self.model.fit(np.ascontiguousarray(rows[:, :, 0]), weight, start)
        second = np.vecdot(weight, rows[:, :, 1]) / weight.sum(axis=1)
        return np.concatenate([fitted, second[:, None]], axis=1)

    def risk(self, theta: Array) -> Array:
        return np.asarray(self.model.risk(theta[:, :1]))
