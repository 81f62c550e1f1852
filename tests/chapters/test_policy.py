"""Formulas of the chapter "What will my policy cost?", typed here once more, against derive and
simulate.
"""

from fractions import Fraction
from math import ceil, log, pi, sqrt

import numpy as np
import pytest

from collapse import Plan, derive, models, simulate, workflows
from collapse.derivation.finite import augment_supremum, least_share
from tests.statistics import assert_agree

HALF = Fraction(1, 2)
THRESHOLD = 1 - sqrt(1 - 6 / pi**2)


def harmonic(G):
    return [sum(Fraction(1, k * k) for k in range(1, g + 1)) for g in range(1, G + 1)]


def design(n, p, seed=1):
    return np.column_stack([np.ones(n), np.random.default_rng(seed).standard_normal((n, p - 1))])


@pytest.mark.parametrize(
    "share", [Fraction(1, 100), Fraction(1, 10), Fraction(3, 8), HALF, Fraction(9, 10)]
)
def test_dial(share):
    """1 + b^2 + b^4 + ... exactly; the limit 1 / (a (2 - a)); 95 % of the extra risk after 1 +
    ceil(ln 20 / (2 ln 1/b)) generations.
    """
    b = 1 - share
    ratio = derive(workflows.fixed_real_share(60, share), exact=True).ratio
    assert ratio.tolist() == [
        sum((b ** (2 * k) for k in range(g)), Fraction(0)) for g in range(1, 61)
    ]
    limit = 1 / (share * (2 - share))
    wait = 1 + ceil(log(20) / (2 * log(1 / b)))
    late = derive(workflows.fixed_real_share(wait, share), exact=True).ratio
    assert late[-2] - 1 < Fraction(19, 20) * (limit - 1) <= late[-1] - 1
    far = derive(workflows.fixed_real_share(2000, share)).ratio[-1]
    np.testing.assert_allclose(far, float(limit), rtol=1e-12)


def test_real_data_alone_has_ratio_one():
    assert derive(workflows.fixed_real_share(30, 1), exact=True).ratio.tolist() == [1] * 30


@pytest.mark.parametrize(
    "share",
    [0.02, 0.1, 0.2, 0.3, 0.37, THRESHOLD, 0.38, 0.4, 0.45, 0.49, 0.5, 0.51, 0.6, 0.8, 0.99],
)
def test_dial_against_augment(share):
    """From one half on never above, up to the threshold always above, in between a single change of
    sign.
    """
    G = 3000
    gap = (derive(workflows.fixed_real_share(G, share)).ratio - derive(workflows.augment(G)).ratio)[
        1:
    ]
    if share >= 0.5:
        assert np.all(gap <= 0)
        assert np.all(gap[1:] < 0)
    elif share <= THRESHOLD:
        assert np.all(gap > 0)
    else:
        assert gap[0] > 0 > gap[-1]
        assert np.count_nonzero(np.diff(np.sign(gap))) == 1


def test_dial_simulated():
    for share in (0.1, THRESHOLD, 0.7):
        risk = simulate(workflows.fixed_real_share(40, share), replications=40_000, rng=1)
        assert_agree(
            risk.ratio[-1],
            risk.stderr[-1],
            (1 - (1 - share) ** 80) / (share * (2 - share)),
            detects=0.1,
        )


@pytest.mark.parametrize(
    ("make", "ratio"),
    [
        (workflows.discard, lambda g: g),
        (workflows.augment, lambda g: harmonic(g)[-1]),
        (workflows.subsample, lambda g: 3 * harmonic(g)[-1] - 2),
        (workflows.reservoir, lambda g: sum(Fraction(2 * k - 1, k * k) for k in range(1, g + 1))),
        (workflows.mixture, lambda g: 1 + harmonic(g - 1)[-1]),
        (
            lambda G: workflows.fresh_real(G, Fraction(1, 10), 9),
            lambda g: Fraction(10, 19) + Fraction(9, 19) * Fraction(9, 10) ** (2 * g - 2),
        ),
    ],
    ids=["discard", "augment", "subsample", "reservoir", "mixture", "unmarked"],
)
def test_decision_table(make, ratio):
    assert derive(make(30), exact=True).ratio[-1] == ratio(30)


def test_decision_table_limits():
    golden = (sqrt(5) - 1) / 2
    assert abs(derive(workflows.fresh_real(200)).ratio[-1] - golden) < 1e-12
    assert abs(derive(workflows.real_and_average(5000, HALF)).ratio[-1] - 1) < 1e-3
    window = derive(workflows.window(3000, 5)).ratio
    assert abs((window[-1] - window[1499]) / 1500 - 1 / 9) < 1e-9


@pytest.mark.parametrize("share", [Fraction(1, 4), HALF, Fraction(9, 10)])
def test_unmarked_exercise(share):
    """A crawl of which the share w is real, all rows of equal weight: its n real rows are worth (2
    - w) n.
    """
    ratio = derive(workflows.fresh_real(400, share, (1 - share) / share)).ratio[-1]
    np.testing.assert_allclose(ratio, 1 / (2 - float(share)), rtol=1e-12)


@pytest.mark.parametrize("share", [Fraction(1, 4), HALF])
def test_rows_in_place_of_weights_exercise(share):
    G = 120
    weight = [[1] + [0] * (G - 1)] + [
        [share if b == 0 else (1 - share) * (b == g) for b in range(G)] for g in range(1, G)
    ]
    kept = [[1] * G] + [[share if b == 0 else 1 - share for b in range(G)]] * (G - 1)
    ratio = derive(Plan(range(G), [1] * G, weight, kept)).ratio[-1]
    np.testing.assert_allclose(ratio, float(1 + (1 - share**2) / (share * (2 - share))), rtol=1e-9)


@pytest.mark.parametrize(
    "plan",
    [
        workflows.discard(12),
        workflows.augment(12),
        workflows.subsample(12),
        workflows.window(12, 3),
        workflows.mixture(12),
        workflows.fixed_real_share(12, Fraction(1, 10)),
        workflows.real_and_average(12, HALF),
        workflows.forgetting(12, HALF),
    ],
    ids=lambda plan: plan.name,
)
def test_every_fit_has_covariance_one_with_the_first(plan):
    """So a difference to fit 1 has variance ratio - 1: the step behind 8 / bill test rows."""
    risk = derive(plan, exact=True)
    assert set(risk.covariance[0].tolist()) == {1}
    assert set(risk.contributions[:, 0].tolist()) == {1}


@pytest.mark.parametrize(
    "workflow", [workflows.augment, workflows.discard], ids=["augment", "discard"]
)
def test_bill_and_what_a_test_row_sees(workflow):
    """The extra loss D = (ratio - 1) p / (2 n) of logistic regression, and the variance 2 D of a
    test row's difference to fit 1.

    The chain is typed here, with the model's own draws and fits; errors of order 1/n are allowed
    for.
    """
    n, G, R = 2000, 5, 1200
    beta = np.array([0.2, 0.8, -0.6, 0.4])
    X = design(n, 4)
    model = models.LogisticRegression(X, beta)
    rng = np.random.default_rng(2)
    pooled = model.draw_statistic(np.tile(beta, (R, 1)), n, rng)
    first = theta = model.fit_statistic(pooled, None)
    for g in range(2, G + 1):
        batch = model.draw_statistic(theta, n, rng)
        pooled = batch if workflow is workflows.discard else pooled + (batch - pooled) / g
        theta = model.fit_statistic(pooled, None)
    ratio = G if workflow is workflows.discard else float(harmonic(G)[-1])
    bill = (ratio - 1) * len(beta) / (2 * n)
    extra = model.risk(theta) - model.risk(first)
    assert_agree(
        extra.mean(),
        extra.std() / sqrt(R),
        bill,
        detects=0.8 if workflow is workflows.augment else 0.5,
        allowance=0.03,
    )
    # a row's loss is log(1 + exp(margin)) - y margin
    old, new = first @ X.T, theta @ X.T
    chance = 1 / (1 + np.exp(-X @ beta))
    base = np.logaddexp(0, new) - np.logaddexp(0, old)
    mean = base - chance * (new - old)
    variance = (chance * (1 - chance) * (new - old) ** 2).mean(1) + mean.var(1)
    assert_agree(variance.mean(), variance.std() / sqrt(R), 2 * bill, detects=0.3, allowance=0.05)


@pytest.mark.parametrize(
    "name", ["bootstrap", "fresh_real", "reservoir", "all_to_all(models=3)", "augment"]
)
def test_the_bill_of_a_workflow_whose_fits_do_not_all_descend_from_the_first(name):
    """The variance of u_G - u_1 that simulated chains have is C_GG - 2 C_1G + C_11; 4 v p / (n D^2)
    rows are 8 / D where v = ratio - 1. False alarm below 1e-6 (5 standard errors of 8,000 squares);
    it would see 12 per cent.
    """
    plan, R = workflows.named(name, 6), 8000
    C = derive(plan).covariance
    v = C[-1, -1] - 2 * C[0, -1] + C[0, 0]
    fits = simulate(plan, replications=R, rng=3, fits=True).fits
    apart = np.reshape(fits[:, -1] - fits[:, 0], (R, -1))[:, 0]
    assert abs(np.mean(apart**2) / v - 1) < 5 * sqrt(2 / R)
    n, p, rise = 2000, 5, C[-1, -1] - C[0, 0]
    bill = rise * p / (2 * n)
    rows = 4 * v * p / (n * bill**2)
    assert (rows == pytest.approx(8 / abs(bill))) == (
        name
        in ("augment", "bootstrap", "reservoir")  # which have one real batch, and read it first
    )


def test_bill_exercise():
    assert abs((pi**2 / 2 - 3) * 50 / 20_000 - 0.0048) < 5e-5
    assert round(8 / ((pi**2 / 2 - 3) * 50 / 20_000), -1) == pytest.approx(1650, abs=10)
    np.testing.assert_allclose(1 / ((1 - 1 / sqrt(2)) * (1 + 1 / sqrt(2))), 2)


FAMILIES = {
    -1: models.Bernoulli(0.3),
    0: models.Poisson(2),
    1: models.Exponential(1),
    2: models.Gamma(HALF, 1),
}


@pytest.mark.parametrize("v2", FAMILIES)
@pytest.mark.parametrize("n", [2, 5, 20, 200])
def test_least_share_is_the_chapters_formula(n, v2):
    """1 - sqrt((1/2) / (1 + v2 / n)), none where that is negative; at that share the derived ratio
    rises to 2 and stays below.
    """
    formula = max(0.0, 1 - sqrt(0.5 / (1 + v2 / n)))
    assert least_share(n, v2) == pytest.approx(formula, abs=1e-14)
    ratio = derive(workflows.fixed_real_share(200, formula), model=FAMILIES[v2], n=n).ratio
    assert ratio.max() < 2 + 1e-12
    if formula:
        assert ratio[-1] == pytest.approx(2, rel=1e-9)
    bounded = max(0.0, 1 - 1 / sqrt(1 + v2 / n))
    assert least_share(n, v2, below=np.inf) == pytest.approx(bounded, abs=1e-14)


def test_least_share_simulated():
    """Exponential rows, n = 20: chains at the least share, against the formula and derive."""
    share, G = least_share(20, 1), 25
    exact = derive(workflows.fixed_real_share(G, share), model=FAMILIES[1], n=20).ratio
    rho = (1 - share) ** 2 * (1 + 1 / 20)
    np.testing.assert_allclose(exact, (1 - rho ** np.arange(1, G + 1)) / (1 - rho), rtol=1e-12)
    risk = simulate(
        workflows.fixed_real_share(G, share), model=FAMILIES[1], n=20, replications=60_000, rng=3
    )
    assert_agree(risk.ratio[[1, 4, -1]], risk.stderr[[1, 4, -1]], exact[[1, 4, -1]], detects=0.15)


def test_one_per_cent_of_twenty_exponential_rows():
    ratio = derive(workflows.fixed_real_share(1500, 0.01), model=FAMILIES[1], n=20).ratio[-1]
    assert float(f"{ratio:.1e}") == 1.7e20
    assert 100 * least_share(20, 1, below=np.inf) == pytest.approx(2.41, abs=0.005)
    assert round(least_share(10, 1), 4) == round(1 - sqrt(5 / 11), 4)
    assert [round(augment_supremum(10, v2), 3) for v2 in (-1, 1)] == [1.566, 1.728]


def test_a_variance_that_grows_with_the_mean_needs_no_more_real_data():
    """Poisson rows do as normal ones at every n: what counts is the square of the mean."""
    plan = workflows.fixed_real_share(40, 0.3)
    ratios = [derive(plan, model=m, n=5).ratio for m in (models.Normal(0, 1), models.Poisson(3))]
    np.testing.assert_allclose(ratios[0], ratios[1], rtol=1e-12)
    assert derive(plan, model=models.Exponential(1), n=5).ratio[-1] > ratios[0][-1]


def test_fresh_rows_with_little_weight_do_not_bring_the_ratio_below_one():
    assert derive(workflows.fresh_real(500, 0.1)).ratio[-1] > 4
    assert derive(workflows.fresh_real(500)).ratio[-1] < 1


def test_a_memory_that_keeps_the_oldest_rows_is_the_real_data():
    """So a memory of fixed size need not collapse: a window or one kept at random does."""
    assert derive(workflows.fixed_real_share(2000, 1)).ratio[-1] == 1
    others = workflows.reservoir(2000), workflows.window(2000, 5)
    assert min(derive(other).ratio[-1] for other in others) > 10
