"""The explorer of survival: the share of chains whose estimate still exists, by generation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from collapse import models, workflows
from collapse.checks import require
from collapse.derivation.lost import expected
from collapse.explorers.record import Control, Explorer, State
from collapse.publishing import panel, plot

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GENERATIONS = 50


def survival(alive: Mapping[tuple[str, str], ArrayLike], chains: int) -> dict[str, Any]:
    """Return what the explorer "survival" takes as its data, to six digits.

    Parameters
    ----------
    alive : mapping of (what, workflow) to array_like, shape (G,)
        Share of chains that have an estimate: what was fitted, such as a table's name, and the
        workflow as a page calls it, "discard" or "fixed real share".
    chains : int
        How many were simulated; 0 where the shares are exact.

    Returns
    -------
    dict
        In JSON's types.

    Raises
    ------
    ValueError
        Where there is no curve, they differ in length, or a share is not between 0 and 1.

    Examples
    --------
    >>> from collapse.explorers import survival
    >>> survival.survival({("heart", "discard"): [1, 0.5]}, 100)["curves"]
    [{'what': 'heart', 'rule': 'discard', 'alive': [1.0, 0.5]}]
    """
    found = [np.asarray(values, float) for values in alive.values()]
    require(
        bool(found) and {one.shape for one in found} == {(found[0].size,)} and found[0].size > 1,
        "survival needs one curve or more, all over the same generations, two at least.",
    )
    require(
        all(bool(np.all((one >= 0) & (one <= 1))) for one in found),
        "survival needs shares of chains, between 0 and 1.",
    )
    curves = [
        {"what": what, "rule": rule, "alive": [float(f"{value:.6g}") for value in one]}
        for (what, rule), one in zip(alive, found, strict=True)
    ]
    return {"curves": curves, "chains": int(chains)}


def exact() -> dict[str, Any]:
    """The same for a logistic regression with an intercept alone, true probability 1/2: it has an
    estimate as long as both labels occur, and the law of that is known at every n.
    """
    coin, alive = models.Multinomial((0.5, 0.5)), {}
    for n in (10, 20, 40):
        plan = workflows.discard(GENERATIONS)
        left = expected(plan, model=coin, n=n, measures="support")["support"]
        alive[f"{n} labels", "discard"] = np.clip(left - 1, 0, 1)
    left = expected(workflows.augment(GENERATIONS), model=coin, n=10, measures="support")["support"]
    alive["10 labels", "augment"] = np.clip(left - 1, 0, 1)
    return survival(alive, 0)


def survival_answer(state: State) -> dict[str, Any]:
    """What the explorer's state stands for: the share of each curve, alive-0, alive-1, ...; and
    the generation by which half of the chains are lost, half-0, ..., or 0.
    """
    curves = state["curves"]
    at = min(state["generation"], len(curves[0]["alive"]))
    told: dict[str, Any] = {"at": at}
    for i, one in enumerate(curves):
        values = np.array(one["alive"])
        told[f"alive-{i}"] = one["alive"][at - 1]
        told[f"half-{i}"] = int(np.argmax(values <= 0.5)) + 1 if values[-1] <= 0.5 else 0
    told["said"] = "; ".join(
        f"{one['what']} under {one['rule']} {100 * one['alive'][at - 1]:.3g} %" for one in curves
    )
    return told


def survival_draw(figure: Figure, shown: State) -> None:
    """The same for print."""
    (ax,) = plot.panels(figure, 1)
    G = len(shown["curves"][0]["alive"])
    for i, one in enumerate(shown["curves"]):
        values, text = np.array(one["alive"]), f"{one['what']}, {one['rule']}"
        low = np.flatnonzero(values < 0.3 + 0.2 * i)
        place = {"at": int(low[0]) + 1, "offset": (8, 2)} if len(low) else {"at": G * (i + 1) // 6}
        panel.curve(ax, np.arange(1, G + 1), 100 * values, one["rule"], text, **place, ha="left")
    ax.axvline(shown["at"], color=plot.colour("real"), linewidth=0.8)
    panel.frame(ax, None, "generation", "chains with an estimate, %", ylim=(0, 105))


Explorer(
    "survival",
    "how long chains keep an estimate",
    lambda: (Control("generation", "Generation", 10, 1, GENERATIONS, 1),),
    survival_answer,
    "at generation {at} these shares of the chains have an estimate: {said}",
    survival_draw,
    exact,
)
