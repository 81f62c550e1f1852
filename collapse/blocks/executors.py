"""Where blocks run: here, in processes of this machine, or on an executor of the caller's."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, Future
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import Any

from collapse import checks
from collapse.blocks.keys import environment


class Here(Executor):
    """Runs what is submitted at once, in this process."""

    def submit(self, function: Any, /, *arguments: Any, **named: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(function(*arguments, **named))
        return future


def given(executor: Any, workers: Any, meaning: str = "processes") -> int:
    """Check what an argument `executor` and an argument `workers` ask for; return how many blocks
    run at once.

    Raises
    ------
    ValueError
        Where the executor is none, or both are given.
    """
    asked: int = checks.whole(workers, "workers", meaning)
    if executor is None:
        return min(asked, os.cpu_count() or 1)
    checks.require(
        isinstance(executor, Executor),
        lambda _: (
            "executor must be a concurrent.futures.Executor, such as"
            f" distributed.Client(...).get_executor(); it is {checks.brief(executor)}."
        ),
    )
    checks.require(asked == 1, "give an executor or a number of workers, not both.")
    client = getattr(executor, "_client", None)  # a Dask scheduler's executor does not tell
    if client is None:
        return int(getattr(executor, "_max_workers", None) or os.cpu_count() or 1)
    with _usable():
        check_connected(executor)
        threads = int(sum(client.nthreads().values()))
    checks.require(threads > 0, "the executor's Dask scheduler has no workers; start some first.")
    return threads


def check_versions(executor: Executor) -> None:
    """Raise a ValueError where a worker has other versions or another code of this package.

    All workers of a Dask scheduler are asked, one of any other executor; each asks itself again
    before a block.
    """
    from concurrent.futures import ThreadPoolExecutor

    client = getattr(executor, "_client", None)
    if isinstance(executor, ThreadPoolExecutor):
        return
    with _usable():
        answers = (
            [executor.submit(environment).result()]
            if client is None
            else list(client.run(environment).values())
        )
    for answer in answers:
        agreed(answer)


def check_connected(executor: Executor) -> None:
    """Raise a ConnectionError where an executor's Dask scheduler is gone, of whose blocks nothing
    more would be heard.
    """
    client = getattr(executor, "_client", None)
    if client is not None and client.status != "running":
        raise ConnectionError(f"its connection is {client.status}")


@contextmanager
def _usable() -> Iterator[None]:
    """Raise a ValueError where an executor cannot be used, whatever it raises."""
    try:
        yield
    except Exception as error:
        raise ValueError(
            f"the executor cannot be used ({type(error).__name__}: {error}); it must be running,"
            " and this package must be installed where its workers are."
        ) from error


def agreed(theirs: Mapping[str, str]) -> None:
    """Raise a ValueError where an environment is not this one."""
    for name, mine in environment().items():
        checks.require(
            mine == theirs.get(name),
            f"a worker of the executor runs {name} {theirs.get(name)}, and {mine} is run here;"
            " numbers would depend on where a block ran: install the same versions.",
        )


@contextmanager
def lent(workers: int) -> Iterator[Executor]:
    """Yield an executor of this machine, closed at the end."""
    if workers <= 1:
        yield Here()
    else:
        from collapse.blocks.pool import Pool  # slow to import

        pool = Pool(workers)
        try:
            yield pool
        finally:
            pool.close()


@cache
def _threads() -> Any:
    """The controller of BLAS threads; None where threadpoolctl is not installed."""
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:
        return None
    return ThreadpoolController()


def one_thread() -> AbstractContextManager[object]:
    """Hold BLAS to one thread: its products are small, its threads would crowd the workers, and
    sums would depend on their number.
    """
    controller = _threads()
    return nullcontext() if controller is None else controller.limit(limits=1, user_api="blas")
