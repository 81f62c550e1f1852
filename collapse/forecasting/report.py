"""The report of a forecast: its figures, and one HTML page that needs nothing else."""

from __future__ import annotations

import base64
import html as text
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from collapse.publishing import figures, plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]


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

    def write(
        self, label: str, document: dict[str, Any], folder: str | Path | None = None
    ) -> figures.Bundle:
        """Write the figure as a bundle; `label` names its files."""
        return figures.write(
            label,
            self.draw,
            numbers=self.numbers,
            parameters={key: document[key] for key in ("task", "settings", "simulation")}
            | {"target": document["data"]["target"]},
            seed=document["seed"],
            height=self.height,
            narrow_height=self.narrow_height,
            folder=folder,
        )


def drawings(document: dict[str, Any]) -> dict[str, Drawing]:
    """Return the figures of a forecast's document: "loss", "ratio" and "workflows", as far as they
    are known.

    Parameters
    ----------
    document : dict
        As `collapse.forecast` describes it.

    Returns
    -------
    dict of str to Drawing

    Examples
    --------
    >>> import pandas as pd, collapse
    >>> x, y = [k**2 % 11 for k in range(60)], [k % 7 + 0.1 * k for k in range(60)]
    >>> table = pd.DataFrame({"x": x, "y": y})
    >>> list(drawings(collapse.forecast(table, "y", "discard", 3, against=[]).document))
    ['loss', 'ratio', 'workflows']
    """
    known = [
        row["derived"] is not None or row["simulated"] is not None for row in document["workflows"]
    ]
    out = {"loss": _loss(document)} if known[0] else {}
    if document["ratio"]["derived"] is not None:
        out["ratio"] = _ratio(document)
    if any(known):
        out["workflows"] = _workflows(document)
    return out


def _floats(values: Any, length: int) -> Array:
    """Numbers, NaN where there are none."""
    return (
        np.full(length, np.nan)
        if values is None
        else np.array([np.nan if v is None else v for v in values], np.float64)
    )


def _blank(values: Array) -> list[Any]:
    """A column of a CSV, empty where there is no number."""
    return [float(v) if np.isfinite(v) else None for v in values]


def _loss(document: dict[str, Any]) -> Drawing:
    row, first, worse = (
        document["workflows"][0],
        document["first"]["loss"],
        document["settings"]["worse"],
    )
    G = document["settings"]["generations"]
    g = np.arange(1, G + 1)
    keys = (
        "derived",
        "derived_low",
        "derived_high",
        "simulated",
        "stderr",
        "simulated_low",
        "simulated_high",
    )
    derived, derived_low, derived_high, simulated, stderr, low, high = (
        _floats(row[key], G) for key in keys
    )
    exact = row["simulated_low"] is not None
    bottom, top = (low, high) if exact else (derived_low, derived_high)
    level = first * (1 + worse)
    seen = np.concatenate([[first], derived, simulated, bottom, top])
    seen = seen[np.isfinite(seen)]
    # a band that runs away must not press the curve against the axis
    ceiling = min(seen.max(), 6 * level) if level > 0 else seen.max()
    span = max(ceiling - seen.min(), 1e-9 * abs(first) + 1e-300)

    def draw(figure: Figure) -> None:
        (ax,) = plot.panels(figure, 1)
        hue = row["family"]
        colour = plot.colour(hue)
        ax.set_ylim(seen.min() - 0.06 * span, ceiling + 0.14 * span)
        if np.isfinite(bottom).any():
            ax.fill_between(
                g,
                bottom,
                np.where(np.isnan(top) & np.isfinite(bottom), 1e300, top),
                color=colour,
                alpha=0.2,
                linewidth=0,
            )
        if np.isfinite(derived).any():
            plot.plot_derived(ax, g, derived, family=hue)
        if np.isfinite(simulated).any():
            plot.plot_simulated(ax, g, simulated, stderr, family=hue)
        ax.axhline(first, color=plot.muted(), linewidth=0.9, linestyle=(0, (1.5, 2)), zorder=1.5)
        right = bool(np.nanmax([derived[-1], simulated[-1], -np.inf]) > level)
        _note(ax, first, "real rows alone", va="top", right=right)
        if level <= ceiling + 0.1 * span:
            ax.axhline(level, color=plot.muted(), linewidth=0.9, linestyle=(0, (5, 3)), zorder=1.5)
            _note(ax, level, f"{100 * worse:g} % worse", va="bottom", right=right)
        ax.set_xlim(1 - 0.02 * G, G + 0.02 * G + 0.1)
        _whole_ticks(ax, G)
        ax.set_xlabel("generation")
        ax.set_ylabel("test loss")
        ax.set_title(document["model"]["loss"])

    how = _how(document)
    return Drawing(
        draw,
        {
            "generation": g,
            "derived": _blank(derived),
            "derived low": _blank(derived_low),
            "derived high": _blank(derived_high),
            "simulated": _blank(simulated),
            "standard error": _blank(stderr),
            "simulated low": _blank(low),
            "simulated high": _blank(high),
        },
        3.2,
        2.9,
        f"Test loss against generation under {row['name']}, with a band for single runs; a dotted"
        " line marks the first loss.",
        f"Test loss under {row['name']}. {how} Band: where 90 % of single runs lie, given your real"
        " rows.",
    )


def _ratio(document: dict[str, Any]) -> Drawing:
    ratio, row = document["ratio"], document["workflows"][0]
    G = document["settings"]["generations"]
    g = np.arange(1, G + 1)
    derived, low, high, simulated, stderr, bottom, top = (
        _floats(ratio[key], G)
        for key in (
            "derived",
            "low",
            "high",
            "simulated",
            "stderr",
            "simulated_low",
            "simulated_high",
        )
    )
    if np.isfinite(bottom).all() and np.isfinite(top).all():
        low, high = bottom, top

    def draw(figure: Figure) -> None:
        (ax,) = plot.panels(figure, 1)
        hue = row["family"]
        ax.fill_between(g, low, high, color=plot.colour(hue), alpha=0.2, linewidth=0)
        plot.plot_derived(ax, g, derived, family=hue)
        if np.isfinite(simulated).any():
            plot.plot_simulated(ax, g, simulated, stderr, family=hue)
        if high.max() < 30:
            plot.mark_limit(ax)
        ax.axhline(1, color=plot.muted(), linewidth=0.9, linestyle=(0, (1.5, 2)), zorder=1.5)
        _note(
            ax, 1, "real rows alone", va="bottom" if high.max() > 8 else "top", right=high.max() > 8
        )
        ax.set_ylim(0, 1.08 * high.max())
        ax.set_xlim(1 - 0.02 * G, G + 0.02 * G + 0.1)
        _whole_ticks(ax, G)
        ax.set_xlabel("generation")
        ax.set_ylabel("risk ratio")

    simulation = document["simulation"]
    dots = (
        f" Dots: {simulation['replications']:,} simulated runs of {simulation['rows']:,} rows with"
        " fresh real labels, from a world in which the first fit is the truth, with bars of two"
        " standard errors."
        if np.isfinite(simulated).any()
        else ""
    )
    return Drawing(
        draw,
        {
            "generation": g,
            "derived": _blank(derived),
            "low": _blank(low),
            "high": _blank(high),
            "simulated": _blank(simulated),
            "standard error": _blank(stderr),
        },
        3.0,
        2.8,
        f"Risk ratio against generation under {row['name']}: a line with a wide band.",
        f"Under {row['name']} your 1,000 rows are worth {row['worth'][-1]:,.0f} after {G}"
        " generations, for many rows. Line: excess risk as a multiple of the first fit's, derived"
        f" for many rows.{dots} Band: where 90 % of single runs lie.",
    )


def _workflows(document: dict[str, Any]) -> Drawing:
    rows, first, worse = (
        document["workflows"],
        document["first"]["loss"],
        document["settings"]["worse"],
    )
    G = document["settings"]["generations"]

    def last(row: dict[str, Any], key: str) -> float:
        return float(_floats(row[key], G)[-1])

    order = sorted(rows, key=lambda row: (-last(row, "ratio") if row["ratio"] else 0, row["name"]))
    if not rows[0]["ratio"]:
        order = sorted(rows, key=lambda row: -np.nan_to_num(last(row, "simulated"), nan=np.inf))
    derived, simulated, stderr = (
        np.array([last(row, key) for row in order]) for key in ("derived", "simulated", "stderr")
    )
    low, high = (
        np.array(
            [
                last(
                    row,
                    f"simulated_{end}" if row["simulated_low"] is not None else f"derived_{end}",
                )
                for row in order
            ]
        )
        for end in ("low", "high")
    )
    level = first * (1 + worse)
    seen = np.concatenate([[first], derived, simulated, low, high])
    seen = seen[np.isfinite(seen)]
    ceiling = min(seen.max(), 2 * level) if level > 0 else seen.max()
    span = max(ceiling - seen.min(), 1e-9 * abs(first) + 1e-300)
    y = np.arange(len(order))[::-1]

    def draw(figure: Figure) -> None:
        (ax,) = plot.panels(figure, 1)
        ax.set_xlim(seen.min() - 0.05 * span, ceiling + 0.08 * span)
        right = ax.get_xlim()[1]
        for at, row, line, dot, error, left, end in zip(
            y, order, derived, simulated, stderr, low, high, strict=True
        ):
            colour = plot.colour(row["family"])
            if np.isfinite(left):
                ax.plot(
                    [left, end if np.isfinite(end) else right],
                    [at, at],
                    color=colour,
                    alpha=0.35,
                    linewidth=6,
                    solid_capstyle="butt",
                    zorder=1.8,
                )
            if np.isfinite(line):
                ax.plot([line, line], [at - 0.3, at + 0.3], color=colour, linewidth=1.8, zorder=2)
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
        ax.axvline(first, color=plot.muted(), linewidth=0.9, linestyle=(0, (1.5, 2)), zorder=1.5)
        if level < right:
            ax.axvline(level, color=plot.muted(), linewidth=0.9, linestyle=(0, (5, 3)), zorder=1.5)
        ax.set_yticks(y, [_short(row["name"], plot.is_wide(figure)) for row in order])
        ax.set_ylim(-0.6, len(order) - 0.4)
        ax.grid(axis="y", visible=False)
        ax.tick_params(axis="y", length=0)
        for label, row in zip(ax.get_yticklabels(), order, strict=True):
            label.set_fontweight("bold" if row["asked"] else "normal")
        ax.locator_params(axis="x", nbins=6 if plot.is_wide(figure) else 4)
        ax.set_xlabel(f"test loss at generation {G}")

    height = 1.0 + 0.32 * len(order)
    return Drawing(
        draw,
        {
            "workflow": [row["name"] for row in order],
            "derived": _blank(derived),
            "simulated": _blank(simulated),
            "standard error": _blank(stderr),
            "low": _blank(low),
            "high": _blank(high),
        },
        height,
        height + 0.2,
        f"Test loss at generation {G} for each workflow, with a bar for single runs; a dotted line"
        " marks the loss of the first fit.",
        f"Test loss after {G} generations. Upright strokes: derived for many rows. Dots: simulated."
        " Bars: where 90 % of single runs lie. Dotted: the first fit's loss, which training on the"
        f" real rows alone keeps; dashed, where it is in the picture: {100 * worse:g} % worse. An"
        " arrow points to a loss outside the picture.",
    )


def _short(name: str, wide: bool) -> str:
    """A workflow's name on an axis; a dollar sign begins no formula."""
    name = name.replace("$", r"\$")
    return name if wide else name.replace("_", " ").replace("(", "\n(", 1)


def _how(document: dict[str, Any]) -> str:
    simulation, said = document["simulation"], []
    if document["workflows"][0]["derived"] is not None:
        said.append("Line: derived for many rows.")
    if simulation["replications"]:
        where = f", on {simulation['rows']:,} of the rows" if simulation["subsample"] else ""
        said.append(
            f"Dots: mean of {simulation['replications']:,} simulated runs{where}, with bars of two"
            " standard errors."
        )
    return " ".join(said)


def _note(ax: Axes, y: float, words: str, va: str, right: bool) -> None:
    """Words on a level line, at the end where the curve is farther from it."""
    ax.annotate(
        words,
        (0.985 if right else 0.015, y),
        xycoords=("axes fraction", "data"),
        xytext=(0, 2 if va == "bottom" else -2),
        textcoords="offset points",
        ha="right" if right else "left",
        va=va,
        fontsize=8,
        color=plot.ink(),
    )


def _whole_ticks(ax: Axes, G: int) -> None:
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))


STYLE = """
:root { color-scheme: light dark; --ground: #ffffff; --ink: #1a1a1a; --muted: #545b66; --rule:
  #d9dce0; --box: #f4f5f7; --warn: #8a4b00; }
@media (prefers-color-scheme: dark) { :root { --ground: #14181e; --ink: #f0f0f0; --muted: #b3bac4;
  --rule: #3a424c; --box: #1f252d; --warn: #ffb454; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 18px/1.6 Charter, "Bitstream
  Charter", Cambria, Georgia, serif; overflow-wrap: anywhere; }
main { max-width: 720px; margin: 0 auto; padding: 1rem 1rem 4rem; }
h1, h2, table, figcaption, .small, dl { font-family: system-ui, -apple-system, "Segoe UI", Roboto,
  "Helvetica Neue", sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 1.2rem 0 0.4rem; } h2 { font-size: 1.2rem;
  margin: 2.2rem 0 0.5rem; }
p, li { max-width: 36em; } li { margin-bottom: 0.45rem; }
.small, figcaption, table, dl { font-size: 0.84rem; line-height: 1.5; color: var(--muted); }
.warning { border-left: 4px solid var(--warn); background: var(--box); padding: 0.6rem 1rem; }
  .warning ul { padding-left: 1.1rem; margin: 0.3rem 0; }
figure { margin: 1.2rem 0; } img { width: 100%; height: auto; display: block; } figcaption {
  margin-top: 0.4rem; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; color: var(--ink); }
th, td { text-align: right; padding: 0.35rem 0.6rem; border-bottom: 1px solid var(--rule);
  white-space: nowrap; }
th:first-child, td:first-child { text-align: left; } th { vertical-align: bottom; white-space:
  normal; overflow-wrap: normal; font-weight: 600; } tr.asked { font-weight: 600; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.2rem 1rem; } dt { color:
  var(--ink); } dd { margin: 0; }
@media (max-width: 480px) { dl { display: block; } dd { margin: 0 0 0.4rem 0; } }
"""


def html(document: dict[str, Any]) -> str:
    """Return the report as one self-contained HTML page.

    Parameters
    ----------
    document : dict
        As `collapse.forecast` describes it.

    Returns
    -------
    str
        The page: styles and pictures inline, for light and dark, wide and narrow screens; it asks
        nothing of any host.
    """
    data, settings, simulation = document["data"], document["settings"], document["simulation"]
    title = f"What {settings['workflow']} would cost on {data['source']}"
    out = [
        f"<h1>{_safe(title)}</h1>",
        (
            f'<p class="small">Target: {_safe(data["target"])}. {settings["generations"]:,}'
            f" generations, {data['real_rows']:,} real rows to fit, "
            f"{data['test_rows']:,} to test on. The model is fitted to the real rows; then its own"
            " labels, generation after generation, "
            "take part in the training set as the workflow says.</p>"
        ),
        "<h2>In short</h2>",
        _bullets(document["answers"]),
    ]
    if document["warnings"]:
        out += [
            '<div class="warning"><h2 style="margin-top:0.2rem">What cannot be trusted</h2>',
            _bullets(document["warnings"]),
            "</div>",
        ]
    with tempfile.TemporaryDirectory() as folder:
        for name, drawing in drawings(document).items():
            heading = {
                "loss": "The loss on the test set",
                "ratio": "What your rows are worth",
                "workflows": "Keeping more, or less",
            }[name]
            bundle = drawing.write(name, document, folder)
            out += [f"<h2>{heading}</h2>", _figure(bundle, drawing)]
    out += [_table(document), "<h2>Your data, and what was done to them</h2>", _data(document)]
    out += [
        "<h2>How to read this</h2>",
        (
            "<p>A <em>ratio</em> compares excess risks, the part of the loss that more real rows"
            " would remove, and not losses: the loss itself rises by much less. A ratio of 2 means"
            " that 1,000 rows are worth 500. Derived curves are for many rows and take the labels"
            " of your real rows as they are; the loss rises by (ratio - 1) κ / n, with κ computed"
            " at the first fit. Simulated runs refit the model itself. In both the covariates of"
            " your real rows are used again in every generation, and only labels are synthetic.</p>"
        ),
        "<h2>To get the same numbers again</h2>",
        "<dl>"
        + _item("seed", str(document["seed"]))
        + _item("workflow", settings["workflow"])
        + _item("test set", settings.get("test_file") or f"a share of {settings['test_share']:g}")
        + _item(
            "budget",
            f"{settings['budget']:g} nominal seconds: {simulation['replications']:,} runs of"
            f" {simulation['rows']:,} rows",
        )
        + _item(
            "versions",
            ", ".join(f"{name} {version}" for name, version in document["versions"].items()),
        )
        + "</dl>",
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport"'
        ' content="width=device-width, initial-scale=1">'
        f"<title>{_safe(title)}</title><style>{STYLE}</style></head>\n<body><main>\n"
        + "\n".join(out)
        + "\n</main></body></html>\n"
    )


def _figure(bundle: figures.Bundle, drawing: Drawing) -> str:
    def address(suffix: str) -> str:
        content = (bundle.folder / f"{bundle.label}{suffix}.png").read_bytes()
        return "data:image/png;base64," + base64.b64encode(content).decode()

    dark, narrow = "(prefers-color-scheme: dark)", "(max-width: 560px)"
    return (
        "<figure><picture>"
        f'<source media="{dark} and {narrow}" srcset="{address("-narrow-dark")}">'
        f'<source media="{narrow}" srcset="{address("-narrow")}">'
        f'<source media="{dark}" srcset="{address("-dark")}">'
        f'<img src="{address("")}"'
        f' alt="{_safe(drawing.alt)}"></picture>'
        f"<figcaption>{_safe(drawing.caption)}</figcaption></figure>"
    )


def _table(document: dict[str, Any]) -> str:
    first, settings = document["first"]["loss"], document["settings"]
    G = settings["generations"]
    head = [
        "workflow",
        "1,000 rows are worth",
        "test loss",
        "change",
        f"{100 * settings['worse']:g} % worse at",
        "rows read",
        "rows stored",
    ]
    body, reasons = [], {}
    for row in document["workflows"]:
        kind = (
            "simulated" if row["simulated_low"] is not None or row["derived"] is None else "derived"
        )
        value = None if row[kind] is None else row[kind][-1]
        worse, why = row["worse"], row["worse_why"]
        at = worse["simulated"] if worse["simulated"] is not None else worse["derived"]
        beyond = worse["simulated"] is None and row["simulated_low"] is not None
        if at is not None and beyond and at <= G:
            at = None  # the simulation, which has the last word, does not reach it
        if at is None:
            reasons[row["name"]] = (why["derived"] if row["derived"] is not None else None) or why[
                kind
            ]
        cells = [
            row["name"],
            "—" if row["worth"] is None else f"{row['worth'][-1]:,.0f}",
            "not known" if row[kind] is None else "no mean" if value is None else f"{value:.4g}",
            "—" if value is None or first <= 0 else f"{100 * (value / first - 1):+.2g} %",
            "—" if at is None else f"generation {at:,}",
            f"{row['rows_read']:,}",
            f"{row['rows_stored']:,}",
        ]
        line = "".join(f"<td>{_safe(cell)}</td>" for cell in cells)
        body.append(f"<tr{' class=asked' if row['asked'] else ''}>{line}</tr>")
    dash = "; ".join(f"{name}: {why}" for name, why in reasons.items() if why)
    note = (
        f"After {G:,} generations. What rows are worth is for many rows. Rows that the last fit"
        " reads, and rows carried over to it from earlier generations."
    )
    if dash:
        note += f" A dash under “worse”: {dash}."
    return (
        '<div class="scroll"><table><thead><tr>'
        + "".join(f'<th scope="col">{_safe(name)}</th>' for name in head)
        + "</tr></thead><tbody>"
        + "".join(body)
        + f'</tbody></table></div><p class="small">{_safe(note)}</p>'
    )


def _data(document: dict[str, Any]) -> str:
    data, task, model = document["data"], document["task"], document["model"]
    words = {
        "binary": "two classes",
        "multiclass": "classes",
        "counts": "counts",
        "continuous": "a continuous number",
    }[task["name"]]
    classes = (
        f": {', '.join(data['classes'][:12])}{', …' if len(data['classes']) > 12 else ''}"
        if data["classes"]
        else ""
    )
    guess = (
        " (guessed; say otherwise with <code>--task</code>)"
        if task["guessed"]
        else " (as you said)"
    )
    items = [
        _item(
            "table",
            f"{data['source']}, {data['rows']:,} rows, {len(data['features'])} columns used",
        ),
        f"<dt>target</dt><dd>{_safe(data['target'])}, {words}{_safe(classes)}{guess}</dd>",
        _item(
            "model",
            f"{model['name']}, {model['coefficients']:,} coefficients, by {model['estimator']}",
        ),
        _item("loss", model["loss"]),
        _item(
            "first fit",
            f"test loss {document['first']['loss']:.4g}" + _plus_minus(document["first"]["stderr"]),
        ),
        *_against_constant(document["first"]),
    ]
    notes = (
        _bullets(data["notes"]) if data["notes"] else "<p>Nothing was left out or filled in.</p>"
    )
    return "<dl>" + "".join(items) + "</dl>" + notes


def _against_constant(first: dict[str, Any]) -> list[str]:
    if first["constant"] is None:
        return []
    gain = f"test loss {first['constant']:.4g}; the fit gains {first['gain']:.2g}"
    return [_item("constant", gain + _plus_minus(first["gain_stderr"]))]


def _plus_minus(error: float | None) -> str:
    if error is None:
        return ""
    return f" ± {error:.2g} (one standard error, for the choice of test rows)"


def _item(name: str, value: str) -> str:
    return f"<dt>{_safe(name)}</dt><dd>{_safe(value)}</dd>"


def _bullets(sentences: list[str]) -> str:
    return "<ul>" + "".join(f"<li>{_safe(sentence)}</li>" for sentence in sentences) + "</ul>"


def _safe(words: str) -> str:
    return text.escape(words).replace(" %", "\u00a0%")
