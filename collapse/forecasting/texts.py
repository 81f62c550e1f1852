"""What texts mean: numbers as people write them (1,234.50, 12 %, <0.006, 80 km/h), and dates."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from collapse.checks import counted
from collapse.forecasting.common import (
    Array,
    Objects,
    Rows,
    listed,
    pandas,
)

if TYPE_CHECKING:
    import pandas as pd


MISSING = frozenset(
    [
        *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND"),
        *("1.#QNAN", "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"),
    ]
)
"""Cells that are empty, in the words that pandas knows."""
CURRENCY = "[$€£¥₹₽₩₺₪]|US[$]|R[$]|USD|EUR|GBP|CHF|JPY"
NUMBER = re.compile(
    r"^(?P<bound>[<>≤≥]=?)?\s*(?P<bracket>\()?(?P<sign>[+-]?)\s*"
    rf"(?P<before>{CURRENCY})?\s*(?P<late>[+-]?)"
    r"(?P<digits>[.,]?\d(?:[\d.,' ]*\d)?[.,]?)(?P<exponent>[eE][+-]?\d+)?"
    rf"\s*(?P<after>[%‰]|{CURRENCY}|°?[^\W\d_][^\W_]{{0,11}}(?:/[^\W_]{{1,6}})?)?(?P<close>\))?$"
)
"""A number with what people write around it: <0.006, (1,234.50), $ 12, 12 %, 5 kg, 80 km/h."""
PLAIN = {
    mark: rf"(?:[1-9]\d{{0,2}}(?P<gap>[{gaps}' ])\d{{3}}(?:(?P=gap)\d{{3}})*|\d*)(?:[{mark}]\d*)?"
    for mark, gaps in ((".", ","), (",", "."))
}
"""Digits under a decimal mark, thousands apart or not."""
APART = {".": r"\d[', ]\d", ",": r"\d[.' ]\d"}
"""Where thousands are apart under a decimal mark."""
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
    r"(?P<half>(?P<blank> ?)[AaPp][Mm])?(?P<zone>Z|[+-]\d{2}:?\d{2})?$"
)
COMPACT = 10
"""Fewest different numbers such as 20260131, or times such as 08:15, that are taken for such."""


@dataclass
class Told:
    """What was done to a table (notes), and what in it may be wrong (cautions), in sentences."""

    notes: list[str] = field(default_factory=list)
    cautions: list[str] = field(default_factory=list)
    names: bool = True
    """Whether a note may name levels."""

    def note(self, when: object, sentence: str) -> None:
        """Say what was done, where it was."""
        self.notes += [sentence] if when else []

    def caution(self, when: object, sentence: str) -> None:
        """Say what may be wrong, where it may be."""
        self.cautions += [sentence] if when else []


@dataclass
class Texts:
    """A column of texts: the different ones, and the place of each cell among them."""

    name: str
    code: Rows
    unique: Objects
    merged: list[str]
    """Texts as they stand in the table that are another's, but for blanks around them."""
    count: Rows
    """How often each stands in the rows that decide what the column holds."""
    wrong: NDArray[np.bool_] | None = None
    """Which texts are no numbers where most cells are."""
    odd: Sequence[str] | Objects = ()
    """Texts that are no numbers as the most are."""
    limits: int = 0
    """Cells such as <5."""
    readings: dict[str, Array] = field(default_factory=dict)
    """Numbers under each decimal mark that all cells allow; none where they are no numbers."""

    def spread(self, values: Any, absent: Any = np.nan) -> Any:
        """Values of the different texts, put in each cell."""
        return np.append(values, absent)[self.code]

    def has(self, marks: str) -> bool:
        return any(mark in text for text in self.unique for mark in marks)

    def first(self, where: NDArray[np.bool_]) -> tuple[int, str]:
        """The first row that holds one of the texts marked, and that text."""
        row = int(np.flatnonzero(self.spread(where, False))[0])
        return row, self.unique[self.code[row]]


def texts_of(name: str, values: Objects, absent: dict[str, int], rows: int | None = None) -> Texts:
    """Texts of a column without blanks around them and those that stand for nothing, as numbers.

    `absent` counts the cells of each text that is to be taken for missing.
    """
    code, unique = pandas().factorize(values, use_na_sentinel=True)
    bare = [" ".join(str(text).replace("\N{MINUS SIGN}", "-").split()) for text in unique]
    for text, times in zip(bare, np.bincount(code[code >= 0]), strict=True):
        if text in absent:
            absent[text] += int(times)
    kept = [None if text in MISSING or text in absent else text for text in bare]
    again, different = pandas().factorize(np.array(kept, object), use_na_sentinel=True)
    raw, pairs = set(unique), zip(unique, kept, strict=True)
    merged = [text for text, bare in pairs if bare != text and bare in raw]
    place = np.append(again, -1)[code]
    count = np.bincount(place[:rows] + 1, minlength=len(different) + 1)[1:]
    out = Texts(name, place, np.asarray(different, object), merged, count)
    _read(out)
    return out


def _read(column: Texts) -> None:
    """Find a column's numbers under each mark that all its cells allow, or the wrong cells."""
    plain = _plain(column.unique)
    if not np.isnan(plain).any():
        column.readings = {".": plain}
        return
    count, parts = column.count, _parts(column.unique)
    bounded = parts["bound"].notna().to_numpy()
    units = pandas().Series(count).groupby(parts["unit"].mask(bounded), sort=False).sum()
    common = units.idxmax() if len(units) else ""
    values = {
        mark: np.where(parts["unit"] == common, _values(parts, mark), np.nan) for mark in PLAIN
    }
    failed = min(map(np.isnan, values.values()), key=lambda blank: count[blank].sum())
    column.odd = column.unique[failed]
    if 2 * count[~failed & ~bounded].sum() <= count.sum():
        return
    if not failed.any():
        column.limits = int(count[bounded].sum())
        column.readings = {mark: v for mark, v in values.items() if not np.isnan(v).any()}
    elif common in ("", "%", "‰") or re.fullmatch(CURRENCY, common, re.IGNORECASE):
        column.wrong = failed


def _plain(texts: Objects) -> Array:
    """Numbers that are written as Python does; NaN for others."""
    series = pandas().Series(texts, dtype=object)
    return np.asarray(pandas().to_numeric(series, errors="coerce"), np.float64)


def _parts(texts: Objects) -> pd.DataFrame:
    """The groups of `NUMBER` in each text, and its unit; NaN where it is no number."""
    parts = pandas().Series(texts, dtype=object).str.extract(NUMBER)
    before = parts["before"].fillna("")
    unit = before.where(before != "", parts["after"].fillna("")).str.casefold()
    return parts.assign(unit=unit.where(parts["digits"].notna()))


def _values(parts: pd.DataFrame, mark: str) -> Array:
    """Numbers that the parts are under a decimal mark; NaN where they are none."""
    digits, signs = parts["digits"].fillna("x"), parts["sign"].fillna("") + parts["late"].fillna("")
    closed = parts["bracket"].isna() == parts["close"].isna()
    good = closed & (signs.str.len() < 2) & digits.str.fullmatch(PLAIN[mark])
    bare = digits.str.replace(rf"[^\d{mark}]", "", regex=True).str.replace(mark, ".")
    size = (bare + parts["exponent"].fillna("")).where(good).astype(np.float64)
    return np.asarray(size.where((signs != "-") & parts["bracket"].isna(), -size))


def numbers(
    texts: list[Texts], decimal: str, told: Told, whole: set[str]
) -> tuple[dict[str, Array], dict[str, str], str]:
    """Numbers of the columns that hold nothing else, odd examples, and the decimal mark of all.

    The mark is the one that some column needs. A column that both fit, as 1.200, is read with it,
    and left where some columns need a point and some a comma. Columns without decimals are added
    to `whole`.
    """
    columns = [column for column in texts if column.readings]
    commas = any("," in column.readings for column in columns)
    for column in [column for column in columns if commas and column.has(".")]:
        other = _values(_parts(column.unique), ",")  # what looked plain, 1.200, may be apart
        column.readings |= {} if np.isnan(other).any() else {",": other}
    decided = [column for column in columns if len(column.readings) == 1 and column.has(".,")]
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
        if (_plain(column.unique) != values).any():
            odd[column.name] = f"{column.name!r} ({', '.join(_ways(column, own))})"
        if not column.has(".,"):
            whole.add(column.name)
        told.caution(
            column.limits,
            f"{counted(column.limits, 'cell')} of {column.name!r} with < or > hold a limit, which"
            " was taken as the value.",
        )
    told.note(odd, f"Numbers were read from their text in {listed(list(odd.values()))}.")
    return found, odd, mark


def _ways(column: Texts, mark: str) -> list[str]:
    """How the numbers of a column are written, in words that tell no cell."""
    parts = _parts(column.unique)
    ways = {
        "decimal commas": (mark == ",") & parts["digits"].str.contains(","),
        "thousands apart": parts["digits"].str.contains(APART[mark]),
        "brackets for a minus": parts["bracket"].notna(),
        "limits": parts["bound"].notna(),
    }
    units = [f"unit {unit}" for unit in parts["unit"].unique() if unit]
    return [way for way, there in ways.items() if there.any()] + units


def mixed(column: Texts, place: Any) -> str:
    """What is wrong in a column of numbers, in words."""
    assert column.wrong is not None
    row, text = column.first(column.wrong)
    values = [_values(_parts(np.array([text], object)), mark) for mark in PLAIN]
    kinds = "numbers and text" if np.isnan(values).all() else "numbers written in different ways"
    return (
        f"holds {kinds}: {place(row)} holds {text!r:.60}. Leave the cell empty where a value is "
        "missing (or name what stands there by na), write all decimals with a point and in one "
        "unit, or exclude the column."
    )


def undecided(column: Texts) -> str:
    """Why a column of numbers cannot be read, in words."""
    point, comma = column.readings["."], column.readings[","]
    k = int(np.flatnonzero(point != comma)[0])
    return (
        f"column {column.name!r} holds {column.unique[k]!r}, which may be {point[k]:.15g} or "
        f"{comma[k]:.15g}, and other columns have both decimal points and decimal commas; write "
        "all decimals with a point, and no thousands separators."
    )


def days(column: Any) -> Array:
    """Days since 1970 of dates, or days of spans; NaN where they are missing."""
    span = column.dtype.kind == "m"
    values = (column if span else column.dt.tz_localize(None)).to_numpy(f"{column.dtype.kind}8[ms]")
    return np.where(column.isna(), np.nan, values.astype(np.int64) / 86_400_000)


def dates(column: Texts, place: Callable[[int], str]) -> Array | None:
    """Days of the different texts where they are dates, NaN where they may be others; else None."""
    texts = pandas().Series(column.unique, dtype=object).map(_plain_date)
    some = texts.iloc[:20]
    if some.str.contains(r"\d").mean() <= 0.5:
        return None

    def parsed(values: Any, form: str) -> Any:
        return pandas().to_datetime(values, format=form, errors="coerce", utc=True)

    forms = [day + hour for hour in dict.fromkeys(map(_hour, some)) for day in DAYS]
    found = [parsed(texts, form) for form in forms if parsed(some, form).notna().mean() > 0.5]
    rows = [int(column.count[values.notna()].sum()) for values in found]
    if 2 * max(rows, default=0) <= column.count.sum():
        return None
    failed = found[int(np.argmax(rows))].isna().to_numpy()
    if failed.any():
        row, text = column.first(failed)
        raise ValueError(
            f"column {column.name!r} holds dates and text: {place(row)} holds {text!r:.60}. Leave "
            "the cell empty where a date is missing (or name what stands there by na), write dates "
            "alike, or exclude the column."
        )
    whole = [days(values) for values in found if values.notna().all()]
    same = all(np.array_equal(values, whole[0]) for values in whole)
    return whole[0] if same else np.full(len(texts), np.nan)


def _plain_date(text: str) -> str:
    """A date without its weekday, commas, 3rd and GMT."""
    while (bare := BESIDE.sub("", text)) != text:
        text = bare
    return text


def _hour(text: str) -> str:
    """The form of the time of day at the end of a text; empty where there is none."""
    part = HOUR.search(text)
    if part is None:
        return ""
    hour = part["gap"] + ("%I:%M" if part["half"] else "%H:%M")
    forms = {"second": ":%S", "part": ".%f", "half": f"{part['blank']}%p", "zone": "%z"}
    return hour + "".join(form for group, form in forms.items() if part[group])


def hours(column: Texts) -> Array | None:
    """Hours of the different texts where all are such as 08:15 or 08:15:30; else None."""
    if len(column.unique) < COMPACT or not all(map(CLOCK.fullmatch, column.unique)):
        return None
    parts = pandas().Series(column.unique).str.split(":", expand=True).astype(np.float64).fillna(0)
    return np.asarray(parts @ 60.0 ** -np.arange(parts.shape[1]))


def compact(values: Array) -> Array | None:
    """Days of numbers such as 20260131, where all are dates; else None."""
    present = values[~np.isnan(values)]
    outside = (present != np.floor(present)) | (present < 19000101) | (present > 21001231)
    if len(np.unique(present)) < COMPACT or outside.any():
        return None
    texts = pandas().Series(values).map("{:.0f}".format, na_action="ignore")
    found = pandas().to_datetime(texts, format="%Y%m%d", errors="coerce")
    return days(found) if found.notna().sum() == len(present) else None
