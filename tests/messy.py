"""Random tables as people keep them, each with what it means, or why it cannot be used."""

from __future__ import annotations

import csv
import gzip
import io
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

SEEDS = [*range(38), 161, 393]
TOWNS = ["Köln", "Münster", "Bonn", "Aachen"]
DATES = ["%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y", "%d %b %Y", "%Y-%m-%dT%H:%M:%S", "%Y%m%d"]


@dataclass
class Messy:
    """A messy table and what it means.

    Attributes
    ----------
    data : Path or pandas.DataFrame
        The table.
    truth : pandas.DataFrame
        The same in clean columns; columns that are no features are not in it.
    arguments : dict
        `na`, where the table has codes for missing values.
    refused : str or None
        A pattern of the sentence where the table cannot be used.
    said : list of str
        What notes and cautions must hold.
    dirt : list of str
        What was done.
    """

    truth: pd.DataFrame
    data: Any = None
    arguments: dict[str, Any] = field(default_factory=dict)
    refused: str | None = None
    said: list[str] = field(default_factory=list)
    dirt: list[str] = field(default_factory=list)


def messy(seed: int, folder: Path) -> Messy:
    """The table of a seed; the target is "y"."""
    rng = np.random.default_rng([seed, 11])
    clean = _clean(rng)
    out = Messy(clean)
    cells = {name: _written(clean[name]) for name in clean.columns}
    comma = bool(rng.random() < 0.35)

    def happens(what: str, share: float) -> bool:
        if rng.random() < share:
            out.dirt.append(what)
            return True
        return False

    if happens("thousands apart", 0.4):
        cells["income"] = [f"{int(text):,}" if text else "" for text in cells["income"]]
        out.said.append("'income' (thousands apart)")
    if happens("percent", 0.3):
        cells["height"] = [text and f"{text} %" for text in cells["height"]]
    if happens("currency", 0.3):
        cells["weight"] = [text and f"$ {text}" for text in cells["weight"]]
    if comma:
        out.dirt.append("decimal comma")
        swap = str.maketrans(".,", ",.")
        numbers = [name for name in cells if pd.api.types.is_numeric_dtype(clean[name])]
        cells |= {name: [text.translate(swap) for text in cells[name]] for name in numbers}
    if happens("dates", 0.4):
        form = str(rng.choice(DATES))
        days = pd.Timestamp("2024-01-01") + pd.to_timedelta(
            rng.integers(0, 700, len(clean)), unit="D"
        )
        clean["day"], cells["day"] = days, list(days.strftime(form))
        out.said.append("Dates were made numbers, in days, in 'day'.")
    if happens("near-duplicate levels", 0.4):
        odd = rng.random(len(clean)) < 0.1
        pairs = zip(cells["answer"], odd, strict=True)
        cells["answer"] = [f"{text.upper()} " if text and hit else text for text, hit in pairs]
        out.said.append("Levels of 'answer' that differ in capitals or blanks are one: ")
    if happens("sentinel", 0.5):
        _sentinel(rng, out, cells)
    if happens("rare level", 0.3):
        flag = np.array(["no"] * len(clean), object)
        flag[rng.permutation(len(clean))[:2]] = "yes"
        clean["flag"], cells["flag"] = flag, list(flag)
    if happens("scale", 0.3):
        power = int(rng.choice([200, -300]))
        clean["size"] = rng.normal(5, 1, len(clean)) * 10.0**power
        mark = "," if comma else "."
        cells["size"] = [repr(value).replace(".", mark) for value in clean["size"]]
        out.said.append("Numbers of extreme size were scaled to the order of 1")
    if happens("leak", 0.25):
        numeric = pd.api.types.is_numeric_dtype(clean["y"])
        said = clean["y"].map(lambda text: f"is {text}", na_action="ignore")
        clean["copy"] = clean["y"] if numeric else said
        cells["copy"] = cells["y"] if numeric else [text and f"is {text}" for text in cells["y"]]
        out.said.append("Column 'copy' may give the target away")
    out.truth = clean
    if happens("constant", 0.3):
        cells["same"] = ["7"] * len(clean)
        out.said.append("'same' has one value only")
    if happens("identifier", 0.3):
        numbers = rng.permutation(900_000)[: len(clean)] + 100_000
        cells["customer_id"] = [str(value) for value in numbers]
        out.said.append(
            "Column 'customer_id' has another whole number in every row and was left out."
        )
    if happens("index", 0.3):
        name = str(rng.choice(["", "rownames", "k"]))
        cells = {name: [str(k) for k in range(1, len(clean) + 1)]} | cells
        out.said.append(f"Column {name or 'Unnamed: 0'!r} counts the rows and was left out.")
    header, rows = list(cells), [list(row) for row in zip(*cells.values(), strict=True)]
    fate = rng.random()
    if fate < 0.07:
        header[header.index("weight")] = "height"
        out.refused = "has 2 columns called 'height'; rename all but one"
    elif fate < 0.14:
        at = header.index("weight")
        rows[4][at] = "heavy"
        out.refused = "column 'weight' holds numbers and text: row 5 holds 'heavy'"
    elif fate < 0.2:
        header = rows.pop(0)
        out.refused = "seems to have no header"
    out.data = _stored(rng, out, header, rows, folder / f"table-{seed}")
    return out


def _clean(rng: np.random.Generator) -> pd.DataFrame:
    n = int(rng.integers(80, 200))
    out = pd.DataFrame(
        {
            "height": rng.normal(50, 9, n).round(2),
            "weight": rng.gamma(4, 3, n).round(2) + 1.01,
            "income": np.sort(rng.integers(900, 900_000, n))[rng.permutation(n)].astype(float),
            "town": rng.choice(TOWNS, n),
            "answer": rng.choice(["yes", "no", "maybe"], n),
        }
    )
    margin = (out["height"] - 50) / 9 + (out["town"] == "Bonn") + rng.normal(size=n)
    kind = rng.choice(["continuous", "binary", "multiclass", "counts"])
    if kind == "continuous":
        out["y"] = margin.round(3)
    elif kind == "counts":
        out["y"] = rng.poisson(np.exp(1 + 0.3 * margin)).astype(float)
    else:
        names = ["low", "high"] if kind == "binary" else ["low", "mid", "high"]
        edges = [0.2] if kind == "binary" else [-0.4, 0.8]
        out["y"] = np.array(names, object)[np.searchsorted(edges, margin)]
    if rng.random() < 0.5:
        for name in ("height", "town", "y"):
            out[name] = out[name].where(rng.random(n) > 0.05)
    return out


def _written(column: pd.Series[Any]) -> list[str]:
    """Cells as a file of text has them, with a decimal point."""
    if not pd.api.types.is_numeric_dtype(column):
        return list(column.fillna(""))
    return ["" if np.isnan(value) else f"{value:.15g}" for value in column]


def _sentinel(rng: np.random.Generator, out: Messy, cells: dict[str, list[str]]) -> None:
    """A code for missing values in a column of numbers, which the reader is told of or not."""
    clean = out.truth
    name = "y" if pd.api.types.is_float_dtype(clean["y"]) and rng.random() < 0.4 else "weight"
    code = int(rng.choice([-999, -200, 9999, 99999]))
    rows = rng.permutation(len(clean))[:9]
    told = bool(rng.random() < 0.6)
    what = "the target 'y'" if name == "y" else repr(name)
    clean.loc[rows, name] = np.nan if told else float(code)
    for row in rows:
        cells[name][row] = f"$ {code}" if cells[name][row].startswith("$") else str(code)
    if told:
        out.arguments["na"] = code
        out.said.append(f"cells that hold '{code}' were taken for missing, as na says.")
    else:
        out.said.append(f"9 cells of {what} hold {code}, far from all others")


def _stored(
    rng: np.random.Generator, out: Messy, header: list[str], rows: list[list[str]], path: Path
) -> Any:
    """The table in a file of some kind, or as a data frame of texts."""
    kind = str(rng.choice(["csv", "csv", "csv", "csv", "xlsx", "parquet", "frame"]))
    if kind != "csv" and out.refused is None:
        out.dirt.append(kind)
        names = [name or "Unnamed: 0" for name in header]
        frame = pd.DataFrame(rows, columns=names, dtype=object)
        if kind == "frame":
            return frame
        path = path.with_suffix(f".{kind}")
        if kind == "xlsx":
            header = [None if name.startswith("Unnamed") else name for name in names]
            frame.set_axis(header, axis=1).to_excel(path, index=False)
        else:
            frame.to_parquet(path)
        return path
    separator = str(rng.choice([",", ";", "\t", "|"]))
    code = str(rng.choice(["utf-8", "utf-8-sig", "cp1252", "utf-16"]))
    packing = str(rng.choice(["", "", "gz", "zip"]))
    out.dirt += [repr(separator), code, packing]
    text = io.StringIO()
    csv.writer(text, delimiter=separator, lineterminator=str(rng.choice(["\n", "\r\n"]))).writerows(
        [header, *rows]
    )
    raw = text.getvalue().encode(code)
    if packing == "gz":
        raw = gzip.compress(raw)
    elif packing == "zip":
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("table.csv", raw)
        raw = packed.getvalue()
    path = path.with_suffix(f".csv.{packing}" if packing else ".csv")
    path.write_bytes(raw)
    return path
