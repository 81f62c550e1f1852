"""Multinomial shares and the mean of a multivariate normal: exact at every n, by enumeration and
against numpy; what they refuse.
"""

from __future__ import annotations

from fractions import Fraction as F
from itertools import product
from math import comb, factorial, prod

import numpy as np
import pytest

from collapse import derive, models, simulate, workflows
from tests.plans import typed
from tests.statistics import assert_agree, assert_risks_agree

SHARES = (F(1, 2), F(1, 3), F(1, 6))
FAMILIES = [
    models.Multinomial([0.5, 0.3, 0.2]),
    models.MultivariateNormal([1, 2], [[2, 1], [1, 3]]),
]
PLANS = [
    workflows.discard(5),
    workflows.augment(5),
    workflows.subsample(5),
    typed(partly=False),
    typed(partly=True, replace=True),
]
each_family = pytest.mark.parametrize("model", FAMILIES, ids=repr)


def enumerate_shares(p, n, weights):
    """Covariance (G, G), summed over classes, of a multinomial chain's fits: fit g weighs batches
    by row g, batch g + 1 follows it.
    """
    cells = [c for c in product(range(n + 1), repeat=len(p)) if sum(c) == n]
    G = len(weights)
    total = np.full((G, G), F(0))
    for counts in product(cells, repeat=G):
        fits = [
            [sum(w * F(c[j], n) for w, c in zip(row, counts, strict=True)) for j in range(len(p))]
            for row in weights
        ]
        chance = F(1)
        for c, q in zip(counts, [p, *fits[:-1]], strict=True):
            chance *= factorial(n) * prod(s**k / F(factorial(k)) for s, k in zip(q, c, strict=True))
        error = np.array(
            [[m - s for m, s in zip(fit, p, strict=True)] for fit in fits], dtype=object
        )
        total += chance * (error @ error.T)
    return total


@pytest.mark.parametrize(
    ("workflow", "weights"),
    [
        (workflows.discard, [[1, 0, 0], [0, 1, 0], [0, 0, 1]]),
        (workflows.augment, [[1, 0, 0], [F(1, 2)] * 2 + [0], [F(1, 3)] * 3]),
    ],
)
def test_all_outcomes_of_a_multinomial_chain(workflow, weights):
    derived = derive(workflow(3), model=models.Multinomial(SHARES), n=2, exact=True)
    assert (derived.covariance == enumerate_shares(SHARES, 2, weights)).all()


def test_products_take_the_place_of_sums():
    n, G, V = 7, 6, 1 - sum(p * p for p in SHARES)
    model = models.Multinomial(SHARES)
    flat, pooled = (
        derive(plan(G), model=model, n=n, exact=True).risk
        for plan in (workflows.discard, workflows.augment)
    )
    assert flat.tolist() == [V * (1 - (1 - F(1, n)) ** g) for g in range(1, G + 1)]
    assert pooled.tolist() == [
        V * (1 - prod(1 - F(1, n * k * k) for k in range(1, g + 1))) for g in range(1, G + 1)
    ]
    normal = models.MultivariateNormal([F(1), F(2)], [[F(2), F(1, 3)], [F(1, 3), F(5, 2)]])
    assert derive(workflows.discard(3), model=normal, n=9, exact=True).risk.tolist() == [
        F(9, 2) * g / 9 for g in (1, 2, 3)
    ]


def test_two_classes_are_a_bernoulli_model_twice():
    for plan in PLANS:
        two, one = (
            derive(plan, model=models.Multinomial([0.3, 0.7]), n=20),
            derive(plan, model=models.Bernoulli(0.3), n=20),
        )
        np.testing.assert_allclose(two.risk, 2 * one.risk, rtol=1e-12)


def test_a_reservoir_is_exact_too():
    plan, model = workflows.reservoir(6, turnover=0.5), FAMILIES[0]
    assert_risks_agree(
        simulate(plan, model=model, n=20, replications=20_000, rng=2),
        derive(plan, model=model, n=20),
        detects=0.15,
    )


@each_family
@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: f"{plan.name}{', replace' * plan.replace}")
def test_simulated_risk_is_the_exact_risk_at_n(model, plan):
    simulated = simulate(plan, model=model, n=20, replications=40_000, rng=1)
    assert_risks_agree(simulated, derive(plan, model=model, n=20), detects=0.15)


@each_family
def test_covariance_of_a_row(model):
    R = 200_000
    away = model.influence_function(
        model.draw(np.repeat(model.truth[None], R, axis=0), 1, np.random.default_rng(3)),
        model.truth[None],
    )
    seen = np.einsum("rnj,rnk->jk", away, away) / R
    spread = np.sqrt((np.einsum("rnj,rnk->rjk", away, away) ** 2).mean(axis=0) / R)
    assert_agree(seen, spread, model.influence_covariance, detects=0.15)
    v0, v1, v2 = (float(v) for v in model.variance_function)
    assert v0 + v1 * model.truth.sum() + v2 * (model.truth**2).sum() == pytest.approx(
        model.limit_risk
    )


@each_family
def test_statistics_have_the_covariance_of_means(model):
    R, rows = 100_000, 5
    mean = (
        model.draw_statistic(
            np.repeat(model.truth[None], R, axis=0), rows, np.random.default_rng(4)
        )
        - model.truth
    )
    spread = np.sqrt((np.einsum("rj,rk->rjk", mean, mean) ** 2).mean(axis=0) / R)
    assert_agree(mean.T @ mean / R, spread, model.influence_covariance / rows, detects=0.15)


def test_labels_follow_the_shares_and_fit_counts_weights():
    model = models.Multinomial([0.2, 0.3, 0.5])
    assert set(
        np.unique(
            model.draw(np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1.0]]), 50, np.random.default_rng(0)),
            axis=0,
        )[:, 0]
    ) == {0, 1, 2}
    fit = model.fit(np.array([[0, 2, 2, 1.0]]), np.array([[1, 1, 2, 4.0]]), None)
    np.testing.assert_allclose(fit, [[1 / 8, 4 / 8, 3 / 8]])


def test_share_of_absorbed_chains_of_two_rows():
    """n = 2, two classes: the chance that a chain of discard is constant at generation 2, by
    hand.
    """
    p = 0.3
    first = [comb(2, k) * p**k * (1 - p) ** (2 - k) for k in range(3)]
    constant = first[0] + first[2] + first[1] / 2
    plan, model = workflows.discard(2), models.Multinomial([p, 1 - p])
    # a constant chain at share 1 has risk 2 (1 - p)^2, at share 0 risk 2 p^2, and one in between 2
    # (1/2 - p)^2
    risk = derive(plan, model=model, n=2).risk[1]
    ones = first[2] + first[1] / 4
    assert risk == pytest.approx(
        2 * (ones * (1 - p) ** 2 + (constant - ones) * p**2 + (1 - constant) * (0.5 - p) ** 2)
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: models.Multinomial([1.0]),
            "p must hold the shares of at least two classes; it holds 1",
        ),
        (
            lambda: models.Multinomial([0.5, 0.6]),
            "p must sum to one; it sums to 1.1. Divide it by its sum",
        ),
        (
            lambda: models.Multinomial([0.5, 0.5, 0]),
            r"p\[2\] must be a number, between 0 and 1, both excluded; it is 0",
        ),
        (lambda: models.Multinomial([0.5, float("nan")]), r"p\[1\] must be a number"),
        (lambda: models.Multinomial(0.5), "p must be a sequence of numbers; it is 0.5"),
        (
            lambda: models.Multinomial("ab"),
            "p must hold real numbers; give a sequence of numbers. It holds <U2 data",
        ),
        (
            lambda: models.MultivariateNormal([0, 0], [[1]]),
            r"covariance must have shape \(2, 2\), as mean holds 2 numbers; it has shape \(1, 1\)",
        ),
        (
            lambda: models.MultivariateNormal([0, 0], [1, 1]),
            r"covariance must be a \(d, d\) table; it is \[1, 1\]",
        ),
        (
            lambda: models.MultivariateNormal([0, 0], 1),
            r"covariance must be a \(d, d\) table; it is 1",
        ),
        (
            lambda: models.MultivariateNormal([0, 0], [[1, 0.5], [0, 1]]),
            "covariance must be symmetric",
        ),
        (
            lambda: models.MultivariateNormal([0, 0], [[1, 2], [2, 1]]),
            "positive definite; its least eigenvalue is -1",
        ),
        (
            lambda: models.MultivariateNormal([0, np.inf], [[1, 0], [0, 1]]),
            r"mean\[1\] must be a number, finite; it is inf",
        ),
        (
            lambda: models.MultivariateNormal([0], [["1"]]),
            r"covariance must hold real numbers; give a \(d, d\) table. It holds <U1 data",
        ),
        (
            lambda: models.MultivariateNormal([0, 0], [[1, 0], [0, 1e101]]),
            r"covariance\[1\]\[1\] must be a number from -1e\+100 to 1e\+100",
        ),
    ],
)
def test_bad_parameters_are_refused_by_name(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_arrays_are_taken_and_printed_as_numbers():
    model = models.MultivariateNormal(np.zeros(2), np.eye(2))
    assert repr(model) == "MultivariateNormal(mean=(0.0, 0.0), covariance=((1.0, 0.0), (0.0, 1.0)))"
    assert models.Multinomial(np.array([0.5, 0.5])) == models.Multinomial([0.5, 0.5])
