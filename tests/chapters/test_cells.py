"""Chapters are code: formatted and linted like the package, and no page's cell writes HTML."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

BOOK = Path(__file__).parents[2] / "book"
CELLS = re.compile(r"^```\{code-cell\}.*?^```$", re.MULTILINE | re.DOTALL)
CHAPTERS = sorted(path.stem for path in BOOK.glob("*.md"))
PAGE = '# A page\n\n```{{code-cell}} ipython3\n:tags: [hide-input]\n{}\n```\n\nProse with "a" .\n'


def cells(book: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(book / "cells.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapters_cells_are_formatted_and_linted(chapter: str) -> None:
    found = cells(BOOK, "--check", chapter)
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_no_cell_writes_html(chapter: str) -> None:
    for cell in CELLS.findall((BOOK / f"{chapter}.md").read_text(encoding="utf-8")):
        assert not re.search(r"</?(table|tr|td|th|div|span|p|br|i|b|small|code)\b|\bHTML\(", cell)


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_with_code_ends_with_its_claims(chapter: str) -> None:
    found = CELLS.findall((BOOK / f"{chapter}.md").read_text(encoding="utf-8"))
    if found:
        *_, claims, colophon = found
        assert re.search(r"^page\.claims\(", claims, re.MULTILINE), "what it claims, checked"
        assert "page.colophon()" in colophon


def test_code_follows_a_cells_tags_at_once(tmp_path: Path) -> None:
    (tmp_path / "cells.py").write_text((BOOK / "cells.py").read_text())
    page = tmp_path / "page.md"
    page.write_text(PAGE.replace("{}", "\n{}").format("x = 1\n\ny = 2"))
    assert cells(tmp_path, "--check", "page").returncode == 1
    assert cells(tmp_path, "page").returncode == 0
    assert page.read_text() == PAGE.format("x = 1\n\ny = 2")


def test_cells_are_formatted_in_place_and_prose_is_left(tmp_path: Path) -> None:
    (tmp_path / "cells.py").write_text((BOOK / "cells.py").read_text())
    page = tmp_path / "page.md"
    page.write_text(PAGE.format("x={'a':1,}\nx"))
    assert cells(tmp_path, "--check", "page").returncode == 1
    assert page.read_text() == PAGE.format("x={'a':1,}\nx")
    assert cells(tmp_path, "page").returncode == 0
    assert page.read_text() == PAGE.format('x = {"a": 1}\nx')
    assert cells(tmp_path, "--check", "page").returncode == 0
    spread = "import os\n\nimport numpy as np\n\n\ndef f():\n    return os, np\n\n\nf()"
    page.write_text(PAGE.format(spread))
    assert cells(tmp_path, "--check", "page").returncode == 1
    assert cells(tmp_path, "page").returncode == 0
    block = "import os\nimport numpy as np\n\ndef f():\n    return os, np\n\nf()"
    assert page.read_text() == PAGE.format(block)
    assert cells(tmp_path, "--check", "page").returncode == 0
    page.write_text(PAGE.format("import os"))
    unused = cells(tmp_path, "--check", "page")
    assert unused.returncode == 1
    assert "page.ipynb:cell 1:1:8: F401" in unused.stdout


def test_open_cells_are_as_narrow_as_the_page(tmp_path: Path) -> None:
    (tmp_path / "cells.py").write_text((BOOK / "cells.py").read_text())
    page = tmp_path / "page.md"
    call = f"print({', '.join(['1234567'] * 8)})"
    said = f"print({'x' * 70!r})"
    folded = PAGE.format(call)
    page.write_text(folded)
    assert cells(tmp_path, "--check", "page").returncode == 0
    page.write_text(folded.replace(":tags: [hide-input]\n", ""))
    assert cells(tmp_path, "--check", "page").returncode == 1
    assert cells(tmp_path, "page").returncode == 0
    assert max(map(len, page.read_text().splitlines())) <= 72
    assert cells(tmp_path, "--check", "page").returncode == 0
    page.write_text(PAGE.format(said).replace(":tags: [hide-input]\n", ""))
    found = cells(tmp_path, "page")
    assert found.returncode == 1
    assert "a page shows 72 characters of code" in found.stdout


# on a phone the panels of a figure stand one above the other, on a wide screen side by side
PLACES = re.compile(
    r"\b(Left|Right)\b|on the (left|right)|[;(] ?(left|right)\b"
    r"|(?i:\b(left|right|upper|lower|top|bottom)(-hand)? (panels?|plots?)\b)"
    r"|(?i:\bpanels? (on the|above|below|left|right)\b)"
)


def captions(page: str) -> list[str]:
    """What is said below each figure, without its options; with as many colons as a fence has."""
    figures = re.compile(r"^(:{3,})\{bundle\} \S+\n(.*?)^\1$", re.MULTILINE | re.DOTALL)
    return [re.sub(r"(?m)^:\w+:.*\n", "", body) for _, body in figures.findall(page)]


def test_no_caption_names_a_panel_by_its_side() -> None:
    found = 0
    for path in BOOK.glob("*.md"):
        page = path.read_text(encoding="utf-8")
        assert len(captions(page)) == page.count(":{bundle} "), path.name
        for caption in captions(page):
            assert not PLACES.search(caption), (path.name, caption)
            found += 1
    assert found > 70


@pytest.mark.parametrize(
    ("caption", "named"),
    [
        ("Left, discard; right, augment.", True),
        ("The curve on the left is derived.", True),
        ("The left panel is derived.", True),
        ("Dots in the upper panel: simulated.", True),
        ("The panel below is simulated.", True),
        ("(a) Derived. (b) Simulated.", False),
        ("Five dots in a cluster, from left to right: logistic, probit.", False),
        ("What is left falls from below one.", False),
    ],
)
def test_what_names_a_panel_by_its_side(caption: str, named: bool) -> None:
    page = f"::::{{bundle}} name\n:alt: Left, a panel.\n\n{caption}\n::::\n"
    (found,) = captions(page)
    assert bool(PLACES.search(found)) is named
