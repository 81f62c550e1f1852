"""What regressions on a reused design share: its checks, and rows that are labels of its rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from collapse.checks import LARGE, brief, floats, held, length
from collapse.models.protocols import Array


def numbers(values: Any, name: str, shape: str) -> Array:
    """Return an array of floats, as `checks.floats` does; truth values are 0 and 1."""
    if not isinstance(values, np.ndarray):
        held(length(values), name, f"give {shape}")
    if not isinstance(values, np.ma.MaskedArray):
        try:
            raw = np.asarray(values)
        except ValueError:  # rows of different lengths
            return floats(values, name, shape)
        if raw.dtype.kind == "b":
            values = raw.astype(np.float64)
        elif raw.dtype.kind == "O":
            values = np.empty(raw.size, object)
            for i, value in enumerate(raw.flat):
                values[i] = int(value) if isinstance(value, (bool, np.bool_)) else value
            values = values.reshape(raw.shape)
    out = floats(values, name, shape)
    size = np.abs(np.where(np.isfinite(out), out, 0.0))
    if size.max(initial=0) > LARGE:
        where = f", in column {int(np.argwhere(size > LARGE)[0, 1]) + 1}" if out.ndim == 2 else ""
        raise ValueError(
            f"{name} must hold numbers of at most {LARGE:g} in size, which can be computed with; "
            f"it holds {size.max():.3g}{where}. Take another unit."
        )
    return out


def check_pair(test: Any, name: str = "test") -> tuple[Any, Any]:
    """Return a pair of covariates and labels; raise a ValueError where it is none."""
    if not isinstance(test, (tuple, list)) or len(test) != 2:
        pair = "a tuple of two arrays, covariates and labels"
        raise ValueError(f"{name} must be {pair}; it is {brief(test)}.")
    return test[0], test[1]


def check_design(X: ArrayLike) -> Array:
    """Return the design (n, p) as floats.

    Raises
    ------
    ValueError
        Where it is not a finite table of full column rank with n >= p >= 1.
    """
    table = numbers(X, "X", "a table of shape (n, p)")
    if table.ndim != 2 or 0 in table.shape:
        raise ValueError(
            "X must be the whole design, a table of shape (n, p) with its column of ones if one is"
            f" wanted; it has shape {table.shape}."
        )
    if not np.all(np.isfinite(table)):
        i, j = np.argwhere(~np.isfinite(table))[0]
        raise ValueError(
            f"X must be finite; row {i + 1}, column {j + 1} is {table[i, j]}. Drop or impute"
            " missing values first."
        )
    n, p = table.shape
    size = np.abs(table).max(axis=0)
    tiny = np.flatnonzero((size < 1 / LARGE) & (size > 0))
    if len(tiny):
        raise ValueError(
            f"X must hold numbers that can be computed with; column {tiny[0] + 1} has none above "
            f"{size[tiny[0]]:.3g} in size. Take another unit."
        )
    scale = np.abs(table).max(axis=0)
    rank = np.linalg.matrix_rank(table / np.where(scale > 0, scale, 1.0))
    if rank < p:
        raise ValueError(
            f"X must have full column rank; its {p} columns have rank {rank} with {n} rows. Drop"
            " constant or redundant columns."
        )
    table.flags.writeable = False
    return table


def check_vector(values: ArrayLike, length: int, name: str) -> Array:
    """Return a finite vector of the given length.

    Raises
    ------
    ValueError
        Otherwise, naming the argument.
    """
    vector = numbers(values, name, f"a vector of shape ({length},)")
    if vector.shape != (length,):
        raise ValueError(
            f"{name} must have shape ({length},) to match X; it has shape {vector.shape}."
        )
    if not np.all(np.isfinite(vector)):
        raise ValueError(
            f"{name} must be finite; entry {int(np.argmax(~np.isfinite(vector))) + 1} is"
            f" {vector[~np.isfinite(vector)][0]}."
        )
    vector.flags.writeable = False
    return vector


def rows_of_design(
    n: int, replications: int, rows: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Rows of the design that a batch labels, (R, rows): whole copies, then distinct rows drawn
    without replacement.
    """
    copies, rest = divmod(rows, n)
    whole = np.broadcast_to(np.tile(np.arange(n), copies), (replications, copies * n))
    if not rest:
        return np.array(whole)
    part = np.argpartition(rng.random((replications, n)), rest - 1, axis=1)[:, :rest]
    return np.concatenate([whole, part], axis=1)


def totals(n: int, rows: Array, weight: Array) -> tuple[Array, Array]:
    """Total weight and weighted sum of labels on each row of the design: rows (R, N, 2), weight (R,
    N) to (R, n), (R, n).
    """
    R = len(rows)
    place = (rows[:, :, 0].astype(np.int64) + n * np.arange(R)[:, None]).ravel()
    total: Array = (
        np.bincount(place, weight.ravel(), minlength=R * n)
        .reshape(R, n)
        .astype(np.float64, copy=False)
    )
    labels: Array = (
        np.bincount(place, (weight * rows[:, :, 1]).ravel(), minlength=R * n)
        .reshape(R, n)
        .astype(np.float64, copy=False)
    )
    return total, labels


def example_design(n: int, columns: int) -> Array:
    """A fixed design (n, columns) for examples: ones, and cosines of rising frequency, orthogonal
    and bounded.
    """
    t = (np.arange(n) + 0.5) / n
    return np.asarray(
        np.cos(np.pi * np.arange(columns) * t[:, None])
        * np.where(np.arange(columns), np.sqrt(2), 1.0)
    )
