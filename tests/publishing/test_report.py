"""The report of a run: what was run, its figures beside the book's, and what moved; whatever stands
in names and cells is shown and does nothing.
"""

import json
import re
import shutil
from base64 import b64decode
from pathlib import Path
from urllib.parse import unquote

import pytest
from bs4 import BeautifulSoup

from collapse import disk
from collapse.cli import main
from collapse.publishing.report import report
from tests.publishing import runs


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """A run, and the numbers of its figures as they were."""
    run, then = runs.run(tmp_path / "run"), tmp_path / "baselines"
    then.mkdir()
    for path in (run / "figures").glob("*.csv"):
        shutil.copyfile(path, then / path.name)
    (then / "of-another-chapter.csv").write_text("x\n1\n")
    record = json.loads((run / "toy.json").read_text())
    told = {"parameters": {"n": 7, "name": "<i>&"}, "seconds": 12.34, "memory": 150_400_000}
    told |= {"versions": {"numpy": "9"}}
    (run / "toy.json").write_text(json.dumps(record | told))
    return run, then


def read(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def words(page: BeautifulSoup) -> str:
    return re.sub(r"\s+", " ", page.get_text(" "))


def test_it_says_what_was_run_and_that_nothing_moved(folders: tuple[Path, Path]) -> None:
    run, then = folders
    page = read(report(run, baseline=then))
    told = "1 chapter, 2 figures; no number behind them or in the prose differs from the baselines."
    assert told in words(page)
    row = [cell.get_text() for cell in page.select("tbody tr")[0].select("td")]
    assert row == ["toy", "12.3", "150", "n = 7, name = <i>&", "2", "0"]
    assert not page.select("i")
    assert "Versions: numpy 9." in words(page)
    assert [title.get_text() for title in page.select("h3")] == ["toy-curve", "toy-dots"]
    # the page needs nothing else
    assert all(image["src"].startswith("data:image/png;base64,") for image in page.select("img"))
    assert len(page.select("img")) == 2
    assert not re.search(r"https?://", page.decode())


def test_what_moved_is_told_by_column(folders: tuple[Path, Path]) -> None:
    run, then = folders
    (then / "toy-dots.csv").write_text("x\n0\n2\n")
    page = read(report(run, baseline=then, out=run.parent / "told.html"))
    assert "2 figures; 1 difference from the baselines." in words(page)
    (table,) = page.select("table")[1:]
    assert [cell.get_text() for cell in table.select("td")] == ["x", "1", "2", "2", "1", "-0.5", ""]
    assert table.find_previous("h3").get_text() == "toy-dots"
    assert not (run / "report.html").exists()


def test_numbers_in_the_prose_are_compared_as_well(folders: tuple[Path, Path]) -> None:
    run, then = folders
    record = json.loads((run / "toy.json").read_text())
    for folder, ratio in ((run / "figures", "1.75"), (then, "1.5")):
        (folder / "toy-prose.csv").write_text(f"n,ratio\n1000,{ratio}\n")
    record["files"]["figures/toy-prose.csv"] = disk.digest(b"n,ratio\n1000,1.75\n")
    (run / "toy.json").write_text(json.dumps(record))
    page = read(report(run, baseline=then))
    assert "1 chapter, 2 figures; 1 difference from the baselines." in words(page)
    (table,) = page.select("table")[1:]
    assert [cell.get_text() for cell in table.select("td")] == ["ratio", "1.5", "1.75", "+0.17"]
    assert table.find_previous("h3").get_text() == "Numbers in the prose"


def test_a_figure_stands_beside_that_of_the_built_book(folders: tuple[Path, Path]) -> None:
    run, then = folders
    built = run.parent / "built"
    built.mkdir()
    (built / "toy-dots-narrow.png").write_bytes(b"the book's")
    (built / "toy-dots-narrow-dark.png").write_bytes(b"the book's in the dark")
    assert main(["report", str(run), "--baselines", str(then), "--built", str(built)]) == 0
    page = read(run / "report.html")
    for tag, key, theme, told in (
        ("img", "src", "", b"the book's"),
        ("source", "srcset", "-dark", b"the book's in the dark"),
    ):
        _, ours, theirs = (str(image[key]).partition(",")[2] for image in page.select(tag))
        assert b64decode(ours) == (run / "figures" / f"toy-dots-narrow{theme}.png").read_bytes()
        assert b64decode(theirs) == told
    said = [caption.get_text() for caption in page.select("figcaption")]
    assert said == ["This run", "This run", f"Before: {built}"]


def test_what_did_not_end_is_named_and_what_was_changed_is_refused(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    run, then = folders
    (run / "other<b>.ipynb").write_text("{}")
    page = read(report(run, baseline=then))
    assert "Not finished, and not reported: other<b>." in words(page)
    (run / "figures" / "toy-dots.csv").write_text("x\n0\n3\n")
    assert main(["report", str(run), "--baselines", str(then)]) == 2
    assert "toy-dots.csv is missing or not as it was written" in capsys.readouterr().err
    assert main(["report", str(run / "figures"), "--baselines", str(then)]) == 2
    assert "no chapter has been run into" in capsys.readouterr().err


@pytest.fixture
def grid(folders: tuple[Path, Path]) -> tuple[Path, Path]:
    """Three runs of a grid that differ in one figure, and a fourth that did not end."""
    run, then = folders
    whole = run.parent / "grid"
    for seed, value in enumerate(("1.5", "0.5", "2.5")):
        at = whole / f"seed={seed}"
        shutil.copytree(run, at)
        text = f"x,name\n0,a\n{value},{'a' if seed < 2 else '<b>'}\n"
        (at / "figures" / "toy-dots.csv").write_text(text)
        record = json.loads((at / "toy.json").read_text())
        record["files"]["figures/toy-dots.csv"] = disk.digest(text.encode())
        (at / "toy.json").write_text(json.dumps(record))
    (whole / "seed=3" / "figures").mkdir(parents=True)
    (whole / "seed=3" / "toy.ipynb").write_text("{}")
    return whole, then


def test_of_a_grid_what_differs_between_its_runs_is_told(grid: tuple[Path, Path]) -> None:
    whole, then = grid
    page = read(report(whole, baseline=then))
    assert "Grid grid 4 runs, 1 chapter." in words(page)
    rows = [[cell.get_text() for cell in row.select("td")] for row in page.select("tbody tr")]
    assert rows[:4] == [
        *([f"seed={seed}", "toy", "", "12.3"] for seed in range(3)),
        ["seed=3", "none", "toy", "0.0"],
    ]
    assert "In 3 runs: seed=0; seed=1; seed=2." in words(page)
    # toy-curve is the same everywhere
    assert [title.get_text() for title in page.select("h3")] == ["toy-dots"]
    assert rows[4:] == [
        ["x", "1", "2", "0.5", "seed=1", "2.5", "seed=2"],
        ["name", "1", "2", "a", "seed=0", "<b>", "seed=2"],
    ]
    assert [at.get_text() for at in page.select("figcaption")] == ["seed=0", "seed=1", "seed=2"]
    for link in page.select("tbody a"):  # each to what compares that run with the baselines
        assert "from the baselines" in words(read(whole / unquote(str(link["href"]))))
    assert not page.select("b")


def test_runs_whose_tables_differ_in_shape_are_named(grid: tuple[Path, Path]) -> None:
    whole, then = grid
    at = whole / "seed=2"
    record = json.loads((at / "toy.json").read_text())
    for text, told in (
        ("x,name\n0,a\n", "It has 2 rows in seed=0, and 1 row in seed=2: no entry is compared."),
        ("y\n0\n1\n", "It has x, name in seed=0, and y in seed=2: no entry is compared."),
    ):
        (at / "figures" / "toy-dots.csv").write_text(text)
        record["files"]["figures/toy-dots.csv"] = disk.digest(text.encode())
        (at / "toy.json").write_text(json.dumps(record))
        assert told in words(read(report(whole, baseline=then)))


def test_equal_runs_differ_in_nothing_and_many_show_no_pictures(
    grid: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, then = grid
    monkeypatch.setattr("collapse.publishing.report.SHOWN", 2)
    page = read(report(whole, baseline=then))
    assert not page.select("img")
    assert "Of more than 2 runs no pictures stand here" in words(page)
    for seed in (1, 2):
        shutil.rmtree(whole / f"seed={seed}")
        shutil.copytree(whole / "seed=0", whole / f"seed={seed}")
    page = read(report(whole, baseline=then, out=whole.parent / "elsewhere.html"))
    assert "The same in every run." in words(page)
    assert not page.select("h3")
    link = page.select_one("tbody a")
    assert link is not None
    assert (whole.parent / unquote(str(link["href"]))).is_file()
