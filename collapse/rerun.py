"""Re-run chapters with other parameters: executed notebooks and their figures in a folder, resumable."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from collapse.risk import versions

EXTRA = "re-running chapters needs papermill and jupytext: pip install 'collapse-companion[rerun]'."


@dataclass(frozen=True)
class Outcome:
    """What became of one chapter.

    Attributes
    ----------
    chapter : str
        Its name.
    notebook : Path
        The executed notebook, also where it failed: then it shows the error in place.
    error : str or None
        The failing cell and its traceback; None where all cells ran.
    seconds : float
        Run time; 0 where an earlier run was taken over.
    """

    chapter: str
    notebook: Path
    error: str | None
    seconds: float


def chapters(book: str | Path = "book") -> dict[str, Path]:
    """Executable chapters of a book folder, by name.

    Raises
    ------
    FileNotFoundError
        Where there is no such folder.
    """
    folder = Path(book)
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}; run this at the top of the project, or name the folder with --book.")
    return {path.stem: path for path in sorted(folder.glob("*.md")) if "kernelspec:" in path.read_text()[:1000]}


def parameters(chapter: Path) -> dict[str, Any]:
    """Return the parameters of a chapter with their defaults as written in its parameters cell."""
    return {name: entry["default"] for name, entry in _inspect(chapter).items()}


def rerun(
    names: Sequence[str],
    values: dict[str, Any] | None = None,
    *,
    book: str | Path = "book",
    folder: str | Path | None = None,
    workers: int = 1,
    fresh: bool = False,
    progress: bool = False,
) -> list[Outcome]:
    """Execute chapters with parameters of their own, each in a fresh kernel.

    Parameters
    ----------
    names : sequence of str
        Chapters, by file name without its ending; empty for all of them.
    values : dict, optional
        Parameters to replace in every chapter named.
    book : path, optional
        Folder of the chapters.
    folder : path, optional
        Where notebooks and figures go; default `runs/` with a name made of the chapters and parameters.
    workers : int, optional
        Chapters run at a time.
    fresh : bool, optional
        Run again what the folder already holds. Default: take over chapters that ran with the same source, parameters
        and versions, so that an interrupted run goes on where it stopped.
    progress : bool, optional
        Show a progress bar.

    Returns
    -------
    list of Outcome
        In the order of names. A failing chapter does not stop the others.

    Raises
    ------
    ValueError
        Where a chapter or a parameter does not exist; the message lists what does.
    ImportError
        Where papermill or jupytext is missing.
    """
    known = chapters(book)
    names = list(dict.fromkeys(names)) or list(known)
    values = dict(values or {})
    for name in names:
        if name not in known:
            raise ValueError(f"there is no chapter {name!r}; there are: {', '.join(known)}.")
    for name in names:
        defined = _inspect(known[name])
        for key, value in values.items():
            if key not in defined:
                raise ValueError(f"chapter {name!r} has no parameter {key!r}; it has: {', '.join(defined) or 'none'}.")
            _check_type(name, key, value, defined[key])
    if folder is None:
        label = "+".join(names) if len(names) < 4 else f"{len(names)}-chapters"
        folder = Path("runs") / f"{label}-{_digest(json.dumps([names, values], sort_keys=True))[:8]}"
    folder = Path(folder).resolve()
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    outcomes: dict[str, Outcome] = {}
    keys = {name: _digest(known[name].read_text() + json.dumps([values, versions(), _package()], sort_keys=True)) for name in names}
    for name in names:
        record = folder / f"{name}.json"
        if not fresh and record.is_file() and json.loads(record.read_text())["key"] == keys[name]:
            outcomes[name] = Outcome(name, folder / f"{name}.ipynb", None, 0.0)
    remaining = [name for name in names if name not in outcomes]
    bar = _bar(len(names), len(outcomes)) if progress else None
    pool = ProcessPoolExecutor(max(1, min(workers, len(remaining))))
    try:
        futures = {pool.submit(_execute, name, str(known[name].resolve()), values, str(folder)): name for name in remaining}
        for future in as_completed(futures):
            outcome = future.result()
            outcomes[outcome.chapter] = outcome
            if outcome.error is None:
                content = {"key": keys[outcome.chapter], "parameters": values, "seconds": outcome.seconds, "versions": versions()}
                (folder / f"{outcome.chapter}.json").write_text(json.dumps(content, indent=1) + "\n")
            if bar is not None:
                bar.set_postfix_str(outcome.chapter)
                bar.update()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        if bar is not None:
            bar.close()
    return [outcomes[name] for name in names]


def _execute(name: str, chapter: str, values: dict[str, Any], folder: str) -> Outcome:
    import papermill

    target = Path(folder) / f"{name}.ipynb"
    source = Path(folder) / f".{name}.source.ipynb"
    _convert(Path(chapter), source)
    os.environ["COLLAPSE_FIGURES"] = str(Path(folder) / "figures")
    os.environ.setdefault("MPLBACKEND", "agg")
    start = time.perf_counter()
    error = None
    try:
        papermill.execute_notebook(
            source, target, parameters=values, kernel_name="python3", cwd=str(Path(chapter).parent), progress_bar=False, log_output=False
        )
    except papermill.PapermillExecutionError as failure:
        error = f"cell {failure.exec_count}: {failure.ename}: {failure.evalue}\n" + "\n".join(failure.traceback)
    finally:
        source.unlink(missing_ok=True)
    return Outcome(name, target, error, time.perf_counter() - start)


def _convert(chapter: Path, target: Path) -> None:
    try:
        import jupytext
        import nbformat
    except ImportError as error:
        raise ImportError(EXTRA) from error
    nbformat.write(jupytext.read(chapter), target)  # type: ignore[no-untyped-call]


def _inspect(chapter: Path) -> dict[str, Any]:
    try:
        import papermill
    except ImportError as error:
        raise ImportError(EXTRA) from error
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "chapter.ipynb"
        _convert(chapter, target)
        return dict(papermill.inspect_notebook(target))


def _check_type(chapter: str, name: str, value: Any, entry: dict[str, Any]) -> None:
    import ast

    default = ast.literal_eval(entry["default"])
    number = (int, float)
    fits = isinstance(value, number) if isinstance(default, float) else isinstance(value, type(default))
    if not fits or isinstance(value, bool) != isinstance(default, bool):
        raise ValueError(
            f"parameter {name!r} of chapter {chapter!r} must be {type(default).__name__}, like its default {entry['default']}; it is {value!r}."
        )


def _package() -> str:
    """Digest of the package's own source: a run with other code is another run."""
    here = Path(__file__).parent
    files = sorted(path for path in here.rglob("*") if path.suffix in (".py", ".js", ".csv"))
    return _digest("".join(path.name + path.read_text() for path in files))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _bar(total: int, done: int) -> Any:
    try:
        from tqdm import tqdm
    except ImportError as error:
        raise ImportError(EXTRA) from error
    return tqdm(total=total, initial=done, unit="chapter")
