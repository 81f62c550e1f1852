"""The Morris class: simulated against the exact risk at n, from statistics and from rows; and what
its parameters may be.
"""

from __future__ import annotations

from fractions import Fraction as F

import numpy as np
import pytest

from collapse import Plan, derive, models, simulate, workflows
from collapse.models import WithStatistic
from tests.plans import typed
from tests.statistics import assert_agree, assert_risks_agree, assert_same_law

pytestmark = pytest.mark.statistical

FAMILIES = [
    models.Normal(1, 2),
    models.Bernoulli(0.2),
    models.Binomial(10, 0.3),
    models.Poisson(3),
    models.Exponential(2),
    models.Gamma(3, 2),
    models.NegativeBinomial(4, 2),
    models.HyperbolicSecant(2, 1),
]
PLANS = [
    workflows.discard(5),
    workflows.augment(5),
    workflows.subsample(5),
    typed(partly=False),
    typed(partly=True),
    typed(partly=True, replace=True),
]
n = 20
each_family = pytest.mark.parametrize("model", FAMILIES, ids=repr)


@each_family
@pytest.mark.parametrize(
    "plan",
    PLANS,
    ids=lambda p: f"{p.name}{', partly' * (not p.reads_whole_batches)}{', replace' * p.replace}",
)
def test_simulated_risk_is_the_exact_risk_at_n(model, plan):
    replications = 220_000 if plan.reads_whole_batches else 40_000
    simulated = simulate(plan, model=model, n=n, replications=replications, rng=11)
    assert_risks_agree(
        simulated,
        derive(plan, model=model, n=n),
        detects=0.06 if plan.reads_whole_batches else 0.15,
    )


@pytest.mark.parametrize("replace", [False, True])
def test_a_number_of_rows_that_is_not_whole_is_rounded_at_random_with_its_mean(replace):
    plan = Plan([0, 1], [1, 1], [[1, 0], [0.5, 0.5]], [[0.3125, 1], [1, 0.3125]], replace=replace)
    model = models.Poisson(2)
    simulated, derived = (
        simulate(plan, model=model, n=4, replications=200_000, rng=1),
        derive(plan, model=model, n=4),
    )
    # 1.25 rows: one of them with probability 3/4, two with 1/4, so that E[1 / rows] = 7/8
    assert derived.risk[0] == pytest.approx(2 * (1 / 4 + 7 / 8 * 3 / 4) if replace else 2 * 7 / 8)
    assert_risks_agree(simulated, derived, detects=0.1)


@each_family
def test_rows_and_statistics_give_one_law(model):
    rng = np.random.default_rng(3)
    theta = np.repeat(0.8 * model.truth[None], 40_000, axis=0)
    rows = model.draw(theta, 7, rng).mean(axis=1)
    assert_same_law(rows, model.draw_statistic(theta, 7, rng)[:, 0], detects=0.05)


def test_the_laws_are_told_apart_where_they_differ():
    rng = np.random.default_rng(3)
    theta = np.full((40_000, 1), 2.0)
    with pytest.raises(AssertionError, match="the laws differ"):
        assert_same_law(
            *(
                kind(2, 2).draw(theta, 7, rng).mean(axis=1)
                for kind in (models.Gamma, models.NegativeBinomial)
            ),
            detects=0.05,
        )


class RowsAlone:
    """A model without its statistics."""

    def __init__(self, model):
        self.truth, self.draw, self.draw_real, self.fit, self.risk = (
            model.truth,
            model.draw,
            model.draw_real,
            model.fit,
            model.risk,
        )


@each_family
def test_both_paths_agree_on_a_plan_of_whole_batches(model):
    assert isinstance(model, WithStatistic)
    assert not isinstance(RowsAlone(model), WithStatistic)
    exact = derive(typed(partly=False), model=model, n=n)
    rows = simulate(typed(partly=False), model=RowsAlone(model), n=n, replications=20_000, rng=4)
    assert_risks_agree(rows, exact, detects=0.2)


@each_family
def test_the_variance_function_is_the_variance_of_rows(model):
    replications = 400_000
    for factor in (0.7, 1.3):
        theta = factor * model.truth
        x = model.draw(np.repeat(theta[None], replications, axis=0), 1, np.random.default_rng(5))[
            :, 0
        ]
        v0, v1, v2 = (float(v) for v in model.variance_function)
        square = (x - theta) ** 2
        assert_agree(
            square.mean(),
            square.std() / np.sqrt(replications),
            v0 + v1 * theta[0] + v2 * theta[0] ** 2,
            detects=0.06,
        )


@each_family
def test_limit_risk_is_the_variance_at_the_truth(model):
    assert derive(workflows.discard(1), model=model, n=1).risk[0] == pytest.approx(model.limit_risk)


@pytest.mark.parametrize(
    "model", [models.Bernoulli(0.5), models.Poisson(1), models.NegativeBinomial(1, 1)], ids=repr
)
def test_a_chain_without_variance_left_is_a_point_mass(model):
    still = np.zeros((3, 1))
    rng = np.random.default_rng(0)
    assert not model.draw(still, 4, rng).any()
    assert not model.draw_statistic(still, 4, rng).any()


def test_a_share_above_one_by_rounding_is_one():
    rng = np.random.default_rng(0)
    assert models.Bernoulli(0.5).draw(np.array([[1 + 1e-15]]), 3, rng).tolist() == [[1, 1, 1]]


def test_hyperbolic_secant_rows_against_the_density():
    """At mean 0 and shape 1, pi / 2 times a row has scipy's hypsecant law; at other means that
    density tilted.
    """
    from scipy.integrate import quad
    from scipy.stats import hypsecant, kstest

    R = 100_000
    rows = models.HyperbolicSecant(1, 1).draw(
        np.repeat([[0.0], [-1.5]], [R, R], axis=0), 1, np.random.default_rng(8)
    )[:, 0]
    assert kstest(rows[:R] * np.pi / 2, hypsecant.cdf).pvalue > 1e-6
    tilt = np.arctan(-1.5)
    for at in (-4.0, -1.5, 0.0, 1.0):
        below = quad(
            lambda x: np.cos(tilt) * np.exp(tilt * x) / (2 * np.cosh(np.pi * x / 2)), -60, at
        )[0]
        assert_agree((rows[R:] <= at).mean(), np.sqrt(below * (1 - below) / R), below, detects=0.1)


def test_hyperbolic_secant_far_out_in_the_tail():
    """Shapes of the gamma variates near zero: variates as small as exp(-10^4) do not underflow."""
    model = models.HyperbolicSecant(2, 1e4)
    rows = model.draw(np.full((200_000, 1), 1e4), 1, np.random.default_rng(9))
    assert np.isfinite(rows).all()
    assert_agree(rows.mean(), rows.std() / np.sqrt(rows.size), 1e4, detects=0.02)
    assert rows.std() == pytest.approx(np.sqrt(model.limit_risk), rel=0.02)


def test_bernoulli_and_exponential_are_members():
    assert models.Bernoulli(0.2) == models.Binomial(1, 0.2)
    assert models.Exponential(2) == models.Gamma(1, 2)


def test_parameters_may_be_exact():
    assert models.NegativeBinomial(F(1, 2), F(1, 3)).variance_function == (0, 1, 2)
    assert models.Gamma(F(2), F(1, 3)).variance_function == (0, 0, F(1, 2))


BAD = [float("nan"), float("inf"), -float("inf"), True, "1", None, 1j, [1.0]]


@pytest.mark.parametrize("value", [*BAD, 0, -1], ids=repr)
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda v: models.Normal(0, v), "sd must be a number, finite and greater than 0; it is"),
        (
            lambda v: models.Bernoulli(v),
            "p must be a number, between 0 and 1, both excluded; it is",
        ),
        (
            lambda v: models.Binomial(3, v),
            "p must be a number, between 0 and 1, both excluded; it is",
        ),
        (lambda v: models.Binomial(v, 0.5), "trials .*must be a whole number, at least 1; it is"),
        (lambda v: models.Poisson(v), "rate must be a number, finite and greater than 0; it is"),
        (
            lambda v: models.Exponential(v),
            "mean must be a number, finite and greater than 0; it is",
        ),
        (lambda v: models.Gamma(v, 1), "shape must be a number, finite and greater than 0; it is"),
        (lambda v: models.Gamma(1, v), "mean must be a number, finite and greater than 0; it is"),
        (
            lambda v: models.NegativeBinomial(v, 1),
            "size must be a number, finite and greater than 0; it is",
        ),
        (
            lambda v: models.HyperbolicSecant(v, 1),
            "shape .*must be a whole number, at least 1; it is",
        ),
        (
            lambda v: models.NegativeBinomial(1, v),
            "mean must be a number, finite and greater than 0; it is",
        ),
    ],
)
def test_bad_parameters_are_refused_by_name(make, message, value):
    with pytest.raises(ValueError, match=message):
        make(value)


@pytest.mark.parametrize("value", BAD, ids=repr)
def test_a_normal_mean_may_be_any_finite_number(value):
    assert models.Normal(-1, 1).mean == -1
    with pytest.raises(ValueError, match="mean must be a number, finite; it is"):
        models.Normal(value, 1)
    with pytest.raises(ValueError, match="mean must be a number, finite; it is"):
        models.HyperbolicSecant(1, value)
