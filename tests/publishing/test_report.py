"""The report of a run: what was run, its figures beside the book's, and what moved; whatever stands
in names and cells is shown and does nothing.
"""

import json
import re
import shutil
from base64 import b64decode
from pathlib import Path

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
