"""Named workflows: functions that return a Plan."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from functools import wraps
from numbers import Rational
from typing import Any, ParamSpec

import numpy as np
from numpy.typing import NDArray

from collapse import checks
from collapse.checks import brief, check_number, flag, named_call, numbers, to_text, whole
from collapse.exact import Numbers, Scalar
from collapse.plan import Plan
from collapse.protocol import Recipe
from collapse.recursion import FARTHEST, Entries, Recursion
from collapse.reservoir import Reservoir

P = ParamSpec("P")
Sizes = Scalar | Sequence[Scalar]

MOST_MODELS = 10**5
"""Models trained on each other's output, at most."""
LARGEST_TABLE = 10**7
"""Weights that differ from zero, at most, where a workflow is written out batch by batch."""

LARGEST_GENERATIONS = 10**6
"""Fits in the longest chain."""

LARGEST_DIGITS = 10**9
"""Bits, at most, of numerators that grow from fit to fit."""


def _recipe(workflow: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[str, Recipe]:
    """Name of a plan, "window(k=3)", and the recipe by which it was made."""
    signature = inspect.signature(workflow)
    bound = signature.bind(*args, **kwargs)
    bound.apply_defaults()
    given = {key: value for key, value in bound.arguments.items() if key != "generations"}
    given = {key: _plain(value) for key, value in given.items()}
    told = {
        key: value for key, value in given.items() if value != signature.parameters[key].default
    }
    listed = ", ".join(
        f"{key}={'schedule' if isinstance(value, tuple) else to_text(value)}"
        for key, value in told.items()
    )
    return workflow.__name__ + (f"({listed})" if listed else ""), Recipe(workflow.__name__, given)


def _plain(value: Any) -> Any:
    """A parameter that the workflow has checked, in Python's own types."""
    if value is None or isinstance(value, (bool, np.bool_)):
        return value if value is None else bool(value)
    if np.ndim(value):
        return tuple(map(_plain, numbers(value, "size", "one size for each batch").tolist()))
    return check_number(value, "a parameter")


def _named(workflow: Callable[P, Plan]) -> Callable[P, Plan]:
    @wraps(workflow)
    def make(*args: P.args, **kwargs: P.kwargs) -> Plan:
        plan = workflow(*args, **kwargs)
        name, recipe = _recipe(workflow, *args, **kwargs)
        plan.__dict__.update(name=name, recipe=recipe)
        return plan

    return make


@_named
def discard(generations: int, size: Sizes = 1) -> Plan:
    """Train each generation on the latest batch alone.

    Parameters
    ----------
    generations : int
        Number of fits G.
    size : float, Fraction or sequence of them, optional
        Rows of each synthetic batch as a multiple of n, or a schedule of G - 1 sizes.

    Returns
    -------
    Plan
        weight[g, g] = 1. For many rows the risk ratio is 1 + 1/size_2 + ... + 1/size_g: g,
        collapse, where all sizes are one; bounded where batches grow so fast that the sum
        converges.

    Raises
    ------
    ValueError
        Where generations or a size is not positive, or too large, or a schedule has not G - 1
        entries.

    References
    ----------
    Dey and Donoho (2024), arXiv 2410.22812, the discard workflow.

    Examples
    --------
    >>> import collapse
    >>> collapse.derive(collapse.workflows.discard(4)).ratio.tolist()
    [1.0, 2.0, 3.0, 4.0]
    >>> collapse.derive(collapse.workflows.discard(4, size=[2, 4, 8])).ratio.tolist()
    [1.0, 1.5, 1.75, 1.875]
    """
    sizes = _sizes(size, generations)
    ones = np.ones(len(sizes), np.int64)
    return Plan(
        np.arange(len(sizes)), sizes, Recursion(Numbers.ratio(0 * ones, 1), Numbers.ratio(ones, 1))
    )


@_named
def augment(generations: int, size: Sizes = 1) -> Plan:
    """Train each generation on the real data and every synthetic batch so far.

    Parameters
    ----------
    generations : int
        Number of fits G.
    size : float, Fraction or sequence of them, optional
        Rows of each synthetic batch as a multiple of n, or a schedule of G - 1 sizes. Every row has
        the same weight.

    Returns
    -------
    Plan
        weight[g, b] = size_b / (size_1 + ... + size_g) for b <= g. With sizes of one the risk ratio
        is, for many rows, 1 + 1/4 + ... + 1/g^2, below pi^2/6.

    Raises
    ------
    ValueError
        Where generations or a size is not positive, or too large, or a schedule has not G - 1
        entries.

    References
    ----------
    Dey and Donoho (2024), arXiv 2410.22812, the augment workflow.

    Examples
    --------
    >>> import collapse
    >>> collapse.derive(collapse.workflows.augment(3), exact=True).ratio.tolist()
    [Fraction(1, 1), Fraction(5, 4), Fraction(49, 36)]
    """
    sizes = _sizes(size, generations)
    total = np.cumsum(sizes)
    return Plan(
        np.arange(len(sizes)),
        sizes,
        Recursion(_divide(total - sizes, total), _divide(sizes, total)),
    )


@_named
def subsample(generations: int, replace: bool = False) -> Plan:
    """Train each generation on n rows drawn from augment's pool of g n rows.

    Parameters
    ----------
    generations : int
        Number of fits G.
    replace : bool, optional
        Draw with replacement. Then fit 1 is a bootstrap of the real data, with twice the risk of a
        fit to all of them, and ratios are to that.

    Returns
    -------
    Plan
        weight[g, b] = kept[g, b] = 1/g for b <= g: the share 1/g of every batch. For many rows the
        risk ratio is 3 (1 + 1/4 + ... + 1/g^2) - 2, below pi^2/2 - 2; with replacement that of
        augment.

    Raises
    ------
    ValueError
        Where generations is not a positive whole number.

    References
    ----------
    Dey and Donoho (2024), arXiv 2410.22812, the augment-subsample workflow (there n rows from the
    union of batches, so that the number from each batch is random: the same limit).

    Examples
    --------
    >>> import collapse
    >>> collapse.derive(collapse.workflows.subsample(3), exact=True).ratio.tolist()
    [Fraction(1, 1), Fraction(7, 4), Fraction(25, 12)]
    """
    g = np.arange(1, _generations(generations) + 1)
    share = Numbers.ratio(1, g)
    rows = Recursion(Numbers.ratio(g - 1, g), share, kept=share)
    return Plan(g - 1, np.ones_like(g), rows, replace=flag(replace, "replace"))


@_named
def bootstrap(generations: int, share: Scalar = 1) -> Plan:
    """Train each generation on a bootstrap of the latest batch.

    Parameters
    ----------
    generations : int
        Number of fits G.
    share : float or Fraction, optional
        Rows drawn with replacement as a share of n, in (0, 1].

    Returns
    -------
    Plan
        weight[g, g] = 1, read with replacement. Fit 1 bootstraps the real data: its risk is (1 +
        1/share) times that of a fit to all of them, and for many rows the risk ratio, to that, is
        g.

    Raises
    ------
    ValueError
        Where share is outside (0, 1].

    References
    ----------
    The table of Dey and Donoho's framework (arXiv 2410.22812) with draws as in Efron's bootstrap.

    Examples
    --------
    >>> import collapse
    >>> collapse.derive(collapse.workflows.bootstrap(3)).risk.tolist()
    [2.0, 4.0, 6.0]
    """
    G = _generations(generations)
    share = _check_share(share, "share", low=False)
    ones = np.ones(G, np.int64)
    rows = Recursion(
        Numbers.ratio(0 * ones, 1),
        Numbers.ratio(ones, 1),
        kept=Numbers.read([share] * G, "turnover", 1),
    )
    return Plan(np.arange(G), ones, rows, replace=True)


@_named
def window(generations: int, k: int) -> Plan:
    """Train each generation on the last k batches, the real one among them while it is that young.

    Parameters
    ----------
    generations : int
        Number of fits G.
    k : int
        Batches in the window.

    Returns
    -------
    Plan
        weight[g, b] = 1/min(g, k) for the last min(g, k) batches. One batch is discard, G batches
        are augment; for many rows the risk ratio grows like 4 g / (k + 1)^2.

    Raises
    ------
    ValueError
        Where k is not a positive whole number.

    References
    ----------
    Dey and Donoho (2024), arXiv 2410.22812: any workflow is judged by the sequential Gaussian
    process.

    Examples
    --------
    >>> import collapse
    >>> collapse.derive(collapse.workflows.window(4, k=2), exact=True).ratio.tolist()
    [Fraction(1, 1), Fraction(5, 4), Fraction(29, 16), Fraction(141, 64)]
    """
    G, k = _generations(generations), whole(k, "k", "batches in the window")
    _check_room(G * min(k, G))
    return _table(
        [1] * G,
        range(G),
        [{b: Fraction(1, min(g, k)) for b in range(max(g - k, 0), g)} for g in range(1, G + 1)],
    )


@_named
def fixed_real_share(generations: int, share: Scalar) -> Plan:
    """Train each generation on the real data and the latest synthetic batch, with fixed weights.

    Parameters
    ----------
    generations : int
        Number of fits G.
    share : float or Fraction
        Weight a of the real data, in [0, 1].

    Returns
    -------
    Plan
        Weight a on batch 1 and 1 - a on the latest. For many rows the risk ratio rises to
        1 / (a (2 - a)) where a > 0; a = 0 is discard.

    Raises
    ------
    ValueError
        Where share is outside [0, 1].

    References
    ----------
    The mixed-data setting of Bertrand et al. (2024), arXiv 2310.00429, in the framework of Dey and
    Donoho (2024), arXiv 2410.22812.

    Examples
    --------
    >>> from fractions import Fraction
    >>> import collapse
    >>> plan = collapse.workflows.fixed_real_share(3, Fraction(1, 2))
    >>> collapse.derive(plan, exact=True).ratio.tolist()
    [Fraction(1, 1), Fraction(5, 4), Fraction(21, 16)]
    """
    G = _generations(generations)
    share = _check_share(share, "share")
    return _table([1] * G, range(G), [{0: 1}, *({0: share, g: 1 - share} for g in range(1, G))])


@_named
def real_and_window(generations: int, k: int) -> Plan:
    """Train each generation on the real data and the last k synthetic batches, every row with the
    same weight.

    Parameters
    ----------
    generations : int
        Number of fits G.
    k : int
        Synthetic batches in the window.

    Returns
    -------
    Plan
        Weight 1 / (1 + min(g - 1, k)) on batch 1 and on each of the last min(g - 1, k) synthetic
        ones. For many rows the risk ratio tends to 2 (k + 1) / (k + 2).

    Raises
    ------
    ValueError
        Where k is not a positive whole number.

    References
    ----------
    Dey and Donoho (2024), arXiv 2410.22812: any workflow is judged by the sequential Gaussian
    process.

    Examples
    --------
    >>> import collapse
    >>> collapse.derive(collapse.workflows.real_and_window(4, k=2), exact=True).ratio.tolist()
    [Fraction(1, 1), Fraction(5, 4), Fraction(49, 36), Fraction(115, 81)]
    """
    G, k = _generations(generations), whole(k, "k", "synthetic batches in the window")
    _check_room(G * (1 + min(k, G)))
    rows = [
        {b: Fraction(1, 1 + min(g, k)) for b in (0, *range(max(g - k, 0) + 1, g + 1))}
        for g in range(G)
    ]
    return _table([1] * G, range(G), rows)


@_named
def real_and_average(generations: int, share: Scalar) -> Plan:
    """Train each generation on the real data, with fixed weight, and on all synthetic batches so
    far.

    Parameters
    ----------
    generations : int
        Number of fits G.
    share : float or Fraction
        Weight a of the real data, in [0, 1].

    Returns
    -------
    Plan
        Weight a on batch 1 and (1 - a) / (g - 1) on each synthetic batch. For many rows the risk
        ratio returns to 1 where a > 0.

    Raises
    ------
    ValueError
        Where share is outside [0, 1].

    References
    ----------
    Gerstgrasser et al. (2024), arXiv 2404.01413, accumulate data, with a fixed share, in the
    framework of Dey and Donoho (2024).

    Examples
    --------
    >>> from fractions import Fraction
    >>> import collapse
    >>> plan = collapse.workflows.real_and_average(3, Fraction(1, 2))
    >>> collapse.derive(plan, exact=True).ratio.tolist()
    [Fraction(1, 1), Fraction(5, 4), Fraction(77, 64)]
    """
    G = _generations(generations)
    share = _check_share(share, "share")
    rest = Numbers.read([0] + [Fraction(1, g) * (1 - share) for g in range(1, G)], "turnover", 1)
    decay = Numbers.ratio([0, *range(G - 1)], [1, *range(1, G)])
    rows: list[Mapping[int, Scalar]] = [{0: 1}, *({0: share} for _ in range(1, G))]
    return Plan(
        np.arange(G),
        np.ones(G, np.int64),
        Recursion(decay, rest, batch=np.arange(G), entries=_entries(rows)),
    )


@_named
def fresh_real(generations: int, share: Scalar | None = None, kappa: Scalar = 1) -> Plan:
    """Train each generation on n fresh real rows and the latest synthetic batch, with fixed
    weights.

    Parameters
    ----------
    generations : int
        Number of fits G.
    share : float or Fraction, optional
        Weight w of the fresh real rows, in [0, 1]. Default: the weight with the smallest limit,
        0.618 (the golden ratio's inverse) where kappa is 1.
    kappa : float or Fraction, optional
        Rows of each synthetic batch as a multiple of n.

    Returns
    -------
    Plan
        Two batches in each generation after the first. For many rows the risk ratio tends to
        (w^2 + (1 - w)^2 / kappa) / (w (2 - w)) where w > 0.

    Raises
    ------
    ValueError
        Where share is outside [0, 1] or kappa is not positive.

    References
    ----------
    He et al. (2025), arXiv 2502.18049, golden-ratio weighting.

    Examples
    --------
    >>> import collapse
    >>> collapse.derive(collapse.workflows.fresh_real(100)).ratio[-1].round(6)
    np.float64(0.618034)
    """
    G = _generations(generations)
    kappa = _size(kappa, "kappa")
    if share is None:
        share = golden_share(kappa)
    share = _check_share(share, "share")
    rows: list[Mapping[int, Scalar]] = [
        {0: 1},
        *({2 * g - 1: share, 2 * g: 1 - share} for g in range(1, G)),
    ]
    sources = [0, *(s for g in range(1, G) for s in (0, g))]
    return _table([1, *([1, kappa] * (G - 1))], sources, rows)


def golden_share(kappa: Scalar = 1) -> float:
    """Weight of fresh real rows that makes the limit of `fresh_real` smallest.

    Parameters
    ----------
    kappa : float or Fraction, optional
        Rows of each synthetic batch as a multiple of the fresh real rows.

    Returns
    -------
    float
        1 - v, where v < 1 solves v^2 - (2 + 1/kappa) v + 1 = 0; 0.618... for kappa = 1.

    References
    ----------
    He et al. (2025), arXiv 2502.18049.

    Examples
    --------
    >>> round(golden_share(), 6)
    0.618034
    """
    half = 1 + 0.5 / float(_size(kappa, "kappa"))
    return float(1 - 1 / (half + np.sqrt(half * half - 1)))


@_named
def mixture(generations: int) -> Plan:
    """Train each generation on n rows drawn afresh from all earlier models, as many from each.

    Parameters
    ----------
    generations : int
        Number of fits G.

    Returns
    -------
    Plan
        Fit g has g - 1 batches of size 1/(g - 1) of its own. For many rows the risk ratio is 1 + (1
        + 1/4 + ... + 1/(g - 1)^2), below 1 + pi^2/6.

    Raises
    ------
    ValueError
        Where generations is not a positive whole number.

    References
    ----------
    Dey and Donoho (2024), arXiv 2410.22812: any workflow is judged by the sequential Gaussian
    process.

    Examples
    --------
    >>> import collapse
    >>> collapse.derive(collapse.workflows.mixture(4), exact=True).ratio.tolist()
    [Fraction(1, 1), Fraction(2, 1), Fraction(9, 4), Fraction(85, 36)]
    """
    G = _generations(generations)
    _check_room(G * (G - 1) // 2)
    sources, sizes, rows = [0], [Fraction(1)], [{0: Fraction(1)}]
    for g in range(1, G):
        rows.append({len(sources) + i: Fraction(1, g) for i in range(g)})
        sources += range(1, g + 1)
        sizes += [Fraction(1, g)] * g
    return _table(sizes, sources, rows)


@_named
def forgetting(generations: int, memory: Scalar) -> Plan:
    """Train each generation on all batches so far, with weights that fall off exponentially with
    age.

    Parameters
    ----------
    generations : int
        Number of fits G.
    memory : float or Fraction
        Factor r in [0, 1) by which a batch's weight falls from fit to fit.

    Returns
    -------
    Plan
        weight[g, b] proportional to r^(g - b). For many rows the risk ratio grows like (1 - r)^2 g;
        r = 0 is discard, r to 1 augment.

    Raises
    ------
    ValueError
        Where memory is outside [0, 1).

    References
    ----------
    Dey and Donoho (2024), arXiv 2410.22812: any workflow is judged by the sequential Gaussian
    process.

    Examples
    --------
    >>> from fractions import Fraction
    >>> import collapse
    >>> collapse.derive(collapse.workflows.forgetting(3, Fraction(1, 2)), exact=True).ratio.tolist()
    [Fraction(1, 1), Fraction(13, 9), Fraction(781, 441)]
    """
    G = _generations(generations)
    memory = _check_share(memory, "memory", high=False)
    _check_digits(memory, G)
    share: list[Scalar] = [Fraction(1)]
    for _ in range(1, G):
        # the newest batch's share of 1 + r + ... + r^(g-1), without powers: they would under- or
        # overflow
        share.append(1 / (1 + memory / share[-1]))
    rest = [0, *(1 - s for s in share[1:])]
    return Plan(
        np.arange(G),
        np.ones(G, np.int64),
        Recursion(Numbers.read(rest, "turnover", 1), Numbers.read(share, "turnover", 1)),
    )


@_named
def ring(generations: int, models: int, share: Scalar = 0) -> Plan:
    """Train several models in a ring: each on the latest output of the one before it.

    Parameters
    ----------
    generations : int
        Generations; each fits every model once.
    models : int
        Number M of models. In generation 1 each is fitted to n real rows of its own.
    share : float or Fraction, optional
        Weight in [0, 1] of a model's own real rows in later generations.

    Returns
    -------
    Plan
        M fits in each generation, in the order of the ring.

    Raises
    ------
    ValueError
        Where there are fewer than two models or share is outside [0, 1].

    References
    ----------
    Dey and Donoho's framework (arXiv 2410.22812) with several models.

    Examples
    --------
    >>> import collapse
    >>> collapse.derive(collapse.workflows.ring(3, models=2)).ratio.tolist()
    [1.0, 1.0, 2.0, 2.0, 3.0, 3.0]
    """
    return _ecosystem(generations, models, lambda i, M: range(M)[i - 1 :][:1], share, True)


@_named
def star(generations: int, models: int, share: Scalar = 0, published: bool = True) -> Plan:
    """Train several models around a hub: the hub on the latest output of all others, each of them
    on the hub's.

    Parameters
    ----------
    generations : int
        Generations; each fits every model once.
    models : int
        Number M of models, the hub first. In generation 1 each is fitted to n real rows of its own.
    share : float or Fraction, optional
        Weight in [0, 1] of a model's own real rows in later generations.
    published : bool, optional
        True: the hub publishes one batch that all others read. False: it draws a batch for each.

    Returns
    -------
    Plan
        M fits in each generation, the hub's first.

    Raises
    ------
    ValueError
        Where there are fewer than two models or share is outside [0, 1].

    References
    ----------
    Dey and Donoho's framework (arXiv 2410.22812) with several models.

    Examples
    --------
    >>> import collapse
    >>> collapse.derive(collapse.workflows.star(2, models=3)).ratio.tolist()
    [1.0, 1.0, 1.0, 1.0, 2.0, 2.0]
    """
    return _ecosystem(
        generations, models, lambda i, M: range(1) if i else range(1, M), share, published
    )


@_named
def all_to_all(generations: int, models: int, share: Scalar = 0, published: bool = True) -> Plan:
    """Train several models on the latest output of all of them.

    Parameters
    ----------
    generations : int
        Generations; each fits every model once.
    models : int
        Number M of models. In generation 1 each is fitted to n real rows of its own.
    share : float or Fraction, optional
        Weight in [0, 1] of a model's own real rows in later generations.
    published : bool, optional
        True: each model publishes one batch of n rows that all read. False: it draws a batch for
        each reader.

    Returns
    -------
    Plan
        M fits in each generation.

    Raises
    ------
    ValueError
        Where there are fewer than two models or share is outside [0, 1].

    References
    ----------
    Dey and Donoho's framework (arXiv 2410.22812) with several models.

    Examples
    --------
    >>> import collapse
    >>> collapse.derive(collapse.workflows.all_to_all(3, models=2)).ratio[::2].tolist()
    [1.0, 1.0, 1.5]
    >>> plan = collapse.workflows.all_to_all(3, models=2, published=False)
    >>> collapse.derive(plan).ratio[::2].tolist()
    [1.0, 1.0, 1.25]
    """
    return _ecosystem(generations, models, lambda i, M: range(M), share, published)


def reservoir(generations: int, turnover: Scalar | None = None) -> Reservoir:
    """Train each generation on a memory of n rows kept at random from the stream of all rows so
    far.

    Parameters
    ----------
    generations : int
        Number of fits G.
    turnover : float or Fraction, optional
        Share of the memory that each batch replaces, in (0, 1]. Default: 1/g before fit g, so that
        the memory is a uniform sample of the stream.

    Returns
    -------
    Reservoir
        No plan: its rows persist from fit to fit. For many rows the risk ratio is the sum of (2 k -
        1) / k^2, which grows like 2 log g; with a fixed turnover t it is 1 + (g - 1) t (2 - t).

    Raises
    ------
    ValueError
        Where turnover is outside (0, 1].

    References
    ----------
    Vitter (1985), "Random sampling with a reservoir", for the memory.

    Examples
    --------
    >>> import collapse
    >>> collapse.derive(collapse.workflows.reservoir(3), exact=True).ratio.tolist()
    [Fraction(1, 1), Fraction(7, 4), Fraction(83, 36)]
    """
    G = _generations(generations)
    if turnover is not None:
        turnover = _check_share(turnover, "turnover", low=False)
    name, recipe = _recipe(reservoir, generations, turnover)
    if turnover is None:
        return Reservoir(Numbers.ratio(1, np.arange(1, G + 1)), name, recipe)
    return Reservoir(Numbers.read([1, *[turnover] * (G - 1)], "turnover", 1), name, recipe)


NAMED: dict[str, Callable[..., Plan | Reservoir]] = {
    function.__name__: function
    for function in (
        discard,
        augment,
        subsample,
        bootstrap,
        window,
        fixed_real_share,
        real_and_window,
        real_and_average,
        fresh_real,
        mixture,
        forgetting,
        ring,
        star,
        all_to_all,
        reservoir,
    )
}
"""Every named workflow."""


def named(text: str, generations: int) -> Plan | Reservoir:
    """Make a workflow from its name and parameters, written as a plan's name is: "window(k=3)".

    Parameters
    ----------
    text : str
        One of `NAMED`, with parameters in parentheses: numbers, fractions such as 1/3, lists.
    generations : int
        Number of generations.

    Returns
    -------
    Plan or Reservoir

    Raises
    ------
    ValueError
        Where the text is no such name, or a parameter is unknown, missing or out of range.

    References
    ----------
    The workflow's own.

    Examples
    --------
    >>> named("fixed_real_share(share=1/4)", 3)
    <Plan fixed_real_share(share=1/4): 3 fits, 3 batches>
    """
    such = "window(k=3) or fixed_real_share(share=1/4)"
    name, given = named_call(checks.text(text, "text"), "workflow", such)
    if name not in NAMED:
        raise ValueError(f"there is no workflow called {name!r}; there are {', '.join(NAMED)}.")
    options = dict(inspect.signature(NAMED[name]).parameters)
    del options["generations"]
    known = list(options)
    if unknown := [key for key in given if key not in known]:
        raise ValueError(
            f"{name} has no parameter {unknown[0]!r}; it has {', '.join(known) or 'none'}."
        )
    required = [key for key, option in options.items() if option.default is option.empty]
    if missing := [key for key in required if key not in given]:
        raise ValueError(f"{name} needs {' and '.join(missing)}, such as {name}({missing[0]}=...).")
    return NAMED[name](generations, **given)


def _generations(generations: int) -> int:
    return whole(generations, "generations", "number of fits", most=LARGEST_GENERATIONS)


def _check_room(entries: int) -> None:
    if entries > LARGEST_TABLE:
        raise ValueError(
            f"this workflow needs {entries:,} weights, which no table holds; at most"
            f" {LARGEST_TABLE:,} are written out. Take fewer generations, or let each fit read"
            " fewer batches."
        )


def _check_digits(value: Scalar, generations: int) -> None:
    """Refuse a Fraction whose denominators grow from fit to fit beyond what memory holds."""
    if not isinstance(value, float):
        bits = (value.denominator.bit_length() - 1) * generations**2 // 2
        if bits > LARGEST_DIGITS:
            raise ValueError(
                f"memory as a Fraction would need about {bits / 8e9:,.1f} GB of digits over "
                f"{generations:,} generations; give it as a float, or take fewer generations."
            )


def _size(value: object, name: str) -> Scalar:
    size = check_number(value, name, 0)
    if not 1 / FARTHEST <= size <= FARTHEST:
        raise ValueError(
            f"{name} must lie between {1 / FARTHEST:g} and {FARTHEST:g}; it is {brief(value)}."
        )
    return size


def _check_share(value: object, name: str, *, low: bool = True, high: bool = True) -> Any:
    share = check_number(value, name)
    if not low and 0 < share < 1 / FARTHEST:
        raise ValueError(f"{name} must be {1 / FARTHEST:g} at least; it is {brief(value)}.")
    if not 0 <= share <= 1 or (not low and share == 0) or (not high and share == 1):
        raise ValueError(
            f"{name} must lie in {'[' if low else '('}0, 1{']' if high else ')'}; it is"
            f" {brief(value)}."
        )
    return share


def _sizes(size: Sizes, generations: int) -> NDArray[Any]:
    """Size of each batch, the real one first: whole numbers, Fractions or floats."""
    G = _generations(generations)
    schedule = hasattr(size, "__len__") and not isinstance(size, (str, bytes))
    values: list[Any]
    if schedule:
        given = numbers(size, "size", "a number, or one for each synthetic batch, shape (G - 1,)")
        if given.ndim != 1:
            raise ValueError(
                f"size must be a number or a schedule, shape (G - 1,); it has shape {given.shape}."
            )
        values = given.tolist()
        if len(values) != G - 1:
            raise ValueError(
                f"size has {len(values)} entries, and {G} generations have {G - 1} synthetic"
                " batches; give one size for each."
            )
    else:
        values = [size]
    values = [_size(value, "size") for value in values]
    if not all(isinstance(value, Rational) for value in values):
        return np.array([1.0, *(values if schedule else values * (G - 1))])
    repeat = 1 if schedule else G - 1
    # augment adds them up, in 64 bits
    if all(value == int(value) for value in values) and sum(map(int, values)) * repeat < 2**62:
        return np.array([1, *(int(value) for value in values * repeat)], np.int64)
    return np.array([Fraction(1), *([Fraction(value) for value in values] * repeat)], object)


def _divide(top: NDArray[Any], bottom: NDArray[Any]) -> Numbers:
    if top.dtype.kind == "i":
        return Numbers.ratio(top, bottom)
    return Numbers.read(top / bottom, "turnover", 1)


def _entries(rows: Iterable[Mapping[int, Scalar]]) -> Entries:
    """Weights {batch: weight} of each fit, zeros left out."""
    flat = [(g, b, w) for g, row in enumerate(rows) for b, w in sorted(row.items()) if w]
    fit, batch, weight = zip(*flat, strict=True)
    return Entries(
        np.array(fit, np.int64),
        np.array(batch, np.int64),
        Numbers.read(list(weight), "turnover", 1),
    )


def _table(
    sizes: Iterable[Scalar],
    sources: Iterable[int],
    rows: list[Any],
    generation: Iterable[int] | None = None,
) -> Plan:
    entries = _entries(rows)
    labels = None if generation is None else np.array(list(generation))
    return Plan(
        np.array(list(sources)),
        Numbers.read(list(sizes), "size", 1),
        Recursion.of(entries, len(rows)),
        generation=labels,
    )


def _ecosystem(
    generations: int,
    models: int,
    teachers: Callable[[int, int], range],
    share: Scalar,
    published: bool,
) -> Plan:
    """Train each of M models on the latest output of its teachers, weighed alike, and on its own
    real rows.
    """
    G = _generations(generations)
    M = whole(models, "models", "models trained on each other's output", most=MOST_MODELS)
    if M < 2:
        raise ValueError(
            "models must be at least 2; one model alone is discard, or fixed_real_share."
        )
    share = _check_share(share, "share")
    published = flag(published, "published")
    _check_room(G * M * (len(teachers(M - 1, M)) + 1))  # before all readings are listed
    readings = [teachers(i, M) for i in range(M)]
    _check_room(G * sum(len(reading) + 1 for reading in readings))
    sources, rows = [0] * M, [{i: Fraction(1)} for i in range(M)]
    weights = [(1 - share) * Fraction(1, len(reading)) for reading in readings]
    for g in range(1, G):
        known: dict[tuple[int, int], int] = {}  # the batch of a teacher, for one reader or for all
        for i in range(M):
            row: dict[int, Any] = {i: share}
            for j in readings[i]:
                b = known.setdefault((j, 0 if published else i), len(sources))
                if b == len(sources):
                    sources.append((g - 1) * M + j + 1)
                row[b] = weights[i]
            rows.append(row)
    return _table([1] * len(sources), sources, rows, np.repeat(np.arange(1, G + 1), M))
