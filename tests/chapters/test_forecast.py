"""Your own data: the law that the chapter proves, and what it says of its tables, computed again by
other means.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_wine

import collapse
from collapse import Forecast, derive, simulate, workflows
from collapse.forecasting.separation import separation
from collapse.forecasting.table import prepare
from collapse.models import LinearRegression
from tests.statistics import assert_agree

pytestmark = pytest.mark.statistical

Array = NDArray[np.float64]
LEVELS = (0.05, 0.5, 0.95)


@cache
def wine() -> pd.DataFrame:
    frame = load_wine(as_frame=True).frame
    frame["cultivar"] = np.array(["first", "second", "third"])[frame.pop("target")]
    return frame


@cache
def alcohol() -> Forecast:
    return collapse.forecast(
        wine(), "alcohol", "augment", 12, against=["discard"], budget=10, rng=20261123
    )


class World:
    """Real rows, test rows that want another fit, and the two square forms of the proposition."""

    def __init__(self) -> None:
        rng = np.random.default_rng(3)
        self.X, self.X_test = (
            np.column_stack([np.ones(k), rng.standard_normal((k, 3)) @ np.diag([1, 2, 0.5])])
            for k in (40, 25)
        )
        self.y = self.X @ [1, 0.5, -1, 2] + 1.5 * rng.standard_normal(40)
        self.y_test = self.X_test @ [1.3, 0.5, -1, 2] + 1.5 * rng.standard_normal(25)
        self.theta, residual, *_ = np.linalg.lstsq(self.X, self.y)
        self.sigma2 = float(residual[0]) / (40 - 4)
        self.S, self.S_test = self.X.T @ self.X / 40, self.X_test.T @ self.X_test / 25
        self.first = float(((self.X_test @ self.theta - self.y_test) ** 2).mean())
        self.gradient = 2 * self.X_test.T @ (self.X_test @ self.theta - self.y_test) / 25
        self.kappa = self.sigma2 * float(np.trace(self.S_test @ np.linalg.inv(self.S)))

    def losses(self, ratio: float, z: Array) -> Array:
        values, vectors = np.linalg.eigh(self.S)
        root = vectors @ np.diag(values**-0.5) @ vectors.T
        t = np.sqrt(self.sigma2 * (ratio - 1) / 40)
        move = z @ root
        return np.asarray(
            self.first
            + t * move @ self.gradient
            + t * t * np.einsum("ri,ij,rj->r", move, self.S_test, move)
        )


PLANS = {
    "discard": (workflows.discard(5), [1, 2, 3, 4, 5]),
    "augment": (workflows.augment(5), np.cumsum(1 / np.arange(1, 6) ** 2)),
    "half real": (workflows.fixed_real_share(5, 0.5), np.cumsum(0.25 ** np.arange(5))),
}


@pytest.mark.parametrize("name", PLANS)
def test_the_law_of_one_run_is_exact_for_least_squares(name: str) -> None:
    world, (plan, ratio) = World(), PLANS[name]
    np.testing.assert_allclose(derive(plan).ratio, ratio, rtol=1e-12)
    model = LinearRegression(world.X, y=world.y, test=(world.X_test, world.y_test))
    R, draws = 40_000, 200_000
    risk = simulate(plan, model=model, replications=R, rng=5, quantiles=LEVELS)
    expected = world.first + (np.array(ratio) - 1) * world.kappa / 40
    assert_agree(risk.risk[1:], risk.risk_stderr[1:], expected[1:], detects=0.06)
    z = np.random.default_rng(6).standard_normal((draws, 4))
    for g in (1, 4):
        losses = world.losses(ratio[g], z)
        for level, quantile in zip(LEVELS, risk.quantiles[:, g], strict=True):
            # share of drawn losses below a simulated quantile: both binomial, false alarm 1e-6 by
            # the normal approximation
            error = np.sqrt(level * (1 - level) * (1 / R + 1 / draws))
            assert abs((losses <= quantile).mean() - level) < 4.9 * error + 1 / R
    # without the linear term the law would be another
    bent = (
        world.losses(ratio[4], z)
        - np.sqrt(world.sigma2 * (ratio[4] - 1) / 40)
        * (z @ np.linalg.cholesky(np.linalg.inv(world.S)).T)
        @ world.gradient
    )
    assert abs((bent <= risk.quantiles[0, 4]).mean() - 0.05) > 0.01


def test_on_the_real_labels_kappa_counts_columns_and_no_run_gets_better() -> None:
    world = World()
    model = LinearRegression(world.X, y=world.y)
    risk = simulate(
        workflows.discard(4), model=model, replications=20_000, rng=7, quantiles=(0.001,)
    )
    assert_agree(
        (risk.risk - risk.risk[0])[1:],
        risk.risk_stderr[1:],
        np.arange(1, 4) * world.sigma2 * 4 / 40,
        detects=0.08,
    )
    assert np.all(risk.quantiles[0, 1:] > risk.risk[0])


def test_when_the_loss_is_worse() -> None:
    document = alcohol().document
    first, kappa, n = (
        document["first"]["loss"],
        document["first"]["kappa"],
        document["data"]["real_rows"],
    )
    needed = 1 + 0.1 * n * first / kappa
    augment, discard = document["workflows"]
    assert discard["worse"]["derived"] == np.ceil(needed)
    assert needed > np.pi**2 / 6
    assert augment["worse"]["derived"] is None
    # exercise 1
    assert pytest.approx(17) == 1 + 0.1 * 2000 * 0.40 / 5


def test_the_chapter_s_forecast_by_its_formula() -> None:
    document = alcohol().document
    assert document["task"] == {"name": "continuous", "guessed": True}
    assert (
        document["model"]["coefficients"] == 15
    )  # intercept, twelve measurements, two of three cultivars
    row, n = document["workflows"][0], document["data"]["real_rows"]
    ratio = np.cumsum(1 / np.arange(1, 13) ** 2)
    derived = document["first"]["loss"] + (ratio - 1) * document["first"]["kappa"] / n
    np.testing.assert_allclose(row["derived"], derived, rtol=1e-10)
    assert_agree(row["simulated"][1:], row["stderr"][1:], derived[1:], detects=0.06)
    # single runs end below the first loss, and differ by more than the rise
    assert row["simulated_low"][-1] < document["first"]["loss"] < row["simulated"][-1]
    assert (
        row["simulated_high"][-1] - row["simulated_low"][-1]
        > row["simulated"][-1] - document["first"]["loss"]
    )


def test_the_first_cultivar_is_separable() -> None:
    frame = (
        wine()
        .assign(first=lambda table: np.where(table["cultivar"] == "first", "yes", "no"))
        .drop(columns="cultivar")
    )
    answer = collapse.forecast(frame, "first", "augment", 2, against=[], budget=0.5, rng=20261123)
    assert "can be told apart without error" in answer.document["model"]["fallback"]
    # the columns that are named separate the real rows, and no fewer of them do
    made, named = prepare(frame, "first", seed=20261123), answer.document["model"]["separating"]
    columns = [made.columns.index(name) for name in named]
    assert separation(made.X[:, [0, *columns]], made.y, 2) is not None
    for left in columns:
        assert separation(made.X[:, [0, *(j for j in columns if j != left)]], made.y, 2) is None


def test_least_loss_among_those_that_carry_no_more_than_the_real_rows() -> None:
    document = collapse.forecast(wine(), "color_intensity", "window(k=3)", 20, budget=5).document
    small = [
        row for row in document["workflows"] if row["rows_stored"] <= document["data"]["real_rows"]
    ]
    assert min(small, key=lambda row: row["simulated"][-1])["name"] == "fixed_real_share(share=1/2)"
