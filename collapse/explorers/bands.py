"""The explorer of bands: what chains on real tables came to, by workflow and generation, and how
many of them still had an estimate. A chapter simulates them; the page holds their quantiles.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from collapse import datasets, workflows
from collapse.checks import require
from collapse.derivation import derive
from collapse.explorers.record import Control, Explorer, State
from collapse.publishing import panel, plot

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TABLES = ("titanic", "diabetes", "heart")
RULES = {
    "discard": "discard",
    "window": "window(k=5)",
    "fixed real share": "fixed_real_share(share=0.1)",
    "subsample": "subsample",
    "augment": "augment",
}
"""Workflows by what pages call them."""
LEVELS = (0.05, 0.5, 0.95)
GENERATIONS = 50


def bands(
    quantiles: Mapping[tuple[str, str], ArrayLike],
    lost: Mapping[tuple[str, str], ArrayLike],
    law: Mapping[tuple[str, str], ArrayLike],
    chains: int,
) -> dict[str, Any]:
    """Return what the explorer "bands" takes as its data, to four digits.

    Parameters
    ----------
    quantiles : mapping of (table, workflow) to array_like, shape (3, G)
        5 %, 50 % and 95 % quantiles of the excess risk, in nats; infinite where there was no
        estimate. Tables are titanic, diabetes and heart; workflows discard, window, fixed real
        share, subsample and augment.
    lost : mapping of (table, workflow) to array_like, shape (G,)
        Share of chains without an estimate.
    law : mapping of (table, workflow) to array_like, shape (G,)
        The median that is derived.
    chains : int
        How many were simulated; 0 where all is derived.

    Returns
    -------
    dict
        In JSON's types.

    Raises
    ------
    ValueError
        Where a table or a workflow is missing.

    Examples
    --------
    >>> from collapse.explorers import bands
    >>> sorted(bands.derived()["bands"]["heart"]["discard"])
    ['alive', 'high', 'law', 'low', 'middle']
    """
    found: dict[str, dict[str, Any]] = {}
    for table in TABLES:
        for rule in RULES:
            key = table, rule
            require(
                all(key in part for part in (quantiles, lost, law)),
                f"bands needs every workflow on every table, and {rule} on {table} is missing.",
            )
            low, middle, high = (_written(one) for one in np.asarray(quantiles[key], float))
            alive = _written(1 - np.asarray(lost[key], float))
            found.setdefault(table, {})[rule] = {
                "low": low,
                "middle": middle,
                "high": high,
                "law": _written(np.asarray(law[key], float)),
                "alive": alive,
            }
    return {"bands": found, "chains": int(chains)}


def _written(values: Any) -> list[float | None]:
    return [float(f"{value:.4g}") if np.isfinite(value) else None for value in values]


def derived() -> dict[str, Any]:
    """The same as the law has it for many rows, with an estimate in every chain."""
    from scipy.stats import chi2

    quantiles, lost, law = {}, {}, {}
    for table in TABLES:
        X = getattr(datasets, table)().split()[0]
        n, p = X.shape[0], X.shape[1] + 1
        for rule, name in RULES.items():
            ratio = derive(workflows.named(name, GENERATIONS)).ratio
            found = chi2.ppf(LEVELS, p)[:, None] * (ratio - ratio[0]) / (2 * n)
            quantiles[table, rule], law[table, rule] = found, found[1]
            lost[table, rule] = np.zeros(GENERATIONS)
    return bands(quantiles, lost, law, 0)


def bands_answer(state: State) -> dict[str, Any]:
    """What the explorer's state stands for: three quantiles, the derived median, and the share of
    chains that have an estimate.
    """
    one = state["bands"][state["table"]][state["rule"]]
    at = min(state["generation"], len(one["middle"])) - 1
    told = {name: inf if values[at] is None else values[at] for name, values in one.items()}
    return told | {"curves": one, "percent": 100 * told["alive"], "at": at + 1}


def bands_draw(figure: Figure, shown: State) -> None:
    """The same for print."""
    left, right = plot.panels(figure, 2)
    curves = {
        name: np.array([np.nan if value is None else value for value in values])
        for name, values in shown["curves"].items()
    }
    g, rule = np.arange(1, len(curves["middle"]) + 1), shown["rule"]
    hue, low = plot.colour(rule), curves["low"]
    left.fill_between(g[1:], low[1:], curves["high"][1:], color=hue, alpha=0.22, linewidth=0)
    panel.curve(left, g[1:], curves["middle"][1:], rule)
    panel.guide(left, g[1:], curves["law"][1:], (0, (3, 2)), linewidth=1.2)
    panel.frame(left, f"{shown['table']}: {rule}", "generation", "excess risk, nats", log="y")
    panel.curve(right, g, 100 * curves["alive"], rule)
    panel.frame(right, None, "generation", "chains with an estimate, %", ylim=(0, 105))


Explorer(
    "bands",
    "chains on real tables, by workflow and generation",
    lambda: (
        Control("table", "Table", "heart", choices=TABLES),
        Control("rule", "Workflow", "discard", choices=tuple(RULES)),
        Control("generation", "Generation", 5, 2, GENERATIONS, 1),
    ),
    bands_answer,
    "at generation {at} of {rule} on {table} {percent:.3g} % of the chains have an estimate, and"
    " the median of the excess risk is {middle:.3g} nats",
    bands_draw,
    derived,
)
