"""collapse rerun: parameters are checked, failures are named, finished chapters are taken over."""

import json
from pathlib import Path

import pytest

from collapse.cli import main
from collapse.rerun import chapters, parameters, rerun

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

CHAPTER = (
    HEADER
    + """
# A chapter

```{code-cell} ipython3
:tags: [parameters]

seed = 1
share = 0.5
name = "one"
```

```{code-cell} ipython3
import os
from pathlib import Path
(Path(os.environ["COLLAPSE_FIGURES"]) / f"{name}.txt").write_text(f"{seed} {share}")
```
"""
)

FAILING = HEADER + "\n# Another\n\n```{code-cell} ipython3\n:tags: [parameters]\n\nseed = 1\n```\n\n```{code-cell} ipython3\n1 / 0\n```\n"


@pytest.fixture
def book(tmp_path: Path) -> Path:
    folder = tmp_path / "book"
    folder.mkdir()
    (folder / "good.md").write_text(CHAPTER)
    (folder / "bad.md").write_text(FAILING)
    (folder / "prose.md").write_text("# No code\n")
    return folder


def test_chapters_are_the_pages_with_a_kernel(book: Path) -> None:
    assert list(chapters(book)) == ["bad", "good"]
    assert parameters(book / "good.md") == {"seed": "1", "share": "0.5", "name": '"one"'}


def test_parameters_reach_the_kernel_and_figures_the_run_folder(book: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    (outcome,) = rerun(["good"], {"seed": 7, "name": "two"}, book=book, folder=run)
    assert outcome.error is None
    assert (run / "figures" / "two.txt").read_text() == "7 0.5"
    assert json.loads(outcome.notebook.read_text())["cells"]


def test_a_finished_chapter_is_taken_over_until_something_changes(book: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    first = rerun(["good"], book=book, folder=run)[0]
    assert first.seconds > 0
    assert rerun(["good"], book=book, folder=run)[0].seconds == 0
    (book / "good.md").write_text(CHAPTER.replace("# A chapter", "# A changed chapter"))
    assert rerun(["good"], book=book, folder=run)[0].seconds > 0


def test_a_failing_chapter_is_named_and_the_others_run(
    book: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["rerun", "bad", "good", "--workers", "1", "--folder", "run"]) == 1
    printed = capsys.readouterr()
    assert "chapter 'bad' failed in cell 2: ZeroDivisionError: division by zero" in printed.err
    assert "good: " in printed.out
    assert (tmp_path / "run" / "figures" / "one.txt").is_file()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["nosuch"], "there is no chapter 'nosuch'; there are: bad, good."),
        (["good", "-p", "seeds=1"], "chapter 'good' has no parameter 'seeds'; it has: seed, share, name."),
        (["bad", "good", "-p", "share=0.1"], "chapter 'bad' has no parameter 'share'; it has: seed."),
        (["good", "-p", "seed=many"], "parameter 'seed' of chapter 'good' must be a number, like its default 1; it is 'many'."),
        (["good", "-p", "seed"], "a parameter is written NAME=VALUE, such as -p seed=1; it is 'seed'."),
        (["good", "--book", "elsewhere"], "there is no folder elsewhere"),
    ],
)
def test_mistakes_are_refused_in_words(
    arguments: list[str], text: str, book: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["rerun", *arguments]) == 2
    assert text in capsys.readouterr().err
