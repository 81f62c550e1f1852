"""Formulas of the chapter "Regression", typed here once more, against derive and simulate."""

import numpy as np
import pytest

from collapse import derive, simulate
from collapse.derivation.equivalent import deterministic_equivalent
from collapse.models import LinearRegression, LogisticRegression, RandomDesignRegression
from collapse.plan import Plan
from collapse.workflows import augment, discard, subsample
from tests.statistics import assert_agree

pytestmark = pytest.mark.statistical

BETA = [0.2, 0.8, -0.6, 0.4]


def design(n, p, seed=1):
    return np.column_stack([np.ones(n), np.random.default_rng(seed).standard_normal((n, p - 1))])


def harmonic(G):
    return np.cumsum(1 / np.arange(1, G + 1) ** 2)


def test_least_squares_is_exact():
    n, p, G = 12, 4, 10
    model = LinearRegression(design(n, p), beta=BETA, sigma=1.5)
    first = 1.5**2 * p / n
    np.testing.assert_allclose(
        derive(discard(G), model=model).risk, first * np.arange(1, G + 1), rtol=1e-12
    )
    np.testing.assert_allclose(
        derive(augment(G), model=model).risk, first * harmonic(G), rtol=1e-12
    )
    for plan, ratio in ((discard(G), np.arange(1, G + 1)), (augment(G), harmonic(G))):
        risk = simulate(plan, model=model, replications=40_000, rng=2)
        assert_agree(risk.risk, risk.risk_stderr, first * ratio, detects=0.06)


def test_coefficients_have_the_covariance_of_the_theorem():
    """Least squares by lstsq on stacked rows, no code of the package: Cov theta_g = h_g sigma^2
    (X'X)^-1 under augment.
    """
    n, sigma, R, G = 8, 2.0, 20_000, 3
    X = design(n, 2)
    rng = np.random.default_rng(3)
    labels, theta = [], np.tile([1.0, -1.0], (R, 1))
    for _ in range(G):
        labels.append(theta @ X.T + sigma * rng.standard_normal((R, n)))
        stacked = np.concatenate(labels, axis=1)
        theta = np.linalg.lstsq(np.tile(X, (len(labels), 1)), stacked.T, rcond=None)[0].T
    error = theta - [1.0, -1.0]
    products = np.stack([error[:, 0] ** 2, error[:, 1] ** 2], axis=1)
    expected = harmonic(G)[-1] * sigma**2 * np.diag(np.linalg.inv(X.T @ X))
    assert_agree(products.mean(axis=0), products.std(axis=0) / np.sqrt(R), expected, detects=0.11)


def test_subsampled_least_squares_is_above_the_limit():
    plan = subsample(6)
    small, large = (LinearRegression(design(n, 4), beta=BETA, sigma=1) for n in (30, 240))
    with pytest.raises(ValueError, match="makes the Gram matrix random"):
        derive(plan, model=small)
    limit = 3 * harmonic(6) - 2
    risk = simulate(plan, model=small, replications=15_000, rng=4)
    # a one-sided z test of size 1e-6
    assert np.all(risk.ratio[2:] - limit[2:] > 4.75 * risk.stderr[2:])
    risk = simulate(plan, model=large, replications=4_000, rng=5)
    assert_agree(risk.ratio, risk.stderr, limit, detects=0.16, allowance=0.02)


def test_unknown_variance_exercise():
    """Each generation draws with the residual variance of its own batch: Cov theta_g = g sigma^2
    (X'X)^-1 nevertheless.
    """
    n, p, R, G = 20, 2, 60_000, 4
    rng = np.random.default_rng(6)
    # whitened coordinates, sigma = 1: the residual sum of squares is independent of the fit
    error, variance = np.zeros((R, p)), np.ones(R)
    for _ in range(G):
        error = error + np.sqrt(variance)[:, None] * rng.standard_normal((R, p))
        variance = variance * rng.chisquare(n - p, R) / (n - p)
    square = (error**2).sum(axis=1)
    assert_agree(square.mean(), square.std() / np.sqrt(R), G * p, detects=0.06)


def test_doubled_batches_exercise():
    plan = Plan(source=[0, 1], size=[1, 2], weight=[[1, 0], [1 / 3, 2 / 3]])
    model = LinearRegression(design(10, 3), beta=BETA[:3], sigma=1)
    np.testing.assert_allclose(derive(plan, model=model).ratio, [1, 11 / 9], rtol=1e-12)
    risk = simulate(plan, model=model, replications=40_000, rng=7)
    assert_agree(risk.ratio, risk.stderr, [1, 11 / 9], detects=0.06)


@pytest.mark.parametrize(
    ("workflow", "ratio"),
    [(discard, np.arange(1, 9)), (augment, harmonic(8)), (subsample, 3 * harmonic(8) - 2)],
    ids=["discard", "augment", "subsample"],
)
def test_logistic_limit(workflow, ratio):
    """Mean excess p ratio / (2 n) up to a relative error of order 1/n, 4 % allowed at n = 1,000."""
    n, R = 1000, 400 if workflow is subsample else 1500
    risk = simulate(
        workflow(8), model=LogisticRegression(design(n, 4), BETA), replications=R, rng=8
    )
    assert_agree(n * risk.risk, n * risk.risk_stderr, ratio * 4 / 2, detects=0.45, allowance=0.04)


def test_finite_n_exceeds_the_limit_and_the_mean_breaks_off():
    model = LogisticRegression(design(60, 4), BETA)
    risk = simulate(discard(12), model=model, replications=1500, rng=9, quantiles=(0.25, 0.5))
    lost = np.flatnonzero(risk.failed)
    assert lost.size
    assert np.isfinite(risk.risk[: lost[0]]).all()
    assert np.isnan(risk.risk[lost[0] :]).all()
    assert np.all(risk.quantiles[:, -1] / risk.quantiles[:, 0] > 12 * 1.3)


def test_separation_is_absorbing_under_discard_and_constant_under_augment():
    model = LogisticRegression(design(16, 4), BETA)
    flat, pooled = (
        simulate(plan(25), model=model, replications=1500, rng=10) for plan in (discard, augment)
    )
    assert np.all(np.diff(flat.failed) >= 0)
    assert flat.failed[-1] > 0.99
    assert 0 < pooled.failed[0] == pooled.failed[-1]


@pytest.mark.parametrize("right", [True, False], ids=["right model", "wrong model"])
def test_observed_labels(right):
    """n (risk_g - risk_1) on the real data against (ratio_g - 1) p / 2, whatever law the labels
    have.
    """
    n = 2000
    X = design(n, 4)
    rng = np.random.default_rng(11)
    margin = X @ BETA if right else X @ BETA + 1.5 * (np.abs(X[:, 1]) - 1) + X[:, 2] * X[:, 3]
    model = LogisticRegression(X, y=rng.random(n) < 1 / (1 + np.exp(-margin)))
    for plan, ratio in ((discard(6), np.arange(1, 7)), (augment(6), harmonic(6))):
        risk = simulate(plan, model=model, replications=800, rng=12)
        assert np.isclose(risk.risk_stderr[0], 0, atol=1e-12)
        excess = n * (risk.risk - risk.risk[0])[1:]
        assert_agree(
            excess, n * risk.risk_stderr[1:], (ratio[1:] - 1) * 4 / 2, detects=0.4, allowance=0.03
        )


def test_observed_labels_least_squares():
    """Exact at n = 20, with labels far from any line and a sigma that is not theirs."""
    n, p, sigma = 20, 3, 2.0
    X = design(n, p)
    model = LinearRegression(X, y=np.exp(X[:, 1]) + np.sin(9 * X[:, 2]), sigma=sigma)
    for plan, ratio in ((discard(6), np.arange(1, 7)), (augment(6), harmonic(6))):
        risk = simulate(plan, model=model, replications=40_000, rng=13)
        excess = n * (risk.risk - risk.risk[0])[1:]
        assert_agree(excess, n * risk.risk_stderr[1:], (ratio[1:] - 1) * sigma**2 * p, detects=0.06)


def test_fresh_covariates_are_better_than_reused_ones():
    """On new rows, over designs: sigma^2 p / (n - p - 1) times h_g where one design is reused, less
    where covariates are fresh.
    """
    n, p, G, R = 12, 4, 5, 6000
    rng = np.random.default_rng(9)
    X = rng.standard_normal((R, n, p))
    theta, moment, risk = np.zeros((R, p)), np.zeros((R, p)), []
    for g in range(1, G + 1):
        y = np.vecdot(X, theta[:, None]) + rng.standard_normal((R, n))
        moment = moment + np.einsum("rnp,rn->rp", X, y)
        theta = np.linalg.solve(g * X.mT @ X, moment[:, :, None])[:, :, 0]
        risk.append((theta**2).sum(axis=1))
    risk, first = np.array(risk), p / (n - p - 1)
    error = risk.std(axis=1) / np.sqrt(R)
    assert_agree(risk.mean(axis=1), error, first * harmonic(G), detects=0.2)
    fresh = derive(augment(G), model=RandomDesignRegression(p, 0, 1), n=n).risk
    assert fresh[0] == pytest.approx(first)
    assert (fresh[1:] < first * harmonic(G)[1:]).all()
    for rows in (6, 12, 1000):  # from p + 2 rows on
        ratio = derive(augment(G), model=RandomDesignRegression(p, 0, 1), n=rows).ratio
        assert (ratio[1:] < harmonic(G)[1:]).all()


def test_more_columns_than_rows_forget_under_discard():
    """The picture of the chapter, at 40 rows and, the same, at 1000: the risk passes that of no
    model and settles; without noise fits shrink to
    nothing by one factor a generation.
    """
    small, large = (RandomDesignRegression(2 * n, (1 / n) ** 0.5, 1, ridge=0.2) for n in (40, 1000))
    risks = [
        deterministic_equivalent(discard(15), model, model.columns // 2).risk / 2
        for model in (small, large)
    ]
    np.testing.assert_allclose(*risks, rtol=1e-9)
    assert risks[0][0] < 1 < risks[0][1]
    np.testing.assert_allclose(risks[0][10:], risks[0][-1], rtol=1e-3)
    quiet = RandomDesignRegression(80, (1 / 40) ** 0.5, 1e-6, ridge=0.2)
    run = simulate(discard(3), model=quiet, n=40, replications=600, rng=10, fits=True)
    kept = (run.fits @ quiet.truth).mean(axis=0) / 2
    level = (0.8 + (0.64 + 1.6) ** 0.5) / 0.8  # 0.2 h + h / (1 + 2 h) = 1
    np.testing.assert_allclose(kept, (1 - 0.2 * level) ** np.arange(1, 4), rtol=0.06)
    assert 1 - 0.2 * level < 0.5
