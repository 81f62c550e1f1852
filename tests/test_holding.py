"""Explorers that are taken hold of: rings in their drawings by mouse, by touch and by single
presses; values read by pointing and by keys; addresses of whole pages; a thousand generations.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, expect, sync_playwright

import collapse
from collapse.explorers import record, widgets
from tests.test_widgets import (
    CHROMIUM,
    Visit,
    assert_shows,
    document,
    evaluate,
    module,
    numbers,
    plan_of,
    random_plan,
    relative,
    tables,
)

pytestmark = pytest.mark.book

RINGS: list[tuple[str, dict[str, Any], str, tuple[int, int]]] = [
    ("workflow", {"workflow": "subsample"}, "generations", (-90, 0)),
    ("workflow", {"workflow": "discard", "generations": 20}, "generations", (60, 0)),
    ("squares", {}, "generation", (70, 0)),
    ("dial", {}, "share", (60, 0)),
    ("bill", {"workflow": "discard"}, "generations", (-150, 0)),
    ("bill", {"workflow": "discard"}, "test_rows", (0, 40)),
    ("fan", {"generation": 30}, "generation", (-120, 0)),
    ("morph", {}, "share", (0, 60)),
    ("morph", {"share": 1.0, "n": 10}, "n", (0, 60)),
    ("tilt", {}, "h", (-80, 0)),
    ("words", {}, "generation", (60, 0)),
    ("tables", {}, "fit", (-120, 0)),
    ("bands", {"generation": 40}, "generation", (-90, 0)),
    ("survival", {"generation": 20}, "generation", (90, 0)),
    ("forecast", {"workflow": "window"}, "generations", (-90, 0)),
    ("forecast", {"row": 31}, "lift", (0, -40)),
]
"""Explorer, its state, the control of a ring, and how far the ring is drawn."""
PRECISION = {"tilt": 1e-9, "audit": 1e-7}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture(autouse=True)
def static(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLLAPSE_STATIC", "1")
    monkeypatch.setattr(widgets, "_still", lambda *_: b"")


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Iterator[Any]:
    """Open a page of explorers from a file; it asks for nothing and complains of nothing."""
    visits = []

    def start(*views: Any, width: int = 760, **options: Any) -> Any:
        path = tmp_path / "page.html"
        path.write_text(document(*views))
        visits.append(Visit(browser, path.as_uri(), width=width, **options))
        return visits[-1].page

    yield start
    for visit in visits:
        visit.close()


def state_of(view: Locator, kind: record.Explorer) -> dict[str, Any]:
    """What the controls stand at."""
    state: dict[str, Any] = {}
    for control in kind.controls:
        handle = view.locator(f"[name={control.name}]")
        if control.kind in ("choice", "tables", "losses"):
            state[control.name] = handle.input_value()
        elif control.kind == "switch":
            state[control.name] = handle.is_checked()
        elif control.kind == "seed":
            state[control.name] = int(view.locator(".seed .value").inner_text().split()[-1])
        else:
            text = handle.get_attribute("aria-valuetext") or ""
            at = float(handle.input_value())
            value = control.values[int(at)] if control.values else at
            # a whole number may stand between the stops of its slider
            if control.kind == "slider" and type(control.default) is int:
                value = int(text.replace(",", "").replace("\N{MINUS SIGN}", "-"))
            state[control.name] = type(control.default)(value)
    return state


def assert_right(view: Locator, name: str) -> dict[str, Any]:
    kind = widgets.EXPLORERS[name]
    state = state_of(view, kind)
    answer = kind.answer({**kind.data(), **kind.check(state)})
    precision = PRECISION.get(name, 1e-12)
    shown = numbers(view)
    assert shown
    for key, value in shown.items():
        assert value == pytest.approx(answer[key], rel=precision, abs=precision / 10), key
    return state


def centre(ring: Locator) -> tuple[float, float]:
    box = ring.locator(".ring").bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def ring_of(view: Locator, control: str) -> Locator:
    return view.locator(f".grip[data-control={control}]").first


@pytest.mark.parametrize(("name", "state", "control", "far"), RINGS)
def test_a_ring_follows_the_mouse(
    opened: Any, name: str, state: dict[str, Any], control: str, far: tuple[int, int]
) -> None:
    page = opened(widgets.explorer(name, **state))
    view = page.locator(".collapse-explorer")
    ring = ring_of(view, control)
    ring.scroll_into_view_if_needed()
    before = assert_right(view, name)
    x, y = centre(ring)
    page.mouse.move(x, y)
    cursor = view.locator(".picture").evaluate("picture => picture.style.cursor")
    assert cursor == ("ns-resize" if far[1] else "ew-resize")
    page.mouse.down()
    assert state_of(view, widgets.EXPLORERS[name]) == before  # taken by the rim, it does not jump
    seen = []
    for step in (0.4, 0.7, 1.0):
        page.mouse.move(x + step * far[0], y + step * far[1])
        seen.append(assert_right(view, name)[control])
        moved = centre(ring_of(view, control))
        # beyond the end of an axis the axis grows
        beyond = state.get("generations") == 20
        assert abs(moved[0] - x - step * far[0]) < 14 or far[0] == 0 or beyond
    page.mouse.up()
    values = [before[control], *seen]
    assert len(set(values)) >= 3
    assert values in (sorted(values), sorted(values, reverse=True))
    # nothing else has moved, and no text was selected on the way
    after = state_of(view, widgets.EXPLORERS[name])
    assert {**after, control: None} == {**before, control: None}
    page.mouse.move(x - 40, y - 40)
    page.mouse.down()
    page.mouse.move(x - 200, y + 160)
    page.mouse.up()
    assert page.evaluate("getSelection().toString()") == ""
    assert_right(view, name)


def test_a_single_press_does_what_a_drag_does(opened: Any) -> None:
    page = opened(widgets.explorer("squares"), widgets.explorer("dial"))
    for name, control, share in (("squares", "generation", 0.5), ("dial", "share", 0.8)):
        view = page.locator(f"#explorer-{name} .collapse-explorer")
        box = view.locator("svg.held").first.bounding_box()
        page.mouse.click(box["x"] + share * box["width"], box["y"] + 120)
        state = assert_right(view, name)
        ring = centre(ring_of(view, control))
        assert abs(ring[0] - box["x"] - share * box["width"]) < 5
        assert state[control] != widgets.EXPLORERS[name].check({})[control]


def test_a_finger_drags_taps_and_still_scrolls(opened: Any) -> None:
    views = [widgets.explorer(name) for name in ("workflow", "dial")]
    page = opened(*views, width=360, has_touch=True, is_mobile=True)
    fingers = page.context.new_cdp_session(page)

    def touch(kind: str, x: float = 0, y: float = 0) -> None:
        points = [] if kind == "touchEnd" else [{"x": x, "y": y}]
        fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    view = page.locator("#explorer-workflow .collapse-explorer")
    ring = ring_of(view, "generations")
    ring.scroll_into_view_if_needed()
    x, y = centre(ring)
    touch("touchStart", x, y)
    for step in range(1, 7):
        touch("touchMove", x - 20 * step, y)
    touch("touchEnd")
    dragged = assert_right(view, "workflow")["generations"]
    assert 20 < dragged < 35
    # a tap
    box = view.locator("svg.held").first.bounding_box()
    page.touchscreen.tap(box["x"] + 0.4 * box["width"], box["y"] + 100)
    tapped = assert_right(view, "workflow")["generations"]
    assert tapped < dragged
    expect(view.locator("svg.held .reading text")).to_contain_text("generation ")
    bars = view.locator("svg:not(.held)").first.bounding_box()
    page.touchscreen.tap(bars["x"] + 0.5 * bars["width"], bars["y"] + 100)
    expect(view.locator("svg:not(.held) .reading text")).to_contain_text("generation ")
    # a finger that goes up scrolls the page and moves nothing
    scrolled = page.evaluate("scrollY")
    x, y = box["x"] + 200, box["y"] + 100
    touch("touchStart", x, y)
    for step in range(1, 8):
        touch("touchMove", x, y - 20 * step)
    touch("touchEnd")
    page.wait_for_function("from => scrollY > from + 50", arg=scrolled)
    assert assert_right(view, "workflow")["generations"] == tapped
    # but a ring that moves up and down is taken
    dial = page.locator("#explorer-dial .collapse-explorer")
    ring = dial.locator(".grip.upright")
    ring.scroll_into_view_if_needed()
    x, y = centre(ring)
    scrolled = page.evaluate("scrollY")
    touch("touchStart", x, y)
    for step in range(1, 7):
        touch("touchMove", x, y + 10 * step)
    touch("touchEnd")
    assert assert_right(dial, "dial")["share"] > 0.1
    assert page.evaluate("scrollY") == scrolled


def test_values_are_read_by_pointing_and_by_keys(opened: Any) -> None:
    view_of = widgets.explorer("workflow", workflow="augment")
    page = opened(view_of)
    view = page.locator(".collapse-explorer")
    curve = view_of.curve

    def assert_read() -> int:
        text = view.locator(".reading text").first.text_content()
        told = re.fullmatch(r"generation (\d+): ratio ([\d.]+), 1,000 rows worth ([\d,]+)", text)
        g = int(told[1])
        assert float(told[2]) == pytest.approx(curve[g - 1], rel=1e-4)
        assert int(told[3].replace(",", "")) == pytest.approx(1000 / curve[g - 1], abs=0.6)
        return g

    box = view.locator("svg").first.bounding_box()
    found = []
    for share in (0.3, 0.6):
        page.mouse.move(box["x"] + share * box["width"], box["y"] + 100)
        found.append(assert_read())
    assert found[0] < found[1]
    page.mouse.move(5, 5)
    expect(view.locator(".reading")).to_have_count(0)

    view.locator("input[type=range]:visible").last.focus()
    picture = view.locator(".picture")
    for _ in range(4):
        page.keyboard.press("Tab")
        if picture.evaluate("picture => picture === document.activeElement"):
            break
    expect(picture).to_be_focused()
    page.keyboard.press("ArrowRight")
    assert assert_read() == 1
    page.keyboard.press("PageDown")
    assert assert_read() == 11
    expect(view.get_by_role("status")).to_contain_text("generation 11: ratio 1.558")
    page.keyboard.press("End")
    assert assert_read() == 50
    page.keyboard.press("ArrowDown")  # to the drawing beside it
    expect(view.locator(".reading text")).to_contain_text("generation 50: ")
    page.keyboard.press("Tab")
    expect(view.locator(".reading")).to_have_count(0)


# losses that somebody logged have no course of their own to be played
@pytest.mark.parametrize("name", sorted(set(widgets.EXPLORERS) - {"audit"}))
def test_it_plays_and_pauses(opened: Any, name: str) -> None:
    page = opened(widgets.explorer(name))
    view = page.locator(".collapse-explorer")
    play = view.get_by_role("button", name=re.compile("^(Play|Pause): "))
    control = view.locator(".control:has(.play) input[type=range]")
    play.click()
    expect(play).to_have_text("Pause")
    first = control.input_value()
    page.wait_for_function(
        "([slider, first]) => slider.value !== first", arg=[control.element_handle(), first]
    )
    play.click()
    expect(play).to_have_text("Play")
    state = assert_right(view, name)
    page.evaluate("new Promise(resolve => setTimeout(resolve, 150))")
    assert state_of(view, widgets.EXPLORERS[name]) == state


def test_an_address_keeps_all_explorers_of_a_page(opened: Any, browser: Browser) -> None:
    page = opened(*(widgets.explorer(name) for name in ("workflow", "dial", "bill")))
    workflow, dial, _ = (page.locator(".collapse-explorer").nth(i) for i in range(3))
    workflow.get_by_label("Workflow", exact=True).select_option("window")
    page.wait_for_function("location.hash.includes('workflow=window')")
    dial.get_by_label("Weight on the real data", exact=True).fill("0.4")
    page.wait_for_function("location.hash.includes('share=0.4')")
    # the one that was moved last stands first
    assert re.fullmatch(r".*#explorer-dial\?share=0.4&size=1;explorer-workflow\?.*", page.url)
    assert "bill" not in page.url
    other = Visit(browser, page.url)
    for number, expected in enumerate(
        (
            widgets.explorer(workflow="window"),
            widgets.explorer("dial", share=0.4),
            widgets.explorer("bill"),
        )
    ):
        assert_shows(other.page.locator(".collapse-explorer").nth(number), expected)
    expect(other.page.locator("#explorer-dial .picture")).to_be_in_viewport()
    other.close()


# --- a thousand generations -----------------------------------------------------------------------

FORWARD = """x.map(m.dense).map((plan, i) => Array.from(m.curve(plan)))"""


def worst_forward(browser: Browser, text: str) -> float:
    rng = np.random.default_rng(20260110)
    plans = [random_plan(rng) for _ in range(60)]
    found = evaluate(browser, text, FORWARD, [tables(plan) for plan in plans])
    return max(
        relative(ratio, collapse.derive(plan).ratio)
        for plan, ratio in zip(plans, found, strict=True)
    )


def test_fits_read_forwards_are_those_of_derive(browser: Browser) -> None:
    assert worst_forward(browser, module()) < 1e-12


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("next[b] - factor * last[b]", "next[b] - last[b]"),
        ("sum[i] += more * from[i]", "sum[i] += from[i]"),
        ("fit[B + g] += 1", "fit[B] += 1"),
        ("(fit[b] * fit[b]) / plan.size[b]", "fit[b] * fit[b]"),
    ],
)
def test_a_wrong_step_forwards_is_caught(browser: Browser, right: str, wrong: str) -> None:
    assert module().count(right) == 1
    assert worst_forward(browser, module().replace(right, wrong)) > 1e-3


def test_a_thousand_generations_are_those_of_derive(browser: Browser) -> None:
    control = record.generations()
    limited = dict(control.limits)
    assert set(limited) == {"mixture", "ring", "star", "all_to_all"}
    asked = [
        (name, {**kind.defaults, **({"kept": 0.5} if kind.thinned else {})})
        for name, kind in collapse.workflows.NAMED.items()
        if name not in limited and name != "bootstrap"
    ]
    answers = evaluate(
        browser,
        module(),
        "x.map(([name, given]) => Array.from(m.curve(m.workflow(name, 1000, given))))",
        asked,
    )
    for (name, given), found in zip(asked, answers, strict=True):
        expected = collapse.derive(plan_of(name, 1000, given)).ratio
        assert relative(found, expected) < 1e-11, name
    assert control.values[-1] == 1000
