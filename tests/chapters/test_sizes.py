"""The formulas of the chapter on batch sizes, typed once more, against derive (exactly) and
simulate (error rates in tests/statistics.py).
"""

from __future__ import annotations

from fractions import Fraction as F
from itertools import pairwise, permutations, product
from math import pi, prod

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq, minimize
from scipy.special import polygamma

from collapse import derive, models, simulate
from collapse.derivation.finite import augment_supremum
from collapse.workflows import augment, discard
from tests.statistics import assert_agree, assert_risks_agree

G = 60
GROWTH = {
    "constant": [F(1)] * (G - 1),
    "linear": [F(b) for b in range(2, G + 1)],
    "shrinking": [F(1, b) for b in range(2, G + 1)],
    "doubling": [F(2**b) for b in range(G - 1)],
    "up and down": [F(b % 7 + 1, b % 3 + 1) for b in range(2, G + 1)],
}
schedules = pytest.mark.parametrize("name", GROWTH)


def pool(sizes: list[F]) -> list[F]:
    return [1 + sum(sizes[:k], F(0)) for k in range(len(sizes) + 1)]


@schedules
def test_discard_adds_the_inverse_of_every_size(name: str) -> None:
    sizes = GROWTH[name]
    assert derive(discard(G, size=sizes), exact=True).ratio.tolist() == [
        1 + sum((1 / s for s in sizes[:g]), F(0)) for g in range(G)
    ]


@schedules
def test_augment_is_the_area_of_rectangles_under_one_over_x_squared(name: str) -> None:
    sizes, S = GROWTH[name], pool(GROWTH[name])
    ratio = derive(augment(G, size=sizes), exact=True).ratio.tolist()
    assert ratio == [
        1 + sum((s / x**2 for s, x in zip(sizes[:g], S[1:], strict=False)), F(0)) for g in range(G)
    ]
    steps = [S[g - 1] / S[g] * (1 / S[g - 1] - 1 / S[g]) for g in range(1, G)]
    assert ratio[-1] == 1 + sum(steps)
    other = derive(discard(G, size=sizes), exact=True).ratio
    for g in range(1, G):
        slowest, fastest = (
            min(S[k] / S[k - 1] for k in range(1, g + 1)),
            max(S[k] / S[k - 1] for k in range(1, g + 1)),
        )
        assert ratio[g] < 2 - 1 / S[g]
        assert 1 + (1 - 1 / S[g]) / fastest <= ratio[g] <= 1 + (1 - 1 / S[g]) / slowest
        assert ratio[g] < other[g]


@pytest.mark.parametrize("kappa", [F(1, 10), F(1, 2), F(1), F(2), F(25)])
def test_constant_batches_have_the_trigamma_curve(kappa: F) -> None:
    g = np.arange(1, G + 1)
    exact = derive(augment(G, size=kappa), exact=True).ratio
    assert exact.tolist() == [
        1 + sum((1 / kappa / (j + 1 / kappa) ** 2 for j in range(1, k)), F(0))
        for k in range(1, G + 1)
    ]
    y = 1 / float(kappa)
    np.testing.assert_allclose(
        exact.astype(float), 1 + y * (polygamma(1, 1 + y) - polygamma(1, g + y)), rtol=1e-13
    )
    integral = quad(lambda v: v * np.exp(-v) * float(kappa) / np.expm1(float(kappa) * v), 0, 25)[0]
    np.testing.assert_allclose(
        integral, y * polygamma(1, 1 + y), rtol=1e-7
    )  # from 25 on: less than 4e-10 of it


def limit(kappa: float) -> float:
    return float(1 + polygamma(1, 1 + 1 / kappa) / kappa)


def test_limits_of_constant_batches() -> None:
    np.testing.assert_allclose(
        [limit(1), limit(2), limit(0.5)], [pi**2 / 6, pi**2 / 4 - 1, pi**2 / 3 - 1.5], rtol=1e-12
    )
    kappa = np.logspace(-4, 4, 200)
    assert np.all(np.diff([limit(k) for k in kappa]) < 0)
    np.testing.assert_allclose(limit(1e-3), 2 - 0.5e-3 + 1e-6 / 6, rtol=1e-9)
    np.testing.assert_allclose(limit(1e4), 1 + pi**2 / 6e4, rtol=1e-6)
    for bound in (1.05, 1.25, 1.5, 1.9):
        kappa_of = brentq(lambda k, bound=bound: limit(k) - bound, 1e-3, 1e4)
        far = derive(augment(20_000, size=kappa_of)).ratio[-1]
        assert bound - 1.1 / (kappa_of * 20_000) < far < bound


@pytest.mark.parametrize("x", [F(11, 10), F(2), F(5)])
def test_a_pool_that_grows_by_a_factor(x: F) -> None:
    sizes = [x ** (g - 1) - x ** (g - 2) for g in range(2, G + 1)]
    assert derive(augment(G, size=sizes), exact=True).ratio.tolist() == [
        1 + (1 - x ** (1 - g)) / x for g in range(1, G + 1)
    ]
    sizes = [x ** (g - 1) for g in range(2, G + 1)]
    assert derive(discard(G, size=sizes), exact=True).ratio.tolist() == [
        1 + (1 - x ** (1 - g)) / (x - 1) for g in range(1, G + 1)
    ]


@pytest.mark.parametrize("total", [F(1, 2), F(1), F(10)])
def test_the_same_rows_in_more_batches_cost_more(total: F) -> None:
    often = range(1, 30)
    kept = [derive(augment(k + 1, size=total / k), exact=True).ratio[-1] for k in often]
    assert kept[0] == 1 + total / (1 + total) ** 2
    assert all(a < b for a, b in pairwise(kept))
    assert kept[-1] < 2 - 1 / (1 + total)
    many = derive(augment(20_001, size=float(total) / 20_000)).ratio[-1]
    np.testing.assert_allclose(many, 2 - 1 / (1 + float(total)), rtol=1e-3)
    assert [derive(discard(k + 1, size=total / k), exact=True).ratio[-1] for k in often] == [
        1 + k * k / total for k in often
    ]


def test_large_batches_first() -> None:
    sizes = [F(1, 3), F(1), F(2), F(5), F(8)]
    last = {
        order: derive(augment(6, size=order), exact=True).ratio[-1] for order in permutations(sizes)
    }
    assert min(last, key=last.__getitem__) == tuple(sizes[::-1])
    assert max(last, key=last.__getitem__) == tuple(sizes)
    assert (
        len({derive(discard(6, size=order), exact=True).ratio[-1] for order in permutations(sizes)})
        == 1
    )


def worst(k: int) -> tuple[list[F], F]:
    """The costliest schedule of k batches under augment, and what it adds to the ratio."""
    M = [F(0)]
    for _ in range(k):
        M.append(((1 + M[-1]) / 2) ** 2)
    S = [F(1)]
    for left in range(k, 0, -1):
        S.append(S[-1] / ((1 + M[left - 1]) / 2))
    return [b - a for a, b in pairwise(S)], M[k]


@pytest.mark.parametrize("k", [1, 2, 3, 6])
def test_the_costliest_schedule(k: int) -> None:
    sizes, added = worst(k)
    assert derive(augment(k + 1, size=sizes), exact=True).ratio[-1] == 1 + added
    assert sizes[-1] == sum(sizes[:-1], F(1))

    def saved(logs: np.ndarray) -> float:
        return -float(derive(augment(k + 1, size=np.exp(logs).tolist())).ratio[-1])

    found = min(
        minimize(saved, start, method="BFGS").fun for start in (np.zeros(k), np.linspace(-1, 2, k))
    )
    np.testing.assert_allclose(-found, 1 + float(added), rtol=1e-6)
    assert 1 + added < 2


def test_the_costliest_schedule_in_the_long_run() -> None:
    y = 1.0
    for _ in range(10_000):
        y -= y * y / 4
    np.testing.assert_allclose(y, 4 / 10_000, rtol=1e-2)


@pytest.mark.parametrize(("last", "k"), list(product([0.2, 0.5, 0.9], [2, 4])))
def test_the_costliest_schedule_with_a_given_total(last: float, k: int) -> None:
    q = [last]
    for _ in range(k - 1):
        q.insert(0, (1 + q[0] ** 2) / 2)
    S = np.cumprod(1 / np.array(q))

    def added(pools: np.ndarray) -> float:
        S = np.concatenate([[1], pools])
        return float(np.sum(np.diff(S) / S[1:] ** 2))

    rng = np.random.default_rng(0)
    others = np.sort(1 + (S[-1] - 1) * rng.random((3000, k - 1)), axis=1)
    assert max(added(np.append(row, S[-1])) for row in others) <= added(S) + 1e-12
    nudge = 1e-3 * (S[-1] - 1) * rng.standard_normal((200, k - 1))
    assert all(added(np.append(S[:-1] + row, S[-1])) <= added(S) + 1e-12 for row in nudge)


@pytest.mark.parametrize(("n", "p"), [(5, F(1, 5)), (40, F(2, 3))])
def test_one_row_at_a_time_is_the_urn(n: int, p: F) -> None:
    ratio = derive(
        augment(G, size=F(1, n)), model=models.Bernoulli(p), n=n, exact=True
    ).ratio.tolist()
    assert ratio == [n * (1 - F(n - 1, n + 1) * F(n + k + 1, n + k)) for k in range(G)]
    assert ratio[-1] < F(2 * n, n + 1)
    assert prod((1 - F(1, (n + j) ** 2) for j in range(1, 40)), start=F(1)) == F(n, n + 1) * F(
        n + 40, n + 39
    )


def test_powers_of_the_generation_under_discard() -> None:
    g = 20_000
    b = np.arange(2, g + 1)
    for p, expected in ((2.0, pi**2 / 6), (1.5, 2.612375)):
        np.testing.assert_allclose(
            derive(discard(g, size=(b**p).tolist())).ratio[-1], expected, rtol=6e-3
        )
    np.testing.assert_allclose(
        derive(discard(g, size=b.tolist())).ratio[-1], np.log(g) + np.euler_gamma, rtol=1e-4
    )
    np.testing.assert_allclose(
        derive(discard(g, size=(b**0.5).tolist())).ratio[-1], 2 * g**0.5, rtol=1e-2
    )
    np.testing.assert_allclose(
        derive(discard(200, size=[F(1, k) for k in range(2, 201)])).ratio[-1], 200 * 201 / 2
    )


def test_shrinking_batches_stay_under_their_total() -> None:
    ratio = derive(augment(5000, size=(1.0 / np.arange(2, 5001) ** 2).tolist())).ratio
    assert ratio[-1] < 2 - 6 / pi**2
    for p in (0.0, 0.5, 1.0):
        sizes = (np.arange(2, 20_001) ** p).tolist()
        ratio = derive(augment(20_000, size=sizes)).ratio
        S = 1 + np.cumsum(sizes)
        left = ratio[-1] - ratio[2000 - 1]
        np.testing.assert_allclose(left, 1 / S[2000 - 2] - 1 / S[-1], rtol=2e-3)


@pytest.mark.parametrize("workflow", [discard, augment])
@pytest.mark.parametrize(
    "sizes", [[3] * 9, [2**b for b in range(9)], [1 + b % 3 for b in range(9)]]
)
def test_the_process_and_poisson_chains_follow(workflow, sizes: list[int]) -> None:
    plan = workflow(10, size=sizes)
    risk = simulate(plan, replications=30_000, rng=1)
    assert_risks_agree(risk, derive(plan), detects=0.12)
    real = simulate(plan, model=models.Poisson(4), n=20, replications=30_000, rng=2)
    assert_agree(real.ratio, real.stderr, derive(plan).ratio, detects=0.12)


def test_an_urn_of_bernoulli_rows_simulated() -> None:
    n = 10
    real = simulate(
        augment(100, size=F(1, n)), model=models.Bernoulli(0.3), n=n, replications=40_000, rng=3
    )
    expected = [n * (1 - (n - 1) / (n + 1) * (n + k + 1) / (n + k)) for k in range(100)]
    assert_agree(real.ratio, real.stderr, expected, detects=0.12)


def test_the_exercises() -> None:
    ratio = {
        size: derive(augment(10, size=[size] + [1.0] * 8)).ratio[-1]
        for size in np.logspace(-2, 3, 101).tolist()
    }
    assert 0.25 < max(ratio, key=ratio.__getitem__) < 0.5
    assert min(ratio, key=ratio.__getitem__) == 1000
    assert ratio[0.01] < max(ratio.values()) - 0.05
    doubled = [2**k for k in range(30)]
    assert derive(augment(31, size=doubled)).ratio[-1] == pytest.approx(1.5)
    assert derive(discard(31, size=doubled)).ratio[-1] == pytest.approx(3)


ROWS = {
    -1: models.Bernoulli(0.3),
    0: models.Poisson(4),
    1: models.Exponential(1),
    2: models.Gamma(0.5, 1),
}


@pytest.mark.parametrize("v2", ROWS)
def test_any_schedule_at_n(v2):
    """The product over batches; below 2 where v2 <= 0; below the limit of one row at a time
    elsewhere.
    """
    rng = np.random.default_rng(7)
    for n in (2, 10):
        most = augment_supremum(n, v2, size=1 / n)
        for _ in range(6):
            sizes = rng.integers(1, 4 * n, 40) / n
            pool = 1 + np.concatenate([[0], np.cumsum(sizes)])
            steps = np.concatenate([[1.0], sizes / pool[1:] ** 2])
            expected = (
                np.cumsum(steps) if v2 == 0 else (np.cumprod(1 + v2 / n * steps) - 1) * n / v2
            )
            ratio = derive(augment(41, size=sizes), model=ROWS[v2], n=n).ratio
            np.testing.assert_allclose(ratio, expected, rtol=1e-9)
            assert ratio.max() < most
        if v2 <= 0:
            assert most < 2
        else:
            assert most < n / v2 * ((1 + v2 / n) * np.exp(v2 / n) - 1)
        far = derive(augment(4001, size=F(1, n)), model=ROWS[v2], n=n).ratio[-1]
        assert 0 < most - far < 3 * most**2 / 4000 * n
    assert augment_supremum(1000, v2, size=1 / 1000) == pytest.approx(
        2 + (3 * v2 - 1) / 2000, abs=1e-5
    )


def test_cutting_a_batch_in_two_costs_more_at_n_too():
    for v2, model in ROWS.items():
        whole = derive(augment(4, size=[2, 4, 1]), model=model, n=5).ratio[-1]
        cut = derive(augment(5, size=[2, F(3, 5), F(17, 5), 1]), model=model, n=5).ratio[-1]
        assert cut > whole, v2


@pytest.mark.parametrize("k", [1, 10, 1000])
def test_a_thousand_batches_of_ten_rows_depend_on_the_family(k: int) -> None:
    """1,000 real rows and 10,000 others: the limit's worth is that of Poisson rows alone."""
    n, plans = 1000, {make: make(k + 1, size=F(10, k)) for make in (discard, augment)}
    for plan in plans.values():
        poisson = derive(plan, model=ROWS[0], n=n).ratio[-1]
        assert poisson == pytest.approx(derive(plan).ratio[-1], rel=1e-9)
    at = {v2: n / derive(plans[discard], model=ROWS[v2], n=n).ratio[-1] for v2 in (-1, 0, 1)}
    assert at[1] < at[0] < at[-1]
    if k == 1000:
        assert at[0] == pytest.approx(0.01, rel=1e-4)
        assert at[-1] == pytest.approx(1)  # absorbed: one row is left
        assert at[1] < 1e-30


def test_exponential_rows_one_at_a_time():
    chain = {n: derive(augment(4001, size=F(1, n)), model=ROWS[1], n=n).ratio[-1] for n in (2, 10)}
    assert {n: round(ratio, 3) for n, ratio in chain.items()} == {2: 2.410, 10: 2.094}


def test_discard_with_a_schedule_at_n():
    n, b = 4, np.arange(2, 400)
    for v2 in (1, 2):
        bounded = derive(discard(399, size=b.astype(float) ** 2), model=ROWS[v2], n=n).ratio
        product = np.cumprod(np.concatenate([[1 + v2 / n], 1 + v2 / (n * b**2.0)]))
        np.testing.assert_allclose(bounded, (product - 1) * n / v2, rtol=1e-9)
        assert bounded[-1] - bounded[199] < 0.05 * bounded[-1]
        growing = derive(discard(399, size=b), model=ROWS[v2], n=n).ratio
        assert growing[-1] > 1.15 * growing[199]


@schedules
def test_what_is_still_to_come(name: str) -> None:
    """After generation g less than the difference of the pools' inverses is added."""
    S = pool(GROWTH[name])
    ratio = derive(augment(G, size=GROWTH[name]), exact=True).ratio.tolist()
    assert all(ratio[-1] - ratio[g] < 1 / S[g] - 1 / S[-1] for g in range(G - 1))
