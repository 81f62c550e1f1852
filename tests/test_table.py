"""A user's own table: what files and columns are read as, what is left out, refused or doubted."""

from __future__ import annotations

import datetime
import gzip
import io
import sys
import zipfile
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pandas as pd
import pytest

import collapse
from collapse.cli import main
from collapse.forecasting.suspects import leaks, sentinels
from collapse.forecasting.table import Table, load, prepare, read

RNG = np.random.default_rng(5)
N = 120
X = RNG.normal(size=N).round(2)
Z = RNG.normal(10, 3, N).round(1)
Y = (X + RNG.normal(size=N)).round(3)
FRAME = pd.DataFrame({"x": X, "z": Z, "y": Y})
CLASSES = np.where(Y > 0, "yes", "no")


def written(path: Path, text: str | bytes, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding) if isinstance(text, str) else text)
    return path


def same(found: Table, truth: Table) -> None:
    assert (found.task, found.classes, found.columns) == (truth.task, truth.classes, truth.columns)
    for mine, true in (
        (found.X, truth.X),
        (found.X_test, truth.X_test),
        (found.y, truth.y),
        (found.y_test, truth.y_test),
    ):
        np.testing.assert_allclose(mine, true, rtol=1e-9, atol=1e-9)


def zipped(members: dict[str, str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return out.getvalue()


CSV = FRAME.to_csv(index=False)
COMMA = FRAME.to_csv(index=False, sep=";", decimal=",")


# --- files ------------------------------------------------------------

FILES: dict[str, tuple[str, bytes]] = {
    "comma": ("d.csv", CSV.encode()),
    "semicolon": ("d.csv", FRAME.to_csv(index=False, sep=";").encode()),
    "tab": ("d.tsv", FRAME.to_csv(index=False, sep="\t").encode()),
    "bar": ("d.txt", FRAME.to_csv(index=False, sep="|").encode()),
    "decimal comma": ("d.csv", COMMA.encode()),
    "decimal comma, quoted": ("d.csv", FRAME.to_csv(index=False, decimal=",").encode()),
    "Excel's first line": ("d.csv", ("sep=;\r\n" + COMMA).encode()),
    "byte order mark": ("d.csv", CSV.encode("utf-8-sig")),
    "UTF-16": ("d.csv", CSV.encode("utf-16")),
    "UTF-16 without a mark": ("d.csv", CSV.encode("utf-16-be")),
    "gzip": ("d.csv.gz", gzip.compress(CSV.encode())),
    "gzip under another name": ("d.csv", gzip.compress(CSV.encode())),
    "zip": ("d.zip", zipped({"__MACOSX/._d.csv": "x", "folder/": "", "folder/d.csv": CSV})),
    "carriage returns": ("d.csv", CSV.replace("\n", "\r").encode()),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_read_however_it_is_written(name: str, tmp_path: Path) -> None:
    file, raw = FILES[name]
    same(prepare(read(written(tmp_path / file, raw), "y"), "y"), prepare(FRAME, "y"))


def test_excel_is_read_with_its_types_and_without_its_decoration(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = "values"
    sheet.append(["x", "z", "y", "day", "member", "note"])
    days = [datetime.datetime(2024, 1, 1) + datetime.timedelta(days=k % 50) for k in range(N)]
    for k in range(N):
        sheet.append([X[k], str(Z[k]).replace(".", ","), Y[k], days[k], k % 3 == 0, None])
        if k == 5:
            sheet.append([])
    book.create_sheet("remarks").append(["nothing"])
    book.save(tmp_path / "d.xlsx")
    found = prepare(read(tmp_path / "d.xlsx", "y"), "y")
    same(found, prepare(FRAME.assign(day=days, member=[str(k % 3 == 0) for k in range(N)]), "y"))
    for said in (
        "The first of 2 sheets, 'values', was read.",
        "Numbers were read from their text in 'z' (decimal commas).",
        "Dates were made numbers, in days, in 'day'.",
    ):
        assert said in " ".join(found.notes)


def test_excel_without_its_library_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    FRAME.to_excel(tmp_path / "d.xlsx", index=False)
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(
        ImportError, match=r"needs openpyxl: pip install 'collapse-companion\[excel\]'"
    ):
        read(tmp_path / "d.xlsx", "y")


def test_encodings_are_found_said_and_told(tmp_path: Path) -> None:
    frame = FRAME.assign(stadt=np.where(Z > 10, "Köln", "Münster"))
    text = frame.to_csv(index=False)
    found = prepare(read(written(tmp_path / "a.csv", text, "cp1252"), "y"), "y")
    same(found, prepare(frame, "y"))
    assert "The file was read as Latin-1 (Windows-1252), since it is not UTF-8" in " ".join(
        found.notes
    )
    cities = FRAME.assign(stadt=np.where(Z > 10, "東京", "大阪"))
    path = written(tmp_path / "b.csv", cities.to_csv(index=False), "shift_jis")
    same(prepare(read(path, "y", "shift_jis"), "y"), prepare(cities, "y"))
    plain = written(tmp_path / "c.csv", text)
    for encoding, message in (
        ("klingon", "encoding must be one of Python's, such as utf-8; it is 'klingon'."),
        ("base64", "encoding must be one of Python's"),
        (
            "ascii",
            "its bytes are no text in the encoding ascii; give its encoding, or save it as UTF-8",
        ),
        (5, "encoding must be one of Python's, such as utf-8; it is 5."),
    ):
        with pytest.raises(ValueError, match=message):
            read(plain, "y", encoding)  # type: ignore[arg-type]
    frame.to_parquet(tmp_path / "d.parquet")
    with pytest.raises(ValueError, match="encoding is for files of text"):
        read(tmp_path / "d.parquet", "y", "utf-8")
    with pytest.raises(ValueError, match="files of text; data is a data frame"):
        load(frame, "y", "utf-8")


BROKEN: dict[str, tuple[str, bytes, str]] = {
    "two files": (
        "d.zip",
        zipped({"a.csv": "a", "b.csv": "b"}),
        r"holds 2 files \(a.csv, b.csv\); put one table into it.",
    ),
    "no file": ("d.zip", zipped({}), "is a zip file that holds no file; put one table into it."),
    "half a zip": ("d.zip", zipped({"a.csv": CSV})[:200], "cannot be unpacked"),
    "half a gzip": ("d.gz", gzip.compress(CSV.encode())[:-30], "cannot be unpacked"),
    "no zip": ("d.zip", CSV.encode(), "is no zip file; name it after what it holds"),
    "no workbook": ("d.xlsx", zipped({"[Content_Types].xml": "x"}), r"is no Excel file \(.xlsx\)"),
    "old workbook": (
        "d.xls",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(99),
        "is an old Excel file",
    ),
    "picture": (
        "d.csv",
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256)),
        "its bytes are no text in UTF-8, UTF-16 or Latin-1",
    ),
    "blanks": (
        "d.csv",
        CSV.replace(",", " ").encode(),
        "has no column 'y' to be the target; it has x z y alone .separate columns by",
    ),
    "same name": (
        "d.csv",
        b"x,y,y\n1,2,3\n2,3,5\n3,4,4\n4,1,1\n",
        "has 2 columns called 'y'; rename all but one.",
    ),
    "same name but for blanks": (
        "d.csv",
        b"x ,x,y\n1,2,3\n2,3,5\n3,4,4\n4,1,1\n",
        "has 2 columns called 'x'; rename all but one.",
    ),
    "long rows": (
        "d.csv",
        b"x,y\n1,2,3\n4,5,6\n",
        "its rows have more cells than its header, 2; name every column there.",
    ),
    "one long row": ("d.csv", b"x,y\n1,2\n4,5,6\n", "is no table in CSV"),
    "no header": (
        "d.csv",
        CSV.split("\n", 1)[1].encode(),
        "seems to have no header, since its first line holds the number",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_gets_one_sentence(name: str, tmp_path: Path) -> None:
    file, raw, message = BROKEN[name]
    with pytest.raises(ValueError, match=message) as caught:
        read(written(tmp_path / file, raw), "y")
    assert "\n" not in str(caught.value)


def test_a_first_line_that_is_a_row_is_no_header(tmp_path: Path) -> None:
    rows = FRAME.assign(y=CLASSES)
    path = written(tmp_path / "d.csv", rows.to_csv(index=False, header=False))
    with pytest.raises(
        ValueError,
        match=f"no header, since its first line holds '{X[0]}' and '{CLASSES[0]}', which look",
    ):
        read(path, CLASSES[0])
    # numbers that count the columns are names
    counted = pd.DataFrame(RNG.normal(size=(40, 5))).assign(y=range(40))
    assert list(read(written(path, counted.to_csv(index=False)), "3").columns) == [
        "0",
        "1",
        "2",
        "3",
        "4",
        "y",
    ]


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError,
        match=r"data must be the path of a file or a pandas\.DataFrame; it is {'a': 1}\.",
    ):
        collapse.forecast({"a": 1}, "y")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"test_file must be the path of a file .* it is 3\."):
        collapse.forecast(FRAME, "y", test_file=3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"the table must be a pandas\.DataFrame; it is None\."):
        prepare(None, "y")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="cannot be read"):
        load(CSV * 9, "y")
    with pytest.raises(FileNotFoundError, match="there is no file"):
        load(tmp_path, "y")


# --- numbers ------------------------------------------------------------

NUMBERS: dict[str, tuple[Callable[[int], str], Callable[[int], float]]] = {
    "thousands": (lambda k: f"{k * 20011:,}", lambda k: k * 20011),
    "thousands apart by blanks": (
        lambda k: f"{k * 20011:,}".replace(",", "\N{NO-BREAK SPACE}"),
        lambda k: k * 20011,
    ),
    "thousands and decimals": (lambda k: f"{1000 + 7.25 * k:,.2f}", lambda k: 1000 + 7.25 * k),
    "Swiss": (lambda k: f"{1000 + 7.25 * k:,.2f}".replace(",", "'"), lambda k: 1000 + 7.25 * k),
    "German": (
        lambda k: f"{1000 + 7.25 * k:,.2f}".translate(str.maketrans(".,", ",.")),
        lambda k: 1000 + 7.25 * k,
    ),
    "percent": (lambda k: f"{0.5 * k} %", lambda k: 0.5 * k),
    "dollars": (lambda k: f"${7.25 * k:,.2f}", lambda k: 7.25 * k),
    "euros": (lambda k: f"{7.25 * k:.2f} €", lambda k: 7.25 * k),
    "a unit": (lambda k: f"{k * 3 % 50} kg", lambda k: k * 3 % 50),
    "a unit for another": (lambda k: f"{k * 3 % 50} km/h", lambda k: k * 3 % 50),
    "degrees": (lambda k: f"{k * 3 % 50}.5°C", lambda k: k * 3 % 50 + 0.5),
    "roubles": (lambda k: f"{k * 3 % 50}.5 ₽", lambda k: k * 3 % 50 + 0.5),
    "brackets": (lambda k: f"({k * 3 % 50}.5)", lambda k: -(k * 3 % 50) - 0.5),
    "a long minus": (lambda k: f"\N{MINUS SIGN}{k * 3 % 50}.5", lambda k: -(k * 3 % 50) - 0.5),
    "powers of ten": (lambda k: f"{k * 3 % 50}E-3", lambda k: (k * 3 % 50) / 1000),
    "blanks around": (lambda k: f"  {k * 3 % 50}\t", lambda k: k * 3 % 50),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_are_read_from_their_text(name: str, tmp_path: Path) -> None:
    write, value = NUMBERS[name]
    truth = prepare(FRAME.assign(a=[float(value(k)) for k in range(N)]), "y")
    frame = FRAME.assign(a=[write(k) for k in range(N)])
    for found in (
        prepare(frame, "y"),
        prepare(read(written(tmp_path / "d.csv", frame.to_csv(index=False, sep=";")), "y"), "y"),
    ):
        same(found, truth)
    notes = " ".join(prepare(frame, "y").notes)
    assert "'a'" in notes
    assert not [text for text in frame["a"] if len(text) > 2 and text in notes]


def test_a_number_becomes_its_standardised_self() -> None:
    commas = [f"{value:.2f}".replace(".", ",") for value in X]
    frame = FRAME.assign(x=commas, z=[f"{value} %" for value in Z])
    made = prepare(frame, "y", test=frame)
    for k, values in ((1, X), (2, Z)):
        np.testing.assert_allclose(
            made.X[:, k], (values - values.mean()) / values.std(), rtol=1e-12
        )


def test_the_decimal_comma_is_found_in_any_row(tmp_path: Path) -> None:
    commas = ["1" if k < 30 else f"{X[k]:.2f}".replace(".", ",") for k in range(N)]
    rows = [f"{commas[k]};{k % 2};{int(Y[k] > 0)}" for k in range(N)]
    found = prepare(read(written(tmp_path / "d.csv", "x;z;t\n" + "\n".join(rows)), "t"), "t")
    truth = pd.DataFrame(
        {"x": np.where(np.arange(N) < 30, 1, X), "z": np.arange(N) % 2, "t": (Y > 0) * 1}
    )
    same(found, prepare(truth, "t"))
    assert read(tmp_path / "d.csv", "t")["x"].dtype == float


def test_what_1_200_means_is_told_by_the_other_columns(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    apart = [f"{1 + k % 9}.{200 + k}" for k in range(N)]

    def first(text: str) -> float:
        return float(read(written(path, text), "y")["a"].iloc[0])

    plain, german = (
        FRAME.assign(a=apart),
        FRAME.assign(a=apart).to_csv(index=False, sep=";", decimal=","),
    )
    assert first(plain.to_csv(index=False, sep=";")) == 1.2
    assert first(german) == 1200
    quoted = FRAME.assign(a=[text.replace(".", ",") for text in apart])
    assert first(quoted.to_csv(index=False)) == 1200
    assert first(quoted.to_csv(index=False, sep=";", decimal=",")) == 1.2
    assert first(quoted[["a", "y"]].assign(y=range(N)).to_csv(index=False, sep=";")) == 1.2
    both = FRAME.assign(a=apart, b=[f"{k},5" for k in range(N)], c=[f"{k}.25" for k in range(N)])
    with pytest.raises(
        ValueError, match=r"column 'a' holds '1\.200', which may be 1\.2 or 1200, and other columns"
    ):
        prepare(both.astype(str), "y")


MIXED = {
    "text": ("a", "numbers and text"),
    "another unit": ("7 %", "numbers written in different ways"),
    "another mark": ("7,5", "numbers written in different ways"),
    "a question mark": ("?", "numbers and text"),
}


@pytest.mark.parametrize("name", MIXED)
def test_one_wrong_cell_in_a_column_of_numbers_is_named(name: str) -> None:
    cell, kind = MIXED[name]
    frame = FRAME.assign(a=[cell if k == 6 else f"{k}.5" for k in range(N)])
    with pytest.raises(
        ValueError,
        match=rf"column 'a' holds {kind}: row 7 holds '{cell if cell != '?' else '[?]'}'.*by na",
    ):
        prepare(frame, "y")
    assert "1 cell that holds" in " ".join(prepare(frame, "y", na=cell).notes)
    same(prepare(frame, "y", exclude=["a"]), prepare(FRAME, "y"))


def test_limits_are_taken_and_said() -> None:
    frame = FRAME.assign(a=["<0.006" if k % 9 == 0 else f"{0.01 * k:.3f}" for k in range(N)])
    found = prepare(frame, "y")
    same(
        found,
        prepare(FRAME.assign(a=np.where(np.arange(N) % 9 == 0, 0.006, np.arange(N) / 100)), "y"),
    )
    said = "14 cells of 'a' with < or > hold a limit, which was taken as the value."
    assert said in found.cautions
    # groups of age are no limits of anything
    groups = prepare(FRAME.assign(a=["<18", "18-65", ">65"] * 40), "y")
    assert groups.columns[-2:] == ("a_<18", "a_>65")


def test_empty_texts_are_missing(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"zip": ["12345", "23456", ""] * 50, "t": ["", "a", "b"] * 50, "y": RNG.normal(size=150)}
    )
    found = prepare(frame, "y")
    same(
        found, prepare(frame.assign(zip=[12345, 23456, np.nan] * 50, t=[None, "a", "b"] * 50), "y")
    )
    assert "Numbers written as text were read as numbers in 'zip'." in found.notes
    frame.to_parquet(tmp_path / "d.parquet")
    same(prepare(read(tmp_path / "d.parquet", "y"), "y"), found)


def test_columns_of_any_type() -> None:
    k = np.arange(N)
    frame = FRAME.assign(
        flag=pd.array([[True, False, None][j % 3] for j in k], dtype="boolean"),
        kind=pd.Categorical([["s", "m ", "M", "M"][j * 7 % 4] for j in k]),
        grade=pd.Categorical(k * 7 % 5),
        span=pd.to_timedelta(k * k % 11, unit="h"),
        month=pd.period_range("2020-01", periods=N, freq="M")[::-1],
        name=[b"a" if j % 4 else b"\xe9" for j in k],
        price=[Decimal(int(j * 13 % 17)) / 4 for j in k],
        day=[datetime.date(2020, 1, 1 + int(j * 5 % 28)) for j in k],
        size=pd.array([None if j % 8 == 0 else int(j * 3 % 19) for j in k], dtype="Int64"),
        cell=[["1", 2, 3.5][j * 11 % 3] for j in k],
    )
    found = prepare(frame, "y", seed=1)
    plain = FRAME.assign(
        flag=[["True", "False", None][j % 3] for j in k],
        kind=[["s", "M", "M", "M"][j * 7 % 4] for j in k],
        grade=(k * 7 % 5) * 1.0,
        span=(k * k % 11) / 24,
        month=pd.date_range("2020-01-01", periods=N, freq="MS")[::-1],
        name=["a" if j % 4 else "é" for j in k],
        price=(k * 13 % 17) / 4,
        day=(k * 5 % 28) * 1.0,
        size=[np.nan if j % 8 == 0 else j * 3 % 19 for j in k],
        cell=[[1, 2, 3.5][j * 11 % 3] for j in k],
    )
    truth = prepare(plain, "y", seed=1)
    for one, other in zip(sorted(found.columns), sorted(truth.columns), strict=True):
        assert one.casefold() == other.casefold()
    for name in ("span", "month", "price", "day", "size", "cell", "grade"):
        np.testing.assert_allclose(
            found.X[:, found.columns.index(name)],
            truth.X[:, truth.columns.index(name)],
            atol=1e-9,
            err_msg=name,
        )
    notes = " ".join(found.notes)
    for said in (
        "'span' holds spans of time",
        "'name' holds bytes",
        "in days, in 'month', 'day'",
        "'m' as 'M'",
        "as numbers in",
    ):
        assert said in notes, notes


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ([1], "column 'a' holds a list in row 1, and no number, text or date."),
        ({"b": 1}, "column 'a' holds a dict in row 1"),
        (10**400, "column 'a' holds a whole number that no float can hold"),
        (1 + 2j, "column 'a' holds complex numbers"),
        (np.inf, "column 'a' is infinite in row 1; leave the cell empty, or correct it."),
        ("1e400", "column 'a' is infinite in row 1"),
    ],
)
def test_cells_that_are_no_values(cell: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        prepare(FRAME.assign(a=pd.Series([cell] * N, dtype=object)), "y")


# --- dates and levels ------------------------------------------------------------

FORMS = [
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%d.%m.%Y",
    "%m/%d/%Y",
    "%d/%m/%Y",
    "%d-%b-%Y",
    "%B %d, %Y",
    "%Y-%m-%d %H:%M:%S",
    "%m/%d/%Y %I:%M %p",
    "%Y%m%d",
    "%a, %d %b %Y %H:%M:%S GMT",
    "%A %d %B %Y",
    "%d. %B %Y",
    "%d-%B-%Y",
    "%d%b%Y",
    "%b %d %Y",
]


@pytest.mark.parametrize("form", FORMS)
def test_dates_become_days(form: str, tmp_path: Path) -> None:
    days = pd.Timestamp("2023-11-05") + pd.to_timedelta(np.arange(N) * 7 % 90, unit="D")
    truth = prepare(FRAME.assign(day=np.arange(N) * 7 % 90 + 0.5), "y")
    frame = FRAME.assign(day=days.strftime(form))
    path = written(tmp_path / "d.csv", frame.to_csv(index=False))
    for found in (
        prepare(frame, "y"),
        prepare(read(path, "y"), "y"),
        prepare(FRAME.assign(day=days.tz_localize("Europe/Paris")), "y"),
    ):
        np.testing.assert_allclose(found.X, truth.X, atol=2e-3)  # the clocks change by an hour
        assert found.columns == truth.columns
        assert "Dates were made numbers, in days, in 'day'." in found.notes


@pytest.mark.parametrize("form", ["%m/%Y", "%b %Y", "%B %Y", "%b-%y", "%Y-%m"])
def test_months_are_dates(form: str) -> None:
    months = pd.date_range("2019-01-01", periods=30, freq="MS")[np.arange(N) * 7 % 30]
    truth = prepare(FRAME.assign(month=months), "y")
    same(prepare(FRAME.assign(month=months.strftime(form)), "y"), truth)


def test_compact_dates_with_holes_are_dates(tmp_path: Path) -> None:
    days = pd.Series(pd.date_range("2023-11-05", periods=N))[np.arange(N) * 7 % N]
    days = days.reset_index(drop=True).where(np.arange(N) % 9 > 0)
    truth = prepare(FRAME.assign(day=days), "y")
    text = FRAME.assign(day=days.dt.strftime("%Y%m%d")).to_csv(index=False)
    same(prepare(read(written(tmp_path / "d.csv", text), "y"), "y"), truth)
    numbers = 20231105.5 + np.arange(N) % 20
    made = prepare(FRAME.assign(day=numbers), "y")
    assert not [note for note in made.notes if note.startswith("Dates")]


def test_times_of_day_are_hours() -> None:
    minutes = np.arange(N) * 37 % 1440
    truth = prepare(FRAME.assign(at=minutes / 60), "y")
    for end in ("", ":00"):
        made = prepare(FRAME.assign(at=[f"{k // 60}:{k % 60:02d}{end}" for k in minutes]), "y")
        np.testing.assert_allclose(made.X, truth.X, atol=1e-12)
        assert "Times, or spans, were made numbers, in hours, in 'at'." in made.notes
    shapes = prepare(FRAME.assign(at=np.array(["16:10", "16:09", "4:03"])[np.arange(N) % 3]), "y")
    assert "at_16:10" in shapes.columns  # few are levels


def test_numbers_taken_for_classes_or_counts_are_said() -> None:
    for values, task, said in (
        (np.arange(N) % 7, None, "The whole numbers 0 to 6 of the target 'y' were taken for"),
        (np.arange(N) % 7, "counts", None),
        (np.arange(N) ** 2 % 97, None, "The target 'y' was taken for counts"),
        (np.arange(N) % 2, None, None),
        (np.arange(N) + 0.5, None, None),
    ):
        notes = prepare(FRAME.assign(y=values), "y", task).notes
        found = [note for note in notes if "taken for" in note]
        assert found[0].startswith(said) if said else not found
    table, test = FRAME.assign(y=np.arange(N) % 7), FRAME.assign(y=7)
    with pytest.raises(ValueError, match="class '7', which the table has not; if it is a count"):
        prepare(table, "y", test=test)
    assert prepare(table, "y", "counts", test=test).task == "counts"


def test_dates_that_cannot_be_read() -> None:
    unclear = [f"{1 + k % 12:02d}/{1 + k * 5 % 12:02d}/2024" for k in range(N)]
    found = prepare(FRAME.assign(day=unclear), "y")
    same(found, prepare(FRAME, "y"))
    said = "Column 'day' has dates that may be read with the month or the day first, and was left"
    assert said in " ".join(found.notes)
    wrong = ["soon" if k == 3 else f"2024-01-{1 + k % 28:02d}" for k in range(N)]
    with pytest.raises(ValueError, match="column 'day' holds dates and text: row 4 holds 'soon'"):
        prepare(FRAME.assign(day=wrong), "y")
    for days in (wrong[4:], pd.date_range("2024-01-01", periods=N - 4)):
        with pytest.raises(
            ValueError, match="the target 'y' holds dates; a forecast predicts numbers or classes"
        ):
            prepare(FRAME.iloc[4:].assign(y=days), "y")


def test_levels_that_differ_in_capitals_or_blanks_are_one() -> None:
    words = np.array(["yes", "yes", "Yes", "yes ", "no", "No", "no", " no"])[RNG.integers(0, 8, N)]
    clean = np.char.lower(np.char.strip(words))
    found = prepare(FRAME.assign(y=words, a=words[::-1]), "y")
    truth = prepare(FRAME.assign(y=clean, a=clean[::-1]), "y")
    assert (found.task, found.classes) == ("binary", ("no", "yes"))
    np.testing.assert_array_equal(found.y, truth.y)
    np.testing.assert_array_equal(found.X, truth.X)
    notes = " ".join(found.notes)
    for said in (
        "Classes of the target 'y' that differ in capitals or blanks",
        "Levels of 'a' that",
        "'Yes' as 'yes'",
        "'yes ' as 'yes'",
    ):
        assert said in notes


def test_a_level_is_never_lost_from_the_real_part() -> None:
    flag = np.full(N, "no", object)
    flag[[3, 77]] = "yes"
    odd = np.full(N, "b", object)
    odd[50] = "a"
    for seed in range(12):
        made = prepare(FRAME.assign(flag=flag, odd=odd), "y", seed=seed)
        assert {"flag_yes", "odd_b"} <= set(made.columns)
        assert ("odd", "a", 1) in made.rare
        rows = {(column, level): count for column, level, count in made.rare}["flag", "yes"]
        assert rows == int(made.X[:, made.columns.index("flag_yes")].sum()) >= 1
        assert len(made.y) + len(made.y_test) == N


def test_rare_levels_and_near_constants_are_told() -> None:
    towns = np.array([f"t{k}" for k in np.minimum(RNG.geometric(0.1, N), 40)], object)
    made = prepare(FRAME.assign(town=towns, mostly=[0] * (N - 4) + [1, 2, 3, 4]), "y", seed=3)
    levels = pd.Series(towns).nunique()
    assert levels > 20
    assert "all but the 19 most frequent were put together" in " ".join(made.notes)
    for column, level, rows in made.rare:
        if column == "town":
            assert rows < 20
            name = "town_infrequent_sklearn" if level == "(others)" else f"town_{level}"
            if name in made.columns:
                assert int(made.X[:, made.columns.index(name)].sum()) == rows
    rare = {(column, level): rows for column, level, rows in made.rare}
    other = rare["mostly", "other than 0"]
    assert 1 <= other <= 4
    assert not any(column in ("x", "z") for column, _, _ in made.rare)


def test_names_of_columns_may_be_names_of_levels() -> None:
    made = prepare(FRAME.assign(t=["a", "b"] * 60, t_b=Z**2), "y")
    assert made.columns == ("(intercept)", "x", "z", "t_b", "t_b")


# --- columns that are left out or doubted -------------------------------------------------------

COUNTED = {
    "in order from 1": np.arange(1, N + 1),
    "in order from 0": np.arange(N),
    "shuffled": 1000 * 1000 + RNG.permutation(N),
}


@pytest.mark.parametrize("name", COUNTED)
def test_numbers_of_rows_are_left_out(name: str, tmp_path: Path) -> None:
    frame = FRAME.assign(a=COUNTED[name])
    for table in (frame, read(written(tmp_path / "d.csv", frame.to_csv(index=False)), "y")):
        made = prepare(table, "y")
        same(made, prepare(FRAME, "y"))
        assert [note for note in made.notes if note.endswith(" the rows and was left out.")]


def test_identifiers_are_left_out_by_their_name(tmp_path: Path) -> None:
    numbers = RNG.permutation(10**6)[:N]
    for name in ("customer_id", "ID", "PassengerId", "order no", "key", "rownames"):
        same(prepare(FRAME.assign(**{name: numbers}), "y"), prepare(FRAME, "y"))
    for name in ("income", "humidity", "casino", "valid", "keyboard", "no_of_rooms", "key figure"):
        assert name in prepare(FRAME.assign(**{name: numbers}), "y").features
    answers = FRAME.assign(smokes_yes=numbers[::-1], smokes_no=numbers)
    assert {"smokes_yes", "smokes_no"} <= {*prepare(answers, "y").features}
    made = prepare(read(written(tmp_path / "d.csv", FRAME.to_csv()), "y"), "y")
    same(made, prepare(FRAME, "y"))
    assert "Column 1 has no name in the header and is called 'Unnamed: 0'." in made.notes
    years = prepare(
        FRAME.assign(year=np.arange(N) + 1900, time=np.arange(N) + 0.0), "y", exclude="x"
    )
    assert years.features == ("z", "year", "time")  # a count in decimals is a measurement
    codes = prepare(FRAME.assign(code=[f"A{k}" for k in range(N)]).iloc[:15], "y")
    assert "Column 'code' has a different text in most rows" in " ".join(codes.notes)


@pytest.mark.parametrize("code", [-999, -200, 9999, 99999, 777.5])
def test_codes_for_missing_values_are_doubted_and_taken_out_if_told(code: float) -> None:
    frame = pd.DataFrame({"x": np.tile(X, 5), "y": 3 + np.tile(X, 5) + RNG.normal(size=5 * N)})
    clean = frame.assign(y=np.where(np.arange(5 * N) < 90, np.nan, frame["y"]))
    frame.loc[:89, "y"] = code
    made = prepare(frame, "y")
    assert f"90 cells of the target 'y' hold {code:g}, far from all others" in " ".join(
        made.cautions
    )
    for na in (code, str(code), [code], ["?", f"{code:.1f}"]):
        told = prepare(frame, "y", na=na)
        same(told, prepare(clean, "y"))
        assert told.unlabelled == 90
        assert told.cautions == ()
    assert "No cell holds '?', which na names." in told.notes


def test_ordinary_ends_of_a_column_are_not_doubted() -> None:
    for values in (
        RNG.integers(-1, 3, 500),
        RNG.integers(18, 100, 500),
        RNG.poisson(2, 500) - 1,
        np.minimum(RNG.normal(80, 15, 500).round(), 99),
        np.where(RNG.random(500) < 0.6, 0, RNG.gamma(2, 100, 500)),
        RNG.pareto(0.5, 500).round(),
        RNG.choice([0, 99], 500),
        np.full(500, np.nan),
        np.where(RNG.random(500) < 0.2, 1, RNG.integers(0, 12, 500) / 60),
        np.where(RNG.random(500) < 0.04, 7300, RNG.integers(0, 3500, 500)),
    ):
        assert sentinels(np.asarray(values, float)) == []
    ages = np.where(RNG.random(500) < 0.1, -1, RNG.integers(18, 91, 500)).astype(float)
    assert sentinels(ages) == [(-1.0, int((ages == -1).sum()))]


LEAKS: dict[str, Callable[[np.ndarray[Any, Any]], Any]] = {
    "copy": lambda y: y,
    "line": lambda y: 2 - 7 * y,
    "order": np.exp,
    "rounded": lambda y: np.round(y, 2),
}


@pytest.mark.parametrize("name", LEAKS)
def test_a_column_that_gives_a_number_away_is_named(name: str) -> None:
    leak = LEAKS[name](Y)
    cautions = prepare(FRAME.assign(a=leak), "y").cautions
    assert any("Column 'a' may give the target away" in caution for caution in cautions)
    rough = np.asarray(leak) + np.std(leak) * RNG.normal(size=N) / 4
    assert prepare(FRAME.assign(a=rough), "y").cautions == ()


def test_a_column_that_gives_a_class_away_is_named() -> None:
    three = np.array(["low", "mid", "top"])[np.digitize(Y, [-0.6, 0.6])]
    code = np.array(["r", "s", "t"])[np.digitize(Y, [-0.6, 0.6])]
    frame = pd.DataFrame({"x": X, "score": Y, "code": code, "y": three})
    named = [caution.split("'")[1] for caution in prepare(frame, "y").cautions]
    assert named == ["score", "code"]
    assert leaks(frame[["x"]], np.digitize(Y, [-0.6, 0.6]).astype(float), True) == {}
    assert prepare(frame.iloc[:25], "y").cautions == ()  # so few rows are separated by chance


@pytest.mark.parametrize("power", [200, -300])
def test_columns_of_extreme_size_are_read_right(power: int) -> None:
    made = prepare(FRAME.assign(x=X * 10.0**power), "y")
    np.testing.assert_allclose(made.X, prepare(FRAME, "y").X, rtol=1e-9)
    assert "Numbers of extreme size were scaled to the order of 1" in made.notes[0]
    assert f"'x' (order 1e{power:+d})" in made.notes[0]
    with pytest.raises(
        ValueError,
        match=r"'y' has numbers of the order .* whose squares no float holds; give it in",
    ):
        prepare(FRAME.assign(y=Y * 10.0**power), "y")


def test_designs_that_no_memory_holds_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collapse.forecasting.design.ENTRIES", 3 * N - 1)
    with pytest.raises(
        ValueError,
        match="would have 120 rows and 3 columns, more numbers than the 359 that are supported",
    ):
        prepare(FRAME, "y")


# --- what the user says ------------------------------------------------------------


def test_columns_are_excluded() -> None:
    frame = FRAME.assign(bad=["?"] + ["1"] * (N - 1))
    for exclude in ("bad", ["bad"], ("bad", "bad")):
        made = prepare(frame, "y", exclude=exclude)
        same(made, prepare(FRAME, "y"))
        assert "Column 'bad' was excluded." in made.notes
    for exclude, message in (
        (["q"], "the table has no column 'q' to exclude."),
        ("y", "the target 'y' cannot be excluded"),
        (["x", "z"], "every column beside the target is excluded"),
        (3, "exclude must be the name of a column, or several of these; it holds 3."),
    ):
        with pytest.raises(ValueError, match=message):
            prepare(FRAME, "y", exclude=exclude)
    for na in (None, [True], [[1]]):
        with pytest.raises(
            ValueError, match="na must be a number or text that stands for a missing value"
        ):
            prepare(FRAME, "y", na=na)


def test_a_test_set_of_ones_own() -> None:
    real, test = FRAME.iloc[:80], FRAME.iloc[80:]
    made = prepare(real, "y", test=test.assign(extra=1)[["extra", "y", "z", "x"]])
    mean, sd = real[["x", "z"]].mean(), real[["x", "z"]].std(ddof=0)
    np.testing.assert_allclose(made.X[:, 1:], (real[["x", "z"]] - mean) / sd)
    np.testing.assert_allclose(made.X_test[:, 1:], (test[["x", "z"]] - mean) / sd)
    np.testing.assert_array_equal(made.y_test, test["y"])
    assert (made.rows, made.notes) == (
        80,
        (
            "Column 'extra' of the test set is not in the table.",
            "The test set is the 40 rows of a table of its own.",
        ),
    )
    same(prepare(real.astype(str), "y", test=test), made)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": None}, "the test set has no column 'x'; it needs those of the table."),
        ({"x": "a"}, "column 'x' holds numbers and text: row 1 of the test set holds 'a'"),
        (
            {"y": "perhaps"},
            "row 1 of the test set has the class 'perhaps', which the table has not.",
        ),
        ({"y": np.nan}, "the test set has no row with a value of 'y'."),
        ({"z": np.inf}, "column 'z' is infinite in row 1 of the test set"),
    ],
)
def test_a_test_set_that_does_not_fit(change: dict[str, Any], message: str) -> None:
    real = FRAME.assign(y=CLASSES)
    test = real.drop(columns="x") if change == {"x": None} else real.assign(**change)
    with pytest.raises(ValueError, match=message):
        prepare(real, "y", test=test)


@pytest.mark.parametrize("write", ["{:.2f} kg", "{:.2f}"])
@pytest.mark.parametrize("holed", ["table", "test"])
def test_codes_for_missing_values_in_one_of_two_files(
    write: str, holed: str, tmp_path: Path
) -> None:
    frame, parts, clean = FRAME.assign(a=[write.format(7.25 * k) for k in range(N)]), {}, {}
    frame["a"] = [text.replace(".", ",") for text in frame["a"]]
    for name, rows in (("table", slice(0, N - 10)), ("test", slice(N - 10, N))):
        parts[name], clean[name] = frame.iloc[rows].copy(), FRAME.iloc[rows].copy()
        clean[name]["a"] = 7.25 * np.arange(N)[rows]
        if name == holed:
            parts[name].iloc[4, parts[name].columns.get_loc("a")] = "none"
            clean[name].iloc[4, clean[name].columns.get_loc("a")] = np.nan
        text = parts[name].to_csv(index=False, sep=";")
        parts[name] = read(written(tmp_path / f"{name}.csv", text), "y")
    made = prepare(parts["table"], "y", test=parts["test"], na="none")
    same(made, prepare(clean["table"], "y", test=clean["test"]))
    of = " of the test set" if holed == "test" else ""
    with pytest.raises(ValueError, match=f"row 5{of} holds 'none'"):
        prepare(parts["table"], "y", test=parts["test"])


def test_levels_that_only_the_test_set_has_are_said() -> None:
    made = prepare(FRAME.assign(t=["a", "b"] * 60), "y", test=FRAME.assign(t="c"))
    said = "120 test rows with a level of 't' that no real row has were counted as the first level."
    assert said in made.notes
    assert not made.X_test[:, -1].any()


def test_the_command_passes_on_what_it_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = FRAME.assign(bad="?", place=["Köln", "Ulm"] * 60)
    frame.loc[:9, "y"] = -999
    text = frame.to_csv(index=False)
    data, test = (written(tmp_path / f"{name}.csv", text, "cp1252") for name in ("a", "b"))
    options = [
        "--exclude",
        "bad",
        "--na",
        "-999",
        "--na",
        "n/k",
        "--test-file",
        str(test),
        "--encoding",
        "cp1252",
        "--exclude",
        "z",
    ]
    fast = ["-g", "2", "--budget", "0.2", "--against", "discard", "--folder", str(tmp_path / "out")]
    assert main(["forecast", str(data), "--target", "y", *options, *fast]) == 0
    document = collapse.Forecast.load(tmp_path / "out" / "forecast.json").document
    assert (
        document["data"]["features"],
        document["data"]["real_rows"],
        document["data"]["test_rows"],
    ) == (["x", "place"], 110, 110)
    assert (document["settings"]["test_file"], document["settings"]["test_share"]) == (
        "b.csv",
        None,
    )
    assert "place_Ulm" in document["data"]["columns"]
    out = capsys.readouterr().out
    for note in document["data"]["notes"]:
        assert note in out
    assert "b.csv" in (tmp_path / "out" / "report.html").read_text()
    assert main(["forecast", str(data), "--target", "y", "--exclude", "nothing", *fast]) == 2
    assert capsys.readouterr().err.endswith(
        "collapse: the table has no column 'nothing' to exclude.\n"
    )


def test_cautions_of_the_table_are_cautions_of_the_forecast() -> None:
    answer = collapse.forecast(FRAME.assign(a=2 * Y), "y", generations=2, against=[], budget=0.2)
    assert any("Column 'a' may give the target away" in sentence for sentence in answer.warnings)
