"""Plan: what it holds, how it prints, and a message of its own for each table that is no
workflow.
"""

from __future__ import annotations

import json
import pickle
from fractions import Fraction as F

import numpy as np
import pytest
from hypothesis import given

from collapse import Plan, Reservoir, derive, workflows
from collapse.exact import Numbers
from collapse.protocol import Workflow, checked_workflow
from collapse.recursion import Recursion
from tests.plans import KEPT, NAMED, SIZE, WEIGHT, ZOO, dense, plans, typed

nan = float("nan")
inf = float("inf")
GOOD = {"source": [0, 1], "size": [1, 1], "weight": [[1, 0], [F(1, 2), F(1, 2)]]}

BAD = {
    "rows sum": (
        {"weight": [[1, 0], [0.5, 0.4]]},
        r"weights must sum to one in each row; those of fit 2 sum to 0\.9\. Divide",
    ),
    "rational rows sum exactly": (
        {"weight": [[1, 0], [F(1, 3), F(2, 3) + F(1, 10**15)]]},
        r"sum to one in each row; those of fit 2 sum to \d+/\d+\. Divide",
    ),
    "read before fitted": (
        {"weight": [[0, 1], [1, 0]]},
        r"batch 2 is read by fit 1, but it is drawn from the model of fit 1, .* later;",
    ),
    "negative weight": (
        {"weight": [[1, 0], [2, -1]]},
        r"weight must not be negative; \(fit 2, batch 2\) is -1",
    ),
    "weight NaN": (
        {"weight": [[1, 0], [nan, 1]]},
        r"weight must be finite; \(fit 2, batch 1\) is nan",
    ),
    "weight infinite": (
        {"weight": [[1, 0], [0, inf]]},
        r"weight must be finite; \(fit 2, batch 2\) is inf",
    ),
    "size zero": ({"size": [1, 0]}, "size must be positive; batch 2 is 0"),
    "size negative": ({"size": [-1, 1]}, "size must be positive; batch 1 is -1"),
    "size NaN": ({"size": [1, nan]}, "size must be finite; batch 2 is nan"),
    "kept zero": (
        {"kept": [[1, 1], [0, 1]]},
        (
            r"kept must lie in \(0, 1\]; \(fit 2, batch 1\) is 0\. A batch that is not read has"
            r" weight 0"
        ),
    ),
    "kept above one": (
        {"kept": [[1, 1], [1, 1.5]]},
        r"kept must lie in \(0, 1\]; \(fit 2, batch 2\) is 1\.5",
    ),
    "kept negative": (
        {"kept": [[1, 1], [-1, 1]]},
        r"kept must lie in \(0, 1\]; \(fit 2, batch 1\) is -1",
    ),
    "kept NaN": (
        {"kept": [[1, 1], [nan, 1]]},
        r"kept must lie in \(0, 1\]; \(fit 2, batch 1\) is nan",
    ),
    "no batch read": (
        {"weight": [[1, 0], [0, 0]]},
        "no batch read: fit 2 gives weight to no batch; a fit needs data",
    ),
    "no fit": ({"weight": np.zeros((0, 2))}, "weight has no row; give one row for each fit"),
    "source and weight": (
        {"source": [0, 1, 1]},
        "shapes disagree: source has 3 batches, size 2, weight 2 columns",
    ),
    "size and weight": (
        {"size": [1]},
        "shapes disagree: source has 2 batches, size 1, weight 2 columns",
    ),
    "kept and weight": ({"kept": [[1, 1]]}, r"shapes disagree: kept is \(1, 2\), weight \(2, 2\)"),
    "weight flat": (
        {"weight": [1, 1]},
        r"weight must have 2 dimensions, it has 1; give one row for each fit",
    ),
    "size table": (
        {"size": [[1, 1]]},
        r"size must have 1 dimension, it has 2; give one size for each batch",
    ),
    "ragged weight": (
        {"weight": [[1], [1, 0]]},
        "weight must hold real numbers; give one row for each fit .* rows of different lengths",
    ),
    "ragged kept": (
        {"kept": [[1], [1, 1]]},
        "kept must hold real numbers; .* rows of different lengths",
    ),
    "ragged source": (
        {"source": [0, [1]]},
        "source must hold real numbers; .* rows of different lengths",
    ),
    "source table": (
        {"source": [[0, 1]]},
        r"source must be a list of batches, shape \(B,\) with B >= 1; it has shape \(1, 2\)",
    ),
    "no source": ({"source": []}, r"source must be a list of batches.* shape \(0,\)"),
    "source float": ({"source": [0.0, 1.0]}, "source must hold integers .* it holds float64 data"),
    "source bool": (
        {"source": [False, True]},
        "source must hold real numbers; .* It holds bool data",
    ),
    "source negative": (
        {"source": [0, -1]},
        "source must be 0 .real data. or the number of a fit; batch 2 has -1",
    ),
    "source beyond the fits": (
        {"source": [0, 3], "weight": [[1, 0], [1, 0]]},
        r"source names fit 3, but weight has 2 rows",
    ),
    "weight text": (
        {"weight": [["1", "0"], ["0", "1"]]},
        "weight must hold real numbers; .* It holds <U1 data",
    ),
    "weight bool": (
        {"weight": [[True, False], [False, True]]},
        "weight must hold real numbers; .* It holds bool data",
    ),
    "size None": ({"size": [1, None]}, "size must hold real numbers; .* It holds None, a NoneType"),
    "weight complex": (
        {"weight": [[1, 0], [0, 1j]]},
        "weight must hold real numbers; .* It holds complex128 data",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_each_bad_table_has_its_own_message(name):
    change, message = BAD[name]
    with pytest.raises(ValueError, match=message):
        Plan(**GOOD | change)


def numbers(*values):
    return Numbers.read(list(values), "weight", 1)


RECURSIONS = {
    "source": ([0, 0], (0, F(1, 2)), (1, F(1, 2)), None, "source must be 0, 1, ..., G - 1"),
    "shapes": (
        [0, 1],
        (0, F(1, 2)),
        (1, F(1, 2), 1),
        None,
        "shapes disagree: decay, share and kept",
    ),
    "range": (
        [0, 1],
        (0, 2),
        (1, -1),
        None,
        "decay and share of a Recursion must lie between 0 and 1",
    ),
    "NaN": (
        [0, 1],
        (0, nan),
        (1, 1.0),
        None,
        "decay and share of a Recursion must lie between 0 and 1",
    ),
    "sum": (
        [0, 1],
        (0, F(1, 2)),
        (1, F(1, 3)),
        None,
        r"sum to one in each row; those of fit 2 sum to 0\.8333",
    ),
    "first decay": (
        [0, 1],
        (F(1, 2), 0),
        (F(1, 2), 1),
        None,
        "decay of a Recursion must be 0 for fit 1, .* it is 0.5",
    ),
    "kept": (
        [0, 1],
        (0, F(1, 2)),
        (1, F(1, 2)),
        (1, 2),
        r"kept must lie in \(0, 1\]; it is 2 for one fit",
    ),
}


@pytest.mark.parametrize("name", RECURSIONS)
def test_each_bad_recursion_has_its_own_message(name):
    source, decay, share, kept, message = RECURSIONS[name]
    with pytest.raises(ValueError, match=message):
        Plan(source, [1, 1], Recursion(*(numbers(*part) for part in (decay, share, kept) if part)))


def test_a_recursion_carries_its_own_kept():
    with pytest.raises(ValueError, match="a Recursion carries its own kept"):
        Plan([0], [1], Recursion(numbers(0), numbers(1)), [[1]])


def test_float_rows_may_miss_one_by_rounding_alone():
    Plan([0, 1], [1, 1], [[1, 0], [0.5, 0.5 + 1e-13]])
    with pytest.raises(ValueError, match="sum to one"):
        Plan([0, 1], [1, 1], [[1, 0], [0.5, 0.5 + 1e-11]])


@pytest.mark.parametrize("unread", [0, 2, -1, nan, inf])
@pytest.mark.parametrize("replace", [False, True])
def test_kept_is_ignored_where_the_weight_is_zero(unread, replace):
    plan = Plan([0, 1], [1, 1], [[1, 0], [0.5, 0.5]], [[1, unread], [0.5, 1]], replace=replace)
    other = Plan([0, 1], [1, 1], [[1, 0], [0.5, 0.5]], [[1, 1], [0.5, 1]], replace=replace)
    np.testing.assert_array_equal(derive(plan).covariance, derive(other).covariance)
    np.testing.assert_array_equal(derive(plan).risk, derive(other).risk)


def test_a_plan_is_frozen():
    plan = workflows.augment(3)
    with pytest.raises(AttributeError, match="a Plan is frozen: build a new one to change 'size'"):
        plan.size = [1, 1, 1]
    for table in (
        plan.source,
        plan.size,
        plan.weight,
        plan.kept,
        typed(partly=True).weight,
        typed(partly=True).kept,
    ):
        with pytest.raises(ValueError, match="read-only"):
            table[0] = 7


def test_a_plan_does_not_share_memory_with_its_arguments():
    source, size, weight = (
        np.array([0, 1]),
        np.array([1.0, 1.0]),
        np.array([[1.0, 0.0], [0.5, 0.5]]),
    )
    plan = Plan(source, size, weight)
    source[1], size[1], weight[1] = 0, 9, 9
    assert plan.source.tolist() == [0, 1]
    assert plan.size.tolist() == [1, 1]
    assert plan.weight.tolist() == [[1, 0], [0.5, 0.5]]


def test_entries_stay_exact_until_one_is_a_float():
    assert Plan(**GOOD).rational
    assert not Plan(**GOOD | {"size": [1, 2.0]}).rational
    assert not Plan(**GOOD | {"weight": [[1, 0], [F(1, 2), 0.5]]}).rational
    assert Plan(**GOOD).exact_weight()[1, 0] == F(1, 2)
    with pytest.raises(
        ValueError, match="size holds floats, and exact=True needs rationals: give int"
    ):
        Plan(**GOOD | {"size": [1, 2.0]}).exact_size()


def test_integers_of_any_size_stay_exact():
    big = 10**40 + 1
    assert Plan(**GOOD | {"size": [1, big]}).exact_size()[1] == big


@pytest.mark.parametrize("name", NAMED)
def test_a_recursion_and_its_dense_twin_hold_the_same_tables(name):
    plan = NAMED[name](7)
    twin = dense(plan)
    assert not twin.recursion.taken_up.size
    assert (plan.generations, plan.batches) == (twin.generations, twin.batches) == (7, 7)
    np.testing.assert_allclose(plan.size, twin.size)
    np.testing.assert_allclose(plan.weight, twin.weight, rtol=1e-15)
    np.testing.assert_allclose(plan.kept[plan.weight > 0], twin.kept[plan.weight > 0], rtol=1e-15)
    assert plan.reads_whole_batches == twin.reads_whole_batches == (name != "subsample")
    for exact in (False, True):
        np.testing.assert_allclose(
            plan.feedback(exact).astype(float), twin.feedback(exact).astype(float), rtol=1e-15
        )
        np.testing.assert_allclose(
            plan.noise(exact).astype(float), twin.noise(exact).astype(float), rtol=1e-14
        )


def test_feedback_is_strictly_lower_triangular_and_sums_batches_of_one_source():
    A = typed(partly=True).feedback(exact=True)
    assert A.tolist() == [
        [0, 0, 0, 0],
        [F(3, 4), 0, 0, 0],
        [F(1, 2), F(1, 2), 0, 0],
        [F(1, 8), F(1, 4), F(1, 4), 0],
    ]


def test_rows_of_a_batch_must_be_whole():
    plan = typed(partly=True)
    assert plan.rows(20).tolist() == [20, 40, 10, 20, 10, 30]
    with pytest.raises(
        ValueError,
        match=(
            r"batch 3 would have 2\.5 rows \(size 0\.5 times n = 5\); choose n so that it is whole"
        ),
    ):
        plan.rows(5)


def test_thirds_of_n_are_whole_in_floats_too():
    assert Plan([0], [1 / 3], [[1]]).rows(3 * 10**6).tolist() == [10**6]


@pytest.mark.parametrize("n", [0, -3, 2.0, True, None, "5"])
def test_n_must_be_a_positive_whole_number(n):
    with pytest.raises(
        ValueError, match=r"n \(rows of real data\) must be a whole number, at least 1; it is"
    ):
        workflows.augment(2).rows(n)


def test_a_fit_reads_at_least_one_row_and_the_message_says_what_n_does_it():
    with pytest.raises(
        ValueError,
        match=(
            r"n = 7 is too small for so many generations: fit 8 would read 0\.875 rows of batch 1,"
            r" .* n >= 10"
        ),
    ):
        workflows.subsample(10).reads(7)
    assert workflows.subsample(10).reads(10).min(where=np.tri(10, dtype=bool), initial=np.inf) == 1


@given(plans())
def test_json_brings_back_the_same_plan(plan):
    document = json.loads(json.dumps(plan.to_json(), allow_nan=False))
    again = Plan.from_json(document)
    assert again.to_json() == plan.to_json()
    assert (derive(again, exact=True).covariance == derive(plan, exact=True).covariance).all()


@pytest.mark.parametrize(
    "plan",
    [workflows.subsample(6), Plan([0, 1], [1, 0.3], [[1, 0], [0.1, 0.9]], name="floats")],
    ids=str,
)
def test_json_keeps_recursions_floats_and_names(plan):
    again = Plan.from_json(json.loads(json.dumps(plan.to_json())))
    assert (again.name, bool(again.recursion), again.rational) == (
        plan.name,
        bool(plan.recursion),
        plan.rational,
    )
    np.testing.assert_array_equal(again.weight, plan.weight)


def test_a_plan_can_be_sent_to_another_process():
    plan = pickle.loads(pickle.dumps(typed(partly=True)))
    assert (derive(plan, exact=True).risk == derive(typed(partly=True), exact=True).risk).all()


def test_printing_shows_the_tables():
    assert repr(typed(partly=True)) == "<Plan typed: 4 fits, 6 batches>"
    assert str(typed(partly=True)).splitlines() == [
        "typed: 4 fits, 6 batches",
        "batch               1           2           3           4           5           6",
        "source           real         fit         fit         fit        real         fit",
        "                                1           1           2                       3",
        "size                1           2         1/2           1         1/2         3/2",
        "fit 1               1           .           .           .           .           .",
        "fit 2      1/4 of 1/2         1/2  1/4 of 1/2           .           .           .",
        "fit 3               .  1/4 of 1/3         1/4  1/2 of 3/4           .           .",
        "fit 4             1/8           .  1/8 of 1/2         1/4         1/4  1/4 of 1/6",
    ]


def test_printing_a_large_plan_shows_its_corner():
    lines = str(workflows.augment(100_000)).splitlines()
    assert lines[0] == "augment: 100,000 fits, 100,000 batches"
    assert lines[-1] == "... (100,000 fits, 100,000 batches in all)"
    assert len(lines) == 14
    assert lines[6].split() == ["fit", "2", "1/2", "1/2", *["."] * 6]


def test_printing_names_draws_with_replacement_and_floats():
    text = str(Plan([0], [0.25], [[1.0]], [[0.5]], replace=True, name="bootstrap"))
    assert text.startswith("bootstrap: 1 fit, 1 batch, drawn with replacement")
    assert "0.25" in text
    assert "1 of 0.5" in text


# Parts changed


def test_replace_is_the_truth_value_and_gives_the_plan_with_parts_changed():
    plan = workflows.bootstrap(3)
    assert plan.replace
    assert not workflows.discard(3).replace
    assert (plan.replace == True, repr(plan.replace), hash(plan.replace)) == (True, "True", 1)
    assert Plan([0], [1], [[1]], replace=plan.replace).replace
    assert pickle.loads(pickle.dumps(plan.replace)) is True
    assert (json.dumps([plan.replace]), f"{plan.replace}", "x" * plan.replace) == (
        "[1]",
        "True",
        "x",
    )
    changed = plan.replace(size=[1, 2, F(1, 2)], name="other")
    assert (changed.name, changed.size.tolist(), bool(changed.replace)) == (
        "other",
        [1, 2, 0.5],
        True,
    )
    assert changed.rational
    assert (plan.name, plan.size.tolist()) == ("bootstrap", [1, 1, 1])


def test_a_recipe_is_kept_while_it_describes_the_plan():
    plan = workflows.window(6, k=2)
    assert plan.replace(name="mine").recipe == plan.recipe
    assert plan.__replace__(size=[1] * 6).recipe == plan.recipe
    for change in (
        {"size": [1, 1, 1, 1, 1, 2]},
        {"replace": True},
        {"generation": [1, 1, 2, 2, 3, 3]},
    ):
        assert plan.replace(**change).recipe is None


def test_changed_tables_are_checked_anew():
    plan = typed(partly=True)
    assert plan.replace(kept=np.ones((4, 6))).reads_whole_batches
    assert plan.replace(weight=plan.exact_weight()) == plan
    assert plan.replace(weight=plan.recursion) == plan
    for change, message in (
        ({"size": [1, 1]}, "shapes disagree"),
        ({"weight": [[1] * 6] * 4}, "batch 2 is read by fit 1, but"),
        ({"kept": np.full((4, 6), 2)}, r"kept must lie in \(0, 1\]"),
        ({"source": [0, 1, 1, 2, 0, 9]}, "source names fit 9"),
        ({"color": 1}, "a Plan has no color to change; its parts are source, size, weight"),
        ({"replace": 1}, "replace must be True or False"),
    ):
        with pytest.raises(ValueError, match=message):
            plan.replace(**change)


def test_a_shorter_table_takes_its_own_generations():
    plan = workflows.augment(3).replace(source=[0], size=[1], weight=[[1]])
    assert plan.generation.tolist() == [1]


# Equality


@pytest.mark.parametrize("name", ZOO)
def test_a_workflow_equals_its_tables_typed_by_hand(name):
    plan = ZOO[name](7)
    twin = dense(plan).replace(name="typed", generation=plan.generation)
    assert plan == twin
    assert hash(plan) == hash(twin)
    assert plan != 1
    assert len({plan, twin, ZOO[name](7)}) == 1


CHANGES = {
    "size": {"size": [1, 2, F(1, 2), 1, F(1, 2), 1]},
    "source": {"source": [0, 1, 1, 2, 0, 2]},
    "weight": {"weight": [WEIGHT[0], WEIGHT[1], [0, F(1, 4), F(1, 2), F(1, 4), 0, 0], WEIGHT[3]]},
    "kept": {"kept": [KEPT[0], KEPT[1], KEPT[2], [1, 1, F(1, 3), 1, 1, F(1, 6)]]},
    "replace": {"replace": True},
    "generation": {"generation": [1, 2, 2, 3]},
}


@pytest.mark.parametrize("change", CHANGES)
def test_plans_that_differ_in_a_number_are_not_equal(change):
    plan = typed(partly=True)
    assert plan != plan.replace(**CHANGES[change])
    assert plan == plan.replace(name="another")


def test_a_float_equals_the_fraction_that_it_is():
    exact = Plan(**GOOD)
    assert exact == Plan([0, 1], [1.0, 1.0], [[1.0, 0.0], [0.5, 0.5]])
    assert exact != Plan([0, 1], [1, 1], [[1, 0], [0.5 + 2**-53, 0.5 - 2**-53]])
    third = Plan([0, 1], [1, 1], [[1, 0], [F(1, 3), F(2, 3)]])
    assert third != Plan([0, 1], [1, 1], [[1, 0], [1 / 3, 2 / 3]])


def test_long_plans_are_compared_without_tables():
    G = 100_000
    plan = workflows.augment(G)
    assert plan == workflows.augment(G)
    assert hash(plan) == hash(workflows.augment(G, size=[1] * (G - 1)))
    assert plan != workflows.discard(G)
    rows = plan.recursion
    share = rows.share.numerator.copy(), rows.share.denominator.copy()
    share[0][-1] = 2
    decay = rows.decay.numerator.copy()
    decay[-1] -= 1
    late = Recursion(Numbers(decay, rows.decay.denominator), Numbers(*share))
    assert plan != plan.replace(weight=late)
    assert plan != workflows.subsample(G)


def test_reservoirs_are_equal_by_their_shares():
    one, other = workflows.reservoir(4), Reservoir([1, F(1, 2), F(1, 3), F(1, 4)], name="other")
    assert (one == other, hash(one) == hash(other)) == (True, True)
    assert one != workflows.reservoir(5)
    assert one != workflows.augment(4)


# The protocol


def test_plans_and_reservoirs_are_workflows_and_nothing_else_is():
    for workflow in (typed(partly=True), workflows.reservoir(3)):
        assert isinstance(workflow, Workflow)
        assert checked_workflow(workflow) is workflow
        assert workflow.rows_read().shape == (workflow.generations,)
        assert workflow.real_sizes()[0] == 1
    assert workflows.reservoir(3).persistent
    assert not typed(partly=True).persistent
    for odd in (None, "augment", Plan, workflows.augment):
        with pytest.raises(
            ValueError,
            match=r"^workflow must be a collapse\.Plan or a collapse\.Reservoir, .*; it is",
        ):
            checked_workflow(odd)


def test_rows_read_count_what_is_kept():
    plan = typed(partly=True)
    expected = [
        sum(k * s for w, k, s in zip(*row, SIZE, strict=True) if w)
        for row in zip(WEIGHT, KEPT, strict=True)
    ]
    np.testing.assert_allclose(plan.rows_read(), np.array(expected, float), rtol=1e-15)
    assert plan.real_sizes().tolist() == [1, 0.5]


# Documents of an older form


def test_a_plan_saved_as_tables_still_loads():
    plan = typed(partly=True, replace=True)
    document = plan.to_json()
    del document["recursion"]
    document["weight"] = [[str(v) for v in row] for row in plan.exact_weight().tolist()]
    document["kept"] = [[str(v) for v in row] for row in plan.exact_kept().tolist()]
    assert Plan.from_json(json.loads(json.dumps(document))) == plan
    document["weight"], document["kept"] = plan.weight.tolist(), plan.kept.tolist()
    assert not Plan.from_json(document).rational
    long = workflows.augment(5).to_json()
    long["recursion"]["entries"] = None
    assert Plan.from_json(long) == workflows.augment(5)


# Places in memory


@pytest.mark.parametrize("name", ZOO)
def test_no_two_batches_share_a_place_while_both_are_to_be_read(name):
    plan = ZOO[name](9)
    last = plan.reading[1]
    came = {b: g for g, batches in enumerate(plan.arrivals) for b in batches}
    most = 0
    for g in range(plan.generations):
        present = [int(plan.places[b]) for b, born in came.items() if born <= g <= last[b]]
        assert len(set(present)) == len(present)
        assert all(present)
        most = max(most, len(present))
    assert plan.live == most
    assert not plan.places[last < 0].any()
