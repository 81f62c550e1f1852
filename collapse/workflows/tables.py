"""Readers of a workflow's arguments, and the tables that they become."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from functools import partial
from numbers import Rational
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collapse.checks import (
    brief,
    check_number,
    check_size,
    counted,
    flag,
    numbers,
    plural,
    require,
    whole,
)
from collapse.exact import Numbers, Scalar
from collapse.plan import Plan
from collapse.recursion import FARTHEST, Entries, Recursion

Sizes = Scalar | Sequence[Scalar]

MOST_MODELS = 10**5
"""Models trained on each other's output, at most."""

LARGEST_TABLE = 10**7
"""Weights that differ from zero, at most, where a workflow is written out batch by batch."""

LARGEST_GENERATIONS = 10**6
"""Fits in the longest chain."""


def check_room(entries: int) -> None:
    require(
        entries <= LARGEST_TABLE,
        f"this workflow needs {entries:,} weights, which no table holds; at most"
        f" {LARGEST_TABLE:,} are written out. Take fewer generations, or let each fit read fewer"
        " batches.",
    )


read_size = partial(check_size, low=1 / FARTHEST, high=FARTHEST)


def read_sizes(value: object, name: str) -> Scalar | tuple[Scalar, ...]:
    """One size, or a schedule of them."""
    if not hasattr(value, "__len__") or isinstance(value, (str, bytes)):
        return read_size(value, name)
    given = numbers(value, name, "a number, or one for each synthetic batch, shape (G - 1,)")
    require(
        given.ndim == 1,
        f"{name} must be a number or a schedule, shape (G - 1,); it has shape {given.shape}.",
    )
    return tuple(read_size(size, name) for size in given.tolist())


def read_share(value: object, name: str, *, low: bool = True, high: bool = True) -> Any:
    share = check_number(value, name)
    require(
        low or not 0 < share < 1 / FARTHEST,
        lambda _: f"{name} must be {1 / FARTHEST:g} at least; it is {brief(value)}.",
    )
    require(
        0 <= share <= 1 and (low or share > 0) and (high or share < 1),
        lambda _: (
            f"{name} must lie in {'[' if low else '('}0, 1{']' if high else ')'}; it is"
            f" {brief(value)}."
        ),
    )
    return share


READERS: dict[str, Callable[[Any, str], Any]] = {
    "generations": partial(whole, meaning="number of fits", most=LARGEST_GENERATIONS),
    "size": read_sizes,
    "kappa": read_size,
    "share": read_share,
    "memory": partial(read_share, high=False),
    "turnover": partial(read_share, low=False),
    "k": partial(whole, meaning="batches in the window"),
    "models": partial(whole, meaning="models trained on each other's output", most=MOST_MODELS),
    "replace": flag,
    "published": flag,
}
"""How a parameter is read, by its name; any other is a number."""


def batches(size: Any, G: int) -> NDArray[Any]:
    """Size of each batch, the real one first: whole numbers, Fractions or floats."""
    later = list(size) if isinstance(size, tuple) else [size] * (G - 1)
    require(
        len(later) == G - 1,
        f"size has {counted(len(later), 'entry', 'entries')}, and {counted(G, 'generation')}"
        f" {plural(G, 'has', 'have')} {counted(G - 1, 'synthetic batch', 'synthetic batches')};"
        " give"
        " one size for each.",
    )
    if not all(isinstance(value, Rational) for value in later):
        return np.array([1.0, *later])
    # augment adds them up, in 64 bits
    if all(value == int(value) for value in later) and sum(map(int, later)) < 2**62:
        return np.array([1, *map(int, later)], np.int64)
    return np.array([Fraction(1), *map(Fraction, later)], object)


def divide(top: NDArray[Any], bottom: NDArray[Any]) -> Numbers:
    if top.dtype.kind == "i":
        return Numbers.ratio(top, bottom)
    return Numbers.read(top / bottom, "turnover", 1)


def entries(rows: Iterable[Mapping[int, Scalar]]) -> Entries:
    """Weights {batch: weight} of each fit, zeros left out."""
    flat = [(g, b, w) for g, row in enumerate(rows) for b, w in sorted(row.items()) if w]
    fit, batch, weight = map(list, zip(*flat, strict=True))
    return Entries(np.array(fit), np.array(batch), Numbers.read(weight, "turnover", 1))


def table(
    sizes: Sequence[Scalar],
    sources: Sequence[int],
    rows: Sequence[Mapping[int, Scalar]],
    generation: NDArray[np.int64] | None = None,
) -> Plan:
    """A plan from its batches and the weights of each fit."""
    return Plan(sources, sizes, Recursion.of(entries(rows), len(rows)), generation=generation)
