"""The public address: one command sets it, every page follows, and without one no page leads
anywhere.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml
from bs4 import BeautifulSoup

from tests.book.test_build import figure, write

ROOT = Path(__file__).resolve().parents[2]
URL, SITE = "https://github.com/some-one/my.book", "https://some-one.github.io/my.book/"


def copy(target):
    """A checkout with a book of two chapters, and the project's own configuration."""
    ignored = shutil.ignore_patterns("__pycache__", "*.md", "baselines")
    for folder in ("collapse", "book"):
        shutil.copytree(ROOT / folder, target / folder, ignore=ignored)
    files = (
        "_config.yml",
        "CITATION.cff",
        "LICENSE",
        "Makefile",
        "requirements.lock",
        "pyproject.toml",
    )
    for name in files:
        shutil.copyfile(ROOT / name, target / name)
    (target / "_toc.yml").write_text(
        "format: jb-book\nroot: book/first\nchapters:\n  - file: book/second\n"
    )
    config = (target / "_config.yml").read_text()  # its paths lead through other chapters
    for key in ("reading_paths", "moved_pages"):  # of pages that are not in this book
        config = re.sub(rf"(?m)^    {key}:.*\n(?: {{6}}.*\n)+", f"    {key}: {{}}\n", config)
    (target / "_config.yml").write_text(config)
    rocket = "```{only} published\nRocket.\n```"
    card = f"::::{{grid}} 1\n:::{{grid-item-card}} Card\nWords.\n\n{rocket}\n:::\n::::"
    write(target, "first", figure("one"), prose=f'What "it" says.\n\n{card}')
    write(target, "second", figure("two"))
    return target


def publish(root, *arguments):
    return subprocess.run(
        ["make", "publish-to", *arguments], cwd=root, capture_output=True, text=True, check=False
    )


def build(root):
    done = subprocess.run(
        [sys.executable, "book/build.py"], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return root / "_build" / "html"


@pytest.fixture(scope="module")
def unset(tmp_path_factory):
    root = copy(tmp_path_factory.mktemp("unset"))
    config = (root / "_config.yml").read_text()
    for key in ("url", "baseurl"):
        config = re.sub(rf'(?m)^  {key}: ".*"$', f'  {key}: ""', config)
    (root / "_config.yml").write_text(config)
    return build(root)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    root = copy(tmp_path_factory.mktemp("published"))
    assert publish(root, "an/other").returncode == 0
    done = publish(root, "some-one/my.book")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"The repository is {URL}, the site {SITE}." in done.stdout
    for name in ("_config.yml", "CITATION.cff"):  # what stood there before is gone
        assert "an/other" not in (root / name).read_text()
    return build(root)


def page(site, name):
    return BeautifulSoup((site / "book" / f"{name}.html").read_text(), "html.parser")


def test_where_none_is_set_no_page_leads_anywhere(unset):
    for name in ("first", "second"):
        document = page(unset, name)
        assert not document.select(
            '.dropdown-launch-buttons, .dropdown-source-buttons, [rel="canonical"], [property]'
        )
        outside = [a["href"] for a in document.select("a[href]") if "://" in a["href"]]
        assert not [link for link in outside if re.search("github|binder|example", link)]
        assert "Rocket." not in document.get_text()
        # the notebook itself can still be had
        assert document.select_one(f'a[href$="{name}.ipynb"]')
    assert not (unset / "sitemap.xml").exists()


def test_every_page_follows_the_address(published):
    for name in ("first", "second"):
        document = page(published, name)
        launch = [a["href"] for a in document.select(".dropdown-launch-buttons a")]
        assert launch == [
            f"https://mybinder.org/v2/gh/some-one/my.book/main?urlpath=lab/tree/book/{name}.md"
        ]
        source = [a["href"] for a in document.select(".dropdown-source-buttons a")]
        assert source[:2] == [URL, f"{URL}/edit/main/book/{name}.md"]
        assert source[2].startswith(f"{URL}/issues/new?")
        assert document.select_one('[rel="canonical"]')["href"] == f"{SITE}book/{name}.html"
        told = {tag["property"]: tag["content"] for tag in document.select("meta[property]")}
        assert told["og:url"] == f"{SITE}book/{name}.html"
        assert told["og:title"] == "Title"
        picture = told["og:image"].removeprefix(SITE)
        assert (published / picture).is_file()
    first = page(published, "first")
    assert first.select_one('meta[property="og:description"]')["content"] == "What “it” says."
    assert "Rocket." in first.get_text()


def test_the_sitemap_lists_the_pages_and_the_citation_the_address(published):
    listed = ElementTree.parse(published / "sitemap.xml").iter()
    assert [entry.text for entry in listed if entry.tag.endswith("}loc")] == [
        f"{SITE}book/first.html",
        f"{SITE}book/second.html",
    ]
    citation = yaml.safe_load((published / "CITATION.cff").read_text(encoding="utf-8"))
    assert (citation["repository-code"], citation["url"]) == (URL, SITE)
    original = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {**original, "repository-code": URL, "url": SITE} == citation


@pytest.mark.parametrize(
    "address", ["someone", "a/b/c", "-a/b", "a/..", "a/b.git", "a b/c", "a/b'"]
)
def test_what_is_no_address_is_refused_and_changes_nothing(tmp_path, address):
    for name in ("_config.yml", "CITATION.cff"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    command = [
        sys.executable,
        str(ROOT / "book" / "publish.py"),
        f"--root={tmp_path}",
        "--",
        address,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "publish-to: expected OWNER/REPO, as in the repository's address, got" in done.stderr
    for name in ("_config.yml", "CITATION.cff"):
        assert (tmp_path / name).read_text() == (ROOT / name).read_text()


def test_a_site_may_have_an_address_of_its_own(tmp_path):
    for name in ("_config.yml", "CITATION.cff", "Makefile"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    shutil.copytree(
        ROOT / "book", tmp_path / "book", ignore=shutil.ignore_patterns("*.md", "*.csv")
    )
    assert publish(tmp_path, "A/a.github.io").returncode == 0
    assert read(tmp_path) == ("https://github.com/A/a.github.io", "https://a.github.io/")
    assert publish(tmp_path, "A/b", "SITE=https://books.example/b").returncode == 0
    assert read(tmp_path) == ("https://github.com/A/b", "https://books.example/b/")
    assert publish(tmp_path, "A/b", "SITE=ftp://books.example").returncode != 0
    assert read(tmp_path) == ("https://github.com/A/b", "https://books.example/b/")


def read(root):
    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    return config["repository"]["url"], config["html"]["baseurl"]
