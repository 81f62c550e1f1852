"""compare(): workflows side by side in risk and in what they cost."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from collapse.answers import Answer
from collapse.checks import choice, require, whole
from collapse.derivation import derive
from collapse.exact import Array
from collapse.plan import Plan
from collapse.protocol import checked_workflow
from collapse.publishing.picture import plot_front
from collapse.reservoir import Reservoir, workflow_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COSTS = {
    "read": "rows read by a fit",
    "stored": "rows stored",
    "peak": "most rows stored at once",
    "generated": "synthetic rows generated",
    "real": "real rows bought",
}
"""What a `Comparison` counts, all in units of n."""


@dataclass(frozen=True, eq=False)
class Comparison(Answer):
    """Workflows side by side, at one generation. All costs are in units of n, the rows of the first
    real batch.

    Where a workflow fits several models in each generation, every column is a mean over models: a
    batch that several of them share counts once, divided among them.

    Attributes
    ----------
    workflows : tuple of Plan or Reservoir, length N
        What was compared, in the order given.
    generation : int
        The generation at which it was compared.
    ratio : ndarray, shape (N,)
        Risk in the Gaussian limit, in units of the risk of a fit to n real rows:
        `derive(workflow).ratio` wherever fit 1 is such a fit. (A workflow that bootstraps begins at
        2 here, and at 1 there.)
    read : ndarray, shape (N,)
        Rows that the fit reads: compute. Of a batch that is read in part, the part.
    stored : ndarray, shape (N,)
        Rows carried over from earlier generations to this one: memory. A batch is generated when it
        is first read, models are kept, and a row is held until it is read for the last time.
    peak : ndarray, shape (N,)
        Most rows carried over to any generation so far.
    generated : ndarray, shape (N,)
        Synthetic rows generated so far, in all.
    real : ndarray, shape (N,)
        Real rows bought so far, in all.
    """

    _readers: ClassVar = {"workflows": lambda documents: tuple(map(workflow_of, documents))}

    workflows: tuple[Plan | Reservoir, ...]
    generation: int
    ratio: Array
    read: Array
    stored: Array
    peak: Array
    generated: Array
    real: Array

    def front(self, *costs: str) -> tuple[Plan | Reservoir, ...]:
        """Return the workflows that no other one beats: none is as good in the ratio and in all
        these costs, and better in one.

        Parameters
        ----------
        *costs : str
            Among "read", "stored", "peak", "generated", "real"; all five where none is named.

        Returns
        -------
        tuple of Plan or Reservoir
            In the order given to `compare`. Values that agree in 12 digits count as equal.

        Raises
        ------
        ValueError
            Where a cost has another name.
        """
        return tuple(self.workflows[i] for i in np.flatnonzero(self._unbeaten(*costs)))

    def _unbeaten(self, *costs: str) -> NDArray[np.bool_]:
        columns = [self.ratio, *(self._cost(cost) for cost in costs or COSTS)]
        # ties of equal workflows, computed along different paths, stay ties
        table = np.array([[float(f"{value:.12g}") for value in column] for column in columns]).T
        as_good = (table[:, None] <= table[None]).all(axis=2)
        better = (table[:, None] < table[None]).any(axis=2)
        return np.asarray(~(as_good & better).any(axis=0))

    def _cost(self, cost: str) -> Array:
        return np.asarray(getattr(self, choice(cost, "cost", tuple(COSTS))))

    def columns(self) -> dict[str, Any]:
        """Return what `to_frame` holds: one entry for each workflow."""
        return {"workflow": [workflow.name for workflow in self.workflows]} | {
            name: getattr(self, name) for name in ("ratio", *COSTS)
        }

    @classmethod
    def _agree(cls, values: dict[str, Any]) -> None:
        """Raise a ValueError where a column has not one entry for each workflow."""
        names, shape = ("ratio", *COSTS), (len(values["workflows"]),)
        require(
            [values[name].shape == shape for name in names],
            lambda i: f"{names[i]} must hold a number for each of the workflows.",
        )

    def plot(self, ax: Axes | None = None, cost: str = "stored", **options: Any) -> Axes:
        """Draw the ratio against a cost; `collapse.publishing.picture.plot_front` names options.

        Raises
        ------
        ValueError
            Where the cost has another name than those of `front`.
        """
        spent, names = self._cost(cost), [workflow.name for workflow in self.workflows]
        options = {"xlabel": f"{COSTS[cost]}, in units of n", **options}
        return plot_front(spent, self.ratio, names, self._unbeaten(cost), ax, **options)

    def __str__(self) -> str:
        rows = [[f"generation {self.generation}", "ratio", *COSTS]]
        for name, *numbers in zip(*self.columns().values(), strict=True):
            rows.append([name, *(f"{number:.4g}" for number in numbers)])
        width = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(
            "  ".join([row[0].ljust(width[0]), *map(str.rjust, row[1:], width[1:])]) for row in rows
        )

    def __repr__(self) -> str:
        return f"<Comparison of {len(self.workflows)} workflows at generation {self.generation}>"


def compare(
    *workflows: Plan | Reservoir | Iterable[Plan | Reservoir], generation: int | None = None
) -> Comparison:
    """Put workflows side by side: risk, and what it costs in computing, memory, synthetic and real
    rows.

    Parameters
    ----------
    *workflows : Plan or Reservoir, or one list of them
        At least one.
    generation : int, optional
        Generation at which to compare. Default: the last that all of them reach.

    Returns
    -------
    Comparison
        Prints as a table; `.front(cost)` gives the workflows that none beats, `.plot(ax, cost)`
        their picture.

    Raises
    ------
    ValueError
        Where something is no workflow, or a workflow does not reach the generation.

    References
    ----------
    Dey and Donoho (2024), arXiv 2410.22812: the comparative merits of workflows, judged by the
    sequential Gaussian process.

    Examples
    --------
    >>> import collapse
    >>> from collapse.workflows import augment, discard, window
    >>> table = collapse.compare([discard(20), augment(20), window(20, k=4)])
    >>> print(table)
    generation 20  ratio  read  stored  peak  generated  real
    discard           20     1       0     0         19     1
    augment        1.596    20      19    19         19     1
    window(k=4)     4.09     4       3     3         19     1
    >>> [workflow.name for workflow in table.front("stored")]
    ['discard', 'augment', 'window(k=4)']
    """
    given: Any = workflows[0] if len(workflows) == 1 else workflows
    listed = [
        checked_workflow(workflow, "a workflow")
        for workflow in (given if np.iterable(given) else [given])
    ]
    require(
        bool(listed), "compare needs at least one workflow, such as collapse.workflows.augment(50)."
    )
    last = min(int(workflow.generation[-1]) for workflow in listed)
    at = last if generation is None else whole(generation, "generation", "at which to compare")
    require(
        [at in workflow.generation for workflow in listed],
        lambda i: (
            f"{listed[i].name} has no generation {at}, its last is {listed[i].generation[-1]}; make"
            " it longer, or compare earlier."
        ),
    )
    ratio = [derive(workflow).risk[workflow.generation == at].mean() for workflow in listed]
    costs = np.array([_costs(workflow, at) for workflow in listed]).T
    return Comparison(tuple(listed), at, np.array(ratio), *costs)


def _costs(workflow: Plan | Reservoir, at: int) -> tuple[float, ...]:
    """Rows read, stored, stored at most, generated and bought, for each model, at a generation."""
    if workflow.persistent:
        replaced = workflow.turnover.floats()[:at]
        held = 1 - replaced
        return 1.0, held[-1], held.max(), replaced[1:].sum(), 1.0
    first, last, read = _reading(workflow)
    used, label = last >= 0, workflow.generation
    now, size, real = label == at, workflow.size[used], workflow.source[used] == 0
    born, dies = label[first[used]], label[last[used]]
    change = np.zeros(int(label[-1]) + 2)
    np.add.at(change, born + 1, size)
    np.add.at(change, dies + 1, -size)
    # sums of thirds that cancel leave 1e-16, or minus zero
    held = np.cumsum(change)[1 : at + 1].round(9) + 0.0
    models = now.sum()
    bought, generated = (size[kind & (born <= at)].sum() / models for kind in (real, ~real))
    return read[now].mean(), held[-1] / models, held.max() / models, generated, bought


def _reading(plan: Plan) -> tuple[NDArray[np.int64], NDArray[np.int64], Array]:
    """First and last fit, from 0, that reads each batch, shapes (B,), -1 where none does; rows that
    each fit reads, shape (G,).

    Other than `Plan.reading` this counts a batch as read by every fit that carries it on: as rows
    it must be there.
    """
    (first, looked), rows, entries = plan.reading, plan.recursion, plan.recursion.entries
    run, taken = np.cumsum(rows.decay.numerator == 0), rows.taken_up  # fits that carry on
    newest, last, fresh = rows.newest[taken], looked.copy(), np.zeros(plan.generations)
    np.maximum.at(last, newest, np.searchsorted(run, run[taken], "right") - 1)
    _, once = np.unique(run[taken] * plan.batches + newest, return_index=True)
    np.add.at(fresh, taken[once], plan.size[newest[once]])
    carried, begin = np.cumsum(fresh), np.searchsorted(run, run)
    read = (carried - carried[begin] + fresh[begin]) * rows.share_kept(False)
    np.add.at(read, entries.fit, plan.size[entries.batch] * entries.share_kept(False))
    return first, last, read
