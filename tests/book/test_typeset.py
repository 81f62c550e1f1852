"""What is asked before the book is printed, and when the site links to the PDF."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "book"))

import build
import typeset


def test_without_latex_one_sentence_names_the_packages():
    done = subprocess.run(
        [sys.executable, "book/typeset.py"],
        cwd=ROOT,
        env={"PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == f"make pdf needs xelatex; on Debian install {typeset.PACKAGES}.\n"


def test_what_prints_the_book_installs_the_packages():
    release = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text())
    steps = " ".join(step.get("run", "") for step in release["jobs"]["archive"]["steps"])
    for told in (steps, (ROOT / ".ci" / "slow").read_text()):
        assert set(typeset.PACKAGES.split()) <= set(re.findall(r"[\w-]+", told))


def test_a_pdf_is_of_the_book_that_it_was_made_of(tmp_path):
    book = build.Book(tmp_path)
    assert not book.printed("a key")
    book.pdf.parent.mkdir(parents=True)
    book.pdf.with_name("key").write_text("a key")
    assert not book.printed("a key")
    book.pdf.touch()
    assert book.printed("a key")
    assert not book.printed("another")


@pytest.mark.parametrize(
    ("line", "bad"),
    [
        ("LaTeX Warning: Reference `fig' on page 3 undefined on input line 9.", True),
        ("LaTeX Warning: There were undefined references.", True),
        ("LaTeX Warning: Label `eq' multiply defined.", True),
        ("Missing character: There is no ⊥ in font TeX Gyre Pagella!", True),
        ("LaTeX Warning: File `dial.pdf' not found on input line 3.", True),
        ("Overfull \\hbox (0.5pt too wide) in paragraph at lines 3--4", False),
        ("Package: rerunfilecheck 2022-07-10 v1.10 Rerun checks", False),
    ],
)
def test_a_log_tells_what_the_printed_book_lacks(line, bad):
    assert (typeset.BAD.findall(f"before\n{line}\nafter") == [line]) == bad
    assert not typeset.RERUN.search(line)
