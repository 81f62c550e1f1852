"""Files with a table: their packing, encoding, separator and header, found and said."""

from __future__ import annotations

import csv
import gzip
import io
import re
import sys
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from collapse.checks import brief, require
from collapse.forecasting.cells import is_text, is_written, of_file
from collapse.forecasting.common import module, pandas, quoted
from collapse.forecasting.texts import MISSING, NUMBER, Told

if TYPE_CHECKING:
    import pandas as pd

NEEDS = "reading {} needs {}: pip install 'collapse-companion[{}]', or save the table as CSV."
FALLBACK = "cp1252"
"""Encoding of text that is not UTF-8: Windows' Latin-1."""
SEPARATORS = "\t;|,"
"""Where two split the lines equally well, the earlier one: a comma may be a decimal mark."""


def file_name(data: object) -> str:
    """What a report calls a table."""
    return Path(data).name if isinstance(data, (str, Path)) else "a data frame"


def load(
    data: Any, target: str | None, encoding: str | None = None, name: str = "data"
) -> pd.DataFrame:
    """Return the table that `data` is or, where it is a path, that the file holds.

    Raises
    ------
    FileNotFoundError, ImportError, ValueError
        As `read` does, or where `data` is neither.
    """
    if isinstance(data, (str, Path)):
        return read(data, target, encoding)
    require(
        isinstance(data, pandas().DataFrame),
        f"{name} must be the path of a file or a pandas.DataFrame; it is {brief(data)}.",
    )
    require(encoding is None, f"encoding is for files of text; {name} is a data frame.")
    return data


def read(path: str | Path, target: str | None, encoding: str | None = None) -> pd.DataFrame:
    """Read a file that has a header and a column called `target`.

    Text (CSV) is separated by comma, semicolon, tab or bar, in UTF-8, UTF-16 or Latin-1. A parquet
    file and the first sheet of an Excel file (.xlsx) are read too, and each of them packed by gzip
    or as the one member of a zip file.

    Parameters
    ----------
    path : path
        The file, or "-" for standard input; what is in it is told by its first bytes, and parquet's
        ending.
    target : str or None
        A column that it must have, unless it is None.
    encoding : str, optional
        Of text, such as "utf-8" or "shift_jis". Default: found, and said where it is not UTF-8.

    Returns
    -------
    pandas.DataFrame
        ``attrs["collapse"]`` holds what `collapse.forecasting.table.prepare` says of the file.

    Raises
    ------
    FileNotFoundError
        Where there is no such file.
    ValueError
        Where the file is empty, no table, has no header or no such column; in one sentence.
    ImportError
        Where pandas is missing, or what it needs for parquet or Excel.
    """
    labelled = target is not None
    path, target = Path(path), str(target)
    name, pd = str(path), pandas()
    with _refused(f"the file {brief(name)} cannot be read", OSError):
        packed = (
            sys.stdin.buffer.read()
            if name == "-"
            else path.read_bytes()
            if path.is_file()
            else None
        )
    if packed is None:
        raise FileNotFoundError(f"there is no file {path}.")
    raw, told, decimal = _unpacked(packed, name, path.suffix), Told(), None
    excel = raw[:4] == b"PK\x03\x04"
    parquet = raw[:4] == b"PAR1" or path.suffix.lower() in (".parquet", ".pq")
    require(
        not (encoding is not None and (excel or parquet)),
        f"encoding is for files of text; {path} is none.",
    )
    require(
        not (raw[:8] == b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" and not parquet),
        f"{path} is an old Excel file (.xls) or encrypted; save it as .xlsx or CSV.",
    )
    if excel:
        frame = _of_excel(raw, name, told)
    elif parquet:
        frame = _of_parquet(raw, name)
    else:
        text = _decoded(raw, name, encoding, told)
        kinds = (pd.errors.ParserError, pd.errors.EmptyDataError, csv.Error)
        with _refused(f"{path} is no table in CSV (one line for each row)", *kinds):
            frame, decimal = _of_text(text, name)
    told.notes += [
        f"Column {k + 1} has no name in the header and is called 'Unnamed: {k}'."
        for k in np.flatnonzero(frame.columns == "")[:8]
    ]
    frame.columns = [column or f"Unnamed: {k}" for k, column in enumerate(frame.columns)]
    if labelled:
        check_columns(frame, target, name)
        _refuse_headless(frame, target, name)
    mark = {} if decimal is None else {"decimal": of_file(frame, decimal, told)}
    frame.attrs["collapse"] = vars(told) | mark
    return frame


@contextmanager
def _refused(what: str, *errors: type[Exception]) -> Iterator[None]:
    """Turn errors into a ValueError that says what, and why in the first line of the error."""
    try:
        yield
    except errors as error:
        why = getattr(error, "strerror", None) or str(error).strip() or type(error).__name__
        raise ValueError(f"{what}: {why.splitlines()[0].rstrip('.')}.") from error


def check_columns(frame: pd.DataFrame, target: str | None, name: str) -> None:
    """Refuse a table that has no header, no rows, no column `target` or nothing but it; with no
    target, one whose names are all numbers.
    """
    names = [str(column) for column in frame.columns]
    numbers = [column for column in names if is_written(column)]
    absent = target not in names if target is not None else numbers == names
    require(
        not (absent and numbers),
        f"{name} seems to have no header, since its first line holds the number"
        f" {', '.join(numbers[:1])}; write the names of the columns there in a line of their own.",
    )
    hint = "" if len(names) > 1 else " alone (separate columns by a comma, semicolon or tab)"
    known = _some(names, 12)
    require(
        target is None or not absent,
        f"{name} has no column {target!r} to be the target; it has {known}{hint}.",
    )
    often, times = Counter(names).most_common(1)[0]
    require(not (times > 1), f"{name} has {times} columns called {often!r}; rename all but one.")
    require(bool(len(frame)), f"{name} has a header and no rows.")
    require(
        target is None or len(names) >= 2,
        f"{name} has no column beside the target {target!r} to predict it from.",
    )


def _some(names: list[str], most: int) -> str:
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def _refuse_headless(frame: pd.DataFrame, target: str, name: str) -> None:
    """Refuse a file whose header looks like a row: numbers over numbers, a class over classes."""
    numeric = set(frame.select_dtypes("number").columns)
    alike = [
        column
        for column in frame.columns
        if (is_written(column) if column in numeric else (frame[column] == column).any())
    ]
    over = [column for column in alike if column != target]
    counted = {str(k) for k in range(len(frame.columns) + 1)}
    rows = target in alike and over and numeric <= set(alike)
    require(
        not (rows and not counted.issuperset(alike)),
        f"{name} seems to have no header, since its first line holds {quoted(over[:1])} and "
        f"{target!r}, which look like cells of the columns below; write their names there.",
    )


def _unpacked(raw: bytes, name: str, suffix: str) -> bytes:
    """Contents of a packed file, however often it was packed; other bytes as they are."""
    require(bool(raw), f"{name} is empty; it needs a line of column names and rows of values.")
    broken = (OSError, EOFError, zlib.error, zipfile.BadZipFile, RuntimeError)
    with _refused(f"{name} cannot be unpacked", *broken):
        if raw[:2] == b"\x1f\x8b":
            return _unpacked(gzip.decompress(raw), name, "")
        if raw[:2] != b"PK":
            ending, packed = suffix.lower(), (".gz", ".zip", ".xlsx")
            require(
                ending not in packed,
                f"{name} is no {ending[1:]} file; name it after what it holds.",
            )
            return raw
        require(
            raw[:4] == b"PK\x03\x04",
            f"{name} is a zip file that holds no file; put one table into it.",
        )
        with zipfile.ZipFile(io.BytesIO(raw)) as file:
            names = file.namelist()
            if "[Content_Types].xml" in names:
                return raw  # Excel's
            members = [n for n in names if not n.startswith("__MACOSX/") and not n.endswith("/")]
            require(
                len(members) == 1,
                f"{name} holds {len(members)} files ({_some(members, 5)}); put one table into it.",
            )
            return _unpacked(file.read(members[0]), f"{members[0]} in {name}", "")


def _decoded(raw: bytes, name: str, encoding: str | None, told: Told) -> str:
    """Text of a file in the encoding asked for, or in the one that its bytes show."""
    head = raw[:4096]
    if encoding is not None:
        utf8 = brief(encoding).strip("'").lower().replace("_", "-") in ("utf-8", "utf8")
        codes = ["utf-8-sig" if utf8 else encoding]
    elif head.startswith((b"\xff\xfe", b"\xfe\xff")):
        codes = ["utf-16"]
    elif head.count(0) > len(head) // 4:
        codes = ["utf-16-le" if head[1::2].count(0) > head[::2].count(0) else "utf-16-be"]
    else:
        codes = ["utf-8-sig", FALLBACK]
    for code in codes:
        try:
            text = raw.decode(code)
        except (LookupError, TypeError) as error:
            raise ValueError(
                f"encoding must be one of Python's, such as utf-8; it is {brief(encoding)}."
            ) from error
        except ValueError:
            continue
        if "\0" in text:
            break
        latin = "Latin-1 (Windows-1252), since it is not UTF-8"
        told.note(
            encoding is None and code != "utf-8-sig",
            f"The file was read as {latin if code == FALLBACK else code.upper()}; where letters"
            " look wrong, give its encoding.",
        )
        return text
    tried = "UTF-8, UTF-16 or Latin-1" if encoding is None else f"the encoding {encoding}"
    raise ValueError(
        f"{name} is no table in CSV: its bytes are no text in {tried}; give its encoding, or save "
        "it as UTF-8 (in a spreadsheet: 'CSV UTF-8')."
    )


def _of_text(text: str, name: str) -> tuple[pd.DataFrame, str]:
    """A table of text, and the decimal mark that its separator leaves."""
    pd, told = pandas(), re.match(r"sep=(.)\r?\n", text)  # Excel's own first line
    body = text[told.end() :] if told else text
    separator = told[1] if told else _separator(body)

    def table(**options: Any) -> Any:
        return pd.read_csv(io.StringIO(body), sep=separator, skipinitialspace=True, **options)

    head = table(header=None, nrows=1, dtype=str, na_filter=False)
    header = [" ".join(cell.split()) for cell in head.iloc[0]]
    cells: dict[str, Any] = {"keep_default_na": False, "na_values": sorted(MISSING)}
    options = cells | {"low_memory": False, "index_col": False}
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        try:
            frame = table(**options)
        except pd.errors.ParserWarning as error:
            raise ValueError(
                f"{name} is no table in CSV: its rows have more cells than its"
                f" header, {len(header)}; name every column there."
            ) from error
    if any(
        isinstance(cell, str) and "," in cell and NUMBER.match(" ".join(cell.split()))
        for k in np.flatnonzero(list(map(is_text, frame.dtypes)))
        for cell in frame.iloc[:, k].unique()
    ):
        frame = table(dtype=str, **options)  # what 1.200 means is told by the other cells
    frame.columns = header
    return frame, "." if separator == "," else ","


def _separator(text: str) -> str:
    """The mark that splits the first lines into equally many cells, and into the most of them."""
    lines = text[: 2**16].splitlines(keepends=True)
    cut = len(text) > 2**16 and len(lines) > 1  # in the middle of a line
    lines = lines[: len(lines) - cut]

    def score(mark: str) -> tuple[bool, int]:
        rows = csv.reader(lines, delimiter=mark, skipinitialspace=True)
        counts = [len(row) for row in rows if row] or [0]
        return len(set(counts)) == 1 and counts[0] > 1, counts[0]

    best = max(SEPARATORS, key=score)
    return best if score(best) > (False, 1) else ","


def _of_parquet(raw: bytes, name: str) -> pd.DataFrame:
    arrow = module("pyarrow", NEEDS.format(name, "pyarrow", "parquet"))
    with _refused(f"{name} is no parquet file", OSError, ValueError, arrow.ArrowException):
        frame = pandas().read_parquet(io.BytesIO(raw))
    return frame.rename(columns=lambda column: str(column).strip())


def _of_excel(raw: bytes, name: str, told: Told) -> pd.DataFrame:
    pd = pandas()
    module("openpyxl", NEEDS.format(name, "openpyxl", "excel"))
    options: dict[str, Any] = {"dtype": object, "keep_default_na": False, "na_values": [""]}
    # a broken file raises whatever the parsers of zip and XML do
    with _refused(f"{name} is no Excel file (.xlsx)", Exception), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of styles and rules that no table needs
        with pd.ExcelFile(io.BytesIO(raw), engine="openpyxl") as book:
            sheets = list(book.sheet_names)
            cells = pd.read_excel(book, header=None, **options).dropna(how="all")
    require(
        bool(len(cells)),
        f"the first sheet of {name}, {sheets[0]!r}, is empty; put the table there.",
    )
    several = len(sheets) > 1
    told.note(several, f"The first of {len(sheets)} sheets, {sheets[0]!r}, was read.")
    frame = cells.iloc[1:].reset_index(drop=True)
    frame.columns = ["" if pd.isna(cell) else " ".join(str(cell).split()) for cell in cells.iloc[0]]
    return frame.infer_objects()
