"""Regression on covariates that every batch draws anew: exact where all rows weigh alike, the
deterministic equivalent for other weights and ridge, and what is refused.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from scipy.special import digamma

from collapse import Plan, derive, models, simulate, workflows
from collapse.derivation.equivalent import deterministic_equivalent
from collapse.models.wishart import wishart_root
from tests.plans import typed
from tests.statistics import assert_agree, assert_risks_agree

MODEL = models.RandomDesignRegression(5, [1, -2, 0.5, 0, 3], sigma=2)

GROWING = workflows.augment(4, size=[2, 0.5, 3])
# fit 3 goes back to fit 1 and reads one of its two batches, fit 4 begins anew from fit 3; the last
# batch is never read, nor is the second real one after fit 1
TREE = Plan(
    [0, 0, 1, 1, 3, 4],
    [1, 0.5, 1, 2, 1, 1],
    [
        [2 / 3, 1 / 3, 0, 0, 0, 0],
        [2 / 9, 1 / 9, 2 / 9, 4 / 9, 0, 0],
        [2 / 7, 1 / 7, 0, 4 / 7, 0, 0],
        [0, 0, 0, 0, 1, 0],
    ],
    name="tree",
)
LINES = [workflows.discard(4), workflows.augment(4), GROWING]


class RowsAlone:
    """The model without its statistic."""

    def __init__(self, model):
        self.truth, self.draw, self.draw_real = model.truth, model.draw, model.draw_real
        self.fit, self.risk, self.deviation = model.fit, model.risk, model.deviation


def steps(counts, p, sigma):
    """Risk of pooled fits that each take up so many new rows: typed from the theorem."""
    total = np.cumsum(counts)
    return sigma**2 * p * np.cumsum(counts / (total * (total - p - 1)))


@pytest.mark.statistical
@pytest.mark.parametrize("plan", [*LINES, TREE], ids=lambda plan: plan.name)
@pytest.mark.parametrize("model", [MODEL, RowsAlone(MODEL)], ids=["statistics", "rows"])
def test_simulated_risk_is_exact_at_n(plan, model):
    replications = 40_000 if model is MODEL else 12_000
    covariance = plan is not TREE
    simulated = simulate(
        plan, model=model, n=20, replications=replications, rng=3, covariance=covariance
    )
    derived = derive(plan, model=MODEL, n=20)
    detects = 0.12 if model is MODEL else 0.25
    assert_risks_agree(simulated, derived, detects=detects)
    if covariance:  # no standard errors: each entry is off by no more than its diagonal is
        C = derived.covariance
        np.testing.assert_allclose(np.diag(C), derived.risk)
        np.testing.assert_allclose(simulated.covariance, C, rtol=0.06)


@pytest.mark.statistical
def test_risk_on_fresh_covariates_without_the_package():
    """Augment by lstsq on stacked rows: n = 20, p = 5, and by the sum of the theorem; rows that
    are correlated give the same risks.
    """
    n, p, R, G = 20, 5, 6000, 4
    rng = np.random.default_rng(4)
    mix = np.tril(rng.standard_normal((p, p))) + 2 * np.eye(p)
    risk = np.zeros((R, G))
    for r in range(R):
        theta, X, y = np.ones(p), np.zeros((0, p)), np.zeros(0)
        for g in range(G):
            new = rng.standard_normal((n, p)) @ mix.T
            X = np.concatenate([X, new])
            y = np.concatenate([y, new @ theta + rng.standard_normal(n)])
            theta = np.linalg.lstsq(X, y, rcond=None)[0]
            risk[r, g] = ((mix.T @ (theta - 1)) ** 2).sum()
    expected = steps([n] * G, p, 1)
    model = models.RandomDesignRegression(p, 1, 1)
    np.testing.assert_allclose(expected, derive(workflows.augment(G), model=model, n=n).risk)
    assert_agree(risk.mean(axis=0), risk.std(axis=0) / np.sqrt(R), expected, detects=0.12)


def test_pooled_plans_have_the_sums_of_the_theorem():
    n, p = 30, 5
    for plan, counts in (
        (workflows.augment(6), [30] * 6),
        (GROWING, [30, 60, 15, 90]),
        (workflows.augment(3, size=Fraction(1, 10)), [30, 3, 3]),
    ):
        np.testing.assert_allclose(derive(plan, model=MODEL, n=n).risk, steps(counts, p, 2))
    first = 4 * p / (n - p - 1)
    np.testing.assert_allclose(
        derive(workflows.discard(5), model=MODEL, n=n).risk, first * np.arange(1, 6)
    )
    assert np.round(derive(workflows.augment(10), model=MODEL, n=20).ratio[-1], 5) == 1.4323
    wide = models.RandomDesignRegression(50, 0, 1)
    assert np.round(derive(workflows.augment(8), model=wide, n=60).ratio[-1], 5) == 1.11857
    # 30 + 15 real rows, then 30 + 60 of fit 1; 45 + 60 of it alone; 30 of fit 3 alone
    first, third, fourth = np.cumsum([1 / 39, 60 / (105 * 99), 1 / 24])
    expected = 4 * p * np.array([first, first + 90 / (135 * 129), third, fourth])
    np.testing.assert_allclose(derive(TREE, model=MODEL, n=n).risk, expected)


def test_an_exact_answer_is_a_fraction():
    model = models.RandomDesignRegression(2, 0, Fraction(1, 2))
    risk = derive(workflows.augment(3), model=model, n=5, exact=True)
    first = Fraction(1, 4) * 2
    assert risk.risk.tolist() == [
        first * Fraction(1, 2),
        first * (Fraction(1, 2) + Fraction(1, 14)),
        first * (Fraction(1, 2) + Fraction(1, 14) + Fraction(1, 36)),
    ]
    assert risk.covariance[2].tolist() == risk.risk.tolist()
    with pytest.raises(ValueError, match="exact=True needs a rational sigma"):
        derive(
            workflows.augment(3),
            model=models.RandomDesignRegression(2, 0, 0.5),
            n=5,
            exact=True,
        )


def test_the_mean_exists_from_p_plus_two_rows_on():
    for plan in (workflows.discard(3), workflows.augment(3)):
        assert derive(plan, model=MODEL, n=7).risk[0] == pytest.approx(4 * 5)
        for few in (5, 6):
            with pytest.raises(ValueError, match=f"fit 1 reads {few} rows, .* at least 7 are"):
                derive(plan, model=MODEL, n=few)


@pytest.mark.parametrize("share", [0.01, 0.25, 0.5, 0.9])
def test_the_limit_over_columns_per_row(share):
    """Under augment (1 - c)(psi(1) - psi(1 - c)) / c for p = c n: pi^2/6 at 0, 2 log 2 at one half,
    1 at 1.
    """
    n = 100_000
    model = models.RandomDesignRegression(1, 0, 1)
    object.__setattr__(model, "columns", int(share * n))  # no matrix of that size is ever made
    limit = (1 - share) * (digamma(1) - digamma(1 - share)) / share
    ratio = derive(workflows.augment(4000), model=model, n=n).ratio
    assert ratio[-1] == pytest.approx(limit, abs=5e-4)
    assert (ratio <= limit).all()
    if share == 0.5:
        assert limit == pytest.approx(2 * np.log(2))
    assert 1 < limit < np.pi**2 / 6


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (workflows.subsample(3), "reads part of a batch, and no exact form .* use derive"),
        (workflows.window(4, k=2), "fit 3 of .* reads batches of several fits, and not all that"),
        (workflows.fixed_real_share(3, share=0.3), "fit 2 of .* does not weigh all its rows alike"),
        (workflows.fixed_real_share(4, share=0.5), "fit 3 of .* reads batches of several fits"),
        (
            workflows.augment(3, size=2).replace(weight=np.tril(np.ones((3, 3))) / [[1], [2], [3]]),
            "fit 2 of .* does not weigh all its rows alike",
        ),
    ],
)
def test_plans_without_an_exact_form_are_refused(plan, message):
    with pytest.raises(ValueError, match=message):
        derive(plan, model=MODEL, n=20)


def test_a_penalised_fit_has_no_exact_form():
    model = models.RandomDesignRegression(5, 1, 1, ridge=0.1)
    with pytest.raises(ValueError, match="no exact form at finite n is known for RandomDesign"):
        derive(workflows.augment(3), model=model, n=20)


# --- more columns than rows ---------------------------------------------------------------------

WIDE = models.RandomDesignRegression(24, 0.2, sigma=1, shortest=True)
CROSSING = workflows.augment(4, size=[1, 8, 2])  # 5, 10, 50, 60 rows


@pytest.mark.statistical
@pytest.mark.parametrize(
    "plan", [workflows.discard(4), workflows.augment(3), CROSSING], ids=["discard", "pool", "past"]
)
def test_more_columns_than_rows_are_exact_at_n(plan):
    simulated = simulate(plan, model=WIDE, n=5, replications=6000, rng=3)
    assert_risks_agree(simulated, derive(plan, model=WIDE, n=5), detects=0.15)


@pytest.mark.statistical
def test_the_shortest_coefficients_without_the_package():
    """lstsq on stacked rows, which takes the shortest: a tree that pools, begins anew and pools."""
    n, p, R = 6, 30, 4000
    plan = Plan(
        [0, 1, 2, 3],
        [1] * 4,
        [[1, 0, 0, 0], [1 / 2, 1 / 2, 0, 0], [0, 0, 1, 0], [0, 0, 1 / 2, 1 / 2]],
    )
    rng, risk = np.random.default_rng(4), np.zeros((R, 4))
    for r in range(R):
        theta, X, y = np.full(p, 0.2), np.zeros((0, p)), np.zeros(0)
        for g in range(4):
            new = rng.standard_normal((n, p))
            labels = new @ theta + rng.standard_normal(n)
            pools = g in (1, 3)
            X = np.concatenate([X[: n * pools], new])
            y = np.concatenate([y[: n * pools], labels])
            theta = np.linalg.lstsq(X, y, rcond=None)[0]
            risk[r, g] = ((theta - 0.2) ** 2).sum()
    model = models.RandomDesignRegression(p, 0.2, 1, shortest=True)
    expected = derive(plan, model=model, n=n).risk
    assert_agree(risk.mean(axis=0), risk.std(axis=0) / np.sqrt(R), expected, detects=0.12)
    simulated = simulate(plan, model=model, n=n, replications=4000, rng=5)
    assert_risks_agree(simulated, derive(plan, model=model, n=n), detects=0.12)


def test_a_fit_to_fewer_rows_than_columns_is_the_shortest():
    rng = np.random.default_rng(7)
    rows, weight = WIDE.draw(rng.standard_normal((3, 24)), 9, rng), rng.uniform(0.5, 2, (3, 9))
    fits = WIDE.fit(rows, weight, None)
    for fit, batch in zip(fits, rows, strict=True):
        expected = np.linalg.lstsq(batch[:, :-1], batch[:, -1], rcond=None)[0]
        np.testing.assert_allclose(fit, expected, atol=1e-9)


def test_a_chain_that_meets_as_many_rows_as_columns_has_no_mean_then_or_later():
    for p in (15, 16, 14):  # the third fit of augment reads 15 rows
        model = models.RandomDesignRegression(p, 0.5, 1, shortest=True)
        assert np.isfinite(derive(workflows.augment(2), model=model, n=5).risk).all()
        with pytest.raises(ValueError, match=f"fit 3 reads 15 rows, .* or {p - 2} at the most"):
            derive(workflows.augment(5), model=model, n=5)
    for p in (13, 17):
        model = models.RandomDesignRegression(p, 0.5, 1, shortest=True)
        assert np.isfinite(derive(workflows.augment(5), model=model, n=5).risk).all()
    with pytest.raises(ValueError, match="at least 3 are needed for a risk"):
        derive(workflows.discard(2), model=models.RandomDesignRegression(1, 1, 1, 0, True), n=1)
    with pytest.raises(ValueError, match="beta, which is kept in floats; leave exact out"):
        derive(workflows.augment(2), model=model, n=5, exact=True)
    square = models.RandomDesignRegression(10, 1, 1, shortest=True)
    with pytest.raises(
        ValueError, match=r"it has no limit\. Take a larger n, or a model with a ridge\."
    ):
        deterministic_equivalent(workflows.discard(2), square, 10)


def test_discard_forgets_where_columns_are_more_than_rows():
    n, p = 40, 100
    g, x = np.arange(1, 31), n / p
    for beta, sigma in ((0, 1), (0.3, 0.1), (2, 5)):
        model = models.RandomDesignRegression(p, beta, sigma, shortest=True)
        risk = derive(workflows.discard(30), model=model, n=n)
        np.testing.assert_allclose(risk.ratio, (1 - x**g) / (1 - x))
        end = p * beta**2 + sigma**2 * n * p / ((p - n - 1) * (p - n))
        np.testing.assert_allclose(risk.risk, (1 - x**g) * end)
        assert risk.risk[-1] > p * beta**2
    # 40 and 80 rows are fewer than the columns, 120 and more are not
    model = models.RandomDesignRegression(p, 0.3, 2, shortest=True)
    steps = [1 / 59, 1 / 19, *(p / (40 * k * (40 * k - 101)) for k in (3, 4, 5))]
    expected = 9 * 0.6 + 4 * n * np.cumsum(steps)
    risk = derive(workflows.augment(5), model=model, n=n)
    np.testing.assert_allclose(risk.risk, expected)
    np.testing.assert_allclose(risk.covariance[1, 2:], expected[1])
    assert "covariance" not in derive(workflows.discard(3), model=model, n=n).tables
    for few in (99, 100, 101):
        with pytest.raises(ValueError, match=f"reads {few} rows, .* 102 are needed, or 98 at the"):
            derive(workflows.discard(3), model=model, n=few)
    with pytest.raises(ValueError, match=r"beta, which is kept in floats; .* 102 rows"):
        derive(workflows.discard(3), model=model, n=50, exact=True)


def test_shortest_coefficients_are_the_limit_of_ridge():
    """p - M - 1 becomes p - M in the limit of many rows and columns."""
    n, p, beta = 40, 100, 0.1
    model = models.RandomDesignRegression(p, beta, 1, shortest=True)
    for plan, counts in ((workflows.discard(5), None), (workflows.augment(5), n * np.arange(1, 6))):
        risk = deterministic_equivalent(plan, model, n).risk
        if counts is None:
            first = 0.6 + n / (p - n)
            expected = first * (1 - 0.4 ** np.arange(1, 6)) / 0.6
        else:
            over = counts > p
            steps = np.where(over, p / (counts * np.abs(counts - p)), 1 / np.abs(p - counts))
            expected = 0.6 + n * np.cumsum(steps)
        np.testing.assert_allclose(risk, expected, rtol=1e-6)
        less = models.RandomDesignRegression(p, beta, 1, ridge=1e-5)
        np.testing.assert_allclose(deterministic_equivalent(plan, less, n).risk, risk, rtol=5e-3)
    with pytest.raises(ValueError, match=r"fit 1 reads 100 rows, no more than .* has no limit"):
        deterministic_equivalent(workflows.discard(2), model, 100)


@pytest.mark.statistical
@pytest.mark.parametrize(
    "plan",
    [workflows.window(4, k=2), workflows.fixed_real_share(4, share=0.3)],
    ids=lambda plan: plan.name,
)
def test_other_weights_of_shortest_coefficients_agree_with_simulation(plan):
    """What is off is of order 1 / n."""
    model = models.RandomDesignRegression(120, 0.1, 1, shortest=True)
    simulated = simulate(plan, model=model, n=40, replications=150, rng=6)
    derived = deterministic_equivalent(plan, model, 40)
    assert_risks_agree(simulated, derived, detects=0.3, allowance=0.05)
    plain = derive(plan)
    assert abs(simulated.ratio[-1] / plain.ratio[-1] - 1) > 0.2


# --- the deterministic equivalent ---------------------------------------------------------------


NAMED = [
    workflows.discard(6),
    workflows.augment(6),
    GROWING,
    TREE,
    typed(partly=False),
    workflows.window(6, k=2),
    workflows.fixed_real_share(6, share=0.3),
    workflows.fresh_real(6, share=0.5, kappa=1),
    workflows.forgetting(6, memory=0.5),
    workflows.ring(4, models=2, share=0.5),
]


@pytest.mark.parametrize("plan", NAMED, ids=lambda plan: plan.name)
def test_with_few_columns_the_equivalent_is_the_gaussian_limit(plan):
    model, many = models.RandomDesignRegression(1, 0.5, 2), derive(plan)
    for n in (10**3, 10**6):
        risk = deterministic_equivalent(plan, model, n)
        np.testing.assert_allclose(risk.risk, 4 / n * many.risk, rtol=20 / n)
        np.testing.assert_allclose(risk.covariance, 4 / n * many.covariance, rtol=20 / n)


@pytest.mark.parametrize("plan", [*LINES, TREE], ids=lambda plan: plan.name)
def test_where_the_risk_is_exact_the_equivalent_has_one_row_more(plan):
    """p + 1 becomes p in 1 / (M - p - 1)."""
    n, p = 400, 100
    model = models.RandomDesignRegression(p, 0, 1)
    risk = deterministic_equivalent(plan, model, n).risk
    exact = derive(plan, model=model, n=n).risk
    assert (risk < exact).all()
    np.testing.assert_allclose(risk, exact, rtol=1 / (n - p - 1) + 1e-9)
    if plan in LINES[1:]:
        counts = plan.rows(n)
        total = np.cumsum(counts)
        np.testing.assert_allclose(risk, p * np.cumsum(counts / (total * (total - p))), rtol=1e-10)


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_long_chains_of_wide_designs_keep_their_digits(share):
    """Under discard the ratio is g, whatever p / n is."""
    n, G = 1000, 40
    model = models.RandomDesignRegression(int(share * n), 0, 1)
    risk = deterministic_equivalent(workflows.discard(G), model, n)
    np.testing.assert_allclose(risk.ratio, np.arange(1, G + 1), rtol=1e-10)
    np.testing.assert_allclose(risk.risk[0], share / (1 - share), rtol=1e-12)


@pytest.mark.parametrize("p", [40, 200, 900])
def test_a_single_ridge_fit_has_the_known_limit(p):
    """Bias and variance of ridge by the Stieltjes transform of Marchenko and Pastur's law."""
    n, ridge, sigma, square = 200, 0.3, 1.5, 2.0
    c = p / n
    m = (-(1 - c + ridge) + np.sqrt((1 - c + ridge) ** 2 + 4 * c * ridge)) / (2 * c * ridge)
    step = 1e-6
    at = ridge + step * np.array([-1, 1])
    both = (-(1 - c + at) + np.sqrt((1 - c + at) ** 2 + 4 * c * at)) / (2 * c * at)
    slope = np.diff(both)[0] / (2 * step)
    # the mean over eigenvalues of 1 / (s + ridge)^2 is minus the slope
    bias = -(ridge**2) * slope * square
    variance = sigma**2 * c * (m + ridge * slope)
    model = models.RandomDesignRegression(p, np.sqrt(square / p), sigma, ridge=ridge)
    risk = deterministic_equivalent(workflows.discard(1), model, n).risk[0]
    assert risk == pytest.approx(bias + variance, rel=1e-6)


@pytest.mark.statistical
@pytest.mark.parametrize(
    "plan",
    [NAMED[4], workflows.window(5, k=2), workflows.fixed_real_share(5, share=0.3)],
    ids=lambda plan: plan.name,
)
@pytest.mark.parametrize(("p", "ridge"), [(40, 0.0), (40, 0.3), (100, 0.2)])
def test_the_equivalent_agrees_with_simulation(plan, p, ridge):
    """100 columns are more than the 80 rows of a batch; what is off is of order 1 / n."""
    n = 160 if p == 40 else 80
    model = models.RandomDesignRegression(p, 0.2, 1, ridge=ridge)
    simulated = simulate(plan, model=model, n=n, replications=1500, rng=5)
    derived = deterministic_equivalent(plan, model, n)
    assert_risks_agree(simulated, derived, detects=0.12, allowance=0.02)


@pytest.mark.statistical
def test_forgetting_what_is_inherited_would_be_seen():
    """The product of Gram matrices of two fits is not that of their means: the Gaussian limit's
    ratio is wrong by far at p = n / 2.
    """
    plan, model = workflows.fixed_real_share(5, share=0.3), models.RandomDesignRegression(60, 0, 1)
    risk = simulate(plan, model=model, n=120, replications=800, rng=6)
    apart = np.abs(risk.ratio - derive(plan).ratio)[1:] / risk.stderr[1:]
    assert apart.max() > 10
    near = np.abs(risk.ratio - deterministic_equivalent(plan, model, 120).ratio)
    assert (near <= 5.3 * risk.stderr + 0.02 * risk.ratio).all()


def test_a_batch_that_no_fit_reads_changes_nothing():
    plain, more = (
        workflows.augment(3),
        Plan(
            [0, 0, 1, 2, 3],
            [1, 3, 1, 1, 1],
            [[1, 0, 0, 0, 0], [0.5, 0, 0.5, 0, 0], [1 / 3, 0, 1 / 3, 1 / 3, 0]],
        ),
    )
    for ridge in (0.0, 0.5):
        model = models.RandomDesignRegression(30, 1, 1, ridge=ridge)
        risks = [deterministic_equivalent(plan, model, 90).risk for plan in (plain, more)]
        np.testing.assert_allclose(*risks, rtol=1e-12)
    np.testing.assert_allclose(
        derive(more, model=MODEL, n=90).risk, derive(plain, model=MODEL, n=90).risk
    )


def test_no_more_rows_than_columns_need_a_ridge():
    plan = workflows.augment(3)
    for p in (20, 25):
        with pytest.raises(ValueError, match=f"fit 1 reads 20 rows, no more than the {p} columns"):
            deterministic_equivalent(plan, models.RandomDesignRegression(p, 0, 1), 20)
    close = models.RandomDesignRegression(19, 0, 1)
    assert deterministic_equivalent(plan, close, 20).risk[0] == pytest.approx(19)
    small = models.RandomDesignRegression(25, 0, 1, ridge=1e-6)
    assert np.isfinite(deterministic_equivalent(plan, small, 20).risk).all()
    for plan in (workflows.subsample(3), workflows.reservoir(3)):
        with pytest.raises(ValueError, match="plan must be a Plan whose fits read whole batches"):
            deterministic_equivalent(plan, close, 20)


# --- the model ----------------------------------------------------------------------------------


def test_a_fit_is_that_of_the_normal_equations():
    rng = np.random.default_rng(7)
    theta = rng.standard_normal((3, 5))
    rows, weight = MODEL.draw(theta, 12, rng), rng.uniform(0.5, 2, (3, 12))
    for ridge in (0.0, 0.7):
        model = models.RandomDesignRegression(5, MODEL.beta, 2, ridge=ridge)
        fits = model.fit(rows, weight, None)
        for fit, batch, w in zip(fits, rows, weight, strict=True):
            X, y, w = batch[:, :-1], batch[:, -1], w / w.sum()
            normal = X.T @ (w[:, None] * X) + ridge * np.eye(5)
            np.testing.assert_allclose(fit, np.linalg.solve(normal, X.T @ (w * y)), rtol=1e-9)
    assert np.isnan(MODEL.fit(rows[:, :4], weight[:, :4], None)).all()


@pytest.mark.statistical
@pytest.mark.parametrize(("rows", "columns"), [(7, 3), (3, 3), (2, 5), (0, 2)])
def test_sums_of_squares_have_wisharts_moments(rows, columns):
    R = 40_000
    root = wishart_root(R, rows, columns, np.random.default_rng(8))
    assert root.shape == (R, columns, min(rows, columns))
    gram = root @ root.mT
    mean = gram.mean(axis=0)
    np.testing.assert_allclose(mean, rows * np.eye(columns), atol=6 * np.sqrt(2 * (rows + 1) / R))
    square = np.einsum("rij,rij->r", gram, gram)
    known = rows * columns * (rows + columns + 1)
    assert abs(square.mean() - known) <= 5.3 * square.std() / np.sqrt(R)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"columns": 0}, "columns .* must be a whole number, at least 1"),
        ({"columns": 10**6}, "columns .* can be 2,000 at most"),
        ({"beta": [1, 2]}, "beta must be one number, or one for each of the 3 columns"),
        ({"beta": [1, 2, np.nan]}, "beta must be one number, or one for each"),
        ({"sigma": 0}, "sigma must be"),
        ({"ridge": -1}, "ridge must be"),
    ],
)
def test_odd_parameters_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        models.RandomDesignRegression(**{"columns": 3, "beta": 1, "sigma": 1} | given)
