"""The rows of the table: what is timed against what, and the check that both give the same
answers.
"""

from __future__ import annotations

import atexit
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np

import collapse
from benchmarks import yardsticks
from benchmarks.yardsticks import Array
from collapse.forecasting.table import prepare, read

GENERATIONS = 50
LINEAR_GENERATIONS = 100
FAMILY_GENERATIONS = 200
FAMILY_ROWS = 1000

SURE = 5.5
"""Standard errors allowed in a statistical check: a false alarm has probability 4e-8 for each
number compared.
"""


class CheckError(Exception):
    """The two programs disagree: their times mean nothing."""


class Pair(NamedTuple):
    """One measurement: seconds per unit of work of the yardstick and of the package, and what the
    target speaks of.
    """

    yardstick: float
    package: float
    figure: float


@dataclass(frozen=True)
class Row:
    """A line of the table.

    `check(small)` raises CheckError or says in words what agreed; `pair()` runs both programs in
    turn. `unit` says what both times are for, `note` what the reader must know, extrapolation
    included.
    """

    name: str
    yardstick: str
    unit: str
    sense: str
    target: float
    check: Callable[[bool], str]
    pair: Callable[[], Pair]
    note: str = ""
    once: bool = False
    """Whether one pair is enough, without a pair before it to warm up."""

    def met(self, figure: float) -> bool:
        return figure >= self.target if self.sense == ">=" else figure <= self.target


def seconds(program: Callable[[], Any], clock: Callable[[], float] = time.process_time) -> float:
    """Time a program: processor time, which other programs on the machine disturb less, as one
    thread works without waiting.
    """
    start = clock()
    program()
    return clock() - start


def speedup(
    yardstick: Callable[[], Any], units: float, package: Callable[[], Any], package_units: float
) -> Pair:
    plain, ours = seconds(yardstick) / units, seconds(package) / package_units
    return Pair(plain, ours, plain / ours)


def require_close(first: Array, second: Array, tolerance: float, what: str) -> str:
    worst = float(np.max(np.abs(first - second)))
    if not worst <= tolerance:
        raise CheckError(f"{what} differ by {worst:.2g}, tolerance {tolerance:.2g}.")
    return f"{what} within {tolerance:.0e} (worst {worst:.1e})"


def require_same_mean(paths: Array, expected: Array, error: Array | float, what: str) -> str:
    """Compare the mean of (R, G) squared errors with expected (G,) values of the given standard
    error.
    """
    spread = np.sqrt(paths.var(axis=0, ddof=1) / len(paths) + error**2)
    worst = float(np.max(np.abs(paths.mean(axis=0) - expected) / spread))
    if not worst <= SURE:
        raise CheckError(
            f"{what} differ by {worst:.1f} standard errors, {SURE} allowed ({len(paths)}"
            " replications)."
        )
    return f"{what} within {SURE} standard errors (worst {worst:.1f}, {len(paths)} replications)"


# --- the Gaussian limit ---------------------------------------------------------------------------

NAMED = ("discard", "augment", "subsample")


def check_named(small: bool) -> str:
    paths, G = (2000, 20) if small else (20_000, 100)
    simulated = yardsticks.gaussian_limit(paths, G, np.random.default_rng(1))
    worst = 0.0
    for workflow in NAMED:
        exact = collapse.derive(getattr(collapse.workflows, workflow)(G)).ratio
        # a squared normal of variance v has variance 2 v^2
        worst = max(
            worst, float(np.max(np.abs(simulated[workflow] - exact) / (exact * np.sqrt(2 / paths))))
        )
    if not worst <= SURE + 0.5:
        raise CheckError(
            f"derived and simulated ratios differ by {worst:.1f} standard errors, {SURE + 0.5}"
            " allowed."
        )
    return (
        f"all {3 * G} derived ratios within {SURE + 0.5} standard errors of {paths:,} simulated"
        f" paths (worst {worst:.1f})"
    )


def pair_named() -> Pair:
    paths, repeats, plans = (
        20_000,
        200,
        [getattr(collapse.workflows, workflow)(100) for workflow in NAMED],
    )

    def derive() -> None:
        for _ in range(repeats):
            for plan in plans:
                collapse.derive(plan).ratio  # noqa: B018

    return speedup(
        partial(yardsticks.gaussian_limit, paths, 100, np.random.default_rng(2)),
        paths / 1e6,
        derive,
        repeats,
    )


def dense_plan(G: int, seed: int) -> collapse.Plan:
    """Make a random plan with one batch to a source, no zero below the diagonal, batches of unequal
    size.
    """
    rng = np.random.default_rng(seed)
    weight = np.tril(rng.random((G, G)))
    return collapse.Plan(
        np.arange(G),
        rng.uniform(0.5, 2, G),
        weight / weight.sum(axis=1, keepdims=True),
        name="dense",
    )


def check_general(small: bool) -> str:
    plan = dense_plan(60 if small else 1000, 1)
    expected = yardsticks.triangular_system(plan.source, plan.size, plan.weight)
    return require_close(
        collapse.derive(plan).risk,
        expected,
        1e-10,
        f"risks of a dense plan of {plan.generations} fits, solved by numpy",
    )


def pair_general() -> Pair:
    from scipy.linalg.lapack import dtrtri

    plan = dense_plan(2000, 2)
    lower = np.asfortranarray(np.eye(2000) - np.tril(plan.weight[:, :], -1))
    inverse = seconds(partial(dtrtri, lower, lower=1, unitdiag=1))
    derived = seconds(lambda: collapse.derive(plan).ratio)
    return Pair(inverse, derived, derived / inverse)


# --- logistic regression --------------------------------------------------------------------------

TIGHT = {"tol": 1e-9}
"""Options that bring scikit-learn to the maximum; the timed yardsticks stop earlier, the plain one
at the default tolerance.
"""


class World(NamedTuple):
    X: Array
    design: Array
    beta: Array
    share: Array
    model: Any


@cache
def diabetes() -> World:
    """The 309 training rows as scikit-learn ships them; the truth is the fit to the observed
    labels.
    """
    X, y, _, _ = collapse.datasets.diabetes().split()
    design = collapse.datasets.with_intercept(X)
    beta = collapse.models.LogisticRegression(design, y=y).truth
    share = 1 / (1 + np.exp(-design @ beta))
    return World(X, design, beta, share, collapse.models.LogisticRegression(design, beta=beta))


def distance(first: Array, second: Array) -> Array:
    """Root mean square over coefficients of the difference of fits (G, p), in standard errors of
    the first fit.
    """
    world = diabetes()
    information = (world.design * (world.share * (1 - world.share))[:, None]).T @ world.design
    return np.sqrt(
        np.einsum("gi,ij,gj->g", first - second, information, first - second) / len(world.beta)
    )


def check_logistic(
    chain: Callable[..., tuple[Array, Array]], augment: bool, farthest: float, small: bool
) -> str:
    """Compare fits to the labels that scikit-learn's chain drew: the tight fit is the package's,
    the timed one at most `farthest` away.
    """
    world, G = diabetes(), 3 if small else 12
    said = []
    for options, tolerance in ((TIGHT, 1e-3), ({}, farthest)):
        worst, fits, split = 0.0, 0, 0
        for seed in range(1 if small else 3):
            theirs, labels = chain(world.X, world.share, G, np.random.default_rng(seed), **options)
            statistic = labels @ world.design / len(labels[0])
            if augment:
                statistic = np.cumsum(statistic, axis=0) / np.arange(1, G + 1)[:, None]
            ours = world.model.fit_statistic(statistic, None)
            exists = ~np.isnan(ours).any(axis=1)
            right = ((theirs @ world.design.T > 0) == labels).all(axis=1)
            if not augment and options and not np.array_equal(~exists, right):
                raise CheckError(
                    "scikit-learn's tight fit separates the labels where the package finds an"
                    " estimate, or the reverse."
                )
            if exists.any():
                worst = max(worst, float(distance(theirs[exists], ours[exists]).max()))
            fits, split = fits + int(exists.sum()), split + int((~exists).sum())
        if not worst <= tolerance:
            raise CheckError(
                f"fits to the same labels differ by {worst:.2g} standard errors, {tolerance:g}"
                f" allowed, with options {options}."
            )
        said.append(f"{'tol=1e-9' if options else 'the timed tol'}: {worst:.1g} standard errors")
    apart = f", {split} separable in both" if split else ""
    return f"fits to the same labels ({fits} fits{apart}), largest distance at " + ", at ".join(
        said
    )


def pair_logistic(
    chain: Callable[..., tuple[Array, Array]],
    workflow: str,
    chains: int,
    replications: int,
    repeats: int,
) -> Pair:
    world, rng = diabetes(), np.random.default_rng(3)
    plan = getattr(collapse.workflows, workflow)(GENERATIONS)

    def plain() -> None:
        for _ in range(chains):
            chain(world.X, world.share, GENERATIONS, rng)

    def package() -> None:
        for seed in range(repeats):
            collapse.simulate(plan, model=world.model, replications=replications, rng=seed)

    return speedup(plain, chains * GENERATIONS, package, repeats * replications * GENERATIONS)


# --- families with sufficient statistics ----------------------------------------------------------

MODELS: dict[str, Any] = {
    "normal": collapse.models.Normal(1, 2),
    "poisson": collapse.models.Poisson(5),
    "exponential": collapse.models.Exponential(1),
    "bernoulli": collapse.models.Bernoulli(0.3),
}


def family_chain(name: str, n: int, G: int, rng: np.random.Generator) -> Array:
    """Squared errors (G,) of one chain of the plain program."""
    mean = float(MODELS[name].mean)
    return (yardsticks.family(yardsticks.FAMILIES[name], mean, n, G, rng) - mean) ** 2


def check_family(name: str, small: bool) -> str:
    n, G, R = (50, 5, 200) if small else (FAMILY_ROWS, FAMILY_GENERATIONS, 400)
    rng = np.random.default_rng(4)
    errors = np.array([family_chain(name, n, G, rng) for _ in range(R)])
    simulated = collapse.simulate(
        collapse.workflows.augment(G), model=MODELS[name], n=n, replications=50 * R, rng=4
    )
    return require_same_mean(
        errors, simulated.risk, simulated.risk_stderr, f"simulated risks of {G} generations"
    )


def pair_family(name: str) -> Pair:
    chains, replications, rng = 40, 50_000, np.random.default_rng(5)
    plan, n, G = collapse.workflows.augment(FAMILY_GENERATIONS), FAMILY_ROWS, FAMILY_GENERATIONS

    def plain() -> None:
        for _ in range(chains):
            family_chain(name, n, G, rng)

    return speedup(
        plain,
        chains * G,
        partial(collapse.simulate, plan, model=MODELS[name], n=n, replications=replications, rng=5),
        replications * G,
    )


TEN_CLASSES = collapse.models.Multinomial([j / 55 for j in range(1, 11)])


def multinomial_chain(n: int, G: int, rng: np.random.Generator) -> Array:
    """Squared distances (G,) of one chain of the plain program."""
    shares = yardsticks.multinomial(TEN_CLASSES.truth, n, G, rng)
    return np.asarray(((shares - TEN_CLASSES.truth) ** 2).sum(axis=1))


def check_multinomial(small: bool) -> str:
    n, G, R = (50, 5, 200) if small else (FAMILY_ROWS, FAMILY_GENERATIONS, 200)
    rng = np.random.default_rng(11)
    errors = np.array([multinomial_chain(n, G, rng) for _ in range(R)])
    simulated = collapse.simulate(
        collapse.workflows.augment(G), model=TEN_CLASSES, n=n, replications=25 * R, rng=11
    )
    return require_same_mean(
        errors, simulated.risk, simulated.risk_stderr, f"simulated risks of {G} generations"
    )


def pair_multinomial() -> Pair:
    chains, replications, rng = 20, 10_000, np.random.default_rng(12)
    plan, n, G = collapse.workflows.augment(FAMILY_GENERATIONS), FAMILY_ROWS, FAMILY_GENERATIONS

    def plain() -> None:
        for _ in range(chains):
            multinomial_chain(n, G, rng)

    return speedup(
        plain,
        chains * G,
        partial(collapse.simulate, plan, model=TEN_CLASSES, n=n, replications=replications, rng=12),
        replications * G,
    )


@cache
def linear() -> tuple[Array, Array, Any]:
    design = diabetes().design
    beta = np.linspace(-1, 1, design.shape[1])
    return design, beta, collapse.models.LinearRegression(design, beta=beta, sigma=1.5)


def linear_chain(G: int, rng: np.random.Generator) -> Array:
    design, beta, model = linear()
    fits = yardsticks.least_squares(design, beta, model.sigma, G, rng)
    return (((fits - beta) @ design.T) ** 2).mean(axis=1)


def check_linear(small: bool) -> str:
    G, R = (4, 60) if small else (10, 200)
    rng = np.random.default_rng(6)
    errors = np.array([linear_chain(G, rng) for _ in range(R)])
    simulated = collapse.simulate(
        collapse.workflows.augment(G), model=linear()[2], replications=50 * R, rng=6
    )
    return require_same_mean(
        errors, simulated.risk, simulated.risk_stderr, f"simulated risks of {G} generations"
    )


def pair_linear() -> Pair:
    replications, G = 20_000, LINEAR_GENERATIONS
    plan = collapse.workflows.augment(G)
    plain = partial(linear_chain, G, np.random.default_rng(7))
    return speedup(
        plain,
        G,
        partial(collapse.simulate, plan, model=linear()[2], replications=replications, rng=7),
        replications * G,
    )


# --- a language model -----------------------------------------------------------------------------

NGRAM = {"n": 100, "length": 20}


def ngrams(replications: int, G: int, workers: int = 1) -> Any:
    model = collapse.models.NGram(collapse.datasets.alice(), 2, NGRAM["length"])
    plan = collapse.workflows.augment(G)
    return collapse.simulate(
        plan, model=model, n=NGRAM["n"], replications=replications, rng=12, workers=workers
    )


def check_ngram(small: bool) -> str:
    chains, G = (4, 2) if small else (60, 5)
    text, rng = collapse.datasets.alice(), np.random.default_rng(12)
    paths = np.array([yardsticks.bigrams(text, **NGRAM, G=G, rng=rng) for _ in range(chains)])
    ours = ngrams(100 if small else 2000, G)
    return require_same_mean(paths, ours.risk, ours.risk_stderr, "risks of bigrams")


def pair_ngram() -> Pair:
    text, rng = collapse.datasets.alice(), np.random.default_rng(13)
    plain = seconds(partial(yardsticks.bigrams, text, **NGRAM, G=5, rng=rng), time.perf_counter)
    ours = seconds(partial(ngrams, 1000, GENERATIONS, 2), time.perf_counter)
    return Pair(plain / 5 * 1000 * GENERATIONS, ours, ours)


# --- growth with the generations, and processes ---------------------------------------------------


def growing(name: str) -> dict[str, Any]:
    if name == "logistic":
        return {"model": diabetes().model, "replications": 500}
    if name == "linear":
        return {"model": linear()[2], "replications": 8192}
    return {"model": MODELS[name], "n": FAMILY_ROWS, "replications": 32_768}


def check_growth(name: str, small: bool) -> str:
    arguments = growing(name) | ({"replications": 20} if small else {})
    long, short = (
        collapse.simulate(collapse.workflows.augment(G), rng=8, **arguments).risk
        for G in ((10, 5) if small else (100, 50))
    )
    return require_close(
        short, long[: len(short)], 0.0, "the short run's risks and the first of the long run's"
    )


def pair_growth(name: str) -> Pair:
    arguments, lengths = growing(name), (50, 100, 200)
    times = [
        seconds(partial(collapse.simulate, collapse.workflows.augment(G), rng=9, **arguments))
        for G in lengths
    ]
    return Pair(times[0], times[-1], float(np.polyfit(np.log(lengths), np.log(times), 1)[0]))


SPARSE = {
    name: getattr(collapse.workflows, name) for name in (*NAMED, "star", "all_to_all", "window")
}


def sparse(name: str, G: int) -> collapse.Plan:
    return SPARSE[name](
        G,
        **{
            "star": {"models": 3, "share": Fraction(1, 4)},
            "all_to_all": {"models": 3},
            "window": {"k": 5},
        }.get(name, {}),
    )


def check_generations(small: bool) -> str:
    G = 100 if small else 2000
    for name in SPARSE:
        long, short = (
            np.asarray(collapse.derive(sparse(name, length)).ratio) for length in (G, G // 2)
        )
        require_close(
            short,
            long[: len(short)],
            1e-12,
            f"{name}: the short run's ratios and the first of the long run's",
        )
    return f"{len(SPARSE)} workflows: the short run's ratios are the first of the long run's"


def pair_generations() -> Pair:
    times = {
        G: sum(
            seconds(lambda: collapse.derive(sparse(name, G)).ratio)  # noqa: B023
            for name in SPARSE
        )
        for G in (5000, 10_000)
    }
    return Pair(times[5000], times[10_000], times[10_000])


def started(program: str) -> float:
    """Processor time of a statement in a fresh process that has imported numpy."""
    code = f"import numpy, time; t = time.process_time(); {program}; print(time.process_time() - t)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(run.stdout)


def check_import(small: bool) -> str:
    heavy = ("scipy.special", "scipy.stats", "scipy.linalg", "scipy.optimize", "scipy.integrate")
    heavy += ("matplotlib", "pandas", "sklearn", "sympy")
    code = f"import collapse, sys; print(*(m for m in {heavy} if m in sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    if loaded:
        raise CheckError(f"the package imports {', '.join(loaded)} too.")
    return "of what the package can use, numpy is imported, and of scipy the name alone"


def pair_import() -> Pair:
    ours = started("import collapse")
    return Pair(started("pass"), ours, ours)


def explorers_page() -> Path:
    from collapse.explorers import widgets

    with patch.dict(os.environ, COLLAPSE_STATIC="1"):
        body = "".join(
            widgets.explorer(name)._repr_mimebundle_()["text/html"] for name in widgets.EXPLORERS
        )
    path = Path(tempfile.mkdtemp()) / "page.html"
    path.write_text(
        '<!doctype html><html data-theme="light"><head><meta'
        f' charset="utf-8"></head><body>{body}</body></html>'
    )
    return path


REDRAW = """async (moves) => {
    const times = [];
    for (const explorer of document.querySelectorAll(".collapse-explorer")) {
        const slider = [...explorer.querySelectorAll("input[type=range]")]
          .filter((e) => e.checkVisibility()).at(-1);
        const taken = [];
        for (let i = 0; i < moves; i++) {
            slider[i % 2 ? "stepUp" : "stepDown"]();
            const start = performance.now();
            slider.dispatchEvent(new Event("input"));
            await Promise.resolve();
            explorer.querySelector("svg").getBoundingClientRect();
            taken.push(performance.now() - start);
        }
        times.push(taken.sort((a, b) => a - b)[moves >> 1]);
    }
    return times;
}"""


def redraws(moves: int) -> list[float]:
    """Median milliseconds that each explorer takes to answer a slider, in the browser."""
    from playwright.sync_api import sync_playwright

    path, program = (
        explorers_page(),
        shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome"),
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page()
        page.goto(path.as_uri())
        page.locator(".collapse-explorer .summary").last.wait_for()
        times = page.evaluate(REDRAW, moves)
        browser.close()
    shutil.rmtree(path.parent)
    return list(times)


def check_redraw(small: bool) -> str:
    from collapse.explorers import widgets

    if len(answered := redraws(1)) != len(widgets.EXPLORERS):
        raise CheckError(f"{len(answered)} of {len(widgets.EXPLORERS)} explorers answered.")
    return f"all {len(answered)} explorers answer their sliders"


def pair_redraw() -> Pair:
    slowest = max(redraws(20)) / 1000
    return Pair(1 / 60, slowest, slowest)


FRAMES = """() => {
    window.frames_ = [];
    const next = (at) => { window.frames_.push(at); window.going && requestAnimationFrame(next); };
    window.going = true;
    requestAnimationFrame(next);
}"""


def drags(moves: int) -> dict[str, float]:
    """Frames a second that the browser shows while each ring of each explorer is dragged: the
    median, and how often the picture was another one.
    """
    from playwright.sync_api import sync_playwright

    path, program = (
        explorers_page(),
        shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome"),
    )
    shown = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page()
        page.goto(path.as_uri())
        page.locator(".collapse-explorer .summary").last.wait_for()
        rings = page.locator(".grip")
        for number in range(rings.count()):
            ring = rings.nth(number)
            ring.scroll_into_view_if_needed()
            box = ring.locator(".ring").bounding_box()
            assert box is not None
            x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
            name = ring.evaluate("ring => ring.closest('[data-explorer]').id.slice(9)")
            upright = "upright" in (ring.get_attribute("class") or "")
            before = page.locator(f"#explorer-{name} .summary").inner_text()
            page.mouse.move(x, y)
            page.mouse.down()
            page.evaluate(FRAMES)
            seen = set()
            for far in (60, -60, 40, 0):
                page.mouse.move(x + far * (not upright), y + far * upright, steps=moves)
                seen.add(page.locator(f"#explorer-{name} .summary").inner_text())
            page.mouse.up()
            if seen == {before}:
                raise CheckError(f"a ring of {name} moved nothing.")
            at = np.diff(page.evaluate("() => { window.going = false; return window.frames_; }"))
            label = f"{name}: {ring.get_attribute('data-control')} {number}"
            shown[label] = 1000 / float(np.median(at))
        browser.close()
    shutil.rmtree(path.parent)
    return shown


def check_drag(small: bool) -> str:
    from collapse.explorers import widgets

    shown = drags(2 if small else 10)
    names = {label.split(":")[0] for label in shown}
    if missing := set(widgets.EXPLORERS) - names:
        raise CheckError(f"no ring to drag in {', '.join(sorted(missing))}.")
    return f"{len(shown)} rings of {len(names)} explorers follow the pointer"


def pair_drag() -> Pair:
    slowest = min(drags(40).values())
    return Pair(1 / 60, 1 / slowest, slowest)


def run_workers(workers: int, small: bool) -> Any:
    G, replications = (3, 5000) if small else (50, 10_000)  # the default number
    return collapse.simulate(
        collapse.workflows.augment(G),
        model=diabetes().model,
        replications=replications,
        rng=10,
        workers=workers,
    )


def check_workers(small: bool) -> str:
    one, two = run_workers(1, small), run_workers(2, small)
    for name in ("risk", "ratio", "stderr", "failed"):
        if not np.array_equal(getattr(one, name), getattr(two, name), equal_nan=True):
            raise CheckError(f"{name} depends on the number of processes.")
    return "risk, ratio, stderr and failed are the same bit for bit with one and two processes"


def pair_workers() -> Pair:
    one, two = (
        seconds(partial(run_workers, workers, False), time.perf_counter) for workers in (1, 2)
    )
    return Pair(one, two, one / two)


# --- a table of a million rows --------------------------------------------------------------------

LARGEST_MEMORY = 24 * 2**30


@cache
def user_table(rows: int, columns: int) -> Path:
    """A CSV of numbers with a label 0 or 1; above 20,000 rows the same covariates are labelled
    again.
    """
    rng, distinct = np.random.default_rng(11), min(rows, 20_000)
    X = rng.standard_normal((distinct, columns)).round(3)
    share = 1 / (1 + np.exp(-X @ rng.standard_normal(columns) / np.sqrt(columns)))
    lines = [",".join(f"{value:.3f}" for value in row) for row in X]
    path = Path(tempfile.mkdtemp(prefix="collapse-bench-")) / "table.csv"
    with path.open("w") as stream:
        stream.write(",".join(f"x{j}" for j in range(columns)) + ",y\n")
        for _ in range(rows // distinct):
            stream.writelines(
                f"{line},{label:d}\n"
                for line, label in zip(lines, rng.random(distinct) < share, strict=True)
            )
    atexit.register(shutil.rmtree, path.parent)
    return path


def check_forecast(small: bool) -> str:
    rows, columns = (400, 4) if small else (40_000, 20)
    path, budget = user_table(rows, columns), 0.2 if small else 5.0
    answer = collapse.forecast(path, "y", "discard", 3, against=[], budget=budget, rng=1).document
    table = prepare(read(path, "y"), "y", seed=1)
    share = (
        yardsticks.unpenalised()
        .fit(table.X[:, 1:], table.y)
        .predict_proba(table.X_test[:, 1:])[:, 1]
    )
    loss = -np.log(np.where(table.y_test == 1, share, 1 - share)).mean(keepdims=True)
    return require_close(
        loss,
        np.array([answer["first"]["loss"]]),
        1e-6,
        "first test losses of the forecast and of scikit-learn",
    )


def pair_forecast() -> Pair:
    path = user_table(1_000_000, 50)
    one_fit = seconds(partial(yardsticks.one_fit, path), time.perf_counter)
    ours = seconds(partial(collapse.forecast, path, "y"), time.perf_counter)
    most = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if most > LARGEST_MEMORY:
        raise CheckError(
            f"the forecast and what ran before it took {most / 2**30:.1f} GiB,"
            f" {LARGEST_MEMORY / 2**30:.0f} allowed."
        )
    return Pair(one_fit, ours, ours)


# --- an answer in five seconds --------------------------------------------------------------------


@cache
def wine_table() -> Path:
    """The wines with their cultivar, which the columns tell without error: 178 rows."""
    path = Path(tempfile.mkdtemp(prefix="collapse-bench-")) / "wine.csv"
    from sklearn.datasets import load_wine

    frame = load_wine(as_frame=True).frame
    frame.assign(target=frame["target"].map("cultivar {}".format)).to_csv(path, index=False)
    atexit.register(shutil.rmtree, path.parent)
    return path


def check_quick(small: bool) -> str:
    answer = collapse.forecast(wine_table(), "target", "discard", 2, against=[], budget=0.1)
    table = prepare(read(wine_table(), "target"), "target")
    exact = yardsticks.ridge(solver="newton-cholesky", tol=1e-10).fit(table.X[:, 1:], table.y)
    share = exact.predict_proba(table.X_test[:, 1:])
    loss = -np.log(share[np.arange(len(share)), table.y_test.astype(int)]).mean(keepdims=True)
    first = np.array([answer.first.loss])
    return require_close(loss, first, 1e-6, "first test losses of the forecast and of scikit-learn")


def pair_quick() -> Pair:
    table = prepare(read(wine_table(), "target"), "target")
    one = seconds(partial(yardsticks.ridge_run, table, 20), time.perf_counter)
    ours = seconds(partial(collapse.forecast, wine_table(), "target"), time.perf_counter)
    return Pair(one, ours, ours)


# --- the table ------------------------------------------------------------------------------------

PER_FIT = "one replication and generation"
FEW = "the yardstick runs a few replications; its time for one is taken as the time for each"
plain_augment = partial(yardsticks.logistic, augment=True)
plain_discard = partial(yardsticks.logistic, augment=False)


def logistic_row(
    name: str,
    yardstick: str,
    target: float,
    chain: Any,
    farthest: float,
    workflow: str,
    chains: int,
    R: int,
    repeats: int,
    note: str,
) -> Row:
    return Row(
        name,
        yardstick,
        PER_FIT,
        ">=",
        target,
        partial(check_logistic, chain, workflow == "augment", farthest),
        partial(pair_logistic, chain, workflow, chains, R, repeats),
        note,
    )


ROWS: tuple[Row, ...] = (
    Row(
        "limit-named",
        "Monte Carlo of the Gaussian limit with 1e6 paths, three workflows, 100 generations",
        "all three workflows",
        ">=",
        1e5,
        check_named,
        pair_named,
        "the yardstick runs 20,000 paths; its time is extrapolated linearly to 1e6",
    ),
    Row(
        "limit-general",
        "one scipy.linalg.lapack.dtrtri of 2000 x 2000",
        "one dense plan of 2000 fits",
        "<=",
        3.0,
        check_general,
        pair_general,
        "a new plan each time; the figure is package over yardstick",
    ),
    logistic_row(
        "logistic-augment",
        "scikit-learn on stacked rows",
        800,
        plain_augment,
        1.0,
        "augment",
        2,
        1000,
        1,
        f"R = 1000; {FEW}",
    ),
    logistic_row(
        "logistic-augment-single",
        "scikit-learn on stacked rows",
        60,
        plain_augment,
        1.0,
        "augment",
        2,
        1,
        5,
        "R = 1",
    ),
    logistic_row(
        "logistic-augment-careful",
        "scikit-learn on 2 n weighted standardised rows, started at the last fit, tol=1e-6",
        200,
        yardsticks.careful_logistic,
        0.01,
        "augment",
        4,
        1000,
        1,
        f"R = 1000; {FEW}",
    ),
    logistic_row(
        "logistic-discard",
        "scikit-learn on the latest rows",
        180,
        plain_discard,
        1.0,
        "discard",
        4,
        1000,
        1,
        f"R = 1000; {FEW}; both run 50 generations, of which the package skips those after a"
        " separation, where no estimate exists",
    ),
    *(
        Row(
            name,
            f"row-by-row simulation, n = {FAMILY_ROWS}, G = {FAMILY_GENERATIONS}",
            PER_FIT,
            ">=",
            target,
            partial(check_family, name),
            partial(pair_family, name),
            f"{FEW}; it averages a stack that grows with every generation, so that the figure grows"
            " with G",
        )
        for name, target in {
            "normal": 4000.0,
            "poisson": 2000.0,
            "exponential": 2000.0,
            "bernoulli": 600.0,
        }.items()
    ),
    Row(
        "multinomial",
        f"label-by-label simulation of ten classes, n = {FAMILY_ROWS}, G = {FAMILY_GENERATIONS}",
        PER_FIT,
        ">=",
        100.0,
        check_multinomial,
        pair_multinomial,
        f"{FEW}; it counts a stack that grows with every generation, so that the figure grows"
        " with G",
    ),
    Row(
        "linear",
        f"least squares on stacked rows, n = 309, p = 11, G = {LINEAR_GENERATIONS}",
        PER_FIT,
        ">=",
        8000,
        check_linear,
        pair_linear,
        FEW,
    ),
    Row(
        "ngram",
        "letter by letter with numpy's choice, one chain, 5 generations",
        "1,000 replications of 50 generations of letter bigrams, 2,000 letters a batch",
        "<=",
        120.0,
        check_ngram,
        pair_ngram,
        "the figure is the package's elapsed time in seconds with two processes; the yardstick's"
        " time is extrapolated linearly",
    ),
    *(
        Row(
            f"growth-{name}",
            "the package itself, G = 50 to 200 under augment",
            "the run of G = 50 and that of G = 200",
            "<=",
            1.1,
            partial(check_growth, name),
            partial(pair_growth, name),
            "the figure is the exponent fitted to G = 50, 100, 200",
        )
        for name in (*MODELS, "linear", "logistic")
    ),
    Row(
        "generations",
        "the package itself, G = 5,000",
        f"{len(SPARSE)} workflows of 10,000 generations",
        "<=",
        5.0,
        check_generations,
        pair_generations,
        "the figure is the seconds that deriving all of them takes",
    ),
    Row(
        "import",
        "a process that has imported numpy",
        "import collapse",
        "<=",
        0.1,
        check_import,
        pair_import,
        "the figure is the processor time in seconds that the package adds to numpy's import",
    ),
    Row(
        "redraw",
        "one picture of a screen, 1/60 s",
        "one move of a slider",
        "<=",
        0.05,
        check_redraw,
        pair_redraw,
        "the figure is the slowest explorer's median time in seconds, in the browser",
    ),
    Row(
        "drag",
        "a screen of 60 frames a second",
        "one frame while a ring is dragged",
        ">=",
        59.0,
        check_drag,
        pair_drag,
        "the figure is the median frames a second of the slowest ring, in the browser",
    ),
    Row(
        "workers",
        "the package itself with one process",
        "the default 10,000 replications of 50 generations, logistic",
        ">=",
        1.8,
        check_workers,
        pair_workers,
        "two processes against one, elapsed time; it needs two idle processors. The default number"
        " makes four blocks",
    ),
    Row(
        "forecast-million",
        "pandas and scikit-learn: read the same file, one fit, one test loss",
        "a CSV of 1,000,000 rows and 50 columns",
        "<=",
        600.0,
        check_forecast,
        pair_forecast,
        "once; the figure is the forecast's elapsed time in seconds, 24 GiB allowed; 20,000"
        " distinct rows of covariates, labelled 50 times",
        once=True,
    ),
    Row(
        "forecast-wine",
        "scikit-learn: one run of 20 generations of one workflow",
        "a forecast of 178 rows and 13 columns, nothing asked of it",
        "<=",
        5.0,
        check_quick,
        pair_quick,
        "the figure is the elapsed time in seconds of about a hundred runs of six workflows",
    ),
)
