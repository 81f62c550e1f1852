"""Plan: a workflow written as a few tables, checked and frozen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cached_property
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from collapse.answers import plain, read_fields
from collapse.checks import (
    HELD,
    LARGEST,
    counted,
    flag,
    held,
    numbers,
    require,
    saved,
    text,
    whole,
    whole_numbers,
)
from collapse.exact import ONE, SHAPES, Array, Numbers, inverses, zeros
from collapse.protocol import Recipe
from collapse.recursion import TOLERANCE, Recursion, check_recursion, typed

LARGEST_EXACT = 10**7
"""Fractions in the largest table that is written out."""

SHOWN = 8
"""Fits and batches that a plan prints at most."""


def checked_plan(value: Any, name: str, why: str = "") -> Plan:
    """Return `value` if it is a plan; refuse a reservoir too, saying why.

    Raises
    ------
    ValueError
        Otherwise, naming the argument.
    """
    require(
        isinstance(value, Plan),
        f"{name} must be a collapse.Plan, such as collapse.workflows.augment(50); it is"
        f" {type(value).__name__}.{why}",
    )
    return value  # type: ignore[no-any-return]


class Replace(int):
    """Whether a plan's rows are drawn with replacement, as a truth value; called, the same plan
    with parts changed.
    """

    plan: Plan

    def __new__(cls, plan: Plan) -> Self:
        value = super().__new__(cls, plan.bootstraps)
        value.plan = plan
        return value

    def __repr__(self) -> str:
        return repr(bool(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return bool, (bool(self),)

    def __call__(self, **changes: Any) -> Plan:
        return self.plan.__replace__(**changes)


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
        replace: bool | Replace = False,
        name: str = "plan",
        generation: ArrayLike | None = None,
    ) -> None:
        batches, sizes = _read_source(source), Numbers.read(size, "size", 1)
        if isinstance(weight, Recursion):
            require(kept is None, "a Recursion carries its own kept; give kept there.")
            rows = weight
        else:
            share = ONE if kept is None else Numbers.read(kept, "kept", 2)
            rows = typed(Numbers.read(weight, "weight", 2), share, batches, len(sizes.numerator))
        check_recursion(rows, batches, sizes)
        batches.flags.writeable = False
        self.__dict__.update(
            source=batches,
            bootstraps=flag(bool(replace) if isinstance(replace, Replace) else replace, "replace"),
            name=text(name, "name"),
            recipe=None,
            recursion=rows,
            generation=_read_generation(generation, rows.fits),
            _size=sizes,
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        for table in (self.source, self.generation):
            table.flags.writeable = False

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Plan is frozen: build a new one to change {name!r}.")

    persistent: ClassVar[Literal[False]] = False
    source: NDArray[np.int64]
    bootstraps: bool
    name: str
    generation: NDArray[np.int64]
    recipe: Recipe | None
    recursion: Recursion
    _size: Numbers

    @property
    def replace(self) -> Replace:
        """Whether rows are drawn with replacement; called, the plan with parts changed.

        ``plan.replace(name=..., size=...)`` takes what `Plan` takes, checks it anew, and leaves the
        rest as it is. The recipe is kept where the plan is still the same.

        Examples
        --------
        >>> import collapse
        >>> plan = collapse.workflows.discard(3)
        >>> bool(plan.replace), plan.replace(size=[1, 2, 4], name="doubling")
        (False, <Plan doubling: 3 fits, 3 batches>)
        """
        return Replace(self)

    def __replace__(self, /, **changes: Any) -> Plan:
        rows, numbered = self.recursion, np.arange(1, self.generations + 1)
        parts: dict[str, Any] = {
            "source": self.source,
            "size": self._size,
            "weight": rows,
            "replace": self.bootstraps,
            "name": self.name,
            "generation": None if np.array_equal(self.generation, numbered) else self.generation,
        }
        odd = sorted(changes.keys() - {*parts, "kept"})
        require(
            not odd,
            lambda _: (
                f"a Plan has no {odd[0]} to change; its parts are {', '.join(parts)} and kept."
            ),
        )
        if {"weight", "kept"} & changes.keys() and not isinstance(changes.get("weight"), Recursion):
            parts["weight"] = self.exact_weight(rows.rational)
            if any(np.any(part.floats() != 1) for part in (rows.kept, rows.entries.kept)):
                parts["kept"] = self.exact_kept(rows.rational)
        plan = Plan(**parts | changes)
        plan.__dict__.update(recipe=self.recipe if plan == self else None)
        return plan

    def __eq__(self, other: object) -> bool:
        """Whether both hold the same numbers exactly, in whichever form; names do not count."""
        if not isinstance(other, Plan):
            return NotImplemented
        return (
            self.bootstraps == other.bootstraps
            and np.array_equal(self.source, other.source)
            and np.array_equal(self.generation, other.generation)
            and self._size.same(other._size)
            and self.recursion.same(other.recursion, self.batches)
        )

    def __hash__(self) -> int:
        return hash((self.source.tobytes(), self.generation.tobytes(), self.size.tobytes()))

    @property
    def generations(self) -> int:
        """Number of fits G."""
        return self.recursion.fits

    @property
    def batches(self) -> int:
        """Number of batches B."""
        return len(self.source)

    @property
    def rational(self) -> bool:
        """Whether every entry is an int or a Fraction, so that exact answers exist."""
        return self._size.rational and self.recursion.rational

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
        return _frozen(self._size.values(flag(exact, "exact"), "size"))

    def exact_weight(self, exact: bool = True) -> NDArray[Any]:
        """`weight` in Fractions (or floats)."""
        return self._table(self.recursion.weight, exact)

    def exact_kept(self, exact: bool = True) -> NDArray[Any]:
        """`kept` in Fractions (or floats)."""
        return self._table(self.recursion.kept_table, exact)

    def _table(self, written: Callable[[int, bool], NDArray[Any]], exact: bool) -> NDArray[Any]:
        """A table (G, B) that memory holds, and whose fractions are no work of hours."""
        G, B = self.generations, self.batches
        held(
            G * max(G, B),
            f"the dense table (G, B) of {self.name}, {G:,} by {B:,},",
            "take fewer generations, or a workflow that looks fewer batches up",
            LARGEST_EXACT if flag(exact, "exact") else HELD,
        )
        return _frozen(written(B, exact))

    @cached_property
    def reads_whole_batches(self) -> bool:
        """Whether every fit reads every row of the batches it weighs, so that rows can be summed up
        once.
        """
        parts = self.recursion.kept, self.recursion.entries.kept
        return not self.bootstraps and all(bool(np.all(part.floats() == 1)) for part in parts)

    @cached_property
    def reading(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """First and last fit, from 0, that looks each batch up, shapes (B,); -1 where none does.
        What a recursion carries on is not looked up.
        """
        first, last = np.full(self.batches, self.generations), np.full(self.batches, -1)
        fit, batch, *_ = self.recursion.looked_up
        np.minimum.at(first, batch, fit)
        np.maximum.at(last, batch, fit)
        return np.where(last < 0, -1, first), last

    @cached_property
    def drawn_from(self) -> list[NDArray[np.int64]]:
        """For each fit the batches, from 0, that are drawn from its model."""
        order = np.argsort(self.source, kind="stable")
        ends = np.searchsorted(self.source, np.arange(1, self.generations + 1), sorter=order)
        return np.split(order, ends)[1:]

    @cached_property
    def arrivals(self) -> list[list[int]]:
        """For each fit the batches, from 0, drawn just before it: synthetic ones as soon as their
        source is fitted, then real ones to be read.
        """
        first, last = self.reading
        out: list[list[int]] = [[] for _ in range(self.generations)]
        for b in np.flatnonzero(last >= 0)[np.argsort(self.source[last >= 0] == 0, kind="stable")]:
            out[int(self.source[b]) or int(first[b])].append(int(b))
        return out

    @cached_property
    def places(self) -> NDArray[np.int64]:
        """For each batch a place in memory, from 1, that no other has while it is to be read, shape
        (B,); 0 where none reads it.
        """
        last, places = self.reading[1].tolist(), np.zeros(self.batches, np.int64)
        leaving: list[list[int]] = [[] for _ in range(self.generations)]
        free = list(range(self.batches, 0, -1))  # places given up are taken again first
        for g, batches in enumerate(self.arrivals):
            for b in batches:
                places[b] = free.pop()
                leaving[last[b]].append(int(places[b]))
            free += reversed(leaving[g])
        return places

    @cached_property
    def live(self) -> int:
        """Most batches that must be remembered at once."""
        return int(self.places.max())

    def real_sizes(self) -> Array:
        """Rows of each real batch as a multiple of n."""
        return np.asarray(self.size[self.source == 0])

    def rows_read(self) -> Array:
        """Rows that each fit reads as a multiple of n, shape (G,)."""
        return np.asarray(((self.weight > 0) * self.kept * self.size).sum(axis=1))

    def feedback(self, exact: bool = False) -> NDArray[Any]:
        """A, shape (G, G): A[g, s] is the weight that fit g + 1 puts on data drawn from fit s +
        1.
        """
        return feedback(self.exact_weight(exact), self.source)

    def subsampling_noise(self, exact: bool = False) -> NDArray[Any]:
        """Limit variance (G,) that draws of rows add to each fit, in units of a fit to n rows."""
        if self.reads_whole_batches:
            return zeros(flag(exact, "exact"), self.generations)
        cost, rows = 1 / self.exact_size(exact), self.recursion
        out: NDArray[Any] = rows.carried(cost, 2, exact) * self._drawing(rows.share_kept(exact))
        single = rows.entries.weight.values(exact) ** 2 * cost[rows.entries.batch]
        np.add.at(out, rows.entries.fit, single * self._drawing(rows.entries.share_kept(exact)))
        return out

    def _drawing(self, kept: NDArray[Any]) -> NDArray[Any]:
        """Variance that drawing a share of a batch's rows adds, in units of the batch mean's
        own.
        """
        return np.asarray(1 / kept - (not self.bootstraps))

    def noise(self, exact: bool = False) -> NDArray[Any]:
        """K, shape (G, G): covariance of the fresh noise in the fits, W diag(1 / size) W' +
        diag(subsampling).
        """
        weight = self.exact_weight(exact)
        fresh = (weight / self.exact_size(exact)) @ weight.T
        return np.asarray(fresh + np.diag(self.subsampling_noise(exact)))

    def rows(self, n: int) -> NDArray[np.int64]:
        """Rows of each batch where the real world gives n, shape (B,).

        Raises
        ------
        ValueError
            Where n is no positive whole number, or size * n is not whole for a batch.
        """
        with np.errstate(over="ignore"):
            exact = self.size * whole(n, "n", "rows of real data")
        require(
            exact <= LARGEST,
            lambda b: (
                f"batch {b + 1} would have {exact[b]:.3g} rows (size {self.size[b]:g} times n ="
                f" {n:,}), and can have {LARGEST:,} at most; take a smaller n."
            ),
        )
        rows = np.rint(exact).astype(np.int64)
        require(
            (np.abs(exact - rows) <= TOLERANCE * exact) & (rows >= 1),
            lambda b: (
                f"batch {b + 1} would have {exact[b]:g} rows (size {self.size[b]:g} times n = {n});"
                " choose n so that it is whole."
            ),
        )
        return rows

    def reference(self, n: int | None = None) -> float:
        """Risk of fit 1 in units of that of a fit to all n real rows: C[1, 1] in the limit; with n,
        that of weighted means at n.

        1 where fit 1 reads n real rows whole, 2 where it bootstraps them.

        Raises
        ------
        ValueError
            Where n does not fit the batches.
        """
        cells = next(self.recursion.rows(False, 1))
        size, (weight, kept) = self.size[list(cells)], np.array(list(cells.values())).T
        if n is None:
            noise = (1 + self._drawing(kept)) / size
        else:
            self.rows(n)
            first = Plan([0] * len(cells), size, weight[None], kept[None], replace=self.bootstraps)
            noise = n * (1 / first.rows(n) + draw_noise(first, n)[0])
        return float(weight**2 @ noise)

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
        require(
            (k == 0) | (k >= 1),
            lambda i: (
                f"n = {n} is too small for so many generations: fit {i // self.batches + 1} would"
                f" read {k.flat[i]:.3g} rows of batch {i % self.batches + 1}, and at least 1 is"
                f" needed; take n >= {int(np.ceil(n / k[k > 0].min() - 1e-9))} or fewer"
                " generations."
            ),
        )
        return k

    def to_json(self) -> dict[str, Any]:
        """Return the plan as plain lists, numbers and text."""
        return {
            "name": self.name,
            "replace": self.bootstraps,
            "source": self.source.tolist(),
            "size": self._size.to_json(),
            "generation": self.generation.tolist(),
            "recipe": self.recipe and self.recipe.to_json(),
            "recursion": plain(self.recursion),
        }

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Plan:
        """Rebuild a plan from `to_json`.

        Raises
        ------
        ValueError
            Where the document is not what `to_json` wrote.
        """

        with saved("this plan"):
            called = document["name"]  # fails where it is no mapping at all
            # in older documents tables (G, B), or a recursion whose entries are null
            tables: list[Any] = (
                [Recursion(**read_fields(Recursion, {"entries": None} | document["recursion"], {}))]
                if "recursion" in document
                else [Numbers.from_json(document[key], key, 2) for key in ("weight", "kept")]
            )
            plan = cls(
                whole_numbers(document["source"], "source"),
                Numbers.from_json(document["size"], "size", 1),
                *tables,
                replace=document["replace"],
                name=called,
                generation=whole_numbers(document["generation"], "generation"),
            )
            plan.__dict__.update(recipe=Recipe.read(document.get("recipe")))
            return plan

    def __repr__(self) -> str:
        return f"<Plan {self._counts()}>"

    def _counts(self) -> str:
        fits, batches = counted(self.generations, "fit"), counted(self.batches, "batch", "batches")
        return f"{self.name}: {fits}, {batches}"

    def __str__(self) -> str:
        G, B = self.generations, self.batches
        fits, batches = min(G, SHOWN), min(B, SHOWN)

        def show(value: Any) -> str:
            return str(value) if isinstance(value, Fraction) else f"{value:.4g}"

        def cell(weight: Any, kept: Any) -> str:
            part = "" if kept == 1 and not self.bootstraps else f" of {show(kept)}"
            return f"{show(weight)}{part}" if weight else "."

        read = self.recursion.rows(self.rational, fits)
        rows = [
            ["batch", *(str(b + 1) for b in range(batches))],
            ["source", *("fit" if s else "real" for s in self.source[:batches])],
            ["", *(str(s) if s else "" for s in self.source[:batches])],
            ["size", *map(show, self.exact_size(self.rational)[:batches])],
            *(
                [f"fit {g}", *(cell(*row.get(b, (0, 1))) for b in range(batches))]
                for g, row in enumerate(read, 1)
            ),
        ]
        widest = max(len(cell) for row in rows for cell in row[1:])
        width = widest + 2 if widest > 2 else 5
        lines = ["".join([f"{row[0]:9}", *(f"{c:>{width}}" for c in row[1:])]) for row in rows]
        how = ", drawn with replacement" * self.bootstraps
        more = [f"... ({G:,} fits, {B:,} batches in all)"] * (fits < G or batches < B)
        return "\n".join([f"{self._counts()}{how}", *(line.rstrip() for line in lines), *more])


def feedback(weight: NDArray[Any], source: NDArray[np.int64]) -> NDArray[Any]:
    """A (G, G) of a weight table (G, B): the weight of each fit's batches together."""
    table = zeros(weight.dtype == object, len(weight), len(weight))
    for b in np.flatnonzero(source):
        table[:, source[b] - 1] += weight[:, b]
    return table


def draw_noise(plan: Plan, n: int | None, exact: bool = False) -> NDArray[Any]:
    """Noise (G, B) of a fit's draw from a batch, in units of the batch's row variance: E[1/k] -
    1/rows. For many rows (n = None) n times that.

    k, the rows read, is kept * rows where that is whole, otherwise its floor or its ceiling at
    random with that mean. With replacement: (1 - 1/rows) E[1/k].
    """
    if plan.reads_whole_batches:
        return zeros(exact, plan.generations, plan.batches)
    if n is None:
        return np.asarray(plan._drawing(plan.exact_kept(exact)) / plan.exact_size(exact))
    reads, once = plan.reads(n), inverses(plan.rows(n), exact)
    mean = plan.exact_kept() / once if exact else reads
    low = np.maximum(mean // 1, 1)
    part = mean - low
    inverse = (1 - part) / low + part / (low + 1)
    # batches that are not read have weight 0, whatever stands here
    return np.asarray(inverse * (1 - once) if plan.replace else inverse - once)


def _frozen(table: NDArray[Any]) -> NDArray[Any]:
    table = table.view()
    table.flags.writeable = False
    return table


def _read_source(source: ArrayLike) -> NDArray[np.int64]:
    raw = numbers(source, "source", SHAPES["source"])
    require(
        raw.ndim == 1 and raw.size > 0,
        f"source must be a list of batches, shape (B,) with B >= 1; it has shape {raw.shape}.",
    )
    require(
        raw.dtype.kind == "i",
        "source must hold integers (0 real data, s >= 1 the model of fit s); it holds"
        f" {raw.dtype} data.",
    )
    require(
        raw >= 0,
        lambda b: (
            f"source must be 0 (real data) or the number of a fit; batch {b + 1} has {raw[b]}."
        ),
    )
    return raw


def _read_generation(generation: ArrayLike | None, fits: int) -> NDArray[np.int64]:
    given = np.arange(1, fits + 1) if generation is None else generation
    raw = numbers(given, "generation", "one generation for each fit, shape (G,)")
    require(
        raw.shape == (fits,) and raw.dtype.kind == "i" and np.all(np.diff(raw, prepend=1) >= 0),
        f"generation must hold {fits} whole numbers from 1 on, one for each fit, none smaller"
        " than the one before.",
    )
    raw.flags.writeable = False
    return raw
