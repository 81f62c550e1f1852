"""The formulas of the chapter on the Gaussian limit, typed once more, and what its proofs rest on (error rates in tests/statistics.py)."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction as F

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.stats import norm

from collapse import Plan, derive, models, simulate, workflows
from tests.statistics import assert_agree

Array = NDArray[np.float64]


def with_slope(plan: Plan, slope: F) -> list[F]:
    """Ratio of u = slope A u + N by forward substitution in fractions, one pair of fits at a time."""
    A, K, G = plan.feedback(exact=True), plan.noise(exact=True), plan.generations
    # loads[g][h]: how much of N_h stands in u_g
    loads = [[F(0)] * G for _ in range(G)]
    for g in range(G):
        loads[g][g] = F(1)
        for s in range(g):
            for h in range(s + 1):
                loads[g][h] += slope * A[g][s] * loads[s][h]
    variance = [sum(loads[g][i] * K[i][j] * loads[g][j] for i in range(G) for j in range(G)) for g in range(G)]
    return [v / variance[0] for v in variance]


def test_slope_one_is_the_law() -> None:
    for plan in (workflows.discard(6), workflows.augment(6), workflows.subsample(6), workflows.window(6, 2)):
        assert with_slope(plan, F(1)) == derive(plan, exact=True).ratio.tolist()


def test_hodges_under_discard_by_its_closed_form() -> None:
    a = F(1, 2)
    assert with_slope(workflows.discard(8), a) == [(1 - a ** (2 * g)) / (1 - a**2) for g in range(1, 9)]


@pytest.mark.parametrize("name", ["discard", "augment"])
def test_hodges_at_zero_is_not_regular(name: str) -> None:
    """n = 2500: the mean leaves the window with probability below 1e-3, the allowance is for that."""
    plan = getattr(workflows, name)(6)
    risk = simulate(plan, model=models.Hodges(0.0, 0.5), n=2500, replications=2500, rng=1)
    assert_agree(risk.ratio, risk.stderr, np.array(with_slope(plan, F(1, 2)), float), detects=0.5, allowance=0.01)
    assert abs(risk.ratio[-1] - derive(plan).ratio[-1]) > 6 * risk.stderr[-1]


def test_hodges_elsewhere_is_the_mean() -> None:
    theta = np.full((300, 1), 1.0)
    rows = models.Hodges(1.0).draw(theta, 400, np.random.default_rng(2))
    weight = np.ones(rows.shape)
    np.testing.assert_allclose(models.Hodges(1.0).fit(rows, weight, None)[:, 0], rows.mean(axis=1))
    assert models.Hodges(1.0).limit_risk == 1
    assert models.Hodges(0.0, 0.3).limit_risk == pytest.approx(0.09)


def test_hodges_window_is_by_effective_rows() -> None:
    """Four rows of weight 1 and many of weight 0: the window is 4^(-1/4), about 0.707."""
    rows = np.zeros((2, 10))
    rows[0, :4], rows[1, :4] = 0.70, 0.71
    weight = np.zeros((2, 10))
    weight[:, :4] = 3.0
    np.testing.assert_allclose(models.Hodges(0.0, 0.5).fit(rows, weight, None).ravel(), [0.35, 0.71])
    for shrinkage in (0.0, 1.0):
        with pytest.raises(ValueError, match=r"shrinkage must be a number, between 0 and 1"):
            models.Hodges(0.0, shrinkage)


@pytest.mark.parametrize(("estimator", "slope"), [("median", 1.0), ("hodges", 0.5)])
def test_the_tilt_shifts_by_gamma_h(estimator: str, slope: float) -> None:
    """Normal rows: the likelihood ratio is exact, so reweighted means of the scaled error are Gamma h at every n but for o(1)."""
    n, h, R = 401, 1.0, 40_000
    rng = np.random.default_rng(3)
    means = rng.standard_normal(R) / np.sqrt(n)
    error = means.copy()
    if estimator == "median":
        # given its mean a normal sample is the mean plus an independent sample of residuals; their median, from fresh rows
        rows = rng.standard_normal((4000, n))
        residual = np.median(rows - rows.mean(axis=1, keepdims=True), axis=1)
        error = means + rng.choice(residual, R)
    else:
        error[np.abs(means) <= n**-0.25] *= 0.5
    weight = np.exp(h * np.sqrt(n) * means - h * h / 2)
    values = weight * np.sqrt(n) * error
    assert_agree(weight.mean(), weight.std() / np.sqrt(R), 1.0, detects=0.1)
    assert_agree(values.mean(), values.std() / np.sqrt(R), slope * h, detects=0.2, allowance=0.02)


def test_the_logistic_laws_constants() -> None:
    """Information 1/3, density 1/4 at the median, and E[psi s] = 1 for the median."""

    def density(x: float) -> float:
        return float(1 / (4 * np.cosh(x / 2) ** 2))

    def score(x: float) -> float:
        return float(np.tanh(x / 2))

    information = quad(lambda x: score(x) ** 2 * density(x), -60, 60)[0]
    assert information == pytest.approx(1 / 3)
    gamma = 2 * quad(lambda x: 2 * score(x) * density(x), 0, 60)[0]
    assert gamma == pytest.approx(1)
    assert models.Median("logistic").limit_risk == pytest.approx(4)


QUANTILES = np.array([brentq(lambda x, p=p: norm.cdf(x - 1) + norm.cdf(x + 1) - 2 * p, -9, 9) for p in (np.arange(300) + 0.5) / 300])


@dataclass(frozen=True)
class NaiveBayes:
    design_rows = 300

    @property
    def truth(self) -> Array:
        return np.array([1.0])

    def draw(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        chance = 1 / (1 + np.exp(-2 * theta * QUANTILES))
        return np.where(rng.random(chance.shape) < chance, QUANTILES, -QUANTILES)

    def draw_real(self, replications: int, rows: int, rng: np.random.Generator) -> Array:
        return self.draw(np.ones((replications, 1)), rows, rng)

    def fit(self, rows: Array, weight: Array, start: Array | None) -> Array:
        return np.asarray((weight * rows).sum(axis=1, keepdims=True) / weight.sum(axis=1, keepdims=True))

    def risk(self, theta: Array) -> Array:
        return np.asarray((theta[:, 0] - 1) ** 2)


def test_the_labels_share_of_the_information() -> None:
    """J as an integral, as the variance of labels, and as one less the variance of the conditional mean."""

    def mixture(x: float) -> float:
        return float(norm.pdf(x - 1) + norm.pdf(x + 1)) / 2

    J = quad(lambda x: x**2 / np.cosh(x) ** 2 * mixture(x), -12, 12)[0]
    conditional = quad(lambda x: (x * np.tanh(x) - 1) ** 2 * mixture(x), -12, 12)[0]
    np.testing.assert_allclose(J, 1 - conditional)
    assert quad(lambda x: (x * np.tanh(x)) * mixture(x), -12, 12)[0] == pytest.approx(1)
    assert np.mean(QUANTILES**2 / np.cosh(QUANTILES) ** 2) == pytest.approx(J, abs=2e-3)


@pytest.mark.parametrize("name", ["discard", "augment"])
def test_naive_bayes_on_a_reused_design_obeys_another_law(name: str) -> None:
    plan = getattr(workflows, name)(8)
    J = F(float(np.mean(QUANTILES**2 / np.cosh(QUANTILES) ** 2))).limit_denominator(10**6)
    expected = np.array(with_slope(plan, J), float)
    if name == "discard":
        np.testing.assert_allclose(expected, [(1 - float(J) ** (2 * g)) / (1 - float(J) ** 2) for g in range(1, 9)])
    risk = simulate(plan, model=NaiveBayes(), replications=12_000, rng=4)
    assert_agree(risk.ratio, risk.stderr, expected, detects=0.25, allowance=0.02)


def test_naive_bayes_over_random_designs() -> None:
    """The closed form, by the recursion d (1 + J u) + noise in fractions."""
    J = F(1, 4)
    load, labels = F(0), F(0)
    for g in range(1, 10):
        load, labels = 1 + J * load, J**2 * labels + J
        assert load**2 * (1 - J) + labels == (1 - J**g) ** 2 / (1 - J) + J * (1 - J ** (2 * g)) / (1 - J**2)


@pytest.mark.parametrize(("cut", "value"), [(1, 1.62), (4, 2.94), (25, 8.09)])
def test_a_risk_truncated_at_a_fixed_value_has_a_smaller_ratio(cut: float, value: float) -> None:
    """At C = 10 and 1/10; truncated at a multiple of its own quantile it has the law's."""

    def mean(scale: float, most: float) -> float:
        a = np.sqrt(most / scale)
        return 2 * float(quad(lambda z: scale * z * z * norm.pdf(z), 0, a)[0] + most * norm.sf(a))

    assert mean(10, cut) / mean(1, cut) == pytest.approx(value, abs=0.005)
    assert 0.1 < mean(0.1, cut) / mean(1, cut) < 1
    level = float(norm.isf(0.05) ** 2)
    assert mean(10, 10 * level) / mean(1, level) == pytest.approx(10)
