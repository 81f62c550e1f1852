"""The report of a forecast: its figures, and one HTML page that needs nothing else."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from collapse.checks import counted
from collapse.forecasting import lost
from collapse.forecasting.common import Array, module
from collapse.publishing import figures, panel, plot
from collapse.publishing.panel import DASHED, DOTTED

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from collapse.forecasting.answer import Forecast, Workflow


HEADINGS = {
    "loss": "The loss on the test set",
    "ratio": "What your rows are worth",
    "workflows": "Keeping more, or less",
    "lost": "What is lost",
}
WHAT = {
    "binary": "two classes",
    "multiclass": "classes",
    "counts": "counts",
    "continuous": "a continuous number",
    lost.TASK: "whole rows are synthetic",
}
"""What a target is, by the task."""
MEDIA = {
    "-narrow-dark": "(prefers-color-scheme: dark) and (max-width: 560px)",
    "-narrow": "(max-width: 560px)",
    "-dark": "(prefers-color-scheme: dark)",
    "": "",
}
"""Where each picture of a figure is shown, the first that fits; the last anywhere."""


REPORT = "a report needs jinja2: pip install 'collapse-companion[data]'."


class Drawn(Protocol):
    """An answer that figures are drawn of."""

    @property
    def seed(self) -> int: ...

    @property
    def parameters(self) -> dict[str, Any]: ...


@dataclass(frozen=True, eq=False)
class Drawing:
    """A figure of the report, as `collapse.publishing.figures.write` takes it.

    Attributes
    ----------
    draw : callable
        Draws on a figure.
    numbers : dict
        The columns behind it.
    height, narrow_height : float
        Inches.
    alt : str
        What is to be seen.
    caption : str
        The finding first, then how it was found.
    """

    draw: Callable[[Figure], object]
    numbers: dict[str, Any]
    height: float
    narrow_height: float
    alt: str
    caption: str

    def write(self, label: str, answer: Drawn, folder: str | Path | None = None) -> figures.Bundle:
        """Write the figure as a bundle; `label` names its files."""
        return figures.write(
            label,
            self.draw,
            numbers=self.numbers,
            parameters=answer.parameters,
            seed=answer.seed,
            height=self.height,
            narrow_height=self.narrow_height,
            folder=folder,
        )


def drawings(answer: Forecast) -> dict[str, Drawing]:
    """Return the figures of a forecast: "loss", "ratio", "lost" and "workflows", as far as they are
    known.

    Parameters
    ----------
    answer : Forecast
        Of `collapse.forecast`.

    Returns
    -------
    dict of str to Drawing

    Examples
    --------
    >>> import pandas as pd, collapse
    >>> x, y = [k**2 % 11 for k in range(60)], [k % 7 + 0.1 * k for k in range(60)]
    >>> table = pd.DataFrame({"x": x, "y": y})
    >>> list(drawings(collapse.forecast(table, "y", "discard", 3, against=[])))
    ['loss', 'ratio', 'workflows']
    """
    known = [row.derived is not None or row.simulated is not None for row in answer.workflows]
    drawn = answer.settings.labels == "drawn"
    made = {
        "loss": _loss if known[0] else None,
        "ratio": _ratio if answer.ratio.low is not None and drawn else None,
        "lost": _lost if answer.workflows[0].lost else None,
        "workflows": _workflows if any(known) else None,
    }
    return {name: make(answer) for name, make in made.items() if make}


def curves(of: Any, G: int, *names: str) -> list[Array]:
    """Curves by name, NaN where there are none."""
    known = [getattr(of, name) for name in names]
    return [np.full(G, np.nan) if curve is None else curve for curve in known]


def _columns(**columns: Array) -> dict[str, list[Any]]:
    """Columns of a CSV, empty where there is no number."""
    return {
        name.replace("_", " "): [float(v) if np.isfinite(v) else None for v in values]
        for name, values in columns.items()
    }


def _course(
    figure: Figure, row: Workflow, derived: Array, simulated: Array, error: Array, band: Any
) -> Axes:
    """Draw a workflow's curve against generations: a line, dots with bars, and a band."""
    from matplotlib.ticker import MaxNLocator

    (ax,) = plot.panels(figure, 1)
    G, (low, high) = len(derived), band
    g = np.arange(1, G + 1)
    open_end = np.where(np.isnan(high) & np.isfinite(low), 1e300, high)
    ax.fill_between(g, low, open_end, color=plot.colour(row.family), alpha=0.2, linewidth=0)
    if np.isfinite(derived).any():
        plot.plot_derived(ax, g, derived, family=row.family)
    if np.isfinite(simulated).any():
        plot.plot_simulated(ax, g, simulated, error, family=row.family)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    panel.frame(ax, x="generation", xlim=(1 - 0.02 * G, G + 0.02 * G + 0.1))
    return ax


def _window(first: float, level: float, most: float, *curves: Array) -> tuple[float, float, float]:
    """Least loss, ceiling and span of a picture: a band that runs away must not press the curve
    against the axis, which ends at `most` times the level.
    """
    seen = np.concatenate([[first], *curves])
    seen = seen[np.isfinite(seen)]
    ceiling = min(seen.max(), most * level) if level > 0 else seen.max()
    if seen.min() == ceiling:  # nothing ever changes
        return ceiling, ceiling, 0.2 * abs(first) + 1e-300
    return seen.min(), ceiling, max(ceiling - seen.min(), 1e-9 * abs(first) + 1e-300)


def _loss(answer: Forecast) -> Drawing:
    row, first, worse = answer.workflows[0], answer.first.loss, answer.settings.worse
    G, simulation, level = answer.settings.generations, answer.simulation, answer.bad
    ends = curves(row, G, "derived_low", "derived_high", "simulated_low", "simulated_high")
    derived, simulated, stderr = curves(row, G, "derived", "simulated", "stderr")
    band = ends[2:] if row.kind == "simulated" else ends[:2]
    least, ceiling, span = _window(first, level, 6, derived, simulated, *band)

    def draw(figure: Figure) -> None:
        ax = _course(figure, row, derived, simulated, stderr, band)
        window = (least - 0.06 * span, ceiling + 0.14 * span)
        panel.frame(ax, answer.model.loss, y="test loss", ylim=window)
        # words stand at the end where the curve is farther from the line
        at = 0.985 if np.nanmax([derived[-1], simulated[-1], -np.inf]) > level else 0.015
        panel.level(ax, first, "real rows alone", at, dash=DOTTED, va="top")
        if level <= ceiling + 0.1 * span:
            panel.level(ax, level, f"{100 * worse:g} % worse", at)

    line = f" Line: {_derived(answer)}." if row.derived is not None else ""
    where = f", on {simulation.rows:,} of the rows" if simulation.subsample else ""
    dots = (
        f" Dots: mean of {simulation.replications:,} simulated runs{where}, with bars of two"
        " standard errors."
    )
    known = np.isfinite(band[1]).any() and (band[1] > band[0]).any()
    lies = " Band: where 90 % of single runs lie, given your real rows." if known else ""
    seen = ", with a band for single runs" if known else ""
    numbers = {"generation": np.arange(1, G + 1)} | _columns(
        derived=derived,
        derived_low=ends[0],
        derived_high=ends[1],
        simulated=simulated,
        standard_error=stderr,
        simulated_low=ends[2],
        simulated_high=ends[3],
    )
    return Drawing(
        draw,
        numbers,
        3.2,
        2.9,
        f"Test loss against generation under {row.name}{seen}; a dotted line marks the first loss.",
        f"Test loss under {row.name}.{line}{dots if simulation.replications else ''}{lies}",
    )


def _ratio(answer: Forecast) -> Drawing:
    ratio, row, G = answer.ratio, answer.workflows[0], answer.settings.generations
    derived, simulated, stderr = curves(ratio, G, "derived", "simulated", "stderr")
    ends = curves(ratio, G, "low", "high", "simulated_low", "simulated_high")
    low, high = ends[2:] if np.isfinite(ends[2:]).all() else ends[:2]

    def draw(figure: Figure) -> None:
        ax = _course(figure, row, derived, simulated, stderr, (low, high))
        top, limit = high.max(), 0.99 if high.max() < 30 else None
        panel.frame(ax, y="risk ratio", ylim=(0, 1.08 * top), limit=limit)
        place: dict[str, Any] = (
            {"x": 0.985, "va": "bottom"} if top > 8 else {"x": 0.015, "va": "top"}
        )
        panel.level(ax, 1, "real rows alone", dash=DOTTED, **place)

    dots = (
        f" Dots: {answer.simulation.replications:,} simulated runs of {answer.simulation.rows:,}"
        " rows with fresh real labels, from a world in which the first fit is the truth, with bars"
        " of two standard errors."
    )
    return Drawing(
        draw,
        {"generation": np.arange(1, G + 1)}
        | _columns(
            derived=derived,
            low=low,
            high=high,
            simulated=simulated,
            standard_error=stderr,
        ),
        3.0,
        2.8,
        f"Risk ratio against generation under {row.name}: a line with a wide band.",
        f"Under {row.name} your 1,000 rows are worth {row.last('worth'):,.0f} after {G}"
        " generations, for many rows. Line: excess risk as a multiple of the first fit's, derived"
        f" for many rows.{dots if np.isfinite(simulated).any() else ''} Band: where 90 % of single"
        " runs lie.",
    )


def _lost(answer: Forecast) -> Drawing:
    """What is lost under the workflow asked for, and in thin lines under the others."""
    asked, *others = answer.workflows
    G, real = answer.settings.generations, answer.first.real
    shown = [name for name in ("variance", "support", "energy", "copies") if name in asked.lost]
    g = np.arange(1, G + 1)

    def draw(figure: Figure) -> None:
        from matplotlib.ticker import MaxNLocator

        for ax, name in zip(plot.panels(figure, len(shown)), shown, strict=True):
            for row in others:
                if name in row.lost:
                    ax.plot(g, row.lost[name]["mean"], color=plot.colour(row.family), linewidth=0.9)
            told, colour = asked.lost[name], plot.colour(asked.family)
            ax.fill_between(g, told["low"], told["high"], color=colour, alpha=0.2, linewidth=0)
            ax.plot(g, told["mean"], color=colour, linewidth=2)
            ax.axhline(real[name], color=plot.muted(), linewidth=0.9, linestyle=DOTTED, zorder=1.5)
            ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
            panel.frame(ax, SHORT[name], x="generation")

    beside = ", ".join(row.name for row in others if row.lost)
    numbers = {
        f"{name} {key}": values
        for name in shown
        for key, values in _columns(**asked.lost[name]).items()
    }
    return Drawing(
        draw,
        {"generation": g} | numbers,
        2.4,
        1.9 * len(shown),
        f"{', '.join(SHORT[name] for name in shown)} against generation under {asked.name}.",
        f"What is lost under {asked.name}, of 1,000 rows drawn from each fit. Line: mean of"
        f" {answer.simulation.replications:,} simulated runs. Band: where 90 % of single runs lie."
        f" Dotted: real rows.{f' Thin lines: {beside}.' if beside else ''}",
    )


SHORT = {
    "variance": "variance",
    "support": "categories",
    "energy": "energy distance",
    "copies": "nearest real row",
}
"""Titles of what is drawn of what is lost."""


def _workflows(answer: Forecast) -> Drawing:
    first, worse, G = answer.first.loss, answer.settings.worse, answer.settings.generations

    def place(row: Workflow) -> tuple[float, str]:
        if answer.ratio.derived is None:  # in the order given where losses are alike
            return -float(np.nan_to_num(row.last("simulated"), nan=np.inf)), ""
        return -row.last("ratio"), row.name

    order = sorted(answer.workflows, key=place)
    derived, simulated, stderr, low, high = (
        np.array([row.last(name.format(row.kind)) for row in order])
        for name in ("derived", "simulated", "stderr", "{}_low", "{}_high")
    )
    level = answer.bad
    least, ceiling, span = _window(first, level, 2, derived, simulated, low, high)
    y = np.arange(len(order), dtype=np.float64)[::-1]

    def draw(figure: Figure) -> None:
        (ax,), wide = plot.panels(figure, 1), plot.is_wide(figure)
        x, right = f"test loss at generation {G}", ceiling + 0.08 * span
        panel.frame(ax, x=x, xlim=(least - 0.05 * span, right), ylim=(-0.6, len(order) - 0.4))
        _strips(ax, y, [row.family for row in order], derived, simulated, stderr, low, high)
        ax.axvline(first, color=plot.muted(), linewidth=0.9, linestyle=DOTTED, zorder=1.5)
        if level < right:
            ax.axvline(level, color=plot.muted(), linewidth=0.9, linestyle=DASHED, zorder=1.5)
        ax.set_yticks(y, [_short(row.name, wide) for row in order])
        ax.grid(axis="y", visible=False)
        ax.tick_params(axis="y", length=0)
        for label, row in zip(ax.get_yticklabels(), order, strict=True):
            label.set_fontweight("bold" if row.asked else "normal")
        ax.locator_params(axis="x", nbins=6 if wide else 4)

    height = 1.0 + 0.32 * len(order)
    strokes = "" if answer.whole else f" Upright strokes: {_derived(answer)}."
    dashed = f"; dashed, where it is in the picture: {100 * worse:g} % worse"
    dashed = "" if answer.whole else dashed
    return Drawing(
        draw,
        {"workflow": [row.name for row in order]}
        | _columns(derived=derived, simulated=simulated, standard_error=stderr, low=low, high=high),
        height,
        height + 0.2,
        f"Test loss at generation {G} for each workflow, with a bar for single runs; a dotted line"
        " marks the loss of the first fit.",
        f"Test loss after {counted(G, 'generation')}.{strokes} Dots: simulated."
        " Bars: where 90 % of single runs lie. Dotted: the first fit's loss, which training on the"
        f" real rows alone keeps{dashed}. An arrow points to a loss outside the picture.",
    )


def _strips(
    ax: Axes,
    y: Array,
    families: list[str],
    derived: Array,
    simulated: Array,
    stderr: Array,
    low: Array,
    high: Array,
) -> None:
    """Bars for single runs, strokes for derived losses and dots for simulated ones."""
    colours, right = [plot.colour(family) for family in families], ax.get_xlim()[1]
    known, end = np.isfinite(low), np.where(np.isfinite(high), high, right)
    bars: dict[str, Any] = {"alpha": 0.35, "linewidth": 6, "capstyle": "butt", "zorder": 1.8}
    ax.hlines(y[known], low[known], end[known], list(np.array(colours)[known]), **bars)
    strokes: dict[str, Any] = {"linewidth": 1.8, "capstyle": "projecting", "zorder": 2}
    ax.vlines(derived, y - 0.3, y + 0.3, colours, **strokes)
    for at, colour, line, dot, error in zip(y, colours, derived, simulated, stderr, strict=True):
        if line > right:
            ax.plot(right, at, ">", color=colour, markersize=6, clip_on=False, zorder=4)
        if np.isfinite(dot):
            ax.errorbar(
                [dot],
                [at],
                xerr=[2 * error],
                fmt="o",
                color=colour,
                markeredgecolor=plot.ground(),
                markeredgewidth=0.5,
                elinewidth=1,
                zorder=3,
            )


def _short(name: str, wide: bool) -> str:
    """A workflow's name on an axis; a dollar sign begins no formula."""
    name = name.replace("$", r"\$")
    return name if wide else name.replace("_", " ").replace("(", "\n(", 1)


def html(answer: Forecast) -> str:
    """Return the report as one self-contained HTML page.

    Parameters
    ----------
    answer : Forecast
        Of `collapse.forecast`.

    Returns
    -------
    str
        The page: styles and pictures inline, for light and dark, wide and narrow screens; it asks
        nothing of any host.
    """
    return page(
        Path(__file__).parent / "report.html.j2",
        answer=answer,
        title=f"What {answer.settings.workflow} would cost on {answer.data.source}",
        figures=pictures(answer, drawings(answer), HEADINGS),
        rows=[_cells(answer, row) for row in answer.workflows],
        what=WHAT[answer.task.name],
        lost=lost.table(answer),
    )


def page(template: Path, **values: Any) -> str:
    """Return one HTML page that needs nothing else, from a template that extends page.html.j2."""
    jinja2 = module("jinja2", REPORT)
    pages = jinja2.Environment(
        loader=jinja2.FileSystemLoader([template.parent, Path(__file__).parent]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        # a number and its unit stay on one line
        finalize=lambda said: said.replace(" %", "\u00a0%") if isinstance(said, str) else said,
    )
    return str(pages.get_template(template.name).render(**values))


def pictures(
    answer: Drawn, drawn: dict[str, Drawing], headings: dict[str, str]
) -> list[dict[str, Any]]:
    """The figures of a page, their pictures as addresses that hold them."""
    out = []
    with tempfile.TemporaryDirectory() as folder:
        for name, drawing in drawn.items():
            file = drawing.write(name, answer, folder).folder / name
            held = {
                media: base64.b64encode(Path(f"{file}{suffix}.png").read_bytes()).decode()
                for suffix, media in MEDIA.items()
            }
            out.append({"heading": headings[name], "drawing": drawing, "pictures": held})
    return out


def _rise(answer: Forecast, loss: float) -> str:
    """The change of the loss: a share of the first, or of a generator's loss the difference."""
    first = answer.first.loss
    if np.isnan(loss) or (first <= 0 and not answer.whole):
        return "—"
    return f"{loss - first:+.2g}" if answer.whole else f"{100 * (loss / first - 1):+.2g} %"


def _cells(answer: Forecast, row: Workflow) -> dict[str, Any]:
    """A row of the table, and why it has a dash under “worse”."""
    worse = row.worse
    kind = "simulated" if row.derived is None else row.kind
    loss, known = row.last(kind), getattr(row, kind) is not None
    at = worse["derived"] if worse["simulated"] is None else worse["simulated"]
    exact = row.kind == "simulated" and worse["simulated"] is None
    if at is not None and exact and at <= answer.settings.generations:
        at = None  # the simulation, which has the last word, does not reach it
    derived = row.worse_why["derived"] if row.derived is not None else None
    cells = [
        row.name,
        "—" if row.worth is None else f"{row.last('worth'):,.0f}",
        "not known" if not known else "no mean" if np.isnan(loss) else f"{loss:.4g}",
        _rise(answer, loss),
        "—" if at is None else f"generation {at:,}",
        f"{row.rows_read:,}",
        f"{row.rows_stored:,}",
    ]
    why = (derived or row.worse_why[kind]) if at is None else None
    return {"name": row.name, "asked": row.asked, "cells": cells, "why": why}


def _derived(answer: Forecast) -> str:
    """How the lines are known: labels that are not drawn make every fit the first one."""
    return "derived for many rows" if answer.settings.labels == "drawn" else "derived, exactly"
