"""Recursion: the weights of a plan in the one form that every engine reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import lcm
from operator import eq
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collapse.answers import read_fields
from collapse.checks import brief, require
from collapse.exact import ONE, Array, Numbers, zeros

TOLERANCE = 1e-12

FARTHEST = 1e150
"""Largest size of a batch, and one over the smallest: floats hold its square."""


@dataclass(frozen=True, eq=False)
class Entries:
    """Single entries of a weight table: fit[i] puts weight[i] on batch[i] and reads the share
    kept[i] of it (all, where left out).

    Fits and batches are counted from 0, entries ordered by fit, and those of a fit by batch.
    """

    fit: NDArray[np.int64]
    batch: NDArray[np.int64]
    weight: Numbers
    kept: Numbers = ONE

    def share_kept(self, exact: bool) -> NDArray[Any]:
        """What is read of each entry's batch, shape (entries,)."""
        return np.broadcast_to(self.kept.values(exact, "kept"), self.fit.shape)

    def by_fit(self, fits: int) -> list[slice]:
        """Where the entries of each fit stand."""
        ends = np.searchsorted(self.fit, np.arange(fits + 1))
        return [slice(*pair) for pair in pairwise(ends.tolist())]

    @classmethod
    def from_json(cls, document: Any) -> Entries:
        """Read the fields as `answers.plain` wrote them; null is none."""
        return cls(**read_fields(cls, document, {})) if document else NOTHING


NOTHING = Entries(np.empty(0, np.int64), np.empty(0, np.int64), Numbers.ratio([], []))


@dataclass(frozen=True, eq=False)
class Recursion:
    """A weight table in few numbers: what fit g carries on is decay[g] times what fit g - 1
    carried, plus share[g] on one batch.

    That batch is batch[g], by default the newest of source (0, 1, ..., G - 1). `kept[g]` is the
    share that fit g reads of every batch carried. `entries` stand beside: they hold for one fit and
    are not carried on. A hundred thousand generations of augment are three short arrays, ten
    thousand of a window a list of entries, and so is a table typed by hand.
    """

    decay: Numbers
    share: Numbers
    kept: Numbers = ONE
    batch: NDArray[np.int64] | None = None
    entries: Entries = NOTHING

    @classmethod
    def of(cls, entries: Entries, fits: int) -> Recursion:
        """Hold entries alone, nothing carried on."""
        nothing = Numbers.ratio(np.zeros(fits, np.int64), 1)
        return cls(nothing, nothing, entries=entries)

    @property
    def fits(self) -> int:
        return len(self.decay.numerator)

    @property
    def chain(self) -> bool:
        """Whether each fit reads what the one before read and the newest batch, and nothing
        else.
        """
        return self.batch is None and not self.entries.fit.size

    @property
    def newest(self) -> NDArray[np.int64]:
        return np.arange(self.fits) if self.batch is None else self.batch

    @property
    def tables(self) -> tuple[Numbers, ...]:
        entries = self.entries
        return self.decay, self.share, self.kept, entries.weight, entries.kept

    @property
    def rational(self) -> bool:
        return all(table.rational for table in self.tables)

    @property
    def taken_up(self) -> NDArray[np.int64]:
        """Fits that take up a batch to carry it on."""
        return np.flatnonzero(self.share.numerator)

    @property
    def looked_up(self) -> tuple[NDArray[np.int64], NDArray[np.int64], Array, Array]:
        """Fit, batch, weight and share kept of each batch that is taken up to be carried on, then
        of each entry.
        """
        taken, entries = self.taken_up, self.entries
        return (
            np.append(taken, entries.fit),
            np.append(self.newest[taken], entries.batch),
            np.append(self.share.floats()[taken], entries.weight.floats()),
            np.append(self.share_kept(False)[taken], entries.share_kept(False)),
        )

    def weight(self, batches: int, exact: bool) -> NDArray[Any]:
        """The dense table (G, B)."""
        table = zeros(exact, self.fits, batches)
        if self.taken_up.size:
            decay, share = self.decay.values(exact), self.share.values(exact)
            for g, b in enumerate(self.newest.tolist()):
                table[g] = decay[g] * table[g - 1]  # the first decay is 0
                table[g, b] += share[g]
        table[self.entries.fit, self.entries.batch] = self.entries.weight.values(exact)
        return table

    def kept_table(self, batches: int, exact: bool) -> NDArray[Any]:
        """What each fit reads of every batch, shape (G, B)."""
        table = np.repeat(self.share_kept(exact)[:, None], batches, axis=1)
        table[self.entries.fit, self.entries.batch] = self.entries.share_kept(exact)
        return table

    def share_kept(self, exact: bool) -> NDArray[Any]:
        """What each fit reads of every batch carried on, shape (G,)."""
        return np.broadcast_to(self.kept.values(exact, "kept"), self.fits)

    def rows(self, exact: bool, fits: int | None = None) -> Iterator[dict[int, tuple[Any, Any]]]:
        """For each fit (the first ones): {batch: (weight, share kept)} of the batches it reads."""
        decay, share = (part[:fits].values(exact).tolist() for part in (self.decay, self.share))
        entries, newest, carried = self.entries, self.newest.tolist(), dict[int, Any]()
        kept, kept_single = self.share_kept(exact)[:fits].tolist(), entries.share_kept(exact)
        for g, at in enumerate(entries.by_fit(len(decay))):
            carried = {b: decay[g] * w for b, w in carried.items() if decay[g]}
            if share[g]:
                carried[newest[g]] = carried.get(newest[g], 0) + share[g]
            single = entries.batch[at], entries.weight[at].values(exact), kept_single[at]
            listed = zip(*(part.tolist() for part in single), strict=True)
            yield {b: (w, kept[g]) for b, w in carried.items()} | {b: (w, k) for b, w, k in listed}

    def carried(self, cost: NDArray[Any], power: int, exact: bool) -> NDArray[Any]:
        """Sum over the batches carried of weight ** power * cost, cost (B,), shape (G,)."""
        out = zeros(exact, self.fits)
        if self.taken_up.size:
            decay, share = (part.values(exact) ** power for part in (self.decay, self.share))
            fresh, total = share * cost[self.newest], out[0]
            for g, (d, s) in enumerate(zip(decay.tolist(), fresh.tolist(), strict=True)):
                out[g] = total = d * total + s
        return out

    def sums(self, cost: Array) -> Array:
        """Weight table times cost (B,), without the table, shape (G,)."""
        single = self.entries.weight.floats() * cost[self.entries.batch]
        return self.carried(cost, 1, False) + np.bincount(self.entries.fit, single, self.fits)

    def same(self, other: Recursion, batches: int) -> bool:
        """Whether the tables are equal; told by fit, without them."""
        written = [(part.newest, part.entries.fit, part.entries.batch) for part in (self, other)]
        if all(map(np.array_equal, *written)) and all(map(Numbers.same, self.tables, other.tables)):
            return True
        cost = np.random.default_rng(0).random(batches)  # what differs, differs here but for chance
        if not np.allclose(self.sums(cost), other.sums(cost), rtol=1e-9, atol=0):
            return False
        return all(map(eq, self.rows(self.rational), other.rows(other.rational)))


# --- what is no workflow, in words -----------------------------------------------------------


def typed(weight: Numbers, kept: Numbers, source: NDArray[np.int64], sizes: int) -> Recursion:
    """Entries of tables (G, B) typed by hand; kept is ignored where the weight is 0.

    Raises
    ------
    ValueError
        Where shapes disagree, or a weight is negative or not finite.
    """
    (G, B), table = weight.shape, weight.floats()
    require(G > 0, lambda _: "weight has no row; give one row for each fit.")
    require(
        len(source) == sizes == B,
        lambda _: (
            f"shapes disagree: source has {len(source)} batches, size {sizes}, weight {B} columns;"
            " all must be B."
        ),
    )
    require(
        kept.shape in ((), weight.shape),
        lambda _: (
            f"shapes disagree: kept is {kept.shape}, weight {weight.shape}; both must be (G, B)."
        ),
    )
    for good, told in ((np.isfinite(table), "be finite"), (table >= 0, "not be negative")):
        require(
            good,
            lambda i, told: (
                f"weight must {told}; (fit {i // B + 1}, batch {i % B + 1}) is {table.flat[i]:g}."
            ),
            told,
        )
    fit, batch = np.nonzero(weight.numerator)
    share = kept[fit, batch] if kept.shape else ONE
    return Recursion.of(Entries(fit, batch, weight[fit, batch], share), G)


def check_recursion(rows: Recursion, source: NDArray[np.int64], sizes: Numbers) -> None:
    """Raise a ValueError where a Recursion is no workflow on these batches."""
    G, B, taken, size = rows.fits, len(source), rows.taken_up, sizes.floats()
    decay, share, kept = rows.decay.floats(), rows.share.floats(), rows.kept.floats()
    require(
        rows.batch is not None or not taken.size or np.array_equal(source[:G], np.arange(G)),
        lambda _: (
            "a Recursion without batch carries the newest batch of each fit: source must be 0, 1,"
            " ..., G - 1."
        ),
    )
    require(
        share.shape == (G,) and size.shape == (B,) and kept.shape in ((), (G,)),
        lambda _: (
            "shapes disagree: decay, share and kept of a Recursion must all have shape (G,), size"
            " and source (B,)."
        ),
    )
    require(
        rows.batch is None
        or (rows.batch.shape == (G,) and np.all((rows.batch >= 0) & (rows.batch < B))),
        lambda _: "batch of a Recursion must name one of the batches, from 0, for each fit.",
    )
    require(
        source <= G,
        lambda _: f"source names fit {source.max()}, but weight has {G} rows (fits).",
    )
    for good, told in (
        (np.isfinite(size), "be finite"),
        (size > 0, "be positive"),
        (
            (size >= 1 / FARTHEST) & (size <= FARTHEST),
            f"lie between {1 / FARTHEST:g} and {FARTHEST:g}, whose squares floats hold",
        ),
    ):
        require(good, lambda b, told: f"size must {told}; batch {b + 1} is {size[b]:g}.", told)
    require(
        (decay >= 0) & (share >= 0) & (decay <= 1),
        lambda _: "decay and share of a Recursion must lie between 0 and 1.",
    )
    require(
        decay[0] == 0,
        lambda _: (
            f"decay of a Recursion must be 0 for fit 1, which no fit precedes; it is {decay[0]:g}."
        ),
    )
    _check_entries(rows, rows.entries, B)
    fit, batch, *_ = rows.looked_up
    require(
        source[batch] <= fit,
        lambda i: (
            f"batch {batch[i] + 1} is read by fit {fit[i] + 1}, but it is drawn from the model of"
            f" fit {source[batch[i]]}, which is fitted later; give it weight 0 there, or reorder"
            " the fits."
        ),
    )
    require(
        (kept > 0) & (kept <= 1),
        lambda i: f"kept must lie in (0, 1]; it is {kept.flat[i]:g} for one fit.",
    )
    _check_sums(_totals(rows))


def _check_entries(rows: Recursion, entries: Entries, B: int) -> None:
    fit, batch, weight, kept = entries.fit, entries.batch, entries.weight, entries.kept.floats()
    require(
        fit.shape == batch.shape == weight.shape and kept.shape in ((), fit.shape),
        lambda _: "shapes disagree: fit, batch, weight and kept of Entries must have one length.",
    )
    apart = np.diff(fit * B + batch)
    inside = (fit >= 0) & (fit < rows.fits) & (batch >= 0) & (batch < B)
    require(
        np.all(apart >= 0) and np.all(inside),
        lambda _: (
            "Entries must be ordered by fit and then by batch, with fits below"
            f" {rows.fits} and batches below {B}, from 0."
        ),
    )
    require(
        (weight.numerator > 0) & np.isfinite(weight.floats()),
        lambda _: "weights of Entries must be positive and finite; leave out those that are zero.",
    )
    require(
        np.all(apart > 0) and not (rows.taken_up.size and np.any(_carried(rows, B))),
        lambda _: (
            "an entry (fit, batch) of Entries occurs twice, or names a batch that is carried on"
            " already; give one weight to each."
        ),
    )
    require(
        (kept > 0) & (kept <= 1),
        lambda i: (
            f"kept must lie in (0, 1]; (fit {fit[i] + 1}, batch {batch[i] + 1}) is {kept[i]:g}."
            " A batch that is not read has weight 0."
        ),
    )


def _carried(rows: Recursion, B: int) -> NDArray[np.bool_]:
    """Which entries name a batch that their fit carries on."""
    fit, since = rows.entries.fit, np.full(B, rows.fits)
    since[rows.newest[rows.taken_up]] = rows.taken_up
    taken = since[rows.entries.batch]
    stops = np.cumsum(rows.decay.numerator == 0)
    return np.asarray((taken <= fit) & (stops[fit] == stops[np.minimum(taken, rows.fits - 1)]))


def _totals(rows: Recursion) -> Numbers:
    """Sum of each fit's weights, given that those before it sum to one."""
    if rows.chain:
        return rows.decay + rows.share
    weight, fit = rows.entries.weight, rows.entries.fit
    if weight.denominator is None:
        total = Numbers(np.bincount(fit, weight.numerator, rows.fits), None)
    else:
        common = lcm(*np.unique(weight.denominator).tolist())
        small = common * int(weight.numerator.max(initial=0)) * len(fit) < 2**62
        kind: Any = np.int64 if small else object
        each, sums = common // weight.denominator.astype(kind), np.zeros(rows.fits, kind)
        np.add.at(sums, fit, weight.numerator.astype(kind) * each)
        total = Numbers(sums, np.full(rows.fits, common, kind))
    if not rows.taken_up.size:
        return total
    before = total[np.maximum(np.arange(rows.fits) - 1, 0)].complement()
    return rows.decay * before + rows.share + total


def _check_sums(total: Numbers) -> None:
    sums = total.floats()
    require(
        sums != 0,
        lambda g: f"no batch read: fit {g + 1} gives weight to no batch; a fit needs data.",
    )
    near = np.abs(sums - 1) <= TOLERANCE
    exactly = near if total.denominator is None else total.numerator == total.denominator

    def told(g: int) -> str:
        number = brief(total[g : g + 1].fractions("weight")[0]) if near[g] else f"{sums[g]:.15g}"
        return (
            f"weights must sum to one in each row; those of fit {g + 1} sum to {number}. Divide"
            " the row by its sum."
        )

    require(near & exactly, told)
