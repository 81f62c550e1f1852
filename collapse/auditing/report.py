"""The report of an audit: its figures, and one HTML page that needs nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from collapse.forecasting.report import Drawing, page, pictures
from collapse.publishing import panel, plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from collapse.auditing.answer import Audit

HEADINGS = {"losses": "What was logged, and what comes", "anytime": "Generation by generation"}


def draw(answer: Audit, ax: Axes) -> Axes:
    """Draw the logged losses as dots, the workflow's course as a line, and what is foreseen."""
    from matplotlib.ticker import MaxNLocator

    family, g = plot.family_of(answer.workflow), answer.generations
    for run in answer.losses if len(answer.losses) > 1 else ():
        ax.plot(g, run, color=plot.muted(), linewidth=0.5, alpha=0.7)
    ax.plot(g, answer.losses.mean(0), "o", color=plot.ink(), markersize=3, zorder=3)
    plot.plot_derived(ax, g, answer.fitted, family=family)
    ends = [[answer.loss - answer.loss_low], [answer.loss_high - answer.loss]]
    look: dict[str, Any] = {"color": plot.colour(family), "capsize": 3}
    ax.errorbar([answer.at], [answer.loss], yerr=np.maximum(ends, 0), fmt="D", **look)
    panel.level(ax, answer.floor, "floor", 0.985, dash=panel.DOTTED)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    panel.frame(ax, answer.workflow.replace("$", r"\$"), x="generation", y="loss")
    return ax


def drawings(answer: Audit) -> dict[str, Drawing]:
    """Return the figures of an audit: "losses" and "anytime"."""

    def losses(figure: Figure) -> None:
        draw(answer, plot.panels(figure, 1)[0])

    def anytime(figure: Figure) -> None:
        (ax,) = plot.panels(figure, 1)
        family = plot.family_of(answer.workflow)
        plot.plot_derived(ax, answer.generations, answer.anytime, family=family)
        panel.level(ax, 0.05, "5 %", 0.985)
        panel.frame(ax, x="generation", y="p-value, whenever one stops", ylim=(0, 1.05))

    name, g = answer.workflow, answer.generations
    mean = answer.losses.mean(0)
    return {
        "losses": Drawing(
            losses,
            {"generation": g, "logged": mean, "fitted": answer.fitted},
            3.2,
            2.9,
            f"Logged losses against generation, the line of {name} through them, and to the right a"
            " bar for what is foreseen.",
            f"Dots: logged losses, the mean over runs; line: {name}, as it fits them best. Bar:"
            f" the loss at generation {answer.at} and its band. Dotted: the floor, "
            f"{'as given' if answer.floor_known else 'estimated'}.",
        ),
        "anytime": Drawing(
            anytime,
            {"generation": g, "p value": answer.anytime},
            2.6,
            2.4,
            f"p-values of {name} against generation, with a line at 5 %.",
            f"p-values of {name} after each generation: the chance that a true {name} is ever"
            f" rejected up to generation {answer.horizon} is at most the level.",
        ),
    }


def html(answer: Audit) -> str:
    """Return the report as one self-contained HTML page."""
    return page(
        Path(__file__).parent / "report.html.j2",
        answer=answer,
        title=f"Are these the losses of {answer.workflow}?",
        figures=pictures(answer, drawings(answer), HEADINGS),
    )
