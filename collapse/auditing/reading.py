"""Reading what was logged: losses, or what can be made losses, by generation and run."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collapse import disk
from collapse.checks import floats, require, whole
from collapse.exact import Array

METRICS: dict[str, tuple[Callable[[Array], Array], str]] = {
    "loss": (lambda value: value, "finite"),
    "log-likelihood": (lambda value: -value, "finite"),
    "perplexity": (np.log, "greater than 0, and finite"),
    "accuracy": (lambda value: 1 - value, "from 0 to 1"),
}
"""What may be logged: how it becomes a loss, and which numbers it can be."""
ERRORS = ("stderr", "standard_error")
"""Names of a column of logging errors."""


def to_losses(values: object, metric: str) -> Array:
    """Return logged values as losses, shape (R, G); one run may be given alone.

    Raises
    ------
    ValueError
        Where they are no table of numbers, or numbers that the metric cannot be.
    """
    shape = "values by generation, shape (G,), or by run and generation, shape (R, G)"
    given = np.atleast_2d(floats(values, "losses", shape))
    require(
        given.ndim == 2 and given.shape[0] >= 1 and given.shape[1] >= 3,
        f"losses must hold at least 3 generations: {shape}; their shape is {given.shape}.",
    )
    change, range_ = METRICS[metric]
    with np.errstate(all="ignore"):
        out = change(given)
    inside = np.isfinite(out) & ((metric != "accuracy") | ((given >= 0) & (given <= 1)))
    require(
        inside & (abs(given) < 1e100),
        lambda i: (
            f"losses of metric {metric!r} must be {range_}; one is {given.flat[i]:g}. Leave out"
            " generations, or runs, that have none."
        ),
    )
    return np.asarray(out)


def to_errors(values: object, losses: Array, metric: str, logged: object) -> Array | None:
    """Return the logging error of each generation, shape (G,): the root mean square over runs."""
    if values is None:
        return None
    R, G = losses.shape
    errors = np.atleast_2d(floats(values, "stderr", f"errors of shape ({G},) or ({R}, {G})"))
    require(
        errors.shape in ((1, G), (R, G)) and bool((errors >= 0).all()) and bool(errors.any()),
        f"stderr must hold an error, at least 0 and not all 0, for each loss; its shape is"
        f" {errors.shape}, that of the losses {losses.shape}.",
    )
    require(bool((errors < 1e100).all()), "stderr must hold finite numbers.")
    if metric == "perplexity":  # the logarithm's
        errors = errors / np.atleast_2d(np.asarray(logged, float))
    return np.asarray(np.sqrt((errors**2).mean(0)))


def to_generations(values: object, count: int) -> NDArray[np.int64]:
    """Return the generations that were logged: 1, 2, ..., where nothing is said."""
    if values is None:
        return np.arange(1, count + 1)
    found = np.atleast_1d(floats(values, "generations", f"{count} whole numbers that rise"))
    require(
        found.shape == (count,)
        and bool((found == np.round(found)).all())
        and bool((np.diff(found, prepend=0) > 0).all())
        and bool(found[-1] <= 1000),
        f"generations must be {count} whole numbers from 1 to 1,000 that rise, one for each loss;"
        " the first fit, to real data alone, is generation 1.",
    )
    return found.astype(np.int64)


def read(source: str | Path) -> dict[str, Any]:
    """Read a CSV file, or standard input ("-"): the arguments of `collapse.audit` that it holds.

    Its header names one of loss, log-likelihood, perplexity and accuracy; and, where there are
    such, generation, run, and stderr (the logging error).

    Raises
    ------
    ValueError
        Where a column or a cell is missing or is no number: in one sentence.
    """
    require(bool(str(source).strip()), 'losses must be numbers, a CSV file or "-"; it is no text.')
    stdin = str(source) == "-"
    name = "standard input" if stdin else str(source)
    text = sys.stdin.read() if stdin else disk.named(source).read_text("utf-8-sig")
    lines = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True)
    head, *rows = [line for line in lines if any(cell.strip() for cell in line)] or [[]]
    names = [cell.strip().lower().replace(" ", "_") for cell in head]
    found = [key for key in names if key.replace("_", "-") in METRICS]
    require(
        len(found) == 1 and len(set(names)) == len(names),
        f"losses must be a CSV file whose header has one column of {', '.join(METRICS)}, and may"
        f" have generation, run and stderr; the header of {name} is {', '.join(head) or 'empty'}.",
    )
    require(
        [len(row) == len(names) for row in rows],
        lambda i: f"{name}: row {i + 2} has {len(rows[i])} cells, the header {len(names)}.",
    )
    table = [dict(zip(names, row, strict=True)) for row in rows]

    def number(row: int, key: str) -> float:
        try:
            return float(table[row][key])
        except ValueError as error:
            raise ValueError(
                f"{name}: row {row + 2} has no number under {key}, but {table[row][key]!r}."
            ) from error

    runs: dict[str, dict[int, int]] = {}
    for k, entry in enumerate(table):
        run = runs.setdefault(entry.get("run", ""), {})
        g = int(number(k, "generation")) if "generation" in names else len(run) + 1
        g = whole(g, "generation", f"of row {k + 2} of {name}")
        require(g not in run, f"{name}: generation {g} stands twice in a run; name runs by `run`.")
        run[g] = k
    logged = {tuple(sorted(run)) for run in runs.values()}
    require(
        len(logged) == 1,
        f"{name}: all runs must have the same generations, and at least one row.",
    )
    (generations,) = logged

    def table_of(key: str) -> Array:
        return np.array([[number(run[g], key) for g in generations] for run in runs.values()])

    out: dict[str, Any] = {"metric": found[0].replace("_", "-"), "losses": table_of(found[0])}
    out["generations"] = list(generations)
    errors = [key for key in ERRORS if key in names]
    return out | ({"stderr": table_of(errors[0])} if errors else {})
