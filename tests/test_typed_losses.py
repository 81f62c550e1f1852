"""Losses that a reader types in or draws: the page's audit is the package's, what is none is
refused in words, and it goes on as Python and as a link.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, expect

import collapse
from collapse.auditing import reading, study
from collapse.explorers import audit, widgets
from tests.test_holding import browser, opened, static  # noqa: F401
from tests.test_widgets import STATIC, Visit, assert_shows, evaluate, numbers, relative

pytestmark = pytest.mark.book

STARTS = dict(audit._starts())
ENCODER, DISCARD, PERPLEXITY, FOUR = STARTS.values()
SHORT = "loss*0.40 0.44 0.43"
CASES = [
    (ENCODER, "augment"),
    (DISCARD, "discard"),
    (PERPLEXITY, "fixed_real_share(share=1/2)"),
    (FOUR, "window(k=3)"),
    (SHORT, "mixture"),
    ("accuracy*0.9 0.88 0.85 .86_0.91 0.87 0.83 8.4e-1", "forgetting(memory=1/2)"),
    ("log-likelihood*-3.1 -3.2 -3.25 -3.3 -3.28", "fresh_real(share=1/2)"),
]


def module() -> str:
    """The explorer's JavaScript, as it stands in a page."""
    files = ("collapse", "formulas", "parts", "audit")
    return "".join((STATIC / f"{name}.js").read_text() for name in files)


def in_page(browser: Browser, text: str, cases: Any) -> Any:  # noqa: F811
    told = audit._data()
    asked = [
        {
            "losses": reading.to_losses(audit.read(line)[1], audit.read(line)[0]).tolist(),
            "rule": rule,
            "workflows": told["workflows"],
            "against": told["against"],
        }
        for line, rule in cases
    ]
    expression = """x.map((one) => { const told = m.audited(one);
        return { ...told, kept: told.kept.length, table: told.table.map(({ name, p, likelihood,
          ratio }) => [name, p, likelihood, ratio]) }; })"""
    return evaluate(browser, text, expression, asked)


def worst(browser: Browser, text: str, cases: Any) -> tuple[float, float]:  # noqa: F811
    """Largest relative error of what is fitted, and of what is simulated."""
    fitted, simulated = 0.0, 0.0
    for (line, rule), told in zip(cases, in_page(browser, text, cases), strict=True):
        answer, band = audit.audited(line, rule)
        for name in ("floor", "scale", "loss", "pace"):
            fitted = max(fitted, abs(told[name] / getattr(answer, name) - 1))
        fitted = max(fitted, relative(told["fitted"], answer.fitted))
        if [row[0] for row in told["table"]] != [row.name for row in answer.table]:
            return np.inf, np.inf
        for (_, p, likelihood, ratio), row in zip(told["table"], answer.table, strict=True):
            fitted = max(fitted, abs(likelihood - row.log_likelihood), abs(ratio / row.ratio - 1))
            simulated = max(simulated, abs(p - row.p_value))
        ends = [told[name] for name in ("low", "high", "lossLow", "lossHigh")]
        kept = [answer.scale_low, answer.scale_high, answer.loss_low, answer.loss_high]
        simulated = max(simulated, relative(ends, kept), relative(np.transpose(told["band"]), band))
        assert told.get("oddity") == answer.oddity
    return fitted, simulated


def test_the_audit_in_the_page_is_that_of_the_package(browser: Browser) -> None:  # noqa: F811
    fitted, simulated = worst(browser, module(), CASES)
    assert fitted < 1e-7
    assert simulated < 1e-6


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (
            "(2 / nu) * (c * c + linear * c), TOUCH)",
            "(2 / nu) * (c * c + 2 * linear * c), TOUCH)",
        ),
        ("const count = R * m - 1;", "const count = R * m;"),
        ("+ 0.5 * Math.log(ones), count, 1, out)", ", count, 1, out)"),
        ("(G / 2) * Math.log(nu / 2)", "G * Math.log(nu / 2)"),
        ("DOUBT + Math.max(...kept.map", "Math.max(...kept.map"),
        ("sum += a.fits[i] * b.fits[i] * noise[i];", ""),
    ],
)
def test_a_wrong_law_is_caught(browser: Browser, right: str, wrong: str) -> None:  # noqa: F811
    assert module().count(right) >= 1
    assert max(worst(browser, module().replace(right, wrong), CASES[2:3])) > 1e-5


def test_covariances_are_those_of_derive(browser: Browser) -> None:  # noqa: F811
    made = audit._data()["workflows"]
    found = evaluate(
        browser,
        module(),
        "x.map(([name, given]) => m.covariance(m.workflow(name, 20, given), [1, 2, 5, 9, 20])"
        ".map((row) => Array.from(row)))",
        list(made.values()),
    )
    at = np.array([1, 2, 5, 9, 20]) - 1
    for name, C in zip(made, found, strict=True):
        expected = collapse.derive(collapse.workflows.named(name, 20)).covariance
        assert relative(C, expected[np.ix_(at, at)]) < 1e-12


@pytest.mark.parametrize(("line", "rule"), CASES[:4])
def test_p_is_that_of_the_package_within_its_error(line: str, rule: str) -> None:
    """200 sets in a page, 400 in the package: four standard errors of the difference, and what the
    largest of many worlds adds.
    """
    metric, values = audit.read(line)
    told = study.audit(values, rule, metric=metric)
    answer, _ = audit.audited(line, rule)
    for row in told.table:
        p = next(one.p_value for one in answer.table if one.name == row.name)
        error = np.sqrt(row.p_value * (1 - row.p_value) * (1 / 200 + 1 / 400))
        assert abs(p - row.p_value) < 4 * error + 1 / 201
    assert answer.floor == told.floor
    assert answer.loss == told.loss


BAD = [
    ("loss", "0.4 0.5 abc", "“abc” is no number such as 0.41 or 4.1e-1."),
    ("loss", "0.4 0.5 NaN", "“NaN” is no number"),
    ("loss", "0.4", "at least 3 generations, such as 0.40 0.44 0.48; here is 1."),
    ("loss", "", "An audit needs the losses of at least 3 generations"),
    ("loss", "1 2 3\n1 2", "line 1 has 3, line 2 has 2."),
    ("perplexity", "27 -28 29", "A perplexity is greater than 0; in generation 2 it is -28."),
    ("accuracy", "0.9 0.8 7\n0.9 0.8 0.7", "is from 0 to 1; in generation 3 of run 1 it is 7."),
    ("loss", "2 2 2", "The losses are all the same"),
    ("loss", " ".join(map(str, range(21))), "Here is room for 20 generations and 8 runs"),
    ("loss", "1 2 1e300", "A loss is a finite number, below 1e100; in generation 3 it is 1e300."),
]  # fmt: skip


def test_what_cannot_be_audited_is_refused_in_one_sentence(opened: Any) -> None:  # noqa: F811
    page = opened(widgets.explorer("audit", losses=PERPLEXITY, rule="discard"))
    view = page.locator(".collapse-explorer")
    for metric, text, words in BAD:
        view.get_by_label("What was logged").select_option(metric)
        before = numbers(view)
        typed(view).fill(text)
        expect(view.locator(".refused")).to_contain_text(words)
        assert view.locator(".refused").inner_text().count(". ") == 0
        assert typed(view).input_value() == text  # what was typed stays
        assert numbers(view) == before
        with pytest.raises(ValueError, match=r"losses"):
            audit.read(f"{metric}*{'_'.join(text.splitlines())}")
    for text in ("", "0.1 0.2 0.3", "hope*0.1 0.2 0.3", 7):
        with pytest.raises(ValueError, match="losses must be what they are"):
            widgets.explorer("audit", losses=text)
    # put right, it answers again
    view.get_by_label("What was logged").select_option("loss")
    typed(view).fill("0.40, 0.44, 4.3e-1")
    expect(view.locator(".refused")).to_be_empty()
    assert_shows(view, widgets.explorer("audit", losses="loss*0.40 0.44 4.3e-1", rule="discard"))


def typed(view: Locator) -> Locator:
    return view.get_by_label("Logged losses, a run a line")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("0.40\n0.44\n0.43\n", "0.40 0.44 0.43"),
        ("[0.40, 0.44, 0.43]", "0.40 0.44 0.43"),
        ("[[.4, .5, .6],\n [.41, 5e-1, 6.1E-1]]", ".4 .5 .6_.41 5e-1 6.1E-1"),
        ("1 2 3; 1,2,4", "1 2 3_1 2 4"),
    ],
)
def test_what_is_pasted_is_read(opened: Any, text: str, line: str) -> None:  # noqa: F811
    page = opened(widgets.explorer("audit"))
    view = page.locator(".collapse-explorer")
    typed(view).fill(text)
    expect(view.locator("[name=losses]")).to_have_value(f"loss*{line}")
    assert typed(view).input_value() == text


@pytest.mark.parametrize(("line", "rule"), CASES)
def test_it_says_what_the_package_says(opened: Any, line: str, rule: str) -> None:  # noqa: F811
    page = opened(widgets.explorer("audit", losses=line, rule=rule))
    view = page.locator(".collapse-explorer")
    answer, _ = audit.audited(line, rule)
    said = [*answer.answers, *(f"Caution: {one}" for one in answer.warnings)]
    assert view.locator(".summary").inner_text() == " ".join(said)


def test_a_point_is_moved_by_mouse_finger_keys_and_presses(opened: Any) -> None:  # noqa: F811
    page = opened(widgets.explorer("audit", losses=FOUR), has_touch=True)
    view = page.locator(".collapse-explorer")
    keeper = view.locator("[name=losses]")

    def now() -> list[list[str]]:
        return [run.split() for run in keeper.input_value().split("*")[1].split("_")]

    def right() -> None:
        assert_shows(view, widgets.explorer("audit", losses=keeper.input_value()))

    start = now()
    point = view.locator("[data-point='2 5']")
    point.scroll_into_view_if_needed()
    box = point.locator(".around").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    assert now() == start  # taken hold of, it does not jump
    page.mouse.move(x, y - 30)
    assert float(now()[2][5]) > float(start[2][5])
    right()
    page.mouse.up()
    # only this one has moved, and it is the one that buttons and keys move now
    assert [
        [a == b for a, b in zip(*runs, strict=True)] for runs in zip(now(), start, strict=True)
    ] == [[(r, g) != (2, 5) for g in range(8)] for r in range(4)]
    which = view.get_by_label("The loss to move")
    expect(which).to_have_value("2 5")
    dragged = float(now()[2][5])
    view.get_by_role("button", name="The loss: less").click()
    pressed = float(now()[2][5])
    assert pressed < dragged
    right()
    slider = view.get_by_label("The loss", exact=True)
    slider.focus()
    page.keyboard.press("ArrowUp")
    assert float(now()[2][5]) == pytest.approx(dragged)
    which.select_option("0 0")
    slider.focus()
    page.keyboard.press("PageDown")
    assert float(now()[0][0]) < float(start[0][0])
    right()
    # a tap sets the point there
    box = view.locator("[data-point='1 7'] .around").bounding_box()
    assert box is not None
    page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2 + 12)
    expect(which).to_have_value("1 7")
    right()


def test_a_row_of_the_table_asks_for_its_workflow(opened: Any) -> None:  # noqa: F811
    page = opened(widgets.explorer("audit"))
    view = page.locator(".collapse-explorer")
    view.locator("svg text", has_text="discard").first.click()
    expect(view.get_by_label("The workflow you believe you used")).to_have_value("discard")
    assert_shows(view, widgets.explorer("audit", rule="discard"))


def test_it_goes_on_as_python_and_as_a_link(
    browser: Browser,  # noqa: F811
    opened: Any,  # noqa: F811
) -> None:
    page = opened(widgets.explorer("audit", losses=PERPLEXITY, rule="discard"))
    view = page.locator(".collapse-explorer")
    view.locator(".python summary").click()
    text = view.locator(".python pre").inner_text()
    assert 'collapse.audit(losses, workflow="discard", metric="perplexity")' in text
    told: dict[str, Any] = {}
    exec(compile(text.replace("print(answer)", ""), "copied", "exec"), told)  # noqa: S102
    assert told["answer"].floor == audit.audited(PERPLEXITY, "discard")[0].floor
    typed(view).fill("1 2 4\n1 2 3")
    page.wait_for_function("location.hash.includes('losses=perplexity')")
    link = page.url
    second = Visit(browser, link)
    view = second.page.locator(".collapse-explorer")
    expect(view.locator("[name=losses]")).to_have_value("perplexity*1 2 4_1 2 3")
    expect(typed(view)).to_have_value("1 2 4\n1 2 3")
    assert_shows(view, widgets.explorer("audit", losses="perplexity*1 2 4_1 2 3", rule="discard"))
    second.close()
    # an address that makes no sense is passed over
    third = Visit(browser, re.sub("losses=[^&]*", "losses=perplexity*1+x", link))
    view = third.page.locator(".collapse-explorer")
    expect(view.locator("[name=losses]")).to_have_value(PERPLEXITY)
    third.close()
