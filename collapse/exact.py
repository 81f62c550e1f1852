"""Numbers: an array of floats, or of rationals held exactly."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from numbers import Rational
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from collapse.answers import plain, read_array
from collapse.checks import numbers, require

Array = NDArray[np.float64]
Scalar = float | Fraction

SHAPES = {
    "source": "one source for each batch, shape (B,)",
    "size": "one size for each batch, shape (B,)",
    "weight": "one row for each fit and one column for each batch, shape (G, B)",
    "kept": "one row for each fit and one column for each batch, shape (G, B)",
    "turnover": "one share for each fit, shape (G,)",
}
"""What a table holds and its shape, in words."""


@dataclass(frozen=True, eq=False)
class Numbers:
    """An array of floats, or of exact rationals held as numerators over denominators.

    Parameters
    ----------
    numerator : ndarray
        Floats where `denominator` is None, otherwise integers (int64, or object for large ones).
    denominator : ndarray or None
        Positive integers of the same shape.
    """

    numerator: NDArray[Any]
    denominator: NDArray[Any] | None

    @classmethod
    def read(cls, values: ArrayLike | Numbers | Iterable[Any], name: str, ndim: int) -> Numbers:
        """Read int, Fraction and float entries; one float makes the table a table of floats."""
        if isinstance(values, Numbers):
            return values
        raw = numbers(values, name, SHAPES[name])
        require(
            raw.ndim == ndim,
            f"{name} must have {ndim} dimension{'s' * (ndim > 1)}, it has {raw.ndim}; give"
            f" {SHAPES[name]}.",
        )
        if raw.dtype.kind == "i" or not raw.size:
            return cls(raw.astype(np.int64, copy=False), np.ones(raw.shape, np.int64))
        if raw.dtype.kind == "O" and all(isinstance(value, Rational) for value in raw.flat):
            pairs = [(int(value.numerator), int(value.denominator)) for value in raw.flat]
            return cls(*(_integers(part, raw.shape) for part in zip(*pairs, strict=True)))
        return cls(raw.astype(np.float64), None)

    @classmethod
    def ratio(cls, numerator: ArrayLike, denominator: ArrayLike) -> Numbers:
        """Hold numerator / denominator of two integer arrays exactly."""
        top, bottom = np.broadcast_arrays(
            np.asarray(numerator, np.int64), np.asarray(denominator, np.int64)
        )
        return cls(top, bottom)

    @property
    def rational(self) -> bool:
        return self.denominator is not None

    @property
    def shape(self) -> tuple[int, ...]:
        return self.numerator.shape

    def __getitem__(self, at: Any) -> Numbers:
        return Numbers(
            self.numerator[at], None if self.denominator is None else self.denominator[at]
        )

    def __add__(self, other: Numbers) -> Numbers:
        if not (self.rational and other.rational):
            return Numbers(self.floats() + other.floats(), None)
        a, b, c, d = _wide(self, other)
        return Numbers(a * d + c * b, b * d)

    def __mul__(self, other: Numbers) -> Numbers:
        if not (self.rational and other.rational):
            return Numbers(self.floats() * other.floats(), None)
        a, b, c, d = _wide(self, other)
        return Numbers(a * c, b * d)

    def complement(self) -> Numbers:
        """1 - self."""
        return Numbers(
            (1 if self.denominator is None else self.denominator) - self.numerator, self.denominator
        )

    def same(self, other: Numbers) -> bool:
        """Whether both hold the same numbers exactly, however they are written."""
        return np.array_equal(self.values(self.rational), other.values(other.rational))

    def floats(self) -> Array:
        if self.denominator is None:
            return self.numerator
        return np.asarray(self.numerator / self.denominator, np.float64)

    def fractions(self, name: str) -> NDArray[np.object_]:
        require(
            self.rational,
            f"{name} holds floats, and exact=True needs rationals: give int or fractions.Fraction"
            " entries.",
        )
        return np.asarray(
            np.frompyfunc(Fraction, 2, 1)(self.numerator, np.asarray(self.denominator)), object
        )

    def values(self, exact: bool, name: str = "weight") -> NDArray[Any]:
        """Fractions, or floats."""
        return self.fractions(name) if exact else self.floats()

    def to_json(self) -> Any:
        """Nested lists: floats as numbers, rationals as text such as '1/3'; None for one number
        that holds for every entry.
        """
        return plain(self.values(self.rational)) if self.shape else None

    @classmethod
    def from_json(cls, values: Any, name: str = "weight", ndim: int = 1) -> Numbers:
        """Read what `to_json` wrote: all entries numbers, or all of them text; None is 1."""
        return ONE if values is None else cls.read(read_array(values, name, True), name, ndim)


ONE = Numbers.ratio(1, 1)
"""The number one, for every entry."""


def zeros(exact: bool, *shape: int) -> NDArray[Any]:
    """Zeros, floats or Fractions."""
    return np.full(shape, Fraction(0), object) if exact else np.zeros(shape)


def inverses(rows: NDArray[np.int64], exact: bool) -> NDArray[Any]:
    """1 / rows, floats or Fractions."""
    return Numbers.ratio(1, rows).values(exact)


def _integers(values: Sequence[int], shape: tuple[int, ...]) -> NDArray[Any]:
    """Hold whole numbers in 64 bits, or as Python's where one is too large."""
    kind = np.int64 if max(map(abs, values), default=0) < 2**62 else object
    return np.array(values, kind).reshape(shape)


def _wide(*pairs: Numbers) -> list[NDArray[Any]]:
    """Numerators and denominators whose products, and sums of two of these, do not overflow."""
    parts: list[Any] = [part for pair in pairs for part in (pair.numerator, pair.denominator)]
    small = all(part.dtype != object and np.abs(part).max(initial=0) < 2**30 for part in parts)
    return parts if small else [part.astype(object) for part in parts]
