"""Files with a table: their packing, encoding, separator and header, found and said."""

from __future__ import annotations

import csv
import gzip
import io
import re
import warnings
import zipfile
import zlib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collapse.checks import brief
from collapse.forecasting.cells import MISSING, NUMBER, is_text, of_file, pandas

if TYPE_CHECKING:
    import pandas as pd

NEEDS = "reading {} needs {}: pip install 'collapse-companion[{}]', or save the table as CSV."
FALLBACK = "cp1252"
"""Encoding of text that is not UTF-8: Windows' Latin-1."""
SEPARATORS = "\t;|,"
"""Where two split the lines equally well, the earlier one: a comma may be a decimal mark."""


def load(data: Any, target: str, encoding: str | None = None, name: str = "data") -> pd.DataFrame:
    """Return the table that `data` is or, where it is a path, that the file holds.

    Raises
    ------
    FileNotFoundError, ImportError, ValueError
        As `read` does, or where `data` is neither.
    """
    if isinstance(data, (str, Path)):
        return read(data, target, encoding)
    if not isinstance(data, pandas().DataFrame):
        kinds = "the path of a file or a pandas.DataFrame"
        raise ValueError(f"{name} must be {kinds}; it is {brief(data)}.")
    if encoding is not None:
        raise ValueError(f"encoding is for files of text; {name} is a data frame.")
    return data


def read(path: str | Path, target: str, encoding: str | None = None) -> pd.DataFrame:
    """Read a file that has a header and a column called `target`.

    Text (CSV) is separated by comma, semicolon, tab or bar, in UTF-8, UTF-16 or Latin-1. A parquet
    file and the first sheet of an Excel file (.xlsx) are read too, and each of them packed by gzip
    or as the one member of a zip file.

    Parameters
    ----------
    path : path
        The file; what is in it is told by its first bytes, and parquet's ending.
    target : str
        A column that it must have.
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
    path, target = Path(path), str(target)
    pd = pandas()
    try:
        if not path.is_file():
            raise FileNotFoundError(f"there is no file {path}.")
        packed = path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:  # no right to read it, or a table in place of its path
        raise ValueError(
            f"the file {brief(str(path))} cannot be read: {error.strerror}."
        ) from error
    raw = _unpacked(packed, str(path), path.suffix)
    notes: list[str] = []
    separator = ""
    binary = raw[:4] in (b"PAR1", b"PK\x03\x04") or path.suffix.lower() in (".parquet", ".pq")
    if encoding is not None and binary:
        raise ValueError(f"encoding is for files of text; {path} is none.")
    if raw[:4] == b"PK\x03\x04":
        frame = _of_excel(raw, str(path), notes)
    elif binary:
        frame = _of_parquet(raw, str(path))
    elif raw[:8] == b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1":
        raise ValueError(
            f"{path} is an old Excel file (.xls) or encrypted; save it as .xlsx or CSV."
        )
    else:
        try:
            frame, separator = _of_text(_decoded(raw, str(path), encoding, notes), str(path))
        except (pd.errors.ParserError, pd.errors.EmptyDataError, csv.Error) as error:
            raise ValueError(
                f"{path} is no table in CSV (one line for each row): {first_line(error)}"
            ) from error
    blank = [k for k, name in enumerate(frame.columns) if not name]
    frame.columns = [name or f"Unnamed: {k}" for k, name in enumerate(frame.columns)]
    for k in blank[:8]:
        notes.append(f"Column {k + 1} has no name in the header and is called 'Unnamed: {k}'.")
    check_columns(frame, target, str(path))
    _refuse_headless(frame, target, str(path))
    if separator:
        frame, cells, decimal = of_file(frame, "." if separator == "," else ",")
        notes += cells.notes
        frame.attrs["collapse"] = {"notes": notes, "cautions": cells.cautions, "decimal": decimal}
    else:
        frame.attrs["collapse"] = {"notes": notes}
    return frame


def check_columns(frame: pd.DataFrame, target: str, name: str) -> None:
    """Refuse a table that has no header, no rows, no column `target` or nothing but it."""
    names = [str(column) for column in frame.columns]
    if target not in names:
        if numbers := [column for column in names if is_number(column)]:
            raise ValueError(
                f"{name} seems to have no header, since its first line holds the number "
                f"{numbers[0]}; write the names of the columns there in a line of their own."
            )
        known = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
        hint = "" if len(names) > 1 else " alone (separate columns by a comma, semicolon or tab)"
        raise ValueError(f"{name} has no column {target!r} to be the target; it has {known}{hint}.")
    often, times = Counter(names).most_common(1)[0]
    if times > 1:
        raise ValueError(f"{name} has {times} columns called {often!r}; rename all but one.")
    if not len(frame):
        raise ValueError(f"{name} has a header and no rows.")
    if len(names) < 2:
        raise ValueError(f"{name} has no column beside the target {target!r} to predict it from.")


def _refuse_headless(frame: pd.DataFrame, target: str, name: str) -> None:
    """Refuse a file whose header looks like a row: numbers over numbers, a class over classes."""

    def like_a_cell(column: str) -> bool:
        if pandas().api.types.is_numeric_dtype(frame[column]):
            return is_number(column)
        return bool((frame[column] == column).any())

    counted = {str(k) for k in range(len(frame.columns) + 1)}
    if not like_a_cell(target):
        return
    over = [column for column in frame.columns if column != target]
    numeric = [column for column in over if pandas().api.types.is_numeric_dtype(frame[column])]
    alike = [column for column in over if like_a_cell(column)]
    if alike and all(map(is_number, numeric)) and not counted.issuperset([*alike, target]):
        raise ValueError(
            f"{name} seems to have no header, since its first line holds {alike[0]!r} and "
            f"{target!r}, which look like cells of the columns below; write their names there."
        )


def _unpacked(raw: bytes, name: str, suffix: str) -> bytes:
    """Contents of a packed file, however often it was packed; other bytes as they are."""
    if not raw:
        raise ValueError(f"{name} is empty; it needs a line of column names and rows of values.")
    try:
        if raw[:2] == b"\x1f\x8b":
            return _unpacked(gzip.decompress(raw), name, "")
        if raw[:2] == b"PK" and raw[:4] != b"PK\x03\x04":
            raise ValueError(f"{name} is a zip file that holds no file; put one table into it.")
        if raw[:2] != b"PK":
            if suffix.lower() in (".gz", ".zip", ".xlsx"):
                raise ValueError(
                    f"{name} is no {suffix.lower()[1:]} file; name it after what it holds."
                )
            return raw
        with zipfile.ZipFile(io.BytesIO(raw)) as packed:
            if "[Content_Types].xml" in packed.namelist():
                return raw  # Excel's
            names = [name for name in packed.namelist() if not name.startswith("__MACOSX/")]
            members = [name for name in names if not name.endswith("/")]
            if len(members) != 1:
                said = ", ".join(members[:5]) + (", ..." if len(members) > 5 else "")
                raise ValueError(
                    f"{name} holds {len(members)} files ({said}); put one table into it."
                )
            return _unpacked(packed.read(members[0]), f"{members[0]} in {name}", "")
    except (
        OSError,
        EOFError,
        zlib.error,
        zipfile.BadZipFile,
        RuntimeError,
        NotImplementedError,
    ) as error:
        raise ValueError(f"{name} cannot be unpacked: {first_line(error)}") from error


def _decoded(raw: bytes, name: str, encoding: str | None, notes: list[str]) -> str:
    """Text of a file in the encoding asked for, or in the one that its bytes show."""
    marks = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
    found = next((code for mark, code in marks.items() if raw.startswith(mark)), None)
    head = raw[:4096]
    if encoding is not None and not isinstance(encoding, str):
        raise ValueError(
            f"encoding must be the name of one, such as utf-8 or cp1252; it is {brief(encoding)}."
        )
    if encoding is not None:
        codes = [
            "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding
        ]
    elif found:
        codes = [found]
    elif head.count(0) > len(head) // 4:
        codes = ["utf-16-le" if head[1::2].count(0) > head[::2].count(0) else "utf-16-be"]
    else:
        codes = ["utf-8", FALLBACK]
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
        if encoding is None and code not in ("utf-8", "utf-8-sig"):
            latin = "Latin-1 (Windows-1252), since it is not UTF-8"
            said = latin if code == FALLBACK else code.upper()
            notes.append(
                f"The file was read as {said}; where letters look wrong, give its encoding."
            )
        return text
    tried = "UTF-8, UTF-16 or Latin-1" if encoding is None else f"the encoding {encoding}"
    raise ValueError(
        f"{name} is no table in CSV: its bytes are no text in {tried}; give its encoding, or save "
        "it as UTF-8 (in a spreadsheet: 'CSV UTF-8')."
    )


def _of_text(text: str, name: str) -> tuple[pd.DataFrame, str]:
    pd = pandas()
    told = re.match(r"sep=(.)\r?\n", text)  # Excel's own first line
    if told:
        text = text[told.end() :]
    separator = told[1] if told else _separator(text)
    options: dict[str, Any] = {
        "sep": separator,
        "skipinitialspace": True,
        "low_memory": False,
        "index_col": False,
    }
    options |= {"keep_default_na": False, "na_values": sorted(MISSING)}
    head = pd.read_csv(
        io.StringIO(text),
        header=None,
        nrows=1,
        dtype=str,
        sep=separator,
        skipinitialspace=True,
        na_filter=False,
    )
    header = [" ".join(cell.split()) for cell in head.iloc[0]]
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        try:
            frame = pd.read_csv(io.StringIO(text), **options)
        except pd.errors.ParserWarning as error:
            many = f"its rows have more cells than its header, {len(header)}"
            raise ValueError(
                f"{name} is no table in CSV: {many}; name every column there."
            ) from error
    texts = [k for k, kind in enumerate(frame.dtypes) if is_text(kind)]
    if any(
        isinstance(cell, str) and "," in cell and NUMBER.fullmatch(" ".join(cell.split()))
        for k in texts
        for cell in frame.iloc[:, k].unique()
    ):
        frame = pd.read_csv(
            io.StringIO(text), dtype=str, **options
        )  # what 1.200 means is told by the other cells
    frame.columns = header
    return frame, separator


def _separator(text: str) -> str:
    """The mark that splits the first lines into equally many cells, and into the most of them."""
    head = text[: 2**16]
    lines = head.splitlines(keepends=True)
    if len(head) < len(text) and len(lines) > 1:
        lines.pop()  # a part of a line
    best, most = ",", (False, 1)
    for mark in SEPARATORS:
        rows = csv.reader(lines, delimiter=mark, skipinitialspace=True)
        counts = [len(row) for row in rows if row]
        score = (len(set(counts)) == 1 and counts[0] > 1, counts[0] if counts else 0)
        if score > most:
            best, most = mark, score
    return best


def _of_parquet(raw: bytes, name: str) -> pd.DataFrame:
    try:
        from pyarrow import ArrowException  # type: ignore[import-untyped,unused-ignore]
    except ImportError as error:
        raise ImportError(NEEDS.format(name, "pyarrow", "parquet")) from error
    try:
        frame = pandas().read_parquet(io.BytesIO(raw))
    except (OSError, ValueError, ArrowException) as error:
        raise ValueError(f"{name} is no parquet file: {first_line(error)}") from error
    frame.columns = [str(column).strip() for column in frame.columns]
    return frame


def _of_excel(raw: bytes, name: str, notes: list[str]) -> pd.DataFrame:
    pd = pandas()
    try:
        import openpyxl  # type: ignore[import-untyped,unused-ignore]  # noqa: F401
    except ImportError as error:
        raise ImportError(NEEDS.format(name, "openpyxl", "excel")) from error
    try:
        with warnings.catch_warnings(), pd.ExcelFile(io.BytesIO(raw), engine="openpyxl") as book:
            warnings.simplefilter(
                "ignore", UserWarning
            )  # of styles and rules that a table does not need
            sheets = list(book.sheet_names)
            cells = pd.read_excel(
                book, header=None, dtype=object, keep_default_na=False, na_values=[""]
            )
    except Exception as error:  # of a broken file: whatever its parsers of zip and XML raise
        raise ValueError(f"{name} is no Excel file (.xlsx): {first_line(error)}") from error
    cells = cells.dropna(how="all")
    if not len(cells):
        raise ValueError(
            f"the first sheet of {name}, {sheets[0]!r}, is empty; put the table there."
        )
    if len(sheets) > 1:
        notes.append(f"The first of {len(sheets)} sheets, {sheets[0]!r}, was read.")
    frame = cells.iloc[1:].reset_index(drop=True)
    frame.columns = ["" if pd.isna(cell) else " ".join(str(cell).split()) for cell in cells.iloc[0]]
    return frame.infer_objects()


def is_number(text: str) -> bool:
    """Whether a text is a number in Python's own notation."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def first_line(error: Exception) -> str:
    """The first line of an error's text, as a sentence."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".") + "."
