"""Execute the chapters, then build the site: `python book/build.py`.

A chapter's outputs and figures are kept under a hash of its code, and all of them under a key made
of the package, its data and the lock file: what has not changed is not executed again, and nothing
stale is served. The site is built beside the last good one, which it replaces only when it was
built without a warning.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterable
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

import nbformat
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn, JupyterCacheAbstract
from myst_nb.core.read import is_myst_markdown_notebook, myst_nb_reader_plugin
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from sphinx_external_toc.parsing import parse_toc_yaml

PROCESSES = 2
CELL_TIMEOUT = 600  # s
BUDGET = 20  # s; a chapter's front matter may state its own as budget_seconds


@dataclass
class Chapter:
    """A page with code: where it is, its notebook, and the hash its outputs are kept under."""

    name: str
    notebook: nbformat.NotebookNode
    code: str


@dataclass
class Run:
    """One execution of a chapter; `failure` says what went wrong, and is empty if nothing did."""

    chapter: Chapter
    figures: Path
    seconds: float = 0.0
    failure: str = ""
    cell: int = -1
    client: NotebookClient | None = field(default=None, repr=False)


@dataclass
class Book:
    """The folders of one checkout."""

    root: Path

    @property
    def build(self) -> Path:
        return self.root / "_build"

    @property
    def execution(self) -> Path:
        return self.build / "execution"

    @property
    def figures(self) -> Path:
        return self.build / "figures"

    @property
    def html(self) -> Path:
        return self.build / "html"

    def cache(self) -> JupyterCacheAbstract:
        return get_cache(self.execution / "cache")

    def kept_figures(self, chapter: Chapter) -> Path:
        return self.execution / "figures" / chapter.code


def main(root: Path) -> int:
    """Execute what must be executed and build what must be built; the exit status."""
    book = Book(root)
    book.build.mkdir(exist_ok=True)
    with (book.build / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Another build of this checkout is running; waiting for it to end.", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            return make(book)
        except KeyboardInterrupt:
            print(
                "\nInterrupted. Finished chapters are kept; the last good site, if any, too.",
                file=sys.stderr,
            )
            return 130


def make(book: Book) -> int:
    """What `main` does, for the one that holds the lock."""
    started = time.monotonic()
    discard_stale(book)
    chapters = read_chapters(book)
    runs = execute(book, [chapter for chapter in chapters if not is_kept(book, chapter)])
    failed = [run for run in runs if run.failure]
    if failed:
        for run in failed:
            print(f"\nFAILED {run.chapter.name}.md, {run.failure}", file=sys.stderr)
        print(
            f"\n{len(failed)} of {len(chapters)} chapters failed:"
            f" {', '.join(run.chapter.name for run in failed)}.",
            file=sys.stderr,
        )
        return 1
    gather_figures(book, chapters)
    inputs = hash_of_inputs(book, chapters)
    stamp = book.build / "built"
    if stamp.is_file() and stamp.read_text() == inputs and (book.html / "index.html").is_file():
        print("Nothing has changed since the last build.")
    else:
        status = build_site(book)
        if status:
            print(
                "\nThe site was not built: a warning counts as an error. The last good site, if"
                " any, is kept.",
                file=sys.stderr,
            )
            return status
        stamp.write_text(inputs)
    print(f"Done in {time.monotonic() - started:.0f} s. Open {(book.html / 'index.html').as_uri()}")
    return 0


def environment_key(root: Path) -> str:
    """Hash of what every chapter's outputs depend on beside its own code: package, data, lock file,
    and what is in fact installed.
    """
    files = [root / "requirements.lock", root / "pyproject.toml", *files_under(root / "collapse")]
    # what chapters may read; pages are hashed one by one, and the machinery has no part in their
    # outputs
    files += [
        path
        for path in files_under(root / "book")
        if path.suffix not in (".md", ".bib")
        and path != root / "book" / "build.py"
        and not {"_ext", "_static"} & set(path.relative_to(root).parts)
    ]
    installed = sorted(
        f"{distribution.name}=={distribution.version}" for distribution in metadata.distributions()
    )
    return digest(root, files, sys.version, *installed)


def discard_stale(book: Book) -> None:
    """Empty the cache if the package, its data or the lock have changed since it was filled."""
    key = environment_key(book.root)
    stamp = book.execution / "key"
    if not stamp.is_file() or stamp.read_text() != key:
        shutil.rmtree(book.execution, ignore_errors=True)
        book.execution.mkdir(parents=True)
        stamp.write_text(key)


def read_chapters(book: Book) -> list[Chapter]:
    """Pages of the table of contents that hold code, in its order."""
    chapters = []
    for name in parse_toc_yaml(book.root / "_toc.yml"):
        path = book.root / f"{name}.md"
        if not path.is_file():
            raise SystemExit(f"_toc.yml lists {name}, but there is no {path}")
        if not is_myst_markdown_notebook(path.read_text(encoding="utf-8")):
            continue
        try:
            notebook = myst_nb_reader_plugin(str(path))
        except Exception as error:
            raise SystemExit(f"{name}.md cannot be read as a notebook: {error}") from error
        _, code = book.cache().create_hashed_notebook(notebook)
        chapters.append(Chapter(name, notebook, code))
    return chapters


def is_kept(book: Book, chapter: Chapter) -> bool:
    """Whether the chapter's outputs and figures are there."""
    try:
        book.cache().match_cache_notebook(chapter.notebook)
    except KeyError:
        return False
    return book.kept_figures(chapter).is_dir()


def execute(book: Book, chapters: list[Chapter]) -> list[Run]:
    """Run chapters, two at a time; a failure stops its chapter alone. What is finished is kept,
    even if a later one is interrupted.
    """
    if chapters:
        print(
            f"Executing {len(chapters)} {'chapter' if len(chapters) == 1 else 'chapters'},"
            f" {PROCESSES} at a time.",
            flush=True,
        )
    cache = book.cache()
    finished: list[Run] = []
    runs = [
        Run(chapter, book.execution / "running" / chapter.name.replace("/", "-"))
        for chapter in chapters
    ]
    # One thread talks to all kernels: the client's set-up is not safe in several. Not the main one,
    # where it would take over Ctrl-C.
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    turns = asyncio.Semaphore(PROCESSES)
    pending = {
        asyncio.run_coroutine_threadsafe(execute_one(book, run, turns), loop): run for run in runs
    }
    try:
        while pending:
            for future in wait(pending, return_when=FIRST_COMPLETED).done:
                run = pending.pop(future)
                future.result()
                finished.append(run)
                keep(book, cache, run)
                report(run, len(finished), len(runs))
    finally:
        for future, run in pending.items():
            future.cancel()
            stop(run)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
    return finished


async def execute_one(book: Book, run: Run, turns: asyncio.Semaphore) -> None:
    """Run one chapter in a kernel of its own."""
    shutil.rmtree(run.figures, ignore_errors=True)
    run.figures.mkdir(parents=True)
    environment = os.environ | {
        "COLLAPSE_FIGURES": str(run.figures),
        "COLLAPSE_STATIC": "1",
        # not the reader's own start-up files
        "IPYTHONDIR": str(book.execution / "ipython"),
        "MPLBACKEND": "agg",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONHASHSEED": "0",
        # this checkout, whatever else is installed under the package's name
        "PYTHONPATH": os.pathsep.join(filter(None, [str(book.root), os.environ.get("PYTHONPATH")])),
    }
    folder = (book.root / run.chapter.name).parent

    def at_cell(cell: nbformat.NotebookNode, cell_index: int) -> None:
        run.cell = cell_index

    run.client = NotebookClient(
        run.chapter.notebook,
        timeout=CELL_TIMEOUT,
        record_timing=False,  # the cache hashes the cells' metadata, where the times would stand
        resources={"metadata": {"path": str(folder)}},
        on_cell_start=at_cell,
        # quiet about its connection to this machine being in the clear
        extra_arguments=["--Application.log_level=ERROR"],
    )
    async with turns:
        started = time.monotonic()
        try:
            await run.client.async_execute(env=environment)
        except CellExecutionError as error:
            run.failure = f"{where(run)}: {error.ename}: {error.evalue}\n{plain(error.traceback)}"
        except CellTimeoutError:
            run.failure = f"{where(run)}: not finished after {CELL_TIMEOUT} s"
        except DeadKernelError:
            run.failure = f"{where(run)}: the kernel died"
        except Exception:  # noqa: BLE001 - whatever stops one chapter must not stop the others
            run.failure = f"not run:\n{traceback.format_exc()}"
        run.seconds = time.monotonic() - started


def where(run: Run) -> str:
    """The cell that was running: its number among code cells, its line in the file, its first line
    of code.
    """
    notebook = run.chapter.notebook
    cell = notebook.cells[run.cell]
    number = sum(other.cell_type == "code" for other in notebook.cells[: run.cell + 1])
    first = next(
        (
            line
            for line in cell.source.splitlines()
            if line.strip() and not line.lstrip().startswith("#")
        ),
        "",
    )
    return f"code cell {number} (line {notebook.metadata['source_map'][run.cell]}: {first.strip()})"


def keep(book: Book, cache: JupyterCacheAbstract, run: Run) -> None:
    """Put a successful run's figures and outputs in the cache, the record last: without it they do
    not count.
    """
    if run.failure:
        shutil.rmtree(run.figures)
        return
    target = book.kept_figures(run.chapter)
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(exist_ok=True)
    run.figures.rename(target)
    bundle = CacheBundleIn(
        run.chapter.notebook, f"{run.chapter.name}.md", data={"execution_seconds": run.seconds}
    )
    cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)


def report(run: Run, number: int, total: int) -> None:
    """One line for each chapter, as it ends."""
    budget = run.chapter.notebook.metadata.get("budget_seconds", BUDGET)
    remark = (
        "  FAILED"
        if run.failure
        else f"  over its budget of {budget} s"
        if run.seconds > budget
        else ""
    )
    print(f"  [{number}/{total}] {run.chapter.name:32} {run.seconds:6.1f} s{remark}", flush=True)


def stop(run: Run) -> None:
    """Kill a running chapter's kernel."""
    provisioner = getattr(getattr(run.client, "km", None), "provisioner", None)
    process = getattr(provisioner, "process", None)
    if process is not None:
        process.kill()


def gather_figures(book: Book, chapters: list[Chapter]) -> None:
    """Collect the bundles that the chapters make now; those of older versions stay behind."""
    shutil.rmtree(book.figures, ignore_errors=True)
    book.figures.mkdir(parents=True)
    maker: dict[str, str] = {}
    for chapter in chapters:
        for path in sorted(book.kept_figures(chapter).iterdir()):
            if path.name in maker:
                raise SystemExit(
                    f"{maker[path.name]} and {chapter.name} both write the figure file {path.name};"
                    " labels must differ across the book"
                )
            maker[path.name] = chapter.name
            shutil.copyfile(path, book.figures / path.name)


def hash_of_inputs(book: Book, chapters: list[Chapter]) -> str:
    """Hash of all that the site is made from."""
    cache = book.cache()
    outputs = [
        cache.get_cache_bundle(cache.match_cache_notebook(chapter.notebook).pk).nb
        for chapter in chapters
    ]
    files = [
        path
        for name in ("_config.yml", "_toc.yml", "CITATION.cff")
        if (path := book.root / name).is_file()
    ]
    files += [*files_under(book.root / "book"), *files_under(book.figures)]
    return digest(
        book.root,
        files,
        environment_key(book.root),
        *(nbformat.writes(notebook) for notebook in outputs),
    )


def build_site(book: Book) -> int:
    """Build into a fresh folder, and put it in the place of the last site if that succeeds."""
    staging = book.build / "staging"
    shutil.rmtree(staging, ignore_errors=True)
    program = Path(sys.executable).with_name("jupyter-book")
    command = [
        str(program),
        "build",
        str(book.root),
        "-W",
        "-n",
        "--keep-going",
        "-q",
        "--path-output",
        str(staging),
    ]
    # the package documents itself from this checkout
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, [str(book.root), os.environ.get("PYTHONPATH")]))
    }
    print("Building the site.", flush=True)
    # its output names the folder that is about to be moved; warnings come by the other stream
    status = subprocess.run(
        command, cwd=book.root, env=environment, stdout=subprocess.DEVNULL, check=False
    ).returncode
    if status == 0:
        (book.build / "built").unlink(missing_ok=True)
        shutil.rmtree(book.html, ignore_errors=True)
        (staging / "_build" / "html").rename(book.html)
        shutil.rmtree(staging)
    return status


def files_under(folder: Path) -> list[Path]:
    """All files of a folder that somebody wrote, in a fixed order."""
    # what figures are compared with has no part in them
    ignored = {"__pycache__", ".ipynb_checkpoints", "_figures", "_build", "baselines"}
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not ignored & set(path.relative_to(folder).parts)
    )


def digest(root: Path, files: Iterable[Path], *texts: str) -> str:
    """Hash of files' names and contents, and of some texts."""
    total = hashlib.sha256()
    for path in files:
        total.update(
            f"{path.relative_to(root)} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode()
        )
    for text in texts:
        total.update(hashlib.sha256(text.encode()).digest())
    return total.hexdigest()


def plain(text: str) -> str:
    """Text without the colours of a terminal."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parent.parent))
