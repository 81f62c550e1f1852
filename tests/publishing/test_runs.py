"""Grids of runs, files of parameters, and what is told of runs afterwards: verify and diff."""

import json
from io import StringIO
from pathlib import Path

import nbformat
import papermill
import pytest

from collapse.cli import main
from collapse.publishing import worker
from collapse.publishing.records import diff, verify
from collapse.publishing.rerun import rerun

pytestmark = pytest.mark.book

CELL = "\n```{code-cell} ipython3\n%s\n```\n"
PARAMETERS = CELL % ":tags: [parameters]\n\n%s"
DRAWN = """import os
from pathlib import Path
figures = Path(os.environ["COLLAPSE_FIGURES"])
(figures / "%s.csv").write_text(f"x,y\\n1,{%s}\\n")"""


def page(label: str, parameters: str, value: str) -> str:
    return f"# {label}\n" + PARAMETERS % parameters + CELL % (DRAWN % (label, value))


@pytest.fixture
def book(tmp_path: Path) -> Path:
    folder = tmp_path / "book"
    folder.mkdir()
    (folder / "one.md").write_text(page("one", "n = 10\nseed = 1", "n + seed / 8"))
    (folder / "two.md").write_text(page("two", "seed = 1", "2 * seed"))
    return folder


def numbers(folder: Path) -> dict[str, str]:
    """The last line of each CSV of a run, by its place."""
    found = sorted(folder.rglob("*.csv"))
    return {str(path.relative_to(folder)): path.read_text().split()[-1] for path in found}


def test_each_combination_of_a_grid_is_a_run_and_what_is_the_same_runs_once(
    book: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "grid"
    command = ["rerun", "--grid", "n=10,20", "--grid", "seed=0..1", "--book", str(book)]
    assert main([*command, "--folder", str(run)]) == 0
    assert numbers(run) == {
        f"n={n},seed={seed}/figures/{label}.csv": value
        for n in (10, 20)
        for seed in (0, 1)
        for label, value in (("one", f"1,{n + seed / 8}"), ("two", f"1,{2 * seed}"))
    }
    told = capsys.readouterr().out
    assert told.count("(it has no parameter n, and keeps its own)") == 4
    assert len(list((run / ".kept").glob("block-*"))) == 6  # two at two seeds, one at four
    seconds = [
        json.loads((run / f"n={n},seed=0" / "two.json").read_text())["seconds"] for n in (10, 20)
    ]
    assert seconds[0] == seconds[1]
    assert verify(run) == []
    # a grid that grows runs what is new alone
    again = rerun([], grid={"n": [10, 20, 30], "seed": range(2)}, book=book, folder=run)
    assert [outcome.seconds > 0 for outcome in again] == [False] * 8 + [True, False] * 2
    assert [outcome.notebook.parent.name for outcome in again][::4] == [
        "n=10,seed=0",
        "n=20,seed=0",
        "n=30,seed=0",
    ]


def test_a_failure_of_a_grid_is_told_once(
    book: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (book / "two.md").write_text(page("two", "seed = 1", "2 * seed") + CELL % "1 / 0")
    command = [
        "rerun",
        "--grid",
        "seed=1,2",
        "--book",
        str(book),
        "--folder",
        str(tmp_path / "run"),
    ]
    assert main([*command, "--workers", "1"]) == 1
    told = capsys.readouterr()
    assert told.out.count("two: failed, ") == 2
    assert told.err.count("chapter 'two' failed in code cell 3 (line 16: 1 / 0): Zero") == 1
    assert told.err.endswith("\n(the same in 2 runs: seed=1; seed=2)\n")


def test_a_file_gives_each_chapter_its_parameters(book: Path, tmp_path: Path) -> None:
    file = tmp_path / "fast.toml"
    file.write_text("seed = 3\nn = 4\n[two]\nseed = 5\n")
    rerun(settings=file, book=book, folder=tmp_path / "run")
    assert numbers(tmp_path / "run") == {"figures/one.csv": "1,4.375", "figures/two.csv": "1,10"}
    rerun(["two"], {"seed": 6}, settings=file, book=book, folder=tmp_path / "run")
    assert numbers(tmp_path / "run")["figures/two.csv"] == "1,12"
    for text, told in [
        ("[three]\nseed = 1", "has a table 'three', and there is no such chapter; there are: one"),
        ("[two]\nn = 1", "chapter 'two' has no parameter 'n'; it has: seed"),
        ("seed = ", "cannot be read as TOML"),
    ]:
        file.write_text(text)
        with pytest.raises(ValueError, match=told):
            rerun(settings=file, book=book, folder=tmp_path / "run")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--grid", "n"], "a parameter is written NAME=VALUE, such as -p seed=1; it is 'n'"),
        (["--grid", "n=1", "--grid", "n=2"], "parameter 'n' was given twice"),
        (["--grid", "n=5..1"], "a range goes from a whole number up to another"),
        (["--grid", "n=0..100000000"], "with 1,000 of them at most"),
        (["--grid", "n=1,2", "-p", "n=1"], "parameter 'n' has a value and is in the grid"),
        (["one", "--grid", "n=1,many"], "parameter 'n' of chapter 'one' must be a number"),
        (["two", "--grid", "n=1,2"], "no chapter of these has a parameter 'n' for a grid: two."),
        (["--settings", "nowhere.toml"], "nowhere.toml cannot be read or written"),
    ],
)
def test_odd_grids_are_refused_in_words(
    arguments: list[str], text: str, book: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["rerun", "--book", str(book), "--folder", str(book / "run"), *arguments]) == 2
    assert text in capsys.readouterr().err
    for grid in (5, {"n": 5}, {"n": "12"}, {"n": []}):
        with pytest.raises(ValueError, match="grid must"):
            rerun(["one"], grid=grid, book=book)  # type: ignore[arg-type]


def test_verify_names_what_differs(
    book: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    rerun(book=book, folder=run)
    assert main(["verify", str(run)]) == 0
    assert capsys.readouterr().out == f"all files in {run} are as they were written.\n"
    (run / "figures" / "one.csv").write_text("x,y\n1,2\n")
    (run / "two.ipynb").unlink()
    (run / "figures" / "mine.csv").write_text("x\n1\n")
    (run / "odd.json").write_text("{")
    assert main(["verify", str(run)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "odd.json is no record of a run",
        "figures/one.csv has been changed",
        "two.ipynb is missing",
        "figures/mine.csv is in no record",
    ]
    for folder in ("nowhere", str(book)):
        assert main(["verify", folder]) == 2
        assert "there is no finished run in" in capsys.readouterr().err


def test_diff_tells_what_moved_chapter_by_chapter(
    book: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [tmp_path / name for name in ("a", "b", "c")]
    rerun(book=book, folder=runs[0])
    rerun(values={"seed": 2}, book=book, folder=runs[1])
    assert main(["diff", str(runs[0]), str(runs[0])]) == 0
    assert capsys.readouterr().out == "one: as it was\ntwo: as it was\n"
    assert main(["diff", str(runs[0]), str(runs[1])]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "one: 1 moved",
        "  one, 'y': 1 moved, most in row 1: 10.125 is now 10.25 (+0.012 relative)",
        "two: 1 moved",
        "  two, 'y': 1 moved, most in row 1: 2 is now 4 (+1 relative)",
    ]
    (tmp_path / "tolerances.toml").write_text("[one]\ny = 0.1\n[absent]\nz = 1\n")
    assert diff(runs[0], runs[1], tmp_path)["one"] == []
    rerun(["two"], book=book, folder=runs[2])
    found = diff(runs[0], runs[2])
    assert found == {"one": [f"there is no whole run of it in {runs[2]}"], "two": []}
    # a table that was changed by hand is no table of the run
    (runs[2] / "figures" / "two.csv").write_text("x,y\n1,2\n1,2\n")
    assert diff(runs[0], runs[2])["two"] == [f"there is no whole run of it in {runs[2]}"]


def test_the_most_memory_that_a_chapter_held_is_recorded(book: Path, tmp_path: Path) -> None:
    held = 400_000_000
    (book / "one.md").write_text("# One\n" + CELL % f"len(bytearray(b'x') * {held})")
    rerun(book=book, folder=tmp_path / "run")
    one, two = (
        json.loads((tmp_path / "run" / f"{name}.json").read_text())["memory"]
        for name in ("one", "two")
    )
    assert 10_000_000 < two < held < one
    # what was executed before is told as it was measured then
    (tmp_path / "run" / "one.ipynb").unlink()
    rerun(book=book, folder=tmp_path / "run")
    assert json.loads((tmp_path / "run" / "one.json").read_text())["memory"] == one


def test_numbers_in_the_prose_of_two_runs_are_compared(book: Path, tmp_path: Path) -> None:
    page = 'from collapse.publishing.page import Page\npage = Page("two", globals(), seed=(0, 9))'
    said = "page.say(ratio=seed / 4)\npage.colophon()"
    (book / "two.md").write_text("# Two\n" + PARAMETERS % "seed = 1" + CELL % f"{page}\n{said}")
    for seed in (1, 2):
        rerun(["two"], {"seed": seed}, book=book, folder=tmp_path / f"{seed}")
    assert diff(tmp_path / "1", tmp_path / "2")["two"] == [
        "two-prose, 'ratio': 1 moved, most in row 1: 0.25 is now 0.5 (+1 relative)",
        "two-prose, 'seed': 1 moved, most in row 1: 1 is now 2 (+1 relative)",
    ]


def test_a_kernel_that_ends_before_its_first_cell_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # as where another process takes the port that it was to have
    left = [2]

    def execute(*_: object, **__: object) -> None:
        left[0] -= 1
        if left[0] >= 0:
            raise RuntimeError("Kernel died before replying to kernel_info")

    monkeypatch.setattr(papermill, "execute_notebook", execute)
    notebook = tmp_path / "it.ipynb"
    nbformat.write(nbformat.v4.new_notebook(), notebook)
    paths = dict.fromkeys(("source", "notebook", "target"), str(notebook))
    job = {**paths, "folder": str(tmp_path), "values": {}, "limit": None}
    answer = StringIO()
    worker.execute(job, answer)
    assert json.loads(answer.getvalue())["error"] is None
    left[0] = 3
    with pytest.raises(RuntimeError, match="before replying"):
        worker.execute(job, StringIO())
