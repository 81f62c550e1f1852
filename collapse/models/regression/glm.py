"""Generalised linear models on a reused design, fitted by maximum likelihood; a model is its family
and its design.
"""

import numpy as np
from numpy.typing import ArrayLike

from collapse.checks import check_size, require, whole
from collapse.models.families.morris import SHAPES
from collapse.models.protocols import Array
from collapse.models.regression.base import Regression, mean_loss
from collapse.models.regression.design import numbers, on_example_design
from collapse.models.regression.family import (
    Classes,
    Counts,
    Logit,
    NormalLink,
    Overdispersed,
    Positive,
)

WHY = "maximum likelihood with vanishing leverage"

MOST_CLASSES = 10_000
"""Largest number of classes: a fit holds a probability of each for every row."""


def probability(theta: Array, X: Array) -> Array:
    """Return the probability of label 1 at each row of X.

    Parameters
    ----------
    theta : ndarray, shape (R, p)
        Coefficients of each replication.
    X : ndarray, shape (m, p)
        Rows of covariates.

    Returns
    -------
    ndarray, shape (R, m)
        The logistic function of each margin x'theta; NaN where theta is.

    Examples
    --------
    >>> probability(np.array([[0.0], [1000.0]]), np.array([[1.0]])).ravel()
    array([0.5, 1. ])
    """
    return Logit().mean(theta @ X.T)


def log_loss(theta: Array, X: Array, label: Array) -> Array:
    """Return the mean log loss of each replication's fit on the rows of X.

    Parameters
    ----------
    theta : ndarray, shape (R, p)
        Coefficients of each replication.
    X : ndarray, shape (m, p)
        Rows of covariates.
    label : ndarray, shape (m,)
        Labels 0 or 1, or the true probabilities of label 1 (the loss is then the cross-entropy).

    Returns
    -------
    ndarray, shape (R,)
        Mean of log(1 + exp(x'theta)) - label x'theta, in nats; NaN where theta is.

    Examples
    --------
    >>> X, y = np.array([[1.0], [1.0]]), np.array([0.0, 1.0])
    >>> log_loss(np.array([[0.0], [1000.0]]), X, y)
    array([  0.69314718, 500.        ])
    """
    return mean_loss(Logit(), theta, X, label[None])


@on_example_design(
    "Logistic",
    [0.2, 0.5],
    n=600,
    why=f"{WHY}, separation aside",
    page="regression",
    allowance=0.15,
    conditional=True,
)
class LogisticRegression(Regression):
    """Logistic regression by maximum likelihood on a design whose rows every batch labels again.

    The labels enter the fit through the mean over the batch's rows of x y alone (the link is
    canonical), so whole batches need no rows: their mean statistics average. Real labels are either
    drawn from a true `beta` in every replication, or observed once and for all as `y`, or drawn
    with probabilities `mean` that need not be logistic in X.

    Parameters
    ----------
    X : array_like, shape (n, p)
        The whole design, finite, of full column rank, with at least as many rows as columns. A
        column of ones, where one is wanted, is the caller's.
    beta : array_like, shape (p,), optional
        True coefficients. Risk is the mean Kullback-Leibler divergence, truth against fit, over the
        rows of X.
    y : array_like, shape (n,), optional
        Observed labels, 0 or 1. Risk is the mean log loss on the test set, or on the real data
        themselves without one.
    mean : array_like, shape (n,), optional
        True probability of label 1 on each row, for a world that the model does not hold. Risk is
        excess cross-entropy over the closest fit.
    test : tuple of array_like, shapes (m, p) and (m,), optional
        Covariates and labels to measure risk on; for observed labels only.

    Attributes
    ----------
    truth : ndarray, shape (p,)
        `beta`; with observed labels their maximum-likelihood estimate, NaN where they are
        separated; with `mean` the closest coefficients.
    design_rows : int
        Rows n of the design.
    limit_risk : float
        n times the risk of the first fit tends to p / 2 (half a squared normal for each
        coefficient) where the truth is `beta`.
    dispersion : float
        Variance of a real row's score at the truth in units of the model's own, tr(I^-1 J) / p: 1
        with `beta`, the sandwich's with `y`, that of labels drawn anew with `mean`.
        `collapse.forecasting.law.misspecified` tells what it does to a workflow.

    Raises
    ------
    ValueError
        Where not exactly one of `beta`, `y` and `mean` is given, or an array has the wrong shape or
        values, or the columns of X are linearly dependent.

    Notes
    -----
    No estimate exists where a hyperplane separates the labels, completely or quasi-completely [1]_;
    such a fit is a row of NaN. The fit is Newton's, in coordinates in which the design is
    orthonormal, with steps halved until they surely raise the likelihood, and ends where
    self-concordance [2]_ bounds the next Newton decrement by 1e-10.

    References
    ----------
    .. [1] A. Albert and J. A. Anderson, "On the existence of maximum likelihood estimates in
       logistic regression models", Biometrika 71 (1984).
    .. [2] Francis Bach, "Self-concordant analysis for logistic regression", Electronic Journal of
       Statistics 4 (2010).

    Examples
    --------
    >>> X = np.column_stack([np.ones(400), np.linspace(-1, 1, 400)])
    >>> model = LogisticRegression(X, beta=[0.5, 1.0])
    >>> statistic = model.draw_real_statistic(3, 400, np.random.default_rng(0))
    >>> model.fit_statistic(statistic, None).shape
    (3, 2)
    >>> observed = LogisticRegression(X, y=X[:, 1] > 0)
    >>> observed.truth
    array([nan, nan])
    """

    def __init__(
        self,
        X: ArrayLike,
        beta: ArrayLike | None = None,
        *,
        y: ArrayLike | None = None,
        mean: ArrayLike | None = None,
        test: tuple[ArrayLike, ArrayLike] | None = None,
    ) -> None:
        super().__init__(Logit(), X, beta, y, test, mean)


@on_example_design(
    "Probit",
    [0.2, 0.3],
    n=600,
    why=f"{WHY}, separation aside",
    allowance=0.15,
    conditional=True,
)
class ProbitRegression(Regression):
    """Probit regression by maximum likelihood on a design whose rows every batch labels again: p =
    Phi(x'beta).

    Parameters
    ----------
    X, beta, y, test
        As in `LogisticRegression`.

    Raises
    ------
    ValueError
        As there.

    Notes
    -----
    The link is not canonical, so that the statistic of a batch is the mean label of each row.
    Labels have an estimate exactly where they have one in logistic regression.

    Examples
    --------
    >>> X = np.column_stack([np.ones(400), np.linspace(-1, 1, 400)])
    >>> model = ProbitRegression(X, beta=[0.3, 0.6])
    >>> model.fit_statistic(model.draw_real_statistic(3, 400, np.random.default_rng(0)), None).shape
    (3, 2)
    """

    def __init__(
        self,
        X: ArrayLike,
        beta: ArrayLike | None = None,
        *,
        y: ArrayLike | None = None,
        test: tuple[ArrayLike, ArrayLike] | None = None,
    ) -> None:
        super().__init__(NormalLink(), X, beta, y, test)


@on_example_design(
    "Poisson regression",
    [1.0, 0.4],
    n=240,
    why=f"{WHY}, rows of zeros aside",
    allowance=0.08,
    conditional=True,
)
class PoissonRegression(Regression):
    """Poisson regression with a logarithmic link, by maximum likelihood on a design whose rows
    every batch labels again.

    Parameters
    ----------
    X, beta, y, test
        As in `LogisticRegression`; labels are counts 0, 1, 2, ...

    Raises
    ------
    ValueError
        As there.

    Notes
    -----
    No estimate exists where some direction lowers the means of rows whose counts are all zero and
    moves no other: those means then want to be zero. With observed counts risk is half the mean
    deviance.

    Examples
    --------
    >>> X = np.column_stack([np.ones(100), np.linspace(-1, 1, 100)])
    >>> model = PoissonRegression(X, beta=[1.0, 0.5])
    >>> model.fit_statistic(model.draw_real_statistic(3, 100, np.random.default_rng(0)), None).shape
    (3, 2)
    >>> PoissonRegression(X, y=np.zeros(100)).truth
    array([nan, nan])
    """

    def __init__(
        self,
        X: ArrayLike,
        beta: ArrayLike | None = None,
        *,
        y: ArrayLike | None = None,
        test: tuple[ArrayLike, ArrayLike] | None = None,
    ) -> None:
        super().__init__(Counts(), X, beta, y, test)


@on_example_design(
    "Gamma regression",
    [1.0, 0.4],
    n=240,
    why=WHY,
    allowance=0.08,
    shape=4,
)
class GammaRegression(Regression):
    """Gamma regression with a logarithmic link and a known shape, by maximum likelihood on a design
    that every batch labels again.

    Parameters
    ----------
    X, beta, y, test
        As in `LogisticRegression`; labels are positive.
    shape : float
        Shape of the labels' law; their coefficient of variation is 1 / sqrt(shape). The fit does
        not depend on it.

    Raises
    ------
    ValueError
        As there, and where the shape is not positive.

    Notes
    -----
    Positive labels always have an estimate. Mean labels of each row are enough for it: the
    likelihood knows the labels' logarithms only in terms that are free of the coefficients.

    Examples
    --------
    >>> X = np.column_stack([np.ones(100), np.linspace(-1, 1, 100)])
    >>> model = GammaRegression(X, beta=[1.0, 0.5], shape=2)
    >>> model.fit_statistic(model.draw_real_statistic(3, 100, np.random.default_rng(0)), None).shape
    (3, 2)
    """

    certain = True

    def __init__(
        self,
        X: ArrayLike,
        beta: ArrayLike | None = None,
        *,
        shape: float = 1.0,
        y: ArrayLike | None = None,
        test: tuple[ArrayLike, ArrayLike] | None = None,
    ) -> None:
        shape = float(check_size(shape, "shape", *SHAPES))
        super().__init__(Positive(shape), X, beta, y, test, shown={"shape": shape})


@on_example_design(
    "Negative binomial regression",
    [1.0, 0.4],
    n=240,
    why=f"{WHY}, rows of zeros aside",
    allowance=0.1,
    conditional=True,
    size=4,
)
class NegativeBinomialRegression(Regression):
    """Negative binomial regression with a logarithmic link and a known dispersion, on a design that
    every batch labels again.

    Parameters
    ----------
    X, beta, y, test
        As in `LogisticRegression`; labels are counts 0, 1, 2, ...
    size : float
        Inverse of the dispersion: a label with mean mu has variance mu + mu^2 / size.

    Raises
    ------
    ValueError
        As there, and where the size is not positive.

    Notes
    -----
    The link is not canonical, so that the statistic of a batch is the mean label of each row. An
    estimate exists exactly where one exists in Poisson regression.

    Examples
    --------
    >>> X = np.column_stack([np.ones(100), np.linspace(-1, 1, 100)])
    >>> model = NegativeBinomialRegression(X, beta=[1.0, 0.5], size=3)
    >>> model.fit_statistic(model.draw_real_statistic(3, 100, np.random.default_rng(0)), None).shape
    (3, 2)
    """

    def __init__(
        self,
        X: ArrayLike,
        beta: ArrayLike | None = None,
        *,
        size: float = 1.0,
        y: ArrayLike | None = None,
        test: tuple[ArrayLike, ArrayLike] | None = None,
    ) -> None:
        check_size(size, "size", *SHAPES)
        super().__init__(Overdispersed(float(size)), X, beta, y, test, shown={"size": float(size)})


@on_example_design(
    "Multinomial logistic",
    [[0.2, 0.3], [-0.1, -0.3]],
    n=600,
    why=f"{WHY}, separation aside",
    allowance=0.15,
    conditional=True,
)
class MultinomialRegression(Regression):
    """Multinomial logistic regression by maximum likelihood on a design whose rows every batch
    labels again.

    Parameters
    ----------
    X, test
        As in `LogisticRegression`.
    beta : array_like, shape (K - 1, p), optional
        True coefficients: row k - 1 holds the log odds of class k against class 0, the reference.
    y : array_like, shape (n,), optional
        Observed classes 0, ..., K - 1.
    classes : int, optional
        Number K of classes; with `beta` it is known, with `y` it is one more than the largest label
        unless it is given.

    Attributes
    ----------
    truth : ndarray, shape ((K - 1) p,)
        Coefficients, class by class.

    Raises
    ------
    ValueError
        As in `LogisticRegression`, and where there are fewer than two classes.

    Notes
    -----
    No estimate exists where the classes are separated, completely or quasi-completely; a class that
    no row has is enough. Linear systems are solved by conjugate gradients, so that ten classes and
    some hundreds of columns are within reach.

    Examples
    --------
    >>> X = np.column_stack([np.ones(300), np.linspace(-1, 1, 300)])
    >>> model = MultinomialRegression(X, beta=[[0.3, 0.5], [-0.2, 1.0]])
    >>> model.fit_statistic(model.draw_real_statistic(5, 300, np.random.default_rng(0)), None).shape
    (5, 4)
    """

    def __init__(
        self,
        X: ArrayLike,
        beta: ArrayLike | None = None,
        *,
        y: ArrayLike | None = None,
        test: tuple[ArrayLike, ArrayLike] | None = None,
        classes: int | None = None,
    ) -> None:
        if classes is None:
            if y is None:
                table = numbers([] if beta is None else beta, "beta", "a table of shape (K - 1, p)")
                classes = 1 + (len(table) if table.ndim == 2 else 0)
            else:
                label = numbers(y, "y", "classes 0, ..., K - 1")
                most = np.where(np.isnan(label), 0.0, label).max(initial=0.0)
                classes = 1 + int(np.clip(most, 0, MOST_CLASSES))
        require(
            not (whole(classes, "classes", "values of the label", most=MOST_CLASSES) < 2),
            "labels must have at least two classes; give beta as a table (K - 1, p), or y with"
            " classes 0, ..., K - 1.",
        )
        super().__init__(Classes(classes - 1), X, beta, y, test, shown={"classes": classes})
