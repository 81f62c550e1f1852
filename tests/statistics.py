"""Assertions about random numbers, with both error rates stated.

Each assertion raises a false alarm with probability FALSE_ALARM (Bonferroni over its entries,
normal approximation), and misses an error as large as `detects` with probability MISSED at most. A
sample too small to detect that much fails too. Seeds are fixed in the tests, so an assertion that
holds once holds always.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from collapse import Risk

FALSE_ALARM = 1e-6
MISSED = 1e-6


def assert_agree(
    estimate: ArrayLike,
    stderr: ArrayLike,
    expected: ArrayLike,
    *,
    detects: float,
    allowance: float = 0.0,
) -> None:
    """Assert that estimates have the expected means, up to a relative allowance; `detects` is
    relative too.
    """
    estimate, stderr, expected = (np.asarray(v, np.float64) for v in (estimate, stderr, expected))
    random = stderr > 0
    np.testing.assert_allclose(estimate[~random], expected[~random], rtol=1e-12)
    alarm = -ndtri(FALSE_ALARM / 2 / max(random.sum(), 1))
    size = np.abs(expected)
    seen = (alarm - ndtri(MISSED)) * stderr + allowance * size
    assert np.all(seen <= detects * size), (
        f"too few replications: an error of {np.max(seen / size):.2%} would be seen for sure, and"
        f" {detects:.2%} is asked for"
    )
    excess = np.abs(estimate - expected) - allowance * size
    worst = np.argmax(excess / np.where(random, stderr, np.inf))
    assert np.all(excess[random] <= alarm * stderr[random]), (
        f"estimates differ from what is expected: {estimate.flat[worst]:.6g} with standard error"
        f" {stderr.flat[worst]:.2g}, expected {expected.flat[worst]:.6g} (entry {worst})"
    )


def assert_same_law(first: ArrayLike, second: ArrayLike, *, detects: float) -> None:
    """Assert that two samples of numbers have one law, by the largest distance of their
    distribution functions.

    Both error rates by the inequality of Dvoretzky, Kiefer, Wolfowitz and Massart: valid for
    discrete laws too.
    """
    first, second = np.sort(np.asarray(first, np.float64)), np.sort(np.asarray(second, np.float64))
    N, M = len(first), len(second)
    alarm = np.sqrt(np.log(2 / FALSE_ALARM) / 2 * (1 / N + 1 / M))
    seen = alarm + sum(np.sqrt(np.log(4 / MISSED) / 2 / k) for k in (N, M))
    assert seen <= detects, (
        f"too few draws: a distance of {seen:.3f} would be seen for sure, and {detects:.3f} is"
        " asked for"
    )
    # a few digits fewer, so that equal numbers computed along two paths stay equal
    first, second = np.round(first, 9), np.round(second, 9)
    grid = np.union1d(first, second)
    distance = np.abs(
        np.searchsorted(first, grid, "right") / N - np.searchsorted(second, grid, "right") / M
    ).max()
    assert distance <= alarm, (
        f"the laws differ: distance {distance:.3f} between distribution functions"
    )


def assert_risks_agree(
    simulated: Risk, derived: Risk, *, detects: float, allowance: float = 0.0, unit: float = 1.0
) -> None:
    """Assert that a simulation has the derived ratios, and the derived risks in the given unit."""
    assert_agree(
        simulated.ratio, simulated.stderr, derived.ratio, detects=detects, allowance=allowance
    )
    assert_agree(
        simulated.risk,
        simulated.risk_stderr,
        unit * derived.risk,
        detects=detects,
        allowance=allowance,
    )
