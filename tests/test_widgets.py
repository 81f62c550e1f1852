"""The explorers: their mathematics against derive, their page in a browser, their widget in
JupyterLab.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from functools import cache, partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import nbformat
import numpy as np
import pytest
import sympy
from playwright.sync_api import Browser, Page, expect, sync_playwright
from scipy.special import polygamma

import collapse
from collapse.explorers import policies, record, widgets
from collapse.publishing import plot

pytestmark = pytest.mark.book

PATIENCE = 300_000  # ms until the browser is given up: a busy machine is no failure
expect.set_options(timeout=PATIENCE)

CHROMIUM = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
CHROMIUM += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
STATIC = Path(widgets.__file__).parent
STATES: list[tuple[str, dict[str, Any]]] = [
    ("workflow", {"workflow": "discard", "generations": 60}),
    ("workflow", {"workflow": "discard", "size": 0.25, "generations": 100}),
    ("workflow", {"workflow": "augment"}),
    ("workflow", {"workflow": "augment", "size": 5.0, "generations": 2}),
    ("workflow", {"workflow": "subsample", "generations": 100}),
    ("workflow", {"workflow": "subsample", "replace": True}),
    ("workflow", {"workflow": "discard", "kept": 0.01, "size": 0.1, "generations": 100}),
    ("workflow", {"workflow": "augment", "kept": 0.25, "size": 0.5, "generations": 100}),
    ("workflow", {"workflow": "subsample", "kept": 0.5, "generations": 2}),
    ("workflow", {"workflow": "subsample", "kept": 0.4, "replace": True}),
    ("workflow", {"workflow": "window", "k": 5, "kept": 0.7}),
    ("workflow", {"workflow": "fixed_real_share", "share": 1.0, "kept": 0.8}),
    ("workflow", {"workflow": "mixture", "kept": 0.5}),  # where it has no handle it is passed over
    ("workflow", {"workflow": "bootstrap"}),
    ("workflow", {"workflow": "window", "k": 4}),
    ("workflow", {"workflow": "window", "k": 50, "generations": 30}),
    ("workflow", {"workflow": "fixed_real_share", "share": 0.35}),
    ("workflow", {"workflow": "fixed_real_share", "share": 1.0}),
    ("workflow", {"workflow": "fixed_real_share", "share": 0.0}),
    ("workflow", {"workflow": "real_and_window", "k": 2}),
    ("workflow", {"workflow": "real_and_average", "share": 0.0}),
    ("workflow", {"workflow": "fresh_real", "share": 0.62, "kappa": 2.0}),
    ("workflow", {"workflow": "mixture"}),
    ("workflow", {"workflow": "forgetting", "memory": 0.9}),
    ("workflow", {"workflow": "ring", "models": 4, "share": 0.1}),
    ("workflow", {"workflow": "star", "models": 3, "share": 0.2}),
    ("workflow", {"workflow": "star", "models": 2, "share": 0.0, "published": False}),
    ("workflow", {"workflow": "all_to_all", "models": 5, "published": False, "share": 0.05}),
    ("workflow", {"workflow": "reservoir"}),
    ("workflow", {"workflow": "reservoir", "turnover": 0.1}),
    *(("squares", {"workflow": name, "generation": 7}) for name in record.one_model()),
    ("squares", {"workflow": "augment", "generation": 1}),
    ("squares", {"workflow": "discard", "generation": 50}),
    ("squares", {"workflow": "subsample", "generation": 50}),
    ("dial", {}),
    ("dial", {"share": 0.0, "size": 2.0}),
    ("dial", {"share": 0.01}),
    ("dial", {"share": 1.0, "size": 0.25}),
    ("dial", {"share": 0.6, "size": 10.0}),
    *(("bill", {"workflow": name, "generations": 40}) for name in record.one_model()),
    ("bill", {"workflow": "discard", "n": 100, "p": 1000, "test_rows": 10**6}),
    ("bill", {"workflow": "fixed_real_share", "share": 1.0}),
    ("bill", {"n": 10**7, "p": 1, "generations": 2}),
    ("words", {}),
    ("words", {"generation": 1, "seed": 999}),
    ("words", {"generation": 50, "k": 2, "seed": 0}),
    ("words", {"generation": 33, "k": 10}),
    ("tables", {}),
    (
        "tables",
        {"table": "0 0 2*1 2 1/2*1 0 0_1/2 1/2 0_0 0.25 0.75*1 1 1_1 1 1_1 1 1/3*1", "fit": 2},
    ),
    ("tables", {"table": "0*1*1*1*0", "fit": 1}),
    ("bands", {}),
    ("audit", {}),
    ("audit", {"losses": "perplexity*27.44 28.08 28.24 28.3", "rule": "window(k=3)"}),
    ("bands", {"table": "titanic", "rule": "augment", "generation": 50}),
    ("survival", {}),
    ("survival", {"generation": 1}),
    ("survival", {"generation": 50}),
    *(("forecast", {"workflow": name, "generations": 30}) for name in record.one_model()),
    ("forecast", {"workflow": "discard", "generations": 1000, "row": 40, "lift": -50}),
    ("forecast", {"row": 1, "lift": 50, "generations": 2}),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = (
        shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome")
    )
    if program is None:
        pytest.fail("no chromium on this machine: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture
def static(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLLAPSE_STATIC", "1")


def html(view: Any) -> str:
    return str(view._repr_mimebundle_()["text/html"])


def document(*views: Any, theme: str = "light") -> str:
    """A bare page, as narrow as a telephone's text column leaves it."""
    body = "\n".join(map(html, views))
    return (
        f'<!doctype html><html lang="en" data-theme="{theme}"><head><meta'
        ' charset="utf-8"><title>Explorers</title><meta name="viewport"'
        ' content="width=device-width"><link rel="icon" href="data:,"></head><body style="margin:'
        f' 0 16px">{body}</body></html>'
    )


class Visit:
    """A page opened with a record of all it asked for and all it complained of."""

    def __init__(self, browser: Browser, address: str, width: int = 1000, **options: Any) -> None:
        self.page: Page = browser.new_page(viewport={"width": width, "height": 800}, **options)
        self.page.set_default_timeout(PATIENCE)
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(address)
        expect(self.page.locator(".collapse-explorer .summary").last).to_contain_text(".")

    def close(self) -> None:
        asked = [url for url in self.requests[1:] if not url.startswith(("blob:", "data:"))]
        self.page.context.close()
        assert not asked
        assert not self.complaints


def numbers(view: Any) -> dict[str, float]:
    """The numbers of one explorer's summary, at full precision; `view` is its element in the
    browser.
    """
    found = view.locator(".summary data").evaluate_all(
        "(all) => all.map((data) => [data.dataset.name, Number(data.value)])"
    )
    return {str(name): float(value) for name, value in found}


def assert_shows(view: Any, expected: Any) -> None:
    """Every number in the summary is what Python says of the same state."""
    shown = numbers(view)
    assert shown
    precision = {"audit": 1e-7}.get(expected._kind.name, 1e-12)  # it inverts matrices
    for name, value in shown.items():
        right = getattr(expected, name)
        assert value == pytest.approx(right, rel=precision, abs=precision / 10), name


# --- the mathematics ------------------------------------------------------------------------------


def random_plan(rng: np.random.Generator) -> collapse.Plan:
    """Any plan at all: batches from any fit, several real ones, private ones, unread ones, uneven
    sizes, draws of both kinds.
    """
    G = int(rng.integers(1, 25))
    source = np.sort(np.concatenate([[0], rng.integers(0, G, int(rng.integers(0, 2 * G + 1)))]))
    weight = rng.exponential(size=(G, len(source))) * (
        rng.random((G, len(source))) < rng.uniform(0.2, 1)
    )
    weight[:, 0] += 0.05
    weight *= source[None, :] <= np.arange(G)[:, None]
    kept = np.where(rng.random(weight.shape) < 0.5, 1.0, rng.uniform(0.01, 1, weight.shape))
    size = rng.uniform(0.1, 4, len(source))
    return collapse.Plan(
        source,
        size,
        weight / weight.sum(axis=1, keepdims=True),
        kept,
        replace=bool(rng.random() < 0.3),
    )


def random_named(rng: np.random.Generator, name: str, kept: bool) -> dict[str, Any]:
    """Parameters of a named workflow, ends of their ranges included; `kept` among them or not."""
    given: dict[str, Any] = {}
    for control in (
        *record.parameters(name)[1:],
        *(control for control in (record.kept(),) if kept and name in control.workflows),
    ):
        if control.kind == "switch":
            given[control.name] = bool(rng.integers(2))
        elif isinstance(control.default, int):
            given[control.name] = int(rng.integers(control.low, min(control.high, 12) + 1))
        else:
            ends = [control.low, control.high, rng.uniform(control.low, control.high)]
            given[control.name] = float(rng.choice(ends, p=[0.15, 0.15, 0.7]))
    return given


def named(
    rng: np.random.Generator, each: int, kept: bool = True
) -> list[tuple[str, int, dict[str, Any]]]:
    drawn = [
        (name, int(rng.integers(1, 40)), random_named(rng, name, kept))
        for name in collapse.workflows.NAMED
        for _ in range(each)
    ]
    return [
        (name, 1 + generations % 12 if name in ("mixture", "all_to_all") else generations, given)
        for name, generations, given in drawn
    ]


def plan_of(name: str, generations: int, given: dict[str, Any]) -> Any:
    return policies.plan_of({"workflow": name, **given}, generations)


def tables(plan: collapse.Plan) -> dict[str, Any]:
    arrays = {name: getattr(plan, name).tolist() for name in ("source", "size", "weight", "kept")}
    return arrays | {"replace": plan.replace}


def module() -> str:
    return (STATIC / "collapse.js").read_text() + (STATIC / "formulas.js").read_text()


def evaluate(browser: Browser, module: str, expression: str, argument: Any) -> Any:
    """Value of a JavaScript expression in `m`, the module, and `x`, the argument."""
    page = browser.new_page()
    try:
        return page.evaluate(
            "async ([text, x]) => { const m = await import(URL.createObjectURL(new Blob([text],"
            f" {{type: 'text/javascript'}})));return {expression}; }}",
            [module, argument],
        )
    finally:
        page.close()


def relative(found: Any, expected: Any) -> float:
    expected = np.asarray(expected)
    assert np.shape(found) == expected.shape
    return float(
        np.max(
            np.abs(np.asarray(found) - expected) / np.where(expected == 0, 1, np.abs(expected)),
            initial=0,
        )
    )


def worst_on_random_plans(browser: Browser, module: str, count: int) -> float:
    """Largest relative error of the module's ratios and contributions against derive, over random
    plans.
    """
    rng = np.random.default_rng(20260101)
    plans = [random_plan(rng) for _ in range(count)]
    expression = """x.map(m.dense).map((plan) =>
        [Array.from(m.ratio(plan)), plan.rows.map((_, g) => Array.from(m.contributions(plan,
          g).batches))])"""
    answers = evaluate(browser, module, expression, [tables(plan) for plan in plans])
    risks = [collapse.derive(plan) for plan in plans]
    pairs = zip(risks, answers, strict=True)
    return max(
        max(relative(ratio, risk.ratio), relative(table, risk.contributions))
        for risk, (ratio, table) in pairs
    )


def worst_on_named(browser: Browser, module: str, each: int) -> float:
    """Largest relative error of the named workflows' ratios, curves and origins against the
    package.
    """
    asked = named(np.random.default_rng(20260102), each)
    expression = """x.map(([name, G, given]) => {
        const plan = m.workflow(name, G, given);
        const {real, synthetic, draws} = m.origins(plan, G);
        return [m.ratio(plan), m.curve(plan), real, synthetic, draws]
          .map((values) => Array.from(values));
    })"""
    answers = evaluate(browser, module, expression, asked)
    worst = 0.0
    for (expected, expected_curve, origins), (ratio, curve, *parts) in zip(
        package_on_named(each), answers, strict=True
    ):
        worst = max(worst, relative(ratio, expected), relative(curve, expected_curve))
        # relative to the whole: a part may be the difference of nearly equal numbers
        worst = max(worst, float(np.abs([sum(part) for part in parts] - origins).max() / curve[-1]))
    return worst


@cache
def package_on_named(each: int) -> list[tuple[Any, Any, Any]]:
    """What the package says of the same workflows: ratios, the worst of each generation, origins of
    the last.
    """
    found = []
    for one in named(np.random.default_rng(20260102), each):
        plan = plan_of(*one)
        diagnosis = collapse.diagnose(plan)
        origins = np.array([diagnosis.real, diagnosis.synthetic, diagnosis.draws]) * diagnosis.ratio
        found.append((collapse.derive(plan).ratio, policies.curve_of(plan), origins))
    return found


def test_module_agrees_with_derive_on_random_plans(browser: Browser) -> None:
    assert worst_on_random_plans(browser, module(), 300) < 1e-12


def test_module_agrees_with_derive_on_named_workflows(browser: Browser) -> None:
    assert worst_on_named(browser, module(), 15) < 1e-12
    assert evaluate(browser, module(), "Object.keys(m.WORKFLOWS)", None) == list(
        collapse.workflows.NAMED
    )


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("1 / share - 1)", "1 / share)"),
        ("replace ? 1 / share :", "replace ? 1 / share - 1 :"),
        ("(batches[b] * batches[b]) / plan.size[b];", "batches[b] * batches[b];"),
        ("/ size[b];", ";"),
        ("+= fits[g] * weight[i]", "= fits[g] * weight[i]"),
        ("fits[g] += batches[b]", "fits[g] = batches[b]"),
        ("risk += fits[g] * fits[g] * noise[g]", "risk += fits[g] * noise[g]"),
        ("riskOf(plan, g, noise) / first", "riskOf(plan, g, noise)"),
    ],
)
def test_a_wrong_formula_is_caught(browser: Browser, right: str, wrong: str) -> None:
    assert module().count(right) == 1
    assert worst_on_random_plans(browser, module().replace(right, wrong), 20) > 1e-3


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("alike(upTo(g + 1).slice(-k))", "alike(upTo(g + 1).slice(-k - 1))"),
        ("(1 + g * size)", "(g + size)"),
        ("(b === 0 ? share : (1 - share) / g)", "(b === 0 ? share : (1 - share) / (g + 1))"),
        ("[teacher + 1, 1 / g]", "[teacher + 1, 1]"),
        ("memory ** (g - b)", "memory ** (g - b + 1) + 1"),
        ("(i + M - 1) % M", "i"),
        (
            "const key = published ? j : `${j} for ${i}`",
            "const key = published ? `${j} for ${i}` : j",
        ),
        ("share * (2 - share))", "share)"),
        ("draws[g] = share * (1 - share);", "draws[g] = share;"),
        ("(g === 0 ? row :", "(g < 0 ? row :"),
        ("kept * (row.kept ? row.kept[i] : 1)", "kept"),
        ("Math.max(...fits", "Math.min(...fits"),
    ],
)
def test_a_wrong_workflow_is_caught(browser: Browser, right: str, wrong: str) -> None:
    assert module().count(right) >= 1
    assert worst_on_named(browser, module().replace(right, wrong, 1), 4) > 1e-3


def worst_fate(browser: Browser, module: str) -> float:
    asked = named(np.random.default_rng(20260103), 12, kept=False)
    found = evaluate(
        browser,
        module,
        "x.map(([name, _, given]) => { const f = m.fate(name, given); return [f.limit, f.growth,"
        " f.logarithmic]; })",
        asked,
    )
    worst = 0.0
    for one, (limit, growth, logarithmic) in zip(asked, found, strict=True):
        plan = plan_of(*one)
        forms = [
            collapse.closed_form(plan, role=role)
            for role in (("hub", "leaf") if one[0] == "star" else (None,))
        ]
        assert all(forms)
        if forms[0].growth is None:
            worst = max(worst, relative(limit, max(float(form.limit) for form in forms)), growth)
            continue
        g = next(iter(forms[0].growth.free_symbols))
        expected = forms[0].growth / (sympy.log(g) if logarithmic else g)
        if logarithmic != forms[0].growth.has(sympy.log):
            return np.inf
        worst = max(worst, relative(growth, float(expected)))
        assert limit == np.inf
    return worst


def test_what_the_ratio_does_in_the_end(browser: Browser) -> None:
    assert worst_fate(browser, module()) < 1e-12
    x = np.linspace(0.05, 30, 40)
    assert (
        relative(evaluate(browser, module(), "x.map(m.trigamma)", x.tolist()), polygamma(1, x))
        < 1e-14
    )


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("/Math.pow(k + 1, 2)", "/Math.pow(k + 2, 2)"),
        ("bounded(-7/4 + (1/3)*", "bounded(-3/4 + (1/6)*"),
        ("collapsing(2, true)", "collapsing(1, true)"),
        ("/(1 - Math.pow(1 - share, models))", "/(2 - Math.pow(1 - share, models))"),
    ],
)
def test_a_wrong_limit_is_caught(browser: Browser, right: str, wrong: str) -> None:
    assert module().count(right) == 1
    assert worst_fate(browser, module().replace(right, wrong)) > 1e-3


@cache
def far_with_draws(each: int) -> list[tuple[str, dict[str, Any], float | None, float | None]]:
    """Workflows with `kept`, and what derive says of them far out: the limit of the ratio, or its
    growth by generation.
    """
    rng = np.random.default_rng(20260104)
    found: list[tuple[str, dict[str, Any], float | None, float | None]] = []
    for name in record.kept().workflows:
        for number in range(each):
            given = random_named(rng, name, kept=True)
            if name == "fixed_real_share":
                given["share"] = (0.0, 1.0, float(rng.uniform(0.1, 0.9)))[number % 3]
            ratio = collapse.derive(plan_of(name, 800, given)).ratio
            if name in ("discard", "window") or given.get("share") == 0:
                found.append((name, given, None, float(ratio[-1] - ratio[399]) / 400))
                continue
            # the pools approach their limit in powers of 1 / rows, which a polynomial through four
            # points continues; the others are there
            g = np.array([100, 200, 400, 800])
            found.append(
                (
                    name,
                    given,
                    float(np.polyfit(1 / (g - 1 + 1 / given.get("size", 1)), ratio[g - 1], 3)[-1]),
                    None,
                )
            )
    return found


def worst_fate_with_draws(browser: Browser, module: str) -> float:
    cases = far_with_draws(6)
    expression = (
        "x.map(([name, given]) => { const f = m.fate(name, given); return [f.limit, f.growth,"
        " f.logarithmic]; })"
    )
    answers = evaluate(browser, module, expression, [case[:2] for case in cases])
    worst = 0.0
    for (_, _, level, rate), (limit, growth, logarithmic) in zip(cases, answers, strict=True):
        assert not logarithmic
        assert (limit == np.inf) == (level is None)
        assert (growth == 0) == (rate is None)
        worst = max(worst, relative(growth, rate) if level is None else relative(limit, level))
    return worst


def test_what_the_ratio_does_in_the_end_where_rows_are_drawn(browser: Browser) -> None:
    assert worst_fate_with_draws(browser, module()) < 1e-9


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("collapsing(1/(kept*size))", "collapsing(1/size)"),
        ("bounded(1 + ((-1 + 1/kept)*", "bounded(1 + (size*(-1 + 1/kept)*"),
        ("trigamma(2 + 1/size))", "trigamma(1 + 1/size))"),
        (
            "(1/3)*Math.pow(Math.PI, 2) + (-1/4 + (1/6)*Math.pow(Math.PI, 2))/kept",
            "(1/3)*Math.pow(Math.PI, 2) + (-1/4 + (1/6)*Math.pow(Math.PI, 2))",
        ),
        ("bounded(1/8 + (1/12)*", "bounded(1/4 + (1/6)*"),
        ("(-1 + 1/kept)/k)", "(-1 + 1/kept))"),
        ("(Math.pow(share, 2) + Math.pow(1 - share, 2)) + 1)", "(Math.pow(1 - share, 2)) + 1)"),
        ("collapsing(1/kept)", "collapsing(1)"),
    ],
)
def test_a_wrong_limit_where_rows_are_drawn_is_caught(
    browser: Browser, right: str, wrong: str
) -> None:
    assert module().count(right) == 1
    assert worst_fate_with_draws(browser, module().replace(right, wrong)) > 1e-3


def test_families_are_those_of_the_figures(browser: Browser) -> None:
    text = module() + (STATIC / "parts.js").read_text() + "export { familyOf };"
    names = list(collapse.workflows.NAMED)
    assert evaluate(browser, text, "x.map(m.familyOf)", names) == [
        plot.family_of(name) for name in names
    ]


# --- the static page ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page_of_all(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One page with every explorer in many states; its pictures for print are drawn once."""
    path = tmp_path_factory.mktemp("explorers") / "page.html"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLLAPSE_STATIC", "1")
        patch.setattr(widgets, "_still", lambda *_: b"")
        path.write_text(document(*(widgets.explorer(name, **state) for name, state in STATES)))
    return path


@pytest.mark.usefixtures("static")
def test_values_in_the_page_are_those_of_python(browser: Browser, page_of_all: Path) -> None:
    visit = Visit(browser, page_of_all.as_uri())
    for index, (name, state) in enumerate(STATES):
        assert_shows(
            visit.page.locator(".collapse-explorer").nth(index), widgets.explorer(name, **state)
        )
    assert visit.page.evaluate("window.collapseModules.size") == len({name for name, _ in STATES})
    visit.close()


@pytest.mark.usefixtures("static")
@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        (
            "workflow",
            "const last = values[generations - 1];",
            "const last = values[generations - 2];",
        ),
        ("squares", "now - drawn, plain", "now, plain"),
        (
            "squares",
            "parts.real[generation - 1] + parts.synthetic[generation - 1]",
            "parts.synthetic[generation - 1] / 2",
        ),
        (
            "dial",
            "Math.pow(1 - share, 2)/(share*size*(2 - share))",
            "Math.pow(1 - share, 2)/(share*(2 - share))",
        ),
        ("dial", "shareAt(size * (", "shareAt(("),
        ("dial", "Math.log(20)", "Math.log(10)"),
        ("bill", "(1/2)*p*(ratio - 1)/n", "p*(ratio - 1)/n"),
        ("bill", "8/test_rows", "4/test_rows"),
    ],
)
def test_a_wrong_number_in_the_page_is_caught(
    browser: Browser, tmp_path: Path, name: str, right: str, wrong: str
) -> None:
    view = widgets.explorer(
        name, **({"size": 2.0} if name == "dial" else {"workflow": "subsample"})
    )
    text = document(view)
    assert right in text
    path = tmp_path / "page.html"
    path.write_text(text.replace(right, wrong))
    visit = Visit(browser, path.as_uri())
    with pytest.raises(AssertionError):
        assert_shows(visit.page.locator(".collapse-explorer"), view)
    visit.close()


@pytest.mark.usefixtures("static")
def test_the_dial_is_right_in_the_long_run() -> None:
    for size, share in ((1.0, 0.1), (0.25, 0.3), (4.0, 0.05)):
        view = widgets.explorer("dial", share=share, size=size)
        far = collapse.derive(policies.anchored({"share": share, "size": size}, 400)).ratio
        assert far[-1] == pytest.approx(view.limit, rel=1e-12)
        assert far[view.wait - 1] - 1 >= 0.95 * (view.limit - 1) > far[view.wait - 2] - 1
        at = widgets.explorer("dial", share=view.threshold, size=size)
        assert at.limit == pytest.approx(
            float(collapse.closed_form("augment", size=size).limit), rel=1e-12
        )
    np.testing.assert_allclose(
        widgets.explorer("dial", share=0.3).risk.ratio,
        collapse.derive(collapse.workflows.fixed_real_share(40, 0.3)).ratio,
        rtol=1e-12,
    )


@pytest.mark.usefixtures("static")
def test_over_http_too(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(document(widgets.explorer(), widgets.explorer("dial")))

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *arguments: Any) -> None:
            """A test's log stays readable."""

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        visit = Visit(browser, f"http://127.0.0.1:{server.server_port}/index.html")
        assert_shows(visit.page.locator(".collapse-explorer").first, widgets.explorer())
        visit.close()
        server.shutdown()


@pytest.mark.usefixtures("static")
def test_keyboard_mouse_and_buttons_move_everything(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(document(widgets.explorer(), widgets.explorer(workflow="discard")))
    visit = Visit(browser, path.as_uri())
    page, first = visit.page, visit.page.locator(".collapse-explorer").first
    untouched = numbers(page.locator(".collapse-explorer").nth(1))

    def follows(**state: Any) -> None:
        view = widgets.explorer(**state)
        assert_shows(first, view)
        assert (
            f"After {view.generations:,} generations of " in first.locator(".summary").inner_text()
        )
        assert (
            len((first.locator(".curve").get_attribute("points") or "").split()) == view.generations
        )

    # keyboard: the workflow's select, then each slider, reached by tabulator and named by their
    # labels
    page.keyboard.press("Tab")
    expect(first.get_by_label("Workflow", exact=True)).to_be_focused()
    first.get_by_label("Workflow", exact=True).select_option("augment")
    page.keyboard.press("ArrowDown")
    follows(workflow="subsample")
    page.keyboard.press("Tab")
    expect(first.get_by_label("Draw with replacement")).to_be_focused()
    page.keyboard.press("Space")
    follows(workflow="subsample", replace=True)
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    kept = first.get_by_label("Share kept", exact=True)
    expect(kept).to_be_focused()
    page.keyboard.press("Home")
    follows(workflow="subsample", kept=0.01)
    kept.fill("0.29")
    follows(workflow="subsample", kept=0.29)
    expect(first.locator(".meaning")).to_contain_text("reads only 29\u00a0% of these rows")
    page.keyboard.press("End")
    follows(workflow="subsample")
    expect(first.locator(".meaning")).not_to_contain_text("reads only")
    page.keyboard.press("Tab")
    generations = first.get_by_label("Generations", exact=True)
    expect(generations).to_be_focused()
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("ArrowRight")
    follows(workflow="subsample", generations=51)
    assert generations.get_attribute("aria-valuetext") == "51"
    page.keyboard.press("Home")
    follows(workflow="subsample", generations=2)
    page.keyboard.press("End")
    follows(workflow="subsample", generations=1000)

    # a pointer that cannot drag has buttons
    first.get_by_role("button", name="Generations: less").click()
    follows(workflow="subsample", generations=950)
    first.get_by_role("button", name="Generations: more").click()
    follows(workflow="subsample", generations=1000)

    # mouse: a drag redraws on the way
    box = generations.bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] - 13, middle)
    page.mouse.down()
    counts = []
    for share in (0.8, 0.5, 0.25):
        page.mouse.move(box["x"] + share * box["width"], middle)
        counts.append(len((first.locator(".curve").get_attribute("points") or "").split()))
    page.mouse.up()
    assert 1000 > counts[0] > counts[1] > counts[2] > 15
    follows(workflow="subsample", generations=counts[2])

    # controls that belong to some workflows stand there only with them; a slider of given values
    # stops at each of them
    share, window = (
        first.get_by_label("Weight of real data", exact=True),
        first.get_by_label("Batches in the window", exact=True),
    )
    expect(share).to_be_hidden()
    first.get_by_label("Workflow", exact=True).select_option("fixed_real_share")
    expect(share).to_be_visible()
    share.fill("0.4")
    follows(workflow="fixed_real_share", generations=counts[2], share=0.4)
    first.get_by_label("Workflow", exact=True).select_option("window")
    expect(share).to_be_hidden()
    window.fill("1")
    follows(workflow="window", generations=counts[2], k=1)
    first.get_by_label("Workflow", exact=True).select_option("augment")
    first.get_by_role("button", name="Rows of a batch, in n: more").click()
    follows(workflow="augment", generations=counts[2], size=2.0)
    kept.fill("0.5")
    follows(workflow="augment", generations=counts[2], size=2.0, kept=0.5)
    for name, there in [
        *((name, True) for name in record.kept().workflows),
        ("mixture", False),
        ("reservoir", False),
        ("star", False),
    ]:
        first.get_by_label("Workflow", exact=True).select_option(name)
        expect(kept).to_be_visible(visible=there)

    # the outcome is told to those who hear it, once the controls stand still
    expect(first.get_by_role("status")).to_have_text(
        first.locator(".summary").inner_text(), timeout=60_000
    )
    assert numbers(page.locator(".collapse-explorer").nth(1)) == untouched
    visit.close()


@pytest.mark.usefixtures("static")
def test_the_address_carries_the_state(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(document(widgets.explorer(), widgets.explorer("dial"), widgets.explorer()))
    visit = Visit(browser, path.as_uri(), permissions=["clipboard-read", "clipboard-write"])
    page = visit.page
    assert "#" not in page.url
    third = page.locator("#explorer-workflow-2 .collapse-explorer")
    third.get_by_label("Workflow", exact=True).select_option("window")
    third.get_by_label("Batches in the window", exact=True).fill("7")
    third.get_by_role("button", name="Copy a link").click()
    expect(third.get_by_role("button", name="Link copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == page.url
    link = page.url
    assert "#explorer-workflow-2?workflow=window" in link
    expected = widgets.explorer(workflow="window", k=7)

    # somebody else opens it, in a browser that knows nothing; the others on the page are as they
    # were
    second = Visit(browser, link, reduced_motion="reduce")
    assert_shows(second.page.locator("#explorer-workflow-2"), expected)
    assert_shows(second.page.locator("#explorer-workflow"), widgets.explorer())
    assert_shows(second.page.locator("#explorer-dial"), widgets.explorer("dial"))
    expect(second.page.locator("#explorer-workflow-2 .picture")).to_be_in_viewport()

    # a link on the page itself; what makes no sense is passed over, and nothing but a known control
    # is read
    second.page.evaluate("location.hash = 'explorer-dial?share=0.5&size=lots&__proto__=1&title=x'")
    expect(second.page.locator("#explorer-dial .control").first).to_contain_text("50")
    assert_shows(second.page.locator("#explorer-dial"), widgets.explorer("dial", share=0.5))
    for nonsense in ("share=7", "share=", "share=nan", "size=1e9"):
        second.page.evaluate(f"location.hash = 'explorer-dial?{nonsense}'")
    second.page.evaluate(
        "location.hash = 'explorer-workflow?workflow=toString&k=2.5&replace=maybe&generations=30'"
    )
    expect(second.page.locator("#explorer-workflow .summary")).to_contain_text(
        "After 30 generations"
    )
    assert_shows(second.page.locator("#explorer-dial"), widgets.explorer("dial", share=0.5))
    assert_shows(second.page.locator("#explorer-workflow"), widgets.explorer(generations=30))
    second.close()
    visit.close()


@pytest.mark.usefixtures("static")
def test_a_redraw_touches_few_elements_once(browser: Browser, tmp_path: Path) -> None:
    heavy = {
        "workflow": {"workflow": "mixture", "generations": 90},
        "squares": {"workflow": "mixture"},
        "bill": {"workflow": "augment"},
    }
    views = [widgets.explorer(name, **heavy.get(name, {})) for name in widgets.EXPLORERS]
    path = tmp_path / "page.html"
    path.write_text(document(*views))
    visit = Visit(browser, path.as_uri())
    for name in widgets.EXPLORERS:
        touched = visit.page.evaluate(
            """async (name) => {
                const explorer = document.querySelector(`#explorer-${name}`);
                const sliders = [...explorer.querySelectorAll("input[type=range]")];
                const slider = sliders.filter((e) => e.checkVisibility()).at(-1);
                let count = 0;
                const size = (r) => Math.max(1, r.addedNodes.length + r.removedNodes.length);
                const seen = new MutationObserver((records) =>
                  records.forEach((r) => { count += size(r); }));
                seen.observe(explorer, {
                  subtree: true, childList: true, attributes: true, characterData: true});
                const counts = [];
                for (let i = 0; i < 4; i++) {
                    count = 0;
                    slider[i % 2 ? "stepUp" : "stepDown"]();
                    slider.dispatchEvent(new Event("input"));
                    await new Promise(requestAnimationFrame);
                    await new Promise(requestAnimationFrame);
                    counts.push(count);
                }
                return [Math.max(...counts), explorer.querySelectorAll("*").length];
            }""",
            name,
        )
        changes, elements = touched
        # one redraw: each element changes about once, and there are not many
        assert 0 < changes < 1.5 * elements, name
        assert elements < 1000, name
    visit.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_fits_the_screen(browser: Browser, page_of_all: Path, theme: str, width: int) -> None:
    path = page_of_all.with_name(f"{theme}.html")
    path.write_text(page_of_all.read_text().replace('data-theme="light"', f'data-theme="{theme}"'))
    visit = Visit(browser, path.as_uri(), width=width)
    assert visit.page.evaluate("document.documentElement.scrollWidth") == width
    # nothing of a drawing is cut off or pushed out of its frame, and no two labels of one drawing
    # overlap
    troubles = visit.page.evaluate("""() => Array.from(document.querySelectorAll("svg"), (svg) => {
            const frame = svg.getBoundingClientRect();
            const drawn = Array.from(svg.querySelectorAll("text, rect, polyline, circle"),
              (e) => [e, e.getBoundingClientRect()]);
            const out = drawn.filter(([, r]) =>
                r.left < frame.left - 1 || r.right > frame.right + 1
                || r.top < frame.top - 1 || r.bottom > frame.bottom + 1);
            const texts = drawn.filter(([e]) => e.tagName === "text");
            const pairs = texts.flatMap(([a, p], i) => texts.slice(i + 1).filter(([, q]) =>
                p.left < q.right - 1 && q.left < p.right - 1
                && p.top < q.bottom - 4 && q.top < p.bottom - 4)
                .map(([b]) => `${a.textContent} over ${b.textContent}`));
            const which = svg.closest("[data-explorer]").id;
            return [...out.map(([e]) => `${which}: ${e.outerHTML.slice(0, 80)} outside`),
              ...pairs.map((pair) => `${which}: ${pair}`)];
        }).flat()""")
    assert troubles == []
    # controls are at least 24 px, in both directions
    sizes = visit.page.evaluate(
        """() => Array.from(document.querySelectorAll("select, input, button"))
          .filter((e) => e.checkVisibility())
            .map((e) => e.getBoundingClientRect()).map((r) => Math.min(r.width, r.height))"""
    )
    assert min(sizes) >= 24
    visit.close()


@pytest.mark.usefixtures("static")
@pytest.mark.parametrize(
    ("root", "body", "scheme", "dark"),
    [
        ('data-theme="dark"', "", "light", True),
        ('data-theme="light"', "", "dark", False),
        ("", "", "dark", True),
        ("", "", "light", False),
        ("", 'data-jp-theme-light="false"', "light", True),
        ("", 'data-jp-theme-light="true"', "dark", False),
    ],
)
def test_follows_the_theme(
    browser: Browser, tmp_path: Path, root: str, body: str, scheme: str, dark: bool
) -> None:
    path = tmp_path / "page.html"
    path.write_text(
        document(widgets.explorer())
        .replace('data-theme="light"', root)
        .replace("<body", f"<body {body}")
    )
    visit = Visit(browser, path.as_uri(), color_scheme=scheme)
    visit.page.get_by_label("Workflow", exact=True).select_option("discard")
    stroke = visit.page.locator(".curve").evaluate("(e) => getComputedStyle(e).stroke")
    assert stroke == ("rgb(255, 112, 67)" if dark else "rgb(200, 16, 46)")
    # paper is white
    visit.page.emulate_media(media="print")
    assert (
        visit.page.locator(".curve").evaluate("(e) => getComputedStyle(e).stroke")
        == "rgb(200, 16, 46)"
    )
    assert not visit.page.locator(".controls").is_visible()
    visit.close()


@pytest.mark.usefixtures("static")
@pytest.mark.parametrize("name", widgets.EXPLORERS)
def test_without_javascript_a_sentence_and_a_picture(
    browser: Browser, tmp_path: Path, name: str
) -> None:
    view = widgets.explorer(name)
    path = tmp_path / "page.html"
    path.write_text(document(view))
    page = browser.new_context(
        java_script_enabled=False, viewport={"width": 360, "height": 800}
    ).new_page()
    page.goto(path.as_uri())
    text = page.locator("body").inner_text()
    picture = page.locator("img").bounding_box()
    page.context.close()
    assert "needs JavaScript" in text
    assert view._kind.sentence(view._everything()) in text
    assert "import" not in text
    assert picture is not None
    assert 200 < picture["width"] <= 328
    assert picture["height"] > 80
    bundle = view._repr_mimebundle_()
    assert base64.b64decode(bundle["image/png"]).startswith(b"\x89PNG")
    assert bundle["text/plain"] == repr(view)


def test_sources_can_stand_inside_a_page() -> None:
    for path in sorted([*STATIC.glob("*.js"), *STATIC.glob("*.css")]):
        text = path.read_text()
        assert "</" not in text, f"{path.name} would end the element that it stands in"
        assert "<!--" not in text
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text), (
            f"{path.name} names another host"
        )


# --- Python's side --------------------------------------------------------------------------------


@pytest.mark.parametrize("environment", ["0", "1"])
@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("fans", {}, "name must be one of workflow, squares"),
        ("dial", {"k": 3}, "the explorer 'dial' has no control 'k'; it has share, size"),
        (
            "workflow",
            {"workflow": "augmented"},
            r"workflow must be one of discard, augment, .*; it is 'augmented'",
        ),
        (
            "workflow",
            {"generations": 0},
            "generations must be a whole number from 2 to 1000, as the slider; it is 0",
        ),
        ("workflow", {"generations": 1001}, "from 2 to 1000"),
        (
            "workflow",
            {"workflow": "star", "generations": 101},
            "generations of star must be at most 100, as the slider, since each has many batches",
        ),
        ("workflow", {"generations": 10.5}, "whole number"),
        ("workflow", {"generations": True}, "whole number"),
        ("workflow", {"replace": 1}, "replace must be True or False; it is 1"),
        ("workflow", {"kept": 0}, "kept must be a number from 0.01 to 1, as the slider; it is 0"),
        ("dial", {"share": 1.01}, "share must be a number from 0 to 1, as the slider; it is 1.01"),
        ("dial", {"share": float("nan")}, "it is nan"),
        ("dial", {"share": "all"}, "it is 'all'"),
    ],
)
def test_bad_arguments(
    monkeypatch: pytest.MonkeyPatch,
    environment: str,
    name: str,
    arguments: dict[str, Any],
    message: str,
) -> None:
    monkeypatch.setenv("COLLAPSE_STATIC", environment)
    with pytest.raises(ValueError, match=message):
        widgets.explorer(name, **arguments)


@pytest.mark.parametrize("name", widgets.EXPLORERS)
def test_live_widgets_hold_the_same(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.delenv("COLLAPSE_STATIC", raising=False)
    kind = widgets.EXPLORERS[name]
    view = widgets.explorer(name)
    state = view.get_state()
    assert {control.name: state[control.name] for control in kind.controls} == kind.check({})
    assert (
        state["explorer"] == json.loads(json.dumps(kind.to_json()))
        or state["explorer"] == kind.to_json()
    )
    assert "export default explorer(" in state["_esm"]
    assert "export function ratio" in state["_esm"]
    assert ".collapse-explorer" in state["_css"]
    for control in kind.controls:
        assert control.check(control.default) == control.default
        if control.kind == "slider":
            assert control.low <= control.default <= control.high
            assert not control.values or control.default in control.values


def test_live_widget_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLLAPSE_STATIC", raising=False)
    view = widgets.explorer(workflow="window", generations=np.int64(20), k=3)
    # what the browser sends arrives in plan and risk; metamorphic: a window of one batch is discard
    view.set_state({"k": 1, "generations": 7})
    assert view.plan.name == "window(k=1)"
    assert view.risk.ratio.tolist() == [1, 2, 3, 4, 5, 6, 7]
    with pytest.raises(ValueError, match="k must be a whole number from 1 to 50"):
        view.k = 0
    assert view.k == 1
    with pytest.raises(AttributeError, match="has no 'plans'"):
        _ = view.plans


@pytest.mark.usefixtures("static")
def test_what_kept_stands_for() -> None:
    for name in record.kept().workflows:
        whole, half = (
            widgets.explorer(workflow=name, kept=kept, generations=6).plan for kept in (1.0, 0.5)
        )
        assert whole.recipe is not None  # the named workflow itself
        assert half.name == f"{whole.name}, 50 % kept"
        np.testing.assert_array_equal(half.weight, whole.weight)
        read = whole.weight > 0
        np.testing.assert_array_equal(half.kept[0], whole.kept[0])
        np.testing.assert_array_equal(half.kept[1:][read[1:]], 0.5 * whole.kept[1:][read[1:]])
    # by hand: each generation of discard reads half a batch, so its noise is 1 / 0.5
    assert widgets.explorer(workflow="discard", kept=0.5, generations=5).risk.ratio.tolist() == [
        1,
        3,
        5,
        7,
        9,
    ]
    assert (
        widgets.explorer(workflow="ring", kept=0.5).plan.name
        == widgets.explorer(workflow="ring").plan.name
    )


@pytest.mark.usefixtures("static")
def test_a_static_explorer_follows_too() -> None:
    view = widgets.explorer("bill", workflow="discard", generations=11, n=1000, p=10)
    assert view.extra == pytest.approx(10 * 10 / 2000)
    view.p = 20
    assert view.extra == pytest.approx(10 * 20 / 2000)
    with pytest.raises(ValueError, match="p must be"):
        view.p = 0
    with pytest.raises(ValueError, match="has no control 'q'"):
        view.q = 1
    with pytest.raises(AttributeError, match="has no 'extras'"):
        _ = view.extras
    assert "is higher by 0.1 nats to first order" in repr(view)


@pytest.mark.usefixtures("static")
def test_the_sentence_of_the_squares_tells_what_draws_add() -> None:
    """No draws under augment; under subsample batches and draws make the ratio together."""
    for workflow in ("augment", "subsample"):
        told = repr(widgets.explorer("squares", workflow=workflow, generation=10))
        assert "for many rows" in told
        assert ("from draws of rows" in told) == (workflow == "subsample")


def test_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLLAPSE_STATIC", raising=False)
    monkeypatch.setitem(sys.modules, "anywidget", None)
    widgets._live.cache_clear()
    with pytest.raises(ImportError, match=r"collapse-companion\[widgets\]"):
        widgets.explorer()
    monkeypatch.setenv("COLLAPSE_STATIC", "1")
    assert "noscript" in html(widgets.explorer())


# --- JupyterLab -----------------------------------------------------------------------------------


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A JupyterLab of its own, on this machine alone."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path / "notebooks"
    folder.mkdir()
    private = {
        name: str(tmp_path / name.lower())
        for name in ("HOME", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    }
    environment = {
        name: value for name, value in os.environ.items() if name != "COLLAPSE_STATIC"
    } | private
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        "--no-browser",
        "--allow-root",
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port}",
    ]
    command += [
        "--ServerApp.port_retries=0",
        "--IdentityProvider.token=",
        f"--ServerApp.root_dir={folder}",
        "--LabApp.news_url=None",
    ]
    command += ["--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    with (tmp_path / "lab.log").open("w") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        address = f"http://127.0.0.1:{port}"
        for _ in range(1000):  # tries, not seconds: a busy machine may need many
            try:
                urllib.request.urlopen(f"{address}/api", timeout=60).close()
                break
            except OSError:
                assert server.poll() is None, (tmp_path / "lab.log").read_text()
                time.sleep(0.3)
        yield address, folder
    finally:
        server.terminate()
        server.wait(300)


def test_live_in_jupyterlab(browser: Browser, lab: tuple[str, Path]) -> None:
    address, folder = lab
    record = (
        "import json\nfrom pathlib import Path\n"
        "from collapse.explorers import widgets\nview ="
        " widgets.explorer(workflow='discard', generations=30)\ndef record(change):\n   "
        " Path('seen.json').write_text(json.dumps([view.workflow, view.generations,"
        " view.risk.ratio[-1]]))\nview.observe(record)\nview"
    )
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell(record),
            nbformat.v4.new_code_cell("view.workflow = 'augment'"),
        ]
    )
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3 (ipykernel)"}
    nbformat.write(notebook, folder / "tiny.ipynb")

    def seen(expected: list[Any]) -> None:
        for _ in range(1000):
            if (folder / "seen.json").is_file() and json.loads(
                (folder / "seen.json").read_text() or "null"
            ) == expected:
                return
            time.sleep(0.1)
        pytest.fail(f"Python saw {(folder / 'seen.json').read_text()} and not {expected}")

    page = browser.new_page(viewport={"width": 1200, "height": 1000})
    page.set_default_timeout(PATIENCE)
    page.goto(f"{address}/lab/tree/tiny.ipynb")
    # the menu is dead until a notebook is in focus
    page.locator(".jp-CodeCell .cm-content").first.click(timeout=300_000)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.locator("[data-command='runmenu:run-all']").click(timeout=300_000)
    view = page.locator(".collapse-explorer")
    expect(view).to_be_visible(timeout=300_000)
    # the second cell changed the trait, and the picture followed
    expect(view.locator("data[data-name=ratio]")).to_have_attribute(
        "value", re.compile(r"^1\.61"), timeout=300_000
    )
    slider = view.get_by_label("Generations", exact=True)
    slider.focus()
    page.keyboard.press("ArrowRight")
    seen(["augment", 31, collapse.derive(collapse.workflows.augment(31)).ratio[-1]])
    for _ in range(9):
        page.keyboard.press("ArrowRight")
    last = collapse.derive(collapse.workflows.augment(40)).ratio[-1]
    seen(["augment", 40, last])
    # a notebook's address is not ours to write, and carries no state
    expect(view.get_by_role("button", name="Copy a link")).to_have_count(0)
    assert "#" not in page.url
    assert numbers(view)["ratio"] == pytest.approx(last, rel=1e-12)
    page.close()


@pytest.mark.parametrize(
    "state",
    [
        {"workflow": "bootstrap"},
        {"workflow": "subsample", "replace": True},
        {"workflow": "window", "k": 4},
    ],
)
def test_worth_is_that_of_the_diagnosis(state):
    view = widgets.explorer("workflow", generations=40, **state)
    assert view.worth == pytest.approx(collapse.diagnose(view.plan).worth, rel=1e-12)
    assert view.worth == pytest.approx(view.risk.worth(1000)[-1], rel=1e-12)
