"""Processes of this machine, for blocks."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import connection
from typing import Any


class Pool(ProcessPoolExecutor):
    """Processes of this machine, which end with this one: when the work is done, when it is
    interrupted, and when this process is killed.
    """

    def __init__(self, workers: int) -> None:
        context = multiprocessing.get_context()
        super().__init__(workers, mp_context=context, initializer=_begin)

    def submit(self, function: Any, /, *arguments: Any, **named: Any) -> Future[Any]:
        with _uninterrupted():  # it may start processes, which inherit that
            return super().submit(function, *arguments, **named)

    def close(self) -> None:
        """End the processes, whatever they are doing."""
        for process in list(self._processes.values()):
            process.kill()
        self.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Let Ctrl-C wait, where the system can."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin() -> None:
    """Leave Ctrl-C to the parent, and end when it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
