"""Workflow: what a plan and a reservoir have in common, and the recipe that made them."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from collapse.answers import plain
from collapse.checks import brief, require, text, to_fraction
from collapse.exact import Array

W = TypeVar("W")


class Recipe(NamedTuple):
    """The named workflow that made a plan: its function in `collapse.workflows` and what that was
    given, generations apart.
    """

    workflow: str
    parameters: dict[str, Any]

    @property
    def scheduled(self) -> bool:
        """Whether a parameter is a schedule, typed for so many generations."""
        return any(isinstance(value, tuple) for value in self.parameters.values())

    def to_json(self) -> dict[str, Any]:
        """Return it as plain lists, numbers and text; rationals are text."""
        return {"workflow": self.workflow, "parameters": plain(self.parameters)}

    @classmethod
    def read(cls, document: Any) -> Recipe | None:
        """Read what a plan's `to_json` wrote of it; None where there was none."""

        def scalar(value: Any, name: str) -> Any:
            if isinstance(value, list):
                return tuple(scalar(v, name) for v in value)
            require(
                not isinstance(value, dict),
                lambda _: (
                    f"{name} of a recipe must be a number or a list of numbers; it is"
                    f" {brief(value)}."
                ),
            )
            return to_fraction(value, f"{name} of a recipe") if isinstance(value, str) else value

        if document is None:
            return None
        name, parameters = (
            text(document["workflow"], "workflow of a recipe"),
            document["parameters"],
        )
        return cls(name, {key: scalar(value, key) for key, value in parameters.items()})


@runtime_checkable
class Workflow(Protocol):
    """What every workflow tells, a table of independent batches (`Plan`) as well as a memory of
    rows that stay (`Reservoir`).

    Attributes
    ----------
    name : str
        What to call it in prints and plots.
    recipe : Recipe or None
        The named workflow that made it.
    generations : int
        Number of fits G.
    generation : ndarray of int, shape (G,)
        Generation of each fit.
    persistent : bool
        Whether rows stay from fit to fit, so that draws of different fits overlap.
    replace : bool
        Whether rows are drawn with replacement.
    reads_whole_batches : bool
        Whether every fit reads every row of the batches it weighs.
    rational : bool
        Whether exact answers exist.
    """

    @property
    def name(self) -> str: ...
    @property
    def recipe(self) -> Recipe | None: ...
    @property
    def generations(self) -> int: ...
    @property
    def generation(self) -> NDArray[np.int64]: ...
    @property
    def persistent(self) -> bool: ...
    @property
    def replace(self) -> int: ...
    @property
    def reads_whole_batches(self) -> bool: ...
    @property
    def rational(self) -> bool: ...

    def real_sizes(self) -> Array:
        """Rows of each real batch as a multiple of n."""

    def rows_read(self) -> Array:
        """Rows that each fit reads as a multiple of n, shape (G,)."""

    def reference(self, n: int | None = None) -> float:
        """Risk of fit 1 in units of that of a fit to all n real rows."""

    def to_json(self) -> dict[str, Any]:
        """Return the workflow as plain lists, numbers and text."""


MEMBERS = tuple(name for name in vars(Workflow) if not name.startswith("_"))
"""What tells a workflow; to ask `isinstance` takes as long as to derive a short plan."""


def is_workflow(value: object) -> bool:
    """Whether `value` is a workflow, and no class of them."""
    return not isinstance(value, type) and all(hasattr(value, name) for name in MEMBERS)


def checked_workflow(value: W, name: str = "workflow") -> W:
    """Return `value` if it is a workflow.

    Raises
    ------
    ValueError
        Otherwise, naming the argument.
    """
    require(
        is_workflow(value),
        f"{name} must be a collapse.Plan or a collapse.Reservoir, such as"
        f" collapse.workflows.augment(50); it is {type(value).__name__}.",
    )
    return value
