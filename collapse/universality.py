"""matrix(): every model under every workflow, each ratio beside the one that the law gives."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from zlib import crc32

import numpy as np

from collapse import checks, models, workflows
from collapse.answers import Answer, plain, read_fields
from collapse.blocks import Failed, given
from collapse.checks import counted
from collapse.derivation import derive
from collapse.exact import Array
from collapse.models import Example, Normal, WithStatistic
from collapse.models.adapters.coupled import Coupled, coupled
from collapse.models.protocols import design_of
from collapse.plan import Plan
from collapse.publishing.picture import plot_matrix
from collapse.reservoir import Reservoir
from collapse.risk import Risk
from collapse.simulation import LARGEST_REPLICATIONS, Experiment, answers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FALSE_ALARM = 1e-3
"""Chance that any cell of a matrix stands out although the law holds in all of them."""

CHEAP = 80
"""Numbers that one replication may draw and read before a cell is given fewer replications."""

FEWEST = 800
"""Replications that the dearest cell is given; fewer where a whole matrix asks for fewer."""


@dataclass(frozen=True, eq=False)
class Cell:
    """One model under one workflow.

    Attributes
    ----------
    example : Example
        The model as registered: name, n, whether the law covers it, and why.
    workflow : str
        Name of the plan.
    replications : int
        Repetitions simulated.
    risk : ndarray, shape (G,)
        Simulated mean risk of each generation; where the standard scores of rows are known, with
        the chain of their means as control variate. At n some models have no finite mean, since
        with some probability no estimate exists (`example.conditional`): theirs is the mean given
        an estimate, over replications that all have one, and NaN where one has none.
    ratio, stderr : ndarray, shape (G,)
        Its ratio to that of generation 1, and the standard error.
    law : ndarray, shape (G,)
        What the simulation is compared with: the exact value at n where the law covers the model
        and one is known, else the second order in 1/n, else the Gaussian limit.
    exact : bool
        Whether that is the exact value at n.
    allowance : float
        Relative deviation at the last generation that n being finite explains beyond `law`: 0
        where that is exact at n, twice the square of the second order's share of the risk where it
        is the second order, else the example's.
    """

    example: Example
    workflow: str
    replications: int
    risk: Array
    ratio: Array
    stderr: Array
    law: Array
    exact: bool
    allowance: float

    @property
    def distance(self) -> float:
        """Distance of the last ratio from the law's value, beyond the allowance, in standard
        errors; NaN where a replication has no fit.
        """
        off, error = float(self.ratio[-1] - self.law[-1]), float(self.stderr[-1])
        beyond = np.maximum(abs(off) - self.allowance * float(self.law[-1]), 0.0)
        if beyond:  # where it is NaN, too
            beyond = beyond / error if error > 0 else beyond * np.inf
        return float(np.copysign(beyond, off))

    def seen(self, alarm: float, missed: float) -> float:
        """Smallest relative error of the last ratio that is beyond `alarm` standard errors but for
        the chance `missed`.
        """
        from scipy.special import ndtri

        apart = checks.check_number(alarm, "alarm") - ndtri(
            float(checks.check_number(missed, "missed", 0, 1))
        )
        return self.allowance + float(apart * self.stderr[-1] / self.law[-1])


@dataclass(frozen=True, eq=False)
class Matrix(Answer):
    """Models down, workflows across.

    Attributes
    ----------
    examples : tuple of Example
        The rows.
    workflows : tuple of str
        The columns, by the names of their plans.
    generations : int
        Fits in each chain; the last is the one compared.
    cells : dict
        The `Cell` of each pair (name of the example, name of the workflow).
    """

    _readers: ClassVar = {
        "examples": lambda documents: tuple(map(_example, documents)),
        "cells": lambda documents: {
            (cell.example.name, cell.workflow): cell for cell in map(_cell, documents)
        },
    }

    examples: tuple[Example, ...]
    workflows: tuple[str, ...]
    generations: int
    cells: dict[tuple[str, str], Cell]

    def row(self, example: Example) -> tuple[Cell, ...]:
        """Cells of one model, in the order of the workflows."""
        known = isinstance(example, Example)
        if not known or (example.name, self.workflows[0]) not in self.cells:
            raise ValueError(
                f"example must be one of those of the matrix; it is {checks.brief(example)}."
            )
        return tuple(self.cells[example.name, workflow] for workflow in self.workflows)

    @property
    def alarm(self) -> float:
        """Standard errors beyond which a cell stands out: `FALSE_ALARM` divided among all cells,
        both sides.
        """
        from scipy.special import ndtri

        return float(-ndtri(FALSE_ALARM / 2 / len(self.cells)))

    def stands_out(self, cell: Cell) -> bool:
        """Whether a cell is further from the law than chance and finite n explain, or has lost
        replications.
        """
        if not isinstance(cell, Cell):
            raise ValueError(f"cell must be a Cell of the matrix; it is {checks.brief(cell)}.")
        return not abs(cell.distance) <= self.alarm

    def to_json(self) -> dict[str, Any]:
        """Return the matrix as plain lists, numbers and text; the models by their names."""
        return super().to_json() | {"cells": plain(list(self.cells.values()))}

    @classmethod
    def _agree(cls, values: dict[str, Any]) -> None:
        """Raise a ValueError where there is not one cell for each model under each workflow."""
        names = [example.name for example in values["examples"]]
        if not values["cells"] or set(values["cells"]) != set(product(names, values["workflows"])):
            raise ValueError("cells must hold one for each model under each workflow.")

    def columns(self) -> dict[str, Any]:
        """Return what `to_frame` holds: one entry for each cell."""
        cells = [cell for example in self.examples for cell in self.row(example)]
        return {
            "group": [cell.example.group for cell in cells],
            "model": [cell.example.name for cell in cells],
            "covered": [cell.example.covered for cell in cells],
            "n": [cell.example.n for cell in cells],
            "mean given an estimate": [cell.example.conditional for cell in cells],
            "workflow": [cell.workflow for cell in cells],
            "replications": [cell.replications for cell in cells],
            "ratio": [float(cell.ratio[-1]) for cell in cells],
            "stderr": [float(cell.stderr[-1]) for cell in cells],
            "law": [float(cell.law[-1]) for cell in cells],
            "allowance": [cell.allowance for cell in cells],
            "distance": [cell.distance for cell in cells],
            "stands out": [self.stands_out(cell) for cell in cells],
        }

    def plot(self, ax: Axes | None = None, *, intervals: bool = True) -> Axes:
        """Draw the matrix: each cell its ratio, shaded by its distance from the law; inverted where
        it stands out.

        A dagger marks models whose mean risks are conditional on an estimate, since at n no finite
        mean exists.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; a new figure by default.
        intervals : bool, optional
            Write two standard errors beside each ratio.
        """
        intervals = checks.flag(intervals, "intervals")
        cells = [self.row(example) for example in self.examples]
        return plot_matrix(
            [example.label for example in self.examples],
            self.workflows,
            np.array([[float(cell.ratio[-1]) for cell in row] for row in cells]),
            (
                np.array([[2 * float(cell.stderr[-1]) for cell in row] for row in cells])
                if intervals
                else None
            ),
            np.array([[cell.distance for cell in row] for row in cells]),
            self.alarm,
            ax,
        )

    def __repr__(self) -> str:
        out = sum(self.stands_out(cell) for cell in self.cells.values())
        return (
            f"<Matrix of {counted(len(self.examples), 'model')} under"
            f" {counted(len(self.workflows), 'workflow')},"
            f" generation {self.generations}: {out} of {counted(len(self.cells), 'cell')} stand"
            " out>"
        )


def _example(document: dict[str, Any]) -> Example:
    """An example that was saved; its model is the registered one of that name and n."""
    name, n = document["name"], document["n"]
    known = [e.make for e in models.examples() if (e.name, e.n) == (name, n)]
    make = {"make": (lambda _: known[0]) if known else (lambda _: partial(_unknown, name))}
    return Example(**read_fields(Example, document | {"make": None}, make))


def _unknown(name: str) -> Any:
    raise ValueError(f"the file does not hold how {name} is made; register the model to make it.")


def _cell(document: dict[str, Any]) -> Cell:
    cell = Cell(**read_fields(Cell, document, {"example": _example}))
    shapes = {part.shape for part in (cell.risk, cell.ratio, cell.stderr, cell.law)}
    if len(shapes) > 1 or () in shapes or (0,) in shapes:
        raise ValueError(f"risk, ratio, stderr and law of a cell must be as long; {shapes} are.")
    return cell


def matrix(
    examples: Iterable[Example] | None = None,
    plans: Iterable[Plan | Reservoir] | None = None,
    *,
    generations: int = 20,
    replications: int = 200_000,
    rng: int | np.random.SeedSequence | np.random.Generator | None = 0,
    workers: int = 1,
    executor: Executor | None = None,
    folder: str | Path | None = None,
    progress: bool | checks.Progress | None = None,
) -> Matrix:
    """Simulate every model under every workflow, beside the law's ratio for many rows or at n.

    Ratios are of mean risks over replications. Where a model has no finite mean at n, because with
    some probability no estimate exists (logistic regression on separated labels), they are of
    conditional means, given an estimate: `Example.conditional`.

    Parameters
    ----------
    examples : iterable of Example, optional
        The models. Default: all that are registered, `collapse.models.examples()`.
    plans : iterable of Plan or Reservoir, optional
        The workflows. Default: discard, augment, subsample and a fixed real share of one quarter.
    generations : int, optional
        Fits in each chain, for the default workflows; others must have equally many.
    replications : int, optional
        Repetitions of each cell at the most. A cell whose replication handles more than `CHEAP`
        numbers, times the example's effort, gets fewer in proportion, though not under `FEWEST`: a
        function of plan and example, so that the numbers do not depend on the machine.
    rng : int, numpy.random.SeedSequence or numpy.random.Generator, optional
        A cell's numbers depend on it and on the names of its model and workflow, not on the other
        cells. None: a fresh seed.
    workers, executor, folder
        As in `collapse.simulate`: where the blocks of all cells run, and are kept.
    progress : callable or bool, optional
        Called as progress(done, total) in cells. True: tell on stderr.

    Returns
    -------
    Matrix
        With `cells`, `to_frame()` and `plot()`.

    Raises
    ------
    ValueError
        Where two models or two workflows have one name, a workflow has another number of fits, or
        an argument is out of range.

    References
    ----------
    Dey and Donoho (2024), arXiv 2410.22812: in the limit the ratio depends on the workflow, not on
    the family.

    Examples
    --------
    >>> from collapse import models
    >>> import collapse
    >>> names = ("Normal", "Poisson", "Uniform maximum")
    >>> chosen = [example for example in models.examples() if example.name in names]
    >>> table = collapse.matrix(chosen, replications=2000)
    >>> {cell.example.name for cell in table.cells.values() if table.stands_out(cell)}
    {'Uniform maximum'}
    """
    rows = (
        models.examples()
        if examples is None
        else _members(examples, "examples", Example, "models, such as collapse.models.examples()")
    )
    generations = checks.whole(
        generations, "generations", "fits in each chain", most=workflows.LARGEST_GENERATIONS
    )
    quarter = partial(workflows.fixed_real_share, share=Fraction(1, 4))
    standard = workflows.discard, workflows.augment, workflows.subsample, quarter
    columns = (
        tuple(make(generations) for make in standard)
        if plans is None
        else _members(
            plans, "plans", (Plan, Reservoir), "workflows, such as collapse.workflows.augment(20)"
        )
    )
    replications = checks.whole(
        replications,
        "replications",
        "repetitions of each cell at the most",
        most=LARGEST_REPLICATIONS,
    )
    given(executor, workers)  # before anything is made
    seed = checks.seed(rng)
    tell = checks.progress(progress)
    for what, argument, names in (
        ("models", "examples", [e.name for e in rows]),
        ("workflows", "plans", [p.name for p in columns]),
    ):
        if not names:
            raise ValueError(f"a matrix needs {what}; {argument} holds none.")
        if len(set(names)) < len(names):
            raise ValueError(
                f"two {what} of a matrix have one name, and cells go by names: {', '.join(names)}."
            )
    for plan in columns:
        if plan.generations != columns[0].generations:
            raise ValueError(
                f"{plan.name} has {plan.generations} fits and {columns[0].name} has"
                f" {columns[0].generations}; make them equal."
            )
    made = [(example, example.make()) for example in rows]
    cells: dict[tuple[str, str], Cell] = {}
    pairs, asked = [], []
    for (example, model), plan in product(made, columns):
        cost = example.effort * _numbers(plan, model, example.n)
        count = min(replications, max(FEWEST, int(replications * CHEAP / cost)))
        stream = np.random.SeedSequence([seed, crc32(f"{example.name} | {plan.name}".encode())])
        pairs.append((example, model, plan, count))
        world = coupled(model)
        asked.append(
            Experiment.asked(plan, world or model, example.n, count, stream, fits=bool(world))
        )
    found = answers(asked, executor=executor, workers=workers, folder=folder)
    for (example, model, plan, count), risk in zip(pairs, found, strict=True):
        if isinstance(risk, Failed):
            raise risk.error
        law = _law(plan, example, model)
        told = risk.risk, risk.ratio, risk.stderr
        world = coupled(model)
        if world:
            told = _controlled(risk, world, plan, example.n)
        cells[example.name, plan.name] = Cell(example, plan.name, count, *told, *law)
        tell(len(cells), len(pairs))
    return Matrix(rows, tuple(plan.name for plan in columns), columns[0].generations, cells)


def _members(given: Any, name: str, kind: type | tuple[type, ...], such: str) -> tuple[Any, ...]:
    """What an argument that lists things of one kind holds."""
    members = []
    for member in given if np.iterable(given) else [given]:
        if not isinstance(member, kind):  # at the first: a range may be too long to be listed
            raise ValueError(f"{name} must hold {such}; one is {checks.brief(member)}.")
        members.append(member)
    return tuple(members)


def _controlled(
    found: Risk, world: Coupled, plan: Plan | Reservoir, n: int
) -> tuple[Array, Array, Array]:
    """Risks, ratios and standard errors with the control of a coupled chain: the squares of its
    second fits, whose means are known at every n. Of two halves of the replications each takes the
    slope that the other estimates, so that the mean risk stays without bias at any number of them.
    """
    generations = range(found.fits.shape[1])
    loss = np.transpose([world.risk(found.fits[:, g]) for g in generations])
    square = np.transpose([world.square(found.fits[:, g]) for g in generations])
    known = np.asarray(derive(plan, model=Normal(0, 1), n=n).risk) * world.d
    halves = slice(len(loss) // 2), slice(len(loss) // 2, None)

    def slope(half: slice) -> Array:
        apart = square[half] - square[half].sum(axis=0) / max(len(square[half]), 1)
        spread = (apart**2).sum(axis=0)
        both = (apart * loss[half]).sum(axis=0)
        return np.asarray(np.divide(both, spread, np.zeros(len(known)), where=spread > 0))

    left = np.concatenate(
        [loss[own] - slope(other) * (square[own] - known) for own, other in (halves, halves[::-1])]
    )
    risk = left.mean(axis=0)
    ratio = risk / risk[0]
    error = (left - ratio * left[:, :1]).std(axis=0) / risk[0] / np.sqrt(len(left))
    return risk, ratio, error


def _law(plan: Plan | Reservoir, example: Example, model: Any) -> tuple[Array, bool, float]:
    """The law's ratios, and what to allow for: exact at n where the law covers the model and
    `derive` knows it, else to the second order.
    """
    limit = derive(plan)
    if example.covered:
        with suppress(ValueError):  # no exact form is known: the second order
            return np.asarray(derive(plan, model=model, n=example.n).ratio), True, 0.0
        with suppress(ValueError):  # nor that: what the example says of finite n
            second = derive(plan, model=model, n=example.n, order=2)
            share = second.risk[-1] * example.n / (model.limit_risk * limit.risk[-1]) - 1
            return np.asarray(second.ratio), False, float(2 * share**2)
    return np.asarray(limit.ratio), False, example.allowance


def _numbers(plan: Plan | Reservoir, model: Any, n: int) -> float:
    """Numbers that one replication draws and reads."""
    columns = len(model.truth)
    if plan.persistent:  # a memory of n rows, drawn in part and read whole by every fit
        return float((n * plan.generations + plan.replaced(n).sum()) * columns)
    if plan.reads_whole_batches and isinstance(model, WithStatistic):
        return float(plan.generations * columns * (design_of(model) or 1))
    rows = plan.rows(n).sum() + plan.rows_read().sum() * n
    return float(rows * columns)
