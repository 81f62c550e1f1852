"""A chain of fits beside the Gaussian chain of the same rows."""

from typing import Any

import numpy as np

from collapse.models.protocols import (
    Array,
    WithPooling,
    WithStandardScore,
    WithStandardStatistic,
    design_of,
    replicate,
)


class Coupled:
    """A model, and beside its chain the chain of the mean standard scores of the same rows.

    Each row carries its standard score at its source, plus the second fit of the source; the second
    fit is the weighted mean of that. A standard score has mean 0 and on average the identity as
    covariance wherever the source is, so that the mean square of the second chain is that of means
    of constant variance: exact at every n. It is what is left of the first chain in the limit, and
    hence its control variate.

    Parameters
    ----------
    model : WithStandardScore
        Draws the rows and fits them; the same random numbers give the same fits as without.
    """

    def __init__(self, model: Any) -> None:
        self.model, self.d = model, len(model.truth)
        self.truth = np.append(model.truth, np.zeros(self.d))
        self.design_rows = design_of(model)

    def _beside(self, drawn: Array, score: Array, theta: Array) -> Array:
        """What was drawn, flat, and beside it the scores on the second fit of the source."""
        second = score + np.expand_dims(theta[:, self.d :], tuple(range(1, score.ndim - 1)))
        return np.concatenate([drawn.reshape(*second.shape[:-1], -1), second], axis=-1)

    def draw(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        """Draw rows with what they add to the second fit: (R, rows, numbers of a row + d)."""
        first = theta[:, : self.d]
        drawn = self.model.draw(first, rows, rng)
        return self._beside(drawn, self.model.standard_score(drawn, first), theta)

    def draw_real(self, replications: int, rows: int, rng: np.random.Generator) -> Array:
        theta = replicate(self.truth, replications)
        drawn = self.model.draw_real(replications, rows, rng)
        return self._beside(drawn, self.model.standard_score(drawn, theta[:, : self.d]), theta)

    def fit(self, rows: Array, weight: Array, start: Array | None) -> Array:
        drawn = rows[:, :, : -self.d]
        one = np.ascontiguousarray(drawn[:, :, 0] if drawn.shape[2] == 1 else drawn)
        fitted = self.model.fit(one, weight, start if start is None else start[:, : self.d])
        second = (weight[:, None] @ rows[:, :, -self.d :])[:, 0] / weight.sum(axis=1, keepdims=True)
        return np.concatenate([fitted, second], axis=1)

    def risk(self, theta: Array) -> Array:
        return np.asarray(self.model.risk(theta[:, : self.d]))

    def square(self, theta: Array) -> Array:
        """Square of the second fit, (R,): in the mean d times the risk of a normal mean whose rows
        have variance 1.
        """
        return np.asarray(np.vecdot(theta[:, self.d :], theta[:, self.d :]))


class CoupledStatistic(Coupled):
    """The same of a model whose statistic of a whole batch gives its mean standard score."""

    def draw_statistic(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        first = theta[:, : self.d]
        drawn = self.model.draw_statistic(first, rows, rng)
        return self._beside(drawn, self.model.standard_statistic(drawn, first), theta)

    def draw_real_statistic(self, replications: int, rows: int, rng: np.random.Generator) -> Array:
        theta = replicate(self.truth, replications)
        drawn = self.model.draw_real_statistic(replications, rows, rng)
        return self._beside(drawn, self.model.standard_statistic(drawn, theta[:, : self.d]), theta)

    def pool(self, first: Array, second: Array, share: float) -> Array:
        mean = first + share * (second - first)
        if isinstance(self.model, WithPooling):
            mean[:, : -self.d] = self.model.pool(first[:, : -self.d], second[:, : -self.d], share)
        return mean

    def fit_statistic(self, statistic: Array, start: Array | None) -> Array:
        known = start if start is None else start[:, : self.d]
        fitted = self.model.fit_statistic(statistic[:, : -self.d], known)
        return np.concatenate([fitted, statistic[:, -self.d :]], axis=1)


def coupled(model: Any) -> Coupled | None:
    """Return a model beside its Gaussian chain, or None where its standard scores are unknown."""
    if isinstance(model, WithStandardStatistic):
        return CoupledStatistic(model)
    return Coupled(model) if isinstance(model, WithStandardScore) else None
