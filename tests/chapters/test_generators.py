"""Formulas of the chapter "Whole rows", typed here once more, against derive, simulate and plain
recursions.
"""

from __future__ import annotations

import numpy as np
import pytest

from collapse import derive, models, simulate, workflows
from tests.statistics import assert_agree

pytestmark = pytest.mark.statistical
ANY = np.random.default_rng(0)  # for measures, which are exact
COLUMN = np.sinh(np.linspace(-2, 2, 81))


def depths(plan):
    """Mean number of generators behind a row, each step followed back by the plan's matrices."""
    G, weight, step = plan.generations, plan.weight[:, :], np.zeros((plan.generations,) * 2)
    for b, source in enumerate(plan.source):
        if source:
            step[:, source - 1] += weight[:, b]
    return np.linalg.solve(np.eye(G) - step, np.ones(G))


def test_depths_are_those_of_the_proposition():
    g = np.arange(1, 31)
    np.testing.assert_allclose(depths(workflows.discard(30)), g)
    np.testing.assert_allclose(depths(workflows.augment(30)), np.cumsum(1 / g))
    for share in (0.1, 0.25, 0.5):
        found = depths(workflows.fixed_real_share(30, share))
        np.testing.assert_allclose(found, (1 - (1 - share) ** g) / share)
        assert (found < 1 / share).all()


@pytest.mark.parametrize("k", [2, 4, 7])
def test_a_window_has_slope_two_over_k_plus_one(k):
    found = depths(workflows.window(300, k=k))
    assert found[-1] - found[-2] == pytest.approx(2 / (k + 1), rel=1e-6)


def test_a_shrinking_bandwidth_is_bounded_under_augment():
    """The recursion of the proposition, far out, against the series; a fixed one is not bounded."""
    G = 20_000
    k = np.arange(1, G + 1)
    added = k**-0.4
    level, moments = 0.0, []
    for g in range(1, G + 1):
        moments.append(level + added[g - 1])
        level += added[g - 1] / (g + 1)
    series = (k**-0.4 / (k + 1)).sum()
    assert moments[-1] == pytest.approx(series + added[-1], rel=1e-3)
    far = np.arange(1, 10**6)
    limit = (far**-0.4 / (far + 1)).sum() + 2.5 * 1e6**-0.4
    assert f"{limit:.2f}" == "2.32"
    assert abs(moments[-1] - limit) < 0.05
    assert depths(workflows.augment(400))[-1] > 6


@pytest.mark.parametrize("shrink", [False, True])
def test_second_moments_of_kernel_densities(shrink):
    n, G, h = 20, 4, 1.2
    model = models.KernelDensity(COLUMN, h, shrink, cells=128)
    centre = model.truth @ model.middle
    square = (model.middle - centre) ** 2
    plan = workflows.augment(G)
    fits = simulate(plan, model=model, n=n, replications=6000, rng=1, fits=True).fits
    widths = [h**2 * ((g * n) ** -0.4 if shrink else 1) for g in range(1, G + 1)]
    level, expected = model.truth @ square, []
    for g, width in enumerate(widths, 1):
        expected.append(level + width)
        level += width / (g + 1)
    found = fits @ square
    error = found.std(axis=0) / np.sqrt(len(found))
    assert_agree(found.mean(axis=0), error, expected, detects=0.1)


def test_the_variance_of_a_kernel_density_tends_to_n_times_its_own():
    n, h, v = 10, 0.7, 1.0
    for _ in range(500):
        v = (1 - 1 / n) * v + h**2
    assert v == pytest.approx(n * h**2)


def test_a_histogram_s_ratio_is_exact_at_n():
    n, g = 100, np.arange(1, 21)
    ratio = derive(workflows.discard(20), model=models.Histogram(COLUMN, 7), n=n).ratio
    np.testing.assert_allclose(ratio, n * (1 - (1 - 1 / n) ** g), rtol=1e-12)


@pytest.mark.parametrize("model", [models.NormalMeanCovariance([0, 0], [[1, 0.5], [0.5, 1]])])
@pytest.mark.parametrize("name", ["discard", "augment"])
def test_many_normal_rows_obey_the_law(model, name):
    plan = getattr(workflows, name)(10)
    found = simulate(plan, model=model, n=20_000, replications=20_000, rng=2)
    expected = derive(plan).ratio
    assert_agree(found.ratio[1:], found.stderr[1:], expected[1:], detects=0.1)
    level = model.limit_risk / 20_000
    assert found.risk[0] == pytest.approx(level, rel=0.05)


@pytest.mark.parametrize("name", ["discard", "augment"])
def test_the_copula_and_the_mixture_obey_the_law(name):
    plan = getattr(workflows, name)(4)
    table = ANY.multivariate_normal([0, 0], [[1, 0.5], [0.5, 1]], 60)
    for model, n, R in (
        (models.GaussianMixture([0.4, 0.6], [-3, 3], [1, 1]), 400, 400),
        (models.GaussianCopula(table), 300, 800),
    ):
        found = simulate(plan, model=model, n=n, replications=R, rng=3)
        law = derive(plan).ratio
        off = np.abs(found.ratio - law) / law
        assert (off[1:] <= 5 * found.stderr[1:] / law[1:] + 0.08).all()
        assert (found.stderr / law < 0.06).all()


def test_added_counts_tend_to_the_uniform_law_or_stay():
    """The recursions of the proof against its formulas."""
    N, V, k = 50, 4, 0.7
    p = true = np.array([0.5, 0.3, 0.15, 0.05])
    for g in range(1, 30):
        p = (N * p + k) / (N + k * V)
        np.testing.assert_allclose(p, 1 / V + (N / (N + k * V)) ** g * (true - 1 / V))
    counts, first = N * true, (N * true + k) / (N + k * V)
    for g in range(1, 30):
        mean = (counts + k) / (g * N + k * V)
        np.testing.assert_allclose(mean, first)
        counts = counts + N * mean


def sharpen(p, T):
    raised = p ** (1 / T)
    return raised / raised.sum()


@pytest.mark.parametrize("T", [0.8, 1.25])
def test_temperatures_multiply_under_discard(T):
    p = true = np.array([0.4, 0.35, 0.2, 0.05])
    for g in range(1, 25):
        np.testing.assert_allclose(p, sharpen(true, T ** (g - 1)), rtol=1e-9)
        p = sharpen(p, T)
    end = [1, 0, 0, 0] if T < 1 else [0.25] * 4
    np.testing.assert_allclose(sharpen(true, T**20 if T < 1 else T**60), end, atol=1e-4)


def test_what_real_data_hold_against_a_temperature():
    """The bounds of the proposition, and that augment goes on losing; steps of the flow."""
    true, T = np.array([0.4, 0.35, 0.2, 0.05]), 0.7
    p, shared, entropy = true, true, []
    for g in range(1, 3000):
        assert (p >= true / g - 1e-15).all()
        assert (shared >= 0.2 * true - 1e-15).all()
        pooled = (g * p + sharpen(p, T)) / (g + 1)
        np.testing.assert_allclose(pooled - p, (sharpen(p, T) - p) / (g + 1), atol=1e-15)
        p, shared = pooled, 0.2 * true + 0.8 * sharpen(shared, T)
        entropy.append(-(p * np.log(p)).sum())
    assert entropy[10] > entropy[100] + 0.1 > entropy[-1] + 0.2


def test_simulated_temperatures_are_those_of_many_rows():
    text, n = "aaaabbbccd", 20_000
    for w, T in (("discard", 0.8), ("augment", 0.8), ("discard", 1.25)):
        model = models.NGram(text, 1, 1, temperature=T)
        plan = getattr(workflows, w)(5)
        fits = simulate(plan, model=model, n=n, replications=40, rng=4, fits=True).fits
        p = true = np.array([0.4, 0.3, 0.2, 0.1])
        for g in range(1, 6):
            np.testing.assert_allclose(fits[:, g - 1, 1:].mean(axis=0), p, atol=0.006)
            p = sharpen(p, T) if w == "discard" else (g * p + sharpen(p, T)) / (g + 1)
        assert true @ true > 0


def test_a_nucleus_leaves_alone_what_has_no_small_share():
    few = models.NGram("abcd", top_p=0.9)
    alone = np.array([0.4, 0.3, 0.18, 0.12])
    np.testing.assert_allclose(few.sharpened(alone), alone)
    cut = few.sharpened(np.array([0.5, 0.3, 0.12, 0.08]))
    assert cut[3] == 0
    # at 0.95: more than 5 per cent each, so 19 at the most
    many = models.NGram("abcdefghijklmnopqrstuvwxyz", 1, top_p=0.95)
    even = np.repeat([1 / 19, 0], [19, 7])
    np.testing.assert_allclose(many.sharpened(even), even)
    assert (many.sharpened(np.repeat([1 / 20, 0], [20, 6])) > 0).sum() == 19


def test_a_shrunk_kernel_keeps_the_variance():
    """Smoothed bootstrap, shrunk: the mean's risk is that of matched moments, exactly."""
    n, h, G, R = 12, 0.6, 4, 40_000
    rng, truth = np.random.default_rng(5), np.array([-1.0, 1.0])
    rows, expected = rng.choice(truth, (R, n)), []
    law = derive(workflows.discard(G), model=models.BootstrapGenerator(truth), n=n).risk
    for _ in range(G):
        mean, v = rows.mean(axis=1, keepdims=True), rows.var(axis=1, keepdims=True)
        expected.append((mean[:, 0] ** 2, np.sqrt(v)))
        drawn = np.take_along_axis(rows, rng.integers(0, n, (R, n)), axis=1)
        with np.errstate(invalid="ignore"):
            shrink = np.sqrt(v / (v + h**2))
        rows = mean + (drawn - mean + h * rng.standard_normal((R, n))) * shrink
    risks = np.array([each for each, _ in expected])
    assert_agree(risks.mean(axis=1), risks.std(axis=1) / np.sqrt(R), law, detects=0.12)


def test_a_pair_that_is_lost_stays_lost_but_after_a_letter_that_was_not_read():
    model = models.NGram("abracadabra", 2, 6)
    plan = workflows.discard(12)
    fits = simulate(plan, model=model, n=4, replications=300, rng=6, fits=True).fits
    for before, after in zip(fits.swapaxes(0, 1)[:-1], fits.swapaxes(0, 1)[1:], strict=True):
        (met, old), (now, new) = model._split(before), model._split(after)
        appeared = (old == 0) & (new > 0) & (now > 0)[..., None]
        assert not appeared[met > 0].any()
    left = [model.measure("support", fits[:, g], ANY).mean() for g in (0, 11)]
    assert left[1] < 0.6 * left[0]
