"""collapse rerun: parameters are checked, failures are named, finished chapters are taken over."""

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat
import psutil
import pytest

import collapse
from collapse.cli import main
from collapse.publishing.records import damaged, read_record, verify
from collapse.publishing.rerun import chapters, opened, parameters, rerun
from collapse.publishing.tasks import asked

pytestmark = pytest.mark.book

HEADER = """---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
    format_version: 0.13
kernelspec:
  display_name: Python 3 (ipykernel)
  language: python
  name: python3
---
"""

CHAPTER = (
    HEADER
    + """
# A chapter

```{code-cell} ipython3
:tags: [parameters]

seed = 1
share = 0.5
name = "one"
```

```{code-cell} ipython3
import os
from pathlib import Path
(Path(os.environ["COLLAPSE_FIGURES"]) / f"{name}.txt").write_text(f"{seed} {share}")
```
"""
)

FAILING = (
    HEADER + "\n# Another\n\n```{code-cell} ipython3\n:tags: [parameters]\n\nseed ="
    " 1\n```\n\n```{code-cell} ipython3\n1 / 0\n```\n"
)


@pytest.fixture
def book(tmp_path: Path) -> Path:
    folder = tmp_path / "book"
    folder.mkdir()
    (folder / "good.md").write_text(CHAPTER)
    (folder / "bad.md").write_text(FAILING)
    (folder / "prose.md").write_text("# No code\n")
    return folder


def test_chapters_are_the_pages_with_a_kernel(book: Path) -> None:
    assert list(chapters(book)) == ["bad", "good"]
    assert parameters(book / "good.md") == {"seed": "1", "share": "0.5", "name": '"one"'}


def test_what_is_no_file_or_hidden_is_no_chapter(book: Path) -> None:
    (book / ".#good.md").symlink_to("somebody@somewhere.123")  # as an editor locks a file
    (book / ".hidden.md").write_text(CHAPTER)
    (book / "lost.md").symlink_to("nowhere.md")
    (book / "folder.md").mkdir()
    (book / "folder.ipynb").mkdir()
    assert list(chapters(book)) == ["bad", "good"]


def test_parameters_reach_the_kernel_and_figures_the_run_folder(book: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    told: list[tuple[int, int]] = []
    (outcome,) = rerun(
        ["good"],
        {"seed": 7, "name": "two"},
        book=book,
        folder=run,
        progress=lambda *step: told.append(step),
    )
    assert outcome.error is None
    assert told == [(0, 1), (1, 1)]
    assert (run / "figures" / "two.txt").read_text() == "7 0.5"
    assert json.loads(outcome.notebook.read_text())["cells"]


def test_a_kernel_imports_the_package_that_runs_it(
    book: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "elsewhere"))
    root = Path(collapse.__file__).parents[1]
    first = f"import os\nassert os.environ['PYTHONPATH'].split(os.pathsep)[0] == {str(root)!r}"
    (book / "which.md").write_text(code(first))
    (outcome,) = rerun(["which"], book=book, folder=tmp_path / "run")
    assert outcome.error is None


def test_a_finished_chapter_is_taken_over_until_something_changes(
    book: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    first = rerun(["good"], book=book, folder=run)[0]
    assert first.seconds > 0
    assert rerun(["good"], book=book, folder=run)[0].seconds == 0
    assert [path.name for path in (run / "figures").iterdir()] == ["one.txt"]
    # other parameters: nothing of the former run is left
    assert rerun(["good"], {"name": "two"}, book=book, folder=run)[0].seconds > 0
    assert [path.name for path in (run / "figures").iterdir()] == ["two.txt"]
    assert not (run / ".running").exists()


DRAWING = """
```{code-cell} ipython3
from collapse.publishing import figures
bundle = figures.write("line", lambda figure: figure.subplots().plot([1, 2]), numbers={"x": [1, 2]},
                       parameters={}, seed=None)
```
"""


def test_a_draft_is_one_picture_and_all_numbers_and_is_not_taken_over(
    book: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (book / "good.md").write_text(HEADER + DRAWING)
    run = tmp_path / "run"
    assert main(["rerun", "good", "--book", str(book), "--folder", str(run), "--draft"]) == 0
    assert {path.name for path in (run / "figures").iterdir()} == {
        "line.csv",
        "line.json",
        "line.png",
    }
    numbers = (run / "figures" / "line.csv").read_bytes()
    monkeypatch.setenv("COLLAPSE_DRAFT", "1")  # whatever the reader's own environment says
    whole = rerun(["good"], book=book, folder=run)[0]
    assert whole.error is None
    assert whole.seconds > 0
    assert len(list((run / "figures").iterdir())) == 9
    assert (run / "figures" / "line.csv").read_bytes() == numbers


def test_a_version_that_failed_is_not_taken_for_the_one_before(book: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    rerun(["good"], book=book, folder=run)
    (book / "good.md").write_text(
        CHAPTER.replace('f"{seed} {share}"', '"wrong"') + "\n```{code-cell} ipython3\n1 / 0\n```\n"
    )
    failed = rerun(["good"], book=book, folder=run)[0]
    assert failed.error
    assert failed.notebook.is_file()
    assert list((run / "figures").iterdir()) == []
    (book / "good.md").write_text(CHAPTER)
    again = rerun(["good"], book=book, folder=run)[0]
    assert (again.error, again.seconds) == (None, 0)
    assert (run / "figures" / "one.txt").read_text() == "1 0.5"


def test_what_was_lost_or_changed_is_made_again_and_said(
    book: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    command = ["rerun", "good", "--book", str(book), "--folder", str(run)]
    main(command)
    record, written = run / "good.json", json.loads((run / "good.json").read_text())
    for path, text, note in [
        (record, '{"key": ', "good.json was no readable record of a run, and was ignored"),
        (run / "figures" / "one.txt", "2 0.5", "figures/one.txt was missing or had been changed"),
    ]:
        path.write_text(text)
        capsys.readouterr()
        assert main(command) == 0
        # from what is kept, not from what lies there
        assert f"taken over from an earlier run, {run / 'good.ipynb'} ({note})" in (
            capsys.readouterr().out
        )
        assert (run / "figures" / "one.txt").read_text() == "1 0.5"
    assert main(command) == 0
    assert "taken over from an earlier run" in capsys.readouterr().out
    assert damaged(run, json.loads(record.read_text())) == []
    (run / "good.ipynb").unlink()
    assert damaged(run, json.loads(record.read_text())) == ["good.ipynb"]
    # a record names its own notebook, and files of the figures' folder alone: no other is ever
    # removed
    for files in (
        {"../book/good.md": ""},
        {"good.ipynb": "", "figures/../../book/good.md": ""},
        {},
        [],
        None,
    ):
        record.write_text(json.dumps(written | {"files": files}))
        assert read_record(record) is None
    assert read_record(run / "none.json") is None


def test_a_folder_has_one_run_at_a_time(book: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    with (run / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(
            ValueError,
            match=(
                r"another run is writing into .*run; wait until it has ended, or give this one"
                r" another"
            ),
        ):
            rerun(["good"], book=book, folder=run)
    assert rerun(["good"], book=book, folder=run)[0].error is None


def code(*cells: str) -> str:
    return HEADER + "".join(f"\n```{{code-cell}} ipython3\n{cell}\n```\n" for cell in cells)


def test_a_dying_kernel_is_one_chapters_failure(book: Path, tmp_path: Path) -> None:
    (book / "dying.md").write_text(code("import os", "# a comment\nos.kill(os.getpid(), 9)", "1"))
    dying, good = rerun(["dying", "good"], book=book, folder=tmp_path / "run", workers=2)
    assert dying.error == "code cell 2 (line 17: os.kill(os.getpid(), 9)): the kernel died"
    assert good.error is None


def test_a_dying_process_is_one_chapters_failure(book: Path, tmp_path: Path) -> None:
    (book / "dying.md").write_text(
        code("import os\nos.kill(os.getppid(), 9)\nimport time\ntime.sleep(600)")
    )
    dying, good = rerun(["dying", "good"], book=book, folder=tmp_path / "run")
    assert dying.error == "its process: it was ended by signal 9"
    assert good.error is None


def until(true: object) -> bool:
    """Whether something becomes true in two minutes; how long it takes is no matter."""
    for _ in range(1200):
        if true():  # type: ignore[operator]
            return True
        time.sleep(0.1)
    return False


def alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # it ended between the two questions
        return False


def test_a_killed_run_leaves_no_process_and_keeps_what_was_finished(
    book: Path, tmp_path: Path
) -> None:
    pids, run = tmp_path / "pids", tmp_path / "run"
    slow = (
        "import os, subprocess, sys, time\nchild = subprocess.Popen([sys.executable, '-c', 'import"
        f" time; time.sleep(600)'])\nwith open({str(pids)!r} + '.new', 'w') as file:\n   "
        f" print(os.getppid(), os.getpid(), child.pid, file=file)\nos.rename({str(pids)!r} +"
        f" '.new', {str(pids)!r})\ntime.sleep(600)"
    )
    (book / "slow.md").write_text(code(slow))
    command = [
        sys.executable,
        "-m",
        "collapse",
        "rerun",
        "good",
        "slow",
        "--workers",
        "1",
        "--book",
        str(book),
        "--folder",
        str(run),
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as parent:
        assert until(pids.exists)
        started = [psutil.Process(int(pid)) for pid in pids.read_text().split()]
        assert len(started) == 3
        parent.send_signal(signal.SIGKILL)
    assert until(lambda: not any(alive(process) for process in started))
    (book / "slow.md").write_text(code("1"))
    good, changed = rerun(["good", "slow"], book=book, folder=run)
    assert (good.error, good.seconds, changed.error) == (None, 0, None)


def test_a_folder_that_cannot_be_written_is_said(
    book: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, *arguments: object, **options: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert main(["rerun", "good", "--book", str(book), "--folder", str(tmp_path / "run")]) == 2
    assert capsys.readouterr().err.endswith(
        "figures cannot be read or written: Read-only file system.\n"
    )


def test_a_full_disk_is_one_chapters_failure(
    book: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bytes = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        if path == tmp_path / "run" / "figures" / "one.txt":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return write_bytes(path, data)

    (book / "other.md").write_text(CHAPTER.replace('"one"', '"other"'))
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        good, other = rerun(["good", "other"], book=book, folder=tmp_path / "run")
    assert good.error
    assert good.error.endswith("one.txt: No space left on device")
    assert other.error is None
    assert not (tmp_path / "run" / "good.json").exists()
    good, other = rerun(["good", "other"], book=book, folder=tmp_path / "run")
    assert (good.error, other.seconds) == (None, 0)
    assert (tmp_path / "run" / "figures" / "one.txt").read_text() == "1 0.5"


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A disk of 3 MB."""
    disk = tmp_path / "small"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=3m", "none", str(disk)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small disk")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_small_disk_is_one_chapters_failure_and_nothing_half_written_counts(
    book: Path, small: Path
) -> None:
    large = CHAPTER.replace('"one"', '"large"').replace(
        '.write_text(f"{seed} {share}")', ".write_bytes(os.urandom(6_000_000))"
    )
    (book / "large.md").write_text(large)
    full, good = rerun(["large", "good"], book=book, folder=small / "run")
    assert full.error is not None
    assert "No space left on device" in full.error
    assert good.error is None
    assert verify(small / "run") == []
    assert not (small / "run" / "large.json").exists()
    (book / "large.md").write_text(large.replace("6_000_000", "6_000"))
    (again,) = rerun(["large"], book=book, folder=small / "run")
    assert again.error is None


def test_a_disk_that_is_read_only_is_refused_in_words(
    book: Path, small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small)], check=True)
    assert main(["rerun", "good", "--book", str(book), "--folder", str(small / "run")]) == 2
    assert capsys.readouterr().err == (
        f"collapse: {small / 'run'} cannot be read or written: Read-only file system.\n"
    )


def test_two_chapters_do_not_write_one_figure(book: Path, tmp_path: Path) -> None:
    (book / "twin.md").write_text(CHAPTER.replace("# A chapter", "# Its twin"))
    good, twin = rerun(["good", "twin"], book=book, folder=tmp_path / "run")
    assert good.error is None
    assert twin.error is not None
    assert "'good' has written figures/one.txt too" in twin.error


def test_notebooks_of_ones_own_are_run(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    bare = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell("a = 1"),
            nbformat.v4.new_code_cell("assert a == 1\nundefined"),
        ]
    )
    nbformat.write(bare, folder / "bare.ipynb")
    (folder / "page.md").write_text(
        "# A page\n\n```{code-cell}\n:tags: [parameters]\na = 1\n```\n\n```{code-cell}\nassert a =="
        " 2\n```\n"
    )
    other = nbformat.v4.new_notebook(
        metadata={"kernelspec": {"name": "ir", "display_name": "R", "language": "R"}}
    )
    nbformat.write(other, folder / "other.ipynb")
    (folder / "broken.ipynb").write_text("{")
    assert list(chapters(folder)) == ["bare", "broken", "other", "page"]
    (bare_run,) = rerun(["bare"], book=folder, folder=tmp_path / "run")
    assert bare_run.error is not None
    assert bare_run.error.startswith(
        "code cell 2 (assert a == 1): NameError: name 'undefined' is not defined"
    )
    assert rerun(["page"], {"a": 2}, book=folder, folder=tmp_path / "run")[0].error is None
    (failed,) = rerun(["page"], {"a": 3}, book=folder, folder=tmp_path / "run")
    assert failed.error is not None
    assert failed.error.startswith("code cell 2 (line 8: assert a == 2): AssertionError")
    with pytest.raises(ValueError, match="is in R; only chapters in Python can be run again"):
        rerun(["other"], book=folder, folder=tmp_path / "run")
    with pytest.raises(ValueError, match=r"broken\.ipynb cannot be read as a notebook"):
        rerun(["broken"], book=folder, folder=tmp_path / "run")
    with pytest.raises(
        ValueError, match=r"no parameter 'a'; it has: none \(tag the cell that assi"
    ):
        rerun(["bare"], {"a": 2}, book=folder, folder=tmp_path / "run")


def test_a_number_takes_the_place_of_a_number(book: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert rerun(["good"], {"seed": 2.5, "share": 1}, book=book, folder=run)[0].error is None
    assert (run / "figures" / "one.txt").read_text() == "2.5 1"
    for values, text in [
        ({"seed": True}, "must be a number, like its default 1; it is True"),
        ({"share": "half"}, "must be a number, like its default 0.5; it is 'half'"),
        ({"name": 3}, 'must be text, like its default "one"; it is 3'),
        ({"seed": {1, 2}}, "must be a number, a truth value, text, or a list of these"),
    ]:
        with pytest.raises(ValueError, match=text):
            rerun(["good"], values, book=book, folder=run)


def test_a_failing_chapter_is_named_and_the_others_run(
    book: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["rerun", "bad", "good", "--workers", "1", "--folder", "run"]) == 1
    printed = capsys.readouterr()
    assert (
        "chapter 'bad' failed in code cell 2 (line 21: 1 / 0): ZeroDivisionError: division by zero"
        in printed.err
    )
    assert "good: " in printed.out
    assert (tmp_path / "run" / "figures" / "one.txt").is_file()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["nosuch"], "there is no chapter 'nosuch'; there are: bad, good."),
        (
            ["good", "-p", "seeds=1"],
            "chapter 'good' has no parameter 'seeds'; it has: seed, share, name.",
        ),
        (
            ["bad", "good", "-p", "share=0.1"],
            "chapter 'bad' has no parameter 'share'; it has: seed.",
        ),
        (
            ["good", "-p", "seed=many"],
            (
                "parameter 'seed' of chapter 'good' must be a number, like its default 1; it is"
                " 'many'."
            ),
        ),
        (["good", "-p", "seed=" + "-" * 100_000 + "1"], "must be a number, like its default 1"),
        (
            ["good", "-p", "seed"],
            "a parameter is written NAME=VALUE, such as -p seed=1; it is 'seed'.",
        ),
        (["good", "--book", "elsewhere"], "there is no folder elsewhere"),
    ],
)
def test_mistakes_are_refused_in_words(
    arguments: list[str],
    text: str,
    book: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["rerun", *arguments]) == 2
    assert text in capsys.readouterr().err


def test_notebooks_are_not_replaced_by_their_own_runs(
    book: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    nbformat.write(
        nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")]), book / "own.ipynb"
    )
    before = (book / "own.ipynb").read_bytes()
    monkeypatch.chdir(book)
    for folder in (".", str(book), f"../{book.name}"):
        assert main(["rerun", "own", "--book", ".", "--folder", folder]) == 2
        assert "holds the chapters themselves; name another with" in capsys.readouterr().err
    assert (book / "own.ipynb").read_bytes() == before


def test_a_folder_without_chapters_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert main(["rerun", "--book", str(tmp_path), "--folder", str(run)]) == 2
    assert f"there is no chapter in {tmp_path}; name a folder of" in capsys.readouterr().err
    assert not run.exists()


def test_arguments_of_another_kind_are_refused(book: Path, tmp_path: Path) -> None:
    good: dict[str, object] = {"names": ["good"], "book": book, "folder": tmp_path / "run"}
    for name, odd, told in [
        ("names", None, "names must be the names of chapters"),
        ("names", 5, "names must be the names of chapters"),
        ("names", [["good"]], "names must be the names of chapters"),
        ("names", b"good", "names must be the names of chapters"),
        ("values", 5, "values must map different texts to values of parameters"),
        ("values", [1], "values must map different texts to values of parameters"),
        ("folder", 5, "folder must be the path of a folder"),
        ("folder", "", "folder must be the path of a folder"),
        ("book", None, "book must be the path of a folder"),
        ("book", "", "book must be the path of a folder"),
    ]:
        with pytest.raises(ValueError, match=told):
            rerun(**(good | {name: odd}))  # type: ignore[arg-type]
    assert not (tmp_path / "run").exists()


def test_a_record_of_odd_names_removes_nothing_else(book: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    rerun(["good"], book=book, folder=run)
    record = run / "good.json"
    written = json.loads(record.read_text())
    for name in ("figures/", "figures/.", "figures//one.txt"):
        record.write_text(json.dumps(written | {"files": written["files"] | {name: ""}}))
        assert read_record(record) is None
    (run / "figures" / "sub").mkdir()
    odd = ("figures/sub", "figures/\0", "figures/\ud800", "figures/" + "x" * 400)
    record.write_text(json.dumps(written | {"files": written["files"] | dict.fromkeys(odd, "")}))
    (outcome,) = rerun(["good"], book=book, folder=run)
    assert outcome.error is None
    assert outcome.note.endswith("was missing or had been changed")
    assert (run / "figures" / "sub").is_dir()


def test_no_two_runs_share_a_place_for_what_is_not_finished(book: Path, tmp_path: Path) -> None:
    # a kernel outlives its process for a while, and writes where it was told to
    where = (
        'import os\nfrom pathlib import Path\nplace = Path(os.environ["COLLAPSE_FIGURES"])\n(place'
        ' / "place.txt").write_text(str(place))'
    )
    (book / "where.md").write_text(code(where))
    written = []
    for _ in range(2):
        assert rerun(["where"], book=book, folder=tmp_path / "run", fresh=True)[0].error is None
        written.append((tmp_path / "run" / "figures" / "place.txt").read_text())
    assert written[0] != written[1]


def test_what_does_not_end_is_ended_by_the_processors_time(book: Path, tmp_path: Path) -> None:
    (book / "busy.md").write_text(code("1", "while True:\n    pass"))
    (book / "idle.md").write_text(code("import time\ntime.sleep(6000)"))
    tasks = asked(["busy", "idle", "good"], book=book, folder=tmp_path / "run")
    with opened(*tasks, book=book, limit=10) as run:
        found = {outcome.chapter: outcome.error for outcome in run.execute(2)}
    assert found == {
        "busy": "code cell 2 (line 17: while True:): not finished after 10 s of processor time",
        "idle": "code cell 1 (line 13: import time): it has computed nothing for 10 s",
        "good": None,
    }


def test_prose_is_taken_from_the_page_as_it_is_now(book: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    rerun(["good"], {"seed": 2}, book=book, folder=run)
    (book / "good.md").write_text(CHAPTER.replace("# A chapter", "# A better title"))
    (outcome,) = rerun(["good"], {"seed": 2}, book=book, folder=run)
    assert (outcome.error, outcome.seconds) == (None, 0)
    cells = nbformat.read(outcome.notebook, as_version=4).cells
    assert [cell.source.split("\n")[0] for cell in cells if cell.cell_type == "markdown"] == [
        "# A better title"
    ]
    assert [cell.source.split("\n")[0] for cell in cells if cell.cell_type == "code"] == [
        "seed = 1",
        "# Parameters",
        "import os",
    ]
    assert verify(run) == []


def test_versions_are_kept_so_that_a_change_that_is_reverted_runs_nothing(
    book: Path, tmp_path: Path
) -> None:
    run, other = tmp_path / "run", CHAPTER.replace('f"{seed} {share}"', '"other"')
    seconds = []
    for text in (CHAPTER, other, CHAPTER, other):
        (book / "good.md").write_text(text)
        seconds.append(rerun(["good"], book=book, folder=run)[0].seconds > 0)
        expected = "1 0.5" if text == CHAPTER else "other"
        assert (run / "figures" / "one.txt").read_text() == expected
    assert seconds == [True, True, False, False]
    # nothing is taken over where it is not asked for, and runs may share what is kept
    assert rerun(["good"], book=book, folder=run, fresh=True)[0].seconds > 0
    shared = rerun(["good"], book=book, folder=tmp_path / "b", store=run / ".kept")
    assert shared[0].seconds == 0
    assert (tmp_path / "b" / "figures" / "one.txt").read_text() == "other"
    with pytest.raises(ValueError, match="is the folder of the run itself; name another, or none"):
        rerun(["good"], book=book, folder=run, store=run)


def test_what_a_run_keeps_is_listed_and_cleared_as_what_simulations_keep(
    book: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, shared, plan = tmp_path / "run", tmp_path / "shared", collapse.workflows.augment(3)
    rerun(["good"], book=book, folder=run)
    rerun(["good"], book=book, folder=tmp_path / "other", store=shared)
    simulated = collapse.simulate(plan, replications=50, rng=0, folder=shared)
    for folder, count in ((run, 1), (shared, 2)):
        assert main(["cache", "--folder", str(folder)]) == 0
        assert f"{count} entries, " in capsys.readouterr().out
    assert main(["cache", "--folder", str(run), "--clear"]) == 0
    assert capsys.readouterr().out.startswith("1 entries")
    assert list((run / ".kept").glob("block-*")) == []
    # the run itself stands
    assert rerun(["good"], book=book, folder=run)[0].seconds == 0
    again = collapse.simulate(plan, replications=50, rng=0, folder=shared)
    assert again.to_json() == simulated.to_json()


def test_what_changed_while_a_chapter_ran_is_not_taken_over(book: Path, tmp_path: Path) -> None:
    rows, run = book / "rows.csv", tmp_path / "run"
    rows.write_text("1\n")
    twice = "rows = Path('rows.csv')\nrows.write_text(rows.read_text() * 2)"
    (book / "writes.md").write_text(code(f"from pathlib import Path\n{twice}"))
    for _ in range(2):  # it changes what it reads, so that it is never the same
        (outcome,) = rerun(["writes"], book=book, folder=run)
        assert (outcome.error, outcome.seconds > 0) == (None, True)
    assert rows.read_text() == "1\n" * 4
