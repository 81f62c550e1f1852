"""The search: what comes first, and where its field stands. The network is blocked, and most of it
happens in a site that was opened as a file.
"""

import re

import pytest

FIRST = {
    "pi^2/6": "origin",
    "π²/6": "origin",
    "Basel": "origin",
    "LLM": "audit",
    "large language models": "audit",
    "Reservoir of rows": "zoo",
    "retention policy": "policy",
    "cost of a policy": "policy",
    "golden ratio": "golden",
    "golden section": "golden",
    "Le Cam's third lemma": "gaussian",
    "contiguity": "gaussian",
    "Hodges": "gaussian",
    "Bradley-Terry": "ranking",
    "league table": "ranking",
    "no estimate": "separation",
    "Firth": "separation",
    "audit my own runs": "audit",
    "forecast for my own data": "forecast",
    "hidden Markov": "latent",
    "survival": "latent",
    "Morris": "exact",
    "how far is the limit": "second",
    "ecosystem": "ecosystems",
    "how large a synthetic batch": "golden",
    "human preference": "selection",
    "RLHF": "selection",
    "UCI": "uci",
    "CLIP features": "features",
    "wrong model": "misspecified",
    "lower bound": "bounds",
    "uniform maximum": "breaking",
    "weights of a plan as a table": "tables",
    "generalized linear models": "glm",
    "add a model of my own": "addmodel",
    "from_estimator": "api/adapters",
    "derive": "api/answers",
    "collapse.simulate": "api/answers",
    "notation": "notation",
    "glossary": "notation",
}
LATER = ("book/bibliography.html", "book/lists.html", "book/crosswalk.html")


@pytest.fixture
def searcher(site, visit):
    reader = visit(site.as_uri(), "search.html")
    reader.open().tab.wait_for_function("window.collapseSearch !== undefined")
    yield reader.tab
    assert reader.troubles == []


def test_the_page_that_answers_comes_first(searcher):
    found = searcher.evaluate(
        "questions => questions.map(one => window.collapseSearch(one).map(hit => hit[0]))",
        list(FIRST),
    )
    first = {question: hits[0] for question, hits in zip(FIRST, found, strict=True)}
    assert first == {question: f"book/{page}.html" for question, page in FIRST.items()}
    assert any(set(hits) & set(LATER) for hits in found)  # they are searched too


def test_signs_and_spellings_are_alike(searcher):
    for alike in (
        ("pi^2/6", "π²/6", "\\pi^2/6", "PI2/6"),
        ("generalised", "generalized"),
        ("LLM", "llms", "language model"),
        ("Le Cam\u2019s lemma", "le cam's lemma"),
    ):
        hits = [searcher.evaluate("one => window.collapseSearch(one)[0][0]", one) for one in alike]
        assert len(set(hits)) == 1, alike
    assert searcher.evaluate("window.collapseSearch('zxqv')") == []


def test_neither_code_nor_tex_is_searched(site, searcher):
    text = (site / "_static" / "sections.js").read_text(encoding="utf-8")
    assert not re.search(r"\\\\(frac|pi|theta|operatorname|sum)\b|import numpy|glue:text", text)
    assert "π²/6" in text
    for code in ("linewidth", "tolist", "\\operatorname"):
        assert searcher.evaluate("one => window.collapseSearch(one)", code) == [], code


def test_results_say_where_and_lead_there(searcher):
    field = searcher.locator(".bd-search-container input")
    field.fill("third lemma")  # as it is typed
    first = searcher.locator("ul.search li").first
    assert first.locator("a").first.inner_text().startswith("Why Gaussian")
    assert "third lemma" in first.locator(".context").inner_text().lower()
    assert first.locator(".context strong").count() >= 2
    assert searcher.locator("[role=status]").inner_text().endswith(".")
    link = first.locator(".sections a").first
    heading = link.inner_text()
    link.click()
    searcher.wait_for_url("**/book/gaussian.html?highlight=*#*")
    there = searcher.evaluate("document.querySelector(location.hash).innerText")
    assert heading in there
    searcher.locator("article .highlighted").first.wait_for()


def test_the_field_stays_in_view_on_a_desktop(site, visit):
    reader = visit(site.as_uri(), "book/bibliography.html").open()
    pages, field = ".sidebar-primary-item:has(nav.bd-links)", ".search-button-field"
    bar, field = reader.tab.locator(pages), reader.tab.locator(field)
    bar.evaluate("bar => bar.scrollTo(0, bar.scrollHeight)")
    assert bar.evaluate("bar => bar.scrollTop") > 300
    box = field.bounding_box()
    assert 0 <= box["y"] < 300
    # and nothing of the list of pages shows through
    assert field.evaluate(
        "field => { const box = field.getBoundingClientRect();"
        " return field.contains(document.elementFromPoint(box.left + 20, box.top + 8)); }"
    )
    field.click()
    reader.tab.locator("#pst-search-dialog input").wait_for()
