"""A user's own table: from a file to a design, labels and a test set, with every liberty taken said in words."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from collapse.checks import check_number

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]

TASKS = ("binary", "multiclass", "counts", "continuous")
EXTRA = "a forecast needs pandas and scikit-learn: pip install 'collapse-companion[data]'."

CODES = 10
"""Most different whole numbers 0, 1, ... or 1, 2, ... that are taken for codes of classes."""
LARGEST_CLASSES = 50
LEVELS = 20
"""Most levels of a text column; rarer ones are put together."""
LARGEST_COUNT = 1e6
"""Above it whole numbers are taken for measurements."""
DEPENDENT = 1e-10
"""Squared share of a standardised column that no other column explains, below which it counts as redundant."""
RARE = 20
"""Rows below which a level is rare."""


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
    rare : tuple of (str, str, int)
        Column, level and number of real rows, for levels of text columns with fewer than 20 of them.
    wide : bool
        Whether the design has at least as many columns as rows; then nothing was done about redundant columns.
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
    rare: tuple[tuple[str, str, int], ...] = field(default=())

    @property
    def wide(self) -> bool:
        return bool(self.X.shape[1] >= self.X.shape[0])


def read(path: str | Path, target: str) -> pd.DataFrame:
    """Read a CSV file (separated by comma, semicolon or tab; with the last two decimals may have commas) or a parquet file with a column called `target`.

    Raises
    ------
    FileNotFoundError
        Where there is no such file.
    ValueError
        Where the file is empty, no table, has no header or no such column; in one sentence.
    ImportError
        Where pandas is missing, or what it needs for parquet.
    """
    path = Path(path)
    pd = _pandas()
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}.")
    if path.stat().st_size == 0:
        raise ValueError(f"{path} is empty; it needs a line of column names and rows of values.")
    if path.suffix.lower() in (".parquet", ".pq"):
        try:
            frame = pd.read_parquet(path)
        except ImportError as error:
            raise ImportError(
                f"reading {path} needs pyarrow: pip install 'collapse-companion[parquet]', or save the table as CSV."
            ) from error
        except (OSError, ValueError) as error:
            raise ValueError(f"{path} is no parquet file: {_first_line(error)}") from error
    else:
        try:
            with path.open(encoding="utf-8-sig") as stream:
                head, first = stream.readline(), stream.readline()
            separator = max(",;\t", key=head.count)
            decimal = "," if separator != "," and re.search(r"\d,\d", first) else "."
            frame = pd.read_csv(path, sep=separator, decimal=decimal, encoding="utf-8-sig", skipinitialspace=True, low_memory=False)
        except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
            raise ValueError(f"{path} is no table in CSV (UTF-8, one line for each row): {_first_line(error)}") from error
    frame.columns = [str(name).strip() for name in frame.columns]
    check_columns(frame, target, str(path))
    return frame


def check_columns(frame: pd.DataFrame, target: str, name: str) -> None:
    """Raise a ValueError where the table has no header, no rows, no column `target` or nothing but it."""
    names = [str(column) for column in frame.columns]
    if target not in names:
        if any(_is_number(column) for column in names):
            raise ValueError(
                f"{name} seems to have no header, since its first line holds the number {next(c for c in names if _is_number(c))}; "
                "write the names of the columns there."
            )
        known = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
        raise ValueError(f"{name} has no column {target!r} to be the target; it has {known}.")
    if twice := [column for column in names if names.count(column) > 1]:
        raise ValueError(f"{name} has {names.count(twice[0])} columns called {twice[0]!r}; rename all but one.")
    if not len(frame):
        raise ValueError(f"{name} has a header and no rows.")
    if len(names) < 2:
        raise ValueError(f"{name} has no column beside the target {target!r}; a regression needs at least one to predict it from.")


def prepare(frame: pd.DataFrame, target: str, task: str | None = None, test_share: float = 0.3, seed: int = 0) -> Table:
    """Split a table, and make designs of it by scikit-learn's own pipeline.

    Numbers: missing values become the median, then columns are standardised. Text: a missing value is a level of its own, levels beyond the
    most frequent twenty are put together, and each level but the first becomes a column of zeros and ones. The pipeline is fitted to the
    real part alone. Classes keep their shares in both parts.

    Parameters
    ----------
    frame : pandas.DataFrame
        The table.
    target : str
        Column to predict.
    task : {"binary", "multiclass", "counts", "continuous"}, optional
        What the target is. Default: guessed from its values.
    test_share : float
        Share of the rows to be the test set.
    seed : int
        Of the split.

    Returns
    -------
    Table

    Raises
    ------
    ValueError
        Where the table cannot be used: in one sentence that names the column and, where there is one, the row.
    """
    check_columns(frame, target, "the table")
    check_number(test_share, "test_share")
    if not 0 < test_share < 1:
        raise ValueError(f"test_share must lie strictly between 0 and 1; it is {test_share}.")
    notes: list[str] = []
    frame = frame.reset_index(drop=True).rename(columns=str).infer_objects()  # messages name rows by their place in the file
    missing = frame[target].isna().to_numpy()
    if missing.all():
        raise ValueError(f"the target {target!r} has no values at all.")
    unlabelled = int(missing.sum())
    if unlabelled:
        notes.append(
            f"{unlabelled:,} {_plural(unlabelled, 'row')} without a value of {target!r} {_plural(unlabelled, 'was', 'were')} left out."
        )
    rows = len(frame)
    table = frame.loc[~missing] if unlabelled else frame
    if len(table) < 4:
        raise ValueError(f"there are {len(table)} rows with a target; a forecast needs at least 4, and many more to be trusted.")
    kind, guessed, y, classes = _labels(table[target], task)
    train, test = _split(y, bool(classes), test_share, seed)
    if classes and len(np.unique(y[train])) < 2:
        raise ValueError(f"the target {target!r} has a single value in the real part of the table; a classifier needs two classes.")
    X, X_test, features, columns, more = _designs(table.drop(columns=target), train, test)
    notes += more
    if X.shape[1] < X.shape[0]:
        keep = _independent(X)
        if len(keep) < X.shape[1]:
            lost = [columns[j] for j in range(X.shape[1]) if j not in set(keep.tolist())]
            notes.append(
                f"{len(lost)} redundant {_plural(len(lost), 'column')} of the design, {_list(lost)}, "
                f"{_plural(len(lost), 'follows', 'follow')} from the others and {_plural(len(lost), 'was', 'were')} left out; predictions do not change."
            )
            X, X_test, columns = np.ascontiguousarray(X[:, keep]), np.ascontiguousarray(X_test[:, keep]), [columns[j] for j in keep]
    rare = _rare(table.iloc[train], features)
    return Table(
        X, y[train], X_test, y[test], kind, guessed, classes, tuple(features), tuple(columns), rows, unlabelled, tuple(notes), rare
    )


def _labels(values: pd.Series[Any], task: str | None) -> tuple[str, bool, Array, tuple[str, ...]]:
    """Task, whether it was guessed, labels as floats, and names of the classes."""
    pd = _pandas()
    name = str(values.name)
    if task is not None and task not in TASKS:
        raise ValueError(f"task must be one of {', '.join(TASKS)}; it is {task!r}.")
    number: Array | None = None
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        number = values.to_numpy(np.float64)
        if not np.isfinite(number).all():
            raise ValueError(f"the target {name!r} is infinite in row {_row(values, ~np.isfinite(number))}.")
    distinct = values.nunique()
    if distinct == 1:
        raise ValueError(f"the target {name!r} has the one value {values.iloc[0]!s}; there is nothing to predict.")
    guess = task is None
    if task is None:
        task = _guess(values, number, distinct, name)
    if task in ("counts", "continuous"):
        if number is None:
            number = pd.to_numeric(values, errors="coerce").to_numpy(np.float64)
            wrong = np.isnan(number)
            row = _row(values, wrong if wrong.any() else ~wrong)
            raise ValueError(f"the target {name!r} must hold numbers for the task {task}; row {row} holds {_at(values, row)!r}.")
        if task == "counts" and (bad := (number < 0) | (number != np.floor(number))).any():
            row = _row(values, bad)
            raise ValueError(f"the target {name!r} must hold counts 0, 1, 2, ... for the task counts; row {row} holds {_at(values, row)}.")
        return task, guess, number, ()
    code, levels = pd.factorize(values, sort=True)
    classes = tuple(str(int(v)) if isinstance(v, float) and v == int(v) else str(v) for v in levels)
    if task == "binary" and len(classes) != 2:
        raise ValueError(f"the target {name!r} has {len(classes)} values, and the task binary needs 2; leave task out, or use multiclass.")
    if len(classes) > LARGEST_CLASSES:
        raise ValueError(
            f"the target {name!r} has {len(classes):,} different values, more than the {LARGEST_CLASSES} classes that are supported; "
            + ("it is text where numbers should be, or an identifier." if number is None else "use the task counts or continuous.")
        )
    return ("binary" if len(classes) == 2 else "multiclass"), guess, code.astype(np.float64), classes


def _guess(values: Any, number: Array | None, distinct: int, name: str) -> str:
    if distinct == 2:
        return "binary"
    if number is None:
        _refuse_mixed(values, f"the target {name!r}")
        return "multiclass"
    if (number != np.floor(number)).any() or number.min() < 0 or number.max() > LARGEST_COUNT:
        return "continuous"
    if distinct <= CODES and number.min() <= 1 and number.max() - number.min() == distinct - 1:
        return "multiclass"
    # counts come near zero, and spread like their mean rather than like a measurement in whole units
    return "counts" if number.min() <= 1 and number.max() < 1000 else "continuous"


def _refuse_mixed(values: Any, what: str) -> None:
    """Refuse a column of text most of which are numbers: it is a column of numbers with something wrong in it."""
    pd = _pandas()
    if not (pd.api.types.is_object_dtype(values) or pd.api.types.is_string_dtype(values)):
        return  # truth values, categories, dates
    parsed = pd.to_numeric(values, errors="coerce")
    present = values.notna()
    if present.any() and parsed[present].notna().all():
        raise ValueError(f"{what} holds numbers written as text; convert them by pandas.to_numeric.")
    if 2 * int(parsed.notna().sum()) > int(present.sum()):
        row = _row(values, (present & parsed.isna()).to_numpy())
        raise ValueError(
            f"{what} holds numbers and text: row {row} holds {_at(values, row)!r}. Leave the cell empty where a value is missing, "
            "and write decimals with a point."
        )


def _split(y: Array, classified: bool, share: float, seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows of the real part and of the test set, at random; classes keep their shares, and each is in the real part."""
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
        raise ValueError(f"a test share of {share} leaves fewer than 2 of {len(y)} rows to fit; take a smaller one.")
    return np.sort(order[~test]), np.sort(order[test])


def _designs(frame: pd.DataFrame, train: Any, test: Any) -> tuple[Array, Array, list[str], list[str], list[str]]:
    pd = _pandas()
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
        if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
            values = column.to_numpy(np.float64, na_value=np.nan)
            if np.isinf(values).any():
                raise ValueError(
                    f"column {name!r} is infinite in row {_row(column, np.isinf(values))}; leave the cell empty, or correct it."
                )
            kind = numbers
        else:
            _refuse_mixed(column, f"column {name!r}")
            kind = texts
        distinct = column.nunique()
        if not distinct:
            empty.append(name)
        elif distinct == 1 and (kind is numbers or column.notna().all()):
            constant.append(name)
        elif kind is texts and distinct > LEVELS and distinct > 0.5 * column.notna().sum():
            names.append(name)
        else:
            kind.append(name)
    for lost, why in ((empty, "no values"), (constant, "one value only"), (names, "a different text in most rows, like a name or a date")):
        if lost:
            notes.append(
                f"{_plural(len(lost), 'Column', 'Columns')} {_list(lost)} {_plural(len(lost), 'has', 'have')} {why} and {_plural(len(lost), 'was', 'were')} left out."
            )
    if not numbers and not texts:
        raise ValueError(f"no column can be used to predict the target: {' '.join(notes)}")
    blank = real[numbers + texts].isna()
    if holes := int(blank.to_numpy().sum()):
        where = [name for name in blank.columns if blank[name].any()]
        notes.append(
            f"{holes:,} missing {_plural(holes, 'value')} in {_list(where)} {_plural(holes, 'was', 'were')} filled in: "
            "a number by its column's median, a text as a level of its own."
        )
    number = make_pipeline(SimpleImputer(strategy="median"), StandardScaler(copy=False))
    text = make_pipeline(
        SimpleImputer(strategy="constant", fill_value="(missing)"),
        OneHotEncoder(drop="first", max_categories=LEVELS, handle_unknown="infrequent_if_exist", sparse_output=False),
    )
    columns = ColumnTransformer([("number", number, numbers), ("text", text, texts)], verbose_feature_names_out=False)
    frame = frame[numbers + texts].astype(dict.fromkeys(numbers, np.float64) | dict.fromkeys(texts, object))
    for name in texts:
        frame[name] = frame[name].map(str, na_action="ignore").astype(object).where(frame[name].notna(), np.nan)
    with warnings.catch_warnings():
        # a level that only test rows have is counted as the first one; scikit-learn warns of each
        warnings.filterwarnings("ignore", message="Found unknown categories", category=UserWarning)
        X = columns.fit_transform(frame.iloc[train])
        X_test = columns.transform(frame.iloc[test])
    labels = ["(intercept)", *map(str, columns.get_feature_names_out())]
    return _with_ones(X), _with_ones(X_test), numbers + texts, labels, notes


def _rare(real: pd.DataFrame, features: list[str]) -> tuple[tuple[str, str, int], ...]:
    """Levels of text columns that few real rows have, as the design counts them: beyond the most frequent, together."""
    pd = _pandas()
    out = []
    for name in features:
        if pd.api.types.is_numeric_dtype(real[name]) and not pd.api.types.is_bool_dtype(real[name]):
            continue
        counts = real[name].map(str, na_action="ignore").value_counts()
        if len(counts) > LEVELS:
            counts = pd.concat([counts[: LEVELS - 1], pd.Series({"(others)": counts[LEVELS - 1 :].sum()})])
        out += [(name, str(level), int(rows)) for level, rows in counts.items() if rows < RARE]
    return tuple(out)


def _with_ones(X: Any) -> Array:
    out = np.empty((X.shape[0], X.shape[1] + 1))
    out[:, 0], out[:, 1:] = 1.0, X
    return out


def _independent(X: Array) -> NDArray[np.intp]:
    """Columns, in order, that no earlier ones explain: Cholesky's elimination of the Gram matrix."""
    gram = X.T @ X
    scale = np.sqrt(np.maximum(np.diag(gram), np.finfo(float).tiny))
    gram /= np.outer(scale, scale)
    keep = []
    for j in range(len(gram)):
        if gram[j, j] > DEPENDENT:
            keep.append(j)
            gram[j + 1 :, j + 1 :] -= np.outer(gram[j + 1 :, j], gram[j, j + 1 :]) / gram[j, j]
    return np.array(keep, np.intp)


def _row(values: Any, where: Any) -> int:
    """Line of the data, counted from 1 without the header, of the first row marked."""
    return int(values.index[int(np.argmax(where))]) + 1


def _at(values: Any, row: int) -> Any:
    return values.loc[row - 1]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _list(names: list[str]) -> str:
    shown = [repr(str(name)) for name in names[:8]]
    return ", ".join(shown) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _plural(count: int, one: str, many: str | None = None) -> str:
    return one if count == 1 else many or one + "s"


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".") + "."


def _pandas() -> Any:
    try:
        import pandas
    except ImportError as error:
        raise ImportError(EXTRA) from error
    return pandas
