"""Ridge and Firth: against scikit-learn, against a direct maximisation, and where maximum
likelihood has no estimate.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize
from sklearn import linear_model

from collapse import datasets, simulate, workflows
from collapse.datasets import with_intercept
from collapse.models import FirthLogisticRegression, LogisticRegression, RidgeLogisticRegression
from collapse.models.regression.family import Classes
from collapse.models.regression.likelihoods import RidgeMultinomial
from tests.statistics import assert_same_law

Array = NDArray[np.float64]


def design(seed: int, n: int = 60, columns: int = 4) -> Array:
    return with_intercept(np.random.default_rng(seed).standard_normal((n, columns - 1)))


def drawn(model: object, seed: int, rows: int) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    truth = model.truth  # type: ignore[attr-defined]
    return model.draw(np.tile(truth, (6, 1)), rows, rng), rng.uniform(0.2, 2, (6, rows))  # type: ignore[attr-defined]


def by_scikit_learn(X: Array, y: Array, weight: Array, penalty: float) -> Array:
    fit = linear_model.LogisticRegression(
        C=1 / penalty, solver="newton-cholesky", tol=1e-12, max_iter=1000
    )
    fit.fit(X[:, 1:], y, sample_weight=weight)
    return np.concatenate([fit.intercept_, fit.coef_[0]])


def firth_score(theta: Array, X: Array, y: Array, weight: Array) -> tuple[float, Array]:
    """Minus the penalised log-likelihood by its definition, and minus its gradient by central
    differences of the determinant.
    """

    def value(at: Array) -> float:
        margin = X @ at
        share = 1 / (1 + np.exp(-margin))
        information = (X * (weight * share * (1 - share))[:, None]).T @ X
        return float(
            weight @ (np.logaddexp(0, margin) - y * margin)
            - 0.5 * np.linalg.slogdet(information)[1]
        )

    steps = 1e-5 / np.abs(X).max(axis=0)
    slope = [
        (value(theta + h * e) - value(theta - h * e)) / (2 * h)
        for h, e in zip(steps, np.eye(len(theta)), strict=True)
    ]
    return value(theta), np.array(slope)


def by_direct_maximisation(X: Array, y: Array, weight: Array) -> Array:
    return np.asarray(
        minimize(
            firth_score,
            np.zeros(X.shape[1]),
            (X, y, weight),
            jac=True,
            method="BFGS",
            options={"gtol": 1e-9},
        ).x
    )


@pytest.mark.parametrize("penalty", [0.1, 1.0, 30.0])
def test_ridge_agrees_with_scikit_learn(penalty: float) -> None:
    X = design(0)
    model = RidgeLogisticRegression(X, [0.2, 1, -1, 0.5], penalty=penalty)
    rows, weight = drawn(model, 1, 150)
    fitted = model.fit(rows, 5 * weight, None)
    for r in range(len(rows)):
        other = by_scikit_learn(
            X[rows[r, :, 0].astype(int)], rows[r, :, 1], weight[r] / weight[r].mean(), penalty
        )
        np.testing.assert_allclose(fitted[r], other, atol=1e-7)


@pytest.mark.parametrize("name", ["titanic", "heart", "breast_cancer"])
def test_ridge_agrees_with_scikit_learn_on_tables(name: str) -> None:
    table = getattr(datasets, name)()
    X, y, _, _ = table.split()
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    model = RidgeLogisticRegression(with_intercept(X), y=y, penalty=1)
    np.testing.assert_allclose(
        model.truth, by_scikit_learn(with_intercept(X), y, np.ones(len(y)), 1), atol=1e-7
    )


def test_ridge_penalises_without_an_intercept_and_shrinks_to_nothing() -> None:
    X = design(2)[:, 1:]
    y = (np.random.default_rng(3).random(60) < 0.5).astype(float)
    fit = linear_model.LogisticRegression(
        C=0.5, fit_intercept=False, solver="newton-cholesky", tol=1e-12
    ).fit(X, y)
    np.testing.assert_allclose(
        RidgeLogisticRegression(X, y=y, penalty=2).truth, fit.coef_[0], atol=1e-8
    )
    assert np.abs(RidgeLogisticRegression(X, y=np.ones(60), penalty=1e9).truth).max() < 1e-6


def test_ridge_has_no_estimate_where_all_labels_are_equal_and_the_intercept_is_free() -> None:
    for label in (0.0, 1.0):
        assert np.isnan(
            RidgeLogisticRegression(design(4), y=np.full(60, label), penalty=1).truth
        ).all()


@pytest.mark.parametrize("rows", [60, 97])
def test_firth_agrees_with_a_direct_maximisation(rows: int) -> None:
    X = design(5)
    model = FirthLogisticRegression(X, [0.2, 1, -1, 0.5])
    batch, weight = drawn(model, 6, rows)
    fitted = model.fit(batch, 3 * weight, None)
    for r in range(len(batch)):
        other = by_direct_maximisation(
            X[batch[r, :, 0].astype(int)], batch[r, :, 1], weight[r] / weight[r].mean()
        )
        np.testing.assert_allclose(fitted[r], other, atol=2e-6)


@pytest.mark.parametrize("labels", ["complete", "quasi-complete", "all equal"])
def test_firth_has_an_estimate_for_separated_labels(labels: str) -> None:
    X = design(7, n=40, columns=3)
    side = X[:, 1] + 0.5 * X[:, 2]
    if labels == "quasi-complete":
        X[:6, 1:], side = 0.0, X[:, 1] + 0.5 * X[:, 2]
        y = np.where(np.arange(40) < 6, np.arange(40) % 2, side > 0).astype(float)
    else:
        y = (side > 0).astype(float) if labels == "complete" else np.ones(40)
    assert np.isnan(LogisticRegression(X, y=y).truth).all()
    fitted = FirthLogisticRegression(X, y=y).truth
    np.testing.assert_allclose(
        fitted, by_direct_maximisation(X, y, np.ones(40)), rtol=1e-5, atol=1e-5
    )


def test_firth_on_breast_cancer_maximises_what_it_should() -> None:
    X, y, _, _ = datasets.breast_cancer().split()
    X = with_intercept((X - X.mean(axis=0)) / X.std(axis=0))
    model = FirthLogisticRegression(X, y=y)
    value, slope = firth_score(model.truth, X, y, np.ones(len(y)))
    assert np.abs(slope).max() < 1e-5
    rng = np.random.default_rng(8)
    assert all(
        firth_score(model.truth + 0.05 * rng.standard_normal(31), X, y, np.ones(len(y)))[0] > value
        for _ in range(20)
    )


def test_firth_takes_the_bias_out_of_maximum_likelihood() -> None:
    X, beta, R = design(9, n=80, columns=3), np.array([0.5, 1.2, -0.8]), 4000
    plain, firth = LogisticRegression(X, beta), FirthLogisticRegression(X, beta)
    rows = plain.draw_real(R, 80, np.random.default_rng(10))
    weight = np.ones((R, 80))
    error = {
        name: model.fit(rows, weight, None) - beta
        for name, model in (("plain", plain), ("firth", firth))
    }
    assert np.isfinite(error["plain"]).all()
    z = {name: e.mean(axis=0) / (e.std(axis=0) / np.sqrt(R)) for name, e in error.items()}
    # maximum likelihood is off by dozens of standard errors; what is left of order 1 / n^2 may be a
    # few
    assert np.abs(z["plain"]).max() > 12
    assert (
        np.abs(error["firth"].mean(axis=0)).max() < 0.2 * np.abs(error["plain"].mean(axis=0)).max()
    )


def test_pools_count_their_rows() -> None:
    """The fit to a table stacked four times is that of the whole pool, on which a penalty weighs
    four times less.
    """
    X = design(11)
    y = (np.random.default_rng(12).random(60) < 0.5).astype(float)
    rows = np.column_stack([np.arange(60.0), y])
    pool, ones = np.tile(rows, (4, 1))[None], np.ones((1, 240))
    ridge = RidgeLogisticRegression(X, y=y, penalty=4)
    np.testing.assert_allclose(
        ridge.fit(pool, ones, None)[0], RidgeLogisticRegression(X, y=y, penalty=1).truth, atol=1e-9
    )
    firth = FirthLogisticRegression(X, y=y)
    four = FirthLogisticRegression(np.tile(X, (4, 1)), y=np.tile(y, 4))
    np.testing.assert_allclose(firth.fit(pool, ones, None)[0], four.truth, atol=1e-9)
    assert np.abs(firth.fit(pool, ones, None)[0] - firth.truth).max() > 1e-3


def test_a_vanishing_penalty_is_maximum_likelihood() -> None:
    """Simulated with the same seed: same labels, fits equal up to the penalty."""
    X, plan = design(13, n=200), workflows.subsample(5)
    plain = simulate(
        plan, model=LogisticRegression(X, [0.1, 0.5, -0.5, 0.2]), replications=50, rng=1, fits=True
    )
    ridge = simulate(
        plan,
        model=RidgeLogisticRegression(X, [0.1, 0.5, -0.5, 0.2], penalty=1e-9),
        replications=50,
        rng=1,
        fits=True,
    )
    np.testing.assert_allclose(ridge.fits, plain.fits, atol=1e-6)


def test_rows_of_a_penalised_model_have_the_law_of_the_plain_one() -> None:
    X, beta = design(14), [0.1, 0.5, -0.5, 0.2]
    fits = []
    for model in (LogisticRegression(X, beta), FirthLogisticRegression(X, beta)):
        rows = model.draw_real(4000, 60, np.random.default_rng(len(fits)))
        fits.append((rows[:, :, 1] * X[:, 1]).mean(axis=1))
    assert_same_law(*fits, detects=0.15)


@pytest.mark.parametrize("penalty", [0, -1, np.nan, "1"])
def test_refuses_what_is_no_penalty(penalty: object) -> None:
    with pytest.raises(ValueError, match="penalty must be a number"):
        RidgeLogisticRegression(design(0), np.zeros(4), penalty=penalty)  # type: ignore[arg-type]


@pytest.mark.parametrize("penalty", [0.1, 1.0, 30.0])
@pytest.mark.parametrize("classes", [3, 5])
def test_ridge_of_several_classes_agrees_with_scikit_learn(classes: int, penalty: float) -> None:
    X, rng = design(11), np.random.default_rng(12)
    y = np.arange(60) % classes
    model = RidgeLogisticRegression(X, y=y, penalty=penalty, classes=classes)
    index = np.tile(np.r_[0:60, 5:42], (6, 1))
    label = rng.integers(0, classes, index.shape)
    rows = np.stack([index, label], axis=2).astype(float)
    weight = rng.uniform(0.2, 2, index.shape)
    fitted = model.fit(rows, 5 * weight, None)
    near = model.fit(rows, weight, np.tile(model.truth, (6, 1)))
    np.testing.assert_allclose(near, fitted, atol=1e-8)
    for r in range(6):
        fit = linear_model.LogisticRegression(
            C=1 / penalty, solver="newton-cg", tol=1e-12, max_iter=1000
        )
        fit.fit(X[index[r], 1:], label[r], sample_weight=weight[r] / weight[r].mean())
        table = np.column_stack([fit.intercept_, fit.coef_])
        np.testing.assert_allclose(
            fitted[r].reshape(classes - 1, -1), table[1:] - table[0], atol=1e-7
        )


def test_ridge_of_two_classes_is_that_of_several() -> None:
    """Two classes of the general form: half the penalty is on the difference of both."""
    X = design(13)
    y = (np.random.default_rng(14).random(60) < 0.4).astype(float)
    likelihood = RidgeMultinomial(X, Classes(1), 2.0)
    target = np.append((y[:, None] * X).mean(axis=0), 60)[None]
    found = likelihood.maximise(target, None, None)[0]
    np.testing.assert_allclose(found, RidgeLogisticRegression(X, y=y, penalty=1.0).truth, atol=1e-9)


def test_ridge_of_several_classes_on_separated_and_on_missing_labels() -> None:
    X = design(15, n=90)
    y = np.digitize(X[:, 1], [-0.5, 0.5])
    model = RidgeLogisticRegression(X, y=y, penalty=1e-3, classes=3)
    fit = linear_model.LogisticRegression(C=1e3, solver="newton-cg", tol=1e-12, max_iter=1000).fit(
        X[:, 1:], y
    )
    table = np.column_stack([fit.intercept_, fit.coef_])
    np.testing.assert_allclose(model.truth.reshape(2, -1), table[1:] - table[0], atol=1e-5)
    two = np.stack([np.arange(90), np.minimum(y, 1)], axis=1)[None].astype(float)
    assert np.isnan(model.fit(two, np.ones((1, 90)), None)).all()
    assert np.isfinite(
        RidgeLogisticRegression(X[:, 1:], y=np.minimum(y, 1), penalty=1, classes=3).truth
    ).all()
