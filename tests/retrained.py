"""Five estimators on three tables, and the plain loop over scikit-learn that a forecast of them
foresees.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.special import bdtr
from sklearn import compose, datasets, ensemble, linear_model, naive_bayes, neural_network
from sklearn.base import clone
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import collapse
from collapse.forecasting.table import prepare
from tests.statistics import FALSE_ALARM


def tables() -> dict[str, pd.DataFrame]:
    """Two classes or three, called y; texts and missing values in two of the tables."""
    diabetes = datasets.load_diabetes(as_frame=True).frame
    diabetes["y"] = np.where(diabetes.pop("target") > 100, "high", "low")
    cancer = datasets.load_breast_cancer(as_frame=True).frame.iloc[:, [0, 1, 4, 8, 9, 30]]
    cancer = cancer.rename(columns={"target": "y"})
    cancer["smooth"] = np.where(cancer.pop("mean smoothness") < 0.1, "yes", "no")
    cancer.loc[::11, "mean texture"] = np.nan
    iris = datasets.load_iris(as_frame=True).frame.iloc[:, [0, 1, 4]]
    iris = iris.rename(columns={"target": "y"})
    iris["wide"] = np.where(iris.pop("sepal width (cm)") > 3, "yes", "no")
    iris.loc[3::17, "wide"] = None
    return {"diabetes": diabetes, "cancer": cancer, "iris": iris}


def coded(last: Any) -> Any:
    """A pipeline that takes texts and missing values."""
    numbers = compose.make_column_selector(dtype_include="number")
    texts = compose.make_column_selector(dtype_exclude="number")
    columns = compose.make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), numbers),
        (OneHotEncoder(handle_unknown="ignore"), texts),
    )
    return make_pipeline(columns, last)


MLP = neural_network.MLPClassifier((3,), solver="lbfgs", alpha=0.1, max_iter=40, random_state=0)
ESTIMATORS: dict[str, Any] = {
    "boosting": coded(ensemble.HistGradientBoostingClassifier(max_iter=4, random_state=0)),
    "forest": coded(ensemble.RandomForestClassifier(6, max_depth=5, random_state=0)),
    "naive Bayes": coded(naive_bayes.GaussianNB()),
    "perceptron": coded(MLP),
    "categories": coded(linear_model.LogisticRegression()),
}


def loop(estimator: Any, made: Any, workflow: str, G: int, rng: np.random.Generator) -> float:
    """Log loss of fit G of one run, on stacked frames."""
    batches: list[Any] = [made.y]
    share = np.empty(0)
    for _ in range(G):
        used = batches if workflow == "augment" else batches[-1:]
        rows = pd.concat([made.X] * len(used), ignore_index=True)
        fit = clone(estimator).fit(rows, np.concatenate(used))
        classes = fit.classes_.astype(int)
        of_all = np.zeros((len(made.X), len(made.classes)))
        of_all[:, classes] = fit.predict_proba(made.X)
        upto = np.cumsum(of_all, axis=1)[:, :-1]
        batches.append((upto < rng.random((len(upto), 1))).sum(axis=1))
        share = np.zeros((len(made.X_test), len(made.classes)))
        share[:, classes] = fit.predict_proba(made.X_test)
    with np.errstate(divide="ignore"):
        return float(-np.log(share[np.arange(len(share)), made.y_test.astype(int)]).mean())


def check(name: str, table: str, workflow: str, G: int, replications: int, runs: int) -> None:
    """The forecast's mean, within errors, and its band of nine tenths, of `runs` loops."""
    frame, estimator = tables()[table], ESTIMATORS[name]
    budget = replications * G * 0.0202
    answer = collapse.forecast(
        frame, "y", workflow, G, estimator=estimator, against=[], budget=budget, rng=5
    )
    assert answer.simulation.replications >= 0.9 * replications
    made, row = prepare(frame, "y", seed=5, untouched=True), answer.workflows[0]
    rng = np.random.default_rng(7)
    losses = np.array([loop(estimator, made, workflow, G, rng) for _ in range(runs)])
    first = loop(estimator, made, workflow, 1, rng)
    np.testing.assert_allclose(answer.first.loss, first, rtol=1e-6)
    low, high = row.last("simulated_low"), row.last("simulated_high")
    inside = int(((losses >= low) & (losses <= high)).sum())
    # quantiles of so many replications stand this far off their levels, four times in a million
    off = 4.6 * np.sqrt(0.05 * 0.95 / answer.simulation.replications)
    assert bdtr(inside, runs, max(0.9 - 2 * off, 0.5)) > FALSE_ALARM
    if np.isfinite(losses).all() and np.isfinite(row.last("simulated")):
        error = np.hypot(losses.std(ddof=1) / np.sqrt(runs), row.last("stderr"))
        assert abs(losses.mean() - row.last("simulated")) < 5 * error
