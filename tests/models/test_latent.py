"""Mixture weight and principal components: fits against plain optimisation, closed forms, the
limit, and what leaves it.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize, minimize_scalar
from scipy.stats import multivariate_normal, norm

from collapse import Plan, derive, models, simulate, workflows
from tests.statistics import assert_agree, assert_risks_agree, assert_same_law

pytestmark = pytest.mark.statistical

PLANS = [workflows.discard(4), workflows.augment(4), workflows.subsample(4)]
MIXTURE = models.NormalMixture(0.4, 2)
COMPONENTS = models.PrincipalComponents([[2, 0], [1, 1], [0, 1], [1, 0]], noise=0.7)
NEW = [
    models.AR1(0.5),
    models.CensoredExponential(2, 0.6),
    models.CensoredWeibull(2, 1.5, 0.7),
    MIXTURE,
    COMPONENTS,
]
each_new = pytest.mark.parametrize("model", NEW, ids=lambda model: type(model).__name__)


@each_new
def test_influence_functions_have_mean_zero_and_covariance_V(model):
    R, N = (200, 1000) if isinstance(model, models.AR1) else (1, 200_000)
    theta = np.repeat(model.truth[None], R, axis=0)
    psi = model.influence_function(model.draw(theta, N, np.random.default_rng(0)), theta)
    V = model.influence_covariance
    unit = np.sqrt(np.diag(V))
    count = R * N
    flat = psi.reshape(count, -1)
    assert_agree(
        1 + flat.mean(axis=0) / unit,
        flat.std(axis=0) / unit / np.sqrt(count),
        np.ones(len(unit)),
        detects=0.03,
    )
    product = flat[:, :, None] * flat[:, None, :] / np.outer(unit, unit)
    # rows of a series depend on one another: its start from zero is worth a few of its rows, the
    # dependence a factor of the error
    error = product.std(axis=0) / np.sqrt(count) * (2 if R > 1 else 1)
    assert_agree(
        2 + product.mean(axis=0), error, 2 + V / np.outer(unit, unit), detects=0.06, allowance=0.002
    )


@each_new
def test_influence_functions_are_derivatives_of_the_fit_in_a_row_s_weight(model):
    """Up to what the sample's curvature differs from its expectation: order 1 / sqrt(N)."""
    N, step = 40_000, 0.01
    rows = model.draw_real(1, N, np.random.default_rng(1))
    theta = model.fit(rows, np.ones((1, N)), None)
    psi = model.influence_function(rows, theta)[0]
    for i in (5, 500, 5000):
        more, less = np.ones((2, 1, N))
        more[0, i] += step
        less[0, i] -= step
        slope = N * (model.fit(rows, more, theta) - model.fit(rows, less, theta))[0] / (2 * step)
        np.testing.assert_allclose(
            slope,
            psi[i],
            atol=0.05 * np.linalg.norm(psi, axis=1).mean() + 0.05 * np.linalg.norm(psi[i]),
        )


@each_new
def test_limit_risk_is_half_the_trace_of_hessian_times_V(model):
    assert model.limit_risk == pytest.approx(
        np.trace(model.risk_hessian @ model.influence_covariance) / 2, rel=1e-9
    )


@each_new
def test_the_hessian_is_that_of_the_risk(model):
    step = 1e-4
    basis = step * np.eye(len(model.truth))
    numeric = [
        [
            sum(
                s * t * model.risk((model.truth + s * a + t * b)[None])[0]
                for s in (1, -1)
                for t in (1, -1)
            )
            / (4 * step**2)
            for a in basis
        ]
        for b in basis
    ]
    np.testing.assert_allclose(model.risk_hessian, numeric, rtol=1e-4, atol=1e-4)


def log_likelihood(x, weight, separation=2.0):
    return np.log(weight * norm.pdf(x, separation) + (1 - weight) * norm.pdf(x))


@pytest.mark.parametrize("seed", range(5))
def test_the_converged_weight_maximises_the_likelihood(seed):
    rng = np.random.default_rng(seed)
    rows, weight = MIXTURE.draw_real(1, 30, rng), rng.integers(0, 3, (1, 30)).astype(float)
    best = minimize_scalar(
        lambda w: -(weight[0] * log_likelihood(rows[0], w)).sum(),
        bounds=(0, 1),
        method="bounded",
        options={"xatol": 1e-9},
    ).x
    fit = MIXTURE.fit(rows, weight, None)[0, 0]
    assert fit == pytest.approx(best, abs=1e-5)
    em = fit
    for _ in range(3):
        em = (
            weight[0] * em * norm.pdf(rows[0], 2) / np.exp(log_likelihood(rows[0], em))
        ).sum() / weight.sum()
    assert em == pytest.approx(fit, abs=1e-9)


def test_the_weight_may_be_at_an_end():
    rows = np.array([[-3.0, -2.0, 0.2], [4.0, 5.0, 2.0], [-3.0, 5.0, 1.0]])
    fit = MIXTURE.fit(rows, np.ones((3, 3)), None)[:, 0]
    np.testing.assert_array_equal(fit[:2], [0, 1])
    np.testing.assert_allclose(fit[2], 0.5)
    np.testing.assert_array_equal(
        MIXTURE.draw(np.array([[0.0]]), 5, np.random.default_rng(0)).shape, (1, 5)
    )
    np.testing.assert_allclose(
        MIXTURE.fit(rows, np.ones((3, 3)), np.array([[0.0], [1.0], [0.0]]))[:, 0], fit, atol=1e-12
    )


def test_rows_at_infinity_are_labelled():
    rows = np.array([[-np.inf, np.inf, np.inf, -np.inf, np.inf]])
    np.testing.assert_allclose(MIXTURE.fit(rows, np.ones((1, 5)), None), [[0.6]])


def test_a_stopped_fit_makes_its_number_of_em_steps():
    rng = np.random.default_rng(2)
    rows, start = MIXTURE.draw_real(4, 25, rng), np.full((4, 1), 0.7)
    weight = rng.uniform(0, 1, (4, 25))
    for steps in (1, 3):
        model = models.NormalMixture(0.4, 2, steps=steps)
        expected = start
        for _ in range(steps):
            posterior = expected * norm.pdf(rows, 2) / np.exp(log_likelihood(rows, expected))
            expected = (weight * posterior).sum(axis=1, keepdims=True) / weight.sum(
                axis=1, keepdims=True
            )
        np.testing.assert_allclose(model.fit(rows, weight, start), expected, rtol=1e-12)
        np.testing.assert_array_equal(
            model.fit(rows, weight, None), MIXTURE.fit(rows, weight, None)
        )


def test_information_and_missing_information():
    information = quad(
        lambda x: (norm.pdf(x, 2) - norm.pdf(x)) ** 2 / (0.4 * norm.pdf(x, 2) + 0.6 * norm.pdf(x)),
        -12,
        14,
    )[0]
    assert pytest.approx(1 / information, rel=1e-8) == MIXTURE.limit_risk
    assert MIXTURE.missing_information == pytest.approx(1 - 0.24 * information)
    # the rate of EM: the derivative of its step at the fixed point of a large sample
    rows = MIXTURE.draw_real(1, 400_000, np.random.default_rng(3))
    fit = MIXTURE.fit(rows, np.ones_like(rows), None)
    once = models.NormalMixture(0.4, 2, steps=1)
    slope = (
        once.fit(rows, np.ones_like(rows), fit + 1e-4)
        - once.fit(rows, np.ones_like(rows), fit - 1e-4)
    ) / 2e-4
    assert slope[0, 0] == pytest.approx(MIXTURE.missing_information, abs=0.01)


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.name)
def test_converged_fits_obey_the_law(plan):
    """Finite n takes off a few per cent; the ends of [0, 1] are far."""
    for model, n, R, allowance in (
        (models.NormalMixture(0.5, 3), 400, 3_000, 0.03),
        (COMPONENTS, 400, 3_000, 0.05),
    ):
        risk = simulate(plan, model=model, n=n, replications=R, rng=4)
        assert_risks_agree(
            risk, derive(plan), detects=0.5, allowance=allowance, unit=model.limit_risk / n
        )


def smoothed(plan, keep):
    """The plan that mixes each fit's weights with those of the fit before it."""
    weight = plan.weight.copy()
    for g in range(1, plan.generations):
        weight[g] = keep * weight[g - 1] + (1 - keep) * weight[g]
    return Plan(plan.source, plan.size, weight, np.ones_like(weight))


@pytest.mark.parametrize("plan", PLANS[:2], ids=lambda plan: plan.name)
@pytest.mark.parametrize("steps", [1, 2])
def test_stopped_fits_obey_the_law_of_smoothed_weights(plan, steps):
    model, n = models.NormalMixture(0.5, 2, steps=steps), 400
    risk = simulate(plan, model=model, n=n, replications=5_000, rng=5)
    other = derive(smoothed(plan, model.missing_information**steps))
    assert_agree(risk.ratio, risk.stderr, other.ratio, detects=0.4, allowance=0.03)
    if plan.name.startswith("discard"):
        a = model.missing_information**steps
        np.testing.assert_allclose(other.ratio, 1 + (1 - a) ** 2 * np.arange(4))


def test_principal_components_maximise_the_likelihood():
    rng = np.random.default_rng(6)
    model = models.PrincipalComponents([[1.5], [1], [0]], noise=0.5)
    rows = model.draw_real(1, 20, rng)
    theta = model.fit(rows, np.ones((1, 20)), None)

    def loss(parameter):
        covariance = np.outer(parameter[:3], parameter[:3]) + np.exp(parameter[3]) * np.eye(3)
        return -multivariate_normal(cov=covariance).logpdf(rows[0]).mean()

    best = min(
        (minimize(loss, rng.standard_normal(4)) for _ in range(5)), key=lambda result: result.fun
    )
    fitted = model.covariance(theta)[0]
    assert -multivariate_normal(cov=fitted).logpdf(rows[0]).mean() == pytest.approx(
        best.fun, abs=1e-8
    )
    covariance = np.outer(best.x[:3], best.x[:3]) + np.exp(best.x[3]) * np.eye(3)
    np.testing.assert_allclose(fitted, covariance, atol=1e-4)


def test_a_rotation_of_the_loadings_is_the_same_model():
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    turned = models.PrincipalComponents(COMPONENTS.loadings @ turn, noise=0.7)
    np.testing.assert_allclose(turned.truth, COMPONENTS.truth, atol=1e-12)


@pytest.mark.parametrize("rows", [1, 2, 6])
def test_second_moments_are_drawn_in_their_law(rows):
    theta = np.repeat(COMPONENTS.truth[None], 40_000, axis=0)
    drawn = COMPONENTS.draw(theta, rows, np.random.default_rng(7))
    by_rows = drawn.transpose(0, 2, 1) @ drawn / rows
    by_statistic = COMPONENTS.covariance(
        COMPONENTS.draw_statistic(theta, rows, np.random.default_rng(8))
    )
    for read in (
        lambda S: S[:, 0, 1],
        lambda S: S[:, 3, 3],
        lambda S: np.linalg.eigvalsh(S)[:, -1],
        lambda S: np.linalg.eigvalsh(S)[:, 1],
    ):
        assert_same_law(read(by_rows), read(by_statistic), detects=0.06)


def test_moments_of_the_wishart_are_exact():
    n, R = 5, 200_000
    S = COMPONENTS.draw_real_statistic(R, n, np.random.default_rng(9))
    covariance = COMPONENTS.covariance(COMPONENTS.truth[None])[0]
    i, j = np.triu_indices(4)
    spread = (
        covariance[np.ix_(i, i)] * covariance[np.ix_(j, j)]
        + covariance[np.ix_(i, j)] * covariance[np.ix_(j, i)]
    )
    unit = np.sqrt(np.diag(spread))
    away = np.sqrt(n) * (S - COMPONENTS.truth) / unit
    assert_agree(1 + away.mean(axis=0), away.std(axis=0) / np.sqrt(R), np.ones(10), detects=0.03)
    product = away[:, :, None] * away[:, None, :]
    error = product.std(axis=0) / np.sqrt(R)
    assert_agree(2 + product.mean(axis=0), error, 2 + spread / np.outer(unit, unit), detects=0.06)


def test_risk_is_the_divergence_of_normal_laws():
    true, fitted = COMPONENTS.covariance(np.stack([COMPONENTS.truth, COMPONENTS.truth * 1.3 + 0.1]))
    inverse = np.linalg.inv(fitted)
    expected = (
        np.trace(inverse @ true) - 4 + np.linalg.slogdet(fitted)[1] - np.linalg.slogdet(true)[1]
    ) / 2
    np.testing.assert_allclose(COMPONENTS.risk(fitted[np.triu_indices(4)][None]), [expected])


@pytest.mark.parametrize(("p", "q", "free"), [(4, 1, 5), (4, 2, 8), (3, 2, 6), (5, 3, 13)])
def test_limit_risk_counts_the_free_parameters(p, q, free):
    model = models.PrincipalComponents(np.random.default_rng(10).standard_normal((p, q)), noise=0.4)
    assert model.limit_risk == free / 2
    assert np.linalg.matrix_rank(model.influence_covariance, tol=1e-8) == free


def test_too_few_rows_leave_no_noise_and_no_estimate():
    rows = COMPONENTS.draw_real(3, 2, np.random.default_rng(0))
    assert np.isnan(COMPONENTS.fit(rows, np.ones((3, 2)), None)).all()
    assert np.isfinite(
        COMPONENTS.fit(COMPONENTS.draw_real(3, 3, np.random.default_rng(0)), np.ones((3, 3)), None)
    ).all()


def test_without_a_signal_the_ratio_is_another():
    """The planted error: the apex of the cone is seen, at every n."""
    model, plan = models.PrincipalComponents(np.zeros((4, 1)), noise=1), workflows.augment(10)
    for n in (200, 2000):
        risk = simulate(plan, model=model, n=n, replications=10_000, rng=11)
        assert risk.ratio[-1] + 6 * risk.stderr[-1] < 0.97 * derive(plan).ratio[-1]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: models.NormalMixture(0, 2),
            "weight must be a number, between 0 and 1, both excluded; it is 0",
        ),
        (
            lambda: models.NormalMixture(0.5, 0),
            "separation must be a number, finite and greater than 0; it is 0",
        ),
        (
            lambda: models.NormalMixture(0.5, 2, steps=0),
            "steps .* must be a whole number, at least 1; it is 0",
        ),
        (
            lambda: models.PrincipalComponents([1, 2], 1),
            r"loadings must be a finite matrix .* it has shape \(2,\)",
        ),
        (
            lambda: models.PrincipalComponents(np.eye(2), 1),
            r"more rows than columns.* it has shape \(2, 2\)",
        ),
        (
            lambda: models.PrincipalComponents([[np.nan], [1]], 1),
            "loadings must be a finite matrix",
        ),
        (
            lambda: models.PrincipalComponents([[1], [1]], 0),
            "noise must be a number, finite and greater than 0; it is 0",
        ),
    ],
)
def test_bad_parameters_are_refused_by_name(make, message):
    with pytest.raises(ValueError, match=message):
        make()
