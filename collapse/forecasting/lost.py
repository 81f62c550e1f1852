"""What is lost of whole rows, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from collapse.checks import counted
from collapse.forecasting.common import Array, in_percent, in_short

if TYPE_CHECKING:
    from collapse.forecasting.answer import Forecast
    from collapse.risk import Risk

GENERATOR = "of whole rows"
"""What a generator is called beside estimators."""
TASK = "rows"
"""What a forecast of whole rows has in place of a task."""
NO_SHARE = "not told: the loss of a generator has no zero of which it could be a share"
"""Why no generation is worse by a share."""
LOST = {
    "variance": (
        "variance, as a share of the test rows'",
        (
            "The variance of the columns of numbers is {last} times that of the test rows; drawn"
            " from the first fit it is {first} times, and in the real rows {real}."
        ),
    ),
    "tail": (
        "99 % quantiles, as a share of the test rows'",
        (
            "The 99 % quantiles of the columns of numbers are {last} times as far from the test"
            " rows' mean as those of the test rows; of the first fit {first} times, of the real"
            " rows {real}."
        ),
    ),
    "support": (
        "categories drawn",
        (
            "Of the {real} categories of the real rows {last} are among 1,000 rows drawn; of the"
            " first fit's rows {first}."
        ),
    ),
    "energy": (
        "energy distance from the test rows",
        (
            "The energy distance of rows drawn from the test rows is {last}; of the first fit's"
            " {first}, of the real rows {real}."
        ),
    ),
    "copies": (
        "distance to the nearest real row",
        (
            "Rows drawn are on average {last} from the nearest real row, where a copy has 0 and the"
            " unit is a standard deviation; the first fit's {first}, test rows {real}."
        ),
    ),
    "tstr": (
        "loss on test rows when trained on rows drawn",
        (
            "A linear predictor of the target that is trained on rows drawn has the loss {last} on"
            " the test rows; trained on the first fit's {first}, on the real rows {real}."
        ),
    ),
}
"""Each measure's name, and what is said of it: of the last fit, the first one, and real rows."""


def curves_of(outcome: Risk) -> dict[str, dict[str, Array]]:
    """What a simulation measured beside the loss: by name its mean, error and band, (G,) each."""
    return {
        name: {
            "mean": told.mean,
            "stderr": told.stderr,
            "low": told.quantiles[0],
            "high": told.quantiles[-1],
        }
        for name, told in outcome.measures.items()
    }


def answers(answer: Forecast, better: list[str]) -> list[str]:
    """The answers in plain language; `better` says which other workflows do better."""
    asked, G, first = answer.workflows[0], answer.settings.generations, answer.first.loss
    after = f"after {counted(G, 'generation')} of {asked.name}"
    loss, low, high = (asked.last("simulated" + end) for end in ("", "_low", "_high"))
    out = [
        (
            f"Whole rows are synthetic, drawn from what {answer.model.name} fitted. No law is"
            " derived for it: what is said of it is simulated."
        )
    ]
    named = f"The loss on the test set, {answer.model.loss}, is {in_short(first)} at first"
    if np.isfinite(loss):
        band = (
            f"; 90 % of single runs end between {in_short(low)} and {in_short(high)}"
            if np.isfinite([low, high]).all()
            else ""
        )
        runs, error = answer.simulation.replications, asked.last("stderr")
        out.append(
            f"{named} and {in_short(loss)} {after} ({loss - first:+.2g} ± {error:.1g}, the standard"
            f" error of {counted(runs, 'run')}{band}). Four times the budget halves such errors."
        )
    elif asked.failed is not None:
        lost = in_percent(asked.last("failed"))
        out.append(f"{named}. Its mean {after} does not exist: {lost} of the runs have none.")
    else:
        return [*out, f"{named}. What it is {after} is not known: nothing was simulated."]
    for name, curves in asked.lost.items():
        told = {"first": curves["mean"][0], "last": curves["mean"][-1]}
        told["real"] = answer.first.real[name]
        if np.isfinite(list(told.values())).all():
            shown = {key: in_short(value) for key, value in told.items()}
            out.append(LOST[name][1].format(**shown))
    return out + better


def table(answer: Forecast) -> list[list[str]]:
    """What is lost, for the report: a row for each measure, under each workflow simulated."""
    simulated = [row for row in answer.workflows if row.lost]
    if not simulated:
        return []
    first = simulated[0]
    head = ["of 1,000 rows drawn", "real rows", "first fit", *(row.name for row in simulated)]
    return [
        head,
        *(
            [
                LOST[name][0],
                in_short(answer.first.real[name]),
                in_short(first.lost[name]["mean"][0]),
                *(
                    f"{in_short(row.lost[name]['mean'][-1])} ± {row.lost[name]['stderr'][-1]:.1g}"
                    for row in simulated
                ),
            ]
            for name in first.lost
        ),
    ]
