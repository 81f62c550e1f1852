"""compare(): costs counted by hand, and the front against its definition."""

from __future__ import annotations

from fractions import Fraction as F
from types import SimpleNamespace

import matplotlib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collapse import Comparison, Plan, compare, derive, diagnose, workflows
from collapse.comparison import COSTS
from tests.plans import dense, plans, typed

G = 7

# ratio is derived; read, stored, peak, generated, real: counted by hand at generation 7
BY_HAND = {
    "discard": (workflows.discard(G), (1, 0, 0, 6, 1)),
    "discard, growing": (workflows.discard(4, size=[2, 3, F(1, 2)]), (F(1, 2), 0, 0, 5.5, 1)),
    "augment": (workflows.augment(G), (7, 6, 6, 6, 1)),
    "augment, half batches": (workflows.augment(G, size=F(1, 2)), (4, 3.5, 3.5, 3, 1)),
    "subsample": (workflows.subsample(G), (1, 6, 6, 6, 1)),
    "bootstrap": (workflows.bootstrap(G, F(1, 2)), (F(1, 2), 0, 0, 6, 1)),
    "window": (workflows.window(G, 3), (3, 2, 2, 6, 1)),
    "fixed real share": (workflows.fixed_real_share(G, F(1, 4)), (2, 1, 1, 6, 1)),
    "real and window": (workflows.real_and_window(G, 2), (3, 2, 2, 6, 1)),
    "real and average": (workflows.real_and_average(G, F(1, 4)), (7, 6, 6, 6, 1)),
    "fresh real": (workflows.fresh_real(G, F(1, 2), kappa=2), (3, 0, 0, 12, 7)),
    "mixture": (workflows.mixture(G), (1, 0, 0, 6, 1)),
    "forgetting": (workflows.forgetting(G, F(1, 2)), (7, 6, 6, 6, 1)),
    "reservoir": (workflows.reservoir(G), (1, F(6, 7), F(6, 7), 1.5928571428571427, 1)),
    "reservoir, fixed turnover": (workflows.reservoir(G, F(1, 4)), (1, F(3, 4), F(3, 4), 1.5, 1)),
    # one batch for each of three models in each round; two rounds before, a published batch is read
    # thrice and counts once
    "ring": (workflows.ring(G, 3, F(1, 5)), (2, 1, 1, 6, 1)),
    "all to all, published": (workflows.all_to_all(G, 3), (3, 0, 0, 6, 1)),
    "all to all, private": (workflows.all_to_all(G, 3, published=False), (3, 0, 0, 18, 1)),
    # the hub reads two batches, the others the hub's one
    "star": (workflows.star(G, 3), (F(4, 3), 0, 0, 6, 1)),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_costs_counted_by_hand(name):
    workflow, expected = BY_HAND[name]
    table = compare(workflow)
    assert [getattr(table, cost)[0] for cost in COSTS] == pytest.approx(
        [float(v) for v in expected], rel=1e-14
    )
    assert table.ratio[0] == pytest.approx(
        float(np.mean(derive(workflow).risk[workflow.generation == table.generation]))
    )


def test_memory_rises_to_its_peak_and_falls():
    """Fits 1 to 4: batch 1 is read by fits 1 and 3, batch 2 (half of it, size 2) by fit 2, batch 3
    by fits 3 and 4, batch 4 by none.
    """
    half = F(1, 2)
    plan = Plan(
        source=[0, 1, 2, 1],
        size=[1, 2, 1, 1],
        weight=[[1, 0, 0, 0], [0, 1, 0, 0], [half, 0, half, 0], [0, 0, 1, 0]],
        kept=[[1, 1, 1, 1], [1, half, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1]],
    )
    rows = [[getattr(compare(plan, generation=g), cost)[0] for cost in COSTS] for g in (1, 2, 3, 4)]
    assert rows == [[1, 0, 0, 0, 1], [1, 1, 1, 2, 1], [2, 1, 1, 3, 1], [1, 1, 1, 3, 1]]


@pytest.mark.parametrize(
    "name", [name for name, (workflow, _) in BY_HAND.items() if isinstance(workflow, Plan)]
)
@pytest.mark.parametrize("generation", [1, 3, 4])
def test_sparse_plans_cost_what_their_dense_twins_do(name, generation):
    plan = BY_HAND[name][0]
    twin = Plan(
        plan.source,
        plan.size,
        plan.weight,
        plan.kept,
        replace=plan.replace,
        generation=plan.generation,
    )
    table = compare(plan, twin, generation=generation)
    for column in ("ratio", *COSTS):
        assert getattr(table, column)[0] == pytest.approx(getattr(table, column)[1], rel=1e-12)


@given(plans())
def test_costs_of_any_plan(plan):
    """Counted batch by batch, in plain loops."""
    g = plan.generations
    table = compare(plan)
    reads = {b: [f + 1 for f in range(g) if plan.weight[f, b] > 0] for b in range(plan.batches)}
    held = [
        sum(plan.size[b] for b, fits in reads.items() if fits and fits[0] < f <= fits[-1])
        for f in range(1, g + 1)
    ]
    assert table.read[0] == pytest.approx(
        sum(plan.size[b] * plan.kept[g - 1, b] for b in reads if g in reads[b])
    )
    assert (table.stored[0], table.peak[0]) == pytest.approx((held[-1], max(held)))
    assert table.generated[0] == pytest.approx(
        sum(plan.size[b] for b in reads if reads[b] and plan.source[b])
    )
    assert table.real[0] == pytest.approx(
        sum(plan.size[b] for b in reads if reads[b] and not plan.source[b])
    )


costs = st.sampled_from([0.0, 1.0, 1.0 + 1e-15, 2.0, 3.0])


@given(
    st.lists(st.tuples(*[costs] * 6), min_size=1, max_size=8),
    st.sets(st.sampled_from(list(COSTS)), min_size=1),
)
def test_the_front_is_what_its_definition_says(values, named):
    columns = np.array(values).T
    table = Comparison(tuple(SimpleNamespace(name=str(i)) for i in range(len(values))), 1, *columns)
    which = [0, *(1 + list(COSTS).index(cost) for cost in named)]
    rows = [tuple(round(row[j]) for j in which) for row in values]
    unbeaten = [
        str(i)
        for i, a in enumerate(rows)
        if not any(b != a and all(y <= x for x, y in zip(a, b, strict=True)) for b in rows)
    ]
    assert [workflow.name for workflow in table.front(*named)] == unbeaten
    assert unbeaten


def test_fronts_of_named_workflows():
    names = ("discard", "augment", "subsample", "window", "fixed real share", "reservoir")
    table = compare(*(BY_HAND[name][0] for name in names))
    assert [w.name.split("(")[0] for w in table.front("stored")] == [
        "discard",
        "augment",
        "fixed_real_share",
        "reservoir",
    ]
    wide = compare(*(BY_HAND[name][0] for name in names), workflows.fresh_real(G))
    assert [w.name for w in wide.front("real")][-1] == "fresh_real"
    assert set(table.front("read")) <= set(table.front())


def test_a_tie_leaves_both_on_the_front():
    table = compare(workflows.augment(9), workflows.window(9, 9), workflows.discard(9))
    assert table.front("stored", "read") == table.workflows


def test_bootstrap_is_measured_in_the_common_unit():
    assert compare(workflows.bootstrap(5)).ratio == derive(workflows.bootstrap(5)).risk[-1] == 10


def test_default_generation_is_the_last_that_all_reach():
    assert compare(workflows.augment(9), workflows.ring(4, 2)).generation == 4


def test_frame_and_picture():
    table = compare(workflows.augment(9), workflows.window(9, 2), workflows.reservoir(9))
    frame = table.to_frame()
    assert frame["workflow"].tolist() == ["augment", "window(k=2)", "reservoir"]
    assert frame["stored"].tolist() == table.stored.tolist()
    assert list(frame.columns) == ["workflow", "ratio", *COSTS]
    with matplotlib.rc_context({"backend": "agg"}):
        ax = table.plot(cost="read")
    assert ax.get_xlabel() == "rows read by a fit, in units of n"
    assert {text.get_text() for text in ax.texts} == {"augment", "window(k=2)", "reservoir"}
    assert [line.get_xdata()[0] for line in ax.lines[1:]] == table.read.tolist()
    assert repr(table) == "<Comparison of 3 workflows at generation 9>"


def test_nonsense_is_refused_in_words():
    with pytest.raises(ValueError, match="compare needs at least one workflow"):
        compare()
    with pytest.raises(
        ValueError,
        match=r"a workflow must be a collapse.Plan or a collapse.Reservoir, .* it is str",
    ):
        compare("augment")
    with pytest.raises(
        ValueError,
        match=r"augment has no generation 9, its last is 5; make it longer, or compare earlier",
    ):
        compare(workflows.augment(5), generation=9)
    with pytest.raises(
        ValueError,
        match=r"generation \(at which to compare\) must be a whole number, at least 1; it is 0",
    ):
        compare(workflows.augment(5), generation=0)
    for refused in (
        compare(typed(partly=True)).front,
        lambda cost: compare(dense(typed(partly=True))).plot(cost=cost),
    ):
        with pytest.raises(
            ValueError,
            match="cost must be one of read, stored, peak, generated, real; it is 'money'",
        ):
            refused("money")


@pytest.mark.parametrize(
    "plan",
    [workflows.bootstrap(6), workflows.subsample(6, replace=True), workflows.augment(6)],
    ids=lambda plan: plan.name,
)
def test_what_rows_are_worth_is_one_number(plan):
    """1,000 / ratio of a comparison, the diagnosis and the derived risk: all to a fit to all real
    rows.
    """
    worth = 1000 / compare(plan).ratio[0]
    assert worth == pytest.approx(diagnose(plan).worth, rel=1e-12)
    assert worth == pytest.approx(derive(plan).worth(1000)[-1], rel=1e-12)


def test_workflows_are_arguments_or_one_list_of_them():
    one, two = workflows.augment(4), workflows.reservoir(4)
    expected = compare(one, two).to_json()
    for listed in ([one, two], (one, two), iter([one, two])):
        assert compare(listed).to_json() == expected
    assert compare([one]).to_json() == compare(one).to_json()
    assert compare([one, two], generation=2).generation == 2
    for wrong in ([[one], [two]], ["augment"], "augment", [one, None]):
        with pytest.raises(ValueError, match="a workflow must be a collapse"):
            compare(wrong)
    with pytest.raises(ValueError, match="compare needs at least one workflow"):
        compare([])
