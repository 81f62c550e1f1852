"""Cells of a table's columns: numbers, dates and levels told from their types and their text."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import product
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from collapse.checks import (
    plural,
    require,
)
from collapse.forecasting.common import (
    listed,
    pandas,
    were,
)
from collapse.forecasting.texts import (
    Texts,
    Told,
    compact,
    dates,
    days,
    hours,
    mixed,
    numbers,
    texts_of,
    undecided,
)

if TYPE_CHECKING:
    import pandas as pd


KINDS: dict[str, tuple[type, ...]] = {
    "text": (str,),
    "truth": (bool, np.bool_),
    "span": (datetime.timedelta, np.timedelta64),
    "date": (datetime.date, np.datetime64),
    "complex": (complex, np.complexfloating),
    "whole": (int, np.integer),
    "number": (Real, Decimal, np.number),
    "container": (list, tuple, set, frozenset, dict, np.ndarray),
    "bytes": (bytes,),
}
"""What a value is, by the first of these that has its type."""
SAID = {
    "span": "holds spans of time; they were made numbers, in days.",
    "bytes": "holds bytes, which were read as text in UTF-8 or Latin-1.",
}
"""What is said of columns of some kinds."""
NAMED = 20
"""Most levels that a note names: more may be names of people."""


@dataclass
class Cells(Told):
    """A table whose columns are floats (numbers, dates in days) or texts, with missing cells.

    Attributes
    ----------
    frame : pandas.DataFrame
        The columns, as float64 or object.
    whole : set of str
        Columns of whole numbers, written without decimals.
    dates : set of str
        Columns of dates.
    notes, cautions : list of str
        What was done, and what may be wrong.
    """

    frame: Any = None
    whole: set[str] = field(default_factory=set)
    dates: set[str] = field(default_factory=set)


def clean(
    frame: pd.DataFrame,
    target: str | None,
    told: Told,
    na: Sequence[Any],
    decimal: str,
    place: Callable[[int], str],
    rows: int,
) -> Cells:
    """Tell what the columns of a table hold.

    Parameters
    ----------
    frame : pandas.DataFrame
        The table, rows numbered from 0.
    target : str or None
        Its target, where it has one: never left out, and named as such.
    told : Told
        Takes notes and cautions.
    na : sequence of numbers and texts
        Values that stand for a missing one, in any column.
    decimal : {".", ",", ""}
        Decimal mark where a column and those beside it allow both: 1.200. With none such a
        column is refused.
    place : callable
        Names a row in messages.
    rows : int
        How many of the first rows decide what a column holds: where most of their cells are
        numbers, all must be.

    Raises
    ------
    ValueError
        Where a column holds numbers or dates and something else, or cells that are no values.
    """
    out, absent = Cells(told.notes, told.cautions, told.names), {str(value): 0 for value in na}
    what = {name: f"column {name!r}" for name in frame.columns}
    what |= {} if target is None else {target: f"the target {target!r}"}
    found = {name: _values(frame[name], what[name], place, out) for name in frame.columns}
    texts = [
        texts_of(name, values, absent, rows)
        for name, values in found.items()
        if values.dtype == object
    ]
    read, odd, _ = numbers(texts, decimal, out, out.whole)
    typed = [repr(name) for name in read if name not in odd]
    out.note(typed, f"Numbers written as text were read as numbers in {listed(typed)}.")
    for column in texts:
        if column.readings and column.name not in read:
            raise ValueError(undecided(column))
        if column.wrong is not None:
            raise ValueError(f"{what[column.name]} {mixed(column, place)}")
    levels = [column for column in texts if column.name not in read]
    found |= read | {one.name: _levels(one, one.name == target, place, out) for one in levels}
    require(
        target not in out.dates,
        f"the target {target!r} holds dates; a forecast predicts numbers or classes. Make a "
        "number of it first.",
    )
    found = {name: values for name, values in found.items() if values is not None}
    plain = [n for n in found if n not in {target, *out.dates} and found[n].dtype != object]
    counted = {n: made for n in plain if (made := compact(found[n])) is not None}
    found |= counted
    out.dates |= counted.keys()
    out.whole -= out.dates
    _remove(found, na, absent, out)
    read_dates = [repr(name) for name in found if name in out.dates]
    out.note(read_dates, f"Dates were made numbers, in days, in {listed(read_dates)}.")
    out.frame = pandas().DataFrame(  # texts stay objects
        {name: pandas().Series(values, dtype=values.dtype) for name, values in found.items()}
    )
    return out


def of_file(frame: pd.DataFrame, decimal: str, told: Told) -> str:
    """Read the columns of a file of text that are wholly numbers, in place, and no others.

    Parameters
    ----------
    frame : pandas.DataFrame
        As pandas reads it.
    decimal : {".", ","}
        Decimal mark where no column decides.
    told : Told
        Takes notes and cautions.

    Returns
    -------
    str
        Decimal mark of the file, as `clean` takes it.
    """
    whole: set[str] = set()
    texts = [
        texts_of(name, frame[name].to_numpy(object), {})
        for name in frame.columns
        if is_text(frame[name].dtype)
    ]
    read, _, mark = numbers(texts, decimal, told, whole)
    for name, values in read.items():
        held = not np.isnan(values).any() and np.abs(values).max(initial=0) < 2**53
        frame[name] = values.astype(np.int64) if held and name in whole else values
    return mark


def as_other(column: pd.Series[Any], na: Sequence[Any], decimal: str) -> pd.Series[Any]:
    """A column of texts beside one of numbers: its numbers, and texts where a cell holds none.

    A file is read by itself, and one that holds a code for missing values, which only `clean` is
    told, keeps the texts of numbers that the other file has as numbers.
    """
    if not is_text(column.dtype) or not all(isinstance(text, str) for text in column.dropna()):
        return column
    values, absent = column.to_numpy(object), {str(value): 0 for value in na}
    texts = texts_of(str(column.name), values, absent)
    if not texts.readings:  # without the cells that are no numbers, which are refused later
        texts = texts_of(texts.name, values, absent | dict.fromkeys(texts.odd, 0))
    if not texts.readings:
        return column
    found = texts.spread(texts.readings.get(decimal, next(iter(texts.readings.values()))))
    return column.astype(object).where(np.isnan(found), found)


def is_text(kind: Any) -> bool:
    types = pandas().api.types
    return bool(types.is_string_dtype(kind) or types.is_object_dtype(kind))


def _values(column: pd.Series[Any], what: str, place: Callable[[int], str], out: Cells) -> Any:
    """Values of a column by the types of its cells: floats, or texts as objects."""
    pd, dtype, name = pandas(), column.dtype, str(column.name)
    if isinstance(dtype, pd.PeriodDtype):
        column = column.dt.to_timestamp()
    typed = not is_text(dtype) and not isinstance(dtype, pd.CategoricalDtype)
    column = column if typed else column.astype(object)
    present = column[column.notna()]
    types = {column.dtype.type} if typed else set(map(type, present))
    kinds = {
        kind: next((k for k, of in KINDS.items() if issubclass(kind, of)), "") for kind in types
    }
    for kind in [kind for kind, word in kinds.items() if word == "container"]:
        row = next(k for k, value in present.items() if type(value) is kind)
        raise ValueError(
            f"{what} holds a {kind.__name__} in {place(row)}, and no number, text or date."
        )
    words = set(kinds.values())
    require(
        "complex" not in words,
        f"{what} holds complex numbers; make columns of their real and imaginary parts.",
    )
    if words <= {"text"}:
        return column.to_numpy(object)
    if words <= {"whole", "number"}:
        out.whole |= {name} if words == {"whole"} else set()
        try:
            return column.to_numpy(np.float64, na_value=np.nan)
        except OverflowError as error:
            raise ValueError(f"{what} holds a whole number that no float can hold.") from error
    for word in words & SAID.keys():
        sole = word == "bytes" or len(words) == 1
        out.note(sole, f"{what[0].upper()}{what[1:]} {SAID[word]}")
    if words == {"span"}:
        return days(pd.to_timedelta(column))
    if words == {"date"}:
        out.dates.add(name)
        return days(pd.to_datetime(column, utc=True, errors="coerce"))
    return np.asarray(column.astype(object).map(_written, na_action="ignore"), object)


def _written(value: Any) -> str:
    """A value of a mixed column as a file would hold it."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value.decode("latin-1")
    return f"{value:.0f}" if isinstance(value, float) and value.is_integer() else str(value)


def _levels(column: Texts, is_target: bool, place: Callable[[int], str], out: Cells) -> Any:
    """Dates as days, times as hours, or levels: those that differ in case and blanks are one."""
    found = dates(column, place)
    if found is not None:
        out.dates.add(column.name)
        if not np.isnan(found).any():
            return column.spread(found)
        out.notes.append(
            f"Column {column.name!r} has dates that may be read with the month or the day first, "
            "and was left out; write them as 2026-01-31."
        )
        return None
    if not is_target and (found := hours(column)) is not None:
        out.notes.append(f"Times, or spans, were made numbers, in hours, in {column.name!r}.")
        return column.spread(found)
    text = pandas().Series(column.unique, dtype=object)
    key = text.str.normalize("NFKC").str.casefold()
    most = text.iloc[np.argsort(-column.count, kind="stable")].groupby(key, sort=False).first()
    name = key.map(most).to_numpy(object)
    pairs = [
        *zip(text, name, strict=True),
        *((text, " ".join(text.split())) for text in column.merged),
    ]
    folded = [f"{text!r} as {other!r}" for text, other in pairs if text != other]
    out.note(
        folded,
        f"{'Classes of the target' if is_target else 'Levels of'} {column.name!r} that differ in"
        " capitals or blanks are one"
        + (
            f": {listed(folded)}."
            if out.names and len(most) <= NAMED
            else f", in {len(folded):,} cases."
        ),
    )
    return column.spread(name, None)


def _remove(found: dict[str, Any], na: Sequence[Any], absent: dict[str, int], out: Cells) -> None:
    """Make numbers that stand for a missing value missing; say how many cells, texts too, did."""
    numeric = [name for name in found if found[name].dtype != object and name not in out.dates]
    for value, name in product(filter(is_written, na), numeric):
        hit = found[name] == float(value)
        absent[str(value)] += int(hit.sum())
        found[name] = np.where(hit, np.nan, found[name])
    for text, count in absent.items():
        out.note(not count, f"No cell holds {text!r}, which na names.")
        out.note(
            count,
            f"{count:,} {plural(count, 'cell that holds', 'cells that hold')} {text!r}"
            f" {were(count)} taken for missing, as na says.",
        )


def is_written(text: Any) -> bool:
    """Whether a text is a number in Python's own notation."""
    try:
        float(text)
    except ValueError:
        return False
    return True
