"""Estimators of location and scale: regular, so they obey the law in the limit; their fits against
plain loops and scipy; messages.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad
from scipy.optimize import brentq

from collapse import derive, models, simulate, workflows
from collapse.models.families.location import LAWS, median_of_pairs, weighted_median
from tests.plans import typed
from tests.statistics import assert_agree, assert_risks_agree

pytestmark = pytest.mark.statistical

PLANS = [workflows.discard(4), workflows.augment(4), workflows.subsample(4), typed(partly=True)]


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.name)
def test_the_median_obeys_the_law_in_the_limit(plan):
    """At n rows the ratio is off by about 0.4 / sqrt(n), relatively; twice that is allowed."""
    n, model = 400, models.Median("normal", location=2, scale=3)
    simulated = simulate(plan, model=model, n=n, replications=10_000, rng=6)
    assert_risks_agree(
        simulated, derive(plan), detects=0.25, allowance=0.8 / np.sqrt(n), unit=model.limit_risk / n
    )


def test_the_distance_from_the_limit_shrinks_like_the_root_of_n():
    plan, model = workflows.augment(2), models.Median("normal")
    runs = [
        simulate(plan, model=model, n=n, replications=R, rng=1)
        for n, R in ((9, 100_000), (37, 400_000))
    ]
    scaled = [(1 - run.ratio[1] / 1.25) * np.sqrt(run.n) for run in runs]
    errors = [run.stderr[1] / 1.25 * np.sqrt(run.n) for run in runs]
    assert_agree(scaled, errors, [0.26, 0.26], detects=0.45, allowance=0.1)


# the law of Laplace has a cusp at its median: the risk of n rows is off by 1.6 / sqrt(n),
# relatively
@pytest.mark.parametrize(
    ("law", "allowance"),
    [("normal", 0.02), ("laplace", 0.1), ("logistic", 0.02), ("student", 0.02), ("cauchy", 0.02)],
)
def test_limit_risk_is_n_times_the_risk_of_a_large_sample(law, allowance):
    assert law in LAWS
    model = models.Median(law, location=-1, scale=2)
    first = simulate(workflows.discard(1), model=model, n=401, replications=40_000, rng=2)
    assert_agree(
        first.risk * 401,
        first.risk_stderr * 401,
        [model.limit_risk],
        detects=0.1 + allowance,
        allowance=allowance,
    )


def plain_weighted_median(rows, weight):
    """Middle of the set where sum_i weight_i |rows_i - m| is least, by trying every row."""
    cost = [sum(w * abs(x - m) for x, w in zip(rows, weight, strict=True)) for m in rows]
    best = [m for m, c in zip(rows, cost, strict=True) if c <= min(cost) + 1e-12]
    return (min(best) + max(best)) / 2


@pytest.mark.parametrize("N", [1, 2, 5, 8])
def test_the_weighted_median_minimises_the_weighted_distance(N):
    rng = np.random.default_rng(N)
    rows = rng.standard_normal((200, N))
    weight = rng.integers(0, 4, (200, N)) / 3.0
    weight[:, 0] += weight.sum(axis=1) == 0
    used = [plain_weighted_median(x[w > 0], w[w > 0]) for x, w in zip(rows, weight, strict=True)]
    np.testing.assert_allclose(weighted_median(rows, weight), used, rtol=1e-12)


def test_equal_weights_give_the_sample_median():
    rows = np.random.default_rng(0).standard_normal((50, 6))
    uneven = np.full((50, 7), 1 / 6)
    uneven[:, 6] = 0
    padded = np.column_stack([rows, np.full(50, 99.0)])
    np.testing.assert_allclose(weighted_median(rows, np.ones((50, 6))), np.median(rows, axis=1))
    np.testing.assert_allclose(weighted_median(padded, uneven), np.median(rows, axis=1))


def test_the_median_moves_with_location_and_scale():
    plan = workflows.augment(4)
    unit, moved = (
        simulate(plan, model=models.Median("laplace", *args), n=41, replications=500, rng=3)
        for args in ((), (5, 10))
    )
    np.testing.assert_allclose(moved.ratio, unit.ratio, rtol=1e-10)
    np.testing.assert_allclose(moved.risk, 100 * unit.risk, rtol=1e-10)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("gauss",),
            "law must be one of normal, laplace, logistic, student, cauchy; it is 'gauss'",
        ),
        ((["normal"],), r"law must be one of .* it is \['normal'\]"),
        (("normal", np.nan), "location must be a number, finite; it is nan"),
        (("normal", "0"), "location must be a number, finite; it is '0'"),
        (("normal", 0, 0), "scale must be a number, finite and greater than 0; it is 0"),
        (("normal", 0, np.inf), "scale must be a number, finite and greater than 0; it is inf"),
        (("normal", 0, True), "scale must be a number, finite and greater than 0; it is True"),
    ],
)
def test_bad_parameters_are_refused_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        models.Median(*arguments)


KINDS = [models.Median, models.TrimmedMean, models.Huber, models.HodgesLehmann, models.MedianMAD]
each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
each_law = pytest.mark.parametrize("law", LAWS)


def integral(function, law, points=()):
    """Expectation under a standard law, over its quantiles, split where the function is not
    smooth.
    """
    distribution = LAWS[law].distribution
    cuts = [0.0, *sorted(float(distribution.cdf(x)) for x in (0, *points)), 1.0]
    return sum(
        quad(lambda p: function(distribution.ppf(p)), a, b, epsabs=1e-11, limit=200)[0]
        for a, b in pairwise(cuts)
    )


@each_law
def test_constants_of_a_law_are_scipys(law):
    distribution = LAWS[law].distribution
    assert distribution.pdf(0) == pytest.approx(LAWS[law].density)
    assert integral(distribution.pdf, law) == pytest.approx(LAWS[law].squared_density)
    sample = LAWS[law].sample(np.random.default_rng(0), (20_000,))
    assert stats.kstest(sample, distribution.cdf).pvalue > 1e-6


@each_law
@each_kind
def test_influence_functions_have_their_covariance_and_are_regular(kind, law):
    """E psi = 0, E psi psi' = V and E psi s' = 1, the derivative of the fit's mean when the truth
    moves.
    """
    model = kind(law, 2, 3)
    theta, points = (
        model.truth[None],
        (-1.345, 1.345, *LAWS[law].distribution.ppf([0.1, 0.25, 0.75, 0.9])),
    )
    distribution = LAWS[law].distribution

    def psi(x, j=0):
        return model.influence_function(np.array([[2 + 3 * x]]), theta)[0, 0, j]

    def slope(x):
        return -(distribution.logpdf(x + 1e-5) - distribution.logpdf(x - 1e-5)) / 2e-5

    V, d = model.influence_covariance, len(model.truth)
    for j in range(d):
        assert integral(lambda x, j=j: psi(x, j), law, points) == pytest.approx(0, abs=1e-7)
        for k in range(d):
            assert integral(
                lambda x, j=j, k=k: psi(x, j) * psi(x, k), law, points
            ) == pytest.approx(V[j, k], rel=1e-5, abs=1e-7)
    scores = [slope, lambda x: x * slope(x) - 1][:d]
    for j in range(d):
        for k, score in enumerate(scores):
            assert integral(
                lambda x, j=j, s=score: psi(x, j) * s(x) / 3, law, points
            ) == pytest.approx(float(j == k), abs=1e-3)


@each_kind
def test_a_large_sample_is_the_mean_influence(kind):
    """sqrt(n) times the remainder is of order n^(-1/4) for quantiles and smaller for the others."""
    model, n, R = kind("logistic", 1, 2), 4000, 40
    rows = model.draw_real(R, n, np.random.default_rng(2))
    theta = np.repeat(model.truth[None], R, axis=0)
    first = model.influence_function(rows, theta).mean(axis=1)
    remainder = np.sqrt(n) * (model.fit(rows, np.ones((R, n)), None) - theta - first)
    assert (
        np.sqrt((remainder**2).mean(axis=0)) < 0.25 * np.sqrt(np.diag(model.influence_covariance))
    ).all()
    assert (
        np.sqrt(n * (first**2).mean(axis=0)) > 0.7 * np.sqrt(np.diag(model.influence_covariance))
    ).all()


@each_kind
def test_whole_weights_are_repeated_rows(kind):
    model, rng = kind("student"), np.random.default_rng(3)
    for _ in range(30):
        rows, weight = rng.standard_t(3, (1, 9)), rng.integers(0, 4, (1, 9))
        weight[0, 0] += 1
        weight[0, 1] += 1
        repeated = np.repeat(rows[0], weight[0])[None]
        np.testing.assert_allclose(
            model.fit(rows, weight.astype(float), None),
            model.fit(repeated, np.ones(repeated.shape), None),
            rtol=1e-9,
        )


@each_kind
def test_fits_move_with_location_and_scale(kind):
    rng = np.random.default_rng(4)
    rows, weight = rng.standard_normal((20, 15)), rng.uniform(0.1, 1, (20, 15))
    here, there = (
        kind("normal").fit(rows, weight, None),
        kind("normal", 5, 10).fit(5 + 10 * rows, weight, None),
    )
    np.testing.assert_allclose(there, 10 * here + np.array([5, 0])[: here.shape[1]], rtol=1e-10)
    mirror = kind("normal").fit(-rows, weight, None)
    np.testing.assert_allclose(
        mirror, here * np.array([-1, 1])[: here.shape[1]], rtol=1e-9, atol=1e-13
    )


@pytest.mark.parametrize("trim", [0.1, 0.25, 0.4])
def test_the_trimmed_mean_is_scipys(trim):
    rows = np.random.default_rng(5).standard_normal((8, 20))
    fit = models.TrimmedMean("normal", trim=trim).fit(rows, np.ones(rows.shape), None)
    np.testing.assert_allclose(fit[:, 0], stats.trim_mean(rows, trim, axis=1), rtol=1e-12)


def test_the_trimmed_mean_lies_between_the_mean_and_the_median():
    rows = np.random.default_rng(6).standard_normal((8, 21))
    for trim, middle in ((1e-9, rows.mean(axis=1)), (0.5 - 1e-9, np.median(rows, axis=1))):
        np.testing.assert_allclose(
            models.TrimmedMean("normal", trim=trim).fit(rows, np.ones(rows.shape), None)[:, 0],
            middle,
            atol=1e-6,
        )


@pytest.mark.parametrize("k", [0.01, 1.345, 50])
def test_the_huber_estimate_is_the_root_of_its_equation(k):
    rng = np.random.default_rng(7)
    rows, weight = 2 * rng.standard_cauchy((30, 14)), rng.uniform(0.1, 1, (30, 14))
    fit = models.Huber("cauchy", 0, 2, k=k).fit(rows, weight, None)[:, 0]
    for x, w, m in zip(rows, weight, fit, strict=True):
        root = brentq(
            lambda t, x=x, w=w: w @ np.clip((x - t) / 2, -k, k),
            x.min(),
            x.max(),
            xtol=1e-13,
            rtol=1e-14,
        )
        assert m == pytest.approx(root, abs=1e-10)


def test_the_huber_estimate_of_few_rows_is_reached():
    """Steps that lead from one end of the bracket to the other and back, and rows of which none is
    near the root.
    """
    rng = np.random.default_rng(8)
    model = models.Huber("student")
    for N in (1, 2, 3, 10):
        rows = (
            rng.standard_t(3, (30_000, N)) * np.array([1.0, 30.0])[rng.integers(0, 2, (30_000, 1))]
        )
        m = model.fit(rows, np.ones(rows.shape), None)
        pull = np.clip(rows - m, -1.345, 1.345).sum(axis=1)
        assert abs(pull).max() < 1e-10
        np.testing.assert_allclose(model.fit(rows, np.ones(rows.shape), m + 5), m, atol=1e-9)
    # no row within reach: any point from -8.655 to 8.655 is a root
    np.testing.assert_allclose(
        model.fit(np.array([[-11, -10, 10, 12.0]]), np.ones((1, 4)), np.array([[7.0]])),
        0,
        atol=1e-12,
    )


def plain_median_of_pairs(x, w):
    """All pairs, by the plain weighted median."""
    pairs, weight = (x[:, None] + x).ravel() / 2, np.outer(w, w).ravel()
    order = np.argsort(pairs)
    share = np.cumsum(weight[order]) / weight.sum()
    low, high = pairs[order][share > 0.5 - 1e-12][0], pairs[order][share > 0.5 + 1e-12][0]
    return (low + high) / 2


@pytest.mark.parametrize("N", [1, 2, 3, 8, 41, 200])
@pytest.mark.parametrize("weights", ["equal", "whole", "any"])
def test_the_median_of_pairs_is_that_of_all_pairs(N, weights):
    rng = np.random.default_rng(N)
    rows = np.concatenate(
        [
            rng.standard_normal((20, N)),
            rng.standard_cauchy((20, N)) * 1e3 + 7,
            np.round(rng.standard_normal((20, N)), 1),
        ]
    )
    weight = {
        "equal": np.ones(rows.shape),
        "whole": rng.integers(0, 4, rows.shape) / 3,
        "any": rng.random(rows.shape),
    }[weights]
    weight[:, 0] += weight.sum(axis=1) == 0
    expected = [
        plain_median_of_pairs(x[w > 0], w[w > 0]) for x, w in zip(rows, weight, strict=True)
    ]
    np.testing.assert_allclose(median_of_pairs(rows, weight), expected, rtol=1e-10, atol=1e-13)


def test_the_mad_is_scipys_and_equal_rows_have_none():
    rows = np.random.default_rng(8).standard_normal((8, 20))
    model = models.MedianMAD("normal")
    fit = model.fit(rows, np.ones(rows.shape), None)
    np.testing.assert_allclose(
        fit[:, 1], stats.median_abs_deviation(rows, axis=1, scale="normal"), rtol=1e-12
    )
    assert np.isnan(model.fit(np.zeros((1, 4)), np.ones((1, 4)), None)).all()


@pytest.mark.parametrize(
    "model",
    [models.TrimmedMean("laplace"), models.Huber("student"), models.HodgesLehmann("logistic")],
    ids=repr,
)
def test_the_estimators_obey_the_law(model):
    """At n = 60 ratios are within 4 per cent of the limit; under discard they are g at every n."""
    n = 60
    flat = simulate(workflows.discard(4), model=model, n=n, replications=30_000, rng=9)
    assert_agree(flat.ratio, flat.stderr, [1, 2, 3, 4], detects=0.15)
    assert_agree(
        flat.risk[:1] * n,
        flat.risk_stderr[:1] * n,
        [model.limit_risk],
        detects=0.15,
        allowance=0.06,
    )
    for plan in PLANS[1:]:
        simulated = simulate(plan, model=model, n=n, replications=10_000, rng=10)
        assert_risks_agree(
            simulated, derive(plan), detects=0.35, allowance=0.06, unit=model.limit_risk / n
        )


def test_median_and_mad_obey_the_law():
    n, model = 401, models.MedianMAD("logistic", 3, 2)
    for plan in (workflows.discard(3), workflows.augment(3)):
        simulated = simulate(plan, model=model, n=n, replications=10_000, rng=11)
        assert_risks_agree(
            simulated, derive(plan), detects=0.25, allowance=0.04, unit=model.limit_risk / n
        )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: models.TrimmedMean("normal", trim=0.5),
            "trim must be a number, between 0 and 0.5, both excluded; it is 0.5",
        ),
        (
            lambda: models.TrimmedMean("normal", trim=0),
            "trim must be a number, between 0 and 0.5, both excluded; it is 0",
        ),
        (
            lambda: models.Huber("normal", k=0),
            "k must be a number, finite and greater than 0; it is 0",
        ),
        (lambda: models.HodgesLehmann("gauss"), "law must be one of normal"),
        (
            lambda: models.MedianMAD("normal", 0, -1),
            "scale must be a number, finite and greater than 0; it is -1",
        ),
    ],
)
def test_bad_options_are_refused_by_name(make, message):
    with pytest.raises(ValueError, match=message):
        make()
