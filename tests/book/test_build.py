"""The build's promises: failures are named, nothing stale is kept."""

import importlib.util
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEADER = """---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
    format_version: 0.13
kernelspec:
  display_name: Python 3 (ipykernel)
  language: python
  name: python3
---

"""
CONFIGURATION = """
title: A book of two chapters
author: none
copyright: "2026"
execute:
  execute_notebooks: cache
  cache: _build/execution/cache
sphinx:
  local_extensions:
    companion: book/_ext
"""


@pytest.fixture(scope="module")
def build():
    specification = importlib.util.spec_from_file_location("book_build", ROOT / "book" / "build.py")
    module = importlib.util.module_from_spec(specification)
    sys.modules["book_build"] = module  # dataclasses look their module up
    specification.loader.exec_module(module)
    return module


@pytest.fixture
def project(tmp_path):
    """A checkout with a book of two chapters, each with a figure."""
    shutil.copytree(
        ROOT / "collapse", tmp_path / "collapse", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copytree(
        ROOT / "book" / "_ext",
        tmp_path / "book" / "_ext",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    shutil.copyfile(ROOT / "book" / "build.py", tmp_path / "book" / "build.py")
    (tmp_path / "requirements.lock").write_text("numpy==2\n")
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / "_config.yml").write_text(CONFIGURATION)
    (tmp_path / "_toc.yml").write_text(
        "format: jb-book\nroot: book/first\nchapters:\n  - file: book/second\n"
    )
    write(tmp_path, "first", figure("one"))
    write(tmp_path, "second", figure("two"))
    return tmp_path


def figure(label):
    return f"""from collapse.publishing import figures
figures.write("{label}", lambda figure: None, numbers={{"x": [1]}}, parameters={{}}, seed=None)"""


def write(project, name, *cells, prose=""):
    code = "".join(f"\n```{{code-cell}} ipython3\n{cell}\n```\n" for cell in cells)
    (project / "book" / f"{name}.md").write_text(f"{HEADER}# Title\n{code}\n{prose}\n")


def run(project):
    """The build as a reader starts it: exit status, what it said, what it complained of."""
    done = subprocess.run(
        [sys.executable, "book/build.py"], cwd=project, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


def test_a_failing_cell_is_named_and_the_other_chapters_are_kept(project):
    write(project, "second", "x = 1", "# first a comment\nx / 0\nx")
    status, out, err = run(project)
    assert status == 1
    assert (
        "book/second.md, code cell 2 (line 19: x / 0): ZeroDivisionError: division by zero" in err
    )
    assert "1 of 2 chapters failed: book/second." in err
    assert not (project / "_build" / "html").exists()
    # nothing hides the failure the second time, and the chapter that succeeded is not run again
    status, out, err = run(project)
    assert status == 1
    assert "Executing 1 chapter," in out
    assert "ZeroDivisionError" in err


def test_the_site_follows_its_sources(project):
    status, out, err = run(project)
    assert (status, err) == (0, "")
    assert "Executing 2 chapters" in out
    assert (project / "_build/html/index.html").as_uri() in out

    status, out, err = run(project)
    assert status == 0
    assert "Nothing has changed" in out

    # a page that shows a figure no cell writes: the chapter is not executed again, the build fails
    # each time, and the good site stays
    shown = ":::{bundle} one\n:alt: nothing\n\nA caption.\n:::\n"
    write(project, "first", figure("one"), prose=shown + shown.replace("one", "three"))
    for _ in range(2):
        status, out, err = run(project)
        assert status != 0
        assert "Executing" not in out
        assert "no figure bundle 'three' for chapter book/first" in err
    assert "A caption." not in (project / "_build/html/book/first.html").read_text()

    # a figure that its chapter no longer makes is no longer shipped
    write(project, "first", figure("renamed"), prose=shown.replace("one", "renamed"))
    status, out, err = run(project)
    assert (status, err) == (0, "")
    assert "Executing 1 chapter," in out
    names = {path.name for path in (project / "_build/html/figures").iterdir()}
    assert {"renamed.png", "renamed.csv", "manifest.json"} < names
    assert not any(name.startswith(("one", "two")) for name in names)


def test_two_chapters_do_not_write_one_figure(project):
    write(project, "second", figure("one"), "x = 1")
    status, _, err = run(project)
    assert status == 1
    assert re.search(
        r"FAILED book/(first|second)\.md, its figures: '(first|second)' has written"
        r" figures/one-dark\.png too; labels must differ",
        err,
    )


def test_an_interrupted_build_keeps_what_is_finished(project):
    write(project, "second", "import time\ntime.sleep(600)")
    started = subprocess.Popen(
        [sys.executable, "book/build.py"],
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while "[1/2] book/first" not in started.stdout.readline():
        assert started.poll() is None
    started.send_signal(signal.SIGINT)
    _, err = started.communicate(timeout=600)
    assert started.returncode == 130
    assert "Interrupted. Finished chapters are kept" in err
    write(project, "second", figure("two"))
    assert "Executing 1 chapter," in run(project)[1]


def test_a_change_in_the_package_executes_what_reaches_it_alone(project):
    write(project, "second", f"import collapse.forecasting.cells\n{figure('two')}")
    assert "Executing 2 chapters" in run(project)[1]
    cells = project / "collapse" / "forecasting" / "cells.py"
    before = cells.read_text()
    for text, told in [
        (before + "\n# a comment\n", None),
        (before + "\nnew = 1\n", "Executing 1 chapter,"),
        (before, None),
    ]:
        cells.write_text(text)
        status, out, err = run(project)
        assert (status, err) == (0, "")
        assert told in out if told else "Executing" not in out
    core = project / "collapse" / "checks.py"
    core.write_text(core.read_text() + "\nnew = 1\n")
    assert "Executing 2 chapters" in run(project)[1]


def test_outputs_that_are_not_the_pages_are_not_handed_over(build, project):
    book = build.Book(project)
    chapters = build.read_chapters(book)
    assert build.execute(book, chapters) == []
    write(project, "second", "another = 1")
    with pytest.raises(SystemExit, match=r"book/second\.md has other cells for the site"):
        build.hand_over(book, build.read_chapters(book))


def test_a_page_that_is_missing_is_named(build, project):
    (project / "book" / "second.md").unlink()
    with pytest.raises(SystemExit, match=r"_toc\.yml lists book/second"):
        build.read_chapters(build.Book(project))
