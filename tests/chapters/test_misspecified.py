"""When the model is wrong: the proposition on observed labels, the theorem on dispersion and its
estimate, each computed again by other means.

Data and seeds are fixed: what holds once holds always. Error rates are those of a fresh seed.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_diabetes

from collapse import Plan, datasets, derive, simulate, workflows
from collapse.datasets import with_intercept
from collapse.forecasting.law import Classes, law_of, misspecified
from collapse.models import (
    LogisticRegression,
    MultinomialRegression,
    PoissonRegression,
    ProbitRegression,
)
from collapse.models.regression.glm import log_loss
from tests.chapters.observed import Array, observed, split
from tests.statistics import assert_agree

pytestmark = pytest.mark.statistical


def constant(X: Array, y: Array, X_loss: Array, y_loss: Array) -> float:
    """kappa of the proposition at the maximum-likelihood fit, its derivatives by finite
    differences.
    """
    theta = LogisticRegression(X, y=y).truth

    def gradient(at: Array, rows: Array, labels: Array) -> Array:
        return np.asarray((1 / (1 + np.exp(-rows @ at)) - labels) @ rows / len(rows))

    def hessian(at: Array, rows: Array) -> Array:
        steps = 1e-5 / np.abs(rows).max(axis=0)
        zero = np.zeros(len(rows))
        return np.array(
            [
                (gradient(at + h * e, rows, zero) - gradient(at - h * e, rows, zero)) / (2 * h)
                for h, e in zip(steps, np.eye(len(at)), strict=True)
            ]
        )

    inverse = np.linalg.inv(hessian(theta, X))
    # b = -1/2 I^-1 times the second derivative of mu, summed against I^-1: mean change of the
    # gradient along the columns of a root of I^-1
    root = np.linalg.cholesky((inverse + inverse.T) / 2)
    zero, h = np.zeros(len(X)), 1e-3
    curved = (
        sum(
            gradient(theta + h * c, X, zero)
            + gradient(theta - h * c, X, zero)
            - 2 * gradient(theta, X, zero)
            for c in root.T
        )
        / h**2
    )
    bias = -0.5 * inverse @ curved
    return float(
        0.5 * np.trace(hessian(theta, X_loss) @ inverse) + gradient(theta, X_loss, y_loss) @ bias
    )


@pytest.mark.parametrize("name", ["titanic", "diabetes", "heart"])
def test_constant_on_the_real_labels_is_half_the_columns(name: str) -> None:
    X, y, _, _ = split(name)
    assert constant(X, y, X, y) == pytest.approx(X.shape[1] / 2, rel=1e-4)


@pytest.mark.parametrize(
    ("name", "copies", "replications", "allowance", "detects"),
    # the remainder is of order 1 / n: a tenth on heart's 189 rows, a few hundredths once the table
    # is stacked eight times
    [
        ("titanic", 1, 2000, 0.06, 0.25),
        ("diabetes", 1, 2000, 0.06, 0.2),
        ("heart", 1, 2000, 0.15, 0.3),
        ("heart", 8, 2000, 0.03, 0.2),
    ],
)
def test_rise_of_the_loss_on_the_real_labels(
    name: str, copies: int, replications: int, allowance: float, detects: float
) -> None:
    model = observed(name, copies, test=False)
    plan = workflows.augment(6)
    risk = simulate(plan, model=model, replications=replications, rng=13)
    rows, columns = model.X.shape
    theory = (derive(plan).ratio - 1) * columns / (2 * rows)
    assert_agree(
        (risk.risk - risk.risk[0])[1:],
        risk.risk_stderr[1:],
        theory[1:],
        detects=detects,
        allowance=allowance,
    )


def test_rise_of_the_test_loss_holds_the_drift() -> None:
    X, y, X_test, y_test = split("heart")
    plan, copies = workflows.augment(3), 2
    risk = simulate(plan, model=observed("heart", copies), replications=8000, rng=17)
    kappa = constant(X, y, X_test, y_test)
    # half the columns, or the spread alone, miss by more than 40 %
    theory = (derive(plan).ratio - 1) * kappa / (copies * len(y))
    assert_agree(
        (risk.risk - risk.risk[0])[1:],
        risk.risk_stderr[1:],
        theory[1:],
        detects=0.4,
        allowance=0.08,
    )


@pytest.mark.parametrize("name", ["titanic", "diabetes", "heart"])
def test_the_package_computes_the_constant(name: str) -> None:
    X, y, X_test, y_test = split(name)
    law = law_of(Classes(1), observed(name).truth, X, X_test, y_test)
    assert law.kappa == pytest.approx(constant(X, y, X_test, y_test), rel=1e-4)


def two_noises(plan: Plan, dispersion: float) -> Array:
    """diag(R) dispersion + diag(S), each by its own recursion over generations."""
    W, A, kept = plan.weight, plan.feedback(), plan.kept
    spread = np.linalg.inv(np.eye(plan.generations) - A)
    total = np.zeros(plan.generations)
    for b, (source, size) in enumerate(zip(plan.source, plan.size, strict=True)):
        own = np.outer(W[:, b], W[:, b]) / size
        own[np.diag_indices(plan.generations)] += (
            W[:, b] ** 2 * (1 / np.where(kept[:, b] > 0, kept[:, b], 1.0) - 1) / size
        )
        total += np.diag(spread @ own @ spread.T) * (dispersion if source == 0 else 1.0)
    return np.asarray(total)


@pytest.mark.parametrize("dispersion", [0.3, 1.0, 2.5])
@pytest.mark.parametrize(
    "plan",
    [
        workflows.discard(8),
        workflows.augment(8),
        workflows.subsample(8),
        workflows.window(8, 3),
        workflows.fixed_real_share(8, Fraction(1, 10)),
        workflows.fresh_real(8, Fraction(1, 2)),
    ],
    ids=lambda plan: plan.name,
)
def test_a_misspecified_plan_has_two_kinds_of_noise(plan: Plan, dispersion: float) -> None:
    changed = misspecified(plan, dispersion)
    np.testing.assert_allclose(derive(changed).risk, two_noises(plan, dispersion), rtol=1e-12)
    if plan.reads_whole_batches and np.count_nonzero(plan.source == 0) == 1:
        np.testing.assert_allclose(
            derive(changed).ratio, 1 + (derive(plan).ratio - 1) / dispersion, rtol=1e-12
        )
    process = simulate(changed, replications=20_000, rng=1)
    assert_agree(process.ratio[1:], process.stderr[1:], derive(changed).ratio[1:], detects=0.2)


@pytest.mark.parametrize("dispersion", [0, -1.0, np.nan, "1"])
def test_refuses_what_is_no_dispersion(dispersion: Any) -> None:
    with pytest.raises(ValueError, match="dispersion must be a number"):
        misspecified(workflows.augment(3), dispersion)


def sandwich(X: Array, residual: Array, weight: Array) -> float:
    bread, meat = np.zeros((X.shape[1],) * 2), np.zeros((X.shape[1],) * 2)
    for x, e, w in zip(X, residual, weight, strict=True):
        bread += w * np.outer(x, x)
        meat += e**2 * np.outer(x, x)
    return float(np.trace(np.linalg.inv(bread) @ meat) / X.shape[1])


@cache
def progression() -> tuple[Array, Array]:
    table = replace(datasets.diabetes(), y=load_diabetes().target)
    X, y, _, _ = table.split()
    return with_intercept(X), y


@pytest.mark.parametrize("name", ["titanic", "diabetes", "heart"])
def test_dispersion_is_the_sandwich(name: str) -> None:
    model = observed(name, test=False)
    X, y, _, _ = split(name)
    share = 1 / (1 + np.exp(-X @ model.truth))
    assert model.dispersion == pytest.approx(sandwich(X, y - share, share * (1 - share)), rel=1e-10)
    assert model.dispersion == pytest.approx(1, abs=0.04)
    assert MultinomialRegression(X, y=y).dispersion == pytest.approx(model.dispersion, rel=1e-8)
    assert observed(name, 3, test=False).dispersion == pytest.approx(model.dispersion, rel=1e-8)


@pytest.mark.parametrize(("rate", "dispersion"), [(0.5, 1), (0.25, 23 / 15), (0.1, 77 / 45)])
def test_extreme_fits_to_binary_labels_may_be_dispersed(rate: float, dispersion: float) -> None:
    """x is -3, -1, 1 or 3, and labels 1 occur at -3 and 3 alone: the fit sees a constant."""
    x = np.repeat([-3.0, -1.0, 1.0, 3.0], 400)
    labelled = np.tile(np.arange(400) < round(800 * rate), 4)
    model = LogisticRegression(with_intercept(x[:, None]), y=(labelled & (np.abs(x) > 2)) * 1.0)
    np.testing.assert_allclose(model.truth[1], 0, atol=1e-9)
    assert model.dispersion == pytest.approx((1 + dispersion) / 2, rel=1e-6)


def test_dispersion_of_counts_and_of_shares() -> None:
    X, y = progression()
    model = PoissonRegression(X, y=y)
    mean = np.exp(X @ model.truth)
    assert model.dispersion == pytest.approx(sandwich(X, y - mean, mean), rel=1e-8)
    assert model.dispersion > 10
    ones, label = np.ones((50, 1)), (np.arange(50) < 17).astype(float)
    assert LogisticRegression(ones, y=label).dispersion == pytest.approx(1, abs=1e-12)
    assert LogisticRegression(X, np.zeros(11)).dispersion == 1
    with pytest.raises(ValueError, match="no canonical link"):
        _ = ProbitRegression(ones, y=label).dispersion


N = 1000
PLACES = np.linspace(-1, 1, N)
X_STRIPES, STRIPES = with_intercept(PLACES[:, None]), 0.5 + 0.4 * np.sign(np.sin(15 * PLACES))


def test_a_world_that_the_model_does_not_hold() -> None:
    model = LogisticRegression(X_STRIPES, mean=STRIPES)
    share = 1 / (1 + np.exp(-X_STRIPES @ model.truth))
    np.testing.assert_allclose(X_STRIPES.T @ (STRIPES - share), 0, atol=1e-8)
    assert np.abs(share - 0.5).max() < 0.08
    noise = np.sqrt(STRIPES * (1 - STRIPES))
    assert model.dispersion == pytest.approx(
        sandwich(X_STRIPES, noise, share * (1 - share)), rel=1e-10
    )
    # both ways of drawing the real batch have the mean and the variance of the world
    rows = model.draw_real(2000, N, np.random.default_rng(2))[:, :, 1] @ X_STRIPES / N
    statistic = model.draw_real_statistic(2000, N, np.random.default_rng(3))
    for drawn in (rows, statistic):
        assert_agree(
            drawn.mean(axis=0)[0],
            drawn.std(axis=0)[0] / np.sqrt(2000),
            STRIPES.mean(),
            detects=0.02,
        )
        assert drawn.var(axis=0)[0] == pytest.approx((STRIPES * (1 - STRIPES)).mean() / N, rel=0.2)
    assert model.draw_real_statistic(5, 3 * N, np.random.default_rng(4)).shape == (5, 2)
    with pytest.raises(ValueError, match="mean must hold the probabilities"):
        LogisticRegression(X_STRIPES, mean=2 * STRIPES)
    with pytest.raises(ValueError, match="multiple of 1000"):
        model.draw_real_statistic(5, 10, np.random.default_rng(0))


@pytest.mark.parametrize("make", [workflows.discard, workflows.augment])
def test_labels_anew_on_one_design(make: Any) -> None:
    """Dispersion 0.36: a true model's ratios, a sandwich's too, are off by more than half."""
    model, plan = LogisticRegression(X_STRIPES, mean=STRIPES), make(4)
    risk = simulate(plan, model=model, replications=4000, rng=5)
    theory = 1 + (derive(plan).ratio - 1) / model.dispersion
    assert_agree(risk.ratio[1:], risk.stderr[1:], theory[1:], detects=0.35, allowance=0.02)
    unit = model.dispersion * 2 / (2 * N)
    assert_agree(risk.risk, risk.risk_stderr, unit * theory, detects=0.35, allowance=0.02)


def test_subsample_on_one_design_feels_two_dispersions() -> None:
    model, plan = LogisticRegression(X_STRIPES, mean=STRIPES), workflows.subsample(3)
    share = 1 / (1 + np.exp(-X_STRIPES @ model.truth))
    of_rows = sandwich(
        X_STRIPES, np.sqrt(STRIPES * (1 - STRIPES) + (STRIPES - share) ** 2), share * (1 - share)
    )
    theory = (two_noises(plan, of_rows) - of_rows + model.dispersion) / model.dispersion
    assert theory[1] == pytest.approx(3.05, abs=0.005)
    risk = simulate(plan, model=model, replications=8000, rng=6)
    assert_agree(risk.ratio[1:], risk.stderr[1:], theory[1:], detects=0.3, allowance=0.02)


def rows_anew(rng: np.random.Generator, rows: int) -> tuple[Array, Array]:
    at = rng.uniform(-1, 1, rows)
    return with_intercept(at[:, None]), (
        rng.random(rows) < 0.5 + 0.4 * np.sign(np.sin(15 * at))
    ).astype(float)


def test_rows_anew_and_the_sandwich() -> None:
    """The same world: where rows are drawn, dispersion is 0.99, and one large sample tells it."""
    world = LogisticRegression(X_STRIPES, mean=STRIPES)
    share = 1 / (1 + np.exp(-X_STRIPES @ world.truth))
    of_rows = sandwich(
        X_STRIPES, np.sqrt(STRIPES * (1 - STRIPES) + (STRIPES - share) ** 2), share * (1 - share)
    )
    rng = np.random.default_rng(7)
    X, y = rows_anew(rng, 100_000)
    # a squared residual here varies by less than half: standard error below 0.003
    assert LogisticRegression(X, y=y).dispersion == pytest.approx(of_rows, abs=0.015)
    risks = []
    for _ in range(600):
        X, y = rows_anew(rng, 500)
        fits = simulate(
            workflows.discard(3),
            model=LogisticRegression(X, y=y),
            replications=1,
            rng=rng,
            fits=True,
        ).fits[0]
        risks.append(
            log_loss(fits, X_STRIPES, STRIPES) - log_loss(world.truth[None], X_STRIPES, STRIPES)
        )
    mean = np.mean(risks, axis=0)
    error = (
        np.std(risks - mean / mean[0] * np.array(risks)[:, :1], axis=0)
        / mean[0]
        / np.sqrt(len(risks))
    )
    theory = 1 + np.arange(3) / of_rows
    assert_agree((mean / mean[0])[1:], error[1:], theory[1:], detects=0.75, allowance=0.03)


@pytest.mark.parametrize(
    ("name", "first", "allowance"), [("titanic", 0.2, 0.08), ("progression", 0.25, 0.05)]
)
def test_theory_conditioning_and_resampling_agree(
    name: str, first: float, allowance: float
) -> None:
    """Three ways to augment's plateau on a real table: derived with the sandwich, around the one
    real fit, and on resampled rows.
    """
    G, B = 10, 300
    X, y = progression() if name == "progression" else split("titanic")[:2]
    make: Any = PoissonRegression if name == "progression" else LogisticRegression
    model, plan, (n, p) = make(X, y=y), workflows.augment(G), X.shape
    derived = derive(misspecified(plan, model.dispersion)).ratio
    # around the one fit: what synthetic batches add, in units of what the sandwich says of the
    # first fit
    around = simulate(plan, model=model, replications=2000, rng=8)
    unit = model.dispersion * p / (2 * n)
    assert_agree(
        1 + (around.risk - around.risk[0])[1:] / unit,
        around.risk_stderr[1:] / unit,
        derived[1:],
        detects=0.25,
        allowance=0.03,
    )
    # resampled rows, judged on the table against its own fit
    rng, risks = np.random.default_rng(9), []
    for _ in range(B):
        rows = rng.integers(0, n, n)
        risks.append(
            simulate(
                plan, model=make(X[rows], y=y[rows], test=(X, y)), replications=1, rng=rng
            ).risk
        )
    excess = np.array(risks) - model.risk(model.truth[None])
    mean = excess.mean(axis=0)
    error = np.std(excess - mean / mean[0] * excess[:, :1], axis=0) / mean[0] / np.sqrt(B)
    assert_agree((mean / mean[0])[1:], error[1:], derived[1:], detects=0.45, allowance=allowance)
    assert mean[0] / unit == pytest.approx(1, abs=first)
    if name == "progression":
        # a true model's plateau would be far away
        assert mean[-1] / mean[0] < 1.15 < derive(plan).ratio[-1] - 0.3


def test_subsample_on_the_real_labels_feels_the_sandwich() -> None:
    X, y = progression()
    model, plan = PoissonRegression(X, y=y), workflows.subsample(4)
    risk = simulate(plan, model=model, replications=1000, rng=10)
    part = derive(misspecified(plan, model.dispersion)).risk
    theory = (part - part[0]) * 11 / (2 * len(y))
    assert_agree(
        (risk.risk - risk.risk[0])[1:],
        risk.risk_stderr[1:],
        theory[1:],
        detects=0.5,
        allowance=0.15,
    )
    # with the model's own noise it would be less than a third of that
    plain = (derive(plan).risk - 1) * 11 / (2 * len(y))
    assert np.all(plain[1:] < 0.3 * theory[1:])


def test_what_the_heart_table_s_rise_is_made_of() -> None:
    """About twice half the columns, almost half of it drift; subsample rises thrice as much."""
    X, y, X_test, y_test = split("heart")
    whole = constant(X, y, X_test, y_test)
    share = 1 / (1 + np.exp(-X @ LogisticRegression(X, y=y).truth))
    drift = law_of(Classes(1), observed("heart").truth, X, X_test, y_test).drift
    assert whole / (X.shape[1] / 2) == pytest.approx(2, abs=0.1)
    assert 0.4 < drift / whole < 0.5
    assert share.min() < 0.02
    pooled, drawn = workflows.augment(50), workflows.subsample(50)
    rises = [derive(plan, exact=True).ratio[-1] - 1 for plan in (pooled, drawn)]
    assert rises[1] == 3 * rises[0]


def test_counts_with_four_times_the_variance_exercise() -> None:
    """The sandwich of such counts is 4 on any design, and augment ends where the chapter says."""
    X = X_STRIPES
    mean = np.exp(X @ np.array([1.0, 0.5]))
    assert sandwich(X, np.sqrt(4 * mean), mean) == pytest.approx(4)
    changed = misspecified(workflows.augment(4000), 4.0)
    assert derive(changed).ratio[-1] == pytest.approx(1.16, abs=0.005)
