"""What is written for a paper, compiled by a real LaTeX."""

import re
import subprocess
from pathlib import Path

from collapse.publishing import latex
from tests.publishing import runs

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


def test_a_paper_takes_the_figures_and_numbers(tmp_path: Path) -> None:
    latex.figures(tmp_path / "collapse", run=runs.run(tmp_path / "run"))
    (tmp_path / "paper.tex").write_text(PAPER.replace("MARKS", latex.escape(MARKS)))
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "paper.tex"]
    for _ in range(2):
        run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stdout[-3000:]
    log = (tmp_path / "paper.log").read_text(errors="replace")
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
