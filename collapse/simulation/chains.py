"""Chains of fits: what is remembered of the batches, and how the next fit comes of it.

A chain holds one block of replications. ``fit(g, theta, alive, rng)`` draws what comes after the
fits ``theta`` (alive, d) and returns the next ones; ``drop(good)`` keeps the replications that
still have an estimate.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from collapse.checks import brief, require
from collapse.exact import Array
from collapse.models.protocols import WithObjects, WithPooling, estimated
from collapse.plan import Plan
from collapse.reservoir import Reservoir

FEW = 16
"""Statistics up to which a weighted sum is faster one by one than as a product of matrices."""


ANSWERS = {
    "draw": "row",
    "draw_real": "row",
    "draw_statistic": "statistic",
    "draw_real_statistic": "statistic",
    "pool": "statistic",
    "fit": "fit",
    "fit_statistic": "fit",
    "risk": "risk",
    "deviation": "deviation",
    "measure": "risk",
    "measure_rows": "risk",
}
"""What each method of a model answers. Replications, first, are as many as its first argument says
or holds; rows as many as its second says."""


class Told:
    """A model as the engine calls it, by a method's name: what that raises, or returns in another
    shape, is told by the name.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        # of one answer without its replications; those of others are the first ones answered
        self.shapes: dict[str, tuple[int, ...]] = {"fit": (len(model.truth),), "risk": ()}
        self.kinds = "fiu", "O" if isinstance(model, WithObjects) else "fiu"

    def __call__(self, method: str, *arguments: Any) -> Array:
        try:
            answer = getattr(self.model, method)(*arguments)
        except Exception as error:  # the model's own code may raise anything
            if isinstance(error, ValueError) and str(error).endswith("."):
                raise
            told = (
                f"{str(error)[:-1]}"
                if str(error).endswith(".")
                else "its parameters or n are too large or too small, or it has a fault"
            )
            raise ValueError(
                f"{method} of the model {brief(self.model)} failed with a {type(error).__name__}:"
                f" {told}; collapse.models.check(model) tries a model alone."
            ) from error
        if not isinstance(answer, np.ndarray):
            raise ValueError(
                f"{method} of the model {brief(self.model)} must return an array; it returned a"
                f" {type(answer).__name__}."
            )
        many, what = arguments[method.startswith("measure")], ANSWERS[method]
        shape = many if isinstance(many, int) else len(many), *arguments[1 : 1 + (what == "row")]
        shape += self.shapes.setdefault(what, answer.shape[len(shape) :][: 1 + (what == "row")])
        if answer.shape != shape or (
            what != "row" and answer.dtype.kind not in self.kinds[what == "fit"]
        ):
            raise ValueError(
                f"{method} of the model {brief(self.model)} must return"
                f" {'an array' if what == 'row' else 'real numbers'} of shape {shape}, replications"
                f" first; it returned {answer.dtype} data of shape {answer.shape}."
            )
        return answer


class Chain(Protocol):
    """What a block's run asks of a chain."""

    def fit(self, g: int, theta: Any, alive: int, rng: np.random.Generator) -> Array: ...

    def drop(self, good: NDArray[np.bool_]) -> None: ...


class GaussianLimit:
    """The sequential Gaussian process as a model: a batch's mean is its source's error plus unit
    noise over its size.
    """

    truth = np.zeros(1)

    def draw_statistic(self, theta: Array, rows: float, rng: np.random.Generator) -> Array:
        noise = self.draw_real_statistic(len(theta), rows, rng)
        noise += theta
        return noise

    def draw_real_statistic(
        self, replications: int, rows: float, rng: np.random.Generator
    ) -> Array:
        return np.asarray(rng.standard_normal((replications, 1)) * (1 / np.sqrt(rows)))

    def fit_statistic(self, statistic: Array, start: Array | None) -> Array:
        return statistic

    def deviation(self, theta: Array) -> Array:
        return theta

    def risk(self, theta: Array) -> Array:
        return np.asarray(theta[:, 0] ** 2)


class Statistics:
    """A plan by the mean statistics (alive, k) of its batches: a model that reads them whole, or
    the Gaussian limit (n = 0).

    Place 0 of the table holds what is carried on, the others the batches still to be read.
    Statistics that do not average are merged two by two, by weight.
    """

    def __init__(self, plan: Plan, model: Any, n: int) -> None:
        rows, entries = plan.recursion, plan.recursion.entries
        self.plan, self.model = plan, Told(model)
        self.rows = (plan.rows(n) if n else plan.size).tolist()
        drawn = not n and not plan.reads_whole_batches
        self.drawn = np.sqrt(plan.subsampling_noise()) if drawn else np.zeros(plan.generations)
        self.merge = partial(self.model, "pool") if isinstance(model, WithPooling) else None
        self.places = plan.places.tolist()
        self.decay, self.share = rows.decay.floats().tolist(), rows.share.floats().tolist()
        self.newest, self.held, self.table = rows.newest.tolist(), 0.0, np.zeros((0, 0, 0))
        weight, at = entries.weight.floats(), plan.places[entries.batch]
        self.single = [(weight[few], at[few]) for few in entries.by_fit(plan.generations)]

    def fit(self, g: int, theta: Any, alive: int, rng: np.random.Generator) -> Array:
        for b in self.plan.arrivals[g]:
            mean = (
                self.model("draw_statistic", theta, self.rows[b], rng)
                if self.plan.source[b]
                else self.model("draw_real_statistic", alive, self.rows[b], rng)
            )
            if not self.table.size:
                self.table = np.zeros((self.plan.live + 1, *mean.shape))
            self.table[self.places[b]] = mean
        fit = self.model("fit_statistic", self._mean(g), theta)
        if not self.drawn[g]:
            return fit
        return np.asarray(fit + self.drawn[g] * rng.standard_normal(fit.shape))

    def drop(self, good: NDArray[np.bool_]) -> None:
        self.table = self.table[:, good]

    def _mean(self, g: int) -> Array:
        weights, places = self.single[g]
        kept, share = self.decay[g] * self.held, self.share[g]
        self.held = 0.0
        if kept or share:
            new = self.places[self.newest[g]]
            pieces = [(w, at) for w, at in ((kept, 0), (share, new)) if w]
            self.table[0] = self._joined(pieces)
            # a sum has its weights in it, a merged statistic is one of so much weight
            self.held = kept + share if self.merge else 1.0
            weights, places = np.append(self.held, weights), np.append(0, places)
        if self.merge or len(places) <= FEW:
            return self._joined(list(zip(weights.tolist(), places.tolist(), strict=True)))
        first, last = int(places[0]), int(places[-1]) + 1
        side_by_side = np.array_equal(places, np.arange(first, last))
        tables = self.table[first:last] if side_by_side else self.table[places]
        mean: Array = weights @ tables.reshape(len(places), -1)
        return mean.reshape(tables.shape[1:])

    def _joined(self, pieces: list[tuple[float, int]]) -> Array:
        (held, at), *others = pieces
        # never the table itself, whose places are used again
        total: Array = self.table[at].copy() if self.merge else held * self.table[at]
        for weight, at in others:
            held += weight
            piece = self.table[at]
            total = (
                self.merge(total, piece, weight / held) if self.merge else total + weight * piece
            )
        return total


class Gated:
    """A chain that keeps the old fit unless the new one is nearer to a fit to held-out real rows.

    Near means in the model's own risk: squares of the difference of deviations, summed. Where
    risk is quadratic that is the loss on the held-out rows, less its least value.
    """

    def __init__(self, chain: Chain, model: Any, rows: float, statistic: bool) -> None:
        self.chain, self.model, self.rows, self.statistic = chain, Told(model), rows, statistic
        self.target = np.zeros((0, 0))

    def fit(self, g: int, theta: Any, alive: int, rng: np.random.Generator) -> Array:
        if not g:
            self.target = self._held_out(alive, rng)
        new = self.chain.fit(g, theta, alive, rng)
        if not g:
            return new
        # a fit that does not exist is far from everything
        keep = ~(self._far(new) < self._far(theta))
        return np.where(keep[:, None], theta, new)

    def drop(self, good: NDArray[np.bool_]) -> None:
        self.chain.drop(good)
        self.target = self.target[good]

    def _held_out(self, alive: int, rng: np.random.Generator) -> Array:
        if np.isinf(self.rows):
            best = np.broadcast_to(self.model.model.truth, (alive, len(self.model.model.truth)))
        elif self.statistic:
            mean = self.model("draw_real_statistic", alive, self.rows, rng)
            best = self.model("fit_statistic", mean, None)
        else:
            rows = self.model("draw_real", alive, self.rows, rng)
            best = self.model("fit", rows, np.full((alive, self.rows), 1 / self.rows), None)
        require(
            bool(estimated(best).any()),
            f"the gate holds out {self.rows:g} rows, and no replication has a fit to them; take a"
            " larger gate.",
        )
        # where there is no fit to the held-out rows, nothing is nearer to it: no new fit passes
        return self.model("deviation", np.array(best))

    def _far(self, theta: Array) -> Array:
        off = self.model("deviation", theta) - self.target
        return np.asarray((off**2).sum(axis=tuple(range(1, off.ndim))))


def last_read(plan: Plan) -> NDArray[np.int64]:
    """Last fit, from 0, that reads each batch, what is carried on being read again; -1 for none."""
    read = plan.weight[::-1] > 0
    return np.where(read.any(axis=0), plan.generations - 1 - read.argmax(axis=0), -1)


class Rows:
    """A plan by the rows of its batches."""

    def __init__(self, plan: Plan, model: Any, n: int) -> None:
        self.plan, self.model = plan, Told(model)
        self.rows, self.weight = plan.rows(n).tolist(), plan.weight
        self.reads, self.last = plan.reads(n), last_read(plan)
        self.batches: dict[int, Array] = {}

    def fit(self, g: int, theta: Any, alive: int, rng: np.random.Generator) -> Array:
        for b in self.plan.arrivals[g]:
            self.batches[b] = (
                self.model("draw", theta, self.rows[b], rng)
                if self.plan.source[b]
                else self.model("draw_real", alive, self.rows[b], rng)
            )
        pieces, shares = [], []
        for b in np.flatnonzero(self.weight[g]).tolist():
            rows, share = read(self.batches[b], self.reads[g, b], bool(self.plan.replace), rng)
            pieces.append(rows)
            shares.append(self.weight[g, b] * share)
        self.batches = {b: batch for b, batch in self.batches.items() if self.last[b] > g}
        rows, shared = np.concatenate(pieces, axis=1), np.concatenate(shares, axis=1)
        return self.model("fit", rows, shared, theta)

    def drop(self, good: NDArray[np.bool_]) -> None:
        self.batches = {b: batch[good] for b, batch in self.batches.items()}


class Memory:
    """A reservoir by its rows (alive, n, ...)."""

    def __init__(self, plan: Reservoir, model: Any, n: int) -> None:
        self.replaced, self.model, self.n = plan.replaced(n).tolist(), Told(model), n
        self.memory = np.zeros((0, n))

    def fit(self, g: int, theta: Any, alive: int, rng: np.random.Generator) -> Array:
        if g:
            self._renew(self.replaced[g], theta, rng)
        else:
            self.memory = self.model("draw_real", alive, self.n, rng)
        return self.model("fit", self.memory, np.full((alive, self.n), 1 / self.n), theta)

    def _renew(self, mean: float, theta: Array, rng: np.random.Generator) -> None:
        # the floor or the ceiling, at random, where the mean number of rows replaced is not whole
        memory, most = self.memory, int(np.ceil(mean - 1e-9))
        rows = self.model("draw", theta, most, rng)
        place = distinct(len(theta), self.n, most, rng)
        few = np.flatnonzero(rng.random(len(theta)) < most - mean)
        spot = few, place[few, -1]
        stays = memory[spot]
        place = place.reshape(*place.shape, *[1] * (memory.ndim - 2))
        np.put_along_axis(memory, place, rows, axis=1)
        memory[spot] = stays

    def drop(self, good: NDArray[np.bool_]) -> None:
        self.memory = self.memory[good]


class MemoryLimit:
    """A reservoir in the Gaussian limit."""

    def __init__(self, plan: Reservoir, model: Any, n: int) -> None:
        self.share = plan.turnover.floats().tolist()

    def fit(self, g: int, theta: Any, alive: int, rng: np.random.Generator) -> Array:
        # what stays is a draw without replacement from the memory, what comes a mean of fresh rows
        share = self.share[g]
        stays = np.sqrt((1 - share) * share) * rng.standard_normal((alive, 1))
        before = np.zeros((alive, 1)) if theta is None else theta
        return np.asarray(before + stays + np.sqrt(share) * rng.standard_normal((alive, 1)))

    def drop(self, good: NDArray[np.bool_]) -> None:
        """Nothing is remembered but the fits."""


def read(batch: Array, k: float, replace: bool, rng: np.random.Generator) -> tuple[Array, Array]:
    """Draw k rows of a batch (R, m, ...) for each replication: rows (R, K, ...) and weights (R, K)
    that sum to one.

    Where k is not whole, K is its ceiling, and a replication that reads only the floor has weight 0
    on one row at random.
    """
    R, m = batch.shape[:2]
    if k == m and not replace:
        return batch, np.full((R, m), 1 / m)
    K = int(np.ceil(k))
    index = rng.integers(0, m, (R, K)) if replace else distinct(R, m, K, rng)
    rows = np.take_along_axis(batch, index.reshape(R, K, *[1] * (batch.ndim - 2)), axis=1)
    share = np.full((R, K), 1 / K)
    if k != K:
        fewer = np.flatnonzero(rng.random(R) < K - k)
        share[fewer] = 1 / (K - 1)
        share[fewer, rng.integers(0, K, len(fewer))] = 0.0
    return rows, share


def distinct(R: int, m: int, k: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """R independent uniform samples of k distinct integers below m, shape (R, k)."""
    if k * k > 2 * m:
        return np.asarray(np.argpartition(rng.random((R, m)), k - 1, axis=1)[:, :k])
    # few out of many: draw with replacement, and draw again whole samples that repeat themselves
    # (at most about 2 in 3)
    sample = rng.integers(0, m, (R, k))
    again = np.arange(R)
    while len(again):
        ordered = np.sort(sample[again], axis=1)
        again = again[(ordered[:, 1:] == ordered[:, :-1]).any(axis=1)]
        sample[again] = rng.integers(0, m, (len(again), k))
    return sample
