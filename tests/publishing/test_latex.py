"""Figures and numbers for a paper: every text is escaped, every number has a name of its own, and
nothing is taken that is not as it was written.
"""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import nbformat
import pytest

from collapse import disk
from collapse.cli import main
from collapse.publishing import latex, tex
from tests.publishing import runs


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return runs.run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def out(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("paper") / "collapse"
    latex.figures(target, run=folder)
    return target


def test_a_figure_has_two_widths_a_caption_and_a_label(folder: Path, out: Path) -> None:
    text = (out / "figures.tex").read_text()
    assert re.findall(r"\\label\{(.*)\}", text) == ["fig:toy-curve", "fig:toy-dots"]
    assert re.findall(r"\\collapsefigure\{(.*)\}", text) == ["toy-curve.pdf", "toy-dots.pdf"]
    captions = re.findall(r"\\caption\{(.*?)\}\n  \\label", text, re.DOTALL)
    assert captions == [
        r"\textbf{It rises} to \collapseToyRatioPointTwof{} \& \emph{stays} at 50~\% of"
        r" \texttt{a\_b}, $\tfrac{\pi^2}{6}$;" + "\n"
        r"see Figure~\ref{fig:toy-dots}, figure \texttt{elsewhere} of the companion and equation"
        r" \texttt{eq-toy} of the companion.",
        r"Dots -- n \ensuremath{\ge} \ensuremath{\pi}\ensuremath{^{2}}: ``few''. Legend in words.",
    ]
    for label in ("toy-curve", "toy-dots"):
        for name in (f"{label}.pdf", f"{label}-narrow.pdf"):
            assert (out / name).read_bytes() == (folder / "figures" / name).read_bytes()
    assert len(list(out.iterdir())) == 4 + 3


def test_each_number_of_the_prose_has_a_macro(out: Path) -> None:
    lines = (out / "numbers.tex").read_text().splitlines()
    assert [line for line in lines if not line.startswith("%")] == [
        r"\newcommand{\collapseToyRatioPointTwof}{\ensuremath{1.64}}% toy: toy_ratio:.2f",
        r"\newcommand{\collapseToyRatioPointZerof}{\ensuremath{2}}% toy: toy_ratio:.0f",
        r"\newcommand{\collapseToyN}{\ensuremath{1{,}000}}% toy: toy_n",
        r"\newcommand{\collapseToyName}{50 \%\_x}% toy: toy_name",
        r"\newcommand{\collapseToyOff}{\ensuremath{3\times10^{-8}}}% toy: toy_off:.0e",
    ]


def test_the_origin_of_figures_and_numbers_is_told(folder: Path, out: Path) -> None:
    told = json.loads((out / "provenance.json").read_text())
    record = json.loads((folder / "figures" / "toy-curve.json").read_text())
    curve = told["figures"]["toy-curve"]
    assert curve["chapter"] == "toy"
    for name, digest in curve["files"].items():
        assert disk.digest((out / name).read_bytes()) == digest
    for key in ("parameters", "seed", "versions", "commit"):
        assert curve[key] == record[key]
    assert told["numbers"]["collapseToyOff"] == {
        "chapter": "toy",
        "key": "toy_off",
        "format": ".0e",
        "value": 3.2e-8,
        "text": "3e-08",
    }


def test_the_command_takes_figures_by_label(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--run", str(folder), "--out", str(tmp_path / "paper")]
    assert main(["figures", "toy-dots", *where]) == 0
    assert capsys.readouterr().out.startswith("1 figure and 5 numbers written to")
    assert {path.name for path in (tmp_path / "paper").glob("*.pdf")} == {
        "toy-dots.pdf",
        "toy-dots-narrow.pdf",
    }
    assert main(["figures", "toy-dot", *where]) == 2
    told = capsys.readouterr().err
    assert "there is no figure with the label 'toy-dot'; there are: toy-curve, toy-dots." in told


@pytest.mark.parametrize(
    ("prose", "glued", "told"),
    [
        ("{glue:text}`toy_m`", {"toy_n": 1}, "chapter toy says 'toy_m', which none of its cells"),
        (
            "{glue:text}`toy_1` {glue:text}`toy_one`",
            {"toy_1": 1, "toy_one": 2},
            r"'toy_1' and 'toy_one' would both be \collapseToyOne; give one of them another name.",
        ),
        ("{glue:text}`toy_\u00e9`", {"toy_\u00e9": 1}, "has no name in LaTeX; make it of ASCII"),
        (
            "{glue:text}`toy_n`",
            {"toy_n": "\u2603"},
            "'\u2603' (SNOWMAN) cannot be written in LaTeX",
        ),
        (":::{bundle} odd\n:alt: odd\n\nOdd.\n:::", {}, "shows the figure 'odd', which is not in"),
        (
            ":::{bundle} toy-dots\n:alt: odd\n\n![](a.png)\n:::",
            {},
            "a caption of chapter toy has 'image', which cannot be written in LaTeX",
        ),
    ],
)
def test_what_cannot_be_said_in_latex_is_refused_before_anything_is_written(
    tmp_path: Path, prose: str, glued: dict[str, Any], told: str
) -> None:
    folder = runs.run(tmp_path / "run", prose, glued, ("toy-dots",))
    with pytest.raises(ValueError, match=re.escape(told)):
        latex.figures(tmp_path / "paper", run=folder)
    assert not (tmp_path / "paper").exists()


def test_what_is_not_as_it_was_written_is_not_taken(tmp_path: Path) -> None:
    folder = runs.run(tmp_path / "run", labels=("toy-curve", "toy-dots"))
    with (folder / "figures" / "toy-dots.pdf").open("ab") as file:
        file.write(b"% more\n")
    refusal = "toy-dots.pdf is missing or not as it was written; run the chapter toy again."
    with pytest.raises(ValueError, match=re.escape(refusal)):
        latex.figures(tmp_path / "paper", run=folder)


def test_where_nothing_ran_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no chapter has been run into"):
        latex.figures(tmp_path / "paper", run=tmp_path)
    with pytest.raises(ValueError, match=r"no book has been built in .*; build it \(make book\)"):
        latex.figures(tmp_path / "paper", build=tmp_path)


def test_the_built_book_is_a_source_too(folder: Path, tmp_path: Path) -> None:
    from jupyter_cache import get_cache
    from jupyter_cache.base import CacheBundleIn
    from myst_nb.core.read import myst_nb_reader_plugin

    book, build = tmp_path / "book", tmp_path / "_build"
    book.mkdir()
    head = "---\nkernelspec:\n  name: python3\n  display_name: Python 3\njupytext:\n"
    head += "  text_representation:\n    extension: .md\n    format_name: myst\n---\n"
    page = book / "toy.md"
    page.write_text(f"{head}\n```{{code-cell}} ipython3\nglue()\n```\n\n{runs.PROSE}")
    (build / "execution").mkdir(parents=True)
    shutil.copytree(folder / "figures", build / "figures")
    executed = myst_nb_reader_plugin(str(page))
    runs.notebook("", runs.GLUED, tmp_path / "outputs.ipynb")
    outputs = json.loads((tmp_path / "outputs.ipynb").read_text())["cells"][0]["outputs"]
    code = next(cell for cell in executed.cells if cell.cell_type == "code")
    code.outputs = [nbformat.from_dict(output) for output in outputs]
    get_cache(build / "execution" / "cache").cache_notebook_bundle(
        CacheBundleIn(executed, str(page)), check_validity=False
    )
    built = latex.figures(tmp_path / "paper", book=book, build=build)
    assert built == latex.figures(tmp_path / "again", run=folder)
    record = build / "figures" / "toy-dots.json"
    for change, told in (
        (
            record.read_text().replace("toy-dots-narrow.pdf", "toy-dots.svg"),
            "has no toy-dots-narrow",
        ),
        (re.sub(r'(dots.pdf": ")....', r"\1beef", record.read_text()), "is not as it was written"),
    ):
        record.write_text(change)
        with pytest.raises(ValueError, match=told):
            latex.figures(tmp_path / "paper", book=book, build=build)
        shutil.copyfile(folder / "figures" / "toy-dots.json", record)
    page.write_text(page.read_text().replace("glue()", "glue( )"))
    with pytest.raises(ValueError, match="the chapter toy has changed since the book was built"):
        latex.figures(tmp_path / "paper", book=book, build=build)


CHAPTER = """---
kernelspec:
  name: python3
  display_name: Python 3
---
# A chapter

```{code-cell} ipython3
:tags: [parameters]

n = 400  # from 20 to 5_000
```

```{code-cell} ipython3
from collapse.publishing.page import Page
page = Page("chapter", globals(), n=(20, 5_000))
page.say(half=n / 2)
page.figure("some-line", lambda figure: None, {"x": [n]}, height=1, narrow_height=1)
page.colophon()
```

:::{bundle} some-line
:alt: Nothing.

**Half** of {glue:text}`chapter_n` is {glue:text}`chapter_half:.1f`.
:::
"""


@pytest.mark.book
def test_a_chapter_that_was_run_again_gives_its_own_numbers(tmp_path: Path) -> None:
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "chapter.md").write_text(CHAPTER)
    where = ["--book", str(tmp_path / "book"), "--folder", str(tmp_path / "run")]
    assert main(["rerun", "chapter", "-p", "n=3001", *where]) == 0
    out = tmp_path / "paper"
    assert main(["figures", "--run", str(tmp_path / "run"), "--out", str(out)]) == 0
    numbers = (out / "numbers.tex").read_text()
    assert r"\newcommand{\collapseChapterN}{\ensuremath{3{,}001}}" in numbers
    assert r"\newcommand{\collapseChapterHalf}{\ensuremath{1500.5}}" in numbers
    said = r"\textbf{Half} of \collapseChapterN{} is \collapseChapterHalf{}."
    assert said in (out / "figures.tex").read_text()
    told = json.loads((out / "provenance.json").read_text())["figures"]["some-line"]
    assert told["parameters"] == {"n": 3001}


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("\\input{x} $x$", r"\textbackslash{}input\{x\} \$x\$"),
        (
            "#1 ^~ <a|b>",
            r"\#1 \textasciicircum{}\textasciitilde{} \textless{}a\textbar{}b\textgreater{}",
        ),
        (
            "\u03c0 \u03a9 \u039b \u00e9",
            "\\ensuremath{\\pi} \\ensuremath{\\Omega} \\ensuremath{\\Lambda} \u00e9",
        ),
        ("x\u2082\n\u2212 1", r"x\ensuremath{_{2}} \ensuremath{-} 1"),
    ],
)
def test_text_is_printed_mark_by_mark(text: str, printed: str) -> None:
    assert tex.escape(text) == printed


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("inf", r"\ensuremath{\infty}"),
        ("-inf", r"\ensuremath{-\infty}"),
        ("+0.30", r"\ensuremath{+0.30}"),
        ("1e+05", r"\ensuremath{1\times10^{5}}"),
        ("1.", "1."),
        ("nan", "nan"),
    ],
)
def test_a_number_is_printed_as_one(text: str, printed: str) -> None:
    assert tex.number(text) == printed
