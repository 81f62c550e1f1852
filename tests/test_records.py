"""One record each: a workflow or an explorer that is written in one place is known everywhere."""

from __future__ import annotations

import contextlib
import io
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jupytext
import numpy as np
import pytest
from matplotlib.figure import Figure
from playwright.sync_api import Browser

import collapse
from collapse import Plan, closed_form, workflows
from collapse.cli import main
from collapse.explorers import formulas, widgets
from collapse.explorers.record import EXPLORERS, Control, Explorer
from collapse.publishing import plot
from collapse.workflows import symbols
from collapse.workflows.record import workflow
from collapse.workflows.symbols import walk
from tests.test_widgets import Visit, assert_shows, browser, document, html  # noqa: F401

pytestmark = pytest.mark.book

BOOK = Path(__file__).parents[1] / "book"


@pytest.fixture
def lagging(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A workflow of one's own: half of the weight on the latest batch, half on the one before."""
    monkeypatch.setenv("COLLAPSE_STATIC", "1")

    def form(sp: Any, g: Any, latest: Any) -> dict[str, Any]:
        j = sp.Symbol("j", integer=True)
        kept = (1 - (latest - 1) ** j) / (2 - latest)
        ratio = 1 + sp.Sum(kept**2, (j, 2, g))
        return walk(g, 1 / (2 - latest) ** 2, "thm-toy") | {"ratio": ratio, "offset": None}

    @workflow(
        family="window",
        meaning="Each generation gives ${percent(latest)} of the weight to the latest batch.",
        tables="chain(G, (g) => (g === 0 ? [[0], [1]] : [[g - 1, g], [1 - latest, latest]]))",
        controls=(Control("latest", "Weight of the latest batch", 0.75, 0.05, unit="percent"),),
        closed_form=form,
    )
    def lagging(generations: int, latest: float) -> Plan:
        """Train each generation on the latest two batches."""
        weight = np.zeros((generations, generations))
        weight[0, 0] = 1
        for g in range(1, generations):
            weight[g, g - 1], weight[g, g] = 1 - latest, latest
        return Plan(np.arange(generations), np.ones(generations), weight)

    yield
    del workflows.NAMED["lagging"]


@pytest.mark.usefixtures("lagging")
def test_a_workflow_is_known_to_names_commands_formulas_and_hues() -> None:
    plan = workflows.named("lagging(latest=1/2)", 6)
    assert plan.name == "lagging(latest=1/2)"
    assert plot.family_of(plan.name) == "window"
    form = closed_form("lagging", latest=0.5)
    assert form is not None
    np.testing.assert_allclose(form.values(6), collapse.derive(plan).ratio, rtol=1e-12)
    assert collapse.diagnose(plan).certificate
    assert collapse.diagnose(plan, generations=40).generations == 40
    told = io.StringIO()
    with contextlib.redirect_stdout(told):
        assert main(["derive", "lagging(latest=0.5)", "--generations", "6", "--json"]) == 0
    assert "lagging" in told.getvalue()
    with pytest.raises(ValueError, match=r"there are discard, .*, lagging"):
        workflows.named("laggin", 3)
    record = workflows.NAMED["lagging"]
    assert record.sentence == "Train each generation on the latest two batches."
    assert record.defaults == {"latest": 0.75}


@pytest.mark.usefixtures("lagging")
def test_a_workflow_is_a_choice_of_the_explorers(browser: Browser, tmp_path: Path) -> None:  # noqa: F811
    for name in ("workflow", "squares", "bill"):
        choice, *parameters = EXPLORERS[name].controls
        assert "lagging" in choice.choices
        assert [c.name for c in parameters if "lagging" in c.workflows] == ["latest"]
    views = [
        widgets.explorer("workflow", workflow="lagging", latest=0.5),
        widgets.explorer("squares", workflow="lagging", generation=9),
    ]
    path = tmp_path / "page.html"
    path.write_text(document(*views))
    visit = Visit(browser, path.as_uri())
    shown = visit.page.locator(".collapse-explorer")
    for index, view in enumerate(views):
        assert_shows(shown.nth(index), view)
        assert shown.nth(index).get_attribute("data-family") == "window"
    assert "gives 50\u00a0% of the weight" in shown.nth(0).inner_text()
    assert "by 0.444 a generation" in shown.nth(0).inner_text()
    visit.close()


def zoo(folder: Path) -> dict[str, Any]:
    """What the zoo's chapter knows before it draws and prints."""
    notebook = jupytext.read(BOOK / "zoo.md")
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    script = cells[:3]
    for begin, end in (("more = {", "curves = {}"), ("class Printer", "latex, rows =")):
        (cell,) = (source for source in cells if begin in source)
        script.append(cell[: cell.index(end)])
    path = folder / "zoo.py"
    path.write_text("\n".join(script))
    return runpy.run_path(str(path))


def test_the_zoo_shows_every_workflow(tmp_path: Path) -> None:
    known = zoo(tmp_path)
    drawn = {make(3).recipe.workflow for make in (known["zoo"] | known["more"]).values()}
    assert drawn == set(workflows.NAMED) == set(known["cases"])


@pytest.mark.usefixtures("lagging")
def test_the_zoo_shows_a_workflow_that_was_added(tmp_path: Path) -> None:
    known = zoo(tmp_path)
    assert known["zoo"]["lagging"](4).name == "lagging(latest=0.75)"
    assert known["cases"]["lagging"] == {"": {"latest": 0.75}}


def test_the_printed_javascript_is_that_of_the_records() -> None:
    assert formulas.current() == formulas.javascript()
    assert formulas.FILE.read_text() == formulas.javascript()


def test_explorers_do_without_sympy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLLAPSE_STATIC", "1")
    symbols.sympy.cache_clear()
    monkeypatch.setitem(sys.modules, "sympy", None)
    with pytest.raises(ImportError, match=r"collapse-companion\[symbolic\]"):
        formulas.javascript()
    for name in EXPLORERS:
        assert "export const WORKFLOWS" in html(widgets.explorer(name))
    symbols.sympy.cache_clear()


def test_hues_belong_to_families() -> None:
    assert {kind.family for kind in workflows.NAMED.values()} <= set(plot.HUES)
    for name, kind in workflows.NAMED.items():
        assert plot.family_of(name) == kind.family


def test_an_explorer_is_written_in_one_place(
    browser: Browser,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLLAPSE_STATIC", "1")
    (tmp_path / "half.js").write_text(
        "export default explorer(({ state, picture, width }) => {\n"
        "  const [[svg]] = panels(picture, width, [1], 100);\n"
        '  shape(svg, "circle", { cx: 50, cy: 50, r: 50 * halved(state.size) });\n'
        '  return { family: "real", meaning: "A half.",\n'
        '    summary: ["It is ", ["half", halved(state.size), "half of it"], "."] };\n'
        "});\n"
    )

    def draw(figure: Figure, shown: Any) -> None:
        figure.subplots().plot([0, shown["half"]])

    Explorer(
        "half",
        "what a half is",
        lambda: (Control("size", "Size", 0.5),),
        lambda state: {"half": state["size"] / 2},
        "half of {size:g} is {half:g}",
        draw,
        shared={"halved": lambda size: size / 2},
        folder=tmp_path,
    )
    try:
        view = widgets.explorer("half", size=0.25)
        path = tmp_path / "page.html"
        path.write_text(document(view))
        visit = Visit(browser, path.as_uri())
        assert_shows(visit.page.locator(".collapse-explorer"), view)
        visit.close()
        assert repr(view) == "<Explorer half: half of 0.25 is 0.125>"
        with pytest.raises(ValueError, match=r"one of workflow, .*, half"):
            widgets.explorer("whole")
    finally:
        del EXPLORERS["half"]
