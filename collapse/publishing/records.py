"""What a run left behind: records, whether its files are still those, and what differs from
another run.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from collapse import checks, disk
from collapse.publishing import baselines
from collapse.publishing.kept import INSIDE


def read_record(path: Path) -> dict[str, Any] | None:
    """Return the record of a chapter's run, None where there is none that can be read."""
    mine = f"{path.stem}.ipynb"
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        files = record["files"].keys()
        sound = isinstance(record["key"], str) and mine in files
        sound = sound and all(map(INSIDE.fullmatch, files - {mine}))
    except (OSError, ValueError, RecursionError, LookupError, TypeError, AttributeError):
        return None
    return record if sound else None


def recorded(folder: Path) -> dict[str, dict[str, Any] | None]:
    """Return the records in a folder by chapter; None where one cannot be read."""
    return {path.stem: read_record(path) for path in sorted(folder.glob("*.json"))}


def damaged(folder: Path, record: dict[str, Any]) -> list[str]:
    """Return the files of a record that are missing or differ from what was written."""
    return [
        file
        for file, digest in record["files"].items()
        if not os.path.isfile(folder / file) or disk.digest((folder / file).read_bytes()) != digest
    ]


def records(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the records of the chapters that were run into a folder, by name.

    Raises
    ------
    ValueError
        Where there is none, or a file is not as it was written.
    """
    found = {name: record for name, record in recorded(folder).items() if record is not None}
    checks.require(
        bool(found),
        f"no chapter has been run into {folder}; name the folder that collapse rerun wrote into.",
    )
    for name, record in found.items():
        for file in damaged(folder, record):
            raise ValueError(
                f"{folder / file} is missing or not as it was written; run the chapter {name}"
                " again."
            )
    return found


def verify(run: str | Path) -> list[str]:
    """Compare the files of a run with its records.

    Parameters
    ----------
    run : path
        A run's folder, or that of a grid of runs.

    Returns
    -------
    list of str
        Files that are missing or have been changed, records that cannot be read, and figures that
        no record names: paths within `run`, each with what is wrong. Empty where all is as it was
        written.

    Raises
    ------
    FileNotFoundError
        Where there is no such folder, or no run in it.
    """
    wrong = []
    for name, folder in _runs(run).items():
        here, known = Path(name), set()
        for chapter, record in recorded(folder).items():
            if record is None:
                wrong.append(f"{here / chapter}.json is no record of a run")
                continue
            known |= record["files"].keys()
            for file in damaged(folder, record):
                there = os.path.isfile(folder / file)
                wrong.append(f"{here / file} {'has been changed' if there else 'is missing'}")
        drawn = [path for path in (folder / "figures").rglob("*") if path.is_file()]
        strays = {path.relative_to(folder).as_posix() for path in drawn} - known
        wrong += [f"{here / file} is in no record" for file in sorted(strays)]
    return wrong


def diff(
    before: str | Path, after: str | Path, tolerances: str | Path | None = None
) -> dict[str, list[str]]:
    """Compare the numbers behind the figures of two runs.

    Parameters
    ----------
    before, after : path
        Folders of runs, or of grids of runs.
    tolerances : path, optional
        A folder with the book's ``tolerances.toml``: by how much each column may differ. Default:
        each number by 1e-9 of itself.

    Returns
    -------
    dict of str to list of str
        For each chapter of either run, in order of names, what differs; empty lists where nothing
        does. The chapters of a grid are called by their run and their name.

    Raises
    ------
    FileNotFoundError
        Where there is no such folder, or no run in it.
    """
    then, now = _tables(before), _tables(after)
    allowed = {} if tolerances is None else baselines.tolerances(Path(tolerances))
    found: dict[str, list[str]] = {}
    for chapter in sorted(then.keys() | now.keys()):
        missing = [run for run, tables in ((before, then), (after, now)) if chapter not in tables]
        found[chapter] = [f"there is no whole run of it in {run}" for run in missing]
        if not missing:
            moved = baselines.compared(then[chapter], now[chapter], allowed)
            found[chapter] = [str(entry) for entry in moved]
    return found


def inside(folder: Path) -> dict[str, Path]:
    """Return the folders of a grid's runs, by what sets them apart; empty for a single run."""
    there = sorted(folder.iterdir()) if folder.is_dir() else []
    return {path.name: path for path in there if (path / "figures").is_dir()}


def _runs(run: str | Path) -> dict[str, Path]:
    """Folders of runs: the one named, and those of a grid in it, by what sets them apart."""
    folder = checks.path(run, "run", "the path of a run's folder")
    runs = inside(folder) | {"": folder}
    runs = {name: path for name, path in runs.items() if any(path.glob("*.json"))}
    if not runs:
        raise FileNotFoundError(
            f"there is no finished run in {folder}; name the folder that `collapse rerun` wrote."
        )
    return runs


def _tables(run: str | Path) -> dict[str, dict[str, baselines.Table]]:
    """Tables of numbers behind the figures, by chapter and label."""
    found = {}
    for name, folder in _runs(run).items():
        for chapter, record in recorded(folder).items():
            if record is not None and not damaged(folder, record):
                files = [folder / file for file in record["files"] if file.endswith(".csv")]
                tables = {file.stem: baselines.table(file) for file in files}
                found["/".join(filter(None, [name, chapter]))] = tables
    return found
