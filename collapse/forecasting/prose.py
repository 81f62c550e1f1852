"""The sentences of a forecast: its answers, and what in them cannot be trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from collapse.checks import (
    counted,
    plural,
)
from collapse.forecasting import lost
from collapse.forecasting.common import (
    SMALL,
    in_percent,
    in_short,
    listed,
)
from collapse.forecasting.fitting import MARGIN, Fit

if TYPE_CHECKING:
    from collapse.forecasting.answer import Forecast, Workflow

FEW = 20
"""Rows for each coefficient, or of a level, below which first-order formulas are called
doubtful."""
UNSURE = 0.8
"""Standard deviation of what later generations add to a row's margin, above which they are called
doubtful.

Bands of nine tenths then held 80 % of logistic and Poisson runs or fewer.
"""


def warnings(answer: Forecast, found: Fit, part: bool, unknown: dict[str, str]) -> list[str]:
    """What cannot be trusted, and why.

    Parameters
    ----------
    answer : Forecast
        Without its sentences.
    found : Fit
        The first fit.
    part : bool
        Whether a part of the rows was to be simulated.
    unknown : dict
        Workflows that were not simulated, and why.
    """
    remedy = " A larger budget simulates them." if part or found.law is None else ""
    doubts = (
        _of_the_rows(answer, found)
        + _of_the_derived(answer, found, remedy)
        + _of_the_loss(answer, found)
        + _of_the_simulation(answer, found, unknown, remedy)
    )
    return [*found.table.cautions, *(sentence for holds, sentence in doubts if holds)]


Doubts = list[tuple[bool, str]]
"""Sentences, and whether each is true."""


def _of_the_rows(answer: Forecast, found: Fit) -> Doubts:
    data, model = answer.data, answer.model
    coefficients, m = model.coefficients or 1, counted(data.test_rows, "row")
    per = data.real_rows / coefficients
    rare = [
        f"{one['level']!r} of {one['column']!r} ({counted(one['rows'], 'row')})"
        for one in data.rare
    ]
    leave = (
        " Where such columns are known only after the target is, leave them out; otherwise these"
        " are the answers."
    )
    return [
        (
            data.rows < 50,
            (
                f"{counted(data.rows, 'row')} {plural(data.rows, 'is', 'are')} very few: the"
                f" fit, the test loss on {m} and with them every"
                " number here may be far off; take the direction of the answers, not their size."
            ),
        ),
        (
            found.kind == "ridge",
            (
                f"The model is {model.name}, not maximum likelihood: {model.fallback}. The derived"
                " ratios hold for maximum likelihood only, so none is given; shrinkage adds a bias"
                f" that later generations inherit.{leave if model.separating else ''}"
            ),
        ),
        (
            found.law is not None and per < FEW and not found.constant_law,
            (
                f"There are {per:.1f} rows for each of the {coefficients:,} coefficients; the"
                f" derived curves are for many (about {FEW} or more). Where simulated and derived"
                " values differ, believe the simulated ones."
            ),
        ),
        (
            bool(rare),
            (
                f"Few real rows have the {plural(len(rare), 'level')} {listed(rare, 5)}: what the"
                " model knows of such rows rests on these alone, and what is said of them cannot be"
                " trusted."
            ),
        ),
    ]


def _of_the_derived(answer: Forecast, found: Fit, remedy: str) -> Doubts:
    """Which derived curves and bands few rows carry, and whether a simulation stands beside."""
    # for least squares, and where every fit is the first one, the law is exact
    if found.law is None or found.constant_law or answer.task.name == "continuous":
        return []
    unsure, rows = found.law.unsure, answer.workflows
    moved = {row.name: unsure * np.sqrt(max(1000 / row.last("worth") - 1, 0)) for row in rows}
    doubtful = [row for row in rows if moved[row.name] > UNSURE]
    doubts = []
    for kind, end in (("derived", remedy), ("simulated", " Believe the simulated ones.")):
        names = [row.name for row in doubtful if row.kind == kind]
        most = max((moved[name] for name in names), default=0.0)
        sentence = (
            f"The derived curve and band under {', '.join(names)} cannot be trusted: the"
            f" {MARGIN[answer.task.name]} of some real rows has a standard error of {unsure:.2g} in"
            " the first fit, since few rows are like them, and later generations move it by"
            f" {most:.2g}. Formulas for many rows need less than about {UNSURE:g}.{end}"
        )
        doubts.append((bool(names), sentence))
    return doubts


def _of_the_loss(answer: Forecast, found: Fit) -> Doubts:
    if answer.whole:  # neither a constant nor a share of the loss says anything of it
        return []
    data, first, worse = answer.data, answer.first, answer.settings.worse
    gain, noise, spread = first.gain or 0.0, first.gain_stderr, found.dispersion or 1.0
    what = "the classes' shares among" if data.classes else "the mean of"
    error = (
        "is unknown"
        if first.stderr is None
        else f"has a standard error of {in_short(first.stderr)}"
    )
    rows = [int((found.table.y == k).sum()) for k in range(len(data.classes))]
    small = [repr(name) for name, count in zip(data.classes, rows, strict=True) if count < 5]
    return [
        (
            noise is None or gain <= 2 * noise,
            (
                f"The model does not beat the constant, {what} the real rows, beyond noise: on the"
                f" {counted(data.test_rows, 'test row')} its loss is {in_short(first.loss)}, the"
                f" constant's {in_short(first.constant or 0.0)}; the gain is {in_short(gain)}"
                f"{'' if noise is None else f' ± {in_short(noise)}'} (one standard error). What"
                " retraining adds to such a loss says little; look for columns that tell more."
            ),
        ),
        (
            first.stderr is None or first.stderr > 0.5 * worse * abs(first.loss),
            (
                f"The first test loss, {in_short(first.loss)} on {counted(data.test_rows, 'row')},"
                f" {error}: {in_percent(worse)} worse cannot be told from another choice of test"
                " rows."
            ),
        ),
        (
            not 0.67 <= spread <= 1.5,
            (
                f"The counts vary {spread:.1f} times as much as a Poisson law allows: labels"
                f" drawn by the model are {'less' if spread > 1 else 'more'} noisy than"
                " yours. The rise of the loss holds for the model's labels."
            ),
        ),
        (
            bool(small),
            (
                f"Fewer than 5 real rows have the class {', '.join(small[:5])}; what is said of"
                " rare classes cannot be trusted."
            ),
        ),
    ]


def _of_the_simulation(
    answer: Forecast, found: Fit, unknown: dict[str, str], remedy: str
) -> Doubts:
    n, simulation, first = answer.data.real_rows, answer.simulation, answer.first.loss
    asked, simulated = answer.workflows[0], answer.simulation.replications > 0
    names = {why: [name for name in unknown if unknown[name] == why] for why in unknown.values()}
    said = "; ".join(f"{', '.join(names[why])}: {why}" for why in names)
    gone = [(row.name, row.last("failed")) for row in answer.workflows if row.last("failed") > 0]
    shares = ", ".join(f"{in_percent(share)} under {name}" for name, share in gone)
    rise, theory = asked.last("simulated") - first, asked.last("derived") - first
    off = abs(rise - theory) > 0.25 * abs(theory) + 4 * asked.last("stderr")
    known = "nothing" if found.law is None else "only what is derived"
    alone = found.constant_law or answer.settings.outsider is not None
    return [
        (not simulated and not alone, f"Nothing was simulated: {simulation.why}.{remedy}"),
        (
            simulation.subsample,
            (
                f"Simulated on a random part of {simulation.rows:,} of the {n:,} real rows,"
                f" rescaled to all rows: {simulation.why}. The first loss and the derived values"
                " are of all rows, and are the answers."
            ),
        ),
        (
            simulated and bool(unknown),
            f"Not simulated, so that {known} is known of it: {said}.",
        ),
        (
            bool(gone),
            (
                f"Some runs have no estimate any more at generation {answer.settings.generations}:"
                f" {shares}. Such a run's loss counts as infinite; the mean does not exist, and"
                " quantiles may not."
            ),
        ),
        (
            not gone and off and theory != 0,
            (
                f"The simulated rise of the loss is {rise / (theory or np.nan):.2g} times the"
                f" derived one: {n:,} rows are not many for this table. Beyond the simulated"
                " generations the derived curve is a guess."
            ),
        ),
    ]


def answers(answer: Forecast) -> list[str]:
    """The answers in plain language."""
    if answer.whole:
        return lost.answers(answer, _better(answer))
    asked, G, first = answer.workflows[0], answer.settings.generations, answer.first.loss
    loss, low, high = (asked.last(asked.kind + end) for end in ("", "_low", "_high"))
    start = f"starts at {in_short(first)}"
    named = f"The loss on the test set, {answer.model.loss}, {start}"
    after = f"fter {counted(G, 'generation')} of {asked.name}"
    out = _assumed(answer)
    if answer.ratio.derived is not None and answer.settings.labels == "drawn":
        out.append(_excess(answer))
    if np.isfinite(loss):
        exact = answer.settings.labels != "drawn"
        how = "derived, exactly" if exact else "derived for many rows"
        how = "simulated" if asked.kind == "simulated" else how
        if np.isfinite([low, high]).all() and low < high:
            how += f"; 90 % of single runs end between {in_short(low)} and {in_short(high)}"
        out.append(f"{named} and is {in_short(loss)} a{after} ({_change(loss, first)}, {how}).")
    elif asked.failed is not None:
        out.append(
            f"The loss on the test set {start}. A{after} its mean does not exist:"
            f" {in_percent(asked.last('failed'))} of the runs have no estimate."
        )
    else:
        return [
            *out,
            (
                f"{named}. What it is a{after} is not known: nothing can be derived for"
                " this model, and nothing was simulated."
            ),
        ]
    real = (
        "Training on the real rows alone keeps the first loss for ever; a workflow matters where"
        " synthetic rows cannot be told apart or are wanted."
    )
    return [*out, _when_worse(answer), *_better(answer), real]


MEAN = "the mean of a fit in place of a draw"
LABELLED = {
    "hard": ("the most probable class in place of a draw (self-training)", MEAN),
    "soft": ("the probabilities of all classes in place of a draw (distillation)", MEAN),
}
"""What labels that are not drawn are, for classes and for numbers."""


def _assumed(answer: Forecast) -> list[str]:
    """What is assumed of synthetic rows, and of what nothing is derived."""
    settings, asked, labels = answer.settings, answer.workflows[0], answer.settings.labels
    out = []
    if labels != "drawn":
        pool, threshold = settings.pool, settings.threshold
        of = "" if pool is None else f" Their {answer.data.real_rows:,} rows are drawn from "
        of += "" if pool is None else f"{counted(pool, 'unlabelled row')}, each as often as any."
        left = (
            ""
            if threshold is None
            else (
                " Rows whose most probable class has less than"
                f" {in_percent(threshold)} are left out."
            )
        )
        same = (
            " A fit by maximum likelihood that is taught by its own means is the first fit again,"
            " exactly, whatever whole batches it reads."
        )
        law = same if asked.derived is not None else " No law is derived for that: it is simulated."
        what = LABELLED[labels][not answer.data.classes]
        out.append(f"Synthetic rows carry {what}.{of}{left}{law}")
    elif asked.reference is not None:
        out.append(
            "No law is derived for an estimator of scikit-learn: what is said of it is simulated."
            f" For reference: a regular model's excess risk, for many rows, would be"
            f" {asked.last('reference'):.2f} times the first fit's after"
            f" {counted(settings.generations, 'generation')} of {asked.name}; nothing says that"
            " this estimator keeps to it."
        )
    if settings.outsider is not None:
        share, excess = settings.outsider
        out.append(
            f"From generation 2 on {in_percent(share)} of the weight is on rows that an outsider"
            f" labels afresh, whose own loss is taken to be {in_short(excess)} above the least"
            " there is, and whose law to be one of the model's family. Derived for many rows, on"
            " average over real and test rows, and not simulated."
        )
    elif asked.derived is not None and asked.derived_low is None:
        out.append(
            f"{asked.name} reads real rows that the table has not. Derived for many rows, on"
            " average over real and test rows; of its loss nothing is simulated."
        )
    return out


def _excess(answer: Forecast) -> str:
    """What the ratio becomes, and what rows are then worth."""
    ratio, asked, rows = answer.ratio, answer.workflows[0], answer.simulation.rows
    derived, low, high = (
        np.nan if curve is None else curve[-1] for curve in (ratio.derived, ratio.low, ratio.high)
    )
    band = f" (90 % of single runs between {low:.2f} and {high:.2f})" if np.isfinite(low) else ""
    said = (
        f"After {counted(answer.settings.generations, 'generation')} of {asked.name} the excess"
        f" risk is {derived:.2f} times that of the first fit, for many rows{band}: 1,000 of your"
        f" rows are then worth {asked.last('worth'):,.0f}."
    )
    if ratio.simulated is None or ratio.stderr is None:
        return said
    mean, error = ratio.simulated[-1], ratio.stderr[-1]
    outcome = (
        f": {mean:.2f} ± {error:.2f}."
        if np.isfinite(mean)
        else " its mean does not exist: some runs have no estimate."
    )
    return f"{said} Simulated with {rows:,} rows{outcome}"


def _better(answer: Forecast) -> list[str]:
    """Which of the workflows compared do better than the one asked for."""
    asked, *others = answer.workflows
    G, first = answer.settings.generations, answer.first.loss

    def loss(row: Workflow) -> float:
        return float(np.nan_to_num(row.last(row.kind), nan=np.inf, posinf=np.inf))

    def change(last: float, first: float) -> str:
        return f"{last - first:+.2g}" if answer.whole else _change(last, first)

    better = [row for row in others if loss(row) < loss(asked)]
    if not better:
        some = any(np.isinf(loss(row)) for row in others)
        none = (
            f"None of the workflows compared {'whose loss is known ' if some else ''}does better"
            f" than {asked.name}, which carries {asked.rows_stored:,} rows over to the last fit and"
            f" reads {asked.rows_read:,}."
        )
        return [none] if others else []
    cheapest = min(better, key=lambda row: (row.rows_stored, row.rows_read, loss(row)))
    best = min(better, key=loss)
    picks = {"The cheapest": cheapest, "The best": best}
    picks = {"The cheapest and the best": best} if best is cheapest else picks
    out = []
    for which, row in picks.items():
        share = row.rows_stored / answer.data.real_rows
        times = "as many as" if round(share, 2) == 1 else f"{share:.3g} times"
        out.append(
            f"{which} of the workflows compared that does better is {row.name}: its loss after"
            f" {G} generations is {in_short(loss(row))} ({change(loss(row), first)}). It carries"
            f" {row.rows_stored:,} rows over to the last fit ({times} your real ones), which reads"
            f" {row.rows_read:,}; {asked.name} carries {asked.rows_stored:,} over and reads"
            f" {asked.rows_read:,}."
        )
    return out


def _when_worse(answer: Forecast) -> str:
    """When the loss is worse by the share asked for, or why it never is."""
    asked, share = answer.workflows[0], in_percent(answer.settings.worse)
    worse, why, exact = asked.worse, asked.worse_why, asked.kind == "simulated"
    beyond = worse["derived"] and (not exact or worse["derived"] > answer.settings.generations)
    if exact and worse["simulated"] is not None:
        kind, how = "simulated", "simulated"
    elif beyond:
        kind = "derived"
        how = f"derived for many rows{', beyond what was simulated' if exact else ''}"
    else:
        known = {"simulated": exact, "derived": asked.derived is not None}
        reasons = [why[kind] for kind, there in known.items() if there]
        text = "; ".join(filter(None, reasons))
        text = text[3:] if text.startswith("not ") else f": {text}"
        return f"It does not become {share} worse on average{text}."
    early, late = worse[f"{kind}_earliest"], worse[f"{kind}_latest"]
    return (
        f"It is {share} worse on average at generation {worse[kind]:,} ({how}; single runs, 90 %: "
        f"from generation {early or 'none'} to {late or 'none seen'})."
    )


def _change(loss: float, first: float) -> str:
    """Change of a loss, in parts of the first where that has a sense."""
    return f"{100 * (loss / first - 1):+.2g} %" if first > SMALL else f"{loss - first:+.2g}"
