"""Every page of the built site, as files and in a browser."""

import functools
import json
import re
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from axe_playwright_python.base import AXE_SCRIPT
from bs4 import BeautifulSoup

from .conftest import SITE

CONFIGURATION = yaml.safe_load((SITE.parents[1] / "_config.yml").read_text(encoding="utf-8"))
MOVED = {
    f"{old}.html": f"{new}.html"
    for old, new in CONFIGURATION["sphinx"]["config"]["moved_pages"].items()
}
PAGES = sorted(
    path.relative_to(SITE).as_posix()
    for path in SITE.rglob("*.html")
    if "_static" not in path.parts and path.relative_to(SITE).as_posix() not in MOVED
)
GENERATED = {
    "index.html",
    "search.html",
    "genindex.html",
    "py-modindex.html",
    "prf-prf.html",
}  # Sphinx's own
CHAPTERS = [page for page in PAGES if page not in GENERATED]

FIRST_VISIT = 700_000  # bytes, compressed

each_page = pytest.mark.parametrize("page", PAGES)
each_visited = pytest.mark.parametrize(
    "page", [page for page in PAGES if page != "index.html"]
)  # which sends readers on
each_chapter = pytest.mark.parametrize("page", CHAPTERS)


@functools.cache
def soup(page):
    """A page as parsed; tests only read it."""
    return BeautifulSoup((SITE / page).read_text(encoding="utf-8"), "html.parser")


@functools.cache
def identifiers(page):
    # an explorer's anchor is set as it starts; what follows it in an address is its state
    explorers = [
        json.loads(tag["data-explorer"])["name"]
        for tag in soup(page).find_all(attrs={"data-explorer": True})
    ]
    return {tag["id"] for tag in soup(page).find_all(id=True)} | {
        f"explorer-{name}" for name in explorers
    }


def test_there_are_pages(site):
    assert CHAPTERS


@each_chapter
def test_one_heading_and_what_it_must_not_show(site, page):
    article = soup(page).find("article")
    assert len(article.find_all("h1")) == 1
    text = "".join(
        piece
        for piece in article.find_all(string=True)
        if piece.find_parent(class_="output") or not piece.find_parent(["pre", "code"])
    )
    for unwanted in (
        "Traceback (most recent call last)",
        "{glue",
        "{numref}",
        "{eq}",
        "{doc}",
        "{prf:ref}",
        "{cite}",
        ":::",
    ):
        assert unwanted not in text


@each_page
def test_images_say_what_they_show(site, page):
    for image in soup(page).find_all("img"):
        # the browser's test sees the launch buttons' logos; in the text every picture has words
        if image.find_parent("article"):
            assert image.get("alt", "").strip(), image


@each_page
def test_links_and_files_exist(site, page):
    document = soup(page)
    addresses = [
        (tag.name, tag.get(name))
        for name in ("href", "src")
        for tag in document.find_all(attrs={name: True})
        if tag.get("rel") != ["canonical"]  # tells where the page stands, and is not followed
    ]
    addresses += [("source", source["srcset"]) for source in document.find_all("source")]
    for kind, address in addresses:
        parts = urlsplit(address)
        if parts.scheme or parts.netloc:
            # a reader may follow a link to another host; the page itself may not load anything from
            # there
            assert kind == "a" or parts.scheme == "data" or (kind, parts.netloc) == ("link", ""), (
                address
            )
            continue
        target = (SITE / page).parent / unquote(parts.path) if parts.path else SITE / page
        if target.is_dir():
            target /= "index.html"
        assert target.is_file(), address
        if (
            parts.fragment
            and target.suffix == ".html"
            and not parts.fragment.startswith("searchbox")
        ):
            assert unquote(parts.fragment).split("?")[0] in identifiers(
                target.resolve().relative_to(SITE).as_posix()
            ), address


def test_figures_are_complete(site):
    records = json.loads((site / "figures" / "manifest.json").read_text())
    assert records
    for label, record in records.items():
        assert {f"{label}.{kind}" for kind in ("png", "pdf", "svg", "csv")} <= set(record["files"])
        for name in (*record["files"], f"{label}.json"):
            assert (site / "figures" / name).stat().st_size > 0
        shown = soup(record["page"]).find(id=f"fig-{label}")
        assert shown.find("figcaption").get_text(strip=True)
        assert [a["href"].rsplit(".", 1)[1] for a in shown.select(".bundle-downloads a")] == [
            "png",
            "pdf",
            "svg",
            "csv",
            "json",
        ]
    assert {path.name for path in (site / "figures").iterdir()} == {"manifest.json"}.union(
        *(set(record["files"]) | {f"{label}.json"} for label, record in records.items())
    )


OVERFLOW = """() => [...document.querySelectorAll('article *')].filter(element => {
  if (!element.getClientRects().length
    || element.getBoundingClientRect().right <= window.innerWidth + 1) return false;
  for (let box = element.parentElement; box; box = box.parentElement)
    if (getComputedStyle(box).overflowX !== 'visible') return false;
  return true;
}).map(element => element.outerHTML.slice(0, 120))"""


# text whose contrast with what is behind it is below 4.5
CONTRAST = r"""() => {
  const channels = colour => colour.match(/[\d.]+/g).map(Number);
  const light = rgb => rgb.slice(0, 3).map(v => v / 255)
    .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = element => {
    for (let box = element; box; box = box.parentElement) {
      const rgba = channels(getComputedStyle(box).backgroundColor);
      if (rgba.length === 3 || rgba[3] > 0.99) return rgba;
    }
    return [255, 255, 255];
  };
  const poor = new Set();
  for (const element of document.querySelectorAll(
    'article :is(p, li, td, th, h1, h2, h3, a, summary, code, pre)')) {
    if (!element.getClientRects().length || !element.innerText.trim()) continue;
    const [a, b] = [light(channels(getComputedStyle(element).color)),
      light(ground(element))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) poor.add(element.tagName + ' ' + element.className + ': '
      + element.innerText.slice(0, 40));
  }
  return [...poor];
}"""


def assert_reads_well(visit, theme):
    tab, width = visit.tab, visit.width
    assert tab.evaluate("document.documentElement.dataset.theme") == theme
    text = tab.locator("article").inner_text()
    assert r"\(" not in text
    assert r"\[" not in text
    assert tab.locator("mjx-merror").count() == 0
    assert tab.locator(".math").count() <= tab.locator("mjx-container").count()
    # the picture of the theme is shown, the other is not
    # an explorer above a figure may stand for its picture
    figures = tab.locator("figure.bundle").evaluate_all(
        """figures => figures
          .filter(figure => !figure.closest('.shown-above')
            ?.previousElementSibling.querySelector('[role=img]'))
          .map(figure => [...figure.querySelectorAll('picture')]
            .filter(picture => picture.querySelector('img').offsetParent)
            .map(picture => [picture.className, picture.querySelector('img').currentSrc]))"""
    )
    for shown in figures:
        assert [name for name, _ in shown] == [f"bundle-{theme}"]
        assert ("-narrow" in shown[0][1]) == (width < 600)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert tab.evaluate(OVERFLOW) == []
    assert tab.evaluate(CONTRAST) == []


def assert_accessible(visit):
    # what is seen of a formula is a box of nameless boxes, hidden from readers of the screen: a
    # quarter of the time goes there in vain
    visit.tab.evaluate("""() => {
          const seen = [...document.querySelectorAll('mjx-math[aria-hidden=true]')];
          const sizes = seen.map(formula => formula.getBoundingClientRect());
          seen.forEach((formula, i) => {
            formula.replaceChildren();
            const {width, height} = sizes[i];
            formula.style.cssText += `display:inline-block;width:${width}px;height:${height}px`;
          });
        }""")
    found = visit.tab.evaluate(f"""() => {{ {AXE_SCRIPT}
          return axe.run({{preload: false, resultTypes: ['violations'], rules: {{
            'target-size': {{enabled: true}}, 'label-content-name-mismatch': {{enabled: true}}}}}});
        }}""")["violations"]
    assert [(rule["id"], node["html"][:120]) for rule in found for node in rule["nodes"]] == []


@each_visited
def test_over_http_on_a_wide_screen(site, address, visit, page):
    opened = visit(address, page, theme="dark").open()
    heaviest = sorted(opened.weights.items(), key=lambda item: -item[1])
    assert sum(opened.weights.values()) <= FIRST_VISIT, heaviest[:8]
    opened.unfold()
    if page in CHAPTERS:
        assert_reads_well(opened, "dark")
    opened.turn("light")
    if page in CHAPTERS:
        assert_reads_well(opened, "light")
    assert_accessible(opened)
    assert opened.troubles == []


@each_visited
def test_from_a_file_on_a_telephone(site, visit, page):
    opened = visit(site.as_uri(), page, theme="dark", width=360).open()
    opened.unfold()
    if page in CHAPTERS:
        assert_reads_well(opened, "dark")
    assert_accessible(opened)
    assert opened.troubles == []


def test_every_page_of_code_tells_how_it_was_made(site):
    for page in CHAPTERS:
        document = soup(page)
        if document.select("article .cell"):
            assert re.search(
                r"seed|no seed", document.select_one("article .colophon").get_text()
            ), page


def test_formulas_are_set_before_they_are_read(site, browser):
    """Without a script, by boxes of glyphs that stand on the line, with MathML for the ear."""
    assert not list((site / "_static" / "mathjax").rglob("*.js"))
    for page in PAGES:
        written = soup(page).select(".math")
        assert len(written) == len(soup(page).select(".math > mjx-container > mjx-math")), page
        assert len(written) == len(soup(page).select(".math mjx-assistive-mml math")), page
        assert not soup(page).select("script[src*=mathjax]"), page
    context = browser.new_context(java_script_enabled=False, viewport={"width": 360, "height": 780})
    tab = context.new_page()
    tab.goto((site / "book" / "gaussian.html").as_uri())
    sizes = tab.evaluate("""() => [...document.querySelectorAll('article .math mjx-math')]
      .filter(formula => formula.getClientRects().length)
      .map(formula => [formula.offsetWidth, formula.offsetHeight])""")
    assert len(sizes) > 100
    assert all(width > 3 and height > 3 for width, height in sizes)
    text = tab.locator("article").inner_text()
    assert r"\(" not in text
    assert r"\frac" not in text
    # a formula that is too wide scrolls in its own box
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360
    context.close()


def test_what_was_searched_for_stands_out_and_can_be_read(site, visit):
    for theme in ("dark", "light"):
        reader = visit(site.as_uri(), "book/origin.html?highlight=reservoir+discard", theme=theme)
        reader.open().tab.locator("article .highlighted").first.wait_for()
        found = reader.tab.locator("article .highlighted")
        assert found.count() > 5
        ground = found.first.evaluate("word => getComputedStyle(word).backgroundColor")
        assert ground != reader.tab.evaluate("getComputedStyle(document.body).backgroundColor")
        assert_accessible(reader)
