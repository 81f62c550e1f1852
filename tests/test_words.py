"""The explorer of a vocabulary: its runs follow the law, its page shows the package's numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser

from collapse import models, simulate, workflows
from collapse.explorers import vocabulary, widgets
from tests.statistics import assert_agree
from tests.test_widgets import Visit, assert_shows, browser, document, static

__all__ = ["browser", "static"]  # fixtures

P = models.Multinomial.zipf(12).truth
RUNS = 400


@pytest.mark.statistical
@pytest.mark.parametrize("read", [1, 3])
def test_a_run_has_the_law_of_the_workflow(read: int) -> None:
    runs = [vocabulary.course(P, 20, 8, read, seed) > 0 for seed in range(RUNS)]
    left = np.sum(runs, axis=2)
    plan, model = workflows.window(8, read), models.Multinomial(P)
    fits = simulate(plan, model=model, n=20, replications=50_000, rng=0, fits=True).fits
    assert_agree(
        left.mean(axis=0),
        left.std(axis=0) / RUNS**0.5,
        (fits > 0).sum(axis=2).mean(axis=0),
        detects=0.25,
        allowance=0.003,  # of the simulation
    )


def test_the_first_batch_is_that_of_all_workflows_and_augment_loses_nothing() -> None:
    one, three, all_of = (vocabulary.course(P, 20, 8, read, 5) for read in (1, 3, 8))
    assert np.array_equal(one[0], three[0])
    assert np.array_equal(one[0], all_of[0])
    assert np.array_equal(three[:3], all_of[:3])
    np.testing.assert_array_equal(all_of.sum(axis=1), 20 * np.arange(1, 9))
    np.testing.assert_array_equal(all_of > 0, np.broadcast_to(one[0] > 0, all_of.shape))
    # a word that is gone does not come back
    for course in (one, three):
        assert np.all(np.diff((course > 0).astype(int), axis=0) <= 0)


@pytest.mark.usefixtures("static")
def test_the_words_stand_in_their_order_and_are_counted() -> None:
    words = vocabulary.WORDS
    assert len(set(words)) == len(words) == 48
    view = widgets.explorer("words", generation=50)
    assert view.expected == pytest.approx(6.3, abs=0.1)
    assert getattr(view, "own-augment") == np.sum(view.runs["augment"][0])
    assert getattr(view, "own-discard") < getattr(view, "own-window")


@pytest.mark.book
@pytest.mark.usefixtures("static")
@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("edge > at", "edge >= at - 1"),
        ("batches.slice(-read)", "batches.slice(-read - 1)"),
        ("lives[f] / Math.min(f, read)", "lives[f] / read"),
        ("Math.expm1(rows * Math.log1p(-p))", "Math.expm1(-rows * p)"),
        ("discard[generation - 1], plain", "discard[generation], plain"),
    ],
)
def test_a_wrong_number_of_words_is_caught(
    browser: Browser, tmp_path: Path, right: str, wrong: str
) -> None:
    view = widgets.explorer("words")
    text = document(view)
    assert text.count(right) == 1
    path = tmp_path / "page.html"
    path.write_text(text.replace(right, wrong))
    visit = Visit(browser, path.as_uri())
    with pytest.raises(AssertionError):
        assert_shows(visit.page.locator(".collapse-explorer"), view)
    visit.close()


@pytest.mark.book
@pytest.mark.usefixtures("static")
def test_what_is_lost_is_struck_out(browser: Browser, tmp_path: Path) -> None:
    view = widgets.explorer("words", generation=30)
    path = tmp_path / "page.html"
    path.write_text(document(view))
    visit = Visit(browser, path.as_uri())
    walls = visit.page.locator(".picture svg")
    assert walls.count() == 4
    for i, (name, alive) in enumerate(view.runs.items()):
        struck = walls.nth(i).locator("[text-decoration]")
        assert struck.count() == (alive[0] & ~alive[29]).sum()
        told = walls.nth(i).get_attribute("aria-label") or ""
        assert told.startswith(f"Under {name} {alive[29].sum()} of 48 words are left")
    visit.close()
