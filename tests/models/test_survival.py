"""Censored lifetimes: fits against scipy, closed forms, the limit, and what happens where synthetic
rows are not censored.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad
from scipy.special import digamma, polygamma

from collapse import Plan, derive, models, simulate, workflows
from tests.statistics import assert_agree, assert_risks_agree, assert_same_law

PLANS = [workflows.discard(4), workflows.augment(4), workflows.subsample(4)]
WEIBULL = models.CensoredWeibull(2, 1.5, events=0.6)


def more_informative(plan, share):
    """The plan in which a synthetic row counts as 1 / share real rows."""
    count = np.where(plan.source == 0, 1, 1 / share)
    weight = plan.weight * count
    return Plan(
        plan.source, plan.size * count, weight / weight.sum(axis=1, keepdims=True), plan.kept
    )


def rows_of(model, N=40, R=5, seed=0):
    return model.draw_real(R, N, np.random.default_rng(seed))


@pytest.mark.parametrize("r", range(5))
def test_fits_are_those_of_scipy(r):
    rows = rows_of(WEIBULL)
    time, event = rows[r, :, 0], rows[r, :, 1] == 1
    data = stats.CensoredData(uncensored=time[event], right=time[~event])
    shape, _, scale = stats.weibull_min.fit(data, floc=0)
    np.testing.assert_allclose(
        WEIBULL.fit(rows, np.ones((5, 40)), None)[r], [scale, shape], rtol=1e-4
    )
    exponential = models.CensoredExponential(2)
    np.testing.assert_allclose(
        exponential.fit(rows, np.ones((5, 40)), None)[r, 0],
        1 / stats.expon.fit(data, floc=0)[1],
        rtol=1e-4,
    )


@pytest.mark.parametrize(
    "model", [WEIBULL, models.CensoredExponential(2, 0.6)], ids=["Weibull", "exponential"]
)
def test_the_weighted_score_is_zero_at_the_fit(model):
    rows = rows_of(model)
    rows[..., 0] = (
        rows[..., 0] ** np.array([0.05, 0.3, 1, 4, 30])[:, None]
        * np.array([1e-9, 1, 1, 1e9, 1])[:, None]
    )
    weight = np.random.default_rng(1).integers(0, 4, (5, 40)).astype(float)
    theta = model.fit(rows, weight, None)
    score = theta[:, None] * model.score(rows, theta)
    total = np.einsum("rn,rnk->rk", weight, score)
    assert np.all(abs(total) < 1e-8 * np.einsum("rn,rnk->rk", weight, abs(score)))
    again = np.repeat(rows[0], weight[0].astype(int), axis=0)[None]
    np.testing.assert_allclose(
        model.fit(again, np.ones(again.shape[:2]), None)[0], theta[0], rtol=1e-9
    )


@pytest.mark.parametrize(
    ("time", "event", "exists"),
    [
        ([1, 2, 3], [0, 0, 0], False),
        ([1, 2, 3], [0, 0, 1], False),
        ([1, 2, 3], [0, 1, 0], True),
        ([2, 2, 2], [1, 1, 1], False),
        ([2, 2, 3], [1, 1, 0], True),
        ([2], [1], False),
    ],
)
def test_a_weibull_fit_exists_where_some_time_exceeds_the_events(time, event, exists):
    fit = WEIBULL.fit(np.array([time, event], float).T[None], np.ones((1, len(time))), None)
    assert np.isfinite(fit).all() == exists
    assert np.isnan(fit).all() != exists


def test_an_exponential_fit_needs_an_event():
    rows = np.array([[[1.0, 0.0], [2.0, 0.0]], [[1.0, 0.0], [2.0, 1.0]]])
    np.testing.assert_array_equal(
        models.CensoredExponential(1).fit(rows, np.ones((2, 2)), None), [[np.nan], [1 / 3]]
    )


@pytest.mark.parametrize("events", [0.3, 0.6, 1])
def test_information_at_the_truth_is_the_closed_form(events):
    scale, shape = 2.0, 1.5
    model = models.CensoredWeibull(scale, shape, events)
    # z = log(events) + log E with E standard exponential: E[z e^z] and E[z^2 e^z] are moments of
    # the logarithm of a gamma(2) variate
    a = np.log(events) + digamma(2)
    closed = events * np.array(
        [[shape**2 / scale**2, -a / scale], [-a / scale, (1 + a**2 + polygamma(1, 2)) / shape**2]]
    )
    np.testing.assert_allclose(model.risk_hessian, closed, rtol=1e-10)
    np.testing.assert_allclose(
        models.CensoredExponential(3, events).risk_hessian, [[events / 9]], rtol=1e-12
    )


@pytest.mark.parametrize(
    "model", [WEIBULL, models.CensoredExponential(2, 0.6)], ids=["Weibull", "exponential"]
)
def test_scores_have_mean_zero_and_the_information_away_from_the_truth(model):
    theta = np.repeat([1.4 * model.truth], 400_000, axis=0)
    rows = model.draw(theta, 1, np.random.default_rng(2))
    score = model.score(rows, theta)[:, 0]
    spread = model.information(theta[:1])[0]
    unit = np.sqrt(np.diag(spread))
    mean, error = score.mean(axis=0) / unit, score.std(axis=0) / unit / np.sqrt(len(score))
    assert_agree(1 + mean, error, np.ones(len(mean)), detects=0.02)
    product, unit = score[:, :, None] * score[:, None, :], np.outer(unit, unit)
    error = product.std(axis=0) / unit / np.sqrt(len(score))
    assert_agree(2 + product.mean(axis=0) / unit, error, 2 + spread / unit, detects=0.05)


@pytest.mark.parametrize("theta", [[2, 1.5], [1.5, 1.5], [2, 2], [3, 1]])
def test_risk_is_the_divergence_of_a_censored_row(theta):
    scale, shape = WEIBULL.truth
    limit = stats.weibull_min(WEIBULL.censoring[1], scale=WEIBULL.censoring[0])
    true, fitted = (
        stats.weibull_min(shape, scale=scale),
        stats.weibull_min(theta[1], scale=theta[0]),
    )
    seen = quad(
        lambda t: true.pdf(t) * limit.sf(t) * (true.logpdf(t) - fitted.logpdf(t)), 0, 30, limit=200
    )[0]
    hidden = quad(
        lambda t: limit.pdf(t) * true.sf(t) * (true.logsf(t) - fitted.logsf(t)), 0, 30, limit=200
    )[0]
    np.testing.assert_allclose(WEIBULL.risk(np.array([theta], float)), [seen + hidden], atol=1e-9)
    if theta[1] == 1.5:
        exponential = models.CensoredExponential(1 / scale**1.5, 0.6)
        np.testing.assert_allclose(
            exponential.risk(np.array([[theta[0] ** -1.5]])), [seen + hidden], atol=1e-9
        )


@pytest.mark.parametrize(
    "model", [WEIBULL, models.CensoredExponential(2, 0.6)], ids=["Weibull", "exponential"]
)
def test_the_hessian_of_the_risk_is_the_information(model):
    d, step = len(model.truth), 1e-4
    basis = step * np.eye(d)
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
    np.testing.assert_allclose(model.risk_hessian, numeric, rtol=1e-5)
    assert model.limit_risk == pytest.approx(
        np.trace(model.risk_hessian @ model.influence_covariance) / 2
    )


@pytest.mark.parametrize("synthetic", [False, True])
def test_events_and_total_time_are_drawn_in_their_law(synthetic):
    model, R = models.CensoredExponential(2, 0.3, censor_synthetic=synthetic), 40_000
    theta = np.full((R, 1), 3.0)
    by_rows = model.draw(theta, 4, np.random.default_rng(0)).mean(axis=1)
    by_statistic = model.draw_statistic(theta, 4, np.random.default_rng(1))
    for pick in ([1, 0], [0, 1], [1, 1], [1, -1]):
        assert_same_law(by_rows @ pick, by_statistic @ pick, detects=0.06)


def test_real_rows_show_the_stated_share_of_events():
    for model in (WEIBULL, models.CensoredExponential(3, 0.6)):
        event = model.draw_real(1000, 200, np.random.default_rng(3))[..., 1]
        assert_agree(event.mean(), np.sqrt(0.24 / event.size), 0.6, detects=0.03)


def test_the_mean_rate_under_discard_is_exact():
    """Events and total time are independent: a batch of n multiplies the expected rate by n / (n -
    1), an estimate that fails being 0.
    """
    n, R, model = 6, 400_000, models.CensoredExponential(2, 0.6)
    rng = np.random.default_rng(4)
    rate = model.fit_statistic(model.draw_real_statistic(R, n, rng), None)
    assert_agree(np.isnan(rate).mean(), np.sqrt(0.4**n / R), 0.4**n, detects=0.25)
    values = [np.nan_to_num(rate)]
    alive = rate[~np.isnan(rate[:, 0])]
    values.append(np.zeros((R, 1)))
    values[1][: len(alive)] = np.nan_to_num(
        model.fit_statistic(model.draw_statistic(alive, n, rng), None)
    )
    for g, v in enumerate(values, 1):
        assert_agree(v.mean(), v.std() / np.sqrt(R), 2 * (n / (n - 1)) ** g, detects=0.05)


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.name)
def test_lifetimes_censored_alike_obey_the_law(plan):
    """Finite n adds about 14 / n for the exponential at generation 20 of discard, less at 4; to the
    Weibull's about 4 %.
    """
    for model, n, R, allowance in (
        (models.CensoredExponential(2, 0.6), 200, 8_000, 0.05),
        (WEIBULL, 400, 3_000, 0.08),
    ):
        risk = simulate(plan, model=model, n=n, replications=R, rng=5)
        assert_risks_agree(
            risk, derive(plan), detects=0.5, allowance=allowance, unit=model.limit_risk / n
        )


def test_the_distance_from_the_limit_shrinks_like_one_over_n():
    plan, model = workflows.discard(20), models.CensoredExponential(1, 0.6)
    runs = [
        simulate(plan, model=model, n=n, replications=R, rng=6)
        for n, R in ((200, 100_000), (400, 400_000))
    ]
    scaled = [(run.ratio[-1] / 20 - 1) * run.n for run in runs]
    assert_agree(
        scaled, [run.stderr[-1] / 20 * run.n for run in runs], [14, 14], detects=1.2, allowance=0.15
    )


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.name)
def test_uncensored_synthetic_rows_obey_the_law_of_larger_batches(plan):
    model, n = models.CensoredExponential(2, 0.4, censor_synthetic=False), 200
    risk = simulate(plan, model=model, n=n, replications=10_000, rng=7)
    other = derive(more_informative(plan, 0.4))
    assert_risks_agree(risk, other, detects=0.3, allowance=0.03, unit=model.limit_risk / n)


def test_the_constant_of_augment_with_uncensored_synthetic_rows():
    p, G = 0.4, 50
    ratio = derive(more_informative(workflows.augment(G), p)).ratio
    np.testing.assert_allclose(
        ratio, 1 + p * (polygamma(1, 1 + p) - polygamma(1, np.arange(1, G + 1) + p)), rtol=1e-12
    )


def test_a_simulation_tells_censored_from_uncensored_synthetic_rows():
    """The planted error: the law of the one is refused for the other."""
    model, plan = models.CensoredExponential(2, 0.4, censor_synthetic=False), workflows.discard(4)
    risk = simulate(plan, model=model, n=200, replications=10_000, rng=7)
    with pytest.raises(AssertionError, match="differ from what is expected"):
        assert_agree(risk.ratio, risk.stderr, derive(plan).ratio, detects=0.4, allowance=0.03)


def test_weibull_with_uncensored_synthetic_rows_averages_over_directions():
    n, plan = 400, workflows.augment(4)
    model = models.CensoredWeibull(2, 1.5, 0.3, censor_synthetic=False)
    share = np.linalg.eigvals(
        np.linalg.solve(models.CensoredWeibull(2, 1.5).risk_hessian, model.risk_hessian)
    ).real
    expected = np.mean([derive(more_informative(plan, p)).ratio for p in share], axis=0)
    risk = simulate(plan, model=model, n=n, replications=3_000, rng=8)
    assert_agree(risk.ratio, risk.stderr, expected, detects=0.4, allowance=0.05)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: models.CensoredExponential(0),
            "rate must be a number, finite and greater than 0; it is 0",
        ),
        (
            lambda: models.CensoredExponential(1, 0),
            "seen to end; 1 for no censoring.* between 0 and 1, both excluded; it is 0",
        ),
        (lambda: models.CensoredExponential(1, 1.5), "between 0 and 1, both excluded; it is 1.5"),
        (
            lambda: models.CensoredWeibull(-1, 1),
            "scale must be a number, finite and greater than 0; it is -1",
        ),
        (
            lambda: models.CensoredWeibull(1, "2"),
            "shape must be a number, finite and greater than 0; it is '2'",
        ),
    ],
)
def test_bad_parameters_are_refused_by_name(make, message):
    with pytest.raises(ValueError, match=message):
        make()
