"""A list of blocks, computed wherever there is room and given back in order."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Generator, Hashable, Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    wait,
)
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any

from collapse.blocks.executors import (
    Here,
    agreed,
    check_connected,
    check_versions,
    given,
    lent,
    one_thread,
)
from collapse.blocks.keys import environment
from collapse.blocks.store import Arrays, Store
from collapse.checks import (
    counted,
    plural,
)

POOLS = 3
"""How many pools of processes are tried where workers are killed."""
ASK = 5.0
"""Seconds without a finished block after which a scheduler is asked whether it is there."""
WAITING = 2**27
"""Bytes of finished blocks that wait for their turn before no more are begun."""


@dataclass(frozen=True, eq=False)
class Block:
    """A part of a computation, which anyone can do.

    Attributes
    ----------
    function, arguments
        Called as function(*arguments); returns named arrays.
    group : hashable
        Of the blocks that are of no use where one of them fails.
    key : str or None
        What a store knows it by.
    still : callable
        Asked, here, whether that is still its key, before it is kept under it.
    fresh : bool
        Whether it is computed also where the store has it.
    """

    function: Callable[..., Arrays]
    arguments: tuple[Any, ...]
    group: Hashable = 0
    key: str | None = None
    still: Callable[[], bool] = lambda: True
    fresh: bool = False


@dataclass(frozen=True)
class Failed:
    """What a block raised."""

    error: Exception


class _Lost(Exception):
    """An executor has not done a block; its cause tells why."""


def run(
    blocks: Sequence[Block],
    *,
    executor: Executor | None = None,
    workers: int = 1,
    store: Store | None = None,
) -> Generator[Arrays | Failed, None, None]:
    """Give what `as_finished` gives of each block, in order."""
    with closing(as_finished(blocks, True, executor, workers, store)) as results:
        for _, result in results:
            yield result


def as_finished(
    blocks: Sequence[Block],
    in_order: bool = False,
    executor: Executor | None = None,
    workers: int = 1,
    store: Store | None = None,
) -> Generator[tuple[int, Arrays | Failed], None, None]:
    """Give the number and the arrays of each block, or what it raised, as it is finished.

    Blocks are looked up in the store, computed where they are not there, and kept as soon as they
    are finished, whatever their turn. After a failure the rest of its group is not begun.

    Raises
    ------
    ValueError
        Where the executor is lost, workers were killed in each of `POOLS` pools, or a worker has
        other versions.
    """
    work = _Work(blocks, store, given(executor, workers), in_order)
    if executor is not None:
        check_versions(executor)
        try:
            # also meanwhile: a thread that left its block would loosen it for the others
            with one_thread():
                yield from work.on(executor, foreign=True)
        except _Lost as lost:
            why = type(lost.__cause__).__name__
            raise work.lost(f"the executor was lost ({why})") from lost.__cause__
        return
    for _ in range(POOLS):
        with lent(min(work.together, work.left)) as pool:
            try:
                yield from work.on(pool)
            except _Lost as lost:
                if not isinstance(lost.__cause__, BrokenExecutor):
                    raise work.lost(f"a process was lost ({lost.__cause__!r})") from lost.__cause__
            else:
                return
    raise work.lost(
        f"processes of this simulation were ended from outside {POOLS} times, as where memory is"
        " short, or where a script starts them without `if __name__ == '__main__':`; give fewer"
        " workers"
    )


class _Work:
    """Which blocks are finished, and whose turn it is."""

    def __init__(
        self, blocks: Sequence[Block], store: Store | None, together: int, in_order: bool = True
    ) -> None:
        self.blocks, self.store, self.together, self.in_order = blocks, store, together, in_order
        self.finished, self.groups = dict[int, Arrays | Failed](), dict[Any, Failed]()
        self.given = set[int]()

    @property
    def left(self) -> int:
        return len(self.blocks) - len(self.given) - len(self.finished)

    @property
    def turn(self) -> int:
        """The block that is given next."""
        return len(self.given) if self.in_order else next(iter(self.finished), -1)

    def on(
        self, executor: Executor, foreign: bool = False
    ) -> Iterator[tuple[int, Arrays | Failed]]:
        """Give what is not yet given, with the help of an executor."""
        begun: dict[Future[Any], int] = {}
        past = self.given | self.finished.keys()
        ahead = (b for b in range(len(self.blocks)) if b not in past)
        here = isinstance(executor, Here)
        depth = 1 if here else 2 * self.together
        try:
            while len(self.given) < len(self.blocks):
                while len(begun) < depth and self.turn not in self.finished and self.room(begun):
                    b = next(ahead, None)
                    if b is None:
                        break
                    block = self.blocks[b]
                    known = self.groups.get(block.group) or self.kept(block)
                    if known is not None:
                        self.finished[b] = known
                    else:
                        begun[_submitted(executor, block, None if here else environment())] = b
                if self.turn not in self.finished:
                    done, _ = wait(begun, ASK, FIRST_COMPLETED)
                    if not done:
                        try:
                            check_connected(executor)
                        except ConnectionError as error:
                            raise _Lost from error
                    self.collect(begun)
                    continue
                turn = self.turn
                self.given.add(turn)
                yield turn, self.finished.pop(turn)
        finally:
            with suppress(_Lost):  # what is finished is kept, also where the rest is lost
                self.collect(begun)
            if foreign:  # a pool of ours ends, whatever it is doing
                for future in begun:
                    future.cancel()

    def room(self, begun: dict[Future[Any], int]) -> bool:
        """Whether one more block may be begun beside those that wait for their turn."""
        held = (block for block in self.finished.values() if not isinstance(block, Failed))
        return not begun or sum(part.nbytes for block in held for part in block.values()) < WAITING

    def kept(self, block: Block) -> Arrays | None:
        wanted = None if block.fresh else block.key
        return self.store.block(wanted) if self.store and wanted else None

    def collect(self, begun: dict[Future[Any], int]) -> None:
        """Take over and keep what is finished; then raise where an executor has not done one."""
        lost = None
        for future in [future for future in begun if future.done()]:
            b = begun[future]
            try:
                result, block = future.result(), self.blocks[b]
            except ValueError:  # of another environment
                raise
            except (Exception, CancelledError) as error:  # noqa: BLE001 - raised below
                lost = error
            else:
                if isinstance(result, Failed):
                    self.groups.setdefault(block.group, result)
                elif self.store and block.key and block.still():
                    self.store.keep_block(block.key, result)
                self.finished[b] = result
            del begun[future]  # last: an interruption leaves it to be kept
        if lost is not None:
            raise _Lost from lost

    def lost(self, what: str) -> ValueError:
        done = f"{len(self.blocks) - self.left:,} of {counted(len(self.blocks), 'block')}"
        done += f" {plural(len(self.blocks), 'is', 'are')} finished"
        kept = "not kept: name a folder" if self.store is None else f"kept in {self.store.folder}"
        return ValueError(f"{what}; {done}, and {kept}, and the same call goes on from there.")


def _submitted(
    executor: Executor, block: Block, expected: dict[str, str] | None
) -> Future[Arrays | Failed]:
    try:
        return executor.submit(_tried, block.function, block.arguments, expected)
    except Exception as error:  # each executor has its own way of being lost
        raise _Lost from error


def _tried(
    function: Callable[..., Arrays],
    arguments: tuple[Any, ...],
    expected: dict[str, str] | None,
) -> Arrays | Failed:
    if expected is not None:
        agreed(expected)
    try:
        return function(*arguments)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a model's own code may raise anything
        told = ValueError(f"{type(error).__name__}: {error}")
        try:
            sent = pickle.loads(pickle.dumps(error))
        except Exception:  # noqa: BLE001 - nor need it be fit to be sent
            return Failed(told)
        return Failed(sent if isinstance(sent, Exception) else told)
