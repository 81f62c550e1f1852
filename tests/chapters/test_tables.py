"""The formulas of the chapter on plans, typed once more, against derive (exactly) and simulate
(error rates in tests/statistics.py).
"""

from __future__ import annotations

from fractions import Fraction as F
from itertools import product
from math import comb

import numpy as np
import pytest

from collapse import Plan, derive, models, simulate, workflows
from collapse.derivation.finite import augment_supremum, least_share
from tests.statistics import assert_agree

G = 20


def anchored(G: int, w: F, size: F, real: F, latest: F) -> Plan:
    """Weight 1 - w on the same real data, w on the latest synthetic batch, read in the shares
    `real` and `latest`.
    """
    weight, kept = [[F(1)] + [F(0)] * (G - 1)], [[F(1)] * G]
    for g in range(1, G):
        weight.append([1 - w if b == 0 else w if b == g else F(0) for b in range(G)])
        kept.append([real if b == 0 else latest for b in range(G)])
    return Plan(range(G), [F(1)] + [size] * (G - 1), weight, kept)


def half_fresh(G: int) -> Plan:
    source = [0]
    weight = [[F(1)] + [F(0)] * (2 * G - 2)]
    for g in range(1, G):
        source += [0, g]
        weight.append([F(1, 2) if b in (2 * g - 1, 2 * g) else F(0) for b in range(2 * G - 1)])
    return Plan(source, [1] * (2 * G - 1), weight)


HALF = anchored(G, F(1, 2), F(1), F(1), F(1))
DOUBLED = anchored(G, F(2, 3), F(2), F(1, 2), F(1, 2))
CLOSED = {
    "half real": (HALF, [F(4, 3) - F(1, 3) / 4 ** (g - 1) for g in range(1, G + 1)]),
    "doubled and thinned": (DOUBLED, [2 - F(4, 9) ** (g - 1) for g in range(1, G + 1)]),
    "half fresh": (half_fresh(G), [F(2, 3) + F(1, 3) / 4 ** (g - 1) for g in range(1, G + 1)]),
}


@pytest.mark.parametrize("name", CLOSED)
def test_typed_plans_have_the_ratios_of_their_closed_forms(name: str) -> None:
    plan, ratio = CLOSED[name]
    assert derive(plan, exact=True).ratio.tolist() == ratio
    np.testing.assert_allclose(derive(plan).ratio, np.array(ratio, float), rtol=1e-13)


@pytest.mark.parametrize("name", CLOSED)
def test_the_gaussian_process_has_them_too(name: str) -> None:
    plan, ratio = CLOSED[name]
    risk = simulate(plan, replications=40_000, rng=1)
    assert_agree(risk.ratio, risk.stderr, np.array(ratio, float), detects=0.12)


@pytest.mark.parametrize(
    ("name", "n", "replications"),
    [("half real", 1000, 20_000), ("doubled and thinned", 50, 5000), ("half fresh", 1000, 20_000)],
)
def test_a_poisson_chain_has_them_at_every_n(name: str, n: int, replications: int) -> None:
    plan, ratio = CLOSED[name]
    model = models.Poisson(5)
    np.testing.assert_allclose(
        derive(plan, model=model, n=n).ratio, np.array(ratio, float), rtol=1e-12
    )
    risk = simulate(plan, model=model, n=n, replications=replications, rng=2)
    assert_agree(risk.ratio, risk.stderr, np.array(ratio, float), detects=0.25)


@pytest.mark.parametrize(
    ("w", "m", "real", "latest"),
    list(product([F(1, 4), F(5, 7)], [F(1, 3), F(4)], [F(1), F(2, 5)], [F(1), F(1, 10)])),
)
def test_the_anchored_ratio(w: F, m: F, real: F, latest: F) -> None:
    step = w**2 / m + (1 - w) ** 2 * (1 / real - 1) + w**2 / m * (1 / latest - 1)
    expected = [1 + step * (1 - w ** (2 * (g - 1))) / (1 - w**2) for g in range(1, 9)]
    assert derive(anchored(8, w, m, real, latest), exact=True).ratio.tolist() == expected


def test_the_three_fits_done_by_hand() -> None:
    plan = anchored(3, F(2, 3), F(2), F(1, 2), F(1, 2))
    assert plan.feedback(exact=True).tolist() == [[0, 0, 0], [F(2, 3), 0, 0], [0, F(2, 3), 0]]
    assert plan.noise(exact=True).tolist() == [
        [1, F(1, 3), F(1, 3)],
        [F(1, 3), F(2, 3), F(1, 9)],
        [F(1, 3), F(1, 9), F(2, 3)],
    ]
    assert np.diag(derive(plan, exact=True).covariance).tolist() == [1, F(14, 9), F(146, 81)]


def union(V: F, v2: F, n: int, G: int) -> list[F]:
    """Variances of the fits where subsample draws n rows from the union of all batches: the
    chapter's recursion.
    """
    fits, pool = [F(0)], F(0)
    for g in range(1, G + 1):
        pool = ((g * g - 1) * pool + fits[-1] + (V + v2 * fits[-1]) / n) / (g * g)
        fits.append(pool + F(g - 1, g * n - 1) * (V - pool + (1 + v2) * sum(fits) / g))
    return fits[1:]


def enumerated(p: F, n: int, G: int) -> list[F]:
    """The same for Bernoulli rows, over all outcomes: a Markov chain in the number of ones in the
    pool and in the fit's sample.
    """
    variances, law = [], {(0, None): F(1)}
    for g in range(1, G + 1):
        following: dict[tuple[int, int | None], F] = {}
        for (ones, sample), probability in law.items():
            q = p if sample is None else F(sample, n)
            for new in range(n + 1):
                total = ones + new
                for drawn in range(max(0, n - (g * n - total)), min(n, total) + 1):
                    chance = (
                        comb(n, new)
                        * q**new
                        * (1 - q) ** (n - new)
                        * F(comb(total, drawn) * comb(g * n - total, n - drawn), comb(g * n, n))
                    )
                    following[total, drawn] = (
                        following.get((total, drawn), F(0)) + probability * chance
                    )
        law = following
        variances.append(
            sum(
                probability * (F(sample or 0, n) - p) ** 2
                for (_, sample), probability in law.items()
            )
        )
    return variances


@pytest.mark.parametrize(("p", "n"), [(F(1, 5), 2), (F(2, 3), 3)])
def test_the_union_recursion_against_all_outcomes(p: F, n: int) -> None:
    assert union(p * (1 - p), F(-1), n, 4) == enumerated(p, n, 4)


def test_the_union_recursion_of_exponential_rows_against_a_plain_simulation() -> None:
    n, fits, R = 5, 4, 40_000
    rng = np.random.default_rng(3)
    pool, theta, squares = np.empty((R, 0)), np.ones((R, 1)), []
    for _ in range(fits):
        pool = np.concatenate([pool, theta * rng.standard_exponential((R, n))], axis=1)
        theta = rng.permuted(pool, axis=1)[:, :n].mean(axis=1, keepdims=True)
        squares.append((theta[:, 0] - 1) ** 2)
    mean, error = np.mean(squares, axis=1), np.std(squares, axis=1) / np.sqrt(R)
    assert_agree(mean, error, np.array(union(F(1), F(1), n, fits), float), detects=0.25)


def test_both_meanings_of_subsample_have_one_limit() -> None:
    p, n = F(1, 5), 20_000
    fits = union(p * (1 - p), F(-1), n, G)
    limit = derive(workflows.subsample(G)).ratio
    np.testing.assert_allclose([float(v / fits[0]) for v in fits], limit, rtol=1e-3)
    np.testing.assert_allclose(
        derive(workflows.subsample(G), model=models.Bernoulli(p), n=n).ratio, limit, rtol=1e-3
    )


def test_the_exercises() -> None:
    two = np.zeros((40, 40))
    two[0, 0] = 1
    for g in range(1, 40):
        two[g, [g - 1, g]] = 0.5
    np.testing.assert_allclose(
        np.diff(derive(Plan(range(40), [1] * 40, two)).ratio)[-3:], 4 / 9, rtol=1e-6
    )
    swap = Plan(
        [0, 0] + [g - 1 if g % 2 else g - 3 for g in range(3, 9)], [1] * 8, np.eye(8, dtype=int)
    )
    assert derive(swap, exact=True).ratio.tolist() == [1, 1, 2, 2, 3, 3, 4, 4]
    w = np.linspace(0.3, 0.5, 20_001)
    golden = (1 - 2 * w + 2 * w**2) / (1 - w**2)
    assert abs(w[golden.argmin()] - (3 - 5**0.5) / 2) < 1e-4
    assert abs(golden.min() - (5**0.5 - 1) / 2) < 1e-8


MEANS = {
    F(-1): models.Bernoulli(F(3, 10)),
    F(0): models.Poisson(2),
    F(1): models.Exponential(1),
    F(2): models.Gamma(F(1, 2), 1),
}


@pytest.mark.parametrize("v2", MEANS)
@pytest.mark.parametrize(
    ("n", "size", "latest"), [(4, F(1), F(1)), (6, F(3), F(1)), (6, F(1), F(1, 2))]
)
def test_a_fixed_share_at_n(v2: F, n: int, size: F, latest: F) -> None:
    """E_g = rho E_(g-1) + w^2 (n + v2) / k with rho = w^2 (1 + v2 / k): exactly, in fractions."""
    w, k = F(4, 5), n * size * latest
    plan = anchored(9, w, size, F(1), latest)
    extra, expected = F(0), []
    for _ in range(9):
        expected.append(1 + extra)
        extra = w**2 * (1 + v2 / k) * extra + w**2 * (n + v2) / k
    assert derive(plan, model=MEANS[v2], n=n, exact=True).ratio.tolist() == expected


@pytest.mark.parametrize("v2", MEANS)
def test_whole_batches_at_n_beside_the_limit(v2: F) -> None:
    """At most the limit's ratios where v2 <= 0, at least where v2 >= 0; at most n / |v2| where v2 <
    0; and the bound from the limit's.
    """
    n = 12
    for make, bound in (
        (lambda G: workflows.augment(G), np.pi**2 / 6),
        (lambda G: workflows.window(G, 3), None),
        (lambda G: workflows.real_and_average(G, F(1, 5)), 1 + 0.64 * np.pi**2 / 6),
        (lambda G: workflows.forgetting(G, F(1, 2)), None),
    ):
        plan = make(80)
        at, limit = derive(plan, model=MEANS[v2], n=n).ratio, derive(plan).ratio
        if v2 <= 0:
            assert np.all(at <= limit * (1 + 1e-12))
        if v2 >= 0:
            assert np.all(at >= limit * (1 - 1e-12))
        if v2 < 0:
            assert np.all(at <= n / abs(float(v2)))
        if v2 > 0 and bound:
            assert at.max() <= bound / (1 - (bound - 1) * float(v2) / n)


def test_augment_at_n_is_a_sine() -> None:
    n, far = 10, 20_000
    for v2 in (-1, 1, 2):
        x = np.pi * np.sqrt(abs(v2) / n)
        closed = n / v2 * (np.sinh(x) / x - 1) if v2 > 0 else n / -v2 * (1 - np.sin(x) / x)
        assert augment_supremum(n, v2) == pytest.approx(closed, rel=1e-12)
        ratio = derive(workflows.augment(far), model=MEANS[F(v2)], n=n).ratio[-1]
        assert 0 < closed - ratio < 2 * closed / far


def test_a_light_anchor_tears_in_the_chain_itself() -> None:
    """Exponential rows, n = 4, a tenth of the share that keeps them bounded: simulated chains grow
    as derived.
    """
    n, fits = 4, 8
    share = least_share(n, 1, below=float("inf")) / 10
    plan = workflows.fixed_real_share(fits, share)
    ratio = derive(plan, model=MEANS[F(1)], n=n).ratio
    assert np.all(np.diff(np.diff(ratio)) > 0)  # faster than linearly, unlike in the limit
    risk = simulate(plan, model=MEANS[F(1)], n=n, replications=400_000, rng=5)
    assert_agree(risk.ratio[:4], risk.stderr[:4], ratio[:4], detects=0.2)
