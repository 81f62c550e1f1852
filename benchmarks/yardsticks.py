"""The plain programs: one replication at a time, rows in memory, the library call that everybody
knows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Generator = np.random.Generator


def gaussian_limit(paths: int, G: int, rng: Generator) -> dict[str, Array]:
    """Risk (G,) of the three workflows in the Gaussian limit: simulate all paths of each, average
    their squares.
    """
    risk = {}
    for workflow in ("discard", "augment", "subsample"):
        u = np.zeros((paths, G))
        batch = np.zeros((paths, G))
        for g in range(G):
            batch[:, g] = rng.standard_normal(paths) + (u[:, g - 1] if g else 0.0)
            if workflow == "discard":
                u[:, g] = batch[:, g]
            else:
                u[:, g] = batch[:, : g + 1].mean(axis=1)
            if workflow == "subsample":
                u[:, g] += np.sqrt(1 - 1 / (g + 1)) * rng.standard_normal(paths)
        risk[workflow] = (u**2).mean(axis=0)
    return risk


def triangular_system(source: NDArray[np.int64], size: Array, weight: Array) -> Array:
    """Risk (G,) in the Gaussian limit from its definition: u = A u + N, Cov N = W diag(1 / size)
    W'.
    """
    G = len(weight)
    feedback = np.zeros((G, G))
    for b, s in enumerate(source):
        if s > 0:
            feedback[:, s - 1] += weight[:, b]
    spread = np.linalg.solve(np.eye(G) - feedback, weight)
    return np.diag((spread / size) @ spread.T)


def family(
    draw: Callable[[float, int, Generator], Array], mean: float, n: int, G: int, rng: Generator
) -> Array:
    """Means (G,) fitted in one chain under augment: draw n rows, stack all batches, average the
    stack.
    """
    means = np.empty(G)
    rows = np.empty(0)
    for g in range(G):
        rows = np.concatenate([rows, draw(mean, n, rng)])
        means[g] = mean = rows.mean()
    return means


FAMILIES: dict[str, Callable[[float, int, Generator], Array]] = {
    "normal": lambda mean, n, rng: rng.normal(mean, 2.0, n),
    "poisson": lambda mean, n, rng: rng.poisson(mean, n),
    "exponential": lambda mean, n, rng: rng.exponential(mean, n),
    "bernoulli": lambda mean, n, rng: rng.binomial(1, mean, n),
}


def multinomial(p: Array, n: int, G: int, rng: Generator) -> Array:
    """Shares (G, d) fitted in one chain under augment: draw n labels, stack all batches, count the
    stack.
    """
    shares = np.empty((G, len(p)))
    labels = np.empty(0, int)
    for g in range(G):
        labels = np.concatenate([labels, rng.choice(len(p), n, p=p)])
        shares[g] = p = np.bincount(labels, minlength=len(p)) / len(labels)
    return shares


def bigrams(text: str, n: int, length: int, G: int, rng: Generator) -> Array:
    """Excess Brier score (G,) of letter bigrams fitted in one chain under augment: draw n passages
    letter by letter, count all that was ever drawn.
    """
    letters = sorted(set(text))
    V, place = len(letters), {letter: i for i, letter in enumerate(letters)}
    true = np.zeros((V, V))
    for a, b in zip(text, text[1:] + text[0], strict=True):
        true[place[a], place[b]] += 1
    visits = true.sum(axis=1) / true.sum()
    true /= true.sum(axis=1, keepdims=True)
    start, step = visits, true
    counts, risk = np.zeros((V, V)), np.empty(G)
    for g in range(G):
        for _ in range(n):
            at = rng.choice(V, p=start)
            for _ in range(length - 1):
                after = rng.choice(V, p=step[at])
                counts[at, after] += 1
                at = after
        met = counts.sum(axis=1)
        start, alone = met / met.sum(), counts.sum(axis=0) / met.sum()
        # after a letter that was never read: as often as anywhere
        step = np.array([counts[c] / met[c] if met[c] else alone for c in range(V)])
        risk[g] = (visits[:, None] * (step - true) ** 2).sum()
    return risk


def least_squares(X: Array, beta: Array, sigma: float, G: int, rng: Generator) -> Array:
    """Coefficients (G, p) fitted in one chain under augment: label the design, stack the rows,
    refit.
    """
    fits = np.empty((G, X.shape[1]))
    rows, labels = X[:0], np.empty(0)
    for g in range(G):
        rows = np.concatenate([rows, X])
        labels = np.concatenate([labels, X @ beta + sigma * rng.standard_normal(len(X))])
        fits[g] = beta = np.linalg.lstsq(rows, labels, rcond=None)[0]
    return fits


def logistic(
    X: Array, share: Array, G: int, rng: Generator, *, augment: bool, **options: Any
) -> tuple[Array, Array]:
    """Coefficients (G, p) fitted in one chain, and the labels (G, n): label the design, stack the
    rows or not, refit by scikit-learn.

    X holds the covariates without a column of ones, share (n,) the true probabilities of label 1;
    the intercept comes first.
    """
    from sklearn.linear_model import LogisticRegression

    fits, drawn = [], []
    rows, labels = X[:0], np.empty(0)
    for _ in range(G):
        y = rng.random(len(X)) < share
        rows = np.concatenate([rows, X]) if augment else X
        labels = np.concatenate([labels, y]) if augment else y
        model = LogisticRegression(C=np.inf, max_iter=10_000, **options).fit(rows, labels)
        share = model.predict_proba(X)[:, 1]
        fits.append(np.append(model.intercept_, model.coef_))
        drawn.append(y)
    return np.array(fits), np.array(drawn, float)


def careful_logistic(
    X: Array, share: Array, G: int, rng: Generator, *, tol: float = 1e-6
) -> tuple[Array, Array]:
    """The augment chain of `logistic` by somebody who knows that counts suffice and that the solver
    stops early.

    2 n weighted rows of standardised covariates, a smaller tolerance, each fit started at the last.
    """
    from sklearn.linear_model import LogisticRegression

    n, centre, scale = len(X), X.mean(axis=0), X.std(axis=0)
    Z = (X - centre) / scale
    fits, drawn = [], []
    rows, labels, ones = np.concatenate([Z, Z]), np.repeat([1.0, 0.0], n), np.zeros(n)
    model = LogisticRegression(C=np.inf, max_iter=10_000, warm_start=True, tol=tol)
    for g in range(G):
        y = rng.random(n) < share
        ones += y
        model.fit(rows, labels, sample_weight=np.concatenate([ones, g + 1 - ones]))
        share = model.predict_proba(Z)[:, 1]
        slope = model.coef_[0] / scale
        fits.append(np.append(model.intercept_ - centre @ slope, slope))
        drawn.append(y)
    return np.array(fits), np.array(drawn, float)


def one_fit(path: Any) -> float:
    """Read a table, split it, fit scikit-learn's logistic regression once, and return the log loss
    on the rest.
    """
    import pandas as pd
    from sklearn.metrics import log_loss
    from sklearn.model_selection import train_test_split

    frame = pd.read_csv(path)
    X, X_test, y, y_test = train_test_split(
        frame.drop(columns="y"), frame["y"], test_size=0.3, random_state=0, stratify=frame["y"]
    )
    return float(log_loss(y_test, unpenalised().fit(X, y).predict_proba(X_test)))


def unpenalised() -> Any:
    """Standardised columns and logistic regression without a penalty, to the maximum."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(
        StandardScaler(), LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-9)
    )


def ridge(**options: Any) -> Any:
    """Ridge logistic regression by scikit-learn."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=1.0, max_iter=5000, **options)


def ridge_run(table: Any, generations: int) -> None:
    """One run of discard: each fit's draws are the next one's labels."""
    X, y, rng = table.X[:, 1:], table.y, np.random.default_rng(0)
    for _ in range(generations):
        fit = ridge().fit(X, y)
        upto = np.cumsum(fit.predict_proba(X), axis=1)[:, :-1]
        y = fit.classes_[(upto < rng.random((len(X), 1))).sum(axis=1)]
