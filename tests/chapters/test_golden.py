"""Formulas of the chapter "The golden ratio and the optimum", typed here once more, against derive,
optimal_weights and simulate.
"""

from __future__ import annotations

from fractions import Fraction as F
from math import cos, pi, sin, sqrt

import numpy as np
import pytest

from collapse import Plan, compare, derive, models, optimal_weights, simulate, workflows
from collapse.workflows import augment, fresh_real, golden_share, real_and_window, window
from tests.statistics import assert_agree, assert_risks_agree

G = 20
PHI = (1 + sqrt(5)) / 2


@pytest.mark.parametrize("w", [F(1, 5), F(1, 2), F(5, 8), F(1)])
@pytest.mark.parametrize("kappa", [F(1, 3), F(1), F(5, 2)])
def test_law_of_a_constant_weight(w, kappa):
    rho = (w**2 + (1 - w) ** 2 / kappa) / (w * (2 - w))
    expected = [rho + (1 - rho) * (1 - w) ** (2 * (g - 1)) for g in range(1, G + 1)]
    assert derive(fresh_real(G, w, kappa), exact=True).ratio.tolist() == expected


@pytest.mark.parametrize("kappa", [0.2, 1, 3, 50])
def test_the_golden_weight(kappa):
    best = (-1 + sqrt(1 + 4 * kappa)) / (2 * kappa)
    assert golden_share(kappa) == pytest.approx(best, rel=1e-13)

    def rho(w):
        return (w**2 + (1 - w) ** 2 / kappa) / (w * (2 - w))

    assert rho(best) == pytest.approx(best, rel=1e-13)
    others = np.linspace(0.01, 1, 500)
    assert np.all(rho(others) >= best)
    assert derive(fresh_real(400, kappa=kappa)).ratio[-1] == pytest.approx(best, rel=1e-9)


@pytest.mark.parametrize("kappa", [F(1, 4), F(1), F(6)])
def test_rows_that_cannot_be_told_apart(kappa):
    plan = fresh_real(120, 1 / (1 + kappa), kappa)
    assert float(derive(plan, exact=True).ratio[-1]) == pytest.approx(
        float((1 + kappa) / (1 + 2 * kappa)), rel=1e-9
    )
    assert optimal_weights(plan, origin="round").plan.weight == pytest.approx(
        plan.weight, rel=1e-12
    )


def test_fibonacci_exactly():
    fibonacci = [1, 1]
    while len(fibonacci) < 2 * G:
        fibonacci.append(fibonacci[-1] + fibonacci[-2])
    ratios = [F(fibonacci[2 * g], fibonacci[2 * g + 1]) for g in range(G)]
    source, weight = [0], [[F(1)] + [F(0)] * (2 * G - 2)]
    for g in range(1, G):
        source += [0, g]
        row = [F(0)] * (2 * G - 1)
        row[2 * g - 1], row[2 * g] = ratios[g], 1 - ratios[g]
        weight.append(row)
    assert derive(Plan(source, [1] * len(source), weight), exact=True).ratio.tolist() == ratios
    best = optimal_weights(fresh_real(G), greedy=True).plan
    assert derive(best).ratio == pytest.approx([float(r) for r in ratios], rel=1e-13)


def test_greedy_and_constant_weights_have_one_rate():
    excess = derive(optimal_weights(fresh_real(12), greedy=True).plan).risk - 1 / PHI
    assert excess[8] / excess[7] == pytest.approx(PHI**-4, rel=1e-3)
    excess = derive(fresh_real(12)).risk - 1 / PHI
    assert excess[8] / excess[7] == pytest.approx(PHI**-4, rel=1e-3)


def test_risk_is_the_sum_of_squares_of_the_flow():
    """A walker sent back from the last fit, by simulation-free propagation of its chances;
    subsampling adds its term.
    """
    source, size = [0, 1, 1, 2, 0], [1, 2, F(1, 2), 1, F(3, 2)]
    weight = [[1, 0, 0, 0, 0], [F(1, 3), F(1, 3), F(1, 3), 0, 0], [0, F(1, 4), 0, F(1, 4), F(1, 2)]]
    kept = [[1] * 5, [F(1, 2), 1, 1, 1, 1], [1, F(1, 4), 1, F(1, 2), 1]]
    visits, risk = {3: F(1), 2: F(0), 1: F(0)}, F(0)
    passed = [F(0)] * 5
    for g in (3, 2, 1):
        for b, w in enumerate(weight[g - 1]):
            f = visits[g] * w
            passed[b] += f
            risk += f**2 * (1 / F(kept[g - 1][b]) - 1) / size[b]
            if source[b]:
                visits[source[b]] += f
    risk += sum(c**2 / F(s) for c, s in zip(passed, size, strict=True))
    assert derive(Plan(source, size, weight, kept), exact=True).risk[-1] == risk


@pytest.mark.parametrize("s", [F(1, 5), F(1, 2), F(9, 10), F(1)])
def test_the_running_mean_attains_the_bound_exactly(s):
    P = [None, None] + [1 + (1 - s) ** 2 * (g - 2) for g in range(2, G + 1)]
    mean, weight = [F(0)] * (G + 1), [[F(1)] + [F(0)] * (G - 1)]
    mean[2] = F(1)
    for g in range(2, G + 1):
        if g > 2:
            mean = [(P[g - 1] - s * (1 - s)) / P[g] * m for m in mean]
            mean[g] = (1 - s) / P[g]
        weight.append([1 - s] + [s * m for m in mean[2:]])
    plan = Plan(range(G), [1] * G, weight)
    assert derive(plan, exact=True).ratio.tolist() == [1] + [
        1 + s**2 / P[g] for g in range(2, G + 1)
    ]
    assert optimal_weights(augment(G), synthetic=s, greedy=True).plan.weight == pytest.approx(
        plan.weight, abs=1e-12
    )


def test_exercise_on_nine_tenths():
    ratio = [1 + 0.81 / (1 + 0.01 * (g - 2)) for g in (712, 713)]
    assert ratio[0] >= 1.1 * (1 - 1e-12)
    assert ratio[1] < 1.1


@pytest.mark.parametrize("k", [2, 3, 4])
def test_chains_that_never_meet_exactly(k):
    """1 + (G - 1)/k^2 for the last fit, and discard's ratio after ceil((g - 1)/k) rounds for those
    before.
    """
    G = 4 * k + 1
    weight = [[F(int(b == max(g - k, 0))) for b in range(G)] for g in range(1, G)]
    weight.append([F(1, k) if b >= G - k else F(0) for b in range(G)])
    ratio = derive(Plan(range(G), [1] * G, weight), exact=True).ratio
    assert ratio[-1] == 1 + F(G - 1, k * k)
    assert ratio[:-1].tolist() == [1 - (-max(g - k, 0) // k) for g in range(1, G)]
    assert optimal_weights(window(G, k)).risk == pytest.approx(float(ratio[-1]), rel=1e-9)


@pytest.mark.parametrize("k", [2, 3, 6, 12])
def test_greedy_windows(k):
    plan = optimal_weights(window(12 * k, k), greedy=True).plan
    risk = derive(plan).risk
    limit = 2 - 2 * cos(pi / (2 * k + 1))
    assert limit == pytest.approx(4 * sin(pi / (4 * k + 2)) ** 2)
    assert risk[-1] - risk[-2] == pytest.approx(limit, rel=1e-7)
    weight = plan.weight[-1, -k:]
    assert weight[:-1] - weight[1:] == pytest.approx(
        np.diff(risk)[-k:-1] * np.cumsum(weight)[:-1], rel=1e-6
    )


def test_a_window_of_two_in_fibonacci_fractions():
    D, growth = F(1), []
    for _ in range(10):
        D = (1 - D) / (2 - D)
        growth.append(D)
    plan = optimal_weights(window(11, 2), greedy=True).plan
    assert np.diff(derive(plan).risk) == pytest.approx([float(d) for d in growth], abs=1e-12)
    assert float(D) == pytest.approx(PHI**-2, abs=1e-4)


@pytest.mark.parametrize(("k", "s"), [(1, F(1, 2)), (3, F(1, 2)), (4, F(1, 5)), (5, F(7, 10))])
def test_anchored_windows(k, s):
    G = 30 * k
    even = [
        [1] + [0] * (G - 1),
        *(
            [1 - s] + [s / min(g, k) if g - k < b <= g else 0 for b in range(1, G)]
            for g in range(1, G)
        ),
    ]
    limit = 1 + s**2 / ((1 - s) * (k + s))
    assert derive(Plan(range(G), [1] * G, even)).ratio[-1] == pytest.approx(float(limit), rel=1e-6)
    found = optimal_weights(real_and_window(G, k), synthetic=s, greedy=True)
    assert found.risk == pytest.approx(float(limit), rel=1e-6)


def test_anchored_chains():
    """Fit g reads the real batch and the synthetic batch k rounds old; the last one averages k."""
    k, s, G = 3, F(1, 2), 40
    weight = [[1] + [0] * (G - 1)]
    for g in range(1, G - 1):
        weight.append([1 - s] + [s if b == max(g - k + 1, 1) else 0 for b in range(1, G)])
    weight.append([1 - s] + [s / k if b >= G - k else 0 for b in range(1, G)])
    assert derive(Plan(range(G), [1] * G, weight)).ratio[-1] == pytest.approx(
        float(1 + s**2 / (k * (1 - s**2))), rel=1e-6
    )


def test_two_rounds_of_real_rows():
    source, rows = [0], [[1] + [0] * 58]
    for g in range(1, 30):
        source += [0, g]
        row = [0] * 59
        row[max(2 * g - 3, 0)] = row[2 * g - 1] = row[2 * g] = F(1, 3)
        rows.append(row)
    two = Plan(source, [1] * 59, rows)
    assert optimal_weights(two, greedy=True).risk == pytest.approx(2 * sin(pi / 14), rel=1e-8)
    assert optimal_weights(two).risk == pytest.approx(PHI**-2, rel=1e-6)


@pytest.mark.parametrize("greedy", [False, True], ids=["constant", "greedy"])
def test_the_gaussian_process_and_poisson(greedy):
    plan = optimal_weights(fresh_real(8), greedy=True).plan if greedy else fresh_real(8)
    derived = derive(plan)
    assert_risks_agree(simulate(plan, replications=60_000, rng=1), derived, detects=0.1)
    n = 50
    assert_risks_agree(
        simulate(plan, model=models.Poisson(3), n=n, replications=60_000, rng=2),
        derived,
        detects=0.1,
        unit=3 / n,
    )


def test_logistic_regression():
    n = 400
    X = np.column_stack([np.ones(n), np.linspace(-1, 1, n)])
    risk = simulate(
        fresh_real(6), model=models.LogisticRegression(X, beta=[0.5, 1.0]), replications=8000, rng=3
    )
    # the limit is approached at rate p/n
    assert_agree(risk.ratio, risk.stderr, derive(fresh_real(6)).ratio, detects=0.25, allowance=0.02)


def test_the_front_of_memory():
    anchored = optimal_weights(real_and_window(50, 4), synthetic=F(1, 2), greedy=True).plan
    table = compare(
        workflows.discard(50),
        augment(50),
        window(50, 5),
        workflows.fixed_real_share(50, F(1, 2)),
        anchored,
        workflows.mixture(50),
    )
    assert [w.name for w in table.front("stored")] == [
        "fixed_real_share(share=1/2)",
        anchored.name,
        "mixture",
    ]


def test_many_and_few_synthetic_rows():
    assert golden_share(1e8) * 1e4 == pytest.approx(1, rel=1e-3)
    assert golden_share(1e-6) == pytest.approx(1, abs=1e-5)
    for kappa in (0.01, 1, 7, 1000):
        # a real row deserves more than a row of the model
        assert golden_share(kappa) > 1 / (1 + kappa)


def test_the_gap_between_greedy_and_joint_windows():
    gaps = []
    for k in (1, 2, 4, 8):
        risk = derive(optimal_weights(window(12 * k, k), greedy=True).plan).risk
        gaps.append((risk[-1] - risk[-2]) * k**2)
    assert gaps[0] == pytest.approx(1, rel=1e-9)
    assert np.all(np.diff(gaps) > 0)
    assert 0.85 * pi**2 / 4 < gaps[-1] < pi**2 / 4
