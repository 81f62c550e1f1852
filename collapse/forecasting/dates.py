"""Dates and times as people write them, in columns of text or of numbers such as 20260131."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collapse.forecasting.needs import pandas
from collapse.forecasting.numerals import Texts

Array = NDArray[np.float64]

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
    likely = [form for form in forms if parsed(some, form).notna().mean() > 0.5]
    found = [parsed(texts, form) for form in likely]
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
    forms = {
        "gap": part["gap"] + ("%I:%M" if part["half"] else "%H:%M"),
        "second": ":%S",
        "part": ".%f",
        "half": f"{part['blank']}%p",
        "zone": "%z",
    }
    return "".join(form for group, form in forms.items() if part[group])


def hours(column: Texts) -> Array | None:
    """Hours of the different texts where all are such as 08:15 or 08:15:30; else None."""
    if len(column.unique) < COMPACT or not all(map(CLOCK.fullmatch, column.unique)):
        return None
    parts = pandas().Series(column.unique).str.split(":", expand=True).astype(np.float64).fillna(0)
    return np.asarray(parts @ 60.0 ** -np.arange(parts.shape[1]))


def compact(values: Array) -> Array | None:
    """Days of numbers such as 20260131, where all are dates; else None."""
    present = values[~np.isnan(values)]
    if len(np.unique(present)) < COMPACT or (present != np.floor(present)).any():
        return None
    if present.min() < 19000101 or present.max() > 21001231:
        return None
    texts = pandas().Series(values).map("{:.0f}".format, na_action="ignore")
    found = pandas().to_datetime(texts, format="%Y%m%d", errors="coerce")
    return days(found) if found.notna().sum() == len(present) else None
