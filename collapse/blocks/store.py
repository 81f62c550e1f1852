"""A folder of finished work: blocks of numbers, and answers, each under its key."""

from __future__ import annotations

import json
import os
import time
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collapse import checks, disk

Arrays = dict[str, NDArray[Any]]

LIMIT = 2 * 10**9
"""Bytes that a store holds at most, unless another limit is asked for."""
ROOM = 0.8
"""Share of the limit that is left when the oldest have been removed."""
STALE = 3600.0
"""Seconds after which a file that was never finished is taken for an interrupted one's."""
SUFFIX = {"block": ".npz", "answer": ".json"}
UNREADABLE = (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error)
"""What a damaged archive ends in."""


def default_folder() -> Path:
    """The folder that commands keep finished work in: COLLAPSE_CACHE, or the user's cache."""
    given = os.environ.get("COLLAPSE_CACHE")
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(given) if given else Path(cache) / "collapse"


def opened(folder: str | Path | Store | None) -> Store | None:
    """Return the store of a folder; None for None."""
    return folder if folder is None or isinstance(folder, Store) else Store(folder)


class Store:
    """Finished work in a folder, safe for several processes at once.

    Each entry is one file, written beside its place and then renamed, so that it is there whole or
    not at all; that and removing are done under a lock. What cannot be read, or is another's, is
    left where it is and said in a warning; where nothing more can be written, that is said once,
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
                self.size = sum(file.stat().st_size for file in self._files())
        except OSError as error:
            raise ValueError(
                f"folder {self.folder} cannot be written in ({error.strerror}); name another."
            ) from error

    # --- entries ----------------------------------------------------------------------------------

    def block(self, key: str) -> Arrays | None:
        """Return a finished block; None where there is none."""
        path = self._path(key, "block")
        try:
            with np.load(path, allow_pickle=False) as archive:
                found = {name: archive[name] for name in archive.files}
            if found.pop("key").item() != key:
                raise ValueError("it holds another's numbers")
        except FileNotFoundError:
            return None
        except UNREADABLE as error:
            self._ignored(path, error)
            return None
        self._used(path)
        return found

    def keep_block(self, key: str, arrays: Arrays) -> None:
        """Keep a finished block."""
        path = self._path(key, "block")
        with self._new(path) as new, new.open("wb") as file:
            contents: dict[str, Any] = {"key": np.array(key), **arrays}
            np.savez(file, **contents)

    def answer(self, key: str) -> dict[str, Any] | None:
        """Return the document of an answer; None where there is none."""
        path = self._path(key, "answer")
        try:
            document = json.loads(path.read_bytes())
            if document["key"] != key:
                raise ValueError("it holds another's answer")
            found: dict[str, Any] = document["answer"]
        except FileNotFoundError:
            return None
        except (*UNREADABLE, TypeError, RecursionError) as error:
            self._ignored(path, error)
            return None
        self._used(path)
        return found

    def keep_answer(self, key: str, document: dict[str, Any]) -> None:
        """Keep an answer as `to_json` gives it."""
        path = self._path(key, "answer")
        with self._new(path) as new:
            new.write_text(json.dumps({"key": key, "answer": document}), encoding="utf-8")

    def drop_blocks(self, keys: Iterator[str]) -> None:
        """Remove blocks that an answer stands for."""
        for key in keys:
            self._remove(self._path(key, "block"))

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
            for file in self.folder.glob(".*.new"):
                with suppress(FileNotFoundError):
                    if not room or time.time() - file.stat().st_mtime > STALE:
                        file.unlink()
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
            yield from self.folder.glob(f"{kind}-*{suffix}")

    def _used(self, path: Path) -> None:
        with suppress(OSError):
            os.utime(path)

    def _remove(self, path: Path) -> None:
        with suppress(FileNotFoundError):
            size = path.stat().st_size
            path.unlink()
            self.size -= size

    def _ignored(self, path: Path, error: Exception) -> None:
        why = " ".join(str(error).split()) or type(error).__name__
        warnings.warn(
            f"{path} is no finished work of this key ({why[:100]}); it is ignored.", stacklevel=4
        )

    @contextmanager
    def _new(self, path: Path) -> Iterator[Path]:
        """A file that takes the name of `path` once it is whole."""
        new = self.folder / f".{os.urandom(8).hex()}.new"
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
