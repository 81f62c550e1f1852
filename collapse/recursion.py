"""Recursion: the weights of a plan in the one form that every engine reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, pairwise
from math import lcm
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collapse.checks import brief, whole_numbers
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
        ends = np.searchsorted(self.fit, np.arange(fits + 1)).tolist()
        return [slice(*pair) for pair in pairwise(ends)]


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

    def weight(self, batches: int, exact: bool) -> NDArray[Any]:
        """The dense table (G, B)."""
        table = zeros(exact, self.fits, batches)
        if self.taken_up.size:
            decay, share = self.decay.values(exact), self.share.values(exact)
            for g, b in enumerate(self.newest.tolist()):
                if g:
                    table[g] = decay[g] * table[g - 1]
                if share[g]:
                    table[g, b] += share[g]
        at = self.entries.fit * batches + self.entries.batch
        table.reshape(-1)[at] = self.entries.weight.values(exact)
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
        first = slice(fits)
        decay, share = (part[first].values(exact).tolist() for part in (self.decay, self.share))
        kept = self.share_kept(exact)[first].tolist()
        few = slice(int(np.searchsorted(self.entries.fit, len(decay))))
        single = self.entries.weight[few].values(exact), self.entries.share_kept(exact)[few]
        pairs = zip(*(part.tolist() for part in single), strict=True)
        listed = zip(self.entries.batch[few].tolist(), pairs, strict=True)
        newest, carried = self.newest.tolist(), dict[int, Any]()
        for g, at in enumerate(self.entries.by_fit(len(decay))):
            carried = {b: decay[g] * w for b, w in carried.items() if decay[g]}
            if share[g]:
                carried[newest[g]] = carried.get(newest[g], 0) + share[g]
            row = {b: (w, kept[g]) for b, w in carried.items()}
            yield row | dict(islice(listed, at.stop - at.start))

    def carried(self, cost: NDArray[Any], power: int, exact: bool) -> NDArray[Any]:
        """Sum over the batches carried of weight ** power * cost, cost (B,), shape (G,)."""
        out = zeros(exact, self.fits)
        if not self.taken_up.size:
            return out
        decay, share = (part.values(exact) ** power for part in (self.decay, self.share))
        total = 0 * cost[0]
        fresh = share * cost[self.newest]
        for g, (d, s) in enumerate(zip(decay.tolist(), fresh.tolist(), strict=True)):
            out[g] = total = d * total + s
        return out

    def sums(self, cost: Array) -> Array:
        """Weight table times cost (B,), without the table, shape (G,)."""
        single = self.entries.weight.floats() * cost[self.entries.batch]
        return self.carried(cost, 1, False) + np.bincount(self.entries.fit, single, self.fits)

    def same(self, other: Recursion, batches: int) -> bool:
        """Whether the tables are equal; told by fit, without them."""
        if _equal(self, other):
            return True
        cost = np.random.default_rng(0).random(batches)  # what differs, differs here but for chance
        if not np.allclose(self.sums(cost), other.sums(cost), rtol=1e-9, atol=0):
            return False
        return all(
            a == b
            for a, b in zip(self.rows(self.rational), other.rows(other.rational), strict=True)
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as plain lists, numbers and text."""

        def perhaps(kept: Numbers) -> Any:
            return kept.to_json() if kept.shape else None

        entries = self.entries
        return {
            "decay": self.decay.to_json(),
            "share": self.share.to_json(),
            "kept": perhaps(self.kept),
            "batch": None if self.batch is None else self.batch.tolist(),
            "entries": {
                "fit": entries.fit.tolist(),
                "batch": entries.batch.tolist(),
                "weight": entries.weight.to_json(),
                "kept": perhaps(entries.kept),
            },
        }

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Recursion:
        """Read what `to_json` wrote; `entries` may be null."""

        def perhaps(part: dict[str, Any]) -> Numbers:
            return ONE if part["kept"] is None else Numbers.from_json(part["kept"], "kept", 1)

        e, batch = document["entries"], document["batch"]
        return cls(
            Numbers.from_json(document["decay"], "weight", 1),
            Numbers.from_json(document["share"], "weight", 1),
            perhaps(document),
            None if batch is None else whole_numbers(batch, "batch"),
            Entries(
                whole_numbers(e["fit"], "fit"),
                whole_numbers(e["batch"], "batch"),
                Numbers.from_json(e["weight"], "weight", 1),
                perhaps(e),
            )
            if e
            else NOTHING,
        )


def _equal(one: Recursion, other: Recursion) -> bool:
    """Whether two recursions are written alike."""
    places = [
        np.array_equal(a, b)
        for a, b in (
            (one.newest, other.newest),
            (one.entries.fit, other.entries.fit),
            (one.entries.batch, other.entries.batch),
        )
    ]
    return all(places) and all(a.same(b) for a, b in zip(one.tables, other.tables, strict=True))


# --- what is no workflow, in words -----------------------------------------------------------


def typed(weight: Numbers, kept: Numbers, source: NDArray[np.int64], sizes: int) -> Recursion:
    """Entries of tables (G, B) typed by hand; kept is ignored where the weight is 0.

    Raises
    ------
    ValueError
        Where shapes disagree, or a weight is negative or not finite.
    """
    G, B = weight.shape
    if G == 0:
        raise ValueError("weight has no row; give one row for each fit.")
    if not len(source) == sizes == B:
        raise ValueError(
            f"shapes disagree: source has {len(source)} batches, size {sizes}, weight {B}"
            " columns; all must be B."
        )
    if kept.shape not in ((), weight.shape):
        raise ValueError(
            f"shapes disagree: kept is {kept.shape}, weight {weight.shape}; both must be (G, B)."
        )
    table = weight.floats()
    for wrong, told in ((~np.isfinite(table), "be finite"), (table < 0, "not be negative")):
        if wrong.any():
            g, b = np.argwhere(wrong)[0]
            raise ValueError(
                f"weight must {told}; (fit {g + 1}, batch {b + 1}) is {table[g, b]:g}."
            )
    fit, batch = np.nonzero(weight.numerator)
    return Recursion.of(
        Entries(fit, batch, weight[fit, batch], kept[fit, batch] if kept.shape else ONE), G
    )


def check_sizes(size: Array) -> None:
    """Raise a ValueError where a size is not positive, or its square is no float."""
    for good, told in (
        (np.isfinite(size), "be finite"),
        (size > 0, "be positive"),
        (
            (size >= 1 / FARTHEST) & (size <= FARTHEST),
            f"lie between {1 / FARTHEST:g} and {FARTHEST:g}, whose squares floats hold",
        ),
    ):
        if not good.all():
            b = int(np.argmin(good))
            raise ValueError(f"size must {told}; batch {b + 1} is {size[b]:g}.")


def check_recursion(rows: Recursion, source: NDArray[np.int64], size: Numbers) -> None:
    """Raise a ValueError where a Recursion is no workflow on these batches."""
    G, B, entries = rows.fits, len(source), rows.entries
    decay, share = rows.decay.floats(), rows.share.floats()
    taken = rows.taken_up
    if rows.batch is None and taken.size and not np.array_equal(source[:G], np.arange(G)):
        raise ValueError(
            "a Recursion without batch carries the newest batch of each fit: source must be 0, 1,"
            " ..., G - 1."
        )
    if not (share.shape == (G,) and size.shape == (B,) and rows.kept.shape in ((), (G,))):
        raise ValueError(
            "shapes disagree: decay, share and kept of a Recursion must all have shape (G,), size"
            " and source (B,)."
        )
    if rows.batch is not None and (
        rows.batch.shape != (G,) or np.any((rows.batch < 0) | (rows.batch >= B))
    ):
        raise ValueError("batch of a Recursion must name one of the batches, from 0, for each fit.")
    if source.max() > G:
        raise ValueError(f"source names fit {source.max()}, but weight has {G} rows (fits).")
    check_sizes(size.floats())
    if not np.all((decay >= 0) & (share >= 0) & (decay <= 1)):
        raise ValueError("decay and share of a Recursion must lie between 0 and 1.")
    if decay[0] != 0:
        raise ValueError(
            f"decay of a Recursion must be 0 for fit 1, which no fit precedes; it is {decay[0]:g}."
        )
    _check_entries(rows, entries, B)
    _check_order(source, taken, rows.newest[taken])
    _check_order(source, entries.fit, entries.batch)
    carried = rows.kept.floats()
    if not np.all((carried > 0) & (carried <= 1)):
        wrong = carried[~((carried > 0) & (carried <= 1))][0]
        raise ValueError(f"kept must lie in (0, 1]; it is {wrong:g} for one fit.")
    _check_sums(_totals(rows))


def _check_entries(rows: Recursion, entries: Entries, B: int) -> None:
    fit, batch, G = entries.fit, entries.batch, rows.fits
    if not (fit.shape == batch.shape == entries.weight.shape) or entries.kept.shape not in (
        (),
        fit.shape,
    ):
        raise ValueError(
            "shapes disagree: fit, batch, weight and kept of Entries must have one length."
        )
    place = np.diff(fit * B + batch)
    if np.any(place < 0) or np.any((fit < 0) | (fit >= G) | (batch < 0) | (batch >= B)):
        raise ValueError(
            "Entries must be ordered by fit and then by batch, with fits below"
            f" {G} and batches below {B}, from 0."
        )
    weight = entries.weight.floats()
    if not np.all((entries.weight.numerator > 0) & np.isfinite(weight)):
        raise ValueError(
            "weights of Entries must be positive and finite; leave out those that are zero."
        )
    carried = np.zeros(1, bool)
    if rows.taken_up.size:
        since = np.full(B, G)  # the fit that takes a batch up to carry it on
        since[rows.newest[rows.taken_up]] = rows.taken_up
        stops = np.cumsum(rows.decay.numerator == 0)
        carried = (since[batch] <= fit) & (stops[fit] == stops[np.minimum(since[batch], G - 1)])
    if carried.any() or np.any(place == 0):
        raise ValueError(
            "an entry (fit, batch) of Entries occurs twice, or names a batch that is carried on"
            " already; give one weight to each."
        )
    share = entries.kept.floats()
    wrong = ~((share > 0) & (share <= 1))
    if wrong.any():
        i = int(np.argmax(wrong))
        raise ValueError(
            f"kept must lie in (0, 1]; (fit {fit[i] + 1}, batch {batch[i] + 1}) is {share[i]:g}."
            " A batch that is not read has weight 0."
        )


def _check_order(
    source: NDArray[np.int64], fit: NDArray[np.int64], batch: NDArray[np.int64]
) -> None:
    early = source[batch] > fit
    if early.any():
        i = int(np.argmax(early))
        raise ValueError(
            f"batch {batch[i] + 1} is read by fit {fit[i] + 1}, but it is drawn from the model of"
            f" fit {source[batch[i]]}, which is fitted later; give it weight 0 there, or reorder"
            " the fits."
        )


def _totals(rows: Recursion) -> Numbers:
    """Sum of each fit's weights, given that those before it sum to one."""
    if rows.chain:
        return rows.decay + rows.share
    weight, fit, sums = rows.entries.weight, rows.entries.fit, zeros(True, rows.fits)
    if weight.denominator is None:
        total = Numbers(np.bincount(fit, weight.numerator, rows.fits), None)
    else:
        common = lcm(*np.unique(weight.denominator).tolist())
        if common * int(weight.numerator.max(initial=0)) * len(fit) < 2**62:
            sums = np.zeros(rows.fits, np.int64)
            np.add.at(sums, fit, weight.numerator * (common // weight.denominator))
            total = Numbers.ratio(sums, common)
        else:
            np.add.at(sums, fit, weight.fractions("weight"))
            total = Numbers.read(sums, "turnover", 1)
    if not rows.taken_up.size:
        return total
    before = total[np.maximum(np.arange(rows.fits) - 1, 0)].complement()
    return rows.decay * before + rows.share + total


def _check_sums(total: Numbers) -> None:
    sums = total.floats()
    if not sums.all():
        g = int(np.argmin(sums != 0)) + 1
        raise ValueError(f"no batch read: fit {g} gives weight to no batch; a fit needs data.")
    far = np.abs(sums - 1) > TOLERANCE
    wrong = far if total.denominator is None else total.numerator != total.denominator
    if np.any(far | wrong):
        g = int(np.argmax(far | wrong))
        told = f"{sums[g]:.15g}" if far[g] else brief(total[g : g + 1].fractions("weight")[0])
        raise ValueError(
            f"weights must sum to one in each row; those of fit {g + 1} sum to {told}."
            " Divide the row by its sum."
        )
