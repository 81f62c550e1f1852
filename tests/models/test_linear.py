"""Least squares on a reused design: exact at n, in statistics and in rows; observed labels;
messages.
"""

from __future__ import annotations

import numpy as np
import pytest

from collapse import Plan, derive, models, simulate, workflows
from tests.plans import typed
from tests.statistics import assert_agree, assert_risks_agree

rng = np.random.default_rng(0)
X = np.column_stack([np.ones(40), rng.standard_normal((40, 2))])
BETA = np.array([1.0, -2.0, 0.5])
MODEL = models.LinearRegression(X, BETA, sigma=3)
WHOLE = Plan(
    [0, 1, 1, 2],
    [1, 2, 1, 3],
    [[1, 0, 0, 0], [0.5, 0.25, 0.25, 0], [0.2, 0, 0.5, 0.3]],
    name="typed, whole copies",
)


class RowsAlone:
    def __init__(self, model):
        self.truth, self.draw, self.draw_real, self.fit = (
            model.truth,
            model.draw,
            model.draw_real,
            model.fit,
        )
        self.risk, self.deviation, self.design_rows = model.risk, model.deviation, model.design_rows


@pytest.mark.parametrize(
    "plan", [workflows.discard(5), workflows.augment(5), WHOLE], ids=lambda plan: plan.name
)
@pytest.mark.parametrize("model", [MODEL, RowsAlone(MODEL)], ids=["statistics", "rows"])
def test_simulated_risk_and_covariance_are_exact_at_n(plan, model):
    replications = 100_000 if model is MODEL else 10_000
    simulated, derived = (
        simulate(plan, model=model, replications=replications, rng=2, covariance=True),
        derive(plan, model=MODEL),
    )
    detects = 0.06 if model is MODEL else 0.2
    assert_risks_agree(simulated, derived, detects=detects)
    C, p = derived.covariance, len(BETA)
    scale = np.sqrt(np.outer(derived.risk, derived.risk))
    errors = np.sqrt((scale**2 + C**2) / p / replications) / scale
    assert_agree(1 + (simulated.covariance - C) / scale, errors, np.ones_like(C), detects=detects)


@pytest.mark.parametrize(
    "plan",
    [workflows.subsample(4), typed(partly=False), typed(partly=True)],
    ids=["subsample", "typed", "partly"],
)
def test_reading_part_of_a_design_obeys_the_limit(plan):
    """A random Gram matrix adds a share of about p / n to the risk of what is read: 4 % at 240 rows
    is allowed.
    """
    big = np.column_stack([np.ones(240), np.random.default_rng(1).uniform(-1, 1, 240)])
    model = models.LinearRegression(big, [1, 2], sigma=0.5)
    simulated = simulate(plan, model=model, replications=4000, rng=3)
    assert_risks_agree(simulated, derive(plan), detects=0.35, allowance=0.04, unit=model.first_risk)


def test_the_fit_is_weighted_least_squares():
    rows = MODEL.draw(np.repeat(BETA[None], 5, axis=0), 80, rng)
    weight = rng.uniform(0, 1, (5, 80))
    theta = MODEL.fit(rows, weight, None)
    for one, table, w in zip(theta, rows, weight, strict=True):
        root = np.sqrt(w)
        expected = np.linalg.lstsq(
            root[:, None] * X[table[:, 0].astype(int)], root * table[:, 1], rcond=None
        )[0]
        np.testing.assert_allclose(one, expected, rtol=1e-10)


def test_rows_that_leave_a_direction_without_data_have_no_estimate():
    rows = np.array([[[0.0, 1.0], [1.0, 2.0], [0.0, 3.0]], [[0.0, 1.0], [1.0, 2.0], [2.0, 3.0]]])
    theta = MODEL.fit(rows, np.ones((2, 3)), None)
    assert np.isnan(theta[0]).all()
    assert np.isfinite(theta[1]).all()


def test_risk_is_the_mean_squared_difference_over_the_design():
    theta = BETA + rng.standard_normal((4, 3))
    np.testing.assert_allclose(
        MODEL.risk(theta), ((theta - BETA) @ X.T).__pow__(2).mean(axis=1), rtol=1e-12
    )


def test_scaling_a_column_changes_nothing():
    scaled = models.LinearRegression(X * [1, 1e6, 1e-6], BETA / [1, 1e6, 1e-6], sigma=3)
    one, two = (simulate(WHOLE, model=model, replications=100, rng=4) for model in (MODEL, scaled))
    np.testing.assert_allclose(one.risk, two.risk, rtol=1e-9)


# Observed labels

Y = X @ BETA + 3 * np.random.default_rng(5).standard_normal(40)
OBSERVED = models.LinearRegression(X, y=Y)


def test_observed_labels_are_the_real_batch_in_every_replication():
    risk = simulate(workflows.augment(3), model=OBSERVED, replications=500, rng=0)
    assert risk.risk[0] == pytest.approx(np.mean((Y - X @ OBSERVED.truth) ** 2), rel=1e-12)
    assert risk.risk_stderr[0] == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(OBSERVED.truth, np.linalg.lstsq(X, Y, rcond=None)[0], rtol=1e-10)
    assert OBSERVED.sigma == pytest.approx(np.sqrt(np.sum((Y - X @ OBSERVED.truth) ** 2) / 37))


@pytest.mark.parametrize(
    "plan", [workflows.discard(5), workflows.augment(5)], ids=lambda plan: plan.name
)
def test_with_observed_labels_the_loss_grows_by_the_ratio_less_one(plan):
    """On the design itself E loss_g - loss_1 = (ratio_g - 1) sigma^2 p / n, given the real
    labels.
    """
    simulated = simulate(plan, model=OBSERVED, replications=200_000, rng=1)
    growth = (derive(plan).ratio[1:] - 1) * OBSERVED.limit_risk / 40
    assert_agree(
        simulated.risk[1:] - simulated.risk[0], simulated.risk_stderr[1:], growth, detects=0.05
    )


def test_the_test_set_may_be_another():
    test = (X[:7], Y[:7])
    theta = BETA[None]
    assert models.LinearRegression(X, y=Y, test=test).risk(theta) == pytest.approx(
        np.mean((X[:7] @ BETA - Y[:7]) ** 2)
    )


@pytest.mark.parametrize(
    "model", [OBSERVED, RowsAlone(models.LinearRegression(X, BETA, 3))], ids=["observed", "rows"]
)
def test_the_number_of_rows_is_the_designs(model):
    if model is OBSERVED:
        with pytest.raises(
            ValueError,
            match=r"no exact form at finite n is known for LinearRegression\(X 40 x 3, observed y",
        ):
            derive(workflows.discard(2), model=model)
    with pytest.raises(
        ValueError,
        match=(
            "n = 41, but the design X has 40 rows and is reused whole; leave n out, or give X with"
            " n rows"
        ),
    ):
        simulate(workflows.discard(2), model=model, n=41)


@pytest.mark.parametrize("partly", [False, True])
def test_observed_labels_make_one_real_batch_of_size_one(partly):
    plan = Plan([0], [0.5 if partly else 2], [[1]])
    with pytest.raises(
        ValueError,
        match=(
            r"observed labels y make one real batch of 40 rows, and the plan asks for (20|80); use"
            r" .* size 1"
        ),
    ):
        simulate(plan, model=OBSERVED, replications=10)
    with pytest.raises(
        ValueError,
        match=(
            "reads 2 real batches, and observed labels make one; use a workflow with one real batch"
        ),
    ):
        simulate(Plan([0, 0], [1, 1], [[0.5, 0.5]]), model=OBSERVED, replications=10)


nan = np.nan


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, r"give either beta \(true coefficients\) or y \(observed labels\), and not both"),
        ({"beta": BETA, "y": Y}, "give either beta .* or y .* and not both"),
        ({"beta": BETA}, r"sigma \(standard deviation of the errors\) is needed with a true beta"),
        ({"beta": BETA, "sigma": 0}, "sigma must be a number, finite and greater than 0; it is 0"),
        (
            {"beta": BETA, "sigma": "3"},
            "sigma must be a number, finite and greater than 0; it is '3'",
        ),
        (
            {"beta": BETA, "sigma": nan},
            "sigma must be a number, finite and greater than 0; it is nan",
        ),
        (
            {"beta": BETA[:2], "sigma": 1},
            r"beta must have shape \(3,\) to match X; it has shape \(2,\)",
        ),
        ({"beta": [1, nan, 0], "sigma": 1}, "beta must be finite; entry 2 is nan"),
        ({"beta": BETA, "sigma": 1, "test": (X, Y)}, "test goes with observed labels y"),
        ({"y": Y[:3]}, r"y must have shape \(40,\) to match X; it has shape \(3,\)"),
        ({"y": np.where(np.arange(40) == 3, nan, Y)}, "y must be finite; entry 4 is nan"),
        (
            {"y": Y, "test": (X[:, :2], Y)},
            r"the test X must have shape \(m, 3\), with the columns of X; it has shape \(40, 2\)",
        ),
        (
            {"y": Y, "test": (X * nan, Y)},
            "the test X must be finite; row 1, column 1 is nan. Drop or impute missing values",
        ),
        (
            {"X": X[:3], "y": Y[:3]},
            "sigma cannot be estimated from n = p = 3 rows; give sigma, or more rows",
        ),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        models.LinearRegression(**{"X": X} | arguments)


class LabelsFromTheTruth(models.LinearRegression):
    def draw(self, theta, rows, rng):
        return super().draw(np.broadcast_to(self.truth, theta.shape), rows, rng)

    def draw_statistic(self, theta, rows, rng):
        return super().draw_statistic(np.broadcast_to(self.truth, theta.shape), rows, rng)


@pytest.mark.parametrize(
    "plan", [workflows.discard(5), workflows.augment(5), WHOLE], ids=lambda plan: plan.name
)
@pytest.mark.parametrize("kind", [lambda model: model, RowsAlone], ids=["statistics", "rows"])
def test_labels_drawn_from_the_truth_are_caught(plan, kind):
    simulated = simulate(
        plan, model=kind(LabelsFromTheTruth(X, BETA, sigma=3)), replications=10_000, rng=2
    )
    with pytest.raises(AssertionError, match="estimates differ"):
        assert_risks_agree(simulated, derive(plan, model=MODEL), detects=0.2)
