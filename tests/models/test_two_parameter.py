"""Two-parameter families and the exponential's rate: fits against scipy, laws of statistics,
constants by quadrature, the limit.
"""

from __future__ import annotations

import numpy as np
import pytest
from mpmath import mp
from scipy import stats
from scipy.integrate import quad
from scipy.special import polygamma, psi

from collapse import Plan, derive, models, simulate, workflows
from collapse.models.families.digamma import excess, log_less_digamma, slope
from tests.plans import typed
from tests.statistics import assert_agree, assert_risks_agree, assert_same_law

pytestmark = pytest.mark.statistical

FAMILIES = [
    models.NormalMeanVariance(1, 4),
    models.GammaShapeRate(2, 1.5),
    models.GammaMoments(2, 1.5),
    models.Beta(2, 3),
    models.InverseGaussian(1.5, 2),
    models.ExponentialRate(2),
]
each_family = pytest.mark.parametrize("model", FAMILIES, ids=repr)
LAWS = {
    models.NormalMeanVariance: lambda m, v: stats.norm(m, np.sqrt(v)),
    models.GammaShapeRate: lambda a, b: stats.gamma(a, scale=1 / b),
    models.GammaMoments: lambda a, b: stats.gamma(a, scale=1 / b),
    models.Beta: stats.beta,
    models.InverseGaussian: lambda m, s: stats.invgauss(m / s, scale=s),
    models.ExponentialRate: lambda b: stats.expon(scale=1 / b),
}


def scipy_fit(model, x):
    """The parameters that scipy finds, in the model's own."""
    if isinstance(model, models.NormalMeanVariance):
        mean, sd = stats.norm.fit(x)
        return mean, sd**2
    if isinstance(model, models.GammaShapeRate):
        shape, _, scale = stats.gamma.fit(x, floc=0)
        return shape, 1 / scale
    if isinstance(model, models.GammaMoments):
        shape, _, scale = stats.gamma.fit(x, floc=0, method="MM")
        return shape, 1 / scale
    if isinstance(model, models.Beta):
        return stats.beta.fit(x, floc=0, fscale=1)[:2]
    if isinstance(model, models.InverseGaussian):
        mu, _, scale = stats.invgauss.fit(x, floc=0)
        return mu * scale, scale
    return (1 / stats.expon.fit(x, floc=0)[1],)


def law(model, theta=None):
    return LAWS[type(model)](*(model.truth if theta is None else theta))


def expected(function, distribution):
    low, high = distribution.ppf([1e-14, 1 - 1e-14])
    points = distribution.ppf([0.01, 0.5, 0.99])
    return quad(
        lambda x: function(x) * distribution.pdf(x),
        low,
        high,
        points=points,
        limit=400,
        epsabs=1e-12,
    )[0]


@each_family
def test_the_fit_is_scipys(model):
    rows = model.draw(np.repeat(model.truth[None], 5, axis=0), 60, np.random.default_rng(0))
    ours = model.fit(rows, np.ones(rows.shape), None)
    np.testing.assert_allclose(
        ours,
        [scipy_fit(model, x) for x in rows],
        rtol=1e-3 if isinstance(model, models.GammaMoments) else 1e-5,
    )


@each_family
def test_whole_weights_are_repeated_rows(model):
    rng = np.random.default_rng(1)
    rows, weight = model.draw(model.truth[None], 12, rng), rng.integers(0, 4, (1, 12))
    repeated = np.repeat(rows[0], weight[0])[None]
    np.testing.assert_allclose(
        model.fit(rows, weight, None),
        model.fit(repeated, np.ones(repeated.shape), None),
        rtol=1e-10,
    )


@pytest.mark.parametrize(
    "model",
    [m for m in FAMILIES if not isinstance(m, (models.GammaMoments, models.ExponentialRate))],
    ids=repr,
)
def test_the_fit_maximises_the_likelihood(model):
    rng = np.random.default_rng(2)
    rows, weight = model.draw(model.truth[None], 25, rng), rng.uniform(0.1, 1, (1, 25))
    best = model.fit(rows, weight, None)[0]

    def likelihood(theta):
        return weight[0] @ law(model, theta).logpdf(rows[0])

    for j in range(2):
        for step in (-0.03, 0.03):
            other = best.copy()
            other[j] *= 1 + step
            assert likelihood(other) < likelihood(best)


@pytest.mark.parametrize("shape", [1e-2, 0.3, 1, 30, 1e4])
@pytest.mark.parametrize("model", [models.GammaShapeRate(2, 1), models.Beta(2, 3)], ids=repr)
def test_fits_of_all_shapes_solve_their_equations(model, shape):
    theta = shape * np.random.default_rng(3).uniform(0.2, 3, (50, 2))
    found = model.fit_statistic(model.expectation(theta), None)
    # statistics to 16 digits fix a large shape to fewer, as rows hardly differ
    np.testing.assert_allclose(found, theta, rtol=1e-8 if shape < 1e3 else 1e-6)
    np.testing.assert_allclose(
        model.fit_statistic(model.expectation(theta), theta * 5),
        found,
        rtol=1e-8 if shape < 1e3 else 1e-6,
    )


@each_family
def test_no_estimate_is_nan(model):
    rows = np.full((2, 5), 0.25)
    rows[1] = [0.1, 0.2, 0.3, 0.4, 0.5]
    fit = model.fit(rows, np.ones((2, 5)), None)
    equal_rows_have_an_estimate = isinstance(model, models.ExponentialRate)
    assert np.isnan(fit[0]).any() != equal_rows_have_an_estimate
    assert np.isfinite(fit[1]).all()


def test_a_row_at_the_edge_has_no_estimate():
    for model in (models.GammaShapeRate(2, 1), models.Beta(2, 3)):
        assert np.isnan(model.fit(np.array([[0.0, 0.5, 0.25]]), np.ones((1, 3)), None)).all()


@each_family
def test_expectation_and_jacobian_of_the_moments(model):
    theta, distribution = model.truth, law(model)
    tau = model.expectation(theta[None])[0]
    slope = np.empty((len(tau), len(theta)))
    for j, value in enumerate(theta):
        step = np.zeros(len(theta))
        step[j] = 1e-5 * value
        slope[:, j] = (
            model.expectation((theta + step)[None])[0] - model.expectation((theta - step)[None])[0]
        ) / (2 * step[j])
    if not isinstance(model, models.Beta):  # its influence is that of its score
        np.testing.assert_allclose(model.jacobian(theta[None])[0], slope, rtol=1e-6, atol=1e-8)
    assert distribution.mean() == pytest.approx(tau[0])
    for k in range(len(tau) - 1):
        seen = expected(
            lambda x, k=k: model.divergence(np.array([[x]]), tau[None, :1])[0, 0, k], distribution
        )
        assert seen == pytest.approx(tau[k + 1], abs=1e-6)


@each_family
def test_influence_covariance_is_that_of_the_influence_function(model):
    d, distribution = len(model.truth), law(model)

    def psi_of(x):
        return model.influence_function(np.array([[x]]), model.truth[None])[0, 0]

    for j in range(d):
        assert expected(lambda x, j=j: psi_of(x)[j], distribution) == pytest.approx(0, abs=1e-6)
        for k in range(d):
            seen = expected(lambda x, j=j, k=k: psi_of(x)[j] * psi_of(x)[k], distribution)
            assert seen == pytest.approx(model.influence_covariance[j, k], rel=1e-5, abs=1e-7)


@each_family
def test_estimators_are_regular(model):
    """E[psi s'] is the identity: the assumption that makes the ratio universal, whether efficient
    or not.
    """
    d, distribution = len(model.truth), law(model)
    for k in range(d):
        step = np.zeros(d)
        step[k] = 1e-5 * model.truth[k]
        up, down = law(model, model.truth + step), law(model, model.truth - step)
        for j in range(d):
            seen = expected(
                lambda x, j=j, k=k, step=step, up=up, down=down: (
                    model.influence_function(np.array([[x]]), model.truth[None])[0, 0, j]
                    * (up.logpdf(x) - down.logpdf(x))
                    / (2 * step[k])
                ),
                distribution,
            )
            assert seen == pytest.approx(float(j == k), abs=1e-5)


@each_family
def test_influence_function_is_the_effect_of_a_rows_weight(model):
    rng = np.random.default_rng(4)
    rows, weight = model.draw(model.truth[None], 20, rng), np.full((1, 20), 1 / 20)
    theta = model.fit(rows, weight, None)
    influence = model.influence_function(rows, theta)[0]
    for i in (0, 7):
        step = np.zeros((1, 20))
        step[0, i] = 1e-6
        # weights are relative: adding e to one row moves the mean statistic by e / (1 + e) of the
        # difference
        effect = (model.fit(rows, weight + step, None) - model.fit(rows, weight - step, None))[
            0
        ] / 2e-6
        np.testing.assert_allclose(effect, influence[i], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("model", FAMILIES[:5], ids=repr)
def test_risk_is_the_divergence_from_the_truth(model):
    for factor in ([0.8, 1.3], [1.2, 0.9]):
        theta = model.truth * factor
        divergence = expected(
            lambda x, theta=theta: law(model).logpdf(x) - law(model, theta).logpdf(x), law(model)
        )
        assert model.risk(theta[None])[0] == pytest.approx(divergence, rel=1e-6)
    step = 1e-4 * model.truth * np.array([[1, 0], [0, 1], [1, 1.0]])
    aa, bb, both = model.risk(model.truth + step)
    hessian = model.risk_hessian
    np.testing.assert_allclose([2 * aa, 2 * bb], [s @ hessian @ s for s in step[:2]], rtol=1e-3)
    np.testing.assert_allclose(2 * both, step[2] @ hessian @ step[2], rtol=1e-3)


def test_level_of_maximum_likelihood_is_half_the_number_of_parameters_and_of_moments_more():
    for model in FAMILIES[:5]:
        if isinstance(model, models.GammaMoments):
            assert model.limit_risk > 1.1
        else:
            assert model.limit_risk == pytest.approx(1)
    assert models.ExponentialRate(2).limit_risk == pytest.approx(4)


@each_family
def test_statistics_drawn_directly_have_the_law_of_rows(model):
    theta = np.repeat(0.9 * model.truth[None], 40_000, axis=0)
    by_rows = model.moments(
        model.draw(theta, 6, np.random.default_rng(5)), np.ones((len(theta), 6))
    )
    direct = model.draw_statistic(theta, 6, np.random.default_rng(6))
    for k in range(direct.shape[1]):
        assert_same_law(by_rows[:, k], direct[:, k], detects=0.05)
    # jointly: a combination whose law knows of their dependence
    combine = by_rows.std(axis=0)
    assert_same_law((by_rows / combine).sum(axis=1), (direct / combine).sum(axis=1), detects=0.05)


@pytest.mark.parametrize(
    "model", [models.NormalMeanVariance(0, 1), models.InverseGaussian(1, 1)], ids=repr
)
def test_one_row_has_no_spread(model):
    statistic = model.draw_statistic(
        np.repeat(model.truth[None], 5, axis=0), 1, np.random.default_rng(0)
    )
    assert statistic.shape == (5, 2)
    assert (
        np.isnan(model.fit_statistic(statistic, None)[:, 1]).all()
        or (model.fit_statistic(statistic, None)[:, 1] > 1e12).any()
    )


def normal_discard(n, G):
    """Expected divergence of a normal fit after each generation of discard: a product of chi-square
    variates.
    """
    k, generation = n - 1, np.arange(1, G + 1)
    inverse = (n / (k - 2)) ** generation
    log = generation * (psi(k / 2) + np.log(2 / n))
    # (mean_g - mean)^2 / variance_g: step s has variance variance_(s-1) / n, over the product of
    # the generations after s
    drift = np.array([sum((n / (k - 2)) ** (g - s) / n for s in range(g)) for g in range(1, G + 1)])
    return (inverse - 1 + log + drift) / 2


def test_normal_under_discard_is_exact_at_every_n():
    model, n, G = models.NormalMeanVariance(3, 5), 40, 5
    simulated = simulate(workflows.discard(G), model=model, n=n, replications=200_000, rng=7)
    assert_agree(simulated.risk, simulated.risk_stderr, normal_discard(n, G), detects=0.06)


def rate_discard(n, G):
    g = np.arange(1, G + 1)
    return (n * n / ((n - 1) * (n - 2))) ** g - 2 * (n / (n - 1)) ** g + 1


def test_exponential_rate_under_discard_is_exact_at_every_n():
    model, n, G = models.ExponentialRate(3), 60, 5
    simulated = simulate(workflows.discard(G), model=model, n=n, replications=200_000, rng=8)
    assert_agree(simulated.risk / 9, simulated.risk_stderr / 9, rate_discard(n, G), detects=0.06)


@each_family
@pytest.mark.parametrize(
    "plan",
    [workflows.discard(4), workflows.augment(4), typed(partly=False)],
    ids=lambda plan: plan.name,
)
def test_the_ratio_is_the_limit(model, plan):
    """At n rows ratios are off by up to 5 / n for each generation, relatively: 0.04 here."""
    n = 600
    simulated = simulate(plan, model=model, n=n, replications=8_000, rng=9)
    assert_risks_agree(
        simulated, derive(plan), detects=0.3, allowance=0.04, unit=model.limit_risk / n
    )


@pytest.mark.parametrize("model", [FAMILIES[0], FAMILIES[4]], ids=repr)
def test_the_ratio_is_the_limit_where_rows_are_read(model):
    n, plan = 200, workflows.subsample(4)
    simulated = simulate(plan, model=model, n=n, replications=10_000, rng=10)
    assert_risks_agree(
        simulated, derive(plan), detects=0.3, allowance=0.06, unit=model.limit_risk / n
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda v: models.NormalMeanVariance(0, v),
            "variance must be a number, finite and greater than 0; it is",
        ),
        (
            lambda v: models.GammaShapeRate(v, 1),
            "shape must be a number, finite and greater than 0; it is",
        ),
        (
            lambda v: models.GammaShapeRate(1, v),
            "rate must be a number, finite and greater than 0; it is",
        ),
        (
            lambda v: models.GammaMoments(v, 1),
            "shape must be a number, finite and greater than 0; it is",
        ),
        (lambda v: models.Beta(v, 1), "a must be a number, finite and greater than 0; it is"),
        (lambda v: models.Beta(1, v), "b must be a number, finite and greater than 0; it is"),
        (
            lambda v: models.InverseGaussian(v, 1),
            "mean must be a number, finite and greater than 0; it is",
        ),
        (
            lambda v: models.InverseGaussian(1, v),
            "shape must be a number, finite and greater than 0; it is",
        ),
        (
            lambda v: models.ExponentialRate(v),
            "rate must be a number, finite and greater than 0; it is",
        ),
    ],
)
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), "1", None, True], ids=repr)
def test_bad_parameters_are_refused_by_name(make, message, value):
    with pytest.raises(ValueError, match=message):
        make(value)


def test_a_small_variance_beside_a_large_mean_keeps_its_digits():
    model = models.NormalMeanVariance(1e9, 1e-2)
    rows = 1e9 + np.array([[-0.125, 0.0, 0.25]])
    assert model.fit(rows, np.ones((1, 3)), None)[0, 1] == pytest.approx(
        np.var([-0.125, 0, 0.25]), rel=1e-12
    )


# Rows that lie close together


@each_family
def test_batches_are_pooled_as_their_rows(model):
    """Weighted batches two by two, in any order, against all rows at once."""
    rows = model.draw(np.repeat(model.truth[None], 4, axis=0), 30, np.random.default_rng(11))
    batches, share = np.split(rows, [5, 17], axis=1), [0.2, 0.3, 0.5]
    weight = np.concatenate(
        [np.full(b.shape, w / b.shape[1]) for b, w in zip(batches, share, strict=True)], axis=1
    )
    one, two, three = (model.moments(batch, np.ones(batch.shape)) for batch in batches)
    for pooled in (
        model.pool(model.pool(one, two, 0.6), three, 0.5),
        model.pool(model.pool(three, one, 0.2 / 0.7), two, 0.3),
    ):
        np.testing.assert_allclose(pooled, model.moments(rows, weight), rtol=1e-12)


CLOSE = {
    models.NormalMeanVariance(0, 1): lambda u: (3e5 + u, (3e5, (u**2).mean())),
    models.InverseGaussian(1, 2): lambda u: (7 * (1 + u), (7, 7 / (u**2).mean())),
    models.GammaShapeRate(2, 1): lambda u: (
        7 * (1 + u),
        (1 / (u**2).mean(), 1 / (7 * (u**2).mean())),
    ),
    models.GammaMoments(2, 1): lambda u: (
        7 * (1 + u),
        (1 / (u**2).mean(), 1 / (7 * (u**2).mean())),
    ),
    models.Beta(2, 3): lambda u: (0.25 * (1 + u), (0.75 / (u**2).mean(), 2.25 / (u**2).mean())),
}


@pytest.mark.parametrize("model", CLOSE, ids=repr)
def test_rows_that_lie_close_together_keep_the_digits_of_their_spread(model):
    """Deviations of 2^-27 and 2^-26: their squares are below a double's digits, and all families
    are normal that far in.
    """
    u = np.array([1, -1, 2, -2, 0]) * 2.0**-27
    rows, expected = CLOSE[model](u)
    np.testing.assert_allclose(model.fit(rows[None], np.ones((1, 5)), None)[0], expected, rtol=1e-6)


def log_sd_of_discard(n, g):
    """Exact mean and variance of the logarithm of the fitted standard deviation: a product of
    chi-squares over n.
    """
    return g * (psi((n - 1) / 2) + np.log(2 / n)) / 2, g * polygamma(1, (n - 1) / 2) / 4


@pytest.mark.parametrize(("generations", "replications"), [(200, 10_000), (2000, 1000)])
def test_a_normal_under_discard_is_followed_to_the_end(generations, replications):
    model = models.NormalMeanVariance(0, 1)
    risk = simulate(
        workflows.discard(generations),
        model=model,
        n=10,
        replications=replications,
        rng=0,
        fits=True,
    )
    assert risk.failed[-1] == 0
    log = np.log(risk.fits[:, -1, 1]) / 2
    mean, variance = log_sd_of_discard(10, generations)
    assert_agree(-log.mean(), np.sqrt(variance / replications), -mean, detects=0.1)
    assert_agree(log.var(), log.var() * np.sqrt(2 / replications), variance, detects=0.5)


@pytest.mark.parametrize("model", FAMILIES[:5], ids=repr)
def test_no_family_loses_a_chain_whose_rows_have_drawn_together(model):
    """After 200 generations of discard the spread is 1e-9 of the mean, and its square far below the
    last digit of the mean's.
    """
    risk = simulate(workflows.discard(200), model=model, n=10, replications=200, rng=0, fits=True)
    lost = risk.failed[-1] * 200
    assert lost <= (
        1 if isinstance(model, models.Beta) else 0
    )  # a beta row may be 0 or 1 by rounding
    spread = model.expectation(risk.fits[:, -1])[:, 1] / model.expectation(model.truth[None])[0, 1]
    assert np.nanmedian(spread) < 1e-15


def test_rows_draw_together_as_their_statistics_do():
    """Discard that reads half of each batch has fits of half as many rows."""
    G = 150
    latest = np.eye(G)
    half = Plan([0, *range(1, G)], np.ones(G), latest, np.where(latest > 0, 0.5, 1))
    for model in (models.NormalMeanVariance(0, 1), models.InverseGaussian(1, 2)):
        by_rows = simulate(half, model=model, n=20, replications=1000, rng=0, fits=True)
        whole = simulate(
            workflows.discard(G), model=model, n=10, replications=1000, rng=1, fits=True
        )
        assert by_rows.failed[-1] == whole.failed[-1] == 0
        one, two = (np.log(risk.fits[:, -1, 1]) for risk in (by_rows, whole))
        assert_agree(
            abs(one.mean()), np.sqrt((one.var() + two.var()) / 1000), abs(two.mean()), detects=0.1
        )


def test_pooled_batches_keep_what_lies_between_their_means():
    """A window of two batches, far in, against the same chain by rows."""
    plan = workflows.window(60, 2)
    model = models.NormalMeanVariance(0, 1)
    by_moments = simulate(plan, model=model, n=10, replications=4000, rng=2, fits=True)
    dense = Plan(plan.source, plan.size, plan.weight)
    np.testing.assert_allclose(
        simulate(dense, model=model, n=10, replications=4000, rng=2, fits=True).fits,
        by_moments.fits,
        rtol=1e-6,
    )
    rng = np.random.default_rng(3)
    theta, latest = np.repeat(model.truth[None], 4000, axis=0), None
    for _ in range(60):
        batch = model.draw(theta, 10, rng)
        rows = batch if latest is None else np.concatenate([latest, batch], axis=1)
        theta, latest = model.fit(rows, np.ones(rows.shape), None), batch
    one, two = np.log(by_moments.fits[:, -1, 1]), np.log(theta[:, 1])
    assert_agree(-one.mean(), np.sqrt((one.var() + two.var()) / 4000), -two.mean(), detects=0.2)


def test_a_variance_that_underflows_is_no_estimate():
    model = models.NormalMeanVariance(0, 1)
    assert np.isnan(model.fit_statistic(np.array([[0.5, 0.0]]), None)).all()
    statistic = model.draw_statistic(np.full((100, 2), [0.5, 5e-324]), 10, np.random.default_rng(0))
    fits = model.fit_statistic(statistic, None)
    assert ((fits[:, 1] > 0) | np.isnan(fits).all(axis=1)).all()


@pytest.mark.parametrize("a", [1e-3, 0.5, 3, 19.9, 20.1, 1e3, 1e8, 1e20])
def test_log_less_digamma_has_all_its_digits(a):
    exact = mp.mpf(a)
    with mp.workdps(60):
        expected = float(mp.log(exact) - mp.digamma(exact))
        change = float(1 / exact - mp.polygamma(1, exact))
    assert log_less_digamma(np.array([a]))[0] == pytest.approx(expected, rel=1e-13)
    assert slope(np.array([a]))[0] == pytest.approx(change, rel=1e-11)


@pytest.mark.parametrize("u", [-0.999, -0.1001, -0.0999, -1e-9, 1e-12, 0.0999, 0.1001, 3, 1e12])
def test_excess_has_all_its_digits(u):
    away = mp.mpf(u)
    with mp.workdps(60):
        expected = float(away - mp.log(1 + away))
    assert excess(np.array([1 + u]), 1.0, np.array([u]))[0] == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize(
    ("a", "b"),
    [(2, 3), (1e-3, 1e-3), (0.5, 1e8), (2000, 3000), (600, 1e9), (1e12, 1e-3), (2e11, 3e11)],
)
def test_beta_parameters_of_every_size_have_all_their_digits(a, b):
    """One more step of Newton's method, in 40 digits, changes nothing."""
    model = models.Beta(a, b)
    statistic = model.expectation(model.truth[None]) * [1, 1.01, 1.01]
    fit = model.fit_statistic(statistic, None)[0]
    with mp.workdps(40):
        x, y = map(mp.mpf, fit.tolist())
        mean, first, second = map(mp.mpf, statistic[0].tolist())
        score = mp.matrix(
            [
                mp.log(mean) - first - mp.digamma(x) + mp.digamma(x + y),
                mp.log(1 - mean) - second - mp.digamma(y) + mp.digamma(x + y),
            ]
        )
        own, other, both = (mp.polygamma(1, value) for value in (x, y, x + y))
        step = mp.lu_solve(mp.matrix([[own - both, -both], [-both, other - both]]), score)
        assert abs(step[0] / x) < 1e-14
        assert abs(step[1] / y) < 1e-14
