"""Logistic regression with a penalty: an estimate exists where maximum likelihood has none, and a
bias with it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from collapse.checks import check_size
from collapse.models.protocols import Array
from collapse.models.regression.design import totals
from collapse.models.regression.glm import LogisticRegression
from collapse.models.regression.newton import ITERATIONS, Firth, Likelihood, Ridge


class _Penalised:
    """What the two share: real world, draws and risk of logistic regression, and fits to rows,
    whose number the penalty is set against.
    """

    def __init__(
        self,
        X: ArrayLike,
        beta: ArrayLike | None,
        y: ArrayLike | None,
        test: tuple[ArrayLike, ArrayLike] | None,
        name: str,
    ) -> None:
        self._plain = LogisticRegression(X, beta, y=y, test=test)
        self.X, self.design_rows = self._plain.X, self._plain.design_rows
        self._name = name
        self._likelihood = self._make()
        self.truth = self._plain.truth
        if y is not None:
            self.truth = self.fit(
                self.draw_real(1, self.design_rows, np.random.default_rng(0)),
                np.ones((1, self.design_rows)),
                None,
            )[0]
            self._expect_truth()
            self.truth.flags.writeable = False

    @property
    def observed(self) -> Array | None:
        return self._plain.observed

    def __repr__(self) -> str:
        return f"{self._name}({repr(self._plain).partition('(')[2]}"

    def draw(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        """Draw labelled rows of the design, as `LogisticRegression.draw` does."""
        return self._plain.draw(theta, rows, rng)

    def draw_real(self, replications: int, rows: int, rng: np.random.Generator) -> Array:
        """Draw the real batch, as `LogisticRegression.draw_real` does."""
        return self._plain.draw_real(replications, rows, rng)

    def risk(self, theta: Array) -> Array:
        """Return the risk without the penalty, as `LogisticRegression.risk` does."""
        return self._plain.risk(theta)

    def fit(self, rows: Array, weight: Array, start: Array | None) -> Array:
        """Return the penalised estimates for labelled rows.

        Parameters
        ----------
        rows : ndarray, shape (R, N, 2)
            Index of the row of X, and its label.
        weight : ndarray, shape (R, N)
            Weight of each row, in any unit: rows count by their weight over the mean weight of
            those with any. 0 is padding.
        start : ndarray, shape (R, p), or None
            Where to begin; it changes the time taken, not the answer.

        Returns
        -------
        ndarray, shape (R, p)
            Estimates; NaN where none exists, and where a label is NaN.
        """
        read = weight > 0
        count = read.sum(axis=1)
        total, ones = totals(
            self.design_rows, np.where(read[:, :, None], rows, 0.0), np.where(read, weight, 0.0)
        )
        mean = total.mean(axis=1, keepdims=True)
        mean[mean == 0] = np.nan
        statistic = np.column_stack(
            [(ones / mean) @ self.X / self.design_rows, self._strength(np.maximum(count, 1))]
        )
        statistic[self._hopeless(total, ones)] = np.nan
        return self._likelihood.maximise(statistic, total / mean, start)

    def _expect_truth(self) -> None:
        """Raise a ValueError where real labels that have an estimate were left without one."""

    def _make(self) -> Likelihood:
        raise NotImplementedError

    def _strength(self, rows: Array) -> Array:
        """Return what the likelihood wants to know of the number of rows read."""
        raise NotImplementedError

    def _hopeless(self, total: Array, ones: Array) -> Array:
        """Tell where no estimate exists all the same."""
        return np.zeros(len(total), dtype=bool)


class RidgeLogisticRegression(_Penalised):
    """Logistic regression with a ridge penalty, on a design whose rows every batch labels again.

    The fit maximises the sum of log-likelihoods over its rows less penalty / 2 times the sum of
    squared coefficients. Constant columns are not penalised. That is scikit-learn's
    `LogisticRegression` with C = 1 / penalty: the more rows, the less the penalty says.

    Parameters
    ----------
    X, beta, y, test
        As in `LogisticRegression`.
    penalty : float
        Strength, in units of one over a squared coefficient.

    Attributes
    ----------
    truth : ndarray, shape (p,)
        `beta`; with observed labels the penalised fit to them.

    Raises
    ------
    ValueError
        As there, and where the penalty is not positive.

    Notes
    -----
    An estimate exists unless all labels are equal and a column is constant. The penalty shrinks,
    and shrunken fits label the rows that the next fit shrinks again: under discard the bias grows
    with every generation, under augment, whose pool grows, it does not [1]_.

    References
    ----------
    .. [1] Dey and Donoho (2024), arXiv 2410.22812, for the workflows; A. E. Hoerl and R. W.
    Kennard, "Ridge regression", Technometrics 12
       (1970), for the penalty.

    Examples
    --------
    >>> X = np.column_stack([np.ones(100), np.linspace(-1, 1, 100)])
    >>> RidgeLogisticRegression(X, y=X[:, 1] > 0, penalty=1).truth[1].round(3)
    np.float64(4.199)
    """

    def __init__(
        self,
        X: ArrayLike,
        beta: ArrayLike | None = None,
        *,
        penalty: float,
        y: ArrayLike | None = None,
        test: tuple[ArrayLike, ArrayLike] | None = None,
    ) -> None:
        check_size(penalty, "penalty")
        self.penalty = float(penalty)
        super().__init__(X, beta, y, test, "RidgeLogisticRegression")

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}, penalty={self.penalty:g})"

    def _make(self) -> Likelihood:
        constant = np.ptp(self.X, axis=0) == 0
        self._intercept = bool(constant.any())
        return Ridge(self.X, ~constant)

    def _strength(self, rows: Array) -> Array:
        return np.asarray(self.penalty / rows)

    def _hopeless(self, total: Array, ones: Array) -> Array:
        share = ones.sum(axis=1) / np.maximum(total.sum(axis=1), np.finfo(float).tiny)
        return np.asarray(self._intercept & ((share <= 0) | (share >= 1 - 1e-12)))


class FirthLogisticRegression(_Penalised):
    """Logistic regression with Firth's penalty [1]_, on a design whose rows every batch labels
    again.

    The fit maximises the likelihood of its rows times the square root of the determinant of their
    information. That takes the bias of order 1/n out of maximum likelihood, and leaves an estimate
    for separated labels.

    Parameters
    ----------
    X, beta, y, test
        As in `LogisticRegression`.

    Attributes
    ----------
    truth : ndarray, shape (p,)
        `beta`; with observed labels the penalised fit to them.

    Raises
    ------
    ValueError
        As there.

    Notes
    -----
    An estimate exists for all labels, as long as the rows read span the columns.

    References
    ----------
    .. [1] D. Firth, "Bias reduction of maximum likelihood estimates", Biometrika 80 (1993).

    Examples
    --------
    >>> X = np.column_stack([np.ones(100), np.linspace(-1, 1, 100)])
    >>> y = X[:, 1] > 0
    >>> LogisticRegression(X, y=y).truth, FirthLogisticRegression(X, y=y).truth[1].round(3)
    (array([nan, nan]), np.float64(41.435))
    """

    def __init__(
        self,
        X: ArrayLike,
        beta: ArrayLike | None = None,
        *,
        y: ArrayLike | None = None,
        test: tuple[ArrayLike, ArrayLike] | None = None,
    ) -> None:
        super().__init__(X, beta, y, test, "FirthLogisticRegression")

    def _expect_truth(self) -> None:
        if np.isnan(self.truth).any():
            raise ValueError(f"no fit to y settled in {ITERATIONS} iterations: rescale X.")

    def _make(self) -> Likelihood:
        return Firth(self.X)

    def _strength(self, rows: Array) -> Array:
        return np.asarray(rows, dtype=np.float64)
