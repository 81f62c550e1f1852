"""Selection: the law of the rows, risks exact at every n, what is refused; each engine has a mutant
that must be caught.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from fractions import Fraction as F
from itertools import product
from math import comb

import numpy as np
import pytest
from hypothesis import given
from scipy import stats

from collapse import Plan, derive, models, simulate, workflows
from tests.plans import NAMED, dense, plans, typed
from tests.statistics import assert_agree, assert_risks_agree, assert_same_law

pytestmark = pytest.mark.statistical

X = np.column_stack([np.ones(8), np.linspace(-1, 1, 8)])
LINE = models.LinearRegression(X, [1, 2], sigma=1)
LOGISTIC = models.LogisticRegression(X, [0.3, 0.5])


def edges(rows):
    return 1 - np.exp(-(rows**2) / 2)


def small_residual(rows):
    return np.exp(-((rows[..., 1] - 1 - 2 * X[rows[..., 0].astype(int), 1]) ** 2))


def label(rows):
    return rows[..., 1]


# ---- derive


@given(plan=plans())
def test_no_selection_is_the_family_itself(plan):
    """Slope 1 and the family's own variance function: two independent solvers, in fractions."""
    for model in (models.Bernoulli(F(1, 3)), models.Poisson(F(5, 2)), models.Gamma(F(3, 2), 2)):
        v0, v1, v2 = model.variance_function
        mean = F(model.mean)
        plain = models.LinearResponse(mean, v0 + v1 * mean + v2 * mean * mean, (0, 1), (v0, v1, v2))
        one, other = (derive(plan, model=m, n=420, exact=True) for m in (model, plain))
        assert one.risk.tolist() == other.risk.tolist()
        assert one.covariance.tolist() == other.covariance.tolist()
        assert one.contributions.tolist() == other.contributions.tolist()


TWO_COINS = Plan(
    [0, 1, 2, 1],
    [1, 1, 1, F(1, 2)],
    [[1, 0, 0, 0], [F(1, 2), F(1, 2), 0, 0], [0, F(1, 3), F(1, 3), F(1, 3)]],
    name="coins",
)


def enumerate_coins(plan, n, p, a, b):
    """Mean square error of each fit where a fit mu gives rows that are 1 with probability a + b mu:
    every outcome, in fractions.
    """
    rows = plan.rows(n)
    order = sorted(range(plan.batches), key=lambda j: plan.source[j])
    total = [F(0)] * plan.generations
    weight = plan.exact_weight()
    for counts in product(*(range(rows[j] + 1) for j in order)):
        means = {j: F(c, int(rows[j])) for j, c in zip(order, counts, strict=True)}
        fits = [sum(weight[g, j] * means[j] for j in means) for g in range(plan.generations)]
        chance = F(1)
        for j, c in zip(order, counts, strict=True):
            q = p if plan.source[j] == 0 else a + b * fits[plan.source[j] - 1]
            chance *= comb(int(rows[j]), c) * q**c * (1 - q) ** (int(rows[j]) - c)
        total = [t + chance * (fit - p) ** 2 for t, fit in zip(total, fits, strict=True)]
    return total


@pytest.mark.parametrize(
    "plan", [workflows.discard(3), workflows.augment(3), TWO_COINS], ids=lambda plan: plan.name
)
def test_every_outcome_of_a_small_chain(plan):
    """Labels turned over at random: the mean responds linearly, the variance as a square."""
    p, a, b = F(1, 3), F(1, 10), F(3, 5)
    model = models.LinearResponse(p, p * (1 - p), (a, b), (a * (1 - a), b - 2 * a * b, -b * b))
    assert derive(plan, model=model, n=2, exact=True).risk.tolist() == enumerate_coins(
        plan, 2, p, a, b
    )


@pytest.mark.parametrize("name", list(NAMED))
def test_recursion_dense_tables_and_floats_agree(name):
    plan = NAMED[name](7)
    model = models.LinearResponse(F(1, 2), 2, (F(1, 5), F(4, 5)), (1, F(1, 3), F(1, 7)))
    exact = derive(plan, model=model, n=420, exact=True)
    assert exact.risk.tolist() == derive(dense(plan), model=model, n=420, exact=True).risk.tolist()
    assert exact.risk.tolist() == np.diag(exact.covariance).tolist()
    for tables in (plan, dense(plan)):
        close = derive(tables, model=model, n=420)
        np.testing.assert_allclose(close.risk, exact.risk.astype(float), rtol=1e-12)
        np.testing.assert_allclose(close.covariance, exact.covariance.astype(float), rtol=1e-12)
        np.testing.assert_allclose(
            close.contributions, exact.contributions.astype(float), atol=1e-14
        )


LINEAR = [
    models.Verified(models.Normal(0.3, 1.5), 0.5, 1.2),
    models.Truncated(models.Normal(1, 2), -1, 3, about_fit=True),
    models.BestOf(models.Normal(1, 2), 3),
    models.BestOf(models.Exponential(2), 3),
    models.BestOf(models.Gamma(2.5, 2), 2),
    models.LinearResponse(1, 2, (0.2, 0.7), (1, 0.3, 0.2)),
]
MIXED = typed(partly=True)


@pytest.mark.parametrize("model", LINEAR, ids=repr)
@pytest.mark.parametrize(
    "plan", [workflows.discard(4), workflows.augment(4), MIXED], ids=lambda plan: plan.name
)
def test_simulated_risk_is_the_derived_risk(model, plan):
    assert_risks_agree(
        simulate(plan, model=model, n=36, replications=12_000, rng=1),
        derive(plan, model=model, n=36),
        detects=0.3,
    )


@pytest.mark.parametrize("model", LINEAR[:5], ids=repr)
def test_the_response_is_what_the_rows_do(model):
    """Mean and variance of selected rows at two fits, one of them far from the truth."""
    (m0, m1), (v0, v1, v2) = model.response.selected_mean, model.response.selected_variance
    for mu in (model.truth[0], 1.7 * model.truth[0] + 0.2):
        rows = model.draw(np.array([[mu]]), 200_000, np.random.default_rng(2))[0]
        centred = (rows - rows.mean()) ** 2
        assert_agree(rows.mean(), rows.std() / len(rows) ** 0.5, m0 + m1 * mu, detects=0.1)
        assert_agree(
            centred.mean(), centred.std() / len(rows) ** 0.5, v0 + v1 * mu + v2 * mu**2, detects=0.1
        )


def test_the_largest_of_two_is_known_by_hand():
    """E max of two standard normals is 1 / sqrt(pi), its variance 1 - 1 / pi; of two exponentials
    3/2 and 5/4; one of one is no selection.
    """
    normal = models.BestOf(models.Normal(0, 1), 2).response
    np.testing.assert_allclose(normal.selected_mean, (np.pi**-0.5, 1), rtol=1e-10)
    np.testing.assert_allclose(normal.selected_variance, (1 - 1 / np.pi, 0, 0), rtol=1e-10)
    assert models.BestOf(models.Exponential(3), 2).response == models.LinearResponse(
        3, 9, (0, F(3, 2)), (0, 0, F(5, 4))
    )
    nearly = models.BestOf(models.Gamma(1 + 1e-9, 3), 2).response
    np.testing.assert_allclose(
        (*nearly.selected_mean, *nearly.selected_variance), (0, 1.5, 0, 0, 1.25), rtol=1e-7
    )
    for family in (models.Normal(0, 2), models.Gamma(2, 3)):
        one = derive(workflows.discard(4), model=models.BestOf(family, 1), n=10)
        np.testing.assert_allclose(
            one.risk, derive(workflows.discard(4), model=family, n=10).risk, rtol=1e-9
        )


# ---- the law of the rows


def one_by_one(draw, accept, count, rng):
    """The definition: draw a row, and draw it again until it is accepted."""
    kept = []
    while len(kept) < count:
        row = draw(rng)
        if rng.random() < accept(row):
            kept.append(row)
    return kept


def check_law(model, accept):
    """Rows of a batch, in each place, against rows drawn one by one."""
    expected = one_by_one(lambda rng: rng.normal(1, 2), accept, 8000, np.random.default_rng(3))
    rows = model.draw(np.ones((4000, 1)), 2, np.random.default_rng(4))
    for place in range(2):
        assert_same_law(rows[:, place], expected, detects=0.15)


FILTERS = [
    (models.Accepted(models.Normal(1, 2), edges), edges),
    (models.Verified(models.Normal(1, 2), 2, 0.5), lambda x: np.exp(-((x - 2) ** 2) / 0.5)),
    (models.Truncated(models.Normal(1, 2), -2, 2), lambda x: float(-2 <= x <= 2)),
    (models.Truncated(models.Normal(1, 2), -2, 2, about_fit=True), lambda x: float(-1 <= x <= 3)),
]


@pytest.mark.parametrize(("model", "accept"), FILTERS, ids=[repr(model) for model, _ in FILTERS])
def test_rows_have_the_law_of_rows_accepted_one_by_one(model, accept):
    check_law(model, accept)


def test_best_of_has_the_law_of_the_largest():
    rows = models.BestOf(models.Normal(1, 2), 4).draw(
        np.ones((4000, 1)), 2, np.random.default_rng(5)
    )
    largest = np.random.default_rng(6).normal(1, 2, (8000, 4)).max(axis=1)
    for place in range(2):
        assert_same_law(rows[:, place], largest, detects=0.15)
    by_score = models.BestOf(models.Normal(1, 2), 4, np.negative).draw(
        np.ones((4000, 1)), 2, np.random.default_rng(5)
    )
    assert_same_law(2 - by_score[:, 0], largest, detects=0.15)


def test_each_replication_is_selected_at_its_own_fit():
    theta = np.repeat([[0.0], [50.0]], 500, axis=0)
    rows = models.Truncated(models.Normal(0, 1), 0, 1, about_fit=True).draw(
        theta, 20, np.random.default_rng(0)
    )
    assert np.all((rows >= theta) & (rows <= theta + 1))
    uniform = stats.truncnorm(0, 1).cdf(rows - theta)
    assert_same_law(uniform[:500].ravel(), uniform[500:].ravel(), detects=0.15)


def test_real_rows_are_not_selected_and_the_fit_is_the_wrapped_one():
    family = models.Normal(1, 2)
    for model in (models.Accepted(family, edges), models.BestOf(family, 5), *LINEAR[:2]):
        one, other = (m.draw_real(3, 10, np.random.default_rng(7)) for m in (model, model.model))
        np.testing.assert_array_equal(one, other)
        weight = np.ones((3, 10))
        np.testing.assert_array_equal(
            model.fit(one, weight, None), model.model.fit(one, weight, None)
        )
        assert model.limit_risk == model.model.limit_risk
        assert not isinstance(model, models.WithStatistic)


# ---- regressions


def test_labels_are_drawn_again_at_the_same_x():
    theta = np.repeat(LINE.truth[None], 3000, axis=0)
    for model in (models.Accepted(LINE, small_residual), models.BestOf(LINE, 2, label)):
        rows = model.draw(theta, 16, np.random.default_rng(8))
        np.testing.assert_array_equal(rows[:, :, 0], np.tile(np.arange(8.0), (3000, 2)))
        residual = rows[:, :, 1] - np.tile(X @ LINE.truth, 2)
        # a bell on a bell, 1 / (1 + 2) of the variance; the larger of two
        expected = np.random.default_rng(9).normal(0, 3**-0.5, 20_000)
        if isinstance(model, models.BestOf):
            expected = np.random.default_rng(9).normal(0, 1, (20_000, 2)).max(axis=1)
        for place in range(16):
            assert_same_law(residual[:, place], expected, detects=0.15)


def test_a_selected_regression_needs_no_n_and_whole_designs():
    model = models.BestOf(LOGISTIC, 2, label)
    risk = simulate(workflows.augment(3), model=model, replications=20, rng=0)
    assert risk.n == 8
    part = Plan([0, 1], [1, F(1, 2)], [[1, 0], [F(1, 2), F(1, 2)]])
    with pytest.raises(
        ValueError,
        match=(
            "a batch must label the whole design of 8 rows; it has 4: use sizes that are whole"
            " numbers"
        ),
    ):
        simulate(part, model=model, replications=20, rng=0)


def test_workers_and_processes():
    model = models.Accepted(models.Normal(0, 1), edges)
    plan = workflows.discard(3)
    # rows enough for two blocks
    one, two = (
        simulate(plan, model=model, n=400, replications=2000, rng=3, workers=w).risk for w in (1, 2)
    )
    np.testing.assert_array_equal(one, two)
    assert (
        repr(pickle.loads(pickle.dumps(model)))
        == repr(model)
        == "Accepted(model=Normal(mean=0, sd=1), probability=edges)"
    )


# ---- mutants: each must be caught by the test of its engine


@dataclass(frozen=True, repr=False)
class KeepsTheLastRefused(models.Accepted):
    """Draws again once only, and keeps what comes."""

    def draw(self, theta, rows, rng):
        out = self.model.draw(theta, rows, rng)
        refused = rng.random(out.shape) >= self.probability(out)
        return np.where(refused, self.model.draw(theta, rows, rng), out)


@dataclass(frozen=True, repr=False)
class SelectsRealRows(models.Verified):
    def draw_real(self, replications, rows, rng):
        return self.draw(np.repeat(self.truth[None], replications, axis=0), rows, rng)


@dataclass(frozen=True, repr=False)
class OneTooFew(models.BestOf):
    def draw(self, theta, rows, rng):
        return models.BestOf(self.model, self.k - 1).draw(theta, rows, rng)


def test_mutants_are_caught():
    with pytest.raises(AssertionError, match="the laws differ"):
        check_law(KeepsTheLastRefused(models.Normal(1, 2), edges), edges)
    for mutant in (
        SelectsRealRows(models.Normal(0.3, 1.5), 0.5, 1.2),
        OneTooFew(models.Normal(1, 2), 3),
    ):
        with pytest.raises(AssertionError, match="estimates differ"):
            test_simulated_risk_is_the_derived_risk(mutant, workflows.discard(4))
    wrong = models.LinearResponse(0.3, 2.25, LINEAR[0].response.selected_mean, (2.25, 0, 0))
    with pytest.raises(AssertionError, match="estimates differ"):
        assert_risks_agree(
            simulate(workflows.discard(4), model=LINEAR[0], n=36, replications=12_000, rng=1),
            derive(workflows.discard(4), model=wrong, n=36),
            detects=0.3,
        )


# ---- what is refused


@pytest.mark.parametrize(
    "model",
    [
        models.Accepted(models.Normal(0, 1), edges),
        models.Verified(models.Poisson(3), 3, 1),
        models.Truncated(models.Normal(0, 1), -1, 1),
        models.BestOf(models.Normal(0, 1), 2, np.abs),
        models.BestOf(models.Median("normal"), 2),
    ],
    ids=repr,
)
def test_a_response_that_is_not_linear_has_no_exact_answer(model):
    with pytest.raises(
        ValueError,
        match=(
            r"no exact form is known for .*simulate\(plan.*LinearResponse .*linearisation.*leaves"
            r" selection out"
        ),
    ):
        derive(workflows.discard(3), model=model, n=10)


def test_exact_answers_refuse_floats():
    for model in (
        models.BestOf(models.Normal(0, 1), 2),
        models.Verified(models.Normal(0, 1), 0.5, 1),
    ):
        with pytest.raises(
            ValueError, match=r"exact=True needs a rational response, .*fractions\.Fraction"
        ):
            derive(workflows.discard(2), model=model, n=10, exact=True)


def test_almost_nothing_accepted():
    far = models.Truncated(models.Normal(0, 1), 8, 9)
    with pytest.raises(
        ValueError,
        match=(
            r"Truncated\(.*\) accepts almost nothing: a row drawn from the fit .* was refused"
            r" 10,000 times\. Accept more"
        ),
    ):
        simulate(workflows.discard(2), model=far, n=5, replications=10, rng=0)
    with pytest.raises(ValueError, match="accepts almost nothing"):
        models.Accepted(LINE, lambda rows: 0 * label(rows)).draw(
            LINE.truth[None], 8, np.random.default_rng(0)
        )


N = models.Normal(0, 1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: models.Accepted(models.Normal, edges),
            "model must be an instance of a model, such as",
        ),
        (
            lambda: models.BestOf("normal", 2),
            "model must be an instance of a model.*it is 'normal'",
        ),
        (
            lambda: models.Accepted(N, 0.5),
            "probability must be a function of an array of rows, such as .*; it is 0.5",
        ),
        (lambda: models.BestOf(N, 0), r"k \(rows drawn for each that is kept\) must be .*it is 0"),
        (lambda: models.BestOf(N, 1.5), r"k \(.*\) must be .*it is 1.5"),
        (
            lambda: models.BestOf(N, 2, score=3),
            "score must be a function of an array of rows, such as np.abs, or None; it is 3",
        ),
        (
            lambda: models.BestOf(LINE, 2),
            "is more than one number; give a score that says which rows are kept",
        ),
        (
            lambda: models.Verified(LINE, 0, 1),
            "is more than one number; give Accepted that says which rows are kept",
        ),
        (lambda: models.Verified(N, np.nan, 1), "centre must be a number, finite; it is nan"),
        (
            lambda: models.Verified(N, 0, 0),
            "width must be a number, finite and greater than 0; it is 0",
        ),
        (lambda: models.Truncated(LINE, 0, 1), "is more than one number; give Accepted"),
        (
            lambda: models.Truncated(N, 1, 1),
            r"low must be less than high \(-inf and inf are allowed\); they are 1 and 1",
        ),
        (lambda: models.Truncated(N, np.nan, 1), r"low \(.*\) must be a number, .*it is nan"),
        (lambda: models.Truncated(N, "0", 1), r"low \(.*\) must be a number, .*it is '0'"),
        (
            lambda: models.Truncated(N, 0, 1, about_fit=1),
            "about_fit must be True or False; it is 1",
        ),
        (
            lambda: models.LinearResponse(0, 0, (0, 1), (1, 0, 0)),
            "variance must be a number, finite and greater than 0; it is 0",
        ),
        (
            lambda: models.LinearResponse(0, 1, (0, 1, 2), (1, 0, 0)),
            "selected_mean must be a tuple of 2 numbers, constant term first",
        ),
        (
            lambda: models.LinearResponse(0, 1, (0, 1), 1),
            "selected_variance must be a tuple of 3 numbers",
        ),
        (
            lambda: models.LinearResponse(0, 1, (0, np.inf), (1, 0, 0)),
            "selected_mean must be a number, finite; it is inf",
        ),
        (
            lambda: models.LinearResponse(2, 1, (0, 1), (1, -1, 0)),
            "selected_variance must be positive at the truth, mu = 2; there it is -1",
        ),
    ],
)
def test_nonsense_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            models.Accepted(N, lambda rows: 2 + 0 * rows),
            r"one number from 0 to 1 for each row, .*it gave values from 2 to 2",
        ),
        (
            models.Accepted(N, lambda rows: np.full(rows.shape, np.nan)),
            "it gave values from nan to nan",
        ),
        (
            models.Accepted(N, lambda rows: 0.5),
            r"shape \(3, 4\) for rows of shape \(3, 4\); it gave shape \(\)",
        ),
        (
            models.BestOf(N, 2, lambda rows: rows[0]),
            r"score must give one number from -inf to inf for each row, .*it gave shape \(4,\)",
        ),
        (models.BestOf(N, 2, lambda rows: rows * np.nan), "it gave values from nan to nan"),
    ],
)
def test_rules_that_give_nonsense(model, message):
    with pytest.raises(ValueError, match=message):
        model.draw(np.zeros((3, 1)), 4, np.random.default_rng(0))


def test_tables_that_are_too_large_are_refused_before_they_are_made():
    model = models.LinearResponse(0, 1, (0, 0.5), (0.5, 0, 0))
    with pytest.raises(
        ValueError,
        match=(r"dense table .* of window.* would hold .* GB.*take fewer generations"),
    ):
        derive(workflows.window(20_000, 3), model=model, n=10)
    assert derive(workflows.augment(20_000), model=model, n=10).ratio[-1] < 1e-3


def test_a_reservoir_is_simulated_and_not_derived():
    model = models.Verified(models.Normal(0, 1), 0, 1)
    with pytest.raises(ValueError, match="no exact form at finite n is known for Verified"):
        derive(workflows.reservoir(4), model=model, n=10)
    risk = simulate(workflows.reservoir(4), model=model, n=10, replications=4000, rng=1)
    assert risk.ratio[-1] + 6 * risk.stderr[-1] < derive(workflows.reservoir(4)).ratio[-1]
