"""A gate of held-out rows in `simulate`, and the bounds on risk, looks and blind trainers of the
chapter bounds, each against an exact value or an independent computation.
"""

import math
from itertools import pairwise

import numpy as np
import pytest

import collapse
from collapse import models
from collapse.workflows import augment, discard, ring, subsample, window


def first_look(kappa, s):
    """Ratio of generation 2 behind a gate, by numerical integration over u, Z and v."""
    x = np.arange(-8, 8, 0.02) + 0.01
    weight = np.exp(-(x**2) / 2)
    weight /= weight.sum()
    u, z = x[:, None], s * x[None, :]
    new = u + z
    middle, sd = (u + new) / 2, kappa**-0.5  # the candidate is nearer where v is on its side
    above = 0.5 * (1 - np.vectorize(math.erf)(middle / sd / 2**0.5)) if sd else middle < 0
    passes = np.where(z > 0, above, 1 - above)
    return float(weight @ (passes * new**2 + (1 - passes) * u**2) @ weight)


def closed(kappa, s):
    """The same in closed form."""
    omega = np.sqrt(4 + s**2 + 4 / kappa)
    rho, beta = s / omega, 4 / (omega**2 - s**2)
    own = s**2 / np.pi * (np.arccos(rho) - rho * np.sqrt(1 - rho**2))
    cross = s * omega / np.pi * (np.sqrt(1 - rho**2) - rho * np.arccos(rho))
    return 1 + (1 - beta) * own - beta * cross


@pytest.mark.parametrize("kappa", [0.25, 1.0, 4.0])
@pytest.mark.parametrize(("make", "s"), [(discard, 1.0), (augment, 0.5)])
def test_the_first_look_through_a_gate(kappa, make, s):
    assert closed(kappa, s) == pytest.approx(first_look(kappa, s), abs=1e-4)
    risk = collapse.simulate(make(2), gate=kappa, replications=100_000, rng=3)
    assert abs(risk.ratio[1] - closed(kappa, s)) < 5 * risk.stderr[1]


def test_the_first_look_of_a_gate_that_knows_the_truth():
    # E min(u^2, (u + Z)^2) of normal variables, by the absolute moment of a normal pair
    expected = (3 - 2 / np.pi * (2 + np.arcsin(5**-0.5))) / 2
    assert closed(np.inf, 1.0) == pytest.approx(expected, abs=1e-12)
    risk = collapse.simulate(discard(2), gate=np.inf, replications=100_000, rng=3)
    assert abs(risk.ratio[1] - expected) < 5 * risk.stderr[1]


@pytest.mark.parametrize("kappa", [0.5, 2.0])
def test_discard_behind_a_gate_ends_at_the_fit_to_the_held_out_rows(kappa):
    risk = collapse.simulate(discard(100), gate=kappa, replications=40_000, rng=5)
    # the square of the distance that is left, pi / g^2, is far below what is allowed
    assert abs(risk.ratio[-1] - 1 / kappa) < 5 * risk.stderr[-1] + 0.02
    model = collapse.simulate(
        discard(60), model=models.Poisson(3), n=200, gate=kappa, replications=4000, rng=5
    )
    assert abs(model.ratio[-1] - 1 / kappa) < 5 * model.stderr[-1] + 0.05


@pytest.mark.parametrize("d", [1, 2, 3, 10])
def test_a_perfect_gate_makes_discard_a_record_process(d):
    rng, g, R = np.random.default_rng(d), 400, 4000
    u = rng.standard_normal((R, d))
    for _ in range(g - 1):
        new = u + rng.standard_normal((R, d))
        nearer = (new**2).sum(1) < (u**2).sum(1)
        u[nearer] = new[nearer]
    square = (u**2).sum(1)
    expected = 2 * math.gamma(1 + 2 / d) * math.gamma(1 + d / 2) ** (2 / d) * g ** (-2 / d)
    error = square.std() / R**0.5
    if d == 10:  # balls of the size that is reached are not small: far above the formula still
        assert 1.6 * expected < square.mean() < 1.8 * expected
    else:
        assert abs(square.mean() - expected) < 5 * error + 0.1 * (d - 1) * expected
    if d == 1:
        risk = collapse.simulate(discard(g), gate=np.inf, replications=R, rng=1)
        assert risk.risk[-1] * g**2 == pytest.approx(np.pi, rel=0.15)
        assert expected * g**2 == pytest.approx(np.pi)


@pytest.mark.parametrize("make", [discard, augment, lambda G: window(G, 3)])
def test_a_gate_bounds_every_workflow(make):
    for kappa in (0.1, 1.0, np.inf):
        risk = collapse.simulate(make(30), gate=kappa, replications=4000, rng=2)
        most = (kappa**-0.5 + (1 + 1 / kappa) ** 0.5) ** 2
        assert np.all(risk.ratio <= most + 5 * risk.stderr)


def test_augment_behind_a_gate_is_worth_more_or_less_than_the_held_out_rows():
    few, many = (
        collapse.simulate(augment(60), gate=kappa, replications=4000, rng=3) for kappa in (1.0, 4.0)
    )
    assert few.ratio[-1] + 5 * few.stderr[-1] < 1
    assert many.ratio[-1] - 5 * many.stderr[-1] > 1 / 4


def test_a_perfect_gate_never_lets_a_chain_move_away():
    model = models.Median("normal")
    for plan in (discard(6), subsample(6)):
        risk = collapse.simulate(
            plan, model=model, n=60, gate=np.inf, replications=50, rng=4, fits=True
        )
        size = np.abs(risk.fits[..., 0])
        assert all(np.all(new <= old) for old, new in pairwise(size.T))
        assert np.any(size[:, 1:] < size[:, :-1])
        assert np.any(size[:, 1:] == size[:, :-1])


def test_a_gate_is_part_of_the_experiment(tmp_path):
    asked = {"model": models.Poisson(3), "n": 20, "replications": 3000, "rng": 1}
    free = collapse.simulate(discard(4), folder=tmp_path, **asked)
    once = collapse.simulate(discard(4), gate=0.5, folder=tmp_path, **asked)
    kept = collapse.simulate(discard(4), gate=0.5, folder=tmp_path, **asked)
    split = collapse.simulate(discard(4), gate=0.5, workers=2, **asked)
    assert once.ratio.tolist() == kept.ratio.tolist() == split.ratio.tolist()
    assert once.ratio.tolist() != free.ratio.tolist()
    assert free.ratio.tolist() == collapse.simulate(discard(4), **asked).ratio.tolist()
    assert free.gate is None
    assert once.gate == 0.5
    assert "through a gate of 0.5 n held-out rows" in repr(once)
    assert "gate" not in repr(free)
    assert collapse.Risk.load(once.save(tmp_path / "gated.json")).gate == 0.5
    perfect = collapse.simulate(discard(4), gate=np.inf, **asked)
    assert collapse.Risk.load(perfect.save(tmp_path / "perfect.json")).gate == np.inf


X = np.column_stack([np.ones(20), np.arange(20.0)])


@pytest.mark.parametrize(
    ("plan", "options", "message"),
    [
        (discard(3), {"gate": 0}, "gate must be a positive number .*; it is 0"),
        (discard(3), {"gate": [1, 2]}, "gate must be a positive number"),
        (discard(3), {"gate": float("nan")}, "gate must be a positive number"),
        (discard(3), {"gate": "all"}, "gate must hold real numbers"),
        (discard(3), {"gate": 1e7}, "positive number up to 1,000,000, .*; it is 10000000"),
        (
            discard(3),
            {"gate": 1000, "model": models.Median("normal"), "n": 100_000},
            "held-out rows of a block of replications .* smaller gate",
        ),
        (
            discard(3),
            {"gate": 0.123, "model": models.Poisson(3), "n": 100},
            "0.123 times n = 100 is 12.3: take gate = rows / n",
        ),
        (
            discard(3),
            {"gate": 1, "model": models.LinearRegression(X, beta=[0, 1], sigma=1)},
            "labels one design again and again",
        ),
        (ring(3, 2), {"gate": 1}, "fits several models in a generation"),
        (
            discard(3),
            {"gate": 1, "model": models.LogisticRegression(X, beta=[0, 0.1])},
            "is not quadratic",
        ),
    ],
)
def test_a_gate_that_cannot_be(plan, options, message):
    with pytest.raises(ValueError, match=message):
        collapse.simulate(plan, replications=10, rng=0, **options)


def test_blind_trainers_that_shout_or_bend():
    # the last fit alone: loud ones come near to 1
    for alpha, G in ((1.0, 6), (5.0, 6), (0.0, 4)):
        noise = np.zeros((G, G))  # coefficients of Z_1, ..., Z_G in Y_g
        noise[0, 0] = 1
        for k in range(1, G):
            noise[k] = (1 + alpha) * noise[k - 1]
            noise[k, k] = 1
        last = noise[-1] / (1 + alpha) ** (G - 1)
        assert last @ last == pytest.approx(sum((1 + alpha) ** (-2 * k) for k in range(G)))
    # fit 1 bounded: whatever bends it, 5/4 at generation 2, in the mean over h
    x = np.arange(-60, 60, 0.1)
    inner = np.abs(x) < 30
    for wave, period in ((0.0, 1.0), (0.3, 4.0), (1.0, 2.0), (2.0, 9.0)):
        sums = 2 * x + wave * np.sin(2 * np.pi * x / period)
        y = np.arange(-60, 60, 0.1)
        mass = np.exp(-((y[:, None] - sums) ** 2) / 2)
        mean = mass @ x / mass.sum(1)
        spread = (mass @ x**2) / mass.sum(1) - mean**2
        weight = mass[:, inner].sum(1)
        assert 1 + weight @ spread / weight.sum() >= 1.25 - 2e-3 * (wave == 0)


@pytest.mark.parametrize("r", [0.5, 1, 3])
def test_a_budget_of_rows_read(r):
    G = 30
    g = np.arange(1, G + 1)
    kept = np.minimum(1, r / g)[:, None] * np.ones(G)
    derived = collapse.derive(augment(G).replace(kept=kept)).risk
    drawn = np.maximum(1 / r - 1 / g, 0)
    law = np.cumsum(1 / g**2) + drawn + np.cumsum(np.append(0, drawn[:-1]) / g**2)
    assert np.allclose(derived, law, rtol=1e-12)
    if r >= 1:
        k = np.arange(1, 10**6)
        end = np.pi**2 / 6 + 1 / r + np.sum(np.maximum(1 / r - 1 / k, 0) / (k + 1) ** 2)
        assert np.pi**2 / 6 + 1 / r <= end < np.pi**2 / 6 + 1 / r + 1 / r**2


def test_weights_by_age_grow_faster_than_the_bound_and_come_near_to_it():
    for weight in ([0.01, 0, 0.99], [0.2, 0.3, 0.5], [1 / 3] * 3):
        k, c = len(weight), np.zeros(4000)
        c[0] = 1
        for i in range(1, len(c)):
            c[i] = sum(weight[j] * c[i - j - 1] for j in range(min(k, i)))
        step = sum((j + 1) * w for j, w in enumerate(weight))
        assert c[-1] == pytest.approx(1 / step, abs=1e-9)
        assert 1 / k**2 < c[-1] ** 2
    assert (1 / (0.01 + 2.97)) ** 2 < 1.02 / 9
    for k in range(1, 40):
        greedy = 4 * np.sin(np.pi / (4 * k + 2)) ** 2
        assert 1 / k**2 <= greedy * (1 + 1e-12)
        assert greedy * k**2 < np.pi**2 / 4
        assert 4 * k**2 / (k + 1) ** 2 < 4


def test_only_the_pooled_score_is_left_without_labels():
    # exact: two batches of labels at 1/2 + h, the order forgotten; many rows
    n, h = 400, np.array([0.8, -0.3])
    from scipy.stats import binom

    chance = 0.5 + h / (2 * n**0.5)  # information 1 in h
    rows = np.arange(n + 1)
    first, second = (binom.pmf(rows, n, p) for p in chance)
    told, none = np.convolve(first, second), binom.pmf(np.arange(2 * n + 1), 2 * n, 0.5)
    score = (2 * np.arange(2 * n + 1) - 2 * n) / n**0.5 / 2  # the mean of two batches' scores
    H = h.sum()
    limit = np.exp(H * score - H**2 / 4)
    assert np.sum(none * np.abs(told / none - limit)) < 0.01


@pytest.mark.parametrize("stop", ["first crossing", "worst"])
def test_stops_and_picks_under_augment(stop):
    g = np.arange(1, 61)
    walk = np.cumsum(np.random.default_rng(8).standard_normal((40_000, 60)) / g, axis=1)
    if stop == "worst":
        square = (walk**2).max(axis=1)
        most = 2 * np.pi**2 / 3
    else:
        crossed = np.abs(walk) > 1.5
        at = np.where(crossed.any(axis=1), crossed.argmax(axis=1), 59)
        square, most = walk[np.arange(len(walk)), at] ** 2, np.pi**2 / 6
        # optional stopping: the mean of the clock
        clock = np.cumsum(1 / g**2)[at]
        assert abs(np.mean(square - clock)) < 5 * np.std(square - clock) / 200
    assert square.mean() < most


def chances(c, clock, terms=60):
    j = np.arange(terms)
    terms = np.exp(-((2 * j + 1) ** 2) * np.pi**2 * clock / (8 * c**2)) / (2 * j + 1)
    return 1 - 4 / np.pi * np.sum((-1.0) ** j * terms)


def test_the_band_of_a_whole_chain():
    g = np.arange(1, 101)
    clock = np.sum(1 / g**2)
    walk = np.cumsum(np.random.default_rng(9).standard_normal((40_000, 100)) / g, axis=1)
    most = np.abs(walk).max(axis=1)
    for c in (1.5, 2.875, 3.5):
        seen = np.mean(most > c)
        assert seen < chances(c, clock) + 5 * (chances(c, clock) / 40_000) ** 0.5
        assert chances(c, clock) < clock / c**2
    # a fine walk on the same clock attains the series
    fine = np.cumsum(np.random.default_rng(9).standard_normal((4000, 2000)), axis=1)
    seen = np.mean(np.abs(fine).max(axis=1) * (clock / 2000) ** 0.5 > 2.0)
    assert seen == pytest.approx(chances(2.0, clock), abs=0.04)


def coin(chance, edge, n, G):
    """Moments 1 and 2 of n D_g, and n E (theta - theta*)^2, of a coin under augment, exactly."""
    from scipy.stats import binom

    true, rows, out = math.log(chance / (1 - chance)), np.arange(n + 1), []
    mass = binom.pmf(rows, n, chance)
    for k in range(1, G + 1):
        share = np.arange(k * n + 1) / (k * n)
        with np.errstate(divide="ignore"):
            fit = np.clip(np.log(share) - np.log1p(-share), -edge, edge)
        cut = 1 / (1 + np.exp(-fit))
        lead = (fit - true) * share - np.logaddexp(0, fit) + math.log1p(math.exp(true))
        assert lead.min() > -1e-12
        out.append([n * mass @ lead, n**2 * mass @ lead**2, n * mass @ (fit - true) ** 2])
        drawn = binom.pmf(rows, n, cut[:, None]) * mass[:, None]
        mass = np.zeros((k + 1) * n + 1)
        for j in rows:
            mass[j : j + k * n + 1] += drawn[:, j]
    return np.array(out).T


@pytest.mark.parametrize(("chance", "edge"), [(0.3, 1.0), (0.3, 1.5), (0.5, 3.0), (0.2, 1.39)])
def test_a_projected_coin_stays_below_its_bounds(chance, edge):
    for n in (1, 2, 7, 30):
        G = 25
        first, second, square = coin(chance, edge, n, G)
        h = np.cumsum(1 / np.arange(1, G + 1) ** 2)
        low = 1 / (1 + math.exp(edge))
        mu, v = low * (1 - low), 0.25
        p = np.linspace(low, 1 - low, 999)
        kappa = np.max(3 * (p * (1 - p)) ** 2 + p * (1 - p) * (1 - 6 * p * (1 - p)) / n)
        assert np.all(first <= v / (2 * mu) * h)
        assert np.all(square <= v / mu**2 * h)
        assert np.all(second <= np.pi**4 / 48 * (v / mu) ** 2 + np.pi**4 / 180 * kappa / mu**2)


def test_the_leads_of_a_projected_coin_tend_to_the_law_uniformly():
    h = np.cumsum(1 / np.arange(1, 13) ** 2)
    off = [np.max(np.abs(coin(0.4, 2.0, n, 12)[0] - h / 2)) for n in (15, 60, 240)]
    assert off[0] > off[1] > off[2]
    assert off[2] < 0.01


def test_least_squares_attain_the_bound():
    # normal rows, nothing cut: D = (T - theta*)^2 / 2, mu = v = 1
    risk = collapse.derive(augment(20), model=models.Normal(0, 1), n=7).risk
    h = np.cumsum(1 / np.arange(1, 21) ** 2)
    assert np.allclose(7 * risk / 2, h / 2)


def test_a_logit_without_a_cut_has_no_mean():
    for n in (5, 40):
        means = [coin(0.5, edge, n, 1)[2][0] for edge in (10.0, 100.0, 700.0)]
        least = 2 * 0.5**n * n
        assert means[2] > least * 700**2 * 0.999
        assert means[2] > means[1] > means[0]
    assert abs(coin(0.5, 5.0, 400, 1)[2][0] - 4) < 0.1


def test_a_smooth_loss_stays_below_its_bound():
    rng, n, R = np.random.default_rng(1), 10, 1500
    fit, pool = np.zeros((R, 1)), np.zeros((R, 0))
    x, weight = np.polynomial.hermite_e.hermegauss(120)
    weight = weight / weight.sum()
    force, bend = x + np.tanh(x), 1 / np.cosh(x) ** 2
    v, turn = weight @ force**2, bend - weight @ bend
    fourth = 3 * v**2 + max(weight @ force**4 - 3 * v**2, 0) / n
    stir = weight @ turn**2
    stir = 3 * stir**2 + max(weight @ turn**4 - 3 * stir**2, 0) / n
    c = 4 / 3**1.5 * fourth**0.5 / 2 + (fourth * stir) ** 0.25
    z = np.linspace(-4, 4, 80_001)
    assert np.abs(np.gradient(1 / np.cosh(z) ** 2, z)).max() == pytest.approx(4 / 3**1.5, rel=1e-5)
    h = 0.0
    for k in range(1, 9):
        pool = np.hstack([pool, fit + rng.standard_normal((R, n))])
        old, batch = fit, pool[:, -n:]
        for _ in range(50):
            t = np.tanh(pool - fit)
            fit = fit + ((pool - fit + t).mean(1) / (2 - t**2).mean(1))[:, None]
        # the step is no longer than the batch's gradient over mu g
        gradient = (batch - old + np.tanh(batch - old)).mean(1)
        assert np.all(np.abs(fit - old)[:, 0] <= np.abs(gradient) / k + 1e-9)
        h += 1 / k**2
        square = n * fit[:, 0] ** 2
        assert square.mean() < (np.sqrt(v * h) + c * h / n**0.5) ** 2
        assert abs(square.mean() / (v / (1 + weight @ bend) ** 2 * h) - 1) < 0.25


def test_a_gate_needs_a_fit_to_its_held_out_rows():
    model = models.RandomDesignRegression(10, 1, 1)
    many = {"replications": 50, "rng": 0}
    for n in (12, 4):  # with 4 rows the chain has no fit either
        with pytest.raises(ValueError, match="gate holds out 6 rows, and no replication has a fit"):
            collapse.simulate(discard(3), model=model, n=n, gate=6 / n, **many)
    shortest = models.RandomDesignRegression(10, 1, 1, shortest=True)
    assert collapse.simulate(discard(3), model=shortest, n=12, gate=0.5, **many).ratio[-1] != 1


def test_a_gated_chain_without_any_fit_is_lost_and_not_broken():
    model = models.RandomDesignRegression(10, 1, 1)
    for gate in (4, np.inf):
        lost = collapse.simulate(discard(3), model=model, n=4, gate=gate, replications=20, rng=0)
        np.testing.assert_array_equal(lost.failed, 1)
        assert np.isnan(lost.ratio).all()


def test_a_gated_chain_of_a_model_has_the_law_of_the_limit():
    many = {"gate": 0.5, "replications": 20_000, "rng": 6}
    for make in (augment, lambda G: window(G, 2)):
        limit = collapse.simulate(make(6), **many)
        model = collapse.simulate(make(6), model=models.Poisson(4), n=400, **many)
        error = np.hypot(limit.stderr, model.stderr)[1:]
        assert np.all(np.abs(limit.ratio - model.ratio)[1:] < 5 * error + 0.01)
        free = collapse.derive(make(6)).ratio[1:]
        assert np.all(limit.ratio[1:] < free - 5 * limit.stderr[1:])
