"""What every exported model keeps: shapes, a batch equals a loop, weights, seeds, arguments left as they were."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import collapse
from collapse import models, simulate, workflows
from collapse.models import Model, WithStatistic
from tests.statistics import assert_agree

X = np.column_stack([np.ones(30), np.random.default_rng(0).standard_normal((30, 2))])
LABELS = (np.random.default_rng(1).random(30) < 0.5).astype(float)
COUNTS = np.random.default_rng(1).poisson(2, 30)
SCHEDULE = {"pairs": [(0, 1), (1, 2), (0, 2)], "times": 10}


def bell(rows):
    return np.exp(-((rows - 1) ** 2) / 8)


def label(rows):
    return rows[..., 1]


MODELS = {
    "Beta": [models.Beta(2, 3)],
    "ExponentialRate": [models.ExponentialRate(2)],
    "GammaMoments": [models.GammaMoments(2, 3)],
    "GammaShapeRate": [models.GammaShapeRate(2, 3)],
    "HodgesLehmann": [models.HodgesLehmann("laplace", 1, 2)],
    "Huber": [models.Huber("student", 1, 2)],
    "HyperbolicSecant": [models.HyperbolicSecant(1, 0.5), models.HyperbolicSecant(3, -2)],
    "InverseGaussian": [models.InverseGaussian(1, 2)],
    "MedianMAD": [models.MedianMAD("logistic", 1, 2)],
    "Multinomial": [models.Multinomial([0.4, 0.3, 0.2, 0.1])],
    "MultivariateNormal": [models.MultivariateNormal([1, 2], [[2, 1], [1, 3]])],
    "NormalMeanVariance": [models.NormalMeanVariance(1, 2)],
    "TrimmedMean": [models.TrimmedMean("logistic", 1, 2)],
    "AR1": [models.AR1(0.6), models.AR1(1)],
    "CensoredExponential": [models.CensoredExponential(2, 0.6), models.CensoredExponential(2, 0.6, censor_synthetic=False)],
    "CensoredWeibull": [models.CensoredWeibull(2, 1.5, 0.7), models.CensoredWeibull(2, 1.5, 0.7, censor_synthetic=False)],
    "NormalMixture": [models.NormalMixture(0.4, 3)],
    "PrincipalComponents": [models.PrincipalComponents([[2, 0], [1, 1], [0, 1], [1, 0]], noise=1)],
    "Accepted": [models.Accepted(models.Median("laplace", 1, 2), bell)],
    "Bernoulli": [models.Bernoulli(0.3)],
    "BestOf": [models.BestOf(models.NegativeBinomial(3, 2), 2), models.BestOf(models.LogisticRegression(X, [0.3, 0.5, -0.5]), 2, label)],
    "Binomial": [models.Binomial(5, 0.4)],
    "BradleyTerry": [models.BradleyTerry([0, 0.4, -0.5], **SCHEDULE), models.BradleyTerry(wins=[4, 6, 5], **SCHEDULE)],
    "Exponential": [models.Exponential(2)],
    "Gamma": [models.Gamma(2.5, 3)],
    "GammaRegression": [models.GammaRegression(X, [1, 0.5, -0.5], shape=2), models.GammaRegression(X, y=COUNTS + 0.5)],
    "HuberRegression": [models.HuberRegression(X, [1, 2, 3], sigma=2)],
    "LinearRegression": [models.LinearRegression(X, [1, 2, 3], sigma=2), models.LinearRegression(X, y=LABELS)],
    "LinearResponse": [models.LinearResponse(1, 2, (0.2, 0.8), (1, 0.5, 0.1))],
    "LogisticRegression": [models.LogisticRegression(X, [0.3, 0.5, -0.5]), models.LogisticRegression(X, y=LABELS)],
    "MultinomialRegression": [
        models.MultinomialRegression(X, [[0.3, 0.4, -0.2], [0.1, -0.5, 0.3]]),
        models.MultinomialRegression(X, y=COUNTS % 3),
    ],
    "Median": [models.Median(law, 1, 2) for law in ("normal", "laplace", "logistic", "student", "cauchy")],
    "NegativeBinomial": [models.NegativeBinomial(3, 2)],
    "NegativeBinomialRegression": [
        models.NegativeBinomialRegression(X, [1, 0.5, -0.5], size=3),
        models.NegativeBinomialRegression(X, y=COUNTS, size=2),
    ],
    "Normal": [models.Normal(1, 2)],
    "Poisson": [models.Poisson(3)],
    "PoissonRegression": [models.PoissonRegression(X, [1, 0.5, -0.5]), models.PoissonRegression(X, y=COUNTS)],
    "ProbitRegression": [models.ProbitRegression(X, [0.2, 0.3, -0.3]), models.ProbitRegression(X, y=LABELS)],
    "Truncated": [models.Truncated(models.Normal(1, 2), -2, 2, about_fit=True), models.Truncated(models.Poisson(3), 2, np.inf)],
    "Uniform": [models.Uniform(2)],
    "Verified": [models.Verified(models.Gamma(2.5, 3), 3, 1)],
}
EACH = [pytest.param(model, id=f"{name} {i}") for name, instances in MODELS.items() for i, model in enumerate(instances)]
each_model = pytest.mark.parametrize("model", EACH)
each_statistic = pytest.mark.parametrize("model", [p for p in EACH if isinstance(p.values[0], WithStatistic)])
R, ROWS = 6, 30


def parameters(model, replications=R):
    """Parameters near the truth, (R, d)."""
    theta = model.truth * np.random.default_rng(2).uniform(0.8, 1.2, (replications, len(model.truth)))
    return theta / theta.sum(axis=1, keepdims=True) if isinstance(model, models.Multinomial) else theta


def data(model):
    rows = model.draw(parameters(model), ROWS, np.random.default_rng(3))
    return rows, np.random.default_rng(4).uniform(0.1, 1, (R, ROWS))


def test_every_exported_model_is_here():
    assert set(MODELS) == set(models.__all__) - {"Example", "Model", "WithStatistic", "examples", "from_estimator", "register"}
    assert set(models.__all__) <= set(dir(collapse.models))


@each_model
def test_shapes(model):
    assert isinstance(model, Model)
    d = len(model.truth)
    assert model.truth.shape == (d,)
    rows, weight = data(model)
    real = model.draw_real(R, ROWS, np.random.default_rng(0))
    assert rows.shape[:2] == (R, ROWS)
    assert rows.shape == real.shape
    assert np.isfinite(rows).all()
    theta = model.fit(rows, weight, None)
    assert theta.shape == (R, d)
    assert model.risk(theta).shape == (R,)
    assert theta.dtype == model.risk(theta).dtype == np.float64
    if hasattr(model, "deviation"):
        np.testing.assert_allclose((model.deviation(theta) ** 2).sum(axis=1), model.risk(theta), rtol=1e-10)


@each_statistic
def test_shapes_of_statistics(model):
    theta = parameters(model)
    statistic = model.draw_statistic(theta, ROWS, np.random.default_rng(0))
    assert statistic.shape == model.draw_real_statistic(R, ROWS, np.random.default_rng(0)).shape
    assert statistic.shape[0] == R
    assert model.fit_statistic(statistic, None).shape == theta.shape


@each_model
def test_no_replication_left_is_no_error(model):
    none, generator = parameters(model, 0), np.random.default_rng(0)
    rows = model.draw(none, ROWS, generator)
    assert rows.shape[:2] == (0, ROWS)
    assert model.fit(rows, np.ones((0, ROWS)), none).shape == none.shape
    assert model.risk(none).shape == (0,)
    if isinstance(model, WithStatistic):
        assert model.fit_statistic(model.draw_statistic(none, ROWS, generator), none).shape == none.shape


@each_model
def test_a_batch_of_replications_equals_a_loop(model):
    rows, weight = data(model)
    together = model.fit(rows, weight, None)
    one_by_one = [model.fit(rows[r : r + 1], weight[r : r + 1], None)[0] for r in range(R)]
    np.testing.assert_allclose(together, one_by_one, rtol=1e-9)
    np.testing.assert_allclose(model.risk(together), [model.risk(theta[None])[0] for theta in together], rtol=1e-12, atol=1e-15)
    if isinstance(model, WithStatistic):
        statistic = model.draw_statistic(parameters(model), ROWS, np.random.default_rng(0))
        each = [model.fit_statistic(t[None], None)[0] for t in statistic]
        np.testing.assert_allclose(model.fit_statistic(statistic, None), each, rtol=1e-9)


@each_model
def test_only_relative_weights_matter_and_weight_zero_is_no_row(model):
    rows, weight = data(model)
    fit = model.fit(rows, weight, None)
    np.testing.assert_allclose(model.fit(rows, 7 * weight, None), fit, rtol=1e-9)
    others = model.draw(parameters(model), ROWS, np.random.default_rng(6))
    padded = np.concatenate([rows, others], axis=1), np.concatenate([weight, np.zeros((R, ROWS))], axis=1)
    np.testing.assert_allclose(model.fit(*padded, None), fit, rtol=1e-9)
    order = np.random.default_rng(5).permutation(ROWS)
    np.testing.assert_allclose(model.fit(rows[:, order], weight[:, order], None), fit, rtol=1e-9)


@each_model
def test_where_the_fit_starts_does_not_matter(model):
    rows, weight = data(model)
    np.testing.assert_allclose(model.fit(rows, weight, parameters(model)), model.fit(rows, weight, None), rtol=1e-8)


@each_model
def test_a_seed_gives_the_same_numbers_and_arguments_stay_as_they_were(model):
    theta = parameters(model)
    before = theta.copy()
    names = ["draw", "draw_statistic"] if isinstance(model, WithStatistic) else ["draw"]
    for name in names:
        one, two = (getattr(model, name)(theta, ROWS, np.random.default_rng(9)) for _ in range(2))
        other = getattr(model, name)(theta, ROWS, np.random.default_rng(10))
        np.testing.assert_array_equal(one, two)
        assert (one != other).any()
    rows, weight = data(model)
    copies = rows.copy(), weight.copy()
    model.risk(model.fit(rows, weight, theta))
    for was, now in zip((before, *copies), (theta, rows, weight), strict=True):
        np.testing.assert_array_equal(was, now)


@each_model
def test_risk_is_least_at_the_truth_and_not_negative(model):
    risk = model.risk(np.vstack([model.truth, parameters(model)]))
    if "observed" not in repr(model):
        assert risk[0] == pytest.approx(0, abs=1e-12)
        assert (risk[1:] > 0).all()
    assert np.isfinite(risk).all()


@each_statistic
def test_statistics_give_the_risk_of_rows(model):
    """One generation after the truth, drawn both ways."""
    replications = 20_000
    theta = np.repeat(model.truth[None], replications, axis=0)
    by_rows = model.risk(model.fit(model.draw(theta, 30, np.random.default_rng(6)), np.ones((replications, 30)), None))
    by_statistic = model.risk(model.fit_statistic(model.draw_statistic(theta, 30, np.random.default_rng(7)), None))
    both = ~np.isnan(by_rows), ~np.isnan(by_statistic)
    assert_agree(both[0].mean(), 0.01, both[1].mean(), detects=0.1)
    # the logarithm tames the tail of a logistic fit close to separation
    a, b = (np.log1p(v[ok]) for v, ok in zip((by_rows, by_statistic), both, strict=True))
    assert_agree(a.mean(), np.hypot(a.std() / np.sqrt(len(a)), b.std() / np.sqrt(len(b))), b.mean(), detects=0.25)


@each_model
def test_a_model_can_be_sent_to_another_process_and_names_its_parameters(model):
    again = pickle.loads(pickle.dumps(model))
    assert repr(again) == repr(model)
    assert type(model).__name__ in repr(model)
    rows, weight = data(model)
    np.testing.assert_array_equal(again.fit(rows, weight, None), model.fit(rows, weight, None))


@each_model
@pytest.mark.parametrize("plan", [workflows.augment(3), workflows.subsample(3)], ids=lambda plan: plan.name)
def test_every_model_runs_under_every_workflow(model, plan):
    risk = simulate(plan, model=model, n=30, replications=50, rng=0, quantiles=(0.5,))
    assert risk.risk.shape == (3,)
    assert (np.isfinite(risk.risk) | (risk.failed > 0)).all()
    assert (risk.failed < 0.5).all()
