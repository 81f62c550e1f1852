"""A chapter's parameters, numbers, tables and figures, and what stands in a panel."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

import collapse
from collapse import workflows
from collapse.publishing.page import (
    Page,
    Table,
    beside,
    compared,
    farthest,
    grid,
    last_ratio,
    observed,
    panel,
    plot,
    refused,
    stack,
    within,
)

WIDE, NARROW = (plot.WIDE, 3.0), (plot.NARROW, 3.0)


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Page:
    monkeypatch.setenv("COLLAPSE_FIGURES", str(tmp_path))
    space = {"seed": 7, "n": 4_000, "share": 0.5, "other": 1}
    return Page("golden", space, seed=(0, 2**32), n=(20, 5_000), share=(0.1, 0.9))


def test_parameters_are_checked_and_kept(page: Page) -> None:
    assert page.parameters == {"seed": 7, "n": 4_000, "share": 0.5}
    with pytest.raises(ValueError, match=r"^parameter n must be a whole number from 20 to 5,000;"):
        Page("golden", {"n": 19}, n=(20, 5_000))


def test_ranges_are_those_that_the_cells_state() -> None:
    cells = ["", "seed = 7  # from 0 to 2**32\nn = 30  # from 20 to 5_000, even", "share = 0.5"]
    cells += ["share = 0.5  # from 0.1 to 0.9\nother = 1"]
    space = {"In": cells, "seed": 7, "n": 40, "share": 0.2, "other": 1}
    assert Page("golden", space).parameters == {"seed": 7, "n": 40, "share": 0.2}
    for name, value, expected in (
        ("seed", 2**32 + 1, "a whole number from 0 to 4,294,967,296"),
        ("n", 19, "a whole number from 20 to 5,000"),
        ("n", 30.0, "a whole number from 20 to 5,000"),
        ("share", 1, r"a number from 0\.1 to 0\.9"),
    ):
        with pytest.raises(ValueError, match=f"^parameter {name} must be {expected}; it is"):
            Page("golden", space | {name: value})


def test_parameters_that_nothing_was_said_of_are_said_at_the_end(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    import myst_nb

    glued: list[tuple[str, Any]] = []
    monkeypatch.setattr(myst_nb, "glue", lambda key, value, display: glued.append((key, value)))
    page.say(n=20, ratio=1.5)
    page.colophon()
    said = [("golden_n", 20), ("golden_ratio", 1.5), ("golden_seed", 7), ("golden_share", 0.5)]
    assert glued == said


def test_numbers_reach_the_prose_in_pythons_own_types(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    import myst_nb

    glued: dict[str, Any] = {}
    monkeypatch.setattr(
        myst_nb, "glue", lambda key, value, display: glued.update({key: (value, display)})
    )
    page.say(n=4_000, few=np.int64(12), many=np.int64(-12_000), seed_of_runs=20261101)
    page.say("Poisson", 20, last=2)
    page.say(ratio=np.float64(1.5), half=Fraction(1, 2), one=np.array(2.5), text="none", yes=True)
    assert glued == {
        f"golden_{key}": (value, False)
        for key, value in {
            "n": "4,000",
            "few": 12,
            "many": "-12,000",
            "seed_of_runs": 20261101,
            "Poisson_20_last": 2,
            "ratio": 1.5,
            "half": 0.5,
            "one": 2.5,
            "text": "none",
            "yes": True,
        }.items()
    }
    assert {type(value) for value, _ in glued.values()} == {str, int, float, bool}


def test_all_that_was_said_is_kept_as_a_table(
    page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import myst_nb

    monkeypatch.setattr(myst_nb, "glue", lambda key, value, display: None)
    page.say("Poisson", n=4_000, ratio=np.float64(1.5), half=Fraction(1, 2), text="none")
    page.claims({"one is one": True, "two is two": True})
    page.claims({"three is three": True})
    page.colophon()
    with (tmp_path / "golden-prose.csv").open() as file:
        (row,) = csv.DictReader(file)
    told = {"n": "4000", "ratio": "1.5", "half": "0.5", "text": "none"}
    assert row == {f"Poisson_{key}": value for key, value in told.items()} | {
        "seed": "7",
        "n": "4000",
        "share": "0.5",
        "claims that held": "3",
    }


def test_a_figure_takes_the_pages_parameters_and_seed(page: Page, tmp_path: Path) -> None:
    drawn = []

    def draw(left: Any, right: Any) -> None:
        drawn.append((left, right))
        for ax in (left, right):
            panel.frame(ax, "Title", "generation", "ratio")

    numbers = {"g": [1, 2], "ratio": [1.0, Fraction(3, 2)]}
    shown = {"panels": 2, "sharey": True, "x": "all", "parameters": {"k": 3}}
    bundle = page.figure("golden-two", draw, numbers, **shown)
    record = json.loads((tmp_path / "golden-two.json").read_text())
    assert record["parameters"] == {"seed": 7, "n": 4_000, "share": 0.5, "k": 3}
    assert record["seed"] == 7
    with (tmp_path / "golden-two.csv").open() as file:
        assert list(csv.reader(file)) == [["g", "ratio"], ["1", "1.0"], ["2", "3/2"]]
    assert bundle.label == "golden-two"
    wide, narrow, *_ = drawn
    assert [ax.get_ylabel() for ax in wide] == ["ratio", ""]  # one scale, named once
    assert [ax.get_ylabel() for ax in narrow] == ["ratio", "ratio"]
    assert [ax.get_xlabel() for ax in narrow] == ["generation", "generation"]  # each its own
    page.figure("golden-derived", lambda figure: None, numbers, seed=None)
    assert json.loads((tmp_path / "golden-derived.json").read_text())["seed"] is None


def test_a_grid_is_turned_where_narrow() -> None:
    for size, shape in ((WIDE, (2, 3)), (NARROW, (3, 2))):
        axes = grid(Figure(size), 2, 3, sharey="row", height_ratios=(1, 4))
        assert axes.shape == (2, 3)
        spec = axes[1, 2].get_subplotspec().get_gridspec()
        assert (spec.nrows, spec.ncols) == shape
        ratios = spec.get_height_ratios() if size == WIDE else spec.get_width_ratios()
        assert list(ratios) == [1, 4]
        axes[1, 0].set_ylim(0, 7)  # a row of the grid has one scale, whichever way it lies
        if size == WIDE:
            assert axes[1, 2].get_ylim() == (0, 7)
    figure = Figure(NARROW)
    axes = grid(figure, 2, 3, sharey="row")
    axes[1, 0].set_ylim(0, 7)
    assert axes[1, 2].get_ylim() == (0, 7)


def test_tables_are_stacked() -> None:
    tables = stack([{"a": 1, "b": [1, 2]}, {"a": np.array([5]), "b": "x"}])
    assert tables == {"a": [1, 1, 5], "b": [1, 2, "x"]}
    named = [(1, [1, 2]), (np.array([5]), "x")]
    assert stack(named, ("a", "b")) == tables
    with pytest.raises(ValueError, match=r"shorter|longer"):
        stack(named, ("a",))
    with pytest.raises(ValueError, match="beside one of 3; give"):
        stack([{"a": [1, 2, 3], "b": [1, 2]}])


def test_derived_and_simulated_are_compared() -> None:
    plan = workflows.augment(4)
    derived = {"augment": collapse.derive(plan)}
    simulated = {"augment": collapse.simulate(plan, replications=500, rng=1)}
    columns = beside(derived["augment"], simulated["augment"])
    assert list(columns) == ["generation", "derived", "simulated", "standard error"]
    away = abs(columns["simulated"] - columns["derived"])[1:] / columns["standard error"][1:]
    assert farthest(derived, simulated) == max(away) > 0
    assert farthest({"augment": derived["augment"].ratio}, simulated) == max(away)
    named = {"workflow": ["augment"] * 4} | {name: list(column) for name, column in columns.items()}
    assert compared(["workflow"], derived, simulated) == named
    pairs = [{("Poisson", name): risk for name, risk in by.items()} for by in (derived, simulated)]
    assert compared(["model", "workflow"], *pairs) == {"model": ["Poisson"] * 4} | named


@pytest.mark.parametrize(
    ("seen", "part", "held"),
    [
        (2.49, 0.0, True),
        (2.51, 0.0, False),
        (1.49, 0.0, False),
        (2.69, 0.1, True),
        (2.71, 0.1, False),
    ],
)
def test_what_is_seen_lies_within_five_errors_and_a_part(
    seen: float, part: float, held: bool
) -> None:
    assert within([1.0, seen], [0.0, 0.1], [1.0, 2.0], part) is held
    assert not within([np.nan, seen], [0.0, 0.1], [1.0, 2.0], part)


def test_what_is_not_refused_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with refused(30, "  "):
        raise ValueError("n must be even, since a plan reads half of the rows.")
    assert capsys.readouterr().out == "  n must be even, since a plan\n  reads half of the rows.\n"
    with pytest.raises(AssertionError, match="was to be refused"), refused():
        pass


def test_a_regression_on_a_table_is_judged_on_its_test_rows() -> None:
    table = collapse.datasets.titanic()
    X, y, X_test, y_test = table.split()
    model, own = observed(table), observed(table, judged=False)
    np.testing.assert_array_equal(model.X, collapse.datasets.with_intercept(X))
    for judged, rows, label in ((model, X_test, y_test), (own, X, y)):
        margin = model.truth[0] + rows @ model.truth[1:]
        loss = np.mean(np.logaddexp(0, margin) - label * margin)
        assert judged.risk(model.truth[None])[0] == pytest.approx(loss, rel=1e-12)


def test_the_last_ratio_is_the_derived_one() -> None:
    assert last_ratio(workflows.augment(3)) == pytest.approx(1 + 1 / 4 + 1 / 9, rel=1e-14)
    coin = collapse.models.Bernoulli(0.3)
    assert last_ratio(workflows.discard(2), model=coin, n=10) == pytest.approx(1.9, rel=1e-14)


def test_a_table_is_markdown() -> None:
    table = Table({"policy": "", "$n$": ",d", "ratio": ".2f"}, [("all", 1000, (1.234, 0.1))])
    text = "| policy | $n$ | ratio |\n|:--|--:|--:|\n| all | 1,000 | 1.23 ± 0.10 |"
    assert repr(table) == table._repr_markdown_() == text
    with pytest.raises(ValueError, match=r"shorter|longer"):
        repr(Table({"a": "", "b": ""}, [("one",)]))


def test_names_stand_on_the_side_that_the_offset_points_to() -> None:
    ax = Figure(WIDE).subplots()
    for offset, ha, va in (
        ((5, 3), "left", "bottom"),
        ((-5, -3), "right", "top"),
        ((0, 0), "right", "center"),
    ):
        panel.curve(ax, [1, 2, 3], [1, 4, 9], "augment", "squares", at=2.5, offset=offset)
        text = ax.texts[-1]
        assert (text.get_ha(), text.get_va()) == (ha, va)
        assert text.xy == (2.5, 6.5)
        assert to_hex(text.get_color()) == plot.HUES["augment"][0].lower()
    panel.curve(ax, [1, 2, 3], [1, 4, 9])
    assert len(ax.texts) == 3


def test_an_overlay_is_a_line_dots_and_a_name() -> None:
    ax = Figure(WIDE).subplots()
    plan = workflows.window(6, 2)
    simulated = collapse.simulate(plan, replications=200, rng=1)
    panel.overlay(ax, collapse.derive(plan), simulated, "two batches", dots=3)
    line, dots = ax.lines[0], ax.lines[1]
    assert (line.get_marker(), dots.get_marker(), len(dots.get_xdata())) == ("None", "o", 3)
    assert to_hex(line.get_color()) == plot.HUES["window"][0].lower()
    assert ax.texts[0].xy == (6.0, line.get_ydata()[-1])


def test_both_is_a_curve_with_its_name_and_dots_aside_where_there_are_values() -> None:
    ax = Figure(WIDE).subplots()
    columns = [1, 2, 3], [1, 4, 9], [1.5, np.nan, 9.5], [0.1, np.nan, 0.2]
    panel.both(ax, *columns, "augment", "squares", mark="D", shift=0.25)
    line, dots = ax.lines[0], ax.lines[1]
    assert (list(line.get_xdata()), list(line.get_ydata())) == ([1, 2, 3], [1, 4, 9])
    assert (list(dots.get_xdata()), list(dots.get_ydata())) == ([1.25, 3.25], [1.5, 9.5])
    assert (line.get_marker(), dots.get_marker()) == ("None", "D")
    assert (ax.texts[0].get_text(), ax.texts[0].xy) == ("squares", (3, 9))


def test_a_frame_sets_what_it_is_given() -> None:
    ax = Figure(WIDE).subplots()
    panel.frame(ax, "Discard", "g", family="discard", log="y", yticks={1: "one", 2_000: "many"})
    panel.frame(ax, xticks=[1, 1_000], ylim=(1, 3_000), limit=0.5)
    assert (ax.get_title(loc="left") or ax.get_title()) == "Discard"
    assert (ax.get_xlabel(), ax.get_yscale(), ax.get_ylim()) == ("g", "log", (1, 3_000))
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["1", "1,000"]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["one", "many"]
    assert not len(ax.yaxis.get_minorticklocs())
    assert ax.lines[0].get_ydata()[0] == plot.LIMIT


def test_remarks_and_reference_lines() -> None:
    ax = Figure(WIDE).subplots()
    panel.level(ax, 0.5, "half", 0.02)
    panel.guide(ax, [1, 2], [1, 2])
    panel.key(ax, 0.97, 0.06, "circle")
    assert [list(line.get_ydata()) for line in ax.lines] == [[0.5, 0.5], [1, 2]]
    half, circle = ax.texts
    assert (half.get_text(), half.get_ha(), half.get_va()) == ("half", "left", "bottom")
    assert (circle.get_ha(), circle.get_va()) == ("right", "bottom")


@pytest.mark.parametrize(
    "use",
    [
        "import collapse.publishing.worker",
        "from collapse.publishing.page import Page; Page('golden').say(rows=1)",
        "from collapse.publishing import chapters; chapters.read(chapters.chapters()['teach'])",
    ],
)
def test_what_executes_chapters_makes_no_grammars_of_addresses(use: str) -> None:
    """To make them takes longer than all else that starts; who wants them afterwards has them."""
    seen = "print('rfc3987_syntax' in sys.modules)"
    code = f"import sys; {use}; {seen}; import rfc3987_syntax; {seen}"
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stdout.split()[-2:] == ["False", "True"]
