"""Long work that is killed, interrupted or raises: nothing finished is lost, and the numbers are
those of an undisturbed run to the bit.
"""

from __future__ import annotations

import json
import os
import random
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import collapse
from collapse import models, workflows
from tests.blocks.long_run import GRID, answer
from tests.blocks.models import MARKS, Deadly, Raising, kept, marks

pytestmark = [
    pytest.mark.statistical,  # at length, in processes and on a cluster: no part of `make check`
    pytest.mark.skipif(os.name != "posix", reason="signals are other things there"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def undisturbed() -> str:
    return answer(collapse.sweep(GRID))


def start(folder: Path, marked: Path, how: str, workers: int) -> subprocess.Popen[str]:
    marked.mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-m", "tests.blocks.long_run", str(folder), how, str(workers)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {MARKS: str(marked)},
        start_new_session=True,
    )


def children(pid: int) -> list[int]:
    """Handles of the processes that a process has started."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            with suppress(ProcessLookupError):
                found.append(os.pidfd_open(int(child)))
    return found


def ended(handles: list[int]) -> bool:
    """Whether processes end, where nobody ends them."""
    over = [bool(select.select([handle], [], [], 60)[0]) for handle in handles]
    for handle in handles:
        os.close(handle)
    return all(over)


def killed(folder: Path, marked: Path, how: str, workers: int, steps: int) -> str | None:
    """Run, kill the process once so many blocks are told, and check that its workers end with it,
    and that nothing was computed that had been kept before; the answer, where it came before.
    """
    before = kept(folder)
    with start(folder, marked, how, workers) as run:
        assert run.stdout
        for _ in range(steps):
            line = run.stdout.readline()
            if line.startswith("["):
                assert run.wait() == 0
                return line.strip()
        started = children(run.pid)
        os.kill(run.pid, signal.SIGKILL)
        assert run.wait() == -signal.SIGKILL
    assert len(started) >= (workers if workers > 1 else 0)
    assert ended(started)
    assert not before & set(marks(marked))
    return None


def survives(tmp_path: Path, kills: int, seed: int, undisturbed: str) -> None:
    chance, folder = random.Random(seed), tmp_path / "kept"
    for k in range(kills):
        # each time after as many new blocks as leave some for the next
        told = chance.randint(1, 3) + len(list(folder.glob("block-*")))
        how, workers = chance.choice([("fork", 2), ("spawn", 2), ("fork", 1)])
        early = killed(folder, tmp_path / f"marks {k}", how, workers, told)
        if early is not None:
            assert early == undisturbed
            for file in folder.iterdir():  # begin anew
                file.unlink()
    before = kept(folder)
    last = tmp_path / "the last marks"
    with start(folder, last, "fork", 2) as run:
        output, errors = run.communicate()
    assert (run.returncode, errors) == (0, "")
    assert output.splitlines()[-1] == undisturbed
    assert not before & set(marks(last))


def test_a_run_killed_three_times_ends_with_the_same_numbers(
    tmp_path: Path, undisturbed: str
) -> None:
    survives(tmp_path, 3, 1, undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_a_run_killed_thirty_times_ends_with_the_same_numbers(
    seed: int, tmp_path: Path, undisturbed: str
) -> None:
    """Six times five kills."""
    survives(tmp_path, 5, 100 + seed, undisturbed)


@pytest.mark.parametrize(("how", "workers"), [("fork", 2), ("spawn", 2)])
def test_no_worker_outlives_its_killed_parent(how: str, workers: int, tmp_path: Path) -> None:
    assert killed(tmp_path / "kept", tmp_path / "marks", how, workers, 1) is None


def test_a_killed_worker_loses_no_finished_block(tmp_path: Path) -> None:
    (tmp_path / "deaths").mkdir()
    asked: dict[str, Any] = {
        "plan": workflows.augment(3),
        "model": Deadly(0, 1, str(tmp_path / "deaths")),
        "n": 10,
        "replications": 80_000,
        "rng": 5,
        "quantiles": (0.5,),
    }
    expected = collapse.simulate(**asked).to_json()
    (tmp_path / "deaths" / "one").touch()
    found = collapse.simulate(**asked, workers=2, folder=tmp_path / "kept")
    assert list((tmp_path / "deaths").iterdir()) == []
    assert found.to_json() == expected


def test_workers_that_are_killed_again_and_again_are_told_with_what_is_kept(
    tmp_path: Path,
) -> None:
    deaths = tmp_path / "deaths"
    deaths.mkdir()
    asked: dict[str, Any] = {
        "plan": workflows.augment(3),
        "model": Deadly(0, 1, str(deaths)),
        "n": 10,
        "replications": 80_000,
        "rng": 5,
        "folder": tmp_path / "kept",
    }
    for k in range(100):
        (deaths / str(k)).touch()
    with pytest.raises(
        ValueError, match=r"ended from outside 3 times.*0 of 8 blocks are finished, and kept in "
    ):
        collapse.simulate(**asked, workers=2)


@pytest.fixture
def grid(tmp_path: Path) -> Path:
    path = tmp_path / "grid.toml"
    path.write_text(
        "workflow = 'augment'\nmodel = 'Bernoulli(p=0.2)'\nn = 10\ngenerations = 10\n"
        "replications = [20_000, 6_000_000]\n"
    )
    return path


def test_ctrl_c_ends_promptly_and_the_same_command_goes_on(grid: Path, tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    command = [sys.executable, "-m", "collapse", "sweep", str(grid), "--folder", str(folder)]
    command += ["--json", "--workers", "2"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as run:
        assert run.stderr
        heard = run.stderr.readline() + run.stderr.readline()  # a cell is finished
        assert "augment, replications = 20000" in heard
        started = children(run.pid)
        os.killpg(run.pid, signal.SIGINT)
        output, errors = run.communicate()
    assert run.returncode == 130
    assert output == ""
    assert errors == (
        "collapse: interrupted; what was finished is kept, and the same command goes on from"
        " there.\n"
    )
    assert len(started) >= 2
    assert ended(started)
    assert len(list(folder.glob("answer-*"))) == 1
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    (expected,) = collapse.sweep(
        {
            "workflow": "augment",
            "model": models.Bernoulli(0.2),
            "n": 10,
            "generations": 10,
            "replications": 6_000_000,
        }
    ).risks
    assert json.loads(again.stdout)["ratio"][10:] == expected.ratio.tolist()


def test_two_runs_at_once_share_a_folder(tmp_path: Path, undisturbed: str) -> None:
    folder = tmp_path / "kept"
    both = [start(folder, tmp_path / f"marks {k}", "fork", 2) for k in range(2)]
    for run in both:
        output, errors = run.communicate()
        assert (run.returncode, errors) == (0, "")
        assert output.splitlines()[-1] == undisturbed
    third = killed(folder, tmp_path / "marks 3", "fork", 1, 100)
    assert third == undisturbed
    assert marks(tmp_path / "marks 3") == []


@pytest.mark.parametrize("kind", ["ValueError", "SystemExit", "MemoryError", "Unsendable"])
@pytest.mark.parametrize("workers", [1, 2])
def test_what_a_model_raises_is_told(kind: str, workers: int) -> None:
    model = Raising(0, 1, kind)
    with pytest.raises((ValueError, MemoryError), match=rf"{kind}|none left"):
        collapse.simulate(
            workflows.augment(3), model=model, n=5, rng=0, replications=20_000, workers=workers
        )


CLUSTER = """
import sys
import distributed
if __name__ == "__main__":
    with distributed.LocalCluster(
        processes=True, n_workers=1, threads_per_worker=1, dashboard_address=None
    ) as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
"""


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[tuple[str, int]]:
    """A Dask scheduler as a process of its own: its address and its pid."""
    pytest.importorskip("distributed")
    (tmp_path / "cluster.py").write_text(CLUSTER)
    with subprocess.Popen(
        [sys.executable, str(tmp_path / "cluster.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([os.getcwd(), *sys.path])},
    ) as process:
        assert process.stdout
        address = process.stdout.readline().strip()
        started = children(process.pid)
        yield address, process.pid
        process.kill()
    for handle in started:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        os.close(handle)


def test_a_scheduler_that_is_gone_is_told_with_what_is_kept(
    scheduler: tuple[str, int], tmp_path: Path
) -> None:
    import distributed

    address, pid = scheduler
    asked: dict[str, Any] = {
        "plan": workflows.augment(5),
        "model": models.Normal(0, 1),
        "n": 10,
        "replications": 1_000_000,
        "rng": 3,
        "folder": tmp_path / "kept",
    }

    def tell(done: int, total: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    client = distributed.Client(address, set_as_default=False)
    with pytest.raises(
        ValueError, match=r"the executor was lost .*blocks are finished, and kept in"
    ):
        collapse.simulate(**asked, executor=client.get_executor(), progress=tell)
    done = len(list((tmp_path / "kept").glob("block-*")))
    assert 0 < done < 64
    with pytest.raises(ValueError, match="the executor cannot be used"):
        collapse.simulate(**asked, executor=client.get_executor())
    client.close(timeout=5)
    steps: list[int] = []
    found = collapse.simulate(**asked, progress=lambda *step: steps.append(step[0]))
    del asked["folder"]
    assert found.to_json() == collapse.simulate(**asked).to_json()
    assert steps[-1] == 1_000_000
