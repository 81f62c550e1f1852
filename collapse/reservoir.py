"""Reservoir: a memory of n rows that persist, a workflow that no table of independent draws can
hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from collapse.checks import brief, counted, require, saved, text, whole
from collapse.exact import Numbers
from collapse.plan import Plan
from collapse.protocol import Recipe


@dataclass(frozen=True, eq=False)
class Reservoir:
    """Train each generation on a memory of n rows, of which the share turnover[g] has just been
    replaced.

    Fit 1 reads the n real rows. Before each later fit, turnover[g] n of the memory's rows, chosen
    at random, give way to as many rows drawn from the latest fit. A row that stays is read again:
    draws of different fits overlap, which a `Plan` cannot say.

    Parameters
    ----------
    turnover : array_like, shape (G,)
        Share of the memory replaced before each fit; 1 for fit 1, whose rows are all new.
    name : str
        What to call it in prints and plots.
    recipe : Recipe, optional
        How `collapse.workflows.reservoir` was called.
    """

    persistent: ClassVar[Literal[True]] = True
    replace: ClassVar[bool] = False
    reads_whole_batches: ClassVar[bool] = False
    turnover: Numbers
    name: str = "reservoir"
    recipe: Recipe | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "turnover", Numbers.read(self.turnover, "turnover", 1))
        object.__setattr__(self, "name", text(self.name, "name"))
        require(
            self.recipe is None or isinstance(self.recipe, Recipe),
            lambda _: f"recipe must be a collapse.plan.Recipe or None; it is {brief(self.recipe)}.",
        )
        share = self.turnover.floats()
        require(
            share.ndim == 1 and share.size > 0 and share[0] == 1,
            "turnover must have shape (G,) and begin with 1: all rows of the first memory are new.",
        )
        require(
            (share > 0) & (share <= 1),
            lambda g: f"turnover must lie in (0, 1]; it is {share[g]:g} for fit {g + 1}.",
        )

    @property
    def generations(self) -> int:
        """Number of fits G."""
        return len(self.turnover.numerator)

    @property
    def generation(self) -> NDArray[np.int64]:
        """1, ..., G."""
        return np.arange(1, self.generations + 1)

    @property
    def rational(self) -> bool:
        """Whether exact answers exist."""
        return self.turnover.rational

    def __eq__(self, other: object) -> bool:
        """Whether both replace the same shares exactly; names do not count."""
        return isinstance(other, type(self)) and self.turnover.same(other.turnover)

    def __hash__(self) -> int:
        return hash(self.turnover.floats().tobytes())

    def real_sizes(self) -> NDArray[np.float64]:
        """Rows of each real batch as a multiple of n: there is one, of n."""
        return np.ones(1)

    def rows_read(self) -> NDArray[np.float64]:
        """Rows that each fit reads as a multiple of n: 1."""
        return np.ones(self.generations)

    def reference(self, n: int | None = None) -> float:
        """Risk of fit 1 in units of that of a fit to all n real rows: 1, as it is that fit."""
        return 1.0

    def replaced(self, n: int) -> NDArray[np.float64]:
        """Mean number of rows replaced before each fit, shape (G,); where it is not whole, its
        floor or ceiling at random.

        Raises
        ------
        ValueError
            Where n is no positive whole number.
        """
        return self.turnover.floats() * whole(n, "n", "rows of real data")

    def to_json(self) -> dict[str, Any]:
        """Return the workflow as plain lists, numbers and text."""
        return {
            "name": self.name,
            "turnover": self.turnover.to_json(),
            "recipe": self.recipe and self.recipe.to_json(),
        }

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Reservoir:
        """Rebuild it from `to_json`.

        Raises
        ------
        ValueError
            Where the document is not what `to_json` wrote.
        """
        with saved("this reservoir"):
            turnover = Numbers.from_json(document["turnover"], "turnover", 1)
            return cls(turnover, document["name"], Recipe.read(document["recipe"]))

    def __repr__(self) -> str:
        return f"<Reservoir {self.name}: {counted(self.generations, 'fit')}>"


def workflow_of(document: Any) -> Plan | Reservoir:
    """Rebuild what `to_json` of a Plan or of a Reservoir wrote."""
    return (Reservoir if "turnover" in document else Plan).from_json(document)
