"""Finished chapters, kept: one archive for each key, several versions of a chapter beside each
other.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import struct
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

from collapse import disk

LIMIT = 2 * 10**9
"""Bytes that are kept at most; beyond, what was not used for longest is removed."""
NOTEBOOK = "notebook.ipynb"
RECORD = "record.json"
INSIDE = re.compile(r"figures(/(?!\.{0,2}(/|$))[^/]+)+", re.DOTALL)
"""Names of files that a chapter may write: no other is ever written, moved or removed."""
UNREADABLE = (
    *(OSError, ValueError, LookupError, TypeError, EOFError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error, struct.error),
)
"""What reading a damaged archive ends in."""


class Kept:
    """A folder of finished chapters, safe for several runs at once.

    An archive is written beside its place and then renamed, so that it is there whole or not at
    all.

    Parameters
    ----------
    folder : path
        Made if need be.
    limit : int
        Bytes. The newest archive is kept even where it alone is larger.
    """

    def __init__(self, folder: Path, limit: int = LIMIT) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.limit = folder, limit

    def read(self, key: str) -> tuple[dict[str, Any], dict[str, bytes]] | None:
        """Return the record and the files of a finished chapter; None where there is none, or it
        was damaged.
        """
        path = self._path(key)
        try:
            found = contents(path)
        except UNREADABLE:
            return None
        with suppress(OSError):  # as in a store that is read alone
            os.utime(path)
        return found

    def keep(self, key: str, archive: Path) -> None:
        """Keep a copy of an archive under its key, and make room for it."""
        with (self.folder / ".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            new = self.folder / ".new"  # perhaps that of a run which was ended while it wrote
            try:
                shutil.copyfile(archive, new)
                new.replace(self._path(key))
            finally:
                new.unlink(missing_ok=True)
            listed = []
            for path in self.folder.glob("*.zip"):
                with suppress(FileNotFoundError):
                    listed.append((path.stat().st_mtime, path.stat().st_size, path))
            *older, _ = sorted(listed)
            size = sum(entry[1] for entry in listed)
            for _, freed, path in older:
                if size <= self.limit:
                    break
                path.unlink(missing_ok=True)
                size -= freed

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.zip"


def pack(archive: Path, folder: Path, record: dict[str, Any]) -> None:
    """Write a chapter's notebook and figures, with its record, into an archive."""
    drawn = sorted(path for path in (folder / "figures").rglob("*") if path.is_file())
    names = {NOTEBOOK: folder / NOTEBOOK}
    names |= {path.relative_to(folder).as_posix(): path for path in drawn}
    digests = {}
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
        for name, path in names.items():
            data = path.read_bytes()
            digests[name] = disk.digest(data)
            packed.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
        packed.writestr(zipfile.ZipInfo(RECORD), json.dumps(record | {"files": digests}))


def contents(archive: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return the record and the files of an archive; an error of UNREADABLE where one differs from
    what its record says.
    """
    with zipfile.ZipFile(archive) as packed:
        record: dict[str, Any] = json.loads(packed.read(RECORD))
        files = {name: packed.read(name) for name in record["files"]}
    sound = NOTEBOOK in files and all(map(INSIDE.fullmatch, files.keys() - {NOTEBOOK}))
    if not sound or {name: disk.digest(data) for name, data in files.items()} != record["files"]:
        raise ValueError(f"{archive} is no archive of a finished chapter.")
    return record, files
