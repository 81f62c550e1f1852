"""The formulas of the chapter on what breaks the law, typed once more, against derive (exactly) and
simulate (error rates in tests/statistics.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction as F
from functools import cache
from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import gamma

from collapse import Plan, derive, models, simulate, workflows
from tests.statistics import assert_agree

Array = NDArray[np.float64]


@pytest.mark.parametrize("n", [1, 2, 7, 1000])
def test_the_maximum_under_discard(n: int) -> None:
    end = F(3, 2)
    expected = [end**2 * (1 - 2 * F(n, n + 1) ** g + F(n, n + 2) ** g) for g in range(1, 31)]
    risk = derive(workflows.discard(30), model=models.Uniform(end), n=n, exact=True)
    assert risk.risk.tolist() == expected
    assert expected[0] == 2 * end**2 / ((n + 1) * (n + 2))


def test_the_limits_of_the_ratio_under_discard() -> None:
    g = np.arange(1, 21)
    np.testing.assert_allclose(
        derive(workflows.discard(20), model=models.Uniform(1), n=10**6).ratio,
        g * (g + 1) / 2,
        rtol=1e-4,
    )
    n = 9
    assert derive(workflows.discard(400), model=models.Uniform(1), n=n).ratio[-1] == pytest.approx(
        (n + 1) * (n + 2) / 2
    )


def test_the_maximum_simulated_under_discard() -> None:
    n, G = 50, 10
    expected = [1 - 2 * (n / (n + 1)) ** g + (n / (n + 2)) ** g for g in range(1, G + 1)]
    risk = simulate(workflows.discard(G), model=models.Uniform(1), n=n, replications=40_000, rng=1)
    assert_agree(risk.ratio, risk.stderr, np.array(expected) / expected[0], detects=0.2)
    assert_agree(risk.risk, risk.risk_stderr, expected, detects=0.2)


def test_with_the_real_batch_in_every_fit_the_maximum_never_moves() -> None:
    anchored = Plan(
        range(4),
        [1, 3, 2, 1],
        [[1, 0, 0, 0], [0.1, 0.9, 0, 0], [0.3, 0, 0.7, 0], [0.2, 0.3, 0.1, 0.4]],
    )
    for plan in (workflows.augment(15), anchored):
        assert np.all(derive(plan, model=models.Uniform(2), n=30, exact=False).ratio == 1)
        risk = simulate(plan, model=models.Uniform(2), n=30, replications=200, rng=2)
        assert np.all(risk.ratio == 1)


def gap(g: int) -> F:
    """E D_g^2 of the uniform's subsample by back substitution over sets of decided fits."""

    @cache
    def moments(decided: frozenset[int]) -> tuple[F, F]:
        if g in decided:
            return F(0), F(0)
        rates: dict[frozenset[int], F] = {}
        for b in {1} | {h + 1 for h in decided}:
            open_fits = [h for h in range(b, g + 1) if h not in decided]
            for reads in product((False, True), repeat=len(open_fits)):
                if any(reads):
                    chance = F(1)
                    for h, read in zip(open_fits, reads, strict=True):
                        chance *= F(1, h) if read else 1 - F(1, h)
                    state = decided | {h for h, read in zip(open_fits, reads, strict=True) if read}
                    rates[state] = rates.get(state, F(0)) + chance
        wait = 1 / sum(rates.values())
        first, second = wait, 2 * wait**2
        for state, rate in rates.items():
            if rate:
                one, two = moments(state)
                first += rate * wait * one
                second += rate * wait * (2 * wait * one + two)
        return first, second

    return moments(frozenset())[1]


def test_the_maximum_under_subsample_in_the_limit() -> None:
    """The recursion, three values worked out by hand, and the model at large n; the finite-n
    correction is of order G / n.
    """
    exact = [gap(g) / 2 for g in range(1, 7)]
    # by hand: D_2 is D_1 or, with probability one half, an exponential further on
    assert exact[:2] == [1, 2]
    assert exact[2:4] == [F(41, 16), F(71, 24)]
    risk = simulate(
        workflows.subsample(6), model=models.Uniform(1), n=720, replications=8000, rng=3
    )
    assert_agree(risk.ratio, risk.stderr, np.array(exact, float), detects=0.4, allowance=0.02)


def test_the_bound_under_subsample() -> None:
    """P(D_g < x) <= x / g exp(2 sqrt(x H_{g-1})), against a simulation of the limit: the bound may
    not be crossed beyond error.
    """
    R, G, points = 1000, 60, 48
    rng = np.random.default_rng(4)
    ends, batches = np.zeros(R), np.empty((R, G, points))
    harmonic = 0.0
    for g in range(1, G + 1):
        batches[:, g - 1] = ends[:, None] + rng.standard_exponential((R, points)).cumsum(axis=1)
        read = rng.random((R, g, points)) < 1 / g
        ends = np.where(read, batches[:, :g], np.inf).min(axis=(1, 2))
        for x in (0.1, 0.3, 1.0):
            bound = min(1.0, x / g * np.exp(2 * np.sqrt(x * harmonic)))
            # false-alarm rate below 1e-6 by Hoeffding
            assert np.mean(ends < x) <= bound + np.sqrt(np.log(180e6) / (2 * R))
        harmonic += 1 / g


@dataclass(frozen=True)
class CorrectedMaximum:
    truth = np.array([1.0])

    def draw(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        return theta * rng.random((len(theta), rows))

    def draw_real(self, replications: int, rows: int, rng: np.random.Generator) -> Array:
        return rng.random((replications, rows))

    def fit(self, rows: Array, weight: Array, start: Array | None) -> Array:
        count = (weight > 0).sum(axis=1, keepdims=True)
        return np.asarray((count + 1) / count * rows.max(axis=1, keepdims=True))

    def risk(self, theta: Array) -> Array:
        return np.asarray((theta[:, 0] - 1) ** 2)


def test_the_corrected_maximum_under_discard() -> None:
    n, G = 20, 8
    step = 1 / (n * (n + 2))
    risk = simulate(workflows.discard(G), model=CorrectedMaximum(), n=n, replications=60_000, rng=5)
    assert_agree(
        risk.risk, risk.risk_stderr, [(1 + step) ** g - 1 for g in range(1, G + 1)], detects=0.3
    )


def test_the_corrected_maximum_under_augment() -> None:
    """The limit; at n = 500 the correction is of order 1 / n."""
    G = 6
    bias, variance, expected = -1.0, 1.0, []
    for g in range(1, G + 1):
        expected.append((bias + 1 / g) ** 2 + variance)
        mean = 1 / g - 1 + np.exp(-1 / g)
        bias, variance = bias + mean, variance + 1 / g**2 - 2 / g + 2 - 2 * np.exp(-1 / g) - mean**2
    risk = simulate(
        workflows.augment(G), model=CorrectedMaximum(), n=500, replications=20_000, rng=6
    )
    assert_agree(risk.ratio, risk.stderr, expected, detects=0.15, allowance=0.01)
    assert all(
        1 <= a < b
        for a, b in zip(expected[1:], derive(workflows.augment(G)).ratio[1:], strict=True)
    )


@dataclass(frozen=True)
class Shrunk:
    mean: float
    shrinkage: float

    @property
    def truth(self) -> Array:
        return np.array([self.mean])

    def draw(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        return theta + rng.standard_normal((len(theta), rows))

    def draw_real(self, replications: int, rows: int, rng: np.random.Generator) -> Array:
        return self.mean + rng.standard_normal((replications, rows))

    def fit(self, rows: Array, weight: Array, start: Array | None) -> Array:
        return np.asarray((1 - self.shrinkage) * (weight * rows).sum(axis=1, keepdims=True))

    def risk(self, theta: Array) -> Array:
        return np.asarray((theta[:, 0] - self.mean) ** 2)


@pytest.mark.parametrize("name", ["discard", "augment"])
def test_shrinkage_compounds(name: str) -> None:
    """Closed forms by sums and products, against the tiny model."""
    n, G, shrinkage, mean = 16, 12, 0.2, 0.9
    q = 1 - shrinkage
    expected = []
    for g in range(1, G + 1):
        if name == "discard":
            centre, spread = q**g, sum(q ** (2 * k) for k in range(1, g + 1))
        else:
            decay = [
                np.prod([1 - shrinkage / j for j in range(k + 1, g + 1)]) for k in range(1, g + 1)
            ]
            centre, spread = q * decay[0], q**2 * sum(d**2 / k**2 for k, d in enumerate(decay, 1))
        expected.append(mean**2 * (1 - centre) ** 2 + spread / n)
    risk = simulate(
        getattr(workflows, name)(G), model=Shrunk(mean, shrinkage), n=n, replications=30_000, rng=7
    )
    assert_agree(risk.risk, risk.risk_stderr, expected, detects=0.12)


def test_shrinkage_at_a_fixed_n_has_an_end() -> None:
    """Under augment mean and noise sink to 0: the ratio rises to one over the first risk."""
    n, s = 100, 0.1
    first = s**2 + (1 - s) ** 2 / n
    centre, noise, ratio = 1 - s, (1 - s) ** 2 / n, []
    for g in range(2, 10**6):
        centre, noise = centre * (1 - s / g), noise * (1 - s / g) ** 2 + (1 - s) ** 2 / (n * g**2)
        if g in (30, 1000, 10**6 - 1):
            ratio.append(((1 - centre) ** 2 + noise) / first)
    assert ratio == sorted(ratio)
    assert np.pi**2 / 6 < ratio[0] < ratio[-1] < 1 / first
    assert round(1 / first) == 55
    # what is left falls like a power of g, 1 - s / k multiplied up
    assert centre == pytest.approx((1 - s) * 10 ** (-6 * s) / gamma(2 - s), rel=1e-3)


def test_bias_adds_up_straight() -> None:
    """(I - A)^-1 1 is g under discard, the harmonic number under augment and subsample, below 2
    with half real.
    """

    def total(plan: Plan) -> list[F]:
        sums: list[F] = []
        for row in plan.feedback(exact=True):
            sums.append(1 + sum(a * s for a, s in zip(row, sums, strict=False)))
        return sums

    harmonic = [sum(F(1, k) for k in range(1, g + 1)) for g in range(1, 13)]
    assert total(workflows.discard(12)) == list(range(1, 13))
    assert total(workflows.augment(12)) == harmonic
    assert total(workflows.subsample(12)) == harmonic
    half = F(1, 2)
    plan = Plan(
        range(4),
        [1] * 4,
        [[1, 0, 0, 0], [half, half, 0, 0], [half, 0, half, 0], [half, 0, 0, half]],
    )
    assert total(plan) == [1, F(3, 2), F(7, 4), F(15, 8)]


def test_separation_ends_every_chain_of_discard_and_none_of_augment() -> None:
    """Six design points: the chance is at least 2^-6 in each generation, so at most (1 - 2^-6)^G
    survive; Hoeffding at 1e-6.
    """
    x = np.linspace(-1, 1, 6)
    X = np.column_stack([np.ones(6), x])
    R, G = 300, 60
    lost = simulate(
        workflows.discard(G),
        model=models.LogisticRegression(X, np.array([0.0, 0.5])),
        replications=R,
        rng=8,
    ).failed
    assert np.all(np.diff(lost) >= 0)
    assert lost[-1] >= 1 - (1 - 2.0**-6) ** G - np.sqrt(np.log(1e6) / (2 * R))
    lost = simulate(
        workflows.augment(20),
        model=models.LogisticRegression(X, np.array([0.0, 0.5])),
        replications=R,
        rng=8,
    ).failed
    assert 0 < lost[0] < 1
    assert np.all(lost == lost[0])


@dataclass(frozen=True)
class ShiftedExponential:
    """Exercises 1 and 2: the minimum, less a / n."""

    correction: float
    truth = np.array([0.0])

    def draw(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        return theta + rng.standard_exponential((len(theta), rows))

    def draw_real(self, replications: int, rows: int, rng: np.random.Generator) -> Array:
        return rng.standard_exponential((replications, rows))

    def fit(self, rows: Array, weight: Array, start: Array | None) -> Array:
        return np.asarray(rows.min(axis=1, keepdims=True) - self.correction / rows.shape[1])

    def risk(self, theta: Array) -> Array:
        return np.asarray(theta[:, 0] ** 2)


@pytest.mark.parametrize("a", [0.0, 0.5, 1.0, 2.0])
def test_a_moving_start_exercise(a: float) -> None:
    """At five rows: g(g + 1)/2 without a correction, least with a = 1."""
    n, g = 5, np.arange(1, 9)
    expected = (g + g**2 * (a - 1) ** 2) / (1 + (a - 1) ** 2)
    risk = simulate(
        workflows.discard(8), model=ShiftedExponential(a), n=n, replications=40_000, rng=9
    )
    assert_agree(risk.ratio, risk.stderr, expected, detects=0.2)
    assert np.all(expected >= g)
