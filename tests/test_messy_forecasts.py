"""Forecasts of forty messy tables: the first loss is scikit-learn's on the same rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression, PoissonRegressor, Ridge

import collapse
from collapse.forecasting.table import Table, load, prepare
from tests.messy import SEEDS, messy

pytestmark = pytest.mark.statistical


def first_loss(made: Table, by_likelihood: bool) -> float:
    """Loss on the test rows of scikit-learn's fit to the real ones, penalised or not."""
    X, X_test = made.X[:, 1:], made.X_test[:, 1:]
    if made.classes:
        fit: Any = LogisticRegression(
            C=np.inf if by_likelihood else 1.0, max_iter=20_000, tol=1e-8
        ).fit(X, made.y)
        share = fit.predict_proba(X_test)[np.arange(len(made.y_test)), made.y_test.astype(int)]
        return float(-np.log(share).mean())
    if made.task == "counts" and by_likelihood:
        fit = PoissonRegressor(alpha=0, solver="newton-cholesky", tol=1e-10, max_iter=1000).fit(
            X, made.y
        )
        mean, y = fit.predict(X_test), made.y_test
        return float((y * np.log(np.where(y > 0, y, 1) / mean) - (y - mean)).mean())
    fit = (LinearRegression() if by_likelihood else Ridge(alpha=1.0)).fit(X, made.y)
    return float(((fit.predict(X_test) - made.y_test) ** 2).mean())


def without_estimate(made: Table) -> bool:
    """Whether nothing is left to err, or coefficients run away where hardly anything holds them."""
    X = made.X[:, 1:]
    if not made.classes:
        return bool(LinearRegression().fit(X, made.y).score(X, made.y) > 1 - 1e-12)
    free = {"max_iter": 50_000, "tol": 1e-8, "solver": "newton-cholesky"}
    fits = [LogisticRegression(C=C, **free).fit(X, made.y) for C in (1e3, 1e9)]
    near, far = (np.abs(fit.coef_).max() for fit in fits)
    return bool(far > near + 2)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_first_loss_is_scikit_learn_s(seed: int, tmp_path: Path) -> None:
    made = messy(seed, tmp_path)
    arguments: dict[str, Any] = made.arguments | {
        "generations": 2,
        "against": [],
        "budget": 0.05,
        "rng": seed,
    }
    if made.refused:
        with pytest.raises(ValueError, match=made.refused):
            collapse.forecast(made.data, "y", **arguments)
        return
    document = collapse.forecast(made.data, "y", **arguments).document
    by_likelihood = document["model"]["estimator"] == "maximum likelihood"
    table = prepare(load(made.data, "y"), "y", seed=seed, **made.arguments)
    assert by_likelihood or without_estimate(table)
    expected = first_loss(table, by_likelihood)
    assert document["first"]["loss"] == pytest.approx(expected, rel=0.01, abs=1e-12)
    clean = collapse.forecast(made.truth, "y", **(arguments | {"na": ()})).document
    assert document["first"]["loss"] == pytest.approx(clean["first"]["loss"], rel=1e-6)
