"""Huber regression against a general optimiser, its constants by quadrature, its law."""

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import least_squares

from collapse import derive, simulate, workflows
from collapse.models import HuberRegression
from collapse.models.regression import linear
from tests.statistics import assert_agree


def design(seed, n=50, columns=3):
    return np.column_stack(
        [np.ones(n), np.random.default_rng(seed).standard_normal((n, columns - 1))]
    )


def test_agrees_with_scipy_on_weighted_rows_with_outliers():
    X, rng = design(1), np.random.default_rng(2)
    model = HuberRegression(X, [1, 2, -1], sigma=0.5, k=1.2)
    rows, weight = model.draw_real(8, 90, rng), rng.uniform(0.1, 2, (8, 90))
    rows[:, ::7, 1] += 20 * rng.standard_cauchy((8, 13))
    fitted = model.fit(rows, weight, None)
    np.testing.assert_allclose(
        model.fit(rows, weight, 30 * rng.standard_normal((8, 3))), fitted, rtol=1e-9, atol=1e-10
    )
    for r in range(8):
        index, y, w = rows[r, :, 0].astype(int), rows[r, :, 1], np.sqrt(weight[r])

        def loss(theta, X=X[index], y=y, w=w):
            rest = (y - X @ theta) / 0.5
            pulled = np.clip(rest, -1.2, 1.2)
            return w * np.sqrt(2 * pulled * rest - pulled**2) * np.sign(rest)

        other = least_squares(loss, fitted[r] + 0.3, xtol=1e-15, ftol=1e-15, gtol=1e-15)
        np.testing.assert_allclose(fitted[r], other.x, atol=2e-6)
        # at the minimum the score is zero
        score = (weight[r] * np.clip((y - X[index] @ fitted[r]) / 0.5, -1.2, 1.2)) @ X[index]
        np.testing.assert_allclose(score, 0, atol=1e-10)


def test_ends_where_newton_alone_goes_round_in_circles():
    """Few rows inside at the start: the safeguard is used, and the score is zero at the end."""
    X = design(3, n=12)
    model = HuberRegression(X, [0, 0, 0], sigma=1, k=0.05)
    rows = np.stack(
        [
            np.tile(np.arange(12.0), (200, 1)),
            5 * np.random.default_rng(4).standard_cauchy((200, 12)),
        ],
        axis=2,
    )
    fitted = model.fit(rows, np.ones((200, 12)), None)
    score = np.clip(rows[:, :, 1] - fitted @ X.T, -0.05, 0.05) @ X
    np.testing.assert_allclose(score, 0, atol=1e-9)


def test_large_k_is_least_squares():
    X = design(5)
    model = HuberRegression(X, [1, 2, -1], sigma=1, k=50)
    rows = model.draw_real(4, 50, np.random.default_rng(6))
    expected = np.linalg.lstsq(X, rows[:, :, 1].T, rcond=None)[0].T
    np.testing.assert_allclose(model.fit(rows, np.ones((4, 50)), None), expected, rtol=1e-10)
    assert model.limit_risk == pytest.approx(3)


def test_constants_by_quadrature():
    for k in (0.5, 1.345, 3):
        square = stats.norm.expect(lambda z, k=k: np.clip(z, -k, k) ** 2)
        slope = stats.norm.cdf(k) - stats.norm.cdf(-k)
        assert HuberRegression(design(7), [0, 0, 0], sigma=2, k=k).limit_risk == pytest.approx(
            4 * 3 * square / slope**2, rel=1e-7
        )


def test_rows_that_do_not_span_have_no_fit():
    X = np.column_stack([np.ones(20), np.arange(20) < 3])
    model = HuberRegression(X, [0, 0], sigma=1)
    rows, weight = model.draw_real(3, 20, np.random.default_rng(8)), np.ones((3, 20))
    weight[1, :3] = 0
    rows[2, 5, 1] = np.nan
    assert np.isnan(model.fit(rows, weight, None)).any(axis=1).tolist() == [False, True, True]


def test_obeys_the_law():
    """At n = 150: 4 % allowed for n."""
    model = HuberRegression(design(9, n=150), [1, 2, -1], sigma=1)
    for plan in (workflows.discard(6), workflows.augment(6)):
        risk = simulate(plan, model=model, replications=2500, rng=10)
        assert_agree(risk.ratio, risk.stderr, derive(plan).ratio, detects=0.3, allowance=0.04)
    assert_agree(
        150 * risk.risk[0], 150 * risk.risk_stderr[0], model.limit_risk, detects=0.2, allowance=0.04
    )


def test_messages(monkeypatch):
    X = design(11)
    with pytest.raises(ValueError, match="sigma"):
        HuberRegression(X, [0, 0, 0], sigma=0)
    with pytest.raises(ValueError, match="k"):
        HuberRegression(X, [0, 0, 0], sigma=1, k=-1)
    with pytest.raises(ValueError, match=r"beta must have shape \(3,\)"):
        HuberRegression(X, [0, 0], sigma=1)
    monkeypatch.setattr(linear, "ITERATIONS", 1)
    model = HuberRegression(X, [0, 0, 0], sigma=1)
    assert np.isnan(
        model.fit(model.draw_real(2, 50, np.random.default_rng(0)), np.ones((2, 50)), None)
    ).all()
