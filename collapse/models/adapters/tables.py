"""Whole rows: how tables of any kind stand in arrays, and what is measured of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy

from collapse.checks import brief, counted, numbers, require
from collapse.models.adapters.labelled import is_frame
from collapse.models.protocols import Array

SEEN = 500
"""Rows of a fit, and of the truth, that a distance is taken of."""
DIRECTIONS = 50
"""Directions of a sliced distance."""
TAIL, RARE = 0.99, 0.05
"""Level of the tail's quantile; share up to which a category is rare."""


class Table:
    """Rows as the entries of an array: numbers, or records of a DataFrame's columns.

    Parameters
    ----------
    X : ndarray of float, shape (n,) or (n, p), or DataFrame
        Real rows.
    """

    def __init__(self, X: Any) -> None:
        require(
            not is_frame(X) or X.columns.is_unique,
            "X must have a name of its own for each column; rename those that are alike.",
        )
        self.like = X.iloc[:0] if is_frame(X) else X[:0]
        kinds = X.dtypes.tolist() if is_frame(X) else [X.dtype] * (X.shape[1] if X.ndim == 2 else 1)
        self.kinds: list[Any] = kinds
        plain = [isinstance(kind, np.dtype) and kind.kind in "biuf" for kind in kinds]
        self.numeric, self.categorical = np.flatnonzero(plain), np.flatnonzero(~np.array(plain))
        named = [
            (str(i), kind if own else object)
            for i, (kind, own) in enumerate(zip(kinds, plain, strict=True))
        ]
        self.dtype: Any = np.dtype(named) if is_frame(X) else X.dtype
        self.shape = () if is_frame(X) else X.shape[1:]
        cells = self.cells(X)
        self.centre = np.array([cells[i].astype(np.float64).mean() for i in self.numeric])
        spread = np.array([cells[i].astype(np.float64).std() for i in self.numeric])
        self.scale = np.where(spread > 0, spread, 1.0)
        self.varies = spread > 0
        self.known = {
            int(i): {value: at for at, value in enumerate(dict.fromkeys(cells[i].tolist()))}
            for i in self.categorical
        }

    def follow(self, drawn: Any) -> bool:
        """Take columns of whole numbers for those of other numbers where a draw holds such."""
        if not is_frame(self.like) or not is_frame(drawn):
            return False
        whole = [
            column
            for column in self.like.columns
            if column in drawn
            and getattr(self.like[column].dtype, "kind", "O") in "biu"
            and getattr(drawn[column].dtype, "kind", "O") == "f"
        ]
        self.like = self.like.astype(dict.fromkeys(whole, np.float64))
        self.kinds = self.like.dtypes.tolist()
        at = [list(self.like.columns).index(column) for column in whole]
        self.dtype = np.dtype(
            [
                (name, np.float64 if i in at else self.dtype[name])
                for i, name in enumerate(self.dtype.names)
            ]
        )
        return bool(whole)

    def framed(self, drawn: Any) -> Any:
        """An array as wide as the DataFrame of numbers that X is, with its names; else as it is."""
        if not is_frame(self.like) or len(self.categorical) or not isinstance(drawn, np.ndarray):
            return drawn
        if drawn.shape[1:] != (self.width,):
            return drawn
        import pandas as pd

        return pd.DataFrame(drawn, columns=self.like.columns)

    @property
    def width(self) -> int:
        """Columns."""
        return len(self.numeric) + len(self.categorical)

    def empty(self, *shape: int) -> Any:
        return np.zeros((*shape, *self.shape), self.dtype)

    def read(self, table: Any, rows: int | None, name: str) -> Any:
        """Entries (rows, ...) of a table like the real one.

        Raises
        ------
        ValueError
            Where it has other columns, values that are missing, not finite or of another kind, or
            another number of rows.
        """
        table = table[0] if isinstance(table, tuple) else table  # mixtures tell the component, too
        wanted = f"{counted(rows, 'row')}" if rows is not None else "rows"
        if not is_frame(self.like):
            array = numbers(table, name, f"{wanted} of numbers, as in X").astype(np.float64)
            if rows is not None and array.size == rows * int(np.prod(self.shape)):
                array = array.reshape(rows, *self.shape)
            require(
                array.ndim > 0 and array.shape[1:] == self.shape and rows in (None, len(array)),
                f"{name} must be {wanted} of the columns of X, shape"
                f" {(rows or 'm', *self.shape)}; it has shape {array.shape}.",
            )
            require(
                bool(np.isfinite(array).all()),
                f"{name} must be finite; it holds NaN or infinity: drop such rows, or make the"
                " generator draw none.",
            )
            return array
        require(
            is_frame(table),
            f"{name} must be a DataFrame, as X is one; it is {type(table).__name__}.",
        )
        columns = list(self.like.columns)
        require(
            list(table.columns) == columns
            or sorted(map(str, table.columns)) == sorted(map(str, columns)),
            lambda _: (
                f"{name} must have the columns of X, {brief(columns)}; it has"
                f" {brief(list(table.columns))}."
            ),
        )
        require(rows in (None, len(table)), f"{name} must be {wanted}; it has {len(table)}.")
        out = self.empty(len(table))
        for i, column in enumerate(columns):
            out[str(i)] = self._column(table[column], self.kinds[i], self.dtype[i], name)
        return out

    def _column(self, values: Any, kind: Any, own: Any, name: str) -> Any:
        """Entries of a column that is to be of a kind, here held as `own`."""
        plain = values.dtype.kind if isinstance(values.dtype, np.dtype) else "O"
        if plain == "f":
            good = np.isfinite(values.to_numpy()).all()
        else:
            good = plain in "biu" or not (values.isna() | values.isin([np.inf, -np.inf])).any()
        require(
            bool(good),
            lambda _: (
                f"{name} must be finite; column {values.name!r} is not: drop or impute missing"
                " values."
            ),
        )
        given = (values.astype(object) if own == object else values).to_numpy()
        require(
            own == object or np.can_cast(given.dtype, own, "same_kind"),
            lambda _: (
                f"column {values.name!r} of {name} must hold {own} data, as in X; it holds"
                f" {given.dtype}."
            ),
        )
        allowed = getattr(kind, "categories", None)
        require(
            allowed is None or bool(values.isin(allowed).all()),
            lambda _: f"column {values.name!r} of {name} must hold the categories of X alone.",
        )
        return given

    def table(self, entries: Any) -> Any:
        """The table of entries (m, ...), with the names and kinds of the real one."""
        if not is_frame(self.like):
            return entries
        import pandas as pd

        frame = pd.DataFrame({i: entries[str(i)] for i in range(self.width)})
        other = {i: kind for i, kind in enumerate(self.kinds) if kind != self.dtype[i]}
        frame = frame.astype(other) if other else frame
        frame.columns = self.like.columns
        return frame

    def cells(self, table: Any) -> list[Any]:
        """Columns (m,) of a table, or of entries."""
        if is_frame(table):
            return [table.iloc[:, i].to_numpy() for i in range(table.shape[1])]
        if table.dtype.names:
            return [table[name] for name in table.dtype.names]
        return list(table.reshape(len(table), -1).T)

    def numbers(self, entries: Any) -> Array:
        """Numeric columns in the real ones' standard units, (m, k)."""
        cells = self.cells(entries)
        columns = [cells[i].astype(np.float64) for i in self.numeric]
        raw = np.array(columns, np.float64).reshape(len(columns), -1).T
        return np.asarray((raw - self.centre) / self.scale)

    def shares(self, entries: Any) -> list[Array]:
        """Share of each category among the entries, by column; the last is of categories that the
        real rows have not."""
        cells = self.cells(entries)
        codes = (self._codes(cells[i], int(i)) for i in self.categorical)
        return [
            np.bincount(code, minlength=len(self.known[int(i)]) + 1) / len(code)
            for code, i in zip(codes, self.categorical, strict=True)
        ]

    def _codes(self, column: Any, i: int) -> Any:
        known = self.known[i]
        return np.array([known.get(value, len(known)) for value in column.tolist()], np.int64)

    def points(self, entries: Any) -> Array:
        """Numbers in standard units beside an indicator of each category over root 2, so that two
        categories are one apart: (m, k).
        """
        cells, parts = self.cells(entries), [self.numbers(entries)]
        for i in self.categorical:
            parts.append(
                np.eye(len(self.known[int(i)]) + 1)[self._codes(cells[i], int(i))] / 2**0.5
            )
        return np.concatenate([part.reshape(len(entries), -1) for part in parts], axis=1)


def names(table: Table, target: int) -> tuple[str, ...]:
    """What can be measured of such rows."""
    return (
        *(("variance", "determinant", "tail") if table.varies.any() else ()),
        *(("entropy", "support", "rare") if len(table.categorical) else ()),
        *("energy", "wasserstein", "mmd", "copies"),
        *(() if target < 0 else ("tstr",)),
    )


def variance(table: Table, drawn: Any, real: Any, target: int) -> float:
    """Trace of the covariance of numeric columns in standard units, as a share of the real one."""
    one, other = (table.numbers(rows).var(axis=0, ddof=1).sum() for rows in (drawn, real))
    return float(one / other)


def determinant(table: Table, drawn: Any, real: Any, target: int) -> float:
    """Determinant of the covariance of numeric columns that vary, as a share of the real one."""
    columns = table.varies
    one, other = (
        np.atleast_2d(np.cov(table.numbers(rows)[:, columns].T)) for rows in (drawn, real)
    )
    return float(np.linalg.det(one) / np.linalg.det(other))


def tail(table: Table, drawn: Any, real: Any, target: int) -> float:
    """Mean over numeric columns that vary of the 0.99 quantile less the real mean, as a share of
    the real rows'.
    """
    at, to = (table.numbers(rows)[:, table.varies] for rows in (drawn, real))
    one, other, middle = (
        np.quantile(at, TAIL, axis=0),
        np.quantile(to, TAIL, axis=0),
        to.mean(axis=0),
    )
    return float(((one - middle) / (other - middle)).mean())


def entropy(table: Table, drawn: Any, real: Any, target: int) -> float:
    """Mean over categorical columns of the entropy of their shares, in nats."""
    return float(np.mean([-scipy.special.xlogy(p, p).sum() for p in table.shares(drawn)]))


def support(table: Table, drawn: Any, real: Any, target: int) -> float:
    """Categories among the rows drawn, of all columns."""
    return float(sum((share > 0).sum() for share in table.shares(drawn)))


def rare(table: Table, drawn: Any, real: Any, target: int) -> float:
    """Mean over categorical columns of the mass of categories that are rare among the real rows."""
    pairs = zip(table.shares(drawn), table.shares(real), strict=True)
    return float(np.mean([one[(other > 0) & (other <= RARE)].sum() for one, other in pairs]))


def _apart(one: Array, other: Array) -> Array:
    return np.asarray(scipy.spatial.distance.cdist(one, other))


def _unbiased(within: Array) -> float:
    """Mean over pairs of different rows."""
    m = len(within)
    return float((within.sum() - np.trace(within)) / (m * (m - 1)))


def _own(points: Array) -> float:
    """Mean distance of different rows."""
    return float(scipy.spatial.distance.pdist(points).mean())


def energy(table: Table, drawn: Any, real: Any, target: int) -> float:
    """Energy distance, 2 E|x - y| - E|x - x'| - E|y - y'|, without bias."""
    x, y = table.points(drawn[:SEEN]), table.points(real[:SEEN])
    return float(2 * _apart(x, y).mean() - _own(x) - _own(y))


def mmd(table: Table, drawn: Any, real: Any, target: int) -> float:
    """Squared maximum mean discrepancy, without bias, of a Gaussian kernel as wide as the median
    distance of real rows.
    """
    x, y = table.points(drawn[:SEEN]), table.points(real[:SEEN])
    own = _apart(y, y)
    width = np.median(own[own > 0]) if (own > 0).any() else 1.0

    def kernel(apart: Array) -> Array:
        return np.exp(-((apart / width) ** 2) / 2)

    between = kernel(_apart(x, y)).mean()
    return _unbiased(kernel(_apart(x, x))) + _unbiased(kernel(own)) - float(2 * between)


def wasserstein(table: Table, drawn: Any, real: Any, target: int) -> float:
    """Sliced Wasserstein distance: the mean over 50 fixed directions of the mean distance of equal
    quantiles.
    """
    x, y = table.points(drawn[:SEEN]), table.points(real[:SEEN])
    m = min(len(x), len(y))
    to = np.random.default_rng(0).standard_normal((x.shape[1], DIRECTIONS))
    to /= np.linalg.norm(to, axis=0)
    levels = (np.arange(m) + 0.5) / m
    one, other = (np.quantile(rows @ to, levels, axis=0) for rows in (x, y))
    return float(np.abs(one - other).mean())


def copies(table: Table, drawn: Any, real: Any, target: int) -> float:
    """Mean distance of rows drawn to the nearest real row: 0 of copies."""
    return float(_apart(table.points(drawn[:SEEN]), table.points(real)).min(axis=1).mean())


def tstr(table: Table, drawn: Any, real: Any, target: int) -> float:
    """Loss on real rows of a linear predictor trained on synthetic ones: the squared error as a
    share of the target's variance, or of categories the share that it misses.
    """
    sides = []
    for rows in (drawn, real):
        cells, parts = table.cells(rows), [np.ones((len(rows), 1))]
        numeric = [i for i in table.numeric if i != target]
        places = [int(np.flatnonzero(table.numeric == i)[0]) for i in numeric]
        parts.append(table.numbers(rows)[:, places])
        parts += [
            np.eye(len(table.known[int(i)]) + 1)[table._codes(cells[i], int(i))]
            for i in table.categorical
            if i != target
        ]
        sides.append(np.concatenate(parts, axis=1))
    if target in table.numeric:
        place = int(np.flatnonzero(table.numeric == target)[0])
        one, other = (table.numbers(rows)[:, [place]] for rows in (drawn, real))
    else:
        one, other = (
            np.eye(len(table.known[target]) + 1)[table._codes(table.cells(rows)[target], target)]
            for rows in (drawn, real)
        )
    told = sides[1] @ np.linalg.lstsq(sides[0], one, rcond=None)[0]
    if target in table.numeric:
        return float(((told - other) ** 2).mean() / other.var())
    return float((told.argmax(axis=1) != other.argmax(axis=1)).mean())


BY_NAME: dict[str, Callable[[Table, Any, Any, int], float]] = {
    each.__name__: each
    for each in (
        variance,
        determinant,
        tail,
        entropy,
        support,
        rare,
        energy,
        wasserstein,
        mmd,
        copies,
        tstr,
    )
}
"""Each measure of rows drawn from a fit, beside real ones."""
