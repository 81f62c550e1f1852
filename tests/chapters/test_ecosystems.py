"""The formulas of the chapter on ecosystems, typed once more, against derive (exactly) and simulate
(error rates in tests/statistics.py).
"""

from __future__ import annotations

from fractions import Fraction as F
from itertools import product

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from collapse import Plan, Risk, derive, models, simulate
from collapse.workflows import all_to_all, fixed_real_share, fresh_real, ring, star
from tests.statistics import assert_agree, assert_risks_agree

pytestmark = pytest.mark.statistical

G = 60
HALF, THIRD = F(1, 2), F(1, 3)


def by_generation(risk: Risk, models: int) -> list[list[F]]:
    """Ratios, one list for each generation."""
    return risk.ratio.reshape(-1, models).tolist()


def block(plan: Plan, models: int, generation: int) -> list[list[F]]:
    """Covariance of the models in a generation."""
    at = slice((generation - 1) * models, generation * models)
    return derive(plan, exact=True).covariance[at, at].tolist()


def own(a: F, t: int) -> F:
    """Ratio of one model alone that keeps the share a of its real data."""
    b = 1 - a
    return 1 + sum((b ** (2 * k) for k in range(1, t)), F(0))


def with_size(plan: Plan, models: int, size: F) -> Plan:
    sizes = [F(1)] * models + [size] * (plan.batches - models)
    return Plan(plan.source, sizes, plan.recursion, generation=plan.generation)


@pytest.mark.parametrize("M", [2, 5])
def test_without_own_data_rings_and_published_batches(M: int) -> None:
    assert by_generation(derive(ring(G, M), exact=True), M) == [[g] * M for g in range(1, G + 1)]
    published = by_generation(derive(all_to_all(G, M), exact=True), M)
    assert published == [[1] * M, *([F(g, M)] * M for g in range(2, G + 1))]


@pytest.mark.parametrize("M", [2, 4])
def test_private_batches(M: int) -> None:
    private = by_generation(derive(all_to_all(20, M, published=False), exact=True), M)
    assert private == [[1] * M, *([F(2, M) + F(g - 2, M * M)] * M for g in range(2, 21))]
    same_rows = by_generation(
        derive(with_size(all_to_all(12, M, published=False), M, F(1, M)), exact=True), M
    )
    assert same_rows == [[1] * M, *([1 + F(g - 1, M)] * M for g in range(2, 13))]
    for t in (2, 3, 6):
        C = block(all_to_all(6, M, published=False), M, t)
        shared = F(1, M) + F(t - 2, M * M)
        assert [[shared + F(i == j, M) for j in range(M)] for i in range(M)] == C


@pytest.mark.parametrize(("M", "a"), list(product([2, 3, 5], [HALF, F(1, 5)])))
def test_published_batches_and_own_data(M: int, a: F) -> None:
    plan = all_to_all(G, M, share=a)
    assert by_generation(derive(plan, exact=True), M) == [
        [1] * M,
        *([own(a, t) / M + a * a * (1 - F(1, M))] * M for t in range(2, G + 1)),
    ]
    for t in (2, 4):
        shared = (own(a, t) - a * a) / M
        assert block(all_to_all(4, M, share=a), M, t) == [
            [shared + a * a * (i == j) for j in range(M)] for i in range(M)
        ]


@pytest.mark.parametrize(("M", "a"), [(2, HALF), (3, F(1, 5))])
def test_private_batches_and_own_data(M: int, a: F) -> None:
    b = 1 - a
    for size in (F(1), F(1, M)):
        ratios = by_generation(
            derive(with_size(all_to_all(20, M, share=a, published=False), M, size), exact=True), M
        )
        assert ratios[1:] == [
            [
                F(1, M)
                + (own(a, t) - 1) / (size * M * M)
                + (1 - F(1, M)) * (a * a + b * b / (M * size))
            ]
            * M
            for t in range(2, 21)
        ]


def coefficients(M: int, a: F, t: int) -> list[F]:
    """What stands of the own real data, the neighbour's, ... in a model of a ring."""
    b, c = 1 - a, [F(0)] * M
    for k in range(t - 1):
        c[k % M] += a * b**k
    c[(t - 1) % M] += b ** (t - 1)
    return c


@pytest.mark.parametrize(("M", "a"), list(product([2, 3, 5], [HALF, F(1, 5)])))
def test_a_ring_and_own_data(M: int, a: F) -> None:
    ratios = by_generation(derive(ring(G, M, share=a), exact=True), M)
    assert ratios == [
        [sum(c * c for c in coefficients(M, a, t)) + own(a, t) - 1] * M for t in range(1, G + 1)
    ]
    b = float(1 - a)
    wave = b * np.exp(2j * np.pi * np.arange(M) / M)
    for t in range(1, G + 1):
        passed = float(a) * (1 - wave ** (t - 1)) / (1 - wave) + wave ** (t - 1)
        noise = b**2 * (1 - b ** (2 * (t - 1))) / (1 - b**2)
        np.testing.assert_allclose(
            float(ratios[t - 1][0]), np.mean(abs(passed) ** 2) + noise, rtol=1e-12
        )
    a = float(a)
    limit = a * (1 + b**M) / ((2 - a) * (1 - b**M)) + b**2 / (a * (2 - a))
    np.testing.assert_allclose(float(ratios[-1][0]), limit, rtol=1e-5)
    last = derive(ring(100, M, share=a)).covariance[-M:, -M:]
    lag = abs(np.subtract.outer(range(M), range(M)))
    np.testing.assert_allclose(
        last - (b**2 / (a * (2 - a))) * np.eye(M),
        a * (b**lag + b ** (M - lag)) / ((2 - a) * (1 - b**M)),
        rtol=1e-8,
    )


def test_a_long_ring_is_fresh_real_data() -> None:
    a = F(2, 5)
    alone = derive(fresh_real(20, share=a), exact=True).ratio.tolist()
    assert derive(ring(20, 20, share=a), exact=True).ratio[::20].tolist() == alone
    assert derive(fixed_real_share(20, a), exact=True).ratio.tolist() == [
        own(a, t) for t in range(1, 21)
    ]


def star_ratio(M: int, a: F, t: int, published: bool) -> tuple[F, F]:
    """Ratios of the hub and of a leaf."""
    L, b, T = M - 1, 1 - a, t - 1
    if T == 0:
        return F(1), F(1)
    side = (1 - b ** (2 * ((T + 1) // 2))) / (1 + b) + (b**T if T % 2 == 0 else 0)
    from_hub = F(1) if published else F(1, L)
    to_hub = sum((b ** (2 * k) * (F(1, L) if k % 2 else from_hub) for k in range(1, T + 1)), F(0))
    to_leaf = sum((b ** (2 * k) * (from_hub if k % 2 else F(1, L)) for k in range(1, T + 1)), F(0))
    apart = 0 if published else b * b * (1 - F(1, L))
    hub = side**2 + (1 - side) ** 2 / L + to_hub
    return hub, side**2 / L + (1 - side) ** 2 + a * a * (1 - F(1, L)) + to_leaf + apart


@pytest.mark.parametrize(
    ("M", "a", "published"), list(product([2, 3, 6], [F(0), F(1, 4)], [True, False]))
)
def test_a_star(M: int, a: F, published: bool) -> None:
    fits = by_generation(derive(star(G, M, share=a, published=published), exact=True), M)
    for t, row in enumerate(fits, 1):
        hub, leaf = star_ratio(M, a, t, published)
        assert row == [hub, *[leaf] * (M - 1)]


@pytest.mark.parametrize("M", [3, 6])
def test_a_star_without_own_data(M: int) -> None:
    L = M - 1
    published = by_generation(derive(star(21, M), exact=True), M)
    private = by_generation(derive(star(21, M, published=False), exact=True), M)
    for s in range(1, 10):
        assert published[2 * s - 1][0] == published[2 * s][1] - 1 == F(1, L) + F(s, L) + s - 1
        assert published[2 * s][0] == 1 + s + F(s, L)
        assert published[2 * s - 1][1] == 1 + s + F(s - 1, L)
        assert private[2 * s - 1][0] == private[2 * s][1] - 1 == F(2 * s, L)
        assert private[2 * s][0] == private[2 * s - 1][1] - 1 + F(2, L) == 1 + F(2 * s, L)


@pytest.mark.parametrize(("M", "a"), [(3, 0.3), (8, 0.6)])
def test_the_limits_of_a_star(M: int, a: float) -> None:
    L, b = M - 1, 1 - a
    for published, v in ((True, 1.0), (False, 1 / (M - 1))):
        hub = (1 + b**2 / L) / (1 + b) ** 2 + (b**2 / L + v * b**4) / (1 - b**4)
        leaf = (
            (b**2 + 1 / L) / (1 + b) ** 2 + a**2 * (1 - 1 / L) + (v * b**2 + b**4 / L) / (1 - b**4)
        )
        leaf += 0 if published else b**2 * (1 - 1 / L)
        np.testing.assert_allclose(
            derive(star(120, M, share=a, published=published)).ratio[[-M, -1]],
            [hub, leaf],
            rtol=1e-12,
        )


def network(G: int, W: np.ndarray) -> Plan:
    """Each of M models publishes n rows; W[i, j] is the weight that model i puts on the latest
    output of model j.
    """
    M = len(W)
    weight = np.zeros((G * M, G * M), object)
    weight[:M, :M] = np.eye(M, dtype=int)
    for g in range(1, G):
        weight[g * M : (g + 1) * M, g * M : (g + 1) * M] = W
    source = [0] * M + list(range(1, (G - 1) * M + 1))
    return Plan(source, [1] * (G * M), weight, generation=np.repeat(range(1, G + 1), M))


def random_weights(M: int, seed: int, *, doubly: bool) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if doubly:
        return sum(
            (F(1, 3) * np.eye(M, dtype=int)[rng.permutation(M)] for _ in range(3)),
            np.zeros((M, M), object),
        )
    raw = rng.integers(0, 4, (M, M)) + np.eye(M, dtype=int)
    return np.array([[F(int(x), int(row.sum())) for x in row] for row in raw], object)


@pytest.mark.parametrize(("M", "seed"), [(3, 1), (4, 2)])
def test_no_network_beats_t_over_M(M: int, seed: int) -> None:
    for doubly in (True, False):
        C = derive(network(8, random_weights(M, seed, doubly=doubly)), exact=True).covariance
        for t in range(1, 9):
            at = slice((t - 1) * M, t * M)
            assert min(np.diag(C)[at]) >= F(t, M)
            mean = C[at, at].sum() / M**2
            assert mean == F(t, M) if doubly else mean > F(t, M) or t == 1


@pytest.mark.parametrize("a", [F(0), F(1, 3)])
def test_the_mean_of_all_models(a: F) -> None:
    M = 4
    for plan in (ring(7, M, share=a), all_to_all(7, M, share=a)):
        C = derive(plan, exact=True).covariance
        for t in range(1, 8):
            assert C[(t - 1) * M : t * M, (t - 1) * M : t * M].sum() / M**2 == own(a, t) / M
    same_rows = with_size(all_to_all(4, 3, share=a, published=False), 3, F(1, 3))
    assert sum(map(sum, block(same_rows, 3, 4))) / 9 == own(a, 4) / 3


def published_limit(a: float, M: float) -> float:
    return a * a * (1 - 1 / M) + 1 / (M * a * (2 - a))


def test_the_best_share_where_all_publish() -> None:
    for M in (2, 10, 1000):
        best = minimize_scalar(
            lambda a, M=M: published_limit(a, M),
            bounds=(1e-4, 1),
            method="bounded",
            options={"xatol": 1e-12},
        )
        np.testing.assert_allclose(best.x**3 * (2 - best.x) ** 2 * (M - 1), 1 - best.x, rtol=1e-4)
    M = 1e9
    best = minimize_scalar(
        lambda a: published_limit(a, M),
        bounds=(1e-5, 1e-2),
        method="bounded",
        options={"xatol": 1e-12},
    )
    np.testing.assert_allclose(
        [best.x, best.fun], [(4 * M) ** (-1 / 3), 3 * (4 * M) ** (-2 / 3)], rtol=2e-3
    )
    np.testing.assert_allclose(
        derive(all_to_all(400, 4, share=0.2)).ratio[-1], published_limit(0.2, 4), rtol=1e-12
    )


def ring_limit(a: float, M: float) -> float:
    b = 1 - a
    return a * (1 + b**M) / ((2 - a) * (1 - b**M)) + b**2 / (a * (2 - a))


def test_the_best_share_of_a_ring() -> None:
    best = [
        minimize_scalar(lambda a, M=M: ring_limit(a, M), bounds=(0.05, 1), method="bounded")
        for M in (2, 3, 5, 200)
    ]
    assert np.all(np.diff([found.fun for found in best]) < 0)
    np.testing.assert_allclose([best[-1].x, best[-1].fun], (5**0.5 - 1) / 2, atol=1e-5)
    for M in (2, 3, 10):
        # just below a share of one, a neighbour's rows are worth having
        assert ring_limit(0.999, M) < 1


PLANS = {
    "ring": ring(8, 4),
    "ring, share": ring(8, 4, share=0.3),
    "star": star(8, 4),
    "star, private, share": star(8, 4, share=0.3, published=False),
    "all to all": all_to_all(8, 4),
    "all to all, share": all_to_all(8, 4, share=0.3),
    "all to all, private": all_to_all(8, 4, published=False),
}


@pytest.mark.parametrize("name", PLANS)
def test_the_process_and_real_chains_follow(name: str) -> None:
    plan = PLANS[name]
    assert_risks_agree(simulate(plan, replications=30_000, rng=1), derive(plan), detects=0.15)
    real = simulate(plan, model=models.Poisson(4), n=50, replications=30_000, rng=2)
    assert_agree(real.ratio, real.stderr, derive(plan).ratio, detects=0.15)
    binomial = models.Binomial(5, 0.3)
    real = simulate(plan, model=binomial, n=20, replications=30_000, rng=3)
    assert_agree(real.ratio, real.stderr, derive(plan, model=binomial, n=20).ratio, detects=0.15)


def test_simulated_models_agree_as_much_as_derived() -> None:
    M, t = 4, 8
    for name in ("all to all", "all to all, private", "ring, share"):
        at = slice((t - 1) * M, t * M)
        C = simulate(
            PLANS[name], model=models.Poisson(4), n=50, replications=30_000, rng=4, covariance=True
        ).covariance[at, at]
        expected = derive(PLANS[name], model=models.Poisson(4), n=50).covariance[at, at]
        # a product of correlated Gaussian errors has variance C_ii C_jj + C_ij^2
        error = np.sqrt((np.outer(np.diag(expected), np.diag(expected)) + expected**2) / 30_000)
        assert_agree(C, error, expected, detects=1.2)


@pytest.mark.parametrize(
    ("make", "a"), [(ring, F(1, 3)), (ring, F(0)), (all_to_all, F(1, 3)), (star, F(1, 4))]
)
@pytest.mark.parametrize("rho", [F(1, 4), F(1)])
def test_overlapping_real_data(make, a: F, rho: F) -> None:
    M, G = 3, 5
    plan = make(G, M, share=a)
    table = plan.exact_weight()
    # one batch that all hold, and one for each model; a real data set is their mixture
    common = rho * table[:, :M].sum(axis=1, keepdims=True)
    parts = [common] if rho == 1 else [common, (1 - rho) * table[:, :M]]
    sizes = [rho] if rho == 1 else [rho] + [1 - rho] * M
    sources = [0] * len(sizes) + plan.source[M:].tolist()
    weight = np.concatenate([*parts, table[:, M:]], axis=1)
    overlapping = Plan(
        sources, sizes + [F(1)] * (plan.batches - M), weight, generation=plan.generation
    )
    c = derive(plan, exact=True).contributions[:, :M]
    real = c @ c.T
    expected = derive(plan, exact=True).covariance + rho * (1 - real)
    got = derive(overlapping, exact=True)
    assert got.covariance.tolist() == expected.tolist()
    assert min(got.risk) >= rho
    if rho == 1 and make is ring:
        assert got.ratio.reshape(-1, M)[:, 0].tolist() == [own(a, t) for t in range(1, G + 1)]
    if rho == 1 and make is all_to_all:
        assert got.ratio.reshape(-1, M)[1:, 0].tolist() == [
            1 + (own(a, t) - 1) / M for t in range(2, G + 1)
        ]


def test_what_disagreement_measures() -> None:
    M, a = 4, F(1, 5)
    expected = {
        ring(6, M): [F(t) for t in range(1, 7)],
        all_to_all(6, M): [F(1)] + [F(0)] * 5,
        all_to_all(6, M, share=a): [F(1)] + [a * a] * 5,
        all_to_all(4, M, published=False): [F(1)] + [F(1, M)] * 3,
    }
    for plan, spread in expected.items():
        C = derive(plan, exact=True).covariance
        for t, value in enumerate(spread):
            at = C[t * M : (t + 1) * M, t * M : (t + 1) * M]
            risk, mean = F(np.trace(at), M), at.sum() / M**2
            pair = (at.sum() - np.trace(at)) / (M * (M - 1))
            assert risk - pair == value
            assert risk == mean + (1 - F(1, M)) * value


def test_the_price_of_privacy() -> None:
    M, a, G = 3, F(1, 4), 12
    b = 1 - a
    published = by_generation(derive(all_to_all(G, M, share=a), exact=True), M)
    private = all_to_all(G, M, share=a, published=False)
    fair = by_generation(derive(with_size(private, M, F(1, M)), exact=True), M)
    rich = by_generation(derive(private, exact=True), M)
    for t in range(2, G + 1):
        assert fair[t - 1][0] - published[t - 1][0] == b * b * (1 - F(1, M))
        assert published[t - 1][0] - rich[t - 1][0] == F(1, M) * (1 - F(1, M)) * (
            own(a, t) - 1 - b * b
        )


def test_private_limits_with_many_models() -> None:
    def limit(a: float, M: float, m: float) -> float:
        b = 1 - a
        return 1 / M + b * b / (m * M * M * a * (2 - a)) + (1 - 1 / M) * (a * a + b * b / (m * M))

    assert [limit(M ** (-2 / 3), M, 1) * M for M in (1e9, 1e12)] == pytest.approx([2, 2], rel=1e-2)
    for M in (2, 10, 1e6):
        assert min(limit(a, M, 1 / M) for a in np.linspace(1e-3, 1, 999)) >= 0.5 * (1 - 1 / M)
    np.testing.assert_allclose(
        derive(all_to_all(150, 3, share=0.2, published=False)).ratio[-1],
        limit(0.2, 3, 1),
        rtol=1e-12,
    )


def test_the_exercises() -> None:
    M = 5
    L = M - 1
    plan = star(21, M)
    sizes = [F(1)] * plan.batches
    for b in range(M, plan.batches):
        if (plan.source[b] - 1) % M == 0:
            sizes[b] = F(L)
    rich = by_generation(
        derive(Plan(plan.source, sizes, plan.recursion, generation=plan.generation), exact=True), M
    )
    private = by_generation(derive(star(21, M, published=False), exact=True), M)
    assert [row[0] for row in rich] == [row[0] for row in private]
    assert rich[1][1] == 1 + F(1, L)
    assert private[1][1] == 2
    assert rich[20][0] - rich[18][0] == F(2, L)
    a, b = 0.3, 0.7
    np.testing.assert_allclose(ring_limit(a, 2), (1 + b * b) / (2 - a) ** 2 + b * b / (a * (2 - a)))
    W = np.kron(np.eye(2), np.full((6, 6), 1 / 6))
    for i, j in ((0, 6), (6, 0)):
        W[i] *= 0.5
        W[i, j] += 0.5
    ratio = derive(network(40, W)).ratio.reshape(-1, 12)
    stationary = np.linalg.matrix_power(W, 5000)[0]
    np.testing.assert_allclose(ratio[-1] - ratio[-2], (stationary**2).sum(), rtol=1e-3)
    assert 1 / 12 < (stationary**2).sum() < 0.1
    assert np.all(ratio[19] < 20 / 6)


def test_everything_published_and_kept_is_augment() -> None:
    M, G = 3, 8
    weight = [[F(i == b) for b in range(G * M)] for i in range(M)]
    weight += [
        [F(1, g * M) if b < g * M else F(0) for b in range(G * M)]
        for g in range(2, G + 1)
        for _ in range(M)
    ]
    plan = Plan([0] * M + list(range(1, (G - 1) * M + 1)), [1] * (G * M), weight)
    h = [sum((F(1, k * k) for k in range(1, g + 1)), F(0)) for g in range(1, G + 1)]
    assert by_generation(derive(plan, exact=True), M)[1:] == [[x / M] * M for x in h[1:]]
