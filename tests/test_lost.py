"""What a vocabulary loses: exact means against all histories, Kimura's limit and simulations; the
bound of every plan."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.stats import binom

import collapse
from collapse import Plan, models, simulate, workflows
from collapse.derivation.finite import fixation
from collapse.derivation.lost import expected, least_words, rows_for_words
from tests.statistics import assert_agree

SHARES = np.array([0.5, 0.2, 0.15, 0.1, 0.05])
WORDS = models.Multinomial(SHARES)
UNLIKE = Plan(
    source=[0, 1, 1, 0, 2],
    size=[1, 2, 1, 1, 1],
    weight=[[1, 0, 0, 0, 0], [0.2, 0.5, 0.3, 0, 0], [0, 0, 0.3, 0.3, 0.4]],
)
"""Fits that stem from more real rows than they read, batches of several sizes."""
PLANS = {
    "discard": workflows.discard(3),
    "large batches": workflows.discard(3, size=2),
    "augment": workflows.augment(3),
    "window": workflows.window(3, 2),
    "fixed real share": workflows.fixed_real_share(3, 0.3),
    "fresh real": workflows.fresh_real(2, 0.5),
    "unlike": UNLIKE,
}
ROWS = 2


def histories(plan: Plan, p: float) -> tuple[np.ndarray, np.ndarray]:
    """By adding up all counts of one class in all batches: the chance that each fit lacks it, and
    the mean of -q log q, q its fitted share.
    """
    rows, G = plan.rows(ROWS), plan.generations
    lost, entropy = np.zeros(G), np.zeros(G)
    for counts in itertools.product(*(range(m + 1) for m in rows)):
        fits = plan.weight @ (np.array(counts) / rows)
        share = np.append(p, fits)[plan.source]
        chance = binom.pmf(counts, rows, np.clip(share, 0, 1)).prod()
        lost += chance * (fits < 1e-12)
        entropy -= chance * fits * np.log(np.where(fits > 0, fits, 1))
    return lost, entropy


@pytest.mark.parametrize("name", PLANS)
def test_words_left_against_all_histories(name: str) -> None:
    plan = PLANS[name]
    lost, entropy = (
        sum(parts) for parts in zip(*(histories(plan, p) for p in SHARES), strict=True)
    )
    left = len(SHARES) - lost
    least = least_words(plan, model=WORDS, n=ROWS)
    assert np.all(least < left)
    assert np.all(least > 0.6 * left)
    if name in ("window", "fresh real", "unlike"):
        with pytest.raises(ValueError, match=r"words left is known for fit [23]"):
            expected(plan, model=WORDS, n=ROWS)
        return
    found = expected(plan, model=WORDS, n=ROWS)
    np.testing.assert_allclose(found["support"], left, rtol=1e-12)
    if name in ("discard", "large batches"):
        found = expected(plan, model=WORDS, n=ROWS, measures="entropy")
        np.testing.assert_allclose(found["entropy"], entropy, rtol=1e-12)


def test_each_class_is_lost_like_a_coin() -> None:
    n, G = 40, 60
    left = expected(workflows.discard(G), model=WORDS, n=n, measures="support")["support"]
    coins = [sum(1 - fixation(float(p), n, n, g)[0] for p in SHARES) for g in range(1, G + 1)]
    np.testing.assert_allclose(left, coins, rtol=1e-10)


@pytest.mark.statistical
@pytest.mark.parametrize("k", [1, 2, 3, 8])
def test_simulated_words_left(k: int) -> None:
    """A window of 8 that has not moved on yet keeps what fit 1 has."""
    words, n, runs = models.Multinomial.zipf(60), 30, 20_000
    plan = workflows.window(8, k)
    fits = simulate(plan, model=words, n=n, replications=runs, rng=k, fits=True).fits
    found = {
        name: np.array([words.measure(name, fits[:, g], None) for g in range(8)])
        for name in words.measures
    }

    def agree(name: str, law: np.ndarray, detects: float = 0.02) -> None:
        seen = found[name]
        assert_agree(seen.mean(1), seen.std(1) / runs**0.5, law, detects=detects)

    known = expected(plan, model=words, n=n, measures=("variance", "rare"))
    agree("variance", known["variance"])
    agree("rare", known["rare"], 0.2)
    if k in (1, 8):
        agree("support", expected(plan, model=words, n=n, measures="support")["support"])
    if k == 1:
        agree("entropy", expected(plan, model=words, n=n, measures="entropy")["entropy"])
    short = 1 - least_words(plan, model=words, n=n) / found["support"].mean(1)
    error = found["support"].std(1) / found["support"].mean(1) / runs**0.5
    assert np.all(short > -4.9 * error)
    assert np.all(short < 0.06)


def test_the_bound_is_short_by_less_than_half_a_word_up_to_n_generations() -> None:
    for n, count in ((200, 10_000), (1000, 10_000), (1000, 100_000)):
        words, plan = models.Multinomial.zipf(count), workflows.discard(n)
        exact = expected(plan, model=words, n=n, measures="support")["support"]
        short = exact - least_words(plan, model=words, n=n)
        assert np.all(short > 0)
        assert np.all(short < 0.45)
        assert short[-1] > 0.3
    # the shares of it that the docstring tells
    words, n = models.Multinomial.zipf(10_000), 2000
    exact = expected(workflows.discard(500), model=words, n=n, measures="support")["support"]
    least = least_words(workflows.discard(500), model=words, n=n)
    short = 1 - least / exact
    assert short[[10, 133, 499]] == pytest.approx([0.001, 0.0115, 0.0425], rel=0.02)


def test_the_bound_is_a_sample_of_poisson_size_and_not_of_fixed_size() -> None:
    for n in (20, 50):
        for p in (0.02, 0.5):
            lost, _ = fixation(p, n, n, 2)
            N = rows_for_words(workflows.discard(2), n)[1]
            assert lost < np.exp(-N * p)
        # a word as frequent as every second row is lost more often than in N rows
        assert lost > 1.3 * (1 - p) ** N


def test_rows_for_words_of_discard_are_those_of_a_branching_process() -> None:
    s, found = 1.0, rows_for_words(workflows.discard(200), 1000)
    for g in range(200):
        assert found[g] == pytest.approx(1000 * s, rel=1e-12)
        s = -np.expm1(-s)
    g = np.arange(1, 201)
    of = found * (g + 1) / 2000
    assert np.all((of > 0.93) & (of <= 1))
    # batches twice as large hold words longer, and count from fit 2 on
    double = rows_for_words(workflows.discard(3, size=2), 1000)
    assert double[1] == pytest.approx(1000 * -np.expm1(-2))
    ten = rows_for_words(workflows.discard(200, size=10), 1000)
    np.testing.assert_allclose(ten[1:], 1000 * -np.expm1(-found[:-1] / 100))
    assert ten[-1] / found[-1] == pytest.approx(10, rel=0.1)


def test_a_word_of_many_rows_has_even_odds_for_three_generations_a_row() -> None:
    s = rows_for_words(workflows.discard(400), 1)  # s[k]: the line of a row is there k later
    for x, off in ((10, 0.08), (30, 0.04), (100, 0.02)):
        even = np.argmax((1 - s) ** x >= 0.5)
        assert even == pytest.approx(2 * x / np.log(2), rel=off)
        assert even == pytest.approx(2.9 * x, rel=off)
    seven = 1 - (1 - s[20]) ** 7
    exact = 1 - fixation(0.007, 1000, 1000, 20)[0]
    assert 0.47 < seven < exact < 0.53


def test_half_lives() -> None:
    n = 200
    words = models.Multinomial.zipf(1000)
    for k in (1, 2, 5):
        plan = workflows.window(2000, k)
        left = expected(plan, model=words, n=n, measures="variance")["variance"]
        half = 1 + np.argmax(left <= left[0] / 2)
        assert half == pytest.approx(n * np.log(2) * (k + 1) ** 2 / 4, rel=0.02)
    for n in (200, 1000, 10_000):  # words that stand once in the text go at once, whatever n is
        left = least_words(workflows.discard(10), model=models.Multinomial.zipf(5 * n), n=n)
        assert 1 + np.argmax(left <= left[0] / 2) in (4, 5)
        assert (1 - 1 / n) ** n == pytest.approx(np.exp(-1), rel=1 / n)


def test_words_of_a_small_vocabulary_live_in_proportion_to_rows() -> None:
    words, halves = models.Multinomial.zipf(1000), []
    for n in (100_000, 200_000, 400_000):
        left = least_words(workflows.discard(500), model=words, n=n)
        halves.append(1 + np.argmax(left <= left[0] / 2))
    assert halves[0] == 98
    assert np.divide(halves[1:], halves[:-1]) == pytest.approx(2, abs=0.05)


@pytest.mark.parametrize("k", [2, 3, 5])
def test_rows_for_words_of_a_window_last_longer_by_the_square_of_its_length(k: int) -> None:
    G = 300 * k
    ends = rows_for_words(workflows.window(G, k), 1)[[G // 2 - 1, G - 1]]
    near = ends * np.array([G // 2, G]) * 2 / (k + 1) ** 2
    assert np.all(np.diff(np.abs(near - 1)) < 0)
    assert near[-1] == pytest.approx(1, abs=0.03)


def test_what_keeps_the_real_rows_keeps_their_words() -> None:
    for plan in (
        workflows.augment(30),
        workflows.fixed_real_share(30, 0.01),
        workflows.real_and_window(30, 2),
        workflows.forgetting(30, 0.5),
    ):
        left = expected(plan, model=WORDS, n=7, measures="support")["support"]
        np.testing.assert_allclose(left, (1 - (1 - SHARES) ** 7).sum(), rtol=1e-12)
        np.testing.assert_allclose(rows_for_words(plan, 7), 7)


def test_variance_is_what_the_risk_leaves() -> None:
    n, g = 50, np.arange(1, 21)
    left = expected(workflows.discard(20), model=WORDS, n=n)["variance"]
    np.testing.assert_allclose(left, (1 - 1 / n) ** g)
    for plan in (workflows.augment(20), workflows.subsample(20), workflows.reservoir(20)):
        coin = collapse.derive(plan, model=models.Bernoulli(0.5), n=n).risk
        found = expected(plan, model=WORDS, n=n, measures="variance")["variance"]
        np.testing.assert_allclose(found, 1 - 4 * coin)


def test_the_variance_of_other_families() -> None:
    """Enumerated for a coin; a gamma law's is multiplied by 1 + 1 / (2 n) in the mean."""
    coin = expected(workflows.augment(3), model=models.Bernoulli(0.3), n=2, measures="variance")
    pair = models.Multinomial([0.3, 0.7])
    words = expected(workflows.augment(3), model=pair, n=2, measures="variance")
    np.testing.assert_allclose(coin["variance"], words["variance"])
    gamma = expected(workflows.discard(3), model=models.Gamma(2, 5), n=10, measures="variance")
    np.testing.assert_allclose(gamma["variance"], 1.05 ** np.arange(1, 4))
    table = models.NormalGenerator([0.0, 1.0, 5.0])
    normal = expected(workflows.discard(3), model=table, n=10, measures="variance")
    np.testing.assert_allclose(normal["variance"], 0.9 ** np.arange(1, 4))


def test_derive_tells_what_is_lost_beside_risk() -> None:
    plan, names = workflows.discard(20), ("support", "variance")
    risk = collapse.derive(plan, model=WORDS, n=30, measures=names)
    for name, mean in expected(plan, model=WORDS, n=30, measures=names).items():
        np.testing.assert_array_equal(risk.measures[name].mean, mean)
        assert not risk.measures[name].stderr.any()
    many = {"replications": 20_000, "rng": 1, "measures": names}
    seen = simulate(plan, model=WORDS, n=30, **many).measures
    for name in names:
        assert_agree(seen[name].mean, seen[name].stderr, risk.measures[name].mean, detects=0.06)
    alone = collapse.derive(plan, model=WORDS, n=30)
    np.testing.assert_array_equal(risk.risk, alone.risk)
    with pytest.raises(ValueError, match="measures need a model"):
        collapse.derive(plan, measures="variance")


def test_a_hundred_thousand_words() -> None:
    words, n = models.Multinomial.zipf(100_000), 500
    assert repr(words) == "Multinomial(p=<100,000 shares from 0.0827 to 8.27e-07>)"
    plan = workflows.discard(10)
    left = expected(plan, model=words, n=n, measures="support")["support"]
    first = (1 - (1 - words.truth) ** n).sum()
    assert left[0] == pytest.approx(first, rel=1e-12)
    fits = simulate(plan, model=words, n=n, replications=30, rng=0, fits=True).fits
    support = (fits > 0).sum(axis=2)
    error = support.std(axis=0) / 30**0.5
    assert np.all(np.abs(support.mean(axis=0) - left) < 4.9 * error)
    assert np.all(error < 0.02 * left)


def test_two_thousand_rows_of_a_hundred_thousand_words() -> None:
    """The chain of each distinct share, by the whole matrix of transitions."""
    n, G, many = 2000, 4, np.array([10, 990, 99_000])
    shares = np.array([0.04, 4e-4, 0.204 / 99_000])
    words = models.Multinomial(np.repeat(shares, many))
    counts = np.arange(n + 1)
    step = binom.pmf(counts, n, counts[:, None] / n)
    law, left, entropy = binom.pmf(counts, n, shares[:, None]), [], []
    for _ in range(G):
        left.append(many @ (1 - law[:, 0]))
        entropy.append(-many @ law @ (counts / n * np.log(np.maximum(counts, 1) / n)))
        law = law @ step
    found = expected(workflows.discard(G), model=words, n=n, measures=("support", "entropy"))
    np.testing.assert_allclose(found["support"], left, rtol=1e-8)
    np.testing.assert_allclose(found["entropy"], entropy, rtol=1e-8)


def test_zipf_is_a_power() -> None:
    share = models.Multinomial.zipf(50, 1.3).truth
    np.testing.assert_allclose(share / share[0], np.arange(1, 51) ** -1.3)
    assert share.sum() == pytest.approx(1)


def test_measures_of_known_shares() -> None:
    words = models.Multinomial([0.6, 0.25, 0.1, 0.03, 0.02])
    fits = np.array([words.p, [1, 0, 0, 0, 0], [0.5, 0, 0, 0.2, 0.3]])
    told = {name: words.measure(name, fits, np.random.default_rng(0)) for name in words.measures}
    np.testing.assert_allclose(told["support"], [5, 1, 3])
    np.testing.assert_allclose(told["rare"], [0.05, 0, 0.5])  # the last two make up a twentieth
    np.testing.assert_allclose(told["variance"], [1, 0, 0.62 / (1 - words.truth @ words.truth)])
    assert told["entropy"][1] == 0
    few = models.Multinomial([0.7, 0.3])
    assert few.measure("rare", np.array([[0.9, 0.1]]), np.random.default_rng(0)) == [0.1]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: models.Multinomial.zipf(1), "words .* 2"),
        (lambda: models.Multinomial.zipf(10, 0), "exponent must be a number"),
        (lambda: expected(PLANS["discard"], model=models.Poisson(1), n=5), "model must be a"),
        (
            lambda: expected(
                PLANS["discard"], model=models.Median("normal"), n=5, measures="variance"
            ),
            "no exact variance is known",
        ),
        (
            lambda: expected(PLANS["discard"], model=WORDS, n=5, measures="colour"),
            "measures must be of variance, rare, support, entropy; one is 'colour'",
        ),
        (lambda: expected(workflows.subsample(3), model=WORDS, n=6), "reads part of a batch"),
        (lambda: expected(workflows.reservoir(3), model=WORDS, n=6), "plan must be a"),
        (
            lambda: expected(PLANS["augment"], model=WORDS, n=6, measures="entropy"),
            "no exact entropy is known for fit 2",
        ),
        (
            lambda: expected(PLANS["discard"], model=WORDS, n=3000),
            "neither reads one batch of at most 2,000 rows alone .*least_words",
        ),
        (
            lambda: rows_for_words(Plan([0, 1], [1, 1], [[1, 0], [1.5, -0.5]]), 3),
            "must not be negative",
        ),
    ],
)  # fmt: skip
def test_what_is_not_known_is_told(call, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        call()
