"""The figure bundle: every figure is written once, by one call, with the numbers behind it."""

from __future__ import annotations

import csv
import html
import io
import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from collapse import checks, disk
from collapse.publishing import plot
from collapse.risk import versions

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 200
"""Dots per inch of the PNG files: twice what a screen shows at print size."""


@dataclass(frozen=True)
class Bundle:
    """A figure as it lies on disk: PNG (wide and narrow, light and dark), PDF (wide and
    narrow), SVG, CSV and JSON.

    Attributes
    ----------
    label : str
        Name of the figure and stem of its files.
    folder : pathlib.Path
        Where they lie.
    files : tuple of str
        Their names, sorted.
    """

    label: str
    folder: Path
    files: tuple[str, ...]

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        return (self.folder / f"{self.label}.png").read_bytes(), {
            "width": round(plot.WIDE * DPI / 2)
        }

    def _ipython_display_(self) -> None:
        # the page shows the bundle itself, with its caption, under the cell
        if os.environ.get("COLLAPSE_STATIC"):
            return
        from IPython.display import Image, display  # type: ignore[import-not-found, unused-ignore]

        data, size = self._repr_png_()
        display(Image(data, **size))  # type: ignore[no-untyped-call, unused-ignore]


def write(
    label: str,
    draw: Callable[[Figure], object],
    *,
    numbers: Mapping[str, Sequence[Any] | np.ndarray[Any, Any]],
    parameters: Mapping[str, Any],
    seed: int | None,
    height: float = 3.2,
    narrow_height: float = 3.0,
    folder: str | os.PathLike[str] | None = None,
) -> Bundle:
    """Write a figure with everything that belongs to it; the same call gives the same bytes.

    Parameters
    ----------
    label : str
        Lower-case words joined by hyphens: the stem of the files and, in the book, of the figure's
        number.
    draw : callable
        Draws on the `matplotlib.figure.Figure` it is given. It is called once for each variant: 6.8
        and 3.3 inches wide, light and dark. Colours come from `collapse.publishing.plot.colour`,
        axes that must stand side by side or stacked from `collapse.publishing.plot.panels`.
    numbers : mapping of str to sequence
        Columns of the CSV: the numbers behind the figure, all of one length. Floats keep full
        precision, fractions are written as text. Text that a spreadsheet would compute (it begins
        with =, +, - or @) gets an apostrophe.
    parameters : mapping
        What the figure depends on; written to the JSON.
    seed : int or None
        Seed of the simulation behind the figure, None where there is none.
    height, narrow_height : float
        Height in inches of the wide and of the narrow variants.
    folder : path, optional
        Where to write; else the environment variable COLLAPSE_FIGURES says, else `_figures` in the
        current folder.

    Returns
    -------
    Bundle
        Shows its wide, light variant in Jupyter.

    Raises
    ------
    ValueError
        If the label is no label, columns differ in length or hold something else than scalars, a
        parameter cannot be written as JSON, or the seed is no whole number.

    Notes
    -----
    Where the environment variable COLLAPSE_DRAFT is set, as in the runs of
    ``collapse rerun --draft``, the wide light PNG is the only picture.

    Examples
    --------
    >>> import tempfile
    >>> def draw(figure):
    ...     ax, = plot.panels(figure, 1)
    ...     ax.plot([1, 2, 3], [1, 1.25, 1.361], color=plot.colour("augment"))
    >>> numbers = {"generation": [1, 2, 3], "ratio": [1, 1.25, 1.361]}
    >>> bundle = write("first-steps", draw, numbers=numbers, parameters={"generations": 3},
    ...                seed=None, folder=tempfile.mkdtemp())
    >>> bundle.files[:3]
    ('first-steps-dark.png', 'first-steps-narrow-dark.png', 'first-steps-narrow.pdf')
    """
    # everything that can be refused is refused before a file is written
    words = r"[a-z][a-z0-9]*(-[a-z0-9]+)*(?<!-dark)(?<!-narrow)"
    checks.require(
        bool(re.fullmatch(words, checks.text(label, "label"))),
        "expected a label of lower-case words joined by hyphens, not ending in -dark or "
        f"-narrow, got {checks.brief(label)}; name the figure after what it shows, such as "
        "'ratio-by-generation'.",
    )
    checks.require(
        callable(draw),
        f"draw must be a function of a matplotlib Figure; it is {checks.brief(draw)}.",
    )
    seed = _seed(seed)
    height, narrow_height = _inches(height, "height"), _inches(narrow_height, "narrow_height")
    files, described = {f"{label}.csv": _csv(numbers).encode()}, _described(parameters)
    target = _place(folder)
    sizes = {"": (plot.WIDE, height), "-narrow": (plot.NARROW, narrow_height)}
    themes: dict[str, plot.Theme] = {"": "light", "-dark": "dark"}
    origin = {"parameters": described, "seed": seed, "versions": versions(), **provenance()}
    about = {"Title": label, "Subject": json.dumps(origin, ensure_ascii=False)}
    draft = bool(os.environ.get("COLLAPSE_DRAFT"))
    for (dark, theme), (suffix, inches) in product(themes.items(), sizes.items()):
        if draft and (dark or suffix):
            continue
        formats = ("png", *(() if dark or draft else ("pdf",) if suffix else ("pdf", "svg")))
        for extension, data in _drawn(draw, inches, theme, formats, about=about).items():
            files[f"{label}{suffix}{dark}.{extension}"] = data
    record = {
        "label": label,
        **origin,
        "inches": {"wide": sizes[""], "narrow": sizes["-narrow"]},
        "files": {name: disk.digest(files[name]) for name in sorted(files)},
    }
    files[f"{label}.json"] = (json.dumps(record, indent=1, ensure_ascii=False) + "\n").encode()
    disk.folder(target)
    for name, data in files.items():
        (target / name).write_bytes(data)
    return Bundle(label, target, tuple(sorted(files)))


def tell(
    name: str,
    numbers: Mapping[str, Sequence[Any] | np.ndarray[Any, Any]],
    *,
    folder: str | os.PathLike[str] | None = None,
) -> Path:
    """Write numbers that stand behind no figure, as `write` writes those of one.

    Parameters
    ----------
    name : str
        Stem of the CSV file.
    numbers, folder
        As there.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    ValueError
        If the name cannot be that of a file, or the numbers no table.
    """
    checks.require(
        bool(re.fullmatch(r"\w[\w.-]{0,99}", checks.text(name, "name"))),
        f"name must be the stem of a file, of letters, digits, '_', '.' and '-'; it is"
        f" {checks.brief(name)}.",
    )
    text = _csv(numbers)
    return disk.write(disk.folder(_place(folder)) / f"{name}.csv", text)


HEIGHTS = (0.5, 100)
"""Least and most inches of a figure's height."""


def _place(folder: Any) -> Path:
    given = os.environ.get("COLLAPSE_FIGURES") or "_figures" if folder is None else folder
    return checks.path(given, "folder").absolute()


def _inches(height: Any, name: str) -> float:
    checks.check_size(height, name, *HEIGHTS)
    return height if isinstance(height, int) else float(height)


def _seed(seed: Any) -> int | None:
    what = "that the numbers were simulated with, or None"
    return (
        None if seed is None else checks.whole(seed, "seed", what, least=0, most=checks.SEEDS - 1)
    )


def manifest(folder: str | os.PathLike[str]) -> dict[str, dict[str, Any]]:
    """Records of all bundles in a folder, by label.

    Parameters
    ----------
    folder : path
        Where `write` put them. Other files that hold JSON may lie there too.

    Raises
    ------
    ValueError
        If a file is not JSON, or one that a record lists is missing.
    """
    records = {}
    for path in sorted(checks.path(folder, "folder").glob("*.json")):
        try:
            record = json.loads(path.read_bytes())
        except (ValueError, RecursionError) as error:
            raise ValueError(
                f"the folder holds {path}, which is not JSON ({checks.brief(str(error))}); write"
                " the figure again, or move the file away."
            ) from error
        if not isinstance(record, dict) or not {"label", "files", "inches"} <= record.keys():
            continue  # no figure's
        missing = [name for name in record["files"] if not (path.parent / name).is_file()]
        checks.require(
            not missing,
            f"expected the files that {path} lists, found no {', '.join(missing)}; write the figure"
            f" {record['label']!r} again.",
        )
        records[record["label"]] = record
    return records


@cache
def provenance() -> dict[str, Any]:
    """Commit of the checkout that the package is imported from, and whether tracked files differ
    from it; both None outside a checkout.
    """
    here = Path(__file__).parent
    if _git(here, "ls-files", "--error-unmatch", Path(__file__).name) is None:
        return {"commit": None, "uncommitted_changes": None}
    return {
        "commit": _git(here, "rev-parse", "HEAD"),
        "uncommitted_changes": bool(_git(here, "status", "--porcelain", "--untracked-files=no")),
    }


@dataclass(frozen=True)
class Colophon:
    """The line that closes a page: seed, versions, commit, CPU time, how to cite."""

    seed: int | None
    seconds: float

    def __repr__(self) -> str:
        origin = provenance()
        commit = "no checkout" if origin["commit"] is None else f"commit {origin['commit'][:9]}"
        parts = [
            "no seed" if self.seed is None else f"seed {self.seed}",
            ", ".join(f"{name} {version}" for name, version in versions().items()),
            commit + (" with uncommitted changes" if origin["uncommitted_changes"] else ""),
            f"{self.seconds:.1f} s of CPU time",
            "cite: CITATION.cff",
        ]
        return " · ".join(parts)

    def _repr_markdown_(self) -> str:
        return repr(self).replace("CITATION.cff", "[CITATION.cff](../CITATION.cff)")

    def _repr_html_(self) -> str:
        cite = '<a href="../CITATION.cff">CITATION.cff</a>'
        line = html.escape(repr(self)).replace("CITATION.cff", cite)
        return f'<p class="colophon">{line}</p>'


def colophon(seed: int | None) -> Colophon:
    """Line that closes a page, with the CPU time this process has used so far.

    Parameters
    ----------
    seed : int or None
        The page's seed, None where nothing is simulated.

    Examples
    --------
    >>> str(colophon(7)).split(" · ")[0]
    'seed 7'
    """
    return Colophon(_seed(seed), time.process_time())


def parameter(name: str, value: object, least: float, most: float) -> None:
    """Check a parameter of a chapter, before anything is computed with it.

    Parameters
    ----------
    name : str
        Its name, as in the chapter's `parameters` cell.
    value : int or float
        What it was set to; a whole number is asked for where both bounds are whole.
    least, most : int or float
        The admissible range, both ends included.

    Raises
    ------
    ValueError
        Where the value lies outside.

    Examples
    --------
    >>> parameter("n", 400, 20, 10_000)
    >>> parameter("share", 1.5, 0.1, 0.9)
    Traceback (most recent call last):
    ValueError: parameter share must be a number from 0.1 to 0.9; it is 1.5.
    """
    name = checks.text(name, "name")
    given = checks.check_number(least, "least"), checks.check_number(most, "most")
    low, high = (end if isinstance(end, int) else float(end) for end in given)
    checks.require(
        not (low > high),
        f"least, {checks.brief(least)}, must not be greater than most, {checks.brief(most)}.",
    )
    whole = isinstance(low, int) and isinstance(high, int)
    fits = checks.is_number(value) and (not whole or isinstance(value, (int, np.integer)))
    checks.require(
        fits and low <= value <= high,  # type: ignore[operator]
        f"parameter {name} must be a {'whole ' * whole}number from {low:,} to {high:,}; it is"
        f" {checks.brief(value)}.",
    )


def _drawn(
    draw: Callable[[Figure], object],
    inches: tuple[float, float],
    theme: plot.Theme,
    formats: Sequence[str],
    dpi: int = DPI,
    about: Mapping[str, str] | None = None,
    **options: Any,
) -> dict[str, bytes]:
    """Draw a figure in the house style, and return its files by format; a file's bytes depend on
    nothing else. A PDF tells what it is `about`. Options are passed on to `Figure.savefig`.
    """
    from matplotlib.figure import Figure

    # a date, or the name of the program that wrote it, would make two writes differ
    undated: dict[str, dict[str, str | None]] = {
        "png": {"Software": None},
        "pdf": {"CreationDate": None, "Producer": None, "Creator": None, **(about or {})},
        "svg": {"Date": None, "Creator": None},
    }
    files = {}
    with plot.style(theme):
        figure = Figure(inches, layout="constrained")
        draw(figure)
        for extension in formats:
            stream = io.BytesIO()
            metadata = undated[extension]
            figure.savefig(stream, format=extension, dpi=dpi, metadata=metadata, **options)
            files[extension] = stream.getvalue()
            # one layout for all formats, computed once
            figure.set_layout_engine("none")
    return files


def _csv(numbers: Mapping[str, Sequence[Any] | np.ndarray[Any, Any]]) -> str:
    given = checks.mapping(numbers, "numbers", "columns")
    for name, values in given.items():
        checks.require(
            not (isinstance(values, (str, bytes, type)) or not np.iterable(values)),
            f"numbers: expected a sequence as column {name!r}, got {checks.brief(values)}; one"
            " value for each row.",
        )
        checks.held(
            checks.length(values), f"column {checks.brief(name)} of numbers", "draw fewer points"
        )
    columns = {name: [_cell(name, value) for value in values] for name, values in given.items()}
    said = ", ".join(f"{name} has {len(cells)}" for name, cells in columns.items())
    checks.require(
        len(set(map(len, columns.values()))) == 1,
        f"numbers: expected columns of one length, but {said or 'there are none'}; write one "
        "row for each point drawn, repeating what is constant.",
    )
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(map(_harmless, columns))
    writer.writerows(zip(*columns.values(), strict=True))
    return stream.getvalue()


def _cell(column: str, value: Any) -> str:
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, str):
        return _harmless(value)
    checks.require(
        not (value is not None and not isinstance(value, (int, float, Fraction))),
        f"numbers: expected numbers, fractions or text in column {column!r}, got"
        f" {checks.brief(value)}; flatten it into columns of scalars.",
    )
    return "" if value is None else checks.to_text(value)


def _harmless(text: str) -> str:
    """Put an apostrophe before text that a spreadsheet would compute as a formula."""
    number = re.fullmatch(r"[+-]?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?(/[0-9]+)?", text)
    return f"'{text}" if re.match(r"\s*[=+\-@|%]", text) and not number else text


def _described(parameters: Mapping[str, Any]) -> Any:
    given = checks.mapping(parameters, "parameters", "values")
    try:
        return json.loads(json.dumps(given, default=_plain, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(
            "expected parameters that JSON can hold (finite numbers, text, lists, mappings), got "
            f"{checks.brief(given)}: {error}; give a model or a plan by its name and its numbers."
        ) from error


def _plain(value: Any) -> Any:
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    if isinstance(value, Fraction):
        return checks.to_text(value)
    raise TypeError(f"no JSON for {type(value).__name__}")


def _git(folder: Path, *words: str) -> str | None:
    try:
        answer = subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None
