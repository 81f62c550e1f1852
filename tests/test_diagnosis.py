"""Diagnoses: right verdicts, certificates claimed only where they hold, and parts of the risk that
are those of the dense tables.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from fractions import Fraction as F
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from collapse import Plan, Reservoir, closed_forms, derive, diagnose, models, simulate, workflows
from collapse.derivation.finite import anchored, augment_supremum, fixation, least_share
from collapse.models import (
    Bernoulli,
    Binomial,
    Exponential,
    Gamma,
    HyperbolicSecant,
    LinearRegression,
    Median,
    Multinomial,
    MultivariateNormal,
    NegativeBinomial,
    Normal,
    Poisson,
    Uniform,
)
from collapse.protocol import Recipe
from collapse.workflows import (
    all_to_all,
    augment,
    bootstrap,
    discard,
    fixed_real_share,
    forgetting,
    fresh_real,
    mixture,
    real_and_average,
    real_and_window,
    reservoir,
    ring,
    star,
    subsample,
    window,
)
from tests.plans import ZOO, dense, plans, typed
from tests.statistics import assert_agree

BOUNDED: list[Callable[[int], Plan | Reservoir]] = [
    augment,
    lambda G: augment(G, F(1, 3)),
    subsample,
    lambda G: fixed_real_share(G, F(1, 5)),
    lambda G: real_and_window(G, 4),
    lambda G: real_and_average(G, F(1, 3)),
    fresh_real,
    mixture,
    lambda G: ring(G, 3, F(1, 4)),
    lambda G: star(G, 3, F(1, 4)),
    lambda G: all_to_all(G, 3, F(1, 4)),
]
COLLAPSING: list[tuple[Callable[[int], Plan | Reservoir], float]] = [
    (discard, 1.0),
    (bootstrap, 1.0),
    (lambda G: window(G, 4), 1.0),
    (lambda G: forgetting(G, F(1, 2)), 1.0),
    (lambda G: ring(G, 3), 1.0),
    (lambda G: star(G, 3), 1.0),
    (lambda G: all_to_all(G, 3, 0, False), 1.0),
    (lambda G: reservoir(G, F(1, 4)), 1.0),
    (reservoir, 0.0),
]


def anonymous(plan: Plan) -> Plan:
    """The same tables, typed by hand."""
    return Plan(
        plan.source,
        plan.size,
        plan.weight,
        plan.kept,
        replace=plan.replace,
        generation=plan.generation,
        name="typed",
    )


@pytest.mark.parametrize("make", BOUNDED)
def test_bounded_workflows_are_certified(make: Callable[[int], Plan]) -> None:
    found = diagnose(make(48))
    assert (found.verdict, found.exponent) == ("bounded", None)
    assert found.certificate is not None
    assert found.limit == float(found.certificate.limit)


@pytest.mark.parametrize(("make", "exponent"), COLLAPSING)
def test_collapsing_workflows_are_certified(make: Callable[[int], Plan], exponent: float) -> None:
    found = diagnose(make(48))
    assert (found.verdict, found.exponent, found.limit) == ("collapsing", exponent, None)
    assert found.certificate is not None


@pytest.mark.parametrize("make", BOUNDED)
def test_tables_typed_by_hand_are_judged_by_evidence(make: Callable[[int], Plan]) -> None:
    """The extrapolated limit lies within 3 % of the certified one."""
    plan = make(96)
    found, named = diagnose(anonymous(plan)), diagnose(plan)
    assert found.certificate is None
    assert found.verdict == "bounded"
    assert found.limit == pytest.approx(named.limit, rel=0.03)
    assert not found.never_doubles
    assert (found.real, found.draws, found.doubles) == pytest.approx(
        (named.real, named.draws, named.doubles)
    )


@pytest.mark.parametrize(
    ("make", "exponent"), [(make, e) for make, e in COLLAPSING if isinstance(make(2), Plan)]
)
def test_the_exponent_by_evidence(make: Callable[[int], Plan], exponent: float) -> None:
    found = diagnose(anonymous(make(256)))
    assert found.verdict == "collapsing"
    assert found.exponent == pytest.approx(exponent, abs=0.05)


def test_what_evidence_cannot_tell_is_left_open() -> None:
    few = diagnose(anonymous(discard(15)))
    assert few.verdict == "undecided"
    assert few.judged == "15 generations are too few to judge a curve; derive 16 or more."
    # real data read through draws that shrink so that the ratio is 1 + log2 g: the same rise in
    # each octave
    G = 256
    kept = [[1 / (1 + np.log2(g))] for g in range(1, G + 1)]
    slow = diagnose(Plan([0], [1], [[1]] * G, kept, name="slow"))
    assert slow.verdict == "undecided"
    assert "which tells neither a limit nor a power of g" in slow.judged
    assert slow.draws == pytest.approx(1 - 1 / 9)


def test_growth_like_a_power() -> None:
    G = 512
    kept = [[1 / g**0.5] for g in range(1, G + 1)]
    found = diagnose(Plan([0], [1], [[1]] * G, kept, name="square root"))
    assert found.verdict == "collapsing"
    assert found.exponent == pytest.approx(0.5, abs=0.01)


def test_a_false_name_earns_no_certificate() -> None:
    plan = anonymous(discard(32))
    plan.__dict__.update(recipe=Recipe("augment", {"size": 1}), name="augment")
    found = diagnose(plan)
    assert found.certificate is None
    assert found.verdict == "collapsing"
    assert found.judged.startswith(
        "The plan is named augment, but its ratios are not those of that workflow's closed form."
    )
    with pytest.raises(
        ValueError,
        match="does not have the ratios of augment, which its recipe names; leave generations out",
    ):
        diagnose(plan, generations=64)


def test_every_kind_of_fit_must_agree() -> None:
    """Leaves altered, hub as it should be: no certificate."""
    plan = star(2, 3)
    weight = plan.weight.copy()
    weight[4] = weight[5] = [1, 0, 0, 0, 0, 0]
    altered = Plan(plan.source, plan.size, weight, generation=plan.generation, name="star")
    altered.__dict__.update(recipe=plan.recipe)
    assert diagnose(plan).certificate is not None
    assert diagnose(altered).certificate is None


@given(plans())
def test_the_parts_of_the_risk_are_those_of_the_tables(plan: Plan) -> None:
    check_parts(plan)


@pytest.mark.parametrize(
    "plan",
    [
        typed(partly=True),
        typed(partly=True, replace=True),
        subsample(12),
        bootstrap(7, F(1, 3)),
        window(12, 3),
        real_and_average(9, F(1, 3)),
        fresh_real(9, F(1, 2), 2),
        forgetting(9, F(1, 3)),
        mixture(7),
        star(6, 3, F(1, 3), published=False),
    ],
    ids=lambda plan: plan.name,
)
def test_the_parts_of_named_workflows_too(plan: Plan) -> None:
    check_parts(plan)
    check_parts(dense(plan))


def check_parts(plan: Plan) -> None:
    risk, found = derive(plan), diagnose(plan)
    last = (
        len(risk.risk) - 1
        if plan.recipe is None
        else int(np.flatnonzero(np.isclose(risk.ratio, found.ratio))[-1])
    )
    spread = risk.contributions[last] ** 2 / plan.size
    real, synthetic = spread[plan.source == 0].sum(), spread[plan.source > 0].sum()
    expected = np.array([real, synthetic, risk.risk[last] - real - synthetic]) / risk.risk[last]
    np.testing.assert_allclose([found.real, found.synthetic, found.draws], expected, atol=1e-12)


def test_the_parts_of_a_reservoir() -> None:
    found = diagnose(reservoir(5, F(1, 4)))
    assert (found.real, found.synthetic, found.draws) == pytest.approx(
        (1 / 2.75, 1 / 2.75, 0.75 / 2.75)
    )


def test_the_parts_of_a_reservoir_at_n() -> None:
    """By hand for two rows of which one is replaced: the mean moves by half of what the new row and
    the old one differ by."""
    for model, v2 in ((Bernoulli(0.3), -1.0), (Exponential(1), 1.0), (Poisson(2), 0.0)):
        found = diagnose(reservoir(2, F(1, 2)), model=model, n=2)
        # in units of a row's variance: 1 / n, then E V(mu_1) / 4, then half a memory's variance / 4
        parts = np.array([1 / 2, (1 + v2 / 2) / 4, 1 / 8])
        shares = tuple(parts / parts.sum())
        assert (found.real, found.synthetic, found.draws) == pytest.approx(shares)
        assert found.ratio == pytest.approx(2 * parts.sum())


def test_doubling() -> None:
    assert diagnose(discard(30)).doubles == 2
    assert diagnose(subsample(30)).doubles == 3
    assert diagnose(ring(30, 3)).doubles == 2
    augmented = diagnose(augment(30))
    assert augmented.doubles is None
    assert augmented.never_doubles
    assert diagnose(augment(5, [8, 64, 512, 4096])).never_doubles
    early = diagnose(window(6, 5))
    assert early.doubles is None
    assert not early.never_doubles
    assert diagnose(fixed_real_share(30, F(1, 3))).never_doubles
    assert not diagnose(fixed_real_share(3, F(1, 4))).never_doubles


def test_a_plan_is_continued_by_its_recipe() -> None:
    longer = diagnose(window(3, k=2), generations=400)
    assert longer.generations == 400
    assert longer.ratio == derive(window(400, 2)).ratio[-1]
    assert diagnose(augment(100), generations=7).ratio == derive(augment(7)).ratio[-1]


def test_schedules() -> None:
    growing = diagnose(augment(9, [2**i for i in range(8)]))
    assert growing.verdict == "bounded"
    assert (
        growing.judged
        == "The ratio stays below 2, however the schedule goes on (closed form, thm-sizes-augment)."
    )
    open_end = diagnose(discard(32, [2**i for i in range(31)]))
    assert open_end.certificate is None
    assert "depends on how the schedule goes on" in open_end.judged
    with pytest.raises(ValueError, match="has a schedule for 9 generations; leave generations out"):
        diagnose(augment(9, [1] * 8), generations=20)


def test_nonsense_is_refused_in_words() -> None:
    with pytest.raises(
        ValueError, match=r"workflow must be a collapse\.Plan or a collapse\.Reservoir"
    ):
        diagnose("augment")  # type: ignore[arg-type]
    with pytest.raises(
        ValueError, match="typed is typed for 4 generations, and nothing tells how it goes on"
    ):
        diagnose(typed(partly=False), generations=8)
    for nonsense in (0, 2.5, "3", True):
        with pytest.raises(
            ValueError, match=r"generations \(generations to derive\) must be a whole number"
        ):
            diagnose(augment(4), generations=nonsense)  # type: ignore[arg-type]


def test_it_prints_in_words() -> None:
    assert str(diagnose(subsample(100))).splitlines() == [
        "subsample: bounded for many rows (certified).",
        "The ratio tends to -2 + pi**2/2 = 2.935 (closed form,",
        "  thm-origin-subsample).",
        "Risk ratio 2.905 at generation 100: 1,000 rows are worth 344.",
        "  The risk is twice that of the real data alone by generation 3.",
        "Of that risk 34% from the noise of real data, 22% from synthetic",
        "  batches and 44% from draws of rows.",
        "Beside the latest synthetic batch real data need 29.3 % of the",
        "  weight to keep the ratio below 2 for ever, for many rows.",
        "Diversity stays: rows with the mean and covariance of those that",
        "  they were fitted to lose about 2.935/n of their variance at",
        "  most, for ever.",
    ]
    head = str(diagnose(anonymous(discard(64)))).splitlines()[:2]
    assert (
        " ".join(" ".join(head).split())
        == "typed: collapsing for many rows (evidence up to generation 64, no proof)."
    )
    words = " ".join(str(diagnose(discard(50), model=Bernoulli(F(1, 5)), n=20)).split())
    assert (
        "discard: bounded for Binomial(trials=1, p=Fraction(1, 5)) at n = 20 (certified)." in words
    )
    assert "absorbed at 0 or all trials with chance 0.931 (exact)" in words


def test_without_sympy_there_is_evidence_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    closed_forms.sympy.cache_clear()
    monkeypatch.setitem(sys.modules, "sympy", None)
    found = diagnose(workflows.discard(64))
    assert found.verdict == "collapsing"
    assert found.certificate is None
    assert found.judged.startswith(
        "(No certificate: closed forms need sympy: pip install 'collapse-companion[symbolic]'.)"
    )


def test_rows_are_worth_what_real_data_read_whole_would_give():
    # a bootstrap sample of all rows has twice the risk of the rows themselves, from the first
    # generation on
    assert diagnose(workflows.bootstrap(10)).worth == pytest.approx(1000 / 20)
    assert diagnose(workflows.subsample(10, replace=True)).worth == pytest.approx(
        1000 / 2 / derive(workflows.augment(10)).ratio[-1]
    )
    assert diagnose(workflows.augment(10)).worth == pytest.approx(
        1000 / derive(workflows.augment(10)).ratio[-1]
    )


def test_doubling_is_against_the_real_data_alone() -> None:
    found = diagnose(subsample(20, replace=True))
    assert found.ratio < 1.645
    assert found.doubles == 1  # the first fit, a bootstrap of all rows, has twice their risk
    assert not found.never_doubles
    assert "worth 313. The risk is twice" in " ".join(str(found).split())


# --- at n -----------------------------------------------------------------------------------------

FAMILIES = {
    -1.0: Bernoulli(F(3, 10)),
    -0.25: Binomial(4, F(1, 2)),
    0.0: Poisson(2),
    1.0: Exponential(3),
    2.0: Gamma(F(1, 2), 1),
    1.0 / 3: NegativeBinomial(3, 2),
}


def anchor(
    G: int,
    share: object,
    size: object = 1,
    real: object = 1,
    latest: object = 1,
    replace: bool = False,
) -> Plan:
    """Weight `share` on the real batch, the rest on the latest synthetic one of `size`; read in
    these shares from fit 2 on.
    """
    weight = [[1] + [0] * (G - 1)] + [
        [share if b == 0 else (1 - share) * (b == g) for b in range(G)] for g in range(1, G)
    ]
    kept = [[1] * G] + [[real if b == 0 else latest for b in range(G)]] * (G - 1)
    return Plan(range(G), [1] + [size] * (G - 1), weight, kept, replace=replace, name="anchored")


def test_the_numbers_that_are_known() -> None:
    found = diagnose(augment(100), model=Exponential(1), n=10)
    assert (found.verdict, found.certified, round(found.supremum or 0, 3)) == (
        "bounded",
        True,
        1.728,
    )
    assert round(least_share(20, 1, below=np.inf), 4) == 0.0241
    diverging = diagnose(fixed_real_share(1500, 0.01), model=Exponential(1), n=20)
    assert (diverging.verdict, diverging.certified, diverging.supremum) == (
        "collapsing",
        True,
        np.inf,
    )
    assert float(f"{diverging.ratio:.2g}") == 1.7e20
    limit = diagnose(fixed_real_share(1500, 0.01))
    assert limit.supremum == pytest.approx(50.25, abs=0.01)
    chain = diagnose(discard(2000), model=Bernoulli(F(1, 2)), n=20)
    assert (chain.verdict, chain.supremum) == ("bounded", pytest.approx(20))
    assert chain.absorbed == pytest.approx(1)


@pytest.mark.parametrize("v2", FAMILIES)
@pytest.mark.parametrize(
    ("n", "size", "below"), [(1, 1, 2), (2, 3, 1.2), (3, 1, 5), (20, 1, 2), (20, 3, 5)]
)
def test_the_least_share_is_the_least(v2: float, n: int, size: int, below: float) -> None:
    """With it the derived ratio comes as near to the bound as one likes, and stays below; with a
    little less it passes.
    """
    share = least_share(n, v2, below=below, size=size)
    assert 0 <= share < 1
    ratio = derive(anchor(300, share, size), model=FAMILIES[v2], n=n).ratio
    assert ratio.max() <= below * (1 + 1e-9)
    if share:
        assert ratio[-1] == pytest.approx(below, rel=1e-6)
        assert (
            derive(anchor(300, share - 1e-3 * share, size), model=FAMILIES[v2], n=n).ratio[-1]
            > below
        )


@pytest.mark.parametrize(("n", "v2"), [(5, -1), (20, 0), (20, 1), (7, 2), (200, 1 / 3)])
def test_what_is_told_suffices(n: int, v2: float) -> None:
    """The share and the bounds that are printed are rounded up."""
    told = " ".join(str(diagnose(augment(20), model=FAMILIES[v2], n=n)).split())
    share = F(told.split("real data need ")[1].split(" %")[0]) / 100
    assert least_share(n, v2) <= share <= least_share(n, v2) + 1e-3
    assert diagnose(fixed_real_share(9, share), model=FAMILIES[v2], n=n).never_doubles
    found = diagnose(fresh_real(40), model=FAMILIES[v2], n=n)
    if found.bound and "exceeds" in found.judged:
        stated = float(found.judged.split("exceeds ")[1].split(",")[0])
        assert found.bound <= stated * (1 + 1e-12) <= found.bound * 1.001


def test_the_least_share_for_many_rows() -> None:
    assert least_share() == pytest.approx(1 - 0.5**0.5, rel=1e-15)
    assert least_share(below=4, size=3) == pytest.approx(1 - 0.9**0.5, rel=1e-14)
    assert least_share(10**12, 1) == pytest.approx(least_share(), rel=1e-11)
    assert least_share(below=np.inf) == 0
    assert least_share(5, -1, below=np.inf) == 0
    # more variable families need more real data, and the more the fewer the rows
    shares = [[least_share(n, v2) for v2 in (-1, 0, 1, 2)] for n in (4, 20, 100)]
    assert np.all(np.diff(shares, axis=1) > 0)
    assert np.all(np.diff(np.array(shares)[:, 2:], axis=0) < 0)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"n": 0}, "rows of real data"),
        ({"n": 2.5}, "rows of real data"),
        ({"n": 5, "v2": -2}, "v2 must be at least -1"),
        ({"n": 5, "v2": "1"}, "v2 must be a number"),
        ({"below": 1}, "below .* must be a number greater than 1"),
        ({"below": float("nan")}, "below .* must be a number greater than 1"),
        ({"below": None}, "below .* must be a number greater than 1"),
        ({"n": 5, "size": F(1, 2)}, "a batch would have 2.5 rows"),
        ({"size": 0}, "size must be a number"),
    ],
)
def test_shares_of_nothing_are_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        least_share(**given)


@pytest.mark.parametrize("v2", FAMILIES)
@pytest.mark.parametrize("n", [2, 12])
@pytest.mark.parametrize(
    "plan",
    [
        discard(30),
        discard(30, 3),
        bootstrap(30),
        fixed_real_share(30, F(1, 5)),
        fixed_real_share(30, 1),
        anchor(30, F(1, 5), 2),
        anchor(30, F(1, 2), 1, F(1, 2), F(1, 2)),
        anchor(30, F(1, 7), 2, 1, F(1, 4), replace=True),
    ],
    ids=[
        "discard",
        "discard 3",
        "bootstrap",
        "share",
        "real alone",
        "size 2",
        "half read",
        "with replacement",
    ],
)
def test_anchored_plans_are_decided_exactly(plan: Plan, n: int, v2: float) -> None:
    """The recursion is the derived ratio, and the verdict is that of its contraction; the supremum
    is met far out.
    """
    form = anchored(plan, n, v2)
    assert form is not None
    model = FAMILIES[v2]
    ratio = derive(plan, model=model, n=n).ratio
    np.testing.assert_allclose(form.ratios(30), ratio, rtol=1e-11)
    found = diagnose(plan, model=model, n=n)
    assert found.certified
    read = n * plan.size[1] * plan.kept[1, 1]
    contraction = (1 - plan.weight[1, 0]) ** 2 * (1 + v2 / read)
    if not plan.replace:
        assert form.rho == pytest.approx(contraction, rel=1e-12)
    if form.rho < 1:
        assert found.verdict == "bounded"
        assert found.supremum is not None
        assert ratio.max() <= found.supremum * (1 + 1e-12)
        far = form.ratios(20_000)
        assert far.max() == pytest.approx(found.supremum, rel=1e-3)
    elif plan.weight[1, 0] < 1:
        assert (found.verdict, found.supremum) == ("collapsing", np.inf)


@pytest.mark.parametrize("v2", FAMILIES)
@pytest.mark.parametrize(("n", "size"), [(1, 1), (10, 1), (3, F(1, 3)), (4, 5)])
def test_augments_supremum(v2: float, n: int, size: F) -> None:
    """Below it at every generation, and near it far out: what is still to come is about 1 / (size
    g).
    """
    plan = augment(2000, size)
    supremum = augment_supremum(n, v2, size=size)
    ratio = derive(plan, model=FAMILIES[v2], n=n).ratio
    assert ratio.max() <= supremum * (1 + 1e-12)
    if v2 or n > 1:
        assert supremum - ratio[-1] < 3 * supremum**2 / (float(size) * 2000)
    found = diagnose(plan, model=FAMILIES[v2], n=n)
    assert (found.verdict, found.certified) == ("bounded", True)
    assert found.supremum == pytest.approx(supremum, rel=1e-12)


def test_augments_supremum_of_a_very_spread_family() -> None:
    """sinh(pi sqrt(v2 / n)) / (pi sqrt(v2 / n)), as far as floats go."""
    for v2 in (1e3, 3e4):
        x = np.pi * v2**0.5
        assert augment_supremum(1, v2) == pytest.approx((np.sinh(x) / x - 1) / v2, rel=1e-11)
    x = np.pi * 10
    assert augment_supremum(10**8, 1e10) == pytest.approx((np.sinh(x) / x - 1) / 100, rel=1e-11)
    for v2 in (1e5, 1e10):
        with pytest.raises(ValueError, match="so large for n that no float holds the supremum"):
            augment_supremum(1, v2)
    with pytest.raises(ValueError, match=r"v2 / \(size n\) can be 10\^10 at most"):
        augment_supremum(1, 1e11)


def test_long_plans_are_decided_exactly_too() -> None:
    for plan, supremum in (
        (fixed_real_share(20_000, F(1, 4)), None),
        (discard(20_000), np.inf),
        (augment(20_000), None),
    ):
        found = diagnose(plan, model=Exponential(1), n=20)
        assert found.certified
        assert str(found)
        assert found.supremum is not None
        assert np.isinf(found.supremum) == (supremum is np.inf)
    assert diagnose(
        fixed_real_share(20_000, F(1, 4)), model=Bernoulli(0.5), n=20
    ).absorbed == pytest.approx(2 * 0.5**20)


def test_augments_supremum_is_a_sine() -> None:
    for n in (1, 7, 50):
        for v2 in (-1, -0.5, 0.5, 2):
            x = np.pi * np.sqrt(abs(v2) / n)
            closed = n / v2 * ((np.sinh(x) if v2 > 0 else np.sin(x)) / x - 1)
            assert augment_supremum(n, v2) == pytest.approx(closed, rel=1e-11)
    assert augment_supremum() == pytest.approx(np.pi**2 / 6, rel=1e-14)
    assert augment_supremum(10, -1, size=F(1, 10)) == pytest.approx(20 / 11, rel=1e-13)  # the urn


@given(plans())
def test_verdicts_at_n_are_true_of_random_plans(plan: Plan) -> None:
    """A proved bound is one, and the parts of the risk are parts, whatever the tables."""
    n = 7 * 720
    for v2 in (-1.0, 1.0):
        found = diagnose(plan, model=FAMILIES[v2], n=n)
        ratio = derive(plan, model=FAMILIES[v2], n=n).ratio
        for bound in (found.bound, found.supremum):
            assert bound is None or ratio.max() <= bound * (1 + 1e-9)
        assert found.real + found.synthetic + found.draws == pytest.approx(1)
        assert min(found.real, found.synthetic, found.draws) >= 0
        assert found.certified or found.verdict == "undecided"
        assert found.variance == pytest.approx(
            1 + v2 * derive(plan, model=FAMILIES[v2], n=n).risk[-1] / FAMILIES[v2].limit_risk
        )


@pytest.mark.parametrize("name", ZOO)
@pytest.mark.parametrize("v2", [-1.0, 0.0, 1.0])
def test_bounds_at_n_hold_for_every_named_workflow(name: str, v2: float) -> None:
    G = 4 if name == "mixture" else 24
    plan = ZOO[name](G)
    n = 24
    found = diagnose(plan, model=FAMILIES[v2], n=n)
    ratio = derive(plan, model=FAMILIES[v2], n=n).ratio
    for bound in (found.bound, found.supremum):
        assert bound is None or ratio.max() <= bound * (1 + 1e-9)
    limit = diagnose(plan)
    if v2 < 0:
        assert (found.verdict, found.certified) == ("bounded", True)
    if v2 >= 0 and limit.certified and limit.verdict == "collapsing":
        assert (found.verdict, found.supremum) == ("collapsing", np.inf)
    if found.never_doubles:
        assert np.all(found.worth >= 500)


@pytest.mark.parametrize("v2", [1.0, 2.0])
def test_a_bound_of_the_limit_gives_one_at_n(v2: float) -> None:
    """For workflows whose ratio has a proved bound B for many rows: B / (1 - (B - 1) v2 / n), held
    against a long chain.
    """
    n = 12
    for plan in (
        real_and_average(400, F(1, 4)),
        all_to_all(200, 2, F(1, 3)),
        real_and_window(400, 1),
        fresh_real(400, F(1, 2)),
    ):
        found = diagnose(plan, model=FAMILIES[v2], n=n)
        assert (found.verdict, found.certified) == ("bounded", True)
        assert found.bound is not None
        assert derive(plan, model=FAMILIES[v2], n=n).ratio.max() <= found.bound * (1 + 1e-12)
    # and it is sharp for a fixed share, where the limit of the ratio is known
    share, bound = F(1, 4), float(1 / (F(1, 4) * F(7, 4)))
    sharp = bound / (1 - (bound - 1) * v2 / n)
    assert diagnose(fixed_real_share(50, share), model=FAMILIES[v2], n=n).supremum == pytest.approx(
        sharp, rel=1e-12
    )


def test_a_schedule_of_augment_has_the_bound_of_one_row_at_a_time() -> None:
    found = diagnose(augment(40, [F(1, 5)] * 39), model=Exponential(1), n=10)
    assert found.bound == pytest.approx(augment_supremum(10, 1, size=F(1, 10)), rel=1e-12)
    assert round(found.bound or 0, 2) == 2.1
    assert not found.never_doubles
    assert diagnose(augment(40, [F(1, 5)] * 39), model=Bernoulli(0.2), n=10).never_doubles


@pytest.mark.parametrize(
    "plan",
    [
        window(24, 1),
        window(24, 3),
        forgetting(24, F(1, 2)),
        fresh_real(24, share=0),
        all_to_all(24, 3),
        star(24, 3),
        ring(24, 2),
    ],
    ids=lambda plan: plan.name,
)
def test_linear_growth_in_the_limit_is_geometric_at_n(plan: Plan) -> None:
    """Where v2 > 0, however short the plan: with v2 = 0 it is linear at n too."""
    found = diagnose(plan, model=Exponential(1), n=5)
    assert (found.verdict, found.certified) == ("collapsing", True)
    assert found.exponent == found.supremum == np.inf
    assert "grows geometrically" in found.judged
    assert "For many rows the ratio grows like" in found.judged
    assert diagnose(plan, model=Poisson(2), n=5).exponent == 1
    assert plan.recipe is not None
    longer = getattr(workflows, plan.recipe.workflow)(400, **plan.recipe.parameters)
    ratio = derive(longer, model=Exponential(1), n=5).ratio
    each = len(ratio) // 400  # fits of a generation
    level = np.log(ratio[::each][200:])
    steps = level[2:] - level[:-2]  # hub and leaves take turns
    assert steps.min() > 0.02
    assert steps.max() - steps.min() < 0.01


def test_geometric_growth_is_seen_without_a_proof() -> None:
    """Two batches back, so that no theorem holds: the factor is the larger root of x^2 = c x + d,
    here told by the curve alone.
    """
    G = 400
    weight = np.zeros((G, G))
    weight[0, 0] = weight[1, 0] = 1
    for g in range(2, G):
        weight[g, [0, g - 1, g]] = 0.01, 0.5, 0.49
    found = diagnose(Plan(range(G), [1] * G, weight, name="two back"), model=Exponential(1), n=3)
    assert (found.verdict, found.exponent, found.certified) == ("collapsing", np.inf, False)
    assert "grows by the factor 1." in found.judged


def test_fixation_is_that_of_a_simulated_chain() -> None:
    n, G, p = 12, 15, 0.3
    zero, one = fixation(p, n, n, G)
    kept = simulate(
        discard(G), model=Bernoulli(p), n=n, replications=40_000, rng=1, fits=True
    ).fits[:, -1, 0]
    for chance, hit in ((zero, kept == 0), (one, kept == 1)):
        assert_agree(hit.mean(), hit.std() / 200, chance, detects=0.15)
    # heterozygosity: E p (1 - p) falls by 1 - 1/n a generation, exactly
    found = diagnose(discard(G), model=Bernoulli(p), n=n)
    assert found.absorbed == pytest.approx(zero + one, rel=1e-12)
    assert found.variance == pytest.approx((1 - 1 / n) ** G, rel=1e-12)


def test_extinction_of_poisson_counts() -> None:
    n, G, rate = 3, 12, 0.8
    for size in (1, 2):
        fits = simulate(
            discard(G, size), model=Poisson(rate), n=n, replications=40_000, rng=2, fits=True
        ).fits[:, -1, 0]
        hit = fits == 0
        found = diagnose(discard(G, size), model=Poisson(rate), n=n)
        assert found.absorbed is not None
        assert_agree(hit.mean(), hit.std() / 200, found.absorbed, detects=0.1)
    # about exp(-2 n mu / g) for long runs
    late = diagnose(discard(4000), model=Poisson(100), n=10).absorbed
    assert late == pytest.approx(np.exp(-2 * 1000 / 4000), rel=0.01)


def test_classes_lost_under_discard() -> None:
    model, n, G = Multinomial((0.5, 0.3, 0.2)), 10, 12
    fits = simulate(discard(G), model=model, n=n, replications=20_000, rng=3, fits=True).fits[:, -1]
    left = (fits > 0).sum(axis=1)
    found = diagnose(discard(G), model=model, n=n)
    assert found.absorbed is not None
    assert_agree((left == 1).mean(), (left == 1).std() / 20_000**0.5, found.absorbed, detects=0.1)
    told = float(found.lost.split(" of 3 classes")[0].split()[-1])
    assert_agree(left.mean(), left.std() / 20_000**0.5, told, detects=0.05, allowance=0.005)


def test_what_keeps_the_real_batch_absorbs_nothing_later() -> None:
    p, n = 0.2, 8
    for plan in (augment(30), fixed_real_share(30, F(1, 10)), real_and_window(30, 2)):
        assert diagnose(plan, model=Bernoulli(p), n=n).absorbed == pytest.approx(
            p**n + (1 - p) ** n, rel=1e-12
        )
        assert diagnose(plan, model=Poisson(0.5), n=n).absorbed == pytest.approx(
            np.exp(-4), rel=1e-12
        )
        assert diagnose(plan, model=NegativeBinomial(2, 1), n=n).absorbed == pytest.approx(
            (2 / 3) ** 16, rel=1e-12
        )
    fits = simulate(
        augment(10), model=Bernoulli(p), n=n, replications=20_000, rng=4, fits=True
    ).fits[:, [0, -1], 0]
    assert np.array_equal((fits[:, 0] % 1 == 0), (fits[:, 1] % 1 == 0))
    for plan in (
        window(30, 3),
        discard(30, [1] * 29),
        reservoir(8),
        anchor(9, F(1, 2), 1, F(1, 2)),
        fresh_real(9),
    ):
        assert diagnose(plan, model=Bernoulli(p), n=n).absorbed is None


def test_fresh_real_rows_are_those_that_are_read_and_come_for_every_fit() -> None:
    model, n = Bernoulli(0.2), 4
    again = "fresh real rows lead away again"
    assert again in diagnose(fresh_real(6), model=model, n=n).lost
    once = Plan([0, 0, 1, 2], [1] * 4, [[0.5, 0.5, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    late = Plan([0, 1, 0, 2], [1] * 4, [[1, 0, 0, 0], [0, 0.5, 0.5, 0], [0, 0, 0, 1]])
    for plan in (once, late, fresh_real(6, share=0)):
        assert again not in diagnose(plan, model=model, n=n).lost
    # a real batch that no fit reads changes nothing, and the real batch need not be the first
    unread = Plan([0, 0, 1, 2], [1] * 4, [[1, 0, 0, 0], [0.5, 0, 0.5, 0], [0.5, 0, 0, 0.5]])
    second = Plan([1, 0, 2], [3, 1, 1], [[0, 1, 0], [0.5, 0.5, 0], [0, 0.5, 0.5]])
    for plan in (unread, second):
        found = diagnose(plan, model=model, n=n)
        assert found.absorbed == pytest.approx(0.2**n + 0.8**n, rel=1e-12)
    # later draws of the real batch, or of earlier models, lead away again
    told = "A fit can be a point mass, at 0 or all trials; the chance is not known here"
    for plan in (subsample(4), window(6, 3), mixture(4)):
        assert told in diagnose(plan, model=model, n=60).lost


def test_what_cannot_be_absorbed() -> None:
    smooth = (
        Normal(0, 1),
        Exponential(1),
        HyperbolicSecant(1, 0.5),
        MultivariateNormal((0.0,), ((1.0,),)),
    )
    for model in smooth:
        found = diagnose(augment(20), model=model, n=10)
        assert found.absorbed == 0
        assert found.lost.startswith("Nothing is absorbed")
    # the mean log of a gamma chain drifts: exact, against a chain
    n, G = 6, 8
    told = diagnose(discard(G), model=Exponential(1), n=n).lost
    fits = np.log(
        simulate(discard(G), model=Exponential(1), n=n, replications=20_000, rng=5, fits=True).fits[
            :, :, 0
        ]
    )
    drift = fits[:, -1] - fits[:, 0]
    stated = float(told.split("drifts by ")[1].split()[0])
    assert_agree(
        drift.mean() / (G - 1),
        drift.std() / (G - 1) / 20_000**0.5,
        stated,
        detects=0.2,
        allowance=0.01,
    )


def test_least_squares_has_the_limits_verdict() -> None:
    model = LinearRegression(np.column_stack([np.ones(8), np.arange(8.0)]), [0, 1], 1)
    found = diagnose(window(40, 3), model=model)
    assert (found.verdict, found.n, found.certified, found.supremum) == (
        "collapsing",
        8,
        True,
        np.inf,
    )
    assert found.least_share == pytest.approx(least_share())
    assert found.ratio == pytest.approx(diagnose(window(40, 3)).ratio, rel=1e-12)


@pytest.mark.parametrize(
    "mean", [(F(1, 4), F(3, 4)), (0, F(1, 2)), (1, F(-1, 2)), (F(1, 2), 0), (F(-1, 5), F(6, 5))]
)
@pytest.mark.parametrize("variance", [(1, 0, 0), (0, 0, 1), (F(1, 2), F(1, 4), F(3, 2))])
@pytest.mark.parametrize("share", [0, F(1, 10), F(2, 5)])
def test_selected_rows_are_decided_exactly(
    mean: tuple[F, F], variance: tuple[F, F, F], share: F
) -> None:
    """With the slope m1 and the weight w of the latest batch: bounded exactly where w^2 (m1^2 + v2
    / k) < 1, the limit met far out.
    """
    n = 3
    model = models.LinearResponse(1, 2, mean, variance)
    plan = anchor(160, float(share), 2)
    with np.errstate(over="ignore"):
        found = diagnose(plan, model=model, n=n)
        ratio = derive(plan, model=model, n=n).ratio
    w, k = 1 - share, 2 * n
    rho = w**2 * (mean[1] ** 2 + variance[2] / F(k))
    if abs(w * mean[1]) >= 1:
        assert not found.certified
    elif rho < 1:
        assert (found.verdict, found.certified) == ("bounded", True)
        left = max(float(rho), abs(w * mean[1])) ** 158  # of the way, still to go
        assert ratio[-1] == pytest.approx(found.limit, rel=float(1e-9 + 10 * left))
        assert left < 1e-3
    else:
        assert (found.verdict, found.certified, found.supremum) == ("collapsing", True, np.inf)
        assert ratio[-1] > 1.3 * ratio[100]


def test_selected_rows_and_maxima_are_judged_by_evidence() -> None:
    found = diagnose(window(40, 3), model=models.BestOf(Normal(0, 1), 3), n=50)
    assert (found.certified, found.least_share) == (False, None)
    assert "Of that risk" not in str(found)
    assert diagnose(augment(40), model=Uniform(1), n=20).verdict == "bounded"


def test_a_verdict_at_n_needs_an_exact_risk() -> None:
    with pytest.raises(
        ValueError,
        match=(
            r"a verdict at n rests on the exact risk at n: no exact form at finite n is known for"
            r" Median"
        ),
    ):
        diagnose(augment(9), model=Median("normal"), n=10)
    with pytest.raises(ValueError, match=r"n .* is needed with"):
        diagnose(augment(9), model=Exponential(1))
    with pytest.raises(ValueError, match="n was given without a model"):
        diagnose(augment(9), n=10)
    with pytest.raises(ValueError, match="n = 5 is too small for so many generations"):
        diagnose(subsample(9), model=Exponential(1), n=5)
    for nonsense in (1, 0, "2", None, float("inf"), True):
        with pytest.raises(
            ValueError, match=r"below \(a bound on the ratio\) must be a number greater than 1"
        ):
            diagnose(augment(9), below=nonsense)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("plan", "told"),
    [
        (discard(50), "lose about 50/n of their variance by then"),
        (discard(50), "half of it is gone after about 0.693 n generations"),
        (window(60, 3), "half of it is gone after about 2.77 n generations"),
        (augment(50), "Diversity stays"),
        (augment(50), "lose about 1.645/n of their variance at most, for ever"),
    ],
)
def test_what_becomes_of_variance_for_many_rows(plan: Plan, told: str) -> None:
    assert told in diagnose(plan).lost
    # and so it is at n: a generator that matches moments, exactly
    n, G = 400, plan.generations
    found = diagnose(plan, model=models.BootstrapGenerator([0.0, 1.0, 5.0]), n=n)
    limit = derive(plan).risk[-1]
    assert found.variance == pytest.approx(1 - limit / n, abs=(limit / n) ** 2)
    if plan.name == "discard":
        assert found.variance == pytest.approx((1 - 1 / n) ** G, rel=1e-12)
