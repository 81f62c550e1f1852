"""Estimators by name: module:Class, or a file of one's own, with parameters."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import tomllib
from pathlib import Path
from typing import Any

from collapse import disk
from collapse.checks import brief, require


def estimator_of(value: Any) -> Any:
    """Return an estimator as it is, or the one that a text names; None where there is none.

    Parameters
    ----------
    value : estimator, str or None
        As text "module:Class", with parameters as TOML writes them in parentheses, or
        "path/file.py:name", a class, an estimator or a function that returns one. A file's code is
        run.

    Raises
    ------
    ValueError
        Where a text names nothing that can be made.

    Examples
    --------
    >>> estimator_of("sklearn.linear_model:Ridge(alpha=0.5, solver='svd')")
    Ridge(alpha=0.5, solver='svd')
    """
    if not isinstance(value, str):
        return value
    before, _, written = value.strip().partition("(")
    place, _, name = before.rpartition(":")
    require(
        bool(place and name.isidentifier() and (not written or written.endswith(")"))),
        "estimator must be written as module:Class or path/file.py:name, such as"
        f" 'sklearn.ensemble:RandomForestClassifier(max_depth=3)'; it is {brief(value)}.",
    )
    try:
        parameters = tomllib.loads(f"given = {{{written.removesuffix(')')}}}")["given"]
    except tomllib.TOMLDecodeError as error:
        raise ValueError(
            "parameters of an estimator are written as in TOML, such as (max_depth=3, bootstrap="
            f"false, criterion='gini'); they are {brief(written.removesuffix(')'))}."
        ) from error
    found: Any = getattr(_module(place), name, None)
    require(found is not None, f"{place} has no {name!r}; name a class of it.")
    made = isinstance(found, type) or not hasattr(found, "fit")
    require(
        made or not parameters,
        f"{name} of {place} is an estimator already; leave its parameters out.",
    )
    try:
        return found(**parameters) if made else found
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} of {place} cannot be made: {error}.") from error


def _module(place: str) -> Any:
    """A module by its name, or a file's."""
    path = Path(place)
    try:
        if path.suffix != ".py":
            return importlib.import_module(place)
        require(path.is_file(), f"there is no file {place} with an estimator.")
        # objects of its classes are written down by the module's name: another one for other code
        name = f"{path.stem}_{disk.digest(path.read_bytes())[:12]}"
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise ImportError(place)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        return module
    except ImportError as error:
        raise ValueError(f"the estimator's module {place} cannot be imported: {error}.") from error
