"""Courses that losses may take: those of workflows, and some that no workflow takes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from collapse import workflows
from collapse.auditing.laws import Law, Unknowns
from collapse.checks import brief, require
from collapse.derivation import derive
from collapse.exact import Array
from collapse.plan import Plan
from collapse.reservoir import Reservoir

NU: Array = np.logspace(0, 8, 9, base=2.0)
"""Effective degrees of freedom that are looked at."""
LINEAR: Array = np.array([0.0, 1.0, 4.0])
"""What a test set may add, where its size is not told: up to as many as n / 2 test rows."""
COARSE = 4.0 ** np.arange(4)
"""Effective degrees of freedom where logging errors are looked at beside them."""
HALVINGS = np.arange(-5, 4)
"""Scales that are looked at beside logging errors, in powers of 2 about a first guess."""

Course = tuple[Array, Array]
"""Mean and covariance of a loss, by generation: the diagonal of C and C."""


def plan_of(given: Any, generations: int, name: str) -> Plan | Reservoir:
    """Return a workflow of at least so many generations, with one fit in each.

    Raises
    ------
    ValueError
        Otherwise.
    """
    require(
        isinstance(given, (str, Plan, Reservoir)),
        f"{name} must be a workflow: a name such as 'augment' or 'window(k=3)', or a Plan or"
        f" Reservoir; it is {brief(given)}.",
    )
    plan: Plan | Reservoir = (
        workflows.named(given, generations) if isinstance(given, str) else given
    )
    labels = len(np.unique(plan.generation))
    require(
        labels == plan.generations,
        f"{plan.name} fits several models in each generation, and losses are those of one.",
    )
    require(
        labels >= generations,
        f"{plan.name} has {labels} generations, and {generations} are needed; make it longer.",
    )
    return plan


def course_of(plan: Plan | Reservoir, generations: NDArray[np.int64]) -> Course:
    """Return the course of a workflow's losses at these generations.

    Raises
    ------
    ValueError
        Where its loss does not change.
    """
    at = generations - 1
    C = np.asarray(derive(plan).covariance, float)[np.ix_(at, at)]
    require(
        bool(np.ptp(np.diag(C)) > 1e-9),
        f"under {plan.name} the loss does not change, so that losses say nothing of it.",
    )
    return np.diag(C).copy(), C


def oddities(generations: NDArray[np.int64]) -> dict[str, Course]:
    """Return courses that no workflow takes: what a wrong generator or training does."""
    g = generations.astype(float)
    walk = np.minimum.outer(g, g)
    augment = np.cumsum(1 / np.arange(1, g[-1] + 1) ** 2)
    slow = augment[np.minimum.outer(generations, generations) - 1]
    return {
        "a bias that adds up": (g**2, walk),
        "one jump": (1 + 3.0 * (generations > generations[0]), slow),
    }


def unknowns(linear: Array, noise: Array, runs: int) -> Unknowns:
    """Return the worlds that are looked at: every combination."""
    nu = COARSE if len(noise) > 1 else NU
    grid = np.meshgrid(nu * runs, linear, noise)
    return Unknowns(*(part.ravel() for part in grid))


def law_of(course: Course, of: Unknowns, errors: Array, floor: bool) -> Law:
    """Return the law of losses on a course."""
    return Law(*course, of, errors, floor)
