"""Numbers as people write them: 1,234.50, 12 %, <0.006, $ 5, 80 km/h, in columns of text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from collapse.forecasting.needs import pandas
from collapse.forecasting.words import listed

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
Objects = NDArray[np.object_]

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


@dataclass
class Told:
    """What was done to a table (notes), and what in it may be wrong (cautions), in sentences."""

    notes: list[str] = field(default_factory=list)
    cautions: list[str] = field(default_factory=list)


@dataclass
class Texts:
    """A column of texts: the different ones, and the place of each cell among them."""

    name: str
    code: NDArray[np.intp]
    unique: Objects
    merged: list[str]
    """Texts as they stand in the table that are another's, but for blanks around them."""
    count: NDArray[np.intp]
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
    merged = [text for text, bare in pairs if bare is not None and bare != text and bare in raw]
    place = np.append(again, -1)[code]
    decisive = place[:rows]
    count = np.bincount(decisive[decisive >= 0], minlength=len(different))
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
    numbers = pandas().to_numeric(pandas().Series(texts, dtype=object), errors="coerce")
    return np.asarray(numbers, np.float64)


def _parts(texts: Objects) -> pd.DataFrame:
    """The groups of `NUMBER` in each text, and its unit; NaN where it is no number."""
    parts = pandas().Series(texts, dtype=object).str.extract(NUMBER)
    unit = parts["before"].fillna(parts["after"]).fillna("").str.casefold()
    return parts.assign(unit=unit.where(parts["digits"].notna()))


def _values(parts: pd.DataFrame, mark: str) -> Array:
    """Numbers that the parts are under a decimal mark; NaN where they are none."""
    out, digits = np.full(len(parts), np.nan), parts["digits"].fillna("x")
    closed = parts["bracket"].isna() == parts["close"].isna()
    signs = parts["sign"].fillna("") + parts["late"].fillna("")
    good = closed & (signs.str.len() < 2) & digits.str.fullmatch(PLAIN[mark])
    bare = digits.str.replace(rf"[^\d{mark}]", "", regex=True).str.replace(mark, ".")
    size = (bare + parts["exponent"].fillna(""))[good].astype(np.float64)
    minus = (signs == "-") | parts["bracket"].notna()
    out[good] = np.where(minus[good], -size, size)
    return out


def numbers(
    texts: list[Texts], decimal: str, told: Told, whole: set[str]
) -> tuple[dict[str, Array], dict[str, str], str]:
    """Numbers of the columns that hold nothing else, odd examples, and the decimal mark of all.

    The mark is the one that some column needs. A column that both fit, as 1.200, is read with it,
    and left where some columns need a point and some a comma. Columns without decimals are added
    to `whole`.
    """
    columns = [column for column in texts if column.readings]
    if any("," in column.readings for column in columns):
        # what looked like plain numbers, 1.200, may have thousands apart
        for column in columns:
            if "," not in column.readings and column.has("."):
                other = _values(_parts(column.unique), ",")
                if not np.isnan(other).any():
                    column.readings[","] = other
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
        if column.limits:
            limits = f"{column.limits:,} {'cells' if column.limits > 1 else 'cell'} of"
            told.cautions.append(
                f"{limits} {column.name!r} with < or > hold a limit, which was taken as the value."
            )
    if odd:
        told.notes.append(f"Numbers were read from their text in {listed(list(odd.values()))}.")
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
    parts = _parts(np.array([text], object))
    number = not all(np.isnan(_values(parts, mark)).all() for mark in PLAIN)
    kinds = "numbers written in different ways" if number else "numbers and text"
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
