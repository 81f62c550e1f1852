"""The report of a run: what was run, how long it took, each figure beside the book's, and which
numbers moved, behind figures and in the prose; of a grid what differs between its runs.
"""

from __future__ import annotations

import base64
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from collapse import checks, disk
from collapse.publishing import baselines
from collapse.publishing.records import inside
from collapse.publishing.records import records as kept_records

EXTRA = "a run's report needs jinja2: pip install 'collapse-companion[rerun]'."
NAME = "report.html"
"""The report's file, in the run's folder."""
SHOWN = 12
"""Runs of a grid whose pictures stand side by side; of more the numbers alone are compared."""


def report(
    run: str | os.PathLike[str],
    *,
    out: str | os.PathLike[str] | None = None,
    baseline: str | os.PathLike[str] = "book/baselines",
    built: str | os.PathLike[str] = "_build/figures",
) -> Path:
    """Write the report of a run as one HTML page that needs nothing else.

    Parameters
    ----------
    run : path
        A run's folder (`collapse.publishing.rerun.rerun`), or that of a grid of runs: then its page
        tells what differs between them and leads to the report of each, in that run's folder.
    out : path, optional
        The file; default ``report.html`` in the run's folder.
    baseline : path, optional
        Folder of the committed numbers behind the book's figures and in its prose.
    built : path, optional
        Folder of the book's figures as they were built; where there is none, the run's stand alone.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    ValueError
        Where no chapter has been run there, or a file is not as it was written.
    FileNotFoundError
        Where there are no baselines.
    ImportError
        Where jinja2 is missing.
    """
    folder = checks.path(run, "run", "the path of a run's folder")
    then = checks.path(baseline, "baseline", "the path of a folder of baselines")
    pictures = checks.path(built, "built", "the path of a folder of figures")
    target = folder / NAME if out is None else disk.named(out, "out")
    checks.module("jinja2", EXTRA)
    runs = inside(folder)
    for at in runs.values():
        if any(at.glob("*.json")):
            _page(at, at / NAME, _run(at, then, pictures))
    return _page(folder, target, _grid(runs, target) if runs else _run(folder, then, pictures))


def _page(folder: Path, target: Path, told: Mapping[str, Any]) -> Path:
    """Write the page of what is told of a folder."""
    import jinja2

    pages = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    kind = "Grid" if "runs" in told else "Run"
    page = pages.get_template("report.html.j2").render(
        title=f"{kind} {folder.resolve().name}", **told
    )
    return disk.write(target, page, "out")


def _run(folder: Path, then: Path, pictures: Path) -> dict[str, Any]:
    """What the page of one run tells."""
    records = kept_records(folder)
    tables = {name: _labels(record) for name, record in records.items()}
    ours = {label for labels in tables.values() for label in labels}
    # of all figures of the book the run has some
    moved = (
        [m for m in baselines.moved(folder / "figures", then) if m.figure in ours] if ours else []
    )
    chapters = [
        {
            "name": name,
            "seconds": record.get("seconds", math.nan),
            "memory": record.get("memory", 0) / 1e6,
            "parameters": record.get("parameters", {}),
            "versions": record.get("versions", {}),
            "moved": [entry for entry in moved if entry.figure in tables[name]],
            "figures": [
                {
                    "label": label,
                    "drawn": drawn,
                    "pictures": {
                        "This run": _pictures(folder / "figures", label),
                        f"Before: {pictures}": _pictures(pictures, label),
                    },
                    "moved": [entry for entry in moved if entry.figure == label],
                }
                for label, drawn in _figures(folder, record, tables[name])
            ],
        }
        for name, record in records.items()
    ]
    failed = sorted({path.stem for path in folder.glob("*.ipynb")} - records.keys())
    return {"chapters": chapters, "failed": failed, "moved": len(moved)}


def _grid(runs: Mapping[str, Path], target: Path) -> dict[str, Any]:
    """What the page of a grid tells: the runs, and of each chapter what differs between them."""
    records = {
        name: kept_records(at) if any(at.glob("*.json")) else {} for name, at in runs.items()
    }
    chapters = []
    for chapter in sorted({name for known in records.values() for name in known}):
        mine = {run: known[chapter] for run, known in records.items() if chapter in known}
        labels = {label: None for record in mine.values() for label in _labels(record)}
        tables = {label: _differences(label, chapter, mine, runs) for label in labels}
        chapters.append({"name": chapter, "runs": list(mine), "tables": tables})
    return {
        "runs": [
            {
                "name": name,
                "page": quote(Path(os.path.relpath(runs[name] / NAME, target.parent)).as_posix()),
                "seconds": sum(record.get("seconds", math.nan) for record in known.values()),
                "chapters": sorted(known),
                "failed": sorted({path.stem for path in runs[name].glob("*.ipynb")} - known.keys()),
            }
            for name, known in records.items()
        ],
        "chapters": chapters,
        "shown": SHOWN,
    }


def _differences(
    label: str, chapter: str, records: Mapping[str, Any], runs: Mapping[str, Path]
) -> dict[str, Any]:
    """Of one table what differs between runs, and its pictures where these are not the same."""
    there = {run: runs[run] for run, record in records.items() if label in _labels(record)}
    tables = {run: baselines.table(at / "figures" / f"{label}.csv") for run, at in there.items()}
    found = baselines.apart(tables)
    drawn = {run: _pictures(at / "figures", label) for run, at in there.items()} if found else {}
    return {
        "title": "Numbers in the prose" if label == f"{chapter}-prose" else label,
        "lacking": [run for run in records if run not in there],
        "apart": found,
        "pictures": drawn if len(drawn) <= SHOWN else {},
    }


def _labels(record: Mapping[str, Any]) -> list[str]:
    """Labels of the tables that a chapter wrote."""
    return [Path(file).stem for file in record["files"] if file.endswith(".csv")]


def _figures(
    folder: Path, record: Mapping[str, Any], labels: Sequence[str]
) -> Iterator[tuple[str, dict[str, Any] | None]]:
    """Labels of a chapter's tables, first those of its figures, with their records; the others
    hold what is in its prose.
    """
    others = []
    for label in labels:
        if f"figures/{label}.json" in record["files"]:
            yield label, json.loads((folder / "figures" / f"{label}.json").read_bytes())
        else:
            others.append(label)
    yield from ((label, None) for label in others)


def _pictures(folder: Path, label: str) -> list[str]:
    """A figure's pictures as text for the page, narrow enough to stand side by side: the light
    one, the dark one; none where one is missing.
    """
    paths = [folder / f"{label}-narrow{theme}.png" for theme in ("", "-dark")]
    there = all(path.is_file() for path in paths)
    return [base64.b64encode(path.read_bytes()).decode() for path in paths if there]
