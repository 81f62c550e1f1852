"""Encoder features: the chapter's formulas, typed again, against the package."""

from fractions import Fraction

import numpy as np
import pytest

import collapse
from collapse import datasets, workflows
from collapse.datasets import with_intercept
from collapse.forecasting.law import Classes, law_of
from collapse.models import MultinomialRegression
from tests.statistics import assert_agree

pytestmark = pytest.mark.statistical

TOPS = ["T-shirt", "pullover", "dress", "coat", "shirt"]


def doubling(generations):
    return workflows.augment(generations, size=[2**k for k in range(generations - 1)])


def relabelling(generations):
    weight = [[Fraction(b == 0) for b in range(generations)]]
    for g in range(2, generations + 1):
        weight.append(
            [
                Fraction(1, g) if b == 0 else Fraction(g - 1, g) if b == g - 1 else Fraction(0)
                for b in range(generations)
            ]
        )
    return collapse.Plan(range(generations), [max(b, 1) for b in range(generations)], weight)


@pytest.fixture(scope="module")
def tops():
    return datasets.fashion().part(TOPS, components=4, rows=1500)


@pytest.fixture(scope="module")
def own(tops):
    """Judged on the real labels themselves."""
    return MultinomialRegression(with_intercept(tops.X), y=tops.y)


def test_doubling_and_relabelling_have_the_limit_three_halves():
    for g in range(1, 13):
        assert collapse.derive(doubling(g), exact=True).ratio[-1] == Fraction(3, 2) - Fraction(
            1, 2**g
        )
        assert collapse.derive(relabelling(g), exact=True).ratio[-1] == Fraction(3, 2) - Fraction(
            1, 2 * g
        )


@pytest.mark.parametrize("r", [2, 3, 5])
def test_growth_by_a_factor_has_the_limit_one_plus_its_inverse(r):
    plan = workflows.augment(12, size=[(r - 1) * r**k for k in range(11)])
    expected = 1 + sum(Fraction(r - 1, r**g) for g in range(2, 13))
    assert collapse.derive(plan, exact=True).ratio[-1] == expected
    assert abs(float(expected) - (1 + 1 / r)) < 2.0 * r**-12


def test_augment_keeps_half_of_a_bad_start():
    error = [Fraction(1)]
    for g in range(2, 30):
        error.append(sum(error) / g)  # the real data's own estimate has none
    assert set(error[1:]) == {Fraction(1, 2)}


def test_on_the_real_labels_kappa_is_half_the_number_of_coefficients(tops, own):
    found = law_of(Classes(4), own.truth, own.X, own.X, tops.y)
    assert own.truth.size == 5 * 4
    assert found.kappa == pytest.approx(own.truth.size / 2, abs=1e-9)
    assert found.drift == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("plan", "ratio"),
    [
        (workflows.augment(5), 1 + 1 / 4 + 1 / 9 + 1 / 16 + 1 / 25),
        (doubling(5), 3 / 2 - 1 / 32),
        (relabelling(5), 3 / 2 - 1 / 10),
        (workflows.discard(2), 2),
    ],
)
def test_the_rise_on_the_real_labels_is_the_derived_one(own, plan, ratio):
    # 5 % for the next order in 1/n
    risk = collapse.simulate(plan, model=own, replications=500, rng=3)
    expected = (ratio - 1) * own.truth.size / (2 * own.design_rows)
    assert_agree(
        risk.risk[-1] - risk.risk[0], risk.risk_stderr[-1], expected, detects=0.4, allowance=0.05
    )


def test_published_orderings():
    pairs = [
        [datasets.published_features(m, w) for w in ("discard", "augment")]
        for m in datasets.PUBLISHED_ENCODERS
    ]
    assert all(discard["test_loss"][-1] > augment["test_loss"][-1] for discard, augment in pairs)
    assert all(
        discard["test_accuracy"][-1] < augment["test_accuracy"][-1] for discard, augment in pairs
    )
    rises = [augment["test_loss"][-1] - augment["test_loss"][0] for _, augment in pairs]
    assert sum(rise < 0 for rise in rises) == 1


class Steps:
    """Multinomial regression by some steps of preconditioned gradient descent from the last fit;
    the first fit is finished.
    """

    def __init__(self, model, precondition, steps):
        self.model, self.precondition, self.steps = model, precondition, steps
        self.truth, self.observed, self.design_rows, self.risk = (
            model.truth,
            model.observed,
            model.design_rows,
            model.risk,
        )
        self.draw, self.draw_real, self.fit = model.draw, model.draw_real, model.fit
        self.draw_statistic, self.draw_real_statistic = (
            model.draw_statistic,
            model.draw_real_statistic,
        )
        self.statistic_size = model.statistic_size

    def fit_statistic(self, statistic, start):
        if start is None:
            return np.tile(self.truth, (len(statistic), 1))
        X, theta = self.model.X, start.copy()
        n, p = X.shape
        for _ in range(self.steps):
            margin = np.einsum("rkp,np->rkn", theta.reshape(len(theta), -1, p), X)
            odds = np.exp(margin)
            share = odds / (1 + odds.sum(axis=1, keepdims=True))
            theta += (statistic - (share @ X).reshape(len(theta), -1) / n) @ self.precondition
        return theta


@pytest.mark.parametrize("workflow", ["discard", "augment"])
def test_a_fit_that_stops_early_is_a_smoothed_plan_in_each_direction(workflow):
    # three classes, two columns; a preconditioner that makes some directions slow and some fast
    rng = np.random.default_rng(4)
    X = np.column_stack([np.ones(1200), rng.normal(size=1200)])
    label = (
        (rng.random((1200, 1)) > np.array([0.3, 0.7]) + 0.05 * X[:, 1:]).sum(axis=1).astype(float)
    )
    model = MultinomialRegression(X, y=label)
    theta = model.truth.reshape(2, 2)
    odds = np.exp(X @ theta.T)
    q = odds / (1 + odds.sum(axis=1, keepdims=True))
    information = (
        sum(np.kron(np.diag(s) - np.outer(s, s), np.outer(x, x)) for s, x in zip(q, X, strict=True))
        / 1200
    )
    P = np.diag([0.1, 0.4, 1.0, 2.0])
    steps, plan = 6, getattr(workflows, workflow)(6)
    rates = (1 - np.linalg.eigvals(P @ information).real) ** steps
    assert rates.min() < 0.2
    assert rates.max() > 0.7
    rise = 0.0
    for a in rates:
        # u_g = a u_{g-1} + (1 - a) (weighted mean of batches), in exact linear algebra over the
        # batches' noises
        noise = np.zeros((6, 6))  # contributions of the noise of batch b to fit g
        for g in range(6):
            batches = [
                noise[s - 1] + np.eye(6)[b] if s else np.eye(6)[b]
                for b, s in enumerate(plan.source)
            ]
            mean = sum(plan.weight[g, b] * batches[b] for b in range(g + 1))
            noise[g] = mean if g == 0 else a * noise[g - 1] + (1 - a) * mean
        rise += (noise[-1, 1:] ** 2).sum() / (2 * 1200)  # the real batch is what it is
    risk = collapse.simulate(plan, model=Steps(model, P, steps), replications=2000, rng=5)
    finished = (collapse.derive(plan).ratio[-1] - 1) * 4 / (2 * 1200)
    # 5 % for the next order in 1/n; the law of finished fits would be found out
    assert_agree(
        risk.risk[-1] - risk.risk[0],
        risk.risk_stderr[-1],
        rise,
        detects=0.9 * (finished / rise - 1),
        allowance=0.05,
    )


@pytest.mark.parametrize(
    ("make", "share", "value"), [(relabelling, 83, 0.083), (doubling, 88, 0.092)]
)
def test_what_the_published_runs_should_have_risen_by(make, share, value):
    """The share of ten generations' rise done by the fourth, and the rise at 50,000 rows."""
    rise = [ratio - 1 for ratio in collapse.derive(make(10), exact=True).ratio]
    assert round(100 * rise[3] / rise[9]) == share
    assert float(rise[9]) * 9 * 2049 / (2 * 50_000) == pytest.approx(value, abs=5e-4)
    # augment, which was not run, would have had another answer
    other = [ratio - 1 for ratio in collapse.derive(workflows.augment(10), exact=True).ratio]
    assert round(100 * other[3] / other[9]) == 77


def test_the_scripts_and_augment_part_slowly():
    """Equal up to generation 2; at generation 10 relabelling's rise is four fifths of augment's."""
    rise = [collapse.derive(m(10), exact=True).ratio - 1 for m in (workflows.augment, relabelling)]
    assert rise[0][:2].tolist() == rise[1][:2].tolist() == [0, Fraction(1, 4)]
    assert round(float(100 * rise[1][-1] / rise[0][-1])) == 82


def test_what_part_of_the_rise_on_the_test_set_is_drift():
    """An eighth for tops and garments, about half of that for nouns."""
    kinds = {
        "tops": datasets.fashion().part(TOPS, components=8, rows=3000),
        "garments": datasets.fashion().part(components=8, rows=4000),
        "nouns": datasets.glosses().part(components=8, rows=2000),
    }
    share = {}
    for name, data in kinds.items():
        model = MultinomialRegression(with_intercept(data.X), y=data.y)
        test = with_intercept(data.X_test)
        law = law_of(Classes(len(data.classes) - 1), model.truth, model.X, test, data.y_test)
        share[name] = round(100 * law.drift / law.kappa)
    assert share == {"tops": 13, "garments": 12, "nouns": 6}
