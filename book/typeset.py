"""Print the book: `python book/typeset.py` executes what must be executed, typesets all chapters as
one PDF, and builds the site with a link to it.

What the document looks like is in `book/_ext/printed.py` and `printed.tex`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

import build

PACKAGES = (
    "fonts-dejavu-core fonts-texgyre fonts-texgyre-math texlive-fonts-recommended"
    " texlive-latex-extra texlive-xetex"
)
PASSES = 5  # of xelatex at most: contents, references and tables come to rest after three or four
RERUN = re.compile(r"Rerun to get|Rerun LaTeX|Table widths have changed")
BAD = re.compile(
    r"^(?:.*(?:undefined references|multiply.defined|Missing character|File `.*' not found).*"
    r"|LaTeX Warning: (?:Reference|Citation) .* undefined.*)$",
    re.MULTILINE,
)
"""What a log says where the printed book lacks something."""


def typeset(book: build.Book, key: str) -> int:
    """Make the PDF of the book whose inputs have that key, if it has not been made."""
    if book.printed(key):
        print("The PDF is that of this book.")
        return 0
    folder = book.build / "printing"
    shutil.rmtree(folder, ignore_errors=True)
    print("Printing the book.", flush=True)
    status = build.sphinx(book, folder, "--builder", "custom", "--custom-builder", "latex")
    if status:
        return status
    sources = folder / "_build" / "latex"
    source = next(sources.glob("*.tex"))
    command = ["xelatex", "-halt-on-error", "-interaction=nonstopmode", source.name]
    for _ in range(PASSES):
        run = subprocess.run(command, cwd=sources, capture_output=True, check=False)
        log = source.with_suffix(".log").read_text(encoding="utf-8", errors="replace")
        if run.returncode:
            print(f"xelatex stopped:\n{log[-2000:]}", file=sys.stderr)
            return run.returncode
        if not RERUN.search(log):
            break
    missing = sorted(set(BAD.findall(log)))
    if missing:
        print("The printed book lacks something:", *missing, sep="\n  ", file=sys.stderr)
        return 1
    book.pdf.parent.mkdir(exist_ok=True)
    os.replace(source.with_suffix(".pdf"), book.pdf)
    book.pdf.with_name("key").write_text(key)
    print(f"Printed as {book.pdf.relative_to(book.root)}.", flush=True)
    return 0


if __name__ == "__main__":
    if shutil.which("xelatex") is None:
        sys.exit(f"make pdf needs xelatex; on Debian install {PACKAGES}.")
    sys.exit(build.main(build.ROOT, typeset))
