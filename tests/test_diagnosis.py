"""Diagnoses: right verdicts, certificates claimed only where they hold, and parts of the risk that are those of the dense tables."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from fractions import Fraction as F

import numpy as np
import pytest
from hypothesis import given

from collapse import Plan, Reservoir, closed_forms, derive, diagnose, workflows
from collapse.plan import Recipe
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
from tests.plans import dense, plans, typed

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
    return Plan(plan.source, plan.size, plan.weight, plan.kept, replace=plan.replace, generation=plan.generation, name="typed")


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
    assert (found.real, found.draws, found.doubles) == pytest.approx((named.real, named.draws, named.doubles))


@pytest.mark.parametrize(("make", "exponent"), [(make, e) for make, e in COLLAPSING if isinstance(make(2), Plan)])
def test_the_exponent_by_evidence(make: Callable[[int], Plan], exponent: float) -> None:
    found = diagnose(anonymous(make(256)))
    assert found.verdict == "collapsing"
    assert found.exponent == pytest.approx(exponent, abs=0.05)


def test_what_evidence_cannot_tell_is_left_open() -> None:
    few = diagnose(anonymous(discard(15)))
    assert few.verdict == "undecided"
    assert few.judged == "15 generations are too few to judge a curve; derive 16 or more."
    # real data read through draws that shrink so that the ratio is 1 + log2 g: the same rise in each octave
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
    assert found.judged.startswith("The plan is named augment, but its ratios are not those of that workflow's closed form.")
    with pytest.raises(ValueError, match="does not have the ratios of augment, which its recipe names; leave generations out"):
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
    last = len(risk.risk) - 1 if plan.recipe is None else int(np.flatnonzero(np.isclose(risk.ratio, found.ratio))[-1])
    spread = risk.contributions[last] ** 2 / plan.size
    real, synthetic = spread[plan.source == 0].sum(), spread[plan.source > 0].sum()
    expected = np.array([real, synthetic, risk.risk[last] - real - synthetic]) / risk.risk[last]
    np.testing.assert_allclose([found.real, found.synthetic, found.draws], expected, atol=1e-12)


def test_the_parts_of_a_reservoir() -> None:
    found = diagnose(reservoir(5, F(1, 4)))
    assert (found.real, found.synthetic, found.draws) == pytest.approx((1 / 2.75, 1 / 2.75, 0.75 / 2.75))


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
    assert growing.judged == "The ratio stays below 2, however the schedule goes on (closed form, thm-sizes-augment)."
    open_end = diagnose(discard(32, [2**i for i in range(31)]))
    assert open_end.certificate is None
    assert "depends on how the schedule goes on" in open_end.judged
    with pytest.raises(ValueError, match="has a schedule for 9 generations; leave generations out"):
        diagnose(augment(9, [1] * 8), generations=20)


def test_nonsense_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match="workflow must be a Plan or a Reservoir"):
        diagnose("augment")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="typed is typed for 4 generations, and nothing tells how it goes on"):
        diagnose(typed(partly=False), generations=8)
    for nonsense in (0, 2.5, "3", True):
        with pytest.raises(ValueError, match=r"generations \(generations to derive\) must be a whole number"):
            diagnose(augment(4), generations=nonsense)  # type: ignore[arg-type]


def test_it_prints_in_words() -> None:
    assert str(diagnose(subsample(100))).splitlines() == [
        "subsample: bounded (certified).",
        "The ratio tends to -2 + pi**2/2 = 2.935 (closed form,",
        "  thm-origin-subsample).",
        "Risk ratio 2.905 at generation 100: 1,000 rows are worth 344.",
        "  The risk has doubled by generation 3.",
        "Of that risk 34% from the noise of real data, 22% from synthetic",
        "  batches and 44% from draws of rows.",
    ]
    assert str(diagnose(anonymous(discard(64)))).splitlines()[0] == "typed: collapsing (evidence up to generation 64, no proof)."


def test_without_sympy_there_is_evidence_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    load = builtins.__import__

    def without(name: str, *rest: object, **options: object) -> object:
        if name == "sympy":
            raise ImportError(name)
        return load(name, *rest, **options)  # type: ignore[arg-type]

    closed_forms._sympy.cache_clear()
    monkeypatch.setattr(builtins, "__import__", without)
    found = diagnose(workflows.discard(64))
    assert found.verdict == "collapsing"
    assert found.certificate is None
    assert found.judged.startswith("(No certificate: closed forms need sympy: pip install 'collapse-companion[symbolic]'.)")


def test_rows_are_worth_what_real_data_read_whole_would_give():
    # a bootstrap sample of all rows has twice the risk of the rows themselves, from the first generation on
    assert diagnose(workflows.bootstrap(10)).worth == pytest.approx(1000 / 20)
    assert diagnose(workflows.subsample(10, replace=True)).worth == pytest.approx(1000 / 2 / derive(workflows.augment(10)).ratio[-1])
    assert diagnose(workflows.augment(10)).worth == pytest.approx(1000 / derive(workflows.augment(10)).ratio[-1])
