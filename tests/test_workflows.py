"""Named workflows: their tables, and what they refuse."""

from __future__ import annotations

import ast
import inspect
import pickle
import sys
import tracemalloc
from fractions import Fraction as F

import numpy as np
import pytest

from collapse import Plan, Reservoir, Risk, derive, models, simulate, workflows
from tests.plans import NAMED, ZOO, dense
from tests.statistics import assert_risks_agree


def test_discard_reads_the_latest_batch_alone():
    assert workflows.discard(3).exact_weight().tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]


def test_augment_reads_every_batch_whole_and_alike():
    plan = workflows.augment(3)
    assert plan.exact_weight().tolist() == [
        [1, 0, 0],
        [F(1, 2), F(1, 2), 0],
        [F(1, 3), F(1, 3), F(1, 3)],
    ]
    assert plan.reads_whole_batches


def test_subsample_reads_the_share_1_over_g_of_every_batch():
    plan = workflows.subsample(3)
    assert plan.exact_weight().tolist() == workflows.augment(3).exact_weight().tolist()
    assert plan.exact_kept()[:, 0].tolist() == [1, F(1, 2), F(1, 3)]
    assert plan.reads(12).sum(axis=1).tolist() == [12, 12, 12]


@pytest.mark.parametrize("name", NAMED)
def test_each_batch_is_drawn_from_the_fit_before_and_has_n_rows(name):
    plan = NAMED[name](4)
    assert plan.name == name
    assert plan.source.tolist() == [0, 1, 2, 3]
    assert plan.rows(10).tolist() == [10, 10, 10, 10]


@pytest.mark.parametrize("name", NAMED)
def test_one_generation_has_ratio_one(name):
    assert derive(NAMED[name](1), exact=True).ratio.tolist() == [1]


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("generations", [0, -1, 2.0, "3", None, True])
def test_generations_must_be_a_positive_whole_number(name, generations):
    with pytest.raises(
        ValueError,
        match=r"generations \(number of fits\) must be a whole number, at least 1; it is",
    ):
        NAMED[name](generations)


@pytest.mark.parametrize("name", NAMED)
def test_a_hundred_thousand_generations_take_short_arrays(name):
    assert derive(NAMED[name](100_000)).ratio.shape == (100_000,)


def test_a_workflow_is_a_function_of_at_most_15_lines_with_a_source():
    assert len(workflows.NAMED) >= 15
    for record in workflows.NAMED.values():
        (function,) = ast.parse(inspect.getsource(inspect.unwrap(record.function))).body
        assert isinstance(function, ast.FunctionDef)
        text = ast.get_docstring(function)
        assert all(
            section in text for section in ("Parameters", "Returns", "References", "Examples")
        ), function.name
        body = function.body[1:]
        assert body[-1].end_lineno - body[0].lineno < 15, function.name


@pytest.mark.parametrize("name", ZOO)
def test_the_tables_typed_by_hand_give_the_same_answer(name):
    plan = ZOO[name](6)
    twin = dense(plan)
    assert not twin.recursion.taken_up.size
    np.testing.assert_allclose(derive(plan).ratio, derive(twin).ratio, rtol=1e-13)
    np.testing.assert_allclose(derive(plan).covariance, derive(twin).covariance, rtol=1e-12)
    np.testing.assert_allclose(np.diag(derive(plan).covariance), derive(plan).risk, rtol=1e-12)
    if plan.rational:
        assert derive(plan, exact=True).risk.tolist() == derive(twin, exact=True).risk.tolist()
        np.testing.assert_allclose(
            derive(plan, exact=True).ratio.astype(float), derive(plan).ratio, rtol=1e-13
        )
    for model in (models.Bernoulli(F(1, 5)), models.Exponential(2)):
        np.testing.assert_allclose(
            derive(plan, model=model, n=120).risk, derive(twin, model=model, n=120).risk, rtol=1e-12
        )


@pytest.mark.parametrize("name", ZOO)
def test_simulations_agree_with_the_derived_curve(name):
    plan = ZOO[name](6)
    assert_risks_agree(simulate(plan, replications=60_000, rng=1), derive(plan), detects=0.1)
    model = models.Bernoulli(0.2)
    exact = derive(plan, model=model, n=120)
    assert_risks_agree(
        simulate(
            plan,
            model=model,
            n=120,
            replications=20_000 if plan.reads_whole_batches else 6000,
            rng=2,
        ),
        exact,
        detects=0.3,
    )


@pytest.mark.parametrize("name", ZOO)
def test_a_plan_survives_json_and_pickle(name, tmp_path):
    plan = ZOO[name](5)
    for twin in (
        Plan.from_json(plan.to_json()),
        pickle.loads(pickle.dumps(plan)),
        Risk.load(derive(plan).save(tmp_path / "risk")).plan,
    ):
        assert (twin.name, twin.recipe, twin.replace) == (plan.name, plan.recipe, plan.replace)
        assert twin.generation.tolist() == plan.generation.tolist()
        assert not twin.source.flags.writeable
        np.testing.assert_array_equal(twin.weight, plan.weight)
        np.testing.assert_array_equal(derive(twin).risk, derive(plan).risk)
    assert str(plan).startswith(plan.name)
    assert derive(plan).generations.tolist() == plan.generation.tolist()


TWINS = {
    "a window of one batch": (workflows.window(9, 1), workflows.discard(9)),
    "a window of all batches": (workflows.window(9, 9), workflows.augment(9)),
    "no real share": (workflows.fixed_real_share(9, 0), workflows.discard(9)),
    "real data and a window of all": (workflows.real_and_window(9, 9), workflows.augment(9)),
    "real data and a window of one": (
        workflows.real_and_window(9, 1),
        workflows.fixed_real_share(9, F(1, 2)),
    ),
    "no memory": (workflows.forgetting(9, 0), workflows.discard(9)),
    "batches of one size": (workflows.augment(9, size=1), workflows.augment(9, size=[1] * 8)),
    "a schedule of halves": (
        workflows.augment(9, size=F(1, 2)),
        workflows.augment(9, size=[F(1, 2)] * 8),
    ),
    "no fresh real data": (workflows.fresh_real(9, 0), workflows.discard(9)),
}


@pytest.mark.parametrize("name", TWINS)
def test_workflows_meet_at_the_ends_of_their_parameters(name):
    first, second = TWINS[name]
    assert derive(first, exact=True).ratio.tolist() == derive(second, exact=True).ratio.tolist()


def test_a_ring_of_models_without_real_data_is_discard():
    ratio = derive(workflows.ring(6, 4), exact=True).ratio.reshape(6, 4)
    assert (ratio == np.arange(1, 7)[:, None]).all()


def test_the_golden_share_has_the_smallest_limit():
    for kappa in (0.25, 1.0, 3.0):
        best = workflows.golden_share(kappa)
        limits = [
            derive(workflows.fresh_real(200, best + step, kappa)).ratio[-1]
            for step in (-1e-3, 0.0, 1e-3)
        ]
        assert limits[1] == min(limits)
    assert workflows.golden_share() == pytest.approx((np.sqrt(5) - 1) / 2, abs=1e-15)


SPARSE = sorted(set(ZOO) - {"mixture", "discard, growing batches", "augment, growing batches"})


def calls(program):
    """How many functions a program calls, Python's and compiled ones."""
    count = 0

    def note(frame, event, argument):
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        program()
    finally:
        sys.setprofile(None)
    return count


def peak(program):
    """Most bytes that a program holds at a time."""
    tracemalloc.start()
    program()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most


@pytest.mark.parametrize("name", SPARSE)
def test_work_and_memory_grow_like_the_number_of_generations(name):
    def at(G):
        return lambda: derive(ZOO[name](G)).ratio

    assert np.isfinite(
        at(100)()
    ).all()  # also: what is imported and remembered once is no part of the count
    # twice as many generations: twice as much, where dense tables would hold four times as many
    # numbers
    assert calls(at(800)) < 2.1 * calls(at(400))
    small, large = peak(at(1000)), peak(at(2000))
    assert (
        large < (4.5 if name == "forgetting" else 3) * small
    )  # its exact weights are fractions of ever more digits
    # so that ten thousand generations hold 10 megabytes, 100 where a workflow is a list of entries
    assert large < 2000 * (1e3 if name in NAMED else 1e4)


def test_a_workflow_without_a_small_recursion_says_how_far_it_goes():
    with pytest.raises(
        ValueError,
        match=(
            r"dense table \(G, B\) of window\(k=20000\), 20,000 by 20,000, would hold 400,000,000"
            r" numbers in memory \(3.2 GB\), and can hold 100,000,000 at most"
        ),
    ):
        _ = derive(
            Plan(
                np.arange(20_000),
                np.ones(20_000),
                workflows.window(20_000, 1).recursion,
                name="window(k=20000)",
            )
        ).covariance


NONSENSE = {
    "published in words": (
        lambda: workflows.star(5, 3, published="no"),
        r"published must be True or False; it is 'no'",
    ),
    "published in numbers": (
        lambda: workflows.all_to_all(5, 3, published=0),
        r"published must be True or False; it is 0",
    ),
    "a parameter given twice": (
        lambda: workflows.named("augment(size=1/2, size=3)", 5),
        r"is no workflow \(size is given twice\)",
    ),
    "window of 0": (
        lambda: workflows.window(5, 0),
        r"k \(batches in the window\) must be a whole number, at least 1; it is 0",
    ),
    "real and window of 0": (
        lambda: workflows.real_and_window(5, 0),
        "k .* must be a whole number",
    ),
    "share of 1.2": (
        lambda: workflows.fixed_real_share(5, 1.2),
        r"share must lie in \[0, 1\]; it is 1.2",
    ),
    "negative share": (
        lambda: workflows.real_and_average(5, -0.1),
        r"share must lie in \[0, 1\]; it is -0.1",
    ),
    "share as text": (lambda: workflows.fresh_real(5, "half"), "share must be a number"),
    "NaN share": (lambda: workflows.fresh_real(5, float("nan")), "share must be a number"),
    "kappa of 0": (
        lambda: workflows.fresh_real(5, 0.5, 0),
        "kappa must be a number, finite and greater than 0",
    ),
    "schedule with a zero": (
        lambda: workflows.augment(4, size=[1, 0, 1]),
        "size must be a number, finite and greater than 0; it is 0",
    ),
    "schedule too short": (
        lambda: workflows.discard(4, size=[1, 2]),
        "size has 2 entries, and 4 generations have 3 synthetic batches",
    ),
    "negative size": (
        lambda: workflows.discard(4, size=-1),
        "size must be a number, finite and greater than 0; it is -1",
    ),
    "memory of 1": (lambda: workflows.forgetting(4, 1), r"memory must lie in \[0, 1\); it is 1"),
    "one model": (lambda: workflows.ring(4, 1), "models must be at least 2"),
    "half a model": (lambda: workflows.star(4, 2.5), "models .* must be a whole number"),
    "bootstrap of nothing": (
        lambda: workflows.bootstrap(4, 0),
        r"share must lie in \(0, 1\]; it is 0",
    ),
    "no turnover": (lambda: workflows.reservoir(4, 0), r"turnover must lie in \(0, 1\]; it is 0"),
    "turnover of 2": (lambda: workflows.reservoir(4, 2), r"turnover must lie in \(0, 1\]; it is 2"),
    "an enormous window": (
        lambda: workflows.window(10**5, 10**4),
        "needs 1,000,000,000 weights.*at most 10,000,000",
    ),
    "an enormous mixture": (
        lambda: workflows.mixture(10**5),
        "needs 4,999,950,000 weights.*fewer generations",
    ),
    "an enormous ecosystem": (
        lambda: workflows.all_to_all(10**5, 100),
        "needs 1,010,000,000 weights",
    ),
    "too few rows": (
        lambda: workflows.augment(4, size=F(1, 7)).rows(10),
        "batch 2 would have 1.42857 rows",
    ),
}


@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_is_refused_in_words(name):
    make, message = NONSENSE[name]
    with pytest.raises(ValueError, match=message):
        make()


def test_a_typed_recursion_is_checked():
    from collapse.exact import Numbers
    from collapse.recursion import Entries, Recursion

    half = Numbers.ratio([1, 1, 1], [1, 2, 2])
    with pytest.raises(ValueError, match=r"those of fit 3 sum to 0\.5"):
        Plan(
            [0, 1, 2],
            [1, 1, 1],
            Recursion.of(
                Entries(
                    np.array([0, 1, 1, 2]), np.array([0, 0, 1, 2]), Numbers.ratio(1, [1, 2, 2, 2])
                ),
                3,
            ),
        )
    with pytest.raises(ValueError, match="occurs twice"):
        Plan(
            [0, 1, 2],
            [1, 1, 1],
            Recursion.of(
                Entries(
                    np.array([0, 1, 1, 2]), np.array([0, 1, 1, 2]), Numbers.ratio(1, [1, 2, 2, 1])
                ),
                3,
            ),
        )
    with pytest.raises(ValueError, match="carried on already"):
        Plan(
            [0, 1, 2],
            [1, 1, 1],
            Recursion(
                Numbers.ratio([0, 1, 1], [1, 4, 2]),
                half,
                batch=np.arange(3),
                entries=Entries(np.array([1]), np.array([0]), Numbers.ratio([1], [4])),
            ),
        )
    with pytest.raises(
        ValueError,
        match=(
            "batch 3 is read by fit 2, but it is drawn from the model of fit 2, which is fitted"
            " later"
        ),
    ):
        Plan(
            [0, 1, 2],
            [1, 1, 1],
            Recursion.of(
                Entries(np.array([0, 1, 2]), np.array([0, 2, 2]), Numbers.ratio([1, 1, 1], 1)), 3
            ),
        )


# --- the reservoir --------------------------------------------------------------------------------


def enumerated(turnover: list[F], n: int, p: F) -> list[F]:
    """Mean squared error of each fit under a reservoir of n Bernoulli rows, by the law of the
    number of ones in the memory.
    """
    from math import comb

    def binomial(trials: int, chance: F) -> list[F]:
        return [
            comb(trials, x) * chance**x * (1 - chance) ** (trials - x) for x in range(trials + 1)
        ]

    law = binomial(n, p)
    out = []
    for share in turnover:
        if out:
            later = [F(0)] * (n + 1)
            low = int(share * n)
            for k, chance in ((low, 1 - (share * n - low)), (low + 1, share * n - low)):
                for ones, mass in enumerate(law):
                    if not chance * mass:
                        continue
                    fresh = binomial(k, F(ones, n))
                    for gone in range(max(0, k - (n - ones)), min(k, ones) + 1):
                        leaves = F(comb(ones, gone) * comb(n - ones, k - gone), comb(n, k))
                        for new, weight in enumerate(fresh):
                            later[ones - gone + new] += chance * mass * leaves * weight
            law = later
        out.append(sum(mass * (F(ones, n) - p) ** 2 for ones, mass in enumerate(law)))
    return out


@pytest.mark.parametrize("turnover", [None, F(1, 3), F(3, 5), 1])
def test_a_reservoir_is_exact_at_every_n(turnover):
    workflow = workflows.reservoir(5, turnover)
    exact = derive(workflow, model=models.Bernoulli(F(2, 7)), n=4, exact=True).risk.tolist()
    assert exact == enumerated(workflow.turnover.fractions("turnover").tolist(), 4, F(2, 7))


@pytest.mark.parametrize("turnover", [None, F(2, 5)])
def test_a_reservoir_simulated(turnover):
    workflow = workflows.reservoir(6, turnover)
    assert_risks_agree(
        simulate(workflow, replications=60_000, rng=3), derive(workflow), detects=0.1
    )
    model = models.Exponential(1)
    assert_risks_agree(
        simulate(workflow, model=model, n=12, replications=60_000, rng=4),
        derive(workflow, model=model, n=12),
        detects=0.15,
    )


def test_a_reservoir_survives_json_and_refuses_what_it_cannot(tmp_path):
    workflow = workflows.reservoir(4, F(1, 2))
    twin = Reservoir.from_json(workflow.to_json())
    assert (twin.name, twin.recipe, twin.generations) == (workflow.name, workflow.recipe, 4)
    risk = Risk.load(derive(workflow, exact=True).save(tmp_path / "risk"))
    assert (
        risk.ratio.tolist()
        == derive(workflow, exact=True).ratio.tolist()
        == [1, F(7, 4), F(5, 2), F(13, 4)]
    )
    np.testing.assert_array_equal(derive(workflow).covariance[0], 1)
    with pytest.raises(
        ValueError, match=r"no exact form at finite n is known for .* whose rows persist"
    ):
        derive(workflow, model=models.Median("normal"), n=11)
    with pytest.raises(ValueError, match="begin with 1"):
        Reservoir(workflow.turnover.__class__.ratio([1, 1], 2))


# --- workflows by name ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in ZOO if "schedule" not in ZOO[name](3).name])
def test_a_plan_is_made_again_from_its_name(name):
    plan = ZOO[name](5)
    twin = workflows.named(plan.name, 5)
    assert (twin.name, twin.recipe) == (plan.name, plan.recipe)
    np.testing.assert_array_equal(derive(twin).risk, derive(plan).risk)


def test_every_public_workflow_has_a_name():
    public = {name for name in workflows.__all__ if inspect.isfunction(getattr(workflows, name))}
    assert set(workflows.NAMED) == public - {"golden_share", "named"}
    for name, record in workflows.NAMED.items():
        assert record.name == name
        assert record.function is getattr(workflows, name)


MISSPELT = {
    "windo(k=3)": "there is no workflow called 'windo'; there are discard, augment",
    "window": "window needs k, such as",
    "window(m=3)": "window has no parameter 'm'; it has k",
    "window(3)": r"is no workflow \(only a name, and parameters by name, are read\); write one as",
    "window(k=open('x'))": "is no workflow",
    "__import__('os').getcwd()": "is no workflow",
    "fixed_real_share(share=1/0)": "is no workflow",
    "window(k=": "is no workflow",
    "": "is no workflow",
}


@pytest.mark.parametrize("text", MISSPELT)
def test_a_misspelt_name_is_refused_in_words(text):
    with pytest.raises(ValueError, match=MISSPELT[text]):
        workflows.named(text, 3)


@pytest.mark.parametrize("workflow", [workflows.discard, workflows.augment])
def test_schedules_may_outgrow_64_bits(workflow):
    # the pool under augment is 2^(g - 1): each batch adds 1 / 2^g
    ratio = derive(workflow(70, size=[2**b for b in range(69)]), exact=True).ratio
    assert ratio[-1] == (
        3 - F(1, 2**68) if workflow is workflows.discard else F(3, 2) - F(1, 2**70)
    )
