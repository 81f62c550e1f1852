"""Simulations of a forecast: how many rows and runs a budget allows, and their outcomes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from collapse import checks
from collapse.forecasting.fitting import Fit
from collapse.forecasting.law import Law, law_of
from collapse.forecasting.policies import buys
from collapse.forecasting.table import Table
from collapse.plan import Plan
from collapse.reservoir import Reservoir
from collapse.risk import Risk
from collapse.simulation import Experiment, answers

Plans = dict[str, Plan | Reservoir]
Teller = Callable[..., None]
"""Told what is being done, as text, and in a simulation of replications done and their total."""

BAND = (0.05, 0.95)
REPLICATIONS = {
    "likelihood": (100, 1000),
    **dict.fromkeys(("ridge", "estimator"), (20, 200)),
    "generator": (8, 200),
}
"""Fewest and most."""
BUDGET, LONG = 5.0, 8.0
"""Nominal seconds that a simulation takes at most where no budget is given; that of a generator."""
ERROR = 0.02
"""Standard error of a mean loss, as a share of the width of the band of single runs, at which it
then stops."""
PILOT = 100
"""Replications that tell how many that takes, where there is room for twice as many."""
LEAST_ROWS = 500
"""Rows below which a table is simulated whole, whatever it costs."""
PRODUCTS = 2**27
"""Products of pairs of columns that a simulated design may have: 1 GB."""
COST = {
    "binary": (10e-9, 0.6e-9),
    "multiclass": (40e-9, 1e-9),
    "counts": (20e-9, 0.8e-9),
    "continuous": (1e-9, 0.0),
}
"""Nominal seconds of one fit, for each row and column and for each row and pair of columns."""
FIT_COST = 50e-6
"""Nominal seconds of any fit."""
ROW_COST = 150e-9
"""Nominal seconds for each row that is drawn or read by itself."""
CALL_COST = {"ridge": 2e-3, "estimator": 20e-3, "generator": 6e-3}
"""Nominal seconds of one fit of scikit-learn's ridge regression, of any other estimator, and of a
generator with what is measured of it."""
WHATEVER = ("estimator", "generator")
"""Of what the workflow asked for is simulated whatever it costs."""
CERTAIN = "nothing is left to chance: every fit is the first one"
LOST = "on the part of the rows that was simulated some runs lost their estimate"


@dataclass(frozen=True, eq=False)
class Runs:
    """What is simulated.

    Attributes
    ----------
    part : Table
        The table, or a part of its rows.
    replications : int
        None are simulated where 0.
    why : str or None
        Why not all rows, or nothing, is simulated.
    only : tuple of str
        Workflows that are simulated.
    first : int
        Replications to begin with: fewer than `replications` where these are a most, for both
        rounds together.
    subsample : bool
        Whether it is a part of the rows.
    observed, world : model
        The model whose real labels are those of the table, and the one in whose world the first
        fit is the truth; the second is None without a law.
    law : Law or None
        For the rows that are simulated.
    measures : tuple of str
        What is told of every fit beside its loss.
    """

    part: Table
    replications: int
    why: str | None
    only: tuple[str, ...]
    first: int = 0
    subsample: bool = False
    observed: Any = None
    world: Any = None
    law: Law | None = None
    measures: tuple[str, ...] = ()


def afford(found: Fit, plans: Plans, budget: float | None, seed: int) -> Runs:
    """Tell what a budget allows to simulate; with none, what is simulated at most."""
    table, n, chosen = found.table, len(found.table.y), list(plans)
    if found.constant_law:
        return Runs(table, 0, CERTAIN, ())
    most = LONG if found.kind == "generator" else BUDGET
    spent = most if budget is None else budget
    rows, replications, why = _affordable(found, plans, spent)
    while found.law is None and rows < n:
        # a part of the rows would tell of a fit that shrinks more; rather some workflows on all
        if found.kind in WHATEVER and len(chosen) == 1:
            rows, replications = n, REPLICATIONS[found.kind][0]
            why = why if len(plans) > 1 else None
            break
        chosen.pop()
        some = {name: plans[name] for name in chosen}
        rows, replications, _ = _affordable(found, some, spent) if some else (n, 0, None)
    if found.certain and replications:
        # every run is the same, unless rows are drawn
        replications = 2 if all(plans[name].reads_whole_batches for name in chosen) else 20
    part = _part_of(table, rows, seed)
    observed, world = found.observed(part) if chosen else (None, None)
    if observed is None and found.law is not None:
        why = (
            "the real classes are separated but for rounding, so that no run would have an"
            " estimate for long"
            if rows == n
            else f"{why}; the part of {rows:,} rows that it has room for has no maximum-likelihood"
            " estimate of its own"
        )
    if observed is None:
        return Runs(part, 0, why, (), subsample=rows < n)
    law = found.law
    if found.family is not None and rows < n:
        law = law_of(found.family, observed.truth, part.X, part.X_test, part.y_test)
    first = PILOT if budget is None and replications >= 2 * PILOT else replications
    return Runs(
        part,
        replications,
        why,
        tuple(chosen),
        first,
        rows < n,
        observed,
        world,
        law,
        found.measures,
    )


def _affordable(found: Fit, plans: Plans, budget: float) -> tuple[int, int, str | None]:
    """Rows and replications to simulate by the table of costs, and why not all rows.

    Three quarters of the rows, and again, until the fewest replications fit.
    """
    n, p = found.table.X.shape
    q = max(len(found.table.classes) - 1, 1)
    fewest, most = REPLICATIONS[found.kind]
    lawless, called = found.law is None, found.called
    linear, square = (found.price, 0.0) if lawless else COST[found.table.task]
    fixed = steady = 0.0
    # the workflow asked for is simulated twice where there is a law
    for times, plan in zip([1 if lawless else 2, *[1] * len(plans)], plans.values(), strict=False):
        G, read = plan.generations, _read(plan)
        by_rows = 0.0 if called or (plan.reads_whole_batches and not lawless) else G + read
        fixed += times * G * (CALL_COST[found.kind] if called else FIT_COST)
        by_fit = (read if called else G) * (linear + square * p)
        steady += times * (by_fit * p * q + ROW_COST * by_rows)

    def cost(rows: int) -> float:
        return fixed + steady * rows

    rows, least = n, min(n, max(LEAST_ROWS, 0 if lawless else 5 * p * q))
    least = 1 if found.kind in WHATEVER else least  # a sign that fewer workflows are to be
    while rows > least and (
        fewest * cost(rows) > budget or (not lawless and rows * p * (p + 1) / 2 > PRODUCTS)
    ):
        rows = max(rows * 3 // 4, least)
    slow = (
        f"{fewest} runs of each workflow on all {n:,} real rows take about "
        f"{fewest * cost(n):,.3g} nominal seconds, and the budget is {budget:g}"
    )
    large = f"all {n:,} real rows with the products of {p:,} columns take more than 1 GB of memory"
    why = None if rows == n else slow if fewest * cost(n) > budget else large
    return rows, int(np.clip(budget / cost(rows), fewest, most)), why


def _part_of(table: Table, rows: int, seed: int) -> Table:
    """The table, or a part with so many real rows, classes in their shares, and with no more test
    rows.
    """
    if rows == len(table.y):
        return table
    rng = np.random.default_rng([seed, 2])
    order = rng.permutation(len(table.y))
    if table.classes:
        order = order[np.argsort(table.y[order], kind="stable")]
    chosen = np.sort(order[(np.arange(rows) * len(order)) // rows])
    test = np.sort(rng.permutation(len(table.y_test))[:rows])
    return replace(
        table,
        X=table.X[chosen],
        y=table.y[chosen],
        X_test=table.X_test[test],
        y_test=table.y_test[test],
    )


def _read(plan: Plan | Reservoir) -> float:
    """Rows read by all fits together, as a multiple of n."""
    return float(plan.rows_read().sum())


Outcomes = dict[str | None, Risk | str]
"""Test losses under each workflow, and under None excess risks under the first one; or why there
are none."""


def simulations(
    found: Fit, runs: Runs, plans: Plans, seed: int, tell: Teller, **where: Any
) -> tuple[Outcomes, int]:
    """Outcomes, and the replications of each. `where` says where they run and are kept, as
    `collapse.simulate` takes it.

    Where the replications are a most, they begin with a few, whose errors tell how many it takes:
    what they are does not depend on the time that anything took.
    """
    outcomes = _simulated(runs, plans, runs.first, seed, tell, where)
    error = largest_error(outcomes)
    enough = int(np.ceil(runs.first * (error / ERROR) ** 2))
    enough = min(enough, runs.replications - runs.first)  # the first ones were paid for, too
    if enough <= runs.first:
        return outcomes, runs.first
    return _simulated(runs, plans, enough, seed, tell, where), enough


def largest_error(outcomes: Outcomes) -> float:
    """Largest standard error of a mean at the last generation, as a share of the width of the band
    of single runs; of what has neither, 0."""
    shares = [0.0]
    for outcome in outcomes.values():
        if isinstance(outcome, Risk):
            low, high = outcome.quantiles[[0, -1], -1]
            known = np.isfinite([low, high]).all() and low < high
            shares.append(float(outcome.risk_stderr[-1] / (high - low)) if known else 0.0)
    return max(share for share in shares if np.isfinite(share))


def _simulated(
    runs: Runs, plans: Plans, each: int, seed: int, tell: Teller, where: dict[str, Any]
) -> Outcomes:
    """What a part of the rows can tell is not kept where some run has lost its estimate: with all
    rows it may not have.
    """
    out: Outcomes = dict.fromkeys(plans, str(runs.why))
    tasks: list[tuple[str | None, Any]] = [(name, runs.observed) for name in runs.only]
    if runs.world is not None:
        tasks.insert(0, (None, runs.world))
    asked: dict[str | None, Experiment] = {}
    levels = (BAND[0], 0.5, BAND[1])
    for name, model in tasks:
        plan = plans[runs.only[0] if name is None else name]
        if name is not None and buys(plan):
            out[name] = "its new real rows are not in the table"
            continue
        try:
            asked[name] = Experiment.asked(
                plan, model, None, each, seed, levels, measures=runs.measures
            )
        except ValueError as error:  # it asks for parts of rows, or for less than one
            out[name] = str(error).rstrip(".")
    experiments = list(asked.values())

    def told(done: int, total: int) -> None:
        k = (done - 1) // each
        step = f"simulating {experiments[k].plan.name} ({k + 1} of {len(experiments)})"
        tell(f"{step}: {done - k * each:,} of {each:,} replications", done, total)

    for name, outcome in zip(asked, answers(experiments, progress=told, **where), strict=True):
        if isinstance(outcome, Risk):
            lost = runs.subsample and bool(outcome.failed.any())
            out[name] = LOST if lost else outcome
        elif isinstance(outcome.error, (np.linalg.LinAlgError, RuntimeError)):
            out[name] = "the fit of some run did not end"
        elif isinstance(outcome.error, ValueError):
            out[name] = str(outcome.error).rstrip(".")
        else:
            raise outcome.error
    return out


def teller(progress: object) -> Teller:
    """Tell a function of the replications; or stderr of what is being done: on one line in a
    terminal, otherwise a line when the work changes.
    """
    count, last = checks.progress(progress), [""]
    aloud = isinstance(progress, (bool, np.bool_)) and bool(progress)

    def tell(text: str, *replications: int) -> None:
        step = text.split(":")[0]
        if not aloud and replications:
            count(*replications)
        elif aloud and text and sys.stderr.isatty():
            end = "\n" if text == "done" else ""
            print(f"\r\x1b[K{text}", end=end, file=sys.stderr, flush=True)
        elif aloud and step not in ("", last[0]):
            print(step, file=sys.stderr, flush=True)
            last[0] = step

    return tell
