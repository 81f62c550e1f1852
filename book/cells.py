"""Formats the code in the chapters' cells, their imports too, and reports what ruff finds in it,
and lines too wide for the page in cells that stand open. `--check` changes nothing. The exit
status is 1 where something is to be mended.
"""

import json
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

BOOK = Path(__file__).parent
RUFF = Path(sysconfig.get_path("scripts"), "ruff")
FORM = (
    "format.skip-magic-trailing-comma=true",
    "lint.isort.split-on-trailing-comma=false",
    # what a chapter imports is one block
    "lint.isort.no-lines-before=['third-party', 'first-party', 'local-folder']",
    "lint.isort.lines-after-imports=1",
)
OPEN = 12  # lines: longer cells are folded, unless tagged `shown` (_ext/readers.py)
WIDE = 72  # characters that a page shows of a line of code
FOLDED = re.compile(r"\b(hide-input|hide-cell|remove-input|remove-cell|parameters)\b")
# a cell's fence with what stands at its head (options, or a block of them); its code; the end
CELL = re.compile(
    r"(^```\{code-cell\}[^\n]*\n(?:---\n.*?^---\n|(?::[^\n]*\n)*))\n*(.*?)(^```$)",
    re.MULTILINE | re.DOTALL,
)


def ruff(page: Path, codes: list[str], *command: str) -> subprocess.CompletedProcess[str]:
    """What ruff says to the cells of a page as a notebook: there each cell is a file of its own."""
    cells = [
        {
            "cell_type": "code",
            "metadata": {},
            "outputs": [],
            "execution_count": None,
            "source": code,
        }
        for code in codes
    ]
    notebook = json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    name = str(page.with_suffix(".ipynb"))
    words = [str(RUFF), *command, *(f"--config={line}" for line in FORM), "--stdin-filename", name]
    return subprocess.run(
        [*words, "-"], input=notebook, capture_output=True, text=True, check=False
    )


def rewritten(page: Path, codes: list[str], *command: str) -> list[str]:
    """The cells as ruff leaves them."""
    formatted = ruff(page, codes, *command)
    if formatted.returncode:
        sys.exit(f"{page}: {formatted.stderr}")
    return ["".join(cell["source"]) for cell in json.loads(formatted.stdout)["cells"]]


def spliced(text: str, codes: list[str]) -> str:
    """The page with other code in its cells, its prose as it was."""
    given = iter(codes)
    return CELL.sub(lambda match: f"{match[1]}{next(given).rstrip()}\n{match[3]}", text)


def stands_open(head: str, code: str) -> bool:
    """Whether readers see the cell's code without asking for it."""
    if FOLDED.search(head):
        return False
    return "shown" in head or len(code.splitlines()) <= OPEN


def main(*arguments: str) -> int:
    check = "--check" in arguments
    names = [name for name in arguments if name != "--check"]
    bad = False
    for page in [BOOK / f"{name}.md" for name in names] or sorted(BOOK.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        heads = [match[1] for match in CELL.finditer(text)]
        codes = [match[2].rstrip("\n") for match in CELL.finditer(text)]
        sources = codes
        sorted_ = rewritten(page, codes, "check", "--select=I", "--fix", "--quiet")
        sources = rewritten(page, sorted_, "format")
        narrow = rewritten(page, sources, "format", f"--line-length={WIDE}")
        kinds = list(map(stands_open, heads, sources))
        sources = [
            slim if seen else wide for seen, slim, wide in zip(kinds, narrow, sources, strict=True)
        ]
        # cells are short: one blank line parts their functions
        sources = [re.sub(r"\n{3,}", "\n\n", source) for source in sources]
        new = spliced(text, sources)
        found = ruff(page, sources, "check", "--quiet", "--output-format", "concise")
        if found.returncode:
            print(found.stdout or found.stderr, end="")
        for head, code in zip(heads, sources, strict=True):
            for line in code.splitlines() if stands_open(head, code) else ():
                if len(line) > WIDE:
                    print(f"{page}: a page shows {WIDE} characters of code, cut: {line.strip()}")
                    bad = True
        if check and new != text:
            print(f"{page}: cells that are not formatted; run `make format`")
        bad |= bool(found.returncode) or (check and new != text)
        if not check and new != text:
            page.write_text(new, encoding="utf-8")
    return int(bad)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
