"""derive(order=2): against risks that are known exactly, against enumeration, and simulation."""

from __future__ import annotations

from functools import partial
from inspect import signature
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import digamma, zeta
from scipy.stats import binom, hypergeom

import collapse
from collapse import models, workflows
from collapse.derivation.second import tables
from collapse.models.expansion import SecondOrder, of_log_loss, of_mean
from collapse.models.protocols import WithSecondOrder, design_of

Array = NDArray[np.float64]
G = 6
PLANS = {
    "discard": workflows.discard(G),
    "augment": workflows.augment(G),
    "window": workflows.window(G, k=3),
    "fixed real share": workflows.fixed_real_share(G, 0.3),
    "small batches": workflows.augment(G, size=2),
    "ring": workflows.ring(3, 4, share=0.2),
}
LATER = [[1, 0, 0], [0.5, 0.5, 0], [0.2, 0.3, 0.5]], [[1, 1, 1], [0.5, 0.5, 1], [0.25, 0.5, 0.5]]
DRAWN = {
    "subsample": workflows.subsample(4),
    "bootstrap": workflows.bootstrap(4),
    "some of each": collapse.Plan([0, 1, 2], [1, 1, 2], *LATER),
    "some of each, with replacement": collapse.Plan([0, 1, 2], [1, 1, 2], *LATER, replace=True),
}
FOUR = {
    "discard": workflows.discard(4),
    "augment": workflows.augment(4),
    "window": workflows.window(4, k=2),
}
rng = np.random.default_rng(20261128)
X = np.column_stack([np.ones(200), rng.standard_normal((200, 2))])
MORRIS = [
    models.Normal(1, 2),
    models.Bernoulli(0.3),
    models.Binomial(5, 0.4),
    models.Poisson(5),
    models.Exponential(1),
    models.Gamma(3, 2),
    models.NegativeBinomial(4, 2),
    models.HyperbolicSecant(1, 0.5),
    models.Multinomial((0.4, 0.3, 0.2, 0.1)),
    models.MultivariateNormal((1.0, 2.0), ((2.0, 0.5), (0.5, 1.0))),
]
LIKELIHOOD = [
    models.ExponentialRate(2.0),
    models.NormalMeanVariance(1, 4),
    models.GammaShapeRate(2, 1),
    models.Beta(2, 3),
    models.InverseGaussian(1, 2),
]
REGRESSION = [
    models.LogisticRegression(X, beta=[0.3, 0.7, -0.4]),
    models.PoissonRegression(X, beta=[0.3, 0.4, -0.4]),
    models.MultinomialRegression(X, beta=[[0.3, 0.7, -0.4], [-0.2, 0.1, 0.5]]),
]


def second(plan: collapse.Plan, model: Any, n: int) -> Array:
    return np.asarray(collapse.derive(plan, model=model, n=n, order=2).risk)


def is_of_order_two(exact: Any, approximate: Any, small: int = 40) -> None:
    """What is left out falls like n^-3: by 8 where n doubles, and not by 4."""
    off = [np.abs(exact(n) - approximate(n)) for n in (small, 2 * small, 4 * small)]
    scale = np.abs(exact(small))
    for one, other in pairwise(off):
        seen = one > 1e-11 * scale
        assert np.all(one[seen] / other[seen] > 6)
    assert np.all(off[0] < 0.3 * scale)


@pytest.mark.parametrize("name", [*PLANS, *DRAWN])
@pytest.mark.parametrize("model", MORRIS, ids=repr)
def test_means_of_quadratic_variance_are_exact_but_for_third_order(model: Any, name: str) -> None:
    plan = (PLANS | DRAWN)[name]
    is_of_order_two(
        lambda n: collapse.derive(plan, model=model, n=n).risk,
        lambda n: second(plan, model, n),
        48 if name in DRAWN else 40,
    )


@pytest.mark.parametrize("replace", [False, True], ids=["without", "with replacement"])
def test_a_function_of_drawn_coins_by_enumeration(replace: bool) -> None:
    """exp of the weighted mean of half of the real coins and half of those of a first fit."""
    p, w = 0.3, np.array([0.3, 0.7])
    numbers = of_mean((p * (1 - p), 1 - 2 * p, -2.0), (np.exp(p),) * 3)
    plan = collapse.Plan([0, 1], [1, 1], [[1, 0], w], [[1, 1], [0.5, 0.5]], replace=replace)

    def exact(n: int) -> Array:
        k, heads = n // 2, np.arange(n + 1)
        real, again = binom.pmf(heads, n, p), chances(n, heads / n)
        # by how many of a batch's coins are heads
        half = (
            chances(k, heads / n)
            if replace
            else hypergeom.pmf(heads[: k + 1], n, heads[:, None], k)
        )
        later = (again @ again if replace else again) @ half
        mean = (w[0] * heads[: k + 1, None] + w[1] * heads[: k + 1]) / k
        loss = (np.exp(mean) - np.exp(p)) ** 2
        return np.einsum("h,hi,hj,ij->", real, half, later, loss)[None]

    def told(n: int) -> Array:
        c = np.asarray(collapse.derive(plan).contributions)
        C, D, A, E = tables(plan, c, plan.rows(n).astype(float), n)
        level, spread, skewness, inherited, curvature = numbers
        return level * C + spread * D + skewness * A + inherited * E + curvature * C * C

    is_of_order_two(exact, lambda n: told(n)[1:])
    # what comes of draws in the third moments is of the second order, and seen
    assert abs(told(80)[1] - exact(80)[0]) < 0.02 * abs(told(80)[1] - numbers.level / 80)


@pytest.mark.statistical
@pytest.mark.parametrize(
    ("model", "name", "n"),
    [
        (LIKELIHOOD[0], "subsample", 60),
        (LIKELIHOOD[1], "bootstrap", 120),
        (LIKELIHOOD[4], "some of each", 60),
    ],
)
def test_simulated_levels_of_drawn_rows(model: Any, name: str, n: int) -> None:
    plan = DRAWN[name]
    told = second(plan, model, n)
    found = collapse.simulate(plan, model=model, n=n, replications=20_000, rng=5)
    first = model.limit_risk * collapse.derive(plan).risk / n
    next_order = 2 * (told - first) ** 2 / first
    assert np.all(np.abs(found.risk - told) < 4.5 * found.risk_stderr + next_order)
    assert abs(found.risk[-1] - first[-1]) > 6 * found.risk_stderr[-1]


def test_the_rate_of_an_exponential_under_discard() -> None:
    g = np.arange(1, G + 1)

    def exact(n: int) -> Array:
        # 1 / mean is the truth times g factors n / Gamma(n)
        return (n**2 / ((n - 1) * (n - 2))) ** g - 2 * (n / (n - 1)) ** g + 1

    model = models.ExponentialRate(1.0)
    is_of_order_two(exact, lambda n: second(PLANS["discard"], model, n), 200)
    n = 400
    risk = collapse.derive(PLANS["discard"], model=model, n=n, order=2)
    np.testing.assert_allclose(n * risk.risk, g + (7 * g * g + 3 * g) / (2 * n), rtol=1e-12)


def test_normal_mean_and_variance_under_discard() -> None:
    g = np.arange(1, G + 1)

    def exact(n: int) -> Array:
        # the variance is multiplied by chi2(n - 1) / n in every generation
        inverse = n / (n - 3)
        log = g * (digamma((n - 1) / 2) + np.log(2 / n))
        apart = np.array([sum(inverse ** (k - j + 1) for j in range(1, k + 1)) / n for k in g])
        return (inverse**g - 1 + log + apart) / 2

    model = models.NormalMeanVariance(3, 0.25)
    is_of_order_two(exact, lambda n: second(PLANS["discard"], model, n), 200)


@pytest.mark.parametrize("p", [1, 2, 3])
def test_normal_mean_and_covariance_under_discard(p: int) -> None:
    g = np.arange(1, G + 1)

    def exact(n: int) -> Array:
        # the covariance is multiplied by Wishart(n - 1) / n in every generation
        inverse = n / (n - p - 2)
        log = g * sum(digamma((n - 1 - i) / 2) + np.log(2 / n) for i in range(p))
        apart = np.array([sum(inverse ** (k - j + 1) for j in range(1, k + 1)) / n for k in g])
        return (p * (inverse**g - 1) + log + p * apart) / 2

    shape = np.tril(np.ones((p, p)))
    model = models.NormalMeanCovariance(np.arange(p), shape @ shape.T)
    is_of_order_two(exact, lambda n: second(PLANS["discard"], model, n), 400)
    level, spread, _, inherited, curvature = model.second_order()
    assert ((spread + inherited) / 2 + curvature) / level == pytest.approx(p + 2)
    if p == 1:
        assert model.second_order() == pytest.approx(models.NormalMeanVariance(0, 1).second_order())
    assert models.NormalMeanCovariance([0], [[1]], divisor="n-1").second_order() is None


def chances(n: int, total: Array) -> Array:
    return np.asarray(binom.pmf(np.arange(n + 1), n, total[:, None]))


@pytest.mark.parametrize("name", ["discard", "augment"])
def test_one_coefficient_by_enumeration(name: str) -> None:
    # a design of ones: the number of labels 1 in the pool decides, and risk is a divergence of p;
    # among the chains that have an estimate
    p = 1 / (1 + np.exp(-0.7))

    def exact(n: int) -> Array:
        law, out = binom.pmf(np.arange(n + 1), n, p), []
        for g in range(1, 5):
            pool = n if name == "discard" else g * n
            share = np.arange(pool + 1) / pool
            inside = (share > 0) & (share < 1)
            at = share[inside]
            # Kullback-Leibler divergence of the fitted law from the true one
            loss = p * np.log(p / at) + (1 - p) * np.log((1 - p) / (1 - at))
            out.append(law[inside] @ loss / law[inside].sum())
            step = chances(n, share) * (law * inside)[:, None]
            if name == "discard":
                law = step.sum(axis=0)
            else:
                law = np.zeros(pool + n + 1)
                for k in range(n + 1):
                    law[k : k + pool + 1] += step[:, k]
        return np.array(out)

    def model(n: int) -> Any:
        return models.LogisticRegression(np.ones((n, 1)), beta=[0.7])

    plan = getattr(workflows, name)(4)
    is_of_order_two(exact, lambda n: second(plan, model(n), n), 60)


def test_a_variance_function_that_is_not_quadratic() -> None:
    # the mean of an inverse Gaussian law with known shape: V = mu^3 / shape; in the first order of
    # the correction v2 is replaced by V'' / 2
    shape, mean, n = 2.0, 1.0, 100
    numbers = of_mean((mean**3 / shape, 3 * mean**2 / shape, 6 * mean / shape), (1.0, 0.0, 0.0))
    assert numbers == SecondOrder(0.5, 0.75, 0.0, 0.0, 0.0)
    draw, R = np.random.default_rng(3), 400_000
    mu = np.full(R, mean)
    g = np.arange(1, G + 1)
    predicted = numbers.level * g / n + numbers.spread * g * (g - 1) / 2 / n**2
    for level in predicted:
        mu = draw.wald(mu, n * shape)
        square = (mu - mean) ** 2
        assert abs(square.mean() - level) < 4.5 * square.std() / np.sqrt(R) + 3 * level**3
    # and the first order would not do
    assert abs(square.mean() - numbers.level * G / n) > 8 * square.std() / np.sqrt(R)


@pytest.mark.statistical
@pytest.mark.parametrize("name", FOUR)
@pytest.mark.parametrize("model", [*LIKELIHOOD, *REGRESSION], ids=lambda m: type(m).__name__)
def test_simulated_levels_are_those_of_the_second_order(model: Any, name: str) -> None:
    plan, n = FOUR[name], 200
    told = second(plan, model, n)
    found = collapse.simulate(plan, model=model, n=n, replications=20_000, rng=5)
    first = model.limit_risk * collapse.derive(plan).risk / n
    # what comes next is about as much smaller again
    next_order = 2 * (told - first) ** 2 / first
    assert np.all(np.abs(found.risk - told) < 4.5 * found.risk_stderr + next_order)


KNOWN = [
    example
    for example in models.examples()
    if isinstance(example.make(), WithSecondOrder) and example.make().second_order() is not None
]


def test_the_registry_has_second_orders() -> None:
    assert len(KNOWN) == 21
    # of a fixed design with constant noise nothing is left to say
    least_squares = next(e for e in KNOWN if e.name == "Least squares").make()
    assert least_squares.second_order() == (least_squares.limit_risk, 0, 0, 0, 0)


@pytest.mark.statistical
@pytest.mark.parametrize("rows", [50, 200])
@pytest.mark.parametrize("example", KNOWN, ids=lambda e: e.name.replace(" ", "-"))
def test_registered_models_at_fifty_and_two_hundred_rows(example: Any, rows: int) -> None:
    regression = "rows" in signature(example.make).parameters
    model = partial(example.make, rows=rows)() if regression else example.make()
    n, plan = design_of(model) or rows, workflows.discard(3)
    told = second(plan, model, n)
    first = model.limit_risk * np.arange(1, 4) / n
    if getattr(model, "exact_form", None):
        error, exact = 1e-12 * first, collapse.derive(plan, model=model, n=n).risk
        # what is left out is the square of what is derived, or less
        assert np.all(np.abs(told - exact) <= (told - first) ** 2 / first + error)
        return
    found = collapse.simulate(plan, model=model, n=n, replications=8000, rng=5, fits=True)
    # no estimate, no risk: means over replications that have all fits
    kept = found.fits[np.isfinite(found.fits).all(axis=(1, 2))]
    assert len(kept) > 0.97 * 8000
    risk = np.array([model.risk(kept[:, g]) for g in range(3)])
    error = risk.std(axis=1) / np.sqrt(len(kept))
    next_order = 2 * (told - first) ** 2 / first
    assert np.all(np.abs(risk.mean(axis=1) - told) < 4.5 * error + next_order)
    if abs(told[-1] / first[-1] - 1) > 0.1:  # and the first order would not do
        short, left = risk[-1].mean() - (first[-1], told[-1])
        assert short > 6 * error[-1]
        # three classes are too many for fifty rows
        assert (abs(left) < short / 2) == (example.name != "Multinomial logistic")


def test_tables_of_a_plan_by_hand() -> None:
    # fit 2 reads a half of each batch; batch 1 from fit 1; m = (4, 8)
    plan = collapse.Plan([0, 1], [1, 2], [[1, 0], [0.5, 0.5]])
    c = np.asarray(collapse.derive(plan).contributions)
    np.testing.assert_array_equal(c, [[1, 0], [1, 0.5]])
    C, D, A, E = tables(plan, c, np.array([4.0, 8.0]), 4)
    np.testing.assert_allclose(C, [1 / 4, 1 / 4 + 1 / 32])
    np.testing.assert_allclose(D, [0, 0.25 / 8 * (1 / 4)])
    np.testing.assert_allclose(A, [1 / 16, 1 / 16 + 0.125 / 64])
    np.testing.assert_allclose(E, [0, 0.25 / 8 * (1 / 4)])


def test_discard_and_augment_in_closed_form() -> None:
    model = models.GammaShapeRate(2, 1)
    level, spread, skewness, inherited, curvature = model.second_order()
    g, n = np.arange(1, 401), 10**6
    beta = ((spread + inherited) / 2 + curvature) / level
    ratio = collapse.derive(workflows.discard(400), model=model, n=n, order=2).ratio
    np.testing.assert_allclose(ratio, g * (1 + (g - 1) / n * beta), rtol=1e-8)
    squares, cubes = (np.cumsum(1 / g.astype(float) ** k) for k in (2, 3))
    pairs = np.cumsum(np.append(0, squares[:-1]) / g**2)
    second_term = (spread + inherited) * pairs + skewness * cubes + curvature * squares**2
    risk = collapse.derive(workflows.augment(400), model=model, n=n, order=2).risk
    np.testing.assert_allclose(n * risk, level * squares + second_term / n, rtol=1e-12)
    ends = np.pi**4 / 120, zeta(3), np.pi**4 / 36
    np.testing.assert_allclose([pairs[-1], cubes[-1], squares[-1] ** 2], ends, rtol=6e-3)


def test_beta_of_a_share_under_log_loss() -> None:
    for share in (0.1, 0.3, 0.5):
        model = models.LogisticRegression(np.ones((50, 1)), beta=[np.log(share / (1 - share))])
        level, spread, _, inherited, curvature = model.second_order()
        v = share * (1 - share)
        found = ((spread + inherited) / 2 + curvature) / level
        assert found == pytest.approx((1 - 2 * v) / (2 * v), rel=1e-12)


def test_what_is_refused_at_thirty_per_cent_is_told_before() -> None:
    model, plan = models.ExponentialRate(1.0), PLANS["discard"]
    g = np.arange(1, G + 1)
    # of the first order: (7 g + 3) / (2 n)
    least = int(np.ceil((7 * G + 3) / 2 / 0.3))
    told = collapse.derive(plan, model=model, n=least, order=2)
    np.testing.assert_allclose(told.risk, (g + (7 * g * g + 3 * g) / (2 * least)) / least)
    with pytest.raises(ValueError, match=f"n = {least - 1} is too small .* at generation {G} it"):
        collapse.derive(plan, model=model, n=least - 1, order=2)


def test_a_family_of_constant_variance_has_no_second_order() -> None:
    assert of_log_loss(3, 0.0, 0.0, 0.0) == SecondOrder(1.5, 0.0, 0.0, 0.0, 0.0)


def test_log_loss_of_one_parameter_by_hand() -> None:
    # first fit: d/2n + (19 skewness^2 / 24 - 3 kurtosis / 8) / n^2
    squared, fourth = 1.7, 2.3
    numbers = of_log_loss(1, squared, squared, fourth)
    first = numbers.skewness + numbers.curvature
    assert first == pytest.approx(19 / 24 * squared - 3 / 8 * fourth)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"model": models.Median("normal"), "n": 101}, "no second order is known for model Median"),
        ({"model": models.ProbitRegression(X, beta=[0, 1, 0])}, "no second order is known"),
        ({"model": models.Poisson(3), "n": 9, "order": 3}, "order must be 2, or left out"),
        ({"model": models.Poisson(3), "n": 9, "order": True}, "order must be 2, or left out"),
        ({"model": models.Poisson(3), "n": 9, "exact": True}, "order=2 needs a model and answers"),
        ({}, "order=2 needs a model and answers in floats"),
        ({"model": models.ExponentialRate(1.0), "n": 20}, "n = 20 is too small for the second"),
    ],
)
def test_what_has_no_second_order_is_refused(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        collapse.derive(PLANS["discard"], **{"order": 2} | arguments)


@pytest.mark.parametrize(
    ("plan", "model", "what"),
    [
        (workflows.reservoir(4), models.Poisson(3), "that persist"),
        (workflows.subsample(4), REGRESSION[0], "of a design"),
    ],
)
def test_rows_that_persist_or_have_a_design_and_are_drawn_are_refused(
    plan: Any, model: Any, what: str
) -> None:
    with pytest.raises(ValueError, match=f"draws rows {what}, and no second order is known then"):
        collapse.derive(plan, model=model, n=design_of(model) or 50, order=2)


def test_part_of_a_design_is_refused() -> None:
    with pytest.raises(ValueError, match="a batch labels part of the design"):
        collapse.derive(workflows.augment(4, size=0.5), model=REGRESSION[0], order=2)


def test_observed_labels_have_no_second_order() -> None:
    y = np.random.default_rng(0).integers(0, 2, len(X)).astype(float)
    assert models.LogisticRegression(X, y=y).second_order() is None
