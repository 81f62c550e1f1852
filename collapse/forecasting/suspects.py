"""Columns not to be believed: identifiers, codes for missing values, leaks of the target."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]

NAMES_OF_ROWS = re.compile(
    r"(?i)unnamed: ?\d+|(row|obs|case|record)[ _.-]?(names?|id|nr|no|num|number|index)?"
    r"|index|idx|nr|no|#"
)
"""Names of columns that number the rows."""
IDENTIFIER = re.compile(
    r"(?i:(.*[^a-z])?((id|ids|uuid|guid|identifier|serial)([^a-z].*)?|(key|nr|no)[^a-z]*))"
    r"|.*[a-z](ID|Id|Key|Nr|No)"
)
"""Names of columns whose different numbers are identifiers; no_of_rooms counts something, and so
does a column "... no" beside "... yes"."""
SHUFFLED = 20
"""Fewest consecutive whole numbers that are taken for identifiers in whatever order they come."""
YEARS = (1500, 2200)
"""Consecutive numbers between these are years."""
CODES = {
    -1,
    -9,
    -99,
    -999,
    -9999,
    -99999,
    -88,
    -888,
    -8888,
    -77,
    -777,
    -200,
    -32768,
    32767,
    65535,
} | {
    *(
        97,
        98,
        99,
        888,
        997,
        998,
        999,
        8888,
        9997,
        9998,
        9999,
        99999,
        999999,
        9999999,
        99.9,
        -99.9,
        999.9,
        -999.9,
        999.99,
        9999.9,
    )
}
"""Numbers that often stand for a missing value."""
LEAST = 30
"""Rows below which a column can give the target away by chance."""
RARE = 5
"""Rows of a class below which a column can separate it by chance."""
LEAK = 0.01
"""Share of rows on which one column alone may be wrong and still be called a leak."""
SAMPLE = 20_000
"""Most rows that are searched for leaks."""


def identifiers(frame: pd.DataFrame, whole: set[str], skip: set[str]) -> dict[str, str]:
    """Columns that name or number the rows, each with what it does.

    Parameters
    ----------
    frame : pandas.DataFrame
        All rows, columns of floats or texts.
    whole : set of str
        Columns of numbers without decimals; others do not count rows.
    skip : set of str
        Columns that are not looked at.
    """
    found = {}
    n = len(frame)
    names = {name.casefold() for name in frame.columns}
    for name in frame.columns:
        column = frame[name]
        answer = name.casefold().endswith("no") and f"{name[:-2].casefold()}yes" in names
        if name in skip or n < 2 or column.isna().any():
            continue
        if column.dtype == object:
            if IDENTIFIER.fullmatch(name) and not answer and n > 2 and column.is_unique:
                found[name] = "names the rows"
            continue
        values = column.to_numpy(np.float64)
        if name not in whole or not np.isfinite(values).all() or not column.is_unique:
            continue
        consecutive = values.max() - values.min() == n - 1
        years = YEARS[0] <= values.min() and values.max() <= YEARS[1]
        first, steps = values[0], np.diff(values)
        if consecutive and (steps == 1).all() and first in (0, 1):
            found[name] = "counts the rows"
        elif NAMES_OF_ROWS.fullmatch(name) or (IDENTIFIER.fullmatch(name) and not answer):
            found[name] = "has another whole number in every row"
        elif consecutive and n >= SHUFFLED and not years:
            found[name] = "numbers the rows"
    return found


def sentinels(values: Array) -> list[tuple[float, int]]:
    """Repeated numbers at an end of a column that may stand for missing values, with their counts.

    A number that is often such a code must be away from the bulk by a quarter of the interquartile
    range and three times the usual step between numbers; any other by ten times the range of the
    rest.

    Examples
    --------
    >>> y = np.append(np.arange(50) / 10, [-999, -999, -999])
    >>> sentinels(y)
    [(-999.0, 3)]
    """
    different, count = np.unique(values[np.isfinite(values)], return_counts=True)
    if len(different) < 3:
        return []
    code = np.array([float(value) in CODES for value in different]) & (count > 1)
    for k in (0, len(different) - 1):
        rest = np.delete(different, k)
        gap = np.abs(different[k] - rest).min()
        code[k] |= bool(count[k] > 2 and len(rest) > 2 and gap > 10 * (rest[-1] - rest[0]))
    bulk, weight = different[~code], count[~code]
    if not code.any() or len(bulk) < 2:
        return []
    quarters = bulk[np.searchsorted(np.cumsum(weight), np.array([0.25, 0.75]) * weight.sum())]
    far = max(0.25 * (quarters[1] - quarters[0]), 3 * float(np.median(np.diff(bulk))))
    return [
        (float(value), int(times))
        for value, times in zip(different[code], count[code], strict=True)
        if max(bulk[0] - value, value - bulk[-1]) > far and (abs(value) > 9 or len(bulk) >= 10)
    ]


def leaks(frame: pd.DataFrame, y: Array, classified: bool) -> dict[str, str]:
    """Columns each of which alone gives the target away, with how.

    Parameters
    ----------
    frame : pandas.DataFrame
        Columns of floats or texts.
    y : ndarray, shape (n,)
        The target; classes by number.
    classified : bool
        Whether it is a class.
    """
    if len(y) < LEAST:
        return {}
    step = -(-len(y) // SAMPLE)
    frame, y = frame.iloc[::step], y[::step]
    if classified:
        y = np.where(np.bincount(y.astype(int))[y.astype(int)] < RARE, np.nan, y)
        frame, y = frame.loc[~np.isnan(y)], y[~np.isnan(y)]
        if len(y) < LEAST or len(np.unique(y)) < 2:
            return {}
        return _of_classes(frame, y.astype(int))
    return _of_numbers(frame, y)


def _of_numbers(frame: pd.DataFrame, y: Array) -> dict[str, str]:
    from scipy.stats import rankdata  # slow to import

    out = {}
    for name in frame.columns:
        column = frame[name]
        values = column.to_numpy()
        present = column.notna().to_numpy()
        if present.sum() < LEAST or np.ptp(y[present]) == 0:
            continue
        here, cells = y[present], values[present]
        if cells.dtype == object:
            kinds, group = np.unique(cells.astype(str), return_inverse=True)
            means = np.bincount(group, weights=here) / np.bincount(group)
            if 2 * len(kinds) <= len(here) and _unexplained(here - means[group], here) < LEAK**2:
                out[name] = "its levels tell the target to 1 % of its spread"
        elif np.array_equal(cells, here):
            out[name] = "it is the target itself"
        elif np.ptp(cells) == 0:
            continue
        elif _unexplained(_residual(cells / np.abs(cells).max(), here), here) < LEAK**2:
            out[name] = "a line of it tells the target to 1 % of its spread"
        elif 1 - abs(np.corrcoef(rankdata(cells), rankdata(here))[0, 1]) < LEAK**3:
            out[name] = "it puts the rows in the order of the target"
    return out


def _unexplained(rest: Array, whole: Array) -> float:
    """Share of the variance of `whole` that is left in `rest`."""
    centred = whole - whole.mean()
    scale = np.abs(centred).max()
    return float(((rest / scale) ** 2).sum() / ((centred / scale) ** 2).sum())


def _residual(x: Array, y: Array) -> Array:
    """What a line of x leaves of y."""
    x, y = x - x.mean(), y - y.mean()
    return np.asarray(y - x * (x @ y / (x @ x)))


def _of_classes(frame: pd.DataFrame, y: NDArray[np.intp]) -> dict[str, str]:
    from sklearn.tree import DecisionTreeClassifier

    classes, code = np.unique(y, return_inverse=True)
    count = np.bincount(code)
    out = {}
    for name in frame.columns:
        column = frame[name]
        present = column.notna().to_numpy()
        if column.dtype == object:
            here = column.where(present, "(missing)").to_numpy(object)
            kinds, group = np.unique(here.astype(str), return_inverse=True)
            if 2 < 5 * len(kinds) < len(y):
                table = np.zeros((len(kinds), len(classes)), int)
                np.add.at(table, (group, code), 1)
                wrong = 1 - table.max(axis=1).sum() / len(y)
            else:
                continue
        else:
            ranks = column.fillna(column.median()).rank().to_numpy()
            if np.isnan(ranks).any() or not _orders(ranks, code, count):
                continue
            tree = DecisionTreeClassifier(max_leaf_nodes=2 * len(classes), random_state=0)
            wrong = 1 - float(tree.fit(ranks[:, None], code).score(ranks[:, None], code))
        if wrong <= min(LEAK, 0.05 * (1 - count.max() / len(y))):
            rows = "every row" if wrong == 0 else f"{100 * (1 - wrong):.1f} % of the rows"
            out[name] = f"it alone tells the class of {rows}"
    return out


def _orders(ranks: Array, code: NDArray[np.intp], count: NDArray[Any]) -> bool:
    """Whether some class lies almost wholly above or below the others: a test that costs little."""
    total = np.bincount(code, weights=ranks)
    area = (total - count * (count + 1) / 2) / (count * (len(code) - count))
    return bool(np.max(np.abs(area - 0.5)) > 0.48)
