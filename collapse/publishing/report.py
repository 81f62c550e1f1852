"""The report of a run: what was run, how long it took, each figure beside the book's, and which
numbers moved, behind figures and in the prose.
"""

from __future__ import annotations

import base64
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from collapse import checks, disk
from collapse.publishing import baselines
from collapse.publishing.records import records as kept_records

EXTRA = "a run's report needs jinja2: pip install 'collapse-companion[rerun]'."
NAME = "report.html"
"""The report's file, in the run's folder."""


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
        A run's folder (`collapse.publishing.rerun.rerun`).
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
    jinja2 = checks.module("jinja2", EXTRA)
    records = kept_records(folder)
    tables = {
        name: [Path(file).stem for file in record["files"] if file.endswith(".csv")]
        for name, record in records.items()
    }
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
                        f"Before: {built}": _pictures(pictures, label),
                    },
                    "moved": [entry for entry in moved if entry.figure == label],
                }
                for label, drawn in _figures(folder, record, tables[name])
            ],
        }
        for name, record in records.items()
    ]
    failed = sorted({path.stem for path in folder.glob("*.ipynb")} - records.keys())
    pages = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    page = pages.get_template("report.html.j2").render(
        title=f"Run {folder.resolve().name}",
        chapters=chapters,
        failed=failed,
        moved=len(moved),
    )
    return disk.write(target, page, "out")


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
