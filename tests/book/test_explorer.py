"""The explorers of the built site answer by themselves: over http and from files, by keyboard, without a word to another host."""

import re

import pytest

import collapse

from .conftest import SITE

PAGES = sorted(
    path.relative_to(SITE).as_posix()
    for path in SITE.rglob("*.html")
    if 'class="collapse-explorer-host"' in path.read_text(encoding="utf-8")
)


def test_there_is_an_explorer(site):
    assert PAGES


@pytest.mark.parametrize("over", ["http", "file"])
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1000])
@pytest.mark.parametrize("page", PAGES)
def test_answers_in_the_page(site, address, browser, page, width, theme, over):
    root = address if over == "http" else site.as_uri()
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme)
    tab = context.new_page()
    asked, complaints = [], []
    tab.on("request", lambda request: asked.append(request.url))
    tab.on("console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None)
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.goto(f"{root}/{page}")
    tab.wait_for_selector(".collapse-explorer .curve", state="attached")
    views = tab.locator(".collapse-explorer")
    assert views.count() == tab.locator(".collapse-explorer-host").count()

    for view in views.all():
        view.scroll_into_view_if_needed()
        view.get_by_label("Workflow").select_option("subsample")
        view.get_by_label("Share kept").fill("1")
        slider = view.get_by_label("Generations")
        slider.fill("99")
        slider.focus()
        tab.keyboard.press("ArrowRight")
        value = float(view.locator("data.excess").get_attribute("value"))
        assert value == pytest.approx(collapse.derive(collapse.workflows.subsample(100)).ratio[-1], rel=1e-12)
        assert "After 100 generations of subsample your 1,000 rows are worth 344" in view.locator("[aria-live]").inner_text()
        assert len(view.locator(".curve").get_attribute("points").split()) == 100
        # the sentence flows: no class of the theme turns a number in it into a block
        assert all(number.bounding_box()["width"] < 100 for number in view.locator("data").all())
        # the book's own style leaves the controls as they are, and the picture inside the column
        frame, column = view.locator("svg").bounding_box(), tab.locator("article").bounding_box()
        assert frame["x"] >= column["x"] - 1
        assert frame["x"] + frame["width"] <= min(column["x"] + column["width"], width) + 1
        assert frame["width"] > 0.8 * min(column["width"], width)
        assert all(control.bounding_box()["height"] >= 24 for control in view.locator("select, input").all() if control.is_visible())
        hue = view.locator(".curve").evaluate("(curve) => getComputedStyle(curve).stroke")
        assert hue == {"light": "rgb(0, 158, 115)", "dark": "rgb(47, 199, 154)"}[theme]

    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert [url for url in asked if not re.match(re.escape(root) + "|blob:|data:", url)] == []
    assert complaints == []
    context.close()
