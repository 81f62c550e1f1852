"""What the explorers of policies stand for: from the state of their controls to plans, numbers, a
sentence and a picture.

Each has three functions: <name>_answer, whose numbers the page shows too; <name>_sentence;
<name>_draw.
"""

from __future__ import annotations

from math import ceil, inf, log
from typing import TYPE_CHECKING, Any

import numpy as np

from collapse import workflows
from collapse.derivation import derive
from collapse.explorers.record import (
    GENERATIONS,
    Control,
    Explorer,
    State,
    kept,
    one_model,
    parameters,
)
from collapse.plan import Plan
from collapse.publishing import plot
from collapse.workflows.record import RATIOS

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plan_of(state: State, generations: int) -> Any:
    """Make the workflow that a state stands for: "workflow" is its name, the rest its parameters,
    and `kept`, where a record says what that does.
    """
    kind = workflows.NAMED[state["workflow"]]
    plan, share = kind.at(state, generations), state.get("kept", 1)
    if share == 1 or kind.thinned is None or not isinstance(plan, Plan):
        return plan
    read = plan.kept.copy()
    read[1:] *= share  # fit 1 is the reference
    return Plan(
        plan.source,
        plan.size,
        plan.weight,
        read,
        replace=plan.replace,
        name=f"{plan.name}, {100 * share:.3g} % kept",
    )


def curve_of(plan: Any) -> Any:
    """Ratio of each generation: of the worst of its fits."""
    return np.maximum.reduceat(
        derive(plan).ratio, np.flatnonzero(np.diff(plan.generation, prepend=0))
    )


def _settle(share: Any, size: Any) -> Any:
    """Limit of the ratio with this share of weight on the real data, the rest on batches of `size`
    times n rows.
    """
    return 1 + (1 - share) ** 2 / size / (share * (2 - share))


def _overtake(extra: Any) -> Any:
    """Share at which that limit, less one, is extra / size: as augment's in the long run."""
    return 1 - (extra / (1 + extra)) ** 0.5


def _dear(ratio: Any, n: Any, p: Any) -> Any:
    """Nats that a ratio adds to the log-loss, to first order."""
    return (ratio - 1) * p / (2 * n)


def _seen(test_rows: Any) -> Any:
    """Nats that so many test rows show, two standard errors, where both models are scored."""
    return 8 / test_rows


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
    ax.set(xlabel="generation", ylabel="risk ratio")
    ax.set_title(f"{plan.name}: {curve[-1]:.4g} at generation {g[-1]}", color=plot.colour(family))


Explorer(
    "workflow",
    "what a workflow costs",
    lambda: (*parameters(*workflows.NAMED), kept(), GENERATIONS),
    workflow_answer,
    workflow_sentence,
    workflow_draw,
)


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
    ax.set(xlim=(0, max(x + max(answer["draws"], 0) ** 0.5, 4)), ylim=(0, 1.6))
    ax.set_aspect("equal", "box", anchor="W")
    ax.set_axis_off()
    ax.set_title(
        f"{plan.name}, generation {state['generation']}: the squares have a total area of"
        f" {answer['ratio']:.4g}"
    )


def _patch(x: float, side: float, colour: str) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((x, 0), side, side, facecolor=colour, edgecolor=plot.ground(), linewidth=0.5)


Explorer(
    "squares",
    "risk as an area",
    lambda: (
        *parameters(*one_model(), leave=("size", "replace")),
        Control("generation", "Generation", 10, 1, SQUARED, 1),
    ),
    squares_answer,
    squares_sentence,
    squares_draw,
)


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
        "threshold": _overtake(extra),
    }
    limit = _settle(share, size) if share else inf
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
    limits = _settle(shares, state["size"])
    plot.plot_derived(left, shares, limits, family="fixed real share")
    left.plot(
        [state["share"]],
        [dial_answer(state)["limit"]],
        "o",
        color=plot.colour("fixed real share"),
        clip_on=False,
    )
    left.set(yscale="log", ylim=(0.9, 12))
    left.set(xlabel="share of weight on real data", ylabel="limit of the risk ratio")
    left.set_yticks([1, 2, 3, 5, 10], ["1", "2", "3", "5", "10"])
    left.minorticks_off()
    g = np.arange(1, COURSE + 1)
    plot.plot_derived(right, g, dial_answer(state)["risk"].ratio, family="fixed real share")
    plot.plot_derived(
        right,
        g,
        derive(workflows.augment(COURSE, state["size"])).ratio,
        family="augment",
        dash=(0, (5, 2)),
    )
    right.set(xlabel="generation", ylabel="risk ratio (dashed: augment)")


Explorer(
    "dial",
    "how much weight the real data must keep",
    lambda: (
        Control("share", "Weight on the real data", 0.1, unit="percent"),
        Control("size", "Rows of a synthetic batch, in n", 1.0, 0.1, 10, values=RATIOS),
    ),
    dial_answer,
    dial_sentence,
    dial_draw,
    shared={"limitAt": _settle, "shareAt": _overtake},
)


# --- bill -----------------------------------------------------------------------------------------


def bill_answer(state: State) -> dict[str, Any]:
    plan = plan_of(state, state["generations"])
    risk = derive(plan)
    ratio = float(risk.ratio[-1])
    extra = max(_dear(ratio, state["n"], state["p"]), 0.0)
    return {
        "plan": plan,
        "risk": risk,
        "ratio": ratio,
        "rows": state["n"] / ratio,
        "extra": extra,
        "needed": _seen(extra) if extra else inf,
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
    extra = _dear(answer["risk"].ratio[1:], state["n"], state["p"])
    least = _seen(state["test_rows"])
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
    ax.set(yscale="log", xlabel="generation", ylabel="extra log-loss, nats")
    ax.set_title(answer["plan"].name)


def _decades(first: int, last: int) -> tuple[float, ...]:
    steps = (float(digit * 10**power) for power in range(first, last) for digit in (1, 2, 5))
    return (*steps, float(10**last))


Explorer(
    "bill",
    "what a policy adds to the log-loss",
    lambda: (
        *parameters(*one_model(), leave=("replace",)),
        GENERATIONS,
        Control("n", "Real rows, n", 2000, 100, 10**7, values=_decades(2, 7), unit="rows"),
        Control("p", "Parameters, p", 5, 1, 10**4, values=_decades(0, 4), unit="rows"),
        Control("test_rows", "Test rows", 10**4, 100, 10**7, values=_decades(2, 7), unit="rows"),
    ),
    bill_answer,
    bill_sentence,
    bill_draw,
    shared={"extraOf": _dear, "leastOf": _seen},
)
