"""How much it takes to tell two workflows apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from collapse import checks
from collapse.auditing.courses import NU, Course, course_of, law_of, plan_of
from collapse.auditing.laws import Law, Unknowns
from collapse.checks import check_number, require, whole
from collapse.exact import Array
from collapse.plan import Plan
from collapse.reservoir import Reservoir

LEVEL = 0.05
"""Chance that the test rejects what is true."""
POWER = 0.8
"""Power at which two workflows count as told apart."""
RUNS = (1, 2, 4, 8, 16, 32, 64)
"""Numbers of runs that are tried."""
LONG = 60
"""Generations that are tried."""


def power(
    workflow: str | Plan | Reservoir,
    rival: str | Plan | Reservoir,
    generations: int = 20,
    *,
    runs: int = 1,
    nu: float = 10.0,
    linear: float = 0.0,
    replications: int = 400,
    rng: int | np.random.SeedSequence | np.random.Generator | None = 0,
) -> Array:
    """Power of the test that tells a rival from the workflow that logged losses obey.

    The test compares likelihoods, floor, scale and degrees of freedom unknown, and rejects the
    rival where it holds in 5 % of all cases.

    Parameters
    ----------
    workflow, rival : str, Plan or Reservoir
        What is true, and what is to be rejected.
    generations : int
        Number of generations G that are logged, from 3 to 200.
    runs : int
        Number of runs R, up to 100.
    nu : float
        Effective degrees of freedom of the loss, tr(HV)^2 / tr((HV)^2): the number of coefficients
        where their errors count alike.
    linear : float
        What a finite test set adds, 2 n / (test rows); 0 where it is large.
    replications : int
        Of the simulation, from 20.
    rng : int, numpy.random.SeedSequence, numpy.random.Generator or None
        Seed of the simulation.

    Returns
    -------
    ndarray, shape (G,)
        Power with the first 1, 2, ..., G generations; 0 for fewer than three.

    Raises
    ------
    ValueError
        Where an argument is none of these, or both are the same workflow.

    References
    ----------
    The covariance of the fits is that of the sequential Gaussian process of Dey and Donoho (2024),
    arXiv 2410.22812; a loss is quadratic in them.

    Examples
    --------
    >>> from collapse.auditing import power
    >>> told = power("discard", "augment", 10, runs=4, nu=10, replications=100)
    >>> bool(told[-1] > 0.9)
    True
    """
    G = whole(generations, "generations", "that are logged", least=3, most=200)
    R = whole(runs, "runs", "that are logged", most=100)
    S = whole(replications, "replications", "of the simulation", least=20, most=10**5)
    check_number(nu, "nu", 0)
    require(1 <= float(nu) <= 1e6, f"nu must be a number from 1 to 1,000,000; it is {nu}.")
    check_number(linear, "linear", -1e-12)
    require(float(linear) <= 1e6, f"linear must be a number from 0 to 1,000,000; it is {linear}.")
    at = np.arange(1, G + 1)
    pair = [
        course_of(plan_of(one, G, name), at)
        for one, name in ((workflow, "workflow"), (rival, "rival"))
    ]
    require(
        not np.allclose(pair[0][1], pair[1][1]),
        "workflow and rival are the same to a loss; there is nothing to tell apart.",
    )
    checks.held(S * R * G * len(NU), "replications", "simulate fewer, or fewer runs")
    streams = checks.seeds(rng, 2)[0]
    return told_apart(pair, R, S, float(nu), float(linear), streams)


def told_apart(
    pair: Sequence[Course],
    runs: int,
    replications: int,
    nu: float,
    linear: float,
    streams: Any,
) -> Array:
    """Return the power by number of generations, shape (G,): the first course of the pair true."""
    errors = np.ones(len(pair[0][0]))
    both = [law_of(course, _all(NU, linear), errors, False) for course in pair]
    drawn = []
    for course, stream in zip(pair, streams, strict=True):
        one = law_of(course, _all(np.array([nu]), linear), errors, False)
        losses = one.draw(0, (replications, runs), np.random.default_rng(stream))
        drawn.append(_difference(both, losses))
    limits = np.quantile(drawn[1], 1 - LEVEL, axis=0)
    out = (drawn[0] > limits).mean(axis=0)
    out[:2] = 0.0
    return np.asarray(out)


def _all(nu: Array, linear: float) -> Unknowns:
    return Unknowns(nu, np.full(len(nu), linear), np.zeros(len(nu)))


def _difference(both: list[Law], losses: Array) -> Array:
    """By how much the first law is more likely, by number of generations, shape (S, G)."""
    true, rival = (law.fit(losses)[0].max(1) for law in both)
    return np.asarray(true - rival)
