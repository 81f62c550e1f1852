"""Readers of arguments: each returns what it was given in one form, or refuses it in a sentence."""

import ast
import os
import re
import reprlib
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from decimal import Decimal
from fractions import Fraction
from functools import partial
from importlib import import_module
from numbers import Integral, Rational
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Progress = Callable[[int, int], object]

LARGEST = 2**53
"""Largest whole number that is read: beyond it floats no longer count."""

SEEDS = 2**128
"""Seeds lie below this: a seed sequence holds no more."""

HELD = 10**8
"""Numbers in the largest array that is kept in memory, 0.8 GB."""


def require(good: Any, told: str | Callable[..., str], *of: Any) -> None:
    """Raise a ValueError in a sentence, if need be told of the first entry that is not good, where
    one is not.
    """
    if not (good if isinstance(good, bool) else np.all(good)):
        raise ValueError(told if isinstance(told, str) else told(int(np.argmin(good)), *of))


def whole(value: Any, name: str, meaning: str, *, least: int = 1, most: int = LARGEST) -> int:
    """Return `value` if it is a whole number from `least` to `most`.

    Raises
    ------
    ValueError
        Otherwise, naming the argument.
    """
    require(
        isinstance(value, (int, np.integer))
        and not isinstance(value, bool)
        and bool(value >= least),
        lambda _: (
            f"{name} ({meaning}) must be a whole number, at least {least}; it is {brief(value)}."
        ),
    )
    require(
        bool(value <= most),
        lambda _: f"{name} ({meaning}) can be {most:,} at most; it is {brief(value)}.",
    )
    return int(value)


def check_number(
    value: Any, name: str, low: float = -np.inf, high: float = np.inf
) -> int | Fraction | float:
    """Return `value`, as Python's own number, if it is real and strictly between `low` and `high`.

    Raises
    ------
    ValueError
        Otherwise, naming the argument.
    """
    between = (
        f"between {low:g} and {high:g}, both excluded"
        if np.isfinite(high)
        else f"finite and greater than {low:g}"
        if low > -np.inf
        else "finite"
    )
    require(
        is_number(value) and low < float(value) < high,
        lambda _: f"{name} must be a number, {between}; it is {brief(value)}.",
    )
    if isinstance(value, Rational):
        return int(value) if isinstance(value, Integral) else Fraction(value)
    return float(value)


LARGE = 1e100
"""Size up to which, and down to whose inverse, numbers are read: fourth powers are doubles."""


def check_size(
    value: Any, name: str, low: float = 1 / LARGE, high: float = LARGE
) -> int | Fraction | float:
    """Return `value` if it is a number from `low` to `high`; raise a ValueError otherwise."""
    size = check_number(value, name, 0 if low > 0 else -np.inf)
    require(
        low <= float(size) <= high,
        lambda _: f"{name} must be a number from {low:g} to {high:g}; it is {brief(value)}.",
    )
    return size


check_place = partial(check_size, low=-LARGE, high=LARGE)
"""Reader of a number of either sign, at most LARGE in size."""


def is_number(value: object) -> bool:
    """Whether `value` is a real number that a float can hold; a truth value is none."""
    if isinstance(value, bool) or not isinstance(value, (float, np.floating, Rational)):
        return False
    largest: Any = sys.float_info.max
    return not isinstance(value, Rational) or bool(-largest <= value <= largest)


def flag(value: object, name: str) -> bool:
    """Return `value` if it is True or False; raise a ValueError otherwise."""
    require(
        isinstance(value, (bool, np.bool_)),
        lambda _: f"{name} must be True or False; it is {brief(value)}.",
    )
    return bool(value)


def text(value: object, name: str) -> str:
    """Return `value` if it is text; raise a ValueError otherwise."""
    require(isinstance(value, str), lambda _: f"{name} must be text (a str); it is {brief(value)}.")
    return str(value)


def path(value: object, name: str, meaning: str = "a path (a str or a pathlib.Path)") -> Path:
    """Return `value` as a path; raise a ValueError unless it is text, not empty, or a path."""
    given: Any = os.fspath(value) if isinstance(value, (str, os.PathLike)) else None
    require(
        isinstance(given, str) and given != "" and "\0" not in given,
        lambda _: f"{name} must be {meaning}; it is {brief(value)}.",
    )
    return Path(given)


def mapping(value: Any, name: str, meaning: str) -> dict[str, Any]:
    """Return what maps texts to something, such as a pandas DataFrame its columns, as a dict.

    Raises
    ------
    ValueError
        Where `value` is no mapping, has other keys, or a key twice; it names the argument.
    """
    named = hasattr(value, "keys") and not isinstance(value, type)
    keys: list[Any] = list(value.keys()) if named else [None]
    require(
        all(isinstance(key, str) for key in keys) and len(set(keys)) == len(keys),
        lambda _: f"{name} must map different texts to {meaning}; it is {brief(value)}.",
    )
    return {key: value[key] for key in keys}


def choice(value: object, name: str, among: Sequence[str]) -> str:
    """Return `value` if it is a word in `among`; raise a ValueError that lists them otherwise."""
    require(
        isinstance(value, str) and value in among,
        lambda _: f"{name} must be one of {', '.join(among)}; it is {brief(value)}.",
    )
    return str(value)


def several(value: object, name: str, meaning: str, *, numbers: bool = False) -> tuple[Any, ...]:
    """Return different texts (or numbers, where allowed) as a tuple; one alone is a tuple of one.

    Raises
    ------
    ValueError
        Where an entry is anything else, naming the argument.
    """
    many = isinstance(value, (Sequence, np.ndarray, set, frozenset)) and np.iterable(value)
    alone = isinstance(value, (str, bytes)) or not many
    held(0 if alone else length(value), name, "give fewer", most=10**6)
    entries: list[Any] = [value] if alone else list(value)  # type: ignore[call-overload]
    require(
        [isinstance(entry, str) or (numbers and is_number(entry)) for entry in entries],
        lambda i: f"{name} must be {meaning}, or several of these; it holds {brief(entries[i])}.",
    )
    return tuple(dict.fromkeys(entries))


def numbers(values: Any, name: str, shape: str) -> NDArray[Any]:
    """Return an array of int64, of float64, or of objects that are real numbers (such as
    Fractions).

    `shape` says in words what is expected. pandas' Series and DataFrames are arrays too.

    Raises
    ------
    ValueError
        Where it holds anything but real numbers, has hidden values (a masked array) or rows of
        different lengths.
    """
    require(
        not _hidden(values),
        f"{name} is a masked array, whose hidden values would be used; fill or drop them, and"
        f" give {shape}.",
    )
    held(0 if isinstance(values, np.ndarray) else length(values), name, f"give {shape}")
    wanted = f"{name} must hold real numbers; give {shape}."
    try:
        raw = np.asarray(values)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{wanted} It has rows of different lengths, or is no table.") from error
    if raw.dtype.kind == "f":
        with np.errstate(over="ignore"):  # a float longer than 64 bits becomes infinite
            return raw.astype(np.float64)
    if raw.dtype.kind in "iu":
        large = raw.dtype == np.uint64 and raw.max(initial=0) >= 2**63
        return raw.astype(object if large else np.int64)
    require(raw.dtype.kind == "O", f"{wanted} It holds {raw.dtype} data.")
    require(
        [is_number(value) for value in raw.flat],
        lambda i: f"{wanted} It holds {brief(raw.flat[i])}, a {type(raw.flat[i]).__name__}.",
    )
    return raw


def floats(values: Any, name: str, shape: str) -> Array:
    """Return a new array of floats: `numbers` in 64 bits."""
    return np.array(numbers(values, name, shape), dtype=np.float64)


def _hidden(values: object) -> bool:
    """Whether it is a masked array, which may hide values, or a list of such."""
    return isinstance(values, np.ma.MaskedArray) or (
        isinstance(values, (list, tuple)) and any(map(_hidden, values))
    )


def length(values: Any) -> int:
    """Return len(values): 0 where there is none, and the largest there is where it is larger."""
    try:
        return len(values)
    except TypeError:
        return 0
    except OverflowError:  # a range of more than 2^63
        return sys.maxsize


def held(count: int, name: str, remedy: str, most: int = HELD) -> None:
    """Raise a ValueError where `count` numbers are more than are kept in memory at once."""
    require(
        bool(count <= most),
        lambda _: (
            f"{name} would hold {count:,} numbers in memory ({8e-9 * count:,.1f} GB), and can hold"
            f" {most:,} at most; {remedy}."
        ),
    )


def seeds(rng: object, count: int) -> tuple[list[np.random.SeedSequence], int | None]:
    """Return `count` independent seed sequences, and the seed that makes them again.

    That seed is None where a Generator or a SeedSequence was given. A Generator's sequences are
    others the next time; those of a seed and of a SeedSequence are the same.

    Raises
    ------
    ValueError
        Where rng is no seed, SeedSequence or Generator, or a Generator without a seed sequence.
    """
    if isinstance(rng, np.random.Generator):
        sequence = getattr(rng.bit_generator, "seed_seq", None)
        require(
            isinstance(sequence, np.random.SeedSequence),
            "rng is a Generator whose bit generator was made without a SeedSequence, so that "
            "independent streams cannot be split off; give numpy.random.default_rng(seed).",
        )
        return sequence.spawn(count), None  # type: ignore[union-attr]
    if isinstance(rng, np.random.SeedSequence):
        return deepcopy(rng).spawn(count), None  # spawning leaves the caller's as it was
    start = seed(rng)
    return np.random.SeedSequence(start).spawn(count), start


def seed(rng: Any, name: str = "rng") -> int:
    """Return one seed: the one given, one made by a Generator or a SeedSequence, or (None) a fresh
    one.

    Raises
    ------
    ValueError
        Where rng is none of them.
    """
    if rng is None:
        return int(np.random.SeedSequence().entropy)  # type: ignore[arg-type]
    if isinstance(rng, np.random.Generator):
        return int(rng.integers(2**63))
    if isinstance(rng, np.random.SeedSequence):
        return int(rng.generate_state(1, np.uint64)[0])
    number = isinstance(rng, (int, np.integer)) and not isinstance(rng, bool)
    require(
        number and bool(0 <= rng < SEEDS),
        lambda _: (
            f"{name} must be a numpy Generator, a SeedSequence or a seed below 2^128 (a whole"
            f" number, at least 0); it is {brief(rng)}."
        ),
    )
    return int(rng)


def progress(teller: object, name: str = "progress") -> Progress:
    """Return a function of (done, total): the one given, one that writes to stderr (True), or a
    silent one.

    Raises
    ------
    ValueError
        Where `teller` is neither callable, nor True, False or None.
    """
    if callable(teller):
        return teller
    require(
        teller is None or isinstance(teller, (bool, np.bool_)),
        lambda _: (
            f"{name} must be True, False, None or a function of (done, total); it is"
            f" {brief(teller)}."
        ),
    )
    return _tell if teller else lambda done, total: None


def _tell(done: int, total: int) -> None:
    sys.stderr.write(f"\r{done:,} of {total:,}" + "\n" * (done >= total))
    sys.stderr.flush()


_SHORT = reprlib.Repr()
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxset = _SHORT.maxdict = 20
_SHORT.maxlong = _SHORT.maxstring = _SHORT.maxother = 200


def plural(count: int, one: str, many: str | None = None) -> str:
    return one if count == 1 else many or one + "s"


def counted(count: int, one: str, many: str | None = None) -> str:
    return f"{count:,} {plural(count, one, many)}"


def brief(value: object) -> str:
    """What an argument was, in at most 60 characters."""
    if isinstance(value, int) and value.bit_length() > 70:
        return f"about {'-' * (value < 0)}10^{int(value.bit_length() * 0.30103)}"
    try:
        written = to_text(value) if isinstance(value, Fraction) else _SHORT.repr(value)
        text = " ".join(written.split())
    except ValueError:  # holds a whole number of more digits than Python writes out
        text = f"a {type(value).__name__} with too many digits to print"
    return text if len(text) <= 60 else f"{text[:57]}..."


def to_text(value: object) -> str:
    """Write a number as text, a fraction or whole number of any length too.

    Python itself writes and reads no more than 4,300 digits of a whole number; decimals know no
    such limit.

    Examples
    --------
    >>> to_text(Fraction(5, 4)), to_text(Fraction(2)), to_text(0.5), len(to_text(10**5000))
    ('5/4', '2', '0.5', 5001)
    """
    if isinstance(value, bool) or not isinstance(value, (int, Fraction)):
        return str(value)
    parts = [value.numerator, value.denominator][: 1 if value.denominator == 1 else 2]
    return "/".join(format(Decimal(part), "f") for part in parts)


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
    form = r"(-?[0-9]+)(?:/([0-9]*[1-9][0-9]*))?"
    found = re.fullmatch(form, text) if isinstance(text, str) else None
    if not found:
        raise ValueError(f"{name} must hold fractions such as '5/4'; it holds {brief(text)}.")
    return Fraction(*(int(Decimal(part or 1)) for part in found.groups()))


def module(name: str, refusal: str) -> Any:
    """Import a module that is an extra, or raise an ImportError that says what to install."""
    try:
        return import_module(name)
    except ImportError as error:
        raise ImportError(refusal) from error


GRAMMARS = "rfc3987_syntax"
"""With it jsonschema checks international addresses, of which notebooks have none; to make its
grammars takes a second, in each kernel.
"""


@contextmanager
def without(*modules: str) -> Iterator[None]:
    """Import in here as if these modules were not installed, unless they are imported already."""
    absent = [name for name in modules if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


def whole_numbers(values: object, name: str) -> NDArray[np.int64]:
    """Return a list of whole numbers, as JSON holds it, as an array; raise a ValueError
    otherwise.
    """
    listed: Any = values if isinstance(values, list) else [None]
    require(
        [type(value) is int and abs(value) < 2**63 for value in listed],
        lambda _: f"{name} must be a list of whole numbers; it is {brief(values)}.",
    )
    return np.array(listed, np.int64)


@contextmanager
def saved(what: str) -> Iterator[None]:
    """Read a document that was saved: what does not have its form becomes a ValueError that names
    `what`.
    """
    try:
        yield
    except KeyError as error:
        raise ValueError(
            f"{what} has no {error}; it was changed since it was saved. Save it again."
        ) from error
    except (TypeError, AttributeError, IndexError, ArithmeticError, RecursionError) as error:
        raise ValueError(
            f"{what} was changed since it was saved ({brief(str(error))}). Save it again."
        ) from error


def named_call(text: str, kind: str, such: str) -> tuple[str, dict[str, Any]]:
    """Read a name with parameters: numbers, fractions, lists; refuse anything else, saying what
    kind of thing was expected and how.
    """

    def value(node: ast.expr) -> Any:
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            return Fraction(ast.literal_eval(node.left)) / Fraction(ast.literal_eval(node.right))
        if isinstance(node, (ast.List, ast.Tuple)):
            return [value(item) for item in node.elts]
        return ast.literal_eval(node)

    try:
        tree: Any = ast.parse(text, mode="eval").body
        call: Any = tree if isinstance(tree, ast.Call) else ast.Call(tree, [], [])
        names = [str(keyword.arg) for keyword in call.keywords]
        require(
            isinstance(call.func, ast.Name) and not call.args and "None" not in names,
            "only a name, and parameters by name, are read",
        )
        require([names.count(key) == 1 for key in names], lambda i: f"{names[i]} is given twice")
        return call.func.id, {str(k.arg): value(k.value) for k in call.keywords}
    except (
        SyntaxError,
        ValueError,
        TypeError,
        ArithmeticError,
        RecursionError,
        MemoryError,
    ) as error:
        raise ValueError(
            f"text {brief(text)} is no {kind} ({error}); write one as {such}."
        ) from error
