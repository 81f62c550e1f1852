"""Whole pictures of an answer: a table of numbers by distance, and workflows by cost and ratio."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from collapse import checks
from collapse.publishing.plot import (
    _offset,
    _table,
    colour,
    family_of,
    ground,
    ink,
    label_curve,
    muted,
    on_axes,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_matrix(
    rows: Sequence[str],
    columns: Sequence[str],
    values: NDArray[np.float64],
    margins: NDArray[np.float64] | None,
    distance: NDArray[np.float64],
    alarm: float,
    ax: Axes | None = None,
) -> Axes:
    """Draw a table of numbers, each cell shaded by its distance from what was expected.

    Parameters
    ----------
    rows, columns : sequence of str, lengths N and M
        What stands at the left and above; a column takes the hue of the family that it names.
    values : ndarray, shape (N, M)
        The numbers; NaN is written as a dash.
    margins : ndarray, shape (N, M), or None
        Written behind a plus-minus sign.
    distance : ndarray, shape (N, M)
        In standard errors: no shade at 0, more and more up to `alarm`; from there on the cell is
        inverted. NaN is beyond.
    alarm : float
        Standard errors beyond which a cell stands out.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        The axes drawn on.
    """
    from matplotlib.patches import Rectangle

    rows, columns = _names(rows, "rows"), _names(columns, "columns")
    shape = len(rows), len(columns)
    values, distance = _table(values, "values", shape), _table(distance, "distance", shape)
    margins = None if margins is None else _table(margins, "margins", shape)
    checks.check_number(alarm, "alarm", 0)
    with on_axes(ax, 0.6 + 0.2 * len(rows)) as drawn:
        for (i, j), value in np.ndenumerate(values):
            out = not abs(distance[i, j]) <= alarm
            shade = 1.0 if out else 0.35 * abs(distance[i, j]) / alarm
            drawn.add_patch(
                Rectangle(
                    (j + 0.01, i + 0.03),
                    0.98,
                    0.94,
                    facecolor=ink() if out else muted(),
                    alpha=shade,
                    linewidth=0,
                )
            )
            text, digits = "\N{EN DASH}", 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
            if np.isfinite(value):
                text = f"{value:.{digits}f}"
                if margins is not None and margins[i, j] > 0:
                    text += f" \N{PLUS-MINUS SIGN} {max(margins[i, j], 10.0**-digits):.{digits}f}"
            drawn.text(
                j + 0.5,
                i + 0.53,
                text,
                ha="center",
                va="center",
                fontsize=8,
                color=ground() if out else ink(),
                zorder=4,
            )
        drawn.set(xlim=(0, len(columns)), ylim=(len(rows), 0))
        drawn.set_yticks(np.arange(len(rows)) + 0.5, rows)
        drawn.set_xticks(np.arange(len(columns)) + 0.5, columns)
        for tick, name in zip(drawn.get_xticklabels(), columns, strict=True):
            tick.set(color=colour(family_of(name)), fontweight="bold")
        drawn.xaxis.tick_top()
        drawn.tick_params(length=0)
        drawn.grid(visible=False)
        drawn.spines[:].set_visible(False)
    return drawn


def plot_front(
    cost: ArrayLike,
    ratio: ArrayLike,
    names: Sequence[str],
    front: ArrayLike,
    ax: Axes | None = None,
    *,
    xlabel: str = "cost",
    offsets: Mapping[str, tuple[float, float]] | None = None,
) -> Axes:
    """Draw workflows by cost and risk ratio, and a staircase through those that none beats.

    Parameters
    ----------
    cost, ratio : array_like, shape (N,)
        Where each workflow stands.
    names : sequence of str, length N
        Their names, written beside the points; the family in the name gives the hue. An empty name
        is not written.
    front : array_like of bool, shape (N,)
        Which of them lie on the front: full dots, the others hollow.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.
    xlabel : str
        What the cost is.
    offsets : mapping of str to tuple of float, optional
        From the point to its name, in points, for names that would collide; the name is written
        towards that side.

    Returns
    -------
    matplotlib.axes.Axes
        The axes drawn on. The ratio's scale is logarithmic.
    """
    names = _names(names, "names")
    x, y = _table(cost, "cost", (len(names),)), _table(ratio, "ratio", (len(names),))
    listed = isinstance(front, (Sequence, np.ndarray)) and checks.length(front) == len(names)
    checks.require(
        bool(listed),
        f"front must hold True or False for each of the {len(names)} names; it is"
        f" {checks.brief(front)}.",
    )
    best = np.array([checks.flag(value, "front") for value in front])  # type: ignore[union-attr]
    given = {} if offsets is None else checks.mapping(offsets, "offsets", "pairs of points")
    aside = {name: _offset(offset, "offsets") for name, offset in given.items()}
    xlabel = checks.text(xlabel, "xlabel")
    with on_axes(ax, 3.6) as drawn:
        order = np.flatnonzero(best)[np.argsort(x[best])]
        drawn.step(x[order], y[order], where="post", color=muted(), linewidth=0.9, zorder=1.8)
        for i, name in enumerate(names):
            family = family_of(name)
            face = colour(family) if best[i] else ground()
            drawn.plot(
                x[i], y[i], "o", color=colour(family), markerfacecolor=face, markersize=5, zorder=3
            )
            dx, dy = aside.get(name, (4, 3))
            side, level = (
                "left" if dx > 0 else "center" if dx == 0 else "right",
                "bottom" if dy > 0 else "center" if dy == 0 else "top",
            )
            text = label_curve(
                drawn, x[i], y[i], name, family=family, offset=(dx, dy), ha=side, va=level
            )
            text.set_fontweight("bold" if best[i] else "normal")
        drawn.set(yscale="log", xlabel=xlabel, ylabel="risk ratio")
    return drawn


def _names(values: Any, name: str) -> list[str]:
    if isinstance(values, Sequence) and not isinstance(values, (str, bytes)) and values:
        return [checks.text(value, name) for value in values]
    raise ValueError(f"{name} must list names, at least one; it is {checks.brief(values)}.")
