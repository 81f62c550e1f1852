"""The report of a run: what was run, how long it took, each figure beside the book's, and which
numbers moved.

`python -m collapse.publishing.report RUN [--out FILE]` writes it into the run's folder.
"""

from __future__ import annotations

import argparse
import base64
import json
import math
import os
import sys
from collections.abc import Mapping, Sequence
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
        Folder of the committed numbers behind the book's figures.
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
    shown = {name: _labels(record) for name, record in records.items()}
    ours = {label for labels in shown.values() for label in labels}
    # of all figures of the book the run has some
    moved = (
        [m for m in baselines.moved(folder / "figures", then) if m.figure in ours] if ours else []
    )
    chapters = [
        {
            "name": name,
            "seconds": record.get("seconds", math.nan),
            "parameters": record.get("parameters", {}),
            "versions": record.get("versions", {}),
            "figures": [
                {
                    "label": label,
                    "record": json.loads((folder / "figures" / f"{label}.json").read_bytes()),
                    "picture": _picture(folder / "figures", label),
                    "before": _picture(pictures, label),
                    "moved": [entry for entry in moved if entry.figure == label],
                }
                for label in shown[name]
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
        figures=len(ours),
    )
    return disk.write(target, page, "out")


def _labels(record: Mapping[str, Any]) -> list[str]:
    """Figures of a chapter, by the files that its record lists."""
    files = [Path(file) for file in record["files"]]
    tables = {file.stem for file in files if file.suffix == ".csv"}
    return [file.stem for file in files if file.suffix == ".json" and file.stem in tables]


def _picture(folder: Path, label: str) -> str | None:
    """A figure's picture as text for the page; None where there is none."""
    path = folder / f"{label}.png"
    return base64.b64encode(path.read_bytes()).decode() if path.is_file() else None


def main(arguments: Sequence[str] | None = None) -> int:
    """Write a run's report; the exit status is 2 if there is nothing to report."""
    parser = argparse.ArgumentParser(description="The report of a run of chapters.")
    parser.add_argument("run", help="folder that collapse rerun wrote into")
    parser.add_argument("--out", help=f"file to write (default: {NAME} in the run's folder)")
    parser.add_argument("--baselines", default="book/baselines", help="folder of the baselines")
    parser.add_argument("--built", default="_build/figures", help="folder of the book's figures")
    options = parser.parse_args(arguments)
    try:
        path = report(options.run, out=options.out, baseline=options.baselines, built=options.built)
    except (ValueError, OSError, ImportError) as error:
        print(f"report: {error}", file=sys.stderr)
        return 2
    print(f"written to {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
