"""A user's own table: from its columns to a design, labels and a test set, and what was done."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from collapse.checks import brief, check_number, choice, several
from collapse.forecasting.cells import as_other, clean
from collapse.forecasting.needs import EXTRA, pandas
from collapse.forecasting.numerals import listed
from collapse.forecasting.reading import check_columns, load, read
from collapse.forecasting.suspects import identifiers, leaks, sentinels

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["EXTRA", "TASKS", "Table", "load", "prepare", "read"]

Array = NDArray[np.float64]

TASKS = ("binary", "multiclass", "counts", "continuous")

CODES = 10
"""Most different whole numbers 0, 1, ... or 1, 2, ... that are taken for codes of classes."""
LARGEST_CLASSES = 50
LEVELS = 20
"""Most levels of a text column; rarer ones are put together."""
LARGEST_COUNT = 1e6
"""Above it whole numbers are taken for measurements."""
RARE = 20
"""Rows below which a level is called rare."""
EXTREME = 300
"""Powers of two beyond which a column is scaled, since no float holds a square of its numbers."""
ABSENT = "(missing)"
ENTRIES = 2**28
"""Most numbers in a design: 2 GB."""
DEPENDENT = 1e-10
"""Squared share of a standardised column that no other explains, below which it is redundant."""


@dataclass(frozen=True, eq=False)
class Table:
    """A table ready to be fitted.

    Attributes
    ----------
    X, X_test : ndarray, shapes (n, p) and (m, p)
        Designs, a column of ones first, the others standardised.
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
    wide : bool
        Whether the design has at least as many columns as rows; then redundant ones were left in.
    """

    X: Array
    y: Array
    X_test: Array
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

    @property
    def wide(self) -> bool:
        return bool(self.X.shape[1] >= self.X.shape[0])


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
    check_number(test_share, "test_share")
    if not 0 < test_share < 1:
        raise ValueError(f"test_share must lie strictly between 0 and 1; it is {test_share}.")
    task = None if task is None else choice(task, "task", TASKS)
    codes = several(na, "na", "a number or text that stands for a missing value", numbers=True)
    gone = several(exclude, "exclude", "the name of a column")
    whole, place, notes, cautions, decimal = _joined(frame, test, target, gone, codes)
    cells = clean(whole, target, codes, decimal, place, len(frame))
    notes += cells.notes
    cautions += cells.cautions
    counted = identifiers(cells.frame.iloc[: len(frame)], cells.whole, {target, *cells.dates})
    notes += [f"Column {name!r} {what} and was left out." for name, what in counted.items()]
    table = cells.frame.drop(columns=list(counted))
    missing = table[target].isna().to_numpy()
    unlabelled = int(missing[: len(frame)].sum())
    if unlabelled == len(frame):
        raise ValueError(f"the target {target!r} has no values at all.")
    if lost := int(missing.sum()):
        notes.append(f"{_rows(lost)} without a value of {target!r} {_were(lost)} left out.")
    table = table.loc[~missing]
    labelled = len(frame) - unlabelled
    if labelled < 4:
        there = f"there {_plural(labelled, 'is', 'are')} {_rows(labelled)} with a target"
        raise ValueError(f"{there}; a forecast needs at least 4, and many more to be trusted.")
    kind, guessed, y, classes = _labels(table[target], task, place)
    if guessed and len(classes) > 2 and table[target].dtype != object:
        codes_of = f"numbers {classes[0]} to {classes[-1]} of the target {target!r}"
        notes.append(
            f"The whole {codes_of} were taken for classes; where they count or measure something, "
            "say so by task='counts' or 'continuous' (--task counts)."
        )
    elif guessed and kind == "counts":
        notes.append(
            f"The target {target!r} was taken for counts; where it measures something or names "
            "classes, say so by task='continuous' or 'multiclass' (--task continuous)."
        )
    features = table.drop(columns=target)
    if test is None:
        train, tested = _split(y, bool(classes), test_share, seed)
        train, tested = _with_all_levels(features, train, tested)
    else:
        train, tested = np.arange(labelled), np.arange(labelled, len(table))
        _check_test(y, train, tested, classes, table.index, target, place)
    if classes and len(np.unique(y[train])) < 2:
        raise ValueError(
            f"the target {target!r} has a single value in the real part; a classifier needs two."
        )
    for name in table.columns:
        if table[name].dtype == object or name in cells.dates or (name == target and classes):
            continue
        what = f"the target {name!r}" if name == target else repr(name)
        values = cells.frame[name].to_numpy(np.float64)[: len(frame)]
        cautions += [
            f"{count:,} cells of {what} hold {value:g}, far from all others: if it stands for a "
            f"missing value, say so by na={value:g} (--na {value:g})."
            for value, count in sentinels(values)
        ]
    X, X_test, used, columns, rare, more = _designs(features, train, tested, place)
    notes += more
    cautions += [
        f"Column {name!r} may give the target away: {how}. Exclude it if it is known later."
        for name, how in leaks(features[used].iloc[train], y[train], bool(classes)).items()
    ]
    if X.shape[1] < X.shape[0]:
        keep = _independent(X)
        if len(keep) < X.shape[1]:
            kept = set(keep.tolist())
            redundant = [name for j, name in enumerate(columns) if j not in kept]
            count = len(redundant)
            follow = _plural(count, "follows", "follow")
            notes.append(
                f"{count} redundant {_plural(count, 'column')} of the design, {_list(redundant)}, "
                f"{follow} from the others and {_were(count)} left out; "
                "predictions by maximum likelihood do not change."
            )
            X, X_test, columns = (
                np.ascontiguousarray(X[:, keep]),
                np.ascontiguousarray(X_test[:, keep]),
                [columns[j] for j in keep],
            )
    return Table(
        X=X,
        y=y[train],
        X_test=X_test,
        y_test=y[tested],
        task=kind,
        guessed=guessed,
        classes=classes,
        features=tuple(used),
        columns=tuple(columns),
        rows=len(frame),
        unlabelled=unlabelled,
        notes=tuple(notes),
        cautions=tuple(cautions),
        rare=tuple(rare),
    )


def _joined(
    frame: pd.DataFrame,
    test: pd.DataFrame | None,
    target: str,
    exclude: Sequence[Any],
    na: Sequence[Any],
) -> tuple[pd.DataFrame, Callable[[int], str], list[str], list[str], str]:
    """The table with the test set below it, the name of a row, notes, cautions and decimal mark."""
    table, told = _part(frame, "the table", target)
    if target in exclude:
        raise ValueError(f"the target {target!r} cannot be excluded; leave out another column.")
    if absent := [name for name in exclude if name not in table.columns]:
        raise ValueError(f"the table has no {_columns(absent, 'column')} to exclude.")
    table = table.drop(columns=list(exclude))
    if len(table.columns) < 2:
        raise ValueError(
            "every column beside the target is excluded; leave at least one to predict it from."
        )
    notes, cautions = list(told.get("notes", [])), list(told.get("cautions", []))
    if exclude:
        notes.append(f"{_columns(exclude)} {_were(len(exclude))} excluded.")
    if test is None:
        return table, lambda row: f"row {row + 1}", notes, cautions, told.get("decimal", ".")
    below, more = _part(test, "the test set", target)
    if absent := [name for name in table.columns if name not in below.columns]:
        raise ValueError(
            f"the test set has no {_columns(absent, 'column')}; it needs those of the table."
        )
    notes += [f"Test set: {note}" for note in more.get("notes", [])]
    cautions += [f"Test set: {caution}" for caution in more.get("cautions", [])]
    known = {*table.columns, *exclude}
    if extra := [name for name in below.columns if name not in known]:
        are = _plural(len(extra), "is", "are")
        notes.append(f"{_columns(extra)} of the test set {are} not in the table.")
    notes.append(f"The test set is the {len(below):,} rows of a table of its own.")
    below, n = below[table.columns].copy(), len(table)
    other = [name for name in table.columns if table[name].dtype != below[name].dtype]
    numeric = pandas().api.types.is_numeric_dtype
    for name in other:
        if numeric(below[name].dtype):
            table[name] = as_other(table[name], na, told.get("decimal", "."))
        elif numeric(table[name].dtype):
            below[name] = as_other(below[name], na, more.get("decimal", "."))
    parts = [part.astype(dict.fromkeys(other, object)) for part in (table, below)]
    both = pandas().concat(parts, ignore_index=True)

    def place(row: int) -> str:
        return f"row {row + 1}" if row < n else f"row {row + 1 - n} of the test set"

    return both, place, notes, cautions, told.get("decimal", more.get("decimal", "."))


def _part(frame: pd.DataFrame, what: str, target: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """A table with texts for names and rows counted from 0, and what `read` said of its file."""
    if not isinstance(frame, pandas().DataFrame):
        raise ValueError(f"{what} must be a pandas.DataFrame; it is {brief(frame)}.")
    frame, told = (
        frame.set_axis([str(name) for name in frame.columns], axis=1),
        frame.attrs.get("collapse", {}),
    )
    check_columns(frame, target, what)
    return frame.reset_index(drop=True), told


def _labels(
    values: pd.Series[Any], task: str | None, place: Callable[[int], str]
) -> tuple[str, bool, Array, tuple[str, ...]]:
    """Task, whether it was guessed, labels as floats, and names of the classes."""
    what = f"the target {str(values.name)!r}"
    number = None if values.dtype == object else values.to_numpy(np.float64)
    if number is not None and not np.isfinite(number).all():
        row = _first(values, ~np.isfinite(number))
        raise ValueError(
            f"{what} is infinite in {place(row)}; leave the cell empty, or correct it."
        )
    distinct = values.nunique()
    if distinct == 1:
        raise ValueError(
            f"{what} has the one value {_name(values.iloc[0])}; there is nothing to predict."
        )
    guess = task is None
    if task is None:
        task = _guess(number, distinct)
    if task in ("counts", "continuous"):
        if number is None:
            row = int(values.index[0])
            cell = f"{place(row)} holds {values.loc[row]!r}"
            raise ValueError(f"{what} must hold numbers for the task {task}; {cell}.")
        if task == "counts" and (bad := (number < 0) | (number != np.floor(number))).any():
            row = _first(values, bad)
            cell = f"{place(row)} holds {values.loc[row]}"
            raise ValueError(f"{what} must hold counts 0, 1, 2, ... for the task counts; {cell}.")
        largest = np.abs(number).max()
        spread = np.ptp(number / largest) * largest
        if task == "continuous" and not (largest < 2.0**EXTREME and spread > 2.0**-EXTREME):
            raise ValueError(
                f"{what} has numbers of the order {largest:.0e}, whose squares no float holds; "
                "give it in a unit that makes them neither huge nor tiny."
            )
        return task, guess, number, ()
    code, levels = pandas().factorize(values, sort=True)
    classes = tuple(map(_name, levels))
    if task == "binary" and len(classes) != 2:
        raise ValueError(
            f"{what} has {len(classes)} values, and the task binary needs 2; leave task out, or "
            "use multiclass, which takes any number up to fifty."
        )
    if len(classes) > LARGEST_CLASSES:
        text = "it is text where numbers should be, or an identifier"
        remedy = text if number is None else "use the task counts or continuous"
        more = f"more than the {LARGEST_CLASSES} classes that are supported"
        raise ValueError(f"{what} has {len(classes):,} different values, {more}; {remedy}.")
    return (
        ("binary" if len(classes) == 2 else "multiclass"),
        guess,
        code.astype(np.float64),
        classes,
    )


def _name(level: Any) -> str:
    """A class or a level in words: whole numbers without a point."""
    whole = isinstance(level, float) and level == np.floor(level) and abs(level) < 1e15
    return str(int(level)) if whole else str(level)


def _guess(number: Array | None, distinct: int) -> str:
    if distinct == 2:
        return "binary"
    if number is None:
        return "multiclass"
    if (number != np.floor(number)).any() or number.min() < 0 or number.max() > LARGEST_COUNT:
        return "continuous"
    if distinct <= CODES and number.min() <= 1 and number.max() - number.min() == distinct - 1:
        return "multiclass"
    # counts come near zero; a measurement in whole units does not
    return "counts" if number.min() <= 1 and number.max() < 1000 else "continuous"


def _check_test(
    y: Array,
    train: Any,
    tested: Any,
    classes: tuple[str, ...],
    rows: Any,
    target: str,
    place: Callable[[int], str],
) -> None:
    if not len(tested):
        raise ValueError(f"the test set has no row with a value of {target!r}.")
    new = ~np.isin(y[tested], y[train])
    if classes and new.any():
        at = int(tested[np.argmax(new)])
        name = classes[int(y[at])]
        hint = "; if it is a count, use the task counts" if name.isdecimal() else ""
        raise ValueError(
            f"{place(int(rows[at]))} has the class {name!r}, which the table has not{hint}."
        )


def _with_all_levels(
    frame: pd.DataFrame, train: Any, tested: Any
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Move test rows to the real part until it has each level of every column with few levels."""
    for name in frame.columns:
        if frame[name].dtype == object and frame[name].nunique() <= LEVELS:
            level = frame[name].fillna("").to_numpy(object)
            seen = set(level[train])
            for row in tested:
                if level[row] not in seen and len(tested) > 1:
                    seen.add(level[row])
                    train, tested = np.sort(np.append(train, row)), tested[tested != row]
    return train, tested


def _split(
    y: Array, classified: bool, share: float, seed: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Real and test rows, at random; classes keep their shares, and each has a real row."""
    order = np.random.default_rng([seed, 0]).permutation(len(y))
    if classified:
        order = order[np.argsort(y[order], kind="stable")]
    # every 1/share-th row along the order
    count = np.floor(share * np.arange(len(y) + 1) + 0.5)
    test = np.diff(count) > 0
    if classified:
        label = y[order]
        for absent in np.setdiff1d(label[test], label[~test]):
            test[label == absent] = False
    if not test.any():
        test[-1] = True
    if test.all() or (~test).sum() < 2:
        raise ValueError(
            f"a test share of {share} leaves fewer than 2 of {len(y)} rows to fit; reduce it."
        )
    return np.sort(order[~test]), np.sort(order[test])


def _designs(
    frame: pd.DataFrame, train: Any, test: Any, place: Callable[[int], str]
) -> tuple[Array, Array, list[str], list[str], list[tuple[str, str, int]], list[str]]:
    """Designs of the real part and the test set, columns used and made, rare levels, and notes."""
    try:
        from sklearn.compose import ColumnTransformer
        from sklearn.impute import SimpleImputer
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import OneHotEncoder, StandardScaler
    except ImportError as error:
        raise ImportError(EXTRA) from error
    notes: list[str] = []
    numbers: list[str] = []
    texts: list[str] = []
    empty, constant, names = [], [], []
    real = frame.iloc[train]
    for name in frame.columns:
        column = real[name]
        kind = texts if column.dtype == object else numbers
        if kind is numbers and (infinite := np.isinf(frame[name].to_numpy(np.float64))).any():
            row = _first(frame, infinite)
            cell = f"column {name!r} is infinite in {place(row)}"
            raise ValueError(f"{cell}; leave the cell empty, or correct it.")
        distinct, present = column.nunique(), int(column.notna().sum())
        if not distinct:
            empty.append(name)
        elif distinct == 1 and (kind is numbers or present == len(column)):
            constant.append(name)
        elif (
            kind is texts  # most are different, and they are many or all
            and 2 * distinct > present
            and distinct > min(LEVELS, max(4, present - 1))
        ):
            names.append(name)
        else:
            kind.append(name)
    for lost, why in (
        (empty, "no values"),
        (constant, "one value only"),
        (names, "a different text in most rows, like a name or a remark"),
    ):
        if lost:
            have = _plural(len(lost), "has", "have")
            notes.append(f"{_columns(lost)} {have} {why} and {_were(len(lost))} left out.")
    if not numbers and not texts:
        raise ValueError(f"no column can be used to predict the target: {' '.join(notes)}")
    blank = real[numbers + texts].isna()
    if holes := int(blank.to_numpy().sum()):
        where = [name for name in blank.columns if blank[name].any()]
        values = _plural(holes, "value")
        notes.append(
            f"{holes:,} missing {values} in {_list(where)} {_were(holes)} filled in: "
            "a number by its column's median, a text as a level of its own."
        )
    frame = frame[numbers + texts].copy()
    notes += _scale(frame, numbers, train)
    frame[texts] = frame[texts].astype(object).where(frame[texts].notna(), ABSENT)
    rare, more = _rare(frame, numbers, texts, train, test)
    notes += more
    width = 1 + len(numbers) + sum(min(frame[name].nunique(), LEVELS) for name in texts)
    if len(frame) * width > ENTRIES:
        raise ValueError(
            f"the design would have {len(frame):,} rows and {width:,} columns, more numbers than "
            f"the {ENTRIES:,} that are supported; exclude columns, or take fewer rows."
        )
    number = make_pipeline(SimpleImputer(strategy="median"), StandardScaler(copy=False))
    text = OneHotEncoder(
        drop="first",
        max_categories=LEVELS,
        handle_unknown="infrequent_if_exist",
        sparse_output=False,
    )
    columns = ColumnTransformer(
        [("number", number, numbers), ("text", text, texts)], verbose_feature_names_out=False
    )
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message="Found unknown categories", category=UserWarning
        )  # it is said by a note
        X = columns.fit_transform(frame.iloc[train])
        X_test = columns.transform(frame.iloc[test])
    levels = columns.named_transformers_["text"].get_feature_names_out(texts) if texts else []
    labels = ["(intercept)", *numbers, *map(str, levels)]
    if (far := ~np.isfinite(X_test).all(axis=0)).any():
        raise ValueError(
            f"column {labels[1 + int(np.argmax(far))]!r} has numbers in the test set that are too "
            "far from those of the real rows; correct them, or exclude the column."
        )
    return _with_ones(X), _with_ones(X_test), numbers + texts, labels, rare, notes


def _scale(frame: pd.DataFrame, numbers: list[str], train: Any) -> list[str]:
    """Bring enormous or tiny columns to the order of 1, in place; powers of two change no digit."""
    done = []
    for name in numbers:
        power = int(np.frexp(np.nanmax(np.abs(frame[name].to_numpy(np.float64)[train])))[1])
        if abs(power) > EXTREME:
            with np.errstate(over="ignore"):
                frame[name] = np.ldexp(frame[name].to_numpy(np.float64), -power)
            done.append(f"{name!r} (order 1e{int(np.floor((power - 1) * np.log10(2))):+d})")
    if not done:
        return []
    said = "Numbers of extreme size were scaled to the order of 1 before they were standardised"
    return [f"{said}, which changes no prediction: {listed(done)}."]


def _rare(
    frame: pd.DataFrame, numbers: list[str], texts: list[str], train: Any, test: Any
) -> tuple[list[tuple[str, str, int]], list[str]]:
    """Levels with few rows in the real part, and what is said of levels."""
    rare, notes = [], []
    real, tested = frame.iloc[train], frame.iloc[test]
    for name in texts:
        count = real[name].value_counts()
        if len(count) > LEVELS:
            together = int(count.iloc[LEVELS - 1 :].sum())
            notes.append(
                f"Column {name!r} has {len(count):,} levels; all but the {LEVELS - 1} most "
                f"frequent were put together ({_rows(together)} of the real ones)."
            )
            others = pandas().Series({"(others)": together})
            count = pandas().concat([count.iloc[: LEVELS - 1], others])
        rare += [(name, str(level), int(rows)) for level, rows in count.items() if rows < RARE]
        if new := int((~tested[name].isin(real[name].unique())).sum()):
            grouped = len(count) == LEVELS and real[name].nunique() > LEVELS
            among = "among the levels put together" if grouped else "as the first level"
            unseen = f"{new:,} test {_plural(new, 'row')} with a level of {name!r}"
            notes.append(f"{unseen} that no real row has {_were(new)} counted {among}.")
    for name in numbers:
        values = real[name].to_numpy(np.float64)
        different, times = np.unique(values[~np.isnan(values)], return_counts=True)
        if (others := int(times.sum() - times.max())) < min(RARE, times.max()):
            usual = float(different[np.argmax(times)])
            rare.append((name, f"other than {_name(usual)}", others))
    return rare, notes


def _with_ones(X: Any) -> Array:
    out = np.empty((X.shape[0], X.shape[1] + 1))
    out[:, 0], out[:, 1:] = 1.0, X
    return out


def _independent(X: Array) -> NDArray[np.intp]:
    """Columns that no earlier ones explain: Cholesky's elimination of the Gram matrix."""
    gram = X.T @ X
    scale = np.sqrt(np.maximum(np.diag(gram), np.finfo(float).tiny))
    gram /= np.outer(scale, scale)
    keep = []
    for j in range(len(gram)):
        if gram[j, j] > DEPENDENT:
            keep.append(j)
            gram[j + 1 :, j + 1 :] -= np.outer(gram[j + 1 :, j], gram[j, j + 1 :]) / gram[j, j]
    return np.array(keep, np.intp)


def _first(values: Any, where: Any) -> int:
    """Place in the table of the first row marked."""
    return int(values.index[int(np.argmax(where))])


def _columns(names: Sequence[str], one: str = "Column") -> str:
    return f"{_plural(len(names), one)} {_list(names)}"


def _rows(count: int) -> str:
    return f"{count:,} {_plural(count, 'row')}"


def _were(count: int) -> str:
    return _plural(count, "was", "were")


def _list(names: Sequence[str]) -> str:
    return listed([repr(str(name)) for name in names])


def _plural(count: int, one: str, many: str | None = None) -> str:
    return one if count == 1 else many or one + "s"
