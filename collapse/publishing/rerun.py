"""Chapters run again with other parameters: executed notebooks and figures in a folder, resumable.

Each chapter runs in a process of its own, and writes into a folder of its own. When it has ended
well, its files are moved to the run's folder and its record is written: the last step, which alone
makes them count. The record holds a digest of each file.
"""

from __future__ import annotations

import ast
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import IO, Any

import numpy as np

from collapse import checks, disk
from collapse.risk import versions

EXTRA = "re-running chapters needs papermill and jupytext: pip install 'collapse-companion[rerun]'."
RUNNING = ".running"
"""Folder, inside the run's, of what is not finished; each run has a part of its own there."""


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
    note : str
        Why an earlier run's record was not taken over, where it might have been; else empty.
    """

    chapter: str
    notebook: Path
    error: str | None
    seconds: float
    note: str = ""


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
    return {name: entry["default"] for name, entry in _inspect(Path(chapter)).items()}


def rerun(
    names: Sequence[str],
    values: dict[str, Any] | None = None,
    *,
    book: str | Path = "book",
    folder: str | Path | None = None,
    workers: int = 1,
    fresh: bool = False,
    progress: bool | checks.Progress | None = None,
) -> list[Outcome]:
    """Execute chapters with parameters of their own, each in a fresh kernel.

    Parameters
    ----------
    names : sequence of str
        Chapters, by file name without its ending; empty for all of them.
    values : dict, optional
        Parameters to replace in every chapter named. A number takes the place of a number,
        anything else that of its own kind.
    book : path, optional
        Folder of the chapters, or of notebooks of one's own.
    folder : path, optional
        Where notebooks and figures go; default `runs/` with a name made of the chapters and
        parameters. One run at a time writes into it.
    workers : int, optional
        Chapters run at a time.
    fresh : bool, optional
        Run again what the folder already holds. Default: take over chapters that ran with the same
        source, parameters, package and installed versions, and whose files are all there as they
        were written, so that an interrupted run goes on where it stopped.
    progress : callable or bool, optional
        Called as progress(done, total) in chapters. True: tell on stderr.

    Returns
    -------
    list of Outcome
        In the order of names. A failing chapter does not stop the others, and leaves its notebook
        but no figures.

    Raises
    ------
    ValueError
        Where a chapter or a parameter does not exist (the message lists what does), or another run
        is writing into the folder.
    OSError
        Where the folder cannot be written.
    ImportError
        Where papermill or jupytext is missing.
    """
    workers = checks.whole(workers, "workers", "chapters run at a time")
    fresh, tell = checks.flag(fresh, "fresh"), checks.progress(progress)
    known = chapters(book)
    asked: Any = [names] if isinstance(names, str) else names
    if not isinstance(asked, Sequence) or not all(isinstance(name, str) for name in asked):
        raise ValueError(
            f"names must be the names of chapters, as text; they are {checks.brief(names)}."
        )
    names = list(dict.fromkeys(asked)) or list(known)
    if not names:
        raise ValueError(f"there is no chapter in {book}; name a folder of notebooks with --book.")
    given = checks.mapping({} if values is None else values, "values", "values of parameters")
    values = {name: _plain(name, value) for name, value in given.items()}
    for name in names:
        if name not in known:
            there = ", ".join(known) or f"none in {book}"
            raise ValueError(f"there is no chapter {name!r}; there are: {there}.")
    for name in names:
        _check_values(name, values, _inspect(known[name]))
    if folder is None:
        label = "+".join(names) if len(names) < 4 else f"{len(names)}-chapters"
        request = json.dumps([names, values], sort_keys=True).encode()
        folder = Path("runs") / f"{label}-{disk.digest(request)[:8]}"
    folder = checks.path(folder, "folder", "the path of a folder").resolve()
    if folder == Path(book).resolve():  # a notebook would take the place of its own source
        raise ValueError(
            f"folder {folder} holds the chapters themselves; name another with --folder."
        )
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    with _locked(folder) as lock:
        # a kernel whose process was killed may write on for a while: not into a later run's part
        run = _Run(folder, lock, known, values, folder / RUNNING / os.urandom(4).hex())
        outcomes = {} if fresh else {name: outcome for name in names if (outcome := run.kept(name))}
        return run.execute(names, outcomes, workers, tell)


@dataclass(frozen=True)
class _Run:
    """One run into one folder, which it holds alone."""

    folder: Path
    lock: int
    known: dict[str, Path]
    values: dict[str, Any]
    running: Path

    def key(self, source: bytes) -> str:
        """Digest of what a chapter's files depend on."""
        parts = [source.hex(), self.values, disk.package(), _installed()]
        return disk.digest(json.dumps(parts, sort_keys=True).encode())

    def kept(self, name: str) -> Outcome | None:
        """Outcome of an earlier run, where all that it wrote is there."""
        record = _read_record(self.folder / f"{name}.json")
        same = record is not None and record["key"] == self.key(self.known[name].read_bytes())
        if record is None or not same or _damaged(self.folder, record):
            return None
        return Outcome(name, self.folder / f"{name}.ipynb", None, 0.0)

    def execute(
        self,
        names: Sequence[str],
        outcomes: dict[str, Outcome],
        workers: int,
        tell: checks.Progress,
    ) -> list[Outcome]:
        """Execute what is not in `outcomes`; each is recorded as it ends."""
        remaining = [name for name in names if name not in outcomes]
        notes = {name: self.invalidate(name) for name in remaining}
        shutil.rmtree(self.folder / RUNNING, ignore_errors=True)
        tell(len(outcomes), len(names))
        # workers read the one end, and end when the other is closed, by us or by our death
        lifeline, ours = os.pipe()
        pool = ThreadPoolExecutor(max(1, min(workers, len(remaining))))
        try:
            futures = [pool.submit(self.one, name, lifeline) for name in remaining]
            for future in as_completed(futures):
                outcome = self.publish(*future.result())
                outcomes[outcome.chapter] = replace(outcome, note=notes[outcome.chapter])
                tell(len(outcomes), len(names))
        finally:
            os.close(ours)
            pool.shutdown(wait=True, cancel_futures=True)
            os.close(lifeline)
            shutil.rmtree(self.folder / RUNNING, ignore_errors=True)
        return [outcomes[name] for name in names]

    def invalidate(self, name: str) -> str:
        """Remove what an earlier run left, its record last; say what was wrong with it."""
        path = self.folder / f"{name}.json"
        if not path.exists():
            return ""
        record, note = _read_record(path), ""
        if record is None:
            note = f"{path.name} was no readable record of a run, and was ignored"
        else:
            same = record["key"] == self.key(self.known[name].read_bytes())
            if same and (damaged := _damaged(self.folder, record)):
                note = f"{damaged[0]} was missing or had been changed"
            for file in record["files"]:
                if os.path.isfile(self.folder / file) or os.path.islink(self.folder / file):
                    (self.folder / file).unlink()
        path.unlink()
        return note

    def one(self, name: str, lifeline: int) -> tuple[Outcome, str]:
        """Run one chapter in a process of its own; the outcome, and the key of what was run."""
        chapter, scratch = self.known[name].resolve(), self.running / name
        content = chapter.read_bytes()
        source = scratch / f"source{chapter.suffix}"  # as it is now: it may be edited while it runs
        key = self.key(content)
        job: dict[str, Any] = {"name": name, "source": str(source), "folder": str(chapter.parent)}
        job["values"] = self.values
        here = str(Path(__file__).parents[2])
        environment = os.environ | {
            "COLLAPSE_FIGURES": str(scratch / "figures"),
            "IPYTHONDIR": str(scratch / "ipython"),  # not the reader's own start-up files
            "MPLBACKEND": os.environ.get("MPLBACKEND", "agg"),
            "PYTHONHASHSEED": "0",
            # this package, whatever else is installed under its name
            "PYTHONPATH": os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")])),
        }
        start = time.perf_counter()
        try:
            (scratch / "figures").mkdir(parents=True)
            source.write_bytes(content)
            with tempfile.TemporaryFile() as said:
                worker = subprocess.Popen(
                    [sys.executable, "-P", "-m", "collapse.publishing.rerun", json.dumps(job)],
                    stdin=lifeline,
                    stdout=subprocess.PIPE,
                    stderr=said,
                    env=environment,
                    start_new_session=True,  # an interrupt comes to us alone
                    pass_fds=[self.lock],  # the folder is free when all who write into it are gone
                )
                assert worker.stdout is not None
                answer = worker.stdout.read()
                worker.stdout.close()
                status = worker.wait()
                said.seek(0)
                error = json.loads(answer)["error"] if status == 0 else _end_of(status, said)
        except OSError as failure:
            error = _words(failure)
        # what changed meanwhile, such as the package, may have been used: no later run takes it
        key = key if key == self.key(content) else "changed while it ran"
        return Outcome(name, self.folder / f"{name}.ipynb", error, time.perf_counter() - start), key

    def publish(self, outcome: Outcome, key: str) -> Outcome:
        """Move what a chapter made to its place, and record it; of a failure the notebook alone."""
        name, scratch = outcome.chapter, self.running / outcome.chapter
        try:
            if (scratch / outcome.notebook.name).is_file():
                (scratch / outcome.notebook.name).replace(outcome.notebook)
            if outcome.error is not None:
                return outcome
            drawn = [path for path in (scratch / "figures").rglob("*") if path.is_file()]
            made = sorted(path.relative_to(scratch) for path in drawn)
            if taken := self.taken(name, made):
                return replace(outcome, error=taken)
            for file in made:
                (self.folder / file).parent.mkdir(parents=True, exist_ok=True)
                (scratch / file).replace(self.folder / file)
            files = [outcome.notebook.name, *(file.as_posix() for file in made)]
            record = {
                "key": key,
                "parameters": self.values,
                "seconds": outcome.seconds,
                "versions": versions(),
                "files": {file: _digest_of(self.folder / file) for file in files},
            }
            disk.write(self.folder / f"{name}.json", json.dumps(record, indent=1) + "\n")
        except OSError as failure:
            return replace(outcome, error=_words(failure))
        return outcome

    def taken(self, name: str, made: Sequence[Path]) -> str | None:
        """Say which other chapter has written a figure file of the same name, if one has."""
        for path in sorted(self.folder.glob("*.json")):
            record = None if path.stem == name else _read_record(path)
            theirs = [file for file in made if record and file.as_posix() in record["files"]]
            if theirs:
                told = f"{path.stem!r} has written {theirs[0].as_posix()} too"
                return f"its figures: {told}; labels must differ."
        return None


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[int]:
    import fcntl  # not on Windows, where the rest of the package works

    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(
                f"another run is writing into {folder}; wait until it has ended, or give this one"
                " another folder with --folder."
            ) from None
        yield lock.fileno()


def _read_record(path: Path) -> dict[str, Any] | None:
    """Record of a chapter's run, None where there is none that can be read."""
    mine, inside = f"{path.stem}.ipynb", r"figures(/(?!\.{0,2}(/|$))[^/]+)+"
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        files = record["files"].keys()
        sound = isinstance(record["key"], str) and mine in files
        sound = sound and all(re.fullmatch(inside, file, re.DOTALL) for file in files - {mine})
    except (OSError, ValueError, RecursionError, LookupError, TypeError, AttributeError):
        return None
    return record if sound else None


def records(folder: Path) -> dict[str, dict[str, Any]]:
    """Records of the chapters that were run into a folder, by name.

    Raises
    ------
    ValueError
        Where there is none, or a file is not as it was written.
    """
    read = {path.stem: _read_record(path) for path in sorted(folder.glob("*.json"))}
    found = {name: record for name, record in read.items() if record is not None}
    checks.require(
        bool(found),
        f"no chapter has been run into {folder}; name the folder that collapse rerun wrote into.",
    )
    for name, record in found.items():
        for file in _damaged(folder, record):
            raise ValueError(
                f"{folder / file} is missing or not as it was written; run the chapter {name}"
                " again."
            )
    return found


def _damaged(folder: Path, record: dict[str, Any]) -> list[str]:
    """Files of a record that are missing or differ from what was written."""
    return [
        file
        for file, digest in record["files"].items()
        if not os.path.isfile(folder / file) or _digest_of(folder / file) != digest
    ]


def _work(job: dict[str, Any], answer: IO[str]) -> None:
    """Execute one chapter: the worker's part."""
    import papermill
    from nbclient.exceptions import DeadKernelError

    source = Path(job["source"])
    target = source.with_name(f"{job['name']}.ipynb")
    error = None
    try:
        papermill.execute_notebook(
            _read(source),
            str(target),
            parameters=job["values"],
            kernel_name="python3",
            cwd=job["folder"],
            progress_bar=False,
            log_output=False,
        )
    except papermill.PapermillExecutionError as failure:
        told = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(failure.traceback))  # without colours
        error = f"{_where(target, source)}: {failure.ename}: {failure.evalue}\n{told}"
    except DeadKernelError:
        error = f"{_where(target, source)}: the kernel died"
    except OSError as failure:
        error = _words(failure)
    json.dump({"error": error}, answer)


def _where(executed: Path, chapter: Path) -> str:
    """The last cell that was begun: its number among code cells, its line, its first code."""
    import nbformat

    cells = nbformat.read(executed, as_version=4).cells  # type: ignore[no-untyped-call]
    code = [cell for cell in cells if cell.cell_type == "code"]
    begun = [cell for cell in code if cell.metadata.get("papermill", {}).get("start_time")]
    new = ["injected-parameters" in cell.metadata.get("tags", []) for cell in begun]
    if not begun:
        return "its start"
    if new[-1]:
        return "the cell of its new parameters"
    number = new.count(False)
    lines = [line.strip() for line in begun[-1].source.splitlines()]
    first = next((line for line in lines if line and not line.startswith("#")), "")
    at = _lines(chapter)
    return f"code cell {number} ({f'line {at[number - 1]}: ' if number <= len(at) else ''}{first})"


def _lines(chapter: Path) -> list[int]:
    """Lines of a page on which its code cells begin; none for a notebook."""
    if chapter.suffix != ".md":
        return []
    from markdown_it import MarkdownIt

    tokens = MarkdownIt("commonmark").parse(chapter.read_text(encoding="utf-8"))
    cells = [token for token in tokens if token.info.strip().startswith("{code-cell}")]
    return [token.map[0] + 1 for token in cells if token.map]


def _end_of(status: int, said: IO[bytes]) -> str:
    """How a worker ended that gave no answer."""
    if status < 0:
        return f"its process: it was ended by signal {-status}"
    return f"its process:\n{said.read().decode(errors='replace').strip()}"


def _words(failure: OSError) -> str:
    return f"writing {failure.filename or 'its files'}: {failure.strerror or failure}"


def _end_with_parent() -> None:
    """Wait until the lifeline is cut, then end the kernel, its children, and this process."""
    import psutil

    while os.read(0, 1):
        pass
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    os._exit(1)


def _is_executable(page: Path) -> bool:
    return "kernelspec:" in page.read_text(encoding="utf-8", errors="replace")[:1000] or _has_cells(
        page
    )


def _has_cells(chapter: Path) -> bool:
    text = chapter.read_text(encoding="utf-8", errors="replace") if chapter.suffix == ".md" else ""
    return re.search(r"^`{3,}\s*\{code-cell\}", text, re.MULTILINE) is not None


def _read(chapter: Path) -> Any:
    """A chapter as a notebook of Python, whichever way it is written."""
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
    if not re.fullmatch("i?python3?", language, re.IGNORECASE):
        raise ValueError(f"{chapter} is in {language}; only chapters in Python can be run again.")
    notebook.metadata["kernelspec"] = {
        "display_name": "Python 3",
        "name": "python3",
        "language": "python",
    }
    return notebook


def _inspect(chapter: Path) -> dict[str, Any]:
    notebook = _read(chapter)
    nbformat, papermill = (checks.module(name, EXTRA) for name in ("nbformat", "papermill"))
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "chapter.ipynb"
        nbformat.write(notebook, target)
        return dict(papermill.inspect_notebook(target))


def _plain(name: str, value: Any) -> Any:
    """A value as a notebook's cell can hold it."""
    plain = value.item() if isinstance(value, np.generic) else value
    try:
        json.dumps(plain)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"parameter {name!r} must be a number, a truth value, text, or a list of these; it is"
            f" {checks.brief(value)}."
        ) from error
    return plain


def _check_values(chapter: str, values: dict[str, Any], defined: dict[str, Any]) -> None:
    for name, value in values.items():
        if name not in defined:
            raise ValueError(
                f"chapter {chapter!r} has no parameter {name!r}; it has:"
                f" {', '.join(defined) or 'none'}."
            )
        written, default = defined[name]["default"], None
        with contextlib.suppress(ValueError, SyntaxError):  # computed: the chapter alone can tell
            default = ast.literal_eval(written)
        if default is not None and _kind(value) != _kind(default):
            raise ValueError(
                f"parameter {name!r} of chapter {chapter!r} must be {_kind(default)}, like its"
                f" default {written}; it is {checks.brief(value)}."
            )


def _kind(value: Any) -> str:
    if checks.is_number(value):
        return "a number"
    kinds = {bool: "True or False", str: "text", list: "a list", tuple: "a list", dict: "a mapping"}
    return kinds.get(type(value), type(value).__name__)


@cache
def _installed() -> list[str]:
    """All that is installed, with versions."""
    found = {f"{found.name}=={found.version}" for found in metadata.distributions()}
    return sorted(found | {sys.version})


def _digest_of(path: Path) -> str:
    return disk.digest(path.read_bytes())


if __name__ == "__main__":
    # what the kernel prints past Jupyter must not mix with the answer
    _answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with _answer:
        _work(json.loads(sys.argv[1]), _answer)
