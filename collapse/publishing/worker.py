"""The process that executes one chapter, by papermill: `python -m collapse.publishing.worker JOB`.

It says on its output how the chapter ended, as JSON, and ends with all that it started when its
input is closed.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import sys
import threading
import time
from pathlib import Path
from typing import IO, Any

import psutil

from collapse import checks, disk
from collapse.publishing import chapters

with checks.without(checks.GRAMMARS, "pyarrow"):  # papermill looks for a cluster with it
    import nbformat
    import papermill
    from nbclient.exceptions import DeadKernelError

COLOURS = re.compile(r"\x1b\[[0-9;]*m")
STARTS = 3
"""How often a kernel is started that has ended before its first cell."""
IDLE = 0.01
"""Share of the time in which a chapter must compute: a kernel that only waits takes less, one that
a busy machine lets wait takes more.
"""


def execute(job: dict[str, Any], answer: IO[str]) -> None:
    """Execute one chapter, and tell what failed in it: cell, line, error.

    Parameters
    ----------
    job : dict
        "source", "notebook", "target": paths of the chapter as it is written, as a notebook, and
        of the notebook to be written; "folder": where it runs; "values" of parameters; "limit":
        processor time in seconds, or None.
    answer : file
        Gets {"error": text or None, "memory": the most bytes that the kernel, or a process that
        it started and waited for, held at a time}.
    """
    source, target = Path(job["source"]), Path(job["target"])
    error, ended = None, ["the kernel died"]
    if job["limit"]:
        threading.Thread(target=_watch, args=(job["limit"], ended), daemon=True).start()
    for left in reversed(range(STARTS)):
        try:
            papermill.execute_notebook(
                nbformat.read(job["notebook"], as_version=4),  # type: ignore[no-untyped-call]
                str(target),
                parameters=job["values"],
                kernel_name="python3",
                cwd=job["folder"],
                progress_bar=False,
                log_output=False,
            )
        except papermill.PapermillExecutionError as failure:
            told = COLOURS.sub("", "\n".join(failure.traceback))
            error = f"{_where(target, source)}: {failure.ename}: {failure.evalue}\n{told}"
        except DeadKernelError:
            error = f"{_where(target, source)}: {ended[-1]}"
        except RuntimeError as failure:  # another's kernel took the port that ours was to have
            if left and "before replying" in str(failure):
                continue
            raise
        except OSError as failure:
            error = disk.unwritten(failure)
        break
    json.dump({"error": error, "memory": _most_memory()}, answer)


def _where(executed: Path, chapter: Path) -> str:
    """The last cell that was begun: its number among code cells, its line, its first code."""
    cells = nbformat.read(executed, as_version=4).cells  # type: ignore[no-untyped-call]
    cells = [cell for cell in cells if cell.cell_type == "code"]
    begun = [cell for cell in cells if cell.metadata.get("papermill", {}).get("start_time")]
    if not begun:
        return "its start"
    if chapters.put_in(begun[-1]):
        return "the cell of its new parameters"
    number = sum(not chapters.put_in(cell) for cell in begun)
    lines = [line.strip() for line in begun[-1].source.splitlines()]
    first = next((line for line in lines if line and not line.startswith("#")), "")
    line = chapters.line_of(chapter, number)
    return f"code cell {number} ({'' if line is None else f'line {line}: '}{first})"


def _watch(limit: float, ended: list[str]) -> None:
    """End the kernel when it has computed for longer than `limit` seconds, or waited for as long.

    What counts is the processor's time, which a busy machine does not lengthen.
    """
    since, before = time.monotonic(), 0.0
    while True:
        time.sleep(0.2)
        spent = sum(_spent(process) for process in _descendants())
        if spent > limit:
            ended.append(f"not finished after {limit:g} s of processor time")
        elif spent > before + IDLE * limit:
            since, before = time.monotonic(), spent
        elif time.monotonic() > since + limit:
            ended.append(f"it has computed nothing for {limit:g} s")
        if len(ended) > 1:
            return _end_descendants()


def _most_memory() -> int:
    """The largest of the processes that have ended here, in bytes.

    Linux counts a process from the moment that it is split off from this one, as large as this one
    is: that much is the least.
    """
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit


def _descendants() -> list[Any]:
    return list(psutil.Process().children(recursive=True))


def _spent(process: Any) -> float:
    with contextlib.suppress(psutil.NoSuchProcess):
        return float(sum(process.cpu_times()[:4]))  # its own, and that of its ended children
    return 0.0


def _end_descendants() -> None:
    for process in _descendants():
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def _end_with_parent() -> None:
    """Wait until the lifeline is cut, then end the kernel, its children, and this process."""
    while os.read(0, 1):
        pass
    _end_descendants()
    os._exit(1)


if __name__ == "__main__":
    # what the kernel prints past Jupyter must not mix with the answer
    _answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with _answer:
        execute(json.loads(sys.argv[1]), _answer)
