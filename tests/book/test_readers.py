"""What readers meet first, and on which page: the home page's first screen, a telephone, paper, the
road through the book, and what stands behind its words and links.
"""

import re
from itertools import pairwise

import pytest
from bs4 import BeautifulSoup

from .conftest import SITE
from .test_pages import CHAPTERS, soup

HOME = "book/index.html"
TELEPHONE = 360
STATED = [page for page in CHAPTERS if soup(page).select_one(".chapter-header")]
LONG = 12  # lines of code that stand open at most, but for a cell tagged `shown`

# what stands wholly in the window, of what is asked for
IN_VIEW = """selectors => selectors.map(selector => {
  const {top, bottom, left, right} = document.querySelector(selector).getBoundingClientRect();
  return top >= 0 && left >= 0 && bottom <= innerHeight && right <= innerWidth && bottom > top;
})"""

# the generations that the picture has shown, kept while it is made and played
WATCH = """() => {
  window.shown = [];
  new MutationObserver(() => {
    const value = document.querySelector('.opening + .cell .value')?.textContent;
    if (value && value !== window.shown.at(-1)) window.shown.push(value);
  }).observe(document, {childList: true, subtree: true, characterData: true});
}"""
ENDED = "() => document.querySelector('.play')?.textContent === 'Play' && shown.length > 49"

# boxes whose content is cut: whether a formula of a result is in it, whether its end fades, and
# whether a table in it keeps its first column
CUT = """() => [...document.querySelectorAll('article *')].flatMap(box => {
  if (box.closest('.collapse-explorer, mjx-container > *')) return [];
  const style = getComputedStyle(box);
  if (style.display === 'inline' || style.overflowX === 'visible') return [];
  if (!box.clientWidth || box.scrollWidth <= box.clientWidth + 1) return [];
  const first = box.querySelector('tr > :first-child');
  return [{
    formula: Boolean(box.matches('div.math, mjx-container')
      && box.closest('div.proof[id]:not(.argument)')),
    fades: style.maskImage !== 'none',
    kept: !first || getComputedStyle(first).position === 'sticky',
    what: box.outerHTML.slice(0, 150)}];
})"""


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 780)])
def test_the_first_screen_says_what_is_compared_and_shows_it(site, visit, width, height):
    reader = visit(site.as_uri(), HOME, width=width)
    reader.tab.set_viewport_size({"width": width, "height": height})
    tab = reader.open().tab
    parts = [".byline a", ".two-ways p:first-child", ".two-ways p:last-child"]
    parts += [f".doors a:nth-of-type({door})" for door in (1, 2, 3)]
    parts += [f".opening + .cell .picture svg:nth-of-type({panel})" for panel in (1, 2)]
    parts += [".opening + .cell .play", ".opening + .cell input[type=range]"]
    assert tab.evaluate(IN_VIEW, parts) == [True] * len(parts)
    discard, augment = tab.locator(".two-ways p").all_inner_texts()
    assert re.match(r"Discard trains .*after 50 .*worth 20\.", discard)
    assert re.match(r"Augment trains .*1\.645.*worth about 608\.", re.sub(r"\s+", " ", augment))
    assert "Dey and David Donoho" in tab.locator(".byline").inner_text()
    doors = [link.get_attribute("href") for link in tab.locator(".doors a").all()]
    assert doors == ["origin.html", "policy.html", "reproduce.html"]
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert tab.locator(".opening + .cell input[type=range]").bounding_box()["width"] > 150
    assert reader.troubles == []


def test_the_picture_plays_once_and_leaves_the_address_alone(site, visit):
    reader = visit(site.as_uri(), HOME, motion="no-preference")
    reader.tab.add_init_script(f"({WATCH})()")
    tab = reader.open().tab
    tab.wait_for_function(ENDED)
    shown = tab.evaluate("shown").copy()
    assert [int(value) for value in shown if value][-50:] == list(range(1, 51))
    assert len(shown) <= 51  # one picture before it moves
    assert "#" not in tab.url
    assert reader.troubles == []


def test_a_touch_stops_the_picture(site, visit):
    reader = visit(site.as_uri(), HOME, motion="no-preference")
    reader.tab.add_init_script(f"({WATCH})()")
    reader.tab.clock.install()  # the page's time, which passes only when it is told to
    reader.tab.goto(reader.address)
    button = reader.tab.locator(".play")
    while button.inner_text() != "Pause":
        reader.tab.clock.run_for(100)
    reader.tab.clock.run_for(1000)
    reader.tab.locator(".opening + .cell input[type=range]").press("ArrowLeft")
    assert button.inner_text() == "Play"
    stopped = reader.tab.evaluate("shown.length")
    reader.tab.clock.run_for(5000)
    assert 2 < stopped == reader.tab.evaluate("shown.length") < 50


def test_without_motion_the_picture_waits_for_its_button(site, visit):
    reader = visit(site.as_uri(), HOME)
    reader.tab.add_init_script(f"({WATCH})()")
    tab = reader.open().tab
    tab.wait_for_function("document.querySelector('.play')?.textContent === 'Play'")
    assert tab.evaluate("shown") == ["50"]
    tab.locator(".play").click()
    tab.wait_for_function(ENDED)
    assert [int(value) for value in tab.evaluate("shown")] == [50, *range(1, 51)]


def test_how_to_install_is_said_once_and_shown_three_times(site):
    boxes = [
        soup(f"book/{page}.html").select_one(".install") for page in ("index", "reproduce", "teach")
    ]
    assert len({box.get_text() for box in boxes}) == 1
    lines = boxes[0].select_one("pre").get_text().strip().splitlines()
    assert len(lines) == 3
    assert ["venv" in lines[0], "pip install" in lines[1], "collapse derive" in lines[2]]


@pytest.mark.parametrize("page", CHAPTERS)
def test_on_a_telephone_nothing_is_cut_without_a_sign(site, visit, page):
    reader = visit(site.as_uri(), page, width=TELEPHONE).open()
    reader.unfold()
    found = reader.tab.evaluate(CUT)
    assert [box["what"] for box in found if box["formula"]] == []
    assert [box["what"] for box in found if not (box["fades"] and box["kept"])] == []
    # what is scrolled to its end fades no more on that side
    for box in reader.tab.locator("article div.math.cut").all()[:1]:
        box.evaluate("box => box.scrollTo(box.scrollWidth, 0)")
        reader.tab.wait_for_function(
            "() => document.querySelector('article div.math.begun:not(.cut)')"
        )


@pytest.mark.parametrize("page", CHAPTERS)
def test_on_paper_all_is_light_and_proofs_are_open_and_nothing_is_cut(site, visit, page):
    reader = visit(site.as_uri(), page, theme="dark", width=720).open()
    tab = reader.tab
    folded = tab.locator("article details:not([open])").count()
    tab.emulate_media(media="print")
    tab.wait_for_function("document.documentElement.dataset.theme === 'light'")
    tab.wait_for_function("!document.querySelector('article details.sd-dropdown:not([open])')")
    assert not any(rest.is_visible() for rest in tab.locator("details:not([open])").all())
    for argument in tab.locator("article div.proof.argument").all():
        assert argument.is_visible()
    assert tab.evaluate(CUT) == []
    assert tab.evaluate("document.documentElement.scrollWidth") <= 720
    for unwanted in (".controls", ".prev-next-area", ".bundle-downloads", ".bd-sidebar-primary"):
        assert not any(part.is_visible() for part in tab.locator(unwanted).all()), unwanted
    for host in tab.locator(".collapse-explorer-host").all():
        beside = host.locator("xpath=ancestor::div[contains(@class, 'cell ')]/following-sibling::*")
        stands = beside.first.locator("picture.bundle-light img")
        still = stands if stands.count() == 1 else host.locator(".picture svg").first
        assert still.is_visible()
    ground = tab.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert ground in ("rgb(255, 255, 255)", "rgba(0, 0, 0, 0)")
    tab.emulate_media(media="screen")
    tab.wait_for_function("document.documentElement.dataset.theme === 'dark'")
    assert tab.locator("article details:not([open])").count() == folded


def test_minutes_grow_with_what_is_read(site):
    minutes = {}
    for page in STATED:
        found = re.search(r"Minutes (\d+)\.", soup(page).select_one(".chapter-header").get_text())
        minutes[page] = int(found[1])
    for page, told in minutes.items():
        article = BeautifulSoup(str(soup(page).article), "html.parser")
        for folded in article.select("details, script, style, noscript, .cell_output"):
            folded.decompose()
        words = len(article.get_text(" ").split())
        formulas = len(article.select(".math"))
        # between words alone, read fast, and all of it read slowly
        assert words / 300 - 1 <= told <= words / 100 + formulas / 4 + 2, (page, words, formulas)
    assert max(minutes.values()) > 3 * min(minutes.values())


@pytest.mark.parametrize("page", CHAPTERS)
def test_parameters_and_long_code_are_folded(page):
    for cell in soup(page).select("article .cell"):
        code = cell.select_one(".cell_input pre")
        if code is None or "tag_shown" in cell["class"]:
            continue
        folded = code.find_parent("details")
        if "tag_parameters" in cell["class"] or len(code.get_text().splitlines()) > LONG:
            assert folded is not None, code.get_text()[:80]
            assert not folded.has_attr("open")


def test_policy_begins_with_the_dial_the_decisions_and_the_models(site):
    heads = [head.get_text() for head in soup("book/policy.html").select("article h2")]
    wanted = ("Turn the dial", "What you can do", "Does this speak of my model?")
    assert [name in head for name, head in zip(wanted, heads, strict=False)] == [True] * 3
    page = str(soup("book/policy.html").article)
    first = page.index('class="proof proposition')
    assert page.index("explorer") < first
    assert page.index("fixed_real_share(share=1/10)") < first


def test_the_house_unit_is_defined_and_linked(site):
    defined = {term["id"] for term in soup("book/notation.html").select("dl.glossary dt[id]")}
    assert {"term-house-unit", "term-augment", "term-discard", "term-plan"} <= defined
    linked = [page for page in CHAPTERS if soup(page).select('a[href$="#term-house-unit"]')]
    assert len(linked) >= 7


def test_lists_hold_every_result_and_every_figure(site):
    lists = {link["href"] for link in soup("book/lists.html").select("article a")}
    for page in CHAPTERS:
        for part in soup(page).select("div.proof[id]:not(.argument), figure.bundle[id]"):
            assert f"{page.removeprefix('book/')}#{part['id']}" in lists


@pytest.mark.parametrize("over", ["http", "file"])
def test_links_to_results_and_works_show_them(site, address, visit, over):
    reader = visit(address if over == "http" else site.as_uri(), "book/universality.html").open()
    tab = reader.tab
    result = tab.locator("article a.reference.internal[href*='#thm-']").first
    result.hover()
    shown = tab.locator(".preview")
    shown.locator("mjx-container").first.wait_for()
    assert "Theorem" in shown.inner_text() or "Proposition" in shown.inner_text()
    tab.keyboard.press("Escape")
    shown.wait_for(state="detached")
    work = tab.locator("article a.reference.internal[href*='bibliography.html#']").first
    work.focus()
    shown.wait_for()
    assert "pathway in avoiding model collapse" in shown.inner_text().lower()
    assert work.get_attribute("aria-describedby") == "preview"
    assert reader.troubles == []


def test_paths_lead_from_page_to_page(site):
    home = soup(HOME).select_one(".reading-paths")
    paths = {item.strong.get_text(): item for item in home.select("li")}
    assert list(paths) == ["A first look", "An afternoon", "The whole book"]
    for name, item in paths.items():
        pages = [link["href"] for link in item.select("a")]
        for page, following in pairwise(pages):
            foot = soup(f"book/{page}").select_one(".next-steps")
            line = next(li for li in foot.select("li") if li.strong.get_text() == name)
            assert line.a["href"] == following
    for page in CHAPTERS:
        if page != HOME:
            assert "The whole book" in soup(page).select_one(".next-steps").get_text()


def test_the_licence_stands_at_every_foot(site):
    for page in CHAPTERS:
        link = soup(page).select_one("footer a[rel=license]")
        assert (SITE / page).parent.joinpath(link["href"]).read_text().startswith("MIT License")


def test_each_work_has_an_address_and_the_book_its_bibtex(site, visit):
    works = soup("book/bibliography.html").select("div.citation")
    assert len(works) > 60
    bare = [work for work in works if not work.select("a[href^=https]")]
    for work in bare:  # a classic whose address was not found says so
        assert re.search(r"No DOI|DOI not checked", work.get_text())
    assert len(bare) < len(works) / 20
    reader = visit(site.as_uri(), "book/bibliography.html").open()
    box = reader.tab.locator(".highlight-bibtex").first
    text = box.inner_text()
    assert text.startswith("@software{collapse-companion,")
    assert "title = {{Avoiding Model Collapse: an executable companion}}" in text
    assert re.search(r"year = \{20\d\d\}", text)
    box.hover()
    assert box.locator("button.copybtn").is_visible()


def test_the_table_of_formulas_is_whole_on_a_wide_screen(site, visit):
    tab = visit(site.as_uri(), "book/zoo.html").open().tab
    tab.wait_for_function("document.querySelector('td .broken')")
    boxes = tab.evaluate("""() => [...document.querySelectorAll('article .cell_output')]
      .filter(box => box.querySelector('table .math'))
      .map(box => [box.scrollWidth, box.clientWidth])""")
    assert boxes
    assert all(wide <= room + 1 for wide, room in boxes)
