"""A finished chapter as a block of the store: its notebook, its figures' files, its record."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from collapse import checks
from collapse.blocks import Arrays

NOTEBOOK = "notebook.ipynb"
RECORD = "record.json"
INSIDE = re.compile(r"figures(/(?!\.{0,2}(/|$))[^/]+)+", re.DOTALL)
"""Names of files that a chapter may write: no other is ever written, moved or removed."""


def pack(folder: Path, record: dict[str, Any]) -> Arrays:
    """Return a chapter's notebook and figures, with its record, as arrays of bytes."""
    drawn = sorted(path for path in (folder / "figures").rglob("*") if path.is_file())
    names = [NOTEBOOK, *(path.relative_to(folder).as_posix() for path in drawn)]
    files = {name: (folder / name).read_bytes() for name in names}
    files[RECORD] = json.dumps(record).encode()
    numbered = {str(k): np.frombuffer(data, np.uint8) for k, data in enumerate(files.values())}
    return {"names": np.array(list(files)), **numbered}


def contents(arrays: Arrays) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return the record and the files of a finished chapter; raise a ValueError where the arrays
    are none.
    """
    names = [str(name) for name in arrays.get("names", [])]
    files = {name: arrays[str(k)].tobytes() for k, name in enumerate(names) if str(k) in arrays}
    record: dict[str, Any] = json.loads(files.pop(RECORD, b"{}"))
    own = NOTEBOOK in files and all(map(INSIDE.fullmatch, files.keys() - {NOTEBOOK}))
    checks.require(
        bool(record) and own,
        "what is kept in place of a finished chapter is none; remove it with collapse cache.",
    )
    return record, files
