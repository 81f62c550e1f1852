"""What the explorers of policies stand for: from the state of their controls to plans, numbers, a
sentence and a picture.

Each has two functions: <name>_answer, whose numbers the page shows too, and <name>_draw.
"""

from __future__ import annotations

from math import ceil, inf, log
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import polygamma

from collapse import workflows
from collapse.derivation import derive
from collapse.explorers.record import (
    Control,
    Explorer,
    State,
    generations,
    kept,
    one_model,
    parameters,
)
from collapse.plan import Plan
from collapse.publishing import panel, plot
from collapse.workflows.record import RATIOS

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plan_of(state: State, generations: int) -> Any:
    """Make the workflow that a state stands for: "workflow" is its name, the rest its parameters,
    and `kept`, where a record says what that does.
    """
    kind = workflows.NAMED[state["workflow"]]
    plan, share = kind.at(state, generations), state.get("kept", 1)
    if share == 1 or kind.thinned is None or plan.persistent:
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
    curve = curve_of(plan)
    ratio = float(curve[-1])
    # where the first fit reads the real data through draws, ratios are not to the real data
    worth = 1000 / (plan.reference() * ratio)
    return {"plan": plan, "risk": derive(plan), "curve": curve, "ratio": ratio, "worth": worth}


def workflow_draw(figure: Figure, shown: State) -> None:
    curve, name = shown["curve"], shown["plan"].name
    g, family = len(curve), plot.family_of(name)
    (ax,) = plot.panels(figure, 1)
    panel.curve(ax, np.arange(1, g + 1), curve, family)
    title = f"{name}: {curve[-1]:.4g} at generation {g}"
    panel.frame(ax, title, "generation", "risk ratio", limit=0.99, family=family)


Explorer(
    "workflow",
    "what a workflow costs",
    lambda: (*parameters(*workflows.NAMED), kept(), generations()),
    workflow_answer,
    "for many rows, after {generations} generations of {plan.name}, the risk ratio is {ratio:.6g},"
    " and 1,000 real rows are worth {worth:.3g}",
    workflow_draw,
)


# --- squares --------------------------------------------------------------------------------------

SQUARED = 50
"""Generations that the squares can show."""


def squares_answer(state: State) -> dict[str, Any]:
    plan, at = plan_of(state, SQUARED), state["generation"] - 1
    risk = derive(plan)
    area, ratio = risk.contributions[at] ** 2 / plan.size, float(risk.ratio[at])
    draws = ratio - float(area.sum())
    # batches that no fit before this one has read
    young = (plan.weight[at] > 0) & ~(plan.weight[:at] > 0).any(axis=0)
    newest = float(area[young].sum())
    return {
        "plan": plan,
        "risk": risk,
        "area": area,
        "ratio": ratio,
        "worth": 1000 / ratio,
        "newest": newest,
        "side": newest**0.5,
        "batches": ratio - draws,
        "draws": draws,
        "beside": f", and {draws:.3g} from draws of rows" if draws > 1e-12 else "",
    }


def squares_draw(figure: Figure, shown: State) -> None:
    from matplotlib.patches import Rectangle

    plan, draws = shown["plan"], shown["draws"]
    hue, real, edge = plot.colour(plot.family_of(plan.name)), plot.colour("real"), plot.ground()
    hues = [*(hue if source else real for source in plan.source), plot.muted()]
    sides = np.sqrt([*shown["area"], draws if draws > 1e-9 else 0.0])
    (ax,) = plot.panels(figure, 1)
    for x, side, face in zip(np.cumsum(sides) - sides, sides, hues, strict=True):
        if side:
            ax.add_patch(Rectangle((x, 0), side, side, fc=face, ec=edge, linewidth=0.5))
    ax.set(xlim=(0, max(sides.sum(), 4)), ylim=(0, 1.6))
    ax.set_aspect("equal", "box", anchor="W")
    ax.set_axis_off()
    ax.set_title(
        f"{plan.name}, generation {shown['generation']}: the squares have a total area of"
        f" {shown['ratio']:.4g}"
    )


Explorer(
    "squares",
    "risk as an area",
    lambda: (
        *parameters(*one_model(), leave=("size", "replace")),
        Control("generation", "Generation", 10, 1, SQUARED, 1),
    ),
    squares_answer,
    "under {plan.name}, for many rows, the risk ratio of generation {generation} is {ratio:.5g}: a"
    " sum of squares, one for each batch{beside}; the newest square is {newest:.3g}",
    squares_draw,
)


# --- dial -----------------------------------------------------------------------------------------

COURSE = 40
"""Generations of the dial's risk curve."""


def anchored(state: State, generations: int) -> Plan:
    """`fixed_real_share` with synthetic batches of any size."""
    share, later = state["share"], generations - 1
    weight = (1 - share) * np.eye(generations)
    weight[0, 0], weight[1:, 0] = 1, share
    sizes = [1, *[state["size"]] * later]
    return Plan(np.arange(generations), sizes, weight, name=f"{100 * share:.3g} % real")


def dial_answer(state: State) -> dict[str, Any]:
    share, size = state["share"], state["size"]
    plan = anchored(state, COURSE)
    # augment's extra risk in the long run, in units of 1 / size, and the share at which the dial
    # has the same
    threshold = _overtake(float(polygamma(1, 1 + 1 / size)))
    limit = _settle(share, size) if share else inf
    # the share of the extra risk that is there is 1 - (1 - share)^(2 (g - 1))
    wait = 1 + ceil(log(20) / (-2 * log(1 - share))) if 0 < share < 1 else inf if share == 0 else 1
    return {
        "plan": plan,
        "risk": derive(plan),
        "stored": 1 + size,
        "threshold": threshold,
        "limit": limit,
        "worth": 1000 / limit,
        "wait": wait,
        "growth": 0.0 if share else 1 / size,
        "percent": 100 * share,
        "above": 100 * threshold,
    }


def dial_draw(figure: Figure, shown: State) -> None:
    left, right = plot.panels(figure, 2)
    shares, hue = np.linspace(0.03, 1, 98), plot.colour("fixed real share")
    panel.curve(left, shares, _settle(shares, shown["size"]), "fixed real share")
    left.plot([shown["share"]], [shown["limit"]], "o", color=hue, clip_on=False)
    x, y = "share of weight on real data", "limit of the risk ratio"
    panel.frame(left, x=x, y=y, log="y", yticks=(1, 2, 3, 5, 10), ylim=(0.9, 12))
    augment = derive(workflows.augment(COURSE, shown["size"]))
    plot.plot_risk(shown["risk"], right, family="fixed real share")
    plot.plot_risk(augment, right, dash=(0, (5, 2)))
    panel.frame(right, x="generation", y="risk ratio (dashed: augment)")


Explorer(
    "dial",
    "how much weight the real data must keep",
    lambda: (
        Control("share", "Weight on the real data", 0.1, unit="percent"),
        Control("size", "Rows of a synthetic batch, in n", 1.0, 0.1, 10, values=RATIOS),
    ),
    dial_answer,
    "with {percent:.3g} % of the weight on the real data the risk ratio, for many rows, tends to"
    " {limit:.4g}; above {above:.3g} % it ends below augment's",
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


def bill_draw(figure: Figure, shown: State) -> None:
    name, least = shown["plan"].name, _seen(shown["test_rows"])
    extra = _dear(shown["risk"].ratio[1:], shown["n"], shown["p"])
    (ax,) = plot.panels(figure, 1)
    panel.curve(ax, np.arange(2, len(extra) + 2), extra, plot.family_of(name))
    panel.level(ax, least, f"{shown['test_rows']:,} test rows show this")
    panel.frame(ax, name, "generation", "extra log-loss, nats", log="y")


def _decades(first: int, last: int) -> tuple[float, ...]:
    steps = (float(digit * 10**power) for power in range(first, last) for digit in (1, 2, 5))
    return (*steps, float(10**last))


Explorer(
    "bill",
    "what a policy adds to the log-loss",
    lambda: (
        *parameters(*one_model(), leave=("replace",)),
        generations(),
        Control("n", "Real rows, n", 2000, 100, 10**7, values=_decades(2, 7), unit="rows"),
        Control("p", "Parameters, p", 5, 1, 10**4, values=_decades(0, 4), unit="rows"),
        Control("test_rows", "Test rows", 10**4, 100, 10**7, values=_decades(2, 7), unit="rows"),
    ),
    bill_answer,
    "after {generations} generations of {plan.name} the log-loss of a model with {p} parameters,"
    " fitted to {n:,} rows, is higher by {extra:.2g} nats to first order; it takes {needed:.2g}"
    " test rows to see it",
    bill_draw,
    shared={"extraOf": _dear, "leastOf": _seen},
)
