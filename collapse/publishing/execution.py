"""One chapter executed in a process of its own, on this machine or on a scheduler's worker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from collapse import disk
from collapse.blocks import Arrays, environment
from collapse.publishing import keys
from collapse.publishing.kept import NOTEBOOK, pack
from collapse.risk import versions


@dataclass(frozen=True)
class Job:
    """A chapter to be executed.

    Attributes
    ----------
    name : str
        Its file's name.
    content : bytes
        As it is written.
    notebook : str
        The same as a notebook's text.
    values : mapping
        Of its parameters.
    settings : mapping of str to str
        Set in the kernel's environment.
    limit : float or None
        Seconds of processor time.
    folder : str or None
        Where its kernel runs; None: in a folder of its own, beside the files of `beside`.
    beside : mapping of str to bytes
        Files that it may read, by their place in that folder.
    installed : sequence of str
        Distributions that must be installed where it runs.
    """

    name: str
    content: bytes = field(repr=False)
    notebook: str = field(repr=False)
    values: Mapping[str, Any]
    settings: Mapping[str, str]
    limit: float | None
    folder: str | None
    beside: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    installed: Sequence[str] = ()


class Broken(Exception):
    """A chapter that did not run to its end: what failed, seconds, the notebook up to there."""

    def __init__(self, error: str, seconds: float = 0.0, notebook: bytes | None = None) -> None:
        super().__init__(error, seconds, notebook)
        self.error, self.seconds, self.notebook = error, seconds, notebook


def execute(
    job: Job,
    within: Path | None = None,
    lifeline: int = subprocess.PIPE,
    locks: Collection[int] = (),
) -> Arrays:
    """Execute a chapter, and return what it made, as `kept.pack` packs it.

    Parameters
    ----------
    job : Job
        The chapter.
    within : path, optional
        Where what is not finished goes; default: the system's folder of temporary files.
    lifeline : int, optional
        A pipe's end; the chapter is ended when the other is closed. Default: when this process
        ends.
    locks : collection of int, optional
        Files that stay open until the chapter has ended.

    Raises
    ------
    Broken
        Where it failed.
    """
    lacking = sorted(set(job.installed) - set(keys.installed()))
    if lacking:
        raise Broken(
            f"its worker: {lacking[0]} is installed here and not there; install the same versions."
        )
    start, notebook = time.perf_counter(), None
    try:
        with tempfile.TemporaryDirectory(dir=within, ignore_cleanup_errors=True) as made:
            scratch = Path(made)
            error, memory = _worked(job, scratch, lifeline, locks)
            seconds = time.perf_counter() - start
            if error is None:
                packed = pack(
                    scratch, {"seconds": seconds, "memory": memory, "versions": versions()}
                )
            elif (scratch / NOTEBOOK).is_file():
                notebook = (scratch / NOTEBOOK).read_bytes()
    except OSError as failure:
        error, seconds = disk.unwritten(failure), time.perf_counter() - start
    # the kernel has imported the package as it is on disk, which need not be what this process has
    if error is None and job.installed and disk.package()[:16] != environment()["collapse"]:
        error = "its worker: the package has been changed there; start the worker again."
    if error is not None:
        raise Broken(error, seconds, notebook)
    return packed


def _worked(
    job: Job, scratch: Path, lifeline: int, locks: Collection[int]
) -> tuple[str | None, int]:
    """Let a process of its own execute a chapter; what failed in it, and the bytes it took."""
    beside = scratch / "beside"
    files = {f"beside/{name}": data for name, data in job.beside.items()}
    source = scratch / f"source{Path(job.name).suffix}"
    files |= {source.name: job.content, "input.ipynb": job.notebook.encode()}
    for folder in (beside, scratch / "figures"):
        folder.mkdir()
    for name, data in files.items():
        (scratch / name).parent.mkdir(parents=True, exist_ok=True)
        (scratch / name).write_bytes(data)
    told = {
        "source": str(source),
        "notebook": str(scratch / "input.ipynb"),
        "target": str(scratch / NOTEBOOK),
        "folder": job.folder or str(beside),
        "values": dict(job.values),
        "limit": job.limit,
    }
    environ = os.environ | {
        "COLLAPSE_DRAFT": "",  # unless the settings say so, which the key of a run holds
        "COLLAPSE_FIGURES": str(scratch / "figures"),
        "IPYTHONDIR": str(scratch / "ipython"),  # not the reader's own start-up files
        "MPLBACKEND": os.environ.get("MPLBACKEND", "agg"),
        "OMP_NUM_THREADS": "1",  # sums in the same order on any machine
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONHASHSEED": "0",
        # this package, whatever else is installed under its name
        "PYTHONPATH": os.pathsep.join(
            filter(None, [str(keys.PACKAGE.parent), os.environ.get("PYTHONPATH")])
        ),
    }
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(
            [sys.executable, "-P", "-m", "collapse.publishing.worker", json.dumps(told)],
            stdin=lifeline,
            stdout=subprocess.PIPE,
            stderr=said,
            env=environ | dict(job.settings),
            start_new_session=True,  # an interrupt comes to us alone
            pass_fds=locks,  # the folder is free when all who write into it are gone
        ) as process,
    ):
        assert process.stdout is not None
        answer = process.stdout.read()
        status = process.wait()
        said.seek(0)
        ended: dict[str, Any] = (
            json.loads(answer) if status == 0 else {"error": _end_of(status, said), "memory": 0}
        )
    return ended["error"], ended["memory"]


def _end_of(status: int, said: IO[bytes]) -> str:
    """How a process ended that gave no answer."""
    if status < 0:
        return f"its process: it was ended by signal {-status}"
    return f"its process:\n{said.read().decode(errors='replace').strip()}"
