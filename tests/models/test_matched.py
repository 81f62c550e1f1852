"""Generators that keep the mean and the variance of their training set: the risk of the mean is
that of a Bernoulli family, whatever the real law is.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from collapse import Plan, derive, diagnose, models, simulate, workflows
from tests.plans import ZOO, typed
from tests.statistics import assert_agree, assert_risks_agree

SKEWED = [0, 0, 0, 0, 1, 1, 2, 30]
rng = np.random.default_rng(0)
VECTORS = np.column_stack([rng.exponential(size=40) ** 2, rng.integers(0, 2, 40)])
VECTORS[:, 1] += 0.1 * VECTORS[:, 0]
GENERATORS = [
    models.BootstrapGenerator(SKEWED),
    models.NormalGenerator(SKEWED),
    models.BootstrapGenerator(VECTORS),
    models.NormalGenerator(VECTORS),
]
UNEQUAL = Plan([0, 1, 2], [1, 2, 0.5], [[1, 0, 0], [0.3, 0.7, 0], [0, 0.8, 0.2]], name="unequal")


class RowsAlone:
    """The model without its statistic."""

    def __init__(self, model):
        self.truth, self.draw, self.draw_real = model.truth, model.draw, model.draw_real
        self.fit, self.risk, self.deviation = model.fit, model.risk, model.deviation


@pytest.mark.parametrize("plan", [*(make(4) for make in ZOO.values()), UNEQUAL, typed(partly=True)])
def test_the_ratio_is_that_of_a_bernoulli_mean_under_every_plan(plan):
    n, coin = 12 * 4, models.Bernoulli(0.3)
    bernoulli = derive(plan, model=coin, n=n)
    for model in GENERATORS:
        risk = derive(plan, model=model, n=n)
        unit = model.variance_function[0] / 0.21
        np.testing.assert_allclose(risk.risk, unit * bernoulli.risk, rtol=1e-12)
        np.testing.assert_allclose(risk.covariance, unit * bernoulli.covariance, rtol=1e-12)
    two = models.BootstrapGenerator([0, 0, 0, 0, 0, 0, 0, 1, 1, 1])
    np.testing.assert_allclose(derive(plan, model=two, n=n).risk, bernoulli.risk, rtol=1e-12)


@pytest.mark.statistical
@pytest.mark.parametrize(
    "plan",
    [workflows.discard(12), workflows.augment(5), UNEQUAL, typed(partly=True)],
    ids=lambda plan: plan.name,
)
@pytest.mark.parametrize("model", GENERATORS, ids=repr)
def test_simulated_risk_is_exact_at_n(model, plan):
    n = 12
    simulated = simulate(plan, model=model, n=n, replications=60_000, rng=1)
    assert_risks_agree(simulated, derive(plan, model=model, n=n), detects=0.2)


@pytest.mark.statistical
@pytest.mark.parametrize("model", GENERATORS[:2], ids=repr)
def test_rows_and_statistics_have_one_law(model):
    plan, n = workflows.augment(4), 10
    simulated = simulate(plan, model=RowsAlone(model), n=n, replications=20_000, rng=2)
    assert_risks_agree(simulated, derive(plan, model=model, n=n), detects=0.2)


def test_overlapping_draws_by_enumeration():
    """Two rows of a law on three points, bootstrapped; fit 2 reads one row of each batch: all
    outcomes in fractions.
    """
    points, chance = [0, 1, 30], [Fraction(1, 2), Fraction(3, 8), Fraction(1, 8)]
    mean = sum(x * p for x, p in zip(points, chance, strict=True))
    variance = sum(x * x * p for x, p in zip(points, chance, strict=True)) - mean**2
    square = Fraction(0)
    for i, j in product(range(3), repeat=2):
        for *drawn, read, again in product((i, j), (i, j), (i, j), (0, 1)):
            error = Fraction(points[read] + points[drawn[again]], 2) - mean
            square += chance[i] * chance[j] * error**2 / 16
    coin = models.Bernoulli(Fraction(1, 2))
    known = derive(workflows.subsample(2), model=coin, n=2, exact=True).risk[1] / Fraction(1, 4)
    assert square == known * variance


@pytest.mark.statistical
@pytest.mark.parametrize("model", GENERATORS, ids=repr)
def test_rows_that_persist(model):
    plan = workflows.reservoir(5, turnover=0.5)
    simulated = simulate(plan, model=model, n=12, replications=40_000, rng=9)
    assert_risks_agree(simulated, derive(plan, model=model, n=12), detects=0.25)


@pytest.mark.statistical
@pytest.mark.parametrize("kind", ["bootstrap", "normal", "two points"])
@pytest.mark.parametrize("law", ["exponential", "rare"])
def test_mean_and_variance_without_the_package(kind, law):
    """Weighted training sets of unequal sizes, rows by numpy alone: E (m - mu)^2 and E (variance)
    add up to the real variance, and the first is what derive says.
    """
    R, n, draws = 60_000, 6, np.random.default_rng(3)
    real = {
        "exponential": draws.standard_exponential,
        "rare": lambda size: 3.0 * (draws.random(size) < 0.1),
    }
    mean, variance = {"exponential": (1.0, 1.0), "rare": (0.3, 0.81)}[law]
    rows, fits = [real[law]((R, n))], []
    for g, weights in enumerate([[1], [0.3, 0.7], [0, 0.8, 0.2]]):
        size = np.array([batch.shape[1] for batch in rows])
        share = np.repeat(np.array(weights) / size, size)
        pool = np.concatenate(rows, axis=1)
        m = pool @ share
        v = ((pool - m[:, None]) ** 2) @ share
        fits.append((m, v))
        if g == 2:
            break
        shape = (R, 2 * n if g == 0 else n // 2)
        if kind == "bootstrap":
            places = (draws.random((*shape, 1)) >= np.cumsum(share)[:-1]).sum(axis=2)
            rows.append(np.take_along_axis(pool, places, axis=1))
        else:
            noise = (
                draws.standard_normal(shape) if kind == "normal" else draws.choice([-1, 1], shape)
            )
            rows.append(m[:, None] + np.sqrt(v)[:, None] * noise)
    model = models.BootstrapGenerator([0, 1])  # only the real variance matters: here 1/4
    known = 4 * variance * derive(UNEQUAL, model=model, n=n).risk
    square = np.array([(m - mean) ** 2 for m, _ in fits])
    spread = np.array([v for _, v in fits])
    root = np.sqrt(R)
    assert_agree(square.mean(axis=1), square.std(axis=1) / root, known, detects=0.2)
    assert_agree(spread.mean(axis=1), spread.std(axis=1) / root, variance - known, detects=0.2)


@pytest.mark.statistical
def test_covariance_matrices_are_lost_as_the_mean_wanders():
    """E (m - mu)(m - mu)' = r S and E (fitted covariance) = (1 - r) S, S the real covariance, r =
    1 - (1 - 1/n)^g under discard.
    """
    n, G, R = 8, 6, 60_000
    model = models.NormalGenerator(VECTORS)
    S = np.cov(VECTORS.T, bias=True)
    fits = simulate(workflows.discard(G), model=model, n=n, replications=R, rng=4, fits=True).fits
    left = (1 - 1 / n) ** np.arange(1, G + 1)
    error = fits[:, :, :2] - VECTORS.mean(axis=0)
    outer = (error[..., :, None] * error[..., None, :]).reshape(R, G, 4)
    for values, share in ((outer, 1 - left), (fits[:, :, 2:], left)):
        expected = share[:, None] * S.ravel()
        assert_agree(values.mean(axis=0), values.std(axis=0) / np.sqrt(R), expected, detects=0.25)


@pytest.mark.statistical
def test_an_unbiased_variance_obeys_another_law():
    """With divisor n - 1 the expected variance is kept, and the mean wanders like g / n under
    discard (v2 = 0): told apart from the theorem's 1 - (1 - 1/n)^g.
    """
    n, G, R, draws = 10, 10, 60_000, np.random.default_rng(5)
    mean, spread = np.zeros(R), np.ones(R)
    for _ in range(G):
        mean = mean + np.sqrt(spread / n) * draws.standard_normal(R)
        spread = spread * draws.chisquare(n - 1, R) / (n - 1)
    square = mean**2
    error = square.std() / np.sqrt(R)
    assert_agree(square.mean(), error, G / n, detects=0.25)
    model = models.NormalGenerator([-1, 1])
    assert abs(square.mean() - derive(workflows.discard(G), model=model, n=n).risk[-1]) > 20 * error


def test_one_row_is_all_that_is_left_of_one():
    for model in GENERATORS:
        risk = derive(workflows.discard(4), model=model, n=1)
        np.testing.assert_allclose(risk.risk, model.variance_function[0], rtol=1e-12)
        run = simulate(workflows.discard(4), model=model, n=1, replications=200, rng=6)
        np.testing.assert_allclose(run.risk, run.risk[0], rtol=1e-12)


def test_a_fit_has_the_weighted_moments():
    weight = np.random.default_rng(7).uniform(0.5, 2, (2, 9))
    model = models.NormalGenerator(VECTORS)
    rows = model.draw_real(2, 9, np.random.default_rng(8))
    for fit, batch, w in zip(model.fit(rows, weight, None), rows, weight, strict=True):
        np.testing.assert_allclose(fit[:2], np.average(batch, axis=0, weights=w))
        np.testing.assert_allclose(
            fit[2:].reshape(2, 2), np.cov(batch.T, aweights=w, ddof=0), rtol=1e-9
        )
    model = models.BootstrapGenerator([5, 1, 3])
    fit = model.fit(np.array([[0.0, 2, 2, 0]]), np.array([[1.0, 1, 2, 0]]), None)
    np.testing.assert_allclose(fit, [[0.25, 0, 0.75]])
    np.testing.assert_allclose(model.risk(fit), [0.25])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "rows must be a table of shape"),
        (np.zeros((2, 2, 2)), "rows must be a table of shape"),
        ([1, np.nan], "rows must hold finite numbers"),
        ([1, 1e200], "rows must hold finite numbers"),
        ([0.1, 0.1, 0.1], "rows must differ from each other"),
        (np.zeros((1001, 1000)), "rows would hold 1,001,000 numbers"),
    ],
)
@pytest.mark.parametrize("kind", [models.BootstrapGenerator, models.NormalGenerator])
def test_odd_tables_are_refused(kind, rows, message):
    with pytest.raises(ValueError, match=message):
        kind(rows)


def test_a_verdict_is_proved_and_says_what_variance_is_left():
    for model in GENERATORS:
        said = diagnose(workflows.discard(20), model=model, n=50)
        assert said.verdict == "bounded"
        assert said.certified
        assert said.supremum == pytest.approx(50)
        assert said.variance == pytest.approx(0.98**20)
        assert diagnose(workflows.augment(20), model=model, n=50).never_doubles
