"""Execute the chapters, then build the site: `python book/build.py`.

The chapters are executed by `collapse.publishing.rerun`, with their default parameters; what is
finished is kept under a key of all that it depends on: nothing is executed twice, and nothing stale
is served. The site is built beside the last good one, which it replaces only when it was built
without a warning.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import nbformat
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from myst_nb.core.read import is_myst_markdown_notebook, myst_nb_reader_plugin
from sphinx_external_toc.parsing import parse_toc_yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # this checkout, whatever else is installed under the package's name

from collapse.publishing import chapters as written
from collapse.publishing import rerun as engine
from collapse.publishing.records import read_record
from collapse.publishing.tasks import asked

PROCESSES = 2
LIMIT = 600  # s of processor time for a chapter, which a busy machine does not lengthen
BUDGET = 20  # s; a chapter's front matter may state its own as budget_seconds
STATIC = {"COLLAPSE_STATIC": "1"}  # pages show figures by their bundles, and explorers as such


@dataclass
class Chapter:
    """A page with code: where it is, and its notebook as myst-nb reads it."""

    name: str
    notebook: nbformat.NotebookNode

    @property
    def stem(self) -> str:
        return Path(self.name).name


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

    @property
    def run(self) -> Path:
        return self.execution / "run"

    @property
    def pdf(self) -> Path:
        return self.build / "pdf" / "collapse-companion.pdf"

    def printed(self, key: str) -> bool:
        """Whether `book/typeset.py` made the PDF of what has that key."""
        made = self.pdf.with_name("key")
        return self.pdf.is_file() and made.is_file() and made.read_text() == key


def main(root: Path, typeset: Callable[[Book, str], int] | None = None) -> int:
    """Execute what must be executed and build what must be built, first what `typeset` makes of
    the book and the key of its inputs; the exit status.
    """
    book = Book(root)
    book.build.mkdir(exist_ok=True)
    with (book.build / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Another build of this checkout is running; waiting for it to end.", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            return make(book, typeset)
        except KeyboardInterrupt:
            print(
                "\nInterrupted. Finished chapters are kept; the last good site, if any, too.",
                file=sys.stderr,
            )
            return 130


def make(book: Book, typeset: Callable[[Book, str], int] | None) -> int:
    """What `main` does, for the one that holds the lock."""
    started = time.monotonic()
    chapters = read_chapters(book)
    failed = execute(book, chapters)
    if failed:
        for outcome in failed:
            print(f"\nFAILED book/{outcome.chapter}.md, {outcome.error}", file=sys.stderr)
        print(
            f"\n{len(failed)} of {len(chapters)} chapters failed:"
            f" {', '.join(f'book/{outcome.chapter}' for outcome in failed)}.",
            file=sys.stderr,
        )
        return 1
    gather_figures(book, chapters)
    hand_over(book, chapters)
    inputs = hash_of_inputs(book, chapters)
    status = typeset(book, inputs) if typeset else 0
    if status:
        return status
    # the site links to a PDF of the same book, and to no other
    printed = {"COLLAPSE_PDF": str(book.pdf)} if book.printed(inputs) else {}
    inputs += " and the PDF" if printed else ""
    stamp = book.build / "built"
    if stamp.is_file() and stamp.read_text() == inputs and (book.html / "index.html").is_file():
        print("Nothing has changed since the last build.")
    else:
        status = build_site(book, printed)
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
        chapters.append(Chapter(name, notebook))
    return chapters


def execute(book: Book, chapters: list[Chapter]) -> list[engine.Outcome]:
    """Run the chapters that are not finished, two at a time; those that failed.

    The run's folder is made anew each time, out of what is kept: nothing of an earlier book is in
    it.
    """
    shutil.rmtree(book.run, ignore_errors=True)
    pages, names = book.root / "book", [chapter.stem for chapter in chapters]
    with engine.opened(
        *asked(names, book=pages, folder=book.run),
        book=pages,
        store=book.execution / "kept",
        environment=STATIC,
        limit=LIMIT,
    ) as run:
        count = len(run.remaining)
        if count:
            print(
                f"Executing {count} {'chapter' if count == 1 else 'chapters'},"
                f" {PROCESSES} at a time.",
                flush=True,
            )
        budgets = {
            chapter.stem: chapter.notebook.metadata.get("budget_seconds", BUDGET)
            for chapter in chapters
        }
        with contextlib.closing(run.execute(PROCESSES)) as ended:
            for number, outcome in enumerate(ended, 1):
                report(outcome, budgets[outcome.chapter], number, count)
        return [outcome for outcome in run.done.values() if outcome.error is not None]


def report(outcome: engine.Outcome, budget: float, number: int, total: int) -> None:
    """One line for each chapter, as it ends."""
    remark = (
        "  FAILED"
        if outcome.error is not None
        else f"  over its budget of {budget} s"
        if outcome.seconds > budget
        else ""
    )
    name = f"book/{outcome.chapter}"
    print(f"  [{number}/{total}] {name:32} {outcome.seconds:6.1f} s{remark}", flush=True)


def gather_figures(book: Book, chapters: list[Chapter]) -> None:
    """Put the figures of the run where pages look for them."""
    shutil.rmtree(book.figures, ignore_errors=True)
    book.figures.mkdir(parents=True)
    for chapter in chapters:
        record = read_record(book.run / f"{chapter.stem}.json")
        assert record is not None  # it did not fail
        for file in record["files"].keys() - {f"{chapter.stem}.ipynb"}:
            shutil.copyfile(book.run / file, book.figures / Path(file).name)


def hand_over(book: Book, chapters: list[Chapter]) -> None:
    """Give myst-nb the outputs of the code cells, in the notebooks that it reads itself: where
    their cells stand in the page, and what is said of them, is known to it alone.
    """
    shutil.rmtree(book.execution / "cache", ignore_errors=True)
    cache = get_cache(book.execution / "cache")
    for chapter in chapters:
        executed = nbformat.read(book.run / f"{chapter.stem}.ipynb", as_version=4)
        cells = [cell for cell in chapter.notebook.cells if cell.cell_type == "code"]
        done = written.code_cells(executed)
        if [cell.source for cell in cells] != [cell.source for cell in done]:
            raise SystemExit(
                f"{chapter.name}.md has other cells for the site than those that were executed;"
                " write each as ```{code-cell} with its options, a blank line, its code."
            )
        for cell, ran in zip(cells, done, strict=True):
            cell.outputs, cell.execution_count = ran.outputs, ran.execution_count
        for part in ("language_info", "widgets"):
            if part in executed.metadata:
                chapter.notebook.metadata[part] = executed.metadata[part]
        bundle = CacheBundleIn(chapter.notebook, f"{chapter.name}.md")
        cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)


def hash_of_inputs(book: Book, chapters: list[Chapter]) -> str:
    """Hash of all that the site is made from."""
    files = [book.root / name for name in ("_config.yml", "_toc.yml", "CITATION.cff")]
    files += [book.root / "requirements.lock", *files_under(book.root / "collapse")]
    files += [*files_under(book.root / "book"), *files_under(book.figures)]
    installed = sorted(f"{found.name}=={found.version}" for found in metadata.distributions())
    # cells have names that are made anew each time they are read
    outputs = [
        [chapter.notebook.metadata, [cell.get("outputs") for cell in chapter.notebook.cells]]
        for chapter in chapters
    ]
    return digest(
        book.root,
        [path for path in files if path.is_file()],
        sys.version,
        *installed,
        json.dumps(outputs),
    )


def sphinx(book: Book, target: Path, *options: str, environment: Mapping[str, str] = {}) -> int:
    """Run Sphinx on the executed chapters; a warning counts as an error."""
    program = Path(sys.executable).with_name("jupyter-book")
    command = [str(program), "build", str(book.root), *options]
    command += ["-W", "-n", "--keep-going", "-q", "--path-output", str(target)]
    # the package documents itself from this checkout
    path = os.pathsep.join(filter(None, [str(book.root), os.environ.get("PYTHONPATH")]))
    environment = os.environ | {"PYTHONPATH": path} | environment
    # its output names the folder that is about to be moved; warnings come by the other stream
    return subprocess.run(
        command, cwd=book.root, env=environment, stdout=subprocess.DEVNULL, check=False
    ).returncode


def build_site(book: Book, environment: Mapping[str, str]) -> int:
    """Build into a fresh folder, and put it in the place of the last site if that succeeds."""
    staging = book.build / "staging"
    shutil.rmtree(staging, ignore_errors=True)
    print("Building the site.", flush=True)
    status = sphinx(book, staging, environment=environment)
    if status == 0:
        (book.build / "built").unlink(missing_ok=True)
        if book.html.is_dir():
            book.html.rename(staging / "last")
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


if __name__ == "__main__":
    sys.exit(main(ROOT))
