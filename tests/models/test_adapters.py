"""Estimators of scikit-learn and statsmodels as models."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import statsmodels.api as sm
from sklearn import ensemble, linear_model, naive_bayes, neighbors, pipeline, preprocessing, svm
from sklearn.cluster import KMeans

import collapse
from collapse import models, simulate, workflows
from collapse.models import Model, from_estimator
from tests.statistics import assert_agree

rng = np.random.default_rng(0)
X = rng.standard_normal((60, 2))
X_TEST = rng.standard_normal((40, 2))
MARGIN = X @ [0.8, -0.5] + 0.3
BINARY = (rng.random(60) < 1 / (1 + np.exp(-MARGIN))).astype(float)
BINARY_TEST = (rng.random(40) < 1 / (1 + np.exp(-(X_TEST @ [0.8, -0.5] + 0.3)))).astype(float)
NUMBERS = MARGIN + rng.standard_normal(60)
NUMBERS_TEST = X_TEST @ [0.8, -0.5] + 0.3 + rng.standard_normal(40)
COUNTS = rng.poisson(np.exp(MARGIN)).astype(float)
WORDS = np.array(["ash", "birch", "cedar"])[rng.integers(0, 3, 60)]


def brier(y, share):
    return float(((share[:, 1] - y) ** 2).mean())


ESTIMATORS = {
    "logistic": lambda: from_estimator(linear_model.LogisticRegression(C=np.inf, tol=1e-8), X, BINARY, test=(X_TEST, BINARY_TEST)),
    "boosting": lambda: from_estimator(ensemble.GradientBoostingClassifier(n_estimators=5), X, BINARY, test=(X_TEST, BINARY_TEST)),
    "naive Bayes": lambda: from_estimator(naive_bayes.GaussianNB(), X, WORDS),
    "ridge": lambda: from_estimator(linear_model.Ridge(), X, NUMBERS, test=(X_TEST, NUMBERS_TEST)),
    "pipeline": lambda: from_estimator(
        pipeline.make_pipeline(preprocessing.StandardScaler(), ensemble.RandomForestClassifier(3)), X, BINARY, loss=brier
    ),
    "GLM": lambda: from_estimator(sm.GLM(COUNTS, sm.add_constant(X), family=sm.families.Poisson())),
}
WEIGHED = sorted(set(ESTIMATORS) - {"pipeline"})


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("plan", [workflows.discard(3), workflows.augment(3), workflows.subsample(3)], ids=lambda plan: plan.name)
def test_every_estimator_runs_under_every_workflow(name, plan):
    model = ESTIMATORS[name]()
    assert isinstance(model, Model)
    one, two = (simulate(plan, model=model, replications=4, rng=1) for _ in range(2))
    assert one.n == 60
    np.testing.assert_array_equal(one.risk, two.risk)  # a random_state left open would break this
    assert one.risk_stderr[0] == 0  # the real labels are the same in all replications
    assert (one.risk_stderr[1:] > 0).all()
    assert "from_estimator(" in one.model


@pytest.mark.parametrize("name", WEIGHED)
def test_unequal_weights(name):
    risk = simulate(workflows.fixed_real_share(3, 0.75), model=ESTIMATORS[name](), replications=3, rng=1)
    assert np.isfinite(risk.risk).all()


def test_it_can_be_sent_to_another_process():
    model = ESTIMATORS["ridge"]()
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.truth, model.truth)


def same_mean(first, second, *, detects):
    spread = np.hypot(first.risk_stderr, second.risk_stderr)[1:]
    assert_agree(first.risk[1:], spread, second.risk[1:], detects=detects)
    assert first.risk[0] == pytest.approx(second.risk[0], rel=1e-5)


def test_unpenalised_logistic_regression_is_the_model_of_the_package():
    design = collapse.datasets.with_intercept(X)
    own = models.LogisticRegression(design, y=BINARY, test=(collapse.datasets.with_intercept(X_TEST), BINARY_TEST))
    plan = workflows.augment(4)
    same_mean(
        simulate(plan, model=ESTIMATORS["logistic"](), replications=300, rng=2),
        simulate(plan, model=own, replications=20_000, rng=3),
        detects=0.05,
    )


def test_a_binomial_glm_is_the_model_of_the_package():
    design = collapse.datasets.with_intercept(X)
    own = models.LogisticRegression(design, y=BINARY)
    model = from_estimator(sm.GLM(BINARY, design, family=sm.families.Binomial()))
    plan = workflows.augment(3)
    same_mean(simulate(plan, model=model, replications=150, rng=4), simulate(plan, model=own, replications=20_000, rng=5), detects=0.05)


def test_ridge_without_penalty_is_least_squares():
    design = collapse.datasets.with_intercept(X)
    own = models.LinearRegression(design, y=NUMBERS, sigma=0.7)
    model = from_estimator(linear_model.Ridge(alpha=1e-12), X, NUMBERS, noise=0.7)
    plan = workflows.fixed_real_share(4, 0.5)
    same_mean(simulate(plan, model=model, replications=1500, rng=6), simulate(plan, model=own, replications=50_000, rng=7), detects=0.05)


def test_a_probability_of_zero_is_an_infinite_loss_and_no_crash():
    model = from_estimator(ensemble.RandomForestClassifier(3), X, BINARY, test=(X_TEST, BINARY_TEST))
    risk = simulate(workflows.discard(3), model=model, replications=3, rng=0, quantiles=(0.5,))
    assert np.isinf(risk.risk).all()
    assert np.isnan(risk.risk_stderr).all()


def test_another_loss():
    def error_rate(y, share):
        return float((share.argmax(axis=1) != y).mean())

    model = from_estimator(naive_bayes.GaussianNB(), X, BINARY, test=(X_TEST, BINARY_TEST), loss=error_rate)
    expected = (naive_bayes.GaussianNB().fit(X, BINARY).predict(X_TEST) != BINARY_TEST).mean()
    assert simulate(workflows.discard(2), model=model, replications=2, rng=0).risk[0] == pytest.approx(expected)


def test_a_class_that_is_lost_stays_lost():
    model = from_estimator(naive_bayes.GaussianNB(), X, WORDS)
    rows = np.stack([np.arange(60.0), np.zeros(60)], axis=1)[None]
    theta = model.fit(rows, np.ones((1, 60)), None)
    assert set(theta.reshape(-1, 3)[:, 0]) == {1.0}
    assert (model.draw(theta, 60, np.random.default_rng(0))[0, :, 1] == 0).all()
    assert np.isinf(model.risk(theta)[0])


REFUSED = {
    "no probabilities": (
        lambda: from_estimator(svm.LinearSVC(), X, BINARY),
        "LinearSVC has no predictive distribution .*CalibratedClassifierCV",
    ),
    "no labels": (lambda: from_estimator(KMeans(2), X, BINARY), "KMeans is neither a classifier nor a regressor"),
    "a class": (lambda: from_estimator(linear_model.Ridge, X, NUMBERS), "estimator is the class Ridge; give an instance"),
    "no estimator": (lambda: from_estimator(3, X, NUMBERS), "estimator must be a scikit-learn classifier or regressor"),
    "no data": (lambda: from_estimator(linear_model.Ridge()), "X and y .* are needed"),
    "two kinds of data": (
        lambda: from_estimator(sm.GLM(COUNTS, X, family=sm.families.Poisson()), X, COUNTS),
        "a statsmodels GLM carries its data; leave X and y out",
    ),
    "one class": (lambda: from_estimator(naive_bayes.GaussianNB(), X, np.ones(60)), "y has the one class"),
    "unknown class": (lambda: from_estimator(naive_bayes.GaussianNB(), X, BINARY, test=(X, WORDS)), "the test y has the class 'ash'|ash"),
    "NaN": (lambda: from_estimator(linear_model.Ridge(), np.where(X > 2, np.nan, X), NUMBERS), "X must be finite"),
    "lengths": (lambda: from_estimator(linear_model.Ridge(), X, NUMBERS[:-1]), r"y must have shape \(60,\)"),
    "test lengths": (lambda: from_estimator(linear_model.Ridge(), X, NUMBERS, test=(X_TEST, NUMBERS)), "test must be"),
    "negative noise": (lambda: from_estimator(linear_model.Ridge(), X, NUMBERS, noise=-1), "noise must be a number"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_a_model_is_refused_with_the_remedy(name):
    make, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        make()


def test_unequal_weights_need_an_estimator_that_takes_them():
    model = from_estimator(neighbors.KNeighborsClassifier(), X, BINARY, loss=brier)
    assert simulate(workflows.discard(2), model=model, replications=2, rng=0).risk.shape == (2,)
    with pytest.raises(ValueError, match=r"KNeighborsClassifier takes no sample_weight; use a workflow of equal weights"):
        simulate(workflows.fixed_real_share(3, 0.75), model=model, replications=2, rng=0)
    with pytest.raises(ValueError, match="fresh_real reads 3 real batches, and observed labels make one"):
        simulate(workflows.fresh_real(3), model=model, replications=2, rng=0)
