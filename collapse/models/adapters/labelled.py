"""What adapters of estimators share: the rows of X are labelled again by what was fitted."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collapse.checks import brief, is_number
from collapse.models.adapters.tables import covariates
from collapse.models.protocols import Array
from collapse.models.regression.design import check_pair, observed_batch, rows_of_design

Loss = Callable[[Any, Array], float]


class OnDesign(ABC):
    """Rows (R, N, 2) are a row of X and its label; the parameter theta is what a fit predicts."""

    X: Any
    truth: Array
    observed: Array
    loss: Loss
    test_y: Any
    design_rows: int
    read_labels: Callable[[Any, int, str], Any]
    """Labels, their number and a name for them to what is kept of them, or to a ValueError."""
    refusals: tuple[type[Exception], ...] = ()
    """What a fit raises where synthetic labels have no estimate."""

    def read(self, X: Any, y: Any, test: Any) -> None:
        """Take the real data and the test set, which is the real data where none is given."""
        self.X, self.design_rows = X, len(X)
        self.y = self.read_labels(y, len(X), "y")
        self.test_X, self.test_y = X, self.y
        if test is not None:
            table, label = check_pair(test)
            self.test_X = covariates(table, "the test X", like=X)
            self.test_y = self.read_labels(label, len(self.test_X), "the test y")

    def settle(self) -> None:
        """Fit the real data, and try the loss on that."""
        rows = np.arange(self.design_rows)
        try:
            self.truth = self.fitted(rows, self.observed, np.ones(len(rows)))
        except (ValueError, TypeError, AttributeError, IndexError, np.linalg.LinAlgError) as error:
            raise ValueError(
                f"{self.name} cannot be fitted to the real data: {' '.join(str(error).split())}"
            ) from error
        if not np.isfinite(self.truth).all():
            raise ValueError(
                f"{self.name} has no estimate on the real data: labels are separated, or the fit"
                " did not converge."
            )
        predicted = self.predicted(self.truth)
        try:
            value = self.loss(self.test_y, predicted)
        except Exception as error:  # whatever a function of the caller's raises
            raise ValueError(
                "loss fails on the test set and its predictions"
                f" ({type(error).__name__}: {brief(str(error))})."
            ) from error
        if not is_number(value):
            raise ValueError(
                f"loss must give one number, the mean loss on the test set; it gave {brief(value)}."
            )

    def draw_real(self, replications: int, rows: int, rng: np.random.Generator) -> Array:
        return observed_batch(self.observed, replications, rows)

    def draw(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        index = rows_of_design(self.design_rows, len(theta), rows, rng)
        drawn = np.stack([index, index], axis=2).astype(np.float64)
        for r, chosen in enumerate(index):
            drawn[r, :, 1] = self.labels_at(theta[r], chosen, rng)
        return drawn

    def fit(self, rows: Array, weight: Array, start: Array | None) -> Array:
        out = np.full((len(rows), len(self.truth)), np.nan)
        for r, (row, share) in enumerate(zip(rows, weight, strict=True)):
            read = share > 0
            index, relative = row[read, 0].astype(np.int64), share[read] / share[read].mean()
            with suppress(*self.refusals):
                out[r] = self.fitted(index, row[read, 1], relative)
        return out

    def risk(self, theta: Array) -> Array:
        return np.array([self.loss(self.test_y, self.predicted(one)) for one in theta], np.float64)

    @property
    @abstractmethod
    def name(self) -> str:
        """What to call the estimator."""

    @abstractmethod
    def labels_at(self, theta: Array, rows: NDArray[np.int64], rng: np.random.Generator) -> Array:
        """Labels of these rows of X, drawn from what was fitted."""

    @abstractmethod
    def fitted(self, rows: NDArray[np.int64], label: Array, weight: Array) -> Array:
        """The parameter of weighted labels of rows of X; NaN where there is no estimate."""

    @abstractmethod
    def predicted(self, theta: Array) -> Array:
        """What is predicted on the test set."""


def squared_error(y: Any, mean: Array) -> float:
    return float(((y - mean) ** 2).mean())
