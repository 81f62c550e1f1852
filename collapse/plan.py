"""Plan: a workflow written as a few tables, checked and frozen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import lcm
from numbers import Rational
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from collapse.checks import (
    HELD,
    LARGEST,
    brief,
    flag,
    held,
    numbers,
    saved,
    text,
    to_fraction,
    to_text,
    whole,
    whole_numbers,
)

Array = NDArray[np.float64]
Scalar = float | Fraction

TOLERANCE = 1e-12

FARTHEST = 1e150
"""Largest size of a batch, and one over the smallest: floats hold its square."""

LARGEST_EXACT = 10**7
"""Fractions in the largest table that is written out."""


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
        raw = numbers(values, name, _SHAPES[name])
        if raw.ndim != ndim:
            raise ValueError(
                f"{name} must have {ndim} dimension{'s' * (ndim > 1)}, it has {raw.ndim}; give"
                f" {_SHAPES[name]}."
            )
        if raw.dtype.kind == "i":
            return cls(raw, np.ones(raw.shape, np.int64))
        if raw.dtype.kind == "O" and all(isinstance(value, Rational) for value in raw.flat):
            entries = raw.ravel().tolist()
            parts = (
                [int(getattr(v, part)) for v in entries] for part in ("numerator", "denominator")
            )
            return cls(*(_integers(part).reshape(raw.shape) for part in parts))
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

    def floats(self) -> Array:
        if self.denominator is None:
            return self.numerator
        return np.asarray(self.numerator / self.denominator, np.float64)

    def fractions(self, name: str) -> NDArray[np.object_]:
        if self.denominator is None:
            raise ValueError(
                f"{name} holds floats, and exact=True needs rationals: give int or"
                " fractions.Fraction entries."
            )
        out = np.empty(self.shape, object)
        for i, (top, bottom) in enumerate(
            zip(self.numerator.flat, self.denominator.flat, strict=True)
        ):
            out.flat[i] = Fraction(int(top), int(bottom))
        return out

    def where_one(self, mask: NDArray[np.bool_]) -> Numbers:
        """Put 1 where the mask is true."""
        if not mask.any():
            return self
        return Numbers(
            np.where(mask, 1, self.numerator),
            None if self.denominator is None else np.where(mask, 1, self.denominator),
        )

    def to_json(self) -> Any:
        """Nested lists: floats as numbers, rationals as text such as '1/3'."""
        if self.denominator is None:
            return self.numerator.tolist()
        text = np.array([to_text(v) for v in self.fractions("table").flat], dtype=object)
        return text.reshape(self.shape).tolist()

    @classmethod
    def from_json(cls, values: Any, name: str, ndim: int) -> Numbers:
        """Read what `to_json` wrote: all entries numbers, or all of them text."""
        if not isinstance(values, list):
            raise ValueError(f"{name} must be a list; it is {brief(values)}.")
        try:
            raw = np.array(values, dtype=object)
        except ValueError as error:
            raise ValueError(
                f"{name} has rows of different lengths; give {_SHAPES[name]}."
            ) from error
        entries = raw.ravel().tolist()
        if all(isinstance(entry, str) for entry in entries):
            exact = np.empty(len(entries), object)
            exact[:] = [to_fraction(entry, name) for entry in entries]
            return cls.read(exact.reshape(raw.shape), name, ndim)
        if not all(type(entry) in (int, float) for entry in entries):
            raise ValueError(
                f"{name} must hold numbers, or fractions as text; give {_SHAPES[name]}."
            )
        return cls.read(raw.astype(np.float64), name, ndim)


def _integers(values: list[int]) -> NDArray[Any]:
    """Hold whole numbers in 64 bits, or as Python's where one is too large."""
    return np.array(values, np.int64 if max(map(abs, values), default=0) < 2**62 else object)


_SHAPES = {
    "source": "one source for each batch, shape (B,)",
    "size": "one size for each batch, shape (B,)",
    "weight": "one row for each fit and one column for each batch, shape (G, B)",
    "kept": "one row for each fit and one column for each batch, shape (G, B)",
    "turnover": "one share for each fit, shape (G,)",
}


@dataclass(frozen=True, eq=False)
class Entries:
    """Single entries of a weight table: fit[i] puts weight[i] on batch[i] and reads the share
    kept[i] of it (all, where left out).

    Fits and batches are counted from 0, entries ordered by fit.
    """

    fit: NDArray[np.int64]
    batch: NDArray[np.int64]
    weight: Numbers
    kept: Numbers | None = None

    def share_kept(self, exact: bool) -> NDArray[Any]:
        kept = self.kept or Numbers.ratio(np.ones(len(self.fit), np.int64), 1)
        return kept.fractions("kept") if exact else kept.floats()


@dataclass(frozen=True, eq=False)
class Recursion:
    """A weight table in few numbers: what fit g carries on is decay[g] times what fit g - 1
    carried, plus share[g] on one batch.

    That batch is batch[g], by default the newest of source (0, 1, ..., G - 1). `kept[g]` is the
    share that fit g reads of every batch carried. `entries` stand beside: they hold for one fit and
    are not carried on. A hundred thousand generations of augment are three short arrays, ten
    thousand of a window a list of entries.
    """

    decay: Numbers
    share: Numbers
    kept: Numbers | None = None
    batch: NDArray[np.int64] | None = None
    entries: Entries | None = None

    @classmethod
    def of(cls, entries: Entries, fits: int) -> Recursion:
        """Hold entries alone, nothing carried on."""
        nothing = Numbers.ratio(np.zeros(fits, np.int64), 1)
        return cls(nothing, nothing, entries=entries)

    @property
    def chain(self) -> bool:
        """Whether each fit reads what the one before read and the newest batch, and nothing
        else.
        """
        return self.batch is None and self.entries is None

    @property
    def newest(self) -> NDArray[np.int64]:
        return np.arange(len(self.decay.numerator)) if self.batch is None else self.batch

    def weight(self, batches: int, exact: bool) -> NDArray[Any]:
        decay = self.decay.fractions("weight") if exact else self.decay.floats()
        share = self.share.fractions("weight") if exact else self.share.floats()
        table = _zeros(exact, len(decay), batches)
        for g, b in enumerate(self.newest.tolist()):
            if g:
                table[g] = decay[g] * table[g - 1]
            if share[g]:
                table[g, b] += share[g]
        if self.entries:
            table[self.entries.fit, self.entries.batch] = (
                self.entries.weight.fractions("weight") if exact else self.entries.weight.floats()
            )
        return table

    def kept_table(self, batches: int, exact: bool) -> NDArray[Any]:
        """What each fit reads of every batch, shape (G, B)."""
        table = np.repeat(self.share_kept(exact)[:, None], batches, axis=1)
        if self.entries:
            table[self.entries.fit, self.entries.batch] = self.entries.share_kept(exact)
        return table

    def share_kept(self, exact: bool) -> NDArray[Any]:
        """What each fit reads of every batch carried on, shape (G,)."""
        kept = self.kept or Numbers.ratio(np.ones(len(self.decay.numerator), np.int64), 1)
        return kept.fractions("kept") if exact else kept.floats()


class Recipe(NamedTuple):
    """The named workflow that made a plan: its function in `collapse.workflows` and what that was
    given, generations apart.
    """

    workflow: str
    parameters: dict[str, Any]

    @property
    def scheduled(self) -> bool:
        """Whether a parameter is a schedule, typed for so many generations."""
        return any(isinstance(value, tuple) for value in self.parameters.values())

    def plain(self) -> dict[str, Any]:
        """Parameters for JSON: rationals as text."""

        def plain(value: Any) -> Any:
            if isinstance(value, tuple):
                return [plain(v) for v in value]
            return to_text(value) if isinstance(value, Fraction) else value

        return {key: plain(value) for key, value in self.parameters.items()}

    @classmethod
    def read(cls, document: Any) -> Recipe | None:
        """Read what a plan's `to_json` wrote of it; None where there was none."""

        def scalar(value: Any, name: str) -> Any:
            if isinstance(value, list):
                return tuple(scalar(v, name) for v in value)
            if isinstance(value, dict):
                raise ValueError(
                    f"{name} of a recipe must be a number or a list of numbers; it is"
                    f" {brief(value)}."
                )
            return to_fraction(value, f"{name} of a recipe") if isinstance(value, str) else value

        if document is None:
            return None
        workflow, parameters = document["workflow"], document["parameters"]
        if not isinstance(workflow, str):
            raise ValueError(f"workflow of a recipe must be a name; it is {brief(workflow)}.")
        return cls(workflow, {key: scalar(value, key) for key, value in parameters.items()})


class Plan:
    """A workflow as a few tables: which batches exist, and how each fit weighs and reads them.

    Fits are numbered 1, ..., G and batches 1, ..., B in the tables' order; fit 1 is the reference
    of the risk ratio.

    Parameters
    ----------
    source : array_like of int, shape (B,)
        Where batch b is drawn from: 0 the real world, s >= 1 the model of fit s.
    size : array_like, shape (B,)
        Rows in the batch, as a multiple of n (the rows of real data).
    weight : array_like, shape (G, B)
        Share of fit g's total weight carried by batch b. Rows sum to one; only batches with source
        < g may be read.
    kept : array_like, shape (G, B), optional
        Share of the batch's rows that fit g reads: 1 (the default) all of them, less than 1 a fresh
        uniform draw without replacement from that batch. Ignored where the weight is 0.
    replace : bool, optional
        True: where weight is positive, the share `kept` is drawn with replacement (a bootstrap).
        Default False.
    name : str, optional
        What to call the workflow in prints and plots.
    generation : array_like of int, shape (G,), optional
        Generation of each fit, where several models are fitted in each. Default 1, ..., G.

    Raises
    ------
    ValueError
        Where a table is not a workflow; the message says which entry, what was expected and what to
        do.

    Notes
    -----
    Entries may be int, `fractions.Fraction` (kept exact) or float. Dey and Donoho (2024) describe a
    workflow by the rows each generation trains on; these tables are that description up to the
    order of rows.

    Examples
    --------
    Half of the weight on the real data, half on the latest synthetic batch:

    >>> from fractions import Fraction
    >>> import collapse
    >>> half = Fraction(1, 2)
    >>> weight = [[1, 0, 0], [half, half, 0], [half, 0, half]]
    >>> plan = collapse.Plan([0, 1, 2], [1, 1, 1], weight, name="half real")
    >>> print(plan)
    half real: 3 fits, 3 batches
    batch         1     2     3
    source     real   fit   fit
                        1     2
    size          1     1     1
    fit 1         1     .     .
    fit 2       1/2   1/2     .
    fit 3       1/2     .   1/2
    >>> collapse.derive(plan, exact=True).ratio.tolist()
    [Fraction(1, 1), Fraction(5, 4), Fraction(21, 16)]
    """

    def __init__(
        self,
        source: ArrayLike,
        size: ArrayLike | Numbers | Sequence[Any],
        weight: ArrayLike | Sequence[Any] | Recursion,
        kept: ArrayLike | None = None,
        *,
        replace: bool = False,
        name: str = "plan",
        generation: ArrayLike | None = None,
    ) -> None:
        self.__dict__.update(
            source=_read_source(source),
            replace=flag(replace, "replace"),
            name=text(name, "name"),
            recipe=None,
            recursion=weight if isinstance(weight, Recursion) else None,
            _size=Numbers.read(size, "size", 1),
        )
        self.source.flags.writeable = False
        if isinstance(weight, Recursion):
            if kept is not None:
                raise ValueError("a Recursion carries its own kept; give kept there.")
            _check_recursion(self, weight)
        else:
            table = Numbers.read(weight, "weight", 2)
            share = (
                Numbers.ratio(np.ones(table.shape, np.int64), 1)
                if kept is None
                else Numbers.read(kept, "kept", 2)
            )
            self.__dict__.update(_weight=table, _kept=share)
            _check_tables(self)
            if kept is not None:
                self.__dict__.update(_kept=share.where_one(table.numerator == 0))
        self.__dict__.update(generation=_read_generation(generation, self.generations))

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        for table in (self.source, self.generation):
            table.flags.writeable = False

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Plan is frozen: build a new one to change {name!r}.")

    source: NDArray[np.int64]
    replace: bool
    name: str
    generation: NDArray[np.int64]
    recipe: Recipe | None
    recursion: Recursion | None
    _size: Numbers
    _weight: Numbers
    _kept: Numbers

    @property
    def generations(self) -> int:
        """Number of fits G."""
        return len(self.recursion.decay.numerator) if self.recursion else self._weight.shape[0]

    @property
    def batches(self) -> int:
        """Number of batches B."""
        return len(self.source)

    @property
    def rational(self) -> bool:
        """Whether every entry is an int or a Fraction, so that exact answers exist."""
        tables = [self._size]
        if self.recursion:
            rows = self.recursion
            parts = [rows.kept, *((rows.entries.weight, rows.entries.kept) if rows.entries else ())]
            tables += [rows.decay, rows.share, *(part for part in parts if part)]
        else:
            tables += [self._weight, self._kept]
        return all(t.rational for t in tables)

    @property
    def size(self) -> Array:
        """Rows of each batch as a multiple of n, shape (B,)."""
        return self.exact_size(False)

    @property
    def weight(self) -> Array:
        """Share of each fit's weight on each batch, dense, shape (G, B)."""
        return self.exact_weight(False)

    @property
    def kept(self) -> Array:
        """Share of each batch's rows that each fit reads, dense, shape (G, B)."""
        return self.exact_kept(False)

    def exact_size(self, exact: bool = True) -> NDArray[Any]:
        """`size` in Fractions (or floats)."""
        return (
            self._size.fractions("size") if flag(exact, "exact") else _frozen(self._size.floats())
        )

    def exact_weight(self, exact: bool = True) -> NDArray[Any]:
        """`weight` in Fractions (or floats)."""
        if self.recursion:
            self._check_room(flag(exact, "exact"))
            return _frozen(self.recursion.weight(self.batches, exact))
        return (
            self._weight.fractions("weight")
            if flag(exact, "exact")
            else _frozen(self._weight.floats())
        )

    def exact_kept(self, exact: bool = True) -> NDArray[Any]:
        """`kept` in Fractions (or floats)."""
        if self.recursion:
            self._check_room(flag(exact, "exact"))
            return _frozen(self.recursion.kept_table(self.batches, exact))
        return (
            self._kept.fractions("kept") if flag(exact, "exact") else _frozen(self._kept.floats())
        )

    def _check_room(self, exact: bool) -> None:
        """Refuse to write out a table that memory would not hold, or fractions not in an hour."""
        fewer = "take fewer generations, or a workflow that looks fewer batches up"
        shape = f"the dense table (G, B) of {self.name}, {self.generations:,} by {self.batches:,},"
        most = LARGEST_EXACT if exact else HELD
        held(self.generations * max(self.generations, self.batches), shape, fewer, most)

    @cached_property
    def reads_whole_batches(self) -> bool:
        """Whether every fit reads every row of the batches it weighs, so that rows can be summed up
        once.
        """
        if self.replace:
            return False
        if self.recursion:
            rows = self.recursion
            parts = [rows.kept, rows.entries.kept if rows.entries else None]
            return all(part is None or bool(np.all(part.floats() == 1)) for part in parts)
        return bool(np.all(self.kept[self.weight > 0] == 1))

    @cached_property
    def reading(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """First and last fit, from 0, that looks each batch up, shapes (B,); -1 where none does.
        What a recursion carries on is not looked up.
        """
        first, last = np.full(self.batches, self.generations), np.full(self.batches, -1)
        if self.recursion:
            newest = np.flatnonzero(self.recursion.share.numerator)
            pairs = [(newest, self.recursion.newest[newest])]
            if self.recursion.entries:
                pairs.append((self.recursion.entries.fit, self.recursion.entries.batch))
            for fit, batch in pairs:
                np.minimum.at(first, batch, fit)
                np.maximum.at(last, batch, fit)
        else:
            fit, batch = np.nonzero(self._weight.numerator)
            np.minimum.at(first, batch, fit)
            np.maximum.at(last, batch, fit)
        return np.where(last < 0, -1, first), last

    @cached_property
    def arrivals(self) -> list[list[int]]:
        """For each fit the batches, from 0, drawn just before it: synthetic ones as soon as their
        source is fitted, then real ones to be read.
        """
        first, last = self.reading
        out: list[list[int]] = [[] for _ in range(self.generations)]
        for b in [
            *np.flatnonzero((last >= 0) & (self.source > 0)).tolist(),
            *np.flatnonzero((last >= 0) & (self.source == 0)).tolist(),
        ]:
            out[int(self.source[b]) or int(first[b])].append(b)
        return out

    @cached_property
    def live(self) -> int:
        """Most batches that must be remembered at once."""
        _, last = self.reading
        read = last >= 0
        born = np.zeros(self.generations + 1, np.int64)
        np.add.at(born, [g for g, batches in enumerate(self.arrivals) for _ in batches], 1)
        np.add.at(born, last[read] + 1, -1)
        return int(np.cumsum(born).max())

    def feedback(self, exact: bool = False) -> NDArray[Any]:
        """A, shape (G, G): A[g, s] is the weight that fit g + 1 puts on data drawn from fit s +
        1.
        """
        weight = self.exact_weight(exact)
        self._check_room(exact)
        table = _zeros(exact, self.generations, self.generations)
        for b, s in enumerate(self.source):
            if s:
                table[:, s - 1] += weight[:, b]
        return table

    def subsampling_noise(self, exact: bool = False) -> NDArray[Any]:
        """Limit variance (G,) that draws of rows add to each fit, in units of a fit to n rows."""
        exact = flag(exact, "exact")
        if self.recursion:
            return self._recursive_noise(self.recursion, exact)
        kept, size = self.exact_kept(exact), self.exact_size(exact)
        return np.asarray((self.exact_weight(exact) ** 2 * self._drawing(kept) / size).sum(axis=1))

    def _recursive_noise(self, rows: Recursion, exact: bool) -> NDArray[Any]:
        size = self.exact_size(exact)
        out = _zeros(exact, self.generations)
        if rows.kept is not None or self.replace:
            decay = rows.decay.fractions("weight") if exact else rows.decay.floats()
            share = rows.share.fractions("weight") if exact else rows.share.floats()
            squares = out[0]
            for g, (d, s) in enumerate(
                zip((decay**2).tolist(), (share**2 / size[rows.newest]).tolist(), strict=True)
            ):
                squares = d * squares + s
                out[g] = squares
            out = out * self._drawing(rows.share_kept(exact))
        if rows.entries:
            weight = (
                rows.entries.weight.fractions("weight") if exact else rows.entries.weight.floats()
            )
            np.add.at(
                out,
                rows.entries.fit,
                weight**2
                * self._drawing(rows.entries.share_kept(exact))
                / size[rows.entries.batch],
            )
        return out

    def _drawing(self, kept: NDArray[Any]) -> NDArray[Any]:
        """Variance that drawing a share of a batch's rows adds, in units of the batch mean's
        own.
        """
        return np.asarray(1 / kept if self.replace else 1 / kept - 1)

    def noise(self, exact: bool = False) -> NDArray[Any]:
        """K, shape (G, G): covariance of the fresh noise in the fits, W diag(1 / size) W' +
        diag(subsampling).
        """
        weight = self.exact_weight(exact)
        self._check_room(exact)
        K: NDArray[Any] = (weight / self.exact_size(exact)) @ weight.T
        diagonal = np.arange(self.generations)
        K[diagonal, diagonal] += self.subsampling_noise(exact)
        return K

    def rows(self, n: int) -> NDArray[np.int64]:
        """Rows of each batch where the real world gives n, shape (B,).

        Raises
        ------
        ValueError
            Where n is no positive whole number, or size * n is not whole for a batch.
        """
        n = whole(n, "n", "rows of real data")
        with np.errstate(over="ignore"):
            exact = self.size * n
        if exact.max() > LARGEST:
            b = int(exact.argmax())
            raise ValueError(
                f"batch {b + 1} would have {exact[b]:.3g} rows (size {self.size[b]:g} times n ="
                f" {n:,}), and can have {LARGEST:,} at most; take a smaller n."
            )
        m = np.rint(exact).astype(np.int64)
        bad = (np.abs(exact - m) > TOLERANCE * exact) | (m < 1)
        if bad.any():
            b = int(np.argmax(bad))
            raise ValueError(
                f"batch {b + 1} would have {exact[b]:g} rows (size {self.size[b]:g} times n = {n});"
                " choose n so that it is whole."
            )
        return m

    def reference(self, n: int | None = None) -> float:
        """Risk of fit 1 in units of that of a fit to all n real rows: C[1, 1] in the limit; with n,
        that of weighted means at n.

        1 where fit 1 reads n real rows whole, 2 where it bootstraps them.

        Raises
        ------
        ValueError
            Where n does not fit the batches.
        """
        first = _corner(self, 1, self.batches)
        weight, read = first.weight[0], first.weight[0] > 0
        if n is None:
            noise = (1 + self._drawing(first.kept[0, read])) / first.size[read]
        else:
            noise = n * (1 / first.rows(n) + draw_noise(first, n)[0])[read]
        return float(weight[read] ** 2 @ noise)

    def reads(self, n: int) -> Array:
        """Mean number of rows of batch b that fit g reads, kept * rows, shape (G, B); 0 where the
        weight is 0.

        Raises
        ------
        ValueError
            Where a fit would read less than one row of a batch that it weighs: n is too small for
            so many generations.
        """
        k = np.where(self.weight > 0, self.kept * self.rows(n), 0.0)
        k = np.where(np.abs(k - np.rint(k)) <= TOLERANCE * k, np.rint(k), k)
        few = (k > 0) & (k < 1)
        if few.any():
            g, b = np.argwhere(few)[0]
            raise ValueError(
                f"n = {n} is too small for so many generations: fit {g + 1} would read"
                f" {k[g, b]:.3g} rows of batch {b + 1}, and at least 1 is needed; take n >="
                f" {int(np.ceil(n / k[few].min() - 1e-9))} or fewer generations."
            )
        return k

    def to_json(self) -> dict[str, Any]:
        """Return the plan as plain lists, numbers and text."""
        out: dict[str, Any] = {
            "name": self.name,
            "replace": self.replace,
            "source": self.source.tolist(),
            "size": self._size.to_json(),
        }
        out["generation"] = self.generation.tolist()
        if self.recipe:
            out["recipe"] = {"workflow": self.recipe.workflow, "parameters": self.recipe.plain()}
        if self.recursion:
            r, e = self.recursion, self.recursion.entries
            out["recursion"] = {
                "decay": r.decay.to_json(),
                "share": r.share.to_json(),
                "kept": r.kept.to_json() if r.kept else None,
                "batch": None if r.batch is None else r.batch.tolist(),
                "entries": (
                    e
                    and {
                        "fit": e.fit.tolist(),
                        "batch": e.batch.tolist(),
                        "weight": e.weight.to_json(),
                        "kept": e.kept.to_json() if e.kept else None,
                    }
                ),
            }
        else:
            out |= {"weight": self._weight.to_json(), "kept": self._kept.to_json()}
        return out

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Plan:
        """Rebuild a plan from `to_json`.

        Raises
        ------
        ValueError
            Where the document is not what `to_json` wrote.
        """

        def read(part: dict[str, Any], key: str, ndim: int = 1) -> Numbers:
            return Numbers.from_json(part[key], key if key in _SHAPES else "weight", ndim)

        def perhaps(part: dict[str, Any], key: str) -> Numbers | None:
            return None if part[key] is None else read(part, key)

        with saved("this plan"):
            common: dict[str, Any] = {"replace": document["replace"], "name": document["name"]}
            if not isinstance(common["name"], str):
                raise ValueError(f"name must be text; it is {brief(common['name'])}.")
            source, generation = (
                whole_numbers(document[key], key) for key in ("source", "generation")
            )
            size, recipe = read(document, "size"), Recipe.read(document.get("recipe"))
            weight: Any
            kept: Any = None
            if "recursion" in document:
                r, e = document["recursion"], document["recursion"]["entries"]
                entries = e and Entries(
                    whole_numbers(e["fit"], "fit"),
                    whole_numbers(e["batch"], "batch"),
                    read(e, "weight"),
                    perhaps(e, "kept"),
                )
                batch = None if r["batch"] is None else whole_numbers(r["batch"], "batch")
                weight = Recursion(
                    read(r, "decay"), read(r, "share"), perhaps(r, "kept"), batch, entries or None
                )
            else:
                weight, kept = read(document, "weight", 2), read(document, "kept", 2)
            plan = cls(source, size, weight, kept, generation=generation, **common)
            plan.__dict__.update(recipe=recipe)
            return plan

    def __repr__(self) -> str:
        return f"<Plan {self.name}: {self.generations} fits, {self.batches} batches>"

    def __str__(self) -> str:
        return _print(self)


def draw_noise(plan: Plan, n: int, exact: bool = False) -> NDArray[Any]:
    """Finite-n noise (G, B) of a fit's draw from a batch, in units of the batch's row variance:
    E[1/k] - 1/rows.

    k, the rows read, is kept * rows where that is whole, otherwise its floor or its ceiling at
    random with that mean. With replacement: (1 - 1/rows) E[1/k].
    """
    k, m = plan.reads(n), plan.rows(n)
    low: NDArray[Any] = np.maximum(np.floor(k), 1)
    mean: NDArray[Any] = k
    rows: NDArray[Any] = m.astype(np.float64)
    if exact:
        low = np.vectorize(lambda v: Fraction(int(v)), otypes=[object])(low)
        rows = np.array([Fraction(int(v)) for v in m], dtype=object)
        mean = plan.exact_kept() * rows
    part = mean - low
    inverse = (1 - part) / low + part / (low + 1)
    out = inverse * (1 - 1 / rows) if plan.replace else inverse - 1 / rows
    # batches that are not read have weight 0, whatever stands here
    return np.asarray(out)


def _zeros(exact: bool, *shape: int) -> NDArray[Any]:
    return np.full(shape, Fraction(0), object) if exact else np.zeros(shape)


def _frozen(table: NDArray[Any]) -> NDArray[Any]:
    table = table.view()
    table.flags.writeable = False
    return table


def _read_source(source: ArrayLike) -> NDArray[np.int64]:
    raw = numbers(source, "source", _SHAPES["source"])
    if raw.ndim != 1 or raw.size == 0:
        raise ValueError(
            f"source must be a list of batches, shape (B,) with B >= 1; it has shape {raw.shape}."
        )
    if raw.dtype.kind != "i":
        raise ValueError(
            "source must hold integers (0 real data, s >= 1 the model of fit s); it holds"
            f" {raw.dtype} data."
        )
    if raw.min() < 0:
        raise ValueError(
            f"source must be 0 (real data) or the number of a fit; batch {int(raw.argmin()) + 1}"
            f" has {raw.min()}."
        )
    return raw


def _read_generation(generation: ArrayLike | None, fits: int) -> NDArray[np.int64]:
    shape = "one generation for each fit, shape (G,)"
    raw = np.arange(1, fits + 1) if generation is None else numbers(generation, "generation", shape)
    if raw.shape != (fits,) or raw.dtype.kind != "i" or raw.min() < 1 or np.any(np.diff(raw) < 0):
        raise ValueError(
            f"generation must hold {fits} whole numbers from 1 on, one for each fit, none smaller"
            " than the one before."
        )
    raw.flags.writeable = False
    return raw


def _check_finite_positive(name: str, table: Array, where: str) -> None:
    if not np.all(np.isfinite(table)):
        raise ValueError(
            f"{name} must be finite; {where} {_first(~np.isfinite(table))} is"
            f" {table[~np.isfinite(table)][0]}."
        )
    if np.any(table <= 0):
        raise ValueError(
            f"{name} must be positive; {where} {_first(table <= 0)} is {table[table <= 0][0]:g}."
        )
    far = (table < 1 / FARTHEST) | (table > FARTHEST)
    if np.any(far):
        raise ValueError(
            f"{name} must lie between {1 / FARTHEST:g} and {FARTHEST:g}, whose squares floats hold;"
            f" {where} {_first(far)} is {table[far][0]:g}."
        )


def _first(mask: NDArray[np.bool_]) -> str:
    at = np.argwhere(mask)[0] + 1
    return str(at[0]) if len(at) == 1 else f"(fit {at[0]}, batch {at[1]})"


def _check_tables(plan: Plan) -> None:
    source, size = plan.source, plan.size
    weight, kept = plan.weight, plan.kept
    G, B = weight.shape
    if G == 0:
        raise ValueError("weight has no row; give one row for each fit.")
    if len(source) != B or len(size) != len(source):
        raise ValueError(
            f"shapes disagree: source has {len(source)} batches, size {len(size)}, weight {B}"
            " columns; all must be B."
        )
    if kept.shape != weight.shape:
        raise ValueError(
            f"shapes disagree: kept is {kept.shape}, weight {weight.shape}; both must be (G, B)."
        )
    _check_finite_positive("size", size, "batch")
    if not np.all(np.isfinite(weight)):
        raise ValueError(
            f"weight must be finite; {_first(~np.isfinite(weight))} is"
            f" {weight[~np.isfinite(weight)][0]}."
        )
    if np.any(weight < 0):
        raise ValueError(
            f"weight must not be negative; {_first(weight < 0)} is {weight[weight < 0][0]:g}."
        )
    used = weight > 0
    if not used.any(axis=1).all():
        raise ValueError(
            f"no batch read: fit {_first(np.asarray(~used.any(axis=1)))} gives weight to no batch;"
            " a fit needs data."
        )
    early = used & (source[None, :] > np.arange(G)[:, None])
    if early.any():
        g, b = np.argwhere(early)[0] + 1
        raise ValueError(
            f"batch {b} is read by fit {g}, but it is drawn from the model of fit {source[b - 1]},"
            " which is fitted later; give it weight 0 there, or reorder the fits."
        )
    if source.max() > G:
        raise ValueError(f"source names fit {source.max()}, but weight has {G} rows (fits).")
    with np.errstate(invalid="ignore"):
        bad = used & ~((kept > 0) & (kept <= 1))
    if bad.any():
        raise ValueError(
            f"kept must lie in (0, 1]; {_first(bad)} is {kept[bad][0]:g}. A batch that is not read"
            " has weight 0."
        )
    sums = weight.sum(axis=1)
    wrong: NDArray[np.bool_] = np.abs(sums - 1) > TOLERANCE
    if wrong.any():
        g = int(np.argmax(wrong))
        raise ValueError(
            f"weights must sum to one in each row; those of fit {g + 1} sum to {sums[g]:.15g}."
            " Divide the row by its sum."
        )
    if plan._weight.denominator is not None and np.any(plan._weight.denominator != 1):
        for g, row in enumerate(plan.exact_weight()):
            if (total := sum(row)) != 1:
                raise ValueError(
                    f"weights must sum to one in each row; those of fit {g + 1} sum to {total}."
                    " Divide the row by its sum."
                )


def _check_recursion(plan: Plan, rows: Recursion) -> None:
    decay, share, size = rows.decay.floats(), rows.share.floats(), plan.size
    G = len(decay)
    if (
        rows.batch is None
        and np.any(share > 0)
        and not np.array_equal(plan.source[:G], np.arange(G))
    ):
        raise ValueError(
            "a Recursion without batch carries the newest batch of each fit: source must be 0, 1,"
            " ..., G - 1."
        )
    if (
        share.shape != (G,)
        or size.shape != plan.source.shape
        or (rows.kept is not None and rows.kept.shape != (G,))
    ):
        raise ValueError(
            "shapes disagree: decay, share and kept of a Recursion must all have shape (G,), size"
            " and source (B,)."
        )
    if rows.batch is not None and (
        rows.batch.shape != (G,) or np.any((rows.batch < 0) | (rows.batch >= plan.batches))
    ):
        raise ValueError("batch of a Recursion must name one of the batches, from 0, for each fit.")
    if plan.source.max() > G:
        raise ValueError(f"source names fit {plan.source.max()}, but the Recursion has {G} fits.")
    _check_finite_positive("size", size, "batch")
    if not (np.all(decay >= 0) and np.all(share >= 0) and np.all(decay <= 1)):
        raise ValueError("decay and share of a Recursion must lie between 0 and 1.")
    if decay[0] != 0:
        raise ValueError(
            f"decay of a Recursion must be 0 for fit 1, which no fit precedes; it is {decay[0]:g}."
        )
    newest = np.flatnonzero(share > 0)
    _check_order(plan, newest, rows.newest[newest])
    if rows.entries is None:
        wrong = _wrong_sums(rows.decay, rows.share)
        total = decay + share
    else:
        total = _check_entries(plan, rows, rows.entries)
        wrong = total != 1 if plan.rational else np.abs(total - 1) > TOLERANCE
    if wrong.any():
        g = int(np.argmax(wrong))
        raise ValueError(
            f"weights must sum to one in each row; those of fit {g + 1} sum to"
            f" {float(total[g]):.15g}. Divide the row by its sum."
        )
    if rows.kept is not None:
        _check_kept(rows.kept.floats())


def _wrong_sums(decay: Numbers, share: Numbers) -> NDArray[np.bool_]:
    """Tell where decay and share do not sum to one: exactly for rationals."""
    if decay.denominator is None or share.denominator is None:
        return np.asarray(np.abs(decay.floats() + share.floats() - 1) > TOLERANCE)
    parts = [decay.numerator, decay.denominator, share.numerator, share.denominator]
    if any(part.dtype == object or part.max() >= 2**30 for part in parts):
        parts = [part.astype(object) for part in parts]
    a, b, c, d = parts
    return np.asarray(a * d + c * b != b * d, bool)


def _check_kept(kept: Array) -> None:
    if not np.all((kept > 0) & (kept <= 1)):
        raise ValueError(
            f"kept must lie in (0, 1]; it is {kept[~((kept > 0) & (kept <= 1))][0]:g} for one fit."
        )


def _check_order(plan: Plan, fit: NDArray[np.int64], batch: NDArray[np.int64]) -> None:
    early = plan.source[batch] > fit
    if early.any():
        i = int(np.argmax(early))
        raise ValueError(
            f"batch {batch[i] + 1} is read by fit {fit[i] + 1}, but it is drawn from the model of"
            f" fit {plan.source[batch[i]]}, which is fitted later; give it weight 0 there, or"
            " reorder the fits."
        )


def _sums(weight: Numbers, fit: NDArray[np.int64], fits: int) -> NDArray[np.object_]:
    """Exact sum of each fit's weights."""
    assert weight.denominator is not None
    common = lcm(*np.unique(weight.denominator).tolist())
    if common * int(weight.numerator.max()) * len(fit) < 2**62:
        sums = np.zeros(fits, np.int64)
        np.add.at(sums, fit, (weight.numerator * (common // weight.denominator)).astype(np.int64))
        return np.array(
            [1 if part == common else Fraction(part, common) for part in sums.tolist()],
            dtype=object,
        )
    total = _zeros(True, fits)
    np.add.at(total, fit, weight.fractions("weight"))
    return total


def _check_entries(plan: Plan, rows: Recursion, entries: Entries) -> NDArray[Any]:
    """Check the entries; return the sum of each fit's weights, exact where the plan is rational."""
    fit, batch = entries.fit, entries.batch
    G, B = len(rows.decay.numerator), plan.batches
    if not (fit.shape == batch.shape == entries.weight.shape) or (
        entries.kept is not None and entries.kept.shape != fit.shape
    ):
        raise ValueError(
            "shapes disagree: fit, batch, weight and kept of Entries must have one length."
        )
    if (
        np.any(np.diff(fit) < 0)
        or np.any((fit < 0) | (fit >= G))
        or np.any((batch < 0) | (batch >= B))
    ):
        raise ValueError(
            f"Entries must be ordered by fit, with fits below {G} and batches below {B}, from 0."
        )
    weight = entries.weight.floats()
    if not np.all(weight > 0) or not np.all(np.isfinite(weight)):
        raise ValueError(
            "weights of Entries must be positive and finite; leave out those that are zero."
        )
    if entries.kept is not None:
        _check_kept(entries.kept.floats())
    _check_order(plan, fit, batch)
    since = np.full(B, G)  # the fit that takes a batch up to carry it on
    newest = np.flatnonzero(rows.share.numerator)
    since[rows.newest[newest]] = newest
    stops = np.cumsum(rows.decay.numerator == 0)
    carried = (since[batch] <= fit) & (stops[fit] == stops[np.minimum(since[batch], G - 1)])
    if carried.any() or len(np.unique(fit * B + batch)) < len(fit):
        raise ValueError(
            "an entry (fit, batch) of Entries occurs twice, or names a batch that is carried on"
            " already; give one weight to each."
        )
    exact = plan.rational
    total = _sums(entries.weight, fit, G) if exact else np.bincount(fit, weight, G)
    if not newest.size:
        return total
    held = total[0] * 0
    decay, share = (
        (part.fractions("weight") if exact else part.floats()).tolist()
        for part in (rows.decay, rows.share)
    )
    for g in range(G):
        held = decay[g] * held + share[g]
        total[g] += held
    return total


def _print(plan: Plan, most: int = 8) -> str:
    G, B = plan.generations, plan.batches
    fits, batches = min(G, most), min(B, most)
    head = f"{plan.name}: {G} fit{'s' * (G > 1)}, {B} batch{'es' * (B > 1)}" + (
        ", drawn with replacement" if plan.replace else ""
    )

    def show(value: Any) -> str:
        return str(value) if isinstance(value, Fraction) else f"{value:.4g}"

    exact = plan.rational
    corner = plan if fits == G and batches == B else _corner(plan, fits, batches)
    weight, kept, size = (
        corner.exact_weight(exact),
        corner.exact_kept(exact),
        corner.exact_size(exact),
    )
    rows = [
        ["batch", *(str(b + 1) for b in range(batches))],
        ["source", *("real" if s == 0 else "fit" for s in plan.source[:batches])],
        ["", *("" if s == 0 else str(s) for s in plan.source[:batches])],
        ["size", *(show(v) for v in size)],
    ]
    for g in range(fits):
        cells = []
        for b in range(batches):
            if weight[g, b] == 0:
                cells.append(".")
            else:
                cells.append(
                    show(weight[g, b])
                    + ("" if kept[g, b] == 1 and not plan.replace else f" of {show(kept[g, b])}")
                )
        rows.append([f"fit {g + 1}", *cells])
    width = max(len(cell) for row in rows for cell in row[1:])
    lines = [
        (
            row[0].ljust(9) + "".join(cell.rjust(width + 2 if width > 2 else 5) for cell in row[1:])
        ).rstrip()
        for row in rows
    ]
    if fits < G or batches < B:
        lines.append(f"... ({G} fits, {B} batches in all)")
    return "\n".join([head, *lines])


def _corner(plan: Plan, fits: int, batches: int) -> Plan:
    """Return the first fits and batches, unchecked, for printing."""
    part: Plan = object.__new__(Plan)

    def cut(numbers: Numbers, *shape: slice) -> Numbers:
        return Numbers(
            numbers.numerator[shape],
            None if numbers.denominator is None else numbers.denominator[shape],
        )

    f, b = slice(fits), slice(batches)
    if plan.recursion:
        r, e = plan.recursion, plan.recursion.entries
        if e:
            few = slice(int(np.searchsorted(e.fit, fits)))
            e = Entries(
                e.fit[few], e.batch[few], cut(e.weight, few), cut(e.kept, few) if e.kept else None
            )
        rows = Recursion(
            cut(r.decay, f), cut(r.share, f), cut(r.kept, f) if r.kept else None, r.newest[f], e
        )

        def table(kind: str) -> Numbers:
            exact = plan.rational
            full = (
                rows.weight(plan.batches, exact)
                if kind == "weight"
                else rows.kept_table(plan.batches, exact)
            )
            return Numbers.read(full[f, b], kind, 2)

        weight, kept = table("weight"), table("kept")
    else:
        weight, kept = cut(plan._weight, f, b), cut(plan._kept, f, b)
    part.__dict__.update(
        recursion=None, source=plan.source[b], _size=cut(plan._size, b), _weight=weight, _kept=kept
    )
    part.__dict__.update(replace=plan.replace, name=plan.name)
    return part
