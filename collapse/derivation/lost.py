"""What a vocabulary loses: exact where a class is a coin of its own, and a bound for every plan."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from collapse.checks import brief, require, several
from collapse.derivation.means import quadratic_variance, variance_of
from collapse.derivation.reservoir import reservoir_quadratic_variance
from collapse.exact import Array
from collapse.models.families.vector import Multinomial
from collapse.models.protocols import QUADRATIC, exact_form
from collapse.plan import Plan, checked_plan
from collapse.protocol import checked_workflow
from collapse.reservoir import Reservoir

LARGEST = 2000
"""Rows of a batch up to which the whole law of a class's count is followed."""
SHARES = 256
"""Shares whose counts are looked at together."""
NEGLIGIBLE = 1e-20
"""Chance beyond which larger counts in the real batch are left out."""

MEASURES = "variance", "rare", "support", "entropy"


def expected(
    plan: Plan | Reservoir, *, model: Any, n: int, measures: Any = ("variance", "support")
) -> dict[str, Array]:
    """What the fits of each generation have left: exact means over replications.

    Parameters
    ----------
    plan : Plan or Reservoir
        The workflow.
    model : Multinomial, or another model with quadratic variance
        A vocabulary: shares of classes, such as `Multinomial.zipf(10_000)`. For "variance" any
        model whose `exact_form` is "quadratic variance" or "matched moments".
    n : int
        Rows of real data.
    measures : str or sequence of str
        "variance": that of a row from the fit, as a share of a real one's; of classes 1 - p'p, the
        chance that two rows differ. "rare": the share of the rarest classes, as in
        `Multinomial.measure`; "support": classes that the fit can still draw; "entropy": that of
        the fit, in nats.

    Returns
    -------
    dict of str to ndarray, shape (G,)
        By the measure's name.

    Raises
    ------
    ValueError
        Where no exact form is known: "variance" and "rare" have one under every workflow; "support"
        where each fit reads all real batches that it stems from (augment: what fit 1 has is never
        lost), or one batch alone, whole, of `LARGEST` rows at most (discard); "entropy" in the
        latter case.

    Notes
    -----
    Each class is a coin: given the fit it is drawn from, its count in a batch is binomial. So the
    expected numbers of classes with 0, 1, 2, ... rows in a batch are those of the batch before
    times the binomial transition matrix of Wright and Fisher, one vector for all classes together.
    The variance follows from the risk: it is V + v2 (mu - mu*)^2 in the mean.

    Examples
    --------
    >>> from collapse import models, workflows
    >>> from collapse.derivation.lost import expected
    >>> words = models.Multinomial.zipf(1000)
    >>> left = expected(workflows.discard(100), model=words, n=500)
    >>> left["support"][[0, 9, 99]].round(1)
    array([210.8,  56. ,   9. ])
    >>> left["variance"][-1].round(4)
    np.float64(0.8186)
    """
    checked_workflow(plan, "plan")
    names = several(measures, "measures", "the name of a measure, such as 'support'")
    for name in names:
        require(
            name in MEASURES,
            f"measures must be of {', '.join(MEASURES)}; one is {brief(name)}.",
        )
    known: dict[str, Array] = {}
    if "variance" in names:
        derived: Any = reservoir_quadratic_variance if plan.persistent else quadratic_variance
        require(
            exact_form(model) in QUADRATIC,
            lambda _: (
                f"no exact variance is known for {brief(model)}; its exact_form must be one of"
                f" {', '.join(map(repr, QUADRATIC))}."
            ),
        )
        V, v2 = variance_of(model, False)
        known["variance"] = 1 + v2 * np.asarray(derived(plan, model, n, False).risk) / V
    if set(names) - {"variance"}:
        _vocabulary(model)
    if "rare" in names:
        share = model.measure("rare", model.truth[None], np.random.default_rng(0))
        known["rare"] = np.repeat(share, plan.generations)
    if "support" in names or "entropy" in names:
        known |= _counted(_whole(plan), model, n, "entropy" in names)
    return {name: known[name] for name in names}


def rows_for_words(plan: Plan, n: int) -> Array:
    """How many real rows, on average, hold no more words than the fits of a plan are left with.

    The mean number of classes left in generation g is at least that in a real sample whose size is
    a Poisson variate with mean N_g, whatever the classes are and for every n: a class of share p is
    lost with probability exp(-N_g p) at most. A sample of exactly N_g rows lacks a frequent class
    less often, with probability (1 - p)^N_g, and may be better than the fits.

    Parameters
    ----------
    plan : Plan
        Any that reads its batches whole.
    n : int
        Rows of real data.

    Returns
    -------
    ndarray, shape (G,)
        N_g. Under augment n; under discard 2 n / (g + 1) or up to 7 % less; under a window of k
        about n (k + 1)^2 / (2 g) after many generations.

    Raises
    ------
    ValueError
        Where the plan reads part of a batch, its rows persist, or a weight is negative.

    Notes
    -----
    Put Poisson counts in place of binomial ones. Then the lines of different rows are independent:
    a row of batch b has Poisson(m' w / m) successors in each batch of m' rows whose source gives b,
    of m rows, the weight w, and the chance that its line ends is found from the last batch to the
    first. A binomial count with share x has E e^k = (1 - (1 - e) x)^m <= exp(-(1 - e) m x), so each
    of these chances is one for the true counts, or larger.

    Examples
    --------
    >>> from collapse.derivation.lost import rows_for_words
    >>> from collapse import workflows
    >>> rows_for_words(workflows.discard(100), 1000)[[0, 1, 9, 99]].round(1)
    array([1000. ,  632.1,  172.3,   19.5])
    >>> rows_for_words(workflows.augment(100), 1000)[-1]
    np.float64(1000.0)
    """
    plan = _whole(plan)
    rows, weight, source = plan.rows(n), plan.weight, plan.source
    require(
        bool((weight >= 0).all()),
        "weights must not be negative here: a share of a class would be.",
    )
    successors = np.zeros((plan.batches, plan.batches))
    drawn = source > 0
    # by row the later batch, by column the one whose rows it repeats
    successors[drawn] = weight[source[drawn] - 1] * rows[drawn, None] / rows
    lives = (weight > 0).T.astype(np.float64)
    for b in np.argsort(-source, kind="stable"):
        later = successors[:, b] @ lives
        lives[b] = np.where(lives[b] > 0, 1.0, -np.expm1(-later))
    real = source == 0
    return np.asarray(rows[real] @ lives[real])


def least_words(plan: Plan, *, model: Multinomial, n: int) -> Array:
    """Classes left in each generation, in the mean: no fewer, at any n and for any plan that reads
    its batches whole.

    Parameters
    ----------
    plan : Plan
        The workflow.
    model : Multinomial
        The vocabulary.
    n : int
        Rows of real data.

    Returns
    -------
    ndarray, shape (G,)
        The sum over classes of 1 - exp(-N_g p), N_g by `rows_for_words`.

    Raises
    ------
    ValueError
        As `rows_for_words` does.

    Notes
    -----
    For rare classes and few generations it is near the mean itself. Under discard and Zipf's law of
    10,000 words it is short by 0.1 % at n = 2,000 after n / 100 generations, by 1 % after n / 15
    and by 4 % after n / 4 (tests compare it with the exact chain).

    Examples
    --------
    >>> from collapse import models, workflows
    >>> from collapse.derivation.lost import least_words
    >>> words = models.Multinomial.zipf(100_000)
    >>> least_words(workflows.discard(100), model=words, n=1_000_000)[[0, 9, 99]].round()
    array([80737., 34777.,  7364.])
    """
    p, count = _vocabulary(model)
    N = rows_for_words(plan, n)
    return np.array([-(count @ np.expm1(-p * rows)) for rows in N])


# --- behind them ----------------------------------------------------------------------------------


def _vocabulary(model: Any) -> tuple[Array, Array]:
    """Different shares of classes, and how many have each."""
    require(
        isinstance(model, Multinomial),
        f"model must be a collapse.models.Multinomial, whose classes can be counted; it is"
        f" {brief(model)}.",
    )
    p, count = np.unique(model.truth, return_counts=True)
    return p, count.astype(np.float64)


def _whole(plan: Any) -> Plan:
    checked = checked_plan(plan, "plan", " Words are followed from batch to batch.")
    require(
        checked.reads_whole_batches,
        f"{checked.name} reads part of a batch, and what it keeps of a vocabulary has no known"
        " form; use simulate(plan, model=..., n=..., replications=...).",
    )
    return checked


def _counted(plan: Plan, model: Multinomial, n: int, entropy: bool) -> dict[str, Array]:
    """Classes left, and their entropy where it is asked for, fit by fit."""
    p, count = _vocabulary(model)
    rows, G, entries = plan.rows(n), plan.generations, plan.weight > 0
    stems = np.zeros((G, plan.batches), bool)  # real batches that a fit stems from
    spectra: list[Array | None] = []
    support, left = np.zeros(G), np.zeros(G)
    needed = set(plan.source.tolist())
    for g in range(G):
        read = np.flatnonzero(entries[g])
        real = plan.source[read] == 0
        stems[g, read[real]] = True
        for b in read[~real]:
            stems[g] |= stems[plan.source[b] - 1]
        direct = bool(stems[g].sum() == real.sum())
        if direct:
            support[g] = -(count @ np.expm1(rows[read[real]].sum() * np.log1p(-p)))
        law = None
        if len(read) == 1 and rows[read[0]] <= LARGEST:
            b = int(read[0])
            before = spectra[plan.source[b] - 1] if plan.source[b] else None
            if real[0]:
                follows = entropy or g + 1 in needed
                law = _first(p, count, int(rows[b])) if follows else None
            elif before is not None:
                law = before @ _step(len(before) - 1, int(rows[b]))
        spectra.append(law)
        require(
            direct or law is not None,
            f"no exact number of words left is known for fit {g + 1} of {plan.name} at n = {n:,}:"
            f" it neither reads one batch of at most {LARGEST:,} rows alone nor all real rows that"
            " it stems from. Use collapse.derivation.lost.least_words(plan, model=..., n=...), a"
            " bound, or simulate.",
        )
        if law is not None:
            share = np.arange(1, len(law)) / (len(law) - 1)
            left[g] = -law[1:] @ (share * np.log(share))
            support[g] = support[g] if direct else law[1:].sum()
        require(
            law is not None or not entropy,
            f"no exact entropy is known for fit {g + 1} of {plan.name}: it must read one batch"
            f" alone, of at most {LARGEST:,} rows. Simulate it.",
        )
    _step.cache_clear()
    return {"support": support, "entropy": left}


def _first(p: Array, count: Array, rows: int) -> Array:
    """Expected number of classes with 0, 1, ..., rows rows in the real batch, shape (rows + 1,)."""
    from scipy.stats import binom

    law = np.zeros(rows + 1)
    for start in range(0, len(p), SHARES):  # in rising order, as the largest counts are
        few = slice(start, start + SHARES)
        most = min(rows, 1 + int(binom.isf(NEGLIGIBLE, rows, p[few][-1])))
        law[: most + 1] += count[few] @ _chances(p[few], rows, most)
    return law


@cache
def _step(rows: int, later: int) -> Array:
    """Transition matrix of a count, from a batch of so many rows to the next."""
    step = np.zeros((rows + 1, later + 1))
    step[0, 0] = step[-1, -1] = 1.0
    step[1:-1] = _chances(np.arange(1, rows) / rows, later, later)
    return step


def _chances(share: Array, rows: int, most: int) -> Array:
    """Binomial chances (shares, most + 1) of 0, ..., most of so many rows."""
    from scipy.special import gammaln

    x = np.arange(most + 1)
    ways = gammaln(rows + 1) - gammaln(x + 1) - gammaln(rows - x + 1)
    odds = np.log(share) - np.log1p(-share)
    log = np.multiply.outer(odds, x)
    log += ways
    log += rows * np.log1p(-share)[:, None]
    chances = np.exp(log, out=log)
    # of all of them the sum is known; what rounding made of it would add up over generations
    return np.asarray(chances / chances.sum(axis=1, keepdims=True))
