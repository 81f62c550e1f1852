"""The tables that a reader types in: equal to derive, refused in words, handed on as Python and as
a link.
"""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, expect

import collapse
from collapse.explorers import tables, widgets
from tests.test_holding import browser, opened, static  # noqa: F401
from tests.test_widgets import STATIC, Visit, assert_shows, document, evaluate, numbers, relative

pytestmark = pytest.mark.book

HALF, THIRD = Fraction(1, 2), Fraction(1, 3)


def module() -> str:
    """The explorer's JavaScript, as it stands in a page."""
    files = ("collapse", "formulas", "parts", "tables")
    return "".join((STATIC / f"{name}.js").read_text() for name in files)


def random_text(rng: np.random.Generator) -> str:
    """Any tables that fit into the page, decimals among the fractions."""
    G = int(rng.integers(1, tables.MOST + 1))
    late = rng.integers(0, G, int(rng.integers(0, tables.MOST)))
    source = [0, *np.sort(late).tolist()] if rng.random() < 0.5 else [0, *late.tolist()]
    B = len(source)

    def row(entries: list[Fraction]) -> str:
        return " ".join(map(str, entries))

    size = [Fraction(int(rng.integers(1, 40)), int(rng.integers(1, 10))) for _ in source]
    weight, kept = [], []
    for g in range(G):
        parts = [int(rng.integers(0, 12)) * (s <= g) * (rng.random() < 0.7) for s in source]
        parts[0] += 1
        weight.append([Fraction(int(part), int(sum(parts))) for part in parts])
        kept.append([Fraction(int(rng.integers(1, 21)), 20) for _ in range(B)])
    read = "1" if rng.random() < 0.4 else "_".join(map(row, kept))
    sizes = row(size) if rng.random() < 0.5 else " ".join(f"{float(one):.3f}" for one in size)
    text = [row(source), sizes, "_".join(map(row, weight)), read, str(int(rng.random() < 0.3))]
    return "*".join(text)


def worst(browser: Browser, text: str, count: int) -> float:  # noqa: F811
    rng = np.random.default_rng(20260201)
    asked = [random_text(rng) for _ in range(count)]
    expression = """x.map(m.planOf).map((plan) => [Array.from(m.ratio(plan)), m.reference(plan),
        plan.rows.map((_, g) => Array.from(m.contributions(plan, g).batches))])"""
    found = evaluate(browser, text, expression, asked)
    worst = 0.0
    for line, (ratio, first, table) in zip(asked, found, strict=True):
        plan = tables.read(line)
        risk = collapse.derive(plan)
        worst = max(worst, relative(ratio, risk.ratio), relative(table, risk.contributions))
        worst = max(worst, abs(first / float(plan.reference()) - 1))
    return worst


def test_two_hundred_random_tables_are_those_of_derive(browser: Browser) -> None:  # noqa: F811
    assert worst(browser, module(), 200) < 1e-12


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("10n ** BigInt(part.length)", "1n"),
        ("kept: told.kept?.map(numbers)", "kept: undefined"),
        ("replace: told.replace,", "replace: false,"),
        ("size: numbers(told.size)", "size: told.size.map(() => 1)"),
    ],
)
def test_a_wrong_reading_is_caught(browser: Browser, right: str, wrong: str) -> None:  # noqa: F811
    assert module().count(right) == 1
    assert worst(browser, module().replace(right, wrong), 30) > 1e-3


BAD = [
    ("0 1*1 1*1 0_1/2 1/3*1*0", "The weights of fit 2 must add up to 1; they add up to 5/6."),
    ("0 2*1 1*1 0_1/2 1/2*1*0", "Fit 2 cannot read batch 2: it is drawn from fit 2"),
    ("0 1*1 0*1 0_1/2 1/2*1*0", "The rows of batch 2 must be a number above 0"),
    ("0 1*1 1*1 0_x 1/2*1*0", "Fit 2, batch 1: a weight is a number from 0 to 1"),
    ("0 1*1 1*1 0_-1 2*1*0", "Fit 2, batch 1: a weight is a number from 0 to 1"),
    ("0 1*1 1*1 0_1/2 1/2*1 1_1 3/2*0", "Fit 2, batch 2: a share kept is above 0 and at most 1"),
    ("0 1*1 1*1 0_1/2*1*0", "Each row must have an entry for each batch."),
    ("0 7*1 1*1 0_1 0*1*0", "Batch 2 must be drawn from the real world or from one of"),
]


def test_what_is_no_workflow_is_refused_in_words_here_and_there(browser: Browser) -> None:  # noqa: F811
    expression = """x.map((text) => { const [source, size, weight, kept] = text.split("*");
        const row = (one) => one.split(" ");
        return [m.planOf(text) === undefined, m.wrongIn({ source: row(source), size: row(size),
          weight: weight.split("_").map(row),
          kept: kept === "1" ? null : kept.split("_").map(row)}).words]; })"""
    found = evaluate(browser, module(), expression, [text for text, _ in BAD])
    for (text, expected), (refused, words) in zip(BAD, found, strict=True):
        assert refused
        assert words.startswith(expected)
        with pytest.raises(ValueError, match=r"\w"):
            tables.read(text)
    for text in ("", "0*1*1*1", 7, "0*1*1/0*1*0", "0*1*one*1*0"):
        with pytest.raises(ValueError, match="table must hold"):
            widgets.explorer("tables", table=text)
    with pytest.raises(ValueError, match="at most 16 fits and batches; it has 17 and 17"):
        tables.read(tables_of(17))


def tables_of(G: int) -> str:
    weight = "_".join(" ".join("1" if b == g else "0" for b in range(G)) for g in range(G))
    return f"{' '.join(map(str, range(G)))}*{' '.join('1' * G)}*{weight}*1*0"


def test_written_plans_are_read_again() -> None:
    known = dict(widgets.EXPLORERS["tables"].controls[0].starts)
    assert {"discard", "augment", "subsample", "window", "mixture"} <= set(known)
    for text in known.values():
        plan = tables.read(text)
        assert tables.read(tables.written(plan)) == plan
    assert tables.read(known["augment"]) == collapse.workflows.augment(tables.FITS)
    with pytest.raises(ValueError, match="has room for 16 fits and 16 batches; augment has 17"):
        tables.written(collapse.workflows.augment(17))
    with pytest.raises(ValueError, match="writes fractions, and fixed real share has floats"):
        tables.written(collapse.workflows.fixed_real_share(3, 0.3).replace(name="fixed real share"))


def cell(view: Any, fit: int, batch: int) -> Any:
    return view.get_by_label(f"Weight of batch {batch} in fit {fit}", exact=True)


def assert_right(view: Any) -> Any:
    fit = int(view.locator("[name=fit]").get_attribute("aria-valuetext"))
    text = view.locator("[name=table]").input_value()
    expected = widgets.explorer("tables", table=text, fit=fit)
    assert_shows(view, expected)
    return expected.plan


@pytest.fixture
def page(opened: Any) -> Any:  # noqa: F811
    table = "0 1 2*1 1 1*1 0 0_1/2 1/2 0_1/2 0 1/2*1*0"
    return opened(widgets.explorer("tables", table=table, fit=3))


def test_a_cell_is_typed(page: Any) -> None:
    view = page.locator(".collapse-explorer")
    before = numbers(view)
    assert before["ratio"] == pytest.approx(21 / 16, rel=1e-12)
    # by keys alone
    one = cell(view, 3, 3)
    one.focus()
    page.keyboard.press("Control+A")
    page.keyboard.type("3/4")
    refused = view.locator(".refused")
    expect(refused).to_contain_text("The weights of fit 3 must add up to 1; they add up to 5/4.")
    assert numbers(view) == before  # what is no workflow has no risk
    page.keyboard.press("Tab")
    view.get_by_role("button", name="Let the others make it 1").press("Enter")
    expect(refused).to_be_empty()
    expect(cell(view, 3, 1)).to_have_value("1/4")
    plan = assert_right(view)
    assert plan.exact_weight()[2].tolist() == [Fraction(1, 4), 0, Fraction(3, 4)]
    # rows of a batch, in decimals
    view.get_by_label("Rows of batch 3, in n", exact=True).fill("2.5")
    assert assert_right(view).exact_size().tolist() == [1, 1, Fraction(5, 2)]
    view.get_by_label("Rows of batch 3, in n", exact=True).fill("many")
    expect(refused).to_contain_text("The rows of batch 3 must be a number above 0")
    view.get_by_label("Rows of batch 3, in n", exact=True).fill("2")
    # where it is drawn from
    view.get_by_label("Batch 3 is drawn from").select_option("1")
    assert assert_right(view).source.tolist() == [0, 1, 1]
    # a batch that does not exist yet cannot be read
    expect(cell(view, 1, 2)).to_be_disabled()


def test_a_fill_is_drawn(page: Any) -> None:
    view = page.locator(".collapse-explorer")
    box = cell(view, 3, 3).bounding_box()
    x, y = box["x"], box["y"] + box["height"] / 2
    page.mouse.move(x + 0.5 * box["width"], y)
    page.mouse.down()
    seen = []
    for share in (0.7, 0.8, 0.9):
        page.mouse.move(x + share * box["width"], y)
        seen.append(assert_right(view).exact_weight()[2, 2])
    page.mouse.up()
    assert seen == [Fraction(7, 10), Fraction(4, 5), Fraction(9, 10)]
    assert page.evaluate("getSelection().toString()") == ""
    # a press without a move is for typing
    page.mouse.click(x + 10, y)
    expect(cell(view, 3, 3)).to_be_focused()
    assert assert_right(view).exact_weight()[2, 2] == Fraction(9, 10)


def test_fits_batches_and_draws_come_and_go(page: Any) -> None:
    view = page.locator(".collapse-explorer")
    view.get_by_role("button", name="+ fit").click()
    plan = assert_right(view)
    assert plan.exact_weight()[3].tolist() == [HALF, 0, 0, HALF]
    assert plan.source.tolist() == [0, 1, 2, 3]
    view.get_by_role("button", name="+ real batch").click()
    assert assert_right(view).source.tolist() == [0, 1, 2, 3, 0]
    view.get_by_text("fits read a part of a batch").click()
    view.get_by_label("Share of batch 4 that fit 4 reads", exact=True).fill("1/4")
    view.locator("[name=fit]").press("End")
    drawn = assert_right(view)
    assert drawn.exact_kept()[3, 3] == Fraction(1, 4)
    assert numbers(view)["draws"] == pytest.approx(0.75, rel=1e-12)
    view.get_by_text("rows are drawn with replacement").click()
    assert assert_right(view).replace
    view.get_by_role("button", name=re.compile("^. fit$")).nth(1).click()
    assert assert_right(view).generations == 3
    for name in ("mixture", "subsample", "discard"):
        view.get_by_label("Begin with").select_option(label=name)
        assert assert_right(view) == tables.read(dict(tables._starts())[name])
    for _ in range(12):
        view.get_by_role("button", name="+ fit").click()
    assert assert_right(view).generations == tables.MOST


def test_it_is_handed_on_as_python_and_as_a_link(page: Any, browser: Browser) -> None:  # noqa: F811
    view = page.locator(".collapse-explorer")
    view.get_by_text("fits read a part of a batch").click()
    view.get_by_label("Share of batch 1 that fit 2 reads", exact=True).fill("0.4")
    plan = assert_right(view)
    view.get_by_text("As Python").click()
    made: dict[str, Any] = {}
    exec(view.locator("pre").inner_text(), made)  # noqa: S102
    assert made["plan"] == plan
    page.wait_for_function("location.hash.includes('table=')")
    other = Visit(browser, page.url)
    assert assert_right(other.page.locator(".collapse-explorer")) == plan
    # a link that holds no workflow is passed over
    other.page.evaluate("location.hash = 'explorer-tables?table=0*1*2*1*0&fit=2'")
    expect(other.page.locator("[name=fit]")).to_have_attribute("aria-valuetext", "2")
    assert assert_right(other.page.locator(".collapse-explorer")) == plan
    other.close()


def test_a_finger_draws_a_fill(opened: Any) -> None:  # noqa: F811
    page = opened(widgets.explorer("tables"), width=360, has_touch=True, is_mobile=True)
    view = page.locator(".collapse-explorer")
    fingers = page.context.new_cdp_session(page)
    box = cell(view, 2, 1).bounding_box()
    x, y = box["x"], box["y"] + box["height"] / 2
    for number, share in enumerate((0.2, 0.3, 0.4, 0.5)):
        points = [{"x": x + share * box["width"], "y": y}]
        kind = "touchMove" if number else "touchStart"
        fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    fingers.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    assert assert_right(view).exact_weight()[1, 0] == HALF
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_cells_are_large_enough_and_named(opened: Any, tmp_path: Path) -> None:  # noqa: F811
    page = opened(widgets.explorer("tables"), width=360)
    assert "Weight of batch" in document(widgets.explorer("tables"))
    sizes = page.locator(".collapse-explorer").evaluate(
        "(view) => [...view.querySelectorAll('input:not([type=hidden]), select, button, summary')]"
        ".filter((e) => e.checkVisibility()).map((e) => e.getBoundingClientRect())"
        ".map((r) => Math.min(r.width, r.height))"
    )
    assert len(sizes) > 50
    assert min(sizes) >= 24
    unnamed = page.locator(".cells :is(input, select):not([aria-label])")
    assert unnamed.count() == 0
