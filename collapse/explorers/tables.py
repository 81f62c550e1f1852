"""The explorer of tables that a reader types in: any workflow of a few fits, as a `Plan` holds it.

A plan is written in one line, which a page's address can carry: where batches are drawn from, their
rows, weights, shares kept, and 1 where rows are drawn with replacement, split by "*". Rows are
split by "_", entries by spaces; an entry is a number or a fraction.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from collapse import workflows
from collapse.checks import require
from collapse.derivation import derive
from collapse.explorers.record import Control, Explorer, State
from collapse.plan import Plan
from collapse.publishing import panel, plot

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 16
"""Fits, and batches, that a page has room for."""


def written(plan: Plan) -> str:
    """Return a plan in one line, as the explorer "tables" takes it.

    Parameters
    ----------
    plan : Plan
        Of whole numbers and fractions, with at most 16 fits and 16 batches.

    Returns
    -------
    str
        Its tables.

    Raises
    ------
    ValueError
        Where it is larger, or has floats.

    Examples
    --------
    >>> import collapse
    >>> from collapse.explorers import tables
    >>> tables.written(collapse.workflows.augment(2))
    '0 1*1 1*1 0_1/2 1/2*1*0'
    >>> tables.read('0 1*1 1*1 0_1/2 1/2*1*0') == collapse.workflows.augment(2)
    True
    """
    require(
        plan.generations <= MOST and plan.batches <= MOST,
        f"the explorer of tables has room for {MOST} fits and {MOST} batches; {plan.name} has"
        f" {plan.generations} and {plan.batches}.",
    )
    require(
        plan.rational,
        f"the explorer of tables writes fractions, and {plan.name} has floats: build it from"
        " Fractions, such as Fraction(1, 3).",
    )

    def row(entries: Any) -> str:
        return " ".join(str(Fraction(entry)) for entry in entries)

    kept = "1"
    if not np.all(plan.kept == 1):
        kept = "_".join(map(row, plan.exact_kept()))
    weight = "_".join(map(row, plan.exact_weight()))
    source = " ".join(map(str, plan.source.tolist()))
    return "*".join([source, row(plan.exact_size()), weight, kept, str(int(plan.replace))])


def read(text: Any) -> Plan:
    """Return the plan that a line holds.

    Parameters
    ----------
    text : str
        As `written` writes it.

    Returns
    -------
    Plan
        With exact entries.

    Raises
    ------
    ValueError
        Where the line holds no workflow; the message says what is wrong with it.
    """
    require(
        isinstance(text, str) and text.count("*") == 4,
        "table must hold source, size, weight, kept and replace, split by *, as"
        f" collapse.explorers.tables.written writes a plan; it is {text!r}.",
    )
    source, size, weight, kept, replace = text.split("*")
    rows = _rows(weight)
    plan = Plan(
        _rows(source)[0],
        _rows(size)[0],
        rows,
        None if kept == "1" else _rows(kept),
        replace=replace == "1",
        name="your tables",
    )
    require(
        plan.generations <= MOST and plan.batches <= MOST,
        f"table must have at most {MOST} fits and batches; it has {plan.generations} and"
        f" {plan.batches}.",
    )
    return plan


def _rows(text: str) -> list[list[Any]]:
    try:
        found = [[Fraction(entry) for entry in row.split(" ")] for row in text.split("_")]
    except (ValueError, ZeroDivisionError):
        raise ValueError(
            f"table must hold numbers such as 1/3 or 0.25, split by spaces; it has {text!r}."
        ) from None
    return [[int(one) if one.denominator == 1 else one for one in row] for row in found]


@dataclass(frozen=True)
class Tables(Control):
    """A handle that is a whole plan.

    Parameters
    ----------
    starts : tuple of (str, str)
        Plans to begin with: name, and line.
    """

    starts: tuple[tuple[str, str], ...] = ()

    @property
    def kind(self) -> str:
        return "tables"

    def check(self, value: Any) -> str:
        read(value)
        return str(value)


FITS = 6


def _starts() -> tuple[tuple[str, str], ...]:
    def exact(value: Any) -> Any:
        return Fraction(str(value)) if type(value) is float else value

    made = {
        name: kind.at({key: exact(value) for key, value in kind.defaults.items()}, FITS)
        for name, kind in workflows.NAMED.items()
    }
    return tuple(
        (name, written(plan))
        for name, plan in made.items()
        if not plan.persistent and plan.batches <= MOST and plan.generations <= MOST
    )


def tables_answer(state: State) -> dict[str, Any]:
    """What the tables stand for: the plan, its risk, and where the ratio of one fit comes from."""
    plan = read(state["table"])
    at = min(state["fit"], plan.generations) - 1
    risk = derive(plan)
    ratio, first = risk.ratio, float(plan.reference())
    area = risk.contributions[at] ** 2 / plan.size / first
    real = float(area[plan.source == 0].sum())
    synthetic = float(area[plan.source > 0].sum())
    return {
        "plan": plan,
        "risk": risk,
        "ratio": float(ratio[at]),
        "worth": 1000 / (first * float(ratio[at])),
        "real": real,
        "synthetic": synthetic,
        "draws": float(ratio[at]) - real - synthetic,
        "step": float(ratio[-1] - ratio[-2]) if len(ratio) > 1 else 0.0,
        "at": at + 1,
    }


def tables_draw(figure: Figure, shown: State) -> None:
    """The same for print."""
    ratio = shown["risk"].ratio
    (ax,) = plot.panels(figure, 1)
    panel.curve(ax, np.arange(1, len(ratio) + 1), ratio, "augment")
    panel.frame(ax, "Your tables", "fit", "risk ratio")


Explorer(
    "tables",
    "any workflow as tables that you type in",
    lambda: (
        Tables("table", "Begin with", dict(_starts())["fixed_real_share"], starts=_starts()),
        Control("fit", "Fit", FITS, 1, MOST, 1),
    ),
    tables_answer,
    "for many rows, at fit {at} of the tables typed in, the risk ratio is {ratio:.6g}, and 1,000"
    " real rows are worth {worth:.3g}",
    tables_draw,
)
