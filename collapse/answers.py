"""What every answer can do: become a table, be saved, and be loaded again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import partial
from pathlib import Path
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Literal,
    Self,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import numpy as np
from numpy.typing import NDArray

from collapse import checks, disk

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = 3
"""Of the files that `save` writes; those without a number are of schema 1, and from 3 on a risk may
hold measures.
"""

NOT_FINITE = ("nan", "inf", "-inf")
"""Numbers that JSON does not know, and that are written as text."""


class Answer:
    """A frozen dataclass that is a table, a file of JSON, and itself again.

    A file holds the fields by name, each checked against its type when it is read: arrays as lists,
    fractions as text such as "5/4", NaN and infinity as text; and the number of its schema.
    """

    _readers: ClassVar[Mapping[str, Callable[[Any], Any]]] = {}
    """Readers of fields whose type does not tell how they are read."""

    def columns(self) -> dict[str, Any]:
        """Return what `to_frame` holds, as columns of one length: here one row of all fields."""
        return {name: [value] for name, value in _fields(self).items()}

    def to_frame(self) -> pd.DataFrame:
        """Return the answer as a pandas DataFrame: one row for each of what `columns` names.

        Raises
        ------
        ImportError
            Where pandas is missing: install collapse-companion[data].
        """
        needs = "to_frame needs pandas: pip install 'collapse-companion[data]'."
        pandas = checks.module("pandas", f"{type(self).__name__}.{needs}")
        return pandas.DataFrame(self.columns())

    def to_json(self) -> dict[str, Any]:
        """Return the answer as plain lists, numbers and text, by field."""
        return {name: plain(value) for name, value in _fields(self).items()}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Self:
        """Rebuild an answer from `to_json`.

        Raises
        ------
        ValueError
            Where the document is not what `to_json` wrote.
        """
        with checks.saved(f"this {cls.__name__}"):
            values = read_fields(cls, document, cls._readers)
            cls._agree(values)
            answer = cls(**values)
            str(answer), repr(answer), answer.columns()  # where fields do not go together
            return answer

    @classmethod
    def _agree(cls, values: dict[str, Any]) -> None:
        """Raise a ValueError where the fields of a document do not fit together."""

    def save(self, path: str | Path) -> Path:
        """Write everything as JSON, and return the path.

        An interruption leaves the file that was there, or the new one, never a part.

        Raises
        ------
        ValueError, OSError
            Where the path is that of no file, or the system cannot write there.
        """
        document = {"collapse": type(self).__name__.lower(), "schema": SCHEMA} | self.to_json()
        text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
        return disk.write(path, text + "\n")

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote, this version's or an older one's.

        Raises
        ------
        FileNotFoundError, ValueError
            Where there is no such file, or it was not written by `save`.
        """
        name = cls.__name__
        given, reader = disk.named(path), f"{name}.load reads what {name}.save wrote."
        try:
            document = json.loads(given.read_bytes())
        except (ValueError, RecursionError) as error:
            raise ValueError(
                f"path {given} is not JSON ({checks.brief(str(error))}); {reader}"
            ) from error
        checks.require(
            isinstance(document, dict) and document.get("collapse") == name.lower(),
            f"path {given} holds no saved {name}; {reader}",
        )
        schema = document.pop("schema", document.get("format", 1))
        checks.require(
            schema in range(1, SCHEMA + 1),
            f"path {given} was written by another version of collapse (schema"
            f" {checks.brief(schema)}); this one reads 1 to {SCHEMA}.",
        )
        with checks.saved(f"path {given}"):
            return cls.from_json(document)


def _fields(record: Any) -> dict[str, Any]:
    return {part.name: getattr(record, part.name) for part in fields(record)}


def plain(value: Any, *, nan: str | None = "nan") -> Any:
    """Return a value as JSON holds it: records by field, arrays as lists, fractions as text, and
    functions left out; `nan` stands for NaN.

    Examples
    --------
    >>> from fractions import Fraction
    >>> plain({"ratio": np.array([1.0, np.inf]), "share": Fraction(1, 4), "n": np.int64(3)})
    {'ratio': [1.0, 'inf'], 'share': '1/4', 'n': 3}
    """
    inside = partial(plain, nan=nan)
    if hasattr(value, "to_json"):
        return inside(value.to_json())
    if is_dataclass(value):
        value = _fields(value)
    if isinstance(value, Mapping):
        return {key: inside(part) for key, part in value.items() if not callable(part)}
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf" and np.isfinite(value).all():
        return value.tolist()
    if isinstance(value, (list, tuple, np.ndarray)):
        return [inside(part) for part in value]
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float) and not np.isfinite(value):
        return nan if np.isnan(value) else str(value)
    return (
        value if value is None or isinstance(value, (bool, int, float)) else checks.to_text(value)
    )


def read_fields(
    kind: type, document: Any, readers: Mapping[str, Callable[[Any], Any]]
) -> dict[str, Any]:
    """Return the fields of a dataclass that `plain` wrote, each by its reader or else its type;
    without those that came with a later version, which have a default.

    Raises
    ------
    ValueError, KeyError, TypeError
        Where one is missing, or is something else.
    """
    hints = get_type_hints(kind)
    there = document if isinstance(document, Mapping) else ()
    return {
        part.name: readers[part.name](document[part.name])
        if part.name in readers
        else _read(document[part.name], hints[part.name], part.name)
        for part in fields(kind)
        if part.name in there or part.default is part.default_factory is MISSING
    }


_WORDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}


def _read(value: Any, kind: Any, name: str) -> Any:
    """Return a value of JSON as a field's type has it; of several types the first, or None."""
    origin, inside = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        nothing = value is None and NoneType in inside
        return None if nothing else _read(value, inside[0], name)
    if origin is np.ndarray:
        whole = np.int64 in get_args(inside[1])
        return (
            checks.whole_numbers(value, name)
            if whole
            else read_array(value, name, exact=np.float64 not in get_args(inside[1]))
        )
    if origin is tuple and isinstance(value, list):
        return tuple(_read(part, inside[0], name) for part in value)
    if origin in (dict, Mapping):
        parts = checks.mapping(value, name, "what was saved")
        return {key: _read(part, inside[1], name) for key, part in parts.items()}
    if origin is Literal:
        return checks.choice(value, name, inside)
    if hasattr(kind, "from_json"):
        return kind.from_json(value)
    if kind is float and (type(value) in (int, float) or value in NOT_FINITE):
        return float(value)
    if kind is Any or type(value) is kind:
        return value
    raise ValueError(f"{name} must be {_WORDS.get(kind, 'a list')}; it is {checks.brief(value)}.")


def read_array(values: Any, name: str, exact: bool) -> NDArray[Any]:
    """Return nested lists as an array of floats, or of fractions where they are allowed."""
    checks.require(
        isinstance(values, list), f"{name} must be a list; it is {checks.brief(values)}."
    )
    try:
        raw = np.array(values, dtype=object)
    except ValueError as error:
        raise ValueError(f"{name} has rows of different lengths.") from error
    entries = raw.ravel().tolist()
    texts = {entry for entry in entries if isinstance(entry, str)}
    if exact and texts - {*NOT_FINITE} and all(isinstance(entry, str) for entry in entries):
        fractions = np.empty(len(entries), object)
        fractions[:] = [checks.to_fraction(entry, name) for entry in entries]
        checks.require(
            all(map(checks.is_number, fractions)),
            f"{name} must hold numbers that a float can hold.",
        )
        return fractions.reshape(raw.shape)
    checks.require(
        not texts - {*NOT_FINITE} and all(type(entry) in (int, float, str) for entry in entries),
        f"{name} must hold numbers{', or fractions as text' * exact}; it is"
        f" {checks.brief(values)}.",
    )
    return raw.astype(np.float64)
