"""Separation of labels: found exactly where a linear programme over all rows finds it, with the
columns that do it."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import linprog

from collapse.forecasting import law
from collapse.forecasting.separation import separation

Array = NDArray[np.float64]


def inequalities(X: Array, y: Array, classes: int) -> tuple[Array, Array]:
    """Linear forms of the coefficients that a separating direction makes non-negative, and those
    that it makes zero."""
    p = X.shape[1]
    if not classes:
        return -X[y == 0], X[y > 0]
    forms = []
    for row, own in zip(X, y.astype(int), strict=True):
        for other in range(classes):
            if other != own:
                form = np.zeros((classes, p))
                form[own], form[other] = row, -row
                forms.append(form[1:].ravel())
    return np.array(forms), np.empty((0, (classes - 1) * p))


def separated(X: Array, y: Array, classes: int) -> bool:
    """Whether some direction in the unit cube meets all inequalities, and one strictly."""
    forms, zero = inequalities(X, y, classes)
    if not len(forms):
        return False
    answer = linprog(
        -forms.sum(axis=0),
        A_ub=-forms,
        b_ub=np.zeros(len(forms)),
        A_eq=zero if len(zero) else None,
        b_eq=np.zeros(len(zero)) if len(zero) else None,
        bounds=[(-1, 1)] * forms.shape[1],
    )
    assert answer.status == 0
    return bool(-answer.fun > 1e-6)


def small_table(seed: int, classes: int) -> tuple[Array, Array]:
    """Few rows of small whole numbers: separated, nearly separated or not, by chance."""
    rng = np.random.default_rng([seed, classes])
    n, p = int(rng.integers(8, 40)), int(rng.integers(1, 4))
    while True:
        X = np.column_stack([np.ones(n), rng.integers(-2, 3, (n, p))])
        score = X[:, 1:] @ rng.integers(-2, 3, p)
        noise = rng.choice([0, 1, 3])
        score = score + noise * rng.standard_normal(n)
        if classes:
            y = np.searchsorted(np.quantile(score, np.arange(1, classes) / classes), score).astype(
                float
            )
            whole = len(np.unique(y)) == classes
        else:
            y = np.maximum(np.round(score) - 2, 0.0)
            whole = bool(y.any())
        if whole and np.linalg.matrix_rank(X) == p + 1:
            return X, y


@pytest.mark.parametrize("classes", [0, 2, 3, 4])
def test_a_separation_is_found_exactly_where_there_is_one(classes: int) -> None:
    there = 0
    for seed in range(60):
        X, y = small_table(seed, classes)
        expected = separated(X, y, classes)
        found = separation(X, y, classes)
        assert (found is not None) == expected, seed
        family: law.Family = law.Classes(classes - 1) if classes else law.Counts()
        start = np.zeros(family.outputs * X.shape[1])
        if not classes:
            start[0] = np.log(y.mean())
        assert (law.newton(family, X, y, start) is None) == expected, seed
        there += expected
        if found is None:
            continue
        # the direction is one, from its columns alone
        forms, zero = inequalities(X, y, classes)
        direction = found.direction[1:] - found.direction[:1] if classes else found.direction
        gaps = forms @ direction.ravel()
        assert gaps.min() >= -1e-7 * gaps.max()
        assert gaps.max() > 0
        if len(zero):
            assert np.abs(zero @ direction.ravel()).max() <= 1e-7 * gaps.max()
        used = np.append(0, found.columns)
        assert separated(X[:, used], y, classes)
        for j in found.columns:  # each by itself, or none to be left out
            alone = np.array([0, j]) if found.alone else np.setdiff1d(used, j)
            assert separated(X[:, alone], y, classes) == found.alone, seed
    assert 10 < there < 50


def test_the_classes_that_are_told_apart() -> None:
    rng = np.random.default_rng(0)
    X = np.column_stack([np.ones(500), rng.standard_normal((500, 4))])
    y = rng.integers(0, 2, 500).astype(float)
    y[X[:, 2] > 1] = 2
    found = separation(X, y, 3)
    assert found is not None
    assert (found.columns.tolist(), found.alone, found.told) == ([2], True, (2,))
    # two classes on each side of a slanted border: the pairs are told apart, and no class alone
    side = X[:, 1] - X[:, 3] > 0
    y = np.where(side, 0, 2) + rng.integers(0, 2, 500).astype(float)
    found = separation(X, y, 4)
    assert found is not None
    assert (found.columns.tolist(), found.alone) == ([1, 3], False)
    assert found.told in ((0, 1), (2, 3))


def test_many_rows_need_few_inequalities() -> None:
    rng = np.random.default_rng(1)
    X = np.column_stack([np.ones(200_000), rng.standard_normal((200_000, 6))])
    slope = X[:, 1] - 2 * X[:, 4]
    found = separation(X, (slope > 0).astype(float), 2)
    assert found is not None
    assert found.columns.tolist() == [1, 4]
    flipped = slope > 0
    flipped[np.argmax(slope)] ^= True  # one row on the far wrong side
    assert separation(X, flipped.astype(float), 2) is None


def test_newton_tells_an_estimate_that_is_hardly_one_from_none() -> None:
    """Two labels on the wrong side of many far ones: the estimate is large, and exists."""
    x = np.concatenate([np.linspace(-50, -1, 400), np.linspace(1, 50, 400), [0.1, -0.1]])
    y = np.concatenate([np.zeros(400), np.ones(400), [0.0, 1.0]])
    X = np.column_stack([np.ones(802), x])
    found = law.newton(law.Classes(1), X, y, np.zeros(2))
    assert found is not None
    share = 1 / (1 + np.exp(-X @ found))
    np.testing.assert_allclose(X.T @ (y - share), 0, atol=1e-8)
    y[-2:] = [1.0, 0.0]
    assert law.newton(law.Classes(1), X, y, np.zeros(2)) is None


def test_newton_does_not_feel_the_scale_of_a_column() -> None:
    rng = np.random.default_rng(2)
    X = np.column_stack([np.ones(300), rng.standard_normal((300, 2))])
    y = (rng.random(300) < 1 / (1 + np.exp(-X[:, 1]))).astype(float)
    scale = np.array([1.0, 1e6, 1e-6])
    fits = [law.newton(law.Classes(1), X * s, y, np.zeros(3)) for s in (np.ones(3), scale)]
    assert fits[0] is not None
    assert fits[1] is not None
    np.testing.assert_allclose(fits[1] * scale, fits[0], rtol=1e-8)
