"""A run that is killed at any moment is resumed, and two runs at once do not disturb each other.

COLLAPSE_KILLS says how often the run is killed: 3 times where nothing is said.
"""

import fcntl
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from collapse.publishing.records import diff, verify
from collapse.publishing.rerun import rerun

pytestmark = pytest.mark.book

CHAPTER = """# A chapter

```{{code-cell}}
:tags: [parameters]
seed = {seed}
```

```{{code-cell}}
import os, random, time
from pathlib import Path
figures, draw = Path(os.environ["COLLAPSE_FIGURES"]), random.Random(seed)
for part in "abc":
    rows = "".join(f"{{draw.random()}}\\n" for _ in range(20_000))
    (figures / f"{name}-{{part}}.csv").write_text("x\\n" + rows)
    time.sleep(0.3)
```
"""
NAMES = ["one", "two", "three"]


@pytest.fixture
def book(tmp_path: Path) -> Path:
    folder = tmp_path / "book"
    folder.mkdir()
    for seed, name in enumerate(NAMES):
        (folder / f"{name}.md").write_text(CHAPTER.format(seed=seed, name=name))
    return folder


def command(book: Path, folder: Path, *more: str) -> list[str]:
    words = [sys.executable, "-m", "collapse", "rerun", "--book", str(book), "--folder"]
    return [*words, str(folder), *more]


def free(folder: Path) -> bool:
    """Whether nothing that a killed run started is left."""
    if not (folder / ".lock").exists():
        return True
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def test_a_run_killed_at_random_moments_is_resumed(book: Path, tmp_path: Path) -> None:
    whole, run, moments = tmp_path / "whole", tmp_path / "run", random.Random(20261128)
    rerun(book=book, folder=whole, workers=2)
    kills = 0
    while kills < int(os.environ.get("COLLAPSE_KILLS", "3")):
        extra = ["--fresh"] if not any(run.glob("*.json")) or moments.random() < 0.5 else []
        started = subprocess.Popen(
            command(book, run, *extra), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for _ in range(moments.randrange(200)):  # it may have ended before: then it counts too
            if started.poll() is not None:
                break
            time.sleep(0.05)
        started.send_signal(signal.SIGKILL)
        started.wait()
        kills += 1
        while not free(run):  # its workers see that it is gone, and end
            time.sleep(0.1)
        for outcome in rerun(["one"], book=book, folder=run):  # a part goes on, then all
            assert outcome.error is None
    outcomes = rerun(book=book, folder=run, workers=2)
    assert [outcome.error for outcome in outcomes] == [None] * 3
    assert verify(run) == []
    assert diff(whole, run) == {name: [] for name in sorted(NAMES)}
    assert not (run / ".running").exists()
    assert [outcome.seconds for outcome in rerun(book=book, folder=run)] == [0] * 3


def test_of_two_runs_into_one_folder_one_is_refused_in_words(book: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    both = [subprocess.Popen(command(book, run), **pipes) for _ in range(2)]  # type: ignore[call-overload]
    told = {process.communicate()[1]: process.returncode for process in both}
    assert sorted(told.values()) == [0, 2]
    assert any("another run is writing into" in text for text, status in told.items() if status)
    assert verify(run) == []


def test_two_runs_share_what_is_kept(book: Path, tmp_path: Path) -> None:
    runs, store = [tmp_path / "a", tmp_path / "b"], tmp_path / "store"
    both = [subprocess.Popen(command(book, run, "--store", str(store))) for run in runs]
    assert [process.wait() for process in both] == [0, 0]
    assert [verify(run) for run in runs] == [[], []]
    assert diff(*runs) == {name: [] for name in sorted(NAMES)}
    third = rerun(book=book, folder=tmp_path / "c", store=store)
    assert [outcome.seconds for outcome in third] == [0] * 3
