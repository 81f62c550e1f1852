"""Columns not to be believed: identifiers, codes for missing values, leaks of the target."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from collapse.forecasting.common import Array, module, pandas

if TYPE_CHECKING:
    import pandas as pd


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
    *(-1, -9, -99, -999, -9999, -99999, -88, -888, -8888, -77, -777, -200, -32768, 32767, 65535),
    *(97, 98, 99, 888, 997, 998, 999, 8888, 9997, 9998, 9999, 99999, 999999, 9999999),
    *(99.9, -99.9, 999.9, -999.9, 999.99, 9999.9),
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
    found, n = {}, len(frame)
    names = {name.casefold() for name in frame.columns}
    for name, column in frame.items():
        if name in skip or n < 2 or column.isna().any() or not column.is_unique:
            continue
        answer = name.casefold().endswith("no") and f"{name[:-2].casefold()}yes" in names
        named = bool(IDENTIFIER.fullmatch(name)) and not answer
        reasons = {"names the rows": named and n > 2}
        if column.dtype != object:
            values = column.to_numpy(np.float64)
            counts = name in whole and bool(np.isfinite(values).all())
            low, high = values.min(), values.max()
            consecutive = counts and high - low == n - 1
            years = YEARS[0] <= low and high <= YEARS[1]
            rising = bool((np.diff(values) > 0).all())
            reasons = {
                "counts the rows": consecutive and low in (0, 1) and rising,
                "has another whole number in every row": counts
                and (named or bool(NAMES_OF_ROWS.fullmatch(name))),
                "numbers the rows": consecutive and n >= SHUFFLED and not years,
            }
        found[name] = next((why for why, holds in reasons.items() if holds), "")
    return {name: why for name, why in found.items() if why}


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
    step = -(-len(y) // SAMPLE)
    frame, y, tell = frame.iloc[::step], y[::step], _tells_number
    if classified:
        often = np.bincount(y.astype(int))[y.astype(int)] >= RARE
        frame, y, tell = frame.loc[often], y[often], _tells_class
    if len(y) < LEAST or np.ptp(y) == 0:
        return {}
    found = {name: tell(frame[name], y) for name in frame.columns}
    return {name: how for name, how in found.items() if how}


def _tells_number(column: pd.Series[Any], y: Array) -> str | None:
    from scipy.stats import rankdata  # slow to import

    present = column.notna().to_numpy()
    cells, y = column.to_numpy()[present], y[present]
    texts = cells.dtype == object
    if len(y) < LEAST or np.ptp(y) == 0 or (not texts and np.ptp(cells) == 0):
        return None
    if texts:
        kinds, group = np.unique(cells.astype(str), return_inverse=True)
        rest = y - (np.bincount(group, weights=y) / np.bincount(group))[group]
        told = 2 * len(kinds) <= len(y) and rest.var() < LEAK**2 * y.var()
        return "its levels tell the target to 1 % of its spread" if told else None
    line = np.corrcoef(cells / np.abs(cells).max(), y)[0, 1]
    order = np.corrcoef(rankdata(cells), rankdata(y))[0, 1]
    ways = {
        "it is the target itself": np.array_equal(cells, y),
        "a line of it tells the target to 1 % of its spread": 1 - line**2 < LEAK**2,
        "it puts the rows in the order of the target": 1 - abs(order) < LEAK**3,
    }
    return next((how for how, holds in ways.items() if holds), None)


def _tells_class(column: pd.Series[Any], y: Array) -> str | None:
    code, n = np.unique(y, return_inverse=True)[1], len(y)
    count = np.bincount(code)
    if column.dtype == object:
        level = column.fillna("(missing)").astype(str).to_numpy()
        if not 2 < 5 * len(np.unique(level)) < n:
            return None
        wrong = 1 - pandas().crosstab(level, code).max(axis=1).sum() / n
    else:
        ranks = column.fillna(column.median()).rank().to_numpy()
        total = np.bincount(code, weights=ranks)
        area = (total - count * (count + 1) / 2) / (count * (n - count))
        if not np.max(np.abs(area - 0.5)) > 0.48:  # a test that costs little
            return None  # no class lies almost wholly above or below the others
        tree = module("sklearn.tree").DecisionTreeClassifier(
            max_leaf_nodes=2 * len(count), random_state=0
        )
        wrong = 1 - float(tree.fit(ranks[:, None], code).score(ranks[:, None], code))
    if wrong > min(LEAK, 0.05 * (1 - count.max() / n)):
        return None
    rows = "every row" if wrong == 0 else f"{100 * (1 - wrong):.1f} % of the rows"
    return f"it alone tells the class of {rows}"
