"""audit(): which workflows one's own logged losses are compatible with, and what they cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collapse import checks
from collapse.auditing import prose, reading
from collapse.auditing.answer import Audit, Candidate, Needed
from collapse.auditing.courses import (
    HALVINGS,
    LINEAR,
    Course,
    course_of,
    law_of,
    oddities,
    plan_of,
    unknowns,
)
from collapse.auditing.laws import Law
from collapse.auditing.power import LONG, POWER, RUNS, told_apart
from collapse.auditing.worlds import consistent, foreseen, p_values, scale_p, scales
from collapse.checks import brief, check_number, check_place, check_size, require, whole
from collapse.exact import Array
from collapse.forecasting.study import COMPARED
from collapse.plan import Plan
from collapse.reservoir import Reservoir
from collapse.risk import versions

FEW = 5
"""Worlds that are looked at for a workflow that is not the one asked for."""


def audit(
    losses: Any,
    workflow: str | Plan | Reservoir | None = None,
    n: int | None = None,
    *,
    metric: str | None = None,
    generations: Any = None,
    stderr: Any = None,
    averaged: int = 1,
    floor: float | None = None,
    kappa: float | None = None,
    nu: float | None = None,
    test_rows: int | None = None,
    against: str | Plan | Reservoir | Sequence[str | Plan | Reservoir] = COMPARED,
    at: int | None = None,
    horizon: int | None = None,
    level: float = 0.95,
    replications: int = 400,
    rng: int | np.random.SeedSequence | np.random.Generator | None = 0,
) -> Audit:
    """Tell which workflows logged losses are compatible with.

    A loss is a floor plus kappa / n times a quadratic form in the fit's error, whose covariance
    between generations the workflow decides. Floor, kappa / n and the number of directions in which
    the fit errs are unknown. Every statement is calibrated by simulating losses that obey the
    workflow, in all worlds that the logged ones do not contradict.

    Parameters
    ----------
    losses : array_like, shape (G,) or (R, G), or path
        What was logged, by generation, of one run or of several on the same test set; or a CSV file
        with a header (loss, log-likelihood, perplexity or accuracy; and generation, run, stderr),
        "-" for standard input.
    workflow : str, Plan or Reservoir, optional
        What each generation was trained on. Default: the most likely of those compared.
    n : int, optional
        Rows of real data: tells kappa from kappa / n.
    metric : {"loss", "log-likelihood", "perplexity", "accuracy"}, optional
        What was logged: a loss falls as fits get better, the perplexity is its exponential, and of
        an accuracy one less it is taken, with a caution. Default: as the file says, else a loss.
    generations : array_like of int, shape (G,), optional
        Which generations they are, if not 1, ..., G: the first may be missing, and any other.
    stderr : array_like, shape (G,) or (R, G), optional
        Errors of logging, independent between generations: of a test set that is drawn anew each
        time, not of one that stays and not over runs.
    averaged : int
        Number of independent runs of which each loss is the mean.
    floor : float, optional
        Loss of the best fit there is, in the loss's own unit, where it is known.
    kappa : float, optional
        tr(HV) / 2 where it is known, such as half of the coefficients for a model's own
        log-likelihood; needs n, and tests the size of the rise beside its shape.
    nu : float, optional
        Effective degrees of freedom (tr HV)^2 / tr (HV)^2 of one run, from 1, where they are known:
        the number of coefficients for a true model's own log-likelihood. Intervals are then several
        times narrower, and a wrong one makes them wrong.
    test_rows : int, optional
        Rows of the test set; needs n. Default: unknown, from half of n to infinitely many.
    against : str, Plan or Reservoir, or a sequence of them
        Workflows to compare with.
    at : int, optional
        Generation at which the loss is foreseen. Default: 20, or twice the last that is logged.
    horizon : int, optional
        Last generation at which one might stop, chosen before the first look: `anytime` holds up to
        it, and is no martingale that would hold for ever. Default: the last logged.
    level : float
        Of intervals, from 0.5 to 0.97.
    replications : int
        Simulated sets of losses in each world, from 100. No p-value is below 0.01 + 1 / (1 +
        replications), or twice that with kappa.
    rng : int, numpy.random.SeedSequence, numpy.random.Generator or None
        Seed of the simulations; the same seed gives the same answer.

    Returns
    -------
    Audit
        Prints in words.

    Raises
    ------
    ValueError
        Where an argument cannot be used: in one sentence.
    FileNotFoundError
        Where there is no such file.

    Notes
    -----
    Everything is for many rows. The p-value of the workflow asked for holds for every world that is
    looked at, with a chance of 1 % that the true one is left out, which is added; intervals
    likewise. For each of the others five worlds at most are looked at: ask for it to be sure.

    References
    ----------
    Berger and Boos (1994), P values maximized over a confidence set for the nuisance parameter; the
    sequential Gaussian process of Dey and Donoho (2024), arXiv 2410.22812.

    Examples
    --------
    >>> import numpy as np, collapse
    >>> g, noise = np.arange(1, 13), np.random.default_rng(0).standard_normal((3, 12))
    >>> losses = 0.4 + 0.01 * g + 0.0005 * noise.cumsum(axis=1) * g**0.5
    >>> answer = collapse.audit(losses, "augment", replications=100)
    >>> answer.p_value < 0.05
    True
    """
    given: dict[str, Any] = {"losses": losses}
    if isinstance(losses, (str, Path)):
        given = reading.read(losses)
        require(
            metric in (None, given["metric"]) and generations is None and stderr is None,
            "a file of losses says its metric, generations and stderr itself; give none of them.",
        )
    metric = given.get("metric", "loss" if metric is None else metric)
    checks.choice(metric, "metric", tuple(reading.METRICS))
    values = reading.to_losses(given["losses"], metric)
    R, G = values.shape
    logged = reading.to_generations(given.get("generations", generations), G)
    errors = reading.to_errors(given.get("stderr", stderr), values, metric, given["losses"])
    runs = whole(averaged, "averaged", "runs of which each loss is the mean", most=10**6)
    require(
        errors is None or runs == 1,
        "give either stderr, of logging, or averaged: errors over runs hold what the runs differ"
        " by, which the law of the losses holds already.",
    )
    n = None if n is None else whole(n, "n", "rows of real data")
    test_rows = None if test_rows is None else whole(test_rows, "test_rows", "of the test set")
    kappa = None if kappa is None else float(check_size(kappa, "kappa"))
    nu = None if nu is None else float(check_number(nu, "nu", 1))
    require(
        n is not None or (test_rows is None and kappa is None),
        "test_rows and kappa need n, the rows of real data.",
    )
    require(
        0.5 <= float(check_number(level, "level")) <= 0.97,
        f"level must be a number from 0.5 to 0.97; it is {brief(level)}.",
    )
    S = whole(replications, "replications", "simulated in each world", least=100, most=10**5)
    last = int(logged[-1])
    at = max(20, 2 * last) if at is None else whole(at, "at", "a generation", most=2000)
    horizon = last if horizon is None else whole(horizon, "horizon", "a generation", most=1000)
    require(at > last, f"at must lie after the last generation that is logged, {last}; it is {at}.")
    require(horizon >= last, f"horizon must be at least {last}, the last generation logged.")
    later = sorted({*range(last + 1, horizon + 1), at})
    course = np.append(logged, later).astype(np.int64)
    place = G + later.index(at)
    checks.held(S * R * len(course) * 30, "losses", "give fewer runs, or replications=100")
    base = 0.0 if floor is None else float(check_place(floor, "floor"))
    above = values - base
    require(
        floor is None or bool(above.mean() > 0),
        "floor must lie below the losses: it is the least loss that there is.",
    )
    require(
        bool(np.ptp(values) > 1e-12 * abs(values).max()),
        "losses are all the same, so that they say nothing of a workflow.",
    )
    plans = _plans(workflow, against, int(course[-1]))
    courses = {name: course_of(plan, course) for name, plan in plans.items()}
    odd = oddities(course)
    sequences, seed = checks.seeds(checks.seed(rng), len(plans) + 2)
    noise, error, relative = _noise(above, errors, courses, len(course), floor is not None)
    linear = LINEAR if test_rows is None or n is None else 2 * n / test_rows * np.array([0.5, 1, 2])
    of = unknowns(linear, noise, runs, nu)
    laws = {
        name: law_of(one, of, relative, floor is not None) for name, one in (courses | odd).items()
    }
    likelihood = {
        name: float(law.fit(above[None])[0][0, :, G - 1].max()) for name, law in laws.items()
    }
    asked = next(iter(plans)) if workflow is not None else max(plans, key=likelihood.__getitem__)
    rows, ever = [], np.ones(G)
    worlds = consistent(laws[asked], above, S, sequences[0])
    for k, (name, plan) in enumerate(plans.items()):
        kept = worlds if name == asked else consistent(laws[name], above, S, sequences[k + 1], FEW)
        stop = G + int(np.searchsorted(later, horizon, "right"))
        p, through = p_values(
            laws[name], [law for other, law in laws.items() if other != name], above, kept, stop
        )
        ever = through if name == asked else ever
        rows.append(
            Candidate(
                name=name,
                p_value=float(p),
                log_likelihood=likelihood[name] - max(likelihood.values()),
                ratio=float(courses[name][0][place] / plan.reference(None)),
            )
        )
    law = laws[asked]
    scale, low, high = scales(law, above, worlds, float(level), error)
    told, told_low, told_high = foreseen(
        law, above, worlds, place, ((1 - level) / 2, (1 + level) / 2)
    )
    chosen = next(row for row in rows if row.name == asked)
    if kappa is not None and n is not None:
        size = scale_p(law, above, worlds, kappa / n)
        chosen = replace(chosen, p_value=min(1.0, 2 * min(chosen.p_value, size)))
        rows = [chosen if row.name == asked else row for row in rows]
    nus = of.nu[[world.index for world in worlds]] / runs
    best = worlds[0].index
    wrong = max(odd, key=likelihood.__getitem__)
    floors = law.fit(above[None])[1][0, :, G - 1]
    level_at = base + float(law.floors(best, above[None], floors[[best]])[0])
    answer = Audit(
        workflow=asked,
        asked=workflow is not None,
        metric=metric,
        losses=values,
        generations=logged,
        n=n,
        averaged=runs,
        p_value=chosen.p_value,
        anytime=ever,
        horizon=horizon,
        scale=scale,
        scale_low=low,
        scale_high=high,
        level=float(level),
        nu=float(of.nu[best] / runs),
        nu_low=float(nus.min()),
        nu_high=float(nus.max()),
        floor=level_at,
        floor_known=floor is not None,
        fitted=level_at + scale * law.mean[:G],
        at=at,
        loss=base + told,
        loss_low=base + told_low,
        loss_high=base + told_high,
        pace=_pace(law, above, best, None if kappa is None or n is None else kappa / n),
        kappa_given=kappa,
        oddity=wrong if likelihood[wrong] >= max(likelihood.values()) else None,
        table=tuple(sorted(rows, key=lambda row: (row.name != asked, -row.log_likelihood))),
        needed=_needed(asked, plans, courses, laws, rows, worlds[0].index, R, G, S, sequences[-1]),
        seed=seed if seed is not None else 0,
        versions=versions(),
    )
    return replace(answer, answers=prose.answers(answer), warnings=prose.warnings(answer))


def _plans(workflow: Any, against: Any, generations: int) -> dict[str, Plan | Reservoir]:
    """Return the workflows by name, the one asked for first."""
    kinds = (str, Plan, Reservoir)
    others = [against] if isinstance(against, kinds) else against
    require(
        isinstance(others, Sequence) and not isinstance(others, (bytes, bytearray)),
        "against must be a workflow or a list of them, such as ['discard', 'window(k=3)']; it is"
        f" {brief(against)}.",
    )
    plans = {} if workflow is None else {"": plan_of(workflow, generations, "workflow")}
    plans = {plan.name: plan for plan in plans.values()}
    for other in others:
        plan = plan_of(other, generations, "against")
        require(
            plans.setdefault(plan.name, plan).to_json() == plan.to_json(),
            f"two different workflows are called {plan.name!r}; give one of them another name.",
        )
    require(bool(plans), "against must name at least one workflow where workflow is None.")
    return plans


def _noise(
    losses: Array, errors: Array | None, courses: dict[str, Course], length: int, floor: bool
) -> tuple[Array, float, Array]:
    """Return the logging errors that are looked at in units of the scale's square, their root mean
    square, and their course relative to it.
    """
    if errors is None:
        return np.zeros(1), 0.0, np.ones(length)
    G = losses.shape[1]
    error = float(np.sqrt((errors**2).mean()))
    relative = np.append(errors / error, np.ones(length - G))
    mean, C = next(iter(courses.values()))
    plain = law_of((mean[:G], C[:G, :G]), unknowns(np.zeros(1), np.zeros(1), 1), np.ones(G), floor)
    likelihood, scale = (part[0, :, -1] for part in plain.fit(losses[None]))
    guess = float(scale[likelihood.argmax()])
    return np.sort((error / (guess * 2.0**HALVINGS)) ** 2), error, relative


def _pace(law: Law, losses: Array, world: int, scale: float | None) -> float:
    """By what factor the losses rise faster than the workflow lets them: from the first to the last
    generation, if the scale is known; else in the second half, by the scale of the first.
    """
    G, mean = losses.shape[1], losses.mean(0)
    half = 0 if scale is not None else min(max(G // 2, 2), G - 2)
    if scale is None:
        scale = float(law.fit(losses[None])[1][0, world, half])
    allowed = scale * (law.mean[G - 1] - law.mean[half])
    return float((mean[-1] - mean[half]) / allowed)


def _needed(
    asked: str,
    plans: dict[str, Any],
    courses: dict[str, Course],
    laws: dict[str, Law],
    rows: list[Candidate],
    world: int,
    R: int,
    G: int,
    S: int,
    stream: np.random.SeedSequence,
) -> tuple[Needed, ...]:
    """What it takes to tell the workflow from each that is still possible."""
    of = laws[asked].unknowns
    nu, linear = float(of.nu[world]), float(of.linear[world])
    out = []
    possible = [row.name for row in rows if row.name != asked and row.p_value > 0.05]
    long = np.arange(1, LONG + 1)
    for name in possible:
        pair = [(courses[one][0][:G], courses[one][1][:G, :G]) for one in (asked, name)]
        few = next(
            (
                count
                for count in RUNS
                if count >= R
                and count * G <= 4000
                and told_apart(pair, count, 200, nu, linear, stream.spawn(2))[-1] >= POWER
            ),
            None,
        )
        try:
            both = [
                course_of(plan_of(_longer(plans[one]), LONG, one), long) for one in (asked, name)
            ]
        except ValueError:  # a plan of one's own ends where it ends
            both = []
        found: NDArray[np.intp] = np.array([], np.intp)
        if both and R * LONG <= 4000:
            strong = told_apart(both, R, 200, nu, linear, stream.spawn(2))
            found = np.flatnonzero(strong >= POWER)
        out.append(Needed(name, few, int(found[0]) + 1 if len(found) else None))
    return tuple(out)


def _longer(plan: Any) -> Any:
    """A named workflow by its name, which has any length."""
    return plan if plan.recipe is None else plan.name
