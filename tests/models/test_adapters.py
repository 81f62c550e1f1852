"""Estimators of scikit-learn and statsmodels as models."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from sklearn import (
    compose,
    dummy,
    ensemble,
    gaussian_process,
    linear_model,
    model_selection,
    naive_bayes,
    neighbors,
    pipeline,
    preprocessing,
    svm,
    tree,
)
from sklearn.cluster import KMeans

import collapse
from collapse import models, simulate, workflows
from collapse.models import Model, from_estimator
from tests.statistics import assert_agree

pytestmark = pytest.mark.statistical

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
    "logistic": lambda: from_estimator(
        linear_model.LogisticRegression(C=np.inf, tol=1e-8), X, BINARY, test=(X_TEST, BINARY_TEST)
    ),
    "boosting": lambda: from_estimator(
        ensemble.GradientBoostingClassifier(n_estimators=5), X, BINARY, test=(X_TEST, BINARY_TEST)
    ),
    "naive Bayes": lambda: from_estimator(naive_bayes.GaussianNB(), X, WORDS),
    "ridge": lambda: from_estimator(linear_model.Ridge(), X, NUMBERS, test=(X_TEST, NUMBERS_TEST)),
    "pipeline": lambda: from_estimator(
        pipeline.make_pipeline(preprocessing.StandardScaler(), ensemble.RandomForestClassifier(3)),
        X,
        BINARY,
        loss=brier,
    ),
    "GLM": lambda: from_estimator(sm.GLM(COUNTS, sm.add_constant(X), family=sm.families.Poisson())),
}
WEIGHED = sorted(ESTIMATORS)


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize(
    "plan",
    [workflows.discard(3), workflows.augment(3), workflows.subsample(3)],
    ids=lambda plan: plan.name,
)
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
    risk = simulate(
        workflows.fixed_real_share(3, 0.75), model=ESTIMATORS[name](), replications=3, rng=1
    )
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
    own = models.LogisticRegression(
        design, y=BINARY, test=(collapse.datasets.with_intercept(X_TEST), BINARY_TEST)
    )
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
    same_mean(
        simulate(plan, model=model, replications=150, rng=4),
        simulate(plan, model=own, replications=20_000, rng=5),
        detects=0.05,
    )


def test_ridge_without_penalty_is_least_squares():
    design = collapse.datasets.with_intercept(X)
    own = models.LinearRegression(design, y=NUMBERS, sigma=0.7)
    model = from_estimator(linear_model.Ridge(alpha=1e-12), X, NUMBERS, noise=0.7)
    plan = workflows.fixed_real_share(4, 0.5)
    same_mean(
        simulate(plan, model=model, replications=1500, rng=6),
        simulate(plan, model=own, replications=50_000, rng=7),
        detects=0.05,
    )


def test_a_probability_of_zero_is_an_infinite_loss_and_no_crash():
    model = from_estimator(
        ensemble.RandomForestClassifier(3), X, BINARY, test=(X_TEST, BINARY_TEST)
    )
    risk = simulate(workflows.discard(3), model=model, replications=3, rng=0, quantiles=(0.5,))
    assert np.isinf(risk.risk).all()
    assert np.isnan(risk.risk_stderr).all()


def test_another_loss():
    def error_rate(y, share):
        return float((share.argmax(axis=1) != y).mean())

    model = from_estimator(
        naive_bayes.GaussianNB(), X, BINARY, test=(X_TEST, BINARY_TEST), loss=error_rate
    )
    expected = (naive_bayes.GaussianNB().fit(X, BINARY).predict(X_TEST) != BINARY_TEST).mean()
    assert simulate(workflows.discard(2), model=model, replications=2, rng=0).risk[
        0
    ] == pytest.approx(expected)


def test_probabilities_that_are_known_once_it_is_fitted():
    parts = [("nearest", neighbors.KNeighborsClassifier(9)), ("bayes", naive_bayes.GaussianNB())]
    stack = ensemble.StackingClassifier(parts, cv=3)
    model = from_estimator(stack, X, BINARY)
    share = model.truth.reshape(-1, 2)[:60]
    np.testing.assert_allclose(share, stack.fit(X, BINARY).predict_proba(X), rtol=1e-6)


def test_labels_far_from_what_is_refused():
    """A regressor of positive labels is a model where no synthetic label is negative."""
    model = from_estimator(linear_model.PoissonRegressor(), X, COUNTS + 100, noise=1)
    assert simulate(workflows.discard(3), model=model, replications=2, rng=0).failed[-1] == 0


def test_a_class_that_is_lost_stays_lost():
    model = from_estimator(naive_bayes.GaussianNB(), X, WORDS)
    rows = np.stack([np.arange(60.0), np.zeros(60)], axis=1)[None]
    theta = model.fit(rows, np.ones((1, 60)), None)
    assert set(theta.reshape(-1, 3)[:, 0]) == {1.0}
    assert (model.draw(theta, 60, np.random.default_rng(0))[0, :, 1] == 0).all()
    assert np.isinf(model.risk(theta)[0])


REFUSED = {
    "no probabilities": (
        lambda: from_estimator(svm.LinearSVC(dual=False), X, BINARY),
        "LinearSVC .*no predictive distribution .*CalibratedClassifierCV",
    ),
    "synthetic labels that are negative": (
        lambda: from_estimator(linear_model.PoissonRegressor(), X, COUNTS),
        "PoissonRegressor cannot be fitted to synthetic labels, .* a statsmodels GLM",
    ),
    "no labels": (
        lambda: from_estimator(KMeans(2), X, BINARY),
        "KMeans is neither a classifier nor a regressor",
    ),
    "a class": (
        lambda: from_estimator(linear_model.Ridge, X, NUMBERS),
        "estimator is the class Ridge; give an instance",
    ),
    "no estimator": (
        lambda: from_estimator(3, X, NUMBERS),
        "estimator must be a scikit-learn classifier or regressor",
    ),
    "no data": (lambda: from_estimator(linear_model.Ridge()), "X and y .* are needed"),
    "two kinds of data": (
        lambda: from_estimator(sm.GLM(COUNTS, X, family=sm.families.Poisson()), X, COUNTS),
        "a statsmodels GLM carries its data; leave X and y out",
    ),
    "one class": (
        lambda: from_estimator(naive_bayes.GaussianNB(), X, np.ones(60)),
        "y has the one class",
    ),
    "unknown class": (
        lambda: from_estimator(naive_bayes.GaussianNB(), X, BINARY, test=(X, WORDS)),
        "the test y has the class 'ash'|ash",
    ),
    "NaN": (
        lambda: from_estimator(linear_model.Ridge(), np.where(X > 2, np.nan, X), NUMBERS),
        "X must be finite",
    ),
    "lengths": (
        lambda: from_estimator(linear_model.Ridge(), X, NUMBERS[:-1]),
        r"y must have shape \(60,\)",
    ),
    "test lengths": (
        lambda: from_estimator(linear_model.Ridge(), X, NUMBERS, test=(X_TEST, NUMBERS)),
        "test must be",
    ),
    "negative noise": (
        lambda: from_estimator(linear_model.Ridge(), X, NUMBERS, noise=-1),
        "noise must be a number",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_a_model_is_refused_with_the_remedy(name):
    make, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        make()


def test_unequal_weights_need_an_estimator_that_takes_them():
    model = from_estimator(neighbors.KNeighborsClassifier(), X, BINARY, loss=brier)
    assert simulate(workflows.discard(2), model=model, replications=2, rng=0).risk.shape == (2,)
    with pytest.raises(
        ValueError,
        match=r"KNeighborsClassifier takes no sample_weight; use a workflow of equal weights",
    ):
        simulate(workflows.fixed_real_share(3, 0.75), model=model, replications=2, rng=0)
    with pytest.raises(
        ValueError, match="fresh_real reads 3 real batches, and observed labels make one"
    ):
        simulate(workflows.fresh_real(3), model=model, replications=2, rng=0)


# Weights of statsmodels models

DESIGN = sm.add_constant(X)
OFTEN = rng.integers(0, 4, 60)
PRECISION = rng.uniform(0.3, 3, 60)
POISSON = sm.families.Poisson()


def glm(*data, **more):
    """A GLM and the coefficients that statsmodels fits."""
    model = sm.GLM(*data, **more)
    return model, model.fit()


def test_frequency_weights_are_rows_that_occur_so_often():
    model, fit = glm(COUNTS, DESIGN, family=POISSON, freq_weights=OFTEN)
    ours = from_estimator(model)
    np.testing.assert_allclose(ours.truth[:-1], fit.params, rtol=1e-7)
    assert abs(ours.truth[:-1] - glm(COUNTS, DESIGN, family=POISSON)[1].params).max() > 0.01
    assert ours.design_rows == OFTEN.sum()
    rows = np.repeat(np.arange(60), OFTEN)
    written_out = from_estimator(sm.GLM(COUNTS[rows], DESIGN[rows], family=POISSON))
    plan = workflows.augment(3)
    one, two = (simulate(plan, model=model, replications=5, rng=0) for model in (ours, written_out))
    np.testing.assert_array_equal(one.risk, two.risk)


VARIANCES = {
    "GLM": lambda: sm.GLM(NUMBERS, DESIGN, var_weights=PRECISION),
    "WLS": lambda: sm.WLS(NUMBERS, DESIGN, weights=PRECISION),
    "gamma": lambda: sm.GLM(
        np.exp(NUMBERS / 3),
        DESIGN,
        var_weights=PRECISION,
        family=sm.families.Gamma(sm.families.links.Log()),
    ),
    "trials": lambda: sm.GLM(
        np.column_stack([OFTEN + 1, 5 - OFTEN]), DESIGN, family=sm.families.Binomial()
    ),
}


@pytest.mark.parametrize("name", VARIANCES)
def test_refits_to_labels_of_ones_own_have_the_covariance_that_statsmodels_gives(name):
    """Labels drawn with the weights' precision, and fits that heed it: discard adds the covariance
    of a fit at each generation.
    """
    model = VARIANCES[name]()
    ours, fit = from_estimator(model), model.fit()
    np.testing.assert_allclose(ours.truth[:-1], fit.params, rtol=1e-7)
    risk = simulate(workflows.discard(3), model=ours, replications=400, rng=1, fits=True)
    for g in (1, 2):
        spread = risk.fits[:, g, :-1].var(axis=0) / np.diag(fit.cov_params())
        assert_agree(
            spread, spread * np.sqrt(2 / 400), np.full(3, float(g)), detects=1, allowance=0.1
        )


LIKE = {
    "OLS": lambda: sm.OLS(NUMBERS, DESIGN),
    "Logit": lambda: sm.Logit(BINARY, DESIGN),
    "Probit": lambda: sm.Probit(BINARY, DESIGN),
    "Poisson": lambda: sm.Poisson(COUNTS, DESIGN),
}


@pytest.mark.parametrize("name", LIKE)
def test_models_that_are_glms_by_another_name(name):
    ours = from_estimator(LIKE[name]())
    params = LIKE[name]().fit(**({} if name == "OLS" else {"disp": 0})).params
    np.testing.assert_allclose(ours.truth[:-1], params, rtol=1e-4)
    assert repr(ours) == f"from_estimator({name}, X 60 x 3, observed y)"
    risk = simulate(workflows.fixed_real_share(3, 0.75), model=ours, replications=4, rng=0)
    assert np.isfinite(risk.risk).all()


def test_a_formula_is_its_design():
    pandas = pytest.importorskip("pandas")
    data = pandas.DataFrame({"y": NUMBERS, "a": X[:, 0], "b": X[:, 1]})
    model = from_estimator(smf.ols("y ~ a + b", data))
    np.testing.assert_allclose(model.truth, from_estimator(sm.OLS(NUMBERS, DESIGN)).truth)


def test_separated_synthetic_labels_have_no_estimate():
    """A column whose labels are nearly all alike: soon they all are, and statsmodels' iteration
    ends far out.
    """
    column = (np.arange(60) < 6).astype(float)
    design, label = np.column_stack([DESIGN[:, :2], column]), BINARY.copy()
    label[:6] = [0, 1, 1, 1, 1, 1]
    model = from_estimator(sm.GLM(label, design, family=sm.families.Binomial()))
    risk = simulate(workflows.discard(6), model=model, replications=30, rng=0, fits=True)
    assert 0.3 < risk.failed[-1] < 1
    assert np.nanmax(abs(risk.fits[:, :, 2])) < 10
    rows = np.stack([np.arange(60), np.where(column > 0, 1, label)], axis=1)[None]
    assert np.isnan(model.fit(rows, np.ones((1, 60)), None)).all()


NOT_TO_BE = {
    "variance weights of counts": (
        lambda: sm.GLM(COUNTS, DESIGN, family=POISSON, var_weights=PRECISION),
        "no law with var_weights is known for the family Poisson; Gaussian, Gamma, InverseGaussian",
    ),
    "parts of a row": (
        lambda: sm.GLM(COUNTS, DESIGN, family=POISSON, freq_weights=PRECISION),
        "freq_weights must be whole numbers, how often each row occurs",
    ),
    "Tweedie": (
        lambda: sm.GLM(COUNTS + 1, DESIGN, family=sm.families.Tweedie()),
        "no law to draw labels from is known for the family Tweedie",
    ),
    "shares": (
        lambda: sm.GLM(OFTEN / 4, DESIGN, family=sm.families.Binomial()),
        "a Binomial response must hold 0 and 1, or two columns, of successes and failures",
    ),
    "offset": (
        lambda: sm.GLM(COUNTS, DESIGN, family=POISSON, offset=PRECISION),
        "offset, exposure or several responses is not supported",
    ),
    "exposure": (
        lambda: sm.Poisson(COUNTS, DESIGN, exposure=PRECISION),
        "offset, exposure or several responses is not supported",
    ),
    "two responses": (lambda: sm.OLS(np.stack([NUMBERS] * 2, axis=1), DESIGN), "several responses"),
    "results": (
        lambda: sm.OLS(NUMBERS, DESIGN).fit(),
        "give the model itself, not the results of its fit",
    ),
    "GLS": (
        lambda: sm.GLS(NUMBERS, DESIGN),
        "a statsmodels GLS is not supported: GLM, OLS, WLS, Logit",
    ),
    "robust": (lambda: sm.RLM(NUMBERS, DESIGN), "a statsmodels RLM is not supported"),
    "classes": (lambda: sm.MNLogit(OFTEN, DESIGN), "a statsmodels MNLogit is not supported"),
    "dependent columns": (
        lambda: sm.OLS(NUMBERS, DESIGN[:, [0, 1, 1]]),
        "X must have full column rank",
    ),
    "separated": (
        lambda: sm.Logit((X[:, 0] > 0).astype(float), DESIGN),
        "labels are separated, or the fit did not converge",
    ),
}


@pytest.mark.parametrize("name", NOT_TO_BE)
def test_what_statsmodels_has_and_the_package_has_not_is_said(name):
    make, message = NOT_TO_BE[name]
    with pytest.raises(ValueError, match=message):
        from_estimator(make())


# Classes as they are named

NAMES = {
    "numbers": (np.array([1, 2, 3]), 1),
    "far numbers": (np.array([10, -5, 7]), 10),
    "texts": (np.array(["yes", "no", "maybe"]), "yes"),
    "objects": (np.array(["yes", "no", "maybe"], object), "yes"),
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("within", [False, True], ids=["alone", "in a pipeline"])
def test_class_weights_go_to_the_classes_that_they_name(name, within):
    names, heavy = NAMES[name]
    y = names[rng.integers(0, 3, 60)]
    at = sorted(names).index(heavy)

    def share(**weights):
        estimator = linear_model.LogisticRegression(**weights)
        if within:
            estimator = pipeline.make_pipeline(preprocessing.StandardScaler(), estimator)
        model = from_estimator(estimator, X, y)
        simulate(workflows.discard(3), model=model, replications=2, rng=0)
        return model.truth.reshape(-1, 3)[:60].mean(axis=0)

    plain, weighed = share(), share(class_weight={heavy: 10})
    assert weighed[at] > plain[at] + 0.2
    assert (np.delete(weighed, at) < np.delete(plain, at)).all()
    estimator = linear_model.LogisticRegression(class_weight={"no such class": 10})
    with pytest.raises(
        ValueError,
        match="class_weight weighs the class 'no such class', which y has not; its classes are",
    ):
        from_estimator(estimator, X, y)


def test_weights_of_a_class_that_is_lost_are_left_out():
    y = np.array(["a", "b", "c"])[rng.integers(0, 3, 60)]
    model = from_estimator(linear_model.LogisticRegression(class_weight={"a": 5.0}), X, y)
    rows = np.stack([np.arange(60), 1.0 + np.arange(60) % 2], axis=1)[None]
    theta = model.fit(rows, np.ones((1, 60)), None).reshape(-1, 3)
    assert (theta[:, 0] == 0).all()
    np.testing.assert_allclose(theta.sum(axis=1), 1)


# The noise of labels

SMOOTH = rng.standard_normal((200, 1))
NOISY = np.sin(2 * SMOOTH[:, 0]) + 0.5 * rng.standard_normal(200)
KERNEL = gaussian_process.kernels.RBF(0.002, "fixed")
FLEXIBLE = {
    "nearest neighbour": (neighbors.KNeighborsRegressor(1), 0, 0.9),
    "full tree": (tree.DecisionTreeRegressor(), 0, 0.9),
    "Gaussian process": (gaussian_process.GaussianProcessRegressor(KERNEL, alpha=1e-8), 0.01, 9e9),
    "forest": (ensemble.RandomForestRegressor(20), 0.35, 0.75),
}


@pytest.mark.parametrize("name", FLEXIBLE)
def test_an_estimator_that_remembers_its_labels_has_their_noise(name):
    """In the sample residuals are 0, or less than half the noise of 0.5; left-out rows show at
    least that.
    """
    estimator, inside, most = FLEXIBLE[name]
    fitted = estimator.fit(SMOOTH, NOISY).predict(SMOOTH)
    assert np.sqrt(((fitted - NOISY) ** 2).mean()) <= inside
    model = from_estimator(estimator, SMOOTH, NOISY)
    assert 0.45 < model.truth[-1] < most
    risk = simulate(workflows.discard(3), model=model, replications=2, rng=0, fits=True)
    assert (risk.fits[:, :, -1] > 0.4).all()
    assert (risk.risk[1:] > 0.1).all()


def test_the_noise_of_a_plain_regression_is_that_of_its_residuals():
    model = from_estimator(linear_model.LinearRegression(), X, NUMBERS)
    rest = NUMBERS - linear_model.LinearRegression().fit(X, NUMBERS).predict(X)
    assert model.truth[-1] == pytest.approx(np.sqrt((rest**2).mean()))


def test_few_rows_need_a_noise():
    with pytest.raises(ValueError, match="noise cannot be estimated from 4 rows; give noise="):
        from_estimator(linear_model.Ridge(), X[:4], NUMBERS[:4])
    assert from_estimator(linear_model.Ridge(), X[:4], NUMBERS[:4], noise=2).truth[-1] == 2


# Tables, pipelines, searches


def test_a_frame_goes_to_the_estimator_as_it_is():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {"a": X[:, 0], "kind": np.array(["u", "v"])[rng.integers(0, 2, 60)]}, index=range(100, 160)
    )
    coded = compose.make_column_transformer(
        (preprocessing.OneHotEncoder(), ["kind"]), remainder="passthrough"
    )
    estimator = pipeline.make_pipeline(coded, linear_model.Ridge())
    model = from_estimator(estimator, frame, NUMBERS, test=(frame[:20], NUMBERS[:20]))
    risk = simulate(workflows.subsample(3), model=model, replications=2, rng=0)
    assert np.isfinite(risk.risk).all()
    with pytest.raises(ValueError, match="the test X must be a DataFrame where X is one"):
        from_estimator(estimator, frame, NUMBERS, test=(X, NUMBERS))
    with pytest.raises(ValueError, match="the test X must have the columns of X"):
        from_estimator(estimator, frame, NUMBERS, test=(frame[["kind", "a"]], NUMBERS))
    frame.loc[105, "kind"] = None
    with pytest.raises(ValueError, match="X must be finite; column 'kind' is not"):
        from_estimator(estimator, frame, NUMBERS)


OTHERS = {
    "search": lambda: from_estimator(
        model_selection.GridSearchCV(linear_model.Ridge(), {"alpha": [0.1, 1]}, cv=3), X, NUMBERS
    ),
    "support vectors": lambda: from_estimator(svm.SVR(), X, NUMBERS),
    "constant": lambda: from_estimator(dummy.DummyClassifier(), X, WORDS),
    "truth values": lambda: from_estimator(linear_model.LogisticRegression(), X, BINARY > 0),
    "transformed": lambda: from_estimator(
        compose.TransformedTargetRegressor(
            linear_model.Ridge(), transformer=preprocessing.StandardScaler()
        ),
        X,
        NUMBERS,
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_estimators(name):
    risk = simulate(workflows.subsample(2), model=OTHERS[name](), replications=2, rng=0)
    assert np.isfinite(risk.risk).all()


@pytest.mark.filterwarnings("ignore:The least populated class")
def test_synthetic_labels_that_an_estimator_refuses_have_no_estimate():
    """A search stratifies its folds, and one label of a class is too few."""
    search = model_selection.GridSearchCV(
        linear_model.LogisticRegression(), {"C": [1.0]}, cv=3, error_score="raise"
    )
    y = np.repeat(["a", "b"], [54, 6])
    model = from_estimator(search, X, y)
    rows = np.stack([np.arange(60), (np.arange(60) == 0)], axis=1)[None].astype(float)
    assert np.isnan(model.fit(rows, np.ones((1, 60)), None)).all()


class Bare:
    """Neither kind of estimator, though it looks like one."""

    def fit(self, X, y):
        return self

    def get_params(self, deep=True):
        return {}


SENTENCES = {
    "labels out of range": (
        lambda: from_estimator(linear_model.PoissonRegressor(), X, NUMBERS),
        "PoissonRegressor cannot be fitted to the real data: Some value",
    ),
    "no kind": (
        lambda: from_estimator(Bare(), X, NUMBERS),
        "Bare is neither a classifier nor a regressor",
    ),
    "texts for numbers": (
        lambda: from_estimator(linear_model.Ridge(), X, WORDS),
        "y must hold real numbers",
    ),
    "a loss of each row": (
        lambda: from_estimator(linear_model.Ridge(), X, NUMBERS, loss=lambda y, mean: y - mean),
        "loss must give one number, the mean loss on the test set; it gave array",
    ),
    "no loss": (
        lambda: from_estimator(linear_model.Ridge(), X, NUMBERS, loss=3),
        "loss must be a function",
    ),
    "noise of classes": (
        lambda: from_estimator(naive_bayes.GaussianNB(), X, WORDS, noise=1.0),
        "noise goes with a regressor",
    ),
    "missing class": (
        lambda: from_estimator(
            naive_bayes.GaussianNB(), X, np.where(np.arange(60) > 5, WORDS, None)
        ),
        "y must be finite; drop rows with missing labels",
    ),
    "mixed classes": (
        lambda: from_estimator(
            naive_bayes.GaussianNB(), X, np.where(np.arange(60) > 5, WORDS.astype(object), 3)
        ),
        "y holds classes of several kinds",
    ),
    "test": (
        lambda: from_estimator(naive_bayes.GaussianNB(), X, WORDS, test=X),
        "test must be a tuple of two arrays",
    ),
    "hidden": (
        lambda: from_estimator(naive_bayes.GaussianNB(), np.ma.masked_greater(X, 1), WORDS),
        "X .*mask",
    ),
    "hidden labels": (
        lambda: from_estimator(naive_bayes.GaussianNB(), X, np.ma.array(BINARY)),
        "y is a masked array",
    ),
}


@pytest.mark.parametrize("name", SENTENCES)
def test_what_does_not_fit_is_said_in_a_sentence(name):
    make, message = SENTENCES[name]
    with pytest.raises(ValueError, match=message):
        make()


# Labels that are not drawn, rows that nobody labelled


@pytest.mark.parametrize("pool", [None, 60])
@pytest.mark.parametrize("threshold", [None, 0.36])
def test_soft_labels_of_an_unpenalised_fit_give_it_back(pool, threshold):
    more = np.random.default_rng(1).standard_normal((pool, 2)) if pool else None
    free = linear_model.LogisticRegression(C=np.inf, solver="newton-cg", tol=1e-12)
    model = from_estimator(free, X, WORDS, labels="soft", threshold=threshold, pool=more)
    for plan in (workflows.discard(3), workflows.augment(3)):
        risk = simulate(plan, model=model, replications=2, rng=0).risk
        np.testing.assert_allclose(risk, risk[0], rtol=1e-7)


def test_hard_labels_are_the_most_probable_and_a_threshold_leaves_rows_out():
    model = from_estimator(naive_bayes.GaussianNB(), X, WORDS, labels="hard", threshold=0.4)
    fit = naive_bayes.GaussianNB().fit(X, WORDS)
    share = fit.predict_proba(X)
    drawn = model.draw(model.truth[None], 60, np.random.default_rng(0))[0]
    np.testing.assert_array_equal(drawn[:, 0], np.arange(60))
    sure = share.max(axis=1) >= 0.4
    np.testing.assert_array_equal(np.isfinite(drawn[:, 1]), sure)
    assert 0 < sure.sum() < 60
    np.testing.assert_array_equal(drawn[sure, 1], share[sure].argmax(axis=1))
    again = naive_bayes.GaussianNB().fit(X[sure], fit.predict(X)[sure])
    known = model.fit(drawn[None], np.ones((1, 60)), None)[0].reshape(-1, len(fit.classes_))
    there = np.isin(fit.classes_, again.classes_)
    np.testing.assert_allclose(known[:60][:, there], again.predict_proba(X))
    none = drawn.copy()
    none[:, 1] = np.nan
    assert np.isnan(model.fit(none[None], np.ones((1, 60)), None)).all()


def test_a_pool_is_labelled_in_place_of_the_real_rows():
    more = np.random.default_rng(1).standard_normal((25, 2))
    model = from_estimator(linear_model.Ridge(), X, NUMBERS, labels="hard", pool=more)
    assert model.design_rows == 60
    drawn = model.draw(model.truth[None], 60, np.random.default_rng(0))[0]
    index, times = np.unique(drawn[:, 0], return_counts=True)
    np.testing.assert_array_equal(index, np.arange(60, 85))
    assert set(times) == {2, 3}
    fit = linear_model.Ridge().fit(X, NUMBERS)
    np.testing.assert_allclose(drawn[:, 1], fit.predict(more)[drawn[:, 0].astype(int) - 60])
    real = model.draw_real(1, 60, np.random.default_rng(0))[0]
    np.testing.assert_array_equal(real[:, 1], NUMBERS)
    assert "pool of 25 rows" in repr(model)


def test_missing_values_reach_an_estimator_that_takes_them():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(np.where(X > 1, np.nan, X), columns=list("ab"))
    boosted = ensemble.HistGradientBoostingRegressor(max_iter=3)
    model = from_estimator(boosted, frame, NUMBERS, noise=1.0, missing=True)
    fit = ensemble.HistGradientBoostingRegressor(max_iter=3, random_state=0).fit(frame, NUMBERS)
    np.testing.assert_allclose(model.truth[:60], fit.predict(frame))
    with pytest.raises(ValueError, match="X must be finite; column 'a' is not"):
        from_estimator(boosted, frame, NUMBERS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"labels": "warm"}, "labels must be one of drawn, hard, soft"),
        ({"threshold": 0.5}, "threshold goes with hard or soft labels"),
        ({"labels": "hard", "threshold": 1.5}, "threshold must be a probability"),
        ({"labels": "hard", "pool": X[:, :1]}, "with 2 columns, not 1"),
        ({"missing": 1}, "missing must be"),
    ],
)
def test_labels_and_pools_that_cannot_be(arguments, message):
    with pytest.raises(ValueError, match=message):
        from_estimator(naive_bayes.GaussianNB(), X, WORDS, **arguments)


def test_soft_labels_need_weights():
    with pytest.raises(ValueError, match="takes no sample_weight"):
        from_estimator(neighbors.KNeighborsClassifier(), X, WORDS, labels="soft")


def test_runs_in_which_no_row_is_sure_enough_have_no_estimate():
    model = from_estimator(
        linear_model.LogisticRegression(), X, WORDS, labels="soft", threshold=0.99
    )
    risk = simulate(workflows.discard(3), model=model, replications=2, rng=0)
    np.testing.assert_array_equal(risk.failed, [0, 1, 1])
