"""Formulas of the chapter "Exact at every n", typed here once more, against derive and simulate."""

from fractions import Fraction
from itertools import combinations, product
from math import comb, pi, prod, sin, sinh, sqrt

import numpy as np
import pytest
from scipy.stats import binom

from collapse import derive, models, simulate
from collapse.workflows import augment, discard, fixed_real_share, forgetting, subsample, window
from tests.statistics import assert_agree

pytestmark = pytest.mark.statistical

HALF = Fraction(1, 2)

# model with rational parameters, V(mu*), v2
FAMILIES = [
    (models.Normal(Fraction(1, 3), Fraction(3, 2)), Fraction(9, 4), 0),
    (models.Poisson(Fraction(5, 2)), Fraction(5, 2), 0),
    (models.Bernoulli(Fraction(1, 5)), Fraction(4, 25), -1),
    (models.Binomial(5, Fraction(1, 5)), Fraction(4, 5), -Fraction(1, 5)),
    (models.Exponential(Fraction(2)), Fraction(4), 1),
    (models.Gamma(3, Fraction(2)), Fraction(4, 3), Fraction(1, 3)),
    (models.NegativeBinomial(2, Fraction(3)), Fraction(15, 2), HALF),
    (models.HyperbolicSecant(2, Fraction(3)), Fraction(13, 2), HALF),
    (models.Multinomial([HALF, Fraction(1, 3), Fraction(1, 6)]), Fraction(11, 18), -1),
    (models.MultivariateNormal([1, 2], [[2, 1], [1, Fraction(7, 2)]]), Fraction(11, 2), 0),
]


@pytest.mark.parametrize(("model", "V", "v2"), FAMILIES, ids=lambda value: type(value).__name__)
def test_closed_forms_in_fractions(model, V, v2):
    n, G = 7, 12
    flat = derive(discard(G), model=model, n=n, exact=True).risk
    pooled = derive(augment(G), model=model, n=n, exact=True).risk
    for g in range(1, G + 1):
        if v2 == 0:
            assert flat[g - 1] == V * g / n
            assert pooled[g - 1] == V * sum(Fraction(1, k * k) for k in range(1, g + 1)) / n
        else:
            v2 = Fraction(v2)
            assert flat[g - 1] == V / v2 * ((1 + v2 / n) ** g - 1)
            assert pooled[g - 1] == V / v2 * (
                prod(1 + v2 / (n * k * k) for k in range(1, g + 1)) - 1
            )


@pytest.mark.parametrize(
    ("v2", "model"),
    [(1.0, models.Exponential(1)), (-1.0, models.Bernoulli(0.3)), (0.5, models.Gamma(2, 1))],
)
def test_limit_of_augment(v2, model):
    n, G = 20, 4000
    x = pi * sqrt(abs(v2) / n)
    limit = n / v2 * ((sinh(x) if v2 > 0 else sin(x)) / x - 1)
    ratio = derive(augment(G), model=model, n=n).ratio[-1]
    # what is left of the sum after G terms lies between 0 and about 1/G
    assert 0 < limit - ratio < 1.1 / G
    assert limit == pytest.approx(pi**2 / 6 * (1 + pi**2 * v2 / (20 * n)), rel=2 / n**2)


def enumerate_counts(p, n, weights):
    """Covariance of a Bernoulli chain's fits: fit g is the mean of batches with the weights of row
    g, batch g + 1 follows it.
    """
    G = len(weights)
    total = np.full((G, G), Fraction(0))
    for counts in product(range(n + 1), repeat=G):
        mean = [
            sum(w * Fraction(k, n) for w, k in zip(row, counts, strict=True)) for row in weights
        ]
        chance = prod(
            comb(n, k) * q**k * (1 - q) ** (n - k)
            for k, q in zip(counts, [p, *mean[:-1]], strict=True)
        )
        total += chance * np.outer([m - p for m in mean], [m - p for m in mean])
    return total


def test_enumeration_of_whole_batches():
    p, n, model = Fraction(1, 5), 3, models.Bernoulli(Fraction(1, 5))
    third = Fraction(1, 3)
    tables = {
        discard: [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        augment: [[1, 0, 0], [HALF, HALF, 0], [third, third, third]],
    }
    for workflow, weights in tables.items():
        assert (
            derive(workflow(3), model=model, n=n, exact=True).covariance
            == enumerate_counts(p, n, weights)
        ).all()


def test_enumeration_of_a_subsample():
    """Four rows, two generations: fit 2 reads two rows of each batch, each of the 6 x 6 pairs
    equally likely.
    """
    p, n = Fraction(1, 3), 4
    total = np.full((2, 2), Fraction(0))
    pairs = list(combinations(range(n), 2))
    for real in product((0, 1), repeat=n):
        first = Fraction(sum(real), n)
        for synthetic in product((0, 1), repeat=n):
            chance = prod(p if y else 1 - p for y in real) * prod(
                first if y else 1 - first for y in synthetic
            )
            for a, b in product(pairs, repeat=2):
                second = Fraction(real[a[0]] + real[a[1]] + synthetic[b[0]] + synthetic[b[1]], 4)
                total += (
                    chance
                    / len(pairs) ** 2
                    * np.outer([first - p, second - p], [first - p, second - p])
                )
    assert (
        derive(subsample(2), model=models.Bernoulli(p), n=n, exact=True).covariance == total
    ).all()


@pytest.mark.parametrize(
    "model",
    [
        models.Normal(0, 1),
        models.Poisson(2),
        models.Bernoulli(0.2),
        models.Binomial(5, 0.2),
        models.Exponential(1),
        models.Gamma(2, 1),
        models.NegativeBinomial(2, 1),
        models.HyperbolicSecant(1, 1),
        models.Multinomial([0.4, 0.3, 0.2, 0.1]),
        models.MultivariateNormal([0, 0], [[2, 1], [1, 2]]),
    ],
    ids=repr,
)
def test_simulated_families(model):
    n, G = 50, 10
    for workflow in (discard, augment):
        plan = workflow(G)
        risk = simulate(plan, model=model, n=n, replications=40_000, rng=7)
        assert_agree(risk.risk, risk.risk_stderr, derive(plan, model=model, n=n).risk, detects=0.13)


@pytest.mark.parametrize("model", [models.Bernoulli(0.2), models.Exponential(1)], ids=repr)
def test_simulated_subsample(model):
    plan = subsample(8)
    risk = simulate(plan, model=model, n=20, replications=20_000, rng=8)
    assert_agree(risk.risk, risk.risk_stderr, derive(plan, model=model, n=20).risk, detects=0.2)


def test_multinomial_exercise():
    """E|p_hat - p|^2 of three classes under discard: V = 1 - |p|^2, v2 = -1."""
    p, n, R = np.array([0.5, 0.3, 0.2]), 30, 40_000
    rng = np.random.default_rng(9)
    theta = np.tile(p, (R, 1))
    for _ in range(4):
        theta = rng.multinomial(n, theta) / n
    error = ((theta - p) ** 2).sum(axis=1)
    assert_agree(
        error.mean(), error.std() / np.sqrt(R), (1 - p @ p) * (1 - (1 - 1 / n) ** 4), detects=0.1
    )


def test_hyperbolic_secant_by_its_log_ratio():
    """log(G / G') / pi with gamma variates of shapes a and 1 - a has mean tan t and variance 1 +
    tan^2 t, a = 1/2 + t / pi.
    """
    t, R = 0.6, 200_000
    rng = np.random.default_rng(12)
    x = np.log(rng.gamma(0.5 + t / pi, size=R) / rng.gamma(0.5 - t / pi, size=R)) / pi
    assert_agree(x.mean(), x.std() / sqrt(R), np.tan(t), detects=0.05)
    square = (x - np.tan(t)) ** 2
    assert_agree(square.mean(), square.std() / sqrt(R), 1 + np.tan(t) ** 2, detects=0.08)


@pytest.mark.parametrize("law", ["normal", "logistic"])
def test_median(law):
    model, n = models.Median(law), 101
    with pytest.raises(ValueError, match="no exact form at finite n is known"):
        derive(augment(2), model=model, n=n)
    flat = simulate(discard(4), model=model, n=11, replications=40_000, rng=10)
    assert_agree(flat.ratio, flat.stderr, [1, 2, 3, 4], detects=0.2)
    # 5/4 - 1/sqrt(2 pi n), with 1/(2 n) for the next term; 5/4 itself is refused
    pooled = simulate(augment(2), model=model, n=n, replications=120_000, rng=11)
    assert_agree(
        pooled.ratio[1],
        pooled.stderr[1],
        1.25 - 1 / sqrt(2 * pi * n),
        detects=0.03,
        allowance=0.5 / n / 1.25,
    )
    assert 1.25 - pooled.ratio[1] > 4.75 * pooled.stderr[1]


def test_the_secant_alone_is_never_without_noise_and_yet_feeds_itself():
    functions = {type(model): model.variance_function for model, _, _ in FAMILIES[:8]}
    both = [family for family, (v0, _, v2) in functions.items() if v0 > 0 and v2 > 0]
    assert both == [models.HyperbolicSecant]


@pytest.mark.parametrize("workflow", [discard, augment])
def test_one_row_exercise(workflow):
    p = Fraction(1, 3)
    risk = derive(workflow(9), model=models.Bernoulli(p), n=1, exact=True).risk
    assert risk.tolist() == [p * (1 - p)] * 9


def test_half_of_the_variance_exercise():
    n, V = 1000, 0.25
    kept = 1 - derive(discard(n), model=models.Bernoulli(0.5), n=n).risk / V
    assert 1 + np.argmax(kept <= 0.5) == pytest.approx(0.69 * n, rel=0.01)


@pytest.mark.parametrize(("n", "within"), [(49, False), (50, True)])
def test_rows_for_one_per_cent_exercise(n, within):
    G = 40_000
    # augment's limit is above the ratio by 1 / G at most
    ratio = derive(augment(G), model=models.Exponential(1), n=n).ratio[-1]
    assert bool(ratio + (1.1 / G if within else 0) < 1.01 * pi**2 / 6) is within


def test_a_few_chains_decide_a_mean_square_exercise():
    n, G = 20, 50
    plan, model = discard(G), models.Exponential(1)
    runs = [
        simulate(plan, model=model, n=n, replications=10_000, rng=seed) for seed in range(5, 10)
    ]
    ratio = np.array([run.ratio[-1] for run in runs])
    error = np.array([run.stderr[-1] for run in runs])
    assert ratio.max() / ratio.min() > 2
    assert error.max() / error.min() > 10
    square, fourth = 1 + 1 / n, (1 + 1 / n) * (1 + 2 / n) * (1 + 3 / n)
    assert derive(plan, model=model, n=n).risk[-1] == pytest.approx(square**G - 1)
    assert 1e4 < fourth**G / square ** (2 * G) < 1e5


@pytest.mark.parametrize(
    ("v2", "model"),
    [(1, models.Exponential(1)), (-1, models.Bernoulli(0.3)), (0, models.Poisson(2))],
)
def test_augment_passes_pi_squared_over_six_at_n_exactly_where_noise_feeds_itself(v2, model):
    ratio = derive(augment(4000), model=model, n=10).ratio
    x = pi * sqrt(abs(v2) / 10)
    end = pi**2 / 6 if v2 == 0 else 10 * (sinh(x) / x - 1) if v2 > 0 else 10 * (1 - sin(x) / x)
    assert np.all(np.diff(ratio) > 0)
    assert ratio[-1] == pytest.approx(end, abs=1e-3)
    assert (end > pi**2 / 6) == (v2 > 0)
    if v2 > 0:
        assert end == pytest.approx(1.728, abs=5e-4)


def test_a_hundred_rows_lose_their_variance_under_discard_alone():
    """63 per cent in a hundred generations of discard, less than two for ever under augment; three
    in four chains of normal fits are below the mean that is left.
    """
    model, n, R = models.NormalGenerator([-1, 1]), 100, 4000
    assert round(float(derive(discard(100), model=model, n=n).risk[-1]), 2) == 0.63
    lost = derive(augment(5000), model=model, n=n).risk
    ever = 1 - np.sin(np.pi / 10) / (np.pi / 10)
    assert (lost < ever).all()
    assert lost[-1] == pytest.approx(ever, rel=1e-3)
    assert ever < 0.02
    fits = simulate(discard(100), model=model, n=n, replications=R, rng=11, fits=True).fits
    variance = fits[:, -1, 1]
    mean = 0.99**100
    assert_agree(variance.mean(), variance.std() / np.sqrt(R), mean, detects=0.5)
    assert_agree((variance < mean).mean(), np.sqrt(0.19 / R), 0.75, detects=0.15)


@pytest.mark.parametrize(
    ("model", "V", "v2"), [(models.Bernoulli(0.5), 0.25, -1), (models.Exponential(2), 4, 1)]
)
@pytest.mark.parametrize("k", [1, 2, 5])
def test_the_clock_of_a_window(model, V, v2, k):
    """E V(mu_g) at g = t n is near V exp(v2 c^2 t), c = 2 / (k + 1), the nearer the more rows."""
    c, apart = 2 / (k + 1), []
    for n in (50, 200, 800):
        plan = window(2 * n, k=k) if k > 1 else discard(2 * n)
        y = 1 + v2 * derive(plan, model=model, n=n).risk / V
        t = np.arange(1, 2 * n + 1) / n
        apart.append(np.abs(y / np.exp(v2 * c * c * t) - 1).max())
    assert apart[0] < 0.15
    assert apart[1] < 0.3 * apart[0]
    assert apart[2] < 0.3 * apart[1]


def test_how_much_of_a_batch_late_fits_hold():
    """The conditions of the clocks: of all but the first k - 1 batches a window keeps 2 / (k + 1),
    of the real one everything; the squares under augment and a share of real data have bounds.
    """
    for k in (2, 3, 5):
        kept = derive(window(60, k=k)).contributions
        np.testing.assert_allclose(kept[:, 0], 1)
        lag = np.subtract.outer(np.arange(60), np.arange(60))
        late = (lag >= 40) & (np.arange(60) >= k - 1)
        np.testing.assert_allclose(kept[late], 2 / (k + 1), rtol=1e-4)
        early = kept[-1, : k - 1]  # these stay apart from it
        assert np.all(early > 2 / (k + 1) * 1.04)
    for share in (0.1, 0.3):
        squares = (derive(fixed_real_share(200, share=share)).contributions ** 2).sum(axis=1)
        assert np.all(squares <= 1 / (share * (2 - share)) * (1 + 1e-12))
        assert squares[-1] == pytest.approx(1 / (share * (2 - share)))
    h = np.cumsum(1 / np.arange(1, 41) ** 2)
    np.testing.assert_allclose((derive(augment(40)).contributions ** 2).sum(axis=1), h)


def test_what_forgets_has_the_clock_of_its_mean_lag():
    """Weights that fall by half each generation: c is the share of noise that stays for ever."""
    n = 400
    plan = forgetting(2 * n, memory=0.5)
    c = derive(plan).contributions[-1, n]
    y = 1 - derive(plan, model=models.Bernoulli(0.5), n=n).risk / 0.25
    assert y[-1] == pytest.approx(np.exp(-2 * c * c), rel=0.01)


def test_a_clock_that_stops():
    """Augment, and a share of real data: E V is off by order 1 / n at all times."""
    for make in (augment, lambda G: fixed_real_share(G, share=0.3)):
        off = [
            n * np.abs(derive(make(3 * n), model=models.Bernoulli(0.5), n=n).risk / 0.25).max()
            for n in (50, 100, 200)
        ]
        np.testing.assert_allclose(off, off[-1], rtol=0.05)
        assert max(off) < 2


def test_half_lives():
    """0.69 n generations for a coin under discard, 9 times that with a window of 5; and what the
    picture says of 100 rows.
    """
    n, coin = 100, models.Bernoulli(0.5)
    lives = {}
    for k, G in ((1, 100), (2, 200), (5, 800)):
        plan = window(G, k=k) if k > 1 else discard(G)
        left = 1 - derive(plan, model=coin, n=n).risk / 0.25
        lives[k] = np.argmax(left <= 0.5) + 1
    assert lives[1] == pytest.approx(0.69 * n, rel=0.01)
    assert lives[5] == pytest.approx(9 * 0.69 * n, rel=0.05)
    assert lives[2] == pytest.approx(2.25 * 0.69 * n, rel=0.02)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.7])
def test_a_coin_ends_after_kimuras_time(p):
    """From the whole law of the count: fixed at 1 with chance p, at the mean time of the diffusion
    up to order 1 / n.
    """
    off = []
    for n in (40, 160):
        k = np.arange(n + 1)
        step, law, time = binom.pmf(k, n, k[:, None] / n), binom.pmf(k, n, p), 1.0
        for _ in range(40 * n):
            time += law[1:-1].sum()
            law = law @ step
        assert law[-1] == pytest.approx(p, abs=1e-6)
        off.append(time / (-2 * n * (p * np.log(p) + (1 - p) * np.log(1 - p))) - 1)
    assert abs(off[1]) < 0.02
    assert abs(off[1]) < 0.5 * abs(off[0])
