"""Chapters executed by papermill, with parameters of one's own or their defaults; resumable.

Each chapter runs in a process of its own, and writes into a folder of its own. When it has ended
well, its files are kept under a key made of all that they depend on, and written into the run's
folder beside a record of their digests: they count where every one is as its record says.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from collapse import checks, disk
from collapse.publishing import chapters as written
from collapse.publishing.chapters import chapters, parameters
from collapse.publishing.kept import NOTEBOOK, Kept, contents, pack
from collapse.publishing.keys import PACKAGE, Inputs
from collapse.publishing.records import damaged, read_record
from collapse.publishing.tasks import Task, asked
from collapse.publishing.worker import words
from collapse.risk import versions

__all__ = ["Outcome", "Run", "chapters", "opened", "parameters", "rerun"]

RUNNING = ".running"
"""Folder, inside the run's, of what is not finished; each run has a part of its own there."""
KEPT = ".kept"
"""Folder, inside the run's, of finished chapters in all their versions, unless another is named."""
CHANGED = "changed while it ran"
"""Key of what may have been made by two versions of the package: no later run takes it over."""


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
        Why an earlier run's record was not taken over, where it might have been; which parameters
        of a grid the chapter does not have; else empty.
    """

    chapter: str
    notebook: Path
    error: str | None
    seconds: float
    note: str = ""


@dataclass(frozen=True)
class _Ended:
    """How the execution of a chapter ended; `archive` is there where it ended well."""

    key: str
    seconds: float
    notebook: Path
    archive: Path | None
    error: str | None


def rerun(
    names: Sequence[str] = (),
    values: Mapping[str, Any] | None = None,
    *,
    grid: Mapping[str, Sequence[Any]] | None = None,
    settings: str | Path | None = None,
    book: str | Path = "book",
    folder: str | Path | None = None,
    store: str | Path | None = None,
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
    grid : dict, optional
        Parameters and the values that each takes: every combination is a run in a folder of its
        own inside `folder`. A chapter that has not all of them keeps its own, and its outcome's
        note says so.
    settings : path, optional
        A TOML file of parameters: a table for each chapter, before them what all chapters take
        that have it. What is in `values` and `grid` goes before it.
    book : path, optional
        Folder of the chapters, or of notebooks of one's own.
    folder : path, optional
        Where notebooks and figures go; default `runs/` with a name made of the chapters and
        parameters. One run at a time writes into it.
    store : path, optional
        Where finished chapters are kept in all their versions, up to 2 GB; default: in the folder.
        Runs may share it.
    workers : int, optional
        Chapters run at a time.
    fresh : bool, optional
        Run again what the folder already holds. Default: take over chapters that ran with the same
        code, parameters, data and installed versions, and with the same modules of the package of
        those that they reach, so that an interrupted run goes on where it stopped.
    progress : callable or bool, optional
        Called as progress(done, total) in chapters. True: tell on stderr.

    Returns
    -------
    list of Outcome
        In the order of names, for each combination of a grid. A failing chapter does not stop the
        others, and leaves its notebook but no figures.

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
    tell, fresh = checks.progress(progress), checks.flag(fresh, "fresh")
    tasks = asked(names, values, grid, settings, book=book, folder=folder)
    with opened(*tasks, book=book, store=store, fresh=fresh) as run:
        tell(len(run.done), len(run.tasks))
        with contextlib.closing(run.execute(workers)) as ended:
            for _ in ended:
                tell(len(run.done), len(run.tasks))
        return [run.done[task.target] for task in run.tasks]


@contextlib.contextmanager
def opened(
    folder: Path,
    tasks: list[Task],
    *,
    book: str | Path = "book",
    store: str | Path | None = None,
    fresh: bool = False,
    environment: Mapping[str, str] | None = None,
    limit: float | None = None,
) -> Iterator[Run]:
    """Hold a run's folder; what earlier runs have finished is there when it is held.

    Parameters
    ----------
    folder, tasks
        What `collapse.publishing.tasks.asked` returns.
    book, store, fresh
        As for `rerun`.
    environment : mapping of str to str, optional
        Set for the kernels.
    limit : float, optional
        Seconds of processor time that a chapter may take.

    Yields
    ------
    Run
        `tasks` in order, `done` by the notebook's path, `remaining`; `execute` goes on.
    """
    places = dict.fromkeys(task.folder for task in tasks)
    for place in places:
        (place / "figures").mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        locks = [stack.enter_context(_locked(place)) for place in {folder: None} | places]
        kept = Kept(folder / KEPT if store is None else checks.path(store, "store").resolve())
        inputs = Inputs(Path(book).resolve(), environment)
        # a kernel whose process was killed may write on for a while: not into a later run's part
        running = folder / RUNNING / os.urandom(4).hex()
        shutil.rmtree(folder / RUNNING, ignore_errors=True)
        run = Run(tasks, inputs, kept, running, locks, limit)
        run.take_over(fresh=fresh)
        yield run


@dataclass
class Run:
    """One run into one folder, which it holds alone.

    Attributes
    ----------
    tasks : list of Task
        The chapters to be run, each with its values and its folder.
    done : dict of path to Outcome
        What is finished, by the notebook's path.
    """

    tasks: list[Task]
    inputs: Inputs
    store: Kept
    running: Path
    locks: list[int]
    limit: float | None
    done: dict[Path, Outcome] = field(default_factory=dict)
    notes: dict[Path, str] = field(default_factory=dict)

    @property
    def remaining(self) -> list[Task]:
        """What is to be executed."""
        return [task for task in self.tasks if task.target not in self.done]

    def take_over(self, *, fresh: bool) -> None:
        """Take over what is finished, after nothing is left of what is not."""
        keys = {task.target: self.inputs.key(task.notebook, task.values) for task in self.tasks}
        for task in self.tasks:
            record, read = read_record(task.record), disk.digest(task.content)
            lost: list[str] = []
            if record is not None and record["key"] == keys[task.target]:
                lost = damaged(task.folder, record)
                if not fresh and not lost and record.get("source") == read:
                    self._end(task, None, 0.0)
                    continue
            self._invalidate(task, record, lost)
        for task in [] if fresh else self.remaining:
            found = self.store.read(keys[task.target])
            if found is not None:
                self._end(task, self._write(task, keys[task.target], *found), 0.0)

    def execute(self, workers: int) -> Generator[Outcome, None, None]:
        """Execute what remains, and yield each chapter's outcome as it ends."""
        groups: dict[str, list[Task]] = {}
        for task in self.remaining:  # those of one key are executed once
            groups.setdefault(self.inputs.key(task.notebook, task.values), []).append(task)
        # workers read the one end, and end when the other is closed, by us or by our death
        lifeline, ours = os.pipe()
        pool = ThreadPoolExecutor(max(1, min(workers, len(groups))))
        try:
            futures = {
                pool.submit(self._one, group[0], lifeline): group for group in groups.values()
            }
            for future in as_completed(futures):
                ended = future.result()
                for task in futures[future]:
                    yield self._publish(task, ended)
                shutil.rmtree(ended.notebook.parent, ignore_errors=True)
        finally:
            os.close(ours)
            pool.shutdown(wait=True, cancel_futures=True)
            os.close(lifeline)
            shutil.rmtree(self.running.parent, ignore_errors=True)

    def _end(self, task: Task, error: str | None, seconds: float) -> Outcome:
        notes = "; ".join(filter(None, [self.notes.get(task.target), task.note]))
        outcome = Outcome(task.chapter, task.target, error, seconds, notes)
        self.done[task.target] = outcome
        return outcome

    def _invalidate(self, task: Task, record: dict[str, Any] | None, lost: Sequence[str]) -> None:
        """Remove what an earlier run left, its record last; note what was wrong with it."""
        if not task.record.exists():
            return
        if record is None:
            self.notes[task.target] = (
                f"{task.record.name} was no readable record of a run, and was ignored"
            )
        else:
            if lost:
                self.notes[task.target] = f"{lost[0]} was missing or had been changed"
            for file in record["files"]:
                path = task.folder / file
                if os.path.isfile(path) or os.path.islink(path):
                    path.unlink()
        task.record.unlink()

    def _one(self, task: Task, lifeline: int) -> _Ended:
        """Run one chapter in a process of its own."""
        import nbformat

        scratch = self.running / disk.digest(str(task.target).encode())[:16]
        source = scratch / f"source{task.path.suffix}"
        key = self.inputs.key(task.notebook, task.values)
        job: dict[str, Any] = {"source": str(source), "target": str(scratch / NOTEBOOK)}
        job["notebook"] = str(scratch / "input.ipynb")
        job |= {
            "folder": str(task.path.resolve().parent),
            "values": dict(task.values),
            "limit": self.limit,
        }
        start, archive = time.perf_counter(), None
        try:
            (scratch / "figures").mkdir(parents=True)
            source.write_bytes(task.content)
            nbformat.write(task.notebook, job["notebook"])  # type: ignore[no-untyped-call]
            error, memory = self._worked(job, scratch, lifeline)
            seconds = time.perf_counter() - start
            if error is None:
                # what changed meanwhile, such as the package, may have been used
                key = key if key == self.inputs.key(task.notebook, task.values) else CHANGED
                archive = scratch / "archive.zip"
                pack(
                    archive, scratch, {"seconds": seconds, "memory": memory, "versions": versions()}
                )
                if key != CHANGED:
                    self.store.keep(key, archive)
        except OSError as failure:
            error, seconds = words(failure), time.perf_counter() - start
        return _Ended(key, seconds, scratch / NOTEBOOK, archive, error)

    def _worked(self, job: dict[str, Any], scratch: Path, lifeline: int) -> tuple[str | None, int]:
        """Let a worker do its job; what failed in it, and the bytes that it took."""
        environment = os.environ | {
            "COLLAPSE_FIGURES": str(scratch / "figures"),
            "IPYTHONDIR": str(scratch / "ipython"),  # not the reader's own start-up files
            "MPLBACKEND": os.environ.get("MPLBACKEND", "agg"),
            "OMP_NUM_THREADS": "1",  # sums in the same order on any machine
            "OPENBLAS_NUM_THREADS": "1",
            "PYTHONHASHSEED": "0",
            # this package, whatever else is installed under its name
            "PYTHONPATH": os.pathsep.join(
                filter(None, [str(PACKAGE.parent), os.environ.get("PYTHONPATH")])
            ),
        }
        with tempfile.TemporaryFile() as said:
            worker = subprocess.Popen(
                [sys.executable, "-P", "-m", "collapse.publishing.worker", json.dumps(job)],
                stdin=lifeline,
                stdout=subprocess.PIPE,
                stderr=said,
                env=environment | self.inputs.settings,
                start_new_session=True,  # an interrupt comes to us alone
                pass_fds=self.locks,  # the folder is free when all who write into it are gone
            )
            assert worker.stdout is not None
            answer = worker.stdout.read()
            worker.stdout.close()
            status = worker.wait()
            said.seek(0)
            ended: dict[str, Any] = (
                json.loads(answer) if status == 0 else {"error": _end_of(status, said)}
            )
        return ended["error"], ended.get("memory", 0)

    def _publish(self, task: Task, ended: _Ended) -> Outcome:
        """Write what a chapter made to its place; of a failure the notebook alone."""
        error = ended.error
        try:
            if ended.archive is not None:
                record, files = contents(ended.archive)
                error = self._write(task, ended.key, record, files)
            elif ended.notebook.is_file():
                shutil.copyfile(ended.notebook, task.target)
        except OSError as failure:
            error = words(failure)
        return self._end(task, error, ended.seconds)

    def _write(
        self, task: Task, key: str, made: dict[str, Any], files: dict[str, bytes]
    ) -> str | None:
        """Write a finished chapter into its run's folder, its record last; what went wrong."""
        import nbformat

        executed = nbformat.reads(files[NOTEBOOK].decode(), as_version=4)  # type: ignore[no-untyped-call]
        notebook = nbformat.writes(written.spliced(task.notebook, executed))  # type: ignore[no-untyped-call]
        new = {task.target.name: notebook.encode(), **files}
        del new[NOTEBOOK]
        record = {
            "key": key,
            "source": disk.digest(task.content),
            "parameters": dict(task.values),
            "seconds": made["seconds"],
            "memory": made.get("memory", 0),  # what was kept before it was measured has none
            "versions": made["versions"],
            "files": {name: disk.digest(data) for name, data in new.items()},
        }
        try:
            if taken := _taken(task, new):
                task.target.write_bytes(new[task.target.name])
                return taken
            # first, so that whatever is left of an interrupted chapter is known as its
            disk.write(task.record, json.dumps(record, indent=1) + "\n")
            for name, data in new.items():
                path = task.folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
        except OSError as failure:
            self._invalidate(task, record, ())
            return words(failure)
        return None


def _taken(task: Task, made: Collection[str]) -> str | None:
    """Say which other chapter has written a figure file of the same name, if one has."""
    for path in sorted(task.folder.glob("*.json")):
        record = None if path == task.record else read_record(path)
        theirs = [file for file in made if record and file in record["files"]]
        if theirs:
            return f"its figures: {path.stem!r} has written {theirs[0]} too; labels must differ."
    return None


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[int]:
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(
                f"another run is writing into {folder}; wait until it has ended, or give this one"
                " another folder with --folder."
            ) from None
        yield lock.fileno()


def _end_of(status: int, said: IO[bytes]) -> str:
    """How a worker ended that gave no answer."""
    if status < 0:
        return f"its process: it was ended by signal {-status}"
    return f"its process:\n{said.read().decode(errors='replace').strip()}"
