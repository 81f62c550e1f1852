"""Two cold executions of three chapters give the same figures and the same pages."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = ("origin", "golden", "teach")
EXECUTE = """import sys
sys.path.insert(0, "book")
import build
book = build.Book(build.ROOT)
book.build.mkdir()
chapters = build.read_chapters(book)
assert build.execute(book, chapters) == []
build.gather_figures(book, chapters)
build.hand_over(book, chapters)"""
APART = (
    (re.compile(r"[\d.]+ s of CPU time"), "time"),
    (re.compile(r"(no checkout|commit [0-9a-f]{9})( with uncommitted changes)?"), "commit"),
)
"""What a page's last line says of one execution alone."""


def cold(root: Path) -> dict[str, bytes]:
    """Figures and pages of a fresh copy, by name, whose chapters nothing has executed before."""
    ignored = shutil.ignore_patterns("__pycache__", "_figures", "baselines")
    for folder in ("collapse", "book"):
        shutil.copytree(ROOT / folder, root / folder, ignore=ignored)
    for name in ("CITATION.cff", "LICENSE", "requirements.lock", "pyproject.toml"):
        shutil.copyfile(ROOT / name, root / name)
    config, paths = (ROOT / "_config.yml").read_text(), r"(?m)^    reading_paths:.*\n(      .*\n)+"
    assert re.search(paths, config)  # they lead through pages that are not here
    (root / "_config.yml").write_text(re.sub(paths, "", config))
    first, *others = (f"book/{name}" for name in CHAPTERS)
    toc = f"format: jb-book\nroot: {first}\nchapters:\n"
    (root / "_toc.yml").write_text(toc + "".join(f"  - file: {name}\n" for name in others))
    # of three chapters many references lead nowhere: a warning is no error here
    book = [str(Path(sys.executable).with_name("jupyter-book")), "build", ".", "-q"]
    for command in ([sys.executable, "-c", EXECUTE], [*book, "--path-output", "site"]):
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
    made = {path.name: path.read_bytes() for path in (root / "_build" / "figures").iterdir()}
    for name in CHAPTERS:
        page = (root / "site" / "_build" / "html" / "book" / f"{name}.html").read_text()
        for pattern, word in APART:
            page, count = pattern.subn(word, page)
            assert count == 1, (name, pattern.pattern)
        made[f"{name}.html"] = page.encode()
    return made


def test_two_cold_executions_are_identical(tmp_path: Path) -> None:
    one, other = cold(tmp_path / "one"), cold(tmp_path / "two")
    for kind in ("csv", "png", "pdf", "svg", "html"):
        assert sum(name.endswith(kind) for name in one) >= len(CHAPTERS)
    assert one.keys() == other.keys()
    assert [name for name in one if one[name] != other[name]] == []
