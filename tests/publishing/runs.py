"""A run's folder with one chapter, as `collapse rerun` leaves it, without the running."""

import json
from pathlib import Path
from typing import Any

import nbformat

from collapse import disk
from collapse.publishing import figures

PROSE = """# Toy

The ratio is {glue:text}`toy_ratio:.2f`, or {glue:text}`toy_ratio:.0f`, with
{glue:text}`toy_n` rows_of {glue:text}`toy_name`; off by {glue:text}`toy_off:.0e`.

:::{bundle} toy-curve
:alt: A line that rises.

**It rises** to {glue:text}`toy_ratio:.2f` & *stays* at 50&nbsp;% of `a_b`, $\\tfrac{\\pi^2}{6}$;
see {numref}`fig-toy-dots`, {numref}`fig-elsewhere` and {eq}`eq-toy`.
:::

````{bundle} toy-dots
:alt: Dots.
Dots \u2013 n \u2265 \u03c0\u00b2: \u201cfew\u201d.

Legend {prf:ref}`in words <thm-toy>`.
````
"""
GLUED: dict[str, Any] = {
    "toy_ratio": 1.644934,
    "toy_n": "1,000",
    "toy_name": "50 %_x",
    "toy_off": 3.2e-8,
}


def run(
    folder: Path,
    prose: str = PROSE,
    glued: dict[str, Any] = GLUED,
    labels: tuple[str, ...] = ("toy-curve", "toy-dots"),
    name: str = "toy",
) -> Path:
    """Write the folder, and return it."""
    for label in labels:
        figures.write(
            label,
            lambda figure: figure.subplots().plot([0, 1], label="1"),
            numbers={"x": [0, 1]},
            parameters={"n": 1000},
            seed=7,
            height=1,
            narrow_height=1,
            folder=folder / "figures",
        )
    notebook(prose, glued, folder / f"{name}.ipynb")
    files = [folder / f"{name}.ipynb", *sorted((folder / "figures").iterdir())]
    own = [f for f in files if f.parent == folder or f.name.startswith(labels)]
    digests = {f.relative_to(folder).as_posix(): disk.digest(f.read_bytes()) for f in own}
    record = {"key": "of this code", "parameters": {}, "files": digests}
    (folder / f"{name}.json").write_text(json.dumps(record))
    return folder


def notebook(prose: str, glued: dict[str, Any], path: Path) -> None:
    """Write a notebook whose one cell hands numbers to its prose."""
    outputs = [
        nbformat.v4.new_output(
            "display_data",
            {"application/papermill.record/text/plain": repr(value)},
            metadata={"scrapbook": {"name": key, "mime_prefix": "application/papermill.record/"}},
        )
        for key, value in glued.items()
    ]
    cells = [
        nbformat.v4.new_code_cell("glue()", outputs=outputs),
        nbformat.v4.new_markdown_cell(prose),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
