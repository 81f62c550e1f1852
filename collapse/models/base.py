"""What a model is: the laws of its data, its fit and its risk, batched over replications."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

CELLS: Final = 1 << 15
"""Replications times rows worked on at once where a fit iterates, so that what it reads again stays in a core's cache."""


@runtime_checkable
class Model(Protocol):
    """A family, its real world, its estimator and its risk; it never sees a workflow.

    Every array carries its R replications on the first axis. A fit that does not exist is a row of NaN.

    Attributes
    ----------
    truth : ndarray, shape (d,)
        Parameter of the real world.
    """

    @property
    def truth(self) -> Array: ...

    def draw(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        """Draw one batch for each replication: theta (R, d) to rows (R, rows, ...)."""

    def draw_real(self, replications: int, rows: int, rng: np.random.Generator) -> Array:
        """Draw the real batch of each replication: (R, rows, ...)."""

    def fit(self, rows: Array, weight: Array, start: Array | None) -> Array:
        """Fit weighted rows (R, N, ...), weight (R, N) with 0 for padding, to theta (R, d)."""

    def risk(self, theta: Array) -> Array:
        """Excess loss of theta (R, d) on the real distribution: (R,)."""


@runtime_checkable
class WithStatistic(Model, Protocol):
    """A model whose data enter the fit through a mean statistic: whole batches need no rows."""

    def draw_statistic(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        """Draw the mean statistic of a batch of `rows` rows directly: theta (R, d) to (R, k)."""

    def draw_real_statistic(self, replications: int, rows: int, rng: np.random.Generator) -> Array:
        """Draw the mean statistic of the real batch: (R, k)."""

    def fit_statistic(self, statistic: Array, start: Array | None) -> Array:
        """Fit the weighted mean (R, k) of the batches' statistics to theta (R, d)."""


@runtime_checkable
class WithPooling(WithStatistic, Protocol):
    """A model whose batches' statistics do not average but are pooled: centred moments, in which no spread cancels."""

    def pool(self, first: Array, second: Array, share: float) -> Array:
        """Return the statistic (R, k) of two sets of rows as one, of whose weight the second holds `share`."""


@runtime_checkable
class WithDesign(Model, Protocol):
    """A regression that reuses the covariates of its real data; a batch labels them again.

    The statistic of a batch stands for the rows only where the batch labels the whole design a whole number of times.
    """

    @property
    def design_rows(self) -> int: ...


def replicate(truth: Array, replications: int) -> Array:
    """Return the truth (d,) once for each replication, (R, d), without a copy."""
    return np.broadcast_to(truth, (replications, truth.shape[0]))


def parts(replications: int, rows: int) -> Iterator[slice]:
    """Divide replications of so many rows each into slices of about CELLS cells."""
    step = max(1, CELLS // max(1, rows))
    return (slice(r, r + step) for r in range(0, replications, step))


class DrawsFromTruth:
    """Real batches are drawn from the family at its truth; a misspecified or observed world overrides this."""

    def draw_real(self: Model, replications: int, rows: int, rng: np.random.Generator) -> Array:
        return self.draw(replicate(self.truth, replications), rows, rng)

    def draw_real_statistic(self: WithStatistic, replications: int, rows: int, rng: np.random.Generator) -> Array:
        return self.draw_statistic(replicate(self.truth, replications), rows, rng)
