"""What regressions on a reused design share: its checks, labels of its rows, and a real world that
is drawn or observed.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from collapse.checks import (
    LARGE,
    brief,
    counted,
    floats,
    held,
    length,
    require,
)
from collapse.models.protocols import Array, DrawsFromTruth, replicate
from collapse.models.registry import Made, register
from collapse.models.regression.family import Family, margins

_counted = np.frompyfunc(
    lambda value: int(value) if isinstance(value, (bool, np.bool_)) else value, 1, 1
)


def numbers(values: Any, name: str, shape: str) -> Array:
    """Return an array of floats, as `checks.floats` does; truth values are 0 and 1."""
    if not isinstance(values, np.ndarray):
        held(length(values), name, f"give {shape}")
    if not isinstance(values, np.ma.MaskedArray):
        with suppress(ValueError):  # rows of different lengths, which `floats` refuses
            raw = np.asarray(values)
            if raw.dtype.kind in "bO":
                values = raw.astype(np.float64) if raw.dtype.kind == "b" else _counted(raw)
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
    require(
        not (not isinstance(test, (tuple, list)) or len(test) != 2),
        f"{name} must be a tuple of two arrays, covariates and labels; it is {brief(test)}.",
    )
    return test[0], test[1]


def _finite(values: Array, name: str) -> Array:
    """Return the values, which can no longer be changed, where all are finite."""
    for at in np.argwhere(~np.isfinite(values)):
        axes = ("row", "column") if values.ndim == 2 else ("entry",)
        where = ", ".join(f"{axis} {i + 1}" for axis, i in zip(axes, at, strict=True))
        raise ValueError(
            f"{name} must be finite; {where} is {values[tuple(at)]}. Drop or impute missing values"
            " first."
        )
    values.flags.writeable = False
    return values


def check_design(X: ArrayLike) -> Array:
    """Return the design (n, p) as floats.

    Raises
    ------
    ValueError
        Where it is not a finite table of full column rank with n >= p >= 1.
    """
    table = numbers(X, "X", "a table of shape (n, p)")
    require(
        not (table.ndim != 2 or 0 in table.shape),
        "X must be the whole design, a table of shape (n, p) with its column of ones if one is"
        f" wanted; it has shape {table.shape}.",
    )
    n, p = _finite(table, "X").shape
    size = np.abs(table).max(axis=0)
    for j in np.flatnonzero((size < 1 / LARGE) & (size > 0)):
        raise ValueError(
            f"X must hold numbers that can be computed with; column {j + 1} has none above "
            f"{size[j]:.3g} in size. Take another unit."
        )
    rank = np.linalg.matrix_rank(table / np.where(size > 0, size, 1.0))
    require(
        not (rank < p),
        f"X must have full column rank; its {counted(p, 'column')} have rank {rank} with"
        f" {counted(n, 'row')}. Drop"
        " constant or redundant columns.",
    )
    return table


def check_vector(values: ArrayLike | None, shape: int | tuple[int, ...], name: str) -> Array:
    """Return a finite vector of the given length, or table of the given shape.

    Raises
    ------
    ValueError
        Otherwise, naming the argument.
    """
    shape = shape if isinstance(shape, tuple) else (shape,)
    array = numbers(values, name, f"an array of shape {shape}")
    require(
        array.shape == shape,
        f"{name} must have shape {shape} to match X; it has shape {array.shape}.",
    )
    return _finite(array, name)


def labelled(rows: Array, weight: Array) -> tuple[NDArray[np.intp], Array, Array]:
    """Return indices, labels and weights (R, N) of rows (R, N, 2), 0 where there is no weight."""
    read = weight > 0
    index, label, share = (
        np.where(read, each, 0.0) for each in (rows[:, :, 0], rows[:, :, 1], weight)
    )
    return index.astype(np.intp), label, share


def check_test(test: Any, columns: int) -> tuple[Array, Array]:
    """Return covariates (m, p) and labels (m,) of a test set.

    Raises
    ------
    ValueError
        Where it is no pair of them, or they do not fit the columns of the design.
    """
    covariates, label = check_pair(test)
    X = numbers(covariates, "the test X", f"a table of shape (m, {columns})")
    require(
        not (X.ndim != 2 or X.shape[1] != columns or X.shape[0] == 0),
        f"the test X must have shape (m, {columns}), with the columns of X; it has shape"
        f" {X.shape}.",
    )
    return _finite(X, "the test X"), check_vector(label, len(X), "the test y")


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


def observed_batch(labels: Array, replications: int, rows: int) -> Array:
    """Observed labels on their rows, once for each replication, (R, rows, 2); raise a ValueError
    where the plan asks for another number of rows.
    """
    require(
        rows == len(labels),
        f"observed labels y make one real batch of {len(labels)} rows, and the plan asks for"
        f" {rows}; use a real batch of size 1.",
    )
    return np.tile(np.column_stack([np.arange(rows, dtype=float), labels]), (replications, 1, 1))


def on_rows(n: int, index: NDArray[np.intp], values: Array) -> Array:
    """Sum values (R, N) over the rows of the design that they stand on, (R, n)."""
    place = index + n * np.arange(len(index))[:, None]
    sums = np.bincount(place.ravel(), values.ravel(), minlength=n * len(index))
    return sums.reshape(-1, n).astype(np.float64, copy=False)


def totals(n: int, rows: Array, weight: Array) -> tuple[Array, Array]:
    """Total weight and weighted sum of labels on each row of the design: rows (R, N, 2), weight (R,
    N) to (R, n), (R, n).
    """
    index = rows[:, :, 0].astype(np.intp)
    return on_rows(n, index, weight), on_rows(n, index, weight * rows[:, :, 1])


def example_design(n: int, columns: int) -> Array:
    """A fixed design (n, columns) for examples: ones, and cosines of rising frequency, orthogonal
    and bounded.
    """
    t, k = (np.arange(n)[:, None] + 0.5) / n, np.arange(columns)
    return np.asarray(np.cos(np.pi * k * t) * np.where(k, np.sqrt(2), 1.0))


def on_example_design(
    name: str,
    beta: Any,
    *,
    n: int,
    why: str,
    allowance: float,
    page: str = "glm",
    effort: float = 1.0,
    conditional: bool = False,
    **more: float,
) -> Callable[[Made], Made]:
    """Register the decorated regression, with true coefficients, on a design of examples."""

    def keep(made: Made) -> Made:
        register(
            name,
            n=n,
            group="regression",
            why=why,
            page=page,
            allowance=allowance,
            effort=effort,
            conditional=conditional,
        )(partial(_example, made, beta, more, rows=n))
        return made

    return keep


def _example(made: Callable[..., Any], beta: Any, more: dict[str, float], rows: int) -> Any:
    return made(example_design(rows, np.shape(beta)[-1]), beta, **more)


class OnDesign(DrawsFromTruth):
    """A model whose reused design every batch labels again.

    Real labels are drawn with a mean of their own on each row in every replication, or observed
    once and for all.

    Attributes
    ----------
    truth : ndarray, shape (d,)
        Coefficients of the real world, or closest to it.
    design_rows : int
        Rows n of the design.
    observed : ndarray, shape (n,), or None
        Observed labels.
    """

    family: Family
    truth: Array
    observed: Array | None = None
    _mean: Array
    """Means of real labels, (q, n), or probabilities of all classes."""
    _statistic: Array
    """The mean statistic of observed labels."""
    _shown: Mapping[str, float]
    """Parameters that a line about the model tells."""

    def __init__(self, X: ArrayLike, beta: Any, y: Any, test: Any, mean: Any = None) -> None:
        self.X = check_design(X)
        self.design_rows = len(self.X)
        self._given = mean is not None
        if (beta is not None) + (y is not None) + (mean is not None) != 1:
            labels = "y (observed labels)" + ("" if mean is None else ", or the mean of each label")
            raise ValueError(f"give either beta (true coefficients) or {labels}, and not both.")
        require(
            not (test is not None and y is None),
            "test goes with observed labels y; with a true beta the risk is known without a"
            " test set.",
        )

    def __repr__(self) -> str:
        n, p = self.X.shape
        world = "observed y" if self.observed is not None else "mean" if self._given else "beta"
        more = [f"{key}={value:g}" for key, value in self._shown.items()]
        return f"{type(self).__name__}({', '.join([f'X {n} x {p}', world, *more])})"

    def draw(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        """Draw labelled rows of the design.

        Parameters
        ----------
        theta : ndarray, shape (R, d)
            Coefficients to label with.
        rows : int
            c n + r rows: c whole copies of the design, then r distinct rows drawn without
            replacement, afresh for each replication.
        rng : numpy.random.Generator
            Source of randomness.

        Returns
        -------
        ndarray, shape (R, rows, 2)
            Index of the row of X, and its label (NaN where theta is).
        """
        mean = self.family.mean(margins(np.nan_to_num(theta), self.X))
        drawn = self._labelled(mean, rows, rng)
        drawn[np.isnan(theta).any(axis=1), :, 1] = np.nan
        return drawn

    def draw_real(self, replications: int, rows: int, rng: np.random.Generator) -> Array:
        """Draw the real batch: labels about their true means, or the observed labels as they are.

        Parameters
        ----------
        replications : int
            Number R of replications.
        rows : int
            Rows of the batch; n where labels are observed.
        rng : numpy.random.Generator
            Source of randomness; unused where labels are observed.

        Returns
        -------
        ndarray, shape (R, rows, 2)
            Index of the row of X, and its label.

        Raises
        ------
        ValueError
            Where labels are observed and `rows` is not n.
        """
        if self.observed is not None:
            return observed_batch(self.observed, replications, rows)
        return self._labelled(replicate(self._mean, replications), rows, rng)

    def draw_real_statistic(self, replications: int, rows: int, rng: np.random.Generator) -> Array:
        """Draw the mean statistic of the real batch; observed labels have one value of it.

        Parameters
        ----------
        replications : int
            Number R of replications.
        rows : int
            Rows of the batch, a whole multiple of n; n where labels are observed.
        rng : numpy.random.Generator
            Source of randomness; unused where labels are observed.

        Returns
        -------
        ndarray, shape (R, k)
            Mean statistic.

        Raises
        ------
        ValueError
            Where `rows` does not fit the design.
        """
        if self.observed is None:
            return super().draw_real_statistic(replications, rows, rng)  # type: ignore[misc]
        observed_batch(self.observed, 0, rows)
        return np.array(replicate(self._statistic, replications))

    def _labelled(self, mean: Array, rows: int, rng: np.random.Generator) -> Array:
        """Draw labels with given means (R, q, n), or probabilities of all classes, on so many rows
        of the design.
        """
        index = rows_of_design(self.design_rows, len(mean), rows, rng)
        drawn = self.family.sample(np.take_along_axis(mean, index[:, None], axis=-1), 1, rng)
        label = np.einsum("rqn,q->rn", drawn, np.arange(1.0, drawn.shape[1] + 1))
        return np.stack([index.astype(float), label], axis=2)
