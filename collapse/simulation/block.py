"""One block of replications: the chain of fits, run and summed up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collapse.blocks import Arrays, one_thread
from collapse.checks import HELD, held, require
from collapse.models.protocols import (
    Array,
    MeasuredByRows,
    WithObjects,
    WithStatistic,
    design_of,
    estimated,
    observed_labels,
)
from collapse.plan import Plan
from collapse.reservoir import Reservoir
from collapse.simulation.chains import (
    Chain,
    Gated,
    GaussianLimit,
    Memory,
    MemoryLimit,
    Rows,
    Statistics,
    Told,
    last_read,
)

LARGEST_BLOCK = 16_384
BLOCK_VALUES = 2**23
SHARED_BLOCK, SHARED_VALUES = 1024, 2**21
"""Replications, and numbers, that make a block worth a process of its own."""
LARGEST_BLOCKS = 10**5
"""Blocks of replications in one simulation."""
DRAWN = "rows that are measured"
"""Name of the stream of such rows."""
FIT_VALUES = 8
"""Numbers that a fit holds at once for each row of a design."""


@dataclass(frozen=True, eq=False)
class Trial:
    """All that a block of replications needs; sent whole to a worker."""

    plan: Any
    model: Any
    n: int
    values: int
    """Numbers for each replication that the size of a block is chosen by."""
    holds: int
    """Numbers that a replication holds at once, at least."""
    chain: Callable[[Any, Any, int], Chain]
    gate: float | None = None
    """Held-out real rows, as a multiple of n."""
    measures: tuple[str, ...] = ()
    """What is lost beside risk, by the model's own names."""

    @classmethod
    def prepare(cls, plan: Plan | Reservoir, model: Any, n: int | None) -> Trial:
        if plan.persistent:
            if n is None:
                return cls(plan, GaussianLimit(), 0, 1, 1, MemoryLimit)
            return cls(plan, model, n, *_weight(model, 4 * n, n), Memory)
        if n is None:
            return cls(plan, GaussianLimit(), 0, plan.live, plan.live, Statistics)
        real = len(plan.real_sizes())
        whole = isinstance(model, WithObjects) and model.observed_rows is not None
        if (whole or observed_labels(model) is not None) and real > 1:
            raise ValueError(
                f"{plan.name} reads {real} real batches, and observed"
                f" {'rows' if whole else 'labels'} make one; use a workflow with one real"
                " batch, or a model with a known truth."
            )
        rows, design = plan.rows(n), design_of(model)
        if (
            plan.reads_whole_batches
            and isinstance(model, WithStatistic)
            and not np.any(rows % (design or 1))
        ):
            told, at_truth = Told(model), np.asarray(model.truth)[None]
            statistic = told("draw_statistic", at_truth, int(rows[0]), np.random.default_rng(0))
            values = plan.live * statistic.shape[1]
            return cls(plan, model, n, values + FIT_VALUES * (design or 0), values, Statistics)
        heavy = _weight(model, 4 * int(rows.sum()), _rows_at_once(plan, n))
        return cls(plan, model, n, *heavy, Rows)

    def check_room(self, replications: int, keep: Sequence[str]) -> None:
        """Refuse, before anything is allocated, what memory would not hold or no one waits for."""
        G, d = self.plan.generations, len(self.model.truth)
        most = LARGEST_BLOCKS * _largest(self.values)
        if replications > most:
            raise ValueError(
                f"replications can be {most:,} at most under {self.plan.name} with this model and"
                f" n; it is {replications:,}."
            )
        block = blocks(replications, self.values)[0]
        goes = max(self.n * HELD // (block * self.holds), 1)
        held(
            block * self.holds,
            f"a block of {block} replications at n = {self.n:,}",
            f"n = {goes:,} goes here, more with fewer generations",
        )
        fewer = "take fewer replications or generations, or leave"
        if "fits" in keep:
            held(replications * G * d, "fits (R, G, d)", f"{fewer} fits out")
        if "covariance" in keep:
            name = "covariance (G, G) with a block's fits"
            held(G * max(G, block * d), name, f"{fewer} covariance out")

    def run(self, replications: int, seed: np.random.SeedSequence, keep: Sequence[str]) -> Arrays:
        """One block: run the chain of fits, and sum up.

        Returns
        -------
        dict
            By generation, shape (G,): ``lost``, replications without an estimate; ``cross``, the
            risk's deviations from its mean times generation 1's, summed. Of the risk and then of
            each measure, shape ((1 + M) G,): ``mean``; ``second``, squares of the deviations from
            it, summed. And what is to be kept: ``risks`` ((1 + M) G, R) likewise, ``covariance``
            (G, G) of the fits times R, ``fits`` (R, G, d).
        """
        G, model = self.plan.generations, Told(self.model)
        (mean, second), cross = np.zeros((2, 1 + len(self.measures), G)), np.zeros(G)
        lost, alive = np.zeros(G, np.int64), np.arange(replications)
        kept: dict[str, list[Array]] = {name: [] for name in keep}
        first = theta = None
        chain = self.chain(self.plan, self.model, self.n)
        if self.gate is not None:
            statistics = not self.n or self.chain is Statistics
            chain = Gated(chain, self.model, held_out(self.gate, self.n), statistics)
        rng = np.random.Generator(np.random.SFC64(seed))
        own = {name: _stream(seed, name) for name in (*self.measures, DRAWN)}
        with one_thread():
            for g in range(G):
                theta = chain.fit(g, theta, len(alive), rng)
                good = estimated(theta)
                if not good.all():
                    alive, theta = alive[good], theta[good]
                    chain.drop(good)
                told = [model("risk", theta), *self._measured(model, theta, own)]
                each = [_everyone(values, alive, replications) for values in told]
                # a loss may be infinite: its mean is, and it has no standard error
                with np.errstate(invalid="ignore", over="ignore"):
                    for i, values in enumerate(each):
                        mean[i, g] = values.sum() / replications
                        centred = values - mean[i, g]
                        second[i, g] = centred @ centred
                        if not i:
                            first = centred if first is None else first
                            cross[g] = centred @ first
                lost[g] = replications - len(alive)
                if "risks" in kept:
                    kept["risks"].append(np.array(each))
                if "fits" in kept:
                    kept["fits"].append(np.array(_everyone(theta, alive, replications)))
                if "covariance" in kept:
                    error = _everyone(model("deviation", theta), alive, replications)
                    squares = (error**2).reshape(replications, -1).sum(axis=1)
                    if not np.allclose(squares, each[0], rtol=1e-6, atol=0, equal_nan=True):
                        raise ValueError(
                            f"squares of the deviation of {self.model!r} do not sum to its risk; "
                            "scale one of them, or leave covariance out of the simulation."
                        )
                    kept["covariance"].append(error.flatten())
            arrays = {name: np.array(values) for name, values in kept.items()}
            if "covariance" in arrays:
                arrays["covariance"] = arrays["covariance"] @ arrays["covariance"].T
        if "risks" in arrays:
            arrays["risks"] = np.swapaxes(arrays["risks"], 0, 1).reshape(-1, replications)
        if "fits" in arrays:
            arrays["fits"] = np.swapaxes(arrays["fits"], 0, 1)
        sums = {"mean": mean.ravel(), "second": second.ravel(), "cross": cross}
        return {"lost": lost, **sums, **arrays}

    def _measured(
        self, model: Told, theta: Array, own: dict[str, np.random.Generator]
    ) -> list[Array]:
        """What is asked for beside risk, each measure from a stream of its own, or all of one draw
        of rows.
        """
        if not self.measures or not isinstance(self.model, MeasuredByRows):
            return [model("measure", name, theta, own[name]) for name in self.measures]
        rows = model("draw", theta, self.model.measured_rows, own[DRAWN])
        return [model("measure_rows", name, rows) for name in self.measures]


def held_out(gate: float, n: int) -> float:
    """Rows of real data that a gate holds out: a whole number at n, a multiple of n in the limit.

    Raises
    ------
    ValueError
        Where it is not whole.
    """
    rows = gate * (n or 1)
    if not n or np.isinf(rows):
        return rows
    require(
        round(rows) >= 1 and abs(rows - round(rows)) < 1e-9 * rows,
        f"gate must hold out a whole number of rows; {gate:g} times n = {n:,} is {rows:g}: take"
        f" gate = rows / n.",
    )
    return round(rows)


def _stream(seed: np.random.SeedSequence, name: str) -> np.random.Generator:
    """A stream for one measure of one block, so that what is asked for changes nothing else."""
    key = (*seed.spawn_key, *name.encode())
    own = np.random.SeedSequence(seed.entropy, spawn_key=key, pool_size=seed.pool_size)
    return np.random.Generator(np.random.SFC64(own))


def _everyone(values: Array, alive: NDArray[np.int64], replications: int) -> Array:
    """Values of all replications, NaN where a replication has no estimate."""
    if len(alive) == replications:
        return values
    full = np.full((replications, *values.shape[1:]), np.nan)
    full[alive] = values
    return full


def _largest(values: int) -> int:
    """Most replications of a block, for experiments that hold so many numbers in each."""
    return int(np.clip(BLOCK_VALUES // max(values, 1), 8, LARGEST_BLOCK))


def blocks(replications: int, values: int) -> list[int]:
    """Replications of each block: a function of the experiment alone, so that seeds and numbers do
    not depend on the machine.

    Blocks are as equal as they can be, and four, or two, where that many are worth a process each.
    """
    least = int(np.clip(SHARED_VALUES // max(values, 1), 8, SHARED_BLOCK))
    shared = 4 if replications >= 4 * least else 2 if replications >= 2 * least else 1
    count = -(-replications // (_largest(values) * shared)) * shared
    return [replications // count + (b < replications % count) for b in range(count)]


def _weight(model: Any, values: int, holds: int) -> tuple[int, int]:
    """Numbers for each replication; an object that is fitted is worth the smallest blocks, and its
    rows hold all their columns.
    """
    if not isinstance(model, WithObjects):
        return values, holds
    theta, rng = np.asarray(model.truth)[None], np.random.default_rng(0)
    row = Told(model)("draw", theta, 1, rng)
    return BLOCK_VALUES, holds * max(1, row.nbytes // 8)


def _rows_at_once(plan: Plan, n: int) -> int:
    """Most rows that a replication holds: of the batches yet to be read, and what a fit reads of
    them.
    """
    rows, last, change = plan.rows(n), last_read(plan), np.zeros(plan.generations + 1)
    for g, batches in enumerate(plan.arrivals):
        change[g] += rows[batches].sum()
        np.add.at(change, last[batches] + 1, -rows[batches])
    return int((np.cumsum(change)[:-1] + plan.reads(n).sum(axis=1)).max())
