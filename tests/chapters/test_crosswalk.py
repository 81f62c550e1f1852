"""The crosswalk: nothing of the paper or of ours is left over, and nothing named is gone."""

from __future__ import annotations

import ast
import copy
import fnmatch
import functools
import importlib
import re
import tomllib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

import collapse
from collapse import datasets, models
from collapse.datasets import with_intercept
from collapse.workflows import augment, discard, subsample
from tests.chapters.test_promises import functions_of
from tests.statistics import assert_agree

Array = NDArray[np.float64]

ROOT = Path(__file__).parents[2]
BOOK = ROOT / "book"
PAGES = {path.stem: path.read_text(encoding="utf-8") for path in sorted(BOOK.glob("*.md"))}
CROSSWALK = tomllib.loads((BOOK / "crosswalk.toml").read_text(encoding="utf-8"))
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text())
LISTED = {Path(entry["file"]).stem for part in TOC["parts"] for entry in part["chapters"]}

RESULT = re.compile(
    r"^`{3,}\{prf:(?:theorem|proposition|lemma|corollary)\}.*\n:label: (\S+)$", re.MULTILINE
)
LABELS = {page: set(RESULT.findall(text)) for page, text in PAGES.items()}
FIGURES = {
    label
    for text in PAGES.values()
    for label in re.findall(r"^:::\{bundle\} (\S+)$", text, re.MULTILINE)
}
PARTS = ("paper", "scripts", "logs")
VERDICTS = ("reproduced", "in distribution", "differs", "cannot be had offline")
KEYS = {"part", "item", "chapter", "label", "figure", "function", "test", "file", "published"}
KEYS |= {"verdict", "why"}


def exists(name: str) -> bool:
    """Whether a public name such as `collapse.models.Median` is there."""
    first, *rest = name.split(".")
    found: Any = importlib.import_module(first)
    for part in rest:
        if part not in getattr(found, "__all__", dir(found)):
            return False
        found = getattr(found, part)
    return True


def is_test(name: str) -> bool:
    file, _, function = name.partition("::")
    return (ROOT / "tests" / file).is_file() and function in functions_of(file)


def of_a_row(row: dict[str, Any]) -> list[str]:
    """What is wrong with one row."""
    found = [f"{key!r} is no key of a row" for key in set(row) - KEYS]
    found += [f"has no {key}" for key in ("part", "item", "verdict", "why") if not row.get(key)]
    if row.get("part") not in PARTS:
        found.append(f"part {row.get('part')!r} is none of {PARTS}")
    if row.get("verdict") not in VERDICTS:
        found.append(f"verdict {row.get('verdict')!r} is none of {VERDICTS}")
    if "chapter" in row:
        if row["chapter"] not in LISTED:
            found.append(f"no chapter {row['chapter']} in the table of contents")
        found += [f"has no {key}" for key in ("function", "test") if not row.get(key)]
    elif row.get("verdict") != VERDICTS[-1] and row.get("file") != ["README.md"]:
        found.append("has a verdict and no chapter")
    every = set().union(*LABELS.values())
    found += [f"no result {label}" for label in row.get("label", ()) if label not in every]
    found += [f"no figure {label}" for label in row.get("figure", ()) if label not in FIGURES]
    found += [f"no function {name}" for name in row.get("function", ()) if not exists(name)]
    return found + [f"no test {name}" for name in row.get("test", ()) if not is_test(name)]


def left_over(crosswalk: dict[str, Any]) -> list[str]:
    """Results, chapters and files that stand nowhere, or in two places."""
    rows, ours = crosswalk["row"], crosswalk["ours"]
    named = {label for row in rows for label in row.get("label", ())}
    own = set(ours["labels"]).union(*(LABELS.get(page, set()) for page in ours["chapters"]))
    every = set().union(*LABELS.values())
    found = [f"{label} is neither in a row nor ours" for label in sorted(every - named - own)]
    found += [f"{label} is both in a row and ours" for label in sorted(named & own)]
    found += [f"{label} is ours and not in the book" for label in sorted(own - every)]
    held = {row["chapter"] for row in rows if "chapter" in row}
    sorted_in = held | set(ours["chapters"]) | set(ours["repeat"])
    owing = {page for page, text in PAGES.items() if "**From the paper**" in text}
    owing = {page for page in owing if "**From the paper** nothing" not in PAGES[page]}
    found += [f"{page} takes from the paper and has no row" for page in sorted(owing - sorted_in)]
    found += [f"there is no page {page}" for page in sorted(sorted_in - set(PAGES))]
    files, patterns = crosswalk["repository"]["files"], [p for r in rows for p in r.get("file", ())]
    for file in files:
        times = sum(fnmatch.fnmatchcase(file, pattern) for pattern in patterns)
        if times != 1:
            found.append(f"{file} stands in {times} rows")
    found += [f"no file {p} in the repository" for p in patterns if not fnmatch.filter(files, p)]
    encoders = [run["encoder"] for run in crosswalk["run"]]
    if encoders != list(datasets.PUBLISHED_ENCODERS):
        found.append("the runs are not those of the published encoders")
    return found


def complaints(crosswalk: dict[str, Any]) -> list[str]:
    rows = [f"{row.get('item')}: {told}" for row in crosswalk["row"] for told in of_a_row(row)]
    return rows + left_over(crosswalk)


def test_nothing_is_gone_and_nothing_is_left_over() -> None:
    found = complaints(CROSSWALK)
    assert not found, "\n".join(found)


def plant(*path: Any, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(crosswalk: dict[str, Any]) -> None:
        at: Any = crosswalk
        for step in path[:-1]:
            at = at[step]
        at[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (plant("row", 1, "chapter", value="regressions"), "no chapter regressions"),
        (
            plant("row", 1, "label", value=["thm-regression-liner"]),
            "no result thm-regression-liner",
        ),
        (plant("row", 1, "label", value=[]), "thm-regression-linear is neither"),
        (plant("row", 1, "function", value=["collapse.models.Linear"]), "no function"),
        (plant("row", 1, "function", value=[]), "has no function"),
        (plant("row", 1, "test", value=["test_plan.py::test_nothing"]), "no test test_plan.py"),
        (plant("row", 1, "verdict", value="right"), "verdict 'right' is none of"),
        (plant("row", 1, "why", value=""), "has no why"),
        (plant("row", 1, "seed", value=1), "'seed' is no key"),
        (plant("row", 1, "figure", value=["origin"]), "no figure origin"),
        (plant("ours", "labels", 0, value="thm-origin-augment"), "both in a row and ours"),
        (plant("ours", "chapters", value=["zoo"]), "policy takes from the paper"),
        (plant("repository", "files", 0, value="new.py"), "new.py stands in 0 rows"),
        (plant("row", -1, "file", value=["*.log"]), "stands in 2 rows"),
        (plant("run", 0, "encoder", value="barlow"), "not those of the published"),
    ],
)
def test_an_orphan_is_seen(change: Callable[[dict[str, Any]], None], told: str) -> None:
    crosswalk = copy.deepcopy(CROSSWALK)
    change(crosswalk)
    assert told in "\n".join(complaints(crosswalk))


def test_seeds_are_those_of_the_chapters() -> None:
    """Where this fails, write into `[seeds]` what the chapter says."""
    held = {row["chapter"] for row in CROSSWALK["row"] if "chapter" in row}
    seeds = {page: re.search(r"^seed = (\d+)", PAGES[page], re.MULTILINE) for page in held}
    assert CROSSWALK["seeds"] == {page: int(seed[1]) for page, seed in seeds.items() if seed}
    assert set(CROSSWALK["seeds"]) == held


def test_every_published_table_and_each_kind_of_script_has_its_row() -> None:
    held = [row["published"] for row in CROSSWALK["row"] if "published" in row]
    assert Counter(held) == Counter(["breast_cancer", "diabetes", "heart", "titanic", "wisconsin"])
    for name in held:
        assert len(datasets.published(name, "discard")["test_loss"]) == 50
    doubled, relabelled = (
        next(" ".join(row["file"]) for row in CROSSWALK["row"] if word in row["item"])
        for word in ("doubled", "relabelled")
    )
    assert (doubled.count(" ") + 1, relabelled.count(" ") + 1) == (6, 11)
    for run in CROSSWALK["run"]:
        name = f"_{run['encoder']}"
        assert name in relabelled
        assert (name in doubled) == (run["scripts"] == "both")


def test_the_page_shows_every_part() -> None:
    assert re.findall(r'^part\("(\w+)"\)$', PAGES["crosswalk"], re.MULTILINE) == list(PARTS)


@functools.cache
def of_page() -> dict[str, Any]:
    """The functions that the page's cells define."""
    cells = re.findall(
        r"^```\{code-cell\}.*?\n(.*?)^```$", PAGES["crosswalk"], re.MULTILINE | re.DOTALL
    )
    code = ast.parse("".join(re.sub(r"^:.*\n", "", cell, flags=re.MULTILINE) for cell in cells))
    kept = [part for part in code.body if isinstance(part, ast.FunctionDef | ast.Import)]
    kept += [p for p in code.body if isinstance(p, ast.ImportFrom) and p.module != "collapse"]
    space: dict[str, Any] = {}
    ordered = sorted(kept, key=lambda part: part.lineno)
    exec(compile(ast.Module(ordered, []), "crosswalk", "exec"), space)  # noqa: S102 - the book's own
    return space


@pytest.mark.statistical
@pytest.mark.parametrize("make", [discard, augment, subsample])
def test_the_walk_of_means_and_medians_has_the_derived_ratios(make: Any) -> None:
    plan, walks = make(8), 100_000
    square = of_page()["walk"](plan, walks, np.random.default_rng(1)) ** 2
    mean, error = square.mean(axis=1), square.std(axis=1) / np.sqrt(walks)
    assert_agree(mean, error, np.pi / 2 * collapse.derive(plan).ratio, detects=0.06)


def test_a_coin_has_the_second_order_of_its_exact_ratio() -> None:
    """The error of the second order falls like 1/n^2."""
    p, g, errors = 0.3, 20, []
    trace, total = of_page()["second"](
        lambda at: (np.array([[at[0] * (1 - at[0])]]), np.zeros(1)), np.array([p])
    )
    assert total / trace == pytest.approx(-1, abs=1e-8)
    for n in (1_000, 2_000):
        exact = collapse.derive(discard(g), model=models.Bernoulli(p), n=n).ratio[-1]
        errors.append(exact - g * (1 + (g - 1) * total / trace / (2 * n)))
    assert abs(errors[0]) < 2e-3 * g
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.05)


def synthetic(n: int) -> tuple[Array, Array]:
    return with_intercept(np.random.default_rng(3).standard_normal((n, 2))), np.array([0.3, 1, -1])


@pytest.mark.statistical
def test_the_control_has_the_mean_that_is_put_in_its_place() -> None:
    """The mean of a batch's sufficient statistic is a martingale under discard, at 400 rows too."""
    (X, beta), G, R = synthetic(400), 6, 10_000
    model, M = models.LogisticRegression(X, beta), np.diag([1.0, 2, 3])
    fits = collapse.simulate(discard(G), model=model, replications=R, rng=2, fits=True).fits
    mean = 1 / (1 + np.exp(-np.insert(fits, 0, beta, axis=1) @ X.T))
    moved = (mean[:, 1:] - mean[:, :1]) @ X / len(X)
    seen = np.einsum("rgi,ij,rgj->rg", moved, M, moved)
    told = np.einsum("ij,jk,ik->i", X, M, X) / len(X) ** 2
    due = np.cumsum((mean[:, :-1] * (1 - mean[:, :-1])) @ told, axis=1)
    excess = seen - due
    assert_agree(
        1 + excess.mean(axis=0) / due.mean(axis=0),
        excess.std(axis=0) / np.sqrt(R) / due.mean(axis=0),
        np.ones(G),
        detects=0.1,
    )


def test_each_term_of_the_second_order_pushes_upwards_on_average() -> None:
    """Taken apart by differences of its own, for the synthetic experiment's truths."""
    rng, law, terms = np.random.default_rng(4), of_page()["law"], []
    for _ in range(60):
        X, beta = with_intercept(rng.standard_normal((2_000, 5))), rng.standard_normal(6)
        (noise, bias), h = law(X, beta), 0.02

        def trace(at: Array, X: Array = X) -> float:
            return float(np.trace(of_page()["law"](X, at)[0]))

        slope = np.array([law(X, beta + h * e)[1] - law(X, beta - h * e)[1] for e in np.eye(6)])
        first = np.array([trace(beta + h * e) - trace(beta - h * e) for e in np.eye(6)])
        curve = np.array(
            [
                [
                    sum(i * j * trace(beta + h * (i * a + j * b)) for i in (1, -1) for j in (1, -1))
                    for a in np.eye(6)
                ]
                for b in np.eye(6)
            ]
        )
        terms.append(
            [
                2 * bias @ bias,
                2 * np.sum(slope.T * noise) / (2 * h),
                bias @ first / (2 * h),
                0.5 * np.sum(noise * curve) / (4 * h**2),
            ]
        )
        whole = of_page()["second"](lambda at, X=X: of_page()["law"](X, at), beta)[1]
        assert sum(terms[-1]) == pytest.approx(whole, rel=0.01)
    mean, error = np.mean(terms, axis=0), np.std(terms, axis=0) / np.sqrt(len(terms))
    assert np.all(mean > 5 * error)


@pytest.mark.statistical
def test_the_second_order_of_discard_is_that_of_simulated_chains() -> None:
    """Ten generations at 1,000 rows: the law is off by a tenth, the second order by much less."""
    (X, beta), G, R = synthetic(1_000), 10, 10_000
    model = models.LogisticRegression(X, beta)
    run = collapse.simulate(discard(G), model=model, replications=R, rng=1, fits=True)
    square = ((run.fits - beta) ** 2).sum(axis=2)
    trace, total = of_page()["second"](lambda theta: of_page()["law"](X, theta), beta)
    ratio = square[:, -1].mean() / square[:, 0].mean()
    error = (square[:, -1] - ratio * square[:, 0]).std() / np.sqrt(R) / square[:, 0].mean()
    expected = G * (1 + (G - 1) * total / trace / (2 * len(X)))
    assert ratio - G > 6 * error
    assert_agree(ratio, error, expected, detects=0.15, allowance=0.02)
