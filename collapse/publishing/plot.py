"""The style of every figure, and the one way a risk curve is drawn."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from collapse import checks
from collapse.risk import Risk
from collapse.workflows import NAMED

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.container import ErrorbarContainer
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.text import Annotation

Theme = Literal["light", "dark"]

WIDE = 6.8
"""Width of a figure over the whole text, in inches."""
NARROW = 3.3
"""Width of a figure in one column or on a telephone, in inches."""
MOST_AXES = 100
"""Axes in one figure."""
LIMIT = np.pi**2 / 6
"""Limit of the risk ratio under augment (Dey and Donoho 2024)."""

HUES: dict[str, tuple[str, str]] = {
    "real": ("#1A1A1A", "#F0F0F0"),
    "discard": ("#C8102E", "#FF7043"),
    "augment": ("#1F5FBF", "#3D8BFD"),
    "subsample": ("#009E73", "#2FC79A"),
    "fixed real share": ("#882255", "#EE99CC"),
    "window": ("#B8860B", "#F0E442"),
}
"""One hue for each family of workflows: (light, dark)."""

_SHADES: dict[str, tuple[str, str]] = {
    "ground": ("#FFFFFF", "#14181E"),
    "ink": ("#1A1A1A", "#F0F0F0"),
    "muted": ("#5A5F66", "#A9B1BA"),
    "grid": ("#E4E6E9", "#2B323B"),
}
"""All else that has a colour, likewise."""

_theme: ContextVar[Theme] = ContextVar("theme", default="light")


@contextmanager
def style(theme: Theme = "light") -> Iterator[None]:
    """Draw in the house style: sans, 8 pt or more, quiet axes, reproducible files.

    Parameters
    ----------
    theme : {"light", "dark"}
        Ground #FFFFFF or #14181E; `colour` follows it.

    Raises
    ------
    ValueError
        If there is no such theme.

    Examples
    --------
    >>> with style("dark"):
    ...     colour("augment")
    '#3D8BFD'
    """
    checks.choice(theme, "theme", ("light", "dark"))
    import matplotlib as mpl
    from cycler import cycler

    ground, ink, muted, grid = (pair[theme == "dark"] for pair in _SHADES.values())
    settings: Any = {
        "axes.axisbelow": True,
        "axes.edgecolor": muted,
        "axes.facecolor": ground,
        "axes.grid": True,
        "axes.labelcolor": ink,
        "axes.labelsize": 9,
        "axes.linewidth": 0.7,
        "axes.prop_cycle": cycler(color=[pair[theme == "dark"] for pair in HUES.values()]),
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlecolor": ink,
        "axes.titlelocation": "left",
        "axes.titlesize": 9.5,
        "axes.titleweight": "bold",
        "errorbar.capsize": 0,
        "figure.dpi": 100,
        "figure.edgecolor": ground,
        "figure.facecolor": ground,
        # the one sans face that matplotlib carries itself: the same outlines on every machine
        "font.family": "DejaVu Sans",
        "font.size": 8.5,
        "grid.color": grid,
        "grid.linewidth": 0.6,
        "hatch.color": muted,
        "image.cmap": "cividis",
        "legend.fontsize": 8,
        "legend.frameon": False,
        "lines.linewidth": 1.6,
        "lines.markersize": 3.6,
        "lines.solid_capstyle": "round",
        "mathtext.fontset": "dejavusans",
        "patch.edgecolor": ground,
        "pdf.fonttype": 42,
        "savefig.edgecolor": ground,
        "savefig.facecolor": ground,
        "svg.fonttype": "path",
        "svg.hashsalt": "collapse",
        "text.color": ink,
        "xtick.color": muted,
        "xtick.labelcolor": ink,
        "xtick.labelsize": 8,
        "xtick.major.width": 0.7,
        "ytick.color": muted,
        "ytick.labelcolor": ink,
        "ytick.labelsize": 8,
        "ytick.major.width": 0.7,
    }
    token = _theme.set(theme)
    try:
        # from the defaults, so that a reader's own matplotlibrc does not change the figures
        with mpl.rc_context():
            mpl.rcdefaults()
            mpl.rcParams.update(settings)
            yield
    finally:
        _theme.reset(token)


@contextmanager
def on_axes(ax: Axes | None, height: float) -> Iterator[Axes]:
    """Draw on these axes, or on those of a new figure of this height, in inches."""
    if ax is not None:
        yield _on(ax)
        return
    import matplotlib.pyplot as plt

    with style(_theme.get()):
        yield plt.figure(figsize=(WIDE, height), layout="constrained").subplots()


def colour(family: str) -> str:
    """Hue of a family of workflows in the current theme.

    Parameters
    ----------
    family : str
        One of "real", "discard", "augment", "subsample", "fixed real share", "window".

    Raises
    ------
    ValueError
        If the family has no hue.

    Examples
    --------
    >>> colour("discard")
    '#C8102E'
    """
    return HUES[checks.choice(family, "family", tuple(HUES))][_theme.get() == "dark"]


def ink() -> str:
    """Colour of text in the current theme."""
    return _SHADES["ink"][_theme.get() == "dark"]


def muted() -> str:
    """Colour of reference lines and side remarks in the current theme."""
    return _SHADES["muted"][_theme.get() == "dark"]


def ground() -> str:
    """Colour behind the figure in the current theme."""
    return _SHADES["ground"][_theme.get() == "dark"]


def family_of(name: str) -> str:
    """Family whose hue a workflow of this name takes; "real", the colour of ink, where it belongs
    to none.

    Examples
    --------
    >>> family_of("window(5)"), family_of("fixed_real_share, 10 %"), family_of("two models in turn")
    ('window', 'fixed real share', 'real')
    >>> family_of("real_and_window(k=3)"), family_of("forgetting(memory=0.9)")
    ('fixed real share', 'window')
    """
    words = re.sub(r"[_-]", " ", checks.text(name, "name").lower())
    known = {family: family for family in HUES if family != "real"}
    known |= {kind.replace("_", " "): record.family for kind, record in NAMED.items()}
    begin = max(filter(words.startswith, known), key=len, default="")
    return known.get(begin, "real")


def panels(figure: Figure, count: int, **options: Any) -> list[Axes]:
    """Axes side by side where the figure is wide, one above the other where it is narrow.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        The figure that `collapse.publishing.figures.write` hands to the drawing function.
    count : int
        Number of axes.
    **options
        Passed on to `Figure.subplots`: sharex, sharey, width_ratios, ...

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> both = [panels(Figure((width, 3)), 2) for width in (WIDE, NARROW)]
    >>> [len({round(ax.get_position().x0, 2) for ax in axes}) for axes in both]
    [2, 1]
    """
    count = checks.whole(count, "count", "number of axes", most=MOST_AXES)
    shape = (1, count) if is_wide(figure) else (count, 1)
    if shape[0] > 1 and "width_ratios" in options:
        options["height_ratios"] = options.pop("width_ratios")
    return list(figure.subplots(*shape, squeeze=False, **options).flat)


def is_wide(figure: Figure) -> bool:
    """Whether the figure spans the whole text (6.8 inches) and not one column (3.3 inches)."""
    from matplotlib.figure import Figure

    if not isinstance(figure, Figure):
        raise ValueError(f"figure must be a matplotlib Figure; it is {checks.brief(figure)}.")
    return bool(figure.get_figwidth() > (WIDE + NARROW) / 2)


def mark_limit(ax: Axes, x: float = 0.99, text: str = r"$\pi^2/6$") -> None:
    """Draw and label the limit of the risk ratio under augment, pi^2/6.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        Axes whose vertical axis is a risk ratio.
    x : float
        Where the label ends, as a share of the axes' width.
    text : str
        The label.
    """
    x, text = _point(x, "x"), checks.text(text, "text")
    ax = _on(ax)
    ax.axhline(LIMIT, color=muted(), linewidth=0.9, linestyle=(0, (5, 3)), zorder=1.5)
    ax.annotate(
        text,
        (x, LIMIT),
        xycoords=("axes fraction", "data"),
        xytext=(0, 2),
        textcoords="offset points",
        ha="right",
        va="bottom",
        color=ink(),
        path_effects=_halo(),
        zorder=4,
    )


def label_curve(
    ax: Axes,
    x: float,
    y: float,
    text: str,
    *,
    family: str = "real",
    offset: tuple[float, float] = (0, 4),
    ha: str = "right",
    va: str = "bottom",
) -> Annotation:
    """Write a curve's name beside it, in its hue: the reader needs no legend.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        Axes that hold the curve.
    x, y : float
        A point of the curve, in data units.
    text : str
        The name.
    family : str
        Family of workflows whose hue the name takes.
    offset : tuple of float
        From the point to the text, in points.
    ha, va : str
        Which corner of the text the offset leads to.
    """
    offset = _offset(offset, "offset")
    checks.choice(ha, "ha", ("left", "center", "right"))
    checks.choice(va, "va", ("top", "center", "bottom", "baseline", "center_baseline"))
    return _on(ax).annotate(
        checks.text(text, "text"),
        (_point(x, "x"), _point(y, "y")),
        xytext=offset,
        textcoords="offset points",
        ha=ha,
        va=va,
        color=colour(family),
        fontweight="bold",
        path_effects=_halo(),
        zorder=5,
    )


def plot_risk(
    risk: Risk,
    ax: Axes | None = None,
    *,
    label: str | None = None,
    family: str | None = None,
    dash: Any = "-",
    dots: int = 20,
) -> Axes:
    """Draw a risk ratio against the generation: a derived one as a line, a simulated one as dots.

    Parameters
    ----------
    risk : Risk
        What `derive` or `simulate` returned.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.
    label : str, optional
        Name for a legend, where a curve cannot be labelled directly.
    family : str, optional
        Family of workflows whose hue the curve takes; by default the plan's name says it.
    dash : linestyle
        Tells members of one family apart.
    dots : int
        At most this many simulated generations are drawn, spread over all of them. Bars are plus
        and minus two standard errors.

    Returns
    -------
    matplotlib.axes.Axes
        The axes drawn on.
    """
    checks.require(
        isinstance(risk, Risk),
        f"risk must be what derive or simulate returned; it is {checks.brief(risk)}.",
    )
    g, ratio = risk.generations, np.asarray(risk.ratio, dtype=float)
    hue = family_of(risk.plan.name) if family is None else family
    with on_axes(ax, 3.2) as drawn:
        if risk.replications is None:
            plot_derived(drawn, g, ratio, family=hue, dash=dash, label=label)
        else:
            plot_simulated(drawn, g, ratio, risk.stderr, family=hue, label=label, dots=dots)
        drawn.set(xlabel="generation", ylabel="risk ratio")
    return drawn


def plot_derived(
    ax: Axes,
    x: ArrayLike,
    y: ArrayLike,
    *,
    family: str = "real",
    dash: Any = "-",
    label: str | None = None,
    **options: Any,
) -> Line2D:
    """Draw derived values: a line in the family's hue."""
    x, y = _points(x, y)
    (line,) = _on(ax).plot(
        x, y, color=colour(family), linestyle=_dash(dash), label=_label(label), zorder=2, **options
    )
    return line


def plot_simulated(
    ax: Axes,
    x: ArrayLike,
    y: ArrayLike,
    stderr: ArrayLike | None = None,
    *,
    family: str = "real",
    label: str | None = None,
    dots: int = 20,
    mark: str | None = None,
    **options: Any,
) -> ErrorbarContainer:
    """Draw simulated values: dots with bars of plus and minus two standard errors, at most `dots`
    of them; hollow marks of another form where `mark` names one, such as "D".
    """
    x, y = _points(x, y)
    marked: dict[str, Any] = {"markeredgecolor": ground(), "markeredgewidth": 0.5, "elinewidth": 1}
    if mark is not None:
        checks.choice(mark, "mark", ("o", "s", "D", "^"))
        marked = {"markerfacecolor": ground(), "markersize": 3.4, "elinewidth": 0.9}
    shown = _shown(len(x), dots)
    bars = None
    if stderr is not None:
        bars = 2 * _table(stderr, "stderr", x.shape)[shown]
        least = np.min(bars, initial=0) / 2
        checks.require(
            not (least < 0), f"stderr must not be negative; it is {least:g} at one point."
        )
    return _on(ax).errorbar(
        x[shown],
        y[shown],
        bars,
        fmt=mark or "o",
        color=colour(family),
        label=_label(label),
        **({"zorder": 3} | marked | options),
    )


def plot_published(
    ax: Axes,
    x: ArrayLike,
    y: ArrayLike,
    *,
    family: str = "real",
    label: str | None = None,
    dots: int = 20,
    **options: Any,
) -> Line2D:
    """Draw published values: hollow squares, at most `dots` of them."""
    look: dict[str, Any] = {"markerfacecolor": "none", "markeredgewidth": 1, "markersize": 4.5}
    squares = plot_simulated(
        ax, x, y, family=family, label=label, dots=dots, mark="s", zorder=3.5, **(look | options)
    )
    return squares.lines[0]


def _halo() -> list[Any]:
    """An outline in the ground's colour keeps text legible over a curve."""
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=2.4, foreground=ground())]


def _on(ax: Any) -> Axes:
    """Axes to draw on, if they are some."""
    from matplotlib.axes import Axes

    if isinstance(ax, Axes):
        return ax
    raise ValueError(f"ax must be matplotlib Axes; it is {checks.brief(ax)}.")


def _table(values: ArrayLike, name: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
    table = checks.floats(values, name, f"numbers of shape {shape}")
    if table.shape == shape:
        return table
    raise ValueError(f"{name} must have shape {shape}; it has shape {table.shape}.")


def _points(x: ArrayLike, y: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Read as many x as y, shape (N,)."""
    at = checks.floats(x, "x", "one number for each point, shape (N,)")
    values = checks.floats(y, "y", "one number for each point, shape (N,)")
    shapes = f"x and y must have one shape, (N,); they have {at.shape} and {values.shape}."
    checks.require(not (at.ndim != 1 or not at.size or values.shape != at.shape), shapes)
    return at, values


def _point(value: ArrayLike, name: str) -> float:
    return float(_table(value, name, ()))


def _offset(value: Any, name: str) -> tuple[float, float]:
    dx, dy = (float(checks.check_number(part, name)) for part in _table(value, name, (2,)))
    return dx, dy


def _shown(points: int, dots: int) -> NDArray[np.int64]:
    """At most `dots` of the points, spread over all."""
    most = min(checks.whole(dots, "dots", "points drawn at most"), points)
    return np.unique(np.linspace(0, points - 1, most).round().astype(int))


def _label(label: str | None) -> str | None:
    return None if label is None else checks.text(label, "label")


def _dash(dash: Any) -> Any:
    """A line style that matplotlib knows."""
    from matplotlib.lines import Line2D

    try:
        Line2D([], [], linestyle=dash)
    except (TypeError, ValueError, AttributeError) as error:
        raise ValueError(
            "dash must be a matplotlib line style, such as '--' or (0, (4, 2)); it is"
            f" {checks.brief(dash)}."
        ) from error
    return dash
