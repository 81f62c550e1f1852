"""Formulas of the chapter "Generalised linear models", typed here once more, against derive and
simulate.
"""

import numpy as np
import pytest

from collapse import derive, simulate
from collapse.models import (
    GammaRegression,
    HuberRegression,
    NegativeBinomialRegression,
    PoissonRegression,
    ProbitRegression,
)
from collapse.workflows import augment, discard, window
from tests.statistics import assert_agree


def design(n, p, seed=1):
    return np.column_stack([np.ones(n), np.random.default_rng(seed).uniform(-1, 1, (n, p - 1))])


def harmonic(G):
    return np.cumsum(1 / np.arange(1, G + 1) ** 2)


@pytest.mark.parametrize(
    "build",
    [
        lambda X: ProbitRegression(X, [0.2, 0.4, -0.3]),
        lambda X: NegativeBinomialRegression(X, [1, 0.4, -0.3], size=2),
        lambda X: HuberRegression(X, [1, 0.4, -0.3], sigma=1),
    ],
    ids=["probit", "negative binomial", "Huber"],
)
def test_one_law(build):
    """The ratio of augment at n = 400, up to 4 %."""
    np.testing.assert_allclose(derive(augment(6)).ratio, harmonic(6), rtol=1e-12)
    risk = simulate(augment(6), model=build(design(400, 3)), replications=700, rng=2)
    assert_agree(risk.ratio, risk.stderr, harmonic(6), detects=0.4, allowance=0.04)


def test_covariance_of_the_coefficients():
    """n Cov(theta_2) under augment is 5/4 J^-1, J the mean of mu'^2 / V x x' = mu^2 / (mu^2 / a) x
    x' for the gamma, n = 400.
    """
    X, a, R, n = design(400, 2), 2.0, 10_000, 400
    model = GammaRegression(X, [0.5, 0.8], shape=a)
    rng = np.random.default_rng(3)
    real = model.draw_real_statistic(R, n, rng)
    first = model.fit_statistic(real, None)
    second = model.fit_statistic((real + model.draw_statistic(first, n, rng)) / 2, first)
    expected = 1.25 * np.diag(np.linalg.inv(a * X.T @ X / n))
    square = n * (second - model.truth) ** 2
    assert_agree(
        square.mean(axis=0), square.std(axis=0) / np.sqrt(R), expected, detects=0.2, allowance=0.02
    )


def test_huber_constant():
    k, z = 1.345, np.random.default_rng(4).standard_normal(4_000_000)
    B = np.mean(np.clip(z, -k, k) ** 2) / np.mean(np.abs(z) <= k) ** 2
    assert HuberRegression(design(50, 3), [0, 0, 0], sigma=2).limit_risk == pytest.approx(
        4 * 3 * B, rel=0.01
    )


def extinction(m, G):
    q = [0.0]
    for _ in range(G - 1):
        q.append(np.exp(q[-1] - 1))
    return np.exp(-m * (1 - np.array(q)))


def test_counts_die_like_family_names():
    n, G, R = 12, 25, 20_000
    risk = simulate(
        discard(G), model=PoissonRegression(np.ones((n, 1)), [np.log(0.8)]), replications=R, rng=5
    )
    expected = extinction(0.8 * n, G)
    # from the generation on where one chain in twenty is gone
    late = expected > 0.05
    assert_agree(
        risk.failed[late],
        np.sqrt(expected * (1 - expected) / R)[late],
        expected[late],
        detects=0.35,
    )
    k = np.arange(400)
    rest = 1 + np.log(extinction(1.0, 400))
    assert np.all(1 - rest >= 1 / (k + 1) - 1e-12)
    assert np.all(1 - rest <= 2 / (k + 2) + 1e-12)


def test_keep_the_real_data_and_you_keep_the_estimate():
    model = PoissonRegression(design(8, 2), [-0.7, 0.5])
    kept, lost = (
        simulate(plan(15), model=model, replications=3000, rng=6).failed
        for plan in (augment, discard)
    )
    assert 0 < kept[0] == kept[-1]
    assert np.all(np.diff(lost) >= 0)
    assert lost[-1] > 0.5


def test_a_window_dies_more_slowly():
    model = PoissonRegression(np.ones((6, 1)), [0.0])
    short, wide = (
        simulate(plan, model=model, replications=3000, rng=7).failed
        for plan in (discard(60), window(60, 3))
    )
    assert 0.05 < wide[-1] < 0.9 * short[-1]
    assert np.all(np.diff(wide) >= 0)


def test_drift_of_a_biased_score_exercise():
    """Medians of exponential errors: the constant climbs by log 2 a generation under discard."""
    n, R, G = 4001, 400, 4
    rng = np.random.default_rng(8)
    constant = np.zeros(R)
    for _ in range(G):
        constant = np.median(constant[:, None] + rng.exponential(size=(R, n)), axis=1)
    assert_agree(constant.mean(), constant.std() / np.sqrt(R), G * np.log(2), detects=0.01)


def test_negative_binomial_information_exercise():
    """mu r / (r + mu), between 0 and the Poisson's mu."""
    model = NegativeBinomialRegression(design(20, 2), [1, 0.5], size=3)
    mean = np.array([0.1, 1, 10])
    np.testing.assert_allclose(mean**2 / model.family.variance(mean), mean * 3 / (3 + mean))
    assert model.limit_risk == 1


@pytest.mark.parametrize("build", [GammaRegression, HuberRegression])
def test_gamma_and_huber_never_run_out_of_estimates(build):
    extra = {"shape": 1} if build is GammaRegression else {"sigma": 1}
    model = build(design(10, 2), [0.5, 0.5], **extra)
    risk = simulate(discard(12), model=model, replications=300, rng=8)
    assert not risk.failed.any()


@pytest.mark.parametrize(
    "curvature",
    [
        lambda m: np.exp(m) / (1 + np.exp(m)) ** 2,
        np.exp,
        lambda m: 3 * np.exp(-m),
        lambda m: (3 + 2) * 2 * np.exp(m) / (2 + np.exp(m)) ** 2,
    ],
    ids=["logistic", "Poisson", "gamma", "negative binomial"],
)
def test_self_concordance(curvature):
    """Second derivatives of the negative log likelihoods, labels 3 and size 2 where they matter."""
    margins = np.linspace(-8, 8, 321)
    for step in (0.01, 0.5, 3.0):
        factor = curvature(margins + step) / curvature(margins)
        assert np.all(abs(np.log(factor)) <= step * (1 + 1e-9))


@pytest.mark.parametrize("size", [0.5, 2, 50])
def test_the_limit_risk_of_the_negative_binomial_is_that_of_any_size(size):
    model = NegativeBinomialRegression(design(60, 3), [1, 0.4, -0.3], size=size)
    assert model.limit_risk == pytest.approx(3 / 2, rel=1e-9)
