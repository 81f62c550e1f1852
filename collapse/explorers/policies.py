"""What the explorers of policies stand for: from the state of their controls to plans, numbers, a
sentence and a picture.

Each has three functions: <name>_answer, whose numbers the page shows too; <name>_sentence;
<name>_draw.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from math import ceil, inf, log, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from collapse import workflows
from collapse.checks import brief, check_number, choice
from collapse.derivation import derive
from collapse.plan import Plan
from collapse.publishing import plot

if TYPE_CHECKING:
    from matplotlib.figure import Figure

State = Mapping[str, Any]


SUBSAMPLED = ("discard", "augment", "subsample", "window", "fixed_real_share")
"""Workflows of which an explorer can let each fit after the first read only the share `kept` of the
rows.
"""


def settable(name: str) -> tuple[str, ...]:
    """Names of the parameters of a named workflow on which its ratio depends."""
    names = tuple(
        inspect.signature(workflows.NAMED[choice(name, "name", tuple(workflows.NAMED))]).parameters
    )
    return () if name == "bootstrap" else names[1:]


def plan_of(state: State, generations: int) -> Any:
    """Make the workflow that a state stands for: "workflow" is its name, the rest its parameters,
    and `kept` for those in `SUBSAMPLED`.
    """
    name = state["workflow"]
    given = {parameter: state[parameter] for parameter in settable(name) if parameter in state}
    if given.get("turnover") == 0:
        del given["turnover"]  # 1/g, the default
    plan, share = workflows.NAMED[name](generations, **given), state.get("kept", 1)
    if share == 1 or name not in SUBSAMPLED or plan.persistent:
        return plan
    kept = plan.kept.copy()
    kept[1:] *= share  # fit 1 is the reference
    return Plan(
        plan.source,
        plan.size,
        plan.weight,
        kept,
        replace=plan.replace,
        name=f"{plan.name}, {100 * share:.3g} % kept",
    )


def curve_of(plan: Any) -> Any:
    """Ratio of each generation: of the worst of its fits."""
    return np.maximum.reduceat(
        derive(plan).ratio, np.flatnonzero(np.diff(plan.generation, prepend=0))
    )


# --- the workflow explorer ------------------------------------------------------------------------


def workflow_answer(state: State) -> dict[str, Any]:
    plan = plan_of(state, state["generations"])
    ratio = float(curve_of(plan)[-1])
    # where the first fit reads the real data through draws, ratios are not to the real data
    return {
        "plan": plan,
        "risk": derive(plan),
        "ratio": ratio,
        "worth": 1000 / (plan.reference() * ratio),
    }


def workflow_sentence(state: State) -> str:
    answer = workflow_answer(state)
    return (
        f"for many rows, after {state['generations']} generations of {answer['plan'].name}, the "
        f"risk ratio is {answer['ratio']:.6g}, and 1,000 real rows are worth {answer['worth']:.3g}"
    )


def workflow_draw(figure: Figure, state: State) -> None:
    plan = plan_of(state, state["generations"])
    curve, family = curve_of(plan), plot.family_of(plan.name)
    (ax,) = plot.panels(figure, 1)
    g = np.arange(1, len(curve) + 1)
    plot.plot_derived(ax, g, curve, family=family)
    plot.mark_limit(ax)
    ax.set_xlabel("generation")
    ax.set_ylabel("risk ratio")
    ax.set_title(f"{plan.name}: {curve[-1]:.4g} at generation {g[-1]}", color=plot.colour(family))


# --- squares --------------------------------------------------------------------------------------

SQUARED = 50
"""Generations that the squares can show."""


def squares_answer(state: State) -> dict[str, Any]:
    plan = plan_of(state, SQUARED)
    risk, at = derive(plan), state["generation"] - 1
    area = risk.contributions[at] ** 2 / plan.size
    ratio, newest = float(risk.ratio[at]), float(area[_newest(plan, at)].sum())
    draws = ratio - float(area.sum())
    return {
        "plan": plan,
        "risk": risk,
        "ratio": ratio,
        "worth": 1000 / ratio,
        "newest": newest,
        "side": newest**0.5,
        "batches": ratio - draws,
        "draws": draws,
    }


def _newest(plan: Any, at: int) -> Any:
    """Batches that no fit before this one has read."""
    return (plan.weight[at] > 0) & ~(plan.weight[:at] > 0).any(axis=0)


def squares_sentence(state: State) -> str:
    answer = squares_answer(state)
    draws = f", and {answer['draws']:.3g} from draws of rows" if answer["draws"] > 1e-12 else ""
    return (
        f"under {answer['plan'].name}, for many rows, the risk ratio of generation "
        f"{state['generation']} is {answer['ratio']:.5g}: a sum of squares, one for each batch"
        f"{draws}; the newest square is {answer['newest']:.3g}"
    )


def squares_draw(figure: Figure, state: State) -> None:
    answer = squares_answer(state)
    plan, at = answer["plan"], state["generation"] - 1
    area = answer["risk"].contributions[at] ** 2 / plan.size
    (ax,) = plot.panels(figure, 1)
    x = 0.0
    for batch in np.flatnonzero(area):
        side = area[batch] ** 0.5
        family = plot.family_of(plan.name) if plan.source[batch] else "real"
        ax.add_patch(_patch(x, side, plot.colour(family)))
        x += side
    if answer["draws"] > 1e-9:
        ax.add_patch(_patch(x, answer["draws"] ** 0.5, plot.muted()))
    ax.set_xlim(0, max(x + max(answer["draws"], 0) ** 0.5, 4))
    ax.set_ylim(0, 1.6)
    ax.set_aspect("equal", "box", anchor="W")
    ax.set_axis_off()
    ax.set_title(
        f"{plan.name}, generation {state['generation']}: the squares have a total area of"
        f" {answer['ratio']:.4g}"
    )


def _patch(x: float, side: float, colour: str) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((x, 0), side, side, facecolor=colour, edgecolor=plot.ground(), linewidth=0.5)


# --- dial -----------------------------------------------------------------------------------------

COURSE = 40
"""Generations of the dial's risk curve."""


def anchored(state: State, generations: int) -> Plan:
    """`fixed_real_share` with synthetic batches of any size."""
    share, later = state["share"], generations - 1
    weight = np.zeros((generations, generations))
    weight[0, 0], weight[1:, 0] = 1, share
    np.fill_diagonal(weight[1:, 1:], 1 - share)
    return Plan(
        np.arange(generations),
        [1, *[state["size"]] * later],
        weight,
        name=f"{100 * share:.3g} % real",
    )


def dial_answer(state: State) -> dict[str, Any]:
    share, size = state["share"], state["size"]
    plan = anchored(state, COURSE)
    risk = derive(plan)
    from scipy.special import polygamma

    # augment's extra risk in the long run, in units of 1 / size, and the share at which the dial
    # has the same
    extra = float(polygamma(1, 1 + 1 / size))
    answer = {
        "plan": plan,
        "risk": risk,
        "stored": 1 + size,
        "threshold": 1 - sqrt(extra / (1 + extra)),
    }
    limit = limit_at(share, size)
    if share == 0:
        return answer | {"limit": limit, "worth": 0.0, "wait": inf, "growth": 1 / size}
    # as far as the share of the extra risk that is there, 1 - (1 - share)^(2 (g - 1)), takes to
    # pass 95 %
    curve = (
        derive(anchored(state, 2 + ceil(log(20) / (-2 * log(1 - share))))).ratio
        if share < 1
        else np.ones(1)
    )
    wait = int(np.argmax(curve - 1 >= 0.95 * (limit - 1))) + 1
    return answer | {"limit": limit, "worth": 1000 / limit, "wait": wait, "growth": 0.0}


def dial_sentence(state: State) -> str:
    answer = dial_answer(state)
    return (
        f"with {100 * state['share']:.3g} % of the weight on the real data the risk ratio, for many"
        f" rows, tends to {answer['limit']:.4g}; above {100 * answer['threshold']:.3g} % it ends"
        " below augment's"
    )


def dial_draw(figure: Figure, state: State) -> None:
    left, right = plot.panels(figure, 2)
    shares = np.linspace(0.03, 1, 98)
    limits = [limit_at(float(share), state["size"]) for share in shares]
    plot.plot_derived(left, shares, limits, family="fixed real share")
    left.plot(
        [state["share"]],
        [limit_at(state["share"], state["size"])],
        "o",
        color=plot.colour("fixed real share"),
        clip_on=False,
    )
    left.set_yscale("log")
    left.set_ylim(0.9, 12)
    left.set_yticks([1, 2, 3, 5, 10], ["1", "2", "3", "5", "10"])
    left.minorticks_off()
    left.set_xlabel("share of weight on real data")
    left.set_ylabel("limit of the risk ratio")
    g = np.arange(1, COURSE + 1)
    plot.plot_derived(right, g, dial_answer(state)["risk"].ratio, family="fixed real share")
    plot.plot_derived(
        right,
        g,
        derive(workflows.augment(COURSE, state["size"])).ratio,
        family="augment",
        dash=(0, (5, 2)),
    )
    right.set_xlabel("generation")
    right.set_ylabel("risk ratio (dashed: augment)")


def limit_at(share: float, size: float) -> float:
    """Limit of the dial's ratio."""
    share, size = float(check_number(share, "share")), float(check_number(size, "size", 0))
    if not 0 <= share <= 1:
        raise ValueError(f"share must lie in [0, 1]; it is {brief(share)}.")
    return 1 + (1 - share) ** 2 / size / (share * (2 - share)) if share else inf


# --- bill -----------------------------------------------------------------------------------------


def bill_answer(state: State) -> dict[str, Any]:
    plan = plan_of(state, state["generations"])
    risk = derive(plan)
    ratio = float(risk.ratio[-1])
    extra = max((ratio - 1) * state["p"] / (2 * state["n"]), 0.0)
    return {
        "plan": plan,
        "risk": risk,
        "ratio": ratio,
        "rows": state["n"] / ratio,
        "extra": extra,
        "needed": 8 / extra if extra else inf,
    }


def bill_sentence(state: State) -> str:
    answer = bill_answer(state)
    return (
        f"after {state['generations']} generations of {answer['plan'].name} the log-loss of a model"
        f" with {state['p']} parameters, fitted to {state['n']:,} rows, is higher by"
        f" {answer['extra']:.2g} nats to first order; it takes {answer['needed']:.2g} test rows to"
        " see it"
    )


def bill_draw(figure: Figure, state: State) -> None:
    answer = bill_answer(state)
    (ax,) = plot.panels(figure, 1)
    extra = (answer["risk"].ratio[1:] - 1) * state["p"] / (2 * state["n"])
    least = 8 / state["test_rows"]
    plot.plot_derived(
        ax, np.arange(2, len(extra) + 2), extra, family=plot.family_of(answer["plan"].name)
    )
    ax.axhline(least, color=plot.muted(), linestyle=(0, (5, 3)), linewidth=0.9)
    ax.annotate(
        f"{state['test_rows']:,} test rows show this",
        (len(extra), least),
        xytext=(0, 3),
        textcoords="offset points",
        ha="right",
    )
    ax.set_yscale("log")
    ax.set_xlabel("generation")
    ax.set_ylabel("extra log-loss, nats")
    ax.set_title(answer["plan"].name)
