"""A folder of finished work: blocks of numbers, and answers, each under its key."""

from __future__ import annotations

import json
import os
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from collapse import checks, disk

Arrays = dict[str, NDArray[Any]]
T = TypeVar("T")

LIMIT = 2 * 10**9
"""Bytes that a store holds at most, unless another limit is asked for."""
ROOM = 0.8
"""Share of the limit that is left when the oldest have been removed."""
STALE = 3600.0
"""Seconds after which a file that was never finished is taken for an interrupted one's."""
SUFFIX = {"block": ".npz", "answer": ".json"}
KEY = "[0-9a-f]" * 40
KEPT = ".kept"
"""Folder of the finished work of a run of chapters, in the run's, unless another is named."""


def default_folder() -> Path:
    """The folder that commands keep finished work in: COLLAPSE_CACHE, or the user's cache."""
    given = os.environ.get("COLLAPSE_CACHE")
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(given) if given else Path(cache) / "collapse"


def opened(folder: str | Path | Store | None) -> Store | None:
    """Return the store of a folder; None for None."""
    return folder if folder is None or isinstance(folder, Store) else Store(folder)


def _check_own(found: object, wanted: object) -> None:
    checks.require(found == wanted, "it holds another's")


class Store:
    """Finished work in a folder, safe for several processes at once.

    Each entry is one file, written beside its place and then renamed, so that it is there whole or
    not at all; that and removing are done under a lock. What cannot be read, or is another's, is
    ignored, and said in a warning; where nothing more can be written, that is said once,
    and work goes on without being kept.

    Parameters
    ----------
    folder : path
        Made if need be.
    limit : int
        Bytes; beyond it what was not used for longest is removed.

    Raises
    ------
    ValueError
        Where the folder cannot be made or written in.
    """

    def __init__(self, folder: str | Path, limit: int = LIMIT) -> None:
        self.limit = checks.whole(limit, "limit", "bytes that a store holds")
        self.folder = disk.folder(folder)
        self.full = False
        try:
            with self._locked():
                self.size = sum(size for _, size, _ in self.entries())
                self._tidy(STALE)
        except OSError as error:
            raise ValueError(
                f"folder {self.folder} cannot be written in ({error.strerror}); name another."
            ) from error

    # --- entries ----------------------------------------------------------------------------------

    def block(self, key: str) -> Arrays | None:
        """Return a finished block; None where there is none."""

        def read(path: Path) -> Arrays:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                found = {name: archive[name] for name in archive.files}
            _check_own(found.pop("key").tolist(), [key, *found])  # all of it
            return found

        return self._read(self._path(key, "block"), read)

    def keep_block(self, key: str, arrays: Arrays) -> None:
        """Keep a finished block."""
        with self._new(self._path(key, "block")) as new, new.open("wb") as file:
            contents: dict[str, Any] = {"key": np.array([key, *arrays]), **arrays}
            np.savez(file, **contents)

    def answer(self, key: str, read: Callable[[Any], T]) -> T | None:
        """Return an answer, as `read` makes it of its document; None where there is none."""

        def answer(path: Path) -> T:
            document = json.loads(path.read_bytes())
            _check_own(document["key"], key)
            return read(document["answer"])

        return self._read(self._path(key, "answer"), answer)

    def keep_answer(self, key: str, document: dict[str, Any], blocks: Iterable[str] = ()) -> None:
        """Keep an answer as `to_json` gives it, in place of the blocks that it stands for."""
        path = self._path(key, "answer")
        with self._new(path) as new:
            new.write_text(json.dumps({"key": key, "answer": document}), encoding="utf-8")
        if path.exists():  # else the blocks are all that there is
            with self._locked():
                for block in blocks:
                    self._remove(self._path(block, "block"))

    # --- all of it --------------------------------------------------------------------------------

    def entries(self) -> list[tuple[Path, int, float]]:
        """Path, bytes and time of last use (seconds since 1970) of each entry, oldest first."""
        listed = []
        for file in self._files():
            with suppress(FileNotFoundError):  # another process has removed it
                found = file.stat()
                listed.append((file, found.st_size, found.st_mtime))
        return sorted(listed, key=lambda entry: entry[2])

    def clear(self, room: float = 0) -> int:
        """Remove what was not used for longest until no more than `room` bytes are left; return the
        number of entries removed.
        """
        with self._locked():
            self._tidy(STALE if room else 0)
            listed, count = self.entries(), 0
            self.size = sum(size for _, size, _ in listed)
            for file, _, _ in listed:
                if self.size <= room:
                    break
                self._remove(file)
                count += 1
        return count

    # --- files ------------------------------------------------------------------------------------

    def _path(self, key: str, kind: str) -> Path:
        return self.folder / f"{kind}-{key}{SUFFIX[kind]}"

    def _files(self) -> Iterator[Path]:
        for kind, suffix in SUFFIX.items():
            yield from self.folder.glob(f"{kind}-{KEY}{suffix}")

    def _tidy(self, age: float) -> None:
        """Remove what was begun so many seconds ago and never finished."""
        for file in self.folder.glob(f".*-{KEY}.*.new"):
            with suppress(FileNotFoundError):
                if time.time() - file.stat().st_mtime >= age:
                    file.unlink()

    def _read(self, path: Path, read: Callable[[Path], T]) -> T | None:
        try:
            found = read(path)
        except FileNotFoundError:
            return None
        except Exception as error:  # noqa: BLE001 - a damaged file may end in anything
            why = " ".join(str(error).split()) or type(error).__name__
            warnings.warn(
                f"{path} is no finished work of this key ({why[:100]}); it is ignored.",
                stacklevel=4,
            )
            return None
        with suppress(OSError):
            os.utime(path)
        return found

    def _remove(self, path: Path) -> None:
        with suppress(FileNotFoundError):
            size = path.stat().st_size
            path.unlink()
            self.size -= size

    @contextmanager
    def _new(self, path: Path) -> Iterator[Path]:
        """A file that takes the name of `path` once it is whole."""
        new = self.folder / f".{path.stem}.{os.urandom(8).hex()}.new"
        try:
            yield new
            with self._locked():
                self.size += new.stat().st_size
                new.replace(path)
            if self.size > self.limit:
                self.clear(ROOM * self.limit)
        except OSError as error:
            if not self.full:
                self.full = True
                warnings.warn(
                    f"finished work cannot be kept in {self.folder} ({error.strerror}); the work"
                    " goes on, and is not kept.",
                    stacklevel=4,
                )
        finally:
            with suppress(OSError):
                new.unlink(missing_ok=True)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self.folder / ".lock").open("a") as file:
            try:
                import fcntl
            except ImportError:  # Windows: a file in use cannot be removed there
                yield
                return
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
