"""Keys of finished work: a digest of all that determines it."""

from __future__ import annotations

import io
import json
import pickle
import platform
import sys
from functools import cache, cached_property
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
import scipy

from collapse import disk
from collapse.checks import brief


@cache
def environment() -> dict[str, str]:
    """What the numbers depend on beside the arguments: versions, and a digest of this package."""
    return {
        "Python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "collapse": disk.package()[:16],
    }


def key(*parts: object) -> str:
    """Return the key of what these parts, which JSON can hold, determine in this environment."""
    text = json.dumps([environment(), *parts], sort_keys=True)
    return disk.digest(text.encode())[:40]


def pickled(value: Any, what: str) -> bytes:
    """Return an object's pickle.

    Raises
    ------
    ValueError
        Where it has none; `what` says what asks for it.
    """
    try:
        data = pickle.dumps(value)
        pickle.loads(data)
    except Exception as error:  # whatever the object's own state raises
        raise _unwritten(value, what, error) from error
    return data


def _unwritten(value: Any, what: str, error: Exception) -> ValueError:
    return ValueError(
        f"{what}, and {brief(value)} cannot be written down ({type(error).__name__}): define"
        " its class and functions at the top level of a module or script (no lambda)."
    )


class _Told(pickle.Pickler):
    """Writes equal objects alike: without what they have cached, sets in one order."""

    def reducer_override(self, value: Any) -> Any:
        cached = {
            name
            for kind in type(value).__mro__
            for name, member in vars(kind).items()
            if isinstance(member, cached_property)
        }
        if isinstance(value, type) or not cached:
            return NotImplemented
        reduced = value.__reduce_ex__(2)
        if isinstance(reduced, str) or len(reduced) < 3 or not isinstance(reduced[2], dict):
            return NotImplemented
        state = {name: part for name, part in reduced[2].items() if name not in cached}
        return (*reduced[:2], state, *reduced[3:])

    def persistent_id(self, value: Any) -> Any:
        if type(value) not in (set, frozenset):
            return None
        return type(value).__name__, sorted(value, key=_told)


def _told(value: Any) -> bytes:
    for fast in (True, False):  # fast: without references, which equal objects may have or not
        stream = io.BytesIO()
        # in protocol 2 names stand in the stream as text
        pickler = _Told(stream, protocol=2, fix_imports=False)
        pickler.fast = fast
        try:
            pickler.dump(value)
        except (ValueError, RecursionError):  # an object that holds itself needs them
            if not fast:
                raise
        else:
            break
    return stream.getvalue()


def material(value: Any, what: str) -> bytes:
    """Return what determines an object: its pickle, without what it has cached, and the source of
    all code outside the libraries that it names, with what that imports.

    Raises
    ------
    ValueError
        Where it cannot be pickled, or its code has no source; `what` says what asks for it.
    """
    try:
        data = _told(value)
    except Exception as error:
        raise _unwritten(value, what, error) from error
    import pickletools  # slow to import

    texts: dict[str, bytes] = {}
    try:
        for code, argument, _ in pickletools.genops(data):
            if code.name == "GLOBAL":
                module, _, name = str(argument).partition(" ")
                member: Any = sys.modules[module]
                for part in name.split("."):
                    member = getattr(member, part)
                kinds = member.__mro__ if isinstance(member, type) else ()
                for each in (module, *(kind.__module__ for kind in kinds)):
                    _add_source(each, texts)
    except (OSError, KeyError, AttributeError) as error:
        raise ValueError(
            f"{what}, and the code of {brief(value)} is not found; define it in a module or script."
        ) from error
    return data + b"".join(name.encode() + texts[name] for name in sorted(texts))


def _add_source(name: str, texts: dict[str, bytes]) -> None:
    """Add a module's version, or its text and that of the modules which it takes names from."""
    root = name.partition(".")[0]
    if name in texts or root in sys.stdlib_module_names or root in ("collapse", "numpy", "scipy"):
        return  # of the environment
    file = getattr(sys.modules[name], "__file__", None)
    if file is None:
        raise FileNotFoundError(name)
    if {"site-packages", "dist-packages"} & set(Path(file).parts):
        version = getattr(sys.modules[root], "__version__", None)
        texts[name] = version.encode() if isinstance(version, str) else Path(file).read_bytes()
        return
    texts[name] = Path(file).read_bytes()
    for member in list(vars(sys.modules[name]).values()):
        other = vars(member).get("__name__") if isinstance(member, ModuleType) else None
        other = getattr(type(member), "__module__", None) if other is None else other
        if isinstance(member, (type, FunctionType)):
            other = member.__module__
        if getattr(sys.modules.get(str(other)), "__file__", None):
            _add_source(str(other), texts)
