"""Tasks divided among processes, their answers in order."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from functools import cache
from typing import Any, TypeVar

from collapse.checks import brief

Result = TypeVar("Result")

POOLS = 3
"""How many pools of processes are tried where workers are killed."""


def check_sendable(model: Any, workers: int) -> None:
    """Raise a ValueError where a model cannot be sent to other processes."""
    try:
        pickle.dumps(model)
    except Exception as error:  # whatever the model's own state raises
        raise ValueError(
            f"workers = {workers} sends the model to other processes, and {brief(model)} cannot be"
            f" sent ({type(error).__name__}): define its class and functions at the top level of a"
            " module (no lambda), or take workers=1."
        ) from error


def in_order(
    function: Callable[..., Result],
    tasks: Sequence[tuple[Any, ...]],
    workers: int,
    stack: ExitStack,
) -> Iterator[Result]:
    """Call `function(*task)` for each task, in processes of a pool that `stack` closes; give the
    answers in order.

    Raises
    ------
    ValueError
        Where workers were killed in each of `POOLS` pools. After one is killed, what is finished is
        kept, and the rest is computed again.
    """
    if workers == 1 or len(tasks) == 1:
        yield from (function(*task) for task in tasks)
        return
    from concurrent.futures import Future, ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    given, found = 0, dict[int, Result]()
    for _ in range(POOLS):
        lost = [i for i in range(given, len(tasks)) if i not in found]
        pool = stack.enter_context(ProcessPoolExecutor(min(workers, len(lost))))
        stack.callback(pool.shutdown, wait=False, cancel_futures=True)
        futures: dict[int, Future[Result]] = {}
        with suppress(BrokenProcessPool):
            for i in lost:
                futures[i] = pool.submit(function, *tasks[i])
            while given < len(tasks):
                yield found.pop(given) if given in found else futures[given].result()
                given += 1
            return
        for i, future in futures.items():
            if i >= given and future.done() and future.exception() is None:
                found[i] = future.result()
    raise ValueError(
        f"processes of this simulation were ended from outside {POOLS} times, as where memory is"
        " short; give fewer workers."
    )


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
