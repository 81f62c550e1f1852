"""What an audit says in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from collapse.checks import counted
from collapse.forecasting.common import in_percent, in_short, listed

if TYPE_CHECKING:
    from collapse.auditing.answer import Audit, Needed

REJECTED = 0.05
"""p-value up to which a workflow counts as contradicted."""
SUSPECTS = (
    "look for an optimiser that stops early, for a filter on what is generated, or for a generator"
    " that is biased"
)
"""What makes losses rise otherwise than a workflow lets them."""


def answers(answer: Audit) -> tuple[str, ...]:
    """The answers in plain language."""
    return (*_verdict(answer), *_costs(answer), *_needed(answer))


def _verdict(answer: Audit) -> list[str]:
    R, G = answer.losses.shape
    logged = f"{counted(R, 'run')} of {G} generations"
    logged += f", each the mean of {answer.averaged:,}" if answer.averaged > 1 else ""
    kept, name = answer.compatible, answer.workflow
    gone = [row.name for row in answer.table if row.name not in kept]
    whose = "" if answer.asked else " (the most likely of those compared)"
    out = []
    if name in kept:
        out.append(f"The losses ({logged}) are compatible with {name}{whose}: p = {_p(answer)}.")
    else:
        out.append(
            f"The losses ({logged}) are not what {name}{whose} would give: p = {_p(answer)}. They"
            f" rise {_pace(answer)}: {SUSPECTS}."
        )
        if answer.oddity is not None:
            out.append(f"What fits best is no workflow at all, but {answer.oddity}.")
    others = [one for one in kept if one != name]
    parts = []
    if others:
        parts.append(f"{'also ' if name in kept else ''}compatible: {listed(others)}")
    if gone:
        parts.append(f"contradicted at 5 %: {listed(gone)}")
    said = "; ".join(parts)
    return [*out, f"{said[0].upper()}{said[1:]}."] if parts else out


def _p(answer: Audit) -> str:
    return f"{answer.p_value:.2g}"


def _pace(answer: Audit) -> str:
    half = "" if answer.kappa_given is not None else ", in their second half,"
    if answer.pace <= 0:
        return f"not at all{half} where {answer.workflow} lets them"
    return f"{answer.pace:.2g} times as fast{half} as {answer.workflow} allows"


def _costs(answer: Audit) -> list[str]:
    row, level = answer.table[0], in_percent(answer.level)
    if answer.n is None:
        what, ends = "κ / n", (answer.scale, answer.scale_low, answer.scale_high)
    else:
        what, ends = "κ", (answer.kappa, *answer.kappa_interval)
    best, low, high = map(in_short, ends)
    n = 1000 if answer.n is None else answer.n
    unit = {
        "accuracy": "share of errors",
        "perplexity": "loss in nats, the logarithm of perplexity",
    }
    seen = unit.get(answer.metric, "loss")
    return [
        (
            f"Under {answer.workflow}, {what} is {best} ({level} interval: {low} to {high});"
            f" {n:,} rows are worth {n / row.ratio:,.0f} of real data alone at generation"
            f" {answer.at}."
        ),
        (
            f"The {seen} at generation {answer.at} is foreseen at {in_short(answer.loss)} ({level}"
            f" band: {in_short(answer.loss_low)} to {in_short(answer.loss_high)})."
        ),
    ]


def _needed(answer: Audit) -> list[str]:
    R, G = answer.losses.shape
    if not answer.needed:
        return []
    out = [f"To reject what else is compatible if {answer.workflow} is true, with a power of 80 %:"]
    return [f"{out[0]} {'; '.join(_one(need, R, G) for need in answer.needed)}."]


def _one(need: Needed, R: int, G: int) -> str:
    runs = (
        "more runs than 64"
        if need.runs is None
        else "the runs that are logged would mostly do"
        if need.runs <= R
        else counted(need.runs, "run")
    )
    longer = (
        "not by 60 generations"
        if need.generations is None
        else f"or about {max(need.generations, G)} generations"
    )
    return f"{need.rival}: {runs}, {longer}"


def warnings(answer: Audit) -> tuple[str, ...]:
    """What cannot be trusted, and why."""
    R, G = answer.losses.shape
    wide = answer.scale_high > 4 * max(answer.scale_low, 1e-300)
    doubts = [
        (
            R * G <= 12 and answer.averaged == 1,
            (
                f"{counted(R, 'run')} of {G} generations tell{'s' if R == 1 else ''} little: the"
                " floor, κ / n and the number of directions in which the fit errs are all guessed"
                f" from {R * G} numbers. That a workflow is compatible does not mean that it was"
                " used."
            ),
        ),
        (
            wide,
            "κ / n is known to no better than a factor of"
            f" {answer.scale_high / max(answer.scale_low, 1e-300):,.0f}."
            if answer.scale_low > 0
            else "A rise of the loss cannot be told from logging errors: κ / n may be 0.",
        ),
        (
            answer.metric == "accuracy",
            (
                "An accuracy is no smooth loss: the fit that is best by likelihood need not be that"
                " of the least error, so that errors may rise in proportion to the fit's error and"
                " not to its square. Log a loss beside it."
            ),
        ),
        (
            bool(np.mean(answer.losses[:, -1]) < np.mean(answer.losses[:, 0])),
            (
                "The last losses are below the first: one run may fall by chance under any"
                " workflow; if all do, training goes on from generation to generation."
            ),
        ),
        (
            not answer.asked,
            (
                "No workflow was named: that it is the most likely of those compared does not make"
                " its p-value that of a test."
            ),
        ),
    ]
    return tuple(text for said, text in doubts if said)
