"""The whole book as one PDF, set by a real xelatex."""

import re
import subprocess
import sys
import unicodedata
from html import unescape
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "_build" / "printing" / "_build" / "latex"
SITE = ROOT / "_build" / "html" / "book"
BUNDLE = re.compile(r"^:{3,}\{bundle\} (\S+)\n:alt: .*\n\n(.*)$", re.MULTILINE)
INSIDE = re.compile(r"\{[\w:]+\}`[^`]*`|\$[^$]*\$|[*`\[\]()]")
"""What of a page's text is not printed as it is written."""


@pytest.fixture(scope="module")
def pages() -> str:
    """Everything that is printed."""
    done = subprocess.run(
        [sys.executable, "book/typeset.py"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    path = ROOT / "_build" / "html" / "collapse-companion.pdf"
    return subprocess.run(
        ["pdftotext", str(path), "-"], capture_output=True, text=True, check=True
    ).stdout


@pytest.fixture(scope="module")
def log(pages: str) -> str:
    return (SOURCES / "collapse-companion.log").read_text(errors="replace")


def letters(text: str) -> str:
    """Letters and digits alone, without ligatures or what ends a line."""
    return re.sub(r"[\W_]", "", unicodedata.normalize("NFKC", unescape(text)))


def chapters() -> dict[str, str]:
    names = re.findall(r"(?:file|root): book/(\w+)", (ROOT / "_toc.yml").read_text())
    return {name: (ROOT / "book" / f"{name}.md").read_text() for name in names}


def test_nothing_is_missing(pages: str, log: str) -> None:
    printed = letters(pages)
    for text in chapters().values():
        title = re.search(r"^# (.*)$", text, re.MULTILINE)
        assert title
        assert letters(INSIDE.sub("", title[1])) in printed
        for label, caption in BUNDLE.findall(text):
            said = max(INSIDE.split(caption), key=len)
            assert len(said) > 15
            assert letters(said) in printed, label
            assert f"File: {label}.pdf Graphic file" in log
        assert not re.search(r"\{(bundle|glue|doc|numref|prf)\b", pages)
    assert "??" not in pages
    assert not re.findall(
        r"Missing character|undefined on|undefined references|multiply.defined|File `.*' not found",
        log,
    )


def test_nothing_is_cut(log: str) -> None:
    wide = re.findall(r"Overfull \\hbox \(([\d.]+)pt", log)
    high = re.findall(r"Overfull \\vbox \(([\d.]+)pt", log)
    assert [size for size in wide if float(size) > 20] == []
    assert [size for size in high if float(size) > 50] == []  # the margin below is 70 pt


def test_numbers_are_those_of_the_site(pages: str) -> None:
    aux = (SOURCES / "collapse-companion.aux").read_text(errors="replace")
    given = dict(re.findall(r"\\newlabel\{([^{}]+)\}\{\{([^{}]*)\}", aux))
    printed, seen = letters(pages), {"theorem": 0, "figure": 0, "equation": 0}
    for name in chapters():
        html = unescape((SITE / f"{name}.html").read_text())
        for told, title in re.findall(
            r'<p class="admonition-title"><span class="caption-number">([A-Z]\w+ [\d.]+) </span>'
            r"(.*?)</p>",
            html,
        ):
            plain = re.split(r"<", title)[0]
            assert letters(told + plain) in printed
            seen["theorem"] += 1
        for label, number in re.findall(
            r'<figure class="[^"]*bundle[^"]*" id="(fig-[^"]+)">.*?'
            r'<span class="caption-number">Fig\. ([\d.]+) </span>',
            html,
            re.DOTALL,
        ):
            assert given[f"book/{name}:{label}"] == number
            seen["figure"] += 1
        for label, number in re.findall(
            r'id="equation-(eq-[^"]+)">\s*<span class="eqno">\(([\d.]+)\)', html
        ):
            assert given[f"equation:book/{name}:{label}"] == number
            seen["equation"] += 1
    assert seen["theorem"] > 90
    assert seen["figure"] > 70
    assert seen["equation"] > 80


def test_the_lists_name_every_result_and_figure(pages: str) -> None:
    lists = letters(pages.split("Lists of results and figures\n")[-1].split("Teach with this\n")[0])
    seen = {"Theorem": 0, "Fig": 0}
    for name in chapters():
        html = unescape((SITE / f"{name}.html").read_text())
        found = re.findall(r'<span class="caption-number">((?:Theorem|Fig\.) [\d.]+) </span>', html)
        for told in found:
            assert letters(told) in lists, told
            seen[re.split(r"\W", told)[0]] += 1
    assert seen["Theorem"] > 30
    assert seen["Fig"] > 70


def test_the_site_links_to_it(pages: str) -> None:
    assert 'href="../collapse-companion.pdf"' in (SITE / "reproduce.html").read_text()
