"""Formats the code in the chapters' cells, their imports too, and reports what ruff finds in it;
`--check` changes nothing. The exit status is 1 where something is to be mended.
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


def spliced(text: str, codes: list[str]) -> str:
    """The page with other code in its cells, its prose as it was."""
    given = iter(codes)
    return CELL.sub(lambda match: f"{match[1]}{next(given).rstrip()}\n{match[3]}", text)


def main(*arguments: str) -> int:
    check = "--check" in arguments
    names = [name for name in arguments if name != "--check"]
    bad = False
    for page in [BOOK / f"{name}.md" for name in names] or sorted(BOOK.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        codes = [match[2].rstrip("\n") for match in CELL.finditer(text)]
        sources = codes
        for command in (["check", "--select=I", "--fix", "--quiet"], ["format"]):
            formatted = ruff(page, sources, *command)
            if formatted.returncode:
                sys.exit(f"{page}: {formatted.stderr}")
            sources = ["".join(cell["source"]) for cell in json.loads(formatted.stdout)["cells"]]
        # cells are short: one blank line parts their functions
        sources = [re.sub(r"\n{3,}", "\n\n", source) for source in sources]
        new = spliced(text, sources)
        found = ruff(page, sources, "check", "--quiet", "--output-format", "concise")
        if found.returncode:
            print(found.stdout or found.stderr, end="")
        if check and new != text:
            print(f"{page}: cells that are not formatted; run `make format`")
        bad |= bool(found.returncode) or (check and new != text)
        if not check and new != text:
            page.write_text(new, encoding="utf-8")
    return int(bad)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
