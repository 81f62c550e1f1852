"""Readers of arguments: each returns what it was given in one form, or refuses it in a sentence."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from fractions import Fraction
from numbers import Rational
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

LARGEST = 2**53
"""Largest whole number that is read: beyond it floats no longer count."""


def whole(value: object, name: str, meaning: str, *, least: int = 1, most: int = LARGEST) -> int:
    """Return `value` if it is a whole number from `least` to `most`.

    Raises
    ------
    ValueError
        Otherwise, naming the argument.
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f"{name} ({meaning}) must be a whole number, at least {least}; it is {brief(value)}.")
    if value > most:
        raise ValueError(f"{name} ({meaning}) can be {most:,} at most; it is {brief(value)}.")
    return int(value)


def check_number(value: object, name: str, low: float = -np.inf, high: float = np.inf) -> None:
    """Raise a ValueError unless `value` is a real number strictly between `low` and `high`."""
    if is_number(value) and low < float(value) < high:  # type: ignore[arg-type]
        return
    between = (
        f"between {low:g} and {high:g}, both excluded"
        if np.isfinite(high)
        else f"finite and greater than {low:g}"
        if low > -np.inf
        else "finite"
    )
    raise ValueError(f"{name} must be a number, {between}; it is {brief(value)}.")


def is_number(value: object) -> bool:
    """Whether `value` is a real number that a float can hold; a truth value is none."""
    if isinstance(value, bool) or not isinstance(value, (float, Rational, np.floating, np.integer)):
        return False
    try:
        float(value)
    except OverflowError:
        return False
    return True


def flag(value: object, name: str) -> bool:
    """Return `value` if it is True or False; raise a ValueError otherwise."""
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    raise ValueError(f"{name} must be True or False; it is {brief(value)}.")


def choice(value: object, name: str, among: Sequence[str]) -> str:
    """Return `value` if it is one of the words in `among`; raise a ValueError that lists them otherwise."""
    if isinstance(value, str) and value in among:
        return value
    raise ValueError(f"{name} must be one of {', '.join(among)}; it is {brief(value)}.")


def floats(values: Any, name: str, shape: str) -> Array:
    """Return an array of floats; `shape` says in words what is expected.

    Raises
    ------
    ValueError
        Where it holds anything but real numbers, has hidden values (a masked array) or rows of different lengths.
    """
    if isinstance(values, np.ma.MaskedArray):
        raise ValueError(f"{name} is a masked array, whose hidden values would be used; fill or drop them, and give {shape}.")
    try:
        raw = np.asarray(values)
        if raw.dtype.kind == "O" and not all(is_number(value) for value in raw.flat):
            raise TypeError
        if raw.dtype.kind not in "iufO":
            raise TypeError
        return np.array(raw, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{name} must hold real numbers; give {shape}.") from error


def seed(rng: object) -> int:
    """Return a seed; raise a ValueError unless it is a whole number of at least 0."""
    if isinstance(rng, bool) or not isinstance(rng, (int, np.integer)) or rng < 0:
        raise ValueError(f"rng must be a seed (a whole number, at least 0); it is {brief(rng)}.")
    return int(rng)


def brief(value: object) -> str:
    """What an argument was, in at most 60 characters."""
    if isinstance(value, int) and value.bit_length() > 70:
        return f"about {'-' * (value < 0)}10^{int(value.bit_length() * 0.30103)}"
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def named_call(text: str, kind: str, such: str) -> tuple[str, dict[str, Any]]:
    """Read a name with parameters: numbers, fractions, lists; refuse anything else, saying what kind of thing was expected and how."""

    def value(node: ast.expr) -> Any:
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            return Fraction(ast.literal_eval(node.left)) / Fraction(ast.literal_eval(node.right))
        if isinstance(node, (ast.List, ast.Tuple)):
            return [value(item) for item in node.elts]
        return ast.literal_eval(node)

    try:
        tree = ast.parse(text, mode="eval").body
        if isinstance(tree, ast.Name):
            return tree.id, {}
        if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name) and not tree.args and all(k.arg for k in tree.keywords):
            return tree.func.id, {str(k.arg): value(k.value) for k in tree.keywords}
    except (SyntaxError, ValueError, TypeError, ZeroDivisionError) as error:
        raise ValueError(f"{text!r} is no {kind} ({error}); write one as {such}.") from error
    raise ValueError(f"{text!r} is no {kind}; write one as {such}.")
