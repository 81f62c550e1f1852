"""Generations in proportion to n, under discard: exact at n, in the limit, and simulated."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import digamma, eval_jacobi, gammaln
from scipy.stats import binom, gamma, poisson

from collapse import models, simulate, workflows
from collapse.derivation.finite import fixation

ALARM = 4.9  # standard errors: two-sided 1e-6
N, RUNS = 50, 20_000
SHARES = np.array([0.5, 0.2, 0.1, 0.08, 0.06, 0.04, 0.02])


def lost(p: float, t: float) -> float:
    """Kimura's chance that a share is 0 by generation t n, for many rows."""
    i = np.arange(1, 60)
    signed = (2 * i + 1) * (-1.0) ** i / i * np.exp(-i * (i + 1) * t / 2)
    return float(1 - p + p * (1 - p) * signed @ eval_jacobi(i - 1, 1, 1, 2 * p - 1))


def survival(generations: int) -> float:
    s = 1.0
    for _ in range(generations):
        s = 1 - np.exp(-s)
    return s


def duration(p: float, n: int) -> float:
    inside = np.arange(1, n)
    step = binom.pmf(inside, n, inside[:, None] / n)
    after = np.linalg.solve(np.eye(n - 1) - step, np.ones(n - 1))
    return float(1 + binom.pmf(inside, n, p) @ after)


def close(values: NDArray[np.generic], expected: float) -> None:
    error = values.std() / np.sqrt(len(values))
    assert abs(values.mean() - expected) < ALARM * error
    assert error < 0.03 * abs(expected)


@pytest.mark.parametrize("p", [0.1, 0.3, 0.5, 0.9])
def test_a_coin_is_lost_as_in_kimuras_diffusion(p: float) -> None:
    for t in (0.5, 1, 2):
        n = 400
        zero, one = fixation(p, n, n, int(t * n))
        assert zero == pytest.approx(lost(p, t), abs=0.01)
        assert one == pytest.approx(lost(1 - p, t), abs=0.01)
    # and the nearer, the more rows
    off = [abs(fixation(p, n, n, n)[0] - lost(p, 1)) for n in (50, 100, 200)]
    assert off[0] > 1.6 * off[1] > 2.5 * off[2]


@pytest.mark.parametrize("p", [0.1, 0.5])
def test_a_coin_ends_in_one_with_its_chance_after_the_time_of_the_diffusion(p: float) -> None:
    limit = -2 * (p * np.log(p) + (1 - p) * np.log(1 - p))
    times = np.array([duration(p, n) / n for n in (50, 100, 200)])
    assert np.all(np.diff(np.abs(times / limit - 1)) < 0)
    assert times[-1] == pytest.approx(limit, rel=0.02)
    assert fixation(p, 50, 50, 20 * 50)[1] == pytest.approx(p, abs=1e-8)


@pytest.mark.statistical
def test_expected_categories_left_are_a_sum_over_coins() -> None:
    plan = workflows.discard(N)
    model = models.Multinomial(tuple(SHARES))
    fits = simulate(plan, model=model, n=N, replications=RUNS, rng=7, fits=True).fits
    for g in (10, 25, 50):
        expected = sum(1 - fixation(float(p), N, N, g)[0] for p in SHARES)
        close((fits[:, g - 1] > 0).sum(axis=1), expected)


@pytest.mark.statistical
def test_counts_die_out_like_families() -> None:
    model, plan = models.Poisson(0.5), workflows.discard(N)
    fits = simulate(plan, model=model, n=N, replications=RUNS, rng=8, fits=True).fits
    for g in (25, 50):
        close(fits[:, g - 1, 0] == 0, float(np.exp(-N * 0.5 * survival(g - 1))))


def test_extinction_of_counts_in_the_limit() -> None:
    for mean, t in ((0.5, 1), (2, 1), (2, 4)):
        off = [abs(np.exp(-n * mean * survival(t * n - 1)) * np.exp(2 * mean / t) - 1)
               for n in (50, 200, 3200)]  # fmt: skip
        assert off[0] > 2 * off[1] > 8 * off[2]
        assert off[2] < 0.01


@pytest.mark.parametrize("t", [0.5, 2.0])
def test_a_chain_has_the_law_of_its_diffusion_in_the_limit(t: float) -> None:
    """Counts by the Laplace transform of Feller's diffusion, scales by the moments of a geometric
    Brownian motion: what n leaves falls like 1 / n.
    """
    off: list[list[float]] = []
    for n in (200, 400, 800):
        steps, apart = int(t * n), []
        for decay in (0.5, 1.0, 3.0):
            of = decay  # E exp(-decay mu_g) = exp(-mu of)
            for _ in range(steps):
                of = -n * np.expm1(-of / n)
            apart.append(of - decay / (1 + decay * t / 2))
        for shape in (1.0, 3.0):
            rows = n * shape  # mu_g is mu times a product of gamma variates over n shape
            for power in (-1.0, 1.5, 2.0):
                moment = gammaln(rows + power) - gammaln(rows) - power * np.log(rows)
                apart.append(steps * moment - power * (power - 1) * t / (2 * shape))
        off.append(apart)
    first, second, third = np.abs(off)
    np.testing.assert_allclose(first / second, 2, rtol=0.03)
    np.testing.assert_allclose(second / third, 2, rtol=0.03)
    assert (first < 0.05).all()


@pytest.mark.statistical
@pytest.mark.parametrize(
    ("model", "told", "limit"),
    [
        (models.Poisson(2), lambda x: np.exp(-x), np.exp(-4 / 3)),
        (models.Gamma(2, 1), lambda x: np.sqrt(1 / x), np.exp(3 / 16)),
        (models.Bernoulli(0.3), lambda x: x == 0, lost(0.3, 1)),
    ],
    ids=["Feller", "geometric Brownian motion", "Kimura"],
)
def test_simulated_chains_end_as_their_diffusions_do(model: Any, told: Any, limit: float) -> None:
    n = 100
    fits = simulate(workflows.discard(n), model=model, n=n, replications=RUNS, rng=3, fits=True)
    values = told(fits.fits[:, -1, 0])
    error = values.std() / np.sqrt(RUNS)
    assert abs(values.mean() - limit) < ALARM * error + limit / n
    assert error < 0.02 * limit


def test_two_of_twenty_words_are_left_after_as_many_generations_as_rows() -> None:
    common = 1 / np.arange(1, 21)
    for n in (50, 200):
        left = sum(1 - fixation(p, n, n, n)[0] for p in common / common.sum())
        assert left == pytest.approx(2.1, abs=0.05)


@pytest.mark.parametrize("n", [1, 7, 40])
def test_fourth_moments_of_a_step_in_a_diffusion(n: int) -> None:
    p, mean, shape = 0.3, 1.7, 2.5  # of a coin, a count, a scale
    for (V, dV, ddV), step in (
        ((p * (1 - p), 1 - 2 * p, -2), binom(n, p)),
        ((mean, 1, 0), poisson(n * mean)),
        ((mean**2 / shape, 2 * mean / shape, 2 / shape), gamma(n * shape, scale=mean / shape)),
    ):
        fourth = (step.stats("k") + 3) * step.var() ** 2 / n**4
        assert fourth == pytest.approx(3 * V**2 / n**2 + V * (dV**2 + V * ddV) / n**3)
        assert step.var() == pytest.approx(n * V)


@pytest.mark.statistical
def test_the_log_variance_of_a_normal_law_drifts() -> None:
    model, plan = models.NormalMeanVariance(0, 1), workflows.discard(N)
    fits = simulate(plan, model=model, n=N, replications=RUNS, rng=9, fits=True).fits
    close(np.log(fits[:, -1, 1]), N * (digamma((N - 1) / 2) + np.log(2 / N)))
    # with the other divisor half of it
    chi = np.random.default_rng(9).chisquare(N - 1, (RUNS, N)) / (N - 1)
    close(np.log(chi).sum(axis=1), N * (digamma((N - 1) / 2) + np.log(2 / (N - 1))))
    for n in (50, 500):
        drift = digamma((n - 1) / 2) + np.log(2 / np.array([n, n - 1]))
        assert np.all(np.abs(drift + np.array([2, 1]) / n) < 3 / n**2)
