"""Separation, ridge and Firth: what the chapter proves and reports, computed again by other means.

Data, published runs and seeds are fixed: what holds once holds always. Error rates are those of a
fresh seed.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linprog
from scipy.special import gammaln
from scipy.stats import chi2

from collapse import datasets, derive, simulate, workflows
from collapse.datasets import with_intercept
from collapse.models import (
    FirthLogisticRegression,
    LinearResponse,
    LogisticRegression,
    RidgeLogisticRegression,
)
from collapse.models.regression.glm import probability
from tests.chapters.observed import Array, observed, split
from tests.statistics import assert_agree

pytestmark = pytest.mark.statistical


def programme(X: Array, y: Array) -> bool:
    """Whether some direction classifies every row, not all of them with margin zero."""
    signed = (2 * y - 1)[:, None] * X / np.abs(X).max(axis=0)
    best = linprog(
        -signed.sum(axis=0), A_ub=-signed, b_ub=np.zeros(len(y)), bounds=[(-1, 1)] * X.shape[1]
    )
    assert best.status == 0
    return bool(-best.fun > 1e-7)


@pytest.mark.parametrize(
    ("name", "separated"),
    [("titanic", False), ("diabetes", False), ("heart", False), ("breast_cancer", True)],
)
def test_certificate_and_programme_agree_on_the_tables(name: str, separated: bool) -> None:
    X, y, _, _ = split(name)
    assert programme(X, y) == np.isnan(observed(name).truth).any() == separated


@pytest.mark.parametrize("seed", range(6))
def test_certificate_and_programme_agree_on_quasi_complete_labels(seed: int) -> None:
    """Rows on the plane carry either label; without one of the other rows' labels there would be an
    estimate.
    """
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((40, 3))
    X[:8, 2] = 0.0
    y = np.where(np.arange(40) < 8, np.arange(40) % 2, X[:, 2] > 0).astype(float)
    # rows on the plane that are not separated among themselves
    X[:8, :2] = np.repeat(X[:4, :2], 2, axis=0)
    assert programme(X, y)
    assert np.isnan(LogisticRegression(X, y=y).truth).all()
    y[8] = 1 - y[8]
    assert programme(X, y) == np.isnan(LogisticRegression(X, y=y).truth).all()
    y[8:20] = 1 - y[8:20]
    assert not programme(X, y)
    assert np.isfinite(LogisticRegression(X, y=y).truth).all()


@pytest.mark.parametrize(("name", "generation", "least"), [("diabetes", 22, 5), ("heart", 6, 15)])
def test_certificate_and_programme_agree_on_the_brink(
    name: str, generation: int, least: int
) -> None:
    model = observed(name)
    fits = simulate(
        workflows.discard(generation), model=model, replications=200, rng=1, fits=True
    ).fits[:, -1]
    fits = fits[np.isfinite(fits).all(axis=1)]
    labels = (
        np.random.default_rng(2).random((len(fits), len(model.X))) < probability(fits, model.X)
    ).astype(float)
    lost = np.isnan(model.fit_statistic(labels @ model.X / len(model.X), None)).any(axis=1)
    assert lost.tolist() == [programme(model.X, y) for y in labels]
    assert least <= lost.sum() <= len(lost) - least


def test_breast_cancer_is_separable() -> None:
    X, y, _, _ = split("breast_cancer")
    risk = simulate(
        workflows.augment(3),
        model=observed("breast_cancer"),
        replications=10,
        rng=0,
        quantiles=(0.05,),
    )
    assert np.all(risk.failed == 1)
    assert np.all(np.isnan(risk.risk))
    assert np.all(np.isinf(risk.quantiles))
    # the perceptron stops only at a separating plane
    columns = (X[:, 1:] - X[:, 1:].mean(axis=0)) / X[:, 1:].std(axis=0)
    signed = (2 * y - 1)[:, None] * with_intercept(columns)
    plane = np.zeros(signed.shape[1])
    for _ in range(20_000):
        wrong = signed[signed @ plane <= 0]
        if not len(wrong):
            break
        plane += wrong.mean(axis=0)
    assert (signed @ plane).min() > 0


@pytest.mark.parametrize(("name", "wrong"), [("breast_cancer", 7), ("wisconsin", 5)])
def test_published_losses_on_separated_labels_are_a_count_times_a_cut_off(
    name: str, wrong: int
) -> None:
    run = datasets.published(name, "discard")
    rows = len(split("breast_cancer")[3])
    assert round((1 - run["test_accuracy"][-1]) * rows, 6) == wrong
    assert run["test_loss"][-1] == pytest.approx(
        wrong * -np.log(np.finfo(float).eps) / rows, rel=1e-5
    )


def hitting_time(X: Array, y: Array, rng: np.random.Generator, longest: int) -> int:
    """Generation of the first fit under discard that separates its labels: Newton's method, until
    it has converged or all margins are positive.
    """
    theta = np.zeros(X.shape[1])
    for generation in range(1, longest + 1):
        signed = (2 * y - 1)[:, None] * X
        loss = np.logaddexp(0, -signed @ theta).sum()
        for _ in range(200):
            wrong = 0.5 * (1 - np.tanh(signed @ theta / 2))
            if (signed @ theta).min() > 0:
                return generation
            gradient = wrong @ signed
            step = np.linalg.solve(
                (signed * (wrong * (1 - wrong))[:, None]).T @ signed + 1e-12 * np.eye(len(theta)),
                gradient,
            )
            if gradient @ step < 1e-14:
                break
            length = 1.0
            while (
                moved := np.logaddexp(0, -signed @ (theta + length * step)).sum()
            ) > loss and length > 1e-6:
                length /= 2
            theta, loss = theta + length * step, moved
        y = (rng.random(len(y)) < 0.5 * (1 + np.tanh(X @ theta / 2))).astype(float)
    return longest + 1


def test_diabetes_under_discard_separates_half_way() -> None:
    X, y, _, _ = split("diabetes")
    rng = np.random.default_rng(5)
    times = np.array([hitting_time(X, y, rng, 30) for _ in range(60)])
    risk = simulate(workflows.discard(30), model=observed("diabetes"), replications=1000, rng=7)
    median = 1 + int(np.flatnonzero(risk.failed >= 0.5)[0])
    assert 22 <= median <= 26
    # distance of two distribution functions, by the inequality of Dvoretzky, Kiefer, Wolfowitz and
    # Massart: false alarm 1e-6
    own = np.array([(times <= g).mean() for g in risk.generations])
    assert np.abs(own - risk.failed).max() < sum(
        np.sqrt(np.log(4e6) / 2 / count) for count in (60, 1000)
    )
    assert 19 <= np.median(times) <= 29


@pytest.mark.parametrize("name", ["titanic", "diabetes", "heart"])
def test_augment_never_separates(name: str) -> None:
    risk = simulate(workflows.augment(15), model=observed(name), replications=100, rng=11)
    assert np.all(risk.failed == 0)


@pytest.mark.parametrize("name", ["heart", "breast_cancer"])
def test_penalties_give_an_estimate_for_all_labels(name: str) -> None:
    X = split(name)[0]
    X = with_intercept((X[:, 1:] - X[:, 1:].mean(axis=0)) / X[:, 1:].std(axis=0))
    separable = (X[:, 1] > 0).astype(float)
    assert np.isnan(LogisticRegression(X, y=separable).truth).all()
    for model in (
        RidgeLogisticRegression(X, y=separable, penalty=1),
        FirthLogisticRegression(X, y=separable),
    ):
        assert np.isfinite(model.truth).all()
        assert ((probability(model.truth[None], X)[0] > 0.5) == (separable == 1)).mean() > 0.95
        assert simulate(workflows.discard(3), model=model, replications=5, rng=1).failed[-1] == 0


def accumulated(plan: Any) -> list[Fraction]:
    """s = (I - A)^-1 f by forward substitution, in rational arithmetic."""
    weight, size, kept = plan.exact_weight(), plan.exact_size(), plan.exact_kept()
    s: list[Fraction] = []
    for g in range(plan.generations):
        rows = sum(kept[g, b] * size[b] for b in range(plan.batches) if weight[g, b] > 0)
        s.append(
            1 / Fraction(rows)
            + sum(
                weight[g, b] * s[plan.source[b] - 1]
                for b in range(plan.batches)
                if weight[g, b] > 0 < plan.source[b]
            )
        )
    return s


def test_accumulated_shares() -> None:
    G = 12
    assert accumulated(workflows.discard(G)) == list(range(1, G + 1))
    assert accumulated(workflows.augment(G)) == [1] * G
    assert accumulated(workflows.subsample(G)) == [
        sum(Fraction(1, k) for k in range(1, g + 1)) for g in range(1, G + 1)
    ]
    assert float(
        accumulated(workflows.fixed_real_share(200, Fraction(1, 10)))[-1]
    ) == pytest.approx(5, rel=1e-6)
    window = accumulated(workflows.window(300, 4))
    assert float(window[-1] - window[-2]) == pytest.approx(2 / (4 * 5), rel=1e-6)


@cache
def world() -> tuple[Array, Array]:
    X, y, _, _ = split("titanic")
    X = with_intercept((X[:, 1:] - X[:, 1:].mean(axis=0)) / X[:, 1:].std(axis=0))
    return X, LogisticRegression(X, y=y).truth


PENALTY = 2.0


def push(method: str, theta: Array) -> Array:
    X, _ = world()
    if method == "ml":
        return np.zeros_like(theta)
    if method == "ridge":
        return -PENALTY * theta * np.r_[0.0, np.ones(X.shape[1] - 1)]
    out = []
    for one in theta:
        share = 1 / (1 + np.exp(-X @ one))
        root = np.sqrt(share * (1 - share))[:, None] * X
        out.append((np.diag(root @ np.linalg.inv(root.T @ root) @ root.T) * (0.5 - share)) @ X)
    return np.array(out)


def chains(method: str, plan: Any, replications: int) -> tuple[Array, Array]:
    """Errors of the fits, and mean x q less what the exact statement says, both (R, G, p)."""
    X, beta = world()
    n = len(X)
    make: dict[str, Any] = {
        "ml": LogisticRegression(X, beta),
        "ridge": RidgeLogisticRegression(X, beta, penalty=PENALTY),
        "firth": FirthLogisticRegression(X, beta),
    }
    fits = simulate(plan, model=make[method], replications=replications, rng=3, fits=True).fits
    G = plan.generations
    spread = np.linalg.inv(np.eye(G) - plan.feedback())
    rows = n * ((plan.weight > 0) * plan.size).sum(axis=1)
    pushes = np.stack([push(method, fits[:, k]) for k in range(G)], axis=1) / rows[:, None]
    mean = np.stack(
        [(probability(fits[:, k], X) - probability(beta[None], X)) @ X / n for k in range(G)],
        axis=1,
    )
    return fits - beta, mean - np.einsum("gk,rkp->rgp", spread, pushes)


@pytest.mark.parametrize(
    "make", [workflows.discard, workflows.augment], ids=lambda make: make.__name__
)
@pytest.mark.parametrize("method", ["ridge", "firth"])
def test_the_mean_drifts_by_the_pushes_exactly(method: str, make: Any) -> None:
    G, R = 4, 400
    _, rest = chains(method, make(G), R)
    # Hotelling's statistic at each generation; false alarm 1e-6 over all of them
    for g in range(G):
        z = (
            np.linalg.solve(np.cov(rest[:, g].T), rest[:, g].mean(axis=0))
            @ rest[:, g].mean(axis=0)
            * R
        )
        assert z < chi2.isf(1e-6 / G, rest.shape[2]) * 1.1


@pytest.mark.parametrize(
    "make", [workflows.discard, workflows.augment], ids=lambda make: make.__name__
)
@pytest.mark.parametrize("method", ["ml", "ridge", "firth"])
def test_biases_add_up_as_derived(method: str, make: Any) -> None:
    """To first order; the next one may be a tenth of the largest entry."""
    G, R = 6, 400
    plan = make(G)
    X, beta = world()
    n = len(X)
    error, rest = chains(method, plan, R)
    share = 1 / (1 + np.exp(-X @ beta))
    weight = share * (1 - share)
    inverse = np.linalg.inv((X * weight[:, None]).T @ X / n)
    leverage = np.einsum("ij,jk,ik->i", X, inverse, X)
    b = -0.5 * inverse @ ((weight * (1 - 2 * share) * leverage) @ X / n)
    s = np.array(accumulated(plan), dtype=float)
    own = inverse @ push(method, beta[None])[0]
    if method == "firth":
        np.testing.assert_allclose(own, -b, rtol=1e-8)
    theory = derive(plan).ratio[:, None] * b + s[:, None] * own
    each = n * (error - rest @ inverse)
    found, stderr = each.mean(axis=0), each.std(axis=0) / np.sqrt(R)
    size = np.abs(theory).max() + np.abs(b).max()
    assert np.all(np.abs(found - theory) < 4.9 * stderr + 0.12 * size)
    # what the test can see: the wrong accumulation is outside
    wrong = derive(plan).ratio[:, None] * b + (7 - s)[:, None] * own
    if method == "ridge":
        assert np.abs(found - wrong).max() > np.max(4.9 * stderr) + 0.12 * size


def test_a_strong_ridge_on_a_mean_is_a_linear_response() -> None:
    """Weighted means of rows whose mean is that of their source over 1 + c; under discard in closed
    form, under both simulated.
    """
    c, n, G = 0.1, 100, 8
    model = LinearResponse(1.0, 1.0, (0.0, 1 / (1 + c)), (1.0, 0.0, 0.0))
    f = (1 + c) ** -np.arange(G)
    np.testing.assert_allclose(
        derive(workflows.discard(G), model=model, n=n).risk,
        (1 - f) ** 2 + np.cumsum(f**2) / n,
        rtol=1e-12,
    )
    rng, R = np.random.default_rng(31), 20_000
    for make, pooled in ((workflows.discard, False), (workflows.augment, True)):
        batches = [1 + rng.standard_normal(R) / np.sqrt(n)]
        squares = []
        for _ in range(G):
            mean = np.mean(batches, axis=0) if pooled else batches[-1]
            squares.append((mean - 1) ** 2)
            batches.append(mean / (1 + c) + rng.standard_normal(R) / np.sqrt(n))
        risk = np.array(squares)
        assert_agree(
            risk.mean(axis=1),
            risk.std(axis=1) / np.sqrt(R),
            derive(make(G), model=model, n=n).risk,
            detects=0.12,
        )


def test_a_strong_ridge_under_augment_saturates_at_minus_the_mean() -> None:
    """E m_g is a product that tends to 0: the bias tends to minus the real mean."""
    n, G = 100, 40
    for rho in (0.5, 1 / 1.1):
        model = LinearResponse(2.0, 1.0, (0.0, rho), (1.0, 0.0, 0.0))
        g = np.arange(1, G + 1)
        left = np.cumprod(np.r_[1.0, 1 - (1 - rho) / g[1:]])
        closed = np.exp(gammaln(g + rho) - gammaln(1 + rho) - gammaln(g + 1))
        np.testing.assert_allclose(left, closed, rtol=1e-12)
        noise = [1 / n]
        for k in g[1:]:
            noise.append((1 - (1 - rho) / k) ** 2 * noise[-1] + 1 / (n * k**2))
        found = derive(workflows.augment(G), model=model, n=n).risk
        np.testing.assert_allclose(found, 4 * (1 - left) ** 2 + noise, rtol=1e-12)
        far = 10.0**6
        power = far ** -(1 - rho) / np.exp(gammaln(1 + rho))
        remains = np.exp(gammaln(far + rho) - gammaln(1 + rho) - gammaln(far + 1))
        assert remains == pytest.approx(power, rel=1e-5)
        # the harmonic sum would exceed the whole of the mean, which the bias cannot
        assert (1 - rho) * np.sum(1 / np.arange(2.0, 10.0**6)) > 1 > 1 - power > 0.6


def test_which_labels_have_an_estimate() -> None:
    """All labels of six rows: Firth's estimate exists always, ridge's unless all are equal."""
    X = np.column_stack([np.ones(6), [-1.5, -0.5, -0.2, 0.3, 0.9, 1.4]])
    labels = np.array(list(product((0.0, 1.0), repeat=6)))
    beta, weight = [0.1, 0.4], np.ones(labels.shape)
    rows = np.stack([np.broadcast_to(np.arange(6.0), labels.shape), labels], axis=2)
    exists = {
        "firth": FirthLogisticRegression(X, beta).fit(rows, weight, None),
        "ridge": RidgeLogisticRegression(X, beta, penalty=1).fit(rows, weight, None),
        "ml": LogisticRegression(X, beta).fit(rows, weight, None),
    }
    found = {name: np.isfinite(theta).all(axis=1) for name, theta in exists.items()}
    equal = np.ptp(labels, axis=1) == 0
    assert found["firth"].all()
    np.testing.assert_array_equal(found["ridge"], ~equal)
    assert found["ml"].sum() < found["ridge"].sum()


def test_a_small_share_of_real_rows_is_enough_for_an_estimate() -> None:
    plan = workflows.fixed_real_share(30, 0.1)
    risk = simulate(plan, model=observed("heart"), replications=60, rng=12)
    assert np.all(risk.failed == 0)


@pytest.mark.parametrize("count", [3, 20])
def test_a_column_of_one_label_exercise(count: int) -> None:
    """Two groups of rows: Firth's fit has half a row of either label more in each."""
    n = 4000
    column = (np.arange(n) < count).astype(float)
    label = (np.arange(n) < n / 2).astype(float)
    X = with_intercept(column[:, None])
    assert np.isnan(LogisticRegression(X, y=label).truth).all()
    constant, slope = FirthLogisticRegression(X, y=label).truth
    assert constant + slope == pytest.approx(np.log(2 * count + 1), rel=1e-6)
    others = np.log((n / 2 - count + 0.5) / (n / 2 + 0.5))
    assert constant == pytest.approx(others, abs=1e-6)
    assert slope == pytest.approx(np.log(2 * count), rel=0.1)
