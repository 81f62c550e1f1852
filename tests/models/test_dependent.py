"""First-order autoregression: fits against statsmodels, transitions against sums, the law inside
the unit circle and its end at a unit root.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from statsmodels.tsa.ar_model import AutoReg

from collapse import derive, models, simulate, workflows
from tests.statistics import assert_agree, assert_risks_agree, assert_same_law

PLANS = [workflows.discard(4), workflows.augment(4), workflows.subsample(4)]


def test_rows_are_the_transitions_of_one_series_from_zero():
    rows = models.AR1(0.5).draw(np.array([[0.5], [-0.9]]), 50, np.random.default_rng(0))
    assert rows.shape == (2, 50, 2)
    np.testing.assert_array_equal(rows[:, 0, 0], 0)
    np.testing.assert_array_equal(rows[:, 1:, 0], rows[:, :-1, 1])


@pytest.mark.parametrize("coefficient", [0.6, -0.3, 1])
def test_the_fit_is_that_of_statsmodels(coefficient):
    model = models.AR1(coefficient)
    rows = model.draw_real(1, 80, np.random.default_rng(1))
    series = np.concatenate([[0.0], rows[0, :, 1]])
    expected = AutoReg(series, lags=1, trend="n").fit().params
    np.testing.assert_allclose(model.fit(rows, np.ones((1, 80)), None)[0], expected, rtol=1e-10)


@pytest.mark.parametrize("coefficient", [0.6, 1])
def test_sums_are_those_of_the_transitions(coefficient):
    model, theta = models.AR1(coefficient), np.full((20, 1), 0.8)
    rows = model.draw(theta, 60, np.random.default_rng(2))
    statistic = model.draw_statistic(theta, 60, np.random.default_rng(2))
    expected = np.stack(
        [(rows[..., 0] * rows[..., 1]).mean(axis=1), (rows[..., 0] ** 2).mean(axis=1)], axis=1
    )
    np.testing.assert_allclose(statistic, expected, rtol=1e-12)


def test_two_transitions_err_by_a_cauchy_variate():
    """x_1 = e_1, x_2 = coefficient e_1 + e_2, and the first transition starts at 0: the error is
    e_2 / e_1.
    """
    model, R = models.AR1(0.7), 40_000
    fit = model.fit_statistic(model.draw_real_statistic(R, 2, np.random.default_rng(3)), None)
    assert_same_law(
        np.arctan(fit[:, 0] - 0.7),
        np.random.default_rng(4).uniform(-np.pi / 2, np.pi / 2, R),
        detects=0.06,
    )


def test_a_series_without_a_start_has_no_estimate():
    model = models.AR1(0.7)
    assert np.isnan(
        model.fit(model.draw_real(3, 1, np.random.default_rng(0)), np.ones((3, 1)), None)
    ).all()


def test_a_series_that_overflows_has_no_estimate_and_gives_no_warning():
    model, theta = models.AR1(0.5), np.array([[3.0]])
    assert np.isnan(
        model.fit_statistic(model.draw_statistic(theta, 1000, np.random.default_rng(0)), None)
    ).all()


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.name)
@pytest.mark.parametrize("coefficient", [0.5, -0.5])
def test_inside_the_unit_circle_the_law_holds(plan, coefficient):
    model, n = models.AR1(coefficient), 400
    risk = simulate(
        plan, model=model, n=n, replications=8_000 if plan.reads_whole_batches else 4_000, rng=5
    )
    assert_risks_agree(risk, derive(plan), detects=0.45, allowance=0.03, unit=model.limit_risk / n)


def test_the_distance_from_the_limit_shrinks_with_n():
    """At coefficient 0.3 and generation 20 of discard about -30 / n."""
    plan, model = workflows.discard(20), models.AR1(0.3)
    runs = [simulate(plan, model=model, n=n, replications=30_000, rng=6) for n in (100, 200)]
    scaled = [(run.ratio[-1] / 20 - 1) * run.n for run in runs]
    assert_agree(
        scaled, [run.stderr[-1] / 20 * run.n for run in runs], [-30, -30], detects=1, allowance=0.25
    )


def unit_root_moment():
    """E[(n (fit - 1))^2] in the limit: the square of int W dW / int W^2, from their joint transform
    (White 1958).

    E exp(u int W dW - v int W^2) = exp(-u/2) (cosh k - u sinh(k) / k)^(-1/2) with k^2 = 2 v, and
    E[a^2 / b^2] = int v M_uu(0, v) dv.
    """

    def integrand(k):
        ratio = np.tanh(k) / k
        return k**3 / 2 / np.sqrt(np.cosh(k)) * ((ratio - 1) ** 2 / 4 + ratio**2 / 2)

    return quad(integrand, 1e-9, 200)[0]


def test_at_a_unit_root_the_risk_falls_like_one_over_n_squared():
    moment = unit_root_moment()
    assert moment == pytest.approx(13.2857, abs=1e-3)
    n, model = 400, models.AR1(1)
    risk = simulate(workflows.discard(1), model=model, n=n, replications=100_000, rng=7)
    assert_agree(n**2 * risk.risk, n**2 * risk.risk_stderr, [moment], detects=0.12, allowance=0.02)
    assert model.limit_risk == 0


def test_at_a_unit_root_the_law_does_not_hold():
    """Discard's ratio exceeds g far, at every n: the planted error is seen."""
    model = models.AR1(1)
    for n in (100, 400):
        discard = simulate(workflows.discard(10), model=model, n=n, replications=10_000, rng=8)
        assert discard.ratio[-1] - 6 * discard.stderr[-1] > 15


@pytest.mark.parametrize("coefficient", [1.5, -1.01, np.nan, "0", None, True])
def test_coefficients_outside_are_refused(coefficient):
    with pytest.raises(
        ValueError,
        match=r"coefficient \(-1 and 1 themselves are allowed\) must be a number, between -1 and 1",
    ):
        models.AR1(coefficient)
