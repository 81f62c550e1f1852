"""The explorers of a small table's forecast and of how long estimates exist: their numbers against
the package's forecast and exact laws, and what is taken hold of in them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, expect
from scipy.stats import binom

from collapse.explorers import forecasts, survival, widgets
from collapse.forecasting import law
from collapse.forecasting.law import DRAWS
from tests.test_holding import assert_right, browser, centre, opened, ring_of, static  # noqa: F401
from tests.test_widgets import Visit, document, evaluate, module, numbers

pytestmark = pytest.mark.book


@pytest.mark.parametrize(
    "state",
    [
        {"workflow": "augment", "generations": 20},
        {"workflow": "discard", "generations": 5, "row": 31, "lift": 45},
        {"workflow": "fixed_real_share", "share": 0.25, "generations": 12, "row": 40, "lift": -30},
        {"workflow": "window", "k": 3, "generations": 30},
        {"workflow": "subsample", "generations": 8},
    ],
)
def test_the_python_of_a_page_gives_its_numbers(
    opened: Any,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    state: dict[str, Any],
) -> None:
    page = opened(widgets.explorer("forecast", **state))
    view = page.locator(".collapse-explorer")
    assert_right(view, "forecast")
    shown, known = numbers(view), {}
    exec(view.locator(".python pre").text_content(), known)  # noqa: S102
    row = known["row"]
    assert known["answer"].first.loss == pytest.approx(shown["first"], rel=1e-10)
    assert row.derived[-1] == pytest.approx(shown["derived"], rel=1e-10)
    assert 40 / row.ratio[-1] == pytest.approx(shown["rows"], rel=1e-10)
    # the package's band is read from draws, the page's from the law itself. The density at these
    # quantiles is at least 0.15 over the band's width, as for an exponential tail: what is told is
    # within five standard errors of 2,000 draws, and of 400,000
    width = shown["high"] - shown["low"]
    error = 5 * np.sqrt(0.05 * 0.95 / DRAWS) / 0.15 * width
    for end, told in (("low", row.derived_low[-1]), ("high", row.derived_high[-1])):
        assert abs(told - shown[end]) < error
    monkeypatch.setattr(law, "DRAWS", 200 * DRAWS)
    view = widgets.explorer("forecast", **state)
    ends = view.law.band(view.risk.ratio[-1:], (0.05, 0.95), 0)[:, 0]
    assert abs(ends - [shown["low"], shown["high"]]).max() < error / 200**0.5 + 2e-3 * width


def test_quantiles_of_a_form_are_those_of_finer_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    cases = [
        (np.array([3.0, -1.0]), np.array([[1.0, 0.3], [0.3, 0.8]]), size)
        for size in (0.01, 0.3, 3.0, 100.0)
    ]
    found = [forecasts.quantile(*case, level) for case in cases for level in (0.05, 0.5, 0.95)]
    monkeypatch.setattr(forecasts, "ANGLES", 100_000)
    fine = [forecasts.quantile(*case, level) for case in cases for level in (0.05, 0.5, 0.95)]
    for i, (one, other) in enumerate(zip(found, fine, strict=True)):
        width = fine[3 * (i // 3) + 2] - fine[3 * (i // 3)]
        assert abs(one - other) < 2e-3 * width
    # without a slope, and round: size^2 times a chi-squared variate with two degrees of freedom
    round_ = forecasts.quantile(np.zeros(2), np.eye(2), 2.0, 0.9)
    assert round_ == pytest.approx(-8 * np.log(0.1), rel=1e-9)
    # without a bend: normal
    straight = forecasts.quantile(np.array([0.6, 0.8]), 1e-9 * np.eye(2), 1.0, 0.95)
    assert straight == pytest.approx(1.6448536, abs=2e-3)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("/ (n - 2)", "/ n"),
        ("-2 * mean(left),", "2 * mean(left),"),
        ("kappa: variance * (1 + square)", "kappa: variance * 2"),
        ("(variance * Math.max(ratio - 1, 0)) / n", "(variance * ratio) / n"),
        ("i === Math.min(row, data.y.length) - 1 ?", "i === row ?"),
    ],
)
def test_a_wrong_forecast_is_caught(
    browser: Browser,  # noqa: F811
    tmp_path: Path,
    right: str,
    wrong: str,
) -> None:
    text = document(widgets.explorer("forecast", row=31, lift=40))
    assert text.count(right) == 1
    path = tmp_path / "page.html"
    path.write_text(text.replace(right, wrong))
    visit = Visit(browser, path.as_uri())
    with pytest.raises(AssertionError):
        assert_right(visit.page.locator(".collapse-explorer"), "forecast")
    visit.close()


def test_any_row_is_dragged_where_it_is_pressed(opened: Any) -> None:  # noqa: F811
    page = opened(widgets.explorer("forecast"))
    view = page.locator(".collapse-explorer")
    view.scroll_into_view_if_needed()
    before = assert_right(view, "forecast")
    slope = numbers(view)["slope"]
    box = view.locator(".quiet").nth(0).bounding_box()  # of row 1, since row 6 is chosen
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x, y - 15)
    page.mouse.move(x, y - 30)
    page.mouse.up()
    state = assert_right(view, "forecast")
    assert state["row"] == 1
    assert 15 < state["lift"] < 50
    assert {**state, "row": before["row"], "lift": 0} == before
    assert numbers(view)["slope"] != slope
    # a press away from all rows sets the chosen one to its height
    ring = centre(ring_of(view, "lift"))
    page.mouse.click(ring[0] - 60, ring[1] + 70)
    pressed = assert_right(view, "forecast")
    assert pressed["row"] == 1
    assert pressed["lift"] < state["lift"]
    page.wait_for_function("location.hash.includes('row=1&lift=')")


def test_exact_shares_are_those_of_a_walk_through_all_counts() -> None:
    told = {(one["what"], one["rule"]): one["alive"] for one in survival.exact()["curves"]}
    assert list(told) == [
        ("10 labels", "discard"),
        ("20 labels", "discard"),
        ("40 labels", "discard"),
        ("10 labels", "augment"),
    ]
    for n in (10, 20, 40):
        counts = np.arange(n + 1)
        step = binom.pmf(counts[None, :], n, counts[:, None] / n)
        share = binom.pmf(counts, n, 0.5)
        for g in range(survival.GENERATIONS):
            assert told[f"{n} labels", "discard"][g] == pytest.approx(share[1:-1].sum(), rel=1e-5)
            share = share @ step
    # what the first fit has seen stays under augment
    assert told["10 labels", "augment"] == pytest.approx([1 - 2**-9] * 50, rel=1e-5)


def test_survival_speaks_of_what_it_is_given(opened: Any) -> None:  # noqa: F811
    falling = np.linspace(1, 0, 21)
    curves = {("heart", "discard"): falling, ("heart", "fixed real share"): np.ones(21)}
    page = opened(widgets.explorer("survival", data=survival.survival(curves, 200)))
    view = page.locator(".collapse-explorer")
    shown = numbers(view)
    assert shown == {"alive-0": pytest.approx(0.55), "half-0": 11, "alive-1": 1}
    view.locator("[name=generation]").press("End")
    assert numbers(view)["alive-0"] == 0
    assert "200 simulated chains" in view.locator(".meaning").inner_text()
    view.locator(".picture").press("Home")
    text = view.locator(".reading text").text_content()
    assert re.fullmatch(r"generation 1: 100.%, 100.%", text)


@pytest.mark.parametrize(
    ("alive", "message"),
    [
        ({}, "one curve or more"),
        ({("a", "discard"): [1.0]}, "two at least"),
        ({("a", "discard"): [1, 0.5], ("b", "discard"): [1, 1, 1]}, "the same generations"),
        ({("a", "discard"): [1, 1.5]}, "between 0 and 1"),
        ({("a", "discard"): [1, np.nan]}, "between 0 and 1"),
    ],
)
def test_survival_refuses_what_is_no_share(alive: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        survival.survival(alive, 10)


def test_the_law_of_the_page_is_that_of_the_package_for_any_table(browser: Browser) -> None:  # noqa: F811
    rng = np.random.default_rng(20261128)
    tables = []
    for _ in range(20):
        n, m = rng.integers(5, 60, 2)
        x, x_test = rng.standard_normal(n), 2 + rng.standard_normal(m)
        y, y_test = x + rng.standard_normal(n), 3 * rng.standard_normal(m)
        told = {"x": x, "y": y, "x_test": x_test, "y_test": y_test}
        tables.append({name: values.tolist() for name, values in told.items()})
    text = module() + (widgets.HERE / "parts.js").read_text()
    text += (widgets.HERE / "forecast.js").read_text()
    expression = """x.map((told) => { const fit = m.fitted(told);
        return [fit.first, fit.kappa,
          m.quantileOf(fit, 0.3, 0.05), m.quantileOf(fit, 2, 0.95)]; })"""
    for told, found in zip(tables, evaluate(browser, text, expression, tables), strict=True):
        state = {**told, "row": 1, "lift": 0, "workflow": "discard", "generations": 2}
        found_law = forecasts.forecast_answer(state)["law"]
        z = np.array(told["x_test"])
        z = (z - np.mean(told["x"])) / np.std(told["x"])
        design = np.stack([np.ones_like(z), z], 1)
        assert found[0] == pytest.approx(found_law.loss, rel=1e-10)
        assert found[1] == pytest.approx(found_law.kappa, rel=1e-10)
        fit = np.polyfit(told["x"], told["y"], 1)
        residual = np.array(told["y_test"]) - np.polyval(fit, told["x_test"])
        linear, bent = -2 * residual @ design / len(z), design.T @ design / len(z)
        for size, level, value in ((0.3, 0.05, found[2]), (2, 0.95, found[3])):
            expected = forecasts.quantile(linear, bent, size, level)
            assert value == pytest.approx(expected, rel=1e-8, abs=1e-10)


def test_a_reading_stays_in_a_narrow_drawing(opened: Any) -> None:  # noqa: F811
    page = opened(widgets.explorer("squares"), width=620)
    view = page.locator(".collapse-explorer")
    drawing = view.locator("svg.held")
    view.locator(".picture").focus()
    page.keyboard.press("End")
    text = view.locator(".reading text")
    expect(text).to_have_text(re.compile(r"^generation 50: ratio 1\.625\d*$"))
    # what is told has all of it
    expect(view.get_by_role("status")).to_contain_text("1,000 rows worth 615")
    inner, outer = text.bounding_box(), drawing.bounding_box()
    assert inner["x"] >= outer["x"]
    assert inner["x"] + inner["width"] <= outer["x"] + outer["width"] + 1
