"""The formulas of the chapter on the Gaussian limit, typed once more, and what its proofs rest on
(error rates in tests/statistics.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction as F

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.stats import laplace, logistic, norm, uniform

from collapse import Plan, derive, models, simulate, workflows
from tests.statistics import assert_agree

Array = NDArray[np.float64]


def with_slope(plan: Plan, slope: F) -> list[F]:
    """Ratio of u = slope A u + N by forward substitution in fractions, one pair of fits at a
    time.
    """
    A, K, G = plan.feedback(exact=True), plan.noise(exact=True), plan.generations
    # loads[g][h]: how much of N_h stands in u_g
    loads = [[F(0)] * G for _ in range(G)]
    for g in range(G):
        loads[g][g] = F(1)
        for s in range(g):
            for h in range(s + 1):
                loads[g][h] += slope * A[g][s] * loads[s][h]
    variance = [
        sum(loads[g][i] * K[i][j] * loads[g][j] for i in range(G) for j in range(G))
        for g in range(G)
    ]
    return [v / variance[0] for v in variance]


def test_slope_one_is_the_law() -> None:
    for plan in (
        workflows.discard(6),
        workflows.augment(6),
        workflows.subsample(6),
        workflows.window(6, 2),
    ):
        assert with_slope(plan, F(1)) == derive(plan, exact=True).ratio.tolist()


def test_hodges_under_discard_by_its_closed_form() -> None:
    a = F(1, 2)
    assert with_slope(workflows.discard(8), a) == [
        (1 - a ** (2 * g)) / (1 - a**2) for g in range(1, 9)
    ]


@pytest.mark.parametrize("name", ["discard", "augment"])
def test_hodges_at_zero_is_not_regular(name: str) -> None:
    """n = 2500: the mean leaves the window with probability below 1e-3, the allowance is for
    that.
    """
    plan = getattr(workflows, name)(6)
    risk = simulate(plan, model=models.Hodges(0.0, 0.5), n=2500, replications=2500, rng=1)
    assert_agree(
        risk.ratio,
        risk.stderr,
        np.array(with_slope(plan, F(1, 2)), float),
        detects=0.5,
        allowance=0.01,
    )
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
    np.testing.assert_allclose(
        models.Hodges(0.0, 0.5).fit(rows, weight, None).ravel(), [0.35, 0.71]
    )
    for shrinkage in (0.0, 1.0):
        with pytest.raises(ValueError, match=r"shrinkage must be a number, between 0 and 1"):
            models.Hodges(0.0, shrinkage)


@pytest.mark.parametrize(("estimator", "slope"), [("median", 1.0), ("hodges", 0.5)])
def test_the_tilt_shifts_by_gamma_h(estimator: str, slope: float) -> None:
    """Normal rows: the likelihood ratio is exact, so reweighted means of the scaled error are Gamma
    h at every n but for o(1).
    """
    n, h, R = 401, 1.0, 40_000
    rng = np.random.default_rng(3)
    means = rng.standard_normal(R) / np.sqrt(n)
    error = means.copy()
    if estimator == "median":
        # given its mean a normal sample is the mean plus an independent sample of residuals; their
        # median, from fresh rows
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


QUANTILES = np.array(
    [
        brentq(lambda x, p=p: norm.cdf(x - 1) + norm.cdf(x + 1) - 2 * p, -9, 9)
        for p in (np.arange(300) + 0.5) / 300
    ]
)


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
        return np.asarray(
            (weight * rows).sum(axis=1, keepdims=True) / weight.sum(axis=1, keepdims=True)
        )

    def risk(self, theta: Array) -> Array:
        return np.asarray((theta[:, 0] - 1) ** 2)


def test_the_labels_share_of_the_information() -> None:
    """J as an integral, as the variance of labels, and as one less the variance of the conditional
    mean.
    """

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
        np.testing.assert_allclose(
            expected, [(1 - float(J) ** (2 * g)) / (1 - float(J) ** 2) for g in range(1, 9)]
        )
    risk = simulate(plan, model=NaiveBayes(), replications=12_000, rng=4)
    assert_agree(risk.ratio, risk.stderr, expected, detects=0.25, allowance=0.02)


def test_naive_bayes_over_random_designs() -> None:
    """The closed form, by the recursion d (1 + J u) + noise in fractions."""
    J = F(1, 4)
    load, labels = F(0), F(0)
    for g in range(1, 10):
        load, labels = 1 + J * load, J**2 * labels + J
        assert load**2 * (1 - J) + labels == (1 - J**g) ** 2 / (1 - J) + J * (1 - J ** (2 * g)) / (
            1 - J**2
        )


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


@pytest.mark.parametrize("name", ["logistic", "laplace"])
def test_the_log_likelihood_ratio_is_that_of_a_normal_shift(name: str) -> None:
    """h_n = 1 + 1/sqrt n: the remainder goes to 0, and the score's mean has the information."""
    law = {"logistic": logistic, "laplace": laplace}[name]
    information = {"logistic": 1 / 3, "laplace": 1.0}[name]

    def score(x: Array) -> Array:
        return np.tanh(x / 2) if name == "logistic" else np.sign(x)

    left = []
    for n in (100, 10_000):
        rows = law.rvs(size=(800, n), random_state=5)
        h = 1 + n**-0.5
        ratio = (law.logpdf(rows - h * n**-0.5) - law.logpdf(rows)).sum(axis=1)
        delta = score(rows).sum(axis=1) * n**-0.5
        left.append(np.sqrt(np.mean((ratio - h * delta + h * h * information / 2) ** 2)))
    assert left[1] < 0.5 * left[0] < 0.2
    square = delta**2
    assert_agree(square.mean(), square.std() / np.sqrt(800), information, detects=0.6)


def test_the_tilt_of_a_gaussian_by_quadrature() -> None:
    V, information, gamma, h = 2.0, 1.5, -0.8, 0.7
    root = np.linalg.cholesky(np.array([[V, gamma], [gamma, information]]))
    z, w = np.polynomial.hermite_e.hermegauss(60)
    grid, mass = np.array(np.meshgrid(z, z)).reshape(2, -1), np.outer(w, w).ravel() / (2 * np.pi)
    x, delta = root @ grid
    mass = mass * np.exp(h * delta - h * h * information / 2)
    assert mass.sum() == pytest.approx(1)
    centre = [mass @ x, mass @ delta]
    np.testing.assert_allclose(centre, [gamma * h, information * h])
    spread = np.cov(np.array([x, delta]), aweights=mass, ddof=0)
    np.testing.assert_allclose(spread, [[V, gamma], [gamma, information]], atol=1e-9)


def test_hodges_improves_under_augment_at_zero() -> None:
    """Below the first fit from the second on; in the end like g^(-2 (1 - a))."""

    def ratios(a: F, G: int) -> list[F]:
        """u_g = (1 - (1 - a) / g) u_(g-1) + Z_g / g."""
        found = [a / a]
        for g in range(2, G + 1):
            found.append((1 - (1 - a) / g) ** 2 * found[-1] + (a / a) / g**2)
        return found

    half = with_slope(workflows.augment(8), F(1, 2))
    assert half == ratios(F(1, 2), 8)
    assert max(half[1:]) < 1
    for a in (0.6, 0.9):
        G = 20_000
        long = np.array(ratios(a, G), float)
        levels = long[[G // 4 - 1, G - 1]] * np.array([G / 4, G]) ** (2 - 2 * a)
        assert levels[0] == pytest.approx(levels[1], rel=0.05)


@pytest.mark.parametrize(("c", "order"), [(0.5, -0.5), (-0.9, -0.5), (1.0, -0.5), (1.5, -1.0)])
def test_hodges_near_zero_has_a_risk_of_a_larger_order(c: float, order: float) -> None:
    """By integration over the mean, exactly normal; outside of the window it is the mean's."""

    def risk(n: float, a: float = 0.5) -> float:
        theta, edge = c * n**-0.25, n**-0.25
        z = np.linspace(-9, 9, 200_001)
        mean = theta + z / np.sqrt(n)
        error = np.where(np.abs(mean) <= edge, a, 1) * mean - theta
        return float((error**2 * norm.pdf(z)).sum() * (z[1] - z[0]))

    slope = np.log(risk(1e10) / risk(1e8)) / np.log(100)
    assert slope == pytest.approx(order, abs=0.02)


@pytest.mark.parametrize("name", ["discard", "augment"])
def test_quantiles_have_the_ratio_of_the_law(name: str) -> None:
    """Poisson means: the loss is a square, and its quantiles are those of the law's square."""
    plan, levels = getattr(workflows, name)(6), np.array([0.25, 0.5, 0.9])
    errors = []
    for seed in range(20):
        rows = {"model": models.Poisson(50), "n": 400, "quantiles": levels}
        risk = simulate(plan, replications=2500, rng=seed, **rows)
        errors.append(risk.quantiles[:, -1] / risk.quantiles[:, 0])
    found = np.log(errors)
    expected = np.log(derive(plan).ratio[-1])
    stderr = found.std(axis=0, ddof=1) / np.sqrt(20)
    assert_agree(found.mean(axis=0), stderr, [expected] * 3, detects=0.7, allowance=0.02)


def test_uniform_laws_a_row_beyond_the_end() -> None:
    """All rows below theta: a chance that tends to exp(-h / theta), and its inverse the density."""
    theta, h, n = 2.0, 3.0, 10**6
    below = uniform(0, theta + h / n).cdf(theta) ** n
    assert below == pytest.approx(np.exp(-h / theta), rel=1e-5)
    density = (uniform(0, theta).pdf(1) / uniform(0, theta + h / n).pdf(1)) ** n
    assert density == pytest.approx(np.exp(h / theta), rel=1e-5)
