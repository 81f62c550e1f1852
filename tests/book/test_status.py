"""What the site tells of its own making: each chapter's seconds, memory, seed and claims, as the
run recorded them.
"""

import json
import re
import shutil

import pytest
from bs4 import BeautifulSoup

from tests.book.test_build import CONFIGURATION, ROOT, run, write

CLAIMED = """from collapse.publishing.page import Page
page = Page("first", globals(), seed=(0, 9))
page.claims({"one is one": True, "two is two": True})
page.colophon()"""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A checkout with two chapters and a page on them, built."""
    root, ignored = tmp_path_factory.mktemp("status"), shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "collapse", root / "collapse", ignore=ignored)
    shutil.copytree(ROOT / "book" / "_ext", root / "book" / "_ext", ignore=ignored)
    shutil.copyfile(ROOT / "book" / "build.py", root / "book" / "build.py")
    (root / "requirements.lock").write_text("numpy==2\n")
    (root / "_config.yml").write_text(f"{CONFIGURATION}    status: book/_ext\n")
    toc = "format: jb-book\nroot: book/first\nchapters:\n"
    toc += "".join(f"  - file: book/{name}\n" for name in ("second", "status"))
    (root / "_toc.yml").write_text(toc)
    write(root, "first", "seed = 7", CLAIMED)
    write(root, "second", "x = 1", prose="First took {seconds}`first` seconds.")
    (root / "book" / "status.md").write_text("# Status\n\n```{status}\n```\n")
    status, _, err = run(root)
    assert (status, err) == (0, "")
    return root


def page(root, name):
    return BeautifulSoup((root / f"_build/html/book/{name}.html").read_text(), "html.parser")


def test_each_chapter_has_its_line_and_others_have_none(built):
    records = [
        json.loads((built / f"_build/execution/run/{name}.json").read_text())
        for name in ("first", "second")
    ]
    shown = page(built, "status").select_one("article .measured")
    rows = [[cell.get_text() for cell in row.select("td")] for row in shown.select("tbody tr")]
    took = [[f"{r['seconds']:.0f}", f"{r['memory'] / 1e6:.0f}"] for r in records]
    assert rows == [["Title", *took[0], "2", "7"], ["Title", *took[1], "none", "none"]]
    assert [link["href"] for link in shown.select("a")] == ["first.html", "second.html"]
    versions = ", ".join(f"{name} {told}" for name, told in records[0]["versions"].items())
    assert f"All chapters: {versions}." in shown.get_text()
    told = page(built, "second").select_one("article .measured").get_text()
    assert told == f"{records[0]['seconds']:.0f}"


def test_seconds_of_no_chapter_are_an_error(built):
    good = (built / "book" / "status.md").read_text()
    (built / "book" / "status.md").write_text(f"{good}\n{{seconds}}`third`\n")
    status, _, err = run(built)
    (built / "book" / "status.md").write_text(good)
    assert status != 0
    assert re.search(r"book/status\s+tells\s+of\s+the\s+chapter\s+'third',\s+of\s+which", err)
