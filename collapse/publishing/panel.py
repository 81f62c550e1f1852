"""What stands in one panel of a chapter's figure: frame, curves with their names, remarks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from collapse.publishing import plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Offset = tuple[float, float]
Ticks = Sequence[float] | Mapping[float, str]

DASHED, DOTTED = (0, (5, 3)), (0, (1, 1.5))
PERCENT = {0: "0", 0.25: "25 %", 0.5: "50 %", 0.75: "75 %", 1: "100 %"}
"""Ticks of an axis of shares."""


def frame(
    ax: Axes,
    title: str | None = None,
    x: str | None = None,
    y: str | None = None,
    *,
    log: str = "",
    xticks: Ticks | None = None,
    yticks: Ticks | None = None,
    limit: float | None = None,
    family: str | None = None,
    **limits: Any,
) -> None:
    """Set what surrounds the curves of a panel; what is not given stays as it is.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        The panel.
    title, x, y : str, optional
        Its title and the names of its axes.
    log : {"", "x", "y", "xy"}
        Axes whose scale is logarithmic.
    xticks, yticks : sequence of float, or mapping of float to str, optional
        Where ticks stand; a mapping says what is written there.
    limit : float, optional
        Marks pi^2/6 as `collapse.publishing.plot.mark_limit` does, its label ending at this share
        of the width.
    family : str, optional
        Family of workflows whose hue the title takes.
    **limits
        `xlim` and `ylim`.
    """
    from matplotlib.ticker import NullLocator

    scales = {f"{axis}scale": "log" for axis in log}
    given = {"xlabel": x, "ylabel": y}
    ax.set(**scales, **{name: text for name, text in given.items() if text is not None}, **limits)
    if title is not None:
        ax.set_title(title, color=plot.colour(family or "real"))
    for axis, ticks in ((ax.xaxis, xticks), (ax.yaxis, yticks)):
        if ticks is not None:
            texts = ticks.values() if isinstance(ticks, Mapping) else [f"{t:,g}" for t in ticks]
            axis.set_ticks(list(ticks), list(texts))
            axis.set_minor_locator(NullLocator())
    if limit is not None:
        plot.mark_limit(ax, limit)


def curve(
    ax: Axes,
    x: ArrayLike,
    y: ArrayLike,
    family: str = "real",
    text: str = "",
    *,
    at: float | None = None,
    offset: Offset = (0, 4),
    ha: str | None = None,
    va: str | None = None,
    **options: Any,
) -> None:
    """Draw derived values as a line, and write its name beside the point at `at`, at its end
    otherwise.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        The panel.
    x, y : array_like, shape (N,)
        The curve, x increasing.
    family : str
        Family of workflows whose hue it takes.
    text : str
        Its name; nothing is written where it is empty.
    at : float, optional
        Where on the horizontal axis the name belongs.
    offset : tuple of float
        From that point of the curve to the name, in points. The name lies on that side.
    ha, va : str, optional
        Alignment where it does not follow from the offset.
    **options
        Passed on to `collapse.publishing.plot.plot_derived`: dash, linewidth, ...
    """
    plot.plot_derived(ax, x, y, family=family, **options)
    if text:
        name(ax, x, y, text, family, at=at, offset=offset, ha=ha, va=va)


def both(
    ax: Axes,
    x: ArrayLike,
    derived: ArrayLike,
    simulated: ArrayLike,
    stderr: ArrayLike,
    family: str = "real",
    text: str = "",
    *,
    dots: int = 20,
    mark: str | None = None,
    shift: float = 0,
    **line: Any,
) -> None:
    """Draw derived values as `curve` does, and simulated ones as dots, moved aside by `shift`.

    Where the simulated value is not finite there is no dot. Other arguments as for `curve` and for
    `collapse.publishing.plot.plot_simulated`.
    """
    curve(ax, x, derived, family, text, **line)
    seen = np.isfinite(simulated)
    at, values, error = (np.asarray(given, float)[seen] for given in (x, simulated, stderr))
    plot.plot_simulated(ax, at + shift, values, error, family=family, dots=dots, mark=mark)


def overlay(
    ax: Axes,
    derived: Any,
    simulated: Any = None,
    text: str = "",
    *,
    family: str | None = None,
    dash: Any = "-",
    dots: int = 20,
    **place: Any,
) -> None:
    """Draw the risk ratio that is derived as a line, the simulated one as dots, and its name.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        The panel.
    derived, simulated : Risk
        Answers of `derive` and `simulate`; one of them may be missing.
    text : str
        The curve's name; nothing is written where it is empty.
    family : str, optional
        Family of workflows whose hue it takes; by default the plan's name says it.
    dash, dots
        As for `collapse.publishing.plot.plot_risk`.
    **place
        Where the name stands: at, offset, ha and va of `curve`.
    """
    given = [risk for risk in (derived, simulated) if risk is not None]
    hue = family or plot.family_of(given[0].plan.name)
    for risk in given:
        plot.plot_risk(risk, ax, family=hue, dash=dash, dots=dots)
    if text:
        name(ax, given[0].generations, given[0].ratio, text, hue, **place)


def name(
    ax: Axes,
    x: ArrayLike,
    y: ArrayLike,
    text: str,
    family: str = "real",
    *,
    at: float | None = None,
    offset: Offset = (0, 4),
    ha: str | None = None,
    va: str | None = None,
) -> None:
    """Write a curve's name beside one of its points; arguments as for `curve`."""
    x, y = np.atleast_1d(np.asarray(x, float)), np.atleast_1d(np.asarray(y, float))
    point = float(x[-1] if at is None else at)
    aside, level = _sides(offset)
    plot.label_curve(
        ax,
        point,
        float(np.interp(point, x, y)),
        text,
        family=family,
        offset=offset,
        ha=ha or aside,
        va=va or level,
    )


def level(
    ax: Axes, y: float, text: str = "", x: float = 0.99, *, dash: Any = DASHED, va: str = "bottom"
) -> None:
    """Draw a reference line at y, and a remark above it that ends (from the middle on) or begins at
    the share x of the width.
    """
    ax.axhline(y, color=plot.muted(), linewidth=0.9, linestyle=dash, zorder=1.5)
    note(ax, x, y, text, (0, 3 if va == "bottom" else -3), xycoords=("axes fraction", "data"),
         ha="right" if x > 0.5 else "left", va=va)  # fmt: skip


def guide(ax: Axes, x: ArrayLike, y: ArrayLike, dash: Any = DOTTED, **options: Any) -> None:
    """Draw a quiet curve to compare with."""
    ax.plot(x, y, **{"color": plot.muted(), "linewidth": 0.9, "linestyle": dash} | options)


def note(ax: Axes, x: float, y: float, text: str, offset: Offset = (0, 3), **options: Any) -> None:
    """Write a remark, in ink, beside a point in data units."""
    aside, level = _sides(offset)
    ax.annotate(
        text,
        (x, y),
        xytext=offset,
        textcoords="offset points",
        **{"ha": aside, "va": level, "color": plot.ink()} | options,
    )


def key(ax: Axes, x: float, y: float, text: str, **options: Any) -> None:
    """Write remarks into the corner of a panel that the shares x and y of its sides lie nearest."""
    look: dict[str, Any] = {"color": plot.ink(), "linespacing": 1.5}
    look |= {"ha": "right" if x > 0.5 else "left", "va": "top" if y > 0.5 else "bottom"}
    ax.text(x, y, text, transform=ax.transAxes, **(look | options))


def _sides(offset: Offset) -> tuple[str, str]:
    """How text is aligned that stands aside by this offset."""
    dx, dy = offset
    return "left" if dx > 0 else "right", "bottom" if dy > 0 else "top" if dy < 0 else "center"
