"""diagnose(): whether a workflow collapses, how we know, and where its risk comes from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from textwrap import fill
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collapse import workflows
from collapse.answers import Answer
from collapse.checks import (
    counted,
    require,
    whole,
)
from collapse.closed_forms import ClosedForm
from collapse.derivation import derive
from collapse.derivation.finite import (
    Anchored,
    anchored,
    at_most,
    augment_supremum,
    average_supremum,
    least_share,
    losses,
    read_below,
    responding,
)
from collapse.diagnosis.verdicts import AGREEMENT, Judgement, Verdict, evidence, in_the_limit
from collapse.exact import Array
from collapse.models.protocols import QUADRATIC, exact_form
from collapse.plan import Plan
from collapse.protocol import checked_workflow
from collapse.reservoir import Reservoir
from collapse.risk import Risk


@dataclass(frozen=True, eq=False)
class Diagnosis(Answer):
    """What `diagnose` found; print it for a summary in words.

    Everything is said of one thing: the Gaussian limit, that is many rows, where `model` is None;
    otherwise that model at n rows.

    Parameters
    ----------
    workflow : str
        Name of the plan.
    generations : int
        Generations G that were derived.
    ratio : float
        Risk ratio in the last generation, of the worst of its fits.
    worth : float
        Rows of real data that, read whole, give that risk, where 1,000 are had: 1,000 / C_gg, as in
        `Risk.worth`.
    verdict : {"bounded", "collapsing", "undecided"}
        Whether the ratio stays bounded as g grows. Bounded is not safe: a Bernoulli chain under
        discard is bounded as it is absorbed.
    limit : float or None
        Limit of the ratio where bounded: certified, or extrapolated; None where it is not known.
    exponent : float or None
        Power of g with which the ratio grows where collapsing; 0 where it grows like log g, inf
        where it grows geometrically.
    certificate : ClosedForm or None
        The closed form of the limit's ratios on which the verdict rests; None where it rests on
        something else.
    judged : str
        How the verdict was reached.
    real, synthetic, draws : float
        Shares of the last risk due to the noise of real data, of synthetic batches, and of the
        fits' draws of rows; their sum is 1. NaN where a model's risk at n has no such parts
        (selected rows, the maximum of a uniform sample), or is too large for a float.
    doubles : int or None
        First generation with a risk of twice that of the real data alone, or more; None where there
        is none up to G.
    never_doubles : bool
        Whether it is proved that no generation's risk is twice that of the real data alone.
    certified : bool
        Whether the verdict is proved; otherwise it is evidence up to G. Of tables typed by hand it
        is proved for their going on as they do.
    model, n : str and int, or None
        The model and its rows; None for the limit.
    supremum : float or None
        Least number that no generation's ratio exceeds, inf where the ratio diverges; None where it
        is not known.
    bound : float or None
        A number that no generation's ratio exceeds, proved; None where none is.
    below : float
        The bound to which `least_share` belongs.
    least_share : float or None
        Least weight of the real rows, beside the latest synthetic batch of as many, that keeps
        every ratio below `below`; None where no exact form is known for the model.
    variance : float or None
        Expected variance of a row drawn from the last fit, in units of a real row's: 1 + v2 MSE /
        V, exact at n; None in the limit and where no such form is known.
    absorbed : float or None
        Chance that the last fit is a point mass, from which no synthetic row leads away; None in
        the limit and where it is not known.
    lost : str
        What is absorbed or lost, and when, in words; in the limit what becomes of the variance of
        a generator's rows, the second verdict beside that on risk.
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
    certified: bool
    model: str | None
    n: int | None
    supremum: float | None
    bound: float | None
    below: float
    least_share: float | None
    variance: float | None
    absorbed: float | None
    lost: str

    def __repr__(self) -> str:
        return f"<Diagnosis of {self.workflow} {self.where}: {self.verdict}>"

    @property
    def where(self) -> str:
        """Of what everything is said, in words."""
        return "for many rows" if self.model is None else f"for {self.model} at n = {self.n:,}"

    def __str__(self) -> str:
        G, where = f"generation {self.generations:,}", self.where
        about = "certified" if self.certified else f"evidence up to {G}, no proof"
        when = (
            f"The risk is twice that of the real data alone by generation {self.doubles:,}."
            if self.doubles
            else f"It never doubles, {where}."
            if self.never_doubles
            else f"The risk has not doubled by {G}."
        )
        worth = f"{self.worth:,.0f}" if self.worth >= 10 else f"{self.worth:.2g}"
        lines = [
            f"{self.workflow}: {self.verdict} {where} ({about}).",
            self.judged,
            f"Risk ratio {self.ratio:.4g} at {G}: 1,000 rows are worth {worth}. {when}",
        ]
        shares = zip((self.real, self.synthetic, self.draws), _ORIGINS, strict=True)
        parts = [f"{share:.0%} from {name}" for share, name in shares if share > 0]
        if parts:
            several = " and ".join([", ".join(parts[:-1]), parts[-1]][len(parts) == 1 :])
            lines.append(f"Of that risk {several}.")
        if self.least_share is not None:
            lines.append(
                "Beside the latest synthetic batch real data need"
                f" {at_most(100 * self.least_share, 3)} % of the weight to keep the ratio below"
                f" {self.below:g} for ever, {where if self.model is None else 'at this n'}."
            )
        lines += [self.lost] * bool(self.lost)
        return "\n".join(
            fill(line, 64, subsequent_indent="  ", break_on_hyphens=False) for line in lines
        )


_ORIGINS = ("the noise of real data", "synthetic batches", "draws of rows")


def diagnose(
    workflow: Plan | Reservoir,
    *,
    generations: int | None = None,
    model: Any = None,
    n: int | None = None,
    below: float = 2,
) -> Diagnosis:
    """Tell whether a workflow collapses, how that is known, where its risk comes from, and what is
    lost.

    Parameters
    ----------
    workflow : Plan or Reservoir
        The workflow.
    generations : int, optional
        Derive so many generations; for a named workflow this may be more or fewer than the plan
        has. Default: the plan's own.
    model : model, optional
        Without it the verdict is that of the Gaussian limit: for many rows. With it, that of the
        model at n rows, for models whose risk `derive` knows exactly at n.
    n : int, optional
        Rows of real data; needed with a model, except a regression's.
    below : float, optional
        The ratio below which `least_share` is to keep every generation: a number greater than 1.

    Returns
    -------
    Diagnosis
        Its `certified` tells whether the verdict is proved or evidence up to G. In the limit it
        rests on the closed form of the plan's recipe, claimed only where every derived ratio agrees
        with it.

    Raises
    ------
    ValueError
        Where workflow is something else, a plan typed by hand, or one with a schedule, is to be
        continued, below is not greater than 1, or the exact risk of the model at n is not known.

    Notes
    -----
    At n, in a family with variance function v0 + v1 mu + v2 mu^2 (the book's proposition
    thm-tables-finite): a fixed share of the same real data, discard and bootstrap among them, is
    bounded exactly where (1 - a)^2 (1 + v2 / k) < 1, k the rows read of the latest batch; augment's
    supremum is an infinite product; with v2 <= 0 whole batches have at most the limit's ratios,
    with v2 >= 0 at least them; with v2 < 0 every ratio is bounded, the means lying in a bounded
    range; with v2 > 0 a bound B of the limit gives B / (1 - (B - 1) v2 / n) at n, and what grows
    like g in the limit grows geometrically, since noise that stays for ever adds its share of every
    earlier risk to each later one.

    Selected rows whose mean and variance are polynomials of the fit are decided likewise, beside
    the same real data.

    What is lost, for many rows: in the mean over all runs the second moment of a row about the
    real mean stays, whatever is pooled, where a generator's rows have the mean and covariance
    (divisor N) of what it was fitted to. What the squared error of the mean gains, their variance
    loses: at generation g the share C_gg / n, exactly the risk of v2 = -1 at n.

    Where nothing is proved, the ratio is averaged over the last three octaves of g, (G/8, G/4],
    (G/4, G/2] and (G/2, G]. A sequence that approaches a limit like L - c/g^e has increments from
    octave to octave that shrink by the factor 2^-e, one that grows like g^e has increments that
    grow by 2^e. Where the factor lies between 0.9 and 1.1 (logarithmic growth, say), or there are
    fewer than 16 generations, the verdict is "undecided".

    Examples
    --------
    >>> import collapse
    >>> print(collapse.diagnose(collapse.workflows.augment(100)))
    augment: bounded for many rows (certified).
    The ratio tends to pi**2/6 = 1.645 (closed form,
      thm-origin-augment).
    Risk ratio 1.635 at generation 100: 1,000 rows are worth 612. It
      never doubles, for many rows.
    Of that risk 61% from the noise of real data and 39% from
      synthetic batches.
    Beside the latest synthetic batch real data need 29.3 % of the
      weight to keep the ratio below 2 for ever, for many rows.
    Diversity stays: rows with the mean and covariance of those that
      they were fitted to lose about 1.645/n of their variance at
      most, for ever.
    >>> model = collapse.models.Exponential(1)
    >>> found = collapse.diagnose(collapse.workflows.augment(100), model=model, n=10)
    >>> round(found.supremum, 3), round(found.least_share, 4)
    (1.728, 0.3258)
    """
    below = read_below(below)
    plan = _continued(workflow, generations)
    derived, v2 = _derived(plan, model, n)
    limit = derived if derived.n is None else derive(plan)
    first = plan.reference(derived.n)
    start = np.flatnonzero(np.diff(plan.generation, prepend=0))

    def worst(ratio: NDArray[Any]) -> Array:
        return np.maximum.reduceat(np.asarray(ratio, np.float64), start)

    ratio, curve = np.asarray(derived.ratio, np.float64), worst(derived.ratio)
    judgement = in_the_limit(plan, np.asarray(limit.ratio, np.float64), worst(limit.ratio))
    if derived.n is not None:
        with np.errstate(over="ignore", invalid="ignore"):  # a ratio may grow beyond all floats
            judgement = _judged_at_n(plan, model, derived.n, v2, curve, judgement)
    # of the fits of the last generation the worst, the later one of two
    last = len(ratio) - 1 - int(np.argmax(np.flip(ratio[start[-1] :])))
    reached = np.flatnonzero(first * curve >= 2)
    bounds = [bound for bound in (judgement.bound, judgement.supremum) if bound is not None]
    known = np.isfinite(ratio[last]) and (derived.n is None or v2 is not None)
    # in units of a row's variance, whose n-th part is the risk of a fit to all real rows
    rows = derived.n if exact_form(model) in QUADRATIC and derived.n else np.inf
    squared = float(ratio[last]) * first / rows
    lost = (
        losses(plan, model, derived.n, squared)
        if derived.n
        else (None, None, _diversity(judgement, first * curve))
    )
    origins = _origins(plan, last, derived, v2) if known else [np.nan] * 3
    return Diagnosis(
        workflow=plan.name,
        generations=int(plan.generation[-1]),
        ratio=float(ratio[last]),
        worth=float(derived.worth(1000)[last]),
        **vars(judgement),
        real=origins[0],
        synthetic=origins[1],
        draws=origins[2],
        doubles=int(np.unique(plan.generation)[reached[0]]) if reached.size else None,
        # a bound of 2 is one that is not reached: it belongs to a strictly rising curve
        never_doubles=not reached.size and bool(bounds) and first * min(bounds) <= 2,
        model=derived.model,
        n=derived.n,
        below=below,
        least_share=None if v2 is None else least_share(derived.n, v2, below=below),
        variance=lost[0],
        absorbed=lost[1],
        lost=lost[2],
    )


def _derived(plan: Plan | Reservoir, model: Any, n: int | None) -> tuple[Risk, float | None]:
    """Exact risk, in the limit or at n, and v2, which is 0 in the limit and for least squares; None
    where the risk is not that of weighted means."""
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            derived = derive(plan, model=model, n=n)
    except ValueError as error:
        raise ValueError(f"a verdict at n rests on the exact risk at n: {error}") from error
    form = exact_form(model)
    if form in QUADRATIC:
        return derived, float(model.variance_function[2])
    return derived, 0.0 if model is None or form == "fixed design" else None


def _diversity(found: Judgement, curve: Array) -> str:
    """What becomes of the variance of rows that match moments, for many rows; C_gg by generation,
    of the worst fit."""
    who = "rows with the mean and covariance of those that they were fitted to lose"
    most = found.supremum if found.bound is None else found.bound
    if found.verdict == "bounded" and found.certified and most is not None:
        share = f"{at_most(most, 4)}/n"
        return f"Diversity stays: {who} about {share} of their variance at most, for ever."
    told = f"{who} about {curve[-1]:.4g}/n of their variance by then"
    if found.verdict != "collapsing":
        return f"Diversity: {told}."
    told = f"Diversity is lost: {told}, and go on to lose"
    step = float(curve[-1] - curve[-2]) if found.exponent == 1 and len(curve) > 1 else 0.0
    if step <= 0:
        return f"{told}."
    return f"{told}; half of it is gone after about {np.log(2) / step:.3g} n generations."


def _judged_at_n(
    plan: Plan | Reservoir,
    model: Any,
    n: int,
    v2: float | None,
    curve: Array,
    limit: Judgement,
) -> Judgement:
    """Verdict at n, by what is proved there: from the limit's verdict, or beside it."""
    whole_batches = plan.reads_whole_batches
    if v2 is None:
        selected = exact_form(model) == "linear response" and model.response
        found = responding(plan, selected, n) if selected else None
        return _selected(*found) if found else evidence(curve)
    if v2 == 0 and whole_batches and limit.certified:
        return replace(
            limit,
            judged=f"The ratios at n are those of the limit (thm-tables-finite). {limit.judged}",
        )
    form = anchored(plan, n, v2)
    if form and np.allclose(form.ratios(len(curve)), curve, rtol=AGREEMENT):
        return _anchored(plan, form, n, v2)
    if supremum := _augmented(plan, n, v2):
        told, tends = f"The ratio rises to {supremum:.4g} (thm-sizes-finite).", supremum
        return Judgement("bounded", told, tends, supremum=supremum, bound=supremum)
    if supremum := _averaged(plan, n, v2):
        told = f"The ratio rises to {supremum:.4g} and falls to 1 again (thm-zoo-average)."
        return Judgement("bounded", told, 1.0, supremum=supremum, bound=supremum)
    first = plan.reference(n)
    if v2 < 0:
        bound, why = n / (-v2 * first), "since the means lie in a bounded range"
        if whole_batches and limit.bound is not None and limit.bound < bound:
            bound, why = limit.bound, "the bound for many rows, since v2 is negative"
        return Judgement(
            "bounded",
            f"No ratio exceeds {at_most(bound, 4)}, {why} (thm-tables-finite); bounded is not"
            " safe.",
            bound=bound,
        )
    if (
        not plan.persistent
        and limit.certified
        and limit.verdict == "collapsing"
        and not plan.replace
    ):
        # noise that stays in all later fits feeds a share of every earlier risk into each
        geometric = v2 > 0 and limit.exponent == 1
        return Judgement(
            "collapsing",
            "The ratio grows without bound: since v2 is not negative, it is at least that of the"
            f" limit{'; in the end it grows geometrically' * geometric} (thm-tables-finite). For"
            f" many rows {limit.judged[0].lower()}{limit.judged[1:]}",
            exponent=inf if geometric else limit.exponent,
            supremum=inf,
        )
    if whole_batches and limit.certified and limit.bound is not None and abs(first - 1) < AGREEMENT:
        synthetic = limit.bound - (len(plan.real_sizes()) == 1)
        if limit.certificate and limit.certificate.workflow == "augment":
            bound = augment_supremum(n, v2, size=1 / n)
            return Judgement(
                "bounded",
                f"No schedule has a ratio above {at_most(bound, 4)} (thm-sizes-finite).",
                bound=bound,
            )
        if synthetic * v2 < n:
            bound = limit.bound / (1 - synthetic * v2 / n)
            return Judgement(
                "bounded",
                f"No ratio exceeds {at_most(bound, 4)}, as none exceeds {at_most(limit.bound, 4)}"
                " for many rows (thm-tables-finite).",
                bound=bound,
            )
    return evidence(curve)


def _anchored(plan: Plan | Reservoir, form: Anchored, n: int, v2: float) -> Judgement:
    source = f"(thm-tables-finite{'' if plan.recipe else ', if the tables go on like this'})"
    where = (
        f"a = {form.share:.3g} is the weight of the real data, k rows are read of the latest batch"
    )
    factor, top = f"(1 - a)^2 (1 + v2/k) = {form.rho:.4g}", max(form.limit, 1.0)
    if form.rho >= 1 and form.limit == 1:
        return Judgement("bounded", f"The ratio is 1 {source}.", 1.0, supremum=1.0, bound=1.0)
    if form.rho < 1:
        told = f"The ratio tends to {form.limit:.4g}, since {factor} < 1 {source}; {where}."
        return Judgement("bounded", told, form.limit, supremum=top, bound=top)
    if form.rho == 1:
        step = form.step / (form.real + form.first)
        told = f"The ratio grows by {step:.4g} a generation, without bound {source}."
        return Judgement("collapsing", told, exponent=1.0, supremum=inf)
    told = f"In the end the ratio grows by the factor {factor} a generation {source}; {where}."
    return Judgement("collapsing", told, exponent=inf, supremum=inf)


def _selected(rho: float, limit: float) -> Judgement:
    where = f"w^2 (m1^2 + v2/k) = {rho:.4g}"
    said = "w the weight of the latest batch, k its rows, m1 the slope of a selected row's mean"
    if limit == inf:
        told = f"The ratio grows without bound, since {where} >= 1; {said}."
        return Judgement("collapsing", told, None, inf if rho > 1 else 1.0, inf)
    return Judgement(
        "bounded", f"The ratio tends to {limit:.4g}, since {where} < 1; {said}.", limit
    )


def _augmented(plan: Plan | Reservoir, n: int, v2: float) -> float | None:
    """Supremum of augment's ratio at n, if the plan is augment with batches of one size."""
    recipe = plan.recipe
    if recipe is None or recipe.scheduled or recipe.workflow != "augment":
        return None
    named = plan == workflows.augment(plan.generations, **recipe.parameters)
    return augment_supremum(n, v2, size=recipe.parameters["size"]) if named else None


def _averaged(plan: Plan | Reservoir, n: int, v2: float) -> float | None:
    """Supremum of the ratio of real_and_average at n, if the plan is that."""
    recipe = plan.recipe
    if recipe is None or recipe.workflow != "real_and_average":
        return None
    named = plan == workflows.real_and_average(plan.generations, **recipe.parameters)
    return average_supremum(recipe.parameters["share"], n, v2) if named else None


def _continued(workflow: Plan | Reservoir, generations: int | None) -> Plan | Reservoir:
    own, recipe = int(checked_workflow(workflow).generation[-1]), workflow.recipe
    if generations is None or whole(generations, "generations", "generations to derive") == own:
        return workflow
    if recipe is None or recipe.workflow not in workflows.NAMED:
        raise ValueError(
            f"{workflow.name} is typed for {counted(own, 'generation')}, and nothing tells how"
            " it goes on;"
            " leave generations out."
        )
    require(
        not recipe.scheduled,
        f"{workflow.name} has a schedule for {counted(own, 'generation')}; leave generations"
        " out, or give a"
        " plan with a longer one.",
    )
    longer: Plan | Reservoir = workflows.NAMED[recipe.workflow](generations, **recipe.parameters)
    both = min(len(workflow.generation), len(longer.generation))
    require(
        np.allclose(derive(workflow).ratio[:both], derive(longer).ratio[:both], rtol=AGREEMENT),
        f"{workflow.name} does not have the ratios of {longer.name}, which its recipe names; leave"
        " generations out.",
    )
    return longer


def _origins(plan: Plan | Reservoir, last: int, derived: Risk, v2: float | None) -> list[float]:
    """Shares of one fit's risk due to real data, synthetic batches and draws of rows.

    At n a synthetic batch has 1 + v2 MSE / V times the noise of a real one, by the mean squared
    error of its source.
    """
    # risks in units of that of a fit to all real rows, which at n is V / n
    risk = np.asarray(derived.risk, np.float64)
    risk = risk / (risk[0] / plan.reference(derived.n))
    # the variance of a row of each source, in units of a real one's
    level = 1 + float(v2 or 0) * risk / (derived.n or inf)
    if plan.persistent:
        known = [1.0, float((plan.turnover.floats()[1 : last + 1] * level[:last]).sum())]
    else:
        spread, real = _contributions(plan, last) ** 2 / plan.size, plan.source == 0
        made = (spread * level[plan.source - 1])[~real]
        known = [float(spread[real].sum()), float(made.sum())]
    drawn = 0.0 if plan.reads_whole_batches else max(float(risk[last]) - sum(known), 0.0)
    return [part / (sum(known) + drawn) for part in (*known, drawn)]


def _contributions(plan: Plan, last: int) -> Array:
    """How much of each batch's noise stands in one fit: (I - A)^-1 W read from its last row
    upwards, one pass over the entries, no table.
    """
    fits, batches = np.zeros(plan.generations), np.zeros(plan.batches)
    fits[last] = 1.0
    rows, entries, carried = plan.recursion, plan.recursion.entries, 0.0
    decay, share, newest = np.append(rows.decay.floats(), 0.0), rows.share.floats(), rows.newest
    weight, read = entries.weight.floats(), entries.by_fit(plan.generations)
    for g in range(last, -1, -1):
        fits[g] += batches[plan.drawn_from[g]].sum()
        carried = fits[g] + decay[g + 1] * carried
        if share[g]:
            batches[newest[g]] += share[g] * carried
        batches[entries.batch[read[g]]] += weight[read[g]] * fits[g]
    return batches
