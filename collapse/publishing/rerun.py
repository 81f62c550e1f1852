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
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from collapse import checks, disk
from collapse.blocks import KEPT, Arrays, Block, Failed, Store, as_finished, given
from collapse.publishing import chapters as written
from collapse.publishing.chapters import chapters, parameters
from collapse.publishing.execution import Broken, Job, execute
from collapse.publishing.kept import NOTEBOOK, contents
from collapse.publishing.keys import Inputs, installed
from collapse.publishing.records import damaged, read_record, recorded
from collapse.publishing.tasks import Task, asked

__all__ = ["Outcome", "Run", "chapters", "opened", "parameters", "rerun"]

RUNNING = ".running"
"""Folder, inside the run's, of what is not finished; each chapter has a part of its own there, and
no later one the same: a kernel whose process was killed may write on for a while.
"""
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


def rerun(
    names: Sequence[str] = (),
    values: Mapping[str, Any] | None = None,
    *,
    grid: Mapping[str, Sequence[Any]] | None = None,
    settings: str | Path | None = None,
    book: str | Path = "book",
    folder: str | Path | None = None,
    store: str | Path | None = None,
    executor: Executor | None = None,
    workers: int = 1,
    fresh: bool = False,
    draft: bool = False,
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
        Runs may share it, and share it with simulations; `collapse cache` lists and clears it.
    executor : concurrent.futures.Executor, optional
        Where chapters run, such as Dask's ``Client.get_executor()``: each is sent there with the
        data and modules of its folder, up to 10 MB, and what it made comes back, so that no folder
        need be shared. The same versions must be installed there.
    workers : int, optional
        In place of an executor: chapters run at a time on this machine.
    fresh : bool, optional
        Run again what the folder already holds. Default: take over chapters that ran with the same
        code, parameters, data and installed versions, and with the same modules of the package of
        those that they reach, so that an interrupted run goes on where it stopped.
    draft : bool, optional
        Draw each figure once, wide and light, as PNG alone: a quick look at what other parameters
        do. Its numbers are all there. A later run that is no draft does not take it over.
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
        Where a chapter or a parameter does not exist (the message lists what does), another run is
        writing into the folder, or the executor cannot be used.
    OSError
        Where the folder cannot be written.
    ImportError
        Where papermill or jupytext is missing.
    """
    given(executor, workers, "chapters run at a time")
    tell, fresh = checks.progress(progress), checks.flag(fresh, "fresh")
    environment = {"COLLAPSE_DRAFT": "1"} if checks.flag(draft, "draft") else None
    tasks = asked(names, values, grid, settings, book=book, folder=folder)
    with opened(*tasks, book=book, store=store, fresh=fresh, environment=environment) as run:
        tell(len(run.done), len(run.tasks))
        with contextlib.closing(run.execute(workers, executor)) as ended:
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
    kept = folder / KEPT if store is None else checks.path(store, "store").resolve()
    checks.require(
        kept not in {folder} | places.keys(),
        f"store {kept} is the folder of the run itself; name another, or none.",
    )
    for place in places:
        (place / "figures").mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        locks = [stack.enter_context(_locked(place)) for place in {folder: None} | places]
        inputs = Inputs(Path(book).resolve(), environment)
        shutil.rmtree(folder / RUNNING, ignore_errors=True)
        run = Run(tasks, inputs, Store(kept), folder / RUNNING, locks, limit, fresh)
        run.take_over()
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
    store: Store
    running: Path
    locks: list[int]
    limit: float | None
    fresh: bool
    done: dict[Path, Outcome] = field(default_factory=dict)
    notes: dict[Path, str] = field(default_factory=dict)

    @property
    def remaining(self) -> list[Task]:
        """What is to be executed."""
        return [task for task in self.tasks if task.target not in self.done]

    def take_over(self) -> None:
        """Take over what is finished, after nothing is left of what is not."""
        keys = {task.target: self.inputs.key(task.notebook, task.values) for task in self.tasks}
        for task in self.tasks:
            record, read = read_record(task.record), disk.digest(task.content)
            lost: list[str] = []
            if record is not None and record["key"] == keys[task.target]:
                lost = damaged(task.folder, record)
                if not self.fresh and not lost and record.get("source") == read:
                    self._end(task, None, 0.0)
                    continue
            self._invalidate(task, record, lost)
        for task in [] if self.fresh else self.remaining:
            found = self.store.block(keys[task.target])
            if found is not None:
                self._end(task, self._write(task, keys[task.target], *contents(found)), 0.0)

    def execute(
        self, workers: int = 1, executor: Executor | None = None
    ) -> Generator[Outcome, None, None]:
        """Execute what remains, and yield each chapter's outcome as it ends."""
        groups: dict[str, list[Task]] = {}
        for task in self.remaining:  # those of one key are executed once
            groups.setdefault(self.inputs.key(task.notebook, task.values), []).append(task)
        sent = (
            None if executor is None else {"beside": self.inputs.beside(), "installed": installed()}
        )
        with contextlib.ExitStack() as stack:
            function: Callable[[Job], Arrays] = execute
            if executor is None:
                executor, function = stack.enter_context(self._here(min(workers, len(groups))))
            blocks = [
                Block(
                    function,
                    (self._job(group[0], sent),),
                    group=key,
                    key=key,
                    still=partial(self._still, group[0], key),
                    fresh=self.fresh,
                )
                for key, group in groups.items()
            ]
            results = as_finished(blocks, executor=executor, store=self.store)
            stack.callback(results.close)
            for b, result in results:
                key = str(blocks[b].key)
                for task in groups[key]:
                    yield self._publish(task, key if blocks[b].still() else CHANGED, result)

    def _still(self, task: Task, key: str) -> bool:
        """Whether nothing has changed, such as the package: else what was used is not known."""
        return self.inputs.key(task.notebook, task.values) == key

    @contextlib.contextmanager
    def _here(self, workers: int) -> Iterator[tuple[Executor, Callable[[Job], Arrays]]]:
        """Lend threads that wait for chapters on this machine, and what they are to call."""
        # what executes a chapter ends when `ours` is closed, by us or by our death
        lifeline, ours = os.pipe()
        pool = ThreadPoolExecutor(max(1, workers))
        try:
            self.running.mkdir(parents=True)
            yield pool, partial(execute, within=self.running, lifeline=lifeline, locks=self.locks)
        finally:
            os.close(ours)
            pool.shutdown(wait=True, cancel_futures=True)
            os.close(lifeline)
            shutil.rmtree(self.running, ignore_errors=True)

    def _job(self, task: Task, sent: Mapping[str, Any] | None) -> Job:
        """What is told of a chapter: here its folder, elsewhere what it reads in it."""
        import nbformat

        return Job(
            task.path.name,
            task.content,
            nbformat.writes(task.notebook),  # type: ignore[no-untyped-call]
            dict(task.values),
            self.inputs.settings,
            self.limit,
            str(task.path.resolve().parent) if sent is None else None,
            **(sent or {}),
        )

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

    def _publish(self, task: Task, key: str, result: Arrays | Failed) -> Outcome:
        """Write what a chapter made to its place; of a failure the notebook alone."""
        if not isinstance(result, Failed):
            record, files = contents(result)
            return self._end(task, self._write(task, key, record, files), record["seconds"])
        failure = result.error
        if not isinstance(failure, Broken):
            return self._end(task, f"its worker: {type(failure).__name__}: {failure}", 0.0)
        error = failure.error
        try:
            if failure.notebook is not None:
                task.target.write_bytes(failure.notebook)
        except OSError as refused:
            error = disk.unwritten(refused)
        return self._end(task, error, failure.seconds)

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
            return disk.unwritten(failure)
        return None


def _taken(task: Task, made: Collection[str]) -> str | None:
    """Say which other chapter has written a figure file of the same name, if one has."""
    for name, record in recorded(task.folder).items():
        theirs = [file for file in made if record and file in record["files"]]
        if theirs and name != task.chapter:
            return f"its figures: {name!r} has written {theirs[0]} too; labels must differ."
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
