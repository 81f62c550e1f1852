"""Fan, morph and tilt: their mathematics in JavaScript against the package, and their pages in a
browser.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from collapse import derive, models, universality, workflows
from collapse.explorers import pictures, widgets
from collapse.models.families.morris import MeanFamily
from tests.test_widgets import CHROMIUM, Visit, document

pytestmark = pytest.mark.book

STATIC = Path(widgets.__file__).parent
STATES: dict[str, list[dict[str, Any]]] = {
    "fan": [{}, {"generation": 1}, {"generation": 10, "seed": 3}, {"generation": 23, "seed": 0}],
    "morph": [{}, {"share": 1.0, "n": 5}, {"share": 0.37, "n": 100}],
    "tilt": [
        {},
        {"h": -1.3, "estimator": "mean"},
        {"h": 1.0, "estimator": "Hodges' estimator", "seed": 7},
        {"h": 0.0},
    ],
}
EACH = [(name, state) for name, states in STATES.items() for state in states]


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


@pytest.fixture(autouse=True)
def static(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLLAPSE_STATIC", "1")


def module(name: str, *changes: tuple[str, str]) -> str:
    """An explorer's JavaScript as it stands in a page, or with wrong formulas planted."""
    text = "".join(
        (STATIC / f"{file}.js").read_text() for file in ("collapse", "formulas", "parts", name)
    )
    for right, wrong in changes:
        assert text.count(right) == 1, right
        text = text.replace(right, wrong)
    return text


def evaluate(browser: Browser, text: str, expression: str, argument: Any = None) -> Any:
    """Value of a JavaScript expression in `m`, the module, and `x`, the argument."""
    page = browser.new_page()
    try:
        return page.evaluate(
            "async ([text, x]) => { const m = await import(URL.createObjectURL(new Blob([text],"
            f" {{type: 'text/javascript'}})));return {expression}; }}",
            [text, argument],
        )
    finally:
        page.close()


# --- what is drawn at random ----------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1, 11, 20261123, 2**32 - 1])
def test_the_page_draws_what_numpy_draws(browser: Browser, seed: int) -> None:
    take = (
        "((r) => [[1500, r.uniform], [801, r.normal], [3, r.uniform]].map(([n, draw]) =>"
        " Array.from({ length: n }, draw)))"
    )
    uniform, normal, more = evaluate(browser, module("fan"), f"{take}(m.randomState(x))", seed)
    rng = pictures.frozen(seed)
    np.testing.assert_array_equal(uniform, rng.random_sample(1500))
    np.testing.assert_allclose(normal, rng.standard_normal(801), rtol=1e-14)
    np.testing.assert_array_equal(more, rng.random_sample(3))


# --- the fan --------------------------------------------------------------------------------------

FAN = (
    "(({ paths, simulated }) => [paths, Object.fromEntries(Object.entries(simulated).map(([k, v])"
    " => [k, Array.from(v)]))])(m.fan(x))"
)


def fan_error(browser: Browser, text: str) -> float:
    rng = np.random.default_rng(5)
    x, y = rng.uniform(-3, 9, 17), rng.normal(size=17)
    data = {
        "x": x.tolist(),
        "y": y.tolist(),
        "sigma": 0.7,
        "lines": 9,
        "generations": 12,
        "seed": 4,
    }
    paths, simulated = evaluate(browser, text, FAN, data)
    errors = []
    for name, expected in pictures.fan(**data).items():  # type: ignore[arg-type]
        errors.append(np.max(np.abs(np.array(paths[name]) - expected)))
        away = (expected - expected[:, :1]) @ np.stack([np.ones(17), x])
        errors.append(
            np.max(
                np.abs(
                    np.array(simulated[name])
                    - 1
                    - (away**2).sum(axis=2).mean(axis=0) / (2 * 0.7**2)
                )
            )
        )
    return float(np.max(errors))


def test_the_page_refits_the_same_lines(browser: Browser) -> None:
    assert fan_error(browser, module("fan")) < 1e-12


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("? 1 / g : 1", "? 1 : 1"),
        ("(sigma * u[0]) / Math.sqrt(n)", "sigma * u[0]"),
        ("- tilt * centre", ""),
        ("/ (2 * lines)", "/ lines"),
        ("mean(y) - slope * centre", "mean(y)"),
    ],
)
def test_a_wrong_fan_is_caught(browser: Browser, right: str, wrong: str) -> None:
    assert fan_error(browser, module("fan", (right, wrong))) > 1e-3


def test_the_fan_is_least_squares_refitted() -> None:
    rng = np.random.default_rng(8)
    x, y, sigma, lines, G = rng.uniform(0, 4, 11), rng.normal(size=11), 0.3, 5, 7
    X = np.stack([np.ones(11), x], axis=1)
    made = pictures.fan(x, y, sigma, lines, G, seed=2)
    # labels with just the noise that moves a fit by what the discard chain moved: rows of any other
    # noise would leave it
    step = np.diff(made["discard"], axis=1)
    for line in range(lines):
        batches = [y]
        for g in range(G):
            discard = np.linalg.lstsq(X, batches[-1], rcond=None)[0]
            np.testing.assert_allclose(made["discard"][line, g], discard, atol=1e-12)
            if g < G - 1:
                batches.append(X @ discard + X @ step[line, g])
        batches = [y]
        for g in range(G):
            augment = np.linalg.lstsq(np.tile(X, (g + 1, 1)), np.concatenate(batches), rcond=None)[
                0
            ]
            np.testing.assert_allclose(made["augment"][line, g], augment, atol=1e-12)
            if g < G - 1:
                batches.append(X @ augment + X @ step[line, g])


def test_the_noise_of_the_fan_has_the_covariance_of_least_squares() -> None:
    x = np.array([0.0, 1.0, 5.0])
    lines = 40_000
    step = np.diff(pictures.fan(x, x, 2.0, lines, 2, seed=1)["discard"], axis=1)[:, 0]
    X = np.stack([np.ones(3), x], axis=1)
    whitened = step @ np.linalg.cholesky(X.T @ X) / 2.0
    # each entry's standard error is at most sqrt(2 / lines); three entries, false alarm 1e-6 each:
    # 4.9 of them
    np.testing.assert_allclose(
        whitened.T @ whitened / lines, np.eye(2), atol=4.9 * np.sqrt(2 / lines)
    )


def test_a_prefix_of_the_price() -> None:
    view = widgets.explorer("fan", generation=10)
    assert view.paid == pytest.approx(
        (sum(1 / k**2 for k in range(1, 11)) - 1) / (np.pi**2 / 6 - 1), rel=1e-12
    )
    assert view.paid > 0.85


# --- the morph ------------------------------------------------------------------------------------


class Quadratic(MeanFamily):
    def __init__(self, mean: float, variance: tuple[float, float, float]) -> None:
        self.mean, self.variance_function = mean, variance


def morris_error(browser: Browser, text: str) -> float:
    rng = np.random.default_rng(3)
    families = [
        {
            "name": e.name,
            "mean": float(e.make().mean),
            "variance": [float(v) for v in e.make().variance_function],
        }
        for e in models.examples()
        if isinstance(e.make(), MeanFamily)
    ]
    families += [
        {"name": "any", "mean": rng.uniform(1, 3), "variance": rng.uniform(0.1, 2, 3).tolist()}
        for _ in range(30)
    ]
    cases = [
        [name, family, int(n)]
        for name in pictures.SHOWN
        for family in families
        for n in (1, 5, 1000, 10**6)
    ]
    found = evaluate(
        browser,
        text,
        "x.map(([name, family, n]) => Array.from(m.morris(name, {...family, generations: 20}, n)))",
        cases,
    )
    errors = [0.0]
    for (name, family, n), risk in zip(cases, found, strict=True):
        model: Any = Quadratic(family["mean"], tuple(family["variance"]))
        expected = derive(pictures.SHOWN[name](20), model=model, n=n).risk
        errors.append(np.max(np.abs(np.array(risk) - expected) / np.max(np.abs(expected))))
    return float(np.max(errors))


def test_exact_curves_are_those_of_derive(browser: Browser) -> None:
    assert morris_error(browser, module("morph")) < 1e-12


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("v2 * mean ** 2", "v2 * mean"),
        ("(i + 1) ** 2", "(i + 1)"),
        ("Math.log1p(v2 * step)", "v2 * step"),
        ("Math.expm1(sum) / v2", "sum / v2"),
    ],
)
def test_a_wrong_morph_is_caught(browser: Browser, right: str, wrong: str) -> None:
    assert morris_error(browser, module("morph", (right, wrong))) > 1e-3


def test_curves_of_a_matrix() -> None:
    known = {example.name: example for example in models.examples()}
    chosen = [known[name] for name in ("Normal", "Bernoulli", "Median", "Uniform maximum")]
    plans = [workflows.augment(4), workflows.window(4, 2), workflows.discard(4)]
    table = universality.matrix(chosen, plans, replications=60)
    data = pictures.curves(table)
    assert [curve["name"] for curve in data["curves"]] == ["Normal", "Bernoulli", "Median"]
    assert [family["name"] for family in data["families"]] == ["Normal", "Bernoulli"]
    assert data["families"][1] == {"name": "Bernoulli", "mean": 0.3, "variance": [0.0, 1.0, -1.0]}
    for curve in data["curves"]:
        for name in pictures.SHOWN:
            np.testing.assert_allclose(
                curve[name], table.cells[curve["name"], name].risk, rtol=5e-4
            )
    view = widgets.explorer("morph", data=data, share=1.0, n=10)
    assert view.lowest == pytest.approx((1 - 0.9**4) / 0.1, rel=1e-12)
    assert view.highest == pytest.approx(4, rel=1e-12)
    with pytest.raises(ValueError, match="no column 'augment'; it has discard"):
        pictures.curves(universality.matrix(chosen[:1], plans[2:], replications=5))


# --- the tilt -------------------------------------------------------------------------------------

TILT = (
    "(({ errors, logRatio }) => ({ errors: Object.fromEntries(Object.entries(errors).map(([k, v])"
    " => [k, Array.from(v)])),log: x.h.map((h) => Array.from(logRatio(h))) }))(m.samples(x))"
)


def tilt_error(browser: Browser, text: str) -> float:
    given = {"n": 701, "replications": 40, "seed": 9, "h": [-2.5, 0.0, 0.4, 2.0]}
    found = evaluate(browser, text, TILT, given)
    errors = []
    for h, log in zip(given["h"], found["log"], strict=True):  # type: ignore[call-overload]
        expected, ratio = pictures.tilt(701, 40, 9, h)
        errors.append(np.max(np.abs(np.array(log) - ratio)))
        errors += [
            np.max(np.abs(np.array(found["errors"][name]) - error))
            for name, error in expected.items()
        ]
    return float(np.max(errors))


def test_samples_are_the_models_own(browser: Browser) -> None:
    assert tilt_error(browser, module("tilt")) < 1e-10


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("n ** -0.25", "n ** -0.5"),
        ("? SHRINKAGE : 1", "? 1 : 1"),
        ("root * h - 2 *", "root * h -"),
        ("mine[(n - 1) / 2]", "mine[(n + 1) / 2]"),
        ("i += 8", "i += 9"),
    ],
)
def test_a_wrong_tilt_is_caught(browser: Browser, right: str, wrong: str) -> None:
    assert tilt_error(browser, module("tilt", (right, wrong))) > 1e-3


def test_moments_and_shift_of_weighted_dots(browser: Browser) -> None:
    rng = np.random.default_rng(2)
    x, y, weight = rng.normal(size=50), rng.normal(size=50), rng.exponential(size=50)
    found = evaluate(
        browser,
        module("tilt"),
        "[m.moments(...x), m.shift(x[0], x[2])]",
        [x.tolist(), y.tolist(), weight.tolist()],
    )
    covariance = np.cov(x, y, aweights=weight, ddof=0)
    np.testing.assert_allclose(
        found[0]["mean"], [np.average(x, weights=weight), np.average(y, weights=weight)], rtol=1e-12
    )
    np.testing.assert_allclose(found[0]["covariance"], covariance[[0, 0, 1], [0, 1, 1]], rtol=1e-12)
    moved = np.average(x, weights=weight) - x.mean()
    assert found[1]["moved"] == pytest.approx(moved, rel=1e-12)
    # the infinitesimal jackknife: a dot's influence is what its own share of both means changes
    change = []
    for i in range(50):
        count = np.ones(50)
        count[i] += 1e-6
        change.append(
            (np.average(x, weights=weight * count) - np.average(x, weights=count) - moved) / 1e-6
        )
    assert found[1]["error"] == pytest.approx(np.linalg.norm(change), rel=1e-4)
    assert found[1]["effective"] == pytest.approx(weight.sum() ** 2 / (weight**2).sum(), rel=1e-12)


def test_what_the_tilt_says_of_the_limit(browser: Browser) -> None:
    assert evaluate(
        browser,
        module("tilt"),
        "Object.entries(m.ESTIMATORS).map(([k, v]) => [k, v.variance, v.passed])",
    ) == [
        [name, pytest.approx(variance), passed]
        for name, (variance, passed) in pictures.ESTIMATORS.items()
    ]
    assert pictures.ESTIMATORS["median"][0] == pytest.approx(models.Median("logistic").limit_risk)
    # 20,000 samples in all; standard errors of the weighted mean are measured, and 4.9 of them is a
    # false alarm of 1e-6
    h = 1.0
    for name, (variance, passed) in pictures.ESTIMATORS.items():
        moved, squares = [], []
        for seed in range(10):
            errors, log_ratio = pictures.tilt(901, 400, 100 + seed, h)
            weight = np.exp(log_ratio)
            moved.append(np.average(errors[name], weights=weight) - errors[name].mean())
            squares.append(np.mean(errors[name] ** 2))
        # 0.05: n is finite, and Hodges' window is left by some samples
        assert (
            abs(np.mean(moved) - passed * h)
            < 4.9 * np.std(moved, ddof=1) / np.sqrt(10) * 1.6 + 0.05
        )
        assert np.mean(squares) == pytest.approx(variance, rel=0.12)


# --- their pages ----------------------------------------------------------------------------------


def opened(
    browser: Browser, folder: Path, name: str, state: dict[str, Any], width: int = 1000
) -> tuple[Visit, Any]:
    view = widgets.explorer(name, **state)
    (folder / "page.html").write_text(document(view))
    return Visit(browser, (folder / "page.html").as_uri(), width), view


def check_numbers(page: Page, view: Any) -> None:
    numbers = page.locator(".summary data").all()
    assert numbers
    for number in numbers:
        name = number.get_attribute("data-name") or ""
        assert float(number.get_attribute("value") or "nan") == pytest.approx(
            getattr(view, name), rel=1e-9, abs=1e-9
        ), name


@pytest.mark.parametrize(("name", "state"), EACH)
def test_numbers_of_the_page_are_the_packages(
    browser: Browser, tmp_path: Path, name: str, state: dict[str, Any]
) -> None:
    visit, view = opened(browser, tmp_path, name, state)
    page = visit.page
    check_numbers(page, view)
    assert page.locator(".summary").inner_text().count("NaN") == 0
    for svg in page.locator("svg[role=img]").all():
        assert len(svg.get_attribute("aria-label") or "") > 30
        assert "NaN" not in (svg.inner_html())
    visit.close()


def test_the_tilt_tells_the_limit_from_its_samples(browser: Browser, tmp_path: Path) -> None:
    state = {"estimator": "Hodges' estimator", "h": 2.0, "seed": 1}
    visit, _ = opened(browser, tmp_path, "tilt", state)
    told = visit.page.locator(".summary").inner_text()
    visit.close()
    errors, log_ratio = pictures.tilt(**pictures.SAMPLES, seed=1, h=2.0)
    x, weight = errors["Hodges' estimator"], np.exp(log_ratio)
    after = np.sqrt(np.average((x - np.average(x, weights=weight)) ** 2, weights=weight))
    spread = np.sqrt(pictures.ESTIMATORS["Hodges' estimator"][0])
    assert f"In the limit their standard deviation is {spread:.3g} before and after." in told
    assert f"samples it is {np.std(x):.3g} before; weighted" in told
    assert f"samples, {after:.3g}, since" in told
    assert after > 1.2 * spread  # so that "it stays" would not be true of these samples


def test_the_fan_by_keyboard_and_mouse(browser: Browser, tmp_path: Path) -> None:
    visit, view = opened(browser, tmp_path, "fan", {})
    page = visit.page
    assert page.locator("polyline.thin").count() == 120
    before = page.locator("polyline.thin").first.get_attribute("points")
    slider = page.get_by_label("Generation", exact=True)
    slider.focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    view.generation = 48
    check_numbers(page, view)
    box = slider.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] - 15, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 3, box["y"] + box["height"] / 2)
    page.mouse.up()
    view.generation = int(slider.input_value())
    assert 5 < view.generation < 30
    check_numbers(page, view)
    page.get_by_role("button", name="Draw new noise").click()
    view.seed = 12
    check_numbers(page, view)
    assert page.locator("polyline.thin").first.get_attribute("points") != before
    visit.close()


def test_one_division_brings_the_curves_together(browser: Browser, tmp_path: Path) -> None:
    visit, view = opened(browser, tmp_path, "morph", {})
    page = visit.page

    def spread() -> float:
        ends = [
            float((curve.get_attribute("points") or "").split(",")[-1])
            for curve in page.locator("polyline.thin[data-family=discard]").all()
        ]
        return float(np.ptp(ends))

    apart = spread()
    slider = page.get_by_label("Divided by generation 1", exact=True)
    slider.focus()
    page.keyboard.press("End")
    view.share = 1.0
    check_numbers(page, view)
    assert spread() < apart / 5
    assert page.locator("polyline.law").count() == 2
    # the handle n: at 1000 the exact curves are on the law, at 5 they are far from it, on both
    # sides
    rows = page.get_by_label("Rows n of the exact curves", exact=True)
    rows.focus()
    page.keyboard.press("Home")
    view.n = 5
    check_numbers(page, view)
    assert view.highest > 100
    assert view.lowest < 5
    assert page.locator("svg text.name", has_text="v₂ = ").count() >= 4
    visit.close()


def test_regular_estimators_move_by_h_and_hodges_by_half(browser: Browser, tmp_path: Path) -> None:
    visit, view = opened(browser, tmp_path, "tilt", {})
    page = visit.page
    for name, part in (("median", 1.0), ("mean", 1.0), ("Hodges' estimator", 0.5)):
        page.get_by_label("Estimator").select_option(name)
        view.estimator = name
        check_numbers(page, view)
        assert view.law == 2 * part
        assert abs(view.moved - view.law) < 0.35
    slider = page.get_by_label("The law moves by h/√n; h", exact=True)
    slider.focus()
    page.keyboard.press("Home")
    view.h = -2.5
    check_numbers(page, view)
    assert "not regular" in page.locator(".summary").inner_text()
    visit.close()


@pytest.mark.parametrize("width", [360, 1000])
@pytest.mark.parametrize(("name", "state"), EACH)
def test_labels_stay_in_the_picture_and_apart(
    browser: Browser, tmp_path: Path, name: str, state: dict[str, Any], width: int
) -> None:
    visit, _ = opened(browser, tmp_path, name, state, width)
    page = visit.page
    assert page.evaluate("document.documentElement.scrollWidth") == width
    troubles = page.evaluate(
        """() => Array.from(document.querySelectorAll("svg[role=img]"), (svg) => {
            const frame = svg.getBoundingClientRect();
            const texts = Array.from(svg.querySelectorAll("text"), (t) =>
              [t.textContent, t.getBoundingClientRect()]);
            const out = texts.filter(([, r]) => r.left < frame.left - 1
              || r.right > frame.right + 1 || r.top < frame.top || r.bottom > frame.bottom);
            const pairs = texts.flatMap(([a, p], i) => texts.slice(i + 1).filter(([, q]) =>
                p.left < q.right - 1 && q.left < p.right - 1 && p.top < q.bottom - 4
                  && q.top < p.bottom - 4).map(([b]) => `${a} over ${b}`));
            return [...out.map(([t]) => `${t} outside`), ...pairs];
        }).flat()"""
    )
    assert troubles == []
    visit.close()


# --- Python's side --------------------------------------------------------------------------------


def test_data_that_no_explorer_shows() -> None:
    with pytest.raises(
        ValueError,
        match=(
            "the explorer 'fan' shows no data called 'z'; it shows x, y, sigma, lines, generations"
        ),
    ):
        widgets.explorer("fan", data={"z": [1]})
    with pytest.raises(
        ValueError, match="the explorer 'workflow' shows no data called 'x'; it shows none"
    ):
        widgets.explorer(data={"x": [1]})
