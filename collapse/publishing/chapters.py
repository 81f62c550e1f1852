"""Chapters as they are written: which there are, their parameters, their cells."""

from __future__ import annotations

import ast
import contextlib
import json
import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from collapse import checks

EXTRA = "re-running chapters needs papermill and jupytext: pip install 'collapse-companion[rerun]'."


def chapters(book: str | Path = "book") -> dict[str, Path]:
    """Executable chapters of a folder, by name: notebooks, and pages of text with code cells.

    Raises
    ------
    ValueError
        Where `book` is no path.
    FileNotFoundError
        Where there is no such folder.
    """
    folder = checks.path(book, "book", "the path of a folder of chapters")
    if not folder.is_dir():
        raise FileNotFoundError(
            f"there is no folder {folder}; run this at the top of the project, or name the folder"
            " with --book."
        )
    # what is hidden is an editor's, such as the broken link that locks a file
    files = [path for path in folder.iterdir() if path.is_file() and path.name[0] != "."]
    notebooks = {path.stem: path for path in files if path.suffix == ".ipynb"}
    # of a pair of the same name the text is what people change
    pages = {path.stem: path for path in files if path.suffix == ".md" and _is_executable(path)}
    return dict(sorted((notebooks | pages).items()))


def parameters(chapter: str | Path) -> dict[str, Any]:
    """Return the parameters of a chapter with their defaults as written in its parameters cell."""
    return {name: entry["default"] for name, entry in inspected(read(Path(chapter))).items()}


def read(chapter: Path) -> Any:
    """Return a chapter as a notebook of Python, whichever way it is written."""
    with checks.without(checks.GRAMMARS):
        jupytext = checks.module("jupytext", EXTRA)
    try:
        # a page's code cells tell its format, whether a header names it or not
        notebook = jupytext.read(chapter, fmt="md:myst" if _has_cells(chapter) else None)
    except Exception as error:
        raise ValueError(
            f"{chapter} cannot be read as a notebook: {checks.brief(str(error))}; save it again"
            " from Jupyter."
        ) from error
    spec = notebook.metadata.get("kernelspec", {})
    told = notebook.metadata.get("language_info", {}).get("name")
    language = spec.get("language") or told or "python"
    checks.require(
        bool(re.fullmatch("i?python3?", language, re.IGNORECASE)),
        f"{chapter} is in {language}; only chapters in Python can be run again.",
    )
    notebook.metadata["kernelspec"] = {
        "display_name": "Python 3",
        "name": "python3",
        "language": "python",
    }
    return notebook


def inspected(notebook: Any) -> dict[str, Any]:
    """Return what papermill finds of a notebook's parameters."""
    nbformat, papermill = (checks.module(name, EXTRA) for name in ("nbformat", "papermill"))
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "chapter.ipynb"
        nbformat.write(notebook, target)
        return dict(papermill.inspect_notebook(target))


def code_cells(notebook: Any) -> list[Any]:
    """Return the code cells that somebody wrote, in order: papermill's own is none."""
    return [cell for cell in notebook.cells if cell.cell_type == "code" and not put_in(cell)]


def spliced(written: Any, executed: Any) -> Any:
    """Return a chapter as it is written now, its code cells as they were executed."""
    ran = iter([cell for cell in executed.cells if cell.cell_type == "code"])
    cells = []
    for cell in written.cells:
        if cell.cell_type != "code":
            cells.append(cell)
        elif not put_in(cell):
            for done in ran:
                cells.append(done)
                if not put_in(done):
                    break
    executed.cells = [*cells, *ran]
    return executed


def line_of(chapter: Path, number: int) -> int | None:
    """Return the line on which a page's code cell begins, counted from 1; None for a notebook."""
    if chapter.suffix != ".md":
        return None
    from markdown_it import MarkdownIt

    tokens = MarkdownIt("commonmark").parse(chapter.read_text(encoding="utf-8"))
    cells = [token for token in tokens if token.info.strip().startswith("{code-cell}")]
    lines = [token.map[0] + 1 for token in cells if token.map]
    return lines[number - 1] if number <= len(lines) else None


def plain(name: str, value: Any) -> Any:
    """Return a parameter's value as a notebook's cell can hold it."""
    value = value.item() if isinstance(value, np.generic) else value
    try:
        json.dumps(value)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"parameter {name!r} must be a number, a truth value, text, or a list of these; it is"
            f" {checks.brief(value)}."
        ) from error
    return value


def check_values(chapter: str, values: dict[str, Any], defined: dict[str, Any]) -> None:
    """Refuse a parameter that a chapter does not have, or a value of another kind."""
    none = "none (tag the cell that assigns them as parameters)"
    for name, value in values.items():
        checks.require(
            name in defined,
            f"chapter {chapter!r} has no parameter {name!r}; it has: {', '.join(defined) or none}.",
        )
        written, default = defined[name]["default"], None
        with contextlib.suppress(ValueError, SyntaxError):  # computed: the chapter alone can tell
            default = ast.literal_eval(written)
        checks.require(
            default is None or _kind(value) == _kind(default),
            f"parameter {name!r} of chapter {chapter!r} must be {_kind(default)}, like its default"
            f" {written}; it is {checks.brief(value)}.",
        )


def _kind(value: Any) -> str:
    if checks.is_number(value):
        return "a number"
    kinds = {bool: "True or False", str: "text", list: "a list", tuple: "a list", dict: "a mapping"}
    return kinds.get(type(value), type(value).__name__)


def put_in(cell: Any) -> bool:
    """Whether papermill has put the cell in, with its new parameters."""
    return "injected-parameters" in cell.metadata.get("tags", [])


def _is_executable(page: Path) -> bool:
    return "kernelspec:" in page.read_text(encoding="utf-8", errors="replace")[:1000] or _has_cells(
        page
    )


def _has_cells(chapter: Path) -> bool:
    text = chapter.read_text(encoding="utf-8", errors="replace") if chapter.suffix == ".md" else ""
    return re.search(r"^`{3,}\s*\{code-cell\}", text, re.MULTILINE) is not None
