"""simulate(): Monte Carlo of a plan, of the Gaussian process or of a model itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collapse import checks
from collapse.checks import HELD, brief, flag, floats, held, whole
from collapse.derivation.engine import rows_of
from collapse.models.protocols import (
    Array,
    Model,
    WithDeviation,
    WithStatistic,
    design_of,
    observed_labels,
)
from collapse.plan import Plan
from collapse.protocol import checked_workflow
from collapse.reservoir import Reservoir
from collapse.risk import Risk
from collapse.simulation.chains import (
    Chain,
    GaussianLimit,
    Memory,
    MemoryLimit,
    Rows,
    Statistics,
    Told,
    last_read,
)
from collapse.simulation.workers import check_sendable, in_order, one_thread

LARGEST_BLOCK = 16_384
BLOCK_VALUES = 2**23
SHARED_BLOCK, SHARED_VALUES = 1024, 2**21
"""Replications, and numbers, that make a block worth a process of its own."""
LARGEST_BLOCKS = 10**5
"""Blocks of replications in one simulation."""
LARGEST_REPLICATIONS = 10**8
"""Replications in one simulation: a relative standard error of about 0.0001."""
FIT_VALUES = 8
"""Numbers that a fit holds at once for each row of a design."""


def simulate(
    plan: Plan | Reservoir,
    *,
    model: Any = None,
    n: int | None = None,
    replications: int = 10_000,
    rng: int | np.random.SeedSequence | np.random.Generator | None = None,
    quantiles: Sequence[float] = (),
    covariance: bool = False,
    fits: bool = False,
    workers: int = 1,
    progress: bool | checks.Progress | None = None,
) -> Risk:
    """Simulate the risk of every generation of a plan.

    Parameters
    ----------
    plan : Plan or Reservoir
        The workflow.
    model : model, optional
        Without it: the sequential Gaussian process, the limit of all regular models. With it: the
        experiment itself, data drawn from and fits made by the model.
    n : int, optional
        Rows of real data; required with a model, except that a regression's n is the number of rows
        of its design.
    replications : int, optional
        Independent repetitions R of the whole chain of fits.
    rng : int, numpy.random.SeedSequence or numpy.random.Generator, optional
        The same seed or seed sequence gives the same numbers, whatever the number of workers; a
        generator gives others each time. Default: a fresh seed, recorded in the result.
    quantiles : sequence of float, optional
        Levels in (0, 1) at which to keep quantiles of the risk over replications; keeps (R, G)
        numbers in memory, 10^8 at most, as `fits` and `covariance` do.
    covariance : bool, optional
        Keep the covariance (G, G) of the fits, for a model whose risk is quadratic.
    fits : bool, optional
        Keep the fits themselves, (R, G, d), for other measures of the same fits than the model's
        risk.
    workers : int, optional
        Processes among which blocks of replications are divided; no more are started than there are
        processors. With more than one, the model is sent to them: it must be picklable.
    progress : callable or bool, optional
        Called as progress(done, total) in replications after each block. True: tell on stderr.

    Returns
    -------
    Risk
        Means with standard errors; `failed` tells the share of replications without an estimate.

    Raises
    ------
    ValueError
        Where an argument is out of range, n does not fit the plan's batches, what is to be kept
        does not fit in memory, a method of the model fails or returns another shape than it
        promises (the message names the method), or workers were killed again and again (after one
        is killed, its blocks are computed anew, with the same numbers).

    Notes
    -----
    Where threadpoolctl is installed (the extra ``data``), linear algebra is held to one thread
    meanwhile.

    A plan that reads whole batches needs their mean statistics alone, where the model has them. A
    plan that reads part of a batch needs rows, since later draws overlap earlier ones: memory and
    time grow with rows times generations.

    Examples
    --------
    >>> import collapse
    >>> plan = collapse.workflows.discard(5)
    >>> model = collapse.models.Poisson(3)
    >>> risk = collapse.simulate(plan, model=model, n=100, replications=20_000, rng=0)
    >>> bool(abs(risk.ratio[-1] - 5) < 5 * risk.stderr[-1])
    True
    """
    checked_workflow(plan, "plan")
    replications = whole(
        replications, "replications", "repetitions of the experiment", most=LARGEST_REPLICATIONS
    )
    workers = whole(workers, "workers", "processes")
    wanted = "levels strictly between 0 and 1, such as (0.05, 0.5, 0.95)"
    levels = floats(quantiles, "quantiles", wanted)
    if levels.ndim != 1 or not np.all((levels > 0) & (levels < 1)):
        raise ValueError(f"quantiles must be {wanted}; they are {brief(quantiles)}.")
    covariance, fits = flag(covariance, "covariance"), flag(fits, "fits")
    tell = checks.progress(progress)
    n = rows_of(model, n)
    if model is not None:
        if not isinstance(model, Model):
            raise ValueError(
                f"model must have truth, draw, draw_real, fit and risk; {type(model).__name__} is"
                " no model."
            )
        truth = floats(
            model.truth, f"truth of the model {brief(model)}", "its parameter, shape (d,)"
        )
        if truth.ndim != 1 or not truth.size:
            raise ValueError(
                f"truth of the model {brief(model)} must have shape (d,); it has shape"
                f" {truth.shape}."
            )
    quadratic = model is None or (isinstance(model, WithDeviation) and callable(model.deviation))
    if covariance and not quadratic:
        raise ValueError(
            f"the risk of {model!r} is not quadratic (it has no method `deviation`), "
            "so its covariance is not defined; leave covariance out."
        )
    experiment = _Experiment.prepare(plan, model, n)
    experiment.check_room(replications, bool(levels.size), covariance, fits)
    if workers > 1:
        check_sendable(experiment.model, workers)
    sizes = _blocks(replications, experiment.values)
    seeds, seed = checks.seeds(rng, len(sizes))
    workers = min(workers, os.cpu_count() or 1)
    kept = bool(levels.size), covariance, fits
    tasks = [(size, child, kept) for size, child in zip(sizes, seeds, strict=True)]
    total: _Moments | None = None
    with ExitStack() as stack:
        for block in in_order(experiment.run, tasks, workers, stack):
            total = block if total is None else total + block
            tell(total.count, replications)
    assert total is not None
    return _summary(plan, model, n, seed, total, levels)


@dataclass(frozen=True, eq=False)
class _Moments:
    """Mean and centred sums over replications; a block's own, or the total."""

    count: int
    lost: NDArray[np.int64]
    mean: Array
    second: Array
    """Squares of the risk's deviations from its mean, summed."""
    cross: Array
    """The same with generation 1's deviations."""
    outer: Array | None
    paths: list[Array]
    fits: list[Array]

    def __add__(self, other: _Moments) -> _Moments:
        # two groups as one (Chan, Golub and LeVeque 1983): no difference of large sums
        count = self.count + other.count
        between = self.count * other.count / count
        outer = None if self.outer is None or other.outer is None else self.outer + other.outer
        with np.errstate(invalid="ignore", over="ignore"):
            apart = other.mean - self.mean
            mean = self.mean + apart * (other.count / count)
            second = self.second + other.second + apart * apart * between
            cross = self.cross + other.cross + apart * apart[0] * between
        lost, paths, fits = self.lost + other.lost, self.paths + other.paths, self.fits + other.fits
        return _Moments(count, lost, mean, second, cross, outer, paths, fits)


@dataclass(frozen=True, eq=False)
class _Experiment:
    """All that a block of replications needs; sent whole to a worker."""

    plan: Any
    model: Any
    n: int
    values: int
    """Numbers for each replication that the size of a block is chosen by."""
    holds: int
    """Numbers that a replication holds at once, at least."""
    chain: Callable[[Any, Any, int], Chain]

    @classmethod
    def prepare(cls, plan: Plan | Reservoir, model: Any, n: int | None) -> _Experiment:
        if plan.persistent:
            if n is None:
                return cls(plan, GaussianLimit(), 0, 1, 1, MemoryLimit)
            return cls(plan, model, n, 4 * n, n, Memory)
        if n is None:
            return cls(plan, GaussianLimit(), 0, plan.live, plan.live, Statistics)
        real = len(plan.real_sizes())
        if observed_labels(model) is not None and real > 1:
            raise ValueError(
                f"{plan.name} reads {real} real batches, and observed labels make one; use a"
                " workflow with one real batch, or a model with a known truth."
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
        return cls(plan, model, n, 4 * int(rows.sum()), _rows_at_once(plan, n), Rows)

    def check_room(self, replications: int, quantiles: bool, covariance: bool, fits: bool) -> None:
        """Refuse, before anything is allocated, what memory would not hold or no one waits for."""
        G, d = self.plan.generations, len(self.model.truth)
        most = LARGEST_BLOCKS * _largest(self.values)
        if replications > most:
            raise ValueError(
                f"replications can be {most:,} at most under {self.plan.name} with this model and"
                f" n; it is {replications:,}."
            )
        block = _blocks(replications, self.values)[0]
        goes = max(self.n * HELD // (block * self.holds), 1)
        fewer = "take fewer replications or generations, or leave"
        for count, what, remedy in (
            (
                block * self.holds,
                f"a block of {block} replications at n = {self.n:,}",
                f"n = {goes:,} goes here, more with fewer generations",
            ),
            (quantiles * replications * G, "the risks (R, G) behind quantiles", "quantiles"),
            (fits * replications * G * d, "fits (R, G, d)", "fits"),
            (
                covariance * G * max(G, block * d),
                "covariance (G, G) with a block's fits",
                "covariance",
            ),
        ):
            held(count, what, remedy if " " in remedy else f"{fewer} {remedy} out")

    def run(
        self, replications: int, seed: np.random.SeedSequence, kept: tuple[bool, bool, bool]
    ) -> _Moments:
        """One block: run the chain of fits, and sum up; keep the risks, the fits' covariance, the
        fits, where asked for.
        """
        keep, covariance, fits = kept
        G, model = self.plan.generations, Told(self.model)
        mean, second, cross = np.zeros((3, G))
        lost, alive = np.zeros(G, np.int64), np.arange(replications)
        risks: list[Array] = []
        deviations: list[Array] = []
        thetas: list[Array] = []
        first = theta = None
        chain = self.chain(self.plan, self.model, self.n)
        rng = np.random.Generator(np.random.SFC64(seed))
        with one_thread():
            for g in range(G):
                theta = chain.fit(g, theta, len(alive), rng)
                good = np.asarray(~np.isnan(theta).any(axis=1))
                if not good.all():
                    alive, theta = alive[good], theta[good]
                    chain.drop(good)
                risk = _everyone(model("risk", theta), alive, replications)
                # a loss may be infinite: its mean is, and it has no standard error
                with np.errstate(invalid="ignore", over="ignore"):
                    mean[g] = risk.sum() / replications
                    centred = risk - mean[g]
                    first = centred if first is None else first
                    second[g], cross[g] = centred @ centred, centred @ first
                lost[g] = replications - len(alive)
                if keep:
                    risks.append(risk)
                if fits:
                    thetas.append(np.array(_everyone(theta, alive, replications)))
                if covariance:
                    error = _everyone(model("deviation", theta), alive, replications)
                    squares = (error**2).reshape(replications, -1).sum(axis=1)
                    if not np.allclose(squares, risk, rtol=1e-6, atol=0, equal_nan=True):
                        raise ValueError(
                            f"squares of the deviation of {self.model!r} do not sum to its risk; "
                            "scale one of them, or leave covariance out of the simulation."
                        )
                    deviations.append(error.flatten())
            stacked = np.array(deviations)
            outer = stacked @ stacked.T if covariance else None
        return _Moments(
            replications,
            lost,
            mean,
            second,
            cross,
            outer,
            [np.array(risks).T] if keep else [],
            [np.stack(thetas, 1)] if fits else [],
        )


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


def _blocks(replications: int, values: int) -> list[int]:
    """Replications of each block: a function of the experiment alone, so that seeds and numbers do
    not depend on the machine.

    Blocks are as equal as they can be, and four, or two, where that many are worth a process each.
    """
    least = int(np.clip(SHARED_VALUES // max(values, 1), 8, SHARED_BLOCK))
    shared = 4 if replications >= 4 * least else 2 if replications >= 2 * least else 1
    count = -(-replications // (_largest(values) * shared)) * shared
    return [replications // count + (b < replications % count) for b in range(count)]


def _rows_at_once(plan: Plan, n: int) -> int:
    """Most rows that a replication holds: of the batches yet to be read, and what a fit reads of
    them.
    """
    rows, last, change = plan.rows(n), last_read(plan), np.zeros(plan.generations + 1)
    for g, batches in enumerate(plan.arrivals):
        change[g] += rows[batches].sum()
        np.add.at(change, last[batches] + 1, -rows[batches])
    return int((np.cumsum(change)[:-1] + plan.reads(n).sum(axis=1)).max())


def _summary(
    plan: Plan | Reservoir,
    model: Any,
    n: int | None,
    seed: int | None,
    total: _Moments,
    levels: Array,
) -> Risk:
    R, mean = total.count, total.mean
    freedom = R - 1 if R > 1 else np.nan  # one replication tells nothing of its spread
    variance = total.second / freedom
    cross = total.cross / freedom
    with np.errstate(
        all="ignore"
    ):  # where the first risk is 0 or infinite, ratios and errors are NaN or infinite
        ratio = mean / mean[0]
        spread = variance - 2 * ratio * cross + ratio**2 * variance[0]
        stderr = np.sqrt(np.maximum(spread, 0) / R) / abs(mean[0])
        risk_stderr = np.sqrt(variance / R)
    stderr[0] = np.nan if np.isnan(mean[0]) else 0.0
    quantiles = np.empty((0, 0))
    if levels.size:
        values = np.concatenate(total.paths)
        # the inverse of the empirical distribution: interpolation would mix finite values with the
        # infinite ones
        quantiles = np.quantile(
            np.where(np.isnan(values), np.inf, values), levels, axis=0, method="inverted_cdf"
        )
    tables: dict[str, Any] = {} if total.outer is None else {"covariance": total.outer / R}
    if total.fits:
        tables["fits"] = np.concatenate(total.fits)
    return Risk(
        mean,
        ratio,
        plan,
        model=None if model is None else repr(model),
        n=n,
        stderr=stderr,
        risk_stderr=risk_stderr,
        failed=total.lost / R,
        levels=levels,
        quantiles=quantiles,
        replications=R,
        seed=seed,
        tables=tables,
    )
