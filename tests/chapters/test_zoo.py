"""The formulas of the chapter on the zoo, typed once more, against derive (exactly) and simulate
(error rates in tests/statistics.py).
"""

from __future__ import annotations

from fractions import Fraction as F
from math import prod

import numpy as np
import pytest

from collapse import Plan, derive, diagnose, models, simulate, workflows
from collapse.exact import Numbers
from collapse.reservoir import Reservoir
from tests.statistics import assert_agree

G = 24


def renewal(k: int, N: int, length: int) -> list[F]:
    u = [F(1)]
    while len(u) < length:
        u.append(sum(u[-k:], F(0)) / N)
    return u


def windowed(k: int, N: int) -> np.ndarray:
    """Contributions (G, G) where each fit reads N batches, the last k of them synthetic."""
    u, c = renewal(k, N, G + 1), np.full((G, G), F(0))
    c[:, 0] = F(1)
    for g in range(2, G + 1):
        for b in range(2, g + 1):
            early = sum(((N - m) * u[g - m] for m in range(b, N) if m <= g), F(0))
            c[g - 1, b - 1] = u[g - b + 1] + early / (b * N)
    return c


@pytest.mark.parametrize(
    ("k", "more"), [(1, 0), (2, 0), (3, 0), (8, 0), (1, 1), (2, 1), (5, 1), (30, 1)]
)
def test_contributions_are_renewal_probabilities(k: int, more: int) -> None:
    plan = workflows.real_and_window(G, k) if more else workflows.window(G, k)
    c = windowed(k, k + more)
    assert derive(plan, exact=True).contributions.tolist() == c.tolist()
    assert derive(plan, exact=True).ratio.tolist() == (c**2).sum(axis=1).tolist()


@pytest.mark.parametrize("k", range(2, 9))
def test_windows_collapse_along_a_straight_line(k: int) -> None:
    beta = (
        sum((1 / b + (b - 1) / (k * (k + 1))) ** 2 for b in range(1, k))
        - 5 * (k - 1) / (k + 1) ** 2
    )
    for far, slack in ((100, 1e-3), (400, 1e-10)):
        assert (
            abs(derive(workflows.window(far, k)).ratio[-1] - 4 * far / (k + 1) ** 2 - beta) < slack
        )


def test_two_batches() -> None:
    u = [F(2, 3) + F(1, 3) * F(-1, 2) ** j for j in range(G)]
    assert derive(workflows.window(G, 2), exact=True).ratio.tolist() == [
        1 + sum(x * x for x in u[1:g]) for g in range(1, G + 1)
    ]


def test_any_weights_by_age() -> None:
    """Slope 1/mu^2 with mu the mean step; none such where the weights are periodic."""
    far = 1500
    for p in ([0.2, 0.8], [0.5, 0.0, 0.5], [0.1, 0.3, 0.6]):
        weight = np.zeros((far, far))
        for g in range(far):
            for i, share in enumerate(p):
                weight[g, max(g - i, 0)] += share
        ratio = derive(Plan(range(far), [1] * far, weight)).ratio
        slope = (ratio[-1] - ratio[-601]) / 600
        mu = sum((i + 1) * share for i, share in enumerate(p))
        assert abs(slope - 1 / mu**2) < 1e-4
    periodic = Plan(range(far), [1] * far, np.eye(far)[[0, *range(far - 1)]])
    assert derive(periodic).ratio[-1] == far // 2


def test_many_batches_beside_the_real_data_where_weights_are_fixed() -> None:
    """One is better than many only where all rows weigh the same."""
    alike = [derive(workflows.real_and_window(1000, k)).ratio[-1] for k in (1, 10)]
    half = F(1, 2)
    one = derive(workflows.fixed_real_share(1000, half)).ratio[-1]
    many = derive(workflows.real_and_average(1000, half)).ratio[-1]
    assert alike[0] < alike[1]
    assert one == pytest.approx(alike[0])
    assert many < 1.01 < one


def test_forgetting() -> None:
    r = F(3, 5)
    assert derive(workflows.forgetting(G, r), exact=True).ratio.tolist() == [
        sum(((1 - r) / (1 - r**j)) ** 2 for j in range(1, g + 1)) for g in range(1, G + 1)
    ]


def test_a_fixed_real_share() -> None:
    b = F(5, 7)
    assert derive(workflows.fixed_real_share(G, 1 - b), exact=True).ratio.tolist() == [
        sum(b ** (2 * i) for i in range(g)) for g in range(1, G + 1)
    ]
    threshold = 1 - np.sqrt(1 - 6 / np.pi**2)
    for a, below in ((threshold + 1e-3, True), (threshold - 1e-3, False)):
        assert (derive(workflows.fixed_real_share(200, a)).ratio[-1] < np.pi**2 / 6) == below


@pytest.mark.parametrize("k", [1, 2, 3, 4, 9])
def test_real_data_and_a_window(k: int) -> None:
    ratio = derive(workflows.real_and_window(1000, k)).ratio
    assert abs(ratio[-1] - 2 * (k + 1) / (k + 2)) < 1e-9
    assert (ratio[-1] > np.pi**2 / 6) == (k >= 4)
    np.testing.assert_allclose(ratio[: k + 1], derive(workflows.augment(k + 1)).ratio)


def test_one_batch_beside_the_real_data() -> None:
    assert derive(workflows.real_and_window(G, 1), exact=True).ratio.tolist() == [
        F(4, 3) - F(1, 3) / 4 ** (g - 1) for g in range(1, G + 1)
    ]


@pytest.mark.parametrize("a", [F(1, 5), F(1, 2), F(3, 4)])
def test_real_data_and_the_average(a: F) -> None:
    def W(m: int) -> F:
        return sum(
            (
                F(1, k * k) * prod((1 - a / j) ** 2 for j in range(k + 1, m + 1))
                for k in range(1, m + 1)
            ),
            F(0),
        )

    derived = derive(workflows.real_and_average(G, a), exact=True).ratio
    assert derived.tolist() == [1 + (1 - a) ** 2 * W(g - 1) for g in range(1, G + 1)]
    far = 10_000
    excess = derive(workflows.real_and_average(far, a)).ratio - 1
    rate = float(min(1, 2 * a))
    measured = -np.log(excess[-1] / excess[far // 10 - 1]) / np.log(10)
    # at a = 1/2 the logarithm shows: log 10,000 / log 1,000 = 4/3
    assert abs(measured - rate + (np.log10(4 / 3) if a == F(1, 2) else 0)) < 0.06
    assert excess.max() <= (1 - a) ** 2 * np.pi**2 / 6


def test_draws_with_replacement() -> None:
    h = np.cumsum([F(1, j * j) for j in range(1, G + 1)])
    assert (
        derive(workflows.subsample(G, replace=True), exact=True).risk.tolist() == (2 * h).tolist()
    )
    assert derive(workflows.bootstrap(G, F(1, 4)), exact=True).risk.tolist() == [
        5 * g for g in range(1, G + 1)
    ]
    assert derive(workflows.mixture(G), exact=True).ratio.tolist() == [1, *(1 + h[:-1]).tolist()]


def test_the_reservoir() -> None:
    ratio = derive(workflows.reservoir(G), exact=True).ratio
    assert ratio.tolist() == [
        sum(2 * F(1, j) - F(1, j * j) for j in range(1, g + 1)) for g in range(1, G + 1)
    ]
    far = 100_000
    assert (
        abs(
            derive(workflows.reservoir(far)).ratio[-1]
            - 2 * np.log(far)
            - 2 * np.euler_gamma
            + np.pi**2 / 6
        )
        < 3 / far
    )


@pytest.mark.parametrize("turnover", [None, F(1, 3), F(1)])
def test_the_reservoir_by_the_rows_that_two_memories_share(turnover: F | None) -> None:
    """Two memories share the rows of the later: a martingale comes out, exactly."""
    length = 8
    plan = workflows.reservoir(length, turnover)
    replaced = plan.turnover.fractions("turnover").tolist()
    # shares of the batches in each memory
    p = np.full((length, length), F(0))
    for g in range(length):
        p[g, :g] = (1 - replaced[g]) * p[g - 1, :g]
        p[g, g] = replaced[g]
    # a set's mean has, with the mean of a part of it, the covariance 1 / (share of the set)
    noise = np.full((length, length), F(0))
    for g in range(length):
        for h in range(length):
            noise[g, h] = sum(p[max(g, h), : min(g, h) + 1], F(0))
    spread = np.full((length, length), F(0))  # (I - A)^-1, row by row
    for g in range(length):
        spread[g, g] = F(1)
        for source in range(g):
            spread[g] += p[g, source + 1] * spread[source]
    covariance = spread @ noise @ spread.T
    steps = np.cumsum([t * (2 - t) for t in replaced])
    assert covariance.tolist() == [[steps[min(g, h)] for h in range(length)] for g in range(length)]
    assert covariance.tolist() == derive(plan, exact=True).covariance.tolist()


def test_the_reservoir_holds_for_estimators_that_are_no_means() -> None:
    """The median of Laplace rows: linear to first order only. The allowance is for n = 201."""
    plan = workflows.reservoir(6)
    risk = simulate(plan, model=models.Median("laplace"), n=201, replications=4000, rng=8)
    law = derive(plan).ratio[1:]
    assert_agree(risk.ratio[1:], risk.stderr[1:], law, detects=0.35, allowance=0.05)


@pytest.mark.parametrize("published", [True, False])
@pytest.mark.parametrize(("L", "a"), [(1, F(1, 3)), (2, F(0)), (2, F(1, 4)), (4, F(2, 3))])
def test_the_star(L: int, a: F, published: bool) -> None:
    b, v = 1 - a, F(1) if published else F(1, L)

    def weight(g: int) -> F:
        return (1 - b ** (2 * (g // 2))) / (1 + b) + (b ** (g - 1) if g % 2 else 0)

    def hub(g: int) -> F:
        noise = sum((b ** (2 * m) * (F(1, L) if m % 2 else v) for m in range(1, g)), F(0))
        return weight(g) ** 2 + (1 - weight(g)) ** 2 / L + noise

    derived = derive(workflows.star(12, L + 1, a, published), exact=True).ratio.reshape(12, L + 1)
    assert derived[:, 0].tolist() == [hub(g) for g in range(1, 13)]
    leaf = [
        a**2 + b**2 * (hub(g - 1) + 1) + 2 * a * b * (1 - weight(g - 1)) / L for g in range(2, 13)
    ]
    assert derived[1:, -1].tolist() == leaf


NAMED = {
    "window": workflows.window(6, 2),
    "real and window": workflows.real_and_window(6, 2),
    "real and average": workflows.real_and_average(6, F(1, 5)),
    "forgetting": workflows.forgetting(6, F(1, 2)),
    "mixture": workflows.mixture(6),
    "star": workflows.star(6, 3, F(1, 4)),
}


@pytest.mark.parametrize("name", NAMED)
def test_a_poisson_chain_has_the_ratios_at_every_n(name: str) -> None:
    plan = NAMED[name]
    derived = derive(plan)
    np.testing.assert_allclose(
        derive(plan, model=models.Poisson(5), n=60).ratio, derived.ratio, rtol=1e-12
    )
    risk = simulate(plan, model=models.Poisson(5), n=60, replications=20_000, rng=1)
    assert_agree(risk.ratio, risk.stderr, derived.ratio, detects=0.25)


def test_the_exercises() -> None:
    assert diagnose(workflows.window(1000, k=3)).doubles == 6
    assert round(diagnose(workflows.window(1000, k=3)).ratio, 2) == 250.72
    assert abs(derive(workflows.real_and_window(500, 5)).ratio[-1] - 12 / 7) < 1e-9
    far = 20_000
    memory = Reservoir(Numbers.read(1 / np.arange(1.0, far + 1) ** 2, "turnover", 1))
    limit = 2 * np.pi**2 / 6 - np.pi**4 / 90
    assert abs(derive(memory).ratio[-1] - limit) < 3 / far
    assert f"{limit:.4f}" == "2.2075"
    for g in (2, 10, 200):
        assert prod(1 - F(1, j * j) for j in range(2, g + 1)) == F(g + 1, 2 * g) > F(1, 2)
    assert 1 + (F(1, 2) + F(1, 12)) ** 2 - F(10, 16) == F(103, 144)
    assert round(103 / 144, 3) == 0.715
