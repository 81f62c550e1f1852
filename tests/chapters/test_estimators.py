"""Formulas of the chapter "Other estimators", typed here once more, against derive and simulate."""

from math import pi

import numpy as np
import pytest
from scipy.special import exp1, psi, zeta
from scipy.stats import invgamma

from collapse import derive, models, simulate
from collapse.workflows import augment, discard, subsample
from tests.statistics import assert_agree

pytestmark = pytest.mark.statistical


@pytest.mark.parametrize(
    "model",
    [
        models.Median("student"),
        models.TrimmedMean("student", trim=0.01),
        models.Huber("student"),
        models.NormalMeanVariance(1, 4),
        models.InverseGaussian(1, 2),
        models.GammaMoments(1, 1),
    ],
    ids=repr,
)
@pytest.mark.parametrize("workflow", [augment, subsample])
def test_risk_is_level_times_ratio(model, workflow):
    """n = 151: the median's first correction is 1 / sqrt(2 pi n) = 3 per cent, others are of order
    1 / n.
    """
    n, plan = 151, workflow(4)
    level = np.trace(model.risk_hessian @ model.influence_covariance) / 2
    risk = simulate(plan, model=model, n=n, replications=10_000, rng=1)
    # sums of harmonic squares, typed: the covariance of the plan is not used
    h = np.array([1, 5 / 4, 49 / 36, 205 / 144])
    ratio = h if workflow is augment else 3 * h - 2
    np.testing.assert_allclose(derive(plan).ratio, ratio)
    assert_agree(n * risk.risk, n * risk.risk_stderr, level * ratio, detects=0.35, allowance=0.06)


def test_levels_of_location_in_closed_form():
    assert models.Median("logistic").limit_risk == pytest.approx(4)
    assert models.HodgesLehmann("logistic").limit_risk == pytest.approx(3)
    assert models.HodgesLehmann("normal").limit_risk == pytest.approx(pi / 3)
    assert models.Median("laplace").limit_risk == pytest.approx(1)
    # clip(x, -k, k) under exp(-|x|) / 2: E min(|x|, k)^2 = 2 - 2 (1 + k) exp(-k)
    k = 1.345
    assert models.Huber("laplace").limit_risk == pytest.approx(
        (2 - 2 * (1 + k) * np.exp(-k)) / (1 - np.exp(-k)) ** 2
    )
    # the quantile at 1 - trim is -log(2 trim)
    q = -np.log(0.2)
    assert models.TrimmedMean("laplace").limit_risk == pytest.approx(
        (2 - 2 * (1 + q) * np.exp(-q)) / 0.64
    )


@pytest.mark.parametrize(
    "model",
    [models.Huber("student"), models.HodgesLehmann("laplace"), models.TrimmedMean("normal")],
    ids=repr,
)
def test_discard_with_known_scale_has_ratio_g_at_ten_rows(model):
    risk = simulate(discard(5), model=model, n=10, replications=30_000, rng=2)
    assert_agree(risk.ratio, risk.stderr, [1, 2, 3, 4, 5], detects=0.2)


def test_level_of_maximum_likelihood_is_half_the_parameters():
    for model in (
        models.NormalMeanVariance(3, 2),
        models.InverseGaussian(2, 5),
        models.GammaShapeRate(3, 4),
        models.Beta(0.7, 2),
    ):
        assert model.limit_risk == pytest.approx(1)


@pytest.mark.parametrize("n", [20, 60])
def test_normal_under_discard(n):
    """Generation by generation: narrowing, surprise, and the drift of the mean."""
    G, r, expected = 5, n / (n - 3), []
    for g in range(1, G + 1):
        narrowing = g * (psi((n - 1) / 2) - np.log(n / 2))
        expected.append((r**g - 1 + narrowing + sum(r**j for j in range(1, g + 1)) / n) / 2)
    risk = simulate(
        discard(G), model=models.NormalMeanVariance(-1, 3), n=n, replications=300_000, rng=3
    )
    assert_agree(risk.risk, risk.risk_stderr, expected, detects=0.08)


@pytest.mark.parametrize("a", [0.3, 1, 2.5, 40])
@pytest.mark.parametrize("rate", [0.1, 3])
def test_level_of_moments(a, rate):
    """The trigamma function as a sum over 1 / (a + k)^2, the Hurwitz zeta function at 2."""
    level = a * (a + 1) * zeta(2, a) - a - 0.5
    model = models.GammaMoments(a, rate)
    assert model.limit_risk == pytest.approx(level)
    assert level > 1
    if a == 1:
        assert level == pytest.approx(pi**2 / 3 - 1.5)
    if a == 40:
        assert level == pytest.approx(1 + 2 / (3 * a), abs=a**-2)


class SignedRate(models.ExponentialRate):
    def risk(self, theta):
        return self.deviation(theta)[:, 0]


def test_bias_follows_the_ratio():
    """n = 200: the next term is of relative order ratio / n, two per cent."""
    n = 200
    for workflow, ratio in (
        (discard, [1, 2, 3]),
        (augment, [1, 5 / 4, 49 / 36]),
        (subsample, [1, 7 / 4, 25 / 12]),
    ):
        risk = simulate(
            workflow(3),
            model=SignedRate(2),
            n=n,
            replications=200_000 if workflow is not subsample else 30_000,
            rng=4,
        )
        bias = np.array(ratio) * 2 / n
        assert_agree(
            risk.risk,
            risk.risk_stderr,
            bias,
            detects=0.4 if workflow is not subsample else 0.99,
            allowance=0.03,
        )


def test_rate_exactly():
    n, G = 30, 4
    g = np.arange(1, G + 1)
    expected = (n * n / (n - 1) / (n - 2)) ** g - 2 * (n / (n - 1)) ** g + 1
    risk = simulate(discard(G), model=models.ExponentialRate(2), n=n, replications=300_000, rng=5)
    assert_agree(risk.risk / 4, risk.risk_stderr / 4, expected, detects=0.06)
    ratio = expected / expected[0]
    np.testing.assert_allclose(ratio, g * (1 + 7 * (g - 1) / (2 * n)), rtol=60 / n**2 * G)


def test_rate_under_augment_for_three_rows_and_two_generations():
    """E[6 / (3 + G)] for a gamma variate G of shape 3 by the exponential integral: E[1/(z + G)] =
    e^z E_3(z) there.
    """
    z = 3.0
    second = np.exp(z) * ((np.exp(-z) * (1 - z) + z * z * exp1(z)) / 2)
    mean = [3 / 2, 3 / 2 * 6 * second]
    risk = simulate(augment(2), model=SignedRate(1), n=3, replications=2_000_000, rng=6)
    assert_agree(1 + risk.risk, risk.risk_stderr, mean, detects=0.02)


def test_a_mean_that_trims_less_is_further_from_the_others():
    others = [models.Median("student"), models.HodgesLehmann("student"), models.Huber("student")]
    others = [model.limit_risk for model in others]
    little, more = (models.TrimmedMean("student", trim=trim).limit_risk for trim in (0.01, 0.1))
    assert np.ptp([*others, little]) > np.ptp([*others, more])


def test_the_mean_of_two_medians_has_the_level_of_one_exercise():
    rows = np.random.default_rng(7).standard_normal((5000, 2, 1001))
    square = 2002 * np.median(rows, axis=2).mean(axis=1) ** 2
    assert_agree(square.mean(), square.std() / np.sqrt(5000), pi / 2, detects=0.2, allowance=0.005)


def test_a_shrunken_mean_settles_about_zero_exercise():
    """The recursion of a plain chain of means, and its bound."""
    n, kept, truth, R = 5, 0.8, 3.0, 40_000
    rng, fit, variance = np.random.default_rng(8), np.full(40_000, truth), 0.0
    for g in range(1, 13):
        fit = kept * (fit + rng.standard_normal(R) / np.sqrt(n))
        variance = kept**2 * (variance + 1 / n)
        assert variance < 1 / (n * (1 - kept**2))
        error = np.sqrt(variance / R)
        assert_agree(fit.mean() / truth, error / truth, kept**g, detects=0.8)
    square = (fit - fit.mean()) ** 2
    assert_agree(square.mean(), square.std() / np.sqrt(R), variance, detects=0.08)


@pytest.mark.parametrize("n", [20, 400])
def test_the_rate_without_bias_exercise(n):
    factor = invgamma(n, scale=n - 1)
    assert factor.mean() == pytest.approx(1)
    assert factor.moment(2) == pytest.approx((n - 1) / (n - 2))
    g = np.arange(1, 6)
    error = ((n - 1) / (n - 2)) ** g - 1
    np.testing.assert_allclose(error / error[0], g * (1 + (g - 1) / (2 * n)), rtol=12 / n**2)


def test_the_ends_of_hubers_constant_exercise():
    assert models.Huber("normal", k=0.01).limit_risk == pytest.approx(pi / 2, rel=0.01)
    assert models.Huber("normal", k=3).limit_risk == pytest.approx(1, rel=0.01)
