"""Simulations of a forecast: how many rows and runs a budget allows, and their outcomes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from collapse.forecasting.fitting import Fit
from collapse.forecasting.law import Law, law_of
from collapse.forecasting.table import Table
from collapse.plan import Plan
from collapse.reservoir import Reservoir
from collapse.risk import Risk
from collapse.simulation import Experiment, answers

Plans = dict[str, Plan | Reservoir]
Teller = Callable[..., None]
"""Told what is being done, as text, and in a simulation of replications done and their total."""

BAND = (0.05, 0.95)
REPLICATIONS = {"likelihood": (100, 1000), "ridge": (20, 200)}
"""Fewest and most."""
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
RIDGE_COST = (2e-3, 60e-9)
"""Nominal seconds of one fit of scikit-learn, and for each of its rows, columns and classes."""
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
    subsample : bool
        Whether it is a part of the rows.
    observed, world : model
        The model whose real labels are those of the table, and the one in whose world the first
        fit is the truth; the second is None for ridge.
    law : Law or None
        For the rows that are simulated.
    """

    part: Table
    replications: int
    why: str | None
    only: tuple[str, ...]
    subsample: bool = False
    observed: Any = None
    world: Any = None
    law: Law | None = None


def afford(found: Fit, plans: Plans, budget: float, seed: int) -> Runs:
    """Tell what a budget allows to simulate."""
    table, n, chosen = found.table, len(found.table.y), list(plans)
    rows, replications, why = _affordable(found, plans, budget)
    while found.law is None and rows < n:
        # a part of the rows would tell of a fit that shrinks more; rather some workflows on all
        chosen.pop()
        some = {name: plans[name] for name in chosen}
        rows, replications, _ = _affordable(found, some, budget) if some else (n, 0, None)
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
        return Runs(part, 0, why, (), rows < n)
    law = found.law
    if found.family is not None and rows < n:
        law = law_of(found.family, observed.truth, part.X, part.X_test, part.y_test)
    return Runs(part, replications, why, tuple(chosen), rows < n, observed, world, law)


def _affordable(found: Fit, plans: Plans, budget: float) -> tuple[int, int, str | None]:
    """Rows and replications to simulate by the table of costs, and why not all rows.

    Three quarters of the rows, and again, until the fewest replications fit.
    """
    ridge, (n, p) = found.law is None, found.table.X.shape
    q = max(len(found.table.classes) - 1, 1)
    fewest, most = REPLICATIONS["ridge" if ridge else "likelihood"]
    linear, square = COST[found.table.task]
    fixed = steady = 0.0
    # the workflow asked for is simulated twice
    for times, plan in zip([1 if ridge else 2, *[1] * len(plans)], plans.values(), strict=False):
        G, read = plan.generations, _read(plan)
        whole = plan.reads_whole_batches
        by_rows = 0.0 if whole or ridge else ROW_COST * (G + read)
        fixed += times * G * (RIDGE_COST[0] if ridge else FIT_COST)
        by_fit = RIDGE_COST[1] * read if ridge else G * (linear + square * p)
        steady += times * (by_fit * p * q + by_rows)

    def cost(rows: int) -> float:
        return fixed + steady * rows

    rows, least = n, min(n, max(LEAST_ROWS, 0 if ridge else 5 * p * q))
    while rows > least and (
        fewest * cost(rows) > budget or (not ridge and rows * p * (p + 1) / 2 > PRODUCTS)
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


def simulations(
    found: Fit, runs: Runs, plans: Plans, seed: int, tell: Teller, **where: Any
) -> dict[str | None, Risk | str]:
    """Test losses under each workflow, and under None excess risks under the first one; or why
    there are none. `where` says where they run and are kept, as `collapse.simulate` takes it.

    What a part of the rows can tell is not kept where some run has lost its estimate: with all
    rows it may not have.
    """
    out: dict[str | None, Risk | str] = dict.fromkeys(plans, str(runs.why))
    tasks: list[tuple[str | None, Any]] = [(name, runs.observed) for name in runs.only]
    if runs.world is not None:
        tasks.insert(0, (None, runs.world))
    asked: dict[str | None, Experiment] = {}
    each, levels = runs.replications, (BAND[0], 0.5, BAND[1])
    for name, model in tasks:
        plan = plans[runs.only[0] if name is None else name]
        try:
            asked[name] = Experiment.asked(plan, model, None, each, seed, levels)
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
