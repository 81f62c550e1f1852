"""What every exported model keeps; and that `check` sees what is not kept."""

from __future__ import annotations

import ast
import importlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import collapse
from collapse import derive, models, simulate, workflows
from collapse.cli import main
from collapse.models import WithStatistic, registry
from collapse.models.families import latent, location, survival, two_parameter
from collapse.models.protocols import FORMS, declared, exact_form
from collapse.models.regression import base, likelihoods, linear, newton
from collapse.universality import matrix
from tests.statistics import assert_agree

X = np.column_stack([np.ones(30), np.random.default_rng(0).standard_normal((30, 2))])
LABELS = (np.random.default_rng(1).random(30) < 0.5).astype(float)
COUNTS = np.random.default_rng(1).poisson(2, 30)
SCHEDULE = {"pairs": [(0, 1), (1, 2), (0, 2)], "times": 10}


def kind(value: object) -> str:
    """A name for a case that is the same in every process; functions print their address."""
    return getattr(value, "__name__", type(value).__name__) if callable(value) else repr(value)


TABLE = np.sinh(np.random.default_rng(5).standard_normal((40, 2)) @ [[1, 0.6], [0, 0.8]])


def bell(rows):
    return np.exp(-((rows - 1) ** 2) / 8)


def label(rows):
    return rows[..., 1]


MODELS = {
    "Beta": [models.Beta(2, 3)],
    "ExponentialRate": [models.ExponentialRate(2)],
    "GammaMoments": [models.GammaMoments(2, 3)],
    "GammaShapeRate": [models.GammaShapeRate(2, 3)],
    "HodgesLehmann": [models.HodgesLehmann("laplace", 1, 2)],
    "Hodges": [models.Hodges(0.0), models.Hodges(1.0)],
    "Huber": [models.Huber("student", 1, 2)],
    "HyperbolicSecant": [models.HyperbolicSecant(1, 0.5), models.HyperbolicSecant(3, -2)],
    "InverseGaussian": [models.InverseGaussian(1, 2)],
    "MedianMAD": [models.MedianMAD("logistic", 1, 2)],
    "Multinomial": [models.Multinomial([0.4, 0.3, 0.2, 0.1])],
    "MultivariateNormal": [models.MultivariateNormal([1, 2], [[2, 1], [1, 3]])],
    "NormalMeanVariance": [models.NormalMeanVariance(1, 2)],
    "TrimmedMean": [models.TrimmedMean("logistic", 1, 2)],
    "AR1": [models.AR1(0.6), models.AR1(1)],
    "CensoredExponential": [
        models.CensoredExponential(2, 0.6),
        models.CensoredExponential(2, 0.6, censor_synthetic=False),
    ],
    "CensoredWeibull": [
        models.CensoredWeibull(2, 1.5, 0.7),
        models.CensoredWeibull(2, 1.5, 0.7, censor_synthetic=False),
    ],
    "NormalMixture": [models.NormalMixture(0.4, 3)],
    "PrincipalComponents": [models.PrincipalComponents([[2, 0], [1, 1], [0, 1], [1, 0]], noise=1)],
    "Accepted": [models.Accepted(models.Median("laplace", 1, 2), bell)],
    "Bernoulli": [models.Bernoulli(0.3)],
    "BootstrapGenerator": [models.BootstrapGenerator([[0, 1], [0, 2], [3, 1], [9, 0]])],
    "BestOf": [
        models.BestOf(models.NegativeBinomial(3, 2), 2),
        models.BestOf(models.LogisticRegression(X, [0.3, 0.5, -0.5]), 2, label),
    ],
    "Binomial": [models.Binomial(5, 0.4)],
    "BradleyTerry": [
        models.BradleyTerry([0, 0.4, -0.5], **SCHEDULE),
        models.BradleyTerry(wins=[4, 6, 5], **SCHEDULE),
    ],
    "Exponential": [models.Exponential(2)],
    "Gamma": [models.Gamma(2.5, 3)],
    "GammaRegression": [
        models.GammaRegression(X, [1, 0.5, -0.5], shape=2),
        models.GammaRegression(X, y=COUNTS + 0.5),
    ],
    "HuberRegression": [models.HuberRegression(X, [1, 2, 3], sigma=2)],
    "LinearRegression": [
        models.LinearRegression(X, [1, 2, 3], sigma=2),
        models.LinearRegression(X, y=LABELS),
    ],
    "LinearResponse": [models.LinearResponse(1, 2, (0.2, 0.8), (1, 0.5, 0.1))],
    "FirthLogisticRegression": [
        models.FirthLogisticRegression(X, [0.3, 0.5, -0.5]),
        models.FirthLogisticRegression(X, y=LABELS),
    ],
    "RidgeLogisticRegression": [
        models.RidgeLogisticRegression(X, [0.3, 0.5, -0.5], penalty=2),
        models.RidgeLogisticRegression(X, y=LABELS, penalty=0.5),
    ],
    "LogisticRegression": [
        models.LogisticRegression(X, [0.3, 0.5, -0.5]),
        models.LogisticRegression(X, y=LABELS),
        models.LogisticRegression(X, mean=1 / (1 + X[:, 1] ** 2)),
    ],
    "MultinomialRegression": [
        models.MultinomialRegression(X, [[0.3, 0.4, -0.2], [0.1, -0.5, 0.3]]),
        models.MultinomialRegression(X, y=COUNTS % 3),
    ],
    "Median": [
        models.Median(law, 1, 2) for law in ("normal", "laplace", "logistic", "student", "cauchy")
    ],
    "NegativeBinomial": [models.NegativeBinomial(3, 2)],
    "NegativeBinomialRegression": [
        models.NegativeBinomialRegression(X, [1, 0.5, -0.5], size=3),
        models.NegativeBinomialRegression(X, y=COUNTS, size=2),
    ],
    "Normal": [models.Normal(1, 2)],
    "NormalGenerator": [
        models.NormalGenerator([0, 0, 0, 1, 5]),
        models.NormalGenerator([[0, 1], [0, 2], [3, 1], [9, 0]]),
    ],
    "NormalMeanCovariance": [
        models.NormalMeanCovariance([1], [[2]]),
        models.NormalMeanCovariance([1, 0, 2], [[2, 1, 0], [1, 3, 0], [0, 0, 1]], divisor="n-1"),
    ],
    "Histogram": [models.Histogram(TABLE[:, 0], 5)],
    "KernelDensity": [
        models.KernelDensity(TABLE[:, 0], 0.6, cells=32),
        models.KernelDensity(TABLE[:, 0], 1.5, shrink=True, cells=32),
        models.KernelDensity(TABLE[:, 0], cells=32),
    ],
    "GaussianCopula": [models.GaussianCopula(TABLE)],
    "GaussianMixture": [models.GaussianMixture([0.4, 0.6], [0, 8], [1, 1.5])],
    "NGram": [
        models.NGram("a rabbit ran by a barn ", 2, 12),
        models.NGram(["to", "be", "or", "not", "to", "be"], 2, 6, 0.5, 2, 0.8, 0.9),
        models.NGram("abracadabra", 3, 8, backoff=1),
    ],
    "Poisson": [models.Poisson(3)],
    "PoissonRegression": [
        models.PoissonRegression(X, [1, 0.5, -0.5]),
        models.PoissonRegression(X, y=COUNTS),
    ],
    "ProbitRegression": [
        models.ProbitRegression(X, [0.2, 0.3, -0.3]),
        models.ProbitRegression(X, y=LABELS),
    ],
    "RandomDesignRegression": [
        models.RandomDesignRegression(3, [1, -2, 0.5], sigma=2),
        models.RandomDesignRegression(40, 0.1, sigma=1, ridge=0.3),
    ],
    "Truncated": [
        models.Truncated(models.Normal(1, 2), -2, 2, about_fit=True),
        models.Truncated(models.Poisson(3), 2, np.inf),
    ],
    "Uniform": [models.Uniform(2)],
    "Verified": [models.Verified(models.Gamma(2.5, 3), 3, 1)],
}
EACH = [
    pytest.param(model, id=f"{name} {i}")
    for name, instances in MODELS.items()
    for i, model in enumerate(instances)
]
each_model = pytest.mark.parametrize("model", EACH)
each_statistic = pytest.mark.parametrize(
    "model", [p for p in EACH if isinstance(p.values[0], WithStatistic)]
)


def test_every_exported_model_is_here():
    assert set(MODELS) == {name for name in models.__all__ if not name.startswith("With")} - {
        "Example",
        "Measured",
        "MeasuredByRows",
        "Model",
        "check",
        "examples",
        "from_estimator",
        "from_generator",
        "named",
        "register",
    }
    assert set(models.__all__) <= set(dir(collapse.models))


@each_model
def test_keeps_every_promise(model):
    kept = models.check(model, 30)
    assert ("influence function" in kept) == hasattr(model, "influence_function")
    assert len(kept) >= 7
    assert ("exact form" in kept) == (
        exact_form(model) is not None and getattr(model, "response", True) is not None
    )


@each_statistic
def test_statistics_give_the_risk_of_rows(model):
    """One generation after the truth, drawn both ways."""
    replications = 20_000
    theta = np.repeat(model.truth[None], replications, axis=0)
    by_rows = model.risk(
        model.fit(
            model.draw(theta, 30, np.random.default_rng(6)), np.ones((replications, 30)), None
        )
    )
    by_statistic = model.risk(
        model.fit_statistic(model.draw_statistic(theta, 30, np.random.default_rng(7)), None)
    )
    both = ~np.isnan(by_rows), ~np.isnan(by_statistic)
    assert_agree(both[0].mean(), 0.01, both[1].mean(), detects=0.1)
    # the logarithm tames the tail of a logistic fit close to separation
    a, b = (np.log1p(v[ok]) for v, ok in zip((by_rows, by_statistic), both, strict=True))
    assert_agree(
        a.mean(),
        np.hypot(a.std() / np.sqrt(len(a)), b.std() / np.sqrt(len(b))),
        b.mean(),
        detects=0.25,
    )


@each_model
@pytest.mark.parametrize(
    "plan", [workflows.augment(3), workflows.subsample(3)], ids=lambda plan: plan.name
)
def test_every_model_runs_under_every_workflow(model, plan):
    risk = simulate(plan, model=model, n=30, replications=50, rng=0, quantiles=(0.5,))
    assert risk.risk.shape == (3,)
    assert (np.isfinite(risk.risk) | (risk.failed > 0)).all()
    assert (risk.failed < 0.5).all()


UNFINISHED = [
    (
        newton,
        {"PATIENCE": 3, "DECREMENT": 0.0, "ITERATIONS": 1},
        models.LogisticRegression(X, [0.3, 0.5, -0.5]),
    ),
    (
        newton,
        {"PATIENCE": 3, "DECREMENT": 0.0, "ITERATIONS": 1},
        models.ProbitRegression(X, [0.3, 0.5, -0.5]),
    ),
    (
        newton,
        {"PATIENCE": 3, "DECREMENT": 0.0, "ITERATIONS": 1},
        models.GammaRegression(X, [1, 0.5, -0.5], shape=2),
    ),
    (
        newton,
        {"PATIENCE": 3, "DECREMENT": 0.0, "ITERATIONS": 1},
        models.PoissonRegression(X, [1, 0.5, -0.5]),
    ),
    (
        newton,
        {"PATIENCE": 3, "DECREMENT": 0.0, "ITERATIONS": 1},
        models.NegativeBinomialRegression(X, [1, 0.5, -0.5], size=3),
    ),
    (
        newton,
        {"PATIENCE": 3, "DECREMENT": 0.0, "ITERATIONS": 1},
        models.MultinomialRegression(X, [[0.3, 0.4, -0.2], [0.1, -0.5, 0.3]]),
    ),
    (
        newton,
        {"PATIENCE": 3, "DECREMENT": 0.0, "ITERATIONS": 1},
        models.RidgeLogisticRegression(X, [0.3, 0.5, -0.5], penalty=2),
    ),
    (likelihoods, {"ITERATIONS": 1}, models.FirthLogisticRegression(X, [0.3, 0.5, -0.5])),
    (linear, {"ITERATIONS": 1}, models.HuberRegression(X, [1, 2, 3], sigma=2)),
    (location, {"STEPS": 1}, models.Huber("student", 1, 2)),
    (two_parameter, {"STEPS": 1}, models.GammaShapeRate(2, 3)),
    (two_parameter, {"STEPS": 1}, models.Beta(2, 3)),
    (two_parameter, {"STEPS": 1}, models.Beta(2000, 3000)),
    (survival, {"STEPS": 1}, models.CensoredWeibull(2, 1.5, 0.7)),
    (latent, {"STEPS": 1}, models.NormalMixture(0.4, 3)),
]


@pytest.mark.parametrize(
    ("module", "limits", "model"), UNFINISHED, ids=lambda value: type(value).__name__
)
def test_a_fit_that_has_not_converged_is_no_estimate(module, limits, model, monkeypatch):
    """And a simulation counts it as lost."""
    rows = model.draw_real(20, 30, np.random.default_rng(0))
    assert np.isfinite(model.fit(rows, np.ones((20, 30)), None)).any()
    for name, value in limits.items():
        monkeypatch.setattr(module, name, value)
    fits = model.fit(rows, np.ones((20, 30)), None)
    assert np.isnan(fits).any()
    assert (np.isnan(fits).all(axis=1) == np.isnan(fits).any(axis=1)).all()
    for plan in (workflows.discard(2), workflows.subsample(2)):
        risk = simulate(plan, model=model, n=30, replications=20, rng=0, quantiles=(0.99,))
        assert risk.failed[-1] > 0
        assert risk.quantiles[-1, -1] == np.inf


@pytest.mark.parametrize(
    ("limits", "make", "said"),
    [
        (
            {"PATIENCE": 3, "DECREMENT": 0.0},
            lambda: models.GammaRegression(X, y=COUNTS + 0.5),
            "no fit to y was found in 1 iterations: rescale X",
        ),
        (
            {},
            lambda: models.FirthLogisticRegression(X, y=LABELS),
            "no fit to y was found in 1 iterations: rescale X",
        ),
    ],
)
def test_real_data_that_have_an_estimate_but_were_left_without_are_refused(
    limits, make, said, monkeypatch
):
    make()
    for module in (newton, base, likelihoods):
        monkeypatch.setattr(module, "ITERATIONS", 1)
    for name, value in limits.items():
        monkeypatch.setattr(newton, name, value)
    with pytest.raises(ValueError, match=said):
        make()


def test_means_that_no_coefficients_come_closest_to_are_refused():
    with pytest.raises(
        ValueError, match="no coefficients come closest to mean: a direction of X separates it"
    ):
        models.LogisticRegression(X, mean=(X[:, 1] > 0).astype(float))


class Broken(models.Normal):
    """A normal mean, to be broken in one place."""

    def __init__(self):
        super().__init__(1, 2)


class Transposed(Broken):
    def draw(self, theta, rows, rng):
        return super().draw(theta, rows, rng).T


class Mixed(Broken):
    def fit(self, rows, weight, start):
        return super().fit(rows, weight, start) + 1e-6 * rows.sum()


class Heavy(Broken):
    def fit(self, rows, weight, start):
        return (weight * rows).sum(axis=1, keepdims=True)


class Padded(Broken):
    def fit(self, rows, weight, start):
        return rows.mean(axis=1, keepdims=True)


class Ordered(Broken):
    def fit(self, rows, weight, start):
        return super().fit(rows[:, ::2], weight[:, ::2], start)


class Slow(Broken):
    def fit(self, rows, weight, start):
        fit = super().fit(rows, weight, None)
        return fit if start is None else (fit + start) / 2


class OwnSeed(Broken):
    def draw(self, theta, rows, rng):
        return super().draw(theta, rows, np.random.default_rng())


class Deaf(Broken):
    def draw_statistic(self, theta, rows, rng):
        return super().draw_statistic(theta, rows, np.random.default_rng(0))


class Greedy(Broken):
    def fit(self, rows, weight, start):
        weight /= weight.sum(axis=1, keepdims=True)
        return super().fit(rows, weight, start)


class Loss(Broken):
    def risk(self, theta):
        return super().risk(theta) + 4

    deviation = property()


class Negative(Broken):
    def risk(self, theta):
        return -super().risk(theta)

    deviation = property()


class Deviant(Broken):
    def deviation(self, theta):
        return 2 * super().deviation(theta)


class WrongVariance(Broken):
    variance_function = (5, 0, 0)


class WrongMean(Broken):
    truth = np.array([1.5])
    risk = models.Median.risk
    deviation = models.Median.deviation
    draw_real = models.Median("normal", 1.5, 2).draw_real


class MedianOfRows(Broken):
    """A fit to which the declaration that it inherits does not apply."""

    fit = models.Median.fit
    fit_statistic = influence_function = None


class NoSuchForm(Broken):
    exact_form = "cubic variance"


class Incomplete(Broken):
    exact_form = "sample maximum"


class Endless(Broken):
    exact_form = "sample maximum"
    endpoint = 3.0


class FixedDesign(Broken):
    exact_form = "fixed design"
    design_rows = 30
    first_risk = 4 / 30 * 1.2


class Answering(Broken):
    exact_form = "linear response"
    response = models.LinearResponse(1, 4, (0.5, 0.5), (4, 0, 0))


class Biased(models.NormalMeanVariance):
    def pool(self, first, second, share):
        return first + share * (second - first) ** 2


class Lopsided(models.NormalMeanVariance):
    def pool(self, first, second, share):
        return first


class NotAMethod(Broken):
    deviation = 0.5


class Holding(Broken):
    """Something in it cannot be sent to a worker."""

    def __init__(self):
        super().__init__()
        vars(self)["rule"] = lambda rows: rows


class Nameless(Broken):
    __repr__ = object.__repr__


class Influenced(Broken):
    factor = 2.0

    def influence_function(self, rows, theta):
        return self.factor * (rows - theta)[:, :, None]


class Reversed(Influenced):
    factor = -1.0


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (Transposed, r"draw to return \(R, rows"),
        (Mixed, r"one by one to be equal.*reduce over the rows' axis only"),
        (Heavy, r"equal fits for weights in any unit.*divide by their sum"),
        (Padded, r"rows of weight 0 to change nothing"),
        (Ordered, r"the order of rows to change nothing|rows of weight 0"),
        (Slow, r"a start to change the time taken, not the answer"),
        (OwnSeed, r"equal numbers from draw with one seed"),
        (Deaf, r"other numbers from draw_statistic with another seed"),
        (Greedy, r"arguments to be left as they were"),
        (Loss, r"excess risk 0 at the truth, not 4"),
        (Negative, r"a positive excess risk elsewhere"),
        (Deviant, r"squares of the deviation to sum to the risk"),
        (
            WrongVariance,
            (
                r"exact form 'quadratic variance': risk 0.1667 after 1 fit under discard, and it"
                r" is 0.1.*; mend what goes with"
            ),
        ),
        (WrongMean, r"expected mean to be the truth, \[1.5\]; it is 1"),
        (
            MedianOfRows,
            (
                r"exact form 'quadratic variance': risk 0.1333 after 1 fit under discard, and it"
                r" is 0.2"
            ),
        ),
        (
            NoSuchForm,
            (
                r"exact_form of .* must be one of quadratic variance, linear response, fixed"
                r" design, sample maximum"
            ),
        ),
        (Incomplete, r"declares the exact form 'sample maximum' and lacks endpoint"),
        (Endless, r"exact form 'sample maximum': risk"),
        (FixedDesign, r"exact form 'fixed design': risk 0.16 after 1 fit"),
        (Answering, r"exact form 'linear response': risk .* after 2 fits"),
        (lambda: Biased(1, 4), r"a pool that does not depend on the order"),
        (lambda: Lopsided(1, 4), r"a pool that does not depend on the order"),
        (NotAMethod, r"deviation to be a method"),
        (Holding, r"a model that can be pickled.*use functions at the top of a module"),
        (Nameless, r"a repr that names the parameters"),
        (Influenced, r"to respond to a row's weight by its influence"),
        (Reversed, r"to respond to a row's weight by its influence"),
    ],
)
def test_what_is_broken_is_seen(broken, said):
    models.check(models.Normal(1, 2))
    with pytest.raises(ValueError, match=said):
        models.check(broken())


def test_what_is_no_model_is_refused():
    with pytest.raises(ValueError, match=r"a model needs truth, .*; dict lacks truth, draw"):
        models.check({})


@dataclass(frozen=True)
class Plain:
    """The mean of normal rows, written without the package, which declares nothing."""

    truth = np.zeros(1)

    def draw(self, theta, rows, rng):
        return theta + rng.standard_normal((len(theta), rows))

    def draw_real(self, replications, rows, rng):
        return rng.standard_normal((replications, rows))

    def fit(self, rows, weight, start):
        return (rows * weight).sum(axis=1, keepdims=True) / weight.sum(axis=1, keepdims=True)

    def risk(self, theta):
        return theta[:, 0] ** 2

    @classmethod
    def having(cls, **attributes):
        """One with these attributes beside its own."""
        model = cls()
        vars(model).update(attributes)
        return model


class Halved(Plain):
    def draw(self, theta, rows, rng):
        return super().draw(theta, rows, rng) / 2


ODD = {
    "endpoint": [3.0, "Friday", None],
    "response": [0.5, "yes", models.LinearResponse(0, 1, (0, 0.5), (1, 0, 0)), None],
    "variance_function": [(0, 1, 0), np.sqrt, 2.0],
    "mean": [3.0, np.mean],
    "first_risk": [0.3, None],
    "observed": [True, 12, np.zeros(3), "2024-01-01"],
    "statistic_size": [10**9, "large"],
    "dispersion": [7],
    "limit_risk": [7],
    "test": [3],
    "draw_statistic": [None, 4],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in ODD.items() for value in values], ids=kind
)
def test_an_attribute_that_happens_to_have_a_name_of_the_package_changes_nothing(name, value):
    odd = Plain.having(**{name: value})
    models.check(odd)
    with pytest.raises(
        ValueError,
        match=r"no exact form at finite n is known for .*which declares none; use derive\(plan\)",
    ):
        derive(workflows.discard(4), model=odd, n=100)
    for plan in (workflows.discard(3), workflows.subsample(3), workflows.fresh_real(3)):
        seen, plain = (
            simulate(plan, model=model, n=20, replications=50, rng=0) for model in (odd, Plain())
        )
        np.testing.assert_array_equal(seen.risk, plain.risk)


@pytest.mark.parametrize("value", [3.0, "Friday", 0, -1, True, lambda: 7, np.arange(3)], ids=kind)
def test_a_design_that_is_no_number_of_rows_is_refused(value):
    odd = Plain.having(design_rows=value)
    for ask in (
        lambda: derive(workflows.discard(4), model=odd, n=100),
        lambda: simulate(workflows.discard(4), model=odd, n=100, replications=10),
        lambda: models.check(odd),
    ):
        with pytest.raises(
            ValueError,
            match=(
                r"design_rows \(rows of the design of .*\) must be a whole number, at least 1;"
                r" it is"
            ),
        ):
            ask()


def test_observed_labels_are_one_for_each_row_of_the_design():
    odd = Plain.having(design_rows=20, observed=np.zeros(3))
    with pytest.raises(
        ValueError, match=r"observed must hold the 20 labels of the design of .*, or be None"
    ):
        simulate(workflows.discard(2), model=odd, replications=10)


def test_the_covariance_is_that_of_squares_that_sum_to_the_risk():
    right = Plain.having(deviation=np.negative)
    assert simulate(
        workflows.discard(2), model=right, n=10, replications=10, rng=0, covariance=True
    ).covariance.shape == (2, 2)


@pytest.mark.parametrize("deviation", [0.5, None, np.exp, np.zeros_like], ids=kind)
def test_what_is_no_deviation_has_no_covariance(deviation):
    odd = Plain.having(deviation=deviation)
    with pytest.raises(
        ValueError,
        match=r"no method `deviation`|squares of the deviation of .* do not sum to its risk",
    ):
        simulate(workflows.discard(2), model=odd, n=10, replications=10, rng=0, covariance=True)


def test_a_model_of_ones_own_declares_what_it_is():
    normal = Plain.having(
        exact_form="quadratic variance", mean=0, variance_function=(1, 0, 0), endpoint=3.0
    )
    assert "exact form" in models.check(normal)
    np.testing.assert_allclose(
        derive(workflows.discard(4), model=normal, n=100).ratio, [1, 2, 3, 4]
    )
    selected = Halved.having(
        exact_form="linear response", response=models.LinearResponse(0, 1, (0, 0.5), (0.25, 0, 0))
    )
    assert "exact form" in models.check(selected)
    assert derive(workflows.discard(2), model=selected, n=100).risk[1] == pytest.approx(0.005)


@pytest.mark.parametrize(
    ("members", "said"),
    [
        (
            {"exact_form": "quadratic"},
            "exact_form of .* must be one of quadratic variance, .*; it is 'quadratic'",
        ),
        ({"exact_form": 2}, "exact_form of .* must be one of quadratic variance"),
        (
            {"exact_form": "quadratic variance", "mean": 0},
            "declares the exact form 'quadratic variance' and lacks variance_function",
        ),
        ({"exact_form": "quadratic variance"}, "lacks mean and variance_function"),
        (
            {"exact_form": "quadratic variance", "mean": 0, "variance_function": np.sqrt},
            r"variance_function of .* must be a tuple \(v0, v1, v2\)",
        ),
        (
            {"exact_form": "quadratic variance", "mean": "0", "variance_function": (1, 0, 0)},
            "must hold numbers",
        ),
        (
            {"exact_form": "linear response", "response": 0.5},
            "response of .* must be a collapse.models.LinearResponse, or None; it is 0.5",
        ),
        ({"exact_form": "fixed design", "first_risk": 0.5}, "lacks design_rows"),
        (
            {"exact_form": "fixed design", "design_rows": 100, "first_risk": "0.5"},
            "first_risk of .* must be a number",
        ),
        ({"exact_form": "sample maximum", "endpoint": -3.0}, "endpoint of .* must be a number"),
    ],
)
def test_a_declaration_that_is_not_complete_is_refused_by_what_it_lacks(members, said):
    odd = Plain.having(**members)
    with pytest.raises(ValueError, match=said):
        derive(workflows.discard(4), model=odd, n=100)


PACKAGE = Path(collapse.__file__).parent
ENGINES = [
    *(PACKAGE / "derivation").glob("*.py"),
    *(PACKAGE / "simulation").glob("*.py"),
    PACKAGE / "universality.py",
]


@pytest.mark.parametrize("module", ENGINES, ids=lambda path: path.stem)
def test_engines_ask_for_protocols_alone(module):
    """No attribute of a model is looked for by a name that the engine knows: what a model can do is
    what the protocols say that it declares.
    """
    tree = ast.parse(module.read_text())
    asked = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and (
            getattr(node.func, "id", "") == "hasattr"
            or (
                getattr(node.func, "id", "") == "getattr" and isinstance(node.args[1], ast.Constant)
            )
        )
    ]
    assert not asked


def test_what_a_model_declares_is_checked_and_has_a_name():
    assert declared(Plain()) == ()
    assert declared(Plain.having(exact_form="sample maximum", endpoint=1.0)) == ("sample maximum",)
    assert declared(models.NormalMeanVariance(0, 1)) == (
        "mean statistic",
        "pooled statistics",
        "influence function",
        "measures",
    )
    assert declared(models.LinearRegression(X, y=LABELS)) == (
        "mean statistic",
        "reused design",
        "observed labels",
    )
    for model in (models.NormalMeanVariance(0, 1), models.Median("normal"), models.Uniform(1)):
        assert set(declared(model)) - set(FORMS) <= set(models.check(model))


def test_a_form_whose_member_fails_is_refused():
    class Unready(Plain):
        exact_form = "quadratic variance"
        mean = 0

        @property
        def variance_function(self):
            raise AttributeError("not yet")

    with pytest.raises(ValueError, match=r"declares the exact form .* and lacks .*variance"):
        exact_form(Unready())


def test_a_class_is_registered_at_parameters_and_one_name_means_one_model(monkeypatch):
    monkeypatch.setattr(registry, "_EXAMPLES", dict(registry._EXAMPLES))
    about = {"n": 50, "group": "toys", "why": "a toy"}
    assert models.register("Plain", at=(), **about)(Plain) is Plain
    (example,) = (e for e in models.examples() if e.name == "Plain")
    assert isinstance(example.make(), Plain)
    models.register("Plain", at=(), **about)(Plain)  # as when its file is read again
    with pytest.raises(ValueError, match="a model called 'Plain' is registered already"):
        models.register("Plain", at=(), **about)(Halved)


def test_examples_are_in_the_order_of_groups_with_what_is_covered_first():
    order = [(registry.GROUPS.index(e.group), not e.covered) for e in models.examples()]
    assert order == sorted(order)
    assert [e.name for e in models.examples() if e.group == "latent structure"] == [
        "Mixture weight by EM",
        "Principal components",
        "Mixture weight by one EM step",
        "Principal components, no signal",
    ]


TOY = '''
from dataclasses import dataclass
import numpy as np
from collapse.models import register

@dataclass(frozen=True)
class Rayleigh:
    """Rayleigh law by maximum likelihood: theta is the mean square."""
    square: float

    @property
    def truth(self):
        return np.array([self.square])

    def draw(self, theta, rows, rng):
        return np.sqrt(theta) * np.sqrt(rng.standard_exponential((len(theta), rows)))

    def draw_real(self, replications, rows, rng):
        return self.draw(np.full((replications, 1), self.square), rows, rng)

    def fit(self, rows, weight, start):
        return (weight * rows**2).sum(axis=1, keepdims=True) / weight.sum(axis=1, keepdims=True)

    def risk(self, theta):
        return (theta[:, 0] - self.square) ** 2

@register(
    "Rayleigh", n=100, group="toys", why="maximum likelihood in a smooth family", allowance=0.15
)
def example():
    return Rayleigh(2.0)
'''


def test_a_model_in_a_fresh_file_of_thirty_lines_conforms_and_appears_in_the_matrix(
    tmp_path, monkeypatch, capsys
):
    """The mean square is exponential: the matrix's deviation under discard is the exact one,
    (1.01^20 - 1) / 0.01 against 20.
    """
    assert len(TOY.strip().splitlines()) <= 30
    (tmp_path / "toy_rayleigh.py").write_text(TOY)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registry, "_EXAMPLES", dict(registry._EXAMPLES))
    importlib.import_module("toy_rayleigh")
    (example,) = (e for e in models.examples() if e.name == "Rayleigh")
    assert "influence function" not in models.check(example.make())
    chosen = [e for e in models.examples() if e.name in ("Normal", "Rayleigh")]
    table = matrix(chosen, generations=20, replications=4000)
    assert not any(table.stands_out(cell) for cell in table.row(example))
    assert len(table.cells) == 2 * len(table.workflows)
    # the command line knows its name, and says that no exact form goes with it
    assert main(["diagnose", "discard", "-g", "20", "--model", "Rayleigh", "-n", "100"]) == 2
    assert "known for Rayleigh(square=2.0), which declares none" in capsys.readouterr().err
