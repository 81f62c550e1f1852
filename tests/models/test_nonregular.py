"""Uniform(0, endpoint) and its maximum: rate n and its own ratios, exactly; and what is refused."""

from __future__ import annotations

from fractions import Fraction as F

import numpy as np
import pytest

from collapse import Plan, derive, models, simulate, workflows
from tests.statistics import assert_agree, assert_risks_agree

GROWING = Plan([0, 1, 2], [1, 2, 4], [[1, 0, 0], [0, 1, 0], [0, 0, 1]], name="growing")
BRANCHES = Plan(
    [0, 1, 1, 2],
    [1, 1, 2, 1],
    [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0.5, 0, 0.5]],
    name="branches",
)


@pytest.mark.parametrize(
    "plan",
    [workflows.discard(5), workflows.augment(5), GROWING, BRANCHES],
    ids=lambda plan: plan.name,
)
def test_simulated_risk_is_the_derived_risk(plan):
    model = models.Uniform(2)
    simulated = simulate(plan, model=model, n=20, replications=100_000, rng=9)
    assert_risks_agree(simulated, derive(plan, model=model, n=20), detects=0.1)


def test_the_rate_is_n_and_neither_g_nor_pi_squared_over_six_holds():
    g = np.arange(1, 7)
    first, second = (
        derive(workflows.discard(6), model=models.Uniform(1), n=n) for n in (10**4, 10**5)
    )
    np.testing.assert_allclose(first.risk / second.risk, 100, rtol=1e-2)
    np.testing.assert_allclose(second.ratio, g * (g + 1) / 2, rtol=1e-3)
    assert derive(workflows.augment(6), model=models.Uniform(1), n=100).ratio.tolist() == [1.0] * 6


@pytest.mark.parametrize("n", [1, 10, 10**4, 10**8])
def test_floats_keep_their_digits_at_every_n(n):
    for plan in (workflows.discard(6), workflows.augment(6), BRANCHES):
        close = derive(plan, model=models.Uniform(1.5), n=n)
        plan = (
            plan
            if plan.rational
            else Plan(
                plan.source,
                [1, 1, 2, 1],
                [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, F(1, 2), 0, F(1, 2)]],
            )
        )
        exact = derive(plan, model=models.Uniform(F(3, 2)), n=n, exact=True)
        np.testing.assert_allclose(close.risk, exact.risk.astype(float), rtol=1e-12)


def test_one_row_by_hand():
    assert derive(workflows.discard(1), model=models.Uniform(1), n=1, exact=True).risk.tolist() == [
        F(1, 3)
    ]
    assert derive(workflows.discard(2), model=models.Uniform(1), n=1, exact=True).risk.tolist() == [
        F(1, 3),
        1 - 2 * F(1, 4) + F(1, 9),
    ]


def test_no_augmented_fit_exceeds_the_real_maximum():
    risk = simulate(workflows.augment(4), model=models.Uniform(1), n=10, replications=1000, rng=0)
    assert_agree(risk.ratio, risk.stderr, np.ones(4), detects=1e-9)


@pytest.mark.parametrize(
    ("plan", "options", "message"),
    [
        (
            workflows.subsample(3),
            {},
            "subsample reads part of a batch; no exact form is known for a maximum then",
        ),
        (
            Plan([0, 0], [1, 1], [[0.5, 0.5]]),
            {},
            r"which batch holds the maximum of fit 1 is random.* simulate",
        ),
        (
            Plan([0, 1, 1], [1, 1, 1], [[1, 0, 0], [0, 0.5, 0.5]]),
            {},
            "which batch holds the maximum of fit 2 is random",
        ),
        (Plan([0], [1.0], [[1]]), {"exact": True}, "exact=True needs a rational plan and endpoint"),
    ],
)
def test_plans_without_an_exact_form_are_refused(plan, options, message):
    with pytest.raises(ValueError, match=message):
        derive(plan, model=models.Uniform(1), n=12, **options)


def test_exact_answers_refuse_a_float_endpoint():
    with pytest.raises(
        ValueError,
        match=r"they hold floats \(Uniform\(endpoint=1\.5\)\): give int or fractions\.Fraction",
    ):
        derive(workflows.discard(2), model=models.Uniform(1.5), n=10, exact=True)


@pytest.mark.parametrize("value", [0, -1, np.nan, np.inf, True, "1", None], ids=repr)
def test_bad_endpoints_are_refused(value):
    with pytest.raises(
        ValueError, match="endpoint must be a number, finite and greater than 0; it is"
    ):
        models.Uniform(value)
