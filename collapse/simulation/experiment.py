"""simulate(): Monte Carlo of a plan, of the Gaussian process or of a model itself."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from collapse import checks, disk
from collapse.blocks import Block, Failed, Store, given, key, material, opened, pickled, run
from collapse.checks import brief, choice, flag, floats, held, require, several, whole
from collapse.derivation.engine import rows_of
from collapse.models.protocols import (
    Array,
    Measured,
    Model,
    WithDeviation,
    WithObjects,
    design_of,
    observed_labels,
)
from collapse.plan import Plan
from collapse.protocol import checked_workflow
from collapse.reservoir import Reservoir
from collapse.risk import Risk
from collapse.simulation.block import Trial, blocks, held_out
from collapse.simulation.chains import Statistics
from collapse.simulation.sums import Sums, check_paths

LARGEST_REPLICATIONS = 10**8
"""Replications in one simulation: a relative standard error of about 0.0001."""

MOST_HELD_OUT = 10**6
"""Held-out real rows of a gate, as a multiple of n."""


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
    gate: float | None = None,
    measures: Sequence[str] = (),
    workers: int = 1,
    executor: Executor | None = None,
    folder: str | Path | None = None,
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
        Levels in (0, 1) at which to keep quantiles of the risk over replications; the (R, G)
        numbers behind them are kept meanwhile, in a temporary file where they are many.
    covariance : bool, optional
        Keep the covariance (G, G) of the fits, for a model whose risk is quadratic.
    fits : bool, optional
        Keep the fits themselves, (R, G, d), in memory, 10^8 numbers at most.
    gate : float, optional
        Held-out real rows as a multiple of n. Each new fit is then published, and generates, only
        where it is nearer to the fit to these rows than the last one is, in the metric of the
        risk; otherwise the last one stays. They are drawn once, and no fit reads them. numpy.inf:
        the gate knows the truth. For one model a generation, whose risk is quadratic.
    measures : sequence of str, optional
        What of the fits to tell beside risk, such as ("variance",): names that a model of the
        protocol `collapse.models.Measured` lists in its `measures`. They are drawn from streams of
        their own: the risk is the same number with and without them.
    workers : int, optional
        Processes among which blocks of replications are divided; no more are started than there are
        processors. With more than one, the model is sent to them: it must be picklable.
    executor : concurrent.futures.Executor, optional
        In place of `workers`: where the blocks run, such as a ``ProcessPoolExecutor``, a
        Dask's ``Client.get_executor()`` or mpi4py's ``MPIPoolExecutor``. Its workers must
        have the same versions of Python, numpy, scipy and this package.
    folder : path, optional
        Where finished blocks and the answer are kept: after an interruption or a kill the
        same call goes on from there; `collapse cache` lists and clears such a folder.
    progress : callable or bool, optional
        Called as progress(done, total) in replications after each block. True: tell on stderr.

    Returns
    -------
    Risk
        Means with standard errors; `failed` tells the share of replications without an estimate,
        `measures` holds by name what was asked for beside risk.

    Raises
    ------
    ValueError
        Where an argument is out of range, n does not fit the plan's batches, what is to be kept
        does not fit in memory, a method of the model fails or returns another shape than it
        promises (the message names the method), workers were killed again and again (after one is
        killed, its blocks are computed anew, with the same numbers), or the executor was lost or
        has other versions.

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
    asked = Experiment.asked(
        plan, model, n, replications, rng, quantiles, covariance, fits, gate, measures
    )
    (risk,) = answers([asked], executor=executor, workers=workers, folder=folder, progress=progress)
    if isinstance(risk, Failed):
        raise risk.error
    return risk


@dataclass(frozen=True, eq=False)
class Experiment:
    """A simulation that is asked for: what is simulated, how often, from which seeds, and what of
    it is kept.
    """

    plan: Plan | Reservoir
    model: Any
    n: int | None
    levels: Array
    keep: tuple[str, ...]
    trial: Trial
    seed: int | None
    sizes: list[int]
    seeds: list[np.random.SeedSequence]

    @classmethod
    def asked(
        cls,
        plan: Any,
        model: Any,
        n: Any,
        replications: Any,
        rng: Any,
        quantiles: Any = (),
        covariance: Any = False,
        fits: Any = False,
        gate: Any = None,
        measures: Any = (),
    ) -> Experiment:
        """Check the arguments of `simulate`."""
        checked_workflow(plan, "plan")
        replications = whole(
            replications, "replications", "repetitions of the experiment", most=LARGEST_REPLICATIONS
        )
        wanted = "levels strictly between 0 and 1, such as (0.05, 0.5, 0.95)"
        levels = floats(quantiles, "quantiles", wanted)
        if levels.ndim != 1 or not np.all((levels > 0) & (levels < 1)):
            raise ValueError(f"quantiles must be {wanted}; they are {brief(quantiles)}.")
        wish = {
            "risks": bool(levels.size),
            "covariance": flag(covariance, "covariance"),
            "fits": flag(fits, "fits"),
        }
        n = rows_of(model, n)
        if model is not None:
            if not isinstance(model, Model):
                raise ValueError(
                    f"model must have truth, draw, draw_real, fit and risk; {type(model).__name__}"
                    " is no model."
                )
            name = f"truth of the model {brief(model)}"
            whole_rows = model if isinstance(model, WithObjects) else None
            require(
                not (whole_rows and wish["fits"]),
                f"fits of {brief(model)} are objects, which fits=True does not keep; ask for"
                " measures of them.",
            )
            truth: Any = model.truth
            if not whole_rows:
                truth = floats(truth, name, "its parameter, shape (d,)")
            require(
                truth.ndim == 1 and truth.size,
                f"{name} must have shape (d,); it has shape {truth.shape}.",
            )
            if whole_rows and not whole_rows.weighs:
                plan = thinned(plan)
        quadratic = model is None or (
            isinstance(model, WithDeviation) and callable(model.deviation)
        )
        if wish["covariance"] and not quadratic:
            raise ValueError(
                f"the risk of {model!r} is not quadratic (it has no method `deviation`), "
                "so its covariance is not defined; leave covariance out."
            )
        keep = tuple(name for name, asked in wish.items() if asked)
        trial = replace(Trial.prepare(plan, model, n), measures=_measures(measures, model))
        if gate is not None:
            trial = replace(trial, gate=_gate(gate, plan, trial, quadratic, replications))
        trial.check_room(replications, keep)
        if "risks" in keep:
            check_paths(replications, plan.generations * (1 + len(trial.measures)))
        sizes = blocks(replications, trial.values)
        seeds, seed = checks.seeds(rng, len(sizes))
        return cls(plan, model, n, levels, keep, trial, seed, sizes, seeds)

    @property
    def replications(self) -> int:
        return sum(self.sizes)

    @cached_property
    def parts(self) -> tuple[str, ...]:
        """What determines the numbers, beside a block's seed and size."""
        model = material(self.trial.model, "finished work is kept by what determines it")
        plan = json.dumps(self.plan.to_json())
        gate = () if self.trial.gate is None else (f"gate {self.trial.gate!r}",)
        told = tuple(f"measure {name}" for name in self.trial.measures)
        return "simulate", plan, disk.digest(model), str(self.n), ",".join(self.keep), *gate, *told

    @cached_property
    def key(self) -> str:
        """What a store knows the answer by."""
        return key(*self.parts, self.levels.tolist(), self.sizes, self.seed, _named(self.seeds[0]))

    def tasks(self, group: int, kept: bool) -> list[Block]:
        """The blocks of replications; with keys where they are kept."""
        return [
            Block(
                self.trial.run,
                (size, seed, self.keep),
                group,
                key(*self.parts, size, _named(seed)) if kept else None,
            )
            for size, seed in zip(self.sizes, self.seeds, strict=True)
        ]

    def known(self, store: Store | None) -> Risk | None:
        """The answer that a store keeps; None where it keeps none."""
        return None if store is None else store.answer(self.key, Risk.from_json)

    def answer(self, sums: Sums, store: Store | None) -> Risk:
        """The risk that all blocks together make; kept in place of them."""
        model = None if self.model is None else repr(self.model)
        fields = sums.fields(self.levels, self.trial.measures)
        fields |= {"n": self.n, "seed": self.seed, "gate": self.trial.gate}
        risk = Risk(plan=self.plan, model=model, **fields)
        if store is not None and "fits" not in self.keep:  # they would be long as text
            blocks = (str(block.key) for block in self.tasks(0, True))
            store.keep_answer(self.key, risk.to_json(), blocks)
        return risk


def thinned(plan: Plan | Reservoir) -> Plan | Reservoir:
    """The plan whose fits read of each batch so many rows that all rows which are read count alike.

    It is the same plan where they do; otherwise the draws are part of the new one, and of the law
    that is derived for it.
    """
    if plan.persistent:
        return plan
    weight, size = plan.exact_weight(plan.rational), plan.exact_size(plan.rational)
    read = weight > 0
    each = np.where(read, weight, 1) / (plan.exact_kept(plan.rational) * size)
    most = np.where(read, each, 0).max(axis=1, keepdims=True)
    share = np.where(read, each / most, 1)
    if np.allclose(share.astype(np.float64), 1, rtol=1e-9):
        return plan
    kept = plan.exact_kept(plan.rational) * share
    return plan.replace(kept=kept, name=f"{plan.name}, thinned to its weights")


def _measures(measures: Any, model: Any) -> tuple[str, ...]:
    """Check the names of measures; those that a model knows."""
    names = several(measures, "measures", "the name of a measure, such as 'variance'")
    if names:
        require(
            isinstance(model, Measured),
            f"{brief(model) if model is not None else 'the Gaussian limit'} has no measures: take"
            " a model that satisfies collapse.models.Measured, or leave measures out.",
        )
    return tuple(choice(name, f"measures of {brief(model)}", model.measures) for name in names)


def _gate(
    gate: Any, plan: Plan | Reservoir, trial: Trial, quadratic: bool, replications: int
) -> float:
    """Check a gate: a share of n that is whole at n, one chain of fits, and a quadratic risk."""
    wanted = (
        f"a positive number up to {MOST_HELD_OUT:,}, the held-out real rows as a multiple of n, or"
        " numpy.inf"
    )
    share = floats(gate, "gate", wanted)
    require(
        share.ndim == 0 and bool((share > 0) & (share <= MOST_HELD_OUT) | (share == np.inf)),
        f"gate must be {wanted}; it is {brief(gate)}.",
    )
    rows = held_out(float(share), trial.n)
    if trial.n and np.isfinite(rows) and trial.chain is not Statistics:
        block = blocks(replications, trial.values)[0]
        held(block * int(rows), "held-out rows of a block of replications", "take a smaller gate")
    require(
        quadratic,
        f"the risk of {trial.model!r} is not quadratic (it has no method `deviation`), so a gate"
        " cannot tell which of two fits is nearer to the held-out rows; leave gate out.",
    )
    require(
        np.array_equal(plan.generation, np.arange(plan.generations) + 1),
        f"{plan.name} fits several models in a generation, and a gate compares a fit with the one"
        " before; take a workflow of one chain, or leave gate out.",
    )
    require(
        observed_labels(trial.model) is None and design_of(trial.model) is None,
        f"{brief(trial.model)} labels one design again and again, and has no held-out rows;"
        " leave gate out.",
    )
    return float(share)


def _named(seed: np.random.SeedSequence) -> str:
    return f"{seed.entropy} {seed.spawn_key} {seed.pool_size}"


def answers(
    experiments: Sequence[Experiment],
    *,
    executor: Executor | None = None,
    workers: int = 1,
    folder: str | Path | Store | None = None,
    progress: bool | checks.Progress | None = None,
) -> Iterator[Risk | Failed]:
    """Give the risk of each experiment, in order, or what one of its blocks raised.

    The blocks of all of them are one list, so that no process waits for the end of an experiment.
    Progress is told in replications of all of them.
    """
    tell = checks.progress(progress)
    if executor is not None or given(executor, workers) > 1:
        for experiment in experiments:
            pickled(experiment.trial.model, "the model is sent to other processes")
    store = opened(folder)
    known = [experiment.known(store) for experiment in experiments]
    tasks = [
        block
        for group, experiment in enumerate(experiments)
        if known[group] is None
        for block in experiment.tasks(group, store is not None)
    ]
    done, total = 0, sum(experiment.replications for experiment in experiments)
    with closing(run(tasks, executor=executor, workers=workers, store=store)) as results:
        for experiment, found in zip(experiments, known, strict=True):
            if found is not None:
                done += experiment.replications
                tell(done, total)
                yield found
                continue
            failed: Failed | None = None
            rows = experiment.plan.generations * (1 + len(experiment.trial.measures))
            with closing(Sums(experiment.replications, rows)) as sums:
                for size in experiment.sizes:
                    block = next(results)
                    if isinstance(block, Failed):
                        failed = failed or block
                    elif failed is None:
                        try:
                            sums.add(size, block)
                        except ValueError as error:
                            failed = Failed(error)
                    done += size
                    tell(done, total)
                answer = failed or experiment.answer(sums, store)
            yield answer
