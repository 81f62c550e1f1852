"""Chapters run on a Dask scheduler's workers, which share no folder with the one who asks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from collapse.blocks import environment
from collapse.cli import main
from collapse.publishing import execution, keys
from collapse.publishing.records import read_record, verify
from collapse.publishing.rerun import rerun

pytestmark = pytest.mark.book

READS = """# It reads data and a module beside it

```{code-cell}
:tags: [parameters]
seed = 1
```

```{code-cell}
import os
import random
from pathlib import Path

import helper

rows = Path("data", "rows.csv").read_text().split()
draw = random.Random(seed)
figures = Path(os.environ["COLLAPSE_FIGURES"])
text = "".join(f"{row},{helper.twice(draw.random())!r}\\n" for row in rows)
(figures / "reads.csv").write_text("row,y\\n" + text)
(figures / "where.txt").write_text("beside its chapter: " + str(Path("reads.md").exists()))
```
"""
OTHER = """# Another

```{code-cell}
import os
from pathlib import Path

import numpy as np

figures = Path(os.environ["COLLAPSE_FIGURES"])
rows = np.linalg.svd(np.random.default_rng(5).normal(size=(60, 60)))[1]
(figures / "other.csv").write_text("x\\n" + "".join(f"{row!r}\\n" for row in rows.tolist()))
```
"""
FAILS = "# It fails\n\n```{code-cell}\n1 / 0\n```\n"


@pytest.fixture
def book(tmp_path: Path) -> Path:
    folder = tmp_path / "book"
    (folder / "data").mkdir(parents=True)
    (folder / "reads.md").write_text(READS)
    (folder / "other.md").write_text(OTHER)
    (folder / "data" / "rows.csv").write_text("a\nb\nc\n")
    (folder / "helper.py").write_text("def twice(x):\n    return 2 * x\n")
    return folder


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A Dask scheduler with two worker processes, and a client of it."""
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            processes=True, n_workers=2, threads_per_worker=1, dashboard_address=None
        ) as made,
        distributed.Client(made) as client,
    ):
        yield client


def digests(run: Path) -> dict[str, str]:
    """Digests of the tables of a run, by their place."""
    records = [read_record(path) for path in sorted(run.glob("*.json"))]
    files: Mapping[str, str] = {
        k: v for record in records if record for k, v in record["files"].items()
    }
    return {name: digest for name, digest in files.items() if name.endswith(".csv")}


def test_a_run_on_a_cluster_is_that_of_this_machine(
    cluster: Any, book: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (book / "fails.md").write_text(FAILS)
    here, there = tmp_path / "here", tmp_path / "there"
    rerun(book=book, folder=here, workers=2)
    address = cluster.scheduler.address
    command = ["rerun", "--book", str(book), "--folder", str(there)]
    assert main([*command, "--scheduler", address]) == 1
    told = capsys.readouterr()
    assert "chapter 'fails' failed in code cell 1 (line 3: 1 / 0): ZeroDivisionError" in told.err
    assert digests(there) == digests(here)
    assert digests(here).keys() == {"figures/reads.csv", "figures/other.csv"}
    assert verify(there) == []
    assert (there / "fails.ipynb").is_file()
    # it ran where the chapters are not
    found = [(run / "figures" / "where.txt").read_text() for run in (here, there)]
    assert found == ["beside its chapter: True", "beside its chapter: False"]
    # what a cluster has finished is taken over here
    assert [outcome.seconds for outcome in rerun(["other", "reads"], book=book, folder=there)] == [
        0,
        0,
    ]
    assert main([*command, "--scheduler", address, "--workers", "2"]) == 2
    assert "give an executor or a number of workers, not both." in capsys.readouterr().err


def test_a_worker_that_is_killed_is_no_chapters_failure(
    cluster: Any, book: Path, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    mark.touch()
    deadly = (
        "# It kills the worker\n\n```{code-cell}\nfrom pathlib import Path\n\nimport psutil\n\n"
        f"mark = Path({str(mark)!r})\nif mark.exists():\n    mark.unlink()\n"
        "    psutil.Process().parent().parent().kill()\n```\n"
    )
    (book / "deadly.md").write_text(deadly)
    (outcome,) = rerun(
        ["deadly"], book=book, folder=tmp_path / "run", executor=cluster.get_executor()
    )
    assert outcome.error is None
    assert not mark.exists()


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense", "http://x"])
def test_a_scheduler_that_is_not_there_is_refused_in_a_sentence(
    address: str, book: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dask = pytest.importorskip("dask")
    with dask.config.set({"distributed.comm.timeouts.connect": "2s"}):
        command = ["rerun", "--book", str(book), "--folder", str(tmp_path / "run")]
        assert main([*command, "--scheduler", address]) == 2
    told = capsys.readouterr().err
    start = "collapse: --scheduler must be the address of a Dask scheduler that is running, such as"
    assert told.startswith(f"{start} tcp://10.0.0.1:8786; it is {address!r} (")
    assert told.count("\n") == 1
    assert not (tmp_path / "run").exists()


class Gone(Executor):
    """Its scheduler is lost after the first chapter."""

    def __init__(self) -> None:
        self.asked = 0

    def submit(self, function: Any, /, *arguments: Any, **named: Any) -> Future[Any]:
        self.asked += 1
        future: Future[Any] = Future()
        if self.asked > 2:  # the versions, and a chapter
            future.set_exception(ConnectionError())
        else:
            future.set_result(function(*arguments, **named))
        return future


def test_a_scheduler_that_is_lost_is_told_with_what_is_kept(book: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"the executor was lost .*1 of 2 .* kept in .*goes on from"
    ):
        rerun(book=book, folder=tmp_path / "run", executor=Gone())
    again = rerun(book=book, folder=tmp_path / "run")
    assert sorted(outcome.seconds > 0 for outcome in again) == [False, True]


def test_what_is_not_installed_where_it_runs_is_said(
    book: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = keys.installed()
    monkeypatch.setattr(
        execution.keys, "installed", lambda: [d for d in ours if "papermill" not in d]
    )
    with ThreadPoolExecutor(1) as threads:
        (outcome,) = rerun(["other"], book=book, folder=tmp_path / "run", executor=threads)
    assert outcome.error is not None
    assert outcome.error.startswith("its worker: papermill==")
    assert outcome.error.endswith("is installed here and not there; install the same versions.")


def test_a_package_that_changed_where_it_ran_is_said(
    book: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert environment()["collapse"]  # as the worker began with
    monkeypatch.setattr(execution.disk, "package", lambda: "0" * 64)
    with ThreadPoolExecutor(1) as threads:
        (outcome,) = rerun(["other"], book=book, folder=tmp_path / "run", executor=threads)
    assert outcome.error == (
        "its worker: the package has been changed there; start the worker again."
    )


def test_more_data_than_is_sent_is_refused(
    book: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (book / "data" / "large.bin").write_bytes(bytes(12_000_000))
    with (
        ThreadPoolExecutor(1) as threads,
        pytest.raises(ValueError, match="holds 12 MB beside its chapters, and 10 MB at most are"),
    ):
        rerun(["other"], book=book, folder=tmp_path / "run", executor=threads)
    with pytest.raises(ValueError, match=r"executor must be a concurrent\.futures\.Executor"):
        rerun(["other"], book=book, folder=tmp_path / "run", executor=3)  # type: ignore[arg-type]
