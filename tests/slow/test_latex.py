"""What is written for a paper, compiled by a real LaTeX."""

import json
import re
import subprocess
from pathlib import Path

from collapse.publishing import latex
from tests.publishing import runs
from tests.publishing.revision import CHAPTERS, author

PAPER = r"""\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage{amsmath, graphicx, lmodern}
\graphicspath{{collapse/}}
\begin{document}
\input{collapse/numbers.tex}
Of \collapseToyN{} rows, $\collapseToyRatioPointTwof + 1$; \collapseToyName.
\input{collapse/figures.tex}
\begin{figure}
  \includegraphics{toy-dots-narrow.pdf}
\end{figure}
MARKS
\end{document}
"""
MARKS = (
    "\\{}$%&#_^~<>|\"' a\u00e9\u00df\u0142\u0178 \u2013\u2014\u2018\u2019\u201c\u201d\u2026\u00a0"
)
MARKS += "\u2212\u00d7\u00b1\u00b7\u00b0\u00b5\u2264\u2265\u2248\u2260\u2192\u221e\u221a"
MARKS += "\u00b2\u2083 \u03b1\u03b5\u03c3\u03c0 \u0393\u039b\u03a9"


def compiled(paper: Path) -> str:
    """What LaTeX said of a paper, the second time; it must come to an end."""
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", paper.name]
    for _ in range(2):
        run = subprocess.run(command, cwd=paper.parent, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stdout[-3000:]
    return paper.with_suffix(".log").read_text(errors="replace")


def test_a_paper_takes_the_figures_and_numbers(tmp_path: Path) -> None:
    latex.figures(tmp_path / "collapse", run=runs.run(tmp_path / "run"))
    (tmp_path / "paper.tex").write_text(PAPER.replace("MARKS", latex.escape(MARKS)))
    log = compiled(tmp_path / "paper.tex")
    # a figure wider than the text is made to fit
    assert not re.findall(r"(?i)undefined|missing character|multiply|Overfull .hbox .\d{2,}", log)
    pages = subprocess.run(
        ["pdftotext", "paper.pdf", "-"], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    for said in ("Of 1, 000 rows, 1.64 + 1; 50 %_x", "see Figure 2", "It rises to 1.64 & stays"):
        assert said.replace(" ", "") in re.sub(r"\s", "", pages)
    fonts = subprocess.run(
        ["pdffonts", "paper.pdf"], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout.splitlines()[2:]
    assert fonts
    assert all(re.search(r" yes (yes|no) +(yes|no) +\d+ +0$", line) for line in fonts)
    assert not any("Type 3" in line for line in fonts)


def test_the_figures_and_numbers_of_a_revision_compile(tmp_path: Path) -> None:
    person = author(tmp_path)
    person.reruns("revised", "-p", "n=400", "-p", "replications=1200")
    status, told = person.types("figures", "--out", "collapse-set", "--run", "revised")
    assert status == 0, told
    origin = json.loads((tmp_path / "collapse-set" / "provenance.json").read_text())
    assert {entry["chapter"] for entry in origin["numbers"].values()} == set(CHAPTERS)
    head, _ = PAPER.replace("collapse/", "collapse-set/").split("Of ")
    body = "".join(f"\\{name}{{}}; ${{}}\\{name}$.\n\n" for name in origin["numbers"])
    end = "\\input{collapse-set/figures.tex}\n\\end{document}\n"
    (tmp_path / "paper.tex").write_text(head + body + end)
    log = compiled(tmp_path / "paper.tex")
    # what a paper cites is in its own bibliography
    log = re.sub(r"(?s)Citation .{1,200}? undefined", "", log)
    assert not re.findall(r"(?i)undefined (?!references)|missing character|multiply", log)
    shown = set(re.findall(r"<use .{0,3}collapse-set/+([\w-]+)\.pdf", log.replace("\n", "")))
    assert shown == origin["figures"].keys()
