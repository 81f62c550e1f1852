"""sweep(): many simulations, their blocks in one list."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from collapse import checks
from collapse.blocks import Failed, given, opened
from collapse.checks import counted
from collapse.simulation import answers
from collapse.sweeping import grid as grids
from collapse.sweeping.answer import Cell, Sweep


def sweep(
    grid: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    executor: Executor | None = None,
    folder: str | Path | None = None,
    *,
    workers: int = 1,
    progress: bool | checks.Progress | None = None,
) -> Sweep:
    """Simulate every combination of workflows, models, numbers of rows, lengths and seeds.

    The blocks of all cells are one list, which processes or an executor work through: none waits
    for the end of a cell. A cell that cannot be simulated is named, and the others are completed.

    Parameters
    ----------
    grid : mapping, or sequence of mappings
        Under the names of `simulate`'s arguments one value or a list of values: ``workflow``
        (names, as `workflows.named` takes them, or plans), ``model`` (models; names such as
        ``"exponential"`` or ``"Bernoulli(p=0.2)"``; or a data set's, such as ``"diabetes"``: the
        logistic regression of which the fit to its training rows is the truth), ``n``,
        ``generations`` (default 50, of workflows by name), ``replications`` (default 10,000),
        ``rng`` (default 0), ``quantiles`` and ``measures``. A mapping stands for all its
        combinations, the last name changing first; of several mappings one follows the other.
    executor : concurrent.futures.Executor, optional
        As in `simulate`: a pool of processes, or Dask's ``Client.get_executor()``.
    folder : path, optional
        Where finished blocks and answers are kept; the same call goes on from there after an
        interruption or a kill. Two sweeps may share a folder, also at the same time.
    workers : int, optional
        In place of an executor: processes of this machine.
    progress : callable or bool, optional
        Called as progress(done, total) in replications of all cells. True: tell on stderr what is
        done and what remains, and each cell's ratio as soon as it is finished.

    Returns
    -------
    Sweep
        `to_frame()` has one row for each cell and generation; each cell's risk is, to the bit, that
        of `simulate` with the same arguments.

    Raises
    ------
    ValueError
        Where the grid is none, or the executor or the folder cannot be used.

    Examples
    --------
    >>> import collapse
    >>> names = ["discard", "augment"]
    >>> study = collapse.sweep({"workflow": names, "model": "Poisson(rate=3)", "n": [10, 100],
    ...                         "generations": 5, "replications": 2000})
    >>> study
    <Sweep of 4 cells>
    >>> [round(float(risk.ratio[-1])) for risk in study.risks]
    [5, 5, 1, 1]
    """
    given(executor, workers)
    store = opened(folder)
    cells: list[Cell] = []
    asked, where = [], []
    crossed = grids.cells(grid)
    for name, arguments in zip(grids.names(crossed), crossed, strict=True):
        cell = Cell(name)
        try:
            asked.append(grids.experiment(arguments))
            where.append(len(cells))
        except Exception as error:  # noqa: BLE001 - a model's own code may raise anything
            cell = replace(cell, error=_why(error))
        cells.append(cell)
    teller = _Table(cells) if _aloud(progress) else None
    tell = checks.progress(progress) if teller is None else teller.tell
    found = answers(asked, executor=executor, workers=workers, folder=store, progress=tell)
    for place, risk in zip(where, found, strict=True):
        cells[place] = (
            replace(cells[place], error=_why(risk.error))
            if isinstance(risk, Failed)
            else replace(cells[place], risk=risk)
        )
        if teller is not None:
            teller.show(cells[place])
    return Sweep(tuple(cells))


def _why(error: Exception) -> str:
    """What is told of a failure: a sentence of this package's own, or what else was raised."""
    own = isinstance(error, (ValueError, ImportError))
    return str(error) if own else f"{type(error).__name__}: {error}"


def _aloud(progress: Any) -> bool:
    return isinstance(progress, (bool, np.bool_)) and bool(progress)


class _Table:
    """Tells on stderr what is done, what remains, and each cell as it is finished."""

    def __init__(self, cells: Sequence[Cell]) -> None:
        self.start, self.known, self.left = time.monotonic(), -1, len(cells)
        self.width = max(len(cell.name) for cell in cells)
        print(f"{'cell':{self.width}}  ratio at the last generation", file=sys.stderr)
        for cell in cells:
            if cell.error is not None:
                self.show(cell)

    def tell(self, done: int, total: int) -> None:
        if not sys.stderr.isatty():
            return
        self.known = done if self.known < 0 else self.known
        spent, since = time.monotonic() - self.start, done - self.known
        remains = f", about {_span(spent * (total - done) / since)} left" if since else ""
        text = f"{done / total:.0%} of the replications, {counted(self.left, 'cell')} left{remains}"
        print(f"\r\x1b[K{text}", end="" if done < total else "\n", file=sys.stderr, flush=True)

    def show(self, cell: Cell) -> None:
        self.left -= 1
        clear = "\r\x1b[K" if sys.stderr.isatty() else ""
        print(f"{clear}{cell.name:{self.width}}  {_ratio(cell)}", file=sys.stderr, flush=True)


def _ratio(cell: Cell) -> str:
    if cell.risk is None:
        return f"failed: {cell.error}"
    if cell.risk.failed[-1]:
        return f"no mean: {cell.risk.failed[-1]:.3g} of the replications have no estimate"
    return f"{cell.risk.ratio[-1]:.4g} +- {cell.risk.stderr[-1]:.2g}"


def _span(seconds: float) -> str:
    units = ((3600, "h"), (60, "min"), (0, "s"))
    size, unit = next(pair for pair in units if seconds >= 2 * pair[0])
    return f"{seconds / max(size, 1):.0f} {unit}"
