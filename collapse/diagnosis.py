"""diagnose(): whether a workflow collapses, how we know, and where its risk comes from."""

from __future__ import annotations

from dataclasses import dataclass
from math import log2
from textwrap import fill
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from collapse import workflows
from collapse.checks import whole
from collapse.closed_forms import ClosedForm, closed_form
from collapse.derivation import derive
from collapse.plan import Array, Plan
from collapse.reservoir import Reservoir

AGREEMENT = 1e-9
"""Largest relative difference between a closed form and the ratios derived from the plan that bears its name."""
LEAST = 16
"""Generations from which a curve is judged by its shape."""
MARGIN = 0.1
"""Increments that change from octave to octave by a factor within 1 +- MARGIN are taken for neither bounded nor a power of g."""

Verdict = Literal["bounded", "collapsing", "undecided"]


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """What `diagnose` found; print it for a summary in words.

    Parameters
    ----------
    workflow : str
        Name of the plan.
    generations : int
        Generations G that were derived.
    ratio : float
        Risk ratio in the last generation, of the worst of its fits.
    worth : float
        Rows of real data that, read whole, give that risk, where n = 1,000. It is 1,000 / ratio where the first fit reads all n rows.
    verdict : {"bounded", "collapsing", "undecided"}
        Whether the ratio stays bounded as g grows.
    limit : float or None
        Limit of the ratio where bounded: certified, or extrapolated.
    exponent : float or None
        Power of g with which the ratio grows where collapsing; 0 where it grows like log g.
    certificate : ClosedForm or None
        The closed form that was found to hold for this plan; None where the verdict rests on evidence up to G.
    judged : str
        How the verdict was reached.
    real, synthetic, draws : float
        Shares of the last risk due to the noise of real data, of synthetic batches, and of the fits' draws of rows; their sum is 1.
    doubles : int or None
        First generation with a ratio of 2 or more; None where there is none up to G.
    never_doubles : bool
        Whether the certificate proves that no generation's ratio reaches 2.
    """

    workflow: str
    generations: int
    ratio: float
    worth: float
    verdict: Verdict
    limit: float | None
    exponent: float | None
    certificate: ClosedForm | None
    judged: str
    real: float
    synthetic: float
    draws: float
    doubles: int | None
    never_doubles: bool

    def __str__(self) -> str:
        about = "certified" if self.certificate else f"evidence up to generation {self.generations:,}, no proof"
        lines = [f"{self.workflow}: {self.verdict} ({about}).", self.judged]
        if self.doubles:
            when = f"The risk has doubled by generation {self.doubles:,}."
        else:
            when = "The risk never doubles." if self.never_doubles else f"The risk has not doubled by generation {self.generations:,}."
        worth = f"{self.worth:,.0f}" if self.worth >= 10 else f"{self.worth:.2g}"
        lines.append(f"Risk ratio {self.ratio:.4g} at generation {self.generations:,}: 1,000 rows are worth {worth}. {when}")
        parts = [f"{share:.0%} from {name}" for share, name in zip((self.real, self.synthetic, self.draws), _ORIGINS, strict=True) if share]
        lines.append(f"Of that risk {', '.join(parts[:-1]) + ' and ' * (len(parts) > 1) + parts[-1]}.")
        return "\n".join(fill(line, 64, subsequent_indent="  ", break_on_hyphens=False) for line in lines)


_ORIGINS = ("the noise of real data", "synthetic batches", "draws of rows")


def diagnose(workflow: Plan | Reservoir, *, generations: int | None = None) -> Diagnosis:
    """Tell whether a workflow collapses, how that is known, and where its risk comes from.

    Parameters
    ----------
    workflow : Plan or Reservoir
        The workflow.
    generations : int, optional
        Derive so many generations; for a named workflow this may be more or fewer than the plan has. Default: the plan's own.

    Returns
    -------
    Diagnosis
        Its `certificate` is the closed form that belongs to the plan's recipe, claimed only where every derived ratio agrees with it;
        otherwise the verdict is evidence up to G, and says so.

    Raises
    ------
    ValueError
        Where workflow is something else, or a plan typed by hand, or one with a schedule, is to be continued.

    Notes
    -----
    Without a certificate, the ratio is averaged over the last three octaves of g, (G/8, G/4], (G/4, G/2] and (G/2, G]. A sequence that
    approaches a limit like L - c/g^e has increments from octave to octave that shrink by the factor 2^-e, one that grows like g^e has
    increments that grow by 2^e. Where the factor lies between 0.9 and 1.1 (logarithmic growth, say), or there are fewer than 16 generations,
    the verdict is "undecided".

    Examples
    --------
    >>> import collapse
    >>> print(collapse.diagnose(collapse.workflows.augment(100)))
    augment: bounded (certified).
    The ratio tends to pi**2/6 = 1.645 (closed form,
      thm-origin-augment).
    Risk ratio 1.635 at generation 100: 1,000 rows are worth 612.
      The risk never doubles.
    Of that risk 61% from the noise of real data and 39% from
      synthetic batches.
    """
    plan = _continued(workflow, generations)
    derived = derive(plan)
    ratio = np.asarray(derived.ratio, np.float64)
    curve = np.maximum.reduceat(ratio, np.flatnonzero(np.diff(plan.generation, prepend=0)))
    certificate, remark = _certificate(plan, ratio)
    verdict, limit, exponent, judged = _certified(certificate) if certificate else _evidence(curve)
    last = len(ratio) - 1 - int(np.argmax(ratio[::-1][: int((plan.generation == plan.generation[-1]).sum())]))
    parts = np.array(_origins(plan, last))
    labels = np.unique(plan.generation)
    reached = np.flatnonzero(curve >= 2)
    bound = certificate.bound if certificate else None
    return Diagnosis(
        workflow=plan.name,
        generations=int(plan.generation[-1]),
        ratio=float(ratio[last]),
        worth=1000 / float(derived.risk[last]),
        verdict=verdict,
        limit=limit,
        exponent=exponent,
        certificate=certificate,
        judged=(remark + " " + judged).strip(),
        real=float(parts[0] / parts.sum()),
        synthetic=float(parts[1] / parts.sum()),
        draws=float(parts[2] / parts.sum()),
        doubles=int(labels[reached[0]]) if reached.size else None,
        # a bound of 2 is one that is not reached: it belongs to a strictly rising curve
        never_doubles=not reached.size and bound is not None and bool(bound <= 2),
    )


def _continued(workflow: Plan | Reservoir, generations: int | None) -> Plan | Reservoir:
    if not isinstance(workflow, (Plan, Reservoir)):
        raise ValueError(
            f"workflow must be a Plan or a Reservoir, such as collapse.workflows.augment(100); it is {type(workflow).__name__}."
        )
    own = int(workflow.generation[-1])
    if generations is None or whole(generations, "generations", "generations to derive") == own:
        return workflow
    recipe = workflow.recipe
    if recipe is None or not hasattr(workflows, recipe.workflow):
        raise ValueError(f"{workflow.name} is typed for {own} generations, and nothing tells how it goes on; leave generations out.")
    if any(isinstance(value, tuple) for value in recipe.parameters.values()):
        raise ValueError(f"{workflow.name} has a schedule for {own} generations; leave generations out, or give a plan with a longer one.")
    longer: Plan | Reservoir = getattr(workflows, recipe.workflow)(generations, **recipe.parameters)
    both = min(len(workflow.generation), len(longer.generation))
    if not np.allclose(derive(workflow).ratio[:both], derive(longer).ratio[:both], rtol=AGREEMENT):
        raise ValueError(f"{workflow.name} does not have the ratios of {longer.name}, which its recipe names; leave generations out.")
    return longer


def _certificate(plan: Plan | Reservoir, ratio: Array) -> tuple[ClosedForm | None, str]:
    """Return the closed form of the plan's recipe if it holds for the plan, and a remark if it does not."""
    if plan.recipe is None:
        return None, ""
    roles = ("hub", "leaf") if plan.recipe.workflow == "star" else (None,)
    try:
        forms = [form for role in roles if (form := closed_form(plan, role=role))]
    except ImportError as error:
        return None, f"(No certificate: {error})"
    if not forms:
        return None, ""
    first = np.diff(plan.generation, prepend=0) > 0
    expected = np.select([first, ~first], [_at(form, plan.generation) for form in (forms[0], forms[-1])])
    error_at = np.abs(expected / ratio - 1)
    if error_at.max() > AGREEMENT:
        return None, f"The plan is named {plan.name}, but its ratios are not those of that workflow's closed form."
    if forms[0].limit is None and forms[0].bound is None:
        return None, f"The ratio is {forms[0].ratio} ({forms[0].reference}): whether it stays bounded depends on how the schedule goes on."
    return forms[-1], ""


def _at(form: ClosedForm, generation: NDArray[np.int64]) -> Array:
    return np.asarray(form.values(int(generation[-1]))[generation - 1], np.float64)


def _certified(form: ClosedForm) -> tuple[Verdict, float | None, float | None, str]:
    source = f"(closed form, {form.reference})"
    if form.limit is None:
        return "bounded", None, None, f"The ratio stays below {form.bound}, however the schedule goes on {source}."
    if form.growth is None:
        limit = float(form.limit)
        exactly = f"{form.limit} = " if len(str(form.limit)) < 40 and not form.limit.is_Integer else ""
        return "bounded", limit, None, f"The ratio tends to {exactly}{limit:.4g} {source}."
    exponent = 0.0 if form.growth.has(_log()) else 1.0
    return "collapsing", None, exponent, f"The ratio grows like {form.growth} {source}."


def _log() -> Any:
    import sympy

    return sympy.log


def _evidence(curve: Array) -> tuple[Verdict, float | None, float | None, str]:
    G = len(curve)
    if G < LEAST:
        return "undecided", None, None, f"{G} generation{'s are' if G > 1 else ' is'} too few to judge a curve; derive {LEAST} or more."
    means = [float(curve[G >> i + 1 : G >> i].mean()) for i in (2, 1, 0)]
    before, now = means[1] - means[0], means[2] - means[1]
    if abs(now) <= AGREEMENT * means[2]:
        return "bounded", means[2], None, f"The ratio stands still at {means[2]:.4g} over the last half of the generations."
    factor = now / before if before else np.inf
    told = f"From octave to octave of g the ratio's mean changes by {before:.3g}, then {now:.3g}: a factor {factor:.3g}"
    if abs(factor) < 1 - MARGIN:
        limit = means[2] + now * factor / (1 - factor)
        return "bounded", limit, None, f"{told}. Changes that go on shrinking so lead to {limit:.4g}."
    if factor > 1 + MARGIN and now > 0 < before:
        return "collapsing", None, log2(factor), f"{told}, as under growth like g^{log2(factor):.2f}."
    return "undecided", None, None, f"{told}, which tells neither a limit nor a power of g."


def _origins(plan: Plan | Reservoir, last: int) -> tuple[float, float, float]:
    """Parts of one fit's risk due to real data, synthetic batches and draws of rows.

    The contributions of the batches to this one fit, (I - A)^-1 W read from its last row upwards: one pass over the entries, no table.
    """
    if isinstance(plan, Reservoir):
        turnover = plan.turnover.floats()[1 : last + 1]
        return 1.0, float(turnover.sum()), float((turnover * (1 - turnover)).sum())
    fits, batches = np.zeros(plan.generations), np.zeros(plan.batches)
    fits[last] = 1.0
    order = np.argsort(plan.source, kind="stable")
    start = np.searchsorted(plan.source[order], np.arange(1, plan.generations + 2))
    rows, carried = plan.recursion, 0.0
    if rows:
        decay, share, newest = np.append(rows.decay.floats(), 0.0), rows.share.floats(), rows.newest
        entries = rows.entries
        begin = np.searchsorted(entries.fit, np.arange(plan.generations + 1)) if entries else None
        weight = entries.weight.floats() if entries else None
    else:
        table = plan.weight
    for g in range(last, -1, -1):
        fits[g] += batches[order[start[g] : start[g + 1]]].sum()
        if not rows:
            batches += fits[g] * table[g]
            continue
        carried = fits[g] + decay[g + 1] * carried
        batches[newest[g]] += share[g] * carried
        if entries and begin is not None and weight is not None:
            few = slice(begin[g], begin[g + 1])
            batches[entries.batch[few]] += weight[few] * fits[g]
    spread = batches**2 / plan.size
    real = plan.source == 0
    return float(spread[real].sum()), float(spread[~real].sum()), float((fits**2) @ plan.subsampling_noise())
