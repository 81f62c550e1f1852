"""The explorer of an audit: losses that a reader types in or draws, the workflow they are believed
to come from, and what `collapse.audit` says of them.

Losses are written in one line, which a page's address can carry: what they are, such as loss or
perplexity, then "*", then the runs, split by "_", their numbers by spaces. A page simulates less
than the package: 200 sets of losses in each world, from streams that Python repeats.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from collapse import datasets, workflows
from collapse.auditing import Audit, prose, reading, report, study
from collapse.auditing.courses import LINEAR, course_of, law_of, oddities, plan_of, unknowns
from collapse.auditing.worlds import consistent, foreseen, p_values, scales
from collapse.checks import require
from collapse.exact import Array
from collapse.explorers.record import Control, Explorer, State
from collapse.forecasting.study import COMPARED
from collapse.publishing import plot

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GENERATIONS, RUNS = 20, 8
"""Generations, and runs, that a page has room for."""
DRAWS, SEED, LEVEL = 200, 1, 0.95
RULES = (
    "discard",
    "window(k=2)",
    "window(k=3)",
    "window(k=5)",
    "forgetting(memory=1/2)",
    "fixed_real_share(share=1/10)",
    "fixed_real_share(share=1/4)",
    "fixed_real_share(share=1/2)",
    "fresh_real(share=1/2)",
    "mixture",
    "subsample",
    "augment",
)
"""Workflows that can be asked for."""
PERPLEXITY = (27.440037, 28.076363, 28.238925, 28.299173, 28.347266)
"""Of Qwen1.5-0.5B, fine-tuned for five rounds, decoding at temperature 1 (public coursework)."""


def read(text: Any) -> tuple[str, Array]:
    """Return what a line of losses says they are, and the numbers, shape (R, G).

    Parameters
    ----------
    text : str
        As the explorer "audit" takes it, such as "loss*0.40 0.44 0.48_0.41 0.44 0.49".

    Returns
    -------
    metric : str
        As `collapse.audit` takes it.
    values : ndarray, shape (R, G)

    Raises
    ------
    ValueError
        Where an audit of them is none; the message says what is wrong with them.

    Examples
    --------
    >>> from collapse.explorers import audit
    >>> audit.read("loss*0.40 0.44 0.48")
    ('loss', array([[0.4 , 0.44, 0.48]]))
    """
    metric, star, rest = str(text).partition("*")
    require(
        bool(star) and metric in reading.METRICS,
        f"losses must be what they are, one of {', '.join(reading.METRICS)}, then * and numbers,"
        f" runs split by _, such as loss*0.40 0.44 0.48; they are {text!r}.",
    )
    runs = [run.split() for run in rest.split("_")]
    require(
        len({len(run) for run in runs}) == 1 and len(runs) <= RUNS and len(runs[0]) <= GENERATIONS,
        f"losses must be at most {RUNS} runs of at most {GENERATIONS} generations, the same in"
        " every run.",
    )
    try:
        values = np.array([[float(one) for one in run] for run in runs])
    except ValueError:
        raise ValueError(
            f"losses must be numbers such as 0.41 or 4.1e-1; it is {rest!r}."
        ) from None
    losses = reading.to_losses(values, metric)
    require(
        bool(np.ptp(losses) > 1e-12 * abs(losses).max()),
        "losses are all the same, so that they say nothing of a workflow.",
    )
    return metric, values


@dataclass(frozen=True)
class Losses(Control):
    """A handle that is logged losses.

    Parameters
    ----------
    starts : tuple of (str, str)
        Losses to begin with: name, and line.
    """

    starts: tuple[tuple[str, str], ...] = ()

    @property
    def kind(self) -> str:
        return "losses"

    def check(self, value: Any) -> str:
        read(value)
        return str(value)


@lru_cache(maxsize=256)
def audited(text: str, rule: str) -> tuple[Audit, Array]:
    """Return the audit of a line of losses, simulated as the page does it, and the band of single
    runs under the workflow, shape (2, G).
    """
    metric, values = read(text)
    told = study.audit(values, rule, metric=metric, replications=100)
    losses, G = told.losses, told.losses.shape[1]
    course = np.append(np.arange(1, G + 1), told.at)
    of = unknowns(LINEAR, np.zeros(1), 1)
    named = {name: course_of(plan_of(name, told.at, "rule"), course) for name in (rule, *COMPARED)}
    laws = {
        name: law_of(one, of, np.ones(G + 1), False)
        for name, one in (named | oddities(course)).items()
    }
    rows = []
    for row in told.table:
        most = None if row.name == rule else study.FEW
        kept = consistent(laws[row.name], losses, DRAWS, SEED, most)
        others = [law for name, law in laws.items() if name != row.name]
        rows.append(replace(row, p_value=p_values(laws[row.name], others, losses, kept, G)[0]))
    # workflows that have been alike so far stay in their order
    order = list(named)
    rows.sort(
        key=lambda row: (row.name != rule, -round(row.log_likelihood, 9), order.index(row.name))
    )
    law, kept = laws[rule], consistent(laws[rule], losses, DRAWS, SEED)
    scale, low, high = scales(law, losses, kept, LEVEL, 0.0)
    loss, least, most_ = foreseen(law, losses, kept, G, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    nus = of.nu[[world.index for world in kept]]
    answer = replace(
        told,
        p_value=rows[0].p_value,
        table=tuple(rows),
        needed=(),
        scale=scale,
        scale_low=low,
        scale_high=high,
        loss=loss,
        loss_low=least,
        loss_high=most_,
        nu_low=float(nus.min()),
        nu_high=float(nus.max()),
    )
    answer = replace(answer, answers=prose.answers(answer), warnings=prose.warnings(answer))
    ends = np.quantile(kept[0].draws[..., :G], [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=(0, 1))
    return answer, answer.floor + scale * ends


def audit_answer(state: State) -> dict[str, Any]:
    """What the losses stand for: the audit, and its numbers."""
    answer, band = audited(state["losses"], state["rule"])
    row = answer.table[0]
    return {
        "audit": answer,
        "band": band,
        "p": answer.p_value,
        "scale": answer.scale,
        "scale-low": answer.scale_low,
        "scale-high": answer.scale_high,
        "pace": answer.pace,
        "worth": 1000 / row.ratio,
        "loss": answer.loss,
        "loss-low": answer.loss_low,
        "loss-high": answer.loss_high,
        "floor": answer.floor,
        "said": " ".join([*answer.answers, *(f"Caution: {one}" for one in answer.warnings)]),
    }


def audit_draw(figure: Figure, shown: State) -> None:
    """The same for print."""
    report.draw(shown["audit"], plot.panels(figure, 1)[0])


def _starts() -> tuple[tuple[str, str], ...]:
    def line(metric: str, *runs: Any) -> str:
        return f"{metric}*{'_'.join(' '.join(f'{value:.8g}' for value in run) for run in runs)}"

    logs = {
        f"an encoder (byol), called {called}": datasets.published_features("byol", called)
        for called in ("augment", "discard")
    }
    rng, C = np.random.default_rng(3), course_of(workflows.augment(8), np.arange(1, 9))[1]
    roots = np.linalg.cholesky(C) @ rng.standard_normal((4, 10, 8, 1))
    made = 0.5 + 0.02 * (roots[..., 0] ** 2).mean(1)
    return (
        *((name, line("loss", log["test_loss"])) for name, log in logs.items()),
        ("a language model, its perplexity", line("perplexity", PERPLEXITY)),
        ("four runs, simulated under augment", line("loss", *np.round(made, 4))),
    )


def _data() -> dict[str, Any]:
    recipes = {name: plan_of(name, 3, "rule").recipe for name in {*RULES, *COMPARED}}
    return {
        "workflows": {
            name: [made.workflow, {k: float(v) for k, v in made.parameters.items() if v}]
            for name, made in sorted(recipes.items())
            if made is not None
        },
        "against": list(COMPARED),
        "choices": list(RULES),
        "suspects": prose.SUSPECTS,
    }


Explorer(
    "audit",
    "an audit of losses that you type in",
    lambda: (
        Losses("losses", "Logged losses, a run a line", _starts()[0][1], starts=_starts()),
        Control("rule", "The workflow you believe you used", "augment", choices=RULES),
    ),
    audit_answer,
    "of the losses typed in: {said}",
    audit_draw,
    _data,
)
