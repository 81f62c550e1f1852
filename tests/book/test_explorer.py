"""The explorers of the built site answer by themselves: over http and from files, by mouse and by
keyboard, without a word to another host.
"""

import json
import re

import pytest

from collapse.explorers import widgets

from .conftest import SITE

HOST = re.compile(r'class="collapse-explorer-host"')
PAGES = sorted(
    path.relative_to(SITE).as_posix()
    for path in SITE.rglob("*.html")
    if HOST.search(path.read_text(encoding="utf-8"))
)
EXPECTED = {
    "workflow": "book/zoo.html",
    "squares": "book/origin.html",
    "dial": "book/policy.html",
    "bill": "book/policy.html",
    "fan": "book/index.html",
    "morph": "book/universality.html",
    "tilt": "book/gaussian.html",
    "tables": "book/tables.html",
    "bands": "book/uci.html",
    "words": "book/lost.html",
    "survival": "book/separation.html",
    "forecast": "book/forecast.html",
    "audit": "book/audit.html",
}
# the tilt adds up some hundred thousand rows, here and there in another order; an audit inverts
# matrices
PRECISION = {"tilt": 1e-9, "audit": 1e-7}
# every page in both themes, both widths and both ways; from page to page in other company
VISITS = [
    (page, *visit)
    for number, page in enumerate(PAGES)
    for visit in [
        [("http", "light", 1280), ("file", "dark", 360)],
        [("http", "dark", 360), ("file", "light", 1280)],
        [("http", "dark", 1280), ("file", "light", 360)],
    ][number % 3]
]


def test_every_explorer_has_its_page(site):
    for name, page in EXPECTED.items():
        assert f"&quot;name&quot;: &quot;{name}&quot;" in (site / page).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_a_page_holds_each_file_once(site, page):
    text = (site / page).read_text(encoding="utf-8")
    parts = re.findall(r'data-collapse="(\w+)"', text)
    names = set(re.findall(r"data-explorer=\"\{&quot;name&quot;: &quot;(\w+)", text))
    assert sorted(parts) == sorted({"style", "collapse", "formulas", "parts", *names})
    assert (
        len(HOST.findall(text))
        == text.count("<noscript><p>This explorer")
        == text.count('class="collapse-still"')
    )


def state_of(view, kind):
    """What an explorer's controls stand at, read from the controls themselves."""
    state = {}
    for control in kind.controls:
        handle = view.locator(f"[name={control.name}]")
        if control.kind in ("choice", "tables", "losses"):
            state[control.name] = handle.input_value()
        elif control.kind == "switch":
            state[control.name] = handle.is_checked()
        elif control.kind == "seed":
            state[control.name] = int(view.locator(".seed .value").inner_text().split()[-1])
        else:
            at = float(handle.input_value())
            value = control.values[int(at)] if control.values else at
            # a whole number may stand between the stops of its slider
            told = (
                (handle.get_attribute("aria-valuetext") or "")
                .replace(",", "")
                .replace("\N{MINUS SIGN}", "-")
            )
            state[control.name] = int(told) if isinstance(control.default, int) else value
    return state


def numbers(view):
    found = view.locator(".summary data").evaluate_all(
        "(all) => all.map((data) => [data.dataset.name, Number(data.value)])"
    )
    return {name: float(value) for name, value in found}


def assert_right(view, kind):
    """The numbers shown are those that the package derives for the state that the controls show."""
    told = json.loads(
        view.locator("xpath=ancestor::*[@data-explorer]").get_attribute("data-explorer")
    )["data"]
    answer, shown = kind.answer({**told, **state_of(view, kind)}), numbers(view)
    precision = PRECISION.get(kind.name, 1e-12)
    assert shown
    for name, value in shown.items():
        assert value == pytest.approx(answer[name], rel=precision, abs=precision / 10), name
    return shown


@pytest.mark.parametrize(("page", "over", "theme", "width"), VISITS)
def test_answers_in_the_page(site, address, browser, page, width, theme, over):
    root = address if over == "http" else site.as_uri()
    window = {"width": width, "height": 900}
    # the home page's picture stands still until it is asked to move
    context = browser.new_context(viewport=window, color_scheme=theme, reduced_motion="reduce")
    tab = context.new_page()
    asked, complaints = [], []
    # the network is blocked: whatever is not of the site gets no answer
    tab.route(re.compile(f"^(?!{re.escape(root)}|blob:|data:)"), lambda route: route.abort())
    tab.on("request", lambda request: asked.append(request.url))
    tab.on(
        "console",
        lambda message: (
            complaints.append(message.text) if message.type in ("error", "warning") else None
        ),
    )
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.goto(f"{root}/{page}")
    hosts = tab.locator(".collapse-explorer-host")
    for host in hosts.all():
        host.locator(".summary data").first.wait_for()

    for host in hosts.all():
        name = re.fullmatch(r"explorer-([a-z]+)(-\d+)?", host.get_attribute("id"))[1]
        kind, view = widgets.EXPLORERS[name], host.locator(".collapse-explorer")
        view.scroll_into_view_if_needed()
        before = assert_right(view, kind)

        # by mouse: each slider in the middle and each button once; by keyboard: one step back, and
        # each choice
        for slider in view.locator("input[type=range]").all():
            if slider.is_visible():
                slider.click()
                assert_right(view, kind)
        button = view.locator("button.step:visible").last
        if button.count():
            button.click()
            assert_right(view, kind)
            slider = view.locator("input[type=range]:visible").last
            slider.focus()
            tab.keyboard.press("ArrowLeft")
            assert slider.evaluate("(slider) => getComputedStyle(slider).outlineStyle") == "solid"
            assert_right(view, kind)
        for select in view.locator("select").all():
            select.focus()
            tab.keyboard.press("End")
            assert_right(view, kind)
            tab.keyboard.press("Home")
        assert assert_right(view, kind) != before

        # the sentence flows: no class of the theme turns a number in it into a block
        assert all(
            number.bounding_box()["width"] < 120 for number in view.locator(".summary data").all()
        )
        # the book's own style leaves the controls as they are, and the pictures inside the column
        column = tab.locator("article").bounding_box()
        pictures = [svg.bounding_box() for svg in view.locator("svg").all()]
        assert sum(frame["width"] for frame in pictures) > 0.75 * min(column["width"], width)
        for frame in pictures:
            assert frame["x"] >= column["x"] - 1
            assert frame["x"] + frame["width"] <= min(column["x"] + column["width"], width) + 1
        assert view.evaluate("(view) => view.scrollWidth <= view.clientWidth")
        handles = [
            handle.bounding_box()
            for handle in view.locator("select:visible, input:visible, button:visible").all()
        ]
        assert min(min(box["width"], box["height"]) for box in handles) >= 24
        hue = view.locator(".controls").evaluate(
            "(panel) => getComputedStyle(panel).getPropertyValue('color')"
        )
        assert hue == {"light": "rgb(26, 26, 26)", "dark": "rgb(240, 240, 240)"}[theme]

    assert [url for url in asked if not url.startswith((root, "blob:", "data:"))] == []
    assert complaints == []
    context.close()


def test_the_share_kept_moves_in_the_page(address, browser):
    tab = browser.new_page()
    tab.goto(f"{address}/book/origin.html")
    view, kind = tab.locator("#explorer-workflow .collapse-explorer"), widgets.EXPLORERS["workflow"]
    whole = assert_right(view, kind)["ratio"]
    kept = view.get_by_label("Share kept", exact=True)
    kept.fill("0.5")
    assert assert_right(view, kind)["ratio"] > 1.4 * whole
    kept.focus()
    tab.keyboard.press("End")
    assert assert_right(view, kind)["ratio"] == pytest.approx(whole, rel=1e-12)
    # not every workflow has this handle; where there is none, its position is without effect
    kept.fill("0.5")
    view.get_by_label("Workflow", exact=True).select_option("mixture")
    kept.wait_for(state="hidden")
    assert_right(view, kind)
    tab.close()


def test_a_link_opens_a_view(address, browser):
    tab = browser.new_page()
    state = {"workflow": "window", "k": 7, "generation": 23}
    query = "&".join(f"{name}={value}" for name, value in state.items())
    tab.goto(f"{address}/{EXPECTED['squares']}#explorer-squares?{query}")
    view = tab.locator("#explorer-squares .collapse-explorer")
    view.locator(".summary data").first.wait_for()
    kind = widgets.EXPLORERS["squares"]
    assert state_of(view, kind) == kind.check(state)
    assert_right(view, kind)
    tab.wait_for_function(
        "document.getElementById('explorer-squares').getBoundingClientRect().top < innerHeight / 2"
    )
    tab.close()
