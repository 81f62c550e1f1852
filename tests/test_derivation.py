"""derive() against oracles: every outcome of small chains, linear algebra in Fractions, closed
forms; and its messages.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from fractions import Fraction as F
from itertools import combinations, product
from math import comb, floor, pi

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collapse import Plan, derive, models, workflows
from collapse.derivation import moments
from collapse.exact import Numbers
from collapse.recursion import Recursion
from tests.plans import NAMED, dense, plans, private, typed

h = np.cumsum(1 / np.arange(1, 101) ** 2)


# Every outcome of a small Bernoulli chain, in rational arithmetic


def reads(batch, k, replace):
    """Probability of each mean that a draw of k rows of a batch can have."""
    low, part = floor(k), k - floor(k)
    law = Counter()
    for size, share in ((low, 1 - part), (low + 1, part)):
        if share:
            samples = (
                list(product(batch, repeat=size)) if replace else list(combinations(batch, size))
            )
            for sample in samples:
                law[F(sum(sample), size)] += share / len(samples)
    return law


def enumerated(plan, p, n):
    """E (theta_g - p)(theta_h - p) over all outcomes of the chain, (G, G) Fractions."""
    weight, kept, size = plan.exact_weight(), plan.exact_kept(), plan.exact_size()
    rows = [int(s * n) for s in size]
    states = {((None,) * plan.batches, ()): F(1)}
    for g in range(plan.generations):
        for b in np.flatnonzero(plan.source == g):
            new = defaultdict(F)
            for (batches, fits), chance in states.items():
                theta = fits[g - 1] if g else p
                for ones in range(rows[b] + 1):
                    likely = comb(rows[b], ones) * theta**ones * (1 - theta) ** (rows[b] - ones)
                    if likely:
                        batch = (1,) * ones + (0,) * (rows[b] - ones)
                        new[(*batches[:b], batch, *batches[b + 1 :]), fits] += chance * likely
            states = new
        new = defaultdict(F)
        for (batches, fits), chance in states.items():
            law = {F(0): F(1)}
            for b in np.flatnonzero(weight[g] > 0):
                step = defaultdict(F)
                if kept[g, b] == 1 and not plan.replace:
                    means = {F(sum(batches[b]), rows[b]): F(1)}
                else:
                    means = reads(batches[b], kept[g, b] * rows[b], plan.replace)
                for total, likely in law.items():
                    for mean, share in means.items():
                        step[total + weight[g, b] * mean] += likely * share
                law = step
            for theta, likely in law.items():
                new[batches, (*fits, theta)] += chance * likely
        states = new
    assert sum(states.values()) == 1
    moments = np.full((plan.generations, plan.generations), F(0), object)
    for (_, fits), chance in states.items():
        error = np.array(fits, dtype=object) - p
        moments += chance * np.outer(error, error)
    return moments


half, third = F(1, 2), F(1, 3)
SHARED = {
    "source": [0, 1, 1, 2],
    "size": [1, 2, half, 1],
    "weight": [[1, 0, 0, 0], [half, F(1, 4), F(1, 4), 0], [0, third, third, third]],
}
CHAINS = {
    "discard": (workflows.discard(3), 4),
    "augment": (workflows.augment(3), 4),
    "subsample, whole and non-whole reads": (workflows.subsample(3), 4),
    "subsample, non-whole reads at once": (workflows.subsample(3), 3),
    "typed, whole": (Plan(**SHARED), 2),
    "typed, partly": (
        Plan(**SHARED, kept=[[1, 1, 1, 1], [half, third, 1, 1], [1, F(3, 4), 1, F(2, 3)]]),
        2,
    ),
    "typed, first fit reads a part": (
        Plan([0, 1], [1, half], [[1, 0], [third, 2 * third]], [[half, 1], [half, half]]),
        4,
    ),
    "bootstrap of all": (Plan([0, 1], [1, 1], [[1, 0], [half, half]], replace=True), 3),
    "bootstrap of a non-whole part": (
        Plan([0, 1], [1, 1], [[1, 0], [half, half]], [[half, 1], [F(2, 3), half]], replace=True),
        3,
    ),
    "augment, drawn with replacement": (
        Plan(
            [0, 1, 2],
            [1, 1, 1],
            Recursion(Numbers.ratio([0, 1, 2], [1, 2, 3]), Numbers.ratio(1, [1, 2, 3])),
            replace=True,
        ),
        2,
    ),
    "real data again": (
        Plan([0, 0, 1], [1, 1, 1], [[1, 0, 0], [0, half, half], [third, third, third]]),
        4,
    ),
}


@pytest.mark.parametrize("name", CHAINS)
def test_exact_covariance_equals_the_enumeration_of_all_outcomes(name):
    plan, n = CHAINS[name]
    p = F(2, 7)
    risk = derive(plan, model=models.Bernoulli(p), n=n, exact=True)
    expected = enumerated(plan, p, n)
    assert (risk.covariance == expected).all()
    assert risk.risk.tolist() == np.diag(expected).tolist()
    assert all(isinstance(v, F) for v in risk.risk)
    twin = derive(dense(plan), model=models.Bernoulli(p), n=n, exact=True)
    assert (twin.covariance == expected).all()
    close = derive(plan, model=models.Bernoulli(float(p)), n=n)
    np.testing.assert_allclose(close.covariance, expected.astype(float), rtol=1e-12)
    np.testing.assert_allclose(close.risk, np.diag(expected).astype(float), rtol=1e-12)


def test_the_enumeration_catches_a_derivation_without_v2(monkeypatch):
    monkeypatch.setattr(models.Binomial, "variance_function", (0, 1 - F(2, 7), 0))
    plan, n = CHAINS["augment"]
    assert (
        derive(plan, model=models.Bernoulli(F(2, 7)), n=n, exact=True).risk.tolist()
        != np.diag(enumerated(plan, F(2, 7), n)).tolist()
    )


def test_the_enumeration_catches_a_draw_without_the_finite_population(monkeypatch):
    monkeypatch.setattr(
        moments,
        "draw_noise",
        lambda plan, n, exact: np.where(plan.weight > 0, F(1), F(0)) / plan.exact_kept() / n,
    )
    plan, n = CHAINS["subsample, whole and non-whole reads"]
    expected = enumerated(plan, F(2, 7), n)
    assert (
        derive(plan, model=models.Bernoulli(F(2, 7)), n=n, exact=True).covariance != expected
    ).any()


# The Gaussian limit against linear algebra from the definition


def brute_force(plan):
    """(I - A)^-1 K (I - A)^-T and (I - A)^-1 W in Fractions, A and K entry by entry, the inverse as
    sum of A^k.
    """
    G, B = plan.generations, plan.batches
    W, size, kept = plan.exact_weight(), plan.exact_size(), plan.exact_kept()
    A, K = np.full((2, G, G), F(0), object)
    for g, b in product(range(G), range(B)):
        if plan.source[b]:
            A[g, plan.source[b] - 1] += W[g, b]
        if W[g, b]:
            K[g, g] += W[g, b] ** 2 * (1 / kept[g, b] - (not plan.replace)) / size[b]
        for other in range(G):
            K[g, other] += W[g, b] * W[other, b] / size[b]
    inverse = power = np.array([[F(i == j) for j in range(G)] for i in range(G)], dtype=object)
    for _ in range(G):
        power = power @ A
        inverse = inverse + power
    return inverse @ K @ inverse.T, inverse @ W


@given(plans())
def test_exact_and_float_answers_equal_brute_force(plan):
    C, c = brute_force(plan)
    exact, close = derive(plan, exact=True), derive(plan)
    assert (exact.covariance == C).all()
    assert (exact.contributions == c).all()
    assert exact.risk.tolist() == np.diag(C).tolist()
    assert exact.ratio.tolist() == [v / C[0, 0] for v in np.diag(C)]
    np.testing.assert_allclose(close.covariance, C.astype(float), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(close.contributions, c.astype(float), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(close.ratio, exact.ratio.astype(float), rtol=1e-12)
    np.testing.assert_allclose(np.diag(close.covariance), close.risk, rtol=1e-12)


@st.composite
def recursions(draw):
    """Random recursions: decay + share = 1, sizes, kept or none, with or without replacement."""
    G = draw(st.integers(1, 6))
    unit = st.sampled_from([F(0), F(1, 3), F(1, 2), F(4, 5), F(1)])
    share = [F(1), *draw(st.lists(unit, min_size=G - 1, max_size=G - 1))]
    size = draw(st.lists(st.sampled_from([F(1), F(1, 2), F(3)]), min_size=G, max_size=G))
    kept = draw(
        st.none() | st.lists(st.sampled_from([F(1), F(1, 2), F(2, 7)]), min_size=G, max_size=G)
    )
    rows = Recursion(
        Numbers.read([1 - v for v in share], "weight", 1),
        Numbers.read(share, "weight", 1),
        *([] if kept is None else [Numbers.read(kept, "kept", 1)]),
    )
    return Plan(range(G), size, rows, replace=draw(st.booleans()))


@given(recursions())
def test_a_recursion_derives_as_its_dense_twin(plan):
    twin = dense(plan)
    assert derive(plan, exact=True).risk.tolist() == np.diag(brute_force(twin)[0]).tolist()
    np.testing.assert_allclose(derive(plan).risk, derive(twin).risk, rtol=1e-12)
    np.testing.assert_allclose(derive(plan).covariance, derive(twin).covariance, rtol=1e-12)
    np.testing.assert_allclose(
        derive(plan).contributions, derive(twin).contributions, rtol=1e-12, atol=1e-15
    )


def test_the_closed_forms_of_the_three_workflows():
    assert derive(workflows.discard(100), exact=True).ratio.tolist() == list(range(1, 101))
    exact = np.cumsum([F(1, g * g) for g in range(1, 101)])
    assert derive(workflows.augment(100), exact=True).ratio.tolist() == exact.tolist()
    assert derive(workflows.subsample(100), exact=True).ratio.tolist() == (3 * exact - 2).tolist()
    np.testing.assert_allclose(derive(workflows.augment(100)).ratio, h, rtol=1e-14)
    np.testing.assert_allclose(derive(workflows.subsample(100)).ratio, 3 * h - 2, rtol=1e-14)


def test_the_papers_hundredth_generation():
    assert derive(workflows.augment(100)).ratio[-1] == 1.634983900184893
    assert derive(workflows.subsample(100)).ratio[-1] == 2.9049517005546788


def test_augment_rises_to_pi_squared_over_six_and_subsample_to_pi_squared_over_two_minus_two():
    last = 100_000
    assert derive(workflows.augment(last)).ratio[-1] == pytest.approx(
        pi**2 / 6 - 1 / last, rel=1e-9
    )
    assert derive(workflows.subsample(last)).ratio[-1] == pytest.approx(
        pi**2 / 2 - 2 - 3 / last, rel=1e-9
    )


def test_contributions_are_a_random_walk_under_discard_and_shrinking_steps_under_augment():
    assert derive(workflows.discard(4), exact=True).contributions.tolist() == [
        [int(b <= g) for b in range(4)] for g in range(4)
    ]
    steps = [[F(1, b + 1) if b <= g else 0 for b in range(4)] for g in range(4)]
    assert derive(workflows.augment(4), exact=True).contributions.tolist() == steps


# What must not matter


@given(plans(), st.sampled_from([F(1, 3), F(5)]))
def test_scaling_all_sizes_scales_the_risk_and_leaves_the_ratio(plan, scale):
    scaled = Plan(
        plan.source,
        plan.exact_size() * scale,
        plan.exact_weight(),
        plan.exact_kept(),
        replace=plan.replace,
    )
    assert derive(scaled, exact=True).ratio.tolist() == derive(plan, exact=True).ratio.tolist()
    assert (
        derive(scaled, exact=True).risk.tolist() == (derive(plan, exact=True).risk / scale).tolist()
    )


@given(plans(), st.randoms(use_true_random=False))
def test_the_order_of_batches_does_not_matter(plan, random):
    order = list(range(plan.batches))
    random.shuffle(order)
    tables = (
        plan.source[order],
        plan.exact_size()[order],
        plan.exact_weight()[:, order],
        plan.exact_kept()[:, order],
    )
    assert (
        derive(Plan(*tables, replace=plan.replace), exact=True).covariance
        == derive(plan, exact=True).covariance
    ).all()


@given(plans(), st.integers(0, 4))
def test_a_batch_that_nobody_reads_does_not_matter(plan, source):
    def more(table, value):
        return np.column_stack([table, np.full(len(table), value, object)])

    wider = Plan(
        [*plan.source, min(source, plan.generations)],
        [*plan.exact_size(), F(2, 7)],
        more(plan.exact_weight(), F(0)),
        more(plan.exact_kept(), F(1, 2)),
        replace=plan.replace,
    )
    assert (derive(wider, exact=True).covariance == derive(plan, exact=True).covariance).all()


@given(plans())
def test_a_batch_read_whole_may_be_halved(plan):
    whole = Plan(plan.source, plan.exact_size(), plan.exact_weight())
    halves = Plan(
        np.repeat(plan.source, 2),
        np.repeat(plan.exact_size() / 2, 2),
        np.repeat(plan.exact_weight() / 2, 2, axis=1),
    )
    assert (derive(halves, exact=True).covariance == derive(whole, exact=True).covariance).all()


def test_a_batch_shared_by_readers_is_not_a_batch_for_each_reader():
    assert derive(private(workflows.augment(20))).ratio[-1] != pytest.approx(h[19], rel=1e-2)
    np.testing.assert_allclose(derive(private(workflows.discard(5))).ratio, [1, 2, 3, 4, 5])


# Finite n


@pytest.mark.parametrize(
    ("model", "v2"),
    [
        (models.Normal(F(1), F(2)), 0),
        (models.Poisson(F(3)), 0),
        (models.Bernoulli(F(1, 5)), -1),
        (models.Binomial(10, F(1, 5)), F(-1, 10)),
        (models.Exponential(F(2)), 1),
        (models.Gamma(F(3), F(2)), F(1, 3)),
        (models.NegativeBinomial(F(4), F(2)), F(1, 4)),
    ],
    ids=repr,
)
def test_the_product_formulas_of_the_morris_class(model, v2):
    G, n = 12, 7
    V = {
        "Normal": F(4),
        "Poisson": F(3),
        "Binomial": getattr(model, "trials", 0) * F(4, 25),
        "Gamma": F(4) * v2,
        "NegativeBinomial": F(3),
    }[type(model).__name__]
    augment, product_ = [], F(1)
    for g in range(1, G + 1):
        product_ *= 1 + F(v2) / (n * g * g)
        augment.append(
            V / v2 * (product_ - 1) if v2 else V / n * sum(F(1, k * k) for k in range(1, g + 1))
        )
    discard = [V / v2 * ((1 + F(v2) / n) ** g - 1) if v2 else g * V / n for g in range(1, G + 1)]
    assert derive(workflows.augment(G), model=model, n=n, exact=True).risk.tolist() == augment
    assert derive(workflows.discard(G), model=model, n=n, exact=True).risk.tolist() == discard
    np.testing.assert_allclose(
        derive(workflows.augment(G), model=model, n=n).risk, np.array(augment, float), rtol=1e-13
    )


@pytest.mark.parametrize("partly", [False, True])
def test_the_limit_is_the_limit(partly):
    plan = typed(partly=partly)
    far = derive(plan, model=models.NegativeBinomial(2, 3), n=60 * 10**6)
    np.testing.assert_allclose(far.ratio, derive(plan).ratio, rtol=1e-6)
    np.testing.assert_allclose(
        far.risk * far.n, derive(plan).risk * models.NegativeBinomial(2, 3).limit_risk, rtol=1e-6
    )


def test_numpy_integers_do_not_overflow():
    plain, numpy = (
        derive(workflows.augment(40), model=models.Poisson(kind(3)), n=1000, exact=True)
        for kind in (int, np.int64)
    )
    assert plain.risk.tolist() == numpy.risk.tolist()


DESIGN = np.column_stack([np.ones(6), np.arange(6.0)])
LINE = models.LinearRegression(DESIGN, beta=[1, 2], sigma=3)


def test_least_squares_has_the_limits_ratio_at_every_n():
    for plan in (
        workflows.discard(5),
        workflows.augment(5),
        Plan([0, 1], [1, 2], [[1, 0], [0.5, 0.5]]),
    ):
        risk, limit = derive(plan, model=LINE), derive(plan)
        np.testing.assert_allclose(risk.ratio, limit.ratio, rtol=1e-14)
        np.testing.assert_allclose(risk.risk, 9 * 2 / 6 * limit.risk, rtol=1e-14)
        np.testing.assert_allclose(np.diag(risk.covariance), risk.risk, rtol=1e-12)


# Refusals


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"plan": "augment"},
            r"plan must be a collapse.Plan or a .*Reservoir, such as .*augment\(50\); it is str",
        ),
        ({"n": 10}, "n was given without a model; the Gaussian limit has no n"),
        ({"model": models.Poisson(1)}, r"n \(rows of real data\) is needed with Poisson\(rate=1\)"),
        (
            {"model": models.Poisson(1), "n": 0},
            r"n \(rows of real data\) must be a whole number, at least 1; it is 0",
        ),
        ({"model": models.Poisson(1), "n": True}, "must be a whole number, at least 1; it is True"),
        ({"model": models.Poisson(1), "n": 10.0}, "must be a whole number, at least 1; it is 10.0"),
        ({"model": models.Poisson, "n": 10}, "model is the class Poisson; give an instance of it"),
        (
            {"model": models.Poisson(1.5), "n": 10, "exact": True},
            r"exact=True needs rational parameters, and Poisson.*Fraction",
        ),
        (
            {"model": models.Median("normal"), "n": 11},
            (
                r"no exact form at finite n is known for Median.* use derive\(plan\) for the limit,"
                r" or simulate.* derive at n needs one of 'quadratic variance' \(mean,"
                r" variance_function\), .*; this model declares none"
            ),
        ),
        (
            {"plan": workflows.subsample(20), "model": models.Poisson(1), "n": 10},
            "n = 10 is too small for so many generations",
        ),
        (
            {"plan": typed(partly=False), "model": models.Poisson(1), "n": 5},
            r"batch 3 would have 2\.5 rows",
        ),
        (
            {"plan": Plan([0], [1.0], [[1]]), "exact": True},
            "size holds floats, and exact=True needs rationals",
        ),
        (
            {"plan": Plan([0], [1], [[1.0]]), "exact": True},
            "weight holds floats, and exact=True needs rationals",
        ),
        (
            {"plan": Plan([0], [1], [[1]], [[0.5]]), "exact": True},
            "kept holds floats, and exact=True needs rationals",
        ),
        (
            {"model": LINE, "n": 7},
            "n = 7, but the design X has 6 rows and is reused whole; leave n out",
        ),
        (
            {"model": LINE, "exact": True},
            "exact=True needs rational arithmetic, and a regression's design is floats",
        ),
        (
            {"plan": workflows.subsample(3), "model": LINE},
            r"subsample reads part of a batch, .* Gram matrix random.* derive\(plan\) .* simulate",
        ),
        (
            {"plan": typed(partly=False), "model": LINE},
            "a batch labels part of the design, and no exact form is known",
        ),
    ],
)
def test_refusals_name_what_was_expected_and_the_remedy(arguments, message):
    with pytest.raises(ValueError, match=message):
        derive(**{"plan": workflows.augment(3)} | arguments)


def test_an_unknown_argument_is_refused():
    with pytest.raises(TypeError, match="unexpected keyword argument 'generations'"):
        derive(workflows.augment(3), generations=4)


@settings(max_examples=20)
@given(plans())
def test_answers_are_not_shared_between_calls(plan):
    derive(plan).risk[:] = 0
    assert derive(plan).risk[0] > 0


@pytest.mark.parametrize("name", NAMED)
def test_covariance_and_contributions_have_their_shapes(name):
    for options in ({}, {"exact": True}, {"model": models.Poisson(2), "n": 60}):
        risk = derive(NAMED[name](6), **options)
        assert risk.covariance.shape == risk.contributions.shape == (6, 6)


def test_a_decay_that_carries_nothing_changes_nothing():
    plan = workflows.real_and_average(5, share=1)
    assert plan.recursion.decay.numerator.any()
    assert not plan.recursion.taken_up.size
    assert derive(plan, exact=True).risk.tolist() == [1] * 5
    assert derive(plan, model=models.Bernoulli(F(1, 5)), n=10, exact=True).ratio.tolist() == [1] * 5
