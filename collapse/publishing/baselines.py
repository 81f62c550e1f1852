"""Baselines: the numbers behind every figure, committed; what moved since, and by how many standard
errors.

`python -m collapse.publishing.baselines [FIGURES [BASELINES]]` prints what moved and ends with
status 1 if anything did; with `--accept` the baselines become what the figures are now.
"""

import argparse
import csv
import math
import re
import shutil
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collapse import checks
from collapse.checks import (
    counted,
    plural,
)

DEFAULT = 1e-9
"""Relative difference up to which a number stands where it stood: other processors round otherwise.
"""
FLOOR = 1e-12
"""The same for numbers near zero, as a share of the largest in their column."""
TOLERANCES = "tolerances.toml"
ERROR = "standard error"
ESTIMATES = re.compile(
    r"simulated|ratio( of means)?$|mean error|(test |log )?loss$|bootstrap|Poisson"
)
"""How the names begin of columns that a column `standard error` without a name speaks of."""


@dataclass(frozen=True)
class Moved:
    """One column of a figure's numbers that is not what it was.

    Attributes
    ----------
    figure, column : str
        Label of the figure and name of the column; the column is empty where the whole table
        differs in shape.
    rows : int
        How many of its entries moved.
    row : int
        The line of the entry that moved most, counted from 1 below the header.
    before, after : str
        That entry, as written; for a table, what is said of its shape.
    relative : float
        Largest relative difference; NaN where the entry is text.
    errors : float
        The difference in standard errors of the difference, by the column of standard errors beside
        it; NaN where there is none.
    """

    figure: str
    column: str
    rows: int
    row: int
    before: str
    after: str
    relative: float = math.nan
    errors: float = math.nan

    def __str__(self) -> str:
        if not self.column:
            return f"{self.figure}: {self.before}; {self.after}"
        where = f"{self.figure}, {self.column!r}: {self.rows} moved, most in row {self.row}: "
        told = f"{self.before} is now {self.after}"
        if not math.isnan(self.relative):
            told += f" ({self.relative:+.2g} relative"
            told += ")" if math.isnan(self.errors) else f", {self.errors:.1f} standard errors)"
        return where + told


def moved(figures: str | Path, baselines: str | Path) -> list[Moved]:
    """Compare the CSV files of two folders, column by column.

    Parameters
    ----------
    figures : path
        Where figures were written just now (`collapse.publishing.figures.write`).
    baselines : path
        The committed CSV files, and ``tolerances.toml``: a table for each figure's label, in it for
        each column the relative difference that is allowed (default 1e-9); ``inf`` for what differs
        from run to run.

    Returns
    -------
    list of Moved
        Empty where all numbers stand where they stood; a figure without a baseline, or a baseline
        without a figure, is listed too.

    Raises
    ------
    FileNotFoundError
        Where there is no such folder, or no CSV file in `figures`.
    ValueError
        Where the tolerances name a figure or a column that is not there.
    """
    now, then = _drawn(figures), _tables(baselines)
    allowed = _tolerances(Path(baselines), then)
    new, gone = (
        ("there is no baseline", "accept the new figure"),
        ("there is a baseline", "and the figure is gone"),
    )
    return compared(then, now, allowed, new, gone)


def accept(figures: str | Path, baselines: str | Path) -> None:
    """Make the numbers of `figures` the baselines; what has no figure any more is removed."""
    target = Path(baselines)
    target.mkdir(parents=True, exist_ok=True)
    new = _drawn(figures)
    for old in target.glob("*.csv"):
        old.unlink()
    for label in new:
        shutil.copyfile(Path(figures, f"{label}.csv"), target / f"{label}.csv")


Table = dict[str, list[str]]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


def compared(
    then: Mapping[str, Table],
    now: Mapping[str, Table],
    tolerances: Mapping[str, Mapping[str, float]],
    new: tuple[str, str] = ("there was no such figure", "now there is"),
    gone: tuple[str, str] = ("there was such a figure", "now there is none"),
) -> list[Moved]:
    """Compare tables, by label of figure and column; what is said of a figure that is new, or gone,
    is given in two parts.
    """
    found = []
    for label in sorted(now.keys() | then.keys()):
        if label not in then or label not in now:
            found.append(Moved(label, "", 0, 0, *(gone if label in then else new)))
        else:
            found += _compared(label, then[label], now[label], tolerances.get(label, {}))
    return found


@dataclass(frozen=True)
class Apart:
    """One column that is not the same in all runs of a grid.

    Attributes
    ----------
    column : str
        Its name; empty where the runs' tables differ in shape.
    rows : int
        How many of its entries differ between runs.
    row : int
        The line of the entry that differs most, counted from 1 below the header.
    least, most : (str, str)
        That entry where it is least and where it is largest, and the names of these runs; of text
        two that differ; of tables two shapes.
    """

    column: str
    rows: int
    row: int
    least: tuple[str, str]
    most: tuple[str, str]


def apart(tables: Mapping[str, Table]) -> list[Apart]:
    """Tell which columns of one table differ between runs, whose names are the keys."""
    runs = list(tables)
    shapes = [(list(table), len(next(iter(table.values()), []))) for table in tables.values()]
    for run, (columns, rows) in zip(runs, shapes, strict=True):
        first, before = shapes[0]
        if rows != before:
            counted = (f"{count} row{'s' * (count != 1)}" for count in (before, rows))
            return [Apart("", 0, 0, (next(counted), runs[0]), (next(counted), run))]
        if columns != first:
            return [Apart("", 0, 0, (", ".join(first), runs[0]), (", ".join(columns), run))]
    found = []
    for column in shapes[0][0]:
        texts = [table[column] for table in tables.values()]
        values, off, out = _off(texts, DEFAULT)
        if out.any():
            row = int(np.flatnonzero(out & (off == off[out].max()))[-1])
            ends = int(values[:, row].argmin()), int(values[:, row].argmax())
            if not math.isfinite(off[row]):
                ends = 0, next(k for k, text in enumerate(texts) if text[row] != texts[0][row])
            least, most = ((texts[k][row], runs[k]) for k in ends)
            found.append(Apart(column, int(out.sum()), row + 1, least, most))
    return found


def _tables(folder: str | Path) -> dict[str, Table]:
    if not Path(folder).is_dir():
        raise FileNotFoundError(f"there is no folder {folder}.")
    return {path.stem: table(path) for path in sorted(Path(folder).glob("*.csv"))}


def _drawn(folder: str | Path) -> dict[str, Table]:
    """The same of figures, of which there must be some."""
    found = _tables(folder)
    if not found:
        raise FileNotFoundError(
            f"there are no CSV files in {folder}; write the figures first, such as by make book."
        )
    return found


def table(path: Path) -> Table:
    """Read the columns of a CSV file, as text."""
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    return {name: [row[j] for row in rows] for j, name in enumerate(header)}


def tolerances(folder: Path) -> dict[str, dict[str, Any]]:
    """Read the tolerances of a folder of baselines: by label and column; empty where none stand."""
    path = folder / TOLERANCES
    return tomllib.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _tolerances(folder: Path, then: Mapping[str, Table]) -> dict[str, dict[str, float]]:
    path, known = folder / TOLERANCES, tolerances(folder)
    for label, columns in known.items():
        checks.require(
            label in then,
            f"{path} names the figure {label!r}, which has no baseline; correct or remove it.",
        )
        for column, tolerance in columns.items():
            checks.require(
                column in then[label],
                f"{path} names the column {column!r} of {label!r}; it has"
                f" {', '.join(then[label])}.",
            )
            checks.require(
                isinstance(tolerance, (int, float)) and tolerance >= 0,
                f"{path}: a tolerance is a number, at least 0; that of {column!r} of {label!r} is"
                f" {tolerance!r}.",
            )
    return known


def _compared(
    label: str, then: Table, now: Table, tolerances: Mapping[str, float]
) -> Iterator[Moved]:
    if list(then) != list(now):
        gone, new = ([c for c in a if c not in b] for a, b in ((then, now), (now, then)))
        yield Moved(
            label,
            "",
            0,
            0,
            f"columns gone: {', '.join(gone) or 'none'}",
            f"new: {', '.join(new) or 'none, in another order'}",
        )
    for column in then:
        if column not in now:
            continue
        before, after = then[column], now[column]
        if len(before) != len(after):
            yield Moved(
                label,
                "",
                0,
                0,
                f"{counted(len(before), 'row')} {plural(len(before), 'is', 'are')} now"
                f" {len(after)}",
                "compare no further",
            )
            return
        spread = _errors(column, then, now)
        yield from _column(label, column, before, after, spread, tolerances.get(column, DEFAULT))


def _column(
    label: str,
    column: str,
    before: Sequence[str],
    after: Sequence[str],
    spread: Sequence[float],
    tolerance: float,
) -> Iterator[Moved]:
    both, off, out = _off((before, after), tolerance)
    if out.any() and not math.isinf(tolerance):
        row = int(np.flatnonzero(out & (off == off[out].max()))[-1])
        a, b = both[:, row]
        relative = (b - a) / abs(a) if a and math.isfinite(off[row]) else math.nan
        errors = abs(b - a) / spread[row] if spread and spread[row] > 0 else math.nan
        moved = int(out.sum()), row + 1, before[row], after[row], float(relative), float(errors)
        yield Moved(label, column, *moved)


def _off(texts: Sequence[Sequence[str]], tolerance: float) -> tuple[Floats, Floats, Flags]:
    """Numbers in tables' texts of one column, how far apart each entry's are (inf for what is no
    number), and which entries differ by more than the tolerance.
    """
    values = np.array([[_number(text) for text in column] for column in texts])
    finite = np.isfinite(values)
    sound = np.where(finite, values, 0.0)
    off = np.where(finite.all(axis=0), np.ptp(sound, axis=0), np.inf)
    size = abs(sound)
    allowed = tolerance * size.max(axis=0) + FLOOR * size.max(initial=0.0) if tolerance else 0.0
    written = np.array(texts)
    return values, off, (written != written[0]).any(axis=0) & ~(off <= allowed)


def _errors(column: str, then: Table, now: Table) -> list[float]:
    """Standard error of the difference of the two tables' entries of a column; empty where no
    column tells it.
    """
    beside = error_column(column, list(then))
    if beside is None or beside not in now:
        return []
    pairs = zip(then[beside], now[beside], strict=False)
    return [
        math.hypot(*(value if math.isfinite(value) else 0.0 for value in map(_number, pair)))
        for pair in pairs
    ]


def error_column(column: str, columns: Sequence[str]) -> str | None:
    """Name of the column of standard errors that belongs to `column`, by how the book names them;
    None where there is none.

    Examples
    --------
    >>> error_column("augment simulated", ["augment simulated", "augment standard error"])
    'augment standard error'
    >>> error_column("ratio", ["workflow", "ratio", "stderr"])
    'stderr'
    """
    if ERROR in column or column == "stderr":
        return None
    stem = column.removesuffix("simulated").removesuffix("Poisson").strip(" ,")
    for name in (
        f"{ERROR} of {column.removeprefix('simulated ')}",
        f"{ERROR} of the {column.removeprefix('simulated ').split()[0]}",
        *(f"{part}{joint}{ERROR}" for part in (column, stem) if part for joint in (" ", ", ")),
    ):
        if name in columns:
            return name
    sole = next((name for name in (ERROR, "stderr") if name in columns), None)
    return sole if ESTIMATES.match(column) else None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what moved; the exit status is 1 if anything did, 2 if the folders cannot be
    compared.
    """
    parser = argparse.ArgumentParser(description="What moved in the numbers behind the figures.")
    parser.add_argument("figures", nargs="?", default="_build/figures")
    parser.add_argument("baselines", nargs="?", default="book/baselines")
    parser.add_argument("--accept", action="store_true", help="make what moved the baselines")
    options = parser.parse_args(arguments)
    try:
        if options.accept:
            Path(options.baselines).mkdir(parents=True, exist_ok=True)
        found = moved(options.figures, options.baselines)
        for entry in found:
            print(entry)
        if options.accept:
            accept(options.figures, options.baselines)
    except (FileNotFoundError, ValueError) as error:
        print(f"baselines: {error}", file=sys.stderr)
        return 2
    print(
        f"{len(found)} differences in {len(_tables(options.figures))}"
        f" figures{', accepted' if options.accept else ''}."
    )
    return int(bool(found) and not options.accept)


if __name__ == "__main__":
    sys.exit(main())
