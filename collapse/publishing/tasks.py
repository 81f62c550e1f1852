"""What a run is asked for: its chapters as they are written now, each with its values and its
folder.
"""

from __future__ import annotations

import itertools
import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from collapse import checks, disk
from collapse.publishing import chapters as written


@dataclass(frozen=True)
class Task:
    """A chapter as it is written now, to be run with these values into this folder."""

    chapter: str
    path: Path
    content: bytes
    notebook: Any = field(repr=False)
    values: Mapping[str, Any]
    folder: Path
    note: str = ""

    @property
    def target(self) -> Path:
        return self.folder / f"{self.chapter}.ipynb"

    @property
    def record(self) -> Path:
        return self.folder / f"{self.chapter}.json"


def asked(
    names: object = (),
    values: object = None,
    grid: object = None,
    settings: object = None,
    *,
    book: str | Path = "book",
    folder: object = None,
) -> tuple[Path, list[Task]]:
    """Return the folder of a run and its tasks; the arguments are those of `rerun`, which says what
    is refused.
    """
    known = written.chapters(book)
    named = _names(names, known, book)
    mapped = checks.mapping({} if values is None else values, "values", "values of parameters")
    given = {name: written.plain(name, value) for name, value in mapped.items()}
    axes = _axes(grid, given)
    stated = {} if settings is None else _settings(settings, known)
    if folder is None:
        label = "+".join(named) if len(named) < 4 else f"{len(named)}-chapters"
        request = [named, given, axes, stated] if axes or stated else [named, given]
        digest = disk.digest(json.dumps(request, sort_keys=True, default=str).encode())
        folder = Path("runs") / f"{label}-{digest[:8]}"
    place = checks.path(folder, "folder", "the path of a folder").resolve()
    checks.require(  # a notebook would take the place of its own source
        place != Path(book).resolve(),
        f"folder {place} holds the chapters themselves; name another with --folder.",
    )
    points = [dict(zip(axes, at, strict=True)) for at in itertools.product(*axes.values())]
    tasks = [task for point in points for task in _tasks(named, known, given, point, stated, place)]
    for name in axes:
        checks.require(
            any(name in task.values for task in tasks),
            f"no chapter of these has a parameter {name!r} for a grid: {', '.join(named)}.",
        )
    return place, tasks


def _names(names: Any, known: Mapping[str, Path], book: object) -> list[str]:
    """Names of chapters that are there."""
    asked = [names] if isinstance(names, str) else names
    checks.require(
        isinstance(asked, Sequence) and all(isinstance(name, str) for name in asked),
        f"names must be the names of chapters, as text; they are {checks.brief(names)}.",
    )
    found = list(dict.fromkeys(asked)) or list(known)
    checks.require(
        bool(found), f"there is no chapter in {book}; name a folder of notebooks with --book."
    )
    for name in found:
        there = ", ".join(known) or f"none in {book}"
        checks.require(name in known, f"there is no chapter {name!r}; there are: {there}.")
    return found


def _axes(grid: Any, values: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Parameters of a grid, each with its values."""
    given = checks.mapping(
        {} if grid is None else grid, "grid", "sequences of values of parameters"
    )
    axes = {}
    for name, along in given.items():
        sequence = isinstance(along, (Sequence, range)) and not isinstance(along, (str, bytes))
        checks.require(
            sequence and len(along) > 0,
            f"grid must give for {name!r} a list of values; it gives {checks.brief(along)}.",
        )
        checks.require(
            name not in values,
            f"parameter {name!r} has a value and is in the grid; leave one of them out.",
        )
        different = {json.dumps(written.plain(name, value)): value for value in along}
        axes[name] = [written.plain(name, value) for value in different.values()]
    return axes


def _settings(file: object, known: Mapping[str, Path]) -> dict[str, Any]:
    """What a file of parameters says."""
    path = disk.named(file, "settings")
    try:
        stated = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read as TOML: {error}; correct it.") from error
    for name, value in stated.items():
        checks.require(
            name in known or not isinstance(value, dict),
            f"{path} has a table {name!r}, and there is no such chapter; there are:"
            f" {', '.join(known)}.",
        )
    return stated


def _tasks(
    names: Sequence[str],
    known: Mapping[str, Path],
    values: Mapping[str, Any],
    point: Mapping[str, Any],
    stated: Mapping[str, Any],
    folder: Path,
) -> Iterator[Task]:
    """The chapters to be run at one point of a grid."""
    place = folder / ",".join(f"{name}={_word(value)}" for name, value in point.items())
    shared = {name: value for name, value in stated.items() if name not in known}
    for name in names:
        content, notebook = known[name].read_bytes(), written.read(known[name])
        defined = written.inspected(notebook)
        mine = {key: value for key, value in shared.items() if key in defined}
        mine |= stated.get(name, {})
        mine |= {key: value for key, value in point.items() if key in defined}
        mine |= values
        written.check_values(name, mine, defined)
        lacking = ", ".join(key for key in point if key not in defined)
        note = f"it has no parameter {lacking}, and keeps its own" if lacking else ""
        yield Task(name, known[name], content, notebook, mine, place, note)


def _word(value: Any) -> str:
    """A value as it may stand in the name of a folder."""
    text = value if isinstance(value, str) else json.dumps(value)
    return text if re.fullmatch(r"[\w.+-]{1,40}", text) else disk.digest(text.encode())[:8]
