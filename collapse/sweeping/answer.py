"""What a sweep answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from collapse.answers import Answer, read_fields
from collapse.checks import counted
from collapse.risk import Risk

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False)
class Cell:
    """One simulation of a sweep.

    Attributes
    ----------
    name : str
        Its workflow, and what else sets it apart, such as the model, n or the seed, as given.
    risk : Risk or None
        None where it failed.
    error : str or None
        Why it failed.
    """

    name: str
    risk: Risk | None = None
    error: str | None = None


def _cell(document: dict[str, Any]) -> Cell:
    return Cell(**read_fields(Cell, document, {}))


@dataclass(frozen=True, eq=False)
class Sweep(Answer):
    """The simulations of a grid, in its order: the last name given changes first.

    Attributes
    ----------
    cells : tuple of Cell
        One for each combination.
    """

    _readers: ClassVar = {"cells": lambda documents: tuple(map(_cell, documents))}

    cells: tuple[Cell, ...]

    @property
    def risks(self) -> tuple[Risk, ...]:
        """The risks of the cells that did not fail."""
        return tuple(cell.risk for cell in self.cells if cell.risk is not None)

    @property
    def failures(self) -> dict[str, str]:
        """Why cells failed, by their names."""
        return {cell.name: cell.error for cell in self.cells if cell.error is not None}

    def columns(self) -> dict[str, Any]:
        """Return what `to_frame` holds: one entry for each cell that did not fail and each
        generation.
        """
        rows = []
        for risk in self.risks:
            table = zip(
                risk.generations, risk.risk, risk.ratio, risk.stderr, risk.failed, strict=True
            )
            for values in table:
                rows.append(
                    (risk.plan.name, risk.model, risk.n, *values, risk.replications, risk.seed)
                )
        columns = list(zip(*rows, strict=True)) or [()] * len(COLUMNS)
        return {name: list(column) for name, column in zip(COLUMNS, columns, strict=True)}

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw the ratio of every cell against the generation, in one drawing."""
        for risk in self.risks:
            ax = risk.plot(ax, **options)
        if ax is None:
            raise ValueError("every cell of this sweep failed, so that there is nothing to draw.")
        return ax

    def __repr__(self) -> str:
        failed = f", {len(self.failures)} failed" if self.failures else ""
        return f"<Sweep of {counted(len(self.cells), 'cell')}{failed}>"


COLUMNS = (
    *("workflow", "model", "n", "generation", "risk", "ratio", "stderr", "failed"),
    *("replications", "seed"),
)
"""Of the table of a sweep."""
