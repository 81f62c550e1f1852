"""Cells of a table's columns: numbers, dates and levels told from their text."""

from __future__ import annotations

import datetime
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
Objects = NDArray[np.object_]

EXTRA = "a forecast needs pandas and scikit-learn: pip install 'collapse-companion[data]'."
MISSING = frozenset(
    (
        *(
            "",
            "#N/A",
            "#N/A N/A",
            "#NA",
            "-1.#IND",
            "-1.#QNAN",
            "-NaN",
            "-nan",
            "1.#IND",
            "1.#QNAN",
        ),
        *("<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"),
    )
)
"""Cells that are empty, in the words that pandas knows."""
CURRENCY = "[$€£¥₹₽₩₺₪]|US[$]|R[$]|USD|EUR|GBP|CHF|JPY"
NUMBER = re.compile(
    r"(?P<bound>[<>≤≥]=?)?\s*(?P<bracket>\()?(?P<sign>[+-]?)\s*"
    rf"(?P<before>{CURRENCY})?\s*(?P<late>[+-]?)"
    r"(?P<digits>[.,]?\d(?:[\d.,' ]*\d)?[.,]?)(?P<exponent>[eE][+-]?\d+)?"
    rf"\s*(?P<after>[%‰]|{CURRENCY}|°?[^\W\d_][^\W_]{{0,11}}(?:/[^\W_]{{1,6}})?)?(?P<close>\))?"
)
"""A number with what people write around it: <0.006, (1,234.50), $ 12, 12 %, 5 kg, 80 km/h."""
PLAIN = {
    mark: re.compile(
        rf"(?:[1-9]\d{{0,2}}(?P<gap>[{gaps}' ])\d{{3}}(?:(?P=gap)\d{{3}})*|\d*)(?:[{mark}]\d*)?"
    )
    for mark, gaps in ((".", ","), (",", "."))
}
"""Digits under a decimal mark, thousands apart or not."""
DAYS = (
    *("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y-%m", "%d.%m.%Y", "%d.%m.%y", "%d-%m-%Y", "%m-%d-%Y"),
    *("%m/%d/%Y", "%d/%m/%Y", "%m/%d/%y", "%d/%m/%y", "%m/%Y", "%d-%b-%Y", "%d-%B-%Y", "%d-%b-%y"),
    *("%d %b %Y", "%d %B %Y", "%d%b%Y", "%b %d %Y", "%B %d %Y", "%b %Y", "%B %Y", "%b-%Y", "%b-%y"),
)
"""Dates as `_plain_date` leaves them."""
BESIDE = re.compile(
    r"^(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?[,.]?\s+"
    r"|(?<=\w)[,.](?=\s)|(?<=\d)(?:st|nd|rd|th)(?=[\s,])|\s(?:GMT|UTC)$",
    re.IGNORECASE,
)
"""What stands in dates beside them: a weekday, commas, 3rd, the zone in which they are counted."""
CLOCK = re.compile(r"\d{1,3}(?::\d{2}){1,2}(?:\.\d+)?")
"""A time of day or a span of hours: 08:15, 08:15:30."""
HOUR = re.compile(
    r"(?P<gap>[T ])\d{1,2}:\d{2}(?P<second>:\d{2}(?P<part>\.\d+)?)?"
    r"(?P<half> ?[AaPp][Mm])?(?P<zone>Z|[+-]\d{2}:?\d{2})?$"
)
NO_COMPLEX = "{} holds complex numbers; make columns of their real and imaginary parts."
NO_DATE = "{} holds dates; a forecast predicts numbers or classes. Make a number of it first."
CONTAINERS = (list, tuple, set, frozenset, dict, np.ndarray)
NAMED = 20
"""Most levels that a note names: more may be names of people."""
COMPACT = 10
"""Fewest different numbers such as 20260131, or times such as 08:15, that are taken for such."""


@dataclass
class Cells:
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

    frame: pd.DataFrame
    whole: set[str] = field(default_factory=set)
    dates: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)
    cautions: list[str] = field(default_factory=list)


@dataclass
class _Texts:
    """A column of texts: the different ones, and the place of each cell among them."""

    name: str
    code: NDArray[np.intp]
    unique: Objects
    merged: list[str]
    """Texts as they stand in the table that are another's, but for blanks around them."""
    rows: int | None
    """How many of the first rows decide what the column holds; None for all."""
    wrong: NDArray[np.bool_] | None = None
    """Which texts are no numbers where most cells are."""
    odd: tuple[str, ...] = ()
    """Texts that are no numbers as the most are."""
    limits: int = 0
    """Cells such as <5."""
    readings: dict[str, Array] = field(default_factory=dict)
    """Numbers under each decimal mark that all cells allow; none where they are no numbers."""

    @property
    def count(self) -> NDArray[np.intp]:
        code = self.code[: self.rows]
        return np.bincount(code[code >= 0], minlength=len(self.unique))

    def spread(self, values: Array) -> Array:
        """Values of the different texts, put in each cell."""
        return np.append(values, np.nan)[self.code]


def clean(
    frame: pd.DataFrame,
    target: str,
    na: Sequence[Any] = (),
    decimal: str = ".",
    place: Callable[[int], str] = lambda row: f"row {row + 1}",
    rows: int | None = None,
) -> Cells:
    """Tell what the columns of a table hold.

    Parameters
    ----------
    frame : pandas.DataFrame
        The table, rows numbered from 0.
    target : str
        Its target: never left out, and named as such.
    na : sequence of numbers and texts
        Values that stand for a missing one, in any column.
    decimal : {".", ",", ""}
        Decimal mark where a column and those beside it allow both: 1.200. With none such a
        column is refused.
    place : callable
        Names a row in messages.
    rows : int, optional
        How many of the first rows decide what a column holds: where most of their cells are
        numbers, all must be.

    Raises
    ------
    ValueError
        Where a column holds numbers or dates and something else, or cells that are no values.
    """
    out = Cells(frame)
    found: dict[str, Array | Objects | None] = {}
    texts: dict[str, _Texts] = {}
    absent = {str(value): 0 for value in na}
    for name in frame.columns:
        kind, values = _typed(frame[name], _what(name, target), place, out)
        found[name] = values
        if kind == "text":
            texts[name] = _texts(name, values, absent, rows)
        elif kind == "whole":
            out.whole.add(name)
        elif kind == "date":
            out.dates.add(name)
    numbers, odd, _ = _numbers(list(texts.values()), decimal, out)
    if typed := [repr(name) for name in numbers if name not in odd]:
        out.notes.append(f"Numbers written as text were read as numbers in {listed(typed)}.")
    for name, column in texts.items():
        if column.readings and name not in numbers:
            raise ValueError(_undecided(column))
        if column.wrong is not None:
            raise ValueError(f"{_what(name, target)} {_mixed(column, place)}")
        found[name] = numbers.get(name)
        if name not in numbers:
            found[name] = _of_texts(column, name == target, place, out)
    for name, values in found.items():
        if name == target or name in out.dates or values is None or values.dtype.kind != "f":
            continue
        if (days := _compact_days(values)) is not None:
            found[name] = days
            out.dates.add(name)
    out.whole -= out.dates
    kept = {name: values for name, values in found.items() if values is not None}
    _remove(kept, na, absent, out)
    if read := [repr(name) for name in kept if name in out.dates]:
        out.notes.append(f"Dates were made numbers, in days, in {listed(read)}.")
    series = pandas().Series
    columns = {name: series(values, dtype=values.dtype) for name, values in kept.items()}
    out.frame = pandas().DataFrame(columns)  # texts stay objects
    return out


def of_file(frame: pd.DataFrame, decimal: str) -> tuple[pd.DataFrame, Cells, str]:
    """Read the columns of a file of text that are wholly numbers, however written, and no others.

    Parameters
    ----------
    frame : pandas.DataFrame
        As pandas reads it.
    decimal : {".", ","}
        Decimal mark where no column decides.

    Returns
    -------
    frame : pandas.DataFrame
        The same columns.
    cells : Cells
        Notes and cautions.
    decimal : str
        Decimal mark of the file, as `clean` takes it.
    """
    out = Cells(frame)
    names = [name for name in frame.columns if is_text(frame[name].dtype)]
    texts = [_texts(name, frame[name].to_numpy(object), {}) for name in names]
    texts = [column for column in texts if all(isinstance(text, str) for text in column.unique)]
    numbers, _, mark = _numbers(texts, decimal, out)
    for name, values in numbers.items():
        held = not np.isnan(values).any() and np.abs(values).max(initial=0) < 2**53
        frame[name] = values.astype(np.int64) if held and name in out.whole else values
    return frame, out, mark


def as_other(column: pd.Series[Any], na: Sequence[Any], decimal: str) -> pd.Series[Any]:
    """A column of texts beside one of numbers: its numbers, and texts where a cell holds none.

    A file is read by itself, and one that holds a code for missing values, which only `clean` is
    told, keeps the texts of numbers that the other file has as numbers.
    """
    if not is_text(column.dtype) or not all(isinstance(text, str) for text in column.dropna()):
        return column
    values, absent = column.to_numpy(object), {str(value): 0 for value in na}
    _read(texts := _texts(column.name, values, absent))
    if not texts.readings:  # without the cells that are no numbers, which are refused later
        _read(texts := _texts(column.name, values, absent | dict.fromkeys(texts.odd, 0)))
    if not texts.readings:
        return column
    mark = decimal if decimal in texts.readings else next(iter(texts.readings))
    numbers = texts.spread(texts.readings[mark])
    return column.astype(object).where(np.isnan(numbers), numbers)


def _start(what: str) -> str:
    return what[0].upper() + what[1:]


def is_text(kind: Any) -> bool:
    types = pandas().api.types
    return bool(types.is_string_dtype(kind) or types.is_object_dtype(kind))


def _what(name: str, target: str) -> str:
    return f"the target {name!r}" if name == target else f"column {name!r}"


# --- what a column is -----------------------------------------------------------------------------


def _typed(
    column: pd.Series[Any], what: str, place: Callable[[int], str], out: Cells
) -> tuple[str, Any]:
    """Kind of a column ("number", "whole", "date" or "text") and its values, floats or texts."""
    types = pandas().api.types
    kind = column.dtype
    if types.is_bool_dtype(kind) and not types.is_object_dtype(kind):
        return "text", _as_text(column, lambda value: str(bool(value)))
    if types.is_complex_dtype(kind):
        raise ValueError(NO_COMPLEX.format(what))
    if types.is_numeric_dtype(kind):
        return ("whole" if types.is_integer_dtype(kind) else "number"), column.to_numpy(
            np.float64, na_value=np.nan
        )
    if types.is_datetime64_any_dtype(kind):
        return _dated(column, what)
    if types.is_timedelta64_dtype(kind):
        out.notes.append(f"{_start(what)} holds spans of time; they were made numbers, in days.")
        return "number", _days(column)
    if isinstance(kind, pandas().PeriodDtype):
        return _dated(column.dt.to_timestamp(), what)
    if isinstance(kind, pandas().CategoricalDtype) or is_text(kind):
        return _of_objects(column.astype(object), what, place, out)
    return "text", _as_text(column.astype(object), str)


def _of_objects(
    column: pd.Series[Any], what: str, place: Callable[[int], str], out: Cells
) -> tuple[str, Any]:
    pd = pandas()
    present = column[column.notna()]
    kinds: set[Any] = set(map(type, present))
    for kind in kinds:
        if issubclass(kind, CONTAINERS):
            row = next(k for k, value in present.items() if type(value) is kind)
            raise ValueError(
                f"{what} holds a {kind.__name__} in {place(row)}, and no number, text or date."
            )
        if issubclass(kind, (complex, np.complexfloating)):
            raise ValueError(NO_COMPLEX.format(what))
    if kinds <= {str}:
        return "text", column.to_numpy(object)
    if all(issubclass(kind, (bool, np.bool_)) for kind in kinds):
        return "text", _as_text(column, str)
    if bytes in kinds:
        out.notes.append(
            f"{_start(what)} holds bytes, which were read as text in UTF-8 or Latin-1."
        )
    if all(issubclass(kind, (Real, Decimal, np.number)) and kind is not bool for kind in kinds):
        try:
            values = column.map(float, na_action="ignore").to_numpy(np.float64, na_value=np.nan)
        except OverflowError as error:
            raise ValueError(f"{what} holds a whole number that no float can hold.") from error
        whole = all(issubclass(kind, (int, np.integer)) for kind in kinds)
        return ("whole" if whole else "number"), values
    if all(issubclass(kind, (datetime.date, np.datetime64)) for kind in kinds):
        return _dated(pd.to_datetime(column, utc=True, errors="coerce"), what)
    if all(issubclass(kind, (datetime.timedelta, np.timedelta64)) for kind in kinds):
        return _typed(pd.to_timedelta(column), what, place, out)
    return "text", _as_text(column, _written)


def _dated(column: Any, what: str) -> tuple[str, Array]:
    if what.startswith("the target"):
        raise ValueError(NO_DATE.format(what))
    return "date", _days(column)


def _as_text(column: pd.Series[Any], write: Callable[[Any], str]) -> Objects:
    return np.asarray(column.astype(object).map(write, na_action="ignore"), object)


def _written(value: Any) -> str:
    """A value of a mixed column as a file would hold it."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value.decode("latin-1")
    if isinstance(value, float) and value.is_integer():
        return f"{value:.0f}"
    return str(value)


def _days(column: Any) -> Array:
    """Days since 1970 of dates, or days of spans; NaN where they are missing."""
    column = pandas().Series(column)
    missing = column.isna().to_numpy()
    if pandas().api.types.is_timedelta64_dtype(column.dtype):
        values = column.to_numpy("timedelta64[ms]")
    else:
        if column.dt.tz is not None:
            column = column.dt.tz_convert("UTC").dt.tz_localize(None)
        values = column.to_numpy("datetime64[ms]")
    return np.where(missing, np.nan, values.astype(np.int64) / 86_400_000)


# --- numbers --------------------------------------------------------------------------------------


def _texts(name: str, values: Objects, absent: dict[str, int], rows: int | None = None) -> _Texts:
    """Different texts of a column, without blanks around them and those that stand for nothing."""
    code, unique = pandas().factorize(values, use_na_sentinel=True)
    stripped = [" ".join(str(text).replace("\N{MINUS SIGN}", "-").split()) for text in unique]
    if hits := {text for text in stripped if text in absent}:
        for k, text in enumerate(stripped):
            if text in hits:
                absent[text] += int((code == k).sum())
    kept = [None if text in MISSING or text in absent else text for text in stripped]
    again, different = pandas().factorize(np.array(kept, object), use_na_sentinel=True)
    raw = set(unique)
    pairs = zip(unique, kept, strict=True)
    merged = [text for text, bare in pairs if bare is not None and bare != text and bare in raw]
    return _Texts(name, np.append(again, -1)[code], np.asarray(different, object), merged, rows)


def _numbers(
    texts: list[_Texts], decimal: str, out: Cells
) -> tuple[dict[str, Array], dict[str, str], str]:
    """Numbers of the columns that hold nothing else, odd examples, and the decimal mark of all.

    The mark is the one that some column needs. A column that both fit, as 1.200, is read with it,
    and left where some columns need a point and some a comma.
    """
    for column in texts:
        _read(column)
    columns = [column for column in texts if column.readings]
    if any("," in column.readings for column in columns):
        # what looked like plain numbers, 1.200, may have thousands apart
        for column in columns:
            if "," not in column.readings and any("." in text for text in column.unique):
                parts = [NUMBER.fullmatch(text) for text in column.unique]
                other = np.array([np.nan if part is None else _value(part, ",") for part in parts])
                if not np.isnan(other).any():
                    column.readings[","] = other
    decided = [column for column in columns if len(column.readings) == 1 and _has_mark(column)]
    needed = {mark for column in decided for mark in column.readings}
    mark = decimal if not needed else needed.pop() if len(needed) == 1 else ""
    found, odd = {}, {}
    for column in columns:
        first, *more = column.readings.values()
        if not mark and more and not np.array_equal(first, more[0]):
            continue
        own = mark if mark in column.readings else next(iter(column.readings))
        values = column.readings[own]
        found[column.name] = column.spread(values)
        if any(map(_differs, column.unique, values)):
            odd[column.name] = f"{column.name!r} ({', '.join(_ways(column, own))})"
        if not any("." in text or "," in text for text in column.unique):
            out.whole.add(column.name)
        if column.limits:
            limits = f"{column.limits:,} {'cells' if column.limits > 1 else 'cell'} of"
            out.cautions.append(
                f"{limits} {column.name!r} with < or > hold a limit, which was taken as the value."
            )
    if odd:
        out.notes.append(f"Numbers were read from their text in {listed(list(odd.values()))}.")
    return found, odd, mark


def _ways(column: _Texts, mark: str) -> list[str]:
    """How the numbers of a column are written, in words that tell no cell."""
    ways: dict[str, None] = {}
    for part in filter(None, map(NUMBER.fullmatch, column.unique)):
        if mark == "," and "," in part["digits"]:
            ways["decimal commas"] = None
        if re.search(r"\d[', ]\d" if mark == "." else r"\d[.' ]\d", part["digits"]):
            ways["thousands apart"] = None
        if part["bracket"]:
            ways["brackets for a minus"] = None
        if part["bound"]:
            ways["limits"] = None
        if _unit(part):
            ways[f"unit {_unit(part)}"] = None
    return list(ways)


def _has_mark(column: _Texts) -> bool:
    return any("." in text or "," in text for text in column.unique)


def _read(column: _Texts) -> None:
    """Find a column's numbers under each mark that all its cells allow, or the wrong cells."""
    series = pandas().Series(column.unique, dtype=object)
    plain = pandas().to_numeric(series, errors="coerce").to_numpy(np.float64)
    if not np.isnan(plain).any():
        column.readings = {".": plain}
        return
    count = column.count
    parts = [NUMBER.fullmatch(text) for text in column.unique]
    units = [None if part is None else _unit(part) for part in parts]
    weight: dict[str, int] = {}
    for unit, part, times in zip(units, parts, count, strict=True):
        if unit is not None and part is not None and not part["bound"]:
            weight[unit] = weight.get(unit, 0) + int(times)
    common = max(weight, key=lambda unit: weight[unit], default="")
    values = {mark: np.full(len(parts), np.nan) for mark in PLAIN}
    for k, part in enumerate(parts):
        if part is not None and units[k] == common:
            for mark, numbers in values.items():
                numbers[k] = _value(part, mark)
    bounded = np.array([part is not None and part["bound"] is not None for part in parts])
    blanks = [np.isnan(numbers) for numbers in values.values()]
    failed = min(blanks, key=lambda blank: int(count[blank].sum()))
    column.odd = tuple(column.unique[failed])
    if 2 * count[~failed & ~bounded].sum() <= count.sum():
        return
    if not failed.any():
        column.limits = int(count[bounded].sum())
        full = [mark for mark, numbers in values.items() if not np.isnan(numbers).any()]
        column.readings = {mark: values[mark] for mark in full}
    elif common in ("", "%", "‰") or re.fullmatch(CURRENCY, common, re.IGNORECASE):
        column.wrong = failed


def _unit(part: re.Match[str]) -> str:
    return str(part["before"] or part["after"] or "").casefold()


def _mixed(column: _Texts, place: Callable[[int], str]) -> str:
    """What is wrong in a column of numbers, in words."""
    assert column.wrong is not None
    row = int(np.flatnonzero(np.append(column.wrong, False)[column.code])[0])
    text = column.unique[column.code[row]]
    part = NUMBER.fullmatch(text)
    number = part is not None and not all(np.isnan(_value(part, mark)) for mark in PLAIN)
    kinds = "numbers and text" if not number else "numbers written in different ways"
    return (
        f"holds {kinds}: {place(row)} holds {text!r:.60}. Leave the cell empty where a value is "
        "missing (or name what stands there by na), write all decimals with a point and in one "
        "unit, or exclude the column."
    )


def _undecided(column: _Texts) -> str:
    point, comma = column.readings["."], column.readings[","]
    k = int(np.flatnonzero(point != comma)[0])
    return (
        f"column {column.name!r} holds {column.unique[k]!r}, which may be {point[k]:.15g} or "
        f"{comma[k]:.15g}, and other columns have both decimal points and decimal commas; write "
        "all decimals with a point, and no thousands separators."
    )


def _value(part: re.Match[str], mark: str) -> float:
    """The number that a match of `NUMBER` is under a decimal mark; NaN where it is none."""
    digits = part["digits"]
    if (part["bracket"] is None) != (part["close"] is None) or (part["sign"] and part["late"]):
        return np.nan
    if not PLAIN[mark].fullmatch(digits) or not any(map(str.isdecimal, digits)):
        return np.nan
    other = "." if mark == "," else ","
    bare = digits.replace(other, "").replace("'", "").replace(" ", "").replace(mark, ".")
    minus = "-" in (part["sign"], part["late"]) or part["bracket"] is not None
    return float(bare + (part["exponent"] or "")) * (-1 if minus else 1)


def _differs(text: str, value: float) -> bool:
    """Whether a number is not what Python reads in its text."""
    try:
        return float(text) != value
    except ValueError:
        return True


# --- dates and levels -----------------------------------------------------------------------------


def _of_texts(column: _Texts, is_target: bool, place: Callable[[int], str], out: Cells) -> Any:
    """Dates as days, or levels, of which those that differ in case and blanks alone are one."""
    dates = _dates(column, place)
    if dates is not None and is_target:
        raise ValueError(NO_DATE.format(f"the target {column.name!r}"))
    if dates is not None and np.isnan(dates).any():
        out.notes.append(
            f"Column {column.name!r} has dates that may be read with the month or the day first, "
            "and was left out; write them as 2026-01-31."
        )
        return None
    if dates is not None:
        out.dates.add(column.name)
        return column.spread(dates)
    clock = len(column.unique) >= COMPACT and all(map(CLOCK.fullmatch, column.unique))
    if clock and not is_target:
        out.notes.append(f"Times, or spans, were made numbers, in hours, in {column.name!r}.")
        return column.spread(np.array([*map(_hours, column.unique)]))
    key = [unicodedata.normalize("NFKC", text).casefold() for text in column.unique]
    group: dict[str, int] = {}
    count = column.count
    for k in np.argsort(-count, kind="stable"):
        group.setdefault(key[k], int(k))
    name = np.array([column.unique[group[k]] for k in key] + [None], object)
    other = [k for k in range(len(key)) if group[key[k]] != k]
    folded = [f"{column.unique[k]!r} as {name[k]!r}" for k in other]
    folded += [f"{text!r} as {' '.join(text.split())!r}" for text in column.merged]
    if folded:
        what = "Classes of the target" if is_target else "Levels of"
        out.notes.append(
            f"{what} {column.name!r} that differ in capitals or blanks are one"
            + (f": {listed(folded)}." if len(group) <= NAMED else f", in {len(folded):,} cases.")
        )
    return name[column.code]


def _dates(column: _Texts, place: Callable[[int], str]) -> Array | None:
    """Days of the different texts where they are dates, NaN where they may be others; else None."""
    pd = pandas()
    texts = pd.Series([_plain_date(text) for text in column.unique], dtype=object)
    some = texts.iloc[:20]
    if some.str.contains(r"\d").mean() <= 0.5:
        return None

    def parsed(values: Any, form: str) -> Any:
        return pd.to_datetime(values, format=form, errors="coerce", utc=True)

    forms = [day + hour for hour in dict.fromkeys(map(_hour, some)) for day in DAYS]
    likely = [form for form in forms if parsed(some, form).notna().mean() > 0.5]
    found = {form: parsed(texts, form) for form in likely}
    if not found:
        return None
    count = column.count
    best = max(found, key=lambda form: int(count[found[form].notna().to_numpy()].sum()))
    failed = found[best].isna().to_numpy()
    if 2 * count[~failed].sum() <= count.sum():
        return None
    if failed.any():
        row = int(np.flatnonzero(np.append(failed, False)[column.code])[0])
        raise ValueError(
            f"column {column.name!r} holds dates and text: {place(row)} holds "
            f"{column.unique[column.code[row]]!r:.60}. Leave the cell empty where a date is "
            "missing (or name what stands there by na), write dates alike, or exclude the column."
        )
    whole = [_days(values) for values in found.values() if values.notna().all()]
    if all(np.array_equal(values, whole[0]) for values in whole):
        return whole[0]
    return np.full(len(texts), np.nan)


def _plain_date(text: str) -> str:
    """A date without its weekday, commas, 3rd and GMT."""
    while (bare := BESIDE.sub("", text)) != text:
        text = bare
    return text


def _hours(text: str) -> float:
    """Hours of 08:15 or 08:15:30."""
    return sum((float(part) * 60.0**-k for k, part in enumerate(text.split(":"))), 0.0)


def _hour(text: str) -> str:
    """The form of the time of day at the end of a text; empty where there is none."""
    part = HOUR.search(text)
    if part is None:
        return ""
    out = part["gap"] + ("%I:%M" if part["half"] else "%H:%M")
    out += ":%S" if part["second"] else ""
    out += ".%f" if part["part"] else ""
    if part["half"]:
        out += " %p" if part["half"][0] == " " else "%p"
    return out + ("%z" if part["zone"] else "")


def _compact_days(values: Any) -> Array | None:
    """Days of numbers such as 20260131, where all are dates; else None."""
    present = values[~np.isnan(values)]
    if not len(present) or present.min() < 19000101 or present.max() > 21001231:
        return None
    if len(np.unique(present)) < COMPACT or (present != np.floor(present)).any():
        return None
    pd = pandas()
    dates = pd.to_datetime(
        pd.Series(values).map(lambda value: f"{value:.0f}", na_action="ignore"),
        format="%Y%m%d",
        errors="coerce",
    )
    return None if dates.notna().sum() < len(present) else _days(dates)


def _remove(found: dict[str, Any], na: Sequence[Any], absent: dict[str, int], out: Cells) -> None:
    """Make numbers that stand for a missing value missing; say how many cells, texts too, did."""
    for value in na:
        try:
            number = float(value)
        except ValueError:
            continue
        for name, values in found.items():
            hit = values == number if values.dtype.kind == "f" else np.zeros(len(values), bool)
            if name not in out.dates and hit.any():
                found[name] = np.where(hit, np.nan, values)
                absent[str(value)] += int(hit.sum())
    for text, count in absent.items():
        cells = f"{count:,} {'cell that holds' if count == 1 else 'cells that hold'}"
        taken = f"{cells} {text!r} {'was' if count == 1 else 'were'} taken for missing, as na says."
        out.notes.append(taken if count else f"No cell holds {text!r}, which na names.")


def listed(names: Sequence[str], most: int = 8) -> str:
    """Names with commas between them, the first few."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def pandas() -> Any:
    """The module, or an ImportError that says what to install."""
    try:
        import pandas as module
    except ImportError as error:
        raise ImportError(EXTRA) from error
    return module
