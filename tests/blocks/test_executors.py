"""Where blocks run: every executor gives the same numbers, or is refused in words."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import collapse
from collapse import models, workflows
from collapse.blocks import Block, Failed, Store, as_finished, executors, run, running
from collapse.blocks.keys import environment
from tests.blocks.models import Deadly, Raising

pytestmark = [
    pytest.mark.statistical,  # at length, in processes and on a cluster: no part of `make check`
    # a fork beside threads of a Dask client: the pools here begin before there are any
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]

DESIGN = np.column_stack([np.ones(40), np.sin(np.arange(40.0))])
EXPERIMENTS: dict[str, dict[str, Any]] = {
    "process": {"plan": workflows.subsample(4)},
    "statistics": {"plan": workflows.augment(4), "model": models.Bernoulli(0.3), "n": 10},
    "regression": {
        "plan": workflows.discard(3),
        "model": models.LogisticRegression(DESIGN, beta=[0.2, 0.5]),
        "replications": 4000,
    },
}


def answer(name: str, **where: Any) -> str:
    asked = {"replications": 20_000, "rng": 5, "quantiles": (0.5,)} | EXPERIMENTS[name]
    return repr(collapse.simulate(**asked, **where).to_json())


@pytest.fixture(scope="module")
def alone() -> dict[str, str]:
    return {name: answer(name) for name in EXPERIMENTS}


class Minimal(Executor):
    """Runs everything when it is asked for its result; has nothing but what it must."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def submit(self, function: Any, /, *arguments: Any, **named: Any) -> Future[Any]:
        self.asked.append(function)
        future: Future[Any] = Future()
        try:
            future.set_result(function(*arguments, **named))
        except Exception as error:  # noqa: BLE001 - as executors do
            future.set_exception(error)
        return future


@pytest.mark.parametrize("workers", [2, 4])
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_processes_of_this_machine(name: str, workers: int, alone: dict[str, str]) -> None:
    assert answer(name, workers=workers) == alone[name]


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_pools_of_the_callers(start: str, alone: dict[str, str]) -> None:
    with ProcessPoolExecutor(2, multiprocessing.get_context(start)) as pool:
        for name in EXPERIMENTS:
            assert answer(name, executor=pool) == alone[name]


def test_threads(alone: dict[str, str]) -> None:
    with ThreadPoolExecutor(3) as threads:
        for name in EXPERIMENTS:
            assert answer(name, executor=threads) == alone[name]


def test_an_executor_that_has_nothing_but_submit(alone: dict[str, str]) -> None:
    for name in EXPERIMENTS:
        assert answer(name, executor=Minimal()) == alone[name]


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


def test_a_dask_cluster_of_processes(cluster: Any, alone: dict[str, str]) -> None:
    for name in EXPERIMENTS:
        assert answer(name, executor=cluster.get_executor()) == alone[name]


def test_a_dask_worker_killed_in_the_midst_of_a_block(cluster: Any, tmp_path: Any) -> None:
    asked: dict[str, Any] = {
        "plan": workflows.augment(3),
        "model": Deadly(0, 1, str(tmp_path)),
        "n": 10,
        "replications": 40_000,
        "rng": 5,
    }
    expected = collapse.simulate(**asked).to_json()
    (tmp_path / "death").touch()
    found = collapse.simulate(**asked, executor=cluster.get_executor())
    assert list(tmp_path.iterdir()) == []
    assert found.to_json() == expected


def test_what_a_dask_worker_raises_is_raised(cluster: Any) -> None:
    model = Raising(0, 1, "ValueError")
    with pytest.raises(ValueError, match=r"risk of the model Raising.* failed with a ValueError"):
        collapse.simulate(
            workflows.augment(3), model=model, n=5, executor=cluster.get_executor(), rng=0
        )


def test_the_command_takes_a_scheduler(cluster: Any, tmp_path: Any, capsys: Any) -> None:
    from collapse.cli import main

    grid = tmp_path / "grid.toml"
    grid.write_text(
        "workflow = ['augment', 'discard']\nmodel = 'Bernoulli(p=0.3)'\nn = 10\n"
        "generations = 3\nreplications = 5000\n"
    )
    address = cluster.scheduler.address
    told = []
    for where in (["--scheduler", address], ["--workers", "1"]):
        command = ["sweep", str(grid), "--folder", str(tmp_path / where[0]), "--json", *where]
        assert main(command) == 0
        told.append(capsys.readouterr().out)
    assert told[0] == told[1]
    assert '"failures": {}' in told[0]
    both = ["--scheduler", address, "--workers", "2"]
    assert main(["sweep", str(grid), "--folder", str(tmp_path / "both"), *both]) == 2
    assert "give an executor or a number of workers, not both." in capsys.readouterr().err


class Elsewhere(Minimal):
    """Its worker has another version of something."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def submit(self, function: Any, /, *arguments: Any, **named: Any) -> Future[Any]:
        future = super().submit(function, *arguments, **named)
        if function is environment:
            future = Future()
            future.set_result({k: v for k, v in environment().items() if k != self.name})
        return future


@pytest.mark.parametrize("name", ["Python", "numpy", "scipy", "collapse"])
def test_a_worker_of_another_version_is_refused_before_anything_starts(name: str) -> None:
    executor = Elsewhere(name)
    with pytest.raises(
        ValueError, match=rf"^a worker of the executor runs {name} None, and .* is run here; "
    ):
        answer("process", executor=executor)
    assert executor.asked == [environment]


def test_a_worker_that_joins_later_with_another_version_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Later(Minimal):
        def submit(self, function: Any, /, *arguments: Any, **named: Any) -> Future[Any]:
            if function is not environment:
                other = environment() | {"numpy": "1.0"}
                monkeypatch.setattr(executors, "environment", lambda: other)
            return super().submit(function, *arguments, **named)

    with pytest.raises(ValueError, match="a worker of the executor runs numpy"):
        answer("process", executor=Later())


def lambda_in(where: str) -> dict[str, Any]:
    return {
        "workers": {"workers": 2},
        "executor": {"executor": Minimal()},
        "folder": {"folder": "folder"},
    }[where]


@pytest.mark.parametrize("where", ["workers", "executor", "folder"])
def test_a_model_that_cannot_be_pickled_is_refused_before_anything_starts(
    where: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    drawn: list[Any] = []
    model = models.Accepted(models.Normal(0, 1), lambda y: drawn.append(y) or np.ones(len(y)))
    drawn.clear()
    arguments = lambda_in(where)
    with pytest.raises(ValueError, match=r"cannot be written down \(.*\): define its class and"):
        collapse.simulate(workflows.augment(3), model=model, n=5, rng=0, **arguments)
    assert not drawn
    assert not getattr(arguments.get("executor"), "asked", [])


def test_an_executor_that_is_shut_down_or_does_not_know_the_package_is_refused() -> None:
    pool = ProcessPoolExecutor(1)
    pool.shutdown()
    with pytest.raises(ValueError, match=r"the executor cannot be used \(RuntimeError: cannot"):
        answer("process", executor=pool)

    class Foreign(Minimal):
        def submit(self, function: Any, /, *arguments: Any, **named: Any) -> Future[Any]:
            future: Future[Any] = Future()
            future.set_exception(ModuleNotFoundError("No module named 'collapse'"))
            return future

    with pytest.raises(ValueError, match=r"this package must be installed where its workers are"):
        answer("process", executor=Foreign())


def test_an_executor_that_is_lost_in_the_midst_is_said_with_what_is_kept(tmp_path: Any) -> None:
    class Lost(Minimal):
        def submit(self, function: Any, /, *arguments: Any, **named: Any) -> Future[Any]:
            if len(self.asked) > 2:
                raise ConnectionError("gone")
            return super().submit(function, *arguments, **named)

    with pytest.raises(
        ValueError,
        match=r"^the executor was lost \(ConnectionError\); 2 of 4 blocks are finished, and kept in"
        r" .*, and the same call goes on from there\.$",
    ):
        answer("process", executor=Lost(), folder=tmp_path)
    assert len(list(tmp_path.glob("block-*"))) == 2
    with pytest.raises(ValueError, match="2 of 4 blocks are finished, and not kept: name a folder"):
        answer("process", executor=Lost())


def test_a_scheduler_without_workers_is_refused() -> None:
    class Client:
        status = "running"

        def nthreads(self) -> dict[str, int]:
            return {}

    executor = Minimal()
    executor._client = Client()  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="the executor's Dask scheduler has no workers"):
        answer("process", executor=executor)


def test_wrong_executors_are_refused() -> None:
    with pytest.raises(ValueError, match=r"executor must be a concurrent.futures.Executor"):
        answer("process", executor=3)
    with pytest.raises(ValueError, match="give an executor or a number of workers, not both"):
        answer("process", executor=Minimal(), workers=2)


def arrays(size: int) -> dict[str, Any]:
    return {"x": np.full(size, size, np.float64)}


def test_blocks_that_wait_for_their_turn_do_not_stop_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than may wait is finished when a pool is lost, and the turn's block is not."""
    monkeypatch.setattr(running, "WAITING", 10)
    blocks = [Block(arrays, (size,)) for size in (1, 2, 3, 4, 5)]
    work = running._Work(blocks, None, 2)
    work.finished = {2: arrays(3), 3: arrays(4)}
    with ThreadPoolExecutor(1) as threads:
        found = [block for _, block in work.on(threads)]
    assert [len(block["x"]) for block in found if isinstance(block, dict)] == [1, 2, 3, 4, 5]


def test_linear_algebra_is_held_to_one_thread_in_all_threads() -> None:
    control = pytest.importorskip("threadpoolctl")

    def threads() -> set[int]:
        return {part["num_threads"] for part in control.threadpool_info()}

    inside, left = threading.Barrier(2), threading.Event()
    seen: list[set[int]] = []

    def first() -> dict[str, Any]:
        with executors.one_thread():
            inside.wait()
        left.set()
        return {}

    def second() -> dict[str, Any]:
        with executors.one_thread():
            inside.wait()
            left.wait()
            seen.append(threads())
        return {}

    with control.threadpool_limits(2, "blas"), ThreadPoolExecutor(2) as pool:
        if threads() != {2}:
            pytest.skip("this linear algebra has one thread")
        assert len(list(running.run([Block(first, ()), Block(second, ())], executor=pool))) == 2
        assert seen == [{1}]
        assert threads() == {2}


def test_after_a_failure_the_rest_of_its_group_is_not_begun() -> None:
    begun = []

    def block(group: str, fails: bool) -> dict[str, Any]:
        begun.append(group)
        if fails:
            raise ArithmeticError(group)
        return {"it": np.ones(1)}

    asked = [
        ("first", False),
        ("first", True),
        ("other", False),
        ("first", False),
        ("other", False),
    ]
    found = list(run([Block(block, one, group=one[0]) for one in asked]))
    assert begun == ["first", "first", "other", "other"]
    assert [isinstance(each, Failed) for each in found] == [False, True, False, True, False]


def test_blocks_are_given_as_they_are_finished_or_in_order() -> None:
    others = threading.Event()

    def block(size: int) -> dict[str, Any]:
        assert size > 1 or others.wait(60)
        return arrays(size)

    blocks = [Block(block, (size,), group=size) for size in (1, 2, 3)]
    given = []
    with ThreadPoolExecutor(2) as threads:
        for b, result in as_finished(blocks, executor=threads):
            assert isinstance(result, dict)
            given.append((b, len(result["x"])))
            if len(given) == 2:
                others.set()
        assert sorted(given[:2]) == [(1, 2), (2, 3)]
        assert given[2:] == [(0, 1)]
        in_order = list(run(blocks, executor=threads))
    assert [len(each["x"]) for each in in_order if isinstance(each, dict)] == [1, 2, 3]


def test_what_is_asked_for_afresh_or_has_no_key_any_more(tmp_path: Any) -> None:
    store, made = Store(tmp_path), []

    def block() -> dict[str, Any]:
        made.append(None)
        return arrays(3)

    key = "a" * 40
    lost = Block(block, (), key=key, still=lambda: False)
    plain = Block(block, (), key=key)
    afresh = Block(block, (), key=key, fresh=True)
    for each, count, kept in [(lost, 1, 0), (plain, 2, 1), (plain, 2, 1), (afresh, 3, 1)]:
        assert len(list(run([each], store=store))) == 1
        assert (len(made), len(store.entries())) == (count, kept)
