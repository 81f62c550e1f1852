"""The sample median: a regular estimator that obeys the law in the limit; its fit against a plain loop; its messages."""

from __future__ import annotations

import numpy as np
import pytest

from collapse import derive, models, simulate, workflows
from collapse.models.location import LAWS, weighted_median
from tests.plans import typed
from tests.statistics import assert_agree, assert_risks_agree

PLANS = [workflows.discard(4), workflows.augment(4), workflows.subsample(4), typed(partly=True)]


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.name)
def test_the_median_obeys_the_law_in_the_limit(plan):
    """At n rows the ratio is off by about 0.4 / sqrt(n), relatively; twice that is allowed."""
    n, model = 400, models.Median("normal", location=2, scale=3)
    simulated = simulate(plan, model=model, n=n, replications=10_000, rng=6)
    assert_risks_agree(simulated, derive(plan), detects=0.25, allowance=0.8 / np.sqrt(n), unit=model.limit_risk / n)


def test_the_distance_from_the_limit_shrinks_like_the_root_of_n():
    plan, model = workflows.augment(2), models.Median("normal")
    runs = [simulate(plan, model=model, n=n, replications=R, rng=1) for n, R in ((9, 100_000), (37, 400_000))]
    scaled = [(1 - run.ratio[1] / 1.25) * np.sqrt(run.n) for run in runs]
    errors = [run.stderr[1] / 1.25 * np.sqrt(run.n) for run in runs]
    assert_agree(scaled, errors, [0.26, 0.26], detects=0.45, allowance=0.1)


# the law of Laplace has a cusp at its median: the risk of n rows is off by 1.6 / sqrt(n), relatively
@pytest.mark.parametrize(("law", "allowance"), [("normal", 0.02), ("laplace", 0.1), ("logistic", 0.02), ("cauchy", 0.02)])
def test_limit_risk_is_n_times_the_risk_of_a_large_sample(law, allowance):
    assert law in LAWS
    model = models.Median(law, location=-1, scale=2)
    first = simulate(workflows.discard(1), model=model, n=401, replications=40_000, rng=2)
    assert_agree(first.risk * 401, first.risk_stderr * 401, [model.limit_risk], detects=0.1 + allowance, allowance=allowance)


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
    unit, moved = (simulate(plan, model=models.Median("laplace", *args), n=41, replications=500, rng=3) for args in ((), (5, 10)))
    np.testing.assert_allclose(moved.ratio, unit.ratio, rtol=1e-10)
    np.testing.assert_allclose(moved.risk, 100 * unit.risk, rtol=1e-10)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("gauss",), "law must be one of normal, laplace, logistic, student, cauchy; it is 'gauss'"),
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
