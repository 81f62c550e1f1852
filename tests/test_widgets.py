"""The explorers: their mathematics against derive, their page in a browser, their widget in JupyterLab."""

from __future__ import annotations

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
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import nbformat
import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

import collapse
from collapse import widgets

CHROMIUM = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
CHROMIUM += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
STATIC = Path(widgets.__file__).with_name("static")
STATES: list[dict[str, Any]] = [
    {"workflow": "discard", "generations": 60},
    {"workflow": "discard", "kept": 0.3, "generations": 40},
    {"workflow": "augment"},
    {"workflow": "augment", "kept": 0.25, "generations": 200},
    {"workflow": "subsample", "generations": 100},
    {"workflow": "subsample", "kept": 0.5, "generations": 2},
    {"workflow": "fixed real share", "real_share": 0.35},
    {"workflow": "fixed real share", "real_share": 1.0, "kept": 0.8},
    {"workflow": "fixed real share", "real_share": 0.0},
    {"workflow": "window", "window": 4, "generations": 150},
    {"workflow": "window", "window": 50, "kept": 0.7, "generations": 30},
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.fail("no chromium on this machine: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture
def static(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLLAPSE_STATIC", "1")


def document(*views: Any, theme: str = "light") -> str:
    """A bare page, as narrow as a telephone's text column leaves it."""
    body = "\n".join(view._repr_html_() for view in views)
    return (
        f'<!doctype html><html lang="en" data-theme="{theme}"><head><meta charset="utf-8"><title>Explorers</title>'
        '<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,"></head>'
        f'<body style="margin: 0 16px">{body}</body></html>'
    )


class Visit:
    """A page opened with a record of all it asked for and all it complained of."""

    def __init__(self, browser: Browser, address: str, width: int = 1000, **options: Any) -> None:
        self.page: Page = browser.new_page(viewport={"width": width, "height": 800}, **options)
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(address)
        expect(self.page.locator(".collapse-explorer").last).to_be_visible()

    def close(self) -> None:
        asked = [url for url in self.requests[1:] if not url.startswith(("blob:", "data:"))]
        self.page.close()
        assert not asked
        assert not self.complaints


def shown(page: Page, index: int = 0) -> tuple[float, float, int]:
    """Ratio and worth at full precision, and the number of generations drawn."""
    view = page.locator(".collapse-explorer").nth(index)
    ratio, worth = (float(view.locator(f"data.{name}").get_attribute("value") or "nan") for name in ("excess", "worth"))
    return ratio, worth, len((view.locator(".curve").get_attribute("points") or "").split())


# --- the mathematics -------------------------------------------------------------------------------------------------


def random_plan(rng: np.random.Generator) -> collapse.Plan:
    """Any plan at all: batches from any fit, several real ones, private ones, unread ones, uneven sizes, draws of both kinds."""
    G = int(rng.integers(1, 25))
    source = np.sort(np.concatenate([[0], rng.integers(0, G, int(rng.integers(0, 2 * G + 1)))]))
    weight = rng.exponential(size=(G, len(source))) * (rng.random((G, len(source))) < rng.uniform(0.2, 1))
    weight[:, 0] += 0.05
    weight *= source[None, :] <= np.arange(G)[:, None]
    kept = np.where(rng.random(weight.shape) < 0.5, 1.0, rng.uniform(0.01, 1, weight.shape))
    size = rng.uniform(0.1, 4, len(source))
    return collapse.Plan(source, size, weight / weight.sum(axis=1, keepdims=True), kept, replace=bool(rng.random() < 0.3))


def tables(plan: collapse.Plan) -> dict[str, Any]:
    arrays = {name: getattr(plan, name).tolist() for name in ("source", "size", "weight", "kept")}
    return arrays | {"replace": plan.replace}


def evaluate(browser: Browser, module: str, expression: str, argument: Any) -> Any:
    """Value of a JavaScript expression in `m`, the module, and `x`, the argument."""
    page = browser.new_page()
    try:
        return page.evaluate(
            "async ([text, x]) => { const m = await import(URL.createObjectURL(new Blob([text], {type: 'text/javascript'})));"
            f"return {expression}; }}",
            [module, argument],
        )
    finally:
        page.close()


def worst_disagreement(browser: Browser, module: str, plans: list[collapse.Plan]) -> float:
    """Largest relative error of the module's ratio and contributions against derive, over plans."""
    expression = "x.map((plan) => [Array.from(m.ratio(plan)), m.contributions(plan).map((row) => Array.from(row))])"
    answers = evaluate(browser, module, expression, [tables(plan) for plan in plans])
    errors = []
    for plan, (ratio, contributions) in zip(plans, answers, strict=True):
        risk = collapse.derive(plan)
        for found, expected in ((ratio, risk.ratio), (contributions, risk.contributions)):
            assert np.shape(found) == expected.shape
            errors.append(np.max(np.abs(np.asarray(found) - expected) / np.where(expected == 0, 1, np.abs(expected))))
    return float(np.max(errors))


def test_module_agrees_with_derive_on_random_plans(browser: Browser) -> None:
    rng = np.random.default_rng(20260101)
    assert worst_disagreement(browser, (STATIC / "collapse.js").read_text(), [random_plan(rng) for _ in range(300)]) < 1e-12


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("kept : 1 / kept - 1", "kept : 0"),
        ("replace ? 1 / kept :", "replace ? 1 / kept - 1 :"),
        ("(c * c) / plan.size[b]", "c * c"),
        ("/ plan.size[b];", ";"),
        ("row[i] += weight * from[i]", "row[i] = weight * from[i]"),
        ("value / risk[0]", "value"),
        ("c * c * noise[h]", "c * noise[h]"),
    ],
)
def test_a_wrong_formula_is_caught(browser: Browser, right: str, wrong: str) -> None:
    rng = np.random.default_rng(20260101)
    module = (STATIC / "collapse.js").read_text()
    assert module.count(right) == 1
    assert worst_disagreement(browser, module.replace(right, wrong), [random_plan(rng) for _ in range(20)]) > 1e-3


@pytest.mark.usefixtures("static")
def test_named_workflows_are_the_same_tables(browser: Browser) -> None:
    views = [widgets.explorer(**state) for state in STATES]
    options = [[v.workflow, {"generations": v.generations, "kept": v.kept, "realShare": v.real_share, "window": v.window}] for v in views]
    expression = "x.map(([name, options]) => { const p = m.workflow(name, options);"
    expression += (
        "return [p.source, p.size, p.weight.map((r) => Array.from(r)), p.kept.map((r) => Array.from(r)), Array.from(m.ratio(p))]; })"
    )
    answers = evaluate(browser, (STATIC / "collapse.js").read_text(), expression, options)
    for view, (source, size, weight, kept, ratio) in zip(views, answers, strict=True):
        plan = view.plan
        np.testing.assert_array_equal(source, plan.source)
        np.testing.assert_array_equal(size, plan.size)
        np.testing.assert_allclose(weight, plan.weight, rtol=1e-12)
        used = plan.weight > 0
        np.testing.assert_allclose(np.array(kept)[used], plan.kept[used], rtol=1e-12)
        np.testing.assert_allclose(ratio, view.risk.ratio, rtol=1e-12)
    assert evaluate(browser, (STATIC / "collapse.js").read_text(), "m.WORKFLOWS", None) == list(widgets.WORKFLOWS)


@pytest.mark.parametrize("kept", [1.0, 0.4])
@pytest.mark.parametrize("workflow", widgets.WORKFLOWS)
def test_what_the_ratio_does_in_the_end(browser: Browser, workflow: str, kept: float) -> None:
    options = {"kept": kept, "realShare": 0.2, "window": 3}
    fate = evaluate(browser, (STATIC / "collapse.js").read_text(), "m.fate(x[0], x[1])", [workflow, options])
    # twenty times the explorer's range; both bounded pools approach their limit like 1 / G, which two points extrapolate
    state = {"workflow": workflow, "kept": kept, "real_share": 0.2, "window": 3}
    plans = [widgets._plan(widgets._StaticExplorer(generations=G, **state)) for G in (1000, 2000)]  # type: ignore[arg-type]
    half, last = (collapse.derive(plan).ratio[-1] for plan in plans)
    if "limit" in fate:
        extrapolated = 2 * last - half if workflow in ("augment", "subsample") else last
        assert extrapolated == pytest.approx(fate["limit"], rel=1e-6)
    else:
        assert (last - half) / 1000 == pytest.approx(fate["rate"], rel=1e-9)


# --- the static page -------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("static")
def test_values_in_the_page_equal_derive(browser: Browser, tmp_path: Path) -> None:
    views = [widgets.explorer(**state) for state in STATES]
    path = tmp_path / "page.html"
    path.write_text(document(*views))
    visit = Visit(browser, path.as_uri())
    for index, view in enumerate(views):
        ratio, worth, drawn = shown(visit.page, index)
        assert ratio == pytest.approx(view.risk.ratio[-1], rel=1e-12)
        assert worth == pytest.approx(view.risk.worth(1000)[-1], rel=1e-12)
        assert drawn == view.generations
    assert visit.page.evaluate("window.collapseModules.size") == 1
    visit.close()


@pytest.mark.usefixtures("static")
def test_over_http_too(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(document(widgets.explorer()))

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *arguments: Any) -> None:
            """A test's log stays readable."""

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        visit = Visit(browser, f"http://127.0.0.1:{server.server_port}/index.html")
        assert shown(visit.page)[0] == pytest.approx(collapse.derive(collapse.workflows.augment(50)).ratio[-1], rel=1e-12)
        visit.close()
        server.shutdown()


@pytest.mark.usefixtures("static")
def test_keyboard_and_mouse_move_everything(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(document(widgets.explorer("augment"), widgets.explorer("discard")))
    visit = Visit(browser, path.as_uri())
    page, first = visit.page, visit.page.locator(".collapse-explorer").first
    untouched = shown(page, 1)
    summary = first.locator("[aria-live=polite]")

    def follows(**state: Any) -> None:
        view = widgets.explorer(**state)
        ratio, _, drawn = shown(page)
        assert ratio == pytest.approx(view.risk.ratio[-1], rel=1e-12)
        assert drawn == view.generations
        assert f"After {view.generations} generations of " in summary.inner_text()

    # keyboard: the workflow's select, then each slider, reached by tabulator and named by their labels
    page.keyboard.press("Tab")
    expect(first.get_by_label("Workflow")).to_be_focused()
    page.keyboard.press("ArrowDown")
    follows(workflow="subsample")
    page.keyboard.press("Tab")
    generations = first.get_by_label("Generations")
    expect(generations).to_be_focused()
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("ArrowRight")
    follows(workflow="subsample", generations=51)
    assert generations.get_attribute("aria-valuetext") == "51"
    page.keyboard.press("Home")
    follows(workflow="subsample", generations=2)
    page.keyboard.press("End")
    follows(workflow="subsample", generations=200)
    page.keyboard.press("Tab")
    for _ in range(10):
        page.keyboard.press("ArrowLeft")
    follows(workflow="subsample", generations=200, kept=0.9)

    # mouse: a drag redraws on the way
    box = generations.bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] - 13, middle)
    page.mouse.down()
    counts = []
    for share in (0.8, 0.5, 0.25):
        page.mouse.move(box["x"] + share * box["width"], middle)
        counts.append(shown(page)[2])
    page.mouse.up()
    assert 200 > counts[0] > counts[1] > counts[2] > 30
    follows(workflow="subsample", generations=counts[2], kept=0.9)

    # controls that belong to one workflow stand there only with it
    share, window = first.get_by_label("Weight on the real data"), first.get_by_label("Window, in batches")
    expect(share).to_be_hidden()
    first.get_by_label("Workflow").select_option("fixed real share")
    expect(share).to_be_visible()
    share.fill("0.4")
    follows(workflow="fixed real share", generations=counts[2], kept=0.9, real_share=0.4)
    first.get_by_label("Workflow").select_option("window")
    expect(share).to_be_hidden()
    window.fill("1")
    follows(workflow="window", generations=counts[2], kept=0.9, window=1)

    assert shown(page, 1) == untouched
    visit.close()


@pytest.mark.usefixtures("static")
def test_redraws_in_time(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(document(widgets.explorer("subsample", generations=200, kept=0.5)))
    visit = Visit(browser, path.as_uri())
    milliseconds = visit.page.evaluate(
        """() => Array.from({ length: 20 }, (_, i) => {
            const slider = document.querySelector("input[name=kept]");
            slider.value = 0.5 + i / 100;
            const start = performance.now();
            slider.dispatchEvent(new Event("input"));
            document.querySelector("svg").getBoundingClientRect();
            return performance.now() - start;
        })"""
    )
    # the median: another process may hold the machine for a moment
    assert np.median(milliseconds) < 50
    visit.close()


@pytest.mark.usefixtures("static")
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_fits_a_telephone(browser: Browser, tmp_path: Path, theme: str) -> None:
    path = tmp_path / "page.html"
    path.write_text(document(*(widgets.explorer(**state) for state in STATES), theme=theme))
    visit = Visit(browser, path.as_uri(), width=360)
    assert visit.page.evaluate("document.documentElement.scrollWidth") == 360
    # nothing of a drawing is cut off or pushed out of its frame, and no two labels of one drawing overlap
    troubles = visit.page.evaluate(
        """() => Array.from(document.querySelectorAll("svg"), (svg) => {
            const frame = svg.getBoundingClientRect();
            const texts = Array.from(svg.querySelectorAll("text"), (t) => [t.textContent, t.getBoundingClientRect()]);
            const out = texts.filter(([, r]) => r.left < frame.left || r.right > frame.right + 1 || r.top < frame.top || r.bottom > frame.bottom);
            const pairs = texts.flatMap(([a, p], i) => texts.slice(i + 1).filter(([, q]) =>
                p.left < q.right - 1 && q.left < p.right - 1 && p.top < q.bottom - 4 && q.top < p.bottom - 4).map(([b]) => `${a} over ${b}`));
            return [...out.map(([t]) => `${t} outside`), ...pairs];
        }).flat()"""
    )
    assert troubles == []
    # controls are at least 24 px, in both directions
    sizes = visit.page.evaluate(
        """() => Array.from(document.querySelectorAll("select, input")).filter((e) => e.checkVisibility())
            .map((e) => e.getBoundingClientRect()).map((r) => Math.min(r.width, r.height))"""
    )
    assert min(sizes) >= 24
    visit.close()


@pytest.mark.usefixtures("static")
@pytest.mark.parametrize(
    ("html", "body", "scheme", "dark"),
    [
        ('data-theme="dark"', "", "light", True),
        ('data-theme="light"', "", "dark", False),
        ("", "", "dark", True),
        ("", "", "light", False),
        ("", 'data-jp-theme-light="false"', "light", True),
        ("", 'data-jp-theme-light="true"', "dark", False),
    ],
)
def test_follows_the_theme(browser: Browser, tmp_path: Path, html: str, body: str, scheme: str, dark: bool) -> None:
    path = tmp_path / "page.html"
    path.write_text(document(widgets.explorer("discard")).replace('data-theme="light"', html).replace("<body", f"<body {body}"))
    visit = Visit(browser, path.as_uri(), color_scheme=scheme)
    stroke = visit.page.locator(".curve").evaluate("(e) => getComputedStyle(e).stroke")
    assert stroke == ("rgb(255, 112, 67)" if dark else "rgb(200, 16, 46)")
    visit.close()


@pytest.mark.usefixtures("static")
def test_without_javascript_a_sentence(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(document(widgets.explorer("augment", 50)))
    page = browser.new_context(java_script_enabled=False).new_page()
    page.goto(path.as_uri())
    text = page.locator("body").inner_text()
    page.context.close()
    assert "needs JavaScript" in text
    assert "1.62513" in text
    assert "615" in text
    assert "import" not in text


def test_sources_can_stand_inside_a_page() -> None:
    for path in STATIC.iterdir():
        text = path.read_text()
        assert "</" not in text, f"{path.name} would end the element that it stands in"
        assert "<!--" not in text
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text), f"{path.name} names another host"


# --- Python's side ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("environment", ["0", "1"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"workflow": "augmented"}, r"one of 'discard', 'augment', 'subsample', 'fixed real share', 'window'; it is 'augmented'"),
        ({"generations": 0}, "generations must be a whole number from 2 to 200, as the slider; it is 0"),
        ({"generations": 201}, "from 2 to 200"),
        ({"generations": 10.5}, "whole number"),
        ({"generations": True}, "whole number"),
        ({"kept": 0}, r"\(0, 1\]; it is 0. Take 1"),
        ({"kept": 1.01}, r"\(0, 1\]"),
        ({"kept": float("nan")}, r"\(0, 1\]; it is nan"),
        ({"kept": "all"}, r"\(0, 1\]; it is 'all'"),
        ({"real_share": -0.1}, r"real_share, the weight on the real data, must lie in \[0, 1\]"),
        ({"window": 0}, "window must be a whole number from 1 to 50"),
    ],
)
def test_bad_arguments(monkeypatch: pytest.MonkeyPatch, environment: str, arguments: dict[str, Any], message: str) -> None:
    monkeypatch.setenv("COLLAPSE_STATIC", environment)
    with pytest.raises(ValueError, match=message):
        widgets.explorer(**arguments)


def test_live_widget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLLAPSE_STATIC", raising=False)
    view: Any = widgets.explorer("window", np.int64(20), window=3)
    state = view.get_state()
    assert {name: state[name] for name in ("workflow", "generations", "kept", "real_share", "window")} == {
        "workflow": "window",
        "generations": 20,
        "kept": 1.0,
        "real_share": 0.1,
        "window": 3,
    }
    assert "export default { render }" in state["_esm"]
    assert "export function ratio" in state["_esm"]
    assert ".collapse-explorer" in state["_css"]
    # what the browser sends arrives in plan and risk; metamorphic: a window of one batch is discard
    view.set_state({"window": 1, "generations": 7})
    assert view.plan.name == "window(1)"
    assert view.risk.ratio.tolist() == [1, 2, 3, 4, 5, 6, 7]
    with pytest.raises(ValueError, match="window must be a whole number from 1 to 50"):
        view.window = 0
    assert view.window == 1


@pytest.mark.usefixtures("static")
def test_plans_of_equal_workflows() -> None:
    def ratio(*arguments: Any, **options: Any) -> Any:
        return widgets.explorer(*arguments, **options).risk.ratio

    np.testing.assert_allclose(ratio("window", 50, window=50), ratio("augment", 50), rtol=1e-12)
    np.testing.assert_allclose(ratio("fixed real share", 50, real_share=0), ratio("discard", 50), rtol=1e-12)
    np.testing.assert_allclose(ratio("fixed real share", 50, real_share=1), 1, rtol=1e-12)
    np.testing.assert_allclose(ratio("discard", 50, kept=0.5), 1 + 2 * np.arange(50), rtol=1e-12)
    view = widgets.explorer("fixed real share", kept=0.5)
    assert repr(view) == f"<Explorer of fixed real share 0.1, 50 % kept: ratio {view.risk.ratio[-1]:.4g} at generation 50>"
    assert widgets.explorer("augment").plan.rational


def test_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLLAPSE_STATIC", raising=False)
    monkeypatch.setitem(sys.modules, "anywidget", None)
    widgets._live_explorer.cache_clear()
    with pytest.raises(ImportError, match=r"collapse-companion\[widgets\]"):
        widgets.explorer()
    monkeypatch.setenv("COLLAPSE_STATIC", "1")
    assert "noscript" in widgets.explorer()._repr_html_()  # type: ignore[attr-defined]


# --- JupyterLab ------------------------------------------------------------------------------------------------------


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A JupyterLab of its own, on this machine alone."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path / "notebooks"
    folder.mkdir()
    private = {name: str(tmp_path / name.lower()) for name in ("HOME", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")}
    environment = {name: value for name, value in os.environ.items() if name != "COLLAPSE_STATIC"} | private
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}"]
    command += ["--ServerApp.port_retries=0", "--IdentityProvider.token=", f"--ServerApp.root_dir={folder}", "--LabApp.news_url=None"]
    command += ["--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    with (tmp_path / "lab.log").open("w") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        address = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                urllib.request.urlopen(f"{address}/api", timeout=5).close()
                break
            except OSError:
                assert server.poll() is None, (tmp_path / "lab.log").read_text()
                time.sleep(0.3)
        yield address, folder
    finally:
        server.terminate()
        server.wait(30)


def test_live_in_jupyterlab(browser: Browser, lab: tuple[str, Path]) -> None:
    address, folder = lab
    record = (
        "import json\nfrom pathlib import Path\nfrom collapse import widgets\nview = widgets.explorer('discard', generations=30)\n"
        "def record(change):\n    Path('seen.json').write_text(json.dumps([view.workflow, view.generations, view.risk.ratio[-1]]))\n"
        "view.observe(record)\nview"
    )
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(record), nbformat.v4.new_code_cell("view.workflow = 'augment'")])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3 (ipykernel)"}
    nbformat.write(notebook, folder / "tiny.ipynb")

    def seen(expected: list[Any]) -> None:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            if (folder / "seen.json").is_file() and json.loads((folder / "seen.json").read_text() or "null") == expected:
                return
            time.sleep(0.1)
        pytest.fail(f"Python saw {(folder / 'seen.json').read_text()} and not {expected}")

    page = browser.new_page(viewport={"width": 1200, "height": 1000})
    page.goto(f"{address}/lab/tree/tiny.ipynb")
    # the menu is dead until a notebook is in focus
    page.locator(".jp-CodeCell .cm-content").first.click(timeout=60_000)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.locator("[data-command='runmenu:run-all']").click(timeout=60_000)
    view = page.locator(".collapse-explorer")
    expect(view).to_be_visible(timeout=60_000)
    # the second cell changed the trait, and the picture followed
    expect(view.locator("data.excess")).to_have_attribute("value", re.compile(r"^1\.61"), timeout=20_000)
    slider = view.get_by_label("Generations")
    slider.focus()
    page.keyboard.press("ArrowRight")
    seen(["augment", 31, collapse.derive(collapse.workflows.augment(31)).ratio[-1]])
    slider.fill("100")
    seen(["augment", 100, collapse.derive(collapse.workflows.augment(100)).ratio[-1]])
    assert shown(page)[0] == pytest.approx(1.634983900184893, rel=1e-12)
    page.close()
