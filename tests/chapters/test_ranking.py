"""Formulas of the chapter "Ranking", typed here once more, against derive and simulate."""

from itertools import combinations, product

import numpy as np
import pytest
from scipy.special import ndtr

from collapse import derive, simulate
from collapse.models import BradleyTerry
from collapse.workflows import augment, discard, subsample
from tests.statistics import assert_agree

pytestmark = pytest.mark.statistical

PAIRS = list(combinations(range(4), 2))


def laplacian(strength, pairs, times):
    """Information of all strengths, (m, m): a network with conductance times p (1 - p) in each
    wire.
    """
    network = np.zeros((len(strength), len(strength)))
    for i, j in pairs:
        p = 1 / (1 + np.exp(strength[j] - strength[i]))
        network[i, i] += times * p * (1 - p)
        network[j, j] += times * p * (1 - p)
        network[i, j] -= times * p * (1 - p)
        network[j, i] -= times * p * (1 - p)
    return network


def resistance(network, i, j):
    inverse = np.linalg.pinv(network)
    return inverse[i, i] + inverse[j, j] - 2 * inverse[i, j]


def test_information_is_the_laplacian():
    strength = np.array([0.0, 0.7, -0.2, 0.4])
    model = BradleyTerry(strength, pairs=PAIRS, times=5)
    share = 1 / (1 + np.exp(-model.X @ model.truth))
    np.testing.assert_allclose(
        (model.X * (share * (1 - share))[:, None]).T @ model.X,
        laplacian(strength, PAIRS, 5)[1:, 1:],
        atol=1e-12,
    )


@pytest.mark.parametrize(
    ("workflow", "R"),
    [(discard, 1500), (augment, 1500), (subsample, 300)],
    ids=["discard", "augment", "subsample"],
)
def test_ratios(workflow, R):
    """n = 1,200 votes: 4 % allowed."""
    g = np.arange(1, 7)
    h = np.cumsum(1 / g**2)
    ratio = {"discard": g, "augment": h, "subsample": 3 * h - 2}[workflow.__name__]
    np.testing.assert_allclose(derive(workflow(6)).ratio, ratio, rtol=1e-12)
    risk = simulate(
        workflow(6),
        model=BradleyTerry([0, 0.2, 0.4, 0.6], pairs=PAIRS, times=200),
        replications=R,
        rng=1,
    )
    assert_agree(risk.ratio, risk.stderr, ratio, detects=0.6, allowance=0.04)


class Swapped(BradleyTerry):
    def risk(self, theta):
        strength = self.strength(theta)
        return (strength[:, 0] < strength[:, 1]).astype(float)


@pytest.mark.parametrize("workflow", [discard, augment], ids=["discard", "augment"])
def test_chance_of_a_wrong_order(workflow):
    """Phi(-gap / sqrt(ratio r / n)); 5 % allowed at 1,200 votes."""
    strength, G, R = np.array([0.3, 0.2, 0.0, -0.3]), 6, 8000
    first = resistance(laplacian(strength, PAIRS, 200), 0, 1)
    expected = ndtr(-0.1 / np.sqrt(derive(workflow(G)).ratio * first))
    risk = simulate(
        workflow(G), model=Swapped(strength, pairs=PAIRS, times=200), replications=R, rng=2
    )
    assert_agree(risk.risk, risk.risk_stderr, expected, detects=0.35, allowance=0.05)


def test_the_best_of_four_is_not_first():
    """Three gaps at once, drawn from the limit law, against the simulation."""
    strength, R = np.array([0.3, 0.2, 0.0, -0.3]), 8000

    class NotFirst(BradleyTerry):
        def risk(self, theta):
            return (theta.max(axis=1) > 0).astype(float)

    model = NotFirst(strength, pairs=PAIRS, times=200)
    covariance = np.linalg.inv(laplacian(strength, PAIRS, 200)[1:, 1:])
    noise = np.random.default_rng(3).multivariate_normal(np.zeros(3), covariance, 200_000)
    risk = simulate(discard(5), model=model, replications=R, rng=4)
    for g in range(5):
        expected = ((model.truth + np.sqrt(g + 1) * noise).max(axis=1) > 0).mean()
        assert_agree(
            risk.risk[g],
            np.hypot(risk.risk_stderr[g], 0.5 / np.sqrt(200_000)),
            expected,
            detects=0.35,
            allowance=0.05,
        )


def test_resistances_exercise():
    for m in (4, 8, 9):
        equal = np.zeros(m)
        ring = laplacian(equal, [(i, (i + 1) % m) for i in range(m)], 1 / m)
        robin = laplacian(equal, list(combinations(range(m), 2)), 2 / (m * (m - 1)))
        np.testing.assert_allclose(resistance(ring, 0, 1), 4 * (m - 1))
        np.testing.assert_allclose(resistance(robin, 0, 1), 4 * (m - 1))
        assert resistance(ring, 0, m // 2) > resistance(robin, 0, m // 2)


def test_fords_condition():
    """All results of three items in two meetings each: an undefeated group, found by trying all
    groups, is lack of an estimate.
    """
    pairs, seen = [(0, 1), (0, 2), (1, 2)], set()
    for wins in product(range(3), repeat=3):
        beaten = {(i, j) for (i, j), w in zip(pairs, wins, strict=True) if w} | {
            (j, i) for (i, j), w in zip(pairs, wins, strict=True) if w < 2
        }
        groups = [set(group) for size in (1, 2) for group in combinations(range(3), size)]
        undefeated = any(
            not any(i not in group and j in group for i, j in beaten) for group in groups
        )
        assert np.isnan(BradleyTerry(pairs=pairs, times=2, wins=wins).truth).any() == undefeated
        seen.add(undefeated)
    assert seen == {True, False}


def test_two_items_are_a_wright_fisher_chain_exercise():
    n = 30
    model = BradleyTerry([0.4, 0.0], pairs=[(0, 1)], times=n)
    observed = BradleyTerry(pairs=[(0, 1)], times=n, wins=[18])
    # item 0 is the reference: the coefficient is the strength of the loser less that of the winner
    np.testing.assert_allclose(observed.truth, [np.log(12 / 18)])
    p = 1 / (1 + np.exp(-0.4))
    expected, law = (
        [],
        np.array(
            [
                np.prod([(n - i) / (i + 1) for i in range(k)]) * p**k * (1 - p) ** (n - k)
                for k in range(n + 1)
            ]
        ),
    )
    step = np.array(
        [
            [
                np.prod([(n - i) / (i + 1) for i in range(k)])
                * (j / n) ** k
                * (1 - j / n) ** (n - k)
                for k in range(n + 1)
            ]
            for j in range(n + 1)
        ]
    )
    for _ in range(25):
        expected.append(law[0] + law[n])
        law = law @ step
    risk = simulate(discard(25), model=model, replications=8000, rng=5)
    late = np.array(expected) > 0.03
    assert late.sum() > 10
    error = np.sqrt(np.array(expected) * (1 - np.array(expected)) / 8000)
    assert_agree(risk.failed[late], error[late], np.array(expected)[late], detects=0.7)


def test_keep_the_votes_and_you_keep_the_table():
    model = BradleyTerry([0.3, 0.1, -0.1, -0.3], pairs=[(0, 1), (1, 2), (2, 3), (3, 0)], times=6)
    kept, lost = (
        simulate(plan(20), model=model, replications=1500, rng=6).failed
        for plan in (augment, discard)
    )
    assert 0 < kept[0] == kept[-1]
    assert lost[-1] > 0.9
