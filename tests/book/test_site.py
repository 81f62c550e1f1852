"""The site as a whole: what a first visit costs, search, the ways in and out of it."""

import json
import re
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
import yaml
from fontTools.ttLib import TTFont

from collapse.explorers import widgets

from .conftest import SITE
from .test_pages import CHAPTERS, MOVED, soup

ROOT = Path(__file__).resolve().parents[2]
ALIVE = 480_000  # bytes until an explorer answers: 4 s at a megabit a second
PAINTED = 120_000  # bytes that the first paint waits for
CONFIGURATION = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
EXPLORERS = [page for page in CHAPTERS if soup(page).select(".collapse-explorer-host")]


def test_the_root_sends_readers_to_the_first_page(site, address, visit):
    entered = visit(address, "index.html")
    entered.tab.goto(entered.address)
    entered.tab.wait_for_url("**/book/index.html")
    assert entered.tab.locator("article h1").count() == 1


PLACES = {
    "sizes": "thm-sizes-often",
    "glossary": "term-house-unit",
    "status": "what-each-chapter-took",
}
"""A place that each page had that is gone, where the one that took it in has it."""


@pytest.mark.parametrize("offline", [True, False])
def test_old_addresses_send_readers_to_the_same_place(site, address, visit, offline):
    assert MOVED["book/sizes.html"] == "book/golden.html"
    for old, new in MOVED.items():
        fragment = PLACES[Path(old).stem]
        reader = visit(site.as_uri() if offline else address, old)
        reader.tab.goto(f"{reader.address}#{fragment}")
        reader.tab.wait_for_url(f"**/{new}#{fragment}")
        assert reader.tab.locator(f"[id='{fragment}']").is_visible()
        # and without a script
        sent = soup(old)
        for link in (sent.a, sent.select_one("link[rel=canonical]")):
            assert link["href"].endswith(Path(new).name)
        assert sent.select_one("meta[http-equiv]")["content"] == f"0; url={Path(new).name}"


@pytest.mark.parametrize("page", EXPLORERS)
def test_an_explorer_answers_before_much_has_come(address, visit, page):
    seen = visit(address, page)
    # pictures and type that come meanwhile are not waited for, and how many do depends on the line
    late = ("image", "font")
    seen.tab.route(
        "**/*",
        lambda route: route.abort() if route.request.resource_type in late else route.continue_(),
    )
    seen.tab.goto(seen.address, wait_until="commit")
    handle = seen.tab.locator(".collapse-explorer input[type=range]:visible").first
    handle.wait_for()
    before = seen.tab.locator(".collapse-explorer").first.inner_text()
    handle.press("Home" if handle.evaluate("handle => handle.value === handle.max") else "End")
    seen.tab.wait_for_function(
        "before => document.querySelector('.collapse-explorer').innerText !== before", arg=before
    )
    assert sum(seen.weights.values()) <= ALIVE


@pytest.mark.parametrize("page", CHAPTERS)
def test_the_first_paint_waits_for_little(address, visit, page):
    seen = visit(address, page)
    seen.tab.goto(seen.address)
    blocking = seen.tab.evaluate(
        """() => performance.getEntriesByType('resource')
          .filter(entry => entry.renderBlockingStatus === 'blocking')
            .map(entry => [entry.name, entry.encodedBodySize])"""
    )
    assert all(url.startswith(address) for url, _ in blocking)
    assert 0 < sum(size for _, size in blocking) <= PAINTED


@pytest.mark.parametrize("over", ["http", "file"])
def test_search_finds_without_a_server_of_its_own(site, address, visit, over):
    home = address if over == "http" else site.as_uri()
    reader = visit(home, "book/origin.html").open()
    tab = reader.tab
    tab.keyboard.press("Control+k")
    tab.locator("#pst-search-dialog input").fill("reservoir")
    tab.keyboard.press("Enter")
    found = tab.locator("ul.search li a")
    found.first.wait_for()
    tab.wait_for_function("document.querySelector('.search-summary').innerText.includes('found')")
    if over == "http":
        tab.locator("ul.search li p.context").first.wait_for()
    found.first.click()
    tab.wait_for_url("**/book/*.html*")
    assert "reservoir" in tab.locator("article").inner_text().lower()
    assert reader.troubles == []


def test_the_projector_view_has_larger_type_and_no_side_bars(address, visit):
    reader = visit(address, "book/origin.html?view=projector").open()
    tab = reader.tab
    line = tab.locator("article p").first

    bars = tab.locator("#pst-primary-sidebar, #pst-secondary-sidebar")
    size = "p => parseFloat(getComputedStyle(p).fontSize) * p.currentCSSZoom"
    large = line.evaluate(size)
    assert not any(bar.is_visible() for bar in bars.all())
    assert tab.evaluate("document.documentElement.scrollWidth") <= reader.width
    # it stays from page to page, until the button is pressed
    tab.locator("a.right-next").click()
    tab.wait_for_url("**/book/*.html")
    assert not any(bar.is_visible() for bar in bars.all())
    tab.get_by_role("button", name="Projector view").click()
    assert all(bar.is_visible() for bar in bars.all())
    assert large > 1.3 * line.evaluate(size)
    assert reader.troubles == []


def test_icons_have_glyphs(site, address, visit):
    reader = visit(address, "book/origin.html").open()
    shown = reader.tab.evaluate(
        "[...document.querySelectorAll('[class*=\"fa-\"]')].map(icon => getComputedStyle(icon,"
        " '::before').content)"
    )
    assert len(shown) > 10
    with TTFont(next((site / "_static" / "vendor").rglob("*.woff"))) as font:
        glyphs = font.getBestCmap()
    assert [icon for icon in shown if ord(icon.strip('"')) not in glyphs] == []


def test_nothing_is_left_of_what_pages_do_not_use(site):
    names = {path.relative_to(site).as_posix() for path in (site / "_static").rglob("*")}
    assert not [
        name
        for name in names
        if re.search(r"thebe|hypothesis|fontawesome\.js|mathjax/(tex-|mml-|sre|ui)", name)
    ]
    for page in CHAPTERS:
        text = (site / page).read_text(encoding="utf-8")
        assert not re.search(r"fontawesome\.js|thebe|ethical-ad|readthedocs", text), page


def test_pages_lead_to_the_public_address_or_to_none(site):
    """Where no address is set, no page shows a link that leads nowhere; where one is, chapters open
    in Binder as notebooks.
    """
    url, launched = CONFIGURATION["repository"]["url"], 0
    for page in CHAPTERS:
        document = soup(page)
        links = [a["href"] for a in document.select(".dropdown-launch-buttons a")]
        code = bool(document.select("article .cell"))
        assert len(links) == int(bool(url) and code), page
        assert bool(document.select(".dropdown-source-buttons")) == bool(url), page
        for link in links:
            source = unquote(re.search(r"[?&]urlpath=lab/tree/([^&]+)$", link)[1])
            assert source == page.replace(".html", ".md")
        if code:
            header = (ROOT / page.replace(".html", ".md")).read_text(encoding="utf-8")
            assert "format_name: myst" in header.split("---")[1]
            assert "name: python3" in header.split("---")[1]
            launched += 1
        if not url:
            text = (site / page).read_text(encoding="utf-8")
            assert not re.search(r'example\.org|mybinder|rel="canonical"|og:url', text), page
    assert launched > 10
    assert (site / "sitemap.xml").is_file() == bool(CONFIGURATION["html"]["baseurl"])


def test_figures_have_stable_addresses(site):
    records = json.loads((site / "figures" / "manifest.json").read_text())
    for page in CHAPTERS:
        for shown in soup(page).select("figure.bundle"):
            label = shown["id"].removeprefix("fig-")
            assert records[label]["page"] == page
            addresses = {a["href"] for a in shown.select(".bundle-downloads a")} | {
                image["src"] for image in shown.select("img")
            }
            plain = {f"{label}.{kind}" for kind in ("png", "pdf", "svg", "csv", "json")} | {
                f"{label}-dark.png"
            }
            assert {address.rpartition("/")[2] for address in addresses} == plain
            assert {
                (SITE / page).parent.joinpath(address).resolve().parent for address in addresses
            } == {site / "figures"}


def number_or_word(text):
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(text, text)


def test_links_that_set_an_explorer_make_sense(site, monkeypatch):
    monkeypatch.setenv("COLLAPSE_STATIC", "1")
    fragments = [
        unquote(urlsplit(a["href"]).fragment)
        for page in CHAPTERS
        for a in soup(page).select("article a[href*='#explorer-']")
    ]
    assert len(fragments) >= 6
    for fragment in fragments:
        name, _, state = fragment.removeprefix("explorer-").partition("?")
        # a value that the explorer does not know is an error here; in the page it would be passed
        # over without a word
        widgets.explorer(
            name,
            **{
                control: number_or_word(text)
                for control, text in parse_qsl(state, strict_parsing=True)
            },
        )
