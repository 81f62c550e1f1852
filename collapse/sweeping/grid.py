"""A grid of simulations: read, crossed, and each cell checked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from collapse import checks, datasets, disk, models, workflows
from collapse.checks import brief
from collapse.plan import Plan
from collapse.reservoir import Reservoir
from collapse.simulation import Experiment

NAMES = ("workflow", "model", "n", "generations", "replications", "rng", "quantiles", "measures")
"""What a grid may hold."""
DATA = ("titanic", "heart", "breast_cancer", "diabetes")
"""Data sets that go by name as models."""
MOST = 10**5
"""Cells of a grid."""
GENERATIONS = 50
REPLICATIONS = 10_000


def read(path: str | Path) -> Any:
    """Return the grid that a TOML file holds: its table, or its tables [[grid]].

    Raises
    ------
    ValueError, FileNotFoundError
        Where it is no TOML, or there is no such file.
    """
    import tomllib  # slow to import

    file = disk.named(path)
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"path {file} is not TOML ({error}).") from error
    return document["grid"] if list(document) == ["grid"] else document


def cells(grid: Any) -> list[dict[str, Any]]:
    """Return the arguments of each cell: every combination of each mapping, in order.

    Raises
    ------
    ValueError
        Where the grid is no mapping, or has names that are not `NAMES`.
    """
    crossed: list[dict[str, Any]] = []
    wanted = (
        "a mapping such as {'workflow': ['discard', 'augment'], 'n': [100, 1000]}, or a list of"
        " such mappings"
    )
    for part in [grid] if isinstance(grid, Mapping) else _members(grid, "grid", wanted):
        if not isinstance(part, Mapping) or not part:
            raise ValueError(f"grid must be {wanted}; it is {brief(part)}.")
        for name in part:
            if name not in NAMES:
                raise ValueError(f"a grid has no {brief(name)}; it may have {', '.join(NAMES)}.")
        if "workflow" not in part:
            raise ValueError("a grid needs a workflow, such as 'augment', or a list of workflows.")
        lists = [_listed(name, values) for name, values in part.items()]
        count = len(crossed) + math.prod(checks.length(values) for values in lists)
        if count > MOST:
            raise ValueError(
                f"a grid can have {MOST:,} cells at most, and this one has {count:,}; make its"
                " lists shorter."
            )
        crossed += [dict(zip(part, values, strict=True)) for values in product(*lists)]
    if not crossed:
        raise ValueError("grid holds no cells: one of its lists is empty.")
    return crossed


def _members(values: Any, name: str, wanted: str) -> Sequence[Any]:
    if not isinstance(values, Sequence) or isinstance(values, (str, bytes, bytearray)):
        raise ValueError(f"{name} must be {wanted}; it is {brief(values)}.")
    return values  # a range may be too long for a list


def _listed(name: str, values: Any) -> Sequence[Any]:
    """The values of a name: one, or several in a list. Quantiles and measures are lists
    themselves.
    """
    values = values.tolist() if isinstance(values, np.ndarray) else values
    several = isinstance(values, (list, tuple, range))
    listed = name in ("quantiles", "measures")
    if listed and not (several and values and isinstance(values[0], (list, tuple))):
        return [values]
    found: Sequence[Any] = values if several else [values]
    return found


def names(cells: Sequence[Mapping[str, Any]]) -> list[str]:
    """What cells are called: by their workflow, and by what is not the same in all of them."""
    told = [{key: _told(value) for key, value in cell.items()} for cell in cells]
    same = set.intersection(*(set(cell.items()) for cell in told))
    return [
        ", ".join(
            value if key == "workflow" else f"{key} = {value}"
            for key, value in cell.items()
            if key == "workflow" or (key, value) not in same
        )
        for cell in told
    ]


def _told(value: Any) -> str:
    return value if isinstance(value, str) else getattr(value, "name", None) or brief(value)


def experiment(cell: Mapping[str, Any]) -> Experiment:
    """Check a cell, and return what is to be simulated.

    Raises
    ------
    ValueError
        Where it cannot be; in one sentence.
    """
    workflow, generations = cell["workflow"], cell.get("generations")
    if isinstance(workflow, (Plan, Reservoir)):
        plan: Any = workflow
        if generations not in (None, plan.generations):
            raise ValueError(
                f"{plan.name} has {plan.generations} fits, and generations is"
                f" {brief(generations)}; leave generations out beside a plan."
            )
    else:
        given = GENERATIONS if generations is None else generations
        plan = workflows.named(checks.text(workflow, "workflow"), given)
    model = cell.get("model")
    return Experiment.asked(
        plan,
        _model(model) if isinstance(model, str) else model,
        cell.get("n"),
        cell.get("replications", REPLICATIONS),
        cell.get("rng", 0),
        cell.get("quantiles", ()),
        measures=cell.get("measures", ()),
    )


@cache
def _model(text: str) -> Any:
    """A model by name, or that of a data set: the logistic regression of which the fit to its
    training rows is the truth.
    """
    if text not in DATA:
        return models.named(text)
    X, y, _, _ = getattr(datasets, text)().split()
    design = datasets.with_intercept(X)
    fitted = models.LogisticRegression(design, y=y)
    return models.LogisticRegression(design, beta=fitted.truth)
