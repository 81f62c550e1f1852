"""Keys of finished chapters: what a chapter reaches changes its key, and nothing else does."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from collapse.publishing import chapters
from collapse.publishing.keys import DOUBT, PACKAGE, Inputs, module_of, reached

BOOK = Path(__file__).resolve().parents[2] / "book"
TOY = {
    "__init__.py": '''"""A toy."""
from typing import TYPE_CHECKING
from toy import core
if TYPE_CHECKING:
    from toy import types
_LATER = {"heavy": "toy.rooms.heavy"}
def __getattr__(name): ...
''',
    "core.py": '''"""The core."""
from . import below


def f(x):
    """Double."""
    return 2 * x
''',
    "below.py": "def g():\n    from toy.lazy import h\n    return h\n",
    "lazy.py": "h = 1\n",
    "types.py": "T = int\n",
    "apart.py": "from toy.apart_below import a\n",
    "apart_below.py": "a = 1\n",
    "rooms/__init__.py": "",
    "rooms/heavy.py": "heavy = 1\n",
    "rooms/look.css": "a {}",
    "table.csv": "1,2\n",
    "apart.html.j2": "<p>",
    "page.html.j2": "<p>",
}


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    for name, text in TOY.items():
        path = tmp_path / "toy" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    book = tmp_path / "book"
    (book / "data").mkdir(parents=True)
    (book / "data" / "rows.csv").write_text("1\n")
    (book / "helper.py").write_text("one = 1\n")
    (book / "page.md").write_text("# A page\n")
    return tmp_path


def key(toy: Path, *cells: str, values: dict[str, object] | None = None, **settings: str) -> str:
    new = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    return Inputs(toy / "book", settings, toy / "toy").key(new, values or {})


def edits(toy: Path, cell: str, *names: str) -> set[str]:
    """Which files, each changed in its turn, change the key of a chapter of this one cell."""
    seen = set()
    for name in names:
        path, before = toy / name, key(toy, cell)
        content = path.read_bytes() if path.exists() else b""
        path.write_bytes(content + b"\nnew = 1\n")
        if key(toy, cell) != before:
            seen.add(name)
        path.write_bytes(content)
        assert key(toy, cell) == before  # a change that is reverted leaves no trace
    return seen


MODULES = {f"toy/{name}" for name in TOY}
BASE = {"toy/__init__.py", "toy/core.py", "toy/below.py", "toy/lazy.py", "toy/table.csv"}
BASE |= {"toy/page.html.j2"}  # no module has its name
APART = BASE | {"toy/apart.py", "toy/apart_below.py", "toy/apart.html.j2"}
ROOM = {"toy/rooms/__init__.py", "toy/rooms/heavy.py", "toy/rooms/look.css"}


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("import toy", BASE),
        ("1", set()),
        ("import toy.apart", APART),
        ("from toy import apart", APART),
        ("def f():\n    from toy.apart import a", APART),
        ("from toy import *", BASE | ROOM),
        ("import toy as t\nt.heavy", BASE | ROOM),
        ("from toy import heavy", BASE | ROOM),
        ("import toy\ngetattr(toy, 'heavy')", BASE | ROOM),
        ("import toy\nimport subprocess", MODULES),  # another program may import all
        ("%run toy/apart.py", MODULES),
        ("no code", MODULES),
    ],
)
def test_a_key_sees_the_modules_that_are_reached(toy: Path, cell: str, expected: set[str]) -> None:
    assert edits(toy, cell, *sorted(MODULES)) == expected


def test_a_key_sees_data_helpers_and_the_lock_but_no_page(toy: Path) -> None:
    others = (
        "book/page.md",
        "book/_look.css",
        "book/fast.toml",
        "book/full.toml",
        "book/.hidden",
        "pyproject.toml",
    )
    seen = edits(toy, "import helper", "book/helper.py", "book/data/rows.csv", *others)
    assert seen == {"book/helper.py", "book/data/rows.csv"}
    assert edits(toy, "1", "book/helper.py", "book/data/rows.csv") == {"book/data/rows.csv"}
    before = key(toy, "1")
    (toy / "requirements.lock").write_text("numpy==2\n")
    assert key(toy, "1") != before


def test_a_run_in_the_books_own_folder_is_no_data(toy: Path) -> None:
    before = key(toy, "1")
    for name in ("runs/a/figures/x.csv", "mine/.lock", "mine/figures/x.csv", "venv/pyvenv.cfg"):
        path = toy / "book" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("1\n")
    assert key(toy, "1") == before


def test_a_key_sees_code_parameters_and_settings(toy: Path) -> None:
    keys = [
        key(toy, "1"),
        key(toy, "2"),
        key(toy, "1", "2"),
        key(toy, "1", values={"n": 1}),
        key(toy, "1", values={"n": 1.0}),
        key(toy, "1", values={"n": True}),
        key(toy, "1", STATIC="1"),
    ]
    assert len(set(keys)) == len(keys)
    prose = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_markdown_cell("Text."), nbformat.v4.new_code_cell("1")]
    )
    assert Inputs(toy / "book", {}, toy / "toy").key(prose, {}) == keys[0]


@pytest.mark.parametrize(
    "same",
    [
        '"""Another docstring."""\nfrom . import below\n\n\ndef f(x):\n    return 2 * x\n',
        "from . import below  # a comment\ndef f(x): return (2 * x)",
    ],
)
def test_comments_docstrings_and_layout_leave_the_key(toy: Path, same: str) -> None:
    before, quoted = key(toy, "import toy"), key(toy, "import toy, inspect")
    (toy / "toy" / "core.py").write_text(same)
    assert key(toy, "import toy") == before
    assert key(toy, "import toy, inspect") != quoted  # it may show the text itself
    (toy / "toy" / "core.py").write_text(same.replace("2 * x", "3 * x"))
    assert key(toy, "import toy") != before


def test_what_is_imported_later_is_part_of_the_code() -> None:
    one, other = (
        module_of(TOY["__init__.py"].replace("heavy", name).encode(), "toy", package=True)
        for name in ("heavy", "light")
    )
    assert one.digest != other.digest
    assert one.later == {"heavy": "toy.rooms.heavy"}


def test_a_file_that_cannot_be_parsed_counts_by_its_bytes(toy: Path) -> None:
    (toy / "toy" / "core.py").write_text("def")
    before = key(toy, "import toy")
    (toy / "toy" / "core.py").write_text("def  # still")
    assert key(toy, "import toy") != before


IMPORTS = """import json, sys
from pathlib import Path
exec(Path(sys.argv[1]).read_text())
print(json.dumps(sorted(name for name in sys.modules if name.split(".")[0] == "collapse")))
"""


@pytest.mark.book
@pytest.mark.parametrize("name", [*chapters.chapters(BOOK)])
def test_what_a_chapter_imports_is_reached(name: str, tmp_path: Path) -> None:
    """Python's own account, against the one that is read off the files."""
    cells = chapters.code_cells(chapters.read(chapters.chapters(BOOK)[name]))
    text = "\n\n".join(cell.source for cell in cells)
    imports = [
        ast.unparse(node)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, (ast.Import, ast.ImportFrom))
        or re.fullmatch(r"collapse\.\w+", ast.unparse(node))
    ]
    ordered = sorted(imports, key=lambda line: not re.match("import|from", line))
    (tmp_path / "imports.py").write_text("\n".join(dict.fromkeys(ordered)))
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS, str(tmp_path / "imports.py")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    files = {
        ".".join(["collapse", *path.relative_to(PACKAGE).with_suffix("").parts]).removesuffix(
            ".__init__"
        ): path
        for path in PACKAGE.rglob("*.py")
    }
    chapter = module_of(text.encode(), "", package=False)
    words = {*chapter.words, *re.findall(r"\w+", text)}
    missed = set(json.loads(done.stdout)) - reached(set(chapter.names), words, files).keys()
    assert not missed or DOUBT.search(text)
