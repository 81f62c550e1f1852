"""The risk of a fit to the second order in 1/n: what a model has to say of itself, five numbers."""

from collections.abc import Callable
from itertools import product
from typing import NamedTuple

import numpy as np


class SecondOrder(NamedTuple):
    """What the second order of a risk needs of a model whose fit is a smooth function of T, the
    weighted mean of the batches' statistics.

    T has the mean tau, and a row's statistic from a fit with T = t the mean t, the covariance V(t)
    and the third cumulants kappa(t); R is the risk as a function of T, and derivatives are taken at
    tau. Then a fit's risk is, up to terms of order n^-3,

        level C + spread D + skewness A + inherited E + curvature C^2

    with C, D, A, E of the workflow alone (`collapse.derivation.second`).

    Attributes
    ----------
    level : float
        R_ij V_ij / 2: n times the first fit's risk for many rows.
    spread : float
        R_ij V_ij,kl V_kl / 4: what the variance gains where the mean has moved.
    skewness : float
        R_ijk kappa_ijk / 6.
    inherited : float
        R_ijk V_ij,l V_lk / 2: three times the skewness in an exponential family.
    curvature : float
        R_ijkl V_ij V_kl / 8.
    """

    level: float
    spread: float
    skewness: float
    inherited: float
    curvature: float


def of_mean(
    variance: tuple[float, float, float], slopes: tuple[float, float, float]
) -> SecondOrder:
    """Squared error of a function of the mean of a natural exponential family with any variance
    function.

    Parameters
    ----------
    variance : tuple of float
        V, V', V'' at the true mean.
    slopes : tuple of float
        First, second and third derivative of the function there.
    """
    (V, dV, ddV), (f, ff, fff) = variance, slopes
    skewness = f * ff * V * dV
    curvature = (f * fff + 0.75 * ff * ff) * V * V
    return SecondOrder(f * f * V, f * f * V * ddV / 2, skewness, 3 * skewness, curvature)


def of_log_loss(d: int, shared: float, cubed: float, fourth: float) -> SecondOrder:
    """Kullback-Leibler divergence of a fit by maximum likelihood from the truth, in an exponential
    family.

    R is then the Bregman divergence of the conjugate of the log partition function, so that R_ij =
    W = V^-1, R_ijk = 2 W_ij,k and R_ijkl = 3 W_ij,kl, and beside the number of parameters three
    invariants of the family decide (McCullagh 1987, Tensor Methods in Statistics, section 2.8).

    Parameters
    ----------
    d : int
        Statistics, and parameters.
    shared, cubed, fourth : float
        With kappa the cumulants of a row's statistic in coordinates in which its covariance is the
        identity: the sums of kappa_iij kappa_jkk, of kappa_ijk^2, and of kappa_iijj.
    """
    moved = fourth - shared
    curvature = 3 / 8 * (2 * cubed - moved)
    return SecondOrder(d / 2, moved / 4, -cubed / 3, -cubed, curvature)


def of_normal(p: int) -> SecondOrder:
    """The same for the mean and the covariance of a normal law in p dimensions."""
    shared, cubed = 2 * p * (p + 2) ** 2, p * (p * p + 6 * p + 7)
    return of_log_loss(p * (p + 3) // 2, shared, cubed, p * (p + 3) * (2 * p + 3))


def of_two_statistics(cumulant: Callable[[int, int], float]) -> SecondOrder:
    """The same for a family with two statistics; `cumulant(i, j)` is the joint one of i times the
    first and j times the second, for a row.
    """
    second, third, fourth = (
        np.reshape(
            [cumulant(order - sum(at), sum(at)) for at in product((0, 1), repeat=order)],
            (2,) * order,
        )
        for order in (2, 3, 4)
    )
    inverse = np.linalg.inv(second)
    white = np.linalg.cholesky(inverse)
    turned = np.einsum("abc,ai,bj,ck->ijk", third, white, white, white)
    towards = np.einsum("aab->b", turned)
    last = np.einsum("abcd,ab,cd", fourth, inverse, inverse)
    return of_log_loss(2, float(towards @ towards), float((turned**2).sum()), float(last))
