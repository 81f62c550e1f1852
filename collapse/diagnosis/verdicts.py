"""Verdicts on a workflow for many rows: proved by a closed form, or read from the curve's shape."""

from dataclasses import dataclass, replace
from functools import partial
from math import inf, log2
from typing import Literal

import numpy as np

from collapse.closed_forms import ClosedForm, closed_form
from collapse.derivation.finite import average_supremum
from collapse.exact import Array
from collapse.plan import Plan
from collapse.reservoir import Reservoir
from collapse.workflows.record import NAMED

AGREEMENT = 1e-9
"""Largest relative difference between a closed form and the ratios derived from the plan that bears
its name."""
LEAST = 16
"""Generations from which a curve is judged by its shape."""
MARGIN = 0.1
"""Increments that change from octave to octave by a factor within 1 +- MARGIN are taken for neither
bounded nor a power of g."""
GEOMETRIC = 16.0
"""Increments that grow from octave to octave by more than this factor, g^4, are taken for geometric
growth."""

Verdict = Literal["bounded", "collapsing", "undecided"]


@dataclass(frozen=True)
class Judgement:
    """A verdict, and how it was reached; a `Diagnosis` has the same fields."""

    verdict: Verdict
    judged: str
    limit: float | None = None
    exponent: float | None = None
    supremum: float | None = None
    bound: float | None = None
    certificate: ClosedForm | None = None
    certified: bool = True


def in_the_limit(plan: Plan | Reservoir, ratio: Array, curve: Array) -> Judgement:
    """Judge a plan by the closed form of its recipe, if that holds for every fit, or else by
    evidence; `curve` has the worst fit of each generation.
    """
    record = NAMED.get(plan.recipe.workflow) if plan.recipe else None
    forms, remark, label = [], "", plan.generation
    try:
        roles = (record and record.roles) or (None,)
        forms = [form for role in roles if (form := closed_form(plan, role=role))]
    except ImportError as error:
        remark = f"(No certificate: {error}) "
    if forms:
        hub, leaf = (form.values(int(label[-1]))[label - 1] for form in (forms[0], forms[-1]))
        expected = np.where(np.diff(label, prepend=0) > 0, hub, leaf)
        if np.abs(expected / ratio - 1).max() > AGREEMENT:
            remark = (
                f"The plan is named {plan.name}, but its ratios are not those of that workflow's"
                " closed form. "
            )
        elif forms[0].limit is None and forms[0].bound is None:
            remark = (
                f"The ratio is {forms[0].ratio} ({forms[0].reference}): whether it stays bounded"
                " depends on how the schedule goes on. "
            )
        else:
            return _certified(forms[-1], curve)
    found = evidence(curve)
    return replace(found, judged=f"{remark}{found.judged}")


def _certified(form: ClosedForm, curve: Array) -> Judgement:
    found, source = partial(Judgement, certificate=form), f"(closed form, {form.reference})"
    if form.growth is not None:
        told, power = f"The ratio grows like {form.growth} {source}.", "log" not in str(form.growth)
        return found("collapsing", told, exponent=float(power), supremum=inf)
    bound = None if form.bound is None else float(form.bound)
    top = None
    if form.workflow == "real_and_average":  # which reaches its supremum, maybe later on
        bound = top = average_supremum(float(form.parameters["share"])) or bound
    if form.limit is None:
        told = f"The ratio stays below {form.bound}, however the schedule goes on {source}."
        return found("bounded", told, bound=bound)
    limit, written = float(form.limit), f"{form.limit} = "
    exactly = written if len(written) < 43 and not form.limit.is_Integer else ""
    # a bound that is reached, or approached, is the least one
    ends = (limit, float(curve.max()), top or limit)
    least = bound and any(abs(bound / end - 1) < AGREEMENT for end in ends)
    return found(
        "bounded",
        f"The ratio tends to {exactly}{limit:.4g} {source}.",
        limit=limit,
        supremum=bound if least else None,
        bound=bound,
    )


def evidence(curve: Array) -> Judgement:
    """Judge a curve by its shape, up to its end."""
    found, G = partial(Judgement, certified=False), len(curve)
    if G < LEAST:
        return found(
            "undecided",
            f"{G} generation{'s are' if G > 1 else ' is'} too few to judge a curve; derive {LEAST}"
            " or more.",
        )
    if not (finite := np.isfinite(curve)).all():
        return found(
            "collapsing",
            f"The ratio is too large to be told from generation {np.argmin(finite) + 1} on.",
            exponent=inf,
        )
    first, middle, last = (float(curve[G >> i + 1 : G >> i].mean()) for i in (2, 1, 0))
    before, now = middle - first, last - middle
    if abs(now) <= AGREEMENT * last:
        return found(
            "bounded",
            f"The ratio stands still at {last:.4g} over the last half of the generations.",
            limit=last,
        )
    factor = now / before if before else inf
    told = (
        f"From octave to octave of g the ratio's mean changes by {before:.3g}, then {now:.3g}: a"
        f" factor {factor:.3g}"
    )
    if abs(factor) < 1 - MARGIN:
        limit = last + now * factor / (1 - factor)
        return found(
            "bounded", f"{told}. Changes that go on shrinking so lead to {limit:.4g}.", limit=limit
        )
    if factor > GEOMETRIC and now > 0 < before:
        each = float((curve[-1] / curve[G // 2]) ** (1 / (G - 1 - G // 2)))
        return found(
            "collapsing",
            f"Over the last half the ratio grows by the factor {each:.4g} a generation.",
            exponent=inf,
        )
    if factor > 1 + MARGIN and now > 0 < before:
        return found(
            "collapsing",
            f"{told}, as under growth like g^{log2(factor):.2f}.",
            exponent=log2(factor),
        )
    return found("undecided", f"{told}, which tells neither a limit nor a power of g.")
