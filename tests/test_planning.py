"""The inverse question: policies that keep a promise."""

import json
from fractions import Fraction
from math import inf, isnan, nan
from typing import Any

import numpy as np
import pytest

import collapse
from collapse import models, workflows
from collapse.cli import main
from collapse.derivation.finite import augment_supremum, average_supremum, least_share
from collapse.planning import LADDERS

PROMISES: tuple[dict[str, Any], ...] = (
    {"ratio": 1.5, "generations": 20},
    {"ratio": 3.0, "generations": 120},
    {"worth": 400, "generations": 35, "cost": "stored"},
    {"loss": 0.004, "n": 1000, "kappa": 5, "generations": 12},
    {"ratio": 2.0, "generations": 20, "model": models.Exponential(1), "n": 20},
    {"ratio": 1.3, "generations": 30, "model": models.Bernoulli(0.3), "n": 10},
)


MEANS = (
    (None, None, 0),
    (models.Exponential(1), 20, 1),
    (models.Exponential(1), 3, 1),
    (models.Bernoulli(0.3), 10, -1),
)


def named(text: str, generations: int) -> Any:
    """The policy of a name; a subsample is read from its ladder."""
    if text.startswith("subsample of"):
        (make,) = (ladder.make for ladder in LADDERS if ladder.name == "subsample")
        return make(generations, Fraction(text.split()[2]))
    return workflows.named(text, generations)


@pytest.mark.parametrize("promise", PROMISES, ids=str)
def test_each_policy_keeps_the_promise_and_the_next_cheaper_one_does_not(
    promise: dict[str, Any],
) -> None:
    answer = collapse.plan_for(**promise)
    model, G = promise.get("model"), promise["generations"]
    at_n = {"model": model, "n": promise["n"]} if model else {}
    assert len(answer.policies) + len(answer.broken) == len(LADDERS)
    assert any(answer.cheaper)
    for plan, largest, cheaper, theirs in zip(
        answer.policies, answer.largest, answer.cheaper, answer.cheaper_largest, strict=True
    ):
        assert plan == named(plan.name, G)
        kept = collapse.derive(plan, **at_n).ratio
        assert len(kept) == G
        assert kept.max() == largest <= answer.ratio * (1 + 1e-9)
        if cheaper:
            broken = collapse.derive(named(cheaper, G), **at_n).ratio.max()
            assert broken == theirs > answer.ratio
        else:
            assert isnan(theirs)


def test_promises_in_three_units_are_one() -> None:
    asked = ({"ratio": 1.8}, {"worth": 1000 / 1.8}, {"loss": 0.004, "n": 1000, "kappa": 5})
    names = {
        tuple(p.name for p in collapse.plan_for(generations=9, **one).policies) for one in asked
    }
    assert len(names) == 1


def test_every_ladder_falls_so_that_bisection_finds_its_first_step() -> None:
    for ladder in LADDERS:
        steps = ladder.values(6, None)
        largest = [
            collapse.derive(ladder.make(6, v)).ratio.max() for v in steps[:: len(steps) // 6]
        ]
        within = np.array(largest)
        # below 1 fresh real rows have an optimum; no promise is made there
        assert (np.diff(np.maximum(within, 1)) <= 1e-12).all(), ladder.name


@pytest.mark.parametrize(("model", "n", "v2"), [(None, None, 0), (models.Exponential(1), 20, 1)])
def test_for_ever_the_least_share_is_the_formula(model: Any, n: int | None, v2: int) -> None:
    answer = collapse.plan_for(ratio=1.9, model=model, n=n)
    found = {plan.recipe.workflow: plan for plan in answer.policies if plan.recipe}
    least = least_share(n, v2, below=1.9)
    share = found["fixed_real_share"].recipe.parameters["share"]  # type: ignore[union-attr]
    assert share - Fraction(1, 1000) < least <= share
    size = found["augment"].recipe.parameters["size"]  # type: ignore[union-attr]
    assert augment_supremum(n, v2, size=size) <= 1.9
    assert {"discard", "window", "reservoir", "subsample"} == answer.broken.keys()
    for plan, largest in zip(answer.policies, answer.largest, strict=True):
        long = workflows.named(plan.name, 2000)
        ratio = collapse.derive(long, model=model, n=n).ratio.max()
        assert ratio <= largest * (1 + 1e-9) <= 1.9 * (1 + 2e-9)


def test_for_ever_what_is_cheaper_breaks_the_promise_in_the_end() -> None:
    answer = collapse.plan_for(ratio=1.5)
    known = np.isfinite(answer.cheaper_largest)
    assert known.all()
    for i in np.flatnonzero(known):
        cheaper, bound = answer.cheaper[i], answer.cheaper_largest[i]
        reached = collapse.derive(workflows.named(cheaper, 4000)).ratio.max()
        assert bound > 1.5
        assert reached == pytest.approx(bound, rel=1e-3)
        assert reached > 1.5


@pytest.mark.parametrize(("model", "n", "v2"), MEANS)
@pytest.mark.parametrize("share", [Fraction(1, 1000), 0.01, 0.1, 0.5, 1])
def test_real_data_beside_an_average_reach_their_supremum(
    share: Any, model: Any, n: int | None, v2: int
) -> None:
    supremum = average_supremum(share, n, v2)
    curve = collapse.derive(workflows.real_and_average(1500, share), model=model, n=n).ratio
    assert supremum == pytest.approx(curve.max(), rel=1e-12)
    assert (np.diff(curve[int(curve.argmax()) :]) <= 1e-15).all()
    found = collapse.diagnose(workflows.real_and_average(5, share), model=model, n=n)
    assert found.supremum == found.bound == supremum
    assert found.certified
    assert found.limit == 1


def test_sizes_and_reads_at_n_are_whole_rows() -> None:
    model = models.Exponential(1)
    answer = collapse.plan_for(ratio=3.2, generations=20, model=model, n=20)
    found = {plan.name.split("(")[0]: plan for plan in answer.policies}
    assert found["discard"] == workflows.discard(20, size=Fraction(48, 5))
    # fewer rows than n would be less than one of a batch in the end
    assert found["subsample"] == workflows.subsample(20)
    broken = collapse.plan_for(ratio=3.2, model=model, n=20).broken["subsample"]
    assert broken.startswith("for ever a fit would come to read less than one row of a batch")
    rows = collapse.plan_for(ratio=3.2, generations=20, model=model, n=7).policies
    assert all(plan.rows(7).dtype.kind == "i" for plan in rows if not plan.persistent)


def test_progress_is_told_in_kinds_of_policies(capsys: pytest.CaptureFixture[str]) -> None:
    told: list[tuple[int, int]] = []
    collapse.plan_for(ratio=2, generations=3, progress=lambda *at: told.append(at))
    many = len(LADDERS)
    assert told == [(i, many) for i in range(many + 1)]
    assert main(["plan-for", "--ratio", "2", "-g", "3"]) == 0
    assert capsys.readouterr().err.endswith(f"{many} of {many}\n")
    assert main(["plan-for", "--ratio", "2", "-g", "3", "--quiet", "--json"]) == 0
    assert capsys.readouterr().err == ""


def test_policies_are_sorted_by_the_cost_asked_for() -> None:
    for cost in ("read", "stored", "real", "generated", "peak"):
        answer = collapse.plan_for(ratio=2, generations=15, cost=cost)
        assert (np.diff(getattr(answer.comparison, cost)) >= 0).all()


def test_for_ever_a_subsample_of_n_rows_reads_least() -> None:
    answer = collapse.plan_for(ratio=3)
    assert answer.policies[0] == workflows.subsample(50)
    assert collapse.derive(workflows.subsample(4000)).ratio.max() <= answer.largest[0] <= 3
    assert "subsample" in collapse.plan_for(ratio=2.9).broken


def test_a_reservoir_that_replaces_least_generates_least() -> None:
    kept = {
        cost: next(
            plan
            for plan in collapse.plan_for(ratio=3, generations=10, cost=cost).policies
            if plan.name.startswith("reservoir")
        )
        for cost in ("read", "generated")
    }
    assert kept["generated"] == workflows.reservoir(10, turnover=Fraction(1, 100))
    generated = collapse.compare(list(kept.values()), generation=10).generated
    assert generated[1] < generated[0]


def test_policies_in_words_and_as_a_table() -> None:
    answer = collapse.plan_for(ratio=1.5)
    text = str(answer)
    assert text.startswith(
        "Policies that promise no ratio above 1.5 for ever, for many rows: 1,000"
    )
    assert "No window: the best, window(k=50), has no bound as small. The ratio grows like" in text
    assert repr(answer).startswith("<Policies (4) that promise no ratio above 1.5 for ever")
    frame = answer.to_frame()
    assert frame["workflow"].tolist() == [plan.name for plan in answer.policies]
    few = collapse.plan_for(ratio=2, generations=9, model=models.Exponential(1), n=20)
    assert "for 9 generations, for Gamma(shape=1, mean=1) at n = 20" in str(few)


def test_the_command_answers_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["-g", "20", "-m", "exponential", "-n", "20"]
    assert main(["plan-for", "--ratio", "2", *flags, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    answer = collapse.plan_for(ratio=2, generations=20, model=models.Exponential(1), n=20)
    assert document["workflow"] == [plan.name for plan in answer.policies]
    assert document["largest_ratio"] == answer.largest.tolist()
    assert document["generations"] == 20
    assert main(["plan-for", "--ratio", "2", *flags]) == 0
    assert capsys.readouterr().out.strip() == str(answer)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "give one promise: a ratio such as 1.5, or worth"),
        ({"ratio": 2, "worth": 500}, "give one promise"),
        ({"ratio": 1}, "ratio must be a number greater than 1; it is 1."),
        ({"ratio": nan}, "ratio must be"),
        ({"ratio": "2"}, "ratio must be"),
        ({"ratio": inf}, "ratio must be"),
        ({"worth": 1000}, "worth \\(of 1,000 real rows\\) must be a number between 0 and 1,000"),
        ({"loss": 0.1}, "a loss needs n and kappa"),
        ({"loss": 0.1, "n": 100}, "a loss needs n and kappa"),
        ({"loss": -0.1, "n": 100, "kappa": 5}, "loss and kappa must be numbers greater than 0"),
        ({"ratio": 2, "kappa": 5}, "nothing else takes kappa"),
        ({"ratio": 2, "n": 50}, "n needs a model"),
        ({"ratio": 2, "model": models.Poisson(3)}, "n"),
        ({"ratio": 2, "generations": 1}, "generations"),
        ({"ratio": 2, "cost": "money"}, "cost must be one of read, stored"),
        ({"ratio": 2, "model": models.InverseGaussian(1, 2), "n": 50}, "exact"),
    ],
    ids=str,
)
def test_what_cannot_be_promised_is_refused(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        collapse.plan_for(**given)
