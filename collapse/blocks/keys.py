"""Keys of finished work: a digest of all that determines it."""

from __future__ import annotations

import inspect
import io
import json
import pickle
import pickletools
import platform
import sys
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import scipy

from collapse import disk
from collapse.checks import brief


@cache
def environment() -> tuple[tuple[str, str], ...]:
    """What the numbers depend on beside the arguments: versions, and a digest of this package."""
    return (
        ("Python", platform.python_version()),
        ("numpy", np.__version__),
        ("scipy", scipy.__version__),
        ("collapse", disk.package()[:16]),
    )


def key(*parts: object) -> str:
    """Return the key of what these parts, which JSON can hold, determine in this environment."""
    text = json.dumps([environment(), *parts], sort_keys=True)
    return disk.digest(text.encode())[:40]


class _Fields(pickle.Pickler):
    """Writes a dataclass by its fields, without what it has cached."""

    def reducer_override(self, value: Any) -> Any:
        if is_dataclass(value) and not isinstance(value, type):
            return type(value), tuple(getattr(value, part.name) for part in fields(value))
        return NotImplemented


def pickled(value: Any, what: str) -> bytes:
    """Return an object's pickle, without what it has cached.

    Raises
    ------
    ValueError
        Where it has none; `what` says what asks for it.
    """
    stream = io.BytesIO()
    try:
        _Fields(stream, protocol=2).dump(value)  # in protocol 2 names stand in the stream as text
        pickle.loads(stream.getvalue())
    except Exception as error:  # whatever the object's own state raises
        raise ValueError(
            f"{what}, and {brief(value)} cannot be written down ({type(error).__name__}): define"
            " its class and functions at the top level of a module or script (no lambda)."
        ) from error
    return stream.getvalue()


def material(value: Any, what: str) -> bytes:
    """Return what determines an object: its pickle, and the source of all code that it names
    outside the libraries.

    Raises
    ------
    ValueError
        Where it cannot be pickled, or its code has no source; `what` says what asks for it.
    """
    data = pickled(value, what)
    named = {
        str(argument).partition(" ")[::2]
        for code, argument, _ in pickletools.genops(data)
        if code.name == "GLOBAL"
    }
    try:
        return data + b"".join(_source(module, name) for module, name in sorted(named))
    except (OSError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{what}, and the code of {brief(value)} is not found; define it in a module or script."
        ) from error


def _source(module: str, name: str) -> bytes:
    """A module's code by its version or its text; what was typed in by its own text."""
    root = module.partition(".")[0]
    if root in sys.stdlib_module_names or root in ("collapse", "numpy", "scipy"):
        return b""  # of the environment
    version = getattr(sys.modules.get(root), "__version__", None)
    if isinstance(version, str):
        return f"{root} {version}\n".encode()
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is not None:
        return Path(file).read_bytes()
    code: Any = sys.modules[module]
    for part in name.split("."):
        code = getattr(code, part)
    return inspect.getsource(code).encode()
