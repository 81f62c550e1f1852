"""A user's own table: from its columns to a design, labels and a test set, and what was done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from collapse.checks import (
    brief,
    check_number,
    choice,
    counted,
    plural,
    require,
    several,
)
from collapse.forecasting.cells import as_other, clean
from collapse.forecasting.common import (
    Array,
    Rows,
    columns_named,
    pandas,
    were,
)
from collapse.forecasting.design import EXTREME, LEVELS, design, in_words
from collapse.forecasting.reading import check_columns, load, read
from collapse.forecasting.suspects import identifiers, leaks, sentinels
from collapse.forecasting.texts import Told

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TASKS", "Table", "load", "prepare", "read"]


TASKS = ("binary", "multiclass", "counts", "continuous")

CODES = 10
"""Most different whole numbers 0, 1, ... or 1, 2, ... that are taken for codes of classes."""
LARGEST_CLASSES = 50
LARGEST_COUNT = 1000
"""From it on whole numbers are taken for measurements."""


@dataclass(frozen=True, eq=False)
class Table:
    """A table ready to be fitted.

    Attributes
    ----------
    X, X_test : ndarray or DataFrame, shapes (n, p) and (m, p)
        Designs, a column of ones first, the others standardised; or the columns untouched.
    y, y_test : ndarray, shapes (n,) and (m,)
        Labels as floats; classes are numbered 0, ..., K - 1 in the order of `classes`.
    task : str
        One of `TASKS`.
    guessed : bool
        Whether the task was guessed.
    classes : tuple of str
        Names of the classes; empty where labels are numbers.
    features : tuple of str
        Columns of the file that are used.
    columns : tuple of str
        Names of the design's columns.
    rows, unlabelled : int
        Rows of the file, and how many of them had no target and were left out.
    notes : tuple of str
        What was done to the data, a sentence each.
    cautions : tuple of str
        What in the data looks wrong and was left as it is, a sentence each.
    rare : tuple of (str, str, int)
        Column, level and rows in the real part, for each level with fewer than twenty rows there.
        A column of numbers that has one value in all but so few rows is among them, with those
        other rows as its level.
    labels : tuple
        The classes as the table holds them.
    pool : DataFrame or None
        Unlabelled rows.
    """

    X: Any
    y: Array
    X_test: Any
    y_test: Array
    task: str
    guessed: bool
    classes: tuple[str, ...]
    features: tuple[str, ...]
    columns: tuple[str, ...]
    rows: int
    unlabelled: int
    notes: tuple[str, ...] = field(default=())
    cautions: tuple[str, ...] = field(default=())
    rare: tuple[tuple[str, str, int], ...] = field(default=())
    labels: tuple[Any, ...] = field(default=())
    pool: Any = None


def prepare(
    frame: pd.DataFrame,
    target: str,
    task: str | None = None,
    test_share: float = 0.3,
    seed: int = 0,
    *,
    na: Any = (),
    exclude: Any = (),
    test: pd.DataFrame | None = None,
    untouched: bool = False,
    pool: pd.DataFrame | bool | None = None,
) -> Table:
    """Tell what a table's columns hold, split it, and make designs by scikit-learn's own pipeline.

    Cells: text that says numbers (decimal commas, thousands apart, percent, limits such as <5) or
    dates is read as such; dates become days; levels that differ in capitals and blanks alone are
    one. Columns that number or name the rows are left out. Numbers: missing values become the
    median, then columns are standardised. Text: a missing value is a level of its own, levels
    beyond the most frequent nineteen are put together where there are more than twenty, and each
    level but the first becomes a column of zeros and ones. The pipeline is fitted to the real part
    alone. Classes keep their shares in both parts, and no level of a column with at most twenty is
    lost from the real part.

    Parameters
    ----------
    frame : pandas.DataFrame
        The table.
    target : str
        Column to predict.
    task : {"binary", "multiclass", "counts", "continuous"}, optional
        What the target is. Default: guessed from its values.
    test_share : float
        Share of the rows to be the test set; not used where there is a table `test`.
    seed : int
        Of the split.
    na : number, text or sequence of these, optional
        Values that stand for a missing one, in any column.
    exclude : str or sequence of str, optional
        Columns to leave out.
    test : pandas.DataFrame, optional
        The test set, with the same columns.
    untouched : bool
        Whether all columns but the target stay as they are, for an estimator that takes them.
    pool : pandas.DataFrame or True, optional
        Unlabelled rows with the same columns, untouched; True: those without a target.

    Returns
    -------
    Table

    Raises
    ------
    ValueError
        Where the table cannot be used: in one sentence that names the column and, where there is
        one, the row.
    """
    target = str(target)
    require(
        0 < check_number(test_share, "test_share") < 1,
        f"test_share must lie strictly between 0 and 1; it is {test_share}.",
    )
    task = None if task is None else choice(task, "task", TASKS)
    codes = several(na, "na", "a number or text that stands for a missing value", numbers=True)
    told = Told()
    whole, n, place, decimal = joined(frame, test, target, exclude, codes, told)
    cells = clean(whole[[target]] if untouched else whole, target, told, codes, decimal, place, n)
    skipped = {*cells.frame.columns} if untouched else {target, *cells.dates}
    counts = identifiers(cells.frame.iloc[:n], cells.whole, skipped)
    told.notes += [f"Column {name!r} {what} and was left out." for name, what in counts.items()]
    missing = cells.frame[target].isna().to_numpy()
    labelled, lost = n - int(missing[:n].sum()), int(missing.sum())
    require(bool(labelled), f"the target {target!r} has no values at all.")
    fate = "made the pool" if pool is True else "left out"
    told.note(lost, f"{counted(lost, 'row')} without a value of {target!r} {were(lost)} {fate}.")
    require(
        not (labelled < 4),
        f"there {plural(labelled, 'is', 'are')} {counted(labelled, 'row')} with a target; a"
        " forecast needs at least 4, and many more to be trusted.",
    )
    table = cells.frame.drop(columns=list(counts)).loc[~missing]
    kind, y, classes = _labels(table[target], task, place)
    if task is None:
        _tell_guess(table[target], kind, classes, told)
    features = (whole.loc[~missing] if untouched else table).drop(columns=target)
    if test is None:
        train, tested = split(y, bool(classes), test_share, seed)
        if not untouched:
            train, tested = with_all_levels(features, train, tested)
    else:
        train, tested = np.arange(labelled), np.arange(labelled, len(table))
        _check_test(y, labelled, classes, table[target], place)
    require(
        not (classes and len(np.unique(y[train])) < 2),
        f"the target {target!r} has a single value in the real part; a classifier needs two.",
    )
    if untouched:
        made: dict[str, Any] = {
            "X": features.iloc[train].reset_index(drop=True),
            "X_test": features.iloc[tested].reset_index(drop=True),
            "pool": _pool(pool, whole[:n].loc[missing[:n]], features, target),
            "features": tuple(features.columns),
            "columns": tuple(features.columns),
        }
    else:
        skip = cells.dates | ({target} if classes else set())
        made = _designed(
            features,
            train,
            tested,
            y,
            classes,
            place,
            told,
            cells.frame[[name for name in table.columns if name not in skip]].iloc[:n],
            target,
        )
    return Table(
        y=y[train],
        y_test=y[tested],
        task=kind,
        guessed=task is None,
        classes=classes,
        rows=n,
        unlabelled=n - labelled,
        notes=tuple(told.notes),
        cautions=tuple(told.cautions),
        labels=tuple(np.unique(table[target])) if classes else (),
        **made,
    )


def _designed(
    features: pd.DataFrame,
    train: Rows,
    tested: Rows,
    y: Array,
    classes: tuple[str, ...],
    place: Callable[[int], str],
    told: Told,
    numbers: pd.DataFrame,
    target: str,
) -> dict[str, Any]:
    """Designs, what they are made of, and what is doubtful in it."""
    told.cautions += _doubts(numbers, target)
    X, X_test, used, columns, rare = design(features, train, tested, place, told)
    told.cautions += [
        f"Column {name!r} may give the target away: {how}. Exclude it if it is known later."
        for name, how in leaks(features[used].iloc[train], y[train], bool(classes)).items()
    ]
    return {
        "X": X,
        "X_test": X_test,
        "features": tuple(used),
        "columns": tuple(columns),
        "rare": tuple(rare),
    }


def _pool(
    pool: pd.DataFrame | bool | None, unlabelled: pd.DataFrame, like: pd.DataFrame, target: str
) -> pd.DataFrame | None:
    """Unlabelled rows, with the columns of the real ones."""
    if pool is None:
        return None
    given = unlabelled if isinstance(pool, bool) else pool
    given = given.set_axis([str(name) for name in given.columns], axis=1)
    absent = [name for name in like.columns if name not in given.columns]
    require(
        not absent, f"the pool has no {columns_named(absent, 'column')}; it needs those of data."
    )
    where = f"no row of data lacks {target!r}" if isinstance(pool, bool) else "pool has no rows"
    require(bool(len(given)), f"there are no unlabelled rows: {where}.")
    return given[like.columns].reset_index(drop=True)


def _doubts(frame: pd.DataFrame, target: str) -> list[str]:
    """What is said of numbers that may stand for missing values."""
    return [
        f"{count:,} cells of {'the target ' if name == target else ''}{name!r} hold {value:g}, far"
        f" from all others: if it stands for a missing value, say so by na={value:g} (--na"
        f" {value:g})."
        for name in frame.columns[frame.dtypes != object]
        for value, count in sentinels(frame[name].to_numpy(np.float64))
    ]


def joined(
    frame: pd.DataFrame,
    test: pd.DataFrame | None,
    target: str | None,
    exclude: Any,
    na: Sequence[Any],
    told: Told,
) -> tuple[pd.DataFrame, int, Callable[[int], str], str]:
    """The table with the test set below it, its own rows, their names, and the decimal mark."""
    exclude = several(exclude, "exclude", "the name of a column")
    table, said = _part(frame, "the table", target, told)
    require(
        target not in exclude,
        f"the target {target!r} cannot be excluded; leave out another column.",
    )
    absent = [name for name in exclude if name not in table.columns]
    require(not absent, f"the table has no {columns_named(absent, 'column')} to exclude.")
    table = table.drop(columns=list(exclude))
    require(
        len(table.columns) > (target is not None),
        "every column beside the target is excluded; leave at least one to predict it from."
        if target is not None
        else "every column is excluded; leave at least one.",
    )
    told.note(exclude, f"{columns_named(exclude)} {were(len(exclude))} excluded.")
    if test is None:
        return table, len(table), lambda row: f"row {row + 1}", said.get("decimal", ".")
    below, more = _part(test, "the test set", target, told, "Test set: ")
    absent = [name for name in table.columns if name not in below.columns]
    require(
        not absent,
        f"the test set has no {columns_named(absent, 'column')}; it needs those of the table.",
    )
    extra = [name for name in below.columns if name not in {*table.columns, *exclude}]
    verb = plural(len(extra), "is", "are")
    told.note(extra, f"{columns_named(extra)} of the test set {verb} not in the table.")
    told.note(True, f"The test set is the {len(below):,} rows of a table of its own.")
    below, n = below[table.columns].copy(), len(table)
    other = [name for name in table.columns if table[name].dtype != below[name].dtype]
    numeric = pandas().api.types.is_numeric_dtype
    for part, beside, words in ((table, below, said), (below, table, more)):
        for name in [name for name in other if numeric(beside[name].dtype)]:
            part[name] = as_other(part[name], na, words.get("decimal", "."))
    parts = [part.astype(dict.fromkeys(other, object)) for part in (table, below)]

    def place(row: int) -> str:
        return f"row {row + 1}" if row < n else f"row {row + 1 - n} of the test set"

    decimal = said.get("decimal", more.get("decimal", "."))
    return pandas().concat(parts, ignore_index=True), n, place, decimal


def _part(
    frame: pd.DataFrame, what: str, target: str | None, told: Told, before: str = ""
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """A table with texts for names and rows counted from 0, and what `read` said of its file."""
    require(
        isinstance(frame, pandas().DataFrame),
        f"{what} must be a pandas.DataFrame; it is {brief(frame)}.",
    )
    said = frame.attrs.get("collapse", {})
    frame = frame.set_axis([str(name) for name in frame.columns], axis=1).reset_index(drop=True)
    check_columns(frame, target, what)
    for kind in ("notes", "cautions"):
        getattr(told, kind).extend(before + sentence for sentence in said.get(kind, []))
    return frame, said


def _labels(
    values: pd.Series[Any], task: str | None, place: Callable[[int], str]
) -> tuple[str, Array, tuple[str, ...]]:
    """Task, labels as floats, and names of the classes."""
    what, distinct = f"the target {str(values.name)!r}", values.nunique()
    number = None if values.dtype == object else values.to_numpy(np.float64)

    def holds(where: Any) -> str:
        """What the first cell marked holds, and its row."""
        row = int(values.index[int(np.argmax(where))])
        return f"{place(row)} holds {values.loc[row]!r}"

    infinite = np.array([False]) if number is None else np.isinf(number)
    row = place(int(values.index[np.argmax(infinite)]))
    require(
        not infinite.any(), f"{what} is infinite in {row}; leave the cell empty, or correct it."
    )
    require(
        distinct != 1,
        f"{what} has the one value {in_words(values.iloc[0])}; there is nothing to predict.",
    )
    kind = task or _guess(number, distinct)
    if kind in ("counts", "continuous"):
        if number is None:
            raise ValueError(f"{what} must hold numbers for the task {kind}; {holds([True])}.")
        bad = (number < 0) | (number != np.floor(number))
        require(
            not (kind == "counts" and bad.any()),
            f"{what} must hold counts 0, 1, 2, ... for the task counts; {holds(bad)}.",
        )
        largest = np.abs(number).max()
        spread = np.ptp(number / largest) * largest
        require(
            not (kind == "continuous" and not (largest < 2.0**EXTREME and spread > 2.0**-EXTREME)),
            f"{what} has numbers of the order {largest:.0e}, whose squares no float holds; "
            "give it in a unit that makes them neither huge nor tiny.",
        )
        return kind, number, ()
    require(
        not (kind == "binary" and distinct != 2),
        f"{what} has {distinct} values, and the task binary needs 2; leave task out, or "
        "use multiclass, which takes any number up to fifty.",
    )
    text = "it is text where numbers should be, or an identifier"
    remedy = text if number is None else "use the task counts or continuous"
    require(
        not (distinct > LARGEST_CLASSES),
        f"{what} has {distinct:,} different values, more than the {LARGEST_CLASSES} classes that"
        f" are supported; {remedy}.",
    )
    code, levels = pandas().factorize(values, sort=True)
    name = "binary" if distinct == 2 else "multiclass"
    return name, code.astype(np.float64), tuple(map(in_words, levels))


def _guess(number: Array | None, distinct: int) -> str:
    """The task that a target suggests: counts come near zero, measures in whole units do not."""
    if number is None or distinct == 2:
        return "binary" if distinct == 2 else "multiclass"
    low, high = number.min(), number.max()
    if (number != np.floor(number)).any() or not 0 <= low <= 1 or high >= LARGEST_COUNT:
        return "continuous"
    return "multiclass" if distinct <= CODES and high - low == distinct - 1 else "counts"


def _tell_guess(values: pd.Series[Any], task: str, classes: tuple[str, ...], told: Told) -> None:
    """Say where numbers were taken for classes or for counts."""
    target = f"target {str(values.name)!r}"
    told.note(
        len(classes) > 2 and values.dtype != object,
        f"The whole numbers {' to '.join(classes[:1] + classes[-1:])} of the {target} were taken"
        " for classes; where they count or measure something, say so by task='counts' or"
        " 'continuous' (--task counts).",
    )
    told.note(
        task == "counts",
        f"The {target} was taken for counts; where it measures something or names classes, say so"
        " by task='continuous' or 'multiclass' (--task continuous).",
    )


def _check_test(
    y: Array, n: int, classes: tuple[str, ...], values: pd.Series[Any], place: Callable[[int], str]
) -> None:
    require(len(y) != n, f"the test set has no row with a value of {str(values.name)!r}.")
    new = ~np.isin(y[n:], y[:n])
    if classes and new.any():
        at = n + int(np.argmax(new))
        name = classes[int(y[at])]
        hint = "; if it is a count, use the task counts" if name.isdecimal() else ""
        raise ValueError(
            f"{place(int(values.index[at]))} has the class {name!r}, which the table has not{hint}."
        )


def with_all_levels(frame: pd.DataFrame, train: Rows, tested: Rows) -> tuple[Rows, Rows]:
    """Move test rows to the real part until it has each level of every column with few levels."""
    for name in frame.columns:
        if frame[name].dtype == object and frame[name].nunique() <= LEVELS:
            level = frame[name].fillna("").to_numpy(object)
            first = {level[row]: row for row in tested[::-1]}
            lost = sorted(first[text] for text in first.keys() - set(level[train]))
            train = np.union1d(train, np.array(lost[: len(tested) - 1], np.intp))
            tested = np.setdiff1d(tested, train)
    return train, tested


def split(y: Array, classified: bool, share: float, seed: int) -> tuple[Rows, Rows]:
    """Real and test rows, at random; classes keep their shares, and each has a real row."""
    order = np.random.default_rng([seed, 0]).permutation(len(y))
    if classified:
        order = order[np.argsort(y[order], kind="stable")]
    # every 1/share-th row along the order
    test = np.diff(np.floor(share * np.arange(len(y) + 1) + 0.5)) > 0
    if classified:
        label = y[order]
        test &= np.isin(label, label[~test])
    test[-1] |= not test.any()
    require(
        not (test.all() or (~test).sum() < 2),
        f"a test share of {share} leaves fewer than 2 of {len(y)} rows to fit; reduce it.",
    )
    return np.sort(order[~test]), np.sort(order[test])
