"""optimal_weights(): against closed forms, against other solvers, and the constraints it must
keep.
"""

from __future__ import annotations

from fractions import Fraction as F
from math import pi, sin, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from collapse import Plan, derive, optimal_weights, simulate, workflows
from tests.plans import plans, typed
from tests.statistics import assert_agree

BOTH = pytest.mark.parametrize("greedy", [False, True], ids=["joint", "greedy"])


@BOTH
def test_without_constraint_all_weight_is_on_real_data(greedy):
    best = optimal_weights(workflows.augment(12), greedy=greedy)
    assert best.plan.weight[:, 0].tolist() == [1.0] * 12
    assert best.risk == best.bound == 1.0


@BOTH
@pytest.mark.parametrize("s", [0.2, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("size", [1, F(1, 2), [3, 1, 2, 1, F(1, 4), 1, 5, 1, 1]])
def test_a_share_of_synthetic_rows_with_everything_stored(greedy, s, size):
    """1 + s^2 / (m_2 + (1 - s)^2 (m_3 + ... + m_g)), joint and greedy alike."""
    plan = workflows.augment(10, size=size)
    m = plan.size[1:]
    expected = 1 + s**2 / (m[0] + (1 - s) ** 2 * np.concatenate([[0], np.cumsum(m[1:])]))
    best = optimal_weights(plan, synthetic=s, greedy=greedy)
    assert best.risk == pytest.approx(expected[-1], rel=1e-9)
    if greedy:
        assert derive(best.plan).risk[1:] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("kappa", [1, F(1, 3), 4])
@BOTH
def test_fresh_real_rows_follow_the_harmonic_recursion(greedy, kappa):
    """C_g = (C + 1/kappa) / (1 + C + 1/kappa), and the weight on the real rows is C_g too."""
    best = optimal_weights(workflows.fresh_real(9, kappa=kappa), greedy=greedy)
    C = F(1)
    for g in range(1, 9):
        C = (C + 1 / F(kappa)) / (1 + C + 1 / F(kappa))
        assert best.plan.weight[g, 2 * g - 1] == pytest.approx(float(C), rel=1e-7)
    assert best.risk == pytest.approx(float(C), rel=1e-12)


def test_fibonacci():
    risk = derive(optimal_weights(workflows.fresh_real(8)).plan).risk
    assert risk == pytest.approx(
        [1, 2 / 3, 5 / 8, 13 / 21, 34 / 55, 89 / 144, 233 / 377, 610 / 987], rel=1e-12
    )


@pytest.mark.parametrize("k", [1, 2, 3, 7])
def test_greedy_window_is_a_sine(k):
    """Weights sin(m pi / (2k + 1)), the newest batch's m = 1; growth 4 sin^2(pi / (4k + 2)) a
    generation.
    """
    plan = optimal_weights(workflows.window(120, k), greedy=True).plan
    sines = np.sin(np.arange(k, 0, -1) * pi / (2 * k + 1))
    assert plan.weight[-1, -k:] == pytest.approx(sines / sines.sum(), rel=1e-9)
    assert np.diff(derive(plan).risk)[-3:] == pytest.approx(
        [4 * sin(pi / (4 * k + 2)) ** 2] * 3, rel=1e-9
    )


@pytest.mark.parametrize("k", [1, 2, 3, 5])
@pytest.mark.parametrize("G", [11, 16, 31])
def test_joint_window(k, G):
    """Never below 1 + floor((G - 1)/k)/k, and there where k divides G - 1: k chains that never meet
    before the last fit.
    """
    best = optimal_weights(workflows.window(G, k))
    bound = 1 + (G - 1) // k / k
    assert best.risk >= bound * (1 - 1e-9)
    assert (best.risk == pytest.approx(bound, rel=1e-9)) == ((G - 1) % k == 0)


@pytest.mark.parametrize(("k", "s"), [(1, 0.5), (2, 0.3), (3, 0.5), (4, 0.4)])
def test_real_and_window_with_a_synthetic_share(k, s):
    plan = workflows.real_and_window(40, k)
    assert optimal_weights(plan, synthetic=s, greedy=True).risk == pytest.approx(
        1 + s**2 / ((1 - s) * (k + s)), rel=1e-6
    )
    assert optimal_weights(plan, synthetic=s).risk == pytest.approx(
        1 + s**2 / (k * (1 - s**2)), rel=1e-5
    )


def test_origin():
    """Rows of one round alike: half of the weight on each, 2/3. All rows alike: augment's own
    weights.
    """
    blind = optimal_weights(workflows.fresh_real(30), origin="round")
    assert blind.risk == pytest.approx(2 / 3, rel=1e-9)
    assert blind.plan.weight[5, [9, 10]].tolist() == [0.5, 0.5]
    pool = workflows.augment(6, size=F(1, 2))
    assert optimal_weights(pool, origin="unknown").plan.weight == pytest.approx(
        pool.weight, rel=1e-14
    )


def _flat(plan, synthetic):
    """Index of the free weights, and the risk of the last fit as a function of them, by the general
    solver.
    """
    fit, batch = np.nonzero(plan.weight)
    source = np.where(plan.source[batch] > 0, plan.source[batch], 0)

    def risk(values):
        weight = np.zeros(plan.weight.shape)
        weight[fit, batch] = values
        A = np.zeros((plan.generations, plan.generations + 1))
        np.add.at(A, (fit, source), values)
        M = np.linalg.inv(np.eye(plan.generations) - A[:, 1:])[-1]
        drawn = (1 / plan.kept if plan.replace else 1 / plan.kept - 1) / plan.size
        return float(((M @ weight) ** 2 / plan.size).sum() + M**2 @ (weight**2 * drawn).sum(axis=1))

    rules = [
        {"type": "eq", "fun": lambda v, g=g: v[fit == g].sum() - 1} for g in range(plan.generations)
    ]
    for g in range(plan.generations):
        mine = (fit == g) & (source > 0)
        if mine.any():
            rules.append({"type": "ineq", "fun": lambda v, mine=mine: v[mine].sum() - synthetic})
    return fit, batch, risk, rules


def _search(plan, synthetic):
    """The joint problem as it stands, not convex, by SLSQP from several starts; infinity where none
    ends within the constraints.
    """
    fit, _, risk, rules = _flat(plan, synthetic)
    rng = np.random.default_rng(1)
    found = np.inf
    for _ in range(5):
        start = rng.dirichlet(np.ones(len(fit)))
        start = start / np.bincount(fit, start)[fit]
        search = minimize(
            risk,
            start,
            method="SLSQP",
            bounds=[(0, 1)] * len(fit),
            constraints=rules,
            options={"maxiter": 200, "ftol": 1e-12},
        )
        if (
            max(
                [
                    abs(r["fun"](search.x)) if r["type"] == "eq" else -r["fun"](search.x)
                    for r in rules
                ]
            )
            < 1e-9
        ):
            found = min(found, search.fun)
    return found


@settings(max_examples=15, deadline=None)
@given(plans(), st.sampled_from([0.0, 0.4, 1.0]))
def test_search_in_the_weights_finds_nothing_better(plan, synthetic):
    best, found = optimal_weights(plan, synthetic=synthetic), _search(plan, synthetic)
    assert best.bound * (1 - 1e-7) <= found
    assert found <= best.risk * (1 + 1e-5) or not np.isfinite(found)
    assert best.risk == pytest.approx(best.bound, rel=1e-6)


@pytest.mark.parametrize("synthetic", [0, 0.4, 0.8])
@pytest.mark.parametrize("partly", [False, True])
def test_search_in_the_weights_ends_at_the_same_risk(partly, synthetic):
    plan = typed(partly=partly)
    assert _search(plan, synthetic) == pytest.approx(
        optimal_weights(plan, synthetic=synthetic).risk, rel=1e-6
    )


def _reachable(plan):
    """Largest share of synthetic rows that every fit can reach where rows of a round are alike."""
    came = np.where(plan.source > 0, plan.source + 1, plan.reading[0] + 1)
    shares = []
    for g in range(plan.generations):
        rows = (plan.weight[g] > 0) * plan.kept[g] * plan.size
        each = [
            np.sum(rows[(came == c) & (plan.source > 0)]) / np.sum(rows[came == c])
            for c in set(came[rows > 0])
        ]
        shares += [max(each)] if max(each) > 0 else []
    return float(min(shares, default=1.0))


@given(
    plans(), st.sampled_from([0, F(1, 3), 1]), st.sampled_from(["known", "round"]), st.booleans()
)
def test_constraints_hold(plan, synthetic, origin, greedy):
    if origin == "round" and synthetic:
        synthetic = min(_reachable(plan), synthetic)
    best = optimal_weights(plan, synthetic=synthetic, origin=origin, greedy=greedy)
    weight = best.plan.weight
    assert np.all((weight > 0) <= (plan.weight > 0))
    reads = (plan.weight[:, plan.source > 0] > 0).any(axis=1)
    assert np.all(weight[:, plan.source > 0].sum(axis=1)[reads] >= float(synthetic) - 1e-12)
    assert best.residual < 1e-6
    assert best.bound <= best.risk
    free = optimal_weights(plan)
    assert free.bound <= best.risk * (1 + 1e-9)
    if synthetic == 0 and origin == "known":
        assert optimal_weights(plan).risk <= derive(plan).risk[-1] * (1 + 1e-9)
    assert best.plan.source.tolist() == plan.source.tolist()
    assert best.plan.size.tolist() == plan.size.tolist()


@given(plans())
def test_rows_of_one_round_have_equal_weights(plan):
    weight, first = optimal_weights(plan, origin="round").plan.weight, plan.reading[0]
    came = np.where(plan.source > 0, plan.source + 1, first + 1)
    for g in range(plan.generations):
        rows = plan.kept[g] * plan.size
        for label in set(came):
            mine = np.flatnonzero((came == label) & (plan.weight[g] > 0))
            each = weight[g, mine] / rows[mine]
            assert each == pytest.approx(np.full(len(mine), each.mean() if len(mine) else 0.0))


@given(plans())
def test_each_greedy_row_is_best_given_the_rows_before(plan):
    """Stationarity: no shift of weight inside one row gains, by finite differences of the derived
    risk.
    """
    weight = optimal_weights(plan, greedy=True).plan.weight
    for g in range(plan.generations):
        reached = np.flatnonzero(plan.weight[g])
        here = _risk(plan, weight, g)
        for b in reached:
            moved = weight.copy()
            moved[g] *= 1 - 1e-4
            moved[g, b] += 1e-4
            assert _risk(plan, moved, g) >= here * (1 - 1e-10)


def _risk(plan, weight, g):
    return derive(Plan(plan.source, plan.size, weight, plan.kept, replace=plan.replace)).risk[g]


def test_models_that_train_on_each_other():
    plan = workflows.all_to_all(6, 3, F(1, 2))
    best = optimal_weights(plan)
    assert best.plan.generation.tolist() == plan.generation.tolist()
    assert best.bound == pytest.approx(best.risk, rel=1e-9)
    assert best.risk < derive(plan).risk[-1]


def test_the_plan_can_be_simulated():
    best = optimal_weights(workflows.window(8, 3), greedy=True).plan
    risk = simulate(best, replications=40_000, rng=5)
    assert_agree(risk.risk, risk.risk_stderr, derive(best).risk, detects=0.1)


def test_golden_ratio_in_a_window_of_two():
    plan = optimal_weights(workflows.window(40, 2), greedy=True).plan
    assert plan.weight[-1, -2] == pytest.approx((sqrt(5) - 1) / 2, rel=1e-12)


def test_what_it_says():
    best = optimal_weights(workflows.window(4, 2), synthetic=F(1, 2), greedy=True)
    assert best.plan.name == "best weights on window(k=2) (synthetic=1/2, greedy)"
    assert repr(best).startswith(
        "<Optimum (greedy) of best weights on window(k=2) (synthetic=1/2, greedy): risk "
    )
    assert best.solved == "greedy"


def test_nonsense_is_refused_in_words():
    with pytest.raises(ValueError, match=r"plan must be a collapse\.Plan, .* it is Reservoir"):
        optimal_weights(workflows.reservoir(4))
    with pytest.raises(
        ValueError,
        match=(
            r"synthetic \(smallest share of the weight on synthetic batches\) must lie in \[0, 1\];"
            r" it is 1.2"
        ),
    ):
        optimal_weights(typed(partly=False), synthetic=1.2)
    with pytest.raises(ValueError, match=r"synthetic \(.*\) must be a number"):
        optimal_weights(typed(partly=False), synthetic="half")
    with pytest.raises(
        ValueError, match="origin must be one of known, round, unknown; it is 'secret'"
    ):
        optimal_weights(typed(partly=False), origin="secret")
    with pytest.raises(
        ValueError,
        match=(
            r"fit 2 cannot put 0.9 of its weight on synthetic rows: at most 0.5 where their origin"
            r" is round"
        ),
    ):
        optimal_weights(workflows.fresh_real(4), synthetic=0.9, origin="round")
    with pytest.raises(
        ValueError,
        match=r"augment has 400 fits and 400 batches; optimal_weights chooses up to 30,000 weights",
    ):
        optimal_weights(workflows.augment(400))
