"""Gamma and beta parameters from what logarithms of means exceed mean logarithms by."""

import numpy as np
import scipy

from collapse.models.families.base import decreasing_roots, tables
from collapse.models.protocols import Array

ASYMPTOTIC = 20.0
"""Argument from which the digamma function is computed by its asymptotic series."""


@np.errstate(divide="ignore")
def excess(value: Array, mean: Array | float, away: Array) -> Array:
    """u - log(1 + u) with u = away / mean, away = value - mean.

    There is no cancellation at small u, and close to -1 log(1 + u) is log(value / mean).
    """
    u: Array = np.asarray(away / mean)
    out: Array = np.asarray(u - np.log(value / mean))
    small = np.abs(u) < 0.1
    t = u[small] / (2 + u[small])  # log(1 + u) = 2 artanh t, and u - 2 t = u t
    out[small] = u[small] * t - 2 * t * sum(t ** (2 * k) / (2 * k + 1) for k in range(1, 7))
    return out


def log_less_digamma(a: Array) -> Array:
    """log a - digamma(a), to all digits for large a too (Abramowitz and Stegun 6.3.18)."""
    z = np.maximum(a, ASYMPTOTIC) ** -2.0
    series = z * (1 / 12 - z * (1 / 120 - z * (1 / 252 - z * (1 / 240 - z / 132))))
    series += 0.5 / np.maximum(a, ASYMPTOTIC)
    small = np.minimum(a, ASYMPTOTIC)
    return np.asarray(np.where(a > ASYMPTOTIC, series, np.log(small) - scipy.special.psi(small)))


def slope(a: Array) -> Array:
    """Derivative of log_less_digamma: 1 / a - trigamma(a)."""
    large, small = np.maximum(a, ASYMPTOTIC), np.minimum(a, ASYMPTOTIC)
    z = large**-2.0
    series = -z * (0.5 + (1 / 6 - z * (1 / 30 - z * (1 / 42 - z * (1 / 30 - z * 5 / 66)))) / large)
    return np.asarray(
        np.where(a > ASYMPTOTIC, series, 1 / small - scipy.special.polygamma(1, small))
    )


def gamma_shapes(spread: Array, steps: int) -> Array:
    """Solve log a - digamma(a) = spread for a, (R,) to (R,); NaN where none is a double.

    Newton's method in 1 / a (Minka 2002), inside 1 / (2 spread) < a < 1 / spread, which holds for
    every solution.
    """
    shape = np.full(spread.shape, np.nan)
    found = np.isfinite(spread) & (spread > 1e-150)
    s = spread[found]
    start = (3 - s + np.sqrt((s - 3) ** 2 + 24 * s)) / (12 * s)
    # the error squares with a step of 1e-9
    shape[found] = decreasing_roots(_shape_step, start, (0.5 / s, 1 / s), (s,), (1e-9, 0.0), steps)
    return shape


def _shape_step(a: Array, spread: Array) -> tuple[Array, Array]:
    gap = log_less_digamma(a) - spread
    return gap, a / (1 + gap / (a * slope(a)))


def beta_parameters(share: Array, divergence: Array, steps: int) -> Array:
    """Parameters (R, 2) of beta rows with means `share` (R, 2) of x and 1 - x, and mean divergences
    (R, 2) from these.

    Newton's method on the convex negative log-likelihood; a step is halved until that does not
    rise. Steps are taken in the total c = a + b and in what a / c exceeds the mean of x by: with
    L(a) = log a - digamma(a) the equations, log(p / mean) = L(p c) - L(c) - divergence for p = a /
    c and p = b / c, have terms of order 1 / c alone, and nothing cancels where c is large.
    """

    def cost(theta: Array, mean: Array) -> Array:
        return np.asarray(scipy.special.betaln(*theta.T) - (theta * mean).sum(axis=1))

    out, todo = np.full(share.shape, np.nan), np.arange(len(share))
    mean = np.log(share) - divergence
    room = -(share * np.expm1(-divergence)).sum(axis=1, keepdims=True)
    theta = 0.5 + np.exp(mean) / (2 * room)
    total = theta.sum(axis=1, keepdims=True)
    away = (theta[:, :1] / total - share[:, :1]) * [1, -1]
    for _ in range(steps):
        if not len(todo):
            break
        theta = (share + away) * total
        score = log_less_digamma(theta) - log_less_digamma(total) - divergence
        score -= np.log1p(away / share)
        # in c times the change of p, and in the change of log c, both of order one
        bend = slope(theta)
        gradient = np.stack([score @ [1, -1], (theta * score).sum(axis=1)], axis=1)
        cross = theta * bend @ [-1, 1]
        corner = (slope(total) * total**2)[:, 0] - (theta**2 * bend).sum(axis=1)
        hessian = tables((1 / theta - bend).sum(axis=1), cross, cross, corner)
        step = np.linalg.solve(hessian, gradient[..., None])[..., 0]
        decrement = (step * gradient).sum(axis=1)
        change = step[:, :1] * [1, -1] / theta + step[:, 1:]  # of both parameters, relative
        length = np.minimum(1, 0.9 / np.maximum(-change, 1e-300).max(axis=1))[:, None]
        # close to the maximum a rise is rounding, and the whole step is safe
        far, least = np.flatnonzero(decrement > 1e-6), cost(theta, mean)
        while len(far):
            risen = cost(theta[far] * (1 + length[far] * change[far]), mean[far]) - least[far]
            far = far[risen > 1e-9 * abs(least[far])]
            length[far] /= 2
        total = total * (1 + length * step[:, 1:])
        away = away + length * step[:, :1] * [1, -1] / total
        # a parameter within 1e-9 of a row's standard error, before a step that squares the error
        done = decrement < 1e-18
        out[todo[done]] = ((share + away) * total)[done]
        todo = todo[~done]
        share, divergence, mean, total, away = (
            each[~done] for each in (share, divergence, mean, total, away)
        )
    return out
