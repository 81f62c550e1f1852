"""Logistic regression with a penalty: an estimate exists where maximum likelihood has none, and a
bias with it.
"""

from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from collapse.checks import check_size, require, whole
from collapse.models.protocols import Array
from collapse.models.regression.base import LabelsOnDesign
from collapse.models.regression.family import Classes, Family, Logit
from collapse.models.regression.glm import MOST_CLASSES
from collapse.models.regression.likelihoods import Firth, Ridge, RidgeMultinomial


class _Penalised(LabelsOnDesign):
    """Real world, draws and risk of logistic regression, and fits to rows, whose number the penalty
    is set against.
    """

    def _closest(self) -> Array:
        rows = self.draw_real(1, self.design_rows, np.random.default_rng(0))
        return np.asarray(self.fit(rows, np.ones((1, self.design_rows)), None)[0])

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
        label, share = self._on_rows(rows, weight)
        count = np.maximum((weight > 0).sum(axis=1), 1)
        return self._likelihood.maximise(
            np.column_stack([self._summary(label), count]), share, start
        )


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
    classes : int, optional
        Number K of labels 0, ..., K - 1. With more than two `beta` is a table (K - 1, p), as in
        `MultinomialRegression`, and the penalty is on the coefficients of all K labels about their
        mean.

    Attributes
    ----------
    truth : ndarray, shape ((K - 1) p,)
        `beta`; with observed labels the penalised fit to them.

    Raises
    ------
    ValueError
        As there, and where the penalty is not positive.

    Notes
    -----
    An estimate exists unless a label is missing and a column is constant. The penalty shrinks,
    and shrunken fits label the rows that the next fit shrinks again: under discard the bias grows
    with every generation, under augment, whose pool grows, it does not [1]_.

    References
    ----------
    .. [1] Dey and Donoho (2024), arXiv 2410.22812, for the workflows; A. E. Hoerl and R. W.
       Kennard, "Ridge regression", Technometrics 12 (1970), for the penalty.

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
        classes: int = 2,
    ) -> None:
        penalty = float(check_size(penalty, "penalty"))
        K = whole(classes, "classes", "values of the label", most=MOST_CLASSES)
        require(K >= 2, "classes must be at least 2.")
        family: Family = Logit() if K == 2 else Classes(K - 1)
        make = partial(Ridge if K == 2 else RidgeMultinomial, family=family, strength=penalty)
        shown = {"penalty": penalty} | ({} if K == 2 else {"classes": K})
        self.penalty = penalty
        super().__init__(family, X, beta, y, test, shown=shown, make=make)
        if isinstance(self._likelihood, RidgeMultinomial) and np.isfinite(self.truth).all():
            self._likelihood.near(self.truth)


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
    >>> from collapse.models import LogisticRegression
    >>> LogisticRegression(X, y=y).truth, FirthLogisticRegression(X, y=y).truth[1].round(3)
    (array([nan, nan]), np.float64(41.435))
    """

    certain = True

    def __init__(
        self,
        X: ArrayLike,
        beta: ArrayLike | None = None,
        *,
        y: ArrayLike | None = None,
        test: tuple[ArrayLike, ArrayLike] | None = None,
    ) -> None:
        super().__init__(Logit(), X, beta, y, test, make=lambda X: Firth(X, Logit()))
