"""Readers of arguments: each returns what it was given in one form, or refuses it in a sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
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


LARGE = 1e100
"""Size up to which, and down to whose inverse, numbers are read: fourth powers are doubles."""


def check_size(value: Any, name: str, low: float = 1 / LARGE, high: float = LARGE) -> None:
    """Raise a ValueError unless `value` is a positive number from `low` to `high`."""
    check_number(value, name, 0)
    if not low <= float(value) <= high:
        raise ValueError(f"{name} must be a number from {low:g} to {high:g}; it is {brief(value)}.")


def check_place(value: Any, name: str) -> None:
    """Raise a ValueError unless `value` is a number of either sign, at most LARGE in size."""
    check_number(value, name)
    if abs(float(value)) > LARGE:
        raise ValueError(f"{name} must be at most {LARGE:g} in size; it is {brief(value)}.")


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


def several(value: object, name: str, meaning: str, *, numbers: bool = False) -> tuple[Any, ...]:
    """Return different texts (or numbers, where allowed) as a tuple; one alone is a tuple of one.

    Raises
    ------
    ValueError
        Where an entry is anything else, naming the argument.
    """
    many = isinstance(value, (Sequence, np.ndarray, set, frozenset))
    alone = isinstance(value, (str, bytes)) or not many
    entries: list[Any] = [value] if alone else list(value)  # type: ignore[call-overload]
    for entry in entries:
        if not isinstance(entry, str) and not (numbers and is_number(entry)):
            held = brief(entry)
            raise ValueError(f"{name} must be {meaning}, or several of these; it holds {held}.")
    return tuple(dict.fromkeys(entries))


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


def to_text(value: object) -> str:
    """Write a number as text, a fraction or whole number of any length too.

    Python itself writes and reads no more than 4,300 digits of a whole number; decimals know no such limit.

    Examples
    --------
    >>> to_text(Fraction(5, 4)), to_text(Fraction(2)), to_text(0.5), len(to_text(10**5000))
    ('5/4', '2', '0.5', 5001)
    """
    if isinstance(value, Fraction):
        parts = [value.numerator] if value.denominator == 1 else [value.numerator, value.denominator]
        return "/".join(format(Decimal(part), "f") for part in parts)
    return format(Decimal(value), "f") if isinstance(value, int) and not isinstance(value, bool) else str(value)


def to_fraction(text: object, name: str) -> Fraction:
    """Read what `to_text` wrote of a fraction or a whole number.

    Raises
    ------
    ValueError
        Where it is anything else: 1e99999999 would be a whole number of 100 million digits.

    Examples
    --------
    >>> to_fraction("5/4", "weight")
    Fraction(5, 4)
    """
    found = re.fullmatch(r"(-?[0-9]+)(?:/([0-9]+))?", text) if isinstance(text, str) else None
    bottom = int(Decimal(found[2] or 1)) if found else 0
    if not found or not bottom:
        raise ValueError(f"{name} must hold fractions such as '5/4'; it holds {brief(text)}.")
    return Fraction(int(Decimal(found[1])), bottom)


def whole_numbers(values: object, name: str) -> NDArray[np.int64]:
    """Return a list of whole numbers, as JSON holds it, as an array; raise a ValueError otherwise."""
    if isinstance(values, list) and all(type(value) is int and abs(value) < 2**63 for value in values):
        return np.array(values, np.int64)
    raise ValueError(f"{name} must be a list of whole numbers; it is {brief(values)}.")


@contextmanager
def saved(what: str) -> Iterator[None]:
    """Read a document that was saved: what does not have its form becomes a ValueError that names `what`."""
    try:
        yield
    except KeyError as error:
        raise ValueError(f"{what} has no {error}; it was changed since it was saved. Save it again.") from error
    except (TypeError, AttributeError, IndexError, ArithmeticError, RecursionError) as error:
        raise ValueError(f"{what} was changed since it was saved ({brief(str(error))}). Save it again.") from error
