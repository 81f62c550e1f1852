"""simulate(): Monte Carlo of a plan, of the Gaussian process or of a model itself."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from collapse import checks
from collapse.checks import HELD, brief, flag, floats, held, whole
from collapse.derivation.engine import rows_of
from collapse.models.protocols import (
    Array,
    Model,
    WithDeviation,
    WithPooling,
    WithStatistic,
    design_of,
    observed_labels,
)
from collapse.plan import Plan, checked_workflow
from collapse.reservoir import Reservoir
from collapse.risk import Risk

Result = TypeVar("Result")
Method = Callable[..., Any]
Merge = Callable[[Array, Array, float], Array]

POOLS = 3
"""How many pools of processes are tried where workers are killed."""
LARGEST_BLOCK = 16_384
BLOCK_VALUES = 2**23
LARGEST_BLOCKS = 10**5
"""Blocks of replications in one simulation."""
LARGEST_REPLICATIONS = 10**8
"""Replications in one simulation: a relative standard error of about 0.0001."""
FEW = 16
"""Statistics up to which a weighted sum is faster one by one than as a product of matrices."""
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
    if model is None:
        if n is not None:
            raise ValueError(
                "n was given without a model; the Gaussian limit has no n. Give model=..., or leave"
                " n out."
            )
    else:
        n = rows_of(model, n)
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
    seeds, seed = checks.seeds(rng, -(-replications // experiment.block))
    workers = min(workers, os.cpu_count() or 1)
    sizes = [experiment.block] * (len(seeds) - 1) + [
        replications - experiment.block * (len(seeds) - 1)
    ]
    keep = bool(levels.size)
    total = _Moments.zero(plan.generations, covariance)
    paths: list[Array] = []
    thetas: list[Array] = []
    done = 0
    with ExitStack() as stack:
        for moments in _run(experiment, sizes, seeds, (keep, covariance, fits), workers, stack):
            total = total + moments
            paths += moments.paths
            thetas += moments.fits
            done += moments.count
            tell(done, replications)
    return _summary(plan, model, n, seed, total, paths, levels, thetas)


def check_sendable(model: Any, workers: int) -> None:
    """Raise a ValueError where a model cannot be sent to other processes."""
    try:
        pickle.dumps(model)
    except Exception as error:  # whatever the model's own state raises
        raise ValueError(
            f"workers = {workers} sends the model to other processes, and {brief(model)} cannot be"
            f" sent ({type(error).__name__}): define its class and functions at the top level of a"
            " module (no lambda), or take workers=1."
        ) from error


@dataclass(eq=False)
class _Told:
    """A model as the engine calls it: what a method raises, or returns in another shape, is told by
    its name.
    """

    model: Any
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """Shape of a row, and of a statistic, as first drawn."""

    def draw(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        return self._batch("draw", self.model.draw, (len(theta), rows), theta, rows, rng)

    def draw_real(self, replications: int, rows: int, rng: np.random.Generator) -> Array:
        shape = replications, rows
        return self._batch("draw_real", self.model.draw_real, shape, replications, rows, rng)

    def draw_statistic(self, theta: Array, rows: int, rng: np.random.Generator) -> Array:
        ask, R = self.model.draw_statistic, len(theta)
        return self._statistic("draw_statistic", ask, R, theta, rows, rng)

    def draw_real_statistic(self, replications: int, rows: int, rng: np.random.Generator) -> Array:
        ask = self.model.draw_real_statistic
        return self._statistic("draw_real_statistic", ask, replications, replications, rows, rng)

    def pool(self, first: Array, second: Array, share: float) -> Array:
        return self._statistic("pool", self.model.pool, len(second), first, second, share)

    def fit(self, rows: Array, weight: Array, start: Array | None) -> Array:
        shape = len(rows), len(self.model.truth)
        return self._answer("fit", self.model.fit, shape, rows, weight, start)

    def fit_statistic(self, statistic: Array, start: Array | None) -> Array:
        shape = len(statistic), len(self.model.truth)
        return self._answer("fit_statistic", self.model.fit_statistic, shape, statistic, start)

    def risk(self, theta: Array) -> Array:
        return self._answer("risk", self.model.risk, (len(theta),), theta)

    def deviation(self, theta: Array) -> Array:
        deviation = self._ask("deviation", self.model.deviation, theta)
        return self._shaped("deviation", deviation, (len(theta), *deviation.shape[1:2]), "fiu")

    def _batch(self, method: str, call: Method, shape: tuple[int, int], *arguments: Any) -> Array:
        batch = self._ask(method, call, *arguments)
        row = self.shapes.setdefault("row", batch.shape[2:])
        return self._shaped(method, batch, (*shape, *row))

    def _statistic(self, method: str, call: Method, replications: int, *arguments: Any) -> Array:
        statistic = self._ask(method, call, *arguments)
        size = self.shapes.setdefault("statistic", statistic.shape[1:2])
        return self._shaped(method, statistic, (replications, *size), "fiu")

    def _answer(self, method: str, call: Method, shape: tuple[int, ...], *arguments: Any) -> Array:
        return self._shaped(method, self._ask(method, call, *arguments), shape, "fiu")

    def _ask(self, method: str, call: Method, *arguments: Any) -> NDArray[Any]:
        try:
            answer = call(*arguments)
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
        if isinstance(answer, np.ndarray):
            return answer
        raise ValueError(
            f"{method} of the model {brief(self.model)} must return an array; it returned a"
            f" {type(answer).__name__}."
        )

    def _shaped(
        self, method: str, answer: NDArray[Any], shape: tuple[int, ...], kinds: str = ""
    ) -> Array:
        if answer.shape != shape or (kinds and answer.dtype.kind not in kinds):
            raise ValueError(
                f"{method} of the model {brief(self.model)} must return"
                f" {'real numbers' if kinds else 'an array'} of shape {shape}, replications first;"
                f" it returned {answer.dtype} data of shape {answer.shape}."
            )
        return answer


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

    @classmethod
    def zero(cls, G: int, covariance: bool) -> _Moments:
        return cls(
            0,
            np.zeros(G, np.int64),
            np.zeros(G),
            np.zeros(G),
            np.zeros(G),
            np.zeros((G, G)) if covariance else None,
            [],
            [],
        )

    def __add__(self, other: _Moments) -> _Moments:
        # two groups as one (Chan, Golub and LeVeque 1983): no difference of large sums
        count = self.count + other.count
        between = self.count * other.count / count
        outer = None if self.outer is None or other.outer is None else self.outer + other.outer
        with np.errstate(invalid="ignore", over="ignore"):
            apart = other.mean - self.mean
            mean = other.mean if not self.count else self.mean + apart * (other.count / count)
            second = self.second + other.second + apart * apart * between
            cross = self.cross + other.cross + apart * apart[0] * between
        return _Moments(count, self.lost + other.lost, mean, second, cross, outer, [], [])


class _GaussianLimit:
    """The sequential Gaussian process as a model: a batch's mean is its source's error plus unit
    noise over its size.
    """

    truth = np.zeros(1)

    def deviation(self, theta: Array) -> Array:
        return theta

    def risk(self, theta: Array) -> Array:
        return np.asarray(theta[:, 0] ** 2)


@dataclass(frozen=True, eq=False)
class _Experiment:
    """All that a block of replications needs; sent whole to a worker."""

    plan: Any
    model: Any
    n: int
    block: int
    values: int
    """Numbers that a replication holds at once, at least."""
    path: Callable[
        [_Experiment, int, np.random.Generator], Iterator[tuple[NDArray[np.int64], Array]]
    ]

    @classmethod
    def prepare(cls, plan: Plan | Reservoir, model: Any, n: int | None) -> _Experiment:
        if plan.persistent:
            if model is None:
                return cls(plan, _GaussianLimit(), 0, _block(1), 1, _reservoir_limit_path)
            assert n is not None
            return cls(plan, model, n, _block(4 * n), n, _reservoir_path)
        kept_batches = plan.live
        if model is None:
            return cls(plan, _GaussianLimit(), 0, _block(kept_batches), kept_batches, _limit_path)
        assert n is not None
        if observed_labels(model) is not None and np.count_nonzero(plan.source == 0) > 1:
            raise ValueError(
                f"{plan.name} reads {np.count_nonzero(plan.source == 0)} real batches, and observed"
                " labels make one; use a workflow with one real batch, or a model with a known"
                " truth."
            )
        rows = plan.rows(n)
        plan.reads(n) if not plan.reads_whole_batches else None
        by_statistic = plan.reads_whole_batches and isinstance(model, WithStatistic)
        design = design_of(model)
        if by_statistic and (design is None or not np.any(rows % design)):
            told, at_truth = _Told(model), np.asarray(model.truth)[None]
            statistic = told.draw_statistic(at_truth, int(rows[0]), np.random.default_rng(0))
            kept = kept_batches * statistic.shape[1]
            return cls(
                plan, model, n, _block(kept + FIT_VALUES * (design or 0)), kept, _statistic_path
            )
        return cls(plan, model, n, _block(4 * int(rows.sum())), _rows_at_once(plan, n), _row_path)

    def check_room(self, replications: int, quantiles: bool, covariance: bool, fits: bool) -> None:
        """Refuse, before anything is allocated, what memory would not hold or no one waits for."""
        G, d = self.plan.generations, len(self.model.truth)
        most = LARGEST_BLOCKS * self.block
        if replications > most:
            raise ValueError(
                f"replications can be {most:,} at most under {self.plan.name} with this model and"
                f" n; it is {replications:,}."
            )
        block = min(self.block, replications)
        fewer = "take fewer replications or generations"
        goes = (
            f"n = {max(self.n * HELD // (block * self.values), 1):,} goes here, more with fewer"
            " generations"
        )
        held(block * self.values, f"a block of {block} replications at n = {self.n:,}", goes)
        if quantiles:
            held(
                replications * G,
                "the risks (R, G) behind quantiles",
                f"{fewer}, or leave quantiles out",
            )
        if fits:
            held(replications * G * d, "fits (R, G, d)", f"{fewer}, or leave fits out")
        if covariance:
            held(
                G * max(G, block * d),
                "covariance (G, G) with a block's fits",
                f"{fewer}, or leave covariance out",
            )

    def run(
        self, replications: int, seed: np.random.SeedSequence, kept: tuple[bool, bool, bool]
    ) -> _Moments:
        """One block: run the chain of fits, and sum up; keep the risks, the fits' covariance, the
        fits, where asked for.
        """
        keep, covariance, fits = kept
        G = self.plan.generations
        mean, second, cross = np.zeros((3, G))
        lost = np.zeros(G, np.int64)
        risks: list[Array] = []
        first = np.zeros(0)
        outer = None
        deviations: list[Array] = []
        model = _Told(self.model)
        thetas: list[Array] = []
        with _one_thread():
            for g, (alive, theta) in enumerate(
                self.path(self, replications, np.random.Generator(np.random.SFC64(seed)))
            ):
                risk = _everyone(model.risk(theta), alive, replications)
                # a loss may be infinite: its mean is, and it has no standard error
                with np.errstate(invalid="ignore", over="ignore"):
                    mean[g] = risk.sum() / replications
                    centred = risk - mean[g]
                    first = centred if g == 0 else first
                    second[g], cross[g] = centred @ centred, centred @ first
                lost[g] = replications - len(alive)
                if keep:
                    risks.append(risk)
                if fits:
                    thetas.append(np.array(_everyone(theta, alive, replications)))
                if covariance:
                    error = _everyone(model.deviation(theta), alive, replications)
                    squares = (error**2).reshape(replications, -1).sum(axis=1)
                    if not np.allclose(squares, risk, rtol=1e-6, atol=0, equal_nan=True):
                        raise ValueError(
                            f"squares of the deviation of {self.model!r} do not sum to its risk; "
                            "scale one of them, or leave covariance out of the simulation."
                        )
                    deviations.append(error.flatten())
            if covariance:
                stacked = np.array(deviations)
                outer = stacked @ stacked.T
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


@cache
def _threads() -> Any:
    """The controller of BLAS threads; None where threadpoolctl is not installed."""
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:
        return None
    return ThreadpoolController()


def _one_thread() -> AbstractContextManager[object]:
    """Hold BLAS to one thread: its products are small, its threads would crowd the workers, and
    sums would depend on their number.
    """
    controller = _threads()
    return nullcontext() if controller is None else controller.limit(limits=1, user_api="blas")


def _everyone(values: Array, alive: NDArray[np.int64], replications: int) -> Array:
    """Values of all replications, NaN where a replication has no estimate."""
    if len(alive) == replications:
        return values
    full = np.full((replications, *values.shape[1:]), np.nan)
    full[alive] = values
    return full


def _block(values: int) -> int:
    """Replications in a block: a function of the experiment alone, so that seeds and numbers do not
    depend on the machine.
    """
    return int(np.clip(BLOCK_VALUES // max(values, 1), 8, LARGEST_BLOCK))


def _run(
    experiment: _Experiment,
    sizes: list[int],
    seeds: list[np.random.SeedSequence],
    kept: tuple[bool, bool, bool],
    workers: int,
    stack: ExitStack,
) -> Iterator[_Moments]:
    blocks = [(size, seed, kept) for size, seed in zip(sizes, seeds, strict=True)]
    return in_order(experiment.run, blocks, workers, stack)


def in_order(
    function: Callable[..., Result],
    tasks: Sequence[tuple[Any, ...]],
    workers: int,
    stack: ExitStack,
) -> Iterator[Result]:
    """Call `function(*task)` for each task, in processes of a pool that `stack` closes; give the
    answers in order.

    Raises
    ------
    ValueError
        Where workers were killed in each of `POOLS` pools. After one is killed, what is finished is
        kept, and the rest is computed again.
    """
    if workers == 1 or len(tasks) == 1:
        yield from (function(*task) for task in tasks)
        return
    from concurrent.futures import Future, ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    given, found = 0, dict[int, Result]()
    for _ in range(POOLS):
        lost = [i for i in range(given, len(tasks)) if i not in found]
        pool = stack.enter_context(ProcessPoolExecutor(min(workers, len(lost))))
        stack.callback(pool.shutdown, wait=False, cancel_futures=True)
        futures: dict[int, Future[Result]] = {}
        with suppress(BrokenProcessPool):
            for i in lost:
                futures[i] = pool.submit(function, *tasks[i])
            while given < len(tasks):
                yield found.pop(given) if given in found else futures[given].result()
                given += 1
            return
        for i, future in futures.items():
            if i >= given and future.done() and future.exception() is None:
                found[i] = future.result()
    raise ValueError(
        f"processes of this simulation were ended from outside {POOLS} times, as where memory is"
        " short; give fewer workers."
    )


def _limit_path(
    experiment: _Experiment, R: int, rng: np.random.Generator
) -> Iterator[tuple[NDArray[np.int64], Array]]:
    plan = experiment.plan
    sd = 1 / np.sqrt(plan.size)
    added = None if plan.reads_whole_batches else np.sqrt(plan.subsampling_noise())
    everyone = np.arange(R)
    order, pool = plan.arrivals, _Pool(plan)
    u = np.zeros((R, 1))
    for g in range(plan.generations):
        for b in order[g]:
            noise = rng.standard_normal((R, 1))
            noise *= sd[b]
            if plan.source[b]:
                noise += u
            pool.put(b, noise)
        u = pool.mean(g)
        if added is not None and added[g] > 0:
            u = u + added[g] * rng.standard_normal((R, 1))
        yield everyone, u


def _statistic_path(
    experiment: _Experiment, R: int, rng: np.random.Generator
) -> Iterator[tuple[NDArray[np.int64], Array]]:
    plan, model = experiment.plan, _Told(experiment.model)
    rows, order = plan.rows(experiment.n), plan.arrivals
    alive = np.arange(R)
    theta: Any = None
    merged = isinstance(experiment.model, WithPooling)
    pool = _Pool(plan, model.pool if merged else None)
    for g in range(plan.generations):
        for b in order[g]:
            m = int(rows[b])
            pool.put(
                b,
                (
                    model.draw_statistic(theta, m, rng)
                    if plan.source[b]
                    else model.draw_real_statistic(len(alive), m, rng)
                ),
            )
        theta = model.fit_statistic(pool.mean(g), theta)
        missing = np.isnan(theta)
        if missing.any():
            good = np.asarray(~missing.any(axis=1))
            alive, theta = alive[good], theta[good]
            pool.drop(good)
        yield alive, theta


class _Pool:
    """Mean statistics (R, k) of one block's batches, and their weighted mean for each fit.

    Place 0 of the table holds what is carried on, the others the batches still to be read.
    Statistics that do not average are merged two by two, by weight.
    """

    def __init__(self, plan: Plan, merge: Merge | None = None) -> None:
        rows, entries = plan.recursion, plan.recursion.entries
        self.places, self.size, self.merge = plan.places.tolist(), plan.live + 1, merge
        self.decay, self.share = rows.decay.floats().tolist(), rows.share.floats().tolist()
        self.newest, self.held, self.table = rows.newest.tolist(), 0.0, np.zeros((0, 0, 0))
        weight, at = entries.weight.floats(), plan.places[entries.batch]
        self.single = [(weight[few], at[few]) for few in entries.by_fit(plan.generations)]

    def put(self, b: int, mean: Array) -> None:
        if not self.table.size:
            self.table = np.zeros((self.size, *mean.shape))
        self.table[self.places[b]] = mean

    def mean(self, g: int) -> Array:
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

    def drop(self, good: NDArray[np.bool_]) -> None:
        """Keep the replications that still have an estimate."""
        self.table = self.table[:, good]


def _rows_at_once(plan: Plan, n: int) -> int:
    """Most rows that a replication holds: of the batches yet to be read, and what a fit reads of
    them.
    """
    rows, change, weighed = plan.rows(n), np.zeros(plan.generations + 1), plan.weight > 0
    for g, batches in enumerate(plan.arrivals):
        change[g] += rows[batches].sum()
        for b in batches:
            change[np.flatnonzero(weighed[:, b])[-1] + 1] -= rows[b]
    return int((np.cumsum(change)[:-1] + plan.reads(n).sum(axis=1)).max())


def _row_path(
    experiment: _Experiment, R: int, rng: np.random.Generator
) -> Iterator[tuple[NDArray[np.int64], Array]]:
    plan, model = experiment.plan, _Told(experiment.model)
    rows, weight = plan.rows(experiment.n), plan.weight
    reads = plan.reads(experiment.n)
    last = np.array(
        [np.flatnonzero(column > 0).max(initial=-1) for column in weight.T]
    )  # what a recursion carries on is read again
    alive = np.arange(R)
    theta: Any = None
    batches: dict[int, Array] = {}
    for g in range(plan.generations):
        for b in plan.arrivals[g]:
            m = int(rows[b])
            batches[b] = (
                model.draw(theta, m, rng) if plan.source[b] else model.draw_real(len(alive), m, rng)
            )
        pieces, shares = [], []
        for b in np.flatnonzero(weight[g] > 0).tolist():
            drawn, share = _read(batches[b], reads[g, b], plan.replace, rng)
            pieces.append(drawn)
            shares.append(weight[g, b] * share)
        theta = model.fit(np.concatenate(pieces, axis=1), np.concatenate(shares, axis=1), theta)
        batches = {b: batch for b, batch in batches.items() if last[b] > g}
        good = np.asarray(~np.isnan(theta).any(axis=1))
        if not good.all():
            alive, theta = alive[good], theta[good]
            batches = {b: batch[good] for b, batch in batches.items()}
        yield alive, theta


def _reservoir_limit_path(
    experiment: _Experiment, R: int, rng: np.random.Generator
) -> Iterator[tuple[NDArray[np.int64], Array]]:
    everyone, u = np.arange(R), np.zeros((R, 1))
    for share in experiment.plan.turnover.floats().tolist():
        # what stays is a draw without replacement from the memory, what comes a mean of fresh rows
        stays = np.sqrt((1 - share) * share) * rng.standard_normal((R, 1))
        u = u + stays + np.sqrt(share) * rng.standard_normal((R, 1))
        yield everyone, u


def _reservoir_path(
    experiment: _Experiment, R: int, rng: np.random.Generator
) -> Iterator[tuple[NDArray[np.int64], Array]]:
    plan, model, n = experiment.plan, _Told(experiment.model), experiment.n
    alive = np.arange(R)
    memory = model.draw_real(R, n, rng)
    theta: Array | None = None
    weight = np.full((R, n), 1 / n)
    for g, mean in enumerate(plan.replaced(n).tolist()):
        if g:
            assert theta is not None
            # the floor or the ceiling, at random, where the mean number of rows replaced is not
            # whole
            most = int(np.ceil(mean - 1e-9))
            rows = model.draw(theta, most, rng)
            place = distinct(len(alive), n, most, rng)
            few = rng.random(len(alive)) < most - mean
            spot = place[few, -1], np.flatnonzero(few)
            stays = memory[spot[1], spot[0]]
            np.put_along_axis(
                memory, place.reshape(*place.shape, *[1] * (memory.ndim - 2)), rows, axis=1
            )
            memory[spot[1], spot[0]] = stays
        theta = model.fit(memory, weight[: len(alive)], theta)
        good = np.asarray(~np.isnan(theta).any(axis=1))
        if not good.all():
            alive, theta, memory = alive[good], theta[good], memory[good]
        yield alive, theta


def _read(batch: Array, k: float, replace: bool, rng: np.random.Generator) -> tuple[Array, Array]:
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


def _summary(
    plan: Plan | Reservoir,
    model: Any,
    n: int | None,
    seed: int | None,
    total: _Moments,
    paths: list[Array],
    levels: Array,
    thetas: list[Array],
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
        values = np.concatenate(paths)
        # the inverse of the empirical distribution: interpolation would mix finite values with the
        # infinite ones
        quantiles = np.quantile(
            np.where(np.isnan(values), np.inf, values), levels, axis=0, method="inverted_cdf"
        )
    tables: dict[str, Any] = {} if total.outer is None else {"covariance": total.outer / R}
    if thetas:
        tables["fits"] = np.concatenate(thetas)
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
